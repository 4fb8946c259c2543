//! An instrument's fees by volume.

use protocol::{CreateInstrument, FeeTier, MAX_FEE_TIERS, SetFeeSchedule};

/// Tiers of fees, the first from a volume of 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FeeSchedule {
    /// As it was set; at least one tier.
    set: SetFeeSchedule,
}

impl FeeSchedule {
    /// From a command that is valid; `None` if it asks for the fees of `CreateInstrument`.
    pub(crate) fn new(set: &SetFeeSchedule) -> Option<Self> {
        (set.count > 0).then_some(Self { set: *set })
    }

    /// Whether a command's tiers rise from 0, and stay within what holds cover and what pays for rebates. What is not
    /// a tier must be zero.
    pub(crate) fn is_valid(set: &SetFeeSchedule, created: &CreateInstrument) -> bool {
        if set.count as usize > MAX_FEE_TIERS {
            return false;
        }
        let (tiers, unused) = set.tiers.split_at(set.count as usize);
        let covered_ppm = i64::from(created.maker_fee_ppm.max(created.taker_fee_ppm));
        let least_taker_ppm = tiers.iter().map(|tier| i64::from(tier.taker_fee_ppm)).min().unwrap_or(0);
        let is_covered = |tier: &FeeTier| {
            (0..=i64::from(created.taker_fee_ppm)).contains(&i64::from(tier.taker_fee_ppm))
                && (-least_taker_ppm..=covered_ppm).contains(&i64::from(tier.maker_fee_ppm))
        };
        unused.iter().all(|tier| *tier == FeeTier::default())
            && tiers.first().is_none_or(|tier| tier.min_volume_minor == 0)
            && tiers.is_sorted_by(|one, next| one.min_volume_minor < next.min_volume_minor)
            && tiers.iter().all(is_covered)
    }

    /// The highest tier that a volume reaches.
    #[inline]
    pub(crate) fn tier(&self, volume_minor: i128) -> FeeTier {
        let [first, others @ ..] = &self.set.tiers;
        let others = others.iter().take(self.set.count as usize - 1);
        let reached = others.take_while(|tier| i128::from(tier.min_volume_minor) <= volume_minor);
        *reached.last().unwrap_or(first)
    }

    /// The command that set it.
    pub(crate) fn command(&self) -> &SetFeeSchedule {
        &self.set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTRUMENT: CreateInstrument = CreateInstrument {
        maker_fee_ppm: 1_000,
        taker_fee_ppm: 2_500,
        quote_minor_per_tick_lot: 1,
        base_minor_per_lot: 1,
        reference_price_ticks: 0,
        instrument: 1,
        base_asset: 1,
        quote_asset: 2,
        ladder_levels: 0,
        name: protocol::Name([0; 16]),
    };

    fn schedule(list: &[(i64, i32, i32)]) -> SetFeeSchedule {
        let mut set = SetFeeSchedule { instrument: 1, count: list.len() as u32, ..SetFeeSchedule::default() };
        for (tier, &(min_volume_minor, maker_fee_ppm, taker_fee_ppm)) in set.tiers.iter_mut().zip(list) {
            *tier = FeeTier { min_volume_minor, maker_fee_ppm, taker_fee_ppm };
        }
        set
    }

    #[test]
    fn the_highest_tier_that_is_reached_counts() {
        let set = schedule(&[(0, 1_000, 2_500), (100, 0, 2_000), (101, -500, 1_500), (5_000, -1_000, 1_000)]);
        assert!(FeeSchedule::is_valid(&set, &INSTRUMENT));
        let fees = FeeSchedule::new(&set).unwrap();
        let makers = [0, 99, 100, 101, 4_999, 5_000, i128::MAX].map(|volume| fees.tier(volume).maker_fee_ppm);
        assert_eq!(makers, [1_000, 1_000, 0, -500, -500, -1_000, -1_000]);
        assert_eq!(fees.command(), &set);
        let one = FeeSchedule::new(&schedule(&[(0, 1, 2)])).unwrap();
        assert_eq!(one.tier(1 << 70), FeeTier { min_volume_minor: 0, maker_fee_ppm: 1, taker_fee_ppm: 2 });
        assert_eq!(FeeSchedule::new(&schedule(&[])), None);
    }

    #[test]
    fn bounds_are_the_fees_that_holds_cover_and_what_pays_for_rebates() {
        let valid = |list: &[_]| FeeSchedule::is_valid(&schedule(list), &INSTRUMENT);
        assert!(valid(&[]));
        assert!(valid(&[(0, 2_500, 2_500)]) && !valid(&[(0, 2_501, 2_500)]) && !valid(&[(0, 0, 2_501)]));
        assert!(valid(&[(0, 0, 0)]) && !valid(&[(0, 0, -1)]) && !valid(&[(0, -1, 0)]));
        assert!(valid(&[(0, -9, 10), (5, -9, 9)]) && !valid(&[(0, -9, 10), (5, -9, 8)]));
        assert!(!valid(&[(0, 0, 2_000), (5, -2_001, 2_500)]));
        assert!(!valid(&[(1, 0, 0)]) && !valid(&[(-1, 0, 0), (0, 0, 0)]));
        assert!(!valid(&[(0, 0, 0), (7, 0, 0), (7, 0, 0)]) && !valid(&[(0, 0, 0), (7, 0, 0), (6, 0, 0)]));
        assert!(!valid(&[(0, 0, 0), (0, 0, 0)]));
        assert!(!valid(&[(0, i32::MIN, 2_500)]) && !valid(&[(0, 0, i32::MAX)]));
    }

    #[test]
    fn tiers_that_do_not_count_are_zero_and_there_are_four_at_most() {
        let mut set = schedule(&[(0, 0, 5), (1, 0, 5)]);
        set.count = 1;
        assert!(!FeeSchedule::is_valid(&set, &INSTRUMENT));
        for count in [5, u32::MAX] {
            assert!(!FeeSchedule::is_valid(&SetFeeSchedule { count, ..schedule(&[]) }, &INSTRUMENT));
        }
        let maker_pays_more = CreateInstrument { maker_fee_ppm: 9, taker_fee_ppm: 3, ..INSTRUMENT };
        assert!(FeeSchedule::is_valid(&schedule(&[(0, 9, 3)]), &maker_pays_more));
        assert!(!FeeSchedule::is_valid(&schedule(&[(0, 9, 4)]), &maker_pays_more));
    }
}
