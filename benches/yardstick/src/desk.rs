//! A book with its orders found by their client's ids, and reports of what happens.

use orderbook::{Book, MatchSink, Order, OrderBook, OrderTable, Stop, Taker};
use protocol::{
    AccountId, CreateInstrument, MAX_PRICE_TICKS, NewOrder, OrderId, PriceTicks, QuantityLots,
    SelfTradePrevention, Side,
};

use crate::index::Index;
use crate::messages::{CancelMessage, ModifyMessage, NewOrderMessage, Report, ReportKind};

/// Where reports go.
pub trait Outlet {
    /// Takes a report, waiting for room if there is none.
    fn push(&mut self, report: &Report);
}

/// Orders that may rest at a time.
const ORDERS: u32 = 1 << 20;

/// Account of all orders: the benchmark knows none.
const ACCOUNT: AccountId = AccountId(2);

/// The engine under test.
pub struct Desk<O> {
    book: OrderBook,
    table: OrderTable,
    /// Slots of resting orders by their client's ids, which they have as `user`.
    index: Index,
    outlet: O,
}

/// Reports the fills of one message.
struct Trades<'a, O> {
    outlet: &'a mut O,
    index: &'a mut Index,
    sequence: u64,
    taker_order_id: u64,
}

impl<O: Outlet> MatchSink for Trades<'_, O> {
    #[inline]
    fn on_fill(&mut self, maker: &mut Order, quantity_lots: QuantityLots, _reserve_lots: QuantityLots) {
        self.outlet.push(&Report {
            kind: ReportKind::Trade as u8,
            sequence: self.sequence,
            price_ticks: maker.price_ticks,
            quantity: quantity_lots as u32,
            maker_order_id: maker.user,
            taker_order_id: self.taker_order_id,
            ..Report::default()
        });
        if maker.leaves_lots == 0 {
            let slot = maker.order_id.slot();
            let (place, _) =
                self.index.find(maker.user, |other| other == slot).expect("a resting order is indexed");
            self.index.remove(place);
        }
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

/// What a message asks of the book.
#[derive(Clone, Copy)]
struct Wish {
    order_id: u64,
    sequence: u64,
    side: Side,
    price_ticks: PriceTicks,
    quantity: u32,
}

impl<O: Outlet> Desk<O> {
    /// An empty book that reports to `outlet`.
    pub fn new(outlet: O) -> Self {
        Self {
            book: OrderBook::new(&CreateInstrument { ladder_levels: 1 << 17, ..CreateInstrument::default() }),
            table: OrderTable::with_capacity(ORDERS),
            index: Index::default(),
            outlet,
        }
    }

    /// Where reports go.
    pub fn outlet(&mut self) -> &mut O {
        &mut self.outlet
    }

    /// Executes a new order.
    ///
    /// # Panics
    /// If its price is outside 1 to 2^40 - 1 or its quantity is 0.
    #[inline]
    pub fn new_order(&mut self, message: &NewOrderMessage) {
        let &NewOrderMessage { order_id, sequence, price_ticks, quantity, side, immediate, .. } = message;
        assert!((1..=MAX_PRICE_TICKS).contains(&price_ticks), "out of range");
        // Its level is what it waits for: the sooner asked for, the better.
        self.book.prefetch_level(side_of(side), price_ticks);
        self.acknowledge(ReportKind::OrderAck, sequence, order_id, side, price_ticks, quantity);
        let side = side_of(side);
        let wish = Wish { order_id, sequence, side, price_ticks, quantity };
        let left_lots = self.execute(&wish);
        if left_lots == 0 {
            return;
        }
        if immediate != 0 {
            let left = left_lots as u32;
            self.acknowledge(ReportKind::CancelAck, sequence, order_id, message.side, price_ticks, left);
        } else {
            self.rest(&wish, left_lots);
        }
    }

    /// Executes a cancel.
    #[inline]
    pub fn cancel(&mut self, message: &CancelMessage) {
        let &CancelMessage { order_id, sequence } = message;
        let Some((place, slot)) = self.find(order_id) else {
            return self.acknowledge(ReportKind::CancelReject, sequence, order_id, 0, 0, 0);
        };
        let order = self.table.get(slot).expect("a slot found holds an order");
        let (side, price_ticks) = (code_of(order.side()), order.price_ticks);
        let left = order.leaves_lots as u32;
        self.index.remove(place);
        self.book.unlink(&mut self.table, slot);
        self.table.remove(slot);
        self.acknowledge(ReportKind::CancelAck, sequence, order_id, side, price_ticks, left);
    }

    /// Executes a modify: the order leaves its queue and comes in again.
    ///
    /// # Panics
    /// If its price is outside 1 to 2^40 - 1 or its quantity is 0.
    #[inline]
    pub fn modify(&mut self, message: &ModifyMessage) {
        let &ModifyMessage { order_id, sequence, price_ticks, quantity, .. } = message;
        let Some((_, slot)) = self.find(order_id) else {
            return self.acknowledge(ReportKind::ModifyReject, sequence, order_id, 0, 0, 0);
        };
        let side = self.table.get(slot).expect("a slot found holds an order").side();
        self.book.unlink(&mut self.table, slot);
        let wish = Wish { order_id, sequence, side, price_ticks, quantity };
        let left_lots = self.execute(&wish);
        if left_lots == 0 {
            // Fills may have moved the entry.
            let (place, _) = self.find(order_id).expect("an order that was replaced is indexed");
            self.index.remove(place);
            self.table.remove(slot);
        } else {
            let order = self.table.get_mut(slot).expect("a slot found holds an order");
            order.price_ticks = price_ticks;
            order.leaves_lots = left_lots;
            self.book.rest(&mut self.table, slot);
        }
        self.acknowledge(ReportKind::ModifyAck, sequence, order_id, code_of(side), price_ticks, quantity);
    }

    /// Highest buy.
    pub fn best_bid(&self) -> Option<PriceTicks> {
        self.book.best(Side::Buy)
    }

    /// Lowest sell.
    pub fn best_ask(&self) -> Option<PriceTicks> {
        self.book.best(Side::Sell)
    }

    /// Quantity that rests at a price; `side` is 0 for buys, 1 for sells.
    pub fn depth_at(&self, price_ticks: PriceTicks, side: u8) -> u64 {
        if !(1..=MAX_PRICE_TICKS).contains(&price_ticks) {
            return 0;
        }
        let level = self.book.level(&self.table, side_of(side), price_ticks);
        level.map_or(0, |level| level.quantity_lots as u64)
    }

    /// Place in the index and slot of a resting order.
    #[inline(always)]
    fn find(&self, order_id: u64) -> Option<(usize, u32)> {
        self.index.find(order_id, |slot| self.table.get(slot).is_some_and(|order| order.user == order_id))
    }

    /// Matches, reports the trades, and returns what is left.
    #[inline(always)]
    fn execute(&mut self, wish: &Wish) -> QuantityLots {
        assert!((1..=MAX_PRICE_TICKS).contains(&wish.price_ticks) && wish.quantity > 0, "out of range");
        let taker = Taker {
            account: ACCOUNT,
            side: wish.side,
            limit: Some(wish.price_ticks),
            quantity_lots: i64::from(wish.quantity),
            self_trade_prevention: SelfTradePrevention::Allow,
            max_fills: u32::MAX,
        };
        let mut sink = Trades {
            outlet: &mut self.outlet,
            index: &mut self.index,
            sequence: wish.sequence,
            taker_order_id: wish.order_id,
        };
        let execution = self.book.execute(&mut self.table, &taker, &mut sink);
        debug_assert!(execution.stop != Stop::FillLimit, "no workload has so many orders");
        execution.remaining_lots
    }

    /// Puts what is left of a new order into the book.
    #[inline(always)]
    fn rest(&mut self, wish: &Wish, left_lots: QuantityLots) {
        let slot = self.table.next_slot().expect("the benchmark rests fewer orders than there is room for");
        let new_order = NewOrder {
            price_ticks: wish.price_ticks,
            quantity_lots: left_lots,
            account: ACCOUNT,
            side: wish.side.code(),
            ..NewOrder::default()
        };
        // An id of the engine must not be 0, and the first message's number is.
        let order_id = OrderId::new(wish.sequence + 1, slot);
        self.table.insert(Order::new(order_id, &new_order, 0, wish.order_id));
        self.book.rest(&mut self.table, slot);
        self.index.insert(wish.order_id, slot);
    }

    #[inline(always)]
    fn acknowledge(
        &mut self,
        kind: ReportKind,
        sequence: u64,
        order_id: u64,
        side: u8,
        price_ticks: PriceTicks,
        quantity: u32,
    ) {
        let kind = kind as u8;
        self.outlet.push(&Report {
            kind,
            sequence,
            order_id,
            side,
            price_ticks,
            quantity,
            ..Report::default()
        });
    }
}

#[inline(always)]
fn side_of(code: u8) -> Side {
    if code == 0 { Side::Buy } else { Side::Sell }
}

#[inline(always)]
fn code_of(side: Side) -> u8 {
    u8::from(side == Side::Sell)
}
