//! The order that records must have, and the hash chain over them.

use crate::Problem;
use crate::format::{FRAME_CHAINED_FROM, SegmentHeader};
use crate::options::{StreamIdentity, StreamKind};
use machine::RecordHeader;
use std::fmt;
use std::str::FromStr;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A value of the hash chain: BLAKE3 keyed with the value before it, over a frame's header fields and records. Whoever
/// knows the value at some sequence can tell whether anything up to there has been changed since.
#[repr(transparent)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ChainHash(pub [u8; 32]);

impl ChainHash {
    /// The value before the first frame of a stream: BLAKE3 over what the stream says that it is.
    #[must_use]
    pub fn genesis(identity: &StreamIdentity) -> Self {
        let header = SegmentHeader::blank(identity);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&header.kind.to_le_bytes()).update(&header.machine).update(&header.parameters);
        Self(*hasher.finalize().as_bytes())
    }

    /// The value after a frame (header and records, without the padding), whose header's checksum and chain need not be
    /// filled in yet.
    ///
    /// # Panics
    /// If there is less than a frame header.
    #[must_use]
    pub fn after(&self, header_and_payload: &[u8]) -> Self {
        Self(*blake3::keyed_hash(&self.0, &header_and_payload[FRAME_CHAINED_FROM..]).as_bytes())
    }

    /// What a frame header keeps of it.
    #[must_use]
    pub fn half(&self) -> [u8; 16] {
        let mut half = [0; 16];
        half.copy_from_slice(&self.0[..16]);
        half
    }
}

impl fmt::Display for ChainHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a chain value is 64 hexadecimal digits")]
pub struct NotAChainHash;

impl FromStr for ChainHash {
    type Err = NotAChainHash;

    fn from_str(text: &str) -> Result<Self, NotAChainHash> {
        let mut value = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotAChainHash);
        }
        for (byte, digits) in value.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| NotAChainHash)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| NotAChainHash)?;
        }
        Ok(Self(value))
    }
}

/// The order that records must have, and how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub kind: StreamKind,
    /// Sequence of the last record; one below the first before there is any.
    pub last: u64,
    /// Its time; 0 before there is any.
    pub last_timestamp_ns: u64,
    /// Whether that record ends its command. Always true for commands.
    pub complete: bool,
    pub records: u64,
    /// The hash chain after the last frame.
    pub hash: ChainHash,
}

impl Chain {
    /// Before the first record of a new stream.
    pub fn starting_at(identity: &StreamIdentity, first: u64) -> Self {
        Self {
            kind: identity.kind,
            last: first.saturating_sub(1),
            last_timestamp_ns: 0,
            complete: true,
            records: 0,
            hash: ChainHash::genesis(identity),
        }
    }

    /// Before the first record of a segment, as its header says. A segment may begin in the middle of a command's
    /// events; its first sequence is expected all the same.
    pub fn entering(kind: StreamKind, header: &SegmentHeader) -> Self {
        Self {
            kind,
            last: header.first_sequence.saturating_sub(1),
            last_timestamp_ns: header.previous_timestamp_ns,
            complete: true,
            records: 0,
            hash: header.chain,
        }
    }

    /// What is wrong if this segment is to continue the chain.
    pub fn refuses(&self, header: &SegmentHeader) -> Option<Problem> {
        if header.chain != self.hash {
            Some(Problem::Chain)
        } else if header.previous_timestamp_ns != self.last_timestamp_ns {
            Some(Problem::TimeBack)
        } else {
            None
        }
    }

    /// The sequence that the next record must have.
    #[inline]
    pub fn expected(&self) -> u64 {
        if self.complete { self.last.saturating_add(1) } else { self.last }
    }

    /// Last sequence whose records are all there.
    pub fn last_complete(&self) -> u64 {
        self.expected().saturating_sub(1)
    }

    /// Takes the next record, unless it is out of order or earlier than the last one.
    #[inline]
    pub fn accept(&mut self, header: &RecordHeader) -> Result<(), Problem> {
        if header.sequence != self.expected() {
            return Err(Problem::FrameShape);
        }
        if header.timestamp_ns < self.last_timestamp_ns {
            return Err(Problem::TimeBack);
        }
        self.last = header.sequence;
        self.last_timestamp_ns = header.timestamp_ns;
        self.records += 1;
        self.complete = match self.kind {
            StreamKind::Commands => true,
            StreamKind::Events => header.flags & machine::flags::LAST_EVENT != 0,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_value_reads_back_what_it_writes() {
        let value = ChainHash(std::array::from_fn(|index| index as u8 * 7));
        assert_eq!(value.to_string().parse(), Ok(value));
        for bad in ["", "00", &"g".repeat(64), &"0".repeat(63), &"+1".repeat(32)] {
            assert_eq!(bad.parse::<ChainHash>(), Err(NotAChainHash), "{bad}");
        }
    }
}
