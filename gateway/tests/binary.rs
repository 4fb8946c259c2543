//! The binary gateway in a real pipeline (rings, journal, exchange), without sockets and with a clock of its own.

mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use exchange::Exchange;
use gateway::access::{InlineVerifier, Permissions, ThrottleLimits};
use gateway::binary::wire::{
    LoginAccepted, LoginRequest, Packet, Refusal, RefusalReason, VERSION, find_packet, packet, padded,
    push_command, push_packet,
};
use gateway::binary::{BinaryConfig, BinaryGateway};
use gateway::{CommandPort, Endpoint, LinkId};
use machine::{Body, HEADER_LENGTH, Record, RecordHeader, Source, flags};
use protocol::{
    AccountId, CancelOrder, CancelReason, ClientOrderId, CreateAccount, CreateAsset, CreateInstrument,
    Deposit, InstrumentCreated, Limits, MassCancel, Name, NewOrder, OrderAccepted, OrderCanceled, OrderId,
    OrderType, Rejected, Side, TimeInForce, Trade, Withdraw,
};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sequencer::{Clock, EventReader, Ingress, InlinePipeline, Pipeline, PipelineConfig, RingPlace};
use support::user;
use zerocopy::{FromBytes as _, IntoBytes as _};

const GATEWAY: u16 = 4;
const SECOND_NS: u64 = 1_000_000_000;
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Port {
    ingress: Ingress,
    full: bool,
    disk_full: bool,
}

impl CommandPort for Port {
    fn try_send(&mut self, session: u16, kind: u16, schema_version: u8, body: &[u8]) -> bool {
        !self.full && self.ingress.try_send_bytes(session, kind, schema_version, body).is_ok()
    }

    fn is_disk_full(&self) -> bool {
        self.disk_full
    }
}

struct Venue {
    pipeline: InlinePipeline<Exchange>,
    gateway: BinaryGateway,
    port: Port,
    events: EventReader,
    operator: Ingress,
    now_ns: u64,
    links: Vec<LinkId>,
}

fn config(folder: &Path) -> BinaryConfig {
    let users = vec![user("ALICE", 2), user("BOB", 3)];
    let events = folder.join("journal").join(journal::EVENTS_FOLDER);
    BinaryConfig::new(GATEWAY, ([127, 0, 0, 1], 0).into(), events, users)
}

impl Venue {
    fn open(config: BinaryConfig) -> Self {
        let folder = config.events_folder.parent().unwrap().to_owned();
        let mut gateway = BinaryGateway::open_with(config, Box::new(InlineVerifier::default())).unwrap();
        let limits =
            Limits { accounts: 10, orders: 1000, balances: 100, fills_per_command: 64, ..Limits::default() };
        let clock = Clock::system();
        let now_ns = clock.now_ns();
        let mut settings = PipelineConfig { clock, ring_place: RingPlace::Auto, ..PipelineConfig::default() };
        for options in [&mut settings.commands, &mut settings.events] {
            options.segment_bytes = 4 << 20;
            options.reserve_bytes = 0;
        }
        let mut pipeline = Pipeline::open(
            &folder,
            settings,
            Exchange::new(limits).unwrap(),
            &mut |event| gateway.on_event(event, now_ns).unwrap(),
            &mut |_| (),
        )
        .unwrap();
        gateway.finish_recovery().unwrap();
        let fresh = pipeline.recovered().last_sequence == 0;
        let operator = pipeline.ingress(0).unwrap();
        let port = Port { ingress: pipeline.ingress(GATEWAY).unwrap(), full: false, disk_full: false };
        let events = pipeline.events().unwrap();
        let pipeline = pipeline.inline();
        let mut venue = Self { pipeline, gateway, port, events, operator, now_ns, links: Vec::new() };
        if fresh {
            venue.create_everything();
        }
        venue.settle();
        venue
    }

