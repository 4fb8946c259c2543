//! Read-only re-execution: the audit of a journal.

use crate::recover::{PROGRESS_COMMANDS, Progress};
use crate::{DataFolder, Difference, JournalError, Mark, StreamIdentity, StreamKind, StreamReader};
use machine::{EventBuffer, Record, StateMachine, step, stride};
use std::path::Path;

/// What to replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayOptions {
    /// The machine's parameters, which the journal must have been written with (see [`crate::stream_identity`]).
    pub parameters: Vec<u8>,
    /// Last sequence to execute; `u64::MAX` for all.
    pub up_to: u64,
    /// Time of the last command to execute, nanoseconds since the Unix epoch; `u64::MAX` for all.
    pub until_ns: u64,
    /// Whether the stored events are compared. Without, the machine alone is measured.
    pub compare_events: bool,
}

impl Default for ReplayOptions {
    fn default() -> Self {
        Self { parameters: Vec::new(), up_to: u64::MAX, until_ns: u64::MAX, compare_events: true }
    }
}

/// What a replay found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Commands executed.
    pub commands: u64,
    /// Events that they gave.
    pub events: u64,
    /// Bytes of those events, padded records without frames.
    pub event_bytes: u64,
    /// Events that were compared with stored ones and found equal.
    pub events_compared: u64,
    /// Sequence of the last command executed.
    pub last_sequence: u64,
    /// Its time in nanoseconds since the Unix epoch.
    pub last_timestamp_ns: u64,
    /// State hash after it.
    pub state_hash: u64,
    /// Marks compared and found equal.
    pub marks_checked: usize,
    /// The first difference between stored and computed events; the replay stops there.
    pub difference: Option<Difference>,
    /// The first mark that the state did not match, and the hash it had; the replay stops there.
    pub mark_difference: Option<(Mark, u64)>,
    /// First sequence whose events are not stored: they were not written yet when the process ended, and are
    /// appended at the next start.
    pub events_missing_from: Option<u64>,
}

impl ReplayReport {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.difference.is_none() && self.mark_difference.is_none()
    }
}

