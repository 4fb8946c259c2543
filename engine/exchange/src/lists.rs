//! Lists of orders: batches, pairs of which one cancels the other, orders that wait for another one.

use machine::{Context, EventBuffer, HEADER_LENGTH, Record};
use orderbook::Book;
use protocol::{
    CancelReason, ClientOrderId, CommandKind, ListType, MAX_LIST_ORDERS, MAX_SEQUENCE, NewClientOrderList,
    NewExtendedOrder, NewOrderList, OrderId, OrderListAccepted, OrderTerms, OrderType, RejectReason,
    Rejected, TimeInForce,
};
use zerocopy::FromBytes;

use crate::checks::{Arrival, Ticket};
use crate::entry::Membership;
use crate::exchange::Exchange;
use crate::request::{self, Request};
use crate::special::{Duty, Place};
use crate::triggers::set_free;

/// A list without its orders.
struct Head<'a> {
    list: &'a NewOrderList,
    /// What a list has that has an id of its owner's.
    client: Option<&'a NewClientOrderList>,
    kind: CommandKind,
}

/// Most orders in a list whose orders belong together.
const MOST_JOINED: usize = 3;

impl<B: Book> Exchange<B> {
    pub(crate) fn new_order_list(
        &mut self,
        context: &Context,
        command: Record<'_>,
        events: &mut EventBuffer,
    ) {
        debug_assert!(command.header().length as usize >= HEADER_LENGTH);
        let Some((head, orders)) = parse(command) else {
            return events.push(&request::unknown(command.header().kind));
        };
        if let Err(reason) = self.check_list(context, &head, orders) {
            return events.push(&head.rejected(&head.list.named(), reason));
        }
        if head.list.list_type == ListType::Batch.code() {
            head.announce(events);
            self.enter_batch(context, &head, orders, events);
        } else if let Err((order, reason)) = self.enter_joined(context, &head, orders, events) {
            return events.push(&head.rejected(&order.named(), reason));
        }
        self.sweep_after(context, events);
    }

    /// What is wrong with the list as such.
    fn check_list(
        &self,
        context: &Context,
        head: &Head<'_>,
        orders: &[NewExtendedOrder],
    ) -> Result<(), RejectReason> {
        let list = head.list;
        let well_formed = list.is_well_formed()
            && head.client.is_none_or(Request::is_well_formed)
            && orders.len() == list.count as usize
            && orders.iter().all(Request::is_well_formed);
        if !well_formed {
            return Err(RejectReason::Malformed);
        }
        if context.sequence > MAX_SEQUENCE {
            return Err(RejectReason::SequenceExhausted);
        }
        let of_one_account = orders.iter().all(|order| order.order.account == list.account);
        if !of_one_account || !fits_type(list.list_type, orders) {
            return Err(RejectReason::InvalidParameter);
        }
        if self.table.capacity() - self.table.len() < list.count {
            return Err(RejectReason::OrderTableFull);
        }
        Ok(())
    }

    /// Each order as if it came alone, but their matching has one budget of fills together: else a command could write
    /// as many times the events of another as a batch has orders.
    fn enter_batch(
        &mut self,
        context: &Context,
        head: &Head<'_>,
        orders: &[NewExtendedOrder],
        events: &mut EventBuffer,
    ) {
        let mut slots = [0; MAX_LIST_ORDERS as usize];
        for slot in slots.iter_mut().take(orders.len()) {
            *slot = self.take_slot(context);
        }
        for (order, slot) in orders.iter().zip(slots) {
            if let Err(reason) = self.enter(context, &order.order, &order.terms, Some(slot), events) {
                self.table.remove(slot);
                events.push(&head.rejected(&order.named(), reason));
            }
        }
        self.fill_budget = self.limits.fills_per_command;
    }

