//! Snapshots: what is written is taken up again; what does not check is passed over, and said so.

use super::*;
use crate::simulated::{Fault, Random};
use crate::storage::{Storage, read_full};
use crate::{
    DataFolder, Retention, SNAPSHOT_HEADER_LENGTH, Shadow, SkippedSnapshot, SnapshotStore,
    recover_from_snapshot,
};
use machine::{Snapshot, SnapshotError, SnapshotReader, SnapshotWriter};
use std::path::PathBuf;

/// Longer than one buffer, so that a payload is written in pieces; the sum is at its end.
const FILLING: usize = (1 << 20) + 12_345;

impl Snapshot for Counter {
    const SNAPSHOT_VERSION: u32 = 7;

    fn write_snapshot(&self, out: &mut SnapshotWriter<'_>) {
        let filling = vec![0xA5u8; if self.total.is_multiple_of(3) { FILLING } else { 0 }];
        out.rows(&filling);
        out.value(&self.total);
    }

    fn read_snapshot(&mut self, version: u32, input: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        if version != Self::SNAPSHOT_VERSION {
            return Err(SnapshotError::UnknownVersion { found: version, known: Self::SNAPSHOT_VERSION });
        }
        let mut filling: Vec<u8> = Vec::new();
        input.rows("bytes", FILLING, &mut filling)?;
        self.total = input.value()?;
        Ok(())
    }
}

fn folder(storage: &SimulatedStorage) -> DataFolder {
    DataFolder::with_storage(Path::new("/data"), Arc::new(storage.clone()))
}

fn open(data: &DataFolder) -> Result<Shadow<'_, Counter>, JournalError> {
    Shadow::open(data, b"limits", &mut Counter::default)
}

/// The state after everything in the journal, and what it took.
fn restored(storage: &SimulatedStorage) -> (u64, u64, Option<u64>, Vec<SkippedSnapshot>) {
    let data = folder(storage);
    let mut shadow = open(&data).unwrap();
    let (from, skipped) = (shadow.started_from(), shadow.skipped().to_vec());
    shadow.advance(u64::MAX, usize::MAX, &mut |_| {}).unwrap();
    (shadow.sequence(), shadow.machine().state_hash(), from, skipped)
}

/// 2000 commands in several segments, with snapshots behind at least 600 and 1500. Returns their sequences.
fn journal() -> (SimulatedStorage, [u64; 2]) {
    let storage = SimulatedStorage::new();
    let (mut writer, _) = open_commands(&storage, &small()).unwrap();
    for first in (1..2000).step_by(40) {
        writer.write_batch(&batch(first..=first + 39), 0).unwrap();
    }
    writer.sync().unwrap();
    let data = folder(&storage);
    let mut shadow = open(&data).unwrap();
    let taken = [590, 1490].map(|up_to| {
        shadow.advance(up_to, usize::MAX, &mut |_| {}).unwrap();
        assert_eq!(shadow.sequence(), up_to);
        shadow.snapshot().unwrap().expect("there are no events to wait for");
        shadow.sequence()
    });
    assert_eq!(taken, [600, 1520], "they stand at the ends of frames");
    (storage, taken)
}

fn path(sequence: u64) -> PathBuf {
    Path::new("/data/snapshots").join(format!("{sequence:020}.snap"))
}

#[test]
fn a_start_from_a_snapshot_comes_to_the_same_state() {
    let (storage, taken) = journal();
    let bare = storage.copy();
    taken.iter().for_each(|sequence| bare.remove(&path(*sequence)).unwrap());
    let (last, hash, from, _) = restored(&bare);
    assert_eq!((last, from), (2000, None));
    assert_eq!(restored(&storage), (2000, hash, Some(taken[1]), Vec::new()));
    storage.remove(&path(taken[1])).unwrap();
    assert_eq!(restored(&storage), (2000, hash, Some(taken[0]), Vec::new()));
}

