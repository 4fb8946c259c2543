//! The words of a line, and amounts.

use protocol::{SelfTradePrevention, TimeInForce};

use super::Problem;

/// What is left of a line.
pub struct Words<'a>(std::str::SplitWhitespace<'a>);

impl<'a> Words<'a> {
    pub fn new(line: &'a str) -> Self {
        Self(line.split_whitespace())
    }

    pub fn next(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    pub fn need(&mut self, what: &str) -> Result<&'a str, Problem> {
        self.next().ok_or_else(|| format!("{what} is missing"))
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

    pub fn time_in_force(&mut self) -> Result<u8, Problem> {
        let time = match self.need("a time in force")? {
            "day" => TimeInForce::Day,
            "gtc" => TimeInForce::GoodTillCancel,
            "ioc" => TimeInForce::ImmediateOrCancel,
            "fok" => TimeInForce::FillOrKill,
            other => return Err(format!("`{other}` is no time in force")),
        };
        Ok(time.code())
    }

    pub fn self_trade_prevention(&mut self) -> Result<u8, Problem> {
        let mode = match self.need("a mode")? {
            "allow" => SelfTradePrevention::Allow,
            "cancel-newest" => SelfTradePrevention::CancelNewest,
            "cancel-oldest" => SelfTradePrevention::CancelOldest,
            "cancel-both" => SelfTradePrevention::CancelBoth,
            other => return Err(format!("`{other}` is no self-trade prevention")),
        };
        Ok(mode.code())
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
