//! `rialto journal dump` and `rialto journal tail`.

use std::time::Duration;

use machine::Record;
use serde_json::Value;

use super::args::{DumpArgs, Filter, TailArgs};
use super::walk::{Step, Walker};
use crate::commands::replay;
use crate::describe;
use crate::output::{Failure, line};

/// How long a follower waits when there is nothing new: doubled up to the second.
const WAITS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(32));

/// Prints what is there.
///
/// # Errors
/// No journal, or one that cannot be read.
pub fn dump(args: &DumpArgs) -> Result<(), Failure> {
    let mut walker = Walker::open(&args.dir, &args.filter, args.from, false)?;
    walker.all(&mut |record| {
        print(record, &args.filter, args.json);
        Ok(())
    })
}

/// Prints the end, and what is written from now on.
///
/// # Errors
/// No journal, or one that cannot be read.
pub fn tail(args: &TailArgs) -> Result<(), Failure> {
    let from = match args.from {
        Some(from) => from,
        None => (replay::last_sequence(&args.dir)? + 1).saturating_sub(args.commands),
    };
    let mut walker = Walker::open(&args.dir, &args.filter, from.max(1), !args.no_follow)?;
    let mut wait = WAITS.0;
    loop {
        match walker.step(&mut |record| print(record, &args.filter, args.json))? {
            Step::Record => wait = WAITS.0,
            Step::End => return Ok(()),
            Step::NotYet if args.no_follow => return Ok(()),
            Step::NotYet => {
                std::thread::sleep(wait);
                wait = (2 * wait).min(WAITS.1);
            }
        }
    }
}

fn print(record: Record<'_>, filter: &Filter, as_json: bool) {
    if let Some(map) = filter.select(record) {
        if as_json {
            line(Value::Object(map));
        } else {
            line(describe::to_line(record));
        }
    }
}
