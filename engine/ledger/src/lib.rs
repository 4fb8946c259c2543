//! The ledger folded from events.
//!
//! What every account owns and has reserved, computed a second time from nothing but the events, in sorted maps and
//! with no eye on speed. It is what an auditor reads, and the wallet's oracle in the tests. It trusts no event: what
//! an event says about money is recomputed, and the first thing that does not add up stops it with a [`LedgerError`].
//! Fees are recomputed too: the ledger keeps fee schedules and every account's volume of the last 30 days.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod fees;
mod fold;
mod orders;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_special;
mod trades;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use machine::{Projection, Record};
use protocol::{
    AccountId, AmountMinor, AssetCreated, AssetId, CreateInstrument, InstrumentId, ListType, Name, OrderId,
    PriceTicks, QuantityLots, SetAccountOptions, SetFeeSchedule, SetInstrumentRules, Side,
};

use trades::{Charge, SettledTrade};

/// What an account has of an asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerBalance {
    /// What it owns, in minor units; what is held is part of it. Negative only for WORLD.
    pub balance_minor: AmountMinor,
    /// What of it is reserved for orders.
    pub held_minor: AmountMinor,
}

/// A live order and what is held for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerOrder {
    /// Whose order.
    pub account: AccountId,
    /// On which instrument.
    pub instrument: InstrumentId,
    /// Its side.
    pub side: Side,
    /// Limit or worst price; 0 for a market order without one.
    pub price_ticks: PriceTicks,
    /// Quantity still open.
    pub leaves_lots: QuantityLots,
    /// What is held for it: quote asset for a buy, base asset for a sell.
    pub hold_minor: AmountMinor,
    /// Whether the hold is what the book would have cost (a market buy without a worst price, or with a budget) and
    /// shrinks by what fills cost. Every other hold follows from price and leaves.
    pub walked: bool,
    /// Its list; `Batch` for none.
    pub list_type: ListType,
    /// The first order of its list; itself for that one, none without a list.
    pub list_order_id: OrderId,
    /// Whether it waits for the first order of its list and holds nothing yet.
    pub inactive: bool,
    /// The other order of its one-cancels-other pair; none without one.
    pub partner: OrderId,
    /// Whether it is the order of its pair that holds for both.
    pub holds_for_both: bool,
}

/// Why money moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostingKind {
    /// From WORLD to an account.
    Deposit,
    /// From an account to WORLD.
    Withdrawal,
    /// The quote or base amount of a trade.
    Trade,
    /// A fee to FEES, or a rebate from it.
    Fee,
    /// The reverse of a trade's posting or of its fee's.
    Bust,
}

/// One side of a transfer. Postings come in pairs that sum to zero: first who pays, then who receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Sequence of the command that caused it.
    pub sequence: u64,
    /// Nanoseconds since the Unix epoch.
    pub timestamp_ns: u64,
    /// Whose balance changed.
    pub account: AccountId,
    /// Of which asset.
    pub asset: AssetId,
    /// By how much; negative for the payer.
    pub amount_minor: AmountMinor,
    /// Why.
    pub kind: PostingKind,
    /// The trade's number; 0 where there is none.
    pub trade_id: u64,
}

/// An event that does not fit what came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerError {
    /// Sequence of the command that caused the event.
    pub sequence: u64,
    /// Kind of the event.
    pub kind: u16,
    /// What does not add up.
    pub problem: &'static str,
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, kind, problem } = self;
        write!(f, "event of kind {kind:#06x} of command {sequence}: {problem}")
    }
}

impl core::error::Error for LedgerError {}

