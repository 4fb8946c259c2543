//! New orders: acceptance, and where they go first.

use machine::{Context, EventBuffer};
use orderbook::{Book, Order, Stop};
use protocol::{
    AccountId, ExtendedOrderAccepted, MAX_PRICE_TICKS, MAX_QUANTITY_LOTS, NewExtendedOrder, NewOrder,
    OrderAccepted, OrderId, OrderTerms, OrderType, Phase, RejectReason, Side, TimeInForce,
};

use crate::checks::{Arrival, Ticket, side_of_code};
use crate::client_index::NO_CLIENT_ID;
use crate::exchange::{Exchange, place};
use crate::matching::reason_of;
use crate::positions::PositionSlot;
use crate::settlement::{Incoming, position_of, user_of};
use crate::special::{Place, Special, flags, may_rest};
use crate::terms_check::is_plain_kind;

/// An order's place in a list.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Membership {
    pub(crate) list_type: u8,
    /// First order of the list; none for that one itself.
    pub(crate) first: OrderId,
    pub(crate) inactive: bool,
}

impl<B: Book> Exchange<B> {
    pub(crate) fn new_order(
        &mut self,
        context: &Context,
        command: &NewOrder,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        if self.is_fast(command) {
            return self.new_plain_order(context, command, events);
        }
        self.enter(context, command, &OrderTerms::default(), None, events)
    }

    pub(crate) fn new_extended_order(
        &mut self,
        context: &Context,
        command: &NewExtendedOrder,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        self.enter(context, &command.order, &command.terms, None, events)
    }

    /// Whether an order meets nothing special: it is plain, and so are its account and the instrument now.
    #[inline]
    fn is_fast(&self, command: &NewOrder) -> bool {
        let instrument = self.instruments.get(place(command.instrument)).and_then(Option::as_ref);
        is_plain_kind(command)
            && instrument.is_some_and(|instrument| instrument.state.is_plain())
            && self.accounts.is_plain(command.account)
    }

    /// The way of a plain order, with the checks that are left for it, in the same order.
    #[inline]
    fn new_plain_order(
        &mut self,
        context: &Context,
        command: &NewOrder,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        let side = side_of_code(command.side);
        // Known at once, and needed behind the checks: level and position are asked for now.
        self.positions.prefetch(command.account, command.instrument);
        self.instrument_at(command.instrument).book.prefetch_level(side, command.price_ticks);
        let client_hash = self.check_plain(command)?;
        let is_market = command.order_type == OrderType::Market.code();
        let limit = (!is_market).then_some(command.price_ticks);
        let position = self.positions.find(command.account, command.instrument);
        let instrument = self.instrument_at(command.instrument);
        let own_risk = position.is_some_and(|slot| self.positions.at(slot).risk != 0);
        if position.is_none() || instrument.fees.is_none() || own_risk || (is_market && side == Side::Buy) {
            return self.enter(context, command, &OrderTerms::default(), None, events);
        }
        let hold = instrument.terms.hold_minor(side, command.price_ticks, command.quantity_lots);
        let hold_minor = hold.ok_or(RejectReason::NotionalTooLarge)?;
        let slot = self.table.next_slot().ok_or(RejectReason::OrderTableFull)?;
        let position = position.expect("it was found");
        let row = self.positions.at(position);
        if row.is_full(side) {
            return self.enter(context, command, &OrderTerms::default(), None, events);
        }
        self.wallet.reserve(row.held(side), hold_minor)?;

        let order_id = OrderId::new(context.sequence, slot);
        events.push(&accepted(order_id, command, hold_minor));
        if may_rest(command.time_in_force) && !self.meets_shown(command.instrument, side, limit) {
            self.rest_at_once(order_id, command, client_hash, user_of(position, context.source));
            self.settle_plain(context, command.instrument, events);
            return Ok(());
        }
        // Indexed only if it rests: until then no other command can ask for it.
        let order = Order::new(order_id, command, NO_CLIENT_ID, user_of(position, context.source));
        let inserted = self.table.insert(order);
        debug_assert_eq!(inserted, Some(slot));
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
        self.match_plain(context, command, client_hash, &mut incoming, events);
        self.settle_plain(context, command.instrument, events);
        Ok(())
    }

    /// The way of most orders: they meet nobody, so all that they need is their places.
    #[inline]
    fn rest_at_once(&mut self, order_id: OrderId, command: &NewOrder, client_hash: u32, user: u64) {
        let slot = order_id.slot();
        self.clients.insert(client_hash, slot, command.account, &command.client_order_id);
        let order = Order::new(order_id, command, client_hash, user);
        let inserted = self.table.insert(order);
        debug_assert_eq!(inserted, Some(slot));
        let position = self.positions.at_mut(position_of(&order));
        *position.open_lots_mut(order.side()) += order.leaves_lots;
        position.open_orders += 1;
        let instrument = self.instruments[place(command.instrument)].as_mut();
        let instrument = instrument.expect("an accepted order has an instrument");
        instrument.state.enlist(&order);
        instrument.book.rest(&mut self.table, slot);
    }

