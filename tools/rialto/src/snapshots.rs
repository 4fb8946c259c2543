//! Snapshots beside the running exchange: a thread with a machine of its own that follows the journal.
//!
//! It never touches the engine, and it runs at a lower priority than everything else. What goes wrong here is said and
//! tried again later; the exchange goes on.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use exchange::Exchange;
use journal::{DataFolder, JournalError, Retention, SNAPSHOTS_FOLDER, Shadow, SnapshotStore};
use machine::{Projection, Record};
use protocol::Limits;
use serde::Deserialize;

use crate::folder;
use crate::operator::Known;
use crate::output::Failure;

/// When snapshots are taken, and how long they stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotSettings {
    /// After so many commands; 0 for never.
    pub every_commands: u64,
    /// After so long, if there were [`LEAST_COMMANDS`] in it; zero for never.
    pub every: Duration,
    /// How many stay, and those younger than what age.
    pub retention: Retention,
    /// Whether full segments under a verified snapshot are archived.
    pub archive: bool,
}

/// `[snapshots]` of the configuration file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileSnapshots {
    every_commands: u64,
    every_seconds: u64,
    keep: usize,
    keep_hours: u64,
    archive: bool,
}

impl Default for FileSnapshots {
    fn default() -> Self {
        Self { every_commands: 5_000_000, every_seconds: 300, keep: 3, keep_hours: 0, archive: false }
    }
}

/// A year: what is older is no help to anyone who asks for it by age.
const MAX_KEEP_HOURS: u64 = 24 * 366;

impl FileSnapshots {
    /// What it says; or which field cannot be, and why.
    ///
    /// # Errors
    /// The field and what it may be.
    pub fn check(&self) -> Result<SnapshotSettings, (&'static str, String)> {
        if !(1..=1_000).contains(&self.keep) {
            return Err(("snapshots.keep", format!("{} must be 1 to 1000", self.keep)));
        }
        if self.keep_hours > MAX_KEEP_HOURS {
            return Err((
                "snapshots.keep_hours",
                format!("{} must be at most {MAX_KEEP_HOURS}", self.keep_hours),
            ));
        }
        let age_ns = self.keep_hours * 3_600_000_000_000;
        Ok(SnapshotSettings {
            every_commands: self.every_commands,
            every: Duration::from_secs(self.every_seconds),
            retention: Retention { count: self.keep, age_ns },
            archive: self.archive,
        })
    }
}

impl SnapshotSettings {
    /// Whether any are taken.
    pub fn is_on(&self) -> bool {
        self.every_commands > 0 || !self.every.is_zero()
    }
}

/// Fewer commands than this are executed again sooner than a snapshot is read: a tiny journal gets none.
pub const LEAST_COMMANDS: u64 = 100_000;
/// How often the thread looks for commands, and whether it is to end.
const LOOK: Duration = Duration::from_millis(50);
/// How often while commands keep coming: seldom enough that looking costs next to nothing, often enough that its turns stay short
/// on a processor that others need.
const LOOK_BUSY: Duration = Duration::from_millis(20);
/// Commands that it executes before it looks again.
const SLICE: usize = 50_000;
/// After a snapshot that failed the next one is tried this much later.
const RETRY: Duration = Duration::from_secs(60);
/// At the end, one that is far behind gives up after this long: the next start executes the rest.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes that a snapshot leaves free on the disk: what the journal keeps in reserve, and two segments.
const SPARE_BYTES: u64 = 256 << 20;
/// Held by whoever writes a snapshot.
const LOCK_FILE: &str = "LOCK";
/// Of the thread, as `nice` counts.
const PRIORITY: i32 = 10;

