//! The lists of orders that the sessions of this gateway have entered: what became of which order, under the owner's id of
//! the list.

use std::collections::{BTreeMap, HashMap, VecDeque};

use protocol::{ClientOrderId, OrderId, OrderListAccepted};

use super::report::Stamp;
use super::{Order, Orders};

/// Lists without an order that are remembered for ListStatusRequests.
const NEWEST: usize = 256;

/// A list of orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderList {
    /// Index of the session whose account entered it.
    pub session: u16,
    /// ListID (66).
    pub id: ClientOrderId,
    /// Its orders: ClOrdID (11) that the list gave it, and the engine's id; none for one that was rejected.
    pub orders: Vec<(ClientOrderId, OrderId)>,
    /// Place of the last event that is in `orders`, among its command's.
    pub(super) noted: u32,
    /// Orders that have not ended.
    pub(super) live: u32,
}

/// All lists that are remembered: as long as one of their orders is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lists {
    /// By the sequence of the command, which is in the ids of its orders.
    pub(super) by_sequence: BTreeMap<u64, OrderList>,
    /// The newest list with this id.
    pub(super) by_id: HashMap<(u16, ClientOrderId), u64>,
    /// The newest ones, oldest first.
    pub(super) newest: VecDeque<u64>,
    /// Command that is being folded, if it is a list.
    pub(super) current: Option<u64>,
}

impl Lists {
    /// A list was taken; its orders follow.
    pub(super) fn begin(&mut self, session: u16, body: &OrderListAccepted, stamp: Stamp) {
        let id = body.client_list_id;
        let orders = Vec::with_capacity(body.count as usize);
        let list = OrderList { session, id, orders, noted: stamp.index, live: 0 };
        self.by_sequence.insert(stamp.sequence, list);
        self.by_id.insert((session, id), stamp.sequence);
        self.current = Some(stamp.sequence);
        self.newest.push_back(stamp.sequence);
        if self.newest.len() > NEWEST
            && let Some(oldest) = self.newest.pop_front()
            && self
                .by_sequence
                .get(&oldest)
                .is_some_and(|it| it.orders.iter().all(|it| it.1 == OrderId::NONE))
        {
            self.remove(oldest);
        }
    }

    /// An order was accepted, or rejected. Whether it is one of the list that this command is. A reject may be folded
    /// twice.
    #[inline]
    pub(super) fn note(&mut self, client_order_id: ClientOrderId, order_id: OrderId, stamp: Stamp) -> bool {
        self.current == Some(stamp.sequence) && self.note_listed(client_order_id, order_id, stamp)
    }

    fn note_listed(&mut self, client_order_id: ClientOrderId, order_id: OrderId, stamp: Stamp) -> bool {
        let Some(list) = self.by_sequence.get_mut(&stamp.sequence) else { return false };
        if stamp.index > list.noted {
            list.noted = stamp.index;
            list.orders.push((client_order_id, order_id));
            list.live += u32::from(order_id != OrderId::NONE);
        }
        true
    }

    /// An order of a list has ended.
    pub(super) fn ended(&mut self, order_id: OrderId) {
        if let Some(list) = self.by_sequence.get_mut(&order_id.sequence()) {
            list.live = list.live.saturating_sub(1);
        }
    }

    /// Whether an ended order of a list must still be remembered: another one of it lives. If not, the list is forgotten.
    pub(super) fn needs(&mut self, order_id: OrderId) -> bool {
        let sequence = order_id.sequence();
        let lives = self.by_sequence.get(&sequence).is_some_and(|list| list.live > 0);
        if !lives {
            self.remove(sequence);
        }
        lives
    }

    fn remove(&mut self, sequence: u64) {
        if let Some(list) = self.by_sequence.remove(&sequence) {
            let key = (list.session, list.id);
            if self.by_id.get(&key) == Some(&sequence) {
                self.by_id.remove(&key);
            }
        }
    }
}

impl Orders {
    /// The list with this sequence of its command.
    #[must_use]
    pub fn list(&self, sequence: u64) -> Option<&OrderList> {
        self.lists.by_sequence.get(&sequence)
    }

    /// The newest list of a session with this id: the sequence of its command.
    #[must_use]
    pub fn newest_list(&self, session: u16, id: ClientOrderId) -> Option<u64> {
        self.lists.by_id.get(&(session, id)).copied()
    }

    /// ListID of the list that an order is of. `sequence` is that of the event, which is the list's for a rejected order.
    pub(crate) fn list_id(&self, order: &Order, sequence: u64) -> Option<ClientOrderId> {
        if !order.is_listed {
            return None;
        }
        let of = if order.order_id == OrderId::NONE { sequence } else { order.order_id.sequence() };
        self.list(of).map(|list| list.id)
    }

    /// The first order of a list that has not ended.
    pub(crate) fn first_live_of(&self, sequence: u64) -> Option<&Order> {
        let list = self.list(sequence)?;
        let orders = list.orders.iter().filter_map(|(_, order_id)| self.by_id.get(order_id));
        orders.into_iter().find(|order| !order.is_done())
    }
}
