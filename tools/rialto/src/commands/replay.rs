//! `rialto replay`: execute a journal again and compare everything.

use std::path::Path;
use std::time::{Duration, Instant};

use exchange::Exchange;
use journal::{Difference, JournalError, ReplayOptions, ReplayReport, Replayed, StreamReader};
use machine::Record;
use protocol::Limits;
use serde_json::json;

use super::snapshot::tell_skipped;
use crate::cli::{Moment, ReplayArgs};
use crate::describe;
use crate::folder;
use crate::output::{Failure, grouped, line, progress_bar};

/// Runs the command.
///
/// # Errors
/// A difference, damage, or a folder that cannot be read.
pub fn run(args: &ReplayArgs) -> Result<(), Failure> {
    let (report, elapsed, from_snapshot) = match args.until {
        Some(until) if !args.from_start => {
            let past = rebuild(&args.dir, Some(until), args.json)?;
            (past.replayed.report, past.elapsed, past.replayed.from_snapshot)
        }
        until => {
            let mut machine = folder::empty_exchange(&args.dir)?;
            let (report, elapsed) = execute(&args.dir, &mut machine, until, args.json)?;
            (report, elapsed, None)
        }
    };
    let rate = report.commands as f64 / elapsed.as_secs_f64().max(1e-9);
    tell_moment(&args.dir, args.until, &report)?;
    if args.json {
        line(json!({
            "from_snapshot": from_snapshot,
            "commands": report.commands,
            "events": report.events,
            "event_bytes": report.event_bytes,
            "events_compared": report.events_compared,
            "events_missing_from": report.events_missing_from,
            "last_sequence": report.last_sequence,
            "last_time": last_time(&report),
            "state_hash": format!("{:016x}", report.state_hash),
            "marks_checked": report.marks_checked,
            "identical": report.is_good(),
            "seconds": elapsed.as_secs_f64(),
            "commands_per_second": rate as u64,
        }));
    } else {
        if let Some(sequence) = from_snapshot {
            line(format!("from         the snapshot of sequence {sequence}"));
        }
        print(&report, elapsed, rate);
    }
    match describe_difference(&report) {
        None => Ok(()),
        Some(difference) => Err(Failure::check(difference)),
    }
}

/// Replays the journal in `dir` through `machine`, all of it or up to a moment, with a progress bar unless `quiet`.
///
/// # Errors
/// Damage, or a folder that cannot be read; differences are in the report.
pub fn execute(
    dir: &Path,
    machine: &mut Exchange,
    until: Option<Moment>,
    quiet: bool,
) -> Result<(ReplayReport, Duration), Failure> {
    let options = options(*machine.limits(), until);
    let bar = progress_bar(last_sequence(dir)?.min(options.up_to), "commands", quiet);
    bar.set_message("replaying");
    let start = Instant::now();
    let report = journal::replay(dir, machine, &options, &mut |progress| bar.set_position(progress.sequence));
    let elapsed = start.elapsed();
    bar.finish_and_clear();
    Ok((report.map_err(Failure::system)?, elapsed))
}

/// When the last command that a report speaks of came; nothing before the first one.
pub fn last_time(report: &ReplayReport) -> Option<String> {
    (report.last_sequence > 0).then(|| describe::timestamp(report.last_timestamp_ns))
}

/// Says on standard error where the journal does not reach the moment that was asked for.
///
/// # Errors
/// A journal that cannot be read.
pub fn tell_moment(dir: &Path, asked: Option<Moment>, report: &ReplayReport) -> Result<(), Failure> {
    match asked {
        Some(Moment::Sequence(sequence)) if sequence > report.last_sequence && report.is_good() => {
            eprintln!("note: the journal ends at sequence {}, before {sequence}", report.last_sequence);
        }
        Some(Moment::Time(_)) if report.last_sequence == 0 => {
            let mut reader =
                StreamReader::open(&dir.join(journal::COMMANDS_FOLDER)).map_err(Failure::system)?;
            match reader.next().map_err(Failure::system)? {
                Some(first) => {
                    let time = describe::timestamp(first.header().timestamp_ns);
                    eprintln!("note: nothing had happened by then; the first command is of {time}");
                }
                None => eprintln!("note: the journal has no commands yet"),
            }
        }
        _ => {}
    }
    Ok(())
}

fn options(limits: Limits, until: Option<Moment>) -> ReplayOptions {
    let mut options =
        ReplayOptions { parameters: folder::parameters(&limits).to_vec(), ..Default::default() };
    match until {
        Some(Moment::Sequence(sequence)) => options.up_to = sequence,
        Some(Moment::Time(time_ns)) => options.until_ns = time_ns,
        None => {}
    }
    options
}

/// An exchange as it was.
pub struct Past {
    /// The machine, and how it was got there.
    pub replayed: Replayed<Exchange>,
    /// How long that took.
    pub elapsed: Duration,
}

