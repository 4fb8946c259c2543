//! Snapshots, restart and looks into the past, as their users meet them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rialto"));
    command.args(arguments).current_dir(folder);
    command
}

/// Runs `rialto` in `folder`.
fn rialto(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().expect("the binary runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", stdout(output), stderr(output)))
}

/// The embedded configuration with a snapshot after every few commands.
fn eager(folder: &Path, every_commands: u64) {
    let text = stdout(&rialto(folder, &["config"]));
    let text = text.replace("every_commands = 5000000", &format!("every_commands = {every_commands}"));
    assert!(text.contains(&format!("every_commands = {every_commands}")));
    std::fs::write(folder.join("my.toml"), text).expect("written");
}

/// Serves until `enough` lines have come, stops it with SIGTERM, and gives what it said on both outputs.
fn serve(folder: &Path, more: &[&str], mut enough: impl FnMut(&str) -> bool) -> (String, String) {
    let base = ["serve", "--config", "my.toml", "--fix-bind", "127.0.0.1:0"];
    let durability: &[&str] = if more.contains(&"--durability") { &[] } else { &["--durability", "os"] };
    let mut child = command(folder, &[&base, durability, more].concat());
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut said = String::new();
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    for line in lines.by_ref() {
        said.push_str(&line);
        said.push('\n');
        if enough(&line) {
            let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            assert!(kill.expect("kill runs").success());
            break;
        }
    }
    lines.for_each(|line| said.push_str(&(line + "\n")));
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(code(&output), 0, "{said}{}", stderr(&output));
    (said, stderr(&output))
}

fn is_ready(line: &str) -> bool {
    line.starts_with("ready:")
}

fn listed(folder: &Path) -> Vec<u64> {
    let rows = json(&rialto(folder, &["snapshot", "list", "--json"]));
    rows.as_array().expect("rows").iter().map(|row| row["sequence"].as_u64().expect("a number")).collect()
}

fn file(folder: &Path, sequence: u64) -> PathBuf {
    folder.join(format!("data/snapshots/{sequence:020}.snap"))
}

fn last_sequence(folder: &Path) -> u64 {
    json(&rialto(folder, &["replay", "--json"]))["last_sequence"].as_u64().expect("a number")
}

/// A data folder that has been served once, with a snapshot at its end.
fn served() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    eager(folder.path(), 5);
    serve(folder.path(), &[], is_ready);
    folder
}

#[test]
fn an_exchange_starts_from_its_snapshot_and_sends_nothing_twice() {
    let folder = served();
    let folder = folder.path();
    let (taken, last) = (listed(folder), last_sequence(folder));
    assert!(!taken.is_empty() && taken[0] <= last && last - taken[0] < 5, "{taken:?} of {last}");
    let before = json(&rialto(folder, &["state", "--json"]));
    let (said, _) = serve(folder, &[], is_ready);
    assert!(said.contains(&format!("started from the snapshot of sequence {}", taken[0])), "{said}");
    assert_eq!(last_sequence(folder), last, "all that the configuration names was known");
    assert_eq!(json(&rialto(folder, &["state", "--json"])), before);
    // Without what the operator has kept, it reads the events.
    std::fs::remove_file(folder.join("data/operator.checkpoint")).expect("it was written");
    serve(folder, &[], is_ready);
    assert_eq!(last_sequence(folder), last);
    std::fs::write(folder.join("data/operator.checkpoint"), b"nonsense").expect("written");
    let (_, complaint) = serve(folder, &[], is_ready);
    assert!(complaint.contains("operator.checkpoint is not used"), "{complaint}");
    assert_eq!(last_sequence(folder), last);
}

