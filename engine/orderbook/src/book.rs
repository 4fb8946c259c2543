//! What a book can do, and the words for it.

use protocol::{AccountId, CreateInstrument, PriceTicks, QuantityLots, SelfTradePrevention, Side};

use crate::{Order, OrderTable};

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
    /// Resting orders it may trade with or remove ([`protocol::Limits::fills_per_command`]).
    pub max_fills: u32,
}

/// Why matching ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Nothing is left.
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
    /// Quantity not filled; 0 exactly if [`Stop::Done`].
    pub remaining_lots: QuantityLots,
    /// Why matching ended.
    pub stop: Stop,
}

/// What a quantity would cost at the prices now in the book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The smaller of the quantity asked for and what is offered.
    pub available_lots: QuantityLots,
    /// Sum of price times quantity over it; below 2^80 by the limits on both.
    pub ticks_times_lots: i128,
}

/// All that rests at one price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceLevel {
    /// The price.
    pub price_ticks: PriceTicks,
    /// Sum of the orders' leaves.
    pub quantity_lots: QuantityLots,
    /// How many orders.
    pub orders: u32,
}

/// Hears of everything that matching does to resting orders, in order.
pub trait MatchSink {
    /// `maker`, shown as it is after the fill, traded `quantity_lots` at its price. A maker with no leaves has left
    /// the book when the next callback comes, and its slot is free.
    ///
    /// Only what does not belong to the book (`user`, `client_index`) may be changed.
    fn on_fill(&mut self, maker: &mut Order, quantity_lots: QuantityLots);

    /// `maker` is removed by self-trade prevention; its slot is freed right after.
    fn on_self_trade_canceled(&mut self, maker: &Order);
}

/// A price-time order book.
///
/// Calls take the table that all books share. The slots given must hold orders of this book; `execute` frees the
/// slots of makers that end, everything else leaves slots alone. The caller never lets an order rest that crosses:
/// it matches first, and rests the remainder only after [`Stop::NoLiquidity`] or [`Stop::LimitPrice`].
///
/// The leaves at one price must sum to at most `i64::MAX`. Money sees to that: each resting lot has at least one
/// minor unit held, and all of them together are below 2^62.
pub trait Book {
    /// An empty book. `reference_price_ticks` and `ladder_levels` only make it faster or slower.
    fn new(instrument: &CreateInstrument) -> Self;

    /// The best price of a side: highest buy, lowest sell.
    fn best(&self, side: Side) -> Option<PriceTicks>;

    /// Appends an order to the queue of its price.
    fn rest(&mut self, table: &mut OrderTable, slot: u32);

    /// Takes an order out of its queue. Its slot stays in use.
    fn unlink(&mut self, table: &mut OrderTable, slot: u32);

    /// Lowers a resting order's leaves to `leaves_lots` (above 0); it keeps its place.
    fn reduce(&mut self, table: &mut OrderTable, slot: u32, leaves_lots: QuantityLots);

    /// Matches: best price first, oldest first within a price, at the resting order's price
    /// (`docs/exchange.md`, "New order", step 5).
    fn execute<S: MatchSink>(&mut self, table: &mut OrderTable, taker: &Taker, sink: &mut S) -> Execution;

    /// Whether [`Book::execute`] would end with [`Stop::Done`].
    fn fillable(&self, table: &OrderTable, taker: &Taker) -> bool;

    /// What `quantity_lots` would cost a taker on `side`, own orders included, without a limit price.
    fn cost(&self, table: &OrderTable, side: Side, quantity_lots: QuantityLots) -> Cost;

    /// The price levels of a side, best first.
    fn levels<'a>(&'a self, table: &'a OrderTable, side: Side) -> impl Iterator<Item = PriceLevel> + 'a;

    /// Slots of the orders at a price, oldest first; empty if there is no such level.
    fn queue<'a>(
        &'a self,
        table: &'a OrderTable,
        side: Side,
        price_ticks: PriceTicks,
    ) -> impl Iterator<Item = u32> + 'a;

    /// Checks what must always hold: never crossed, totals and links right, indexes complete. For tests; slow.
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
