//! Read-only checks of checksums, continuity and shape.

use crate::options::{StreamIdentity, StreamKind};
use crate::scan::{Cut, scan};
use crate::storage::SharedStorage;
use crate::{DataFolder, DiskStorage, JournalError, Problem};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a stream was found to be.
#[derive(Debug)]
pub struct StreamReport {
    /// Its folder.
    pub folder: PathBuf,
    /// What its segments say about it; `None` when there is no segment.
    pub identity: Option<StreamIdentity>,
    /// Good segments.
    pub segments: usize,
    /// Good frames.
    pub frames: u64,
    /// Good records.
    pub records: u64,
    /// Bytes of good headers and frames.
    pub bytes: u64,
    /// Sequence of the first record; 1 when there is none.
    pub first_sequence: u64,
    /// Sequence of the last record; 0 when there is none.
    pub last_sequence: u64,
    /// Whether the last command's events are all there; true for commands.
    pub complete: bool,
    /// A torn tail: not damage, and cut at the next start.
    pub torn_tail: Option<Cut>,
}

/// The check of a data folder.
#[derive(Debug)]
pub struct VerifyReport {
    /// Commands, or the first damage.
    pub commands: Result<StreamReport, JournalError>,
    /// Events, or the first damage.
    pub events: Result<StreamReport, JournalError>,
}

impl VerifyReport {
    /// Whether nothing is damaged. A torn tail is not damage.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.commands.is_ok() && self.events.is_ok()
    }
}

/// Checks both streams of a data folder. Beside a live writer the frame being written may show as a torn tail.
///
/// # Errors
/// When the folder is no data folder. Damage is in the report.
pub fn verify(folder: &Path) -> Result<VerifyReport, JournalError> {
    let folder = DataFolder::inspect(folder)?;
    let storage = folder.storage();
    let marked = folder.marks()?.iter().map(|mark| mark.sequence).max().unwrap_or(0);
    let commands = verify_with(&folder.commands(), &storage, marked).and_then(|report| {
        if report.last_sequence < marked {
            let (folder, last_sequence) = (folder.commands(), report.last_sequence);
            return Err(JournalError::MarkBeyondEnd { folder, last_sequence, mark_sequence: marked });
        }
        Ok(report)
    });
    Ok(VerifyReport { commands, events: verify_with(&folder.events(), &storage, 0) })
}

/// Checks one stream.
///
/// # Errors
/// [`JournalError::NotFound`], or the first damage with segment and offset.
pub fn verify_stream(folder: &Path) -> Result<StreamReport, JournalError> {
    let storage: SharedStorage = Arc::new(DiskStorage);
    verify_with(folder, &storage, 0)
}

pub(crate) fn verify_with(
    folder: &Path,
    storage: &SharedStorage,
    known_durable: u64,
) -> Result<StreamReport, JournalError> {
    // The stream says itself what it is; only the kind of an empty one must be given.
    let unknown =
        StreamIdentity { kind: StreamKind::Commands, machine: String::new(), parameters: Vec::new() };
    let scan = scan(&**storage, folder, &unknown, false, known_durable)?;
    if scan.identity.is_none() && scan.cut.is_none() {
        return Err(JournalError::NotFound { folder: folder.to_path_buf() });
    }
    Ok(StreamReport {
        folder: folder.to_path_buf(),
        identity: scan.identity,
        segments: scan.segments.len(),
        frames: scan.frames,
        records: scan.chain.records,
        bytes: scan.bytes,
        first_sequence: scan.first_sequence,
        last_sequence: scan.chain.last,
        complete: scan.chain.complete,
        torn_tail: scan.cut,
    })
}

impl StreamReport {
    /// The first thing wrong at the end of the stream, if any.
    #[must_use]
    pub fn tail_problem(&self) -> Option<Problem> {
        let cut = self.torn_tail.as_ref().map(|cut| cut.problem);
        cut.or(if self.complete { None } else { Some(Problem::IncompleteCommand) })
    }
}
