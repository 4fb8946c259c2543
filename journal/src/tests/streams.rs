//! Writing and reading: rolling over, following, seeking, truncating.

use super::*;
use crate::scan::Known;
use crate::storage::Storage;
use crate::verify::verify_with;

fn reader(storage: &SimulatedStorage) -> StreamReader {
    StreamReader::open_with(Path::new(FOLDER), Arc::new(storage.clone())).unwrap()
}

#[test]
fn a_follower_sees_every_record_once_over_many_segments() {
    for alignment in [8, 512, 4096] {
        let storage = SimulatedStorage::new();
        let options = StreamOptions { frame_alignment: alignment, ..small() };
        let (mut writer, _) = open_commands(&storage, &options).unwrap();
        let mut follower = reader(&storage);
        assert!(follower.next().unwrap().is_none());
        let (mut seen, mut next) = (0, 1);
        for step in 0..200 {
            let last = next + step % 37;
            writer.write_batch(&batch(next..=last), 0).unwrap();
            next = last + 1;
            // Sometimes it falls behind by several segments.
            if step % 50 < 25 {
                while let Some(record) = follower.next().unwrap() {
                    seen += 1;
                    assert!(is_same(record, &command(seen)));
                }
                assert_eq!(seen, last);
            }
        }
        let shared: crate::SharedStorage = Arc::new(storage.clone());
        let report = verify_with(Path::new(FOLDER), &shared, Known::default(), &mut |_| {}).unwrap();
        assert!(report.segments > 2 && report.torn_tail.is_none());
        assert_eq!((report.records, report.last_sequence), (next - 1, next - 1));
    }
}

#[test]
fn a_frame_that_is_half_written_is_not_yet_there() {
    let storage = SimulatedStorage::new();
    let (mut writer, _) = open_commands(&storage, &small()).unwrap();
    writer.write_batch(&batch(1..=3), 0).unwrap();
    let start = writer.offset as usize;
    writer.write_batch(&batch(4..=6), 3).unwrap();
    let end = writer.offset as usize;
    let mut bytes = vec![0; 64 << 10];
    let path = Path::new(FOLDER).join("00000000000000000001.seg");
    let file = storage.open(&path, true).unwrap();
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
    for written in start..end {
        file.write_at(&vec![0; end - start], start as u64).unwrap();
        file.write_at(&bytes[start..written], start as u64).unwrap();
        let mut follower = reader(&storage);
        let mut seen = 0;
        while follower.next().unwrap().is_some() {
            seen += 1;
        }
        // The last bytes of the frame are padding, which is zero anyway.
        let whole = bytes[written..end].iter().all(|byte| *byte == 0);
        assert_eq!(seen, if whole { 6 } else { 3 }, "{written} of {end}");
        follower.check_end().unwrap();
        file.write_at(&bytes[start..end], start as u64).unwrap();
        while let Some(record) = follower.next().unwrap() {
            seen += 1;
            assert!(is_same(record, &command(seen)));
        }
        assert_eq!(seen, 6);
    }
}

#[test]
fn a_reader_seeks_to_any_sequence() {
    let storage = SimulatedStorage::new();
    let (mut writer, _) = open_commands(&storage, &small()).unwrap();
    for first in (1..3000).step_by(20) {
        writer.write_batch(&batch(first..=first + 19), 0).unwrap();
    }
    let mut reader = reader(&storage);
    for sequence in [1, 2, 2999, 3000, 700, 701, 1] {
        reader.seek(sequence).unwrap();
        for expected in sequence..=3000.min(sequence + 900) {
            assert!(is_same(reader.next().unwrap().unwrap(), &command(expected)), "seek {sequence}");
        }
    }
    reader.seek(3001).unwrap();
    assert!(reader.next().unwrap().is_none());
}

#[test]
fn a_batch_longer_than_a_frame_is_split() {
    let storage = SimulatedStorage::new();
    let (mut writer, _) = open_commands(&storage, &small()).unwrap();
    writer.write_batch(&batch(1..=4000), 0).unwrap();
    assert_eq!(writer.sync().unwrap(), 4000);
    assert_eq!(read_all(&storage).unwrap(), 4000);
}

fn events_of(sequence: u64) -> Vec<u8> {
    let count = sequence % 4 + 1;
    let event = |index| record(sequence, 40_000, u8::from(index + 1 == count), 8);
    (0..count).flat_map(event).collect()
}

fn open_events(storage: &SimulatedStorage) -> (StreamWriter, crate::RecoveryReport) {
    let options = StreamOptions { sync_on_roll: false, ..small() };
    StreamWriter::open(Path::new(FOLDER), &events_identity(), &options, Arc::new(storage.clone())).unwrap()
}

fn count_to(storage: &SimulatedStorage) -> (u64, bool) {
    let mut reader = reader(storage);
    let mut last = (0, true);
    while let Some(record) = reader.next().unwrap() {
        last = (record.header().sequence, record.is_last_event());
    }
    reader.check_end().unwrap();
    last
}

#[test]
fn events_are_truncated_after_any_command_and_go_on_from_there() {
    let storage = SimulatedStorage::new();
    let (mut writer, _) = open_events(&storage);
    let all: Vec<u8> = (1..=2500).flat_map(events_of).collect();
    // Batches end in the middle of commands and of frames.
    for part in all.chunks(40 * 97) {
        writer.write_batch(part, 0).unwrap();
    }
    writer.sync().unwrap();
    for keep in [2500, 2499, 2498, 1700, 1699, 801, 800, 97, 2, 1, 0] {
        let copy = storage.copy();
        let (mut writer, _) = open_events(&copy);
        writer.truncate_after(keep).unwrap();
        assert_eq!((writer.last_sequence(), count_to(&copy)), (keep, (keep, true)));
        writer.write_batch(&events_of(keep + 1), 0).unwrap();
        drop(writer);
        let (_, report) = open_events(&copy);
        assert_eq!((report.last_sequence, report.cut), (keep + 1, None));
    }
}

#[test]
fn an_incomplete_command_is_cut_back_to_the_last_whole_one() {
    for missing in 1..=3 {
        let storage = SimulatedStorage::new();
        let (mut writer, _) = open_events(&storage);
        let mut events: Vec<u8> = (1..=7).flat_map(events_of).collect();
        events.truncate(events.len() - 40 * missing);
        writer.write_batch(&events, 0).unwrap();
        drop(writer);
        let (mut writer, report) = open_events(&storage);
        assert_eq!(report.last_sequence, 6);
        assert_eq!(report.cut.unwrap().problem, crate::Problem::IncompleteCommand);
        writer.write_batch(&events_of(7), 0).unwrap();
        assert_eq!(count_to(&storage), (7, true));
    }
}
