//! The wallet in a snapshot: assets with what has been issued, accounts, and balances in the order of their slots, which
//! others keep.

use machine::{SnapshotError, SnapshotReader, SnapshotWriter};
use protocol::{AccountId, AmountMinor, AssetId, CreateAccount, CreateAsset, Name};

use crate::{Balance, Wallet};

impl Wallet {
    /// Writes all of it.
    pub fn write_snapshot(&self, out: &mut SnapshotWriter<'_>) {
        let created = || self.assets.iter().filter(|entry| entry.created.asset != 0);
        out.count(created().count());
        for asset in created() {
            out.value(&asset.created);
            out.value(&asset.issued_minor);
        }
        out.count(self.account_count as usize);
        for (account, owner) in self.accounts() {
            out.value(&account);
            out.value(&owner);
        }
        out.count(self.balances.len());
        for (account, asset, balance) in self.balances() {
            out.value(&[account.0, asset]);
            out.value(&[balance.balance_minor, balance.held_minor]);
        }
    }

    /// Reads what [`Wallet::write_snapshot`] wrote, into a wallet that is new.
    ///
    /// # Errors
    /// More than the wallet has room for, an asset, account or balance that cannot be, or one that comes twice.
    pub fn read_snapshot(&mut self, input: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        for _ in 0..input.count("assets", self.assets.len())? {
            let created: CreateAsset = input.value()?;
            let issued_minor: AmountMinor = input.value()?;
            self.create_asset(&created).map_err(|_| SnapshotError::Invalid("an asset that cannot be"))?;
            if let Some(entry) = self.assets.get_mut(created.asset as usize - 1) {
                entry.issued_minor = issued_minor;
            }
        }
        for _ in 0..input.count("accounts", self.account_limit as usize)? {
            let account: AccountId = input.value()?;
            let name: Name = input.value()?;
            let create = CreateAccount { account, reserved: 0, name };
            self.create_account(&create).map_err(|_| SnapshotError::Invalid("an account that cannot be"))?;
        }
        for _ in 0..input.count("balances", self.balance_limit)? {
            let [account, asset]: [u32; 2] = input.value()?;
            let [balance_minor, held_minor]: [AmountMinor; 2] = input.value()?;
            self.restore_balance(AccountId(account), asset, Balance { balance_minor, held_minor })?;
        }
        Ok(())
    }

    fn restore_balance(
        &mut self,
        account: AccountId,
        asset: AssetId,
        balance: Balance,
    ) -> Result<(), SnapshotError> {
        let exists = self.is_client(account) || account == AccountId::FEES;
        let sound = (0..=balance.balance_minor).contains(&balance.held_minor);
        if !exists || !self.has_asset(asset) || !sound || self.find(account, asset).is_some() {
            return Err(SnapshotError::Invalid("a balance that cannot be"));
        }
        let slot = self.open(account, asset);
        *self.at_mut(slot) = balance;
        Ok(())
    }
}
