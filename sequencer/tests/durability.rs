//! The law: nothing that a command caused leaves before the command is as safe as promised.

#[path = "support/blocking.rs"]
mod blocking;
mod support;

use std::path::Path;
use std::sync::Arc;
use std::thread;

use blocking::BlockingStorage;
use journal::simulated::{Fault, Random, SimulatedStorage};
use journal::{DataFolder, SharedStorage};
use sequencer::{
    AgentName, Clock, Durability, EventReader, ManualClock, Pipeline, PipelineConfig, PipelineError, Running,
    SendError, ThreadConfig,
};
use support::{COMMAND, Tally};

/// Segments so small that the simulated disk is quick.
fn config(durability: Durability) -> PipelineConfig {
    let mut config = support::config(durability);
    for options in [&mut config.commands, &mut config.events] {
        options.segment_bytes = 512 << 10;
        options.max_frame_bytes = 132 << 10;
        options.zero_ahead_bytes = 0;
        options.prepare_on_thread = false;
    }
    config
}

fn open_on(
    storage: SharedStorage,
    config: PipelineConfig,
    on_event: &mut dyn FnMut(machine::Record<'_>),
) -> Result<Pipeline<Tally>, PipelineError> {
    let folder = DataFolder::with_storage(Path::new("/data"), storage);
    Pipeline::open_on(folder, config, Tally::default(), on_event, &mut |_| ())
}

fn open(storage: SharedStorage, durability: Durability) -> Pipeline<Tally> {
    open_on(storage, config(durability), &mut |_| ()).unwrap()
}

/// Sequences of the events handed out now.
fn poll(reader: &mut EventReader) -> Vec<u64> {
    let mut sequences = Vec::new();
    reader.poll(1000, |event| sequences.push(event.header().sequence)).unwrap();
    sequences
}

#[test]
fn events_wait_until_the_journal_has_done_what_is_promised() {
    for durability in [Durability::Memory, Durability::Os, Durability::Disk] {
        let mut pipeline = open(Arc::new(SimulatedStorage::new()), durability);
        let (mut ingress, mut reader) = (pipeline.ingress(1).unwrap(), pipeline.events().unwrap());
        let mut pipeline = pipeline.inline();
        ingress.try_send_bytes(0, COMMAND, 1, &[0]).unwrap();
        pipeline.do_work_of(AgentName::Sequencer).unwrap();
        pipeline.do_work_of(AgentName::Engine).unwrap();
        assert!(!reader.is_drained(), "the engine has run ahead");
        assert_eq!(poll(&mut reader), [], "{durability:?}: the way out waits");
        pipeline.do_work_of(AgentName::EventJournal).unwrap();
        pipeline.do_work_of(AgentName::Journal).unwrap();
        if durability == Durability::Disk {
            assert_eq!(poll(&mut reader), [], "written is not synced");
            pipeline.do_work_of(AgentName::Sync).unwrap();
        }
        assert_eq!(poll(&mut reader), [1]);
    }
}

/// `memory` acknowledges before anything is written, and a process that is killed then has lost what it acknowledged;
/// `os` acknowledges only what the system has. A write that hangs shows which is which.
#[test]
fn memory_does_not_wait_for_a_write_and_os_does() {
    for durability in [Durability::Memory, Durability::Os] {
        let storage = BlockingStorage::default();
        let mut pipeline = open(Arc::new(storage.clone()), durability);
        let (mut ingress, mut reader) = (pipeline.ingress(1).unwrap(), pipeline.events().unwrap());
        let running = pipeline.start().unwrap();
        let _blocked = storage.block_writes();
        ingress.try_send_bytes(0, COMMAND, 1, &[0]).unwrap();
        storage.await_waiting();
        while reader.is_drained() {
            thread::yield_now();
        }
        let acknowledged = poll(&mut reader);
        assert_eq!(running.committed(), acknowledged.len() as u64);
        // As a kill would find it now.
        let killed = storage.disk.copy_unsettled();
        let found = open(Arc::new(killed), durability).recovered().last_sequence;
        match durability {
            Durability::Memory => assert_eq!((acknowledged, found), (vec![1], 0)),
            _ => assert_eq!((acknowledged, found), (vec![], 0)),
        }
        storage.release();
        while running.committed() < 1 {
            thread::yield_now();
        }
        if durability == Durability::Os {
            let killed = storage.disk.copy_unsettled();
            assert_eq!(open(Arc::new(killed), durability).recovered().last_sequence, 1);
        }
        drop(reader);
        running.shutdown().unwrap();
    }
}

/// A batch used to reach the disk when its own sync began, behind the sync that ran when it came.
#[test]
fn the_disk_begins_with_a_batch_while_the_sync_before_runs_if_another_thread_syncs() {
    let cases =
        [(Durability::Disk, false, true), (Durability::Disk, true, false), (Durability::Os, false, false)];
    for (durability, one_thread, begins) in cases {
        let storage = BlockingStorage::default();
        let mut config = config(durability);
        if one_thread {
            config.threads = vec![ThreadConfig::new("all", &AgentName::ALL)];
        }
        let mut pipeline = open_on(Arc::new(storage.clone()), config, &mut |_| ()).unwrap();
        let (mut ingress, reader) = (pipeline.ingress(1).unwrap(), pipeline.events().unwrap());
        drop(reader);
        let running = pipeline.start().unwrap();
        let blocked = storage.block();
        for sequence in 1..=2 {
            ingress.try_send_bytes(0, COMMAND, 1, &[0; 1000]).unwrap();
            if durability == Durability::Disk {
                storage.await_waiting();
            }
            if !one_thread {
                while written(&storage) < sequence {
                    thread::yield_now();
                }
                await_idle(&running, "journal");
                assert!(!begins || storage.begun() >= sequence * 1000, "command {sequence}");
            }
            assert_eq!(storage.begun() > 0, begins, "{durability:?}, one thread: {one_thread}");
        }
        drop(blocked);
        running.shutdown().unwrap();
        assert_eq!(storage.begun() > 0, begins, "{durability:?}, one thread: {one_thread}");
    }
}

/// Returns when that thread has found nothing to do for a while.
fn await_idle(running: &Running, thread_name: &str) {
    let (_, counters) = running.threads().find(|(name, _)| *name == thread_name).unwrap();
    let cycles = counters.idle_cycles.get();
    while counters.idle_cycles.get() < cycles + 100 {
        thread::yield_now();
    }
}

/// Commands that are in the journal's file, synced or not.
fn written(storage: &BlockingStorage) -> u64 {
    let shared: SharedStorage = Arc::new(storage.disk.clone());
    let mut reader = journal::StreamReader::open_with(Path::new("/data/commands"), shared).unwrap();
    let mut last = 0;
    while let Some(record) = reader.next().unwrap() {
        last = record.header().sequence;
    }
    last
}

#[test]
fn the_next_batch_is_written_while_a_sync_runs_up_to_its_bound() {
    const BATCH_BYTES: usize = 8 << 10;
    let storage = BlockingStorage::default();
    let mut config = config(Durability::Disk);
    config.limits.journal_bytes = BATCH_BYTES;
    let mut pipeline = open_on(Arc::new(storage.clone()), config, &mut |_| ()).unwrap();
    let (mut ingress, mut reader) = (pipeline.ingress(1).unwrap(), pipeline.events().unwrap());
    let running = pipeline.start().unwrap();
    let _blocked = storage.block();
    ingress.try_send_bytes(0, COMMAND, 1, &[0]).unwrap();
    storage.await_waiting();
    // 60 commands of a KiB and more: several batches.
    for _ in 0..60 {
        ingress.try_send_bytes(0, COMMAND, 1, &[0; 1000]).unwrap();
    }
    // The record that reaches the bound is the last.
    let bound = 1 + BATCH_BYTES.div_ceil(1032) as u64;
    while running.last_sequence() < 61 || written(&storage) < bound {
        thread::yield_now();
    }
    await_idle(&running, "journal");
    assert_eq!(written(&storage), bound, "a batch ends there");
    assert_eq!((running.committed(), poll(&mut reader)), (0, vec![]), "and nothing of it leaves");
    storage.release();
    let mut seen = Vec::new();
    while seen.len() < 61 {
        seen.extend(poll(&mut reader));
    }
    assert_eq!(running.shutdown().unwrap().last_sequence, 61);
}

#[test]
fn a_sync_waits_for_more_commands_as_long_as_it_is_told_or_until_a_batch_is_full() {
    let clock = ManualClock::new(1_000_000);
    let mut config = config(Durability::Disk);
    config.clock = Clock::Manual(clock.clone());
    (config.limits.journal_wait_ns, config.limits.journal_bytes) = (50_000, 4096);
    let mut pipeline = open_on(Arc::new(SimulatedStorage::new()), config, &mut |_| ()).unwrap();
    let (mut ingress, reader) = (pipeline.ingress(1).unwrap(), pipeline.events().unwrap());
    drop(reader);
    let mut pipeline = pipeline.inline();
    let mut committed_after = |pipeline: &mut sequencer::InlinePipeline<Tally>, sent: u64, now_ns: u64| {
        for _ in 0..sent {
            ingress.try_send_bytes(0, COMMAND, 1, &[0; 500]).unwrap();
        }
        clock.set_ns(now_ns);
        pipeline.do_work().unwrap();
        pipeline.committed()
    };
    assert_eq!(committed_after(&mut pipeline, 1, 1_000_000), 0);
    assert_eq!(committed_after(&mut pipeline, 1, 1_049_999), 0);
    assert_eq!(committed_after(&mut pipeline, 1, 1_050_000), 3, "the wait counts from the first");
    assert_eq!(committed_after(&mut pipeline, 2, 1_060_000), 3);
    assert_eq!(committed_after(&mut pipeline, 6, 1_060_001), 11, "a full batch does not wait");
    assert_eq!(committed_after(&mut pipeline, 1, 1_060_002), 11);
    assert_eq!(
        pipeline.shutdown().unwrap().last_sequence,
        12,
        "nor does a shutdown, though the clock stands still"
    );
}

/// A sync that fails on its own thread: the pipeline stops, nothing leaves, and the disk is not asked again, not even to
/// write the command that came meanwhile.
#[test]
fn a_failed_sync_stops_the_threads_and_is_never_tried_again() {
    let storage = SimulatedStorage::new();
    let mut pipeline = open(Arc::new(storage.clone()), Durability::Disk);
    let (mut ingress, mut reader) = (pipeline.ingress(1).unwrap(), pipeline.events().unwrap());
    let running = pipeline.start().unwrap();
    storage.fail_after(0, Fault::SyncError);
    ingress.try_send_bytes(0, COMMAND, 1, &[0]).unwrap();
    let fault = running.wait(&std::sync::atomic::AtomicBool::new(false)).unwrap();
    // The journal agent, which may find the journal stopped before this is told, used to be named instead, without a reason.
    assert_eq!(fault.agent, "sync");
    assert!(fault.reason.contains("cannot sync"), "{}", fault.reason);
    let asked = storage.operations();
    assert!(matches!(ingress.try_send_bytes(0, COMMAND, 1, &[0]), Err(SendError::Closed)));
    assert_eq!((running.committed(), poll(&mut reader)), (0, vec![]));
    assert!(matches!(running.shutdown(), Err(PipelineError::Fault(_))));
    assert_eq!(storage.operations(), asked, "the disk is left alone");
}

#[test]
fn a_sync_that_hangs_holds_the_events_back_and_the_next_one_covers_all_that_came_meanwhile() {
    let storage = BlockingStorage::default();
    let mut pipeline = open(Arc::new(storage.clone()), Durability::Disk);
    let (mut ingress, mut reader) = (pipeline.ingress(1).unwrap(), pipeline.events().unwrap());
    let running = pipeline.start().unwrap();
    let _blocked = storage.block();
    ingress.try_send_bytes(0, COMMAND, 1, &[0]).unwrap();
    storage.await_waiting();
    for _ in 0..9 {
        ingress.try_send_bytes(0, COMMAND, 1, &[0]).unwrap();
    }
    while running.last_sequence() < 10 || reader.is_drained() {
        thread::yield_now();
    }
    for _ in 0..1000 {
        assert_eq!(poll(&mut reader), []);
        assert_eq!(running.committed(), 0);
    }
    storage.release();
    let mut seen = Vec::new();
    while seen.len() < 10 {
        seen.extend(poll(&mut reader));
    }
    assert_eq!(seen, (1..=10).collect::<Vec<_>>());
    let report = running.shutdown().unwrap();
    assert_eq!((report.last_sequence, report.readers_drained), (10, true));
}

/// What a client saw of a run that was cut off.
struct Cut {
    /// The last event that was handed out.
    seen: u64,
    faulted: bool,
}

/// Sends commands and takes events until the pipeline fails or 30 rounds are over.
fn run_until_fault(storage: &SimulatedStorage, durability: Durability, seed: u64) -> Cut {
    let mut random = Random(seed);
    let mut cut = Cut { seen: 0, faulted: false };
    let Ok(mut pipeline) = open_on(Arc::new(storage.clone()), config(durability), &mut |_| ()) else {
        return Cut { faulted: true, ..cut };
    };
    let (mut ingress, mut reader) = (pipeline.ingress(1).unwrap(), pipeline.events().unwrap());
    let mut pipeline = pipeline.inline();
    for _ in 0..30 {
        for _ in 0..random.below(4) {
            ingress.try_send_bytes(0, COMMAND, 1, &random.number().to_le_bytes()).unwrap();
        }
        for _ in 0..random.below(8) {
            let name = AgentName::ALL[random.below(5) as usize];
            if pipeline.do_work_of(name).is_err() {
                cut.faulted = true;
                break;
            }
        }
        cut.seen = poll(&mut reader).last().copied().unwrap_or(cut.seen);
        if cut.faulted {
            assert!(matches!(ingress.try_send_bytes(0, COMMAND, 1, &[]), Err(SendError::Closed)));
            let before = pipeline.last_sequence();
            assert!(pipeline.do_work().is_err(), "it stays stopped");
            assert_eq!(pipeline.last_sequence(), before, "no more commands are taken");
            assert_eq!(poll(&mut reader), [], "and nothing more leaves");
            break;
        }
    }
    cut
}

#[test]
fn whatever_left_is_still_there_after_the_disk_failed_at_any_operation() {
    let mut faulted = 0;
    for seed in 0..300 {
        let faults = [Fault::WriteError, Fault::SyncError, Fault::NoSpace, Fault::PowerLoss];
        let fault = faults[seed as usize % faults.len()];
        let storage = SimulatedStorage::new();
        drop(open(Arc::new(storage.clone()), Durability::Disk));
        let mut random = Random(seed);
        storage.fail_after(random.below(60), fault);
        let cut = run_until_fault(&storage, Durability::Disk, seed);
        faulted += usize::from(cut.faulted);
        storage.power_loss(&mut random);
        let mut recovered = 0;
        let pipeline = open_on(Arc::new(storage), config(Durability::Disk), &mut |event| {
            recovered = event.header().sequence;
        });
        let pipeline = pipeline.unwrap_or_else(|error| panic!("seed {seed}, {fault:?}: {error}"));
        assert_eq!(pipeline.recovered().last_sequence, recovered);
        assert!(recovered >= cut.seen, "seed {seed}, {fault:?}: {} left, {recovered} is there", cut.seen);
    }
    assert!(faulted > 75, "the faults hit: {faulted}");
}

#[test]
fn with_os_durability_what_left_survives_the_process() {
    for seed in 0..50 {
        let storage = SimulatedStorage::new();
        let cut = run_until_fault(&storage, Durability::Os, seed);
        storage.kill_process();
        let pipeline = open(Arc::new(storage), Durability::Os);
        assert!(pipeline.recovered().last_sequence >= cut.seen, "seed {seed}");
    }
}

/// Small segments, so that power fails over several of them, and some of those are synced.
fn small_segments(durability: Durability) -> PipelineConfig {
    let mut config = config(durability);
    config.commands.segment_bytes = 256 << 10;
    config
}

/// Neither mode promises to survive a loss of power; the folder must, whatever sectors have reached the disk.
#[test]
fn without_syncs_a_loss_of_power_takes_a_tail_and_never_the_folder() {
    let (mut lost, mut kept) = (0, 0);
    for (seed, durability) in (0..50).flat_map(|seed| [(seed, Durability::Os), (seed, Durability::Memory)]) {
        let mut random = Random(seed);
        let storage = SimulatedStorage::new();
        let mut before = 0;
        for cycle in 0..4 {
            let mut events = 0;
            let on_event = &mut |event: machine::Record<'_>| events = event.header().sequence;
            let opened = open_on(Arc::new(storage.clone()), small_segments(durability), on_event);
            let mut pipeline =
                opened.unwrap_or_else(|error| panic!("{durability:?} seed {seed} cycle {cycle}: {error}"));
            let found = pipeline.recovered().clone();
            assert_eq!(found.last_sequence, events, "{durability:?} seed {seed} cycle {cycle}");
            lost += before - found.last_sequence.min(before);
            kept += found.last_sequence;
            if let Some(cut) = found.commands_cut {
                assert_eq!(cut.sequence, found.last_sequence + 1, "{durability:?} seed {seed} cycle {cycle}");
            }
            let (mut ingress, mut reader) = (pipeline.ingress(1).unwrap(), pipeline.events().unwrap());
            let mut pipeline = pipeline.inline();
            storage.fail_after(random.below(150), Fault::PowerLoss);
            'running: for _ in 0..60 {
                for _ in 0..random.below(6) {
                    let _ = ingress.try_send_bytes(0, COMMAND, 1, &[0; 3000]);
                }
                for _ in 0..random.below(8) {
                    let name = AgentName::ALL[random.below(5) as usize];
                    if pipeline.do_work_of(name).is_err() {
                        break 'running;
                    }
                }
                before = poll(&mut reader).last().copied().unwrap_or(before);
            }
            storage.power_loss(&mut random);
        }
    }
    assert!(lost > 100 && kept > 1_000, "{lost} acknowledged were lost, {kept} kept");
}

