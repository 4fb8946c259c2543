//! The next segment, made ready before it is needed: allocated, and its blocks and pages written once.

use crate::JournalError;
use crate::format::SPARE_NAME;
use crate::options::StreamOptions;
use crate::storage::{SharedStorage, StorageFile, write_all};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Zeros are written a piece at a time: few enough bytes that a sync of the writer, which may have to wait for theirs, does not
/// wait long.
pub(crate) static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The helper leaves the disk to the writer for so long after each piece of zeros: 16 MiB a second at most. A writer that is
/// faster gets a spare that is zeroed in part; at full speed a second stream of zeros costs more than it saves.
const ZERO_PAUSE: Duration = Duration::from_millis(4);

/// The spare is this far ahead of twice what the current segment holds, so that it is done when that is half full, and
/// no faster than need be.
const LEAD_BYTES: u64 = 4 << 20;

/// How often a full disk is looked at again.
const FULL_DISK_RETRY: Duration = Duration::from_millis(50);

/// Says, to whom it concerns, that the disk has no room for the segment after the current one, and half of that is full.
/// What is new should be refused by then; what is on its way still has room.
#[derive(Clone, Debug, Default)]
pub struct SpaceWatch(Arc<AtomicBool>);

impl SpaceWatch {
    /// Whether room is short.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, short: bool) {
        if self.is_short() != short {
            self.0.store(short, Ordering::Relaxed);
        }
    }
}

/// A file that can become the next segment.
pub(crate) struct Spare {
    pub file: Box<dyn StorageFile>,
    /// Zeros have been written up to here. Whoever takes the spare syncs them with its header.
    pub zeroed_to: u64,
}

/// Makes spares, on a thread of its own or when it is asked.
pub(crate) struct SpareMaker {
    place: Place,
    helper: Option<Helper>,
    ready: Option<Spare>,
    /// Why there is none, if the disk was full at the last try.
    full: Option<JournalError>,
}

#[derive(Clone)]
struct Place {
    storage: SharedStorage,
    folder: PathBuf,
    options: StreamOptions,
}

struct Helper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// For the helper: there is something to do.
    work: Condvar,
    /// For the writer: there is a result.
    done: Condvar,
}

