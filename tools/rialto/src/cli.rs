//! The command line: what can be asked, and how it is explained.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::threads::Profile;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::admin::AdminCommand;
use crate::commands::journal::JournalCommand;
use crate::commands::load::args::LoadCommand;

/// An exchange and a wallet in one binary.
#[derive(Debug, Parser)]
#[command(
    name = "rialto",
    version,
    about,
    max_term_width = 110,
    after_help = "\
Examples:
  rialto serve --demo                 start an exchange with a FIX port and house traders, data in ./data
  rialto top                          watch its books from another terminal
  rialto replay data                  re-execute the journal and compare every event
  rialto state data                   who owns what, and which orders are live
  rialto snapshot list data           states that a start or a look into the past begins with
  rialto journal verify data          check every byte of the journal
  rialto admin halt BTC/USD           an operator's work on a running exchange
  rialto feed itch FILE.itch50.gz     put a NASDAQ recording through the whole exchange

`rialto COMMAND --help` tells more of each."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the exchange until SIGINT or SIGTERM.
    Serve(ServeArgs),
    /// Re-execute a journal and compare events and state hashes byte for byte.
    Replay(ReplayArgs),
    /// Print balances, positions, phases and live orders, rebuilt from a journal.
    State(StateArgs),
    /// Take, list or verify snapshots of a journal's state.
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Check, print, follow, compare, export or archive a journal.
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Put recorded markets through the whole exchange.
    #[command(subcommand)]
    Feed(FeedCommand),
    /// Measure this machine: commands per second and latency, by durability.
    Bench(BenchArgs),
    /// Put load on a running exchange and measure its latency.
    #[command(subcommand)]
    Load(LoadCommand),
    /// Show live books and trades in the terminal.
    Top(TopArgs),
    /// Halt, resume, bust, cancel, suspend, deposit: an operator's work on a running exchange.
    Admin(AdminArgs),
    /// Hash a password for the configuration.
    Password(PasswordArgs),
    /// Print the default configuration, as a start for your own.
    Config,
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  rialto serve                                 embedded defaults: FIX on 127.0.0.1:9878, data in ./data
  rialto serve --demo                          the same, with house market makers and takers
  rialto config > my.toml; rialto serve --config my.toml
  rialto serve --fix-bind 127.0.0.1:0          a free port; the first lines of output name it
  rialto serve --market-data-bind 127.0.0.1:9879
                                               market data on a port and a thread of its own, not on the FIX port

Log on with SenderCompID ALICE, TargetCompID RIALTO, Username alice, Password alice-secret (BOB and CAROL likewise).
A running exchange stops cleanly on SIGINT or SIGTERM; killed in any other way, it recovers at the next start.")]
pub struct ServeArgs {
    /// Configuration file (TOML) instead of the embedded defaults.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data folder, instead of the configuration's.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Add house market makers and takers, so that the books live.
    #[arg(long)]
    pub demo: bool,
    /// Address of the FIX port, instead of the configuration's; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub fix_bind: Option<SocketAddr>,
    /// Address of a FIX port for market data alone, instead of the configuration's; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub market_data_bind: Option<SocketAddr>,
    /// Take binary order entry at this address too, or at it instead of the configuration's; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub binary_bind: Option<SocketAddr>,
    /// What an acknowledgement promises, instead of the configuration's.
    #[arg(long, value_enum)]
    pub durability: Option<Durability>,
    /// Thread map to start from, instead of the configuration's.
    #[arg(long, value_enum)]
    pub profile: Option<Profile>,
    /// Add so many made-up users with money, for `rialto load`: LOAD1, LOAD2, ..., password load-secret. For measurements only.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub load_sessions: Option<u64>,
}

/// What an acknowledgement promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Sequenced; a crash of the process may lose it.
    Memory,
    /// Written to the operating system; kill -9 loses nothing.
    Os,
    /// Synced to the disk; a power failure loses nothing.
    Disk,
}

