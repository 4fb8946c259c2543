//! Checks of single messages against FIX 4.4: required tags, formats, values.

use crate::fix::{Message, parse_utc_timestamp, tags};

/// SessionRejectReason (tag 373) with FIX's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionRejectReason {
    /// Invalid tag number.
    TagNumber = 0,
    /// Required tag missing.
    RequiredTag = 1,
    /// Tag not defined for this message type.
    TagNotDefined = 2,
    /// Tag specified without a value.
    NoValue = 4,
    /// Value is incorrect (out of range) for this tag.
    Value = 5,
    /// Incorrect data format for value.
    DataFormat = 6,
    /// CompID problem.
    CompId = 9,
    /// SendingTime accuracy problem.
    SendingTime = 10,
    /// Invalid MsgType.
    MsgType = 11,
    /// Tag appears more than once.
    Repeated = 13,
    /// Tag specified out of required order.
    Order = 14,
    /// Other: a second Logon inside a session.
    Other = 99,
}

impl SessionRejectReason {
    /// The words of the specification.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::TagNumber => "Invalid tag number",
            Self::RequiredTag => "Required tag missing",
            Self::TagNotDefined => "Tag not defined for this message type",
            Self::NoValue => "Tag specified without a value",
            Self::Value => "Value is incorrect (out of range) for this tag",
            Self::DataFormat => "Incorrect data format for value",
            Self::CompId => "CompID problem",
            Self::SendingTime => "SendingTime accuracy problem",
            Self::MsgType => "Invalid MsgType",
            Self::Repeated => "Tag appears more than once",
            Self::Order => "Tag specified out of required order",
            Self::Other => "Already logged on",
        }
    }
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem<'m> {
    /// Why.
    pub reason: SessionRejectReason,
    /// The tag, as text; empty if it is about none.
    pub tag: &'m [u8],
}

impl<'m> Problem<'m> {
    /// A problem of no tag in particular.
    #[must_use]
    pub fn of(reason: SessionRejectReason) -> Self {
        Self { reason, tag: b"" }
    }

    /// A problem of a tag.
    #[must_use]
    pub fn at(reason: SessionRejectReason, tag: &'m [u8]) -> Self {
        Self { reason, tag }
    }
}

/// Checks that the header's required fields are there and have values.
pub(super) fn header_problem<'m>(message: &Message<'m>) -> Option<Problem<'m>> {
    for (tag, text) in [(49, b"49"), (56, b"56"), (52, b"52")] {
        match message.get(tag) {
            None => return Some(Problem::at(SessionRejectReason::RequiredTag, text)),
            Some(b"") => return Some(Problem::at(SessionRejectReason::NoValue, text)),
            Some(_) => {}
        }
    }
    None
}

/// A tag as number and as text.
type Tag = (u32, &'static [u8]);

/// What a message type must and may hold.
struct Rules {
    required: &'static [Tag],
    /// Body tags; `None` allows all that FIX defines.
    allowed: Option<&'static [u32]>,
}

fn rules_of(message_type: &[u8]) -> Rules {
    let (required, allowed): (&[Tag], Option<&[u32]>) = match message_type {
        b"0" => (&[], Some(&[112])),
        b"1" => (&[(112, b"112")], Some(&[112])),
        b"2" => (&[(7, b"7"), (16, b"16")], Some(&[7, 16])),
        b"3" => (&[(45, b"45")], Some(&[45, 58, 354, 355, 371, 372, 373])),
        b"4" => (&[(36, b"36")], Some(&[36, 123])),
        b"5" => (&[], Some(&[58, 354, 355])),
        b"D" => (&[(11, b"11"), (40, b"40"), (54, b"54"), (55, b"55"), (60, b"60")], None),
        b"F" => (&[(11, b"11"), (54, b"54"), (55, b"55"), (60, b"60")], None),
        b"G" => (&[(11, b"11"), (40, b"40"), (54, b"54"), (55, b"55"), (60, b"60")], None),
        b"H" => (&[(11, b"11"), (54, b"54"), (55, b"55")], None),
        _ => (&[], None),
    };
    Rules { required, allowed }
}

/// Tags below 128 that no repeating group of the messages served here contains: a second one is an error.
const SINGLE: u128 = {
    let tags = [
        1, 7, 11, 15, 16, 18, 21, 34, 35, 36, 37, 38, 40, 41, 43, 44, 45, 49, 50, 52, 54, 55, 56, 57, 58, 59,
        60, 97, 98, 99, 108, 110, 111, 112, 115, 116, 122, 123, 126,
    ];
    let (mut mask, mut at) = (0, 0);
    while at < tags.len() {
        mask |= 1u128 << tags[at];
        at += 1;
    }
    mask
};

/// Checks a message in sequence; its header has been checked.
pub(super) fn message_problem<'m>(message: &Message<'m>) -> Option<Problem<'m>> {
    let kind = message.message_type();
    if !tags::is_message_type(kind) {
        return Some(Problem::of(SessionRejectReason::MsgType));
    }
    let rules = rules_of(kind);
    if let Some(problem) = fields_problem(message, &rules) {
        return Some(problem);
    }
    let missing = rules.required.iter().find(|(tag, _)| message.get(*tag).is_none());
    if let Some((_, text)) = missing {
        return Some(Problem::at(SessionRejectReason::RequiredTag, text));
    }
    let names_order = message.get(tags::ORIG_CL_ORD_ID).or_else(|| message.get(tags::ORDER_ID)).is_some();
    if matches!(kind, b"F" | b"G") && !names_order {
        return Some(Problem::at(SessionRejectReason::RequiredTag, b"41"));
    }
    None
}

