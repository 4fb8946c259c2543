//! The binary as its users meet it: commands, exit codes, messages.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Runs `rialto` in `folder`.
fn rialto(folder: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rialto"));
    command.args(arguments).current_dir(folder.path()).output().expect("the binary runs")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The one JSON object that a successful command printed.
fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}{}", stdout(output), stderr(output));
    serde_json::from_slice(&output.stdout).expect("standard output is JSON")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

/// Writes ITCH 5.0 messages with their 2-byte length prefixes.
#[derive(Default)]
struct Itch(Vec<u8>);

impl Itch {
    fn message(&mut self, kind: u8, fields: &[&[u8]]) -> &mut Self {
        let mut body = vec![kind, 0, 1, 0, 0];
        body.extend_from_slice(&[0; 6]);
        fields.iter().for_each(|field| body.extend_from_slice(field));
        self.0.extend_from_slice(&(body.len() as u16).to_be_bytes());
        self.0.extend_from_slice(&body);
        self
    }

    fn add(&mut self, reference: u64, side: u8, shares: u32, price: u32) -> &mut Self {
        let (shares, price) = (shares.to_be_bytes(), price.to_be_bytes());
        self.message(b'A', &[&reference.to_be_bytes(), &[side], &shares, b"TEST    ", &price])
    }

    fn executed(&mut self, reference: u64, shares: u32) -> &mut Self {
        self.message(b'E', &[&reference.to_be_bytes(), &shares.to_be_bytes(), &1u64.to_be_bytes()])
    }

    fn canceled(&mut self, reference: u64, shares: u32) -> &mut Self {
        self.message(b'X', &[&reference.to_be_bytes(), &shares.to_be_bytes()])
    }

    fn replaced(&mut self, reference: u64, new_reference: u64, shares: u32, price: u32) -> &mut Self {
        let (shares, price) = (shares.to_be_bytes(), price.to_be_bytes());
        self.message(b'U', &[&reference.to_be_bytes(), &new_reference.to_be_bytes(), &shares, &price])
    }

    fn deleted(&mut self, reference: u64) -> &mut Self {
        self.message(b'D', &[&reference.to_be_bytes()])
    }

    fn write(&self, folder: &TempDir, name: &str) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, &self.0).expect("the file can be written");
        path
    }
}

/// Adds, cancels, replaces, executions and a delete, whose outcome is known.
fn small_market() -> Itch {
    let mut itch = Itch::default();
    itch.add(1, b'B', 300, 1_000_000).add(2, b'B', 200, 1_000_000).add(3, b'S', 100, 1_000_200);
    itch.canceled(1, 100).executed(1, 50).executed(1, 150).executed(2, 10);
    itch.replaced(3, 4, 80, 1_000_300).executed(4, 80).deleted(2).add(5, b'S', 7, 1_000_100);
    itch.executed(99, 5);
    itch
}

/// Folder `run` with the journal of the small market.
fn fed() -> TempDir {
    let folder = folder();
    small_market().write(&folder, "small.itch50");
    let output = rialto(&folder, &["feed", "itch", "small.itch50", "--data", "run", "--json"]);
    assert_eq!(json(&output)["exact"], true);
    folder
}

/// The only segment of a stream in `run`.
fn segment(folder: &TempDir, stream: &str) -> PathBuf {
    folder.path().join("run").join(stream).join("00000000000000000001.seg")
}

fn flip(path: &Path, offset: usize) {
    let mut bytes = std::fs::read(path).expect("the segment is there");
    bytes[offset] ^= 0x40;
    std::fs::write(path, bytes).expect("the segment can be written");
}

