//! One price's queue: its total, and its ends.

use protocol::{OrderId, QuantityLots};
use zerocopy::{FromZeros, KnownLayout};

use crate::Order;
use crate::book::order_flags;
use crate::table::Slots;

/// One price's queue in 16 bytes, so that a cache line holds four: where prices jump, it is the level that a command waits
/// for. All zero is an empty level, so that an untouched ladder costs no memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromZeros, KnownLayout)]
#[repr(C)]
pub(crate) struct Level {
    /// Sum of the orders' leaves: what is shown.
    pub(crate) quantity_lots: QuantityLots,
    /// From the lowest bit on: slot of the oldest order and of the newest, 24 bits each, meaningless if there is none; a
    /// bit that is set while there may be an order with the flag [`RESERVE`](crate::order_flags::RESERVE); and 15 bits
    /// for the number of orders, 0 for no such level.
    ends: u64,
}

const _: () = assert!(size_of::<Level>() == 16);

const SLOT_MASK: u64 = (1 << OrderId::SLOT_BITS) - 1;
const TAIL_SHIFT: u32 = OrderId::SLOT_BITS;
const RESERVE_SHIFT: u32 = 2 * OrderId::SLOT_BITS;
const COUNT_SHIFT: u32 = RESERVE_SHIFT + 1;
const ONE: u64 = 1 << COUNT_SHIFT;

/// A number of orders that has come so far stays until the last one goes: it says no more than that there are some.
const MANY: u64 = u64::MAX >> COUNT_SHIFT;

impl Level {
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.ends < ONE
    }

    /// Oldest order; meaningless if there is none.
    #[inline(always)]
    pub(crate) fn head(&self) -> u32 {
        (self.ends & SLOT_MASK) as u32
    }

    /// Newest order; meaningless if there is none.
    #[inline(always)]
    pub(crate) fn tail(&self) -> u32 {
        (self.ends >> TAIL_SHIFT & SLOT_MASK) as u32
    }

    /// Whether there may be an order with a reserve: one came, and the level has not been empty since.
    #[inline(always)]
    pub(crate) fn may_have_reserves(&self) -> bool {
        self.ends >> RESERVE_SHIFT & 1 != 0
    }

    /// How many orders, counted up to `most`.
    pub(crate) fn orders(&self, slots: &Slots, most: u32) -> u32 {
        match self.count() {
            MANY => queue_of(slots, self).take(most as usize).count() as u32,
            count => most.min(count as u32),
        }
    }

    /// Whether there are surely not more orders than `most`, without counting them.
    pub(crate) fn has_at_most(&self, most: u32) -> bool {
        self.count() < MANY && self.count() <= u64::from(most) || most == u32::MAX
    }

    #[inline(always)]
    fn count(&self) -> u64 {
        self.ends >> COUNT_SHIFT
    }

    /// One order less, of some.
    #[inline(always)]
    fn count_down(&mut self) {
        if self.ends < MANY << COUNT_SHIFT {
            self.ends -= ONE;
        }
    }

    /// Makes an order the oldest in place of the one that leaves.
    #[inline(always)]
    fn drop_head(&mut self, head: u32) {
        self.ends = self.ends & !SLOT_MASK | u64::from(head);
        self.count_down();
    }

    #[inline(always)]
    fn set_tail(&mut self, tail: u32) {
        self.ends = self.ends & !(SLOT_MASK << TAIL_SHIFT) | u64::from(tail) << TAIL_SHIFT;
    }
}

/// Bit of an order with a reserve.
#[inline(always)]
fn reserve_bit(order: &Order) -> u64 {
    u64::from(order.flags & order_flags::RESERVE) << RESERVE_SHIFT
}

/// Appends an order to a level's queue.
#[inline(always)]
pub(crate) fn append(level: &mut Level, slots: &mut Slots, slot: u32) {
    let order = slots.entry_mut(slot);
    debug_assert!(order.leaves_lots > 0, "an order rests with something left");
    level.quantity_lots += order.leaves_lots;
    let reserve = reserve_bit(order);
    if level.is_empty() {
        level.ends = ONE | reserve | u64::from(slot) << TAIL_SHIFT | u64::from(slot);
    } else {
        let tail = level.tail();
        order.prev = tail;
        slots.entry_mut(tail).next = slot;
        level.set_tail(slot);
        level.ends |= reserve;
        // The count is the highest bits: one more than can be counted runs over, and it stays.
        level.ends = level.ends.checked_add(ONE).unwrap_or(level.ends);
    }
}

/// Takes an order out of a level's queue.
#[inline(always)]
pub(crate) fn take_out(level: &mut Level, slots: &mut Slots, slot: u32) {
    let order = slots.entry(slot);
    let (prev, next) = (order.prev, order.next);
    level.quantity_lots -= order.leaves_lots;
    let (first, last) = (level.head() == slot, level.tail() == slot);
    if first && last {
        level.ends = 0;
        return;
    }
    if first {
        return level.drop_head(next);
    }
    slots.entry_mut(prev).next = next;
    if last {
        level.set_tail(prev);
    } else {
        slots.entry_mut(next).prev = prev;
    }
    level.count_down();
}

