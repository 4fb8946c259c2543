//! What tools may ask, and the state hash. Nothing here is on the hot path.

use machine::StateHasher;
use orderbook::{Book, Order, PriceLevel};
use protocol::{
    AccountId, AmountMinor, AssetId, ClientOrderId, CreateAsset, CreateInstrument, InstrumentId, Limits,
    Name, OrderId, OrderType, Phase, Side, TimeInForce,
};
use wallet::{Balance, Wallet};
use zerocopy::{Immutable, IntoBytes};

use crate::client_index::NO_CLIENT_ID;
use crate::exchange::{Exchange, place};
use crate::instrument::Instrument;
use crate::settlement::hold_of;
use crate::special::{Place, Special, leaves_of, side_of};

/// A resting order as tools see it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, Immutable)]
pub struct RestingOrder {
    /// The engine's id.
    pub order_id: OrderId,
    /// Limit or worst price; of a pegged order its price now.
    pub price_ticks: i64,
    /// Trigger price of an order that waits; 0 for others.
    pub trigger_ticks: i64,
    /// What of it is behind what it shows.
    pub reserve_lots: i64,
    /// Quantity still open, shown or not.
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

    /// Hidden, all-or-none and pegged orders of one side, best price first, oldest first within a price.
    pub fn hidden(&self, instrument: InstrumentId, side: Side) -> impl Iterator<Item = RestingOrder> + '_ {
        self.entry(instrument).into_iter().flat_map(move |entry| {
            let all = crate::makers::makers(entry, &self.table, side);
            all.filter(|maker| maker.is_hidden).map(|maker| self.describe(maker.order))
        })
    }

    /// Orders that wait for a trigger, for the close or for another order, by slot.
    pub fn waiting(&self, instrument: InstrumentId) -> impl Iterator<Item = RestingOrder> + '_ {
        let orders = self.table.iter().map(|(_, order)| order);
        let waits = |order: &Order| self.specials.of(order).is_some_and(|it| it.place() != Place::Active);
        orders.filter(move |order| order.instrument == instrument && waits(order)).map(|it| self.describe(it))
    }

    /// When there is next something to catch up with before a command, in nanoseconds since the Unix epoch: 0 if earlier
    /// commands left work, `u64::MAX` if nothing is to come.
    #[must_use]
    pub fn due_ns(&self) -> u64 {
        self.due_ns
    }

    /// An instrument's phase; continuous for an unknown one.
    #[must_use]
    pub fn phase(&self, instrument: InstrumentId) -> Phase {
        self.entry(instrument).map_or(Phase::Continuous, |entry| entry.state.phase)
    }

    /// What an account has bought less what it has sold of an instrument, in lots.
    #[must_use]
    pub fn position_lots(&self, account: AccountId, instrument: InstrumentId) -> i64 {
        let slot = self.positions.find(account, instrument);
        slot.map_or(0, |slot| self.positions.at(slot).position_lots)
    }

    /// All positions: account, instrument and lots, in the order in which they were first used.
    pub fn positions(&self) -> impl Iterator<Item = (AccountId, InstrumentId, i64)> + '_ {
        self.positions.iter().map(|position| (position.account, position.instrument, position.position_lots))
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
        let slot = self.clients.find_live(&self.table, hash, account, id)?;
        self.table.get(slot).map(|order| self.describe(order))
    }

    /// Checks what must hold after every command; for tests, slow.
    ///
    /// # Panics
    /// If something does not hold.
    pub fn check_invariants(&self) {
        for instrument in self.instruments.iter().flatten() {
            self.check_instrument(instrument);
        }
        let with_id = self.table.iter().filter(|(_, order)| order.client_index != NO_CLIENT_ID).count();
        assert_eq!(with_id, self.clients.len(), "client order ids indexed");
        for (slot, order) in self.table.iter() {
            let id = self.clients.id(order.client_index, slot);
            let found = self.clients.find_live(&self.table, order.client_index, order.account, &id);
            assert_eq!(found, (!id.is_none()).then_some(slot), "client order id {id:?}");
        }
        self.check_positions();
    }

    fn check_instrument(&self, instrument: &Instrument<B>) {
        let (state, name) = (&instrument.state, instrument.created.name);
        for book in
            [&instrument.book, &instrument.hidden, &instrument.last_triggers, &instrument.best_triggers]
        {
            book.check_invariants(&self.table);
        }
        let orders = || {
            let of = instrument.created.instrument;
            self.table.iter().map(|(_, order)| order).filter(move |order| order.instrument == of)
        };
        let count = |counts: &dyn Fn(&Order) -> bool| orders().filter(|order| counts(order)).count() as u32;
        let in_force = |code: u8| count(&|order| order.time_in_force == code);
        assert_eq!(in_force(TimeInForce::Day.code()), state.day_orders, "day orders of {name}");
        assert_eq!(
            in_force(TimeInForce::AtTheOpening.code()),
            state.opening_orders,
            "at the opening of {name}"
        );
        assert_eq!(in_force(TimeInForce::AtTheClose.code()), state.closing_orders, "at the close of {name}");
        let placed = |place: Place, counts: &dyn Fn(&Special) -> bool| {
            count(&|order| self.specials.of(order).is_some_and(|it| it.place() == place && counts(it)))
        };
        assert_eq!(placed(Place::Waiting, &|_| true), state.waiting_orders, "waiting orders of {name}");
        assert_eq!(
            placed(Place::Waiting, &|it| it.terms.trail != 0),
            state.trailing.length,
            "trailing of {name}"
        );
        assert_eq!(placed(Place::Parked, &|_| true), state.parked.length, "parked orders of {name}");
        assert_eq!(
            placed(Place::Active, &Special::is_hidden),
            state.hidden_orders,
            "hidden orders of {name}"
        );
        assert_eq!(placed(Place::Active, &|it| it.terms.peg != 0), state.pegged.length, "pegged of {name}");
        let all_or_none = placed(Place::Active, &Special::is_all_or_none);
        assert_eq!(all_or_none, state.all_or_none_orders, "all-or-none orders of {name}");
        if state.phase == Phase::Continuous && state.uncross.is_none() {
            assert!(!instrument.book.is_crossed(), "the book of {name} is crossed");
        }
    }

    /// What is open in positions is what the live orders have left.
    fn check_positions(&self) {
        for position in self.positions.iter() {
            let of_it =
                |order: &&Order| (order.account, order.instrument) == (position.account, position.instrument);
            let (mut lots, mut count) = ([0, 0], 0);
            for (_, order) in self.table.iter().filter(|(_, order)| of_it(order)) {
                let special = self.specials.of(order);
                count += 1;
                if special.is_none_or(|special| special.place() != Place::Inactive) {
                    lots[usize::from(side_of(order, special) == Side::Sell)] += leaves_of(&self.table, order);
                }
            }
            let open = ([position.open_buy_lots, position.open_sell_lots], position.open_orders);
            assert_eq!(open, (lots, count), "what is open of {position:?}");
        }
    }

    fn entry(&self, instrument: InstrumentId) -> Option<&Instrument<B>> {
        self.instruments.get(place(instrument)).and_then(Option::as_ref)
    }

    fn describe(&self, order: &Order) -> RestingOrder {
        let terms = &self.entry(order.instrument).expect("a live order has an instrument").terms;
        let special = self.specials.of(order);
        let side = side_of(order, special);
        let leaves_lots = leaves_of(&self.table, order);
        let waits = special.filter(|special| special.place() == Place::Waiting);
        RestingOrder {
            order_id: order.order_id,
            price_ticks: waits.map_or(order.price_ticks, |special| special.limit_ticks),
            trigger_ticks: waits.map_or(0, |special| special.terms.trigger_price_ticks),
            reserve_lots: leaves_lots - order.leaves_lots,
            leaves_lots,
            filled_lots: order.filled_lots,
            hold_minor: match special {
                Some(special) => special.hold_minor,
                None => hold_of(terms, side, order.price_ticks, leaves_lots),
            },
            account: order.account,
            instrument: order.instrument,
            client_order_id: self.clients.id(order.client_index, order.order_id.slot()),
            side: side.code(),
            order_type: special.map_or(OrderType::Limit.code(), |special| special.order_type),
            time_in_force: order.time_in_force,
            self_trade_prevention: order.self_trade_prevention,
        }
    }

    /// Limits, assets, accounts, balances, positions and volumes by key; each instrument with its state and its orders in
    /// book order; what only extended orders have; sweeps, unfinished work, remembered ids, and the slot that the next
    /// order takes. How tables are laid out in memory does not enter.
    pub(crate) fn hash(&self) -> u64 {
        let mut hasher = StateHasher::new();
        hasher.write_value(&self.limits);
        self.wallet.hash_into(&mut hasher);
        self.positions.hash_into(&mut hasher);
        self.accounts.hash_into(&mut hasher);
        self.volumes.hash_into(&mut hasher);
        self.trades.hash_into(&mut hasher);
        self.clients.hash_into(&mut hasher);
        self.sweeps.hash_into(&mut hasher);
        self.specials.hash_into(&self.table, &mut hasher);
        for limits in self.risk.iter() {
            hasher.write_value(limits);
        }
        for instrument in self.instruments.iter().flatten() {
            self.hash_instrument(instrument, &mut hasher);
        }
        for instrument in &self.unfinished {
            hasher.write_value(instrument);
        }
        hasher.write_value(&self.next_trade_id);
        hasher.write_value(&self.table.next_slot().map_or(u64::MAX, u64::from));
        hasher.finish()
    }

    fn hash_instrument(&self, instrument: &Instrument<B>, hasher: &mut StateHasher) {
        hasher.write_value(&instrument.created);
        instrument.state.hash_into(hasher);
        for book in
            [&instrument.book, &instrument.hidden, &instrument.last_triggers, &instrument.best_triggers]
        {
            for side in [Side::Buy, Side::Sell] {
                let levels = book.levels(&self.table, side);
                let slots = levels.flat_map(|level| book.queue(&self.table, side, level.price_ticks));
                for order in slots.filter_map(|slot| self.table.get(slot)) {
                    hasher.write_value(&self.describe(order));
                    if order.flags & orderbook::order_flags::RESERVE != 0 {
                        hasher.write_value(&self.table.reserve(order.order_id.slot()).random);
                    }
                }
            }
        }
    }
}