#[test]
fn a_recorded_market_goes_through_the_pipeline_and_replays_to_the_same_bytes() {
    let folder = folder();
    small_market().write(&folder, "small.itch50");
    let report = json(&rialto(&folder, &["feed", "itch", "small.itch50", "--data", "run", "--json"]));
    assert_eq!((&report["executions_known"], &report["executions_matched"]), (&4.into(), &4.into()));
    assert_eq!(report["live_orders"], 1);
    let replay = json(&rialto(&folder, &["replay", "run", "--json"]));
    assert_eq!(replay["identical"], true);
    assert_eq!(replay["state_hash"], report["state_hash"]);
    assert_eq!(replay["events_compared"], replay["events"]);
    assert_eq!(replay["marks_checked"], 1);
    let again = rialto(&folder, &["feed", "itch", "small.itch50", "--data", "run"]);
    assert_eq!(code(&again), 2);
    assert!(stderr(&again).contains("holds a journal already"), "{}", stderr(&again));
}

/// A venue that lets a later order trade first is no price-time venue: the recording is made to say that it did.
#[test]
fn an_execution_of_another_order_than_the_recorded_one_is_a_difference() {
    let folder = folder();
    let mut itch = Itch::default();
    itch.add(1, b'B', 100, 1_000_000).add(2, b'B', 100, 1_000_000).executed(2, 100);
    itch.write(&folder, "wrong.itch50");
    let output = rialto(&folder, &["feed", "itch", "wrong.itch50"]);
    assert_eq!(code(&output), 1, "{}", stdout(&output));
    assert!(stdout(&output).contains("hit exactly that order 0"), "{}", stdout(&output));
}

#[test]
fn a_truncated_recording_is_reported_and_the_rest_kept() {
    let folder = folder();
    let mut itch = small_market();
    itch.0.truncate(itch.0.len() - 3);
    itch.write(&folder, "cut.itch50");
    let report = json(&rialto(&folder, &["feed", "itch", "cut.itch50", "--json"]));
    assert_eq!(report["truncated_bytes"], 30);
    assert_eq!(report["executions_matched"], 4);
}

#[test]
fn damage_is_named_with_segment_and_offset_by_every_command() {
    let folder = fed();
    assert_eq!(code(&rialto(&folder, &["journal", "verify", "run"])), 0);
    flip(&segment(&folder, "commands"), 4096 + 200);
    let output = rialto(&folder, &["journal", "verify", "run"]);
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("00000000000000000001.seg is damaged at offset 4096"),
        "{}",
        stderr(&output)
    );
    let report = rialto(&folder, &["journal", "verify", "run", "--json"]);
    let report: Value = serde_json::from_slice(&report.stdout).expect("JSON, also about damage");
    assert_eq!((&report["good"], &report["commands"]["good"]), (&false.into(), &false.into()));
    let readers: [&[&str]; 5] = [
        &["replay", "run"],
        &["state", "run"],
        &["journal", "dump", "run"],
        &["journal", "tail", "run", "--no-follow"],
        &["journal", "export", "run", "out.jsonl"],
    ];
    for arguments in readers {
        let output = rialto(&folder, arguments);
        assert_eq!(code(&output), 3, "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("offset 4096"), "{}", stderr(&output));
    }
    let output = rialto(&folder, &["serve", "--data", "run", "--fix-bind", "127.0.0.1:0"]);
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("offset 4096"), "{}", stderr(&output));
}

#[test]
fn a_dump_is_lines_for_a_person_and_json_for_a_program() {
    let folder = fed();
    let text = stdout(&rialto(&folder, &["journal", "dump", "run", "--from", "1", "--to", "3"]));
    assert!(text.contains("CreateAsset") && text.contains("  AssetCreated"), "{text}");
    let text = stdout(&rialto(&folder, &["journal", "dump", "run", "--stream", "events", "--json"]));
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON lines"));
    let trades = events.filter(|event| event["kind"] == "Trade").collect::<Vec<_>>();
    assert_eq!(trades.len(), 4);
    assert_eq!((&trades[0]["quantity_lots"], &trades[0]["taker_side"]), (&50.into(), &"Sell".into()));
}

