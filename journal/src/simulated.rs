//! A disk in memory that fails on demand: full, broken, writing short, or losing power.
//!
//! Every file has two contents: live, what the process reads back, and durable, what is left when power fails. A write
//! becomes durable by `sync`; when power fails, each 512-byte sector touched since then keeps a random number of the
//! writes to it. Creations, renames and removals become durable by `sync_folder`, and a random number of those since
//! then survive, in order, as on a journaling file system.

use crate::storage::{Storage, StorageFile};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a disk writes as a whole or not at all, in bytes.
pub const SECTOR_BYTES: u64 = 512;

/// How the disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// One write finds no space.
    NoSpace,
    /// One write fails.
    WriteError,
    /// One sync fails, and what it should have made safe is forgotten, as Linux does.
    SyncError,
    /// One write writes only half.
    ShortWrite,
    /// One rename fails.
    RenameError,
    /// One reservation of space fails.
    AllocateError,
    /// One creation or removal of a file, or one sync of a folder, fails.
    FolderError,
    /// This operation and all after it fail: call [`SimulatedStorage::power_loss`] next.
    PowerLoss,
}

/// How reading fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFault {
    /// One read fails, as from a bad sector.
    Error,
    /// One read gives only half, though the file goes on.
    Short,
}

#[derive(Clone)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Resize(u64),
}

#[derive(Clone, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Naming {
    Create(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

type Names = BTreeMap<PathBuf, u64>;

#[derive(Default)]
struct Disk {
    inodes: BTreeMap<u64, Inode>,
    names: Names,
    durable_names: Names,
    pending_names: Vec<Naming>,
    next_inode: u64,
    /// Raised by a loss of power: files opened before it are dead.
    generation: u64,
    capacity: Option<u64>,
    fault: Option<(u64, Fault)>,
    operations: u64,
    read_fault: Option<(u64, ReadFault)>,
    reads: u64,
    dead: bool,
    /// Nanoseconds since the disk was made.
    elapsed_ns: u64,
}

/// The disk.
#[derive(Clone, Default)]
pub struct SimulatedStorage {
    disk: Arc<Mutex<Disk>>,
}

struct SimulatedFile {
    disk: Arc<Mutex<Disk>>,
    inode: u64,
    generation: u64,
}

/// SplitMix64: enough to choose sectors, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }
}

fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimulatedStorage {
    /// An empty disk without limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the disk to `bytes`, all file lengths together.
    pub fn set_capacity(&self, bytes: u64) {
        lock(&self.disk).capacity = Some(bytes);
    }

    /// Lets the operation after the next `operations` changing ones fail, where the fault applies to it (the next one
    /// that it applies to otherwise).
    pub fn fail_after(&self, operations: u64, fault: Fault) {
        let mut disk = lock(&self.disk);
        disk.fault = Some((disk.operations + operations, fault));
    }

    /// Lets the read after the next `reads` fail.
    pub fn fail_read_after(&self, reads: u64, fault: ReadFault) {
        let mut disk = lock(&self.disk);
        disk.read_fault = Some((disk.reads + reads, fault));
    }

    /// Whether the fault of [`SimulatedStorage::fail_read_after`] is still to come.
    #[must_use]
    pub fn read_fault_is_pending(&self) -> bool {
        lock(&self.disk).read_fault.is_some()
    }

    /// Changing operations so far: writes, syncs, creations, renames, removals.
    #[must_use]
    pub fn operations(&self) -> u64 {
        lock(&self.disk).operations
    }

    /// Power fails and comes back: what was not synced survives at random. Open files are dead.
    pub fn power_loss(&self, random: &mut Random) {
        let mut disk = lock(&self.disk);
        let disk = &mut *disk;
        let survive = random.below(disk.pending_names.len() as u64 + 1) as usize;
        for naming in disk.pending_names.drain(..).take(survive) {
            apply_naming(&mut disk.durable_names, &naming);
        }
        disk.names = disk.durable_names.clone();
        for inode in disk.inodes.values_mut() {
            inode.lose_power(random);
        }
        disk.generation += 1;
        disk.fault = None;
        disk.dead = false;
    }

    /// The process is killed, the disk goes on: nothing is lost, and what was not synced stays so. Open files are dead.
    pub fn kill_process(&self) {
        let mut disk = lock(&self.disk);
        disk.generation += 1;
        disk.fault = None;
        disk.dead = false;
    }

    /// Changes one byte of a file, live and durable: damage.
    ///
    /// # Panics
    /// If there is no such file or byte.
    pub fn flip(&self, path: &Path, offset: usize, mask: u8) {
        let mut disk = lock(&self.disk);
        let inode = disk.names[path];
        let inode = disk.inodes.get_mut(&inode).expect("a name has an inode");
        inode.live[offset] ^= mask;
        inode.durable.clone_from(&inode.live);
        inode.pending.clear();
    }

    /// Lets time pass.
    pub fn advance_time(&self, by_ns: u64) {
        lock(&self.disk).elapsed_ns += by_ns;
    }

    /// A copy of the disk as it is, with all that is not durable yet.
    #[must_use]
    pub fn copy_unsettled(&self) -> Self {
        let disk = lock(&self.disk);
        let copy = Disk {
            inodes: disk.inodes.clone(),
            names: disk.names.clone(),
            durable_names: disk.durable_names.clone(),
            pending_names: disk.pending_names.clone(),
            next_inode: disk.next_inode,
            capacity: disk.capacity,
            elapsed_ns: disk.elapsed_ns,
            ..Disk::default()
        };
        Self { disk: Arc::new(Mutex::new(copy)) }
    }

    /// A copy of the live disk, all of it durable, to damage again and again.
    #[must_use]
    pub fn copy(&self) -> Self {
        let disk = lock(&self.disk);
        let settle = |(id, inode): (&u64, &Inode)| {
            (*id, Inode { live: inode.live.clone(), durable: inode.live.clone(), pending: Vec::new() })
        };
        let copy = Disk {
            inodes: disk.inodes.iter().map(settle).collect(),
            names: disk.names.clone(),
            durable_names: disk.names.clone(),
            next_inode: disk.next_inode,
            capacity: disk.capacity,
            elapsed_ns: disk.elapsed_ns,
            ..Disk::default()
        };
        Self { disk: Arc::new(Mutex::new(copy)) }
    }
}

