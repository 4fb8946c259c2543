//! ExecutionReport (35=8) and OrderCancelReject (35=9).

use std::num::NonZeroU64;

use machine::RecordHeader;
use protocol::{ClientOrderId, OrderId, OrderType, PriceTicks, QuantityLots, RejectReason};
use rust_decimal::Decimal;

use super::{Catalog, Order, status};
use crate::fix::{Message, MessageWriter, Version, format_utc_millis, tags};

/// ExecRefID: the ExecID of a fill that is taken back.
const EXEC_REF_ID: u32 = 19;

/// Where and when an event happened; makes ExecIDs.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// Sequence of the command.
    pub sequence: u64,
    /// Its time.
    pub timestamp_ns: u64,
    /// Place of the event among the command's events.
    pub index: u32,
}

impl Stamp {
    pub(super) fn of(header: &RecordHeader, index: u32) -> Self {
        Self { sequence: header.sequence, timestamp_ns: header.timestamp_ns, index }
    }
}

/// One side of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// LastPx.
    pub price_ticks: PriceTicks,
    /// LastQty.
    pub quantity_lots: QuantityLots,
    /// Fee in the quote asset.
    pub fee_minor: i64,
    /// Whether the order rested.
    pub maker: bool,
}

/// What an ExecutionReport says.
#[derive(Clone, Copy, Debug)]
pub struct ExecutionReport {
    /// The order after the event.
    pub order: Order,
    /// ExecType (150).
    pub exec_type: u8,
    /// Where and when.
    pub stamp: Stamp,
    /// ClOrdID (11).
    pub client_order_id: ClientOrderId,
    /// OrigClOrdID (41), if it answers a cancel or replace.
    pub original_client_order_id: ClientOrderId,
    /// The trade it reports.
    pub fill: Option<Fill>,
    /// Where the trade was reported that is taken back (sequence, index), if that is known.
    pub busted: Option<(NonZeroU64, u32)>,
    /// Why the order was rejected.
    pub reject: Option<RejectReason>,
    /// Text (58).
    pub text: &'static str,
}

impl ExecutionReport {
    pub(super) fn of(order: Order, exec_type: u8, stamp: Stamp) -> Self {
        Self {
            order,
            exec_type,
            stamp,
            client_order_id: order.client_order_id,
            original_client_order_id: ClientOrderId::NONE,
            fill: None,
            busted: None,
            reject: None,
            text: "",
        }
    }

    /// The order as it is, for a status request.
    pub(crate) fn status_of(order: Order, now_ns: u64) -> Self {
        Self::of(order, b'I', Stamp { sequence: 0, timestamp_ns: now_ns, index: 0 })
    }
}

/// What an OrderCancelReject says.
#[derive(Clone, Copy, Debug)]
pub struct CancelReject {
    /// Index of the session.
    pub session: u16,
    /// The order, or none.
    pub order_id: OrderId,
    /// ClOrdID of the request.
    pub client_order_id: ClientOrderId,
    /// OrigClOrdID of the request.
    pub original_client_order_id: ClientOrderId,
    /// OrdStatus of the order.
    pub status: u8,
    /// Whether a replace was asked for.
    pub replace: bool,
    /// Why.
    pub reason: RejectReason,
    /// When.
    pub timestamp_ns: u64,
}

/// A message to a session.
#[derive(Clone, Copy, Debug)]
pub enum Report {
    /// 35=8.
    Execution(ExecutionReport),
    /// 35=9.
    CancelReject(CancelReject),
}

impl Report {
    /// Index of the session that it is for.
    #[must_use]
    pub fn session(&self) -> usize {
        usize::from(match self {
            Self::Execution(report) => report.order.session,
            Self::CancelReject(report) => report.session,
        })
    }
}