    fn create_everything(&mut self) {
        let name = |text| Name::from_text(text).unwrap();
        for (asset, scale, text) in [(1, 8, "BTC"), (2, 5, "USD")] {
            self.operate(&CreateAsset { asset, scale, name: name(text), ..CreateAsset::default() });
        }
        self.operate(&CreateInstrument {
            quote_minor_per_tick_lot: 1,
            base_minor_per_lot: 100_000,
            instrument: 1,
            base_asset: 1,
            quote_asset: 2,
            taker_fee_ppm: 1000,
            name: name("BTC/USD"),
            ..CreateInstrument::default()
        });
        for account in [AccountId(2), AccountId(3)] {
            self.operate(&CreateAccount { account, name: name("owner"), ..CreateAccount::default() });
            for asset in [1, 2] {
                let amount_minor = 100_000_000_000;
                self.operate(&Deposit { amount_minor, account, asset, ..Deposit::default() });
            }
        }
    }

    fn operate<T: Body>(&mut self, body: &T) {
        self.operator.try_send(0, body).unwrap();
    }

    fn cycle(&mut self) -> usize {
        let mut work = self.pipeline.do_work().unwrap();
        let (gateway, now_ns) = (&mut self.gateway, self.now_ns);
        work += self.events.poll(1024, |event| gateway.on_event(event, now_ns).unwrap()).unwrap();
        for &link in &self.links {
            if self.gateway.closing(link).is_none() {
                self.gateway.receive(link, self.now_ns, &mut self.port).unwrap();
            }
        }
        self.gateway.on_tick(self.now_ns, &mut self.port).unwrap();
        work
    }

    /// Duty cycles until nothing moves.
    fn settle(&mut self) {
        let mut idle = 0;
        while idle < 4 {
            idle = if self.cycle() == 0 { idle + 1 } else { 0 };
        }
        assert!(self.gateway.commit().unwrap());
    }

    fn connect(&mut self) -> Peer {
        let link = self.gateway.connect(ADDRESS, self.now_ns).unwrap();
        self.links.push(link);
        Peer { link, received: Vec::new(), closed: None }
    }

    /// Logs on and takes the answer.
    fn log_on(&mut self, name: &str, from: u64) -> (Peer, LoginAccepted) {
        let mut peer = self.connect();
        peer.send(self, &login(name, &format!("{name}-secret"), from));
        let (kind, payload) = peer.next(self);
        assert_eq!(kind as char, 'A', "{payload:?}");
        (peer, LoginAccepted::read_from_bytes(&payload).unwrap())
    }

    /// What a login without success is answered with.
    fn refused(&mut self, bytes: &[u8]) -> (String, Option<&'static str>) {
        let mut peer = self.connect();
        peer.send(self, bytes);
        peer.take(self);
        (peer.received.escape_ascii().to_string(), peer.closed)
    }
}

fn login(name: &str, password: &str, from: u64) -> Vec<u8> {
    let request = LoginRequest {
        version: VERSION.into(),
        reserved: [0; 6],
        from_sequence: from.into(),
        username: padded(&name.to_lowercase()).unwrap(),
        password: padded(password).unwrap(),
    };
    let mut bytes = Vec::new();
    push_packet(&mut bytes, packet::LOGIN_REQUEST, &[request.as_bytes()]);
    bytes
}

struct Peer {
    link: LinkId,
    received: Vec<u8>,
    closed: Option<&'static str>,
}

/// An event as it was received.
struct Seen {
    index: u32,
    header: RecordHeader,
    words: Vec<u64>,
}

impl Seen {
    fn read(payload: &[u8]) -> Self {
        let (index, record) = payload.split_first_chunk::<4>().unwrap();
        let mut words = vec![0u64; record.len() / 8];
        words.as_mut_bytes().copy_from_slice(record);
        let header = *Record::parse(words.as_bytes()).unwrap().header();
        assert_eq!(header.length as usize, record.len());
        Self { index: u32::from_le_bytes(*index), header, words }
    }

    fn body<T: Body>(&self) -> T {
        *Record::parse(self.words.as_bytes()).unwrap().body_as::<T>().unwrap()
    }

    fn is_last(&self) -> bool {
        self.header.flags & flags::LAST_EVENT != 0
    }
}

impl Peer {
    fn send(&mut self, venue: &mut Venue, bytes: &[u8]) {
        if self.closed.is_none() {
            venue.gateway.input(self.link).extend_from_slice(bytes);
        }
        venue.settle();
    }

    fn command<T: Body>(&mut self, venue: &mut Venue, body: &T) {
        let mut bytes = Vec::new();
        push_command(&mut bytes, T::KIND, body.as_bytes());
        self.send(venue, &bytes);
    }

