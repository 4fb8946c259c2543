//! A real process on a real disk, killed while it writes.

use super::*;
use crate::{DiskStorage, StreamReader};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

const FOLDER_VARIABLE: &str = "JOURNAL_TEST_CHILD_FOLDER";

/// Runs only as the child: writes and syncs for ever, and says what is synced.
#[test]
fn child_writes_until_it_is_killed() {
    let Ok(folder) = std::env::var(FOLDER_VARIABLE) else { return };
    let opened =
        StreamWriter::open(Path::new(&folder), &commands_identity(), &small(), Arc::new(DiskStorage));
    let (mut writer, _) = opened.unwrap();
    let mut out = std::io::stderr();
    loop {
        let first = writer.last_sequence() + 1;
        writer.write_batch(&batch(first..=first + first % 50), writer.durable_sequence()).unwrap();
        let durable = writer.sync().unwrap();
        writeln!(out, "synced {durable}").unwrap();
        // Half the time it is killed with records written and not synced.
        let next = durable + 1;
        writer.write_batch(&batch(next..=next + 20), durable).unwrap();
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_synced() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("commands");
    let mut synced = 0;
    for cycle in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::child::child_writes_until_it_is_killed", "--nocapture"])
            .env(FOLDER_VARIABLE, &folder)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said =
            lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("synced ")?.parse().ok());
        let wanted = 40 + 13 * cycle;
        synced = said.by_ref().take(wanted).last().expect("the child syncs");
        child.kill().unwrap();
        synced = said.last().unwrap_or(synced);
        child.wait().unwrap();
        let mut reader = StreamReader::open(&folder).unwrap();
        let mut last = 0;
        while let Some(record) = reader.next().unwrap() {
            last += 1;
            assert!(is_same(record, &command(last)));
        }
        assert!(last >= synced, "cycle {cycle}: {last} records, {synced} synced");
    }
    let opened = StreamWriter::open(&folder, &commands_identity(), &small(), Arc::new(DiskStorage));
    assert!(opened.unwrap().1.last_sequence >= synced);
}
