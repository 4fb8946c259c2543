//! The window of price levels around the touch: an array indexed by price, and a bitmap to find the next level.
//!
//! Only prices on a grid of every n-th tick have a place: venues quote in cents and count in hundredths of them, and a
//! window over every tick would be nearly empty. A price's number on the grid is its *rung*; a rung's place is its lowest
//! bits, so levels stay where they are when the window slides. A price is a buy or a sell level, never both, so both sides share the array and one bitmap: above the best sell all levels are sells,
//! below the best buy all are buys.

use alloc::boxed::Box;
use alloc::vec;
use protocol::{CreateInstrument, PriceTicks};
use zerocopy::{FromZeros, KnownLayout};

/// Window size where an instrument gives none.
const DEFAULT_LEVELS: u32 = 4_096;

/// Enough for the largest window: 65,536 levels in words of 64, in words of 64.
const SUMMARY_WORDS: usize = 16;

/// Coarsest grid, in ticks.
pub(crate) const MAX_GRID_TICKS: i64 = 1 << 20;

/// One price's queue. All zero is an empty level, so that an untouched ladder costs no memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromZeros, KnownLayout)]
#[repr(C)]
pub(crate) struct Level {
    /// Sum of the orders' leaves.
    pub(crate) quantity_lots: i64,
    /// Oldest order; meaningless if there is none.
    pub(crate) head: u32,
    /// Newest order; meaningless if there is none.
    pub(crate) tail: u32,
    /// How many orders; 0 means that there is no such level.
    pub(crate) orders: u32,
    /// Zero.
    pub(crate) reserved: u32,
}

const _: () = assert!(size_of::<Level>() == 24);

impl Level {
    #[cfg(test)]
    pub(crate) const EMPTY: Self = Self { quantity_lots: 0, head: 0, tail: 0, orders: 0, reserved: 0 };
}

/// The window.
pub(crate) struct Ladder {
    /// Power of two.
    levels: Box<[Level]>,
    /// A bit for each level with orders.
    words: Box<[u64]>,
    /// A bit for each word that is not 0.
    summary: [u64; SUMMARY_WORDS],
    /// Lowest rung in the window; may be negative near the bottom.
    base: i64,
    /// Ticks from rung to rung; 1 to `MAX_GRID_TICKS`.
    grid_ticks: i64,
    /// 2^64 / `grid_ticks` rounded up, to divide by it; 0 for a grid of 1.
    reciprocal: u64,
    /// Levels with orders.
    pub(crate) occupied: u32,
}

impl Ladder {
    pub(crate) fn new(instrument: &CreateInstrument) -> Self {
        let wanted = if instrument.ladder_levels == 0 { DEFAULT_LEVELS } else { instrument.ladder_levels };
        let size = wanted.clamp(64, 1 << 16).next_power_of_two() as usize;
        let levels = <[Level]>::new_box_zeroed_with_elems(size).expect("memory for a ladder at the start");
        let words = vec![0; size / 64].into_boxed_slice();
        let mut ladder = Self {
            levels,
            words,
            summary: [0; SUMMARY_WORDS],
            base: 0,
            grid_ticks: 1,
            reciprocal: 0,
            occupied: 0,
        };
        ladder.base = ladder.base_for(instrument.reference_price_ticks, 1);
        ladder
    }

    #[inline(always)]
    fn mask(&self) -> u64 {
        self.levels.len() as u64 - 1
    }

    /// The rung where a window on this grid starts that is centred on a price.
    pub(crate) fn base_for(&self, centre_ticks: PriceTicks, grid_ticks: i64) -> i64 {
        centre_ticks / grid_ticks - (self.levels.len() / 2) as i64
    }

    pub(crate) fn grid_ticks(&self) -> i64 {
        self.grid_ticks
    }

    /// Lowest price that the window can hold; may be negative.
    pub(crate) fn first_price(&self) -> PriceTicks {
        self.base * self.grid_ticks
    }

    /// Highest price that the window can hold.
    pub(crate) fn last_price(&self) -> PriceTicks {
        (self.base + self.mask() as i64) * self.grid_ticks
    }

    /// Whether a price would keep its place in another window.
    pub(crate) fn keeps(&self, price_ticks: PriceTicks, base: i64, grid_ticks: i64) -> bool {
        let offset = (price_ticks / self.grid_ticks).wrapping_sub(base) as u64;
        grid_ticks == self.grid_ticks && offset <= self.mask()
    }

