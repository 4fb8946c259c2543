//! The book that runs in production: two sides, each a ladder around its touch and a tree for the rest.
//!
//! Measurements behind its shape: `docs/decisions/0003-order-book-shape.md`.

use protocol::{CreateInstrument, MAX_PRICE_TICKS, OrderId, PriceTicks, QuantityLots, Side};

use crate::level::{self, Level, queue_of};
use crate::queue::{Progress, count_reserves, count_shown, match_queue};
use crate::side_book::{NO_KEY, SideBook, key_of, price_of};
use crate::table::{NIL, Slots};
use crate::walk::Walk;
use crate::{Book, Cost, Execution, Filled, Key, MatchSink, OrderTable, PriceLevel, Stop, Taker};

/// A price-time order book of one instrument.
pub struct OrderBook {
    /// Buys, sells.
    sides: [SideBook; 2],
}

impl OrderBook {
    #[inline(always)]
    fn side(&self, side: Side) -> &SideBook {
        &self.sides[usize::from(side == Side::Sell)]
    }

    #[inline(always)]
    fn side_mut(&mut self, side: Side) -> &mut SideBook {
        &mut self.sides[usize::from(side == Side::Sell)]
    }
}

/// Worst key of the makers' side that a taker meets.
#[inline(always)]
fn worst_key(taker: &Taker) -> Key {
    taker.limit.map_or(NO_KEY + 1, |limit| key_of(taker.side.opposite(), limit).max(NO_KEY + 1))
}

impl Book for OrderBook {
    fn new(instrument: &CreateInstrument) -> Self {
        Self { sides: [SideBook::new(instrument, Side::Buy), SideBook::new(instrument, Side::Sell)] }
    }

    #[inline]
    fn best(&self, side: Side) -> Option<PriceTicks> {
        self.side(side).best_price()
    }

    #[inline]
    fn front(&self, side: Side) -> Option<u32> {
        self.side(side).front()
    }

    #[inline]
    fn prefetch(&self) {
        self.sides.iter().for_each(SideBook::prefetch);
    }

    #[inline]
    fn prefetch_level(&self, side: Side, price_ticks: PriceTicks) {
        // It may come before any check.
        if (1..=MAX_PRICE_TICKS).contains(&price_ticks) {
            self.side(side).ladder.prefetch(key_of(side, price_ticks));
        }
    }

    #[inline]
    fn prefetch_queue(&self, table: &OrderTable, side: Side, price_ticks: PriceTicks) {
        if !(1..=MAX_PRICE_TICKS).contains(&price_ticks) {
            return;
        }
        let ladder = &self.side(side).ladder;
        let level = ladder.index(key_of(side, price_ticks)).map(|index| ladder.level(index));
        if let Some(level) = level.filter(|level| !level.is_empty()) {
            table.prefetch(level.tail());
        }
    }

    #[inline]
    fn rest(&mut self, table: &mut OrderTable, slot: u32) {
        let order = table.slots.entry(slot);
        let (side, price_ticks) = (order.side(), order.price_ticks);
        self.side_mut(side).rest(table, slot, key_of(side, price_ticks));
    }

    #[inline]
    fn unlink(&mut self, table: &mut OrderTable, slot: u32) {
        let order = table.slots.entry(slot);
        let (side, price_ticks) = (order.side(), order.price_ticks);
        self.side_mut(side).unlink(table, slot, key_of(side, price_ticks));
    }

    #[inline]
    fn reduce(&mut self, table: &mut OrderTable, slot: u32, leaves_lots: QuantityLots) {
        let OrderTable { slots, far, .. } = table;
        let order = slots.entry_mut(slot);
        assert!(leaves_lots >= 1, "an order that rests has something left");
        let removed_lots = order.leaves_lots - leaves_lots;
        order.leaves_lots = leaves_lots;
        let side = order.side();
        let side_book = self.side_mut(side);
        let place = side_book.place(far, key_of(side, order.price_ticks));
        side_book.level_mut(far, place).quantity_lots -= removed_lots;
    }

    #[inline]
    fn fill(&mut self, table: &mut OrderTable, slot: u32, quantity_lots: QuantityLots) -> Filled {
        let order = table.slots.entry(slot);
        let (side, price_ticks) = (order.side(), order.price_ticks);
        self.side_mut(side).fill(table, slot, key_of(side, price_ticks), quantity_lots)
    }

    #[inline]
    fn execute<S: MatchSink>(&mut self, table: &mut OrderTable, taker: &Taker, sink: &mut S) -> Execution {
        let makers = self.side_mut(taker.side.opposite());
        let OrderTable { slots, far, .. } = table;
        let mut progress = Progress { remaining_lots: taker.quantity_lots, fills_left: taker.max_fills };
        let worst_key = worst_key(taker);
        loop {
            let best_key = makers.best.key();
            let stop = if progress.remaining_lots == 0 {
                Some(Stop::Done)
            } else if best_key < worst_key {
                Some(if best_key == NO_KEY { Stop::NoLiquidity } else { Stop::LimitPrice })
            } else {
                let place = makers.place(far, best_key);
                let level = makers.level_mut(far, place);
                let stop = match_queue(level, slots, taker, &mut progress, sink);
                let is_empty = level.is_empty();
                makers.settle(far, place, best_key, is_empty);
                stop
            };
            if let Some(stop) = stop {
                return Execution { remaining_lots: progress.remaining_lots, stop };
            }
        }
    }

