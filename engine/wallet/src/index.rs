//! The index from (account, asset) to a place in the balance table.

use alloc::vec::Vec;

use protocol::{AccountId, AssetId};

/// Open addressing with linear probing. Pairs are never removed, so a place once given stays for ever.
///
/// Entries carry their key: a lookup touches one cache line, seldom two. Half of the entries stay empty even when
/// the balance table is full, which keeps probes short whatever the operator numbers its accounts.
pub(crate) struct BalanceIndex {
    entries: Vec<Entry>,
}

/// 12 bytes. `account` 0 (WORLD, which has no place in the table) marks an empty entry.
#[derive(Clone, Copy, Default)]
struct Entry {
    account: u32,
    asset: u32,
    slot: u32,
}

const _: () = assert!(size_of::<Entry>() == 12);

impl BalanceIndex {
    /// An index for at most `balances` pairs.
    pub(crate) fn with_capacity(balances: u32) -> Self {
        let entries = (balances as usize).saturating_mul(2).max(2);
        Self { entries: alloc::vec![Entry::default(); entries] }
    }

    /// The place of a pair, if it has one.
    #[inline]
    pub(crate) fn find(&self, account: AccountId, asset: AssetId) -> Option<u32> {
        let entry = &self.entries[self.probe(account, asset)];
        (entry.account != 0).then_some(entry.slot)
    }

    /// Adds a pair that has no place yet.
    pub(crate) fn insert(&mut self, account: AccountId, asset: AssetId, slot: u32) {
        assert!(account != AccountId::WORLD, "WORLD has no place in the balance table");
        let at = self.probe(account, asset);
        assert!(self.entries[at].account == 0, "account {account}, asset {asset} has a balance already");
        self.entries[at] = Entry { account: account.0, asset, slot };
    }

    /// Where the pair is, or the empty entry where it would go. Ends, since half of the entries are empty.
    #[inline]
    fn probe(&self, account: AccountId, asset: AssetId) -> usize {
        let mut at = home(account, asset, self.entries.len());
        loop {
            let entry = &self.entries[at];
            if entry.account == 0 || (entry.account == account.0 && entry.asset == asset) {
                return at;
            }
            at += 1;
            if at == self.entries.len() {
                at = 0;
            }
        }
    }
}

/// Fibonacci hashing: multiply by 2^64 / golden ratio, then scale the high bits to the number of entries.
///
/// Four assets of an account (1 to 3, 4 to 7, ...) share a hash and lie side by side, so that an order finds what it
/// pays with and what it buys in one cache line. More would make runs that grow into each other.
#[inline]
fn home(account: AccountId, asset: AssetId, entries: usize) -> usize {
    let key = u64::from(account.0) << 32 | u64::from(asset / 4);
    let hash = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let at = ((u128::from(hash) * entries as u128) >> 64) as usize + (asset % 4) as usize;
    if at < entries { at } else { at % entries }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_pair_when_full_and_none_other() {
        let (accounts, assets) = (250, 8);
        let mut index = BalanceIndex::with_capacity(accounts * assets);
        let mut slot = 0;
        for account in 1..=accounts {
            for asset in 1..=assets {
                assert_eq!(index.find(AccountId(account), asset), None);
                index.insert(AccountId(account), asset, slot);
                slot += 1;
            }
        }
        for account in 1..=accounts {
            for asset in 1..=assets {
                let expected = (account - 1) * assets + asset - 1;
                assert_eq!(index.find(AccountId(account), asset), Some(expected));
            }
        }
        assert_eq!(index.find(AccountId(accounts + 1), 1), None);
        assert_eq!(index.find(AccountId(1), assets + 1), None);
        assert_eq!(index.find(AccountId(0), 1), None);
    }

    #[test]
    fn pairs_whose_home_is_the_last_entry_wrap_around() {
        let mut index = BalanceIndex::with_capacity(4);
        let last: Vec<u32> =
            (1..10_000).filter(|&account| home(AccountId(account), 1, 8) == 7).take(3).collect();
        for (slot, &account) in last.iter().enumerate() {
            index.insert(AccountId(account), 1, slot as u32);
        }
        for (slot, &account) in last.iter().enumerate() {
            assert_eq!(index.find(AccountId(account), 1), Some(slot as u32));
        }
    }

    #[test]
    fn probes_stay_short_when_full() {
        for (accounts, assets) in [(20_000, 1), (10_000, 2), (312, 64)] {
            let mut index = BalanceIndex::with_capacity(accounts * assets);
            for account in 2..accounts + 2 {
                for asset in 1..=assets {
                    index.insert(AccountId(account), asset, 0);
                }
            }
            let entries = index.entries.len();
            let distance = |account, asset| {
                (index.probe(account, asset) + entries - home(account, asset, entries)) % entries
            };
            let pairs = (2..accounts + 2).flat_map(|account| (1..=assets).map(move |asset| (account, asset)));
            let sum: usize = pairs.map(|(account, asset)| distance(AccountId(account), asset)).sum();
            assert!(sum < 2 * entries, "mean probe length {sum} / {} for {assets} assets", entries / 2);
        }
    }
}
