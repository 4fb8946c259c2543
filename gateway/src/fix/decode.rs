//! Framing and the field index.

use super::encode::{SOH, check_sum};
use super::{parse_number, tags};

/// What stands at the start of a receive buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Not enough bytes yet to tell.
    Incomplete,
    /// A message of this many bytes, with correct BodyLength and CheckSum.
    Complete(usize),
    /// Not a message: this many bytes (at least one) must be skipped; what follows may start one.
    Garbled(usize),
    /// A message that says it is longer than allowed.
    TooLong,
}

/// Longest `8=...|9=...|`: longer is not FIX.
const MAX_PREFIX: usize = 32;
/// `10=ddd|`.
const TRAILER: usize = 7;

/// Looks for one message at the start of `buffer`.
///
/// A message is garbled when `8=FIX`, `9=` and `35=` are not its first three fields, or BodyLength or CheckSum is
/// wrong. Garbled bytes are skipped up to the next `8=FIX` (FIX 4.4 volume 2: ignore and go on).
#[must_use]
pub fn find_frame(buffer: &[u8], max_length: usize) -> Frame {
    const BEGIN: &[u8] = b"8=FIX";
    let common = buffer.len().min(BEGIN.len());
    if buffer[..common] != BEGIN[..common] {
        return Frame::Garbled(resync(buffer));
    }
    let prefix = &buffer[..buffer.len().min(MAX_PREFIX)];
    let Some(begin_end) = prefix.iter().position(|&byte| byte == SOH) else {
        return incomplete_prefix(buffer);
    };
    let rest = &prefix[begin_end + 1..];
    let common = rest.len().min(2);
    if rest[..common] != b"9="[..common] {
        return Frame::Garbled(resync(buffer));
    }
    let Some(length_end) = rest.iter().position(|&byte| byte == SOH) else {
        return incomplete_prefix(buffer);
    };
    match parse_number(&rest[2..length_end]) {
        None => Frame::Garbled(resync(buffer)),
        Some(body_length) => check_body(buffer, begin_end + length_end + 2, body_length, max_length),
    }
}

fn incomplete_prefix(buffer: &[u8]) -> Frame {
    if buffer.len() < MAX_PREFIX { Frame::Incomplete } else { Frame::Garbled(resync(buffer)) }
}

fn check_body(buffer: &[u8], body_start: usize, body_length: u64, max_length: usize) -> Frame {
    if body_length > (max_length.saturating_sub(body_start + TRAILER)) as u64 {
        return Frame::TooLong;
    }
    let trailer_start = body_start + body_length as usize;
    let total = trailer_start + TRAILER;
    let known = &buffer[body_start..];
    let common = known.len().min(3);
    if known[..common] != b"35="[..common] {
        return Frame::Garbled(resync(buffer));
    }
    if buffer.len() < total {
        return Frame::Incomplete;
    }
    let trailer = &buffer[trailer_start..total];
    let sum = parse_number(&trailer[3..6]);
    let ends_field = buffer[trailer_start - 1] == SOH;
    if !trailer.starts_with(b"10=") || trailer[6] != SOH || !ends_field {
        return skip_to_trailer(buffer, trailer_start - 1, max_length);
    }
    if sum != Some(u64::from(check_sum(&buffer[..trailer_start]))) {
        return Frame::Garbled(resync(buffer));
    }
    Frame::Complete(total)
}

/// A wrong BodyLength: as in QuickFIX, the message ends with the first CheckSum field behind the stated length, so that
/// one that is too long takes the beginning of the next message with it. No farther than a message may reach: how much more
/// has come by now must not matter.
fn skip_to_trailer(buffer: &[u8], from: usize, max_length: usize) -> Frame {
    let rest = &buffer[from..buffer.len().min(max_length)];
    let found = rest.windows(4).position(|window| window == b"\x0110=");
    let end =
        found.and_then(|at| rest[at + 4..].iter().position(|&byte| byte == SOH).map(|more| at + 5 + more));
    match end {
        Some(end) => Frame::Garbled(from + end),
        None if buffer.len() < max_length => Frame::Incomplete,
        None => Frame::Garbled(resync(buffer)),
    }
}

