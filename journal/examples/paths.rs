//! Ways to get a batch onto the disk, measured before one was chosen (docs/decisions/0010): through the page cache or past it
//! (O_DIRECT), over blocks that have been written before; write and sync in turn, or the sync on a thread of its own. The ways take
//! turns.
//!
//! `cargo run --release -p journal --example paths -- FOLDER [ROUNDS]`

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// More than a turn writes.
const FILE_BYTES: u64 = 256 << 20;
/// Bytes of a batch, and batches in a turn.
const SHAPES: [(usize, usize); 4] = [(4 << 10, 500), (64 << 10, 300), (256 << 10, 150), (1 << 20, 60)];
/// What O_DIRECT asks of memory and offsets.
const BLOCK_BYTES: usize = 4096;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Writes and syncs in turn. Returns each batch's time.
fn inline(file: &File, batch: &[u8], count: usize) -> Outcome<Vec<Duration>> {
    let mut times = Vec::with_capacity(count);
    for at in (0..FILE_BYTES).step_by(batch.len()).cycle().take(count) {
        let start = Instant::now();
        file.write_all_at(batch, at)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    Ok(times)
}

/// Writes on this thread and syncs on another, one batch ahead. A batch's time begins when it can be written.
fn ahead(file: &File, batch: &[u8], count: usize) -> Outcome<Vec<Duration>> {
    let (send, receive) = sync_channel::<Instant>(0);
    std::thread::scope(|scope| {
        let syncing = scope.spawn(move || -> Outcome<Vec<Duration>> {
            let mut times = Vec::with_capacity(count);
            while let Ok(start) = receive.recv() {
                file.sync_data()?;
                times.push(start.elapsed());
            }
            Ok(times)
        });
        for at in (0..FILE_BYTES).step_by(batch.len()).cycle().take(count) {
            let start = Instant::now();
            file.write_all_at(batch, at)?;
            send.send(start)?;
        }
        drop(send);
        syncing.join().map_err(|_| "the syncing thread panicked")?
    })
}

fn make(path: &Path) -> Outcome<()> {
    let file = File::create(path)?;
    let ones = vec![1; 1 << 20];
    for at in (0..FILE_BYTES).step_by(ones.len()) {
        file.write_all_at(&ones, at)?;
    }
    Ok(file.sync_all()?)
}

type Way = fn(&File, &[u8], usize) -> Outcome<Vec<Duration>>;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let base = PathBuf::from(arguments.next().ok_or("give a folder on the disk to measure")?);
    let rounds: usize = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let folder = tempfile::tempdir_in(base)?;
    let path = folder.path().join("file");
    make(&path)?;
    let cached = OpenOptions::new().write(true).open(&path)?;
    let direct = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(&path)?;
    let memory = vec![7; (1 << 20) + BLOCK_BYTES];
    let aligned = &memory[memory.as_ptr().align_offset(BLOCK_BYTES)..];
    let ways: [(&str, &File, Way); 4] = [
        ("page cache, in turn", &cached, inline),
        ("O_DIRECT, in turn", &direct, inline),
        ("page cache, own thread", &cached, ahead),
        ("O_DIRECT, own thread", &direct, ahead),
    ];
    println!("{:>8} {:<24} {:>9} {:>9} {:>9} {:>8}", "batch", "", "p50 us", "p99 us", "max us", "MB/s");
    for (bytes, count) in SHAPES {
        let mut all: [(Vec<Duration>, Duration); 4] = Default::default();
        for _ in 0..rounds {
            for ((_, file, way), (times, total)) in ways.iter().zip(&mut all) {
                let start = Instant::now();
                times.extend(way(file, &aligned[..bytes], count)?);
                *total += start.elapsed();
            }
        }
        for ((name, ..), (times, total)) in ways.iter().zip(&mut all) {
            times.sort_unstable();
            let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)].as_secs_f64() * 1e6;
            let rate = (bytes * times.len()) as f64 / total.as_secs_f64() / 1e6;
            println!("{bytes:>8} {name:<24} {:>9.1} {:>9.1} {:>9.1} {rate:>8.0}", at(50), at(99), at(100));
        }
    }
    Ok(())
}
