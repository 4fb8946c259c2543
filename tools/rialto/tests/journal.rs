//! `rialto journal` as its users meet it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// Runs `rialto` in `folder`.
fn rialto(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rialto"));
    command.args(arguments).current_dir(folder).output().expect("the binary runs")
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

/// The one JSON object that a command printed, whether it succeeded or not.
fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", stdout(output), stderr(output)))
}

/// A recording of `adds` orders to buy and one execution of each, in ITCH 5.0 with 2-byte lengths.
fn recording(adds: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut message = |kind: u8, fields: &[&[u8]]| {
        let body = [&[kind, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], fields.concat().as_slice()].concat();
        bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&body);
    };
    for reference in 1..=adds {
        let reference = reference.to_be_bytes();
        message(b'A', &[&reference, b"B", &100u32.to_be_bytes(), b"TEST    ", &1_000_000u32.to_be_bytes()]);
        message(b'E', &[&reference, &100u32.to_be_bytes(), &1u64.to_be_bytes()]);
    }
    bytes
}

/// A folder with the journal of a recording in `name`.
fn fed(adds: u64, name: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    feed(folder.path(), adds, name);
    folder
}

fn feed(folder: &Path, adds: u64, name: &str) {
    std::fs::write(folder.join("small.itch50"), recording(adds)).expect("the recording is written");
    let output = rialto(folder, &["feed", "itch", "small.itch50", "--data", name]);
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
}

fn first_segment(folder: &Path, stream: &str) -> PathBuf {
    folder.join("run").join(stream).join("00000000000000000001.seg")
}

fn flip(path: &Path, offset: usize) {
    let mut bytes = std::fs::read(path).expect("the segment is there");
    bytes[offset] ^= 0x40;
    std::fs::write(path, bytes).expect("the segment can be written");
}

#[test]
fn verify_executes_and_proves_against_a_kept_chain() {
    let folder = fed(20, "run");
    let report = json(&rialto(folder.path(), &["journal", "verify", "run", "--execute", "--json"]));
    assert_eq!((&report["good"], &report["executed"]["identical"]), (&true.into(), &true.into()));
    assert_eq!(report["executed"]["commands"], report["commands"]["last_sequence"]);
    let last = report["commands"]["last_sequence"].to_string();
    let chain = report["commands"]["chain"].as_str().expect("a chain");
    let kept = format!("{last}:{chain}");
    let text = rialto(folder.path(), &["journal", "verify", "run", "--execute", "--anchor", &kept]);
    assert_eq!(code(&text), 0, "{}", stderr(&text));
    assert!(stdout(&text).contains(&kept) && stdout(&text).contains("executed  good"), "{}", stdout(&text));
    let marks = std::fs::read_to_string(folder.path().join("run/marks")).expect("marks");
    assert!(marks.trim_end().ends_with(chain), "the orderly shutdown anchors the chain: {marks}");
    let wrong = kept.replace(&chain[..8], if chain.starts_with('0') { "11111111" } else { "00000000" });
    let output = rialto(folder.path(), &["journal", "verify", "run", "--anchor", &wrong]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("anchored"), "{}", stderr(&output));
    assert_eq!(code(&rialto(folder.path(), &["journal", "verify", "run", "--anchor", "7:zz"])), 2);
}

#[test]
fn verify_names_file_offset_and_sequence_of_damage_to_programs() {
    let folder = fed(20, "run");
    let path = first_segment(folder.path(), "events");
    flip(&path, 4096 + 100);
    let output = rialto(folder.path(), &["journal", "verify", "run", "--json"]);
    let report = json(&output);
    // The mark of the orderly end says that the events had been synced, too.
    assert_eq!((code(&output), &report["events"]["offset"]), (1, &4096.into()));
    let marks = folder.path().join("run/marks");
    std::fs::rename(&marks, folder.path().join("kept")).expect("renamed");
    let output = rialto(folder.path(), &["journal", "verify", "run", "--json"]);
    let report = json(&output);
    // Without it nothing does: a torn tail, which the commands rebuild.
    assert_eq!((code(&output), &report["events"]["torn_tail"]["offset"]), (0, &4096.into()));
    std::fs::rename(folder.path().join("kept"), &marks).expect("renamed");
    flip(&first_segment(folder.path(), "commands"), 4096 + 100);
    let output = rialto(folder.path(), &["journal", "verify", "run", "--execute", "--json"]);
    let report = json(&output);
    assert_eq!(code(&output), 1);
    let commands = &report["commands"];
    assert_eq!((&commands["offset"], &commands["sequence"]), (&4096.into(), &1.into()));
    assert!(commands["file"].as_str().expect("a file").ends_with("00000000000000000001.seg"));
    assert_eq!(report["executed"], Value::Null, "what is damaged is not executed");
}