#[test]
fn the_state_adds_up_to_zero_for_every_asset() {
    let folder = fed();
    let state = json(&rialto(&folder, &["state", "run", "--json"]));
    let mut sums = std::collections::BTreeMap::<String, rust_decimal::Decimal>::new();
    for account in state["accounts"].as_array().expect("accounts") {
        for row in account["balances"].as_array().expect("balances") {
            let amount: rust_decimal::Decimal =
                row["balance"].as_str().expect("text").parse().expect("decimal");
            *sums.entry(row["asset"].to_string()).or_default() += amount;
        }
    }
    assert_eq!(sums.len(), 2);
    assert!(sums.values().all(rust_decimal::Decimal::is_zero), "{sums:?}");
    let orders = state["orders"].as_array().expect("orders");
    assert_eq!((orders.len(), &orders[0]["place"]), (1, &"book".into()));
    assert_eq!(state["instruments"][0]["phase"], "Continuous");
    let positions = state["positions"].as_array().expect("positions").iter();
    let positions =
        positions.map(|row| row["position"].as_str().and_then(|it| it.parse().ok()).expect("decimal"));
    let positions = positions.collect::<Vec<rust_decimal::Decimal>>();
    assert_eq!(
        (positions.len(), positions.iter().sum()),
        (2, rust_decimal::Decimal::ZERO),
        "what one bought another sold"
    );
    assert_eq!((&orders[0]["price"], &orders[0]["leaves"]), (&"100.0100".into(), &"7".into()));
    let text = stdout(&rialto(&folder, &["top", "--data", "run", "--once"]));
    assert!(text.contains("TEST") && text.contains("100.0100"), "{text}");
}

/// Starts an exchange with this configuration, waits until it is ready, and stops it with SIGTERM.
fn serve_once(folder: &TempDir, configuration: &str) -> Output {
    std::fs::write(folder.path().join("my.toml"), configuration).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rialto"));
    command.args(["serve", "--config", "my.toml", "--fix-bind", "127.0.0.1:0", "--durability", "os"]);
    command.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    if lines.any(|line| line.starts_with("ready:")) {
        let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(kill.expect("kill runs").success());
    }
    lines.for_each(drop);
    child.wait_with_output().expect("it ends")
}

/// Commands of a kind in the journal of `data`.
fn sent(folder: &TempDir, kind: &str) -> Vec<Value> {
    let text = stdout(&rialto(folder, &["journal", "dump", "data", "--stream", "commands", "--json"]));
    let commands = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON lines"));
    commands.filter(|command| command["kind"] == kind).collect()
}

#[test]
fn settings_are_sent_at_a_start_and_again_only_when_they_change() {
    let folder = folder();
    let default = stdout(&rialto(&folder, &["config"]));
    let example = |line: &str| line.starts_with('#') && !line.starts_with("# ") && line.len() > 1;
    let lines = default.lines().map(|line| if example(line) { &line[1..] } else { line });
    let configuration = lines.collect::<Vec<_>>().join("\n");
    let kinds = [
        "SetInstrumentRules",
        "SetTickTable",
        "SetFeeSchedule",
        "SetTimetable",
        "SetAccountOptions",
        "SetRiskLimits",
    ];
    for (configuration, rules) in [
        (configuration.clone(), 1),
        (configuration.clone(), 1),
        (configuration.replace("collar = \"0.05\"", "collar = \"0.04\""), 2),
    ] {
        let output = serve_once(&folder, &configuration);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        for kind in kinds {
            let expected = if kind == "SetInstrumentRules" { rules } else { 1 };
            assert_eq!(sent(&folder, kind).len(), expected, "{kind}");
        }
    }
    assert_eq!(sent(&folder, "SetInstrumentRules")[1]["collar_bps"], 400);
    assert_eq!(json(&rialto(&folder, &["replay", "data", "--json"]))["identical"], true);

    let impossible = configuration.replace("taker_fee = \"0.0008\"", "taker_fee = \"0.002\"");
    let output = serve_once(&folder, &impossible);
    assert_eq!(code(&output), 2);
    let said = stderr(&output);
    assert!(said.contains("BTC/USD.fees.taker_fee: must be from 0 to the instrument's taker_fee"), "{said}");
    // What only the exchange can know it refuses itself.
    let unknown = configuration.replace("[[risk_limits]]\n", "[[risk_limits]]\naccount = 77\n");
    assert_ne!(unknown, configuration);
    let output = serve_once(&folder, &unknown);
    assert_eq!(code(&output), 2);
    let said = stderr(&output);
    assert!(said.contains("rejected: UnknownAccount"), "{said}");
}

