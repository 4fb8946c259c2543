//! Records of one or both streams in the order of the journal: each command, then its events.

use std::path::Path;

use journal::StreamReader;
use machine::Record;
use serde_json::{Map, Value};

use super::args::{Filter, Stream};
use crate::describe;
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
    commands: Option<StreamReader>,
    events: Option<StreamReader>,
    /// The command whose events come next.
    awaited: Option<u64>,
    /// Whether to wait for events that are not there. Without, what a crash has kept from them is passed over.
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
            let mut reader = StreamReader::open(&dir.join(stream)).map_err(Failure::system)?;
            reader.seek(from).map_err(Failure::system)?;
            Ok::<_, Failure>(Some(reader))
        };
        let commands = open(journal::COMMANDS_FOLDER, filter.stream != Stream::Events)?;
        let events = open(journal::EVENTS_FOLDER, filter.stream != Stream::Commands)?;
        Ok(Self { commands, events, awaited: None, follow, to: filter.to })
    }

    /// Gives the next record to `take`, if there is one.
    ///
    /// # Errors
    /// Damage, or what the system says.
    pub fn step(&mut self, take: &mut dyn FnMut(Record<'_>)) -> Result<Step, Failure> {
        if self.awaited.is_some() || self.commands.is_none() {
            match self.event(take)? {
                Step::NotYet if !self.follow => self.awaited = None,
                step => return Ok(step),
            }
        }
        let Some(commands) = &mut self.commands else { return Ok(Step::NotYet) };
        let Some(record) = commands.next().map_err(Failure::system)? else { return Ok(Step::NotYet) };
        let sequence = record.header().sequence;
        if sequence > self.to {
            return Ok(Step::End);
        }
        take(record);
        self.awaited = Some(sequence).filter(|_| self.events.is_some());
        Ok(Step::Record)
    }

    fn event(&mut self, take: &mut dyn FnMut(Record<'_>)) -> Result<Step, Failure> {
        let Some(events) = &mut self.events else { return Ok(Step::NotYet) };
        let Some(record) = events.next().map_err(Failure::system)? else { return Ok(Step::NotYet) };
        if record.header().sequence > self.to {
            return Ok(Step::End);
        }
        if record.is_last_event() {
            self.awaited = None;
        }
        take(record);
        Ok(Step::Record)
    }

    /// Gives every record that is there to `take`, until it fails.
    ///
    /// # Errors
    /// Damage, what the system says, or what `take` says.
    pub fn all(&mut self, take: &mut dyn FnMut(Record<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut outcome = Ok(());
        while self.step(&mut |record| outcome = take(record))? == Step::Record {
            std::mem::replace(&mut outcome, Ok(()))?;
        }
        Ok(())
    }
}

impl Filter {
    /// The record as JSON, if it is wanted.
    pub fn select(&self, record: Record<'_>) -> Option<Map<String, Value>> {
        let header = record.header();
        if !self.kind.is_empty() && !self.kind.contains(&describe::kind_name(header.kind)) {
            return None;
        }
        let map = describe::to_json(record);
        let holds = |(field, wanted): &(String, String)| match map.get(field) {
            Some(Value::String(text)) => text == wanted,
            Some(other) => {
                let text = other.to_string();
                text == *wanted
            }
            None => false,
        };
        self.field.iter().all(holds).then_some(map)
    }
}
