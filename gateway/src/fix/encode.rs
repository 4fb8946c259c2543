//! Encoding into a reusable buffer.

use std::io::Write as _;

use super::{Version, power_of_ten};

/// The field delimiter, ASCII 1.
pub const SOH: u8 = 1;

/// Appends one message to a buffer. [`MessageWriter::finish`] fills in BodyLength and CheckSum.
///
/// Values must not contain SOH; what comes out of a decoded message never does, except in data fields, which this
/// gateway does not send.
pub struct MessageWriter<'a> {
    buffer: &'a mut Vec<u8>,
    start: usize,
    /// Where the body starts if BodyLength has three digits; a body of another number of digits is moved.
    body_start: usize,
    version: Version,
}

impl<'a> MessageWriter<'a> {
    /// Starts a message of `message_type` at the end of `buffer`.
    pub fn begin(buffer: &'a mut Vec<u8>, version: Version, message_type: &[u8]) -> Self {
        let start = buffer.len();
        buffer.extend_from_slice(b"8=");
        buffer.extend_from_slice(version.begin_string());
        buffer.extend_from_slice(b"\x019=000\x01");
        let body_start = buffer.len();
        let mut writer = Self { buffer, start, body_start, version };
        writer.bytes(35, message_type);
        writer
    }

    /// The version that is written.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Appends a field with a text value.
    #[inline]
    pub fn bytes(&mut self, tag: u32, value: &[u8]) {
        self.tag(tag);
        self.buffer.extend_from_slice(value);
        self.buffer.push(SOH);
    }

    /// Appends a field with an integer value.
    #[inline]
    pub fn integer(&mut self, tag: u32, value: u64) {
        self.tag(tag);
        let mut text = Backwards::new();
        text.byte(SOH);
        text.digits(value);
        self.buffer.extend_from_slice(text.as_bytes());
    }

    /// Appends a field with the value `digits * 10^-scale`, all of whose decimals are written; at most 19.
    #[inline]
    pub(crate) fn decimal(&mut self, tag: u32, digits: u64, scale: u32) {
        self.tag(tag);
        let mut text = Backwards::new();
        text.byte(SOH);
        text.decimal(digits, scale);
        self.buffer.extend_from_slice(text.as_bytes());
    }

    /// Appends a field with two numbers and `-` between them.
    #[inline]
    pub(crate) fn joined(&mut self, tag: u32, first: u64, second: u64) {
        self.tag(tag);
        let mut text = Backwards::new();
        text.byte(SOH);
        text.digits(second);
        text.byte(b'-');
        text.digits(first);
        self.buffer.extend_from_slice(text.as_bytes());
    }

    /// Appends a field with one character.
    pub fn character(&mut self, tag: u32, value: u8) {
        self.bytes(tag, &[value]);
    }

    /// Appends a field with a value that prints itself (a decimal, an id).
    pub fn display(&mut self, tag: u32, value: impl std::fmt::Display) {
        self.tag(tag);
        write!(self.buffer, "{value}").expect("writing to memory cannot fail");
        self.buffer.push(SOH);
    }

    /// Appends whole fields, each with its delimiter.
    pub fn raw(&mut self, fields: &[u8]) {
        self.buffer.extend_from_slice(fields);
    }

    /// Bytes in the buffer so far: a place for [`MessageWriter::since`].
    #[must_use]
    pub fn place(&self) -> usize {
        self.buffer.len()
    }

    /// What has been written since a [`MessageWriter::place`] of this message.
    #[must_use]
    pub fn since(&self, place: usize) -> &[u8] {
        &self.buffer[place..]
    }

    #[inline]
    fn tag(&mut self, tag: u32) {
        let digit = |unit: u32| b'0' + (tag / unit % 10) as u8;
        // Eight bytes at once and a cut are quicker than as many bytes as there are.
        let (head, length) = match tag {
            0..10 => ([digit(1), b'=', 0, 0, 0, 0, 0, 0], 2),
            10..100 => ([digit(10), digit(1), b'=', 0, 0, 0, 0, 0], 3),
            100..1000 => ([digit(100), digit(10), digit(1), b'=', 0, 0, 0, 0], 4),
            1000..10_000 => ([digit(1000), digit(100), digit(10), digit(1), b'=', 0, 0, 0], 5),
            _ => {
                push_integer(self.buffer, u64::from(tag));
                return self.buffer.push(b'=');
            }
        };
        let end = self.buffer.len() + length;
        self.buffer.extend_from_slice(&head);
        self.buffer.truncate(end);
    }

    /// Fills in BodyLength and appends CheckSum; the message is complete.
    pub fn finish(self) {
        let Self { buffer, start, body_start, .. } = self;
        let body_length = buffer.len() - body_start;
        let mut text = Backwards::new();
        text.digits(body_length as u64);
        let digits = text.as_bytes();
        let field = body_start - 4..body_start - 1;
        if digits.len() == 3 {
            buffer[field].copy_from_slice(digits);
        } else {
            buffer.splice(field, digits.iter().copied());
        }
        let sum = check_sum(&buffer[start..]);
        let trailer = [b'1', b'0', b'=', b'0' + sum / 100, b'0' + sum / 10 % 10, b'0' + sum % 10, SOH];
        buffer.extend_from_slice(&trailer);
    }
}

