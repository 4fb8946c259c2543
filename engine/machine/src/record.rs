//! Records: the one shape of everything that is sequenced, journaled, replayed or fed.

use core::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Context;

/// Bytes of a [`RecordHeader`].
pub const HEADER_LENGTH: usize = 32;

/// Every record starts at a multiple of this many bytes, in ring, journal and feed alike.
pub const RECORD_ALIGNMENT: usize = 8;

/// Longest record in bytes, header included: bounds every buffer that must hold one.
pub const MAX_RECORD_LENGTH: usize = 64 * 1024;

/// Flag bits of [`RecordHeader::flags`].
pub mod flags {
    /// On the last event of a command: what follows belongs to the next command.
    pub const LAST_EVENT: u8 = 0b0000_0001;
}

/// Where a command came from. Events carry the source of the command that caused them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Source {
    /// Gateway, as numbered in the configuration; 0 is the operator.
    pub gateway: u16,
    /// Session within the gateway; 0 where the gateway has none.
    pub session: u16,
}

/// The header of every record, 32 bytes, little-endian.
///
/// ```text
///  0        4        8                16               24     26 27 28     30     32
///  ├────────┼────────┼────────────────┼────────────────┼──────┼──┼──┼──────┼──────┤
///  │ length │checksum│ sequence       │ timestamp_ns   │ kind │sv│fl│gatewy│sessn │
///  └────────┴────────┴────────────────┴────────────────┴──────┴──┴──┴──────┴──────┘
/// ```
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RecordHeader {
    /// Header plus body in bytes, without the padding to [`RECORD_ALIGNMENT`]; 32 to [`MAX_RECORD_LENGTH`].
    pub length: u32,
    /// CRC-32C over bytes 8 to `length`. 0 until the journal writes the record.
    pub checksum: u32,
    /// Place in the one order. A command not sequenced yet has 0; an event has its command's.
    pub sequence: u64,
    /// Nanoseconds since the Unix epoch, from the sequencer; an event has its command's.
    pub timestamp_ns: u64,
    /// What the body is: 1 to 32,767 commands, 32,768 and above events. Numbers belong to the machine.
    pub kind: u16,
    /// Version of the body's layout; starts at 1.
    pub schema_version: u8,
    /// See [`flags`].
    pub flags: u8,
    /// Where the command came from.
    pub source: Source,
}

const _: () = assert!(size_of::<RecordHeader>() == HEADER_LENGTH);
const _: () = assert!(align_of::<RecordHeader>() == RECORD_ALIGNMENT);

/// A record body of fixed layout.
///
/// Implementors are `repr(C)` without padding; the size must be a multiple of 8 so that records stay aligned.
pub trait Body: FromBytes + IntoBytes + Immutable + KnownLayout + Copy {
    /// Record kind, unique within a machine.
    const KIND: u16;
    /// Layout version.
    const SCHEMA_VERSION: u8 = 1;
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Fewer bytes than a header, or than the header's `length` says.
    Truncated,
    /// `length` is below 32 or above [`MAX_RECORD_LENGTH`].
    BadLength(u32),
    /// The bytes do not start at a multiple of [`RECORD_ALIGNMENT`].
    Misaligned,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => write!(f, "record is cut off"),
            Self::BadLength(length) => {
                write!(f, "record length {length} is outside {HEADER_LENGTH} to {MAX_RECORD_LENGTH}")
            }
            Self::Misaligned => write!(f, "record does not start at a multiple of {RECORD_ALIGNMENT} bytes"),
        }
    }
}

impl core::error::Error for RecordError {}

/// Bytes that a record of `length` takes in a stream: `length` rounded up to [`RECORD_ALIGNMENT`].
#[inline]
#[must_use]
pub const fn stride(length: usize) -> usize {
    length.next_multiple_of(RECORD_ALIGNMENT)
}

