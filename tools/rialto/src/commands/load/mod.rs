//! `rialto load`: orders at a fixed rate, and the time until each one's report.
//!
//! Open loop: every message has a planned time, and its latency counts from that time, sent late or not. A server that
//! stalls for a second therefore shows it in all the messages that were due meanwhile, not in one.

pub mod args;
mod binary;
mod fix;
mod idle;
mod plan;
mod process;
mod report;
mod run;
mod stub;
mod who;

use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use args::{LoadArgs, LoadCommand};
use binary::{BinarySession, Terms};
use fix::FixSession;
use plan::Plan;
use process::Watch;
use run::{Run, Session};
use who::{Login, run_id};

use crate::config::Config;
use crate::load_users;
use crate::output::Failure;
use crate::signals::stop_signals;

/// Most messages of one run: what has no answer yet is a bit each.
const MOST_MESSAGES: u64 = 4_000_000_000;

/// Runs the command.
///
/// # Errors
/// Wrong arguments, no connection, a refused logon, or a message without an answer.
pub fn run(command: &LoadCommand) -> Result<(), Failure> {
    match command {
        LoadCommand::Fix(args) => {
            let (config, logins, stop) = prepare(&args.load)?;
            let run = run_id();
            let target = &config.target_comp_id;
            let sessions =
                logins.iter().map(|login| FixSession::log_on(args.connect, target, login, &args.load, &run));
            measure("FIX", &args.load, sessions.collect::<Result<Vec<_>, _>>()?, stop)
        }
        LoadCommand::Binary(args) => {
            let (config, logins, stop) = prepare(&args.load)?;
            let (run, terms) = (run_id(), Terms::of(&args.load, &config)?);
            let sessions = logins.iter().map(|login| BinarySession::log_on(args.connect, login, terms, &run));
            measure("binary", &args.load, sessions.collect::<Result<Vec<_>, _>>()?, stop)
        }
        LoadCommand::Idle(args) => idle::run(args),
        LoadCommand::Stub(args) => stub::run(args),
    }
}

/// The configuration, who logs on, and what becomes true when the run is to end early.
fn prepare(args: &LoadArgs) -> Result<(Config, Vec<Login>, Arc<AtomicBool>), Failure> {
    let config = Config::load(args.who.config.as_deref()).map_err(Failure::usage)?;
    if u128::from(args.rate) * args.duration.as_nanos() / 1_000_000_000 > u128::from(MOST_MESSAGES) {
        return Err(Failure::usage(
            "--rate times --duration is more than 4,000,000,000 messages: take less of either",
        ));
    }
    for (flag, text) in [("symbol", &args.symbol), ("price", &args.price), ("quantity", &args.quantity)] {
        if text.is_empty() || text.contains('\u{1}') {
            return Err(Failure::usage(format!("--{flag} {text:?} cannot stand in a FIX field")));
        }
    }
    load_users::raise_file_limit();
    let logins = Login::all(&args.who, &config, args.sessions);
    Ok((config, logins, stop_signals()?))
}

/// Plays the plan and tells what was measured.
fn measure<S: Session>(
    protocol: &str,
    args: &LoadArgs,
    mut sessions: Vec<S>,
    stop: Arc<AtomicBool>,
) -> Result<(), Failure> {
    let plan = Plan::new(args.rate, args.duration.as_nanos() as u64, args.sessions);
    let watch = args.pid.map(Watch::begin).transpose()?;
    let measured = Run::new(&mut sessions, plan, args.spin, stop).play(args.json);
    let costs = watch.map(|watch| watch.costs()).transpose();
    // An exchange that has ended is the smaller news.
    let costs = if measured.failure.is_some() { costs.unwrap_or_default() } else { costs? };
    report::tell(protocol, args, measured, &costs.unwrap_or_default())
}

/// Gives the socket of a session what it takes of `outgoing`, of which it has `sent` bytes already.
///
/// # Errors
/// When the connection is gone.
fn write_out(
    stream: &mut impl Write,
    session: &str,
    outgoing: &mut Vec<u8>,
    sent: &mut usize,
) -> Result<(), Failure> {
    while *sent < outgoing.len() {
        match stream.write(&outgoing[*sent..]) {
            Ok(count) => *sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(Failure::system(format!("session {session}: {error}"))),
        }
    }
    outgoing.clear();
    *sent = 0;
    Ok(())
}
