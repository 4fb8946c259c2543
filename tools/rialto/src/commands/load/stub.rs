//! `rialto load stub`: the least that can answer orders over FIX.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering;

use gateway::fix::{FieldIndex, Frame, Message, MessageWriter, Version, find_frame, format_utc_millis};

use super::args::LoadStubArgs;
use crate::output::{Failure, tell};

/// Longest message that it takes.
const MESSAGE_BYTES: usize = 64 * 1024;

/// Runs the command.
///
/// # Errors
/// An address that cannot be listened on.
pub fn run(args: &LoadStubArgs) -> Result<(), Failure> {
    let stop = crate::signals::stop_signals()?;
    let failed = |error| Failure::system(format!("cannot listen on {}: {error}", args.bind));
    let listener = TcpListener::bind(args.bind).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    tell(format!("stub listening on {}; stop with Ctrl-C", listener.local_addr().map_err(failed)?));
    let (mut clients, mut turn) = (Vec::new(), 0u32);
    while !stop.load(Ordering::Relaxed) {
        turn = turn.wrapping_add(1);
        // Looking for new clients costs as much as looking for bytes.
        if turn.is_multiple_of(256)
            && let Ok((stream, _)) = listener.accept()
        {
            stream.set_nodelay(true).and_then(|()| stream.set_nonblocking(true)).map_err(Failure::system)?;
            clients.push(Client { stream, received: Vec::new(), output: Vec::new(), next_out: 1 });
        }
        clients.retain_mut(Client::serve);
    }
    Ok(())
}

struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    output: Vec<u8>,
    next_out: u64,
}

impl Client {
    /// Answers what has come; whether the client is still there.
    fn serve(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => self.received.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return self.flush(),
            Err(_) => return false,
        }
        let received = std::mem::take(&mut self.received);
        let (mut index, mut at) = (FieldIndex::new(), 0);
        while at < received.len() {
            match find_frame(&received[at..], MESSAGE_BYTES) {
                Frame::Complete(length) => {
                    if let Some(message) = index.parse(&received[at..at + length]) {
                        self.answer(&message);
                    }
                    at += length;
                }
                Frame::Garbled(length) => at += length.max(1),
                Frame::Incomplete => break,
                Frame::TooLong => return false,
            }
        }
        self.received = received;
        self.received.drain(..at);
        self.flush()
    }

    fn flush(&mut self) -> bool {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        true
    }

    fn answer(&mut self, message: &Message<'_>) {
        let answer: &[u8] = match message.message_type() {
            b"A" => b"A",
            b"D" | b"F" => b"8",
            b"1" => b"0",
            b"5" => b"5",
            _ => return,
        };
        let time = format_utc_millis(0);
        let value = |tag: u32| message.get(tag).unwrap_or_default();
        let mut writer = MessageWriter::begin(&mut self.output, Version::Fix44, answer);
        writer.integer(34, self.next_out);
        writer.bytes(49, value(56));
        writer.bytes(52, &time);
        writer.bytes(56, value(49));
        match answer {
            b"A" => {
                writer.integer(98, 0);
                writer.bytes(108, value(108));
            }
            b"0" => writer.bytes(112, value(112)),
            b"8" => {
                for (tag, text) in [(6, "0"), (14, "0"), (17, "1234567-0"), (37, "1234567-12"), (39, "0")] {
                    writer.bytes(tag, text.as_bytes());
                }
                [11, 55, 54].into_iter().for_each(|tag| writer.bytes(tag, value(tag)));
                for (tag, text) in [(38, "100"), (40, "2"), (44, "1.00"), (150, "0"), (151, "100")] {
                    writer.bytes(tag, text.as_bytes());
                }
                writer.bytes(60, &time);
            }
            _ => {}
        }
        writer.finish();
        self.next_out += 1;
    }
}
