//! Lists of orders, and what follows from one order of a list for the others.

use alloc::vec::Vec;

use machine::{EventBuffer, Record};
use protocol::{
    CancelReason, ClientOrderId, CommandKind, ListType, NewClientOrderList, NewExtendedOrder, NewOrderList,
    OrderId, OrderListAccepted, OrderTerms, OrderType, RejectReason, Rejected, TimeInForce, term_flags,
};
use zerocopy::FromBytes;

use super::checks::Reasons;
use super::orders::OfList;
use super::rules::Judged;
use super::terms::{Standing, rests, side_of, time_of, type_of};
use super::{ListWork, NaiveExchange, form, names};

impl NaiveExchange {
    pub(crate) fn new_list(&mut self, command: Record<'_>, events: &mut EventBuffer) -> Result<(), Rejected> {
        let Some((list, id, orders)) = parse(command) else {
            return Err(names::reject(RejectReason::Malformed, Rejected::default()));
        };
        let named = Rejected { account: list.account, ..Rejected::default() };
        let malformed = id.is_some_and(|it| !form::list_id(&it));
        self.check_form(!malformed).map_err(|reason| names::reject(reason, named))?;
        self.check_list(&list, &orders).map_err(|reason| names::reject(reason, named))?;
        let taken = id.map(|it| OrderListAccepted {
            account: list.account,
            count: orders.len() as u32,
            client_list_id: it.client_list_id,
            list_type: list.list_type,
            reserved: [0; 3],
        });
        if list.list_type == ListType::Batch.code() {
            taken.iter().for_each(|taken| events.push(taken));
            self.batch(command.header().kind, &orders, events);
            return Ok(());
        }
        let standings = self.check_joined(list.list_type == ListType::OneCancelsOther.code(), &orders)?;
        taken.iter().for_each(|taken| events.push(taken));
        self.joined(list.list_type, &orders, &standings, events);
        Ok(())
    }

    /// What concerns the list as a whole.
    fn check_list(&self, list: &NewOrderList, orders: &[NewExtendedOrder]) -> Result<(), RejectReason> {
        let well_formed = |it: &NewExtendedOrder| form::order(&it.order) && form::terms(&it.terms);
        self.check_form(form::list(list) && orders.iter().all(well_formed))?;
        let one_account = orders.iter().all(|it| it.order.account == list.account);
        let shape_fits = match (ListType::from_code(list.list_type).expect("it is well formed"), orders) {
            (ListType::Batch, _) => true,
            (ListType::OneCancelsOther, [limit, stop]) => is_pair(limit, stop),
            (ListType::OneTriggersOther, [first, second]) => {
                is_trigger(first) && is_triggered(second) && same_instrument(first, second)
            }
            (ListType::Bracket, [first, limit, stop]) => {
                is_trigger(first) && is_pair(limit, stop) && same_instrument(first, limit)
            }
            _ => false,
        };
        let mut reasons = Reasons::default();
        reasons.unless(one_account && shape_fits, RejectReason::InvalidParameter);
        reasons.result()?;
        reasons.unless(self.free_slots.len() >= orders.len(), RejectReason::OrderTableFull);
        reasons.result()
    }

    /// The slots of a list are taken before the first order is looked at.
    fn take_slots(&mut self, count: usize) -> Vec<u32> {
        (0..count).map(|_| self.free_slots.pop().expect("it was checked for")).collect()
    }

    /// Each order as if it came alone.
    fn batch(&mut self, command_kind: u16, orders: &[NewExtendedOrder], events: &mut EventBuffer) {
        let slots = self.take_slots(orders.len());
        let all = self.limits.fills_per_command;
        let mut left = all;
        for (it, slot) in orders.iter().zip(slots) {
            match self.check_order(it, true) {
                Ok(standing) => {
                    self.accept(it, &standing, slot, OfList::default(), events);
                    let before = self.steps;
                    self.fills = left;
                    self.come_in(slot, events);
                    self.fills = all;
                    left = left.saturating_sub(self.steps - before);
                    self.leave_work(it.order.instrument);
                    self.work(false, events);
                }
                Err(reason) => {
                    self.free_slots.push(slot);
                    let named = names::of_order(&it.order);
                    events.push(&Rejected { command_kind, ..names::reject(reason, named) });
                }
            }
        }
    }

