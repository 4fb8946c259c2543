//! Errors: each says which file, what was found and what to do.

use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with bytes that should have been a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The frame header's magic or checksum is wrong.
    #[error("no valid frame header")]
    FrameHeader,
    /// The frame header checks but its numbers contradict each other or the segment.
    #[error("the frame header contradicts itself")]
    FrameShape,
    /// The frame goes past the end of the file.
    #[error("the frame is cut off by the end of the file")]
    CutOff,
    /// A record in the frame does not match its checksum or shape.
    #[error("a record does not match its checksum")]
    Record,
    /// Bytes that must be zero are not.
    #[error("padding is not zero")]
    Padding,
    /// Zeros, where later frames prove that there was data.
    #[error("zeros where a frame should be")]
    Zeros,
    /// The segment header is short or does not match its checksum.
    #[error("the segment header does not match its checksum")]
    SegmentHeader,
    /// A record's time is before that of the record before it.
    #[error("time goes back")]
    TimeBack,
    /// A frame does not continue the hash chain.
    #[error("the hash chain does not continue")]
    Chain,
    /// The chain ends otherwise than an anchor (a mark, or what an auditor kept) says.
    #[error("the hash chain is not the one that was anchored")]
    Anchor,
    /// The events of the last command are not all there.
    #[error("the last command's events are incomplete")]
    IncompleteCommand,
}

/// The first place where re-execution and the stored events differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Sequence of the command.
    pub sequence: u64,
    /// Which of the command's events, from 0.
    pub event_index: usize,
    /// The event in the journal, header and body, or empty where the journal has fewer.
    pub stored: Vec<u8>,
    /// The event that re-execution gave, header and body, or empty where it gave fewer.
    pub computed: Vec<u8>,
}

