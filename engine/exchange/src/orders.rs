//! New orders, and what becomes of an incoming order once it has been accepted or replaced.

use machine::{Context, EventBuffer};
use orderbook::{Book, Order, OrderTable, Stop, Taker};
use protocol::{
    AccountId, AmountMinor, CancelReason, ClientOrderId, CreateInstrument, MAX_AMOUNT_MINOR, MAX_PRICE_TICKS,
    MAX_QUANTITY_LOTS, NewOrder, OrderAccepted, OrderId, OrderType, QuantityLots, RejectReason,
    SelfTradePrevention, Side, TimeInForce,
};
use wallet::{BalanceSlot, Wallet};

use crate::client_index::NO_CLIENT_ID;
use crate::exchange::{Exchange, Slots, day_count, place};
use crate::instrument::Instrument;
use crate::settlement::{Incoming, Settlement, canceled};

impl<B: Book> Exchange<B> {
    pub(crate) fn new_order(
        &mut self,
        context: &Context,
        command: &NewOrder,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        let client_hash = self.check_identity(command)?;
        let instrument = self.instruments.get_mut(place(command.instrument)).and_then(Option::as_mut);
        let instrument = instrument.ok_or(RejectReason::UnknownInstrument)?;
        let side = side_of(command.side);
        let fills_per_command = self.limits.fills_per_command;
        let hold_minor = required_hold(instrument, &self.table, command, fills_per_command)
            .ok_or(RejectReason::NotionalTooLarge)?;
        let slot = self.table.next_slot().ok_or(RejectReason::OrderTableFull)?;
        let created = &instrument.created;
        let slots = open_balances(&mut self.wallet, created, command.account, side, hold_minor)?;
        let fees = match instrument.fees {
            Some(fees) => fees,
            None => self.wallet.find_or_open(AccountId::FEES, created.quote_asset),
        };
        instrument.fees = Some(fees);
        self.wallet.reserve(slots.held(side), hold_minor)?;

        let order_id = OrderId::new(context.sequence, slot);
        events.push(&accepted(order_id, command, hold_minor));
        // Indexed only if it rests: until then no other command can ask for it.
        let order = Order::new(order_id, command, NO_CLIENT_ID, slots.pack());
        let inserted = self.table.insert(order);
        debug_assert_eq!(inserted, Some(slot));
        let is_market = command.order_type == OrderType::Market.code();
        let limit = (!is_market).then_some(command.price_ticks);
        let mut incoming = Incoming { order, slots, side, limit, hold_minor };
        if command.time_in_force == TimeInForce::FillOrKill.code() {
            let taker = taker_of(&incoming, fills_per_command);
            let wanted_lots = taker.quantity_lots;
            if instrument.book.available(&self.table, &taker, wanted_lots) < wanted_lots {
                self.end_incoming(&incoming, CancelReason::FillOrKill, events);
                return Ok(());
            }
        }
        let stop = self.match_incoming(&mut incoming, fees, events);
        let may_rest = command.time_in_force != TimeInForce::ImmediateOrCancel.code();
        match stop {
            Stop::NoLiquidity | Stop::LimitPrice if may_rest => {
                incoming.order.client_index = client_hash;
                self.clients.insert(client_hash, slot, &command.client_order_id);
                self.rest_incoming(&incoming.order);
            }
            _ => self.end_after(stop, &incoming, events),
        }
        Ok(())
    }

