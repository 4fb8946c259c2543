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
    // Nothing later claims that events were synced: a torn tail, which the commands rebuild.
    assert_eq!((code(&output), &report["events"]["torn_tail"]["offset"]), (0, &4096.into()));
    flip(&first_segment(folder.path(), "commands"), 4096 + 100);
    let output = rialto(folder.path(), &["journal", "verify", "run", "--execute", "--json"]);
    let report = json(&output);
    assert_eq!(code(&output), 1);
    let commands = &report["commands"];
    assert_eq!((&commands["offset"], &commands["sequence"]), (&4096.into(), &1.into()));
    assert!(commands["file"].as_str().expect("a file").ends_with("00000000000000000001.seg"));
    assert_eq!(report["executed"], Value::Null, "what is damaged is not executed");
}
