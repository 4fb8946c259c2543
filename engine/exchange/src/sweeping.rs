//! Sweeps over all orders: mass cancels, the kill switch, and the end of auction and day orders.

use machine::{Context, EventBuffer};
use orderbook::{Book, Order};
use protocol::{
    AccountId, CancelReason, ClientOrderId, MassCancel, MassCancelAccepted, MassCancelDone, RejectReason,
    SWEPT_SLOTS_PER_COMMAND, TimeInForce,
};

use crate::exchange::Exchange;
use crate::instrument::ending;
use crate::special::side_of;
use crate::sweeps::Sweep;

impl<B: Book> Exchange<B> {
    pub(crate) fn mass_cancel(
        &mut self,
        context: &Context,
        command: &MassCancel,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        let MassCancel { account, instrument, side, of_session, .. } = *command;
        if account != AccountId(0) && !self.wallet.is_client(account) {
            return Err(RejectReason::UnknownAccount);
        }
        if instrument != 0 && !self.has_instrument(instrument) {
            return Err(RejectReason::UnknownInstrument);
        }
        if account == AccountId(0) && instrument == 0 && side == 0 && of_session == 0 {
            return Err(RejectReason::InvalidParameter);
        }
        if self.sweeps.is_full() {
            return Err(RejectReason::TooManySweeps);
        }
        self.begin_sweep(context, command, events);
        if instrument != 0 {
            self.settle(context, instrument, events);
        }
        Ok(())
    }

    /// Begins a mass cancel; the follow-up of the command runs it.
    pub(crate) fn begin_sweep(&mut self, context: &Context, filter: &MassCancel, events: &mut EventBuffer) {
        self.sweeps.push(Sweep {
            filter: *filter,
            begun_sequence: context.sequence,
            next_slot: 0,
            canceled_orders: 0,
        });
        self.due_ns = 0;
        events.push(&MassCancelAccepted {
            account: filter.account,
            instrument: filter.instrument,
            client_order_id: filter.client_order_id,
            gateway: filter.gateway,
            session: filter.session,
            side: filter.side,
            of_session: filter.of_session,
            reason: filter.reason,
            reserved: [0; 5],
        });
    }

    /// Runs the sweeps as far as steps and slots go.
    pub(crate) fn sweep(&mut self, context: &Context, events: &mut EventBuffer) {
        debug_assert!(context.sequence == self.applied_sequence);
        while !self.sweeps.is_idle() {
            let of_session = self.sweeps.session.at_work.then_some(self.sweeps.session.next_slot);
            let next_slot = match of_session {
                Some(slot) => slot,
                None => self.sweeps.first_mut().expect("a sweep is at work").next_slot,
            };
            if next_slot >= self.table.capacity() {
                match of_session {
                    Some(_) => self.end_session_sweep(),
                    None => self.end_mass_cancel(events),
                }
                continue;
            }
            if !self.has_steps() || self.swept_slots >= SWEPT_SLOTS_PER_COMMAND {
                return;
            }
            self.swept_slots += 1;
            match of_session {
                Some(_) => self.sweep_session_slot(next_slot, events),
                None => self.sweep_slot(next_slot, events),
            }
        }
    }

    fn sweep_session_slot(&mut self, slot: u32, events: &mut EventBuffer) {
        self.sweeps.session.next_slot = slot + 1;
        let Some(order) = self.table.get(slot).copied() else { return };
        let asked = self.instrument_of(&order).state.ending;
        let (kind, reason) = match TimeInForce::from_code(order.time_in_force) {
            Some(TimeInForce::AtTheOpening) => (ending::OPENING, CancelReason::AuctionEnded),
            Some(TimeInForce::AtTheClose) => (ending::CLOSING, CancelReason::AuctionEnded),
            Some(TimeInForce::Day) => (ending::DAY, CancelReason::DayEnded),
            _ => return,
        };
        if order.order_id.sequence() >= asked[kind] {
            return;
        }
        self.steps += 1;
        self.cancel_live(slot, reason, ClientOrderId::NONE, events);
        self.leave_unfinished(order.instrument);
    }

    fn end_session_sweep(&mut self) {
        self.sweeps.session.at_work = false;
        for instrument in self.instruments.iter_mut().flatten() {
            instrument.state.ending = [0; 3];
        }
    }

    fn sweep_slot(&mut self, slot: u32, events: &mut EventBuffer) {
        let sweep = self.sweeps.first_mut().expect("a sweep is at work");
        sweep.next_slot = slot + 1;
        let (filter, begun_sequence) = (sweep.filter, sweep.begun_sequence);
        let Some(order) = self.table.get(slot).copied() else { return };
        if order.order_id.sequence() >= begun_sequence || !self.fits(&filter, &order) {
            return;
        }
        self.sweeps.first_mut().expect("a sweep is at work").canceled_orders += 1;
        self.steps += 1;
        let reason = CancelReason::from_code(filter.reason).unwrap_or(CancelReason::MassCancel);
        self.cancel_live(slot, reason, filter.client_order_id, events);
        self.leave_unfinished(order.instrument);
    }

    fn fits(&self, filter: &MassCancel, order: &Order) -> bool {
        let side = side_of(order, self.specials.of(order)).code();
        let session = u32::from(filter.gateway) << 16 | u32::from(filter.session);
        (filter.account == AccountId(0) || filter.account == order.account)
            && (filter.instrument == 0 || filter.instrument == order.instrument)
            && (filter.side == 0 || filter.side == side)
            && (filter.of_session == 0 || order.user as u32 == session)
    }

    fn end_mass_cancel(&mut self, events: &mut EventBuffer) {
        let Some(sweep) = self.sweeps.pop() else { return };
        events.push(&MassCancelDone {
            begun_sequence: sweep.begun_sequence,
            account: sweep.filter.account,
            instrument: sweep.filter.instrument,
            client_order_id: sweep.filter.client_order_id,
            canceled_orders: sweep.canceled_orders,
        });
    }
}
