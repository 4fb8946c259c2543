//! What a client of the binary port may send, with a small exchange behind it: never a panic, never an order of somebody
//! else's, and only whole packets come back.
//!
//! `cargo +nightly fuzz run binary` in `gateway/`. Bit 0 of the first byte: the client is not logged on. Then pieces, each with a
//! byte that says what it is: `!`, length (2, big-endian), bytes: sends them as they are; `u`, kind, length (1), body: a
//! command with a good header, whose body has the session's account where it belongs; `+`: a second passes; `-`: the
//! connection breaks and is made again.
#![no_main]

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};

use gateway::access::{InlineVerifier, PasswordHash};
use gateway::binary::wire::{
    LoginRequest, Packet, VERSION, find_packet, packet, padded, push_command, push_packet,
};
use gateway::binary::{BinaryConfig, BinaryGateway};
use gateway::{Endpoint, LinkId, UserConfig};
use gateway_fuzz::{SECOND_NS, Venue};
use libfuzzer_sys::fuzz_target;
use protocol::AccountId;
use zerocopy::IntoBytes;

const GATEWAY: u16 = 4;

struct World {
    gateway: BinaryGateway,
    venue: Venue,
    link: Option<LinkId>,
}

impl World {
    fn new() -> Self {
        let hash = PasswordHash::create(b"secret", 8, 1).expect("a good password");
        let user = UserConfig::new("ALICE", "alice", hash, AccountId(2));
        let mut config = BinaryConfig::new(GATEWAY, ([127, 0, 0, 1], 0).into(), "nowhere".into(), vec![user]);
        config.limits.message_bytes = 1024;
        let gateway = BinaryGateway::open_with(config, Box::new(InlineVerifier::default()));
        let gateway = RefCell::new(gateway.expect("a good configuration"));
        let venue = Venue::new(&mut |event| gateway.borrow_mut().on_event(event, 0).expect("nothing can fail"));
        Self { gateway: gateway.into_inner(), venue, link: None }
    }

    fn connect(&mut self, log_on: bool) {
        self.link = self.gateway.connect(IpAddr::V4(Ipv4Addr::LOCALHOST), self.venue.now_ns);
        if log_on {
            let request = LoginRequest {
                version: VERSION.into(),
                reserved: [0; 6],
                from_sequence: 0.into(),
                username: padded("alice").expect("short"),
                password: padded("secret").expect("short"),
            };
            let mut bytes = Vec::new();
            push_packet(&mut bytes, packet::LOGIN_REQUEST, &[request.as_bytes()]);
            self.receive(&bytes);
            self.settle();
        }
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
                self.gateway.receive(link, now_ns, &mut self.venue.port).expect("nothing can fail");
            }
            let gateway = &mut self.gateway;
            self.venue.run(GATEWAY, &mut |event| gateway.on_event(event, now_ns).expect("nothing can fail"));
            self.gateway.on_tick(now_ns, &mut self.venue.port).expect("nothing can fail");
            assert!(self.gateway.commit().expect("nothing can fail"));
        }
        let Some(link) = self.link else { return };
        only_packets(&std::mem::take(self.gateway.output(link)));
        if self.gateway.closing(link).is_some() {
            self.gateway.disconnect(link);
            self.link = None;
        }
    }
}

fn only_packets(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match find_packet(bytes, 1 << 16) {
            Packet::Whole(kind, _, length) => {
                assert!(b"AJSUHZ".contains(&kind));
                bytes = &bytes[length..];
            }
            _ => panic!("sent what is no packet: {}", bytes.escape_ascii()),
        }
    }
}

/// A command packet; `account_at` of its kind gets the session's account.
fn command(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    let account_at = match kind {
        6 | 10 => 16,
        7 => 8,
        8 | 12 => 24,
        _ => 0,
    };
    if let Some(account) = body.get_mut(account_at..account_at + 4) {
        account.copy_from_slice(&2u32.to_le_bytes());
    }
    let mut bytes = Vec::new();
    push_command(&mut bytes, u16::from(kind), &body);
    bytes
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, mut rest)) = data.split_first() else { return };
    let log_on = choice & 1 == 0;
    let mut world = World::new();
    world.connect(log_on);
    while let Some((&what, more)) = rest.split_first() {
        rest = more;
        let mut take = |length: usize| {
            let (taken, left) = rest.split_at(length.min(rest.len()));
            rest = left;
            taken
        };
        match what {
            b'!' => {
                let length = take(2).iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
                let bytes = take(length).to_vec();
                world.receive(&bytes);
            }
            b'u' => {
                let head = take(2).to_vec();
                let [kind, length] = head[..] else { break };
                let bytes = command(kind, take(usize::from(length)));
                world.receive(&bytes);
            }
            b'+' => world.venue.now_ns += SECOND_NS,
            b'-' => {
                world.link.take().into_iter().for_each(|link| world.gateway.disconnect(link));
                world.connect(log_on);
            }
            _ => continue,
        }
        world.settle();
    }
});
