//! Lists of orders: NewOrderList, ListCancelRequest and ListStatusRequest, and ListStatus in answer.

use protocol::OrderId;

use super::order_entry::DISK_FULL;
use super::{CommandPort, Gateway};
use crate::fix::{Message, Version, tags};
use crate::orders::{
    Extra, ListOccasion, ListOrderState, Refusal, Sent, cancel_of_list, list_id, orders_of, parse_list,
    reject_text, states_of, write_list_status,
};

/// A list of which what is left is being cancelled.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListCancel {
    /// Sequence of the command that entered it.
    list: u64,
    /// MsgSeqNum of the ListCancelRequest.
    pub(super) message: u64,
    /// The order that was cancelled last; an exchange that does not let it go is not asked again.
    last: OrderId,
    /// Whether its cancel is on its way.
    waits: bool,
}

impl Gateway {
    pub(super) fn on_new_list(
        &mut self,
        client: usize,
        message: &Message<'_>,
        now_ns: u64,
        port: &mut dyn CommandPort,
    ) -> bool {
        if self.clients[client].session.version() < Version::Fix42 {
            // There a list is several messages, one for each order.
            let text = "lists are taken from FIX.4.2 on";
            self.clients[client].session.reject_business(message, 3, text, now_ns, &mut self.store);
            return true;
        }
        let refusal = match parse_list(message, &self.orders.catalog, self.trader(client)) {
            Ok(_) if port.is_disk_full() => DISK_FULL,
            Ok(request) => return self.send(client, request, true, port),
            Err(refusal) => refusal,
        };
        self.refuse_list(client, message, refusal, now_ns);
        true
    }

    /// A ListStatus that rejects the list, in place of a report for each of its orders.
    pub(super) fn refuse_list(
        &mut self,
        client: usize,
        message: &Message<'_>,
        refusal: Refusal,
        now_ns: u64,
    ) {
        self.remember_refused(client, message);
        let id = |part: Message<'_>| part.get(tags::CL_ORD_ID).unwrap_or_default().to_vec();
        let states: Vec<ListOrderState> = orders_of(message)
            .map(|part| ListOrderState { client_order_id: id(part), order: None })
            .collect();
        let id = message.get(tags::LIST_ID).unwrap_or_default();
        self.send_list_status(client, id, &states, ListOccasion::Refused(refusal.text), now_ns);
    }

    /// The engine has dealt with a request of this kind, by the command with this sequence.
    pub(super) fn on_list_done(&mut self, client: usize, request: &Sent, sequence: u64, now_ns: u64) {
        let reason = self.clients[client].list_rejected.take();
        match &request.extra {
            Extra::List(list) if self.orders.list(sequence).is_some() => {
                self.tell_list(client, sequence, ListOccasion::Entered, now_ns);
                debug_assert!(self.orders.list(sequence).is_some_and(|it| it.id == list.id));
            }
            Extra::List(list) => {
                let ids = list.orders.iter().map(|it| it.client_order_id.as_bytes_trimmed().to_vec());
                let states: Vec<ListOrderState> =
                    ids.map(|client_order_id| ListOrderState { client_order_id, order: None }).collect();
                // Where one order was to blame its report has said why.
                let occasion =
                    reason.map_or(ListOccasion::Entered, |it| ListOccasion::Refused(reject_text(it)));
                self.send_list_status(client, list.id.as_bytes_trimmed(), &states, occasion, now_ns);
            }
            Extra::OfListCancel => {
                self.clients[client].list_cancels.front_mut().into_iter().for_each(|it| it.waits = false);
            }
            Extra::None | Extra::MassCancel(_) => {}
        }
    }

    /// The same of a command that the process before this one has sent: of a list that was taken, its ListStatus. It was told
    /// already if the store has seen the command's events.
    pub(super) fn on_list_of_before(&mut self, client: usize, sequence: u64, now_ns: u64) {
        if sequence > self.store.applied() {
            self.tell_list(client, sequence, ListOccasion::Entered, now_ns);
        }
    }

    /// ListStatusRequest: `false` if the list is on its way to the engine itself.
    pub(super) fn on_list_status_request(
        &mut self,
        client: usize,
        message: &Message<'_>,
        now_ns: u64,
    ) -> bool {
        if self.enters_list(client, message) {
            return false;
        }
        match self.list_of(client, message) {
            Some(sequence) => self.tell_list(client, sequence, ListOccasion::Asked, now_ns),
            None => self.refuse_unknown_list(client, message, now_ns),
        }
        true
    }

