//! Start-up: re-execute the commands, and make the events stream what they give.

use crate::replay::{Compare, Marks};
use crate::{
    DataFolder, JournalError, RecoveryReport, StreamIdentity, StreamKind, StreamOptions, StreamReader,
    StreamWriter,
};
use machine::{EventBuffer, Record, StateMachine, step};

/// How far a long run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Sequence of the last command executed.
    pub sequence: u64,
    /// Sequence of the last command there is, as far as known.
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
    let storage = folder.storage();
    let identity = StreamIdentity::new(StreamKind::Commands, M::NAME, parameters);
    let known = Marks::read(folder)?;
    let (commands, commands_report) =
        StreamWriter::open_knowing(&folder.commands(), &identity, options.0, folder.storage(), known.all())?;
    let last_sequence = commands.last_sequence();
    if last_sequence > 0 && commands_report.first_sequence != 1 {
        let first_sequence = commands_report.first_sequence;
        return Err(JournalError::MissingStart { folder: folder.commands(), first_sequence });
    }
    let mut marks = Marks::open(folder, last_sequence)?;
    let identity = StreamIdentity { kind: StreamKind::Events, ..identity };
    let (mut events, events_report) =
        StreamWriter::open(&folder.events(), &identity, options.1, storage.clone())?;
    if events.last_sequence() > 0 && events_report.first_sequence != 1 {
        let first_sequence = events_report.first_sequence;
        return Err(JournalError::MissingStart { folder: folder.events(), first_sequence });
    }
    let events_removed_up_to = Some(events.last_sequence()).filter(|last| *last > last_sequence);
    events.truncate_after(last_sequence)?;

    let stored = StreamReader::open_with(&folder.events(), storage.clone())?;
    let mut run = Run {
        stored: Compare::new(stored),
        stored_last: events.last_sequence(),
        events: &mut events,
        buffer: EventBuffer::with_capacity(BATCH_BYTES + 2 * machine.max_event_bytes()),
        appended: 0,
    };
    let mut reader = StreamReader::open_with(&folder.commands(), storage)?;
    let mut last_timestamp_ns = 0;
    while let Some(command) = reader.next()? {
        let sequence = command.header().sequence;
        last_timestamp_ns = command.header().timestamp_ns;
        run.command(machine, command, on_event)?;
        marks.check(sequence, || machine.state_hash())?;
        if sequence.is_multiple_of(PROGRESS_COMMANDS) || sequence == last_sequence {
            progress(Progress { sequence, last_sequence });
        }
    }
    run.flush()?;
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
    stored: Compare,
    /// Last sequence that was stored at the start; what is appended here is not read back.
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
        let before = self.buffer.bytes().len();
        step(machine, command, &mut self.buffer);
        let fresh = &self.buffer.bytes()[before..];
        if sequence <= self.stored_last {
            if let Some(difference) = self.stored.command(sequence, fresh)? {
                return Err(JournalError::EventMismatch(Box::new(difference)));
            }
            each_record(fresh, on_event);
            self.buffer.clear();
            return Ok(());
        }
        each_record(fresh, on_event);
        self.appended += 1;
        if self.buffer.bytes().len() >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), JournalError> {
        let result = self.events.write_batch(self.buffer.bytes(), 0);
        self.buffer.clear();
        result
    }
}

fn each_record(mut bytes: &[u8], on_event: &mut dyn FnMut(Record<'_>)) {
    while let Ok(record) = Record::parse(bytes) {
        on_event(record);
        bytes = bytes.get(machine::stride(record.header().length as usize)..).unwrap_or_default();
    }
}
