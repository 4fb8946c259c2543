//! Encoding into a reusable buffer.

use std::io::Write as _;

use super::Version;

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
    pub fn integer(&mut self, tag: u32, value: u64) {
        self.tag(tag);
        push_integer(self.buffer, value);
        self.buffer.push(SOH);
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
        let mut digits = [0; 20];
        let digits = format_integer(&mut digits, body_length as u64);
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

fn push_integer(buffer: &mut Vec<u8>, value: u64) {
    let mut digits = [0; 20];
    buffer.extend_from_slice(format_integer(&mut digits, value));
}

fn format_integer(digits: &mut [u8; 20], mut value: u64) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return &digits[at..];
        }
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
    fn long_bodies_get_more_digits() {
        let mut buffer = Vec::new();
        let mut writer = MessageWriter::begin(&mut buffer, Version::Fix44, b"0");
        writer.bytes(58, &[b'x'; 2000]);
        writer.finish();
        assert!(buffer.starts_with(b"8=FIX.4.4\x019=2009\x0135=0\x0158=xxx"));
    }
}
