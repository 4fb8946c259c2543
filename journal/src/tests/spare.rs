//! The next segment is made by another thread; a full disk is a state, not an end.

use super::*;
use crate::simulated::{Fault, Random};
use crate::{Storage, StorageFile};
use std::io;
use std::sync::Mutex;
use std::thread;

/// What was asked of the disk, and by which thread.
type Log = Arc<Mutex<Vec<(&'static str, Option<String>)>>>;

/// A disk that notes who asks for what.
struct Noting {
    disk: SimulatedStorage,
    log: Log,
}

struct NotingFile {
    file: Box<dyn StorageFile>,
    log: Log,
}

fn note(log: &Log, what: &'static str) {
    log.lock().unwrap().push((what, thread::current().name().map(str::to_owned)));
}

impl StorageFile for NotingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let zeros = bytes.iter().all(|byte| *byte == 0);
        note(&self.log, if zeros { "zeros" } else { "write" });
        self.file.write_at(bytes, offset)
    }

    fn begin_write_back(&self, offset: u64, length: u64) -> io::Result<()> {
        note(&self.log, "begin");
        self.file.begin_write_back(offset, length)
    }

    fn sync(&self) -> io::Result<()> {
        note(&self.log, "sync");
        self.file.sync()
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.truncate(length)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        note(&self.log, "allocate");
        self.file.allocate(length)
    }
}

impl Noting {
    fn wrap(&self, file: io::Result<Box<dyn StorageFile>>) -> io::Result<Box<dyn StorageFile>> {
        Ok(Box::new(NotingFile { file: file?, log: Arc::clone(&self.log) }))
    }
}

