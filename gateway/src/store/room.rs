//! Whether the disk has room for what the store appends.
//!
//! The journal refuses new business when it has no room for its next segment and the reserve; each refusal is a message with
//! a number, and so is each report of a cancel, and these are appended here. So before the reserve is used up by what the
//! gateway itself writes, its clients wait.

use std::path::{Path, PathBuf};

use journal::{DiskStorage, Storage as _};

/// How often the disk is looked at.
const LOOK_NS: u64 = 100_000_000;
/// Looked at again before its time when so much has been appended: a part of what must be free.
const LOOK_BYTES: u64 = 8 << 20;

pub(super) struct Room {
    folder: PathBuf,
    /// Bytes that must be free.
    least: u64,
    looked_ns: u64,
    /// Length of the store at the last look.
    looked_length: u64,
    is_short: bool,
}

impl Room {
    pub(super) fn beside(path: &Path, least: u64) -> Self {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).to_path_buf();
        Self { folder, least, looked_ns: 0, looked_length: 0, is_short: false }
    }

    pub(super) fn is_short(&self) -> bool {
        self.is_short
    }

    /// Looks at the disk if it is time to; what an operator should know when that has changed.
    pub(super) fn look(&mut self, now_ns: u64, length: u64) -> Option<String> {
        let is_due = now_ns.saturating_sub(self.looked_ns) >= LOOK_NS
            || length.saturating_sub(self.looked_length) >= LOOK_BYTES;
        if !is_due {
            return None;
        }
        (self.looked_ns, self.looked_length) = (now_ns, length);
        // Where the disk cannot be asked the next write will tell.
        let free = DiskStorage.free_space(&self.folder).unwrap_or(u64::MAX);
        let was_short = std::mem::replace(&mut self.is_short, free < self.least);
        match (was_short, self.is_short) {
            (false, true) => Some(format!(
                "only {free} bytes are free on the disk of {}: clients have to wait until there are {}; free some space",
                self.folder.display(),
                self.least
            )),
            (true, false) => Some("the disk has room again: clients go on".to_owned()),
            _ => None,
        }
    }
}
