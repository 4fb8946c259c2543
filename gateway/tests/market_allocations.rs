//! Sending what commands change allocates nothing once everything has its size.

mod support;

use gateway::fix::Version;
use gateway::{Gateway, GatewayConfig, MarketSettings};
use machine::{Context, EventBuffer};
use protocol::{AccountId, Limits, OrderAccepted, OrderCanceled, OrderId, Trade};
use support::pair::push_pair;
use support::{ADDRESS, Port, START_NS, message_of, user};

#[global_allocator]
static ALLOCATOR: testkit::CountingAllocator = testkit::CountingAllocator;

struct Feed {
    gateway: Gateway,
    links: Vec<usize>,
    events: EventBuffer,
    sequence: u64,
    /// Bytes sent so far.
    bytes: usize,
}

impl Feed {
    /// Folds what `push` writes as the events of one command, and takes what was sent; how often that asked for memory.
    fn command(&mut self, push: impl FnOnce(&mut EventBuffer)) -> u64 {
        self.sequence += 1;
        self.events.clear();
        let context =
            Context { sequence: self.sequence, timestamp_ns: START_NS, source: machine::Source::default() };
        self.events.begin(&context);
        push(&mut self.events);
        self.events.finish();
        let before = testkit::allocations();
        for record in self.events.records() {
            self.gateway.on_event(record, START_NS).unwrap();
        }
        assert!(self.gateway.commit().unwrap());
        let allocations = testkit::allocations() - before;
        for &link in &self.links {
            self.bytes += self.gateway.output(link).len();
            self.gateway.output(link).clear();
        }
        allocations
    }

    /// A resting order, a part of it traded by another, and its end.
    fn round(&mut self, number: u64) -> u64 {
        let (maker, taker) = (OrderId::new(2 * number + 1, 3), OrderId::new(2 * number + 2, 4));
        let price_ticks = 9_000 + (number % 40) as i64;
        let accepted = |order_id, side| OrderAccepted {
            order_id,
            price_ticks,
            quantity_lots: 9,
            account: AccountId(7),
            instrument: 1,
            side,
            order_type: 2,
            time_in_force: 1,
            ..OrderAccepted::default()
        };
        let trade = Trade {
            trade_id: number + 1,
            maker_order_id: maker,
            taker_order_id: taker,
            price_ticks,
            quantity_lots: 4,
            maker_leaves_lots: 5,
            taker_leaves_lots: 5,
            instrument: 1,
            taker_side: 2,
            ..Trade::default()
        };
        let canceled = |order_id| OrderCanceled {
            order_id,
            leaves_lots: 5,
            account: AccountId(7),
            instrument: 1,
            reason: 3,
            ..OrderCanceled::default()
        };
        self.command(|events| events.push(&accepted(maker, 1)))
            + self.command(|events| {
                events.push(&accepted(taker, 2));
                events.push(&trade);
                events.push(&canceled(taker));
            })
            + self.command(|events| events.push(&canceled(maker)))
    }
}

fn log_on_and_subscribe(feed: &mut Feed, name: &str, version: Version, request: &str) {
    let mut port = Port { queue: Default::default(), room: 0, disk_full: false };
    let link = feed.gateway.connect(ADDRESS, START_NS).unwrap();
    let more = if version.is_fixt() { "|1137=9" } else { "" };
    let logon = format!("98=0|108=0|553={}|554={name}-secret{more}", name.to_lowercase());
    for (number, kind, fields) in [(1, "A", logon.as_str()), (2, "V", request)] {
        let bytes = message_of(version, name, number, kind, fields, START_NS);
        feed.gateway.input(link).extend_from_slice(&bytes);
        feed.gateway.receive(link, START_NS, &mut port).unwrap();
        feed.gateway.on_tick(START_NS, &mut port).unwrap();
    }
    assert!(feed.gateway.commit().unwrap());
    feed.links.push(link);
}

#[test]
fn subscribers_of_three_kinds_cost_no_memory_in_steady_state() {
    let folder = tempfile::tempdir().unwrap();
    let users =
        ["ALICE", "BOB", "CAROL"].iter().zip(2..).map(|(name, account)| user(name, account)).collect();
    let path = folder.path().join("sessions");
    let mut config = GatewayConfig::new(3, ([127, 0, 0, 1], 0).into(), path, users);
    config.order_entry = false;
    config.market = Some(MarketSettings::new(Limits::default()));
    let gateway = Gateway::open(config).unwrap();
    let events = EventBuffer::with_capacity(1 << 12);
    let mut feed = Feed { gateway, links: Vec::new(), events, sequence: 0, bytes: 0 };
    feed.command(|events| push_pair(events, 4, 10));
    let request = |depth: u32, book: &str| {
        format!("262=m|263=1|264={depth}|265=1|266={book}|267=4|269=0|269=1|269=2|269=B|146=1|55=BTC/USD")
    };
    log_on_and_subscribe(&mut feed, "ALICE", Version::Fix44, &request(0, "Y"));
    log_on_and_subscribe(&mut feed, "BOB", Version::Fix42, &request(0, "N"));
    log_on_and_subscribe(&mut feed, "CAROL", Version::Fix50Sp2, &request(5, "Y"));
    for number in 0..1_000 {
        feed.round(number);
    }
    let before = feed.bytes;
    let allocations: u64 = (1_000..6_000).map(|number| feed.round(number)).sum();
    let sent = feed.bytes - before;
    assert!(sent > 5_000 * 3 * 3 * 100, "only {sent} bytes were sent");
    assert_eq!(allocations, 0);
}