/// The thread.
pub struct Snapshotter {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Snapshotter {
    /// Starts the thread. `known` is what the operator knew when the exchange started.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        data: &Path,
        limits: Limits,
        settings: SnapshotSettings,
        known: Known,
    ) -> Result<Self, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let (data, stopped) = (data.to_path_buf(), Arc::clone(&stop));
        let run = move || {
            // Only a wish: without it the thread competes with the others.
            let _ = rustix::process::nice(PRIORITY);
            if let Err(error) = follow(&data, limits, settings, known, &stopped) {
                eprintln!("note: no more snapshots are taken: {error}");
            }
        };
        let thread = std::thread::Builder::new().name("snapshots".to_string()).spawn(run);
        Ok(Self { stop, thread: thread.map_err(Failure::system)? })
    }

    /// Ends the thread; if much has happened since its last snapshot it takes another one first, so that the next start
    /// is a short one. Called once the journal is complete.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        if self.thread.join().is_err() {
            eprintln!("note: the thread that takes snapshots has panicked");
        }
    }
}

/// What the thread does, until it is to stop.
fn follow(
    path: &Path,
    limits: Limits,
    settings: SnapshotSettings,
    known: Known,
    stop: &AtomicBool,
) -> Result<(), JournalError> {
    let data = DataFolder::inspect(path)?;
    let make = || Exchange::new(limits).expect("the exchange itself has these limits");
    let shadow = Shadow::open(&data, folder::parameters(&limits), &mut { make })?;
    let mut follower = Follower {
        taken: shadow.sequence(),
        shadow,
        known,
        data: &data,
        limits,
        settings,
        next_try: Instant::now(),
        last: Instant::now(),
        bytes: 0,
    };
    let mut ending = None;
    loop {
        // Looked at before, so that what was written until then is followed.
        let ends = stop.load(Ordering::Acquire);
        if ends && ending.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            return Ok(());
        }
        let advanced = follower.advance()?;
        let is_behind = advanced == SLICE;
        if follower.is_due(ends) && !(ends && is_behind) {
            follower.take();
        }
        match (is_behind, ends) {
            (true, _) => {}
            (false, true) => return Ok(()),
            (false, false) => std::thread::park_timeout(if advanced > 0 { LOOK_BUSY } else { LOOK }),
        }
    }
}

struct Follower<'a> {
    shadow: Shadow<'a, Exchange>,
    known: Known,
    data: &'a DataFolder,
    limits: Limits,
    settings: SnapshotSettings,
    /// Sequence of the last snapshot.
    taken: u64,
    /// When it was taken, or the thread began.
    last: Instant,
    /// No other one is tried before.
    next_try: Instant,
    /// Bytes of the last snapshot.
    bytes: u64,
}

impl Follower<'_> {
    fn advance(&mut self) -> Result<usize, JournalError> {
        let known = &mut self.known;
        self.shadow.advance(u64::MAX, SLICE, &mut |event: Record<'_>| known.apply(event))
    }

    /// Whether a snapshot is to be taken now, by number of commands or time, or because all `ends`.
    fn is_due(&self, ends: bool) -> bool {
        let since = self.shadow.sequence() - self.taken;
        let SnapshotSettings { every_commands, every, .. } = self.settings;
        let by_number = every_commands > 0 && since >= every_commands;
        let by_time = !every.is_zero() && self.last.elapsed() >= every && since >= LEAST_COMMANDS;
        let at_end = ends && since >= LEAST_COMMANDS;
        (by_number || by_time || at_end) && (ends || Instant::now() >= self.next_try)
    }

    fn take(&mut self) {
        match self.snapshot() {
            Ok(true) => (self.last, self.taken) = (Instant::now(), self.shadow.sequence()),
            // The events are still on their way to the disk.
            Ok(false) => self.next_try = Instant::now() + LOOK,
            Err(reason) => {
                eprintln!("note: no snapshot at sequence {}: {reason}", self.shadow.sequence());
                self.next_try = Instant::now() + RETRY;
            }
        }
    }

    fn snapshot(&mut self) -> Result<bool, String> {
        let free = self.data.storage().free_space(self.data.path()).map_err(|error| error.to_string())?;
        if free < SPARE_BYTES + 2 * self.bytes {
            return Err(format!("only {free} bytes are free on the disk"));
        }
        let Some(path) = take(self.data, &mut self.shadow, &mut self.known)? else { return Ok(false) };
        self.bytes = std::fs::metadata(&path).map_or(self.bytes, |file| file.len());
        let store = SnapshotStore::new::<Exchange>(self.data, folder::parameters(&self.limits));
        store.prune(self.settings.retention).map_err(|error| error.to_string())?;
        if self.settings.archive {
            let under = verified(self.data, self.limits, self.shadow.sequence())?;
            journal::archive(self.data, under, journal::MIN_KEPT_SEGMENTS, &mut |_| {})
                .map_err(|error| error.to_string())?;
        }
        Ok(true)
    }
}

