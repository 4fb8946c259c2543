//! Stops: waiting, following, being triggered.

use machine::{Context, EventBuffer};
use orderbook::Book;
use protocol::{
    CancelReason, ClientOrderId, InstrumentId, MAX_PRICE_TICKS, OrderTerms, OrderTriggered, PriceTicks, Side,
    TrailUnit, TriggerSource,
};

use crate::exchange::{Exchange, place};
use crate::instrument::Instrument;
use crate::settlement::Incoming;
use crate::special::Place;

const LAST_TRADE: u8 = TriggerSource::LastTrade.code();

/// The trigger that a stop begins with, or `None` if a trailing one has no price to follow.
pub(crate) fn first_trigger<B: Book>(
    instrument: &Instrument<B>,
    side: Side,
    terms: &OrderTerms,
) -> Option<PriceTicks> {
    if terms.trail == 0 {
        return Some(terms.trigger_price_ticks);
    }
    let followed = instrument.followed_price(terms.trigger, side)?;
    Some(trail_from(side, terms, followed))
}

/// Where a trailing stop's trigger is when the price followed is there.
fn trail_from(side: Side, terms: &OrderTerms, followed: PriceTicks) -> PriceTicks {
    let distance = if terms.trail == TrailUnit::BasisPoints.code() {
        (i128::from(followed) * i128::from(terms.offset) / 10_000).max(1) as i64
    } else {
        terms.offset
    };
    match side {
        Side::Buy => followed + distance,
        Side::Sell => followed - distance,
    }
    .clamp(1, MAX_PRICE_TICKS)
}

impl<B: Book> Exchange<B> {
    /// Puts an order into its queue of triggers.
    pub(crate) fn wait(&mut self, incoming: &Incoming) {
        let mut order = incoming.order;
        let slot = order.order_id.slot();
        let special = self.specials.at_mut(slot);
        special.set_place(Place::Waiting);
        special.hold_minor = incoming.hold_minor;
        let terms = special.terms;
        order.price_ticks = terms.trigger_price_ticks;
        order.side = incoming.side.opposite().code();
        self.count_open(incoming);
        *self.table.get_mut(slot).expect("an incoming order is in the table") = order;
        let instrument = self.instruments[place(order.instrument)].as_mut();
        let instrument = instrument.expect("an accepted order has an instrument");
        instrument.state.enlist(&order);
        instrument.state.waiting_orders += 1;
        if terms.trail != 0 {
            self.specials.join(&mut instrument.state.trailing, &self.table, slot);
        }
        instrument.triggers(terms.trigger).rest(&mut self.table, slot);
    }

    /// The stop that is triggered first; lets trailing stops follow if none is ("Settling", 4).
    pub(crate) fn next_triggered(&mut self, instrument: InstrumentId) -> Option<u32> {
        if self.instrument_at(instrument).state.waiting_orders == 0 {
            self.instrument_at_mut(instrument).state.forget_extremes();
            return None;
        }
        if let Some(slot) = self.triggered(instrument) {
            return Some(slot);
        }
        self.follow(instrument);
        self.instrument_at_mut(instrument).state.forget_extremes();
        self.triggered(instrument)
    }

    fn triggered(&self, instrument: InstrumentId) -> Option<u32> {
        let instrument = self.instrument_at(instrument);
        let state = &instrument.state;
        let front = |book: &B, side: Side| {
            let slot = book.front(side)?;
            self.table.get(slot).map(|order| (slot, order.price_ticks))
        };
        // Buys lie on the sell side of their queue: the lowest trigger is the first.
        let by_trade = state.last_ticks != 0;
        let last_buy = front(&instrument.last_triggers, Side::Sell);
        let last_sell = front(&instrument.last_triggers, Side::Buy);
        let best_buy = front(&instrument.best_triggers, Side::Sell);
        let best_sell = front(&instrument.best_triggers, Side::Buy);
        let ask = instrument.book.best(Side::Sell);
        let bid = instrument.book.best(Side::Buy);
        let first = last_buy.filter(|&(_, trigger)| by_trade && state.high_ticks >= trigger);
        let first =
            first.or_else(|| last_sell.filter(|&(_, trigger)| by_trade && state.low_ticks <= trigger));
        let first = first.or_else(|| best_buy.filter(|&(_, trigger)| ask.is_some_and(|ask| ask >= trigger)));
        let first = first.or_else(|| best_sell.filter(|&(_, trigger)| bid.is_some_and(|bid| bid <= trigger)));
        first.map(|(slot, _)| slot)
    }