    /// Orders that belong together: all or none of them.
    fn enter_joined<'a>(
        &mut self,
        context: &Context,
        head: &Head<'_>,
        orders: &'a [NewExtendedOrder],
        events: &mut EventBuffer,
    ) -> Result<(), (&'a NewExtendedOrder, RejectReason)> {
        let list = head.list;
        let mut tickets: [Option<Ticket>; MOST_JOINED] = [None; MOST_JOINED];
        for (at, order) in orders.iter().enumerate() {
            let arrival = if is_inactive(list.list_type, at) { Arrival::Inactive } else { Arrival::Listed };
            let ticket = self.check_order(context, &order.order, &order.terms, arrival, &orders[..at]);
            tickets[at] = Some(ticket.map_err(|reason| (order, reason))?);
        }
        if list.list_type == ListType::OneCancelsOther.code()
            && let [Some(first), Some(second), _] = &mut tickets
        {
            first.hold_minor = first.hold_minor.max(second.hold_minor);
            second.hold_minor = 0;
        }
        head.announce(events);
        self.accept_joined(context, list, orders, &tickets, events);
        Ok(())
    }

    fn accept_joined(
        &mut self,
        context: &Context,
        list: &NewOrderList,
        orders: &[NewExtendedOrder],
        tickets: &[Option<Ticket>; MOST_JOINED],
        events: &mut EventBuffer,
    ) {
        let mut slots = [0; MOST_JOINED];
        for slot in slots.iter_mut().take(orders.len()) {
            *slot = self.take_slot(context);
        }
        let id = |at: usize| OrderId::new(context.sequence, slots[at]);
        let mut first = None;
        for (at, (order, ticket)) in orders.iter().zip(tickets.iter().flatten()).enumerate() {
            let membership = Membership {
                list_type: list.list_type,
                first: if at == 0 { OrderId::NONE } else { id(0) },
                inactive: is_inactive(list.list_type, at),
            };
            let terms = &order.terms;
            let incoming = self.accept(context, &order.order, terms, ticket, slots[at], &membership, events);
            if at == 0 {
                first = Some(incoming);
            } else if membership.inactive {
                self.set_aside(&incoming);
            } else {
                self.wait(&incoming);
            }
        }
        let [one, two, three] = slots;
        match ListType::from_code(list.list_type) {
            Some(ListType::OneCancelsOther) => self.pair(one, two, id(0), id(1), tickets[1].as_ref()),
            Some(ListType::OneTriggersOther) => {
                self.specials.at_mut(one).children = [id(1), OrderId::NONE];
            }
            Some(ListType::Bracket) => {
                self.specials.at_mut(one).children = [id(1), id(2)];
                self.pair(two, three, id(1), id(2), None);
            }
            Some(ListType::Batch) | None => {}
        }
        self.accounts.count_sent(list.account, context.timestamp_ns, list.count);
        let incoming = first.expect("a list has a first order");
        let instrument = incoming.order.instrument;
        self.send_off(context, incoming, orders[0].terms.minimum_lots, events);
        self.settle(context, instrument, events);
    }

    /// Joins two orders; the first holds for both where that is said by the second's ticket.
    fn pair(&mut self, one: u32, two: u32, one_id: OrderId, two_id: OrderId, second: Option<&Ticket>) {
        self.specials.at_mut(one).peer = two_id;
        self.specials.at_mut(two).peer = one_id;
        let need_minor = second.and_then(|ticket| {
            let order = self.table.get(two)?;
            let terms = &self.instrument_of(order).terms;
            terms.hold_minor(ticket.side, ticket.limit?, ticket.quantity_lots)
        });
        self.specials.at_mut(one).pair_hold_minor = need_minor.unwrap_or(0);
    }

    /// An accepted order waits for the first of its list.
    fn set_aside(&mut self, incoming: &crate::settlement::Incoming) {
        let order = &incoming.order;
        self.specials.at_mut(order.order_id.slot()).set_place(Place::Inactive);
        self.positions.at_mut(incoming.position).open_orders += 1;
        self.instrument_at_mut(order.instrument).state.enlist(order);
    }

    /// Does what a list has to do.
    pub(crate) fn do_duty(&mut self, context: &Context, duty: Duty, events: &mut EventBuffer) {
        match duty {
            Duty::CancelPeer(order_id) => {
                self.cancel_listed(order_id, CancelReason::OneCancelsOther, events);
            }
            Duty::CancelChildren(children) => {
                for child in children {
                    self.cancel_listed(child, CancelReason::ListEnded, events);
                }
            }
            Duty::Free(children) => self.free(context, children, events),
        }
    }

    fn cancel_listed(&mut self, order_id: OrderId, reason: CancelReason, events: &mut EventBuffer) {
        if self.table.find(order_id).is_some() {
            self.steps += 1;
            self.cancel_live(order_id.slot(), reason, ClientOrderId::NONE, events);
        }
    }

    /// Sets free what waited for a filled order. One of a pair may have been cancelled meanwhile.
    fn free(&mut self, context: &Context, children: [OrderId; 2], events: &mut EventBuffer) {
        let live = children.map(|child| self.table.find(child).is_some());
        let needs = children.map(|child| self.need_of(child));
        let need = match live {
            [true, true] => needs[0].and_then(|one| Some(one.max(needs[1]?))),
            [true, false] => needs[0],
            [false, true] => needs[1],
            [false, false] => return,
        };
        let holder = if live[0] { children[0] } else { children[1] };
        let mut incoming = self.take_back(holder.slot());
        // Only one of a pair ever trades, so one of them counts.
        let exceeds_position = self.exceeds_position(&incoming);
        let available_minor = self.wallet.at(incoming.held()).available_minor();
        let held = need.filter(|&minor| minor <= available_minor);
        let Some(hold_minor) = held.filter(|_| !exceeds_position) else {
            let reason =
                if held.is_some() { CancelReason::RiskPosition } else { CancelReason::InsufficientFunds };
            self.set_aside(&incoming);
            for child in children {
                self.cancel_listed(child, reason, events);
            }
            return;
        };
        self.wallet.reserve(incoming.held(), hold_minor).expect("it is available");
        self.steps += 1;
        incoming.hold_minor = hold_minor;
        let waits = self.specials.at(holder.slot()).terms.trigger != 0;
        self.specials.at_mut(holder.slot()).hold_minor = hold_minor;
        events.push(&set_free(&incoming, waits));
        if live == [true, true] {
            self.steps += 1;
            self.specials.at_mut(holder.slot()).pair_hold_minor = needs[1].unwrap_or(0);
            let other = self.take_back(children[1].slot());
            events.push(&set_free(&other, true));
            self.wait(&other);
        }
        incoming.order.price_ticks = incoming.limit.unwrap_or(0);
        let minimum_lots = self.specials.at(holder.slot()).terms.minimum_lots;
        self.send_off(context, incoming, minimum_lots, events);
    }

    /// What an order would hold by itself, or `None` if it is not live or that is too large.
    fn need_of(&self, order_id: OrderId) -> Option<i64> {
        let order = self.table.find(order_id)?;
        let limit_ticks = self.specials.at(order_id.slot()).limit_ticks;
        self.instrument_of(order).terms.hold_minor(order.side(), limit_ticks, order.leaves_lots)
    }
}

