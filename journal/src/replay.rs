//! Read-only re-execution: the audit of a journal.

use crate::ahead::ReadAhead;
use crate::compare::{Compare, Compared, records};
use crate::recover::{PROGRESS_COMMANDS, Progress, Stage};
use crate::shadow::{Shadow, SkippedSnapshot};
use crate::{DataFolder, Difference, JournalError, Mark, StreamIdentity, StreamKind, StreamReader};
use machine::{EventBuffer, Snapshot, StateMachine, step};
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
    /// State hash after it; after a difference, of a state that may be some commands later.
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
    Run::open(folder, machine, 0, options)?.play(folder, options, progress)
}

/// A machine at a moment of the past, and how it was got there.
pub struct Replayed<M> {
    /// The machine.
    pub machine: M,
    /// What was executed and compared behind the snapshot.
    pub report: ReplayReport,
    /// The snapshot it started from; `None` for the journal's beginning.
    pub from_snapshot: Option<u64>,
    /// Later snapshots that were not used, and why: worth telling.
    pub skipped: Vec<SkippedSnapshot>,
}

/// The same from the nearest snapshot before the end. `machine` makes a new machine.
///
/// # Errors
/// As for [`replay`]. A snapshot that cannot be used is no error.
pub fn replay_from_snapshot<M: Snapshot>(
    folder: &Path,
    machine: &mut dyn FnMut() -> M,
    options: &ReplayOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Replayed<M>, JournalError> {
    replay_before(&DataFolder::inspect(folder)?, machine, options, progress)
}

pub(crate) fn replay_before<M: Snapshot>(
    folder: &DataFolder,
    machine: &mut dyn FnMut() -> M,
    options: &ReplayOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Replayed<M>, JournalError> {
    let moment = (options.up_to, options.until_ns);
    let shadow = Shadow::open_before(folder, &options.parameters, moment, machine)?;
    let (from_snapshot, skipped) = (shadow.started_from(), shadow.skipped().to_vec());
    let (sequence, timestamp_ns) = (shadow.sequence(), shadow.timestamp_ns());
    let mut machine = shadow.into_machine();
    let mut run = Run::open(folder, &mut machine, sequence, options)?;
    (run.report.last_sequence, run.report.last_timestamp_ns) = (sequence, timestamp_ns);
    let report = run.play(folder, options, progress)?;
    Ok(Replayed { machine, report, from_snapshot, skipped })
}

/// Events are compared in batches of about this many bytes.
const BATCH_BYTES: usize = 128 << 10;

struct Run<'a, M> {
    machine: &'a mut M,
    first_sequence: u64,
    commands: ReadAhead,
    /// `None` where no events are to be compared.
    stored: Option<Compare>,
    marks: Marks,
    buffer: EventBuffer,
    report: ReplayReport,
}

impl<'a, M: StateMachine> Run<'a, M> {
    /// With a machine that has executed everything up to `after`.
    fn open(
        folder: &DataFolder,
        machine: &'a mut M,
        after: u64,
        options: &ReplayOptions,
    ) -> Result<Self, JournalError> {
        let identity = StreamIdentity::new(StreamKind::Commands, M::NAME, &options.parameters);
        let commands = open(folder, &folder.commands(), &identity, after)?;
        let stored = match open(folder, &folder.events(), &identity.clone_as(StreamKind::Events), after) {
            Ok(reader) => Some(reader),
            Err(JournalError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let mut marks = Marks::read(folder)?;
        marks.pass(after);
        let buffer = EventBuffer::with_capacity(BATCH_BYTES + machine.max_event_bytes());
        let stored = stored.filter(|_| options.compare_events);
        let mut report = ReplayReport::default();
        if options.compare_events && stored.is_none() {
            report.events_missing_from = Some(after + 1);
        }
        Ok(Self {
            machine,
            first_sequence: after,
            commands: ReadAhead::new(commands),
            stored: stored.map(|reader| Compare::new(ReadAhead::new(reader))),
            marks,
            buffer,
            report,
        })
    }

    fn play(
        mut self,
        folder: &DataFolder,
        options: &ReplayOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<ReplayReport, JournalError> {
        let mut cut_short = false;
        while let Some(command) = self.commands.next()? {
            let header = *command.header();
            if header.sequence > options.up_to || header.timestamp_ns > options.until_ns {
                cut_short = true;
                break;
            }
            step(self.machine, command, &mut self.buffer);
            self.report.commands += 1;
            self.report.last_sequence = header.sequence;
            self.report.last_timestamp_ns = header.timestamp_ns;
            let full = self.buffer.bytes().len() >= BATCH_BYTES;
            if !self.check_mark(header.sequence)? || full && !self.compare()? {
                break;
            }
            if header.sequence.is_multiple_of(PROGRESS_COMMANDS) {
                progress(Progress {
                    stage: Stage::Commands,
                    first_sequence: self.first_sequence,
                    sequence: header.sequence,
                    last_sequence: options.up_to,
                });
            }
        }
        if self.compare()? && self.report.is_good() && !cut_short {
            self.commands.check_end(self.marks.last_sequence())?;
            self.marks.check_end(folder, self.report.last_sequence)?;
        }
        self.report.marks_checked = self.marks.checked;
        self.report.state_hash = self.machine.state_hash();
        Ok(self.report)
    }

    /// False where the state is not the one that was marked; a difference in the events before it counts for more.
    fn check_mark(&mut self, sequence: u64) -> Result<bool, JournalError> {
        match self.marks.check(sequence, || self.machine.state_hash()) {
            Err(JournalError::StateHash { sequence, expected, found }) => {
                let mark = Mark { sequence, state_hash: expected, chain: None };
                if self.compare()? {
                    self.report.mark_difference = Some((mark, found));
                }
                Ok(false)
            }
            other => other.map(|()| true),
        }
    }

    /// Compares the events at hand with those stored, and forgets them; false at the first difference.
    fn compare(&mut self) -> Result<bool, JournalError> {
        let Self { stored, report, buffer, first_sequence, .. } = self;
        let computed = buffer.bytes();
        report.event_bytes += computed.len() as u64;
        report.events += records(computed).count() as u64;
        if let Some(compare) = stored {
            match compare.batch(computed)? {
                Compared::Equal => {}
                Compared::Different(difference) => {
                    (report.commands, report.last_sequence) =
                        (difference.sequence - *first_sequence, difference.sequence);
                    report.difference = Some(*difference);
                }
                Compared::EndsBefore(sequence) => report.events_missing_from = Some(sequence),
            }
            report.events_compared = compare.equal;
        }
        if report.events_missing_from.is_some() {
            *stored = None;
        }
        buffer.clear();
        Ok(report.difference.is_none())
    }
}

fn open(
    folder: &DataFolder,
    stream: &Path,
    identity: &StreamIdentity,
    after: u64,
) -> Result<StreamReader, JournalError> {
    let mut reader = StreamReader::open_with(stream, folder.storage())?;
    reader.require(identity)?;
    if after > 0 {
        reader.seek(after + 1)?;
    }
    Ok(reader)
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

    /// The last of their sequences; 0 if there are none.
    pub fn last_sequence(&self) -> u64 {
        self.marks.last().map_or(0, |mark| mark.sequence)
    }

    /// Refuses a commands stream that ends before one of them.
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
