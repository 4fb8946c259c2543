//! Syncing beside the writer, on another thread.

use super::*;
use crate::JournalError;
use crate::simulated::{Fault, Random};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

fn threaded(seed: u64) -> StreamOptions {
    StreamOptions { sync_on_roll: false, frame_alignment: [8, 4096][(seed % 2) as usize], ..small() }
}

#[test]
fn a_sync_covers_what_was_written_before_it_and_not_what_is_only_gathered() {
    let storage = SimulatedStorage::new();
    let (mut writer, _) = open_commands(&storage, &small()).unwrap();
    let syncer = writer.syncer();
    writer.append(&batch(1..=5), 0).unwrap();
    assert_eq!((writer.last_sequence(), syncer.written_sequence()), (5, 0));
    assert_eq!(syncer.sync().unwrap(), 0, "nothing is written yet");
    writer.append(&batch(6..=6), 0).unwrap();
    writer.flush().unwrap();
    assert_eq!((syncer.written_sequence(), syncer.durable_sequence()), (6, 0));
    assert!(syncer.gathered_bytes() > 0);
    let mut begun = 1;
    assert_eq!(syncer.sync_after(|| begun = syncer.gathered_bytes()).unwrap(), 6);
    assert_eq!(begun, 0, "what comes now is the next sync's");
    assert_eq!((writer.durable_sequence(), syncer.durable_sequence()), (6, 6));
    drop(writer);
    storage.power_loss(&mut Random(1));
    assert_eq!(read_all(&storage).unwrap(), 6, "one frame holds what was gathered");
    let operations = storage.operations();
    assert_eq!(syncer.sync().unwrap(), 6);
    assert_eq!(storage.operations(), operations, "nothing new, nothing to sync");
}

#[test]
fn a_frame_that_is_full_is_written_without_a_flush() {
    let storage = SimulatedStorage::new();
    let (mut writer, _) = open_commands(&storage, &small()).unwrap();
    for sequence in 1..=2000 {
        writer.append(&command(sequence), 0).unwrap();
    }
    let written = writer.syncer().written_sequence();
    assert!((1500..2000).contains(&written), "{written}");
    writer.flush().unwrap();
    assert_eq!(read_all(&storage).unwrap(), 2000);
}

/// The system tells of a failed sync once. Of two syncs at a time only the first may touch the disk.
#[test]
fn after_a_failed_sync_nobody_syncs_or_writes_again() {
    let storage = SimulatedStorage::new();
    let (mut writer, _) = open_commands(&storage, &small()).unwrap();
    writer.write_batch(&batch(1..=5), 0).unwrap();
    storage.fail_after(0, Fault::SyncError);
    let both: Vec<_> = [writer.syncer(), writer.syncer()]
        .into_iter()
        .map(|syncer| thread::spawn(move || syncer.sync()))
        .collect();
    let results: Vec<_> = both.into_iter().map(|thread| thread.join().unwrap()).collect();
    let failed = |result: &&Result<u64, JournalError>| matches!(result, Err(JournalError::Io { .. }));
    let stopped = |result: &&Result<u64, JournalError>| matches!(result, Err(JournalError::Stopped { .. }));
    assert_eq!((results.iter().filter(failed).count(), results.iter().filter(stopped).count()), (1, 1));
    let operations = storage.operations();
    assert!(matches!(writer.append(&batch(6..=6), 0), Err(JournalError::Stopped { .. })));
    assert!(matches!(writer.sync(), Err(JournalError::Stopped { .. })));
    assert!(matches!(writer.syncer().sync_full_segments(), Err(JournalError::Stopped { .. }) | Ok(false)));
    assert_eq!((storage.operations(), writer.durable_sequence()), (operations, 0));
}

#[test]
fn after_a_failed_write_or_write_back_nothing_is_synced() {
    type Step = fn(&mut StreamWriter) -> Result<(), JournalError>;
    let steps: [Step; 2] = [|writer| writer.write_batch(&batch(6..=9), 0), StreamWriter::begin_write_back];
    for step in steps {
        let storage = SimulatedStorage::new();
        let (mut writer, _) = open_commands(&storage, &small()).unwrap();
        let syncer = writer.syncer();
        writer.write_batch(&batch(1..=5), 0).unwrap();
        storage.fail_after(0, Fault::WriteError);
        assert!(matches!(step(&mut writer), Err(JournalError::Io { .. })));
        let operations = storage.operations();
        assert!(matches!(step(&mut writer), Err(JournalError::Stopped { .. })));
        assert!(matches!(syncer.sync(), Err(JournalError::Stopped { .. })));
        assert_eq!((storage.operations(), syncer.durable_sequence()), (operations, 0));
    }
}