#[test]
fn every_flipped_byte_and_every_length_falls_back_aloud_to_the_one_before() {
    let (storage, taken) = journal();
    let (last, hash, ..) = restored(&storage);
    let file = storage.open(&path(taken[1]), false).unwrap();
    let mut bytes = vec![0; file.length().unwrap() as usize];
    read_full(&*file, &mut bytes, 0).unwrap();
    let step = if bytes.len() > 100_000 { 40_009 } else { 1 };
    let sampled =
        |at: &usize| *at < SNAPSHOT_HEADER_LENGTH + 16 || at.is_multiple_of(step) || at + 16 > bytes.len();
    for at in (0..bytes.len()).filter(sampled) {
        let flipped = storage.copy();
        flipped.flip(&path(taken[1]), at, 1 << (at % 8));
        let cut = storage.copy();
        cut.open(&path(taken[1]), true).unwrap().truncate(at as u64).unwrap();
        for damaged in [flipped, cut] {
            let (sequence, found, from, skipped) = restored(&damaged);
            assert_eq!((sequence, found, from), (last, hash, Some(taken[0])), "byte {at}");
            assert_eq!(skipped.len(), 1, "byte {at}");
            assert!(skipped[0].sequence == taken[1] && !skipped[0].reason.is_empty());
        }
    }
}

#[test]
fn loss_of_power_at_any_operation_of_a_snapshot_leaves_the_one_before() {
    let (storage, taken) = journal();
    let (last, hash, ..) = restored(&storage);
    for at in 0.. {
        let copy = storage.copy();
        let data = folder(&copy);
        let mut shadow = open(&data).unwrap();
        shadow.advance(u64::MAX, usize::MAX, &mut |_| {}).unwrap();
        copy.fail_after(at, Fault::PowerLoss);
        let done = shadow.snapshot().is_ok_and(|path| path.is_some());
        for seed in 0..4 {
            let after = copy.copy_unsettled();
            after.power_loss(&mut Random(at * 10 + seed));
            let (sequence, found, from, skipped) = restored(&after);
            assert_eq!((sequence, found), (last, hash), "operation {at}");
            assert!(from == Some(taken[1]) || from == Some(last), "operation {at}: {from:?}");
            assert_eq!(skipped, [], "operation {at}: what has a name is whole");
            assert!(!done || from == Some(last), "a finished snapshot is durable");
        }
        if done {
            assert!(at > 5);
            return;
        }
    }
}

/// Rewritten from some place on: the snapshots before it are good, those behind it stand on commands that are gone.
#[test]
fn a_snapshot_of_another_history_is_not_used() {
    let (storage, taken) = journal();
    let (mut writer, _) = open_commands(&storage, &small()).unwrap();
    writer.truncate_after(1000).unwrap();
    let (_, _, from, skipped) = restored(&storage);
    assert_eq!((from, skipped[0].sequence), (Some(taken[0]), taken[1]), "it is ahead of the journal");
    for first in (1001..2000).step_by(40) {
        let other = |sequence| record(sequence, 2, 0, 3);
        let records: Vec<u8> = (first..first + 40).flat_map(other).collect();
        writer.write_batch(&records, 0).unwrap();
    }
    let (sequence, _, from, skipped) = restored(&storage);
    assert_eq!((sequence, from), (2000, Some(taken[0])));
    assert!(skipped[0].reason.contains("does not hold the commands"), "{skipped:?}");
}