#[test]
fn wrong_use_is_explained_and_changes_nothing() {
    let folder = folder();
    std::fs::write(folder.path().join("bad.toml"), "data = \"x\"\ndurability = tape\n").expect("written");
    let output = rialto(&folder, &["serve", "--config", "bad.toml"]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("bad.toml") && stderr(&output).contains("line 2"),
        "{}",
        stderr(&output)
    );
    let output = rialto(&folder, &["serve", "--config", "missing.toml"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("missing.toml"), "{}", stderr(&output));

    std::fs::create_dir(folder.path().join("mine")).expect("made");
    std::fs::write(folder.path().join("mine/letter.txt"), "dear").expect("written");
    let output = rialto(&folder, &["serve", "--data", "mine", "--fix-bind", "127.0.0.1:0"]);
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("letter.txt"), "{}", stderr(&output));
    assert_eq!(std::fs::read_dir(folder.path().join("mine")).expect("there").count(), 1);

    for arguments in [&["replay", "nowhere"][..], &["state", "nowhere"], &["journal", "verify", "nowhere"]] {
        let output = rialto(&folder, arguments);
        assert_eq!(code(&output), 3);
        assert!(stderr(&output).contains("nowhere"), "{}", stderr(&output));
    }
    let output = rialto(&folder, &["feed", "itch", "nowhere.itch50"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("nowhere.itch50"), "{}", stderr(&output));
    std::fs::write(folder.path().join("letter.itch50"), "Dear Sir or Madam, ".repeat(99)).expect("written");
    let output = rialto(&folder, &["feed", "itch", "letter.itch50", "--data", "run"]);
    assert_eq!(code(&output), 2, "what is no recording is not an exact one");
    assert!(stderr(&output).contains("no ITCH 5.0 message"), "{}", stderr(&output));
    assert!(!folder.path().join("run").exists());
}

#[test]
fn a_small_lobster_recording_equals_its_book() {
    let folder = folder();
    let messages = "1.0,1,11,10,1000000,1\n1.1,1,12,5,1000100,-1\n1.2,4,11,4,1000000,1\n1.3,2,11,2,1000000,1\n\
                    1.4,3,12,5,1000100,-1\n";
    let book = "1000200,7,1000000,10\n1000100,5,1000000,10\n1000100,5,1000000,6\n1000100,5,1000000,4\n\
                1000200,7,1000000,4\n";
    std::fs::write(folder.path().join("X_2020-01-01_message_1.csv"), messages).expect("written");
    std::fs::write(folder.path().join("X_2020-01-01_orderbook_1.csv"), book).expect("written");
    let output =
        rialto(&folder, &["feed", "lobster", "X_2020-01-01_message_1.csv", "--data", "run", "--json"]);
    let report = json(&output);
    assert_eq!((&report["books"][0]["rows"], &report["books"][0]["equal"]), (&5.into(), &5.into()));
    assert_eq!(json(&rialto(&folder, &["replay", "run", "--json"]))["identical"], true);

    let wrong = book.replace("1000100,5,1000000,6", "1000100,5,1000000,7");
    std::fs::write(folder.path().join("X_2020-01-01_orderbook_1.csv"), wrong).expect("written");
    let output = rialto(&folder, &["feed", "lobster", "X_2020-01-01_message_1.csv", "--data", "other"]);
    assert_eq!(code(&output), 1);
    assert!(stdout(&output).contains("4 of 5 rows"), "{}", stdout(&output));
}

#[test]
fn the_bench_measures_and_cleans_up() {
    let folder = folder();
    let arguments =
        ["bench", "--durability", "disk", "--commands", "5000", "--rate", "2000", "--seconds", "1", "--json"];
    let report = json(&rialto(&folder, &arguments));
    let result = &report["results"][0];
    assert!(result["commands_per_second"].as_f64().expect("a rate") > 0.0);
    assert!(result["latency"]["max_ns"].as_u64() >= result["latency"]["p50_ns"].as_u64());
    let series = result["series"].as_array().expect("over time");
    assert!(series.len() > 5 && series.iter().all(|row| row["max_ns"].as_u64() > Some(0)), "{series:?}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 0);
}

/// A file system of `size` megabytes that only the commands in `script` see, mounted on `folder`/disk; `None` where the
/// system does not allow it.
fn on_a_small_disk(folder: &TempDir, size: u32, script: &str) -> Option<Output> {
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).expect("made");
    let mount = format!("mount -t tmpfs -o size={size}m none {}", disk.display());
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", script]).current_dir(folder.path());
        command.env("RIALTO", env!("CARGO_BIN_EXE_rialto")).output().ok()
    };
    if !unshare(&mount).is_some_and(|output| output.status.success()) {
        println!("skipped: this system lets nobody mount a small disk");
        return None;
    }
    unshare(&format!("{mount} && {script}"))
}

