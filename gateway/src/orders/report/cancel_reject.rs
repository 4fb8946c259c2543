//! OrderCancelReject (35=9).

use protocol::{ClientOrderId, OrderId};

use super::words::{cancel_reject_code, fitted_cancel_reject};
use super::{CancelReject, reject_text, write_order_id, write_text};
use crate::fix::{MessageWriter, Version, tags};
use crate::orders::{Order, status};

/// Writes the body of an OrderCancelReject that the engine caused.
pub(crate) fn write_cancel_reject(writer: &mut MessageWriter<'_>, report: &CancelReject) {
    write_text(writer, tags::CL_ORD_ID, report.client_order_id);
    write_order_id(writer, report.order_id);
    let original = &report.original_client_order_id;
    let original = if original.is_none() { b"NONE".as_slice() } else { original.as_bytes_trimmed() };
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
        writer.time(tags::TRANSACT_TIME, now_ns);
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
