//! Latency over time: percentiles of each piece of a run, so that a stall is seen where it was.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::latency::Percentiles;

/// Rows of a series; the pieces of a run are as long as that makes them.
const ROWS: u64 = 20;
/// No piece is shorter: it would hold too little for a percentile.
const MIN_PIECE_NS: u64 = 100_000_000;
/// Longest latency that is told apart: a minute.
const LONGEST_NS: u64 = 60_000_000_000;

/// Latencies by the time at which they began.
pub struct Series {
    piece_ns: u64,
    pieces: Vec<Histogram<u64>>,
    whole: Histogram<u64>,
}

impl Series {
    /// For a run of so many nanoseconds.
    pub fn new(run_ns: u64) -> Result<Self, hdrhistogram::CreationError> {
        let piece_ns = run_ns.div_ceil(ROWS).max(MIN_PIECE_NS);
        let count = run_ns.div_ceil(piece_ns).max(1);
        let pieces =
            (0..count).map(|_| Histogram::new_with_bounds(1, LONGEST_NS, 2)).collect::<Result<_, _>>()?;
        Ok(Self { piece_ns, pieces, whole: Histogram::new_with_bounds(1, LONGEST_NS, 3)? })
    }

    /// Adds the latency of what began `at_ns` after the run did.
    #[inline]
    pub fn record(&mut self, at_ns: u64, latency_ns: u64) {
        let latency_ns = latency_ns.max(1);
        self.whole.saturating_record(latency_ns);
        let last = self.pieces.len() - 1;
        let index = usize::try_from(at_ns / self.piece_ns).unwrap_or(last).min(last);
        self.pieces[index].saturating_record(latency_ns);
    }

    /// Percentiles of the whole run.
    pub fn whole(&self) -> Percentiles {
        Percentiles::of(&self.whole)
    }

    /// Start of each piece in nanoseconds, and its percentiles. Empty pieces are left out.
    fn rows(&self) -> impl Iterator<Item = (u64, Percentiles)> {
        let pieces = self.pieces.iter().enumerate().filter(|(_, piece)| !piece.is_empty());
        pieces.map(|(index, piece)| (index as u64 * self.piece_ns, Percentiles::of(piece)))
    }

    /// A table: one line for each piece.
    pub fn table(&self) -> Vec<String> {
        let us = |ns: u64| ns as f64 / 1000.0;
        let head = format!("{:>8} {:>10} {:>10} {:>10}", "second", "p50 us", "p99 us", "max us");
        let rows = self.rows().map(|(start_ns, it)| {
            let second = start_ns as f64 / 1e9;
            format!("{second:>8.2} {:>10.1} {:>10.1} {:>10.1}", us(it.p50_ns), us(it.p99_ns), us(it.max_ns))
        });
        std::iter::once(head).chain(rows).collect()
    }

    /// As a JSON array of objects.
    pub fn json(&self) -> Value {
        let rows = self.rows().map(|(start_ns, it)| {
            json!({ "start_ns": start_ns, "p50_ns": it.p50_ns, "p99_ns": it.p99_ns, "max_ns": it.max_ns })
        });
        Value::Array(rows.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_shows_in_the_piece_where_it_was_and_only_there() {
        let second = 1_000_000_000;
        let mut series = Series::new(10 * second).unwrap();
        for number in 0..10_000 {
            let latency_ns = if number == 7_300 { 50_000_000 } else { 100_000 };
            series.record(number * 1_000_000, latency_ns);
        }
        let rows: Vec<_> = series.rows().collect();
        assert_eq!(rows.len(), 20);
        let stalled: Vec<u64> =
            rows.iter().filter(|(_, it)| it.max_ns > 40_000_000).map(|(start_ns, _)| *start_ns).collect();
        assert_eq!(stalled, [7 * second]);
        assert_eq!(series.table().len(), 21);
        assert_eq!(series.json().as_array().unwrap().len(), 20);
        assert!(series.whole().max_ns > 40_000_000);
    }

    #[test]
    fn a_short_run_has_fewer_pieces_and_what_comes_late_counts_to_the_last() {
        let mut series = Series::new(250_000_000).unwrap();
        series.record(0, 0);
        series.record(900_000_000, 5);
        let starts: Vec<u64> = series.rows().map(|(start_ns, _)| start_ns).collect();
        assert_eq!(starts, [0, 200_000_000], "the empty one is left out");
        assert!(Series::new(0).is_ok());
    }
}
