//! ExecutionReport (35=8).

use protocol::ClientOrderId;

use super::terms::write_style;
use super::words::{fitted_order_reject, order_reject_code};
use super::{ExecutionReport, Restated, reject_text, write_order_id, write_text};
use crate::fix::{MessageWriter, Version, tags};
use crate::orders::{Catalog, Instrument, Number, Orders};

/// What an ExecutionReport has besides when it answers a status request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StatusAnswer<'a> {
    /// Its ExecID; events give their own.
    pub(crate) exec_id: Option<&'a str>,
    /// OrdStatusReqID (790).
    pub(crate) request: Option<&'a [u8]>,
    /// MassStatusReqID (584), TotNumReports (911), and whether it is the last one (912).
    pub(crate) mass: Option<(&'a [u8], u64, bool)>,
}

/// ExecType (150) in the words of the version: before FIX.4.3 a trade says how much of the order is filled, a trade that
/// is taken back and the answer to a status request repeat OrdStatus; before FIX.5.0 an order that became active is
/// restated, and FIX.4.1 has no restatement.
fn fitted_exec_type(version: Version, exec_type: u8, order_status: u8) -> Option<u8> {
    match (version, exec_type) {
        (Version::Fix40, _) => None,
        (Version::Fix41 | Version::Fix42, b'F' | b'H' | b'I') => Some(order_status),
        (Version::Fix41, b'D' | b'L') => Some(order_status),
        (Version::Fix42 | Version::Fix43 | Version::Fix44, b'L') => Some(b'D'),
        _ => Some(exec_type),
    }
}

/// ExecTransType (20), which FIX.4.3 has dropped: 0 new, 1 cancel (of a trade), 3 status.
pub(super) fn write_exec_trans_type(writer: &mut MessageWriter<'_>, exec_type: u8) {
    if writer.version() < Version::Fix43 {
        let transaction = match exec_type {
            b'H' => b'1',
            b'I' => b'3',
            _ => b'0',
        };
        writer.character(tags::EXEC_TRANS_TYPE, transaction);
    }
}

/// ExecRestatementReason (378).
fn restatement_reason(version: Version, restated: Restated) -> Option<u64> {
    if version < Version::Fix42 {
        return None;
    }
    // "Broker option" where the version has no "other".
    let other = if version < Version::Fix44 { 4 } else { 99 };
    match restated {
        Restated::No => None,
        Restated::Repriced => Some(3),
        Restated::Decremented => Some(5),
        Restated::Triggered => (version < Version::Fix50).then_some(other),
        Restated::Disconnected if version == Version::Fix50Sp2 => Some(12),
        Restated::Disconnected | Restated::Operator if version > Version::Fix42 => Some(8),
        Restated::Disconnected | Restated::Operator => Some(other),
    }
}

/// LastPx and LastQty of a report without a trade, which FIX.4.0 and 4.1 require.
pub(super) fn write_no_trade(writer: &mut MessageWriter<'_>) {
    if writer.version() < Version::Fix42 {
        writer.bytes(tags::LAST_PX, b"0");
        writer.bytes(tags::LAST_QTY, b"0");
    }
}

/// ExecType and LeavesQty.
pub(super) fn write_exec_type(
    writer: &mut MessageWriter<'_>,
    exec_type: u8,
    order_status: u8,
    leaves: Number,
) {
    if let Some(exec_type) = fitted_exec_type(writer.version(), exec_type, order_status) {
        writer.character(tags::EXEC_TYPE, exec_type);
        write_quantity(writer, tags::LEAVES_QTY, leaves);
    }
}

/// Writes the body of an ExecutionReport; `orders` as they were at its event.
pub(crate) fn write_execution(
    writer: &mut MessageWriter<'_>,
    orders: &Orders,
    report: &ExecutionReport,
    answer: StatusAnswer<'_>,
) {
    let order = &report.order;
    let version = writer.version();
    let Some(instrument) = orders.catalog.instrument(order.instrument) else {
        return write_without_instrument(writer, report);
    };
    writer.integer(tags::ACCOUNT, u64::from(order.account.0));
    instrument.average_price(order.tick_lots, order.cumulative_lots).write(writer, tags::AVG_PX);
    write_text(writer, tags::CL_ORD_ID, report.client_order_id);
    write_quantity(writer, tags::CUM_QTY, instrument.quantity(order.cumulative_lots));
    write_exec_id(writer, report, answer.exec_id);
    write_exec_trans_type(writer, report.exec_type);
    match &report.fill {
        Some(fill) => {
            instrument.price(fill.price_ticks).write(writer, tags::LAST_PX);
            write_quantity(writer, tags::LAST_QTY, instrument.quantity(fill.quantity_lots));
        }
        None => write_no_trade(writer),
    }
    if let Some(list) = orders.list_id(order, report.stamp.sequence) {
        write_list_id(writer, list);
    }
    write_order_id(writer, order.order_id);
    if order.quantity_lots != 0 || version < Version::Fix42 {
        write_quantity(writer, tags::ORDER_QTY, instrument.quantity(order.quantity_lots));
    }
    writer.character(tags::ORD_STATUS, order.status);
    if version > Version::Fix40 {
        write_text(writer, tags::ORIG_CL_ORD_ID, report.original_client_order_id);
    }
    write_style(writer, instrument, orders.special(order), order);
    writer.character(tags::SIDE, b'0' + order.side);
    writer.bytes(tags::SYMBOL, instrument.symbol.as_bytes());
    let text = report.reject.map_or(report.text, reject_text);
    if !text.is_empty() {
        writer.bytes(tags::TEXT, text.as_bytes());
    }
    writer.time(tags::TRANSACT_TIME, report.stamp.timestamp_ns);
    if let Some(reason) = report.reject {
        writer.integer(tags::ORD_REJ_REASON, fitted_order_reject(version, order_reject_code(reason)));
    }
    if let Some(reason) = restatement_reason(version, report.restated) {
        writer.integer(tags::EXEC_RESTATEMENT_REASON, reason);
    }
    write_fee(writer, &orders.catalog, instrument, report);
    write_exec_type(writer, report.exec_type, order.status, instrument.quantity(order.leaves_lots));
    write_answer(writer, report, answer);
}

