//! Where the files of the rings go.

use std::fs::{DirBuilder, File, OpenOptions};
use std::hash::Hasher;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::config::RingPlace;
use crate::ring::{Place, RingError};

/// Where the folders of [`RingPlace::Auto`] are.
const SHARED_MEMORY: &str = "/dev/shm";
/// How their names start.
const PREFIX: &str = "rialto-";
/// Locked by the process whose rings they are; the system lets go of it however the process ends.
const OWNER_FILE: &str = "owner.lock";

/// The folder of a pipeline's rings; removed with them when it is dropped.
pub(crate) struct RingFolder {
    folder: Option<PathBuf>,
    /// Held, not used.
    _owner: Option<File>,
    /// Whether memory of this process may take the place of a file that cannot be had.
    may_fall_back: bool,
}

impl RingFolder {
    /// Makes the folder.
    pub(crate) fn create(place: &RingPlace, data_folder: &Path) -> Result<Self, RingError> {
        let folder = match place {
            RingPlace::Anonymous => return Ok(Self { folder: None, _owner: None, may_fall_back: false }),
            RingPlace::Folder(folder) => folder.clone(),
            RingPlace::Auto => {
                sweep(Path::new(SHARED_MEMORY));
                Path::new(SHARED_MEMORY).join(name_for(data_folder))
            }
        };
        let may_fall_back = *place == RingPlace::Auto;
        match private_folder(&folder).and_then(|()| own(&folder)) {
            Ok(owner) => Ok(Self { folder: Some(folder), _owner: Some(owner), may_fall_back }),
            Err(_) if may_fall_back => Ok(Self { folder: None, _owner: None, may_fall_back }),
            Err(source) => Err(RingError::Io { place: folder.display().to_string(), source }),
        }
    }

    /// Makes a ring in it.
    pub(crate) fn make<T>(
        &self,
        name: &str,
        make: impl Fn(&Place) -> Result<T, RingError>,
    ) -> Result<T, RingError> {
        let Some(folder) = &self.folder else { return make(&Place::Anonymous) };
        let path = folder.join(name);
        match make(&Place::File(path.clone())) {
            Err(RingError::Io { .. }) if self.may_fall_back => {
                let _ = std::fs::remove_file(path);
                make(&Place::Anonymous)
            }
            result => result,
        }
    }

    /// The folder, if the rings are in files.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.folder.as_deref()
    }
}

impl Drop for RingFolder {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            clear(folder);
        }
    }
}

/// Removes a folder and the rings in it, and nothing that is not ours.
fn clear(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "ring") {
            let _ = std::fs::remove_file(path);
        }
    }
    let _ = std::fs::remove_file(folder.join(OWNER_FILE));
    let _ = std::fs::remove_dir(folder);
}

/// Takes a folder for this process.
fn own(folder: &Path) -> io::Result<File> {
    let path = folder.join(OWNER_FILE);
    let owner = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
    owner.try_lock().map_err(io::Error::from)?;
    // Another process that swept between these two calls has taken it for a dead one's.
    if owner.metadata()?.ino() != std::fs::symlink_metadata(&path)?.ino() {
        return Err(io::Error::other("the folder was removed while it was being made"));
    }
    Ok(owner)
}

/// Removes the rings of processes that were killed: they lie in memory, and nobody else would, if their data folder
/// is never opened again.
fn sweep(root: &Path) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let folder = entry.path();
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX) && private_folder(&folder).is_ok();
        if !ours {
            continue;
        }
        let Ok(owner) = OpenOptions::new().read(true).write(true).open(folder.join(OWNER_FILE)) else {
            continue;
        };
        if owner.try_lock().is_ok() {
            clear(&folder);
        }
    }
}

/// `rialto-<name>-<hash of the path>`: the same for each start on the same data folder, another for each other.
fn name_for(data_folder: &Path) -> String {
    let path = data_folder.canonicalize().unwrap_or_else(|_| data_folder.to_path_buf());
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(path.as_os_str().as_encoded_bytes());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    format!("{PREFIX}{name}-{:016x}", hasher.finish())
}

/// Makes a folder that only this user can enter, or checks that it is one: `/dev/shm` is open to everyone.
fn private_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().recursive(false).mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => return result,
    }
    let found = std::fs::symlink_metadata(folder)?;
    let own = std::fs::metadata("/proc/self").map_or(found.uid(), |own| own.uid());
    if found.is_dir() && found.uid() == own && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    let reason = "exists and is not a folder that only this user can write to";
    Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Processes that were killed left 80 MiB of rings each in memory, for as long as the machine ran, when their
    /// data folder was not opened again.
    #[test]
    fn the_rings_of_dead_processes_are_swept_and_those_of_living_ones_are_not() {
        let root = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let folder = root.path().join(name);
            private_folder(&folder).unwrap();
            std::fs::write(folder.join("events.ring"), b"ring").unwrap();
            let owner = own(&folder).unwrap();
            (folder, owner)
        };
        let (dead, lock) = make("rialto-dead");
        drop(lock);
        let (living, _lock) = make("rialto-living");
        let (foreign, lock) = make("other-folder");
        drop(lock);
        let (mixed, lock) = make("rialto-mixed");
        drop(lock);
        std::fs::write(mixed.join("notes.txt"), b"mine").unwrap();
        sweep(root.path());
        assert!(!dead.exists());
        assert!(living.join("events.ring").exists() && foreign.join("events.ring").exists());
        assert!(mixed.join("notes.txt").exists() && !mixed.join("events.ring").exists());
    }

    #[test]
    fn a_folder_has_one_owner_and_must_be_private() {
        let root = tempfile::tempdir().unwrap();
        let place = RingPlace::Folder(root.path().join("rings"));
        let held = RingFolder::create(&place, root.path()).unwrap();
        assert!(RingFolder::create(&place, root.path()).is_err(), "it is in use");
        drop(held);
        drop(RingFolder::create(&place, root.path()).unwrap());
        assert!(!root.path().join("rings").exists());
        let open_to_all = root.path().join("open");
        std::fs::create_dir(&open_to_all).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(&open_to_all, mode).unwrap();
        assert!(RingFolder::create(&RingPlace::Folder(open_to_all), root.path()).is_err());
    }
}
