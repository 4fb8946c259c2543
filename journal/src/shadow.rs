//! A machine that follows the journal, beside the one that runs: it takes snapshots without stopping anyone.

use crate::format::segment_path;
use crate::frame::list_segments;
use crate::snapshot::{SnapshotHeader, SnapshotPlace, SnapshotStore};
use crate::{ChainHash, DataFolder, JournalError, StreamIdentity, StreamKind, StreamReader};
use machine::{EventBuffer, Record, Snapshot, step};
use std::io;
use std::path::{Path, PathBuf};

/// A snapshot that was found and not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedSnapshot {
    /// Its sequence.
    pub sequence: u64,
    /// Why.
    pub reason: String,
}

/// A machine at some place of a commands stream, which it can follow.
pub struct Shadow<'a, M> {
    data: &'a DataFolder,
    store: SnapshotStore<'a>,
    machine: M,
    commands: StreamReader,
    buffer: EventBuffer,
    sequence: u64,
    timestamp_ns: u64,
    from_snapshot: Option<u64>,
    /// Both streams are known to be synced up to here.
    synced: u64,
    skipped: Vec<SkippedSnapshot>,
}

impl<'a, M: Snapshot> Shadow<'a, M> {
    /// Starts from the newest snapshot that checks and belongs to this journal, or from the beginning. `machine` makes a
    /// new machine.
    ///
    /// # Errors
    /// No journal, damage, or what the system says. A snapshot that cannot be used is no error: see [`Shadow::skipped`].
    pub fn open(
        data: &'a DataFolder,
        parameters: &[u8],
        machine: &mut dyn FnMut() -> M,
    ) -> Result<Self, JournalError> {
        Self::open_at_most(data, parameters, u64::MAX, machine)
    }

    /// The same with a snapshot of `at_most` at the latest: later ones are ahead of what is stored.
    ///
    /// # Errors
    /// As for [`Shadow::open`].
    pub fn open_at_most(
        data: &'a DataFolder,
        parameters: &[u8],
        at_most: u64,
        machine: &mut dyn FnMut() -> M,
    ) -> Result<Self, JournalError> {
        let mut skipped = Vec::new();
        let mut sequences = SnapshotStore::new::<M>(data, parameters).list()?;
        sequences.retain(|&sequence| {
            if sequence > at_most {
                let reason = format!("it is ahead of what is stored, which ends at {at_most}");
                skipped.push(SkippedSnapshot { sequence, reason });
            }
            sequence <= at_most
        });
        Self::open_among(data, parameters, (sequences, skipped), machine)
    }

    /// The same with the nearest snapshot before a moment: a sequence and a time in nanoseconds since the Unix epoch, both
    /// included.
    ///
    /// # Errors
    /// As for [`Shadow::open`].
    pub fn open_before(
        data: &'a DataFolder,
        parameters: &[u8],
        (up_to, until_ns): (u64, u64),
        machine: &mut dyn FnMut() -> M,
    ) -> Result<Self, JournalError> {
        let store = SnapshotStore::new::<M>(data, parameters);
        let mut sequences = store.list()?;
        // One that cannot be read stays, so that it is told of.
        let is_later = |sequence: u64| store.inspect(sequence).is_ok_and(|it| it.timestamp_ns > until_ns);
        sequences.retain(|&sequence| sequence <= up_to && !is_later(sequence));
        Self::open_among(data, parameters, (sequences, Vec::new()), machine)
    }

    /// With the first of these snapshots that can be used.
    fn open_among(
        data: &'a DataFolder,
        parameters: &[u8],
        (sequences, mut skipped): (Vec<u64>, Vec<SkippedSnapshot>),
        machine: &mut dyn FnMut() -> M,
    ) -> Result<Self, JournalError> {
        let store = SnapshotStore::new::<M>(data, parameters);
        let identity = StreamIdentity::new(StreamKind::Commands, M::NAME, parameters);
        for sequence in sequences {
            let mut candidate = machine();
            let outcome = store.read(sequence, &mut candidate).map_err(|refused| refused.to_string());
            let outcome = match outcome {
                Ok(header) => reader_after(data, &identity, sequence, header.chain)?
                    .ok_or_else(|| "the journal does not hold the commands that it stands on".to_owned())
                    .map(|reader| (header.timestamp_ns, reader)),
                Err(reason) => Err(reason),
            };
            match outcome {
                Ok((timestamp_ns, commands)) => {
                    let buffer = EventBuffer::with_capacity(candidate.max_event_bytes());
                    return Ok(Self {
                        data,
                        store,
                        machine: candidate,
                        commands,
                        buffer,
                        sequence,
                        timestamp_ns,
                        from_snapshot: Some(sequence),
                        synced: sequence,
                        skipped,
                    });
                }
                Err(reason) => skipped.push(SkippedSnapshot { sequence, reason }),
            }
        }
        let commands = StreamReader::open_with(&data.commands(), data.storage())?;
        commands.require(&identity)?;
        let first = commands.first_sequence();
        if first != 1 {
            return Err(JournalError::MissingStart { folder: data.commands(), first_sequence: first });
        }
        let machine = machine();
        let buffer = EventBuffer::with_capacity(machine.max_event_bytes());
        let (sequence, timestamp_ns) = (0, 0);
        let from_snapshot = None;
        Ok(Self {
            data,
            store,
            machine,
            commands,
            buffer,
            sequence,
            timestamp_ns,
            from_snapshot,
            synced: 0,
            skipped,
        })
    }

