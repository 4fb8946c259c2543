//! A clock that jumps back, stands still or leaps ahead: sequences stay without gaps and times never go back, through
//! restarts too.

mod support;

use std::path::Path;
use std::sync::Arc;

use journal::simulated::{Random, SimulatedStorage};
use journal::{DataFolder, ReplayOptions, StreamReader, replay};
use sequencer::{Clock, Durability, ManualClock, Pipeline, PipelineConfig};
use support::{COMMAND, Tally};

const FOLDER: &str = "/data";

fn settings(clock: &ManualClock) -> PipelineConfig {
    let mut config = support::config(Durability::Disk);
    config.clock = Clock::Manual(clock.clone());
    for options in [&mut config.commands, &mut config.events] {
        options.segment_bytes = 512 << 10;
        options.max_frame_bytes = 132 << 10;
        options.zero_ahead_bytes = 0;
        options.prepare_on_thread = false;
    }
    config
}

/// What the clock says next.
fn turn(random: &mut Random, now_ns: u64) -> u64 {
    match random.below(5) {
        0 | 1 => now_ns,
        2 => now_ns + random.below(1_000_000),
        3 => now_ns.saturating_sub(random.below(1_000_000_000)),
        // As when someone sets it: years, and to the epoch.
        _ => [now_ns + 100_000_000_000_000_000, 0, now_ns / 2][random.below(3) as usize],
    }
}

/// Runs commands through restarts under such a clock. Returns the time that each must have, by the one rule: the clock's, or
/// the last command's where the clock is behind it.
fn run(seed: u64, storage: &SimulatedStorage) -> Vec<u64> {
    let mut random = Random(seed);
    let mut now_ns = 1_700_000_000_000_000_000;
    let (clock, mut expected) = (ManualClock::new(now_ns), Vec::new());
    for restart in 0..4 {
        let folder = DataFolder::with_storage(Path::new(FOLDER), Arc::new(storage.clone()));
        let mut pipeline =
            Pipeline::open_on(folder, settings(&clock), Tally::default(), &mut |_| (), &mut |_| ()).unwrap();
        assert_eq!(pipeline.recovered().last_sequence, expected.len() as u64, "seed {seed}");
        let (mut ingress, mut reader) = (pipeline.ingress(1).unwrap(), pipeline.events().unwrap());
        let mut pipeline = pipeline.inline();
        for _ in 0..40 {
            now_ns = turn(&mut random, now_ns);
            clock.set_ns(now_ns);
            for _ in 0..random.below(4) {
                ingress.try_send_bytes(0, COMMAND, 1, &[0]).unwrap();
                expected.push(expected.last().map_or(now_ns, |last: &u64| now_ns.max(*last)));
            }
            pipeline.run_until_idle().unwrap();
            reader
                .poll(100, |event| {
                    let header = event.header();
                    let wanted = expected[header.sequence as usize - 1];
                    assert_eq!(header.timestamp_ns, wanted, "seed {seed}, restart {restart}");
                })
                .unwrap();
        }
        drop(reader);
        pipeline.shutdown().unwrap();
    }
    expected
}

#[test]
fn times_never_go_back_and_sequences_have_no_gaps_whatever_the_clock_does() {
    let first: u64 = std::env::var("RIALTO_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    for seed in first..first + 50 {
        println!("RIALTO_SEED={seed}");
        let storage = SimulatedStorage::new();
        let expected = run(seed, &storage);
        let shared: journal::SharedStorage = Arc::new(storage);
        let mut commands =
            StreamReader::open_with(&Path::new(FOLDER).join("commands"), Arc::clone(&shared)).unwrap();
        for (index, wanted) in expected.iter().enumerate() {
            let header = *commands.next().unwrap().unwrap().header();
            assert_eq!((header.sequence, header.timestamp_ns), (index as u64 + 1, *wanted), "seed {seed}");
        }
        assert!(commands.next().unwrap().is_none());
    }
}

/// The same on a disk, so that the tools' replay checks it too.
#[test]
fn a_journal_written_under_a_clock_that_went_back_replays() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(5_000);
    let mut pipeline = support::open(folder.path(), settings(&clock)).unwrap();
    let mut ingress = pipeline.ingress(1).unwrap();
    let mut pipeline = pipeline.inline();
    for now_ns in [5_000, 5_000, 17, 0, 6_000, 5_999] {
        clock.set_ns(now_ns);
        ingress.try_send_bytes(0, COMMAND, 1, &[0]).unwrap();
        pipeline.run_until_idle().unwrap();
    }
    let state_hash = pipeline.shutdown().unwrap().state_hash;
    let report =
        replay(folder.path(), &mut Tally::default(), &ReplayOptions::default(), &mut |_| ()).unwrap();
    assert!(report.is_good());
    assert_eq!((report.last_sequence, report.state_hash), (6, state_hash));
}
