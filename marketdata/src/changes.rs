//! What one command changed in the books: for those who send increments instead of whole books.

use protocol::{InstrumentId, OrderId, PriceTicks, Side};

use crate::book::{DepthLevel, RestingOrder, TapeTrade, rank};

/// What became of an entry of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeAction {
    /// It is new; an order behind the others of its price.
    New,
    /// What is shown of it is another quantity; it keeps its place.
    Change,
    /// It is gone.
    Delete,
}

/// A price whose level is not what it was before the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceChange {
    /// On which instrument.
    pub instrument: InstrumentId,
    /// Which side.
    pub side: Side,
    /// Which price.
    pub price_ticks: PriceTicks,
    /// The level before the command; `None` if there was none.
    pub before: Option<DepthLevel>,
    /// The level now; `None` if there is none.
    pub after: Option<DepthLevel>,
}

/// A shown order that came, went or shows another quantity. An order that lost its place is deleted and new again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderChange {
    /// What became of it.
    pub action: ChangeAction,
    /// The order as it is now; a deleted one as it was before.
    pub order: RestingOrder,
}

/// What else changed on an instrument, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u8);

impl Marks {
    /// The instrument exists.
    pub const CREATED: Self = Self(1);
    /// It entered a phase.
    pub const PHASE: Self = Self(2);
    /// What its auction would come to, or that nothing is said about that any more.
    pub const INDICATIVE: Self = Self(4);
    /// What its last auction came to.
    pub const UNCROSSED: Self = Self(8);
    /// Its rules, ticks or timetable.
    pub const RULES: Self = Self(16);
    /// Open, high, low, close or volume.
    pub const FIGURES: Self = Self(32);

    /// Whether all of `other` is in it.
    #[must_use]
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// An instrument that the command touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Touched {
    instrument: InstrumentId,
    marks: Marks,
}

/// A price that was touched, with its level before.
#[derive(Clone, Copy)]
struct PriceTouch {
    instrument: InstrumentId,
    side: Side,
    price_ticks: PriceTicks,
    before: Option<DepthLevel>,
    /// Its place among the touches: the first of a price knows what was before.
    at: u32,
}

/// Where in `orders` an order slot's change stands, if the number of the command is the current one's.
#[derive(Clone, Copy, Default)]
struct SlotMark {
    command: u64,
    at: u32,
}

/// The net changes of the newest command. Collected only while somebody wants them: see
/// [`crate::DepthBook::record_changes`].
///
/// Memory grows to what the largest command has needed, and is then reused.
#[derive(Default)]
pub struct Changes {
    recording: bool,
    /// Counts commands, so that nothing has to be cleared by slot.
    command: u64,
    touches: Vec<PriceTouch>,
    prices: Vec<PriceChange>,
    /// `None`: an order that came and went.
    orders: Vec<Option<OrderChange>>,
    slots: Vec<SlotMark>,
    trades: Vec<(InstrumentId, TapeTrade)>,
    busts: Vec<(InstrumentId, TapeTrade)>,
    instruments: Vec<Touched>,
}

