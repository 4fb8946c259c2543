//! Which row of a table belongs to a pair of account and instrument.

use alloc::vec::Vec;

use machine::prefetch;
use protocol::{AccountId, InstrumentId};

/// An index from pairs to rows that their table keeps in the order in which they came.
///
/// Open addressing with linear probing over 8-byte entries, half empty at least: 32 bits of hash and row + 1, 0 marking an
/// empty one. Keys are compared in the row itself, which the caller wants anyway, so that a lookup touches one cache line
/// besides it, seldom two. Pairs are never removed.
pub(crate) struct PairIndex {
    /// Plain integers: a vector of them comes zeroed from the system and costs nothing until it is used.
    entries: Vec<u64>,
}

impl PairIndex {
    /// An index for at most `limit` pairs. Nothing is allocated after this.
    pub(crate) fn with_capacity(limit: usize) -> Self {
        Self { entries: alloc::vec![0; limit.saturating_mul(2).max(2)] }
    }

    /// The row of a pair, if it has one; `key_of` tells whose a row is.
    #[inline]
    pub(crate) fn find(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        key_of: impl Fn(u32) -> (AccountId, InstrumentId),
    ) -> Option<u32> {
        let (mut at, tag) = self.home(account, instrument);
        loop {
            let entry = self.entries[at];
            let row = (entry as u32).checked_sub(1)?;
            if (entry >> 32) as u32 == tag && key_of(row) == (account, instrument) {
                return Some(row);
            }
            at = self.next(at);
        }
    }

    /// Gives a pair that has no row one. The caller sees to it that there are no more pairs than the limit.
    pub(crate) fn insert(&mut self, account: AccountId, instrument: InstrumentId, row: u32) {
        let (mut at, tag) = self.home(account, instrument);
        while self.entries[at] != 0 {
            at = self.next(at);
        }
        self.entries[at] = u64::from(tag) << 32 | u64::from(row + 1);
    }

    /// Asks for where a pair's entry would be.
    #[inline]
    pub(crate) fn prefetch(&self, account: AccountId, instrument: InstrumentId) {
        prefetch(&self.entries[self.home(account, instrument).0]);
    }

    /// Where a pair's entry would lie if nothing else did, and what tells it from its neighbours. Both come from one
    /// product of 128 bits, folded, so that accounts and instruments numbered densely do not run into each other.
    #[inline]
    fn home(&self, account: AccountId, instrument: InstrumentId) -> (usize, u32) {
        let key = u64::from(account.0) << 32 | u64::from(instrument);
        let product = u128::from(key ^ 0xD6E8_FEB8_6659_FD93) * 0x9E37_79B9_7F4A_7C15;
        let hash = product as u64 ^ (product >> 64) as u64;
        let home = ((hash >> 32) * self.entries.len() as u64) >> 32;
        (home as usize, hash as u32)
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        if at + 1 == self.entries.len() { 0 } else { at + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An index with the rows that it leads to.
    struct Table(PairIndex, Vec<(AccountId, InstrumentId)>);

    impl Table {
        fn with_capacity(limit: usize) -> Self {
            Self(PairIndex::with_capacity(limit), Vec::new())
        }

        fn open(&mut self, account: u32, instrument: u32) {
            self.0.insert(AccountId(account), instrument, self.1.len() as u32);
            self.1.push((AccountId(account), instrument));
        }

        fn find(&self, account: u32, instrument: u32) -> Option<u32> {
            self.0.find(AccountId(account), instrument, |row| self.1[row as usize])
        }
    }

    #[test]
    fn pairs_whose_home_is_the_last_entry_wrap_around_and_equal_tags_are_told_apart() {
        let mut table = Table::with_capacity(4);
        let last = (2..10_000).filter(|&account| table.0.home(AccountId(account), 1).0 == 7);
        let last: Vec<u32> = last.take(4).collect();
        for &account in &last {
            table.open(account, 1);
        }
        for (row, &account) in last.iter().enumerate() {
            assert_eq!(table.find(account, 1), Some(row as u32));
        }
        // Two of the same tag, as a hash of 32 bits will have among millions.
        let tag = table.0.home(AccountId(last[1]), 1).1;
        let first = table.0.entries.iter_mut().find(|entry| **entry as u32 == 1).unwrap();
        *first = u64::from(tag) << 32 | 1;
        assert_eq!(table.find(last[1], 1), Some(1));
    }

    #[test]
    fn an_equal_hash_of_another_instrument_is_no_pair() {
        let mut table = Table::with_capacity(2);
        table.open(7, 1);
        let (at, tag) = table.0.home(AccountId(7), 2);
        table.0.entries.fill(0);
        table.0.entries[at] = u64::from(tag) << 32 | 1;
        assert_eq!(table.find(7, 2), None);
    }

    #[test]
    fn probes_stay_short_when_full() {
        for (accounts, instruments) in [(20_000, 1), (10_000, 2), (312, 64)] {
            let mut table = Table::with_capacity((accounts * instruments) as usize);
            let pairs = (2..accounts + 2).flat_map(|account| (1..=instruments).map(move |it| (account, it)));
            for (account, instrument) in pairs {
                table.open(account, instrument);
            }
            let entries = table.0.entries.len();
            let steps = |(at, entry): (usize, &u64)| {
                let (account, instrument) = table.1[*entry as u32 as usize - 1];
                (at + entries - table.0.home(account, instrument).0) % entries
            };
            let used = table.0.entries.iter().enumerate().filter(|(_, entry)| **entry != 0);
            let sum: usize = used.map(steps).sum();
            assert!(sum < entries / 2, "mean distance {sum} / {} for {instruments} instruments", entries / 2);
        }
    }
}
