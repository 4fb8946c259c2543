//! How much of an order is shown: hidden orders, icebergs and their refills.

use protocol::{OrderTerms, OrderType, term_flags};

use super::Instrument;
use super::fields::OrderFields;
use super::refusal::{INCORRECT_QUANTITY, Refusal, UNSUPPORTED, refuse};

/// How much of an order is shown.
pub(super) fn display(
    fields: &OrderFields<'_>,
    instrument: &Instrument,
    order_type: OrderType,
    terms: &mut OrderTerms,
) -> Result<(), Refusal> {
    let shown = match (fields.display, fields.max_floor) {
        (Some(display), Some(floor)) if instrument.lots(display) != instrument.lots(floor) => {
            return refuse(INCORRECT_QUANTITY, "DisplayQty (1138) and MaxFloor (111) contradict each other");
        }
        (display, floor) => display.or(floor),
    };
    let shown = match shown.map(|text| instrument.lots(text)) {
        None => None,
        Some(Ok(lots)) if lots >= 0 => Some(lots),
        Some(_) => {
            return refuse(
                INCORRECT_QUANTITY,
                "DisplayQty (1138) or MaxFloor (111) is not a number of whole lots",
            );
        }
    };
    let undisclosed = fields.display_method == Some(b"4");
    if (shown.is_some() || undisclosed) && order_type != OrderType::Limit {
        return refuse(
            UNSUPPORTED,
            "DisplayQty (1138), MaxFloor (111) and DisplayMethod (1084) go with limit orders only",
        );
    }
    if undisclosed || (shown == Some(0) && fields.display_method.is_none()) {
        terms.flags |= term_flags::HIDDEN;
        return Ok(());
    }
    terms.display_lots = shown.unwrap_or(0);
    refills(fields, instrument, terms)
}

/// What an iceberg shows when its shown part is gone.
fn refills(fields: &OrderFields<'_>, instrument: &Instrument, terms: &mut OrderTerms) -> Result<(), Refusal> {
    let same = |text: Option<&[u8]>| {
        text.is_none_or(|text| terms.display_lots > 0 && instrument.lots(text) == Ok(terms.display_lots))
    };
    let simple = fields.display_when.is_none_or(|it| it == b"2")
        && same(fields.refresh)
        && fields.secondary_display.is_none()
        && fields.display_increment.is_none();
    if !simple {
        return refuse(
            UNSUPPORTED,
            "an iceberg is refilled when its shown part is gone (1083=2), to DisplayQty (1088 the same, no 1082 and 1087)",
        );
    }
    match fields.display_method {
        None | Some(b"1" | b"2") if fields.display_low.is_none() && fields.display_high.is_none() => Ok(()),
        Some(b"3") => random_refills(fields, instrument, terms),
        _ => refuse(
            UNSUPPORTED,
            "DisplayMethod (1084) must be 1 or 2 (always DisplayQty), 3 (random, with 1085 and 1086) or 4 (undisclosed)",
        ),
    }
}

/// Refills between DisplayLowQty (1085) and DisplayHighQty (1086), which the engine has as middle and distance.
fn random_refills(
    fields: &OrderFields<'_>,
    instrument: &Instrument,
    terms: &mut OrderTerms,
) -> Result<(), Refusal> {
    let lots =
        |text: Option<&[u8]>| text.and_then(|text| instrument.lots(text).ok()).filter(|&lots| lots > 0);
    let (Some(low), Some(high)) = (lots(fields.display_low), lots(fields.display_high)) else {
        return refuse(
            INCORRECT_QUANTITY,
            "DisplayMethod (1084) 3 needs DisplayLowQty (1085) and DisplayHighQty (1086), above 0, in whole lots",
        );
    };
    let (middle, distance) = (low.saturating_add(high) / 2, (high - low) / 2);
    let exact =
        high >= low && (high - low) % 2 == 0 && (terms.display_lots == 0 || terms.display_lots == middle);
    let (true, Ok(distance)) = (exact, u32::try_from(distance)) else {
        return refuse(
            INCORRECT_QUANTITY,
            "DisplayQty (1138) must be the middle of DisplayLowQty (1085) and DisplayHighQty (1086), in whole lots",
        );
    };
    (terms.display_lots, terms.display_variation_lots) = (middle, distance);
    Ok(())
}
