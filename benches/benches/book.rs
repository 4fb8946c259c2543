//! The book alone: nanoseconds per command of a single-pair stream.
//!
//! `RIALTO_WORKLOAD=/path/out.bin` plays a trace, and asserts its number of fills; without it a stream of the same
//! shape is generated.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use benches::book_driver::{Desk, Step, resolve};
use benches::trace;
use benches::workload::{Shape, Workload, generate};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use orderbook::{Book, NaiveBook, OrderBook};
use protocol::CreateInstrument;

#[global_allocator]
static ALLOCATOR: pages::HugePages = pages::HugePages;

/// Known results: timed commands, fills, resting orders, sell levels, buy levels.
const KNOWN: [(usize, u64, u32, usize, usize); 3] = [
    (3_000_000, 122_607, 1_020, 265, 253),
    (3_000_000, 166_935, 978, 399, 382),
    (5_000_000, 304_115, 1_000_859, 1_194, 1_218),
];

fn trace() -> Option<Workload> {
    let path = std::env::var_os("RIALTO_WORKLOAD")?;
    Some(trace::read(Path::new(&path)).unwrap_or_else(|error| panic!("RIALTO_WORKLOAD: {error}")))
}

fn desk<B: Book>(workload: &Workload) -> Desk<B> {
    let orders = workload.orders.min(2_000_000).min(workload.fill as u32 * 2 + 10_000);
    Desk::new(B::new(&CreateInstrument::default()), orders)
}

/// Plays everything from an empty book and times what comes after the filling.
fn pass<B: Book>(workload: &Workload, steps: &[Step]) -> (Duration, Desk<B>) {
    let mut desk: Desk<B> = desk(workload);
    let (fill, timed) = steps.split_at(workload.fill);
    fill.iter().for_each(|step| desk.play(step));
    let start = Instant::now();
    timed.iter().for_each(|step| desk.play(black_box(step)));
    (start.elapsed(), desk)
}

/// Checks a pass against the trace's own count and, where known, the book at its end.
fn check<B: Book>(workload: &Workload, desk: &Desk<B>) {
    assert_eq!(Some(desk.tally.trades), workload.trades, "fills");
    let timed = workload.commands.len() - workload.fill;
    for (commands, trades, orders, sells, buys) in KNOWN {
        if timed == commands && workload.trades == Some(trades) {
            assert_eq!((desk.table.len(), desk.levels()), (orders, (sells, buys)), "book at the end");
        }
    }
    desk.book.check_invariants(&desk.table);
}

fn bench_book<B: Book>(criterion: &mut Criterion, name: &str, workload: &Workload) {
    let steps = resolve(workload, &mut desk::<OrderBook>(workload));
    check(workload, &pass::<B>(workload, &steps).1);
    let mut group = criterion.benchmark_group("book");
    group.throughput(Throughput::Elements((steps.len() - workload.fill) as u64));
    group.sample_size(15).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_secs(2));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|passes| (0..passes).map(|_| pass::<B>(workload, &steps).0).sum());
    });
    group.finish();
}

fn book(criterion: &mut Criterion) {
    if let Some(workload) = trace() {
        bench_book::<OrderBook>(criterion, "trace/order_book", &workload);
        if workload.fill <= 10_000 {
            bench_book::<NaiveBook>(criterion, "trace/naive_book", &workload);
        }
        return;
    }
    let single_pair = generate(Shape::single_pair(1, 1_000_000));
    bench_book::<OrderBook>(criterion, "single_pair/order_book", &single_pair);
    bench_book::<NaiveBook>(criterion, "single_pair/naive_book", &single_pair);
    let among_far = single_pair.clone().among_far_levels(100_000);
    bench_book::<OrderBook>(criterion, "among_100_000_far_levels/order_book", &among_far);
    let sparse = single_pair.with_prices_times(100);
    bench_book::<OrderBook>(criterion, "every_100th_tick/order_book", &sparse);
    bench_book::<NaiveBook>(criterion, "every_100th_tick/naive_book", &sparse);
    let wide = generate(Shape::wide(1, 1_000_000));
    bench_book::<OrderBook>(criterion, "100_000_levels/order_book", &wide);
    bench_book::<NaiveBook>(criterion, "100_000_levels/naive_book", &wide);
}

criterion_group!(benches, book);
criterion_main!(benches);
