//! The projection: events in, books out.

use std::collections::HashMap;

use machine::{Projection, Record};
use protocol::{
    AssetCreated, AuctionIndicative, AuctionUncrossed, EventKind, ExtendedOrderAccepted, InstrumentCreated,
    InstrumentId, InstrumentRulesSet, Limits, OrderAccepted, OrderCanceled, OrderDecremented, OrderId,
    OrderReplaced, OrderShown, Phase, PhaseChanged, PriceTicks, QuantityLots, Side, TickTableSet,
    TimeInForce, Trade, TradeBusted,
};

use crate::book::{AuctionResult, InstrumentBook, OrderTable, PhaseState, RestingOrder, TapeTrade};
use crate::changes::{Changes, Marks};
use crate::reference::{AssetReference, InstrumentReference};

/// Every instrument's book, tape and reference data.
///
/// Plain orders rest with what is left of them when they are through; orders of all other types are in the book only
/// while and as far as `OrderShown` says so, and hidden ones never. During auctions a book may be crossed.
///
/// Memory: one entry per slot of the exchange's order table (at most `Limits::orders`, grown to the highest slot
/// seen), one per live order that is not plain, one per live price level, and `tape_length` trades per instrument.
pub struct DepthBook {
    limits: Limits,
    tape_length: usize,
    table: OrderTable,
    /// By instrument id less one.
    books: Vec<Option<Box<InstrumentBook>>>,
    /// By asset id less one.
    assets: Vec<Option<AssetReference>>,
    /// The plain order that came in or moved last: it joins the book when the command ends, or when another order
    /// comes behind it. Until then it may still trade, as taker or (with a triggered stop) as maker.
    incoming: Option<RestingOrder>,
    /// What is left of every live order that is not plain, shown or not.
    pub(crate) extended: HashMap<OrderId, QuantityLots>,
    /// What the newest command changed.
    changes: Changes,
    /// Events of a command are coming in, and its last has not come.
    in_command: bool,
    pub(crate) applied_sequence: u64,
    inconsistent_events: u64,
}

impl DepthBook {
    /// Empty, for an exchange of these limits. Each instrument keeps its newest `tape_length` trades.
    #[must_use]
    pub fn new(limits: &Limits, tape_length: usize) -> Self {
        Self {
            limits: *limits,
            tape_length,
            table: OrderTable::new(limits.orders as usize),
            books: Vec::new(),
            assets: Vec::new(),
            incoming: None,
            extended: HashMap::new(),
            changes: Changes::default(),
            in_command: false,
            applied_sequence: 0,
            inconsistent_events: 0,
        }
    }

    /// The book of an instrument, or `None` before its `InstrumentCreated`.
    #[must_use]
    pub fn book(&self, instrument: InstrumentId) -> Option<&InstrumentBook> {
        self.books.get((instrument as usize).checked_sub(1)?)?.as_deref()
    }

    /// Whether [`DepthBook::changes`] are collected. Off at first; while it is off they cost nothing.
    pub fn record_changes(&mut self, on: bool) {
        self.changes.record(on);
    }

    /// Whether changes are collected.
    #[must_use]
    pub fn records_changes(&self) -> bool {
        self.changes.is_recording()
    }

    /// Whether all events of the newest command have been folded: amid one the books are not what they will be.
    #[must_use]
    pub fn is_between_commands(&self) -> bool {
        !self.in_command
    }

    /// What the newest command changed. Complete, and to be looked at, after its last event and before the next command.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Instruments that exist, in order of their ids.
    pub fn instruments(&self) -> impl Iterator<Item = InstrumentId> {
        self.books.iter().flatten().map(|book| book.reference().instrument)
    }

    /// An order that is shown, or `None`.
    #[must_use]
    pub fn order(&self, order_id: OrderId) -> Option<&RestingOrder> {
        self.table.get(order_id)
    }

    /// An event will soon speak of this order: asks for its memory.
    #[inline]
    pub fn expect_order(&self, order_id: OrderId) {
        self.table.prefetch(order_id);
    }

    /// Shown orders of one side (L3): best price first, oldest first within a price.
    pub fn orders(&self, instrument: InstrumentId, side: Side) -> impl Iterator<Item = &RestingOrder> {
        self.book(instrument).into_iter().flat_map(move |book| book.orders(&self.table, side))
    }

