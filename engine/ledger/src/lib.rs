//! The ledger folded from events.
//!
//! What every account owns and has reserved, computed a second time from nothing but the events, in sorted maps and
//! with no eye on speed. It is what an auditor reads, and the wallet's oracle in the tests. It trusts no event: what
//! an event says about money is recomputed, and the first thing that does not add up stops it with a [`LedgerError`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod fold;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use machine::{Projection, Record};
use protocol::{
    AccountId, AmountMinor, AssetCreated, AssetId, CreateInstrument, InstrumentId, Name, OrderId, PriceTicks,
    QuantityLots, Side,
};

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
    /// Limit price; 0 for a market order.
    pub price_ticks: PriceTicks,
    /// Quantity still open.
    pub leaves_lots: QuantityLots,
    /// What is held for it: quote asset for a buy, base asset for a sell.
    pub hold_minor: AmountMinor,
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
    /// A fee, to FEES.
    Fee,
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
