//! Records of one or both streams in the order of the journal: each command, then its events.

use std::path::{Path, PathBuf};

use journal::{DataFolder, JournalError, StreamReader, TornTail};
use machine::Record;

use super::args::{Filter, Stream};
use crate::output::Failure;

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A record was given.
    Record,
    /// There is none now; the writer may write more.
    NotYet,
    /// The last wanted sequence has been passed.
    End,
}

/// Reads a data folder from a sequence on.
pub struct Walker {
    dir: PathBuf,
    commands: Option<StreamReader>,
    events: Option<StreamReader>,
    /// The command whose events come next.
    awaited: Option<u64>,
    /// The first command whose events are not there. They follow the commands at a distance, and a crash may have kept some
    /// from them; the next start computes them.
    events_missing_from: Option<u64>,
    /// Whether to wait for events that are not there.
    follow: bool,
    to: u64,
}

impl Walker {
    /// Opens what the filter wants, at its first sequence.
    ///
    /// # Errors
    /// No journal, or one that cannot be read.
    pub fn open(dir: &Path, filter: &Filter, from: u64, follow: bool) -> Result<Self, Failure> {
        let open = |stream: &str, wanted: bool| {
            if !wanted {
                return Ok(None);
            }
            let mut reader = StreamReader::open_mapped(&dir.join(stream)).map_err(Failure::system)?;
            reader.seek(from).map_err(Failure::system)?;
            Ok::<_, Failure>(Some(reader))
        };
        let commands = open(journal::COMMANDS_FOLDER, filter.stream != Stream::Events)?;
        let events = open(journal::EVENTS_FOLDER, filter.stream != Stream::Commands)?;
        let dir = dir.to_path_buf();
        Ok(Self { dir, commands, events, awaited: None, events_missing_from: None, follow, to: filter.to })
    }

    /// Gives the next record to `take`, if there is one.
    ///
    /// # Errors
    /// Damage, or what the system says.
    pub fn step(&mut self, take: &mut dyn FnMut(Record<'_>)) -> Result<Step, Failure> {
        if self.awaited.is_some() || self.commands.is_none() {
            match self.event(take)? {
                Step::NotYet if !self.follow && self.commands.is_some() => {
                    self.events_missing_from = self.awaited.take();
                    // What comes later would stand behind the wrong command.
                    if let Some(mut events) = self.events.take() {
                        tell_torn(events.end().map_err(Failure::system)?);
                    }
                }
                Step::End => self.awaited = None,
                step => return Ok(step),
            }
        }
        let Some(commands) = &mut self.commands else { return Ok(Step::End) };
        let Some(record) = commands.next().map_err(Failure::system)? else { return Ok(Step::NotYet) };
        let sequence = record.header().sequence;
        if sequence > self.to {
            return Ok(Step::End);
        }
        take(record);
        self.awaited = Some(sequence).filter(|_| self.events.is_some());
        Ok(Step::Record)
    }

    /// Gives the next event; [`Step::End`] where there is none of the command that is awaited, or of any that is wanted.
    fn event(&mut self, take: &mut dyn FnMut(Record<'_>)) -> Result<Step, Failure> {
        let Some(events) = &mut self.events else { return Ok(Step::End) };
        let Some(next) = events.peek().map_err(Failure::system)? else { return Ok(Step::NotYet) };
        let (sequence, is_last) = (next.header().sequence, next.is_last_event());
        if sequence > self.awaited.unwrap_or(self.to) {
            return Ok(Step::End);
        }
        if let Some(event) = events.next().map_err(Failure::system)? {
            take(event);
        }
        if is_last {
            self.awaited = None;
        }
        Ok(Step::Record)
    }

    /// Gives every record that is there to `take`, until it fails. Says where the events ended before the commands.
    ///
    /// # Errors
    /// Damage, what the system says, or what `take` says.
    pub fn all(
        &mut self,
        take: &mut dyn FnMut(Record<'_>) -> Result<(), Failure>,
    ) -> Result<Option<u64>, Failure> {
        let mut outcome = Ok(());
        loop {
            match self.step(&mut |record| outcome = take(record))? {
                Step::Record => std::mem::replace(&mut outcome, Ok(()))?,
                Step::End => return Ok(self.events_missing_from),
                Step::NotYet => {
                    self.check_end()?;
                    return Ok(self.events_missing_from);
                }
            }
        }
    }

    /// Whether the streams end where they ended, or have become unreadable there. Says on standard error what is torn.
    ///
    /// # Errors
    /// Damage, with file and offset; or what the system says.
    pub fn check_end(&mut self) -> Result<(), Failure> {
        if let Some(commands) = &mut self.commands {
            // A shutdown in order had synced what its mark speaks of.
            let marks =
                DataFolder::inspect(&self.dir).and_then(|data| data.marks()).map_err(Failure::system)?;
            let marked = marks.iter().map(|mark| mark.sequence).max().unwrap_or(0);
            let torn = commands.end_knowing(marked).map_err(Failure::system)?;
            if marked > commands.last_sequence() {
                return Err(Failure::system(JournalError::MarkBeyondEnd {
                    folder: self.dir.join(journal::COMMANDS_FOLDER),
                    last_sequence: commands.last_sequence(),
                    mark_sequence: marked,
                }));
            }
            tell_torn(torn);
        }
        if let Some(events) = &mut self.events {
            tell_torn(events.end().map_err(Failure::system)?);
        }
        Ok(())
    }

    /// The first command whose events are not there.
    pub fn events_missing_from(&self) -> Option<u64> {
        self.events_missing_from
    }
}

/// Says on standard error what lies behind the end of a stream.
fn tell_torn(torn: Option<TornTail>) {
    if let Some(torn) = torn {
        eprintln!(
            "note: {} bytes at offset {} of {} do not check, from sequence {} on: a torn tail, or a write that is under way; \
             `rialto journal verify` tells more",
            torn.bytes,
            torn.offset,
            torn.file.display(),
            torn.sequence
        );
    }
}

/// Says on standard error that events are missing, and what becomes of them.
pub fn tell_missing(events_missing_from: Option<u64>) {
    if let Some(sequence) = events_missing_from {
        eprintln!(
            "note: the events from sequence {sequence} on are not stored yet: a running exchange writes them a moment later, \
             one that was killed at its next start"
        );
    }
}
