//! Enumerations. In records they are plain integers, since a record may come from anywhere; `from_code` checks.

/// Declares a code: an enum with stable numbers, `code()` and a checked `from_code()`, and `name()`.
macro_rules! codes {
    ($(#[$meta:meta])* $name:ident : $repr:ident { $($(#[$vmeta:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$meta])*
        #[repr($repr)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vmeta])* $variant = $value,)+ }

        impl $name {
            /// All variants, in order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The number in records.
            #[inline]
            #[must_use]
            pub const fn code(self) -> $repr { self as $repr }

            /// The variant with this number.
            #[inline]
            #[must_use]
            pub const fn from_code(code: $repr) -> Option<Self> {
                match code { $($value => Some(Self::$variant),)+ _ => None }
            }

            /// The name, as in this source.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)+ }
            }
        }
    };
}

codes! {
    /// Kinds of command records.
    CommandKind: u16 {
        /// [`crate::CreateAsset`].
        CreateAsset = 1,
        /// [`crate::CreateInstrument`].
        CreateInstrument = 2,
        /// [`crate::CreateAccount`].
        CreateAccount = 3,
        /// [`crate::Deposit`].
        Deposit = 4,
        /// [`crate::Withdraw`].
        Withdraw = 5,
        /// [`crate::NewOrder`].
        NewOrder = 6,
        /// [`crate::CancelOrder`].
        CancelOrder = 7,
        /// [`crate::ReplaceOrder`].
        ReplaceOrder = 8,
        /// [`crate::EndDay`].
        EndDay = 9,
        /// [`crate::NewExtendedOrder`].
        NewExtendedOrder = 10,
        /// [`crate::NewOrderList`], followed by its orders.
        NewOrderList = 11,
        /// [`crate::ReplaceExtendedOrder`].
        ReplaceExtendedOrder = 12,
        /// [`crate::MassCancel`].
        MassCancel = 13,
        /// [`crate::SetAccountStatus`].
        SetAccountStatus = 14,
        /// [`crate::SetAccountOptions`].
        SetAccountOptions = 15,
        /// [`crate::SetRiskLimits`].
        SetRiskLimits = 16,
        /// [`crate::SetInstrumentRules`].
        SetInstrumentRules = 17,
        /// [`crate::SetTickTable`].
        SetTickTable = 18,
        /// [`crate::SetFeeSchedule`].
        SetFeeSchedule = 19,
        /// [`crate::SetTimetable`].
        SetTimetable = 20,
        /// [`crate::SetPhase`].
        SetPhase = 21,
        /// [`crate::BustTrade`].
        BustTrade = 22,
        /// [`crate::AdvanceTime`].
        AdvanceTime = 23,
        /// [`crate::NewClientOrderList`], followed by its orders.
        NewClientOrderList = 24,
        /// [`crate::ReplaceOrderTerms`].
        ReplaceOrderTerms = 25,
    }
}

