//! Encoding into a reusable buffer.

use std::io::Write as _;

use super::{Precision, Version, format_utc, power_of_ten};

/// The field delimiter, ASCII 1.
pub const SOH: u8 = 1;

/// Longest name of a field that is written at once, with its `=`: that of a tag below 1,000,000.
const HEAD: usize = 8;
/// Most digits of a number.
const DIGITS: usize = 20;
/// The buffer is made longer by so much at a time, which is as long as most messages.
const ROOM: usize = 512;

/// Appends one message to a buffer. [`MessageWriter::finish`] fills in BodyLength and CheckSum.
///
/// Values must not contain SOH; what comes out of a decoded message never does, except in data fields, which this
/// gateway does not send.
pub struct MessageWriter<'a> {
    /// Longer than what has been written, so that fields need not make it longer one by one.
    buffer: &'a mut Vec<u8>,
    start: usize,
    /// Where the body starts if BodyLength has three digits; a body of another number of digits is moved.
    body_start: usize,
    /// Where the next field goes.
    at: usize,
    version: Version,
    /// Of its times.
    precision: Precision,
}

impl<'a> MessageWriter<'a> {
    /// Starts a message of `message_type` at the end of `buffer`.
    pub fn begin(buffer: &'a mut Vec<u8>, version: Version, message_type: &[u8]) -> Self {
        let start = buffer.len();
        buffer.resize(start + ROOM, 0);
        let precision = Precision::default().in_version(version);
        let mut writer = Self { buffer, start, body_start: 0, at: start, version, precision };
        writer.bytes(8, version.begin_string());
        writer.bytes(9, b"000");
        writer.body_start = writer.at;
        writer.bytes(35, message_type);
        writer
    }

    /// Writes times with so many digits of a second, where the version has them. Without this it is the default precision.
    #[must_use]
    pub fn at_precision(mut self, precision: Precision) -> Self {
        self.precision = precision.in_version(self.version);
        self
    }

    /// The version that is written.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Appends a field with a text value.
    #[inline]
    pub fn bytes(&mut self, tag: u32, value: &[u8]) {
        self.field(tag, value.len(), |text| {
            copy_short(&mut text[..value.len()], value);
            value.len()
        });
    }

    /// Appends a field with an integer value.
    #[inline]
    pub fn integer(&mut self, tag: u32, value: u64) {
        self.field(tag, DIGITS, |text| put_digits(text, value));
    }

    /// Appends a field with the value `digits * 10^-scale`, all of whose decimals are written; at most 19.
    #[inline]
    pub(crate) fn decimal(&mut self, tag: u32, digits: u64, scale: u32) {
        self.field(tag, 2 * DIGITS, |text| put_decimal(text, digits, scale));
    }

    /// Appends a field with two numbers and `-` between them.
    #[inline]
    pub(crate) fn joined(&mut self, tag: u32, first: u64, second: u64) {
        self.field(tag, 2 * DIGITS + 1, |text| {
            let length = put_digits(text, first);
            text[length] = b'-';
            length + 1 + put_digits(&mut text[length + 1..], second)
        });
    }

    /// Appends a field with a time: nanoseconds since the Unix epoch.
    #[inline]
    pub fn time(&mut self, tag: u32, time_ns: u64) {
        self.bytes(tag, &format_utc(time_ns, self.precision));
    }

    /// Appends a field with one character.
    #[inline]
    pub fn character(&mut self, tag: u32, value: u8) {
        self.bytes(tag, &[value]);
    }

    /// Appends a field with a value that prints itself (a decimal, an id).
    pub fn display(&mut self, tag: u32, value: impl std::fmt::Display) {
        self.bytes(tag, b"");
        // Over the delimiter.
        self.buffer.truncate(self.at - 1);
        write!(self.buffer, "{value}").expect("writing to memory cannot fail");
        self.buffer.push(SOH);
        self.at = self.buffer.len();
    }

    /// Appends whole fields, each with its delimiter.
    pub fn raw(&mut self, fields: &[u8]) {
        self.room(fields.len()).copy_from_slice(fields);
        self.at += fields.len();
    }

