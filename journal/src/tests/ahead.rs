//! Reading ahead on a thread gives what reading gives, and events are compared byte for byte.

use super::*;
use crate::ahead::ReadAhead;
use crate::compare::{Compare, Compared};

fn reader(storage: &SimulatedStorage) -> StreamReader {
    StreamReader::open_with(Path::new(FOLDER), Arc::new(storage.clone())).unwrap()
}

fn commands(last: u64) -> SimulatedStorage {
    let storage = SimulatedStorage::new();
    let (mut writer, _) = open_commands(&storage, &small()).unwrap();
    for first in (1..=last).step_by(30) {
        writer.write_batch(&batch(first..=last.min(first + 29)), 0).unwrap();
    }
    writer.sync().unwrap();
    storage
}

#[test]
fn every_record_comes_once_and_in_order() {
    // More than all pieces that are read ahead hold together.
    let storage = commands(60_000);
    let mut ahead = ReadAhead::new(reader(&storage));
    for sequence in 1..=60_000 {
        assert!(is_same(ahead.next().unwrap().expect("not the end"), &command(sequence)), "{sequence}");
    }
    assert!(ahead.next().unwrap().is_none() && ahead.next().unwrap().is_none());
    let mut half = ReadAhead::new(reader(&storage));
    assert!(half.next().unwrap().is_some());
    drop(half);
}

#[test]
fn damage_is_met_where_it_is() {
    let storage = commands(3_000);
    let firsts = crate::frame::list_segments(&storage, Path::new(FOLDER)).unwrap();
    let path = crate::format::segment_path(Path::new(FOLDER), firsts[1]);
    storage.flip(&path, 20_000, 1);
    let mut ahead = ReadAhead::new(reader(&storage));
    let mut last = 0;
    let error = loop {
        match ahead.next() {
            Ok(Some(record)) => last = record.header().sequence,
            Ok(None) => panic!("ended at {last}"),
            Err(error) => break error,
        }
    };
    let place = error.place().expect("a place");
    assert_eq!((place.file, place.sequence), (path.as_path(), last + 1));
    assert!(place.offset <= 20_000 && last >= firsts[1]);
}

/// An events stream of `last` commands, and those same events as a machine computes them.
fn events(last: u64) -> (SimulatedStorage, Vec<u8>) {
    let storage = SimulatedStorage::new();
    let (mut writer, _) =
        StreamWriter::open(Path::new(FOLDER), &events_identity(), &small(), Arc::new(storage.clone()))
            .unwrap();
    let of = |sequence: u64| (0..=sequence % 4).map(move |index| (sequence, index));
    let computed: Vec<u8> = (1..=last)
        .flat_map(of)
        .flat_map(|(sequence, index)| record(sequence, 40_000, u8::from(index == sequence % 4), 8))
        .collect();
    for piece in computed.chunks(40 * 100) {
        writer.write_batch(piece, 0).unwrap();
    }
    writer.sync().unwrap();
    (storage, computed)
}

fn compared(storage: &SimulatedStorage, computed: &[u8], batch: usize) -> (Compared, u64) {
    let mut compare = Compare::new(ReadAhead::new(reader(storage)));
    for piece in computed.chunks(batch) {
        match compare.batch(piece).unwrap() {
            Compared::Equal => {}
            other => return (other, compare.equal),
        }
    }
    (Compared::Equal, compare.equal)
}

#[test]
fn the_first_difference_is_named_with_its_place() {
    let (storage, computed) = events(2_000);
    // Batches are whole commands; four commands have ten events.
    let batch = 400 * 25;
    assert!(matches!(compared(&storage, &computed, batch), (Compared::Equal, 5_000)));
    for at in [24, 39, 40 * 777 + 33, computed.len() - 1] {
        let mut other = computed.clone();
        other[at] ^= 1;
        let (Compared::Different(difference), equal) = compared(&storage, &other, batch) else {
            panic!("byte {at} is not compared")
        };
        assert_eq!(equal, at as u64 / 40, "byte {at}");
        let first = at / 40 * 40;
        let sequence = u64::from_le_bytes(computed[first + 8..first + 16].try_into().unwrap());
        let before = computed[..first].chunks(40);
        let same = |event: &&[u8]| event[8..16] == sequence.to_le_bytes();
        assert_eq!((difference.sequence, difference.event_index), (sequence, before.filter(same).count()));
        assert_eq!(difference.computed, other[first..first + 40]);
        assert_eq!(
            (&difference.stored[..4], &difference.stored[8..]),
            (&computed[first..first + 4], &computed[first + 8..first + 40])
        );
    }
}

#[test]
fn events_that_are_too_few_or_too_many_are_told_apart() {
    let (storage, computed) = events(2_000);
    let mut more = computed.clone();
    more.extend(record(2_001, 40_000, 1, 8));
    assert!(matches!(compared(&storage, &more, usize::MAX), (Compared::EndsBefore(2_001), 5_000)));
    // The machine now gives one event fewer for command 7, which had four.
    let first =
        (0..computed.len()).step_by(40).find(|at| computed[at + 8] == 7 && computed[at + 9] == 0).unwrap();
    let mut fewer = computed.clone();
    fewer.drain(first + 120..first + 160);
    let (Compared::Different(difference), _) = compared(&storage, &fewer, usize::MAX) else {
        panic!("equal")
    };
    assert_eq!((difference.sequence, difference.event_index), (7, 3));
    assert!(difference.computed.is_empty() && !difference.stored.is_empty());
    let mut extra = computed;
    extra.splice(first + 160..first + 160, record(7, 40_000, 1, 8));
    let (Compared::Different(difference), _) = compared(&storage, &extra, usize::MAX) else {
        panic!("equal")
    };
    assert_eq!((difference.sequence, difference.event_index), (7, 4));
    assert!(difference.stored.is_empty() && !difference.computed.is_empty());
}
