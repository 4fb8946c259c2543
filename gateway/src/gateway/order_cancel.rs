//! Cancels and replaces of single orders, and finding the order that a request means.

use std::collections::VecDeque;

use protocol::{ClientOrderId, OrderId};

use super::order_entry::DISK_FULL;
use super::{CommandPort, Gateway};
use crate::fix::{Message, tags};
use crate::orders::{
    Order, Refusal, Request, fit_to_order, parse_cancel, parse_replace, write_local_cancel_reject,
};

/// Which order a cancel, replace or status request means.
pub(super) enum Located {
    Order(Order),
    /// It is on its way to the engine.
    InFlight,
    Unknown,
}

impl Gateway {
    pub(super) fn locate(
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

    pub(super) fn on_cancel_or_replace(
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
            (Located::InFlight, Ok(request)) => return self.park(client, request),
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
        if let Some(market) = &self.market {
            market.expect_order(order.order_id);
        }
        match fit_to_order(request, &order, self.orders.special(&order)) {
            Ok(request) => self.send(client, request, true, port),
            Err(refusal) => {
                self.refuse_cancel(client, message, Some(&order), replace, refusal, now_ns);
                true
            }
        }
    }

    pub(super) fn refuse_cancel(
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

    /// A cancel or replace whose order has no acknowledgement yet waits for it. `false` when as many wait as may: then the
    /// message is not received yet, and its socket is not read until some have gone on.
    fn park(&mut self, client: usize, request: Request) -> bool {
        if self.clients[client].parked_count() >= self.config.limits.parked_requests {
            return false;
        }
        self.clients[client].await_effect(request.sequence);
        self.clients[client].park(request);
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
        let replace = request.is_replace();
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
        let mut parked = self.clients[client].take_parked();
        if parked.is_empty() {
            return;
        }
        let (mut waiting, mut full) = (VecDeque::new(), false);
        while let Some(request) = parked.pop_front() {
            let original = request.original_client_order_id;
            let outcome = match self.locate(client, None, Some(original)) {
                Located::InFlight => None,
                Located::Unknown => Some((
                    None,
                    Err(Refusal { code: 1, text: "the order with this OrigClOrdID was rejected" }),
                )),
                Located::Order(order) => {
                    let fitted = fit_to_order(request.clone(), &order, self.orders.special(&order));
                    Some((Some(order), fitted))
                }
            };
            match outcome {
                None => waiting.push_back(request),
                Some((order, Err(refusal))) => {
                    self.refuse_parked(client, &request, order.as_ref(), refusal, now_ns);
                    self.clients[client].effect_came(request.sequence);
                    self.clients[client].unpark(&request);
                }
                Some((_, Ok(fitted))) => {
                    if !self.send(client, fitted, false, port) {
                        full = true;
                        waiting.push_back(request);
                        break;
                    }
                    self.clients[client].unpark(&request);
                }
            }
        }
        waiting.append(&mut parked);
        self.clients[client].put_back_parked(waiting, full);
    }
}

/// An OrderID as we print it: sequence and slot.
fn parse_order_id(text: &[u8]) -> Option<OrderId> {
    let dash = text.iter().position(|&byte| byte == b'-')?;
    let sequence = crate::fix::parse_number(&text[..dash])?;
    let slot = crate::fix::parse_number(&text[dash + 1..])?;
    let valid = sequence <= protocol::MAX_SEQUENCE && slot < 1 << OrderId::SLOT_BITS;
    valid.then(|| OrderId::new(sequence, slot as u32))
}
