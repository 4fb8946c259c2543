//! The book that runs in production: a ladder around the touch, a tree for the rest, queues linked through the slots.
//!
//! Measurements behind its shape: `docs/decisions/0003-order-book-shape.md`.

use protocol::{CreateInstrument, OrderId, PriceTicks, QuantityLots, SelfTradePrevention, Side};

use crate::book::within_limit;
use crate::far::{FarPool, FarTree};
use crate::ladder::{Ladder, Level, MAX_GRID_TICKS};
use crate::table::{NIL, Slots};
use crate::walk::{Walk, beyond};
use crate::{Book, Cost, Execution, MatchSink, OrderTable, PriceLevel, Stop, Taker};

/// Key of no price: worse than any.
const NO_KEY: i64 = i64::MIN;

/// Orders that miss the ladder before its window is looked at again, besides two for each of its levels.
const MISSES_TO_LOOK: u32 = 64;

/// Levels next to the touch, on each side, that decide the grid; with fewer in all, each tick counts.
const GRID_LEVELS: usize = 16;

/// Orders a side's prices: the higher key is the better price.
#[inline(always)]
pub(crate) fn key(side: Side, price_ticks: PriceTicks) -> i64 {
    match side {
        Side::Buy => price_ticks,
        Side::Sell => -price_ticks,
    }
}

/// The price of a key.
#[inline(always)]
pub(crate) fn price_of(side: Side, key: i64) -> Option<PriceTicks> {
    (key != NO_KEY).then_some(match side {
        Side::Buy => key,
        Side::Sell => key.wrapping_neg(),
    })
}

/// The best levels of one side.
#[derive(Clone, Copy)]
pub(crate) struct Bests {
    /// Key of the best level in the ladder.
    pub(crate) ladder_key: i64,
    /// Key of the best level in the tree.
    pub(crate) far_key: i64,
    /// Node of that, or `NIL`.
    pub(crate) far_node: u32,
}

impl Bests {
    const NONE: Self = Self { ladder_key: NO_KEY, far_key: NO_KEY, far_node: NIL };

    #[inline(always)]
    fn key(&self) -> i64 {
        self.ladder_key.max(self.far_key)
    }
}

/// Where a level is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Ladder(usize),
    Far(u32),
}

/// A price-time order book of one instrument.
///
/// Levels within the ladder's window cost an array access; others a descent of the tree. When work has moved to
/// the tree because the touch has left the window, the window follows it: see [`OrderBook::consider_moving`].
pub struct OrderBook {
    ladder: Ladder,
    far: FarTree,
    buys: Bests,
    sells: Bests,
    /// Orders that came to rest outside the ladder since its window was moved.
    misses: u32,
    /// Count of misses at which to look whether the window should move.
    look_at: u32,
}

impl OrderBook {
    #[inline(always)]
    pub(crate) fn bests(&self, side: Side) -> &Bests {
        match side {
            Side::Buy => &self.buys,
            Side::Sell => &self.sells,
        }
    }

    #[inline(always)]
    fn bests_mut(&mut self, side: Side) -> &mut Bests {
        match side {
            Side::Buy => &mut self.buys,
            Side::Sell => &mut self.sells,
        }
    }

    pub(crate) fn ladder(&self) -> &Ladder {
        &self.ladder
    }

    /// Where the level of a resting order is.
    #[inline(always)]
    fn place(&self, far: &FarPool, price_ticks: PriceTicks) -> Place {
        match self.ladder.index(price_ticks) {
            Some(index) => Place::Ladder(index),
            None => Place::Far(self.far_place(far, price_ticks)),
        }
    }

    #[cold]
    #[inline(never)]
    fn far_place(&self, far: &FarPool, price_ticks: PriceTicks) -> u32 {
        far.find(&self.far, price_ticks).expect("a resting order has a level")
    }

    #[inline(always)]
    fn level_mut<'a>(&'a mut self, far: &'a mut FarPool, place: Place) -> &'a mut Level {
        match place {
            Place::Ladder(index) => self.ladder.level_mut(index),
            Place::Far(node) => &mut far.node_mut(node).level,
        }
    }

