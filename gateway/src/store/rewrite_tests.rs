//! Rewriting beside a store that goes on: what it holds is the same at every moment, whatever ends the process then and
//! whatever fails.

use super::rewrite::Rewrite;
use super::tests::{LIMITS, file, open_with, sent, settle};
use super::*;
use crate::fix::Version;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use std::os::unix::fs::symlink;
use tempfile::TempDir;

/// Next out and in, version, began, cancels after.
type Numbers = (u64, u64, Option<Version>, u64, (Option<u64>, u64));

/// All that a store would tell: of each session its numbers, and each message that can be had again.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    applied: u64,
    numbers: Vec<Numbers>,
    messages: Vec<(usize, u64, Vec<u8>)>,
}

fn told(store: &mut Store) -> Told {
    let mut messages = Vec::new();
    let sessions = store.sessions.len();
    for session in 0..sessions {
        let (mut from, mut bytes) = (1, Vec::new());
        loop {
            from = 1 + match store.read_again(session, (from, u64::MAX), &mut bytes).unwrap() {
                Again::End => break,
                Again::Kept(number) => {
                    messages.push((session, number, bytes.clone()));
                    number
                }
                Again::Made(made) => {
                    messages.push((session, made.number, made.body.unwrap().1));
                    made.number
                }
                Again::Lost(number) => number,
                Again::NotYet => {
                    store.poll_rebuilder();
                    from - 1
                }
            };
        }
        store.stop_resend(session);
    }
    let numbers = (0..sessions).map(|at| {
        let (next_out, next_in) = (store.next_out(at), store.next_in(at));
        let ends = (store.cancels_after_ns(at), store.signed_ns(at));
        (next_out, next_in, store.version(at), store.began_ns(at), ends)
    });
    Told { applied: store.applied(), numbers: numbers.collect(), messages }
}

/// The same, but for what is older than all that the `other` store has. A session keeps so many of its newest messages; those that are
/// forgotten because of their bytes count among them, but not any more once the file has been rewritten without them.
fn told_beside(store: &mut Store, other: &Store) -> Told {
    let mut told = told(store);
    let oldest = |session: usize| other.sessions[session].messages.front().map_or(0, |it| it.number);
    told.messages.retain(|&(session, number, _)| number >= oldest(session));
    told
}

/// What a process would find that begins after this one was killed now. `store` must have committed all.
fn check_killed(directory: &TempDir, store: &mut Store, limits: StoreLimits, names: &[&str]) {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let mut found = open_with(&copy, names, limits).unwrap();
    assert_eq!(told_beside(&mut found, store), told(store));
    assert_eq!(std::fs::read_dir(copy.path()).unwrap().count(), 1, "what was left behind is removed");
}

/// The same at random to all stores.
fn go_on(stores: &mut [&mut Store], random: &mut SmallRng, sequence: &mut u64) {
    for _ in 0..random.random_range(0..80) {
        let session = random.random_range(0..3);
        let (choice, long) = (random.random_range(0..400), random.random_range(0..10_000));
        *sequence += 1;
        for store in &mut *stores {
            let number = store.next_out(session);
            match choice {
                0 => store.reset(session),
                1 => store.version_is(session, Version::ALL[long % 5]),
                2 => store.began_is(session, *sequence),
                3 => store.cancels_after_ns_is(session, Some(*sequence)),
                4 => store.signed_is(session, *sequence),
                5..80 => store.next_in_is(session, *sequence),
                80..100 => store.next_out_is(session, number + 1),
                100..200 => store.application(session, number, &vec![b'a' + (long % 20) as u8; long]),
                _ => store.report(session, number, &sent(*sequence), None, number.to_string().as_bytes()),
            }
        }
    }
}

/// The file was rewritten on the gateway's own thread, which took no orders meanwhile: seconds for a store of 1 GiB.
#[test]
fn a_store_that_is_rewritten_step_by_step_tells_the_same_at_every_step() {
    let limits = StoreLimits { recent_bytes: 3000, ..LIMITS };
    rewrite_step_by_step(StoreLimits { messages: 60, kept_bytes: 100_000, ..limits });
    rewrite_step_by_step(StoreLimits { messages: 60, kept_bytes: u64::MAX, ..limits });
    rewrite_step_by_step(StoreLimits { messages: usize::MAX, kept_bytes: 100_000, ..limits });
}

