//! Lists of orders: NewOrderList, and ListStatus in answer.

use protocol::ClientOrderId;

use super::order_entry::DISK_FULL;
use super::{CommandPort, Gateway};
use crate::fix::{Message, Version, tags};
use crate::orders::{
    Extra, List, ListOrderState, Refusal, Request, orders_of, parse_list, write_list_status,
};

/// Lists of a session that are remembered for ListStatusRequests; the oldest is forgotten first.
const REMEMBERED: usize = 256;

/// A list that a session has entered.
pub(super) struct KnownList {
    id: Vec<u8>,
    orders: Vec<ClientOrderId>,
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
        self.counters.reports += 1;
        self.remember_refused(client, message);
        let id = |part: Message<'_>| part.get(tags::CL_ORD_ID).and_then(ClientOrderId::from_text);
        let states: Vec<ListOrderState> = orders_of(message)
            .map(|part| ListOrderState { client_order_id: id(part).unwrap_or_default(), order: None })
            .collect();
        let list_id = message.get(tags::LIST_ID).unwrap_or_default();
        let catalog = &self.orders.catalog;
        self.clients[client].session.send_application(b"N", now_ns, &mut self.store, |writer| {
            write_list_status(writer, catalog, list_id, &states, (false, refusal.text, now_ns));
        });
    }

    /// The engine has dealt with a list.
    pub(super) fn on_list_done(&mut self, client: usize, request: &Request, now_ns: u64) {
        let Extra::List(list) = &request.extra else { return };
        let List { id, orders, .. } = &**list;
        let known =
            KnownList { id: id.clone(), orders: orders.iter().map(|it| it.client_order_id).collect() };
        self.write_list_status(client, &known, false, now_ns);
        let lists = &mut self.clients[client].lists;
        if lists.len() == REMEMBERED {
            lists.pop_front();
        }
        lists.push_back(known);
    }

    pub(super) fn on_list_status_request(&mut self, client: usize, message: &Message<'_>, now_ns: u64) {
        let id = message.get(tags::LIST_ID).unwrap_or_default();
        let lists = &mut self.clients[client].lists;
        match lists.iter().rposition(|list| list.id == id).and_then(|at| lists.remove(at)) {
            Some(list) => {
                self.write_list_status(client, &list, true, now_ns);
                self.clients[client].lists.push_back(list);
            }
            None => {
                let text = "no list of this session has this ListID (66): it may have been forgotten";
                self.clients[client].session.reject_business(message, 1, text, now_ns, &mut self.store);
            }
        }
    }

    fn write_list_status(&mut self, client: usize, list: &KnownList, asked: bool, now_ns: u64) {
        let states: Vec<ListOrderState> = list
            .orders
            .iter()
            .map(|&client_order_id| {
                let order = self.orders.by_client_id(client as u16, client_order_id).copied();
                ListOrderState { client_order_id, order }
            })
            .collect();
        self.counters.reports += 1;
        let catalog = &self.orders.catalog;
        self.clients[client].session.send_application(b"N", now_ns, &mut self.store, |writer| {
            write_list_status(writer, catalog, &list.id, &states, (asked, "", now_ns));
        });
    }
}
