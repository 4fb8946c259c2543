//! Parts of the snapshot that are plain tables.

use alloc::vec::Vec;

use machine::{SnapshotError, SnapshotReader, SnapshotWriter};
use orderbook::Book;
use protocol::{
    AccountId, BUSTABLE_TRADES, ClientOrderId, InstrumentId, MAX_SWEEPS, MassCancel, OrderId, SetRiskLimits,
};
use wallet::BalanceSlot;

use super::require;
use crate::accounts::AccountRow;
use crate::exchange::{Exchange, place};
use crate::risk_table::RiskTable;
use crate::special::Duty;
use crate::sweeps::{SessionSweep, Sweep};
use crate::timers::Expiries;
use crate::trades::TradeRecord;
use crate::volumes::Row;

impl<B: Book> Exchange<B> {
    pub(super) fn write_head(&self, out: &mut SnapshotWriter<'_>) {
        out.value(&[self.applied_sequence, self.next_trade_id, self.due_ns]);
    }

    pub(super) fn read_head(&mut self, input: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        [self.applied_sequence, self.next_trade_id, self.due_ns] = input.value()?;
        require(self.next_trade_id > 0, "no number for its next trade")
    }

    pub(super) fn write_wallet(&self, out: &mut SnapshotWriter<'_>) {
        self.wallet.write_snapshot(out);
    }

    pub(super) fn read_wallet(&mut self, input: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        self.wallet.read_snapshot(input)
    }

    pub(super) fn write_risk(&self, out: &mut SnapshotWriter<'_>) {
        out.rows(self.risk.rows());
    }

    pub(super) fn read_risk(&mut self, input: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        for _ in 0..input.count("risk limits", RiskTable::most_rows(&self.limits))? {
            let next = self.risk.rows().len() + 1;
            let limits = input.value::<SetRiskLimits>()?;
            let is_taken = self.risk.takes(limits.account, limits.instrument);
            require(is_taken, "risk limits of more accounts than there is room for")?;
            let number = self.risk.set(&limits);
            require(number as usize == next, "risk limits that are there twice")?;
        }
        let known = |number: u32| number as usize <= self.risk.rows().len();
        let of_instruments = self.instruments.iter().flatten().all(|it| known(it.state.risk));
        require(of_instruments, "risk limits of an instrument that are not there")
    }

    pub(super) fn write_positions(&self, out: &mut SnapshotWriter<'_>) {
        out.count(self.positions.len());
        for it in self.positions.iter() {
            let slots = [it.base.to_bits(), it.quote.to_bits()];
            out.value(&[it.account.0, it.instrument, slots[0], slots[1], it.open_orders, it.risk]);
            out.value(&[it.position_lots, it.open_buy_lots, it.open_sell_lots]);
        }
    }

    pub(super) fn read_positions(&mut self, input: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        let balances = self.wallet.balance_count();
        for _ in 0..input.count("positions", self.limits.positions as usize)? {
            let [account, instrument, base, quote, open_orders, risk]: [u32; 6] = input.value()?;
            let [position_lots, open_buy_lots, open_sell_lots]: [i64; 3] = input.value()?;
            let account = AccountId(account);
            let sound = self.wallet.is_client(account)
                && self.has_instrument(instrument)
                && (base.max(quote) as usize) < balances
                && risk as usize <= self.risk.rows().len()
                && self.positions.find(account, instrument).is_none();
            require(sound, "a position that cannot be")?;
            let (base, quote) = (BalanceSlot::from_bits(base), BalanceSlot::from_bits(quote));
            let slot = self.positions.open(account, instrument, base, quote);
            let position = self.positions.at_mut(slot);
            (position.open_orders, position.risk) = (open_orders, risk);
            (position.position_lots, position.open_buy_lots) = (position_lots, open_buy_lots);
            position.open_sell_lots = open_sell_lots;
        }
        Ok(())
    }

    pub(super) fn write_accounts(&self, out: &mut SnapshotWriter<'_>) {
        out.count(self.accounts.set_ones().count());
        for (account, row) in self.accounts.set_ones() {
            out.value(&account);
            out.value(row);
        }
    }

    pub(super) fn read_accounts(&mut self, input: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        for _ in 0..input.count("accounts with settings", self.limits.accounts as usize + 1)? {
            let account: AccountId = input.value()?;
            let row: AccountRow = input.value()?;
            require(self.accounts.restore(account, row), "settings of no account")?;
        }
        Ok(())
    }

    pub(super) fn write_volumes(&self, out: &mut SnapshotWriter<'_>) {
        out.count(self.volumes.iter().count());
        for (quote, row) in self.volumes.iter() {
            out.value(&quote.to_bits());
            out.value(row);
        }
    }

