//! Read-only checks of checksums, hash chain, continuity and shape.

use crate::archive::open_for_reading;
use crate::frame::list_segments;
use crate::options::{StreamIdentity, StreamKind};
use crate::scan::{Cut, Known, scan};
use crate::snapshot::snapshot_path;
use crate::storage::SharedStorage;
use crate::{ChainHash, DataFolder, DiskStorage, JournalError, Mark, Problem, SnapshotStore};
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
    /// Time of the last record, nanoseconds since the Unix epoch; 0 when there is none.
    pub last_timestamp_ns: u64,
    /// The hash chain after the last record. Keep it, with the last sequence, where the writer of the journal cannot
    /// reach it: a later check against it shows whether anything up to there has been changed.
    pub chain: ChainHash,
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

/// How much of a check is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Bytes checked.
    pub bytes: u64,
    /// Bytes of all segments, those not written to yet included: the check may end before it has come to so many.
    pub total_bytes: u64,
}

/// Checks both streams of a data folder. Beside a live writer the frame being written may show as a torn tail.
/// `anchors` are values of the commands' hash chain that someone has kept; the folder's marks are checked, too. What marks and
/// snapshots say was synced, and is not there, is damage.
///
/// # Errors
/// When the folder is no data folder. Damage is in the report.
pub fn verify(
    folder: &Path,
    anchors: &[(u64, ChainHash)],
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<VerifyReport, JournalError> {
    verify_folder(&DataFolder::inspect(folder)?, anchors, progress)
}

pub(crate) fn verify_folder(
    folder: &DataFolder,
    anchors: &[(u64, ChainHash)],
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<VerifyReport, JournalError> {
    let storage = folder.storage();
    let total_bytes = stream_bytes(&storage, &folder.commands())? + stream_bytes(&storage, &folder.events())?;
    let mut done = 0;
    let mut note = |bytes| progress(VerifyProgress { bytes, total_bytes });
    let snapshot = SnapshotStore::of_stream(folder).map_or(Ok(0), |store| store.newest_synced())?;
    let commands = verify_commands(folder, anchors, snapshot, &mut note);
    done += commands.as_ref().map_or(0, |report| report.bytes);
    // Who takes a snapshot, or shuts down in order, syncs the events too. A start that needs them refuses them as well.
    let marks = folder.marks().unwrap_or_default();
    let marked = marks.iter().map(|mark| mark.sequence).max().unwrap_or(0);
    let known = Known { synced: snapshot.max(marked), ..Known::default() };
    let events = verify_with(&folder.events(), &storage, known, &mut |bytes| note(done + bytes));
    Ok(VerifyReport { commands, events })
}

fn verify_commands(
    folder: &DataFolder,
    anchors: &[(u64, ChainHash)],
    snapshot: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<StreamReport, JournalError> {
    let anchor = |(sequence, chain): &(u64, ChainHash)| Mark {
        sequence: *sequence,
        state_hash: 0,
        chain: Some(*chain),
    };
    let mut marks: Vec<Mark> = folder.marks()?.into_iter().chain(anchors.iter().map(anchor)).collect();
    marks.sort_by_key(|mark| mark.sequence);
    let known = Known { marks: &marks, synced: snapshot, ..Known::default() };
    let report = verify_with(&folder.commands(), &folder.storage(), known, progress)?;
    let last_sequence = report.last_sequence;
    if snapshot > last_sequence {
        let file = snapshot_path(folder, snapshot);
        return Err(JournalError::SnapshotBeyondEnd { file, last_sequence, snapshot_sequence: snapshot });
    }
    let folder = folder.commands();
    match marks.last() {
        Some(mark) if mark.sequence <= last_sequence => Ok(report),
        None => Ok(report),
        Some(Mark { sequence, .. }) if anchors.iter().any(|(anchor, _)| anchor == sequence) => {
            Err(JournalError::AnchorBeyondEnd { folder, last_sequence, anchor_sequence: *sequence })
        }
        Some(Mark { sequence, .. }) => {
            Err(JournalError::MarkBeyondEnd { folder, last_sequence, mark_sequence: *sequence })
        }
    }
}

fn stream_bytes(storage: &SharedStorage, folder: &Path) -> Result<u64, JournalError> {
    let mut total = 0;
    for first in list_segments(&**storage, folder)? {
        let (file, path) = open_for_reading(&**storage, folder, first)?;
        total += file.length().map_err(JournalError::io("read", &path))?;
    }
    Ok(total)
}

/// Checks one stream.
///
/// # Errors
/// [`JournalError::NotFound`], or the first damage with segment and offset.
pub fn verify_stream(folder: &Path) -> Result<StreamReport, JournalError> {
    let storage: SharedStorage = Arc::new(DiskStorage);
    verify_with(folder, &storage, Known::default(), &mut |_| {})
}

pub(crate) fn verify_with(
    folder: &Path,
    storage: &SharedStorage,
    known: Known<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<StreamReport, JournalError> {
    // The stream says itself what it is; only the kind of an empty one must be given.
    let unknown =
        StreamIdentity { kind: StreamKind::Commands, machine: String::new(), parameters: Vec::new() };
    let scan = scan(&**storage, folder, &unknown, false, known, progress)?;
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
        last_timestamp_ns: scan.chain.last_timestamp_ns,
        chain: scan.chain.hash,
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
