//! Measures order-to-acknowledgement over TCP at a fixed rate: from the time a message was due (so that a late sender
//! counts, too) to its ExecutionReport.
//!
//! `cargo run --release -p gateway --example fix_round_trip -- HOST:PORT RATE SECONDS COMP_ID USER PASSWORD TARGET SYMBOL`

use std::error::Error;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gateway::fix::{FieldIndex, Frame, MessageWriter, Version, find_frame, format_utc_millis, tags};

struct Client {
    stream: TcpStream,
    out: Vec<u8>,
    input: Vec<u8>,
    sequence: u64,
    names: (String, String),
}

impl Client {
    fn message(&mut self, kind: &[u8], body: impl FnOnce(&mut MessageWriter<'_>, &[u8])) {
        self.sequence += 1;
        let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_nanos() as u64);
        let now = format_utc_millis(now_ns);
        let mut writer = MessageWriter::begin(&mut self.out, Version::Fix44, kind);
        writer.integer(tags::MSG_SEQ_NUM, self.sequence);
        writer.bytes(tags::SENDER_COMP_ID, self.names.0.as_bytes());
        writer.bytes(tags::SENDING_TIME, &now);
        writer.bytes(tags::TARGET_COMP_ID, self.names.1.as_bytes());
        body(&mut writer, &now);
        writer.finish();
    }

    /// Reads what is there and gives each ClOrdID of a New report to `take`.
    fn receive(&mut self, index: &mut FieldIndex, mut take: impl FnMut(u64)) -> Result<(), Box<dyn Error>> {
        let mut buffer = [0; 65_536];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err("the gateway closed the connection".into()),
            Ok(length) => self.input.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let mut at = 0;
        while let Frame::Complete(length) = find_frame(&self.input[at..], 1 << 16) {
            let message = index.parse(&self.input[at..at + length]).ok_or("cannot read a message")?;
            match (message.message_type(), message.get(tags::EXEC_TYPE)) {
                (b"8", Some(b"0")) => take(message.number(tags::CL_ORD_ID).ok_or("a strange ClOrdID")?),
                (b"8", Some(b"4")) | (b"A" | b"0", _) => {}
                _ => return Err(message.bytes().escape_ascii().to_string().into()),
            }
            at += length;
        }
        self.input.drain(..at);
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, rate, seconds, comp_id, user, password, target, symbol] = arguments.as_slice() else {
        return Err("usage: HOST:PORT RATE SECONDS COMP_ID USER PASSWORD TARGET SYMBOL".into());
    };
    let (rate, seconds): (u64, u64) = (rate.parse()?, seconds.parse()?);
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let names = (comp_id.clone(), target.clone());
    let mut client = Client { stream, out: Vec::new(), input: Vec::new(), sequence: 0, names };
    client.message(b"A", |writer, _| {
        writer.bytes(tags::ENCRYPT_METHOD, b"0");
        writer.bytes(tags::HEART_BT_INT, b"0");
        writer.bytes(tags::RESET_SEQ_NUM_FLAG, b"Y");
        writer.bytes(tags::USERNAME, user.as_bytes());
        writer.bytes(tags::PASSWORD, password.as_bytes());
    });
    let (total, mut sent, mut received) = (rate * seconds, 0, 0);
    let mut latencies_ns = vec![0u64; total as usize];
    let interval = Duration::from_secs_f64(1.0 / rate as f64);
    let mut index = FieldIndex::new();
    let start = Instant::now() + Duration::from_millis(200);
    let due = |number: u64| start + interval * number as u32;
    while received < total {
        while sent < total && Instant::now() >= due(sent) {
            client.message(b"D", |writer, now| {
                writer.integer(tags::CL_ORD_ID, sent);
                writer.bytes(tags::ORDER_QTY, b"1");
                writer.bytes(tags::ORD_TYPE, b"2");
                writer.bytes(tags::PRICE, b"1");
                writer.bytes(tags::SIDE, b"1");
                writer.bytes(tags::SYMBOL, symbol.as_bytes());
                writer.bytes(tags::TIME_IN_FORCE, b"3");
                writer.bytes(tags::TRANSACT_TIME, now);
            });
            sent += 1;
        }
        if !client.out.is_empty() {
            match client.stream.write(&client.out) {
                Ok(length) => drop(client.out.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        client.receive(&mut index, |number| {
            latencies_ns[number as usize] = due(number).elapsed().as_nanos() as u64;
            received += 1;
        })?;
    }
    latencies_ns.sort_unstable();
    let at = |part: f64| latencies_ns[((latencies_ns.len() - 1) as f64 * part) as usize] / 1000;
    println!("{total} orders at {rate}/s, order to acknowledgement in us:");
    println!("p50 {}  p90 {}  p99 {}  p99.9 {}  max {}", at(0.5), at(0.9), at(0.99), at(0.999), at(1.0));
    Ok(())
}
