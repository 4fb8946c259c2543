//! Sequential throughput with every batch synced, beside what fio reaches with the same batch size on the same disk in the same
//! run. The ways take turns.
//!
//! `cargo run --release -p journal --example throughput -- FOLDER [ROUNDS]`; fio has to be installed (Debian:
//! `apt-get install fio`). The journal syncs on a thread of its own: while a batch syncs, one more gathers, not more. fio
//! writes one batch, fdatasyncs, writes the next (`--fdatasync=1`), into a file that it has reserved as the journal does its
//! segments (`fallocate`) and over one that has been written before.

use journal::{DiskStorage, StreamIdentity, StreamKind, StreamOptions, StreamWriter};
use machine::RecordHeader;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use zerocopy::IntoBytes;

const RECORD_BYTES: usize = 64;
/// Bytes of a batch, and batches in a round.
const SHAPES: [(usize, usize); 4] = [(4 << 10, 2000), (64 << 10, 1000), (256 << 10, 500), (1 << 20, 200)];

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A batch of records without their sequences: fio fills its buffer once, too.
fn prepared(bytes: usize) -> Vec<u8> {
    let header = RecordHeader { length: 64, kind: 1, schema_version: 1, ..RecordHeader::default() };
    let mut record = header.as_bytes().to_vec();
    record.resize(RECORD_BYTES, 0xA5);
    record.repeat(bytes / RECORD_BYTES)
}

/// Numbers the records of a batch.
fn number(batch: &mut [u8], first: u64) {
    const SEQUENCE_AT: usize = std::mem::offset_of!(RecordHeader, sequence);
    for (sequence, record) in (first..).zip(batch.chunks_mut(RECORD_BYTES)) {
        record[SEQUENCE_AT..SEQUENCE_AT + 8].copy_from_slice(&sequence.to_le_bytes());
    }
}

/// Bytes a second of records, all of them safe at the end.
fn journal(folder: &Path, bytes: usize, batches: usize) -> Outcome<f64> {
    let identity = StreamIdentity::new(StreamKind::Commands, "measure", &[]);
    let options = StreamOptions { sync_on_roll: false, max_frame_bytes: 2 << 20, ..StreamOptions::default() };
    let (mut writer, _) = StreamWriter::open(folder, &identity, &options, Arc::new(DiskStorage))?;
    let (syncer, ended) = (writer.syncer(), AtomicBool::new(false));
    let (mut batch, writing) = (prepared(bytes), std::thread::current());
    let start = Instant::now();
    std::thread::scope(|scope| -> Outcome<()> {
        let syncing = scope.spawn(|| -> Outcome<()> {
            while !ended.load(Ordering::Acquire) {
                if syncer.written_sequence() == syncer.durable_sequence() {
                    std::thread::park();
                } else {
                    syncer.sync_after(|| writing.unpark())?;
                }
            }
            Ok(())
        });
        for _ in 0..batches {
            number(&mut batch, writer.last_sequence() + 1);
            writer.has_room(batch.len())?;
            while writer.syncer().gathered_bytes() > 0 && !syncing.is_finished() {
                std::thread::park();
            }
            writer.write_batch(&batch, writer.durable_sequence())?;
            writer.begin_write_back()?;
            syncing.thread().unpark();
        }
        ended.store(true, Ordering::Release);
        syncing.thread().unpark();
        syncing.join().map_err(|_| "the syncing thread panicked")?
    })?;
    writer.sync()?;
    Ok((bytes * batches) as f64 / start.elapsed().as_secs_f64())
}

/// Bytes a second that fio says.
fn fio(folder: &Path, bytes: usize, batches: usize, more: &[&str]) -> Outcome<f64> {
    let mut command = Command::new("fio");
    command.args(["--name=fio", "--rw=write", "--ioengine=psync", "--fdatasync=1", "--output-format=json"]);
    command.arg(format!("--directory={}", folder.display()));
    command.arg(format!("--bs={bytes}")).arg(format!("--size={}", bytes * batches)).args(more);
    let output = command.output().map_err(|error| format!("cannot start fio: {error}; install it first"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let field = "\"bw_bytes\" : ";
    let after = text.find("\"write\" :").and_then(|at| text[at..].split_once(field));
    let number = after.and_then(|(_, rest)| rest.split(',').next());
    let number = number.ok_or_else(|| format!("fio failed: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok(number.trim().parse()?)
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let base = PathBuf::from(arguments.next().ok_or("give a folder on the disk to measure")?);
    let rounds: usize = arguments.next().map_or(Ok(3), |text| text.parse())?;
    println!("MB/s, median of {rounds} rounds (lowest to highest); ratio of the medians to fio's best");
    println!(
        "{:>8} {:>22} {:>22} {:>22} {:>22} {:>6}",
        "batch", "journal", "fio, reserved", "fio, written before", "fio, that, O_DIRECT", "ratio"
    );
    let over: &[&str] = &["--overwrite=1"];
    let direct: &[&str] = &["--overwrite=1", "--direct=1"];
    for (bytes, batches) in SHAPES {
        let mut rates: [Vec<f64>; 4] = Default::default();
        for _ in 0..rounds {
            let folder = || tempfile::tempdir_in(&base);
            rates[0].push(journal(folder()?.path(), bytes, batches)? / 1e6);
            for (way, more) in [(1, &[][..]), (2, over), (3, direct)] {
                rates[way].push(fio(folder()?.path(), bytes, batches, more)? / 1e6);
            }
        }
        let medians = rates.each_mut().map(|rates| median(rates));
        let shown: Vec<String> = rates
            .iter()
            .zip(medians)
            .map(|(all, median)| format!("{median:.0} ({:.0} to {:.0})", all[0], all[all.len() - 1]))
            .collect();
        let best = medians[1..].iter().copied().fold(0.0, f64::max);
        println!(
            "{bytes:>8} {:>22} {:>22} {:>22} {:>22} {:>6.2}",
            shown[0],
            shown[1],
            shown[2],
            shown[3],
            medians[0] / best
        );
    }
    Ok(())
}
