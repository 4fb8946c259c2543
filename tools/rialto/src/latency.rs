//! Percentiles as people quote them.

use std::fmt;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Latency percentiles in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentiles {
    /// Median.
    pub p50_ns: u64,
    /// 99 %.
    pub p99_ns: u64,
    /// 99.9 %.
    pub p999_ns: u64,
    /// 99.99 %.
    pub p9999_ns: u64,
    /// The worst.
    pub max_ns: u64,
}

impl Percentiles {
    /// Of a histogram of nanoseconds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            p50_ns: histogram.value_at_quantile(0.5),
            p99_ns: histogram.value_at_quantile(0.99),
            p999_ns: histogram.value_at_quantile(0.999),
            p9999_ns: histogram.value_at_quantile(0.9999),
            max_ns: histogram.max(),
        }
    }

    /// As a JSON object.
    pub fn json(&self) -> Value {
        json!({
            "p50_ns": self.p50_ns,
            "p99_ns": self.p99_ns,
            "p99.9_ns": self.p999_ns,
            "p99.99_ns": self.p9999_ns,
            "max_ns": self.max_ns,
        })
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |ns: u64| ns as f64 / 1000.0;
        write!(
            f,
            "p50 {:.1}  p99 {:.1}  p99.9 {:.1}  p99.99 {:.1}  max {:.1} us",
            us(self.p50_ns),
            us(self.p99_ns),
            us(self.p999_ns),
            us(self.p9999_ns),
            us(self.max_ns)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_histogram() {
        let mut histogram = Histogram::new(3).unwrap();
        for value in 1..=1000 {
            histogram.record(value).unwrap();
        }
        let percentiles = Percentiles::of(&histogram);
        assert_eq!((percentiles.p50_ns, percentiles.p99_ns, percentiles.max_ns), (500, 990, 1000));
        assert!(percentiles.to_string().starts_with("p50 0.5 "));
    }
}
