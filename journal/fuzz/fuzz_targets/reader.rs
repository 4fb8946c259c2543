//! Any bytes as a segment of a commands stream: never a panic, and reader, verification and recovery agree.
//!
//! `cargo +nightly fuzz run reader` in `journal/`. The first byte of the input says what is made to fit, so that the fuzzer
//! comes behind the checksums: bit 0 the segment header's, bit 1 those of the frames, bit 2 the hash chain.
#![no_main]

use journal::simulated::SimulatedStorage;
use journal::{
    ChainHash, FRAME_HEADER_LENGTH, FRAME_MAGIC, FrameHeader, SEGMENT_HEADER_LENGTH, SegmentHeader, SharedStorage,
    Storage, StreamIdentity, StreamKind, StreamOptions, StreamReader, StreamWriter,
};
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::Arc;
use zerocopy::{FromBytes, IntoBytes};

const FOLDER: &str = "/data/commands";
const FILE: &str = "/data/commands/00000000000000000001.seg";
const SEGMENT_BYTES: u64 = 64 << 10;

fn identity() -> StreamIdentity {
    StreamIdentity::new(StreamKind::Commands, "fuzz", &[])
}

/// A segment whose header is good, with `frames` behind it.
fn segment(choice: u8, frames: &[u8]) -> Vec<u8> {
    let start = SegmentHeader {
        first_sequence: 1,
        segment_bytes: SEGMENT_BYTES,
        chain: ChainHash::genesis(&identity()),
        ..SegmentHeader::blank(&identity())
    };
    let mut bytes = vec![0; SEGMENT_HEADER_LENGTH];
    if choice & 1 != 0 {
        bytes.copy_from_slice(start.sealed().as_bytes());
        bytes.extend_from_slice(frames);
    } else {
        bytes.clear();
        bytes.extend_from_slice(frames);
    }
    bytes.truncate(SEGMENT_BYTES as usize);
    bytes
}

/// Makes the checksums of what looks like frames hold, and the chain, as the first byte says.
fn mend(choice: u8, bytes: &mut [u8]) {
    let Some(header) = bytes.get(..SEGMENT_HEADER_LENGTH).and_then(|it| SegmentHeader::read_from_bytes(it).ok()) else {
        return;
    };
    let (mut chain, mut at) = (header.chain, SEGMENT_HEADER_LENGTH);
    while let Some(found) = bytes.get(at..at + FRAME_HEADER_LENGTH) {
        let Ok(mut frame) = FrameHeader::read_from_bytes(found) else { return };
        let end = at + FRAME_HEADER_LENGTH + frame.payload_length as usize;
        if frame.magic != FRAME_MAGIC || end > bytes.len() {
            return;
        }
        if choice & 2 != 0 {
            mend_records(&mut bytes[at + FRAME_HEADER_LENGTH..end]);
        }
        if choice & 4 != 0 {
            chain = chain.after(&bytes[at..end]);
            frame.chain = chain.half();
        }
        if choice & 2 != 0 {
            frame.seal(header.checksum);
        }
        bytes[at..at + FRAME_HEADER_LENGTH].copy_from_slice(frame.as_bytes());
        at += frame.total_length(8).max(8) as usize;
    }
}

fn mend_records(mut payload: &mut [u8]) {
    while let Some(length) = payload.first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        if length < 32 || length > payload.len() {
            return;
        }
        let checksum = crc32c::crc32c(&payload[8..length]);
        payload[4..8].copy_from_slice(&checksum.to_le_bytes());
        let next = length.next_multiple_of(8).min(payload.len());
        payload = &mut payload[next..];
    }
}

/// Reads all there is; the last sequence, or nothing where the reader refuses.
fn read(storage: &SharedStorage) -> Option<u64> {
    let mut reader = StreamReader::open_with(Path::new(FOLDER), Arc::clone(storage)).ok()?;
    let (mut last, mut time) = (0, 0);
    while let Some(record) = reader.next().ok()? {
        assert_eq!(record.header().sequence, last + 1, "sequences have no gaps");
        assert!(record.header().timestamp_ns >= time, "time does not go back");
        last += 1;
        time = record.header().timestamp_ns;
    }
    reader.check_end().ok()?;
    Some(last)
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, frames)) = input.split_first() else { return };
    let mut bytes = segment(*choice, frames);
    mend(*choice, &mut bytes);
    let disk = SimulatedStorage::new();
    let file = disk.create(Path::new(FILE)).expect("a new disk");
    file.write_at(&bytes, 0).expect("written");
    let storage: SharedStorage = Arc::new(disk.clone());
    let seen = read(&storage);
    let options = StreamOptions {
        segment_bytes: SEGMENT_BYTES,
        max_frame_bytes: 8 << 10,
        reserve_bytes: 0,
        prepare_on_thread: false,
        ..StreamOptions::default()
    };
    if let Ok((writer, report)) = StreamWriter::open(Path::new(FOLDER), &identity(), &options, Arc::clone(&storage)) {
        drop(writer);
        if let Some(seen) = seen {
            assert_eq!(seen, report.last_sequence, "reader and recovery see the same records");
        }
        assert_eq!(read(&storage), Some(report.last_sequence), "what was recovered can be read");
    }
});
