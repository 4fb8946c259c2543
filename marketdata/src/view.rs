//! The top of one book in decimal units, and its text form.

use std::fmt::Write as _;

use protocol::{InstrumentId, Phase, PriceTicks, Side};
use rust_decimal::Decimal;

use crate::{AuctionResult, DepthBook, DepthLevel, InstrumentReference, TapeTrade};

/// A price level for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelView {
    /// Price, with all the decimals of the instrument.
    pub price: String,
    /// Quantity in whole base units.
    pub quantity: String,
    /// Orders at the price.
    pub orders: u32,
    /// Quantity of this level and all better ones, in lots.
    pub cumulative_lots: i128,
    /// The level in the exchange's units.
    pub raw: DepthLevel,
}

/// A trade for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TradeView {
    /// Time of day in UTC, `hh:mm:ss.mmm`.
    pub time: String,
    /// Price.
    pub price: String,
    /// Quantity.
    pub quantity: String,
    /// The trade in the exchange's units.
    pub raw: TapeTrade,
}

/// What an auction would come to, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuctionView {
    /// Price; empty if nothing would trade.
    pub price: String,
    /// Quantity that would trade.
    pub quantity: String,
    /// Quantity without a counterpart at that price; buys without a sign, sells with a minus.
    pub imbalance: String,
    /// The result in the exchange's units.
    pub raw: AuctionResult,
}

/// A copy of the top of one book, to draw or to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookView {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// Symbol.
    pub name: String,
    /// Sequence of the last command in it.
    pub sequence: u64,
    /// Best first.
    pub bids: Vec<LevelView>,
    /// Best first.
    pub asks: Vec<LevelView>,
    /// Newest first.
    pub trades: Vec<TradeView>,
    /// The trading phase.
    pub phase: Phase,
    /// Nanoseconds since the Unix epoch at which the phase is to end; 0 if nothing is set.
    pub phase_until_ns: u64,
    /// What the auction that goes on would come to.
    pub indicative: Option<AuctionView>,
    /// Best ask less best bid; empty unless both exist. Below 0 where an auction has crossed the book.
    pub spread: String,
    /// Last price; empty before the first trade. `open`, `high`, `low` likewise.
    pub last: String,
    /// Price of the first trade.
    pub open: String,
    /// Highest price.
    pub high: String,
    /// Lowest price.
    pub low: String,
    /// Quantity traded in all.
    pub volume: String,
    /// Trades in all.
    pub trade_count: u64,
}

impl DepthBook {
    /// The best `depth` levels of each side and the newest `depth` trades, or `None` if there is no such instrument.
    #[must_use]
    pub fn snapshot(&self, instrument: InstrumentId, depth: usize) -> Option<BookView> {
        let book = self.book(instrument)?;
        let reference = book.reference();
        let price =
            |price: Option<PriceTicks>| price.map_or(String::new(), |ticks| show_price(reference, ticks));
        let side = |side| {
            let mut cumulative_lots = 0;
            let views = book.levels(side).take(depth).map(|level| {
                cumulative_lots += i128::from(level.quantity_lots);
                level_view(reference, level, cumulative_lots)
            });
            views.collect::<Vec<_>>()
        };
        let best = |side| book.best(side).map(|level| level.price_ticks);
        let spread = best(Side::Sell).zip(best(Side::Buy)).map(|(ask, bid)| ask - bid);
        Some(BookView {
            instrument,
            name: reference.name.to_string(),
            sequence: machine::Projection::applied_sequence(self),
            bids: side(Side::Buy),
            asks: side(Side::Sell),
            trades: book.trades().take(depth).map(|trade| trade_view(reference, trade)).collect(),
            phase: book.phase().phase,
            phase_until_ns: book.phase().until_ns,
            indicative: book.indicative().map(|result| auction_view(reference, result)),
            spread: price(spread),
            last: price(book.last().map(|trade| trade.price_ticks)),
            open: price(book.open()),
            high: price(book.high()),
            low: price(book.low()),
            volume: show_quantity(reference, book.volume_lots()),
            trade_count: book.trade_count(),
        })
    }
}

fn level_view(reference: &InstrumentReference, level: DepthLevel, cumulative_lots: i128) -> LevelView {
    LevelView {
        price: show_price(reference, level.price_ticks),
        quantity: show_quantity(reference, level.quantity_lots.into()),
        orders: level.orders,
        cumulative_lots,
        raw: level,
    }
}

