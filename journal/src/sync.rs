//! Making a stream safe, on the writer's thread or on one of its own while the writer goes on.

use crate::JournalError;
use crate::archive::is_archived;
use crate::format::segment_path;
use crate::frame::Segment;
use crate::storage::{SharedStorage, StorageFile};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Syncs a stream beside its writer: what is written while a sync runs is the next one's. Clones are the same syncer.
///
/// Only one sync runs at a time, because the system reports an error of the disk once: two at the same time, and one of
/// them would succeed for data that is gone. After an error neither syncer nor writer does anything more.
#[derive(Clone)]
pub struct StreamSyncer(Arc<Shared>);

struct Shared {
    storage: SharedStorage,
    folder: PathBuf,
    /// Last sequence whose records are all written. Stored after their bytes are.
    written: AtomicU64,
    /// Last sequence that is known to be safe against loss of power.
    durable: AtomicU64,
    /// Bytes of frames written since the stream was opened.
    written_bytes: AtomicU64,
    /// Those of them that were there when the last sync began.
    begun_bytes: AtomicU64,
    /// Those of them that are safe.
    synced_bytes: AtomicU64,
    /// The disk has failed: nothing is written or synced any more.
    failed: AtomicBool,
    /// It was a sync that failed, not a write.
    sync_failed: AtomicBool,
    files: Mutex<Files>,
    /// Held by the sync that runs.
    turn: Mutex<()>,
}

struct Files {
    current: Arc<dyn StorageFile>,
    path: Arc<Path>,
    /// Full segments that have not been synced since they were written.
    full: Vec<Full>,
}

/// A full segment.
struct Full {
    /// The sequence that it begins with.
    first: u64,
    /// The last one whose records are all in it or before it.
    last: u64,
    /// Kept open, so that an error of writing it back is told to whoever syncs it, even if the system has forgotten the file
    /// meanwhile. Not for all: a stream that is synced at its end only has many.
    file: Option<Arc<dyn StorageFile>>,
}

/// So many full segments are kept open.
const OPEN_SEGMENTS: usize = 8;

