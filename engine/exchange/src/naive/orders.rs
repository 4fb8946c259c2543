//! Orders that are accepted, come in, rest and end.

use machine::EventBuffer;
use protocol::{
    AccountId, AssetId, CancelOrder, CancelReason, ClientOrderId, ExtendedOrderAccepted, NewExtendedOrder,
    NewOrder, OrderAccepted, OrderCanceled, OrderId, OrderShown, OrderTerms, OrderType, Phase, RejectReason,
    Rejected, Side, TimeInForce,
};

use super::order::{LiveOrder, Place};
use super::terms::{Standing, side_of, time_of, type_of};
use super::{ListWork, NaiveExchange, names};

/// What a list says about one of its orders.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OfList {
    pub(crate) list_type: u8,
    pub(crate) first: OrderId,
    pub(crate) inactive: bool,
}

impl NaiveExchange {
    pub(crate) fn new_order(
        &mut self,
        it: &NewExtendedOrder,
        events: &mut EventBuffer,
    ) -> Result<(), Rejected> {
        let checked = self.check_order(it, !self.free_slots.is_empty());
        let standing = checked.map_err(|reason| names::reject(reason, names::of_order(&it.order)))?;
        let slot = self.free_slots.pop().expect("a free slot was checked for");
        self.accept(it, &standing, slot, OfList::default(), events);
        self.come_in(slot, events);
        self.leave_work(it.order.instrument);
        Ok(())
    }

    /// Makes an order live: holds for it, gives it its places in the tables, says so. It comes in nowhere yet.
    pub(crate) fn accept(
        &mut self,
        it: &NewExtendedOrder,
        standing: &Standing,
        slot: u32,
        of_list: OfList,
        events: &mut EventBuffer,
    ) -> OrderId {
        let NewExtendedOrder { order, terms } = it;
        let (order_type, time) = (type_of(order), time_of(order));
        let plain_type = matches!(order_type, OrderType::Market | OrderType::Limit);
        let plain_time = matches!(
            time,
            TimeInForce::Day
                | TimeInForce::GoodTillCancel
                | TimeInForce::ImmediateOrCancel
                | TimeInForce::FillOrKill
        );
        let plain = plain_type && plain_time && *terms == OrderTerms::default() && of_list.list_type == 0;
        let live = LiveOrder {
            id: OrderId(self.now.sequence * (1 << 24) + u64::from(slot)),
            account: order.account,
            instrument: order.instrument,
            client_order_id: order.client_order_id,
            source: self.now.source,
            side: side_of(order.side),
            order_type,
            time_in_force: time,
            self_trade_prevention: order.self_trade_prevention,
            terms: *terms,
            extended: !plain,
            price: standing.price,
            book_price: standing.book_price,
            quantity: standing.quantity,
            filled: 0,
            reserve: 0,
            refills: 0,
            hold: 0,
            hold_is_spent: standing.hold_is_spent,
            trigger: standing.trigger,
            place: if of_list.inactive { Place::Inactive } else { Place::Nowhere },
            pair: None,
            holds_for_pair: false,
            of_list: of_list.list_type != 0,
            children: [OrderId::NONE; 2],
        };
        let id = live.id;
        let created = self.markets[&order.instrument].created;
        self.funds_mut(order.account, created.base_asset);
        self.funds_mut(order.account, created.quote_asset);
        self.funds_mut(AccountId::FEES, created.quote_asset);
        self.positions.entry((order.account, order.instrument)).or_default();
        self.count_order(order.account);
        self.orders.insert(slot, live);
        self.set_hold(slot, standing.hold);
        self.say_accepted(it, slot, of_list, events);
        id
    }

    fn say_accepted(&self, it: &NewExtendedOrder, slot: u32, of_list: OfList, events: &mut EventBuffer) {
        let live = &self.orders[&slot];
        let NewOrder { account, instrument, client_order_id, side, .. } = it.order;
        let accepted = OrderAccepted {
            order_id: live.id,
            price_ticks: live.price,
            quantity_lots: live.quantity,
            hold_minor: live.hold as i64,
            account,
            instrument,
            client_order_id,
            side,
            order_type: it.order.order_type,
            time_in_force: it.order.time_in_force,
            self_trade_prevention: it.order.self_trade_prevention,
        };
        if live.extended {
            events.push(&ExtendedOrderAccepted {
                order: accepted,
                terms: it.terms,
                list_order_id: of_list.first,
                list_type: of_list.list_type,
                inactive: u8::from(of_list.inactive),
                reserved: [0; 6],
            });
        } else {
            events.push(&accepted);
        }
    }

