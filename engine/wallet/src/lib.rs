//! Accounts, balances, holds and transfers.
//!
//! The wallet knows no orders: it is told to reserve, to release and to move, and it refuses or does so. Every
//! movement has two sides, so that per asset the balances of all accounts, [`AccountId::WORLD`] included, sum to zero.
//! Bad input is refused with a [`RejectReason`]; a broken invariant (a hold larger than its balance, a release of what
//! was never held) panics, since going on would lose or invent money.
//!
//! All memory is reserved by [`Wallet::new`]: 16 bytes per balance, 8 for its key and 24 of index, and 16 bytes per
//! account for its name. A caller keeps the [`BalanceSlot`]s of what it uses often; they never change, so that an
//! order touches the index once and from then on one 16-byte entry per movement.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod index;
mod restore;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use index::BalanceIndex;
use machine::StateHasher;
use protocol::{
    AccountId, AmountMinor, AssetId, CreateAccount, CreateAsset, Limits, MAX_AMOUNT_MINOR, Name, RejectReason,
};

/// What an account has of an asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// What it owns, in minor units; what is held is part of it. Negative only for WORLD.
    pub balance_minor: AmountMinor,
    /// What of it is reserved; 0 to `balance_minor`, 0 for WORLD.
    pub held_minor: AmountMinor,
}

const _: () = assert!(size_of::<Balance>() == 16);

impl Balance {
    /// What may be reserved or withdrawn.
    #[inline]
    #[must_use]
    pub fn available_minor(&self) -> AmountMinor {
        self.balance_minor - self.held_minor
    }
}

/// The place of one pair of account and asset in the balance table. Given once, valid for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BalanceSlot(u32);

impl BalanceSlot {
    /// As a number, for a caller that keeps it in a record of its own.
    #[inline]
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// From [`BalanceSlot::to_bits`] of the same wallet.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

/// Most decimal places of an asset: 10^18 minor units are the largest power of ten within `MAX_AMOUNT_MINOR`.
const MAX_SCALE: u8 = 18;

/// Accounts, assets and balances.
pub struct Wallet {
    /// One bit per account id up to the limit: whether a client account of this id exists.
    clients: Vec<u64>,
    /// Owners by account id; all zero where there is no account.
    owners: Vec<Name>,
    /// Highest account id.
    account_limit: u32,
    /// Accounts created.
    account_count: u32,
    /// By asset id less 1.
    assets: Vec<Asset>,
    /// Balances in the order in which they were first used.
    balances: Vec<Balance>,
    /// Account and asset of each of them.
    keys: Vec<(AccountId, AssetId)>,
    /// Most balances.
    balance_limit: usize,
    index: BalanceIndex,
}

#[derive(Clone, Copy, Default)]
struct Asset {
    /// As created; `asset` 0 where there is none.
    created: CreateAsset,
    /// What all accounts but WORLD own of it: minus WORLD's balance.
    issued_minor: AmountMinor,
}

impl Wallet {
    /// An empty wallet. `limits` says how many assets, accounts and balances there can be; memory for all of them is
    /// reserved now.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let accounts = limits.accounts as usize + 1;
        let balances = limits.balances as usize;
        Self {
            clients: alloc::vec![0; accounts.div_ceil(64)],
            owners: alloc::vec![Name::default(); accounts],
            account_limit: limits.accounts,
            account_count: 0,
            assets: alloc::vec![Asset::default(); limits.assets as usize],
            balances: Vec::with_capacity(balances),
            keys: Vec::with_capacity(balances),
            balance_limit: balances,
            index: BalanceIndex::with_capacity(limits.balances),
        }
    }

    /// Creates an asset.
    ///
    /// # Errors
    /// `IdOutOfRange`, `AlreadyExists`, `InvalidParameter` (scale above 18 or a bad name), in this order.
    pub fn create_asset(&mut self, create: &CreateAsset) -> Result<(), RejectReason> {
        if create.asset == 0 || create.asset as usize > self.assets.len() {
            return Err(RejectReason::IdOutOfRange);
        }
        if self.has_asset(create.asset) {
            return Err(RejectReason::AlreadyExists);
        }
        if create.scale > MAX_SCALE || !create.name.is_well_formed() {
            return Err(RejectReason::InvalidParameter);
        }
        self.assets[create.asset as usize - 1].created = *create;
        Ok(())
    }