/// The list and its orders; `None` if the body is no list of whole orders.
fn parse<'a>(command: Record<'a>) -> Option<(Head<'a>, &'a [NewExtendedOrder])> {
    if command.header().schema_version != 1 {
        return None;
    }
    let kind = CommandKind::from_code(command.header().kind)?;
    let (head, rest) = if kind == CommandKind::NewClientOrderList {
        let (client, rest) = NewClientOrderList::ref_from_prefix(command.body()).ok()?;
        (Head { list: &client.list, client: Some(client), kind }, rest)
    } else {
        let (list, rest) = NewOrderList::ref_from_prefix(command.body()).ok()?;
        (Head { list, client: None, kind }, rest)
    };
    let orders = <[NewExtendedOrder]>::ref_from_bytes(rest).ok()?;
    (orders.len() == head.list.count as usize).then_some((head, orders))
}

impl Head<'_> {
    /// Says that the list was taken, if it has an id by which its owner would know it.
    fn announce(&self, events: &mut EventBuffer) {
        if let Some(client) = self.client {
            let NewOrderList { account, count, list_type, .. } = client.list;
            let client_list_id = client.client_list_id;
            events.push(&OrderListAccepted { account, count, client_list_id, list_type, reserved: [0; 3] });
        }
    }

    fn rejected(&self, named: &Rejected, reason: RejectReason) -> Rejected {
        Rejected { reason: reason.code(), command_kind: self.kind.code(), ..*named }
    }
}

/// Whether the order at this place waits for the first one.
fn is_inactive(list_type: u8, at: usize) -> bool {
    let waits = list_type == ListType::OneTriggersOther.code() || list_type == ListType::Bracket.code();
    waits && at > 0
}

fn fits_type(list_type: u8, orders: &[NewExtendedOrder]) -> bool {
    let of_one_instrument = |orders: &[NewExtendedOrder]| {
        orders.windows(2).all(|pair| pair[0].order.instrument == pair[1].order.instrument)
    };
    match (ListType::from_code(list_type), orders) {
        (Some(ListType::Batch), _) => true,
        (Some(ListType::OneCancelsOther), [one, two]) => is_pair(one, two),
        (Some(ListType::OneTriggersOther), [one, two]) => {
            of_one_instrument(orders) && is_first(one) && (is_later_limit(two) || is_stop(two))
        }
        (Some(ListType::Bracket), [one, two, three]) => {
            of_one_instrument(orders) && is_first(one) && is_pair(two, three)
        }
        _ => false,
    }
}

fn is_pair(one: &NewExtendedOrder, two: &NewExtendedOrder) -> bool {
    let same = one.order.instrument == two.order.instrument
        && one.order.side == two.order.side
        && one.order.quantity_lots == two.order.quantity_lots;
    let shown = one.terms.flags == 0 && one.terms.post_only == 0;
    same && is_limit(one) && stays(one) && shown && is_stop(two)
}

fn is_limit(order: &NewExtendedOrder) -> bool {
    order.order.order_type == OrderType::Limit.code()
}

fn is_stop(order: &NewExtendedOrder) -> bool {
    order.order.order_type == OrderType::Stop.code() || order.order.order_type == OrderType::StopLimit.code()
}

fn stays(order: &NewExtendedOrder) -> bool {
    let time_in_force = TimeInForce::from_code(order.order.time_in_force);
    matches!(time_in_force, Some(TimeInForce::Day | TimeInForce::GoodTillCancel | TimeInForce::GoodTillDate))
}

fn has_no_terms(order: &NewExtendedOrder) -> bool {
    let expire_time_ns = order.terms.expire_time_ns;
    order.terms == OrderTerms { expire_time_ns, ..OrderTerms::default() }
}

fn is_first(order: &NewExtendedOrder) -> bool {
    let is_market = order.order.order_type == OrderType::Market.code();
    let immediate = !crate::special::may_rest(order.order.time_in_force);
    (is_market || is_limit(order)) && (stays(order) || immediate) && has_no_terms(order)
}

fn is_later_limit(order: &NewExtendedOrder) -> bool {
    is_limit(order) && stays(order) && has_no_terms(order)
}