/// Rebuilds the exchange of the journal in `dir` as it was at a moment, or is now, from the nearest snapshot. Says which
/// snapshots are not used.
///
/// # Errors
/// Damage, or a folder that cannot be read; differences are in the report.
pub fn rebuild(dir: &Path, until: Option<Moment>, quiet: bool) -> Result<Past, Failure> {
    let limits = folder::required_limits(dir)?;
    let options = options(limits, until);
    let bar = progress_bar(last_sequence(dir)?.min(options.up_to), "commands", quiet);
    bar.set_message("replaying");
    let start = Instant::now();
    let mut make = || Exchange::new(limits).expect("limits that were checked");
    let mut begun = false;
    let replayed = journal::replay_from_snapshot(dir, &mut make, &options, &mut |progress| {
        if !std::mem::replace(&mut begun, true) {
            // The estimate is of what is left to execute.
            bar.set_position(progress.first_sequence);
            bar.reset_eta();
        }
        bar.set_position(progress.sequence);
    });
    let elapsed = start.elapsed();
    bar.finish_and_clear();
    let replayed = replayed.map_err(Failure::system)?;
    tell_skipped(&replayed.skipped);
    Ok(Past { replayed, elapsed })
}

/// Sequence of the last command whose events are all stored, from the last segments alone; 0 for none.
///
/// # Errors
/// No events stream, or damage.
pub fn last_event(dir: &Path) -> Result<u64, JournalError> {
    let folder = dir.join(journal::EVENTS_FOLDER);
    let mut reader = StreamReader::open(&folder)?;
    reader.seek(last_segment(&folder))?;
    let mut last = 0;
    while let Some(event) = reader.next()? {
        let sequence = event.header().sequence;
        last = if event.is_last_event() { sequence } else { sequence - 1 };
    }
    Ok(last)
}

/// First sequence of the last segment, by its name; 1 where there is none.
fn last_segment(folder: &Path) -> u64 {
    let names = std::fs::read_dir(folder).into_iter().flatten();
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.strip_suffix(".seg")?.parse().ok()).max().unwrap_or(1)
}

/// Sequence of the last whole command, from the last segment alone.
///
/// # Errors
/// A folder that cannot be read, or damage.
pub fn last_sequence(dir: &Path) -> Result<u64, Failure> {
    let folder = dir.join(journal::COMMANDS_FOLDER);
    let mut reader = StreamReader::open(&folder).map_err(Failure::system)?;
    let first = last_segment(&folder);
    reader.seek(first).map_err(Failure::system)?;
    // A segment that has just been begun holds none yet.
    let mut last = first.saturating_sub(1);
    while let Some(record) = reader.next().map_err(Failure::system)? {
        last = record.header().sequence;
    }
    Ok(last)
}

fn print(report: &ReplayReport, elapsed: Duration, rate: f64) {
    line(format!("commands     {}", grouped(report.commands)));
    line(format!("events       {} ({} bytes)", grouped(report.events), grouped(report.event_bytes)));
    line(format!(
        "compared     {} events, {} state marks",
        grouped(report.events_compared),
        report.marks_checked
    ));
    if let Some(sequence) = report.events_missing_from {
        line(format!("not stored   events from sequence {sequence} on: the next start will append them"));
    }
    line(match last_time(report) {
        Some(time) => format!("last         sequence {} at {time}", report.last_sequence),
        None => "last         none: the state before the first command".to_string(),
    });
    line(format!("state hash   {:016x}", report.state_hash));
    line(format!("speed        {} commands/s ({:.2} s)", grouped(rate as u64), elapsed.as_secs_f64()));
    if report.is_good() {
        line("identical    every stored event and mark came out again");
    }
}

/// The first difference in words; `None` when there is none.
pub fn describe_difference(report: &ReplayReport) -> Option<String> {
    if let Some((mark, found)) = &report.mark_difference {
        return Some(format!(
            "state after sequence {} hashes to {found:016x}, the journal's mark says {:016x}",
            mark.sequence, mark.state_hash
        ));
    }
    let Difference { sequence, event_index, stored, computed } = report.difference.as_ref()?;
    Some(format!(
        "event {event_index} of command {sequence} differs\n  journal:  {}\n  replayed: {}",
        show(stored),
        show(computed)
    ))
}

/// A stored or computed event as text; its bytes may sit at any address.
fn show(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "(no such event)".to_string();
    }
    let mut words = vec![0u64; bytes.len().div_ceil(8)];
    let aligned = zerocopy::IntoBytes::as_mut_bytes(words.as_mut_slice());
    aligned[..bytes.len()].copy_from_slice(bytes);
    Record::parse(aligned).map_or_else(|error| error.to_string(), describe::to_line)
}
