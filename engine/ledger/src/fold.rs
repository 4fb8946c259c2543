//! What each event does to the ledger, and how money moves in it.

use machine::{Body, Record, RecordHeader};
use protocol::{
    AccountCreated, AccountId, AccountOptionsSet, AmountMinor, AssetCreated, AssetId, Deposited, EventKind,
    InstrumentCreated, InstrumentRulesSet, OrderId, Withdrawn, hold_amount,
};

use crate::{Ledger, LedgerOrder, Posting, PostingKind, held_asset};

/// What does not add up.
pub(crate) type Problem = &'static str;

const OVERFLOW: Problem = "an amount is too large";

impl Ledger {
    pub(crate) fn fold(&mut self, event: Record<'_>) -> Result<(), Problem> {
        let header = event.header();
        let kind = EventKind::from_code(header.kind).ok_or("this kind of event is not known")?;
        let owed = self.charges.iter().any(Option::is_some);
        ensure(!owed || kind == EventKind::FeeCharged, "a fee due in the fee asset was not charged")?;
        let paired = self.unpaired.is_none() || kind == EventKind::ExtendedOrderAccepted;
        ensure(paired, "the second order of a pair is missing")?;
        self.fold_kind(kind, header, event)?;
        let complete = self.unpaired.is_none() && self.charges.iter().all(Option::is_none);
        ensure(complete || !event.is_last_event(), "the command ended before all that it had to say")
    }

    fn fold_kind(
        &mut self,
        kind: EventKind,
        header: &RecordHeader,
        event: Record<'_>,
    ) -> Result<(), Problem> {
        match kind {
            EventKind::AssetCreated => {
                let created: &AssetCreated = body(event)?;
                self.assets.insert(created.asset, *created);
            }
            EventKind::InstrumentCreated => {
                let InstrumentCreated(created) = body(event)?;
                self.instruments.insert(created.instrument, *created);
            }
            EventKind::AccountCreated => {
                let created: &AccountCreated = body(event)?;
                self.accounts.insert(created.account, created.name);
            }
            EventKind::AccountOptionsSet => {
                let AccountOptionsSet(options) = body(event)?;
                self.options.insert(options.account, *options);
            }
            EventKind::InstrumentRulesSet => {
                let InstrumentRulesSet(rules) = body(event)?;
                self.rules.insert(rules.instrument, *rules);
            }
            EventKind::FeeScheduleSet => self.schedule_set(body(event)?)?,
            EventKind::Deposited => self.deposited(header, body(event)?)?,
            EventKind::Withdrawn => self.withdrawn(header, body(event)?)?,
            EventKind::OrderAccepted => self.accepted(body(event)?)?,
            EventKind::ExtendedOrderAccepted => self.extended_accepted(body(event)?)?,
            EventKind::OrderTriggered => self.triggered(body(event)?)?,
            EventKind::OrderShown => self.shown(body(event)?)?,
            EventKind::OrderRepriced => self.repriced(body(event)?)?,
            EventKind::OrderDecremented => self.decremented(body(event)?)?,
            EventKind::OrderCanceled => self.canceled(body(event)?)?,
            EventKind::OrderReplaced => self.replaced(body(event)?)?,
            EventKind::Trade => self.traded(header, body(event)?)?,
            EventKind::FeeCharged => self.fee_charged(header, body(event)?)?,
            EventKind::TradeBusted => self.busted(header, body(event)?)?,
            EventKind::Rejected
            | EventKind::DayEnded
            | EventKind::MassCancelAccepted
            | EventKind::MassCancelDone
            | EventKind::AccountStatusSet
            | EventKind::RiskLimitsSet
            | EventKind::TickTableSet
            | EventKind::TimetableSet
            | EventKind::PhaseChanged
            | EventKind::AuctionIndicative
            | EventKind::AuctionUncrossed
            | EventKind::TimeAdvanced
            | EventKind::OrderListAccepted
            | EventKind::OrderTermsReplaced => {}
        }
        Ok(())
    }

    fn deposited(&mut self, header: &RecordHeader, event: &Deposited) -> Result<(), Problem> {
        let Deposited { account, asset, amount_minor, balance_minor, .. } = *event;
        let entry = Posting { account: AccountId::WORLD, ..posting(header, PostingKind::Deposit, asset, 0) };
        self.transfer(entry, account, amount_minor)?;
        ensure(self.balance(account, asset).balance_minor == balance_minor, "the balance after it is another")
    }

