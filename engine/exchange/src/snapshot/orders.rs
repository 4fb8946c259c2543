//! Orders in the snapshot.

use alloc::vec::Vec;

use machine::{SnapshotError, SnapshotReader, SnapshotWriter};
use orderbook::{Book, Order, OrderTable, Reserve, order_flags};
use protocol::{
    AccountId, ClientOrderId, InstrumentId, MAX_PRICE_TICKS, MAX_QUANTITY_LOTS, NewOrder, OrderId,
    PriceTicks, QuantityLots, Side,
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::require;
use crate::exchange::{Exchange, place};
use crate::instrument::Instrument;
use crate::settlement::position_of;
use crate::special::{Special, flags};

/// A live order as the snapshot has it.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
struct OrderRow {
    order_id: OrderId,
    price_ticks: PriceTicks,
    leaves_lots: QuantityLots,
    filled_lots: QuantityLots,
    /// Slot of its position and the session that entered it, see `settlement::user_of`.
    user: u64,
    account: AccountId,
    instrument: InstrumentId,
    client_order_id: ClientOrderId,
    /// Of the queue that it is in: an order that waits for a trigger is on the other side of its own.
    side: u8,
    time_in_force: u8,
    self_trade_prevention: u8,
    flags: u8,
}

const _: () = assert!(size_of::<OrderRow>() == 88);

impl<B: Book> Exchange<B> {
    pub(super) fn write_orders(&self, out: &mut SnapshotWriter<'_>) {
        let (free, used) = self.table.slots_to_come();
        out.value(&used);
        out.count(self.table.len() as usize);
        for (slot, order) in self.table.iter() {
            out.value(&OrderRow {
                order_id: order.order_id,
                price_ticks: order.price_ticks,
                leaves_lots: order.leaves_lots,
                filled_lots: order.filled_lots,
                user: order.user,
                account: order.account,
                instrument: order.instrument,
                client_order_id: self.clients.id(order.client_index, slot),
                side: order.side,
                time_in_force: order.time_in_force,
                self_trade_prevention: order.self_trade_prevention,
                flags: order.flags,
            });
        }
        out.rows(&free);
        let flagged = |flag: u8| self.table.iter().filter(move |(_, order)| order.flags & flag != 0);
        out.count(flagged(order_flags::RESERVE).count());
        for (slot, _) in flagged(order_flags::RESERVE) {
            let Reserve { lots, least_lots, most_lots, random } = self.table.reserve(slot);
            out.value(&slot);
            out.value(&[lots, least_lots, most_lots]);
            out.value(&random);
        }
        out.count(flagged(flags::EXTENDED).count());
        for (slot, _) in flagged(flags::EXTENDED) {
            out.value(&slot);
            out.value(self.specials.at(slot));
        }
    }

    pub(super) fn read_orders(&mut self, input: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        let used: u32 = input.value()?;
        require(self.table.use_slots(used), "more order slots than there may be")?;
        for _ in 0..input.count("orders", used as usize)? {
            self.restore_order(&input.value()?)?;
        }
        let mut free: Vec<u32> = Vec::new();
        input.rows("free slots", used as usize, &mut free)?;
        require(self.table.free_in_order(&free), "free slots that cannot be")?;
        for _ in 0..input.count("reserves", used as usize)? {
            let slot: u32 = input.value()?;
            let [lots, least_lots, most_lots]: [i64; 3] = input.value()?;
            let reserve = Reserve { lots, least_lots, most_lots, random: input.value()? };
            let quantity = 0..=MAX_QUANTITY_LOTS;
            let sound = quantity.contains(&lots)
                && quantity.contains(&most_lots)
                && (1..=most_lots).contains(&least_lots);
            require(sound && has_flag(&self.table, slot, order_flags::RESERVE), "a reserve that cannot be")?;
            self.table.set_reserve(slot, reserve);
        }
        for _ in 0..input.count("extended orders", used as usize)? {
            let slot: u32 = input.value()?;
            let special: Special = input.value()?;
            let ids = [special.peer, special.children[0], special.children[1]];
            let sound = ids.iter().all(|id| id.slot() < self.table.capacity())
                && special.before.max(special.after) <= used
                && has_flag(&self.table, slot, flags::EXTENDED);
            require(sound, "an extended order that cannot be")?;
            *self.specials.at_mut(slot) = special;
        }
        Ok(())
    }

    fn restore_order(&mut self, row: &OrderRow) -> Result<(), SnapshotError> {
        let hash = self.clients.hash(row.account, &row.client_order_id);
        let mut order = Order::new(row.order_id, &NewOrder::default(), hash, row.user);
        (order.price_ticks, order.leaves_lots, order.filled_lots) =
            (row.price_ticks, row.leaves_lots, row.filled_lots);
        (order.account, order.instrument) = (row.account, row.instrument);
        (order.side, order.time_in_force) = (row.side, row.time_in_force);
        (order.self_trade_prevention, order.flags) = (row.self_trade_prevention, row.flags);
        let (price, quantity) = (0..=MAX_PRICE_TICKS, 0..=MAX_QUANTITY_LOTS);
        let instrument = self.instruments.get(place(row.instrument)).and_then(Option::as_ref);
        let is_plain = row.flags & flags::EXTENDED == 0;
        // What is held for a plain order is computed whenever it is needed.
        let is_bounded = |it: &Instrument<B>| {
            let hold = it.terms.hold_minor(order.side(), row.price_ticks, row.leaves_lots);
            !is_plain || hold.is_some()
        };
        let sound = instrument.is_some_and(is_bounded)
            && price.contains(&row.price_ticks)
            && quantity.contains(&row.leaves_lots)
            && quantity.contains(&row.filled_lots)
            && (position_of(&order).to_bits() as usize) < self.positions.len()
            && Side::from_code(row.side).is_some()
            && row.flags & !(order_flags::RESERVE | flags::EXTENDED) == 0
            && !self.clients.is_used(&self.table, hash, row.account, &row.client_order_id);
        require(sound && self.table.put_back(order), "an order that cannot be")?;
        if !row.client_order_id.is_none() {
            self.clients.insert(hash, row.order_id.slot(), row.account, &row.client_order_id);
        }
        Ok(())
    }
}

fn has_flag(table: &OrderTable, slot: u32, flag: u8) -> bool {
    table.get(slot).is_some_and(|order| order.flags & flag != 0)
}
