//! Market data entries: the repeating group of 35=W and 35=X, in the words of each version.

use marketdata::{
    AuctionResult, ChangeAction, Changes, DepthBook, DepthLevel, InstrumentBook, LevelStep, RestingOrder,
    TapeTrade,
};
use protocol::{InstrumentId, PriceTicks, Side};
use rust_decimal::Decimal;

use super::fields::{Fields, Unit};
use super::request::{Entries, View};
use crate::fix::Version;

/// An instrument as market data names it.
pub(super) struct Quoted {
    pub(super) symbol: Vec<u8>,
    pub(super) tick: Unit,
    pub(super) lot: Unit,
    pub(super) tick_size: Decimal,
    pub(super) lot_size: Decimal,
}

/// What is said of an instrument once, not by price or order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    open: Option<PriceTicks>,
    close: Option<PriceTicks>,
    high: Option<PriceTicks>,
    low: Option<PriceTicks>,
    volume_lots: i128,
    indicative: Option<AuctionResult>,
}

/// One of them: price and quantity, as far as it has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Figure {
    price_ticks: Option<PriceTicks>,
    lots: Option<i128>,
    /// Of an imbalance.
    side: Option<Side>,
}

/// Kinds of figures, with the letters of their ids.
const FIGURES: [(Entries, u8, u8); 7] = [
    (Entries::OPENING, b'4', b'O'),
    (Entries::CLOSING, b'5', b'C'),
    (Entries::HIGH, b'7', b'H'),
    (Entries::LOW, b'8', b'L'),
    (Entries::IMBALANCE, b'A', b'A'),
    (Entries::VOLUME, b'B', b'V'),
    (Entries::CLEARING_PRICE, b'Q', b'Q'),
];

impl Figures {
    pub(super) fn of(book: &InstrumentBook) -> Self {
        Self {
            open: book.open(),
            close: book.close(),
            high: book.high(),
            low: book.low(),
            volume_lots: book.volume_lots(),
            indicative: book.indicative(),
        }
    }

    /// In the order of [`FIGURES`].
    fn all(&self) -> [Option<Figure>; FIGURES.len()] {
        let price = |price: Option<PriceTicks>| {
            price.map(|ticks| Figure { price_ticks: Some(ticks), ..Figure::default() })
        };
        let imbalance = self.indicative.filter(|it| it.imbalance_lots != 0).map(|it| Figure {
            price_ticks: None,
            lots: Some(i128::from(it.imbalance_lots).abs()),
            side: Some(if it.imbalance_lots > 0 { Side::Buy } else { Side::Sell }),
        });
        let volume =
            (self.volume_lots != 0).then_some(Figure { lots: Some(self.volume_lots), ..Figure::default() });
        let clearing = self.indicative.filter(|it| it.price_ticks.is_some()).map(|it| Figure {
            price_ticks: it.price_ticks,
            lots: Some(it.paired_lots.into()),
            side: None,
        });
        [price(self.open), price(self.close), price(self.high), price(self.low), imbalance, volume, clearing]
    }
}

/// What a version's market data has.
#[derive(Clone, Copy)]
struct Words {
    /// MDEntryID (278) in full refreshes, RptSeq (83) and MDBookType (1021), MDEntryType J for an empty book.
    of_fix5: bool,
    /// LastUpdateTime (779), which FIX 5.0SP2 wants.
    last_update: bool,
    /// TradeID (1003).
    trade_id: bool,
    /// Every entry of a full refresh must have a price.
    price_required: bool,
    /// TradeCondition (277) says to which side an imbalance leans.
    leaning: bool,
}

impl Words {
    fn of(version: Version, full: bool) -> Self {
        Self {
            of_fix5: version >= Version::Fix50,
            last_update: version >= Version::Fix50Sp2,
            trade_id: version >= if full { Version::Fix50Sp2 } else { Version::Fix50Sp1 },
            price_required: full && version <= Version::Fix42,
            leaning: version >= Version::Fix43,
        }
    }
}

/// Writes the entries of one message and counts them.
pub(super) struct Writer<'a> {
    fields: Fields<'a>,
    quoted: &'a Quoted,
    instrument: InstrumentId,
    words: Words,
    full: bool,
    report: u64,
    count: u64,
}