/// What a reject means to the client; begins with the reason's name.
#[must_use]
pub fn reject_text(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::Malformed => "Malformed: the command was not understood",
        RejectReason::SequenceExhausted => "SequenceExhausted: the exchange must roll its journal over",
        RejectReason::UnknownAccount => {
            "UnknownAccount: the session's account does not exist on the exchange"
        }
        RejectReason::UnknownInstrument => "UnknownInstrument: no such instrument",
        RejectReason::UnknownAsset => "UnknownAsset: no such asset",
        RejectReason::IdOutOfRange => "IdOutOfRange: the id is above the exchange's limit",
        RejectReason::AlreadyExists => "AlreadyExists: the id is taken",
        RejectReason::InvalidParameter => "InvalidParameter: a parameter is out of range",
        RejectReason::InvalidPrice => "InvalidPrice: the price is out of range",
        RejectReason::InvalidQuantity => "InvalidQuantity: the quantity is out of range",
        RejectReason::InvalidTimeInForce => "InvalidTimeInForce: the order type does not go with it",
        RejectReason::InvalidAmount => "InvalidAmount: the amount is out of range",
        RejectReason::UnknownOrder => "UnknownOrder: no such live order of this account on this instrument",
        RejectReason::QuantityBelowFilled => {
            "QuantityBelowFilled: OrderQty is not above what has been filled"
        }
        RejectReason::DuplicateClientOrderId => "DuplicateClientOrderId: a live order has this ClOrdID",
        RejectReason::NotionalTooLarge => "NotionalTooLarge: price times quantity is too large",
        RejectReason::OrderTableFull => "OrderTableFull: the exchange holds as many orders as it can",
        RejectReason::BalanceTableFull => "BalanceTableFull: the exchange holds as many balances as it can",
        RejectReason::InsufficientFunds => {
            "InsufficientFunds: the available balance does not cover it and its fee"
        }
        RejectReason::AccountSuspended => "AccountSuspended: the account may cancel, and nothing else",
        RejectReason::WrongPhase => "WrongPhase: the instrument's phase does not take such an order",
        RejectReason::PriceOffTick => "PriceOffTick: the price is no multiple of the tick there",
        RejectReason::QuantityOutsideRules => {
            "QuantityOutsideRules: no multiple of the round lot, or below or above the instrument's limits"
        }
        RejectReason::NotionalOutsideRules => {
            "NotionalOutsideRules: price times quantity is below or above the instrument's limits"
        }
        RejectReason::OutsidePriceBand => {
            "OutsidePriceBand: the price is outside the instrument's price bands"
        }
        RejectReason::RiskQuantity => "RiskQuantity: above the account's largest order quantity",
        RejectReason::RiskNotional => "RiskNotional: above the account's largest order notional",
        RejectReason::RiskOpenOrders => "RiskOpenOrders: the account has as many open orders as it may",
        RejectReason::RiskPosition => "RiskPosition: the account's position could become too large",
        RejectReason::RiskPriceCollar => "RiskPriceCollar: too far from the reference price for this account",
        RejectReason::RateLimited => "RateLimited: the account has sent as many orders as it may for now",
        RejectReason::WouldTake => "WouldTake: a post-only order would have traded",
        RejectReason::NoLiquidity => "NoLiquidity: there is no price on the other side, or none to follow",
        RejectReason::NoCollar => {
            "NoCollar: the instrument has no collar or reference price for such an order"
        }
        RejectReason::BudgetTooSmall => "BudgetTooSmall: the budget does not buy one lot",
        RejectReason::TooManyConditional => {
            "TooManyConditional: the instrument takes no more pegged, trailing or all-or-none orders"
        }
        RejectReason::NotReplaceable => "NotReplaceable: an order of a list cannot be replaced",
        RejectReason::UnknownTrade => "UnknownTrade: not among the last trades",
        RejectReason::AlreadyBusted => "AlreadyBusted: the trade was busted before",
        RejectReason::PositionTableFull => {
            "PositionTableFull: the exchange holds as many positions as it can"
        }
        RejectReason::TooManySweeps => "TooManySweeps: as many mass cancels are at work as there may be",
    }
}

