//! What tests may ask.

use alloc::vec::Vec;

use protocol::{AccountId, AssetId, InstrumentId, OrderId, Phase, Side};

use super::NaiveExchange;
use super::order::{LiveOrder, Place};

/// A live order as tests see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenOrder {
    /// The engine's id.
    pub order_id: OrderId,
    /// Whose order.
    pub account: AccountId,
    /// On which instrument.
    pub instrument: InstrumentId,
    /// Side.
    pub side: Side,
    /// Where it rests; of one that waits its limit or worst price.
    pub price_ticks: i64,
    /// What is shown of it, or what a hidden order can trade.
    pub shown_lots: i64,
    /// What is left of it.
    pub leaves_lots: i64,
    /// What is held for it.
    pub hold_minor: i64,
    /// Its trigger price while it waits for that; else 0.
    pub trigger_ticks: i64,
}

impl NaiveExchange {
    /// Balance and hold of every used pair, by account and asset.
    pub fn balances(&self) -> impl Iterator<Item = (AccountId, AssetId, i128, i128)> {
        self.funds.iter().map(|(&(account, asset), funds)| (account, asset, funds.balance, funds.held))
    }

    /// Ids of the shown resting orders of one side of a book, best price first, then oldest first.
    #[must_use]
    pub fn book(&self, instrument: InstrumentId, side: Side) -> Vec<OrderId> {
        self.shown_orders(instrument, side).iter().map(|order| order.order_id).collect()
    }

    /// Ids of the hidden resting orders of one side, best price first, then oldest first.
    #[must_use]
    pub fn hidden(&self, instrument: InstrumentId, side: Side) -> Vec<OrderId> {
        self.hidden_orders(instrument, side).iter().map(|order| order.order_id).collect()
    }

    /// The shown resting orders of one side in order.
    #[must_use]
    pub fn shown_orders(&self, instrument: InstrumentId, side: Side) -> Vec<SeenOrder> {
        let orders = self.queue(instrument, side).into_iter().map(|slot| &self.orders[&slot]);
        orders.filter(|order| !order.is_hidden()).map(seen).collect()
    }

    /// The hidden resting orders of one side in order.
    #[must_use]
    pub fn hidden_orders(&self, instrument: InstrumentId, side: Side) -> Vec<SeenOrder> {
        let orders = self.queue(instrument, side).into_iter().map(|slot| &self.orders[&slot]);
        orders.filter(|order| order.is_hidden()).map(seen).collect()
    }

    /// Orders that wait for a trigger, for the close or for another order, by id.
    #[must_use]
    pub fn waiting(&self, instrument: InstrumentId) -> Vec<SeenOrder> {
        let waits = |order: &&LiveOrder| order.instrument == instrument && !order.is_in_book();
        let mut orders: Vec<_> = self.orders.values().filter(waits).map(seen).collect();
        orders.sort_by_key(|order| order.order_id);
        orders
    }

    /// All live orders, by slot.
    pub fn live_orders(&self) -> impl Iterator<Item = SeenOrder> {
        self.orders.values().map(seen)
    }

    /// All positions that have a place in the table.
    pub fn positions(&self) -> impl Iterator<Item = (AccountId, InstrumentId, i128)> {
        self.positions.iter().map(|(&(account, instrument), &lots)| (account, instrument, lots))
    }

    /// The phase of an instrument, and whether an uncross is at work.
    #[must_use]
    pub fn phase(&self, instrument: InstrumentId) -> Option<(Phase, bool)> {
        self.markets.get(&instrument).map(|market| (market.phase, market.uncross.is_some()))
    }

    /// Whether work is left for the next command.
    #[must_use]
    pub fn has_work_left(&self) -> bool {
        !self.unsettled.is_empty()
            || self.phase_sweep.is_some()
            || !self.mass_sweeps.is_empty()
            || self.next_in_time().is_some()
    }

    /// What all accounts but WORLD own of an asset.
    pub(crate) fn total(&self, asset: AssetId) -> i128 {
        self.funds.iter().filter(|(key, _)| key.1 == asset).map(|(_, funds)| funds.balance).sum()
    }
}

fn seen(order: &LiveOrder) -> SeenOrder {
    SeenOrder {
        order_id: order.id,
        account: order.account,
        instrument: order.instrument,
        side: order.side,
        price_ticks: order.book_price,
        shown_lots: order.shown(),
        leaves_lots: order.leaves(),
        hold_minor: order.hold as i64,
        trigger_ticks: if matches!(order.place, Place::Trigger(_)) { order.trigger } else { 0 },
    }
}