    /// How many orders are shown, in all books.
    #[must_use]
    pub fn live_orders(&self) -> usize {
        self.table.live()
    }

    /// How many orders are live that are not plain: shown, hidden or waiting.
    #[must_use]
    pub fn extended_orders(&self) -> usize {
        self.extended.len()
    }

    /// Events that did not fit what went before (an order that does not rest, a slot taken twice). Always 0 when
    /// the stream is complete and in order; anything else means that the projection must be rebuilt.
    #[must_use]
    pub fn inconsistent_events(&self) -> u64 {
        self.inconsistent_events
    }

    pub(crate) fn book_mut(&mut self, instrument: InstrumentId) -> Option<&mut InstrumentBook> {
        self.books.get_mut((instrument as usize).checked_sub(1)?)?.as_deref_mut()
    }

    /// Folds one event; `None` if it does not fit.
    fn fold(&mut self, event: Record<'_>) -> Option<()> {
        match EventKind::from_code(event.header().kind) {
            Some(EventKind::OrderAccepted) => self.accepted(event.body_as()?),
            Some(EventKind::ExtendedOrderAccepted) => self.extended_accepted(event.body_as()?),
            Some(EventKind::OrderShown) => self.shown(event.body_as()?),
            Some(EventKind::OrderDecremented) => {
                let OrderDecremented { instrument, order_id, quantity_lots, leaves_lots, .. } =
                    *event.body_as()?;
                self.reduce(instrument, order_id, quantity_lots, leaves_lots)
            }
            Some(EventKind::OrderCanceled) => self.canceled(event.body_as()?),
            Some(EventKind::OrderReplaced) => self.replaced(event.body_as()?),
            Some(EventKind::Trade) => self.traded(event.header().timestamp_ns, event.body_as()?),
            Some(EventKind::TradeBusted) => self.busted(event.header().timestamp_ns, event.body_as()?),
            Some(
                EventKind::PhaseChanged
                | EventKind::AuctionIndicative
                | EventKind::AuctionUncrossed
                | EventKind::InstrumentRulesSet
                | EventKind::TickTableSet,
            ) => self.instrument_changed(event),
            Some(EventKind::AssetCreated) => self.asset_created(event.body_as()?),
            Some(EventKind::InstrumentCreated) => self.instrument_created(event.body_as()?),
            // The rest says nothing about what is shown: an order that is triggered or moves is not in the book.
            _ => Some(()),
        }
    }

    fn accepted(&mut self, event: &OrderAccepted) -> Option<()> {
        let rested = self.rest_incoming();
        self.incoming = Some(RestingOrder {
            order_id: event.order_id,
            price_ticks: event.price_ticks,
            leaves_lots: event.quantity_lots,
            account: event.account,
            instrument: event.instrument,
            side: Side::from_code(event.side)?,
        });
        TimeInForce::from_code(event.time_in_force).and(rested)
    }

    fn extended_accepted(&mut self, event: &ExtendedOrderAccepted) -> Option<()> {
        let OrderAccepted { order_id, quantity_lots, .. } = event.order;
        self.extended.insert(order_id, quantity_lots).is_none().then_some(())
    }

    /// An order that is not plain comes to rest, or an iceberg shows its next slice: last in its price's queue.
    fn shown(&mut self, event: &OrderShown) -> Option<()> {
        let order = RestingOrder {
            order_id: event.order_id,
            price_ticks: event.price_ticks,
            leaves_lots: event.shown_lots,
            account: event.account,
            instrument: event.instrument,
            side: Side::from_code(event.side)?,
        };
        // A plain order of this side that is not in the book yet came before it.
        let before = self.incoming.filter(|incoming| incoming.side == order.side);
        let rested = before.map_or(Some(()), |_| self.rest_incoming());
        let leaves_lots = *self.extended.get(&event.order_id)?;
        if !(1..=leaves_lots).contains(&event.shown_lots) {
            return None;
        }
        self.rest(order).and(rested)
    }

    fn canceled(&mut self, event: &OrderCanceled) -> Option<()> {
        if self.incoming.is_some_and(|incoming| incoming.order_id == event.order_id) {
            self.incoming = None;
            return Some(());
        }
        let shown = self.set_shown(event.instrument, event.order_id, 0).map(|_| ());
        let extended = self.extended.remove(&event.order_id).map(|_| ());
        shown.or(extended)
    }