#[test]
fn a_snapshot_of_another_version_or_with_other_parameters_is_refused_by_name() {
    let (storage, taken) = journal();
    let data = folder(&storage);
    let other = SnapshotStore::new::<Counter>(&data, b"wider");
    let refused = other.read(taken[0], &mut Counter::default()).err().expect("refused").to_string();
    assert!(refused.contains("other parameters"), "{refused}");
    let file = storage.open(&path(taken[1]), true).unwrap();
    let mut header = [0; SNAPSHOT_HEADER_LENGTH];
    read_full(&*file, &mut header, 0).unwrap();
    for (at, value, words) in [(12, 9, "container version 9"), (56, 8, "the state has version 8")] {
        let mut changed = header;
        changed[at] = value;
        let checksum = crc32c::crc32c(&changed[12..]);
        changed[8..12].copy_from_slice(&checksum.to_le_bytes());
        file.write_at(&changed, 0).unwrap();
        let (_, _, from, skipped) = restored(&storage);
        assert_eq!(from, Some(taken[0]));
        assert!(skipped[0].reason.contains(words), "{skipped:?}");
    }
}

#[test]
fn snapshots_are_kept_by_number_and_by_age() {
    const HOUR_NS: u64 = 3_600_000_000_000;
    let (storage, taken) = journal();
    let data = folder(&storage);
    let store = SnapshotStore::new::<Counter>(&data, b"limits");
    let mut shadow = open(&data).unwrap();
    storage.advance_time(2 * HOUR_NS);
    shadow.advance(u64::MAX, usize::MAX, &mut |_| {}).unwrap();
    shadow.snapshot().unwrap();
    assert_eq!(store.list().unwrap(), [2000, taken[1], taken[0]]);
    assert_eq!(store.prune(Retention { count: 3, age_ns: 0 }).unwrap(), 0);
    assert_eq!(store.prune(Retention { count: 1, age_ns: 3 * HOUR_NS }).unwrap(), 0, "all are young");
    // Of three snapshots two were damaged, and the only good one was the oldest: it went with the next one that was taken.
    let damaged = storage.copy();
    damaged.flip(&path(taken[1]), 20, 1);
    let beside = folder(&damaged);
    let others = SnapshotStore::new::<Counter>(&beside, b"limits");
    assert_eq!(others.prune(Retention { count: 2, age_ns: 0 }).unwrap(), 0);
    assert_eq!(others.prune(Retention { count: 1, age_ns: 0 }).unwrap(), 2, "one that is good is there");
    assert_eq!(others.list().unwrap(), [2000]);
    assert_eq!(store.prune(Retention { count: 2, age_ns: HOUR_NS }).unwrap(), 1);
    assert_eq!(store.list().unwrap(), [2000, taken[1]]);
    assert_eq!(store.prune(Retention { count: 0, age_ns: 0 }).unwrap(), 1, "the newest always stays");
    assert_eq!(store.list().unwrap(), [2000]);
}

fn recovered(storage: &SimulatedStorage) -> (crate::Restored<Counter>, Vec<u64>) {
    recovered_with(storage, u64::MAX).unwrap()
}

/// Recovers where projections have applied everything up to `events_from`, or the snapshot; gives the sequences of the
/// events shown.
fn recovered_with(
    storage: &SimulatedStorage,
    events_from: u64,
) -> Result<(crate::Restored<Counter>, Vec<u64>), JournalError> {
    let options = (&small(), &StreamOptions { sync_on_roll: false, ..small() });
    let mut seen = Vec::new();
    let restored = recover_from_snapshot(
        &folder(storage),
        &mut Counter::default,
        b"limits",
        options,
        events_from,
        &mut |event| seen.push(event.header().sequence),
        &mut |_| {},
    );
    seen.dedup();
    restored.map(|restored| (restored, seen))
}