fn auction_view(reference: &InstrumentReference, result: AuctionResult) -> AuctionView {
    AuctionView {
        price: result.price_ticks.map_or(String::new(), |ticks| show_price(reference, ticks)),
        quantity: show_quantity(reference, result.paired_lots.into()),
        imbalance: show_quantity(reference, result.imbalance_lots.into()),
        raw: result,
    }
}

fn trade_view(reference: &InstrumentReference, trade: &TapeTrade) -> TradeView {
    let millis = trade.timestamp_ns / 1_000_000 % 86_400_000;
    let (seconds, millis) = (millis / 1_000, millis % 1_000);
    let time = format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    TradeView {
        time,
        price: show_price(reference, trade.price_ticks),
        quantity: show_quantity(reference, trade.quantity_lots.into()),
        raw: *trade,
    }
}

/// The price with all its decimals; where the tick is no finite decimal, the ticks with a `t`.
fn show_price(reference: &InstrumentReference, ticks: PriceTicks) -> String {
    match reference.price_decimal(ticks) {
        Ok(price) => padded(price, reference.price_decimals()),
        Err(_) => format!("{ticks}t"),
    }
}

fn show_quantity(reference: &InstrumentReference, lots: i128) -> String {
    match reference.quantity_decimal(lots) {
        Ok(quantity) => padded(quantity, reference.quantity_decimals()),
        Err(_) => format!("{lots}l"),
    }
}

fn padded(value: Decimal, decimals: u32) -> String {
    format!("{value:.*}", decimals as usize)
}

/// Columns of one side of the book: quantity, price, and the gaps around them.
const SIDE_WIDTH: usize = 28;
/// Columns that the tape needs beside the book.
const TAPE_WIDTH: usize = 40;

/// The phase in brackets, with what its auction would come to; nothing in continuous trading.
fn phase_text(view: &BookView) -> String {
    if view.phase == Phase::Continuous {
        return String::new();
    }
    let auction = view.indicative.as_ref().map_or(String::new(), |auction| {
        format!(" {} x {} imbalance {}", or_dash(&auction.price), auction.quantity, auction.imbalance)
    });
    format!(" [{}{auction}]", view.phase.name())
}

/// Draws a view as at most `height` lines of at most `width` columns: a head line, the two sides next to each other,
/// and the tape at the right where there is room. ASCII only, so that columns are bytes.
#[must_use]
pub fn render_lines(view: &BookView, width: usize, height: usize) -> Vec<String> {
    let mut lines = vec![
        format!(
            "{}{}  last {}  spread {}  volume {}  trades {}  seq {}",
            view.name,
            phase_text(view),
            or_dash(&view.last),
            or_dash(&view.spread),
            view.volume,
            view.trade_count,
            view.sequence
        ),
        format!("{:>12} {:>14} | {:<14} {:<12}", "bid qty", "bid", "ask", "ask qty"),
    ];
    let tape = width >= 2 * SIDE_WIDTH + TAPE_WIDTH;
    if tape {
        lines[1].push_str("|  trades");
    }
    let rows = view.bids.len().max(view.asks.len()).max(if tape { view.trades.len() } else { 0 });
    for row in 0..rows.min(height.saturating_sub(lines.len())) {
        let (bid, ask) = (view.bids.get(row), view.asks.get(row));
        let text = |level: Option<&LevelView>, f: fn(&LevelView) -> &str| level.map_or("", f).to_owned();
        let mut line = format!(
            "{:>12} {:>14} | {:<14} {:<12}",
            text(bid, |level| &level.quantity),
            text(bid, |level| &level.price),
            text(ask, |level| &level.price),
            text(ask, |level| &level.quantity),
        );
        if let Some(trade) = view.trades.get(row).filter(|_| tape) {
            let mark = match (trade.raw.busted, trade.raw.taker_side) {
                (true, _) => 'x',
                (false, Side::Buy) => '+',
                (false, Side::Sell) => '-',
            };
            let _ = write!(line, "|  {} {mark} {:>10} {:>10}", trade.time, trade.price, trade.quantity);
        }
        lines.push(line);
    }
    lines.truncate(height);
    for line in &mut lines {
        line.truncate(width);
        line.truncate(line.trim_end().len());
    }
    lines
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}