    /// Moves the window. All levels that do not keep their place must have been emptied.
    pub(crate) fn set_window(&mut self, base: i64, grid_ticks: i64) {
        assert!((1..=MAX_GRID_TICKS).contains(&grid_ticks), "a grid of {grid_ticks} ticks");
        self.base = base;
        self.grid_ticks = grid_ticks;
        self.reciprocal = if grid_ticks == 1 { 0 } else { u64::MAX / grid_ticks as u64 + 1 };
    }

    /// Whether a price lies in the middle half of the window.
    pub(crate) fn is_central(&self, price_ticks: PriceTicks) -> bool {
        let size = self.levels.len() as i64;
        (size / 4..size - size / 4).contains(&(price_ticks / self.grid_ticks - self.base))
    }

    /// The highest rung at or below a price of at least 0.
    ///
    /// Multiplying by the rounded-up reciprocal is exact: the error is below `price * grid / 2^64`, and prices are
    /// below 2^40 and grids at most 2^20.
    #[inline(always)]
    fn rung(&self, price_ticks: PriceTicks) -> i64 {
        if self.reciprocal == 0 {
            return price_ticks;
        }
        ((u128::from(self.reciprocal) * price_ticks as u128) >> 64) as i64
    }

    #[inline(always)]
    fn place(&self, rung: i64) -> Option<usize> {
        let offset = rung.wrapping_sub(self.base) as u64;
        (offset <= self.mask()).then_some((rung as u64 & self.mask()) as usize)
    }

    /// Place of a price, or `None` outside the window or off the grid.
    #[inline(always)]
    pub(crate) fn index(&self, price_ticks: PriceTicks) -> Option<usize> {
        let rung = self.rung(price_ticks);
        if self.reciprocal != 0 && rung * self.grid_ticks != price_ticks {
            return None;
        }
        self.place(rung)
    }

    #[inline(always)]
    pub(crate) fn level(&self, index: usize) -> &Level {
        self.levels.get(index).expect("a place lies in the ladder")
    }

    #[inline(always)]
    pub(crate) fn level_mut(&mut self, index: usize) -> &mut Level {
        self.levels.get_mut(index).expect("a place lies in the ladder")
    }

    /// Marks a level that has its first order.
    #[inline(always)]
    pub(crate) fn mark(&mut self, index: usize) {
        let word = self.words.get_mut(index / 64).expect("a place lies in the bitmap");
        *word |= 1 << (index % 64);
        let group = self.summary.get_mut(index / 4096).expect("a place lies in the summary");
        *group |= 1 << (index / 64 % 64);
        self.occupied += 1;
    }

    /// Unmarks a level that has lost its last order.
    #[inline(always)]
    pub(crate) fn unmark(&mut self, index: usize) {
        let word = self.words.get_mut(index / 64).expect("a place lies in the bitmap");
        *word &= !(1 << (index % 64));
        if *word == 0 {
            let group = self.summary.get_mut(index / 4096).expect("a place lies in the summary");
            *group &= !(1 << (index / 64 % 64));
        }
        self.occupied -= 1;
    }

    /// The lowest level at or above a price.
    #[inline]
    pub(crate) fn ceiling(&self, price_ticks: PriceTicks) -> Option<PriceTicks> {
        let rung = self.rung(price_ticks.max(0));
        let above = rung + i64::from(rung * self.grid_ticks < price_ticks);
        let from = above.max(self.base);
        let found = self.rung_at(self.first_from(self.place(from)?)?);
        (found >= from).then_some(found * self.grid_ticks)
    }

    /// The highest level at or below a price.
    #[inline]
    pub(crate) fn floor(&self, price_ticks: PriceTicks) -> Option<PriceTicks> {
        let from = self.rung(price_ticks.max(0)).min(self.base + self.mask() as i64);
        let found = self.rung_at(self.last_from(self.place(from)?)?);
        (found <= from).then_some(found * self.grid_ticks)
    }

    #[inline(always)]
    fn rung_at(&self, index: usize) -> i64 {
        self.base + ((index as u64).wrapping_sub(self.base as u64) & self.mask()) as i64
    }

    /// Upwards from a place, around the end: the first marked place.
    #[inline]
    fn first_from(&self, index: usize) -> Option<usize> {
        let word = index / 64;
        let here = self.words.get(word)? & (u64::MAX << (index % 64));
        if here != 0 {
            return Some(word * 64 + here.trailing_zeros() as usize);
        }
        let group = word / 64;
        let mut bits = self.summary.get(group)? & (u64::MAX << (word % 64) << 1);
        let groups = self.words.len().div_ceil(64);
        let mut at = group;
        for _ in 0..=groups {
            if bits != 0 {
                let found = at * 64 + bits.trailing_zeros() as usize;
                return Some(found * 64 + self.words.get(found)?.trailing_zeros() as usize);
            }
            at = if at + 1 == groups { 0 } else { at + 1 };
            bits = *self.summary.get(at)?;
        }
        None
    }