/// ListID (66), in the versions that take lists.
fn write_list_id(writer: &mut MessageWriter<'_>, list: ClientOrderId) {
    if writer.version() >= Version::Fix42 {
        write_text(writer, tags::LIST_ID, list);
    }
}

/// What only FIX.4.4 and later versions have: which request it answers, and whether the order rested.
fn write_answer(writer: &mut MessageWriter<'_>, report: &ExecutionReport, answer: StatusAnswer<'_>) {
    if writer.version() < Version::Fix44 {
        return;
    }
    if let Some(id) = answer.request {
        writer.bytes(tags::ORD_STATUS_REQ_ID, id);
    }
    if let Some((id, reports, last)) = answer.mass {
        write_mass_answer(writer, id, reports, last);
    }
    if let Some(fill) = &report.fill {
        writer.bytes(tags::LAST_LIQUIDITY_IND, if fill.maker { b"1" } else { b"2" });
    }
}

/// Which of how many reports of an OrderMassStatusRequest it is.
pub(super) fn write_mass_answer(writer: &mut MessageWriter<'_>, id: &[u8], reports: u64, last: bool) {
    if writer.version() >= Version::Fix44 {
        writer.bytes(tags::MASS_STATUS_REQ_ID, id);
        writer.integer(tags::TOT_NUM_REPORTS, reports);
        writer.bytes(tags::LAST_RPT_REQUESTED, if last { b"Y" } else { b"N" });
    }
}

/// The fee of a trade. Older versions have no place for fees, or none for their currency.
fn write_fee(
    writer: &mut MessageWriter<'_>,
    catalog: &Catalog,
    instrument: &Instrument,
    report: &ExecutionReport,
) {
    let charged = report.fill.filter(|fill| fill.fee_minor != 0);
    if let Some(fill) = charged.filter(|_| writer.version() >= Version::Fix44) {
        let paid_in = catalog.asset(fill.fee_asset).map(|asset| (asset.scale, asset.name.as_str()));
        let (scale, name) = paid_in.unwrap_or((instrument.quote_scale, &instrument.quote_name));
        writer.bytes(tags::NO_MISC_FEES, b"1");
        Number::new(fill.fee_minor, u32::from(scale)).write(writer, tags::MISC_FEE_AMT);
        writer.bytes(tags::MISC_FEE_CURR, name.as_bytes());
        writer.bytes(tags::MISC_FEE_TYPE, b"4");
        writer.bytes(tags::MISC_FEE_BASIS, b"0");
    }
}

/// FIX.4.0 and 4.1 have whole quantities only; there, one that is not whole is written as it is all the same.
fn write_quantity(writer: &mut MessageWriter<'_>, tag: u32, quantity: Number) {
    let whole = writer.version() < Version::Fix42;
    (if whole { quantity.normalize() } else { quantity }).write(writer, tag);
}

fn write_exec_id(writer: &mut MessageWriter<'_>, report: &ExecutionReport, exec_id: Option<&str>) {
    if let Some(id) = exec_id {
        return write_local_exec_id(writer, id);
    }
    // Both sides of a trade may be the same session's.
    write_exec_number(writer, tags::EXEC_ID, report.stamp.sequence, report.stamp.index, report.part);
    if let Some((sequence, index)) = report.busted {
        write_exec_number(writer, tags::EXEC_REF_ID, sequence.get(), index, report.part);
    }
}

/// An ExecID from the place of its event; a number in FIX.4.0.
fn write_exec_number(writer: &mut MessageWriter<'_>, tag: u32, sequence: u64, index: u32, part: u8) {
    let place = u64::from(index) * 2 + u64::from(part);
    if writer.version() == Version::Fix40 {
        writer.display(tag, format_args!("{sequence}{place:06}"));
    } else {
        writer.joined(tag, sequence, place);
    }
}

/// ExecID is a number in FIX.4.0.
pub(super) fn write_local_exec_id(writer: &mut MessageWriter<'_>, id: &str) {
    if writer.version() == Version::Fix40 {
        let digits: Vec<u8> = id.bytes().filter(u8::is_ascii_digit).collect();
        writer.bytes(tags::EXEC_ID, &digits);
    } else {
        writer.bytes(tags::EXEC_ID, id.as_bytes());
    }
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
    writer.time(tags::TRANSACT_TIME, report.stamp.timestamp_ns);
    if let Some(reason) = report.reject {
        let code = fitted_order_reject(writer.version(), order_reject_code(reason));
        writer.integer(tags::ORD_REJ_REASON, code);
    }
    write_exec_type(writer, report.exec_type, report.order.status, Number::ZERO);
}
