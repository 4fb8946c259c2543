//! Start-up and replay of a whole machine.

use super::*;
use crate::recover::Recovered;
use crate::replay::replay_folder;
use crate::{DataFolder, Mark, ReplayOptions, ReplayReport, recover};

fn folder(storage: &SimulatedStorage) -> DataFolder {
    DataFolder::with_storage(Path::new("/data"), Arc::new(storage.clone()))
}

fn start(storage: &SimulatedStorage, machine: &mut Counter) -> Result<Recovered, JournalError> {
    let events = StreamOptions { sync_on_roll: false, ..small() };
    recover(&folder(storage), machine, b"limits", (&small(), &events), &mut |_| {}, &mut |_| {})
}

fn audit(storage: &SimulatedStorage, machine: &mut Counter) -> Result<ReplayReport, JournalError> {
    let options = ReplayOptions { parameters: b"limits".to_vec(), ..ReplayOptions::default() };
    replay_folder(&folder(storage), machine, &options, &mut |_| {})
}

/// A journal of 3000 commands with their events and a mark at the end.
fn journal() -> (SimulatedStorage, u64) {
    let storage = SimulatedStorage::new();
    let mut recovered = start(&storage, &mut Counter::default()).unwrap();
    assert_eq!((recovered.last_sequence, recovered.last_timestamp_ns), (0, 0));
    for first in (1..3000).step_by(60) {
        recovered.commands.write_batch(&batch(first..=first + 59), 0).unwrap();
    }
    recovered.commands.sync().unwrap();
    drop(recovered);
    let mut machine = Counter::default();
    let recovered = start(&storage, &mut machine).unwrap();
    assert_eq!((recovered.last_sequence, recovered.events_appended), (3000, 3000));
    assert_eq!(recovered.last_timestamp_ns, 3_000_000);
    let state_hash = recovered.state_hash;
    folder(&storage).append_mark(Mark { sequence: 3000, state_hash, chain: None }).unwrap();
    (storage, state_hash)
}

#[test]
fn recovery_compares_what_is_stored_and_appends_what_is_missing() {
    let (storage, state_hash) = journal();
    let mut events = 0;
    let mut machine = Counter::default();
    let options = (&small(), &small());
    let mut count = |_: Record<'_>| events += 1;
    let mut progress = Vec::new();
    let mut note = |at: crate::Progress| progress.push(at.sequence);
    let mut recovered =
        recover(&folder(&storage), &mut machine, b"limits", options, &mut count, &mut note).unwrap();
    assert_eq!((recovered.events_appended, recovered.marks_checked), (0, 1));
    assert_eq!((recovered.state_hash, events), (state_hash, 3000 * 5 / 2));
    assert_eq!(progress, [3000]);
    recovered.events.truncate_after(1234).unwrap();
    drop(recovered);
    let recovered = start(&storage, &mut Counter::default()).unwrap();
    assert_eq!((recovered.events_appended, recovered.events.last_sequence()), (1766, 3000));
    let report = audit(&storage, &mut Counter::default()).unwrap();
    assert!(report.is_good() && report.events_missing_from.is_none());
    assert_eq!((report.commands, report.events_compared, report.events), (3000, 7500, 7500));
    assert_eq!((report.state_hash, report.marks_checked), (state_hash, 1));
}

#[test]
fn events_that_no_command_stands_behind_are_removed_and_reported() {
    let (storage, _) = journal();
    let mut recovered = start(&storage, &mut Counter::default()).unwrap();
    recovered.events.write_batch(&record(3001, 40_000, 1, 8), 0).unwrap();
    drop(recovered);
    let report = audit(&storage, &mut Counter::default()).unwrap();
    assert!(report.is_good(), "a crash between the streams is no difference");
    let recovered = start(&storage, &mut Counter::default()).unwrap();
    assert_eq!(recovered.events_removed_up_to, Some(3001));
    assert_eq!(recovered.events.last_sequence(), 3000);
}

#[test]
fn another_program_is_refused_at_the_first_different_event() {
    let (storage, _) = journal();
    let mut wrong = Counter { wrong_from: Some(77), ..Counter::default() };
    let Err(JournalError::EventMismatch(difference)) = start(&storage, &mut wrong) else {
        panic!("accepted")
    };
    assert_eq!((difference.sequence, difference.event_index), (77, 0));
    assert_eq!((difference.stored.len(), difference.computed.len()), (40, 40));
    assert_ne!(difference.stored, difference.computed);
    let report = audit(&storage, &mut Counter { wrong_from: Some(77), ..Counter::default() }).unwrap();
    assert_eq!(report.difference, Some(*difference));
    assert_eq!(report.commands, 77);
}

#[test]
fn a_state_that_differs_from_its_mark_is_refused() {
    let (storage, state_hash) = journal();
    let mark = Mark { sequence: 2000, state_hash, chain: None };
    folder(&storage).append_mark(mark).unwrap();
    let result = start(&storage, &mut Counter::default());
    assert!(matches!(result, Err(JournalError::StateHash { sequence: 2000, .. })));
    let report = audit(&storage, &mut Counter::default()).unwrap();
    assert_eq!(report.mark_difference.map(|(found, _)| found), Some(mark));
}

#[test]
fn commands_that_end_before_a_mark_are_refused() {
    let (storage, state_hash) = journal();
    folder(&storage).append_mark(Mark { sequence: 3001, state_hash, chain: None }).unwrap();
    let result = start(&storage, &mut Counter::default());
    assert!(matches!(
        result,
        Err(JournalError::MarkBeyondEnd { last_sequence: 3000, mark_sequence: 3001, .. })
    ));
    let result = audit(&storage, &mut Counter::default());
    assert!(matches!(result, Err(JournalError::MarkBeyondEnd { .. })));
}

#[test]
fn missing_events_are_reported_by_replay() {
    let (storage, _) = journal();
    start(&storage, &mut Counter::default()).unwrap().events.truncate_after(1000).unwrap();
    let report = audit(&storage, &mut Counter::default()).unwrap();
    assert!(report.is_good());
    assert_eq!((report.events_missing_from, report.commands), (Some(1001), 3000));
}

#[test]
fn replay_stops_where_it_is_told_to() {
    let (storage, _) = journal();
    let options = ReplayOptions { parameters: b"limits".to_vec(), up_to: 1500, ..ReplayOptions::default() };
    let mut machine = Counter::default();
    let report = replay_folder(&folder(&storage), &mut machine, &options, &mut |_| {}).unwrap();
    assert_eq!((report.commands, report.last_sequence, report.marks_checked), (1500, 1500, 0));
    // Each command's time is its sequence in microseconds; the moment between two shows the earlier one.
    let options = ReplayOptions { up_to: u64::MAX, until_ns: 1_500_999, ..options };
    let mut again = Counter::default();
    let report = replay_folder(&folder(&storage), &mut again, &options, &mut |_| {}).unwrap();
    assert_eq!((report.last_sequence, report.last_timestamp_ns), (1500, 1_500_000));
    assert_eq!(again.state_hash(), machine.state_hash());
}
