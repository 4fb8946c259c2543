//! What tools may ask, and the state hash. Nothing here is on the hot path.

use machine::StateHasher;
use orderbook::{Book, Order, PriceLevel};
use protocol::{
    AccountId, AmountMinor, AssetId, ClientOrderId, CreateAsset, CreateInstrument, InstrumentId, Limits,
    Name, OrderId, OrderType, Side,
};
use wallet::{Balance, Wallet};
use zerocopy::{Immutable, IntoBytes};

use crate::client_index::NO_CLIENT_ID;
use crate::exchange::{Exchange, place};
use crate::instrument::Instrument;
use crate::settlement::hold_of;

/// A resting order as tools see it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, Immutable)]
pub struct RestingOrder {
    /// The engine's id.
    pub order_id: OrderId,
    /// Limit price.
    pub price_ticks: i64,
    /// Quantity still open.
    pub leaves_lots: i64,
    /// Quantity traded so far.
    pub filled_lots: i64,
    /// What is held for it: quote asset for a buy, base asset for a sell.
    pub hold_minor: AmountMinor,
    /// Whose order.
    pub account: AccountId,
    /// On which instrument.
    pub instrument: InstrumentId,
    /// The client's id of it.
    pub client_order_id: ClientOrderId,
    /// [`protocol::Side`].
    pub side: u8,
    /// [`protocol::OrderType`].
    pub order_type: u8,
    /// [`protocol::TimeInForce`].
    pub time_in_force: u8,
    /// [`protocol::SelfTradePrevention`].
    pub self_trade_prevention: u8,
}

/// How full the tables are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Assets created.
    pub assets: u32,
    /// Instruments created.
    pub instruments: u32,
    /// Client accounts created.
    pub accounts: u32,
    /// Pairs of account and asset used.
    pub balances: u32,
    /// Resting orders.
    pub orders: u32,
    /// Trades so far.
    pub trades: u64,
}

impl<B: Book> Exchange<B> {
    /// The limits it was made with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Sequence of the last command applied; 0 before the first.
    #[must_use]
    pub fn applied_sequence(&self) -> u64 {
        self.applied_sequence
    }

