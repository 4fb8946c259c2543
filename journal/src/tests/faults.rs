//! A disk that is full or broken: a clear error, no more records, nothing lost.

use super::*;
use crate::JournalError;
use crate::simulated::Fault;

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
    for fault in [Fault::NoSpace, Fault::WriteError, Fault::SyncError] {
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
