//! A small exchange behind a gateway, stepped by hand: what the targets share.

use exchange::Exchange;
use gateway::CommandPort;
use machine::{Body, EventBuffer, HEADER_LENGTH, Record, RecordHeader, Source, StateMachine, step};
use protocol::{AccountId, CreateAccount, CreateAsset, CreateInstrument, Deposit, Limits, Name};
use zerocopy::IntoBytes;

pub const SECOND_NS: u64 = 1_000_000_000;
pub const START_NS: u64 = 1_700_000_000 * SECOND_NS;

/// Commands that wait for the exchange, few at a time, so that clients meet a full ring too.
#[derive(Default)]
pub struct Port {
    queue: Vec<(u16, u16, Vec<u8>)>,
}

const ROOM: usize = 4;

impl CommandPort for Port {
    fn try_send(&mut self, session: u16, kind: u16, _schema_version: u8, body: &[u8]) -> bool {
        let room = self.queue.len() < ROOM;
        if room {
            self.queue.push((session, kind, body.to_vec()));
        }
        room
    }
}

/// BTC/USD, and the accounts 2 and 3 with money.
pub struct Venue {
    exchange: Exchange,
    events: EventBuffer,
    sequence: u64,
    pub port: Port,
    pub now_ns: u64,
}

impl Venue {
    /// The exchange, with its first events in `take`.
    pub fn new(take: &mut dyn FnMut(Record<'_>)) -> Self {
        let limits = Limits {
            assets: 4,
            instruments: 4,
            accounts: 8,
            balances: 32,
            orders: 64,
            fills_per_command: 8,
            positions: 16,
            recent_client_ids: 64,
        };
        let exchange = Exchange::new(limits).expect("good limits");
        let events = EventBuffer::with_capacity(exchange.max_event_bytes());
        let mut venue = Self { exchange, events, sequence: 0, port: Port::default(), now_ns: START_NS };
        let name = |text| Name::from_text(text).expect("a good name");
        for (asset, scale, text) in [(1, 8, "BTC"), (2, 5, "USD")] {
            venue.operate(&CreateAsset { asset, scale, name: name(text), ..CreateAsset::default() }, take);
        }
        let instrument = CreateInstrument {
            quote_minor_per_tick_lot: 1,
            base_minor_per_lot: 100_000,
            instrument: 1,
            base_asset: 1,
            quote_asset: 2,
            taker_fee_ppm: 1000,
            ladder_levels: 64,
            name: name("BTC/USD"),
            ..CreateInstrument::default()
        };
        venue.operate(&instrument, take);
        for account in [AccountId(2), AccountId(3)] {
            venue.operate(&CreateAccount { account, name: name("owner"), ..CreateAccount::default() }, take);
            for asset in [1, 2] {
                let amount_minor = 100_000_000_000;
                venue.operate(&Deposit { amount_minor, account, asset, ..Deposit::default() }, take);
            }
        }
        venue
    }

    fn operate<T: Body>(&mut self, body: &T, take: &mut dyn FnMut(Record<'_>)) {
        self.apply(Source::default(), T::KIND, body.as_bytes(), take);
    }

    /// Applies one command.
    pub fn apply(&mut self, source: Source, kind: u16, body: &[u8], take: &mut dyn FnMut(Record<'_>)) {
        self.sequence += 1;
        let header = RecordHeader {
            length: (HEADER_LENGTH + body.len()) as u32,
            sequence: self.sequence,
            timestamp_ns: self.now_ns,
            kind,
            schema_version: 1,
            source,
            ..RecordHeader::default()
        };
        let mut words = vec![0u64; body.len().div_ceil(8)];
        words.as_mut_bytes()[..body.len()].copy_from_slice(body);
        self.events.clear();
        let command = Record::from_parts(&header, &words.as_bytes()[..body.len()]);
        step(&mut self.exchange, command, &mut self.events);
        self.events.records().for_each(take);
    }

    /// Applies the commands that wait, as those of `gateway`.
    pub fn run(&mut self, gateway: u16, take: &mut dyn FnMut(Record<'_>)) {
        for (session, kind, body) in std::mem::take(&mut self.port.queue) {
            self.apply(Source { gateway, session }, kind, &body, take);
        }
    }
}
