//! The whole exchange machine on many instruments: a million accounts, a million resting orders on 100 and on 10,000
//! pairs. Prints nanoseconds per command, the quantiles of single commands, and memory as an allocator counts it and as
//! the system sees it.
//!
//! `RIALTO_PAIRS=100` plays only that many pairs (a square number), `RIALTO_COMMANDS=n` so many commands, and
//! `RIALTO_LADDER=n` gives every book a ladder of n levels.

use std::hint::black_box;
use std::time::Instant;

use benches::exchange_driver::{Stream, run};
use benches::pairs::Market;
use benches::singles::quantiles;
use exchange::Exchange;
use machine::{EventBuffer, StateMachine};
use testkit::{CountingOver, allocated_bytes, allocations};

#[global_allocator]
static ALLOCATOR: CountingOver<pages::HugePages> = CountingOver(pages::HugePages);

/// Passes of which the fastest and the median are shown.
const PASSES: usize = 5;

fn main() {
    // `cargo bench` and `cargo test` pass options for the usual harness; a test run is no place to measure.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    let commands = number("RIALTO_COMMANDS").unwrap_or(2_000_000) as usize;
    let all = [100, 10_000];
    for pairs in all.into_iter().filter(|&pairs| number("RIALTO_PAIRS").is_none_or(|wanted| wanted == pairs))
    {
        let mut market = Market::million(pairs, commands);
        market.ladder_levels = number("RIALTO_LADDER").unwrap_or(0);
        measure(&market);
    }
}

fn measure(market: &Market) {
    println!(
        "{} pairs, {} accounts, {} resting orders, {} commands",
        market.pairs(),
        market.accounts,
        market.resting,
        market.commands
    );
    // First, while the process is small: what the system sees later is the exchange and the generator's leftovers.
    memory(market);
    let stream = market.stream();
    let mut means: Vec<u64> = (0..PASSES).map(|_| mean(market, &stream)).collect();
    means.sort_unstable();
    println!("  ns per command: fastest pass {}, median {}", means[0], means[PASSES / 2]);
    singles(market, &stream);
}

fn staged(market: &Market) -> Exchange {
    let mut exchange = Exchange::new(market.limits()).expect("good limits");
    market.stage(&mut exchange);
    exchange
}

fn memory(market: &Market) {
    let (bytes, resident) = (allocated_bytes(), resident_kib());
    let mut exchange = Exchange::new(market.limits()).expect("good limits");
    let tables = allocated_bytes() - bytes;
    let generator = market.stage(&mut exchange);
    // Creating an instrument allocates its books; all else that staging allocates is the generator's.
    let with_generator = resident_kib() - resident;
    drop(generator);
    let resident = resident_kib() - resident;
    let books = book_bytes(market);
    println!(
        "  memory: {} MiB reserved ({} tables, {} books); resident {} MiB ({} with the generator)",
        (tables + books) >> 20,
        tables >> 20,
        books >> 20,
        resident >> 10,
        with_generator >> 10
    );
    black_box(exchange.counts());
}

/// What the books of all instruments allocate: an exchange with few accounts and no orders creates the same ones.
fn book_bytes(market: &Market) -> u64 {
    let bare = Market { accounts: market.pairs(), resting: 0, ..*market };
    let mut exchange = Exchange::new(bare.limits()).expect("good limits");
    let before = allocated_bytes();
    let staged = bare.stage(&mut exchange);
    let bytes = allocated_bytes() - before;
    // The buffers that commands and events go through, once.
    drop(staged);
    bytes - exchange.max_event_bytes() as u64
}

fn mean(market: &Market, stream: &Stream) -> u64 {
    let mut exchange = staged(market);
    let most = exchange.max_event_bytes();
    let mut events = EventBuffer::with_capacity(most * 2);
    let before = allocations();
    let begun = Instant::now();
    run(&mut exchange, stream, 0..stream.len(), &mut events);
    let took = begun.elapsed();
    assert_eq!(allocations(), before, "a command allocated");
    assert!(exchange.counts().trades > 0, "the stream trades");
    took.as_nanos() as u64 / stream.len() as u64
}

/// Times each command by itself, without looking ahead.
fn singles(market: &Market, stream: &Stream) {
    let mut exchange = staged(market);
    println!("  {}", quantiles(&mut exchange, stream, 0..stream.len()));
}

/// What the process has in memory, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
