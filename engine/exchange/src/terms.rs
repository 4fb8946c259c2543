//! Money of one instrument, in 64 bits where they suffice.

use protocol::{AmountMinor, CreateInstrument, MAX_AMOUNT_MINOR, PriceTicks, QuantityLots, Side};

/// What ticks and lots of one instrument are worth, and its fees.
///
/// The results are those of `protocol::money`, whose `i128` division costs some 10 ns; amounts below 2^46 (703,687 whole
/// units at 8 decimal places) take a 64-bit path, larger ones are handed on.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    quote_minor_per_tick_lot: i64,
    base_minor_per_lot: i64,
    maker_fee_ppm: u32,
    taker_fee_ppm: u32,
    /// The higher of the two: what a hold must cover.
    hold_fee_ppm: u32,
}

/// Below it, an amount times the highest fee (10^5 < 2^17) fits 63 bits.
const SMALL_AMOUNT_MINOR: i64 = 1 << 46;

impl Terms {
    pub(crate) fn new(created: &CreateInstrument) -> Self {
        Self {
            quote_minor_per_tick_lot: created.quote_minor_per_tick_lot,
            base_minor_per_lot: created.base_minor_per_lot,
            maker_fee_ppm: created.maker_fee_ppm,
            taker_fee_ppm: created.taker_fee_ppm,
            hold_fee_ppm: created.maker_fee_ppm.max(created.taker_fee_ppm),
        }
    }

    /// Minor units of the quote asset, or `None` above [`MAX_AMOUNT_MINOR`]. Price and quantity are not negative.
    #[inline]
    pub(crate) fn quote_minor(&self, price_ticks: PriceTicks, lots: QuantityLots) -> Option<AmountMinor> {
        let ticks_times_lots = price_ticks.checked_mul(lots);
        let amount = ticks_times_lots.and_then(|product| product.checked_mul(self.quote_minor_per_tick_lot));
        match amount {
            Some(amount) => (amount <= MAX_AMOUNT_MINOR).then_some(amount),
            // What overflows 63 bits exceeds the largest amount, since the third factor is at least 1.
            None => None,
        }
    }

    /// Price times quantity in minor units of the quote asset, however large: at most 2^120, since no factor exceeds 2^40.
    #[inline]
    pub(crate) fn notional_minor(&self, price_ticks: PriceTicks, lots: QuantityLots) -> i128 {
        i128::from(price_ticks) * i128::from(lots) * i128::from(self.quote_minor_per_tick_lot)
    }

    /// The quote amount of a sum of prices times quantities, or `None` above [`MAX_AMOUNT_MINOR`].
    #[inline]
    pub(crate) fn quote_minor_of_sum(&self, ticks_times_lots: i128) -> Option<AmountMinor> {
        let amount = ticks_times_lots.checked_mul(i128::from(self.quote_minor_per_tick_lot))?;
        i64::try_from(amount).ok().filter(|&amount| amount <= MAX_AMOUNT_MINOR)
    }

    /// Minor units of the base asset, or `None` above [`MAX_AMOUNT_MINOR`].
    #[inline]
    pub(crate) fn base_minor(&self, lots: QuantityLots) -> Option<AmountMinor> {
        lots.checked_mul(self.base_minor_per_lot).filter(|&amount| amount <= MAX_AMOUNT_MINOR)
    }

    #[inline]
    pub(crate) fn maker_fee_minor(&self, quote_minor: AmountMinor) -> AmountMinor {
        fee(quote_minor, self.maker_fee_ppm)
    }

    #[inline]
    pub(crate) fn taker_fee_minor(&self, quote_minor: AmountMinor) -> AmountMinor {
        fee(quote_minor, self.taker_fee_ppm)
    }

    /// What a limit order must have reserved, or `None` above [`MAX_AMOUNT_MINOR`].
    #[inline]
    pub(crate) fn hold_minor(
        &self,
        side: Side,
        price_ticks: PriceTicks,
        lots: QuantityLots,
    ) -> Option<AmountMinor> {
        match side {
            Side::Buy => {
                let quote_minor = self.quote_minor(price_ticks, lots)?;
                let hold_minor = quote_minor + fee(quote_minor, self.hold_fee_ppm);
                (hold_minor <= MAX_AMOUNT_MINOR).then_some(hold_minor)
            }
            Side::Sell => self.base_minor(lots),
        }
    }
}

#[inline]
fn fee(quote_minor: AmountMinor, fee_ppm: u32) -> AmountMinor {
    if quote_minor < SMALL_AMOUNT_MINOR {
        quote_minor * i64::from(fee_ppm) / 1_000_000
    } else {
        protocol::fee(quote_minor, fee_ppm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use protocol::{MAX_PRICE_TICKS, MAX_QUANTITY_LOTS, base_amount, hold_amount, quote_amount};

    /// A number of up to `bits` bits, all lengths alike, so that both paths and the edge between them are met.
    fn number(bits: u32) -> impl Strategy<Value = i64> {
        (0..=bits, any::<i64>()).prop_map(move |(length, value)| value & ((1i64 << length) - 1))
    }

    proptest! {
        #[test]
        fn agrees_with_the_protocols_money(
            tick_lot in number(40), base in number(40), price in number(40), lots in number(40),
            maker_fee_ppm in 0..=100_000u32, taker_fee_ppm in 0..=100_000u32,
        ) {
            let created = CreateInstrument {
                quote_minor_per_tick_lot: tick_lot + 1,
                base_minor_per_lot: base + 1,
                maker_fee_ppm,
                taker_fee_ppm,
                ..CreateInstrument::default()
            };
            let terms = Terms::new(&created);
            let (price, lots) = (price.min(MAX_PRICE_TICKS), lots.min(MAX_QUANTITY_LOTS));
            prop_assert_eq!(terms.quote_minor(price, lots), quote_amount(&created, price, lots));
            let product = i128::from(price) * i128::from(lots);
            prop_assert_eq!(terms.quote_minor_of_sum(product), quote_amount(&created, price, lots));
            prop_assert_eq!(terms.base_minor(lots), base_amount(&created, lots));
            for side in [Side::Buy, Side::Sell] {
                let expected = hold_amount(&created, side, price, lots);
                prop_assert_eq!(terms.hold_minor(side, price, lots), expected);
            }
        }

        #[test]
        fn fees_agree_on_both_paths(amount in number(62), ppm in 0..=100_000u32) {
            prop_assert_eq!(fee(amount, ppm), protocol::fee(amount, ppm));
            let edge = SMALL_AMOUNT_MINOR - 2 + (amount & 3);
            prop_assert_eq!(fee(edge, ppm), protocol::fee(edge, ppm));
        }
    }
}
