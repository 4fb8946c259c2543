//! The gate: what is not as safe as promised does not leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use machine::Record;

use crate::ring::RingError;
use crate::ring::broadcast::GatedReader;

/// Alone on its cache lines, because one thread writes it and all gateways read it.
#[repr(align(128))]
#[derive(Debug)]
struct Line(AtomicU64);

/// A sequence that one thread raises and others read: here, the last command that is as safe as promised.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Line>);

impl Gate {
    /// Open up to `sequence`.
    #[must_use]
    pub fn new(sequence: u64) -> Self {
        Self(Arc::new(Line(AtomicU64::new(sequence))))
    }

    /// The last sequence that may leave.
    #[inline]
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.0.0.load(Ordering::Acquire)
    }

    /// Opens the gate up to `sequence`. Only the log's agent may.
    #[inline]
    pub(crate) fn publish(&self, sequence: u64) {
        debug_assert!(sequence >= self.committed(), "what is committed stays committed");
        self.0.0.store(sequence, Ordering::Release);
    }
}

/// Reads events, and only those whose command is committed. The engine waits for it: a reader that is not polled
/// stops the pipeline once the event ring is full. Dropping it frees its place.
pub struct EventReader {
    reader: GatedReader,
    gate: Gate,
}

impl EventReader {
    pub(crate) fn new(reader: GatedReader, gate: Gate) -> Self {
        Self { reader, gate }
    }

    /// Gives up to `limit` committed events to `take`, in order and in place. Returns how many there were.
    ///
    /// # Errors
    /// [`RingError::Corrupt`].
    #[inline]
    pub fn poll(&mut self, limit: usize, mut take: impl FnMut(Record<'_>)) -> Result<usize, RingError> {
        self.poll_while(limit, |record| {
            take(record);
            true
        })
    }

    /// Like [`EventReader::poll`], until `take` returns `false`; the event that it refused stays.
    ///
    /// # Errors
    /// [`RingError::Corrupt`].
    #[inline]
    pub fn poll_while(
        &mut self,
        limit: usize,
        mut take: impl FnMut(Record<'_>) -> bool,
    ) -> Result<usize, RingError> {
        let committed = self.gate.committed();
        self.reader.poll_while(limit, |record| record.header().sequence <= committed && take(record))
    }

    /// The last committed sequence.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.gate.committed()
    }

    /// The ring's reader, for those that take whole batches.
    pub(crate) fn reader(&mut self) -> &mut GatedReader {
        &mut self.reader
    }

    /// Whether all that the engine has published has been taken.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.reader.is_drained()
    }
}
