//! Trading phases, timetables and auctions.

use machine::{Context, EventBuffer};
use orderbook::{Book, Filled, Order};
use protocol::{
    AuctionIndicative, AuctionUncrossed, InstrumentId, Phase, PhaseChanged, PriceTicks, QuantityLots,
    RejectReason, SetPhase, SetTimetable, Side, TimetableSet,
};

use crate::auction::{Equilibrium, equilibrium};
use crate::charges::Payer;
use crate::exchange::{Exchange, place};
use crate::instrument::{State, Uncross, ending};
use crate::makers::{makers, offers};
use crate::settlement::{Deal, position_of, shown};
use crate::special::leaves_of;
use crate::timetable::Timetable;
use crate::triggers::set_free;

impl<B: Book> Exchange<B> {
    pub(crate) fn set_phase(
        &mut self,
        context: &Context,
        command: &SetPhase,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        let SetPhase { until_ns, instrument, phase, .. } = *command;
        if !self.has_instrument(instrument) {
            return Err(RejectReason::UnknownInstrument);
        }
        if until_ns != 0 && until_ns <= context.timestamp_ns {
            return Err(RejectReason::InvalidParameter);
        }
        if self.instrument_at(instrument).state.uncross.is_some() {
            return Err(RejectReason::WrongPhase);
        }
        let phase = Phase::from_code(phase).ok_or(RejectReason::Malformed)?;
        self.steps += 1;
        self.change_phase(instrument, phase, until_ns, false, events);
        self.settle(context, instrument, events);
        Ok(())
    }

    pub(crate) fn set_timetable(
        &mut self,
        context: &Context,
        command: &SetTimetable,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        if !self.has_instrument(command.instrument) {
            return Err(RejectReason::UnknownInstrument);
        }
        if !Timetable::is_valid(command) {
            return Err(RejectReason::InvalidParameter);
        }
        self.instrument_at_mut(command.instrument).state.timetable = Some(Timetable::new(command));
        self.set_timer(command.instrument);
        events.push(&TimetableSet(*command));
        self.settle(context, command.instrument, events);
        Ok(())
    }

    /// Puts an instrument into the heap of timers as its timetable and phase say.
    pub(crate) fn set_timer(&mut self, instrument: InstrumentId) {
        let timer = State::timer_id(place(instrument));
        let next = self.instrument_at(instrument).state.next_phase();
        if self.instrument_at(instrument).state.has_timer {
            self.phase_timers.remove(timer);
        }
        self.instrument_at_mut(instrument).state.has_timer = next.is_some();
        if let Some((time_ns, _, _)) = next {
            self.phase_timers.insert(timer, time_ns);
        }
        self.refresh_due();
    }

    /// What an instrument's timer was set for.
    pub(crate) fn phase_due(
        &mut self,
        context: &Context,
        instrument: InstrumentId,
        events: &mut EventBuffer,
    ) {
        let now_ns = context.timestamp_ns;
        let state = &mut self.instrument_at_mut(instrument).state;
        let Some((_, phase, by_timetable)) = state.next_phase() else { return };
        if by_timetable {
            if let Some(timetable) = &mut state.timetable {
                timetable.advance(now_ns);
            }
            // The operator's halt outlasts the timetable, and an uncross at work is not overtaken.
            if state.phase != Phase::Halted && state.phase != phase {
                self.change_phase(instrument, phase, 0, true, events);
            }
        } else {
            state.until_ns = 0;
            if state.phase != phase {
                self.change_phase(instrument, phase, 0, false, events);
            }
        }
        self.set_timer(instrument);
        self.leave_unfinished(instrument);
    }

    /// Interrupts continuous trading where a price band was met.
    pub(crate) fn begin_volatility_auction(
        &mut self,
        context: &Context,
        instrument: InstrumentId,
        events: &mut EventBuffer,
    ) {
        let rules = &self.instrument_at(instrument).state.rules;
        let nominal_ns = context.timestamp_ns.saturating_add(rules.set().volatility_auction_ns);
        let until_ns = nominal_ns.saturating_add(rules.random_end(nominal_ns));
        self.steps += 1;
        self.change_phase(instrument, Phase::VolatilityAuction, until_ns, false, events);
    }

