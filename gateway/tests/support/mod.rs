//! The gateway joined to the real exchange, stepped by hand: no threads, no sockets, no clock.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod pair;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use exchange::Exchange;
use gateway::access::PasswordHash;
use gateway::dictionary::{Checker, Switches};
use gateway::fix::{FieldIndex, Frame, MessageWriter, Version, find_frame, format_utc_millis};
use gateway::{CommandPort, Gateway, GatewayConfig, LinkId, MemoryEvents, UserConfig};
use machine::{Body, Context, EventBuffer, Record, RecordHeader, Source, StateMachine, step};
use protocol::{AccountId, CreateAccount, CreateAsset, CreateInstrument, Deposit, Limits, Name};
use tempfile::TempDir;
use zerocopy::IntoBytes;

pub const SECOND_NS: u64 = 1_000_000_000;
pub const START_NS: u64 = 1_700_000_000 * SECOND_NS;

/// Commands on their way to the exchange.
pub struct Port {
    pub queue: VecDeque<(u16, u16, Vec<u8>)>,
    pub room: usize,
    pub disk_full: bool,
}

impl CommandPort for Port {
    fn try_send(&mut self, session: u16, kind: u16, schema_version: u8, body: &[u8]) -> bool {
        assert_eq!(schema_version, 1);
        if self.queue.len() >= self.room {
            return false;
        }
        self.queue.push_back((session, kind, body.to_vec()));
        true
    }

    fn is_disk_full(&self) -> bool {
        self.disk_full
    }
}

/// A gateway, an exchange, and the journal between them.
pub struct World {
    pub directory: TempDir,
    pub config: GatewayConfig,
    pub gateway: Gateway,
    pub exchange: Exchange,
    pub port: Port,
    /// Events of all commands, as in an event journal.
    pub journal: Vec<u64>,
    /// The same, for the gateway to read again.
    pub events: MemoryEvents,
    pub sequence: u64,
    pub now_ns: u64,
    pub links: Links,
}

pub fn user(name: &str, account: u32) -> UserConfig {
    let hash = PasswordHash::create(format!("{name}-secret").as_bytes(), 8, 1).unwrap();
    UserConfig::new(name, &name.to_lowercase(), hash, AccountId(account))
}

/// Where the clients come from.
pub const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn name(text: &str) -> Name {
    Name::from_text(text).unwrap()
}