    /// Sequence of the snapshot that it started from, if it did.
    #[must_use]
    pub fn started_from(&self) -> Option<u64> {
        self.from_snapshot
    }

    /// The snapshots that were newer and could not be used, the newest first: worth telling.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedSnapshot] {
        &self.skipped
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The last command in its state.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Its time.
    #[must_use]
    pub fn timestamp_ns(&self) -> u64 {
        self.timestamp_ns
    }

    /// Gives the machine up, at the place where it is.
    #[must_use]
    pub fn into_machine(self) -> M {
        self.machine
    }

    /// Executes what there is, at most up to `up_to` and at most `limit` commands; `on_event` sees the events. Returns how
    /// many commands.
    ///
    /// # Errors
    /// Damage, or what the system says.
    pub fn advance(
        &mut self,
        up_to: u64,
        limit: usize,
        on_event: &mut dyn FnMut(Record<'_>),
    ) -> Result<usize, JournalError> {
        let mut executed = 0;
        while executed < limit && self.sequence < up_to {
            let Some(command) = self.commands.next()? else { break };
            self.buffer.clear();
            step(&mut self.machine, command, &mut self.buffer);
            self.sequence = command.header().sequence;
            self.timestamp_ns = command.header().timestamp_ns;
            self.buffer.records().for_each(&mut *on_event);
            executed += 1;
        }
        Ok(executed)
    }

    /// Goes on to the end of the frame that it is in: only there does a snapshot stand.
    ///
    /// # Errors
    /// Damage, or what the system says.
    pub fn finish_frame(&mut self, on_event: &mut dyn FnMut(Record<'_>)) -> Result<(), JournalError> {
        while !self.commands.is_at_frame_end() {
            self.advance(u64::MAX, 1, on_event)?;
        }
        Ok(())
    }

    /// Writes a snapshot of where it is, having gone on to the end of the frame that it is in. Before it gets its name, both
    /// streams are synced up to there, so that a start from it need not read what lies before. `None` while the events that
    /// are stored have not reached it: try again.
    ///
    /// # Errors
    /// Damage, or what the system says.
    pub fn snapshot(&mut self) -> Result<Option<PathBuf>, JournalError> {
        self.finish_frame(&mut |_| {})?;
        if !events_reach(self.data, self.sequence)? {
            return Ok(None);
        }
        for stream in [self.data.commands(), self.data.events()] {
            sync_stream(self.data, &stream, self.synced, self.sequence)?;
        }
        self.synced = self.sequence;
        let place = SnapshotPlace {
            sequence: self.sequence,
            timestamp_ns: self.timestamp_ns,
            chain: self.commands.chain(),
        };
        self.store.write(&self.machine, place).map(Some)
    }

    /// Whether the journal holds the commands that a snapshot stands on, by their hash chain.
    ///
    /// # Errors
    /// Damage, or what the system says.
    pub fn stands(
        data: &DataFolder,
        parameters: &[u8],
        header: &SnapshotHeader,
    ) -> Result<bool, JournalError> {
        let identity = StreamIdentity::new(StreamKind::Commands, M::NAME, parameters);
        reader_after(data, &identity, header.sequence, header.chain).map(|reader| reader.is_some())
    }
}

/// Whether all events up to a command are stored; so too where there is no events stream.
fn events_reach(data: &DataFolder, sequence: u64) -> Result<bool, JournalError> {
    let mut events = match StreamReader::open_with(&data.events(), data.storage()) {
        Err(JournalError::NotFound { .. }) => return Ok(true),
        other => other?,
    };
    events.seek(sequence)?;
    while let Some(event) = events.next()? {
        let found = event.header().sequence;
        if found > sequence || (found == sequence && event.is_last_event()) {
            return Ok(true);
        }
    }
    Ok(sequence == 0)
}

/// Syncs the segments of a stream that hold anything behind `from` up to `to`.
fn sync_stream(data: &DataFolder, stream: &Path, from: u64, to: u64) -> Result<(), JournalError> {
    let storage = data.storage();
    let firsts = list_segments(&*storage, stream)?;
    let start = firsts.iter().rposition(|first| *first <= from).unwrap_or(0);
    for first in firsts[start..].iter().take_while(|first| **first <= to) {
        let path = segment_path(stream, *first);
        match storage.open(&path, false) {
            Ok(file) => file.sync().map_err(JournalError::io("sync", &path))?,
            // It is archived, and the archive was synced.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(JournalError::io("open", &path)(error)),
        }
    }
    match storage.sync_folder(stream) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(JournalError::io("sync", stream)(error)),
        _ => Ok(()),
    }
}

/// A reader behind `sequence`, if a frame ends there with this value of the hash chain.
fn reader_after(
    data: &DataFolder,
    identity: &StreamIdentity,
    sequence: u64,
    chain: ChainHash,
) -> Result<Option<StreamReader>, JournalError> {
    let mut reader = StreamReader::open_with(&data.commands(), data.storage())?;
    reader.require(identity)?;
    // What the stream no longer holds cannot be compared; what it has not reached yet either.
    if reader.first_sequence() > sequence {
        return Ok(None);
    }
    reader.seek(sequence)?;
    match reader.next()?.map(|record| record.header().sequence) {
        Some(found) if found == sequence => {}
        _ => return Ok(None),
    }
    Ok(Some(reader).filter(|reader| reader.is_at_frame_end() && reader.chain() == chain))
}
