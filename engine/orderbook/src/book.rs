//! What a book can do, and the words for it.

use protocol::{AccountId, CreateInstrument, PriceTicks, QuantityLots, SelfTradePrevention, Side};

use crate::{Order, OrderTable};

/// What the book itself reads in [`Order::flags`]; other bits are the caller's.
pub mod order_flags {
    /// The order shows its leaves and has a [`crate::Reserve`] behind them.
    pub const RESERVE: u8 = 1;
}

/// The incoming side of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taker {
    /// Whose order: self-trade prevention compares it with the makers'.
    pub account: AccountId,
    /// Its side; it meets the other one.
    pub side: Side,
    /// Worst price that it accepts; `None` accepts any.
    pub limit: Option<PriceTicks>,
    /// What it wants; above 0.
    pub quantity_lots: QuantityLots,
    /// What happens at an order of its own account.
    pub self_trade_prevention: SelfTradePrevention,
    /// Fills, removals and decrements of resting orders that it may cause; each slice of an iceberg is one ([`protocol::Limits::fills_per_command`]).
    pub max_fills: u32,
}

/// Why matching ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Nothing is left: all was filled, or lost by [`SelfTradePrevention::DecrementAndCancel`].
    Done,
    /// The other side is empty.
    NoLiquidity,
    /// The best price of the other side is beyond the limit.
    LimitPrice,
    /// Self-trade prevention ended it: the remainder is to be cancelled.
    SelfTrade,
    /// `max_fills` is reached with quantity left and an order within the limit still there: the remainder is to be
    /// cancelled.
    FillLimit,
}

/// What a match came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Quantity neither filled nor lost by a decrement; 0 exactly if [`Stop::Done`].
    pub remaining_lots: QuantityLots,
    /// Why matching ended.
    pub stop: Stop,
}

/// What a quantity would cost at the prices now in the book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The smaller of the quantity asked for and what is offered, reserves included.
    pub available_lots: QuantityLots,
    /// Sum of price times quantity over it; below 2^80 by the limits on both.
    pub ticks_times_lots: i128,
}

/// All that rests at one price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceLevel {
    /// The price.
    pub price_ticks: PriceTicks,
    /// Sum of the orders' leaves: what is shown, without reserves.
    pub quantity_lots: QuantityLots,
    /// How many orders.
    pub orders: u32,
}

/// What [`Book::fill`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// Something shown is left; the order keeps its place.
    Partly,
    /// All that was shown is gone; a new slice from the reserve stands at the back of the price's queue.
    Refilled,
    /// Nothing is left. The order is in no queue any more; its slot is still in use.
    Gone,
}

/// Hears of everything that matching does to resting orders, in order.
pub trait MatchSink {
    /// `maker`, shown as it is after the fill, traded `quantity_lots` at its price; `reserve_lots` are behind what it
    /// shows (0 for a plain order). A maker with neither leaves nor reserve has left the book when the next callback
    /// comes, and its slot is free. One with a reserve and no leaves is refilled next ([`MatchSink::on_refill`]).
    ///
    /// Only what does not belong to the book (`user`, `client_index`) may be changed.
    fn on_fill(&mut self, maker: &mut Order, quantity_lots: QuantityLots, reserve_lots: QuantityLots);

    /// `maker` shows a new slice, `maker.leaves_lots`, and stands at the back of its price's queue; `reserve_lots` are
    /// left behind it.
    fn on_refill(&mut self, maker: &Order, reserve_lots: QuantityLots);

    /// `maker` and the incoming order are of one account and both lost `quantity_lots` without a trade
    /// ([`SelfTradePrevention::DecrementAndCancel`]). Otherwise as [`MatchSink::on_fill`].
    fn on_decrement(&mut self, maker: &mut Order, quantity_lots: QuantityLots, reserve_lots: QuantityLots);

    /// `maker` is removed by self-trade prevention, and `reserve_lots` (0 for a plain order) with it; its slot is freed
    /// right after.
    fn on_self_trade_canceled(&mut self, maker: &Order, reserve_lots: QuantityLots);
}

/// A price-time order book.
///
/// Calls take the table that all books share. The slots given must hold orders of this book; `execute` frees the
/// slots of makers that end, everything else leaves slots alone. In continuous trading the caller matches first and
/// rests the remainder only after [`Stop::NoLiquidity`] or [`Stop::LimitPrice`], so that the book is never crossed.
/// During the call phase of an auction it rests orders at any price, also both sides at one.
///
/// The leaves and reserves of one side must sum to at most `i64::MAX`. Money sees to that: each resting lot has at least one
/// minor unit held, and all of them together are below 2^62.
pub trait Book {
    /// An empty book. `reference_price_ticks` and `ladder_levels` only make it faster or slower.
    fn new(instrument: &CreateInstrument) -> Self;

