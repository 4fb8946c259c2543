//! Trading phases: the operator's, the timetable's, and the end of time-limited orders.

use machine::EventBuffer;
use protocol::{
    CancelReason, ClientOrderId, InstrumentId, OrderId, Phase, PhaseChanged, RejectReason, SetPhase,
    SetTimetable, TimeInForce, TimetableSet,
};

use super::checks::Reasons;
use super::matching::splitmix64;
use super::order::LiveOrder;
use super::{Market, NaiveExchange, form};

/// What the time brings next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum InTime {
    /// A good-till-date order expires.
    Expiry(OrderId),
    /// An instrument's next phase.
    Phase(InstrumentId),
}

impl Market {
    /// How much later an auction that should end at a time ends.
    fn random_end(&self, time_ns: u64) -> u64 {
        splitmix64(self.rules.seed ^ time_ns) % (self.rules.random_end_ns + 1)
    }

    /// When the timetable's next entry takes effect.
    fn next_entry_time(&self) -> Option<u128> {
        let &(time, phase) = self.timetable.get(self.next_entry)?;
        let before = self.next_entry.checked_sub(1).map(|before| self.timetable[before].1);
        let ends_an_auction = matches!(
            (before, phase),
            (Some(Phase::OpeningAuction), Phase::Continuous) | (Some(Phase::ClosingAuction), Phase::Closed)
        );
        let later = if ends_an_auction { self.random_end(time as u64) } else { 0 };
        Some(time + u128::from(later))
    }

    /// When the next phase begins, by the timetable or because the present one has an end.
    fn next_change(&self) -> Option<u128> {
        let until = Some(u128::from(self.until_ns)).filter(|&until| until > 0);
        [self.next_entry_time(), until].into_iter().flatten().min()
    }
}

impl NaiveExchange {
    /// The earliest thing that the command's time has reached.
    pub(crate) fn next_in_time(&self) -> Option<(u128, InTime)> {
        let orders = self.orders.values().filter(|order| order.terms.expire_time_ns > 0);
        let expiries = orders.map(|order| (u128::from(order.terms.expire_time_ns), InTime::Expiry(order.id)));
        let changes = self.markets.iter().filter_map(|(&instrument, market)| {
            market.next_change().map(|time| (time, InTime::Phase(instrument)))
        });
        let reached = |entry: &(u128, InTime)| entry.0 <= u128::from(self.now.timestamp_ns);
        expiries.chain(changes).filter(reached).min()
    }

    /// Does the earliest thing that the time has brought. Whether there was one.
    pub(crate) fn time_passes(&mut self, events: &mut EventBuffer) -> bool {
        let Some((time, what)) = self.next_in_time() else { return false };
        self.steps += 1;
        match what {
            InTime::Expiry(id) => {
                self.leave_work(self.orders[&id.slot()].instrument);
                self.cancel(id.slot(), CancelReason::Expired, ClientOrderId::NONE, events);
            }
            InTime::Phase(instrument) => {
                self.leave_work(instrument);
                if self.markets[&instrument].next_entry_time() == Some(time) {
                    self.next_entry(instrument, events);
                } else {
                    self.market_mut(instrument).until_ns = 0;
                    self.change_phase(instrument, Phase::Continuous, 0, false, events);
                }
            }
        }
        true
    }

    /// The timetable's next entry takes effect, or passes.
    fn next_entry(&mut self, instrument: InstrumentId, events: &mut EventBuffer) {
        let now = u128::from(self.now.timestamp_ns);
        let market = self.market_mut(instrument);
        let (_, phase) = market.timetable[market.next_entry];
        market.next_entry += 1;
        if market.next_entry == market.timetable.len() && market.repeat_ns > 0 {
            let repeat = u128::from(market.repeat_ns);
            let last = market.timetable.last().map_or(0, |&(time, _)| time);
            let mut later = repeat;
            if last <= now {
                later = (now - last) / repeat * repeat + repeat;
            }
            market.timetable.iter_mut().for_each(|(time, _)| *time += later);
            market.next_entry = 0;
        }
        if market.phase != Phase::Halted && market.phase != phase {
            self.change_phase(instrument, phase, 0, true, events);
        }
    }

    /// Leaves the phase for another; the uncross comes first where there is one. Into the same phase: nothing happens.
    fn change_phase(
        &mut self,
        instrument: InstrumentId,
        phase: Phase,
        until_ns: u64,
        by_timetable: bool,
        events: &mut EventBuffer,
    ) {
        let market = self.market_mut(instrument);
        let uncrosses = phase == Phase::Continuous || market.phase.is_auction() && phase == Phase::Closed;
        if market.phase == phase {
            return;
        }
        market.until_ns = 0;
        if !(uncrosses && self.begin_uncross(instrument, phase, until_ns, by_timetable, events)) {
            self.enter(instrument, phase, until_ns, by_timetable, events);
        }
    }

