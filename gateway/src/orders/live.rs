//! Which orders are live: their ids alone, in a table that is small and in use.

use std::collections::HashSet;

use protocol::OrderId;

use super::in_sequence::InSequence;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Live {
    ids: HashSet<OrderId, InSequence>,
}

impl Live {
    /// The order has begun.
    pub(super) fn insert(&mut self, order_id: OrderId) {
        self.ids.insert(order_id);
    }

    /// It has ended.
    pub(super) fn remove(&mut self, order_id: OrderId) {
        self.ids.remove(&order_id);
    }

    /// Whether it has begun and not ended.
    #[inline]
    pub(super) fn has(&self, order_id: OrderId) -> bool {
        self.ids.contains(&order_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_live_until_it_ends_whoever_else_has_its_slot() {
        let mut live = Live::default();
        let [first, second, far] = [OrderId::new(1, 0), OrderId::new(2, 0), OrderId::new(3, 1000)];
        assert!(!live.has(OrderId::NONE) && !live.has(first));
        live.insert(first);
        live.insert(far);
        live.insert(second);
        assert!(live.has(first) && live.has(second) && live.has(far) && !live.has(OrderId::new(4, 1000)));
        live.remove(first);
        live.remove(first);
        assert!(!live.has(first) && live.has(second) && live.has(far) && !live.has(OrderId::NONE));
    }
}
