use super::*;
use crate::rebuild::{Origin, Outcome, Resent, Wanted, Work};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

pub(super) const LIMITS: StoreLimits =
    StoreLimits { messages: 1000, kept_bytes: 1 << 20, file_bytes: 1 << 30, recent_bytes: 0, free_bytes: 0 };

/// Gives back what is asked of it, with the number as the body.
#[derive(Clone, Default)]
struct Echo {
    asked: Arc<Mutex<Vec<Wanted>>>,
    ready: Arc<Mutex<Vec<Outcome>>>,
}

impl Rebuilder for Echo {
    fn submit(&mut self, work: Work) {
        let Work::Resend(resend) = work else { panic!("no replay was asked for") };
        let body = |number: u64| Some((b"8".as_slice(), number.to_string().into_bytes()));
        let messages =
            resend.wanted.iter().map(|it| Resent { number: it.number, sent: it.sent, body: body(it.number) });
        let messages = messages.collect();
        let (ticket, session) = (resend.ticket, resend.session);
        self.ready.lock().unwrap().push(Outcome::Resent { ticket, session, messages });
        self.asked.lock().unwrap().extend(resend.wanted);
    }

    fn poll(&mut self) -> Option<Outcome> {
        self.ready.lock().unwrap().pop()
    }

    fn committed(&mut self, _: u64) {}
}

fn open(directory: &TempDir, names: &[&str]) -> Result<Store, StoreError> {
    open_with(directory, names, LIMITS)
}

pub(super) fn open_with(
    directory: &TempDir,
    names: &[&str],
    limits: StoreLimits,
) -> Result<Store, StoreError> {
    let mut store = Store::open(&file(directory), 1, names, limits)?;
    store.rebuild_with(Box::new(Echo::default()));
    Ok(store)
}

pub(super) fn file(directory: &TempDir) -> PathBuf {
    directory.path().join("sessions")
}

fn read(store: &mut Store, session: usize, from: u64) -> Option<(u64, Vec<u8>)> {
    let mut message = Vec::new();
    loop {
        match store.read_again(session, (from, u64::MAX), &mut message).unwrap() {
            Again::End => return None,
            Again::Kept(number) => return Some((number, message)),
            Again::Made(made) => return Some((made.number, made.body.unwrap().1)),
            Again::Lost(number) => panic!("{number} is lost"),
            Again::NotYet => store.poll_rebuilder(),
        }
    }
}

/// Waits until the file is rewritten, if it is being.
pub(super) fn settle(store: &mut Store) {
    while store.rewriter.is_busy() {
        store.end_rewriting().unwrap();
        std::thread::yield_now();
    }
}

pub(super) fn sent(sequence: u64) -> Sent {
    Sent {
        origin: Origin { sequence, index: 70_000, part: 1, copy: true, replayed: true },
        version: Version::Fix50Sp2,
        time_ns: 1_709_640_000_123_456_789,
        checksum: 0xFEDC_BA98,
    }
}

fn filled(directory: &TempDir) -> Store {
    let mut store = open(directory, &["A", "B"]).unwrap();
    store.next_out_is(0, 2);
    store.application(0, 2, b"two");
    store.application(1, 1, b"one of B");
    store.report(0, 3, &sent(40), None, b"bytes that are not kept");
    store.report(0, 4, &sent(41), Some(&what_was_asked()), b"nor these");
    store.next_in_is(0, 7);
    store.commit(41, false).unwrap();
    store
}

fn what_was_asked() -> Asked {
    Asked {
        original_client_order_id: protocol::ClientOrderId::from_text(b"c1").unwrap(),
        price_ticks: -5,
        quantity_lots: i64::MAX,
        side: 2,
        order_type: 2,
        time_in_force: 1,
    }
}

#[test]
fn committed_state_is_there_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = filled(&directory);
    store.application(0, 5, b"nobody has seen this");
    assert_eq!(read(&mut store, 0, 5), Some((5, b"nobody has seen this".to_vec())));
    drop(store);
    let mut store = open(&directory, &["A", "B"]).unwrap();
    assert_eq!((store.next_out(0), store.next_in(0), store.next_out(1), store.next_in(1)), (5, 7, 2, 1));
    assert_eq!(store.applied(), 41);
    assert_eq!(read(&mut store, 0, 1), Some((2, b"two".to_vec())));
    assert_eq!(read(&mut store, 0, 3), Some((3, b"3".to_vec())));
    assert_eq!(read(&mut store, 0, 5), None);
    assert_eq!(read(&mut store, 1, 0), Some((1, b"one of B".to_vec())));
}

