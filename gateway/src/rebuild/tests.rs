//! The worker on events in memory: every report of a long run, asked for in every way, is made as it was.

mod run;

use super::*;
use crate::orders::Orders;
use checkpoint::Checkpoints;
use rand::Rng as _;
use run::{Run, owners, purpose, run_to_end, saved, seed};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use worker::PAUSES;

#[test]
fn what_is_made_again_is_what_was_sent_whatever_is_asked_for_in_whatever_order() {
    let mut run = Run::new(seed(), 1500);
    for spacing in [u64::MAX, 100, 7] {
        let mut worker = run.worker(spacing);
        let mut answers = 0;
        for _ in 0..20 {
            // Parts of both sessions, here and there; some at the same time.
            let mut asked = 0;
            for session in 0..2 {
                if run.random.random_ratio(2, 3) {
                    let own: Vec<usize> = (0..run.first.len())
                        .filter(|&at| run.first[at].session == session || run.first[at].sent.origin.copy)
                        .collect();
                    let from = run.random.random_range(0..own.len());
                    let count = run.random.random_range(1..300);
                    run.ask(&mut worker, session, own.into_iter().skip(from).take(count));
                    asked += 1;
                }
                if run.random.random() {
                    worker.work(50);
                }
            }
            run_to_end(&mut worker, |outcome| match outcome {
                Outcome::Resent { messages, .. } => {
                    run.check(&messages);
                    answers += messages.len();
                    asked -= 1;
                }
                Outcome::Note(text) => panic!("{text}"),
                Outcome::Replayed(_) => panic!("nobody asked"),
            });
            assert_eq!(asked, 0, "every question is answered");
        }
        assert!(answers > 500);
        assert!(worker.is_idle());
    }
    let written = std::fs::read_dir(run.folder.path()).unwrap().count();
    assert!((3..=20).contains(&written), "{written} checkpoints");
}

#[test]
fn a_fold_from_a_checkpoint_is_the_fold_from_the_start() {
    let mut run = Run::new(seed(), 700);
    run_to_end(&mut run.worker(50), |_| {});
    run.go_on(300);
    let mut worker = run.worker(u64::MAX);
    assert!(worker.newest_checkpoint(600).is_none_or(|it| it.sequence <= 600));
    let newest = worker.newest_checkpoint(run.sequence).expect("one is left");
    let mut cursor = run.events.open(newest.sequence + 1).unwrap();
    let mut orders = newest.orders;
    let mut place = (0, 0);
    while let Some(event) = cursor.next().unwrap() {
        let sequence = event.header().sequence;
        place = if place.0 == sequence { (sequence, place.1 + 1) } else { (sequence, 0) };
        orders.release_before(event);
        orders.apply(event, place.1, None);
        if event.is_last_event() {
            orders.release_last();
        }
    }
    assert_eq!(saved(&orders), saved(&run.orders));
    let again = Orders::load(&mut saved(&orders).as_slice(), 1, &purpose().accounts, 20).unwrap();
    assert_eq!(saved(&again), saved(&orders));
}

/// Adds an event to others in memory.
fn push_record(events: &MemoryEvents, event: machine::Record<'_>) {
    let mut words = vec![0u64; machine::stride(event.header().length as usize) / 8];
    let bytes = zerocopy::IntoBytes::as_mut_bytes(words.as_mut_slice());
    bytes[..32].copy_from_slice(zerocopy::IntoBytes::as_bytes(event.header()));
    bytes[32..32 + event.body().len()].copy_from_slice(event.body());
    events.push(bytes);
}

#[test]
fn reports_that_are_not_in_the_journal_yet_are_waited_for() {
    let mut run = Run::new(seed(), 100);
    let behind = MemoryEvents::new();
    let mut worker = {
        let checkpoints = Checkpoints::list(run.folder.path(), purpose());
        Worker::new(Box::new(behind.clone()), checkpoints, owners(), u64::MAX)
    };
    run.go_on(100);
    let last = run.first.len() - 1;
    run.ask(&mut worker, run.first[last].session, [last].into_iter());
    assert!(!worker.work(1000) && worker.take_outcome().is_none() && !worker.is_idle());
    let mut cursor = run.events.open(1).unwrap();
    let mut answered = false;
    while let Some(event) = cursor.next().unwrap() {
        push_record(&behind, event);
        worker.work(10);
        match worker.take_outcome() {
            Some(Outcome::Resent { messages, .. }) => {
                run.check(&messages);
                answered = true;
            }
            None => {}
            Some(_) => panic!("something else"),
        }
    }
    assert!(answered);
}

/// Counts how often somebody has begun to read.
struct Counted(MemoryEvents, Arc<AtomicUsize>);

impl EventSource for Counted {
    fn open(&self, sequence: u64) -> Result<Box<dyn EventCursor>, RebuildError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.open(sequence)
    }
}

/// While a checkpoint was due whose events were not in the journal yet, the idle thread threw its fold away every 100 ms
/// and began again from the checkpoint before: with a million orders that is all it did, and the more the journal lagged
/// the longer it went on.
#[test]
fn a_checkpoint_that_waits_for_events_keeps_the_fold() {
    let run = Run::new(seed(), 200);
    let (behind, opened) = (MemoryEvents::new(), Arc::new(AtomicUsize::new(0)));
    let checkpoints = Checkpoints::list(run.folder.path(), purpose());
    let source = Box::new(Counted(behind.clone(), Arc::clone(&opened)));
    let mut worker = Worker::new(source, checkpoints, owners(), run.sequence);
    worker.committed(run.sequence);
    let mut cursor = run.events.open(1).unwrap();
    while let Some(event) = cursor.next().unwrap() {
        worker.work(1000);
        assert!(!worker.pause(), "nobody has asked");
        assert_eq!(opened.load(Ordering::Relaxed), 1, "at {}", event.header().sequence);
        push_record(&behind, event);
    }
    worker.work(1000);
    assert!(Checkpoints::list(run.folder.path(), purpose()).newest() == Some(run.sequence));
    // Nothing is due now. For a while the fold is kept for what may come; what is wanted begins that while anew.
    (0..PAUSES).for_each(|_| assert!(!worker.pause()));
    assert!(worker.has_fold());
    // Then its memory is given back, and a question begins anew.
    worker.pause();
    assert!(!worker.has_fold());
    run.ask(&mut worker, run.first[0].session, [0].into_iter());
    run_to_end(&mut worker, |_| {});
    assert_eq!(opened.load(Ordering::Relaxed), 2);
}