    /// Creates a client account.
    ///
    /// # Errors
    /// `IdOutOfRange` (WORLD and FEES too), `AlreadyExists`, `InvalidParameter` (a bad name), in this order.
    pub fn create_account(&mut self, create: &CreateAccount) -> Result<(), RejectReason> {
        let account = create.account;
        if account < AccountId::FIRST_CLIENT || account.0 > self.account_limit {
            return Err(RejectReason::IdOutOfRange);
        }
        if self.is_client(account) {
            return Err(RejectReason::AlreadyExists);
        }
        if !create.name.is_well_formed() {
            return Err(RejectReason::InvalidParameter);
        }
        self.clients[account.0 as usize / 64] |= 1 << (account.0 % 64);
        self.owners[account.0 as usize] = create.name;
        self.account_count += 1;
        Ok(())
    }

    /// Whether a client account of this id exists. WORLD and FEES are none.
    #[inline]
    #[must_use]
    pub fn is_client(&self, account: AccountId) -> bool {
        let word = self.clients.get(account.0 as usize / 64);
        word.is_some_and(|word| word >> (account.0 % 64) & 1 == 1)
    }

    /// Whether an asset of this id exists.
    #[inline]
    #[must_use]
    pub fn has_asset(&self, asset: AssetId) -> bool {
        self.asset(asset).is_some()
    }

    /// An asset as it was created.
    #[must_use]
    pub fn asset(&self, asset: AssetId) -> Option<&CreateAsset> {
        let entry = self.assets.get((asset as usize).wrapping_sub(1))?;
        (entry.created.asset != 0).then_some(&entry.created)
    }

    /// All assets, by id.
    pub fn assets(&self) -> impl Iterator<Item = &CreateAsset> {
        self.assets.iter().map(|entry| &entry.created).filter(|created| created.asset != 0)
    }

    /// All client accounts with their owners, by id.
    pub fn accounts(&self) -> impl Iterator<Item = (AccountId, Name)> {
        let owners = (0u32..).zip(&self.owners).filter(|&(_, name)| *name != Name::default());
        owners.map(|(id, &name)| (AccountId(id), name))
    }

    /// Client accounts that exist.
    #[must_use]
    pub fn account_count(&self) -> u32 {
        self.account_count
    }

    /// Pairs of account and asset that have been used.
    #[must_use]
    pub fn balance_count(&self) -> usize {
        self.balances.len()
    }

    /// Places left in the balance table.
    #[inline]
    #[must_use]
    pub fn free_balances(&self) -> usize {
        self.balance_limit - self.balances.len()
    }

    /// What an account has of an asset; zero if it has never used it. WORLD's balance is minus that of all others.
    #[must_use]
    pub fn balance(&self, account: AccountId, asset: AssetId) -> Balance {
        if account == AccountId::WORLD {
            let entry = self.assets.get((asset as usize).wrapping_sub(1));
            return Balance { balance_minor: entry.map_or(0, |entry| -entry.issued_minor), held_minor: 0 };
        }
        self.find(account, asset).map_or(Balance::default(), |slot| *self.at(slot))
    }

    /// All used pairs with their balances, in the order in which they were first used; WORLD has none.
    pub fn balances(&self) -> impl Iterator<Item = (AccountId, AssetId, Balance)> {
        self.keys.iter().zip(&self.balances).map(|(&(account, asset), &balance)| (account, asset, balance))
    }

