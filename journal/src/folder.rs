//! The data folder of one machine: lock, streams, marks.

use crate::storage::{SharedStorage, read_full, write_all};
use crate::{ChainHash, DiskStorage, JournalError};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Locked by the process that owns the folder; holds its process id.
pub const LOCK_FILE: &str = "LOCK";
/// Folder of the commands stream.
pub const COMMANDS_FOLDER: &str = "commands";
/// Folder of the events stream.
pub const EVENTS_FOLDER: &str = "events";
/// State hashes at orderly shutdowns, one line each.
pub const MARKS_FILE: &str = "marks";

/// The state hash after a command, as written at an orderly shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Sequence of the command.
    pub sequence: u64,
    /// `StateMachine::state_hash` after it.
    pub state_hash: u64,
    /// The commands' hash chain after it, where the mark holds one.
    pub chain: Option<ChainHash>,
}

/// A data folder. Opened for writing it is locked until it is dropped.
pub struct DataFolder {
    path: PathBuf,
    storage: SharedStorage,
    /// Held, not used: closing it releases the lock.
    _lock: Option<File>,
}

impl DataFolder {
    /// Creates a data folder, or takes over an empty one, and locks it. An existing data folder is opened.
    ///
    /// # Errors
    /// [`JournalError::Foreign`], [`JournalError::Locked`], or what the system says.
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        std::fs::create_dir_all(path).map_err(JournalError::io("create", path))?;
        if is_ours(path)? == Some(false) {
            return Err(foreign(path)?);
        }
        Self::lock(path)
    }

    /// Opens and locks an existing data folder.
    ///
    /// # Errors
    /// [`JournalError::NotFound`], [`JournalError::Locked`], or what the system says.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        Self::check(path)?;
        Self::lock(path)
    }

    /// Opens an existing data folder without a lock, for reading beside its owner.
    ///
    /// # Errors
    /// [`JournalError::NotFound`], or what the system says.
    pub fn inspect(path: &Path) -> Result<Self, JournalError> {
        Self::check(path)?;
        Ok(Self::with_storage(path, Arc::new(DiskStorage)))
    }

    /// A data folder on another storage, not locked: for simulations.
    #[must_use]
    pub fn with_storage(path: &Path, storage: SharedStorage) -> Self {
        Self { path: path.to_path_buf(), storage, _lock: None }
    }

    fn check(path: &Path) -> Result<(), JournalError> {
        match is_ours(path) {
            Ok(Some(true)) => Ok(()),
            Ok(Some(false)) => Err(JournalError::NotFound { folder: path.to_path_buf() }),
            Ok(None) => Err(JournalError::NotFound { folder: path.to_path_buf() }),
            Err(JournalError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(JournalError::NotFound { folder: path.to_path_buf() })
            }
            Err(error) => Err(error),
        }
    }

    fn lock(path: &Path) -> Result<Self, JournalError> {
        let file = path.join(LOCK_FILE);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&file);
        let mut lock = opened.map_err(JournalError::io("open", &file))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let known = (&lock).take(20).read_to_string(&mut holder).is_ok();
                let holder = holder.trim();
                let holder = if known && !holder.is_empty() { holder } else { "unknown" };
                return Err(JournalError::Locked { folder: path.to_path_buf(), holder: holder.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(JournalError::io("lock", &file)(error)),
        }
        let written = lock.set_len(0).and_then(|()| lock.rewind());
        let written = written.and_then(|()| writeln!(lock, "{}", std::process::id()));
        written.map_err(JournalError::io("write", &file))?;
        Ok(Self { path: path.to_path_buf(), storage: Arc::new(DiskStorage), _lock: Some(lock) })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The storage that its streams live on.
    #[must_use]
    pub fn storage(&self) -> SharedStorage {
        Arc::clone(&self.storage)
    }

    /// Folder of the commands stream.
    #[must_use]
    pub fn commands(&self) -> PathBuf {
        self.path.join(COMMANDS_FOLDER)
    }

    /// Folder of the events stream.
    #[must_use]
    pub fn events(&self) -> PathBuf {
        self.path.join(EVENTS_FOLDER)
    }

    /// The marks, in order. A last line that is cut off is not there.
    ///
    /// # Errors
    /// [`JournalError::BadMark`], or what the system says.
    pub fn marks(&self) -> Result<Vec<Mark>, JournalError> {
        let file = self.path.join(MARKS_FILE);
        let bytes = self.read_marks(&file)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let parse = |(index, line)| {
            parse_mark(line).ok_or_else(|| JournalError::BadMark { file: file.clone(), line: index + 1 })
        };
        lines.enumerate().map(parse).collect()
    }

    /// Appends a mark and syncs it. Only after the commands up to it have been synced: a mark beyond the end of the
    /// commands proves that some are missing.
    ///
    /// # Errors
    /// What the system says.
    pub fn append_mark(&self, mark: Mark) -> Result<(), JournalError> {
        let path = self.path.join(MARKS_FILE);
        let bytes = self.read_marks(&path)?;
        // A line that a crash cut off is overwritten.
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let file = match self.storage.open(&path, true) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.storage.create(&path),
            other => other,
        };
        let file = file.map_err(JournalError::io("open", &path))?;
        let chain = mark.chain.map_or_else(String::new, |chain| format!(" {chain}"));
        let line = format!("{} {:016x}{chain}\n", mark.sequence, mark.state_hash);
        file.truncate(end as u64).map_err(JournalError::io("truncate", &path))?;
        write_all(&*file, line.as_bytes(), end as u64).map_err(JournalError::io("write", &path))?;
        file.sync().map_err(JournalError::io("sync", &path))?;
        self.storage.sync_folder(&self.path).map_err(JournalError::io("sync", &self.path))
    }

    fn read_marks(&self, path: &Path) -> Result<Vec<u8>, JournalError> {
        let file = match self.storage.open(path, false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(JournalError::io("open", path)(error)),
        };
        let length = file.length().map_err(JournalError::io("read", path))?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        let count = read_full(&*file, &mut bytes, 0).map_err(JournalError::io("read", path))?;
        bytes.truncate(count);
        Ok(bytes)
    }
}

fn parse_mark(line: &[u8]) -> Option<Mark> {
    let (sequence, rest) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let (hash, chain) = rest.split_once(' ').map_or((rest, None), |(hash, chain)| (hash, Some(chain)));
    let state_hash = u64::from_str_radix(hash, 16).ok().filter(|_| hash.len() == 16)?;
    let chain = match chain {
        Some(chain) => Some(chain.parse().ok()?),
        None => None,
    };
    Some(Mark { sequence: sequence.parse().ok()?, state_hash, chain })
}

/// `Some(true)` for a data folder, `None` for an empty folder, `Some(false)` for anything else.
fn is_ours(path: &Path) -> Result<Option<bool>, JournalError> {
    let names = names(path)?;
    if names.is_empty() {
        return Ok(None);
    }
    Ok(Some(names.iter().any(|name| name == LOCK_FILE || name == COMMANDS_FOLDER)))
}

fn names(path: &Path) -> Result<Vec<String>, JournalError> {
    use crate::Storage;
    let mut names = DiskStorage.list(path).map_err(JournalError::io("read", path))?;
    // What a file system puts into an empty volume does not make it foreign.
    names.retain(|name| name != "lost+found");
    names.sort();
    Ok(names)
}

fn foreign(path: &Path) -> Result<JournalError, JournalError> {
    let found = names(path)?.into_iter().next().unwrap_or_default();
    Ok(JournalError::Foreign { folder: path.to_path_buf(), found })
}
