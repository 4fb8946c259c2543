//! Reading by mapping, for followers in other processes. A mapped page that cannot be had (its file was cut, its disk
//! failed) raises SIGBUS; here that becomes an error of the read that met it.
//!
//! The handler puts a page of zeros in place of the one that is missing and notes it; the copy goes on over zeros, and
//! [`MappedStorage`]'s read looks at the note before it believes what it copied. A bus error anywhere else goes to whoever
//! handled it before.

use crate::DiskStorage;
use crate::storage::{Storage, StorageFile};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The file system of the operating system; files that are opened for reading are mapped.
///
/// Reads are bounded by the length that the file has at that moment. One that is cut meanwhile, or whose disk fails, gives
/// an error, not a crash. For a [`crate::StreamReader`]: `StreamReader::open_with(folder, Arc::new(MappedStorage))`.
#[derive(Clone, Copy, Debug, Default)]
pub struct MappedStorage;

/// Most files that are mapped at once in a process; a reader holds two at most. Beyond it files are read by `pread`.
const MAX_REGIONS: usize = 256;

/// A mapping, as the signal handler sees it. Free where `start` is 0.
struct Region {
    start: AtomicUsize,
    end: AtomicUsize,
    /// A page of it could not be had.
    struck: AtomicBool,
}

static REGIONS: [Region; MAX_REGIONS] = [const {
    Region { start: AtomicUsize::new(0), end: AtomicUsize::new(0), struck: AtomicBool::new(false) }
}; MAX_REGIONS];

/// Who handled bus errors before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();
/// Bytes of a page.
static PAGE: AtomicUsize = AtomicUsize::new(0);

/// A file's mapping and its place among the regions.
struct Mapping {
    start: *mut libc::c_void,
    length: usize,
    region: &'static Region,
}

// SAFETY: the mapping is read only, belongs to this value, and is unmapped when it is dropped; reads copy out of it.
unsafe impl Send for Mapping {}
// SAFETY: as above; `struck` is an atomic.
unsafe impl Sync for Mapping {}

struct MappedFile {
    file: File,
    mapping: Option<Mapping>,
}

impl Mapping {
    /// Maps `length` bytes; `None` where that cannot be done, and the file is to be read in another way.
    fn new(file: &File, length: u64) -> Option<Self> {
        let length = usize::try_from(length).ok().filter(|length| *length > 0)?;
        install().ok()?;
        let region = REGIONS.iter().find(|region| {
            // Taken with a start that no address is in, until the bounds are known.
            region.start.compare_exchange(0, usize::MAX, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })?;
        // SAFETY: a new mapping of an open file, read only, at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(ptr::null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        if start == libc::MAP_FAILED {
            region.start.store(0, Ordering::Release);
            return None;
        }
        region.struck.store(false, Ordering::Relaxed);
        region.end.store(start as usize + length, Ordering::Release);
        region.start.store(start as usize, Ordering::Release);
        Some(Self { start, length, region })
    }

    /// Copies from the mapping; an error where a page could not be had.
    fn copy(&self, buffer: &mut [u8], offset: usize) -> io::Result<()> {
        assert!(offset + buffer.len() <= self.length, "the caller keeps within the mapping");
        // SAFETY: source and target are valid for so many bytes (just asserted; the mapping lives as long as `self`) and
        // do not overlap. Another process may write the source meanwhile: whatever is copied is checked by its reader. A
        // page that is missing is replaced by zeros in the handler.
        unsafe {
            let source = self.start.cast::<u8>().add(offset);
            ptr::copy_nonoverlapping(source, buffer.as_mut_ptr(), buffer.len());
        }
        if self.region.struck.load(Ordering::Acquire) {
            return Err(io::Error::other(
                "a mapped page could not be read: the file was cut, or its disk failed",
            ));
        }
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.region.end.store(0, Ordering::Release);
        // SAFETY: this value's own mapping, which nobody reads any more.
        unsafe { libc::munmap(self.start, self.length) };
        self.region.start.store(0, Ordering::Release);
    }
}

/// Handles bus errors from now on. Once for a process.
fn install() -> io::Result<()> {
    static OUTCOME: OnceLock<Result<(), i32>> = OnceLock::new();
    let outcome = OUTCOME.get_or_init(|| {
        // SAFETY: asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        PAGE.store(usize::try_from(page).map_err(|_| libc::EINVAL)?, Ordering::Release);
        let mut before = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: reads the present action into memory of its size.
        if unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), before.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL));
        }
        // SAFETY: the call has filled it. It is kept before our handler may want it.
        let _ = BEFORE.set(unsafe { before.assume_init() });
        // SAFETY: all-zero bytes are a valid `sigaction` (integers, an empty mask, a null restorer).
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_bus_error
            as extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void)
            as libc::sighandler_t;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: `action` is initialised, and its handler calls only what is safe in a signal handler.
        match unsafe { libc::sigaction(libc::SIGBUS, &action, ptr::null_mut()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)),
        }
    });
    outcome.map_err(io::Error::from_raw_os_error)
}

