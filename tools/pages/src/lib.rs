//! A global allocator that puts big blocks on huge pages.
//!
//! The tables of an exchange are hundreds of megabytes that are read in no order. On pages of 4 KiB nearly every look into
//! them misses the processor's list of pages too, and on a virtual machine finding a page means walking two trees.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Size and alignment of a huge page.
const HUGE_BYTES: usize = 2 << 20;

/// A block of so many bytes and more is big: one huge page instead of more than a hundred ordinary ones.
const BIG_BYTES: usize = 512 << 10;

/// The system's allocator, but blocks of 512 KiB and more lie in mappings of their own, of whole huge pages, which the
/// kernel is asked to back with such. Where it has none, or knows none, they are like any other memory.
///
/// A block that comes zeroed is not touched: its memory is taken as it is used, 2 MiB at a time.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: pages::HugePages = pages::HugePages;
///
/// let table = vec![0u64; 1 << 20];
/// assert_eq!(table.as_ptr().addr() % (2 << 20), 0);
/// ```
pub struct HugePages;

/// Whether big blocks get their memory when they are made.
static AT_ONCE: AtomicBool = AtomicBool::new(false);

/// Says whether big blocks made from now on get all their memory at once, instead of 2 MiB at a time as they are used:
/// clearing such a page takes up to a millisecond, which somebody would wait for. Where the kernel cannot (Linux before
/// 5.14) or has no more memory, they get it as they are used all the same.
pub fn take_memory_at_once(at_once: bool) {
    AT_ONCE.store(at_once, Ordering::Relaxed);
}

/// Whether a block gets a mapping of its own.
fn is_big(layout: Layout) -> bool {
    layout.size() >= BIG_BYTES && layout.align() <= HUGE_BYTES
}

/// Bytes of the huge pages that a block of so many bytes takes, or `None` if they are too many.
fn whole_pages(bytes: usize) -> Option<usize> {
    bytes.checked_next_multiple_of(HUGE_BYTES)
}

/// Maps zeroed memory for a big block. Null if there is none.
fn map(layout: Layout) -> *mut u8 {
    let Some(bytes) = whole_pages(layout.size()) else { return ptr::null_mut() };
    let Some(room) = bytes.checked_add(HUGE_BYTES) else { return ptr::null_mut() };
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping where the kernel likes; it takes nothing from anybody.
    let start = unsafe { libc::mmap(ptr::null_mut(), room, access, kind, -1, 0) };
    if start == libc::MAP_FAILED {
        return ptr::null_mut();
    }
    let start = start.cast::<u8>();
    let before = start.addr().next_multiple_of(HUGE_BYTES) - start.addr();
    let block = start.wrapping_add(before);
    unmap(start, before);
    unmap(block.wrapping_add(bytes), room - before - bytes);
    #[cfg(target_os = "linux")]
    // SAFETY: both are advice about a mapping made above; a kernel that cannot follow it says so and changes nothing that is
    // written there.
    unsafe {
        libc::madvise(block.cast(), bytes, libc::MADV_HUGEPAGE);
        if AT_ONCE.load(Ordering::Relaxed) {
            libc::madvise(block.cast(), bytes, libc::MADV_POPULATE_WRITE);
        }
    }
    block
}

/// Gives memory from [`map`] back that nobody uses.
fn unmap(start: *mut u8, bytes: usize) {
    if bytes > 0 {
        // SAFETY: only called for whole pages of mappings made in `map`, each once.
        let result = unsafe { libc::munmap(start.cast(), bytes) };
        debug_assert_eq!(result, 0);
    }
}

