//! What a message costs the gateway: from the bytes of requests to commands, and from their events to reports that are ready
//! to send and survive the process.
//!
//! `cargo bench -p gateway --bench orders`: of each size of duty cycle the fastest tenth, the median and the mean. A duty cycle takes in requests of some sessions, half of them new orders and half
//! cancels of those of a while ago, and then what they came to; a time is that of one request and its report. As many orders
//! have ended before as the gateway remembers, and 16,384 rest. There is no socket, ring or engine: commands are copied aside
//! as into a ring, events are made from them between the measurements. The store is a real file.
//!
//! In the binary big tables lie on huge pages; `GLIBC_TUNABLES=glibc.malloc.hugetlb=1` puts them there for a benchmark, too.
//!
//! With `RIALTO_CYCLES=n` in the environment it runs n duty cycles and no more: for counting instructions.

#[path = "../tests/support/pair.rs"]
mod pair;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use gateway::access::PasswordHash;
use gateway::fix::{MessageWriter, Version};
use gateway::{CommandPort, Gateway, GatewayConfig, LinkId, MemoryEvents, UserConfig};
use machine::{Context, EventBuffer, Source};
use pair::push_pair;
use protocol::{
    AccountId, CancelOrder, CancelReason, ClientOrderId, CommandKind, NewOrder, OrderAccepted, OrderCanceled,
    OrderId,
};
use zerocopy::FromBytes;

const SESSIONS: usize = 8;
/// Orders of all sessions that rest.
const RESTING: u64 = 16_384;
/// Messages before the first that counts: the gateway remembers 100,000 ended orders, and twice as many ids.
const WARM_UP: u64 = 500_000;
const START_NS: u64 = 1_700_000_000_000_000_000;
/// Time between two duty cycles.
const CYCLE_NS: u64 = 100_000;

/// Commands as they would stand in a ring: session, kind, body.
#[derive(Default)]
struct Ring {
    heads: Vec<(u16, u16)>,
    bodies: Vec<[u8; 64]>,
}

impl CommandPort for Ring {
    fn try_send(&mut self, session: u16, kind: u16, _schema_version: u8, body: &[u8]) -> bool {
        let mut copy = [0; 64];
        copy[..body.len()].copy_from_slice(body);
        self.heads.push((session, kind));
        self.bodies.push(copy);
        true
    }
}

/// One client.
struct Client {
    link: LinkId,
    name: String,
    next_out: u64,
    /// Orders sent so far; the last ones rest.
    orders: u64,
}

impl Client {
    fn write(&mut self, bytes: &mut Vec<u8>, kind: &[u8], now_ns: u64, fields: &[(u32, &[u8])]) {
        let mut writer = MessageWriter::begin(bytes, Version::Fix44, kind);
        writer.integer(34, self.next_out);
        writer.bytes(49, self.name.as_bytes());
        writer.time(52, now_ns);
        writer.bytes(56, b"RIALTO");
        fields.iter().for_each(|&(tag, value)| writer.bytes(tag, value));
        if kind != b"A" {
            writer.time(60, now_ns);
        }
        writer.finish();
        self.next_out += 1;
    }

    fn order(&mut self, bytes: &mut Vec<u8>, now_ns: u64) {
        let id = order_name(b'O', self.orders);
        let price = format!("{}.{:02}", 64_900 + self.orders % 200, self.orders % 100);
        let quantity = format!("0.{:03}", 1 + self.orders % 900);
        self.orders += 1;
        let fields: [(u32, &[u8]); 8] = [
            (11, id.as_bytes()),
            (21, b"1"),
            (38, quantity.as_bytes()),
            (40, b"2"),
            (44, price.as_bytes()),
            (54, b"1"),
            (55, b"BTC/USD"),
            (59, b"0"),
        ];
        self.write(bytes, b"D", now_ns, &fields);
    }

    fn cancel(&mut self, bytes: &mut Vec<u8>, order: u64, now_ns: u64) {
        let (id, original) = (order_name(b'C', order), order_name(b'O', order));
        let fields: [(u32, &[u8]); 4] =
            [(11, id.as_bytes()), (41, original.as_bytes()), (54, b"1"), (55, b"BTC/USD")];
        self.write(bytes, b"F", now_ns, &fields);
    }
}

fn order_name(prefix: u8, number: u64) -> String {
    format!("{}RDER-{number:09}", prefix as char)
}

