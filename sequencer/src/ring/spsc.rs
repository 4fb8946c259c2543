//! One producer, one consumer, in one process or two.
//!
//! Each side caches the other's position and looks again only when the cache says full or empty, so that in steady
//! state a line moves between cores once per batch, not once per record.

use std::path::Path;

use machine::{HEADER_LENGTH, Record, RecordHeader};

use super::frames::{Frame, Frames, scratch};
use super::sync::Ordering;
use super::{Place, PushError, RingError, WORD, WORD_TAIL, line};
#[cfg(not(loom))]
use crate::process::ProcessIdentity;

/// "RIALSPSC" as it stands in memory.
const MAGIC: u64 = u64::from_le_bytes(*b"RIALSPSC");

const WORD_HEAD: usize = line(2);
const WORD_PRODUCER_PID: usize = line(3);
#[cfg(not(loom))]
const WORD_PRODUCER_START: usize = WORD_PRODUCER_PID + 1;
#[cfg(not(loom))]
const WORD_PRODUCER_EPOCH: usize = WORD_PRODUCER_PID + 2;

/// Makes a ring of `capacity` bytes (a power of two) and returns both ends. The producer belongs to this process.
///
/// # Errors
/// [`RingError::BadCapacity`], or [`RingError::Io`] when the memory cannot be had.
pub fn create(place: &Place, capacity: usize) -> Result<(Producer, Consumer), RingError> {
    let frames = Frames::create(place, MAGIC, capacity)?;
    let consumer = Consumer::over(frames.clone())?;
    Ok((Producer::over(frames)?, consumer))
}

/// Makes a ring of `capacity` bytes whose producer will attach from elsewhere.
///
/// # Errors
/// As for [`create`].
pub fn create_consumer(place: &Place, capacity: usize) -> Result<Consumer, RingError> {
    Consumer::over(Frames::create(place, MAGIC, capacity)?)
}

/// Bytes published and not yet released, if the two positions can be true.
fn span(frames: &Frames, head: u64, tail: u64) -> Result<u64, RingError> {
    let span = tail.wrapping_sub(head);
    if span > frames.capacity() {
        return Err(RingError::Corrupt { position: head, what: "head and tail are more than a ring apart" });
    }
    if !(head | tail).is_multiple_of(WORD as u64) {
        return Err(RingError::Corrupt { position: head, what: "head or tail is not a multiple of 8" });
    }
    Ok(span)
}

/// The writing end.
pub struct Producer {
    frames: Frames,
    /// Where the next frame goes; equals the published tail between calls.
    tail: u64,
    /// The consumer's position when last looked at.
    head: u64,
    epoch: u64,
}

impl Producer {
    /// Becomes the producer of the ring in a file, after the last one has detached or died. Continues where the
    /// last committed record ended.
    ///
    /// # Errors
    /// [`RingError::ProducerAlive`], [`RingError::NotARing`], [`RingError::Corrupt`], [`RingError::Io`].
    pub fn attach(path: &Path) -> Result<Self, RingError> {
        Self::over(Frames::attach(path, MAGIC)?)
    }

    fn over(frames: Frames) -> Result<Self, RingError> {
        let epoch = take_over(&frames)?;
        let tail = frames.header_word(WORD_TAIL).load(Ordering::Relaxed);
        let head = frames.header_word(WORD_HEAD).load(Ordering::Acquire);
        span(&frames, head, tail)?;
        Ok(Self { frames, tail, head, epoch })
    }

    /// How many producers this ring has had, this one included.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Longest record that the ring takes, header included.
    #[must_use]
    pub fn max_record_length(&self) -> usize {
        self.frames.max_record_length()
    }

    /// Writes one record and publishes it. `header.length` is set from the body; all else is taken as given.
    ///
    /// # Errors
    /// [`PushError::Full`] when the consumer is behind, [`PushError::TooLong`].
    #[inline]
    pub fn try_push(&mut self, header: &RecordHeader, body: &[u8]) -> Result<(), PushError> {
        let claim = self.try_claim(body.len())?;
        claim.commit(header, body);
        Ok(())
    }

    /// Reserves room for a record with a body of `body_length` bytes. Dropping the claim gives the room back; the
    /// consumer sees nothing before [`Claim::commit`].
    ///
    /// # Errors
    /// As for [`Producer::try_push`].
    #[inline]
    pub fn try_claim(&mut self, body_length: usize) -> Result<Claim<'_>, PushError> {
        let length = HEADER_LENGTH + body_length;
        if length > self.frames.max_record_length() {
            return Err(PushError::TooLong { length, max: self.frames.max_record_length() });
        }
        let end = self.tail + self.frames.needed(self.tail, length);
        if end - self.head > self.frames.capacity() {
            self.head = self.frames.header_word(WORD_HEAD).load(Ordering::Acquire);
            span(&self.frames, self.head, self.tail)?;
            if end - self.head > self.frames.capacity() {
                return Err(PushError::Full);
            }
        }
        let start = self.frames.pad(self.tail, length);
        Ok(Claim { producer: self, start, end, body_length })
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.frames.header_word(WORD_PRODUCER_PID).store(0, Ordering::Release);
    }
}

