//! Passwords that clients have changed: a file beside the data, with hashes only.
//!
//! One line for each user: SenderCompID, the hash of the configuration that was in force, and the hash that replaced it.
//! So a new hash in the configuration (an operator who resets a password) wins over an older change. The file is
//! readable by its owner only, and replaced as a whole.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::PasswordHash;

/// A changed password: what it replaced, and itself.
type Change = (String, PasswordHash);

/// The file. See the module's documentation.
pub struct ChangedPasswords {
    path: PathBuf,
    changes: BTreeMap<String, Change>,
}

impl ChangedPasswords {
    /// Reads the file; none is an empty one.
    ///
    /// # Errors
    /// When it cannot be read, or holds something else: a changed password must not silently become the old one.
    pub fn open(path: &Path) -> io::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(named(path, &error.to_string())),
        };
        let mut changes = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split(' ').collect();
            let [name, old, new] = words.as_slice() else {
                return Err(named(path, &format!("line {} is not a user with two hashes", number + 1)));
            };
            let hash = PasswordHash::parse(new)
                .map_err(|error| named(path, &format!("line {}: {error}", number + 1)))?;
            changes.insert((*name).to_owned(), ((*old).to_owned(), hash));
        }
        Ok(Self { path: path.to_owned(), changes })
    }

    /// The hash that counts for a user whose configuration has `configured`.
    #[must_use]
    pub fn current(&self, sender_comp_id: &str, configured: &PasswordHash) -> PasswordHash {
        let change = self.changes.get(sender_comp_id).filter(|it| it.0 == configured.to_string());
        change.map_or_else(|| configured.clone(), |it| it.1.clone())
    }

    /// A user has a new password from now on, also after a restart.
    ///
    /// # Errors
    /// When the file cannot be written; the old password stays then.
    pub fn change(
        &mut self,
        sender_comp_id: &str,
        configured: &PasswordHash,
        new: PasswordHash,
    ) -> io::Result<()> {
        let change = (configured.to_string(), new);
        let before = self.changes.insert(sender_comp_id.to_owned(), change);
        let written = self.write();
        if written.is_err() {
            match before {
                Some(before) => self.changes.insert(sender_comp_id.to_owned(), before),
                None => self.changes.remove(sender_comp_id),
            };
        }
        written
    }

    fn write(&self) -> io::Result<()> {
        let lines = self.changes.iter().map(|(name, (old, new))| format!("{name} {old} {new}\n"));
        let temporary = self.path.with_extension("writing");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(lines.collect::<String>().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, &self.path)?;
        match self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

fn named(path: &Path, problem: &str) -> io::Error {
    io::Error::other(format!("changed passwords {}: {problem}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn hash(password: &str) -> PasswordHash {
        PasswordHash::create(password.as_bytes(), 8, 1).unwrap()
    }

    #[test]
    fn a_change_survives_and_a_new_configuration_wins() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("passwords");
        let (first, reset) = (hash("first"), hash("reset"));
        let mut file = ChangedPasswords::open(&path).unwrap();
        assert!(file.current("ALICE", &first).verify(b"first"));
        file.change("ALICE", &first, hash("second")).unwrap();
        file.change("BOB", &reset, hash("bobs")).unwrap();
        let again = ChangedPasswords::open(&path).unwrap();
        assert!(again.current("ALICE", &first).verify(b"second"));
        assert!(again.current("BOB", &reset).verify(b"bobs"));
        assert!(again.current("ALICE", &reset).verify(b"reset"), "the operator has set another one");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!std::fs::read_to_string(&path).unwrap().contains("second"));
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_what_cannot_be_written_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("passwords");
        std::fs::write(&path, "ALICE secret\n").unwrap();
        assert!(ChangedPasswords::open(&path).err().unwrap().to_string().contains("line 1"));
        let first = hash("first");
        let mut nowhere = ChangedPasswords::open(&directory.path().join("no/such/folder")).unwrap();
        assert!(nowhere.change("ALICE", &first, hash("second")).is_err());
        assert!(nowhere.current("ALICE", &first).verify(b"first"));
    }
}
