//! Synced commands at a steady rate, over many segments: what an append and a sync cost with and without the thread that
//! prepares segments, beside what the disk takes for the same bytes alone.
//!
//! `cargo run --release -p journal --example steady -- FOLDER [SECONDS] [RATE] [only thread|inline|disk]`. Under `strace -f -c`
//! or `perf stat -e page-faults --per-thread`, `only` shows what the writer's thread does.

use journal::{DiskStorage, StreamIdentity, StreamKind, StreamOptions, StreamWriter};
use machine::{HEADER_LENGTH, RecordHeader};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

const RECORD_BYTES: usize = 64;
/// Small, so that a short run goes over many.
const SEGMENT_BYTES: u64 = 4 << 20;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn record(sequence: u64) -> [u8; RECORD_BYTES] {
    let mut record = [0xA5; RECORD_BYTES];
    let header = RecordHeader { length: 64, sequence, kind: 1, schema_version: 1, ..RecordHeader::default() };
    record[..HEADER_LENGTH].copy_from_slice(header.as_bytes());
    record
}

/// Calls `commit` with what has come due since the last call, as group commit does, for so long.
fn at_rate(rate: u64, lasting: Duration, mut commit: impl FnMut(u64, u64) -> Outcome<()>) -> Outcome<()> {
    let start = Instant::now();
    let mut done = 0;
    while start.elapsed() < lasting {
        let due = start.elapsed().as_nanos() as u64 * rate / 1_000_000_000;
        if due > done {
            commit(done + 1, due)?;
            done = due;
        } else {
            std::hint::spin_loop();
        }
    }
    Ok(())
}

fn show(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() * part / 10_000).min(times.len() - 1)];
    println!(
        "{what:<34} {:>7} times  p50 {:>9.1?}  p99 {:>9.1?}  p99.9 {:>9.1?}  max {:>9.1?}",
        times.len(),
        at(5_000),
        at(9_900),
        at(9_990),
        at(10_000)
    );
}

fn journal(base: &Path, thread: bool, rate: u64, lasting: Duration) -> Outcome<()> {
    let folder = tempfile::tempdir_in(base)?;
    let identity = StreamIdentity::new(StreamKind::Commands, "measure", &[]);
    let options =
        StreamOptions { segment_bytes: SEGMENT_BYTES, prepare_on_thread: thread, ..StreamOptions::default() };
    let (mut writer, _) = StreamWriter::open(folder.path(), &identity, &options, Arc::new(DiskStorage))?;
    let (mut appends, mut syncs, mut batch) = (Vec::new(), Vec::new(), Vec::new());
    at_rate(rate, lasting, |first, last| {
        batch.clear();
        (first..=last).for_each(|sequence| batch.extend_from_slice(&record(sequence)));
        let start = Instant::now();
        writer.write_batch(&batch, writer.durable_sequence())?;
        let appended = start.elapsed();
        writer.sync()?;
        appends.push(appended);
        syncs.push(start.elapsed());
        Ok(())
    })?;
    let how = if thread { "with the thread" } else { "without" };
    show(&format!("append, {how}"), &mut appends);
    show(&format!("append and sync, {how}"), &mut syncs);
    Ok(())
}

/// The same bytes, written over a file that has all its blocks, and fdatasync: what the disk alone takes.
fn disk(base: &Path, rate: u64, lasting: Duration) -> Outcome<()> {
    let folder = tempfile::tempdir_in(base)?;
    let path = folder.path().join("file");
    std::fs::write(&path, vec![0; SEGMENT_BYTES as usize])?;
    let file = OpenOptions::new().write(true).open(&path)?;
    file.sync_all()?;
    let (mut times, mut batch, mut at) = (Vec::new(), Vec::new(), 0);
    at_rate(rate, lasting, |first, last| {
        batch.clear();
        (first..=last).for_each(|sequence| batch.extend_from_slice(&record(sequence)));
        if at + batch.len() as u64 > SEGMENT_BYTES {
            at = 0;
        }
        let start = Instant::now();
        file.write_all_at(&batch, at)?;
        file.sync_data()?;
        times.push(start.elapsed());
        at += batch.len() as u64;
        Ok(())
    })?;
    show("pwrite and fdatasync alone", &mut times);
    Ok(())
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let base = PathBuf::from(arguments.first().ok_or("give a folder on the disk to measure")?);
    let number = |index: usize, otherwise| arguments.get(index).map_or(Ok(otherwise), |text| text.parse());
    let (lasting, rate) = (Duration::from_secs(number(1, 10)?), number(2, 10_000)?);
    let only = arguments.get(4).map(String::as_str);
    let wanted = |name| only.is_none_or(|only| only == name);
    if wanted("disk") {
        disk(&base, rate, lasting)?;
    }
    if wanted("inline") {
        journal(&base, false, rate, lasting)?;
    }
    if wanted("thread") {
        journal(&base, true, rate, lasting)?;
    }
    Ok(())
}
