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
    /// Print the end of the journal, and what a running exchange writes to it.
    Tail(TailArgs),
    /// Find the first record where two journals part.
    Diff(DiffArgs),
    /// Write records to a file for other programs: Parquet or JSON lines.
    Export(ExportArgs),
    /// Compress full segments.
    Archive(ArchiveArgs),
}

/// Arguments of `journal verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exits 1 on damage. A torn tail (a write that a crash cut off) is reported and is no damage.

The last line of each stream shows its hash chain. Keep it where nobody who can write the
journal can change it: given back with --anchor, it proves that nothing up to there has been
changed since.

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
    /// First sequence.
    #[arg(long, value_name = "SEQ", default_value_t = 1)]
    pub from: u64,
    /// Which records.
    #[command(flatten)]
    pub filter: Filter,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Which records of a journal.
#[derive(Clone, Debug, Args)]
pub struct Filter {
    /// Which stream.
    #[arg(long, value_enum, default_value = "both")]
    pub stream: Stream,
    /// Last sequence.
    #[arg(long, value_name = "SEQ", default_value_t = u64::MAX, hide_default_value = true)]
    pub to: u64,
    /// Only records of this kind, as `dump` names it; may be given several times, then any of them.
    #[arg(long)]
    pub kind: Vec<String>,
    /// Only records with this field, as `dump --json` names and prints it; may be given several times, then all of them.
    #[arg(long = "where", value_name = "FIELD=VALUE", value_parser = field)]
    pub field: Vec<(String, String)>,
}

/// Arguments of `journal tail`.
#[derive(Debug, Args)]
#[command(after_help = "\
Follows the journal of a running exchange without disturbing it: it maps the files for reading,
takes no lock, and never sees half a record. --kind and --where name what `dump --json` prints.

Examples:
  rialto journal tail data
  rialto journal tail data --kind Trade --where instrument=1
  rialto journal tail data --where account=2 --json | jq .
  rialto journal tail data --commands 100 --no-follow")]
pub struct TailArgs {
    /// Data folder.
    pub dir: PathBuf,
    /// How many of the last commands to begin with.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub commands: u64,
    /// Begin with this sequence instead.
    #[arg(long, value_name = "SEQ", conflicts_with = "commands")]
    pub from: Option<u64>,
    /// Which records.
    #[command(flatten)]
    pub filter: Filter,
    /// Print what is there and leave.
    #[arg(long)]
    pub no_follow: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `journal diff`.
#[derive(Debug, Args)]
#[command(after_help = "\
Compares headers and bodies, not how they were batched. Exits 1 where the journals part, and shows
both records; a journal that merely goes on where the other has ended is a difference too.

Example:
  rialto journal diff data copy --stream commands")]
pub struct DiffArgs {
    /// One data folder.
    pub one: PathBuf,
    /// The other one.
    pub two: PathBuf,
    /// Which stream.
    #[arg(long, value_enum, default_value = "both")]
    pub stream: Stream,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `journal export`.
#[derive(Debug, Args)]
#[command(after_help = "\
The end of the file's name says its format. Both have a row for each record and a column for each
field; a field that a record does not have is null, a table within a record is JSON. In Parquet
`timestamp_ns` is a timestamp, numbers are 64-bit integers, all else is text. The file gets its
name when it is whole. Beside a running exchange it ends with the last command of that moment.

Examples:
  rialto journal export data trades.parquet --kind Trade
  duckdb -c \"select instrument, sum(quote_minor) from 'trades.parquet' group by all\"
  rialto journal export data all.jsonl")]
pub struct ExportArgs {
    /// Data folder.
    pub dir: PathBuf,
    /// New file: .parquet, .jsonl or .ndjson.
    pub file: PathBuf,
    /// First sequence.
    #[arg(long, value_name = "SEQ", default_value_t = 1)]
    pub from: u64,
    /// Which records.
    #[command(flatten)]
    pub filter: Filter,
    /// Print one JSON object at the end.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `journal archive`.
#[derive(Debug, Args)]
#[command(after_help = "\
Full segments become zstd files (any zstd unpacks them) and stay in their folder, readable by
every command and by the exchange itself. Each is read back and compared before the original goes.
May run beside the exchange.

Only what lies under a snapshot is archived, so that a start never has to unpack it: the newest
snapshot that holds is verified first (payload, state hash, place in the journal). `rialto snapshot
take` makes one.

Example:
  rialto journal archive data --keep 8")]
pub struct ArchiveArgs {
    /// Data folder.
    pub dir: PathBuf,
    /// How many segments of each stream stay as they are; at least 2.
    #[arg(long, value_name = "N", default_value_t = journal::MIN_KEPT_SEGMENTS)]
    pub keep: usize,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be a field's name, = and its value")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn anchor(text: &str) -> Result<(u64, ChainHash), String> {
    let (sequence, chain) = text.split_once(':').ok_or("must be a sequence, a colon and 64 hex digits")?;
    let sequence = sequence.parse().map_err(|_| format!("'{sequence}' is no sequence"))?;
    Ok((sequence, chain.parse().map_err(|error| format!("{error}"))?))
}
