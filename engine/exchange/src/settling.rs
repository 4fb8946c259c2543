//! What a command sets off, and what time brings (`docs/exchange.md`, "Settling", "Unfinished work and time").

use machine::{Context, EventBuffer};
use orderbook::{Book, Order};
use protocol::{
    AdvanceTime, CancelReason, ClientOrderId, InstrumentId, Phase, RejectReason, Side, TimeAdvanced,
};

use crate::exchange::{Exchange, place};
use crate::makers::{Ahead, hidden_orders, is_within};

impl<B: Book> Exchange<B> {
    /// Does what an instrument has to do until nothing is left, or the steps are used up: then it is left with work.
    pub(crate) fn settle(&mut self, context: &Context, instrument: InstrumentId, events: &mut EventBuffer) {
        self.leave_unfinished(instrument);
        self.work_off(context, events);
    }

    /// The same where no special order rests or waits: only a list may have something to do, and what has traded counts
    /// for no stop that comes later.
    #[inline]
    pub(crate) fn settle_plain(
        &mut self,
        context: &Context,
        instrument: InstrumentId,
        events: &mut EventBuffer,
    ) {
        if !self.specials.duties.is_empty() || !self.has_steps() {
            self.settle(context, instrument, events);
        } else if self.steps > 0 {
            self.instrument_at_mut(instrument).state.forget_extremes();
        }
    }

    /// Settles instruments with work left, first left first, while there are steps.
    pub(crate) fn work_off(&mut self, context: &Context, events: &mut EventBuffer) {
        while let Some(&instrument) = self.unfinished.front() {
            if !self.settle_one(context, instrument, events) {
                break;
            }
            self.unfinished.pop_front();
            self.instrument_at_mut(instrument).state.is_unfinished = false;
        }
        self.refresh_due();
    }

    /// Notes that an instrument may have work left.
    pub(crate) fn leave_unfinished(&mut self, instrument: InstrumentId) {
        let state = &mut self.instrument_at_mut(instrument).state;
        if !core::mem::replace(&mut state.is_unfinished, true) {
            self.unfinished.push_back(instrument);
        }
    }

    /// Whether it is done; `false` if there are no steps left.
    fn settle_one(&mut self, context: &Context, instrument: InstrumentId, events: &mut EventBuffer) -> bool {
        loop {
            if !self.has_steps() {
                return false;
            }
            if !self.do_next(context, instrument, events) {
                return true;
            }
        }
    }

    /// Does the first thing that is to do; `false` if there is none.
    fn do_next(&mut self, context: &Context, instrument: InstrumentId, events: &mut EventBuffer) -> bool {
        if self.instrument_at(instrument).state.uncross.is_some() {
            self.uncross_one(context, instrument, events);
            return true;
        }
        if let Some(duty) = self.specials.next_duty(instrument) {
            self.do_duty(context, duty, events);
            return true;
        }
        let state = &self.instrument_at(instrument).state;
        if state.phase == Phase::ClosingAuction && state.parked.length > 0 {
            self.join_closing(instrument, events);
            return true;
        }
        if state.phase != Phase::Continuous {
            return false;
        }
        if let Some(slot) = self.next_triggered(instrument) {
            self.steps += 1;
            self.trigger(context, slot, events);
            return true;
        }
        if let Some((slot, target_ticks)) = self.next_misplaced(instrument) {
            self.steps += 1;
            self.reprice(context, slot, target_ticks, events);
            return true;
        }
        if let Some(slot) = self.next_all_or_none(instrument) {
            let incoming = self.take_back(slot);
            self.come_in(context, incoming, 0, events);
            return true;
        }
        false
    }

