//! A small client of the binary port: logs on, sends what it is told on the command line, prints events.
//!
//! ```console
//! $ cargo run --example binary_client -- 127.0.0.1:9881 alice alice-secret buy 1 10 6000000
//! $ cargo run --example binary_client -- 127.0.0.1:9881 alice alice-secret events 1
//! ```
//!
//! `buy` and `sell` take instrument id, lots and ticks, wait for the order's events, and cancel what rests. `events` prints
//! all events of the account from a sequence on, up to now. The whole protocol is in `docs/binary.md`.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use gateway::binary::wire::{
    LoginAccepted, LoginRequest, Packet, Refusal, VERSION, find_packet, packet, padded, push_command,
    push_packet,
};
use machine::{Body, Record, flags};
use protocol::{
    AccountId, CancelOrder, ClientOrderId, EventKind, NewOrder, OrderAccepted, OrderType, Rejected, Side,
    TimeInForce, Trade,
};
use zerocopy::{FromBytes as _, IntoBytes as _};

/// Anything that goes wrong.
pub type Failure = Box<dyn Error>;

/// A session.
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    account: AccountId,
    last_sequence: u64,
}

impl Client {
    /// Connects and logs on.
    pub fn log_on(address: &str, user: &str, password: &str, from: u64) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let request = LoginRequest {
            version: VERSION.into(),
            reserved: [0; 6],
            from_sequence: from.into(),
            username: padded(user).ok_or("the user name is too long")?,
            password: padded(password).ok_or("the password is too long")?,
        };
        let mut client =
            Self { stream, received: Vec::new(), account: AccountId::default(), last_sequence: 0 };
        let mut bytes = Vec::new();
        push_packet(&mut bytes, packet::LOGIN_REQUEST, &[request.as_bytes()]);
        client.stream.write_all(&bytes)?;
        let (kind, payload) = client.next()?;
        if kind != packet::LOGIN_ACCEPTED {
            return Err(format!("login rejected: {}", payload.escape_ascii()).into());
        }
        let accepted = LoginAccepted::read_from_bytes(&payload).map_err(|_| "not a Login Accepted")?;
        client.account = AccountId(accepted.account.get());
        client.last_sequence = accepted.last_sequence.get();
        Ok(client)
    }

    /// The next packet.
    fn next(&mut self) -> Result<(u8, Vec<u8>), Failure> {
        loop {
            if let Packet::Whole(kind, payload, length) = find_packet(&self.received, 1 << 16) {
                let payload = payload.to_vec();
                self.received.drain(..length);
                return Ok((kind, payload));
            }
            let mut buffer = [0; 16 * 1024];
            let length = self.stream.read(&mut buffer)?;
            if length == 0 {
                return Err("the server closed the connection".into());
            }
            self.received.extend_from_slice(&buffer[..length]);
        }
    }

    fn send<T: Body>(&mut self, command: &T) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        push_command(&mut bytes, T::KIND, command.as_bytes());
        Ok(self.stream.write_all(&bytes)?)
    }

    /// Sequence of the last command at the login.
    pub fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// Gives every event to `take` until it says that it has enough, or the server says that there are no more up to
    /// `until`.
    pub fn events(
        &mut self,
        until: u64,
        mut take: impl FnMut(u32, Record<'_>) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        loop {
            let (kind, payload) = self.next()?;
            match (kind, payload.split_first_chunk::<4>()) {
                (packet::SEQUENCED, Some((index, record))) => {
                    let mut words = vec![0u64; record.len() / 8];
                    words.as_mut_bytes().copy_from_slice(record);
                    let record = Record::parse(words.as_bytes()).map_err(|error| error.to_string())?;
                    if take(u32::from_le_bytes(*index), record)? {
                        return Ok(());
                    }
                }
                (packet::REFUSED, _) => {
                    let refusal = Refusal::read_from_bytes(&payload).map_err(|_| "not a refusal")?;
                    return Err(format!("refused: reason {}", refusal.reason.get()).into());
                }
                (packet::SERVER_HEARTBEAT, _) => {
                    let complete = payload.as_slice().try_into().map(u64::from_le_bytes).unwrap_or(0);
                    if complete >= until {
                        return Ok(());
                    }
                    // It wants to hear from us, too.
                    let mut heartbeat = Vec::new();
                    push_packet(&mut heartbeat, packet::CLIENT_HEARTBEAT, &[]);
                    self.stream.write_all(&heartbeat)?;
                }
                (kind, _) => return Err(format!("{}: {}", kind as char, payload.escape_ascii()).into()),
            }
        }
    }
}

