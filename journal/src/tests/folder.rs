//! The data folder: whose it is, and that only one process has it.

use super::*;
use crate::{DataFolder, DiskStorage, LOCK_FILE, Mark};
use std::fs;

#[test]
fn a_second_owner_is_refused_with_folder_and_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let first = DataFolder::create(&path).unwrap();
    let error = DataFolder::open(&path).err().expect("locked");
    assert!(matches!(error, JournalError::Locked { .. }));
    let text = error.to_string();
    assert!(
        text.contains(&path.display().to_string()) && text.contains(&std::process::id().to_string()),
        "{text}"
    );
    DataFolder::inspect(&path).unwrap();
    drop(first);
    DataFolder::open(&path).unwrap();
}

#[test]
fn a_foreign_folder_is_refused_by_name_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("holiday.jpg"), b"x").unwrap();
    let text = DataFolder::create(dir.path()).err().expect("foreign").to_string();
    assert!(text.contains("holiday.jpg") && text.contains(&dir.path().display().to_string()), "{text}");
    // Whoever wants to read a journal there is told that there is none.
    for result in [DataFolder::open(dir.path()), DataFolder::inspect(dir.path())] {
        assert!(matches!(result, Err(JournalError::NotFound { .. })));
    }
    assert!(!dir.path().join(LOCK_FILE).exists());
}

#[test]
fn what_is_not_there_or_not_a_folder_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().join("missing"), dir.path().to_path_buf()] {
        assert!(matches!(DataFolder::open(&path), Err(JournalError::NotFound { .. })));
    }
    let file = dir.path().join("file");
    fs::write(&file, b"x").unwrap();
    assert!(matches!(DataFolder::create(&file), Err(JournalError::Io { .. })));
    assert!(matches!(StreamReader::open(dir.path()), Err(JournalError::NotFound { .. })));
}

#[test]
fn a_journal_of_another_machine_stream_or_version_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let open = |identity: &StreamIdentity| {
        StreamWriter::open(dir.path(), identity, &small(), Arc::new(DiskStorage)).map(|_| ())
    };
    open(&commands_identity()).unwrap();
    assert_eq!(crate::stream_identity(dir.path()).unwrap(), commands_identity());
    let other = StreamIdentity::new(StreamKind::Commands, "exchange", b"limits");
    let text = open(&other).unwrap_err().to_string();
    assert!(text.contains("'counter'") && text.contains("'exchange'"), "{text}");
    let parameters = StreamIdentity::new(StreamKind::Commands, "counter", b"wider");
    assert!(open(&parameters).unwrap_err().to_string().contains("parameters"));
    assert!(open(&events_identity()).unwrap_err().to_string().contains("Events"));
    let path = dir.path().join("00000000000000000001.seg");
    let mut bytes = fs::read(&path).unwrap();
    bytes[12] = 9;
    let checksum = crc32c::crc32c(&bytes[12..4096]);
    bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let text = open(&commands_identity()).unwrap_err().to_string();
    assert!(text.contains("format 9") && text.contains("reads 2"), "{text}");
}

#[test]
fn marks_are_appended_and_a_torn_last_line_is_overwritten() {
    let storage = SimulatedStorage::new();
    let folder = DataFolder::with_storage(Path::new("/data"), Arc::new(storage.clone()));
    assert_eq!(folder.marks().unwrap(), []);
    let one = Mark { sequence: 7, state_hash: 0xABC, chain: None };
    folder.append_mark(one).unwrap();
    let file = crate::Storage::open(&storage, Path::new("/data/marks"), true).unwrap();
    file.write_at(b"9 00", 19).unwrap();
    assert_eq!(folder.marks().unwrap(), [one]);
    let two = Mark { sequence: 9, state_hash: u64::MAX, chain: None };
    folder.append_mark(two).unwrap();
    assert_eq!(folder.marks().unwrap(), [one, two]);
    file.write_at(b"x", 0).unwrap();
    assert!(matches!(folder.marks(), Err(JournalError::BadMark { line: 1, .. })));
}