/// What one duty cycle took.
#[derive(Clone, Copy, Default)]
struct Taken {
    /// From bytes to commands.
    requests: Duration,
    /// From events to reports.
    reports: Duration,
}

struct Venue {
    gateway: Gateway,
    clients: Vec<Client>,
    ring: Ring,
    events: EventBuffer,
    sequence: u64,
    /// Places in the engine's table that orders have left, and the next that none has had.
    free_slots: Vec<u32>,
    next_slot: u32,
    now_ns: u64,
    /// Orders, and as many cancels, of a session in a duty cycle.
    orders: u64,
    bytes: Vec<u8>,
    _folder: tempfile::TempDir,
}

impl Venue {
    fn new(sessions: usize, orders: u64, warm_up: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let names: Vec<String> = (0..sessions).map(|it| format!("CLIENT{it:02}")).collect();
        let hash = PasswordHash::create(b"secret", 8, 1).expect("a hash");
        let account = |index: usize| AccountId(2 + index as u32);
        let users = names.iter().enumerate();
        let users = users.map(|(index, name)| UserConfig::new(name, name, hash.clone(), account(index)));
        let mut config =
            GatewayConfig::new(1, ([127, 0, 0, 1], 0).into(), folder.path().join("store"), users.collect());
        // They are written on a thread of their own beside a running gateway; here it would be this one.
        config.limits.checkpoint_commands = u64::MAX;
        config.limits.resend_messages = 100_000;
        let gateway = Gateway::open_on(config, Box::new(MemoryEvents::new())).expect("a gateway");
        let mut venue = Self {
            gateway,
            clients: Vec::new(),
            ring: Ring::default(),
            events: EventBuffer::with_capacity(1 << 20),
            sequence: 0,
            free_slots: Vec::new(),
            next_slot: 0,
            now_ns: START_NS,
            orders,
            bytes: Vec::new(),
            _folder: folder,
        };
        venue.event(Source::default(), |events, _| push_pair(events, 5, 100));
        venue.take_events();
        names.into_iter().for_each(|name| venue.log_on(name));
        while venue.gateway.counters().reports < warm_up {
            venue.cycle();
        }
        venue
    }

    fn log_on(&mut self, name: String) {
        let link = self.gateway.connect(IpAddr::V4(Ipv4Addr::LOCALHOST), self.now_ns).expect("a link");
        let mut client = Client { link, name, next_out: 1, orders: 0 };
        let user = client.name.clone();
        let fields: [(u32, &[u8]); 4] = [(98, b"0"), (108, b"30"), (553, user.as_bytes()), (554, b"secret")];
        client.write(self.gateway.input(link), b"A", self.now_ns, &fields);
        self.clients.push(client);
        self.gateway.receive(link, self.now_ns, &mut self.ring).expect("the store can be read");
        self.take_events();
        assert!(!self.gateway.output(link).is_empty(), "the Logon is answered");
    }

    /// Makes the events of the next command.
    fn event(&mut self, source: Source, fill: impl FnOnce(&mut EventBuffer, u64)) {
        self.sequence += 1;
        self.events.begin(&Context { sequence: self.sequence, timestamp_ns: self.now_ns, source });
        fill(&mut self.events, self.sequence);
        self.events.finish();
    }

    /// Half a duty cycle: events in, and all that they gave is committed.
    fn take_events(&mut self) {
        for record in self.events.records() {
            self.gateway.on_event(record, self.now_ns).expect("the store can be written");
        }
        self.gateway.on_tick(self.now_ns, &mut self.ring).expect("the store can be read");
        assert!(self.gateway.commit().expect("the store can be written"));
        self.events.clear();
    }

    /// What the commands of the cycle come to: orders are accepted, cancels done.
    fn execute(&mut self) {
        let ring = std::mem::take(&mut self.ring);
        for (&(session, kind), body) in ring.heads.iter().zip(&ring.bodies) {
            let source = Source { gateway: 1, session };
            if kind == CommandKind::NewOrder.code() {
                let order = NewOrder::read_from_bytes(body).expect("an order");
                let slot = self.free_slots.pop().unwrap_or(self.next_slot);
                self.next_slot = self.next_slot.max(slot + 1);
                self.event(source, |events, sequence| {
                    events.push(&accepted(&order, OrderId::new(sequence, slot)));
                });
            } else {
                let (cancel, _) = CancelOrder::read_from_prefix(body).expect("a cancel");
                self.free_slots.push(cancel.order_id.slot());
                self.event(source, |events, _| events.push(&canceled(&cancel)));
            }
        }
        self.ring = ring;
        self.ring.heads.clear();
        self.ring.bodies.clear();
    }

