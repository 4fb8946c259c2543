//! A disk whose syncs, or writes, of the commands stream wait until the test lets them go.
#![allow(dead_code, missing_docs, reason = "each test binary uses its own part")]

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use journal::simulated::SimulatedStorage;
use journal::{Storage, StorageFile};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Sync,
    Write,
}

#[derive(Default)]
struct State {
    blocked: Option<Call>,
    waiting: usize,
    /// Bytes that the disk was asked to begin with.
    begun: u64,
}

#[derive(Clone, Default)]
pub struct BlockingStorage {
    pub disk: SimulatedStorage,
    state: Arc<(Mutex<State>, Condvar)>,
}

/// Lets the calls go at the end of a test, also of one that fails: threads that hang in them could not be joined.
pub struct Blocked(BlockingStorage);

impl Drop for Blocked {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl BlockingStorage {
    /// From now on syncs wait.
    #[must_use]
    pub fn block(&self) -> Blocked {
        self.block_calls(Call::Sync)
    }

    /// From now on writes wait.
    #[must_use]
    pub fn block_writes(&self) -> Blocked {
        self.block_calls(Call::Write)
    }

    fn block_calls(&self, call: Call) -> Blocked {
        self.state.0.lock().unwrap().blocked = Some(call);
        Blocked(self.clone())
    }

    pub fn release(&self) {
        self.state.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).blocked = None;
        self.state.1.notify_all();
    }

    /// Returns when a call is waiting.
    pub fn await_waiting(&self) {
        let guard = self.state.0.lock().unwrap();
        drop(self.state.1.wait_while(guard, |state| state.waiting == 0).unwrap());
    }

    /// Bytes of commands that the disk was asked to begin with, before any sync of them.
    pub fn begun(&self) -> u64 {
        self.state.0.lock().unwrap().begun
    }

    fn wrap(&self, path: &Path, file: Box<dyn StorageFile>) -> Box<dyn StorageFile> {
        let commands = path.to_string_lossy().contains("commands");
        Box::new(BlockingFile { file, state: commands.then(|| Arc::clone(&self.state)) })
    }
}

struct BlockingFile {
    file: Box<dyn StorageFile>,
    state: Option<Arc<(Mutex<State>, Condvar)>>,
}

impl BlockingFile {
    fn pass(&self, call: Call) {
        let Some(state) = &self.state else { return };
        let mut guard = state.0.lock().unwrap();
        if guard.blocked == Some(call) {
            guard.waiting += 1;
            state.1.notify_all();
            guard = state.1.wait_while(guard, |state| state.blocked == Some(call)).unwrap();
            guard.waiting -= 1;
        }
    }
}

impl StorageFile for BlockingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.pass(Call::Write);
        self.file.write_at(bytes, offset)
    }
    fn begin_write_back(&self, offset: u64, length: u64) -> io::Result<()> {
        if let Some(state) = &self.state {
            state.0.lock().unwrap().begun += length;
        }
        self.file.begin_write_back(offset, length)
    }
    fn sync(&self) -> io::Result<()> {
        self.pass(Call::Sync);
        self.file.sync()
    }
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.truncate(length)
    }
    fn allocate(&self, length: u64) -> io::Result<()> {
        self.file.allocate(length)
    }
}

impl Storage for BlockingStorage {
    fn open(&self, path: &Path, writable: bool) -> io::Result<Box<dyn StorageFile>> {
        Ok(self.wrap(path, self.disk.open(path, writable)?))
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        Ok(self.wrap(path, self.disk.create(path)?))
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        self.disk.create_folder(folder)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.disk.sync_folder(folder)
    }
    fn free_space(&self, folder: &Path) -> io::Result<u64> {
        self.disk.free_space(folder)
    }
    fn now_ns(&self) -> u64 {
        self.disk.now_ns()
    }
}
