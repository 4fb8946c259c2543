//! One instrument's book: price levels with intrusive queues of orders, and its tape.

use std::collections::VecDeque;

use protocol::{
    AccountId, InstrumentId, OrderId, Phase, PriceTicks, QuantityLots, SetInstrumentRules, SetTickTable, Side,
};

use crate::InstrumentReference;
use crate::changes::{ChangeAction, Changes, Marks, PriceChange};
use crate::window::{LevelStep, Window};

/// No slot: the end of a queue.
const END: u32 = u32::MAX;

/// An order that rests in a book and is shown there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestingOrder {
    /// The engine's id of it.
    pub order_id: OrderId,
    /// Limit price.
    pub price_ticks: PriceTicks,
    /// What is shown of it: all that is left, but for an iceberg, of which this is the slice.
    pub leaves_lots: QuantityLots,
    /// Whose it is.
    pub account: AccountId,
    /// On which instrument.
    pub instrument: InstrumentId,
    /// Buy or sell.
    pub side: Side,
}

/// A price level, as shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthLevel {
    /// Price.
    pub price_ticks: PriceTicks,
    /// Sum of what is shown of its orders.
    pub quantity_lots: QuantityLots,
    /// How many orders.
    pub orders: u32,
}

/// A trade on the tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapeTrade {
    /// Number of the trade on the exchange.
    pub trade_id: u64,
    /// Nanoseconds since the Unix epoch, from the sequencer.
    pub timestamp_ns: u64,
    /// Price.
    pub price_ticks: PriceTicks,
    /// Quantity.
    pub quantity_lots: QuantityLots,
    /// Side of the order that came in; in an auction of the younger order.
    pub taker_side: Side,
    /// Whether it was made in an auction.
    pub auction: bool,
    /// Whether it was reversed later. It stays on the tape and in the session's figures.
    pub busted: bool,
}

/// What an auction would come to, or has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuctionResult {
    /// Price; `None` if nothing would trade.
    pub price_ticks: Option<PriceTicks>,
    /// Quantity that trades at it.
    pub paired_lots: QuantityLots,
    /// Quantity at it without a counterpart: of buys above 0, of sells below.
    pub imbalance_lots: QuantityLots,
}

/// The trading phase of an instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseState {
    /// Which.
    pub phase: Phase,
    /// Nanoseconds since the Unix epoch at which it is to end; 0 if nothing is set.
    pub until_ns: u64,
    /// The reference price when it began; 0 for none.
    pub reference_price_ticks: PriceTicks,
}

#[derive(Clone, Copy)]
struct Node {
    order: RestingOrder,
    previous: u32,
    next: u32,
}

/// The resting orders of all instruments by their engine slot: an order id finds its order without hashing.
pub(crate) struct OrderTable {
    nodes: Vec<Option<Node>>,
    /// Slots at or above this are not the exchange's.
    limit: usize,
    live: usize,
}

impl OrderTable {
    pub(crate) fn new(limit: usize) -> Self {
        Self { nodes: Vec::new(), limit, live: 0 }
    }

    pub(crate) fn live(&self) -> usize {
        self.live
    }

    fn node(&self, slot: u32) -> Option<&Node> {
        self.nodes.get(slot as usize)?.as_ref()
    }

    fn node_mut(&mut self, slot: u32) -> Option<&mut Node> {
        self.nodes.get_mut(slot as usize)?.as_mut()
    }

    /// Asks for the memory of an order that an event will soon speak of.
    #[inline]
    pub(crate) fn prefetch(&self, order_id: OrderId) {
        if let Some(node) = self.nodes.get(order_id.slot() as usize) {
            machine::prefetch(node);
        }
    }

    pub(crate) fn get(&self, order_id: OrderId) -> Option<&RestingOrder> {
        self.node(order_id.slot()).map(|node| &node.order).filter(|order| order.order_id == order_id)
    }

