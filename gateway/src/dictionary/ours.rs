//! Fields that we take beyond the specification of a version. Most are standard fields of a later version, under their
//! own tags, so that every feature of the exchange has one tag in all versions; the others are ours.

use super::Kind;
use crate::fix::{Version, tags};

const ORDERS: &[&[u8]] = &[b"D", b"G"];

/// Kind, tag, and the messages that may hold it where the version's own dictionary does not have it there.
pub(super) const FIELDS: &[(Kind, u32, &[&[u8]])] = &[
    // FIX.4.3 and 5.0: name and password in the Logon.
    (Kind::Text, tags::USERNAME, &[b"A"]),
    (Kind::Text, tags::PASSWORD, &[b"A"]),
    (Kind::Text, tags::NEW_PASSWORD, &[b"A"]),
    // As Artio has it.
    (Kind::Integer, tags::CANCEL_ON_DISCONNECT_TYPE, &[b"A"]),
    (Kind::Natural, tags::CANCEL_ON_DISCONNECT_GRACE_MS, &[b"A"]),
    // FIX Latest.
    (Kind::Integer, tags::SELF_MATCH_PREVENTION_INSTRUCTION, ORDERS),
    // FIX.4.1 to 4.4.
    (Kind::Decimal, tags::CASH_ORDER_QTY, ORDERS),
    (Kind::Decimal, tags::PEG_OFFSET_VALUE, ORDERS),
    (Kind::Integer, tags::PEG_OFFSET_TYPE, ORDERS),
    (Kind::Date, tags::EXPIRE_DATE, ORDERS),
    // FIX.5.0.
    (Kind::Char, tags::DISPLAY_METHOD, ORDERS),
    (Kind::Decimal, tags::DISPLAY_LOW_QTY, ORDERS),
    (Kind::Decimal, tags::DISPLAY_HIGH_QTY, ORDERS),
    (Kind::Decimal, tags::DISPLAY_QTY, ORDERS),
    (Kind::Integer, tags::PEG_PRICE_TYPE, ORDERS),
    (Kind::Char, tags::TRIGGER_PRICE_TYPE, ORDERS),
    // FIX.5.0SP1.
    (Kind::Integer, tags::CONTINGENCY_TYPE, &[b"E"]),
    // Where a venue's own account number goes.
    (Kind::Text, tags::ACCOUNT, &[b"q"]),
    // Ours.
    (Kind::Boolean, tags::POST_ONLY_SLIDE, ORDERS),
    (Kind::Boolean, tags::MARKET_TO_LIMIT, ORDERS),
    (Kind::Integer, tags::SELF_TRADE_PREVENTION, ORDERS),
    (Kind::Boolean, tags::OWN_SESSION_ONLY, &[b"q"]),
];

/// Whether a message type is of this table: `None` is the session layer of FIXT.1.1, whose messages are the Logon and its
/// like; the application versions over it have none of those.
pub(super) fn applies(version: Option<Version>, message_type: &[u8]) -> bool {
    match version {
        None => tags::is_admin(message_type),
        Some(version) => !version.is_fixt() || !tags::is_admin(message_type),
    }
}
