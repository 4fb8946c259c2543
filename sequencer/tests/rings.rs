//! The rings on mapped memory: across threads, across processes, lapped, and scribbled over.

mod support;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;

use machine::{HEADER_LENGTH, Record, RecordHeader};
use sequencer::ring::broadcast::{FreeReadError, FreeReader, Writer};
use sequencer::ring::{Place, PushError, RingError, spsc};

/// Bytes before the data.
const HEADER_BYTES: u64 = 4096;

fn header(index: u64) -> RecordHeader {
    RecordHeader { sequence: index, timestamp_ns: !index, kind: 7, ..RecordHeader::default() }
}

/// A body whose length and bytes depend on the index.
fn body(index: u64, buffer: &mut [u8; 200]) -> &[u8] {
    let length = (index.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as usize % buffer.len();
    buffer[..length].fill(index as u8);
    &buffer[..length]
}

#[track_caller]
fn check(record: Record<'_>, index: u64) {
    assert_eq!(record.header().sequence, index);
    assert_eq!(record.header().timestamp_ns, !index);
    assert_eq!(record.body(), body(index, &mut [0; 200]));
    assert_eq!(record.header().length as usize, HEADER_LENGTH + record.body().len());
}

fn places(folder: &Path) -> [Place; 2] {
    [Place::Anonymous, Place::File(folder.join("test.ring"))]
}

#[test]
fn spsc_moves_everything_in_order_between_threads() {
    const COUNT: u64 = 300_000;
    let folder = tempfile::tempdir().unwrap();
    for place in places(folder.path()) {
        let (mut producer, mut consumer) = spsc::create(&place, 4096).unwrap();
        let writing = thread::spawn(move || {
            for index in 1..=COUNT {
                while let Err(error) = producer.try_push(&header(index), body(index, &mut [0; 200])) {
                    assert!(matches!(error, PushError::Full), "{error}");
                    thread::yield_now();
                }
            }
        });
        let mut next = 1;
        while next <= COUNT {
            let polled = consumer.poll(64, |record| {
                check(record, next);
                next += 1;
            });
            if polled.unwrap() == 0 {
                thread::yield_now();
            }
        }
        writing.join().unwrap();
        assert!(consumer.is_empty());
    }
}

#[test]
fn spsc_is_full_before_it_overwrites_and_refuses_what_never_fits() {
    let (mut producer, mut consumer) = spsc::create(&Place::Anonymous, 256).unwrap();
    for index in 1..=8 {
        producer.try_push(&header(index), &[]).unwrap();
    }
    assert!(matches!(producer.try_push(&header(9), &[]), Err(PushError::Full)));
    assert!(matches!(
        producer.try_push(&header(9), &[0; 97]),
        Err(PushError::TooLong { length: 129, max: 128 })
    ));
    let mut seen = Vec::new();
    assert_eq!(consumer.poll(3, |record| seen.push(record.header().sequence)).unwrap(), 3);
    producer.try_push(&header(9), &[]).unwrap();
    consumer.poll(100, |record| seen.push(record.header().sequence)).unwrap();
    assert_eq!(seen, (1..=9).collect::<Vec<_>>());
}

#[test]
fn spsc_refuses_bad_capacities() {
    for capacity in [0, 1, 32, 63, 100, 4095, 4097] {
        let error = spsc::create(&Place::Anonymous, capacity).err().expect("refused");
        assert!(matches!(error, RingError::BadCapacity(found) if found == capacity));
    }
}

#[test]
fn a_record_that_is_refused_stays() {
    let (mut producer, mut consumer) = spsc::create(&Place::Anonymous, 1024).unwrap();
    for index in 1..=3 {
        producer.try_push(&header(index), &[]).unwrap();
    }
    assert_eq!(consumer.poll_while(10, |record| record.header().sequence < 2).unwrap(), 1);
    let mut seen = Vec::new();
    consumer.poll(10, |record| seen.push(record.header().sequence)).unwrap();
    assert_eq!(seen, [2, 3]);
}

/// The other process: pushes two records, begins a third, says so, and waits to be killed.
#[test]
fn child_producer() {
    let Some(path) = support::child_argument() else { return };
    let mut producer = spsc::Producer::attach(&path).unwrap();
    producer.try_push(&header(1), body(1, &mut [0; 200])).unwrap();
    producer.try_push(&header(2), body(2, &mut [0; 200])).unwrap();
    let mut claim = producer.try_claim(100).unwrap();
    claim.write(&header(3), &[0xEE; 100]);
    println!("\nclaimed");
    loop {
        thread::park();
    }
}

#[test]
fn a_killed_producer_leaves_only_whole_records_and_its_successor_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ingress.ring");
    let mut consumer = spsc::create_consumer(&Place::File(path.clone()), 4096).unwrap();
    assert!(!consumer.producer_alive());
    let mut child = support::spawn_child("child_producer", &path);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "claimed"));
    assert!(consumer.producer_alive());
    let refused = spsc::Producer::attach(&path).err().expect("its producer lives");
    assert!(matches!(refused, RingError::ProducerAlive { pid } if pid == u64::from(child.id())));

    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!consumer.producer_alive());
    assert_eq!(consumer.producer_epoch(), 1);
    let mut producer = spsc::Producer::attach(&path).unwrap();
    assert_eq!(producer.epoch(), 2);
    assert!(consumer.producer_alive());
    producer.try_push(&header(3), body(3, &mut [0; 200])).unwrap();
    let mut next = 1;
    consumer
        .poll(10, |record| {
            check(record, next);
            next += 1;
        })
        .unwrap();
    assert_eq!(next, 4, "two whole records of the dead producer, one of the new one, nothing half-written");
    drop(producer);
    assert!(!consumer.producer_alive(), "a producer that detaches is gone");
}

