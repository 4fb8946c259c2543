//! Measures the rings and the pipeline on this machine:
//!
//! `cargo run --release -p sequencer --example pipeline_rate -- [folder for the journals] [idle strategy of the core]`
//!
//! The folder decides which disk is measured; `/tmp` if none is given. Every run makes and removes its own journals.

use std::path::Path;
use std::time::{Duration, Instant};

use machine::{Context, EventBuffer, Record, RecordHeader, StateHasher, StateMachine};
use sequencer::ring::{Place, spsc};
use sequencer::{Durability, EventReader, IdleStrategy, Ingress, Pipeline, PipelineConfig};

/// Body of a command and of its event: with the header, a record of 64 bytes.
const BODY: [u8; 32] = [7; 32];

/// Says each command back; costs next to nothing, so that what is measured is the way.
#[derive(Default)]
struct Mirror {
    count: u64,
}

impl StateMachine for Mirror {
    const NAME: &'static str = "mirror";

    fn apply(&mut self, _context: &Context, command: Record<'_>, events: &mut EventBuffer) {
        self.count += 1;
        events.push_bytes(0x8000, 1, command.body());
    }

    fn state_hash(&self) -> u64 {
        let mut hasher = StateHasher::new();
        hasher.write_value(&self.count);
        hasher.finish()
    }

    fn max_event_bytes(&self) -> usize {
        machine::MAX_RECORD_LENGTH
    }
}

fn ring_one_way() {
    const COUNT: u64 = 50_000_000;
    let (mut producer, mut consumer) = spsc::create(&Place::Anonymous, 1 << 20).expect("a ring");
    let start = Instant::now();
    let writing = std::thread::spawn(move || {
        let mut header = RecordHeader { kind: 1, ..RecordHeader::default() };
        for sequence in 1..=COUNT {
            header.sequence = sequence;
            while producer.try_push(&header, &BODY).is_err() {
                std::hint::spin_loop();
            }
        }
    });
    let (mut read, mut sum) = (0, 0u64);
    while read < COUNT {
        let polled = consumer.poll(256, |record| sum += record.header().sequence).expect("sound");
        read += polled as u64;
        if polled == 0 {
            // Looking without a pause takes the tail's line from the writer all the time: a tenth of the rate.
            std::hint::spin_loop();
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    writing.join().expect("the writer ends");
    assert_eq!(sum, COUNT * (COUNT + 1) / 2);
    println!("ring, one way: {:.1} M records of 64 bytes a second", COUNT as f64 / seconds / 1e6);
}

fn ring_round_trip() {
    const COUNT: usize = 1_000_000;
    let (mut there, mut there_end) = spsc::create(&Place::Anonymous, 1 << 16).expect("a ring");
    let (mut back, mut back_end) = spsc::create(&Place::Anonymous, 1 << 16).expect("a ring");
    let header = RecordHeader { kind: 1, ..RecordHeader::default() };
    let answering = std::thread::spawn(move || {
        let mut answered = 0;
        while answered < COUNT {
            let answer = |record: Record<'_>| back.try_push(record.header(), record.body()).expect("room");
            answered += there_end.poll(16, answer).expect("sound");
        }
    });
    let mut times = Vec::with_capacity(COUNT);
    for _ in 0..COUNT {
        let start = Instant::now();
        there.try_push(&header, &BODY).expect("room");
        while back_end.poll(1, |_| ()).expect("sound") == 0 {
            std::hint::spin_loop();
        }
        times.push(start.elapsed());
    }
    answering.join().expect("it ends");
    print_times("ring, round trip", &mut times);
}

fn print_times(name: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: f64| times[(times.len() as f64 * share) as usize].as_nanos() as f64 / 1e3;
    println!("{name}: p50 {:.2} us, p99 {:.2} us, p99.9 {:.2} us", at(0.5), at(0.99), at(0.999));
}

fn with_pipeline(
    folder: &Path,
    durability: Durability,
    idle: IdleStrategy,
    run: impl FnOnce(&mut Ingress, &mut EventReader),
) {
    let folder = folder.join(format!("rialto-pipeline-rate-{}", std::process::id()));
    let mut config = PipelineConfig { durability, ..PipelineConfig::default() };
    config.threads[0].idle = idle;
    let mut pipeline = Pipeline::open(&folder, config, Mirror::default(), &mut |_| (), &mut |_| ())
        .unwrap_or_else(|error| panic!("{error}"));
    let mut ingress = pipeline.ingress(1).expect("a ring");
    let mut reader = pipeline.events().expect("a reader");
    let running = pipeline.start().expect("threads");
    run(&mut ingress, &mut reader);
    drop(reader);
    running.shutdown().unwrap_or_else(|error| panic!("{error}"));
    std::fs::remove_dir_all(folder).expect("the journal can be removed");
}

/// Keeps a window of commands in flight; the sender gives its core away when it can do nothing.
fn throughput(name: &str, ingress: &mut Ingress, reader: &mut EventReader) {
    const COUNT: usize = 2_000_000;
    const WINDOW: usize = 8_192;
    let start = Instant::now();
    let (mut sent, mut received) = (0, 0);
    while received < COUNT {
        let before = (sent, received);
        while sent < COUNT && sent - received < WINDOW && ingress.try_send_bytes(0, 1, 1, &BODY).is_ok() {
            sent += 1;
        }
        received += reader.poll(WINDOW, |_| ()).expect("sound");
        if before == (sent, received) {
            std::thread::yield_now();
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("pipeline, {name}: {:.2} M commands a second", COUNT as f64 / seconds / 1e6);
}

fn latency(name: &str, ingress: &mut Ingress, reader: &mut EventReader) {
    let mut times = Vec::new();
    for _ in 0..5_000 {
        let start = Instant::now();
        ingress.try_send_bytes(0, 1, 1, &BODY).expect("room");
        while reader.poll(1, |_| ()).expect("sound") == 0 {
            std::thread::yield_now();
        }
        times.push(start.elapsed());
    }
    print_times(&format!("pipeline, {name}, one in flight"), &mut times);
}

/// Processor time of this process so far, in clock ticks of 10 ms.
fn processor_ticks() -> u64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "/tmp".to_owned());
    let idle = arguments
        .next()
        .map_or(IdleStrategy::default(), |text| text.parse().unwrap_or_else(|error| panic!("{error}")));
    println!("journals in {folder}; core {idle}");
    ring_one_way();
    ring_round_trip();
    let folder = Path::new(&folder);
    for (name, durability) in
        [("memory", Durability::Memory), ("os", Durability::Os), ("disk", Durability::Disk)]
    {
        with_pipeline(folder, durability, idle, |ingress, reader| throughput(name, ingress, reader));
        with_pipeline(folder, durability, idle, |ingress, reader| latency(name, ingress, reader));
    }
    with_pipeline(folder, Durability::Disk, idle, |_, _| {
        let before = processor_ticks();
        std::thread::sleep(Duration::from_secs(3));
        println!("pipeline, idle: {:.1} % of one core", (processor_ticks() - before) as f64 / 3.0);
    });
}
