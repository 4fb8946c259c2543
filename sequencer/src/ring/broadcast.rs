//! One writer, many readers.
//!
//! A gated reader holds the writer back: it loses nothing, and may read in place. A free reader holds nobody back;
//! when the writer has come round, it is told how much it has missed. The writer announces (`intent`) what it is
//! about to overwrite before it does, so that a free reader can tell afterwards whether its copy is whole.

use std::path::Path;

use machine::{HEADER_LENGTH, Record, RecordHeader, stride};
use zerocopy::IntoBytes;

use super::frames::{Frame, Frames, scratch};
use super::sync::{Ordering, fence};
use super::{MAX_GATED_READERS, Place, PushError, RingError, WORD, WORD_TAIL, line};

/// "RIALBCST" as it stands in memory.
const MAGIC: u64 = u64::from_le_bytes(*b"RIALBCST");

/// In the line of a reader that does not exist.
const NO_READER: u64 = u64::MAX;

const WORD_INTENT: usize = line(2);

/// The word that reader `slot` releases its position in.
const fn reader_word(slot: usize) -> usize {
    line(3 + slot)
}

/// The writing end.
pub struct Writer {
    frames: Frames,
    /// Where the next frame goes.
    tail: u64,
    /// Readers may see up to here.
    published: u64,
    /// Frames may be written up to here without looking at the readers again.
    limit: u64,
    /// Frames may have been written up to here, batches that were given up included. Never decreases.
    intent: u64,
}

impl Writer {
    /// Makes a ring of `capacity` bytes (a power of two), without readers.
    ///
    /// # Errors
    /// [`RingError::BadCapacity`], or [`RingError::Io`] when the memory cannot be had.
    pub fn create(place: &Place, capacity: usize) -> Result<Self, RingError> {
        let frames = Frames::create(place, MAGIC, capacity)?;
        for slot in 0..MAX_GATED_READERS {
            frames.header_word(reader_word(slot)).store(NO_READER, Ordering::Relaxed);
        }
        Ok(Self { limit: frames.capacity(), frames, tail: 0, published: 0, intent: 0 })
    }

    /// Adds a reader that starts with the next record and holds the writer back from now on. Dropping it frees its
    /// place.
    ///
    /// Only the writer can add one: a reader that entered by itself could not know whether the writer had already
    /// decided to overwrite what it was about to read.
    ///
    /// # Errors
    /// [`RingError::TooManyReaders`].
    pub fn gated_reader(&mut self) -> Result<GatedReader, RingError> {
        for slot in 0..MAX_GATED_READERS {
            let word = self.frames.header_word(reader_word(slot));
            if word.load(Ordering::Acquire) == NO_READER {
                word.store(self.published, Ordering::Release);
                self.limit = self.limit.min(self.published + self.frames.capacity());
                let frames = self.frames.clone();
                return Ok(GatedReader { frames, slot, position: self.published, tail: self.published });
            }
        }
        Err(RingError::TooManyReaders)
    }

    /// A reader that starts with the next record and can be lapped.
    #[must_use]
    pub fn free_reader(&self) -> FreeReader {
        FreeReader::over(self.frames.clone())
    }

    /// Longest record that the ring takes, header included.
    #[must_use]
    pub fn max_record_length(&self) -> usize {
        self.frames.max_record_length()
    }

    /// Writes one record; readers see it after [`Writer::publish`]. `header.length` is set from the body.
    ///
    /// # Errors
    /// [`PushError::Full`] when the slowest gated reader is a whole ring behind, [`PushError::TooLong`].
    #[inline]
    pub fn try_push(&mut self, header: &RecordHeader, body: &[u8]) -> Result<(), PushError> {
        let start = self.make_room(HEADER_LENGTH + body.len())?;
        self.frames.write(start, header, body);
        self.tail = start + stride(HEADER_LENGTH + body.len()) as u64;
        Ok(())
    }

