//! Orders and what is held for them.

use protocol::{
    AmountMinor, ExtendedOrderAccepted, ListType, OrderAccepted, OrderCanceled, OrderDecremented, OrderId,
    OrderReplaced, OrderRepriced, OrderShown, OrderTriggered, Side,
};

use crate::fold::{Problem, ensure};
use crate::{Ledger, LedgerOrder};

impl Ledger {
    pub(crate) fn accepted(&mut self, event: &OrderAccepted) -> Result<(), Problem> {
        let order = new_order(event)?;
        self.insert(event.order_id, order)?;
        self.check_hold(&order, event.hold_minor)?;
        self.set_hold(event.order_id, event.hold_minor)
    }

    pub(crate) fn extended_accepted(&mut self, event: &ExtendedOrderAccepted) -> Result<(), Problem> {
        let ExtendedOrderAccepted { order: plain, terms, list_order_id, list_type, inactive, .. } = event;
        let (order_id, hold_minor) = (plain.order_id, plain.hold_minor);
        let list_type = ListType::from_code(*list_type).ok_or("the list's type is unknown")?;
        let first = *list_order_id == OrderId::NONE;
        ensure(first || list_type != ListType::Batch, "an order without a list names its first order")?;
        ensure(
            *inactive == u8::from(!first && list_type != ListType::OneCancelsOther),
            "only orders behind the first of a list are inactive",
        )?;
        let base = new_order(plain)?;
        let order = LedgerOrder {
            walked: base.walked || (base.side == Side::Buy && terms.budget_minor > 0),
            list_type,
            list_order_id: match (list_type, first) {
                (ListType::Batch, _) => OrderId::NONE,
                (_, true) => order_id,
                (_, false) => *list_order_id,
            },
            inactive: *inactive == 1,
            ..base
        };
        let over = terms.budget_minor > 0 && hold_minor > terms.budget_minor;
        ensure(!over, "more is held than the budget")?;
        self.insert(order_id, order)?;
        match (list_type, first) {
            (ListType::OneCancelsOther, true) => {
                ensure(hold_minor >= self.formula(&order)?, "a pair holds less than its first order needs")?;
                self.unpaired = Some(order_id);
            }
            (ListType::OneCancelsOther, false) => {
                let expected = self.unpaired.take();
                ensure(expected == Some(*list_order_id), "the pair's first order was not accepted before")?;
                ensure(hold_minor == 0, "the second order of a pair holds something")?;
                self.pair(*list_order_id, order_id)?;
                let first = self.live(*list_order_id)?;
                let needed = self.need_of_pair(first)?;
                ensure(first.hold_minor == needed, "a pair does not hold the larger of both needs")?;
            }
            _ => {
                self.check_hold(&order, hold_minor)?;
                if let Some(limit) = self.limit_of_bracket(order_id, &order) {
                    self.pair(limit, order_id)?;
                }
            }
        }
        ensure(self.unpaired.is_none_or(|first| first == order_id), "the second order of a pair is missing")?;
        self.set_hold(order_id, hold_minor)
    }

    fn insert(&mut self, order_id: OrderId, order: LedgerOrder) -> Result<(), Problem> {
        ensure(self.accounts.contains_key(&order.account), "the account is unknown")?;
        ensure(order.leaves_lots > 0, "the order is for nothing")?;
        ensure(self.orders.insert(order_id, order).is_none(), "the order id was used before")
    }

    /// The limit order of the bracket that `order` completes, if it does. Orders of a list carry one sequence.
    fn limit_of_bracket(&self, order_id: OrderId, order: &LedgerOrder) -> Option<OrderId> {
        if order.list_type != ListType::Bracket || !order.inactive {
            return None;
        }
        let sequence = order_id.sequence();
        let of_command = OrderId::new(sequence, 0)..=OrderId::new(sequence, (1 << OrderId::SLOT_BITS) - 1);
        let mut siblings = self.orders.range(of_command);
        let found = siblings.find(|(id, other)| {
            **id != order_id && other.inactive && other.list_order_id == order.list_order_id
        });
        found.map(|(&id, _)| id)
    }

