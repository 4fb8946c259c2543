//! A disk that is full or broken: a clear error, no more records, nothing lost.

use super::*;
use crate::JournalError;
use crate::simulated::{Fault, ReadFault};

/// Writes until something fails; returns the last synced sequence and the error.
fn fill(writer: &mut StreamWriter) -> (u64, JournalError) {
    let mut synced = writer.durable_sequence();
    loop {
        let first = writer.last_sequence() + 1;
        let written = writer.write_batch(&batch(first..=first + 49), synced);
        match written.and_then(|()| writer.sync()) {
            Ok(durable) => synced = durable,
            Err(error) => return (synced, error),
        }
    }
}

fn assert_stopped(writer: &mut StreamWriter) {
    let next = writer.last_sequence() + 1;
    let refused = writer.write_batch(&batch(next..=next), 0);
    assert!(matches!(refused, Err(JournalError::Stopped { .. })), "{refused:?}");
    assert!(
        matches!(writer.sync(), Err(JournalError::Stopped { .. })),
        "a failed sync must not be tried again"
    );
}

#[test]
fn a_full_disk_is_met_before_room_is_needed_and_nothing_is_lost() {
    let storage = SimulatedStorage::new();
    storage.set_capacity(300 << 10);
    let options = StreamOptions { reserve_bytes: 16 << 10, ..small() };
    let (mut writer, _) = open_commands(&storage, &options).unwrap();
    let (synced, error) = fill(&mut writer);
    let JournalError::DiskFull { needed, free, .. } = &error else { panic!("{error}") };
    assert_eq!(*needed, (64 + 16) << 10);
    assert!(free < needed);
    assert!(error.to_string().contains("free some space"), "{error}");
    assert_stopped(&mut writer);
    drop(writer);
    assert_eq!(read_all(&storage).unwrap(), synced);
    // Still full: refused again at the start, by name; with room it goes on.
    assert!(matches!(open_commands(&storage, &options), Err(JournalError::DiskFull { .. })));
    storage.set_capacity(1 << 20);
    let (mut writer, report) = open_commands(&storage, &options).unwrap();
    assert_eq!((report.last_sequence, report.cut), (synced, None));
    writer.write_batch(&batch(synced + 1..=synced + 9), synced).unwrap();
}

#[test]
fn any_error_of_the_disk_stops_the_writer_and_loses_nothing_synced() {
    use Fault::{AllocateError, FolderError, NoSpace, RenameError, SyncError, WriteError};
    for fault in [NoSpace, WriteError, SyncError, RenameError, AllocateError, FolderError] {
        for after in 0..60 {
            let storage = SimulatedStorage::new();
            let (mut writer, _) = open_commands(&storage, &small()).unwrap();
            storage.fail_after(after, fault);
            let (synced, error) = fill(&mut writer);
            match fault {
                Fault::NoSpace => {
                    assert!(matches!(error, JournalError::DiskFull { .. } | JournalError::Io { .. }))
                }
                _ => assert!(matches!(error, JournalError::Io { .. }), "{error}"),
            }
            assert_stopped(&mut writer);
            storage.power_loss(&mut crate::simulated::Random(after));
            let (_, report) = open_commands(&storage, &small()).unwrap();
            assert!(report.last_sequence >= synced, "{fault:?} after {after}");
            assert_eq!(read_all(&storage).unwrap(), report.last_sequence);
        }
    }
}

#[test]
fn a_short_write_is_continued() {
    for after in 0..40 {
        let storage = SimulatedStorage::new();
        let (mut writer, _) = open_commands(&storage, &small()).unwrap();
        storage.fail_after(after, Fault::ShortWrite);
        for first in (1..2000).step_by(50) {
            writer.write_batch(&batch(first..=first + 49), 0).unwrap();
        }
        assert_eq!(read_all(&storage).unwrap(), 2000);
    }
}

