//! Reference data: what a tick and a lot are worth, as exact decimals.

use core::fmt;

use protocol::{
    CreateAsset, CreateInstrument, InstrumentId, MAX_PRICE_TICKS, MAX_QUANTITY_LOTS, Name, PriceTicks,
    QuantityLots,
};
use rust_decimal::Decimal;

/// An asset's name and decimal places.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AssetReference {
    pub(crate) name: Name,
    pub(crate) scale: u8,
}

/// Why a number cannot be converted exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceError {
    /// The tick is not a finite decimal of at most 28 places (a lot of 3 base units, say): show ticks instead.
    InexactTick,
    /// The price is not a whole number of ticks.
    NotOnTick,
    /// The quantity is not a whole number of lots.
    NotOnLot,
    /// Zero, negative, or above `MAX_PRICE_TICKS` or `MAX_QUANTITY_LOTS`.
    OutOfRange,
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InexactTick => "the instrument's tick is not a finite decimal; give prices in ticks",
            Self::NotOnTick => "the price is not a multiple of the instrument's tick",
            Self::NotOnLot => "the quantity is not a multiple of the instrument's lot",
            Self::OutOfRange => "the number is outside what the exchange accepts",
        })
    }
}

impl std::error::Error for ReferenceError {}

/// What an instrument is, for people.
#[derive(Clone, Debug)]
pub struct InstrumentReference {
    /// Its id.
    pub instrument: InstrumentId,
    /// Symbol, such as `BTC/USD`.
    pub name: Name,
    /// Code of what is bought and sold.
    pub base_name: Name,
    /// Code of what it is paid in.
    pub quote_name: Name,
    /// The command's fields.
    pub created: CreateInstrument,
    tick_size: Option<Decimal>,
    lot_size: Decimal,
}

impl InstrumentReference {
    /// The reference of an instrument whose assets are known by their own commands, as in a machine's state.
    #[must_use]
    pub fn from_commands(created: &CreateInstrument, base: &CreateAsset, quote: &CreateAsset) -> Self {
        let asset = |it: &CreateAsset| AssetReference { name: it.name, scale: it.scale };
        Self::new(created, asset(base), asset(quote))
    }

    pub(crate) fn new(created: &CreateInstrument, base: AssetReference, quote: AssetReference) -> Self {
        Self {
            instrument: created.instrument,
            name: created.name,
            base_name: base.name,
            quote_name: quote.name,
            created: *created,
            tick_size: tick_size(created, base.scale, quote.scale),
            lot_size: Decimal::from_i128_with_scale(created.base_minor_per_lot.into(), base.scale.into())
                .normalize(),
        }
    }

    /// Price of one tick: whole quote units per whole base unit.
    ///
    /// # Errors
    /// [`ReferenceError::InexactTick`].
    pub fn tick_size(&self) -> Result<Decimal, ReferenceError> {
        self.tick_size.ok_or(ReferenceError::InexactTick)
    }

    /// Whole base units of one lot; exact.
    #[must_use]
    pub fn lot_size(&self) -> Decimal {
        self.lot_size
    }

    /// Decimal places that every price needs.
    #[must_use]
    pub fn price_decimals(&self) -> u32 {
        self.tick_size.map_or(0, |tick| tick.scale())
    }

    /// Decimal places that every quantity needs.
    #[must_use]
    pub fn quantity_decimals(&self) -> u32 {
        self.lot_size.scale()
    }

    /// A price in ticks as whole quote units per whole base unit.
    ///
    /// # Errors
    /// [`ReferenceError::InexactTick`]; [`ReferenceError::OutOfRange`] beyond 28 digits.
    pub fn price_decimal(&self, price_ticks: PriceTicks) -> Result<Decimal, ReferenceError> {
        scaled(self.tick_size()?, price_ticks.into())
    }

    /// A quantity in lots as whole base units.
    ///
    /// # Errors
    /// [`ReferenceError::OutOfRange`] beyond 28 digits.
    pub fn quantity_decimal(&self, quantity_lots: i128) -> Result<Decimal, ReferenceError> {
        scaled(self.lot_size, quantity_lots)
    }

    /// A price in ticks, exactly.
    ///
    /// # Errors
    /// Off the tick, or outside 1 to `MAX_PRICE_TICKS`.
    pub fn price_ticks(&self, price: Decimal) -> Result<PriceTicks, ReferenceError> {
        units(price, self.tick_size()?, MAX_PRICE_TICKS, ReferenceError::NotOnTick)
    }

    /// A quantity in lots, exactly.
    ///
    /// # Errors
    /// Off the lot, or outside 1 to `MAX_QUANTITY_LOTS`.
    pub fn quantity_lots(&self, quantity: Decimal) -> Result<QuantityLots, ReferenceError> {
        units(quantity, self.lot_size, MAX_QUANTITY_LOTS, ReferenceError::NotOnLot)
    }
}