impl Inode {
    fn change(&mut self, change: Change) {
        apply(&mut self.live, &change);
        self.pending.push(change);
    }

    fn lose_power(&mut self, random: &mut Random) {
        let pending = std::mem::take(&mut self.pending);
        let resizes = pending.iter().filter(|change| matches!(change, Change::Resize(_))).count();
        let mut resizes = random.below(resizes as u64 + 1);
        // How many of the writes to each sector survive.
        let mut kept: BTreeMap<u64, u64> = BTreeMap::new();
        for sector in pending.iter().flat_map(Change::sectors).collect::<BTreeSet<_>>() {
            let touches = pending.iter().filter(|change| change.sectors().contains(&sector)).count() as u64;
            kept.insert(sector, random.below(touches + 1));
        }
        for change in &pending {
            let Change::Write { offset, bytes } = change else {
                if resizes > 0 {
                    resizes -= 1;
                    apply(&mut self.durable, change);
                }
                continue;
            };
            for sector in change.sectors() {
                let left = kept.entry(sector).or_default();
                if *left > 0 {
                    *left -= 1;
                    write_sector(&mut self.durable, sector, *offset, bytes);
                }
            }
        }
        self.live.clone_from(&self.durable);
    }
}

impl Change {
    fn sectors(&self) -> std::ops::Range<u64> {
        match self {
            Self::Write { offset, bytes } => {
                offset / SECTOR_BYTES..(offset + bytes.len() as u64).div_ceil(SECTOR_BYTES)
            }
            Self::Resize(_) => 0..0,
        }
    }
}

/// Writes the part of `bytes` (which go to `offset`) that lies in `sector`; nothing beyond the end of the file.
fn write_sector(content: &mut [u8], sector: u64, offset: u64, bytes: &[u8]) {
    let start = (sector * SECTOR_BYTES).max(offset);
    let end = ((sector + 1) * SECTOR_BYTES).min(offset + bytes.len() as u64).min(content.len() as u64);
    if start < end {
        let from = &bytes[(start - offset) as usize..(end - offset) as usize];
        content[start as usize..end as usize].copy_from_slice(from);
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, bytes } => {
            let end = *offset as usize + bytes.len();
            content.resize(content.len().max(end), 0);
            content[*offset as usize..end].copy_from_slice(bytes);
        }
        Change::Resize(length) => content.resize(*length as usize, 0),
    }
}

fn apply_naming(names: &mut Names, naming: &Naming) {
    match naming {
        Naming::Create(path, inode) => {
            names.insert(path.clone(), *inode);
        }
        Naming::Rename(from, to) => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
        Naming::Remove(path) => {
            names.remove(path);
        }
    }
}

impl Disk {
    /// Counts a changing operation; says which fault strikes it.
    fn operation(&mut self, applies: &[Fault]) -> io::Result<Option<Fault>> {
        self.operations += 1;
        if self.dead {
            return Err(io::Error::other("power is off"));
        }
        let Some((at, fault)) = self.fault else { return Ok(None) };
        if self.operations <= at || !(fault == Fault::PowerLoss || applies.contains(&fault)) {
            return Ok(None);
        }
        self.fault = None;
        match fault {
            Fault::PowerLoss => {
                self.dead = true;
                Err(io::Error::other("power is off"))
            }
            Fault::NoSpace => Err(io::ErrorKind::StorageFull.into()),
            Fault::WriteError | Fault::RenameError | Fault::AllocateError | Fault::FolderError => {
                Err(io::Error::other("simulated disk error"))
            }
            Fault::SyncError | Fault::ShortWrite => Ok(Some(fault)),
        }
    }

    /// Counts a read; says which fault strikes it.
    fn read(&mut self) -> Option<ReadFault> {
        self.reads += 1;
        let (at, fault) = self.read_fault?;
        if self.reads <= at {
            return None;
        }
        self.read_fault = None;
        Some(fault)
    }

