//! FIX sessions of the load.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gateway::fix::{
    FieldIndex, Frame, Message, MessageWriter, UtcText, Version, find_frame, format_utc_millis,
};

use super::args::LoadArgs;
use super::run::{Answer, Session};
use super::who::{Login, order_number};
use super::write_out;
use crate::output::Failure;

/// Longest message that the server may send.
const MESSAGE_BYTES: usize = 64 * 1024;
/// HeartBtInt (108).
pub const HEARTBEAT: Duration = Duration::from_secs(30);

/// The time now, nanoseconds since the Unix epoch.
fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}

/// A FIX connection: bytes in, bytes out.
pub struct Link {
    stream: TcpStream,
    sender: String,
    target: String,
    next_out: u64,
    /// Bytes received and not yet a whole message.
    received: Vec<u8>,
    outgoing: Vec<u8>,
    /// Bytes of `outgoing` that the socket has taken.
    sent: usize,
    buffer: Box<[u8]>,
    /// The millisecond that `time` is the text of.
    time_ms: u64,
    /// SendingTime of what is queued: as of when the socket was looked at last, which is every turn of the load.
    time: UtcText,
}

impl Link {
    /// Connects and logs on; nothing blocks afterwards.
    ///
    /// # Errors
    /// No connection, or a Logon that is refused.
    pub fn log_on(connect: SocketAddr, target: &str, login: &Login) -> Result<Self, Failure> {
        let stream = login.connect(connect)?;
        let mut link = Self {
            stream,
            sender: login.comp_id.clone(),
            target: target.to_owned(),
            next_out: 1,
            received: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            buffer: vec![0; 64 * 1024].into(),
            time_ms: 0,
            time: format_utc_millis(0),
        };
        link.look_at_the_clock();
        link.queue(b"A", |message, _| {
            message.integer(98, 0);
            message.integer(108, HEARTBEAT.as_secs());
            message.bytes(141, b"Y");
            message.bytes(553, login.username.as_bytes());
            message.bytes(554, login.password.as_bytes());
        });
        link.stream.write_all(&link.outgoing).map_err(Failure::system)?;
        link.outgoing.clear();
        // The answer may come in pieces; what refuses it may be followed by the end of the connection.
        let (mut accepted, mut refused) = (false, None);
        while !accepted && refused.is_none() {
            let count = link.stream.read(&mut link.buffer).map_err(|error| login.no_answer(&error))?;
            link.received.extend_from_slice(&link.buffer[..count]);
            link.messages(&mut |message| match message.message_type() {
                b"A" => accepted = true,
                _ => refused = Some(message.get(58).unwrap_or_default().escape_ascii().to_string()),
            });
            if count == 0 {
                refused.get_or_insert_default();
            }
        }
        if !accepted {
            return Err(login.refused(connect, &refused.unwrap_or_default()));
        }
        link.stream.set_nonblocking(true).map_err(Failure::system)?;
        Ok(link)
    }

    fn look_at_the_clock(&mut self) {
        let now_ms = now_ns() / 1_000_000;
        if self.time_ms != now_ms {
            (self.time_ms, self.time) = (now_ms, format_utc_millis(now_ms * 1_000_000));
        }
    }

    /// Puts one message into the output. `fields` gets the time, too.
    pub fn queue(&mut self, message_type: &[u8], fields: impl FnOnce(&mut MessageWriter<'_>, &[u8])) {
        let mut message = MessageWriter::begin(&mut self.outgoing, Version::Fix44, message_type);
        message.bytes(49, self.sender.as_bytes());
        message.bytes(56, self.target.as_bytes());
        message.integer(34, self.next_out);
        message.bytes(52, &self.time);
        fields(&mut message, &self.time);
        message.finish();
        self.next_out += 1;
    }

    /// Gives the socket what it takes.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn flush(&mut self) -> Result<(), Failure> {
        write_out(&mut self.stream, &self.sender, &mut self.outgoing, &mut self.sent)
    }

