//! `rialto journal verify` and `rialto journal dump`.

use std::path::Path;

use journal::{JournalError, StreamReader, StreamReport};
use machine::Record;
use serde_json::{Value, json};

use crate::cli::{DumpArgs, JournalCommand, Stream, VerifyArgs};
use crate::describe;
use crate::output::{Failure, grouped, line};

/// Runs the command.
///
/// # Errors
/// Damage, or a folder that cannot be read.
pub fn run(command: &JournalCommand) -> Result<(), Failure> {
    match command {
        JournalCommand::Verify(args) => verify(args),
        JournalCommand::Dump(args) => dump(args),
    }
}

fn dump(args: &DumpArgs) -> Result<(), Failure> {
    let mut commands = open(&args.dir, journal::COMMANDS_FOLDER, args, args.stream != Stream::Events)?;
    let mut events = open(&args.dir, journal::EVENTS_FOLDER, args, args.stream != Stream::Commands)?;
    loop {
        let command =
            commands.as_mut().map(StreamReader::next).transpose().map_err(Failure::system)?.flatten();
        let sequence = command.map(|record| record.header().sequence);
        if let Some(record) = command {
            if record.header().sequence > args.to {
                return Ok(());
            }
            print(record, args.json);
        }
        let printed = print_events(events.as_mut(), sequence, args)?;
        if sequence.is_none() && !printed {
            return Ok(());
        }
    }
}

/// Prints the events of one command, or without a command the next event; says whether there was any.
fn print_events(
    events: Option<&mut StreamReader>,
    sequence: Option<u64>,
    args: &DumpArgs,
) -> Result<bool, Failure> {
    let Some(events) = events else { return Ok(false) };
    let mut printed = false;
    loop {
        let Some(record) = events.next().map_err(Failure::system)? else { return Ok(printed) };
        let header = record.header();
        if header.sequence > args.to {
            return Ok(false);
        }
        print(record, args.json);
        printed = true;
        if record.is_last_event() && sequence.is_none_or(|sequence| header.sequence >= sequence) {
            return Ok(true);
        }
    }
}

fn open(dir: &Path, stream: &str, args: &DumpArgs, wanted: bool) -> Result<Option<StreamReader>, Failure> {
    if !wanted {
        return Ok(None);
    }
    let mut reader = StreamReader::open(&dir.join(stream)).map_err(Failure::system)?;
    reader.seek(args.from).map_err(Failure::system)?;
    Ok(Some(reader))
}

fn print(record: Record<'_>, as_json: bool) {
    if as_json {
        line(Value::Object(describe::to_json(record)));
    } else {
        line(describe::to_line(record));
    }
}

fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let report = journal::verify(&args.dir).map_err(Failure::system)?;
    let streams = [("commands", &report.commands), ("events", &report.events)];
    if args.json {
        let streams = streams.map(|(name, stream)| (name.to_string(), stream_json(stream)));
        let mut object = serde_json::Map::from_iter(streams);
        object.insert("good".to_string(), json!(report.is_good()));
        line(Value::Object(object));
    } else {
        for (name, stream) in streams {
            line(stream_line(name, stream));
        }
    }
    let damage = streams.iter().find_map(|(_, stream)| stream.as_ref().err());
    match damage {
        None => Ok(()),
        Some(error) => Err(Failure::check(error)),
    }
}

fn stream_json(stream: &Result<StreamReport, JournalError>) -> Value {
    let report = match stream {
        Ok(report) => report,
        Err(error) => return json!({ "good": false, "error": error.to_string() }),
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
        "torn_tail": report.torn_tail.as_ref().map(|cut| json!({
            "file": cut.file.display().to_string(),
            "offset": cut.offset,
            "bytes": cut.bytes,
            "problem": cut.problem.to_string(),
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
    if let Some(cut) = &report.torn_tail {
        text.push_str(&format!(
            "\n          torn tail: {} bytes at {} offset {} ({}); the next start cuts it, nothing acknowledged is in it",
            cut.bytes,
            cut.file.display(),
            cut.offset,
            cut.problem
        ));
    }
    text
}
