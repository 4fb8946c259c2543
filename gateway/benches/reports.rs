//! From an event to a report that is ready to send and survives the process, and how many bytes of the store it takes.
//!
//! `cargo bench -p gateway --bench reports`. Each measurement is one duty cycle of a gateway with 16 orders accepted, for
//! a client that is away: nothing but the report, the store and its write. `bytes kept` has no event journal to read, so the
//! store keeps each message; `events named` keeps what it was made of.

#[path = "../tests/support/pair.rs"]
mod pair;

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gateway::access::PasswordHash;
use gateway::{Gateway, GatewayConfig, MemoryEvents, UserConfig};
use machine::{Context, EventBuffer};
use pair::push_pair;
use protocol::{AccountId, CancelReason, ClientOrderId, OrderAccepted, OrderCanceled, OrderId};

const CYCLE: u64 = 16;
const START_NS: u64 = 1_700_000_000_000_000_000;

struct Venue {
    gateway: Gateway,
    events: EventBuffer,
    sequence: u64,
    _folder: tempfile::TempDir,
}

impl Venue {
    fn new(names_events: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let hash = PasswordHash::create(b"secret", 8, 1).expect("a hash");
        let users = vec![UserConfig::new("ALICE", "alice", hash, AccountId(2))];
        let store = folder.path().join("store");
        let config = GatewayConfig::new(1, ([127, 0, 0, 1], 0).into(), store, users);
        let gateway = if names_events {
            Gateway::open_on(config, Box::new(MemoryEvents::new()))
        } else {
            Gateway::open(config)
        };
        let gateway = gateway.expect("a gateway");
        let events = EventBuffer::with_capacity(1 << 16);
        let mut venue = Self { gateway, events, sequence: 0, _folder: folder };
        venue.command(|events, _| push_pair(events, 5, 1000));
        venue.hand_over();
        venue
    }

    fn command(&mut self, fill: impl FnOnce(&mut EventBuffer, OrderId)) {
        self.sequence += 1;
        let timestamp_ns = START_NS + self.sequence;
        self.events.begin(&Context { sequence: self.sequence, timestamp_ns, ..Context::default() });
        fill(&mut self.events, OrderId::new(self.sequence, 1));
        self.events.finish();
    }

    fn accept(&mut self) {
        self.command(|events, order_id| {
            events.push(&OrderAccepted {
                order_id,
                price_ticks: 6_500_001,
                quantity_lots: 100,
                account: AccountId(2),
                instrument: 1,
                client_order_id: ClientOrderId::from_text(b"ORDER-123456").expect("an id"),
                side: 1,
                order_type: 2,
                ..OrderAccepted::default()
            });
        });
    }

    /// Ends an order, so that the fold does not grow.
    fn cancel(&mut self, order_id: OrderId) {
        self.command(|events, _| {
            events.push(&OrderCanceled {
                order_id,
                account: AccountId(2),
                instrument: 1,
                reason: CancelReason::DayEnded.code(),
                ..OrderCanceled::default()
            });
        });
    }

    /// Half a duty cycle: events in, and all that they gave is committed.
    fn hand_over(&mut self) {
        for record in self.events.records() {
            self.gateway.on_event(record, START_NS).expect("the store can be written");
        }
        self.gateway.commit().expect("the store can be written");
        self.events.clear();
    }

    /// Time of one duty cycle with orders accepted.
    fn cycle(&mut self) -> Duration {
        let first = self.sequence + 1;
        (0..CYCLE).for_each(|_| self.accept());
        let start = Instant::now();
        self.hand_over();
        let taken = start.elapsed();
        for sequence in first..first + CYCLE {
            self.cancel(OrderId::new(sequence, 1));
        }
        self.hand_over();
        taken
    }
}

fn reports(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reports");
    group.throughput(Throughput::Elements(CYCLE));
    for (name, names_events) in [("bytes kept", false), ("events named", true)] {
        let mut venue = Venue::new(names_events);
        let before = (venue.gateway.store().file_bytes(), venue.gateway.counters().reports);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|cycles| (0..cycles).map(|_| venue.cycle()).sum());
        });
        let bytes = venue.gateway.store().file_bytes() - before.0;
        let reports = venue.gateway.counters().reports - before.1;
        println!("{name}: {:.1} bytes of the store for a report", bytes as f64 / reports as f64);
    }
}

criterion_group!(benches, reports);
criterion_main!(benches);
