//! The exchange asks for no memory once its tables exist.

mod commands;

use commands::{Commands, Known};
use exchange::Exchange;
use machine::{EventBuffer, StateMachine, step};
use orderbook::OrderBook;
use protocol::{EventKind, OrderAccepted};
use testkit::{CountingAllocator, allocations};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const WARM_UP: usize = 2_000;
const COMMANDS: usize = 20_000;

/// Orders, cancels and replaces of every type, lists, mass cancels, the time: trades, rests, waits, rejects. Nothing is warmed up but the test's own memory.
#[test]
fn no_command_allocates() {
    let mut commands = Commands::calm(11);
    let mut exchange: Exchange<OrderBook> = Exchange::new(commands.limits).expect("good limits");
    let mut events = EventBuffer::with_capacity(exchange.max_event_bytes());
    let opening: Vec<_> = commands.opening().into_iter().chain(commands.funding()).collect();
    opening.iter().for_each(|command| {
        events.clear();
        step(&mut exchange, command.record(), &mut events);
    });
    let mut trades = 0;
    for number in 0..WARM_UP + COMMANDS {
        let command = if number % 4 == 0 { commands.special_trading() } else { commands.trading() };
        events.clear();
        let before = allocations();
        step(&mut exchange, command.record(), &mut events);
        let asked = allocations() - before;
        assert!(number < WARM_UP || asked == 0, "{asked} allocations by {:?}", command.record());
        for event in events.records() {
            trades += usize::from(event.header().kind == EventKind::Trade.code());
            if let Some(&OrderAccepted {
                order_id, account, instrument, price_ticks, quantity_lots, ..
            }) = event.body_as()
            {
                commands.known.push(Known { order_id, account, instrument, price_ticks, quantity_lots });
            }
        }
    }
    let counts = exchange.counts();
    assert!(trades > 1_000 && counts.orders > 20, "the stream is too tame: {trades} trades, {counts:?}");
    let before = allocations();
    drop(std::hint::black_box(vec![0u8; 64]));
    assert_eq!(allocations() - before, 1, "the allocator counts");
}
