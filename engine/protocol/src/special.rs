//! Commands beyond the plain order: every other order type, lists, mass cancels, and what an operator sets.

use machine::Body;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::codes::CommandKind;
use crate::commands::{NewOrder, ReplaceOrder, body};
use crate::{
    AccountId, AmountMinor, AssetId, ClientOrderId, InstrumentId, MAX_FEE_TIERS, MAX_TICK_ROWS, PriceTicks,
    QuantityLots,
};

/// Bits of [`OrderTerms::flags`].
pub mod term_flags {
    /// The order rests without being shown, behind the shown orders of its price.
    pub const HIDDEN: u8 = 1;
    /// While it rests it trades in full with one incoming order or not at all.
    pub const ALL_OR_NONE: u8 = 2;
}

/// What an order asks for beyond a [`NewOrder`]. All zero asks for nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct OrderTerms {
    /// Price at which a waiting order is triggered (FIX 99 StopPx); 0 for a trailing stop, whose trigger follows.
    pub trigger_price_ticks: PriceTicks,
    /// What is shown of an iceberg at a time (FIX 1138 DisplayQty); 0 shows all.
    pub display_lots: QuantityLots,
    /// Least quantity that must trade at once (FIX 110 MinQty); 0 asks for none.
    pub minimum_lots: QuantityLots,
    /// Nanoseconds since the Unix epoch at which a good-till-date order ends (FIX 126 ExpireTime); 0 for others.
    pub expire_time_ns: u64,
    /// Most that a spend-budget market buy may cost, its fee included, in minor units of the quote asset; 0 for others.
    pub budget_minor: AmountMinor,
    /// Pegged: added to the price followed, in ticks. Trailing: distance in [`crate::TrailUnit`].
    pub offset: i64,
    /// A refill shows this many lots more or less than `display_lots`, at random; below `display_lots`.
    pub display_variation_lots: u32,
    /// [`crate::TriggerSource`]; 0 for an order that does not wait.
    pub trigger: u8,
    /// [`crate::TrailUnit`]; 0 for an order whose trigger does not follow.
    pub trail: u8,
    /// [`crate::PegReference`]; 0 for others.
    pub peg: u8,
    /// [`crate::PostOnly`]; 0 for others.
    pub post_only: u8,
    /// [`term_flags`].
    pub flags: u8,
    /// Zero.
    pub reserved: [u8; 7],
}

const _: () = assert!(size_of::<OrderTerms>() == 64);

body! {
    /// Enters an order of any type (FIX 35=D).
    NewExtendedOrder, CommandKind::NewExtendedOrder, 128 {
        /// What every order has. [`OrderTerms`] of zeros make it that very order.
        order: NewOrder,
        /// What it asks for besides.
        terms: OrderTerms,
    }
}

body! {
    /// Head of a list of orders (FIX 35=E). The record's body is this and `count` times [`NewExtendedOrder`].
    NewOrderList, CommandKind::NewOrderList, 16 {
        /// Whose orders; each order names the same account.
        account: AccountId,
        /// Orders that follow; 1 to [`crate::MAX_LIST_ORDERS`], 2 or 3 as the type says.
        count: u32,
        /// [`crate::ListType`].
        list_type: u8,
        /// Zero.
        reserved: [u8; 7],
    }
}

body! {
    /// Head of a list of orders that has an id of its owner's (FIX 35=E with 66). The record's body is this and
    /// `list.count` times [`NewExtendedOrder`]. As [`NewOrderList`], but [`crate::OrderListAccepted`] comes before the
    /// events of its orders.
    NewClientOrderList, CommandKind::NewClientOrderList, 56 {
        /// What every list has.
        list: NewOrderList,
        /// The client's id of the list; not none. Returned in the event, not interpreted.
        client_list_id: ClientOrderId,
        /// Zero.
        reserved: [u8; 4],
    }
}

body! {
    /// Changes an order of any type (FIX 35=G).
    ReplaceExtendedOrder, CommandKind::ReplaceExtendedOrder, 88 {
        /// What every replace has.
        replace: ReplaceOrder,
        /// New trigger price of an order that waits; 0 keeps the old one.
        trigger_price_ticks: PriceTicks,
        /// New quantity that an iceberg shows at a time; 0 keeps the old one.
        display_lots: QuantityLots,
    }
}