    /// The checks up to `DuplicateClientOrderId`; returns the hash of the client order id.
    #[inline]
    fn check_identity(&self, command: &NewOrder) -> Result<u32, RejectReason> {
        if !self.wallet.is_client(command.account) {
            return Err(RejectReason::UnknownAccount);
        }
        if !self.has_instrument(command.instrument) {
            return Err(RejectReason::UnknownInstrument);
        }
        let is_market = command.order_type == OrderType::Market.code();
        let prices = if is_market { 0..=0 } else { 1..=MAX_PRICE_TICKS };
        if !prices.contains(&command.price_ticks) {
            return Err(RejectReason::InvalidPrice);
        }
        if !(1..=MAX_QUANTITY_LOTS).contains(&command.quantity_lots) {
            return Err(RejectReason::InvalidQuantity);
        }
        let immediate = command.time_in_force == TimeInForce::ImmediateOrCancel.code()
            || command.time_in_force == TimeInForce::FillOrKill.code();
        if is_market && !immediate {
            return Err(RejectReason::InvalidTimeInForce);
        }
        let id = &command.client_order_id;
        let hash = self.clients.hash(command.account, id);
        if self.clients.find(&self.table, hash, command.account, id).is_some() {
            return Err(RejectReason::DuplicateClientOrderId);
        }
        Ok(hash)
    }

    /// Matches an order that is in the table but not in the book, and settles its fills.
    #[inline]
    pub(crate) fn match_incoming(
        &mut self,
        incoming: &mut Incoming,
        fees: BalanceSlot,
        events: &mut EventBuffer,
    ) -> Stop {
        let taker = taker_of(incoming, self.limits.fills_per_command);
        let instrument = self.instruments[place(incoming.order.instrument)].as_mut();
        let instrument = instrument.expect("an accepted order has an instrument");
        let mut sink = Settlement {
            wallet: &mut self.wallet,
            clients: &mut self.clients,
            events,
            next_trade_id: &mut self.next_trade_id,
            day_orders: &mut instrument.day_orders,
            terms: &instrument.terms,
            instrument: instrument.created.instrument,
            fees,
            taker: incoming,
        };
        let execution = instrument.book.execute(&mut self.table, &taker, &mut sink);
        debug_assert_eq!(execution.remaining_lots, incoming.order.leaves_lots);
        execution.stop
    }

    /// Puts what is left of an incoming order into the book. It is in the table already.
    #[inline]
    pub(crate) fn rest_incoming(&mut self, order: &Order) {
        let slot = order.order_id.slot();
        let instrument = self.instruments[place(order.instrument)].as_mut();
        let instrument = instrument.expect("an accepted order has an instrument");
        let entry = self.table.get_mut(slot).expect("an incoming order is in the table");
        *entry = *order;
        instrument.day_orders += day_count(order);
        instrument.book.rest(&mut self.table, slot);
    }

    /// Ends an incoming order that does not rest.
    #[inline]
    pub(crate) fn end_after(&mut self, stop: Stop, incoming: &Incoming, events: &mut EventBuffer) {
        let reason = match stop {
            Stop::Done => {
                let order = &incoming.order;
                self.wallet.release(incoming.slots.held(incoming.side), incoming.hold_minor);
                self.clients.remove(order.client_index, order.order_id.slot());
                self.table.remove(order.order_id.slot());
                return;
            }
            Stop::NoLiquidity | Stop::LimitPrice => CancelReason::ImmediateOrCancel,
            Stop::SelfTrade => CancelReason::SelfTrade,
            Stop::FillLimit => CancelReason::FillLimit,
        };
        self.end_incoming(incoming, reason, events);
    }

    fn end_incoming(&mut self, incoming: &Incoming, reason: CancelReason, events: &mut EventBuffer) {
        let order = &incoming.order;
        self.wallet.release(incoming.slots.held(incoming.side), incoming.hold_minor);
        self.clients.remove(order.client_index, order.order_id.slot());
        self.table.remove(order.order_id.slot());
        events.push(&canceled(order, incoming.hold_minor, reason, ClientOrderId::NONE));
    }
}

