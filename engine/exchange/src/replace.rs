//! Cancelling and replacing resting orders, one by one and at the end of the day.

use machine::{Context, EventBuffer};
use orderbook::{Book, Order, Stop};
use protocol::{
    AccountId, AmountMinor, CancelOrder, CancelReason, ClientOrderId, DayEnded, EndDay, InstrumentId,
    MAX_PRICE_TICKS, MAX_QUANTITY_LOTS, OrderId, OrderReplaced, QuantityLots, RejectReason, ReplaceOrder,
    TimeInForce,
};

use crate::exchange::{Exchange, Slots, day_count, place};
use crate::settlement::{Incoming, canceled, hold_of};

impl<B: Book> Exchange<B> {
    pub(crate) fn cancel_order(
        &mut self,
        _context: &Context,
        command: &CancelOrder,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        self.check_owner(command.account, command.instrument)?;
        let order = self.find_order(command.order_id, command.account, command.instrument)?;
        self.cancel_resting(&order, CancelReason::Requested, command.client_order_id, events);
        Ok(())
    }

    pub(crate) fn replace_order(
        &mut self,
        _context: &Context,
        command: &ReplaceOrder,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        self.check_owner(command.account, command.instrument)?;
        if !(1..=MAX_PRICE_TICKS).contains(&command.price_ticks) {
            return Err(RejectReason::InvalidPrice);
        }
        if !(1..=MAX_QUANTITY_LOTS).contains(&command.quantity_lots) {
            return Err(RejectReason::InvalidQuantity);
        }
        let order = self.find_order(command.order_id, command.account, command.instrument)?;
        let leaves_lots = command.quantity_lots - order.filled_lots;
        if leaves_lots <= 0 {
            return Err(RejectReason::QuantityBelowFilled);
        }
        let new_id = self.new_client_id(&order, command)?;
        let (held_minor, hold_minor) = self.move_hold(&order, command, leaves_lots)?;
        debug_assert!(held_minor >= 0 && hold_minor >= 0);

        let order = self.rename(order, new_id, &command.client_order_id);
        let kept = command.price_ticks == order.price_ticks && leaves_lots < order.leaves_lots;
        let slot = order.order_id.slot();
        events.push(&OrderReplaced {
            order_id: order.order_id,
            price_ticks: command.price_ticks,
            quantity_lots: command.quantity_lots,
            leaves_lots,
            hold_minor,
            account: order.account,
            instrument: order.instrument,
            client_order_id: self.clients.id(order.client_index, slot),
            side: order.side,
            kept_priority: u8::from(kept),
            reserved: [0; 2],
        });
        if kept {
            let instrument = self.instruments[place(order.instrument)].as_mut();
            let instrument = instrument.expect("a live order has an instrument");
            instrument.book.reduce(&mut self.table, slot, leaves_lots);
        } else {
            self.requeue(order, command, leaves_lots, hold_minor, events);
        }
        Ok(())
    }

    pub(crate) fn end_day(
        &mut self,
        _context: &Context,
        command: &EndDay,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        if !self.has_instrument(command.instrument) {
            return Err(RejectReason::UnknownInstrument);
        }
        let at = place(command.instrument);
        let day_orders = |exchange: &Self| exchange.instruments[at].as_ref().map_or(0, |it| it.day_orders);
        let mut left = self.limits.fills_per_command;
        let mut slot = 0;
        while left > 0 && day_orders(self) > 0 {
            assert!(slot < self.table.capacity(), "a day order is counted that is not in the table");
            let order = self.table.get(slot).copied();
            if let Some(order) = order.filter(|order| is_day_order(order, command.instrument)) {
                self.cancel_resting(&order, CancelReason::DayEnded, ClientOrderId::NONE, events);
                left -= 1;
            }
            slot += 1;
        }
        events.push(&DayEnded { instrument: command.instrument, remaining_orders: day_orders(self) });
        Ok(())
    }

    #[inline]
    fn check_owner(&self, account: AccountId, instrument: InstrumentId) -> Result<(), RejectReason> {
        if !self.wallet.is_client(account) {
            return Err(RejectReason::UnknownAccount);
        }
        if !self.has_instrument(instrument) {
            return Err(RejectReason::UnknownInstrument);
        }
        Ok(())
    }

    /// The live order that a cancel or replace names.
    #[inline]
    fn find_order(
        &self,
        order_id: OrderId,
        account: AccountId,
        instrument: InstrumentId,
    ) -> Result<Order, RejectReason> {
        let order = self.table.find(order_id);
        let order = order.filter(|order| order.account == account && order.instrument == instrument);
        order.copied().ok_or(RejectReason::UnknownOrder)
    }