    /// Takes what has come.
    fn take(&mut self, venue: &mut Venue) {
        if self.closed.is_some() || !venue.gateway.commit().unwrap() {
            return;
        }
        self.received.append(venue.gateway.output(self.link));
        if let Some(reason) = venue.gateway.closing(self.link) {
            self.closed = Some(reason);
            self.drop_link(venue);
        }
    }

    fn drop_link(&mut self, venue: &mut Venue) {
        self.closed.get_or_insert("dropped");
        venue.links.retain(|&link| link != self.link);
        venue.gateway.disconnect(self.link);
        venue.settle();
    }

    fn try_next(&mut self) -> Option<(u8, Vec<u8>)> {
        match find_packet(&self.received, 1 << 16) {
            Packet::Whole(kind, payload, length) => {
                let payload = payload.to_vec();
                self.received.drain(..length);
                Some((kind, payload))
            }
            Packet::Incomplete => None,
            Packet::Bad => panic!("{}", self.received.escape_ascii()),
        }
    }

    /// The next packet; turns the venue until there is one.
    fn next(&mut self, venue: &mut Venue) -> (u8, Vec<u8>) {
        for _ in 0..20_000_000 {
            if let Some(packet) = self.try_next() {
                return packet;
            }
            venue.cycle();
            self.take(venue);
            // A replay's thread works meanwhile.
            std::thread::yield_now();
        }
        panic!("nothing comes");
    }

    fn event(&mut self, venue: &mut Venue) -> Seen {
        match self.next(venue) {
            (packet::SEQUENCED, payload) => Seen::read(&payload),
            (kind, payload) => panic!("{} {}", kind as char, payload.escape_ascii()),
        }
    }

    fn refusal(&mut self, venue: &mut Venue) -> Refusal {
        let (kind, payload) = self.next(venue);
        assert_eq!(kind as char, 'U');
        Refusal::read_from_bytes(&payload).unwrap()
    }

    /// Event packets up to the heartbeat that says that there are no more.
    fn replayed(&mut self, venue: &mut Venue) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            match self.next(venue) {
                (packet::SEQUENCED, payload) => all.push(payload),
                (packet::SERVER_HEARTBEAT, payload) => {
                    if payload != [0; 8] {
                        assert_eq!(payload, venue.gateway.applied_sequence().to_le_bytes());
                        return all;
                    }
                }
                (kind, payload) => panic!("{} {}", kind as char, payload.escape_ascii()),
            }
        }
    }

    /// Event packets that have come.
    fn events(&mut self, venue: &mut Venue) -> Vec<Vec<u8>> {
        self.take(venue);
        let all: Vec<_> = std::iter::from_fn(|| self.try_next()).collect();
        all.into_iter().filter(|it| it.0 == packet::SEQUENCED).map(|it| it.1).collect()
    }
}

