//! The C interface: what the benchmark calls in the library that it has loaded.
//!
//! Its contract: `engine_init` comes first and `engine_shutdown` last; all calls come from one thread, but that a second
//! one calls `drain`; pointers to messages are valid during the call.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::Relaxed;

use crate::desk::{Desk, Outlet};
use crate::messages::{CancelMessage, ModifyMessage, NewOrderMessage, Report, TaggedMessage};
use crate::ring::Ring;

/// Set to anything, it makes the library use the benchmark's own queue.
const FOREIGN_TRANSPORT: &str = "RIALTO_FOREIGN_TRANSPORT";

/// The benchmark's table of functions for a queue of reports.
#[repr(C)]
pub struct Transport {
    create: unsafe extern "C" fn(capacity: u32) -> *mut c_void,
    push: unsafe extern "C" fn(queue: *mut c_void, report: *const Report) -> i32,
    drain: unsafe extern "C" fn(queue: *mut c_void, out: *mut Report, most: u32) -> u32,
    flush: unsafe extern "C" fn(queue: *mut c_void),
    destroy: unsafe extern "C" fn(queue: *mut c_void),
}

/// [`Ring`] as such a table.
static RING: Transport = Transport {
    create: ring_create,
    push: ring_push,
    drain: ring_drain,
    flush: ring_flush,
    destroy: ring_destroy,
};

extern "C" fn ring_create(capacity: u32) -> *mut c_void {
    Box::into_raw(Box::new(Ring::new(capacity))).cast()
}

unsafe extern "C" fn ring_push(queue: *mut c_void, report: *const Report) -> i32 {
    // SAFETY: the queue came from `ring_create` and is not destroyed yet, the report is valid during the call.
    let (ring, report) = unsafe { (&*queue.cast::<Ring>(), &*report) };
    i32::from(ring.push(report))
}

unsafe extern "C" fn ring_drain(queue: *mut c_void, out: *mut Report, most: u32) -> u32 {
    // SAFETY: the queue came from `ring_create` and is not destroyed yet; `out` has room for `most` reports, which may
    // be any bytes, as all fields are integers.
    let (ring, out) = unsafe { (&*queue.cast::<Ring>(), std::slice::from_raw_parts_mut(out, most as usize)) };
    ring.drain(out) as u32
}

unsafe extern "C" fn ring_flush(queue: *mut c_void) {
    // SAFETY: the queue came from `ring_create` and is not destroyed yet.
    unsafe { &*queue.cast::<Ring>() }.publish();
}

unsafe extern "C" fn ring_destroy(queue: *mut c_void) {
    // SAFETY: the queue came from `ring_create`, and this is the last call with it.
    drop(unsafe { Box::from_raw(queue.cast::<Ring>()) });
}

/// Where the reports of this run go.
enum Reports {
    Own(*const Ring),
    Foreign { push: unsafe extern "C" fn(*mut c_void, *const Report) -> i32, queue: *mut c_void },
}

impl Outlet for Reports {
    #[inline(always)]
    fn push(&mut self, report: &Report) {
        match self {
            Self::Own(ring) => {
                // SAFETY: the benchmark destroys the queue after the last message.
                let ring = unsafe { &**ring };
                while !ring.push(report) {
                    std::hint::spin_loop();
                }
            }
            Self::Foreign { push, queue } => {
                let words = in_wide_stores(report);
                // SAFETY: function and queue came together in `engine_init`; the words lie as a report does, are as long and
                // at least as aligned, and live through the call.
                while unsafe { push(*queue, words.as_ptr().cast()) } == 0 {
                    std::hint::spin_loop();
                }
            }
        }
    }
}

/// Two words that are stored by one instruction.
#[cfg(target_arch = "x86_64")]
type Pair = std::arch::x86_64::__m128i;

/// Two words.
#[cfg(not(target_arch = "x86_64"))]
#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Pair(u64, u64);

#[inline(always)]
fn pair(low: u64, high: u64) -> Pair {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction belongs to SSE2, which every x86_64 has.
    unsafe {
        std::arch::x86_64::_mm_set_epi64x(high as i64, low as i64)
    }
    #[cfg(not(target_arch = "x86_64"))]
    Pair(low, high)
}

/// A report as it lies in memory, stored 16 bytes at a time. The benchmark's queue copies a report in such pieces at once, and
/// a load that several narrow stores have part in waits until all of them, and all before them, are in the cache: the last
/// of those is the count that the reader on the other core has just taken away.
#[inline(always)]
fn in_wide_stores(report: &Report) -> [Pair; 4] {
    let codes = u64::from(report.kind) | u64::from(report.side) << 8;
    [
        pair(codes, report.sequence),
        pair(report.order_id, report.price_ticks as u64),
        pair(u64::from(report.quantity), report.maker_order_id),
        pair(report.taker_order_id, 0),
    ]
}

