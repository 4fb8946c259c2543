//! Archived segments are read like any other, by everything.

use super::*;
use crate::archive::{archive_path, is_archived};
use crate::format::segment_path;
use crate::frame::list_segments;
use crate::simulated::{Fault, Random};
use crate::storage::{Storage, read_full};
use crate::verify::verify_folder;
use crate::{DataFolder, archive, recover};

fn folder(storage: &SimulatedStorage) -> DataFolder {
    DataFolder::with_storage(Path::new("/data"), Arc::new(storage.clone()))
}

fn start(storage: &SimulatedStorage) -> crate::Recovered {
    let options = (&small(), &StreamOptions { sync_on_roll: false, ..small() });
    let mut machine = Counter::default();
    recover(&folder(storage), &mut machine, b"limits", options, &mut |_| {}, &mut |_| {}).unwrap()
}

/// Several segments of commands and their events.
fn journal() -> (SimulatedStorage, u64) {
    let storage = SimulatedStorage::new();
    let mut recovered = start(&storage);
    for first in (1..4000).step_by(40) {
        recovered.commands.write_batch(&batch(first..=first + 39), 0).unwrap();
    }
    recovered.commands.sync().unwrap();
    drop(recovered);
    let hash = start(&storage).state_hash;
    (storage, hash)
}

fn read(storage: &SimulatedStorage, path: &Path) -> Vec<u8> {
    let file = storage.open(path, false).unwrap();
    let mut bytes = vec![0; file.length().unwrap() as usize];
    read_full(&*file, &mut bytes, 0).unwrap();
    bytes
}

#[test]
fn archived_segments_are_read_sought_verified_and_recovered() {
    let (storage, hash) = journal();
    let before = verify_folder(&folder(&storage), &[], &mut |_| {}).unwrap();
    let report = archive(&folder(&storage), u64::MAX, 0, &mut |_| {}).unwrap();
    assert!(report.segments > 6 && report.bytes_after < report.bytes_before / 2, "{report:?}");
    let firsts = list_segments(&storage, Path::new(FOLDER)).unwrap();
    let (gone, kept) = firsts.split_at(firsts.len() - 2);
    assert!(gone.iter().all(|first| is_archived(&storage, Path::new(FOLDER), *first)));
    assert!(kept.iter().all(|first| !is_archived(&storage, Path::new(FOLDER), *first)));
    assert_eq!(read_all(&storage).unwrap(), 4000);
    let mut reader = StreamReader::open_with(Path::new(FOLDER), Arc::new(storage.clone())).unwrap();
    for sequence in [1, 4000, 900, gone[1], gone[1] - 1, kept[0] - 1, kept[0]] {
        reader.seek(sequence).unwrap();
        assert!(is_same(reader.next().unwrap().unwrap(), &command(sequence)), "{sequence}");
    }
    let after = verify_folder(&folder(&storage), &[], &mut |_| {}).unwrap();
    assert_eq!(after.commands.unwrap().chain, before.commands.unwrap().chain);
    assert_eq!(after.events.unwrap().chain, before.events.unwrap().chain);
    // The writer goes on, and what it adds can be archived too.
    let mut recovered = start(&storage);
    assert_eq!((recovered.last_sequence, recovered.state_hash), (4000, hash));
    recovered.commands.write_batch(&batch(4001..=6000), 4000).unwrap();
    let again = archive(&folder(&storage), u64::MAX, 3, &mut |_| {}).unwrap();
    assert!(again.segments > 0);
    recovered.commands.sync().unwrap();
    recovered.events.truncate_after(4000).unwrap();
    assert_eq!(read_all(&storage).unwrap(), 6000);
}

/// Any zstd gives the segment back, byte for byte.
#[test]
fn an_archive_is_a_plain_zstd_file_too() {
    let (storage, _) = journal();
    let path = segment_path(Path::new(FOLDER), 1);
    let original = read(&storage, &path);
    archive(&folder(&storage), u64::MAX, 0, &mut |_| {}).unwrap();
    let compressed = read(&storage, &archive_path(Path::new(FOLDER), 1));
    assert!(zstd::stream::decode_all(compressed.as_slice()).unwrap() == original);
}

#[test]
fn every_flipped_byte_of_an_archive_is_refused_or_harmless() {
    let (storage, _) = journal();
    archive(&folder(&storage), u64::MAX, 0, &mut |_| {}).unwrap();
    let path = archive_path(Path::new(FOLDER), 1);
    let length = read(&storage, &path).len();
    for offset in
        (0..length).filter(|offset| *offset < 64 || offset.is_multiple_of(97) || offset + 64 > length)
    {
        let damaged = storage.copy();
        damaged.flip(&path, offset, 1 << (offset % 8));
        if let Ok(last) = read_all(&damaged) {
            assert_eq!(last, 4000, "byte {offset}");
        }
    }
}

#[test]
fn power_may_fail_at_any_operation_of_archiving() {
    let (whole, hash) = journal();
    let before = whole.operations();
    archive(&folder(&whole), u64::MAX, 0, &mut |_| {}).unwrap();
    let operations = whole.operations() - before;
    assert!(operations > 40);
    let (journal, _) = journal();
    for at in 0..operations {
        let storage = journal.copy();
        storage.fail_after(at, Fault::PowerLoss);
        assert!(archive(&folder(&storage), u64::MAX, 0, &mut |_| {}).is_err());
        storage.power_loss(&mut Random(at));
        let recovered = start(&storage);
        assert_eq!((recovered.last_sequence, recovered.state_hash), (4000, hash), "operation {at}");
        drop(recovered);
        archive(&folder(&storage), u64::MAX, 0, &mut |_| {}).unwrap();
        assert_eq!(read_all(&storage).unwrap(), 4000, "operation {at}");
    }
}