    /// Copies as many of `records`, padded records back to back, as there is room for; readers see them after
    /// [`Writer::publish`]. Returns the bytes copied, a whole number of records; 0 when the ring is full.
    ///
    /// # Errors
    /// [`PushError::TooLong`] when the first record can never fit, [`RingError::Corrupt`] when `records` does not
    /// hold records or a reader's position makes no sense.
    #[inline]
    pub fn push_records(&mut self, records: &[u8]) -> Result<usize, PushError> {
        let mut copied = 0;
        while copied < records.len() {
            let rest = &records[copied..];
            let record = Record::parse(rest).map_err(|_| RingError::Corrupt {
                position: self.tail,
                what: "bytes to be pushed are not records",
            })?;
            let length = record.header().length as usize;
            let start = match self.make_room(length) {
                Ok(start) => start,
                Err(PushError::TooLong { .. }) if copied > 0 => break,
                Err(PushError::Full) => break,
                Err(error) => return Err(error),
            };
            let padded = stride(length);
            if rest.len() < padded {
                return Err(
                    RingError::Corrupt { position: self.tail, what: "last record is not padded" }.into()
                );
            }
            self.frames.write_bytes(start, &rest[..padded]);
            self.tail = start + padded as u64;
            copied += padded;
        }
        Ok(copied)
    }

    /// Copies all of `records` or none of them; readers see them after [`Writer::publish`].
    ///
    /// # Errors
    /// As for [`Writer::push_records`], and [`PushError::Full`].
    pub fn push_all(&mut self, records: &[u8]) -> Result<(), PushError> {
        let start = self.tail;
        match self.push_records(records) {
            Ok(copied) if copied == records.len() => Ok(()),
            result => {
                self.tail = start;
                Err(result.err().unwrap_or(PushError::Full))
            }
        }
    }

    /// Lets the readers see all that has been pushed.
    #[inline]
    pub fn publish(&mut self) {
        if self.published != self.tail {
            self.published = self.tail;
            self.frames.header_word(WORD_TAIL).store(self.tail, Ordering::Release);
        }
    }

    /// Something that sees how far the gated readers are, for another thread.
    #[must_use]
    pub fn watch(&self) -> ReaderWatch {
        ReaderWatch { frames: self.frames.clone() }
    }

    /// Finds room for a record of `length`, pads, announces the overwrite, and returns where the record goes.
    #[inline]
    fn make_room(&mut self, length: usize) -> Result<u64, PushError> {
        if length > self.frames.max_record_length() {
            return Err(PushError::TooLong { length, max: self.frames.max_record_length() });
        }
        let end = self.tail + self.frames.needed(self.tail, length);
        if end > self.limit {
            self.limit = self.slowest_reader()? + self.frames.capacity();
            if end > self.limit {
                return Err(PushError::Full);
            }
        }
        self.intent = self.intent.max(end);
        self.frames.header_word(WORD_INTENT).store(self.intent, Ordering::Relaxed);
        // Nothing below may become visible before the intent does; pairs with the fence in `FreeReader`.
        fence(Ordering::Release);
        Ok(self.frames.pad(self.tail, length))
    }

    /// Position of the slowest gated reader; the published tail if there is none.
    fn slowest_reader(&self) -> Result<u64, RingError> {
        let mut slowest = self.published;
        for slot in 0..MAX_GATED_READERS {
            let position = self.frames.header_word(reader_word(slot)).load(Ordering::Acquire);
            if position == NO_READER {
                continue;
            }
            if position > self.published || self.published - position > self.frames.capacity() {
                return Err(RingError::Corrupt { position, what: "a reader is outside the ring" });
            }
            slowest = slowest.min(position);
        }
        Ok(slowest)
    }
}

/// Sees from outside how far a ring's gated readers are.
pub struct ReaderWatch {
    frames: Frames,
}

impl ReaderWatch {
    /// Whether every gated reader has released all that was published. A dropped reader has.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let tail = self.frames.header_word(WORD_TAIL).load(Ordering::Acquire);
        (0..MAX_GATED_READERS).all(|slot| {
            let position = self.frames.header_word(reader_word(slot)).load(Ordering::Acquire);
            position == NO_READER || position >= tail
        })
    }
}

/// A reader that the writer waits for.
pub struct GatedReader {
    frames: Frames,
    slot: usize,
    /// Released up to here.
    position: u64,
    /// The writer's position when last looked at.
    tail: u64,
}