#[test]
fn a_full_disk_is_met_before_it_happens_and_stops_the_exchange_by_name() {
    let folder = folder();
    let load = "bench --durability os --commands 1200000 --rate 1000 --seconds 0 --data disk/b";
    let Some(output) = on_a_small_disk(&folder, 340, &format!("$RIALTO {load}")) else { return };
    assert_eq!(code(&output), 3, "{}{}", stdout(&output), stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("disk full") && said.contains("free some space"), "{said}");
}

#[test]
fn a_disk_that_is_too_small_from_the_start_is_refused_by_name() {
    let folder = folder();
    let serve = "$RIALTO serve --data disk/b --fix-bind 127.0.0.1:0";
    let Some(output) = on_a_small_disk(&folder, 150, serve) else { return };
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("disk full"), "{}", stderr(&output));
}

/// Folder of the recorded markets, beside the repository.
fn market_data() -> Option<PathBuf> {
    testkit::shared_data(env!("CARGO_MANIFEST_DIR"), "market")
}

#[test]
fn nasdaqs_own_executions_come_out_of_the_whole_pipeline() {
    let Some(data) = market_data() else { return };
    let file = data.join("itch/aapl_20191230_0935_0939.itch50.gz");
    let folder = folder();
    let file = file.to_str().expect("a path in UTF-8");
    let report = json(&rialto(&folder, &["feed", "itch", file, "--data", "run", "--json"]));
    assert_eq!(report["executions_known"], 1_622);
    assert_eq!(report["executions_matched"], 1_622);
    assert_eq!(report["live_orders"], 339);
    assert_eq!(report["books"][0]["bid"]["price_ticks"], 2_866_700);
    assert_eq!(report["books"][0]["ask"]["price_ticks"], 2_867_300);
    let replay = json(&rialto(&folder, &["replay", "run", "--json"]));
    assert_eq!((&replay["identical"], &replay["state_hash"]), (&true.into(), &report["state_hash"]));
}

#[test]
fn lobsters_published_books_come_out_of_the_whole_pipeline() {
    let Some(data) = market_data() else { return };
    let file = data.join("lobster/AAPL_2012-06-21_34200000_37800000_message_50.csv.gz");
    let folder = folder();
    let file = file.to_str().expect("a path in UTF-8");
    let report = json(&rialto(&folder, &["feed", "lobster", file, "--data", "run", "--json"]));
    let counts = |book: &Value| (book["levels"].as_u64(), book["rows"].as_u64(), book["equal"].as_u64());
    let books = report["books"].as_array().expect("books").iter().map(counts).collect::<Vec<_>>();
    assert!(books.contains(&(Some(20), Some(672), Some(672))), "{books:?}");
    assert!(books.contains(&(Some(1), Some(91_997), Some(91_907))), "{books:?}");
    let replay = json(&rialto(&folder, &["replay", "run", "--json"]));
    assert_eq!((&replay["identical"], &replay["state_hash"]), (&true.into(), &report["state_hash"]));
}