/// What must be held for a new order, or `None` if that exceeds [`MAX_AMOUNT_MINOR`].
#[inline]
fn required_hold<B: Book>(
    instrument: &Instrument<B>,
    table: &OrderTable,
    command: &NewOrder,
    fills_per_command: u32,
) -> Option<AmountMinor> {
    let side = side_of(command.side);
    if command.order_type == OrderType::Limit.code() || side == Side::Sell {
        return instrument.terms.hold_minor(side, command.price_ticks, command.quantity_lots);
    }
    let skips_own = command.self_trade_prevention == SelfTradePrevention::CancelOldest.code();
    let ticks_times_lots = if skips_own {
        cost_of_others(&instrument.book, table, command.account, command.quantity_lots, fills_per_command)
    } else {
        instrument.book.cost(table, Side::Buy, command.quantity_lots).ticks_times_lots
    };
    let quote_minor = instrument.terms.quote_minor_of_sum(ticks_times_lots)?;
    let hold_minor = quote_minor + instrument.terms.taker_fee_minor(quote_minor);
    (hold_minor <= MAX_AMOUNT_MINOR).then_some(hold_minor)
}

/// Price times quantity of what others offer among the first `orders` resting sells. Under `CancelOldest` the buyer's
/// own orders go, and the quantity is taken from those behind them, which cost more.
fn cost_of_others<B: Book>(
    book: &B,
    table: &OrderTable,
    account: AccountId,
    quantity_lots: QuantityLots,
    orders: u32,
) -> i128 {
    let levels = book.levels(table, Side::Sell);
    let slots = levels.flat_map(|level| book.queue(table, Side::Sell, level.price_ticks));
    let (mut left, mut sum) = (quantity_lots, 0);
    for order in slots.take(orders as usize).filter_map(|slot| table.get(slot)) {
        if left == 0 {
            break;
        }
        if order.account != account {
            let lots = left.min(order.leaves_lots);
            sum += i128::from(lots) * i128::from(order.price_ticks);
            left -= lots;
        }
    }
    sum
}

/// The balances that an order moves. Opens those that are missing, once it is certain that there is room for all of
/// them (FEES in the quote asset included) and that the hold is available.
#[inline]
fn open_balances(
    wallet: &mut Wallet,
    created: &CreateInstrument,
    account: AccountId,
    side: Side,
    hold_minor: AmountMinor,
) -> Result<Slots, RejectReason> {
    let base = wallet.find(account, created.base_asset);
    let quote = wallet.find(account, created.quote_asset);
    if wallet.free_balances() < 3 {
        let fees = wallet.find(AccountId::FEES, created.quote_asset);
        let missing = [base, quote, fees].iter().filter(|slot| slot.is_none()).count();
        if missing > wallet.free_balances() {
            return Err(RejectReason::BalanceTableFull);
        }
    }
    let held = match side {
        Side::Buy => quote,
        Side::Sell => base,
    };
    if hold_minor > held.map_or(0, |slot| wallet.at(slot).available_minor()) {
        return Err(RejectReason::InsufficientFunds);
    }
    Ok(Slots {
        base: base.unwrap_or_else(|| wallet.find_or_open(account, created.base_asset)),
        quote: quote.unwrap_or_else(|| wallet.find_or_open(account, created.quote_asset)),
    })
}

#[inline]
fn taker_of(incoming: &Incoming, max_fills: u32) -> Taker {
    let order = &incoming.order;
    let prevention = SelfTradePrevention::from_code(order.self_trade_prevention);
    Taker {
        account: order.account,
        side: incoming.side,
        limit: incoming.limit,
        quantity_lots: order.leaves_lots,
        self_trade_prevention: prevention.expect("it was checked when the order was accepted"),
        max_fills,
    }
}

/// A side whose code has been checked.
#[inline]
fn side_of(code: u8) -> Side {
    if code == Side::Buy.code() { Side::Buy } else { Side::Sell }
}

#[inline]
fn accepted(order_id: OrderId, command: &NewOrder, hold_minor: AmountMinor) -> OrderAccepted {
    OrderAccepted {
        order_id,
        price_ticks: command.price_ticks,
        quantity_lots: command.quantity_lots,
        hold_minor,
        account: command.account,
        instrument: command.instrument,
        client_order_id: command.client_order_id,
        side: command.side,
        order_type: command.order_type,
        time_in_force: command.time_in_force,
        self_trade_prevention: command.self_trade_prevention,
    }
}
