//! A toy exchange without money: enough to run a feed, and able to match in the wrong order, so that the tests see
//! the feeds notice it.

use machine::{Context, EventBuffer, Record, StateMachine};
use protocol::{
    AccountCreated, AssetCreated, CancelOrder, CancelReason, CreateAccount, CreateAsset, CreateInstrument,
    Deposited, InstrumentCreated, NewOrder, OrderAccepted, OrderCanceled, OrderId, OrderReplaced,
    RejectReason, Rejected, ReplaceOrder, TimeInForce, Trade,
};

pub struct Order {
    id: OrderId,
    new: NewOrder,
    leaves: i64,
    filled: i64,
}

#[derive(Default)]
pub struct Toy {
    pub book: Vec<Order>,
    pub newest_first: bool,
    pub trades: u64,
    pub slots: u32,
}

impl Toy {
    fn cancel(order: &Order, leaves: i64, reason: CancelReason, events: &mut EventBuffer) {
        events.push(&OrderCanceled {
            order_id: order.id,
            leaves_lots: leaves,
            account: order.new.account,
            instrument: order.new.instrument,
            side: order.new.side,
            reason: reason.code(),
            ..OrderCanceled::default()
        });
    }

    fn run(&mut self, mut order: Order, events: &mut EventBuffer) {
        let buy = order.new.side == 1;
        loop {
            if order.leaves == 0 {
                return;
            }
            let limit = order.new.price_ticks;
            let fits = |o: &&Order| {
                o.new.instrument == order.new.instrument
                    && o.new.side != order.new.side
                    && if buy { o.new.price_ticks <= limit } else { o.new.price_ticks >= limit }
            };
            let best = self.book.iter().filter(fits).map(|o| o.new.price_ticks);
            let Some(best) = (if buy { best.min() } else { best.max() }) else { break };
            let at = |o: &Order| {
                o.new.instrument == order.new.instrument
                    && o.new.side != order.new.side
                    && o.new.price_ticks == best
            };
            let index = if self.newest_first {
                self.book.iter().rposition(at)
            } else {
                self.book.iter().position(at)
            };
            let index = index.unwrap();
            let maker = &mut self.book[index];
            let quantity = maker.leaves.min(order.leaves);
            maker.leaves -= quantity;
            maker.filled += quantity;
            order.leaves -= quantity;
            order.filled += quantity;
            self.trades += 1;
            events.push(&Trade {
                trade_id: self.trades,
                maker_order_id: maker.id,
                taker_order_id: order.id,
                price_ticks: best,
                quantity_lots: quantity,
                maker_leaves_lots: maker.leaves,
                taker_leaves_lots: order.leaves,
                maker_account: maker.new.account,
                taker_account: order.new.account,
                instrument: order.new.instrument,
                taker_side: order.new.side,
                ..Trade::default()
            });
            if maker.leaves == 0 {
                self.book.remove(index);
            }
        }
        if order.new.time_in_force == TimeInForce::ImmediateOrCancel.code() {
            Self::cancel(&order, order.leaves, CancelReason::ImmediateOrCancel, events);
        } else {
            self.book.push(order);
        }
    }

    fn reject(events: &mut EventBuffer, kind: u16) {
        let reason = RejectReason::UnknownOrder.code();
        events.push(&Rejected { reason, command_kind: kind, ..Rejected::default() });
    }
}

impl StateMachine for Toy {
    const NAME: &'static str = "toy";
    fn apply(&mut self, context: &Context, command: Record<'_>, events: &mut EventBuffer) {
        let kind = command.header().kind;
        if let Some(c) = command.body_as::<CreateAsset>() {
            events.push(&AssetCreated {
                asset: c.asset,
                scale: c.scale,
                name: c.name,
                ..AssetCreated::default()
            });
        } else if let Some(c) = command.body_as::<CreateInstrument>() {
            events.push(&InstrumentCreated(*c));
        } else if let Some(c) = command.body_as::<CreateAccount>() {
            events.push(&AccountCreated { account: c.account, name: c.name, ..AccountCreated::default() });
        } else if let Some(c) = command.body_as::<NewOrder>() {
            self.slots += 1;
            let id = OrderId::new(context.sequence, self.slots % 99_000);
            events.push(&OrderAccepted {
                order_id: id,
                price_ticks: c.price_ticks,
                quantity_lots: c.quantity_lots,
                account: c.account,
                instrument: c.instrument,
                client_order_id: c.client_order_id,
                side: c.side,
                order_type: c.order_type,
                time_in_force: c.time_in_force,
                ..OrderAccepted::default()
            });
            self.run(Order { id, new: *c, leaves: c.quantity_lots, filled: 0 }, events);
        } else if let Some(c) = command.body_as::<CancelOrder>() {
            match self.book.iter().position(|o| o.id == c.order_id) {
                Some(index) => {
                    let order = self.book.remove(index);
                    Self::cancel(&order, order.leaves, CancelReason::Requested, events);
                }
                None => Self::reject(events, kind),
            }
        } else if let Some(c) = command.body_as::<ReplaceOrder>() {
            let Some(index) = self.book.iter().position(|o| o.id == c.order_id) else {
                return Self::reject(events, kind);
            };
            let order = &mut self.book[index];
            if c.quantity_lots <= order.filled {
                return Self::reject(events, kind);
            }
            let kept =
                c.price_ticks == order.new.price_ticks && c.quantity_lots < order.leaves + order.filled;
            order.leaves = c.quantity_lots - order.filled;
            order.new.price_ticks = c.price_ticks;
            events.push(&OrderReplaced {
                order_id: c.order_id,
                price_ticks: c.price_ticks,
                quantity_lots: c.quantity_lots,
                leaves_lots: order.leaves,
                account: c.account,
                instrument: c.instrument,
                side: order.new.side,
                kept_priority: kept.into(),
                ..OrderReplaced::default()
            });
            if !kept {
                let order = self.book.remove(index);
                self.run(order, events);
            }
        } else {
            events.push(&Deposited::default());
        }
    }
    fn state_hash(&self) -> u64 {
        0
    }
    fn max_event_bytes(&self) -> usize {
        1 << 20
    }
}
