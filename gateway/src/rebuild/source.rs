//! Where events are read again.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use journal::StreamReader;
use machine::Record;
use zerocopy::IntoBytes as _;

use super::RebuildError;

/// A place to read events from, again and again.
pub trait EventSource: Send {
    /// Begins at the first event of this sequence.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    fn open(&self, sequence: u64) -> Result<Box<dyn EventCursor>, RebuildError>;
}

/// Reads events in order.
pub trait EventCursor: Send {
    /// The next event, or `None` when there is none yet.
    ///
    /// # Errors
    /// When it cannot be read.
    fn next(&mut self) -> Result<Option<Record<'_>>, RebuildError>;
}

/// The events stream of a data folder.
pub struct JournalEvents {
    folder: PathBuf,
}

impl JournalEvents {
    /// Reads the stream in this folder, beside its writer. It need not be there yet.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }
}

impl EventSource for JournalEvents {
    fn open(&self, sequence: u64) -> Result<Box<dyn EventCursor>, RebuildError> {
        let mut reader = StreamReader::open(&self.folder).map_err(RebuildError::new)?;
        if reader.first_sequence() > sequence {
            let first = reader.first_sequence();
            return Err(RebuildError::new(format_args!("the event journal begins at sequence {first}")));
        }
        reader.seek(sequence).map_err(RebuildError::new)?;
        Ok(Box::new(JournalCursor(reader)))
    }
}

struct JournalCursor(StreamReader);

impl EventCursor for JournalCursor {
    fn next(&mut self) -> Result<Option<Record<'_>>, RebuildError> {
        self.0.next().map_err(RebuildError::new)
    }
}

/// Events in memory, for a gateway whose events are not journaled: examples and tests.
#[derive(Clone, Default)]
pub struct MemoryEvents {
    records: Arc<Mutex<Vec<u64>>>,
}

impl MemoryEvents {
    /// No events.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds events: whole records, as in an `EventBuffer`.
    pub fn push(&self, records: &[u8]) {
        let mut all = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let start = all.len();
        all.resize(start + records.len().div_ceil(8), 0);
        all[start..].as_mut_bytes()[..records.len()].copy_from_slice(records);
    }
}

impl EventSource for MemoryEvents {
    fn open(&self, sequence: u64) -> Result<Box<dyn EventCursor>, RebuildError> {
        let mut cursor = MemoryCursor { events: self.clone(), at: 0, record: Vec::new() };
        loop {
            let before = cursor.at;
            if cursor.next()?.is_none_or(|record| record.header().sequence >= sequence) {
                cursor.at = before;
                return Ok(Box::new(cursor));
            }
        }
    }
}

struct MemoryCursor {
    events: MemoryEvents,
    /// Word of the next record.
    at: usize,
    record: Vec<u64>,
}

impl EventCursor for MemoryCursor {
    fn next(&mut self) -> Result<Option<Record<'_>>, RebuildError> {
        let all = self.events.records.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = &all[self.at..];
        if rest.is_empty() {
            return Ok(None);
        }
        let length = Record::parse(rest.as_bytes()).map_err(RebuildError::new)?.header().length as usize;
        let words = machine::stride(length) / 8;
        self.record.clear();
        self.record.extend_from_slice(&rest[..words]);
        drop(all);
        self.at += words;
        Record::parse(self.record.as_bytes()).map(Some).map_err(RebuildError::new)
    }
}