/// Enters this process as the producer, unless another one that lives has the place. Returns the epoch.
#[cfg(not(loom))]
fn take_over(frames: &Frames) -> Result<u64, RingError> {
    let place = frames.header_word(WORD_PRODUCER_PID);
    let pid = place.load(Ordering::Acquire);
    let start = frames.header_word(WORD_PRODUCER_START).load(Ordering::Relaxed);
    if pid != 0 && (ProcessIdentity { pid, start }).is_alive() {
        return Err(RingError::ProducerAlive { pid });
    }
    let own = ProcessIdentity::current();
    place
        .compare_exchange(pid, own.pid, Ordering::AcqRel, Ordering::Acquire)
        .map_err(|pid| RingError::ProducerAlive { pid })?;
    frames.header_word(WORD_PRODUCER_START).store(own.start, Ordering::Release);
    let epoch = frames.header_word(WORD_PRODUCER_EPOCH);
    let next = epoch.load(Ordering::Relaxed).wrapping_add(1);
    epoch.store(next, Ordering::Release);
    Ok(next)
}

#[cfg(loom)]
fn take_over(_frames: &Frames) -> Result<u64, RingError> {
    Ok(1)
}

/// Room for one record that is not published yet.
pub struct Claim<'a> {
    producer: &'a mut Producer,
    start: u64,
    end: u64,
    body_length: usize,
}

impl Claim<'_> {
    /// Writes the record without publishing it.
    ///
    /// # Panics
    /// If `body` is not as long as was claimed.
    #[inline]
    pub fn write(&mut self, header: &RecordHeader, body: &[u8]) {
        assert!(body.len() == self.body_length, "the body is as long as was claimed");
        self.producer.frames.write(self.start, header, body);
    }

    /// Writes the record and publishes it.
    ///
    /// # Panics
    /// If `body` is not as long as was claimed.
    #[inline]
    pub fn commit(mut self, header: &RecordHeader, body: &[u8]) {
        self.write(header, body);
        let Self { producer, end, .. } = self;
        producer.tail = end;
        producer.frames.header_word(WORD_TAIL).store(end, Ordering::Release);
    }
}

/// The reading end.
pub struct Consumer {
    frames: Frames,
    /// Released up to here.
    head: u64,
    /// The producer's position when last looked at.
    tail: u64,
    scratch: Box<[u64]>,
}

impl Consumer {
    /// Becomes the consumer of the ring in a file. The caller sees to it that there is only one.
    ///
    /// # Errors
    /// [`RingError::NotARing`], [`RingError::Corrupt`], [`RingError::Io`].
    pub fn attach(path: &Path) -> Result<Self, RingError> {
        Self::over(Frames::attach(path, MAGIC)?)
    }

    fn over(frames: Frames) -> Result<Self, RingError> {
        let head = frames.header_word(WORD_HEAD).load(Ordering::Relaxed);
        let tail = frames.header_word(WORD_TAIL).load(Ordering::Acquire);
        span(&frames, head, tail)?;
        let scratch = scratch(&frames);
        Ok(Self { frames, head, tail, scratch })
    }

    /// Gives up to `limit` records to `take`, in order, until it returns `false`; the record that it refused stays.
    /// Returns how many were taken.
    ///
    /// Each record is copied out of the ring first: what `take` sees does not change under it.
    ///
    /// # Errors
    /// [`RingError::Corrupt`]. The records before the damage have been given and are released.
    #[inline]
    pub fn poll_while(
        &mut self,
        limit: usize,
        mut take: impl FnMut(Record<'_>) -> bool,
    ) -> Result<usize, RingError> {
        let start = self.head;
        let result = self.poll_frames(limit, &mut take);
        if self.head != start {
            self.frames.header_word(WORD_HEAD).store(self.head, Ordering::Release);
        }
        result
    }

    /// Gives up to `limit` records to `take`, in order. Returns how many there were.
    ///
    /// # Errors
    /// As for [`Consumer::poll_while`].
    #[inline]
    pub fn poll(&mut self, limit: usize, mut take: impl FnMut(Record<'_>)) -> Result<usize, RingError> {
        self.poll_while(limit, |record| {
            take(record);
            true
        })
    }

    #[inline]
    fn poll_frames(
        &mut self,
        limit: usize,
        take: &mut impl FnMut(Record<'_>) -> bool,
    ) -> Result<usize, RingError> {
        let mut taken = 0;
        while taken < limit {
            if self.head == self.tail {
                self.tail = self.frames.header_word(WORD_TAIL).load(Ordering::Acquire);
                span(&self.frames, self.head, self.tail)?;
                if self.head == self.tail {
                    break;
                }
            }
            match self.frames.frame_at(self.head, self.tail - self.head)? {
                Frame::Padding(bytes) => {
                    self.frames.note_read(self.head, WORD);
                    self.head += bytes;
                }
                Frame::Record(length) => {
                    self.frames.note_read(self.head, length);
                    let bytes = self.frames.copy_out(self.head, length, &mut self.scratch);
                    let record = Record::parse(bytes).map_err(|_| RingError::Corrupt {
                        position: self.head,
                        what: "record cannot be parsed",
                    })?;
                    if !take(record) {
                        break;
                    }
                    self.head += machine::stride(length) as u64;
                    taken += 1;
                }
            }
        }
        Ok(taken)
    }

    /// Whether all that has been published has been taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.header_word(WORD_TAIL).load(Ordering::Acquire) == self.head
    }

    /// Whether there is a producer whose process runs. It is a look into `/proc`: for supervision, not for each
    /// duty cycle.
    #[cfg(not(loom))]
    #[must_use]
    pub fn producer_alive(&self) -> bool {
        let pid = self.frames.header_word(WORD_PRODUCER_PID).load(Ordering::Acquire);
        let start = self.frames.header_word(WORD_PRODUCER_START).load(Ordering::Acquire);
        pid != 0 && (ProcessIdentity { pid, start }).is_alive()
    }

    /// How many producers the ring has had.
    #[cfg(not(loom))]
    #[must_use]
    pub fn producer_epoch(&self) -> u64 {
        self.frames.header_word(WORD_PRODUCER_EPOCH).load(Ordering::Acquire)
    }
}
