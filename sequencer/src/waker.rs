//! Waking an agent's thread that has backed off to sleep.

use std::sync::OnceLock;
use std::thread::{self, Thread};

/// Wakes the thread that has registered, if it sleeps in its idle strategy; its next sleep ends at once if it does not, so
/// that nothing is missed. Costs a store while it works, a system call while it sleeps.
#[derive(Debug, Default)]
pub(crate) struct Waker(OnceLock<Thread>);

impl Waker {
    /// The calling thread is the one to wake.
    #[inline]
    pub(crate) fn register(&self) {
        self.0.get_or_init(thread::current);
    }

    /// Wakes it. Nothing is registered before its first duty cycle, in which it looks by itself.
    #[inline]
    pub(crate) fn wake(&self) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }
}
