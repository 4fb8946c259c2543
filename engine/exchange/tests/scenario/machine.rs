//! What the player asks of an exchange, so that each file can be played on the fast one and on the naive one.

use exchange::naive::NaiveExchange;
use exchange::{Exchange, RestingOrder};
use machine::StateMachine;
use protocol::{AccountId, AssetId, InstrumentId, Limits, OrderId, Phase, Side};

/// A resting or waiting order, as far as the files ask.
pub struct SeenOrder {
    pub order_id: OrderId,
    pub price_ticks: i64,
    pub shown_lots: i64,
}

/// An exchange that can be asked.
pub trait Machine: StateMachine {
    fn create(limits: Limits) -> Self;
    fn money(&self, account: AccountId, asset: AssetId) -> (i64, i64);
    fn shown(&self, instrument: InstrumentId, side: Side) -> Vec<SeenOrder>;
    fn hidden(&self, instrument: InstrumentId, side: Side) -> Vec<SeenOrder>;
    fn waiting(&self, instrument: InstrumentId) -> Vec<SeenOrder>;
    fn position(&self, account: AccountId, instrument: InstrumentId) -> i64;
    fn phase(&self, instrument: InstrumentId) -> Phase;
    fn check(&self);
}

impl Machine for Exchange {
    fn create(limits: Limits) -> Self {
        Self::new(limits).expect("good limits")
    }

    fn money(&self, account: AccountId, asset: AssetId) -> (i64, i64) {
        let balance = self.balance(account, asset);
        (balance.balance_minor, balance.held_minor)
    }

    fn shown(&self, instrument: InstrumentId, side: Side) -> Vec<SeenOrder> {
        self.orders(instrument, side).map(of_fast).collect()
    }

    fn hidden(&self, instrument: InstrumentId, side: Side) -> Vec<SeenOrder> {
        Exchange::hidden(self, instrument, side).map(of_fast).collect()
    }

    fn waiting(&self, instrument: InstrumentId) -> Vec<SeenOrder> {
        let mut orders: Vec<_> = Exchange::waiting(self, instrument).map(of_fast).collect();
        orders.sort_by_key(|order| order.order_id);
        orders
    }

    fn position(&self, account: AccountId, instrument: InstrumentId) -> i64 {
        self.position_lots(account, instrument)
    }

    fn phase(&self, instrument: InstrumentId) -> Phase {
        Exchange::phase(self, instrument)
    }

    fn check(&self) {
        self.check_invariants();
    }
}

fn of_fast(order: RestingOrder) -> SeenOrder {
    let shown_lots = order.leaves_lots - order.reserve_lots;
    SeenOrder { order_id: order.order_id, price_ticks: order.price_ticks, shown_lots }
}

fn seen(order: exchange::naive::SeenOrder) -> SeenOrder {
    let exchange::naive::SeenOrder { order_id, price_ticks, shown_lots, .. } = order;
    SeenOrder { order_id, price_ticks, shown_lots }
}

impl Machine for NaiveExchange {
    fn create(limits: Limits) -> Self {
        Self::new(limits)
    }

    fn money(&self, account: AccountId, asset: AssetId) -> (i64, i64) {
        let of_asset = |entry: &(AccountId, AssetId, i128, i128)| entry.1 == asset;
        if account == AccountId::WORLD {
            let others: i128 = self.balances().filter(of_asset).map(|entry| entry.2).sum();
            return (-others as i64, 0);
        }
        let mut balances = self.balances().filter(of_asset);
        let found = balances.find(|entry| entry.0 == account);
        found.map_or((0, 0), |(_, _, balance, held)| (balance as i64, held as i64))
    }

    fn shown(&self, instrument: InstrumentId, side: Side) -> Vec<SeenOrder> {
        self.shown_orders(instrument, side).into_iter().map(seen).collect()
    }

    fn hidden(&self, instrument: InstrumentId, side: Side) -> Vec<SeenOrder> {
        self.hidden_orders(instrument, side).into_iter().map(seen).collect()
    }

    fn waiting(&self, instrument: InstrumentId) -> Vec<SeenOrder> {
        let mut orders: Vec<_> = NaiveExchange::waiting(self, instrument).into_iter().map(seen).collect();
        orders.sort_by_key(|order| order.order_id);
        orders
    }

    fn position(&self, account: AccountId, instrument: InstrumentId) -> i64 {
        let mut positions = self.positions();
        let found = positions.find(|entry| (entry.0, entry.1) == (account, instrument));
        found.map_or(0, |entry| entry.2 as i64)
    }

    fn phase(&self, instrument: InstrumentId) -> Phase {
        NaiveExchange::phase(self, instrument).map_or(Phase::Continuous, |(phase, _)| phase)
    }

    /// Holds are those of the live orders, and nobody holds more than it owns.
    fn check(&self) {
        let live: i128 = self.live_orders().map(|order| i128::from(order.hold_minor)).sum();
        let held: i128 = self.balances().map(|entry| entry.3).sum();
        assert_eq!(live, held, "holds of the live orders");
        assert!(self.balances().all(|(_, _, balance, held)| (0..=balance).contains(&held)));
    }
}