    /// A list whose orders have to do with each other: all or none of them.
    fn joined(
        &mut self,
        list_type: u8,
        orders: &[NewExtendedOrder],
        standings: &[Standing],
        events: &mut EventBuffer,
    ) {
        let is_pair = list_type == ListType::OneCancelsOther.code();
        let slots = self.take_slots(orders.len());
        let mut ids = Vec::new();
        for (number, ((it, standing), &slot)) in orders.iter().zip(standings).zip(&slots).enumerate() {
            let first = ids.first().copied().unwrap_or(OrderId::NONE);
            let inactive = number > 0 && !is_pair;
            ids.push(self.accept(it, standing, slot, OfList { list_type, first, inactive }, events));
        }
        if let [.., one, other] = ids[..]
            && list_type != ListType::OneTriggersOther.code()
        {
            self.order_mut(one.slot()).pair = Some(other);
            self.order_mut(other.slot()).pair = Some(one);
        }
        if is_pair {
            self.order_mut(slots[0]).holds_for_pair = true;
            // The stop begins to wait before the limit order is matched.
            self.come_in(slots[1], events);
        } else {
            let child = |number: usize| ids.get(number).copied().unwrap_or(OrderId::NONE);
            self.order_mut(slots[0]).children = [child(1), child(2)];
        }
        self.come_in(slots[0], events);
        self.leave_work(orders[0].order.instrument);
    }

    /// Each order as if it came alone. What each stands for, with the hold that it gets.
    fn check_joined(&self, is_pair: bool, orders: &[NewExtendedOrder]) -> Result<Vec<Standing>, Rejected> {
        let mut standings = Vec::new();
        for (number, it) in orders.iter().enumerate() {
            let is_active = is_pair || number == 0;
            let standing = self.check_member(it, &orders[..number], is_active);
            standings.push(
                standing.map_err(|reason| names::reject(reason, names::of_order(&orders[number].order)))?,
            );
        }
        if is_pair {
            standings[0].hold = standings[0].hold.max(standings[1].hold);
        }
        for standing in &mut standings[1..] {
            standing.hold = 0;
        }
        Ok(standings)
    }

    /// The four stages for one order of a list; an inactive one is spared most of the last two.
    fn check_member(
        &self,
        it: &NewExtendedOrder,
        before: &[NewExtendedOrder],
        is_active: bool,
    ) -> Result<Standing, RejectReason> {
        let id = it.order.client_order_id;
        let mut reasons = Reasons::default();
        if let Err(reason) = self.check_order_form(it) {
            reasons.0.push(reason);
        }
        let repeats = before.iter().any(|other| other.order.client_order_id == id);
        reasons.unless(id.is_none() || !repeats, RejectReason::DuplicateClientOrderId);
        reasons.result()?;
        let standing = self.stand(it)?;
        let judged = Judged { before: before.len(), ..Judged::of_new(it, &standing) };
        if !is_active {
            // It is no open quantity yet.
            let judged = Judged { growth: 0, ..judged };
            let mut reasons = self.rules_of_price(&judged);
            self.risk(&judged, &mut reasons);
            Reasons(reasons).result()?;
            return Ok(standing);
        }
        let order = &it.order;
        let mut reasons = self.check_room(it, &standing);
        let available = self.available_for(order.account, order.instrument, side_of(order.side));
        reasons.unless(standing.hold <= available, RejectReason::InsufficientFunds);
        reasons.result()?;
        Reasons(self.rules_and_risk(&judged)).result()?;
        Ok(standing)
    }

    /// What a list has to do next. Orders that are no longer live are nobody's business.
    pub(crate) fn do_list_work(&mut self, work: ListWork, events: &mut EventBuffer) {
        match work {
            ListWork::CancelOther(id) => self.cancel_of_list(id, CancelReason::OneCancelsOther, events),
            ListWork::End(ids) => {
                for id in ids {
                    self.cancel_of_list(id, CancelReason::ListEnded, events);
                }
            }
            ListWork::Free(ids) => self.free(ids, events),
        }
    }

