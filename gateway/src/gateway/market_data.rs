//! Market data in a gateway: hands requests and events to [`Market`], and gives it the sessions to answer on.

use machine::{Projection as _, Record};
use marketdata::DepthBook;

use super::Gateway;
use super::activity::Activity;
use super::client::Client;
use crate::access::Permissions;
use crate::fix::{Message, MessageWriter, Version};
use crate::market::{Market, Outlet};
use crate::store::Store;

/// The sessions of a gateway, as market data sees them.
struct Sessions<'a> {
    clients: &'a mut [Client],
    store: &'a mut Store,
    activity: &'a mut Activity,
    now_ns: u64,
}

impl Outlet for Sessions<'_> {
    fn send(&mut self, session: usize, message_type: &[u8], body: impl FnOnce(&mut MessageWriter<'_>)) {
        self.activity.clients.insert(session);
        let session = &mut self.clients[session].session;
        if session.is_online() {
            session.send_unkept(message_type, self.now_ns, self.store, body);
        }
    }

    fn reject(&mut self, session: usize, message: &Message<'_>, reason: u64, text: &str) {
        self.clients[session].session.reject_business(message, reason, text, self.now_ns, self.store);
    }

    fn backlog_bytes(&mut self, session: usize) -> usize {
        self.clients[session].session.wire().len()
    }

    fn version(&self, session: usize) -> Version {
        self.clients[session].session.version()
    }
}

impl Gateway {
    /// Whether market data needs no [`Gateway::seed_market`] when the exchange is at `sequence`: none is offered here, or
    /// every event up to then was folded.
    #[must_use]
    pub fn has_market_up_to(&self, sequence: u64) -> bool {
        self.market.as_ref().is_none_or(|market| market.has_all_up_to(sequence))
    }

    /// Takes over books built from the machine's state (see [`DepthBook::seed`]), when the events before are not at hand.
    /// Before the first connection.
    pub fn seed_market(&mut self, depth: DepthBook) {
        self.applied = self.applied.max(depth.applied_sequence());
        if let Some(market) = &mut self.market {
            market.seed(depth);
        }
    }

    /// Market data, and the sessions apart from it.
    fn market_and_sessions(&mut self, now_ns: u64) -> (Option<&mut Market>, Sessions<'_>) {
        let Self { market, clients, store, activity, .. } = self;
        (market.as_mut(), Sessions { clients, store, activity, now_ns })
    }

    pub(super) fn fold_market(&mut self, event: Record<'_>, now_ns: u64) {
        if let (Some(market), mut sessions) = self.market_and_sessions(now_ns) {
            market.on_event(event, &mut sessions);
        }
    }

    pub(super) fn tick_market(&mut self, now_ns: u64) {
        if let (Some(market), mut sessions) = self.market_and_sessions(now_ns) {
            market.on_tick(&mut sessions);
        }
    }

    /// A session that has asked for messages again gets whole books after the gap fills.
    pub(super) fn note_resend(&mut self, client: usize, message: &Message<'_>) {
        if message.message_type() == b"2"
            && let Some(market) = &mut self.market
        {
            market.on_resend(client);
        }
    }

    pub(super) fn on_market_request(&mut self, client: usize, message: &Message<'_>, now_ns: u64) {
        let permitted = self.config.users[client].access.permissions.has(Permissions::MARKET_DATA);
        match self.market_and_sessions(now_ns) {
            (Some(market), mut sessions) => market.on_request(client, message, permitted, &mut sessions),
            (None, mut sessions) => {
                sessions.reject(client, message, 4, "market data is not offered on this port");
            }
        }
    }

    pub(super) fn refuse_order_entry(&mut self, client: usize, message: &Message<'_>, now_ns: u64) {
        let (_, mut sessions) = self.market_and_sessions(now_ns);
        sessions.reject(client, message, 4, "orders are not taken on this port: it is for market data");
    }
}