    /// Feeds assets, accounts and used balances, each by id, so that equal states give equal hashes whatever the
    /// order in which their pairs were first used. How many pairs have been used is part of the state.
    pub fn hash_into(&self, hasher: &mut StateHasher) {
        for asset in self.assets.iter().filter(|entry| entry.created.asset != 0) {
            hasher.write_value(&asset.created);
            hasher.write_value(&asset.issued_minor);
        }
        for (account, owner) in self.accounts() {
            hasher.write_value(&account);
            hasher.write_value(&owner);
        }
        // Keys and places side by side: the sort then reads no other memory.
        let key = |&(account, asset): &(AccountId, AssetId)| u64::from(account.0) << 32 | u64::from(asset);
        let mut order: Vec<(u64, u32)> = self.keys.iter().map(key).zip(0..).collect();
        order.sort_unstable();
        hasher.write_value(&(order.len() as u64));
        for (_, at) in order {
            let ((account, asset), balance) = (self.keys[at as usize], self.balances[at as usize]);
            hasher.write_value(&[account.0, asset]);
            hasher.write_value(&[balance.balance_minor, balance.held_minor]);
        }
    }
}

/// Balances by their place.
impl Wallet {
    /// The place of a pair, or `None` if it has never been used.
    #[inline]
    #[must_use]
    pub fn find(&self, account: AccountId, asset: AssetId) -> Option<BalanceSlot> {
        self.index.find(account, asset).map(BalanceSlot)
    }

    /// The place of a pair; gives it one if it has none.
    ///
    /// # Panics
    /// If the table is full: the caller has not looked at [`Wallet::free_balances`].
    #[inline]
    pub fn find_or_open(&mut self, account: AccountId, asset: AssetId) -> BalanceSlot {
        match self.find(account, asset) {
            Some(slot) => slot,
            None => self.open(account, asset),
        }
    }

    #[cold]
    fn open(&mut self, account: AccountId, asset: AssetId) -> BalanceSlot {
        assert!(self.free_balances() > 0, "the balance table is full");
        let slot = self.balances.len() as u32;
        self.index.insert(account, asset, slot);
        self.balances.push(Balance::default());
        self.keys.push((account, asset));
        BalanceSlot(slot)
    }

    /// The balance at a place.
    #[inline]
    #[must_use]
    pub fn at(&self, slot: BalanceSlot) -> &Balance {
        &self.balances[slot.0 as usize]
    }

    #[inline]
    fn at_mut(&mut self, slot: BalanceSlot) -> &mut Balance {
        &mut self.balances[slot.0 as usize]
    }

    /// Reserves an amount, or more of it.
    ///
    /// # Errors
    /// `InsufficientFunds` if less is available.
    ///
    /// # Panics
    /// If the amount is negative.
    #[inline]
    pub fn reserve(&mut self, slot: BalanceSlot, amount_minor: AmountMinor) -> Result<(), RejectReason> {
        assert!(amount_minor >= 0, "a hold cannot be negative");
        let entry = self.at_mut(slot);
        if amount_minor > entry.available_minor() {
            return Err(RejectReason::InsufficientFunds);
        }
        entry.held_minor += amount_minor;
        Ok(())
    }

    /// Releases an amount that is reserved.
    ///
    /// # Panics
    /// If less is reserved, or the amount is negative.
    #[inline]
    pub fn release(&mut self, slot: BalanceSlot, amount_minor: AmountMinor) {
        let entry = self.at_mut(slot);
        assert!((0..=entry.held_minor).contains(&amount_minor), "released more than is held");
        entry.held_minor -= amount_minor;
    }

    /// Moves an amount of one asset from one account to another. Both sides happen, or the process stops.
    ///
    /// # Panics
    /// If less is available, the amount is negative, or the places are of different assets.
    #[inline]
    pub fn transfer(&mut self, from: BalanceSlot, to: BalanceSlot, amount_minor: AmountMinor) {
        debug_assert_eq!(self.keys[from.0 as usize].1, self.keys[to.0 as usize].1, "one transfer, one asset");
        let payer = self.at_mut(from);
        assert!((0..=payer.available_minor()).contains(&amount_minor), "transferred more than is available");
        payer.balance_minor -= amount_minor;
        self.at_mut(to).balance_minor += amount_minor;
    }