#[test]
fn recovery_starts_from_the_newest_snapshot_that_the_events_have_reached() {
    let (storage, taken) = journal();
    let (_, hash, ..) = restored(&storage);
    // No events are stored yet: all must be computed, from the beginning.
    let (first, seen) = recovered_with(&storage, 0).unwrap();
    assert_eq!((first.from_snapshot, first.skipped.len(), seen.len()), (None, 2, 2000));
    assert_eq!((first.recovered.state_hash, first.recovered.events_appended), (hash, 2000));
    drop(first);
    let (second, seen) = recovered_with(&storage, taken[1]).unwrap();
    assert_eq!((second.from_snapshot, second.skipped.len()), (Some(taken[1]), 0));
    assert_eq!((seen[0], seen.len() as u64), (taken[1] + 1, 2000 - taken[1]));
    assert_eq!((second.machine.state_hash(), second.recovered.state_hash), (hash, hash));
    assert_eq!((second.recovered.last_sequence, second.recovered.last_timestamp_ns), (2000, 2_000_000));
    let mut events = second.recovered.events;
    events.truncate_after(700).unwrap();
    drop(events);
    drop(second.recovered.commands);
    let (third, _) = recovered(&storage);
    assert_eq!((third.from_snapshot, third.skipped.len()), (Some(taken[0]), 1));
    assert_eq!((third.recovered.events_appended, third.recovered.state_hash), (1300, hash));
    let report = crate::verify::verify_folder(&folder(&storage), &[], &mut |_| {}).unwrap();
    assert!(report.is_good() && report.events.unwrap().last_sequence == 2000);
}

/// With a snapshot the journal's start may be gone; without, that is said.
#[test]
fn a_snapshot_stands_for_the_segments_before_it() {
    let (storage, taken) = journal();
    let (_, hash, ..) = restored(&storage);
    let firsts = crate::frame::list_segments(&storage, Path::new(FOLDER)).unwrap();
    assert!(firsts[1] <= taken[1]);
    storage.remove(&crate::format::segment_path(Path::new(FOLDER), firsts[0])).unwrap();
    let (last, found, from, _) = restored(&storage);
    assert_eq!((last, found, from), (2000, hash, Some(taken[1])));
    taken.iter().for_each(|sequence| storage.remove(&path(*sequence)).unwrap());
    assert!(matches!(open(&folder(&storage)).err(), Some(JournalError::MissingStart { .. })));
}

/// The same journal with its events.
fn with_events() -> (SimulatedStorage, [u64; 2]) {
    let (storage, taken) = journal();
    drop(recovered_with(&storage, 0).unwrap());
    (storage, taken)
}

#[test]
fn projections_see_what_they_lack_below_the_snapshot_and_above_it() {
    let (storage, taken) = with_events();
    for events_from in [0, 1, taken[0], taken[1] - 1, taken[1], taken[1] + 1, 1999, 2000, u64::MAX] {
        let (restored, seen) = recovered_with(&storage, events_from).unwrap();
        assert_eq!(restored.from_snapshot, Some(taken[1]));
        let expected: Vec<u64> = (events_from.min(2000) + 1..=2000).collect();
        assert_eq!(seen, expected, "behind {events_from}");
    }
}

/// A start reads neither old commands nor old events that nobody needs. Whoever does need them is told where the damage is.
#[test]
fn damage_below_a_snapshot_is_met_by_whoever_reads_it() {
    let (storage, taken) = with_events();
    let commands = crate::format::segment_path(Path::new(FOLDER), 1);
    let events = crate::format::segment_path(Path::new("/data/events"), 1);
    for (path, name) in [(&commands, "commands"), (&events, "events")] {
        let damaged = storage.copy();
        damaged.flip(path, 30_000, 4);
        let (restored, _) = recovered_with(&damaged, taken[1]).unwrap();
        assert_eq!((restored.from_snapshot, restored.recovered.last_sequence), (Some(taken[1]), 2000));
        drop(restored);
        let report = crate::verify::verify_folder(&folder(&damaged), &[], &mut |_| {}).unwrap();
        // Nothing within the events says that they were synced: the snapshot does. They used to pass for a torn tail.
        let found = match (&report.commands, &report.events) {
            (Err(error), _) | (_, Err(error)) => error.place().map(|place| (place.file, place.offset)),
            _ => None,
        };
        assert_eq!(found.unwrap().0, path.as_path());
        let lacking = recovered_with(&damaged, 0).map(|_| ()).map_err(|error| error.to_string());
        assert_eq!(lacking.is_err(), name == "events", "{lacking:?}");
        taken.iter().for_each(|sequence| damaged.remove(&self::path(*sequence)).unwrap());
        match recovered_with(&damaged, 0) {
            // Nothing proves any more that these events had been synced: they are computed again.
            Ok((restored, seen)) => {
                assert!(name == "events" && restored.recovered.events_report.cut.is_some());
                assert_eq!(seen.len(), 2000);
            }
            Err(error) => {
                let place = error.place().unwrap_or_else(|| panic!("no place: {error}"));
                assert_eq!((name, Some((place.file, place.offset))), ("commands", found));
            }
        }
    }
}

