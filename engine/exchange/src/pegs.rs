//! Pegged orders: where they want to be.

use machine::{Context, EventBuffer};
use orderbook::Book;
use protocol::{InstrumentId, MAX_PRICE_TICKS, OrderRepriced, OrderTerms, PegReference, PriceTicks, Side};

use crate::exchange::Exchange;
use crate::instrument::Instrument;

/// The price that a pegged order wants, or `None` if what it follows is missing ("Terms", pegged).
pub(crate) fn target_of<B: Book>(
    instrument: &Instrument<B>,
    side: Side,
    terms: &OrderTerms,
    limit_ticks: PriceTicks,
) -> Option<PriceTicks> {
    let (bid, ask) = (instrument.book.best(Side::Buy), instrument.book.best(Side::Sell));
    let followed = match PegReference::from_code(terms.peg)? {
        PegReference::BestBid => bid?,
        PegReference::BestAsk => ask?,
        PegReference::Midpoint => match side {
            Side::Buy => (bid? + ask?) / 2,
            Side::Sell => (bid? + ask? + 1) / 2,
        },
    };
    let wanted = followed + terms.offset;
    let target = match side {
        Side::Buy => wanted.min(limit_ticks).min(ask.map_or(MAX_PRICE_TICKS, |ask| ask - 1)),
        Side::Sell => wanted.max(limit_ticks).max(bid.map_or(1, |bid| bid + 1)),
    };
    Some(target.clamp(1, MAX_PRICE_TICKS))
}

impl<B: Book> Exchange<B> {
    /// The pegged order of the lowest id that is not where it wants to be, and where that is.
    pub(crate) fn next_misplaced(&self, instrument: InstrumentId) -> Option<(u32, PriceTicks)> {
        let instrument = self.instrument_at(instrument);
        self.specials.slots(&instrument.state.pegged).find_map(|slot| {
            let order = self.table.get(slot).expect("a pegged order is live");
            let special = self.specials.at(slot);
            let target = target_of(instrument, order.side(), &special.terms, special.limit_ticks)?;
            (target != order.price_ticks).then_some((slot, target))
        })
    }

    /// Moves a pegged order; it comes in anew at its price.
    pub(crate) fn reprice(
        &mut self,
        context: &Context,
        slot: u32,
        target_ticks: PriceTicks,
        events: &mut EventBuffer,
    ) {
        let mut incoming = self.take_back(slot);
        incoming.order.price_ticks = target_ticks;
        incoming.limit = Some(target_ticks);
        events.push(&OrderRepriced {
            order_id: incoming.order.order_id,
            price_ticks: target_ticks,
            account: incoming.order.account,
            instrument: incoming.order.instrument,
            side: incoming.side.code(),
            reserved: [0; 7],
        });
        self.come_in(context, incoming, 0, events);
    }
}