    fn replaced(&mut self, event: &OrderReplaced) -> Option<()> {
        let OrderReplaced { order_id, instrument, leaves_lots, .. } = *event;
        let kept = event.kept_priority == 1;
        if let Some(extended) = self.extended.get_mut(&order_id) {
            *extended = leaves_lots;
            // One that waits or is hidden has nothing shown to change. A reserve shrinks before what is shown does.
            if let Some(shown_lots) = self.table.get(order_id).map(|order| order.leaves_lots) {
                let shown_lots = if kept { shown_lots.min(leaves_lots) } else { 0 };
                self.set_shown(instrument, order_id, shown_lots)?;
            }
            return Some(());
        }
        if kept {
            return self.set_shown(instrument, order_id, leaves_lots).map(|_| ());
        }
        let before = self.set_shown(instrument, order_id, 0)?;
        let rested = self.rest_incoming();
        self.incoming = Some(RestingOrder { price_ticks: event.price_ticks, leaves_lots, ..before });
        rested
    }

    fn traded(&mut self, timestamp_ns: u64, event: &Trade) -> Option<()> {
        let Trade { instrument, quantity_lots, .. } = *event;
        let taker_side = Side::from_code(event.taker_side)?;
        let trade = TapeTrade {
            trade_id: event.trade_id,
            timestamp_ns,
            price_ticks: event.price_ticks,
            quantity_lots,
            taker_side,
            auction: event.auction == 1,
            busted: false,
        };
        self.book_mut(instrument)?.record_trade(trade);
        self.changes.trade(instrument, trade);
        let maker = self.reduce(instrument, event.maker_order_id, quantity_lots, event.maker_leaves_lots);
        let taker = self.reduce(instrument, event.taker_order_id, quantity_lots, event.taker_leaves_lots);
        maker.and(taker)
    }

    /// Takes a traded or decremented quantity from an order, wherever it is; `leaves_lots` is what must be left of it.
    fn reduce(
        &mut self,
        instrument: InstrumentId,
        order_id: OrderId,
        quantity_lots: QuantityLots,
        leaves_lots: QuantityLots,
    ) -> Option<()> {
        if quantity_lots <= 0 {
            return None;
        }
        if let Some(incoming) = self.incoming.as_mut().filter(|incoming| incoming.order_id == order_id) {
            let fits = incoming.leaves_lots - quantity_lots == leaves_lots;
            incoming.leaves_lots = leaves_lots;
            return fits.then_some(());
        }
        let shown_lots = self.table.get(order_id).map(|order| order.leaves_lots - quantity_lots);
        if let Some(shown_lots) = shown_lots {
            self.set_shown(instrument, order_id, shown_lots)?;
        }
        match self.extended.get_mut(&order_id) {
            None => (shown_lots? == leaves_lots).then_some(()),
            Some(extended) => {
                *extended -= quantity_lots;
                let fits = *extended == leaves_lots && shown_lots.is_none_or(|shown| shown <= leaves_lots);
                if leaves_lots == 0 {
                    self.extended.remove(&order_id);
                }
                fits.then_some(())
            }
        }
    }

    fn busted(&mut self, timestamp_ns: u64, event: &TradeBusted) -> Option<()> {
        let TradeBusted { instrument, trade_id, price_ticks, quantity_lots, .. } = *event;
        let taker_side = Side::from_code(event.taker_side)?;
        self.book_mut(instrument)?.mark_busted(trade_id);
        let trade = TapeTrade {
            trade_id,
            timestamp_ns,
            price_ticks,
            quantity_lots,
            taker_side,
            auction: false,
            busted: true,
        };
        self.changes.bust(instrument, trade);
        Some(())
    }

