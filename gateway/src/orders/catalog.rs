//! Assets and instruments, and the way between decimals and ticks or lots. Exact, or an error.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use protocol::{
    AmountMinor, AssetCreated, AssetId, InstrumentCreated, InstrumentId, MAX_PRICE_TICKS, MAX_QUANTITY_LOTS,
    PriceTicks, QuantityLots,
};
use rust_decimal::Decimal;

use super::number::{Number, units};

/// What is known of an asset.
#[derive(Clone, Debug)]
pub struct Asset {
    /// Its code.
    pub name: String,
    /// Decimal places.
    pub scale: u8,
}

/// An instrument as FIX sees it.
#[derive(Clone, Debug)]
pub struct Instrument {
    /// Its id.
    pub id: InstrumentId,
    /// Tag 55.
    pub symbol: String,
    /// Price of one tick: units of the quote asset for one unit of the base asset.
    pub tick: Decimal,
    /// Units of the base asset in one lot.
    pub lot: Decimal,
    /// Code of the quote asset.
    pub quote_name: String,
    /// Decimal places of the quote asset.
    pub quote_scale: u8,
}

/// Why a decimal is no price or quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConversionError {
    /// Not a decimal, or with more digits than 28.
    NotADecimal,
    /// Not a whole number of ticks or lots.
    NotAMultiple,
    /// Beyond 64 bits.
    TooLarge,
}

impl Instrument {
    /// The price as a whole number of ticks.
    ///
    /// # Errors
    /// [`ConversionError`]
    pub fn ticks(&self, text: &[u8]) -> Result<PriceTicks, ConversionError> {
        units(text, self.tick)
    }

    /// The quantity as a whole number of lots.
    ///
    /// # Errors
    /// [`ConversionError`]
    pub fn lots(&self, text: &[u8]) -> Result<QuantityLots, ConversionError> {
        units(text, self.lot)
    }

    /// An amount of the quote asset as a whole number of its minor units.
    ///
    /// # Errors
    /// [`ConversionError`]
    pub fn quote_minor(&self, text: &[u8]) -> Result<AmountMinor, ConversionError> {
        units(text, Decimal::new(1, u32::from(self.quote_scale)))
    }

    /// A price in units of the quote asset.
    #[inline]
    #[must_use]
    pub fn price(&self, ticks: PriceTicks) -> Number {
        Number::product(ticks, self.tick)
    }

    /// A quantity in units of the base asset.
    #[inline]
    #[must_use]
    pub fn quantity(&self, lots: QuantityLots) -> Number {
        Number::product(lots, self.lot)
    }

    /// The average price of `lots` for which `tick_lots` (price times quantity) was paid, to eight places of a tick.
    #[must_use]
    pub fn average_price(&self, tick_lots: i128, lots: QuantityLots) -> Number {
        if lots == 0 {
            return Number::ZERO;
        }
        // Whoever traded at one price paid a whole number of ticks on average.
        if let Ok(sum) = i64::try_from(tick_lots)
            && sum.checked_rem(lots) == Some(0)
        {
            return self.price(sum / lots).normalize();
        }
        let sum = Decimal::try_from_i128_with_scale(tick_lots, 0).unwrap_or(Decimal::MAX);
        let ticks = (sum / Decimal::from(lots)).round_dp(8);
        Number::Large(ticks.checked_mul(self.tick).unwrap_or(Decimal::MAX).normalize())
    }
}

/// A whole number.
pub(super) fn whole(text: &[u8]) -> Result<i64, ConversionError> {
    units(text, Decimal::ONE)
}

/// A number of hundredths.
pub(super) fn hundredths(text: &[u8]) -> Result<i64, ConversionError> {
    units(text, Decimal::new(1, 2))
}

/// Whether every multiple of `unit` up to `highest` is a decimal of 96 bits.
fn fits(unit: Decimal, highest: i64) -> bool {
    let unit = unit.normalize();
    let largest = unit.mantissa().checked_mul(i128::from(highest));
    !unit.is_zero() && largest.is_some_and(|largest| largest < 1 << 96)
}

/// Everything that events have said about assets and instruments.
#[derive(Default)]
pub struct Catalog {
    pub(super) assets: HashMap<AssetId, Asset>,
    /// By id: the engine gives them in a row.
    pub(super) instruments: Vec<Option<Instrument>>,
    pub(super) by_symbol: HashMap<Vec<u8>, InstrumentId, RandomState>,
}

impl Catalog {
    /// An asset exists.
    pub fn on_asset(&mut self, event: &AssetCreated) {
        let asset = Asset { name: event.name.as_str().to_owned(), scale: event.scale };
        self.assets.insert(event.asset, asset);
    }