codes! {
    /// Kinds of event records.
    EventKind: u16 {
        /// [`crate::Rejected`].
        Rejected = 0x8000,
        /// [`crate::AssetCreated`].
        AssetCreated = 0x8001,
        /// [`crate::InstrumentCreated`].
        InstrumentCreated = 0x8002,
        /// [`crate::AccountCreated`].
        AccountCreated = 0x8003,
        /// [`crate::Deposited`].
        Deposited = 0x8004,
        /// [`crate::Withdrawn`].
        Withdrawn = 0x8005,
        /// [`crate::OrderAccepted`].
        OrderAccepted = 0x8006,
        /// [`crate::OrderCanceled`].
        OrderCanceled = 0x8007,
        /// [`crate::OrderReplaced`].
        OrderReplaced = 0x8008,
        /// [`crate::DayEnded`].
        DayEnded = 0x8009,
        /// [`crate::Trade`].
        Trade = 0x800A,
        /// [`crate::ExtendedOrderAccepted`].
        ExtendedOrderAccepted = 0x800B,
        /// [`crate::OrderTriggered`].
        OrderTriggered = 0x800C,
        /// [`crate::OrderShown`].
        OrderShown = 0x800D,
        /// [`crate::OrderRepriced`].
        OrderRepriced = 0x800E,
        /// [`crate::OrderDecremented`].
        OrderDecremented = 0x800F,
        /// [`crate::FeeCharged`].
        FeeCharged = 0x8010,
        /// [`crate::MassCancelAccepted`].
        MassCancelAccepted = 0x8011,
        /// [`crate::MassCancelDone`].
        MassCancelDone = 0x8012,
        /// [`crate::AccountStatusSet`].
        AccountStatusSet = 0x8013,
        /// [`crate::AccountOptionsSet`].
        AccountOptionsSet = 0x8014,
        /// [`crate::RiskLimitsSet`].
        RiskLimitsSet = 0x8015,
        /// [`crate::InstrumentRulesSet`].
        InstrumentRulesSet = 0x8016,
        /// [`crate::TickTableSet`].
        TickTableSet = 0x8017,
        /// [`crate::FeeScheduleSet`].
        FeeScheduleSet = 0x8018,
        /// [`crate::TimetableSet`].
        TimetableSet = 0x8019,
        /// [`crate::PhaseChanged`].
        PhaseChanged = 0x801A,
        /// [`crate::AuctionIndicative`].
        AuctionIndicative = 0x801B,
        /// [`crate::AuctionUncrossed`].
        AuctionUncrossed = 0x801C,
        /// [`crate::TradeBusted`].
        TradeBusted = 0x801D,
        /// [`crate::TimeAdvanced`].
        TimeAdvanced = 0x801E,
        /// [`crate::OrderListAccepted`].
        OrderListAccepted = 0x801F,
        /// [`crate::OrderTermsReplaced`].
        OrderTermsReplaced = 0x8020,
    }
}

codes! {
    /// Side of an order (FIX tag 54).
    Side: u8 {
        /// Buys the base asset for the quote asset.
        Buy = 1,
        /// Sells the base asset for the quote asset.
        Sell = 2,
    }
}

