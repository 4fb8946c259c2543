//! The example client of the binary port against the real binary.

#[path = "../../../gateway/examples/binary_client.rs"]
#[allow(dead_code, reason = "the example's own main is not called")]
mod example;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use example::{Client, trade};
use machine::flags;
use protocol::{EventKind, Side};

struct Server {
    child: Child,
    address: String,
    /// Kept open: it writes more.
    _output: BufReader<ChildStdout>,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_rialto"))
            .args([
                "serve",
                "--fix-bind",
                "127.0.0.1:0",
                "--binary-bind",
                "127.0.0.1:0",
                "--durability",
                "os",
            ])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let lines = output.by_ref().lines().map(Result::unwrap);
        let found = lines.map_while(|line| {
            let address = line.strip_prefix("binary order entry listening on ").map(str::to_owned);
            (!line.starts_with("FIX listening")).then_some(address)
        });
        let address = found.flatten().last().expect("it says where it listens");
        Self { child, address, _output: output, _folder: folder }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn log_on(server: &Server, user: &str, from: u64) -> Client {
    // A connection that has just been closed may still be there for a moment.
    for _ in 0..1000 {
        match Client::log_on(&server.address, user, &format!("{user}-secret"), from) {
            Ok(client) => return client,
            Err(error) if error.to_string().ends_with('B') => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("{user} stays logged on");
}

#[test]
fn the_example_trades_and_reads_its_history() {
    let server = Server::start();
    let mut alice = log_on(&server, "alice", 0);
    trade(&mut alice, Side::Buy, &[1, 10, 5_000_000]).unwrap();
    drop(alice);
    let mut kinds = Vec::new();
    let mut alice = log_on(&server, "alice", 1);
    let until = alice.last_sequence();
    alice
        .events(until, |_, event| {
            kinds.push(EventKind::from_code(event.header().kind).unwrap());
            let last = event.header().flags & flags::LAST_EVENT != 0;
            assert!(last || event.header().sequence > 0);
            Ok(false)
        })
        .unwrap();
    let orders: Vec<&EventKind> =
        kinds.iter().filter(|it| matches!(it, EventKind::OrderAccepted | EventKind::OrderCanceled)).collect();
    assert_eq!(orders, [&EventKind::OrderAccepted, &EventKind::OrderCanceled]);
    assert!(kinds.contains(&EventKind::InstrumentCreated) && kinds.contains(&EventKind::Deposited));
    let error = Client::log_on(&server.address, "alice", "guess", 0).err().unwrap().to_string();
    assert_eq!(error, "login rejected: A");
}
