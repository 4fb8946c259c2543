//! Synced commands at a steady rate, over many segments: from the moment that a command comes until it is safe, with the sync
//! on the writer's thread and on its own, beside what the disk takes for the same bytes alone. The ways take turns, so
//! that what else the machine does falls on all of them.
//!
//! `cargo run --release -p sequencer --example steady -- FOLDER [SECONDS] [RATE] [only disk|inline|thread]`. Under
//! `strace -f -c`, or `perf stat -e page-faults --per-thread`, `only` shows what the writer's threads do.

use journal::{DiskStorage, StreamIdentity, StreamKind, StreamOptions, StreamWriter};
use machine::{HEADER_LENGTH, RecordHeader};
use sequencer::DEFAULT_SLICE_NS;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

const RECORD_BYTES: usize = 64;
/// Small, so that a short run goes over many.
const SEGMENT_BYTES: u64 = 4 << 20;
/// Turns that each way takes, if more than one does.
const ROUNDS: u32 = 4;
/// So long after a way has begun nothing is counted: the first spare is being made.
const WARM_UP: Duration = Duration::from_millis(500);

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What came when, and when it was safe.
struct Times {
    /// Of each command, from when it was due.
    commands: Vec<Duration>,
    /// Of each sync.
    syncs: Vec<Duration>,
}

/// Commands that come at a steady rate.
struct Load {
    start: Instant,
    rate: u64,
    lasting: Duration,
}

impl Times {
    /// With memory for all of a run, touched once: what is measured must not meet the page faults of the measurement.
    fn of(rate: u64, seconds: u64) -> Self {
        let count = usize::try_from(rate * (seconds + 1)).unwrap_or(0);
        let mut times = Self { commands: vec![Duration::MAX; count], syncs: vec![Duration::MAX; count] };
        times.commands.clear();
        times.syncs.clear();
        times
    }
}

impl Load {
    /// Number of commands that have come; `None` at the end.
    fn due(&self) -> Option<u64> {
        let elapsed = self.start.elapsed();
        (elapsed < self.lasting).then(|| elapsed.as_nanos() as u64 * self.rate / 1_000_000_000)
    }

    /// Sleeps until the next command comes. A load that spins would keep one of two processors from the threads whose work is
    /// measured.
    fn wait(&self, done: u64) {
        let next = Duration::from_nanos((done + 1) * 1_000_000_000 / self.rate + 1);
        std::thread::sleep(next.saturating_sub(self.start.elapsed()));
    }

    /// Notes that the commands behind `from`, up to `to`, are safe now.
    fn safe(&self, from: u64, to: u64, times: &mut Times) {
        let now = self.start.elapsed();
        for number in from + 1..=to {
            let came = Duration::from_nanos(number * 1_000_000_000 / self.rate);
            if came > WARM_UP {
                times.commands.push(now.saturating_sub(came));
            }
        }
    }

    /// Notes a sync that began then.
    fn synced(&self, start: Instant, times: &mut Times) {
        if self.start + WARM_UP < start {
            times.syncs.push(start.elapsed());
        }
    }
}

fn fill(batch: &mut Vec<u8>, sequences: std::ops::RangeInclusive<u64>) {
    batch.clear();
    for sequence in sequences {
        let header =
            RecordHeader { length: 64, sequence, kind: 1, schema_version: 1, ..RecordHeader::default() };
        batch.extend_from_slice(header.as_bytes());
        batch.resize(batch.len() + RECORD_BYTES - HEADER_LENGTH, 0xA5);
    }
}

fn open(folder: &Path) -> Outcome<StreamWriter> {
    let identity = StreamIdentity::new(StreamKind::Commands, "measure", &[]);
    let options =
        StreamOptions { segment_bytes: SEGMENT_BYTES, sync_on_roll: false, ..StreamOptions::default() };
    Ok(StreamWriter::open(folder, &identity, &options, Arc::new(DiskStorage))?.0)
}

/// Write and sync in turn.
fn inline(folder: &Path, load: &Load, times: &mut Times) -> Outcome<()> {
    let (mut writer, mut batch, mut done) = (open(folder)?, Vec::new(), 0);
    while let Some(due) = load.due() {
        if due > done {
            fill(&mut batch, done + 1..=due);
            writer.has_room(batch.len())?;
            let start = Instant::now();
            writer.write_batch(&batch, writer.durable_sequence())?;
            writer.sync()?;
            load.synced(start, times);
            load.safe(done, due, times);
            done = due;
        } else {
            load.wait(done);
        }
    }
    Ok(())
}