    /// An all-or-none order that could be filled in full now: buys first, best price first, oldest first.
    fn next_all_or_none(&self, instrument: InstrumentId) -> Option<u32> {
        let of = self.instrument_at(instrument);
        if of.state.all_or_none_orders == 0 {
            return None;
        }
        let ahead = Ahead { instrument: of, table: &self.table, specials: &self.specials };
        [Side::Buy, Side::Sell].into_iter().find_map(|side| {
            let best = ahead.best(side.opposite(), |_| true)?;
            // Of what rests only all-or-none orders can reach the other side: behind them there is nothing to look at.
            let reaches = |order: &&Order| is_within(side.opposite(), best, Some(order.price_ticks));
            let mut all = hidden_orders(of, &self.table, side).take_while(reaches);
            let found = all.find(|order| {
                self.specials.at(order.order_id.slot()).is_all_or_none()
                    && self.could_fill(&self.as_incoming(order))
            });
            found.map(|order| order.order_id.slot())
        })
    }

    /// Before a command: what earlier ones left, sweeps, and what the time has reached.
    #[cold]
    #[inline(never)]
    pub(crate) fn catch_up(&mut self, context: &Context, events: &mut EventBuffer) {
        while self.has_steps() {
            self.work_off(context, events);
            if !self.has_steps() {
                break;
            }
            self.sweep(context, events);
            if !self.unfinished.is_empty() {
                continue;
            }
            if !self.has_steps() || !self.do_due(context, events) {
                break;
            }
        }
        self.refresh_due();
    }

    /// After an accepted command: the sweeps, and what they set off.
    #[inline]
    pub(crate) fn sweep_after(&mut self, context: &Context, events: &mut EventBuffer) {
        if !self.sweeps.is_idle() {
            self.sweep_on(context, events);
        }
    }

    #[cold]
    fn sweep_on(&mut self, context: &Context, events: &mut EventBuffer) {
        while self.has_steps() {
            self.work_off(context, events);
            if !self.has_steps() {
                break;
            }
            self.sweep(context, events);
            if self.unfinished.is_empty() {
                break;
            }
        }
        self.refresh_due();
    }

    /// Does the earliest thing that the time has reached; `false` if there is none.
    fn do_due(&mut self, context: &Context, events: &mut EventBuffer) -> bool {
        let now_ns = context.timestamp_ns;
        let expiry = self.specials.expiries.first().filter(|&(time_ns, _)| time_ns <= now_ns);
        let phase = self.phase_timers.first().filter(|&(time_ns, _)| time_ns <= now_ns);
        match (expiry, phase) {
            (Some((expires_ns, order_id)), phase)
                if phase.is_none_or(|(time_ns, _)| expires_ns <= time_ns) =>
            {
                let order = self.table.find(order_id).expect("an order that expires is live");
                let instrument = order.instrument;
                self.steps += 1;
                self.cancel_live(order_id.slot(), CancelReason::Expired, ClientOrderId::NONE, events);
                self.leave_unfinished(instrument);
                true
            }
            (_, Some((_, timer))) => {
                self.steps += 1;
                self.phase_due(context, timer.slot() + 1, events);
                true
            }
            _ => false,
        }
    }

    /// When there is next something to catch up with.
    pub(crate) fn refresh_due(&mut self) {
        if !self.unfinished.is_empty() || !self.sweeps.is_idle() {
            self.due_ns = 0;
            return;
        }
        let expiry_ns = self.specials.expiries.first().map_or(u64::MAX, |(time_ns, _)| time_ns);
        let phase_ns = self.phase_timers.first().map_or(u64::MAX, |(time_ns, _)| time_ns);
        self.due_ns = expiry_ns.min(phase_ns);
    }

    /// Nothing but the time: auctions are published.
    pub(crate) fn advance_time(
        &mut self,
        context: &Context,
        _command: &AdvanceTime,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        for at in 0..self.instruments.len() {
            let in_auction = |it: &crate::instrument::Instrument<B>| {
                it.state.phase.is_auction() && it.state.uncross.is_none()
            };
            if self.instruments.get(at).and_then(Option::as_ref).is_some_and(in_auction) {
                self.publish_indicative(at as InstrumentId + 1, events);
            }
        }
        self.sweep_after(context, events);
        let work_left = !self.unfinished.is_empty() || !self.sweeps.is_idle();
        debug_assert!(place(1) == 0);
        events.push(&TimeAdvanced { work_left: u8::from(work_left), reserved: [0; 7] });
        Ok(())
    }
}