pub fn each_record(words: &[u64], mut take: impl FnMut(Record<'_>)) {
    let mut rest = words.as_bytes();
    while !rest.is_empty() {
        let record = Record::parse(rest).unwrap();
        take(record);
        rest = &rest[machine::stride(record.header().length as usize)..];
    }
}

impl World {
    /// BTC/USD with a tick of 0.01 and a lot of 0.001; ALICE and BOB, or whoever the users are, with 1,000,000 USD and
    /// 100 BTC each.
    pub fn new() -> Self {
        Self::with_config(|_| {})
    }

    pub fn with_config(change: impl FnOnce(&mut GatewayConfig)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let users = vec![user("ALICE", 2), user("BOB", 3)];
        let path: PathBuf = directory.path().join("fix.sessions");
        let mut config = GatewayConfig::new(1, ([127, 0, 0, 1], 0).into(), path, users);
        // Nothing is answered from memory, and checkpoints are many: what is read again is what was written.
        config.limits.recent_bytes = 0;
        config.limits.checkpoint_commands = 5;
        change(&mut config);
        let events = MemoryEvents::new();
        let gateway = Gateway::open_on(config.clone(), Box::new(events.clone())).unwrap();
        let limits = Limits { accounts: 10, orders: 1000, balances: 100, ..Limits::default() };
        let mut world = Self {
            directory,
            config,
            gateway,
            exchange: Exchange::new(limits).unwrap(),
            port: Port { queue: VecDeque::new(), room: 1 << 16, disk_full: false },
            journal: Vec::new(),
            events,
            sequence: 0,
            now_ns: START_NS,
            links: Links::default(),
        };
        world.create_everything();
        world
    }

    fn create_everything(&mut self) {
        for (asset, scale, text) in [(1, 8, "BTC"), (2, 5, "USD")] {
            self.operate(&CreateAsset { asset, scale, name: name(text), ..CreateAsset::default() });
        }
        self.operate(&CreateInstrument {
            quote_minor_per_tick_lot: 1,
            base_minor_per_lot: 100_000,
            instrument: 1,
            base_asset: 1,
            quote_asset: 2,
            maker_fee_ppm: 0,
            taker_fee_ppm: 1000,
            name: name("BTC/USD"),
            ..CreateInstrument::default()
        });
        for account in self.config.users.iter().map(|user| user.account).collect::<Vec<_>>() {
            self.operate(&CreateAccount { account, name: name("owner"), ..CreateAccount::default() });
            for (asset, amount_minor) in [(1, 100 * 100_000_000), (2, 1_000_000 * 100_000)] {
                self.operate(&Deposit { amount_minor, account, asset, ..Deposit::default() });
            }
        }
    }

    /// A command of the operator.
    pub fn operate<T: Body>(&mut self, body: &T) {
        self.apply(Source::default(), T::KIND, body.as_bytes(), true);
    }

    /// Sequences one command, applies it and journals its events; hands them to the gateway if it is `alive`.
    fn apply(&mut self, source: Source, kind: u16, body: &[u8], alive: bool) {
        self.sequence += 1;
        let header = RecordHeader {
            length: (machine::HEADER_LENGTH + body.len()) as u32,
            sequence: self.sequence,
            timestamp_ns: self.now_ns,
            kind,
            schema_version: 1,
            source,
            ..RecordHeader::default()
        };
        let mut words = vec![0u64; body.len().div_ceil(8)];
        words.as_mut_bytes()[..body.len()].copy_from_slice(body);
        let command = Record::from_parts(&header, &words.as_bytes()[..body.len()]);
        assert_eq!(command.context(), Context { sequence: self.sequence, timestamp_ns: self.now_ns, source });
        let mut events = EventBuffer::with_capacity(self.exchange.max_event_bytes());
        step(&mut self.exchange, command, &mut events);
        let start = self.journal.len();
        self.journal.resize(start + events.bytes().len() / 8, 0);
        self.journal[start..].as_mut_bytes().copy_from_slice(events.bytes());
        self.events.push(events.bytes());
        if alive {
            for record in events.records() {
                self.gateway.on_event(record, self.now_ns).unwrap();
            }
        }
    }

    /// Applies the commands that wait in the ring.
    pub fn run_exchange(&mut self, alive: bool) {
        while let Some((session, kind, body)) = self.port.queue.pop_front() {
            self.apply(Source { gateway: 1, session }, kind, &body, alive);
        }
    }

    /// Hands on the events journaled from word `from` on; how many words that were.
    pub fn feed(&self, from: usize, mut take: impl FnMut(Record<'_>)) -> usize {
        each_record(&self.journal[from..], &mut take);
        self.journal.len() - from
    }

    /// Duty cycles until nothing moves.
    pub fn settle(&mut self) {
        for _ in 0..4 {
            for link in 0..8 {
                if self.has_link(link) {
                    self.gateway.receive(link, self.now_ns, &mut self.port).unwrap();
                }
            }
            self.run_exchange(true);
            self.gateway.on_tick(self.now_ns, &mut self.port).unwrap();
            assert!(self.gateway.commit().unwrap());
        }
    }

    fn has_link(&self, link: LinkId) -> bool {
        self.links.0.contains(&link)
    }

    /// Kills the process: what was not committed is gone; commands in the ring reach the exchange if `drain`. Then a
    /// new process opens the store and reads the event journal.
    pub fn kill_and_restart(&mut self, drain: bool) {
        if drain {
            self.run_exchange(false);
        }
        self.port.queue.clear();
        self.links.0.clear();
        self.gateway = Gateway::open_on(self.config.clone(), Box::new(self.events.clone())).unwrap();
        let journal = std::mem::take(&mut self.journal);
        let (now_ns, gateway) = (self.now_ns, &mut self.gateway);
        each_record(&journal, |record| gateway.on_event(record, now_ns).unwrap());
        self.journal = journal;
        self.gateway.journal_ends_at(self.sequence);
        self.gateway.finish_recovery().unwrap();
    }
}

/// One client's end of a connection, at the level of messages.
pub struct Client {
    pub name: String,
    pub version: Version,
    pub link: LinkId,
    pub next_out: u64,
    pub closed: Option<&'static str>,
}

/// A received message, as text with `|` for SOH.
#[derive(Clone, PartialEq, Eq)]
pub struct Received(pub String);

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Received {
    pub fn get(&self, tag: u32) -> &str {
        let found = self.0.split('|').filter_map(|field| field.split_once('='));
        found.filter(|(name, _)| *name == tag.to_string()).map(|(_, value)| value).next().unwrap_or("")
    }

    /// `tag=value` pairs joined by `|`, for one comparison.
    pub fn pick(&self, tags: &[u32]) -> String {
        tags.iter().map(|&tag| format!("{tag}={}", self.get(tag))).collect::<Vec<_>>().join("|")
    }
}

/// Splits a stream into messages.
pub fn split(bytes: &[u8]) -> Vec<Received> {
    let mut at = 0;
    let mut all = Vec::new();
    while at < bytes.len() {
        let Frame::Complete(length) = find_frame(&bytes[at..], 1 << 16) else {
            panic!("not a message: {}", bytes[at..].escape_ascii());
        };
        assert!(FieldIndex::new().parse(&bytes[at..at + length]).is_some());
        let text = String::from_utf8(bytes[at..at + length].to_vec()).unwrap();
        all.push(Received(text.replace('\x01', "|")));
        at += length;
    }
    all
}

/// A message of FIX.4.4 with header; `fields` is `tag=value|tag=value`, in which `now` stands for the time.
pub fn message(from: &str, sequence: u64, kind: &str, fields: &str, now_ns: u64) -> Vec<u8> {
    message_of(Version::Fix44, from, sequence, kind, fields, now_ns)
}

/// The same, of any version.
pub fn message_of(
    version: Version,
    from: &str,
    sequence: u64,
    kind: &str,
    fields: &str,
    now_ns: u64,
) -> Vec<u8> {
    let now = String::from_utf8(format_utc_millis(now_ns).to_vec()).unwrap();
    let mut buffer = Vec::new();
    let mut writer = MessageWriter::begin(&mut buffer, version, kind.as_bytes());
    writer.integer(34, sequence);
    writer.bytes(49, from.as_bytes());
    writer.bytes(52, now.as_bytes());
    writer.bytes(56, b"RIALTO");
    for field in fields.split('|').filter(|field| !field.is_empty()) {
        let (tag, value) = field.split_once('=').unwrap();
        writer.bytes(tag.parse().unwrap(), value.replace("now", &now).as_bytes());
    }
    writer.finish();
    buffer
}

impl World {
    /// Connects without a Logon.
    pub fn connect(&mut self, name: &str) -> Client {
        let link = self.gateway.connect(ADDRESS, self.now_ns).unwrap();
        self.links.0.push(link);
        Client { name: name.to_owned(), version: Version::Fix44, link, next_out: 1, closed: None }
    }

    /// Connects and logs on with the client's next number; what came with the Logon.
    pub fn log_on(&mut self, name: &str, next_out: u64, more: &str) -> (Client, Vec<Received>) {
        self.log_on_as(Version::Fix44, name, next_out, more)
    }

    /// The same in another version.
    pub fn log_on_as(
        &mut self,
        version: Version,
        name: &str,
        next_out: u64,
        more: &str,
    ) -> (Client, Vec<Received>) {
        let mut client = self.connect(name);
        (client.version, client.next_out) = (version, next_out);
        let fields = format!("98=0|108=30|553={}|554={name}-secret|{more}", name.to_lowercase());
        let answer = self.send(&mut client, "A", &fields);
        (client, answer)
    }

    /// A new connection of a client that goes on with its numbers and its version.
    pub fn log_on_again(&mut self, client: &Client) -> (Client, Vec<Received>) {
        let application = String::from_utf8(client.version.application_id().to_vec()).unwrap();
        let more = if client.version.is_fixt() { format!("1137={application}|") } else { String::new() };
        self.log_on_as(client.version, &client.name, client.next_out, &more)
    }

    /// The same with a number beyond what the gateway expects; the client gives up on what lies between.
    pub fn log_on_beyond(
        &mut self,
        version: Version,
        name: &str,
        next_out: u64,
        more: &str,
    ) -> (Client, Vec<Received>) {
        let (mut client, answer) = self.log_on_as(version, name, next_out, more);
        let next = client.next_out + 1;
        self.send(&mut client, "4", &format!("36={next}"));
        (client, answer)
    }

    /// Sends one message with the client's next number, lets everything settle, and gives what came back.
    pub fn send(&mut self, client: &mut Client, kind: &str, fields: &str) -> Vec<Received> {
        let bytes = message_of(client.version, &client.name, client.next_out, kind, fields, self.now_ns);
        client.next_out += 1;
        self.send_bytes(client, &bytes)
    }

    pub fn send_bytes(&mut self, client: &mut Client, bytes: &[u8]) -> Vec<Received> {
        if client.closed.is_none() {
            self.gateway.input(client.link).extend_from_slice(bytes);
        }
        self.settle();
        self.take(client)
    }

    /// What has come for a client.
    pub fn take(&mut self, client: &mut Client) -> Vec<Received> {
        if client.closed.is_some() {
            return Vec::new();
        }
        let bytes = std::mem::take(self.gateway.output(client.link));
        if let Some(reason) = self.gateway.closing(client.link) {
            client.closed = Some(reason);
            self.drop_link(client);
        }
        split(&bytes)
    }

    /// The client's connection breaks.
    pub fn drop_link(&mut self, client: &mut Client) {
        client.closed.get_or_insert("dropped");
        self.links.0.retain(|&link| link != client.link);
        self.gateway.disconnect(client.link);
    }

    /// Time passes.
    pub fn wait(&mut self, client: &mut Client, seconds: u64) -> Vec<Received> {
        self.now_ns += seconds * SECOND_NS;
        self.settle();
        self.take(client)
    }
}

/// Links that are open.
#[derive(Default)]
pub struct Links(pub Vec<LinkId>);

pub const LIMIT: &str = "40=2|55=BTC/USD|60=now";

/// Fields of a limit order.
pub fn order(id: &str, side: u8, quantity: &str, price: &str) -> String {
    format!("11={id}|54={side}|38={quantity}|44={price}|{LIMIT}")
}

/// Fails if a message is not right by the dictionary of its version.
pub fn check(version: Version, messages: &[Received]) {
    let checker = Checker::new(version);
    for message in messages {
        let bytes = message.0.replace('|', "\x01");
        let mut index = FieldIndex::new();
        let parsed = index.parse(bytes.as_bytes()).unwrap();
        assert_eq!(checker.check(&parsed, &Switches::default()), None, "{version:?} {message:?}");
    }
}

/// ALICE, logged on in a version.
pub fn log_on(world: &mut World, version: Version) -> Client {
    let application = String::from_utf8(version.application_id().to_vec()).unwrap();
    let more = if version.is_fixt() { format!("1137={application}|") } else { String::new() };
    world.log_on_as(version, "ALICE", 1, &more).0
}