/// One JSON object a line.
fn json_lines(output: &Output) -> Vec<Value> {
    assert_eq!(code(output), 0, "{}", stderr(output));
    stdout(output).lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

#[test]
fn a_dump_can_be_filtered_by_kind_and_field() {
    let folder = fed(20, "run");
    let all = json_lines(&rialto(folder.path(), &["journal", "dump", "run", "--json"]));
    let trades = json_lines(&rialto(folder.path(), &["journal", "dump", "run", "--json", "--kind", "Trade"]));
    assert_eq!(trades.len(), 20);
    assert_eq!(trades, all.iter().filter(|row| row["kind"] == "Trade").cloned().collect::<Vec<_>>());
    let order = &trades[3]["maker_order_id"];
    let filter = format!("maker_order_id={order}");
    let one = json_lines(&rialto(folder.path(), &["journal", "dump", "run", "--json", "--where", &filter]));
    assert_eq!(one, [trades[3].clone()]);
    let any_case =
        json_lines(&rialto(folder.path(), &["journal", "dump", "run", "--json", "--kind", "tRADE"]));
    assert_eq!(any_case.len(), 20);
    let none = ["journal", "dump", "run", "--json", "--kind", "Trade", "--where", "side=Nobody"];
    let output = rialto(folder.path(), &none);
    assert!(json_lines(&output).is_empty() && stderr(&output).contains("no record is wanted"));
}

#[test]
fn a_filter_that_names_what_there_is_not_says_what_there_is() {
    let folder = fed(2, "run");
    for command in [&["dump"][..], &["tail", "--no-follow"], &["export"]] {
        let file: &[&str] = if command[0] == "export" { &["x.jsonl"] } else { &[] };
        for (filter, value, known) in [
            ("--kind", "Trades", "Trade, "),
            ("--where", "price=3", "price_ticks"),
            ("--where", "canceled=3", "canceled_orders"),
        ] {
            let arguments = [&["journal", command[0], "run"], file, &command[1..], &[filter, value]].concat();
            let output = rialto(folder.path(), &arguments);
            let said = stderr(&output);
            assert_eq!((code(&output), said.contains(known)), (2, true), "{arguments:?}: {said}");
        }
    }
    assert!(!folder.path().join("x.jsonl").exists());
}

/// Dump, export, tail and diff used to take the place where a stream becomes unreadable for its end, and said nothing: an
/// export of a damaged journal was a short one.
#[test]
fn what_cannot_be_read_is_never_taken_for_the_end() {
    let folder = fed(200, "run");
    copy(&folder.path().join("run"), &folder.path().join("good"));
    flip(&first_segment(folder.path(), "commands"), 4096 + 100);
    let cases: [&[&str]; 5] = [
        &["journal", "dump", "run"],
        &["journal", "export", "run", "all.jsonl"],
        &["journal", "export", "run", "all.parquet"],
        &["journal", "tail", "run", "--no-follow", "--from", "1"],
        &["journal", "diff", "run", "good"],
    ];
    for arguments in cases {
        let output = rialto(folder.path(), arguments);
        let said = stderr(&output);
        assert_ne!(code(&output), 0, "{arguments:?}: {said}");
        let is_named = said.contains("00000000000000000001.seg is damaged at offset 4096");
        assert!(is_named || arguments[1] == "diff", "{arguments:?}: {said}");
    }
    let left =
        std::fs::read_dir(folder.path()).expect("there").map(|entry| entry.expect("an entry").file_name());
    assert!(!left.into_iter().any(|name| name.to_string_lossy().starts_with("all")), "nothing half is left");
    // The events can be computed again: what there is of them is given, and it is said what is missing.
    flip(&first_segment(&folder.path().join("good").join(".."), "events"), 4096 + 100);
    std::fs::remove_dir_all(folder.path().join("run/commands")).expect("removed");
    copy(&folder.path().join("good/commands"), &folder.path().join("run/commands"));
    let output = rialto(folder.path(), &["journal", "export", "run", "some.jsonl", "--json"]);
    assert_eq!(json(&output)["events_missing_from"], 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("offset 4096 of run/events"), "{}", stderr(&output));
    let text = std::fs::read_to_string(folder.path().join("some.jsonl")).expect("written");
    let all = json(&rialto(folder.path(), &["journal", "verify", "run", "--json"]));
    assert_eq!(text.lines().count().to_string(), all["commands"]["records"].to_string());
}

/// A command that no version knows, appended by another process while `tail` runs.
fn append(folder: &Path, body: &[u8]) -> u64 {
    let commands = folder.join("run/commands");
    let identity = journal::stream_identity(&commands).expect("a journal");
    append_as(&commands, &identity, body)
}

fn append_as(commands: &Path, identity: &journal::StreamIdentity, body: &[u8]) -> u64 {
    let options = journal::StreamOptions::default();
    let storage = std::sync::Arc::new(journal::DiskStorage);
    let (mut writer, _) = journal::StreamWriter::open(commands, identity, &options, storage).expect("opened");
    let sequence = writer.last_sequence() + 1;
    let length = 32 + body.len();
    let mut record = (length as u32).to_le_bytes().to_vec();
    record.extend_from_slice(&[0; 4]);
    record.extend_from_slice(&sequence.to_le_bytes());
    record.extend_from_slice(&writer.last_timestamp_ns().to_le_bytes());
    record.extend_from_slice(&[0xE7, 0x03, 1, 0, 0, 0, 0, 0]);
    record.extend_from_slice(body);
    record.resize(length.next_multiple_of(8), 0);
    writer.write_batch(&record, 0).expect("appended");
    sequence
}

#[test]
fn tail_shows_the_end_and_follows_a_live_writer() {
    use std::io::{BufRead, BufReader};
    let folder = fed(20, "run");
    let last = ["journal", "tail", "run", "--no-follow", "--json", "--commands", "3", "--stream", "commands"];
    let rows = json_lines(&rialto(folder.path(), &last));
    assert_eq!(rows.len(), 3);
    let end = rows[2]["sequence"].as_u64().expect("a number");
    let mut child = Command::new(env!("CARGO_BIN_EXE_rialto"))
        .args(["journal", "tail", "run", "--json", "--commands", "1", "--stream", "commands"])
        .current_dir(folder.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut next = || -> Value {
        serde_json::from_str(&lines.next().expect("a line").expect("readable")).expect("JSON")
    };
    assert_eq!(next()["sequence"], end);
    for body in [&b"one"[..], b"two"] {
        let sequence = append(folder.path(), body);
        let row = next();
        assert_eq!((&row["sequence"], &row["kind"]), (&sequence.into(), &"kind 999".into()));
        let hex = body.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(row["bytes"], hex);
    }
    // Its reader goes, as `head` does, and nothing more is written.
    drop(lines);
    assert!(child.wait().expect("ended").success());
}

#[test]
fn diff_finds_the_first_record_where_journals_part() {
    let folder = fed(20, "run");
    feed(folder.path(), 20, "other");
    // Two runs of one recording differ in their times and nothing else.
    let output = rialto(folder.path(), &["journal", "diff", "run", "other", "--json"]);
    let report = json(&output);
    assert_eq!((code(&output), &report["sequence"], &report["stream"]), (1, &1.into(), &"commands".into()));
    assert_ne!(report["one"]["timestamp_ns"], report["two"]["timestamp_ns"]);
    copy(&folder.path().join("run"), &folder.path().join("copy"));
    let same = json(&rialto(folder.path(), &["journal", "diff", "run", "copy", "--json"]));
    assert_eq!(same["same"], true);
    let sequence = append(folder.path(), b"more");
    let output = rialto(folder.path(), &["journal", "diff", "run", "copy"]);
    assert_eq!(code(&output), 1);
    assert!(stdout(&output).contains("copy: (has ended)"), "{}", stdout(&output));
    assert!(stderr(&output).contains(&format!("part at sequence {sequence}")), "{}", stderr(&output));
}

/// The same commands, and two exchanges that do not do the same with them: the comparison used to say "the same" and no more.
#[test]
fn diff_says_when_the_exchanges_had_other_limits() {
    let folder = TempDir::new().expect("a folder");
    for (name, machine, limits) in [("a", "exchange", 1), ("b", "exchange", 2), ("c", "ledger", 1)] {
        let identity = journal::StreamIdentity::new(journal::StreamKind::Commands, machine, &[limits; 8]);
        append_as(&folder.path().join(name).join("commands"), &identity, b"one");
    }
    for (one, two, differs) in [("a", "a", None), ("a", "b", Some("limits")), ("a", "c", Some("kinds"))] {
        let arguments = ["journal", "diff", one, two, "--stream", "commands", "--json"];
        let output = rialto(folder.path(), &arguments);
        let report = json(&output);
        assert_eq!((code(&output), &report["same"]), (0, &true.into()), "{one} {two}");
        assert_eq!(report["differing_identity"].as_str(), differs, "{one} {two}");
        let told = stderr(&output).contains(&format!("different {}", differs.unwrap_or_default()));
        assert_eq!(told, differs.is_some(), "{}", stderr(&output));
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("there") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

#[test]
fn an_export_has_every_record_and_spoils_nothing() {
    let folder = fed(20, "run");
    let dumped = json_lines(&rialto(folder.path(), &["journal", "dump", "run", "--json"]));
    let report = json(&rialto(folder.path(), &["journal", "export", "run", "all.jsonl", "--json"]));
    assert_eq!(report["records"], dumped.len());
    let text = std::fs::read_to_string(folder.path().join("all.jsonl")).expect("written");
    for (line, wanted) in text.lines().zip(&dumped) {
        let row: Value = serde_json::from_str(line).expect("JSON");
        let wanted = wanted.as_object().expect("an object");
        assert!(wanted.iter().all(|(name, value)| row[name] == *value), "{row}");
        assert!(row["time"].as_str().expect("a time").ends_with('Z'));
        let is_trade = row["kind"] == "Trade";
        assert!(
            !is_trade || row["event_index"].as_u64() > Some(0),
            "a trade follows its order's event: {row}"
        );
    }
    assert_eq!(text.lines().count(), dumped.len());
    let again = rialto(folder.path(), &["journal", "export", "run", "all.jsonl"]);
    assert_eq!(code(&again), 2, "an existing file is not overwritten");
    assert_eq!(code(&rialto(folder.path(), &["journal", "export", "run", "all.csv"])), 2);
    let trades =
        json(&rialto(folder.path(), &["journal", "export", "run", "t.parquet", "--kind", "Trade", "--json"]));
    assert_eq!(trades["records"], 20);
    let bytes = std::fs::read(folder.path().join("t.parquet")).expect("written");
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    assert!(!folder.path().join("t.parquet.part").exists());
    // A file without records had no columns but `event_index`: a query of a day without trades failed.
    let none = rialto(folder.path(), &["journal", "export", "run", "none.parquet", "--to", "0"]);
    assert_eq!(code(&none), 0);
    let bytes = std::fs::read(folder.path().join("none.parquet")).expect("written");
    for name in ["sequence", "timestamp_ns", "gateway", "session", "kind"] {
        assert!(bytes.windows(name.len()).any(|part| part == name.as_bytes()), "no column {name}");
    }
}

/// Copies a stream into segments of 64 KiB, so that there are some to archive.
fn split(folder: &Path, stream: &str) {
    let path = folder.join("run").join(stream);
    let identity = journal::stream_identity(&path).expect("a journal");
    let mut records = Vec::new();
    let mut reader = journal::StreamReader::open(&path).expect("opened");
    while let Some(record) = reader.next().expect("read") {
        records.extend_from_slice(zerocopy::IntoBytes::as_bytes(record.header()));
        records.extend_from_slice(record.body());
        records.resize(records.len().next_multiple_of(8), 0);
    }
    std::fs::remove_dir_all(&path).expect("removed");
    let options = journal::StreamOptions {
        segment_bytes: 64 << 10,
        max_frame_bytes: 8 << 10,
        ..journal::StreamOptions::default()
    };
    let storage = std::sync::Arc::new(journal::DiskStorage);
    let (mut writer, _) = journal::StreamWriter::open(&path, &identity, &options, storage).expect("opened");
    writer.write_batch(&records, 0).expect("appended");
    writer.sync().expect("synced");
}

#[test]
fn an_archived_journal_is_read_by_every_command() {
    let folder = fed(2000, "run");
    // The marks anchor the chain of the frames as they were.
    std::fs::remove_file(folder.path().join("run/marks")).expect("removed");
    split(folder.path(), "commands");
    split(folder.path(), "events");
    let ask = |arguments: &[&str]| stdout(&rialto(folder.path(), arguments));
    let commands: [&[&str]; 4] = [
        &["journal", "dump", "run", "--json"],
        &["journal", "verify", "run", "--json"],
        &["state", "run", "--json"],
        &["journal", "tail", "run", "--no-follow", "--from", "500"],
    ];
    let before = commands.map(ask);
    assert_eq!(code(&rialto(folder.path(), &["journal", "archive", "run"])), 3, "no snapshot, no archive");
    let taken = json(&rialto(folder.path(), &["snapshot", "take", "run", "--json"]));
    let report = json(&rialto(folder.path(), &["journal", "archive", "run", "--json"]));
    assert_eq!(report["snapshot"], taken["sequence"]);
    assert!(report["segments"].as_u64() > Some(4), "{report}");
    assert!(report["bytes_after"].as_u64() < report["bytes_before"].as_u64());
    assert!(!first_segment(folder.path(), "commands").exists());
    let after = commands.map(ask);
    for ((arguments, before), after) in commands.iter().zip(before).zip(after) {
        assert!(before == after && before.len() > 100, "{arguments:?}");
    }
    let report = json(&rialto(folder.path(), &["replay", "run", "--json"]));
    assert_eq!(report["identical"], true);
}

#[test]
fn any_moment_of_the_past_can_be_asked_for_by_sequence_or_time() {
    let folder = fed(20, "run");
    let commands = ["journal", "dump", "run", "--json", "--stream", "commands"];
    let commands = json_lines(&rialto(folder.path(), &commands));
    let half = commands.len() / 2;
    let sequence = commands[half]["sequence"].to_string();
    let by_sequence = json(&rialto(folder.path(), &["state", "run", "--json", "--at", &sequence]));
    assert_eq!(by_sequence["last_sequence"].to_string(), sequence);
    let replayed = json(&rialto(folder.path(), &["replay", "run", "--json", "--until", &sequence]));
    assert_eq!(replayed["state_hash"], by_sequence["state_hash"]);
    // A moment later in nanoseconds is the same, unless another command came in it.
    let time = replayed["last_time"].as_str().expect("a time");
    let by_time = json(&rialto(folder.path(), &["state", "run", "--json", "--at", time]));
    let last = commands.iter().rev().find(|row| row["timestamp_ns"] == commands[half]["timestamp_ns"]);
    assert_eq!(by_time["last_sequence"], last.expect("itself at least")["sequence"]);
    let all = json(&rialto(folder.path(), &["state", "run", "--json"]));
    assert_ne!(all["state_hash"], by_sequence["state_hash"]);
    let account = by_sequence["accounts"][2]["account"].to_string();
    let one =
        json(&rialto(folder.path(), &["state", "run", "--json", "--at", &sequence, "--account", &account]));
    assert_eq!(one["accounts"], Value::Array(vec![by_sequence["accounts"][2].clone()]));
    assert_eq!(code(&rialto(folder.path(), &["state", "run", "--at", "noon"])), 2);
    assert_eq!(by_sequence["last_time"], replayed["last_time"]);
    // Beyond both ends.
    let late = rialto(folder.path(), &["state", "run", "--json", "--at", "999999"]);
    assert_eq!(json(&late)["state_hash"], all["state_hash"]);
    assert!(stderr(&late).contains("ends at sequence") && stderr(&late).contains("before 999999"));
    let early = rialto(folder.path(), &["replay", "run", "--json", "--until", "1990-01-01T00:00:00Z"]);
    assert_eq!((&json(&early)["last_sequence"], &json(&early)["last_time"]), (&0.into(), &Value::Null));
    assert!(stderr(&early).contains("the first command is of 20"), "{}", stderr(&early));
}
