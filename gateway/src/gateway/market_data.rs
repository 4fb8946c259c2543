//! Market data in a gateway: hands requests and events to [`Market`], and gives it the sessions to answer on.

use machine::{Projection as _, Record};
use marketdata::DepthBook;

use super::Gateway;
use super::client::Client;
use crate::access::Permissions;
use crate::fix::{Message, MessageWriter, Version};
use crate::market::Outlet;
use crate::store::Store;

/// The sessions of a gateway, as market data sees them.
struct Sessions<'a> {
    clients: &'a mut [Client],
    store: &'a mut Store,
    now_ns: u64,
}

impl Outlet for Sessions<'_> {
    fn send(&mut self, session: usize, message_type: &[u8], body: impl FnOnce(&mut MessageWriter<'_>)) {
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

    pub(super) fn fold_market(&mut self, event: Record<'_>, now_ns: u64) {
        if let Some(market) = &mut self.market {
            market.on_event(
                event,
                &mut Sessions { clients: &mut self.clients, store: &mut self.store, now_ns },
            );
        }
    }

    pub(super) fn tick_market(&mut self, now_ns: u64) {
        if let Some(market) = &mut self.market {
            market.on_tick(&mut Sessions { clients: &mut self.clients, store: &mut self.store, now_ns });
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
        let mut sessions = Sessions { clients: &mut self.clients, store: &mut self.store, now_ns };
        match &mut self.market {
            Some(market) => market.on_request(client, message, permitted, &mut sessions),
            None => sessions.reject(client, message, 4, "market data is not offered on this port"),
        }
    }

    pub(super) fn refuse_order_entry(&mut self, client: usize, message: &Message<'_>, now_ns: u64) {
        let mut sessions = Sessions { clients: &mut self.clients, store: &mut self.store, now_ns };
        sessions.reject(client, message, 4, "orders are not taken on this port: it is for market data");
    }
}
