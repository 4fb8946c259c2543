//! An order meets the book: matching, bands, and what becomes of the rest.

use machine::{Context, EventBuffer};
use orderbook::{Book, Filled, MatchSink, Order, Stop, Taker, order_flags};
use protocol::{
    BandAction, CancelReason, ClientOrderId, InstrumentId, OrderType, Phase, PriceTicks, QuantityLots,
    SelfTradePrevention, Side, TimeInForce,
};

use crate::exchange::{Exchange, day_of, place};
use crate::makers::{Ahead, is_as_good, is_within};
use crate::settlement::{Incoming, Settlement, canceled, leave_hidden, position_of, shown};
use crate::special::{Place, flags, may_rest, side_of};

/// Why matching ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As the book says.
    Stopped(Stop),
    /// The next order that it could trade with is outside the price bands.
    Band,
}

impl<B: Book> Exchange<B> {
    /// Brings an order that is accepted and in the table to its instrument: it trades what it can, and the rest of it
    /// rests or ends.
    pub(crate) fn come_in(
        &mut self,
        context: &Context,
        mut incoming: Incoming,
        minimum_lots: QuantityLots,
        events: &mut EventBuffer,
    ) {
        let state = &self.instrument_of(&incoming.order).state;
        if state.phase != Phase::Continuous {
            return self.rest(&incoming, events);
        }
        let time_in_force = incoming.order.time_in_force;
        let all_or_none = self.specials.of(&incoming.order).is_some_and(|special| special.is_all_or_none());
        let fill_or_kill = time_in_force == TimeInForce::FillOrKill.code();
        let leaves_lots = incoming.order.leaves_lots;
        let needed_lots = if all_or_none || fill_or_kill { leaves_lots } else { minimum_lots };
        if needed_lots > 0 && self.available(&incoming, leaves_lots) < needed_lots {
            if all_or_none {
                return self.rest(&incoming, events);
            }
            let reason = if fill_or_kill { CancelReason::FillOrKill } else { CancelReason::MinimumQuantity };
            return self.end_incoming(&incoming, reason, events);
        }
        let outcome = self.match_incoming(context, &mut incoming, events);
        self.after_match(context, &incoming, outcome, events);
    }

    fn after_match(
        &mut self,
        context: &Context,
        incoming: &Incoming,
        outcome: Outcome,
        events: &mut EventBuffer,
    ) {
        let order_type =
            self.specials.of(&incoming.order).map_or(OrderType::Limit.code(), |it| it.order_type);
        // A market order for an auction rests there at its worst price, and may come back from there.
        let is_market = incoming.limit.is_none() || order_type == OrderType::Stop.code();
        let rests = !is_market && may_rest(incoming.order.time_in_force);
        match outcome {
            Outcome::Stopped(Stop::Done) => self.end_filled(incoming),
            Outcome::Stopped(Stop::NoLiquidity | Stop::LimitPrice) if rests => self.rest(incoming, events),
            Outcome::Stopped(stop) => self.end_incoming(incoming, reason_of(stop), events),
            Outcome::Band => self.meet_band(context, incoming, rests, events),
        }
    }

    /// The next trade would be outside the price bands.
    fn meet_band(&mut self, context: &Context, incoming: &Incoming, rests: bool, events: &mut EventBuffer) {
        let state = &self.instrument_of(&incoming.order).state;
        let begins_auction = state.band_action() == BandAction::Auction;
        if rests && begins_auction {
            self.rest(incoming, events);
        } else {
            self.end_incoming(incoming, CancelReason::PriceBand, events);
        }
        if begins_auction {
            self.begin_volatility_auction(context, incoming.order.instrument, events);
        }
    }

    fn available(&self, incoming: &Incoming, wanted_lots: QuantityLots) -> QuantityLots {
        let instrument = self.instrument_of(&incoming.order);
        if self.meets_band_at_once(incoming, wanted_lots) {
            return 0;
        }
        let limit = within_bands(incoming.limit, instrument.state.bands(), incoming.side);
        let taker = self.taker_of(incoming, limit, self.fill_budget);
        Ahead { instrument, table: &self.table, specials: &self.specials }.available(&taker, wanted_lots)
    }

