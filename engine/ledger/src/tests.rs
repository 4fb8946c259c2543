use super::*;
use machine::{Body, Context, EventBuffer};
use protocol::{
    AccountCreated, CancelReason, Deposited, InstrumentCreated, OrderAccepted, OrderCanceled, Trade,
    Withdrawn,
};

pub(super) const ALICE: AccountId = AccountId(2);
pub(super) const BOB: AccountId = AccountId(3);
pub(super) const USD: AssetId = 1;
pub(super) const BTC: AssetId = 2;

pub(super) struct Books {
    pub(super) ledger: Ledger,
    sequence: u64,
    pub(super) now_ns: u64,
}

impl Books {
    pub(super) fn new() -> Self {
        let mut books = Self { ledger: Ledger::new(), sequence: 0, now_ns: 0 };
        for asset in [USD, BTC] {
            books.fold(&AssetCreated { asset, ..AssetCreated::default() });
        }
        for account in [ALICE, BOB] {
            books.fold(&AccountCreated { account, ..AccountCreated::default() });
        }
        books.fold(&InstrumentCreated(CreateInstrument {
            instrument: 1,
            base_asset: BTC,
            quote_asset: USD,
            quote_minor_per_tick_lot: 10,
            base_minor_per_lot: 100,
            maker_fee_ppm: 10_000,
            taker_fee_ppm: 20_000,
            ..CreateInstrument::default()
        }));
        books.deposit(ALICE, USD, 10_000, 10_000);
        books.deposit(BOB, BTC, 1_000, 1_000);
        assert_eq!(books.ledger.error(), None);
        books
    }

    pub(super) fn fold<T: Body>(&mut self, event: &T) {
        self.fold_command(|events| events.push(event));
    }

    /// The events that `push` writes, as those of one command.
    pub(super) fn fold_command(&mut self, push: impl FnOnce(&mut EventBuffer)) {
        self.sequence += 1;
        let mut events = EventBuffer::with_capacity(1024);
        events.begin(&Context { sequence: self.sequence, timestamp_ns: self.now_ns, ..Context::default() });
        push(&mut events);
        events.finish();
        events.records().for_each(|record| self.ledger.apply(record));
    }

    pub(super) fn deposit(
        &mut self,
        account: AccountId,
        asset: AssetId,
        amount_minor: i64,
        balance_minor: i64,
    ) {
        self.fold(&Deposited { amount_minor, balance_minor, account, asset, reference: 0 });
    }

    pub(super) fn accept(&mut self, id: u64, account: AccountId, side: Side, lots: i64, hold_minor: i64) {
        self.fold(&OrderAccepted {
            order_id: OrderId(id),
            price_ticks: 100,
            quantity_lots: lots,
            hold_minor,
            account,
            instrument: 1,
            side: side.code(),
            ..OrderAccepted::default()
        });
    }

    pub(super) fn problem(&self) -> &'static str {
        self.ledger.error().map_or("none", |error| error.problem)
    }
}

/// Alice's buy of 5 rests; Bob sells her 2.
pub(super) fn trade() -> Trade {
    Trade {
        trade_id: 1,
        maker_order_id: OrderId(1),
        taker_order_id: OrderId(2),
        price_ticks: 100,
        quantity_lots: 2,
        quote_minor: 2_000,
        maker_fee_minor: 20,
        taker_fee_minor: 40,
        maker_leaves_lots: 3,
        taker_leaves_lots: 0,
        maker_account: ALICE,
        taker_account: BOB,
        instrument: 1,
        taker_side: Side::Sell.code(),
        auction: 0,
        reserved: [0; 2],
    }
}

pub(super) fn with_orders() -> Books {
    let mut books = Books::new();
    books.accept(1, ALICE, Side::Buy, 5, 5_100);
    books.accept(2, BOB, Side::Sell, 2, 200);
    books
}

