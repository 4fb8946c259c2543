//! The short way of a replace: a plain order of a plain account on an instrument where nothing special rests, waits or is
//! set. The same checks in the same order as the long one (`replace.rs`), without what cannot apply.

use machine::{Context, EventBuffer};
use orderbook::{Book, Order, Stop};
use protocol::{
    AmountMinor, MAX_PRICE_TICKS, MAX_QUANTITY_LOTS, OrderReplaced, QuantityLots, RejectReason, ReplaceOrder,
};

use crate::exchange::{Exchange, place};
use crate::matching::reason_of;
use crate::settlement::{Incoming, hold_of, position_of};

/// Replaces a live order that has been found.
#[inline]
pub(crate) fn replace<B: Book>(
    exchange: &mut Exchange<B>,
    context: &Context,
    order: Order,
    command: &ReplaceOrder,
    events: &mut EventBuffer,
) -> Result<(), RejectReason> {
    if !(1..=MAX_PRICE_TICKS).contains(&command.price_ticks) {
        return Err(RejectReason::InvalidPrice);
    }
    if !(1..=MAX_QUANTITY_LOTS).contains(&command.quantity_lots) {
        return Err(RejectReason::InvalidQuantity);
    }
    exchange.table.prefetch_around(order.order_id.slot());
    exchange.instrument_of(&order).book.prefetch_level(order.side(), command.price_ticks);
    let leaves_lots = command.quantity_lots - order.filled_lots;
    if leaves_lots <= 0 {
        return Err(RejectReason::QuantityBelowFilled);
    }
    let new_id = exchange.new_client_id(&order, command)?;
    let hold_minor = exchange.move_plain_hold(&order, command, leaves_lots)?;

    let mut order = order;
    let slot = order.order_id.slot();
    let client_order_id = if let Some(client_index) = new_id {
        let id = &command.client_order_id;
        exchange.clients.rename(order.client_index, client_index, slot, order.account, id);
        exchange.table.get_mut(slot).expect("a live order is in the table").client_index = client_index;
        order.client_index = client_index;
        *id
    } else {
        exchange.clients.id(order.client_index, slot)
    };
    let kept = command.price_ticks == order.price_ticks && leaves_lots < order.leaves_lots;
    events.push(&OrderReplaced {
        order_id: order.order_id,
        price_ticks: command.price_ticks,
        quantity_lots: command.quantity_lots,
        leaves_lots,
        hold_minor,
        account: order.account,
        instrument: order.instrument,
        client_order_id,
        side: order.side,
        kept_priority: u8::from(kept),
        reserved: [0; 2],
    });
    exchange.requeue_plain(context, order, command, leaves_lots, hold_minor, kept, events);
    exchange.settle_plain(context, command.instrument, events);
    Ok(())
}

impl<B: Book> Exchange<B> {
    /// Changes the hold to what the replaced order needs, and returns that.
    #[inline]
    fn move_plain_hold(
        &mut self,
        order: &Order,
        command: &ReplaceOrder,
        leaves_lots: QuantityLots,
    ) -> Result<AmountMinor, RejectReason> {
        let terms = &self.instrument_of(order).terms;
        let side = order.side();
        let hold_minor = terms.hold_minor(side, command.price_ticks, leaves_lots);
        let hold_minor = hold_minor.ok_or(RejectReason::NotionalTooLarge)?;
        let held_minor = hold_of(terms, side, order.price_ticks, order.leaves_lots);
        let balance = self.positions.at(position_of(order)).held(side);
        if hold_minor >= held_minor {
            self.wallet.reserve(balance, hold_minor - held_minor)?;
        } else {
            self.wallet.release(balance, held_minor - hold_minor);
        }
        Ok(hold_minor)
    }

    /// Lowers the order where it is, or takes it out of its queue and matches it like an incoming one.
    #[inline]
    #[allow(clippy::too_many_arguments)]
    fn requeue_plain(
        &mut self,
        context: &Context,
        order: Order,
        command: &ReplaceOrder,
        leaves_lots: QuantityLots,
        hold_minor: AmountMinor,
        kept: bool,
        events: &mut EventBuffer,
    ) {
        let slot = order.order_id.slot();
        let (side, position) = (order.side(), position_of(&order));
        let limit = Some(command.price_ticks);
        let stays = kept || !self.meets_shown(order.instrument, side, limit);
        let row = self.positions.at_mut(position);
        *row.open_lots_mut(side) -= if stays { order.leaves_lots - leaves_lots } else { order.leaves_lots };
        let instrument = self.instruments[place(order.instrument)].as_mut();
        let instrument = instrument.expect("a live order has an instrument");
        if kept {
            return instrument.book.reduce(&mut self.table, slot, leaves_lots);
        }
        if stays {
            // Most meet nobody: all that changes is their place.
            instrument.book.unlink(&mut self.table, slot);
            let entry = self.table.get_mut(slot).expect("a live order is in the table");
            entry.price_ticks = command.price_ticks;
            entry.leaves_lots = leaves_lots;
            return instrument.book.rest(&mut self.table, slot);
        }
        row.open_orders -= 1;
        instrument.book.unlink(&mut self.table, slot);
        instrument.state.delist(&order);
        // Read here and not kept: as a pair that is put aside and taken up again they cost more than this.
        let row = self.positions.at(position);
        let mut incoming = Incoming {
            order,
            position,
            base: row.base,
            quote: row.quote,
            side,
            limit,
            hold_minor,
            hold_ticks: limit,
            is_decremented: false,
        };
        incoming.order.price_ticks = command.price_ticks;
        incoming.order.leaves_lots = leaves_lots;
        match self.match_shown(context, &mut incoming, limit, events) {
            Stop::NoLiquidity | Stop::LimitPrice => self.rest_plain(&incoming),
            Stop::Done => self.end_filled(&incoming),
            stop => self.end_incoming(&incoming, reason_of(stop), events),
        }
    }
}
