//! Events: facts. Each is the body of a record with the kind under its name, and carries the sequence, time and
//! source of the command that caused it.

use machine::Body;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::codes::EventKind;
use crate::commands::body;
use crate::{
    AccountId, AmountMinor, AssetId, ClientOrderId, CreateInstrument, InstrumentId, Name, OrderId,
    PriceTicks, QuantityLots,
};

body! {
    /// A command was rejected and changed nothing.
    Rejected, EventKind::Rejected, 64 {
        /// The order that the command named; none for a new order.
        order_id: OrderId,
        /// The account that the command named; 0 if none.
        account: AccountId,
        /// The instrument that the command named; 0 if none.
        instrument: InstrumentId,
        /// The client's id of the request.
        client_order_id: ClientOrderId,
        /// [`crate::RejectReason`].
        reason: u16,
        /// Kind of the rejected command.
        command_kind: u16,
        /// The asset that the command named; 0 if none.
        asset: AssetId,
        /// Zero.
        reserved: u32,
    }
}

body! {
    /// An asset exists.
    AssetCreated, EventKind::AssetCreated, 24 {
        /// Its id.
        asset: AssetId,
        /// Decimal places.
        scale: u8,
        /// Zero.
        reserved: [u8; 3],
        /// Its code.
        name: Name,
    }
}

/// An instrument exists: the command's own fields.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct InstrumentCreated(pub CreateInstrument);

impl Body for InstrumentCreated {
    const KIND: u16 = EventKind::InstrumentCreated.code();
}

body! {
    /// An account exists.
    AccountCreated, EventKind::AccountCreated, 24 {
        /// Its id.
        account: AccountId,
        /// Zero.
        reserved: u32,
        /// Owner.
        name: Name,
    }
}

body! {
    /// Money came from the outside world.
    Deposited, EventKind::Deposited, 32 {
        /// Minor units.
        amount_minor: AmountMinor,
        /// The command's reference.
        reference: u64,
        /// The account's balance after it, holds included.
        balance_minor: AmountMinor,
        /// To whom.
        account: AccountId,
        /// Of what.
        asset: AssetId,
    }
}

body! {
    /// Money left to the outside world.
    Withdrawn, EventKind::Withdrawn, 32 {
        /// Minor units.
        amount_minor: AmountMinor,
        /// The command's reference.
        reference: u64,
        /// The account's balance after it, holds included.
        balance_minor: AmountMinor,
        /// From whom.
        account: AccountId,
        /// Of what.
        asset: AssetId,
    }
}

body! {
    /// An order is live. Trades and a cancellation may follow by the same command; what is left when the command
    /// ends rests in the book.
    OrderAccepted, EventKind::OrderAccepted, 80 {
        /// The engine's id of it.
        order_id: OrderId,
        /// Limit price; 0 for a market order.
        price_ticks: PriceTicks,
        /// Quantity.
        quantity_lots: QuantityLots,
        /// Reserved from the account: quote asset for a buy, base asset for a sell. For a limit order that is
        /// `hold_amount` of the whole; for a market buy what the book would cost now.
        hold_minor: AmountMinor,
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
    /// An order ended without being filled in full; what it had reserved is free again.
    OrderCanceled, EventKind::OrderCanceled, 72 {
        /// The engine's id of it.
        order_id: OrderId,
        /// What was left of it (FIX LeavesQty before it became 0).
        leaves_lots: QuantityLots,
        /// Released from the account's holds: quote asset for a buy, base asset for a sell.
        released_minor: AmountMinor,
        /// Whose order.
        account: AccountId,
        /// On which instrument.
        instrument: InstrumentId,
        /// The client's id of the cancel request; none when nobody asked.
        client_order_id: ClientOrderId,
        /// [`crate::Side`].
        side: u8,
        /// [`crate::CancelReason`].
        reason: u8,
        /// Zero.
        reserved: [u8; 2],
    }
}

body! {
    /// An order has a new price or quantity. Trades may follow by the same command if it lost its place.
    OrderReplaced, EventKind::OrderReplaced, 88 {
        /// The engine's id of it, unchanged.
        order_id: OrderId,
        /// New limit price.
        price_ticks: PriceTicks,
        /// New total quantity.
        quantity_lots: QuantityLots,
        /// New leaves quantity: total less filled.
        leaves_lots: QuantityLots,
        /// What the order has reserved now, in all: quote asset for a buy, base asset for a sell.
        hold_minor: AmountMinor,
        /// Whose order.
        account: AccountId,
        /// On which instrument.
        instrument: InstrumentId,
        /// The client's id of the order from now on.
        client_order_id: ClientOrderId,
        /// [`crate::Side`].
        side: u8,
        /// 1 if the order kept its place in the queue, else 0.
        kept_priority: u8,
        /// Zero.
        reserved: [u8; 2],
    }
}

body! {
    /// The day orders of an instrument have been cancelled, or some of them.
    DayEnded, EventKind::DayEnded, 8 {
        /// On which instrument.
        instrument: InstrumentId,
        /// Day orders still there because the command reached its limit: send another `EndDay`.
        remaining_orders: u32,
    }
}

body! {
    /// Two orders traded. Money moved: the buyer paid `quote_minor` and its fee, the seller received `quote_minor`
    /// less its fee, the base amount went the other way, and the fees stand on `AccountId::FEES`. In an auction the older
    /// order is the maker, and the price is the auction's.
    Trade, EventKind::Trade, 96 {
        /// Number of the trade on this exchange, from 1, without gaps.
        trade_id: u64,
        /// The order that rested.
        maker_order_id: OrderId,
        /// The order that came in.
        taker_order_id: OrderId,
        /// The maker's price; in an auction that of the auction.
        price_ticks: PriceTicks,
        /// Quantity of this trade.
        quantity_lots: QuantityLots,
        /// Quote amount of this trade.
        quote_minor: AmountMinor,
        /// Fee of the maker, in the quote asset; negative is a rebate; 0 if [`crate::FeeCharged`] follows.
        maker_fee_minor: AmountMinor,
        /// Fee of the taker, in the quote asset; 0 if [`crate::FeeCharged`] follows.
        taker_fee_minor: AmountMinor,
        /// What is left of the maker, shown or not.
        maker_leaves_lots: QuantityLots,
        /// What is left of the taker.
        taker_leaves_lots: QuantityLots,
        /// Owner of the maker.
        maker_account: AccountId,
        /// Owner of the taker.
        taker_account: AccountId,
        /// On which instrument.
        instrument: InstrumentId,
        /// [`crate::Side`] of the taker.
        taker_side: u8,
        /// 1 for a trade of an auction, else 0.
        auction: u8,
        /// Zero.
        reserved: [u8; 2],
    }
}
