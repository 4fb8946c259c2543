//! Not samples but all of it: every byte of a whole data folder flipped, every length of each of its files, loss of power
//! at every operation of a recorded run.

use super::*;
use crate::simulated::{Fault, Random};
use crate::storage::{Storage, read_full};
use crate::verify::verify_folder;
use crate::{DataFolder, Mark, recover};

const FILES: [&str; 3] =
    ["/data/commands/00000000000000000001.seg", "/data/events/00000000000000000001.seg", "/data/marks"];

fn folder(storage: &SimulatedStorage) -> DataFolder {
    DataFolder::with_storage(Path::new("/data"), Arc::new(storage.clone()))
}

/// Recovers; returns last sequence and state hash.
fn start(storage: &SimulatedStorage) -> Result<(u64, u64), JournalError> {
    let mut machine = Counter::default();
    let options = (&small(), &StreamOptions { sync_on_roll: false, ..small() });
    let recovered = recover(&folder(storage), &mut machine, b"limits", options, &mut |_| {}, &mut |_| {})?;
    Ok((recovered.last_sequence, recovered.state_hash))
}

/// Twelve commands in three frames, with their events and a mark behind the eighth.
fn journal() -> (SimulatedStorage, Vec<u64>) {
    let storage = SimulatedStorage::new();
    let mut hashes = vec![Counter::default().state_hash()];
    for last in [4, 8, 12] {
        let mut machine = Counter::default();
        let options = (&small(), &small());
        let mut recovered =
            recover(&folder(&storage), &mut machine, b"limits", options, &mut |_| {}, &mut |_| {}).unwrap();
        recovered.commands.write_batch(&batch(last - 3..=last), 0).unwrap();
        recovered.commands.sync().unwrap();
        let chain = Some(recovered.commands.chain());
        drop(recovered);
        let (sequence, state_hash) = start(&storage).unwrap();
        hashes.extend([0, 0, 0, state_hash]);
        if last == 8 {
            folder(&storage).append_mark(Mark { sequence, state_hash, chain }).unwrap();
        }
    }
    (storage, hashes)
}

fn content(storage: &SimulatedStorage, file: &str) -> Vec<u8> {
    let file = storage.open(Path::new(file), false).unwrap();
    let mut bytes = vec![0; file.length().unwrap() as usize];
    read_full(&*file, &mut bytes, 0).unwrap();
    bytes
}

/// Behind the last byte that is not zero.
fn data_end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// What may come out of a damaged folder: a named error, or the state after a whole number of frames that the mark does not
/// contradict, with the events that belong to it.
fn assert_refused_or_a_true_state(damaged: &SimulatedStorage, original: &Original, what: &str) {
    let verified = verify_folder(&folder(damaged), &[], &mut |_| {});
    match start(damaged) {
        Err(error) => assert!(!error.to_string().is_empty(), "{what}"),
        Ok((sequence, hash)) => {
            assert!([8, 12].contains(&sequence) || original.unmarked, "{what}: cut back to {sequence}");
            assert_eq!(hash, original.hashes[sequence as usize], "{what}: another state");
            if sequence == 12 {
                assert!(content(damaged, FILES[0]) == original.commands, "{what}: other commands");
            }
            let again = verify_folder(&folder(damaged), &[], &mut |_| {}).unwrap();
            assert!(again.is_good() && again.commands.unwrap().torn_tail.is_none(), "{what}");
            let verified = verified.expect("what starts can be verified");
            assert!(verified.commands.is_ok(), "{what}: verify refuses what a start accepts");
        }
    }
}

struct Original {
    hashes: Vec<u64>,
    commands: Vec<u8>,
    /// Whether the damage may have taken the mark itself.
    unmarked: bool,
}

#[test]
fn every_byte_of_every_file_flipped_is_refused_or_harmless() {
    let (storage, hashes) = journal();
    let mut original = Original { hashes, commands: content(&storage, FILES[0]), unmarked: false };
    for file in FILES {
        original.unmarked = file == FILES[2];
        let bytes = content(&storage, file);
        for offset in 0..(data_end(&bytes) + 100).min(bytes.len()) {
            // All of the headers' padding is under one checksum: a part of it stands for the rest.
            if (400..4000).contains(&offset) && !offset.is_multiple_of(64) {
                continue;
            }
            let damaged = storage.copy();
            damaged.flip(Path::new(file), offset, 1 << (offset % 8));
            assert_refused_or_a_true_state(&damaged, &original, &format!("{file} byte {offset} flipped"));
        }
    }
}

#[test]
fn every_length_of_every_file_is_refused_or_harmless() {
    let (storage, hashes) = journal();
    let mut original = Original { hashes, commands: content(&storage, FILES[0]), unmarked: false };
    for file in FILES {
        original.unmarked = file == FILES[2];
        let end = data_end(&content(&storage, file));
        for length in
            (0..=end).filter(|length| *length > 4000 || length.is_multiple_of(64) || file == FILES[2])
        {
            let damaged = storage.copy();
            damaged.open(Path::new(file), true).unwrap().truncate(length as u64).unwrap();
            assert_refused_or_a_true_state(&damaged, &original, &format!("{file} cut to {length}"));
        }
    }
}

/// A fixed run: batches, syncs, several segments, a restart in the middle. Returns what was acknowledged.
fn recorded_run(storage: &SimulatedStorage) -> u64 {
    let mut acknowledged = 0;
    for part in 0..2 {
        let Ok((mut writer, _)) = open_commands(storage, &small()) else { return acknowledged };
        for step in 0..60 {
            let first = writer.last_sequence() + 1;
            if writer.write_batch(&batch(first..=first + 17 + step % 7), acknowledged).is_err() {
                return acknowledged;
            }
            if (step + part).is_multiple_of(3) {
                match writer.sync() {
                    Ok(durable) => acknowledged = durable,
                    Err(_) => return acknowledged,
                }
            }
        }
    }
    acknowledged
}

#[test]
fn loss_of_power_at_every_operation_of_a_run_loses_nothing_acknowledged() {
    let whole = SimulatedStorage::new();
    assert!(recorded_run(&whole) > 1000);
    let operations = whole.operations();
    assert!(operations > 150, "{operations}");
    for at in 0..operations {
        // Each time the sectors that were not synced survive, tear and change places in another way.
        for seed in 0..6 {
            let storage = SimulatedStorage::new();
            storage.fail_after(at, Fault::PowerLoss);
            let acknowledged = recorded_run(&storage);
            storage.power_loss(&mut Random(at * 1000 + seed));
            let opened = open_commands(&storage, &small());
            let (_, report) = opened.unwrap_or_else(|error| panic!("operation {at} seed {seed}: {error}"));
            assert!(report.last_sequence >= acknowledged, "operation {at} seed {seed}");
            assert_eq!(read_all(&storage).unwrap(), report.last_sequence, "operation {at} seed {seed}");
        }
    }
}
