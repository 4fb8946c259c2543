//! The window of price levels around a side's touch: an array indexed by price, and a bitmap to find the next level.
//!
//! Prices come as keys, of which the higher is the better price on both sides, so that one direction of search is
//! enough. Only keys on a grid of every n-th one have a place: venues quote in cents and count in hundredths of them,
//! and a window over every tick would be nearly empty. A key's number on the grid is its *rung*; a rung's place is its
//! lowest bits, so levels stay where they are when the window slides.

use alloc::boxed::Box;
use alloc::vec;
use machine::prefetch;
use zerocopy::FromZeros;

use crate::Key;
use crate::level::Level;

/// Enough for the largest window: 65,536 levels in words of 64, in words of 64.
const SUMMARY_WORDS: usize = 16;

/// Coarsest grid, in ticks.
pub(crate) const MAX_GRID_TICKS: i64 = 1 << 20;

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
    /// The grid of this window.
    grid: Grid,
    /// 2^64 / `grid.ticks` rounded up, to divide by it; 0 for a grid of 1.
    reciprocal: u64,
    /// Levels with orders.
    pub(crate) occupied: u32,
}

/// The keys that have a place: `offset + n * ticks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// 1 to `MAX_GRID_TICKS`.
    pub(crate) ticks: i64,
    /// 0 to `ticks - 1`; at most any key.
    pub(crate) offset: i64,
}

impl Grid {
    pub(crate) const EACH_TICK: Self = Self { ticks: 1, offset: 0 };
}

impl Ladder {
    /// A window for `levels` levels, a power of two from 64 to 65,536, around a key.
    pub(crate) fn new(levels: u32, best: Key) -> Self {
        let size = levels as usize;
        assert!(size.is_power_of_two() && (64..=1 << 16).contains(&size), "a ladder of {size} levels");
        let levels = <[Level]>::new_box_zeroed_with_elems(size).expect("memory for a ladder at the start");
        let words = vec![0; size / 64].into_boxed_slice();
        let grid = Grid::EACH_TICK;
        let mut ladder =
            Self { levels, words, summary: [0; SUMMARY_WORDS], base: 0, grid, reciprocal: 0, occupied: 0 };
        ladder.base = ladder.base_for(best, grid);
        ladder
    }

    #[inline(always)]
    fn mask(&self) -> u64 {
        self.levels.len() as u64 - 1
    }

    /// The rung where a window on this grid starts that suits a side's best key: a quarter of it lies above, for better
    /// prices to come.
    pub(crate) fn base_for(&self, best: Key, grid: Grid) -> i64 {
        let size = self.levels.len() as i64;
        (best - grid.offset) / grid.ticks - (size - size / 4)
    }

    pub(crate) fn grid(&self) -> Grid {
        self.grid
    }

    /// Lowest key that the window can hold; may be negative.
    pub(crate) fn first_key(&self) -> Key {
        self.base * self.grid.ticks + self.grid.offset
    }

    /// Highest key that the window can hold.
    pub(crate) fn last_key(&self) -> Key {
        self.first_key() + self.mask() as i64 * self.grid.ticks
    }

    /// Whether a key in this window would keep its place in another.
    pub(crate) fn keeps(&self, key: Key, base: i64, grid: Grid) -> bool {
        let offset = self.rung(key).wrapping_sub(base) as u64;
        grid == self.grid && offset <= self.mask()
    }

    /// Moves the window. All levels that do not keep their place must have been emptied.
    pub(crate) fn set_window(&mut self, base: i64, grid: Grid) {
        assert!((1..=MAX_GRID_TICKS).contains(&grid.ticks), "a grid of {grid:?}");
        assert!((0..grid.ticks).contains(&grid.offset), "a grid of {grid:?}");
        self.base = base;
        self.grid = grid;
        self.reciprocal = if grid.ticks == 1 { 0 } else { u64::MAX / grid.ticks as u64 + 1 };
    }

    /// Whether a side's best key lies where the window suits it: with at least half of it below, and an eighth above.
    pub(crate) fn suits(&self, best: Key) -> bool {
        let size = self.levels.len() as i64;
        (size / 2..size - size / 8).contains(&((best - self.grid.offset) / self.grid.ticks - self.base))
    }

    /// The highest rung at or below a key of at least `grid.offset`.
    ///
    /// Multiplying by the rounded-up reciprocal is exact: the error is below `key * grid / 2^64`, and keys are below
    /// 2^41 and grids at most 2^20.
    #[inline(always)]
    fn rung(&self, key: Key) -> i64 {
        if self.reciprocal == 0 {
            return key;
        }
        ((u128::from(self.reciprocal) * (key - self.grid.offset) as u128) >> 64) as i64
    }

