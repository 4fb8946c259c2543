//! What becomes of a session's application messages: permission, throttle, dispatch; and new orders.

use protocol::ClientOrderId;

use super::dispatch::{Route, route_of};
use super::{CommandPort, Gateway, Taken};
use crate::access::ThrottleVerdict;
use crate::fix::{Message, Version, tags};
use crate::orders::{Refusal, Request, Trader, parse_new, status, write_local_report};

/// New business while the journal's disk is full (OrdRejReason, CxlRejReason 99: other).
pub(super) const DISK_FULL: Refusal =
    Refusal { code: 99, text: "the exchange's disk is full: only cancels are taken until there is room" };

impl Gateway {
    /// An order message in sequence.
    pub(super) fn on_application(
        &mut self,
        client: usize,
        message: &Message<'_>,
        now_ns: u64,
        port: &mut dyn CommandPort,
    ) -> Taken {
        let route = route_of(message.message_type());
        let is_market = route == Some(Route::Market);
        // What has no effect is counted all the same.
        let verdict = self.count(client, message, now_ns);
        if verdict == ThrottleVerdict::LogOut {
            let text = "too many messages a second";
            self.clients[client].session.begin_logout(text, now_ns, &mut self.store);
            self.cancel_at_once(client, now_ns);
            return Taken::Dropped;
        }
        if self.is_repeated(client, message) {
            return Taken::Yes;
        }
        if verdict == ThrottleVerdict::Reject {
            self.refuse_rate(client, message, now_ns);
            return Taken::Yes;
        }
        if !is_market && !self.config.users[client].access.permissions.allows(message.message_type()) {
            self.refuse_permission(client, message, now_ns);
            return Taken::Yes;
        }
        if is_market {
            self.on_market_request(client, message, now_ns);
            return Taken::Yes;
        }
        if !self.config.order_entry {
            self.refuse_order_entry(client, message, now_ns);
            return Taken::Yes;
        }
        if self.clients[client].commands_in_flight() >= self.config.limits.commands_in_flight {
            return Taken::NotNow;
        }
        let taken = match route {
            Some(Route::NewOrder) => self.on_new_order(client, message, now_ns, port),
            Some(Route::CancelOrder) => self.on_cancel_or_replace(client, message, false, now_ns, port),
            Some(Route::ReplaceOrder) => self.on_cancel_or_replace(client, message, true, now_ns, port),
            Some(Route::NewList) => self.on_new_list(client, message, now_ns, port),
            Some(Route::CancelList) => self.on_list_cancel(client, message, now_ns, port),
            Some(Route::ListStatus) => self.on_list_status_request(client, message, now_ns),
            Some(Route::MassCancel) => self.on_mass_cancel(client, message, now_ns, port),
            other => {
                match other {
                    Some(Route::OrderStatus) => self.on_status_request(client, message, now_ns),
                    Some(Route::MassStatus) => self.on_mass_status_request(client, message, now_ns),
                    Some(Route::ExecuteList) => self.on_list_execute(client, message, now_ns),
                    Some(Route::Positions) => self.on_positions_request(client, message, now_ns),
                    Some(Route::Collateral) => self.on_collateral_inquiry(client, message, now_ns),
                    Some(Route::User) => self.on_user_request(client, message, now_ns),
                    Some(Route::ReplayCopies) => self.on_application_request(client, message, now_ns),
                    _ => {}
                }
                true
            }
        };
        if taken { Taken::Yes } else { Taken::NotNow }
    }

    /// Counts a message against the session's and the firm's throttle; one that had to wait for room is counted once.
    fn count(&mut self, client: usize, message: &Message<'_>, now_ns: u64) -> ThrottleVerdict {
        let sequence = message.number(tags::MSG_SEQ_NUM).unwrap_or(0);
        let state = &mut self.clients[client];
        if state.counted == sequence {
            return ThrottleVerdict::Pass;
        }
        state.counted = sequence;
        let cancel = matches!(message.message_type(), b"F" | b"q" | b"K");
        let of_session = state.throttle.take(cancel, now_ns);
        let of_firm = state.firm.map_or(ThrottleVerdict::Pass, |firm| self.firms.take(firm, cancel, now_ns));
        of_session.max(of_firm)
    }

