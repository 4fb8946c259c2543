//! The one clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's; never goes back.
    System(SystemClock),
    /// Set by a test or a simulation.
    Manual(ManualClock),
}

impl Clock {
    /// The machine's clock, anchored now.
    #[must_use]
    pub fn system() -> Self {
        Self::System(SystemClock::new())
    }

    /// The time in nanoseconds since the Unix epoch.
    #[inline]
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        match self {
            Self::System(clock) => clock.now_ns(),
            Self::Manual(clock) => clock.now_ns(),
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

/// `quanta`'s monotone clock (the time stamp counter where it is invariant, 10 ns a reading), anchored to the Unix
/// epoch once. It does not follow later corrections of the wall clock, so it cannot jump; it drifts from it by the
/// error of the counter's calibration until the process starts again.
#[derive(Clone, Debug)]
pub struct SystemClock {
    clock: quanta::Clock,
    anchor: quanta::Instant,
    anchor_ns: u64,
}

impl SystemClock {
    /// Anchored now.
    #[must_use]
    pub fn new() -> Self {
        let clock = quanta::Clock::new();
        let anchor = clock.now();
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { clock, anchor, anchor_ns: u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX) }
    }

    /// The time in nanoseconds since the Unix epoch.
    #[inline]
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        let elapsed = self.clock.now().saturating_duration_since(self.anchor);
        self.anchor_ns.saturating_add(elapsed.as_nanos() as u64)
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

/// A clock that stands still until it is set; clones share the time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// Stands at `now_ns`.
    #[must_use]
    pub fn new(now_ns: u64) -> Self {
        Self(Arc::new(AtomicU64::new(now_ns)))
    }

    /// Sets the time; a test may set it back.
    pub fn set_ns(&self, now_ns: u64) {
        self.0.store(now_ns, Ordering::Relaxed);
    }

    /// The time.
    #[inline]
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_is_the_wall_clock_and_never_goes_back() {
        let clock = Clock::system();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        assert!(clock.now_ns().abs_diff(wall) < 60_000_000_000, "within a minute of the wall clock");
        let mut last = 0;
        for _ in 0..10_000 {
            let now = clock.now_ns();
            assert!(now >= last);
            last = now;
        }
    }
}