    /// The best price of a side: highest buy, lowest sell.
    fn best(&self, side: Side) -> Option<PriceTicks>;

    /// Whether the highest buy is at or above the lowest sell: only while orders are gathered for an auction.
    fn is_crossed(&self) -> bool {
        matches!((self.best(Side::Buy), self.best(Side::Sell)), (Some(buy), Some(sell)) if buy >= sell)
    }

    /// The order that an incoming one on the other side meets first: the slot of the oldest at the best price.
    fn front(&self, side: Side) -> Option<u32>;

    /// Asks for what any command needs of the book, so that it is in the near caches soon.
    fn prefetch(&self) {}

    /// The same for what the level of a price needs, if that is near the touch. Any number may be given.
    fn prefetch_level(&self, _side: Side, _price_ticks: PriceTicks) {}

    /// The same for the order behind which one of this price would queue. It reads the level. Any number
    /// may be given.
    fn prefetch_queue(&self, _table: &OrderTable, _side: Side, _price_ticks: PriceTicks) {}

    /// Appends an order to the queue of its price.
    fn rest(&mut self, table: &mut OrderTable, slot: u32);

    /// Takes an order out of its queue. Its slot stays in use.
    fn unlink(&mut self, table: &mut OrderTable, slot: u32);

    /// Changes a resting order's leaves to `leaves_lots` (above 0); it keeps its place. Where place is priority, a caller
    /// only lowers them; orders that wait for a trigger may grow.
    fn reduce(&mut self, table: &mut OrderTable, slot: u32, leaves_lots: QuantityLots);

    /// Takes quantity, 1 to its leaves, from a resting order anywhere in the book: its `leaves_lots` go down and its
    /// `filled_lots` up. A new slice from the reserve goes to the back of the queue. When nothing is left the order is
    /// unlinked; its slot stays in use.
    fn fill(&mut self, table: &mut OrderTable, slot: u32, quantity_lots: QuantityLots) -> Filled;

    /// Matches: best price first, oldest first within a price, at the resting order's price
    /// (`docs/exchange.md`, "New order", step 5).
    fn execute<S: MatchSink>(&mut self, table: &mut OrderTable, taker: &Taker, sink: &mut S) -> Execution;

    /// What [`Book::execute`] surely trades of at most `wanted_lots`; so it fills them all if this is `wanted_lots`.
    /// `taker.quantity_lots` does not enter.
    ///
    /// Level by level, best first, within the limit. What a level shows is counted order by order, each one of `max_fills`,
    /// up to the first order that would stop the match; then what is behind its icebergs, as far as `max_fills` has room for
    /// the slices that it may take (`docs/exchange.md`, "available").
    fn available(&self, table: &OrderTable, taker: &Taker, wanted_lots: QuantityLots) -> QuantityLots;

    /// What `quantity_lots` would cost a taker on `side`, own orders and reserves included, without a limit price, of the first
    /// `max_orders` that it meets: what it costs is what is looked at.
    fn cost(&self, table: &OrderTable, side: Side, quantity_lots: QuantityLots, max_orders: u32) -> Cost;

    /// The price levels of a side, best first.
    fn levels<'a>(&'a self, table: &'a OrderTable, side: Side) -> impl Iterator<Item = PriceLevel> + 'a;

    /// What each price of a side offers, best first: all that is left of its orders, reserves included.
    fn offers<'a>(
        &'a self,
        table: &'a OrderTable,
        side: Side,
    ) -> impl Iterator<Item = (PriceTicks, QuantityLots)> + 'a;

    /// All that rests at a price.
    fn level(&self, table: &OrderTable, side: Side, price_ticks: PriceTicks) -> Option<PriceLevel> {
        self.levels(table, side).find(|level| level.price_ticks == price_ticks)
    }

    /// Slots of the orders at a price, oldest first; empty if there is no such level.
    fn queue<'a>(
        &'a self,
        table: &'a OrderTable,
        side: Side,
        price_ticks: PriceTicks,
    ) -> impl Iterator<Item = u32> + 'a;

    /// Checks what must always hold: order, totals and links right, indexes complete. For tests; slow.
    ///
    /// # Panics
    /// If something does not hold.
    fn check_invariants(&self, table: &OrderTable);
}

/// Whether a resting price is within a taker's limit.
#[inline(always)]
pub(crate) fn within_limit(taker: &Taker, price_ticks: PriceTicks) -> bool {
    match (taker.limit, taker.side) {
        (None, _) => true,
        (Some(limit), Side::Buy) => price_ticks <= limit,
        (Some(limit), Side::Sell) => price_ticks >= limit,
    }
}