/// OrdRejReason (103) in a version that may not know `code`; then 0, "broker or exchange option".
fn fitted_order_reject(version: Version, code: u64) -> u64 {
    let highest = match version {
        Version::Fix40 => 4,
        Version::Fix41 => 6,
        Version::Fix42 => 8,
        Version::Fix43 => 12,
        _ => return code,
    };
    if code <= highest { code } else { 0 }
}

/// CxlRejReason (102) in a version that may not know `code`; then 2, "broker or exchange option", or none.
fn fitted_cancel_reject(version: Version, code: u64) -> Option<u64> {
    match version {
        Version::Fix40 | Version::Fix41 => (code <= 1).then_some(code),
        Version::Fix42 => Some(if code <= 3 { code } else { 2 }),
        Version::Fix43 => Some(if code <= 6 { code } else { 2 }),
        _ => Some(code),
    }
}

/// ExecType (150) in the words of the version: before FIX.4.3 a trade says how much of the order is filled, and the
/// answer to a status request repeats OrdStatus.
fn fitted_exec_type(version: Version, exec_type: u8, order_status: u8) -> Option<u8> {
    match version {
        Version::Fix40 => None,
        Version::Fix41 | Version::Fix42 if matches!(exec_type, b'F' | b'I') => Some(order_status),
        _ => Some(exec_type),
    }
}

/// ExecTransType (20), which FIX.4.3 has dropped: 0 new, 3 status.
fn write_exec_trans_type(writer: &mut MessageWriter<'_>, exec_type: u8) {
    if writer.version() < Version::Fix43 {
        writer.character(tags::EXEC_TRANS_TYPE, if exec_type == b'I' { b'3' } else { b'0' });
    }
}

/// LastPx and LastQty of a report without a trade, which FIX.4.0 and 4.1 require.
fn write_no_trade(writer: &mut MessageWriter<'_>) {
    if writer.version() < Version::Fix42 {
        writer.bytes(tags::LAST_PX, b"0");
        writer.bytes(tags::LAST_QTY, b"0");
    }
}

/// ExecType and LeavesQty.
fn write_exec_type(writer: &mut MessageWriter<'_>, exec_type: u8, order_status: u8, leaves: Decimal) {
    if let Some(exec_type) = fitted_exec_type(writer.version(), exec_type, order_status) {
        writer.character(tags::EXEC_TYPE, exec_type);
        write_quantity(writer, tags::LEAVES_QTY, leaves);
    }
}

/// OrdRejReason (103).
fn order_reject_code(reason: RejectReason) -> u64 {
    match reason {
        RejectReason::UnknownAccount => 15,
        RejectReason::UnknownInstrument => 1,
        RejectReason::InvalidQuantity | RejectReason::QuantityOutsideRules => 13,
        RejectReason::WrongPhase => 2,
        RejectReason::InvalidTimeInForce => 11,
        RejectReason::DuplicateClientOrderId => 6,
        RejectReason::NotionalTooLarge
        | RejectReason::InsufficientFunds
        | RejectReason::NotionalOutsideRules
        | RejectReason::RiskQuantity
        | RejectReason::RiskNotional
        | RejectReason::RiskOpenOrders
        | RejectReason::RiskPosition => 3,
        _ => 99,
    }
}

/// CxlRejReason (102).
fn cancel_reject_code(reason: RejectReason, order_status: u8) -> u64 {
    match reason {
        RejectReason::UnknownOrder
            if matches!(order_status, status::FILLED | status::CANCELED | status::EXPIRED) =>
        {
            0
        }
        RejectReason::UnknownOrder => 1,
        RejectReason::DuplicateClientOrderId => 6,
        _ => 99,
    }
}

fn write_text(writer: &mut MessageWriter<'_>, tag: u32, id: ClientOrderId) {
    if !id.is_none() {
        writer.bytes(tag, id.as_bytes_trimmed());
    }
}

fn write_order_id(writer: &mut MessageWriter<'_>, order_id: OrderId) {
    if order_id == OrderId::NONE {
        writer.bytes(tags::ORDER_ID, b"NONE");
    } else {
        writer.display(tags::ORDER_ID, order_id);
    }
}

