//! From FIX requests to commands.

use protocol::{
    AccountId, CancelOrder, ClientOrderId, CommandKind, InstrumentId, NewOrder, OrderId, OrderType,
    PriceTicks, QuantityLots, ReplaceOrder, SelfTradePrevention, Side, TimeInForce,
};
use zerocopy::IntoBytes;

use super::{Catalog, ConversionError, Instrument, Order, status};
use crate::fix::{Message, tags};

/// A request on its way to the engine, with what its answer will need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) kind: CommandKind,
    /// MsgSeqNum that it came with.
    pub(crate) sequence: u64,
    pub(crate) client_order_id: ClientOrderId,
    pub(crate) original_client_order_id: ClientOrderId,
    pub(crate) order_id: OrderId,
    pub(crate) account: AccountId,
    pub(crate) instrument: InstrumentId,
    pub(crate) price_ticks: PriceTicks,
    pub(crate) quantity_lots: QuantityLots,
    pub(crate) side: u8,
    pub(crate) order_type: u8,
    pub(crate) time_in_force: u8,
    pub(crate) self_trade_prevention: u8,
}

impl Request {
    /// Hands the command's body to `send`.
    pub(crate) fn send(&self, send: impl FnOnce(u16, &[u8]) -> bool) -> bool {
        let kind = self.kind.code();
        match self.kind {
            CommandKind::CancelOrder => send(kind, self.cancel_order().as_bytes()),
            CommandKind::ReplaceOrder => send(kind, self.replace_order().as_bytes()),
            _ => send(kind, self.new_order().as_bytes()),
        }
    }

    fn new_order(&self) -> NewOrder {
        NewOrder {
            price_ticks: self.price_ticks,
            quantity_lots: self.quantity_lots,
            account: self.account,
            instrument: self.instrument,
            client_order_id: self.client_order_id,
            side: self.side,
            order_type: self.order_type,
            time_in_force: self.time_in_force,
            self_trade_prevention: self.self_trade_prevention,
        }
    }

    fn cancel_order(&self) -> CancelOrder {
        CancelOrder {
            order_id: self.order_id,
            account: self.account,
            instrument: self.instrument,
            client_order_id: self.client_order_id,
            reserved: 0,
        }
    }

    fn replace_order(&self) -> ReplaceOrder {
        ReplaceOrder {
            order_id: self.order_id,
            price_ticks: self.price_ticks,
            quantity_lots: self.quantity_lots,
            account: self.account,
            instrument: self.instrument,
            client_order_id: self.client_order_id,
            reserved: 0,
        }
    }

    /// The order that this request would have made.
    pub(super) fn as_rejected(&self, session: u16) -> Order {
        Order {
            session,
            client_order_id: self.client_order_id,
            account: self.account,
            instrument: self.instrument,
            price_ticks: self.price_ticks,
            quantity_lots: self.quantity_lots,
            side: self.side,
            order_type: self.order_type,
            time_in_force: self.time_in_force,
            status: status::REJECTED,
            ..Order::default()
        }
    }
}

/// Why the gateway refuses a request itself: OrdRejReason (103) or CxlRejReason (102), and words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: u64,
    pub(crate) text: &'static str,
}

const OTHER: u64 = 99;
const UNSUPPORTED: u64 = 11;
const INCORRECT_QUANTITY: u64 = 13;

fn refuse<T>(code: u64, text: &'static str) -> Result<T, Refusal> {
    Err(Refusal { code, text })
}

fn client_order_id(text: &[u8]) -> Result<ClientOrderId, Refusal> {
    match ClientOrderId::from_text(text) {
        Some(id) if !id.is_none() => Ok(id),
        _ => refuse(OTHER, "ClOrdID (11) must be 1 to 36 bytes"),
    }
}

fn quantity(message: &Message<'_>, instrument: &Instrument) -> Result<QuantityLots, Refusal> {
    let Some(text) = message.get(tags::ORDER_QTY) else {
        return refuse(INCORRECT_QUANTITY, "OrderQty (38) is missing");
    };
    match instrument.lots(text) {
        Ok(lots) if lots > 0 => Ok(lots),
        Err(ConversionError::NotAMultiple) => {
            refuse(INCORRECT_QUANTITY, "OrderQty (38) is not a multiple of the lot")
        }
        _ => refuse(INCORRECT_QUANTITY, "OrderQty (38) must be above 0 and within the exchange's range"),
    }
}

fn price(message: &Message<'_>, instrument: &Instrument) -> Result<PriceTicks, Refusal> {
    let Some(text) = message.get(tags::PRICE) else {
        return refuse(OTHER, "Price (44) is missing: a limit order needs one");
    };
    match instrument.ticks(text) {
        Ok(ticks) if ticks > 0 => Ok(ticks),
        Err(ConversionError::NotAMultiple) => refuse(OTHER, "Price (44) is not a multiple of the tick"),
        _ => refuse(OTHER, "Price (44) must be above 0 and within the exchange's range"),
    }
}

fn side(message: &Message<'_>) -> Result<Side, Refusal> {
    match message.get(tags::SIDE) {
        Some(b"1") => Ok(Side::Buy),
        Some(b"2") => Ok(Side::Sell),
        _ => refuse(UNSUPPORTED, "Side (54) must be 1 (buy) or 2 (sell)"),
    }
}

fn order_type(message: &Message<'_>) -> Result<OrderType, Refusal> {
    match message.get(tags::ORD_TYPE) {
        Some(b"1") => Ok(OrderType::Market),
        Some(b"2") => Ok(OrderType::Limit),
        _ => refuse(UNSUPPORTED, "OrdType (40) must be 1 (market) or 2 (limit)"),
    }
}