fn fields_problem<'m>(message: &Message<'m>, rules: &Rules) -> Option<Problem<'m>> {
    let mut seen = 0u128;
    let mut body_began = false;
    for field in message.fields() {
        let (tag, value) = (field.tag, message.value(field));
        let problem = |reason| Some(Problem::at(reason, message.tag_text(field)));
        let header = tags::is_header(tag);
        let known = header || tags::is_trailer(tag);
        if !known && !is_allowed(tag, rules) {
            let undefined = !tags::is_defined(tag);
            return problem(if undefined {
                SessionRejectReason::TagNumber
            } else {
                SessionRejectReason::TagNotDefined
            });
        }
        if value.is_empty() {
            return problem(SessionRejectReason::NoValue);
        }
        if header && body_began {
            return problem(SessionRejectReason::Order);
        }
        body_began |= !known;
        let bit = if tag < 128 { 1u128 << tag & SINGLE } else { 0 };
        if seen & bit != 0 {
            return problem(SessionRejectReason::Repeated);
        }
        seen |= bit;
        if let Some(reason) = value_problem(tag, value) {
            return problem(reason);
        }
    }
    None
}

fn is_allowed(tag: u32, rules: &Rules) -> bool {
    match rules.allowed {
        Some(allowed) => allowed.contains(&tag),
        None => {
            let own = tag >= tags::FIRST_USER_TAG || tag == tags::SELF_MATCH_PREVENTION_INSTRUCTION;
            tags::is_defined(tag) || own
        }
    }
}

fn value_problem(tag: u32, value: &[u8]) -> Option<SessionRejectReason> {
    let one_of = |set: &[u8]| value.len() == 1 && set.contains(&value[0]);
    let (format_ok, value_ok) = match tag {
        7 | 16 | 34 | 36 | 45 => (crate::fix::parse_number(value).is_some(), true),
        38 | 44 => (is_decimal(value), true),
        52 | 60 | 122 | 126 => (parse_utc_timestamp(value).is_some(), true),
        43 | 97 | 123 | 141 => (true, one_of(b"YN")),
        21 => (true, one_of(b"123")),
        40 => (true, one_of(b"12346789DEGIJKLMP")),
        54 => (true, one_of(b"123456789ABCDEFG")),
        59 => (true, one_of(b"01234567")),
        _ => (true, true),
    };
    match (format_ok, value_ok) {
        (false, _) => Some(SessionRejectReason::DataFormat),
        (true, false) => Some(SessionRejectReason::Value),
        (true, true) => None,
    }
}

/// FIX's float: an optional minus sign, digits, at most one point; at least one digit.
fn is_decimal(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let points = digits.iter().filter(|&&byte| byte == b'.').count();
    let numbers = digits.iter().filter(|byte| byte.is_ascii_digit()).count();
    numbers > 0 && points <= 1 && points + numbers == digits.len()
}