    /// Whether an all-or-none order could be filled in full now.
    pub(crate) fn could_fill(&self, incoming: &Incoming) -> bool {
        let lots = incoming.order.leaves_lots;
        self.available(incoming, lots) == lots
    }

    /// Matches an order that is in the table but in no queue, and settles its fills.
    pub(crate) fn match_incoming(
        &mut self,
        context: &Context,
        incoming: &mut Incoming,
        events: &mut EventBuffer,
    ) -> Outcome {
        if self.meets_band_at_once(incoming, incoming.order.leaves_lots) {
            return Outcome::Band;
        }
        let state = &self.instrument_of(&incoming.order).state;
        let limit = within_bands(incoming.limit, state.bands(), incoming.side);
        let is_clamped = limit != incoming.limit;
        let stop = if state.hidden_orders == 0 {
            self.match_shown(context, incoming, limit, events)
        } else {
            self.match_both(context, incoming, limit, events)
        };
        let out_of_reach = matches!(stop, Stop::NoLiquidity | Stop::LimitPrice);
        if is_clamped && out_of_reach && self.next_met(incoming, incoming.order.leaves_lots).is_some() {
            return Outcome::Band;
        }
        Outcome::Stopped(stop)
    }

    /// Whether the first order that an incoming one would trade with is outside the bands, be it too good a price.
    fn meets_band_at_once(&self, incoming: &Incoming, lots: QuantityLots) -> bool {
        let Some((low, high)) = self.instrument_of(&incoming.order).state.bands() else { return false };
        self.next_met(incoming, lots).is_some_and(|price_ticks| !(low..=high).contains(&price_ticks))
    }

    /// Price of the next order within an incoming order's own limit that it could trade `lots` with.
    fn next_met(&self, incoming: &Incoming, lots: QuantityLots) -> Option<PriceTicks> {
        let side = incoming.side.opposite();
        let instrument = self.instrument_of(&incoming.order);
        let ahead = Ahead { instrument, table: &self.table, specials: &self.specials };
        let counts = |order: &Order| {
            !self.specials.at(order.order_id.slot()).is_all_or_none() || order.leaves_lots <= lots
        };
        ahead.best(side, counts).filter(|&best| is_within(side, best, incoming.limit))
    }

    /// Whether an order of this side and limit would meet anybody in the shown book.
    #[inline]
    pub(crate) fn meets_shown(
        &self,
        instrument: InstrumentId,
        side: Side,
        limit: Option<PriceTicks>,
    ) -> bool {
        let makers = side.opposite();
        let best = self.instrument_at(instrument).book.best(makers);
        best.is_some_and(|best| is_within(makers, best, limit))
    }

    /// Matches against the shown book alone.
    #[inline]
    pub(crate) fn match_shown(
        &mut self,
        context: &Context,
        incoming: &mut Incoming,
        limit: Option<PriceTicks>,
        events: &mut EventBuffer,
    ) -> Stop {
        let makers = incoming.side.opposite();
        // Most orders meet nobody: for them nothing needs to be set up.
        match self.instrument_of(&incoming.order).book.best(makers) {
            None => return Stop::NoLiquidity,
            Some(best) if !is_within(makers, best, limit) => return Stop::LimitPrice,
            Some(_) => {}
        }
        let taker = self.taker_of(incoming, limit, self.fill_budget);
        let (mut sink, table, book, _) = self.settlement(context, incoming, events);
        let execution = book.execute(table, &taker, &mut sink);
        let fills = sink.fills;
        debug_assert_eq!(execution.remaining_lots, incoming.order.leaves_lots);
        self.steps += fills;
        execution.stop
    }