/// A thread that syncs used to begin with the first frame of a long batch: the disk got a batch of 1 MiB in pieces of 64 and
/// 128 KiB, each with a sync of its own, and took half as much again for it.
#[test]
fn a_batch_of_many_frames_is_shown_to_the_syncer_as_a_whole() {
    let storage = SimulatedStorage::new();
    let (mut writer, _) = open_commands(&storage, &small()).unwrap();
    let syncer = writer.syncer();
    writer.write_batch(&batch(1..=5), 0).unwrap();
    let (before, operations) = (syncer.gathered_bytes(), storage.operations());
    writer.write_batch(&batch(6..=400), 0).unwrap();
    assert!(storage.operations() > operations + 2, "some frames");
    assert_eq!(syncer.written_sequence(), 400);
    assert!(syncer.gathered_bytes() > before + 16_384);
    // What a thread that looked between two frames would have seen: the second one fails.
    let shown = (syncer.written_sequence(), syncer.gathered_bytes());
    let operations = storage.operations();
    storage.fail_after(1, Fault::WriteError);
    assert!(writer.write_batch(&batch(401..=800), 0).is_err());
    assert!(storage.operations() > operations, "the first one was written");
    assert_eq!((syncer.written_sequence(), syncer.gathered_bytes()), shown);
}

#[test]
fn full_segments_can_be_made_safe_before_the_current_one() {
    let storage = SimulatedStorage::new();
    let (mut writer, _) = open_commands(&storage, &threaded(0)).unwrap();
    let syncer = writer.syncer();
    assert!(!syncer.sync_full_segments().unwrap());
    while crate::frame::list_segments(&storage, Path::new(FOLDER)).unwrap().len() < 3 {
        let first = writer.last_sequence() + 1;
        writer.write_batch(&batch(first..=first + 49), 0).unwrap();
    }
    let current = writer.segment.header.first_sequence;
    assert!(syncer.sync_full_segments().unwrap());
    assert!(!syncer.sync_full_segments().unwrap(), "once is enough");
    drop(writer);
    storage.power_loss(&mut Random(7));
    let (_, report) = open_commands(&storage, &threaded(0)).unwrap();
    assert!(report.last_sequence >= current - 1, "{report:?}");
}

/// A writer and a thread that syncs, at full speed, until power fails at some operation.
fn until_power_fails(seed: u64) {
    let mut random = Random(seed);
    let storage = SimulatedStorage::new();
    let (mut writer, _) = open_commands(&storage, &threaded(seed)).unwrap();
    storage.fail_after(random.below(300), Fault::PowerLoss);
    let (syncer, ended) = (writer.syncer(), Arc::new(AtomicBool::new(false)));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let (stop, told) = (Arc::clone(&ended), Arc::clone(&acknowledged));
    let thread = thread::spawn(move || {
        while !stop.load(Ordering::Acquire) {
            match syncer.sync() {
                Ok(durable) => told.store(durable, Ordering::Release),
                Err(_) => return,
            }
        }
    });
    loop {
        let first = writer.last_sequence() + 1;
        let records = batch(first..=first + random.below(40));
        if writer.write_batch(&records, acknowledged.load(Ordering::Acquire)).is_err() {
            break;
        }
    }
    ended.store(true, Ordering::Release);
    thread.join().unwrap();
    storage.power_loss(&mut random);
    let acknowledged = acknowledged.load(Ordering::Acquire);
    let (_, report) =
        open_commands(&storage, &threaded(seed)).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let last = report.last_sequence;
    assert!(last >= acknowledged, "seed {seed}: {acknowledged} acknowledged, {last} is there");
    assert_eq!(read_all(&storage).unwrap(), last, "seed {seed}");
}

#[test]
fn what_another_thread_has_synced_survives_loss_of_power() {
    for seed in 0..150 {
        until_power_fails(seed);
    }
}