    fn cycle(&mut self) -> Taken {
        self.now_ns += CYCLE_NS;
        let resting = RESTING / self.clients.len() as u64;
        for client in &mut self.clients {
            self.bytes.clear();
            for _ in 0..self.orders {
                if let Some(order) = client.orders.checked_sub(resting) {
                    client.cancel(&mut self.bytes, order, self.now_ns);
                }
                client.order(&mut self.bytes, self.now_ns);
            }
            self.gateway.input(client.link).extend_from_slice(&self.bytes);
        }
        let start = Instant::now();
        for client in &self.clients {
            let received = self.gateway.receive(client.link, self.now_ns, &mut self.ring);
            received.expect("the store can be read");
        }
        let requests = start.elapsed();
        self.execute();
        let start = Instant::now();
        self.take_events();
        let reports = start.elapsed();
        self.clients.iter().for_each(|client| self.gateway.output(client.link).clear());
        Taken { requests, reports }
    }

    /// Messages in, and reports out, of a duty cycle.
    fn messages(&self) -> u64 {
        self.clients.len() as u64 * self.orders * 2
    }
}

fn accepted(order: &NewOrder, order_id: OrderId) -> OrderAccepted {
    OrderAccepted {
        order_id,
        price_ticks: order.price_ticks,
        quantity_lots: order.quantity_lots,
        account: order.account,
        instrument: order.instrument,
        client_order_id: order.client_order_id,
        side: order.side,
        order_type: order.order_type,
        time_in_force: order.time_in_force,
        ..OrderAccepted::default()
    }
}

fn canceled(cancel: &CancelOrder) -> OrderCanceled {
    let CancelOrder { order_id, account, instrument, client_order_id, .. } = *cancel;
    assert_ne!(client_order_id, ClientOrderId::NONE);
    OrderCanceled {
        order_id,
        account,
        instrument,
        client_order_id,
        reason: CancelReason::Requested.code(),
        ..OrderCanceled::default()
    }
}

/// Nanoseconds a message of the fastest tenth, the middle, and all of the cycles.
fn print(name: &str, mut cycles_ns: Vec<u64>, messages: u64) {
    cycles_ns.sort_unstable();
    let mean_ns = cycles_ns.iter().sum::<u64>() / cycles_ns.len() as u64;
    let [tenth, middle, mean] =
        [cycles_ns[cycles_ns.len() / 10], cycles_ns[cycles_ns.len() / 2], mean_ns].map(|it| it / messages);
    println!("{name:40} {tenth:>8} {middle:>8} {mean:>8}");
}

/// A part of what a cycle took.
type Part = fn(&Taken) -> Duration;

fn main() {
    if let Some(cycles) = std::env::var("RIALTO_CYCLES").ok().and_then(|it| it.parse::<u64>().ok()) {
        let mut venue = Venue::new(SESSIONS, 4, 2 * RESTING);
        (0..cycles).for_each(|_| {
            venue.cycle();
        });
        return println!("{} messages", cycles * venue.messages());
    }
    println!("{:40} {:>8} {:>8} {:>8}", "ns a message", "tenth", "median", "mean");
    for (name, sessions, orders) in [("64", SESSIONS, 4), ("512", SESSIONS, 32), ("2", 1, 1)] {
        let mut venue = Venue::new(sessions, orders, WARM_UP);
        let before = venue.gateway.counters();
        let cycles = 400_000 / venue.messages().max(20);
        let taken: Vec<Taken> = (0..cycles).map(|_| venue.cycle()).collect();
        let parts: [(&str, Part); 3] = [
            ("bytes to commands", |taken| taken.requests),
            ("events to reports", |taken| taken.reports),
            ("both", |taken| taken.requests + taken.reports),
        ];
        for (part, of) in parts {
            let cycles_ns = taken.iter().map(|it| of(it).as_nanos() as u64).collect();
            print(&format!("{name} a cycle: {part}"), cycles_ns, venue.messages());
        }
        let after = venue.gateway.counters();
        assert_eq!(after.reports - before.reports, after.messages_in - before.messages_in);
    }
}
