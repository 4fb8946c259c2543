//! What a replace asks for beside the order that it is about.

use protocol::{CommandKind, OrderType};

use super::refusal::{OTHER, Refusal, refuse};
use super::{Order, Request, Special};

/// Checks a cancel or replace against its order, and brings a replace into the form that the engine takes for such an
/// order.
pub(crate) fn fit_to_order(
    mut request: Request,
    order: &Order,
    special: Option<&Special>,
) -> Result<Request, Refusal> {
    if order.is_done() {
        return refuse(0, "too late: the order has ended");
    }
    if order.instrument != request.instrument {
        return refuse(1, "the order is on another Symbol (55)");
    }
    if order.side != request.side {
        return refuse(OTHER, "the order has another Side (54)");
    }
    request.order_id = order.order_id;
    if !request.is_replace() {
        return Ok(request);
    }
    if request.says_time_in_force && request.time_in_force != order.time_in_force {
        return refuse(OTHER, "TimeInForce (59) cannot be replaced");
    }
    check_type(&request, order, special)?;
    let is_market = [OrderType::Market, OrderType::Stop].iter().any(|it| it.code() == order.order_type);
    if is_market && request.price_ticks != 0 {
        return refuse(OTHER, "the order is a market order: it has no Price (44)");
    }
    if !is_market && request.price_ticks == 0 {
        return refuse(OTHER, "Price (44) is missing: a limit order needs one");
    }
    let none = Special::default();
    let special = special.unwrap_or(&none);
    check_terms(&request, special)?;
    let new = &mut request.terms;
    // Saying what is so already is no change: it must not cost the order its place.
    if new.trigger_price_ticks == special.terms.trigger_price_ticks {
        new.trigger_price_ticks = 0;
    }
    if new.display_lots == special.terms.display_lots {
        new.display_lots = 0;
    }
    if new.trigger_price_ticks != 0 || new.display_lots != 0 {
        request.kind = CommandKind::ReplaceOrderTerms;
    }
    Ok(request)
}

/// OrdType (40) is the order's, or what has become of it.
fn check_type(request: &Request, order: &Order, special: Option<&Special>) -> Result<(), Refusal> {
    let became_limit = request.order_type == OrderType::Limit.code()
        && (order.order_type == OrderType::MarketToLimit.code()
            || (order.order_type == OrderType::StopLimit.code() && special.is_none_or(|it| !it.waits)));
    if request.order_type == order.order_type || became_limit {
        Ok(())
    } else {
        refuse(OTHER, "OrdType (40) is not that of the order, and cannot be replaced")
    }
}

/// What a replace says of terms that stay as they are must be so.
fn check_terms(request: &Request, special: &Special) -> Result<(), Refusal> {
    let (new, old) = (&request.terms, &special.terms);
    let differs = |new: i64, old: i64| new != 0 && new != old;
    let code = |value: u8| i64::from(value);
    if differs(new.minimum_lots, old.minimum_lots) {
        return refuse(OTHER, "MinQty (110) cannot be replaced");
    }
    if new.expire_time_ns != 0 && new.expire_time_ns != old.expire_time_ns {
        return refuse(OTHER, "ExpireTime (126) and ExpireDate (432) cannot be replaced");
    }
    if new.budget_minor != 0 {
        return refuse(OTHER, "CashOrderQty (152) cannot be replaced");
    }
    let follows = differs(new.offset, old.offset)
        || differs(code(new.trail), code(old.trail))
        || differs(code(new.peg), code(old.peg));
    if follows {
        return refuse(OTHER, "what the order follows (18, 211, 836, 1094) cannot be replaced");
    }
    if request.says_trigger && new.trigger != old.trigger {
        return refuse(OTHER, "TriggerPriceType (1107) cannot be replaced");
    }
    if differs(code(new.post_only), code(old.post_only)) || new.flags & !old.flags != 0 {
        return refuse(OTHER, "ExecInst (18), and whether the order is shown at all, cannot be replaced");
    }
    if new.display_variation_lots != 0 && new.display_variation_lots != old.display_variation_lots {
        return refuse(OTHER, "the range of random refills (1085, 1086) cannot be replaced");
    }
    if new.display_lots != 0 && !special.is_iceberg {
        return refuse(OTHER, "the order is no iceberg: DisplayQty (1138, 111) cannot be replaced");
    }
    if old.trail != 0 && new.trigger_price_ticks != 0 {
        return refuse(OTHER, "a trailing stop has no StopPx (99): its trigger follows the price");
    }
    Ok(())
}
