//! The pipeline as its users see it: restart, fairness, backpressure, shutdown.

mod support;

use std::path::Path;
use std::thread;

use journal::{ReplayOptions, replay};
use machine::{RecordHeader, Source};
use sequencer::ring::spsc::Producer;
use sequencer::{
    AgentName, Clock, ConfigError, Durability, IdleStrategy, ManualClock, PipelineError, RingPlace,
    SendError, ThreadConfig,
};
use support::{COMMAND, EVENT, Tally, config, open};

#[test]
fn a_restart_recovers_everything_and_goes_on_counting() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(1_000);
    let with_clock = || {
        let mut config = config(Durability::Os);
        config.clock = Clock::Manual(clock.clone());
        config
    };
    let mut last = (0, 0);
    for round in 1..=3u64 {
        let mut recovered = Vec::new();
        let mut pipeline = sequencer::Pipeline::open(
            folder.path(),
            with_clock(),
            Tally::default(),
            &mut |event| recovered.push(event.header().sequence),
            &mut |_| (),
        )
        .unwrap();
        assert_eq!(recovered, (1..=(round - 1) * 100).collect::<Vec<_>>());
        let summary = pipeline.recovered();
        assert_eq!((summary.last_sequence, summary.state_hash), ((round - 1) * 100, summary.state_hash));
        assert!(
            round == 1 || (summary.last_sequence, summary.state_hash) == last,
            "the mark's state is back"
        );
        let (mut ingress, mut reader) = (pipeline.ingress(5).unwrap(), pipeline.events().unwrap());
        let running = pipeline.start().unwrap();
        // The wall clock goes back between the rounds; the sequencer's time does not.
        clock.set_ns(1_000 - round);
        for _ in 0..100 {
            ingress.try_send_bytes(9, COMMAND, 1, &[0]).unwrap();
        }
        let mut next = (round - 1) * 100 + 1;
        while next <= round * 100 {
            reader
                .poll(64, |event| {
                    let header = event.header();
                    assert_eq!((header.sequence, header.kind), (next, EVENT));
                    assert_eq!(header.source, Source { gateway: 5, session: 9 });
                    assert!(header.timestamp_ns >= 999, "time never goes back");
                    next += 1;
                })
                .unwrap();
        }
        let report = running.shutdown().unwrap();
        assert!(report.readers_drained);
        last = (report.last_sequence, report.state_hash);
    }
    let report =
        replay(folder.path(), &mut Tally::default(), &ReplayOptions::default(), &mut |_| ()).unwrap();
    assert!(report.is_good());
    assert_eq!((report.commands, report.events_compared, report.marks_checked), (300, 300, 3));
    assert_eq!((report.last_sequence, report.state_hash), last);
}

#[test]
fn a_data_folder_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let _held = open(folder.path(), config(Durability::Os)).unwrap();
    assert!(matches!(open(folder.path(), config(Durability::Os)), Err(PipelineError::Journal(_))));
}

#[test]
fn a_greedy_gateway_does_not_keep_the_others_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(Durability::Memory);
    config.limits.records_per_ring = 8;
    let mut pipeline = open(folder.path(), config).unwrap();
    let mut gateways: Vec<_> = (1..=3).map(|gateway| pipeline.ingress(gateway).unwrap()).collect();
    let mut reader = pipeline.events().unwrap();
    let mut pipeline = pipeline.inline();
    for _ in 0..500 {
        gateways[0].try_send_bytes(0, COMMAND, 1, &[0]).unwrap();
    }
    for _ in 0..8 {
        gateways[1].try_send_bytes(0, COMMAND, 1, &[0]).unwrap();
        gateways[2].try_send_bytes(0, COMMAND, 1, &[0]).unwrap();
    }
    pipeline.do_work().unwrap();
    pipeline.do_work().unwrap();
    let mut count = [0; 4];
    let mut take = |pipeline: &mut sequencer::InlinePipeline<Tally>| {
        pipeline.do_work().unwrap();
        reader.poll(1000, |event| count[usize::from(event.header().source.gateway)] += 1).unwrap();
        count
    };
    let first = take(&mut pipeline);
    assert_eq!(&first[2..], [8, 8], "the small ones are through");
    assert!(first[1] <= 24, "the greedy one had its share: {}", first[1]);
    while take(&mut pipeline)[1] < 500 {}
}

