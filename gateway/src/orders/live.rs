//! Which orders are live: a word for each slot of the engine's table, where no two of them are at the same time.

use protocol::OrderId;

/// See the module's documentation. It has as many words as the highest slot that was ever taken, and the engine takes the
/// slots that became free last: those of now are near each other.
#[derive(Default)]
pub(super) struct Live {
    by_slot: Vec<OrderId>,
}

impl Live {
    /// The order has begun.
    pub(super) fn insert(&mut self, order_id: OrderId) {
        let slot = order_id.slot() as usize;
        if slot >= self.by_slot.len() {
            self.by_slot.resize(slot + 1, OrderId::NONE);
        }
        self.by_slot[slot] = order_id;
    }

    /// It has ended.
    pub(super) fn remove(&mut self, order_id: OrderId) {
        if self.has(order_id) {
            self.by_slot[order_id.slot() as usize] = OrderId::NONE;
        }
    }

    /// Whether it has begun and not ended.
    #[inline]
    pub(super) fn has(&self, order_id: OrderId) -> bool {
        order_id != OrderId::NONE && self.by_slot.get(order_id.slot() as usize) == Some(&order_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_live_until_it_ends_whoever_had_its_slot_before() {
        let mut live = Live::default();
        let [first, second, far] = [OrderId::new(1, 0), OrderId::new(2, 0), OrderId::new(3, 1000)];
        assert!(!live.has(OrderId::NONE) && !live.has(first));
        live.insert(first);
        live.insert(far);
        assert!(live.has(first) && live.has(far) && !live.has(OrderId::new(4, 999)));
        live.remove(first);
        live.insert(second);
        live.remove(first);
        assert!(!live.has(first) && live.has(second) && live.has(far) && !live.has(OrderId::NONE));
    }
}