    /// Matches against both books, price by price, the shown orders of a price first.
    fn match_both(
        &mut self,
        context: &Context,
        incoming: &mut Incoming,
        limit: Option<PriceTicks>,
        events: &mut EventBuffer,
    ) -> Stop {
        let side = incoming.side.opposite();
        let mut fills_left = self.fill_budget;
        loop {
            let instrument = self.instrument_of(&incoming.order);
            let ahead = Ahead { instrument, table: &self.table, specials: &self.specials };
            let hidden = ahead.hidden_front(side, incoming.order.leaves_lots).copied();
            let hidden = hidden.filter(|order| is_within(side, order.price_ticks, limit));
            let shown = instrument.book.best(side).filter(|&best| is_within(side, best, limit));
            let shown_first = match (shown, &hidden) {
                (Some(best), Some(hidden)) => is_as_good(side, best, hidden.price_ticks),
                (shown, _) => shown.is_some(),
            };
            if shown_first {
                let until = hidden.map_or(limit, |hidden| Some(hidden.price_ticks));
                let (stop, fills) = self.match_level(context, incoming, until, fills_left, events);
                fills_left -= fills;
                if !matches!(stop, Stop::NoLiquidity | Stop::LimitPrice) {
                    return stop;
                }
                continue;
            }
            let Some(maker) = hidden else {
                return if shown.is_some() { Stop::LimitPrice } else { Stop::NoLiquidity };
            };
            if fills_left == 0 {
                return Stop::FillLimit;
            }
            fills_left -= 1;
            if let Some(stop) = self.meet_hidden(context, incoming, &maker, events) {
                return stop;
            }
        }
    }

    fn match_level(
        &mut self,
        context: &Context,
        incoming: &mut Incoming,
        limit: Option<PriceTicks>,
        max_fills: u32,
        events: &mut EventBuffer,
    ) -> (Stop, u32) {
        let taker = self.taker_of(incoming, limit, max_fills);
        let (mut sink, table, book, _) = self.settlement(context, incoming, events);
        let execution = book.execute(table, &taker, &mut sink);
        let fills = sink.fills;
        self.steps += fills;
        (execution.stop, fills)
    }

    /// An incoming order meets a hidden one; the result ends the match.
    fn meet_hidden(
        &mut self,
        context: &Context,
        incoming: &mut Incoming,
        maker: &Order,
        events: &mut EventBuffer,
    ) -> Option<Stop> {
        let slot = maker.order_id.slot();
        let lots = maker.leaves_lots.min(incoming.order.leaves_lots);
        let prevention = Some(self.prevention_of(&incoming.order));
        let prevention = prevention.filter(|_| maker.account == incoming.order.account);
        if prevention == Some(SelfTradePrevention::CancelNewest) {
            return Some(Stop::SelfTrade);
        }
        self.steps += 1;
        let (mut sink, table, _, hidden) = self.settlement(context, incoming, events);
        match prevention {
            Some(mode @ (SelfTradePrevention::CancelOldest | SelfTradePrevention::CancelBoth)) => {
                hidden.unlink(table, slot);
                sink.on_self_trade_canceled(maker, 0);
                table.remove(slot);
                return (mode == SelfTradePrevention::CancelBoth).then_some(Stop::SelfTrade);
            }
            Some(SelfTradePrevention::DecrementAndCancel) => {
                let mut after = *maker;
                after.leaves_lots -= lots;
                if after.leaves_lots == 0 {
                    hidden.unlink(table, slot);
                } else {
                    hidden.reduce(table, slot, after.leaves_lots);
                }
                sink.on_decrement(&mut after, lots, 0);
                if after.leaves_lots == 0 {
                    table.remove(slot);
                }
            }
            Some(SelfTradePrevention::Allow | SelfTradePrevention::CancelNewest) | None => {
                let filled = hidden.fill(table, slot, lots);
                let mut after = *table.get(slot).expect("a hidden order is live until it is removed");
                sink.on_fill(&mut after, lots, 0);
                if filled == Filled::Gone {
                    table.remove(slot);
                }
            }
        }
        (incoming.order.leaves_lots == 0).then_some(Stop::Done)
    }

