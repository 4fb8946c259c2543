//! ExecutionReport (35=8) and OrderCancelReject (35=9).

use machine::RecordHeader;
use protocol::{ClientOrderId, OrderId, OrderType, PriceTicks, QuantityLots, RejectReason};
use rust_decimal::Decimal;

use super::{Catalog, Order, status};
use crate::fix::{Message, MessageWriter, format_utc_millis, tags};

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
    }
}

/// OrdRejReason (103).
fn order_reject_code(reason: RejectReason) -> u64 {
    match reason {
        RejectReason::UnknownAccount => 15,
        RejectReason::UnknownInstrument => 1,
        RejectReason::InvalidQuantity => 13,
        RejectReason::InvalidTimeInForce => 11,
        RejectReason::DuplicateClientOrderId => 6,
        RejectReason::NotionalTooLarge | RejectReason::InsufficientFunds => 3,
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
    let Some(instrument) = catalog.instrument(order.instrument) else {
        return write_without_instrument(writer, report);
    };
    writer.integer(tags::ACCOUNT, u64::from(order.account.0));
    writer.display(tags::AVG_PX, instrument.average_price(order.tick_lots, order.cumulative_lots));
    write_text(writer, tags::CL_ORD_ID, report.client_order_id);
    writer.display(tags::CUM_QTY, instrument.quantity(order.cumulative_lots));
    write_exec_id(writer, report, exec_id);
    if let Some(fill) = &report.fill {
        writer.display(tags::LAST_PX, instrument.price(fill.price_ticks));
        writer.display(tags::LAST_QTY, instrument.quantity(fill.quantity_lots));
    }
    write_order_id(writer, order.order_id);
    if order.quantity_lots != 0 {
        writer.display(tags::ORDER_QTY, instrument.quantity(order.quantity_lots));
    }
    writer.character(tags::ORD_STATUS, order.status);
    writer.character(tags::ORD_TYPE, b'0' + order.order_type);
    write_text(writer, tags::ORIG_CL_ORD_ID, report.original_client_order_id);
    if order.order_type == OrderType::Limit.code() {
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
        writer.integer(tags::ORD_REJ_REASON, order_reject_code(reason));
    }
    if let Some(fill) = report.fill.filter(|fill| fill.fee_minor != 0) {
        writer.bytes(tags::NO_MISC_FEES, b"1");
        writer.display(tags::MISC_FEE_AMT, Decimal::new(fill.fee_minor, u32::from(instrument.quote_scale)));
        writer.bytes(tags::MISC_FEE_CURR, instrument.quote_name.as_bytes());
        writer.bytes(tags::MISC_FEE_TYPE, b"4");
        writer.bytes(tags::MISC_FEE_BASIS, b"0");
    }
    writer.character(tags::EXEC_TYPE, report.exec_type);
    writer.display(tags::LEAVES_QTY, instrument.quantity(order.leaves_lots));
    if let Some(id) = status_request {
        writer.bytes(tags::ORD_STATUS_REQ_ID, id);
    }
    if let Some(fill) = &report.fill {
        writer.bytes(tags::LAST_LIQUIDITY_IND, if fill.maker { b"1" } else { b"2" });
    }
}

fn write_exec_id(writer: &mut MessageWriter<'_>, report: &ExecutionReport, exec_id: Option<&str>) {
    match exec_id {
        Some(id) => writer.bytes(tags::EXEC_ID, id.as_bytes()),
        None => {
            // Both sides of a trade may be the same session's.
            let maker = report.fill.is_some_and(|fill| fill.maker);
            let place = u64::from(report.stamp.index) * 2 + u64::from(maker);
            writer.display(tags::EXEC_ID, format_args!("{}-{place}", report.stamp.sequence));
        }
    }
}

/// A rejected order that named no instrument, or one that cannot be expressed in decimals.
fn write_without_instrument(writer: &mut MessageWriter<'_>, report: &ExecutionReport) {
    writer.bytes(tags::AVG_PX, b"0");
    write_text(writer, tags::CL_ORD_ID, report.client_order_id);
    writer.bytes(tags::CUM_QTY, b"0");
    write_exec_id(writer, report, None);
    write_order_id(writer, report.order.order_id);
    writer.character(tags::ORD_STATUS, report.order.status);
    writer.character(tags::SIDE, b'0' + report.order.side);
    writer.display(tags::SYMBOL, format_args!("instrument-{}", report.order.instrument));
    writer.bytes(
        tags::TEXT,
        report.reject.map_or("no decimal form of this instrument", reject_text).as_bytes(),
    );
    writer.bytes(tags::TRANSACT_TIME, &format_utc_millis(report.stamp.timestamp_ns));
    if let Some(reason) = report.reject {
        writer.integer(tags::ORD_REJ_REASON, order_reject_code(reason));
    }
    writer.character(tags::EXEC_TYPE, report.exec_type);
    writer.bytes(tags::LEAVES_QTY, b"0");
}

/// Writes the body of an OrderCancelReject that the engine caused.
pub(crate) fn write_cancel_reject(writer: &mut MessageWriter<'_>, report: &CancelReject) {
    write_text(writer, tags::CL_ORD_ID, report.client_order_id);
    write_order_id(writer, report.order_id);
    writer.character(tags::ORD_STATUS, report.status);
    match report.original_client_order_id {
        ClientOrderId::NONE => writer.bytes(tags::ORIG_CL_ORD_ID, b"NONE"),
        id => write_text(writer, tags::ORIG_CL_ORD_ID, id),
    }
    writer.bytes(tags::TEXT, reject_text(report.reason).as_bytes());
    writer.bytes(tags::TRANSACT_TIME, &format_utc_millis(report.timestamp_ns));
    writer.integer(tags::CXL_REJ_REASON, cancel_reject_code(report.reason, report.status));
    writer.character(tags::CXL_REJ_RESPONSE_TO, if report.replace { b'2' } else { b'1' });
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
    writer.character(tags::ORD_STATUS, order.map_or(status::REJECTED, |order| order.status));
    let known = order.map(|order| order.client_order_id);
    let original = if original.is_empty() {
        known.as_ref().map_or(b"NONE".as_slice(), ClientOrderId::as_bytes_trimmed)
    } else {
        original
    };
    writer.bytes(tags::ORIG_CL_ORD_ID, original);
    writer.bytes(tags::TEXT, text.as_bytes());
    writer.bytes(tags::TRANSACT_TIME, &format_utc_millis(now_ns));
    writer.integer(tags::CXL_REJ_REASON, code);
    writer.character(tags::CXL_REJ_RESPONSE_TO, if replace { b'2' } else { b'1' });
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
    writer.bytes(tags::EXEC_ID, exec_id.as_bytes());
    writer.bytes(tags::ORDER_ID, b"NONE");
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
        writer.integer(tags::ORD_REJ_REASON, code);
    }
    writer.character(tags::EXEC_TYPE, exec_type);
    writer.bytes(tags::LEAVES_QTY, b"0");
    echo(writer, tags::ORD_STATUS_REQ_ID);
}