    /// Forgets a level that has lost its last order.
    #[inline(always)]
    fn vacate(&mut self, far: &mut FarPool, place: Place, side: Side, price_ticks: PriceTicks) {
        match place {
            Place::Ladder(index) => {
                self.ladder.unmark(index);
                if key(side, price_ticks) == self.bests(side).ladder_key {
                    let next = beyond(&self.ladder, side, price_ticks);
                    self.bests_mut(side).ladder_key = next.map_or(NO_KEY, |next| key(side, next));
                }
            }
            Place::Far(node) => self.vacate_far(far, node, side),
        }
    }

    #[cold]
    #[inline(never)]
    fn vacate_far(&mut self, far: &mut FarPool, node: u32, side: Side) {
        if node == self.bests(side).far_node {
            let next = match side {
                Side::Buy => far.node(node).below,
                Side::Sell => far.node(node).above,
            };
            self.set_far_best(far, side, next);
        }
        far.remove(&mut self.far, node);
    }

    fn set_far_best(&mut self, far: &FarPool, side: Side, node: u32) {
        let far_key = if node == NIL { NO_KEY } else { key(side, far.node(node).price_ticks) };
        let bests = self.bests_mut(side);
        bests.far_node = node;
        bests.far_key = far_key;
    }

    /// Appends an order outside the window.
    #[cold]
    #[inline(never)]
    fn rest_far(&mut self, table: &mut OrderTable, slot: u32) {
        let order = table.slots.entry(slot);
        let (side, price_ticks) = (order.side(), order.price_ticks);
        let node = match table.far.find(&self.far, price_ticks) {
            Some(node) => node,
            None => {
                let node = table.far.insert(&mut self.far, price_ticks, Level::default());
                if key(side, price_ticks) > self.bests(side).far_key {
                    self.set_far_best(&table.far, side, node);
                }
                node
            }
        };
        append(&mut table.far.node_mut(node).level, &mut table.slots, slot);
        self.misses = self.misses.saturating_add(1);
        self.consider_moving(table, side, price_ticks);
    }

    /// Moves the window if the touch has left its middle half, or if prices now lie on another grid. Enough orders must
    /// have missed the ladder since the last move to pay for it: two for each level that leaves it and may come back,
    /// so that a miss costs a constant number of levels however prices jump.
    fn consider_moving(&mut self, table: &mut OrderTable, side: Side, price_ticks: PriceTicks) {
        if self.misses < self.look_at && self.ladder.occupied > 0 {
            return;
        }
        // A coarse grid's window may span many levels that are not on it and that the move walks over.
        let grid_ticks = if self.misses < self.far.levels { 1 } else { self.grid_at_touch(table) };
        let (buy, sell) = (self.best(Side::Buy), self.best(Side::Sell));
        let (buy, sell) = (buy.unwrap_or(price_ticks), sell.unwrap_or(price_ticks));
        let middle = buy + (sell - buy) / 2;
        let holds_both = self.ladder.base_for(middle, grid_ticks) < buy / grid_ticks;
        let centre = if holds_both { middle } else { self.best(side).unwrap_or(price_ticks) };
        if grid_ticks != self.ladder.grid_ticks() || !self.ladder.is_central(centre) {
            self.move_window(table, self.ladder.base_for(centre, grid_ticks), grid_ticks);
            self.misses = 0;
        }
        self.look_at = self.misses.saturating_add(MISSES_TO_LOOK + 2 * self.ladder.occupied);
    }

    /// The grid that the prices next to the touch lie on: their greatest common divisor.
    fn grid_at_touch(&self, table: &OrderTable) -> i64 {
        let (mut divisor, mut levels) = (0, 0);
        for side in [Side::Buy, Side::Sell] {
            for (price_ticks, _) in Walk::new(self, table, side).take(GRID_LEVELS) {
                divisor = greatest_common_divisor(price_ticks, divisor);
                levels += 1;
            }
        }
        if levels < GRID_LEVELS || divisor > MAX_GRID_TICKS { 1 } else { divisor }
    }