/// Writes the body of an ExecutionReport. `exec_id` and `status_request` are given when it answers a status request.
pub(crate) fn write_execution(
    writer: &mut MessageWriter<'_>,
    catalog: &Catalog,
    report: &ExecutionReport,
    exec_id: Option<&str>,
    status_request: Option<&[u8]>,
) {
    let order = &report.order;
    let version = writer.version();
    let Some(instrument) = catalog.instrument(order.instrument) else {
        return write_without_instrument(writer, report);
    };
    writer.integer(tags::ACCOUNT, u64::from(order.account.0));
    writer.display(tags::AVG_PX, instrument.average_price(order.tick_lots, order.cumulative_lots));
    write_text(writer, tags::CL_ORD_ID, report.client_order_id);
    write_quantity(writer, tags::CUM_QTY, instrument.quantity(order.cumulative_lots));
    write_exec_id(writer, report, exec_id);
    write_exec_trans_type(writer, report.exec_type);
    match &report.fill {
        Some(fill) => {
            writer.display(tags::LAST_PX, instrument.price(fill.price_ticks));
            write_quantity(writer, tags::LAST_QTY, instrument.quantity(fill.quantity_lots));
        }
        None => write_no_trade(writer),
    }
    write_order_id(writer, order.order_id);
    if order.quantity_lots != 0 || version < Version::Fix42 {
        write_quantity(writer, tags::ORDER_QTY, instrument.quantity(order.quantity_lots));
    }
    writer.character(tags::ORD_STATUS, order.status);
    writer.character(tags::ORD_TYPE, order_type_character(order.order_type));
    if version > Version::Fix40 {
        write_text(writer, tags::ORIG_CL_ORD_ID, report.original_client_order_id);
    }
    if shows_price(order) {
        writer.display(tags::PRICE, instrument.price(order.price_ticks));
    }
    writer.character(tags::SIDE, b'0' + order.side);
    writer.bytes(tags::SYMBOL, instrument.symbol.as_bytes());
    let text = report.reject.map_or(report.text, reject_text);
    if !text.is_empty() {
        writer.bytes(tags::TEXT, text.as_bytes());
    }
    writer.character(tags::TIME_IN_FORCE, b'0' + order.time_in_force);
    writer.bytes(tags::TRANSACT_TIME, &format_utc_millis(report.stamp.timestamp_ns));
    if let Some(reason) = report.reject {
        writer.integer(tags::ORD_REJ_REASON, fitted_order_reject(version, order_reject_code(reason)));
    }
    // Older versions have no place for fees, or none for their currency.
    let charged = report.fill.filter(|fill| fill.fee_minor != 0 && version >= Version::Fix44);
    if let Some(fill) = charged {
        writer.bytes(tags::NO_MISC_FEES, b"1");
        writer.display(tags::MISC_FEE_AMT, Decimal::new(fill.fee_minor, u32::from(instrument.quote_scale)));
        writer.bytes(tags::MISC_FEE_CURR, instrument.quote_name.as_bytes());
        writer.bytes(tags::MISC_FEE_TYPE, b"4");
        writer.bytes(tags::MISC_FEE_BASIS, b"0");
    }
    write_exec_type(writer, report.exec_type, order.status, instrument.quantity(order.leaves_lots));
    if version < Version::Fix44 {
        return;
    }
    if let Some(id) = status_request {
        writer.bytes(tags::ORD_STATUS_REQ_ID, id);
    }
    if let Some(fill) = &report.fill {
        writer.bytes(tags::LAST_LIQUIDITY_IND, if fill.maker { b"1" } else { b"2" });
    }
}

/// FIX.4.0 and 4.1 have whole quantities only; there, one that is not whole is written as it is all the same.
fn write_quantity(writer: &mut MessageWriter<'_>, tag: u32, quantity: Decimal) {
    let whole = writer.version() < Version::Fix42;
    writer.display(tag, if whole { quantity.normalize() } else { quantity });
}

