//! Binary sessions of the load (`docs/binary.md`).

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use gateway::binary::wire::{
    LoginAccepted, LoginRequest, Packet, Refusal, VERSION, find_packet, packet, padded, push_command,
    push_packet,
};
use machine::{Body, HEADER_LENGTH, RecordHeader};
use protocol::{
    AccountId, CancelOrder, ClientOrderId, EventKind, NewOrder, OrderAccepted, OrderCanceled, OrderId,
    OrderType, Rejected, Side, TimeInForce,
};
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::args::LoadArgs;
use super::run::{Answer, Session};
use super::who::{Login, order_number};
use super::write_out;
use crate::config::Config;
use crate::decimal::from_minor;
use crate::output::Failure;

/// Longest packet that the server sends.
const PACKET_BYTES: usize = 64 * 1024;
/// A session that is silent for longer than this is ended by the server's rule.
const HEARTBEAT_S: u64 = 1;

/// Instrument, price and quantity as the engine has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    instrument: u32,
    price_ticks: i64,
    quantity_lots: i64,
}

impl Terms {
    /// Of the arguments, by the configuration.
    ///
    /// # Errors
    /// No such symbol, or a price or quantity that is no whole number of ticks or lots.
    pub fn of(args: &LoadArgs, config: &Config) -> Result<Self, Failure> {
        let symbol = &args.symbol;
        let named = |name: protocol::Name| name.as_str() == symbol.as_str();
        let Some(it) = config.instruments.iter().find(|it| named(it.name)) else {
            return Err(Failure::usage(format!(
                "--symbol {symbol}: the configuration has no such instrument"
            )));
        };
        let scale = |asset| config.assets.iter().find(|it| it.asset == asset).map_or(0, |it| it.scale);
        let lot = from_minor(it.base_minor_per_lot, scale(it.base_asset));
        let tick = from_minor(it.quote_minor_per_tick_lot, scale(it.quote_asset)) / lot;
        let whole = |flag: &str, text: &str, unit: rust_decimal::Decimal| {
            let value = text.parse::<rust_decimal::Decimal>().ok();
            let units = value.and_then(|value| crate::decimal::to_minor(value.checked_div(unit)?, 0));
            units.filter(|&units| units > 0).ok_or_else(|| {
                let unit = unit.normalize();
                Failure::usage(format!(
                    "--{flag} {text}: must be a multiple of {unit}, which {symbol} is traded in"
                ))
            })
        };
        Ok(Self {
            instrument: it.instrument,
            price_ticks: whole("price", &args.price, tick)?,
            quantity_lots: whole("quantity", &args.quantity, lot)?,
        })
    }
}

/// A binary session that enters orders.
pub struct BinarySession {
    stream: TcpStream,
    name: String,
    run: String,
    terms: Terms,
    account: AccountId,
    received: Vec<u8>,
    outgoing: Vec<u8>,
    sent: usize,
    buffer: Box<[u8]>,
    /// Orders that rest, by number.
    resting: HashMap<u64, OrderId>,
    /// Cancels that wait for their order's id.
    waiting: HashMap<u64, u64>,
    last_sent: Instant,
}

