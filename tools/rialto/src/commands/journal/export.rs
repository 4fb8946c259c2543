//! `rialto journal export`: JSON lines and Parquet.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use super::args::{ExportArgs, Filter};
use super::parquet::{Columns, ParquetWriter};
use super::walk::{Walker, tell_missing};
use crate::commands::replay;
use crate::describe;
use crate::output::{Failure, grouped, line, progress_bar};

/// Progress is shown every so many records.
const PROGRESS_RECORDS: u64 = 1 << 14;

/// Runs the command.
///
/// # Errors
/// A journal that cannot be read, a file that cannot be written, or one that is there already.
pub fn run(args: &ExportArgs) -> Result<(), Failure> {
    let extension = args.file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let written = match extension {
        "jsonl" | "ndjson" => json_lines(args),
        "parquet" => parquet(args),
        other => Err(Failure::usage(format!(
            "{} has no format: give a file that ends with .jsonl, .ndjson or .parquet, not '{other}'",
            args.file.display()
        ))),
    }?;
    let Written { records, events_missing_from, .. } = written;
    tell_missing(events_missing_from);
    if args.json {
        line(json!({
            "file": args.file.display().to_string(),
            "records": records,
            "events_missing_from": events_missing_from,
        }));
    } else {
        line(format!("{} records in {}", grouped(records), args.file.display()));
    }
    Ok(())
}

/// What an export has written.
struct Written {
    records: u64,
    /// The first command whose events are not stored.
    events_missing_from: Option<u64>,
    /// The last command whose events were all there.
    whole_events: u64,
}

/// A record on its way out.
struct Row {
    /// Which of its command's events, from 0; nothing for a command.
    event_index: Option<u64>,
    /// Header and body by name.
    fields: Map<String, Value>,
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        let time_ns = self.fields["timestamp_ns"].as_u64().unwrap_or(0);
        object.serialize_entry("time", &describe::timestamp(time_ns))?;
        object.serialize_entry("event_index", &self.event_index)?;
        self.fields.iter().try_for_each(|(name, value)| object.serialize_entry(name, value))?;
        object.end()
    }
}

/// First record kind that is an event's.
const FIRST_EVENT_KIND: u16 = 0x8000;

/// Gives each wanted record up to `last` to `take`, its events up to another sequence, with a progress bar; returns their number.
fn each(
    args: &ExportArgs,
    (last, events_up_to): (u64, u64),
    message: &'static str,
    take: &mut dyn FnMut(Row) -> Result<(), Failure>,
) -> Result<Written, Failure> {
    let selector = args.filter.selector()?;
    let bar = progress_bar((last + 1).saturating_sub(args.from), "sequences", args.json);
    bar.set_message(message);
    let filter = Filter { to: last, ..args.filter.clone() };
    let (mut seen, mut records) = (0u64, 0);
    let (mut command, mut next_index) = (0, 0);
    let mut whole_events = 0;
    let mut walker = Walker::open(&args.dir, &filter, args.from, false)?;
    let events_missing_from = walker.all(&mut |record| {
        let sequence = record.header().sequence;
        if sequence != command {
            (command, next_index) = (sequence, 0);
        }
        let event_index = Some(next_index).filter(|_| record.header().kind >= FIRST_EVENT_KIND);
        if event_index.is_some() {
            if sequence > events_up_to {
                return Ok(());
            }
            whole_events = if record.is_last_event() { sequence } else { whole_events };
        }
        next_index += u64::from(event_index.is_some());
        seen += 1;
        if seen.is_multiple_of(PROGRESS_RECORDS) {
            bar.set_position(sequence.saturating_sub(args.from));
        }
        let Some(fields) = selector.select(record) else { return Ok(()) };
        records += 1;
        take(Row { event_index, fields })
    })?;
    bar.finish_and_clear();
    Ok(Written { records, events_missing_from, whole_events })
}

/// Writes a file beside its place and puts it there when it is whole.
fn whole_file(
    path: &Path,
    write: impl FnOnce(BufWriter<File>) -> Result<Written, Failure>,
) -> Result<Written, Failure> {
    if path.exists() {
        return Err(Failure::usage(format!(
            "{} is there already: remove it, or give another name",
            path.display()
        )));
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".part");
    let file = File::create(&unfinished).map_err(|error| failed(path, error))?;
    let written = write(BufWriter::with_capacity(1 << 20, file));
    if written.is_ok() {
        std::fs::rename(&unfinished, path).map_err(|error| failed(path, error))?;
    } else {
        // The export's own error is the one to tell.
        let _ = std::fs::remove_file(&unfinished);
    }
    written
}

fn failed(path: &Path, error: impl Display) -> Failure {
    Failure::system(format!("cannot write {}: {error}", path.display()))
}

fn json_lines(args: &ExportArgs) -> Result<Written, Failure> {
    let last = replay::last_sequence(&args.dir)?.min(args.filter.to);
    whole_file(&args.file, |mut out| {
        let written = each(args, (last, u64::MAX), "writing", &mut |row| {
            serde_json::to_writer(&mut out, &row).map_err(|error| failed(&args.file, error))?;
            out.write_all(b"\n").map_err(|error| failed(&args.file, error))
        })?;
        out.flush().map_err(|error| failed(&args.file, error))?;
        Ok(written)
    })
}

/// Twice over the journal: a Parquet file must say its columns before its rows.
fn parquet(args: &ExportArgs) -> Result<Written, Failure> {
    let last = replay::last_sequence(&args.dir)?.min(args.filter.to);
    let mut columns = Columns::of_header();
    let looked_at = each(args, (last, u64::MAX), "looking at the columns", &mut |row| {
        columns.note(&row.fields);
        Ok(())
    })?;
    // A running exchange goes on writing events meanwhile: their fields may have no column, or not fit into it.
    let (rows, events_missing_from) = ((last, looked_at.whole_events), looked_at.events_missing_from);
    whole_file(&args.file, |out| {
        let mut writer = ParquetWriter::new(out, columns).map_err(|error| failed(&args.file, error))?;
        let written = each(args, rows, "writing", &mut |row| {
            writer.write(row.event_index, &row.fields).map_err(|error| failed(&args.file, error))
        })?;
        writer.finish().map_err(|error| failed(&args.file, error))?;
        Ok(Written { events_missing_from, ..written })
    })
}
