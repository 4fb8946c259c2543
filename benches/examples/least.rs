//! What the exchange machine costs where the machine it runs on is not quiet: the workload is played several times, and of
//! each block of commands, and of each single command, the least time counts. What others do to the caches and the core
//! hits a block in one pass and not in the next; what the code does itself comes back in every pass.
//!
//! ```text
//! RIALTO_WORKLOAD=out.bin cargo run --release -p benches --example least -- 10
//! ```
//! The number is that of the passes; words behind it pick variants by a part of their names (`all`). Without
//! `RIALTO_WORKLOAD` the stream is generated.

use std::path::Path;
use std::time::Instant;

use benches::exchange_driver::{ClientIds, Stream, exchange, records, run};
use benches::trace;
use benches::workload::{Shape, Workload, generate};
use machine::{EventBuffer, StateMachine, step};
use quanta::Clock;

#[global_allocator]
static ALLOCATOR: pages::HugePages = pages::HugePages;

/// Commands of a block: some 100 µs, so that most blocks of a pass meet nobody.
const BLOCK: usize = 1_024;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let passes = arguments.next().map_or(8, |text| text.parse().expect("a number of passes"));
    let wanted: Vec<String> = arguments.collect();
    let workload = match std::env::var_os("RIALTO_WORKLOAD") {
        Some(path) => {
            trace::read(Path::new(&path)).unwrap_or_else(|error| panic!("RIALTO_WORKLOAD: {error}"))
        }
        None => generate(Shape::single_pair(1, 1_000_000)),
    };
    for (name, client_ids) in
        [("ids on new orders", ClientIds::New), ("ids on all", ClientIds::Every), ("no ids", ClientIds::None)]
    {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part)) {
            continue;
        }
        let (stream, staged) = records(&workload, client_ids);
        let from = staged + workload.fill;
        let count = (stream.len() - from) as f64;
        let mut blocks = vec![u64::MAX; (stream.len() - from).div_ceil(BLOCK)];
        let mut singles = vec![u32::MAX; stream.len() - from];
        for _ in 0..passes {
            time_blocks(&workload, &stream, from, &mut blocks);
            time_singles(&workload, &stream, from, &mut singles);
        }
        singles.sort_unstable();
        let at = |per_10_000: usize| singles[(singles.len() - 1) * per_10_000 / 10_000];
        println!(
            "{name}: {:.1} ns a command; single: p50 {}, p99 {}, p99.9 {}, p99.99 {}",
            blocks.iter().sum::<u64>() as f64 / count,
            at(5_000),
            at(9_900),
            at(9_990),
            at(9_999)
        );
    }
}

fn time_blocks(workload: &Workload, stream: &Stream, from: usize, least_ns: &mut [u64]) {
    let mut exchange = exchange(workload);
    let mut events = EventBuffer::with_capacity(exchange.max_event_bytes() * 2);
    run(&mut exchange, stream, 0..from, &mut events);
    for (start, least_ns) in (from..stream.len()).step_by(BLOCK).zip(least_ns) {
        let begun = Instant::now();
        run(&mut exchange, stream, start..stream.len().min(start + BLOCK), &mut events);
        *least_ns = (*least_ns).min(begun.elapsed().as_nanos() as u64);
    }
}

fn time_singles(workload: &Workload, stream: &Stream, from: usize, least_ns: &mut [u32]) {
    let clock = Clock::new();
    let mut exchange = exchange(workload);
    let mut events = EventBuffer::with_capacity(exchange.max_event_bytes() * 2);
    run(&mut exchange, stream, 0..from, &mut events);
    for (number, least_ns) in (from..stream.len()).zip(least_ns) {
        let record = stream.get(number);
        events.clear();
        let begun = clock.raw();
        step(&mut exchange, record, &mut events);
        let ended = clock.raw();
        *least_ns = (*least_ns).min(clock.delta_as_nanos(begun, ended) as u32);
    }
}
