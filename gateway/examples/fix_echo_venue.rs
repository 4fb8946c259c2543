//! A FIX acceptor with the smallest venue that answers: it accepts every order and cancels every order. For session
//! conformance scripts and for looking at the wire without an exchange.
//!
//! `cargo run -p gateway --example fix_echo_venue -- PORT STORE_FILE COMP_ID`

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gateway::access::PasswordHash;
use gateway::{Acceptor, CommandPort, GatewayConfig, UserConfig};
use machine::{Body, Context, EventBuffer, Record, RecordHeader, Source};
use protocol::{
    AccountId, AssetCreated, CancelOrder, CancelReason, CreateInstrument, InstrumentCreated, Name, NewOrder,
    OrderAccepted, OrderCanceled, OrderId, RejectReason, Rejected,
};
use zerocopy::{FromBytes, IntoBytes};

/// Answers commands with events.
struct Venue {
    sequence: u64,
    events: EventBuffer,
}

impl Venue {
    fn new(now_ns: u64) -> Self {
        let mut venue = Self { sequence: 0, events: EventBuffer::with_capacity(1 << 20) };
        venue.command(0, now_ns, |_, events| {
            for (asset, text) in [(1, "INTC"), (2, "USD")] {
                let name = Name::from_text(text).expect("a valid name");
                events.push(&AssetCreated { asset, scale: 2, name, ..AssetCreated::default() });
            }
            for (instrument, text) in [(1, "INTC"), (2, "CDG"), (3, "IVP"), (4, "MSFT")] {
                events.push(&InstrumentCreated(CreateInstrument {
                    quote_minor_per_tick_lot: 1,
                    base_minor_per_lot: 100,
                    instrument,
                    base_asset: 1,
                    quote_asset: 2,
                    name: Name::from_text(text).expect("a valid name"),
                    ..CreateInstrument::default()
                }));
            }
        });
        venue
    }

    fn command(&mut self, session: u16, now_ns: u64, answer: impl FnOnce(u64, &mut EventBuffer)) {
        self.sequence += 1;
        let source = Source { gateway: 1, session };
        self.events.begin(&Context { sequence: self.sequence, timestamp_ns: now_ns, source });
        answer(self.sequence, &mut self.events);
        self.events.finish();
    }
}

impl CommandPort for Venue {
    fn try_send(&mut self, session: u16, kind: u16, _: u8, body: &[u8]) -> bool {
        if self.events.free_bytes() < 4096 {
            return false;
        }
        self.command(session, now_ns(), |sequence, events| match kind {
            NewOrder::KIND => {
                let order = NewOrder::read_from_bytes(body).expect("the gateway sends whole commands");
                events.push(&OrderAccepted {
                    order_id: OrderId::new(sequence, 0),
                    price_ticks: order.price_ticks,
                    quantity_lots: order.quantity_lots,
                    account: order.account,
                    instrument: order.instrument,
                    client_order_id: order.client_order_id,
                    side: order.side,
                    order_type: order.order_type,
                    time_in_force: order.time_in_force,
                    ..OrderAccepted::default()
                });
            }
            CancelOrder::KIND => {
                let cancel = CancelOrder::read_from_bytes(body).expect("the gateway sends whole commands");
                events.push(&OrderCanceled {
                    order_id: cancel.order_id,
                    account: cancel.account,
                    instrument: cancel.instrument,
                    client_order_id: cancel.client_order_id,
                    reason: CancelReason::Requested.code(),
                    ..OrderCanceled::default()
                });
            }
            kind => {
                let reason = RejectReason::Malformed.code();
                events.push(&Rejected { reason, command_kind: kind, ..Rejected::default() });
            }
        });
        true
    }
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_nanos() as u64)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().ok_or("usage: PORT STORE_FILE COMP_ID")?.parse()?;
    let store = PathBuf::from(arguments.next().ok_or("the session store's path is missing")?);
    let target_comp_id = arguments.next().unwrap_or_else(|| "ISLD".to_owned());
    let names = ["TW40", "TW41", "TW42", "TW43", "TW44", "TW50", "TW50SP1", "TW50SP2"];
    let hash = PasswordHash::create(b"secret", 8, 1)?;
    let users = names.into_iter().zip(2..).map(|(name, account)| {
        let mut user = UserConfig::new(name, "alice", hash.clone(), AccountId(account));
        user.session.reset_on_logon = true;
        user
    });
    let config = GatewayConfig::new(1, ([127, 0, 0, 1], port).into(), store, users.collect());
    let mut acceptor = Acceptor::open(GatewayConfig { target_comp_id, ..config })?;
    let mut venue = Venue::new(now_ns());
    loop {
        let bytes = venue.events.bytes().to_vec();
        venue.events.clear();
        let mut words = vec![0u64; bytes.len() / 8];
        words.as_mut_bytes().copy_from_slice(&bytes);
        let mut rest = words.as_bytes();
        while !rest.is_empty() {
            let record = Record::parse(rest)?;
            acceptor.on_event(record, now_ns())?;
            rest = &rest[machine::stride(record.header().length as usize)..];
        }
        let wait = if bytes.is_empty() { Duration::from_millis(1) } else { Duration::ZERO };
        acceptor.do_work(now_ns(), wait, &mut venue)?;
        for notice in acceptor.take_notices() {
            println!("{:?} {:?} {}", notice.peer, notice.comp_id, notice.text);
        }
    }
}

const _: () = assert!(size_of::<RecordHeader>() == machine::HEADER_LENGTH);
