//! What a change of a book costs a gateway with none, one, ten and a hundred subscribers.
//!
//! `cargo bench -p gateway --bench market`. Each command is one new order or one cancel at one of the best ten prices of
//! a book of 200 levels, that is one changed price level; for each subscriber a message is written into its output.

#[path = "../tests/support/pair.rs"]
mod pair;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use gateway::access::PasswordHash;
use gateway::fix::{MessageWriter, Version};
use gateway::{CommandPort, Gateway, GatewayConfig, LinkId, MarketSettings, UserConfig};
use machine::{Context, EventBuffer};
use pair::push_pair;
use protocol::{AccountId, Limits, OrderAccepted, OrderCanceled, OrderId};

const NOW_NS: u64 = 1_700_000_000_000_000_000;

struct NoPort;

impl CommandPort for NoPort {
    fn try_send(&mut self, _session: u16, _kind: u16, _schema_version: u8, _body: &[u8]) -> bool {
        false
    }
}

/// A gateway with a book, and its subscribers.
struct Bench {
    gateway: Gateway,
    links: Vec<LinkId>,
    events: EventBuffer,
    sequence: u64,
    live: Option<OrderId>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new(market: bool, subscribers: usize, by_order: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let hash = PasswordHash::create(b"secret", 8, 1).expect("a hash");
        let users = (0..subscribers.max(1) as u32)
            .map(|at| UserConfig::new(&format!("USER{at}"), "user", hash.clone(), AccountId(2 + at)))
            .collect();
        let path = folder.path().join("sessions");
        let mut config = GatewayConfig::new(1, ([127, 0, 0, 1], 0).into(), path, users);
        config.market = market.then(|| MarketSettings::new(Limits::default()));
        let gateway = Gateway::open(config).expect("a gateway");
        let events = EventBuffer::with_capacity(1 << 12);
        let mut bench = Self { gateway, links: Vec::new(), events, sequence: 0, live: None, _folder: folder };
        bench.create();
        for at in 0..200 {
            let side = 1 + (at % 2) as u8;
            let price_ticks = if side == 1 { 10_000 - at / 2 } else { 10_001 + at / 2 };
            bench.accept(OrderId::new(1_000, at as u32), side, price_ticks);
        }
        (0..subscribers).for_each(|at| bench.subscribe(at, by_order));
        bench
    }

    fn create(&mut self) {
        self.command(|events| push_pair(events, 4, 10));
    }

    /// Folds what `push` writes as the events of one command.
    fn command(&mut self, push: impl FnOnce(&mut EventBuffer)) {
        self.sequence += 1;
        self.events.clear();
        let context = Context { sequence: self.sequence, timestamp_ns: NOW_NS, ..Context::default() };
        self.events.begin(&context);
        push(&mut self.events);
        self.events.finish();
        for record in self.events.records() {
            self.gateway.on_event(record, NOW_NS).expect("the store can be written");
        }
    }

    fn accept(&mut self, order_id: OrderId, side: u8, price_ticks: i64) {
        let account = AccountId(60_000);
        self.command(|events| {
            events.push(&OrderAccepted {
                order_id,
                price_ticks,
                quantity_lots: 7,
                account,
                instrument: 1,
                side,
                order_type: 2,
                time_in_force: 1,
                ..OrderAccepted::default()
            });
        });
    }

    fn subscribe(&mut self, at: usize, by_order: bool) {
        let link = self.gateway.connect([127, 0, 0, 1].into(), NOW_NS).expect("room");
        let mut send = |kind: &[u8], number: u64, fields: &[(u32, &str)]| {
            let mut buffer = Vec::new();
            let mut writer = MessageWriter::begin(&mut buffer, Version::Fix44, kind);
            writer.integer(34, number);
            writer.bytes(49, format!("USER{at}").as_bytes());
            writer.time(52, NOW_NS);
            writer.bytes(56, b"RIALTO");
            fields.iter().for_each(|(tag, value)| writer.bytes(*tag, value.as_bytes()));
            writer.finish();
            self.gateway.input(link).extend_from_slice(&buffer);
            self.gateway.receive(link, NOW_NS, &mut NoPort).expect("the store can be read");
            self.gateway.on_tick(NOW_NS, &mut NoPort).expect("the store can be read");
        };
        send(b"A", 1, &[(98, "0"), (108, "0"), (553, "user"), (554, "secret")]);
        let depth = if by_order { "0" } else { "10" };
        let book = if by_order { "N" } else { "Y" };
        send(
            b"V",
            2,
            &[
                (262, "m"),
                (263, "1"),
                (264, depth),
                (265, "1"),
                (266, book),
                (267, "2"),
                (269, "0"),
                (269, "1"),
                (146, "1"),
                (55, "BTC/USD"),
            ],
        );
        assert!(self.gateway.output(link).len() > 1_000, "a whole book");
        self.links.push(link);
    }

    /// One new order, or its cancel; then the outputs are taken, as a transport would.
    fn step(&mut self) -> usize {
        match self.live.take() {
            None => {
                let order_id = OrderId::new(self.sequence + 2_000, 500);
                self.accept(order_id, 1, 10_000 - (self.sequence / 2 % 10) as i64);
                self.live = Some(order_id);
            }
            Some(order_id) => self.command(|events| {
                events.push(&OrderCanceled {
                    order_id,
                    leaves_lots: 7,
                    account: AccountId(60_000),
                    instrument: 1,
                    side: 1,
                    reason: 1,
                    ..OrderCanceled::default()
                });
            }),
        }
        let mut bytes = 0;
        for &link in &self.links {
            let output = self.gateway.output(link);
            bytes += output.len();
            output.clear();
        }
        bytes
    }
}

fn book_changes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("book_change");
    group.bench_function("no_market_data", |bencher| {
        let mut bench = Bench::new(false, 0, false);
        bencher.iter(|| black_box(bench.step()));
    });
    for by_order in [false, true] {
        let name = if by_order { "orders" } else { "10_levels" };
        for subscribers in [0, 1, 10, 100] {
            group.bench_function(format!("{name}/{subscribers}_subscribers"), |bencher| {
                let mut bench = Bench::new(true, subscribers, by_order);
                bencher.iter(|| black_box(bench.step()));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, book_changes);
criterion_main!(benches);