/// Why the journal cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}; nothing acknowledged is lost: repair the disk, then start again", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Too little room for the next segment and the reserve.
    #[error(
        "disk full: {} needs {needed} bytes for its next segment and the reserve, {free} are free; free some space, then start again (nothing acknowledged is lost)",
        folder.display()
    )]
    DiskFull {
        /// Folder of the stream.
        folder: PathBuf,
        /// Bytes that the next segment and the reserve take.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// Another process holds the data folder.
    #[error(
        "data folder {} is locked by process {holder}; stop that one, or give this one another folder",
        folder.display()
    )]
    Locked {
        /// The data folder.
        folder: PathBuf,
        /// Process id as written in the lock file, or "unknown".
        holder: String,
    },
    /// The folder holds files that are not a journal's.
    #[error(
        "{} is not a data folder: it holds '{found}' and no journal; give an empty or new folder",
        folder.display()
    )]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// A file in it.
        found: String,
    },
    /// There is no data folder or stream.
    #[error("{} holds no journal: check the path, or create it first", folder.display())]
    NotFound {
        /// The folder.
        folder: PathBuf,
    },
    /// A segment of another format version.
    #[error("{} has journal format {found}, this program reads {supported}; use the version that wrote it", file.display())]
    WrongVersion {
        /// The segment.
        file: PathBuf,
        /// Its version.
        found: u16,
        /// Ours.
        supported: u16,
    },
    /// Segment of another machine, stream or with other parameters.
    #[error("{} has {what} {found}, expected {expected}; point at the right journal, or configure what it was written with", file.display())]
    WrongIdentity {
        /// The segment.
        file: PathBuf,
        /// Which part of the identity: `machine`, `stream` or `parameters`.
        what: &'static str,
        /// What the segment says.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// Damage before the end of what was synced.
    #[error(
        "{} is damaged at offset {offset}, sequence {sequence}: {problem}; later data prove that it was synced, so it is not skipped: restore the file from a copy (the events stream may be deleted as a whole, it is rebuilt from the commands)",
        file.display()
    )]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// Byte offset of the bad frame.
        offset: u64,
        /// First sequence that is missing.
        sequence: u64,
        /// What is wrong.
        problem: Problem,
    },
    /// Every checksum holds, and yet this cannot have been written.
    #[error(
        "{} at offset {offset}, sequence {sequence}: {problem}, though its checksums hold; no disk does that: the file was altered, restore it from a copy",
        file.display()
    )]
    Altered {
        /// The segment.
        file: PathBuf,
        /// Byte offset of the frame, or of the field in the segment header.
        offset: u64,
        /// Its first sequence.
        sequence: u64,
        /// What does not hold.
        problem: Problem,
    },
    /// Records out of sequence: a gap or a repeat.
    #[error("{} at offset {offset} has sequence {found} where {expected} must follow; restore the file from a copy", file.display())]
    OutOfSequence {
        /// The segment.
        file: PathBuf,
        /// Byte offset of the frame.
        offset: u64,
        /// The sequence that must come.
        expected: u64,
        /// The sequence that is there.
        found: u64,
    },
    /// A segment is missing.
    #[error("{} has no segment for sequence {expected}: the next one is {found}; restore the missing file from a copy", folder.display())]
    MissingSegment {
        /// The stream.
        folder: PathBuf,
        /// Sequence that is missing.
        expected: u64,
        /// Name of the next segment.
        found: String,
    },
    /// A mark is not a line of sequence, state hash and chain.
    #[error("{} line {line} is not 'sequence hash chain'; restore the file from a copy, or delete it (marks only add checks)", file.display())]
    BadMark {
        /// The marks file.
        file: PathBuf,
        /// Line number from 1.
        line: usize,
    },
    /// The commands end before a mark that was written after they had been synced.
    #[error(
        "{} ends at sequence {last_sequence}, but a shutdown was marked at {mark_sequence}: synced commands are missing; restore the stream from a copy",
        folder.display()
    )]
    MarkBeyondEnd {
        /// The commands stream.
        folder: PathBuf,
        /// Its last sequence.
        last_sequence: u64,
        /// The mark's sequence.
        mark_sequence: u64,
    },
    /// The commands end before a value of the hash chain that someone has kept.
    #[error(
        "{} ends at sequence {last_sequence}, but the anchor is of sequence {anchor_sequence}: commands are missing, or it is another journal's anchor; restore the stream from a copy",
        folder.display()
    )]
    AnchorBeyondEnd {
        /// The commands stream.
        folder: PathBuf,
        /// Its last sequence.
        last_sequence: u64,
        /// The anchor's sequence.
        anchor_sequence: u64,
    },
    /// The commands end before a snapshot that was taken after they had been synced.
    #[error(
        "the commands end at sequence {last_sequence}, but {} holds the state after {snapshot_sequence}: synced commands are missing; restore the stream from a copy (or remove that snapshot, and with it what it knows of them)",
        file.display()
    )]
    SnapshotBeyondEnd {
        /// The snapshot.
        file: PathBuf,
        /// Last sequence of the commands stream.
        last_sequence: u64,
        /// The snapshot's sequence.
        snapshot_sequence: u64,
    },
    /// Re-execution gave another state than the one marked.
    #[error(
        "state after sequence {sequence} hashes to {found:016x}, the journal's mark says {expected:016x}: this program does not behave like the one that wrote the journal; use that version (where the changelog says that state hashes have changed between the two, remove the file `marks`: events are still compared)"
    )]
    StateHash {
        /// Sequence of the mark.
        sequence: u64,
        /// Hash in the mark.
        expected: u64,
        /// Hash of the state now.
        found: u64,
    },
    /// Re-execution gave other events than those stored.
    #[error(
        "re-executing command {} gives another event {} than the journal holds: this program does not behave like the one that wrote the journal; use that version, or delete the events stream to rebuild it",
        .0.sequence, .0.event_index
    )]
    EventMismatch(Box<Difference>),
    /// The stream's start is gone and no snapshot covers it.
    #[error("{} starts at sequence {first_sequence}, not 1: restore the archived segments", folder.display())]
    MissingStart {
        /// The stream.
        folder: PathBuf,
        /// Its first sequence.
        first_sequence: u64,
    },
    /// The caller handed over something that is no batch.
    #[error("batch refused by {}: {reason}; this is a defect of the caller", folder.display())]
    InvalidBatch {
        /// The stream.
        folder: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Options or identity out of range.
    #[error("journal option {option}: {reason}")]
    InvalidOption {
        /// Name of the option.
        option: &'static str,
        /// The range and its reason.
        reason: String,
    },
    /// An earlier error stopped this writer.
    #[error("{} takes no more records after an earlier error; start again", folder.display())]
    Stopped {
        /// The stream.
        folder: PathBuf,
    },
}

/// Where something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamagePlace<'a> {
    /// The segment.
    pub file: &'a Path,
    /// Byte offset in it.
    pub offset: u64,
    /// The sequence that is missing or wrong there.
    pub sequence: u64,
}

impl JournalError {
    /// Where the files are wrong, if they are and if it is one place.
    #[must_use]
    pub fn place(&self) -> Option<DamagePlace<'_>> {
        match self {
            Self::Damaged { file, offset, sequence, .. }
            | Self::Altered { file, offset, sequence, .. }
            | Self::OutOfSequence { file, offset, expected: sequence, .. } => {
                Some(DamagePlace { file, offset: *offset, sequence: *sequence })
            }
            _ => None,
        }
    }

    /// For `map_err`: names the action and the file. The path is copied only when there is an error.
    pub(crate) fn io<P: AsRef<Path>>(action: &'static str, path: P) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.as_ref().to_path_buf(), source }
    }
}
