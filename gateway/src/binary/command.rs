//! What a client may ask the engine for: one check of every command, before it gets into the ring.

use machine::{Body, HEADER_LENGTH, RecordHeader, Source};
use protocol::{
    AccountId, CancelOrder, CancelReason, ClientOrderId, CommandKind, MAX_LIST_ORDERS, MassCancel,
    NewClientOrderList, NewExtendedOrder, NewOrder, NewOrderList, ReplaceExtendedOrder, ReplaceOrder,
    ReplaceOrderTerms,
};
use zerocopy::FromBytes as _;

use super::feed::Viewer;
use super::wire::RefusalReason;
use crate::access::Permissions;

/// A command that may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Command<'a> {
    /// Record kind.
    pub(crate) kind: u16,
    /// Body bytes.
    pub(crate) body: &'a [u8],
    /// Client order id: of a list the first order's.
    pub(crate) client_order_id: ClientOrderId,
    /// Whether it only cancels: it is taken while the disk is full, and has a budget of its own.
    pub(crate) cancels: bool,
}

impl Command<'_> {
    /// The refusal of it for a reason that is not in the command itself.
    pub(crate) fn refused(&self, reason: RefusalReason) -> Refused {
        Refused { kind: self.kind, client_order_id: self.client_order_id, reason }
    }
}

/// A command that may not: its kind and client order id, as far as they could be read, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) kind: u16,
    pub(crate) client_order_id: ClientOrderId,
    pub(crate) reason: RefusalReason,
}

/// Whether a packet of this kind cancels, so that it counts against the budget of cancels.
pub(crate) fn is_cancel(payload: &[u8]) -> bool {
    RecordHeader::read_from_prefix(payload).is_ok_and(|(header, _)| {
        header.kind == CommandKind::CancelOrder.code() || header.kind == CommandKind::MassCancel.code()
    })
}

/// What is looked at in a command.
struct Named {
    account: AccountId,
    client_order_id: ClientOrderId,
    cancels: bool,
    /// A mass cancel that is not the owner's own.
    foreign: bool,
}

fn read<T: Body>(body: &[u8], named: impl Fn(&T) -> (AccountId, ClientOrderId)) -> Option<Named> {
    let (account, client_order_id) = named(&T::read_from_bytes(body).ok()?);
    Some(Named { account, client_order_id, cancels: false, foreign: false })
}

/// A list and its orders; where they do not name one account it is nobody's.
fn read_list(head: NewOrderList, orders: &[u8]) -> Option<Named> {
    let count = orders.len() / size_of::<NewExtendedOrder>();
    let whole = orders.len().is_multiple_of(size_of::<NewExtendedOrder>()) && head.count as usize == count;
    if !whole || !(1..=MAX_LIST_ORDERS).contains(&head.count) {
        return None;
    }
    let mut account = head.account;
    let mut first = ClientOrderId::NONE;
    for (at, order) in orders.chunks_exact(size_of::<NewExtendedOrder>()).enumerate() {
        let order = NewExtendedOrder::read_from_bytes(order).ok()?.order;
        if order.account != head.account {
            account = AccountId::default();
        }
        if at == 0 {
            first = order.client_order_id;
        }
    }
    Some(Named { account, client_order_id: first, cancels: false, foreign: false })
}

fn read_body(kind: CommandKind, body: &[u8], source: Source) -> Result<Option<Named>, ()> {
    let cancel = |named: Option<Named>| named.map(|it| Named { cancels: true, ..it });
    Ok(match kind {
        CommandKind::NewOrder => read(body, |it: &NewOrder| (it.account, it.client_order_id)),
        CommandKind::CancelOrder => cancel(read(body, |it: &CancelOrder| (it.account, it.client_order_id))),
        CommandKind::ReplaceOrder => read(body, |it: &ReplaceOrder| (it.account, it.client_order_id)),
        CommandKind::NewExtendedOrder => {
            read(body, |it: &NewExtendedOrder| (it.order.account, it.order.client_order_id))
        }
        CommandKind::NewOrderList => {
            NewOrderList::read_from_prefix(body).ok().and_then(|(head, orders)| read_list(head, orders))
        }
        CommandKind::NewClientOrderList => NewClientOrderList::read_from_prefix(body)
            .ok()
            .and_then(|(head, orders)| read_list(head.list, orders)),
        CommandKind::ReplaceExtendedOrder => {
            read(body, |it: &ReplaceExtendedOrder| (it.replace.account, it.replace.client_order_id))
        }
        CommandKind::ReplaceOrderTerms => {
            read(body, |it: &ReplaceOrderTerms| (it.0.replace.account, it.0.replace.client_order_id))
        }
        CommandKind::MassCancel => MassCancel::read_from_bytes(body).ok().map(|it| {
            let other = it.of_session != 0 && (it.gateway, it.session) != (source.gateway, source.session);
            Named {
                account: it.account,
                client_order_id: it.client_order_id,
                cancels: true,
                foreign: other || it.reason != CancelReason::MassCancel.code(),
            }
        }),
        _ => return Err(()),
    })
}

