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
    /// Order type (FIX tag 40; the numbers are FIX's digits).
    OrderType: u8 {
        /// Any price; never rests.
        Market = 1,
        /// At the limit price or better.
        Limit = 2,
    }
}

codes! {
    /// Time in force (FIX tag 59; the numbers are FIX's digits).
    TimeInForce: u8 {
        /// Rests until [`crate::EndDay`].
        Day = 0,
        /// Rests until filled or cancelled.
        GoodTillCancel = 1,
        /// Trades what it can at once; the remainder is cancelled.
        ImmediateOrCancel = 3,
        /// Trades in full at once or not at all.
        FillOrKill = 4,
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
        /// Both lose the smaller of their quantities without a trade; what is left of either goes on.
        DecrementAndCancel = 4,
    }
}

codes! {
    /// Why a command was rejected. Numbers are stable for ever; where several apply, the lowest is given.
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
    }
}
