//! Where the files of the rings go.

use std::fs::DirBuilder;
use std::hash::Hasher;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::config::RingPlace;
use crate::ring::{Place, RingError};

/// The folder of a pipeline's rings; removed with them when it is dropped.
pub(crate) struct RingFolder {
    folder: Option<PathBuf>,
    /// Whether memory of this process may take the place of a file that cannot be had.
    may_fall_back: bool,
}

impl RingFolder {
    /// Makes the folder.
    pub(crate) fn create(place: &RingPlace, data_folder: &Path) -> Result<Self, RingError> {
        match place {
            RingPlace::Anonymous => Ok(Self { folder: None, may_fall_back: false }),
            RingPlace::Folder(folder) => match private_folder(folder) {
                Ok(()) => Ok(Self { folder: Some(folder.clone()), may_fall_back: false }),
                Err(source) => Err(RingError::Io { place: folder.display().to_string(), source }),
            },
            RingPlace::Auto => {
                let folder = Path::new("/dev/shm").join(name_for(data_folder));
                let folder = private_folder(&folder).is_ok().then_some(folder);
                Ok(Self { folder, may_fall_back: true })
            }
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
        let Some(folder) = &self.folder else { return };
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "ring") {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        let _ = std::fs::remove_dir(folder);
    }
}

/// `rialto-<name>-<hash of the path>`: the same for each start on the same data folder, another for each other.
fn name_for(data_folder: &Path) -> String {
    let path = data_folder.canonicalize().unwrap_or_else(|_| data_folder.to_path_buf());
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(path.as_os_str().as_encoded_bytes());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    format!("rialto-{name}-{:016x}", hasher.finish())
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
