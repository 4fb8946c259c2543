//! Start-up: re-execute the commands, and make the events stream what they give.

use crate::ahead::ReadAhead;
use crate::compare::{Compare, Compared, records};
use crate::replay::Marks;
use crate::scan::Known;
use crate::shadow::{Shadow, SkippedSnapshot};
use crate::{
    DataFolder, JournalError, RecoveryReport, SnapshotStore, StreamIdentity, StreamKind, StreamOptions,
    StreamReader, StreamWriter,
};
use machine::{EventBuffer, Record, Snapshot, StateMachine, step};

/// What a long run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It shows stored events to projections that a snapshot does not speak for.
    Events,
    /// It executes commands.
    Commands,
}

/// How far a long run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub stage: Stage,
    /// Where the stage began.
    pub first_sequence: u64,
    /// Sequence of the last command executed, or whose events have been shown.
    pub sequence: u64,
    /// Sequence where the stage ends, as far as known.
    pub last_sequence: u64,
}

/// Calls of the progress function are this many commands apart.
pub(crate) const PROGRESS_COMMANDS: u64 = 65_536;

/// Missing events are appended in batches of about this many bytes.
const BATCH_BYTES: usize = 256 << 10;

/// A journal ready for appending, and what was found in it.
pub struct Recovered {
    /// Writer of the commands stream.
    pub commands: StreamWriter,
    /// Writer of the events stream; its last sequence is the commands'.
    pub events: StreamWriter,
    /// Sequence of the last command; 0 when there is none.
    pub last_sequence: u64,
    /// Its time in nanoseconds since the Unix epoch; 0 when there is none. Later commands must not be earlier.
    pub last_timestamp_ns: u64,
    /// The machine's state hash after the last command.
    pub state_hash: u64,
    /// Marks that were compared with the state hash.
    pub marks_checked: usize,
    /// Commands whose events were missing and have been appended.
    pub events_appended: u64,
    /// Last sequence of the events that were removed because no command stands behind them; `None` when there were
    /// none.
    pub events_removed_up_to: Option<u64>,
    /// What opening the commands stream found.
    pub commands_report: RecoveryReport,
    /// What opening the events stream found.
    pub events_report: RecoveryReport,
}