#[test]
fn a_report_is_forty_bytes_and_says_where_it_came_from() {
    let directory = tempfile::tempdir().unwrap();
    let echo = Echo::default();
    let mut store = filled(&directory);
    store.rebuild_with(Box::new(echo.clone()));
    let before = store.pending_bytes();
    store.report(1, 2, &sent(42), None, &[b'x'; 300]);
    assert_eq!(store.pending_bytes() - before, 40);
    store.commit(42, false).unwrap();
    let all = std::fs::read(file(&directory)).unwrap();
    assert!(!all.windows(9).any(|it| it == b"not kept" || it == b"xxxxxxxxx"), "bytes of a report are kept");

    assert_eq!(read(&mut store, 0, 3), Some((3, b"3".to_vec())));
    assert_eq!(read(&mut store, 0, 4), Some((4, b"4".to_vec())));
    assert_eq!(read(&mut store, 1, 2), Some((2, b"2".to_vec())));
    let asked = echo.asked.lock().unwrap();
    let seen: Vec<_> = asked.iter().map(|it| (it.number, it.sent, format!("{:?}", it.asked))).collect();
    let expected = [(3, sent(40), None), (4, sent(41), Some(what_was_asked())), (2, sent(42), None)];
    assert_eq!(seen, expected.map(|(number, sent, asked)| (number, sent, format!("{asked:?}"))));
}

#[test]
fn the_newest_reports_are_answered_from_memory() {
    let directory = tempfile::tempdir().unwrap();
    let limits = StoreLimits { recent_bytes: 200, ..LIMITS };
    let mut store = open_with(&directory, &["A"], limits).unwrap();
    for number in 1..=20 {
        store.report(0, number, &sent(number), None, format!("report {number}").as_bytes());
        store.commit(number, false).unwrap();
    }
    assert_eq!(read(&mut store, 0, 20), Some((20, b"report 20".to_vec())));
    assert_eq!(read(&mut store, 0, 1), Some((1, b"1".to_vec())), "overwritten: made again");
    drop(store);
    let mut store = open_with(&directory, &["A"], limits).unwrap();
    assert_eq!(read(&mut store, 0, 20), Some((20, b"20".to_vec())), "made again by the next process");
}

/// A message with bytes of its own counted as lying at the beginning of the ring of reports. Where the first report there had its number,
/// before a reset, that was sent again in its place.
#[test]
fn a_report_from_before_a_reset_is_not_sent_for_a_message_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open_with(&directory, &["A"], StoreLimits { recent_bytes: 1 << 16, ..LIMITS }).unwrap();
    store.report(0, 1, &sent(40), None, b"a report");
    assert_eq!(read(&mut store, 0, 1), Some((1, b"a report".to_vec())));
    store.reset(0);
    store.application(0, 1, b"another message");
    assert_eq!(read(&mut store, 0, 1), Some((1, b"another message".to_vec())));
}

#[test]
fn without_a_journal_to_read_all_bytes_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(&file(&directory), 1, &["A"], LIMITS).unwrap();
    store.report(0, 1, &sent(1), None, b"a whole message");
    store.commit(1, false).unwrap();
    assert_eq!(read(&mut store, 0, 1), Some((1, b"a whole message".to_vec())));
    drop(filled(&directory));
    let mut store = Store::open(&file(&directory), 1, &["A"], LIMITS).unwrap();
    let lost = store.read_again(0, (3, 9), &mut Vec::new()).unwrap();
    assert!(matches!(lost, Again::Lost(3)), "a report that was kept by its event");
}

#[test]
fn a_batch_that_was_cut_anywhere_is_undone_as_a_whole() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = filled(&directory);
    let whole = std::fs::metadata(file(&directory)).unwrap().len();
    store.application(0, 5, b"five");
    store.report(1, 2, &sent(42), Some(&what_was_asked()), b"");
    store.commit(42, false).unwrap();
    drop(store);
    let bytes = std::fs::read(file(&directory)).unwrap();
    for length in whole as usize..bytes.len() {
        std::fs::write(file(&directory), &bytes[..length]).unwrap();
        let store = open(&directory, &["A", "B"]).unwrap();
        assert_eq!((store.applied(), store.next_out(0), store.next_out(1)), (41, 5, 2), "cut at {length}");
        assert_eq!(store.cut_bytes(), length as u64 - whole);
    }
}