/// As [`ReplaceExtendedOrder`], but [`crate::OrderTermsReplaced`] says what has changed beside price and quantity.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ReplaceOrderTerms(pub ReplaceExtendedOrder);

impl Body for ReplaceOrderTerms {
    const KIND: u16 = CommandKind::ReplaceOrderTerms.code();
}

body! {
    /// Cancels all orders that fit (FIX 35=q), continued by later commands where they are many. At least one of
    /// account, instrument, side and session must be given.
    MassCancel, CommandKind::MassCancel, 56 {
        /// Of this account; 0 of any. Who may ask for that is the gateway's matter.
        account: AccountId,
        /// On this instrument; 0 on any.
        instrument: InstrumentId,
        /// The client's id of this request; returned in the events, not interpreted.
        client_order_id: ClientOrderId,
        /// Gateway of the session whose orders are meant; see `of_session`.
        gateway: u16,
        /// Session whose orders are meant; see `of_session`.
        session: u16,
        /// [`crate::Side`]; 0 both.
        side: u8,
        /// 1: only orders that `gateway` and `session` entered; 0: whoever entered them.
        of_session: u8,
        /// [`crate::CancelReason`] that the events give: `MassCancel`, `Disconnected` or `Operator`.
        reason: u8,
        /// Zero.
        reserved: [u8; 5],
    }
}

body! {
    /// Suspends an account or lets it trade again.
    SetAccountStatus, CommandKind::SetAccountStatus, 8 {
        /// Which account.
        account: AccountId,
        /// [`crate::AccountStatus`].
        status: u8,
        /// 1 cancels all its orders too (the kill switch); then `status` is `Suspended`.
        cancel_orders: u8,
        /// Zero.
        reserved: [u8; 2],
    }
}

body! {
    /// How an account trades.
    SetAccountOptions, CommandKind::SetAccountOptions, 24 {
        /// Length of the interval of `max_orders`; 0 if that is 0.
        interval_ns: u64,
        /// Which account.
        account: AccountId,
        /// New, replaced and listed orders that it may send in an interval; 0 for no limit.
        max_orders: u32,
        /// [`crate::SelfTradePrevention`] of orders that say `Allow`.
        self_trade_prevention: u8,
        /// 1: its fees are taken in the instrument's fee asset where it has enough of that.
        pays_in_fee_asset: u8,
        /// Zero.
        reserved: [u8; 6],
    }
}

body! {
    /// What an account may do on an instrument. 0 anywhere sets no limit.
    SetRiskLimits, CommandKind::SetRiskLimits, 40 {
        /// Largest quantity of an order.
        max_order_lots: QuantityLots,
        /// Largest notional of an order at its limit price, in minor units of the quote asset.
        max_order_notional_minor: AmountMinor,
        /// Largest position, long or short, with all open orders of one side filled.
        max_position_lots: QuantityLots,
        /// Which account; 0: every account that has no limits of its own there.
        account: AccountId,
        /// On which instrument.
        instrument: InstrumentId,
        /// Open orders at a time.
        max_open_orders: u32,
        /// How far a limit price may be from the reference price to the worse, in basis points.
        price_collar_bps: u32,
    }
}

body! {
    /// An instrument's rules. 0 anywhere means that there is no such rule.
    SetInstrumentRules, CommandKind::SetInstrumentRules, 104 {
        /// Smallest order quantity.
        min_quantity_lots: QuantityLots,
        /// Largest order quantity.
        max_quantity_lots: QuantityLots,
        /// Order quantities are multiples of it.
        round_lot_lots: QuantityLots,
        /// Smallest notional of a limit order, in minor units of the quote asset.
        min_notional_minor: AmountMinor,
        /// Largest notional of a limit order, in minor units of the quote asset.
        max_notional_minor: AmountMinor,
        /// Reference price of the static band, of collars and of auctions until there is a trade; 0 keeps the old one.
        reference_price_ticks: PriceTicks,
        /// How long a volatility auction takes; with `BandAction::Auction` at least 1.
        volatility_auction_ns: u64,
        /// An auction of the timetable, and a volatility auction, ends up to this much later, at random.
        random_end_ns: u64,
        /// Seed of random ends and of iceberg refills.
        seed: u64,
        /// Static price band: distance from the reference price in basis points, at most 10,000.
        static_band_bps: u32,
        /// Dynamic price band: distance from the last trade in basis points, at most 10,000.
        dynamic_band_bps: u32,
        /// Collar: how far a market order may trade from the best opposite price (a stop from its trigger, an auction
        /// order from the reference price) in basis points, at most 10,000.
        collar_bps: u32,
        /// On which instrument.
        instrument: InstrumentId,
        /// Asset that fees may be paid in; 0 for none. Its rate is `fee_asset_rate_ppm`.
        fee_asset: AssetId,
        /// Minor units of the fee asset for a million minor units of fee in the quote asset.
        fee_asset_rate_ppm: u32,
        /// [`crate::BandAction`].
        band_action: u8,
        /// Zero.
        reserved: [u8; 7],
    }
}

