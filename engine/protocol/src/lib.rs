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
mod special;
mod special_events;

pub use codes::{
    AccountStatus, BandAction, CancelReason, CommandKind, EventKind, ListType, OrderType, PegReference,
    Phase, PostOnly, RejectReason, SelfTradePrevention, Side, TimeInForce, TrailUnit, TriggerSource,
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
pub use limits::{
    BUSTABLE_TRADES, Limits, MAX_ALL_OR_NONE_ORDERS, MAX_AMOUNT_MINOR, MAX_FEE_PPM, MAX_FEE_TIERS,
    MAX_LIST_ORDERS, MAX_PEGGED_ORDERS, MAX_POSITION_LOTS, MAX_PRICE_TICKS, MAX_QUANTITY_LOTS, MAX_SEQUENCE,
    MAX_SWEEPS, MAX_TICK_ROWS, MAX_TRAILING_ORDERS, SWEPT_SLOTS_PER_COMMAND, VOLUME_DAYS,
};
pub use money::{base_amount, fee, hold_amount, quote_amount, signed_fee};
pub use special::{
    AdvanceTime, BustTrade, FeeTier, MassCancel, NewClientOrderList, NewExtendedOrder, NewOrderList,
    OrderTerms, ReplaceExtendedOrder, ReplaceOrderTerms, SetAccountOptions, SetAccountStatus, SetFeeSchedule,
    SetInstrumentRules, SetPhase, SetRiskLimits, SetTickTable, SetTimetable, TickRow, term_flags,
};
pub use special_events::{
    AccountOptionsSet, AccountStatusSet, AuctionIndicative, AuctionUncrossed, ExtendedOrderAccepted,
    FeeCharged, FeeScheduleSet, InstrumentRulesSet, MassCancelAccepted, MassCancelDone, OrderDecremented,
    OrderListAccepted, OrderRepriced, OrderShown, OrderTermsReplaced, OrderTriggered, PhaseChanged,
    RiskLimitsSet, TickTableSet, TimeAdvanced, TimetableSet, TradeBusted,
};