#[test]
fn a_new_consumer_goes_on_where_the_last_one_released() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ingress.ring");
    let (mut producer, mut consumer) = spsc::create(&Place::File(path.clone()), 4096).unwrap();
    for index in 1..=5 {
        producer.try_push(&header(index), body(index, &mut [0; 200])).unwrap();
    }
    consumer.poll(2, |_| ()).unwrap();
    drop(consumer);
    let mut next = 3;
    spsc::Consumer::attach(&path)
        .unwrap()
        .poll(10, |record| {
            check(record, next);
            next += 1;
        })
        .unwrap();
    assert_eq!(next, 6);
}

/// Every word of the file is overwritten in turn by values that hurt; nothing may panic or be read out of bounds.
#[test]
fn scribbled_rings_give_errors_and_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ingress.ring");
    let place = Place::File(path.clone());
    let values = [0, 1, 31, 33, 8, 4096, u64::MAX, 1 << 31, (1 << 31) | 64, u64::from(u32::MAX), 1 << 63];
    let (mut errors, mut refused) = (0, 0);
    for word in (0..50u64).chain(512..560) {
        for value in values {
            let (mut producer, mut consumer) = spsc::create(&place, 1024).unwrap();
            for index in 1..=3 {
                producer.try_push(&header(index), &[1; 20]).unwrap();
            }
            let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.write_all_at(&value.to_le_bytes(), word * 8).unwrap();
            errors += usize::from(consumer.poll(100, |record| assert!(record.body().len() <= 512)).is_err());
            for index in 4..40 {
                if producer.try_push(&header(index), &[1; 20]).is_err() {
                    break;
                }
            }
            drop(producer);
            refused += usize::from(spsc::Consumer::attach(&path).is_err());
            refused += usize::from(spsc::Producer::attach(&path).is_err());
        }
    }
    assert!(errors > 20, "damage is seen by the consumer: {errors}");
    assert!(refused > 50, "damaged headers are refused: {refused}");
}

#[test]
fn files_that_are_no_rings_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other");
    assert!(matches!(spsc::Producer::attach(&path), Err(RingError::Io { .. })));
    for length in [0, 100, HEADER_BYTES, 2 * HEADER_BYTES] {
        std::fs::write(&path, vec![0x55; length as usize]).unwrap();
        assert!(spsc::Producer::attach(&path).is_err(), "{length} bytes");
    }
    let writer = Writer::create(&Place::File(path.clone()), 4096).unwrap();
    let error = spsc::Producer::attach(&path).err().expect("another kind of ring").to_string();
    assert!(error.contains("magic"), "{error}");
    drop(writer);
}

