//! Every byte flipped, every length cut, files missing: detected or cut as never synced, never read wrongly.

use super::*;
use crate::format::{SEGMENT_HEADER_LENGTH, segment_path};
use crate::scan::Known;
use crate::storage::Storage;
use crate::verify::verify_with;
use crate::{JournalError, Problem};

/// Three frames: sequences 1-3, 4-6 (knows 1-3 to be synced), 7-9 (knows nothing more).
fn three_frames() -> (SimulatedStorage, [u64; 4]) {
    let storage = SimulatedStorage::new();
    let (mut writer, _) = open_commands(&storage, &small()).unwrap();
    let mut ends = [SEGMENT_HEADER_LENGTH as u64; 4];
    for (index, durable) in [(0, 0), (1, 3), (2, 3)] {
        let first = 3 * index as u64 + 1;
        writer.write_batch(&batch(first..=first + 2), durable).unwrap();
        ends[index + 1] = writer.offset;
    }
    (storage, ends)
}

fn first_segment() -> std::path::PathBuf {
    segment_path(Path::new(FOLDER), 1)
}

#[test]
fn every_flipped_byte_is_detected_or_cut_as_never_synced() {
    let (storage, ends) = three_frames();
    for offset in 0..ends[3] as usize + 200 {
        for mask in [0x01, 0xFF] {
            let damaged = storage.copy();
            damaged.flip(&first_segment(), offset, mask);
            let place = offset as u64;
            let live = read_all(&damaged);
            match open_commands(&damaged, &small()) {
                Err(JournalError::Damaged { offset: at, .. }) => {
                    assert!(place < ends[1], "byte {offset} mask {mask:02x} is not known to be synced");
                    assert!(at == 0 || at == ends[0], "byte {offset}: reported at {at}");
                    assert!(live.is_err(), "byte {offset}: the reader took damage for an end");
                }
                Err(error) => panic!("byte {offset} mask {mask:02x}: {error}"),
                Ok((_, report)) => {
                    let kept = ends.iter().rposition(|end| *end <= place).unwrap() as u64;
                    assert!(place >= ends[1], "byte {offset} mask {mask:02x}: damage was cut");
                    assert_eq!(report.last_sequence, 3 * kept, "byte {offset} mask {mask:02x}");
                    let cut = report.cut.unwrap_or_else(|| panic!("byte {offset}: nothing reported"));
                    assert_eq!((cut.file, cut.offset), (first_segment(), ends[kept as usize]));
                    assert!(cut.bytes > 0);
                    assert_eq!(read_all(&damaged).unwrap(), 3 * kept);
                }
            }
        }
    }
}

#[test]
fn every_cut_length_leaves_a_prefix_of_whole_records() {
    let (storage, ends) = three_frames();
    for length in 0..=ends[3] + 16 {
        let cut = storage.copy();
        cut.open(&first_segment(), true).unwrap().truncate(length).unwrap();
        let (mut writer, report) = open_commands(&cut, &small()).unwrap();
        let kept = ends.iter().rposition(|end| *end <= length).unwrap_or(0) as u64;
        assert_eq!(report.last_sequence, 3 * kept, "length {length}");
        let inside = !ends.contains(&length) && length < ends[3];
        assert_eq!(report.cut.is_some(), inside, "length {length}: {report:?}");
        let next = writer.last_sequence() + 1;
        writer.write_batch(&batch(next..=next + 3), 0).unwrap();
        assert_eq!(read_all(&cut).unwrap(), next + 3, "length {length}");
    }
}

/// Many segments, each synced before the next.
fn many_segments() -> (SimulatedStorage, Vec<u64>) {
    let storage = SimulatedStorage::new();
    let (mut writer, _) = open_commands(&storage, &small()).unwrap();
    while writer.last_sequence() < 5000 {
        let first = writer.last_sequence() + 1;
        writer.write_batch(&batch(first..=first + 49), 0).unwrap();
    }
    let firsts = crate::frame::list_segments(&storage, Path::new(FOLDER)).unwrap();
    assert!(firsts.len() >= 5);
    (storage, firsts)
}

