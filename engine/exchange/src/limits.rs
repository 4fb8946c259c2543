//! Which table sizes an exchange accepts.

use core::fmt;

use protocol::{Limits, OrderId};

/// Most assets and most instruments: each instrument has a book of its own with a ladder, reserved when it is created.
pub(crate) const MAX_IDS: u32 = 1 << 16;

/// Most accounts: 2^28. 16 bytes of owner each, 4 GiB in all.
pub const MAX_ACCOUNTS: u32 = 1 << 28;

/// Most balances and most positions: 2^30. 48 bytes for a balance, 80 for a position.
pub const MAX_BALANCES: u32 = 1 << 30;

/// Most orders: the slot of an order id has 24 bits.
pub(crate) const MAX_ORDERS: u32 = (1 << OrderId::SLOT_BITS) - 1;

/// Most fills per command: 2^20, so that the events of one command stay below 128 MiB.
pub const MAX_FILLS_PER_COMMAND: u32 = 1 << 20;

/// Most client order ids of ended orders that are remembered: 2^24, as many as there can be live ones.
pub(crate) const MAX_RECENT_CLIENT_IDS: u32 = 1 << 24;

/// A field of [`Limits`] that an exchange cannot work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsError {
    /// The field's name.
    pub field: &'static str,
    /// What it is.
    pub value: u32,
    /// Least allowed.
    pub least: u32,
    /// Most allowed.
    pub most: u32,
}

impl fmt::Display for LimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, value, least, most } = self;
        write!(f, "limit `{field}` is {value}; set it to {least} at least and {most} at most")
    }
}

impl core::error::Error for LimitsError {}

/// Whether an exchange can be made with these limits.
///
/// # Errors
/// The first field that is out of range.
pub fn check_limits(limits: &Limits) -> Result<(), LimitsError> {
    let ranges = [
        ("assets", limits.assets, 1, MAX_IDS),
        ("instruments", limits.instruments, 1, MAX_IDS),
        ("accounts", limits.accounts, 2, MAX_ACCOUNTS),
        ("balances", limits.balances, 1, MAX_BALANCES),
        ("orders", limits.orders, 1, MAX_ORDERS),
        ("fills_per_command", limits.fills_per_command, 1, MAX_FILLS_PER_COMMAND),
        ("positions", limits.positions, 1, MAX_BALANCES),
        ("recent_client_ids", limits.recent_client_ids, 0, MAX_RECENT_CLIENT_IDS),
    ];
    for (field, value, least, most) in ranges {
        if !(least..=most).contains(&value) {
            return Err(LimitsError { field, value, least, most });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn names_the_field_that_is_out_of_range() {
        assert_eq!(check_limits(&Limits::default()), Ok(()));
        let error = check_limits(&Limits { orders: 1 << 24, ..Limits::default() }).unwrap_err();
        assert_eq!(
            error.to_string(),
            "limit `orders` is 16777216; set it to 1 at least and 16777215 at most"
        );
        let bad = [
            Limits { assets: 0, ..Limits::default() },
            Limits { instruments: MAX_IDS + 1, ..Limits::default() },
            Limits { accounts: 1, ..Limits::default() },
            Limits { balances: 0, ..Limits::default() },
            Limits { fills_per_command: 0, ..Limits::default() },
            Limits { positions: 0, ..Limits::default() },
            Limits { positions: MAX_BALANCES + 1, ..Limits::default() },
            Limits { recent_client_ids: MAX_RECENT_CLIENT_IDS + 1, ..Limits::default() },
        ];
        let fields = bad.map(|limits| check_limits(&limits).unwrap_err().field);
        assert_eq!(
            fields,
            [
                "assets",
                "instruments",
                "accounts",
                "balances",
                "fills_per_command",
                "positions",
                "positions",
                "recent_client_ids"
            ]
        );
        let most =
            Limits { recent_client_ids: MAX_RECENT_CLIENT_IDS, positions: MAX_BALANCES, ..Limits::default() };
        assert_eq!(check_limits(&most), Ok(()));
        let least = Limits { recent_client_ids: 0, positions: 1, ..Limits::default() };
        assert_eq!(check_limits(&least), Ok(()));
    }
}