#[test]
fn gated_readers_lose_nothing_and_hold_the_writer_back() {
    const COUNT: u64 = 200_000;
    let mut writer = Writer::create(&Place::Anonymous, 8192).unwrap();
    let readers: Vec<_> = (0..3).map(|_| writer.gated_reader().unwrap()).collect();
    let reading: Vec<_> = readers
        .into_iter()
        .map(|mut reader| {
            thread::spawn(move || {
                let mut next = 1;
                while next <= COUNT {
                    let polled = reader.poll(16, |record| {
                        check(record, next);
                        next += 1;
                    });
                    if polled.unwrap() == 0 {
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    for index in 1..=COUNT {
        while let Err(error) = writer.try_push(&header(index), body(index, &mut [0; 200])) {
            assert!(matches!(error, PushError::Full), "{error}");
            writer.publish();
            thread::yield_now();
        }
        if index % 3 == 0 {
            writer.publish();
        }
    }
    writer.publish();
    reading.into_iter().for_each(|reader| reader.join().unwrap());
    assert!(writer.watch().is_drained());
}

#[test]
fn a_gated_reader_that_is_dropped_frees_the_writer_and_its_place() {
    let mut writer = Writer::create(&Place::Anonymous, 256).unwrap();
    let reader = writer.gated_reader().unwrap();
    while writer.try_push(&header(1), &[]).is_ok() {}
    writer.publish();
    assert!(matches!(writer.try_push(&header(1), &[]), Err(PushError::Full)));
    drop(reader);
    writer.try_push(&header(1), &[]).unwrap();
    let readers: Vec<_> = (0..16).map(|_| writer.gated_reader().unwrap()).collect();
    assert!(matches!(writer.gated_reader(), Err(RingError::TooManyReaders)));
    drop(readers);
    assert!(writer.gated_reader().is_ok());
}

#[test]
fn a_batch_goes_in_whole_or_not_at_all() {
    let mut writer = Writer::create(&Place::Anonymous, 256).unwrap();
    let mut reader = writer.gated_reader().unwrap();
    let mut batch = machine::EventBuffer::with_capacity(160);
    batch.begin(&machine::Context { sequence: 1, ..Default::default() });
    (0..5).for_each(|_| batch.push_bytes(9, 1, &[]));
    writer.push_all(batch.bytes()).unwrap();
    writer.publish();
    assert!(matches!(writer.push_all(batch.bytes()), Err(PushError::Full)));
    writer.publish();
    assert_eq!(reader.poll(100, |_| ()).unwrap(), 5, "nothing of the refused batch is seen");
    writer.push_all(batch.bytes()).unwrap();
    writer.publish();
    assert_eq!(reader.poll(100, |_| ()).unwrap(), 5);
}

#[test]
fn peeking_gives_whole_records_back_to_back_across_the_end_of_the_ring() {
    let mut writer = Writer::create(&Place::Anonymous, 1024).unwrap();
    let mut reader = writer.gated_reader().unwrap();
    let (mut pushed, mut next) = (0, 1);
    while next <= 500 {
        while writer.try_push(&header(pushed + 1), body(pushed + 1, &mut [0; 200])).is_ok() {
            pushed += 1;
        }
        writer.publish();
        let bytes = reader.peek_while(300, |header| header.sequence < pushed).unwrap().to_vec();
        assert!(bytes.len() <= 300 || machine::stride(HEADER_LENGTH + 200) >= bytes.len());
        let (mut offset, words) = (0, aligned(&bytes));
        while offset < bytes.len() {
            let record = Record::parse(&as_bytes(&words)[offset..]).unwrap();
            check(record, next);
            next += 1;
            offset += machine::stride(record.header().length as usize);
        }
        assert!(offset > 0 && offset == bytes.len());
        reader.advance(offset);
    }
}

fn aligned(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect()
}

fn as_bytes(words: &[u64]) -> &[u8] {
    zerocopy::IntoBytes::as_bytes(words)
}

#[test]
fn a_free_reader_that_is_lapped_is_told_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.ring");
    let mut writer = Writer::create(&Place::File(path.clone()), 1024).unwrap();
    let mut reader = FreeReader::attach(&path).unwrap();
    for index in 1..=100 {
        writer.try_push(&header(index), &[]).unwrap();
        writer.publish();
    }
    let lapped = reader.poll(10, |_| panic!("all of it has been overwritten")).unwrap_err();
    assert!(matches!(lapped, FreeReadError::Lapped { missed_bytes: 3200 }), "{lapped}");
    writer.try_push(&header(101), &[]).unwrap();
    writer.publish();
    let mut seen = Vec::new();
    reader.poll(10, |record| seen.push(record.header().sequence)).unwrap();
    assert_eq!(seen, [101]);
}

#[test]
fn a_free_reader_under_a_fast_writer_sees_only_whole_records_in_order() {
    const COUNT: u64 = 1_000_000;
    let mut writer = Writer::create(&Place::Anonymous, 4096).unwrap();
    let mut reader = writer.free_reader();
    let writing = thread::spawn(move || {
        let mut buffer = [0; 200];
        for index in 1..=COUNT {
            writer.try_push(&header(index), body(index, &mut buffer)).unwrap();
            writer.publish();
        }
    });
    let (mut last, mut lapped, mut read) = (0, 0u64, 0u64);
    while last < COUNT && !(writing.is_finished() && reader.is_drained()) {
        let result = reader.poll(64, |record| {
            let index = record.header().sequence;
            assert!(index > last, "in order");
            check(record, index);
            last = index;
            read += 1;
        });
        match result {
            Ok(_) => {}
            Err(FreeReadError::Lapped { missed_bytes }) => {
                assert!(missed_bytes > 0);
                lapped += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    writing.join().unwrap();
    println!("read {read} of {COUNT}, lapped {lapped} times");
}