/// Bytes up to the next place where `8=FIX` starts or could start when more bytes come; at least 1.
fn resync(buffer: &[u8]) -> usize {
    const BEGIN: &[u8] = b"8=FIX";
    (1..buffer.len())
        .find(|&at| {
            let common = (buffer.len() - at).min(BEGIN.len());
            buffer[at..at + common] == BEGIN[..common]
        })
        .unwrap_or(buffer.len())
}

/// One field of a message: where its value lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// Tag number; 0 when the tag is not a number from 1 to 999,999 (then `value` still points at the value).
    pub tag: u32,
    tag_start: u32,
    value_start: u32,
    value_end: u32,
}

/// The fields of one message, in memory that is reused from message to message.
#[derive(Default)]
pub struct FieldIndex {
    fields: Vec<Field>,
    present: Present,
}

/// Which tags a message may have: a bit for each, shared by those that are equal modulo 512. Most tags that are asked for are not there.
#[derive(Clone, Copy, Debug, Default)]
struct Present([u64; 8]);

impl Present {
    /// Word and bit. Tags that stand beside each other go to different words: the processor need not wait for one to mark the next.
    #[inline]
    fn place(tag: u32) -> (usize, u64) {
        ((tag % 8) as usize, 1 << (tag / 8 % 64))
    }

    #[inline]
    fn mark(&mut self, tag: u32) {
        let (word, bit) = Self::place(tag);
        self.0[word] |= bit;
    }

    #[inline]
    fn may_have(&self, tag: u32) -> bool {
        let (word, bit) = Self::place(tag);
        self.0[word] & bit != 0
    }
}

/// Most fields in one message. The shortest field has four bytes, so an 8 KiB message cannot have more than this.
const MAX_FIELDS: usize = 2048;

impl FieldIndex {
    /// An index with room for ordinary messages.
    #[must_use]
    pub fn new() -> Self {
        Self { fields: Vec::with_capacity(128), present: Present::default() }
    }

    /// Indexes a complete frame. `None` when a piece is no field at all (`tag=value`), a data field's length does not
    /// fit, or there are more than 2,048 fields: such a message is garbled.
    pub fn parse<'a>(&'a mut self, bytes: &'a [u8]) -> Option<Message<'a>> {
        self.fields.clear();
        let mut present = Present::default();
        let mut at = 0;
        let mut data: Option<(u32, usize)> = None;
        while at < bytes.len() {
            let (tag, equals) = read_tag(bytes, at)?;
            if self.fields.len() == MAX_FIELDS {
                return None;
            }
            let value_start = equals + 1;
            let value_end = match data.take() {
                Some((data_tag, length)) if data_tag == tag => {
                    let end = value_start.checked_add(length)?;
                    (bytes.get(end) == Some(&SOH)).then_some(end)?
                }
                _ => find_delimiter(bytes, value_start)?,
            };
            if let Some(data_tag) = tags::data_tag_of(tag) {
                let length = parse_number(&bytes[value_start..value_end]);
                data =
                    length.and_then(|length| usize::try_from(length).ok()).map(|length| (data_tag, length));
            }
            present.mark(tag);
            self.fields.push(Field {
                tag,
                tag_start: at as u32,
                value_start: value_start as u32,
                value_end: value_end as u32,
            });
            at = value_end + 1;
        }
        self.present = present;
        Some(Message { bytes, fields: &self.fields, present: &self.present })
    }
}

/// A message with its field index.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    fields: &'a [Field],
    /// Of the whole message, also where this is a part of it.
    present: &'a Present,
}

