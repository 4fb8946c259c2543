//! Reading a stream, beside a live writer too.

use crate::archive::open_for_reading;
use crate::chain::{Chain, ChainHash};
use crate::format::SEGMENT_HEADER_LENGTH;
use crate::frame::{Found, FrameReader, Segment, list_segments};
use crate::options::StreamIdentity;
use crate::storage::SharedStorage;
use crate::{DiskStorage, JournalError, MappedStorage, Problem, tail};
use machine::Record;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads the records of a stream in order. Takes no lock and changes nothing; at the end it waits for more to be
/// written, call by call.
pub struct StreamReader {
    storage: SharedStorage,
    folder: PathBuf,
    identity: StreamIdentity,
    first_sequence: u64,
    segment: Segment,
    reader: FrameReader,
    /// Where the current frame starts, and where the next one does.
    frame_start: u64,
    offset: u64,
    /// Bytes of the current frame's payload that have been given out.
    given: usize,
    chain: Chain,
    /// Calls in a row that found bytes that do not check.
    stuck: u64,
}

/// What does not check behind the end of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: PathBuf,
    /// Where the last good frame ends.
    pub offset: u64,
    /// Bytes from there to the last one that is not zero.
    pub bytes: u64,
    /// The first sequence that is not there.
    pub sequence: u64,
    /// The last one that a frame or segment behind it names; 0 when none does.
    pub last_seen: u64,
}

/// What a stream says about itself, by the header of its first segment, so that a tool can choose the machine.
///
/// # Errors
/// [`JournalError::NotFound`] when there is no segment; a damaged header or another format version.
pub fn stream_identity(folder: &Path) -> Result<StreamIdentity, JournalError> {
    Ok(StreamReader::open(folder)?.identity)
}

impl StreamReader {
    /// Opens a stream at its first record.
    ///
    /// # Errors
    /// [`JournalError::NotFound`] when there is no segment; a damaged header or another format version.
    pub fn open(folder: &Path) -> Result<Self, JournalError> {
        Self::open_with(folder, Arc::new(DiskStorage))
    }

    /// The same over mapped segments: records are copied out of the page cache without a system call for each piece. For
    /// followers in processes of their own. A bus error in a mapped segment is an error of the read, see
    /// [`MappedStorage`].
    ///
    /// # Errors
    /// As [`StreamReader::open`].
    pub fn open_mapped(folder: &Path) -> Result<Self, JournalError> {
        Self::open_with(folder, Arc::new(MappedStorage))
    }

    /// The same on another storage.
    ///
    /// # Errors
    /// As [`StreamReader::open`].
    pub fn open_with(folder: &Path, storage: SharedStorage) -> Result<Self, JournalError> {
        let Some(first) = list_segments(&*storage, folder)?.first().copied() else {
            return Err(JournalError::NotFound { folder: folder.to_path_buf() });
        };
        let segment = Segment::require(&*storage, folder, first)?;
        let Some(identity) = segment.header.identity() else {
            return Err(crate::format::damaged_header(&segment.path, first));
        };
        require_genesis(&segment, &identity)?;
        Ok(Self {
            storage,
            folder: folder.to_path_buf(),
            first_sequence: first,
            chain: Chain::entering(identity.kind, &segment.header),
            identity,
            segment,
            reader: FrameReader::new(),
            frame_start: SEGMENT_HEADER_LENGTH as u64,
            offset: SEGMENT_HEADER_LENGTH as u64,
            given: 0,
            stuck: 0,
        })
    }

    /// What the stream is.
    #[must_use]
    pub fn identity(&self) -> &StreamIdentity {
        &self.identity
    }

    /// Segment file and offset of the frame that the record given last is in.
    #[must_use]
    pub fn position(&self) -> (&Path, u64) {
        (&self.segment.path, self.frame_start)
    }

    /// Sequence of the stream's first record, as its first segment is named.
    #[must_use]
    pub fn first_sequence(&self) -> u64 {
        self.first_sequence
    }

    /// Whether all records of a frame have been given: there the hash chain is that of the record given last.
    #[must_use]
    pub fn is_at_frame_end(&self) -> bool {
        self.given == self.reader.payload().len()
    }

    /// The hash chain after the frame that the record given last is in.
    #[must_use]
    pub fn chain(&self) -> ChainHash {
        self.chain.hash
    }

    /// Refuses a stream that is not this one.
    ///
    /// # Errors
    /// [`JournalError::WrongIdentity`], naming what differs.
    pub fn require(&self, expected: &StreamIdentity) -> Result<(), JournalError> {
        self.segment.header.require(expected, &self.segment.path)
    }