impl BinarySession {
    /// Connects and logs on; nothing blocks afterwards.
    ///
    /// # Errors
    /// No connection, or a login that is rejected.
    pub fn log_on(connect: SocketAddr, login: &Login, terms: Terms, run: &str) -> Result<Self, Failure> {
        let mut stream = login.connect(connect)?;
        let field = |text: &str| {
            padded(text).ok_or_else(|| Failure::usage("user names and passwords have at most 64 bytes"))
        };
        let request = LoginRequest {
            version: VERSION.into(),
            reserved: [0; 6],
            from_sequence: 0.into(),
            username: field(&login.username)?,
            password: field(&login.password)?,
        };
        let mut outgoing = Vec::new();
        push_packet(&mut outgoing, packet::LOGIN_REQUEST, &[request.as_bytes()]);
        stream.write_all(&outgoing).map_err(Failure::system)?;
        outgoing.clear();
        let mut answer = [0; 3 + size_of::<LoginAccepted>()];
        stream.read_exact(&mut answer[..4]).map_err(|error| login.no_answer(&error))?;
        if answer[2] != packet::LOGIN_ACCEPTED {
            let reason = format!("reason {}", answer[3] as char);
            return Err(login.refused(connect, &reason));
        }
        stream.read_exact(&mut answer[4..]).map_err(|error| login.no_answer(&error))?;
        let accepted = LoginAccepted::read_from_bytes(&answer[3..]);
        let accepted = accepted.map_err(|_| Failure::check("the login's answer is malformed"))?;
        stream.set_nonblocking(true).map_err(Failure::system)?;
        Ok(Self {
            stream,
            name: login.username.clone(),
            run: run.to_owned(),
            terms,
            account: AccountId(accepted.account.get()),
            received: Vec::new(),
            outgoing,
            sent: 0,
            buffer: vec![0; 16 * 1024].into(),
            resting: HashMap::new(),
            waiting: HashMap::new(),
            last_sent: Instant::now(),
        })
    }

    fn id(&self, number: u64) -> ClientOrderId {
        let text = format!("{}-{number}", self.run);
        ClientOrderId::from_text(text.as_bytes()).expect("shorter than 36 bytes")
    }

    fn send<T: Body>(&mut self, command: &T) {
        push_command(&mut self.outgoing, T::KIND, command.as_bytes());
    }

    fn send_cancel(&mut self, number: u64, order_id: OrderId) {
        self.send(&CancelOrder {
            order_id,
            account: self.account,
            instrument: self.terms.instrument,
            client_order_id: self.id(number),
            reserved: 0,
        });
    }