    /// Over the soft limit: the answer that the message type has for a refusal.
    fn refuse_rate(&mut self, client: usize, message: &Message<'_>, now_ns: u64) {
        self.counters.throttled += 1;
        let refusal = Refusal { code: 99, text: "too many messages a second: try again" };
        match message.message_type() {
            b"D" => self.refuse_order(client, message, refusal, now_ns),
            b"F" => self.refuse_cancel(client, message, None, false, refusal, now_ns),
            b"G" => self.refuse_cancel(client, message, None, true, refusal, now_ns),
            b"E" => self.refuse_list(client, message, refusal, now_ns),
            b"q" => self.refuse_mass_cancel(client, message, refusal, now_ns),
            _ => self.clients[client].session.reject_business(
                message,
                refusal.code,
                refusal.text,
                now_ns,
                &mut self.store,
            ),
        }
    }

    fn refuse_permission(&mut self, client: usize, message: &Message<'_>, now_ns: u64) {
        let session = &mut self.clients[client].session;
        // "Not authorized" is from FIX.4.3; before there is only "other".
        let reason = if session.version() < Version::Fix43 { 0 } else { 6 };
        let text = "this session may not send messages of this type";
        session.reject_business(message, reason, text, now_ns, &mut self.store);
    }

    /// Whether this is a request that may have come before, and has: it had its effect then.
    fn is_repeated(&self, client: usize, message: &Message<'_>) -> bool {
        let perhaps = message.flag(tags::POSS_DUP_FLAG) || message.flag(tags::POSS_RESEND);
        if !perhaps || message.message_type() == b"H" {
            return false;
        }
        let id = message.get(tags::CL_ORD_ID).and_then(ClientOrderId::from_text);
        id.is_some_and(|id| {
            let client_state = &self.clients[client];
            self.orders.knows_client_id(client as u16, id)
                || client_state.is_waiting(id)
                || client_state.has_refused(id)
        })
    }

    /// For whom a session enters orders.
    pub(super) fn trader(&self, client: usize) -> Trader {
        let user = &self.config.users[client];
        Trader { account: user.account, self_trade_prevention: user.self_trade_prevention }
    }

    fn on_new_order(
        &mut self,
        client: usize,
        message: &Message<'_>,
        now_ns: u64,
        port: &mut dyn CommandPort,
    ) -> bool {
        match parse_new(message, &self.orders.catalog, self.trader(client)) {
            Ok(_) if port.is_disk_full() => {
                self.refuse_order(client, message, DISK_FULL, now_ns);
                true
            }
            Ok(request) => self.send(client, request, true, port),
            Err(refusal) => {
                self.refuse_order(client, message, refusal, now_ns);
                true
            }
        }
    }

    /// Sends a command. `first` says that its message is being received now, not released from the parking place.
    pub(super) fn send(
        &mut self,
        client: usize,
        request: Request,
        first: bool,
        port: &mut dyn CommandPort,
    ) -> bool {
        let session = client as u16 + 1;
        if !request.send(|kind, body| port.try_send(session, kind, 1, body)) {
            return false;
        }
        self.counters.commands += 1;
        request.client_order_ids().for_each(|id| self.orders.expect_client_id(client as u16, id));
        if first {
            self.clients[client].await_effect(request.sequence);
        }
        self.clients[client].sent(request);
        true
    }

    pub(super) fn exec_id(&mut self, now_ns: u64) -> String {
        self.local_reports += 1;
        format!("G{now_ns}-{}", self.local_reports)
    }

    pub(super) fn refuse_order(
        &mut self,
        client: usize,
        message: &Message<'_>,
        refusal: Refusal,
        now_ns: u64,
    ) {
        self.counters.reports += 1;
        self.remember_refused(client, message);
        let exec_id = self.exec_id(now_ns);
        self.clients[client].session.send_application(b"8", now_ns, &mut self.store, |writer| {
            let statuses = (status::REJECTED, status::REJECTED);
            write_local_report(
                writer,
                message,
                &exec_id,
                statuses,
                Some((refusal.code, refusal.text)),
                now_ns,
            );
        });
    }

    pub(super) fn remember_refused(&mut self, client: usize, message: &Message<'_>) {
        let id = message.get(tags::CL_ORD_ID).and_then(ClientOrderId::from_text);
        if let Some(id) = id.filter(|id| !id.is_none()) {
            self.clients[client].refuse(id);
        }
    }
}
