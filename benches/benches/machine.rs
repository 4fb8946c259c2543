//! The whole exchange as it runs in production, without rings and journal: nanoseconds per command of `machine::step`
//! (checks, wallet, fees, index of client order ids, book, events) on a single-pair stream.
//!
//! `RIALTO_WORKLOAD=/path/out.bin` plays a trace, and asserts its number of fills; without it a stream of the same
//! shape is generated. Commands are records built beforehand, 100 bytes each in the mean, read once in order. Big tables lie
//! on huge pages, as in the binary. Then single commands are timed, without looking ahead.

use std::path::Path;
use std::time::{Duration, Instant};

use benches::exchange_driver::{ClientIds, QUOTE, Stream, exchange, records, run};
use benches::singles::quantiles;
use benches::trace;
use benches::workload::{Shape, Workload, generate};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use exchange::Exchange;
use machine::{EventBuffer, StateMachine};
use protocol::{AccountId, Side, Trade};

#[global_allocator]
static ALLOCATOR: pages::HugePages = pages::HugePages;

/// Known results: timed commands, trades, resting orders, sell levels, buy levels.
const KNOWN: [(usize, u64, u32, usize, usize); 3] = [
    (3_000_000, 122_607, 1_020, 265, 253),
    (3_000_000, 166_935, 978, 399, 382),
    (5_000_000, 304_115, 1_000_859, 1_194, 1_218),
];

/// Plays everything into a new exchange and times what comes after the filling.
fn pass(workload: &Workload, stream: &Stream, staged: usize) -> (Duration, Exchange) {
    let mut exchange = exchange(workload);
    let mut events = EventBuffer::with_capacity(exchange.max_event_bytes() * 2);
    let warm = staged + workload.fill;
    run(&mut exchange, stream, 0..warm, &mut events);
    let start = Instant::now();
    run(&mut exchange, stream, warm..stream.len(), &mut events);
    (start.elapsed(), exchange)
}

/// Checks an untimed pass against the trace's own count and, where known, the book at its end.
fn check(workload: &Workload, stream: &Stream, staged: usize) {
    let exchange = pass(workload, stream, staged).1;
    let counts = exchange.counts();
    assert_eq!(Some(counts.trades), workload.trades, "trades");
    let timed = workload.commands.len() - workload.fill;
    let levels = (exchange.levels(1, Side::Sell).count(), exchange.levels(1, Side::Buy).count());
    for (commands, trades, orders, sells, buys) in KNOWN {
        if timed == commands && counts.trades == trades {
            assert_eq!((counts.orders, levels), (orders, (sells, buys)), "book at the end");
        }
    }
    let fees_minor = exchange.balance(AccountId::FEES, QUOTE).balance_minor;
    assert!(fees_minor > 0 && size_of::<Trade>() == 96, "the fees are not zero");
    exchange.check_invariants();
}

fn machine_bench(criterion: &mut Criterion) {
    let workload = match std::env::var_os("RIALTO_WORKLOAD") {
        Some(path) => {
            trace::read(Path::new(&path)).unwrap_or_else(|error| panic!("RIALTO_WORKLOAD: {error}"))
        }
        None => generate(Shape::single_pair(1, 1_000_000)),
    };
    let variants = [
        ("client_ids_of_new_orders", ClientIds::New),
        ("client_ids_of_all", ClientIds::Every),
        ("no_client_ids", ClientIds::None),
    ];
    for (name, client_ids) in variants {
        let (stream, staged) = records(&workload, client_ids);
        check(&workload, &stream, staged);
        let mut group = criterion.benchmark_group("machine");
        group.throughput(Throughput::Elements((workload.commands.len() - workload.fill) as u64));
        group
            .sample_size(10)
            .warm_up_time(Duration::from_millis(100))
            .measurement_time(Duration::from_secs(1));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|passes| (0..passes).map(|_| pass(&workload, &stream, staged).0).sum());
        });
        group.finish();
        singles(&workload, &stream, staged);
    }
}

/// Prints how long single commands take, without looking ahead.
fn singles(workload: &Workload, stream: &Stream, staged: usize) {
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let mut exchange = exchange(workload);
    let mut events = EventBuffer::with_capacity(exchange.max_event_bytes() * 2);
    let warm = staged + workload.fill;
    run(&mut exchange, stream, 0..warm, &mut events);
    println!("    {}", quantiles(&mut exchange, stream, warm..stream.len()));
}

criterion_group!(benches, machine_bench);
criterion_main!(benches);
