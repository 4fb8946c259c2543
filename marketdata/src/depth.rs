//! The projection: events in, books out.

use machine::{Projection, Record};
use protocol::{
    AssetCreated, EventKind, InstrumentCreated, InstrumentId, Limits, OrderAccepted, OrderCanceled, OrderId,
    OrderReplaced, Side, TimeInForce, Trade,
};

use crate::book::{InstrumentBook, OrderTable, RestingOrder, TapeTrade};
use crate::reference::{AssetReference, InstrumentReference};

/// Every instrument's book, tape and reference data.
///
/// Memory: one entry per slot of the exchange's order table (at most `Limits::orders`, grown to the highest slot
/// seen), one per live price level, and `tape_length` trades per instrument.
pub struct DepthBook {
    limits: Limits,
    tape_length: usize,
    table: OrderTable,
    /// By instrument id less one.
    books: Vec<Option<Box<InstrumentBook>>>,
    /// By asset id less one.
    assets: Vec<Option<AssetReference>>,
    /// The order that the current command brought in or moved: it joins the book when the command ends.
    incoming: Option<RestingOrder>,
    applied_sequence: u64,
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
            applied_sequence: 0,
            inconsistent_events: 0,
        }
    }

    /// The book of an instrument, or `None` before its `InstrumentCreated`.
    #[must_use]
    pub fn book(&self, instrument: InstrumentId) -> Option<&InstrumentBook> {
        self.books.get((instrument as usize).checked_sub(1)?)?.as_deref()
    }

    /// Instruments that exist, in order of their ids.
    pub fn instruments(&self) -> impl Iterator<Item = InstrumentId> {
        self.books.iter().flatten().map(|book| book.reference().instrument)
    }

    /// A resting order, or `None` if the id is not live.
    #[must_use]
    pub fn order(&self, order_id: OrderId) -> Option<&RestingOrder> {
        self.table.get(order_id)
    }

    /// Resting orders of one side (L3): best price first, oldest first within a price.
    pub fn orders(&self, instrument: InstrumentId, side: Side) -> impl Iterator<Item = &RestingOrder> {
        self.book(instrument).into_iter().flat_map(move |book| book.orders(&self.table, side))
    }

    /// How many orders rest, in all books.
    #[must_use]
    pub fn live_orders(&self) -> usize {
        self.table.live()
    }

    /// Events that did not fit what went before (an order that does not rest, a slot taken twice). Always 0 when
    /// the stream is complete and in order; anything else means that the projection must be rebuilt.
    #[must_use]
    pub fn inconsistent_events(&self) -> u64 {
        self.inconsistent_events
    }

    fn book_mut(&mut self, instrument: InstrumentId) -> Option<&mut InstrumentBook> {
        self.books.get_mut((instrument as usize).checked_sub(1)?)?.as_deref_mut()
    }

    /// Folds one event; `None` if it does not fit.
    fn fold(&mut self, event: Record<'_>) -> Option<()> {
        match EventKind::from_code(event.header().kind) {
            Some(EventKind::OrderAccepted) => self.accepted(event.body_as()?),
            Some(EventKind::OrderCanceled) => self.canceled(event.body_as()?),
            Some(EventKind::OrderReplaced) => self.replaced(event.body_as()?),
            Some(EventKind::Trade) => self.traded(event.header().timestamp_ns, event.body_as()?),
            Some(EventKind::AssetCreated) => self.asset_created(event.body_as()?),
            Some(EventKind::InstrumentCreated) => self.instrument_created(event.body_as()?),
            Some(
                EventKind::Rejected
                | EventKind::AccountCreated
                | EventKind::Deposited
                | EventKind::Withdrawn
                | EventKind::DayEnded,
            )
            | None => Some(()),
        }
    }

    fn accepted(&mut self, event: &OrderAccepted) -> Option<()> {
        self.incoming = Some(RestingOrder {
            order_id: event.order_id,
            price_ticks: event.price_ticks,
            leaves_lots: event.quantity_lots,
            account: event.account,
            instrument: event.instrument,
            side: Side::from_code(event.side)?,
        });
        TimeInForce::from_code(event.time_in_force).map(|_| ())
    }

    fn canceled(&mut self, event: &OrderCanceled) -> Option<()> {
        if self.incoming.is_some_and(|incoming| incoming.order_id == event.order_id) {
            self.incoming = None;
            return Some(());
        }
        self.set_leaves(event.instrument, event.order_id, 0).map(|_| ())
    }

    fn replaced(&mut self, event: &OrderReplaced) -> Option<()> {
        if event.kept_priority == 1 {
            return self.set_leaves(event.instrument, event.order_id, event.leaves_lots).map(|_| ());
        }
        let before = self.set_leaves(event.instrument, event.order_id, 0)?;
        self.incoming =
            Some(RestingOrder { price_ticks: event.price_ticks, leaves_lots: event.leaves_lots, ..before });
        Some(())
    }

    fn traded(&mut self, timestamp_ns: u64, event: &Trade) -> Option<()> {
        let taker_side = Side::from_code(event.taker_side)?;
        self.book_mut(event.instrument)?.record_trade(TapeTrade {
            trade_id: event.trade_id,
            timestamp_ns,
            price_ticks: event.price_ticks,
            quantity_lots: event.quantity_lots,
            taker_side,
        });
        let maker = self.set_leaves(event.instrument, event.maker_order_id, event.maker_leaves_lots);
        let taker = self.incoming.as_mut().filter(|incoming| incoming.order_id == event.taker_order_id)?;
        taker.leaves_lots = event.taker_leaves_lots;
        maker.map(|_| ())
    }

    fn set_leaves(
        &mut self,
        instrument: InstrumentId,
        order_id: OrderId,
        leaves_lots: i64,
    ) -> Option<RestingOrder> {
        let book = self.books.get_mut((instrument as usize).checked_sub(1)?)?.as_deref_mut()?;
        book.set_leaves(&mut self.table, order_id, leaves_lots)
    }

    /// The command is over: what is left of its order rests.
    fn end_command(&mut self) -> Option<()> {
        let Some(order) = self.incoming.take().filter(|order| order.leaves_lots > 0) else {
            return Some(());
        };
        let book = self.books.get_mut((order.instrument as usize).checked_sub(1)?)?.as_deref_mut()?;
        book.insert(&mut self.table, order).then_some(())
    }

    fn asset_created(&mut self, event: &AssetCreated) -> Option<()> {
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

    fn instrument_created(&mut self, event: &InstrumentCreated) -> Option<()> {
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
        Some(())
    }
}

impl Projection for DepthBook {
    fn apply(&mut self, event: Record<'_>) {
        let sequence = event.header().sequence;
        if sequence <= self.applied_sequence {
            return;
        }
        if self.fold(event).is_none() {
            self.inconsistent_events += 1;
        }
        if event.is_last_event() {
            if self.end_command().is_none() {
                self.inconsistent_events += 1;
            }
            self.applied_sequence = sequence;
        }
    }

    fn applied_sequence(&self) -> u64 {
        self.applied_sequence
    }
}
