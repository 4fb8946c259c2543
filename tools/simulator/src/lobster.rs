//! LOBSTER files: messages and order book rows as comma-separated values.
//!
//! Source: the LOBSTER sample files' ReadMe. A message file has one line per event: time, type, order id, size, price,
//! direction. An order book file has one line per message, the book after it: ask price, ask size, bid price, bid
//! size, level by level; its level count is a quarter of its columns. Prices are dollars times 10,000; a level that
//! is not there has the price 9999999999 or -9999999999 and the size 0.

use std::fmt;
use std::io::{self, BufRead, Read};

use protocol::Side;

use crate::input::open;

/// Types of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageType {
    /// 1: a new limit order.
    New,
    /// 2: part of an order is cancelled.
    PartialCancel,
    /// 3: an order is deleted.
    Delete,
    /// 4: a visible order is executed.
    Execution,
    /// 5: a hidden order is executed; the visible book does not change.
    HiddenExecution,
    /// 6: a cross trade (auction).
    Cross,
    /// 7: a trading halt begins or ends.
    Halt,
}

impl MessageType {
    fn from_number(number: i64) -> Option<Self> {
        Some(match number {
            1 => Self::New,
            2 => Self::PartialCancel,
            3 => Self::Delete,
            4 => Self::Execution,
            5 => Self::HiddenExecution,
            6 => Self::Cross,
            7 => Self::Halt,
            _ => return None,
        })
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::PartialCancel => "partial cancel",
            Self::Delete => "delete",
            Self::Execution => "execution",
            Self::HiddenExecution => "hidden execution",
            Self::Cross => "cross",
            Self::Halt => "halt",
        })
    }
}

/// One line of a message file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LobsterMessage {
    /// Nanoseconds since midnight.
    pub time_ns: u64,
    /// What happened.
    pub message_type: MessageType,
    /// The order's number; 0 for hidden ones, -1 for halts and crosses.
    pub order_id: i64,
    /// Shares.
    pub size: i64,
    /// Dollars times 10,000.
    pub price: i64,
    /// Side of the resting order.
    pub side: Side,
}

/// A price and a size; `None` where the file has no such level.
pub type PublishedLevel = Option<(i64, i64)>;

/// One line of an order book file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BookRow {
    /// Best first.
    pub asks: Vec<PublishedLevel>,
    /// Best first.
    pub bids: Vec<PublishedLevel>,
}

impl BookRow {
    /// One side, best first.
    #[must_use]
    pub fn side(&self, side: Side) -> &[PublishedLevel] {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }
}

/// Lines of a file, each read into a value.
pub struct Lines<'a> {
    input: Box<dyn BufRead + 'a>,
    line: String,
    /// Lines read.
    number: u64,
    truncated_bytes: u64,
}

impl<'a> Lines<'a> {
    /// Opens a file, gzip or plain.
    ///
    /// # Errors
    /// What reading its start gives.
    pub fn new<R: Read + 'a>(input: R) -> io::Result<Self> {
        Ok(Self { input: open(input)?, line: String::new(), number: 0, truncated_bytes: 0 })
    }

    /// Bytes of a last line that is cut off; 0 if it is whole.
    #[must_use]
    pub fn truncated_bytes(&self) -> u64 {
        self.truncated_bytes
    }

    /// The next message, or `None` at the end.
    ///
    /// # Errors
    /// A line that is no message, with its number; a last line without its end is [`Lines::truncated_bytes`] instead.
    pub fn next_message(&mut self) -> io::Result<Option<LobsterMessage>> {
        self.next(parse_message)
    }

    /// The next row, or `None` at the end.
    ///
    /// # Errors
    /// As [`Lines::next_message`].
    pub fn next_row(&mut self) -> io::Result<Option<BookRow>> {
        self.next(parse_row)
    }

    fn next<T>(&mut self, parse: fn(&str) -> Option<T>) -> io::Result<Option<T>> {
        self.line.clear();
        let cut = match self.input.read_line(&mut self.line) {
            Ok(0) => return Ok(None),
            Ok(_) => !self.line.ends_with('\n'),
            // A gzip stream that is cut off: what has come of the line is still here.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => true,
            Err(error) => return Err(error),
        };
        self.number += 1;
        if let Some(value) = parse(self.line.trim_end_matches(['\r', '\n'])) {
            return Ok(Some(value));
        }
        if cut {
            self.truncated_bytes = self.line.len() as u64;
            return Ok(None);
        }
        let message = format!("line {} is not of a LOBSTER file: {:?}", self.number, self.line.trim_end());
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }
}

