//! Events beyond the plain order.

use machine::Body;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::codes::EventKind;
use crate::commands::body;
use crate::events::OrderAccepted;
use crate::special::{
    OrderTerms, SetAccountOptions, SetAccountStatus, SetFeeSchedule, SetInstrumentRules, SetRiskLimits,
    SetTickTable, SetTimetable,
};
use crate::{
    AccountId, AmountMinor, AssetId, ClientOrderId, InstrumentId, OrderId, PriceTicks, QuantityLots,
};

/// Declares events that repeat a command's own fields.
macro_rules! repeats {
    ($($(#[$meta:meta])* $name:ident($command:ident);)+) => {$(
        $(#[$meta])*
        #[repr(transparent)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
        pub struct $name(pub $command);

        impl Body for $name {
            const KIND: u16 = EventKind::$name.code();
        }
    )+};
}

repeats! {
    /// An account's status changed.
    AccountStatusSet(SetAccountStatus);
    /// An account's options changed.
    AccountOptionsSet(SetAccountOptions);
    /// Risk limits changed.
    RiskLimitsSet(SetRiskLimits);
    /// An instrument's rules changed; the reference price is the one that counts now.
    InstrumentRulesSet(SetInstrumentRules);
    /// A tick-size table changed.
    TickTableSet(SetTickTable);
    /// A fee schedule changed.
    FeeScheduleSet(SetFeeSchedule);
    /// A timetable changed.
    TimetableSet(SetTimetable);
}

body! {
    /// An order of any type is live; as [`OrderAccepted`], but it is in the book only once [`OrderShown`] says so.
    /// `price_ticks` is the worst price that it may trade at, whatever the command gave.
    ExtendedOrderAccepted, EventKind::ExtendedOrderAccepted, 160 {
        /// What every order has.
        order: OrderAccepted,
        /// What it asked for besides.
        terms: OrderTerms,
        /// The order that it belongs together with (first of its list); none if it is not of a list, or the first.
        list_order_id: OrderId,
        /// [`crate::ListType`] of its list; 0 for none or a batch.
        list_type: u8,
        /// 1 if it waits for the first order of its list and holds nothing yet.
        inactive: u8,
        /// Zero.
        reserved: [u8; 6],
    }
}

body! {
    /// A waiting order became active: a stop was triggered, an order of a list was set free, an order for the close
    /// joined its auction. From here on it behaves as an order that has just come in.
    OrderTriggered, EventKind::OrderTriggered, 48 {
        /// The engine's id of it.
        order_id: OrderId,
        /// Its limit price.
        price_ticks: PriceTicks,
        /// What is left of it.
        leaves_lots: QuantityLots,
        /// What it has reserved now, in all.
        hold_minor: AmountMinor,
        /// Whose order.
        account: AccountId,
        /// On which instrument.
        instrument: InstrumentId,
        /// [`crate::Side`].
        side: u8,
        /// 1 if it still waits, now for its trigger: a stop of a list that was set free.
        waits: u8,
        /// Zero.
        reserved: [u8; 6],
    }
}

body! {
    /// An extended order now rests last in its price's queue, and this much of it is shown. Also a new slice of an
    /// iceberg.
    OrderShown, EventKind::OrderShown, 40 {
        /// The engine's id of it.
        order_id: OrderId,
        /// Its price.
        price_ticks: PriceTicks,
        /// What is shown of it.
        shown_lots: QuantityLots,
        /// Whose order.
        account: AccountId,
        /// On which instrument.
        instrument: InstrumentId,
        /// [`crate::Side`].
        side: u8,
        /// Zero.
        reserved: [u8; 7],
    }
}

body! {
    /// A pegged order moved with the price it follows. Its hold stays.
    OrderRepriced, EventKind::OrderRepriced, 32 {
        /// The engine's id of it.
        order_id: OrderId,
        /// Its price now.
        price_ticks: PriceTicks,
        /// Whose order.
        account: AccountId,
        /// On which instrument.
        instrument: InstrumentId,
        /// [`crate::Side`].
        side: u8,
        /// Zero.
        reserved: [u8; 7],
    }
}

body! {
    /// Self-trade prevention took quantity from an order without a trade. If nothing is left the order has ended.
    OrderDecremented, EventKind::OrderDecremented, 48 {
        /// The engine's id of it.
        order_id: OrderId,
        /// What was taken.
        quantity_lots: QuantityLots,
        /// What is left.
        leaves_lots: QuantityLots,
        /// What it has reserved now, in all.
        hold_minor: AmountMinor,
        /// Whose order.
        account: AccountId,
        /// On which instrument.
        instrument: InstrumentId,
        /// [`crate::Side`].
        side: u8,
        /// Zero.
        reserved: [u8; 7],
    }
}

body! {
    /// A fee of the trade before was paid in the fee asset; in the quote asset it was 0.
    FeeCharged, EventKind::FeeCharged, 32 {
        /// Which trade.
        trade_id: u64,
        /// What was paid to `AccountId::FEES`.
        amount_minor: AmountMinor,
        /// Who paid.
        account: AccountId,
        /// In what.
        asset: AssetId,
        /// 1 for the maker's fee, 2 for the taker's.
        role: u8,
        /// Zero.
        reserved: [u8; 7],
    }
}

body! {
    /// A mass cancel has begun. Its cancellations follow, by this command and as many later ones as it needs.
    MassCancelAccepted, EventKind::MassCancelAccepted, 56 {
        /// As in the command; for a kill switch the account.
        account: AccountId,
        /// As in the command.
        instrument: InstrumentId,
        /// As in the command.
        client_order_id: ClientOrderId,
        /// As in the command.
        gateway: u16,
        /// As in the command.
        session: u16,
        /// As in the command.
        side: u8,
        /// As in the command.
        of_session: u8,
        /// As in the command.
        reason: u8,
        /// Zero.
        reserved: [u8; 5],
    }
}

body! {
    /// A mass cancel has been through all orders.
    MassCancelDone, EventKind::MassCancelDone, 56 {
        /// Sequence of the command that began it.
        begun_sequence: u64,
        /// As in the command.
        account: AccountId,
        /// As in the command.
        instrument: InstrumentId,
        /// As in the command.
        client_order_id: ClientOrderId,
        /// Orders that it cancelled.
        canceled_orders: u32,
    }
}

body! {
    /// An instrument entered a phase.
    PhaseChanged, EventKind::PhaseChanged, 32 {
        /// When the phase is to end; 0 if nothing is set.
        until_ns: u64,
        /// The reference price now; 0 for none.
        reference_price_ticks: PriceTicks,
        /// On which instrument.
        instrument: InstrumentId,
        /// [`crate::Phase`] now.
        phase: u8,
        /// [`crate::Phase`] before.
        previous: u8,
        /// Zero.
        reserved: [u8; 10],
    }
}

body! {
    /// What an auction would come to now.
    AuctionIndicative, EventKind::AuctionIndicative, 32 {
        /// Price; 0 if nothing would trade.
        price_ticks: PriceTicks,
        /// Quantity that would trade.
        paired_lots: QuantityLots,
        /// Quantity at that price without a counterpart: of buys above 0, of sells below.
        imbalance_lots: QuantityLots,
        /// On which instrument.
        instrument: InstrumentId,
        /// Zero.
        reserved: u32,
    }
}

body! {
    /// An auction's price. Its trades follow, by this command and as many later ones as it needs.
    AuctionUncrossed, EventKind::AuctionUncrossed, 32 {
        /// Price of all trades.
        price_ticks: PriceTicks,
        /// Quantity that trades.
        paired_lots: QuantityLots,
        /// Quantity at that price without a counterpart: of buys above 0, of sells below.
        imbalance_lots: QuantityLots,
        /// On which instrument.
        instrument: InstrumentId,
        /// Zero.
        reserved: u32,
    }
}

body! {
    /// A trade was reversed: the seller paid `quote_minor` back, the buyer the base amount, FEES the fees.
    TradeBusted, EventKind::TradeBusted, 96 {
        /// Which trade.
        trade_id: u64,
        /// The command's reference.
        reference: u64,
        /// Its price.
        price_ticks: PriceTicks,
        /// Its quantity.
        quantity_lots: QuantityLots,
        /// Its quote amount.
        quote_minor: AmountMinor,
        /// The maker's fee, given back (a rebate: taken back), in `maker_fee_asset`.
        maker_fee_minor: AmountMinor,
        /// The taker's fee, given back, in `taker_fee_asset`.
        taker_fee_minor: AmountMinor,
        /// Owner of the maker.
        maker_account: AccountId,
        /// Owner of the taker.
        taker_account: AccountId,
        /// On which instrument.
        instrument: InstrumentId,
        /// What the maker's fee was paid in.
        maker_fee_asset: AssetId,
        /// What the taker's fee was paid in.
        taker_fee_asset: AssetId,
        /// Zero.
        reserved: [u8; 3],
        /// [`crate::Side`] of the taker.
        taker_side: u8,
        /// The order that rested.
        maker_order_id: OrderId,
        /// The order that came in.
        taker_order_id: OrderId,
    }
}

body! {
    /// A list that has an id of its owner's was taken: the orders that this command accepts belong to it. Of a batch
    /// they may all be rejected nevertheless, each by itself.
    OrderListAccepted, EventKind::OrderListAccepted, 48 {
        /// Whose list.
        account: AccountId,
        /// Orders in it.
        count: u32,
        /// As in the command.
        client_list_id: ClientOrderId,
        /// [`crate::ListType`].
        list_type: u8,
        /// Zero.
        reserved: [u8; 3],
    }
}

body! {
    /// A replace changes what an order waits for, or how much of it is shown at a time; [`crate::OrderReplaced`] follows.
    OrderTermsReplaced, EventKind::OrderTermsReplaced, 40 {
        /// The engine's id of it.
        order_id: OrderId,
        /// Its trigger price from now on; 0 if it is as it was.
        trigger_price_ticks: PriceTicks,
        /// What is shown at a time from now on; 0 if it is as it was.
        display_lots: QuantityLots,
        /// Whose order.
        account: AccountId,
        /// On which instrument.
        instrument: InstrumentId,
        /// [`crate::Side`].
        side: u8,
        /// Zero.
        reserved: [u8; 7],
    }
}

body! {
    /// The time has been looked at.
    TimeAdvanced, EventKind::TimeAdvanced, 8 {
        /// 1 if work is left for the next command.
        work_left: u8,
        /// Zero.
        reserved: [u8; 7],
    }
}
