//! `rialto load fix`: orders at a fixed rate, and the time until each one's report.
//!
//! Open loop: every message has a planned time, and its latency counts from that time, sent late or not. A server that
//! stalls for a second therefore shows it in all the messages that were due meanwhile, not in one.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use gateway::UserConfig;
use gateway::fix::{FieldIndex, Frame, MessageWriter, Version, find_frame, format_utc_millis};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::cli::LoadFixArgs;
use crate::config::Config;
use crate::output::{Failure, grouped, line, progress_bar};

/// Longest message that the server may send.
const MESSAGE_BYTES: usize = 64 * 1024;

/// How long the last replies may take after the last message was due.
const DRAIN: Duration = Duration::from_secs(10);

/// An order is cancelled by the message this many places after it, so that its acknowledgement has come by then.
const CANCEL_LAG: u64 = 2_001;

/// Runs the command.
///
/// # Errors
/// No connection, a refused logon, or a message without an answer.
pub fn run_fix(args: &LoadFixArgs) -> Result<(), Failure> {
    let config = Config::load(args.config.as_deref()).map_err(Failure::usage)?;
    if args.rate == 0 || args.sessions == 0 {
        return Err(Failure::usage("--rate and --sessions must be 1 or more"));
    }
    if args.sessions > config.users.len() {
        let users = config.users.len();
        return Err(Failure::usage(format!(
            "--sessions {} but the configuration has {users} users",
            args.sessions
        )));
    }
    let users = config.users.iter().take(args.sessions);
    let sessions = users.map(|user| Session::log_on(args, &config.target_comp_id, user));
    let mut load = Load::new(args, sessions.collect::<Result<Vec<_>, _>>()?);
    load.run()?;
    load.report(args)
}

/// One FIX session of the load.
struct Session {
    stream: TcpStream,
    sender: String,
    target: String,
    next_out: u64,
    /// Bytes received and not yet a whole message.
    received: Vec<u8>,
    outgoing: Vec<u8>,
    /// Bytes of `outgoing` that the socket has taken.
    sent: usize,
}

impl Session {
    fn log_on(args: &LoadFixArgs, target: &str, user: &UserConfig) -> Result<Self, Failure> {
        let stream = TcpStream::connect(args.connect)
            .map_err(|error| Failure::system(format!("cannot connect to {}: {error}", args.connect)))?;
        stream.set_nodelay(true).map_err(Failure::system)?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(Failure::system)?;
        let mut session = Self {
            stream,
            sender: user.sender_comp_id.clone(),
            target: target.to_string(),
            next_out: 1,
            received: Vec::with_capacity(MESSAGE_BYTES),
            outgoing: Vec::with_capacity(MESSAGE_BYTES),
            sent: 0,
        };
        let password = args.password.clone().unwrap_or_else(|| format!("{}-secret", user.username));
        session.queue(b"A", |message| {
            message.integer(98, 0);
            message.integer(108, 30);
            message.bytes(141, b"Y");
            message.bytes(553, user.username.as_bytes());
            message.bytes(554, password.as_bytes());
        });
        session.stream.write_all(&session.outgoing).map_err(Failure::system)?;
        session.outgoing.clear();
        let mut buffer = [0; 4096];
        let count = session.stream.read(&mut buffer).map_err(Failure::system)?;
        session.received.extend_from_slice(&buffer[..count]);
        let mut accepted = false;
        session.messages(&mut |message_type, _| accepted |= message_type == b"A");
        if !accepted {
            return Err(Failure::check(format!(
                "logon of {} was refused by {}",
                session.sender, args.connect
            )));
        }
        session.stream.set_nonblocking(true).map_err(Failure::system)?;
        Ok(session)
    }