    /// The instrument is in a phase from here on.
    pub(crate) fn enter(
        &mut self,
        instrument: InstrumentId,
        phase: Phase,
        until_ns: u64,
        by_timetable: bool,
        events: &mut EventBuffer,
    ) {
        let market = self.market_mut(instrument);
        let previous = market.phase;
        (market.phase, market.until_ns) = (phase, until_ns);
        if previous != phase {
            market.indicative = None;
        }
        events.push(&PhaseChanged {
            until_ns,
            reference_price_ticks: market.reference,
            instrument,
            phase: phase.code(),
            previous: previous.code(),
            reserved: [0; 10],
        });
        if previous == phase {
            return;
        }
        match (phase, by_timetable) {
            (Phase::Continuous, _) => self.begin_phase_sweep(instrument, &[TimeInForce::AtTheOpening]),
            (Phase::Closed, false) => {
                self.begin_phase_sweep(instrument, &[TimeInForce::AtTheOpening, TimeInForce::AtTheClose]);
            }
            (Phase::Closed, true) => {
                let kinds = [TimeInForce::AtTheOpening, TimeInForce::AtTheClose, TimeInForce::Day];
                self.begin_phase_sweep(instrument, &kinds);
            }
            _ => {}
        }
    }

    /// A price band was hit: a volatility auction.
    pub(crate) fn interrupt(&mut self, instrument: InstrumentId, events: &mut EventBuffer) {
        let market = &self.markets[&instrument];
        let end_ns = self.now.timestamp_ns.saturating_add(market.rules.volatility_auction_ns);
        let until_ns = end_ns.saturating_add(market.random_end(end_ns));
        self.steps += 1;
        self.enter(instrument, Phase::VolatilityAuction, until_ns, false, events);
    }

    pub(crate) fn set_phase(&mut self, it: &SetPhase, events: &mut EventBuffer) -> Result<(), RejectReason> {
        self.check_form(form::phase(it))?;
        let mut reasons = Reasons::default();
        reasons.unless(self.markets.contains_key(&it.instrument), RejectReason::UnknownInstrument);
        let later = it.until_ns == 0 || it.until_ns > self.now.timestamp_ns;
        reasons.unless(later, RejectReason::InvalidParameter);
        reasons.result()?;
        let market = &self.markets[&it.instrument];
        if market.uncross.is_some() {
            return Err(RejectReason::WrongPhase);
        }
        let phase = Phase::from_code(it.phase).expect("it was checked");
        self.steps += 1;
        if market.phase == phase {
            self.enter(it.instrument, phase, it.until_ns, false, events);
        } else {
            self.change_phase(it.instrument, phase, it.until_ns, false, events);
        }
        self.leave_work(it.instrument);
        Ok(())
    }

    pub(crate) fn set_timetable(
        &mut self,
        it: &SetTimetable,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        self.check_form(it.reserved == 0)?;
        let all = [
            (it.pre_open_ns, Phase::PreOpen),
            (it.opening_auction_ns, Phase::OpeningAuction),
            (it.continuous_ns, Phase::Continuous),
            (it.closing_auction_ns, Phase::ClosingAuction),
            (it.closed_ns, Phase::Closed),
        ];
        let given = all.into_iter().filter(|&(time, _)| time > 0);
        let timetable: alloc::vec::Vec<(u128, Phase)> =
            given.map(|(time, phase)| (u128::from(time), phase)).collect();
        let length = match (timetable.first(), timetable.last()) {
            (Some(first), Some(last)) => last.0.saturating_sub(first.0),
            _ => 0,
        };
        let fits = timetable.windows(2).all(|pair| pair[0].0 < pair[1].0)
            && timetable.iter().all(|entry| entry.0 < 1 << 62)
            && it.repeat_ns < 1 << 62
            && (it.repeat_ns == 0 || u128::from(it.repeat_ns) > length);
        let mut reasons = Reasons::default();
        reasons.unless(self.markets.contains_key(&it.instrument), RejectReason::UnknownInstrument);
        reasons.unless(fits, RejectReason::InvalidParameter);
        reasons.result()?;
        let market = self.market_mut(it.instrument);
        (market.timetable, market.next_entry, market.repeat_ns) = (timetable, 0, it.repeat_ns);
        events.push(&TimetableSet(*it));
        self.leave_work(it.instrument);
        Ok(())
    }

    /// Ends the day of an instrument by command: the lowest slots first, as many as one command may.
    pub(crate) fn end_day(
        &mut self,
        it: &protocol::EndDay,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        self.check_form(it.reserved == 0)?;
        let mut reasons = Reasons::default();
        reasons.unless(self.markets.contains_key(&it.instrument), RejectReason::UnknownInstrument);
        reasons.result()?;
        if self.markets[&it.instrument].uncross.is_some() {
            return Err(RejectReason::WrongPhase);
        }
        let is_day =
            |order: &LiveOrder| order.instrument == it.instrument && order.time_in_force == TimeInForce::Day;
        let orders = self.orders.iter().filter(|(_, order)| is_day(order));
        let slots: alloc::vec::Vec<u32> = orders.map(|(&slot, _)| slot).collect();
        let limit = self.limits.fills_per_command as usize;
        for &slot in slots.iter().take(limit) {
            self.steps += 1;
            self.cancel(slot, CancelReason::DayEnded, ClientOrderId::NONE, events);
        }
        let remaining_orders = slots.len().saturating_sub(limit) as u32;
        events.push(&protocol::DayEnded { instrument: it.instrument, remaining_orders });
        self.leave_work(it.instrument);
        Ok(())
    }
}
