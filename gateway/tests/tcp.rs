//! The acceptor over loopback TCP, with an exchange stepped in the same loop.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gateway::fix::{Frame, find_frame};
use gateway::{Acceptor, Gateway, GatewayCounters};
use support::{Received, World, message, order, split};

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// A gateway thread with everything behind it.
struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(World, GatewayCounters, Vec<String>)>,
}

impl Server {
    fn start(mut world: World) -> Self {
        world.config.limits.logout_timeout_ns = 100_000_000;
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = mpsc::channel();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut acceptor = Acceptor::open(world.config.clone()).unwrap();
            sender.send(acceptor.local_addr().unwrap()).unwrap();
            let mut fed = 0;
            let mut closing = false;
            let mut notices = Vec::new();
            while !(closing && acceptor.is_drained()) {
                world.now_ns = now_ns();
                world.run_exchange(false);
                fed += world.feed(fed, |record| acceptor.on_event(record, now_ns()).unwrap());
                acceptor.do_work(now_ns(), Duration::from_millis(2), &mut world.port).unwrap();
                notices.extend(acceptor.take_notices().map(|it| it.text));
                if !closing && stopped.load(Ordering::Acquire) {
                    closing = true;
                    acceptor.begin_shutdown("end of test", now_ns());
                }
            }
            let counters = acceptor.gateway().counters();
            (world, counters, notices)
        });
        Self { address: receiver.recv().unwrap(), stop, thread }
    }

    fn finish(self) -> (World, GatewayCounters, Vec<String>) {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

struct Peer {
    stream: TcpStream,
    received: Vec<u8>,
    name: String,
    next_out: u64,
}

impl Peer {
    fn connect(server: &Server, name: &str, next_out: u64) -> Self {
        let stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::new(), name: name.to_owned(), next_out }
    }

    fn log_on(server: &Server, name: &str, next_out: u64) -> Self {
        let mut peer = Self::connect(server, name, next_out);
        peer.send("A", &format!("98=0|108=30|553={}|554={name}-secret", name.to_lowercase()));
        assert_eq!(peer.next().unwrap().get(35), "A");
        peer
    }

    fn send(&mut self, kind: &str, fields: &str) {
        let bytes = message(&self.name, self.next_out, kind, fields, now_ns());
        self.next_out += 1;
        self.stream.write_all(&bytes).unwrap();
    }

    /// The next message, or `None` at the end of the connection.
    fn next(&mut self) -> Option<Received> {
        loop {
            if let Frame::Complete(length) = find_frame(&self.received, 1 << 16) {
                let rest = self.received.split_off(length);
                let bytes = std::mem::replace(&mut self.received, rest);
                return split(&bytes).pop();
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(length) => self.received.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{}: {error}", self.name),
            }
        }
    }
}

#[test]
fn two_clients_trade_and_one_recovers_after_a_drop_and_a_restart() {
    let server = Server::start(World::new());
    let mut alice = Peer::log_on(&server, "ALICE", 1);
    let mut bob = Peer::log_on(&server, "BOB", 1);
    alice.send("D", &order("a1", 1, "2", "100"));
    assert_eq!(alice.next().unwrap().pick(&[150, 11]), "150=0|11=a1");
    drop(alice);
    bob.send("D", &order("b1", 2, "0.5", "100"));
    assert_eq!(bob.next().unwrap().get(150), "0");
    assert_eq!(bob.next().unwrap().get(150), "F");
    let (world, _, _) = server.finish();
    assert_eq!(bob.next().unwrap().pick(&[35, 58]), "35=5|58=end of test");

    let server = Server::start(world);
    let mut alice = Peer::log_on(&server, "ALICE", 3);
    alice.send("2", "7=2|16=0");
    let missed: Vec<String> = (0..3).map(|_| alice.next().unwrap().pick(&[35, 43, 150])).collect();
    assert_eq!(missed, ["35=8|43=Y|150=0", "35=8|43=Y|150=F", "35=4|43=Y|150="]);
    alice.send("5", "");
    assert_eq!(alice.next().unwrap().get(35), "5");
    assert_eq!(alice.next(), None);
    server.finish();
}

#[test]
fn a_thousand_orders_in_one_write_are_all_acknowledged_in_order() {
    let server = Server::start(World::new());
    let mut alice = Peer::log_on(&server, "ALICE", 1);
    let mut bytes = Vec::new();
    for number in 0..1000u64 {
        let fields = format!("{}|59=3", order(&format!("a{number}"), 1, "0.001", "1"));
        bytes.extend(message("ALICE", number + 2, "D", &fields, now_ns()));
    }
    let mut writer = alice.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
    for number in 0..1000 {
        let id = format!("a{number}");
        assert_eq!(alice.next().unwrap().pick(&[150, 11]), format!("150=0|11={id}"));
        assert_eq!(alice.next().unwrap().pick(&[150, 11]), format!("150=4|11={id}"));
    }
    sender.join().unwrap();
    let (_, counters, _) = server.finish();
    assert_eq!((counters.commands, counters.messages_in), (1000, 1001));
}

#[test]
fn strangers_are_turned_away_and_nobody_else_notices() {
    let mut world = World::new();
    world.config.limits.connections = 3;
    world.gateway = Gateway::open(world.config.clone()).unwrap();
    let server = Server::start(world);
    let mut alice = Peer::log_on(&server, "ALICE", 1);
    let mut garbage = Peer::connect(&server, "X", 1);
    garbage.stream.write_all(&[0xAA; 5000]).unwrap();
    assert_eq!(garbage.next(), None);
    let mut unknown = Peer::connect(&server, "MALLORY", 1);
    unknown.send("A", "98=0|108=30|553=m|554=m");
    assert_eq!(unknown.next(), None);
    let mut second = Peer::connect(&server, "ALICE", 1);
    second.send("A", "98=0|108=30|553=alice|554=ALICE-secret");
    assert_eq!(second.next(), None);
    alice.send("1", "112=undisturbed");
    assert_eq!(alice.next().unwrap().pick(&[35, 112]), "35=0|112=undisturbed");
    let held = [Peer::connect(&server, "A", 1), Peer::connect(&server, "B", 1)];
    let mut one_too_many = Peer::connect(&server, "C", 1);
    assert_eq!(one_too_many.next(), None);
    drop(held);
    let (_, _, notices) = server.finish();
    assert!(notices.iter().any(|it| it.contains("as many connections as allowed")), "{notices:?}");
    for expected in ["no FIX message", "unknown SenderCompID", "logged on already"] {
        assert!(notices.iter().any(|it| it.contains(expected)), "{notices:?}");
    }
    assert!(!notices.iter().any(|it| it.contains("secret")));
}
