//! OrderMassCancelRequest (35=q) and OrderMassStatusRequest (35=AF): many orders at once.

use protocol::{AccountId, CancelReason, CommandKind, InstrumentId, MassCancel};

use super::fields::OrderFields;
use super::refusal::{OTHER, Refusal, refuse};
use super::request::{Extra, Request, client_order_id, instrument};
use super::{Catalog, Order, terms};
use crate::fix::{Message, parse_number, tags};

/// Which orders of an account are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// On this instrument; 0 on all.
    pub(crate) instrument: InstrumentId,
    /// [`protocol::Side`]; 0 for both.
    pub(crate) side: u8,
}

impl Scope {
    /// Whether an order is meant.
    pub(crate) fn has(&self, order: &Order) -> bool {
        (self.instrument == 0 || self.instrument == order.instrument)
            && (self.side == 0 || self.side == order.side)
    }
}

/// Reads symbol and side; `kind` is MassCancelRequestType (530) or MassStatusReqType (585), in which the values have the
/// same meaning.
fn scope(fields: &OrderFields<'_>, kind: Option<&[u8]>, catalog: &Catalog) -> Result<Scope, Refusal> {
    let side = match fields.side {
        None => 0,
        Some(_) => terms::side(fields).map_err(|it| Refusal { code: OTHER, ..it })?.code(),
    };
    match kind {
        Some(b"1") => Ok(Scope { instrument: instrument(fields, catalog)?.id, side }),
        Some(b"7") if fields.symbol.is_none() => Ok(Scope { instrument: 0, side }),
        Some(b"7") => refuse(OTHER, "a request for all orders (7) has no Symbol (55)"),
        _ => refuse(
            OTHER,
            "MassCancelRequestType (530), MassStatusReqType (585) must be 1 (orders of a security) or 7 (all orders)",
        ),
    }
}

/// Whose orders a mass cancel means, and why they go. An operator's session may name any account; one without an account of
/// its own means all of them if it names none.
fn owner(
    named: Option<&[u8]>,
    own: AccountId,
    is_operator: bool,
) -> Result<(AccountId, CancelReason), Refusal> {
    let named = match named {
        None => own,
        Some(_) if !is_operator && terms::is_own_account(named, own.0) => own,
        Some(_) if !is_operator => {
            return refuse(OTHER, "Account (1) is not this session's account; it may be left out");
        }
        Some(text) => match parse_number(text).and_then(|number| u32::try_from(number).ok()) {
            Some(number) if AccountId(number) >= AccountId::FIRST_CLIENT => AccountId(number),
            _ => return refuse(OTHER, "Account (1) is not a client's account"),
        },
    };
    let by_owner = named == own && own != AccountId::WORLD;
    Ok((named, if by_owner { CancelReason::MassCancel } else { CancelReason::Operator }))
}

/// OrderMassCancelRequest, of a session with this number of a gateway; whether it is an operator's.
pub(crate) fn parse_mass_cancel(
    message: &Message<'_>,
    catalog: &Catalog,
    (own, is_operator): (AccountId, bool),
    (gateway, session): (u16, u16),
) -> Result<Request, Refusal> {
    let fields = OrderFields::of(message);
    let client_order_id = client_order_id(fields.client_order_id)?;
    let (account, reason) = owner(fields.account, own, is_operator)?;
    let scope = scope(&fields, message.get(tags::MASS_CANCEL_REQUEST_TYPE), catalog)?;
    let of_session = message.flag(tags::OWN_SESSION_ONLY);
    let command = MassCancel {
        account,
        instrument: scope.instrument,
        client_order_id,
        gateway: if of_session { gateway } else { 0 },
        session: if of_session { session } else { 0 },
        side: scope.side,
        of_session: u8::from(of_session),
        reason: reason.code(),
        reserved: [0; 5],
    };
    Ok(Request {
        sequence: fields.sequence.and_then(parse_number).unwrap_or(0),
        client_order_id,
        instrument: scope.instrument,
        side: scope.side,
        extra: Extra::MassCancel(Box::new(command)),
        ..Request::empty(CommandKind::MassCancel, account)
    })
}

/// All orders that a session has entered, because it is gone.
pub(crate) fn cancel_for_disconnect(account: AccountId, (gateway, session): (u16, u16)) -> Request {
    let command = MassCancel {
        account,
        gateway,
        session,
        of_session: 1,
        reason: CancelReason::Disconnected.code(),
        ..MassCancel::default()
    };
    Request {
        extra: Extra::MassCancel(Box::new(command)),
        ..Request::empty(CommandKind::MassCancel, account)
    }
}

/// One order of a list that its owner wants cancelled (ListCancelRequest), which gives the cancels no ids.
pub(crate) fn cancel_of_list(order: &Order) -> Request {
    Request {
        order_id: order.order_id,
        instrument: order.instrument,
        side: order.side,
        extra: Extra::OfListCancel,
        ..Request::empty(CommandKind::CancelOrder, order.account)
    }
}

/// OrderMassStatusRequest.
pub(crate) fn parse_mass_status(
    message: &Message<'_>,
    catalog: &Catalog,
    account: AccountId,
) -> Result<Scope, Refusal> {
    let fields = OrderFields::of(message);
    if !terms::is_own_account(fields.account, account.0) {
        return refuse(15, "Account (1) is not this session's account; it may be left out");
    }
    scope(&fields, message.get(tags::MASS_STATUS_REQ_TYPE), catalog)
}