    /// Bytes in the buffer so far: a place for [`MessageWriter::since`].
    #[must_use]
    pub fn place(&self) -> usize {
        self.at
    }

    /// What has been written since a [`MessageWriter::place`] of this message.
    #[must_use]
    pub fn since(&self, place: usize) -> &[u8] {
        &self.buffer[place..self.at]
    }

    /// Appends a field. `write` has room for `most` bytes and says how many it has written.
    #[inline]
    fn field(&mut self, tag: u32, most: usize, write: impl FnOnce(&mut [u8]) -> usize) {
        let head = match HEADS.get(tag as usize) {
            Some(head) => *head,
            None => self.rare_head(tag),
        };
        let length = usize::from(head[HEAD - 1]);
        let room = self.room(HEAD + most + 1);
        // Eight bytes at once and a step back are quicker than as many bytes as there are.
        room[..HEAD].copy_from_slice(&head);
        let end = length + write(&mut room[length..length + most]);
        room[end] = SOH;
        self.at += end + 1;
    }

    /// The name of a field whose tag is high. One with more digits than any of FIX is appended here, and nothing left of it.
    #[cold]
    fn rare_head(&mut self, tag: u32) -> Head {
        if tag < 1_000_000 {
            return head_of(tag);
        }
        let room = self.room(DIGITS + 1);
        let length = put_digits(room, u64::from(tag));
        room[length] = b'=';
        self.at += length + 1;
        [0; HEAD]
    }

    /// Room for so many bytes behind what has been written.
    #[inline]
    fn room(&mut self, bytes: usize) -> &mut [u8] {
        let end = self.at + bytes;
        if end > self.buffer.len() {
            self.grow(end);
        }
        &mut self.buffer[self.at..end]
    }

    #[cold]
    fn grow(&mut self, end: usize) {
        self.buffer.resize(end + ROOM, 0);
    }

    /// Fills in BodyLength and appends CheckSum; the message is complete.
    pub fn finish(mut self) {
        let mut text = [0; DIGITS];
        let length = put_digits(&mut text, (self.at - self.body_start) as u64);
        let field = self.body_start - 4..self.body_start - 1;
        if length == 3 {
            self.buffer[field].copy_from_slice(&text[..3]);
        } else {
            self.buffer.truncate(self.at);
            self.buffer.splice(field, text[..length].iter().copied());
            self.at = self.buffer.len();
        }
        let sum = check_sum(self.since(self.start));
        let [tens, ones] = two_digits(u64::from(sum % 100));
        self.raw(&[b'1', b'0', b'=', b'0' + sum / 100, tens, ones, SOH]);
        self.buffer.truncate(self.at);
    }
}

/// Names of fields with their `=`; the last byte says how long.
type Head = [u8; HEAD];

/// Those of the tags that are written often.
static HEADS: [Head; 1536] = {
    let mut heads = [[0; HEAD]; 1536];
    let mut tag = 0;
    while tag < heads.len() {
        heads[tag] = head_of(tag as u32);
        tag += 1;
    }
    heads
};

/// The name of a field whose tag is below 1,000,000.
const fn head_of(tag: u32) -> Head {
    let mut head = [0; HEAD];
    let (mut length, mut rest) = (1, tag / 10);
    while rest > 0 {
        (length, rest) = (length + 1, rest / 10);
    }
    head[length] = b'=';
    head[HEAD - 1] = length as u8 + 1;
    let (mut at, mut rest) = (length, tag);
    while at > 0 {
        at -= 1;
        head[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    head
}

/// Copies a text that is most often shorter than a call for it is worth. Both are as long.
#[inline]
fn copy_short(to: &mut [u8], from: &[u8]) {
    match from.len() {
        1 => to[0] = from[0],
        2..4 => copy_ends::<2>(to, from),
        4..8 => copy_ends::<4>(to, from),
        8..=16 => copy_ends::<8>(to, from),
        _ => to.copy_from_slice(from),
    }
}

/// The first and the last bytes, which may overlap.
#[inline]
fn copy_ends<const N: usize>(to: &mut [u8], from: &[u8]) {
    let ends = from.first_chunk::<N>().zip(from.last_chunk::<N>());
    if let Some((first, last)) = ends
        && from.len() == to.len()
    {
        to[..N].copy_from_slice(first);
        let at = from.len() - N;
        to[at..].copy_from_slice(last);
    }
}

/// CheckSum (tag 10): the sum of all bytes before it, modulo 256.
pub(super) fn check_sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum: u8, &byte| sum.wrapping_add(byte))
}

