//! Requests for the state of orders.

use protocol::{ClientOrderId, OrderId};

use super::Gateway;
use super::order_cancel::Located;
use crate::fix::{Message, tags};
use crate::orders::{
    ExecutionReport, StatusAnswer, parse_mass_status, status, write_execution, write_local_report,
    write_no_orders,
};

/// Answers to mass status requests that are not through yet; more are refused.
const OPEN_ANSWERS: usize = 4;
/// An answer pauses while this many bytes wait to be sent, so that a long one does not fill memory.
const PAUSE_AT_BYTES: usize = 256 * 1024;

/// An answer to an OrderMassStatusRequest.
pub(super) struct MassAnswer {
    request_id: Vec<u8>,
    orders: Vec<OrderId>,
    /// Place of the next one.
    next: usize,
}

impl Gateway {
    pub(super) fn on_status_request(&mut self, client: usize, message: &Message<'_>, now_ns: u64) {
        let id = message.get(tags::CL_ORD_ID).and_then(ClientOrderId::from_text);
        let located = self.locate(client, message.get(tags::ORDER_ID), id);
        let exec_id = self.exec_id(now_ns);
        let orders = &self.orders;
        let request = message.get(tags::ORD_STATUS_REQ_ID);
        self.counters.reports += 1;
        self.clients[client].session.send_application(
            b"8",
            now_ns,
            &mut self.store,
            |writer| match located {
                Located::Order(order) => {
                    let report = ExecutionReport::status_of(order, now_ns);
                    let answer = StatusAnswer { exec_id: Some(&exec_id), request, mass: None };
                    write_execution(writer, orders, &report, answer);
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

    pub(super) fn on_mass_status_request(&mut self, client: usize, message: &Message<'_>, now_ns: u64) {
        let account = self.config.users[client].account;
        let scope = match parse_mass_status(message, &self.orders.catalog, account) {
            Ok(scope) => scope,
            Err(refusal) => return self.answer_without_orders(client, message, Some(refusal.text), now_ns),
        };
        if self.clients[client].answers.len() == OPEN_ANSWERS {
            let text = "as many mass status requests are being answered as there may be: 4";
            return self.answer_without_orders(client, message, Some(text), now_ns);
        }
        let orders = self.orders.live(client as u16, |order| scope.has(order));
        if orders.is_empty() {
            return self.answer_without_orders(client, message, None, now_ns);
        }
        let request_id = message.get(tags::MASS_STATUS_REQ_ID).unwrap_or_default().to_vec();
        self.clients[client].answers.push_back(MassAnswer { request_id, orders, next: 0 });
        self.pump_answers(client, now_ns);
    }

    /// One report that says that there is none: FIX.4.4 volume 4, OrderMassStatusRequest.
    fn answer_without_orders(
        &mut self,
        client: usize,
        message: &Message<'_>,
        refusal: Option<&'static str>,
        now_ns: u64,
    ) {
        self.counters.reports += 1;
        let exec_id = self.exec_id(now_ns);
        let text = refusal.unwrap_or("there are no live orders");
        self.clients[client].session.send_application(b"8", now_ns, &mut self.store, |writer| {
            write_no_orders(writer, message, &exec_id, text, now_ns);
        });
    }

    /// Goes on with the answers to mass status requests. Each order is told as it is when its report is written.
    pub(super) fn pump_answers(&mut self, client: usize, now_ns: u64) {
        while let Some(mut answer) = self.clients[client].answers.pop_front() {
            if !self.clients[client].session.is_online() {
                self.clients[client].answers.clear();
                return;
            }
            let total = answer.orders.len();
            while answer.next < total {
                if self.clients[client].session.wire().len() > PAUSE_AT_BYTES {
                    self.clients[client].answers.push_front(answer);
                    return;
                }
                let order_id = answer.orders[answer.next];
                answer.next += 1;
                let order = self.orders.by_id(client as u16, order_id).copied();
                // One that has been forgotten meanwhile leaves its place in the count empty, unless it is the last.
                let order = order.or_else(|| (answer.next == total).then(|| self.gone(client, order_id)));
                let Some(order) = order else { continue };
                let exec_id = self.exec_id(now_ns);
                let last = answer.next == total;
                let mass = Some((answer.request_id.as_slice(), total as u64, last));
                let of = StatusAnswer { exec_id: Some(&exec_id), mass, request: None };
                let report = ExecutionReport::status_of(order, now_ns);
                let orders = &self.orders;
                self.counters.reports += 1;
                self.clients[client].session.send_application(b"8", now_ns, &mut self.store, |writer| {
                    write_execution(writer, orders, &report, of);
                });
            }
        }
    }

    /// An order that ended so long ago that it has been forgotten.
    fn gone(&self, client: usize, order_id: OrderId) -> crate::orders::Order {
        crate::orders::Order {
            order_id,
            session: client as u16,
            account: self.config.users[client].account,
            side: 7,
            status: status::CANCELED,
            ..crate::orders::Order::default()
        }
    }
}
