use super::*;
use tempfile::TempDir;

fn open(directory: &TempDir, names: &[&str]) -> Result<Store, StoreError> {
    Store::open(&directory.path().join("sessions"), 1, names, 1000, 1 << 30)
}

fn file(directory: &TempDir) -> PathBuf {
    directory.path().join("sessions")
}

fn read(store: &Store, session: usize, from: u64) -> Option<(u64, Vec<u8>)> {
    let mut message = Vec::new();
    store.read_from(session, from, &mut message).unwrap().map(|sequence| (sequence, message))
}

fn filled(directory: &TempDir) -> Store {
    let mut store = open(directory, &["A", "B"]).unwrap();
    store.next_out_is(0, 2);
    store.application(0, 2, b"two");
    store.application(1, 1, b"one of B");
    store.next_in_is(0, 7);
    store.commit(41, false).unwrap();
    store
}

#[test]
fn committed_state_is_there_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = filled(&directory);
    store.application(0, 3, b"nobody has seen this");
    assert_eq!(read(&store, 0, 3), Some((3, b"nobody has seen this".to_vec())));
    drop(store);
    let store = open(&directory, &["A", "B"]).unwrap();
    assert_eq!((store.next_out(0), store.next_in(0), store.next_out(1), store.next_in(1)), (3, 7, 2, 1));
    assert_eq!(store.applied(), 41);
    assert_eq!(read(&store, 0, 1), Some((2, b"two".to_vec())));
    assert_eq!(read(&store, 0, 3), None);
    assert_eq!(read(&store, 1, 0), Some((1, b"one of B".to_vec())));
}

#[test]
fn a_batch_that_was_cut_anywhere_is_undone_as_a_whole() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = filled(&directory);
    let whole = std::fs::metadata(file(&directory)).unwrap().len();
    store.application(0, 3, b"three");
    store.application(1, 2, b"two of B");
    store.commit(42, false).unwrap();
    drop(store);
    let bytes = std::fs::read(file(&directory)).unwrap();
    for length in whole as usize..bytes.len() {
        std::fs::write(file(&directory), &bytes[..length]).unwrap();
        let store = open(&directory, &["A", "B"]).unwrap();
        assert_eq!((store.applied(), store.next_out(0), store.next_out(1)), (41, 3, 2), "cut at {length}");
        assert_eq!(store.cut_bytes(), length as u64 - whole);
    }
}

#[test]
fn damage_in_front_of_a_commit_is_refused_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    drop(filled(&directory));
    let good = std::fs::read(file(&directory)).unwrap();
    for at in FILE_HEADER..good.len() - ENTRY_HEADER {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        std::fs::write(file(&directory), &bad).unwrap();
        match open(&directory, &["A", "B"]) {
            Err(StoreError::Damaged { offset, .. }) => assert!(offset <= at as u64),
            Err(other) => panic!("byte {at}: {other}"),
            Ok(_) => panic!("byte {at} was changed and not noticed"),
        }
    }
}

#[test]
fn other_files_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(file(&directory), b"something else entirely").unwrap();
    assert!(matches!(open(&directory, &["A"]), Err(StoreError::NotAStore { .. })));
    std::fs::write(file(&directory), file_header(2)).unwrap();
    assert!(matches!(open(&directory, &["A"]), Err(StoreError::NotAStore { .. })));
}

#[test]
fn sessions_are_found_by_name_when_the_configuration_changes() {
    let directory = tempfile::tempdir().unwrap();
    drop(filled(&directory));
    let mut store = open(&directory, &["NEW", "B"]).unwrap();
    assert_eq!((store.next_out(0), store.next_out(1)), (1, 2));
    assert_eq!(read(&store, 1, 0), Some((1, b"one of B".to_vec())));
    store.application(0, 1, b"new");
    store.commit(50, false).unwrap();
    drop(store);
    let store = open(&directory, &["A", "B", "NEW"]).unwrap();
    assert_eq!((store.next_out(0), store.next_in(0), store.next_out(2)), (3, 7, 2));
    assert_eq!(read(&store, 0, 0), Some((2, b"two".to_vec())));
    assert_eq!(read(&store, 2, 0), Some((1, b"new".to_vec())));
    assert_eq!(store.applied(), 50);
}

#[test]
fn reset_forgets_and_rewriting_keeps_what_is_needed() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory);
    let mut store = Store::open(&path, 1, &["A", "B"], 10, 20_000).unwrap();
    store.application(1, 1, b"kept");
    for round in 0..2_000u64 {
        store.reset(0);
        store.application(0, 1, format!("message {round}").as_bytes());
        store.next_in_is(0, round + 2);
        store.commit(round, false).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() < 21_000, "the file must not grow");
    }
    drop(store);
    let store = Store::open(&path, 1, &["A", "B"], 10, 20_000).unwrap();
    assert_eq!((store.next_out(0), store.next_in(0), store.applied()), (2, 2_001, 1_999));
    assert_eq!(read(&store, 0, 0), Some((1, b"message 1999".to_vec())));
    assert_eq!(read(&store, 1, 0), Some((1, b"kept".to_vec())));
}

#[test]
fn only_the_newest_messages_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(&file(&directory), 1, &["A"], 3, 1 << 30).unwrap();
    (1..=5).for_each(|sequence| store.application(0, sequence, format!("{sequence}").as_bytes()));
    store.commit(1, false).unwrap();
    assert_eq!(read(&store, 0, 1), Some((3, b"3".to_vec())));
}

#[test]
fn version_and_schedule_survive_opening_moving_and_rewriting() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = filled(&directory);
    assert_eq!((store.version(1), store.began_ns(1)), (None, 0));
    store.version_is(1, Version::Fix42);
    store.began_is(1, 77);
    store.reset(1);
    store.commit(42, false).unwrap();
    drop(store);
    let store = open(&directory, &["NEW", "B"]).unwrap();
    assert_eq!((store.version(1), store.began_ns(1), store.next_out(1)), (Some(Version::Fix42), 77, 1));
    assert_eq!(store.version(0), None);
    drop(store);
    let mut store = Store::open(&file(&directory), 1, &["B"], 10, 1_000).unwrap();
    for round in 0..200 {
        store.reset(0);
        store.commit(43 + round, false).unwrap();
    }
    drop(store);
    let store = open(&directory, &["B"]).unwrap();
    assert_eq!((store.version(0), store.began_ns(0)), (Some(Version::Fix42), 77));
}
