//! From an order's bytes to its reports' bytes nothing is allocated once everything has its size.

mod support;

use gateway::fix::Version;
use gateway::{CommandPort, Gateway, GatewayConfig, MemoryEvents};
use machine::{Context, EventBuffer, Source};
use protocol::{
    AccountId, CancelReason, ClientOrderId, CommandKind, OrderAccepted, OrderCanceled, OrderId, RejectReason,
    Rejected, Trade,
};
use support::pair::push_pair;
use support::{ADDRESS, START_NS, message_of, split, user};

#[global_allocator]
static ALLOCATOR: testkit::CountingAllocator = testkit::CountingAllocator;

/// A ring that holds no command, only how many there were of which kind last.
#[derive(Default)]
struct Taken {
    commands: u64,
    kind: u16,
}

impl CommandPort for Taken {
    fn try_send(&mut self, _session: u16, kind: u16, _schema_version: u8, _body: &[u8]) -> bool {
        self.commands += 1;
        self.kind = kind;
        true
    }
}

struct Venue {
    gateway: Gateway,
    port: Taken,
    link: usize,
    next_out: u64,
    events: EventBuffer,
    sequence: u64,
    /// Reports so far, and the bytes of the last duty cycle.
    reports: usize,
    output: Vec<u8>,
}

impl Venue {
    fn new(path: std::path::PathBuf) -> Self {
        let mut config = GatewayConfig::new(1, ([127, 0, 0, 1], 0).into(), path, vec![user("ALICE", 2)]);
        config.limits.done_orders = 100;
        config.limits.resend_messages = 500;
        config.limits.kept_bytes = 1 << 16;
        config.limits.recent_bytes = 1 << 16;
        // They are written on a thread of their own beside a running gateway; here it would be this one.
        config.limits.checkpoint_commands = u64::MAX;
        let mut gateway = Gateway::open_on(config, Box::new(MemoryEvents::new())).unwrap();
        let link = gateway.connect(ADDRESS, START_NS).unwrap();
        let events = EventBuffer::with_capacity(1 << 12);
        let (port, output) = (Taken::default(), Vec::new());
        let mut venue = Self { gateway, port, link, next_out: 1, events, sequence: 0, reports: 0, output };
        venue.take_events(0, |events, _| push_pair(events, 4, 10));
        venue.send("A", "98=0|108=0|553=alice|554=ALICE-secret");
        assert!(String::from_utf8_lossy(&venue.output).contains("\u{1}35=A\u{1}"));
        venue
    }

    /// One duty cycle with a message of the client; how often it asked for memory.
    fn send(&mut self, kind: &str, fields: &str) -> u64 {
        let bytes = message_of(Version::Fix44, "ALICE", self.next_out, kind, fields, START_NS);
        self.next_out += 1;
        let before = testkit::allocations();
        self.gateway.input(self.link).extend_from_slice(&bytes);
        self.gateway.receive(self.link, START_NS, &mut self.port).unwrap();
        self.finish_cycle(before)
    }

    /// One duty cycle with the events of a command of the session, 0 for the operator.
    fn take_events(&mut self, session: u16, push: impl FnOnce(&mut EventBuffer, u64)) -> u64 {
        self.sequence += 1;
        self.events.clear();
        let source = if session == 0 { Source::default() } else { Source { gateway: 1, session } };
        self.events.begin(&Context { sequence: self.sequence, timestamp_ns: START_NS, source });
        push(&mut self.events, self.sequence);
        self.events.finish();
        let before = testkit::allocations();
        for record in self.events.records() {
            self.gateway.on_event(record, START_NS).unwrap();
        }
        self.finish_cycle(before)
    }

    fn finish_cycle(&mut self, before: u64) -> u64 {
        self.gateway.on_tick(START_NS, &mut self.port).unwrap();
        assert!(self.gateway.commit().unwrap());
        let allocations = testkit::allocations() - before;
        self.output.clear();
        self.output.extend_from_slice(self.gateway.output(self.link));
        self.gateway.output(self.link).clear();
        self.reports += self.output.windows(4).filter(|it| *it == b"35=8").count();
        allocations
    }

    /// A new order that trades a part, its cancel, and an order that is rejected.
    fn round(&mut self, number: u64) -> u64 {
        let id = |prefix: char| ClientOrderId::from_text(format!("{prefix}{number}").as_bytes()).unwrap();
        let fields =
            |prefix: char| format!("11={prefix}{number}|54=1|38=0.009|40=2|44=90|59=1|55=BTC/USD|60=now");
        let mut allocations = self.send("D", &fields('a'));
        assert_eq!(self.port.kind, CommandKind::NewOrder.code());
        let mut order_id = OrderId::NONE;
        allocations += self.take_events(1, |events, sequence| {
            order_id = OrderId::new(sequence, 3);
            events.push(&accepted(order_id, id('a')));
            events.push(&Trade {
                trade_id: number + 1,
                maker_order_id: OrderId::new(sequence, 4),
                taker_order_id: order_id,
                price_ticks: 90,
                quantity_lots: 4,
                maker_leaves_lots: 5,
                taker_leaves_lots: 5,
                taker_fee_minor: 1,
                instrument: 1,
                taker_side: 1,
                ..Trade::default()
            });
        });
        allocations += self.send("F", &format!("41=a{number}|11=c{number}|54=1|55=BTC/USD|60=now"));
        assert_eq!(self.port.kind, CommandKind::CancelOrder.code());
        allocations += self.take_events(1, |events, _| {
            events.push(&OrderCanceled {
                order_id,
                leaves_lots: 5,
                account: AccountId(2),
                instrument: 1,
                client_order_id: id('c'),
                reason: CancelReason::Requested.code(),
                ..OrderCanceled::default()
            });
        });
        allocations += self.send("D", &fields('r'));
        allocations
            + self.take_events(1, |events, _| {
                events.push(&Rejected {
                    account: AccountId(2),
                    instrument: 1,
                    client_order_id: id('r'),
                    reason: RejectReason::InsufficientFunds.code(),
                    command_kind: CommandKind::NewOrder.code(),
                    ..Rejected::default()
                });
            })
    }
}

fn accepted(order_id: OrderId, client_order_id: ClientOrderId) -> OrderAccepted {
    OrderAccepted {
        order_id,
        price_ticks: 90,
        quantity_lots: 9,
        account: AccountId(2),
        instrument: 1,
        client_order_id,
        side: 1,
        order_type: 2,
        time_in_force: 1,
        ..OrderAccepted::default()
    }
}

#[test]
fn an_order_and_its_reports_cost_no_memory_in_steady_state() {
    let folder = tempfile::tempdir().unwrap();
    let mut venue = Venue::new(folder.path().join("sessions"));
    // A session knows all its messages until its numbers begin anew: the list of them doubles now and then. All that is
    // measured lies between two doublings, at 8,192 and 16,384.
    for number in 0..2_100 {
        venue.round(number);
    }
    assert_eq!(venue.reports, 2_100 * 4, "{:?}", split(&venue.output));
    let commands = venue.port.commands;
    let allocations: u64 = (2_100..4_000).map(|number| venue.round(number)).sum();
    assert_eq!(venue.reports, 4_000 * 4);
    assert_eq!(venue.port.commands - commands, 1_900 * 3);
    assert_eq!(allocations, 0);
}
