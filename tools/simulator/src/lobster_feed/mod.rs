//! Replays LOBSTER files as orders on the exchange and compares the exchange's book with the published one.
//!
//! The book starts from the first published row, each level as one synthetic order, since the orders in it are not
//! in the file. Then, from the second message on:
//!
//! | type | command |
//! |---|---|
//! | 1 new | limit order, good till cancel, of the maker account |
//! | 2 partial cancel | replace with a smaller quantity, which keeps the place |
//! | 3 delete | cancel |
//! | 4 visible execution | opposite IOC of the taker account at that price, of that size |
//! | 5 hidden, 6 cross, 7 halt | none: the visible book does not change |
//!
//! A message of an order that was not in the file before is taken from the synthetic order at its price. An execution
//! trades with the oldest order of its price, which may be another than the file's (a synthetic order hides the
//! queue inside it); the level's total is right all the same, and this module keeps account of who owes whom: what a
//! later cancel cannot take from its own order it takes from the one that was left with too much.
//!
//! A file of N levels has no messages about orders while they are outside of the N best levels. So a level can appear
//! whose orders were never in a message, and one can stay here that is long gone. What a later message proves wrong
//! (a new order or an execution that an order still here would have prevented) is removed and counted. Everything
//! else is left, and shows as a difference with its reason; or, with [`LobsterOptions::follow_window`], the book is
//! set to the published row after each comparison, so that each row checks one message.

mod driver;
mod levels;
mod report;

pub use driver::run;
pub use report::{BookComparison, LobsterReport, RowDifference};

use protocol::{AccountId, AssetId, InstrumentId};

/// Ids, window and depth of a feed.
#[derive(Clone, Debug)]
pub struct LobsterOptions {
    /// Symbol, up to 12 printable characters.
    pub symbol: String,
    /// Asset id of the dollar; the share is the next.
    pub first_asset: AssetId,
    /// Instrument id.
    pub instrument: InstrumentId,
    /// Account id of the maker; the taker is the next.
    pub first_account: AccountId,
    /// Commands in flight at most.
    pub window: usize,
    /// Levels of each side that are compared, where a row has as many.
    pub compare_levels: usize,
    /// Set the book to the first order book file's row after each comparison.
    pub follow_window: bool,
}

impl Default for LobsterOptions {
    fn default() -> Self {
        Self {
            symbol: "STOCK".to_owned(),
            first_asset: 1,
            instrument: 1,
            first_account: AccountId::FIRST_CLIENT,
            window: 1_024,
            compare_levels: 20,
            follow_window: false,
        }
    }
}
