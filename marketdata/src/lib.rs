//! Depth, trades and reference data, folded from the exchange's events and from nothing else.
//!
//! [`DepthBook`] is a [`machine::Projection`]: give it every event record in order and it holds, for each
//! instrument, the shown orders in their queues (L3), the price levels (L2), the best prices with the trading phase
//! and what an auction would come to (L1), a bounded tape of trades and the session's figures. [`Changes`] is what one
//! command changed in them, for feeds that send increments. [`BookView`] is a copy of the top of one book in decimal
//! units, for a screen or a feed; [`render_lines`] draws it as text. [`DepthBook::seed`] builds it all from a machine's
//! state, where the events before are not at hand.
#![forbid(unsafe_code)]

mod book;
mod changes;
mod depth;
mod reference;
mod seed;
mod view;
mod window;

pub use book::{AuctionResult, DepthLevel, InstrumentBook, PhaseState, RestingOrder, TapeTrade};
pub use changes::{ChangeAction, Changes, Marks, OrderChange, PriceChange};
pub use depth::DepthBook;
pub use reference::{InstrumentReference, ReferenceError};
pub use seed::{InstrumentSeed, OrderSeed, Seed};
pub use view::{AuctionView, BookView, LevelView, TradeView, render_lines};
pub use window::LevelStep;
