//! Every interleaving and every allowed reordering of the rings, on small rings, by loom:
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p sequencer --release --lib loom`

use loom::thread;
use machine::{Record, RecordHeader};

use super::broadcast::{FreeReadError, Writer};
use super::{Place, PushError, spsc};

/// Explores all executions with at most `preemptions` forced switches between threads.
fn model(preemptions: usize, test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.check(test);
}

/// A record whose every word depends on `index`, so that a mix of two is noticed. Lengths differ, so that the ring
/// wraps with padding.
fn header(index: u64) -> RecordHeader {
    RecordHeader { sequence: index, timestamp_ns: !index, kind: index as u16, ..RecordHeader::default() }
}

fn body(index: u64) -> Vec<u8> {
    vec![index as u8; if index % 2 == 0 { 16 } else { 0 }]
}

fn check(record: Record<'_>, index: u64) {
    let found = record.header();
    assert_eq!((found.sequence, found.timestamp_ns, found.kind), (index, !index, index as u16));
    assert_eq!(record.body(), body(index), "body of record {index}");
}

#[test]
fn loom_spsc_gives_all_records_whole_and_in_order() {
    model(3, || {
        const COUNT: u64 = 4;
        let (mut producer, mut consumer) = spsc::create(&Place::Anonymous, 128).unwrap();
        let writer = thread::spawn(move || {
            for index in 1..=COUNT {
                while let Err(error) = producer.try_push(&header(index), &body(index)) {
                    assert!(matches!(error, PushError::Full), "{error}");
                    thread::yield_now();
                }
            }
        });
        let mut next = 1;
        while next <= COUNT {
            let taken = consumer.poll(2, |record| {
                check(record, next);
                next += 1;
            });
            if taken.unwrap() == 0 {
                thread::yield_now();
            }
        }
        writer.join().unwrap();
        assert!(consumer.is_empty());
    });
}

#[test]
fn loom_spsc_shows_nothing_of_a_dropped_claim() {
    model(3, || {
        let (mut producer, mut consumer) = spsc::create(&Place::Anonymous, 128).unwrap();
        let writer = thread::spawn(move || {
            let mut claim = producer.try_claim(16).unwrap();
            claim.write(&header(2), &body(2));
            drop(claim);
            producer.try_push(&header(1), &body(1)).unwrap();
        });
        let mut seen = 0;
        while seen == 0 {
            seen = consumer.poll(8, |record| check(record, 1)).unwrap();
            if seen == 0 {
                thread::yield_now();
            }
        }
        writer.join().unwrap();
        assert_eq!(consumer.poll(8, |_| ()).unwrap(), 0);
    });
}

/// The second reader lives on the writer's thread: with three threads that wait for each other the executions
/// have no bound.
#[test]
fn loom_broadcast_gated_readers_lose_nothing() {
    model(3, || {
        const COUNT: u64 = 4;
        let mut writer = Writer::create(&Place::Anonymous, 128).unwrap();
        let mut here = writer.gated_reader().unwrap();
        let mut there = writer.gated_reader().unwrap();
        let writing = thread::spawn(move || {
            let mut next = 1;
            for index in 1..=COUNT {
                while let Err(error) = writer.try_push(&header(index), &body(index)) {
                    assert!(matches!(error, PushError::Full), "{error}");
                    there
                        .poll(1, |record| {
                            check(record, next);
                            next += 1;
                        })
                        .unwrap();
                    thread::yield_now();
                }
                writer.publish();
            }
        });
        let mut next = 1;
        while next <= COUNT {
            let taken = here.poll(2, |record| {
                check(record, next);
                next += 1;
            });
            if taken.unwrap() == 0 {
                thread::yield_now();
            }
        }
        writing.join().unwrap();
    });
}

#[test]
fn loom_broadcast_a_free_reader_never_sees_a_mixed_record() {
    model(2, || {
        const COUNT: u64 = 4;
        let mut writer = Writer::create(&Place::Anonymous, 64).unwrap();
        let mut reader = writer.free_reader();
        let writing = thread::spawn(move || {
            for index in 1..=COUNT {
                writer.try_push(&header(index), &[]).unwrap();
                writer.publish();
            }
        });
        let mut last = 0;
        for _ in 0..3 {
            let result = reader.poll(1, |record| {
                let index = record.header().sequence;
                assert!(index > last, "records come in order");
                let found = record.header();
                assert_eq!(
                    (found.timestamp_ns, found.kind),
                    (!index, index as u16),
                    "record {index} is whole"
                );
                last = index;
            });
            match result {
                Ok(_) => {}
                Err(FreeReadError::Lapped { missed_bytes }) => assert!(missed_bytes >= 32),
                Err(error) => panic!("{error}"),
            }
        }
        writing.join().unwrap();
    });
}
