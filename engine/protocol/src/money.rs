//! From ticks and lots to money. Pure functions, shared by the exchange, the ledger and every report.
//!
//! Products are taken in `i128` and checked against [`MAX_AMOUNT_MINOR`], so nothing here can overflow.

use crate::{AmountMinor, CreateInstrument, MAX_AMOUNT_MINOR, PriceTicks, QuantityLots, Side};

/// Minor units of the quote asset for `quantity_lots` at `price_ticks`, or `None` above [`MAX_AMOUNT_MINOR`].
#[inline]
#[must_use]
pub fn quote_amount(
    instrument: &CreateInstrument,
    price_ticks: PriceTicks,
    quantity_lots: QuantityLots,
) -> Option<AmountMinor> {
    bounded(
        i128::from(price_ticks) * i128::from(quantity_lots) * i128::from(instrument.quote_minor_per_tick_lot),
    )
}

/// Minor units of the base asset in `quantity_lots`, or `None` above [`MAX_AMOUNT_MINOR`].
#[inline]
#[must_use]
pub fn base_amount(instrument: &CreateInstrument, quantity_lots: QuantityLots) -> Option<AmountMinor> {
    bounded(i128::from(quantity_lots) * i128::from(instrument.base_minor_per_lot))
}

/// Fee on a quote amount at `fee_ppm` millionths, rounded down (toward the client).
///
/// Rounding down makes fees superadditive: the fees of parts never exceed the fee of the whole, so a hold computed on
/// a whole order covers every way in which it can fill.
#[inline]
#[must_use]
pub fn fee(quote_minor: AmountMinor, fee_ppm: u32) -> AmountMinor {
    debug_assert!((0..=MAX_AMOUNT_MINOR).contains(&quote_minor) && fee_ppm <= crate::MAX_FEE_PPM);
    ((i128::from(quote_minor) * i128::from(fee_ppm)) / 1_000_000) as i64
}

/// Fee of a tier that may be a rebate, rounded toward zero: a fee toward the client, a rebate toward the exchange, so
/// that a rebate never exceeds the other side's fee that pays for it.
#[inline]
#[must_use]
pub fn signed_fee(quote_minor: AmountMinor, fee_ppm: i32) -> AmountMinor {
    let magnitude = fee(quote_minor, fee_ppm.unsigned_abs());
    if fee_ppm < 0 { -magnitude } else { magnitude }
}

/// What must be reserved for `leaves_lots` of an order at its limit price, or `None` above [`MAX_AMOUNT_MINOR`].
///
/// A buy reserves the quote amount plus the higher of the two fees on it; a sell reserves the base amount (its fee is
/// taken from what it receives).
#[inline]
#[must_use]
pub fn hold_amount(
    instrument: &CreateInstrument,
    side: Side,
    price_ticks: PriceTicks,
    leaves_lots: QuantityLots,
) -> Option<AmountMinor> {
    match side {
        Side::Buy => {
            let quote_minor = quote_amount(instrument, price_ticks, leaves_lots)?;
            let fee_ppm = instrument.maker_fee_ppm.max(instrument.taker_fee_ppm);
            quote_minor.checked_add(fee(quote_minor, fee_ppm)).filter(|&sum| sum <= MAX_AMOUNT_MINOR)
        }
        Side::Sell => base_amount(instrument, leaves_lots),
    }
}

#[inline]
fn bounded(amount: i128) -> Option<AmountMinor> {
    (0..=i128::from(MAX_AMOUNT_MINOR)).contains(&amount).then_some(amount as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MAX_PRICE_TICKS, MAX_QUANTITY_LOTS};

    fn instrument(maker_fee_ppm: u32, taker_fee_ppm: u32) -> CreateInstrument {
        CreateInstrument {
            quote_minor_per_tick_lot: 3,
            base_minor_per_lot: 10,
            maker_fee_ppm,
            taker_fee_ppm,
            ..CreateInstrument::default()
        }
    }

    #[test]
    fn amounts_multiply_exactly_and_refuse_what_is_too_large() {
        let it = instrument(0, 0);
        assert_eq!(quote_amount(&it, 7, 5), Some(105));
        assert_eq!(base_amount(&it, 5), Some(50));
        assert_eq!(quote_amount(&it, MAX_PRICE_TICKS, MAX_QUANTITY_LOTS), None);
        assert_eq!(quote_amount(&it, 1 << 22, 1 << 38), Some(3 << 60));
        assert_eq!(quote_amount(&it, 1 << 22, 1 << 39), None);
    }

    #[test]
    fn fees_round_toward_the_client_and_parts_never_exceed_the_whole() {
        assert_eq!(fee(999, 1_000), 0);
        assert_eq!(fee(1_000, 1_000), 1);
        assert_eq!(fee(MAX_AMOUNT_MINOR, 100_000), (1 << 62) / 10);
        for whole in 0..2_000 {
            for part in 0..=whole {
                assert!(fee(part, 2_500) + fee(whole - part, 2_500) <= fee(whole, 2_500));
            }
        }
    }

    #[test]
    fn a_hold_covers_any_sequence_of_fills_at_or_inside_the_limit() {
        let it = instrument(1_000, 2_500);
        let hold = hold_amount(&it, Side::Buy, 777, 1_000).unwrap();
        let after = hold_amount(&it, Side::Buy, 777, 400).unwrap();
        let paid = quote_amount(&it, 777, 600).unwrap();
        assert!(hold - after >= paid + fee(paid, 2_500));
        assert_eq!(hold_amount(&it, Side::Sell, 777, 1_000), Some(10_000));
    }
}
