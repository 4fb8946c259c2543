//! What an operator has set for an account: its status, its options, and how many orders it has sent.

use alloc::vec::Vec;

use machine::StateHasher;
use protocol::{AccountId, AccountStatus, Limits, SetAccountOptions, SetAccountStatus};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

/// An account's settings. All zero where nothing has been set.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub(crate) struct AccountRow {
    /// Length of the interval of `max_orders`.
    pub(crate) interval_ns: u64,
    /// When the interval began; meaningless while `sent_orders` is 0.
    interval_began_ns: u64,
    /// Orders that it may send in an interval; 0 for no limit.
    pub(crate) max_orders: u32,
    /// Orders sent in the interval; 0 before the first.
    sent_orders: u32,
    /// [`protocol::AccountStatus`].
    pub(crate) status: u8,
    /// [`protocol::SelfTradePrevention`] of orders that say `Allow`.
    pub(crate) self_trade_prevention: u8,
    /// 1 if its fees are taken in the instrument's fee asset where it has enough of that.
    pub(crate) pays_in_fee_asset: u8,
    reserved: [u8; 5],
}

const _: () = assert!(size_of::<AccountRow>() == 32);

impl AccountRow {
    /// Whether nothing is set: an order of the account needs none of this.
    fn is_plain(&self) -> bool {
        self.status == AccountStatus::Active.code()
            && self.self_trade_prevention == 0
            && self.pays_in_fee_asset == 0
            && self.max_orders == 0
    }

    /// Whether an order at this time would be the first of an interval.
    fn begins_interval(&self, now_ns: u64) -> bool {
        self.sent_orders == 0 || now_ns.saturating_sub(self.interval_began_ns) >= self.interval_ns
    }
}

/// Settings of all accounts, by id.
///
/// Nearly all accounts have none, so one bit says whether to look at all: a hot path reads a bit in a map that stays in
/// the cache. Rows come zeroed from the system and cost nothing until one is set.
pub(crate) struct Accounts {
    /// One bit per account: 1 if anything is set.
    special: Vec<u64>,
    rows: Vec<AccountRow>,
}

impl Accounts {
    /// Accounts without settings, up to the highest id. Nothing is allocated after this.
    ///
    /// # Panics
    /// If there is no memory for them.
    pub(crate) fn new(limits: &Limits) -> Self {
        let accounts = limits.accounts as usize + 1;
        let rows = AccountRow::new_vec_zeroed(accounts).expect("there is memory for all accounts");
        Self { special: alloc::vec![0; accounts.div_ceil(64)], rows }
    }

    /// Whether nothing is set for an account; so too for one that does not exist.
    #[inline]
    pub(crate) fn is_plain(&self, account: AccountId) -> bool {
        let word = self.special.get(account.0 as usize / 64);
        word.is_none_or(|word| word >> (account.0 % 64) & 1 == 0)
    }

    /// An account's settings.
    #[inline]
    pub(crate) fn get(&self, account: AccountId) -> &AccountRow {
        &self.rows[account.0 as usize]
    }

    /// Suspends an account or lets it trade again.
    pub(crate) fn set_status(&mut self, command: &SetAccountStatus) {
        self.rows[command.account.0 as usize].status = command.status;
        self.mark(command.account);
    }

    /// Sets how an account trades. Its interval of orders begins anew.
    pub(crate) fn set_options(&mut self, command: &SetAccountOptions) {
        let row = &mut self.rows[command.account.0 as usize];
        row.interval_ns = command.interval_ns;
        row.interval_began_ns = 0;
        row.max_orders = command.max_orders;
        row.sent_orders = 0;
        row.self_trade_prevention = command.self_trade_prevention;
        row.pays_in_fee_asset = command.pays_in_fee_asset;
        self.mark(command.account);
    }

    /// Whether an account may send an order at this time, with so many before it.
    #[inline]
    pub(crate) fn may_send(&self, account: AccountId, now_ns: u64, before: u32) -> bool {
        let row = self.get(account);
        let sent_orders = if row.begins_interval(now_ns) { 0 } else { row.sent_orders };
        row.max_orders == 0 || sent_orders.saturating_add(before) < row.max_orders
    }

    /// Counts orders that an account has sent at this time. The first one after an interval has passed begins the next.
    #[inline]
    pub(crate) fn count_sent(&mut self, account: AccountId, now_ns: u64, orders: u32) {
        let row = &mut self.rows[account.0 as usize];
        if row.max_orders == 0 || orders == 0 {
            return;
        }
        if row.begins_interval(now_ns) {
            row.interval_began_ns = now_ns;
            row.sent_orders = orders;
        } else {
            row.sent_orders = row.sent_orders.saturating_add(orders);
        }
    }

    /// Accounts for which anything is set, by id.
    pub(crate) fn set_ones(&self) -> impl Iterator<Item = (AccountId, &AccountRow)> {
        let words = (0u32..).zip(&self.special).filter(|(_, bits)| **bits != 0);
        let accounts = words.flat_map(|(word, &bits)| {
            (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word * 64 + bit)
        });
        accounts.map(|account| (AccountId(account), &self.rows[account as usize]))
    }

    /// Takes an account's settings from a snapshot; false if there is no such account or nothing is set.
    pub(crate) fn restore(&mut self, account: AccountId, row: AccountRow) -> bool {
        let Some(place) = self.rows.get_mut(account.0 as usize) else { return false };
        *place = row;
        self.mark(account);
        !row.is_plain() && row.reserved == [0; 5]
    }

    /// Feeds all settings, by account.
    pub(crate) fn hash_into(&self, hasher: &mut StateHasher) {
        for (account, row) in self.set_ones() {
            hasher.write_value(&account);
            hasher.write_value(row);
        }
    }