    /// An instrument exists. One whose tick is not a finite decimal (a lot that is no product of twos and fives), or
    /// whose highest price or quantity has more than 28 digits, cannot be traded over FIX and is left out.
    pub fn on_instrument(&mut self, event: &InstrumentCreated) {
        let created = &event.0;
        let base = self.assets.get(&created.base_asset);
        let Some((base, quote)) = base.zip(self.assets.get(&created.quote_asset)) else { return };
        let lot = Decimal::new(created.base_minor_per_lot, u32::from(base.scale)).normalize();
        let quote_unit = Decimal::new(created.quote_minor_per_tick_lot, u32::from(quote.scale));
        let Some(tick) = quote_unit.checked_div(lot) else { return };
        let exact = tick.checked_mul(lot) == Some(quote_unit);
        if !exact || !fits(tick, MAX_PRICE_TICKS) || !fits(lot, MAX_QUANTITY_LOTS) {
            return;
        }
        let instrument = Instrument {
            id: created.instrument,
            symbol: created.name.as_str().to_owned(),
            tick: tick.normalize(),
            lot,
            quote_name: quote.name.clone(),
            quote_scale: quote.scale,
        };
        self.by_symbol.insert(instrument.symbol.as_bytes().to_vec(), instrument.id);
        let at = instrument.id as usize;
        self.instruments.resize(self.instruments.len().max(at + 1), None);
        self.instruments[at] = Some(instrument);
    }

    /// The instrument with this symbol.
    #[must_use]
    pub fn by_symbol(&self, symbol: &[u8]) -> Option<&Instrument> {
        self.by_symbol.get(symbol).and_then(|&id| self.instrument(id))
    }

    /// The asset with this id.
    #[must_use]
    pub fn asset(&self, id: AssetId) -> Option<&Asset> {
        self.assets.get(&id)
    }

    /// The instrument with this id.
    #[must_use]
    pub fn instrument(&self, id: InstrumentId) -> Option<&Instrument> {
        self.instruments.get(id as usize)?.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use protocol::{CreateInstrument, Name};

    fn catalog(
        base_scale: u8,
        quote_scale: u8,
        base_minor_per_lot: i64,
        quote_minor_per_tick_lot: i64,
    ) -> Catalog {
        let mut catalog = Catalog::default();
        for (asset, scale, name) in [(1, base_scale, "BTC"), (2, quote_scale, "USD")] {
            let name = Name::from_text(name).unwrap();
            catalog.on_asset(&AssetCreated { asset, scale, name, ..AssetCreated::default() });
        }
        catalog.on_instrument(&InstrumentCreated(CreateInstrument {
            quote_minor_per_tick_lot,
            base_minor_per_lot,
            instrument: 1,
            base_asset: 1,
            quote_asset: 2,
            name: Name::from_text("BTC/USD").unwrap(),
            ..CreateInstrument::default()
        }));
        catalog
    }

    #[test]
    fn ticks_and_lots_are_exact_or_refused() {
        // 0.001 BTC a lot, one cent a BTC is a tick: 0.00001 USD for a tick and a lot.
        let catalog = catalog(8, 5, 100_000, 1);
        let it = catalog.by_symbol(b"BTC/USD").unwrap();
        assert_eq!((it.tick.to_string().as_str(), it.lot.to_string().as_str()), ("0.01", "0.001"));
        assert_eq!(it.ticks(b"65000.01"), Ok(6_500_001));
        assert_eq!(it.ticks(b"65000.010"), Ok(6_500_001));
        assert_eq!(it.ticks(b"0065000"), Ok(6_500_000));
        assert_eq!(it.ticks(b"65000.005"), Err(ConversionError::NotAMultiple));
        assert_eq!(it.lots(b".5"), Ok(500));
        assert_eq!(it.lots(b"-1"), Ok(-1000));
        assert_eq!(it.ticks(b"99999999999999999999"), Err(ConversionError::TooLarge));
        for bad in [
            "",
            ".",
            "1e5",
            "+1",
            "1_0",
            "99999999999999999999999999999999",
            "0.12345678901234567890123456789",
        ] {
            assert_eq!(it.ticks(bad.as_bytes()), Err(ConversionError::NotADecimal), "{bad}");
        }
        assert_eq!(it.price(6_500_001).to_string(), "65000.01");
        assert_eq!(it.average_price(6_500_000 * 2 + 6_500_001, 3).to_string(), "65000.0033333333");
    }

    #[test]
    fn an_instrument_with_an_endless_tick_is_left_out() {
        assert!(catalog(0, 0, 3, 1).by_symbol(b"BTC/USD").is_none());
        assert!(catalog(0, 0, 3, 6).by_symbol(b"BTC/USD").is_some());
    }

    proptest! {
        #[test]
        fn averages_are_those_of_decimals(price in 1i64..1 << 30, lots in 1i64..1 << 30, more in prop_oneof![Just(0i128), 0i128..1000], tick in 1i64..1000) {
            let catalog = catalog(8, 5, 100_000, tick);
            if let Some(it) = catalog.by_symbol(b"BTC/USD") {
                let sum = i128::from(price) * i128::from(lots) + more;
                let ticks = (Decimal::from(sum) / Decimal::from(lots)).round_dp(8);
                let expected = (ticks * it.tick).normalize();
                prop_assert_eq!(it.average_price(sum, lots).to_string(), expected.to_string());
            }
        }

        #[test]
        fn text_and_back(ticks in 1i64..=protocol::MAX_PRICE_TICKS, base in 0u8..=18, quote in 0u8..=18, lot in 0u32..12, unit in 0u32..12) {
            let catalog = catalog(base, quote, 10i64.pow(lot), 10i64.pow(unit));
            if let Some(it) = catalog.by_symbol(b"BTC/USD") {
                prop_assert_eq!(it.ticks(it.price(ticks).to_string().as_bytes()), Ok(ticks));
                prop_assert_eq!(it.lots(it.quantity(ticks).to_string().as_bytes()), Ok(ticks));
            }
        }
    }
}