    #[inline(always)]
    fn key_of(&self, rung: i64) -> Key {
        rung * self.grid.ticks + self.grid.offset
    }

    #[inline(always)]
    fn place(&self, rung: i64) -> Option<usize> {
        let offset = rung.wrapping_sub(self.base) as u64;
        (offset <= self.mask()).then_some((rung as u64 & self.mask()) as usize)
    }

    /// Place of a key, or `None` outside the window or off the grid.
    #[inline(always)]
    pub(crate) fn index(&self, key: Key) -> Option<usize> {
        let rung = self.rung(key);
        if self.reciprocal != 0 && self.key_of(rung) != key {
            return None;
        }
        self.place(rung)
    }

    /// See [`crate::Book::prefetch_level`].
    #[inline(always)]
    pub(crate) fn prefetch(&self, key: Key) {
        if let Some(index) = self.index(key) {
            prefetch(self.level(index));
            self.words.get(index / 64).into_iter().for_each(prefetch);
        }
    }

    /// See [`crate::Book::prefetch`].
    #[inline]
    pub(crate) fn prefetch_fields(&self) {
        let [first, .., last] = &self.summary;
        prefetch(first);
        prefetch(last);
        prefetch(&self.reciprocal);
        prefetch(&self.occupied);
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

    /// The highest level at or below a key.
    #[inline]
    pub(crate) fn floor(&self, key: Key) -> Option<Key> {
        let from = self.rung(key.max(self.grid.offset)).min(self.base + self.mask() as i64);
        let found = self.rung_at(self.last_from(self.place(from)?)?);
        (found <= from).then_some(self.key_of(found))
    }

    #[inline(always)]
    fn rung_at(&self, index: usize) -> i64 {
        self.base + ((index as u64).wrapping_sub(self.base as u64) & self.mask()) as i64
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
            assert_eq!(marked, !level.is_empty(), "bitmap and level {index} disagree");
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
            let ticks = [1, 1, 3, 100, 1 << 20][seed / 5 % 5];
            let grid = Grid { ticks, offset: rng.random_range(0..ticks) };
            let span = i64::from(levels) * ticks;
            let centre =
                rng.random_range(span..=MAX_PRICE_TICKS.min(100 * span) - span) / ticks * ticks + grid.offset;
            let mut ladder = Ladder::new(levels, 0);
            ladder.set_window(ladder.base_for(centre, grid), grid);
            let mut model = BTreeSet::new();
            for _ in 0..2_000 {
                let rungs = i64::from(levels);
                let key = centre + ticks * rng.random_range(-rungs * 3 / 4..rungs / 4);
                let index = ladder.index(key).expect("inside the window");
                if model.remove(&key) {
                    ladder.unmark(index);
                } else if rng.random_range(0..4) > 0 || model.len() < 3 {
                    model.insert(key);
                    ladder.mark(index);
                }
                let probe = centre + rng.random_range(-span..span);
                let below = model.range(..=probe).next_back();
                assert_eq!(ladder.floor(probe), below.copied(), "seed {seed}, {levels} levels");
            }
        }
    }

    #[test]
    fn keys_outside_the_window_or_off_the_grid_have_no_place() {
        let mut ladder = Ladder::new(64, 0);
        assert_eq!((ladder.first_key(), ladder.last_key()), (-48, 15));
        assert!(ladder.index(15).is_some());
        assert!(ladder.index(16).is_none());
        assert!(ladder.index(MAX_PRICE_TICKS).is_none());
        let grid = Grid { ticks: 100, offset: 7 };
        ladder.set_window(ladder.base_for(10_007, grid), grid);
        assert!(ladder.index(10_007).is_some());
        assert!(ladder.index(10_000).is_none() && ladder.index(10_008).is_none());
        assert!(ladder.index(11_507).is_some() && ladder.index(11_607).is_none());
    }

    #[test]
    fn dividing_by_the_reciprocal_is_exact_at_the_limits() {
        let mut ladder = Ladder::new(4_096, 0);
        for ticks in [2, 3, 7, 100, 999_983, MAX_GRID_TICKS - 1, MAX_GRID_TICKS] {
            ladder.set_window(0, Grid { ticks, offset: 0 });
            let highest = 2 * MAX_PRICE_TICKS + 1;
            let last = highest / ticks * ticks;
            for key in [0, 1, ticks - 1, ticks, ticks + 1, last - 1, last, highest] {
                assert_eq!(ladder.rung(key), key / ticks, "{key} / {ticks}");
            }
        }
    }
}
