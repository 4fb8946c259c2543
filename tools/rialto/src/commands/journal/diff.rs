//! `rialto journal diff`: the first record where two journals part.

use std::path::Path;

use journal::StreamReader;
use machine::{Record, RecordHeader};
use serde_json::{Value, json};

use super::args::{DiffArgs, Stream};
use crate::commands::replay;
use crate::describe;
use crate::output::{Failure, line, progress_bar};

/// Progress is shown every so many records.
const PROGRESS_RECORDS: u64 = 1 << 16;

/// Where two streams part.
struct Parting {
    stream: &'static str,
    sequence: u64,
    /// Which of the command's events, from 0; 0 for commands.
    index: u64,
    /// The record in each journal, as JSON and as a line; nothing where it has ended.
    sides: [Option<(Value, String)>; 2],
}

/// Runs the command.
///
/// # Errors
/// A difference, or a folder that cannot be read.
pub fn run(args: &DiffArgs) -> Result<(), Failure> {
    let mut compared = 0;
    let differs = identity_differs(args)?;
    if let Some(what) = differs {
        eprintln!(
            "note: {} and {} were written by exchanges of different {what}: the same commands may do different things to them",
            args.one.display(),
            args.two.display()
        );
    }
    for (stream, wanted) in [
        (journal::COMMANDS_FOLDER, args.stream != Stream::Events),
        (journal::EVENTS_FOLDER, args.stream != Stream::Commands),
    ] {
        if !wanted {
            continue;
        }
        if let Some(parting) = compare(args, stream, &mut compared)? {
            return report(args, &parting, compared, differs);
        }
    }
    if args.json {
        line(json!({ "same": true, "records": compared, "differing_identity": differs }));
    } else {
        line(format!("the same: {compared} records"));
    }
    Ok(())
}

/// What the journals' machines differ in before their first command, if in anything.
fn identity_differs(args: &DiffArgs) -> Result<Option<&'static str>, Failure> {
    let identity =
        |dir: &Path| journal::stream_identity(&dir.join(journal::COMMANDS_FOLDER)).map_err(Failure::system);
    let (one, two) = (identity(&args.one)?, identity(&args.two)?);
    Ok(if one.machine != two.machine {
        Some("kinds")
    } else if one.parameters != two.parameters {
        Some("limits")
    } else {
        None
    })
}

fn compare(args: &DiffArgs, stream: &'static str, compared: &mut u64) -> Result<Option<Parting>, Failure> {
    let mut one = open(&args.one, stream)?;
    let mut two = open(&args.two, stream)?;
    let bar = progress_bar(replay::last_sequence(&args.one)?, "sequences", args.json);
    bar.set_message(format!("comparing {stream}"));
    let (mut sequence, mut index) = (0, 0);
    loop {
        let ours = one.next().map_err(Failure::system)?;
        let theirs = two.next().map_err(Failure::system)?;
        let ended = [ours.is_none(), theirs.is_none()];
        let Some(header) = ours.or(theirs).map(|record| *record.header()) else {
            bar.finish_and_clear();
            // Both may end where they have become unreadable.
            one.check_end().and_then(|()| two.check_end()).map_err(Failure::system)?;
            return Ok(None);
        };
        index = if header.sequence == sequence { index + 1 } else { 0 };
        sequence = header.sequence;
        if !same(ours, theirs) {
            bar.finish_and_clear();
            let side =
                |record: Record<'_>| (Value::Object(describe::to_json(record)), describe::to_line(record));
            let sides = [ours.map(side), theirs.map(side)];
            for (reader, _) in [&mut one, &mut two].into_iter().zip(ended).filter(|(_, ended)| *ended) {
                reader.check_end().map_err(Failure::system)?;
            }
            return Ok(Some(Parting { stream, sequence, index, sides }));
        }
        *compared += 1;
        if compared.is_multiple_of(PROGRESS_RECORDS) {
            bar.set_position(sequence);
        }
    }
}

/// Header and body. The checksum follows from them.
fn same(ours: Option<Record<'_>>, theirs: Option<Record<'_>>) -> bool {
    let plain = |record: Record<'_>| RecordHeader { checksum: 0, ..*record.header() };
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => plain(ours) == plain(theirs) && ours.body() == theirs.body(),
        _ => false,
    }
}

fn open(dir: &Path, stream: &str) -> Result<StreamReader, Failure> {
    StreamReader::open_mapped(&dir.join(stream)).map_err(Failure::system)
}

fn report(
    args: &DiffArgs,
    parting: &Parting,
    compared: u64,
    differs: Option<&'static str>,
) -> Result<(), Failure> {
    let names = [&args.one, &args.two];
    if args.json {
        let side = |index: usize| parting.sides[index].as_ref().map(|(value, _)| value);
        line(json!({
            "same": false,
            "records": compared,
            "differing_identity": differs,
            "stream": parting.stream,
            "sequence": parting.sequence,
            "index": parting.index,
            "one": side(0),
            "two": side(1),
        }));
    } else {
        for (name, side) in names.iter().zip(&parting.sides) {
            let text = side.as_ref().map_or("(has ended)", |(_, text)| text.trim_end());
            line(format!("{}: {text}", name.display()));
        }
    }
    Err(Failure::check(format!(
        "the {} part at sequence {}, record {} of it, after {compared} equal records",
        parting.stream, parting.sequence, parting.index
    )))
}
