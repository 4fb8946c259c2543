//! FIX over TLS: real sockets, real certificates, an exchange stepped in the acceptor's loop.

mod support;
#[path = "support/tls.rs"]
mod tls;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gateway::Acceptor;
use gateway::fix::{Frame, find_frame};
use gateway::transport::{TlsReload, TlsSettings};
use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};
use support::{Received, World, message, order, split};
use tls::{Authority, TlsClient, identity, shake};

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// A gateway thread with a plain and a TLS port, and everything behind it.
struct Server {
    plain: SocketAddr,
    secure: SocketAddr,
    reload: TlsReload,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(World, Vec<String>)>,
}

impl Server {
    fn start(folder: &Path, client_ca: Option<&str>, required: bool, mut world: World) -> Self {
        let reload = TlsReload::load(identity(folder, client_ca, required)).unwrap();
        world.config.limits.logout_timeout_ns = 100_000_000;
        world.config.audit_path = Some(folder.join("logons.log"));
        world.config.tls = Some(TlsSettings { bind: ([127, 0, 0, 1], 0).into(), reload: reload.clone() });
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = mpsc::channel();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut acceptor = Acceptor::open(world.config.clone()).unwrap();
            let secure = acceptor.tls_local_addr().unwrap().unwrap();
            sender.send((acceptor.local_addr().unwrap(), secure)).unwrap();
            let (mut fed, mut closing, mut notices) = (0, false, Vec::new());
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
            (world, notices)
        });
        let (plain, secure) = receiver.recv().unwrap();
        Self { plain, secure, reload, stop, thread }
    }

    /// Stops it: what it had to say, and the audit log.
    fn finish(self) -> (Vec<String>, String) {
        self.stop.store(true, Ordering::Release);
        let (world, notices) = self.thread.join().unwrap();
        let log = std::fs::read_to_string(world.config.audit_path.unwrap()).unwrap();
        (notices, log)
    }
}

/// A FIX client over any stream.
struct Peer<S> {
    stream: S,
    received: Vec<u8>,
    name: &'static str,
    next_out: u64,
}

impl<S: Read + Write> Peer<S> {
    fn over(stream: S, name: &'static str) -> Self {
        Self { stream, received: Vec::new(), name, next_out: 1 }
    }

    fn send(&mut self, kind: &str, fields: &str) {
        let bytes = message(self.name, self.next_out, kind, fields, now_ns());
        self.next_out += 1;
        self.stream.write_all(&bytes).unwrap();
        self.stream.flush().unwrap();
    }

    fn log_on(&mut self) -> Option<Received> {
        let fields = format!("98=0|108=30|141=Y|553={}|554={}-secret", self.name.to_lowercase(), self.name);
        self.send("A", &fields);
        self.next()
    }

    /// The next message, or `None` at the end of the connection.
    fn next(&mut self) -> Option<Received> {
        loop {
            if let Frame::Complete(length) = find_frame(&self.received, 1 << 16) {
                let rest = self.received.split_off(length);
                return split(&std::mem::replace(&mut self.received, rest)).pop();
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) | Err(_) => return None,
                Ok(length) => self.received.extend_from_slice(&buffer[..length]),
            }
        }
    }
}

fn folder_with_server() -> (tempfile::TempDir, Authority) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    authority.sign("server", "localhost");
    (folder, authority)
}

