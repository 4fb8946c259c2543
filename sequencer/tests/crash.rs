//! A process with a pipeline is killed again and again; what it had acknowledged is there.

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;

use sequencer::{Durability, Pipeline, PipelineConfig, RingPlace};
use support::{COMMAND, Tally};

/// The folder's name says how safe its commands are to be.
fn settings(folder: &Path) -> PipelineConfig {
    let durability = if folder.ends_with("os") { Durability::Os } else { Durability::Disk };
    PipelineConfig { ring_place: RingPlace::Auto, ..support::config(durability) }
}

/// The other process: cuts the file of a ring under its own pipeline.
#[test]
fn child_whose_ring_is_cut() {
    let Some(folder) = support::child_argument() else { return };
    sequencer::stop_on_bus_error().unwrap();
    let rings = folder.join("rings");
    let place = RingPlace::Folder(rings.clone());
    let mut pipeline =
        support::open(&folder.join("data"), PipelineConfig { ring_place: place, ..settings(&folder) })
            .unwrap();
    let (mut ingress, mut reader) = (pipeline.ingress(1).unwrap(), pipeline.events().unwrap());
    let running = pipeline.start().unwrap();
    ingress.try_send_bytes(0, COMMAND, 1, &1u64.to_le_bytes()).unwrap();
    while reader.poll(1, |_| ()).unwrap() == 0 {
        std::thread::yield_now();
    }
    // A follower of the journal handles bus errors of its own mappings, and must pass on this one.
    let mut follower = journal::StreamReader::open_mapped(&folder.join("data/commands")).unwrap();
    assert!(follower.next().unwrap().is_some());
    println!("\nack 1");
    for entry in std::fs::read_dir(&rings).unwrap() {
        let file = std::fs::OpenOptions::new().write(true).open(entry.unwrap().path()).unwrap();
        file.set_len(0).unwrap();
    }
    let mut next = 2u64;
    loop {
        next += u64::from(ingress.try_send_bytes(0, COMMAND, 1, &next.to_le_bytes()).is_ok());
        assert!(running.fault().is_none());
    }
}

#[test]
fn a_bus_error_is_an_orderly_stop_that_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let child =
        support::spawn_child_with("child_whose_ring_is_cut", folder.path(), std::process::Stdio::piped());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("bus error") && said.contains("Nothing acknowledged is lost"), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("ack 1"));
    assert!(check(&folder.path().join("data")) >= 1);
}

/// The other process: sends numbered commands without end, and acknowledges each sequence on standard output when
/// its last event has come out.
#[test]
fn child_pipeline() {
    let Some(folder) = support::child_argument() else { return };
    let mut pipeline = support::open(&folder, settings(&folder)).unwrap();
    let mut next = pipeline.recovered().last_sequence + 1;
    let (mut ingress, mut reader) = (pipeline.ingress(1).unwrap(), pipeline.events().unwrap());
    let running = pipeline.start().unwrap();
    println!();
    while running.fault().is_none() {
        while ingress.try_send_bytes(0, COMMAND, 1, &next.to_le_bytes()).is_ok() {
            next += 1;
            if next.is_multiple_of(16) {
                break;
            }
        }
        reader
            .poll(64, |event| {
                if event.is_last_event() {
                    println!("ack {}", event.header().sequence);
                }
            })
            .unwrap();
    }
    panic!("{:?}", running.fault());
}

/// Every command in the journal, in order, with its number in the body.
fn check(folder: &Path) -> u64 {
    let mut last = 0;
    let pipeline = Pipeline::open(
        folder,
        settings(folder),
        Tally::default(),
        &mut |event| {
            let sequence = event.header().sequence;
            assert!(sequence == last || sequence == last + 1);
            assert_eq!(&event.body()[8..], sequence.to_le_bytes(), "the command that was sent");
            last = sequence;
        },
        &mut |_| (),
    )
    .unwrap();
    assert_eq!(pipeline.recovered().last_sequence, last);
    last
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    survives_kills(&folder.path().join("disk"));
}

#[test]
fn what_was_acknowledged_with_os_durability_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    survives_kills(&folder.path().join("os"));
}

fn survives_kills(folder: &Path) {
    let mut last = 0;
    for (cycle, acknowledgements) in [40, 1, 500, 7, 200].into_iter().enumerate() {
        let mut child = support::spawn_child("child_pipeline", folder);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = 0;
        let mut acks = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("ack ")?.parse().ok());
        for sequence in acks.by_ref().take(acknowledgements) {
            let sequence: u64 = sequence;
            assert!(sequence > last, "sequences go on after a restart");
            acknowledged = sequence;
        }
        child.kill().unwrap();
        // What was in the pipe when the process died has been acknowledged too.
        acknowledged = acks.last().unwrap_or(acknowledged);
        child.wait().unwrap();
        assert!(acknowledged > 0, "cycle {cycle}: the child acknowledged something");
        last = check(folder);
        assert!(last >= acknowledged, "cycle {cycle}: {acknowledged} was acknowledged, {last} is there");
    }
}