#[test]
fn a_failed_write_stops_the_threads_with_the_reason() {
    let storage = SimulatedStorage::new();
    let mut pipeline = open(Arc::new(storage.clone()), Durability::Disk);
    let (mut ingress, mut reader) = (pipeline.ingress(1).unwrap(), pipeline.events().unwrap());
    let running = pipeline.start().unwrap();
    storage.fail_after(0, Fault::WriteError);
    ingress.try_send_bytes(0, COMMAND, 1, &[0]).unwrap();
    let fault = running.wait(&std::sync::atomic::AtomicBool::new(false)).unwrap();
    assert_eq!(fault.agent, "journal");
    assert!(fault.reason.contains("cannot write"), "{}", fault.reason);
    assert!(matches!(ingress.try_send_bytes(0, COMMAND, 1, &[0]), Err(SendError::Closed)));
    assert_eq!(poll(&mut reader), []);
    assert_eq!(running.committed(), 0);
    assert!(matches!(running.shutdown(), Err(PipelineError::Fault(_))));
}

/// Sends until nothing more is taken, working in between; returns how many commands went in.
fn fill(pipeline: &mut sequencer::InlinePipeline<Tally>, ingress: &mut sequencer::Ingress) -> u64 {
    let body = [0; 1000];
    let mut sent = 0;
    loop {
        match ingress.try_send_bytes(0, COMMAND, 1, &body) {
            Ok(()) => sent += 1,
            Err(SendError::Full) if pipeline.do_work().unwrap() > 0 => {}
            Err(SendError::Full) => return sent,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_full_disk_is_told_early_holds_back_what_comes_all_the_same_and_passes() {
    for durability in [Durability::Memory, Durability::Os, Durability::Disk] {
        let storage = SimulatedStorage::new();
        let mut config = config(durability);
        config.commands.reserve_bytes = 64 << 10;
        let mut pipeline = open_on(Arc::new(storage.clone()), config, &mut |_| ()).unwrap();
        let (mut ingress, mut reader) = (pipeline.ingress(1).unwrap(), pipeline.events().unwrap());
        let mut pipeline = pipeline.inline();
        // Room for two more segments, of both streams together.
        storage.set_capacity(6 * (512 << 10) + (64 << 10));
        let mut early = 0;
        while !ingress.is_disk_full() {
            ingress.try_send_bytes(0, COMMAND, 1, &[0; 1000]).unwrap();
            pipeline.run_until_idle().unwrap();
            early += 1;
            poll(&mut reader);
        }
        assert!(early > 400, "{durability:?}: after {early} commands");
        // What is sent all the same (cancels) still has a part of the reserved room, and then waits.
        ingress.try_send_bytes(0, COMMAND, 1, &[0; 1000]).unwrap();
        assert!(pipeline.run_until_idle().unwrap() > 0);
        let mut sent = early + 1;
        let mut seen = poll(&mut reader).len();
        assert_eq!(seen, 1);
        for _ in 0..20 {
            sent += fill(&mut pipeline, &mut ingress);
            seen += poll(&mut reader).len();
        }
        assert!(pipeline.fault().is_none() && (seen as u64) < sent - early, "held back, not failed");
        let committed = pipeline.committed();
        storage.set_capacity(u64::MAX);
        while pipeline.committed() < sent {
            pipeline.do_work().unwrap();
            poll(&mut reader);
        }
        assert!(pipeline.committed() > committed && !ingress.is_disk_full(), "{durability:?}");
        drop(reader);
        assert_eq!(pipeline.shutdown().unwrap().last_sequence, sent);
        let again = open(Arc::new(storage), durability);
        assert_eq!(again.recovered().last_sequence, sent);
    }
}

/// Small commands with many events: the events stream meets the full disk, and the engine must not wait for it.
#[test]
fn a_shutdown_on_a_full_disk_ends_without_the_events_that_have_no_room() {
    let storage = SimulatedStorage::new();
    let mut pipeline = open(Arc::new(storage.clone()), Durability::Disk);
    let (mut ingress, mut reader) = (pipeline.ingress(1).unwrap(), pipeline.events().unwrap());
    let mut pipeline = pipeline.inline();
    storage.set_capacity(4 * (512 << 10));
    let mut body = [0; 100];
    body[0] = 7;
    let mut sent = 0;
    while !ingress.is_disk_full() {
        ingress.try_send_bytes(0, COMMAND, 1, &body).unwrap();
        sent += 1;
        pipeline.run_until_idle().unwrap();
        poll(&mut reader);
    }
    // Enough that their events do not fit any more, while their records do.
    for _ in 0..300 {
        ingress.try_send_bytes(0, COMMAND, 1, &body).unwrap();
        sent += 1;
    }
    drop(reader);
    let ended = pipeline.shutdown().unwrap();
    assert_eq!(ended.last_sequence, sent);
    storage.set_capacity(u64::MAX);
    let again = open(Arc::new(storage), Durability::Disk);
    assert!(again.recovered().events_appended > 0, "the disk had no room for them");
    assert_eq!((again.recovered().last_sequence, again.recovered().state_hash), (sent, ended.state_hash));
}
