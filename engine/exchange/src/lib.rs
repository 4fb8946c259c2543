//! Order book, wallet, risk and fees as one state machine.
//!
//! [`Exchange`] answers each command of `docs/exchange.md` with events. It joins three things that do not know each
//! other: the order table and one book per instrument (`orderbook`), the balances (`wallet`), and here the checks, the
//! holds, the fees and the index of client order ids.
//!
//! ```text
//!  command ─▶ checks ─▶ hold ─▶ OrderAccepted ─▶ book.execute ─▶ rest / cancel the remainder
//!                                                  │ on_fill
//!                                                  ▼
//!                                      fees, wallet, Trade event
//! ```
//!
//! With the feature `oracle` there is [`naive::NaiveExchange`], written a second time from the same page for
//! obviousness; the lock-step test compares the two byte by byte.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod accounts;
mod administration;
mod ahead;
mod auction;
mod charges;
mod checks;
mod client_index;
mod entry;
mod exchange;
mod fees;
mod id_words;
mod instrument;
mod limits;
mod lists;
mod makers;
mod matching;
#[cfg(feature = "oracle")]
pub mod naive;
mod pair_index;
mod pegs;
mod phases;
#[cfg(test)]
mod position_limit_tests;
mod positions;
mod published;
mod queries;
mod replace;
mod replace_plain;
mod request;
mod risk_table;
mod rules;
mod settings;
mod settlement;
mod settling;
mod snapshot;
mod special;
mod sweeping;
mod sweeps;
mod terms;
mod terms_check;
mod timers;
mod timetable;
mod trades;
mod triggers;
mod volumes;

pub use exchange::Exchange;
pub use limits::{LimitsError, MAX_ACCOUNTS, MAX_BALANCES, MAX_FILLS_PER_COMMAND, check_limits};
pub use queries::{Counts, RestingOrder};