    /// What settles the fills of an incoming order, with the table and the two books it may meet.
    #[inline]
    pub(crate) fn settlement<'a>(
        &'a mut self,
        context: &Context,
        incoming: &'a mut Incoming,
        events: &'a mut EventBuffer,
    ) -> (Settlement<'a>, &'a mut orderbook::OrderTable, &'a mut B, &'a mut B) {
        let instrument = self.instruments[place(incoming.order.instrument)].as_mut();
        let instrument = instrument.expect("an accepted order has an instrument");
        let sink = Settlement {
            wallet: &mut self.wallet,
            clients: &mut self.clients,
            positions: &mut self.positions,
            specials: &mut self.specials,
            volumes: &mut self.volumes,
            trades: &mut self.trades,
            accounts: &self.accounts,
            events,
            next_trade_id: &mut self.next_trade_id,
            state: &mut instrument.state,
            terms: &instrument.terms,
            created: &instrument.created,
            fees: instrument.fees.expect("an instrument with an accepted order has a place for fees"),
            day: day_of(context),
            fills: 0,
            taker: incoming,
        };
        (sink, &mut self.table, &mut instrument.book, &mut instrument.hidden)
    }
}

/// What an order is to the book.
impl<B: Book> Exchange<B> {
    #[inline]
    pub(crate) fn taker_of(&self, incoming: &Incoming, limit: Option<PriceTicks>, max_fills: u32) -> Taker {
        let order = &incoming.order;
        Taker {
            account: order.account,
            side: incoming.side,
            limit,
            quantity_lots: order.leaves_lots,
            self_trade_prevention: self.prevention_of(order),
            max_fills,
        }
    }

    /// The mode that counts for an order: its own or, where that allows everything, its account's.
    #[inline]
    pub(crate) fn prevention_of(&self, order: &Order) -> SelfTradePrevention {
        let own = SelfTradePrevention::from_code(order.self_trade_prevention);
        let own = own.expect("it was checked when the order was accepted");
        if own != SelfTradePrevention::Allow || self.accounts.is_plain(order.account) {
            return own;
        }
        let code = self.accounts.get(order.account).self_trade_prevention;
        SelfTradePrevention::from_code(code).unwrap_or(own)
    }
}

/// Resting and ending.
impl<B: Book> Exchange<B> {
    /// Puts what is left of an incoming order into its book. It is in the table already.
    pub(crate) fn rest(&mut self, incoming: &Incoming, events: &mut EventBuffer) {
        if incoming.is_extended() {
            return self.rest_extended(incoming, events);
        }
        self.rest_plain(incoming);
    }

    #[inline]
    pub(crate) fn rest_plain(&mut self, incoming: &Incoming) {
        let order = &incoming.order;
        let slot = order.order_id.slot();
        let position = self.positions.at_mut(incoming.position);
        *position.open_lots_mut(incoming.side) += order.leaves_lots;
        position.open_orders += 1;
        let instrument = self.instruments[place(order.instrument)].as_mut();
        let instrument = instrument.expect("an accepted order has an instrument");
        // The table has the order already: only what matching or a replace may have changed is written. A copy of the
        // whole line would wait for all the small stores that have just made it.
        let kept = self.table.get_mut(slot).expect("an incoming order is in the table");
        kept.price_ticks = order.price_ticks;
        kept.leaves_lots = order.leaves_lots;
        kept.filled_lots = order.filled_lots;
        kept.client_index = order.client_index;
        instrument.state.enlist(order);
        instrument.book.rest(&mut self.table, slot);
    }