/// Under load a checkpoint is due every second or so. The fold was given back after each, and for the next one its memory was taken
/// anew and the last checkpoint read: more than half of what the thread did.
#[test]
fn one_checkpoint_after_the_other_is_written_by_the_same_fold() {
    let run = Run::new(seed(), 400);
    let opened = Arc::new(AtomicUsize::new(0));
    let checkpoints = Checkpoints::list(run.folder.path(), purpose());
    let source = Box::new(Counted(run.events.clone(), Arc::clone(&opened)));
    let spacing = 20;
    let mut worker = Worker::new(source, checkpoints, owners(), spacing);
    let mut written = Vec::new();
    for sequence in (1..=run.sequence).step_by(7) {
        worker.committed(sequence);
        while worker.work(1000) {}
        (0..PAUSES / 40).for_each(|_| assert!(!worker.pause()));
        written.extend(Checkpoints::list(run.folder.path(), purpose()).newest());
    }
    written.dedup();
    // The more orders there are, the rarer they come.
    assert!(written.len() > 2, "{written:?}");
    assert_eq!(opened.load(Ordering::Relaxed), 1);
}

#[test]
fn a_replay_gives_each_execution_after_its_place_once() {
    let run = Run::new(seed(), 2500);
    for (from, last) in [(1, run.sequence), (run.sequence / 2, run.sequence), (7, 7), (1, 3)] {
        let mut worker = run.worker(200);
        let (mut after, mut got, mut parts) = (Some((from - 1, u32::MAX)), Vec::new(), 0);
        while let Some(place) = after.take() {
            let sessions = vec![true, false];
            worker.submit(Work::Replay(Replay {
                ticket: parts,
                speech: (Version::Fix44, Precision::Millis),
                sessions,
                after: place,
                last,
            }));
            run_to_end(&mut worker, |outcome| match outcome {
                Outcome::Replayed(replayed) => {
                    assert_eq!(replayed.ticket, parts);
                    got.extend(replayed.copies.iter().map(|it| (it.origin.place(), it.origin.part)));
                    after = replayed.after;
                }
                Outcome::Note(text) => panic!("{text}"),
                Outcome::Resent { .. } => panic!("nobody asked"),
            });
            parts += 1;
        }
        let mut expected: Vec<_> = run
            .first
            .iter()
            .filter(|it| it.session == 0 && it.is_execution)
            .filter(|it| (from..=last).contains(&it.sent.origin.sequence))
            .map(|it| (it.sent.origin.place(), it.sent.origin.part))
            .collect();
        expected.dedup();
        assert_eq!(got, expected, "{from} to {last}");
        assert!(parts > 1 || got.len() < 1024);
    }
}

#[test]
fn checkpoints_of_another_journal_or_ahead_of_the_store_are_refused_aloud() {
    let run = Run::new(1, 400);
    run_to_end(&mut run.worker(100), |_| {});
    let notes = |worker: &mut Worker| {
        let mut notes = Vec::new();
        while let Some(Outcome::Note(text)) = worker.take_outcome() {
            notes.push(text);
        }
        notes
    };
    let mut worker = run.worker(u64::MAX);
    assert!(worker.newest_checkpoint(150).is_some_and(|it| it.sequence <= 150));
    assert!(notes(&mut worker).iter().all(|it| it.contains("has followed events up to 150 only")));

    let other = Run::new(1, 5);
    let checkpoints = Checkpoints::list(run.folder.path(), purpose());
    let mut worker = Worker::new(Box::new(other.events.clone()), checkpoints, owners(), u64::MAX);
    assert!(worker.newest_checkpoint(u64::MAX).is_none());
    assert!(notes(&mut worker).iter().any(|it| it.contains("the event journal ends before it")));
    assert_eq!(std::fs::read_dir(run.folder.path()).unwrap().count(), 0, "they are of no use");
}

struct Broken;

impl EventSource for Broken {
    fn open(&self, _: u64) -> Result<Box<dyn EventCursor>, RebuildError> {
        Err(RebuildError::new("the disk is gone"))
    }
}

#[test]
fn a_journal_that_cannot_be_read_is_told_and_nobody_waits_for_ever() {
    let run = Run::new(3, 100);
    let checkpoints = Checkpoints::list(run.folder.path(), purpose());
    let mut worker = Worker::new(Box::new(Broken), checkpoints, owners(), 10);
    worker.committed(run.sequence);
    run.ask(&mut worker, 0, 0..10);
    let (mut lost, mut notes) = (0, Vec::new());
    run_to_end(&mut worker, |outcome| match outcome {
        Outcome::Resent { messages, .. } => {
            lost += messages.iter().filter(|it| it.body.is_none()).count();
        }
        Outcome::Note(text) => notes.push(text),
        Outcome::Replayed(_) => panic!("nobody asked"),
    });
    assert_eq!(lost, 10);
    assert!(notes.iter().any(|it| it.contains("the disk is gone")), "{notes:?}");
    assert!(worker.is_idle());
}