/// A borrowed record: aligned bytes whose header has been checked against their length.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    header: &'a RecordHeader,
    body: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads the record at the start of `bytes`. Does not check the checksum, which is the journal's.
    ///
    /// # Errors
    /// [`RecordError`] when the bytes cannot be a record.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        if bytes.len() < HEADER_LENGTH {
            return Err(RecordError::Truncated);
        }
        let (header, rest) = RecordHeader::ref_from_prefix(bytes).map_err(|_| RecordError::Misaligned)?;
        let length = header.length as usize;
        if !(HEADER_LENGTH..=MAX_RECORD_LENGTH).contains(&length) {
            return Err(RecordError::BadLength(header.length));
        }
        let body = rest.get(..length - HEADER_LENGTH).ok_or(RecordError::Truncated)?;
        Ok(Self { header, body })
    }

    /// Joins a header and a body that are stored apart.
    #[inline]
    #[must_use]
    pub fn from_parts(header: &'a RecordHeader, body: &'a [u8]) -> Self {
        debug_assert_eq!(header.length as usize, HEADER_LENGTH + body.len());
        Self { header, body }
    }

    /// The header.
    #[inline]
    #[must_use]
    pub fn header(&self) -> &'a RecordHeader {
        self.header
    }

    /// The body's bytes, without padding.
    #[inline]
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The body as `T`, or `None` when kind, version or size is another.
    #[inline]
    #[must_use]
    pub fn body_as<T: Body>(&self) -> Option<&'a T> {
        if self.header.kind != T::KIND || self.header.schema_version != T::SCHEMA_VERSION {
            return None;
        }
        T::ref_from_bytes(self.body).ok()
    }

    /// Sequence, time and source, as the state machine sees them.
    #[inline]
    #[must_use]
    pub fn context(&self) -> Context {
        Context {
            sequence: self.header.sequence,
            timestamp_ns: self.header.timestamp_ns,
            source: self.header.source,
        }
    }

    /// Whether this is the last event of its command.
    #[inline]
    #[must_use]
    pub fn is_last_event(&self) -> bool {
        self.header.flags & flags::LAST_EVENT != 0
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("header", self.header).field("body_length", &self.body.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C, align(8))]
    struct Aligned([u8; 48]);

    fn sample(length: u32) -> Aligned {
        let header =
            RecordHeader { length, sequence: 7, kind: 3, schema_version: 1, ..RecordHeader::default() };
        let mut bytes = Aligned([0xAB; 48]);
        bytes.0[..HEADER_LENGTH].copy_from_slice(header.as_bytes());
        bytes
    }

    #[test]
    fn parses_header_and_body() {
        let bytes = sample(44);
        let record = Record::parse(&bytes.0).unwrap();
        assert_eq!(record.header().sequence, 7);
        assert_eq!(record.body(), &[0xAB; 12]);
        assert_eq!(record.context().sequence, 7);
    }

    #[test]
    fn refuses_what_cannot_be_a_record() {
        assert_eq!(Record::parse(&sample(31).0).unwrap_err(), RecordError::BadLength(31));
        assert_eq!(Record::parse(&sample(49).0).unwrap_err(), RecordError::Truncated);
        assert_eq!(Record::parse(&sample(44).0[..31]).unwrap_err(), RecordError::Truncated);
        assert_eq!(Record::parse(&sample(44).0[1..]).unwrap_err(), RecordError::Misaligned);
        let huge = u32::try_from(MAX_RECORD_LENGTH).unwrap() + 1;
        assert_eq!(Record::parse(&sample(huge).0).unwrap_err(), RecordError::BadLength(huge));
    }

    #[test]
    fn header_bytes_are_the_documented_ones() {
        let header = RecordHeader {
            length: 0x0403_0201,
            checksum: 0x0807_0605,
            sequence: 0x100F_0E0D_0C0B_0A09,
            timestamp_ns: 0x1817_1615_1413_1211,
            kind: 0x1A19,
            schema_version: 0x1B,
            flags: 0x1C,
            source: Source { gateway: 0x1E1D, session: 0x201F },
        };
        let expected: alloc::vec::Vec<u8> = (1..=32).collect();
        assert_eq!(header.as_bytes(), expected.as_slice());
    }
}