#[test]
fn a_snapshot_that_does_not_check_falls_back_aloud_to_the_one_before() {
    let folder = served();
    let folder = folder.path();
    let first = listed(folder)[0];
    // A house that trades brings more commands, and more snapshots.
    let data = folder.join("data/snapshots");
    let mut lines = 0;
    serve(folder, &["--demo"], |line| {
        lines += usize::from(is_ready(line));
        while lines > 0 && std::fs::read_dir(&data).is_ok_and(|entries| entries.count() < 4) {
            std::thread::yield_now();
        }
        lines > 0
    });
    let taken = listed(folder);
    assert!(taken.len() >= 2 && taken[0] > first, "{taken:?}");
    assert_eq!(code(&rialto(folder, &["snapshot", "verify", "--execute"])), 0);
    let path = file(folder, taken[0]);
    let mut bytes = std::fs::read(&path).expect("there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let verified = rialto(folder, &["snapshot", "verify", "--json"]);
    assert_eq!(code(&verified), 1);
    let good: Vec<bool> =
        json(&verified).as_array().expect("rows").iter().map(|row| row["good"] == true).collect();
    assert!(!good[0] && good[1..].iter().all(|good| *good), "{good:?}");
    let state = json(&rialto(folder, &["state", "--json"]));
    let (said, complaint) = serve(folder, &[], is_ready);
    assert!(said.contains(&format!("started from the snapshot of sequence {}", taken[1])), "{said}");
    let aloud =
        format!("the snapshot of sequence {} is not used: the payload does not match its hash", taken[0]);
    assert!(complaint.contains(&aloud), "{complaint}");
    let whole = json(&rialto(folder, &["replay", "--json"]));
    assert_eq!((&whole["identical"], &whole["from_snapshot"]), (&true.into(), &Value::Null));
    assert!(state["last_sequence"].as_u64() <= whole["last_sequence"].as_u64());
}

#[test]
fn the_house_takes_up_its_orders_from_a_snapshot() {
    let folder = served();
    let folder = folder.path();
    let trades = |folder: &Path| json(&rialto(folder, &["state", "--json"]))["trades"].as_u64().unwrap_or(0);
    for _ in 0..2 {
        let before = trades(folder);
        serve(folder, &["--demo"], |line| {
            while is_ready(line) && trades(folder) <= before {
                std::thread::yield_now();
            }
            is_ready(line)
        });
        let state = json(&rialto(folder, &["state", "--json"]));
        let orders = state["orders"].as_array().expect("rows").len();
        // Ten levels a side on three instruments; a house that forgot its orders would have twice as many.
        assert!(orders <= 60, "{orders} orders");
    }
    assert_eq!(json(&rialto(folder, &["replay", "--json"]))["identical"], true);
}

#[test]
fn snapshots_are_taken_and_kept_by_hand() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    eager(folder, 0);
    serve(folder, &[], is_ready);
    assert_eq!(listed(folder), [] as [u64; 0], "a tiny journal gets none by itself");
    let archived = rialto(folder, &["journal", "archive", "data"]);
    assert_eq!(code(&archived), 3);
    assert!(stderr(&archived).contains("rialto snapshot take data"), "{}", stderr(&archived));
    let report = json(&rialto(folder, &["snapshot", "take", "--json"]));
    let last = last_sequence(folder);
    assert_eq!((&report["sequence"], listed(folder)), (&last.into(), vec![last]));
    assert_eq!(report["bytes"], std::fs::metadata(file(folder, last)).expect("there").len());
    let text = stdout(&rialto(folder, &["snapshot", "list", "data"]));
    assert!(text.contains("state hash") && text.lines().count() == 1, "{text}");
    let verified = rialto(folder, &["snapshot", "verify", "data", &last.to_string(), "--execute"]);
    assert_eq!((code(&verified), stdout(&verified).contains("good")), (0, true), "{}", stderr(&verified));
    assert_eq!(code(&rialto(folder, &["snapshot", "verify", "data", "7"])), 2);
    let again = json(&rialto(folder, &["snapshot", "take", "data", "--keep", "1", "--json"]));
    assert_eq!(again["sequence"], last);
    assert_eq!(code(&rialto(folder, &["journal", "archive", "data"])), 0);
    assert_eq!(code(&rialto(folder, &["snapshot", "take", "nowhere"])), 3);
}

#[test]
fn the_past_is_asked_for_by_account_and_book() {
    let folder = served();
    let folder = folder.path();
    let last = last_sequence(folder);
    rialto(folder, &["snapshot", "take"]);
    let all = json(&rialto(folder, &["state", "--json"]));
    let one = json(&rialto(folder, &["state", "--json", "account", "2"]));
    let mine = |rows: &Value| rows.as_array().expect("rows").iter().filter(|row| row["account"] == 2).count();
    assert_eq!((mine(&one["accounts"]), one["accounts"].as_array().map(Vec::len)), (1, Some(1)));
    assert_eq!(mine(&all["accounts"]), 1);
    let half = (last / 2).to_string();
    let past = json(&rialto(folder, &["state", "data", "--at", &half, "--json"]));
    let replayed = json(&rialto(folder, &["replay", "--until", &half, "--json"]));
    let from_start = json(&rialto(folder, &["replay", "--until", &half, "--from-start", "--json"]));
    assert_eq!(past["state_hash"], from_start["state_hash"]);
    assert_eq!(replayed["state_hash"], from_start["state_hash"]);
    assert_eq!((&from_start["from_snapshot"], from_start["commands"].to_string()), (&Value::Null, half));
    let end = json(&rialto(folder, &["replay", "--until", &last.to_string(), "--json"]));
    assert_eq!((&end["from_snapshot"], &end["commands"]), (&last.into(), &0.into()));
    let book = json(&rialto(folder, &["state", "data", "book", "BTC/USD", "--json"]));
    assert_eq!((&book["symbol"], &book["last_sequence"]), (&"BTC/USD".into(), &last.into()));
    assert!(book["bids"].is_array() && book["asks"].is_array());
    let text = stdout(&rialto(folder, &["state", "book", "BTC/USD"]));
    assert!(text.starts_with("BTC/USD after command"), "{text}");
    let unknown = rialto(folder, &["state", "book", "DOGE"]);
    assert_eq!(code(&unknown), 2);
    assert!(stderr(&unknown).contains("there were: BTC/USD"), "{}", stderr(&unknown));
    assert_eq!(code(&rialto(folder, &["state", "--at", "1", "account", "2"])), 2, "it did not exist yet");
}

