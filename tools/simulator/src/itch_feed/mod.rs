//! Replays an ITCH file as orders on the exchange and checks that the exchange does what Nasdaq's did.
//!
//! What becomes of each message:
//!
//! | message | command | must bring about |
//! |---|---|---|
//! | `R` | asset, instrument and funds for the symbol, once | acceptance |
//! | `A` `F` | limit order, good till cancel, of the maker account; client order id = reference number | rests without a trade |
//! | `X` | replace with a smaller quantity, which keeps the place in the queue | the file's leaves |
//! | `D` | cancel | the file's leaves cancelled |
//! | `U` | replace; where price and side of the queue would let our exchange keep the place (same price, smaller quantity), cancel and new order, because Nasdaq's replace always loses it | the file's leaves |
//! | `E` | opposite IOC of the taker account, at the order's price, of the executed size | exactly one trade, with exactly that order, of the full size |
//! | `C` | as `X`: the execution was at another price than the order's (price improvement against hidden interest, or a cross), which continuous matching would never give; the displayed order shrinks | the file's leaves |
//! | others | none | counted |
//!
//! Orders older than the file are unknown: messages that refer to them are counted by type and skipped.
//!
//! A book can be crossed in the file (before the opening cross, in a halt, or because an older order is not in the
//! file). Our exchange would trade such an order on entry. It is parked instead: kept here, changed by its messages,
//! and sent as soon as it no longer crosses; an execution of a parked order is skipped by name.

mod driver;
mod report;
mod scan;
mod state;

pub use driver::{ItchFeed, run};
pub use report::{Difference, ItchReport, SymbolBook};
pub use scan::{Scan, scan};

use protocol::{AccountId, AssetId, InstrumentId};

/// Ids, window and ladder of a feed.
#[derive(Clone, Copy, Debug)]
pub struct ItchOptions {
    /// Asset id of the dollar; symbols follow.
    pub first_asset: AssetId,
    /// Instrument id of the first symbol; others follow.
    pub first_instrument: InstrumentId,
    /// Account id of the maker; the taker is the next.
    pub first_account: AccountId,
    /// Commands in flight at most.
    pub window: usize,
    /// `CreateInstrument::ladder_levels`: a power of two from 64 to 65,536, or 0.
    pub ladder_levels: u32,
}

impl Default for ItchOptions {
    fn default() -> Self {
        Self {
            first_asset: 1,
            first_instrument: 1,
            first_account: AccountId::FIRST_CLIENT,
            window: 1_024,
            ladder_levels: 0,
        }
    }
}

impl ItchOptions {
    /// The defaults with ladders that share about four million levels among the file's symbols.
    #[must_use]
    pub fn for_scan(scan: &Scan) -> Self {
        let share = (1 << 22) / scan.symbols.max(1);
        let ladder_levels = (1u32 << share.max(1).ilog2()).clamp(64, 65_536);
        Self { ladder_levels, ..Self::default() }
    }
}