    /// Whether the list that a message names is on its way to the engine.
    fn enters_list(&self, client: usize, message: &Message<'_>) -> bool {
        list_id(message).is_some_and(|id| self.clients[client].enters_list(id))
    }

    /// ListExecute: there is nothing that it could begin.
    pub(super) fn on_list_execute(&mut self, client: usize, message: &Message<'_>, now_ns: u64) {
        let text = "a list is executed as soon as it is there: lists that wait for a ListExecute (433=2) are not offered";
        self.clients[client].session.reject_business(message, 3, text, now_ns, &mut self.store);
    }

    /// ListCancelRequest: `false` if there is no room for it now, or the list is on its way to the engine itself.
    pub(super) fn on_list_cancel(
        &mut self,
        client: usize,
        message: &Message<'_>,
        now_ns: u64,
        port: &mut dyn CommandPort,
    ) -> bool {
        if self.enters_list(client, message) {
            return false;
        }
        let Some(sequence) = self.list_of(client, message) else {
            self.refuse_unknown_list(client, message, now_ns);
            return true;
        };
        let cancels = &mut self.clients[client].list_cancels;
        if cancels.len() >= self.config.limits.parked_requests {
            return false;
        }
        let number = message.number(tags::MSG_SEQ_NUM).unwrap_or(0);
        cancels.push_back(ListCancel { list: sequence, message: number, last: OrderId::NONE, waits: false });
        self.clients[client].await_effect(number);
        if self.orders.first_live_of(sequence).is_some() {
            self.tell_list(client, sequence, ListOccasion::Cancelling, now_ns);
        }
        self.go_on_with_list_cancels(client, now_ns, port);
        true
    }

    /// Cancels the orders of the lists that are to be cancelled, one after the other: the end of one may be the end of
    /// the others of its list.
    pub(super) fn go_on_with_list_cancels(&mut self, client: usize, now_ns: u64, port: &mut dyn CommandPort) {
        while let Some(cancel) = self.clients[client].list_cancels.front().copied().filter(|it| !it.waits) {
            let ListCancel { list, message, last, .. } = cancel;
            if let Some(order) = self.orders.first_live_of(list).filter(|order| order.order_id != last) {
                let (request, last) = (cancel_of_list(order), order.order_id);
                if self.send(client, request, false, port) {
                    self.clients[client].list_cancels[0] = ListCancel { last, waits: true, ..cancel };
                }
                return;
            }
            self.clients[client].list_cancels.pop_front();
            self.clients[client].effect_came(message);
            self.activity.clients.insert(client);
            self.tell_list(client, list, ListOccasion::Cancelled, now_ns);
        }
    }

    /// The list of this session that a message names.
    fn list_of(&self, client: usize, message: &Message<'_>) -> Option<u64> {
        let version = self.clients[client].session.version();
        list_id(message)
            .filter(|_| version >= Version::Fix42)
            .and_then(|id| self.orders.newest_list(client as u16, id))
    }

    fn refuse_unknown_list(&mut self, client: usize, message: &Message<'_>, now_ns: u64) {
        let text = "no list of this session has this ListID (66): it may have been forgotten";
        self.clients[client].session.reject_business(message, 1, text, now_ns, &mut self.store);
    }

    fn tell_list(&mut self, client: usize, sequence: u64, occasion: ListOccasion<'_>, now_ns: u64) {
        // Between the last cancel and this its orders may have been forgotten.
        let Some(list) = self.orders.list(sequence) else { return };
        let (id, states) = (list.id, states_of(&self.orders, list));
        self.send_list_status(client, id.as_bytes_trimmed(), &states, occasion, now_ns);
    }

    fn send_list_status(
        &mut self,
        client: usize,
        id: &[u8],
        states: &[ListOrderState],
        occasion: ListOccasion<'_>,
        now_ns: u64,
    ) {
        self.counters.reports += 1;
        let catalog = &self.orders.catalog;
        self.clients[client].session.send_application(b"N", now_ns, &mut self.store, |writer| {
            write_list_status(writer, catalog, id, states, occasion, now_ns);
        });
    }
}