impl Files {
    fn of(segment: &Segment) -> Self {
        Self { current: Arc::clone(&segment.file), path: Arc::from(segment.path.as_path()), full: Vec::new() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StreamSyncer {
    /// Over a stream whose records up to `durable` are safe, with this current segment.
    pub(crate) fn new(storage: SharedStorage, folder: &Path, segment: &Segment, durable: u64) -> Self {
        Self(Arc::new(Shared {
            storage,
            folder: folder.to_path_buf(),
            written: AtomicU64::new(durable),
            durable: AtomicU64::new(durable),
            written_bytes: AtomicU64::new(0),
            begun_bytes: AtomicU64::new(0),
            synced_bytes: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            sync_failed: AtomicBool::new(false),
            files: Mutex::new(Files::of(segment)),
            turn: Mutex::new(()),
        }))
    }

    /// Makes everything written before this call safe against loss of power, and returns the last sequence whose records
    /// are all safe. Waits for a sync that runs. Never tries again after a failure.
    ///
    /// # Errors
    /// What the system says; syncer and writer are stopped after it.
    pub fn sync(&self) -> Result<u64, JournalError> {
        self.sync_after(|| {})
    }

    /// As [`StreamSyncer::sync`]; `begun` is called when it is known what this sync covers, before the disk is asked.
    ///
    /// # Errors
    /// As for [`StreamSyncer::sync`].
    pub fn sync_after(&self, begun: impl FnOnce()) -> Result<u64, JournalError> {
        let _turn = lock(&self.0.turn);
        self.require_working()?;
        // The sequence first: whatever it counts is in the bytes, and those are in the files.
        let written = self.0.written.load(Ordering::Acquire);
        let bytes = self.0.written_bytes.load(Ordering::Acquire);
        self.0.begun_bytes.store(bytes, Ordering::Release);
        begun();
        // Both at once: what was written is in the one or the others, also when the writer begins a segment meanwhile.
        let (current, path, full) = {
            let mut files = lock(&self.0.files);
            (Arc::clone(&files.current), Arc::clone(&files.path), std::mem::take(&mut files.full))
        };
        self.sync_full(&full)?;
        if bytes > self.0.synced_bytes.load(Ordering::Relaxed) {
            current.sync().map_err(|error| self.stopped_by(JournalError::io("sync", &path)(error)))?;
            self.0.synced_bytes.store(bytes, Ordering::Relaxed);
            // Full segments that the writer left since may reach further.
            self.0.durable.fetch_max(written, Ordering::AcqRel);
        }
        Ok(self.durable_sequence())
    }

    /// Makes full segments safe, not the current one: so that a stream that nobody waits for does not leave all of that
    /// to its end. Returns whether there were any.
    ///
    /// # Errors
    /// As for [`StreamSyncer::sync`].
    pub fn sync_full_segments(&self) -> Result<bool, JournalError> {
        if lock(&self.0.files).full.is_empty() {
            return Ok(false);
        }
        let _turn = lock(&self.0.turn);
        self.require_working()?;
        let full = std::mem::take(&mut lock(&self.0.files).full);
        self.sync_full(&full).map(|()| true)
    }

    /// Last sequence whose records are all written.
    #[must_use]
    pub fn written_sequence(&self) -> u64 {
        self.0.written.load(Ordering::Acquire)
    }

    /// Last sequence that is known to be safe against loss of power.
    #[must_use]
    pub fn durable_sequence(&self) -> u64 {
        self.0.durable.load(Ordering::Acquire)
    }

    /// Bytes written since the last sync began: what the next one will cover.
    #[must_use]
    pub fn gathered_bytes(&self) -> u64 {
        let begun = self.begun_bytes();
        self.0.written_bytes.load(Ordering::Acquire).saturating_sub(begun)
    }

    /// Bytes that were written when the last sync began.
    pub(crate) fn begun_bytes(&self) -> u64 {
        self.0.begun_bytes.load(Ordering::Acquire)
    }

    /// Whether the disk has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.0.failed.load(Ordering::Acquire)
    }

    /// Whether a sync has failed. What the writer says after that follows from it; before that, what a sync says follows
    /// from the writer's failure.
    #[must_use]
    pub fn has_met_failure(&self) -> bool {
        self.0.sync_failed.load(Ordering::Acquire)
    }

    /// The writer has failed: nothing is synced any more.
    pub(crate) fn stop(&self) {
        self.0.failed.store(true, Ordering::Release);
    }

    /// Tells of frames that have been written.
    pub(crate) fn frames_written(&self, bytes: u64, last_complete: u64) {
        let before = self.0.written_bytes.load(Ordering::Relaxed);
        self.0.written_bytes.store(before + bytes, Ordering::Release);
        self.0.written.store(last_complete, Ordering::Release);
    }

    /// Tells of the next segment, before anything is written to it, and of the one before if that is not safe yet.
    pub(crate) fn segment_begun(&self, segment: &Segment, unsynced: Option<u64>) {
        let mut files = lock(&self.0.files);
        let files = &mut *files;
        let before = std::mem::replace(files, Files::of(segment));
        files.full = before.full;
        if let Some(first) = unsynced {
            let last = self.0.written.load(Ordering::Relaxed);
            files.full.push(Full { first, last, file: Some(before.current) });
            if let Some(index) = files.full.len().checked_sub(OPEN_SEGMENTS + 1) {
                files.full[index].file = None;
            }
        }
    }

    /// Tells that the stream ends here now, in this segment: the later ones are gone.
    pub(crate) fn cut(&self, segment: &Segment, last: u64) {
        let mut files = lock(&self.0.files);
        let mut earlier = std::mem::take(&mut files.full);
        earlier.retain(|full| full.first < segment.header.first_sequence);
        *files = Files { full: earlier, ..Files::of(segment) };
        self.0.written.store(last, Ordering::Release);
        self.0.durable.fetch_min(last, Ordering::AcqRel);
        // What the cut has rewritten is not safe yet.
        self.0.written_bytes.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether anything is written and not safe yet.
    pub(crate) fn is_dirty(&self) -> bool {
        let bytes = self.0.written_bytes.load(Ordering::Acquire);
        bytes > self.0.synced_bytes.load(Ordering::Relaxed)
    }

    fn sync_full(&self, full: &[Full]) -> Result<(), JournalError> {
        full.iter().try_for_each(|full| self.sync_one(full)).map_err(|error| self.stopped_by(error))?;
        // In order, and what lies before them was synced before: so all up to there is safe.
        if let Some(last) = full.last() {
            self.0.durable.fetch_max(last.last, Ordering::AcqRel);
        }
        Ok(())
    }

    fn sync_one(&self, full: &Full) -> Result<(), JournalError> {
        let (storage, folder) = (&self.0.storage, &self.0.folder);
        match &full.file {
            Some(file) => file.sync().map_err(JournalError::io("sync", &segment_path(folder, full.first))),
            None => sync_segments(storage, folder, &[full.first]),
        }
    }

    fn require_working(&self) -> Result<(), JournalError> {
        if self.has_failed() {
            return Err(JournalError::Stopped { folder: self.0.folder.clone() });
        }
        Ok(())
    }

    fn stopped_by(&self, error: JournalError) -> JournalError {
        self.0.sync_failed.store(true, Ordering::Release);
        self.stop();
        error
    }
}

/// Syncs segments by the sequences that they begin with.
pub(crate) fn sync_segments(
    storage: &SharedStorage,
    folder: &Path,
    firsts: &[u64],
) -> Result<(), JournalError> {
    for first in firsts {
        if is_archived(&**storage, folder, *first) {
            continue;
        }
        let path = segment_path(folder, *first);
        let file = storage.open(&path, true).map_err(JournalError::io("open", &path))?;
        file.sync().map_err(JournalError::io("sync", &path))?;
    }
    Ok(())
}