#[test]
fn commands_that_end_before_a_snapshot_are_refused() {
    let (storage, taken) = with_events();
    let (mut writer, _) = open_commands(&storage, &small()).unwrap();
    writer.truncate_after(taken[1] - 1).unwrap();
    drop(writer);
    let error = recovered_with(&storage, 0).err().expect("synced commands are gone");
    assert!(matches!(error, JournalError::SnapshotBeyondEnd { snapshot_sequence: 1520, .. }), "{error}");
    // `journal verify` called good what no exchange starts on: it did not look at the snapshots.
    let found = crate::verify::verify_folder(&folder(&storage), &[], &mut |_| {}).unwrap().commands;
    assert!(
        matches!(found, Err(JournalError::SnapshotBeyondEnd { snapshot_sequence: 1520, .. })),
        "{found:?}"
    );
    storage.remove(&path(taken[1])).unwrap();
    assert_eq!(recovered_with(&storage, 0).unwrap().0.from_snapshot, Some(taken[0]));
}

#[test]
fn a_snapshot_waits_for_the_events() {
    let (storage, _) = with_events();
    let (mut restored, _) = recovered(&storage);
    restored.recovered.events.truncate_after(1999).unwrap();
    let data = folder(&storage);
    let mut shadow = open(&data).unwrap();
    shadow.advance(u64::MAX, usize::MAX, &mut |_| {}).unwrap();
    assert_eq!(shadow.snapshot().unwrap(), None);
    drop(restored);
    drop(recovered(&storage));
    assert_eq!(shadow.snapshot().unwrap(), Some(path(2000)));
}

/// Any moment is rebuilt from the nearest snapshot before it, to the state that executing everything gives.
#[test]
fn the_past_is_rebuilt_from_the_nearest_snapshot() {
    use crate::ReplayOptions;
    use crate::replay::{replay_before, replay_folder};
    let (storage, taken) = with_events();
    let data = folder(&storage);
    let parameters = b"limits".to_vec();
    for sequence in [1, 599, 600, 601, 1000, 1519, 1520, 1999, 2000] {
        let nearest = taken.into_iter().rev().find(|taken| *taken <= sequence);
        let by_sequence =
            ReplayOptions { up_to: sequence, parameters: parameters.clone(), ..Default::default() };
        // A command's time is a thousand times its sequence.
        let by_time = ReplayOptions {
            until_ns: sequence * 1000 + 999,
            parameters: parameters.clone(),
            ..Default::default()
        };
        let whole = replay_folder(&data, &mut Counter::default(), &by_sequence, &mut |_| {}).unwrap();
        for options in [by_sequence, by_time] {
            let past = replay_before(&data, &mut Counter::default, &options, &mut |_| {}).unwrap();
            assert_eq!(past.from_snapshot, nearest, "{sequence}");
            assert_eq!(
                (past.report.last_sequence, past.report.last_timestamp_ns),
                (sequence, sequence * 1000)
            );
            assert_eq!(past.report.state_hash, whole.state_hash);
            assert_eq!(past.machine.total > 0, past.report.is_good());
            assert_eq!(past.report.commands, sequence - nearest.unwrap_or(0));
        }
    }
}
