//! Changes by someone who knows the format: all checksums are made to hold again, and still it is noticed.

use super::*;
use crate::format::{FRAME_HEADER_LENGTH, SEGMENT_HEADER_LENGTH, segment_path};
use crate::frame::list_segments;
use crate::storage::{Storage, read_full};
use crate::verify::verify_folder;
use crate::{ChainHash, DataFolder, FrameHeader, Mark, Problem, SegmentHeader, StreamReport};
use std::path::PathBuf;
use zerocopy::FromBytes;

fn folder(storage: &SimulatedStorage) -> DataFolder {
    DataFolder::with_storage(Path::new("/data"), Arc::new(storage.clone()))
}

fn verified(storage: &SimulatedStorage, anchors: &[(u64, ChainHash)]) -> Result<StreamReport, JournalError> {
    verify_folder(&folder(storage), anchors, &mut |_| {}).unwrap().commands
}

/// A journal of several segments; the chain after each of its batches.
fn journal() -> (SimulatedStorage, Vec<(u64, ChainHash)>) {
    let storage = SimulatedStorage::new();
    let (mut writer, _) = open_commands(&storage, &small()).unwrap();
    let mut chains = Vec::new();
    while writer.last_sequence() < 3000 {
        let first = writer.last_sequence() + 1;
        writer.write_batch(&batch(first..=first + 29), 0).unwrap();
        chains.push((writer.last_sequence(), writer.chain()));
    }
    writer.sync().unwrap();
    (storage, chains)
}

fn read(storage: &SimulatedStorage, path: &Path) -> Vec<u8> {
    let file = storage.open(path, false).unwrap();
    let mut bytes = vec![0; file.length().unwrap() as usize];
    read_full(&*file, &mut bytes, 0).unwrap();
    bytes
}

fn write(storage: &SimulatedStorage, path: &Path, bytes: &[u8]) {
    assert_eq!(storage.open(path, true).unwrap().write_at(bytes, 0).unwrap(), bytes.len());
}

fn paths(storage: &SimulatedStorage) -> Vec<PathBuf> {
    let firsts = list_segments(storage, Path::new(FOLDER)).unwrap();
    firsts.iter().map(|first| segment_path(Path::new(FOLDER), *first)).collect()
}

fn frame_header(bytes: &[u8], offset: usize) -> FrameHeader {
    FrameHeader::read_from_bytes(&bytes[offset..offset + FRAME_HEADER_LENGTH]).unwrap()
}

fn segment_header(bytes: &[u8]) -> SegmentHeader {
    SegmentHeader::read_from_bytes(&bytes[..SEGMENT_HEADER_LENGTH]).unwrap()
}

/// Makes the checksums of a frame and its records hold again, and with `chain` the chain as well.
fn seal(bytes: &mut [u8], offset: usize, chain: Option<&mut ChainHash>) {
    let seed = segment_header(bytes).checksum;
    let mut header = frame_header(bytes, offset);
    let start = offset + FRAME_HEADER_LENGTH;
    let end = start + header.payload_length as usize;
    let mut at = start;
    while at < end {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let checksum = crc32c::crc32c(&bytes[at + 8..at + length]);
        bytes[at + 4..at + 8].copy_from_slice(&checksum.to_le_bytes());
        at += stride(length);
    }
    if let Some(chain) = chain {
        *chain = chain.after(&bytes[offset..end]);
        header.chain = chain.half();
    }
    header.seal(seed);
    bytes[offset..start].copy_from_slice(header.as_bytes());
}

/// Offsets of a segment's frames.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let mut offset = SEGMENT_HEADER_LENGTH;
    let mut offsets = Vec::new();
    while bytes[offset..].starts_with(b"FRM1") {
        offsets.push(offset);
        offset += frame_header(bytes, offset).total_length(8) as usize;
    }
    offsets
}

/// Computes the chain of the whole stream again, as only someone who can write all of it can.
fn forge(storage: &SimulatedStorage) {
    let mut chain = ChainHash::genesis(&commands_identity());
    for path in paths(storage) {
        let mut bytes = read(storage, &path);
        let header = SegmentHeader { chain, ..segment_header(&bytes) }.sealed();
        bytes[..SEGMENT_HEADER_LENGTH].copy_from_slice(header.as_bytes());
        for offset in frames(&bytes) {
            seal(&mut bytes, offset, Some(&mut chain));
        }
        write(storage, &path, &bytes);
    }
}

