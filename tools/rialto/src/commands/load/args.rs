//! Arguments of `load`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::parse_duration;

/// What `load` does.
#[derive(Debug, Subcommand)]
pub enum LoadCommand {
    /// FIX orders at a fixed rate: limit orders that rest, and their cancels.
    Fix(LoadFixArgs),
    /// The same over the binary port.
    Binary(LoadBinaryArgs),
    /// Log on many sessions that only keep their connections alive: what does each cost the exchange?
    Idle(LoadIdleArgs),
    /// Answer each order at once, without any checks, books or files: what do client, kernel and loopback alone cost?
    Stub(LoadStubArgs),
}

/// Arguments of `load fix`.
#[derive(Debug, Args)]
#[command(after_help = "\
Open loop: each message has a planned time, and its latency counts from then until its report is here, whether it could be sent in
time or not. A stall therefore shows in every message that was due meanwhile. Half of the messages are new orders, the others
cancel those of a while before. Orders that are left at the end are cancelled, unmeasured. Ctrl-C ends a run early and reports
what was measured until then. It logs on with ResetSeqNumFlag (141=Y): missed reports of these sessions are given up, so use sessions that nobody
else does.

Examples:
  rialto serve & rialto load fix                               10,000 messages a second for 10 seconds
  rialto load fix --rate 100000 --duration 1m --plot run.svg   ... and a picture of the percentiles
  rialto serve --load-sessions 8 & rialto load fix --sessions 8 --rate 500000 --pid $!
  taskset -c 1 rialto load stub & taskset -c 0 rialto load fix --connect 127.0.0.1:9890 --spin
                                                               the floor: no exchange at all")]
pub struct LoadFixArgs {
    /// Address of the FIX port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9878")]
    pub connect: SocketAddr,
    #[command(flatten)]
    pub load: LoadArgs,
}

/// Arguments of `load binary`.
#[derive(Debug, Args)]
#[command(after_help = "\
As `rialto load fix`, whose --help says what is measured. An order is cancelled by its id, so a cancel waits for the order's event;
its latency counts from its planned time all the same.

Example:
  rialto serve --binary-bind 127.0.0.1:9881 & rialto load binary --rate 50000")]
pub struct LoadBinaryArgs {
    /// Address of the binary port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9881")]
    pub connect: SocketAddr,
    #[command(flatten)]
    pub load: LoadArgs,
}

/// What the protocols share.
#[derive(Debug, Args)]
pub struct LoadArgs {
    #[command(flatten)]
    pub who: WhoArgs,
    /// Sessions; more than the configuration has users log on as those of `rialto serve --load-sessions`.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub sessions: u64,
    /// Messages a second, over all sessions.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub rate: u64,
    /// How long: seconds, or with a unit as in `90s` and `5m`.
    #[arg(long, alias = "seconds", value_name = "D", default_value = "10", value_parser = parse_duration)]
    pub duration: Duration,
    /// Draw the percentiles into this SVG file, which any browser shows.
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Symbol (55).
    #[arg(long, default_value = "BTC/USD")]
    pub symbol: String,
    /// Price (44) of the buy orders; far from the market, so that they rest.
    #[arg(long, default_value = "1.00")]
    pub price: String,
    /// Quantity (38) of each order.
    #[arg(long, default_value = "0.0001")]
    pub quantity: String,
    /// Never give the processor away while waiting: for a client with a processor of its own.
    #[arg(long)]
    pub spin: bool,
    /// Process of an exchange on this machine: say what each of its threads costs a message.
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// As whom to log on.
#[derive(Debug, Args)]
pub struct WhoArgs {
    /// The exchange's configuration file, for its users and CompID [default: the embedded one].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Password of the users [default: `NAME-secret`, as the embedded configuration has it].
    #[arg(long, value_name = "TEXT")]
    pub password: Option<String>,
}

/// Arguments of `load idle`.
#[derive(Debug, Args)]
#[command(after_help = "\
Logs on, then sends a heartbeat on each session every 30 seconds and answers test requests. With --pid it says what that costs
the exchange: resident memory a session, and processor time.

Example:
  rialto serve --load-sessions 2000 --profile quiet & rialto load idle --sessions 2000 --duration 1m --pid $!")]
pub struct LoadIdleArgs {
    /// Address of the FIX port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9878")]
    pub connect: SocketAddr,
    #[command(flatten)]
    pub who: WhoArgs,
    /// Sessions; more than the configuration has users log on as those of `rialto serve --load-sessions`.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub sessions: u64,
    /// How long: seconds, or with a unit as in `90s` and `5m`.
    #[arg(long, value_name = "D", default_value = "30", value_parser = parse_duration)]
    pub duration: Duration,
    /// Process of the exchange, if it runs on this machine.
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `load stub`.
#[derive(Debug, Args)]
#[command(after_help = "\
One thread that never sleeps takes FIX connections, accepts every Logon and answers each NewOrderSingle and OrderCancelRequest with
an ExecutionReport of the usual size. What `rialto load fix --connect` measures against it is the floor of this machine: no exchange
over loopback answers sooner. It runs until Ctrl-C.")]
pub struct LoadStubArgs {
    /// Where to listen.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9890")]
    pub bind: SocketAddr,
}
