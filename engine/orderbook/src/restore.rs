//! An order table as a snapshot has it: which slots are in use, which are free, and in which order those are taken.
//!
//! That order is part of the state, since an order's id names its slot. Where levels lie in ladders and trees is not: books
//! are filled anew, order by order.

use alloc::vec::Vec;

use protocol::{NewOrder, OrderId};

use crate::table::NIL;
use crate::{Order, OrderTable};

impl OrderTable {
    /// The slots that new orders will take: those given, in this order, then all from the second number on. A table that
    /// took a slot for the first time and gave it back says the same as one that never took it.
    #[must_use]
    pub fn slots_to_come(&self) -> (Vec<u32>, u32) {
        let mut next = self.slots.free;
        let chain = core::iter::from_fn(|| {
            let slot = (next != NIL).then_some(next)?;
            next = self.slots.entry(slot).next;
            Some(slot)
        });
        let (mut free, mut unused): (Vec<u32>, u32) = (chain.collect(), self.slots.orders.len() as u32);
        while free.last().is_some_and(|&slot| slot + 1 == unused) {
            free.pop();
            unused -= 1;
        }
        (free, unused)
    }

    /// Makes the first slots of an empty table used ones, without orders; [`OrderTable::put_back`] and
    /// [`OrderTable::free_in_order`] say what each of them holds. False if there are fewer slots, or the table is not
    /// empty.
    pub fn use_slots(&mut self, used: u32) -> bool {
        if used > self.capacity() || !self.slots.orders.is_empty() {
            return false;
        }
        let unused = Order::new(OrderId::NONE, &NewOrder::default(), 0, 0);
        self.slots.orders.resize(used as usize, unused);
        true
    }

    /// Puts an order back into the slot that its id names; it is in no queue yet. False if that slot is not free.
    pub fn put_back(&mut self, order: Order) -> bool {
        let place = self.slots.orders.get_mut(order.order_id.slot() as usize);
        let Some(place) = place.filter(|place| place.order_id == OrderId::NONE) else { return false };
        *place = order;
        self.slots.live += 1;
        order.order_id != OrderId::NONE
    }

    /// Says in which order the free slots are taken, once all orders are back. False unless each of them is named once.
    pub fn free_in_order(&mut self, free: &[u32]) -> bool {
        if free.len() != self.slots.orders.len() - self.slots.live as usize {
            return false;
        }
        // A free slot's `prev` is used by nobody: it marks those that have been named.
        const NAMED: u32 = NIL - 1;
        let mut next = NIL;
        for &slot in free.iter().rev() {
            let place = self.slots.orders.get_mut(slot as usize);
            let is_free = |place: &&mut Order| place.order_id == OrderId::NONE && place.prev != NAMED;
            let Some(place) = place.filter(is_free) else { return false };
            (place.prev, place.next) = (NAMED, next);
            next = slot;
        }
        self.slots.free = next;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(sequence: u64, slot: u32) -> Order {
        Order::new(OrderId::new(sequence, slot), &NewOrder::default(), 0, 0)
    }

    fn copy(of: &OrderTable) -> OrderTable {
        let mut table = OrderTable::with_capacity(of.capacity());
        let (free, used) = of.slots_to_come();
        assert!(table.use_slots(used));
        assert!(of.iter().all(|(_, order)| table.put_back(*order)));
        assert!(table.free_in_order(&free));
        table
    }

    #[test]
    fn a_copy_takes_slots_in_the_same_order() {
        let mut table = OrderTable::with_capacity(8);
        for slot in 0..6 {
            table.insert(order(1, slot)).unwrap();
        }
        for slot in [4, 0, 2] {
            table.remove(slot);
        }
        let mut other = copy(&table);
        assert_eq!((other.len(), other.slots_to_come()), (3, (Vec::from([2, 0, 4]), 6)));
        for expected in [2, 0, 4, 6, 7] {
            for table in [&mut table, &mut other] {
                assert_eq!(table.next_slot(), Some(expected));
                table.insert(order(2, expected)).unwrap();
            }
        }
        assert_eq!((other.next_slot(), other.len()), (None, 8));
    }

    #[test]
    fn a_slot_that_came_back_to_the_unused_ones_leaves_no_trace() {
        let mut table = OrderTable::with_capacity(8);
        for slot in 0..6 {
            table.insert(order(1, slot)).unwrap();
        }
        let before = [3, 0].map(|slot| {
            table.remove(slot);
            table.slots_to_come()
        });
        assert_eq!(before[1], (Vec::from([0, 3]), 6));
        table.remove(5);
        assert_eq!(table.slots_to_come(), (Vec::from([5, 0, 3]), 6), "it is not the last one to be taken");
        let mut last = OrderTable::with_capacity(8);
        for slot in 0..3 {
            last.insert(order(1, slot)).unwrap();
        }
        last.remove(2);
        last.remove(0);
        assert_eq!(last.slots_to_come(), (Vec::from([0]), 2));
        let mut other = copy(&last);
        for expected in [0, 2, 3] {
            for table in [&mut last, &mut other] {
                assert_eq!(table.insert(order(2, expected)), Some(expected));
            }
        }
    }

    #[test]
    fn what_no_table_can_be_is_refused() {
        let mut table = OrderTable::with_capacity(4);
        assert!(!table.use_slots(5));
        assert!(table.use_slots(3) && !table.use_slots(3));
        assert!(table.put_back(order(7, 1)));
        assert!(!table.put_back(order(8, 1)), "a slot in use");
        assert!(!table.put_back(order(8, 3)), "a slot that has not been used");
        for free in [&[0][..], &[0, 0], &[0, 1], &[0, 3], &[0, 2, 2]] {
            assert!(!table.free_in_order(free), "{free:?}");
        }
    }

    #[test]
    fn all_free_slots_may_be_named_in_any_order() {
        for free in [[0, 2], [2, 0]] {
            let mut table = OrderTable::with_capacity(4);
            assert!(table.use_slots(3) && table.put_back(order(7, 1)));
            assert!(table.free_in_order(&free));
            assert_eq!(table.next_slot(), Some(free[0]));
        }
    }
}
