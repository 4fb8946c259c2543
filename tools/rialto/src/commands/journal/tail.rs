//! `rialto journal dump` and `rialto journal tail`.

use std::fmt::Display;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::time::Duration;

use machine::Record;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use super::args::{DumpArgs, TailArgs};
use super::select::Selector;
use super::walk::{Step, Walker, tell_missing};
use crate::commands::replay;
use crate::describe;
use crate::output::Failure;

/// How long a follower waits when there is nothing new: doubled up to the second.
const WAITS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(32));

/// Standard output for many lines.
struct Printer<'a> {
    out: BufWriter<StdoutLock<'a>>,
    selector: Selector,
    json: bool,
    printed: u64,
}

impl Printer<'_> {
    fn new(selector: Selector, json: bool) -> Self {
        Self { out: BufWriter::with_capacity(1 << 16, io::stdout().lock()), selector, json, printed: 0 }
    }

    fn record(&mut self, record: Record<'_>) -> Result<(), Failure> {
        match self.selector.select(record) {
            Some(map) if self.json => self.line(Value::Object(map)),
            Some(map) => self.line(describe::line_of(record, &map)),
            None => Ok(()),
        }
    }

    fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        self.printed += 1;
        let written = writeln!(self.out, "{text}");
        done(written)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let flushed = self.out.flush();
        done(flushed)
    }
}

/// A closed pipe ends the process quietly, as `head` expects.
fn done(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.map_err(|error| Failure::system(format!("cannot write to standard output: {error}"))),
    }
}

/// Whether nobody reads standard output any more: a follower of a quiet journal would not learn of it by writing.
fn reader_has_gone() -> bool {
    let out = io::stdout();
    let mut asked = [PollFd::new(&out, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // An error says nothing about the reader.
    poll(&mut asked, Some(&now)).is_ok_and(|count| count > 0 && asked[0].revents().contains(PollFlags::ERR))
}

/// Prints what is there.
///
/// # Errors
/// No journal, or one that cannot be read to its end; a filter that names what there is not.
pub fn dump(args: &DumpArgs) -> Result<(), Failure> {
    let mut printer = Printer::new(args.filter.selector()?, args.json);
    let mut walker = Walker::open(&args.dir, &args.filter, args.from, false)?;
    let outcome = walker.all(&mut |record| printer.record(record));
    printer.flush()?;
    tell_missing(outcome?);
    if printer.printed == 0 {
        let last = replay::last_sequence(&args.dir)?;
        eprintln!("note: no record is wanted; the journal ends at sequence {last}");
    }
    Ok(())
}

/// Prints the end, and what is written from now on.
///
/// # Errors
/// No journal, or one that cannot be read; a filter that names what there is not.
pub fn tail(args: &TailArgs) -> Result<(), Failure> {
    let mut printer = Printer::new(args.filter.selector()?, args.json);
    let from = match args.from {
        Some(from) => from,
        None => (replay::last_sequence(&args.dir)? + 1).saturating_sub(args.commands),
    };
    let mut walker = Walker::open(&args.dir, &args.filter, from.max(1), !args.no_follow)?;
    let mut wait = WAITS.0;
    loop {
        let mut outcome = Ok(());
        let step = walker.step(&mut |record| outcome = printer.record(record))?;
        outcome?;
        match step {
            Step::Record => wait = WAITS.0,
            Step::End => return printer.flush(),
            Step::NotYet if args.no_follow => {
                printer.flush()?;
                tell_missing(walker.events_missing_from());
                return walker.check_end();
            }
            Step::NotYet => {
                printer.flush()?;
                if reader_has_gone() {
                    return Ok(());
                }
                std::thread::sleep(wait);
                wait = (2 * wait).min(WAITS.1);
            }
        }
    }
}