    /// One event record, behind its place among its command's events.
    fn on_event(&mut self, record: &[u8], take: &mut dyn FnMut(Answer<'_>)) {
        let Some((header, body)) = record.split_at_checked(HEADER_LENGTH) else { return };
        let Ok(header) = RecordHeader::read_from_bytes(header) else { return };
        let number = |id: ClientOrderId| order_number(id.as_bytes_trimmed(), self.run.as_bytes());
        match EventKind::from_code(header.kind) {
            Some(EventKind::OrderAccepted) => {
                let Ok(event) = OrderAccepted::read_from_bytes(body) else { return };
                let Some(number) = number(event.client_order_id) else { return };
                take(Answer { number, rejected: None });
                match self.waiting.remove(&number) {
                    Some(cancel) => self.send_cancel(cancel, event.order_id),
                    None => drop(self.resting.insert(number, event.order_id)),
                }
            }
            Some(EventKind::OrderCanceled) => {
                let Ok(event) = OrderCanceled::read_from_bytes(body) else { return };
                if let Some(number) = number(event.client_order_id) {
                    take(Answer { number, rejected: None });
                }
            }
            Some(EventKind::Rejected) => {
                let Ok(event) = Rejected::read_from_bytes(body) else { return };
                let Some(number) = number(event.client_order_id) else { return };
                let reason = format!("reject reason {}", event.reason);
                take(Answer { number, rejected: Some(reason.as_bytes()) });
                // A cancel of what never rested has its answer with it.
                if let Some(cancel) = self.waiting.remove(&number) {
                    take(Answer { number: cancel, rejected: Some(reason.as_bytes()) });
                }
            }
            _ => {}
        }
    }

    fn on_packet(
        &mut self,
        kind: u8,
        payload: &[u8],
        take: &mut dyn FnMut(Answer<'_>),
    ) -> Result<(), Failure> {
        match kind {
            packet::SEQUENCED => {
                if let Some(record) = payload.get(4..) {
                    self.on_event(record, take);
                }
                Ok(())
            }
            packet::REFUSED => {
                let reason = Refusal::read_from_bytes(payload).map_or(0, |it| it.reason.get());
                Err(Failure::check(format!(
                    "the server refused a command: reason {reason} of docs/binary.md"
                )))
            }
            packet::END_OF_SESSION => {
                let words = payload.escape_ascii();
                Err(Failure::check(format!("the server ended session {}: {words}", self.name)))
            }
            _ => Ok(()),
        }
    }

    fn read(&mut self) -> Result<(), Failure> {
        loop {
            match self.stream.read(&mut self.buffer) {
                Ok(0) => return Err(Failure::check(format!("the server closed session {}", self.name))),
                Ok(count) => {
                    self.received.extend_from_slice(&self.buffer[..count]);
                    if count < self.buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(Failure::system(format!("session {}: {error}", self.name))),
            }
        }
    }
}

impl Session for BinarySession {
    fn enter(&mut self, number: u64) {
        self.send(&NewOrder {
            price_ticks: self.terms.price_ticks,
            quantity_lots: self.terms.quantity_lots,
            account: self.account,
            instrument: self.terms.instrument,
            client_order_id: self.id(number),
            side: Side::Buy.code(),
            order_type: OrderType::Limit.code(),
            time_in_force: TimeInForce::GoodTillCancel.code(),
            self_trade_prevention: 0,
        });
    }

    fn cancel(&mut self, number: u64, order: u64) {
        match self.resting.remove(&order) {
            Some(order_id) => self.send_cancel(number, order_id),
            None => drop(self.waiting.insert(order, number)),
        }
    }

    fn unsent_bytes(&self) -> usize {
        self.outgoing.len() - self.sent
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if self.outgoing.is_empty() && self.last_sent.elapsed().as_secs() >= HEARTBEAT_S {
            push_packet(&mut self.outgoing, packet::CLIENT_HEARTBEAT, &[]);
        }
        if !self.outgoing.is_empty() && self.sent == 0 {
            self.last_sent = Instant::now();
        }
        write_out(&mut self.stream, &self.name, &mut self.outgoing, &mut self.sent)
    }

    fn receive(&mut self, take: &mut dyn FnMut(Answer<'_>)) -> Result<(), Failure> {
        self.read()?;
        let received = std::mem::take(&mut self.received);
        let mut at = 0;
        let outcome = loop {
            match find_packet(&received[at..], PACKET_BYTES) {
                Packet::Incomplete => break Ok(()),
                Packet::Bad => break Err(Failure::check("the server sent what is no packet")),
                Packet::Whole(kind, payload, length) => {
                    at += length;
                    if let Err(failure) = self.on_packet(kind, payload, take) {
                        break Err(failure);
                    }
                }
            }
        };
        self.received = received;
        self.received.drain(..at);
        outcome
    }

    fn log_out(&mut self) {
        push_packet(&mut self.outgoing, packet::LOGOUT, &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use crate::commands::load::args::LoadCommand;
    use clap::Parser as _;

    fn terms(more: &[&str]) -> Result<Terms, String> {
        let command = Cli::try_parse_from(["rialto", "load", "binary"].iter().chain(more)).unwrap().command;
        let Command::Load(LoadCommand::Binary(args)) = command else { panic!("another command") };
        Terms::of(&args.load, &Config::load(None).unwrap()).map_err(|failure| failure.message)
    }

    #[test]
    fn decimals_become_ticks_and_lots_exactly_or_not_at_all() {
        let expected = Terms { instrument: 1, price_ticks: 100, quantity_lots: 1 };
        assert_eq!(terms(&[]), Ok(expected));
        let eth = terms(&["--symbol", "ETH/USD", "--price", "2.5", "--quantity", "1"]);
        assert_eq!(eth, Ok(Terms { instrument: 2, price_ticks: 250, quantity_lots: 1000 }));
        assert!(terms(&["--symbol", "X"]).unwrap_err().contains("no such instrument"));
        for bad in ["1.005", "0", "-1", "x", ""] {
            assert!(terms(&[&format!("--price={bad}")]).unwrap_err().contains("0.01"), "{bad}");
        }
    }
}