#[test]
fn damage_in_front_of_a_commit_is_refused_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    drop(filled(&directory));
    let good = std::fs::read(file(&directory)).unwrap();
    for at in FILE_HEADER..good.len() - entry::ENTRY_HEADER {
        for bit in [1, 0x10] {
            let mut bad = good.clone();
            bad[at] ^= bit;
            std::fs::write(file(&directory), &bad).unwrap();
            match open(&directory, &["A", "B"]) {
                Err(StoreError::Damaged { offset, .. }) => assert!(offset <= at as u64),
                Err(other) => panic!("byte {at}: {other}"),
                Ok(_) => panic!("byte {at} was changed and not noticed"),
            }
        }
    }
}

#[test]
fn other_files_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(file(&directory), b"something else entirely").unwrap();
    assert!(matches!(open(&directory, &["A"]), Err(StoreError::NotAStore { .. })));
    for version in [old::OLD_FORMAT, FORMAT] {
        std::fs::write(file(&directory), file_header(version, 2)).unwrap();
        assert!(matches!(open(&directory, &["A"]), Err(StoreError::NotAStore { .. })));
    }
    std::fs::write(file(&directory), file_header(4, 1)).unwrap();
    let error = open(&directory, &["A"]).err().unwrap();
    assert!(matches!(error, StoreError::LaterFormat { found: 4, .. }), "{error}");
}

/// The file was written by the program of that time.
const FORMAT_1: &[u8] = include_bytes!("testdata/format-1");

#[test]
fn a_file_of_format_1_is_rewritten_with_all_that_it_holds() {
    let directory = tempfile::tempdir().unwrap();
    let torn = [FORMAT_1, &FORMAT_1[FILE_HEADER..FILE_HEADER + 20]].concat();
    for bytes in [FORMAT_1, &torn] {
        std::fs::write(file(&directory), bytes).unwrap();
        for round in 0..2 {
            let mut store = open(&directory, &["ALICE", "BOB"]).unwrap();
            assert_eq!(store.take_notes().len(), usize::from(round == 0), "told once");
            assert_eq!(store.applied(), 12);
            assert_eq!((store.next_out(0), store.next_in(0)), (4, 3));
            assert_eq!((store.next_out(1), store.next_in(1)), (5, 6));
            assert_eq!((store.version(0), store.version(1)), (Some(Version::Fix44), Some(Version::Fix42)));
            assert_eq!((store.began_ns(0), store.began_ns(1)), (0, 1_709_596_800_000_000_000));
            let (number, text) = read(&mut store, 0, 1).unwrap();
            assert!(number == 2 && text.starts_with(b"8=FIX.4.4\x01") && text.ends_with(b"\x01"));
            let (number, text) = read(&mut store, 0, 3).unwrap();
            assert!(number == 3 && text.windows(5).any(|it| it == b"35=j\x01"));
            let (number, text) = read(&mut store, 1, 1).unwrap();
            assert!(number == 4 && text.windows(5).any(|it| it == b"35=9\x01"));
        }
    }
}

#[test]
fn a_file_of_format_2_gets_a_new_header_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(&directory, &["A"]).unwrap();
    store.next_out_is(0, 7);
    store.commit(3, false).unwrap();
    drop(store);
    let written = std::fs::read(file(&directory)).unwrap();
    assert_eq!(written[..FILE_HEADER], file_header(FORMAT, 1));
    let mut older = written.clone();
    older[..FILE_HEADER].copy_from_slice(&file_header(UNSIGNED_FORMAT, 1));
    std::fs::write(file(&directory), older).unwrap();
    let store = open(&directory, &["A"]).unwrap();
    assert_eq!((store.next_out(0), store.applied(), store.signed_ns(0)), (7, 3, 0));
    assert_eq!(std::fs::read(file(&directory)).unwrap(), written);
}

/// An entry as format 1 had it.
fn old_entry(kind: u8, session: u8, number: u64) -> Vec<u8> {
    let mut entry = vec![0; 24];
    entry[8..16].copy_from_slice(&number.to_le_bytes());
    (entry[16], entry[18]) = (session, kind);
    let checksum = crc32c::crc32c(&entry[4..]);
    entry[..4].copy_from_slice(&checksum.to_le_bytes());
    entry
}