    /// Moves the window: levels that lose their place go to the tree, levels that get one leave it.
    fn move_window(&mut self, table: &mut OrderTable, base: i64, grid_ticks: i64) {
        let far = &mut table.far;
        let (buy_key, sell_key) = (self.buys.key(), self.sells.key());
        let mut from = self.ladder.first_price();
        while let Some(price_ticks) = self.ladder.ceiling(from) {
            from = price_ticks + 1;
            if !self.ladder.keeps(price_ticks, base, grid_ticks) {
                let index = self.ladder.index(price_ticks).expect("a level found is in the window");
                let level = core::mem::take(self.ladder.level_mut(index));
                self.ladder.unmark(index);
                far.insert(&mut self.far, price_ticks, level);
            }
        }
        self.ladder.set_window(base, grid_ticks);
        let mut node = far.ceiling(&self.far, self.ladder.first_price().max(0));
        while node != NIL {
            let (price_ticks, above) = (far.node(node).price_ticks, far.node(node).above);
            if price_ticks > self.ladder.last_price() {
                break;
            }
            if let Some(index) = self.ladder.index(price_ticks) {
                *self.ladder.level_mut(index) = far.remove(&mut self.far, node);
                self.ladder.mark(index);
            }
            node = above;
        }
        self.restore_bests(far, Side::Buy, buy_key);
        self.restore_bests(far, Side::Sell, sell_key);
    }

    /// Finds a side's best levels again after levels changed places; its best price is what it was.
    fn restore_bests(&mut self, far: &FarPool, side: Side, best_key: i64) {
        let Some(best) = price_of(side, best_key) else { return };
        let (in_ladder, in_far) = match side {
            Side::Buy => (self.ladder.floor(best), far.floor(&self.far, best)),
            Side::Sell => (self.ladder.ceiling(best), far.ceiling(&self.far, best)),
        };
        self.bests_mut(side).ladder_key = in_ladder.map_or(NO_KEY, |price_ticks| key(side, price_ticks));
        self.set_far_best(far, side, in_far);
    }

    /// Matches within one level until it is empty or matching ends; `None` means that it is empty.
    #[inline(always)]
    fn match_level<S: MatchSink>(
        &mut self,
        table: &mut OrderTable,
        taker: &Taker,
        progress: &mut Progress,
        price_ticks: PriceTicks,
        sink: &mut S,
    ) -> Option<Stop> {
        let OrderTable { slots, far, .. } = table;
        let place = self.place(far, price_ticks);
        let level = self.level_mut(far, place);
        let stop = match_queue(level, slots, taker, progress, sink);
        if level.orders == 0 {
            self.vacate(far, place, taker.side.opposite(), price_ticks);
        }
        stop
    }
}

/// Euclid's algorithm; anything divides 0.
fn greatest_common_divisor(mut one: i64, mut other: i64) -> i64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

/// What is left of a taker.
struct Progress {
    remaining_lots: QuantityLots,
    fills_left: u32,
}

/// Appends an order to a level's queue.
#[inline(always)]
fn append(level: &mut Level, slots: &mut Slots, slot: u32) {
    let tail = level.tail;
    let order = slots.entry_mut(slot);
    debug_assert!(order.leaves_lots > 0, "an order rests with something left");
    level.quantity_lots += order.leaves_lots;
    if level.orders == 0 {
        level.head = slot;
    } else {
        order.prev = tail;
        slots.entry_mut(tail).next = slot;
    }
    level.tail = slot;
    level.orders += 1;
}

/// Takes an order out of a level's queue.
#[inline(always)]
fn take_out(level: &mut Level, slots: &mut Slots, slot: u32) {
    let order = slots.entry(slot);
    let (prev, next) = (order.prev, order.next);
    level.quantity_lots -= order.leaves_lots;
    level.orders -= 1;
    let (first, last) = (level.head == slot, level.tail == slot);
    if first {
        level.head = next;
    } else {
        slots.entry_mut(prev).next = next;
    }
    if last {
        level.tail = prev;
    } else {
        slots.entry_mut(next).prev = prev;
    }
}

