//! What a client may send, to a gateway with a small exchange behind it: never a panic, and only whole messages come back.
//!
//! `cargo +nightly fuzz run session` in `gateway/`. The first byte chooses the version. Then, line by line:
//! `!bytes` sends bytes as they are; `+c` lets as many seconds pass as the character's code says; `-` breaks the
//! connection and logs on again; anything else is the inside of a message (`D|11=a|...`), which gets header and trailer,
//! and the next MsgSeqNum (34) unless it begins with one (`34=7|D|...`). In a field `now` stands for the time.
#![no_main]

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use gateway::access::PasswordHash;
use gateway::fix::{FieldIndex, Frame, MessageWriter, Version, find_frame, format_utc_millis};
use gateway::{Gateway, GatewayConfig, LinkId, UserConfig};
use gateway_fuzz::{SECOND_NS, Venue};
use libfuzzer_sys::fuzz_target;
use protocol::AccountId;

struct World {
    gateway: Gateway,
    venue: Venue,
    version: Version,
    link: Option<LinkId>,
    next_out: u64,
}

fn config() -> GatewayConfig {
    let path: PathBuf = std::env::temp_dir().join(format!("rialto-fuzz-session-{}", std::process::id()));
    // Nothing of the input before may be left, so that one input tells the whole story.
    let _ = std::fs::remove_file(&path);
    let hash = PasswordHash::create(b"secret", 8, 1).expect("a good password");
    let user = UserConfig::new("ALICE", "alice", hash, AccountId(2));
    let mut config = GatewayConfig::new(1, ([127, 0, 0, 1], 0).into(), path, vec![user]);
    config.limits.message_bytes = 1024;
    config.limits.output_bytes = 64 << 10;
    config
}

impl World {
    fn new(version: Version) -> Self {
        let gateway = RefCell::new(Gateway::open(config()).expect("a good configuration"));
        let venue = Venue::new(&mut |event| {
            gateway.borrow_mut().on_event(event, 0).expect("the store is written");
        });
        let mut world = Self { gateway: gateway.into_inner(), venue, version, link: None, next_out: 1 };
        world.gateway.finish_recovery().expect("nothing to recover");
        world.log_on();
        world
    }

    fn log_on(&mut self) {
        self.link = self.gateway.connect(IpAddr::V4(Ipv4Addr::LOCALHOST), self.venue.now_ns);
        let version = String::from_utf8_lossy(self.version.application_id()).into_owned();
        let more = if version.is_empty() { String::new() } else { format!("|1137={version}") };
        self.line(format!("A|98=0|108=30|141=Y|553=alice|554=secret{more}").as_bytes());
    }

    /// Sends one line; see the top.
    fn line(&mut self, line: &[u8]) {
        match line {
            [b'!', bytes @ ..] => self.receive(bytes),
            [b'+', seconds, ..] => self.venue.now_ns += u64::from(*seconds) * SECOND_NS,
            [b'-', ..] => {
                self.link.take().into_iter().for_each(|link| self.gateway.disconnect(link));
                self.next_out = 1;
                self.log_on();
            }
            _ => {
                let bytes = self.message(line);
                self.receive(&bytes);
            }
        }
        self.settle();
    }

    fn message(&mut self, line: &[u8]) -> Vec<u8> {
        let now = format_utc_millis(self.venue.now_ns);
        let mut fields = line.split(|&byte| byte == b'|').filter(|field| !field.is_empty());
        let mut first = fields.next().unwrap_or(b"0");
        let mut sequence = self.next_out.to_string().into_bytes();
        if let Some(given) = first.strip_prefix(b"34=") {
            sequence = given.to_vec();
            first = fields.next().unwrap_or(b"0");
        } else {
            self.next_out += 1;
        }
        let mut bytes = Vec::new();
        let mut writer = MessageWriter::begin(&mut bytes, self.version, first);
        writer.bytes(34, &sequence);
        writer.bytes(49, b"ALICE");
        writer.bytes(52, &now);
        writer.bytes(56, b"RIALTO");
        for field in fields {
            if let Some(tag) = field.strip_suffix(b"=now") {
                writer.raw(&[tag, b"=", &now[..], b"\x01"].concat());
            } else {
                writer.raw(field);
                writer.raw(b"\x01");
            }
        }
        writer.finish();
        bytes
    }

    fn receive(&mut self, bytes: &[u8]) {
        let Some(link) = self.link else { return };
        if self.gateway.closing(link).is_none() {
            self.gateway.input(link).extend_from_slice(bytes);
        }
    }

    fn settle(&mut self) {
        let now_ns = self.venue.now_ns;
        for _ in 0..3 {
            if let Some(link) = self.link.filter(|&link| self.gateway.closing(link).is_none()) {
                self.gateway.receive(link, now_ns, &mut self.venue.port).expect("the store is read");
            }
            let gateway = &mut self.gateway;
            self.venue.run(1, &mut |event| gateway.on_event(event, now_ns).expect("the store is written"));
            self.gateway.on_tick(now_ns, &mut self.venue.port).expect("the store is read");
            assert!(self.gateway.commit().expect("the store is written"));
        }
        let Some(link) = self.link else { return };
        only_messages(&std::mem::take(self.gateway.output(link)));
        if self.gateway.closing(link).is_some() {
            self.gateway.disconnect(link);
            self.link = None;
        }
    }
}

fn only_messages(mut bytes: &[u8]) {
    let mut index = FieldIndex::new();
    while !bytes.is_empty() {
        let Frame::Complete(length) = find_frame(bytes, 1 << 16) else {
            panic!("sent what is no message: {}", bytes.escape_ascii());
        };
        assert!(index.parse(&bytes[..length]).is_some(), "{}", bytes.escape_ascii());
        bytes = &bytes[length..];
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, lines)) = data.split_first() else { return };
    let mut world = World::new(Version::ALL[usize::from(choice) % Version::ALL.len()]);
    lines.split(|&byte| byte == b'\n').for_each(|line| world.line(line));
});
