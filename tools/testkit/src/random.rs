//! Random numbers for tests.

use std::hash::{BuildHasher, RandomState};

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers for a seed on every machine, with every version.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// All numbers follow from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `below - 1`; 0 if `below` is 0.
    pub fn below(&mut self, below: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(below)) >> 64) as u64
    }

    /// A number from `least` to `most`, both included.
    pub fn within(&mut self, least: i64, most: i64) -> i64 {
        least + self.below((most - least + 1) as u64) as i64
    }

    /// True once in `times`.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of the items.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        assert!(!items.is_empty(), "nothing to pick from");
        items[self.below(items.len() as u64) as usize]
    }
}

/// A seed that differs from run to run. Print it where a test fails.
#[must_use]
pub fn fresh_seed() -> u64 {
    RandomState::new().hash_one("seed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_from_the_seed_and_stay_in_range() {
        let (mut one, mut two) = (Random::new(1), Random::new(1));
        for _ in 0..1_000 {
            assert_eq!(one.bits(), two.bits());
            assert!((-3..=3).contains(&one.within(-3, 3)));
            two.bits();
        }
        assert_eq!(Random::new(0).bits(), 0xE220_A839_7B1D_CDAF, "the published first number of seed 0");
    }
}
