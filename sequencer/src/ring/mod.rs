//! Ring buffers over mapped memory. One producer each; records go in whole and come out whole.
//!
//! Two kinds share the same frames ([`frames`](self) below):
//!
//! - [`spsc`]: one producer, one consumer, possibly in two processes. The consumer copies each record out before it
//!   looks at it, so that a producer that misbehaves can at worst hand over wrong bytes.
//! - [`broadcast`]: one writer, many readers. A *gated* reader holds the writer back and reads in place; a *free*
//!   reader never does, can be lapped, and is told so.
//!
//! # Memory layout
//!
//! All integers are little-endian `u64`. A *line* is 128 bytes: two cache lines, because the adjacent-line
//! prefetcher of current x86 fetches them in pairs.
//!
//! ```text
//! line        spsc                                broadcast
//!  0          magic, version, capacity            magic, version, capacity
//!  1          tail: published by the producer     tail: published by the writer
//!  2          head: released by the consumer      intent: the writer may overwrite up to here
//!  3          producer pid, start time, epoch     reader 0: released by it, or NO_READER
//!  4..18      unused                              readers 1 to 15
//!  32..       data, `capacity` bytes              data, `capacity` bytes
//! ```
//!
//! Positions (tail, head, intent) count bytes since the ring was made and never wrap; the place of a position in the
//! data is `position % capacity`. A frame is a record padded to 8 bytes. A frame never crosses the end of the data: a
//! *padding frame* (one word: its length with bit 31 set) fills what is left, and the record starts at the front.
//!
//! A record exists when `tail` passes it, and only then: a producer that dies while it writes leaves nothing behind,
//! and its successor overwrites what it had begun.

pub mod broadcast;
mod frames;
#[cfg(all(test, loom))]
mod loom_tests;
mod memory;
pub mod spsc;
mod sync;

use std::path::PathBuf;

use machine::MAX_RECORD_LENGTH;

/// Version of the memory layout; an attached ring must have the same.
pub const LAYOUT_VERSION: u64 = 1;

/// Most gated readers that a broadcast ring can have: one line each in the header page.
pub const MAX_GATED_READERS: usize = if cfg!(loom) { 2 } else { 16 };

/// Words in a line.
const LINE_WORDS: usize = 16;
/// Words before the data: one page, so that the data starts on a page boundary.
const HEADER_WORDS: usize = if cfg!(loom) { line(3 + MAX_GATED_READERS) } else { 512 };
/// Bytes in a word.
const WORD: usize = size_of::<u64>();

const WORD_MAGIC: usize = 0;
const WORD_VERSION: usize = 1;
const WORD_CAPACITY: usize = 2;
const WORD_TAIL: usize = line(1);

const _: () = assert!(line(3 + MAX_GATED_READERS) <= HEADER_WORDS);

/// First word of a line. Under loom there is no cache to share: lines 1 and above are one word each, behind the
/// three words of line 0, so that there are fewer atomics to model.
const fn line(index: usize) -> usize {
    if cfg!(loom) { 2 + index } else { index * LINE_WORDS }
}

/// Where a ring lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In memory of this process only, on huge pages where the system gives them.
    Anonymous,
    /// In a file that other processes can map, best in `/dev/shm`. An existing file is replaced.
    File(PathBuf),
}

/// What is wrong with a ring.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The memory could not be made or mapped.
    #[error("ring {place}: {source}")]
    Io {
        /// File, or "anonymous memory".
        place: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The capacity is not a power of two, or too small to hold one record in each half.
    #[error("ring capacity of {0} bytes must be a power of two and at least {MIN_CAPACITY}")]
    BadCapacity(usize),
    /// The file is not a ring of this kind and version.
    #[error("{path} is not a ring that this version can attach to: {detail}")]
    NotARing {
        /// The file.
        path: String,
        /// What did not match.
        detail: String,
    },
    /// The contents cannot have been written by this code: another process has scribbled over them.
    #[error("ring is corrupt at position {position}: {what}; stop its users and remove the ring file")]
    Corrupt {
        /// Where, in bytes since the ring was made.
        position: u64,
        /// What did not hold.
        what: &'static str,
    },
    /// A ring has one producer, and it is alive.
    #[error("ring already has a producer, process {pid}")]
    ProducerAlive {
        /// Its process id.
        pid: u64,
    },
    /// All places for gated readers are taken.
    #[error("ring already has {MAX_GATED_READERS} gated readers")]
    TooManyReaders,
}

/// Why a record was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The reader (or the slowest gated one) is a whole ring behind. Try again later.
    #[error("ring is full")]
    Full,
    /// The record is longer than a record may be, or than half the ring.
    #[error("record of {length} bytes is longer than {max}")]
    TooLong {
        /// Bytes, header included.
        length: usize,
        /// Most that this ring takes.
        max: usize,
    },
    /// See [`RingError::Corrupt`].
    #[error(transparent)]
    Ring(#[from] RingError),
}

/// Smallest capacity: a record of [`machine::HEADER_LENGTH`] in each half.
pub const MIN_CAPACITY: usize = 2 * machine::HEADER_LENGTH;

/// Checks a capacity.
fn check_capacity(capacity: usize) -> Result<(), RingError> {
    if capacity.is_power_of_two() && capacity >= MIN_CAPACITY {
        Ok(())
    } else {
        Err(RingError::BadCapacity(capacity))
    }
}

/// Longest record that always fits a ring of `capacity`: with half the ring, the record and the padding before it can
/// never need more than the whole.
#[must_use]
pub const fn max_record_length(capacity: usize) -> usize {
    if capacity / 2 < MAX_RECORD_LENGTH { capacity / 2 } else { MAX_RECORD_LENGTH }
}