/// Writes a snapshot of where `shadow` is, and then what the operator knows there. `None` while the stored events have not
/// reached it.
///
/// # Errors
/// Why not, in words.
pub fn take(
    data: &DataFolder,
    shadow: &mut Shadow<'_, Exchange>,
    known: &mut Known,
) -> Result<Option<PathBuf>, String> {
    let _lock = lock(data.path())?;
    let finished = shadow.finish_frame(&mut |event: Record<'_>| known.apply(event));
    finished.map_err(|error| error.to_string())?;
    let Some(path) = shadow.snapshot().map_err(|error| error.to_string())? else { return Ok(None) };
    // After the journal has been synced that far: a checkpoint is never ahead of what is safe.
    if known.applied_sequence() == shadow.sequence() {
        known.save(data.path()).map_err(|error| format!("operator.checkpoint: {error}"))?;
    }
    Ok(Some(path))
}

/// Reads a snapshot into a machine of its own and compares everything that it says of itself.
///
/// # Errors
/// What does not hold.
pub fn verified(data: &DataFolder, limits: Limits, sequence: u64) -> Result<u64, String> {
    let store = SnapshotStore::new::<Exchange>(data, folder::parameters(&limits));
    let mut machine: Exchange = Exchange::new(limits).map_err(|error| error.to_string())?;
    let header = store.read(sequence, &mut machine).map_err(|refused| refused.to_string())?;
    let stands = Shadow::<Exchange>::stands(data, folder::parameters(&limits), &header);
    match stands.map_err(|error| error.to_string())? {
        true => Ok(sequence),
        false => Err("the journal does not hold the commands that it stands on".to_string()),
    }
}

/// Keeps two processes from writing a snapshot at the same time.
fn lock(data: &Path) -> Result<File, String> {
    let folder = data.join(SNAPSHOTS_FOLDER);
    let path = folder.join(LOCK_FILE);
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|error| format!("{}: {error}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err("another process is taking one".to_string()),
        Err(TryLockError::Error(error)) => Err(format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<SnapshotSettings, (&'static str, String)> {
        toml::from_str::<FileSnapshots>(text).expect("TOML").check()
    }

    #[test]
    fn what_cannot_be_is_refused_by_field() {
        let default = checked("").expect("the defaults");
        assert!(
            default.is_on() && default.retention == Retention { count: 3, age_ns: 0 } && !default.archive
        );
        let off = checked("every_commands = 0\nevery_seconds = 0").expect("off");
        assert!(!off.is_on());
        let kept = checked("keep = 1000\nkeep_hours = 8784").expect("much");
        assert_eq!(kept.retention, Retention { count: 1_000, age_ns: 8_784 * 3_600_000_000_000 });
        for (text, field) in [
            ("keep = 0", "snapshots.keep"),
            ("keep = 1001", "snapshots.keep"),
            ("keep_hours = 8785", "snapshots.keep_hours"),
        ] {
            assert_eq!(checked(text).map_err(|(field, _)| field), Err(field), "{text}");
        }
        assert!(toml::from_str::<FileSnapshots>("kepp = 1").is_err());
    }

    #[test]
    fn one_process_writes_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let held = lock(folder.path()).expect("free");
        assert_eq!(lock(folder.path()).map(|_| ()), Err("another process is taking one".to_string()));
        drop(held);
        assert!(lock(folder.path()).is_ok());
    }
}