    #[inline]
    fn match_plain(
        &mut self,
        context: &Context,
        command: &NewOrder,
        client_hash: u32,
        incoming: &mut Incoming,
        events: &mut EventBuffer,
    ) {
        let id = &command.client_order_id;
        if command.time_in_force == TimeInForce::FillOrKill.code() {
            let taker = self.taker_of(incoming, incoming.limit, self.fill_budget);
            let wanted_lots = taker.quantity_lots;
            let book = &self.instrument_at(command.instrument).book;
            if book.available(&self.table, &taker, wanted_lots) < wanted_lots {
                self.clients.remember(client_hash, command.account, id);
                return self.end_incoming(incoming, protocol::CancelReason::FillOrKill, events);
            }
        }
        let stop = self.match_shown(context, incoming, incoming.limit, events);
        match stop {
            Stop::NoLiquidity | Stop::LimitPrice if may_rest(command.time_in_force) => {
                incoming.order.client_index = client_hash;
                self.clients.insert(client_hash, incoming.order.order_id.slot(), command.account, id);
                self.rest_plain(incoming);
            }
            Stop::Done => {
                self.clients.remember(client_hash, command.account, id);
                self.end_filled(incoming);
            }
            stop => {
                self.clients.remember(client_hash, command.account, id);
                self.end_incoming(incoming, reason_of(stop), events);
            }
        }
    }

    /// The checks up to `DuplicateClientOrderId`; returns the hash of the client order id.
    #[inline]
    fn check_plain(&self, command: &NewOrder) -> Result<u32, RejectReason> {
        if !self.wallet.is_client(command.account) {
            return Err(RejectReason::UnknownAccount);
        }
        let is_market = command.order_type == OrderType::Market.code();
        let prices = if is_market { 0..=0 } else { 1..=MAX_PRICE_TICKS };
        if !prices.contains(&command.price_ticks) {
            return Err(RejectReason::InvalidPrice);
        }
        if !(1..=MAX_QUANTITY_LOTS).contains(&command.quantity_lots) {
            return Err(RejectReason::InvalidQuantity);
        }
        if is_market && may_rest(command.time_in_force) {
            return Err(RejectReason::InvalidTimeInForce);
        }
        let id = &command.client_order_id;
        let hash = self.clients.hash(command.account, id);
        if self.clients.is_used(&self.table, hash, command.account, id) {
            return Err(RejectReason::DuplicateClientOrderId);
        }
        Ok(hash)
    }

    /// The way of any order: all checks, acceptance, and in.
    pub(crate) fn enter(
        &mut self,
        context: &Context,
        order: &NewOrder,
        terms: &OrderTerms,
        slot: Option<u32>,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        let arrival = if slot.is_some() { Arrival::Listed } else { Arrival::Alone };
        let ticket = self.check_order(context, order, terms, arrival, &[])?;
        let slot = match slot {
            Some(slot) => slot,
            None => self.take_slot(context),
        };
        let none = Membership::default();
        let incoming = self.accept(context, order, terms, &ticket, slot, &none, events);
        self.accounts.count_sent(order.account, context.timestamp_ns, 1);
        let (budget, steps_before) = (self.fill_budget, self.steps);
        self.send_off(context, incoming, terms.minimum_lots, events);
        let taken = self.steps - steps_before;
        // What it sets off has a budget of its own.
        self.fill_budget = self.limits.fills_per_command;
        self.settle(context, order.instrument, events);
        if arrival == Arrival::Listed {
            self.fill_budget = budget.saturating_sub(taken);
        }
        Ok(())
    }

    /// Takes a slot for an order that is still to be filled in.
    pub(crate) fn take_slot(&mut self, context: &Context) -> u32 {
        let slot = self.table.next_slot().expect("it was checked that there is one");
        let order_id = OrderId::new(context.sequence, slot);
        let inserted = self.table.insert(Order::new(order_id, &NewOrder::default(), NO_CLIENT_ID, 0));
        debug_assert_eq!(inserted, Some(slot));
        slot
    }

