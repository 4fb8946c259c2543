//! No execution report leaves before its command is on the disk: clients, sockets, gateway, pipeline and threads as in
//! production, on a disk whose syncs hang.

#[path = "../../sequencer/tests/support/blocking.rs"]
mod blocking;
mod support;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use blocking::BlockingStorage;
use exchange::Exchange;
use gateway::{Acceptor, GatewayAgent, GatewayConfig};
use journal::DataFolder;
use machine::Body;
use protocol::{AccountId, CreateAccount, CreateAsset, CreateInstrument, Deposit, Limits, Name};
use sequencer::{Clock, EventReader, Ingress, Pipeline, PipelineConfig, RingPlace, Running};
use support::{Received, message, order, split, user};

struct Venue {
    running: Running,
    address: std::net::SocketAddr,
    clock: Clock,
    operator: Ingress,
    /// A reader beside the gateway's.
    events: EventReader,
}

fn open(storage: &BlockingStorage, sessions: &Path) -> Venue {
    let clock = Clock::system();
    let users = vec![user("ALICE", 2)];
    let config = GatewayConfig::new(1, ([127, 0, 0, 1], 0).into(), sessions.to_path_buf(), users);
    let acceptor = Acceptor::open(config).unwrap();
    let address = acceptor.local_addr().unwrap();
    let limits =
        Limits { accounts: 10, orders: 100, balances: 100, fills_per_command: 16, ..Limits::default() };
    let mut settings = PipelineConfig {
        clock: clock.clone(),
        ring_place: RingPlace::Anonymous,
        ..PipelineConfig::default()
    };
    for options in [&mut settings.commands, &mut settings.events] {
        options.segment_bytes = 1 << 20;
        options.max_frame_bytes = 132 << 10;
        options.zero_ahead_bytes = 0;
        options.reserve_bytes = 0;
    }
    let folder = DataFolder::with_storage(Path::new("/data"), Arc::new(storage.clone()));
    let machine: Exchange = Exchange::new(limits).unwrap();
    let mut pipeline = Pipeline::open_on(folder, settings, machine, &mut |_| (), &mut |_| ()).unwrap();
    let operator = pipeline.ingress(0).unwrap();
    let events = pipeline.events().unwrap();
    let (ingress, reports) = (pipeline.ingress(1).unwrap(), pipeline.events().unwrap());
    let agent = GatewayAgent::new(acceptor, ingress, reports, clock.clone(), Box::new(|_| ())).unwrap();
    pipeline.add_agent("fix", Box::new(agent));
    Venue { running: pipeline.start().unwrap(), address, clock, operator, events }
}

impl Venue {
    fn operate<T: Body>(&mut self, body: &T) {
        while self.operator.try_send_bytes(0, T::KIND, 1, body.as_bytes()).is_err() {
            std::thread::yield_now();
        }
    }

    fn create_everything(&mut self) {
        let name = |text| Name::from_text(text).unwrap();
        for (asset, scale, text) in [(1, 8, "BTC"), (2, 5, "USD")] {
            self.operate(&CreateAsset { asset, scale, name: name(text), ..CreateAsset::default() });
        }
        self.operate(&CreateInstrument {
            quote_minor_per_tick_lot: 1,
            base_minor_per_lot: 100_000,
            instrument: 1,
            base_asset: 1,
            quote_asset: 2,
            name: name("BTC/USD"),
            ..CreateInstrument::default()
        });
        let account = AccountId(2);
        self.operate(&CreateAccount { account, name: name("owner"), ..CreateAccount::default() });
        for asset in [1, 2] {
            let deposit = Deposit { amount_minor: 100_000_000_000, account, asset, ..Deposit::default() };
            self.operate(&deposit);
        }
        let last = 6;
        while self.running.committed() < last {
            std::thread::yield_now();
        }
        while self.events.poll(100, |_| ()).unwrap() > 0 {}
    }

    /// Returns when the gateway's thread has looked at everything that is there now a hundred times.
    fn let_gateway_look(&self) {
        let cycles = || {
            let (_, counters) = self.running.threads().find(|(name, _)| *name == "fix").unwrap();
            counters.idle_cycles.get() + counters.work_cycles.get()
        };
        let before = cycles();
        while cycles() < before + 100 {
            std::thread::yield_now();
        }
    }
}

struct Client {
    stream: TcpStream,
    next_out: u64,
}

impl Client {
    fn send(&mut self, venue: &Venue, kind: &str, fields: &str) {
        let bytes = message("ALICE", self.next_out, kind, fields, venue.clock.now_ns());
        self.next_out += 1;
        self.stream.write_all(&bytes).unwrap();
    }

    fn receive(&mut self, messages: usize) -> Vec<Received> {
        let mut received = Vec::new();
        self.stream.set_nonblocking(false).unwrap();
        while received.windows(4).filter(|it| it == b"\x0110=").count() < messages {
            let mut buffer = [0; 4096];
            let length = self.stream.read(&mut buffer).unwrap();
            assert!(length > 0, "the gateway has hung up");
            received.extend_from_slice(&buffer[..length]);
        }
        split(&received)
    }

    fn assert_silence(&mut self) {
        self.stream.set_nonblocking(true).unwrap();
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => panic!("something has left: {other:?} {}", String::from_utf8_lossy(&buffer)),
        }
    }
}

#[test]
fn no_execution_report_leaves_before_its_order_is_synced() {
    let sessions = tempfile::tempdir().unwrap();
    let storage = BlockingStorage::default();
    let mut venue = open(&storage, &sessions.path().join("fix.sessions"));
    venue.create_everything();
    let mut client = Client { stream: TcpStream::connect(venue.address).unwrap(), next_out: 1 };
    client.send(&venue, "A", "98=0|108=30|553=alice|554=ALICE-secret");
    assert_eq!(client.receive(1)[0].get(35), "A");
    let _blocked = storage.block();
    client.send(&venue, "D", &order("a1", 1, "2", "100"));
    storage.await_waiting();
    // The engine has run ahead: the order is executed, and its event is in the ring that the gateway reads.
    while venue.events.is_drained() {
        std::thread::yield_now();
    }
    venue.let_gateway_look();
    client.assert_silence();
    assert_eq!(venue.events.poll(100, |_| ()).unwrap(), 0, "nor does anyone else see it");
    storage.release();
    let report = &client.receive(1)[0];
    assert_eq!(report.pick(&[35, 150, 11]), "35=8|150=0|11=a1");
    let Venue { running, events, .. } = venue;
    drop((events, client));
    running.shutdown().unwrap();
}
