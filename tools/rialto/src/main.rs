//! Rialto in one binary: serve an exchange, replay and audit its journal, feed it recorded markets, measure it.

mod admin;
mod agents;
mod cli;
mod commands;
mod config;
mod decimal;
mod describe;
mod fix_config;
mod folder;
mod journal_config;
mod latency;
mod load_users;
mod market_data;
mod operator;
mod output;
mod plot;
mod ports_config;
mod rules;
mod series;
mod settings;
mod signals;
mod snapshots;
mod threads;
mod timekeeper;
mod venue;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command, FeedCommand};

/// The tables of the exchange are large and are read in no order.
#[global_allocator]
static ALLOCATOR: pages::HugePages = pages::HugePages;

fn main() -> ExitCode {
    let outcome = match &Cli::parse().command {
        Command::Serve(args) => commands::serve::run(args),
        Command::Replay(args) => commands::replay::run(args),
        Command::State(args) => commands::state::run(args),
        Command::Snapshot(command) => commands::snapshot::run(command),
        Command::Journal(command) => commands::journal::run(command),
        Command::Feed(FeedCommand::Itch(args)) => commands::feed::run_itch(args),
        Command::Feed(FeedCommand::Lobster(args)) => commands::feed::run_lobster(args),
        Command::Bench(args) => commands::bench::run(args),
        Command::Load(command) => commands::load::run(command),
        Command::Admin(args) => commands::admin::run(args),
        Command::Password(args) => commands::password::run(args),
        Command::Top(args) => commands::top::run(args),
        Command::Config => {
            output::line(config::DEFAULT.trim_end());
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("rialto: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}