    fn cancel_of_list(&mut self, id: OrderId, reason: CancelReason, events: &mut EventBuffer) {
        if let Some(slot) = self.slot_of(id) {
            self.steps += 1;
            self.cancel(slot, reason, ClientOrderId::NONE, events);
        }
    }

    /// Orders that waited for another become active.
    fn free(&mut self, ids: [OrderId; 2], events: &mut EventBuffer) {
        let slots: Vec<u32> = ids.iter().filter_map(|&id| self.slot_of(id)).collect();
        let needs = slots.iter().map(|slot| self.need_of(&self.orders[slot]));
        let Some((need, &first)) = needs.max().zip(slots.first()) else { return };
        let order = &self.orders[&first];
        let (account, asset) = self.hold_key(order);
        let refused = if need > self.available_funds(account, asset) {
            Some(CancelReason::InsufficientFunds)
        } else if self.exceeds_position(account, order.instrument, order.side, order.leaves()) {
            Some(CancelReason::RiskPosition)
        } else {
            None
        };
        if let Some(reason) = refused {
            ids.into_iter().for_each(|id| self.cancel_of_list(id, reason, events));
            return;
        }
        self.set_hold(first, need);
        self.order_mut(first).holds_for_pair = slots.len() == 2;
        for &slot in &slots {
            self.steps += 1;
            let waits = Self::is_stop(&self.orders[&slot]);
            self.say_triggered(slot, waits, events);
        }
        for &slot in slots.iter().rev() {
            self.come_in(slot, events);
        }
    }
}

/// A list, the head of one that has an id, and the orders.
type Parsed = (NewOrderList, Option<NewClientOrderList>, Vec<NewExtendedOrder>);

/// The list and its orders, if the body has the length that its count asks for.
fn parse(command: Record<'_>) -> Option<Parsed> {
    if command.header().schema_version != 1 {
        return None;
    }
    let (mut list, mut rest) = NewOrderList::read_from_prefix(command.body()).ok()?;
    let mut id = None;
    if command.header().kind == CommandKind::NewClientOrderList.code() {
        let (head, orders) = NewClientOrderList::read_from_prefix(command.body()).ok()?;
        (list, id, rest) = (head.list, Some(head), orders);
    }
    let orders = rest.chunks(size_of::<NewExtendedOrder>());
    let orders: Option<Vec<_>> = orders.map(|bytes| NewExtendedOrder::read_from_bytes(bytes).ok()).collect();
    let orders = orders.filter(|orders| orders.len() as u64 == u64::from(list.count))?;
    Some((list, id, orders))
}

fn same_instrument(one: &NewExtendedOrder, other: &NewExtendedOrder) -> bool {
    one.order.instrument == other.order.instrument
}

fn has_no_other_terms(it: &NewExtendedOrder) -> bool {
    it.terms == OrderTerms { expire_time_ns: it.terms.expire_time_ns, ..OrderTerms::default() }
}

fn is_stop_type(it: &NewExtendedOrder) -> bool {
    matches!(type_of(&it.order), OrderType::Stop | OrderType::StopLimit)
}

fn is_pair(limit: &NewExtendedOrder, stop: &NewExtendedOrder) -> bool {
    same_instrument(limit, stop)
        && limit.order.side == stop.order.side
        && limit.order.quantity_lots == stop.order.quantity_lots
        && type_of(&limit.order) == OrderType::Limit
        && rests(time_of(&limit.order))
        && limit.terms.flags & (term_flags::HIDDEN | term_flags::ALL_OR_NONE) == 0
        && limit.terms.post_only == 0
        && is_stop_type(stop)
}

fn is_trigger(first: &NewExtendedOrder) -> bool {
    let time = time_of(&first.order);
    let immediate = matches!(time, TimeInForce::ImmediateOrCancel | TimeInForce::FillOrKill);
    matches!(type_of(&first.order), OrderType::Market | OrderType::Limit)
        && (rests(time) || immediate)
        && has_no_other_terms(first)
}

fn is_triggered(second: &NewExtendedOrder) -> bool {
    let is_limit = type_of(&second.order) == OrderType::Limit && rests(time_of(&second.order));
    is_limit && has_no_other_terms(second) || is_stop_type(second)
}