fn rewrite_step_by_step(limits: StoreLimits) {
    let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
    let seed = std::env::var("RIALTO_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(seed);
    println!("RIALTO_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let names = ["A", "B", "C"];
    let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut store = open_with(&directory, &names, limits).unwrap();
    let mut plain = open_with(&other, &names, limits).unwrap();
    let mut sequence = 0;
    for _ in 0..5 {
        for _ in 0..random.random_range(1..20) {
            go_on(&mut [&mut store, &mut plain], &mut random, &mut sequence);
            store.commit(sequence, true).unwrap();
            plain.commit(sequence, true).unwrap();
        }
        let mut rewrite = Rewrite::begin(store.plan_rewriting().unwrap()).unwrap();
        let mut goes_on = true;
        while goes_on {
            check_killed(&directory, &mut store, limits, &names);
            goes_on = rewrite.step().unwrap();
            go_on(&mut [&mut store, &mut plain], &mut random, &mut sequence);
            store.commit(sequence, true).unwrap();
            plain.commit(sequence, true).unwrap();
        }
        // Some is pending when the new file is taken over.
        go_on(&mut [&mut store, &mut plain], &mut random, &mut sequence);
        store.take_over(rewrite.finish()).unwrap();
        assert_eq!(told(&mut store), told(&mut plain));
        store.commit(sequence, true).unwrap();
        plain.commit(sequence, true).unwrap();
        check_killed(&directory, &mut store, limits, &names);
        assert_eq!(told(&mut store), told(&mut plain));
        assert_eq!(store.live_bytes, plain.live_bytes);
        assert!(store.file_bytes() <= plain.file_bytes());
    }
    drop(store);
    let mut found = open_with(&directory, &names, limits).unwrap();
    assert_eq!(told_beside(&mut found, &plain), told(&mut plain));
}

/// Reports that are in memory stay there: their events may not be in the journal yet.
#[test]
fn the_newest_reports_stay_in_memory_when_the_file_is_rewritten() {
    let directory = tempfile::tempdir().unwrap();
    let limits = StoreLimits { recent_bytes: 500, ..LIMITS };
    let mut store = open_with(&directory, &["A"], limits).unwrap();
    (1..=50).for_each(|number| store.report(0, number, &sent(number), None, b"as it was sent"));
    store.commit(50, false).unwrap();
    store.compact().unwrap();
    let mut bytes = Vec::new();
    assert!(matches!(store.read_again(0, (50, 50), &mut bytes).unwrap(), Again::Kept(50)));
    assert_eq!(bytes, b"as it was sent");
    assert!(matches!(store.read_again(0, (1, 1), &mut bytes).unwrap(), Again::NotYet));
}

/// A store of a few messages in much that is of no use, which its next commit has rewritten.
fn full_of_garbage(directory: &TempDir) -> Store {
    let limits = StoreLimits { file_bytes: 64 << 10, ..LIMITS };
    let mut store = open_with(directory, &["A", "B"], limits).unwrap();
    store.application(1, 1, b"needed");
    for number in 1..=100 {
        store.application(0, number, &[b'x'; 800]);
    }
    store.reset(0);
    store.commit(1, false).unwrap();
    assert!(store.rewriter.is_busy());
    store
}

fn needed_is_there(store: &mut Store) {
    let mut message = Vec::new();
    assert!(matches!(store.read_again(1, (1, 1), &mut message).unwrap(), Again::Kept(1)));
    assert_eq!(message, b"needed");
}

/// Commits until the file has been rewritten or that has failed.
fn grow(store: &mut Store, bytes: usize) {
    store.application(0, 1, &vec![b'x'; bytes]);
    store.reset(0);
    store.commit(store.applied() + 1, false).unwrap();
    settle(store);
}

#[test]
fn a_full_disk_is_told_and_the_old_file_goes_on_until_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory);
    let limits = StoreLimits { file_bytes: 64 << 10, ..LIMITS };
    let mut store = open_with(&directory, &["A", "B"], limits).unwrap();
    store.application(1, 1, b"needed");
    symlink("/dev/full", path.with_extension("rewriting")).unwrap();
    grow(&mut store, 70_000);
    let notes = store.take_notes();
    assert!(notes.len() == 1 && notes[0].contains("cannot be rewritten now"), "{notes:?}");
    let length = store.file_bytes();
    assert!(length > 70_000);
    grow(&mut store, 2_000);
    assert!(store.file_bytes() > length, "not tried again at once");
    needed_is_there(&mut store);
    grow(&mut store, 8_000);
    assert!(store.file_bytes() < 1000, "there is room again: {}", store.file_bytes());
    assert!(store.take_notes().is_empty());
    needed_is_there(&mut store);
}

