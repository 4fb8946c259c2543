//! What can be wrong with a message at session level.

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
    /// Incorrect NumInGroup count for repeating group.
    GroupCount = 16,
    /// Invalid or unsupported application version (ApplVerID).
    ApplicationVersion = 18,
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
            Self::GroupCount => "Incorrect NumInGroup count for repeating group",
            Self::ApplicationVersion => "Invalid/Unsupported Application Version",
            Self::Other => "Already logged on",
        }
    }
}

/// The tag that a problem is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagRef<'m> {
    /// None in particular.
    None,
    /// This one.
    Number(u32),
    /// What stands in its place, which is no tag number.
    Text(&'m [u8]),
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem<'m> {
    /// Why.
    pub reason: SessionRejectReason,
    /// Where.
    pub tag: TagRef<'m>,
}

impl Problem<'_> {
    /// A problem of no tag in particular.
    #[must_use]
    pub fn of(reason: SessionRejectReason) -> Self {
        Self { reason, tag: TagRef::None }
    }

    /// A problem of a tag.
    #[must_use]
    pub fn at(reason: SessionRejectReason, tag: u32) -> Self {
        Self { reason, tag: TagRef::Number(tag) }
    }
}
