//! Files of each format version, kept as they were written: this version's must come out again to the byte, and older ones
//! are read, or refused by name. The reader in `journal/python` reads the same files.

use super::*;
use crate::storage::{Storage, read_full};
use crate::{DataFolder, ReplayOptions, recover, replay};
use std::path::PathBuf;

/// Set, it makes the golden test write this version's files instead of comparing them.
const WRITE_VARIABLE: &str = "JOURNAL_WRITE_GOLDEN";
const NAME: &str = "00000000000000000001.seg";

fn testdata(version: u16) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(format!("v{version}"))
}

/// Commands of every length class in several frames, with their events.
fn written() -> SimulatedStorage {
    let storage = SimulatedStorage::new();
    let folder = DataFolder::with_storage(Path::new("/data"), Arc::new(storage.clone()));
    for last in [3, 4, 11, 60] {
        let mut machine = Counter::default();
        let options = (&small(), &small());
        let mut recovered =
            recover(&folder, &mut machine, b"limits", options, &mut |_| {}, &mut |_| {}).unwrap();
        let next = recovered.last_sequence + 1;
        recovered.commands.write_batch(&batch(next..=last), next - 1).unwrap();
    }
    let options = (&small(), &small());
    recover(&folder, &mut Counter::default(), b"limits", options, &mut |_| {}, &mut |_| {}).unwrap();
    storage
}

#[test]
fn this_version_writes_the_same_bytes_as_ever() {
    let storage = written();
    for stream in ["commands", "events"] {
        let path = Path::new("/data").join(stream).join(NAME);
        let mut bytes = vec![0; 64 << 10];
        read_full(&*storage.open(&path, false).unwrap(), &mut bytes, 0).unwrap();
        let file = testdata(crate::FORMAT_VERSION).join(stream).join(NAME);
        if std::env::var_os(WRITE_VARIABLE).is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &bytes).unwrap();
        }
        let golden = std::fs::read(&file).unwrap();
        let differs = golden.iter().zip(&bytes).position(|(golden, now)| golden != now);
        assert!(golden.len() == bytes.len() && differs.is_none(), "{stream} differs at byte {differs:?}");
    }
}

#[test]
fn the_kept_files_of_this_version_are_read_and_replayed() {
    let options = ReplayOptions { parameters: b"limits".to_vec(), ..ReplayOptions::default() };
    let mut machine = Counter::default();
    let report = replay(&testdata(crate::FORMAT_VERSION), &mut machine, &options, &mut |_| {}).unwrap();
    assert!(report.is_good() && report.events_missing_from.is_none());
    assert_eq!((report.commands, report.events, report.last_timestamp_ns), (60, 150, 60_000));
    let report = crate::verify(&testdata(crate::FORMAT_VERSION), &[], &mut |_| {}).unwrap();
    assert!(report.is_good());
}

#[test]
fn version_1_is_refused_by_name_and_left_alone() {
    let file = testdata(1).join("commands").join(NAME);
    let before = std::fs::read(&file).unwrap();
    let text = StreamReader::open(&testdata(1).join("commands")).err().expect("refused").to_string();
    assert!(text.contains("format 1") && text.contains("reads 2") && text.contains(NAME), "{text}");
    let report = crate::verify(&testdata(1), &[], &mut |_| {}).unwrap();
    assert!(matches!(report.commands, Err(JournalError::WrongVersion { found: 1, supported: 2, .. })));
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(&file, dir.path().join(NAME)).unwrap();
    let opened = StreamWriter::open(dir.path(), &commands_identity(), &small(), Arc::new(crate::DiskStorage));
    assert!(matches!(opened, Err(JournalError::WrongVersion { found: 1, .. })));
    assert!(std::fs::read(dir.path().join(NAME)).unwrap() == before);
}

/// Two segments of commands; the first is archived by hand, so that it stays as the program of its day wrote it.
#[test]
fn the_kept_archive_of_this_version_is_read() {
    let folder = testdata(crate::FORMAT_VERSION).join("archived");
    if std::env::var_os(WRITE_VARIABLE).is_some() {
        write_archive(&folder);
    }
    let commands = folder.join("commands");
    let mut reader = StreamReader::open(&commands).unwrap();
    let mut last = 0;
    while let Some(record) = reader.next().unwrap() {
        last += 1;
        assert!(is_same(record, &command(last)), "record {last}");
        if last == 1 {
            assert!(reader.position().0.ends_with("00000000000000000001.seg.zst"));
        }
    }
    assert_eq!((last, reader.end().unwrap()), (900, None));
    assert_eq!(crate::verify_stream(&commands).unwrap().last_sequence, 900);
}

fn write_archive(folder: &Path) {
    let work = tempfile::tempdir().unwrap();
    let data = DataFolder::with_storage(work.path(), Arc::new(crate::DiskStorage));
    let open =
        |path: &Path, identity| StreamWriter::open(path, &identity, &small(), Arc::new(crate::DiskStorage));
    let (mut writer, _) = open(&data.commands(), commands_identity()).unwrap();
    let (_events, _) = open(&data.events(), events_identity()).unwrap();
    for first in (1..2_000).step_by(50) {
        writer.write_batch(&batch(first..=first + 49), 0).unwrap();
        if first == 851 {
            std::fs::create_dir_all(folder.join("commands")).unwrap();
            let name = crate::format::segment_path(Path::new(""), writer.segment.header.first_sequence);
            std::fs::copy(&writer.segment.path, folder.join("commands").join(name)).unwrap();
        }
    }
    crate::archive(&data, 2_000, 2, &mut |_| {}).unwrap();
    let archived = format!("{NAME}.zst");
    std::fs::copy(data.commands().join(&archived), folder.join("commands").join(archived)).unwrap();
}
