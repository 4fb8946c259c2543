//! What a feed found.

use std::collections::BTreeMap;
use std::fmt;

use marketdata::InstrumentBook;
use protocol::Side;

use crate::lobster::{BookRow, MessageType};

/// Runs of differing rows listed one by one for each file; all rows are counted.
const LISTED: usize = 200;

/// Consecutive rows in which the exchange's book is not the published one, in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowDifference {
    /// Number of the first row, from 0.
    pub row: u64,
    /// Number of the last row.
    pub last_row: u64,
    /// Side of the first differing level.
    pub side: Side,
    /// Its number, from 1.
    pub level: usize,
    /// Price and size in the file.
    pub published: Option<(i64, i64)>,
    /// Price and size in the exchange's book.
    pub ours: Option<(i64, i64)>,
    /// Why.
    pub reason: &'static str,
}

/// The comparison with one order book file.
#[derive(Clone, Debug, Default)]
pub struct BookComparison {
    /// Levels of each side that were compared.
    pub levels: usize,
    /// Rows compared.
    pub rows: u64,
    /// Rows that were equal.
    pub equal: u64,
    /// Differing rows by reason.
    pub reasons: BTreeMap<&'static str, u64>,
    /// The first of them.
    pub first_differences: Vec<RowDifference>,
    /// Bytes of a last line that was cut off.
    pub truncated_bytes: u64,
}

/// The report of a LOBSTER feed. Display prints all of it.
#[derive(Clone, Debug, Default)]
pub struct LobsterReport {
    /// Messages by type.
    pub messages: BTreeMap<MessageType, u64>,
    /// Bytes of a last message that was cut off.
    pub truncated_bytes: u64,
    /// Commands sent.
    pub commands: u64,
    /// Synthetic orders that the book started from.
    pub seeded: u64,
    /// Visible executions sent.
    pub executions: u64,
    /// Of those, how many traded in full at their price.
    pub executed_in_full: u64,
    /// Of those, how many hit just the file's order (or the synthetic one that stands for it).
    pub executed_same_order: u64,
    /// Messages that became no command, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Orders that a later message proved gone, by reason.
    pub removed: BTreeMap<&'static str, u64>,
    /// With `follow_window`: levels set to the published row, by reason.
    pub followed: BTreeMap<&'static str, u64>,
    /// Rejected commands, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// One for each order book file, in the order given.
    pub books: Vec<BookComparison>,
    /// Orders that rest in the exchange's book at the end.
    pub live_orders: u64,
}

impl LobsterReport {
    /// Whether every execution traded in full at its price, nothing was rejected, and at least `share_ppm` millionths
    /// of the rows of every order book file were equal.
    #[must_use]
    pub fn is_good(&self, share_ppm: u64) -> bool {
        self.rejected.is_empty()
            && self.executed_in_full == self.executions
            && self.books.iter().all(|book| {
                u128::from(book.equal) * 1_000_000 >= u128::from(book.rows) * u128::from(share_ppm)
            })
    }
}

const MISSING: &str =
    "the file shows orders that were outside its levels until now, so no message added them here";
const STALE: &str = "orders rest here that left the file's levels and went away there without a message";

/// The first differing level of a row, or `None` if the best `levels` are equal. With `inside`, levels that the row
/// has beyond ours are not compared: they have just come into the window.
pub(crate) fn first_difference(
    row: u64,
    published: &BookRow,
    book: Option<&InstrumentBook>,
    levels: usize,
    inside: bool,
) -> Option<RowDifference> {
    for side in [Side::Buy, Side::Sell] {
        let mut ours = book.into_iter().flat_map(|book| book.levels(side));
        for (index, &published) in published.side(side).iter().take(levels).enumerate() {
            let ours = ours.next().map(|level| (level.price_ticks, level.quantity_lots));
            if ours == published || (inside && ours.is_none()) {
                continue;
            }
            let reason = reason(side, published, ours);
            return Some(RowDifference {
                row,
                last_row: row,
                side,
                level: index + 1,
                published,
                ours,
                reason,
            });
        }
    }
    None
}

/// Who has too much: the one whose level is better, or, at one price, larger.
fn reason(side: Side, published: Option<(i64, i64)>, ours: Option<(i64, i64)>) -> &'static str {
    let (Some(published), Some(ours)) = (published, ours) else {
        return if ours.is_none() { MISSING } else { STALE };
    };
    let published_is_more = match side {
        Side::Buy => published > ours,
        Side::Sell => (-published.0, published.1) > (-ours.0, ours.1),
    };
    if published_is_more { MISSING } else { STALE }
}

impl BookComparison {
    pub(crate) fn add(&mut self, difference: Option<RowDifference>) {
        self.rows += 1;
        let Some(difference) = difference else {
            self.equal += 1;
            return;
        };
        *self.reasons.entry(difference.reason).or_default() += 1;
        if let Some(last) = self.first_differences.last_mut()
            && last.last_row + 1 == difference.row
            && *last == (RowDifference { row: last.row, last_row: last.last_row, ..difference.clone() })
        {
            last.last_row = difference.row;
        } else if self.first_differences.len() < LISTED {
            self.first_differences.push(difference);
        }
    }
}

fn list<K: fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    let parts: Vec<_> = counts.iter().map(|(key, count)| format!("{key}: {count}")).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

impl fmt::Display for LobsterReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "messages           {} ({})", self.messages.values().sum::<u64>(), list(&self.messages))?;
        if self.truncated_bytes > 0 {
            writeln!(
                f,
                "truncated          the last message: {} bytes of it are there",
                self.truncated_bytes
            )?;
        }
        writeln!(f, "commands           {} ({} orders to start from)", self.commands, self.seeded)?;
        writeln!(
            f,
            "executions         {}, in full at their price {}, with the file's own order {}",
            self.executions, self.executed_in_full, self.executed_same_order
        )?;
        writeln!(f, "skipped            {}", list(&self.skipped))?;
        writeln!(f, "removed            {}", list(&self.removed))?;
        if !self.followed.is_empty() {
            writeln!(f, "followed           {}", list(&self.followed))?;
        }
        writeln!(f, "rejected           {}", list(&self.rejected))?;
        write!(f, "live orders        {}", self.live_orders)?;
        for (number, book) in self.books.iter().enumerate() {
            let (equal, rows, levels) = (book.equal, book.rows, book.levels);
            write!(f, "\nbook file {}        {equal} of {rows} rows equal on {levels} levels", number + 1)?;
            if book.truncated_bytes > 0 {
                write!(f, "\n  the last row is cut off: {} bytes of it are there", book.truncated_bytes)?;
            }
            for (reason, count) in &book.reasons {
                write!(f, "\n  {count} rows differ: {reason}")?;
            }
            for RowDifference { row, side, level, published, ours, .. } in &book.first_differences {
                write!(
                    f,
                    "\n  row {row}: {} level {level}: published {published:?}, here {ours:?}",
                    side.name()
                )?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for RowDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { row, last_row, side, level, published, ours, .. } = self;
        if row == last_row {
            write!(f, "row {row}")?;
        } else {
            write!(f, "rows {row} to {last_row}")?;
        }
        let show = |level: &Option<(i64, i64)>| match level {
            Some((price, size)) => format!("{size} at {price}"),
            None => "no level".to_owned(),
        };
        write!(f, ": {} level {level}: file {}, exchange {}", side.name(), show(published), show(ours))
    }
}