impl<'a> Writer<'a> {
    /// `report` is the RptSeq (83) of the message.
    pub(super) fn new(
        buffer: &'a mut Vec<u8>,
        quoted: &'a Quoted,
        instrument: InstrumentId,
        version: Version,
        full: bool,
        report: u64,
    ) -> Self {
        let words = Words::of(version, full);
        Self { fields: Fields(buffer), quoted, instrument, words, full, report, count: 0 }
    }

    /// All that a view shows of an instrument. How many entries, or `None` if there are more than `most`.
    pub(super) fn book(mut self, depth: &DepthBook, view: &View, most: usize) -> Option<u64> {
        let book = depth.book(self.instrument)?;
        for (side, kind) in [(Side::Buy, Entries::BID), (Side::Sell, Entries::OFFER)] {
            if !view.entries.has(kind) {
                continue;
            }
            if view.by_order {
                for order in depth.orders(self.instrument, side) {
                    self.order(ChangeAction::New, order);
                    if self.count > most as u64 {
                        return None;
                    }
                }
                continue;
            }
            for (rank, level) in book.levels(side).take(view.depth).enumerate() {
                self.level(ChangeAction::New, side, level, rank as u32 + 1);
                if self.count > most as u64 {
                    return None;
                }
            }
        }
        if view.entries.has(Entries::TRADE)
            && let Some(trade) = book.trades().find(|trade| !trade.busted)
        {
            self.trade(ChangeAction::New, trade);
        }
        for ((kind, letter, id), figure) in FIGURES.into_iter().zip(Figures::of(book).all()) {
            if let Some(figure) = figure.filter(|_| view.entries.has(kind)) {
                self.figure(ChangeAction::New, letter, id, figure);
            }
        }
        if self.count == 0 && self.words.of_fix5 {
            self.begin(ChangeAction::New, b'J');
            self.end();
        }
        Some(self.count)
    }

    /// What a command changed of what a view shows; `before` are the figures before it. How many entries.
    pub(super) fn increment(
        mut self,
        depth: &DepthBook,
        view: &View,
        before: &Figures,
        steps: &mut Vec<LevelStep>,
    ) -> u64 {
        let Some(book) = depth.book(self.instrument) else { return 0 };
        let changes = depth.changes();
        if view.by_order {
            self.orders(changes, view);
        } else {
            for (side, kind) in [(Side::Buy, Entries::BID), (Side::Sell, Entries::OFFER)] {
                if !view.entries.has(kind) {
                    continue;
                }
                steps.clear();
                book.level_steps(side, changes.prices(self.instrument, side), view.depth, steps);
                for step in steps.iter() {
                    self.level(step.action, side, step.level, step.position);
                }
            }
        }
        if view.entries.has(Entries::TRADE) {
            changes.trades(self.instrument).for_each(|trade| self.trade(ChangeAction::New, trade));
            changes.busts(self.instrument).for_each(|trade| self.trade(ChangeAction::Delete, trade));
        }
        let now = Figures::of(book);
        if now != *before {
            self.figures(view, before, &now);
        }
        self.count
    }

    fn orders(&mut self, changes: &Changes, view: &View) {
        for change in changes.orders(self.instrument) {
            let kind = if change.order.side == Side::Buy { Entries::BID } else { Entries::OFFER };
            if view.entries.has(kind) {
                self.order(change.action, &change.order);
            }
        }
    }

    fn figures(&mut self, view: &View, before: &Figures, now: &Figures) {
        let both = before.all().into_iter().zip(now.all());
        for ((kind, letter, id), (before, now)) in FIGURES.into_iter().zip(both) {
            if !view.entries.has(kind) || before == now {
                continue;
            }
            match (before, now) {
                (None, Some(now)) => self.figure(ChangeAction::New, letter, id, now),
                (Some(_), Some(now)) => self.figure(ChangeAction::Change, letter, id, now),
                (Some(before), None) => self.figure(ChangeAction::Delete, letter, id, before),
                (None, None) => {}
            }
        }
    }

    fn begin(&mut self, action: ChangeAction, letter: u8) {
        self.count += 1;
        if !self.full {
            let code = match action {
                ChangeAction::New => b'0',
                ChangeAction::Change => b'1',
                ChangeAction::Delete => b'2',
            };
            self.fields.character(b"279=", code);
        }
        self.fields.character(b"269=", letter);
    }

