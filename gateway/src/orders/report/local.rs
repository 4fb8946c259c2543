//! An ExecutionReport that no event has caused.

use super::execution::{
    write_exec_trans_type, write_exec_type, write_local_exec_id, write_mass_answer, write_no_trade,
};
use super::words::fitted_order_reject;
use crate::fix::{Message, MessageWriter, Version, tags};
use crate::orders::Number;

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
    writer.time(tags::TRANSACT_TIME, now_ns);
    if let Some((code, _)) = reject {
        writer.integer(tags::ORD_REJ_REASON, fitted_order_reject(writer.version(), code));
    }
    write_exec_type(writer, exec_type, order_status, Number::ZERO);
    echo(writer, tags::ORD_STATUS_REQ_ID);
}

/// The only report in answer to an OrderMassStatusRequest that has found nothing, or was refused.
pub(crate) fn write_no_orders(
    writer: &mut MessageWriter<'_>,
    message: &Message<'_>,
    exec_id: &str,
    text: &str,
    now_ns: u64,
) {
    writer.bytes(tags::AVG_PX, b"0");
    writer.bytes(tags::CUM_QTY, b"0");
    write_local_exec_id(writer, exec_id);
    writer.bytes(tags::ORDER_ID, b"NONE");
    writer.character(tags::ORD_STATUS, b'8');
    writer.bytes(tags::SIDE, message.get(tags::SIDE).unwrap_or(b"7"));
    writer.bytes(tags::SYMBOL, message.get(tags::SYMBOL).unwrap_or(b"[N/A]"));
    writer.bytes(tags::TEXT, text.as_bytes());
    writer.time(tags::TRANSACT_TIME, now_ns);
    write_exec_type(writer, b'I', b'8', Number::ZERO);
    write_mass_answer(writer, message.get(tags::MASS_STATUS_REQ_ID).unwrap_or_default(), 0, true);
}