    fn pair(&mut self, holder: OrderId, other: OrderId) -> Result<(), Problem> {
        for (order_id, partner, holds_for_both) in [(holder, other, true), (other, holder, false)] {
            let order = self.orders.get_mut(&order_id).ok_or("an order of a pair is not live")?;
            ensure(order.partner == OrderId::NONE, "an order of a pair has another partner")?;
            (order.partner, order.holds_for_both) = (partner, holds_for_both);
        }
        Ok(())
    }

    /// The larger need of an order and its partner.
    fn need_of_pair(&self, order: &LedgerOrder) -> Result<AmountMinor, Problem> {
        let partner = self.live(order.partner)?;
        Ok(self.formula(order)?.max(self.formula(partner)?))
    }

    /// The hold of an order that has just been accepted.
    fn check_hold(&self, order: &LedgerOrder, hold_minor: AmountMinor) -> Result<(), Problem> {
        let holds = if order.inactive {
            hold_minor == 0
        } else {
            order.walked || hold_minor == self.formula(order)?
        };
        ensure(holds, "the hold is not that of the order's price and quantity")
    }

    pub(crate) fn triggered(&mut self, event: &OrderTriggered) -> Result<(), Problem> {
        let order = *self.live(event.order_id)?;
        let same = order.account == event.account
            && order.instrument == event.instrument
            && order.side.code() == event.side
            && order.price_ticks == event.price_ticks
            && order.leaves_lots == event.leaves_lots;
        ensure(same, "the order that became active is another")?;
        ensure(event.waits == 0 || order.inactive, "an order that was active goes on waiting")?;
        let partner_lives = self.orders.contains_key(&order.partner);
        let expected = match (order.inactive && partner_lives, order.holds_for_both) {
            (true, true) => self.need_of_pair(&order)?,
            (true, false) => 0,
            (false, _) => self.formula(&order)?,
        };
        ensure(order.inactive || !partner_lives, "a triggered order's partner is still live")?;
        ensure(event.hold_minor == expected, "the hold is not that of the order's price and quantity")?;
        self.orders.entry(event.order_id).and_modify(|order| order.inactive = false);
        self.set_hold(event.order_id, event.hold_minor)
    }

    pub(crate) fn shown(&self, event: &OrderShown) -> Result<(), Problem> {
        let order = self.live(event.order_id)?;
        ensure(!order.inactive, "an inactive order is shown")?;
        ensure(order.price_ticks == event.price_ticks, "an order is shown at another price")?;
        ensure((1..=order.leaves_lots).contains(&event.shown_lots), "more is shown than is left of the order")
    }

    pub(crate) fn repriced(&self, event: &OrderRepriced) -> Result<(), Problem> {
        let order = self.live(event.order_id)?;
        let within = match order.side {
            Side::Buy => event.price_ticks <= order.price_ticks,
            Side::Sell => event.price_ticks >= order.price_ticks,
        };
        ensure(within, "an order moved beyond its limit price")
    }

    /// Quantity lost without a trade. A pair's hold may stay that of the larger need, since nothing was filled.
    pub(crate) fn decremented(&mut self, event: &OrderDecremented) -> Result<(), Problem> {
        let before = *self.live(event.order_id)?;
        let leaves_lots = before.leaves_lots.saturating_sub(event.quantity_lots);
        ensure(event.quantity_lots > 0 && leaves_lots >= 0, "more was taken than was left of the order")?;
        ensure(event.leaves_lots == leaves_lots, "what is left of the order is another quantity")?;
        let order = LedgerOrder { leaves_lots, ..before };
        self.orders.insert(event.order_id, order);
        let holds = if leaves_lots == 0 {
            event.hold_minor == 0
        } else if order.walked {
            event.hold_minor <= before.hold_minor
        } else if order.holds_for_both && self.orders.contains_key(&order.partner) {
            [self.formula(&order)?, self.need_of_pair(&order)?].contains(&event.hold_minor)
        } else {
            event.hold_minor == self.formula(&order)?
        };
        ensure(holds, "the hold is not that of the order's price and quantity")?;
        self.set_hold(event.order_id, event.hold_minor)?;
        if leaves_lots == 0 {
            self.orders.remove(&event.order_id);
        }
        Ok(())
    }

