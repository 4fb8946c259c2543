//! ListStatus (35=N).

use protocol::{ClientOrderId, OrderId};

use crate::fix::{MessageWriter, tags};
use crate::orders::{Catalog, Order, OrderList, Orders, status};

/// An order of a list, if it came to be.
#[derive(Clone, Debug)]
pub(crate) struct ListOrderState {
    /// ClOrdID that the list gave it, as it came: it may be the reason for a refusal.
    pub(crate) client_order_id: Vec<u8>,
    /// What has become of it.
    pub(crate) order: Option<Order>,
}

/// What a ListStatus is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListOccasion<'a> {
    /// The list has been dealt with.
    Entered,
    /// It was refused, for this reason.
    Refused(&'a str),
    /// Somebody has asked.
    Asked,
    /// What is left of it is being cancelled.
    Cancelling,
    /// Nothing is left of it that could be cancelled.
    Cancelled,
}

/// The orders of a list as they are now.
pub(crate) fn states_of(orders: &Orders, list: &OrderList) -> Vec<ListOrderState> {
    let state = |&(client_order_id, order_id): &(ClientOrderId, OrderId)| ListOrderState {
        client_order_id: client_order_id.as_bytes_trimmed().to_vec(),
        order: orders.by_id(list.session, order_id).copied(),
    };
    list.orders.iter().map(state).collect()
}

/// Writes the body of a ListStatus.
pub(crate) fn write_list_status(
    writer: &mut MessageWriter<'_>,
    catalog: &Catalog,
    id: &[u8],
    orders: &[ListOrderState],
    occasion: ListOccasion<'_>,
    now_ns: u64,
) {
    let none = orders.iter().all(|it| it.order.is_none());
    let all_done = orders.iter().all(|it| it.order.is_none_or(|order| order.is_done()));
    let list_status = match (none, all_done, occasion) {
        (true, ..) => b'7',
        (false, true, _) => b'6',
        (false, false, ListOccasion::Cancelling) => b'4',
        (false, false, _) => b'3',
    };
    let kind = match occasion {
        ListOccasion::Asked => b'2',
        ListOccasion::Cancelled if all_done => b'5',
        ListOccasion::Cancelled => b'6',
        ListOccasion::Entered | ListOccasion::Refused(_) | ListOccasion::Cancelling => b'1',
    };
    writer.time(tags::TRANSACT_TIME, now_ns);
    writer.bytes(tags::LIST_ID, id);
    writer.integer(tags::TOT_NO_ORDERS, orders.len() as u64);
    writer.bytes(tags::NO_RPTS, b"1");
    writer.bytes(tags::RPT_SEQ, b"1");
    writer.character(tags::LIST_STATUS_TYPE, kind);
    writer.character(tags::LIST_ORDER_STATUS, list_status);
    if let ListOccasion::Refused(text) = occasion {
        writer.bytes(tags::LIST_STATUS_TEXT, text.as_bytes());
    }
    writer.integer(tags::NO_ORDERS, orders.len() as u64);
    for state in orders {
        write_order(writer, catalog, state);
    }
}

/// An instance of the group: in the group's own order.
fn write_order(writer: &mut MessageWriter<'_>, catalog: &Catalog, state: &ListOrderState) {
    if !state.client_order_id.is_empty() {
        writer.bytes(tags::CL_ORD_ID, &state.client_order_id);
    }
    let known = state.order.and_then(|order| Some((order, catalog.instrument(order.instrument)?)));
    let Some((order, instrument)) = known else {
        writer.bytes(tags::CUM_QTY, b"0");
        writer.character(tags::ORD_STATUS, status::REJECTED);
        writer.bytes(tags::LEAVES_QTY, b"0");
        writer.bytes(tags::CXL_QTY, b"0");
        return writer.bytes(tags::AVG_PX, b"0");
    };
    let gone = if order.is_done() { order.quantity_lots.saturating_sub(order.cumulative_lots) } else { 0 };
    instrument.quantity(order.cumulative_lots).write(writer, tags::CUM_QTY);
    writer.character(tags::ORD_STATUS, order.status);
    instrument.quantity(order.leaves_lots).write(writer, tags::LEAVES_QTY);
    instrument.quantity(gone).write(writer, tags::CXL_QTY);
    instrument.average_price(order.tick_lots, order.cumulative_lots).write(writer, tags::AVG_PX);
}
