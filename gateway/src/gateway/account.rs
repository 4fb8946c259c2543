//! Requests for what an account owns.

use super::Gateway;
use crate::fix::{Message, Version, parse_number, tags};
use crate::orders::{
    AccountAnswer, write_account_summary, write_collateral, write_collateral_ack, write_position,
    write_positions_ack,
};

impl Gateway {
    /// Why a request for another account, or for more than the state now, is refused.
    fn account_refusal(&self, client: usize, message: &Message<'_>) -> Option<&'static str> {
        let own = u64::from(self.config.users[client].account.0);
        let named = message.get(tags::ACCOUNT).map(parse_number);
        if named.is_some_and(|named| named != Some(own)) {
            return Some("Account (1) is not this session's account");
        }
        let subscribes = message.get(tags::SUBSCRIPTION_REQUEST_TYPE).is_some_and(|it| it != b"0");
        subscribes
            .then_some("only a snapshot (263=0) can be asked for: executions are reported as they happen")
    }

    /// RequestForPositions: an acknowledgement, a report for each position, and in FIX 5.0SP2 a summary of the balances.
    pub(super) fn on_positions_request(&mut self, client: usize, message: &Message<'_>, now_ns: u64) {
        let id = self.exec_id(now_ns);
        let refusal = match message.get(tags::POS_REQ_TYPE) {
            Some(b"0") => self.account_refusal(client, message),
            _ => Some("PosReqType (724) must be 0 (positions)"),
        };
        let account = self.config.users[client].account;
        let session = client as u16;
        let positions = if refusal.is_some() { Vec::new() } else { self.orders.positions(session) };
        let catalog = &self.orders.catalog;
        let wanted = message.get(tags::SYMBOL);
        let positions: Vec<_> = positions
            .into_iter()
            .filter_map(|(id, lots)| Some((catalog.instrument(id)?, lots)))
            .filter(|(it, lots)| *lots != 0 && wanted.is_none_or(|wanted| wanted == it.symbol.as_bytes()))
            .collect();
        let answer = AccountAnswer { message, id: &id, account, reports: positions.len(), now_ns };
        let (it, store) = (&mut self.clients[client].session, &mut self.store);
        it.send_application(b"AO", now_ns, store, |writer| write_positions_ack(writer, &answer, refusal));
        for (instrument, lots) in &positions {
            it.send_application(b"AP", now_ns, store, |writer| {
                write_position(writer, &answer, instrument, *lots);
            });
        }
        self.counters.reports += 1 + positions.len() as u64;
        if refusal.is_none() && it.version() == Version::Fix50Sp2 {
            let balances = self.orders.balances(session);
            self.counters.reports += 1;
            it.send_application(b"CQ", now_ns, store, |writer| {
                write_account_summary(writer, &answer, catalog, &balances);
            });
        }
    }

    /// CollateralInquiry: a report for each asset.
    pub(super) fn on_collateral_inquiry(&mut self, client: usize, message: &Message<'_>, now_ns: u64) {
        let id = self.exec_id(now_ns);
        let refusal = self.account_refusal(client, message);
        let account = self.config.users[client].account;
        let balances = if refusal.is_some() { Vec::new() } else { self.orders.balances(client as u16) };
        let catalog = &self.orders.catalog;
        let known: Vec<_> = balances.iter().filter_map(|it| Some((catalog.asset(it.asset)?, it))).collect();
        let answer = AccountAnswer { message, id: &id, account, reports: known.len(), now_ns };
        let (it, store) = (&mut self.clients[client].session, &mut self.store);
        if known.is_empty() {
            self.counters.reports += 1;
            return it.send_application(b"BG", now_ns, store, |writer| {
                write_collateral_ack(writer, &answer, refusal);
            });
        }
        for (at, (asset, balance)) in known.iter().enumerate() {
            self.counters.reports += 1;
            it.send_application(b"BA", now_ns, store, |writer| {
                write_collateral(writer, &answer, asset, balance, at + 1 == known.len());
            });
        }
    }
}
