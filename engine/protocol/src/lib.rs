//! The words of the exchange: ids, units, commands, events and reject reasons.
//!
//! What a command means, rule by rule, is in `docs/exchange.md`; this crate says what it looks like. Commands and
//! events are fixed-layout little-endian records, the same bytes in ring, journal and binary feed. The layout test
//! in `layout.rs` lists every one of them.
#![no_std]
#![forbid(unsafe_code)]

mod codes;
mod commands;
mod events;
mod ids;
mod layout;
mod limits;
mod money;

pub use codes::{
    CancelReason, CommandKind, EventKind, OrderType, RejectReason, SelfTradePrevention, Side, TimeInForce,
};
pub use commands::{
    CancelOrder, CreateAccount, CreateAsset, CreateInstrument, Deposit, EndDay, NewOrder, ReplaceOrder,
    Withdraw,
};
pub use events::{
    AccountCreated, AssetCreated, DayEnded, Deposited, InstrumentCreated, OrderAccepted, OrderCanceled,
    OrderReplaced, Rejected, Trade, Withdrawn,
};
pub use ids::{
    AccountId, AmountMinor, AssetId, ClientOrderId, InstrumentId, Name, OrderId, PriceTicks, QuantityLots,
};
pub use layout::{Layout, layouts};
pub use limits::{Limits, MAX_AMOUNT_MINOR, MAX_FEE_PPM, MAX_PRICE_TICKS, MAX_QUANTITY_LOTS, MAX_SEQUENCE};
pub use money::{base_amount, fee, hold_amount, quote_amount};
