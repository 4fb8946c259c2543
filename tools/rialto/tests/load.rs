//! `rialto load` against a running exchange, as its users start it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A process of the binary, killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rialto"));
    command.args(arguments).current_dir(folder.path());
    command
}

fn rialto(folder: &TempDir, arguments: &[&str]) -> Output {
    command(folder, arguments).output().expect("the binary runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Starts something that listens, and returns the addresses that it tells, by what stands before `listening on`.
fn listening(folder: &TempDir, arguments: &[&str], ready: &str) -> (Running, Vec<(String, String)>) {
    let mut command = command(folder, arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary runs");
    let out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut addresses = Vec::new();
    for line in out.lines().map_while(Result::ok) {
        if let Some((what, rest)) = line.split_once(" listening on ") {
            let address = rest.split([';', ' ']).next().unwrap_or_default();
            addresses.push((what.to_owned(), address.to_owned()));
        }
        if line.starts_with(ready) {
            break;
        }
    }
    (Running(child), addresses)
}

fn address(addresses: &[(String, String)], what: &str) -> String {
    let found = addresses.iter().find(|(name, _)| name.starts_with(what));
    found.unwrap_or_else(|| panic!("no {what} in {addresses:?}")).1.clone()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).expect("standard output is JSON")
}

#[test]
fn both_ports_answer_every_message_and_keep_no_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let serve =
        ["serve", "--fix-bind", "127.0.0.1:0", "--binary-bind", "127.0.0.1:0", "--load-sessions", "5"];
    let (serving, addresses) = listening(&folder, &serve, "ready:");
    let (fix, binary) = (address(&addresses, "FIX"), address(&addresses, "binary"));
    let pid = serving.0.id().to_string();
    // Five sessions are more than the configuration has users; cancels begin after 2,001 messages.
    let plan = ["--sessions", "5", "--rate", "4000", "--duration", "1s", "--json", "--pid", &pid];
    for (protocol, address) in [("fix", &fix), ("binary", &binary)] {
        let mut arguments = vec!["load", protocol, "--connect", address];
        arguments.extend(plan);
        arguments.extend(["--plot", "run.svg"]);
        let run = json(&rialto(&folder, &arguments));
        assert_eq!((&run["messages"], &run["answered"]), (&4000.into(), &4000.into()), "{run}");
        assert_eq!((&run["rejected"], &run["sessions"]), (&0.into(), &5.into()), "{run}");
        assert!(run["p50_ns"].as_u64() <= run["max_ns"].as_u64() && run["threads"].is_array(), "{run}");
        let plot = std::fs::read_to_string(folder.path().join("run.svg")).expect("a plot");
        assert!(plot.starts_with("<svg"));
    }
    let idle =
        ["load", "idle", "--connect", &fix, "--sessions", "5", "--duration", "1", "--pid", &pid, "--json"];
    let idle = json(&rialto(&folder, &idle));
    assert_eq!(idle["sessions"], 5, "{idle}");
    let lost = rialto(&folder, &["load", "fix", "--connect", &fix, "--sessions", "6"]);
    assert_eq!(lost.status.code(), Some(1));
    assert!(stderr(&lost).contains("--load-sessions"), "{}", stderr(&lost));
    let state = rialto(&folder, &["state", "data", "--json"]);
    let state = json(&state);
    assert_eq!(state["orders"].as_array().map(Vec::len), Some(0), "all are cancelled: {state}");
}

#[test]
fn the_stub_answers_and_an_interrupted_run_reports_what_it_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_stub, addresses) = listening(&folder, &["load", "stub", "--bind", "127.0.0.1:0"], "stub");
    let stub = address(&addresses, "stub");
    let run = json(&rialto(&folder, &["load", "fix", "--connect", &stub, "--duration", "1s", "--json"]));
    assert_eq!((&run["answered"], &run["rejected"]), (&10_000.into(), &0.into()), "{run}");
    let arguments = ["load", "fix", "--connect", &stub, "--duration", "1h", "--plot", "run.svg", "--json"];
    let mut command = command(&folder, &arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    // It has its signal handler before it logs on: wait until the stub has the connection.
    let established = || {
        let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", child.id())).expect("a table");
        let port = stub.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).expect("a port");
        let to = format!(":{port:04X} 01");
        table.lines().any(|line| line.contains(&to))
    };
    while !established() {
        std::thread::yield_now();
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill is there");
    assert!(kill.success());
    let output = child.wait_with_output().expect("it ends");
    let run = json(&output);
    assert_eq!((&run["interrupted"], &run["messages"]), (&true.into(), &run["answered"]), "{run}");
    assert!(stderr(&output).contains("ended early by Ctrl-C"), "{}", stderr(&output));
    assert!(folder.path().join("run.svg").exists());
}

#[test]
fn unusable_arguments_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    for (arguments, words) in [
        (&["load", "fix", "--rate", "0"][..], "--rate"),
        (&["load", "fix", "--sessions", "0"], "--sessions"),
        (&["load", "fix", "--duration", "0"], "one second or more"),
        (&["load", "fix", "--duration", "soon"], "--duration"),
        (&["load", "fix", "--rate", "10000000", "--duration", "10d"], "4,000,000,000"),
        (&["load", "binary", "--symbol", "NONE"], "NONE"),
        (&["load", "fix", "--symbol", ""], "--symbol"),
        (&["load", "fix", "--config", "missing.toml"], "missing.toml"),
    ] {
        let output = rialto(&folder, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{arguments:?}: {}", stderr(&output));
    }
    let nobody = rialto(&folder, &["load", "fix", "--connect", "127.0.0.1:1"]);
    assert_eq!(nobody.status.code(), Some(3));
    assert!(stderr(&nobody).contains("rialto serve"), "{}", stderr(&nobody));
}
