//! Followers over mapped segments, beside a live writer on a real disk.

use super::*;
use crate::{DiskStorage, MappedStorage, archive};

/// Reads on from where the reader is; every record must be the one written. Returns the last sequence.
fn follow(reader: &mut StreamReader, mut last: u64) -> u64 {
    while let Some(record) = reader.next().unwrap() {
        last += 1;
        assert_eq!(record.header().sequence, last);
        assert!(is_same(record, &command(last)), "record {last} is another than was written");
    }
    last
}

#[test]
fn a_mapped_follower_sees_each_record_as_soon_as_it_is_written_over_many_segments() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("commands");
    let (mut writer, _) =
        StreamWriter::open(&path, &commands_identity(), &small(), Arc::new(DiskStorage)).unwrap();
    let mut reader = StreamReader::open_mapped(&path).unwrap();
    let mut seen = 0;
    while seen < 5_000 {
        let first = seen + 1;
        writer.write_batch(&batch(first..=first + first % 37), 0).unwrap();
        seen = follow(&mut reader, seen);
        assert_eq!(seen, first + first % 37);
    }
    reader.seek(2_000).unwrap();
    assert_eq!(follow(&mut reader, 1_999), seen);
}

/// A crash and a start cut the tail under a follower and reserve the segment again: it goes on, or says what it met.
#[test]
fn a_follower_survives_a_segment_that_is_cut_and_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("commands");
    let open = || StreamWriter::open(&path, &commands_identity(), &small(), Arc::new(DiskStorage)).unwrap();
    let (mut writer, _) = open();
    writer.write_batch(&batch(1..=100), 0).unwrap();
    let mut reader = StreamReader::open_mapped(&path).unwrap();
    assert_eq!(follow(&mut reader, 0), 100);
    let end = writer.offset;
    drop(writer);
    // Half a frame, as a kill leaves it.
    let file = std::fs::File::options().write(true).open(crate::format::segment_path(&path, 1)).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"FRM1 and no more", end).unwrap();
    assert!(reader.next().unwrap().is_none());
    let (mut writer, report) = open();
    assert!(report.cut.is_some_and(|cut| (cut.sequence, cut.last_seen) == (101, 0)));
    writer.write_batch(&batch(101..=150), 0).unwrap();
    assert_eq!(follow(&mut reader, 100), 150);
}

#[test]
fn archived_segments_are_read_through_a_mapping_too() {
    let folder = tempfile::tempdir().unwrap();
    let data = crate::DataFolder::with_storage(folder.path(), Arc::new(DiskStorage));
    let (mut writer, _) =
        StreamWriter::open(&data.commands(), &commands_identity(), &small(), Arc::new(DiskStorage)).unwrap();
    let (_events, _) =
        StreamWriter::open(&data.events(), &events_identity(), &small(), Arc::new(DiskStorage)).unwrap();
    for first in (1..5_000).step_by(50) {
        writer.write_batch(&batch(first..=first + 49), 0).unwrap();
    }
    assert!(archive(&data, 5_000, 2, &mut |_| {}).unwrap().segments > 2);
    let mut reader = StreamReader::open_with(&data.commands(), Arc::new(MappedStorage)).unwrap();
    assert_eq!(follow(&mut reader, 0), 5_000);
}
