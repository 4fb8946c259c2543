//! An allocator that counts. The only `unsafe` of this crate.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Allocations of this thread. `const`, so that reading it allocates nothing.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// Bytes that they asked for.
    static BYTES: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting how often each thread asks it for memory.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: testkit::CountingAllocator = testkit::CountingAllocator;
///
/// let before = testkit::allocations();
/// let room = std::hint::black_box(vec![1u8; 100]);
/// assert_eq!(testkit::allocations() - before, 1);
/// drop(room);
/// ```
pub struct CountingAllocator;

/// How often this thread has asked for memory (allocating, growing or shrinking; not freeing). 0 for ever unless
/// [`CountingAllocator`] is the program's global allocator.
#[must_use]
pub fn allocations() -> u64 {
    ALLOCATIONS.try_with(Cell::get).unwrap_or(0)
}

/// Bytes that this thread has asked for so far, what it has freed included; a reallocation counts its new size.
#[must_use]
pub fn allocated_bytes() -> u64 {
    BYTES.try_with(Cell::get).unwrap_or(0)
}

fn count(bytes: usize) {
    // A thread that is ending has no counters any more, and nobody left to read them.
    let _ = ALLOCATIONS.try_with(|counter| counter.set(counter.get() + 1));
    let _ = BYTES.try_with(|counter| counter.set(counter.get() + bytes as u64));
}

/// The same over another allocator than the system's.
pub struct CountingOver<A>(pub A);

// SAFETY: every call is handed on unchanged to the inner allocator, which keeps the contract; counting touches a
// thread-local integer and does not allocate.
unsafe impl<A: GlobalAlloc> GlobalAlloc for CountingOver<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as above.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size);
        // SAFETY: `block` came from this allocator, that is from the inner one, with this layout.
        unsafe { self.0.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from this allocator, that is from the inner one, with this layout.
        unsafe { self.0.dealloc(block, layout) }
    }
}

// SAFETY: every call is handed on to the system's allocator.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { CountingOver(System).alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { CountingOver(System).alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: `block` came from this allocator, that is from the system's, with this layout.
        unsafe { CountingOver(System).realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from this allocator, that is from the system's, with this layout.
        unsafe { CountingOver(System).dealloc(block, layout) }
    }
}