// SAFETY: small blocks are handed on to the system's allocator unchanged, and come back to it since whether a block is
// small follows from its layout. Big ones are mappings of their own, at least as large and as aligned as asked for.
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_big(layout) {
            return map(layout);
        }
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_big(layout) {
            return map(layout);
        }
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size, rounded up to the alignment, does not overflow.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        if !is_big(layout) && !is_big(new_layout) {
            // SAFETY: `block` came from the system's allocator with this layout.
            return unsafe { System.realloc(block, layout, new_size) };
        }
        // SAFETY: the new size is not 0, as the caller promises.
        let moved = unsafe { self.alloc(new_layout) };
        if !moved.is_null() {
            // SAFETY: both blocks are at least so long, and apart from each other; the old one came from here.
            unsafe {
                ptr::copy_nonoverlapping(block, moved, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
        }
        moved
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_big(layout) {
            return unmap(block, whole_pages(layout.size()).unwrap_or_default());
        }
        // SAFETY: `block` came from the system's allocator with this layout.
        unsafe { System.dealloc(block, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: HugePages = HugePages;

    #[test]
    fn big_blocks_begin_on_a_huge_page_and_come_zeroed() {
        for bytes in [BIG_BYTES, HUGE_BYTES, HUGE_BYTES + 1, 5 * HUGE_BYTES - 7] {
            let block = vec![0u8; bytes];
            assert_eq!(block.as_ptr().addr() % HUGE_BYTES, 0, "{bytes}");
            assert!(block.iter().all(|&byte| byte == 0), "{bytes}");
        }
        let small = vec![0u8; BIG_BYTES - 1];
        assert!(small.iter().all(|&byte| byte == 0));
    }

    /// The tables of the exchange were reserved at the start and cleared page by page when orders came: the first ten
    /// thousand orders waited up to 160 ms.
    #[cfg(target_os = "linux")]
    #[test]
    fn memory_that_is_taken_at_once_is_there() {
        let resident = |block: &[u8]| {
            let page_bytes = 4096;
            let mut pages = vec![0u8; block.len() / page_bytes];
            let start = block.as_ptr().cast_mut().cast();
            // SAFETY: the block is mapped, begins on a page, and there is a byte for each page of it.
            let code = unsafe { libc::mincore(start, block.len(), pages.as_mut_ptr()) };
            assert_eq!(code, 0, "{}", std::io::Error::last_os_error());
            pages.iter().filter(|&&page| page & 1 == 1).count() * page_bytes
        };
        take_memory_at_once(true);
        let block = vec![0u8; 4 * HUGE_BYTES];
        take_memory_at_once(false);
        assert_eq!(resident(&block), 4 * HUGE_BYTES);
        assert!(block.iter().all(|&byte| byte == 0));
    }

    /// Grows from a small block to big ones and shrinks back, and goes on while others do the same.
    #[test]
    fn what_is_in_a_block_moves_with_it() {
        let grow = |seed: u64| {
            let mut block: Vec<u64> = Vec::new();
            for value in 0..1_000_000 {
                block.push(value ^ seed);
            }
            block.truncate(400_000);
            block.shrink_to_fit();
            assert_eq!(block.as_ptr().addr() % HUGE_BYTES, 0);
            block.truncate(1_000);
            block.shrink_to_fit();
            assert!(block.iter().copied().eq((0..1_000).map(|value| value ^ seed)));
        };
        std::thread::scope(|scope| {
            (0..3).for_each(|seed| drop(scope.spawn(move || grow(seed << 40))));
        });
    }

    #[test]
    fn a_block_that_nothing_could_hold_is_refused() {
        let layout = Layout::from_size_align(isize::MAX as usize - HUGE_BYTES, 64).unwrap();
        // SAFETY: the layout is not empty.
        assert!(unsafe { HugePages.alloc(layout) }.is_null());
    }

    /// What was mapped around a block to align it is given back, and the block too.
    #[cfg(target_os = "linux")]
    #[test]
    fn blocks_that_are_dropped_leave_nothing_mapped() {
        let mapped_kib = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
            line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
        };
        let before = mapped_kib();
        for _ in 0..1_000 {
            drop(std::hint::black_box(vec![0u8; 64 * HUGE_BYTES]));
        }
        // 1,000 remainders of up to 2 MiB would be a gigabyte; other tests of this process run beside this one.
        assert!(mapped_kib() < before + (200 << 10), "{before} KiB before, {} after", mapped_kib());
    }
}
