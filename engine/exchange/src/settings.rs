//! What an operator sets: accounts, risk limits, rules, tick tables, fees; and busted trades.

use machine::{Context, EventBuffer};
use orderbook::Book;
use protocol::{
    AccountId, AccountOptionsSet, AccountStatus, AccountStatusSet, AmountMinor, BustTrade, CancelReason,
    FeeScheduleSet, InstrumentRulesSet, MassCancel, RejectReason, RiskLimitsSet, SetAccountOptions,
    SetAccountStatus, SetFeeSchedule, SetInstrumentRules, SetRiskLimits, SetTickTable, Side, TickTableSet,
    TradeBusted,
};

use wallet::BalanceSlot;

use crate::checks::side_of_code;
use crate::exchange::Exchange;
use crate::fees::FeeSchedule;
use crate::rules::Rules;
use crate::trades::TradeRecord;

/// Widest price collar of an account.
const MAX_BASIS_POINTS: u32 = 10_000;

impl<B: Book> Exchange<B> {
    pub(crate) fn set_account_status(
        &mut self,
        context: &Context,
        command: &SetAccountStatus,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        if !self.wallet.is_client(command.account) {
            return Err(RejectReason::UnknownAccount);
        }
        let cancels = command.cancel_orders != 0;
        if cancels && command.status != AccountStatus::Suspended.code() {
            return Err(RejectReason::InvalidParameter);
        }
        if cancels && self.sweeps.is_full() {
            return Err(RejectReason::TooManySweeps);
        }
        self.accounts.set_status(command);
        events.push(&AccountStatusSet(*command));
        if cancels {
            let reason = CancelReason::Operator.code();
            let filter = MassCancel { account: command.account, reason, ..MassCancel::default() };
            self.begin_sweep(context, &filter, events);
        }
        Ok(())
    }

    pub(crate) fn set_account_options(
        &mut self,
        _context: &Context,
        command: &SetAccountOptions,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        if !self.wallet.is_client(command.account) {
            return Err(RejectReason::UnknownAccount);
        }
        if (command.max_orders == 0) != (command.interval_ns == 0) {
            return Err(RejectReason::InvalidParameter);
        }
        self.accounts.set_options(command);
        events.push(&AccountOptionsSet(*command));
        Ok(())
    }

    pub(crate) fn set_risk_limits(
        &mut self,
        context: &Context,
        command: &SetRiskLimits,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        let SetRiskLimits { account, instrument, .. } = *command;
        if account != AccountId(0) && !self.wallet.is_client(account) {
            return Err(RejectReason::UnknownAccount);
        }
        if !self.has_instrument(instrument) {
            return Err(RejectReason::UnknownInstrument);
        }
        let amounts = [command.max_order_lots, command.max_order_notional_minor, command.max_position_lots];
        if amounts.iter().any(|&amount| amount < 0) || command.price_collar_bps > MAX_BASIS_POINTS {
            return Err(RejectReason::InvalidParameter);
        }
        if !self.risk.takes(account, instrument) {
            return Err(RejectReason::RiskTableFull);
        }
        let number = self.risk.set(command);
        if account == AccountId(0) {
            self.instrument_at_mut(instrument).state.risk = number;
        } else if let Some(slot) = self.positions.find(account, instrument) {
            self.positions.at_mut(slot).risk = number;
        }
        events.push(&RiskLimitsSet(*command));
        self.settle(context, instrument, events);
        Ok(())
    }

    pub(crate) fn set_instrument_rules(
        &mut self,
        context: &Context,
        command: &SetInstrumentRules,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        if !self.has_instrument(command.instrument) {
            return Err(RejectReason::UnknownInstrument);
        }
        if command.fee_asset != 0 && !self.wallet.has_asset(command.fee_asset) {
            return Err(RejectReason::UnknownAsset);
        }
        if !Rules::are_valid(command, &self.instrument_at(command.instrument).created) {
            return Err(RejectReason::InvalidParameter);
        }
        if command.fee_asset != 0 && self.wallet.find(AccountId::FEES, command.fee_asset).is_none() {
            if self.wallet.free_balances() == 0 {
                return Err(RejectReason::BalanceTableFull);
            }
            self.wallet.find_or_open(AccountId::FEES, command.fee_asset);
        }
        let state = &mut self.instrument_at_mut(command.instrument).state;
        if command.reference_price_ticks != 0 {
            state.reference_ticks = command.reference_price_ticks;
        }
        let rules = SetInstrumentRules { reference_price_ticks: state.reference_ticks, ..*command };
        state.rules.change(&rules);
        state.has_rules = state.rules.are_any();
        self.set_timer(command.instrument);
        events.push(&InstrumentRulesSet(rules));
        self.settle(context, command.instrument, events);
        Ok(())
    }

    pub(crate) fn set_tick_table(
        &mut self,
        context: &Context,
        command: &SetTickTable,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        if !self.has_instrument(command.instrument) {
            return Err(RejectReason::UnknownInstrument);
        }
        if !Rules::is_valid_table(command) {
            return Err(RejectReason::InvalidParameter);
        }
        let state = &mut self.instrument_at_mut(command.instrument).state;
        state.rules.change_table(command);
        state.has_rules = state.rules.are_any();
        events.push(&TickTableSet(*command));
        self.settle(context, command.instrument, events);
        Ok(())
    }