    /// Uses a hold: releases `released_minor` of the payer's hold and moves `amount_minor` to the other account. What
    /// is released beyond the amount becomes available to the payer.
    ///
    /// # Panics
    /// If less is held than released, or less is then available than moved.
    #[inline]
    pub fn settle(
        &mut self,
        from: BalanceSlot,
        to: BalanceSlot,
        released_minor: AmountMinor,
        amount_minor: AmountMinor,
    ) {
        self.release(from, released_minor);
        self.transfer(from, to, amount_minor);
    }
}

/// Several movements at once.
impl Wallet {
    /// Changes balances by amounts that sum to zero per asset. All of it happens, or the process stops.
    ///
    /// # Panics
    /// If a balance would have less than is held, or an asset's changes do not sum to zero.
    pub fn move_net(&mut self, changes: &[(BalanceSlot, AmountMinor)]) {
        for &(slot, change_minor) in changes {
            let asset = self.keys[slot.0 as usize].1;
            let of_asset = changes.iter().filter(|(other, _)| self.keys[other.0 as usize].1 == asset);
            let sum: i128 = of_asset.map(|&(_, change_minor)| i128::from(change_minor)).sum();
            assert!(sum == 0, "changes of asset {asset} come to {sum}");
            let entry = self.at_mut(slot);
            assert!(entry.available_minor() + change_minor >= 0, "moved more than is available");
            entry.balance_minor += change_minor;
        }
    }
}

/// Money from and to the outside world.
impl Wallet {
    /// Moves money from WORLD to a client account; returns the account's balance after it.
    ///
    /// # Errors
    /// `UnknownAccount`, `UnknownAsset`, `InvalidAmount` (not 1 to [`MAX_AMOUNT_MINOR`], or the asset's total would
    /// exceed that), `BalanceTableFull`, in this order.
    pub fn deposit(
        &mut self,
        account: AccountId,
        asset: AssetId,
        amount_minor: AmountMinor,
    ) -> Result<AmountMinor, RejectReason> {
        self.check_movement(account, asset, amount_minor)?;
        let issued_minor = self.assets[asset as usize - 1].issued_minor;
        if amount_minor > MAX_AMOUNT_MINOR - issued_minor {
            return Err(RejectReason::InvalidAmount);
        }
        if self.find(account, asset).is_none() && self.free_balances() == 0 {
            return Err(RejectReason::BalanceTableFull);
        }
        let slot = self.find_or_open(account, asset);
        self.assets[asset as usize - 1].issued_minor = issued_minor + amount_minor;
        let entry = self.at_mut(slot);
        entry.balance_minor += amount_minor;
        Ok(entry.balance_minor)
    }

    /// Moves money from a client account to WORLD; returns the account's balance after it.
    ///
    /// # Errors
    /// `UnknownAccount`, `UnknownAsset`, `InvalidAmount` (not 1 to [`MAX_AMOUNT_MINOR`]), `InsufficientFunds`, in this
    /// order.
    pub fn withdraw(
        &mut self,
        account: AccountId,
        asset: AssetId,
        amount_minor: AmountMinor,
    ) -> Result<AmountMinor, RejectReason> {
        self.check_movement(account, asset, amount_minor)?;
        let slot = self.find(account, asset).ok_or(RejectReason::InsufficientFunds)?;
        let entry = self.at_mut(slot);
        if amount_minor > entry.available_minor() {
            return Err(RejectReason::InsufficientFunds);
        }
        entry.balance_minor -= amount_minor;
        let balance_minor = entry.balance_minor;
        self.assets[asset as usize - 1].issued_minor -= amount_minor;
        Ok(balance_minor)
    }

    fn check_movement(
        &self,
        account: AccountId,
        asset: AssetId,
        amount_minor: AmountMinor,
    ) -> Result<(), RejectReason> {
        if !self.is_client(account) {
            return Err(RejectReason::UnknownAccount);
        }
        if !self.has_asset(asset) {
            return Err(RejectReason::UnknownAsset);
        }
        if !(1..=MAX_AMOUNT_MINOR).contains(&amount_minor) {
            return Err(RejectReason::InvalidAmount);
        }
        Ok(())
    }
}
