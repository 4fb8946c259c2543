//! The window of price levels around the touch: an array indexed by price, and a bitmap to find the next level.
//!
//! A price's place is its lowest bits, so levels stay where they are when the window slides. A price is a buy or a
//! sell level, never both, so both sides share the array and one bitmap: above the best sell all levels are sells,
//! below the best buy all are buys.

use alloc::boxed::Box;
use alloc::vec;
use protocol::{CreateInstrument, PriceTicks};
use zerocopy::{FromZeros, KnownLayout};

/// Window size where an instrument gives none.
const DEFAULT_LEVELS: u32 = 4_096;

/// Enough for the largest window: 65,536 levels in words of 64, in words of 64.
const SUMMARY_WORDS: usize = 16;

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
    /// Lowest price in the window; may be negative near the bottom.
    base: PriceTicks,
    /// Levels with orders.
    pub(crate) occupied: u32,
}

impl Ladder {
    pub(crate) fn new(instrument: &CreateInstrument) -> Self {
        let wanted = if instrument.ladder_levels == 0 { DEFAULT_LEVELS } else { instrument.ladder_levels };
        let size = wanted.next_power_of_two().clamp(64, 1 << 16) as usize;
        let levels = <[Level]>::new_box_zeroed_with_elems(size).expect("memory for a ladder at the start");
        let words = vec![0; size / 64].into_boxed_slice();
        let mut ladder = Self { levels, words, summary: [0; SUMMARY_WORDS], base: 0, occupied: 0 };
        ladder.base = ladder.base_for(instrument.reference_price_ticks);
        ladder
    }

    #[inline(always)]
    fn mask(&self) -> u64 {
        self.levels.len() as u64 - 1
    }

    /// Where a window centred on a price starts.
    pub(crate) fn base_for(&self, centre_ticks: PriceTicks) -> PriceTicks {
        centre_ticks - (self.levels.len() / 2) as i64
    }

    pub(crate) fn base(&self) -> PriceTicks {
        self.base
    }

    /// Highest price in the window.
    pub(crate) fn last(&self) -> PriceTicks {
        self.base + self.mask() as i64
    }

    /// Moves the window. All levels that it leaves must be empty.
    pub(crate) fn set_base(&mut self, base: PriceTicks) {
        self.base = base;
    }

    /// Whether a price lies in the middle half of the window.
    pub(crate) fn is_central(&self, price_ticks: PriceTicks) -> bool {
        let size = self.levels.len() as i64;
        (size / 4..size - size / 4).contains(&(price_ticks - self.base))
    }

    /// Place of a price, or `None` outside the window.
    #[inline(always)]
    pub(crate) fn index(&self, price_ticks: PriceTicks) -> Option<usize> {
        let offset = price_ticks.wrapping_sub(self.base) as u64;
        (offset <= self.mask()).then_some((price_ticks as u64 & self.mask()) as usize)
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
        let from = price_ticks.max(self.base);
        let index = self.first_from(self.index(from)?)?;
        let found = self.price_at(index);
        (found >= from).then_some(found)
    }

    /// The highest level at or below a price.
    #[inline]
    pub(crate) fn floor(&self, price_ticks: PriceTicks) -> Option<PriceTicks> {
        let from = price_ticks.min(self.last());
        let index = self.last_from(self.index(from)?)?;
        let found = self.price_at(index);
        (found <= from).then_some(found)
    }

    #[inline(always)]
    fn price_at(&self, index: usize) -> PriceTicks {
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
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    #[test]
    fn finds_what_a_sorted_set_finds() {
        for (seed, levels) in [64, 128, 4_096, 8_192, 65_536].into_iter().cycle().take(15).enumerate() {
            let mut rng = SmallRng::seed_from_u64(seed as u64);
            let reference_price_ticks = rng.random_range(0..100_000);
            let instrument =
                CreateInstrument { ladder_levels: levels, reference_price_ticks, ..Default::default() };
            let mut ladder = Ladder::new(&instrument);
            let mut model = BTreeSet::new();
            for _ in 0..2_000 {
                let span = i64::from(levels);
                let price = reference_price_ticks + rng.random_range(-span / 2..span / 2);
                let index = ladder.index(price).expect("inside the window");
                if model.remove(&price) {
                    ladder.unmark(index);
                } else if rng.random_range(0..4) > 0 || model.len() < 3 {
                    model.insert(price);
                    ladder.mark(index);
                }
                let probe = reference_price_ticks + rng.random_range(-span..span);
                let (above, below) = (model.range(probe..).next(), model.range(..=probe).next_back());
                assert_eq!(ladder.ceiling(probe), above.copied(), "seed {seed}, {levels} levels");
                assert_eq!(ladder.floor(probe), below.copied(), "seed {seed}, {levels} levels");
            }
        }
    }

    #[test]
    fn prices_outside_the_window_have_no_place() {
        let ladder = Ladder::new(&CreateInstrument { ladder_levels: 64, ..Default::default() });
        assert_eq!((ladder.base(), ladder.last()), (-32, 31));
        assert!(ladder.index(31).is_some());
        assert!(ladder.index(32).is_none());
        assert!(ladder.index(protocol::MAX_PRICE_TICKS).is_none());
    }
}