fn assert_altered(storage: &SimulatedStorage, file: &Path, offset: u64, problem: Problem) {
    let Err(error) = verified(storage, &[]) else { panic!("accepted") };
    let JournalError::Altered { file: named, offset: at, problem: found, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((named.as_path(), *at, *found), (file, offset, problem), "{error}");
    assert!(error.to_string().contains("altered"), "{error}");
    assert!(matches!(open_commands(storage, &small()), Err(JournalError::Altered { .. })));
    let mut reader = StreamReader::open_with(Path::new(FOLDER), Arc::new(storage.clone())).unwrap();
    let refused = loop {
        match reader.next() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the reader accepted it"),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, JournalError::Altered { .. }), "{refused}");
}

#[test]
fn a_changed_record_with_good_checksums_is_found_at_its_frame() {
    let (storage, _) = journal();
    for (segment, frame) in [(0, 0), (0, 3), (1, 0), (2, 5)] {
        let copy = storage.copy();
        let path = &paths(&copy)[segment];
        let mut bytes = read(&copy, path);
        let offset = frames(&bytes)[frame];
        bytes[offset + FRAME_HEADER_LENGTH + HEADER_LENGTH] ^= 1;
        seal(&mut bytes, offset, None);
        write(&copy, path, &bytes);
        assert_altered(&copy, path, offset as u64, Problem::Chain);
    }
}

#[test]
fn a_frame_header_with_a_good_checksum_is_under_the_chain_too() {
    let (storage, _) = journal();
    let path = &paths(&storage)[1];
    let mut bytes = read(&storage, path);
    let offset = frames(&bytes)[2];
    // `term`, which nothing else looks at.
    bytes[offset + 44] = 1;
    seal(&mut bytes, offset, None);
    write(&storage, path, &bytes);
    assert_altered(&storage, path, offset as u64, Problem::Chain);
}

#[test]
fn a_change_with_its_own_chain_made_good_is_found_at_the_next_frame_or_segment() {
    let (storage, chains) = journal();
    let path = &paths(&storage)[1];
    let bytes = read(&storage, path);
    let offsets = frames(&bytes);
    for frame in [0, 4, offsets.len() - 1] {
        let copy = storage.copy();
        let mut bytes = bytes.clone();
        let offset = offsets[frame];
        let first = frame_header(&bytes, offset).first_sequence;
        let mut chain = chains.iter().find(|(sequence, _)| sequence + 1 == first).unwrap().1;
        bytes[offset + FRAME_HEADER_LENGTH + HEADER_LENGTH] ^= 1;
        seal(&mut bytes, offset, Some(&mut chain));
        write(&copy, path, &bytes);
        match offsets.get(frame + 1) {
            Some(next) => assert_altered(&copy, path, *next as u64, Problem::Chain),
            None => assert_altered(&copy, &paths(&copy)[2], 0, Problem::Chain),
        }
    }
}

#[test]
fn a_journal_forged_from_end_to_end_is_found_by_a_mark_or_an_anchor() {
    let (storage, chains) = journal();
    let (path, kept) = (&paths(&storage)[0], chains[60]);
    assert_eq!(verified(&storage, &[kept]).unwrap().chain, chains.last().unwrap().1);
    let mut bytes = read(&storage, path);
    bytes[SEGMENT_HEADER_LENGTH + FRAME_HEADER_LENGTH + HEADER_LENGTH] ^= 1;
    write(&storage, path, &bytes);
    forge(&storage);
    assert!(verified(&storage, &[]).is_ok(), "everything in the files fits together");
    let error = verified(&storage, &[kept]).unwrap_err();
    assert!(
        matches!(error, JournalError::Altered { problem: Problem::Anchor, sequence, .. } if sequence == kept.0)
    );
    folder(&storage).append_mark(Mark { sequence: kept.0, state_hash: 1, chain: Some(kept.1) }).unwrap();
    assert!(matches!(verified(&storage, &[]), Err(JournalError::Altered { problem: Problem::Anchor, .. })));
}

#[test]
fn an_anchor_inside_a_frame_or_beyond_the_end_is_not_passed_over() {
    let (storage, chains) = journal();
    let inside = (chains[3].0 - 1, chains[3].1);
    assert!(matches!(verified(&storage, &[inside]), Err(JournalError::Altered { .. })));
    let beyond = (chains.last().unwrap().0 + 1, chains[0].1);
    let error = verified(&storage, &[beyond]).unwrap_err();
    assert!(matches!(error, JournalError::AnchorBeyondEnd { .. }), "{error}");
    let mark = Mark { sequence: beyond.0 + 1, state_hash: 1, chain: None };
    folder(&storage).append_mark(mark).unwrap();
    assert!(matches!(verified(&storage, &[beyond]), Err(JournalError::MarkBeyondEnd { .. })));
}

#[test]
fn time_that_goes_back_is_refused_by_writer_and_reader() {
    let (storage, _) = journal();
    let (mut writer, _) = open_commands(&storage.copy(), &small()).unwrap();
    let (last, last_ns) = (writer.last_sequence(), writer.last_timestamp_ns());
    let at = |sequence, timestamp_ns: u64| {
        let mut bytes = command(sequence);
        bytes[16..24].copy_from_slice(&timestamp_ns.to_le_bytes());
        bytes
    };
    writer.write_batch(&[at(last + 1, last_ns), at(last + 2, last_ns)].concat(), 0).unwrap();
    let refused = writer.write_batch(&at(last + 3, last_ns - 1), 0).unwrap_err();
    assert!(refused.to_string().contains("times go back"), "{refused}");
    // The same in the files, with everything else made to fit.
    let path = &paths(&storage)[1];
    let mut bytes = read(&storage, path);
    let offset = frames(&bytes)[1];
    bytes[offset + FRAME_HEADER_LENGTH + 16] = 0;
    bytes[offset + FRAME_HEADER_LENGTH + 17] = 0;
    bytes[offset + FRAME_HEADER_LENGTH + 18] = 0;
    write(&storage, path, &bytes);
    forge(&storage);
    assert_altered(&storage, path, offset as u64, Problem::TimeBack);
}

#[test]
fn the_time_before_a_segment_is_in_its_header_and_checked() {
    let (storage, _) = journal();
    let path = &paths(&storage)[2];
    let mut bytes = read(&storage, path);
    let header = segment_header(&bytes);
    assert_eq!(header.previous_timestamp_ns, (header.first_sequence - 1) * 1000);
    let header = SegmentHeader { previous_timestamp_ns: header.previous_timestamp_ns - 1, ..header }.sealed();
    bytes[..SEGMENT_HEADER_LENGTH].copy_from_slice(header.as_bytes());
    write(&storage, path, &bytes);
    let Err(JournalError::Altered { problem: Problem::TimeBack, offset: 0, .. }) = verified(&storage, &[])
    else {
        panic!("accepted")
    };
}

#[test]
fn progress_goes_to_the_end_and_never_back() {
    let (storage, _) = journal();
    let mut seen = Vec::new();
    let report = verify_folder(&folder(&storage), &[], &mut |progress| seen.push(progress)).unwrap();
    assert!(!seen.is_empty() && seen.is_sorted_by_key(|progress| progress.bytes));
    let total = seen[0].total_bytes;
    assert!(seen.iter().all(|progress| progress.total_bytes == total && progress.bytes <= total));
    assert_eq!(total, report.commands.unwrap().segments as u64 * (64 << 10));
}

/// An empty journal has an anchor, too: `journal verify` prints it. Given back for another journal, with whatever value, it
/// was passed over, and the journal called good.
#[test]
fn the_anchor_of_the_beginning_is_compared() {
    let (storage, chains) = journal();
    let genesis = segment_header(&read(&storage, &paths(&storage)[0])).chain;
    verified(&storage, &[(0, genesis)]).expect("its own");
    let error = verified(&storage, &[(0, chains[0].1)]).expect_err("another one");
    assert!(
        matches!(error, JournalError::Altered { offset: 352, sequence: 0, problem: Problem::Anchor, .. }),
        "{error}"
    );
}

/// After an orderly end the mark says that the events were synced, too. A byte of them that had flipped was called a torn tail, of
/// which nothing had been synced, and the journal good.
#[test]
fn damaged_events_before_a_mark_are_no_torn_tail() {
    let storage = SimulatedStorage::new();
    let (mut commands, _) = open_commands(&storage, &small()).unwrap();
    commands.write_batch(&batch(1..=90), 0).unwrap();
    commands.sync().unwrap();
    drop(commands);
    let mut machine = Counter::default();
    let options = (&small(), &small());
    let recovered =
        crate::recover(&folder(&storage), &mut machine, b"limits", options, &mut |_| {}, &mut |_| {})
            .unwrap();
    let mark =
        Mark { sequence: 90, state_hash: recovered.state_hash, chain: Some(recovered.commands.chain()) };
    drop(recovered);
    let events = segment_path(Path::new("/data/events"), 1);
    storage.flip(&events, 4200, 1);
    let found = verify_folder(&folder(&storage), &[], &mut |_| {}).unwrap().events;
    assert!(found.unwrap().torn_tail.is_some(), "nothing says that it was synced");
    folder(&storage).append_mark(mark).unwrap();
    let found = verify_folder(&folder(&storage), &[], &mut |_| {}).unwrap().events;
    let Err(JournalError::Damaged { file, offset, .. }) = found else { panic!("{found:?}") };
    assert_eq!((file, offset), (events, 4096));
}