impl Changes {
    /// Whether nothing changed that a reader of market data sees.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instruments.is_empty()
    }

    /// The instruments that changed, each once, by id, with what else changed there.
    pub fn instruments(&self) -> impl Iterator<Item = (InstrumentId, Marks)> + '_ {
        self.instruments.iter().map(|touched| (touched.instrument, touched.marks))
    }

    /// Price levels of a side that changed, best first.
    #[must_use]
    pub fn prices(&self, instrument: InstrumentId, side: Side) -> &[PriceChange] {
        let wanted = (instrument, side);
        let start = self.prices.partition_point(|it| (it.instrument, it.side) < wanted);
        let length = self.prices[start..].partition_point(|it| (it.instrument, it.side) == wanted);
        &self.prices[start..start + length]
    }

    /// Orders of an instrument that changed, in the order in which to apply them.
    pub fn orders(&self, instrument: InstrumentId) -> impl Iterator<Item = &OrderChange> {
        self.orders.iter().flatten().filter(move |change| change.order.instrument == instrument)
    }

    /// Trades of an instrument, oldest first.
    pub fn trades(&self, instrument: InstrumentId) -> impl Iterator<Item = &TapeTrade> {
        self.trades.iter().filter(move |(of, _)| *of == instrument).map(|(_, trade)| trade)
    }

    /// Trades of an instrument that were reversed.
    pub fn busts(&self, instrument: InstrumentId) -> impl Iterator<Item = &TapeTrade> {
        self.busts.iter().filter(move |(of, _)| *of == instrument).map(|(_, trade)| trade)
    }

    pub(crate) fn is_recording(&self) -> bool {
        self.recording
    }

    pub(crate) fn record(&mut self, on: bool) {
        self.recording = on;
        self.clear();
    }

    /// Forgets the command before.
    pub(crate) fn clear(&mut self) {
        if self.instruments.is_empty() {
            return;
        }
        self.touches.clear();
        self.prices.clear();
        self.orders.clear();
        self.trades.clear();
        self.busts.clear();
        self.instruments.clear();
    }

    /// A level is about to change.
    pub(crate) fn touch(
        &mut self,
        instrument: InstrumentId,
        side: Side,
        price_ticks: PriceTicks,
        before: Option<DepthLevel>,
    ) {
        if self.recording {
            self.mark(instrument, Marks::default());
            let at = self.touches.len() as u32;
            self.touches.push(PriceTouch { instrument, side, price_ticks, before, at });
        }
    }

    pub(crate) fn mark(&mut self, instrument: InstrumentId, marks: Marks) {
        if !self.recording {
            return;
        }
        match self.instruments.last_mut() {
            Some(last) if last.instrument == instrument => last.marks = last.marks.and(marks),
            _ => self.instruments.push(Touched { instrument, marks }),
        }
    }

    pub(crate) fn trade(&mut self, instrument: InstrumentId, trade: TapeTrade) {
        if self.recording {
            self.mark(instrument, Marks::FIGURES);
            self.trades.push((instrument, trade));
        }
    }

    pub(crate) fn bust(&mut self, instrument: InstrumentId, trade: TapeTrade) {
        if self.recording {
            self.mark(instrument, Marks::default());
            self.busts.push((instrument, trade));
        }
    }

    /// An order joined a queue, changed in place, or left.
    pub(crate) fn order(&mut self, action: ChangeAction, order: RestingOrder) {
        if !self.recording {
            return;
        }
        let slot = order.order_id.slot() as usize;
        if self.slots.len() <= slot {
            self.slots.resize(slot + 1, SlotMark::default());
        }
        let mark = self.slots[slot];
        let current = self.command + 1;
        let earlier = (mark.command == current).then_some(mark.at as usize);
        let earlier = earlier.filter(|&at| self.is_live_change(at, order.order_id));
        let Some(at) = earlier else {
            self.slots[slot] = SlotMark { command: current, at: self.orders.len() as u32 };
            return self.orders.push(Some(OrderChange { action, order }));
        };
        let Some(change) = &mut self.orders[at] else { return };
        match (change.action, action) {
            // It came and went within the command: nobody needs to know.
            (ChangeAction::New, ChangeAction::Delete) => {
                self.orders[at] = None;
                self.slots[slot] = SlotMark::default();
            }
            (ChangeAction::Change, ChangeAction::Delete) => *change = OrderChange { action, order },
            _ => change.order = order,
        }
    }

    /// Whether the change at `at` is of this order, and the order is still there after it.
    fn is_live_change(&self, at: usize, order_id: OrderId) -> bool {
        let change = self.orders.get(at).copied().flatten();
        change.is_some_and(|it| it.order.order_id == order_id && it.action != ChangeAction::Delete)
    }

    /// The command is complete: each touched price once, without those that are again what they were.
    pub(crate) fn finish(&mut self, level: impl Fn(InstrumentId, Side, PriceTicks) -> Option<DepthLevel>) {
        self.command += 1;
        if self.instruments.is_empty() {
            return;
        }
        if self.instruments.len() > 1 {
            self.merge_instruments();
        }
        let order = |it: &PriceTouch| (it.instrument, it.side, -rank(it.side, it.price_ticks), it.at);
        self.touches.sort_unstable_by_key(order);
        let mut previous: Option<PriceTouch> = None;
        for touch in &self.touches {
            let key = |it: &PriceTouch| (it.instrument, it.side, it.price_ticks);
            if previous.is_some_and(|it| key(&it) == key(touch)) {
                continue;
            }
            previous = Some(*touch);
            let PriceTouch { instrument, side, price_ticks, before, .. } = *touch;
            let after = level(instrument, side, price_ticks);
            if before != after {
                self.prices.push(PriceChange { instrument, side, price_ticks, before, after });
            }
        }
    }

    fn merge_instruments(&mut self) {
        self.instruments.sort_unstable_by_key(|touched| touched.instrument);
        self.instruments.dedup_by(|later, first| {
            let same = later.instrument == first.instrument;
            if same {
                first.marks = first.marks.and(later.marks);
            }
            same
        });
    }
}