impl Storage for Noting {
    fn open(&self, path: &Path, writable: bool) -> io::Result<Box<dyn StorageFile>> {
        self.wrap(self.disk.open(path, writable))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        note(&self.log, "create");
        self.wrap(self.disk.create(path))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        note(&self.log, "rename");
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        self.disk.create_folder(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        note(&self.log, "sync folder");
        self.disk.sync_folder(folder)
    }

    fn free_space(&self, folder: &Path) -> io::Result<u64> {
        self.disk.free_space(folder)
    }

    fn now_ns(&self) -> u64 {
        self.disk.now_ns()
    }
}

fn threaded() -> StreamOptions {
    StreamOptions { prepare_on_thread: true, ..small() }
}

#[test]
fn in_steady_state_an_append_only_writes_and_a_sync_only_syncs() {
    let log = Log::default();
    let disk = SimulatedStorage::new();
    let storage = Arc::new(Noting { disk: disk.clone(), log: Arc::clone(&log) });
    let (mut writer, _) =
        StreamWriter::open(Path::new(FOLDER), &commands_identity(), &threaded(), storage).unwrap();
    let me = thread::current().name().map(str::to_owned);
    let mut segments = 0;
    while writer.last_sequence() < 3000 {
        let first = writer.last_sequence() + 1;
        // As the journal's agent does; here it also gives the helper the time that a real load does.
        writer.spares.settle().unwrap();
        assert!(writer.has_room(8 << 10).unwrap());
        log.lock().unwrap().clear();
        writer.write_batch(&batch(first..=first + 20), 0).unwrap();
        writer.sync().unwrap();
        let noted = log.lock().unwrap().clone();
        let mine: Vec<&str> = noted.iter().filter(|(_, who)| *who == me).map(|(what, _)| *what).collect();
        if mine.contains(&"rename") {
            // The new segment's header is synced; nothing is created, allocated or zeroed, and the full one is safe.
            assert_eq!(mine, ["write", "sync", "rename", "sync folder", "write", "sync"]);
            segments += 1;
        } else if segments > 0 {
            assert_eq!(mine, ["write", "sync"], "sequence {first}");
        }
    }
    assert!(segments > 2);
    drop(writer);
    assert_eq!(read_all(&disk).unwrap(), 3003);
}

/// Zeros used to be synced piece by piece: each sync committed the file system's journal, and a command's sync that came
/// meanwhile waited for that as well.
#[test]
fn the_zeros_of_a_spare_are_given_to_the_disk_in_pieces_and_synced_once() {
    let log = Log::default();
    let storage = Arc::new(Noting { disk: SimulatedStorage::new(), log: Arc::clone(&log) });
    let options = StreamOptions { segment_bytes: 256 << 10, ..threaded() };
    let (mut writer, _) =
        StreamWriter::open(Path::new(FOLDER), &commands_identity(), &options, storage).unwrap();
    // A writer that waits for its spare gets it as it is; this one lets the helper finish.
    while !writer.spares.is_ready() {
        writer.spares.tend().unwrap();
        thread::yield_now();
    }
    drop(writer);
    let log = log.lock().unwrap();
    let helper = log.iter().filter(|(_, who)| who.as_deref() == Some("journal-ahead"));
    let pieces = helper.map(|(what, _)| *what).filter(|what| ["zeros", "begin", "sync"].contains(what));
    assert_eq!(
        pieces.collect::<Vec<_>>(),
        ["zeros", "begin", "zeros", "begin", "zeros", "begin", "zeros", "begin", "sync"]
    );
}

#[test]
fn the_disk_is_told_once_of_what_was_written() {
    let log = Log::default();
    let storage = Arc::new(Noting { disk: SimulatedStorage::new(), log: Arc::clone(&log) });
    let (mut writer, _) =
        StreamWriter::open(Path::new(FOLDER), &commands_identity(), &small(), storage).unwrap();
    let told = |writer: &mut StreamWriter| {
        log.lock().unwrap().clear();
        writer.begin_write_back().unwrap();
        log.lock().unwrap().iter().filter(|(what, _)| *what == "begin").count()
    };
    assert_eq!(told(&mut writer), 0, "nothing is written");
    writer.append(&batch(1..=5), 0).unwrap();
    assert_eq!(told(&mut writer), 0, "only gathered");
    writer.flush().unwrap();
    assert_eq!((told(&mut writer), told(&mut writer)), (1, 0));
    // A writer that gave every small frame to the disk kept the page that they share busy, and the sync waited for 5 ms and more.
    writer.write_batch(&batch(6..=9), 0).unwrap();
    assert_eq!(told(&mut writer), 0, "no sync has begun since");
    writer.sync().unwrap();
    writer.write_batch(&batch(10..=12), 0).unwrap();
    assert_eq!(told(&mut writer), 1);
    writer.sync().unwrap();
    let large = StreamOptions { segment_bytes: 1 << 20, ..small() };
    let storage = Arc::new(Noting { disk: SimulatedStorage::new(), log: Arc::clone(&log) });
    let (mut other, _) =
        StreamWriter::open(Path::new(FOLDER), &commands_identity(), &large, storage).unwrap();
    for (records, expected) in [(20, 1), (4000, 0), (20, 1)] {
        let next = other.last_sequence() + 1;
        other.write_batch(&batch(next..=next + records), 0).unwrap();
        assert_eq!(told(&mut other), expected, "{records} records");
        other.sync().unwrap();
    }
    // Into the next segment: what is left of this one is the next sync's.
    let first = writer.segment.header.first_sequence;
    while writer.segment.header.first_sequence == first {
        let next = writer.last_sequence() + 1;
        writer.write_batch(&batch(next..=next + 9), 0).unwrap();
    }
    assert_eq!((told(&mut writer), told(&mut writer)), (1, 0));
    let full = writer.segment.header.first_sequence - 1;
    assert_eq!(writer.durable_sequence(), full, "the full segment was synced; this made nothing safe");
}

#[test]
fn a_full_disk_holds_back_until_there_is_room_again() {
    for options in [small(), threaded()] {
        let storage = SimulatedStorage::new();
        let (mut writer, _) = open_commands(&storage, &options).unwrap();
        let space = writer.space();
        // The third segment can be made, not the fourth.
        storage.set_capacity(3 * (64 << 10));
        let mut short_at = 0;
        loop {
            let first = writer.last_sequence() + 1;
            let records = batch(first..=first + 20);
            writer.spares.settle().unwrap();
            if !writer.has_room(records.len()).unwrap() {
                break;
            }
            writer.write_batch(&records, 0).unwrap();
            if space.is_short() && short_at == 0 {
                short_at = writer.offset;
            }
        }
        assert!((32 << 10..48 << 10).contains(&short_at), "told at half of the segment: {short_at}");
        assert!(space.is_short() && writer.offset > 56 << 10, "the segment is used: {}", writer.offset);
        let last = writer.last_sequence();
        assert_eq!(writer.sync().unwrap(), last, "what is in is safe");
        storage.set_capacity(4 * (64 << 10));
        let records = batch(last + 1..=last + 20);
        assert!(writer.has_room(records.len()).unwrap());
        assert!(!space.is_short());
        writer.write_batch(&records, last).unwrap();
        drop(writer);
        assert_eq!(read_all(&storage).unwrap(), last + 20);
    }
}

#[test]
fn a_disk_that_fails_the_helper_stops_the_writer() {
    for after in 0..30 {
        let storage = SimulatedStorage::new();
        let (mut writer, _) = open_commands(&storage, &threaded()).unwrap();
        storage.fail_after(after, Fault::SyncError);
        let mut synced = 0;
        let error = loop {
            let first = writer.last_sequence() + 1;
            let done =
                writer.has_room(4 << 10).and_then(|_| writer.write_batch(&batch(first..=first + 9), synced));
            match done.and_then(|()| writer.sync()) {
                Ok(durable) => synced = durable,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, JournalError::Io { .. }), "{error}");
        assert!(matches!(writer.has_room(0), Err(JournalError::Stopped { .. })));
        drop(writer);
        storage.power_loss(&mut Random(after));
        assert!(read_all(&storage).unwrap() >= synced);
    }
}