    /// Takes what has arrived, answers TestRequests, and passes all other messages on.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn receive(&mut self, handler: &mut dyn FnMut(Message<'_>)) -> Result<(), Failure> {
        self.look_at_the_clock();
        loop {
            match self.stream.read(&mut self.buffer) {
                Ok(0) => return Err(Failure::check(format!("the server closed session {}", self.sender))),
                Ok(count) => {
                    self.received.extend_from_slice(&self.buffer[..count]);
                    // Less than there was room for: there is no more.
                    if count < self.buffer.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(Failure::system(format!("session {}: {error}", self.sender))),
            }
        }
        let mut test_requests = Vec::new();
        self.messages(&mut |message| match message.message_type() {
            b"1" => test_requests.push(message.get(112).unwrap_or_default().to_vec()),
            _ => handler(message),
        });
        for id in test_requests {
            self.queue(b"0", |message, _| message.bytes(112, &id));
        }
        Ok(())
    }

    fn messages(&mut self, handler: &mut dyn FnMut(Message<'_>)) {
        let mut index = FieldIndex::new();
        let mut at = 0;
        while at < self.received.len() {
            match find_frame(&self.received[at..], MESSAGE_BYTES) {
                Frame::Complete(length) => {
                    if let Some(message) = index.parse(&self.received[at..at + length]) {
                        handler(message);
                    }
                    at += length;
                }
                Frame::Garbled(length) => at += length.max(1),
                Frame::Incomplete | Frame::TooLong => break,
            }
        }
        self.received.drain(..at);
    }
}

/// A FIX session that enters orders.
pub struct FixSession {
    link: Link,
    run: String,
    symbol: String,
    price: String,
    quantity: String,
}

impl FixSession {
    /// Logs on. `run` begins the ClOrdIDs of this run.
    ///
    /// # Errors
    /// As [`Link::log_on`].
    pub fn log_on(
        connect: SocketAddr,
        target: &str,
        login: &Login,
        args: &LoadArgs,
        run: &str,
    ) -> Result<Self, Failure> {
        Ok(Self {
            link: Link::log_on(connect, target, login)?,
            run: run.to_owned(),
            symbol: args.symbol.clone(),
            price: args.price.clone(),
            quantity: args.quantity.clone(),
        })
    }
}

impl Session for FixSession {
    fn enter(&mut self, number: u64) {
        let Self { link, run, symbol, price, quantity } = self;
        link.queue(b"D", |message, time| {
            message.display(11, format_args!("{run}-{number}"));
            message.bytes(55, symbol.as_bytes());
            message.character(54, b'1');
            message.bytes(60, time);
            message.bytes(38, quantity.as_bytes());
            message.character(40, b'2');
            message.bytes(44, price.as_bytes());
            message.character(59, b'1');
        });
    }

    fn cancel(&mut self, number: u64, order: u64) {
        let Self { link, run, symbol, .. } = self;
        link.queue(b"F", |message, time| {
            message.display(41, format_args!("{run}-{order}"));
            message.display(11, format_args!("{run}-{number}"));
            message.bytes(55, symbol.as_bytes());
            message.character(54, b'1');
            message.bytes(60, time);
        });
    }

    fn unsent_bytes(&self) -> usize {
        self.link.outgoing.len() - self.link.sent
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.link.flush()
    }

    fn receive(&mut self, take: &mut dyn FnMut(Answer<'_>)) -> Result<(), Failure> {
        let run = self.run.as_bytes();
        let mut refused = None;
        self.link.receive(&mut |message| {
            let rejected = match message.message_type() {
                b"8" => message.get(150) == Some(b"8"),
                b"9" => true,
                // What cannot be answered by a report: it names no order.
                b"3" | b"j" | b"5" => {
                    let text = message.get(58).unwrap_or(b"no reason given").escape_ascii().to_string();
                    refused.get_or_insert(text);
                    return;
                }
                _ => return,
            };
            let text = || message.get(58).unwrap_or(b"no reason given");
            if let Some(number) = message.get(11).and_then(|id| order_number(id, run)) {
                take(Answer { number, rejected: rejected.then(text) });
            }
        })?;
        refused.map_or(Ok(()), |text| Err(Failure::check(format!("the server refused a message: {text}"))))
    }

    fn log_out(&mut self) {
        self.link.queue(b"5", |_, _| {});
    }
}