/// An exchange that was told to stop while it recovered went on to the end first, for minutes where the journal was long and had no
/// snapshot, and only then stopped.
#[test]
fn who_is_told_to_stop_while_it_recovers_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    eager(folder, 0);
    serve(folder, &[], is_ready);
    // The start waits for its configuration, so that the signal is there before the recovery begins.
    let pipe = folder.join("pipe.toml");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    let start = ["serve", "--config", "pipe.toml", "--fix-bind", "127.0.0.1:0"];
    let child =
        command(folder, &start).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut writer = std::fs::OpenOptions::new().write(true).open(&pipe).expect("the other end is open");
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(kill.expect("kill runs").success());
    let text = std::fs::read(folder.join("my.toml")).expect("read");
    std::io::Write::write_all(&mut writer, &text).expect("written");
    drop(writer);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).starts_with("stopped before it was ready"), "{}", stdout(&output));
    let (said, _) = serve(folder, &[], is_ready);
    assert!(said.contains("data: sequence "), "{said}");
}

/// Without a sync a loss of power, with `memory` a kill, takes commands whose reports the FIX session store has. The exchange then did
/// not start until somebody had moved the store away, and did not say that events without commands had been removed.
#[test]
fn what_the_journal_has_lost_without_a_sync_is_told_and_forgotten() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    eager(folder, 0);
    serve(folder, &[], is_ready);
    let (commands, kept) = (folder.join("data/commands"), folder.join("kept"));
    let copy = Command::new("cp").arg("-r").args([&commands, &kept]).status();
    assert!(copy.expect("cp runs").success());
    serve(folder, &[], |line| {
        let deposit = ["admin", "--data", "data", "deposit", "alice", "5", "USD"];
        is_ready(line) && code(&rialto(folder, &deposit)) == 0
    });
    let before = json(&rialto(folder, &["journal", "verify", "data", "--json"]));
    let last = before["commands"]["last_sequence"].as_u64().expect("a number");
    std::fs::remove_dir_all(&commands).expect("removed");
    std::fs::rename(&kept, &commands).expect("the end is gone");
    std::fs::remove_file(folder.join("data/marks")).expect("removed");
    let verified = rialto(folder, &["journal", "verify", "data"]);
    assert_eq!(code(&verified), 0, "nothing proves that it had been synced");
    assert!(stderr(&verified).contains(&format!("events up to sequence {last}, but the commands end")));
    let base = ["serve", "--config", "my.toml", "--fix-bind", "127.0.0.1:0"];
    let refused = rialto(folder, &[&base[..], &["--durability", "disk"]].concat());
    assert_eq!(code(&refused), 3);
    assert!(stdout(&refused).contains("removed the events of sequences"), "{}", stdout(&refused));
    assert!(
        stderr(&refused).contains("session store data/fix-sessions has reports up to"),
        "{}",
        stderr(&refused)
    );
    for durability in ["memory", "disk"] {
        let (_, noted) = serve(folder, &["--durability", durability], is_ready);
        assert_eq!(
            noted.contains("the journal has lost the commands after"),
            durability == "memory",
            "{noted}"
        );
    }
}

/// An asset whose scale was changed in the configuration kept the journal's, without a word: deposits of new accounts were a
/// hundred times what the file said.
#[test]
fn an_asset_that_is_not_the_journals_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    eager(folder, 0);
    serve(folder, &[], is_ready);
    let text = std::fs::read_to_string(folder.join("my.toml")).expect("read");
    let changed = text.replacen("name = \"BTC\"\nscale = 8", "name = \"BTC\"\nscale = 10", 1);
    assert_ne!(changed, text);
    std::fs::write(folder.join("changed.toml"), changed).expect("written");
    let start = ["serve", "--config", "changed.toml", "--fix-bind", "127.0.0.1:0"];
    let refused = rialto(folder, &start);
    assert_eq!(code(&refused), 2);
    let said = stderr(&refused);
    assert!(
        said.contains("2 is BTC with scale 10") && said.contains("BTC with scale 8 in the journal"),
        "{said}"
    );
    serve(folder, &[], is_ready);
}