/// Format 1 got the cancel on disconnect when it was no longer young: a file with it must not be taken for a damaged one,
/// or the orders of a lost session would stay.
#[test]
fn a_file_of_format_1_keeps_what_is_to_be_cancelled_on_disconnect() {
    let directory = tempfile::tempdir().unwrap();
    let more = [FORMAT_1, &old_entry(11, 1, 5_000_000_001), &old_entry(6, 0, 13)].concat();
    std::fs::write(file(&directory), more).unwrap();
    for _ in 0..2 {
        let store = open(&directory, &["ALICE", "BOB"]).unwrap();
        assert_eq!((store.applied(), store.cut_bytes()), (13, 0));
        assert_eq!((store.cancels_after_ns(0), store.cancels_after_ns(1)), (None, Some(5_000_000_000)));
    }
}

/// They are reports, most of them: none is forgotten because format 2 bounds what else it keeps.
#[test]
fn messages_of_format_1_are_not_bounded_by_their_bytes() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(file(&directory), FORMAT_1).unwrap();
    let limits = StoreLimits { kept_bytes: 1, ..LIMITS };
    for names in [["ALICE", "BOB"], ["BOB", "ALICE"]] {
        let mut store = open_with(&directory, &names, limits).unwrap();
        let session = names.iter().position(|it| *it == "ALICE").unwrap();
        assert_eq!(read(&mut store, session, 1).map(|it| it.0), Some(2));
        assert_eq!(read(&mut store, session, 3).map(|it| it.0), Some(3));
    }
}

/// Answers and refusals are bounded by their bytes, and take no report with them.
#[test]
fn the_oldest_messages_that_keep_their_bytes_are_forgotten_first() {
    let directory = tempfile::tempdir().unwrap();
    let limits = StoreLimits { kept_bytes: 1000, file_bytes: 4000, ..LIMITS };
    let mut store = open_with(&directory, &["A", "B"], limits).unwrap();
    for number in (1..=200).step_by(2) {
        store.application(0, number, &[b'x'; 80]);
        store.report(0, number + 1, &sent(number), None, b"");
        store.commit(number, false).unwrap();
        settle(&mut store);
        assert!(store.file_bytes() < 10_000 + 40 * number, "{number}: {}", store.file_bytes());
    }
    for names in [["A", "B"], ["B", "A"]] {
        // Ten entries of 100 bytes each.
        let session = names.iter().position(|it| *it == "A").unwrap();
        let mut message = Vec::new();
        for number in 1..=200 {
            let again = store.read_again(session, (number, number), &mut message).unwrap();
            match again {
                Again::Lost(lost) => assert!(lost == number && number % 2 == 1 && number < 181),
                Again::Kept(kept) => assert!(kept == number && number % 2 == 1 && number >= 181),
                Again::End => assert!(number % 2 == 1 && number < 181, "rewritten without it"),
                Again::NotYet => assert_eq!(number % 2, 0),
                Again::Made(made) => assert_eq!((made.number, number % 2), (number, 0)),
            }
            store.poll_rebuilder();
        }
        drop(store);
        store = open_with(&directory, &["B", "A"], limits).unwrap();
    }
}

#[test]
fn a_damaged_file_of_format_1_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    for at in (FILE_HEADER..FORMAT_1.len() - 24).step_by(7) {
        let mut bad = FORMAT_1.to_vec();
        bad[at] ^= 0x10;
        std::fs::write(file(&directory), &bad).unwrap();
        let error = open(&directory, &["ALICE", "BOB"]).err().unwrap();
        assert!(matches!(error, StoreError::Damaged { offset, .. } if offset <= at as u64), "{at}: {error}");
        assert_eq!(std::fs::read(file(&directory)).unwrap(), bad);
    }
}

#[test]
fn sessions_are_found_by_name_when_the_configuration_changes() {
    let directory = tempfile::tempdir().unwrap();
    drop(filled(&directory));
    let mut store = open(&directory, &["NEW", "B"]).unwrap();
    assert_eq!((store.next_out(0), store.next_out(1)), (1, 2));
    assert_eq!(read(&mut store, 1, 0), Some((1, b"one of B".to_vec())));
    store.application(0, 1, b"new");
    store.commit(50, false).unwrap();
    drop(store);
    let mut store = open(&directory, &["A", "B", "NEW"]).unwrap();
    assert_eq!((store.next_out(0), store.next_in(0), store.next_out(2)), (5, 7, 2));
    assert_eq!(read(&mut store, 0, 0), Some((2, b"two".to_vec())));
    assert_eq!(read(&mut store, 0, 3), Some((3, b"3".to_vec())));
    assert_eq!(read(&mut store, 2, 0), Some((1, b"new".to_vec())));
    assert_eq!(store.applied(), 50);
}