    pub(super) fn read_volumes(&mut self, input: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        for _ in 0..input.count("volumes", self.wallet.balance_count())? {
            let quote: u32 = input.value()?;
            let row: Row = input.value()?;
            require(self.volumes.restore(BalanceSlot::from_bits(quote), row), "a volume that cannot be")?;
        }
        Ok(())
    }

    pub(super) fn write_trades(&self, out: &mut SnapshotWriter<'_>) {
        out.count(self.trades.iter().count());
        self.trades.iter().for_each(|trade| out.value(trade));
    }

    pub(super) fn read_trades(&mut self, input: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        let mut trades: Vec<TradeRecord> = Vec::new();
        input.rows("trades", BUSTABLE_TRADES as usize, &mut trades)?;
        require(self.trades.restore(self.next_trade_id - 1, &trades), "trades that are not the last ones")
    }

    pub(super) fn write_client_ids(&self, out: &mut SnapshotWriter<'_>) {
        out.count(self.clients.recent().count());
        for (account, id) in self.clients.recent() {
            out.value(&account);
            out.value(&id);
        }
    }

    pub(super) fn read_client_ids(&mut self, input: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        for _ in 0..input.count("remembered ids", self.limits.recent_client_ids as usize)? {
            let account: AccountId = input.value()?;
            let id: ClientOrderId = input.value()?;
            let hash = self.clients.hash(account, &id);
            let is_new = !id.is_none() && !self.clients.is_used(&self.table, hash, account, &id);
            require(is_new, "a client order id twice")?;
            self.clients.remember(hash, account, &id);
        }
        Ok(())
    }

    pub(super) fn write_work(&self, out: &mut SnapshotWriter<'_>) {
        write_timers(&self.specials.expiries, out);
        write_timers(&self.phase_timers, out);
        out.count(self.specials.duties.len());
        for &(instrument, duty) in &self.specials.duties {
            let (kind, ids) = duty.to_parts();
            out.value(&[instrument, kind]);
            out.value(&ids);
        }
        out.count(self.unfinished.len());
        self.unfinished.iter().for_each(|instrument| out.value(instrument));
        out.value(&[u32::from(self.sweeps.session.at_work), self.sweeps.session.next_slot]);
        out.count(self.sweeps.iter().len());
        for sweep in self.sweeps.iter() {
            out.value(&sweep.filter);
            out.value(&sweep.begun_sequence);
            out.value(&[sweep.next_slot, sweep.canceled_orders]);
        }
    }

    pub(super) fn read_work(&mut self, input: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        read_timers(&mut self.specials.expiries, self.limits.orders, input)?;
        read_timers(&mut self.phase_timers, self.limits.instruments, input)?;
        for _ in 0..input.count("duties", self.limits.orders as usize * 2 + 2)? {
            let [instrument, kind]: [u32; 2] = input.value()?;
            let ids: [OrderId; 2] = input.value()?;
            let duty = Duty::from_parts(kind, ids).filter(|_| self.has_instrument(instrument));
            let slots = ids.iter().all(|id| id.slot() < self.limits.orders);
            let duty = duty.filter(|_| slots).ok_or(SnapshotError::Invalid("a duty that cannot be"))?;
            self.specials.duties.push_back((instrument, duty));
        }
        for _ in 0..input.count("unfinished instruments", self.limits.instruments as usize)? {
            let instrument: InstrumentId = input.value()?;
            let entry = self.instruments.get(place(instrument)).and_then(Option::as_ref);
            require(entry.is_some_and(|it| it.state.is_unfinished), "work of no instrument")?;
            self.unfinished.push_back(instrument);
        }
        let [at_work, next_slot]: [u32; 2] = input.value()?;
        require(at_work <= 1, "a sweep that cannot be")?;
        self.sweeps.session = SessionSweep { at_work: at_work == 1, next_slot };
        for _ in 0..input.count("sweeps", MAX_SWEEPS as usize)? {
            let filter: MassCancel = input.value()?;
            let begun_sequence: u64 = input.value()?;
            let [next_slot, canceled_orders]: [u32; 2] = input.value()?;
            self.sweeps.push(Sweep { filter, begun_sequence, next_slot, canceled_orders });
        }
        Ok(())
    }
}

fn write_timers(timers: &Expiries, out: &mut SnapshotWriter<'_>) {
    out.count(timers.len());
    for (time_ns, order_id) in timers.iter() {
        out.value(&time_ns);
        out.value(&order_id);
    }
}

fn read_timers(
    timers: &mut Expiries,
    most: u32,
    input: &mut SnapshotReader<'_>,
) -> Result<(), SnapshotError> {
    for _ in 0..input.count("timers", most as usize)? {
        let time_ns: u64 = input.value()?;
        let order_id: OrderId = input.value()?;
        require(timers.restore(order_id, time_ns), "a timer that cannot be")?;
    }
    Ok(())
}