    /// How full the tables are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            assets: self.wallet.assets().count() as u32,
            instruments: self.instrument_count,
            accounts: self.wallet.account_count(),
            balances: self.wallet.balance_count() as u32,
            orders: self.table.len(),
            trades: self.next_trade_id - 1,
        }
    }

    /// Accounts and balances.
    #[must_use]
    pub fn wallet(&self) -> &Wallet {
        &self.wallet
    }

    /// All assets, by id.
    pub fn assets(&self) -> impl Iterator<Item = &CreateAsset> {
        self.wallet.assets()
    }

    /// All client accounts with their owners, by id.
    pub fn accounts(&self) -> impl Iterator<Item = (AccountId, Name)> {
        self.wallet.accounts()
    }

    /// What an account has of an asset; zero if it has never used it.
    #[must_use]
    pub fn balance(&self, account: AccountId, asset: AssetId) -> Balance {
        self.wallet.balance(account, asset)
    }

    /// All instruments, by id.
    pub fn instruments(&self) -> impl Iterator<Item = &CreateInstrument> {
        self.instruments.iter().flatten().map(|instrument| &instrument.created)
    }

    /// One instrument as it was created.
    #[must_use]
    pub fn instrument(&self, instrument: InstrumentId) -> Option<&CreateInstrument> {
        self.entry(instrument).map(|entry| &entry.created)
    }

    /// Whether an instrument exists.
    #[inline]
    #[must_use]
    pub fn has_instrument(&self, instrument: InstrumentId) -> bool {
        self.entry(instrument).is_some()
    }

    /// The price levels of one side of a book, best first; empty for an unknown instrument.
    pub fn levels(&self, instrument: InstrumentId, side: Side) -> impl Iterator<Item = PriceLevel> + '_ {
        self.entry(instrument).into_iter().flat_map(move |entry| entry.book.levels(&self.table, side))
    }

    /// The resting orders of one side of a book, best price first, oldest first within a price.
    pub fn orders(&self, instrument: InstrumentId, side: Side) -> impl Iterator<Item = RestingOrder> + '_ {
        self.entry(instrument).into_iter().flat_map(move |entry| {
            let levels = entry.book.levels(&self.table, side);
            let slots = levels.flat_map(move |level| entry.book.queue(&self.table, side, level.price_ticks));
            slots.filter_map(|slot| self.table.get(slot)).map(|order| self.describe(order))
        })
    }

    /// The live order with this id.
    #[must_use]
    pub fn order(&self, order_id: OrderId) -> Option<RestingOrder> {
        self.table.find(order_id).map(|order| self.describe(order))
    }

    /// The live order of an account with this client order id.
    #[must_use]
    pub fn order_by_client_id(&self, account: AccountId, id: &ClientOrderId) -> Option<RestingOrder> {
        let hash = self.clients.hash(account, id);
        let slot = self.clients.find(&self.table, hash, account, id)?;
        self.table.get(slot).map(|order| self.describe(order))
    }

    /// Checks what must hold after every command; for tests, slow.
    ///
    /// # Panics
    /// If something does not hold.
    pub fn check_invariants(&self) {
        for instrument in self.instruments.iter().flatten() {
            instrument.book.check_invariants(&self.table);
            let orders = self.table.iter().map(|(_, order)| order);
            let orders = orders.filter(|order| order.instrument == instrument.created.instrument);
            let days = orders.map(crate::exchange::day_count).sum::<u32>();
            assert_eq!(days, instrument.day_orders, "day orders of {}", instrument.created.name);
        }
        let with_id = self.table.iter().filter(|(_, order)| order.client_index != NO_CLIENT_ID).count();
        assert_eq!(with_id, self.clients.len(), "client order ids indexed");
        for (slot, order) in self.table.iter() {
            let id = self.clients.id(order.client_index, slot);
            let found = self.clients.find(&self.table, order.client_index, order.account, &id);
            assert_eq!(found, (!id.is_none()).then_some(slot), "client order id {id:?}");
        }
    }

    fn entry(&self, instrument: InstrumentId) -> Option<&Instrument<B>> {
        self.instruments.get(place(instrument)).and_then(Option::as_ref)
    }

    fn describe(&self, order: &Order) -> RestingOrder {
        let terms = &self.entry(order.instrument).expect("a live order has an instrument").terms;
        RestingOrder {
            order_id: order.order_id,
            price_ticks: order.price_ticks,
            leaves_lots: order.leaves_lots,
            filled_lots: order.filled_lots,
            hold_minor: hold_of(terms, order.side(), order.price_ticks, order.leaves_lots),
            account: order.account,
            instrument: order.instrument,
            client_order_id: self.clients.id(order.client_index, order.order_id.slot()),
            side: order.side,
            order_type: OrderType::Limit.code(),
            time_in_force: order.time_in_force,
            self_trade_prevention: order.self_trade_prevention,
        }
    }

    /// Limits, assets, accounts and balances by id; each instrument with its orders in book order; the trade counter
    /// and the slot that the next order takes. How tables are laid out in memory does not enter.
    pub(crate) fn hash(&self) -> u64 {
        let mut hasher = StateHasher::new();
        hasher.write_value(&self.limits);
        self.wallet.hash_into(&mut hasher);
        for created in self.instruments() {
            hasher.write_value(created);
            for side in [Side::Buy, Side::Sell] {
                for order in self.orders(created.instrument, side) {
                    hasher.write_value(&order);
                }
            }
        }
        hasher.write_value(&self.next_trade_id);
        hasher.write_value(&self.table.next_slot().map_or(u64::MAX, u64::from));
        hasher.finish()
    }
}