    /// What is said about an instrument as a whole.
    fn instrument_changed(&mut self, event: Record<'_>) -> Option<()> {
        let (instrument, marks) = if let Some(it) = event.body_as::<PhaseChanged>() {
            let PhaseChanged { until_ns, reference_price_ticks, instrument, .. } = *it;
            let phase = Phase::from_code(it.phase)?;
            let state = PhaseState { phase, until_ns, reference_price_ticks };
            (instrument, self.book_mut(instrument)?.set_phase(state))
        } else if let Some(it) = event.body_as::<AuctionIndicative>() {
            let indicative = auction_result(it.price_ticks, it.paired_lots, it.imbalance_lots);
            self.book_mut(it.instrument)?.set_indicative(indicative);
            (it.instrument, Marks::INDICATIVE)
        } else if let Some(it) = event.body_as::<AuctionUncrossed>() {
            let result = auction_result(it.price_ticks, it.paired_lots, it.imbalance_lots);
            (it.instrument, self.book_mut(it.instrument)?.set_uncrossed(result))
        } else if let Some(InstrumentRulesSet(rules)) = event.body_as() {
            self.book_mut(rules.instrument)?.set_rules(*rules);
            (rules.instrument, Marks::RULES)
        } else {
            let TickTableSet(ticks) = event.body_as()?;
            self.book_mut(ticks.instrument)?.set_ticks(*ticks);
            (ticks.instrument, Marks::RULES)
        };
        self.changes.mark(instrument, marks);
        Some(())
    }

    /// Sets what is shown of an order in the book; below 0 does not fit.
    fn set_shown(
        &mut self,
        instrument: InstrumentId,
        order_id: OrderId,
        shown_lots: QuantityLots,
    ) -> Option<RestingOrder> {
        let book = self.books.get_mut((instrument as usize).checked_sub(1)?)?.as_deref_mut()?;
        let before = book.set_leaves(&mut self.table, &mut self.changes, order_id, shown_lots.max(0))?;
        (shown_lots >= 0).then_some(before)
    }

    /// What is left of the plain order that came in last rests.
    fn rest_incoming(&mut self) -> Option<()> {
        match self.incoming.take().filter(|order| order.leaves_lots > 0) {
            None => Some(()),
            Some(order) => self.rest(order),
        }
    }

    pub(crate) fn rest(&mut self, order: RestingOrder) -> Option<()> {
        let book = self.books.get_mut((order.instrument as usize).checked_sub(1)?)?.as_deref_mut()?;
        book.insert(&mut self.table, &mut self.changes, order).then_some(())
    }

    pub(crate) fn asset_created(&mut self, event: &AssetCreated) -> Option<()> {
        let index = (event.asset as usize).checked_sub(1)?;
        if event.asset > self.limits.assets {
            return None;
        }
        if self.assets.len() <= index {
            self.assets.resize(index + 1, None);
        }
        self.assets[index] = Some(AssetReference { name: event.name, scale: event.scale });
        Some(())
    }

    pub(crate) fn instrument_created(&mut self, event: &InstrumentCreated) -> Option<()> {
        let InstrumentCreated(created) = event;
        let index = (created.instrument as usize).checked_sub(1)?;
        if created.instrument > self.limits.instruments {
            return None;
        }
        let base = (*self.assets.get((created.base_asset as usize).checked_sub(1)?)?)?;
        let quote = (*self.assets.get((created.quote_asset as usize).checked_sub(1)?)?)?;
        if self.books.len() <= index {
            self.books.resize_with(index + 1, || None);
        }
        let reference = InstrumentReference::new(created, base, quote);
        self.books[index] = Some(Box::new(InstrumentBook::new(reference, self.tape_length)));
        self.changes.mark(created.instrument, Marks::CREATED);
        Some(())
    }
}

impl Projection for DepthBook {
    fn apply(&mut self, event: Record<'_>) {
        let sequence = event.header().sequence;
        if sequence <= self.applied_sequence {
            return;
        }
        if !self.in_command {
            self.in_command = true;
            self.changes.clear();
        }
        if self.fold(event).is_none() {
            self.inconsistent_events += 1;
        }
        if event.is_last_event() {
            if self.rest_incoming().is_none() {
                self.inconsistent_events += 1;
            }
            self.in_command = false;
            self.applied_sequence = sequence;
            let books = &self.books;
            self.changes.finish(|instrument, side, price_ticks| {
                books.get((instrument as usize).checked_sub(1)?)?.as_deref()?.level(side, price_ticks)
            });
        }
    }

    fn applied_sequence(&self) -> u64 {
        self.applied_sequence
    }
}

fn auction_result(
    price_ticks: PriceTicks,
    paired_lots: QuantityLots,
    imbalance_lots: QuantityLots,
) -> AuctionResult {
    AuctionResult { price_ticks: (price_ticks != 0).then_some(price_ticks), paired_lots, imbalance_lots }
}