    fn rest_extended(&mut self, incoming: &Incoming, events: &mut EventBuffer) {
        let mut order = incoming.order;
        let slot = order.order_id.slot();
        let special = self.specials.at_mut(slot);
        special.set_place(Place::Active);
        special.hold_minor = incoming.hold_minor;
        let (is_hidden, is_all_or_none) = (special.is_hidden(), special.is_all_or_none());
        let is_pegged = special.terms.peg != 0;
        if special.terms.peg == 0 {
            order.price_ticks = special.limit_ticks;
        }
        let terms = special.terms;
        let position = self.positions.at_mut(incoming.position);
        *position.open_lots_mut(incoming.side) += order.leaves_lots;
        position.open_orders += 1;
        let instrument = self.instruments[place(order.instrument)].as_mut();
        let instrument = instrument.expect("an accepted order has an instrument");
        order.flags &= !order_flags::RESERVE;
        if (1..order.leaves_lots).contains(&terms.display_lots) {
            let variation_lots = i64::from(terms.display_variation_lots);
            self.table.set_reserve(
                slot,
                orderbook::Reserve {
                    lots: order.leaves_lots - terms.display_lots,
                    least_lots: terms.display_lots - variation_lots,
                    most_lots: terms.display_lots + variation_lots,
                    random: instrument.state.rules.set().seed ^ order.order_id.0,
                },
            );
            order.leaves_lots = terms.display_lots;
            order.flags |= order_flags::RESERVE;
        }
        *self.table.get_mut(slot).expect("an incoming order is in the table") = order;
        instrument.state.enlist(&order);
        if !is_hidden {
            instrument.book.rest(&mut self.table, slot);
            return events.push(&shown(&order));
        }
        instrument.hidden.rest(&mut self.table, slot);
        instrument.state.hidden_orders += 1;
        instrument.state.all_or_none_orders += u32::from(is_all_or_none);
        if is_pegged {
            self.specials.join(&mut instrument.state.pegged, &self.table, slot);
        }
    }

    /// Forgets an incoming order that has been filled.
    #[inline]
    pub(crate) fn end_filled(&mut self, incoming: &Incoming) {
        debug_assert!(incoming.hold_minor >= 0 && incoming.order.leaves_lots == 0);
        if incoming.hold_minor > 0 {
            // A market buy's hold is what the book would have cost; what it did not need is free.
            self.wallet.release(incoming.held(), incoming.hold_minor);
        }
        // What self-trade prevention took away is not filled.
        self.forget(incoming, !incoming.is_decremented);
    }

    /// Ends an incoming order that does not rest.
    #[inline]
    pub(crate) fn end_incoming(
        &mut self,
        incoming: &Incoming,
        reason: CancelReason,
        events: &mut EventBuffer,
    ) {
        self.wallet.release(incoming.held(), incoming.hold_minor);
        self.forget(incoming, false);
        let none = ClientOrderId::NONE;
        events.push(&canceled(&incoming.order, incoming.side, incoming.hold_minor, reason, none));
    }

    #[inline]
    fn forget(&mut self, incoming: &Incoming, filled: bool) {
        let order = &incoming.order;
        let slot = order.order_id.slot();
        self.clients.end(order.client_index, slot, order.account);
        if incoming.is_extended() {
            let special = self.specials.at_mut(slot);
            special.hold_minor = 0;
            self.specials.has_ended(order, filled);
        }
        self.table.remove(slot);
    }

