//! The order table: one dense array of orders, shared by all books of an exchange.

use alloc::vec;
use alloc::vec::Vec;
use machine::prefetch;
use protocol::{AccountId, InstrumentId, NewOrder, OrderId, PriceTicks, QuantityLots, Side};

use crate::Reserve;
use crate::book::order_flags;
use crate::far::FarPool;

/// No slot: the end of a queue or of the free list.
pub(crate) const NIL: u32 = u32::MAX;

/// One live order, exactly one cache line.
///
/// While an order rests, its price, side, leaves and flags belong to the book: change them only through
/// [`crate::Book`]. The rest is the caller's.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// The engine's id; its slot is the place in the table. [`OrderId::NONE`] marks a free slot.
    pub order_id: OrderId,
    /// Limit price; 0 for a market order, which never rests.
    pub price_ticks: PriceTicks,
    /// Quantity still open (FIX tag 151, LeavesQty).
    pub leaves_lots: QuantityLots,
    /// Quantity traded so far (FIX tag 14, CumQty).
    pub filled_lots: QuantityLots,
    /// Opaque to the book; the exchange keeps what is held for the order here.
    pub user: u64,
    /// Whose order.
    pub account: AccountId,
    /// On which instrument.
    pub instrument: InstrumentId,
    /// The order before it in its price's queue. Meaningless for the first one.
    pub(crate) prev: u32,
    /// The order after it in its price's queue, or in the free list. Meaningless for the last one of a queue.
    pub(crate) next: u32,
    /// Opaque to the book; the exchange keeps a place in its index of client order ids here.
    pub client_index: u32,
    /// [`protocol::Side`] as its code.
    pub side: u8,
    /// [`protocol::TimeInForce`] as its code.
    pub time_in_force: u8,
    /// [`protocol::SelfTradePrevention`] as its code.
    pub self_trade_prevention: u8,
    /// [`order_flags`](crate::order_flags); other bits are opaque to the book.
    pub flags: u8,
}

const _: () = assert!(size_of::<Order>() == 64 && align_of::<Order>() == 64);

impl Order {
    /// An order that has not traded yet, without flags. The codes of `new_order` must have been checked.
    #[inline]
    #[must_use]
    pub fn new(order_id: OrderId, new_order: &NewOrder, client_index: u32, user: u64) -> Self {
        Self {
            order_id,
            price_ticks: new_order.price_ticks,
            leaves_lots: new_order.quantity_lots,
            filled_lots: 0,
            user,
            account: new_order.account,
            instrument: new_order.instrument,
            prev: NIL,
            next: NIL,
            client_index,
            side: new_order.side,
            time_in_force: new_order.time_in_force,
            self_trade_prevention: new_order.self_trade_prevention,
            flags: 0,
        }
    }

    /// The side.
    #[inline]
    #[must_use]
    pub fn side(&self) -> Side {
        if self.side == Side::Buy.code() { Side::Buy } else { Side::Sell }
    }
}

/// The slots themselves, apart from what else the table holds so that a book can borrow both at once.
pub(crate) struct Slots {
    /// Slots used so far; grows within what was reserved.
    pub(crate) orders: Vec<Order>,
    /// What is behind the order in each slot that has the flag; see [`Reserve::to_words`].
    reserves: Vec<[u64; 4]>,
    /// Slot freed last, or `NIL`.
    pub(crate) free: u32,
    /// Live orders.
    pub(crate) live: u32,
}

impl Slots {
    /// A slot that the book knows to be in use.
    #[inline(always)]
    pub(crate) fn entry(&self, slot: u32) -> &Order {
        let Some(order) = self.orders.get(slot as usize) else { no_such_slot(slot) };
        order
    }

    /// A slot that the book knows to be in use.
    #[inline(always)]
    pub(crate) fn entry_mut(&mut self, slot: u32) -> &mut Order {
        let Some(order) = self.orders.get_mut(slot as usize) else { no_such_slot(slot) };
        order
    }

