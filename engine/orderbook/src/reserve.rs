//! What is behind an iceberg: the quantity that it does not show, and how large its slices are.

use protocol::QuantityLots;

/// The hidden part of an order with [`order_flags::RESERVE`](crate::order_flags::RESERVE).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserve {
    /// Quantity behind what is shown; at least 0.
    pub lots: i64,
    /// Smallest slice; at least 1. The last one may be smaller.
    pub least_lots: i64,
    /// Largest slice; at least `least_lots`.
    pub most_lots: i64,
    /// State of the generator that draws slices, any number; each slice advances it once.
    pub random: u64,
}

impl Reserve {
    /// Takes the next slice out of the reserve: the smaller of `lots` and `least + r % (most - least + 1)`, r being the
    /// next number of SplitMix64 (Steele, Lea, Flood 2014), drawn also where there is nothing to choose.
    pub(crate) fn take_slice(&mut self) -> QuantityLots {
        self.check();
        let choices = self.most_lots.abs_diff(self.least_lots) + 1;
        let above_least = split_mix(&mut self.random) % choices;
        let slice_lots = self.lots.min(self.least_lots + above_least as i64);
        self.lots -= slice_lots;
        slice_lots
    }

    /// Most slices that the reserve can come to.
    #[must_use]
    pub fn most_slices(&self) -> u64 {
        (self.lots as u64).div_ceil(self.least_lots as u64)
    }

    /// # Panics
    /// If a field is out of its range.
    pub(crate) fn check(&self) {
        let slices = 1..=self.most_lots;
        assert!(self.lots >= 0 && slices.contains(&self.least_lots), "out of range: {self:?}");
        assert!(self.most_lots < i64::MAX, "out of range: {self:?}");
    }

    /// As it is kept: all zero before it is used, so that the table's memory is not touched.
    pub(crate) fn to_words(self) -> [u64; 4] {
        [self.lots as u64, self.least_lots as u64, self.most_lots as u64, self.random]
    }

    pub(crate) fn from_words([lots, least_lots, most_lots, random]: [u64; 4]) -> Self {
        Self { lots: lots as i64, least_lots: least_lots as i64, most_lots: most_lots as i64, random }
    }
}

/// The reserves of a price level, for what surely trades of them.
///
/// In which order their slices come is the match's matter. But every slice has at least the least lots, except the last
/// one of each order; so `fills` of them give `(fills - orders) x least` lots or all there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserves {
    /// Sum of the reserves.
    pub lots: QuantityLots,
    /// How many orders have one.
    orders: u32,
    /// Most slices that all of them can come to.
    most_slices: u64,
    /// Smallest `least_lots` of them.
    least_lots: QuantityLots,
}

impl Reserves {
    /// Adds what is behind one order.
    pub fn add(&mut self, reserve: &Reserve) {
        self.lots += reserve.lots;
        self.least_lots =
            if self.orders == 0 { reserve.least_lots } else { self.least_lots.min(reserve.least_lots) };
        self.orders += 1;
        self.most_slices = self.most_slices.saturating_add(reserve.most_slices());
    }

    /// What surely trades of them, once all that is shown has: `lots` where all of it, or enough for `wanted_lots` (above
    /// 0), trades within `fills_left`; that many are taken from it then. Else what all of `fills_left` surely gives.
    pub fn sure_lots(&self, wanted_lots: QuantityLots, fills_left: &mut u32) -> QuantityLots {
        if self.orders == 0 {
            return 0;
        }
        let slices = (wanted_lots as u64).div_ceil(self.least_lots as u64);
        let needed = slices.saturating_add(u64::from(self.orders)).min(self.most_slices);
        if needed <= u64::from(*fills_left) {
            *fills_left -= needed as u32;
            return self.lots;
        }
        let whole_slices = fills_left.saturating_sub(self.orders);
        self.lots.min(self.least_lots.saturating_mul(i64::from(whole_slices)))
    }
}

/// SplitMix64: adds 0x9E3779B97F4A7C15 to the state, and returns the new state mixed: two rounds of xor with itself
/// shifted right (by 30, 27) and a multiplication (0xBF58476D1CE4E5B9, 0x94D049BB133111EB), then xor with itself shifted
/// right by 31; all modulo 2^64.
#[must_use]
pub fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_published_for_split_mix() {
        let mut state = 1_234_567;
        let drawn: [u64; 3] = core::array::from_fn(|_| split_mix(&mut state));
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn slices_stay_in_their_range_and_come_to_the_reserve() {
        let mut reserve = Reserve { lots: 1_000, least_lots: 7, most_lots: 11, random: 3 };
        let most_slices = reserve.most_slices();
        let mut slices = 0;
        let mut seen = [false; 5];
        while reserve.lots > 11 {
            let lots = reserve.take_slice();
            seen[(lots - 7) as usize] = true;
            slices += 1;
        }
        let (left, last) = (reserve.lots, reserve.take_slice());
        assert!(last <= left && seen == [true; 5] && slices < most_slices, "{last} {seen:?} {slices}");
        let whole = Reserve { lots: 14, least_lots: 7, most_lots: 7, random: 0 };
        assert_eq!((whole.most_slices(), Reserve { lots: 15, ..whole }.most_slices()), (2, 3));
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn slices_of_nothing_stop_the_process() {
        Reserve { lots: 1, least_lots: 0, most_lots: 1, random: 0 }.check();
    }
}
