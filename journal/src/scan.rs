//! Reading a whole stream: where it ends well, and whether what follows is a torn tail or damage.

use crate::archive::open_for_reading;
use crate::chain::Chain;
use crate::format::{SEGMENT_HEADER_LENGTH, damaged_header, segment_path};
use crate::frame::{Found, FrameReader, Segment, list_segments};
use crate::options::StreamIdentity;
use crate::reader::require_genesis;
use crate::storage::{Storage, read_full};
use crate::{JournalError, Mark, Problem, tail};
use std::path::{Path, PathBuf};

/// A torn tail that was (or, read-only, would be) cut. None of it had been synced, so with durability `disk` none of it was
/// acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment that was cut.
    pub file: PathBuf,
    /// Where the last good frame ends.
    pub offset: u64,
    /// Bytes from there to the last one that is not zero.
    pub bytes: u64,
    /// Later segments that were removed as a whole.
    pub segments_removed: Vec<PathBuf>,
    /// What did not check.
    pub problem: Problem,
    /// The first sequence that is gone.
    pub sequence: u64,
    /// The last one that a frame in the tail still names; 0 when none does. Others behind it may be gone without a trace.
    pub last_seen: u64,
}

/// What opening a stream found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Segments, the current one included.
    pub segments: usize,
    /// Records read and checked.
    pub records: u64,
    /// Sequence of the stream's first record; 1 when there is none.
    pub first_sequence: u64,
    /// Sequence of its last record; 0 when there is none.
    pub last_sequence: u64,
    /// The torn tail, if there was one.
    pub cut: Option<Cut>,
}

/// What something outside of a stream knows of it, and how much of it is to be read.
#[derive(Clone, Copy, Default)]
pub(crate) struct Known<'a> {
    /// In order of their sequences: the stream was synced up to them, and with which value of the hash chain.
    pub marks: &'a [Mark],
    /// The stream was synced up to this sequence: what is missing below it is damage.
    pub synced: u64,
    /// It is said to have been synced up to this one, but may have been rebuilt since: it need not be read again so far.
    pub said_synced: u64,
    /// Whether to read only what is not known to have been synced: of the segments before that, the headers.
    pub briefly: bool,
}

impl Known<'_> {
    /// The last sequence that is known to have been synced.
    fn synced(&self) -> u64 {
        self.synced.max(self.marks.last().map_or(0, |mark| mark.sequence))
    }
}

/// Where a stream stands.
pub(crate) struct Scan {
    /// First sequences of the good segments.
    pub segments: Vec<u64>,
    /// The first of them that was read: those before it had been synced.
    pub read_from: u64,
    pub first_sequence: u64,
    pub chain: Chain,
    /// End of the last good frame in the last good segment.
    pub end: u64,
    pub identity: Option<StreamIdentity>,
    pub frames: u64,
    /// Bytes of good frames, segment headers included.
    pub bytes: u64,
    pub cut: Option<Cut>,
}

/// The end of one segment's good frames.
struct SegmentEnd {
    offset: u64,
    problem: Option<Problem>,
}

struct Scanner<'a> {
    storage: &'a dyn Storage,
    folder: &'a Path,
    firsts: Vec<u64>,
    reader: FrameReader,
    scan: Scan,
    known: Known<'a>,
    /// The first of the marks that has not been passed.
    next_mark: usize,
    progress: &'a mut dyn FnMut(u64),
    progress_at: u64,
}

/// Where a segment's header has the chain.
const HEADER_CHAIN_OFFSET: u64 = 352;

/// Calls of the progress function are this many bytes apart.
const PROGRESS_BYTES: u64 = 16 << 20;