const _: () = assert!(size_of::<[Pair; 4]>() == size_of::<Report>());

/// The engine between `engine_init` and `engine_shutdown`.
static DESK: AtomicPtr<Desk<Reports>> = AtomicPtr::new(ptr::null_mut());

/// The engine. May be called only from the functions below, once in each.
#[inline(always)]
fn desk<'a>() -> &'a mut Desk<Reports> {
    // SAFETY: between `engine_init` and `engine_shutdown` the pointer is that of a live desk, and the benchmark calls
    // the functions below from one thread, so that nobody else holds a reference.
    unsafe { &mut *DESK.load(Relaxed) }
}

/// Sets the engine up.
///
/// # Safety
/// `transport` is a valid table, and `queue` came from its `create`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_init(_nonce: u64, transport: *const Transport, queue: *mut c_void) {
    let reports = if ptr::eq(transport, &raw const RING) {
        Reports::Own(queue.cast())
    } else {
        // SAFETY: a valid table, as the caller promises.
        Reports::Foreign { push: unsafe { &*transport }.push, queue }
    };
    DESK.store(Box::into_raw(Box::new(Desk::new(reports))), Relaxed);
}

/// Takes the engine down.
#[unsafe(no_mangle)]
pub extern "C" fn engine_shutdown() {
    let desk = DESK.swap(ptr::null_mut(), Relaxed);
    if !desk.is_null() {
        // SAFETY: the pointer came from `engine_init`, and no call comes after this one.
        drop(unsafe { Box::from_raw(desk) });
    }
}

/// The queue of this library, or null for the benchmark's.
#[unsafe(no_mangle)]
pub extern "C" fn engine_get_transport() -> *const Transport {
    if std::env::var_os(FOREIGN_TRANSPORT).is_some() { ptr::null() } else { &raw const RING }
}

/// A new order.
///
/// # Safety
/// The pointer is valid during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_on_new_order(message: *const NewOrderMessage) {
    // SAFETY: valid, as the caller promises.
    desk().new_order(unsafe { &*message });
}

/// A cancel.
///
/// # Safety
/// The pointer is valid during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_on_cancel(message: *const CancelMessage) {
    // SAFETY: valid, as the caller promises.
    desk().cancel(unsafe { &*message });
}

/// A modify.
///
/// # Safety
/// The pointer is valid during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_on_modify(message: *const ModifyMessage) {
    // SAFETY: valid, as the caller promises.
    desk().modify(unsafe { &*message });
}

/// A run of messages, executed one after the other.
///
/// # Safety
/// The pointer is that of `count` messages, valid during the call, each with the record that its kind says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn engine_on_batch(messages: *const TaggedMessage, count: u32) {
    // SAFETY: valid, as the caller promises.
    let messages = unsafe { std::slice::from_raw_parts(messages, count as usize) };
    let desk = desk();
    for message in messages {
        let record = (&raw const message.payload).cast::<c_void>();
        match message.kind {
            // SAFETY: the payload holds this record, as its kind says, and is large enough and aligned for each.
            0 => desk.new_order(unsafe { &*record.cast() }),
            // SAFETY: as above.
            1 => desk.cancel(unsafe { &*record.cast() }),
            // SAFETY: as above.
            _ => desk.modify(unsafe { &*record.cast() }),
        }
    }
}

/// All is done when a message's call returns.
#[unsafe(no_mangle)]
pub extern "C" fn engine_flush() {}

/// Highest buy, or the lowest number.
#[unsafe(no_mangle)]
pub extern "C" fn engine_query_best_bid() -> i64 {
    desk().best_bid().unwrap_or(i64::MIN)
}

/// Lowest sell, or the highest number.
#[unsafe(no_mangle)]
pub extern "C" fn engine_query_best_ask() -> i64 {
    desk().best_ask().unwrap_or(i64::MAX)
}

/// Quantity at a price.
#[unsafe(no_mangle)]
pub extern "C" fn engine_query_depth_at(price_ticks: i64, side: u8) -> u64 {
    desk().depth_at(price_ticks, side)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields that the queue's reader sees in the wrong place would spoil every report.
    #[test]
    fn wide_stores_lay_a_report_out_as_it_is() {
        let report = Report {
            kind: 0x11,
            side: 0x22,
            sequence: 0x0102_0304_0506_0708,
            order_id: 0x1112_1314_1516_1718,
            price_ticks: -3,
            quantity: 0x8122_2324,
            maker_order_id: 0x3132_3334_3536_3738,
            taker_order_id: 0x4142_4344_4546_4748,
            ..Report::default()
        };
        // SAFETY: both are plain integers of the same size, without padding.
        let read: Report = unsafe { std::mem::transmute(in_wide_stores(&report)) };
        assert_eq!(read, report);
    }
}