fn time_in_force(message: &Message<'_>, order_type: OrderType) -> Result<TimeInForce, Refusal> {
    match (message.get(tags::TIME_IN_FORCE), order_type) {
        (None, OrderType::Market) | (Some(b"3"), _) => Ok(TimeInForce::ImmediateOrCancel),
        (Some(b"4"), _) => Ok(TimeInForce::FillOrKill),
        (Some(b"0" | b"1"), OrderType::Market) => refuse(
            UNSUPPORTED,
            "a market order is TimeInForce (59) 3 (immediate or cancel) or 4 (fill or kill)",
        ),
        (None | Some(b"0"), OrderType::Limit) => Ok(TimeInForce::Day),
        (Some(b"1"), OrderType::Limit) => Ok(TimeInForce::GoodTillCancel),
        _ => refuse(UNSUPPORTED, "TimeInForce (59) must be 0 (day), 1 (GTC), 3 (IOC) or 4 (FOK)"),
    }
}

fn self_trade_prevention(
    message: &Message<'_>,
    default: SelfTradePrevention,
) -> Result<SelfTradePrevention, Refusal> {
    match message.get(tags::SELF_MATCH_PREVENTION_INSTRUCTION) {
        None => Ok(default),
        Some(b"0") => Ok(SelfTradePrevention::Allow),
        Some(b"1") => Ok(SelfTradePrevention::CancelNewest),
        Some(b"2") => Ok(SelfTradePrevention::CancelOldest),
        Some(b"3") => Ok(SelfTradePrevention::CancelBoth),
        _ => refuse(UNSUPPORTED, "SelfMatchPreventionInstruction (2964) must be 0, 1, 2 or 3"),
    }
}

fn check_account(message: &Message<'_>, account: AccountId) -> Result<(), Refusal> {
    match message.get(tags::ACCOUNT) {
        None => Ok(()),
        Some(text) if crate::fix::parse_number(text) == Some(u64::from(account.0)) => Ok(()),
        Some(_) => refuse(15, "Account (1) is not this session's account; it may be left out"),
    }
}

/// NewOrderSingle (35=D).
pub(crate) fn parse_new(
    message: &Message<'_>,
    catalog: &Catalog,
    account: AccountId,
    default: SelfTradePrevention,
) -> Result<Request, Refusal> {
    let client_order_id = client_order_id(message.get(tags::CL_ORD_ID).unwrap_or_default())?;
    check_account(message, account)?;
    let Some(instrument) = catalog.by_symbol(message.get(tags::SYMBOL).unwrap_or_default()) else {
        return refuse(1, "Symbol (55) is not an instrument of this exchange");
    };
    let order_type = order_type(message)?;
    let price_ticks = match order_type {
        OrderType::Limit => price(message, instrument)?,
        _ if message.get(tags::PRICE).is_some() => {
            return refuse(UNSUPPORTED, "a market order has no Price (44)");
        }
        _ => 0,
    };
    Ok(Request {
        kind: CommandKind::NewOrder,
        sequence: message.number(tags::MSG_SEQ_NUM).unwrap_or(0),
        client_order_id,
        original_client_order_id: ClientOrderId::NONE,
        order_id: OrderId::NONE,
        account,
        instrument: instrument.id,
        price_ticks,
        quantity_lots: quantity(message, instrument)?,
        side: side(message)?.code(),
        order_type: order_type.code(),
        time_in_force: time_in_force(message, order_type)?.code(),
        self_trade_prevention: self_trade_prevention(message, default)?.code(),
    })
}

/// OrderCancelRequest (35=F). The order is not looked up yet; `order_id` is none.
pub(crate) fn parse_cancel(
    message: &Message<'_>,
    catalog: &Catalog,
    account: AccountId,
) -> Result<Request, Refusal> {
    let client_order_id = client_order_id(message.get(tags::CL_ORD_ID).unwrap_or_default())?;
    if check_account(message, account).is_err() {
        return refuse(OTHER, "Account (1) is not this session's account; it may be left out");
    }
    let Some(instrument) = catalog.by_symbol(message.get(tags::SYMBOL).unwrap_or_default()) else {
        return refuse(1, "Symbol (55) is not an instrument of this exchange");
    };
    let original = message.get(tags::ORIG_CL_ORD_ID).and_then(ClientOrderId::from_text);
    Ok(Request {
        kind: CommandKind::CancelOrder,
        sequence: message.number(tags::MSG_SEQ_NUM).unwrap_or(0),
        client_order_id,
        original_client_order_id: original.unwrap_or_default(),
        order_id: OrderId::NONE,
        account,
        instrument: instrument.id,
        price_ticks: 0,
        quantity_lots: 0,
        side: side(message).map_err(|it| Refusal { code: OTHER, ..it })?.code(),
        order_type: OrderType::Limit.code(),
        time_in_force: 0,
        self_trade_prevention: 0,
    })
}

/// OrderCancelReplaceRequest (35=G). The order is not looked up yet; `order_id` is none.
pub(crate) fn parse_replace(
    message: &Message<'_>,
    catalog: &Catalog,
    account: AccountId,
) -> Result<Request, Refusal> {
    let base = parse_cancel(message, catalog, account)?;
    let other = |refusal: Refusal| Refusal { code: OTHER, ..refusal };
    let Some(instrument) = catalog.instrument(base.instrument) else {
        return refuse(1, "Symbol (55) is not an instrument of this exchange");
    };
    if message.get(tags::ORD_TYPE) != Some(b"2") {
        return refuse(OTHER, "OrdType (40) must be 2: only limit orders rest");
    }
    Ok(Request {
        kind: CommandKind::ReplaceOrder,
        price_ticks: price(message, instrument).map_err(other)?,
        quantity_lots: quantity(message, instrument).map_err(other)?,
        ..base
    })
}
