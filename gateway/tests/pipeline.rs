//! The gateway agent in a real pipeline: rings, journal, exchange; one thread, stopped in the middle and opened again.

mod support;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use exchange::Exchange;
use gateway::{Acceptor, GatewayAgent, GatewayConfig};
use machine::Body;
use protocol::{AccountId, CreateAccount, CreateAsset, CreateInstrument, Deposit, Limits, Name};
use sequencer::{Clock, InlinePipeline, Pipeline, PipelineConfig, RingPlace};
use support::{Received, message, order, split, user};

struct Venue {
    pipeline: InlinePipeline<Exchange>,
    address: std::net::SocketAddr,
    clock: Clock,
}

fn open(folder: &Path) -> Venue {
    let clock = Clock::system();
    let users = vec![user("ALICE", 2), user("BOB", 3)];
    let mut config = GatewayConfig::new(1, ([127, 0, 0, 1], 0).into(), folder.join("fix.sessions"), users);
    config.events_path = Some(folder.join("journal").join(journal::EVENTS_FOLDER));
    config.limits.recent_bytes = 1 << 12;
    config.limits.checkpoint_commands = 16;
    let mut acceptor = Acceptor::open(config).unwrap();
    let address = acceptor.local_addr().unwrap();
    let limits =
        Limits { accounts: 10, orders: 1000, balances: 100, fills_per_command: 64, ..Limits::default() };
    let now_ns = clock.now_ns();
    let mut settings =
        PipelineConfig { clock: clock.clone(), ring_place: RingPlace::Auto, ..PipelineConfig::default() };
    for options in [&mut settings.commands, &mut settings.events] {
        options.segment_bytes = 4 << 20;
        options.reserve_bytes = 0;
    }
    let mut pipeline = Pipeline::open(
        &folder.join("journal"),
        settings,
        Exchange::new(limits).unwrap(),
        &mut |event| acceptor.on_event(event, now_ns).unwrap(),
        &mut |_| (),
    )
    .unwrap();
    acceptor.journal_ends_at(pipeline.recovered().last_sequence);
    let fresh = pipeline.recovered().last_sequence == 0;
    let mut operator = pipeline.ingress(0).unwrap();
    let (ingress, events) = (pipeline.ingress(1).unwrap(), pipeline.events().unwrap());
    let agent = GatewayAgent::new(acceptor, ingress, events, clock.clone(), Box::new(|_| ())).unwrap();
    pipeline.add_agent("fix", Box::new(agent));
    let mut pipeline = pipeline.inline();
    if fresh {
        create_everything(|kind, body| operator.try_send_bytes(0, kind, 1, body).unwrap());
        pipeline.run_until_idle().unwrap();
    }
    Venue { pipeline, address, clock }
}

fn create_everything(mut send: impl FnMut(u16, &[u8])) {
    fn each<T: Body>(send: &mut impl FnMut(u16, &[u8]), body: &T) {
        send(T::KIND, body.as_bytes());
    }
    let name = |text| Name::from_text(text).unwrap();
    for (asset, scale, text) in [(1, 8, "BTC"), (2, 5, "USD")] {
        each(&mut send, &CreateAsset { asset, scale, name: name(text), ..CreateAsset::default() });
    }
    each(
        &mut send,
        &CreateInstrument {
            quote_minor_per_tick_lot: 1,
            base_minor_per_lot: 100_000,
            instrument: 1,
            base_asset: 1,
            quote_asset: 2,
            name: name("BTC/USD"),
            ..CreateInstrument::default()
        },
    );
    for account in [AccountId(2), AccountId(3)] {
        each(&mut send, &CreateAccount { account, name: name("owner"), ..CreateAccount::default() });
        for asset in [1, 2] {
            each(&mut send, &Deposit { amount_minor: 100_000_000_000, account, asset, ..Deposit::default() });
        }
    }
}

/// A client whose waiting drives the pipeline.
struct Peer {
    stream: TcpStream,
    name: &'static str,
    next_out: u64,
    received: Vec<u8>,
}

impl Peer {
    fn log_on(venue: &mut Venue, name: &'static str, next_out: u64) -> Self {
        let stream = TcpStream::connect(venue.address).unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut peer = Self { stream, name, next_out, received: Vec::new() };
        let fields = format!("98=0|108=30|553={}|554={name}-secret", name.to_lowercase());
        assert_eq!(peer.ask(venue, "A", &fields, 1)[0].get(35), "A");
        peer
    }

    /// Sends a message and turns the pipeline until so many have come back.
    fn ask(&mut self, venue: &mut Venue, kind: &str, fields: &str, answers: usize) -> Vec<Received> {
        let bytes = message(self.name, self.next_out, kind, fields, venue.clock.now_ns());
        self.next_out += 1;
        self.stream.write_all(&bytes).unwrap();
        self.wait(venue, answers)
    }

    fn wait(&mut self, venue: &mut Venue, answers: usize) -> Vec<Received> {
        for _ in 0..1_000_000 {
            venue.pipeline.do_work().unwrap();
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(length) => self.received.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
            if self.received.windows(4).filter(|it| it == b"\x0110=").count() >= answers {
                return split(&std::mem::take(&mut self.received));
            }
        }
        panic!("{}: no answer", self.name);
    }
}

#[test]
fn orders_and_sessions_survive_a_pipeline_that_was_never_closed() {
    let folder = tempfile::tempdir().unwrap();
    let mut venue = open(folder.path());
    let mut alice = Peer::log_on(&mut venue, "ALICE", 1);
    let accepted = alice.ask(&mut venue, "D", &order("a1", 1, "2", "100"), 1);
    assert_eq!(accepted[0].pick(&[35, 34, 150, 11]), "35=8|34=2|150=0|11=a1");
    drop(venue);

    let mut venue = open(folder.path());
    let mut bob = Peer::log_on(&mut venue, "BOB", 1);
    let sold = bob.ask(&mut venue, "D", &order("b1", 2, "0.5", "100"), 2);
    assert_eq!(sold[1].pick(&[150, 14]), "150=F|14=0.500");
    let mut alice = Peer::log_on(&mut venue, "ALICE", 3);
    let missed = alice.ask(&mut venue, "2", "7=2|16=0", 3);
    let all: Vec<String> = missed.iter().map(|it| it.pick(&[35, 34, 150])).collect();
    assert_eq!(all, ["35=8|34=2|150=0", "35=8|34=3|150=F", "35=4|34=4|150="]);
    let canceled = alice.ask(&mut venue, "F", "41=a1|11=c1|54=1|55=BTC/USD|60=now", 1);
    assert_eq!(canceled[0].pick(&[150, 14, 37]), format!("150=4|14=0.500|37={}", accepted[0].get(37)));
}