fn write_exec_id(writer: &mut MessageWriter<'_>, report: &ExecutionReport, exec_id: Option<&str>) {
    if let Some(id) = exec_id {
        return write_local_exec_id(writer, id);
    }
    // Both sides of a trade may be the same session's.
    let maker = report.fill.is_some_and(|fill| fill.maker);
    write_exec_number(writer, tags::EXEC_ID, report.stamp.sequence, report.stamp.index, maker);
    if let Some((sequence, index)) = report.busted {
        write_exec_number(writer, EXEC_REF_ID, sequence.get(), index, maker);
    }
}

/// An ExecID from the place of its event; a number in FIX.4.0.
fn write_exec_number(writer: &mut MessageWriter<'_>, tag: u32, sequence: u64, index: u32, maker: bool) {
    let place = u64::from(index) * 2 + u64::from(maker);
    if writer.version() == Version::Fix40 {
        writer.display(tag, format_args!("{sequence}{place:06}"));
    } else {
        writer.display(tag, format_args!("{sequence}-{place}"));
    }
}

/// ExecID is a number in FIX.4.0.
fn write_local_exec_id(writer: &mut MessageWriter<'_>, id: &str) {
    if writer.version() == Version::Fix40 {
        let digits: Vec<u8> = id.bytes().filter(u8::is_ascii_digit).collect();
        writer.bytes(tags::EXEC_ID, &digits);
    } else {
        writer.bytes(tags::EXEC_ID, id.as_bytes());
    }
}

/// OrdType (40): FIX's digits by value, its letters as ASCII.
fn order_type_character(order_type: u8) -> u8 {
    if order_type < 10 { b'0' + order_type } else { order_type }
}

/// Whether the order has a limit price of its own, and not only a worst one.
fn shows_price(order: &Order) -> bool {
    let of_limit = [OrderType::Limit, OrderType::StopLimit, OrderType::MarketToLimit, OrderType::Pegged];
    of_limit.iter().any(|order_type| order_type.code() == order.order_type)
}

/// A rejected order that named no instrument, or one that cannot be expressed in decimals.
fn write_without_instrument(writer: &mut MessageWriter<'_>, report: &ExecutionReport) {
    writer.bytes(tags::AVG_PX, b"0");
    write_text(writer, tags::CL_ORD_ID, report.client_order_id);
    writer.bytes(tags::CUM_QTY, b"0");
    write_exec_id(writer, report, None);
    write_exec_trans_type(writer, report.exec_type);
    write_no_trade(writer);
    write_order_id(writer, report.order.order_id);
    if writer.version() < Version::Fix42 {
        writer.bytes(tags::ORDER_QTY, b"0");
    }
    writer.character(tags::ORD_STATUS, report.order.status);
    writer.character(tags::SIDE, b'0' + report.order.side);
    writer.display(tags::SYMBOL, format_args!("instrument-{}", report.order.instrument));
    writer.bytes(
        tags::TEXT,
        report.reject.map_or("no decimal form of this instrument", reject_text).as_bytes(),
    );
    writer.bytes(tags::TRANSACT_TIME, &format_utc_millis(report.stamp.timestamp_ns));
    if let Some(reason) = report.reject {
        let code = fitted_order_reject(writer.version(), order_reject_code(reason));
        writer.integer(tags::ORD_REJ_REASON, code);
    }
    write_exec_type(writer, report.exec_type, report.order.status, Decimal::ZERO);
}

/// Writes the body of an OrderCancelReject that the engine caused.
pub(crate) fn write_cancel_reject(writer: &mut MessageWriter<'_>, report: &CancelReject) {
    write_text(writer, tags::CL_ORD_ID, report.client_order_id);
    write_order_id(writer, report.order_id);
    let original = match report.original_client_order_id {
        ClientOrderId::NONE => b"NONE".as_slice(),
        _ => report.original_client_order_id.as_bytes_trimmed(),
    };
    let code = cancel_reject_code(report.reason, report.status);
    let why = (code, reject_text(report.reason), report.timestamp_ns);
    write_cancel_reject_rest(writer, report.status, original, report.replace, why);
}