/// Executes the commands of a data folder through `machine`, which must be new, and compares its events and state
/// hashes with those stored. Changes nothing; works beside a live writer.
///
/// # Errors
/// Damage, another machine's journal, or what the system says. Differences are in the report.
pub fn replay<M: StateMachine>(
    folder: &Path,
    machine: &mut M,
    options: &ReplayOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<ReplayReport, JournalError> {
    replay_folder(&DataFolder::inspect(folder)?, machine, options, progress)
}

pub(crate) fn replay_folder<M: StateMachine>(
    folder: &DataFolder,
    machine: &mut M,
    options: &ReplayOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<ReplayReport, JournalError> {
    let identity = StreamIdentity::new(StreamKind::Commands, M::NAME, &options.parameters);
    let mut commands = open(folder, &folder.commands(), &identity)?;
    let mut stored = match open(folder, &folder.events(), &identity.clone_as(StreamKind::Events)) {
        Ok(reader) => Some(Compare::new(reader)),
        Err(JournalError::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    let mut marks = Marks::read(folder)?;
    let mut report = ReplayReport::default();
    let mut buffer = EventBuffer::with_capacity(machine.max_event_bytes());
    while let Some(command) = commands.next()? {
        let sequence = command.header().sequence;
        if sequence > options.up_to || command.header().timestamp_ns > options.until_ns {
            break;
        }
        buffer.clear();
        step(machine, command, &mut buffer);
        report.count(command, &buffer);
        if options.compare_events && !report.compare(sequence, &buffer, stored.as_mut())? {
            break;
        }
        match marks.check(sequence, || machine.state_hash()) {
            Err(JournalError::StateHash { sequence, expected, found }) => {
                let mark = Mark { sequence, state_hash: expected, chain: None };
                report.mark_difference = Some((mark, found));
                break;
            }
            other => other?,
        }
        if sequence.is_multiple_of(PROGRESS_COMMANDS) {
            progress(Progress { sequence, last_sequence: options.up_to });
        }
    }
    if report.is_good() && options.up_to == u64::MAX && options.until_ns == u64::MAX {
        commands.check_end()?;
        marks.check_end(folder, report.last_sequence)?;
    }
    report.marks_checked = marks.checked;
    report.state_hash = machine.state_hash();
    Ok(report)
}

fn open(folder: &DataFolder, stream: &Path, identity: &StreamIdentity) -> Result<StreamReader, JournalError> {
    let reader = StreamReader::open_with(stream, folder.storage())?;
    reader.require(identity)?;
    Ok(reader)
}

impl ReplayReport {
    fn count(&mut self, command: Record<'_>, events: &EventBuffer) {
        self.commands += 1;
        self.events += events.records().count() as u64;
        self.event_bytes += events.bytes().len() as u64;
        self.last_sequence = command.header().sequence;
        self.last_timestamp_ns = command.header().timestamp_ns;
    }

    /// False at the first difference.
    fn compare(
        &mut self,
        sequence: u64,
        events: &EventBuffer,
        stored: Option<&mut Compare>,
    ) -> Result<bool, JournalError> {
        let Some(stored) = stored.filter(|_| self.events_missing_from.is_none()) else {
            self.events_missing_from.get_or_insert(sequence);
            return Ok(true);
        };
        if stored.is_at_end()? {
            stored.reader.check_end()?;
            self.events_missing_from = Some(sequence);
            return Ok(true);
        }
        self.difference = stored.command(sequence, events.bytes())?;
        if self.difference.is_none() {
            self.events_compared += events.records().count() as u64;
        }
        Ok(self.difference.is_none())
    }
}

/// Compares computed events with a stored stream.
pub(crate) struct Compare {
    reader: StreamReader,
}

impl Compare {
    pub fn new(reader: StreamReader) -> Self {
        Self { reader }
    }

    fn is_at_end(&mut self) -> Result<bool, JournalError> {
        Ok(self.reader.peek()?.is_none())
    }

    /// Compares one command's events, header and body, all but the checksum, which the journal filled in.
    pub fn command(
        &mut self,
        sequence: u64,
        mut computed: &[u8],
    ) -> Result<Option<Difference>, JournalError> {
        let mut event_index = 0;
        loop {
            let ours = Record::parse(computed).ok();
            let theirs = self.reader.peek()?.filter(|stored| stored.header().sequence == sequence);
            let equal = match (&ours, &theirs) {
                (None, None) => return Ok(None),
                (Some(ours), Some(theirs)) => {
                    let theirs_unsummed = machine::RecordHeader { checksum: 0, ..*theirs.header() };
                    *ours.header() == theirs_unsummed && ours.body() == theirs.body()
                }
                _ => false,
            };
            if !equal {
                let (stored, computed) = (bytes_of(theirs), bytes_of(ours));
                return Ok(Some(Difference { sequence, event_index, stored, computed }));
            }
            let length = ours.map_or(0, |record| stride(record.header().length as usize));
            computed = computed.get(length..).unwrap_or_default();
            self.reader.next()?;
            event_index += 1;
        }
    }
}

fn bytes_of(record: Option<Record<'_>>) -> Vec<u8> {
    use zerocopy::IntoBytes;
    record.map_or_else(Vec::new, |record| [record.header().as_bytes(), record.body()].concat())
}

/// The marks of a folder, checked off as the commands go by.
pub(crate) struct Marks {
    marks: Vec<Mark>,
    next: usize,
    pub checked: usize,
}

impl Marks {
    pub fn read(folder: &DataFolder) -> Result<Self, JournalError> {
        let mut marks = folder.marks()?;
        marks.sort_by_key(|mark| mark.sequence);
        Ok(Self { marks, next: 0, checked: 0 })
    }

    /// All of them, in order of their sequences.
    pub fn all(&self) -> &[Mark] {
        &self.marks
    }

    /// Leaves out those up to `sequence`.
    pub fn pass(&mut self, sequence: u64) {
        self.next = self.marks.partition_point(|mark| mark.sequence <= sequence);
    }

    /// Reads the marks and refuses a commands stream that ends before one of them.
    pub fn open(folder: &DataFolder, last_sequence: u64) -> Result<Self, JournalError> {
        let marks = Self::read(folder)?;
        marks.check_end(folder, last_sequence)?;
        Ok(marks)
    }

    pub fn check_end(&self, folder: &DataFolder, last_sequence: u64) -> Result<(), JournalError> {
        match self.marks.last() {
            Some(mark) if mark.sequence > last_sequence => Err(JournalError::MarkBeyondEnd {
                folder: folder.commands(),
                last_sequence,
                mark_sequence: mark.sequence,
            }),
            _ => Ok(()),
        }
    }

    /// Compares the state hash where there is a mark.
    pub fn check(&mut self, sequence: u64, state_hash: impl Fn() -> u64) -> Result<(), JournalError> {
        while let Some(mark) = self.marks.get(self.next).filter(|mark| mark.sequence <= sequence) {
            if mark.sequence == sequence {
                let found = state_hash();
                if found != mark.state_hash {
                    return Err(JournalError::StateHash { sequence, expected: mark.state_hash, found });
                }
                self.checked += 1;
            }
            self.next += 1;
        }
        Ok(())
    }
}