/// Seconds with up to nine decimals.
fn parse_time(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.get(..9).unwrap_or(fraction);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction = if digits.is_empty() { 0 } else { digits.parse::<u64>().ok()? };
    let widening = 10u64.pow(9 - u32::try_from(digits.len()).ok()?);
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(fraction * widening)
}

/// Columns after the sixth (a market participant, in some files) are ignored.
fn parse_message(line: &str) -> Option<LobsterMessage> {
    let mut fields = line.split(',').map(str::trim);
    let time_ns = parse_time(fields.next()?)?;
    let mut number = || fields.next()?.parse::<i64>().ok();
    let message_type = MessageType::from_number(number()?)?;
    let (order_id, size, price) = (number()?, number()?, number()?);
    let side = if number()? == 1 { Side::Buy } else { Side::Sell };
    Some(LobsterMessage { time_ns, message_type, order_id, size, price, side })
}

fn parse_row(line: &str) -> Option<BookRow> {
    let mut row = BookRow::default();
    let mut fields = line.split(',').map(|field| field.trim().parse::<i64>().ok());
    while let Some(ask_price) = fields.next() {
        let mut level = |price: i64| {
            let size = fields.next()??;
            Some((size > 0 && price > 0).then_some((price, size)))
        };
        row.asks.push(level(ask_price?)?);
        let bid_price = fields.next()??;
        let size = fields.next()??;
        row.bids.push((size > 0 && bid_price > 0).then_some((bid_price, size)));
    }
    (!row.asks.is_empty()).then_some(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_sample_parse_exactly() {
        let message = parse_message("34200.004241176,1,16113575,18,5853300,-1").expect("a message");
        let expected = LobsterMessage {
            time_ns: 34_200_004_241_176,
            message_type: MessageType::New,
            order_id: 16_113_575,
            size: 18,
            price: 5_853_300,
            side: Side::Sell,
        };
        assert_eq!(message, expected);
        assert_eq!(parse_time("34200.00426064"), Some(34_200_004_260_640));
        assert_eq!(parse_time("34200"), Some(34_200_000_000_000));
        let row = parse_row("5859400,200,5853300,18,9999999999,0,-9999999999,0").expect("a row");
        assert_eq!(row.asks, [Some((5_859_400, 200)), None]);
        assert_eq!(row.bids, [Some((5_853_300, 18)), None]);
    }

    #[test]
    fn bad_lines_are_named_and_a_cut_last_line_is_only_reported() {
        let text = "1.5,1,7,10,100,1\n1.6,3,7,10,10";
        let mut lines = Lines::new(text.as_bytes()).expect("opens");
        assert!(lines.next_message().expect("reads").is_some());
        assert!(lines.next_message().expect("is only cut").is_none());
        assert_eq!(lines.truncated_bytes(), 13);
        for bad in ["1.5,8,7,10,100,1\n", "x,1,7,10,100,1\n", "1.5,1,7\n", "\n", "-1.5,1,7,10,100,1\n"] {
            let mut lines = Lines::new(bad.as_bytes()).expect("opens");
            let error = lines.next_message().expect_err(bad).to_string();
            assert!(error.contains("line 1"), "{error}");
        }
        for bad in ["1,2,3\n", "1,2,3,4,5\n", "a,b,c,d\n"] {
            assert!(Lines::new(bad.as_bytes()).expect("opens").next_row().is_err(), "{bad}");
        }
    }
}
