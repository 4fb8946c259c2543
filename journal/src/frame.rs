//! Reading and checking one frame.

use crate::archive::{open_for_reading, sequence_of_any};
use crate::chain::Chain;
use crate::format::{
    FRAME_HEADER_LENGTH, FrameHeader, MAX_FRAME_BYTES, SEGMENT_HEADER_LENGTH, SegmentHeader,
};
use crate::format::{damaged_header, segment_path};
use crate::storage::{Storage, StorageFile, read_full};
use crate::{JournalError, Problem};
use machine::{Record, RecordHeader, stride};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zerocopy::{FromBytes, IntoBytes};

/// An open segment with a valid header.
pub(crate) struct Segment {
    pub file: Arc<dyn StorageFile>,
    pub path: PathBuf,
    pub header: SegmentHeader,
}

impl Segment {
    /// Opens a segment. `Ok(None)` when its header is short or does not check.
    pub fn open(
        storage: &dyn Storage,
        folder: &Path,
        first_sequence: u64,
        writable: bool,
    ) -> Result<Option<Self>, JournalError> {
        let (file, path) = if writable {
            let path = segment_path(folder, first_sequence);
            (storage.open(&path, true).map_err(JournalError::io("open", &path))?, path)
        } else {
            open_for_reading(storage, folder, first_sequence)?
        };
        let mut bytes = vec![0; SEGMENT_HEADER_LENGTH];
        let count = read_full(&*file, &mut bytes, 0).map_err(JournalError::io("read", &path))?;
        match SegmentHeader::parse(&bytes[..count], &path) {
            Ok(header) if header.first_sequence == first_sequence => {
                Ok(Some(Self { file: Arc::from(file), path, header }))
            }
            Ok(header) => Err(JournalError::OutOfSequence {
                file: path,
                offset: 16,
                expected: first_sequence,
                found: header.first_sequence,
            }),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }

    /// Opens a segment whose header must be good.
    pub fn require(storage: &dyn Storage, folder: &Path, first: u64) -> Result<Self, JournalError> {
        let segment = Self::open(storage, folder, first, false)?;
        segment.ok_or_else(|| damaged_header(&segment_path(folder, first), first))
    }

    /// For what checks and cannot be: names the place.
    pub fn altered(&self, offset: u64, sequence: u64, problem: Problem) -> JournalError {
        JournalError::Altered { file: self.path.clone(), offset, sequence, problem }
    }

    pub fn io(&self, action: &'static str) -> impl FnOnce(io::Error) -> JournalError {
        JournalError::io(action, &self.path)
    }
}

/// First sequences of a stream's segments, in order.
pub(crate) fn list_segments(storage: &dyn Storage, folder: &Path) -> Result<Vec<u64>, JournalError> {
    let names = match storage.list(folder) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(JournalError::io("list", folder)(error)),
    };
    let mut firsts: Vec<u64> = names.iter().filter_map(|name| sequence_of_any(name)).collect();
    firsts.sort_unstable();
    // For a moment a segment and its archive are both there.
    firsts.dedup();
    Ok(firsts)
}

/// What is at an offset of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A whole, valid frame; its payload is in the reader.
    Frame(FrameHeader),
    /// Zeros or the end of the file: nothing has been written here.
    Zeros,
    /// Bytes that do not check.
    Bad(Problem),
    /// A valid frame whose sequences do not follow.
    Break { expected: u64, found: u64 },
    /// A valid frame that does not continue the hash chain, or whose times go back: no failing disk writes that.
    Altered(Problem),
}

/// Bytes read at a time: at most, and where the last look met the end, so that a follower of a live stream does not copy what is
/// mostly zeros each time.
const WINDOW_BYTES: usize = 256 << 10;
const LEAST_WINDOW_BYTES: usize = 8 << 10;

/// A window on a segment, in aligned memory.
pub(crate) struct FrameReader {
    words: Vec<u64>,
    window_start: u64,
    window_length: usize,
    /// Bytes to read next time.
    window_bytes: usize,
    payload_start: usize,
    payload_length: usize,
    /// Whether each record's checksum is compared even where the hash chain holds.
    thorough: bool,
}

impl FrameReader {
    /// One that compares every checksum there is: to check, not to read.
    pub fn thorough() -> Self {
        Self { thorough: true, ..Self::new() }
    }

    pub fn new() -> Self {
        Self {
            words: vec![0; WINDOW_BYTES / 8],
            window_start: 0,
            window_length: 0,
            window_bytes: WINDOW_BYTES,
            payload_start: 0,
            payload_length: 0,
            thorough: false,
        }
    }

    /// Forgets what was read, because another segment follows.
    pub fn reset(&mut self) {
        self.window_length = 0;
        self.payload_length = 0;
    }