    /// Enters a phase; first the auction before it trades.
    fn change_phase(
        &mut self,
        instrument: InstrumentId,
        target: Phase,
        until_ns: u64,
        by_timetable: bool,
        events: &mut EventBuffer,
    ) {
        let state = &self.instrument_at(instrument).state;
        let uncrosses = match target {
            Phase::Continuous => state.phase != Phase::Continuous,
            Phase::Closed => state.phase.is_auction(),
            _ => false,
        };
        let found = if uncrosses { self.equilibrium(instrument) } else { None };
        let Some(found) = found else {
            return self.enter_phase(instrument, target, until_ns, by_timetable, events);
        };
        events.push(&AuctionUncrossed {
            price_ticks: found.price_ticks,
            paired_lots: found.paired_lots,
            imbalance_lots: found.imbalance_lots,
            instrument,
            reserved: 0,
        });
        let state = &mut self.instrument_at_mut(instrument).state;
        state.uncross = Some(Uncross { price_ticks: found.price_ticks, target, until_ns, by_timetable });
        // Whatever was set for the phase that ends here is void.
        state.until_ns = 0;
        self.set_timer(instrument);
    }

    fn enter_phase(
        &mut self,
        instrument: InstrumentId,
        target: Phase,
        until_ns: u64,
        by_timetable: bool,
        events: &mut EventBuffer,
    ) {
        let applied_sequence = self.applied_sequence;
        let state = &mut self.instrument_at_mut(instrument).state;
        let previous = core::mem::replace(&mut state.phase, target);
        state.until_ns = until_ns;
        if target != previous {
            state.indicative = None;
        }
        let mut ends = [false; 3];
        let is_closed = target == Phase::Closed;
        ends[ending::OPENING] = (is_closed || target == Phase::Continuous) && state.opening_orders > 0;
        ends[ending::CLOSING] = is_closed && state.closing_orders > 0;
        ends[ending::DAY] = is_closed && by_timetable && state.day_orders > 0;
        for (sequence, _) in state.ending.iter_mut().zip(ends).filter(|(_, ends)| *ends) {
            *sequence = applied_sequence;
        }
        events.push(&PhaseChanged {
            until_ns,
            reference_price_ticks: state.reference_ticks,
            instrument,
            phase: target.code(),
            previous: previous.code(),
            reserved: [0; 10],
        });
        if ends.contains(&true) {
            self.sweeps.begin_session();
        }
        self.set_timer(instrument);
    }

    /// The first order that waits for the close joins its auction.
    pub(crate) fn join_closing(&mut self, instrument: InstrumentId, events: &mut EventBuffer) {
        let parked = self.instrument_at(instrument).state.parked;
        let slot = self.specials.slots(&parked).next().expect("an order waits for the close");
        self.steps += 1;
        let mut incoming = self.take_back(slot);
        incoming.order.price_ticks = incoming.limit.unwrap_or(0);
        events.push(&set_free(&incoming, false));
        self.rest(&incoming, events);
    }

    /// What an instrument's auction would come to: shown and hidden orders with their reserves, pegged and all-or-none
    /// ones aside.
    fn equilibrium(&self, instrument: InstrumentId) -> Option<Equilibrium> {
        let of = self.instrument_at(instrument);
        if of.state.hidden_orders == 0 && !of.book.is_crossed() {
            return None;
        }
        // Price by price, not order by order: they are gone through some hundred times.
        let on = |side: Side| offers(of, &self.table, side, |order| self.takes_part(order));
        let allowed = |best, first, last| of.state.rules.nearest_on_tick(best, first, last);
        equilibrium(|| on(Side::Buy), || on(Side::Sell), of.state.reference_ticks, allowed)
    }

    /// Whether an order takes part in auctions.
    fn takes_part(&self, order: &Order) -> bool {
        let special = self.specials.of(order);
        special.is_none_or(|special| special.terms.peg == 0 && !special.is_all_or_none())
    }

    /// Trades one pair of an auction, or ends it.
    pub(crate) fn uncross_one(
        &mut self,
        context: &Context,
        instrument: InstrumentId,
        events: &mut EventBuffer,
    ) {
        let state = &self.instrument_at(instrument).state;
        let Some(uncross) = state.uncross else { return };
        let price_ticks = uncross.price_ticks;
        let front = |side: Side| {
            let of = self.instrument_at(instrument);
            let mut all = makers(of, &self.table, side).filter(|maker| self.takes_part(maker.order));
            let first = all.next().map(|maker| (*maker.order, maker.is_hidden));
            first.filter(|(order, _)| match side {
                Side::Buy => order.price_ticks >= price_ticks,
                Side::Sell => order.price_ticks <= price_ticks,
            })
        };
        if let (Some(buy), Some(sell)) = (front(Side::Buy), front(Side::Sell)) {
            self.steps += 1;
            self.trade_pair(context, price_ticks, buy, sell, events);
            return;
        }
        let state = &mut self.instrument_at_mut(instrument).state;
        state.uncross = None;
        state.reference_ticks = price_ticks;
        let Uncross { target, until_ns, by_timetable, .. } = uncross;
        self.enter_phase(instrument, target, until_ns, by_timetable, events);
    }

