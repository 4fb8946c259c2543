//! One side of a book: a ladder around its touch, a tree for the rest, queues linked through the slots.
//!
//! The two sides share nothing, so that both may have orders at one price.

use machine::prefetch;
use protocol::{CreateInstrument, PriceTicks, QuantityLots, Side};

use crate::far::{FarPool, FarTree};
use crate::ladder::{Grid, Ladder, MAX_GRID_TICKS};
use crate::level::{Level, append, take_out};
use crate::table::NIL;
use crate::walk::Walk;
use crate::{Filled, Key, OrderTable};

/// Key of no price: worse than any.
pub(crate) const NO_KEY: Key = -1;

/// A sell's key is this less its price. Above any price by more than the coarsest grid.
const SELL_KEYS: i64 = (1 << 41) - 1;

/// Levels in the windows of both sides together where an instrument gives none.
const DEFAULT_LEVELS: u32 = 4_096;

/// Orders that miss the ladder before its window is looked at again, besides two for each of its levels.
const MISSES_TO_LOOK: u32 = 64;

/// Levels next to the touch that decide the grid.
const GRID_LEVELS: u32 = 16;

/// With fewer of them each tick counts.
const LEAST_GRID_LEVELS: u32 = 8;

/// Orders a side's prices: the higher key is the better price. A price for a buy, `SELL_KEYS - price` for a sell, without
/// a branch: no processor foresees the side of the next order.
#[inline(always)]
pub(crate) fn key_of(side: Side, price_ticks: PriceTicks) -> Key {
    let flip = -i64::from(side == Side::Sell);
    (price_ticks ^ flip).wrapping_add(flip & (SELL_KEYS + 1))
}

/// The price of a key.
#[inline(always)]
pub(crate) fn price_of(side: Side, key: Key) -> PriceTicks {
    key_of(side, key)
}

/// The best levels.
#[derive(Clone, Copy)]
pub(crate) struct Bests {
    /// Key of the best level in the ladder, or [`NO_KEY`].
    pub(crate) ladder_key: Key,
    /// Key of the best level in the tree, or [`NO_KEY`].
    pub(crate) far_key: Key,
    /// Node of that, or [`NIL`].
    pub(crate) far_node: u32,
    /// Its oldest order; meaningless without a node.
    pub(crate) far_front: u32,
}

impl Bests {
    const NONE: Self = Self { ladder_key: NO_KEY, far_key: NO_KEY, far_node: NIL, far_front: NIL };

    #[inline(always)]
    pub(crate) fn key(&self) -> Key {
        self.ladder_key.max(self.far_key)
    }
}

/// Where a level is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Ladder(usize),
    Far(u32),
}

/// One side of a book.
///
/// Levels within the ladder's window cost an array access; others a descent of the tree. When work has moved to
/// the tree because the touch has left the window, the window follows it: see [`SideBook::consider_moving`].
///
/// A power of two in size, so that picking a side is a shift.
#[repr(align(256))]
pub(crate) struct SideBook {
    pub(crate) best: Bests,
    pub(crate) ladder: Ladder,
    pub(crate) far: FarTree,
    /// Orders that came to rest outside the ladder since its window was moved.
    misses: u32,
    /// Count of misses at which to look whether the window should move.
    look_at: u32,
    side: Side,
}

impl SideBook {
    pub(crate) fn new(instrument: &CreateInstrument, side: Side) -> Self {
        let wanted = if instrument.ladder_levels == 0 { DEFAULT_LEVELS } else { instrument.ladder_levels };
        let levels = wanted.clamp(128, 1 << 17).next_power_of_two() / 2;
        Self {
            best: Bests::NONE,
            ladder: Ladder::new(levels, key_of(side, instrument.reference_price_ticks)),
            far: FarTree::EMPTY,
            misses: 0,
            look_at: 0,
            side,
        }
    }

    #[inline(always)]
    pub(crate) fn best_price(&self) -> Option<PriceTicks> {
        let key = self.best.key();
        (key != NO_KEY).then(|| price_of(self.side, key))
    }

    /// See [`crate::Book::prefetch`]: the fields lie on all lines of a side.
    #[inline]
    pub(crate) fn prefetch(&self) {
        prefetch(&self.best);
        prefetch(&self.misses);
        self.ladder.prefetch_fields();
    }