    /// What is behind the order in a slot; without the flag that is nothing.
    #[inline(always)]
    pub(crate) fn reserve_lots(&self, slot: u32) -> QuantityLots {
        if self.entry(slot).flags & order_flags::RESERVE == 0 { 0 } else { self.reserve(slot).lots }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn reserve(&self, slot: u32) -> Reserve {
        Reserve::from_words(*self.reserves.get(slot as usize).expect("there is a reserve for each slot"))
    }

    pub(crate) fn set_reserve(&mut self, slot: u32, reserve: Reserve) {
        *self.reserves.get_mut(slot as usize).expect("there is a reserve for each slot") = reserve.to_words();
    }

    /// Shows the next slice of an iceberg that shows nothing; the order must be in no queue. Returns what is left.
    pub(crate) fn refill(&mut self, slot: u32) -> QuantityLots {
        let mut reserve = self.reserve(slot);
        let order = self.entry_mut(slot);
        assert!(order.leaves_lots == 0, "slot {slot} is refilled while it shows something");
        order.leaves_lots = reserve.take_slice();
        self.set_reserve(slot, reserve);
        reserve.lots
    }

    /// See [`OrderTable::remove`].
    #[inline(always)]
    pub(crate) fn remove(&mut self, slot: u32) {
        let next_free = self.free;
        let order = self.entry_mut(slot);
        assert!(order.order_id != OrderId::NONE, "slot {slot} is freed twice");
        order.order_id = OrderId::NONE;
        order.next = next_free;
        self.free = slot;
        self.live -= 1;
    }
}

/// All live orders of an exchange, each in the slot that its id names.
///
/// A new order takes the slot freed last; slots never used come after those, lowest first. So the same commands give
/// the same ids, and a busy book stays within few cache lines.
///
/// The table also holds the pool of price levels that lie outside their books' ladders: each has at least one order,
/// so a pool as large as the table serves every book and is never full. Reserves lie in an array of their own, whose
/// memory is untouched until an iceberg comes.
pub struct OrderTable {
    pub(crate) slots: Slots,
    pub(crate) far: FarPool,
    /// Slots there may be.
    capacity: u32,
}

impl OrderTable {
    /// Reserves room for `orders` orders, at most 2^24. Nothing is allocated after this.
    ///
    /// # Panics
    /// If `orders` exceeds 2^24: an order id has no room for more slots.
    #[must_use]
    pub fn with_capacity(orders: u32) -> Self {
        assert!(orders <= 1 << OrderId::SLOT_BITS, "an order id has 24 bits for the slot");
        let slots = Slots {
            orders: Vec::with_capacity(orders as usize),
            reserves: vec![[0; 4]; orders as usize],
            free: NIL,
            live: 0,
        };
        Self { slots, far: FarPool::with_capacity(orders), capacity: orders }
    }

    /// The slot that the next [`OrderTable::insert`] takes, or `None` if the table is full.
    #[inline]
    #[must_use]
    pub fn next_slot(&self) -> Option<u32> {
        if self.slots.free != NIL {
            return Some(self.slots.free);
        }
        let unused = self.slots.orders.len() as u32;
        (unused < self.capacity).then_some(unused)
    }

    /// Puts an order into [`OrderTable::next_slot`] and returns that slot, or `None` if the table is full. The order
    /// is in no queue yet.
    ///
    /// # Panics
    /// If the order's id is none or does not name that slot.
    #[inline(always)]
    pub fn insert(&mut self, order: Order) -> Option<u32> {
        let slot = self.next_slot()?;
        assert!(
            order.order_id != OrderId::NONE && order.order_id.slot() == slot,
            "an order's id names the slot it goes to"
        );
        let slots = &mut self.slots;
        if slots.free == NIL {
            slots.orders.push(order);
        } else {
            let place = slots.entry_mut(slot);
            let next_free = place.next;
            *place = order;
            slots.free = next_free;
        }
        slots.live += 1;
        Some(slot)
    }

    /// Frees a slot. The order must be in no queue any more.
    ///
    /// # Panics
    /// If the slot is free already.
    #[inline]
    pub fn remove(&mut self, slot: u32) {
        self.slots.remove(slot);
    }

