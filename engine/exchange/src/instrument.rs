//! An instrument with its book.

use orderbook::Book;
use protocol::{CreateInstrument, MAX_FEE_PPM, MAX_PRICE_TICKS};
use wallet::BalanceSlot;

use crate::terms::Terms;

/// Most minor units per tick and lot, and per lot.
const MAX_UNIT: i64 = 1 << 40;

pub(crate) struct Instrument<B> {
    /// As it was created.
    pub(crate) created: CreateInstrument,
    pub(crate) terms: Terms,
    /// Where its fees go; none before its first order.
    pub(crate) fees: Option<BalanceSlot>,
    /// Resting day orders.
    pub(crate) day_orders: u32,
    pub(crate) book: B,
}

impl<B: Book> Instrument<B> {
    pub(crate) fn new(created: &CreateInstrument) -> Self {
        Self {
            created: *created,
            terms: Terms::new(created),
            fees: None,
            day_orders: 0,
            book: B::new(created),
        }
    }
}

/// Whether all fields but the ids are in their documented ranges.
pub(crate) fn has_valid_parameters(create: &CreateInstrument) -> bool {
    let levels = create.ladder_levels;
    (1..=MAX_UNIT).contains(&create.quote_minor_per_tick_lot)
        && (1..=MAX_UNIT).contains(&create.base_minor_per_lot)
        && (0..=MAX_PRICE_TICKS).contains(&create.reference_price_ticks)
        && create.base_asset != create.quote_asset
        && create.maker_fee_ppm <= MAX_FEE_PPM
        && create.taker_fee_ppm <= MAX_FEE_PPM
        && (levels == 0 || (levels.is_power_of_two() && (64..=65_536).contains(&levels)))
        && create.name.is_well_formed()
}
