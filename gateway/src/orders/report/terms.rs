//! How an order trades, as its ExecutionReport says it: type, price, time in force and terms, with the fields that the
//! version has. docs/fix.md has the table.

use protocol::{
    OrderTerms, OrderType, PegReference, PostOnly, Side, TimeInForce, TrailUnit, TriggerSource, term_flags,
};

use crate::fix::{MessageWriter, Version, tags};
use crate::orders::{Instrument, Number, Order, Special};

/// OrdType, Price, TimeInForce, and what the order has beyond these.
pub(super) fn write_style(
    writer: &mut MessageWriter<'_>,
    instrument: &Instrument,
    special: Option<&Special>,
    order: &Order,
) {
    write_type(writer, order);
    // Older versions have no PeggedPrice: a pegged order's price is where it stands now.
    let standing = special.map(|it| it.pegged_price_ticks).filter(|&ticks| ticks != 0);
    let standing = standing.filter(|_| writer.version() < Version::Fix44);
    if shows_price(order) {
        instrument.price(standing.unwrap_or(order.price_ticks)).write(writer, tags::PRICE);
    }
    if let Some(special) = special {
        write_terms(writer, instrument, special, order.side);
    }
}

/// OrdType (40) and TimeInForce (59). Before FIX.4.3 what trades at the close is a type, and there is no market-to-limit
/// order: then the type is left out.
fn write_type(writer: &mut MessageWriter<'_>, order: &Order) {
    // A reject whose request is not remembered: what would be written here would be made up.
    if order.order_type == 0 {
        return;
    }
    if writer.version() < Version::Fix43 {
        if order.order_type == OrderType::MarketToLimit.code() {
            return writer.character(tags::TIME_IN_FORCE, b'0' + order.time_in_force);
        }
        if order.time_in_force == TimeInForce::AtTheClose.code() {
            let market = order.order_type == OrderType::Market.code();
            return writer.character(tags::ORD_TYPE, if market { b'5' } else { b'B' });
        }
    }
    writer.character(tags::ORD_TYPE, order_type_character(order.order_type));
    writer.character(tags::TIME_IN_FORCE, b'0' + order.time_in_force);
}

/// OrdType (40): FIX's digits by value, its letters as ASCII.
fn order_type_character(order_type: u8) -> u8 {
    if order_type < 10 { b'0' + order_type } else { order_type }
}

/// Whether the order has a limit price of its own, and not only a worst one.
fn shows_price(order: &Order) -> bool {
    let of_limit = [OrderType::Limit, OrderType::StopLimit, OrderType::MarketToLimit, OrderType::Pegged];
    of_limit.iter().any(|order_type| order_type.code() == order.order_type)
}

fn write_terms(writer: &mut MessageWriter<'_>, instrument: &Instrument, special: &Special, side: u8) {
    let (version, terms) = (writer.version(), &special.terms);
    if terms.trigger_price_ticks != 0 {
        instrument.price(terms.trigger_price_ticks).write(writer, tags::STOP_PX);
    }
    if terms.expire_time_ns != 0 {
        writer.time(tags::EXPIRE_TIME, terms.expire_time_ns);
    }
    if let Some(instruction) = instruction(terms, side).filter(|&it| it != b'a' || version >= Version::Fix44)
    {
        writer.character(tags::EXEC_INST, instruction);
    }
    if version < Version::Fix42 {
        return;
    }
    if terms.minimum_lots != 0 {
        instrument.quantity(terms.minimum_lots).write(writer, tags::MIN_QTY);
    }
    if terms.budget_minor != 0 {
        let scale = u32::from(instrument.quote_scale);
        Number::new(terms.budget_minor, scale).write(writer, tags::CASH_ORDER_QTY);
    }
    write_offset(writer, instrument, terms);
    if special.pegged_price_ticks != 0 && version >= Version::Fix44 {
        instrument.price(special.pegged_price_ticks).write(writer, tags::PEGGED_PRICE);
    }
    write_display(writer, instrument, terms);
    if version >= Version::Fix50 {
        write_references(writer, terms, side);
    }
}

/// ExecInst (18): what the engine knows of it excludes each other.
fn instruction(terms: &OrderTerms, side: u8) -> Option<u8> {
    if terms.post_only == PostOnly::Reject.code() || terms.post_only == PostOnly::Slide.code() {
        return Some(b'6');
    }
    if terms.flags & term_flags::ALL_OR_NONE != 0 {
        return Some(b'G');
    }
    if terms.trail != 0 {
        return Some(b'a');
    }
    let near = if side == Side::Buy.code() { PegReference::BestBid } else { PegReference::BestAsk };
    match PegReference::from_code(terms.peg)? {
        PegReference::Midpoint => Some(b'M'),
        reference if reference == near => Some(b'R'),
        _ => Some(b'P'),
    }
}

/// PegOffsetValue (211). Before FIX.4.4 it is a price always, so that basis points have no place.
fn write_offset(writer: &mut MessageWriter<'_>, instrument: &Instrument, terms: &OrderTerms) {
    if terms.offset == 0 {
        return;
    }
    if terms.trail != TrailUnit::BasisPoints.code() {
        return instrument.price(terms.offset).write(writer, tags::PEG_OFFSET_VALUE);
    }
    if writer.version() >= Version::Fix44 {
        writer.display(tags::PEG_OFFSET_VALUE, terms.offset);
        writer.bytes(tags::PEG_OFFSET_TYPE, b"1");
    }
}

/// DisplayQty (1138) with its method, or MaxFloor (111) before FIX.5.0; 0 for a hidden order.
fn write_display(writer: &mut MessageWriter<'_>, instrument: &Instrument, terms: &OrderTerms) {
    let hidden = terms.flags & term_flags::HIDDEN != 0;
    if terms.display_lots == 0 && !hidden {
        return;
    }
    let newer = writer.version() >= Version::Fix50;
    let tag = if newer { tags::DISPLAY_QTY } else { tags::MAX_FLOOR };
    instrument.quantity(terms.display_lots).write(writer, tag);
    if newer && terms.display_variation_lots != 0 {
        let variation = i64::from(terms.display_variation_lots);
        writer.bytes(tags::DISPLAY_METHOD, b"3");
        instrument.quantity(terms.display_lots - variation).write(writer, tags::DISPLAY_LOW_QTY);
        instrument.quantity(terms.display_lots + variation).write(writer, tags::DISPLAY_HIGH_QTY);
    }
}

/// PegPriceType (1094) and TriggerPriceType (1107).
fn write_references(writer: &mut MessageWriter<'_>, terms: &OrderTerms, side: u8) {
    let buys = side == Side::Buy.code();
    let followed = match (terms.trail, PegReference::from_code(terms.peg)) {
        (0, None) => None,
        (0, Some(PegReference::Midpoint)) => Some(b"2"),
        (0, Some(reference)) if (reference == PegReference::BestBid) == buys => Some(b"5"),
        (0, Some(_)) => Some(b"4"),
        _ => Some(b"8"),
    };
    if let Some(followed) = followed {
        writer.bytes(tags::PEG_PRICE_TYPE, followed);
    }
    if terms.trigger == TriggerSource::BestPrice.code() {
        writer.bytes(tags::TRIGGER_PRICE_TYPE, if buys { b"1" } else { b"3" });
    }
}