    /// Accepts an order that has passed its checks: balances, position, hold, event, and its rows in the tables.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn accept(
        &mut self,
        context: &Context,
        order: &NewOrder,
        terms: &OrderTerms,
        ticket: &Ticket,
        slot: u32,
        membership: &Membership,
        events: &mut EventBuffer,
    ) -> Incoming {
        let position = self.open_position(order);
        let row = *self.positions.at(position);
        let side = ticket.side;
        let order_id = OrderId::new(context.sequence, slot);
        let effective = NewOrder {
            price_ticks: ticket.limit.unwrap_or(0),
            quantity_lots: ticket.quantity_lots,
            ..*order
        };
        let is_plain = is_plain_kind(order)
            && *terms == OrderTerms::default()
            && !crate::checks::joins(membership.list_type);
        let reserved = self.wallet.reserve(row.held(side), ticket.hold_minor);
        reserved.expect("the checks found it available");
        let mut entry =
            Order::new(order_id, &effective, ticket.client_hash, user_of(position, context.source));
        if is_plain {
            events.push(&accepted(order_id, &effective, ticket.hold_minor));
        } else {
            entry.flags |= flags::EXTENDED;
            let now = OrderTerms { trigger_price_ticks: ticket.trigger_ticks, ..*terms };
            *self.specials.at_mut(slot) = special_of(order, &now, ticket, membership);
            if ticket.target_ticks != 0 {
                entry.price_ticks = ticket.target_ticks;
            }
            events.push(&extended_accepted(order_id, &effective, terms, ticket.hold_minor, membership));
        }
        if terms.expire_time_ns != 0 {
            self.specials.expiries.insert(order_id, terms.expire_time_ns);
            self.due_ns = self.due_ns.min(terms.expire_time_ns);
        }
        *self.table.get_mut(slot).expect("its slot was taken") = entry;
        self.clients.insert(ticket.client_hash, slot, order.account, &order.client_order_id);
        let limit = if ticket.target_ticks != 0 { Some(ticket.target_ticks) } else { ticket.limit };
        Incoming {
            order: entry,
            position,
            base: row.base,
            quote: row.quote,
            side,
            limit,
            hold_minor: ticket.hold_minor,
            hold_ticks: if ticket.is_prepaid { None } else { ticket.limit },
            is_decremented: false,
        }
    }

    fn open_position(&mut self, order: &NewOrder) -> PositionSlot {
        let at = place(order.instrument);
        let instrument = self.instruments[at].as_mut().expect("an accepted order has an instrument");
        let created = &instrument.created;
        let (base_asset, quote_asset) = (created.base_asset, created.quote_asset);
        if instrument.fees.is_none() {
            instrument.fees = Some(self.wallet.find_or_open(AccountId::FEES, quote_asset));
        }
        if let Some(slot) = self.positions.find(order.account, order.instrument) {
            return slot;
        }
        let base = self.wallet.find_or_open(order.account, base_asset);
        let quote = self.wallet.find_or_open(order.account, quote_asset);
        let slot = self.positions.open(order.account, order.instrument, base, quote);
        self.positions.at_mut(slot).risk = self.risk.number(order.account, order.instrument);
        slot
    }

    /// An accepted order goes where it belongs: to its queue of triggers, aside until the close, or to the book.
    pub(crate) fn send_off(
        &mut self,
        context: &Context,
        incoming: Incoming,
        minimum_lots: i64,
        events: &mut EventBuffer,
    ) {
        let special = self.specials.of(&incoming.order).copied();
        if special.is_some_and(|special| special.terms.trigger != 0) {
            return self.wait(&incoming);
        }
        let phase = self.instrument_of(&incoming.order).state.phase;
        let closing = incoming.order.time_in_force == TimeInForce::AtTheClose.code();
        if closing && phase != Phase::ClosingAuction {
            return self.park(&incoming);
        }
        self.come_in(context, incoming, minimum_lots, events);
    }

    /// Puts an order aside until the closing auction.
    fn park(&mut self, incoming: &Incoming) {
        let order = &incoming.order;
        let slot = order.order_id.slot();
        let special = self.specials.at_mut(slot);
        special.set_place(Place::Parked);
        special.hold_minor = incoming.hold_minor;
        self.count_open(incoming);
        *self.table.get_mut(slot).expect("an incoming order is in the table") = *order;
        let state = &mut self.instruments[place(order.instrument)].as_mut().expect("it exists").state;
        state.enlist(order);
        self.specials.join(&mut state.parked, &self.table, slot);
    }

    /// Counts an order that stays as open.
    pub(crate) fn count_open(&mut self, incoming: &Incoming) {
        let position = self.positions.at_mut(incoming.position);
        *position.open_lots_mut(incoming.side) += incoming.order.leaves_lots;
        position.open_orders += 1;
    }
}

fn special_of(order: &NewOrder, terms: &OrderTerms, ticket: &Ticket, membership: &Membership) -> Special {
    let mut special = Special {
        terms: *terms,
        limit_ticks: ticket.limit.unwrap_or(0),
        hold_minor: ticket.hold_minor,
        order_type: order.order_type,
        list_type: membership.list_type,
        ..Special::default()
    };
    special.set_place(if membership.inactive { Place::Inactive } else { Place::Active });
    special
}

#[inline]
fn accepted(order_id: OrderId, command: &NewOrder, hold_minor: i64) -> OrderAccepted {
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

fn extended_accepted(
    order_id: OrderId,
    order: &NewOrder,
    terms: &OrderTerms,
    hold_minor: i64,
    membership: &Membership,
) -> ExtendedOrderAccepted {
    ExtendedOrderAccepted {
        order: accepted(order_id, order, hold_minor),
        terms: *terms,
        list_order_id: membership.first,
        list_type: membership.list_type,
        inactive: u8::from(membership.inactive),
        reserved: [0; 6],
    }
}