impl GatedReader {
    /// Gives up to `limit` records to `take`, in order and in place, until it returns `false`; the record that it
    /// refused stays. All that were taken are released together at the end. Returns how many were taken.
    ///
    /// # Errors
    /// [`RingError::Corrupt`].
    #[inline]
    pub fn poll_while(
        &mut self,
        limit: usize,
        mut take: impl FnMut(Record<'_>) -> bool,
    ) -> Result<usize, RingError> {
        let mut position = self.position;
        let mut taken = 0;
        let mut result = Ok(());
        while taken < limit {
            let length = match self.next_record(&mut position) {
                Ok(Some(length)) => length,
                Ok(None) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            };
            // SAFETY: the record lies below the acquired tail, and the writer waits for the position in our slot,
            // which is not moved past the record before the borrow has ended.
            let words = unsafe { self.frames.borrow(position, stride(length)) };
            let Ok(record) = Record::parse(words.as_bytes()) else {
                result = Err(RingError::Corrupt { position, what: "record cannot be parsed" });
                break;
            };
            if !take(record) {
                break;
            }
            position += stride(length) as u64;
            taken += 1;
        }
        self.release(position);
        result.map(|()| taken)
    }

    /// Gives up to `limit` records to `take`, in order and in place. Returns how many there were.
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

    /// The next records in place, whole and back to back, at most `max_bytes` of them (but at least one if there is
    /// any) and while `wanted` says so. They stay until [`GatedReader::advance`].
    ///
    /// # Errors
    /// [`RingError::Corrupt`].
    #[cfg(not(loom))]
    pub fn peek_while(
        &mut self,
        max_bytes: usize,
        mut wanted: impl FnMut(&RecordHeader) -> bool,
    ) -> Result<&[u8], RingError> {
        use zerocopy::FromBytes;

        let mut start = self.position;
        if self.next_record(&mut start)?.is_none() {
            return Ok(&[]);
        }
        self.release(start);
        let (mut end, span_end) = (start, start + self.frames.contiguous(start));
        while end < span_end {
            let mut position = end;
            let Some(length) = self.next_record(&mut position)? else { break };
            let next = position + stride(length) as u64;
            if position != end || (end > start && next - start > max_bytes as u64) {
                break;
            }
            // SAFETY: as in `poll_while`.
            let header = unsafe { self.frames.borrow(position, HEADER_LENGTH) };
            if !RecordHeader::ref_from_bytes(header.as_bytes()).is_ok_and(&mut wanted) {
                break;
            }
            end = next;
        }
        // SAFETY: as in `poll_while`: `advance` takes `&mut self`, so the slot does not move while this is borrowed.
        let words = unsafe { self.frames.borrow(start, (end - start) as usize) };
        Ok(words.as_bytes())
    }

    /// Releases `bytes` of what [`GatedReader::peek_while`] returned: a whole number of records.
    ///
    /// # Panics
    /// If it is more than was published.
    pub fn advance(&mut self, bytes: usize) {
        assert!(bytes.is_multiple_of(WORD), "records are released whole");
        assert!(bytes as u64 <= self.tail - self.position, "only what was published can be released");
        self.release(self.position + bytes as u64);
    }

    /// Whether all that has been published has been released.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.frames.header_word(WORD_TAIL).load(Ordering::Acquire) == self.position
    }

    /// Moves `position` past padding to the next record, and returns its length; `None` if there is none yet.
    #[inline]
    fn next_record(&mut self, position: &mut u64) -> Result<Option<usize>, RingError> {
        loop {
            if *position == self.tail {
                let tail = self.frames.header_word(WORD_TAIL).load(Ordering::Acquire);
                let span = tail.wrapping_sub(self.position);
                if span > self.frames.capacity() || tail < *position || !tail.is_multiple_of(WORD as u64) {
                    return Err(RingError::Corrupt { position: *position, what: "tail is outside the ring" });
                }
                self.tail = tail;
                if *position == tail {
                    return Ok(None);
                }
            }
            match self.frames.frame_at(*position, self.tail - *position)? {
                Frame::Padding(bytes) => *position += bytes,
                Frame::Record(length) => return Ok(Some(length)),
            }
        }
    }

