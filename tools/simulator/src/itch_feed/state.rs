//! The file's own view of its orders, and what the answers are checked against.

use std::collections::{BTreeMap, HashMap};

use marketdata::DepthBook;
use protocol::{AccountId, InstrumentId, OrderId, Side};

use super::report::ItchReport;
use crate::itch::Stock;
use crate::{Answer, Answers};

/// Where an order of the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Sent; its acceptance has not come yet.
    Sent,
    /// Accepted under this id.
    Live(OrderId),
    /// Kept back, because it would trade on entry.
    Parked,
    /// The exchange did not take it.
    Rejected,
}

/// An order by the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileOrder {
    /// Index of its symbol.
    pub(crate) symbol: usize,
    pub(crate) side: Side,
    pub(crate) price: u32,
    /// What the file has left of it.
    pub(crate) leaves: u32,
    /// Shares executed while the exchange had it: its replace commands name the total.
    pub(crate) filled: i64,
    pub(crate) standing: Standing,
}

/// One symbol: its instrument and its displayed book by the file, parked orders left out.
pub(crate) struct Symbol {
    pub(crate) stock: Stock,
    pub(crate) instrument: InstrumentId,
    bids: BTreeMap<u32, u64>,
    asks: BTreeMap<u32, u64>,
    /// References kept back, oldest first; those that have gone meanwhile are still listed.
    pub(crate) parked: Vec<u64>,
}

impl Symbol {
    pub(crate) fn new(stock: Stock, instrument: InstrumentId) -> Self {
        Self { stock, instrument, bids: BTreeMap::new(), asks: BTreeMap::new(), parked: Vec::new() }
    }

    fn side_mut(&mut self, side: Side) -> &mut BTreeMap<u32, u64> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// Whether an order of this side and price would trade on entry.
    pub(crate) fn crosses(&self, side: Side, price: u32) -> bool {
        match side {
            Side::Buy => self.asks.first_key_value().is_some_and(|(&ask, _)| price >= ask),
            Side::Sell => self.bids.last_key_value().is_some_and(|(&bid, _)| price <= bid),
        }
    }

    pub(crate) fn add(&mut self, side: Side, price: u32, shares: u32) {
        *self.side_mut(side).entry(price).or_default() += u64::from(shares);
    }

    pub(crate) fn remove(&mut self, side: Side, price: u32, shares: u32) {
        let levels = self.side_mut(side);
        let Some(quantity) = levels.get_mut(&price) else { return };
        *quantity = quantity.saturating_sub(u64::from(shares));
        if *quantity == 0 {
            levels.remove(&price);
        }
    }
}

/// What a command is expected to bring about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    /// Acceptance of the set-up.
    SetUp { kind: u16 },
    /// The order of this reference rests.
    Rests { reference: u64 },
    /// One trade with this order, of this size.
    Executed { order_id: OrderId, price: u32, shares: u32 },
    /// The order is cancelled with these leaves.
    Canceled { leaves: u32 },
    /// The order has these leaves and has kept its place or not.
    Replaced { leaves: u32, kept: bool },
}

/// A command's message in the file and its expectation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag {
    pub(crate) message: u64,
    pub(crate) expected: Expected,
}

/// All that a feed knows besides its client.
pub(crate) struct State {
    pub(crate) report: ItchReport,
    pub(crate) orders: HashMap<u64, FileOrder>,
    pub(crate) symbols: Vec<Symbol>,
    pub(crate) by_stock: HashMap<Stock, usize>,
    pub(crate) maker: AccountId,
    /// Reject reason and command kind of a set-up command.
    pub(crate) set_up_rejected: Option<(&'static str, u16)>,
}

impl State {
    pub(crate) fn standing(&self, reference: u64) -> Option<Standing> {
        self.orders.get(&reference).map(|order| order.standing)
    }

    fn check(&mut self, tag: Tag, answer: &Answer) {
        let (fits, expected) = match tag.expected {
            Expected::SetUp { .. } => (true, String::new()),
            Expected::Rests { reference } => (
                answer.accepted.is_some() && answer.trades.is_empty() && answer.canceled.is_empty(),
                format!("order {reference} rests without a trade"),
            ),
            Expected::Executed { order_id, price, shares } => (
                is_execution(answer, order_id, price, shares),
                format!("one trade with order {order_id} of {shares} at {price}"),
            ),
            Expected::Canceled { leaves } => (
                matches!(answer.canceled.as_slice(), [only] if only.leaves_lots == i64::from(leaves)),
                format!("a cancel of {leaves} left"),
            ),
            Expected::Replaced { leaves, kept } => (
                answer.trades.is_empty()
                    && answer.replaced.is_some_and(|replaced| {
                        replaced.leaves_lots == i64::from(leaves) && (replaced.kept_priority == 1) == kept
                    }),
                format!("a replace with {leaves} left, place {}", if kept { "kept" } else { "lost" }),
            ),
        };
        if !fits {
            self.report.differs(tag.message, expected, describe(answer));
        } else if matches!(tag.expected, Expected::Executed { .. }) {
            self.report.executions_matched += 1;
        }
    }
}

fn is_execution(answer: &Answer, order_id: OrderId, price: u32, shares: u32) -> bool {
    let shares = i64::from(shares);
    matches!(answer.trades.as_slice(), [trade] if trade.maker_order_id == order_id
        && trade.quantity_lots == shares
        && trade.price_ticks == i64::from(price)
        && trade.taker_leaves_lots == 0)
        && answer.canceled.is_empty()
}

/// An answer in words.
fn describe(answer: &Answer) -> String {
    if let Some(reason) = answer.reject_name() {
        return format!("rejected: {reason}");
    }
    let mut parts = Vec::new();
    if let Some(order_id) = answer.accepted {
        parts.push(format!("accepted as {order_id}"));
    }
    if let Some(replaced) = &answer.replaced {
        parts
            .push(format!("replaced, {} left, kept place: {}", replaced.leaves_lots, replaced.kept_priority));
    }
    for trade in &answer.trades {
        let (maker, quantity, price) = (trade.maker_order_id, trade.quantity_lots, trade.price_ticks);
        parts.push(format!("trade with order {maker} of {quantity} at {price}"));
    }
    for canceled in &answer.canceled {
        parts.push(format!("order {} cancelled with {} left", canceled.order_id, canceled.leaves_lots));
    }
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

impl Answers<Tag> for State {
    fn answered(&mut self, tag: Tag, answer: &Answer, _depth: &DepthBook) {
        if let Some(reason) = answer.reject_name() {
            if let Expected::SetUp { kind } = tag.expected {
                self.set_up_rejected.get_or_insert((reason, kind));
                return;
            }
            *self.report.rejected.entry(reason.to_owned()).or_default() += 1;
        }
        if let Expected::Rests { reference } = tag.expected
            && let Some(order) = self.orders.get_mut(&reference)
        {
            order.standing = answer.accepted.map_or(Standing::Rejected, Standing::Live);
        }
        self.check(tag, answer);
    }
}