    fn available(&self, table: &OrderTable, taker: &Taker, wanted_lots: QuantityLots) -> QuantityLots {
        let worst_key = worst_key(taker);
        let mut lots = 0;
        let mut fills_left = taker.max_fills;
        for (key, level) in Walk::new(self.side(taker.side.opposite()), &table.far) {
            if lots >= wanted_lots || key < worst_key {
                break;
            }
            let mut counted = count_shown(level, &table.slots, taker, wanted_lots - lots, &mut fills_left);
            lots += counted.lots;
            if counted.goes_on && level.may_have_reserves() && lots < wanted_lots {
                counted = count_reserves(level, &table.slots, taker, wanted_lots - lots, &mut fills_left);
                lots += counted.lots;
            }
            if !counted.goes_on {
                break;
            }
        }
        lots.min(wanted_lots)
    }

    fn cost(&self, table: &OrderTable, side: Side, quantity_lots: QuantityLots, max_orders: u32) -> Cost {
        let maker_side = side.opposite();
        let (mut cost, mut orders_left) = (Cost::default(), max_orders);
        for (key, level) in Walk::new(self.side(maker_side), &table.far) {
            if cost.available_lots == quantity_lots || orders_left == 0 {
                break;
            }
            let offered_lots = offered_lots(&table.slots, level, orders_left);
            orders_left -= level.orders(&table.slots, orders_left);
            let lots = offered_lots.min(quantity_lots - cost.available_lots);
            cost.available_lots += lots;
            cost.ticks_times_lots += i128::from(lots) * i128::from(price_of(maker_side, key));
        }
        cost
    }

    fn levels<'a>(&'a self, table: &'a OrderTable, side: Side) -> impl Iterator<Item = PriceLevel> + 'a {
        Walk::new(self.side(side), &table.far).map(move |(key, level)| PriceLevel {
            price_ticks: price_of(side, key),
            quantity_lots: level.quantity_lots,
            orders: level.orders(&table.slots, u32::MAX),
        })
    }

    fn offers<'a>(
        &'a self,
        table: &'a OrderTable,
        side: Side,
    ) -> impl Iterator<Item = (PriceTicks, QuantityLots)> + 'a {
        let levels = Walk::new(self.side(side), &table.far);
        levels.map(move |(key, level)| (price_of(side, key), offered_lots(&table.slots, level, u32::MAX)))
    }

    fn level(&self, table: &OrderTable, side: Side, price_ticks: PriceTicks) -> Option<PriceLevel> {
        let level = self.side(side).level(&table.far, key_of(side, price_ticks))?;
        let orders = level.orders(&table.slots, u32::MAX);
        Some(PriceLevel { price_ticks, quantity_lots: level.quantity_lots, orders })
    }

    fn queue<'a>(
        &'a self,
        table: &'a OrderTable,
        side: Side,
        price_ticks: PriceTicks,
    ) -> impl Iterator<Item = u32> + 'a {
        let level = self.side(side).level(&table.far, key_of(side, price_ticks));
        level.into_iter().flat_map(|level| queue_of(&table.slots, level))
    }

    fn check_invariants(&self, table: &OrderTable) {
        for side in [Side::Buy, Side::Sell] {
            let side_book = self.side(side);
            side_book.ladder.check();
            let (mut levels, mut last_key) = (0, i64::MAX);
            for (key, level) in Walk::new(side_book, &table.far) {
                assert!(key < last_key, "levels are in order at {}", price_of(side, key));
                if levels == 0 {
                    assert_eq!(self.front(side), Some(level.head()), "the front of the {side:?} side");
                }
                last_key = key;
                check_level(&table.slots, side, price_of(side, key), level);
                levels += 1;
            }
            let kept = side_book.ladder.occupied + side_book.far.levels;
            assert_eq!(levels, kept, "every level is reached from the touch");
        }
    }
}

/// What the first orders of a level offer with their reserves. The queue is walked only where the total does not say it.
fn offered_lots(slots: &Slots, level: &Level, max_orders: u32) -> QuantityLots {
    if !level.may_have_reserves() && level.has_at_most(max_orders) {
        return level.quantity_lots;
    }
    let first = queue_of(slots, level).take(max_orders as usize);
    first.map(|slot| slots.entry(slot).leaves_lots + slots.reserve_lots(slot)).sum()
}

fn check_level(slots: &Slots, side: Side, price_ticks: PriceTicks, level: &Level) {
    assert!(!level.is_empty(), "level {price_ticks} is empty");
    level::check(level, slots);
    let (mut prev, mut sum) = (NIL, 0);
    for slot in queue_of(slots, level) {
        let order = slots.entry(slot);
        assert!(order.order_id != OrderId::NONE, "slot {slot} rests and is free");
        assert_eq!((order.side(), order.price_ticks), (side, price_ticks), "slot {slot}");
        assert!(order.leaves_lots > 0, "slot {slot} rests with nothing left");
        assert!(prev == NIL || order.prev == prev, "slot {slot} links back");
        (prev, sum) = (slot, sum + order.leaves_lots);
    }
    assert_eq!((prev, sum), (level.tail(), level.quantity_lots), "end and total of level {price_ticks}");
}