    /// MDEntryID, if the message has it, and Symbol, if it is said by entry.
    fn id(&mut self, write: impl FnOnce(&mut Fields<'_>)) {
        if !self.full || self.words.of_fix5 {
            self.fields.0.extend_from_slice(b"278=");
            write(&mut self.fields);
            self.fields.0.push(crate::fix::SOH);
        }
        if !self.full {
            self.fields.text(b"55=", &self.quoted.symbol);
        }
    }

    fn end(&mut self) {
        if self.words.of_fix5 {
            self.fields.integer(b"83=", self.report);
        }
    }

    fn level(&mut self, action: ChangeAction, side: Side, level: DepthLevel, position: u32) {
        let instrument = u64::from(self.instrument);
        let (letter, name) = if side == Side::Buy { (b'0', b"B") } else { (b'1', b"S") };
        self.begin(action, letter);
        self.id(|id| {
            id.digits(instrument);
            id.0.extend_from_slice(name);
            id.digits(level.price_ticks.unsigned_abs());
        });
        self.fields.number(b"270=", level.price_ticks.into(), self.quoted.tick);
        if action != ChangeAction::Delete {
            self.fields.number(b"271=", level.quantity_lots.into(), self.quoted.lot);
            self.fields.integer(b"346=", level.orders.into());
        }
        self.fields.integer(b"290=", position.into());
        self.end();
    }

    fn order(&mut self, action: ChangeAction, order: &RestingOrder) {
        self.begin(action, if order.side == Side::Buy { b'0' } else { b'1' });
        let id = |fields: &mut Fields<'_>| {
            fields.digits(order.order_id.sequence());
            fields.0.push(b'-');
            fields.digits(order.order_id.slot().into());
        };
        self.id(id);
        self.fields.number(b"270=", order.price_ticks.into(), self.quoted.tick);
        if action != ChangeAction::Delete {
            self.fields.number(b"271=", order.leaves_lots.into(), self.quoted.lot);
        }
        self.fields.0.extend_from_slice(b"37=");
        id(&mut self.fields);
        self.fields.0.push(crate::fix::SOH);
        self.end();
    }

    fn trade(&mut self, action: ChangeAction, trade: &TapeTrade) {
        self.begin(action, b'2');
        self.id(|id| {
            id.0.push(b'T');
            id.digits(trade.trade_id);
        });
        self.fields.number(b"270=", trade.price_ticks.into(), self.quoted.tick);
        self.fields.number(b"271=", trade.quantity_lots.into(), self.quoted.lot);
        self.fields.date_and_time(trade.timestamp_ns);
        if self.words.trade_id {
            self.fields.integer(b"1003=", trade.trade_id);
        }
        self.end();
    }

    fn figure(&mut self, action: ChangeAction, letter: u8, name: u8, figure: Figure) {
        let instrument = u64::from(self.instrument);
        self.begin(action, letter);
        self.id(|id| {
            id.digits(instrument);
            id.0.push(name);
        });
        match figure.price_ticks {
            Some(ticks) => self.fields.number(b"270=", ticks.into(), self.quoted.tick),
            None if self.words.price_required => self.fields.text(b"270=", b"0"),
            None => {}
        }
        if let Some(lots) = figure.lots.filter(|_| action != ChangeAction::Delete) {
            self.fields.number(b"271=", lots, self.quoted.lot);
        }
        match figure.side.filter(|_| action != ChangeAction::Delete) {
            Some(Side::Buy) if self.words.leaning => self.fields.text(b"277=", b"P"),
            Some(Side::Sell) if self.words.leaning => self.fields.text(b"277=", b"Q"),
            Some(Side::Buy) => self.fields.text(b"58=", b"more buyers"),
            Some(Side::Sell) => self.fields.text(b"58=", b"more sellers"),
            None => {}
        }
        self.end();
    }
}

/// What stands before the entries, after MDReqID (262).
pub(super) fn write_preamble(
    fields: &mut Fields<'_>,
    quoted: &Quoted,
    view: &View,
    full: bool,
    updated: &[u8],
    count: u64,
) {
    let words = Words::of(view.version, full);
    if words.of_fix5 {
        let book_type = match (view.by_order, view.depth) {
            (true, _) => b'3',
            (false, 1) => b'1',
            (false, _) => b'2',
        };
        fields.character(b"1021=", book_type);
    }
    if full {
        fields.text(b"55=", &quoted.symbol);
        if words.last_update {
            fields.text(b"779=", updated);
        }
    }
    fields.integer(b"268=", count);
}
