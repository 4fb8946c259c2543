//! What the tests share: records that are a function of their sequence, and a small machine.

mod ahead;
mod archive;
mod child;
mod damage;
mod exhaustive;
mod faults;
mod folder;
mod format;
mod golden;
mod mapped;
mod power;
mod recovery;
mod snapshots;
mod spare;
mod streams;
mod syncing;
mod tamper;

use crate::simulated::SimulatedStorage;
use crate::{JournalError, StreamIdentity, StreamKind, StreamOptions, StreamReader, StreamWriter};
use machine::{Context, EventBuffer, HEADER_LENGTH, Record, RecordHeader, StateHasher, StateMachine, stride};
use std::path::Path;
use std::sync::Arc;
use zerocopy::IntoBytes;

pub const FOLDER: &str = "/data/commands";

pub fn commands_identity() -> StreamIdentity {
    StreamIdentity::new(StreamKind::Commands, "counter", b"limits")
}

pub fn events_identity() -> StreamIdentity {
    StreamIdentity::new(StreamKind::Events, "counter", b"limits")
}

pub fn small() -> StreamOptions {
    StreamOptions {
        segment_bytes: 64 << 10,
        max_frame_bytes: 8 << 10,
        zero_ahead_bytes: 16 << 10,
        reserve_bytes: 0,
        prepare_on_thread: false,
        ..StreamOptions::default()
    }
}

/// The command with this sequence; its body's length and bytes follow from it, and are not always a multiple of 8.
pub fn command(sequence: u64) -> Vec<u8> {
    let body_length = (sequence * 7 % 90) as usize;
    record(sequence, 1, 0, body_length)
}

pub fn record(sequence: u64, kind: u16, flags: u8, body_length: usize) -> Vec<u8> {
    let length = HEADER_LENGTH + body_length;
    let header = RecordHeader {
        length: length as u32,
        sequence,
        timestamp_ns: sequence * 1000,
        kind,
        schema_version: 1,
        flags,
        ..RecordHeader::default()
    };
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend((0..body_length).map(|index| (sequence as usize * 31 + index + 1) as u8));
    bytes.resize(stride(length), 0);
    bytes
}

pub fn batch(sequences: std::ops::RangeInclusive<u64>) -> Vec<u8> {
    sequences.flat_map(command).collect()
}

/// Whether a record read back is the one that was written.
pub fn is_same(record: Record<'_>, written: &[u8]) -> bool {
    let header = RecordHeader { checksum: 0, ..*record.header() };
    let length = record.header().length as usize;
    header.as_bytes() == &written[..HEADER_LENGTH] && record.body() == &written[HEADER_LENGTH..length]
}

pub fn open_commands(
    storage: &SimulatedStorage,
    options: &StreamOptions,
) -> Result<(StreamWriter, crate::RecoveryReport), JournalError> {
    StreamWriter::open(Path::new(FOLDER), &commands_identity(), options, Arc::new(storage.clone()))
}

/// Reads a commands stream to its end; every record must be the one written. Returns the last sequence.
pub fn read_all(storage: &SimulatedStorage) -> Result<u64, JournalError> {
    let mut reader = StreamReader::open_with(Path::new(FOLDER), Arc::new(storage.clone()))?;
    let mut last = 0;
    while let Some(record) = reader.next()? {
        last += 1;
        assert_eq!(record.header().sequence, last);
        assert!(is_same(record, &command(last)), "record {last} is another than was written");
    }
    reader.check_end()?;
    Ok(last)
}

/// Adds up body bytes; gives one to four events per command.
#[derive(Default)]
pub struct Counter {
    pub total: u64,
    /// Makes it another program than the one that wrote the journal, from this sequence on.
    pub wrong_from: Option<u64>,
}

impl StateMachine for Counter {
    const NAME: &'static str = "counter";

    fn apply(&mut self, context: &Context, command: Record<'_>, events: &mut EventBuffer) {
        self.total += command.body().iter().map(|byte| u64::from(*byte)).sum::<u64>();
        if self.wrong_from.is_some_and(|from| context.sequence >= from) {
            self.total += 1;
        }
        for index in 0..=context.sequence % 4 {
            events.push_bytes(40_000 + index as u16, 1, &self.total.to_le_bytes());
        }
    }

    fn state_hash(&self) -> u64 {
        let mut hasher = StateHasher::new();
        hasher.write_value(&self.total);
        hasher.finish()
    }

    fn max_event_bytes(&self) -> usize {
        4 * 40
    }
}
