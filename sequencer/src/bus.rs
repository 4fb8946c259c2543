//! A bus error: a mapped page that cannot be had any more (its file was cut, its disk failed, its memory is broken).

use std::io;

/// Exit code of a process that a bus error has stopped: as for any other failure of the disk.
const EXIT_CODE: libc::c_int = 3;

const MESSAGE: &[u8] =
    b"rialto: bus error: a mapped file was cut, or its disk or memory failed; stopped at once, no more \
commands are taken. Nothing acknowledged is lost: it is in the journal. Check the disk, then start again\n";

/// Makes a bus error an orderly stop: a message that says what happened, exit code 3, no core dump. The thread that met
/// it has no way on, and others may hold what it had in hand, so nothing is drained or synced: what was acknowledged has
/// been made as safe as was promised before, and the next start recovers it as after a kill.
///
/// # Errors
/// What the system says.
pub fn stop_on_bus_error() -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid `sigaction` (integers, an empty mask, a null restorer).
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_bus_error as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: `action` is initialised, and its handler calls only what is safe in a signal handler.
    let code = unsafe { libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut()) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

extern "C" fn on_bus_error(_signal: libc::c_int) {
    // SAFETY: `write` and `_exit` are async-signal-safe (signal-safety(7)), and the message lives for ever.
    unsafe {
        libc::write(libc::STDERR_FILENO, MESSAGE.as_ptr().cast(), MESSAGE.len());
        libc::_exit(EXIT_CODE);
    }
}
