//! Commands: wishes. Each is the body of a record with the kind under its name.
//!
//! Fields in order of size, no padding; `reserved` is zero and anything else is rejected as malformed.

use machine::Body;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::codes::CommandKind;
use crate::{
    AccountId, AmountMinor, AssetId, ClientOrderId, InstrumentId, Name, OrderId, PriceTicks, QuantityLots,
};

/// Declares a record body with its kind and its exact size.
macro_rules! body {
    ($(#[$meta:meta])* $name:ident, $kind:expr, $size:literal { $($(#[$fmeta:meta])* $field:ident : $type:ty,)+ }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
        pub struct $name { $($(#[$fmeta])* pub $field: $type,)+ }

        impl Body for $name {
            const KIND: u16 = $kind.code();
        }

        const _: () = assert!(size_of::<$name>() == $size);
        const _: () = assert!(size_of::<$name>() % machine::RECORD_ALIGNMENT == 0);
        const _: () = assert!(align_of::<$name>() <= machine::RECORD_ALIGNMENT);
    };
}
pub(crate) use body;

body! {
    /// Creates an asset: something that accounts hold.
    CreateAsset, CommandKind::CreateAsset, 24 {
        /// Id to create; 1 to `Limits::assets`.
        asset: AssetId,
        /// Decimal places: one whole unit is 10^scale minor units; 0 to 18.
        scale: u8,
        /// Zero.
        reserved: [u8; 3],
        /// Code, such as `USD`.
        name: Name,
    }
}

body! {
    /// Creates an instrument: a pair of assets with its tick, its lot and its fees.
    CreateInstrument, CommandKind::CreateInstrument, 64 {
        /// Minor units of the quote asset for one lot at a price of one tick; 1 to 2^40. Defines the tick.
        quote_minor_per_tick_lot: i64,
        /// Minor units of the base asset in one lot; 1 to 2^40. Defines the lot.
        base_minor_per_lot: i64,
        /// Where the book's ladder window starts out centred, in ticks; 0 lets the first order decide. Speed only.
        reference_price_ticks: PriceTicks,
        /// Id to create; 1 to `Limits::instruments`.
        instrument: InstrumentId,
        /// What is bought and sold.
        base_asset: AssetId,
        /// What it is paid in; another than the base asset.
        quote_asset: AssetId,
        /// Fee on an order that rested, in millionths of the quote amount; 0 to `MAX_FEE_PPM`.
        maker_fee_ppm: u32,
        /// Fee on an order that takes, in millionths of the quote amount; 0 to `MAX_FEE_PPM`.
        taker_fee_ppm: u32,
        /// Price levels in the ladder's window: a power of two from 64 to 131,072; 0 means 4,096. Speed only.
        ladder_levels: u32,
        /// Symbol, such as `BTC/USD`.
        name: Name,
    }
}

body! {
    /// Creates an account.
    CreateAccount, CommandKind::CreateAccount, 24 {
        /// Id to create; `AccountId::FIRST_CLIENT` to `Limits::accounts`.
        account: AccountId,
        /// Zero.
        reserved: u32,
        /// Owner.
        name: Name,
    }
}

body! {
    /// Moves money from the outside world to an account.
    Deposit, CommandKind::Deposit, 24 {
        /// Minor units; 1 to `MAX_AMOUNT_MINOR`.
        amount_minor: AmountMinor,
        /// The operator's own reference, returned in the event; not interpreted.
        reference: u64,
        /// To whom.
        account: AccountId,
        /// Of what.
        asset: AssetId,
    }
}

body! {
    /// Moves money from an account to the outside world, if it is available.
    Withdraw, CommandKind::Withdraw, 24 {
        /// Minor units; 1 to `MAX_AMOUNT_MINOR`.
        amount_minor: AmountMinor,
        /// The operator's own reference, returned in the event; not interpreted.
        reference: u64,
        /// From whom.
        account: AccountId,
        /// Of what.
        asset: AssetId,
    }
}

body! {
    /// Enters an order (FIX 35=D).
    NewOrder, CommandKind::NewOrder, 64 {
        /// Limit price; 0 for a market order.
        price_ticks: PriceTicks,
        /// Quantity.
        quantity_lots: QuantityLots,
        /// Whose order.
        account: AccountId,
        /// On which instrument.
        instrument: InstrumentId,
        /// The client's id of it.
        client_order_id: ClientOrderId,
        /// [`crate::Side`].
        side: u8,
        /// [`crate::OrderType`].
        order_type: u8,
        /// [`crate::TimeInForce`].
        time_in_force: u8,
        /// [`crate::SelfTradePrevention`].
        self_trade_prevention: u8,
    }
}

body! {
    /// Cancels a resting order (FIX 35=F).
    CancelOrder, CommandKind::CancelOrder, 56 {
        /// The engine's id of the order.
        order_id: OrderId,
        /// Whose order; anyone else's is unknown.
        account: AccountId,
        /// On which instrument.
        instrument: InstrumentId,
        /// The client's id of this request; returned in the event, not interpreted.
        client_order_id: ClientOrderId,
        /// Zero.
        reserved: u32,
    }
}

body! {
    /// Changes price and quantity of a resting order (FIX 35=G). The order keeps its id.
    ReplaceOrder, CommandKind::ReplaceOrder, 72 {
        /// The engine's id of the order.
        order_id: OrderId,
        /// New limit price.
        price_ticks: PriceTicks,
        /// New total quantity, what is filled already included (FIX 38 OrderQty).
        quantity_lots: QuantityLots,
        /// Whose order; anyone else's is unknown.
        account: AccountId,
        /// On which instrument.
        instrument: InstrumentId,
        /// The client's new id of the order; none keeps the old one.
        client_order_id: ClientOrderId,
        /// Zero.
        reserved: u32,
    }
}

body! {
    /// Ends the trading day of an instrument: its day orders are cancelled, oldest slot first, at most
    /// `Limits::fills_per_command` by one command. The event says whether to send another.
    EndDay, CommandKind::EndDay, 8 {
        /// On which instrument.
        instrument: InstrumentId,
        /// Zero.
        reserved: u32,
    }
}
