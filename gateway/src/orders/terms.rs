//! What an order asks for beyond side, price and quantity: from FIX fields to [`OrderTerms`]. docs/fix.md has the table.

use protocol::{
    OrderTerms, OrderType, PegReference, PostOnly, PriceTicks, QuantityLots, Side, TimeInForce, TrailUnit,
    TriggerSource, term_flags,
};

use super::fields::OrderFields;
use super::refusal::{INCORRECT_QUANTITY, OTHER, Refusal, UNSUPPORTED, refuse};
use super::{ConversionError, Instrument};
use crate::fix::{parse_number, parse_utc_timestamp};

/// Nanoseconds of a day.
const DAY_NS: u64 = 86_400_000_000_000;
/// Basis points in one percent.
const BASIS_POINTS: i64 = 100;

/// How an order trades, as its message says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    /// The engine's type.
    pub(crate) order_type: OrderType,
    /// It trades at the close, by its type (40=5 or B of older versions).
    at_the_close: bool,
    /// It is a stop whose trigger follows the price.
    trails: bool,
    /// It is a replace, which leaves out what stays as it is.
    is_partial: bool,
}

impl Style {
    /// The style of a replace.
    pub(super) fn partial(self) -> Self {
        Self { is_partial: true, ..self }
    }
}

/// ExecInst (18), as far as it means something here.
#[derive(Clone, Copy, Debug, Default)]
struct Instructions {
    post_only: bool,
    all_or_none: bool,
    trails: bool,
    peg: Option<u8>,
}

/// Words for a value that does not fit, made for one field.
struct Words {
    not_whole: &'static str,
    out_of_range: &'static str,
}

macro_rules! words {
    ($field:literal, $unit:literal) => {
        Words {
            not_whole: concat!($field, " is not a multiple of the ", $unit),
            out_of_range: concat!($field, " must be above 0 and within the exchange's range"),
        }
    };
}

/// A positive number of ticks or lots.
fn positive(converted: Result<i64, ConversionError>, code: u64, words: &Words) -> Result<i64, Refusal> {
    match converted {
        Ok(units) if units > 0 => Ok(units),
        Err(ConversionError::NotAMultiple) => refuse(code, words.not_whole),
        _ => refuse(code, words.out_of_range),
    }
}

/// OrderQty (38).
pub(super) fn quantity(fields: &OrderFields<'_>, instrument: &Instrument) -> Result<QuantityLots, Refusal> {
    let Some(text) = fields.quantity else {
        return refuse(INCORRECT_QUANTITY, "OrderQty (38) is missing");
    };
    positive(instrument.lots(text), INCORRECT_QUANTITY, &words!("OrderQty (38)", "lot"))
}

/// Price (44) of an order that needs one.
pub(super) fn price(fields: &OrderFields<'_>, instrument: &Instrument) -> Result<PriceTicks, Refusal> {
    let Some(text) = fields.price else {
        return refuse(OTHER, "Price (44) is missing: a limit order needs one");
    };
    positive(instrument.ticks(text), OTHER, &words!("Price (44)", "tick"))
}

/// Side (54).
pub(super) fn side(fields: &OrderFields<'_>) -> Result<Side, Refusal> {
    match fields.side {
        Some(b"1") => Ok(Side::Buy),
        Some(b"2") => Ok(Side::Sell),
        _ => refuse(UNSUPPORTED, "Side (54) must be 1 (buy) or 2 (sell)"),
    }
}

fn instructions(fields: &OrderFields<'_>) -> Result<Instructions, Refusal> {
    let mut found = Instructions::default();
    let values = fields.exec_inst.unwrap_or_default().split(|&byte| byte == b' ');
    for value in values.filter(|value| !value.is_empty()) {
        match value {
            b"6" => found.post_only = true,
            b"G" => found.all_or_none = true,
            b"a" => found.trails = true,
            b"R" | b"P" | b"M" if found.peg.is_none() => found.peg = Some(value[0]),
            // How a broker works an order: an exchange has nothing to do for these.
            b"1" | b"2" | b"3" | b"4" | b"5" | b"B" => {}
            _ => {
                return refuse(
                    UNSUPPORTED,
                    "ExecInst (18) must be of 6 (post only), G (all or none), R, P or M (pegs), a (trailing stop)",
                );
            }
        }
    }
    Ok(found)
}