fn print(index: u32, event: Record<'_>) {
    let header = event.header();
    let name = EventKind::from_code(header.kind).map_or("unknown", EventKind::name);
    let more = match (event.body_as::<OrderAccepted>(), event.body_as::<Trade>(), event.body_as::<Rejected>())
    {
        (Some(it), ..) => format!("order {} {:?}", it.order_id, it.client_order_id),
        (_, Some(it), _) => format!("{} lots at {} ticks", it.quantity_lots, it.price_ticks),
        (.., Some(it)) => format!("{:?} reason {}", it.client_order_id, it.reason),
        _ => String::new(),
    };
    println!("{}-{index} {name} {more}", header.sequence);
}

/// Enters an order, prints its events, and cancels what rests.
pub fn trade(client: &mut Client, side: Side, numbers: &[i64]) -> Result<(), Failure> {
    let &[instrument, quantity_lots, price_ticks] = numbers else {
        return Err("buy and sell take an instrument id, lots and ticks".into());
    };
    let order = NewOrder {
        price_ticks,
        quantity_lots,
        account: client.account,
        instrument: u32::try_from(instrument)?,
        client_order_id: ClientOrderId::from_text(b"example").ok_or("too long")?,
        side: side.code(),
        order_type: OrderType::Limit.code(),
        time_in_force: TimeInForce::Day.code(),
        self_trade_prevention: 0,
    };
    client.send(&order)?;
    let (mut resting, mut left) = (None, 0);
    client.events(u64::MAX, |index, event| {
        print(index, event);
        if let Some(accepted) = event.body_as::<OrderAccepted>() {
            resting = Some(accepted.order_id);
            left = accepted.quantity_lots;
        }
        left -= event.body_as::<Trade>().map_or(0, |trade| trade.quantity_lots);
        Ok(event.header().flags & flags::LAST_EVENT != 0)
    })?;
    let Some(order_id) = resting.filter(|_| left > 0) else { return Ok(()) };
    let cancel = CancelOrder {
        order_id,
        account: client.account,
        instrument: order.instrument,
        client_order_id: ClientOrderId::from_text(b"example-cancel").ok_or("too long")?,
        reserved: 0,
    };
    client.send(&cancel)?;
    client.events(u64::MAX, |index, event| {
        print(index, event);
        Ok(event.header().flags & flags::LAST_EVENT != 0)
    })
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, user, password, what, numbers @ ..] = arguments.as_slice() else {
        return Err(
            "usage: binary_client ADDRESS USER PASSWORD buy|sell INSTRUMENT LOTS TICKS | events FROM".into(),
        );
    };
    let numbers = numbers.iter().map(|it| it.parse()).collect::<Result<Vec<i64>, _>>()?;
    match what.as_str() {
        "events" => {
            let from = numbers.first().map_or(Ok(1), |&from| u64::try_from(from))?;
            let mut client = Client::log_on(address, user, password, from)?;
            let until = client.last_sequence();
            client.events(until, |index, event| {
                print(index, event);
                Ok(false)
            })
        }
        "buy" => trade(&mut Client::log_on(address, user, password, 0)?, Side::Buy, &numbers),
        "sell" => trade(&mut Client::log_on(address, user, password, 0)?, Side::Sell, &numbers),
        other => Err(format!("{other} is none of buy, sell, events").into()),
    }
}