    /// Two resting orders trade at the auction's price.
    fn trade_pair(
        &mut self,
        context: &Context,
        price_ticks: PriceTicks,
        (buy, buy_hidden): (Order, bool),
        (sell, sell_hidden): (Order, bool),
        events: &mut EventBuffer,
    ) {
        let quantity_lots = buy.leaves_lots.min(sell.leaves_lots);
        let buy = self.fill_in_auction(&buy, buy_hidden, quantity_lots);
        let sell = self.fill_in_auction(&sell, sell_hidden, quantity_lots);
        // The settlement wants an incoming order; the one that is younger stands for it.
        let taker_side = if buy.order.order_id < sell.order.order_id { Side::Sell } else { Side::Buy };
        let (maker, taker) = match taker_side {
            Side::Buy => (sell, buy),
            Side::Sell => (buy, sell),
        };
        let mut incoming = self.as_incoming(&taker.order);
        let (mut sink, _, _, _) = self.settlement(context, &mut incoming, events);
        let quote_minor = sink.terms.quote_minor(price_ticks, quantity_lots).expect("the holds cover it");
        let base_minor = sink.terms.base_minor(quantity_lots).expect("the holds cover it");
        let payer = |order: &Order, positions: &crate::positions::PositionTable| Payer {
            account: order.account,
            quote: positions.at(position_of(order)).quote,
        };
        let (maker_payer, taker_payer) =
            (payer(&maker.order, sink.positions), payer(&taker.order, sink.positions));
        let (maker_charge, taker_charge) = sink.charges(&maker_payer, &taker_payer, quote_minor);
        sink.note_traded(&maker.order);
        sink.note_traded(&taker.order);
        let maker_party = sink.fill_resting(&maker.order, quantity_lots, maker.reserve_lots);
        let taker_party = sink.fill_resting(&taker.order, quantity_lots, taker.reserve_lots);
        let deal = Deal {
            maker: maker_party,
            taker: taker_party,
            taker_side,
            price_ticks,
            quantity_lots,
            quote_minor,
            base_minor,
            is_auction: true,
        };
        sink.settle(&deal, &maker_charge, &taker_charge);
        for pair in [maker, taker] {
            match pair.filled {
                Filled::Gone => self.table.remove(pair.order.order_id.slot()),
                Filled::Refilled => {
                    let order = self.table.get(pair.order.order_id.slot()).expect("it was refilled");
                    events.push(&shown(order));
                }
                Filled::Partly => {}
            }
        }
    }

    /// Takes quantity from an order in its book.
    fn fill_in_auction(&mut self, order: &Order, is_hidden: bool, lots: QuantityLots) -> PairMember {
        let slot = order.order_id.slot();
        let reserve_lots = leaves_of(&self.table, order) - order.leaves_lots;
        let instrument = self.instruments[place(order.instrument)].as_mut();
        let instrument = instrument.expect("an accepted order has an instrument");
        let book = if is_hidden { &mut instrument.hidden } else { &mut instrument.book };
        let filled = book.fill(&mut self.table, slot, lots);
        let mut order = *order;
        order.leaves_lots -= lots;
        order.filled_lots += lots;
        PairMember { order, reserve_lots, filled }
    }

    /// Publishes what an auction would come to, if that has changed.
    pub(crate) fn publish_indicative(&mut self, instrument: InstrumentId, events: &mut EventBuffer) {
        let found = self.equilibrium(instrument);
        let now = found.map_or((0, 0, 0), |it| (it.price_ticks, it.paired_lots, it.imbalance_lots));
        let state = &mut self.instrument_at_mut(instrument).state;
        if state.indicative == Some(now) {
            return;
        }
        state.indicative = Some(now);
        events.push(&AuctionIndicative {
            price_ticks: now.0,
            paired_lots: now.1,
            imbalance_lots: now.2,
            instrument,
            reserved: 0,
        });
    }
}

/// An order of a pair after its fill.
#[derive(Clone, Copy)]
struct PairMember {
    /// With what it showed less the fill.
    order: Order,
    reserve_lots: QuantityLots,
    filled: Filled,
}