/// Appends the digits of a number.
#[inline]
pub(crate) fn push_integer(buffer: &mut Vec<u8>, value: u64) {
    let mut text = [0; DIGITS];
    let length = put_digits(&mut text, value);
    buffer.extend_from_slice(&text[..length]);
}

/// Appends `digits * 10^-scale` with all of its decimals; at most 19.
#[inline]
pub(crate) fn push_decimal(buffer: &mut Vec<u8>, digits: u64, scale: u32) {
    let mut text = [0; 2 * DIGITS];
    let length = put_decimal(&mut text, digits, scale);
    buffer.extend_from_slice(&text[..length]);
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

/// How many digits a number has.
#[inline]
fn count_digits(value: u64) -> usize {
    // A bit is worth 1233 / 4096 digits; the power of ten says whether it is one more.
    let guess = ((64 - (value | 1).leading_zeros()) * 1233) >> 12;
    guess as usize
        + usize::from(power_of_ten(guess).is_some_and(|power| value >= power))
        + usize::from(value == 0)
}

/// Writes the digits of a number at the start of `text`, which has room for 20; how many they are.
#[inline]
fn put_digits(text: &mut [u8], value: u64) -> usize {
    let count = count_digits(value);
    put_padded(&mut text[..count], value);
    count
}

/// Fills `text` with the last digits of a number.
#[inline]
fn put_padded(text: &mut [u8], mut value: u64) {
    let mut pairs = text.rchunks_exact_mut(2);
    for pair in &mut pairs {
        pair.copy_from_slice(&two_digits(value % 100));
        value /= 100;
    }
    if let [first] = pairs.into_remainder() {
        *first = b'0' + (value % 10) as u8;
    }
}

/// Writes `digits * 10^-scale` at the start of `text`, which has room for 40; how many bytes.
#[inline]
fn put_decimal(text: &mut [u8], digits: u64, scale: u32) -> usize {
    if scale == 0 {
        return put_digits(text, digits);
    }
    let unit = power_of_ten(scale).expect("no more decimals than 64 bits have digits");
    let point = put_digits(text, digits / unit);
    let end = point + 1 + scale as usize;
    text[point] = b'.';
    put_padded(&mut text[point + 1..end], digits % unit);
    end
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
    fn texts_and_tags_of_every_length() {
        let long = [b'x'; 700];
        let mut buffer = b"before".to_vec();
        let mut writer = MessageWriter::begin(&mut buffer, Version::Fix44, b"0");
        let place = writer.place();
        let mut expected = String::new();
        for length in (0..40).chain([511, 512, 513, 700]) {
            for tag in [1, 12, 123, 1234, 12_345, 123_456, 1_234_567, u32::MAX] {
                writer.bytes(tag, &long[..length]);
                expected += &format!("{tag}={}\x01", "x".repeat(length));
            }
            writer.display(58, "shown");
            writer.raw(b"59=raw\x01");
            expected += "58=shown\x0159=raw\x01";
        }
        assert_eq!(
            writer.since(place).escape_ascii().to_string(),
            expected.as_bytes().escape_ascii().to_string()
        );
        writer.finish();
        assert!(buffer.starts_with(b"before8=FIX.4.4\x019="), "{}", buffer[..30].escape_ascii());
        assert_eq!(buffer[buffer.len() - 7..buffer.len() - 4], *b"10=");
        assert_eq!(buffer.last(), Some(&SOH));
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
