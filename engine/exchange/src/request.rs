//! What all commands have in common: being well formed, and being rejected.

use machine::Body;
use protocol::{
    AccountId, CancelOrder, ClientOrderId, CreateAccount, CreateAsset, CreateInstrument, Deposit, EndDay,
    NewOrder, OrderId, OrderType, RejectReason, Rejected, ReplaceOrder, SelfTradePrevention, Side,
    TimeInForce, Withdraw,
};

pub(crate) trait Request: Body {
    /// Whether enumerations and reserved bytes are in range and client order ids well formed.
    fn is_well_formed(&self) -> bool;

    /// The fields of [`Rejected`] that repeat what the command named.
    fn named(&self) -> Rejected;

    /// The event that rejects it.
    fn rejected(&self, reason: RejectReason) -> Rejected {
        Rejected { reason: reason.code(), command_kind: Self::KIND, ..self.named() }
    }
}

/// The event for a record that is no command of a known kind, version and size.
#[cold]
pub(crate) fn unknown(kind: u16) -> Rejected {
    Rejected { reason: RejectReason::Malformed.code(), command_kind: kind, ..Rejected::default() }
}

impl Request for CreateAsset {
    fn is_well_formed(&self) -> bool {
        self.reserved == [0; 3]
    }

    fn named(&self) -> Rejected {
        Rejected { asset: self.asset, ..Rejected::default() }
    }
}

impl Request for CreateInstrument {
    fn is_well_formed(&self) -> bool {
        true
    }

    fn named(&self) -> Rejected {
        Rejected { instrument: self.instrument, asset: self.base_asset, ..Rejected::default() }
    }
}

impl Request for CreateAccount {
    fn is_well_formed(&self) -> bool {
        self.reserved == 0
    }

    fn named(&self) -> Rejected {
        Rejected { account: self.account, ..Rejected::default() }
    }
}

impl Request for Deposit {
    fn is_well_formed(&self) -> bool {
        true
    }

    fn named(&self) -> Rejected {
        Rejected { account: self.account, asset: self.asset, ..Rejected::default() }
    }
}

impl Request for Withdraw {
    fn is_well_formed(&self) -> bool {
        true
    }

    fn named(&self) -> Rejected {
        Rejected { account: self.account, asset: self.asset, ..Rejected::default() }
    }
}

impl Request for NewOrder {
    #[inline]
    fn is_well_formed(&self) -> bool {
        Side::from_code(self.side).is_some()
            && OrderType::from_code(self.order_type).is_some()
            && TimeInForce::from_code(self.time_in_force).is_some()
            && SelfTradePrevention::from_code(self.self_trade_prevention)
                .is_some_and(|mode| mode != SelfTradePrevention::DecrementAndCancel)
            && is_id(&self.client_order_id)
    }

    fn named(&self) -> Rejected {
        order(OrderId::NONE, self.account, self.instrument, self.client_order_id)
    }
}

impl Request for CancelOrder {
    #[inline]
    fn is_well_formed(&self) -> bool {
        self.reserved == 0 && is_id(&self.client_order_id)
    }

    fn named(&self) -> Rejected {
        order(self.order_id, self.account, self.instrument, self.client_order_id)
    }
}

impl Request for ReplaceOrder {
    #[inline]
    fn is_well_formed(&self) -> bool {
        self.reserved == 0 && is_id(&self.client_order_id)
    }

    fn named(&self) -> Rejected {
        order(self.order_id, self.account, self.instrument, self.client_order_id)
    }
}

impl Request for EndDay {
    fn is_well_formed(&self) -> bool {
        self.reserved == 0
    }

    fn named(&self) -> Rejected {
        Rejected { instrument: self.instrument, ..Rejected::default() }
    }
}

fn order(order_id: OrderId, account: AccountId, instrument: u32, client_order_id: ClientOrderId) -> Rejected {
    Rejected { order_id, account, instrument, client_order_id, ..Rejected::default() }
}

/// [`ClientOrderId::is_well_formed`] without branches, so that the compiler compares many bytes at a time: no byte is
/// zero and has another behind it.
#[inline]
fn is_id(id: &ClientOrderId) -> bool {
    let pairs = id.0.iter().zip(id.0.iter().skip(1));
    !pairs.fold(false, |bad, (&byte, &next)| bad | ((byte == 0) & (next != 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_judged_as_the_protocol_judges_them() {
        let mut random = 1u64;
        for _ in 0..20_000 {
            let mut id = ClientOrderId::NONE;
            for byte in &mut id.0 {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = b'a' * u8::from(random >> 60 != 0);
            }
            let length = (random >> 40) as usize % 37;
            id.0[length..].fill(0);
            assert_eq!(is_id(&id), id.is_well_formed(), "{id:?}");
        }
        assert!(is_id(&ClientOrderId::NONE) && is_id(&ClientOrderId([b'x'; 36])));
    }
}
