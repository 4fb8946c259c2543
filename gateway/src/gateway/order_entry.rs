//! Orders, cancels, replaces and status requests of a session.

use protocol::{ClientOrderId, CommandKind, OrderId};

use super::dispatch::{Route, route_of};
use super::{CommandPort, Gateway, Taken};
use crate::access::ThrottleVerdict;
use crate::fix::{Message, Version, tags};
use crate::orders::{
    ExecutionReport, Order, Refusal, Request, parse_cancel, parse_new, parse_replace, status,
    write_execution, write_local_cancel_reject, write_local_report,
};

/// New business while the journal's disk is full (OrdRejReason, CxlRejReason 99: other).
const DISK_FULL: Refusal =
    Refusal { code: 99, text: "the exchange's disk is full: only cancels are taken until there is room" };

/// Which order a cancel, replace or status request means.
enum Located {
    Order(Order),
    /// It is on its way to the engine.
    InFlight,
    Unknown,
}

impl Gateway {
    /// An order message in sequence.
    pub(super) fn on_application(
        &mut self,
        client: usize,
        message: &Message<'_>,
        now_ns: u64,
        port: &mut dyn CommandPort,
    ) -> Taken {
        if self.is_repeated(client, message) {
            return Taken::Yes;
        }
        if !self.config.users[client].access.permissions.allows(message.message_type()) {
            self.refuse_permission(client, message, now_ns);
            return Taken::Yes;
        }
        match self.count(client, message, now_ns) {
            ThrottleVerdict::Pass => {}
            ThrottleVerdict::Reject => {
                self.refuse_rate(client, message, now_ns);
                return Taken::Yes;
            }
            ThrottleVerdict::LogOut => {
                let text = "too many messages a second";
                self.clients[client].session.begin_logout(text, now_ns, &mut self.store);
                return Taken::Dropped;
            }
        }
        if self.clients[client].commands_in_flight() >= self.config.limits.commands_in_flight {
            return Taken::NotNow;
        }
        let taken = match route_of(message.message_type()) {
            None => true,
            Some(Route::OrderStatus) => {
                self.on_status_request(client, message, now_ns);
                true
            }
            Some(Route::ReplayCopies) => {
                self.on_application_request(client, message, now_ns);
                true
            }
            Some(Route::NewOrder) => self.on_new_order(client, message, now_ns, port),
            Some(Route::CancelOrder) => self.on_cancel_or_replace(client, message, false, now_ns, port),
            Some(Route::ReplaceOrder) => self.on_cancel_or_replace(client, message, true, now_ns, port),
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
        let cancel = message.message_type() == b"F";
        let of_session = state.throttle.take(cancel, now_ns);
        let of_firm = state.firm.map_or(ThrottleVerdict::Pass, |firm| self.firms[firm].take(cancel, now_ns));
        if of_session == ThrottleVerdict::Pass { of_firm } else { of_session }
    }

    /// Over the soft limit: the answer that the message type has for a refusal.
    fn refuse_rate(&mut self, client: usize, message: &Message<'_>, now_ns: u64) {
        self.counters.throttled += 1;
        let refusal = Refusal { code: 99, text: "too many messages a second: try again" };
        match message.message_type() {
            b"D" => self.refuse_order(client, message, refusal, now_ns),
            b"F" => self.refuse_cancel(client, message, None, false, refusal, now_ns),
            b"G" => self.refuse_cancel(client, message, None, true, refusal, now_ns),
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

    fn on_new_order(
        &mut self,
        client: usize,
        message: &Message<'_>,
        now_ns: u64,
        port: &mut dyn CommandPort,
    ) -> bool {
        let user = &self.config.users[client];
        match parse_new(message, &self.orders.catalog, user.account, user.self_trade_prevention) {
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
    fn send(&mut self, client: usize, request: Request, first: bool, port: &mut dyn CommandPort) -> bool {
        let session = client as u16 + 1;
        if !request.send(|kind, body| port.try_send(session, kind, 1, body)) {
            return false;
        }
        self.counters.commands += 1;
        if first {
            self.clients[client].await_effect(request.sequence);
        }
        self.clients[client].sent(request);
        true
    }

    fn exec_id(&mut self, now_ns: u64) -> String {
        self.local_reports += 1;
        format!("G{now_ns}-{}", self.local_reports)
    }

    fn refuse_order(&mut self, client: usize, message: &Message<'_>, refusal: Refusal, now_ns: u64) {
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

    fn remember_refused(&mut self, client: usize, message: &Message<'_>) {
        let id = message.get(tags::CL_ORD_ID).and_then(ClientOrderId::from_text);
        if let Some(id) = id.filter(|id| !id.is_none()) {
            self.clients[client].refuse(id);
        }
    }

    fn locate(
        &self,
        client: usize,
        order_id: Option<&[u8]>,
        client_order_id: Option<ClientOrderId>,
    ) -> Located {
        let session = client as u16;
        let by_id = order_id.and_then(parse_order_id).and_then(|id| self.orders.by_id(session, id));
        if let Some(order) = by_id {
            return Located::Order(*order);
        }
        let Some(client_order_id) = client_order_id else { return Located::Unknown };
        if self.clients[client].is_waiting(client_order_id) {
            return Located::InFlight;
        }
        self.orders.by_client_id(session, client_order_id).map_or(Located::Unknown, |it| Located::Order(*it))
    }

    fn on_cancel_or_replace(
        &mut self,
        client: usize,
        message: &Message<'_>,
        replace: bool,
        now_ns: u64,
        port: &mut dyn CommandPort,
    ) -> bool {
        let account = self.config.users[client].account;
        let parsed = if replace {
            parse_replace(message, &self.orders.catalog, account)
        } else {
            parse_cancel(message, &self.orders.catalog, account)
        };
        let original = message.get(tags::ORIG_CL_ORD_ID).and_then(ClientOrderId::from_text);
        let located = self.locate(client, message.get(tags::ORDER_ID), original);
        let (order, request) = match (located, parsed) {
            (Located::Order(order), Ok(_)) if replace && port.is_disk_full() => {
                self.refuse_cancel(client, message, Some(&order), replace, DISK_FULL, now_ns);
                return true;
            }
            (Located::Order(order), Ok(request)) => (order, request),
            (Located::InFlight, Ok(request)) => {
                return self.park(client, request, now_ns);
            }
            (Located::Order(order), Err(refusal)) => {
                self.refuse_cancel(client, message, Some(&order), replace, refusal, now_ns);
                return true;
            }
            (Located::InFlight, Err(refusal)) => {
                self.refuse_cancel(client, message, None, replace, refusal, now_ns);
                return true;
            }
            (Located::Unknown, _) => {
                let refusal =
                    Refusal { code: 1, text: "no order of this session has this OrigClOrdID or OrderID" };
                self.refuse_cancel(client, message, None, replace, refusal, now_ns);
                return true;
            }
        };
        match check_against_order(&request, &order, message.get(tags::TIME_IN_FORCE)) {
            Ok(()) => self.send(client, Request { order_id: order.order_id, ..request }, true, port),
            Err(refusal) => {
                self.refuse_cancel(client, message, Some(&order), replace, refusal, now_ns);
                true
            }
        }
    }

    fn refuse_cancel(
        &mut self,
        client: usize,
        message: &Message<'_>,
        order: Option<&Order>,
        replace: bool,
        refusal: Refusal,
        now_ns: u64,
    ) {
        self.counters.reports += 1;
        self.remember_refused(client, message);
        let id = message.get(tags::CL_ORD_ID).unwrap_or_default();
        let original = message.get(tags::ORIG_CL_ORD_ID).unwrap_or_default();
        self.clients[client].session.send_application(b"9", now_ns, &mut self.store, |writer| {
            let why = (refusal.code, refusal.text, now_ns);
            write_local_cancel_reject(writer, id, original, order, replace, why);
        });
    }

    /// A cancel or replace whose order has no acknowledgement yet waits for it.
    fn park(&mut self, client: usize, request: Request, now_ns: u64) -> bool {
        if self.clients[client].parked.len() >= self.config.limits.parked_requests {
            let refusal =
                Refusal { code: 99, text: "too many requests wait for their order's acknowledgement" };
            self.refuse_parked(client, &request, None, refusal, now_ns);
            return true;
        }
        self.clients[client].await_effect(request.sequence);
        self.clients[client].parked.push_back(request);
        true
    }

    fn refuse_parked(
        &mut self,
        client: usize,
        request: &Request,
        order: Option<&Order>,
        refusal: Refusal,
        now_ns: u64,
    ) {
        self.counters.reports += 1;
        let replace = request.kind == CommandKind::ReplaceOrder;
        let id = request.client_order_id;
        let original = request.original_client_order_id;
        self.clients[client].session.send_application(b"9", now_ns, &mut self.store, |writer| {
            let why = (refusal.code, refusal.text, now_ns);
            let (id, original) = (id.as_bytes_trimmed(), original.as_bytes_trimmed());
            write_local_cancel_reject(writer, id, original, order, replace, why);
        });
    }

    /// Sends the parked requests whose order is known now, and rejects those whose order never came to be.
    pub(super) fn release_parked(&mut self, client: usize, now_ns: u64, port: &mut dyn CommandPort) {
        let mut left = self.clients[client].parked.len();
        while left > 0 {
            left -= 1;
            let Some(request) = self.clients[client].parked.pop_front() else { return };
            let original = request.original_client_order_id;
            let outcome = match self.locate(client, None, Some(original)) {
                Located::InFlight => None,
                Located::Unknown => Some((
                    None,
                    Err(Refusal { code: 1, text: "the order with this OrigClOrdID was rejected" }),
                )),
                Located::Order(order) => Some((Some(order), check_against_order(&request, &order, None))),
            };
            match outcome {
                None => self.clients[client].parked.push_back(request),
                Some((order, Err(refusal))) => {
                    self.refuse_parked(client, &request, order.as_ref(), refusal, now_ns);
                    self.clients[client].effect_came(request.sequence);
                }
                Some((order, Ok(()))) => {
                    let order_id = order.map_or(OrderId::NONE, |order| order.order_id);
                    if !self.send(client, Request { order_id, ..request }, false, port) {
                        self.clients[client].parked.push_front(request);
                        return;
                    }
                }
            }
        }
    }

    fn on_status_request(&mut self, client: usize, message: &Message<'_>, now_ns: u64) {
        let id = message.get(tags::CL_ORD_ID).and_then(ClientOrderId::from_text);
        let located = self.locate(client, message.get(tags::ORDER_ID), id);
        let exec_id = self.exec_id(now_ns);
        let catalog = &self.orders.catalog;
        let reference = message.get(tags::ORD_STATUS_REQ_ID);
        self.counters.reports += 1;
        self.clients[client].session.send_application(
            b"8",
            now_ns,
            &mut self.store,
            |writer| match located {
                Located::Order(order) => {
                    let report = ExecutionReport::status_of(order, now_ns);
                    write_execution(writer, catalog, &report, Some(&exec_id), reference);
                }
                Located::InFlight => {
                    write_local_report(writer, message, &exec_id, (b'I', status::PENDING_NEW), None, now_ns);
                }
                Located::Unknown => {
                    let reject = Some((5, "no order of this session has this ClOrdID or OrderID"));
                    write_local_report(writer, message, &exec_id, (b'I', status::REJECTED), reject, now_ns);
                }
            },
        );
    }
}

fn check_against_order(
    request: &Request,
    order: &Order,
    time_in_force: Option<&[u8]>,
) -> Result<(), Refusal> {
    let refuse = |code, text| Err(Refusal { code, text });
    if order.is_done() {
        return refuse(0, "too late: the order has ended");
    }
    if order.instrument != request.instrument {
        return refuse(1, "the order is on another Symbol (55)");
    }
    if order.side != request.side {
        return refuse(99, "the order has another Side (54)");
    }
    let same = time_in_force.is_none_or(|it| it == [b'0' + order.time_in_force]);
    if request.kind == CommandKind::ReplaceOrder && !same {
        return refuse(99, "TimeInForce (59) cannot be replaced");
    }
    Ok(())
}

/// An OrderID as we print it: sequence and slot.
fn parse_order_id(text: &[u8]) -> Option<OrderId> {
    let dash = text.iter().position(|&byte| byte == b'-')?;
    let sequence = crate::fix::parse_number(&text[..dash])?;
    let slot = crate::fix::parse_number(&text[dash + 1..])?;
    let valid = sequence <= protocol::MAX_SEQUENCE && slot < 1 << OrderId::SLOT_BITS;
    valid.then(|| OrderId::new(sequence, slot as u32))
}
