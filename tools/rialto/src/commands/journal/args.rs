//! The command line of `rialto journal`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use journal::ChainHash;

/// Commands on a journal.
#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// Check checksums, hash chain, sequence numbers and segments; name segment and offset of the first damage.
    Verify(VerifyArgs),
    /// Print records.
    Dump(DumpArgs),
}

/// Arguments of `journal verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exits 1 on damage. A torn tail (a write that a crash cut off) is reported and is no damage.

The last line of each stream shows its hash chain. Keep it where nobody who can write the journal can change it: given
back with --anchor, it proves that nothing up to there has been changed since.

Examples:
  rialto journal verify data
  rialto journal verify data --execute
  rialto journal verify data --anchor 310116:5f0c...")]
pub struct VerifyArgs {
    /// Data folder.
    pub dir: PathBuf,
    /// Execute every command again as well, and compare each event and state hash.
    #[arg(long)]
    pub execute: bool,
    /// A value of the commands' hash chain that was kept, as sequence and 64 hex digits; may be given several times.
    #[arg(long, value_name = "SEQ:CHAIN", value_parser = anchor)]
    pub anchor: Vec<(u64, ChainHash)>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Which stream of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stream {
    /// What was asked.
    Commands,
    /// What happened.
    Events,
    /// Each command, followed by its events.
    Both,
}

/// Arguments of `journal dump`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  rialto journal dump data --stream events --from 100 --to 120
  rialto journal dump data --json | jq 'select(.kind == \"Trade\")'")]
pub struct DumpArgs {
    /// Data folder.
    pub dir: PathBuf,
    /// Which stream.
    #[arg(long, value_enum, default_value = "both")]
    pub stream: Stream,
    /// First sequence.
    #[arg(long, value_name = "SEQ", default_value_t = 1)]
    pub from: u64,
    /// Last sequence.
    #[arg(long, value_name = "SEQ", default_value_t = u64::MAX, hide_default_value = true)]
    pub to: u64,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

fn anchor(text: &str) -> Result<(u64, ChainHash), String> {
    let (sequence, chain) = text.split_once(':').ok_or("must be a sequence, a colon and 64 hex digits")?;
    let sequence = sequence.parse().map_err(|_| format!("'{sequence}' is no sequence"))?;
    Ok((sequence, chain.parse().map_err(|error| format!("{error}"))?))
}