impl<'a> Message<'a> {
    /// The whole message.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// All fields in their order, tags 8, 9, 35 and 10 included.
    #[must_use]
    pub fn fields(&self) -> &'a [Field] {
        self.fields
    }

    /// Some of its fields, by their places, as a message of their own.
    #[must_use]
    pub(crate) fn part(&self, places: std::ops::Range<usize>) -> Self {
        Self { fields: self.fields.get(places).unwrap_or_default(), ..*self }
    }

    /// Value of the first field with this tag.
    #[must_use]
    pub fn get(&self, tag: u32) -> Option<&'a [u8]> {
        if !self.present.may_have(tag) {
            return None;
        }
        self.fields.iter().find(|field| field.tag == tag).map(|field| self.value(field))
    }

    /// Value of one of its fields.
    #[must_use]
    pub fn value(&self, field: &Field) -> &'a [u8] {
        &self.bytes[field.value_start as usize..field.value_end as usize]
    }

    /// The tag of one of its fields as it was written.
    #[must_use]
    pub fn tag_text(&self, field: &Field) -> &'a [u8] {
        &self.bytes[field.tag_start as usize..field.value_start as usize - 1]
    }

    /// The bytes between the field with `tag` and the trailer: the body, when `tag` is the last header field.
    #[must_use]
    pub fn body_after(&self, tag: u32) -> &'a [u8] {
        let start =
            self.fields.iter().find(|field| field.tag == tag).map(|field| field.value_end as usize + 1);
        let end = self.fields.last().map(|field| field.tag_start as usize);
        start.zip(end).and_then(|(start, end)| self.bytes.get(start..end)).unwrap_or_default()
    }

    /// Value of a field that holds a number without sign, up to 18 digits.
    #[must_use]
    pub fn number(&self, tag: u32) -> Option<u64> {
        parse_number(self.get(tag)?)
    }

    /// Message type (tag 35).
    #[must_use]
    #[inline]
    pub fn message_type(&self) -> &'a [u8] {
        // Framing lets no message through with another third field.
        match self.fields.get(2) {
            Some(field) if field.tag == tags::MSG_TYPE => self.value(field),
            _ => self.get(tags::MSG_TYPE).unwrap_or_default(),
        }
    }

    /// Whether a Boolean field is `Y`.
    #[must_use]
    pub fn flag(&self, tag: u32) -> bool {
        self.get(tag) == Some(b"Y")
    }
}

/// The tag that starts at `at` (0 if it is no number from 1 to 999,999 without leading zeros) and where its `=` is.
#[inline]
fn read_tag(bytes: &[u8], at: usize) -> Option<(u32, usize)> {
    // Nearly all tags have two digits, most others one or three.
    if let Some(&[first, second, third, fourth]) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let [x, y, z] = [first, second, third].map(|byte| u32::from(byte.wrapping_sub(b'0')));
        let leads = x.wrapping_sub(1) < 9;
        if third == b'=' && leads && y < 10 {
            return Some((x * 10 + y, at + 2));
        }
        if second == b'=' && leads {
            return Some((x, at + 1));
        }
        if fourth == b'=' && leads && y < 10 && z < 10 {
            return Some((x * 100 + y * 10 + z, at + 3));
        }
    }
    read_any_tag(bytes, at)
}

/// The same for a tag of any length.
fn read_any_tag(bytes: &[u8], at: usize) -> Option<(u32, usize)> {
    let (mut tag, mut end) = (0u32, at);
    while let Some(digit) = bytes.get(end).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit < 10) {
        tag = tag.wrapping_mul(10).wrapping_add(u32::from(digit));
        end += 1;
    }
    let plain = bytes.get(end) == Some(&b'=') && end - at <= 6 && bytes[at] != b'0' && end > at;
    if plain {
        return Some((tag, end));
    }
    let equals = at + bytes[at..].iter().position(|&byte| byte == b'=' || byte == SOH)?;
    (bytes[equals] == b'=').then_some((0, equals))
}

