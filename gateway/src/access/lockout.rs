//! Who has guessed wrong too often must wait.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::GatewayLimits;

/// Entries kept; beyond, those that have expired, or else the oldest, make room.
const ENTRIES: usize = 4096;

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last_ns: u64,
}

/// Failures by identity and address: nobody can lock a client out from elsewhere, and nobody gets more guesses by using
/// many identities from one address.
struct Lockout {
    limit: u32,
    duration_ns: u64,
    failures: HashMap<(Option<usize>, IpAddr), Failures>,
}

/// Failures of one address over all identities that lock it, as a multiple of the limit for one identity.
const ADDRESS_FACTOR: u32 = 4;

impl Lockout {
    /// Locks after `limit` failures, each less than `duration_ns` after the one before, for `duration_ns`.
    fn new(limit: u32, duration_ns: u64) -> Self {
        Self { limit, duration_ns, failures: HashMap::new() }
    }

    fn count(&self, key: (Option<usize>, IpAddr), now_ns: u64) -> u32 {
        let entry = self.failures.get(&key);
        entry.filter(|it| now_ns.saturating_sub(it.last_ns) < self.duration_ns).map_or(0, |it| it.count)
    }

    /// Whether this identity may not try from this address now.
    fn is_locked(&self, identity: usize, address: IpAddr, now_ns: u64) -> bool {
        self.count((Some(identity), address), now_ns) >= self.limit
            || self.count((None, address), now_ns) >= self.limit.saturating_mul(ADDRESS_FACTOR)
    }

    /// A Logon with a wrong secret; `None` for an identity that does not exist.
    fn failed(&mut self, identity: Option<usize>, address: IpAddr, now_ns: u64) {
        let keys = [identity.map(|it| (Some(it), address)), Some((None, address))];
        for key in keys.into_iter().flatten() {
            let count = self.count(key, now_ns) + 1;
            self.make_room(now_ns);
            self.failures.insert(key, Failures { count, last_ns: now_ns });
        }
    }

    /// A Logon with the right secret.
    fn succeeded(&mut self, identity: usize, address: IpAddr) {
        self.failures.remove(&(Some(identity), address));
    }

    fn make_room(&mut self, now_ns: u64) {
        if self.failures.len() < ENTRIES {
            return;
        }
        let duration_ns = self.duration_ns;
        self.failures.retain(|_, it| now_ns.saturating_sub(it.last_ns) < duration_ns);
        if self.failures.len() >= ENTRIES
            && let Some(oldest) = self.failures.iter().min_by_key(|(_, it)| it.last_ns).map(|(key, _)| *key)
        {
            self.failures.remove(&oldest);
        }
    }
}

/// What all ports of a process know of Logons: who has failed too often on one may not try on another, and a signature that
/// was used on one is not taken on another. Asked at Logons only.
///
/// Users are told by their place in the configuration, so the ports that share it must have the same ones.
#[derive(Clone)]
pub struct LogonGuard(Arc<Mutex<Guarded>>);

struct Guarded {
    lockout: Lockout,
    /// SendingTime of the last signed Logon of an identity: an earlier one is a copy.
    signed_ns: HashMap<usize, u64>,
}

impl LogonGuard {
    /// Nobody has failed yet.
    #[must_use]
    pub fn new(limits: &GatewayLimits) -> Self {
        let lockout = Lockout::new(limits.lockout_failures, limits.lockout_ns);
        Self(Arc::new(Mutex::new(Guarded { lockout, signed_ns: HashMap::new() })))
    }

    fn lock(&self) -> MutexGuard<'_, Guarded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this identity may not try from this address now.
    pub(crate) fn is_locked(&self, identity: usize, address: IpAddr, now_ns: u64) -> bool {
        self.lock().lockout.is_locked(identity, address, now_ns)
    }

    /// A Logon with a wrong secret; `None` for an identity that does not exist.
    pub(crate) fn failed(&self, identity: Option<usize>, address: IpAddr, now_ns: u64) {
        self.lock().lockout.failed(identity, address, now_ns);
    }

    /// A Logon with the right secret.
    pub(crate) fn succeeded(&self, identity: usize, address: IpAddr) {
        self.lock().lockout.succeeded(identity, address);
    }

    /// Whether a right signature of this time is new. It is not from then on.
    pub(crate) fn use_signature(&self, identity: usize, sent_ns: u64) -> bool {
        let mut guarded = self.lock();
        let last_ns = guarded.signed_ns.entry(identity).or_insert(0);
        let is_new = sent_ns > *last_ns;
        *last_ns = sent_ns.max(*last_ns);
        is_new
    }
}

impl std::fmt::Debug for LogonGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogonGuard").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_lock_an_identity_at_an_address_and_later_the_address() {
        let address = |last| IpAddr::from([192, 0, 2, last]);
        let mut lockout = Lockout::new(3, 1000);
        lockout.failed(Some(0), address(1), 0);
        lockout.failed(Some(0), address(1), 10);
        assert!(!lockout.is_locked(0, address(1), 10));
        lockout.failed(Some(0), address(1), 20);
        assert!(lockout.is_locked(0, address(1), 20));
        assert!(!lockout.is_locked(0, address(2), 20), "the real client, elsewhere");
        assert!(!lockout.is_locked(1, address(1), 20));
        assert!(!lockout.is_locked(0, address(1), 1020), "it ends");
        for _ in 0..9 {
            lockout.failed(None, address(1), 30);
        }
        assert!(lockout.is_locked(7, address(1), 30), "twelve failures of one address");
        lockout.failed(Some(5), address(3), 40);
        lockout.failed(Some(5), address(3), 40);
        lockout.succeeded(5, address(3));
        lockout.failed(Some(5), address(3), 40);
        assert!(!lockout.is_locked(5, address(3), 40), "success wipes the slate");
    }

    #[test]
    fn memory_is_bounded() {
        let mut lockout = Lockout::new(3, 1000);
        for number in 0..20_000u32 {
            lockout.failed(None, IpAddr::from(number.to_be_bytes()), 0);
        }
        assert!(lockout.failures.len() <= ENTRIES);
    }
}