/// `quote_minor_per_tick_lot / 10^quote_scale` divided by `base_minor_per_lot / 10^base_scale`, if that is a finite
/// decimal.
fn tick_size(created: &CreateInstrument, base_scale: u8, quote_scale: u8) -> Option<Decimal> {
    let quote =
        Decimal::try_from_i128_with_scale(created.quote_minor_per_tick_lot.into(), quote_scale.into());
    let base = Decimal::try_from_i128_with_scale(created.base_minor_per_lot.into(), base_scale.into());
    let (quote, base) = (quote.ok()?.normalize(), base.ok()?.normalize());
    let tick = quote.checked_div(base)?.normalize();
    // Division rounds at 28 places; only what multiplies back is exact.
    (tick.checked_mul(base)? == quote && tick > Decimal::ZERO).then_some(tick)
}

fn scaled(unit: Decimal, count: i128) -> Result<Decimal, ReferenceError> {
    let product = unit.mantissa().checked_mul(count).ok_or(ReferenceError::OutOfRange)?;
    Decimal::try_from_i128_with_scale(product, unit.scale()).map_err(|_| ReferenceError::OutOfRange)
}

fn units(value: Decimal, unit: Decimal, most: i64, off: ReferenceError) -> Result<i64, ReferenceError> {
    if value <= Decimal::ZERO {
        return Err(ReferenceError::OutOfRange);
    }
    let value = value.normalize();
    if value.scale() > unit.scale() {
        return Err(off);
    }
    let widening = 10i128.checked_pow(unit.scale() - value.scale()).ok_or(ReferenceError::OutOfRange)?;
    let mantissa = value.mantissa().checked_mul(widening).ok_or(ReferenceError::OutOfRange)?;
    if mantissa % unit.mantissa() != 0 {
        return Err(off);
    }
    let count = i64::try_from(mantissa / unit.mantissa()).map_err(|_| ReferenceError::OutOfRange)?;
    if count > most { Err(ReferenceError::OutOfRange) } else { Ok(count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(quote_per_tick_lot: i64, base_per_lot: i64, base: u8, quote: u8) -> InstrumentReference {
        let name = Name::from_text("X").expect("valid");
        let created = CreateInstrument {
            quote_minor_per_tick_lot: quote_per_tick_lot,
            base_minor_per_lot: base_per_lot,
            instrument: 1,
            name,
            ..CreateInstrument::default()
        };
        let asset = |scale| AssetReference { name, scale };
        InstrumentReference::new(&created, asset(base), asset(quote))
    }

    fn decimal(text: &str) -> Decimal {
        Decimal::from_str_exact(text).expect("a decimal")
    }

    #[test]
    fn ticks_and_lots_convert_both_ways_exactly() {
        // Bitcoin in lots of 0.0001 at 8 places, dollars at 6: a tick of one cent is one micro-dollar per lot.
        let it = reference(1, 10_000, 8, 6);
        assert_eq!(it.tick_size(), Ok(decimal("0.01")));
        assert_eq!(it.lot_size(), decimal("0.0001"));
        assert_eq!(it.price_decimal(9_876_543), Ok(decimal("98765.43")));
        assert_eq!(it.price_ticks(decimal("98765.430")), Ok(9_876_543));
        assert_eq!(it.quantity_lots(decimal("1.5")), Ok(15_000));
        assert_eq!(it.quantity_decimal(15_000), Ok(decimal("1.5")));
        assert_eq!((it.price_decimals(), it.quantity_decimals()), (2, 4));
    }

    #[test]
    fn what_is_not_exact_is_refused() {
        let it = reference(25, 1, 0, 2);
        assert_eq!(it.tick_size(), Ok(decimal("0.25")));
        assert_eq!(it.price_ticks(decimal("10.10")), Err(ReferenceError::NotOnTick));
        assert_eq!(it.price_ticks(decimal("10.125")), Err(ReferenceError::NotOnTick));
        assert_eq!(it.quantity_lots(decimal("0.5")), Err(ReferenceError::NotOnLot));
        assert_eq!(it.price_ticks(Decimal::ZERO), Err(ReferenceError::OutOfRange));
        assert_eq!(it.price_ticks(decimal("-1")), Err(ReferenceError::OutOfRange));
        assert_eq!(it.price_ticks(Decimal::MAX), Err(ReferenceError::OutOfRange));
        assert_eq!(reference(1, 3, 0, 0).tick_size(), Err(ReferenceError::InexactTick));
    }

    #[test]
    fn extremes_of_the_documented_ranges_do_not_panic() {
        for (quote, base) in [(1, 1 << 40), (1 << 40, 1), (1 << 40, 1 << 40)] {
            for (base_scale, quote_scale) in [(0, 0), (0, 18), (18, 0), (18, 18)] {
                let it = reference(quote, base, base_scale, quote_scale);
                let _ = it.price_decimal(MAX_PRICE_TICKS);
                let _ = it.quantity_decimal(i128::MAX);
                let _ = it.price_ticks(Decimal::MAX);
            }
        }
    }
}
