//! Real messages of types that the recordings lack, from packet captures of one message each.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use simulator::itch::Message;
use support::market_file;

/// ITCH messages of a capture: Ethernet with VLAN tags, IPv4, UDP, MoldUDP64 with its blocks.
fn messages(path: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).expect("reads");
    let mut found = Vec::new();
    let mut at = 24;
    while at + 16 <= bytes.len() {
        let length = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().expect("four bytes")) as usize;
        let packet = &bytes[at + 16..at + 16 + length];
        at += 16 + length;
        let mut start = 12;
        while packet[start..start + 2] == [0x81, 0x00] {
            start += 4;
        }
        let ip = start + 2;
        let udp = ip + usize::from(packet[ip] & 15) * 4;
        let mold = &packet[udp + 8..];
        let count = u16::from_be_bytes([mold[18], mold[19]]);
        let mut block = 20;
        for _ in 0..count {
            let length = usize::from(u16::from_be_bytes([mold[block], mold[block + 1]]));
            found.push(mold[block + 2..block + 2 + length].to_vec());
            block += 2 + length;
        }
    }
    found
}

#[test]
fn captured_messages_of_all_three_nasdaq_markets_parse() {
    let Some(nasdaq) = market_file("pcap/Nasdaq") else { return };
    let mut kinds = BTreeMap::new();
    for folder in std::fs::read_dir(nasdaq).expect("lists").flatten() {
        if !folder.file_name().to_string_lossy().contains("Equities.TotalView.Itch.v5.0") {
            continue;
        }
        for file in std::fs::read_dir(folder.path()).expect("lists").flatten() {
            for bytes in messages(&file.path()) {
                let message =
                    Message::parse(&bytes).unwrap_or_else(|error| panic!("{:?}: {error}", file.path()));
                let mut written = Vec::new();
                message.encode(&mut written);
                assert_eq!(written[2..], bytes);
                *kinds.entry(char::from(message.kind())).or_insert(0u32) += 1;
            }
        }
    }
    println!("{kinds:?}");
    let expected = [
        ('A', 53),
        ('C', 15),
        ('D', 18),
        ('E', 16),
        ('F', 17),
        ('H', 16),
        ('I', 6),
        ('J', 5),
        ('L', 6),
        ('N', 5),
        ('P', 15),
        ('Q', 5),
        ('S', 3),
        ('U', 17),
        ('X', 15),
        ('Y', 15),
    ];
    assert_eq!(kinds, BTreeMap::from(expected));
}