/// Reads and checks a stream. Damage is an error; a torn tail is reported in `cut` and not touched. `progress` is told
/// the good bytes so far, now and then.
pub(crate) fn scan(
    storage: &dyn Storage,
    folder: &Path,
    expected: &StreamIdentity,
    check_identity: bool,
    known: Known<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Scan, JournalError> {
    let firsts = list_segments(storage, folder)?;
    let first_sequence = firsts.first().copied().unwrap_or(1);
    let start = if known.briefly { first_unproven(storage, folder, &firsts, expected, known)? } else { 0 };
    let scan = Scan {
        segments: firsts[..start].to_vec(),
        read_from: firsts.get(start).copied().unwrap_or(first_sequence),
        first_sequence,
        chain: Chain::starting_at(expected, first_sequence),
        end: 0,
        identity: None,
        frames: 0,
        bytes: 0,
        cut: None,
    };
    let reader = if known.briefly { FrameReader::new() } else { FrameReader::thorough() };
    let mut scanner =
        Scanner { storage, folder, firsts, reader, scan, known, next_mark: 0, progress, progress_at: 0 };
    for index in start..scanner.firsts.len() {
        let wanted = scanner.scan.identity.clone();
        let wanted = if check_identity { Some(expected.clone()) } else { wanted };
        if !scanner.segment(index, start, wanted)? {
            break;
        }
    }
    Ok(scanner.scan)
}

/// The segment that holds the last record known to have been synced, by what is known and by all segment headers. What
/// lies before it cannot be a torn tail; if it is damaged, whoever reads it will see.
fn first_unproven(
    storage: &dyn Storage,
    folder: &Path,
    firsts: &[u64],
    expected: &StreamIdentity,
    known: Known<'_>,
) -> Result<usize, JournalError> {
    let mut synced = known.synced().max(known.said_synced);
    for (index, first) in firsts.iter().enumerate() {
        match Segment::open(storage, folder, *first, false)? {
            Some(segment) => {
                segment.header.require(expected, &segment.path)?;
                synced = synced.max(segment.header.durable_sequence);
            }
            // The last one may have been in the making; the scan sees to that.
            None if index + 1 == firsts.len() => {}
            None => return Err(damaged_header(&segment_path(folder, *first), *first)),
        }
    }
    Ok(firsts.iter().rposition(|first| *first <= synced).unwrap_or(0))
}

impl Scanner<'_> {
    /// Scans one segment; false when the stream ends in or before it.
    fn segment(
        &mut self,
        index: usize,
        start: usize,
        wanted: Option<StreamIdentity>,
    ) -> Result<bool, JournalError> {
        let first = self.firsts[index];
        let Some(segment) = Segment::open(self.storage, self.folder, first, false)? else {
            return self.partial_segment(index);
        };
        if let Some(wanted) = wanted {
            segment.header.require(&wanted, &segment.path)?;
        }
        let Some(identity) = segment.header.identity() else {
            return Err(damaged_header(&segment.path, first));
        };
        if index == start {
            require_genesis(&segment, &identity)?;
            self.scan.chain = Chain::entering(identity.kind, &segment.header);
            // One that is of the sequence before, or of the beginning, is that of the segment's header.
            self.next_mark = self.known.marks.partition_point(|mark| mark.sequence.saturating_add(1) < first);
            self.check_marks(&segment, HEADER_CHAIN_OFFSET)?;
        } else if let Some(problem) = self.scan.chain.refuses(&segment.header) {
            return Err(segment.altered(0, first, problem));
        }
        self.scan.identity = Some(identity);
        self.scan.segments.push(first);
        let end = self.frames(&segment)?;
        self.scan.end = end.offset;
        self.scan.bytes += end.offset;
        self.judge(index, &segment, &end)
    }

    /// Reads frames until something else comes.
    fn frames(&mut self, segment: &Segment) -> Result<SegmentEnd, JournalError> {
        self.reader.reset();
        let mut offset = SEGMENT_HEADER_LENGTH as u64;
        loop {
            let found =
                self.reader.read(segment, offset, &mut self.scan.chain).map_err(segment.io("read"))?;
            match found {
                Found::Frame(header) => {
                    self.scan.frames += 1;
                    self.check_marks(segment, offset)?;
                    offset += header.total_length(segment.header.frame_alignment);
                }
                Found::Altered(problem) => {
                    return Err(segment.altered(offset, self.scan.chain.expected(), problem));
                }
                Found::Zeros => return Ok(SegmentEnd { offset, problem: None }),
                Found::Bad(problem) => return Ok(SegmentEnd { offset, problem: Some(problem) }),
                Found::Break { expected, found } => {
                    let file = segment.path.clone();
                    return Err(JournalError::OutOfSequence { file, offset, expected, found });
                }
            }
        }
    }

    /// Compares the hash chain with the marks that the frame at `offset`, read last, has reached.
    fn check_marks(&mut self, segment: &Segment, offset: u64) -> Result<(), JournalError> {
        let (last, hash) = (self.scan.chain.last, self.scan.chain.hash);
        while let Some(mark) = self.known.marks.get(self.next_mark).filter(|mark| mark.sequence <= last) {
            let anchored = mark.chain.is_none_or(|chain| mark.sequence == last && chain == hash);
            if !anchored {
                return Err(segment.altered(offset, mark.sequence, Problem::Anchor));
            }
            self.next_mark += 1;
        }
        let bytes = self.scan.bytes + offset;
        if bytes >= self.progress_at {
            (self.progress)(bytes);
            self.progress_at = bytes + PROGRESS_BYTES;
        }
        Ok(())
    }

    /// Decides what the end of a segment's good frames means; true when the next segment continues the stream.
    fn judge(&mut self, index: usize, segment: &Segment, end: &SegmentEnd) -> Result<bool, JournalError> {
        let missing = self.scan.chain.expected();
        let tail = tail::inspect(segment, end.offset, missing)?;
        let clean = end.problem.is_none() && tail.data_end == end.offset;
        let next = self.firsts.get(index + 1).copied();
        match next {
            None if clean => return Ok(false),
            Some(next) if clean && next == missing => return Ok(true),
            Some(next) if next < missing => {
                let file = segment_path(self.folder, next);
                return Err(JournalError::OutOfSequence { file, offset: 16, expected: missing, found: next });
            }
            _ => {}
        }
        let mut last_seen = tail.last_seen;
        let claims = tail.claims || self.known.synced() >= missing;
        if claims || self.later_claims(index + 1, missing, &mut last_seen)? {
            return Err(self.damage(index, segment, end, clean, missing));
        }
        self.scan.cut = Some(Cut {
            file: segment.path.clone(),
            offset: end.offset,
            bytes: tail.data_end - end.offset,
            segments_removed: self.later_paths(index + 1),
            problem: end.problem.unwrap_or(Problem::Zeros),
            sequence: missing,
            last_seen,
        });
        Ok(false)
    }

    fn damage(
        &self,
        index: usize,
        segment: &Segment,
        end: &SegmentEnd,
        clean: bool,
        missing: u64,
    ) -> JournalError {
        match self.firsts.get(index + 1) {
            Some(next) if clean => JournalError::MissingSegment {
                folder: self.folder.to_path_buf(),
                expected: missing,
                found: segment_path(self.folder, *next).display().to_string(),
            },
            _ => JournalError::Damaged {
                file: segment.path.clone(),
                offset: end.offset,
                sequence: missing,
                problem: end.problem.unwrap_or(Problem::Zeros),
            },
        }
    }

    /// Whether a later segment proves that `sequence` had been synced. Raises `last_seen` to the last sequence in them.
    fn later_claims(&self, from: usize, sequence: u64, last_seen: &mut u64) -> Result<bool, JournalError> {
        for first in &self.firsts[from..] {
            let Some(segment) = Segment::open(self.storage, self.folder, *first, false)? else { continue };
            let tail = tail::inspect(&segment, SEGMENT_HEADER_LENGTH as u64, sequence)?;
            *last_seen = tail.last_seen.max(*last_seen);
            if tail.claims || segment.header.durable_sequence >= sequence {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn later_paths(&self, from: usize) -> Vec<PathBuf> {
        self.firsts[from..].iter().map(|first| segment_path(self.folder, *first)).collect()
    }

    /// A segment without a valid header: the last one, still without frames, was being created when the process
    /// ended, or is empty, and losing it loses nothing. Anything else is damage.
    fn partial_segment(&mut self, index: usize) -> Result<bool, JournalError> {
        let first = self.firsts[index];
        let path = segment_path(self.folder, first);
        let is_last = index + 1 == self.firsts.len();
        if !is_last || first != self.scan.chain.expected() || !self.is_blank(&path, first)? {
            return Err(damaged_header(&path, first));
        }
        let file = self.scan.segments.last().map_or(path.clone(), |last| segment_path(self.folder, *last));
        self.scan.cut = Some(Cut {
            file,
            offset: self.scan.end,
            bytes: 0,
            segments_removed: vec![path],
            problem: Problem::SegmentHeader,
            sequence: first,
            last_seen: 0,
        });
        Ok(false)
    }

    /// Whether a file holds nothing behind where a segment header would end.
    fn is_blank(&self, path: &Path, first: u64) -> Result<bool, JournalError> {
        let (file, _) = open_for_reading(self.storage, self.folder, first)?;
        let mut buffer = vec![0; 1 << 20];
        let mut offset = SEGMENT_HEADER_LENGTH as u64;
        loop {
            let count = read_full(&*file, &mut buffer, offset).map_err(JournalError::io("read", path))?;
            if buffer[..count].iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            if count < buffer.len() {
                return Ok(true);
            }
            offset += count as u64;
        }
    }
}