/// The first SOH at or after `from`, looked for eight bytes at a time.
#[inline]
fn find_delimiter(bytes: &[u8], from: usize) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut at = from;
    while let Some(chunk) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes")) ^ (ONES * SOH as u64);
        // The lowest set high bit marks the first byte that is zero.
        let zeros = word.wrapping_sub(ONES) & !word & (ONES << 7);
        if zeros != 0 {
            return Some(at + (zeros.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    bytes.get(at..)?.iter().position(|&byte| byte == SOH).map(|more| at + more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fix::{MessageWriter, Version};
    use proptest::prelude::*;

    fn sample(fields: &[(u32, &[u8])]) -> Vec<u8> {
        let mut buffer = Vec::new();
        let mut writer = MessageWriter::begin(&mut buffer, Version::Fix44, b"0");
        fields.iter().for_each(|&(tag, value)| writer.bytes(tag, value));
        writer.finish();
        buffer
    }

    #[test]
    fn every_prefix_of_a_message_is_incomplete() {
        let bytes = sample(&[(34, b"1"), (49, b"A")]);
        for length in 0..bytes.len() {
            assert_eq!(find_frame(&bytes[..length], 8192), Frame::Incomplete, "{length}");
        }
        assert_eq!(find_frame(&bytes, 8192), Frame::Complete(bytes.len()));
    }

    #[test]
    fn garbage_is_skipped_up_to_the_next_message() {
        let bytes = sample(&[(34, b"1")]);
        let mut stream = b"35=0\x01GET / HTTP/1.1 58=F 8=FI".to_vec();
        stream.extend_from_slice(&bytes);
        let mut at = 0;
        let found = loop {
            match find_frame(&stream[at..], 8192) {
                Frame::Garbled(skip) => at += skip,
                other => break other,
            }
        };
        assert_eq!((found, at), (Frame::Complete(bytes.len()), stream.len() - bytes.len()));
    }

    /// Found by fuzzing: behind a message with a wrong BodyLength the CheckSum field was looked for in all that had come,
    /// however far away. What was skipped, and whether a good message was among it, depended on the network's pieces.
    #[test]
    fn what_is_skipped_does_not_depend_on_how_the_bytes_are_cut() {
        const MAX_LENGTH: usize = 100;
        let good = sample(&[(34, b"1")]);
        for filling in 0..200 {
            let mut stream = b"8=FIX.4.4\x019=9\x0135=0\x0134=1\x01".to_vec();
            stream.resize(stream.len() + filling, b'x');
            stream.extend_from_slice(&good);
            stream.extend_from_slice(&good);
            let [whole, pieces] = [stream.len(), 1].map(|piece| {
                let (mut buffer, mut found) = (Vec::new(), Vec::new());
                for piece in stream.chunks(piece) {
                    buffer.extend_from_slice(piece);
                    loop {
                        match find_frame(&buffer, MAX_LENGTH) {
                            Frame::Garbled(length) if !buffer.is_empty() => drop(buffer.drain(..length)),
                            Frame::Complete(length) => found.push(buffer.drain(..length).count()),
                            _ => break,
                        }
                    }
                }
                found
            });
            assert_eq!(whole, pieces, "{filling}");
            // The first good one goes with the bad one as long as its CheckSum field is near enough.
            let near = stream.len() - good.len() <= MAX_LENGTH;
            assert_eq!(whole.len(), if near { 1 } else { 2 }, "{filling}");
        }
    }

    #[test]
    fn wrong_length_checksum_or_order_is_garbled() {
        let good = sample(&[(34, b"1"), (49, b"A")]);
        let text = String::from_utf8(good).unwrap();
        for (from, to) in
            [("9=15", "9=14"), ("10=", "10=9"), ("35=0", "34=0"), ("9=15", "9=x"), ("49=A", "49=B")]
        {
            let bad = text.replace(from, to) + "8=FIX.4.4";
            assert!(matches!(find_frame(bad.as_bytes(), 8192), Frame::Garbled(_)), "{from} -> {to}");
        }
        assert_eq!(find_frame(b"8=FIX.4.4\x019=8193\x0135=0", 8192), Frame::TooLong);
        assert_eq!(find_frame(b"8=FIX.4.4\x019=999999999999999999\x01", 8192), Frame::TooLong);
        assert!(matches!(find_frame(&[b"8=FIX".as_slice(), &[b'4'; 60]].concat(), 8192), Frame::Garbled(_)));
    }

    #[test]
    fn data_fields_may_hold_the_delimiter() {
        let bytes = sample(&[(95, b"5"), (96, b"a\x01b=c"), (58, b"x")]);
        let mut index = FieldIndex::new();
        let message = index.parse(&bytes).unwrap();
        assert_eq!(message.get(96), Some(b"a\x01b=c".as_slice()));
        assert_eq!(message.get(58), Some(b"x".as_slice()));
        let bytes = sample(&[(95, b"6"), (96, b"a\x01b=c"), (58, b"x")]);
        assert!(FieldIndex::new().parse(&bytes).is_none());
    }

    #[test]
    fn odd_tags_are_kept_for_the_reject() {
        let bytes = sample(&[(58, b""), (1, b"x")]);
        let text = String::from_utf8(bytes).unwrap().replace("\x011=x", "\x01-1=x");
        let mut index = FieldIndex::new();
        let message = index.parse(text.as_bytes()).unwrap();
        assert_eq!(message.get(58), Some(b"".as_slice()));
        let odd = message.fields().iter().find(|field| field.tag == 0).unwrap();
        assert_eq!((message.tag_text(odd), message.value(odd)), (b"-1".as_slice(), b"x".as_slice()));
        assert!(index.parse(b"8=FIX.4.4\x01novalue\x01").is_none());
    }

    fn field() -> impl Strategy<Value = (u32, Vec<u8>)> {
        let tag = (36u32..5000).prop_filter("not a length tag", |&tag| tags::data_tag_of(tag).is_none());
        (tag, proptest::collection::vec(2u8..=255, 0..40))
    }

    proptest! {
        #[test]
        fn short_tags_are_read_as_all_are(bytes in proptest::collection::vec(prop_oneof![Just(b'='), Just(SOH), b'0'..=b'9', any::<u8>()], 0..12)) {
            prop_assert_eq!(read_tag(&bytes, 0), read_any_tag(&bytes, 0));
        }

        #[test]
        fn decode_undoes_encode(fields in proptest::collection::vec(field(), 0..40)) {
            let borrowed: Vec<(u32, &[u8])> = fields.iter().map(|(tag, value)| (*tag, value.as_slice())).collect();
            let bytes = sample(&borrowed);
            prop_assert_eq!(find_frame(&bytes, 8192), Frame::Complete(bytes.len()));
            let mut index = FieldIndex::new();
            let message = index.parse(&bytes).unwrap();
            let body = &message.fields()[3..message.fields().len() - 1];
            let decoded: Vec<(u32, &[u8])> = body.iter().map(|it| (it.tag, message.value(it))).collect();
            prop_assert_eq!(&decoded, &borrowed);
            for tag in 36..5000 {
                let first = borrowed.iter().find(|it| it.0 == tag).map(|it| it.1);
                prop_assert_eq!(message.get(tag), first, "{}", tag);
            }
        }

        #[test]
        fn no_bytes_panic_and_skipping_always_advances(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut at = 0;
            while let Frame::Garbled(skip) = find_frame(&bytes[at..], 100) {
                prop_assert!(skip > 0 || at == bytes.len());
                if at == bytes.len() { break; }
                at += skip;
            }
            let _ = FieldIndex::new().parse(&bytes);
        }

        #[test]
        fn mutated_messages_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut bytes = sample(&[(34, b"1"), (95, b"3"), (96, b"abc"), (58, b"text")]);
            let position = at.index(bytes.len());
            bytes[position] = byte;
            bytes.truncate(cut.index(bytes.len() + 1));
            if let Frame::Complete(length) = find_frame(&bytes, 8192) {
                let _ = FieldIndex::new().parse(&bytes[..length]);
            }
        }
    }
}
