//! What a command names, for its rejection.

use protocol::{NewOrder, RejectReason, Rejected, ReplaceOrder};

pub(crate) fn reject(reason: RejectReason, named: Rejected) -> Rejected {
    Rejected { reason: reason.code(), ..named }
}

pub(crate) fn of_order(it: &NewOrder) -> Rejected {
    Rejected {
        account: it.account,
        instrument: it.instrument,
        client_order_id: it.client_order_id,
        ..Rejected::default()
    }
}

pub(crate) fn of_replace(it: &ReplaceOrder) -> Rejected {
    Rejected {
        order_id: it.order_id,
        account: it.account,
        instrument: it.instrument,
        client_order_id: it.client_order_id,
        ..Rejected::default()
    }
}