/// Removes the oldest order, of which nothing is shown any more, and frees its slot.
#[inline(always)]
pub(crate) fn pop(level: &mut Level, slots: &mut Slots) {
    let slot = level.head();
    if level.tail() == slot {
        level.ends = 0;
    } else {
        level.drop_head(slots.entry(slot).next);
    }
    slots.remove(slot);
}

/// Slots of a level's orders, oldest first.
pub(crate) fn queue_of<'a>(slots: &'a Slots, level: &Level) -> impl Iterator<Item = u32> + use<'a> {
    let tail = level.tail();
    let mut next = (!level.is_empty()).then(|| level.head());
    core::iter::from_fn(move || {
        let slot = next?;
        next = (slot != tail).then(|| slots.entry(slot).next);
        Some(slot)
    })
}

/// Checks what a level says of the number of its orders and of reserves.
pub(crate) fn check(level: &Level, slots: &Slots) {
    let orders = queue_of(slots, level).map(|slot| slots.entry(slot));
    let (mut count, mut reserves) = (0, 0);
    for order in orders {
        count += 1;
        reserves |= reserve_bit(order);
    }
    assert!(level.count() == count || level.count() == MANY, "{} counted of {count}", level.count());
    assert!(reserves == 0 || level.may_have_reserves(), "a reserve that the level does not know");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OrderTable;
    use alloc::vec::Vec;
    use protocol::NewOrder;

    fn rest(level: &mut Level, table: &mut OrderTable) -> u32 {
        let slot = table.next_slot().expect("room");
        let new_order = NewOrder { quantity_lots: 3, ..NewOrder::default() };
        table.insert(Order::new(OrderId::new(1, slot), &new_order, 0, 0));
        append(level, &mut table.slots, slot);
        slot
    }

    /// The count of 15 bits is full before the table is: from there on orders are counted by walking, whichever come and
    /// go, until the level has been empty.
    #[test]
    fn more_orders_than_the_count_can_hold_are_counted_one_by_one() {
        let orders = MANY as u32 + 5;
        let (mut level, mut table) = (Level::default(), OrderTable::with_capacity(orders));
        for expected in 0..orders {
            assert_eq!(level.orders(&table.slots, u32::MAX), expected);
            rest(&mut level, &mut table);
            if expected > 5 && expected < MANY as u32 - 3 {
                assert!(level.has_at_most(expected + 1) && !level.has_at_most(expected));
            }
        }
        check(&level, &table.slots);
        assert!(!level.has_at_most(u32::MAX - 1) && level.has_at_most(u32::MAX));
        assert_eq!(level.orders(&table.slots, 7), 7);
        // From the middle, the front and the back, down to one.
        take_out(&mut level, &mut table.slots, 77);
        for _ in 0..3 {
            pop(&mut level, &mut table.slots);
        }
        take_out(&mut level, &mut table.slots, orders - 1);
        assert_eq!((level.head(), level.tail()), (3, orders - 2));
        assert_eq!(level.orders(&table.slots, u32::MAX), orders - 5);
        let rest_of: Vec<u32> = queue_of(&table.slots, &level).collect();
        for &slot in &rest_of[..rest_of.len() - 1] {
            assert!(!level.is_empty());
            take_out(&mut level, &mut table.slots, slot);
        }
        assert_eq!((level.orders(&table.slots, u32::MAX), level.is_empty()), (1, false));
        check(&level, &table.slots);
        take_out(&mut level, &mut table.slots, rest_of[rest_of.len() - 1]);
        assert!(level.is_empty() && queue_of(&table.slots, &level).next().is_none());
        level.quantity_lots = 0;
        rest(&mut level, &mut table);
        assert!(level.has_at_most(1), "it counts anew");
    }

    #[test]
    fn a_level_may_have_reserves_until_it_is_empty() {
        let (mut level, mut table) = (Level::default(), OrderTable::with_capacity(4));
        let plain = rest(&mut level, &mut table);
        assert!(!level.may_have_reserves());
        let slot = table.next_slot().expect("room");
        let mut iceberg = Order::new(OrderId::new(1, slot), &NewOrder::default(), 0, 0);
        (iceberg.flags, iceberg.leaves_lots) = (order_flags::RESERVE, 1);
        table.insert(iceberg);
        append(&mut level, &mut table.slots, slot);
        assert!(level.may_have_reserves());
        take_out(&mut level, &mut table.slots, slot);
        assert!(level.may_have_reserves(), "it only says that there may be one");
        check(&level, &table.slots);
        take_out(&mut level, &mut table.slots, plain);
        assert!(level.is_empty() && !level.may_have_reserves());
    }
}