    /// Takes the slot; `false` if it is taken or is none of the exchange's.
    fn insert(&mut self, node: Node) -> bool {
        let slot = node.order.order_id.slot() as usize;
        if slot >= self.limit {
            return false;
        }
        if self.nodes.len() <= slot {
            self.nodes.resize(slot + 1, None);
        }
        let place = &mut self.nodes[slot];
        if place.is_some() {
            return false;
        }
        *place = Some(node);
        self.live += 1;
        true
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Level {
    pub(crate) shown: DepthLevel,
    head: u32,
    tail: u32,
}

/// Book, tape and figures of one instrument.
pub struct InstrumentBook {
    reference: InstrumentReference,
    /// Levels by rank, best last, so that work at the top of the book moves few of them.
    bids: Vec<Level>,
    asks: Vec<Level>,
    tape: VecDeque<TapeTrade>,
    tape_length: usize,
    open: Option<PriceTicks>,
    high: Option<PriceTicks>,
    low: Option<PriceTicks>,
    close: Option<PriceTicks>,
    volume_lots: i128,
    trades: u64,
    phase: PhaseState,
    indicative: Option<AuctionResult>,
    uncrossed: Option<AuctionResult>,
    rules: SetInstrumentRules,
    ticks: SetTickTable,
    updates: u64,
}

/// Higher is better, on either side.
pub(crate) fn rank(side: Side, price_ticks: PriceTicks) -> i64 {
    match side {
        Side::Buy => price_ticks,
        Side::Sell => -price_ticks,
    }
}

impl InstrumentBook {
    pub(crate) fn new(reference: InstrumentReference, tape_length: usize) -> Self {
        Self {
            reference,
            bids: Vec::new(),
            asks: Vec::new(),
            tape: VecDeque::with_capacity(tape_length),
            tape_length,
            open: None,
            high: None,
            low: None,
            close: None,
            volume_lots: 0,
            trades: 0,
            phase: PhaseState { phase: Phase::Continuous, until_ns: 0, reference_price_ticks: 0 },
            indicative: None,
            uncrossed: None,
            rules: SetInstrumentRules::default(),
            ticks: SetTickTable::default(),
            updates: 0,
        }
    }

    /// Name, tick, lot and assets.
    #[must_use]
    pub fn reference(&self) -> &InstrumentReference {
        &self.reference
    }

    /// Price levels of a side, best first.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = DepthLevel> {
        self.side(side).iter().rev().map(|level| level.shown)
    }

    /// The best level of a side.
    #[must_use]
    pub fn best(&self, side: Side) -> Option<DepthLevel> {
        self.side(side).last().map(|level| level.shown)
    }

    /// The level at a price, if any order rests there.
    #[must_use]
    pub fn level(&self, side: Side, price_ticks: PriceTicks) -> Option<DepthLevel> {
        let levels = self.side(side);
        let index = position(levels, side, price_ticks).ok()?;
        levels.get(index).map(|level| level.shown)
    }

    /// Trades, newest first; as many as the tape holds.
    pub fn trades(&self) -> impl Iterator<Item = &TapeTrade> {
        self.tape.iter().rev()
    }

    /// Price of the first trade of the day. A day ends where `Phase::Closed` is left; without that phase it does not.
    #[must_use]
    pub fn open(&self) -> Option<PriceTicks> {
        self.open
    }

    /// Highest price traded in the day.
    #[must_use]
    pub fn high(&self) -> Option<PriceTicks> {
        self.high
    }

    /// Lowest price traded in the day.
    #[must_use]
    pub fn low(&self) -> Option<PriceTicks> {
        self.low
    }

    /// Price of the last trade before the newest `Phase::Closed`.
    #[must_use]
    pub fn close(&self) -> Option<PriceTicks> {
        self.close
    }

    /// The newest trade.
    #[must_use]
    pub fn last(&self) -> Option<&TapeTrade> {
        self.tape.back()
    }

    /// Lots traded in the day; wider than a quantity, since it only grows.
    #[must_use]
    pub fn volume_lots(&self) -> i128 {
        self.volume_lots
    }

    /// Trades in all.
    #[must_use]
    pub fn trade_count(&self) -> u64 {
        self.trades
    }

    /// The phase that it is in.
    #[must_use]
    pub fn phase(&self) -> PhaseState {
        self.phase
    }

    /// What the auction that goes on would come to now; `None` outside of auctions and before the first word.
    #[must_use]
    pub fn indicative(&self) -> Option<AuctionResult> {
        self.indicative
    }

    /// What the last auction came to.
    #[must_use]
    pub fn uncrossed(&self) -> Option<AuctionResult> {
        self.uncrossed
    }

    /// The rules in force; all 0 where none were set.
    #[must_use]
    pub fn rules(&self) -> &SetInstrumentRules {
        &self.rules
    }

    /// The tick-size table in force; without rows where none was set.
    #[must_use]
    pub fn ticks(&self) -> &SetTickTable {
        &self.ticks
    }

    /// Counts changes of book, tape and phase, so that a reader sees whether anything is new.
    #[must_use]
    pub fn updates(&self) -> u64 {
        self.updates
    }

    fn side(&self, side: Side) -> &Vec<Level> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut Vec<Level> {
        self.updates += 1;
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// Puts an order at the end of its price's queue; `false` if its slot is not free.
    pub(crate) fn insert(
        &mut self,
        table: &mut OrderTable,
        changes: &mut Changes,
        order: RestingOrder,
    ) -> bool {
        let slot = order.order_id.slot();
        let levels = self.side_mut(order.side);
        let found = position(levels, order.side, order.price_ticks);
        let previous = found.map_or(END, |index| levels[index].tail);
        if !table.insert(Node { order, previous, next: END }) {
            return false;
        }
        let before = found.ok().map(|index| levels[index].shown);
        changes.touch(order.instrument, order.side, order.price_ticks, before);
        changes.order(ChangeAction::New, order);
        match found {
            Ok(index) => {
                let level = &mut levels[index];
                level.tail = slot;
                level.shown.quantity_lots += order.leaves_lots;
                level.shown.orders += 1;
                if let Some(node) = table.node_mut(previous) {
                    node.next = slot;
                }
            }
            Err(index) => {
                let shown = DepthLevel {
                    price_ticks: order.price_ticks,
                    quantity_lots: order.leaves_lots,
                    orders: 1,
                };
                levels.insert(index, Level { shown, head: slot, tail: slot });
            }
        }
        true
    }

    /// Sets what is shown of an order, which keeps its place; 0 takes it out. `None` if it does not rest.
    pub(crate) fn set_leaves(
        &mut self,
        table: &mut OrderTable,
        changes: &mut Changes,
        order_id: OrderId,
        leaves_lots: QuantityLots,
    ) -> Option<RestingOrder> {
        let before = *table.get(order_id)?;
        let levels = self.side_mut(before.side);
        let index = position(levels, before.side, before.price_ticks).ok()?;
        let level = levels.get_mut(index)?;
        changes.touch(before.instrument, before.side, before.price_ticks, Some(level.shown));
        level.shown.quantity_lots += leaves_lots - before.leaves_lots;
        if leaves_lots > 0 {
            let order = &mut table.node_mut(order_id.slot())?.order;
            order.leaves_lots = leaves_lots;
            changes.order(ChangeAction::Change, *order);
            return Some(before);
        }
        changes.order(ChangeAction::Delete, before);
        let node = table.nodes.get_mut(order_id.slot() as usize)?.take()?;
        table.live -= 1;
        level.shown.orders -= 1;
        match table.node_mut(node.previous) {
            Some(previous) => previous.next = node.next,
            None => level.head = node.next,
        }
        match table.node_mut(node.next) {
            Some(next) => next.previous = node.previous,
            None => level.tail = node.previous,
        }
        if level.shown.orders == 0 {
            levels.remove(index);
        }
        Some(before)
    }

    pub(crate) fn record_trade(&mut self, trade: TapeTrade) {
        self.updates += 1;
        self.trades += 1;
        self.volume_lots += i128::from(trade.quantity_lots);
        let price = trade.price_ticks;
        self.open.get_or_insert(price);
        self.high = Some(self.high.map_or(price, |high| high.max(price)));
        self.low = Some(self.low.map_or(price, |low| low.min(price)));
        if self.tape.len() == self.tape_length {
            self.tape.pop_front();
        }
        if self.tape_length > 0 {
            self.tape.push_back(trade);
        }
    }

    /// Marks a trade on the tape as reversed. One that the tape has forgotten needs no mark.
    pub(crate) fn mark_busted(&mut self, trade_id: u64) {
        if let Ok(index) = self.tape.binary_search_by_key(&trade_id, |trade| trade.trade_id) {
            self.tape[index].busted = true;
            self.updates += 1;
        }
    }

    /// Enters a phase: what was said about an auction before is over. The close fixes the closing price, and when it is
    /// over a new day's figures begin. What changed.
    pub(crate) fn set_phase(&mut self, phase: PhaseState) -> Marks {
        let (was, is) = (self.phase.phase == Phase::Closed, phase.phase == Phase::Closed);
        let mut marks = Marks::PHASE;
        if self.indicative.take().is_some() {
            marks = marks.and(Marks::INDICATIVE);
        }
        if is && !was {
            self.close = self.last().map(|trade| trade.price_ticks).or(self.close);
            marks = marks.and(Marks::FIGURES);
        }
        if was && !is {
            (self.open, self.high, self.low, self.volume_lots) = (None, None, None, 0);
            marks = marks.and(Marks::FIGURES);
        }
        self.phase = phase;
        self.updates += 1;
        marks
    }

    pub(crate) fn set_rules(&mut self, rules: SetInstrumentRules) {
        self.rules = rules;
        self.updates += 1;
    }

    pub(crate) fn set_ticks(&mut self, ticks: SetTickTable) {
        self.ticks = ticks;
        self.updates += 1;
    }

    pub(crate) fn set_indicative(&mut self, indicative: AuctionResult) {
        self.indicative = Some(indicative);
        self.updates += 1;
    }

    /// What changed.
    pub(crate) fn set_uncrossed(&mut self, result: AuctionResult) -> Marks {
        self.uncrossed = Some(result);
        self.updates += 1;
        match self.indicative.take() {
            Some(_) => Marks::UNCROSSED.and(Marks::INDICATIVE),
            None => Marks::UNCROSSED,
        }
    }

    /// Appends to `steps` what a reader of the best `depth` levels of a side must do after a command that changed
    /// `prices` there (best first, see [`Changes::prices`]): deletes from the worst to the best, then new levels from the
    /// best to the worst, then changes. Each position is the one at which the reader finds or puts the level when it
    /// takes the steps one after the other.
    pub fn level_steps(&self, side: Side, prices: &[PriceChange], depth: usize, steps: &mut Vec<LevelStep>) {
        for action in [ChangeAction::Delete, ChangeAction::New, ChangeAction::Change] {
            let from = steps.len();
            let mut window = Window { levels: self.side(side), depth, old: 0, new: 0, action };
            for change in prices {
                window.pass(window.better_than(side, change.price_ticks), steps);
                if window.is_behind() {
                    break;
                }
                window.change(change, steps);
            }
            window.pass(window.levels.len(), steps);
            if action == ChangeAction::Delete {
                steps[from..].reverse();
            }
        }
    }

    /// Resting orders of a side, best price first and oldest first within a price.
    pub(crate) fn orders<'a>(
        &'a self,
        table: &'a OrderTable,
        side: Side,
    ) -> impl Iterator<Item = &'a RestingOrder> {
        self.side(side).iter().rev().flat_map(move |level| {
            let mut slot = level.head;
            core::iter::from_fn(move || {
                let node = table.node(slot)?;
                slot = node.next;
                Some(&node.order)
            })
        })
    }
}

pub(crate) fn position(levels: &[Level], side: Side, price_ticks: PriceTicks) -> Result<usize, usize> {
    let wanted = rank(side, price_ticks);
    levels.binary_search_by_key(&wanted, |level| rank(side, level.shown.price_ticks))
}
