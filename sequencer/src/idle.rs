//! What a thread does when its agents had nothing to do.

use std::str::FromStr;
use std::time::Duration;

/// Idle strategy of a thread. Text form, as in the configuration: `busy_spin`, `yield`, `park(ns)`,
/// `backoff(spins, yields, min_park_ns, max_park_ns)`; `park` and `backoff` alone take defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleStrategy {
    /// Spin: least latency, a whole core.
    BusySpin,
    /// Give the core away whenever another thread wants it; a whole core otherwise.
    Yield,
    /// Sleep at once.
    Park {
        /// How long, in nanoseconds; 1 to [`MAX_PARK_NS`].
        park_ns: u64,
    },
    /// Spin, then yield, then sleep longer and longer.
    Backoff {
        /// Spins before the first yield.
        spins: u32,
        /// Yields before the first sleep.
        yields: u32,
        /// First sleep in nanoseconds; 1 to `max_park_ns`.
        min_park_ns: u64,
        /// Longest sleep in nanoseconds, up to [`MAX_PARK_NS`]: what the first command after a pause waits.
        max_park_ns: u64,
    },
}

/// Longest sleep: one second, so that a thread always notices a shutdown.
pub const MAX_PARK_NS: u64 = 1_000_000_000;

impl IdleStrategy {
    /// Backoff that an idle laptop does not notice: sleeps of up to 100 microseconds.
    pub const BACKOFF: Self =
        Self::Backoff { spins: 100, yields: 20, min_park_ns: 1_000, max_park_ns: 100_000 };
    /// Sleeps of 50 microseconds.
    pub const PARK: Self = Self::Park { park_ns: 50_000 };

    /// Whether it never sleeps.
    #[must_use]
    pub fn spins(&self) -> bool {
        matches!(self, Self::BusySpin | Self::Yield)
    }

    /// Whether its numbers are in range.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        match *self {
            Self::BusySpin | Self::Yield => true,
            Self::Park { park_ns } => (1..=MAX_PARK_NS).contains(&park_ns),
            Self::Backoff { min_park_ns, max_park_ns, .. } => {
                (1..=max_park_ns).contains(&min_park_ns) && max_park_ns <= MAX_PARK_NS
            }
        }
    }
}

impl Default for IdleStrategy {
    fn default() -> Self {
        Self::BACKOFF
    }
}

impl std::fmt::Display for IdleStrategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BusySpin => write!(f, "busy_spin"),
            Self::Yield => write!(f, "yield"),
            Self::Park { park_ns } => write!(f, "park({park_ns})"),
            Self::Backoff { spins, yields, min_park_ns, max_park_ns } => {
                write!(f, "backoff({spins}, {yields}, {min_park_ns}, {max_park_ns})")
            }
        }
    }
}

/// Text that is no idle strategy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not an idle strategy: use busy_spin, yield, park(ns) or backoff(spins, yields, min_park_ns, \
     max_park_ns) with sleeps of 1 to 1000000000 ns"
)]
pub struct ParseIdleError(String);

impl FromStr for IdleStrategy {
    type Err = ParseIdleError;

    fn from_str(text: &str) -> Result<Self, ParseIdleError> {
        let strategy = parse(text.trim()).filter(Self::is_valid);
        strategy.ok_or_else(|| ParseIdleError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<IdleStrategy> {
    let (name, numbers) = match text.split_once('(') {
        Some((name, rest)) => {
            let list = rest.strip_suffix(')')?.split(',').map(|number| number.trim().parse::<u64>().ok());
            (name.trim(), Some(list.collect::<Option<Vec<u64>>>()?))
        }
        None => (text, None),
    };
    match (name, numbers.as_deref()) {
        ("busy_spin", None) => Some(IdleStrategy::BusySpin),
        ("yield", None) => Some(IdleStrategy::Yield),
        ("park", None) => Some(IdleStrategy::PARK),
        ("park", Some([park_ns])) => Some(IdleStrategy::Park { park_ns: *park_ns }),
        ("backoff", None) => Some(IdleStrategy::BACKOFF),
        ("backoff", Some([spins, yields, min_park_ns, max_park_ns])) => Some(IdleStrategy::Backoff {
            spins: u32::try_from(*spins).ok()?,
            yields: u32::try_from(*yields).ok()?,
            min_park_ns: *min_park_ns,
            max_park_ns: *max_park_ns,
        }),
        _ => None,
    }
}

/// A thread's idle strategy and how far it has backed off.
#[derive(Debug)]
pub struct Idler {
    strategy: IdleStrategy,
    idle_cycles: u32,
    park_ns: u64,
}

impl Idler {
    /// Not backed off.
    #[must_use]
    pub fn new(strategy: IdleStrategy) -> Self {
        Self { strategy, idle_cycles: 0, park_ns: 0 }
    }

    /// Called after each duty cycle with what it did.
    #[inline]
    pub fn idle(&mut self, work: usize) {
        if work > 0 {
            self.idle_cycles = 0;
            self.park_ns = 0;
            return;
        }
        match self.strategy {
            IdleStrategy::BusySpin => std::hint::spin_loop(),
            IdleStrategy::Yield => std::thread::yield_now(),
            IdleStrategy::Park { park_ns } => std::thread::park_timeout(Duration::from_nanos(park_ns)),
            IdleStrategy::Backoff { spins, yields, min_park_ns, max_park_ns } => {
                self.idle_cycles = self.idle_cycles.saturating_add(1);
                if self.idle_cycles <= spins {
                    std::hint::spin_loop();
                } else if self.idle_cycles - spins <= yields {
                    std::thread::yield_now();
                } else {
                    self.park_ns = (self.park_ns * 2).clamp(min_park_ns, max_park_ns);
                    std::thread::park_timeout(Duration::from_nanos(self.park_ns));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_nonsense_is_refused() {
        for text in ["busy_spin", "yield", "park(70)", "backoff(1, 2, 3, 4)"] {
            assert_eq!(text.parse::<IdleStrategy>().unwrap().to_string(), text);
        }
        assert_eq!("backoff".parse(), Ok(IdleStrategy::BACKOFF));
        let nonsense = [
            "",
            "spin",
            "park(",
            "park()",
            "park(0)",
            "park(1,2)",
            "park(-1)",
            "yield(3)",
            "backoff(1,2,9,3)",
            "backoff(1,2,3)",
            "backoff(5000000000,1,1,1)",
            "park(1000000001)",
        ];
        for text in nonsense {
            assert!(text.parse::<IdleStrategy>().is_err(), "{text}");
        }
    }

    #[test]
    fn backing_off_doubles_the_sleep_up_to_its_limit_and_work_resets_it() {
        let strategy = IdleStrategy::Backoff { spins: 1, yields: 1, min_park_ns: 1, max_park_ns: 5 };
        let mut idler = Idler::new(strategy);
        let mut slept = Vec::new();
        for _ in 0..6 {
            idler.idle(0);
            slept.push(idler.park_ns);
        }
        assert_eq!(slept, [0, 0, 1, 2, 4, 5]);
        idler.idle(1);
        idler.idle(0);
        assert_eq!(idler.park_ns, 0);
    }
}