/// Opens both streams of a data folder (creating them in an empty one), cuts torn tails, and executes every command
/// through `machine`, which must be new. Stored events are compared byte for byte, missing ones are appended, events
/// beyond the last command are removed. `on_event` sees every event in order.
///
/// `parameters` are the machine's, as in [`StreamIdentity`]; `options` are those of the commands and the events stream.
///
/// # Errors
/// Damage; another machine's journal; other events or another state hash than those stored; a full disk.
pub fn recover<M: StateMachine>(
    folder: &DataFolder,
    machine: &mut M,
    parameters: &[u8],
    options: (&StreamOptions, &StreamOptions),
    on_event: &mut dyn FnMut(Record<'_>),
    progress: &mut dyn FnMut(Progress),
) -> Result<Recovered, JournalError> {
    let opened = open::<M>(folder, parameters, options, 0)?;
    opened.require_start(folder)?;
    execute(folder, opened, machine, Base::default(), on_event, progress)
}

/// A machine that was recovered with the help of a snapshot.
pub struct Restored<M> {
    /// The machine.
    pub machine: M,
    /// The journal.
    pub recovered: Recovered,
    /// The snapshot it started from; `None` for the journal's beginning.
    pub from_snapshot: Option<u64>,
    /// Newer snapshots that were not used, and why: worth telling.
    pub skipped: Vec<SkippedSnapshot>,
}

/// Like [`recover`], from the newest snapshot that checks, belongs to this journal and is not ahead of its events.
/// `machine` makes a new machine. `on_event` sees the events after `events_from`, the least sequence that a projection has
/// applied: those up to the snapshot are read from the events stream, not computed.
///
/// # Errors
/// As for [`recover`]; a snapshot behind the end of the commands, which had been synced up to it. A snapshot that cannot
/// be used is no error, unless the segments before it are gone.
pub fn recover_from_snapshot<M: Snapshot>(
    folder: &DataFolder,
    machine: &mut dyn FnMut() -> M,
    parameters: &[u8],
    options: (&StreamOptions, &StreamOptions),
    events_from: u64,
    on_event: &mut dyn FnMut(Record<'_>),
    progress: &mut dyn FnMut(Progress),
) -> Result<Restored<M>, JournalError> {
    let store = SnapshotStore::new::<M>(folder, parameters);
    let synced = store.newest_synced()?;
    let opened = open::<M>(folder, parameters, options, synced)?;
    let last_sequence = opened.commands.last_sequence();
    if synced > last_sequence {
        let file = store.path(synced);
        return Err(JournalError::SnapshotBeyondEnd { file, last_sequence, snapshot_sequence: synced });
    }
    // What lies between the events' end and a later snapshot could not be computed again.
    let at_most = last_sequence.min(opened.events.last_sequence());
    let shadow = Shadow::open_at_most(folder, parameters, at_most, machine)?;
    let (from_snapshot, skipped) = (shadow.started_from(), shadow.skipped().to_vec());
    let base = Base { sequence: shadow.sequence(), timestamp_ns: shadow.timestamp_ns() };
    if from_snapshot.is_none() {
        opened.require_start(folder)?;
    }
    let mut machine = shadow.into_machine();
    if events_from < base.sequence {
        show_stored(folder, (events_from, base.sequence), on_event, progress)?;
    }
    let mut on_later = |event: Record<'_>| {
        if event.header().sequence > events_from {
            on_event(event);
        }
    };
    let recovered = execute(folder, opened, &mut machine, base, &mut on_later, progress)?;
    Ok(Restored { machine, recovered, from_snapshot, skipped })
}

/// Shows the stored events behind the first of two sequences up to the second.
fn show_stored(
    folder: &DataFolder,
    (after, up_to): (u64, u64),
    on_event: &mut dyn FnMut(Record<'_>),
    progress: &mut dyn FnMut(Progress),
) -> Result<(), JournalError> {
    let mut stored = StreamReader::open_with(&folder.events(), folder.storage())?;
    if stored.first_sequence() > after + 1 {
        let first_sequence = stored.first_sequence();
        return Err(JournalError::MissingStart { folder: folder.events(), first_sequence });
    }
    stored.seek(after + 1)?;
    let mut stored = ReadAhead::new(stored);
    let mut next_report = after + PROGRESS_COMMANDS;
    loop {
        let Some(event) = stored.next()? else { return Err(stored.damage()?) };
        let (sequence, is_last) = (event.header().sequence, event.is_last_event());
        on_event(event);
        if sequence >= next_report {
            next_report = sequence + PROGRESS_COMMANDS;
            progress(Progress {
                stage: Stage::Events,
                first_sequence: after,
                sequence,
                last_sequence: up_to,
            });
        }
        if is_last && sequence >= up_to {
            return Ok(());
        }
    }
}

/// The place that a machine has come to already.
#[derive(Clone, Copy, Default)]
struct Base {
    sequence: u64,
    timestamp_ns: u64,
}

/// Both streams, ready for appending.
struct Opened {
    commands: StreamWriter,
    commands_report: RecoveryReport,
    events: StreamWriter,
    events_report: RecoveryReport,
    events_removed_up_to: Option<u64>,
    marks: Marks,
}

impl Opened {
    /// Refuses streams whose first segments are gone.
    fn require_start(&self, folder: &DataFolder) -> Result<(), JournalError> {
        for (last, report, stream) in [
            (self.commands.last_sequence(), &self.commands_report, folder.commands()),
            (self.events.last_sequence(), &self.events_report, folder.events()),
        ] {
            if last > 0 && report.first_sequence != 1 {
                return Err(JournalError::MissingStart {
                    folder: stream,
                    first_sequence: report.first_sequence,
                });
            }
        }
        Ok(())
    }
}

/// Opens both streams, cuts their torn tails, and removes events that no command stands behind.
fn open<M: StateMachine>(
    folder: &DataFolder,
    parameters: &[u8],
    options: (&StreamOptions, &StreamOptions),
    synced: u64,
) -> Result<Opened, JournalError> {
    let identity = StreamIdentity::new(StreamKind::Commands, M::NAME, parameters);
    let marks = Marks::read(folder)?;
    let known = Known { marks: marks.all(), synced, said_synced: 0, briefly: true };
    let (commands, commands_report) =
        StreamWriter::open_knowing(&folder.commands(), &identity, options.0, folder.storage(), known)?;
    let last_sequence = commands.last_sequence();
    marks.check_end(folder, last_sequence)?;
    let identity = StreamIdentity { kind: StreamKind::Events, ..identity };
    let known = Known { said_synced: synced, briefly: true, ..Known::default() };
    let (mut events, events_report) =
        StreamWriter::open_knowing(&folder.events(), &identity, options.1, folder.storage(), known)?;
    let events_removed_up_to = Some(events.last_sequence()).filter(|last| *last > last_sequence);
    events.truncate_after(last_sequence)?;
    Ok(Opened { commands, commands_report, events, events_report, events_removed_up_to, marks })
}

/// Executes the commands after `base`, compares the events that are stored and appends those that are not.
fn execute<M: StateMachine>(
    folder: &DataFolder,
    opened: Opened,
    machine: &mut M,
    base: Base,
    on_event: &mut dyn FnMut(Record<'_>),
    progress: &mut dyn FnMut(Progress),
) -> Result<Recovered, JournalError> {
    let Opened { commands, commands_report, mut events, events_report, events_removed_up_to, mut marks } =
        opened;
    let storage = folder.storage();
    let last_sequence = commands.last_sequence();
    let stored_last = events.last_sequence();
    let mut stored = StreamReader::open_with(&folder.events(), storage.clone())?;
    let mut reader = StreamReader::open_with(&folder.commands(), storage)?;
    if base.sequence > 0 {
        stored.seek(base.sequence + 1)?;
        reader.seek(base.sequence + 1)?;
        marks.pass(base.sequence);
    }
    let mut run = Run {
        stored: (stored_last > base.sequence).then(|| Compare::new(ReadAhead::new(stored))),
        stored_last,
        events: &mut events,
        buffer: EventBuffer::with_capacity(BATCH_BYTES + machine.max_event_bytes()),
        appended: 0,
    };
    let mut reader = ReadAhead::new(reader);
    let mut last_timestamp_ns = base.timestamp_ns;
    for sequence in base.sequence + 1..=last_sequence {
        let Some(command) = reader.next()? else { return Err(reader.damage()?) };
        last_timestamp_ns = command.header().timestamp_ns;
        run.command(machine, command, on_event)?;
        marks.check(sequence, || machine.state_hash())?;
        if sequence.is_multiple_of(PROGRESS_COMMANDS) || sequence == last_sequence {
            progress(Progress {
                stage: Stage::Commands,
                first_sequence: base.sequence,
                sequence,
                last_sequence,
            });
        }
    }
    run.flush(on_event)?;
    let events_appended = run.appended;
    Ok(Recovered {
        commands,
        events,
        last_sequence,
        last_timestamp_ns,
        state_hash: machine.state_hash(),
        marks_checked: marks.checked,
        events_appended,
        events_removed_up_to,
        commands_report,
        events_report,
    })
}

struct Run<'a> {
    /// The events stored at the start, as long as there are any left to compare; what is appended here is not read back.
    stored: Option<Compare>,
    /// Last sequence that was stored at the start.
    stored_last: u64,
    events: &'a mut StreamWriter,
    buffer: EventBuffer,
    appended: u64,
}

impl Run<'_> {
    fn command<M: StateMachine>(
        &mut self,
        machine: &mut M,
        command: Record<'_>,
        on_event: &mut dyn FnMut(Record<'_>),
    ) -> Result<(), JournalError> {
        let sequence = command.header().sequence;
        step(machine, command, &mut self.buffer);
        self.appended += u64::from(sequence > self.stored_last);
        if self.buffer.bytes().len() >= BATCH_BYTES || sequence == self.stored_last {
            self.flush(on_event)?;
        }
        if sequence == self.stored_last {
            self.stored = None;
        }
        Ok(())
    }

    /// Compares or appends the events at hand, and shows them.
    fn flush(&mut self, on_event: &mut dyn FnMut(Record<'_>)) -> Result<(), JournalError> {
        let computed = self.buffer.bytes();
        match &mut self.stored {
            None => self.events.write_batch(computed, 0)?,
            Some(stored) => match stored.batch(computed)? {
                Compared::Equal => {}
                Compared::Different(difference) => return Err(JournalError::EventMismatch(difference)),
                Compared::EndsBefore(_) => return Err(stored.damage()?),
            },
        }
        records(computed).for_each(on_event);
        self.buffer.clear();
        Ok(())
    }
}
