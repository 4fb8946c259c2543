//! What a session may do.

/// A set of permissions. Every session may log on and ask for the status of its own orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions {
    bits: u8,
}

impl Permissions {
    /// Nothing beyond what every session may.
    pub const NONE: Self = Self { bits: 0 };
    /// Enter, replace and cancel orders.
    pub const TRADE: Self = Self { bits: 1 };
    /// Cancel orders.
    pub const CANCEL: Self = Self { bits: 2 };
    /// Ask for market data.
    pub const MARKET_DATA: Self = Self { bits: 4 };
    /// Get copies of the firm's executions.
    pub const DROP_COPY: Self = Self { bits: 8 };
    /// Cancel the orders of others, all at once.
    pub const ADMIN: Self = Self { bits: 16 };

    const NAMES: [(&'static str, Self); 5] = [
        ("trade", Self::TRADE),
        ("cancel", Self::CANCEL),
        ("market_data", Self::MARKET_DATA),
        ("drop_copy", Self::DROP_COPY),
        ("admin", Self::ADMIN),
    ];

    /// The permission with this name in a configuration.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|it| it.0 == name).map(|it| it.1)
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { bits: self.bits | other.bits }
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub fn has(self, other: Self) -> bool {
        self.bits & other.bits == other.bits
    }

    /// Whether an application message of this type may be sent.
    pub(crate) fn allows(self, message_type: &[u8]) -> bool {
        match message_type {
            b"D" | b"G" | b"E" | b"L" => self.has(Self::TRADE),
            b"F" | b"K" => self.has(Self::TRADE) || self.has(Self::CANCEL),
            b"q" => self.has(Self::TRADE) || self.has(Self::CANCEL) || self.has(Self::ADMIN),
            b"V" => self.has(Self::MARKET_DATA),
            b"BW" => self.has(Self::DROP_COPY),
            _ => true,
        }
    }
}

impl Default for Permissions {
    /// To trade and to see the market.
    fn default() -> Self {
        Self::TRADE.and(Self::CANCEL).and(Self::MARKET_DATA)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_allow_their_messages() {
        let cancel = Permissions::from_name("cancel").unwrap();
        assert!(cancel.allows(b"K") && !cancel.allows(b"L") && !Permissions::NONE.allows(b"K"));
        assert!(cancel.allows(b"F") && cancel.allows(b"H") && !cancel.allows(b"D") && !cancel.allows(b"G"));
        assert!(Permissions::TRADE.allows(b"D") && Permissions::TRADE.allows(b"F"));
        assert!(!Permissions::TRADE.allows(b"V") && Permissions::default().allows(b"V"));
        assert!(!Permissions::NONE.allows(b"F") && Permissions::from_name("everything").is_none());
        assert!(!Permissions::default().has(Permissions::ADMIN));
        assert!(
            Permissions::ADMIN.allows(b"q")
                && !Permissions::ADMIN.allows(b"F")
                && !Permissions::NONE.allows(b"q")
        );
    }
}
