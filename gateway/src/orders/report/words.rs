//! Reasons in words and as FIX codes.

use protocol::RejectReason;

use crate::fix::Version;
use crate::orders::status;

/// What a reject means to the client; begins with the reason's name.
#[must_use]
pub fn reject_text(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::Malformed => "Malformed: the command was not understood",
        RejectReason::SequenceExhausted => "SequenceExhausted: the exchange must roll its journal over",
        RejectReason::UnknownAccount => {
            "UnknownAccount: the session's account does not exist on the exchange"
        }
        RejectReason::UnknownInstrument => "UnknownInstrument: no such instrument",
        RejectReason::UnknownAsset => "UnknownAsset: no such asset",
        RejectReason::IdOutOfRange => "IdOutOfRange: the id is above the exchange's limit",
        RejectReason::AlreadyExists => "AlreadyExists: the id is taken",
        RejectReason::InvalidParameter => "InvalidParameter: a parameter is out of range",
        RejectReason::InvalidPrice => "InvalidPrice: the price is out of range",
        RejectReason::InvalidQuantity => "InvalidQuantity: the quantity is out of range",
        RejectReason::InvalidTimeInForce => "InvalidTimeInForce: the order type does not go with it",
        RejectReason::InvalidAmount => "InvalidAmount: the amount is out of range",
        RejectReason::UnknownOrder => "UnknownOrder: no such live order of this account on this instrument",
        RejectReason::QuantityBelowFilled => {
            "QuantityBelowFilled: OrderQty is not above what has been filled"
        }
        RejectReason::DuplicateClientOrderId => "DuplicateClientOrderId: a live order has this ClOrdID",
        RejectReason::NotionalTooLarge => "NotionalTooLarge: price times quantity is too large",
        RejectReason::OrderTableFull => "OrderTableFull: the exchange holds as many orders as it can",
        RejectReason::BalanceTableFull => "BalanceTableFull: the exchange holds as many balances as it can",
        RejectReason::InsufficientFunds => {
            "InsufficientFunds: the available balance does not cover it and its fee"
        }
        RejectReason::AccountSuspended => "AccountSuspended: the account may cancel, and nothing else",
        RejectReason::WrongPhase => "WrongPhase: the instrument's phase does not take such an order",
        RejectReason::PriceOffTick => "PriceOffTick: the price is no multiple of the tick there",
        RejectReason::QuantityOutsideRules => {
            "QuantityOutsideRules: no multiple of the round lot, or below or above the instrument's limits"
        }
        RejectReason::NotionalOutsideRules => {
            "NotionalOutsideRules: price times quantity is below or above the instrument's limits"
        }
        RejectReason::OutsidePriceBand => {
            "OutsidePriceBand: the price is outside the instrument's price bands"
        }
        RejectReason::RiskQuantity => "RiskQuantity: above the account's largest order quantity",
        RejectReason::RiskNotional => "RiskNotional: above the account's largest order notional",
        RejectReason::RiskOpenOrders => "RiskOpenOrders: the account has as many open orders as it may",
        RejectReason::RiskPosition => "RiskPosition: the account's position could become too large",
        RejectReason::RiskPriceCollar => "RiskPriceCollar: too far from the reference price for this account",
        RejectReason::RateLimited => "RateLimited: the account has sent as many orders as it may for now",
        RejectReason::WouldTake => "WouldTake: a post-only order would have traded",
        RejectReason::NoLiquidity => "NoLiquidity: there is no price on the other side, or none to follow",
        RejectReason::NoCollar => {
            "NoCollar: the instrument has no collar or reference price for such an order"
        }
        RejectReason::BudgetTooSmall => "BudgetTooSmall: the budget does not buy one lot",
        RejectReason::TooManyConditional => {
            "TooManyConditional: the instrument takes no more pegged, trailing or all-or-none orders"
        }
        RejectReason::NotReplaceable => "NotReplaceable: an order of a list cannot be replaced",
        RejectReason::UnknownTrade => "UnknownTrade: not among the last trades",
        RejectReason::AlreadyBusted => "AlreadyBusted: the trade was busted before",
        RejectReason::PositionTableFull => {
            "PositionTableFull: the exchange holds as many positions as it can"
        }
        RejectReason::TooManySweeps => "TooManySweeps: as many mass cancels are at work as there may be",
        RejectReason::RiskTableFull => {
            "RiskTableFull: as many accounts have limits of their own as there may be positions"
        }
    }
}

/// OrdRejReason (103) in a version that may not know `code`; then 0, "broker or exchange option".
pub(super) fn fitted_order_reject(version: Version, code: u64) -> u64 {
    let highest = match version {
        Version::Fix40 => 4,
        Version::Fix41 => 6,
        Version::Fix42 => 8,
        Version::Fix43 => 12,
        _ => return code,
    };
    if code <= highest { code } else { 0 }
}

/// CxlRejReason (102) in a version that may not know `code`; then 2, "broker or exchange option", or none.
pub(super) fn fitted_cancel_reject(version: Version, code: u64) -> Option<u64> {
    match version {
        Version::Fix40 | Version::Fix41 => (code <= 1).then_some(code),
        Version::Fix42 => Some(if code <= 3 { code } else { 2 }),
        Version::Fix43 => Some(if code <= 6 { code } else { 2 }),
        _ => Some(code),
    }
}

/// OrdRejReason (103).
pub(super) fn order_reject_code(reason: RejectReason) -> u64 {
    match reason {
        RejectReason::UnknownAccount => 15,
        RejectReason::UnknownInstrument => 1,
        RejectReason::InvalidQuantity | RejectReason::QuantityOutsideRules => 13,
        RejectReason::WrongPhase => 2,
        RejectReason::InvalidTimeInForce => 11,
        RejectReason::DuplicateClientOrderId => 6,
        RejectReason::NotionalTooLarge
        | RejectReason::InsufficientFunds
        | RejectReason::NotionalOutsideRules
        | RejectReason::RiskQuantity
        | RejectReason::RiskNotional
        | RejectReason::RiskOpenOrders
        | RejectReason::RiskPosition => 3,
        _ => 99,
    }
}

/// CxlRejReason (102).
pub(super) fn cancel_reject_code(reason: RejectReason, order_status: u8) -> u64 {
    match reason {
        RejectReason::UnknownOrder
            if matches!(order_status, status::FILLED | status::CANCELED | status::EXPIRED) =>
        {
            0
        }
        RejectReason::UnknownOrder => 1,
        RejectReason::DuplicateClientOrderId => 6,
        _ => 99,
    }
}
