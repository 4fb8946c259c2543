//! Whether a command's codes, flags and reserved bytes are in range.

use protocol::{
    CancelReason, ListType, NewClientOrderList, NewOrder, NewOrderList, OrderTerms, OrderType, PegReference,
    Phase, PostOnly, SelfTradePrevention, Side, TimeInForce, TrailUnit, TriggerSource,
};
use protocol::{MassCancel, SetAccountOptions, SetAccountStatus, SetInstrumentRules, SetPhase};

pub(crate) fn order(it: &NewOrder) -> bool {
    Side::from_code(it.side).is_some()
        && OrderType::from_code(it.order_type).is_some()
        && TimeInForce::from_code(it.time_in_force).is_some()
        && SelfTradePrevention::from_code(it.self_trade_prevention).is_some()
        && it.client_order_id.is_well_formed()
}

pub(crate) fn terms(it: &OrderTerms) -> bool {
    (it.trigger == 0 || TriggerSource::from_code(it.trigger).is_some())
        && (it.trail == 0 || TrailUnit::from_code(it.trail).is_some())
        && (it.peg == 0 || PegReference::from_code(it.peg).is_some())
        && (it.post_only == 0 || PostOnly::from_code(it.post_only).is_some())
        && it.flags <= 3
        && it.reserved == [0; 7]
}

pub(crate) fn list(it: &NewOrderList) -> bool {
    ListType::from_code(it.list_type).is_some() && it.reserved == [0; 7] && (1..=32).contains(&it.count)
}

pub(crate) fn list_id(it: &NewClientOrderList) -> bool {
    it.reserved == [0; 4] && !it.client_list_id.is_none() && it.client_list_id.is_well_formed()
}

pub(crate) fn mass_cancel(it: &MassCancel) -> bool {
    let reasons = [CancelReason::MassCancel, CancelReason::Disconnected, CancelReason::Operator];
    it.side <= 2
        && it.of_session <= 1
        && (it.of_session == 1 || (it.gateway, it.session) == (0, 0))
        && reasons.iter().any(|reason| reason.code() == it.reason)
        && it.client_order_id.is_well_formed()
        && it.reserved == [0; 5]
}

pub(crate) fn account_status(it: &SetAccountStatus) -> bool {
    it.status <= 1 && it.cancel_orders <= 1 && it.reserved == [0; 2]
}

pub(crate) fn account_options(it: &SetAccountOptions) -> bool {
    SelfTradePrevention::from_code(it.self_trade_prevention).is_some()
        && it.pays_in_fee_asset <= 1
        && it.reserved == [0; 6]
}

pub(crate) fn rules(it: &SetInstrumentRules) -> bool {
    it.band_action <= 1 && it.reserved == [0; 7]
}

pub(crate) fn phase(it: &SetPhase) -> bool {
    Phase::from_code(it.phase).is_some() && it.reserved == [0; 3]
}
