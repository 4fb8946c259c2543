//! Assets, instruments, accounts; deposits and withdrawals.

use machine::{Context, EventBuffer};
use orderbook::Book;
use protocol::{
    AccountCreated, AssetCreated, CreateAccount, CreateAsset, CreateInstrument, Deposit, Deposited,
    InstrumentCreated, RejectReason, Withdraw, Withdrawn,
};

use crate::exchange::{Exchange, place};
use crate::instrument::{Instrument, has_valid_parameters};

impl<B: Book> Exchange<B> {
    pub(crate) fn create_asset(
        &mut self,
        _context: &Context,
        command: &CreateAsset,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        self.wallet.create_asset(command)?;
        let CreateAsset { asset, scale, reserved, name } = *command;
        events.push(&AssetCreated { asset, scale, reserved, name });
        Ok(())
    }

    pub(crate) fn create_account(
        &mut self,
        _context: &Context,
        command: &CreateAccount,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        self.wallet.create_account(command)?;
        let CreateAccount { account, reserved, name } = *command;
        events.push(&AccountCreated { account, reserved, name });
        Ok(())
    }

    pub(crate) fn create_instrument(
        &mut self,
        _context: &Context,
        command: &CreateInstrument,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        if !self.wallet.has_asset(command.base_asset) || !self.wallet.has_asset(command.quote_asset) {
            return Err(RejectReason::UnknownAsset);
        }
        let entry = self.instruments.get_mut(place(command.instrument)).ok_or(RejectReason::IdOutOfRange)?;
        if entry.is_some() {
            return Err(RejectReason::AlreadyExists);
        }
        if !has_valid_parameters(command) {
            return Err(RejectReason::InvalidParameter);
        }
        *entry = Some(Instrument::new(command));
        self.instrument_count += 1;
        events.push(&InstrumentCreated(*command));
        Ok(())
    }

    pub(crate) fn deposit(
        &mut self,
        _context: &Context,
        command: &Deposit,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        let Deposit { amount_minor, reference, account, asset } = *command;
        let balance_minor = self.wallet.deposit(account, asset, amount_minor)?;
        events.push(&Deposited { amount_minor, reference, balance_minor, account, asset });
        Ok(())
    }

    pub(crate) fn withdraw(
        &mut self,
        _context: &Context,
        command: &Withdraw,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        let Withdraw { amount_minor, reference, account, asset } = *command;
        let balance_minor = self.wallet.withdraw(account, asset, amount_minor)?;
        events.push(&Withdrawn { amount_minor, reference, balance_minor, account, asset });
        Ok(())
    }
}