    /// Where the level of a resting order is.
    #[inline(always)]
    pub(crate) fn place(&self, far: &FarPool, key: Key) -> Place {
        match self.ladder.index(key) {
            Some(index) => Place::Ladder(index),
            None => Place::Far(self.far_place(far, key)),
        }
    }

    #[cold]
    #[inline(never)]
    fn far_place(&self, far: &FarPool, key: Key) -> u32 {
        far.find(&self.far, key).expect("a resting order has a level")
    }

    #[inline(always)]
    pub(crate) fn level_mut<'a>(&'a mut self, far: &'a mut FarPool, place: Place) -> &'a mut Level {
        match place {
            Place::Ladder(index) => self.ladder.level_mut(index),
            Place::Far(node) => &mut far.node_mut(node).level,
        }
    }

    /// The level of a price, if there is one.
    pub(crate) fn level<'a>(&'a self, far: &'a FarPool, key: Key) -> Option<&'a Level> {
        match self.ladder.index(key) {
            Some(index) => Some(self.ladder.level(index)).filter(|level| !level.is_empty()),
            None => far.find(&self.far, key).map(|node| &far.node(node).level),
        }
    }

    /// The oldest order at the best price.
    #[inline]
    pub(crate) fn front(&self) -> Option<u32> {
        let Bests { ladder_key, far_key, far_front, .. } = self.best;
        if far_key > ladder_key {
            return Some(far_front);
        }
        if ladder_key == NO_KEY {
            return None;
        }
        Some(self.ladder.level(self.ladder.index(ladder_key)?).head())
    }

    /// Keeps the best prices right after a level's queue has lost orders or changed their order.
    #[inline(always)]
    pub(crate) fn settle(&mut self, far: &mut FarPool, place: Place, key: Key, is_empty: bool) {
        match place {
            Place::Ladder(index) if is_empty => {
                self.ladder.unmark(index);
                if key == self.best.ladder_key {
                    self.best.ladder_key = self.ladder.floor(key - 1).unwrap_or(NO_KEY);
                }
            }
            Place::Ladder(_) => {}
            Place::Far(node) => self.settle_far(far, node, is_empty),
        }
    }

    #[cold]
    #[inline(never)]
    fn settle_far(&mut self, far: &mut FarPool, node: u32, is_empty: bool) {
        if node == self.best.far_node {
            let next = if is_empty { far.node(node).below } else { node };
            self.set_far_best(far, next);
        }
        if is_empty {
            far.remove(&mut self.far, node);
        }
    }

    fn set_far_best(&mut self, far: &FarPool, node: u32) {
        self.best.far_node = node;
        self.best.far_key = NO_KEY;
        if node != NIL {
            let node = far.node(node);
            (self.best.far_key, self.best.far_front) = (node.key, node.level.head());
        }
    }

    /// See [`crate::Book::rest`].
    #[inline(always)]
    pub(crate) fn rest(&mut self, table: &mut OrderTable, slot: u32, key: Key) {
        let Some(index) = self.ladder.index(key) else { return self.rest_far(table, slot, key) };
        let level = self.ladder.level_mut(index);
        let is_new = level.is_empty();
        append(level, &mut table.slots, slot);
        if is_new {
            self.ladder.mark(index);
            self.best.ladder_key = self.best.ladder_key.max(key);
        }
    }

    /// Appends an order outside the window.
    #[cold]
    #[inline(never)]
    fn rest_far(&mut self, table: &mut OrderTable, slot: u32, key: Key) {
        let OrderTable { slots, far, .. } = table;
        let node = match far.find(&self.far, key) {
            Some(node) => node,
            None => far.insert(&mut self.far, key, Level::default()),
        };
        append(&mut far.node_mut(node).level, slots, slot);
        if key > self.best.far_key {
            self.set_far_best(far, node);
        }
        self.misses = self.misses.saturating_add(1);
        self.consider_moving(far);
    }

    /// See [`crate::Book::unlink`].
    #[inline(always)]
    pub(crate) fn unlink(&mut self, table: &mut OrderTable, slot: u32, key: Key) {
        let OrderTable { slots, far, .. } = table;
        let place = self.place(far, key);
        let level = self.level_mut(far, place);
        take_out(level, slots, slot);
        let is_empty = level.is_empty();
        self.settle(far, place, key, is_empty);
    }