    /// The records of the frame found last.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.words.as_bytes()[self.payload_start..self.payload_start + self.payload_length]
    }

    /// Reads what is at `offset`; moves `chain` over the records of a valid frame.
    pub fn read(&mut self, segment: &Segment, offset: u64, chain: &mut Chain) -> io::Result<Found> {
        self.payload_length = 0;
        if self.in_window(offset, FRAME_HEADER_LENGTH) {
            let found = self.check(segment, offset, chain);
            if matches!(found, Found::Frame(_)) {
                return Ok(found);
            }
        }
        // The window may be older than what a live writer has written since.
        self.fill(segment, offset, FRAME_HEADER_LENGTH)?;
        let header = self.peek(offset);
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            self.window_bytes = LEAST_WINDOW_BYTES;
            return Ok(Found::Zeros);
        }
        if header.checks(segment.header.checksum) && !shape_is_possible(&header, segment, offset) {
            return Ok(Found::Bad(Problem::FrameShape));
        }
        let total = header.total_length(segment.header.frame_alignment);
        let wanted = usize::try_from(total).unwrap_or(WINDOW_BYTES).clamp(self.window_bytes, MAX_FRAME_BYTES);
        self.window_bytes = (4 * self.window_bytes).min(WINDOW_BYTES);
        self.fill(segment, offset, wanted)?;
        Ok(self.check(segment, offset, chain))
    }

    fn in_window(&self, offset: u64, length: usize) -> bool {
        offset >= self.window_start && offset + length as u64 <= self.window_start + self.window_length as u64
    }

    fn fill(&mut self, segment: &Segment, offset: u64, length: usize) -> io::Result<()> {
        debug_assert!(offset.is_multiple_of(8));
        self.window_length = 0;
        if self.words.len() < length.div_ceil(8) {
            self.words.resize(length.div_ceil(8), 0);
        }
        let buffer = &mut self.words.as_mut_bytes()[..length];
        let limit = segment.header.segment_bytes.saturating_sub(offset);
        let length = usize::try_from(limit).unwrap_or(length).min(length);
        self.window_length = read_full(&*segment.file, &mut buffer[..length], offset)?;
        self.window_start = offset;
        Ok(())
    }

    /// The frame header at `offset`; what the window lacks is taken as zeros.
    fn peek(&self, offset: u64) -> FrameHeader {
        let mut header = FrameHeader::default();
        let start = (offset - self.window_start) as usize;
        let end = self.window_length.min(start + FRAME_HEADER_LENGTH);
        if let Some(bytes) = self.words.as_bytes().get(start..end) {
            header.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
        }
        header
    }

    fn check(&mut self, segment: &Segment, offset: u64, chain: &mut Chain) -> Found {
        let header = self.peek(offset);
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            return Found::Zeros;
        }
        if !header.checks(segment.header.checksum) {
            return Found::Bad(Problem::FrameHeader);
        }
        if !shape_is_possible(&header, segment, offset) {
            return Found::Bad(Problem::FrameShape);
        }
        let start = (offset - self.window_start) as usize;
        let total = header.total_length(segment.header.frame_alignment) as usize;
        let window = &self.words.as_bytes()[..self.window_length];
        let Some(frame) = window.get(start..start + total) else { return Found::Bad(Problem::CutOff) };
        if header.first_sequence != chain.expected() {
            return Found::Break { expected: chain.expected(), found: header.first_sequence };
        }
        let payload_end = FRAME_HEADER_LENGTH + header.payload_length as usize;
        let hash = chain.hash.after(&frame[..payload_end]);
        let continues = hash.half() == header.chain;
        // What continues the chain is what was written, checksums and all; where it does not, they tell damage from
        // alteration.
        let summed = !continues || self.thorough;
        match check_records(&frame[FRAME_HEADER_LENGTH..payload_end], &header, *chain, summed) {
            Err(Problem::TimeBack) => Found::Altered(Problem::TimeBack),
            Ok(after) if frame[payload_end..].iter().all(|byte| *byte == 0) => {
                if !continues {
                    return Found::Altered(Problem::Chain);
                }
                *chain = Chain { hash, ..after };
                self.payload_start = start + FRAME_HEADER_LENGTH;
                self.payload_length = header.payload_length as usize;
                Found::Frame(header)
            }
            Ok(_) => Found::Bad(Problem::Padding),
            Err(problem) => Found::Bad(problem),
        }
    }
}

/// Whether the numbers of a frame header with a good checksum can be true here.
fn shape_is_possible(header: &FrameHeader, segment: &Segment, offset: u64) -> bool {
    let total = header.total_length(segment.header.frame_alignment);
    header.payload_length > 0
        && header.payload_length.is_multiple_of(8)
        && total <= MAX_FRAME_BYTES as u64
        && offset + total <= segment.header.segment_bytes
        && header.record_count > 0
        && header.durable_sequence < header.first_sequence
        && header.sequence_span < header.record_count
}

/// CRC-32C of a record: bytes 8 to its length.
#[inline]
pub(crate) fn record_checksum(record: &[u8]) -> u32 {
    crc32c::crc32c(&record[8..])
}

/// Checks every record of a frame, with its checksum if it is to be `summed`; returns the chain after the last.
fn check_records(
    payload: &[u8],
    header: &FrameHeader,
    mut chain: Chain,
    summed: bool,
) -> Result<Chain, Problem> {
    let before = chain.records;
    let mut rest = payload;
    while !rest.is_empty() {
        let record = Record::parse(rest).map_err(|_| Problem::Record)?;
        let length = record.header().length as usize;
        let Some((bytes, after)) = rest.split_at_checked(stride(length)) else { return Err(Problem::Record) };
        if summed && record.header().checksum != record_checksum(&bytes[..length]) {
            return Err(Problem::Record);
        }
        if bytes[length..].iter().any(|byte| *byte != 0) {
            return Err(Problem::Padding);
        }
        chain.accept(record.header())?;
        rest = after;
    }
    let counted = chain.records - before == u64::from(header.record_count);
    if counted && chain.last == header.last_sequence() { Ok(chain) } else { Err(Problem::FrameShape) }
}

/// The first record of a payload that has been checked, and the rest.
pub(crate) fn split_record(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, _) = RecordHeader::ref_from_prefix(payload).ok()?;
    payload.split_at_checked(stride(header.length as usize))
}