impl Durability {
    /// The name on the command line and in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Os => "os",
            Self::Disk => "disk",
        }
    }
}

impl From<Durability> for sequencer::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Memory => Self::Memory,
            Durability::Os => Self::Os,
            Durability::Disk => Self::Disk,
        }
    }
}

/// A moment of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After the command with this sequence.
    Sequence(u64),
    /// After the last command of this time or an earlier one, nanoseconds since the Unix epoch.
    Time(u64),
}

impl std::str::FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(sequence) = text.parse() {
            return Ok(Self::Sequence(sequence));
        }
        let time = humantime::parse_rfc3339_weak(text).map_err(|error| {
            format!("{error}: give a sequence, or a time in UTC as 2026-01-31T12:00:00.123456789Z")
        })?;
        let since =
            time.duration_since(std::time::UNIX_EPOCH).map_err(|_| "must be after 1970".to_owned())?;
        u64::try_from(since.as_nanos()).map(Self::Time).map_err(|_| "must be before 2554".to_owned())
    }
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
#[command(after_help = "\
Reads only. Exits 1 when an event, a state hash or a byte of the journal differs, and says which.

Without --until all of the journal is executed, from its first command. With it the machine begins
with the nearest snapshot before that moment, and what lies between is executed and compared;
--from-start leaves snapshots alone.

Examples:
  rialto replay data --json
  rialto replay data --until 310116
  rialto replay data --until 2026-01-31T12:00:00Z --from-start")]
pub struct ReplayArgs {
    /// Data folder.
    #[arg(default_value = "data")]
    pub dir: PathBuf,
    /// Stop after this sequence or time (UTC).
    #[arg(long, value_name = "SEQ|TIME")]
    pub until: Option<Moment>,
    /// Execute from the first command, whatever snapshots there are.
    #[arg(long)]
    pub from_start: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `state`.
#[derive(Debug, Args)]
#[command(
    subcommand_precedence_over_arg = true,
    after_help = "\
Reads only, also beside a running exchange (then as of the last command that was written). Begins
with the nearest snapshot before the moment asked for.

Examples:
  rialto state data --json | jq '.accounts[] | select(.name == \"alice\")'
  rialto state data --at 2026-01-31T12:00:00Z account 2
  rialto state data --at 310116 book BTC/USD"
)]
pub struct StateArgs {
    /// Data folder.
    #[arg(default_value = "data")]
    pub dir: PathBuf,
    /// As it was after this sequence or time (UTC).
    #[arg(long, value_name = "SEQ|TIME", global = true)]
    pub at: Option<Moment>,
    /// Only this account's balances, positions and orders; like `account ID`.
    #[arg(long, value_name = "ID")]
    pub account: Option<u32>,
    /// Only this instrument's orders.
    #[arg(long)]
    pub symbol: Option<String>,
    /// Print one JSON object.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to look at; all of it if left out.
    #[command(subcommand)]
    pub view: Option<StateView>,
}

/// A part of the state.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum StateView {
    /// One account: balances, positions and live orders.
    Account {
        /// Account id.
        id: u32,
    },
    /// One instrument's order book: price levels, best first.
    Book {
        /// Symbol.
        symbol: String,
    },
}

/// Commands on snapshots.
#[derive(Debug, Subcommand)]
pub enum SnapshotCommand {
    /// Take a snapshot of the journal's end, beside a running exchange or without one.
    Take(SnapshotTakeArgs),
    /// List the snapshots there are.
    List(SnapshotListArgs),
    /// Read snapshots and compare payload, state hash and place in the journal with what they say of themselves.
    Verify(SnapshotVerifyArgs),
}

/// Arguments of `snapshot take`.
#[derive(Debug, Args)]
#[command(after_help = "\
Begins with the newest snapshot that can be used, executes what came after it, and writes the
state: beside its place, synced, read back, renamed. A running exchange is not disturbed; it takes
its own, see [snapshots] in `rialto config`.

Example:
  rialto snapshot take data")]
