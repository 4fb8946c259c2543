//! All that the journal asks of a disk, so that tests can fail it on purpose.

use std::io;
use std::path::Path;
use std::sync::Arc;

/// An open file. One thread writes it; others may read and sync it meanwhile.
pub trait StorageFile: Send + Sync {
    /// Reads up to `buffer.len()` bytes at `offset`; fewer at the end of the file, 0 beyond it.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes up to `bytes.len()` bytes at `offset`, and returns how many were written.
    ///
    /// # Errors
    /// What the system says.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Asks the system to begin with the disk's part of what was written to these bytes, and does not wait for it. A hint: only
    /// [`StorageFile::sync`] makes anything safe. A storage that cannot do that does nothing.
    ///
    /// # Errors
    /// What the system says; the writer takes it for a failed write.
    fn begin_write_back(&self, _offset: u64, _length: u64) -> io::Result<()> {
        Ok(())
    }

    /// Returns when all that was written is safe against loss of power. After an error nothing may be assumed, and a
    /// second try proves nothing: the caller must stop.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&self) -> io::Result<()>;

    /// Length in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn length(&self) -> io::Result<u64>;

    /// Cuts the file to `length` bytes.
    ///
    /// # Errors
    /// What the system says.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// Reserves disk space up to `length` bytes and extends the file to it with zeros.
    ///
    /// # Errors
    /// What the system says; `StorageFull` when there is too little room.
    fn allocate(&self, length: u64) -> io::Result<()>;
}

/// A file system.
pub trait Storage: Send + Sync {
    /// Opens a file for reading, and for writing if `writable`.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, path: &Path, writable: bool) -> io::Result<Box<dyn StorageFile>>;

    /// Creates a file, which must not exist, for reading and writing.
    ///
    /// # Errors
    /// What the system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>>;

    /// Names in a folder, in no order.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Renames a file.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Creates a folder and its parents; it may exist.
    ///
    /// # Errors
    /// What the system says.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;

    /// Makes creations, renames and removals in a folder safe against loss of power.
    ///
    /// # Errors
    /// What the system says.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Bytes free for this process on the disk of `folder`.
    ///
    /// # Errors
    /// What the system says.
    fn free_space(&self, folder: &Path) -> io::Result<u64>;

    /// Wall clock in nanoseconds since the Unix epoch; only for the creation time in segment headers.
    fn now_ns(&self) -> u64;
}

/// A storage shared by the writers and readers of a journal.
pub type SharedStorage = Arc<dyn Storage>;

/// Writes all of `bytes`, however many calls that takes.
pub(crate) fn write_all(file: &dyn StorageFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads until `buffer` is full or the file ends; returns the bytes read.
pub(crate) fn read_full(file: &dyn StorageFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