    /// A new order goes where its kind goes: it waits, rests or is matched.
    pub(crate) fn come_in(&mut self, slot: u32, events: &mut EventBuffer) {
        let order = self.orders[&slot].clone();
        let phase = self.markets[&order.instrument].phase;
        if matches!(order.order_type, OrderType::Stop | OrderType::StopLimit) {
            let clock = self.tick();
            self.order_mut(slot).place = Place::Trigger(clock);
        } else if order.time_in_force == TimeInForce::AtTheClose && phase != Phase::ClosingAuction {
            self.order_mut(slot).place = Place::ForTheClose;
        } else {
            self.match_or_rest(slot, events);
        }
    }

    /// The order comes to rest, last in its price's queue.
    pub(crate) fn rest(&mut self, slot: u32, events: &mut EventBuffer) {
        let clock = self.tick();
        let id = self.orders[&slot].id;
        let seed = self.markets[&self.orders[&slot].instrument].rules.seed;
        let order = self.order_mut(slot);
        order.place = Place::Book(clock);
        order.terms.minimum_lots = 0;
        let display = order.terms.display_lots;
        order.reserve = if display > 0 { (order.leaves() - display).max(0) } else { 0 };
        order.refills = seed ^ id.0;
        self.say_shown(slot, events);
    }

    /// `OrderShown`, for an extended order in the shown book.
    pub(crate) fn say_shown(&self, slot: u32, events: &mut EventBuffer) {
        let order = &self.orders[&slot];
        if order.extended && !order.is_hidden() {
            events.push(&OrderShown {
                order_id: order.id,
                price_ticks: order.book_price,
                shown_lots: order.shown(),
                account: order.account,
                instrument: order.instrument,
                side: order.side.code(),
                reserved: [0; 7],
            });
        }
    }

    /// Which asset, and so which balance, an order's hold is on.
    pub(crate) fn hold_key(&self, order: &LiveOrder) -> (AccountId, AssetId) {
        let created = &self.markets[&order.instrument].created;
        let asset = if order.side == Side::Buy { created.quote_asset } else { created.base_asset };
        (order.account, asset)
    }

    /// Changes what is held for an order.
    pub(crate) fn set_hold(&mut self, slot: u32, hold: i128) {
        let order = &self.orders[&slot];
        let ((account, asset), old) = (self.hold_key(order), order.hold);
        self.funds_mut(account, asset).held += hold - old;
        self.order_mut(slot).hold = hold;
    }

    /// Ends a live order: what it holds is free, its slot goes on top, its client order id is remembered. `filled` says
    /// whether it ended by a trade. Returns it as it was.
    pub(crate) fn end_order(&mut self, slot: u32, filled: bool) -> LiveOrder {
        let order = self.orders[&slot].clone();
        self.set_hold(slot, 0);
        self.orders.remove(&slot);
        self.free_slots.push(slot);
        self.remember_id(order.account, order.client_order_id);
        if let Some(other) = order.pair {
            self.part_pair(other);
            self.market_mut(order.instrument).list_work.push_back(ListWork::CancelOther(other));
        }
        if order.children != [OrderId::NONE; 2] {
            let work = if filled { ListWork::Free(order.children) } else { ListWork::End(order.children) };
            self.market_mut(order.instrument).list_work.push_back(work);
        }
        order
    }

    /// An order has ended, or a replace has given it another id: nobody may use this one for a while.
    pub(crate) fn remember_id(&mut self, account: AccountId, id: ClientOrderId) {
        if !id.is_none() {
            self.recent_ids.push_back((account, id));
            while self.recent_ids.len() > self.limits.recent_client_ids as usize {
                self.recent_ids.pop_front();
            }
        }
    }

    /// The order is no longer one of a pair.
    pub(crate) fn part_pair(&mut self, id: OrderId) {
        if let Some(slot) = self.slot_of(id) {
            self.order_mut(slot).pair = None;
        }
    }

    /// Ends a live order with something left and says so.
    pub(crate) fn cancel(
        &mut self,
        slot: u32,
        reason: CancelReason,
        client: ClientOrderId,
        events: &mut EventBuffer,
    ) {
        let order = self.end_order(slot, false);
        events.push(&OrderCanceled {
            order_id: order.id,
            leaves_lots: order.leaves(),
            released_minor: order.hold as i64,
            account: order.account,
            instrument: order.instrument,
            client_order_id: client,
            side: order.side.code(),
            reason: reason.code(),
            reserved: [0; 2],
        });
    }

    pub(crate) fn cancel_order(
        &mut self,
        it: &CancelOrder,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        self.check_cancel(it)?;
        self.cancel(it.order_id.slot(), CancelReason::Requested, it.client_order_id, events);
        self.leave_work(it.instrument);
        Ok(())
    }
}
