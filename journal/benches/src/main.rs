//! The journal beside SQLite (WAL, synchronous FULL), fjall and a plain mapped file: the same records of 64 bytes in the same
//! batches, each batch safe against loss of power before the next begins, one after the other on the same disk.
//!
//! `cargo run --release -- FOLDER [ROUNDS]` in `journal/benches`. Each contender takes its turn in every round, so that what
//! else the machine does falls on all of them.

use journal::{DiskStorage, StreamIdentity, StreamKind, StreamOptions, StreamWriter};
use machine::{HEADER_LENGTH, RecordHeader};
use memmap2::MmapMut;
use std::error::Error;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

const RECORD_BYTES: usize = 64;
/// Records in a batch, and batches in a round.
const SHAPES: [(usize, usize); 4] = [(1, 500), (64, 500), (1024, 300), (4096, 100)];
/// The mapped file: more than a round writes.
const MAP_BYTES: usize = 64 << 20;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What takes batches and makes them safe.
trait Contender {
    fn name(&self) -> &'static str;
    /// Appends whole records and returns when they are on the disk.
    fn commit(&mut self, batch: &[u8], first: u64) -> Outcome<()>;
}

struct Ours(StreamWriter);

impl Ours {
    fn open(folder: &Path) -> Outcome<Self> {
        let identity = StreamIdentity::new(StreamKind::Commands, "measure", &[]);
        let options = StreamOptions::default();
        Ok(Self(StreamWriter::open(folder, &identity, &options, Arc::new(DiskStorage))?.0))
    }
}

impl Contender for Ours {
    fn name(&self) -> &'static str {
        "journal"
    }

    fn commit(&mut self, batch: &[u8], _first: u64) -> Outcome<()> {
        self.0.write_batch(batch, self.0.durable_sequence())?;
        self.0.sync()?;
        Ok(())
    }
}

struct Sqlite(rusqlite::Connection);

impl Sqlite {
    fn open(folder: &Path) -> Outcome<Self> {
        let connection = rusqlite::Connection::open(folder.join("log.sqlite"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute("create table log (sequence integer primary key, record blob not null)", [])?;
        Ok(Self(connection))
    }
}

impl Contender for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite WAL FULL"
    }

    fn commit(&mut self, batch: &[u8], first: u64) -> Outcome<()> {
        let transaction = self.0.transaction()?;
        {
            let mut insert = transaction.prepare_cached("insert into log values (?1, ?2)")?;
            for (index, record) in batch.chunks(RECORD_BYTES).enumerate() {
                insert.execute((first as i64 + index as i64, record))?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

struct Fjall {
    database: fjall::Database,
    log: fjall::Keyspace,
}

impl Fjall {
    fn open(folder: &Path) -> Outcome<Self> {
        let database = fjall::Database::builder(folder.join("fjall")).open()?;
        let log = database.keyspace("log", fjall::KeyspaceCreateOptions::default)?;
        Ok(Self { database, log })
    }
}

impl Contender for Fjall {
    fn name(&self) -> &'static str {
        "fjall SyncData"
    }

    fn commit(&mut self, batch: &[u8], first: u64) -> Outcome<()> {
        let mut writes = self.database.batch().durability(Some(fjall::PersistMode::SyncData));
        for (index, record) in batch.chunks(RECORD_BYTES).enumerate() {
            writes.insert(&self.log, (first + index as u64).to_be_bytes(), record);
        }
        writes.commit()?;
        Ok(())
    }
}

struct Mapped {
    map: MmapMut,
    at: usize,
}

impl Mapped {
    fn open(folder: &Path) -> Outcome<Self> {
        let path = folder.join("mapped");
        std::fs::write(&path, vec![0; MAP_BYTES])?;
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        file.sync_all()?;
        // SAFETY: the file is this process's own and lives in a temporary folder; nobody cuts it.
        let map = unsafe { MmapMut::map_mut(&file)? };
        Ok(Self { map, at: 0 })
    }
}

impl Contender for Mapped {
    fn name(&self) -> &'static str {
        "mmap + msync"
    }

    fn commit(&mut self, batch: &[u8], _first: u64) -> Outcome<()> {
        if self.at + batch.len() > MAP_BYTES {
            self.at = 0;
        }
        self.map[self.at..self.at + batch.len()].copy_from_slice(batch);
        self.map.flush_range(self.at, batch.len())?;
        self.at += batch.len();
        Ok(())
    }
}

/// `count` records of 64 bytes from `first` on.
fn records(first: u64, count: usize) -> Vec<u8> {
    let mut batch = Vec::with_capacity(count * RECORD_BYTES);
    for sequence in first..first + count as u64 {
        let header =
            RecordHeader { length: 64, sequence, kind: 1, schema_version: 1, ..RecordHeader::default() };
        batch.extend_from_slice(header.as_bytes());
        batch.resize(batch.len() + RECORD_BYTES - HEADER_LENGTH, sequence as u8);
    }
    batch
}

fn contenders(folder: &Path) -> Outcome<Vec<Box<dyn Contender>>> {
    Ok(vec![
        Box::new(Ours::open(&folder.join("journal"))?),
        Box::new(Mapped::open(folder)?),
        Box::new(Fjall::open(folder)?),
        Box::new(Sqlite::open(folder)?),
    ])
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let base = PathBuf::from(arguments.next().ok_or("give a folder on the disk to measure")?);
    let rounds: usize = arguments.next().map_or(Ok(3), |text| text.parse())?;
    println!("{:>7} {:<16} {:>11} {:>9} {:>9} {:>9}", "batch", "", "records/s", "p50 us", "p99 us", "max us");
    for (count, batches) in SHAPES {
        let folder = tempfile::tempdir_in(&base)?;
        let mut all = contenders(folder.path())?;
        let mut times: Vec<Vec<Duration>> = vec![Vec::new(); all.len()];
        let mut firsts = vec![1; all.len()];
        for _ in 0..rounds {
            for (index, contender) in all.iter_mut().enumerate() {
                for _ in 0..batches {
                    let batch = records(firsts[index], count);
                    let start = Instant::now();
                    contender.commit(&batch, firsts[index])?;
                    times[index].push(start.elapsed());
                    firsts[index] += count as u64;
                }
            }
        }
        for (contender, times) in all.iter().zip(&mut times) {
            let total: Duration = times.iter().sum();
            times.sort_unstable();
            let at =
                |part: usize| times[(times.len() * part / 1000).min(times.len() - 1)].as_nanos() as f64 / 1e3;
            let rate = (times.len() * count) as f64 / total.as_secs_f64();
            println!(
                "{count:>7} {:<16} {rate:>11.0} {:>9.1} {:>9.1} {:>9.1}",
                contender.name(),
                at(500),
                at(990),
                at(1000)
            );
        }
    }
    Ok(())
}
