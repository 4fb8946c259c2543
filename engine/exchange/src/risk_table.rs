//! The risk limits that an operator has set, by account and instrument.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use protocol::{AccountId, InstrumentId, SetRiskLimits};

/// All risk limits. Grows with what an operator sets, and only then.
///
/// A row never moves: positions and instruments keep its number, so that an order finds its limits without a search. The
/// index is for the first order of an account on an instrument, which has no position yet that could know.
#[derive(Default)]
pub(crate) struct RiskTable {
    rows: Vec<SetRiskLimits>,
    /// Number of each row.
    numbers: BTreeMap<(AccountId, InstrumentId), u32>,
}

impl RiskTable {
    /// Sets limits, for the first time or anew, and returns the number of their row: 1 or more.
    pub(crate) fn set(&mut self, limits: &SetRiskLimits) -> u32 {
        let known = self.number(limits.account, limits.instrument);
        if let Some(row) = self.at_mut(known) {
            *row = *limits;
            return known;
        }
        self.rows.push(*limits);
        let number = self.rows.len() as u32;
        self.numbers.insert((limits.account, limits.instrument), number);
        number
    }

    /// The number of an account's own row for an instrument; 0 if it has none.
    pub(crate) fn number(&self, account: AccountId, instrument: InstrumentId) -> u32 {
        self.numbers.get(&(account, instrument)).copied().unwrap_or(0)
    }

    /// The row of a number; `None` for 0.
    #[inline]
    pub(crate) fn at(&self, number: u32) -> Option<&SetRiskLimits> {
        self.rows.get((number as usize).checked_sub(1)?)
    }

    fn at_mut(&mut self, number: u32) -> Option<&mut SetRiskLimits> {
        self.rows.get_mut((number as usize).checked_sub(1)?)
    }

    /// All rows, the first set first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &SetRiskLimits> {
        self.rows.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_numbers_and_are_found_by_account_and_instrument() {
        let mut table = RiskTable::default();
        let limits = |account, instrument, max_open_orders| SetRiskLimits {
            account: AccountId(account),
            instrument,
            max_open_orders,
            ..SetRiskLimits::default()
        };
        assert_eq!((table.number(AccountId(2), 1), table.at(0), table.at(1)), (0, None, None));
        assert_eq!([(2, 1), (0, 1), (2, 2)].map(|(of, on)| table.set(&limits(of, on, 7))), [1, 2, 3]);
        assert_eq!(table.set(&limits(0, 1, 8)), 2);
        assert_eq!(
            [(2, 1), (0, 1), (2, 2), (0, 2)].map(|(of, on)| table.number(AccountId(of), on)),
            [1, 2, 3, 0]
        );
        assert_eq!(table.at(2), Some(&limits(0, 1, 8)));
        assert_eq!(table.iter().map(|it| it.max_open_orders).collect::<Vec<_>>(), [7, 8, 7]);
    }
}