    fn queue(&mut self, message_type: &[u8], fields: impl FnOnce(&mut MessageWriter<'_>)) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let sending_time = format_utc_millis(now.as_nanos() as u64);
        let mut message = MessageWriter::begin(&mut self.outgoing, Version::Fix44, message_type);
        message.bytes(49, self.sender.as_bytes());
        message.bytes(56, self.target.as_bytes());
        message.integer(34, self.next_out);
        message.bytes(52, &sending_time);
        fields(&mut message);
        message.finish();
        self.next_out += 1;
    }

    /// Gives the socket what it takes.
    fn flush(&mut self) -> Result<(), Failure> {
        while self.sent < self.outgoing.len() {
            match self.stream.write(&self.outgoing[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(Failure::system(format!("session {}: {error}", self.sender))),
            }
        }
        self.outgoing.clear();
        self.sent = 0;
        Ok(())
    }

    /// Takes what has arrived and passes whole messages on.
    fn receive(&mut self, handler: &mut dyn FnMut(&[u8], gateway::fix::Message<'_>)) -> Result<(), Failure> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Failure::check(format!("the server closed session {}", self.sender))),
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(Failure::system(format!("session {}: {error}", self.sender))),
            }
        }
        self.messages(handler);
        Ok(())
    }

    fn messages(&mut self, handler: &mut dyn FnMut(&[u8], gateway::fix::Message<'_>)) {
        let mut index = FieldIndex::new();
        let mut at = 0;
        loop {
            match find_frame(&self.received[at..], MESSAGE_BYTES) {
                Frame::Complete(length) => {
                    if let Some(message) = index.parse(&self.received[at..at + length]) {
                        handler(message.message_type(), message);
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

/// Latencies from a nanosecond to a minute, with three digits.
fn empty_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are constant and valid")
}

/// The whole run.
struct Load {
    sessions: Vec<Session>,
    symbol: String,
    price: String,
    quantity: String,
    /// Planned distance of two messages.
    interval_ns: u64,
    messages: u64,
    /// ClOrdID number to planned time, for messages without a report yet.
    open: HashMap<u64, u64>,
    latency: Histogram<u64>,
    rejected: u64,
    started: Instant,
    elapsed: Duration,
    quiet: bool,
}

impl Load {
    fn new(args: &LoadFixArgs, sessions: Vec<Session>) -> Self {
        Self {
            sessions,
            symbol: args.symbol.clone(),
            price: args.price.to_string(),
            quantity: args.quantity.to_string(),
            interval_ns: 1_000_000_000 / args.rate,
            messages: (args.rate as f64 * args.duration.as_secs_f64()) as u64,
            open: HashMap::new(),
            latency: Histogram::new_with_bounds(1, 60_000_000_000, 3)
                .expect("the bounds are constant and valid"),
            rejected: 0,
            started: Instant::now(),
            elapsed: Duration::ZERO,
            quiet: args.json,
        }
    }

    /// Sends every message at its planned time, even ones a new order and odd ones the cancel of an earlier one, and
    /// waits for all reports; the last orders are cancelled afterwards, unmeasured.
    fn run(&mut self) -> Result<(), Failure> {
        // ClOrdIDs must not repeat those of an earlier run whose orders may still rest.
        let run_id = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        let bar = progress_bar(self.messages, "messages", self.quiet);
        self.started = Instant::now();
        let mut next = 0;
        let deadline_ns = self.messages * self.interval_ns + DRAIN.as_nanos() as u64;
        while next < self.messages || !self.open.is_empty() {
            let now_ns = self.started.elapsed().as_nanos() as u64;
            if now_ns > deadline_ns {
                return Err(Failure::check(format!(
                    "{} messages had no report after {DRAIN:?}",
                    self.open.len()
                )));
            }
            while next < self.messages && next * self.interval_ns <= now_ns {
                self.send(next, run_id);
                next += 1;
                if next.is_multiple_of(1024) {
                    bar.set_position(next);
                }
            }
            let open = self.open.len();
            for position in 0..self.sessions.len() {
                self.sessions[position].flush()?;
                self.receive(position)?;
            }
            if self.open.len() == open {
                // The exchange may need this very processor to answer.
                std::thread::yield_now();
            }
        }
        bar.finish_and_clear();
        self.elapsed = self.started.elapsed();
        self.cancel_leftovers(run_id)
    }

    /// Cancels the orders that no message of the run has cancelled.
    fn cancel_leftovers(&mut self, run_id: u128) -> Result<(), Failure> {
        let measured = std::mem::replace(&mut self.latency, empty_histogram());
        let first = (self.messages + 1).saturating_sub(CANCEL_LAG).next_multiple_of(2);
        let start = Instant::now();
        for order in (first..self.messages).step_by(2) {
            self.cancel(self.messages + order, order, run_id);
        }
        while !self.open.is_empty() {
            if start.elapsed() > DRAIN {
                return Err(Failure::check(format!(
                    "{} cancels had no report after {DRAIN:?}",
                    self.open.len()
                )));
            }
            for position in 0..self.sessions.len() {
                self.sessions[position].flush()?;
                self.receive(position)?;
            }
        }
        self.latency = measured;
        Ok(())
    }

    fn send(&mut self, number: u64, run_id: u128) {
        match number.checked_sub(CANCEL_LAG) {
            Some(order) if !number.is_multiple_of(2) => self.cancel(number, order, run_id),
            _ => self.enter(number, run_id),
        }
    }

    /// The session of an order, and so of its cancel.
    fn session_of(&mut self, order: u64) -> &mut Session {
        let position = (order / 2 % self.sessions.len() as u64) as usize;
        &mut self.sessions[position]
    }

    fn enter(&mut self, number: u64, run_id: u128) {
        let (symbol, price, quantity) = (self.symbol.clone(), self.price.clone(), self.quantity.clone());
        self.session_of(number).queue(b"D", |message| {
            message.display(11, format_args!("{run_id}-{number}"));
            message.bytes(55, symbol.as_bytes());
            message.character(54, b'1');
            message.bytes(60, &format_utc_millis(0));
            message.bytes(38, quantity.as_bytes());
            message.character(40, b'2');
            message.bytes(44, price.as_bytes());
            message.character(59, b'1');
        });
        self.open.insert(number, number * self.interval_ns);
    }

    fn cancel(&mut self, number: u64, order: u64, run_id: u128) {
        let symbol = self.symbol.clone();
        self.session_of(order).queue(b"F", |message| {
            message.display(41, format_args!("{run_id}-{order}"));
            message.display(11, format_args!("{run_id}-{number}"));
            message.bytes(55, symbol.as_bytes());
            message.character(54, b'1');
            message.bytes(60, &format_utc_millis(0));
        });
        self.open.insert(number, number * self.interval_ns);
    }

    fn receive(&mut self, position: usize) -> Result<(), Failure> {
        let (open, latency, started, rejected) =
            (&mut self.open, &mut self.latency, self.started, &mut self.rejected);
        let mut test_requests = Vec::new();
        let session = &mut self.sessions[position];
        session.receive(&mut |message_type, message| {
            if message_type == b"1" {
                test_requests.push(message.get(112).unwrap_or_default().to_vec());
            }
            if message_type != b"8" && message_type != b"9" {
                return;
            }
            let number = message.get(11).and_then(|id| {
                let text = std::str::from_utf8(id).ok()?;
                text.rsplit('-').next()?.parse::<u64>().ok()
            });
            if let Some(planned_ns) = number.and_then(|number| open.remove(&number)) {
                let now_ns = started.elapsed().as_nanos() as u64;
                latency.saturating_record(now_ns.saturating_sub(planned_ns).max(1));
                if message_type == b"9" || message.get(150) == Some(b"8") {
                    *rejected += 1;
                }
            }
        })?;
        for id in test_requests {
            session.queue(b"0", |message| message.bytes(112, &id));
        }
        Ok(())
    }

    fn report(&self, args: &LoadFixArgs) -> Result<(), Failure> {
        let rate = self.messages as f64 / self.elapsed.as_secs_f64();
        let percentiles = crate::latency::Percentiles::of(&self.latency);
        if let Some(path) = &args.plot {
            let title =
                format!("{} messages a second over {} sessions", grouped(args.rate), self.sessions.len());
            std::fs::write(path, crate::plot::svg(&title, &self.latency))
                .map_err(|error| Failure::system(format!("{}: {error}", path.display())))?;
        }
        if args.json {
            let mut object = json!({
                "messages": self.messages,
                "sessions": self.sessions.len(),
                "rejected": self.rejected,
                "planned_rate": args.rate,
                "rate": rate,
            });
            if let (Value::Object(map), Value::Object(more)) = (&mut object, percentiles.json()) {
                map.extend(more);
            }
            line(object);
        } else {
            line(format!(
                "{} messages over {} sessions at {} a second (planned {}), {} rejected",
                grouped(self.messages),
                self.sessions.len(),
                grouped(rate as u64),
                grouped(args.rate),
                self.rejected
            ));
            line(format!("planned time to report: {percentiles}"));
        }
        if self.rejected > 0 {
            return Err(Failure::check(format!("{} messages were rejected", self.rejected)));
        }
        Ok(())
    }
}