    fn mark(&mut self, account: AccountId) {
        let bit = 1 << (account.0 % 64);
        let word = &mut self.special[account.0 as usize / 64];
        if self.rows[account.0 as usize].is_plain() {
            *word &= !bit;
        } else {
            *word |= bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALICE: AccountId = AccountId(64);

    fn accounts() -> Accounts {
        Accounts::new(&Limits { accounts: 200, ..Limits::default() })
    }

    fn hash(accounts: &Accounts) -> u64 {
        let mut hasher = StateHasher::new();
        accounts.hash_into(&mut hasher);
        hasher.finish()
    }

    fn limited(max_orders: u32, interval_ns: u64) -> SetAccountOptions {
        SetAccountOptions { account: ALICE, max_orders, interval_ns, ..SetAccountOptions::default() }
    }

    #[test]
    fn an_account_is_plain_exactly_while_nothing_is_set() {
        let mut accounts = accounts();
        let nothing = hash(&accounts);
        let plain = SetAccountOptions { account: ALICE, ..SetAccountOptions::default() };
        let options = [
            SetAccountOptions { self_trade_prevention: 2, ..plain },
            SetAccountOptions { pays_in_fee_asset: 1, ..plain },
            limited(1, 5),
        ];
        let mut hashes = Vec::from([nothing]);
        for set in options {
            accounts.set_options(&set);
            assert!(!accounts.is_plain(ALICE));
            assert!((0..=200).all(|other| other == 64 || accounts.is_plain(AccountId(other))));
            let row = accounts.get(ALICE);
            assert_eq!(row.self_trade_prevention, set.self_trade_prevention);
            assert_eq!(row.pays_in_fee_asset, set.pays_in_fee_asset);
            assert_eq!((row.max_orders, row.interval_ns), (set.max_orders, set.interval_ns));
            assert!(!hashes.contains(&hash(&accounts)));
            hashes.push(hash(&accounts));
            accounts.set_options(&plain);
            assert!(accounts.is_plain(ALICE));
            assert_eq!(hash(&accounts), nothing);
        }
        let mut status = SetAccountStatus { account: ALICE, status: 1, ..SetAccountStatus::default() };
        accounts.set_status(&status);
        assert_eq!(accounts.get(ALICE).status, AccountStatus::Suspended.code());
        accounts.set_options(&plain);
        assert!(!accounts.is_plain(ALICE));
        assert!(!hashes.contains(&hash(&accounts)));
        status.status = 0;
        accounts.set_status(&status);
        assert!(accounts.is_plain(ALICE));
        status.account = AccountId(200);
        status.status = 1;
        accounts.set_status(&status);
        assert!(!accounts.is_plain(AccountId(200)));
    }

    #[test]
    fn an_interval_begins_with_the_first_order_after_the_last_has_passed() {
        let mut accounts = accounts();
        accounts.set_options(&limited(2, 10));
        let mut send = |now_ns| {
            let may = accounts.may_send(ALICE, now_ns, 0);
            if may {
                accounts.count_sent(ALICE, now_ns, 1);
            }
            may
        };
        assert_eq!([1_003, 1_004, 1_012].map(&mut send), [true, true, false]);
        // The next one begins at 1,015 and not at 1,013.
        assert_eq!([1_015, 1_024, 1_024, 1_025].map(&mut send), [true, true, false, true]);
        assert_eq!([1_025, 1_034, 1_035].map(&mut send), [true, false, true]);
    }

    #[test]
    fn a_list_counts_in_full_and_setting_options_begins_anew() {
        let mut accounts = accounts();
        accounts.count_sent(ALICE, 5, 9);
        assert!(accounts.may_send(ALICE, 5, 0) && accounts.is_plain(ALICE));
        accounts.set_options(&limited(2, u64::MAX));
        assert_eq!(
            [0, 1, 2, u32::MAX].map(|before| accounts.may_send(ALICE, 5, before)),
            [true, true, false, false]
        );
        let before = hash(&accounts);
        accounts.count_sent(ALICE, 5, 0);
        assert_eq!(hash(&accounts), before);
        accounts.count_sent(ALICE, 5, 32);
        assert_ne!(hash(&accounts), before);
        accounts.count_sent(ALICE, 6, u32::MAX);
        assert!(!accounts.may_send(ALICE, u64::MAX - 1, 0));
        accounts.set_options(&limited(2, u64::MAX));
        assert_eq!(hash(&accounts), before);
        assert!(accounts.may_send(ALICE, 6, 0));
    }

    proptest! {
        #[test]
        fn agrees_with_a_list_of_all_times(
            max_orders in 1..4u32, interval_ns in 1..20u64, steps in proptest::collection::vec(0..8u64, 1..200),
        ) {
            let mut accounts = accounts();
            accounts.set_options(&limited(max_orders, interval_ns));
            // Begin of the interval and what was sent in it.
            let mut sent: Option<(u64, Vec<u64>)> = None;
            let mut now_ns = 0;
            for step in steps {
                now_ns += step;
                if sent.as_ref().is_some_and(|(began_ns, _)| now_ns >= began_ns + interval_ns) {
                    sent = None;
                }
                let count = sent.as_ref().map_or(0, |(_, times)| times.len());
                let expected = count < max_orders as usize;
                prop_assert_eq!(accounts.may_send(ALICE, now_ns, 0), expected);
                if expected {
                    accounts.count_sent(ALICE, now_ns, 1);
                    sent.get_or_insert((now_ns, Vec::new())).1.push(now_ns);
                }
            }
        }
    }
}