/// CheckSum (tag 10): the sum of all bytes before it, modulo 256.
pub(super) fn check_sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum: u8, &byte| sum.wrapping_add(byte))
}

/// Appends the digits of a number.
#[inline]
pub(crate) fn push_integer(buffer: &mut Vec<u8>, value: u64) {
    let mut text = Backwards::new();
    text.digits(value);
    buffer.extend_from_slice(text.as_bytes());
}

/// Appends `digits * 10^-scale` with all of its decimals; at most 19.
#[inline]
pub(crate) fn push_decimal(buffer: &mut Vec<u8>, digits: u64, scale: u32) {
    let mut text = Backwards::new();
    text.decimal(digits, scale);
    buffer.extend_from_slice(text.as_bytes());
}

/// The numbers from 0 to 99 with two digits.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut at = 0;
    while at < pairs.len() {
        pairs[at] = [b'0' + (at / 10) as u8, b'0' + (at % 10) as u8];
        at += 1;
    }
    pairs
};

/// The digits of a number below 100.
#[inline]
pub(super) fn two_digits(value: u64) -> [u8; 2] {
    PAIRS[value as usize % 100]
}

/// A short text that is put together from its end, as the digits of a number come.
struct Backwards {
    text: [u8; Self::ROOM],
    /// Where it begins so far.
    start: usize,
}

impl Backwards {
    /// Two numbers of 20 digits and what stands around them.
    const ROOM: usize = 48;

    #[inline]
    fn new() -> Self {
        Self { text: [0; Self::ROOM], start: Self::ROOM }
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        &self.text[self.start..]
    }

    #[inline]
    fn byte(&mut self, byte: u8) {
        self.start -= 1;
        self.text[self.start] = byte;
    }

    #[inline]
    fn pair(&mut self, value: u64) {
        self.start -= 2;
        self.text[self.start..self.start + 2].copy_from_slice(&two_digits(value));
    }

    #[inline]
    fn digits(&mut self, mut value: u64) {
        while value >= 100 {
            self.pair(value);
            value /= 100;
        }
        if value >= 10 { self.pair(value) } else { self.byte(b'0' + value as u8) }
    }

    #[inline]
    fn decimal(&mut self, digits: u64, scale: u32) {
        if scale == 0 {
            return self.digits(digits);
        }
        let unit = power_of_ten(scale).expect("no more decimals than 64 bits have digits");
        let (whole, mut decimals) = (digits / unit, digits % unit);
        for _ in 0..scale / 2 {
            self.pair(decimals);
            decimals /= 100;
        }
        if !scale.is_multiple_of(2) {
            self.byte(b'0' + decimals as u8);
        }
        self.byte(b'.');
        self.digits(whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_length_and_checksum_as_in_the_specification() {
        let mut buffer = b"before".to_vec();
        let mut writer = MessageWriter::begin(&mut buffer, Version::Fix44, b"0");
        writer.integer(34, 2);
        writer.bytes(49, b"A");
        writer.finish();
        let text = b"8=FIX.4.4\x019=15\x0135=0\x0134=2\x0149=A\x01".as_slice();
        let sum: u32 = text.iter().map(|&byte| u32::from(byte)).sum();
        let expected = [b"before", text, format!("10={:03}\x01", sum % 256).as_bytes()].concat();
        assert_eq!(buffer.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    #[test]
    fn numbers_of_every_length() {
        let powers = (0..20).map(|exponent| 10u64.pow(exponent));
        for value in powers.flat_map(|it| [it - 1, it, it + 1, it / 9 * 7]).chain([0, u64::MAX]) {
            let mut buffer = Vec::new();
            let mut writer = MessageWriter::begin(&mut buffer, Version::Fix44, b"0");
            let place = writer.place();
            writer.integer(5, value);
            writer.joined(37, value, u64::MAX);
            writer.joined(12_345, 0, value);
            let expected = format!("5={value}|37={value}-{}|12345=0-{value}|", u64::MAX);
            assert_eq!(writer.since(place), expected.replace('|', "\x01").as_bytes());
            for scale in 0..=19 {
                let place = writer.place();
                writer.decimal(44, value, scale as u32);
                let digits = format!("{value:0width$}", width = scale + 1);
                let (whole, decimals) = digits.split_at(digits.len() - scale);
                let point = if scale == 0 { "" } else { "." };
                assert_eq!(writer.since(place), format!("44={whole}{point}{decimals}\x01").as_bytes());
            }
        }
    }

    #[test]
    fn long_bodies_get_more_digits() {
        let mut buffer = Vec::new();
        let mut writer = MessageWriter::begin(&mut buffer, Version::Fix44, b"0");
        writer.bytes(58, &[b'x'; 2000]);
        writer.finish();
        assert!(buffer.starts_with(b"8=FIX.4.4\x019=2009\x0135=0\x0158=xxx"));
    }
}