    fn used(&self) -> u64 {
        self.names.values().filter_map(|id| self.inodes.get(id)).map(|inode| inode.live.len() as u64).sum()
    }

    fn rename_all(&mut self, naming: Naming) {
        apply_naming(&mut self.names, &naming);
        self.pending_names.push(naming);
    }
}

impl SimulatedFile {
    fn with<T>(&self, step: impl FnOnce(&mut Disk, u64) -> io::Result<T>) -> io::Result<T> {
        let mut disk = lock(&self.disk);
        if disk.generation != self.generation {
            return Err(io::Error::other("the file was open when power failed"));
        }
        step(&mut disk, self.inode)
    }
}

fn inode(disk: &mut Disk, id: u64) -> io::Result<&mut Inode> {
    disk.inodes.get_mut(&id).ok_or_else(|| io::ErrorKind::NotFound.into())
}

impl StorageFile for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|disk, id| {
            let fault = disk.read();
            let live = &inode(disk, id)?.live;
            let rest = live.get(offset as usize..).unwrap_or_default();
            let mut count = rest.len().min(buffer.len());
            match fault {
                Some(ReadFault::Error) => return Err(io::Error::other("simulated read error")),
                Some(ReadFault::Short) => count = count.div_ceil(2),
                None => {}
            }
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.with(|disk, id| {
            let fault = disk.operation(&[Fault::NoSpace, Fault::WriteError, Fault::ShortWrite])?;
            let count = if fault.is_some() { bytes.len().div_ceil(2) } else { bytes.len() };
            inode(disk, id)?.change(Change::Write { offset, bytes: bytes[..count].to_vec() });
            Ok(count)
        })
    }

    fn begin_write_back(&self, _offset: u64, _length: u64) -> io::Result<()> {
        // What a loss of power keeps of writes that were not synced is chosen at random anyway.
        self.with(|disk, _| disk.operation(&[Fault::WriteError]).map(drop))
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|disk, id| {
            let fault = disk.operation(&[Fault::SyncError])?;
            let inode = inode(disk, id)?;
            inode.pending.clear();
            if fault.is_some() {
                // The pages are marked clean although they never reached the disk: a second sync would "succeed".
                return Err(io::Error::other("simulated sync error"));
            }
            inode.durable.clone_from(&inode.live);
            Ok(())
        })
    }

    fn length(&self) -> io::Result<u64> {
        self.with(|disk, id| Ok(inode(disk, id)?.live.len() as u64))
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.with(|disk, id| {
            disk.operation(&[])?;
            inode(disk, id)?.change(Change::Resize(length));
            Ok(())
        })
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.with(|disk, id| {
            disk.operation(&[Fault::AllocateError])?;
            let (used, capacity) = (disk.used(), disk.capacity.unwrap_or(u64::MAX));
            let inode = inode(disk, id)?;
            let more = length.saturating_sub(inode.live.len() as u64);
            if used.saturating_add(more) > capacity {
                return Err(io::ErrorKind::StorageFull.into());
            }
            if more > 0 {
                inode.change(Change::Resize(length));
            }
            Ok(())
        })
    }
}

impl SimulatedStorage {
    fn file(&self, inode: u64, generation: u64) -> Box<dyn StorageFile> {
        Box::new(SimulatedFile { disk: Arc::clone(&self.disk), inode, generation })
    }
}

impl Storage for SimulatedStorage {
    fn open(&self, path: &Path, _writable: bool) -> io::Result<Box<dyn StorageFile>> {
        let disk = lock(&self.disk);
        let inode = disk.names.get(path).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(inode, disk.generation))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        let mut disk = lock(&self.disk);
        disk.operation(&[Fault::FolderError])?;
        if disk.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        disk.next_inode += 1;
        let id = disk.next_inode;
        disk.inodes.insert(id, Inode::default());
        disk.rename_all(Naming::Create(path.to_path_buf(), id));
        Ok(self.file(id, disk.generation))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let disk = lock(&self.disk);
        let inside = disk.names.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        disk.operation(&[Fault::RenameError])?;
        if !disk.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        disk.rename_all(Naming::Rename(from.to_path_buf(), to.to_path_buf()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        disk.operation(&[Fault::FolderError])?;
        if !disk.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        disk.rename_all(Naming::Remove(path.to_path_buf()));
        Ok(())
    }

    fn create_folder(&self, _folder: &Path) -> io::Result<()> {
        lock(&self.disk).operation(&[]).map(|_| ())
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        disk.operation(&[Fault::FolderError])?;
        let disk = &mut *disk;
        for naming in disk.pending_names.drain(..) {
            apply_naming(&mut disk.durable_names, &naming);
        }
        Ok(())
    }

    fn free_space(&self, _folder: &Path) -> io::Result<u64> {
        let disk = lock(&self.disk);
        Ok(disk.capacity.unwrap_or(u64::MAX).saturating_sub(disk.used()))
    }

    fn now_ns(&self) -> u64 {
        1_700_000_000_000_000_000 + lock(&self.disk).elapsed_ns
    }
}
