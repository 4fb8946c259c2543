//! What an operator does at run time: one line of JSON over a socket in the data folder, one line in answer.
//!
//! Who may write to the socket is who may write to the data folder: the socket is the owner's alone. Each request becomes
//! one command of the operator's ring, so it has its place in the journal, and one line in the audit log.

pub mod desk;
pub mod server;

use std::path::Path;

use clap::{Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Name of the socket in the data folder.
pub const SOCKET: &str = "admin.sock";
/// Name of the audit log in the data folder.
pub const AUDIT: &str = "admin.log";

/// What an operator may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum AdminCommand {
    /// Halt an instrument: orders can only be cancelled until it is resumed.
    Halt {
        /// Instrument, such as BTC/USD.
        symbol: String,
        /// Resume by itself after so many seconds.
        #[arg(long, value_name = "SECONDS")]
        #[serde(default)]
        for_s: Option<u64>,
    },
    /// Resume continuous trading; what crosses by then trades at one price.
    Resume {
        /// Instrument.
        symbol: String,
    },
    /// Set an instrument's phase.
    Phase {
        /// Instrument.
        symbol: String,
        /// The phase.
        phase: PhaseName,
        /// Continuous trading follows after so many seconds.
        #[arg(long, value_name = "SECONDS")]
        #[serde(default)]
        for_s: Option<u64>,
    },
    /// End the trading day of an instrument: its day orders are cancelled.
    EndDay {
        /// Instrument.
        symbol: String,
    },
    /// Reverse a trade, one of the last 65,536: money, assets and fees go back.
    Bust {
        /// Number of the trade.
        trade_id: u64,
        /// A number of your own, kept in the journal.
        #[arg(long, default_value_t = 0)]
        #[serde(default)]
        reference: u64,
    },
    /// Cancel all orders that fit; at least one criterion is needed.
    Cancel {
        /// Orders of this account (number or name).
        #[arg(long)]
        #[serde(default)]
        account: Option<String>,
        /// Orders on this instrument.
        #[arg(long)]
        #[serde(default)]
        symbol: Option<String>,
        /// Orders of this side.
        #[arg(long)]
        #[serde(default)]
        side: Option<SideName>,
        /// Orders that this FIX session (SenderCompID) has entered.
        #[arg(long, value_name = "COMP_ID")]
        #[serde(default)]
        session: Option<String>,
    },
    /// Kill switch: suspend an account and cancel all its orders.
    Kill {
        /// Account (number or name).
        account: String,
    },
    /// Suspend an account: it may cancel, and nothing else.
    Suspend {
        /// Account (number or name).
        account: String,
    },
    /// Let a suspended account trade again.
    Activate {
        /// Account (number or name).
        account: String,
    },
    /// Move money from the outside world to an account.
    Deposit {
        /// Account (number or name).
        account: String,
        /// How much, in units of the asset.
        amount: String,
        /// Asset, such as USD.
        asset: String,
        /// A number of your own, kept in the journal.
        #[arg(long, default_value_t = 0)]
        #[serde(default)]
        reference: u64,
    },
    /// Move available money from an account to the outside world.
    Withdraw {
        /// Account (number or name).
        account: String,
        /// How much, in units of the asset.
        amount: String,
        /// Asset, such as USD.
        asset: String,
        /// A number of your own, kept in the journal.
        #[arg(long, default_value_t = 0)]
        #[serde(default)]
        reference: u64,
    },
}

/// A phase by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum PhaseName {
    /// Orders are matched as they come.
    Continuous,
    /// Orders are collected.
    PreOpen,
    /// Orders are collected and trade at one price at its end.
    OpeningAuction,
    /// The same, as after a price band was hit.
    VolatilityAuction,
    /// The same, before the close.
    ClosingAuction,
    /// Orders can only be cancelled.
    Closed,
    /// Orders can only be cancelled.
    Halted,
}

/// A side by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SideName {
    /// Buys.
    Buy,
    /// Sells.
    Sell,
}

/// The answer to a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AdminReply {
    /// Whether it was done.
    pub ok: bool,
    /// Sequence of its command; 0 if there was none.
    #[serde(default)]
    pub sequence: u64,
    /// Why not, beginning with the reject's name if the exchange said no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What came of it: the command's events, the first hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Value>,
    /// Events beyond these.
    #[serde(default)]
    pub more_events: u64,
}

impl AdminReply {
    /// It was not even tried.
    pub fn refused(error: impl std::fmt::Display) -> Self {
        Self { error: Some(error.to_string()), ..Self::default() }
    }
}

/// The socket's path by way of an open folder: a socket's path may have 107 bytes only, a data folder's more.
pub fn short_path(folder: &std::fs::File, name: &str) -> std::path::PathBuf {
    use std::os::fd::AsRawFd as _;
    Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name)
}
