//! What lies behind the last good frame: nothing, a torn tail, or proof of damage.

use crate::JournalError;
use crate::format::{FRAME_HEADER_LENGTH, FRAME_MAGIC, FrameHeader};
use crate::frame::Segment;
use crate::storage::read_full;
use zerocopy::FromBytes;

/// What was found behind an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Offset behind the last byte that is not zero; the start when all are.
    pub data_end: u64,
    /// Whether a valid frame header claims that the asked sequence was synced.
    pub claims: bool,
    /// The last sequence that a valid frame header names; 0 when there is none.
    pub last_seen: u64,
}

const CHUNK_BYTES: usize = 1 << 20;

/// Reads a segment from `start` to its end. `sequence` is the first one that is missing at `start`: a later frame that
/// knew it to be synced proves that it was there and is damaged now.
pub(crate) fn inspect(segment: &Segment, start: u64, sequence: u64) -> Result<Tail, JournalError> {
    let mut tail = Tail { data_end: start, claims: false, last_seen: 0 };
    let mut buffer = vec![0; CHUNK_BYTES + FRAME_HEADER_LENGTH];
    let mut offset = start;
    loop {
        // Chunks overlap by a header, so that none is missed at a seam.
        let count = read_full(&*segment.file, &mut buffer, offset).map_err(segment.io("read"))?;
        let bytes = &buffer[..count];
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            tail.data_end = offset + last as u64 + 1;
            look(bytes, segment.header.checksum, sequence, &mut tail);
        }
        if tail.claims || count <= CHUNK_BYTES {
            return Ok(tail);
        }
        offset += CHUNK_BYTES as u64;
    }
}

/// Notes what the frame headers in `bytes` say.
fn look(bytes: &[u8], seed: u32, sequence: u64, tail: &mut Tail) {
    // Frames start at multiples of 8 whatever the alignment, and so does `start`.
    for at in (0..bytes.len()).step_by(8) {
        let Some(candidate) = bytes.get(at..at + FRAME_HEADER_LENGTH) else { return };
        if !candidate.starts_with(&FRAME_MAGIC) {
            continue;
        }
        let header = FrameHeader::read_from_bytes(candidate).ok().filter(|header| header.checks(seed));
        if let Some(header) = header {
            tail.claims |= header.durable_sequence >= sequence;
            tail.last_seen = tail.last_seen.max(header.last_sequence());
        }
    }
}
