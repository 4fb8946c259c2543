//! `rialto journal`: check, print, follow, compare, export, archive.

mod args;
mod verify;

use std::path::Path;

use journal::StreamReader;
use machine::Record;
use serde_json::Value;

pub use args::JournalCommand;
use args::{DumpArgs, Stream};

use crate::describe;
use crate::output::{Failure, line};

/// Runs the command.
///
/// # Errors
/// Damage, or a folder that cannot be read.
pub fn run(command: &JournalCommand) -> Result<(), Failure> {
    match command {
        JournalCommand::Verify(args) => verify::run(args),
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
