//! The risk limits that an operator has set, by account and instrument.

use alloc::vec::Vec;

use protocol::{AccountId, InstrumentId, Limits, SetRiskLimits};

use crate::pair_index::PairIndex;

/// All risk limits: of at most [`Limits::positions`] pairs of account and instrument, and those of account 0 for each
/// instrument besides. The memory is reserved at the start.
///
/// A row never moves: positions and instruments keep its number, so that an order finds its limits without a search. The
/// index is for the first order of an account on an instrument, which has no position yet that could know.
pub(crate) struct RiskTable {
    rows: Vec<SetRiskLimits>,
    /// Rows of accounts, those of account 0 not among them.
    of_accounts: usize,
    most_of_accounts: usize,
    index: PairIndex,
}

impl RiskTable {
    /// A table for these limits. Nothing is allocated after this.
    pub(crate) fn new(limits: &Limits) -> Self {
        let most_of_accounts = limits.positions as usize;
        let most = Self::most_rows(limits);
        Self {
            rows: Vec::with_capacity(most),
            of_accounts: 0,
            most_of_accounts,
            index: PairIndex::with_capacity(most),
        }
    }

    /// The most rows that there can be.
    pub(crate) fn most_rows(limits: &Limits) -> usize {
        (limits.positions as usize).saturating_add(limits.instruments as usize)
    }

    /// Whether limits can be set: anew, or there is a place for one more pair.
    pub(crate) fn takes(&self, account: AccountId, instrument: InstrumentId) -> bool {
        account == AccountId(0)
            || self.of_accounts < self.most_of_accounts
            || self.number(account, instrument) != 0
    }

    /// Sets limits, for the first time or anew, and returns the number of their row: 1 or more.
    ///
    /// # Panics
    /// If the table does not take them.
    pub(crate) fn set(&mut self, limits: &SetRiskLimits) -> u32 {
        let known = self.number(limits.account, limits.instrument);
        if let Some(row) = self.at_mut(known) {
            *row = *limits;
            return known;
        }
        let (account, instrument) = (limits.account, limits.instrument);
        assert!(self.takes(account, instrument), "the risk table is full, and its caller has not looked");
        self.of_accounts += usize::from(account != AccountId(0));
        self.index.insert(account, instrument, self.rows.len() as u32);
        self.rows.push(*limits);
        self.rows.len() as u32
    }

    /// The number of an account's own row for an instrument; 0 if it has none.
    pub(crate) fn number(&self, account: AccountId, instrument: InstrumentId) -> u32 {
        let key_of = |row: u32| {
            let limits = &self.rows[row as usize];
            (limits.account, limits.instrument)
        };
        self.index.find(account, instrument, key_of).map_or(0, |row| row + 1)
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
    pub(crate) fn rows(&self) -> &[SetRiskLimits] {
        &self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(account: u32, instrument: InstrumentId, max_open_orders: u32) -> SetRiskLimits {
        SetRiskLimits { account: AccountId(account), instrument, max_open_orders, ..SetRiskLimits::default() }
    }

    fn table(positions: u32, instruments: u32) -> RiskTable {
        RiskTable::new(&Limits { positions, instruments, ..Limits::default() })
    }

    #[test]
    fn rows_keep_their_numbers_and_are_found_by_account_and_instrument() {
        let mut table = table(10, 10);
        assert_eq!((table.number(AccountId(2), 1), table.at(0), table.at(1)), (0, None, None));
        assert_eq!([(2, 1), (0, 1), (2, 2)].map(|(of, on)| table.set(&limits(of, on, 7))), [1, 2, 3]);
        assert_eq!(table.set(&limits(0, 1, 8)), 2);
        assert_eq!(
            [(2, 1), (0, 1), (2, 2), (0, 2)].map(|(of, on)| table.number(AccountId(of), on)),
            [1, 2, 3, 0]
        );
        assert_eq!(table.at(2), Some(&limits(0, 1, 8)));
        assert_eq!(table.rows().iter().map(|it| it.max_open_orders).collect::<Vec<_>>(), [7, 8, 7]);
    }

    #[test]
    fn a_full_table_takes_what_it_has_and_the_limits_of_everyone() {
        let mut table = table(2, 2);
        for (account, instrument) in [(2, 1), (3, 1)] {
            assert!(table.takes(AccountId(account), instrument));
            table.set(&limits(account, instrument, 1));
        }
        let reserved = table.rows.capacity();
        assert!(!table.takes(AccountId(2), 2) && !table.takes(AccountId(4), 1));
        assert!(table.takes(AccountId(3), 1) && table.takes(AccountId(0), 1));
        assert_eq!([(0, 1), (0, 2), (3, 1)].map(|(of, on)| table.set(&limits(of, on, 5))), [3, 4, 2]);
        assert_eq!(table.rows.capacity(), reserved);
    }

    #[test]
    #[should_panic(expected = "risk table is full")]
    fn setting_beyond_the_limit_is_a_mistake() {
        let mut table = table(1, 1);
        table.set(&limits(2, 1, 1));
        table.set(&limits(3, 1, 1));
    }
}