#[test]
fn a_file_that_cannot_be_opened_says_nothing_about_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory).with_extension("rewriting");
    std::fs::create_dir(&path).unwrap();
    let mut store = full_of_garbage(&directory);
    settle(&mut store);
    assert_eq!(store.take_notes().len(), 1);
    std::fs::remove_dir(&path).unwrap();
    grow(&mut store, 20_000);
    assert!(store.file_bytes() < 1000);
    needed_is_there(&mut store);
}

/// Waits for the outcome of a rewriting.
fn outcome(store: &mut Store) -> io::Result<()> {
    while store.rewriter.is_busy() {
        store.end_rewriting()?;
        std::thread::yield_now();
    }
    Ok(())
}

#[test]
fn an_error_from_the_disk_ends_the_gateway() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = full_of_garbage(&directory);
    outcome(&mut store).unwrap();
    // The old file ends before what was committed.
    let plan = store.plan_rewriting().unwrap();
    let length = store.file_bytes();
    store.file.set_len(length - 20).unwrap();
    let mut rewrite = Rewrite::begin(plan).unwrap();
    let failed = std::iter::repeat_with(|| rewrite.step()).find_map(Result::err).unwrap();
    assert!(!failed.harmless, "{failed:?}");

    // The new one cannot be put in its place.
    let directory = tempfile::tempdir().unwrap();
    let mut store = full_of_garbage(&directory);
    std::fs::remove_file(file(&directory)).unwrap();
    std::fs::create_dir(file(&directory)).unwrap();
    assert!(outcome(&mut store).is_err());
}

#[test]
fn an_entry_that_has_changed_is_not_taken_for_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let limits = StoreLimits { file_bytes: 1 << 30, ..LIMITS };
    let mut store = open_with(&directory, &["A"], limits).unwrap();
    (1..=50).for_each(|number| store.application(0, number, &[b'x'; 80]));
    store.commit(1, false).unwrap();
    let plan = store.plan_rewriting().unwrap();
    store.file.write_all_at(b"?", 2000).unwrap();
    let mut rewrite = Rewrite::begin(plan).unwrap();
    let failed = rewrite.step().unwrap_err();
    assert!(!failed.harmless && failed.error.to_string().contains("has changed"), "{failed:?}");
}

/// At a start with other users than before, a file of more than 1 MiB that was mostly of no use ended the process: it was
/// to be rewritten while what the new order of sessions had given was not committed yet.
#[test]
fn a_file_full_of_garbage_is_rewritten_at_a_start_with_other_users() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open_with(&directory, &["A", "B"], LIMITS).unwrap();
    store.application(1, 1, b"needed");
    store.application(0, 1, &vec![b'x'; 900_000]);
    store.application(0, 2, &vec![b'x'; 900_000]);
    store.reset(0);
    store.commit(1, false).unwrap();
    drop(store);
    let mut store = open_with(&directory, &["NEW", "B"], LIMITS).unwrap();
    assert!(store.file_bytes() < 1000);
    needed_is_there(&mut store);
}
