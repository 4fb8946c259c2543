//! The binary gateway in a real pipeline, turned by hand, and a client of it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use exchange::Exchange;
use gateway::access::InlineVerifier;
use gateway::binary::wire::{
    LoginAccepted, LoginRequest, Packet, Refusal, VERSION, find_packet, packet, padded, push_command,
    push_packet,
};
use gateway::binary::{BinaryConfig, BinaryGateway};
use gateway::{CommandPort, Endpoint, LinkId};
use machine::{Body, Record, RecordHeader, flags};
use protocol::{
    AccountId, ClientOrderId, CreateAccount, CreateAsset, CreateInstrument, Deposit, Limits, Name, NewOrder,
    OrderType, Side, TimeInForce,
};
use sequencer::{Clock, EventReader, Ingress, InlinePipeline, Pipeline, PipelineConfig, RingPlace};
use zerocopy::{FromBytes as _, IntoBytes as _};

use crate::support::user;

pub const GATEWAY: u16 = 4;
pub const SECOND_NS: u64 = 1_000_000_000;
pub const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub struct Port {
    pub ingress: Ingress,
    pub full: bool,
    pub disk_full: bool,
}

impl CommandPort for Port {
    fn try_send(&mut self, session: u16, kind: u16, schema_version: u8, body: &[u8]) -> bool {
        !self.full && self.ingress.try_send_bytes(session, kind, schema_version, body).is_ok()
    }

    fn is_disk_full(&self) -> bool {
        self.disk_full
    }
}

pub struct Venue {
    pub pipeline: InlinePipeline<Exchange>,
    pub gateway: BinaryGateway,
    pub port: Port,
    pub events: EventReader,
    pub operator: Ingress,
    pub now_ns: u64,
    pub links: Vec<LinkId>,
}

pub fn config(folder: &Path) -> BinaryConfig {
    let users = vec![user("ALICE", 2), user("BOB", 3)];
    let events = folder.join("journal").join(journal::EVENTS_FOLDER);
    BinaryConfig::new(GATEWAY, ([127, 0, 0, 1], 0).into(), events, users)
}

impl Venue {
    pub fn open(config: BinaryConfig) -> Self {
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

    pub fn create_everything(&mut self) {
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

    pub fn operate<T: Body>(&mut self, body: &T) {
        self.operator.try_send(0, body).unwrap();
    }

    pub fn cycle(&mut self) -> usize {
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
    pub fn settle(&mut self) {
        let mut idle = 0;
        while idle < 4 {
            idle = if self.cycle() == 0 { idle + 1 } else { 0 };
        }
        assert!(self.gateway.commit().unwrap());
    }

    pub fn connect(&mut self) -> Peer {
        let link = self.gateway.connect(ADDRESS, self.now_ns).unwrap();
        self.links.push(link);
        Peer { link, received: Vec::new(), closed: None }
    }

    /// Logs on and takes the answer.
    pub fn log_on(&mut self, name: &str, from: u64) -> (Peer, LoginAccepted) {
        let mut peer = self.connect();
        peer.send(self, &login(name, &format!("{name}-secret"), from));
        let (kind, payload) = peer.next(self);
        assert_eq!(kind as char, 'A', "{payload:?}");
        (peer, LoginAccepted::read_from_bytes(&payload).unwrap())
    }

    /// What a login without success is answered with.
    pub fn refused(&mut self, bytes: &[u8]) -> (String, Option<&'static str>) {
        let mut peer = self.connect();
        peer.send(self, bytes);
        peer.take(self);
        (peer.received.escape_ascii().to_string(), peer.closed)
    }
}

pub fn login(name: &str, password: &str, from: u64) -> Vec<u8> {
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

pub struct Peer {
    pub link: LinkId,
    pub received: Vec<u8>,
    pub closed: Option<&'static str>,
}

/// An event as it was received.
pub struct Seen {
    pub index: u32,
    pub header: RecordHeader,
    pub words: Vec<u64>,
}

impl Seen {
    pub fn read(payload: &[u8]) -> Self {
        let (index, record) = payload.split_first_chunk::<4>().unwrap();
        let mut words = vec![0u64; record.len() / 8];
        words.as_mut_bytes().copy_from_slice(record);
        let header = *Record::parse(words.as_bytes()).unwrap().header();
        assert_eq!(header.length as usize, record.len());
        Self { index: u32::from_le_bytes(*index), header, words }
    }

    pub fn body<T: Body>(&self) -> T {
        *Record::parse(self.words.as_bytes()).unwrap().body_as::<T>().unwrap()
    }

    pub fn is_last(&self) -> bool {
        self.header.flags & flags::LAST_EVENT != 0
    }
}

impl Peer {
    pub fn send(&mut self, venue: &mut Venue, bytes: &[u8]) {
        if self.closed.is_none() {
            venue.gateway.input(self.link).extend_from_slice(bytes);
        }
        venue.settle();
    }

    pub fn command<T: Body>(&mut self, venue: &mut Venue, body: &T) {
        let mut bytes = Vec::new();
        push_command(&mut bytes, T::KIND, body.as_bytes());
        self.send(venue, &bytes);
    }

    /// Takes what has come.
    pub fn take(&mut self, venue: &mut Venue) {
        if self.closed.is_some() || !venue.gateway.commit().unwrap() {
            return;
        }
        self.received.append(venue.gateway.output(self.link));
        if let Some(reason) = venue.gateway.closing(self.link) {
            self.closed = Some(reason);
            self.drop_link(venue);
        }
    }

    pub fn drop_link(&mut self, venue: &mut Venue) {
        self.closed.get_or_insert("dropped");
        venue.links.retain(|&link| link != self.link);
        venue.gateway.disconnect(self.link);
        venue.settle();
    }

    pub fn try_next(&mut self) -> Option<(u8, Vec<u8>)> {
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
    pub fn next(&mut self, venue: &mut Venue) -> (u8, Vec<u8>) {
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

    pub fn event(&mut self, venue: &mut Venue) -> Seen {
        match self.next(venue) {
            (packet::SEQUENCED, payload) => Seen::read(&payload),
            (kind, payload) => panic!("{} {}", kind as char, payload.escape_ascii()),
        }
    }

    pub fn refusal(&mut self, venue: &mut Venue) -> Refusal {
        let (kind, payload) = self.next(venue);
        assert_eq!(kind as char, 'U');
        Refusal::read_from_bytes(&payload).unwrap()
    }

    /// Event packets up to the heartbeat that says that there are no more.
    pub fn replayed(&mut self, venue: &mut Venue) -> Vec<Vec<u8>> {
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
    pub fn events(&mut self, venue: &mut Venue) -> Vec<Vec<u8>> {
        self.take(venue);
        let all: Vec<_> = std::iter::from_fn(|| self.try_next()).collect();
        all.into_iter().filter(|it| it.0 == packet::SEQUENCED).map(|it| it.1).collect()
    }
}

pub fn order(account: u32, id: &str, side: Side, quantity_lots: i64, price_ticks: i64) -> NewOrder {
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

pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}