    pub(crate) fn set_fee_schedule(
        &mut self,
        context: &Context,
        command: &SetFeeSchedule,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        if !self.has_instrument(command.instrument) {
            return Err(RejectReason::UnknownInstrument);
        }
        let instrument = self.instrument_at_mut(command.instrument);
        if !FeeSchedule::is_valid(command, &instrument.created) {
            return Err(RejectReason::InvalidParameter);
        }
        instrument.state.schedule = FeeSchedule::new(command);
        events.push(&FeeScheduleSet(*command));
        self.settle(context, command.instrument, events);
        Ok(())
    }

    /// Reverses a trade ("Busting a trade").
    pub(crate) fn bust_trade(
        &mut self,
        _context: &Context,
        command: &BustTrade,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        let trade = *self.trades.get(command.trade_id).ok_or(RejectReason::UnknownTrade)?;
        if trade.busted != 0 {
            return Err(RejectReason::AlreadyBusted);
        }
        let moves = self.moves_of(&trade);
        if !self.can_move(&moves) {
            return Err(RejectReason::InsufficientFunds);
        }
        self.wallet.move_net(moves.changes());
        self.trades.mark_busted(command.trade_id);
        let (buyer, seller) = parties(&trade);
        for (account, change_lots) in [(buyer, -trade.quantity_lots), (seller, trade.quantity_lots)] {
            let slot = self.positions.find(account, trade.instrument).expect("who traded has a position");
            self.positions.at_mut(slot).position_lots += change_lots;
        }
        events.push(&TradeBusted {
            trade_id: trade.trade_id,
            reference: command.reference,
            price_ticks: trade.price_ticks,
            quantity_lots: trade.quantity_lots,
            quote_minor: trade.quote_minor,
            maker_fee_minor: trade.maker_fee_minor,
            taker_fee_minor: trade.taker_fee_minor,
            maker_account: trade.maker_account,
            taker_account: trade.taker_account,
            instrument: trade.instrument,
            maker_fee_asset: trade.maker_fee_asset,
            taker_fee_asset: trade.taker_fee_asset,
            reserved: [0; 3],
            taker_side: trade.taker_side,
            maker_order_id: trade.maker_order_id,
            taker_order_id: trade.taker_order_id,
        });
        Ok(())
    }
}

/// Changes of balances that sum to zero per asset.
struct Moves {
    changes: [(BalanceSlot, AmountMinor); MOST_MOVES],
    length: usize,
}

/// Base and quote of two parties, a fee asset of each, and FEES' balances of two assets.
const MOST_MOVES: usize = 8;

impl Moves {
    fn add(&mut self, slot: BalanceSlot, change_minor: AmountMinor) {
        let known = self.changes.iter_mut().take(self.length).find(|(of, _)| *of == slot);
        if let Some((_, sum)) = known {
            *sum += change_minor;
            return;
        }
        self.changes[self.length] = (slot, change_minor);
        self.length += 1;
    }

    fn transfer(&mut self, from: BalanceSlot, to: BalanceSlot, amount_minor: AmountMinor) {
        self.add(from, -amount_minor);
        self.add(to, amount_minor);
    }

    fn changes(&self) -> &[(BalanceSlot, AmountMinor)] {
        &self.changes[..self.length]
    }
}

/// Buyer and seller of a trade.
fn parties(trade: &TradeRecord) -> (AccountId, AccountId) {
    match side_of_code(trade.taker_side) {
        Side::Buy => (trade.taker_account, trade.maker_account),
        Side::Sell => (trade.maker_account, trade.taker_account),
    }
}

impl<B: Book> Exchange<B> {
    /// What goes back when a trade is busted.
    fn moves_of(&self, trade: &TradeRecord) -> Moves {
        let created = &self.instrument_at(trade.instrument).created;
        let slot = |account, asset| self.wallet.find(account, asset).expect("a trade has moved this balance");
        let (buyer, seller) = parties(trade);
        let none = slot(buyer, created.base_asset);
        let mut moves = Moves { changes: [(none, 0); MOST_MOVES], length: 0 };
        let (base, quote) = (created.base_asset, created.quote_asset);
        moves.transfer(slot(buyer, base), slot(seller, base), trade.base_minor);
        moves.transfer(slot(seller, quote), slot(buyer, quote), trade.quote_minor);
        let fees = [
            (trade.maker_account, trade.maker_fee_asset, trade.maker_fee_minor),
            (trade.taker_account, trade.taker_fee_asset, trade.taker_fee_minor),
        ];
        for (account, asset, fee_minor) in fees.into_iter().filter(|&(_, _, fee_minor)| fee_minor != 0) {
            moves.transfer(slot(AccountId::FEES, asset), slot(account, asset), fee_minor);
        }
        moves
    }

    fn can_move(&self, moves: &Moves) -> bool {
        moves.changes().iter().all(|&(slot, change)| self.wallet.at(slot).available_minor() + change >= 0)
    }
}