/// Checks a client's command packet.
pub(crate) fn check(
    payload: &[u8],
    viewer: Viewer,
    permissions: Permissions,
) -> Result<Command<'_>, Refused> {
    let mut refused =
        Refused { kind: 0, client_order_id: ClientOrderId::NONE, reason: RefusalReason::Malformed };
    let Ok((header, body)) = RecordHeader::read_from_prefix(payload) else { return Err(refused) };
    refused.kind = header.kind;
    let allowed = RecordHeader {
        length: payload.len() as u32,
        kind: header.kind,
        schema_version: 1,
        ..Default::default()
    };
    if header != allowed {
        return Err(refused);
    }
    let kind = CommandKind::from_code(header.kind)
        .ok_or(Refused { reason: RefusalReason::KindNotAllowed, ..refused })?;
    let named = match read_body(kind, body, viewer.source) {
        Err(()) => return Err(Refused { reason: RefusalReason::KindNotAllowed, ..refused }),
        Ok(None) => return Err(refused),
        Ok(Some(named)) => named,
    };
    refused.client_order_id = named.client_order_id;
    let may_cancel = named.cancels && permissions.has(Permissions::CANCEL);
    if !permissions.has(Permissions::TRADE) && !may_cancel {
        return Err(Refused { reason: RefusalReason::NotPermitted, ..refused });
    }
    if named.account != viewer.account {
        return Err(Refused { reason: RefusalReason::OtherAccount, ..refused });
    }
    if named.foreign {
        return Err(Refused { reason: RefusalReason::OtherSession, ..refused });
    }
    debug_assert_eq!(payload.len(), HEADER_LENGTH + body.len());
    let Named { client_order_id, cancels, .. } = named;
    Ok(Command { kind: header.kind, body, client_order_id, cancels })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binary::wire::{PACKET_HEADER, push_command};
    use zerocopy::{Immutable, IntoBytes};

    const OWN: Viewer = Viewer { account: AccountId(2), source: Source { gateway: 3, session: 1 } };

    fn payload(kind: CommandKind, body: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        push_command(&mut packet, kind.code(), body);
        packet.split_off(PACKET_HEADER)
    }

    fn reason(kind: CommandKind, body: &[u8]) -> Option<RefusalReason> {
        check(&payload(kind, body), OWN, Permissions::default()).err().map(|it| it.reason)
    }

    fn list(head: impl IntoBytes + Immutable, accounts: &[u32]) -> Vec<u8> {
        let mut body = head.as_bytes().to_vec();
        for &account in accounts {
            let mut order = NewExtendedOrder::default();
            order.order.account = AccountId(account);
            body.extend_from_slice(order.as_bytes());
        }
        body
    }

    #[test]
    fn exactly_the_kinds_of_order_entry_are_taken() {
        let own = AccountId(2);
        let id = ClientOrderId::from_text(b"x").unwrap();
        let new = NewOrder { account: own, client_order_id: id, ..NewOrder::default() };
        let replace = ReplaceOrder { account: own, ..ReplaceOrder::default() };
        let reason_code = CancelReason::MassCancel.code();
        let bodies = [
            (CommandKind::NewOrder, new.as_bytes().to_vec()),
            (
                CommandKind::CancelOrder,
                CancelOrder { account: own, ..CancelOrder::default() }.as_bytes().to_vec(),
            ),
            (CommandKind::ReplaceOrder, replace.as_bytes().to_vec()),
            (
                CommandKind::NewExtendedOrder,
                NewExtendedOrder { order: new, ..NewExtendedOrder::default() }.as_bytes().to_vec(),
            ),
            (
                CommandKind::NewOrderList,
                list(NewOrderList { account: own, count: 2, ..NewOrderList::default() }, &[2, 2]),
            ),
            (
                CommandKind::NewClientOrderList,
                list(
                    NewClientOrderList {
                        list: NewOrderList { account: own, count: 2, ..NewOrderList::default() },
                        client_list_id: id,
                        reserved: [0; 4],
                    },
                    &[2, 2],
                ),
            ),
            (
                CommandKind::ReplaceExtendedOrder,
                ReplaceExtendedOrder { replace, ..ReplaceExtendedOrder::default() }.as_bytes().to_vec(),
            ),
            (
                CommandKind::ReplaceOrderTerms,
                ReplaceExtendedOrder { replace, ..ReplaceExtendedOrder::default() }.as_bytes().to_vec(),
            ),
            (
                CommandKind::MassCancel,
                MassCancel { account: own, reason: reason_code, ..MassCancel::default() }.as_bytes().to_vec(),
            ),
        ];
        for kind in CommandKind::ALL {
            let Some((_, body)) = bodies.iter().find(|it| it.0 == *kind) else {
                let length =
                    protocol::layouts().iter().find(|it| it.kind == kind.code()).unwrap().body_length;
                assert_eq!(reason(*kind, &vec![0; length]), Some(RefusalReason::KindNotAllowed), "{kind:?}");
                continue;
            };
            assert_eq!(reason(*kind, body), None, "{kind:?}");
            let bytes = payload(*kind, body);
            let command = check(&bytes, OWN, Permissions::CANCEL).ok();
            let cancels = matches!(kind, CommandKind::CancelOrder | CommandKind::MassCancel);
            assert_eq!((command.is_some(), is_cancel(&bytes)), (cancels, cancels), "{kind:?}");
            assert_eq!(reason(*kind, &body[..body.len() - 8]), Some(RefusalReason::Malformed), "{kind:?}");
            assert_eq!(reason(*kind, &[body.as_slice(), &[0; 8]].concat()), Some(RefusalReason::Malformed));
            let other = Viewer { account: AccountId(3), ..OWN };
            let refused = check(&bytes, other, Permissions::default()).unwrap_err();
            assert_eq!(refused.reason, RefusalReason::OtherAccount, "{kind:?}");
            let silent = check(&bytes, OWN, Permissions::MARKET_DATA).unwrap_err();
            assert_eq!(silent.reason, RefusalReason::NotPermitted, "{kind:?}");
        }
        let event = payload(CommandKind::NewOrder, new.as_bytes());
        let other = Viewer { account: AccountId(3), ..OWN };
        assert_eq!(check(&event, other, Permissions::default()).unwrap_err().client_order_id, id);
    }

    #[test]
    fn headers_hold_nothing_that_is_the_exchanges() {
        let good = payload(
            CommandKind::NewOrder,
            NewOrder { account: AccountId(2), ..NewOrder::default() }.as_bytes(),
        );
        assert!(check(&good, OWN, Permissions::default()).is_ok());
        for at in (0..HEADER_LENGTH).filter(|at| !(24..26).contains(at)) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let refused = check(&bad, OWN, Permissions::default()).unwrap_err();
            assert_eq!(refused.reason, RefusalReason::Malformed, "byte {at}");
        }
        for length in 0..HEADER_LENGTH {
            assert_eq!(check(&good[..length], OWN, Permissions::default()).unwrap_err().kind, 0);
        }
        let mut event = good.clone();
        event[25] = 0x80;
        let refused = check(&event, OWN, Permissions::default()).unwrap_err();
        assert_eq!((refused.reason, refused.kind), (RefusalReason::KindNotAllowed, 0x8006));
    }

    #[test]
    fn lists_are_of_one_account_and_as_long_as_they_say() {
        let head = |count| NewOrderList { account: AccountId(2), count, ..NewOrderList::default() };
        assert_eq!(
            reason(CommandKind::NewOrderList, &list(head(2), &[2, 3])),
            Some(RefusalReason::OtherAccount)
        );
        for (count, accounts) in [(0, vec![]), (1, vec![2, 2]), (2, vec![2]), (33, vec![2; 33])] {
            let given = reason(CommandKind::NewOrderList, &list(head(count), &accounts));
            assert_eq!(given, Some(RefusalReason::Malformed), "{count}");
        }
    }

    #[test]
    fn mass_cancels_are_of_the_own_session_and_for_the_owners_reason() {
        let good = MassCancel {
            account: AccountId(2),
            of_session: 1,
            gateway: 3,
            session: 1,
            reason: CancelReason::MassCancel.code(),
            ..MassCancel::default()
        };
        let reason_of = |it: MassCancel| reason(CommandKind::MassCancel, it.as_bytes());
        assert_eq!(reason_of(good), None);
        assert_eq!(reason_of(MassCancel { session: 2, ..good }), Some(RefusalReason::OtherSession));
        assert_eq!(reason_of(MassCancel { gateway: 1, ..good }), Some(RefusalReason::OtherSession));
        let operator = MassCancel { reason: CancelReason::Operator.code(), ..good };
        assert_eq!(reason_of(operator), Some(RefusalReason::OtherSession));
        assert_eq!(
            reason_of(MassCancel { account: AccountId(0), ..good }),
            Some(RefusalReason::OtherAccount)
        );
    }
}
