//! OrderMassCancelReport (35=r).

use protocol::RejectReason;

use super::{MassCancelReport, reject_text, write_text};
use crate::fix::{Message, MessageWriter, Version, tags};
use crate::orders::{Catalog, Refusal};

/// Writes the body of a report that the engine caused.
pub(crate) fn write_mass_cancel(
    writer: &mut MessageWriter<'_>,
    catalog: &Catalog,
    report: &MassCancelReport,
) {
    let symbol = catalog.instrument(report.instrument).map(|it| it.symbol.as_bytes());
    write_text(writer, tags::CL_ORD_ID, report.client_order_id);
    writer.integer(tags::ORDER_ID, report.sequence);
    write_side_and_symbol(writer, (report.side != 0).then_some(b'0' + report.side), symbol);
    let text = report.reject.map_or("", reject_text);
    let kind = if report.instrument == 0 { b'7' } else { b'1' };
    let code = report.reject.map(|reason| u64::from(reason == RejectReason::UnknownInstrument));
    write_rest(writer, kind, code, text, report.timestamp_ns);
    if report.reject.is_none() {
        writer.integer(tags::TOTAL_AFFECTED_ORDERS, u64::from(report.canceled_orders));
    }
    if writer.version() >= Version::Fix50Sp1 {
        writer.integer(tags::MASS_ACTION_REPORT_ID, report.sequence);
    }
}

fn write_side_and_symbol(writer: &mut MessageWriter<'_>, side: Option<u8>, symbol: Option<&[u8]>) {
    if let Some(side) = side {
        writer.character(tags::SIDE, side);
    }
    if let Some(symbol) = symbol {
        writer.bytes(tags::SYMBOL, symbol);
    }
}

/// Text, time, request type, response, and the reason of a refusal. FIX.4.3 has no reason 99.
fn write_rest(writer: &mut MessageWriter<'_>, kind: u8, code: Option<u64>, text: &str, now_ns: u64) {
    if !text.is_empty() {
        writer.bytes(tags::TEXT, text.as_bytes());
    }
    writer.time(tags::TRANSACT_TIME, now_ns);
    writer.character(tags::MASS_CANCEL_REQUEST_TYPE, kind);
    writer.character(tags::MASS_CANCEL_RESPONSE, if code.is_some() { b'0' } else { kind });
    let Some(code) = code else { return };
    if code == 1 || writer.version() == Version::Fix43 {
        writer.integer(tags::MASS_CANCEL_REJECT_REASON, code.min(1));
    } else {
        writer.integer(tags::MASS_CANCEL_REJECT_REASON, 99);
    }
}

/// A refusal of the gateway itself; repeats the request's fields.
pub(crate) fn write_local_mass_cancel_reject(
    writer: &mut MessageWriter<'_>,
    message: &Message<'_>,
    id: &str,
    refusal: Refusal,
    now_ns: u64,
) {
    if let Some(client_order_id) = message.get(tags::CL_ORD_ID) {
        writer.bytes(tags::CL_ORD_ID, client_order_id);
    }
    writer.bytes(tags::ORDER_ID, id.as_bytes());
    let side = message.get(tags::SIDE).and_then(|it| it.first().copied());
    write_side_and_symbol(writer, side, message.get(tags::SYMBOL));
    let kind = message.get(tags::MASS_CANCEL_REQUEST_TYPE).and_then(|it| it.first().copied()).unwrap_or(b'7');
    write_rest(writer, kind, Some(refusal.code), refusal.text, now_ns);
    if writer.version() >= Version::Fix50Sp1 {
        writer.bytes(tags::MASS_ACTION_REPORT_ID, id.as_bytes());
    }
}