    /// Downwards from a place, around the start: the first marked place.
    #[inline]
    fn last_from(&self, index: usize) -> Option<usize> {
        let word = index / 64;
        let here = self.words.get(word)? & (u64::MAX >> (63 - index % 64));
        if here != 0 {
            return Some(word * 64 + here.ilog2() as usize);
        }
        let group = word / 64;
        let mut bits = self.summary.get(group)? & ((1 << (word % 64)) - 1);
        let groups = self.words.len().div_ceil(64);
        let mut at = group;
        for _ in 0..=groups {
            if bits != 0 {
                let found = at * 64 + bits.ilog2() as usize;
                return Some(found * 64 + self.words.get(found)?.checked_ilog2()? as usize);
            }
            at = if at == 0 { groups - 1 } else { at - 1 };
            bits = *self.summary.get(at)?;
        }
        None
    }

    /// Checks bitmap, summary and count against the levels.
    pub(crate) fn check(&self) {
        let mut occupied = 0;
        for (index, level) in self.levels.iter().enumerate() {
            let marked = self.words[index / 64] >> (index % 64) & 1 == 1;
            assert_eq!(marked, level.orders > 0, "bitmap and level {index} disagree");
            occupied += u32::from(marked);
        }
        assert_eq!(occupied, self.occupied, "count of ladder levels");
        for (index, &word) in self.words.iter().enumerate() {
            let marked = self.summary[index / 64] >> (index % 64) & 1 == 1;
            assert_eq!(marked, word != 0, "summary and word {index} disagree");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use protocol::MAX_PRICE_TICKS;
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    #[test]
    fn finds_what_a_sorted_set_finds() {
        for (seed, levels) in [64, 128, 4_096, 8_192, 65_536].into_iter().cycle().take(30).enumerate() {
            let mut rng = SmallRng::seed_from_u64(seed as u64);
            let grid = [1, 1, 3, 100, 1 << 20][seed / 5 % 5];
            let span = i64::from(levels) * grid;
            let centre = rng.random_range(span..=MAX_PRICE_TICKS.min(100 * span) - span) / grid * grid;
            let mut ladder = Ladder::new(&CreateInstrument { ladder_levels: levels, ..Default::default() });
            ladder.set_window(ladder.base_for(centre, grid), grid);
            let mut model = BTreeSet::new();
            for _ in 0..2_000 {
                let price = centre + grid * rng.random_range(-i64::from(levels) / 2..i64::from(levels) / 2);
                let index = ladder.index(price).expect("inside the window");
                if model.remove(&price) {
                    ladder.unmark(index);
                } else if rng.random_range(0..4) > 0 || model.len() < 3 {
                    model.insert(price);
                    ladder.mark(index);
                }
                let probe = centre + rng.random_range(-span..span);
                let (above, below) = (model.range(probe..).next(), model.range(..=probe).next_back());
                assert_eq!(ladder.ceiling(probe), above.copied(), "seed {seed}, {levels} levels");
                assert_eq!(ladder.floor(probe), below.copied(), "seed {seed}, {levels} levels");
            }
        }
    }

    #[test]
    fn prices_outside_the_window_or_off_the_grid_have_no_place() {
        let mut ladder = Ladder::new(&CreateInstrument { ladder_levels: 64, ..Default::default() });
        assert_eq!((ladder.first_price(), ladder.last_price()), (-32, 31));
        assert!(ladder.index(31).is_some());
        assert!(ladder.index(32).is_none());
        assert!(ladder.index(MAX_PRICE_TICKS).is_none());
        ladder.set_window(ladder.base_for(10_000, 100), 100);
        assert!(ladder.index(10_000).is_some());
        assert!(ladder.index(10_001).is_none() && ladder.index(9_999).is_none());
        assert!(ladder.index(13_100).is_some() && ladder.index(13_200).is_none());
    }

    #[test]
    fn dividing_by_the_reciprocal_is_exact_at_the_limits() {
        let mut ladder = Ladder::new(&CreateInstrument::default());
        for grid in [2, 3, 7, 100, 999_983, MAX_GRID_TICKS - 1, MAX_GRID_TICKS] {
            ladder.set_window(0, grid);
            let last = MAX_PRICE_TICKS / grid * grid;
            for price in [0, 1, grid - 1, grid, grid + 1, last - 1, last, MAX_PRICE_TICKS] {
                assert_eq!(ladder.rung(price), price / grid, "{price} / {grid}");
            }
        }
    }
}