impl Side {
    /// The other side.
    #[inline]
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

codes! {
    /// Order type (FIX tag 40; the numbers are FIX's characters, digits by value, letters as ASCII).
    OrderType: u8 {
        /// Any price, or any within the instrument's collar; never rests in the book.
        Market = 1,
        /// At the limit price or better.
        Limit = 2,
        /// Waits for its trigger, then trades like a market order.
        Stop = 3,
        /// Waits for its trigger, then is a limit order.
        StopLimit = 4,
        /// Trades at the best opposite price; what is left is a limit order at that price (FIX 40=K).
        MarketToLimit = 75,
        /// Hidden, at a price that follows the best prices (FIX 40=P).
        Pegged = 80,
    }
}

codes! {
    /// Time in force (FIX tag 59; the numbers are FIX's digits).
    TimeInForce: u8 {
        /// Rests until [`crate::EndDay`] or the close of the timetable.
        Day = 0,
        /// Rests until filled or cancelled.
        GoodTillCancel = 1,
        /// Trades in the opening auction only.
        AtTheOpening = 2,
        /// Trades what it can at once; the remainder is cancelled.
        ImmediateOrCancel = 3,
        /// Trades in full at once or not at all.
        FillOrKill = 4,
        /// Rests until a time given in [`crate::OrderTerms::expire_time_ns`].
        GoodTillDate = 6,
        /// Trades in the closing auction only; waits for it outside the book.
        AtTheClose = 7,
    }
}

codes! {
    /// What happens when an order would trade with a resting order of its own account.
    SelfTradePrevention: u8 {
        /// Nothing: the account trades with itself.
        Allow = 0,
        /// The incoming order's remainder is cancelled; the resting order stays.
        CancelNewest = 1,
        /// The resting order is cancelled; the incoming one goes on.
        CancelOldest = 2,
        /// Both are cancelled.
        CancelBoth = 3,
        /// Both lose the smaller quantity of the two without a trade, so that the smaller order ends.
        DecrementAndCancel = 4,
    }
}

codes! {
    /// Why a command was rejected. Numbers are stable for ever; `docs/exchange.md`, section "Order of checks", says which
    /// is given where several apply.
    RejectReason: u16 {
        /// The record's kind, version or size is not known, or an enumeration or reserved byte is out of range.
        Malformed = 1,
        /// The journal's last sequence number has been used; see [`crate::MAX_SEQUENCE`].
        SequenceExhausted = 2,
        /// No such account, or one that cannot be used this way (WORLD and FEES neither trade nor deposit).
        UnknownAccount = 3,
        /// No such instrument.
        UnknownInstrument = 4,
        /// No such asset.
        UnknownAsset = 5,
        /// The id is 0 or above the limit in [`crate::Limits`].
        IdOutOfRange = 6,
        /// The id exists already.
        AlreadyExists = 7,
        /// A parameter of an asset, instrument or account is out of its documented range.
        InvalidParameter = 8,
        /// The price is outside 1 to [`crate::MAX_PRICE_TICKS`], or is given for a market order.
        InvalidPrice = 9,
        /// The quantity is outside 1 to [`crate::MAX_QUANTITY_LOTS`].
        InvalidQuantity = 10,
        /// The order type does not go with this time in force (a market order is IOC or FOK).
        InvalidTimeInForce = 11,
        /// The amount is outside 1 to [`crate::MAX_AMOUNT_MINOR`], or the asset's total would exceed it.
        InvalidAmount = 12,
        /// No such order of this account on this instrument: never was, filled, or cancelled already.
        UnknownOrder = 13,
        /// A replace asks for no more than what has been filled already.
        QuantityBelowFilled = 14,
        /// The account has a live order with this client order id.
        DuplicateClientOrderId = 15,
        /// Price times quantity plus fee exceeds [`crate::MAX_AMOUNT_MINOR`].
        NotionalTooLarge = 16,
        /// The order table is full ([`crate::Limits::orders`]).
        OrderTableFull = 17,
        /// The balance table is full ([`crate::Limits::balances`]).
        BalanceTableFull = 18,
        /// The available balance (balance less holds) does not cover the order, its fee or the withdrawal.
        InsufficientFunds = 19,
        /// The account is suspended: it may cancel, and nothing else.
        AccountSuspended = 20,
        /// The instrument's phase does not take such an order.
        WrongPhase = 21,
        /// The price is not a multiple of the tick that the instrument's table asks for there.
        PriceOffTick = 22,
        /// The quantity is not a multiple of the round lot, or outside the instrument's smallest and largest.
        QuantityOutsideRules = 23,
        /// Price times quantity is outside the instrument's smallest and largest.
        NotionalOutsideRules = 24,
        /// The price is outside the instrument's price bands.
        OutsidePriceBand = 25,
        /// Above the account's largest order quantity.
        RiskQuantity = 26,
        /// Above the account's largest order notional.
        RiskNotional = 27,
        /// The account has as many open orders on the instrument as it may.
        RiskOpenOrders = 28,
        /// With all open orders of this side filled the account's position would be too large.
        RiskPosition = 29,
        /// The price is further from the reference price than the account may go.
        RiskPriceCollar = 30,
        /// The account has sent as many orders in this interval as it may.
        RateLimited = 31,
        /// A post-only order would have traded.
        WouldTake = 32,
        /// There is no price on the other side (market-to-limit), or none to peg to.
        NoLiquidity = 33,
        /// The order needs a worst price for its hold, and the instrument has no collar or no reference price.
        NoCollar = 34,
        /// The budget does not buy one lot.
        BudgetTooSmall = 35,
        /// The instrument has as many pegged, trailing or all-or-none orders as it takes.
        TooManyConditional = 36,
        /// An order of a list, or one that waits for another order, cannot be replaced.
        NotReplaceable = 37,
        /// The trade is not among the last [`crate::BUSTABLE_TRADES`].
        UnknownTrade = 38,
        /// The trade was busted before.
        AlreadyBusted = 39,
        /// The position table is full ([`crate::Limits::positions`]).
        PositionTableFull = 40,
        /// As many mass cancels are at work as there may be ([`crate::MAX_SWEEPS`]).
        TooManySweeps = 41,
        /// As many pairs of account and instrument have risk limits of their own as there may be positions
        /// ([`crate::Limits::positions`]).
        RiskTableFull = 42,
    }
}

codes! {
    /// Why an order ended without being filled.
    CancelReason: u8 {
        /// Its owner asked.
        Requested = 1,
        /// Remainder of an immediate-or-cancel or market order.
        ImmediateOrCancel = 2,
        /// A fill-or-kill order that could not be filled in full.
        FillOrKill = 3,
        /// Self-trade prevention.
        SelfTrade = 4,
        /// A day order at the end of the day.
        DayEnded = 5,
        /// The command had reached [`crate::Limits::fills_per_command`].
        FillLimit = 6,
        /// A good-till-date order whose time has come.
        Expired = 7,
        /// Less than its minimum quantity could be traded at once.
        MinimumQuantity = 8,
        /// The other order of a one-cancels-other pair traded, was triggered or ended.
        OneCancelsOther = 9,
        /// The order that it waited for ended without being filled.
        ListEnded = 10,
        /// When it was to become active its account had too little for its hold.
        InsufficientFunds = 11,
        /// A mass cancel by its owner.
        MassCancel = 12,
        /// A mass cancel because its session was lost.
        Disconnected = 13,
        /// A mass cancel by the operator, or the account's kill switch.
        Operator = 14,
        /// An order for an auction when that auction is over.
        AuctionEnded = 15,
        /// A price band or volatility interruption ended a remainder that may not rest.
        PriceBand = 16,
        /// When it was to become active its account's position would have gone beyond its limit.
        RiskPosition = 17,
    }
}

codes! {
    /// What a waiting order's trigger looks at.
    TriggerSource: u8 {
        /// The price of the last trade.
        LastTrade = 1,
        /// The best price of the side that the order would meet: best sell for a buy, best buy for a sell.
        BestPrice = 2,
    }
}

codes! {
    /// Unit of a trailing stop's offset.
    TrailUnit: u8 {
        /// Ticks.
        Ticks = 1,
        /// Hundredths of a percent of the price followed, rounded down to ticks, at least one.
        BasisPoints = 2,
    }
}

codes! {
    /// What a pegged order follows.
    PegReference: u8 {
        /// The best buy price shown.
        BestBid = 1,
        /// The best sell price shown.
        BestAsk = 2,
        /// The middle of both, rounded away from the other side.
        Midpoint = 3,
    }
}

codes! {
    /// What a post-only order does when it would trade.
    PostOnly: u8 {
        /// It is rejected.
        Reject = 1,
        /// Its price moves to one tick from the best opposite price.
        Slide = 2,
    }
}

codes! {
    /// What the orders of a [`crate::NewOrderList`] have to do with each other.
    ListType: u8 {
        /// Nothing: each is accepted or rejected by itself, in order.
        Batch = 0,
        /// Two: when one trades, triggers or ends, the other is cancelled.
        OneCancelsOther = 1,
        /// Two: the second becomes active when the first is filled.
        OneTriggersOther = 2,
        /// Three: when the first is filled the other two become a one-cancels-other pair.
        Bracket = 3,
    }
}

codes! {
    /// Whether an account may trade.
    AccountStatus: u8 {
        /// It may.
        Active = 0,
        /// It may cancel, and nothing else.
        Suspended = 1,
    }
}

codes! {
    /// Trading phase of an instrument (FIX tag 625, TradingSessionSubID).
    Phase: u8 {
        /// Orders are matched as they come.
        Continuous = 0,
        /// Orders are collected.
        PreOpen = 1,
        /// Orders are collected; at the end they trade at one price. The indicative price is published.
        OpeningAuction = 2,
        /// The same after a price band was hit.
        VolatilityAuction = 3,
        /// The same before the close.
        ClosingAuction = 4,
        /// Orders can only be cancelled.
        Closed = 5,
        /// Orders can only be cancelled, by the operator's word.
        Halted = 6,
    }
}

impl Phase {
    /// Whether orders are collected and trade at one price when the phase ends.
    #[must_use]
    pub const fn is_auction(self) -> bool {
        matches!(self, Self::OpeningAuction | Self::VolatilityAuction | Self::ClosingAuction)
    }

    /// Whether orders are taken and rest without being matched.
    #[must_use]
    pub const fn collects(self) -> bool {
        matches!(self, Self::PreOpen) || self.is_auction()
    }
}

codes! {
    /// What happens at a price band.
    BandAction: u8 {
        /// A limit price beyond it is rejected.
        Reject = 0,
        /// Matching stops at it and a volatility auction begins.
        Auction = 1,
    }
}