    /// The hash of the order's new client order id, or `None` if it keeps the one it has.
    #[inline]
    fn new_client_id(&self, order: &Order, command: &ReplaceOrder) -> Result<Option<u32>, RejectReason> {
        let id = &command.client_order_id;
        if id.is_none() {
            return Ok(None);
        }
        let hash = self.clients.hash(order.account, id);
        match self.clients.find(&self.table, hash, order.account, id) {
            None => Ok(Some(hash)),
            Some(slot) if slot == order.order_id.slot() => Ok(None),
            Some(_) => Err(RejectReason::DuplicateClientOrderId),
        }
    }

    /// Changes the hold to what the replaced order needs; returns the old and the new one.
    #[inline]
    fn move_hold(
        &mut self,
        order: &Order,
        command: &ReplaceOrder,
        leaves_lots: QuantityLots,
    ) -> Result<(AmountMinor, AmountMinor), RejectReason> {
        let instrument = self.instruments[place(order.instrument)].as_ref();
        let terms = &instrument.expect("a live order has an instrument").terms;
        let side = order.side();
        let hold_minor = terms.hold_minor(side, command.price_ticks, leaves_lots);
        let hold_minor = hold_minor.ok_or(RejectReason::NotionalTooLarge)?;
        let held_minor = hold_of(terms, side, order.price_ticks, order.leaves_lots);
        let balance = Slots::of(order).held(side);
        if hold_minor >= held_minor {
            self.wallet.reserve(balance, hold_minor - held_minor)?;
        } else {
            self.wallet.release(balance, held_minor - hold_minor);
        }
        Ok((held_minor, hold_minor))
    }

    /// Gives a resting order its new client order id.
    #[inline]
    fn rename(&mut self, mut order: Order, new_hash: Option<u32>, id: &ClientOrderId) -> Order {
        let Some(client_index) = new_hash else { return order };
        let slot = order.order_id.slot();
        self.clients.remove(order.client_index, slot);
        self.clients.insert(client_index, slot, id);
        let entry = self.table.get_mut(slot).expect("a live order is in the table");
        entry.client_index = client_index;
        order.client_index = client_index;
        order
    }

    /// Takes a replaced order out of its queue, matches it like an incoming one, and rests what is left.
    #[inline]
    fn requeue(
        &mut self,
        mut order: Order,
        command: &ReplaceOrder,
        leaves_lots: QuantityLots,
        hold_minor: AmountMinor,
        events: &mut EventBuffer,
    ) {
        let slot = order.order_id.slot();
        let instrument = self.instruments[place(order.instrument)].as_mut();
        let instrument = instrument.expect("a live order has an instrument");
        instrument.book.unlink(&mut self.table, slot);
        instrument.day_orders -= day_count(&order);
        let fees = instrument.fees.expect("an instrument with a live order has a place for fees");
        order.price_ticks = command.price_ticks;
        order.leaves_lots = leaves_lots;
        let mut incoming = Incoming {
            order,
            slots: Slots::of(&order),
            side: order.side(),
            limit: Some(command.price_ticks),
            hold_minor,
        };
        match self.match_incoming(&mut incoming, fees, events) {
            Stop::NoLiquidity | Stop::LimitPrice => self.rest_incoming(&incoming.order),
            stop => self.end_after(stop, &incoming, events),
        }
    }

    /// Ends a resting order.
    #[inline]
    fn cancel_resting(
        &mut self,
        order: &Order,
        reason: CancelReason,
        client_order_id: ClientOrderId,
        events: &mut EventBuffer,
    ) {
        let slot = order.order_id.slot();
        let instrument = self.instruments[place(order.instrument)].as_mut();
        let instrument = instrument.expect("a live order has an instrument");
        instrument.book.unlink(&mut self.table, slot);
        instrument.day_orders -= day_count(order);
        let released_minor = hold_of(&instrument.terms, order.side(), order.price_ticks, order.leaves_lots);
        self.wallet.release(Slots::of(order).held(order.side()), released_minor);
        self.clients.remove(order.client_index, slot);
        self.table.remove(slot);
        events.push(&canceled(order, released_minor, reason, client_order_id));
    }
}

fn is_day_order(order: &Order, instrument: InstrumentId) -> bool {
    order.instrument == instrument && order.time_in_force == TimeInForce::Day.code()
}