fn order(account: u32, id: &str, side: Side, quantity_lots: i64, price_ticks: i64) -> NewOrder {
    NewOrder {
        price_ticks,
        quantity_lots,
        account: AccountId(account),
        instrument: 1,
        client_order_id: ClientOrderId::from_text(id.as_bytes()).unwrap(),
        side: side.code(),
        order_type: OrderType::Limit.code(),
        time_in_force: TimeInForce::GoodTillCancel.code(),
        self_trade_prevention: 0,
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn two_clients_trade_and_see_their_own_side() {
    let folder = folder();
    let mut venue = Venue::open(config(folder.path()));
    let (mut alice, accepted) = venue.log_on("ALICE", 0);
    assert_eq!((accepted.gateway.get(), accepted.session.get(), accepted.account.get()), (GATEWAY, 1, 2));
    assert_eq!(accepted.from_sequence.get(), accepted.last_sequence.get() + 1);
    let (mut bob, _) = venue.log_on("BOB", 0);
    alice.command(&mut venue, &order(2, "a1", Side::Buy, 5000, 100));
    let seen = alice.event(&mut venue);
    let own = Source { gateway: GATEWAY, session: 1 };
    assert_eq!((seen.index, seen.is_last(), seen.header.source), (0, true, own));
    let resting = seen.body::<OrderAccepted>();
    assert_eq!((resting.account, resting.quantity_lots), (AccountId(2), 5000));
    assert_eq!(seen.header.sequence, resting.order_id.sequence());

    bob.command(&mut venue, &order(3, "b1", Side::Sell, 3000, 100));
    let taken = bob.event(&mut venue);
    assert!(!taken.is_last());
    let trade = bob.event(&mut venue);
    assert!(trade.is_last());
    let (theirs, place) = (trade.body::<Trade>(), trade.index);
    assert_eq!(theirs.taker_order_id, taken.body::<OrderAccepted>().order_id);
    assert_eq!((theirs.maker_order_id, theirs.maker_account), (OrderId::NONE, AccountId(0)));
    assert_eq!((theirs.maker_leaves_lots, theirs.taker_leaves_lots, theirs.quantity_lots), (0, 0, 3000));
    assert!(theirs.taker_fee_minor > 0);
    let fill = alice.event(&mut venue);
    assert_eq!((fill.index, fill.is_last(), fill.header.source), (place, true, Source::default()));
    let ours = fill.body::<Trade>();
    assert_eq!((ours.maker_order_id, ours.maker_leaves_lots), (resting.order_id, 2000));
    assert_eq!(
        (ours.taker_order_id, ours.taker_account, ours.taker_fee_minor),
        (OrderId::NONE, AccountId(0), 0)
    );

    let cancel = CancelOrder {
        order_id: resting.order_id,
        account: AccountId(2),
        instrument: 1,
        client_order_id: ClientOrderId::from_text(b"c1").unwrap(),
        reserved: 0,
    };
    alice.command(&mut venue, &cancel);
    assert_eq!(alice.event(&mut venue).body::<OrderCanceled>().reason, CancelReason::Requested.code());
    alice.command(&mut venue, &cancel);
    assert_eq!(alice.event(&mut venue).body::<Rejected>().client_order_id, cancel.client_order_id);
    assert!(bob.events(&mut venue).is_empty(), "it is none of bob's business");
}

#[test]
fn what_a_client_may_not_send_is_refused_by_name_and_number() {
    let folder = folder();
    let mut settings = config(folder.path());
    settings.users[1].access.permissions = Permissions::CANCEL;
    let mut venue = Venue::open(settings);
    let (mut alice, _) = venue.log_on("ALICE", 0);
    let before = venue.gateway.applied_sequence();
    alice.command(&mut venue, &order(3, "x", Side::Buy, 1, 1));
    alice.command(&mut venue, &Withdraw { amount_minor: 1, account: AccountId(2), asset: 1, reference: 0 });
    alice.send(&mut venue, b"\x00\x05Uoops");
    venue.port.disk_full = true;
    alice.command(&mut venue, &order(2, "y", Side::Buy, 1, 1));
    let refusals: Vec<(u64, u16, u16)> = (0..4)
        .map(|_| alice.refusal(&mut venue))
        .map(|it| (it.message_number.get(), it.kind.get(), it.reason.get()))
        .collect();
    let code = |reason| reason as u16;
    assert_eq!(
        refusals,
        [
            (1, NewOrder::KIND, code(RefusalReason::OtherAccount)),
            (2, Withdraw::KIND, code(RefusalReason::KindNotAllowed)),
            (3, 0, code(RefusalReason::Malformed)),
            (4, NewOrder::KIND, code(RefusalReason::DiskFull)),
        ]
    );
    let everything = MassCancel {
        account: AccountId(2),
        reason: CancelReason::MassCancel.code(),
        ..MassCancel::default()
    };
    assert_eq!(venue.gateway.applied_sequence(), before, "none of it has reached the engine");
    alice.command(&mut venue, &everything);
    assert_eq!(venue.gateway.applied_sequence(), before + 1, "cancels are taken with a full disk");
    let (mut bob, _) = venue.log_on("BOB", 0);
    bob.command(&mut venue, &order(3, "z", Side::Buy, 1, 1));
    let refusal = bob.refusal(&mut venue);
    assert_eq!(refusal.reason.get(), code(RefusalReason::NotPermitted));
    assert_eq!(refusal.client_order_id.as_bytes_trimmed(), b"z");
}

#[test]
fn a_full_ring_holds_commands_back_and_loses_none() {
    let folder = folder();
    let mut settings = config(folder.path());
    settings.limits.commands_in_flight = 8;
    let mut venue = Venue::open(settings);
    let (mut alice, _) = venue.log_on("ALICE", 0);
    venue.port.full = true;
    let mut bytes = Vec::new();
    for number in 0..50 {
        push_command(&mut bytes, NewOrder::KIND, order(2, &format!("{number}"), Side::Buy, 1, 1).as_bytes());
    }
    alice.send(&mut venue, &bytes);
    assert!(venue.gateway.is_stalled(alice.link));
    venue.port.full = false;
    venue.settle();
    for number in 0..50 {
        let id = alice.event(&mut venue).body::<OrderAccepted>().client_order_id;
        assert_eq!(id.as_bytes_trimmed(), number.to_string().as_bytes());
    }
}

/// A random flow of both clients; what each received live.
fn random_flow(venue: &mut Venue, peers: &mut [Peer; 2], random: &mut StdRng, orders: u32, run: u32) {
    for number in 0..orders {
        let which = random.random_range(0..2usize);
        let side = if random.random_bool(0.5) { Side::Buy } else { Side::Sell };
        let account = which as u32 + 2;
        let new = NewOrder {
            time_in_force: random.random_range(1..=4),
            ..order(
                account,
                &format!("{run}-{number}"),
                side,
                random.random_range(1..5),
                random.random_range(95..105),
            )
        };
        let mut bytes = Vec::new();
        push_command(&mut bytes, NewOrder::KIND, new.as_bytes());
        venue.gateway.input(peers[which].link).extend_from_slice(&bytes);
        if random.random_bool(0.3) {
            venue.settle();
        }
    }
    venue.settle();
}

/// What is sent later is, byte for byte, what was sent at once, from whatever sequence, and after a process that was
/// never closed.
#[test]
fn a_replay_is_what_was_seen_live() {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = folder();
    let mut live: [Vec<Vec<u8>>; 2] = Default::default();
    let names = ["ALICE", "BOB"];
    let mut settings = config(folder.path());
    settings.cancel_on_disconnect = false;
    for run in 0..3 {
        let mut venue = Venue::open(settings.clone());
        let mut peers = names.map(|name| venue.log_on(name, venue.gateway.applied_sequence() + 1).0);
        random_flow(&mut venue, &mut peers, &mut random, 300, run);
        for (peer, live) in peers.iter_mut().zip(&mut live) {
            live.extend(peer.events(&mut venue));
            peer.drop_link(&mut venue);
        }
        for (name, live) in names.iter().zip(&live) {
            let from = random.random_range(1..=venue.gateway.applied_sequence());
            let (mut peer, accepted) = venue.log_on(name, from);
            assert_eq!(accepted.from_sequence.get(), from);
            let replayed = peer.replayed(&mut venue);
            let wanted = |it: &&Vec<u8>| Seen::read(it).header.sequence >= from;
            // The first events, which set everything up, came before anybody was there.
            let first = live.first().map_or(0, |it| Seen::read(it).header.sequence);
            let from_first = |it: &&Vec<u8>| Seen::read(it).header.sequence >= first;
            let replayed: Vec<&Vec<u8>> = replayed.iter().filter(from_first).collect();
            assert_eq!(replayed, live.iter().filter(wanted).collect::<Vec<_>>(), "from {from}");
            peer.drop_link(&mut venue);
        }
    }
}

#[test]
fn the_beginning_defines_instruments_and_accounts() {
    let folder = folder();
    let mut venue = Venue::open(config(folder.path()));
    let (mut alice, _) = venue.log_on("ALICE", 1);
    let replayed = alice.replayed(&mut venue);
    let kinds: Vec<u16> = replayed.iter().map(|it| Seen::read(it).header.kind).collect();
    let own = [0x8001, 0x8001, 0x8002, 0x8003, 0x8004, 0x8004];
    assert_eq!(kinds, own, "assets, the instrument, alice's account and deposits, and nothing of bob's");
    assert_eq!(Seen::read(&replayed[2]).body::<InstrumentCreated>().0.name.as_str(), "BTC/USD");
}

/// New events that come while old ones are read wait for their turn; if they are too many they are read too.
#[test]
fn a_client_that_reads_slowly_still_gets_everything_in_order() {
    let folder = folder();
    let mut settings = config(folder.path());
    settings.cancel_on_disconnect = false;
    let mut venue = Venue::open(settings);
    let (mut alice, _) = venue.log_on("ALICE", 0);
    let mut live = Vec::new();
    let flow = |venue: &mut Venue, peer: &mut Peer, run: u32, orders: u32| {
        let mut bytes = Vec::new();
        for number in 0..orders {
            let mut new = order(2, &format!("{run}-{number}"), Side::Buy, 1, 1);
            new.time_in_force = TimeInForce::ImmediateOrCancel.code();
            push_command(&mut bytes, NewOrder::KIND, new.as_bytes());
        }
        peer.send(venue, &bytes);
    };
    flow(&mut venue, &mut alice, 0, 5_000);
    live.extend(alice.events(&mut venue));
    let from = Seen::read(&live[0]).header.sequence;
    alice.drop_link(&mut venue);

    let (mut slow, _) = venue.log_on("ALICE", from);
    // It sends without reading: its replay stands still, and what is new is more than may be held.
    flow(&mut venue, &mut slow, 1, 6_000);
    let waiting = venue.gateway.output(slow.link).len();
    assert!(waiting < 512 << 10, "{waiting} bytes wait");
    let replayed = slow.replayed(&mut venue);
    assert_eq!(replayed.len(), 2 * 11_000);
    assert_eq!(replayed[..live.len()], live);
    let order_of = |it: &Vec<u8>| (Seen::read(it).header.sequence, Seen::read(it).index);
    assert!(replayed.iter().map(order_of).is_sorted_by(|a, b| a < b), "each once and in order");
    flow(&mut venue, &mut slow, 2, 1);
    assert_eq!(slow.events(&mut venue).len(), 2);
}

#[test]
fn a_client_that_reads_nothing_is_ended_and_loses_nothing() {
    let folder = folder();
    let mut settings = config(folder.path());
    settings.limits.output_bytes = 2 << 20;
    settings.cancel_on_disconnect = false;
    let mut venue = Venue::open(settings);
    let (mut alice, _) = venue.log_on("ALICE", 0);
    let from = venue.gateway.applied_sequence() + 1;
    for round in 0..20 {
        let mut bytes = Vec::new();
        for number in 0..1000 {
            let mut new = order(2, &format!("{round}-{number}"), Side::Buy, 1, 1);
            new.time_in_force = TimeInForce::ImmediateOrCancel.code();
            push_command(&mut bytes, NewOrder::KIND, new.as_bytes());
        }
        venue.gateway.input(alice.link).extend_from_slice(&bytes);
        venue.settle();
        if venue.gateway.closing(alice.link).is_some() {
            break;
        }
    }
    alice.take(&mut venue);
    assert_eq!(alice.closed, Some("slow consumer: too many bytes not read"));
    let entered = venue.gateway.counters().commands;
    let (mut again, _) = venue.log_on("ALICE", from);
    assert_eq!(again.replayed(&mut venue).len() as u64, 2 * entered);
}

fn live_orders(venue: &mut Venue, from: u64) -> Vec<u8> {
    let (mut alice, _) = venue.log_on("ALICE", from);
    let seen: Vec<Seen> = alice.replayed(venue).iter().map(|it| Seen::read(it)).collect();
    let canceled = seen.iter().filter(|it| it.header.kind == OrderCanceled::KIND);
    let reasons = canceled.map(|it| it.body::<OrderCanceled>().reason).collect();
    alice.drop_link(venue);
    reasons
}

#[test]
fn orders_are_cancelled_when_their_session_is_lost_however_it_is_lost() {
    let folder = folder();
    let mut venue = Venue::open(config(folder.path()));
    let from = venue.gateway.applied_sequence() + 1;
    let disconnected = CancelReason::Disconnected.code();
    let enter = |venue: &mut Venue, id: &str| {
        let (mut alice, _) = venue.log_on("ALICE", 0);
        alice.command(venue, &order(2, id, Side::Buy, 1, 1));
        alice.event(venue);
        alice
    };
    enter(&mut venue, "dropped").drop_link(&mut venue);
    assert_eq!(live_orders(&mut venue, from), [disconnected]);
    let mut alice = enter(&mut venue, "logged out");
    alice.send(&mut venue, b"\x00\x01O");
    assert_eq!(alice.next(&mut venue), (b'Z', b"the client has logged out".to_vec()));
    assert_eq!(live_orders(&mut venue, from), [disconnected; 2]);
    let mut alice = enter(&mut venue, "silent");
    venue.now_ns += 16 * SECOND_NS;
    venue.settle();
    alice.take(&mut venue);
    assert_eq!(alice.closed, Some("no heartbeat for 15 seconds"));
    assert_eq!(live_orders(&mut venue, from), [disconnected; 3]);
    let mut alice = enter(&mut venue, "in flight");
    let mut bytes = Vec::new();
    push_command(&mut bytes, NewOrder::KIND, order(2, "last", Side::Buy, 1, 1).as_bytes());
    venue.gateway.input(alice.link).extend_from_slice(&bytes);
    venue.gateway.receive(alice.link, venue.now_ns, &mut venue.port).unwrap();
    alice.drop_link(&mut venue);
    assert_eq!(live_orders(&mut venue, from), [disconnected; 5]);
    enter(&mut venue, "killed");
    drop(venue);
    let mut venue = Venue::open(config(folder.path()));
    assert_eq!(live_orders(&mut venue, from), [disconnected; 6], "the process was lost");
    drop(venue);
    let mut venue = Venue::open(config(folder.path()));
    let commands = venue.gateway.counters().commands;
    assert_eq!((live_orders(&mut venue, from).len(), commands), (6, 0), "there is nothing left to cancel");
}

#[test]
fn a_session_that_comes_back_in_time_keeps_its_orders() {
    let folder = folder();
    let mut settings = config(folder.path());
    settings.cancel_grace_ns = 5 * SECOND_NS;
    let mut venue = Venue::open(settings.clone());
    let from = venue.gateway.applied_sequence() + 1;
    let (mut alice, accepted) = venue.log_on("ALICE", 0);
    assert_eq!(accepted.cancel_on_disconnect, 1);
    alice.command(&mut venue, &order(2, "kept", Side::Buy, 1, 1));
    alice.drop_link(&mut venue);
    venue.now_ns += 4 * SECOND_NS;
    assert!(live_orders(&mut venue, from).is_empty());
    drop(venue);
    let mut venue = Venue::open(settings);
    venue.now_ns += 4 * SECOND_NS;
    assert!(live_orders(&mut venue, from).is_empty(), "nor has the new process cancelled it yet");
    venue.now_ns += 5 * SECOND_NS;
    venue.settle();
    assert_eq!(live_orders(&mut venue, from), [CancelReason::Disconnected.code()]);
}

#[test]
fn messages_are_throttled_in_two_steps() {
    let folder = folder();
    let mut settings = config(folder.path());
    settings.users[0].access.throttle =
        ThrottleLimits { soft_per_second: 3, hard_per_second: 5, cancels_per_second: 1 };
    let mut venue = Venue::open(settings);
    let (mut alice, _) = venue.log_on("ALICE", 0);
    for number in 0..5 {
        alice.command(&mut venue, &order(2, &format!("{number}"), Side::Buy, 1, 1));
    }
    let mut kinds = Vec::new();
    for _ in 0..5 {
        let (kind, payload) = alice.next(&mut venue);
        if kind == packet::REFUSED {
            let refusal = Refusal::read_from_bytes(&payload).unwrap();
            assert_eq!(refusal.reason.get(), RefusalReason::TooManyMessages as u16);
        }
        kinds.push(kind as char);
    }
    kinds.sort();
    assert_eq!(kinds, ['S', 'S', 'S', 'U', 'U']);
    alice.command(&mut venue, &order(2, "over", Side::Buy, 1, 1));
    assert_eq!(alice.next(&mut venue), (b'Z', b"too many messages a second".to_vec()));
    assert_eq!(alice.closed, Some("too many messages a second"));
}

#[test]
fn logins_that_are_not_good_are_answered_alike_and_written_down() {
    let folder = folder();
    let mut settings = config(folder.path());
    settings.limits.lockout_failures = 3;
    settings.users[1].access.addresses = vec!["192.0.2.0/24".parse().unwrap()];
    let mut venue = Venue::open(settings);
    let rejected = |code: char| format!("\\x00\\x02J{code}");
    assert_eq!(venue.refused(&login("mallory", "x", 0)).0, rejected('A'));
    assert_eq!(venue.refused(&login("ALICE", "wrong", 0)).0, rejected('A'));
    assert_eq!(venue.refused(&login("BOB", "BOB-secret", 0)).0, rejected('A'));
    let mut other = login("ALICE", "ALICE-secret", 0);
    other[3] = 9;
    assert_eq!(venue.refused(&other).0, rejected('V'));
    let ahead = venue.gateway.applied_sequence() + 2;
    assert_eq!(venue.refused(&login("ALICE", "ALICE-secret", ahead)).0, rejected('S'));
    let (alice, _) = venue.log_on("ALICE", 0);
    assert_eq!(venue.refused(&login("ALICE", "ALICE-secret", 0)).0, rejected('B'));
    assert!(venue.gateway.closing(alice.link).is_none(), "the first keeps its connection");
    for bytes in [b"\x00\x01R".as_slice(), b"\x00\x00", b"\xff\xff", b"8=FIX.4.4\x019=5\x01", b"\x00\x02Lx"] {
        let (answer, reason) = venue.refused(bytes);
        assert_eq!(answer, "", "strangers are not answered");
        assert!(reason.is_some_and(|it| it.contains("Login Request")), "{reason:?}");
    }
    for _ in 0..3 {
        venue.refused(&login("BOB", "guess", 0));
        venue.refused(&login("ALICE", "guess", 0));
    }
    assert_eq!(venue.refused(&login("ALICE", "ALICE-secret", 0)).0, rejected('A'), "locked out");
    let log: String = venue.gateway.take_attempts().iter().map(|it| it.line()).collect();
    for expected in [
        r#""sender_comp_id":"mallory","accepted":false,"reason":"login with a wrong user name or password""#,
        r#""sender_comp_id":"alice","accepted":false,"reason":"login with a wrong user name or password""#,
        r#""sender_comp_id":"bob","accepted":false,"reason":"login from an address that is not allowed""#,
        r#""sender_comp_id":"alice","accepted":true,"reason":"password""#,
        r#""accepted":false,"reason":"login from a sequence that is after the journal's end""#,
        r#""accepted":false,"reason":"login while locked out after too many failures""#,
        r#""accepted":false,"reason":"first packet is not a Login Request""#,
    ] {
        assert!(log.contains(expected), "{expected} in {log}");
    }
    assert!(!log.contains("secret") && !log.contains("guess"));
}

#[test]
fn strangers_cost_little_and_not_for_long() {
    let folder = folder();
    let mut settings = config(folder.path());
    settings.limits.strangers = 2;
    let mut venue = Venue::open(settings);
    let mut half = venue.connect();
    half.send(&mut venue, &login("ALICE", "ALICE-secret", 0)[..100]);
    let mut silent = venue.connect();
    assert!(venue.gateway.connect(ADDRESS, venue.now_ns).is_none());
    venue.now_ns += 10 * SECOND_NS;
    venue.settle();
    for peer in [&mut half, &mut silent] {
        peer.take(&mut venue);
        assert_eq!(peer.closed, Some("no Login Request in time"));
    }
    assert!(venue.gateway.connect(ADDRESS, venue.now_ns).is_some());
}

#[test]
fn heartbeats_say_up_to_where_everything_has_come() {
    let folder = folder();
    let mut venue = Venue::open(config(folder.path()));
    let (mut alice, _) = venue.log_on("ALICE", 0);
    venue.now_ns += SECOND_NS;
    venue.settle();
    let applied = venue.gateway.applied_sequence();
    assert_eq!(alice.next(&mut venue), (b'H', applied.to_le_bytes().to_vec()));
    for _ in 0..3 {
        venue.now_ns += 10 * SECOND_NS;
        alice.send(&mut venue, b"\x00\x01R");
    }
    assert!(venue.gateway.closing(alice.link).is_none(), "it has said that it is there");
    alice.send(&mut venue, b"\x00\x01?");
    alice.take(&mut venue);
    assert_eq!(alice.closed, Some("received a packet of an unknown type"));
    let (mut alice, _) = venue.log_on("ALICE", 0);
    alice.send(&mut venue, b"\xff\xffU");
    alice.take(&mut venue);
    assert_eq!(alice.closed, Some("received a packet longer than allowed, or of no length"));
    assert_eq!(HEADER_LENGTH, 32, "docs/binary.md");
}