    /// Takes a live order out of wherever it is, ready to come in again or to end. What counts it as open is undone; its
    /// id stays indexed, its hold stays held.
    pub(crate) fn take_back(&mut self, slot: u32) -> Incoming {
        let mut order = *self.table.get(slot).expect("a live order is in the table");
        let special = self.specials.of(&order).copied();
        let place_now = special.map_or(Place::Active, |special| special.place());
        let side = side_of(&order, special.as_ref());
        let instrument = self.instruments[place(order.instrument)].as_mut();
        let instrument = instrument.expect("a live order has an instrument");
        let is_hidden = special.is_some_and(|special| special.is_hidden());
        match place_now {
            Place::Active if is_hidden => {
                instrument.hidden.unlink(&mut self.table, slot);
                leave_hidden(&mut instrument.state, &mut self.specials, &order);
            }
            Place::Active => {
                order.leaves_lots = crate::special::leaves_of(&self.table, &order);
                order.flags &= !order_flags::RESERVE;
                instrument.book.unlink(&mut self.table, slot);
            }
            Place::Waiting => {
                let terms = self.specials.at(slot).terms;
                instrument.triggers(terms.trigger).unlink(&mut self.table, slot);
                instrument.state.waiting_orders -= 1;
                if terms.trail != 0 {
                    self.specials.take_out(&mut instrument.state.trailing, slot);
                }
            }
            Place::Parked => self.specials.take_out(&mut instrument.state.parked, slot),
            Place::Inactive => {}
        }
        instrument.state.delist(&order);
        order.side = side.code();
        self.specials_place_active(&order);
        let position = position_of(&order);
        let entry = self.positions.at_mut(position);
        entry.open_orders -= 1;
        if place_now != Place::Inactive {
            *entry.open_lots_mut(side) -= order.leaves_lots;
        }
        let (base, quote) = (entry.base, entry.quote);
        let price_ticks = order.price_ticks;
        let (limit_ticks, hold_minor) = match &special {
            Some(special) => (special.limit_ticks, special.hold_minor),
            None => {
                let terms = &self.instrument_of(&order).terms;
                let hold = crate::settlement::hold_of(terms, side, price_ticks, order.leaves_lots);
                (price_ticks, hold)
            }
        };
        let limit = (limit_ticks != 0).then_some(limit_ticks);
        // The table's copy must say the same: whoever reads it next knows no queue.
        *self.table.get_mut(slot).expect("a live order is in the table") = order;
        Incoming {
            order,
            position,
            base,
            quote,
            side,
            limit,
            hold_minor,
            hold_ticks: limit,
            is_decremented: false,
        }
    }

    /// A live order that rests as an incoming one, without taking it out of its book.
    pub(crate) fn as_incoming(&self, order: &Order) -> Incoming {
        let position = position_of(order);
        let row = self.positions.at(position);
        let special = self.specials.of(order);
        let limit = Some(special.map_or(order.price_ticks, |special| special.limit_ticks));
        Incoming {
            order: *order,
            position,
            base: row.base,
            quote: row.quote,
            side: order.side(),
            limit,
            hold_minor: special.map_or(0, |special| special.hold_minor),
            hold_ticks: limit,
            is_decremented: false,
        }
    }

    fn specials_place_active(&mut self, order: &Order) {
        if order.flags & flags::EXTENDED != 0 {
            self.specials.at_mut(order.order_id.slot()).set_place(Place::Active);
        }
    }

    /// Ends a live order, wherever it is.
    pub(crate) fn cancel_live(
        &mut self,
        slot: u32,
        reason: CancelReason,
        client_order_id: ClientOrderId,
        events: &mut EventBuffer,
    ) {
        let incoming = self.take_back(slot);
        self.wallet.release(incoming.held(), incoming.hold_minor);
        self.forget(&incoming, false);
        events.push(&canceled(&incoming.order, incoming.side, incoming.hold_minor, reason, client_order_id));
    }
}

/// A limit no worse than the price bands.
fn within_bands(
    limit: Option<PriceTicks>,
    bands: Option<(PriceTicks, PriceTicks)>,
    side: Side,
) -> Option<PriceTicks> {
    let Some((low, high)) = bands else { return limit };
    Some(match side {
        Side::Buy => limit.map_or(high, |limit| limit.min(high)),
        Side::Sell => limit.map_or(low, |limit| limit.max(low)),
    })
}

/// Why the remainder of an order that may not rest is cancelled.
pub(crate) fn reason_of(stop: Stop) -> CancelReason {
    match stop {
        Stop::SelfTrade => CancelReason::SelfTrade,
        Stop::FillLimit => CancelReason::FillLimit,
        Stop::Done | Stop::NoLiquidity | Stop::LimitPrice => CancelReason::ImmediateOrCancel,
    }
}