    fn withdrawn(&mut self, header: &RecordHeader, event: &Withdrawn) -> Result<(), Problem> {
        let Withdrawn { account, asset, amount_minor, balance_minor, .. } = *event;
        let entry = Posting { account, ..posting(header, PostingKind::Withdrawal, asset, 0) };
        self.transfer(entry, AccountId::WORLD, amount_minor)?;
        self.covered(account, asset)?;
        ensure(self.balance(account, asset).balance_minor == balance_minor, "the balance after it is another")
    }

    pub(crate) fn live(&self, order_id: OrderId) -> Result<&LedgerOrder, Problem> {
        self.orders.get(&order_id).ok_or("the order is not live")
    }

    /// What must be held for an order that has a price, or sells, as it is now.
    pub(crate) fn formula(&self, order: &LedgerOrder) -> Result<AmountMinor, Problem> {
        let instrument = self.instruments.get(&order.instrument).ok_or("the instrument is unknown")?;
        let hold_minor = hold_amount(instrument, order.side, order.price_ticks, order.leaves_lots);
        hold_minor.ok_or("the order is too large")
    }

    /// Changes what is held for an order, and with it what its account has reserved.
    pub(crate) fn set_hold(&mut self, order_id: OrderId, hold_minor: AmountMinor) -> Result<(), Problem> {
        ensure(hold_minor >= 0, "an order holds less than nothing")?;
        let order = self.orders.get_mut(&order_id).ok_or("the order is not live")?;
        let change_minor = hold_minor - order.hold_minor;
        order.hold_minor = hold_minor;
        let instrument = self.instruments.get(&order.instrument).ok_or("the instrument is unknown")?;
        let key = (order.account, held_asset(instrument, order.side));
        let balance = self.balances.entry(key).or_default();
        balance.held_minor = balance.held_minor.checked_add(change_minor).ok_or(OVERFLOW)?;
        let grew_too_far = change_minor > 0 && balance.held_minor > balance.balance_minor;
        ensure(balance.held_minor >= 0, "an account has less than nothing held")?;
        ensure(!grew_too_far, "more is held than the account owns")
    }

    /// Moves money from the posting's account to another: two postings that sum to zero. Nothing is noted when nothing
    /// moves. Whether the payer had it is for [`Ledger::covered`], once everything that belongs together has moved.
    pub(crate) fn transfer(
        &mut self,
        payer: Posting,
        to: AccountId,
        amount_minor: AmountMinor,
    ) -> Result<(), Problem> {
        ensure(amount_minor >= 0, "a negative amount was moved")?;
        ensure(self.assets.contains_key(&payer.asset), "the asset is unknown")?;
        if amount_minor == 0 {
            return Ok(());
        }
        let payer = Posting { amount_minor: -amount_minor, ..payer };
        for posting in [payer, Posting { account: to, amount_minor, ..payer }] {
            let own = posting.account <= AccountId::FEES;
            ensure(own || self.accounts.contains_key(&posting.account), "the account is unknown")?;
            let balance = self.balances.entry((posting.account, posting.asset)).or_default();
            balance.balance_minor =
                balance.balance_minor.checked_add(posting.amount_minor).ok_or(OVERFLOW)?;
            self.postings.push(posting);
        }
        Ok(())
    }

    /// An account owns at least what it has reserved, and with that never less than nothing.
    pub(crate) fn covered(&self, account: AccountId, asset: AssetId) -> Result<(), Problem> {
        let balance = self.balance(account, asset);
        ensure(balance.held_minor <= balance.balance_minor, "an account paid more than it had")
    }
}

fn body<'a, T: Body>(event: Record<'a>) -> Result<&'a T, Problem> {
    event.body_as().ok_or("the event has another size or version than this ledger knows")
}

pub(crate) fn ensure(holds: bool, problem: Problem) -> Result<(), Problem> {
    if holds { Ok(()) } else { Err(problem) }
}

/// A posting without account and amount.
pub(crate) fn posting(header: &RecordHeader, kind: PostingKind, asset: AssetId, trade_id: u64) -> Posting {
    Posting {
        sequence: header.sequence,
        timestamp_ns: header.timestamp_ns,
        account: AccountId::WORLD,
        asset,
        amount_minor: 0,
        kind,
        trade_id,
    }
}
