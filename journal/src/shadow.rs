//! A machine that follows the journal, beside the one that runs: it takes snapshots without stopping anyone.

use crate::snapshot::{Snapshot, SnapshotPlace, SnapshotStore};
use crate::{ChainHash, DataFolder, JournalError, StreamIdentity, StreamKind, StreamReader};
use machine::{EventBuffer, Record, step};
use std::path::PathBuf;

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
    store: SnapshotStore<'a>,
    machine: M,
    commands: StreamReader,
    buffer: EventBuffer,
    sequence: u64,
    timestamp_ns: u64,
    from_snapshot: Option<u64>,
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

    /// The same with a snapshot of `at_most` at the latest.
    ///
    /// # Errors
    /// As for [`Shadow::open`].
    pub fn open_at_most(
        data: &'a DataFolder,
        parameters: &[u8],
        at_most: u64,
        machine: &mut dyn FnMut() -> M,
    ) -> Result<Self, JournalError> {
        let store = SnapshotStore::new::<M>(data, parameters);
        let identity = StreamIdentity::new(StreamKind::Commands, M::NAME, parameters);
        let mut skipped = Vec::new();
        for sequence in store.list()? {
            if sequence > at_most {
                let reason = format!("it is ahead of what is stored, which ends at {at_most}");
                skipped.push(SkippedSnapshot { sequence, reason });
                continue;
            }
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
                        store,
                        machine: candidate,
                        commands,
                        buffer,
                        sequence,
                        timestamp_ns,
                        from_snapshot: Some(sequence),
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
        Ok(Self { store, machine, commands, buffer, sequence, timestamp_ns, from_snapshot: None, skipped })
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

    /// Writes a snapshot of where it is, having gone on to the end of the frame that it is in.
    ///
    /// # Errors
    /// Damage, or what the system says.
    pub fn snapshot(&mut self) -> Result<PathBuf, JournalError> {
        while !self.commands.is_at_frame_end() {
            self.advance(u64::MAX, 1, &mut |_| {})?;
        }
        let place = SnapshotPlace {
            sequence: self.sequence,
            timestamp_ns: self.timestamp_ns,
            chain: self.commands.chain(),
        };
        self.store.write(&self.machine, place)
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