    /// See [`crate::Book::fill`].
    pub(crate) fn fill(
        &mut self,
        table: &mut OrderTable,
        slot: u32,
        key: Key,
        quantity_lots: QuantityLots,
    ) -> Filled {
        let OrderTable { slots, far, .. } = table;
        let order = slots.entry_mut(slot);
        assert!(
            (1..=order.leaves_lots).contains(&quantity_lots),
            "a fill takes something and not more than is shown"
        );
        order.leaves_lots -= quantity_lots;
        order.filled_lots += quantity_lots;
        let left_lots = order.leaves_lots;
        let place = self.place(far, key);
        let level = self.level_mut(far, place);
        level.quantity_lots -= quantity_lots;
        if left_lots > 0 {
            return Filled::Partly;
        }
        take_out(level, slots, slot);
        let refills = slots.reserve_lots(slot) > 0;
        if refills {
            slots.refill(slot);
            append(level, slots, slot);
        }
        let is_empty = level.is_empty();
        self.settle(far, place, key, is_empty);
        if refills { Filled::Refilled } else { Filled::Gone }
    }

    /// Moves the window if the touch has left the part that suits it, or if prices now lie on another grid. Enough
    /// orders must have missed the ladder since the last move to pay for it: two for each level that leaves it and may
    /// come back, so that a miss costs a constant number of levels however prices jump.
    fn consider_moving(&mut self, far: &mut FarPool) {
        if self.misses < self.look_at && self.ladder.occupied > 0 {
            return;
        }
        // A coarse grid's window may span many levels that are not on it and that the move walks over.
        let grid = if self.misses < self.far.levels { Grid::EACH_TICK } else { self.grid_at_touch(far) };
        let best = self.best.key();
        if grid != self.ladder.grid() || !self.ladder.suits(best) {
            self.move_window(far, self.ladder.base_for(best, grid), grid);
            self.misses = 0;
        }
        self.look_at = self.misses.saturating_add(MISSES_TO_LOOK + 2 * self.ladder.occupied);
    }

    /// The grid that the prices next to the touch lie on: multiples of their greatest common divisor.
    fn grid_at_touch(&self, far: &FarPool) -> Grid {
        let (mut ticks, mut levels) = (0, 0);
        for (key, _) in Walk::new(self, far).take(GRID_LEVELS as usize) {
            ticks = greatest_common_divisor(price_of(self.side, key), ticks);
            levels += 1;
        }
        if levels < LEAST_GRID_LEVELS || ticks > MAX_GRID_TICKS {
            return Grid::EACH_TICK;
        }
        Grid { ticks, offset: key_of(self.side, 0) % ticks }
    }

    /// Moves the window: levels that lose their place go to the tree, levels that get one leave it.
    fn move_window(&mut self, far: &mut FarPool, base: i64, grid: Grid) {
        let best = self.best.key();
        let mut from = self.ladder.last_key();
        while let Some(key) = self.ladder.floor(from) {
            from = key - 1;
            if !self.ladder.keeps(key, base, grid) {
                let index = self.ladder.index(key).expect("a level found is in the window");
                let level = core::mem::take(self.ladder.level_mut(index));
                self.ladder.unmark(index);
                far.insert(&mut self.far, key, level);
            }
        }
        self.ladder.set_window(base, grid);
        let mut node = far.floor(&self.far, self.ladder.last_key());
        while node != NIL {
            let (key, below) = (far.node(node).key, far.node(node).below);
            if key < self.ladder.first_key() {
                break;
            }
            if let Some(index) = self.ladder.index(key) {
                *self.ladder.level_mut(index) = far.remove(&mut self.far, node);
                self.ladder.mark(index);
            }
            node = below;
        }
        self.best.ladder_key = self.ladder.floor(best).unwrap_or(NO_KEY);
        let far_best = far.floor(&self.far, best);
        self.set_far_best(far, far_best);
    }
}

/// Euclid's algorithm; anything divides 0.
fn greatest_common_divisor(mut one: i64, mut other: i64) -> i64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}
