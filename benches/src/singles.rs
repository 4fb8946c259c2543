//! How long single commands take: each is timed by itself, with the processor's own counter.

use exchange::Exchange;
use hdrhistogram::Histogram;
use machine::{EventBuffer, StateMachine, step};
use quanta::Clock;

use crate::exchange_driver::Stream;

/// Longest time that is told apart, in ns.
const MOST_NS: u64 = 10_000_000_000;

/// Applies the records of a range one by one and returns a line with quantiles of what each took, in ns. Reading the clock is
/// part of every figure; the line says what two readings with nothing between them take.
///
/// # Panics
/// If the range is beyond the stream, or the machine breaks its contract.
#[must_use]
pub fn quantiles(exchange: &mut Exchange, stream: &Stream, numbers: std::ops::Range<usize>) -> String {
    let clock = Clock::new();
    let mut times = Histogram::<u64>::new_with_bounds(1, MOST_NS, 3).expect("good bounds");
    let mut idle = times.clone();
    let mut events = EventBuffer::with_capacity(exchange.max_event_bytes());
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
    let at = |quantile| times.value_at_quantile(quantile);
    format!(
        "single commands in ns: p50 {}, p99 {}, p99.9 {}, p99.99 {}, max {}; of that the clock {}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(0.9999),
        times.max(),
        idle.value_at_quantile(0.5)
    )
}
