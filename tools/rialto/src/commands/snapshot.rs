//! `rialto snapshot`: take, list and verify states of a journal.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use exchange::Exchange;
use journal::{DataFolder, JournalError, ReplayOptions, Retention, Shadow, SnapshotHeader, SnapshotStore};
use machine::{Projection, Record};
use protocol::Limits;
use serde_json::{Value, json};

use super::replay;
use crate::cli::{SnapshotCommand, SnapshotListArgs, SnapshotTakeArgs, SnapshotVerifyArgs};
use crate::describe;
use crate::folder;
use crate::operator::Known;
use crate::output::{Failure, grouped, line, progress_bar};
use crate::snapshots;

/// Commands between two looks at the progress.
const SLICE: usize = 65_536;

/// Runs the command.
///
/// # Errors
/// A folder that cannot be read or written, or a snapshot that does not hold.
pub fn run(command: &SnapshotCommand) -> Result<(), Failure> {
    match command {
        SnapshotCommand::Take(args) => take(args),
        SnapshotCommand::List(args) => list(args),
        SnapshotCommand::Verify(args) => verify(args),
    }
}

fn open(dir: &Path) -> Result<(DataFolder, Limits), Failure> {
    let limits = folder::required_limits(dir)?;
    Ok((DataFolder::inspect(dir).map_err(Failure::system)?, limits))
}

fn take(args: &SnapshotTakeArgs) -> Result<(), Failure> {
    let (data, limits) = open(&args.dir)?;
    let start = Instant::now();
    let make = || Exchange::new(limits).expect("limits that were checked");
    let parameters = folder::parameters(&limits);
    // Beside a live exchange the events follow the commands at a small distance.
    let up_to = last_stored(&args.dir)?;
    let mut shadow = Shadow::open(&data, parameters, &mut { make }).map_err(Failure::system)?;
    tell_skipped(shadow.skipped());
    let (mut known, reason) = Known::load(&args.dir);
    if let Some(reason) = reason {
        eprintln!("note: operator.checkpoint is not used: {reason}");
    }
    // One that is behind the machine must not be taken for one that is there.
    let mut follows = known.applied_sequence() >= shadow.sequence();
    if !follows {
        (known, follows) = (Known::default(), shadow.sequence() == 0);
    }
    let bar = progress_bar(up_to, "commands", args.json);
    bar.set_message("executing");
    while shadow.sequence() < up_to {
        let limit = SLICE.min((up_to - shadow.sequence()) as usize);
        let mut on_event = |event: Record<'_>| {
            if follows {
                known.apply(event)
            }
        };
        if shadow.advance(up_to, limit, &mut on_event).map_err(Failure::system)? == 0 {
            break;
        }
        bar.set_position(shadow.sequence());
    }
    bar.finish_and_clear();
    let path = take_with_patience(&data, &mut shadow, &mut known)?;
    let store = SnapshotStore::new::<Exchange>(&data, parameters);
    let mut removed = 0;
    if let Some(count) = args.keep {
        removed = store.prune(Retention { count, age_ns: 0 }).map_err(Failure::system)?;
    }
    let bytes = std::fs::metadata(&path).map_err(Failure::system)?.len();
    if args.json {
        line(json!({
            "sequence": shadow.sequence(),
            "file": path.display().to_string(),
            "bytes": bytes,
            "removed": removed,
            "seconds": start.elapsed().as_secs_f64(),
        }));
    } else {
        line(format!(
            "{}: state after command {}, {} bytes, {:.2} s",
            path.display(),
            grouped(shadow.sequence()),
            grouped(bytes),
            start.elapsed().as_secs_f64()
        ));
    }
    Ok(())
}