/// What follows OrderID in an OrderCancelReject.
fn write_cancel_reject_rest(
    writer: &mut MessageWriter<'_>,
    order_status: u8,
    original: &[u8],
    replace: bool,
    (code, text, now_ns): (u64, &str, u64),
) {
    let version = writer.version();
    if version > Version::Fix40 {
        writer.character(tags::ORD_STATUS, order_status);
        writer.bytes(tags::ORIG_CL_ORD_ID, original);
    }
    writer.bytes(tags::TEXT, text.as_bytes());
    if version >= Version::Fix42 {
        writer.bytes(tags::TRANSACT_TIME, &format_utc_millis(now_ns));
    }
    if let Some(code) = fitted_cancel_reject(version, code) {
        writer.integer(tags::CXL_REJ_REASON, code);
    }
    if version >= Version::Fix42 {
        writer.character(tags::CXL_REJ_RESPONSE_TO, if replace { b'2' } else { b'1' });
    }
}

/// An OrderCancelReject of the gateway itself: `order` is what the request named, if known.
pub(crate) fn write_local_cancel_reject(
    writer: &mut MessageWriter<'_>,
    client_order_id: &[u8],
    original: &[u8],
    order: Option<&Order>,
    replace: bool,
    (code, text, now_ns): (u64, &str, u64),
) {
    writer.bytes(tags::CL_ORD_ID, client_order_id);
    write_order_id(writer, order.map_or(OrderId::NONE, |order| order.order_id));
    let known = order.map(|order| order.client_order_id);
    let original = if original.is_empty() {
        known.as_ref().map_or(b"NONE".as_slice(), ClientOrderId::as_bytes_trimmed)
    } else {
        original
    };
    let order_status = order.map_or(status::REJECTED, |order| order.status);
    write_cancel_reject_rest(writer, order_status, original, replace, (code, text, now_ns));
}

/// An ExecutionReport of the gateway itself about an order that the engine has not seen: rejected, or asked about and
/// not known. Repeats the request's own fields.
pub(crate) fn write_local_report(
    writer: &mut MessageWriter<'_>,
    message: &Message<'_>,
    exec_id: &str,
    (exec_type, order_status): (u8, u8),
    reject: Option<(u64, &str)>,
    now_ns: u64,
) {
    let echo = |writer: &mut MessageWriter<'_>, tag: u32| {
        if let Some(value) = message.get(tag) {
            writer.bytes(tag, value);
        }
    };
    writer.bytes(tags::AVG_PX, b"0");
    echo(writer, tags::CL_ORD_ID);
    writer.bytes(tags::CUM_QTY, b"0");
    write_local_exec_id(writer, exec_id);
    write_exec_trans_type(writer, exec_type);
    write_no_trade(writer);
    writer.bytes(tags::ORDER_ID, b"NONE");
    if message.get(tags::ORDER_QTY).is_none() && writer.version() < Version::Fix42 {
        writer.bytes(tags::ORDER_QTY, b"0");
    }
    echo(writer, tags::ORDER_QTY);
    writer.character(tags::ORD_STATUS, order_status);
    echo(writer, tags::ORD_TYPE);
    echo(writer, tags::PRICE);
    echo(writer, tags::SIDE);
    echo(writer, tags::SYMBOL);
    if let Some((_, text)) = reject {
        writer.bytes(tags::TEXT, text.as_bytes());
    }
    echo(writer, tags::TIME_IN_FORCE);
    writer.bytes(tags::TRANSACT_TIME, &format_utc_millis(now_ns));
    if let Some((code, _)) = reject {
        writer.integer(tags::ORD_REJ_REASON, fitted_order_reject(writer.version(), code));
    }
    write_exec_type(writer, exec_type, order_status, Decimal::ZERO);
    echo(writer, tags::ORD_STATUS_REQ_ID);
}
