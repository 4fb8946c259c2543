//! Plays a workload file of the benchmark through the desk alone, without the benchmark: nanoseconds per message, best
//! and median of some passes. `replay FILE [PASSES [ring]]`. Reports are only counted; with `ring` they go through a
//! [`Ring`] that another thread reads.
//!
//! A file is a header of 16 bytes (its last four count the records), then records of 40 bytes: kind, side, immediate, a
//! byte without meaning, quantity (32 bits), sequence, order id, price, reserved (64 bits each), all little-endian.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use yardstick::desk::{Desk, Outlet};
use yardstick::messages::{CancelMessage, ModifyMessage, NewOrderMessage, Report};
use yardstick::ring::Ring;

/// A message as it is played.
enum Message {
    New(NewOrderMessage),
    Cancel(CancelMessage),
    Modify(ModifyMessage),
}

/// Counts reports by kind.
#[derive(Default)]
struct Tally([u64; 6]);

impl Outlet for Tally {
    #[inline(always)]
    fn push(&mut self, report: &Report) {
        black_box(report);
        self.0[usize::from(report.kind)] += 1;
    }
}

fn word(record: &[u8], index: usize) -> u64 {
    u64::from_le_bytes(record.as_chunks::<8>().0[index])
}

fn message(record: &[u8]) -> Message {
    let (kind, side, immediate) = (record[0], record[1], record[2]);
    let quantity = u32::from_le_bytes(record.as_chunks::<4>().0[1]);
    let (sequence, order_id, price_ticks) = (word(record, 1), word(record, 2), word(record, 3) as i64);
    match kind {
        0 => Message::New(NewOrderMessage {
            order_id,
            sequence,
            price_ticks,
            quantity,
            side,
            immediate,
            ..NewOrderMessage::default()
        }),
        1 => Message::Cancel(CancelMessage { order_id, sequence }),
        _ => Message::Modify(ModifyMessage {
            order_id,
            sequence,
            price_ticks,
            quantity,
            side,
            ..ModifyMessage::default()
        }),
    }
}

/// Writes to a ring.
struct Writer<'a>(&'a Ring);

impl Outlet for Writer<'_> {
    #[inline(always)]
    fn push(&mut self, report: &Report) {
        while !self.0.push(report) {
            std::hint::spin_loop();
        }
    }
}

/// Plays all messages; returns nanoseconds per message.
fn play<O: Outlet>(desk: &mut Desk<O>, messages: &[Message]) -> f64 {
    let start = Instant::now();
    for message in messages {
        match message {
            Message::New(message) => desk.new_order(message),
            Message::Cancel(message) => desk.cancel(message),
            Message::Modify(message) => desk.modify(message),
        }
    }
    start.elapsed().as_secs_f64() * 1e9 / messages.len() as f64
}

fn pass(messages: &[Message]) -> (f64, [u64; 6]) {
    let mut desk = Desk::new(Tally::default());
    let elapsed = play(&mut desk, messages);
    (elapsed, desk.outlet().0)
}

fn pass_through_ring(messages: &[Message]) -> (f64, [u64; 6]) {
    let (ring, ended) = (Ring::new(1 << 20), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut out, mut tally) = ([Report::default(); 256], Tally::default());
            loop {
                let was_ended = ended.load(Ordering::Acquire);
                let taken = ring.drain(&mut out);
                out[..taken].iter().for_each(|report| tally.push(report));
                if taken == 0 && was_ended {
                    return tally.0;
                }
            }
        });
        let elapsed = play(&mut Desk::new(Writer(&ring)), messages);
        ring.publish();
        ended.store(true, Ordering::Release);
        (elapsed, reader.join().expect("the reader ends"))
    })
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("usage: replay FILE [PASSES]");
    let passes =
        arguments.next().map_or(9, |passes| passes.parse::<usize>().expect("a number of passes")).max(1);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let messages: Vec<Message> = bytes[16..].chunks_exact(40).map(message).collect();
    let through_ring = arguments.next().is_some_and(|word| word == "ring");
    let run = |_| if through_ring { pass_through_ring(&messages) } else { pass(&messages) };
    let mut runs: Vec<_> = (0..passes).map(run).collect();
    runs.sort_by(|one, other| one.0.total_cmp(&other.0));
    let counts = runs[0].1;
    assert!(runs.iter().all(|run| run.1 == counts), "every pass tells the same");
    let (best, median) = (runs[0].0, runs[passes / 2].0);
    println!(
        "{path}: {} messages, best {best:.1} ns, median {median:.1} ns, reports {counts:?}",
        messages.len()
    );
}
