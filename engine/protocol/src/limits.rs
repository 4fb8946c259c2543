//! Every limit, with its reason.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Highest limit price in ticks: 2^40 - 1. With [`MAX_QUANTITY_LOTS`] it keeps price times quantity below 2^80, far
/// inside `i128`; the amount itself is checked against [`MAX_AMOUNT_MINOR`].
pub const MAX_PRICE_TICKS: i64 = (1 << 40) - 1;

/// Largest order quantity in lots: 2^40 - 1. See [`MAX_PRICE_TICKS`].
pub const MAX_QUANTITY_LOTS: i64 = (1 << 40) - 1;

/// Largest amount of one asset in minor units, and the most that all accounts together may hold of it: 2^62 - 1.
/// No sum of balances can overflow an `i64`, so the money code needs no overflow path.
pub const MAX_AMOUNT_MINOR: i64 = (1 << 62) - 1;

/// Highest fee in millionths of the quote amount: 10 %. More is a mistake in a configuration, not a fee.
pub const MAX_FEE_PPM: u32 = 100_000;

/// Highest command sequence of an exchange: 2^39 - 1, so that an [`crate::OrderId`] fits 63 bits (SQL's bigint).
/// At 100,000 commands a second that is 63 days without a pause, every day of the year; a journal is rolled over
/// long before. Commands beyond it are rejected by name.
pub const MAX_SEQUENCE: u64 = (1 << 39) - 1;

/// Orders in one [`crate::NewOrderList`]: 32. A batch is one command and must stay within its budget of steps.
pub const MAX_LIST_ORDERS: u32 = 32;

/// Pegged orders of one instrument: 64. Each of them may move with every change of the best prices.
pub const MAX_PEGGED_ORDERS: u32 = 64;

/// Trailing stops of one instrument that wait: 256. Each of them is looked at with every new price followed.
pub const MAX_TRAILING_ORDERS: u32 = 256;

/// All-or-none orders of one instrument that rest: 64. Each of them is tried whenever the other side grows.
pub const MAX_ALL_OR_NONE_ORDERS: u32 = 64;

/// Trades that can still be busted: the last 65,536 of the exchange, so that their table has a fixed size.
pub const BUSTABLE_TRADES: u32 = 65_536;

/// An account whose position on an instrument is beyond this many lots, long or short, takes it no further: 2^61. What is
/// open can add 2^62 at most (each lot holds a minor unit), so that no position overflows an `i64`.
pub const MAX_POSITION_LOTS: i64 = 1 << 61;

/// Mass cancels at work at the same time: 64.
pub const MAX_SWEEPS: u32 = 64;

/// Order slots that sweeps look at in one command: 65,536, some tens of microseconds.
pub const SWEPT_SLOTS_PER_COMMAND: u32 = 65_536;

/// Days that count for a fee tier, today not among them: 30.
pub const VOLUME_DAYS: u32 = 30;

/// Tiers of a [`crate::SetFeeSchedule`].
pub const MAX_FEE_TIERS: usize = 4;

/// Rows of a [`crate::SetTickTable`].
pub const MAX_TICK_ROWS: usize = 8;

/// Table sizes of an exchange: memory is reserved for all of them at the start, and a full table is a named reject.
///
/// They shape what the machine does, so they are written into each journal segment and replay uses those.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Limits {
    /// Highest [`crate::AssetId`].
    pub assets: u32,
    /// Highest [`crate::InstrumentId`].
    pub instruments: u32,
    /// Highest [`crate::AccountId`].
    pub accounts: u32,
    /// Balances: pairs of account and asset that have ever been used.
    pub balances: u32,
    /// Orders that rest at the same time, in all books; at most 2^24 - 1.
    pub orders: u32,
    /// Steps that one command may take: resting orders traded with or removed, stops triggered, orders cancelled by a
    /// sweep. Bounds the work and the events of a command. What is left of an incoming order that meets it is cancelled
    /// with [`crate::CancelReason::FillLimit`]; all other work is continued by the next command.
    pub fills_per_command: u32,
    /// Positions: pairs of account and instrument that have ever had an order accepted.
    pub positions: u32,
    /// Client order ids of ended orders that are remembered, over all accounts: a repeat of one of them is rejected as
    /// that of a live order is. The oldest is forgotten first.
    pub recent_client_ids: u32,
}

const _: () = assert!(size_of::<Limits>() == 32);

impl Default for Limits {
    /// Sizes for a laptop: about 100,000 resting orders, 10,000 accounts, 64 instruments.
    fn default() -> Self {
        Self {
            assets: 64,
            instruments: 64,
            accounts: 10_000,
            balances: 50_000,
            orders: 100_000,
            fills_per_command: 4_096,
            positions: 50_000,
            recent_client_ids: 65_536,
        }
    }
}
