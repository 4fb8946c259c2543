//! Building a frame: records are gathered behind room for its header, in memory that is reserved once.

use crate::chain::Chain;
use crate::format::{FRAME_HEADER_LENGTH, FRAME_MAGIC, FrameHeader};
use crate::frame::record_checksum;
use crate::{ChainHash, Problem};
use machine::{HEADER_LENGTH, RecordHeader, stride};
use zerocopy::{FromBytes, IntoBytes};

/// The frame that is being built.
pub(crate) struct FrameBuffer {
    words: Vec<u64>,
    /// Bytes of records behind the header.
    used: usize,
    /// Before the first of them, and after the last; without their frame's hash.
    before: Chain,
    after: Chain,
}

impl FrameBuffer {
    /// Empty, with room for a frame of `max_frame_bytes`; the first record is to follow `chain`.
    pub fn new(max_frame_bytes: u32, chain: Chain) -> Self {
        Self { words: vec![0; max_frame_bytes as usize / 8], used: 0, before: chain, after: chain }
    }

    /// Empties it; the next record is to follow `chain`.
    pub fn restart(&mut self, chain: Chain) {
        (self.used, self.before, self.after) = (0, chain, chain);
    }

    /// Bytes of the records in it.
    pub fn used(&self) -> usize {
        self.used
    }

    /// The order after the records in it.
    pub fn after(&self) -> &Chain {
        &self.after
    }

    /// Copies as many whole records as fit, filling in their checksums. Returns the bytes taken: 0 when the first does not
    /// fit.
    ///
    /// # Errors
    /// Which rule the records break.
    pub fn take(&mut self, records: &[u8]) -> Result<usize, &'static str> {
        let mut taken = 0;
        let frame = &mut self.words.as_mut_bytes()[FRAME_HEADER_LENGTH..];
        while taken < records.len() {
            let rest = &records[taken..];
            let length = check_record(rest)?;
            let padded = stride(length);
            let Some(place) = frame.get_mut(self.used..self.used + padded) else { break };
            place.copy_from_slice(&rest[..padded]);
            place[length..].fill(0);
            let checksum = record_checksum(&place[..length]);
            place[4..8].copy_from_slice(&checksum.to_le_bytes());
            let accepted = RecordHeader::ref_from_bytes(&place[..HEADER_LENGTH])
                .map_or(Err(Problem::FrameShape), |header| self.after.accept(header));
            match accepted {
                Ok(()) => {}
                Err(Problem::TimeBack) => return Err("its times go back"),
                Err(_) => return Err("its records do not follow the last one without a gap"),
            }
            self.used += padded;
            taken += padded;
        }
        Ok(taken)
    }

    /// The header of the frame as it is, without checksum and hash chain.
    pub fn header(&self, durable_sequence: u64) -> FrameHeader {
        let first_sequence = self.before.expected();
        FrameHeader {
            magic: FRAME_MAGIC,
            payload_length: self.used as u32,
            record_count: (self.after.records - self.before.records) as u32,
            first_sequence,
            sequence_span: (self.after.last - first_sequence) as u32,
            durable_sequence: durable_sequence.min(first_sequence - 1),
            ..FrameHeader::default()
        }
    }

    /// Completes the frame with its header, hash chain and checksums, for a segment whose header has the checksum `seed`.
    /// Returns its bytes and the chain after it.
    pub fn seal(&mut self, mut header: FrameHeader, seed: u32, alignment: u32) -> (&[u8], Chain) {
        let used = FRAME_HEADER_LENGTH + self.used;
        let total = header.total_length(alignment) as usize;
        let frame = &mut self.words.as_mut_bytes()[..total];
        frame[..FRAME_HEADER_LENGTH].copy_from_slice(header.as_bytes());
        let hash: ChainHash = self.before.hash.after(&frame[..used]);
        header.chain = hash.half();
        header.seal(seed);
        frame[..FRAME_HEADER_LENGTH].copy_from_slice(header.as_bytes());
        frame[used..].fill(0);
        (frame, Chain { hash, ..self.after })
    }
}

/// Length of the record at the start of `bytes`, which holds all of it with its padding.
#[inline]
fn check_record(bytes: &[u8]) -> Result<usize, &'static str> {
    let Some(length) = bytes.first_chunk::<4>() else { return Err("a record is cut off") };
    let length = u32::from_le_bytes(*length) as usize;
    if !(HEADER_LENGTH..=machine::MAX_RECORD_LENGTH).contains(&length) {
        return Err("a record has an impossible length");
    }
    if bytes.len() < stride(length) { Err("a record is cut off") } else { Ok(length) }
}