/// Matches along one queue. `None` means that the queue is empty and something may be left.
#[inline(always)]
fn match_queue<S: MatchSink>(
    level: &mut Level,
    slots: &mut Slots,
    taker: &Taker,
    progress: &mut Progress,
    sink: &mut S,
) -> Option<Stop> {
    let prevents = taker.self_trade_prevention != SelfTradePrevention::Allow;
    while level.orders > 0 {
        if progress.remaining_lots == 0 {
            return Some(Stop::Done);
        }
        if progress.fills_left == 0 {
            return Some(Stop::FillLimit);
        }
        let slot = level.head;
        let maker = slots.entry_mut(slot);
        let leaves_lots = maker.leaves_lots;
        if prevents && maker.account == taker.account {
            if taker.self_trade_prevention == SelfTradePrevention::CancelNewest {
                return Some(Stop::SelfTrade);
            }
            sink.on_self_trade_canceled(maker);
            level.quantity_lots -= leaves_lots;
        } else {
            let quantity_lots = progress.remaining_lots.min(leaves_lots);
            maker.leaves_lots = leaves_lots - quantity_lots;
            maker.filled_lots += quantity_lots;
            level.quantity_lots -= quantity_lots;
            progress.remaining_lots -= quantity_lots;
            sink.on_fill(maker, quantity_lots);
            if quantity_lots < leaves_lots {
                return Some(Stop::Done);
            }
        }
        progress.fills_left -= 1;
        level.head = maker.next;
        level.orders -= 1;
        let prevented = maker.leaves_lots > 0;
        slots.remove(slot);
        if prevented && taker.self_trade_prevention == SelfTradePrevention::CancelBoth {
            return Some(Stop::SelfTrade);
        }
    }
    None
}

impl Book for OrderBook {
    fn new(instrument: &CreateInstrument) -> Self {
        Self {
            ladder: Ladder::new(instrument),
            far: FarTree::EMPTY,
            buys: Bests::NONE,
            sells: Bests::NONE,
            misses: 0,
            look_at: 0,
        }
    }

    #[inline]
    fn best(&self, side: Side) -> Option<PriceTicks> {
        price_of(side, self.bests(side).key())
    }

    #[inline]
    fn rest(&mut self, table: &mut OrderTable, slot: u32) {
        let order = table.slots.entry(slot);
        let (side, price_ticks) = (order.side(), order.price_ticks);
        let order_key = key(side, price_ticks);
        debug_assert!(
            self.best(side.opposite()).is_none_or(|other| key(side, other) > order_key),
            "an order that rests does not cross"
        );
        let Some(index) = self.ladder.index(price_ticks) else { return self.rest_far(table, slot) };
        let level = self.ladder.level_mut(index);
        let is_new = level.orders == 0;
        append(level, &mut table.slots, slot);
        if is_new {
            self.ladder.mark(index);
            let bests = self.bests_mut(side);
            bests.ladder_key = bests.ladder_key.max(order_key);
        }
    }

    #[inline]
    fn unlink(&mut self, table: &mut OrderTable, slot: u32) {
        let OrderTable { slots, far, .. } = table;
        let order = slots.entry(slot);
        let (side, price_ticks) = (order.side(), order.price_ticks);
        let place = self.place(far, price_ticks);
        let level = self.level_mut(far, place);
        take_out(level, slots, slot);
        if level.orders == 0 {
            self.vacate(far, place, side, price_ticks);
        }
    }

    #[inline]
    fn reduce(&mut self, table: &mut OrderTable, slot: u32, leaves_lots: QuantityLots) {
        let OrderTable { slots, far, .. } = table;
        let order = slots.entry_mut(slot);
        assert!((1..=order.leaves_lots).contains(&leaves_lots), "reduce goes down and not to nothing");
        let removed_lots = order.leaves_lots - leaves_lots;
        order.leaves_lots = leaves_lots;
        let place = self.place(far, order.price_ticks);
        self.level_mut(far, place).quantity_lots -= removed_lots;
    }

    #[inline]
    fn execute<S: MatchSink>(&mut self, table: &mut OrderTable, taker: &Taker, sink: &mut S) -> Execution {
        let maker_side = taker.side.opposite();
        let mut progress = Progress { remaining_lots: taker.quantity_lots, fills_left: taker.max_fills };
        let worst_key = taker.limit.map_or(NO_KEY + 1, |limit| key(maker_side, limit));
        loop {
            let best_key = self.bests(maker_side).key();
            let remaining_lots = progress.remaining_lots;
            let stop = if remaining_lots == 0 {
                Some(Stop::Done)
            } else if best_key < worst_key {
                Some(if best_key == NO_KEY { Stop::NoLiquidity } else { Stop::LimitPrice })
            } else {
                let price_ticks = price_of(maker_side, best_key).expect("a key within the limit is a price");
                self.match_level(table, taker, &mut progress, price_ticks, sink)
            };
            if let Some(stop) = stop {
                return Execution { remaining_lots: progress.remaining_lots, stop };
            }
        }
    }