pub struct SnapshotTakeArgs {
    /// Data folder.
    #[arg(default_value = "data")]
    pub dir: PathBuf,
    /// Then remove all but the newest so many.
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `snapshot list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  rialto snapshot list data --json | jq '.[0].sequence'")]
pub struct SnapshotListArgs {
    /// Data folder.
    #[arg(default_value = "data")]
    pub dir: PathBuf,
    /// Print one JSON array.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `snapshot verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exits 1 when one does not hold, and says why. With --execute the state is computed once more from
the journal's beginning and compared, which is the only proof that does not rest on the snapshot
itself.

Examples:
  rialto snapshot verify data
  rialto snapshot verify data 310116 --execute")]
pub struct SnapshotVerifyArgs {
    /// Data folder.
    #[arg(default_value = "data")]
    pub dir: PathBuf,
    /// Only the one of this sequence.
    #[arg(value_name = "SEQ")]
    pub sequence: Option<u64>,
    /// Compute the states again from the beginning as well.
    #[arg(long)]
    pub execute: bool,
    /// Print one JSON array.
    #[arg(long)]
    pub json: bool,
}

/// Recorded markets.
#[derive(Debug, Subcommand)]
pub enum FeedCommand {
    /// NASDAQ TotalView-ITCH 5.0: each recorded execution must come out of our engine, order for order.
    Itch(ItchArgs),
    /// LOBSTER: our book must equal the published book, row for row.
    Lobster(LobsterArgs),
}

/// Arguments of `feed itch`.
#[derive(Debug, Args)]
#[command(after_help = "\
The file is ITCH 5.0 with 2-byte length framing, plain or gzip. Adds become limit orders, cancels, deletes and
replaces likewise, each execution an opposite immediate-or-cancel order of that price and size, which must trade with
exactly the order that the file names. Messages on orders that are older than the file are skipped and counted.
Exits 1 when any execution differs.

Example:
  rialto feed itch 12302019.NASDAQ_ITCH50.gz --data itch-run && rialto replay itch-run")]
pub struct ItchArgs {
    /// ITCH file.
    pub file: PathBuf,
    /// New data folder for the run's journal [default: feed-FILENAME].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// What an acknowledgement promises.
    #[arg(long, value_enum, default_value = "os")]
    pub durability: Durability,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `feed lobster`.
#[derive(Debug, Args)]
#[command(after_help = "\
Files are CSV, plain or gzip. The book is seeded from the first row of the order book file with the most levels; each
message is then applied, and our book compared with every published row. Order book files may be shorter than the
message file or hold only the best level.

Example:
  rialto feed lobster AAPL_message_50.csv.gz --book AAPL_orderbook_50.csv.gz --book AAPL_best1.csv.gz")]
pub struct LobsterArgs {
    /// LOBSTER message file.
    pub file: PathBuf,
    /// LOBSTER order book file; may be given several times [default: *orderbook* files of the same symbol and day
    /// beside the message file].
    #[arg(long, value_name = "FILE")]
    pub book: Vec<PathBuf>,
    /// Levels a side to compare at most.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub levels: usize,
    /// Set our book to the published row after each comparison, so that each row checks one message: for order book
    /// files of few levels, whose messages leave much out.
    #[arg(long)]
    pub follow_window: bool,
    /// Rows of each order book file that must be equal, in percent; orders outside of the published levels are not in
    /// the messages, so a book cannot follow them.
    #[arg(long, value_name = "PERCENT", default_value_t = 99.89)]
    pub min_equal: f64,
    /// New data folder for the run's journal [default: feed-FILENAME].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// What an acknowledgement promises.
    #[arg(long, value_enum, default_value = "os")]
    pub durability: Durability,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `bench`.
#[derive(Debug, Args)]
#[command(after_help = "\
Runs the whole pipeline in this process (ring, sequencer, journal, engine, events), first as fast as it goes, then at
a fixed rate, where latency counts from the planned time of each command (open loop), so that a stall is not hidden. A
table shows that latency over time: a stall stands in the row of the moment when it was.

Example:
  rialto bench --durability disk --rate 100000 --seconds 10")]
pub struct BenchArgs {
    /// Durability to measure; all three if left out.
    #[arg(long, value_enum)]
    pub durability: Vec<Durability>,
    /// Commands of the throughput run.
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    pub commands: u64,
    /// Commands per second of the latency run.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub rate: u64,
    /// Seconds of the latency run.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub seconds: u64,
    /// Folder for the journals; removed afterwards [default: ./bench-data].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Idle strategy of all threads but the one that syncs: busy_spin, yield, backoff or park.
    #[arg(long, default_value = "backoff")]
    pub idle: String,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// A whole number of seconds, or a duration with units; at least one second.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let plain = text.parse().map(Duration::from_secs);
    let duration = plain.or_else(|_| humantime::parse_duration(text).map_err(|error| error.to_string()))?;
    if duration < Duration::from_secs(1) {
        Err("must be one second or more".to_owned())
    } else {
        Ok(duration)
    }
}

/// Arguments of `password`.
#[derive(Debug, Args)]
#[command(after_help = "\
Reads the password from standard input and prints the line for the user's entry in the configuration.

Example:
  read -rs PASSWORD; printf %s \"$PASSWORD\" | rialto password")]
pub struct PasswordArgs {
    /// Memory that one check takes, in KiB, 8 to 262144.
    #[arg(long, value_name = "N", default_value_t = 19_456)]
    pub memory_kib: u32,
    /// Passes over that memory.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub passes: u32,
}

/// Arguments of `admin`.
#[derive(Debug, Args)]
#[command(after_help = "\
Talks to the exchange that runs on the data folder, by a socket there that only its owner can use. What is done has its
place in the journal, and every request a line in admin.log of the data folder. Exits 1 when the exchange refuses.

Examples:
  rialto admin halt BTC/USD --for-s 300        halt for five minutes
  rialto admin resume BTC/USD
  rialto admin cancel --session ALICE          cancel all orders that a FIX session has entered
  rialto admin kill alice                      suspend an account and cancel its orders
  rialto admin activate alice
  rialto admin bust 4711 --reference 12        reverse a trade
  rialto admin deposit alice 1000.50 USD --json")]
pub struct AdminArgs {
    /// Data folder of the running exchange.
    #[arg(long, value_name = "DIR", default_value = "data", global = true)]
    pub data: PathBuf,
    /// Print the answer as one JSON object.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: AdminCommand,
}

/// Arguments of `top`.
#[derive(Debug, Args)]
#[command(after_help = "\
Follows the journal of a running exchange without disturbing it. Keys: left/right or tab for the next instrument,
q or Esc to leave.

Example:
  rialto top --data data --symbol BTC/USD")]
pub struct TopArgs {
    /// Data folder.
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub data: PathBuf,
    /// Instrument to show first.
    #[arg(long, value_name = "SYMBOL")]
    pub symbol: Option<String>,
    /// Print the books once, as text, and leave.
    #[arg(long)]
    pub once: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn a_state_is_asked_for_with_and_without_a_folder() {
        let parse = |words: &str| {
            let cli = Cli::try_parse_from(words.split(' ')).expect("good");
            let Command::State(args) = cli.command else { panic!("another command") };
            args
        };
        let args = parse("rialto state --at 5 account 2");
        assert_eq!(
            (args.dir, args.at, args.view),
            ("data".into(), Some(Moment::Sequence(5)), Some(StateView::Account { id: 2 }))
        );
        let args = parse("rialto state other book BTC/USD --at 2026-01-31T12:00:00Z --json");
        assert_eq!(
            (args.dir, args.view),
            ("other".into(), Some(StateView::Book { symbol: "BTC/USD".into() }))
        );
        assert_eq!((args.at, args.json), (Some(Moment::Time(1_769_860_800_000_000_000)), true));
        let args = parse("rialto state other --account 3");
        assert_eq!((args.dir, args.account, args.view), ("other".into(), Some(3), None));
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