/// OrdType (40), and what goes with it.
pub(super) fn style(fields: &OrderFields<'_>) -> Result<Style, Refusal> {
    let trails = fields.offset.is_some();
    let of = |order_type| Style { order_type, at_the_close: false, trails, is_partial: false };
    let with_trigger = fields.trigger_type.is_some();
    let style = match fields.order_type {
        Some(b"1") if with_trigger => of(OrderType::Stop),
        Some(b"1") if fields.market_to_limit == Some(b"Y") => of(OrderType::MarketToLimit),
        Some(b"1") => of(OrderType::Market),
        Some(b"2") if with_trigger => of(OrderType::StopLimit),
        Some(b"2") => of(OrderType::Limit),
        Some(b"3") => of(OrderType::Stop),
        Some(b"4") => of(OrderType::StopLimit),
        Some(b"5") => Style { at_the_close: true, ..of(OrderType::Market) },
        Some(b"B") => Style { at_the_close: true, ..of(OrderType::Limit) },
        Some(b"K") => of(OrderType::MarketToLimit),
        Some(b"P") => {
            let trails = instructions(fields)?.trails || fields.peg_price_type == Some(b"8");
            match (trails, fields.price) {
                (false, _) => Style { trails: false, ..of(OrderType::Pegged) },
                (true, None) => Style { trails, ..of(OrderType::Stop) },
                (true, Some(_)) => Style { trails, ..of(OrderType::StopLimit) },
            }
        }
        _ => {
            return refuse(
                UNSUPPORTED,
                "OrdType (40) must be 1 (market), 2 (limit), 3 (stop), 4 (stop limit), K (market to limit) or P (pegged)",
            );
        }
    };
    Ok(style)
}

/// TimeInForce (59).
pub(super) fn time_in_force(fields: &OrderFields<'_>, style: Style) -> Result<TimeInForce, Refusal> {
    let market = style.order_type == OrderType::Market;
    match fields.time_in_force {
        None | Some(b"0" | b"7") if style.at_the_close => Ok(TimeInForce::AtTheClose),
        _ if style.at_the_close => {
            refuse(UNSUPPORTED, "an order on the close (40=5, 40=B) has TimeInForce (59) 7, 0 or none")
        }
        Some(b"3") => Ok(TimeInForce::ImmediateOrCancel),
        None if market => Ok(TimeInForce::ImmediateOrCancel),
        Some(b"4") => Ok(TimeInForce::FillOrKill),
        Some(b"2") => Ok(TimeInForce::AtTheOpening),
        Some(b"7") => Ok(TimeInForce::AtTheClose),
        Some(b"0" | b"1" | b"6") if market => refuse(
            UNSUPPORTED,
            "a market order is TimeInForce (59) 2 (at the opening), 3 (immediate or cancel), 4 (fill or kill) or 7 (at \
             the close)",
        ),
        None | Some(b"0") => Ok(TimeInForce::Day),
        Some(b"1") => Ok(TimeInForce::GoodTillCancel),
        Some(b"6") => Ok(TimeInForce::GoodTillDate),
        _ => refuse(
            UNSUPPORTED,
            "TimeInForce (59) must be 0 (day), 1 (GTC), 2 (at the opening), 3 (IOC), 4 (FOK), 6 (GTD) or 7 (at the close)",
        ),
    }
}

/// When a good-till-date order ends.
fn expire_time_ns(
    fields: &OrderFields<'_>,
    style: Style,
    time_in_force: TimeInForce,
) -> Result<u64, Refusal> {
    if time_in_force != TimeInForce::GoodTillDate {
        let none = fields.expire_time.is_none() && fields.expire_date.is_none();
        return if none {
            Ok(0)
        } else {
            refuse(UNSUPPORTED, "ExpireTime (126) and ExpireDate (432) go with TimeInForce (59) 6 only")
        };
    }
    let time_ns = match (fields.expire_time, fields.expire_date) {
        (Some(time), _) => parse_utc_timestamp(time),
        (None, Some(date)) => {
            parse_utc_timestamp(&[date, b"-00:00:00"].concat()).and_then(|start| start.checked_add(DAY_NS))
        }
        (None, None) if style.is_partial => Some(0),
        (None, None) => {
            return refuse(
                UNSUPPORTED,
                "TimeInForce (59) 6 (good till date) needs ExpireTime (126) or ExpireDate (432)",
            );
        }
    };
    time_ns.ok_or(Refusal { code: OTHER, text: "ExpireTime (126) or ExpireDate (432) is no time" })
}

