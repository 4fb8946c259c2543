//! Where data that is not part of the repository lies.

use std::path::{Path, PathBuf};

/// `../shared/data/<name>` beside the repository, or `None` (with a note on standard error) where there is none.
///
/// `manifest_dir` is the caller's `env!("CARGO_MANIFEST_DIR")`; the repository is the folder above it with a
/// `Cargo.lock`.
#[must_use]
pub fn shared_data(manifest_dir: &str, name: &str) -> Option<PathBuf> {
    let mut folders = Path::new(manifest_dir).ancestors();
    let root = folders.find(|folder| folder.join("Cargo.lock").is_file())?;
    let path = root.parent()?.join("shared").join("data").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: no data");
    None
}