/// Write on this thread, sync on another: the next batch is in the file when a sync ends.
fn thread(folder: &Path, load: &Load, times: &mut Times) -> Outcome<()> {
    let (mut writer, mut batch, mut done) = (open(folder)?, Vec::new(), 0);
    let (syncer, ended, written) = (writer.syncer(), AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let named = std::thread::Builder::new().name("sync".to_owned());
        let syncing = named.spawn_scoped(scope, || -> Outcome<()> {
            sequencer::ask_for_slice(DEFAULT_SLICE_NS)?;
            let mut safe = 0;
            while !ended.load(Ordering::Acquire) {
                // A sync may have covered what was written after it was asked for.
                if written.load(Ordering::Acquire) <= safe {
                    std::thread::park();
                    continue;
                }
                let start = Instant::now();
                let durable = syncer.sync()?;
                load.synced(start, times);
                load.safe(safe, durable, times);
                safe = durable;
            }
            Ok(())
        })?;
        let outcome = (|| -> Outcome<()> {
            while let Some(due) = load.due() {
                if due > done {
                    fill(&mut batch, done + 1..=due);
                    writer.has_room(batch.len())?;
                    writer.write_batch(&batch, writer.durable_sequence())?;
                    writer.begin_write_back()?;
                    done = due;
                    written.store(done, Ordering::Release);
                    syncing.thread().unpark();
                } else {
                    load.wait(done);
                }
            }
            Ok(())
        })();
        ended.store(true, Ordering::Release);
        syncing.thread().unpark();
        syncing.join().map_err(|_| "the syncing thread panicked")??;
        outcome
    })
}

/// The same bytes, written over a file that has all its blocks, and fdatasync: what the disk alone takes.
fn disk(folder: &Path, load: &Load, times: &mut Times) -> Outcome<()> {
    let path = folder.join("file");
    std::fs::write(&path, vec![0; SEGMENT_BYTES as usize])?;
    let file = OpenOptions::new().write(true).open(&path)?;
    file.sync_all()?;
    let (mut batch, mut at, mut done) = (Vec::new(), 0, load.due().unwrap_or(0));
    while let Some(due) = load.due() {
        if due == done {
            load.wait(done);
            continue;
        }
        fill(&mut batch, done + 1..=due);
        if at + batch.len() as u64 > SEGMENT_BYTES {
            at = 0;
        }
        file.write_all_at(&batch, at)?;
        let start = Instant::now();
        file.sync_data()?;
        load.synced(start, times);
        load.safe(done, due, times);
        at += batch.len() as u64;
        done = due;
    }
    Ok(())
}

fn show(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let Some(last) = times.len().checked_sub(1) else { return };
    let at = |part: usize| times[(times.len() * part / 10_000).min(last)];
    println!(
        "{what:<28} {:>8}  p50 {:>9.1?}  p90 {:>9.1?}  p99 {:>9.1?}  p99.9 {:>9.1?}  max {:>9.1?}",
        times.len(),
        at(5_000),
        at(9_000),
        at(9_900),
        at(9_990),
        at(10_000)
    );
}

fn p99(times: &[Duration]) -> f64 {
    times.get(times.len() * 99 / 100).map_or(0.0, Duration::as_secs_f64)
}

type Way = fn(&Path, &Load, &mut Times) -> Outcome<()>;

fn main() -> Outcome<()> {
    // Timers of this thread fire when they are due and not up to 50 us later, and it has the slices that the exchange's threads ask for.
    std::fs::write("/proc/self/timerslack_ns", "1")?;
    sequencer::ask_for_slice(DEFAULT_SLICE_NS)?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let base = PathBuf::from(arguments.first().ok_or("give a folder on the disk to measure")?);
    let number = |index: usize, otherwise| arguments.get(index).map_or(Ok(otherwise), |text| text.parse());
    let (seconds, rate) = (number(1, 10)?, number(2, 10_000)?);
    let only = arguments.get(4).map(String::as_str);
    let ways: [(&str, Way); 3] = [("disk", disk), ("inline", inline), ("thread", thread)];
    let mut all = ways.map(|_| Times::of(rate, seconds));
    let rounds = if only.is_some() { 1 } else { ROUNDS };
    for _ in 0..rounds {
        for ((name, way), times) in ways.iter().zip(&mut all) {
            if only.is_none_or(|only| only == *name) {
                let folder = tempfile::tempdir_in(&base)?;
                let load =
                    Load { start: Instant::now(), rate, lasting: Duration::from_secs(seconds) / rounds };
                way(folder.path(), &load, times)?;
            }
        }
    }
    for ((name, _), times) in ways.iter().zip(&mut all) {
        show(&format!("{name}: syncs"), &mut times.syncs);
        show(&format!("{name}: commands until safe"), &mut times.commands);
    }
    // Two measures: what one sync takes, of which the slow ones meet many commands; and what the same commands meet over a
    // bare file that is written and synced.
    let measures =
        [("p99 of fdatasync", p99(&all[0].syncs)), ("p99 for the same commands", p99(&all[0].commands))];
    for (what, own) in measures.iter().filter(|(_, own)| *own > 0.0) {
        let ratios = ways
            .iter()
            .zip(&all)
            .map(|((name, _), times)| format!("{name} {:.2}", p99(&times.commands) / own));
        println!("p99 of a command over the disk's own {what}: {}", ratios.collect::<Vec<_>>().join(", "));
    }
    Ok(())
}