#[test]
fn reset_forgets_and_rewriting_keeps_what_is_needed() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory);
    let limits = StoreLimits { messages: 10, file_bytes: 20_000, ..LIMITS };
    let mut store = open_with(&directory, &["A", "B"], limits).unwrap();
    store.application(1, 1, b"kept");
    store.report(1, 2, &sent(1), Some(&what_was_asked()), b"");
    for round in 0..2_000u64 {
        store.reset(0);
        store.application(0, 1, format!("message {round}").as_bytes());
        store.next_in_is(0, round + 2);
        store.commit(round, false).unwrap();
        settle(&mut store);
        assert!(std::fs::metadata(&path).unwrap().len() < 21_000, "the file must not grow");
    }
    drop(store);
    let mut store = open_with(&directory, &["A", "B"], limits).unwrap();
    assert_eq!((store.next_out(0), store.next_in(0), store.applied()), (2, 2_001, 1_999));
    assert_eq!(read(&mut store, 0, 0), Some((1, b"message 1999".to_vec())));
    assert_eq!(read(&mut store, 1, 0), Some((1, b"kept".to_vec())));
    assert_eq!(read(&mut store, 1, 2), Some((2, b"2".to_vec())));
}

#[test]
fn only_the_newest_messages_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let limits = StoreLimits { messages: 3, ..LIMITS };
    let mut store = open_with(&directory, &["A"], limits).unwrap();
    (1..=5).for_each(|number| store.application(0, number, format!("{number}").as_bytes()));
    store.commit(1, false).unwrap();
    assert_eq!(read(&mut store, 0, 1), Some((3, b"3".to_vec())));
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
    let limits = StoreLimits { messages: 10, file_bytes: 1_000, ..LIMITS };
    let mut store = open_with(&directory, &["B"], limits).unwrap();
    for round in 0..200 {
        store.reset(0);
        store.commit(43 + round, false).unwrap();
    }
    drop(store);
    let store = open(&directory, &["B"]).unwrap();
    assert_eq!((store.version(0), store.began_ns(0)), (Some(Version::Fix42), 77));
}

/// Where nothing concerns this gateway's sessions for long, the next start must not read it all again.
#[test]
fn an_advance_without_messages_is_written_now_and_then() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = filled(&directory);
    let before = store.file_bytes();
    store.commit(42, false).unwrap();
    assert_eq!((store.file_bytes(), store.applied()), (before, 41));
    store.commit(41 + FORCE_COMMIT, false).unwrap();
    assert_eq!(store.applied(), 41 + FORCE_COMMIT);
    drop(store);
    assert_eq!(open(&directory, &["A", "B"]).unwrap().applied(), 41 + FORCE_COMMIT);
}

/// After a loss of power, with `memory` after the end of the process, the journal may be shorter than what the store has seen. The
/// gateway then refused to start until somebody had moved the store away.
#[test]
fn what_the_journal_has_lost_is_forgotten_and_numbers_go_on() {
    let directory = TempDir::new().unwrap();
    let mut store = open(&directory, &["A", "B"]).unwrap();
    for number in 1..=9 {
        store.report(0, number, &sent(10 * number), None, b"report");
        store.application(1, number, format!("text {number}").as_bytes());
        store.next_in_is(0, 100 + number);
        store.commit(10 * number, false).unwrap();
    }
    drop(store);
    assert_eq!(forget_beyond(&file(&directory), 1, 65).unwrap(), 3);
    let mut store = open(&directory, &["A", "B"]).unwrap();
    assert_eq!((store.applied(), store.next_out(0), store.next_in(0), store.next_out(1)), (65, 10, 109, 10));
    assert_eq!(read(&mut store, 0, 6), Some((6, b"6".to_vec())));
    assert_eq!(read(&mut store, 0, 7), None, "a resend fills the gap");
    assert_eq!(read(&mut store, 1, 9), Some((9, b"text 9".to_vec())), "no event stands behind it");
    store.report(0, 10, &sent(70), None, b"report");
    store.commit(70, false).unwrap();
    drop(store);
    let mut store = open(&directory, &["A", "B"]).unwrap();
    assert_eq!(read(&mut store, 0, 7), Some((10, b"10".to_vec())));
}
