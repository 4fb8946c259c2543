//! How long single commands take: each is timed by itself, with the processor's own counter.

use exchange::Exchange;
use hdrhistogram::Histogram;
use machine::{EventBuffer, StateMachine, step};
use quanta::Clock;

use crate::exchange_driver::Stream;

/// Longest time that is told apart, in ns.
const MOST_NS: u64 = 10_000_000_000;

/// Applies the records of a range one by one and returns two lines with quantiles in ns: of what each took, and of what a loop
/// that does nothing takes, as often and each time for as long as the median command. Reading the clock is part of every
/// figure; the first line says what two readings with nothing between them take. What the second line has above its median
/// is the machine's: interrupts, other threads, a hypervisor that takes the core away.
///
/// # Panics
/// If the range is beyond the stream, or the machine breaks its contract.
#[must_use]
pub fn quantiles(exchange: &mut Exchange, stream: &Stream, numbers: std::ops::Range<usize>) -> String {
    let clock = Clock::new();
    let mut times = empty();
    let mut idle = empty();
    let mut events = EventBuffer::with_capacity(exchange.max_event_bytes());
    let count = numbers.len();
    for number in numbers {
        let record = stream.get(number);
        events.clear();
        let begun = clock.raw();
        step(exchange, record, &mut events);
        let ended = clock.raw();
        times.saturating_record(clock.delta_as_nanos(begun, ended));
        if number % 64 == 0 {
            let begun = clock.raw();
            idle.saturating_record(clock.delta_as_nanos(begun, clock.raw()));
        }
    }
    let control = spin(&clock, count, times.value_at_quantile(0.5));
    format!(
        "single commands in ns: {}; of that the clock {}\n    the same of nothing, spinning: {}",
        line(&times),
        idle.value_at_quantile(0.5),
        line(&control)
    )
}

/// Times a loop over nothing that lasts as long as a command, as commands are timed.
fn spin(clock: &Clock, count: usize, ns: u64) -> Histogram<u64> {
    let mut times = empty();
    for _ in 0..count {
        let begun = clock.raw();
        let mut ended = clock.raw();
        while clock.delta_as_nanos(begun, ended) < ns {
            ended = clock.raw();
        }
        times.saturating_record(clock.delta_as_nanos(begun, ended));
    }
    times
}

fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MOST_NS, 3).expect("good bounds")
}

fn line(times: &Histogram<u64>) -> String {
    let at = |quantile| times.value_at_quantile(quantile);
    let [median, p99, p999, p9999] = [0.5, 0.99, 0.999, 0.9999].map(at);
    format!("p50 {median}, p99 {p99}, p99.9 {p999}, p99.99 {p9999}, max {}", times.max())
}