/// A batch that one long record fills must not make the ring after it wait for ever.
#[test]
fn turns_rotate_when_a_batch_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = open(folder.path(), config(Durability::Memory)).unwrap();
    let mut gateways: Vec<_> = (1..=2).map(|gateway| pipeline.ingress(gateway).unwrap()).collect();
    let mut reader = pipeline.events().unwrap();
    let mut pipeline = pipeline.inline();
    let mut seen = [0; 3];
    for _ in 0..20 {
        for gateway in &mut gateways {
            let sent = gateway.try_send_bytes(0, COMMAND, 1, &vec![0; 60_000]);
            assert!(matches!(sent, Ok(()) | Err(SendError::Full)));
        }
        pipeline.do_work().unwrap();
        reader.poll(1000, |event| seen[usize::from(event.header().source.gateway)] += 1).unwrap();
    }
    assert!(seen[1] >= 8 && seen[2] >= 8, "{seen:?}");
}

#[test]
fn full_rings_lose_nothing() {
    const COUNT: u64 = 3_000;
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = open(folder.path(), config(Durability::Os)).unwrap();
    let gateways: Vec<_> = (1..=3).map(|gateway| pipeline.ingress(gateway).unwrap()).collect();
    let mut readers = vec![pipeline.events().unwrap(), pipeline.events().unwrap()];
    let running = pipeline.start().unwrap();
    let sending: Vec<_> = gateways
        .into_iter()
        .map(|mut ingress| {
            thread::spawn(move || {
                let (mut body, mut refused) = ([0; 700], 0u64);
                for index in 0..COUNT {
                    body[..8].copy_from_slice(&(index << 8 | 2).to_le_bytes());
                    while let Err(error) = ingress.try_send_bytes(0, COMMAND, 1, &body) {
                        assert!(matches!(error, SendError::Full), "{error}");
                        refused += 1;
                        thread::yield_now();
                    }
                }
                refused
            })
        })
        .collect();
    let reading: Vec<_> = readers
        .drain(..)
        .map(|mut reader| {
            thread::spawn(move || {
                let (mut next, mut events, mut sequence) = ([0; 4], 0, 0);
                while events < 3 * 3 * COUNT {
                    let polled = reader.poll(7, |event| {
                        let gateway = usize::from(event.header().source.gateway);
                        let index = u64::from_le_bytes(event.body()[8..16].try_into().unwrap()) >> 8;
                        assert!(index == next[gateway], "each gateway's commands stay in order");
                        next[gateway] += u64::from(event.is_last_event());
                        sequence += u64::from(event.header().sequence == sequence + 1);
                        assert_eq!(event.header().sequence, sequence, "no gap");
                        events += 1;
                    });
                    if polled.unwrap() == 0 {
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let refused: u64 = sending.into_iter().map(|thread| thread.join().unwrap()).sum();
    reading.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(refused > 0, "the rings were full");
    assert_eq!(running.shutdown().unwrap().last_sequence, 3 * COUNT);
}

#[test]
fn a_reader_that_does_not_poll_stops_the_engine_and_nothing_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = open(folder.path(), config(Durability::Memory)).unwrap();
    let (mut ingress, mut reader) = (pipeline.ingress(1).unwrap(), pipeline.events().unwrap());
    let mut pipeline = pipeline.inline();
    // Seven is the byte that asks for eight events: 100 commands give six times the event ring.
    let mut sent = 0;
    let mut body = [0; 1000];
    body[0] = 7;
    while sent < 100 && ingress.try_send_bytes(0, COMMAND, 1, &body).is_ok() {
        sent += 1;
    }
    pipeline.run_until_idle().unwrap();
    assert!(pipeline.machine().count < sent, "the engine waits: {} of {sent}", pipeline.machine().count);
    let mut events = 0;
    while reader.poll(5, |_| events += 1).unwrap() + pipeline.do_work().unwrap() > 0 {}
    assert_eq!((events, pipeline.machine().count), (sent * 8, sent));
    while ingress.try_send_bytes(0, COMMAND, 1, &body).is_ok() {}
    pipeline.run_until_idle().unwrap();
    assert!(matches!(pipeline.shutdown(), Err(PipelineError::Stuck { .. })));
}

#[test]
fn records_that_are_no_commands_are_dropped_and_the_gateway_number_is_the_rings() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(Durability::Memory);
    let rings = folder.path().join("rings");
    config.ring_place = RingPlace::Folder(rings.clone());
    let mut pipeline = open(&folder.path().join("data"), config).unwrap();
    let mut ingress = pipeline.ingress(4).unwrap();
    assert!(matches!(ingress.try_send_bytes(0, 0x8000, 1, &[]), Err(SendError::NotACommand(0x8000))));
    assert!(matches!(ingress.try_send_bytes(0, 0, 1, &[]), Err(SendError::NotACommand(0))));
    drop(ingress);
    let mut forged = Producer::attach(&rings.join("ingress-4-0.ring")).unwrap();
    let header = RecordHeader { schema_version: 1, sequence: 99, timestamp_ns: 1, ..Default::default() };
    let source = Source { gateway: 77, session: 3 };
    for kind in [0, 0x8000, COMMAND, u16::MAX] {
        forged.try_push(&RecordHeader { kind, source, ..header }, &[0]).unwrap();
    }
    let mut reader = pipeline.events().unwrap();
    let running = pipeline.start().unwrap();
    let mut seen = Vec::new();
    while seen.is_empty() {
        reader.poll(10, |event| seen.push((event.header().sequence, event.header().source))).unwrap();
    }
    let counters = running.sequencer_counters();
    while counters.refused_kind.get() < 3 {
        thread::yield_now();
    }
    assert_eq!(seen, [(1, Source { gateway: 4, session: 3 })]);
    drop(reader);
    assert_eq!(running.shutdown().unwrap().last_sequence, 1);
    assert!(!rings.exists(), "the rings are gone with the pipeline");
}

/// Thread maps other than the default: everything on one thread, and one thread for each agent.
#[test]
fn any_thread_map_gives_the_same() {
    let one = vec![ThreadConfig::new("all", &AgentName::ALL)];
    let each: Vec<_> = AgentName::ALL.iter().map(|name| ThreadConfig::new(name.text(), &[*name])).collect();
    let mut hashes = Vec::new();
    for threads in [one, each] {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(Durability::Disk);
        config.clock = Clock::Manual(ManualClock::new(5));
        config.threads = threads;
        config.threads[0].core = sequencer::runner::Cores::list().numbers().first().copied();
        let mut pipeline = open(folder.path(), config).unwrap();
        let mut ingress = pipeline.ingress(1).unwrap();
        let running = pipeline.start().unwrap();
        for index in 0..200u64 {
            while ingress.try_send_bytes(0, COMMAND, 1, &index.to_le_bytes()).is_err() {
                thread::yield_now();
            }
        }
        let report = running.shutdown().unwrap();
        assert_eq!(report.last_sequence, 200, "what was sent before the shutdown is finished");
        assert!(matches!(ingress.try_send_bytes(0, COMMAND, 1, &[]), Err(SendError::Closed)));
        hashes.push(report.state_hash);
    }
    assert_eq!(hashes[0], hashes[1]);
}

#[test]
fn configurations_that_cannot_work_are_refused_with_the_reason() {
    let refuse = |change: &dyn Fn(&mut sequencer::PipelineConfig)| {
        let mut config = config(Durability::Disk);
        change(&mut config);
        match open(Path::new("/nonexistent/rialto"), config) {
            Err(PipelineError::Config(error)) => error,
            Err(error) => panic!("another error: {error}"),
            Ok(_) => panic!("accepted"),
        }
    };
    let error = refuse(&|config| config.threads[0].agents.clear());
    assert_eq!(error, ConfigError::AgentThreads { agent: "sequencer", count: 0 });
    let error = refuse(&|config| config.threads[1].agents.push(AgentName::Engine));
    assert_eq!(error, ConfigError::AgentThreads { agent: "engine", count: 2 });
    assert!(refuse(&|config| config.threads[0].core = Some(4096)).to_string().contains("core 4096"));
    let error = refuse(&|config| {
        let core = sequencer::runner::Cores::list().numbers()[0];
        config.threads.iter_mut().for_each(|thread| thread.core = Some(core));
        config.threads[0].idle = IdleStrategy::BusySpin;
    });
    assert!(matches!(error, ConfigError::SharedCore { .. }), "{error}");
    for change in [
        |config: &mut sequencer::PipelineConfig| config.ring_sizes.events = 3 << 20,
        |config: &mut sequencer::PipelineConfig| config.ring_sizes.ingress = 64 << 10,
        |config: &mut sequencer::PipelineConfig| config.limits.sequencer_bytes = 4096,
        |config: &mut sequencer::PipelineConfig| config.limits.engine_commands = 0,
        |config: &mut sequencer::PipelineConfig| config.commands.max_frame_bytes = 4096,
    ] {
        assert!(matches!(refuse(&change), ConfigError::OutOfRange { .. }));
    }
    assert!("fast".parse::<Durability>().is_err());
}