    /// Goes to the first record with this sequence or a higher one, without reading the segments before it.
    ///
    /// # Errors
    /// Damage on the way, or what the system says.
    pub fn seek(&mut self, sequence: u64) -> Result<(), JournalError> {
        let firsts = list_segments(&*self.storage, &self.folder)?;
        // A segment that begins with the sequence may hold only the end of its events.
        let before = firsts.iter().rposition(|first| *first < sequence);
        let Some(first) = before.and_then(|index| firsts.get(index)).or(firsts.first()) else {
            return Err(JournalError::NotFound { folder: self.folder.clone() });
        };
        self.enter(*first)?;
        self.chain = Chain::entering(self.identity.kind, &self.segment.header);
        while let Some(record) = self.peek()? {
            if record.header().sequence >= sequence {
                break;
            }
            let length = record.header().length as usize;
            self.given += machine::stride(length);
        }
        Ok(())
    }

    /// The next record, or `None` when there is none yet; a later call goes on from there. Never half a record: what
    /// does not check is not there yet, unless what follows proves it damaged.
    ///
    /// # Errors
    /// Damage, with file and offset; or what the system says.
    #[expect(clippy::should_implement_trait, reason = "the record borrows the reader's buffer")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, JournalError> {
        if self.given == self.reader.payload().len() && !self.advance()? {
            return Ok(None);
        }
        let start = self.given;
        let length = self.record_at(start)?.header().length as usize;
        self.given += machine::stride(length);
        self.record_at(start).map(Some)
    }

    /// The records of the next frame, or those that are left of the one at hand, back to back and padded to 8 bytes; `None`
    /// when there is none yet.
    ///
    /// # Errors
    /// As [`StreamReader::next`].
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, JournalError> {
        if self.given == self.reader.payload().len() && !self.advance()? {
            return Ok(None);
        }
        let start = self.given;
        self.given = self.reader.payload().len();
        Ok(self.reader.payload().get(start..))
    }

    /// The record that [`StreamReader::next`] would give, without going beyond it.
    ///
    /// # Errors
    /// As [`StreamReader::next`].
    pub fn peek(&mut self) -> Result<Option<Record<'_>>, JournalError> {
        if self.given == self.reader.payload().len() && !self.advance()? {
            return Ok(None);
        }
        self.record_at(self.given).map(Some)
    }

    /// The record at an offset of the current frame's payload, which has been checked.
    #[inline]
    fn record_at(&self, start: usize) -> Result<Record<'_>, JournalError> {
        let rest = self.reader.payload().get(start..).unwrap_or_default();
        Record::parse(rest).map_err(|_| self.damaged(Problem::Record))
    }

    /// Goes to the next frame; false when there is none yet.
    fn advance(&mut self) -> Result<bool, JournalError> {
        loop {
            if let Some(problem) = self.read_frame()? {
                let expected = self.chain.expected();
                if !self.next_segment_exists(expected)? {
                    self.judge(problem)?;
                    return Ok(false);
                }
                // The writer was done with this segment before it named the next: what it holds now is all.
                match self.read_frame()? {
                    None => return Ok(true),
                    Some(Problem::Zeros) if self.chain.expected() == expected => {
                        self.enter(expected)?;
                        if let Some(problem) = self.chain.refuses(&self.segment.header) {
                            return Err(self.segment.altered(0, expected, problem));
                        }
                    }
                    Some(problem) => {
                        self.judge(problem)?;
                        return Ok(false);
                    }
                }
            } else {
                self.stuck = 0;
                return Ok(true);
            }
        }
    }

    /// Reads the frame at the offset; says why there is none.
    fn read_frame(&mut self) -> Result<Option<Problem>, JournalError> {
        let found = self.reader.read(&self.segment, self.offset, &mut self.chain);
        self.given = 0;
        match found.map_err(self.segment.io("read"))? {
            Found::Frame(header) => {
                self.frame_start = self.offset;
                self.offset += header.total_length(self.segment.header.frame_alignment);
                Ok(None)
            }
            Found::Zeros => Ok(Some(Problem::Zeros)),
            Found::Bad(problem) => Ok(Some(problem)),
            Found::Altered(problem) => Err(self.segment.altered(self.offset, self.chain.expected(), problem)),
            Found::Break { expected, found } => Err(JournalError::OutOfSequence {
                file: self.segment.path.clone(),
                offset: self.offset,
                expected,
                found,
            }),
        }
    }

    fn next_segment_exists(&self, first: u64) -> Result<bool, JournalError> {
        if first == self.segment.header.first_sequence {
            return Ok(false);
        }
        match open_for_reading(&*self.storage, &self.folder, first) {
            Ok(_) => Ok(true),
            Err(JournalError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn enter(&mut self, first: u64) -> Result<(), JournalError> {
        let segment = Segment::require(&*self.storage, &self.folder, first)?;
        segment.header.require(&self.identity, &segment.path)?;
        self.segment = segment;
        self.reader.reset();
        self.given = 0;
        self.offset = SEGMENT_HEADER_LENGTH as u64;
        self.frame_start = self.offset;
        Ok(())
    }

    /// Call after call without a frame, looks ever more seldom whether this is damage: that reads the rest of the
    /// segment, which a follower has no time for while the writer merely pauses.
    fn judge(&mut self, problem: Problem) -> Result<(), JournalError> {
        self.stuck += 1;
        let patience = if problem == Problem::Zeros { 1 << 16 } else { 16 };
        if self.stuck < patience || !self.stuck.is_power_of_two() { Ok(()) } else { self.check_end() }
    }

    /// Asks, where [`StreamReader::next`] gave `None`, whether that is an end or damage: whether anything behind it
    /// proves that more had been synced. Reads the rest of the segment, so it is for tools, not for followers.
    ///
    /// # Errors
    /// The damage, with file and offset; or what the system says.
    pub fn check_end(&mut self) -> Result<(), JournalError> {
        self.end().map(|_| ())
    }

    /// As [`StreamReader::check_end`]; says also what lies behind the last record that checks and is no proof of damage: a
    /// torn tail, or what a live writer is writing at this moment. `None` for a clean end, or where there is more by now.
    ///
    /// # Errors
    /// As for [`StreamReader::check_end`].
    pub fn end(&mut self) -> Result<Option<TornTail>, JournalError> {
        let missing = self.chain.expected();
        let mut tail = tail::inspect(&self.segment, self.offset, missing)?;
        if tail.claims {
            // What was half a frame a moment ago may be whole by now, and more behind it.
            return match self.read_again()? {
                Found::Frame(_) => Ok(None),
                Found::Bad(problem) => Err(self.damaged(problem)),
                _ => Err(self.damaged(Problem::Zeros)),
            };
        }
        for first in list_segments(&*self.storage, &self.folder)? {
            if first <= missing || first <= self.segment.header.first_sequence {
                continue;
            }
            let later = Segment::open(&*self.storage, &self.folder, first, false)?;
            tail.last_seen = tail.last_seen.max(first);
            let claims = later.is_some_and(|later| later.header.durable_sequence >= missing);
            if !claims {
                continue;
            }
            return match self.read_again()? {
                Found::Frame(_) => Ok(None),
                Found::Bad(problem) => Err(self.damaged(problem)),
                _ => {
                    let found = crate::format::segment_path(&self.folder, first).display().to_string();
                    let folder = self.folder.clone();
                    Err(JournalError::MissingSegment { folder, expected: missing, found })
                }
            };
        }
        if (tail.data_end == self.offset && tail.last_seen == 0)
            || matches!(self.read_again()?, Found::Frame(_))
        {
            return Ok(None);
        }
        Ok(Some(TornTail {
            file: self.segment.path.clone(),
            offset: self.offset,
            bytes: tail.data_end - self.offset,
            sequence: missing,
            last_seen: tail.last_seen,
        }))
    }

    /// As [`StreamReader::end`] where something else knows that the stream was synced up to `synced`: a tail that is torn
    /// before that is damage.
    ///
    /// # Errors
    /// As for [`StreamReader::check_end`].
    pub fn end_knowing(&mut self, synced: u64) -> Result<Option<TornTail>, JournalError> {
        let torn = self.end()?;
        if torn.is_some() && self.last_sequence() < synced { Err(self.damage()?) } else { Ok(torn) }
    }

    /// Sequence of the last record that was read; one less than the first where none was.
    #[must_use]
    pub fn last_sequence(&self) -> u64 {
        self.chain.last
    }

    /// What keeps a stream from going on that is known to: the place where [`StreamReader::next`] gave `None`.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn damage(&mut self) -> Result<JournalError, JournalError> {
        let problem = match self.read_again()? {
            Found::Bad(problem) => problem,
            _ => Problem::Zeros,
        };
        Ok(self.damaged(problem))
    }

    /// What is at the offset now.
    fn read_again(&mut self) -> Result<Found, JournalError> {
        let mut chain = self.chain;
        let found = self.reader.read(&self.segment, self.offset, &mut chain);
        let found = found.map_err(self.segment.io("read"))?;
        self.reader.reset();
        self.given = 0;
        Ok(found)
    }

    fn damaged(&self, problem: Problem) -> JournalError {
        JournalError::Damaged {
            file: self.segment.path.clone(),
            offset: self.offset,
            sequence: self.chain.expected(),
            problem,
        }
    }
}

/// A stream that starts at its beginning starts with the chain's first value.
pub(crate) fn require_genesis(segment: &Segment, identity: &StreamIdentity) -> Result<(), JournalError> {
    if segment.header.first_sequence == 1 && segment.header.chain != ChainHash::genesis(identity) {
        return Err(segment.altered(0, 1, Problem::Chain));
    }
    Ok(())
}
