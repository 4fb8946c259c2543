//! The words of a line, amounts and times.

use protocol::{SelfTradePrevention, TriggerSource};

use super::Problem;

/// What is left of a line.
pub struct Words<'a>(std::iter::Peekable<std::str::SplitWhitespace<'a>>);

impl<'a> Words<'a> {
    pub fn new(line: &'a str) -> Self {
        Self(line.split_whitespace().peekable())
    }

    pub fn next(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    pub fn need(&mut self, what: &str) -> Result<&'a str, Problem> {
        self.next().ok_or_else(|| format!("{what} is missing"))
    }

    /// Takes the next word if it is this one.
    pub fn takes(&mut self, word: &str) -> bool {
        self.0.next_if_eq(&word).is_some()
    }

    pub fn literal(&mut self, expected: &str) -> Result<(), Problem> {
        let word = self.need(expected)?;
        if word == expected { Ok(()) } else { Err(format!("`{word}` instead of `{expected}`")) }
    }

    pub fn number(&mut self, what: &str) -> Result<i64, Problem> {
        let word = self.need(what)?;
        word.parse().map_err(|_| format!("`{word}` is no number"))
    }

    pub fn amount(&mut self, scale: u8) -> Result<i64, Problem> {
        let word = self.need("an amount")?;
        let (whole, fraction) = word.split_once('.').unwrap_or((word, ""));
        if fraction.len() > usize::from(scale) {
            return Err(format!("`{word}` has more than {scale} decimal places"));
        }
        let digits = format!("{whole}{fraction:0<width$}", width = usize::from(scale));
        digits.parse().map_err(|_| format!("`{word}` is no amount"))
    }

    /// A duration such as `30s`, `+5m` or `1d`, in nanoseconds.
    pub fn duration(&mut self) -> Result<u64, Problem> {
        let word = self.need("a duration")?;
        let text = word.trim_start_matches('+');
        let split = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let unit_ns = match unit {
            "ns" => 1,
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            _ => return Err(format!("`{word}` is no duration")),
        };
        let number: u64 = number.parse().map_err(|_| format!("`{word}` is no duration"))?;
        Ok(number * unit_ns)
    }

    pub fn self_trade_prevention(&mut self) -> Result<u8, Problem> {
        let mode = match self.need("a mode")? {
            "allow" => SelfTradePrevention::Allow,
            "cancel-newest" => SelfTradePrevention::CancelNewest,
            "cancel-oldest" => SelfTradePrevention::CancelOldest,
            "cancel-both" => SelfTradePrevention::CancelBoth,
            "decrement" => SelfTradePrevention::DecrementAndCancel,
            other => return Err(format!("`{other}` is no self-trade prevention")),
        };
        Ok(mode.code())
    }

    /// `last` or `best`.
    pub fn trigger_source(&mut self) -> Result<u8, Problem> {
        match self.need("last or best")? {
            "last" => Ok(TriggerSource::LastTrade.code()),
            "best" => Ok(TriggerSource::BestPrice.code()),
            other => Err(format!("`{other}` is neither last nor best")),
        }
    }

    /// All words left, with single spaces.
    pub fn rest(&mut self) -> String {
        self.0.by_ref().collect::<Vec<_>>().join(" ")
    }

    /// Nothing must be left.
    pub fn end(&mut self) -> Result<(), Problem> {
        match self.next() {
            None => Ok(()),
            Some(word) => Err(format!("`{word}` makes no sense here")),
        }
    }
}

/// An amount with its decimal places.
pub fn amount_text(amount_minor: i64, scale: u8) -> String {
    let unit = 10i64.pow(u32::from(scale));
    let (sign, magnitude) = (if amount_minor < 0 { "-" } else { "" }, amount_minor.abs());
    match scale {
        0 => format!("{sign}{magnitude}"),
        _ => format!("{sign}{}.{:0width$}", magnitude / unit, magnitude % unit, width = usize::from(scale)),
    }
}

/// A time from now on, in the largest unit that fits.
pub fn time_text(now_ns: u64, time_ns: u64) -> String {
    if time_ns == 0 {
        return "never".to_owned();
    }
    let ahead_ns = time_ns.saturating_sub(now_ns);
    let units = [(60_000_000_000, "m"), (1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns")];
    let (unit_ns, name) =
        units.into_iter().find(|unit| ahead_ns.is_multiple_of(unit.0)).expect("1 divides all");
    format!("+{}{name}", ahead_ns / unit_ns)
}