    #[inline]
    fn release(&mut self, position: u64) {
        if position != self.position {
            self.position = position;
            self.frames.header_word(reader_word(self.slot)).store(position, Ordering::Release);
        }
    }
}

impl Drop for GatedReader {
    fn drop(&mut self) {
        self.frames.header_word(reader_word(self.slot)).store(NO_READER, Ordering::Release);
    }
}

/// Why a free reader got no record.
#[derive(Debug, thiserror::Error)]
pub enum FreeReadError {
    /// The writer has come round. The reader goes on with the newest record.
    #[error("reader was lapped and missed {missed_bytes} bytes")]
    Lapped {
        /// Bytes of frames between the last record that was read and the next one that can be.
        missed_bytes: u64,
    },
    /// See [`RingError::Corrupt`].
    #[error(transparent)]
    Ring(#[from] RingError),
}

/// A reader that the writer does not wait for.
pub struct FreeReader {
    frames: Frames,
    position: u64,
    scratch: Box<[u64]>,
}

impl FreeReader {
    /// Reads the ring in a file, which another process may be writing, from the next record on.
    ///
    /// # Errors
    /// [`RingError::NotARing`], [`RingError::Io`].
    pub fn attach(path: &Path) -> Result<Self, RingError> {
        Ok(Self::over(Frames::attach(path, MAGIC)?))
    }

    fn over(frames: Frames) -> Self {
        let position = frames.header_word(WORD_TAIL).load(Ordering::Acquire);
        let scratch = scratch(&frames);
        Self { frames, position, scratch }
    }

    /// Gives up to `limit` records, each copied out of the ring first, to `take`. Returns how many there were.
    ///
    /// # Errors
    /// [`FreeReadError::Lapped`]: call again to go on. [`FreeReadError::Ring`] when the ring is corrupt.
    #[inline]
    pub fn poll(&mut self, limit: usize, mut take: impl FnMut(Record<'_>)) -> Result<usize, FreeReadError> {
        let mut taken = 0;
        while taken < limit {
            let tail = self.frames.header_word(WORD_TAIL).load(Ordering::Acquire);
            if self.position == tail {
                break;
            }
            if self.is_overwritten() {
                return Err(self.lapped());
            }
            let available = tail.wrapping_sub(self.position).min(self.frames.capacity());
            let frame = self.frames.frame_at(self.position, available);
            // Before anything is made of what was read: it may be half of an old and half of a new record.
            if self.is_overwritten() {
                return Err(self.lapped());
            }
            match frame? {
                Frame::Padding(bytes) => self.position += bytes,
                Frame::Record(length) => {
                    self.frames.copy_out(self.position, length, &mut self.scratch);
                    if self.is_overwritten() {
                        return Err(self.lapped());
                    }
                    let bytes = &self.scratch.as_bytes()[..stride(length)];
                    let record = Record::parse(bytes).map_err(|_| RingError::Corrupt {
                        position: self.position,
                        what: "record cannot be parsed",
                    })?;
                    take(record);
                    self.position += stride(length) as u64;
                    taken += 1;
                }
            }
        }
        Ok(taken)
    }

    /// Whether all that has been published has been read or missed.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.frames.header_word(WORD_TAIL).load(Ordering::Acquire) == self.position
    }

    /// Whether the writer may have begun to overwrite what was read at our position.
    #[inline]
    fn is_overwritten(&self) -> bool {
        // If a load above saw a word of a later record, the intent for it is visible below: pairs with the fence in
        // `Writer::make_room`.
        fence(Ordering::Acquire);
        let intent = self.frames.header_word(WORD_INTENT).load(Ordering::Relaxed);
        intent.wrapping_sub(self.position) > self.frames.capacity()
    }

    fn lapped(&mut self) -> FreeReadError {
        let tail = self.frames.header_word(WORD_TAIL).load(Ordering::Acquire);
        let missed_bytes = tail.wrapping_sub(self.position);
        self.position = tail;
        FreeReadError::Lapped { missed_bytes }
    }
}