/// Beside a live exchange the events of the last commands are still on their way.
fn take_with_patience(
    data: &DataFolder,
    shadow: &mut Shadow<'_, Exchange>,
    known: &mut Known,
) -> Result<PathBuf, Failure> {
    const LOOKS: u32 = 100;
    for _ in 0..LOOKS {
        if let Some(path) = snapshots::take(data, shadow, known).map_err(Failure::system)? {
            return Ok(path);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(Failure::system(
        "the stored events do not reach the last command: start the exchange once, which completes them",
    ))
}

/// The last command whose events are all stored.
fn last_stored(dir: &Path) -> Result<u64, Failure> {
    match replay::last_event(dir) {
        Ok(last) => Ok(last),
        Err(JournalError::NotFound { .. }) => Ok(u64::MAX),
        Err(error) => Err(Failure::system(error)),
    }
}

/// Says which snapshots were not used.
pub fn tell_skipped(skipped: &[journal::SkippedSnapshot]) {
    for snapshot in skipped {
        eprintln!("note: the snapshot of sequence {} is not used: {}", snapshot.sequence, snapshot.reason);
    }
}

fn list(args: &SnapshotListArgs) -> Result<(), Failure> {
    let (data, limits) = open(&args.dir)?;
    let store = SnapshotStore::new::<Exchange>(&data, folder::parameters(&limits));
    let sequences = store.list().map_err(Failure::system)?;
    let found = sequences.into_iter().map(|sequence| (sequence, store.inspect(sequence)));
    let found: Vec<_> =
        found.map(|(sequence, header)| (sequence, header.map_err(|it| it.to_string()))).collect();
    if args.json {
        let rows: Vec<Value> = found.iter().map(|(sequence, header)| row(*sequence, header)).collect();
        line(Value::from(rows));
        return Ok(());
    }
    if found.is_empty() {
        line("no snapshots");
    }
    for (sequence, header) in &found {
        line(match header {
            Ok(header) => format!(
                "{:>14}  {}  state hash {:016x}  {:>14} bytes  version {}  taken {}",
                grouped(*sequence),
                describe::timestamp(header.timestamp_ns),
                header.state_hash,
                grouped(header.payload_length),
                header.payload_version,
                describe::timestamp(header.created_ns)
            ),
            Err(reason) => format!("{:>14}  not usable: {reason}", grouped(*sequence)),
        });
    }
    Ok(())
}

fn row(sequence: u64, header: &Result<SnapshotHeader, String>) -> Value {
    match header {
        Ok(header) => json!({
            "sequence": sequence,
            "time": describe::timestamp(header.timestamp_ns),
            "state_hash": format!("{:016x}", header.state_hash),
            "bytes": header.payload_length,
            "version": header.payload_version,
            "created": describe::timestamp(header.created_ns),
            "chain": header.chain.to_string(),
        }),
        Err(reason) => json!({ "sequence": sequence, "error": reason }),
    }
}

fn verify(args: &SnapshotVerifyArgs) -> Result<(), Failure> {
    let (data, limits) = open(&args.dir)?;
    let store = SnapshotStore::new::<Exchange>(&data, folder::parameters(&limits));
    let mut sequences = store.list().map_err(Failure::system)?;
    if let Some(wanted) = args.sequence {
        sequences.retain(|sequence| *sequence == wanted);
        if sequences.is_empty() {
            return Err(Failure::usage(format!("there is no snapshot of sequence {wanted}")));
        }
    }
    if sequences.is_empty() && !args.json {
        line("no snapshots");
    }
    let mut rows = Vec::new();
    let mut bad = 0;
    for sequence in sequences {
        let outcome = snapshots::verified(&data, limits, sequence).and_then(|sequence| {
            if args.execute { executed(args, &store, limits, sequence) } else { Ok(sequence) }
        });
        bad += usize::from(outcome.is_err());
        if args.json {
            rows.push(json!({ "sequence": sequence, "good": outcome.is_ok(), "error": outcome.err() }));
        } else {
            let text =
                outcome.map_or_else(|reason| format!("does not hold: {reason}"), |_| "good".to_string());
            line(format!("{:>14}  {text}", grouped(sequence)));
        }
    }
    if args.json {
        line(Value::from(rows));
    }
    if bad > 0 { Err(Failure::check(format!("{bad} snapshots do not hold"))) } else { Ok(()) }
}

/// Computes the state from the journal's beginning and compares its hash.
fn executed(
    args: &SnapshotVerifyArgs,
    store: &SnapshotStore<'_>,
    limits: Limits,
    sequence: u64,
) -> Result<u64, String> {
    let header = store.inspect(sequence).map_err(|refused| refused.to_string())?;
    let mut machine: Exchange = Exchange::new(limits).map_err(|error| error.to_string())?;
    let parameters = folder::parameters(&limits).to_vec();
    let options = ReplayOptions { parameters, up_to: sequence, ..ReplayOptions::default() };
    let bar = progress_bar(sequence, "commands", args.json);
    bar.set_message("executing");
    let report = journal::replay(&args.dir, &mut machine, &options, &mut |progress| {
        bar.set_position(progress.sequence)
    });
    bar.finish_and_clear();
    let report = report.map_err(|error| error.to_string())?;
    if let Some(difference) = replay::describe_difference(&report) {
        return Err(difference);
    }
    if report.last_sequence != sequence || report.state_hash != header.state_hash {
        let (found, hash) = (report.state_hash, header.state_hash);
        return Err(format!("the journal gives a state that hashes to {found:016x}, not {hash:016x}"));
    }
    Ok(sequence)
}
