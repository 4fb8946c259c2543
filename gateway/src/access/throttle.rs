//! How many messages a session and a firm may send.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

const NS_PER_SECOND: u64 = 1_000_000_000;

/// Messages per second in two steps. A rate of 0 is no limit. Each bucket holds one second's worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThrottleLimits {
    /// Over this, every message is answered with a reject.
    pub soft_per_second: u64,
    /// Over this, the session is logged out.
    pub hard_per_second: u64,
    /// Cancels are counted by themselves, against this and its double.
    pub cancels_per_second: u64,
}

/// What becomes of a message; of two limits the later of these counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It is dealt with.
    Pass,
    /// It is rejected.
    Reject,
    /// The session is logged out.
    LogOut,
}

/// A token bucket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    per_second: u64,
    /// Billionths of a message that may still be sent.
    tokens: u64,
    filled_ns: u64,
}

impl Bucket {
    pub(crate) fn new(per_second: u64) -> Self {
        Self { per_second, tokens: per_second.saturating_mul(NS_PER_SECOND), filled_ns: 0 }
    }

    /// Takes one message's worth; `false` if there is none.
    pub(crate) fn take(&mut self, now_ns: u64) -> bool {
        if self.per_second == 0 {
            return true;
        }
        let passed_ns = now_ns.saturating_sub(self.filled_ns).min(NS_PER_SECOND);
        self.filled_ns = self.filled_ns.max(now_ns);
        let full = self.per_second.saturating_mul(NS_PER_SECOND);
        self.tokens = self.tokens.saturating_add(passed_ns.saturating_mul(self.per_second)).min(full);
        if self.tokens < NS_PER_SECOND {
            return false;
        }
        self.tokens -= NS_PER_SECOND;
        true
    }
}

/// The buckets of a session or a firm.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Throttle {
    soft: Bucket,
    hard: Bucket,
    soft_cancels: Bucket,
    hard_cancels: Bucket,
}

impl Throttle {
    pub(crate) fn new(limits: &ThrottleLimits) -> Self {
        Self {
            soft: Bucket::new(limits.soft_per_second),
            hard: Bucket::new(limits.hard_per_second),
            soft_cancels: Bucket::new(limits.cancels_per_second),
            hard_cancels: Bucket::new(limits.cancels_per_second.saturating_mul(2)),
        }
    }

    /// Counts a message.
    pub(crate) fn take(&mut self, cancel: bool, now_ns: u64) -> Verdict {
        let (soft, hard) = if cancel {
            (&mut self.soft_cancels, &mut self.hard_cancels)
        } else {
            (&mut self.soft, &mut self.hard)
        };
        let within_hard = hard.take(now_ns);
        let within_soft = soft.take(now_ns);
        match (within_hard, within_soft) {
            (false, _) => Verdict::LogOut,
            (true, false) => Verdict::Reject,
            (true, true) => Verdict::Pass,
        }
    }
}

/// The throttles of all firms. What ports of a process share of it is counted together: a firm's limit is no larger because it
/// comes by several ports.
///
/// Firms are told by the place of their name in the configuration, so the ports that share it must have the same ones.
#[derive(Clone, Debug)]
pub struct FirmThrottles(Arc<[Mutex<Throttle>]>);

impl FirmThrottles {
    /// All buckets are full.
    #[must_use]
    pub fn new(firms: &BTreeMap<String, ThrottleLimits>) -> Self {
        Self(firms.values().map(|limits| Mutex::new(Throttle::new(limits))).collect())
    }

    /// Counts a message of a firm's session.
    pub(crate) fn take(&self, firm: usize, cancel: bool, now_ns: u64) -> Verdict {
        self.0[firm].lock().unwrap_or_else(PoisonError::into_inner).take(cancel, now_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_steps_and_a_budget_for_cancels() {
        let limits = ThrottleLimits { soft_per_second: 10, hard_per_second: 15, cancels_per_second: 2 };
        let mut throttle = Throttle::new(&limits);
        let start_ns = 1_000 * NS_PER_SECOND;
        let burst: Vec<Verdict> = (0..17).map(|_| throttle.take(false, start_ns)).collect();
        assert!(burst[..10].iter().all(|it| *it == Verdict::Pass));
        assert!(burst[10..15].iter().all(|it| *it == Verdict::Reject));
        assert!(burst[15..].iter().all(|it| *it == Verdict::LogOut));
        assert_eq!(throttle.take(true, start_ns), Verdict::Pass, "cancels have their own");
        assert_eq!(throttle.take(true, start_ns), Verdict::Pass);
        assert_eq!(throttle.take(true, start_ns), Verdict::Reject);
        let soon: Vec<Verdict> = (0..4).map(|_| throttle.take(false, start_ns + NS_PER_SECOND / 5)).collect();
        assert_eq!(
            soon,
            [Verdict::Pass, Verdict::Pass, Verdict::Reject, Verdict::LogOut],
            "two and three come back"
        );
        let later: Vec<Verdict> =
            (0..11).map(|_| throttle.take(false, start_ns + 60 * NS_PER_SECOND)).collect();
        assert_eq!(
            (later[9], later[10]),
            (Verdict::Pass, Verdict::Reject),
            "never more than a second's worth"
        );
    }

    #[test]
    fn no_limit_is_no_limit_and_time_may_stand_still() {
        let mut free = Throttle::new(&ThrottleLimits::default());
        assert!((0..10_000).all(|_| free.take(false, 5) == Verdict::Pass));
        let mut bucket = Bucket::new(1);
        assert!(bucket.take(100) && !bucket.take(50) && !bucket.take(100));
    }
}
