//! Which processors a thread runs on, and how soon it gets one when it wakes.

use std::io;

/// Shortest and longest slice that Linux takes (`kernel/sched/syscalls.c`), in nanoseconds.
pub(crate) const SLICES_NS: std::ops::RangeInclusive<u64> = 100_000..=100_000_000;

/// `struct sched_attr` of sched_setattr(2), in its first version.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    /// For ordinary threads: the slice that they ask for, since Linux 6.12. Ignored before.
    runtime_ns: u64,
    deadline_ns: u64,
    period_ns: u64,
}

const SIZE: u32 = size_of::<Attributes>() as u32;

/// Asks for time slices of `slice_ns` for the calling thread. Linux (EEVDF, since 6.12) lets a thread that wakes with a
/// shorter slice take the processor from one with a longer one at once; otherwise it may wait for the next tick, up to 4 ms. Its share
/// of the processor stays what it was. A thread of a real-time policy is left alone.
///
/// # Errors
/// What the system says; the thread then runs as before.
pub fn ask_for_slice(slice_ns: u64) -> io::Result<()> {
    let mut attributes = Attributes { size: SIZE, ..Attributes::default() };
    // SAFETY: pid 0 is the calling thread, and `attributes` has room for the `SIZE` bytes that the call may write.
    let code = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, SIZE, 0) };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    let policy = attributes.policy.cast_signed();
    if policy != libc::SCHED_OTHER && policy != libc::SCHED_BATCH {
        return Ok(());
    }
    attributes = Attributes { size: SIZE, runtime_ns: slice_ns, ..attributes };
    // SAFETY: as above; the call only reads `attributes`.
    let code = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets the calling thread, and those that it starts from now on, run on these cores only.
///
/// # Errors
/// What the system says; the thread then runs where it ran before.
pub(crate) fn run_on(cores: &[usize]) -> io::Result<()> {
    // SAFETY: all bits zero is a `cpu_set_t` with no core in it.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &core in cores.iter().filter(|&&core| core < libc::CPU_SETSIZE as usize) {
        // SAFETY: `core` is below the number of bits in the set.
        unsafe { libc::CPU_SET(core, &mut set) };
    }
    // SAFETY: pid 0 is the calling thread; the call reads as many bytes as the set has.
    let code = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The system keeps niceness and policy, and where it knows slices gives back the one asked for.
    #[test]
    fn a_thread_gets_the_slice_that_it_asks_for_and_keeps_its_niceness() {
        std::thread::spawn(|| {
            let read = || {
                let mut attributes = Attributes { size: SIZE, ..Attributes::default() };
                // SAFETY: as in `ask_for_slice`.
                let code = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, SIZE, 0) };
                assert_eq!(code, 0);
                attributes
            };
            let before = read();
            ask_for_slice(200_000).unwrap();
            let after = read();
            assert_eq!((before.nice, before.policy), (after.nice, after.policy));
            assert!(after.runtime_ns == 200_000 || after.runtime_ns == before.runtime_ns);
        })
        .join()
        .unwrap();
    }
}