/// A running exchange, killed when it is dropped.
struct Serving(std::process::Child);

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts an exchange with the default configuration in `folder`/data and waits until it is ready.
/// A supervisor that read until "ready:" and closed its end of the pipe once ended the exchange with its next line. So does this
/// function close it.
fn serving(folder: &TempDir) -> Serving {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rialto"));
    command.args(["serve", "--fix-bind", "127.0.0.1:0", "--durability", "os"]).current_dir(folder.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary runs");
    let out = BufReader::new(child.stdout.take().expect("it is piped"));
    let ready = out.lines().map_while(Result::ok).any(|line| line.starts_with("ready:"));
    let serving = Serving(child);
    assert!(ready, "the exchange did not become ready");
    serving
}

#[test]
fn an_operator_acts_on_a_running_exchange_and_leaves_a_trace() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let nobody = rialto(&folder, &["admin", "halt", "BTC/USD"]);
    assert_eq!(code(&nobody), 2);
    assert!(stderr(&nobody).contains("no exchange is running on data"), "{}", stderr(&nobody));
    let _serving = serving(&folder);
    let data = folder.path().join("data");
    let mode = |name: &str| std::fs::metadata(data.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("admin.sock"), mode("admin.log")), (0o600, 0o600));

    let halted = json(&rialto(&folder, &["admin", "--json", "halt", "BTC/USD", "--for-s", "600"]));
    assert_eq!(halted["ok"], true);
    assert_eq!(halted["events"][0]["phase"], "Halted");
    let said = rialto(&folder, &["admin", "deposit", "carol", "0.5", "BTC", "--reference", "7"]);
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    assert!(
        stdout(&said).contains("Deposited: account 4, asset 2, amount_minor 50000000"),
        "{}",
        stdout(&said)
    );
    let refused = rialto(&folder, &["admin", "withdraw", "4", "0.6", "BTC"]);
    assert_eq!(code(&refused), 1);
    assert!(stderr(&refused).contains("InsufficientFunds"), "{}", stderr(&refused));
    let unknown = rialto(&folder, &["admin", "kill", "mallory"]);
    assert!(stderr(&unknown).contains("no account \"mallory\""), "{}", stderr(&unknown));
    for arguments in
        [["admin", "kill", "carol"], ["admin", "activate", "carol"], ["admin", "end-day", "AAPL"]]
    {
        assert_eq!(code(&rialto(&folder, &arguments)), 0, "{arguments:?}");
    }
    let bust = rialto(&folder, &["admin", "bust", "1"]);
    assert!(stderr(&bust).contains("UnknownTrade"), "{}", stderr(&bust));
    let swept = json(&rialto(&folder, &["admin", "--json", "cancel", "--session", "ALICE", "--side", "buy"]));
    assert_eq!(swept["events"][0]["reason"], "Operator");

    let audit = std::fs::read_to_string(data.join("admin.log")).unwrap();
    let lines: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 9);
    assert_eq!(lines[1]["request"]["amount"], "0.5");
    assert_eq!((&lines[2]["ok"], &lines[3]["sequence"]), (&Value::Bool(false), &Value::from(0)));
}

#[test]
fn the_operators_socket_answers_nonsense_in_words() {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    let folder = folder();
    let _serving = serving(&folder);
    for nonsense in ["", "{", "{\"command\":\"reboot\"}", "{\"command\":\"halt\"}"] {
        let mut stream = UnixStream::connect(folder.path().join("data/admin.sock")).unwrap();
        stream.write_all(format!("{nonsense}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["ok"], false, "{nonsense}");
        assert!(answer["error"].as_str().unwrap().starts_with("not a request"), "{answer}");
    }
    let still = json(&rialto(&folder, &["admin", "--json", "resume", "BTC/USD"]));
    assert_eq!(still["ok"], true);
}
