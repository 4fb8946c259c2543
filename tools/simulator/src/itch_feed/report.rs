//! What a feed found.

use std::collections::BTreeMap;
use std::fmt;

use marketdata::DepthLevel;
use protocol::{InstrumentId, Side};

use crate::itch::InputEnd;

/// Differences listed one by one; all are counted.
const LISTED: usize = 20;

/// One thing that the exchange did otherwise than the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Number of the message in the file, from 1; 0 for the state after the last one.
    pub message: u64,
    /// What the file says.
    pub expected: String,
    /// What the exchange did.
    pub got: String,
}

/// The end of one symbol's book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolBook {
    /// Symbol.
    pub symbol: String,
    /// Its instrument.
    pub instrument: InstrumentId,
    /// Best bid, in ticks of 0.0001 dollars.
    pub bid: Option<DepthLevel>,
    /// Best ask.
    pub ask: Option<DepthLevel>,
    /// Orders that rest in the exchange's book.
    pub live_orders: u64,
}

/// The report of an ITCH feed. Display prints all of it.
#[derive(Clone, Debug, Default)]
pub struct ItchReport {
    /// Well-formed messages by type.
    pub messages: BTreeMap<char, u64>,
    /// Messages of an unknown type.
    pub unknown_types: BTreeMap<char, u64>,
    /// Messages of a known type with a wrong length.
    pub wrong_lengths: BTreeMap<char, u64>,
    /// How the file ended.
    pub end: InputEnd,
    /// Commands sent.
    pub commands: u64,
    /// `E` messages whose order the file contains.
    pub executions_known: u64,
    /// Those that hit exactly that resting order, in full.
    pub executions_matched: u64,
    /// Messages that became no command, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Orders that would have crossed the book and were kept back for a time.
    pub parked: u64,
    /// Of those, how many were sent later.
    pub released: u64,
    /// Rejected commands, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Differences in all.
    pub differences: u64,
    /// The first of them.
    pub first_differences: Vec<Difference>,
    /// Orders live at the end, by the file.
    pub file_live_orders: u64,
    /// Orders live at the end in the exchange's books.
    pub live_orders: u64,
    /// Orders still parked at the end.
    pub parked_at_end: u64,
    /// Every symbol's book at the end.
    pub books: Vec<SymbolBook>,
}

impl ItchReport {
    /// Whether the exchange did exactly what the file says, in all that could be replayed.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.differences == 0
            && self.rejected.is_empty()
            && self.executions_matched == self.executions_known
            && self.live_orders + self.parked_at_end == self.file_live_orders
    }

    pub(crate) fn differs(&mut self, message: u64, expected: String, got: String) {
        self.differences += 1;
        if self.first_differences.len() < LISTED {
            self.first_differences.push(Difference { message, expected, got });
        }
    }

    pub(crate) fn skip(&mut self, reason: impl Into<String>) {
        *self.skipped.entry(reason.into()).or_default() += 1;
    }
}

fn list<K: fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    let parts: Vec<_> = counts.iter().map(|(key, count)| format!("{key} {count}")).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// Dollars of a level, for a person.
fn dollars(level: Option<DepthLevel>) -> String {
    let Some(level) = level else { return "-".to_owned() };
    let (whole, rest) = (level.price_ticks / 10_000, level.price_ticks % 10_000);
    format!("{whole}.{rest:04} ({})", level.quantity_lots)
}

impl fmt::Display for ItchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "messages           {} ({})", self.messages.values().sum::<u64>(), list(&self.messages))?;
        if !self.unknown_types.is_empty() {
            writeln!(f, "unknown types      {}", list(&self.unknown_types))?;
        }
        if !self.wrong_lengths.is_empty() {
            writeln!(f, "wrong lengths      {}", list(&self.wrong_lengths))?;
        }
        if self.end.truncated_bytes > 0 || self.end.gzip_truncated {
            writeln!(
                f,
                "truncated          the last message: {} bytes of it are there",
                self.end.truncated_bytes
            )?;
        }
        writeln!(f, "commands           {}", self.commands)?;
        let executions = self.messages.get(&'E').copied().unwrap_or_default();
        writeln!(
            f,
            "executions         {executions}, of orders in the file {}, hit exactly that order {}",
            self.executions_known, self.executions_matched
        )?;
        writeln!(f, "skipped            {}", list(&self.skipped))?;
        if self.parked > 0 {
            writeln!(
                f,
                "parked             {} orders would have crossed; {} sent later, {} still parked",
                self.parked, self.released, self.parked_at_end
            )?;
        }
        writeln!(f, "rejected           {}", list(&self.rejected))?;
        writeln!(f, "live orders        {} (by the file {})", self.live_orders, self.file_live_orders)?;
        for book in self.books.iter().filter(|book| book.live_orders > 0) {
            writeln!(f, "book               {} {} x {}", book.symbol, dollars(book.bid), dollars(book.ask))?;
        }
        writeln!(f, "differences        {}", self.differences)?;
        for difference in &self.first_differences {
            let Difference { message, expected, got } = difference;
            writeln!(f, "  message {message}: expected {expected}; got {got}")?;
        }
        write!(f, "result             {}", if self.is_exact() { "exact" } else { "DIFFERENT" })
    }
}

/// `B` or `S` of ITCH.
pub(crate) fn side_of(byte: u8) -> Option<Side> {
    match byte {
        b'B' => Some(Side::Buy),
        b'S' => Some(Side::Sell),
        _ => None,
    }
}
