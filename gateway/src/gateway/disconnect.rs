//! Cancel on disconnect: when a session is gone, its orders go too, after a grace time in which it may come back.
//!
//! What is to happen is in the session store from the Logon on, so that a process that was killed does it after its
//! restart.

use protocol::AccountId;

use super::{CommandPort, Gateway};
use crate::config::DisconnectPolicy;
use crate::fix::{Message, tags};
use crate::orders::cancel_for_disconnect;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With a Logout that was answered.
    Logout,
    /// In any other way.
    Drop,
}

/// What is to become of a session's orders.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CancelOnDisconnect {
    policy: DisconnectPolicy,
    /// When they are to be cancelled, if the session does not come back before.
    due_ns: Option<u64>,
}

impl CancelOnDisconnect {
    /// Whether the orders are to be cancelled by now.
    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        self.due_ns.is_some_and(|due_ns| due_ns <= now_ns)
    }
}

/// What a Logon says: CancelOnDisconnectType (35002) and the grace time (35003); what it leaves out is as configured.
pub(super) fn policy_of(
    logon: &Message<'_>,
    configured: DisconnectPolicy,
) -> Result<DisconnectPolicy, &'static str> {
    let (on_drop, on_logout) = match logon.get(tags::CANCEL_ON_DISCONNECT_TYPE) {
        None => (configured.on_drop, configured.on_logout),
        Some(b"0") => (false, false),
        Some(b"1") => (true, false),
        Some(b"2") => (false, true),
        Some(b"3") => (true, true),
        Some(_) => {
            return Err(
                "CancelOnDisconnectType (35002) must be 0 (never), 1 (when dropped), 2 (on logout) or 3 (both)",
            );
        }
    };
    let grace_ns = match logon.get(tags::CANCEL_ON_DISCONNECT_GRACE_MS) {
        None => Some(configured.grace_ns),
        Some(_) => logon
            .number(tags::CANCEL_ON_DISCONNECT_GRACE_MS)
            .and_then(|grace_ms| grace_ms.checked_mul(1_000_000))
            .filter(|&grace_ns| grace_ns <= DisconnectPolicy::MAX_GRACE_NS),
    };
    let grace_ns = grace_ns.ok_or("the grace time (35003) must be 0 to 3600000 milliseconds")?;
    Ok(DisconnectPolicy { on_drop, on_logout, grace_ns })
}

impl Gateway {
    /// Sessions that were connected when the process before this one ended have been gone since this one began.
    pub(super) fn resume_disconnects(&mut self, now_ns: u64) {
        for (index, client) in self.clients.iter_mut().enumerate() {
            if let Some(grace_ns) = self.store.cancels_after_ns(index) {
                client.on_disconnect.due_ns = Some(now_ns.saturating_add(grace_ns));
            }
        }
    }

    /// A session has logged on: what was to be cancelled stays.
    pub(super) fn on_logged_on(&mut self, client: usize, policy: DisconnectPolicy) {
        // Where no orders are entered there are none to cancel: those of the account are the order port's.
        let has_orders = self.config.order_entry && self.config.users[client].account != AccountId::WORLD;
        let policy = if has_orders { policy } else { DisconnectPolicy::default() };
        self.clients[client].on_disconnect = CancelOnDisconnect { policy, due_ns: None };
        self.store.cancels_after_ns_is(client, policy.on_drop.then_some(policy.grace_ns));
    }

    /// A session is gone.
    pub(super) fn on_gone(&mut self, client: usize, ending: Ending, now_ns: u64) {
        let it = &mut self.clients[client].on_disconnect;
        let wanted = match ending {
            Ending::Logout => it.policy.on_logout,
            Ending::Drop => it.policy.on_drop,
        };
        let grace_ns = it.policy.grace_ns;
        // A hard throttle may have set an earlier time.
        if wanted && it.due_ns.is_none() {
            it.due_ns = Some(now_ns.saturating_add(grace_ns));
        }
        let grace_ns = it.due_ns.map(|due_ns| due_ns.saturating_sub(now_ns));
        self.store.cancels_after_ns_is(client, grace_ns);
    }

    /// The session's orders go now, whatever its policy: it was sending too much.
    pub(super) fn cancel_at_once(&mut self, client: usize, now_ns: u64) {
        if !self.config.order_entry || self.config.users[client].account == AccountId::WORLD {
            return;
        }
        self.clients[client].on_disconnect.due_ns = Some(now_ns);
        self.activity.clients.insert(client);
    }

    /// Sends the mass cancel when its time has come; tried again while the ring is full.
    pub(super) fn cancel_if_due(&mut self, client: usize, now_ns: u64, port: &mut dyn CommandPort) {
        if !self.clients[client].on_disconnect.is_due(now_ns) {
            return;
        }
        let account = self.config.users[client].account;
        let request = cancel_for_disconnect(account, self.source_of(client));
        if self.send(client, request, false, port) {
            self.clients[client].on_disconnect.due_ns = None;
            if !self.clients[client].session.is_connected() {
                self.store.cancels_after_ns_is(client, None);
            }
        }
    }
}
