//! Measures the write path on the disk of a folder: `cargo run --release -p journal --example append -- FOLDER`.

use journal::{DiskStorage, StreamIdentity, StreamKind, StreamOptions, StreamReader, StreamWriter};
use machine::{HEADER_LENGTH, RecordHeader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

const RECORD_BYTES: usize = 64;

type Failure = Box<dyn std::error::Error>;

/// Fills `batch` with `count` records of 64 bytes that follow `last`.
fn fill(batch: &mut Vec<u8>, last: u64, count: usize) {
    batch.clear();
    for index in 1..=count as u64 {
        let header = RecordHeader {
            length: RECORD_BYTES as u32,
            sequence: last + index,
            kind: 1,
            schema_version: 1,
            ..RecordHeader::default()
        };
        batch.extend_from_slice(header.as_bytes());
        batch.resize(batch.len() + RECORD_BYTES - HEADER_LENGTH, 0xA5);
    }
}

fn open(folder: &Path, zero_ahead_bytes: u32, sync_on_roll: bool) -> Result<StreamWriter, Failure> {
    let identity = StreamIdentity::new(StreamKind::Commands, "measure", &[]);
    let options = StreamOptions { zero_ahead_bytes, sync_on_roll, ..StreamOptions::default() };
    Ok(StreamWriter::open(folder, &identity, &options, Arc::new(DiskStorage))?.0)
}

/// Shows what a record cost: in the median batch, which a busy machine disturbs little, and in the mean.
fn show(what: &str, count: usize, times: &mut [Duration]) {
    times.sort_unstable();
    let each = |time: Duration| time.as_nanos() as f64 / count as f64;
    let mean = times.iter().sum::<Duration>() / times.len() as u32;
    println!(
        "{what}: {:6.1} ns per record in the median batch, {:6.1} in the mean, slowest batch {:?}",
        each(times[times.len() / 2]),
        each(mean),
        times[times.len() - 1]
    );
}

/// Appends without syncing.
fn append(folder: &Path, count: usize, records: usize) -> Result<(), Failure> {
    let mut writer = open(folder, 0, false)?;
    let mut batch = Vec::new();
    let mut times = Vec::new();
    for _ in 0..records / count {
        fill(&mut batch, writer.last_sequence(), count);
        let start = Instant::now();
        writer.write_batch(&batch, 0)?;
        times.push(start.elapsed());
    }
    show(&format!("append, batches of {count:5}"), count, &mut times);
    Ok(())
}

/// Appends one record at a time; a frame is written when it is full.
fn append_gathered(folder: &Path, records: usize) -> Result<(), Failure> {
    // More than a frame, so that each part of the run has its writes.
    const PART: usize = 4096;
    let mut writer = open(folder, 0, false)?;
    let mut batch = Vec::new();
    let mut times = Vec::new();
    for _ in 0..records / PART {
        fill(&mut batch, writer.last_sequence(), PART);
        let start = Instant::now();
        for record in batch.chunks(RECORD_BYTES) {
            writer.append(record, 0)?;
        }
        times.push(start.elapsed());
    }
    writer.flush()?;
    show("append, one at a time, gathered", PART, &mut times);
    Ok(())
}

/// Appends and syncs every batch.
fn append_and_sync(folder: &Path, count: usize, batches: usize, zero_ahead: u32) -> Result<(), Failure> {
    let mut writer = open(folder, zero_ahead, true)?;
    let mut batch = Vec::new();
    let mut times = Vec::with_capacity(batches);
    for _ in 0..batches {
        fill(&mut batch, writer.last_sequence(), count);
        let start = Instant::now();
        writer.write_batch(&batch, writer.durable_sequence())?;
        writer.sync()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let at = |part: usize| times[(times.len() * part / 1000).min(times.len() - 1)];
    let mean = times.iter().sum::<Duration>() / batches as u32;
    println!(
        "append + sync, batches of {count:5}, zeros ahead {zero_ahead:8}: mean {mean:?} p50 {:?} p99 {:?} max {:?}",
        at(500),
        at(990),
        at(1000)
    );
    Ok(())
}

/// Reads all of it, by `pread` and through a mapping in turns; the quickest turn of each.
fn read(folder: &Path) -> Result<(), Failure> {
    let (mut best, mut records) = ([f64::INFINITY; 2], 0u32);
    for _ in 0..5 {
        for (open, best) in [StreamReader::open, StreamReader::open_mapped].into_iter().zip(&mut best) {
            let (start, mut reader) = (Instant::now(), open(folder)?);
            records = 0;
            while reader.next()?.is_some() {
                records += 1;
            }
            *best = best.min(start.elapsed().as_nanos() as f64 / f64::from(records));
        }
    }
    let [plain, mapped] = best;
    println!("read and check: {plain:6.1} ns per record, {mapped:6.1} through a mapping, {records} records");
    Ok(())
}

fn main() -> Result<(), Failure> {
    let base = std::env::args_os().nth(1).map(PathBuf::from).ok_or("give a folder on the disk to measure")?;
    let folder = tempfile::tempdir_in(&base)?;
    append_gathered(folder.path(), 1_000_000)?;
    for count in [1, 16, 256, 1024, 4096] {
        let folder = tempfile::tempdir_in(&base)?;
        append(folder.path(), count, 1_000_000.min(count * 40_000))?;
        if count == 1024 {
            read(folder.path())?;
        }
    }
    for (count, batches) in [(1, 1000), (62, 1000), (1000, 1000), (4000, 400)] {
        for zero_ahead in [0, 1 << 20] {
            let folder = tempfile::tempdir_in(&base)?;
            append_and_sync(folder.path(), count, batches, zero_ahead)?;
        }
    }
    Ok(())
}
