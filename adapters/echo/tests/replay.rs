//! The service in a real pipeline: rings, sequencer, journal, gate.

use echo::{COMMAND_ECHO, EVENT_ECHOED, Echo, EchoMachine, Echoed, decode, encode};
use journal::{DataFolder, ReplayOptions, Shadow, replay};
use sequencer::{Durability, Pipeline, PipelineConfig, RingPlace};

fn config() -> PipelineConfig {
    PipelineConfig {
        durability: Durability::Os,
        ring_place: RingPlace::Anonymous,
        ..PipelineConfig::default()
    }
}

/// Says `texts` one after the other and returns the answers.
fn conversation(folder: &std::path::Path, texts: &[&str]) -> Vec<Echoed> {
    let mut recovered = 0;
    let machine = EchoMachine::default();
    let mut pipeline =
        Pipeline::open(folder, config(), machine, &mut |_| recovered += 1, &mut |_| {}).expect("it opens");
    let mut ingress = pipeline.ingress(1).expect("a ring");
    let mut events = pipeline.events().expect("a reader");
    assert_eq!(recovered, pipeline.machine().count(), "recovery shows every event");
    let running = pipeline.start().expect("it starts");
    for text in texts {
        let echo = Echo { text: (*text).to_owned() };
        ingress.try_send_bytes(1, COMMAND_ECHO, 1, &encode(&echo)).expect("the ring has room");
    }
    let mut answers = Vec::new();
    while answers.len() < texts.len() {
        assert_eq!(running.fault(), None);
        let taken = events.poll(16, |event| {
            assert_eq!(event.header().kind, EVENT_ECHOED);
            answers.extend(decode::<Echoed>(event.body()));
        });
        if taken.expect("the ring is whole") == 0 {
            std::thread::yield_now();
        }
    }
    running.shutdown().expect("it stops in order");
    answers
}

#[test]
fn what_was_answered_is_there_after_a_restart_and_replays_to_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = conversation(folder.path(), &["one", "two"]);
    assert_eq!(first[1], Echoed { text: "two".to_owned(), count: 2 });
    let second = conversation(folder.path(), &["three"]);
    assert_eq!(second, [Echoed { text: "three".to_owned(), count: 3 }]);

    let mut machine = EchoMachine::default();
    let report =
        replay(folder.path(), &mut machine, &ReplayOptions::default(), &mut |_| {}).expect("it replays");
    assert!(report.is_good());
    assert_eq!((report.commands, report.events_compared, report.marks_checked), (3, 3, 2));
    assert_eq!(machine.count(), 3);
}

#[test]
fn a_start_from_a_snapshot_shows_projections_what_they_lack() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    conversation(folder.path(), &["one", "two", "three"]);
    let data = DataFolder::inspect(folder.path()).expect("a data folder");
    let mut shadow = Shadow::open(&data, &[], &mut EchoMachine::default).expect("a journal");
    shadow.advance(u64::MAX, usize::MAX, &mut |_| {}).expect("it executes");
    assert!(shadow.snapshot().expect("it is written").is_some(), "all events are stored");
    conversation(folder.path(), &["four"]);

    let mut shown = Vec::new();
    let pipeline = Pipeline::open_from_snapshot(
        DataFolder::open(folder.path()).expect("nobody else has it"),
        config(),
        &mut EchoMachine::default,
        1,
        &mut |event| shown.push(event.header().sequence),
        &mut |_| {},
    );
    let pipeline = pipeline.expect("it opens");
    assert_eq!(pipeline.recovered().from_snapshot, Some(3));
    assert_eq!((pipeline.machine().count(), pipeline.recovered().last_sequence), (4, 4));
    assert_eq!(shown, [2, 3, 4]);
}