/// The terms of an order of this style.
pub(super) fn terms(
    fields: &OrderFields<'_>,
    instrument: &Instrument,
    side: Side,
    style: Style,
    time_in_force: TimeInForce,
) -> Result<OrderTerms, Refusal> {
    if !fields.is_special && style.order_type != OrderType::Pegged {
        let waits = matches!(style.order_type, OrderType::Stop | OrderType::StopLimit);
        if !waits && time_in_force != TimeInForce::GoodTillDate {
            return Ok(OrderTerms::default());
        }
    }
    let instructions = instructions(fields)?;
    let mut terms = OrderTerms {
        expire_time_ns: expire_time_ns(fields, style, time_in_force)?,
        budget_minor: budget(fields, instrument, side, style)?,
        ..OrderTerms::default()
    };
    trigger(fields, instrument, side, style, &mut terms)?;
    peg(fields, instrument, side, style, instructions, &mut terms)?;
    super::display::display(fields, instrument, style.order_type, &mut terms)?;
    if let Some(text) = fields.minimum {
        terms.minimum_lots = match instrument.lots(text) {
            Ok(lots) if lots >= 0 => lots,
            _ => return refuse(INCORRECT_QUANTITY, "MinQty (110) is not a number of whole lots"),
        };
    }
    if instructions.all_or_none {
        terms.flags |= term_flags::ALL_OR_NONE;
    }
    terms.post_only = match (instructions.post_only, fields.post_only_slide) {
        (_, Some(b"Y")) => PostOnly::Slide.code(),
        (true, _) => PostOnly::Reject.code(),
        (false, _) => 0,
    };
    Ok(terms)
}

/// CashOrderQty (152): what a market buy may spend.
fn budget(
    fields: &OrderFields<'_>,
    instrument: &Instrument,
    side: Side,
    style: Style,
) -> Result<i64, Refusal> {
    let Some(text) = fields.budget else { return Ok(0) };
    if style.order_type != OrderType::Market || side != Side::Buy {
        return refuse(UNSUPPORTED, "CashOrderQty (152) goes with market buys only");
    }
    match instrument.quote_minor(text) {
        Ok(minor) if minor > 0 => Ok(minor),
        _ => refuse(
            INCORRECT_QUANTITY,
            "CashOrderQty (152) must be above 0, with no more decimals than the quote asset has",
        ),
    }
}

/// When a stop is triggered.
fn trigger(
    fields: &OrderFields<'_>,
    instrument: &Instrument,
    side: Side,
    style: Style,
    terms: &mut OrderTerms,
) -> Result<(), Refusal> {
    let price = fields.stop_price.or(fields.trigger_price);
    if !matches!(style.order_type, OrderType::Stop | OrderType::StopLimit) {
        return if price.is_none() && fields.trigger_price_type.is_none() {
            Ok(())
        } else {
            refuse(
                UNSUPPORTED,
                "StopPx (99) and TriggerPrice (1102) go with stop orders (40=3, 40=4, or 1100=4) only",
            )
        };
    }
    let direction: &[u8] = if side == Side::Buy { b"U" } else { b"D" };
    let simple = fields.trigger_type.is_none_or(|it| it == b"4")
        && fields.trigger_action.is_none_or(|it| it == b"1")
        && fields.trigger_direction.is_none_or(|it| it == direction)
        && fields.trigger_order_type.is_none();
    if !simple {
        return refuse(
            UNSUPPORTED,
            "a trigger is a price movement (1100=4) that activates (1101=1), up for a buy and down for a sell (1109)",
        );
    }
    terms.trigger = match (fields.trigger_price_type, side) {
        (None | Some(b"2"), _) => TriggerSource::LastTrade.code(),
        (Some(b"1"), Side::Buy) | (Some(b"3"), Side::Sell) => TriggerSource::BestPrice.code(),
        _ => {
            return refuse(
                UNSUPPORTED,
                "TriggerPriceType (1107) must be 2 (last trade), or the best price that the order would meet: 1 (best \
                 offer) for a buy, 3 (best bid) for a sell",
            );
        }
    };
    if style.trails {
        if price.is_some() {
            return refuse(OTHER, "a trailing stop has no StopPx (99): its trigger follows the price");
        }
        return trail(fields, instrument, style, terms);
    }
    let Some(text) = price else {
        return if style.is_partial {
            Ok(())
        } else {
            refuse(OTHER, "StopPx (99) is missing: a stop order needs one")
        };
    };
    terms.trigger_price_ticks = positive(instrument.ticks(text), OTHER, &words!("StopPx (99)", "tick"))?;
    Ok(())
}