    pub(crate) fn canceled(&mut self, event: &OrderCanceled) -> Result<(), Problem> {
        let order = self.live(event.order_id)?;
        ensure(order.leaves_lots == event.leaves_lots, "what is left of the order is another quantity")?;
        ensure(order.hold_minor == event.released_minor, "what is released is not what was held")?;
        self.set_hold(event.order_id, 0)?;
        self.orders.remove(&event.order_id);
        Ok(())
    }

    pub(crate) fn replaced(&mut self, event: &OrderReplaced) -> Result<(), Problem> {
        let order = self.orders.get_mut(&event.order_id).ok_or("the order is not live")?;
        ensure(order.list_type == ListType::Batch, "an order of a list was replaced")?;
        ensure(event.leaves_lots > 0, "the order is for nothing")?;
        order.price_ticks = event.price_ticks;
        order.leaves_lots = event.leaves_lots;
        let order = *order;
        let expected = self.formula(&order)?;
        ensure(event.hold_minor == expected, "the hold is not that of the order's price and quantity")?;
        self.set_hold(event.order_id, event.hold_minor)
    }

    /// One side of a trade: new leaves, and the hold that goes with them. A walked hold has no price to be computed
    /// from; `cost_minor` is what this fill used of it.
    pub(crate) fn fill(&mut self, order_id: OrderId, fill: Fill) -> Result<(), Problem> {
        let order = self.orders.get_mut(&order_id).ok_or("an order that traded is not live")?;
        ensure(order.account == fill.account, "an order that traded is another account's")?;
        ensure(order.instrument == fill.instrument, "an order that traded is another instrument's")?;
        ensure(order.side == fill.side, "an order traded on the other side")?;
        ensure(!order.inactive, "an inactive order traded")?;
        let within = match order.side {
            Side::Buy => order.price_ticks == 0 || fill.price_ticks <= order.price_ticks,
            Side::Sell => fill.price_ticks >= order.price_ticks,
        };
        ensure(within, "an order traded beyond its limit price")?;
        let leaves_lots = order.leaves_lots - fill.quantity_lots;
        ensure(
            leaves_lots >= 0 && leaves_lots == fill.leaves_lots,
            "what is left of an order is another quantity",
        )?;
        order.leaves_lots = leaves_lots;
        let order = *order;
        let hold_minor = if leaves_lots == 0 {
            0
        } else if order.walked {
            order.hold_minor.saturating_sub(fill.cost_minor)
        } else {
            self.formula(&order)?
        };
        self.set_hold(order_id, hold_minor)?;
        if leaves_lots == 0 {
            self.orders.remove(&order_id);
        }
        Ok(())
    }
}

/// One side of a trade, as the event says it.
#[derive(Clone, Copy)]
pub(crate) struct Fill {
    pub(crate) account: protocol::AccountId,
    pub(crate) instrument: protocol::InstrumentId,
    pub(crate) side: Side,
    pub(crate) price_ticks: protocol::PriceTicks,
    pub(crate) quantity_lots: protocol::QuantityLots,
    pub(crate) leaves_lots: protocol::QuantityLots,
    pub(crate) cost_minor: AmountMinor,
}

fn new_order(event: &OrderAccepted) -> Result<LedgerOrder, Problem> {
    let side = Side::from_code(event.side).ok_or("the side is unknown")?;
    Ok(LedgerOrder {
        account: event.account,
        instrument: event.instrument,
        side,
        price_ticks: event.price_ticks,
        leaves_lots: event.quantity_lots,
        hold_minor: 0,
        walked: side == Side::Buy && event.price_ticks == 0,
        list_type: ListType::Batch,
        list_order_id: OrderId::NONE,
        inactive: false,
        partner: OrderId::NONE,
        holds_for_both: false,
    })
}
