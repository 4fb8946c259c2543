//! Any bytes as a FIX stream: never a panic, and the same messages however the bytes are cut.
//!
//! `cargo +nightly fuzz run decoder` in `gateway/`. Bit 0 of the first byte: each line of the input is the inside of a
//! message (`|` for the delimiter) and gets BodyLength and CheckSum, so that the fuzzer comes behind them. Bits 1 to 3 say
//! in pieces of how many bytes it arrives, bits 4 to 6 which version it is checked against.
#![no_main]

use gateway::dictionary::{Checker, Switches};
use gateway::fix::{FieldIndex, Frame, MessageWriter, Version, find_frame, parse_utc_timestamp};
use libfuzzer_sys::fuzz_target;

const MAX_LENGTH: usize = 2048;

fn framed(version: Version, lines: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines.split(|&byte| byte == b'\n') {
        let inside: Vec<u8> = line.iter().map(|&byte| if byte == b'|' { 1 } else { byte }).collect();
        let (kind, rest) = inside.split_at(inside.iter().position(|&byte| byte == 1).unwrap_or(inside.len()));
        let mut writer = MessageWriter::begin(&mut bytes, version, kind);
        writer.raw(rest.get(1..).unwrap_or_default());
        writer.finish();
    }
    bytes
}

/// The messages in a stream that arrives in pieces.
fn messages(bytes: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let (mut buffer, mut found) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            match find_frame(&buffer, MAX_LENGTH) {
                Frame::Incomplete => break,
                Frame::TooLong => return found,
                Frame::Garbled(length) => {
                    assert!((1..=buffer.len()).contains(&length));
                    buffer.drain(..length);
                }
                Frame::Complete(length) => found.push(buffer.drain(..length).collect()),
            }
        }
    }
    found
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, rest)) = data.split_first() else { return };
    let version = Version::ALL[usize::from(choice >> 4 & 7)];
    let bytes = if choice & 1 != 0 { framed(version, rest) } else { rest.to_vec() };
    let found = messages(&bytes, MAX_LENGTH);
    assert_eq!(found, messages(&bytes, 1 + usize::from(choice >> 1 & 7)));
    let (mut index, checker) = (FieldIndex::new(), Checker::new(version));
    for bytes in &found {
        let Some(message) = index.parse(bytes) else { continue };
        let _ = checker.check(&message, &Switches::default());
        let mut again = bytes[..message.bytes().len() - 7].to_vec();
        again.clear();
        for field in message.fields() {
            let _ = parse_utc_timestamp(message.value(field));
            again.extend_from_slice(message.tag_text(field));
            again.push(b'=');
            again.extend_from_slice(message.value(field));
            again.push(1);
        }
        assert_eq!(&again, bytes, "the fields are the message");
    }
});