#[derive(Default)]
struct State {
    wanted: bool,
    /// A file whose zeros are still missing.
    unfinished: Option<Spare>,
    result: Option<Result<Spare, JournalError>>,
    /// Bytes in the current segment: the pace.
    written: u64,
    /// The writer waits: no more zeros.
    hurry: bool,
    closed: bool,
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SpareMaker {
    /// Makes the first spare at once: a full disk is an error here.
    pub fn new(
        storage: &SharedStorage,
        folder: &Path,
        options: &StreamOptions,
    ) -> Result<Self, JournalError> {
        let place = Place { storage: storage.clone(), folder: folder.to_path_buf(), options: *options };
        let first = place.make()?;
        let mut maker = Self { place, helper: None, ready: None, full: None };
        if options.prepare_on_thread {
            let helper = Helper::start(&maker.place)?;
            let mut state = lock(&helper.shared);
            state.unfinished = Some(first);
            state.wanted = true;
            drop(state);
            helper.shared.work.notify_one();
            maker.helper = Some(helper);
        } else {
            maker.ready = Some(first);
        }
        Ok(maker)
    }

    /// Asks for the next one.
    pub fn request(&mut self) -> Result<(), JournalError> {
        match &self.helper {
            Some(helper) => {
                let mut state = lock(&helper.shared);
                (state.wanted, state.hurry, state.written) = (true, false, 0);
                drop(state);
                helper.shared.work.notify_one();
                Ok(())
            }
            None => self.keep(self.place.make()),
        }
    }

    /// Tells how full the current segment is.
    pub fn pace(&self, written: u64) {
        if let Some(helper) = &self.helper {
            lock(&helper.shared).written = written;
            helper.shared.work.notify_one();
        }
    }

    /// Looks whether the spare is there; where there was no room, perhaps there is now.
    ///
    /// # Errors
    /// What the disk says, other than that it is full.
    pub fn tend(&mut self) -> Result<(), JournalError> {
        if self.ready.is_some() {
            return Ok(());
        }
        let result = match &self.helper {
            Some(helper) => lock(&helper.shared).result.take(),
            None => Some(self.place.make()),
        };
        result.map_or(Ok(()), |result| self.keep(result))
    }

    /// Whether a spare is ready or, as far as is known, on its way.
    pub fn is_expected(&self) -> bool {
        self.full.is_none()
    }

    /// Whether a spare has been handed over.
    #[cfg(test)]
    pub fn is_ready(&self) -> bool {
        self.ready.is_some()
    }

    /// Waits until it is known whether there is a spare.
    ///
    /// # Errors
    /// What the disk says, other than that it is full.
    pub fn settle(&mut self) -> Result<(), JournalError> {
        if let Some(helper) = self.helper.as_ref().filter(|_| self.ready.is_none()) {
            let mut state = lock(&helper.shared);
            state.hurry = true;
            helper.shared.work.notify_one();
            while state.result.is_none() {
                state = helper.shared.done.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        self.tend()
    }

    /// The spare, waited for if need be.
    ///
    /// # Errors
    /// [`JournalError::DiskFull`], or what the disk says.
    pub fn take(&mut self) -> Result<Spare, JournalError> {
        self.settle()?;
        if let Some(spare) = self.ready.take() {
            return Ok(spare);
        }
        Err(self.full.take().unwrap_or_else(|| self.place.disk_full()))
    }

    fn keep(&mut self, result: Result<Spare, JournalError>) -> Result<(), JournalError> {
        match result {
            Ok(spare) => {
                self.ready = Some(spare);
                self.full = None;
                Ok(())
            }
            Err(error @ JournalError::DiskFull { .. }) => {
                self.full = Some(error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl Place {
    /// Allocates the next segment, so that a full disk is met before its room is needed.
    fn make(&self) -> Result<Spare, JournalError> {
        let Self { storage, folder, options } = self;
        let path = folder.join(SPARE_NAME);
        match storage.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(JournalError::io("remove", &path)(error));
            }
            _ => {}
        }
        let free =
            storage.free_space(folder).map_err(JournalError::io("ask for the free space of", folder))?;
        let needed = options.segment_bytes.saturating_add(options.reserve_bytes);
        if free < needed {
            return Err(JournalError::DiskFull { folder: folder.clone(), needed, free });
        }
        let file = storage.create(&path).map_err(JournalError::io("create", &path))?;
        match file.allocate(options.segment_bytes) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Err(self.disk_full()),
            Err(error) => Err(JournalError::io("allocate", &path)(error)),
            Ok(()) => Ok(Spare { file, zeroed_to: 0 }),
        }
    }

    fn disk_full(&self) -> JournalError {
        disk_full(&self.storage, &self.folder, &self.options)
    }

    /// Writes the next zeros of a spare, and lets the disk begin with them. They are synced with the last ones, not piece by
    /// piece: each of those syncs would commit the file system's own journal, which the writer's syncs then wait for.
    fn zero(&self, spare: &mut Spare) -> Result<(), JournalError> {
        let path = self.folder.join(SPARE_NAME);
        let from = spare.zeroed_to;
        let length = (self.options.segment_bytes - from).min(ZEROS.len() as u64);
        let written = write_all(&*spare.file, &ZEROS[..length as usize], from)
            .and_then(|()| spare.file.begin_write_back(from, length));
        match written {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(self.disk_full()),
            other => other.map_err(JournalError::io("write", &path))?,
        }
        spare.zeroed_to += length;
        if self.is_finished(spare) {
            spare.file.sync().map_err(JournalError::io("sync", &path))?;
        }
        Ok(())
    }

    /// How far a spare should be zeroed while the current segment holds `written` bytes.
    fn goal(&self, written: u64) -> u64 {
        if self.options.zero_ahead_bytes == 0 {
            return 0;
        }
        written.saturating_mul(2).saturating_add(LEAD_BYTES).min(self.options.segment_bytes)
    }

    fn is_finished(&self, spare: &Spare) -> bool {
        self.options.zero_ahead_bytes == 0 || spare.zeroed_to >= self.options.segment_bytes
    }
}

pub(crate) fn disk_full(storage: &SharedStorage, folder: &Path, options: &StreamOptions) -> JournalError {
    let needed = options.segment_bytes.saturating_add(options.reserve_bytes);
    let free = storage.free_space(folder).unwrap_or(0);
    JournalError::DiskFull { folder: folder.to_path_buf(), needed, free }
}

impl Helper {
    fn start(place: &Place) -> Result<Self, JournalError> {
        let shared = Arc::<Shared>::default();
        let (theirs, there) = (Arc::clone(&shared), place.clone());
        let builder = std::thread::Builder::new().name("journal-ahead".to_owned());
        let thread = builder.spawn(move || work(&theirs, &there));
        let thread = thread.map_err(JournalError::io("start a thread for", &place.folder))?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        lock(&self.shared).closed = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The helper's life: make a spare when one is wanted, write its zeros at the writer's pace, hand it over.
fn work(shared: &Shared, place: &Place) {
    let mut state = lock(shared);
    while !state.closed {
        if !state.wanted {
            state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let Some(mut spare) = state.unfinished.take() else {
            drop(state);
            let made = place.make();
            state = lock(shared);
            match made {
                Ok(spare) => state.unfinished = Some(spare),
                Err(error) => state = fail(shared, state, error),
            }
            continue;
        };
        if place.is_finished(&spare) || state.hurry {
            (state.wanted, state.hurry) = (false, false);
            state.result = Some(Ok(spare));
            shared.done.notify_one();
        } else if spare.zeroed_to < place.goal(state.written) {
            drop(state);
            let zeroed = place.zero(&mut spare);
            state = lock(shared);
            match zeroed {
                Ok(()) => {
                    state.unfinished = Some(spare);
                    state = pause(shared, state);
                }
                Err(error) => state = fail(shared, state, error),
            }
        } else {
            state.unfinished = Some(spare);
            state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Waits, unless the writer is in a hurry or the stream is being closed.
fn pause<'a>(shared: &'a Shared, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    let idle = |state: &mut State| !state.hurry && !state.closed;
    shared.work.wait_timeout_while(state, ZERO_PAUSE, idle).unwrap_or_else(PoisonError::into_inner).0
}

/// Tells the writer. A full disk is looked at again after a while; any other error is the end of the stream.
fn fail<'a>(
    shared: &'a Shared,
    mut state: MutexGuard<'a, State>,
    error: JournalError,
) -> MutexGuard<'a, State> {
    let full = matches!(error, JournalError::DiskFull { .. });
    state.wanted = full;
    state.result = Some(Err(error));
    shared.done.notify_one();
    if !full || state.closed {
        return state;
    }
    let (state, _) = shared.work.wait_timeout(state, FULL_DISK_RETRY).unwrap_or_else(PoisonError::into_inner);
    state
}
