//! What all commands have in common: being well formed, and being rejected.

use machine::Body;
use protocol::{
    AccountId, AccountStatus, AdvanceTime, BandAction, BustTrade, CancelOrder, CancelReason, ClientOrderId,
    CreateAccount, CreateAsset, CreateInstrument, Deposit, EndDay, ListType, MAX_LIST_ORDERS, MassCancel,
    NewClientOrderList, NewExtendedOrder, NewOrder, NewOrderList, OrderId, OrderTerms, OrderType,
    PegReference, Phase, PostOnly, RejectReason, Rejected, ReplaceExtendedOrder, ReplaceOrder,
    ReplaceOrderTerms, SelfTradePrevention, SetAccountOptions, SetAccountStatus, SetFeeSchedule,
    SetInstrumentRules, SetPhase, SetRiskLimits, SetTickTable, SetTimetable, Side, TimeInForce, TrailUnit,
    TriggerSource, Withdraw, term_flags,
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
            && SelfTradePrevention::from_code(self.self_trade_prevention).is_some()
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

impl Request for NewExtendedOrder {
    #[inline]
    fn is_well_formed(&self) -> bool {
        self.order.is_well_formed() && terms_are_well_formed(&self.terms)
    }

    fn named(&self) -> Rejected {
        self.order.named()
    }
}

/// The head alone; whether the body is as long as `count` says, and the orders, are looked at where they are read.
impl Request for NewOrderList {
    fn is_well_formed(&self) -> bool {
        (1..=MAX_LIST_ORDERS).contains(&self.count)
            && ListType::from_code(self.list_type).is_some()
            && self.reserved == [0; 7]
    }

    fn named(&self) -> Rejected {
        Rejected { account: self.account, ..Rejected::default() }
    }
}

impl Request for NewClientOrderList {
    fn is_well_formed(&self) -> bool {
        let id = &self.client_list_id;
        self.list.is_well_formed() && !id.is_none() && id.is_well_formed() && self.reserved == [0; 4]
    }

    fn named(&self) -> Rejected {
        self.list.named()
    }
}

impl Request for ReplaceExtendedOrder {
    #[inline]
    fn is_well_formed(&self) -> bool {
        self.replace.is_well_formed()
    }

    fn named(&self) -> Rejected {
        self.replace.named()
    }
}

impl Request for ReplaceOrderTerms {
    fn is_well_formed(&self) -> bool {
        self.0.is_well_formed()
    }

    fn named(&self) -> Rejected {
        self.0.named()
    }
}

impl Request for MassCancel {
    fn is_well_formed(&self) -> bool {
        let reasons = [CancelReason::MassCancel, CancelReason::Disconnected, CancelReason::Operator];
        let session_fits = self.of_session == 1 || (self.gateway == 0 && self.session == 0);
        is_none_or(self.side, Side::from_code)
            && self.of_session <= 1
            && session_fits
            && reasons.iter().any(|reason| reason.code() == self.reason)
            && self.reserved == [0; 5]
            && is_id(&self.client_order_id)
    }

    fn named(&self) -> Rejected {
        order(OrderId::NONE, self.account, self.instrument, self.client_order_id)
    }
}

impl Request for SetAccountStatus {
    fn is_well_formed(&self) -> bool {
        AccountStatus::from_code(self.status).is_some() && self.cancel_orders <= 1 && self.reserved == [0; 2]
    }

    fn named(&self) -> Rejected {
        Rejected { account: self.account, ..Rejected::default() }
    }
}

impl Request for SetAccountOptions {
    fn is_well_formed(&self) -> bool {
        SelfTradePrevention::from_code(self.self_trade_prevention).is_some()
            && self.pays_in_fee_asset <= 1
            && self.reserved == [0; 6]
    }

    fn named(&self) -> Rejected {
        Rejected { account: self.account, ..Rejected::default() }
    }
}

impl Request for SetRiskLimits {
    fn is_well_formed(&self) -> bool {
        true
    }

    fn named(&self) -> Rejected {
        Rejected { account: self.account, instrument: self.instrument, ..Rejected::default() }
    }
}

impl Request for SetInstrumentRules {
    fn is_well_formed(&self) -> bool {
        BandAction::from_code(self.band_action).is_some() && self.reserved == [0; 7]
    }

    fn named(&self) -> Rejected {
        Rejected { instrument: self.instrument, asset: self.fee_asset, ..Rejected::default() }
    }
}

impl Request for SetTickTable {
    fn is_well_formed(&self) -> bool {
        true
    }

    fn named(&self) -> Rejected {
        Rejected { instrument: self.instrument, ..Rejected::default() }
    }
}

impl Request for SetFeeSchedule {
    fn is_well_formed(&self) -> bool {
        true
    }

    fn named(&self) -> Rejected {
        Rejected { instrument: self.instrument, ..Rejected::default() }
    }
}

impl Request for SetTimetable {
    fn is_well_formed(&self) -> bool {
        self.reserved == 0
    }

    fn named(&self) -> Rejected {
        Rejected { instrument: self.instrument, ..Rejected::default() }
    }
}

impl Request for SetPhase {
    fn is_well_formed(&self) -> bool {
        Phase::from_code(self.phase).is_some() && self.reserved == [0; 3]
    }

    fn named(&self) -> Rejected {
        Rejected { instrument: self.instrument, ..Rejected::default() }
    }
}

impl Request for BustTrade {
    fn is_well_formed(&self) -> bool {
        true
    }

    fn named(&self) -> Rejected {
        Rejected::default()
    }
}

impl Request for AdvanceTime {
    fn is_well_formed(&self) -> bool {
        self.reserved == 0
    }

    fn named(&self) -> Rejected {
        Rejected::default()
    }
}

/// Whether codes, flags and reserved bytes of an order's terms are in range. What goes with what is not looked at.
#[inline]
pub(crate) fn terms_are_well_formed(terms: &OrderTerms) -> bool {
    is_none_or(terms.trigger, TriggerSource::from_code)
        && is_none_or(terms.trail, TrailUnit::from_code)
        && is_none_or(terms.peg, PegReference::from_code)
        && is_none_or(terms.post_only, PostOnly::from_code)
        && terms.flags & !(term_flags::HIDDEN | term_flags::ALL_OR_NONE) == 0
        && terms.reserved == [0; 7]
}

/// Whether a code that may be left out is 0 or known.
#[inline]
fn is_none_or<T>(code: u8, from_code: impl FnOnce(u8) -> Option<T>) -> bool {
    code == 0 || from_code(code).is_some()
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
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

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

    /// Sets each byte in turn to each value, and collects which (byte, value) keep a record well formed among the bytes
    /// that some value spoils. So a check that is missing or too wide shows up as a byte or a value.
    fn spoiled_by<T: Request + Copy + zerocopy::IntoBytes + zerocopy::FromBytes>(
        good: &T,
    ) -> BTreeMap<usize, Vec<u8>> {
        assert!(good.is_well_formed());
        let mut found = BTreeMap::new();
        for at in 0..size_of::<T>() {
            let allowed: Vec<u8> = (0..=255)
                .filter(|&value| {
                    let mut it = *good;
                    it.as_mut_bytes()[at] = value;
                    it.is_well_formed()
                })
                .collect();
            if allowed.len() < 256 {
                found.insert(at, allowed);
            }
        }
        found
    }

    /// (first byte, bytes, allowed values).
    fn fields(list: &[(usize, usize, &[u8])]) -> BTreeMap<usize, Vec<u8>> {
        let bytes = list.iter().flat_map(|&(first, bytes, allowed)| {
            (first..first + bytes).map(move |at| (at, allowed.to_vec()))
        });
        bytes.collect()
    }

    #[test]
    fn fixed_commands_refuse_unknown_codes_flags_and_reserved_bytes() {
        assert_eq!(spoiled_by(&SetAccountStatus::default()), fields(&[(4, 2, &[0, 1]), (6, 2, &[0])]));
        let options = fields(&[(16, 1, &[0, 1, 2, 3, 4]), (17, 1, &[0, 1]), (18, 6, &[0])]);
        assert_eq!(spoiled_by(&SetAccountOptions::default()), options);
        assert_eq!(spoiled_by(&SetRiskLimits::default()), fields(&[]));
        assert_eq!(spoiled_by(&SetInstrumentRules::default()), fields(&[(96, 1, &[0, 1]), (97, 7, &[0])]));
        assert_eq!(spoiled_by(&SetTickTable::default()), fields(&[]));
        assert_eq!(spoiled_by(&SetFeeSchedule::default()), fields(&[]));
        assert_eq!(spoiled_by(&SetTimetable::default()), fields(&[(52, 4, &[0])]));
        let phases = fields(&[(12, 1, &[0, 1, 2, 3, 4, 5, 6]), (13, 3, &[0])]);
        assert_eq!(spoiled_by(&SetPhase::default()), phases);
        assert_eq!(spoiled_by(&BustTrade::default()), fields(&[]));
        assert_eq!(spoiled_by(&AdvanceTime::default()), fields(&[(0, 8, &[0])]));
    }

    #[test]
    fn order_commands_refuse_unknown_codes_flags_and_reserved_bytes() {
        let plain = NewOrder { side: 1, order_type: 2, client_order_id: full(), ..NewOrder::default() };
        let own = [
            (60, 1, &[1, 2][..]),
            (61, 1, &[1, 2, 3, 4, 75, 80][..]),
            (62, 1, &[0, 1, 2, 3, 4, 6, 7][..]),
            (63, 1, &[0, 1, 2, 3, 4][..]),
        ];
        // A zero in the middle of a client order id is as wrong as before; which bytes hold one is tested below.
        let id = |first: usize| (first..first + 35).map(|at| (at, (1..=255).collect::<Vec<u8>>()));
        let mut expected = fields(&own);
        expected.extend(id(24));
        assert_eq!(spoiled_by(&plain), expected);
        let terms = [
            (116, 1, &[0, 1, 2][..]),
            (117, 1, &[0, 1, 2][..]),
            (118, 1, &[0, 1, 2, 3][..]),
            (119, 1, &[0, 1, 2][..]),
            (120, 1, &[0, 1, 2, 3][..]),
            (121, 7, &[0][..]),
        ];
        expected.extend(fields(&terms));
        assert_eq!(spoiled_by(&NewExtendedOrder { order: plain, ..NewExtendedOrder::default() }), expected);

        let mut expected = fields(&[(68, 4, &[0])]);
        expected.extend(id(32));
        let replace = ReplaceOrder { client_order_id: full(), ..ReplaceOrder::default() };
        let replace = ReplaceExtendedOrder { replace, ..ReplaceExtendedOrder::default() };
        assert_eq!(spoiled_by(&replace), expected);

        let list = NewOrderList { count: 1, ..NewOrderList::default() };
        let counts: Vec<u8> = (1..=32).collect();
        let expected = [(4, 1, &counts[..]), (5, 3, &[0]), (8, 1, &[0, 1, 2, 3]), (9, 7, &[0])];
        assert_eq!(spoiled_by(&list), fields(&expected));
        let list = NewClientOrderList { list, client_list_id: full(), reserved: [0; 4] };
        let mut expected = fields(&expected);
        expected.extend(id(16));
        expected.extend(fields(&[(52, 4, &[0])]));
        assert_eq!(spoiled_by(&list), expected);
        assert!(!NewClientOrderList { client_list_id: ClientOrderId::NONE, ..list }.is_well_formed());
    }

    #[test]
    fn mass_cancels_name_a_session_only_with_of_session() {
        let any = MassCancel { reason: 12, client_order_id: full(), ..MassCancel::default() };
        let id = (8..43).map(|at| (at, (1..=255).collect::<Vec<u8>>()));
        let common = [(48, 1, &[0, 1, 2][..]), (49, 1, &[0, 1]), (50, 1, &[12, 13, 14]), (51, 5, &[0])];
        let mut expected = fields(&common);
        expected.extend(id.clone());
        expected.extend(fields(&[(44, 4, &[0])]));
        assert_eq!(spoiled_by(&any), expected);
        let mut expected = fields(&common);
        expected.extend(id);
        assert_eq!(spoiled_by(&MassCancel { of_session: 1, ..any }), expected);
        let session = MassCancel { of_session: 1, gateway: 3, session: 9, ..any };
        assert!(session.is_well_formed() && !MassCancel { of_session: 0, ..session }.is_well_formed());
    }

    #[test]
    fn rejections_repeat_what_was_named() {
        let (account, instrument, client_order_id) = (AccountId(7), 5, full());
        let all = Rejected { account, instrument, client_order_id, ..Rejected::default() };
        let order = NewOrder { account, instrument, client_order_id, ..NewOrder::default() };
        assert_eq!(NewExtendedOrder { order, ..NewExtendedOrder::default() }.named(), all);
        let order_id = OrderId(99);
        let replace =
            ReplaceOrder { order_id, account, instrument, client_order_id, ..ReplaceOrder::default() };
        let replace = ReplaceExtendedOrder { replace, ..ReplaceExtendedOrder::default() };
        assert_eq!(replace.named(), Rejected { order_id, ..all });
        let cancel = MassCancel { account, instrument, client_order_id, ..MassCancel::default() };
        assert_eq!(cancel.named(), all);
        assert_eq!(cancel.rejected(RejectReason::TooManySweeps).reason, 41);
        assert_eq!(cancel.rejected(RejectReason::TooManySweeps).command_kind, 13);

        let of_account = Rejected { account, ..Rejected::default() };
        assert_eq!(NewOrderList { account, ..NewOrderList::default() }.named(), of_account);
        assert_eq!(SetAccountStatus { account, ..SetAccountStatus::default() }.named(), of_account);
        assert_eq!(SetAccountOptions { account, ..SetAccountOptions::default() }.named(), of_account);
        let risk = SetRiskLimits { account, instrument, ..SetRiskLimits::default() };
        assert_eq!(risk.named(), Rejected { instrument, ..of_account });

        let of_instrument = Rejected { instrument, ..Rejected::default() };
        let rules = SetInstrumentRules { instrument, fee_asset: 3, ..SetInstrumentRules::default() };
        assert_eq!(rules.named(), Rejected { asset: 3, ..of_instrument });
        assert_eq!(SetTickTable { instrument, ..SetTickTable::default() }.named(), of_instrument);
        assert_eq!(SetFeeSchedule { instrument, ..SetFeeSchedule::default() }.named(), of_instrument);
        assert_eq!(SetTimetable { instrument, ..SetTimetable::default() }.named(), of_instrument);
        assert_eq!(SetPhase { instrument, ..SetPhase::default() }.named(), of_instrument);
        assert_eq!(BustTrade { trade_id: 1, reference: 2 }.named(), Rejected::default());
        assert_eq!(AdvanceTime::default().named(), Rejected::default());
    }

    fn full() -> ClientOrderId {
        ClientOrderId([b'x'; 36])
    }
}
