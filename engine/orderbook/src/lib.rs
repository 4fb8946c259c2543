//! Price-time order book and the naive oracle beside it.
//!
//! A book matches and queues; it knows no money, no fees and no events. Orders live in an [`OrderTable`] that all
//! books of an exchange share, each in a dense slot that its id names, so nothing is hashed. [`Book`] is what both
//! books can do: [`OrderBook`] is the one that runs in production, [`NaiveBook`] is slow, obvious, and the judge of
//! the other in the tests. What matching means is `docs/exchange.md`, section "New order"; why the fast book has its
//! shape is `docs/decisions/0003-order-book-shape.md`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod book;
mod far;
mod ladder;
mod level;
mod naive;
mod order_book;
mod queue;
mod reserve;
mod restore;
mod side_book;
mod table;
mod walk;

/// A price such that the higher is the better on both sides of a book; see `side_book::key_of`.
type Key = i64;

pub use book::{Book, Cost, Execution, Filled, MatchSink, PriceLevel, Stop, Taker, order_flags};
pub use naive::NaiveBook;
pub use order_book::OrderBook;
pub use reserve::{Reserve, Reserves, split_mix};
pub use table::{Order, OrderTable};