#[test]
fn clients_of_both_versions_and_of_plain_tcp_trade_with_each_other() {
    let (folder, authority) = folder_with_server();
    let server = Server::start(folder.path(), None, false, World::new());
    for version in [&TLS12, &TLS13] {
        let mut alice = Peer::over(authority.connect(server.secure, version, None), "ALICE");
        assert_eq!(alice.log_on().unwrap().get(35), "A");
        let spoken = if version.version == ProtocolVersion::TLSv1_2 {
            ProtocolVersion::TLSv1_2
        } else {
            ProtocolVersion::TLSv1_3
        };
        assert_eq!(alice.stream.conn.protocol_version(), Some(spoken));
        let mut bob = Peer::over(TcpStream::connect(server.plain).unwrap(), "BOB");
        assert_eq!(bob.log_on().unwrap().get(35), "A");
        alice.send("D", &order(&format!("a{spoken:?}"), 1, "2", "100"));
        assert_eq!(alice.next().unwrap().get(150), "0");
        bob.send("D", &order(&format!("b{spoken:?}"), 2, "2", "100"));
        assert_eq!(alice.next().unwrap().pick(&[150, 14]), "150=F|14=2.000");
        alice.send("5", "");
        assert_eq!(alice.next().unwrap().get(35), "5");
        assert_eq!(alice.next(), None, "the end comes over TLS too");
        bob.send("5", "");
        assert_eq!(bob.next().unwrap().get(150), "0");
        assert_eq!(bob.next().unwrap().get(150), "F");
        assert_eq!(bob.next().unwrap().get(35), "5");
        assert_eq!(bob.next(), None);
    }
    let (_, log) = server.finish();
    assert_eq!(log.matches(r#""tls":true,"sender_comp_id":"ALICE","accepted":true"#).count(), 2, "{log}");
    assert_eq!(log.matches(r#""tls":false,"sender_comp_id":"BOB","accepted":true"#).count(), 2, "{log}");
}

#[test]
fn more_than_tls_can_hold_goes_both_ways() {
    let (folder, authority) = folder_with_server();
    let server = Server::start(folder.path(), None, false, World::new());
    let mut alice = Peer::over(authority.connect(server.secure, &TLS13, None), "ALICE");
    alice.log_on().unwrap();
    let mut bytes = Vec::new();
    for number in 0..2000u64 {
        let fields = format!("{}|59=3", order(&format!("a{number}"), 1, "0.001", "1"));
        bytes.extend(message("ALICE", number + 2, "D", &fields, now_ns()));
    }
    alice.stream.write_all(&bytes).unwrap();
    for number in 0..2000 {
        let id = format!("a{number}");
        assert_eq!(alice.next().unwrap().pick(&[150, 11]), format!("150=0|11={id}"));
        assert_eq!(alice.next().unwrap().pick(&[150, 11]), format!("150=4|11={id}"));
    }
    server.finish();
}

#[test]
fn strangers_learn_nothing_and_are_written_down() {
    let (folder, authority) = folder_with_server();
    let other = Authority::new(folder.path(), "other");
    let mut world = World::new();
    // More than those before may be at once, if the server is slow to see that they have gone.
    world.config.limits.strangers = 4;
    let server = Server::start(folder.path(), None, false, world);
    let mut suspicious = other.connect(server.secure, &TLS13, None);
    assert!(shake(&mut suspicious).unwrap_err().to_string().contains("UnknownIssuer"));
    drop(suspicious);
    let mut plain = Peer::over(TcpStream::connect(server.secure).unwrap(), "ALICE");
    assert_eq!(plain.log_on(), None, "FIX without TLS on the TLS port");
    let mut wrong = Peer::over(TcpStream::connect(server.plain).unwrap(), "ALICE");
    wrong.stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").unwrap();
    assert_eq!(wrong.next(), None, "TLS on the plain port");
    // Handshakes that do not go on count as strangers.
    let held = [TcpStream::connect(server.secure).unwrap(), TcpStream::connect(server.secure).unwrap()];
    let mut shaken = Vec::new();
    let refused = (0..3).any(|_| {
        let mut next = authority.connect(server.secure, &TLS13, None);
        let refused = shake(&mut next).is_err();
        shaken.push(next);
        refused
    });
    assert!(refused, "more strangers than allowed");
    drop((held, shaken));
    let (notices, log) = server.finish();
    for expected in [
        "TLS handshake: received fatal alert",
        "TLS handshake: received corrupt message",
        "no FIX message",
        "as many connections",
    ] {
        assert!(notices.iter().any(|it| it.contains(expected)), "{expected}: {notices:?}");
    }
    assert!(
        log.matches(r#""tls":true,"sender_comp_id":"","accepted":false,"reason":"TLS handshake failed""#)
            .count()
            >= 2,
        "{log}"
    );
    assert!(!log.contains("secret") && !notices.iter().any(|it| it.contains("secret")));
}

#[test]
fn silent_and_slow_clients_are_ended_in_time_whatever_they_do_with_tls() {
    let (folder, authority) = folder_with_server();
    let mut world = World::new();
    world.config.limits.logon_timeout_ns = 2_000_000_000;
    let server = Server::start(folder.path(), None, false, world);
    let connect = |address| {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    };
    let (mut silent, mut slow) = (connect(server.secure), connect(server.secure));
    let (mut plain_silent, mut plain_slow) = (connect(server.plain), connect(server.plain));
    let mut shaken = authority.connect(server.secure, &TLS13, None);
    shake(&mut shaken).unwrap();
    let mut dripping = authority.connect(server.secure, &TLS12, None);
    shake(&mut dripping).unwrap();
    slow.write_all(&[0x16, 0x03, 0x01]).unwrap();
    dripping.write_all(b"8=FIX.4.4\x019=").unwrap();
    plain_slow.write_all(b"8=FIX.4.4\x01").unwrap();
    // Whether it ends with an alert, a reset or nothing: it ends, long before the 20 s that these reads would wait.
    let mut ends: [&mut dyn Read; 6] =
        [&mut silent, &mut slow, &mut shaken, &mut dripping, &mut plain_silent, &mut plain_slow];
    for stream in &mut ends {
        let end = stream.read_to_end(&mut Vec::new());
        assert!(!matches!(&end, Err(it) if it.kind() == std::io::ErrorKind::WouldBlock), "{end:?}");
    }
    let (notices, _) = server.finish();
    let late = |text: &str| notices.iter().filter(|it| it.contains(text)).count();
    assert_eq!(late("no TLS handshake in time") + late("no Logon in time"), 6, "{notices:?}");
}

fn cas_of_clients(folder: &Path) -> Authority {
    let clients = Authority::new(folder, "clients");
    clients.sign("alice", "alice.example.com");
    clients.sign("bob", "bob.example.com");
    Authority::new(folder, "forgers").sign("forged", "alice.example.com");
    clients
}

#[test]
fn certificates_that_are_asked_for_must_be_ours() {
    let (folder, authority) = folder_with_server();
    cas_of_clients(folder.path());
    let server = Server::start(folder.path(), Some("clients"), true, World::new());
    let attempt = |version, certificate| {
        let mut alice = Peer::over(authority.connect(server.secure, version, certificate), "ALICE");
        shake(&mut alice.stream).ok()?;
        let fields = "98=0|108=30|141=Y|553=alice|554=ALICE-secret";
        let bytes = message("ALICE", 1, "A", fields, now_ns());
        // In TLS 1.3 the client learns only after its handshake that its certificate is not wanted.
        alice.stream.write_all(&bytes).ok()?;
        let answer = alice.next()?;
        alice.next_out += 1;
        alice.send("5", "");
        alice.next()?;
        Some(answer.get(35).to_owned())
    };
    for version in [&TLS12, &TLS13] {
        assert_eq!(attempt(version, Some("alice")), Some("A".to_owned()));
        assert_eq!(attempt(version, None), None);
        assert_eq!(attempt(version, Some("forged")), None);
    }
    let (notices, _) = server.finish();
    assert!(notices.iter().any(|it| it.contains("UnknownIssuer")), "{notices:?}");
    assert!(notices.iter().any(|it| it.contains("peer sent no certificates")), "{notices:?}");
}

#[test]
fn a_user_can_be_bound_to_its_certificate() {
    let (folder, authority) = folder_with_server();
    cas_of_clients(folder.path());
    let mut world = World::new();
    world.config.users[0].access.certificate = Some("alice.example.com".parse().unwrap());
    let server = Server::start(folder.path(), Some("clients"), false, world);
    let secure = |certificate| authority.connect(server.secure, &TLS13, certificate);
    let log_on = |stream: TlsClient, name| Peer::over(stream, name).log_on().map(|it| it.get(35).to_owned());
    assert_eq!(log_on(secure(None), "ALICE"), None, "no certificate");
    assert_eq!(log_on(secure(Some("bob")), "ALICE"), None, "somebody else's");
    let mut plain = Peer::over(TcpStream::connect(server.plain).unwrap(), "ALICE");
    assert_eq!(plain.log_on(), None, "no TLS");
    assert_eq!(log_on(secure(Some("alice")), "ALICE").as_deref(), Some("A"));
    assert_eq!(log_on(secure(None), "BOB").as_deref(), Some("A"), "bob is not bound");
    let (_, log) = server.finish();
    assert_eq!(log.matches("without the certificate that is this user's").count(), 3, "{log}");
}

#[test]
fn certificates_are_exchanged_without_a_stop() {
    let (folder, authority) = folder_with_server();
    let server = Server::start(folder.path(), None, false, World::new());
    let mut alice = Peer::over(authority.connect(server.secure, &TLS13, None), "ALICE");
    alice.log_on().unwrap();
    let before = alice.stream.conn.peer_certificates().unwrap()[0].clone();
    authority.sign("server", "localhost");
    server.reload.reload().unwrap();
    let mut bob = Peer::over(authority.connect(server.secure, &TLS13, None), "BOB");
    bob.log_on().unwrap();
    let after = bob.stream.conn.peer_certificates().unwrap()[0].clone();
    assert_ne!(before, after);
    alice.send("1", "112=still here");
    assert_eq!(alice.next().unwrap().get(112), "still here");
    std::fs::write(folder.path().join("server.key"), "nonsense").unwrap();
    assert!(server.reload.reload().unwrap_err().to_string().contains("server.key"));
    drop(bob);
    let mut third = authority.connect(server.secure, &TLS12, None);
    shake(&mut third).unwrap();
    assert_eq!(third.conn.peer_certificates().unwrap()[0], after, "the last good ones stay in force");
    drop((alice, third));
    server.finish();
}

#[test]
fn mistakes_in_files_are_named_without_their_contents() {
    let (folder, authority) = folder_with_server();
    authority.sign("another", "localhost");
    let path = folder.path();
    let mistake = |change: &dyn Fn(&mut gateway::transport::TlsIdentity)| {
        let mut identity = identity(path, None, false);
        change(&mut identity);
        TlsReload::load(identity).err().unwrap().to_string()
    };
    let missing = mistake(&|it| it.certificate = path.join("absent.pem"));
    assert!(missing.contains("absent.pem") && missing.contains("No such file"), "{missing}");
    let swapped = mistake(&|it| it.certificate.clone_from(&it.key));
    assert!(swapped.contains("server.key: holds no certificate in PEM"), "{swapped}");
    let swapped = mistake(&|it| it.key.clone_from(&it.certificate));
    assert!(swapped.contains("server.pem: holds no private key in PEM"), "{swapped}");
    let other = mistake(&|it| it.key = path.join("another.key"));
    assert!(other.contains("another.key: is not the key of the first certificate in"), "{other}");
    let nobody = mistake(&|it| it.require_client_certificate = true);
    assert!(nobody.contains("needs client_ca"), "{nobody}");
    let wrong = mistake(&|it| it.client_ca = Some(path.join("server.key")));
    assert!(wrong.contains("server.key: holds no certificate"), "{wrong}");
}