    fn fillable(&self, table: &OrderTable, taker: &Taker) -> bool {
        let mut remaining_lots = taker.quantity_lots;
        let mut fills_left = taker.max_fills;
        for (price_ticks, level) in Walk::new(self, table, taker.side.opposite()) {
            if remaining_lots <= 0 || !within_limit(taker, price_ticks) {
                break;
            }
            for slot in queue_of(&table.slots, level) {
                if remaining_lots <= 0 {
                    return true;
                }
                if fills_left == 0 {
                    return false;
                }
                let maker = table.slots.entry(slot);
                let own = maker.account == taker.account;
                match taker.self_trade_prevention {
                    SelfTradePrevention::CancelNewest | SelfTradePrevention::CancelBoth if own => {
                        return false;
                    }
                    SelfTradePrevention::CancelOldest if own => {}
                    _ => remaining_lots -= maker.leaves_lots,
                }
                fills_left -= 1;
            }
        }
        remaining_lots <= 0
    }

    fn cost(&self, table: &OrderTable, side: Side, quantity_lots: QuantityLots) -> Cost {
        let mut cost = Cost::default();
        for (price_ticks, level) in Walk::new(self, table, side.opposite()) {
            let lots = level.quantity_lots.min(quantity_lots - cost.available_lots);
            cost.available_lots += lots;
            cost.ticks_times_lots += i128::from(lots) * i128::from(price_ticks);
            if cost.available_lots == quantity_lots {
                break;
            }
        }
        cost
    }

    fn levels<'a>(&'a self, table: &'a OrderTable, side: Side) -> impl Iterator<Item = PriceLevel> + 'a {
        Walk::new(self, table, side).map(|(price_ticks, level)| PriceLevel {
            price_ticks,
            quantity_lots: level.quantity_lots,
            orders: level.orders,
        })
    }

    fn queue<'a>(
        &'a self,
        table: &'a OrderTable,
        side: Side,
        price_ticks: PriceTicks,
    ) -> impl Iterator<Item = u32> + 'a {
        let level = match self.ladder.index(price_ticks) {
            Some(index) => Some(self.ladder.level(index)).filter(|level| level.orders > 0),
            None => table.far.find(&self.far, price_ticks).map(|node| &table.far.node(node).level),
        };
        let level = level.filter(|level| table.slots.entry(level.head).side() == side);
        level.into_iter().flat_map(|level| queue_of(&table.slots, level))
    }

    fn check_invariants(&self, table: &OrderTable) {
        if let (Some(buy), Some(sell)) = (self.best(Side::Buy), self.best(Side::Sell)) {
            assert!(buy < sell, "the book is crossed: buy {buy}, sell {sell}");
        }
        self.ladder.check();
        let mut levels = 0;
        for side in [Side::Buy, Side::Sell] {
            let mut last_key = i64::MAX;
            for (price_ticks, level) in Walk::new(self, table, side) {
                assert!(key(side, price_ticks) < last_key, "levels are in order at {price_ticks}");
                last_key = key(side, price_ticks);
                check_level(&table.slots, side, price_ticks, level);
                levels += 1;
            }
        }
        assert_eq!(levels, self.ladder.occupied + self.far.levels, "every level is reached from the touch");
    }
}

/// Slots of a level's orders, oldest first.
fn queue_of<'a>(slots: &'a Slots, level: &Level) -> impl Iterator<Item = u32> + 'a {
    let (mut at, mut left) = (level.head, level.orders);
    core::iter::from_fn(move || {
        left = left.checked_sub(1)?;
        let slot = at;
        at = slots.entry(slot).next;
        Some(slot)
    })
}

fn check_level(slots: &Slots, side: Side, price_ticks: PriceTicks, level: &Level) {
    assert!(level.orders > 0, "level {price_ticks} is empty");
    let (mut prev, mut sum) = (NIL, 0);
    for slot in queue_of(slots, level) {
        let order = slots.entry(slot);
        assert!(order.order_id != OrderId::NONE, "slot {slot} rests and is free");
        assert_eq!((order.side(), order.price_ticks), (side, price_ticks), "slot {slot}");
        assert!(order.leaves_lots > 0, "slot {slot} rests with nothing left");
        assert!(prev == NIL || order.prev == prev, "slot {slot} links back");
        (prev, sum) = (slot, sum + order.leaves_lots);
    }
    assert_eq!((prev, sum), (level.tail, level.quantity_lots), "end and total of level {price_ticks}");
}
