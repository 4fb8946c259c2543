//! Nasdaq TotalView-ITCH 5.0: every message type, read from and written to its exact bytes.
//!
//! Source: "Nasdaq TotalView-ITCH 5.0" specification, sections 1.1 to 1.8. Integers are big-endian, prices have four
//! implied decimals (eight for the market-wide circuit breaker), text is padded with spaces on the right, and every
//! message starts with type, stock locate, tracking number and nanoseconds since midnight. In files each message
//! follows its length as two bytes.

mod messages;
mod reader;

pub use messages::{
    AddOrder, AddOrderAttributed, AuctionCollar, BrokenTrade, CrossTrade, DirectListing, Header,
    IpoQuotation, MarketParticipant, Message, MessageError, MwcbDecline, MwcbStatus, Noii, OperationalHalt,
    OrderCancel, OrderDelete, OrderExecuted, OrderExecutedWithPrice, OrderReplace, RegSho, RetailInterest,
    Stock, StockDirectory, SystemEvent, Trade, TradingAction, known_lengths,
};
pub use reader::{Frames, InputEnd};
