//! NewOrderList (35=E): several orders in one command.

use protocol::{
    AccountId, ClientOrderId, CommandKind, ListType, MAX_LIST_ORDERS, NewClientOrderList, NewOrderList,
};
use zerocopy::IntoBytes;

use super::Catalog;
use super::fields::OrderFields;
use super::refusal::{OTHER, Refusal, UNSUPPORTED, refuse};
use super::request::{Extra, Request, Trader, new_order};
use crate::fix::{Message, parse_number, tags};

/// The orders of a list on their way to the engine.
#[derive(Clone, Debug)]
pub(crate) struct List {
    /// ListID (66).
    pub(crate) id: ClientOrderId,
    /// Its orders.
    pub(crate) orders: Vec<Request>,
    /// The command's body.
    pub(super) body: Vec<u8>,
}

/// The parts of a list's message: one for each order. An instance of the group begins with ClOrdID (11).
pub(crate) fn orders_of<'m>(message: &Message<'m>) -> impl Iterator<Item = Message<'m>> {
    let fields = message.fields();
    let begin = fields.iter().position(|field| field.tag == tags::NO_ORDERS).unwrap_or(fields.len());
    let starts = |from: usize| {
        fields[from..].iter().position(|field| field.tag == tags::CL_ORD_ID).map(|at| from + at)
    };
    let (mut next, message) = (starts(begin), *message);
    std::iter::from_fn(move || {
        let start = next?;
        next = starts(start + 1);
        Some(message.part(start..next.unwrap_or(fields.len())))
    })
}

/// ListID (66), if it is one.
pub(crate) fn list_id(message: &Message<'_>) -> Option<ClientOrderId> {
    message.get(tags::LIST_ID).and_then(ClientOrderId::from_text).filter(|id| !id.is_none())
}

/// Reads a list. The orders of a batch are independent of each other; what else a list may be is said by
/// ContingencyType (1385).
pub(crate) fn parse_list(
    message: &Message<'_>,
    catalog: &Catalog,
    trader: Trader,
) -> Result<Request, Refusal> {
    let Some(id) = list_id(message) else {
        return refuse(OTHER, "ListID (66) must be 1 to 36 bytes");
    };
    if message.get(tags::LAST_FRAGMENT) == Some(b"N") {
        return refuse(UNSUPPORTED, "a list must stand in one message: LastFragment (893) is N");
    }
    if message.get(tags::LIST_EXEC_INST_TYPE).is_some_and(|it| it != b"1") {
        return refuse(UNSUPPORTED, "ListExecInstType (433) must be 1: a list is executed at once");
    }
    let mut orders = Vec::new();
    for part in orders_of(message) {
        if orders.len() == MAX_LIST_ORDERS as usize {
            return refuse(OTHER, "a list has at most 32 orders");
        }
        orders.push(new_order(&OrderFields::of(&part), catalog, trader)?);
    }
    let declared = message.number(tags::TOT_NO_ORDERS);
    if orders.is_empty() || declared.is_some_and(|declared| declared != orders.len() as u64) {
        return refuse(OTHER, "TotNoOrders (68) is not the number of orders in the message");
    }
    let list_type = list_type(message, orders.len())?;
    let body = body(trader.account, list_type, id, &orders);
    let list = List { id, orders, body };
    Ok(Request {
        sequence: message.get(tags::MSG_SEQ_NUM).and_then(parse_number).unwrap_or(0),
        extra: Extra::List(Box::new(list)),
        ..Request::empty(CommandKind::NewClientOrderList, trader.account)
    })
}

fn list_type(message: &Message<'_>, orders: usize) -> Result<ListType, Refusal> {
    match (message.get(tags::CONTINGENCY_TYPE), orders) {
        (None, _) => Ok(ListType::Batch),
        (Some(b"1"), 2) => Ok(ListType::OneCancelsOther),
        (Some(b"2"), 2) => Ok(ListType::OneTriggersOther),
        (Some(b"2"), 3) => Ok(ListType::Bracket),
        _ => refuse(
            UNSUPPORTED,
            "ContingencyType (1385) must be 1 (one cancels other) with 2 orders, or 2 (one triggers other) with 2, or 3 for \
             a bracket",
        ),
    }
}

fn body(
    account: AccountId,
    list_type: ListType,
    client_list_id: ClientOrderId,
    orders: &[Request],
) -> Vec<u8> {
    let list =
        NewOrderList { account, count: orders.len() as u32, list_type: list_type.code(), reserved: [0; 7] };
    let head = NewClientOrderList { list, client_list_id, reserved: [0; 4] };
    let mut body = head.as_bytes().to_vec();
    for order in orders {
        body.extend_from_slice(order.extended_order().as_bytes());
    }
    body
}
