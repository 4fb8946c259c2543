//! Sweeps over the slots: orders whose auction or day is over, and mass cancels.

use machine::EventBuffer;
use protocol::{
    AccountId, CancelReason, ClientOrderId, InstrumentId, MAX_SWEEPS, MassCancel, MassCancelAccepted,
    MassCancelDone, RejectReason, SWEPT_SLOTS_PER_COMMAND, TimeInForce,
};

use super::checks::Reasons;
use super::order::LiveOrder;
use super::{MassSweep, NaiveExchange, PhaseSweep, form};

impl NaiveExchange {
    /// Runs the sweeps as far as steps and slots go. Whether there was anything to do.
    pub(crate) fn sweep(&mut self, events: &mut EventBuffer) -> bool {
        let mut moved = false;
        while self.has_steps() && (self.phase_sweep.is_some() || !self.mass_sweeps.is_empty()) {
            if self.swept_slots == SWEPT_SLOTS_PER_COMMAND {
                return moved;
            }
            moved = true;
            self.swept_slots += 1;
            if self.phase_sweep.is_some() {
                self.sweep_slot_of_phases(events);
            } else {
                self.sweep_slot_of_mass_cancel(events);
            }
        }
        moved
    }

    /// From here on orders of these kinds that are live now end.
    pub(crate) fn begin_phase_sweep(&mut self, instrument: InstrumentId, kinds: &[TimeInForce]) {
        let mut sweep = self.phase_sweep.take().unwrap_or_default();
        for kind in kinds {
            sweep.ends.insert((instrument, kind.code()), self.now.sequence);
        }
        self.phase_sweep = Some(PhaseSweep { next_slot: 0, ..sweep });
    }

    fn sweep_slot_of_phases(&mut self, events: &mut EventBuffer) {
        let sweep = self.phase_sweep.as_mut().expect("there is one");
        let slot = sweep.next_slot;
        sweep.next_slot += 1;
        let ends = |order: &&LiveOrder| {
            let begun = sweep.ends.get(&(order.instrument, order.time_in_force.code()));
            begun.is_some_and(|&begun| order.id.sequence() < begun)
        };
        let found = self.orders.get(&slot).filter(ends).map(|order| (order.instrument, order.time_in_force));
        if sweep.next_slot == self.limits.orders {
            self.phase_sweep = None;
        }
        if let Some((instrument, time)) = found {
            let is_day = time == TimeInForce::Day;
            let reason = if is_day { CancelReason::DayEnded } else { CancelReason::AuctionEnded };
            self.steps += 1;
            self.cancel(slot, reason, ClientOrderId::NONE, events);
            self.leave_work(instrument);
        }
    }

    fn sweep_slot_of_mass_cancel(&mut self, events: &mut EventBuffer) {
        let mut sweep = *self.mass_sweeps.front().expect("there is one");
        let slot = sweep.next_slot;
        sweep.next_slot += 1;
        if let Some(instrument) =
            self.orders.get(&slot).filter(|order| fits(order, &sweep)).map(|order| order.instrument)
        {
            let reason = CancelReason::from_code(sweep.wish.reason).expect("it was checked");
            self.steps += 1;
            sweep.canceled += 1;
            self.cancel(slot, reason, sweep.wish.client_order_id, events);
            self.leave_work(instrument);
        }
        self.mass_sweeps[0] = sweep;
        if sweep.next_slot == self.limits.orders {
            self.mass_sweeps.pop_front();
            events.push(&MassCancelDone {
                begun_sequence: sweep.begun_sequence,
                account: sweep.wish.account,
                instrument: sweep.wish.instrument,
                client_order_id: sweep.wish.client_order_id,
                canceled_orders: sweep.canceled,
            });
        }
    }

    pub(crate) fn mass_cancel(
        &mut self,
        it: &MassCancel,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        self.check_form(form::mass_cancel(it))?;
        let mut reasons = Reasons::default();
        let account_fits = it.account == AccountId(0) || self.accounts.contains_key(&it.account);
        let instrument_fits = it.instrument == 0 || self.markets.contains_key(&it.instrument);
        let given = it.account != AccountId(0) || it.instrument != 0 || it.side != 0 || it.of_session == 1;
        reasons.unless(account_fits, RejectReason::UnknownAccount);
        reasons.unless(instrument_fits, RejectReason::UnknownInstrument);
        reasons.unless(given, RejectReason::InvalidParameter);
        reasons.unless(self.has_room_for_sweep(), RejectReason::TooManySweeps);
        reasons.result()?;
        self.begin_mass_cancel(it, events);
        if it.instrument != 0 {
            self.leave_work(it.instrument);
        }
        Ok(())
    }

    pub(crate) fn has_room_for_sweep(&self) -> bool {
        self.mass_sweeps.len() < MAX_SWEEPS as usize
    }

    pub(crate) fn begin_mass_cancel(&mut self, it: &MassCancel, events: &mut EventBuffer) {
        events.push(&MassCancelAccepted {
            account: it.account,
            instrument: it.instrument,
            client_order_id: it.client_order_id,
            gateway: it.gateway,
            session: it.session,
            side: it.side,
            of_session: it.of_session,
            reason: it.reason,
            reserved: [0; 5],
        });
        let begun_sequence = self.now.sequence;
        self.mass_sweeps.push_back(MassSweep { begun_sequence, wish: *it, next_slot: 0, canceled: 0 });
    }
}

/// Whether a mass cancel is about an order.
fn fits(order: &LiveOrder, sweep: &MassSweep) -> bool {
    let wish = &sweep.wish;
    (wish.account == AccountId(0) || wish.account == order.account)
        && (wish.instrument == 0 || wish.instrument == order.instrument)
        && (wish.side == 0 || wish.side == order.side.code())
        && (wish.of_session == 0
            || (wish.gateway, wish.session) == (order.source.gateway, order.source.session))
        && order.id.sequence() < sweep.begun_sequence
}