    /// The live order in a slot.
    #[inline]
    #[must_use]
    pub fn get(&self, slot: u32) -> Option<&Order> {
        self.slots.orders.get(slot as usize).filter(|order| order.order_id != OrderId::NONE)
    }

    /// The live order in a slot, to change what does not belong to the book.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Order> {
        self.slots.orders.get_mut(slot as usize).filter(|order| order.order_id != OrderId::NONE)
    }

    /// The live order with this id; its slot is `order_id.slot()`.
    #[inline]
    #[must_use]
    pub fn find(&self, order_id: OrderId) -> Option<&Order> {
        self.get(order_id.slot()).filter(|order| order.order_id == order_id)
    }

    /// Asks for a slot, so that it is in the near caches soon. Any number may be given.
    #[inline]
    pub fn prefetch(&self, slot: u32) {
        self.slots.orders.get(slot as usize).into_iter().for_each(prefetch);
    }

    /// Asks for the orders before and after the one in a slot in its queue. It reads that order.
    #[inline]
    pub fn prefetch_around(&self, slot: u32) {
        if let Some(order) = self.slots.orders.get(slot as usize) {
            self.prefetch(order.prev);
            self.prefetch(order.next);
        }
    }

    /// What is behind the order in a slot. Means something only for orders with [`order_flags::RESERVE`].
    ///
    /// # Panics
    /// If there is no such slot.
    #[inline]
    #[must_use]
    pub fn reserve(&self, slot: u32) -> Reserve {
        self.slots.reserve(slot)
    }

    /// Sets what is behind the order in a slot, resting or not.
    ///
    /// # Panics
    /// If there is no such slot, or `lots` is below 0, or slices are not 1 or more lots, the least at most the most.
    #[inline]
    pub fn set_reserve(&mut self, slot: u32, reserve: Reserve) {
        reserve.check();
        self.slots.set_reserve(slot, reserve);
    }

    /// Live orders.
    #[inline]
    #[must_use]
    pub fn len(&self) -> u32 {
        self.slots.live
    }

    /// Whether there is no live order.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.live == 0
    }

    /// Orders there is room for.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Live orders with their slots, lowest slot first.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Order)> {
        let slots = (0u32..).zip(&self.slots.orders);
        slots.filter(|(_, order)| order.order_id != OrderId::NONE)
    }
}

#[cold]
#[inline(never)]
fn no_such_slot(slot: u32) -> ! {
    panic!("slot {slot} was never used, yet a queue or the free list names it");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(table: &mut OrderTable, sequence: u64) -> Option<u32> {
        let slot = table.next_slot()?;
        table.insert(Order::new(OrderId::new(sequence, slot), &NewOrder::default(), 0, 0))
    }

    #[test]
    fn the_slot_freed_last_is_taken_first_then_the_unused_ones() {
        let mut table = OrderTable::with_capacity(4);
        for expected in 0..3 {
            assert_eq!(insert(&mut table, 1), Some(expected));
        }
        table.remove(0);
        table.remove(2);
        let slots: Vec<_> = (0..4).map(|_| insert(&mut table, 2)).collect();
        assert_eq!(slots, [Some(2), Some(0), Some(3), None]);
        assert_eq!((table.len(), table.capacity(), table.next_slot()), (4, 4, None));
    }

    #[test]
    fn an_id_finds_its_order_and_nothing_else() {
        let mut table = OrderTable::with_capacity(4);
        insert(&mut table, 7);
        assert_eq!(table.find(OrderId::new(7, 0)).map(|order| order.order_id), Some(OrderId::new(7, 0)));
        assert!(table.find(OrderId::new(8, 0)).is_none());
        assert!(table.find(OrderId::new(7, 1)).is_none());
        table.remove(0);
        assert!(table.find(OrderId::new(7, 0)).is_none());
        assert!(table.find(OrderId::NONE).is_none(), "a free slot is not an order without id");
        assert_eq!(table.iter().count(), 0);
    }

    #[test]
    #[should_panic(expected = "freed twice")]
    fn freeing_twice_stops_the_process() {
        let mut table = OrderTable::with_capacity(1);
        insert(&mut table, 1);
        table.remove(0);
        table.remove(0);
    }
}
