//! What a projection of market data needs of the state, beyond what tools ask for: see [`crate::Exchange::orders`].

use orderbook::Book;
use protocol::{InstrumentId, OrderId, PriceTicks, QuantityLots, SetInstrumentRules, SetTickTable};

use crate::exchange::{Exchange, place};
use crate::instrument::Instrument;
use crate::special::leaves_of;

impl<B: Book> Exchange<B> {
    /// Every live order that is not plain, by slot, with all that is left of it, shown or not.
    pub fn extended_orders(&self) -> impl Iterator<Item = (OrderId, QuantityLots)> + '_ {
        let orders = self.table.iter().map(|(_, order)| order);
        let extended = orders.filter(|order| self.specials.of(order).is_some());
        extended.map(|order| (order.order_id, leaves_of(&self.table, order)))
    }

    /// An instrument's rules as they were set, all 0 where none were, with the reference price that counts now.
    #[must_use]
    pub fn rules(&self, instrument: InstrumentId) -> Option<SetInstrumentRules> {
        let state = &self.published(instrument)?.state;
        let reference_price_ticks = state.reference_ticks;
        Some(SetInstrumentRules { instrument, reference_price_ticks, ..*state.rules.set() })
    }

    /// An instrument's tick-size table; without rows where none was set.
    #[must_use]
    pub fn tick_table(&self, instrument: InstrumentId) -> Option<SetTickTable> {
        let state = &self.published(instrument)?.state;
        Some(SetTickTable { instrument, ..*state.rules.table() })
    }

    /// When an instrument's phase is to end by the operator's word or after a volatility auction, in nanoseconds since the
    /// Unix epoch; 0 for never.
    #[must_use]
    pub fn phase_until_ns(&self, instrument: InstrumentId) -> u64 {
        self.published(instrument).map_or(0, |entry| entry.state.until_ns)
    }

    /// The reference price that counts now; 0 for none.
    #[must_use]
    pub fn reference_price_ticks(&self, instrument: InstrumentId) -> PriceTicks {
        self.published(instrument).map_or(0, |entry| entry.state.reference_ticks)
    }

    fn published(&self, instrument: InstrumentId) -> Option<&Instrument<B>> {
        self.instruments.get(place(instrument)).and_then(Option::as_ref)
    }
}