/// Accounts, balances, holds and live orders, folded from events.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    applied_sequence: u64,
    assets: BTreeMap<AssetId, AssetCreated>,
    instruments: BTreeMap<InstrumentId, CreateInstrument>,
    accounts: BTreeMap<AccountId, Name>,
    balances: BTreeMap<(AccountId, AssetId), LedgerBalance>,
    orders: BTreeMap<OrderId, LedgerOrder>,
    /// Bought less sold.
    positions: BTreeMap<(AccountId, InstrumentId), i128>,
    rules: BTreeMap<InstrumentId, SetInstrumentRules>,
    schedules: BTreeMap<InstrumentId, SetFeeSchedule>,
    options: BTreeMap<AccountId, SetAccountOptions>,
    /// By account and quote asset: what was traded on each UTC day since the Unix epoch.
    volumes: BTreeMap<(AccountId, AssetId), BTreeMap<u64, AmountMinor>>,
    /// The last [`protocol::BUSTABLE_TRADES`] trades by number.
    trades: BTreeMap<u64, SettledTrade>,
    /// Fees of the last trade that must be charged by the next events: the maker's, the taker's.
    charges: [Option<Charge>; 2],
    /// First order of a pair whose second one must be accepted by the next event.
    unpaired: Option<OrderId>,
    /// Of the last event.
    postings: Vec<Posting>,
    last_trade_id: u64,
    error: Option<LedgerError>,
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The first event that did not add up; nothing after it has been folded.
    #[must_use]
    pub fn error(&self) -> Option<LedgerError> {
        self.error
    }

    /// What an account has of an asset, WORLD and FEES included; zero if it never had any.
    #[must_use]
    pub fn balance(&self, account: AccountId, asset: AssetId) -> LedgerBalance {
        self.balances.get(&(account, asset)).copied().unwrap_or_default()
    }

    /// All balances, by account and asset, WORLD and FEES included.
    pub fn balances(&self) -> impl Iterator<Item = (AccountId, AssetId, LedgerBalance)> {
        self.balances.iter().map(|(&(account, asset), &balance)| (account, asset, balance))
    }

    /// Live orders by id, each with what is held for it.
    pub fn orders(&self) -> impl Iterator<Item = (OrderId, &LedgerOrder)> {
        self.orders.iter().map(|(&order_id, order)| (order_id, order))
    }

    /// Assets, by id.
    pub fn assets(&self) -> impl Iterator<Item = &AssetCreated> {
        self.assets.values()
    }

    /// Instruments, by id.
    pub fn instruments(&self) -> impl Iterator<Item = &CreateInstrument> {
        self.instruments.values()
    }

    /// Client accounts with their owners, by id.
    pub fn accounts(&self) -> impl Iterator<Item = (AccountId, Name)> {
        self.accounts.iter().map(|(&account, &name)| (account, name))
    }

    /// Positions by account and instrument: lots bought less lots sold, busted trades taken out.
    pub fn positions(&self) -> impl Iterator<Item = (AccountId, InstrumentId, i128)> {
        self.positions.iter().map(|(&(account, instrument), &lots)| (account, instrument, lots))
    }

    /// What an account has traded in instruments of this quote asset on a UTC day (days since the Unix epoch), in
    /// minor units; known for the last [`protocol::VOLUME_DAYS`] days before its last trade.
    #[must_use]
    pub fn volume(&self, account: AccountId, quote_asset: AssetId, day: u64) -> AmountMinor {
        let days = self.volumes.get(&(account, quote_asset));
        days.and_then(|days| days.get(&day)).copied().unwrap_or_default()
    }

    /// The postings of the event folded last, in pairs; empty if it moved no money.
    #[must_use]
    pub fn postings(&self) -> &[Posting] {
        &self.postings
    }

    /// The sum of all balances of an asset, WORLD included: zero, always.
    #[must_use]
    pub fn total(&self, asset: AssetId) -> i128 {
        let of_asset = self.balances.iter().filter(|((_, of), _)| *of == asset);
        of_asset.map(|(_, balance)| i128::from(balance.balance_minor)).sum()
    }

    /// Checks the books: each asset sums to zero, no client owes or has more held than it owns, and what is held is
    /// what the live orders hold.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn check(&self) -> Result<(), &'static str> {
        let mut held: BTreeMap<(AccountId, AssetId), i128> = BTreeMap::new();
        for order in self.orders.values() {
            let instrument = self.instruments.get(&order.instrument).ok_or("an order has no instrument")?;
            let asset = held_asset(instrument, order.side);
            *held.entry((order.account, asset)).or_default() += i128::from(order.hold_minor);
        }
        for (&(account, asset), balance) in &self.balances {
            if self.total(asset) != 0 {
                return Err("the balances of an asset do not sum to zero");
            }
            let of_orders = held.remove(&(account, asset)).unwrap_or_default();
            if i128::from(balance.held_minor) != of_orders {
                return Err("what is held is not what the live orders hold");
            }
            let may_owe = account == AccountId::WORLD;
            if !may_owe && !(0..=balance.balance_minor).contains(&balance.held_minor) {
                return Err("more is held than is owned");
            }
        }
        if held.values().any(|&held_minor| held_minor != 0) {
            return Err("an order holds what its account does not have");
        }
        Ok(())
    }
}

impl Projection for Ledger {
    fn apply(&mut self, event: Record<'_>) {
        let header = event.header();
        if self.error.is_some() || header.sequence <= self.applied_sequence {
            return;
        }
        self.postings.clear();
        if let Err(problem) = self.fold(event) {
            self.error = Some(LedgerError { sequence: header.sequence, kind: header.kind, problem });
            return;
        }
        if event.is_last_event() {
            self.applied_sequence = header.sequence;
        }
    }

    fn applied_sequence(&self) -> u64 {
        self.applied_sequence
    }
}

/// What an order of this side reserves.
fn held_asset(instrument: &CreateInstrument, side: Side) -> AssetId {
    match side {
        Side::Buy => instrument.quote_asset,
        Side::Sell => instrument.base_asset,
    }
}