#[test]
fn a_batch_that_breaks_the_rules_is_refused_and_stops_the_writer() {
    let mut wrong_length = command(1);
    wrong_length[0] = 31;
    let mut cut_off = command(1);
    cut_off.truncate(cut_off.len() - 8);
    let cases: [(&str, Vec<u8>, u64); 5] = [
        ("gap", command(2), 0),
        ("repeat", [command(1), command(1)].concat(), 0),
        ("length", wrong_length, 0),
        ("cut off", cut_off, 0),
        ("claims too much", command(1), 1),
    ];
    for (name, records, durable) in cases {
        let storage = SimulatedStorage::new();
        let (mut writer, _) = open_commands(&storage, &small()).unwrap();
        let refused = writer.write_batch(&records, durable);
        assert!(matches!(refused, Err(JournalError::InvalidBatch { .. })), "{name}: {refused:?}");
        assert_stopped(&mut writer);
        assert_eq!(read_all(&storage).unwrap(), 0, "{name}");
    }
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let cases = [
        ("segment_bytes", StreamOptions { segment_bytes: 100_000, ..small() }),
        ("segment_bytes", StreamOptions { segment_bytes: 4096, ..small() }),
        ("frame_alignment", StreamOptions { frame_alignment: 64, ..small() }),
        ("max_frame_bytes", StreamOptions { max_frame_bytes: 64 << 10, ..small() }),
        ("max_frame_bytes", StreamOptions { max_frame_bytes: 0, ..small() }),
        ("zero_ahead_bytes", StreamOptions { zero_ahead_bytes: 1, ..small() }),
    ];
    for (name, options) in cases {
        let error = options.validate().unwrap_err();
        assert!(matches!(error, JournalError::InvalidOption { option, .. } if option == name), "{error}");
    }
    StreamOptions::default().validate().unwrap();
    StreamOptions::for_events().validate().unwrap();
}

/// Several segments and a few records behind the last sync.
fn some_journal() -> (SimulatedStorage, u64) {
    let storage = SimulatedStorage::new();
    let (mut writer, _) = open_commands(&storage, &small()).unwrap();
    for first in (1..2000).step_by(50) {
        writer.write_batch(&batch(first..=first + 49), writer.durable_sequence()).unwrap();
        writer.sync().unwrap();
    }
    (storage, 2000)
}

#[test]
fn a_short_read_is_continued_wherever_it_happens() {
    let (storage, last) = some_journal();
    for after in 0.. {
        storage.fail_read_after(after, ReadFault::Short);
        assert_eq!(read_all(&storage).unwrap(), last, "after {after}");
        let (_, report) = open_commands(&storage, &small()).unwrap();
        assert_eq!((report.last_sequence, report.cut), (last, None), "after {after}");
        if storage.read_fault_is_pending() {
            assert!(after > 20, "{after}");
            return;
        }
    }
}

/// An error of the disk is not an end of the data: nothing may be cut because of it.
#[test]
fn a_read_error_is_reported_and_cuts_nothing() {
    let (storage, last) = some_journal();
    for after in 0.. {
        storage.fail_read_after(after, ReadFault::Error);
        let opened = open_commands(&storage, &small());
        if storage.read_fault_is_pending() {
            assert!(after > 5 && opened.is_ok(), "{after}");
            return;
        }
        let error = opened.err().expect("the error is not passed over");
        assert!(matches!(error, JournalError::Io { .. }), "after {after}: {error}");
        assert_eq!(read_all(&storage).unwrap(), last, "after {after}");
    }
}

#[test]
fn a_reader_reports_a_read_error_and_goes_on_when_it_is_asked_again() {
    let (storage, last) = some_journal();
    let mut errors = 0;
    let mut reader = StreamReader::open_with(Path::new(FOLDER), Arc::new(storage.clone())).unwrap();
    for expected in 1..=last {
        if expected.is_multiple_of(100) {
            storage.fail_read_after(0, ReadFault::Error);
        }
        let record = match reader.next() {
            Ok(record) => record.unwrap().header().sequence,
            Err(error) => {
                assert!(matches!(error, JournalError::Io { .. }), "{error}");
                errors += 1;
                reader.next().unwrap().unwrap().header().sequence
            }
        };
        assert_eq!(record, expected);
    }
    assert!(errors > 0);
}
