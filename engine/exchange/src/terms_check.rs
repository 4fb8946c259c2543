//! The form of an order: what needs no look at the market (`docs/exchange.md`, "New order", step 1, and "Terms").

use protocol::{
    MAX_AMOUNT_MINOR, MAX_PRICE_TICKS, MAX_QUANTITY_LOTS, NewOrder, OrderTerms, OrderType, RejectReason,
    Side, TimeInForce, TrailUnit, term_flags,
};

const DAY: u8 = TimeInForce::Day.code();
const GTC: u8 = TimeInForce::GoodTillCancel.code();
const OPENING: u8 = TimeInForce::AtTheOpening.code();
const IOC: u8 = TimeInForce::ImmediateOrCancel.code();
const FOK: u8 = TimeInForce::FillOrKill.code();
const GTD: u8 = TimeInForce::GoodTillDate.code();
const CLOSING: u8 = TimeInForce::AtTheClose.code();

const MARKET: u8 = OrderType::Market.code();
const LIMIT: u8 = OrderType::Limit.code();
const STOP: u8 = OrderType::Stop.code();
const STOP_LIMIT: u8 = OrderType::StopLimit.code();
const MARKET_TO_LIMIT: u8 = OrderType::MarketToLimit.code();
const PEGGED: u8 = OrderType::Pegged.code();

/// Largest distance and band in basis points.
const MAX_BASIS_POINTS: i64 = 10_000;

/// Whether the shown book is all that an order needs.
#[inline]
pub(crate) fn is_plain_kind(order: &NewOrder) -> bool {
    matches!(order.order_type, MARKET | LIMIT) && matches!(order.time_in_force, DAY | GTC | IOC | FOK)
}

/// Whether a time in force lets an order stay for an indefinite time.
fn stays(time_in_force: u8) -> bool {
    matches!(time_in_force, DAY | GTC | GTD)
}

/// Reasons 8 to 11: the lowest that applies.
pub(crate) fn check_form(order: &NewOrder, terms: &OrderTerms, now_ns: u64) -> Result<(), RejectReason> {
    if !are_consistent(order, terms, now_ns) {
        return Err(RejectReason::InvalidParameter);
    }
    let prices = if has_own_price(order.order_type) { 1..=MAX_PRICE_TICKS } else { 0..=0 };
    if !prices.contains(&order.price_ticks) {
        return Err(RejectReason::InvalidPrice);
    }
    let least_lots = i64::from(terms.budget_minor == 0);
    if !(least_lots..=MAX_QUANTITY_LOTS).contains(&order.quantity_lots) {
        return Err(RejectReason::InvalidQuantity);
    }
    let fits = match order.order_type {
        MARKET => matches!(order.time_in_force, IOC | FOK | OPENING | CLOSING),
        LIMIT => true,
        _ => stays(order.time_in_force),
    };
    if fits { Ok(()) } else { Err(RejectReason::InvalidTimeInForce) }
}

/// Whether orders of a type give a limit price.
pub(crate) fn has_own_price(order_type: u8) -> bool {
    !matches!(order_type, MARKET | STOP | MARKET_TO_LIMIT)
}

fn are_consistent(order: &NewOrder, terms: &OrderTerms, now_ns: u64) -> bool {
    has_consistent_trigger(order, terms)
        && has_consistent_offset(terms)
        && (terms.peg != 0) == (order.order_type == PEGGED)
        && has_consistent_display(order, terms)
        && has_consistent_minimum(order, terms)
        && has_consistent_flags(order, terms)
        && (terms.expire_time_ns != 0) == (order.time_in_force == GTD)
        && (terms.expire_time_ns == 0 || terms.expire_time_ns > now_ns)
        && has_consistent_budget(order, terms)
}

fn has_consistent_trigger(order: &NewOrder, terms: &OrderTerms) -> bool {
    let waits = matches!(order.order_type, STOP | STOP_LIMIT);
    let prices = if waits && terms.trail == 0 { 1..=MAX_PRICE_TICKS } else { 0..=0 };
    (terms.trigger != 0) == waits
        && (terms.trail == 0 || waits)
        && prices.contains(&terms.trigger_price_ticks)
}

fn has_consistent_offset(terms: &OrderTerms) -> bool {
    let offsets = if terms.trail == TrailUnit::BasisPoints.code() {
        1..=MAX_BASIS_POINTS
    } else if terms.trail != 0 {
        1..=MAX_PRICE_TICKS
    } else if terms.peg != 0 {
        -MAX_PRICE_TICKS..=MAX_PRICE_TICKS
    } else {
        0..=0
    };
    offsets.contains(&terms.offset)
}

fn has_consistent_display(order: &NewOrder, terms: &OrderTerms) -> bool {
    let hides = terms.flags & (term_flags::HIDDEN | term_flags::ALL_OR_NONE) != 0;
    let immediate = matches!(order.time_in_force, IOC | FOK);
    let variation_lots = i64::from(terms.display_variation_lots);
    (0..=MAX_QUANTITY_LOTS).contains(&terms.display_lots)
        && (terms.display_lots == 0 || order.order_type == LIMIT && !hides && !immediate)
        && (variation_lots == 0 || variation_lots < terms.display_lots)
}

fn has_consistent_minimum(order: &NewOrder, terms: &OrderTerms) -> bool {
    let excluded =
        terms.post_only != 0 || terms.flags & term_flags::ALL_OR_NONE != 0 || terms.budget_minor != 0;
    let takes_part = matches!(order.order_type, MARKET | LIMIT)
        && matches!(order.time_in_force, DAY | GTC | GTD | IOC | FOK)
        && !excluded;
    terms.minimum_lots == 0 || takes_part && (1..=order.quantity_lots).contains(&terms.minimum_lots)
}

fn has_consistent_flags(order: &NewOrder, terms: &OrderTerms) -> bool {
    let all_or_none = terms.flags & term_flags::ALL_OR_NONE != 0;
    let asks = terms.flags != 0 || terms.post_only != 0;
    let may_ask = order.order_type == LIMIT && stays(order.time_in_force);
    let both = term_flags::HIDDEN | term_flags::ALL_OR_NONE;
    (!asks || may_ask) && terms.flags != both && !(all_or_none && terms.post_only != 0)
}

fn has_consistent_budget(order: &NewOrder, terms: &OrderTerms) -> bool {
    let budgets = 0..=MAX_AMOUNT_MINOR;
    let alone = OrderTerms { budget_minor: terms.budget_minor, ..OrderTerms::default() };
    let may_ask = order.order_type == MARKET
        && order.time_in_force == IOC
        && order.side == Side::Buy.code()
        && *terms == alone;
    budgets.contains(&terms.budget_minor) && (terms.budget_minor == 0 || may_ask)
}