#[test]
fn a_missing_segment_is_refused_by_name() {
    let (storage, firsts) = many_segments();
    for index in 1..firsts.len() - 1 {
        let damaged = storage.copy();
        damaged.remove(&segment_path(Path::new(FOLDER), firsts[index])).unwrap();
        let error = open_commands(&damaged, &small()).err().expect("a segment is missing");
        let JournalError::MissingSegment { expected, found, .. } = &error else { panic!("{error}") };
        assert_eq!(*expected, firsts[index]);
        assert!(found.contains(&firsts[index + 1].to_string()), "{error}");
        assert!(read_all(&damaged).is_err());
    }
}

/// The segment behind the missing one may have no frame yet: its header has to be proof enough.
#[test]
fn a_segment_missing_before_an_empty_one_is_refused() {
    let (storage, firsts) = many_segments();
    let last = segment_path(Path::new(FOLDER), firsts[firsts.len() - 1]);
    let file = storage.open(&last, true).unwrap();
    file.truncate(SEGMENT_HEADER_LENGTH as u64).unwrap();
    file.allocate(64 << 10).unwrap();
    assert_eq!(read_all(&storage).unwrap(), firsts[firsts.len() - 1] - 1);
    storage.remove(&segment_path(Path::new(FOLDER), firsts[firsts.len() - 2])).unwrap();
    assert!(matches!(open_commands(&storage, &small()), Err(JournalError::MissingSegment { .. })));
}

#[test]
fn a_repeated_segment_is_refused() {
    let (storage, firsts) = many_segments();
    let (from, to) = (segment_path(Path::new(FOLDER), firsts[1]), segment_path(Path::new(FOLDER), firsts[2]));
    storage.remove(&to).unwrap();
    storage.rename(&from, &to).unwrap();
    assert!(matches!(open_commands(&storage, &small()), Err(JournalError::OutOfSequence { .. })));
}

#[test]
fn damage_in_an_early_segment_is_refused_with_file_and_offset() {
    let (storage, firsts) = many_segments();
    for (offset, problem) in
        [(100, Problem::SegmentHeader), (4100, Problem::FrameHeader), (4200, Problem::Record)]
    {
        let damaged = storage.copy();
        let path = segment_path(Path::new(FOLDER), firsts[1]);
        damaged.flip(&path, offset, 4);
        let error = open_commands(&damaged, &small()).err().expect("damage");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        let JournalError::Damaged { offset: at, problem: found, sequence, .. } = error else { panic!() };
        assert_eq!((found, sequence), (problem, firsts[1]));
        assert_eq!(at, if offset == 100 { 0 } else { 4096 });
        let shared: crate::SharedStorage = Arc::new(damaged);
        assert!(matches!(
            verify_with(Path::new(FOLDER), &shared, Known::default(), &mut |_| {}),
            Err(JournalError::Damaged { .. })
        ));
    }
}

#[test]
fn a_segment_whose_creation_was_interrupted_is_removed_and_reported() {
    for length in [0, 1, 4095, 4096, 64 << 10] {
        let (storage, _) = many_segments();
        let last = read_all(&storage).unwrap();
        let path = segment_path(Path::new(FOLDER), last + 1);
        storage.create(&path).unwrap().allocate(length).unwrap();
        let (mut writer, report) = open_commands(&storage, &small()).unwrap();
        assert_eq!(report.cut.expect("reported").segments_removed, vec![path], "length {length}");
        writer.write_batch(&batch(last + 1..=last + 500), 0).unwrap();
        assert_eq!(read_all(&storage).unwrap(), last + 500);
    }
}

/// A frame hidden in a record's body, claiming that everything was synced, must not turn a torn tail into damage.
#[test]
fn a_frame_forged_in_a_body_is_no_proof() {
    let (storage, ends) = three_frames();
    let (mut writer, _) = open_commands(&storage, &small()).unwrap();
    let mut forged = crate::FrameHeader {
        magic: crate::FRAME_MAGIC,
        first_sequence: 1000,
        durable_sequence: 999,
        ..crate::FrameHeader::default()
    };
    forged.seal(0);
    let mut bytes = record(10, 1, 0, 64);
    bytes[HEADER_LENGTH..].copy_from_slice(forged.as_bytes());
    writer.write_batch(&bytes, 0).unwrap();
    storage.flip(&first_segment(), ends[3] as usize + 8, 1);
    let (_, report) = open_commands(&storage, &small()).unwrap();
    assert_eq!(report.last_sequence, 9);
}