/// A row of a [`SetTickTable`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct TickRow {
    /// Lowest price of the row; rises from row to row, the first is 1.
    pub from_price_ticks: PriceTicks,
    /// Limit prices from here on are multiples of it; 1 to 2^20.
    pub tick_ticks: i64,
}

body! {
    /// An instrument's tick-size table. Orders that rest already stay as they are.
    SetTickTable, CommandKind::SetTickTable, 136 {
        /// The first `count` rows count, the others are zero.
        rows: [TickRow; MAX_TICK_ROWS],
        /// On which instrument.
        instrument: InstrumentId,
        /// Rows; 0 for no table.
        count: u32,
    }
}

/// A tier of a [`SetFeeSchedule`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct FeeTier {
    /// Least 30-day volume in the instrument's quote asset, in minor units; rises from tier to tier, the first is 0.
    pub min_volume_minor: AmountMinor,
    /// Fee on an order that rested, in millionths of the quote amount; negative is a rebate.
    pub maker_fee_ppm: i32,
    /// Fee on an order that takes, in millionths of the quote amount.
    pub taker_fee_ppm: i32,
}

body! {
    /// An instrument's fees by an account's volume. No maker's fee exceeds the higher fee of `CreateInstrument` and no
    /// taker's fee its taker's fee, which holds cover, and no rebate the lowest taker's fee, which pays for it.
    SetFeeSchedule, CommandKind::SetFeeSchedule, 72 {
        /// The first `count` tiers count, the others are zero.
        tiers: [FeeTier; MAX_FEE_TIERS],
        /// On which instrument.
        instrument: InstrumentId,
        /// Tiers; 0 for the fees of `CreateInstrument`.
        count: u32,
    }
}

body! {
    /// An instrument's trading day: when each phase begins, in nanoseconds since the Unix epoch. Times rise; 0 leaves a
    /// phase out. A time that has passed takes effect with the next command.
    SetTimetable, CommandKind::SetTimetable, 56 {
        /// Begin of `Phase::PreOpen`.
        pre_open_ns: u64,
        /// Begin of `Phase::OpeningAuction`.
        opening_auction_ns: u64,
        /// Begin of `Phase::Continuous`; the opening auction may end up to `random_end_ns` later.
        continuous_ns: u64,
        /// Begin of `Phase::ClosingAuction`.
        closing_auction_ns: u64,
        /// Begin of `Phase::Closed`; the closing auction may end up to `random_end_ns` later. Ends day orders.
        closed_ns: u64,
        /// After this long all times come again: a day in nanoseconds, say; 0 for never.
        repeat_ns: u64,
        /// On which instrument.
        instrument: InstrumentId,
        /// Zero.
        reserved: u32,
    }
}

body! {
    /// The operator sets an instrument's phase (a halt, a resume, an auction). The timetable goes on.
    SetPhase, CommandKind::SetPhase, 16 {
        /// When `Phase::Continuous` follows; 0 for never.
        until_ns: u64,
        /// On which instrument.
        instrument: InstrumentId,
        /// [`crate::Phase`].
        phase: u8,
        /// Zero.
        reserved: [u8; 3],
    }
}

body! {
    /// The operator reverses a trade: postings back, never an edit.
    BustTrade, CommandKind::BustTrade, 16 {
        /// Which trade; one of the last [`crate::BUSTABLE_TRADES`].
        trade_id: u64,
        /// The operator's own reference, returned in the event; not interpreted.
        reference: u64,
    }
}

body! {
    /// Nothing but the time: expiries, timetables and unfinished work are looked at before every command, and this one
    /// asks for no more. It also publishes what auctions would come to.
    AdvanceTime, CommandKind::AdvanceTime, 8 {
        /// Zero.
        reserved: u64,
    }
}