#[test]
fn a_trade_moves_both_assets_and_both_fees() {
    let mut books = with_orders();
    books.fold(&trade());
    let ledger = &books.ledger;
    assert_eq!(books.problem(), "none");
    let balance = |balance_minor, held_minor| LedgerBalance { balance_minor, held_minor };
    assert_eq!(ledger.balance(ALICE, USD), balance(7_980, 3_060));
    assert_eq!(ledger.balance(ALICE, BTC), balance(200, 0));
    assert_eq!(ledger.balance(BOB, USD), balance(1_960, 0));
    assert_eq!(ledger.balance(BOB, BTC), balance(800, 0));
    assert_eq!(ledger.balance(AccountId::FEES, USD), balance(60, 0));
    assert_eq!(ledger.balance(AccountId::WORLD, USD), balance(-10_000, 0));
    assert_eq!((ledger.total(USD), ledger.total(BTC), ledger.check()), (0, 0, Ok(())));
    assert_eq!(ledger.orders().map(|(id, order)| (id.0, order.leaves_lots)).collect::<Vec<_>>(), [(1, 3)]);
    let postings = ledger.postings();
    assert_eq!(postings.len(), 8);
    assert!(postings.chunks(2).all(|pair| pair[0].amount_minor + pair[1].amount_minor == 0));
    assert!(postings.iter().all(|posting| posting.trade_id == 1 && posting.sequence == books.sequence));
}

#[test]
fn each_command_takes_effect_once() {
    let mut books = Books::new();
    books.sequence -= 1;
    books.deposit(BOB, BTC, 1_000, 2_000);
    assert_eq!(books.ledger.balance(BOB, BTC).balance_minor, 1_000);
    assert_eq!(books.ledger.applied_sequence(), books.sequence);
}

#[test]
fn events_that_do_not_add_up_are_found() {
    let found = |change: fn(&mut Trade)| {
        let mut books = with_orders();
        let mut event = trade();
        change(&mut event);
        books.fold(&event);
        books.problem()
    };
    assert_eq!(found(|_| ()), "none");
    assert_eq!(found(|trade| trade.trade_id = 2), "the trade's number is not the next one");
    assert_eq!(found(|trade| trade.quote_minor += 1), "the quote amount is not price times quantity");
    assert_eq!(found(|trade| trade.maker_fee_minor -= 1), "the maker's fee is another");
    assert_eq!(found(|trade| trade.taker_fee_minor += 1), "the taker's fee is another");
    assert_eq!(found(|trade| trade.maker_order_id = OrderId(9)), "an order that traded is not live");
    assert_eq!(found(|trade| trade.taker_account = ALICE), "an order that traded is another account's");
}

#[test]
fn holds_and_balances_that_do_not_add_up_are_found() {
    let mut books = Books::new();
    books.accept(1, ALICE, Side::Buy, 5, 5_099);
    assert_eq!(books.problem(), "the hold is not that of the order's price and quantity");

    let mut books = Books::new();
    books.accept(1, ALICE, Side::Buy, 10, 10_200);
    assert_eq!(books.problem(), "more is held than the account owns");

    let mut books = with_orders();
    let canceled = OrderCanceled {
        order_id: OrderId(1),
        leaves_lots: 5,
        released_minor: 5_099,
        reason: CancelReason::Requested.code(),
        ..OrderCanceled::default()
    };
    books.fold(&canceled);
    assert_eq!(books.problem(), "what is released is not what was held");

    let mut books = Books::new();
    books.deposit(ALICE, USD, 1, 10_002);
    assert_eq!(books.problem(), "the balance after it is another");
    books.deposit(ALICE, USD, 1, 10_002);
    assert_eq!(books.ledger.balance(ALICE, USD).balance_minor, 10_001, "nothing is folded after an error");

    let mut books = Books::new();
    books.fold(&Withdrawn {
        amount_minor: 10_001,
        balance_minor: -1,
        account: ALICE,
        asset: USD,
        reference: 0,
    });
    assert_eq!(books.problem(), "an account paid more than it had");
}
