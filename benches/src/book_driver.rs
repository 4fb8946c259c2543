//! Plays a workload on a book as an exchange would, without money.

use orderbook::{Book, MatchSink, Order, OrderTable, Stop, Taker};
use protocol::{AccountId, NewOrder, OrderId, PriceTicks, QuantityLots, SelfTradePrevention, Side};

use crate::workload::{Action, Workload, WorkloadCommand};

/// A command that names orders as an engine does: by the id that the engine gave.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The order; for a new order the id it will get.
    pub order_id: OrderId,
    /// See [`WorkloadCommand::price_ticks`].
    pub price_ticks: PriceTicks,
    /// See [`WorkloadCommand::quantity_lots`].
    pub quantity_lots: QuantityLots,
    /// Whose order.
    pub account: AccountId,
    /// What to do.
    pub action: Action,
    /// Side of the order.
    pub side: Side,
}

/// What matching did, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Fills.
    pub trades: u64,
    /// Lots traded.
    pub lots: u64,
    /// Price of the last fill.
    pub last_price_ticks: Option<PriceTicks>,
}

impl MatchSink for Tally {
    #[inline]
    fn on_fill(&mut self, maker: &mut Order, quantity_lots: QuantityLots, _reserve_lots: QuantityLots) {
        self.trades += 1;
        self.lots += quantity_lots as u64;
        self.last_price_ticks = Some(maker.price_ticks);
    }

    fn on_refill(&mut self, _maker: &Order, _reserve_lots: QuantityLots) {}

    fn on_decrement(
        &mut self,
        _maker: &mut Order,
        _quantity_lots: QuantityLots,
        _reserve_lots: QuantityLots,
    ) {
    }

    fn on_self_trade_canceled(&mut self, _maker: &Order, _reserve_lots: QuantityLots) {}
}

/// A book with its table and tally.
pub struct Desk<B> {
    /// The book.
    pub book: B,
    /// Its orders.
    pub table: OrderTable,
    /// What matching did.
    pub tally: Tally,
    /// Sequence of the last step resolved.
    sequence: u64,
    /// Ids of the workload's orders.
    order_ids: Vec<OrderId>,
}

impl<B: Book> Desk<B> {
    /// A desk with room for `orders` orders.
    pub fn new(book: B, orders: u32) -> Self {
        let table = OrderTable::with_capacity(orders);
        Self { book, table, tally: Tally::default(), sequence: 0, order_ids: Vec::new() }
    }

    /// The id of a workload's order, if it is live.
    pub fn order_id(&self, order: u32) -> Option<OrderId> {
        let order_id = *self.order_ids.get(order as usize)?;
        self.table.find(order_id).map(|order| order.order_id)
    }

    /// Names the order as the engine will when this command comes next.
    ///
    /// # Panics
    /// If the table is full, or the workload names an order that it did not create.
    pub fn resolve(&mut self, command: &WorkloadCommand) -> Step {
        self.sequence += 1;
        let &WorkloadCommand { action, side, user, order, price_ticks, quantity_lots } = command;
        if order as usize == self.order_ids.len() {
            let slot = self.table.next_slot().expect("the table is as large as the workload needs");
            self.order_ids.push(OrderId::new(self.sequence, slot));
        }
        let order_id = self.order_ids[order as usize];
        Step { order_id, price_ticks, quantity_lots, account: AccountId(user + 1), action, side }
    }

    /// Plays one step.
    #[inline(always)]
    pub fn play(&mut self, step: &Step) {
        match step.action {
            Action::Rest | Action::ImmediateOrCancel | Action::FillOrKill => self.enter(step),
            Action::Cancel => {
                if self.table.find(step.order_id).is_some() {
                    self.end(step.order_id.slot());
                }
            }
            Action::Reduce => self.reduce(step),
            Action::Move => self.move_order(step),
        }
    }

    fn enter(&mut self, step: &Step) {
        let new_order = NewOrder {
            price_ticks: step.price_ticks,
            quantity_lots: step.quantity_lots,
            account: step.account,
            side: step.side.code(),
            ..NewOrder::default()
        };
        let order = Order::new(step.order_id, &new_order, 0, 0);
        let slot = self.table.insert(order).expect("the table is as large as the workload needs");
        let taker = taker(step.account, step.side, step.price_ticks, step.quantity_lots);
        let fills = || self.book.available(&self.table, &taker, step.quantity_lots) == step.quantity_lots;
        if step.action == Action::FillOrKill && !fills() {
            self.table.remove(slot);
            return;
        }
        self.meet(slot, &taker, step.action == Action::Rest);
    }

    #[inline(always)]
    fn meet(&mut self, slot: u32, taker: &Taker, may_rest: bool) {
        let execution = self.book.execute(&mut self.table, taker, &mut self.tally);
        if may_rest && matches!(execution.stop, Stop::NoLiquidity | Stop::LimitPrice) {
            if execution.remaining_lots != taker.quantity_lots {
                let order = self.table.get_mut(slot).expect("the order is live");
                order.leaves_lots = execution.remaining_lots;
                order.filled_lots += taker.quantity_lots - execution.remaining_lots;
            }
            self.book.rest(&mut self.table, slot);
        } else {
            self.table.remove(slot);
        }
    }

    #[inline(always)]
    fn move_order(&mut self, step: &Step) {
        let Some(order) = self.table.find(step.order_id) else { return };
        let taker = taker(order.account, order.side(), step.price_ticks, order.leaves_lots);
        let slot = step.order_id.slot();
        self.book.unlink(&mut self.table, slot);
        let order = self.table.get_mut(slot).expect("the order is live");
        order.price_ticks = step.price_ticks;
        self.meet(slot, &taker, true);
    }

    #[inline(always)]
    fn reduce(&mut self, step: &Step) {
        let Some(order) = self.table.find(step.order_id) else { return };
        let leaves_lots = order.leaves_lots - step.quantity_lots;
        if leaves_lots > 0 {
            self.book.reduce(&mut self.table, step.order_id.slot(), leaves_lots);
        } else {
            self.end(step.order_id.slot());
        }
    }

    #[inline(always)]
    fn end(&mut self, slot: u32) {
        self.book.unlink(&mut self.table, slot);
        self.table.remove(slot);
    }

    /// Sell and buy levels.
    pub fn levels(&self) -> (usize, usize) {
        let count = |side| self.book.levels(&self.table, side).count();
        (count(Side::Sell), count(Side::Buy))
    }
}

fn taker(account: AccountId, side: Side, limit: PriceTicks, quantity_lots: QuantityLots) -> Taker {
    Taker {
        account,
        side,
        limit: Some(limit),
        quantity_lots,
        self_trade_prevention: SelfTradePrevention::Allow,
        max_fills: 4_096,
    }
}

/// All steps of a workload, with the ids that orders get when it is played from an empty table.
pub fn resolve<B: Book>(workload: &Workload, desk: &mut Desk<B>) -> Vec<Step> {
    let mut resolve_and_play = |command| {
        let step = desk.resolve(command);
        desk.play(&step);
        step
    };
    workload.commands.iter().map(&mut resolve_and_play).collect()
}