    /// Moves the triggers of trailing stops with the prices they follow.
    fn follow(&mut self, instrument: InstrumentId) {
        let trailing = self.instrument_at(instrument).state.trailing;
        let mut next = self.specials.slots(&trailing).next();
        while let Some(slot) = next {
            next = self.specials.after(slot);
            let terms = self.specials.at(slot).terms;
            let of = self.instrument_at(instrument);
            let side = self.table.get(slot).expect("a waiting order is live").side().opposite();
            let (high, low) = (of.state.high_ticks, of.state.low_ticks);
            let followed = match (terms.trigger == LAST_TRADE, side) {
                (true, Side::Sell) => (high != 0).then_some(high),
                (true, Side::Buy) => (low != 0).then_some(low),
                (false, side) => of.book.best(side.opposite()),
            };
            let Some(followed) = followed else { continue };
            let trigger = trail_from(side, &terms, followed);
            let moves = match side {
                Side::Buy => trigger < terms.trigger_price_ticks,
                Side::Sell => trigger > terms.trigger_price_ticks,
            };
            if moves {
                self.set_trigger(slot, trigger);
            }
        }
    }

    /// Moves a waiting order to the end of another trigger price.
    pub(crate) fn set_trigger(&mut self, slot: u32, trigger_ticks: PriceTicks) {
        let order = *self.table.get(slot).expect("a waiting order is live");
        let special = self.specials.at_mut(slot);
        special.terms.trigger_price_ticks = trigger_ticks;
        let source = special.terms.trigger;
        let instrument = self.instruments[place(order.instrument)].as_mut();
        let book = instrument.expect("an accepted order has an instrument").triggers(source);
        book.unlink(&mut self.table, slot);
        self.table.get_mut(slot).expect("a waiting order is live").price_ticks = trigger_ticks;
        book.rest(&mut self.table, slot);
    }

    /// A stop is triggered: its pair goes, and it comes in.
    pub(crate) fn trigger(&mut self, context: &Context, slot: u32, events: &mut EventBuffer) {
        let peer = self.specials.part(slot);
        if self.table.find(peer).is_some() {
            let none = ClientOrderId::NONE;
            self.cancel_live(peer.slot(), CancelReason::OneCancelsOther, none, events);
        }
        let mut incoming = self.take_back(slot);
        let order_terms = &self.instrument_of(&incoming.order).terms;
        if peer != protocol::OrderId::NONE {
            let limit = incoming.limit.expect("a stop has a limit or a worst price");
            let hold = order_terms.hold_minor(incoming.side, limit, incoming.order.leaves_lots);
            let hold_minor = hold.expect("it was bounded when the order was accepted");
            let added = self.wallet.reserve(incoming.held(), hold_minor - incoming.hold_minor);
            added.expect("the pair's hold covered it");
            incoming.hold_minor = hold_minor;
        }
        incoming.order.price_ticks = incoming.limit.unwrap_or(0);
        events.push(&set_free(&incoming, false));
        self.come_in(context, incoming, 0, events);
    }
}

/// The event for an order that has become active.
pub(crate) fn set_free(incoming: &Incoming, waits: bool) -> OrderTriggered {
    OrderTriggered {
        order_id: incoming.order.order_id,
        price_ticks: incoming.limit.unwrap_or(0),
        leaves_lots: incoming.order.leaves_lots,
        hold_minor: incoming.hold_minor,
        account: incoming.order.account,
        instrument: incoming.order.instrument,
        side: incoming.side.code(),
        waits: u8::from(waits),
        reserved: [0; 6],
    }
}
