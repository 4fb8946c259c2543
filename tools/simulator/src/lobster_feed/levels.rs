//! Who has what at each price: by the file, and in the exchange.

use std::collections::{BTreeMap, HashMap};

use protocol::{OrderId, Side};

/// An order, of the file or synthetic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) side: Side,
    pub(crate) price: i64,
    /// What the file has left of it.
    pub(crate) file_leaves: i64,
    /// What the exchange has left of it, trades in flight not counted.
    pub(crate) our_leaves: i64,
    /// What the exchange has traded of it: its replace commands name the total.
    pub(crate) filled: i64,
    /// Its id at the exchange, once accepted.
    pub(crate) order_id: Option<OrderId>,
    pub(crate) rejected: bool,
}

/// Place of an order in [`Levels`].
pub(crate) type Index = usize;

#[derive(Default)]
struct Level {
    /// Orders that either the file or the exchange still has, oldest first.
    orders: Vec<Index>,
    /// The synthetic order, which stands for all that the file does not name.
    seed: Option<Index>,
}

/// Every order and level. At any time, counting trades in flight as done, both views have the same total at a price.
#[derive(Default)]
pub(crate) struct Levels {
    orders: Vec<Order>,
    by_file_id: HashMap<i64, Index>,
    by_order_id: HashMap<OrderId, Index>,
    bids: BTreeMap<i64, Level>,
    asks: BTreeMap<i64, Level>,
}

impl Levels {
    fn side_mut(&mut self, side: Side) -> &mut BTreeMap<i64, Level> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    fn side(&self, side: Side) -> &BTreeMap<i64, Level> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    pub(crate) fn get(&self, index: Index) -> Option<&Order> {
        self.orders.get(index)
    }

    pub(crate) fn get_mut(&mut self, index: Index) -> Option<&mut Order> {
        self.orders.get_mut(index)
    }

    /// Adds an order that is being sent; `file_id` is `None` for a synthetic one.
    pub(crate) fn add(&mut self, side: Side, price: i64, size: i64, file_id: Option<i64>) -> Index {
        let index = self.orders.len();
        let order = Order {
            side,
            price,
            file_leaves: size,
            our_leaves: size,
            filled: 0,
            order_id: None,
            rejected: false,
        };
        self.orders.push(order);
        let level = self.side_mut(side).entry(price).or_default();
        level.orders.push(index);
        match file_id {
            Some(file_id) => {
                self.by_file_id.insert(file_id, index);
            }
            None => level.seed = Some(index),
        }
        index
    }

    /// The order that a message names, or the synthetic one at its price that must contain it.
    pub(crate) fn find(&self, file_id: i64, side: Side, price: i64) -> Option<Index> {
        let of_this_level = |index: &Index| {
            self.get(*index).is_some_and(|order| {
                order.side == side && order.price == price && order.file_leaves > 0 && !order.rejected
            })
        };
        let named = self.by_file_id.get(&file_id).copied().filter(of_this_level);
        named.or_else(|| self.side(side).get(&price)?.seed.filter(of_this_level))
    }

    pub(crate) fn accepted(&mut self, index: Index, order_id: Option<OrderId>) {
        if let Some(order) = self.orders.get_mut(index) {
            order.order_id = order_id;
            order.rejected = order_id.is_none();
            if order.rejected {
                order.our_leaves = 0;
            }
        }
        if let Some(order_id) = order_id {
            self.by_order_id.insert(order_id, index);
        }
    }

    /// A trade took this much of an order.
    pub(crate) fn traded(&mut self, order_id: OrderId, quantity: i64) -> Option<Index> {
        let index = *self.by_order_id.get(&order_id)?;
        let order = self.orders.get_mut(index)?;
        order.our_leaves -= quantity;
        order.filled += quantity;
        self.forget_if_done(index);
        Some(index)
    }

    /// Takes `quantity` at an order's price in the exchange's view: from the order itself as far as it has that much,
    /// then from orders that have more than the file says, newest first. Gives the orders with what to take of each.
    pub(crate) fn take(&self, index: Index, mut quantity: i64) -> Vec<(Index, i64)> {
        let mut taken = Vec::new();
        let Some(&order) = self.get(index) else { return taken };
        let own = order.our_leaves.min(quantity);
        if own > 0 {
            taken.push((index, own));
            quantity -= own;
        }
        let others =
            self.side(order.side).get(&order.price).into_iter().flat_map(|level| level.orders.iter().rev());
        for &other in others.filter(|&&other| other != index) {
            let Some(surplus) = self.get(other).map(|order| order.our_leaves - order.file_leaves) else {
                continue;
            };
            let part = surplus.min(quantity);
            if part > 0 {
                taken.push((other, part));
                quantity -= part;
            }
        }
        taken
    }

    /// Drops an order that neither side has any more.
    pub(crate) fn forget_if_done(&mut self, index: Index) {
        let Some(&order) = self.get(index) else { return };
        if order.our_leaves > 0 || order.file_leaves > 0 {
            return;
        }
        let levels = self.side_mut(order.side);
        if let Some(level) = levels.get_mut(&order.price) {
            level.orders.retain(|&other| other != index);
            if level.seed == Some(index) {
                level.seed = None;
            }
            if level.orders.is_empty() {
                levels.remove(&order.price);
            }
        }
        if let Some(order_id) = order.order_id {
            self.by_order_id.remove(&order_id);
        }
    }

    /// Orders of a side that are better than `price` (or, with `equal`, as good) and rest in the exchange.
    pub(crate) fn better(&self, side: Side, price: i64, equal: bool) -> Vec<Index> {
        let is_better = |level: i64| match side {
            Side::Buy => level > price,
            Side::Sell => level < price,
        };
        let wanted = |level: &i64| is_better(*level) || (equal && *level == price);
        let resting = |index: &Index| self.get(*index).is_some_and(|order| order.our_leaves > 0);
        let collect = |level: &Level| level.orders.iter().copied().filter(resting).collect::<Vec<_>>();
        match side {
            Side::Buy => {
                let levels = self.bids.iter().rev().take_while(|(level, _)| wanted(level));
                levels.flat_map(|(_, level)| collect(level)).collect()
            }
            Side::Sell => {
                let levels = self.asks.iter().take_while(|(level, _)| wanted(level));
                levels.flat_map(|(_, level)| collect(level)).collect()
            }
        }
    }

    /// Orders resting at a price.
    pub(crate) fn at(&self, side: Side, price: i64) -> Vec<Index> {
        self.side(side).get(&price).map(|level| level.orders.clone()).unwrap_or_default()
    }

    /// Prices of a side, best first.
    pub(crate) fn prices(&self, side: Side) -> Vec<i64> {
        match side {
            Side::Buy => self.bids.keys().rev().copied().collect(),
            Side::Sell => self.asks.keys().copied().collect(),
        }
    }

    /// What the exchange has at a price.
    pub(crate) fn total(&self, side: Side, price: i64) -> i64 {
        self.at(side, price).iter().filter_map(|&index| self.get(index)).map(|order| order.our_leaves).sum()
    }
}