extern "C" fn on_bus_error(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel gives a valid `siginfo_t`, which has an address for this signal.
    let address = unsafe { (*info).si_addr() } as usize;
    let holds = |region: &&Region| {
        region.start.load(Ordering::Acquire) <= address && address < region.end.load(Ordering::Acquire)
    };
    let Some(region) = REGIONS.iter().find(holds) else {
        return pass_on(signal, info, context);
    };
    let page = PAGE.load(Ordering::Acquire);
    region.struck.store(true, Ordering::Release);
    // SAFETY: replaces one page inside a mapping of ours, which its owner is reading; `mmap` is a plain system call.
    let placed = unsafe {
        libc::mmap(
            (address & !(page - 1)) as *mut libc::c_void,
            page,
            libc::PROT_READ,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    if placed == libc::MAP_FAILED {
        pass_on(signal, info, context);
    }
}

/// A bus error that is not ours.
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Some(before) = BEFORE.get() else { return };
    if before.sa_sigaction == libc::SIG_DFL || before.sa_sigaction == libc::SIG_IGN {
        // SAFETY: puts back what was there; the access is repeated, and the kernel ends the process.
        unsafe { libc::sigaction(signal, before, ptr::null_mut()) };
    } else if before.sa_flags & libc::SA_SIGINFO != 0 {
        // SAFETY: a handler that was installed with this flag has this signature.
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            unsafe { std::mem::transmute(before.sa_sigaction) };
        handler(signal, info, context);
    } else {
        // SAFETY: a handler that was installed without that flag has this signature.
        let handler: extern "C" fn(libc::c_int) = unsafe { std::mem::transmute(before.sa_sigaction) };
        handler(signal);
    }
}

impl StorageFile for MappedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(mapping) = &self.mapping else { return self.file.read_at(buffer, offset) };
        let length = self.file.metadata()?.len().min(mapping.length as u64);
        let Some(rest) = length.checked_sub(offset).filter(|rest| *rest > 0) else {
            // Longer than it was when it was mapped, or at its end.
            return self.file.read_at(buffer, offset);
        };
        let count = buffer.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
        mapping.copy(&mut buffer[..count], offset as usize)?;
        Ok(count)
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn truncate(&self, _length: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn allocate(&self, _length: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

impl Storage for MappedStorage {
    fn open(&self, path: &Path, writable: bool) -> io::Result<Box<dyn StorageFile>> {
        if writable {
            return DiskStorage.open(path, true);
        }
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mapping = Mapping::new(&file, length);
        Ok(Box::new(MappedFile { file, mapping }))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        DiskStorage.create(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        DiskStorage.list(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        DiskStorage.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        DiskStorage.remove(path)
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        DiskStorage.create_folder(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        DiskStorage.sync_folder(folder)
    }

    fn free_space(&self, folder: &Path) -> io::Result<u64> {
        DiskStorage.free_space(folder)
    }

    fn now_ns(&self) -> u64 {
        DiskStorage.now_ns()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page is asked for after the file has lost it, as when it is cut between the look at its length and the copy.
    #[test]
    fn a_page_that_is_gone_is_an_error_of_the_read_and_of_all_later_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![7; 64 << 10]).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let (whole, other) = (Mapping::new(&file, 64 << 10).unwrap(), Mapping::new(&file, 64 << 10).unwrap());
        let mut buffer = vec![0; 20_000];
        whole.copy(&mut buffer, 30_000).unwrap();
        assert!(buffer.iter().all(|byte| *byte == 7));
        file.set_len(32 << 10).unwrap();
        let error = whole.copy(&mut buffer, 30_000).unwrap_err();
        assert!(error.to_string().contains("the file was cut"), "{error}");
        file.set_len(64 << 10).unwrap();
        assert!(whole.copy(&mut buffer, 0).is_err(), "what it shows there is not the file any more");
        other.copy(&mut buffer, 40_000).unwrap();
        assert!(buffer.iter().all(|byte| *byte == 0), "another mapping has met nothing");
    }

    #[test]
    fn a_file_is_read_up_to_its_present_length_and_never_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![7; 10_000]).unwrap();
        let file = MappedStorage.open(&path, false).unwrap();
        let mut buffer = vec![0; 6_000];
        assert_eq!(file.read_at(&mut buffer, 6_000).unwrap(), 4_000);
        assert_eq!(file.read_at(&mut buffer, 10_000).unwrap(), 0);
        let other = File::options().write(true).open(&path).unwrap();
        other.set_len(7_000).unwrap();
        assert_eq!((file.read_at(&mut buffer, 6_000).unwrap(), file.length().unwrap()), (1_000, 7_000));
        other.set_len(20_000).unwrap();
        other.write_all_at(&[9; 4], 15_000).unwrap();
        assert_eq!(file.read_at(&mut buffer[..4], 15_000).unwrap(), 4, "beyond the mapping");
        assert_eq!(buffer[..4], [9; 4]);
        assert!(file.write_at(&[1], 0).is_err() && file.truncate(0).is_err() && file.allocate(1).is_err());
        std::fs::write(folder.path().join("empty"), b"").unwrap();
        let empty = MappedStorage.open(&folder.path().join("empty"), false).unwrap();
        assert_eq!(empty.read_at(&mut buffer, 0).unwrap(), 0);
    }

    #[test]
    fn where_no_more_can_be_mapped_files_are_read_in_the_other_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![7; 5_000]).unwrap();
        let files: Vec<_> = (0..MAX_REGIONS + 3).map(|_| MappedStorage.open(&path, false).unwrap()).collect();
        let mut buffer = [0; 100];
        for file in &files {
            assert_eq!(file.read_at(&mut buffer, 4_900).unwrap(), 100);
            assert_eq!(buffer, [7; 100]);
        }
    }
}
