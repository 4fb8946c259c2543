//! `rialto journal verify`.

use journal::{JournalError, ReplayReport, StreamReport, VerifyReport};
use serde_json::{Value, json};

use super::args::VerifyArgs;
use crate::commands::replay;
use crate::describe;
use crate::folder;
use crate::output::{Failure, byte_bar, grouped, line};

/// Runs the command.
///
/// # Errors
/// Damage, a difference, or a folder that cannot be read.
pub fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let bar = byte_bar(args.json);
    bar.set_message("checking");
    let report = journal::verify(&args.dir, &args.anchor, &mut |progress| {
        bar.set_length(progress.total_bytes);
        bar.set_position(progress.bytes);
    });
    bar.finish_and_clear();
    let report = report.map_err(Failure::system)?;
    let streams = [("commands", &report.commands), ("events", &report.events)];
    let executed = if args.execute && report.is_good() { Some(execute(args)?) } else { None };
    let difference = executed.as_ref().and_then(replay::describe_difference);
    if args.json {
        let mut object = serde_json::Map::new();
        for (name, stream) in streams {
            object.insert(name.to_string(), stream_json(stream));
        }
        object.insert("executed".to_string(), json!(executed.as_ref().map(executed_json)));
        object.insert("good".to_string(), json!(report.is_good() && difference.is_none()));
        line(Value::Object(object));
    } else {
        for (name, stream) in streams {
            line(stream_line(name, stream));
        }
        if let Some(executed) = executed.as_ref().filter(|executed| executed.is_good()) {
            line(format!(
                "executed  good: {} commands again, {} events and {} state marks equal",
                grouped(executed.commands),
                grouped(executed.events_compared),
                executed.marks_checked
            ));
        }
    }
    tell_commands_missing(&report);
    let damage = streams.iter().find_map(|(_, stream)| stream.as_ref().err());
    match (damage, difference) {
        (Some(error), _) => Err(Failure::check(error)),
        (None, Some(difference)) => Err(Failure::check(difference)),
        (None, None) => Ok(()),
    }
}

/// Events are written behind their commands: where they go on, commands are gone. It is no proof that these had been synced.
fn tell_commands_missing(report: &VerifyReport) {
    let (Ok(commands), Ok(events)) = (&report.commands, &report.events) else { return };
    if events.last_sequence > commands.last_sequence {
        eprintln!(
            "note: there are events up to sequence {}, but the commands end at {}: later ones are gone. A loss of power does that with \
             durability os or memory; with disk the journal has lost its end: look for a copy. The next start removes these events",
            events.last_sequence, commands.last_sequence
        );
    }
}

/// Executes every command through a new machine and compares events and state hashes.
fn execute(args: &VerifyArgs) -> Result<ReplayReport, Failure> {
    let mut machine = folder::empty_exchange(&args.dir)?;
    Ok(replay::execute(&args.dir, &mut machine, None, args.json)?.0)
}

fn executed_json(report: &ReplayReport) -> Value {
    json!({
        "identical": report.is_good(),
        "commands": report.commands,
        "events_compared": report.events_compared,
        "marks_checked": report.marks_checked,
        "state_hash": format!("{:016x}", report.state_hash),
        "difference": replay::describe_difference(report),
    })
}

/// What is wrong and where, for a program.
fn error_json(error: &JournalError) -> Value {
    let text = error.to_string();
    let Some(place) = error.place() else { return json!({ "good": false, "error": text }) };
    json!({
        "good": false,
        "error": text,
        "file": place.file.display().to_string(),
        "offset": place.offset,
        "sequence": place.sequence,
    })
}

/// Which sequences a torn tail takes.
pub fn describe_lost(cut: &journal::Cut) -> String {
    match cut.last_seen {
        last if last > cut.sequence => format!("sequences {} to {last} at least", cut.sequence),
        _ => format!("from sequence {} on", cut.sequence),
    }
}

fn stream_json(stream: &Result<StreamReport, JournalError>) -> Value {
    let report = match stream {
        Ok(report) => report,
        Err(error) => return error_json(error),
    };
    let identity = report.identity.as_ref();
    json!({
        "good": true,
        "machine": identity.map(|identity| identity.machine.clone()),
        "segments": report.segments,
        "frames": report.frames,
        "records": report.records,
        "bytes": report.bytes,
        "first_sequence": report.first_sequence,
        "last_sequence": report.last_sequence,
        "last_time": describe::timestamp(report.last_timestamp_ns),
        "chain": report.chain.to_string(),
        "torn_tail": report.torn_tail.as_ref().map(|cut| json!({
            "file": cut.file.display().to_string(),
            "offset": cut.offset,
            "bytes": cut.bytes,
            "problem": cut.problem.to_string(),
            "sequence": cut.sequence,
            "last_seen": Some(cut.last_seen).filter(|last| *last > 0),
        })),
    })
}

fn stream_line(name: &str, stream: &Result<StreamReport, JournalError>) -> String {
    let report = match stream {
        Ok(report) => report,
        Err(_) => return format!("{name:<9} damaged"),
    };
    let mut text = format!(
        "{name:<9} good: {} records, sequence {} to {}, {} frames in {} segments, {} bytes",
        grouped(report.records),
        report.first_sequence,
        report.last_sequence,
        grouped(report.frames),
        report.segments,
        grouped(report.bytes)
    );
    text.push_str(&format!("\n          chain {}:{}", report.last_sequence, report.chain));
    if let Some(cut) = &report.torn_tail {
        text.push_str(&format!(
            "\n          torn tail: {} bytes at {} offset {} ({}), {}; the next start cuts it. None of it had been synced: with durability disk nothing of it was acknowledged",
            cut.bytes,
            cut.file.display(),
            cut.offset,
            cut.problem,
            describe_lost(cut)
        ));
    }
    text
}