/// How far a trailing stop follows the price.
fn trail(
    fields: &OrderFields<'_>,
    instrument: &Instrument,
    style: Style,
    terms: &mut OrderTerms,
) -> Result<(), Refusal> {
    let Some(text) = fields.offset else {
        if style.is_partial {
            return Ok(());
        }
        return refuse(OTHER, "PegOffsetValue (211) is missing: a trailing stop needs its distance");
    };
    let words = words!("PegOffsetValue (211)", "tick");
    let (unit, offset) = match fields.offset_type {
        None | Some(b"0") => (TrailUnit::Ticks, instrument.ticks(text)),
        Some(b"1") => (TrailUnit::BasisPoints, super::catalog::whole(text)),
        Some(b"2") => (TrailUnit::Ticks, super::catalog::whole(text)),
        Some(b"4") => (TrailUnit::BasisPoints, super::catalog::hundredths(text)),
        _ => {
            return refuse(
                UNSUPPORTED,
                "PegOffsetType (836) of a trailing stop must be 0 (price), 1 (basis points), 2 (ticks) or 4 (percent)",
            );
        }
    };
    terms.trail = unit.code();
    terms.offset = positive(offset, OTHER, &words)?;
    if unit == TrailUnit::BasisPoints && terms.offset > 100 * BASIS_POINTS {
        return refuse(OTHER, "PegOffsetValue (211) is more than 100 percent");
    }
    Ok(())
}

/// What a pegged order follows.
fn peg(
    fields: &OrderFields<'_>,
    instrument: &Instrument,
    side: Side,
    style: Style,
    instructions: Instructions,
    terms: &mut OrderTerms,
) -> Result<(), Refusal> {
    if style.order_type != OrderType::Pegged {
        let none = instructions.peg.is_none() && (fields.offset.is_none() || terms.trail != 0);
        let waits = terms.trigger != 0;
        return if none && (waits || fields.peg_price_type.is_none()) {
            Ok(())
        } else {
            refuse(
                UNSUPPORTED,
                "pegs (18=R, P or M, 211, 1094) go with OrdType (40) P or a trailing stop only",
            )
        };
    }
    let (near, far) = match side {
        Side::Buy => (PegReference::BestBid, PegReference::BestAsk),
        Side::Sell => (PegReference::BestAsk, PegReference::BestBid),
    };
    terms.peg = match (instructions.peg, fields.peg_price_type) {
        (Some(b'R'), None | Some(b"5")) | (None, Some(b"5")) => near,
        (Some(b'P'), None | Some(b"4")) | (None, Some(b"4")) => far,
        (Some(b'M'), None | Some(b"2")) | (None, Some(b"2")) => PegReference::Midpoint,
        (None, None) if style.is_partial => return Ok(()),
        _ => {
            return refuse(
                UNSUPPORTED,
                "a pegged order needs ExecInst (18) R (primary), P (market) or M (midpoint), or PegPriceType (1094) 5, 4 or \
                 2, and both the same",
            );
        }
    }
    .code();
    let floats = fields.peg_move.is_none_or(|it| it == b"0")
        && fields.peg_limit.is_none_or(|it| it == b"0")
        && fields.peg_round.is_none_or(|it| it == b"2")
        && fields.peg_scope.is_none_or(|it| it == b"1");
    if !floats {
        return refuse(
            UNSUPPORTED,
            "a peg floats (835=0) with this market (840=1), up to its Price (837=0), rounded away from the other side \
             (838=2)",
        );
    }
    let Some(text) = fields.offset else { return Ok(()) };
    let offset = match fields.offset_type {
        None | Some(b"0") => instrument.ticks(text),
        Some(b"2") => super::catalog::whole(text),
        _ => return refuse(UNSUPPORTED, "PegOffsetType (836) of a peg must be 0 (price) or 2 (ticks)"),
    };
    terms.offset = offset.map_err(|_| Refusal {
        code: OTHER,
        text: "PegOffsetValue (211) is not a whole number of ticks within the exchange's range",
    })?;
    Ok(())
}

/// Whether an Account (1) is the session's own, or none is given.
pub(super) fn is_own_account(text: Option<&[u8]>, account: u32) -> bool {
    text.is_none_or(|text| parse_number(text) == Some(u64::from(account)))
}
