//! Lists, special orders, fee schedules, the fee asset and busts.

use super::tests::{ALICE, BOB, BTC, Books, USD, trade, with_orders};
use super::*;
use protocol::{
    AccountOptionsSet, CancelReason, ExtendedOrderAccepted, FeeCharged, FeeScheduleSet, FeeTier,
    InstrumentRulesSet, OrderAccepted, OrderCanceled, OrderDecremented, OrderRepriced, OrderShown,
    OrderTriggered, Trade, TradeBusted,
};

const GAS: AssetId = 3;
const DAY_NS: u64 = 86_400_000_000_000;

fn extended(id: u64, account: AccountId, side: Side, lots: i64, price_ticks: i64) -> ExtendedOrderAccepted {
    ExtendedOrderAccepted {
        order: OrderAccepted {
            order_id: OrderId(id),
            price_ticks,
            quantity_lots: lots,
            account,
            instrument: 1,
            side: side.code(),
            ..OrderAccepted::default()
        },
        ..ExtendedOrderAccepted::default()
    }
}

fn of_list(
    event: ExtendedOrderAccepted,
    first: u64,
    list_type: ListType,
    hold_minor: i64,
) -> ExtendedOrderAccepted {
    ExtendedOrderAccepted {
        order: OrderAccepted { hold_minor, ..event.order },
        list_order_id: OrderId(first),
        list_type: list_type.code(),
        inactive: u8::from(first != 0 && list_type != ListType::OneCancelsOther),
        ..event
    }
}

fn canceled(id: u64, leaves_lots: i64, released_minor: i64) -> OrderCanceled {
    OrderCanceled {
        order_id: OrderId(id),
        leaves_lots,
        released_minor,
        reason: CancelReason::OneCancelsOther.code(),
        ..OrderCanceled::default()
    }
}

fn triggered(id: u64, lots: i64, price_ticks: i64, hold_minor: i64, waits: u8) -> OrderTriggered {
    OrderTriggered {
        order_id: OrderId(id),
        price_ticks,
        leaves_lots: lots,
        hold_minor,
        account: ALICE,
        instrument: 1,
        side: Side::Buy.code(),
        waits,
        ..OrderTriggered::default()
    }
}

/// Alice's pair: a limit buy of 2 at 100 (2,040 with fee) and a stop with the worst price 120 (2,448).
fn pair(held_minor: i64) -> Books {
    let mut books = Books::new();
    let limit = of_list(extended(1, ALICE, Side::Buy, 2, 100), 0, ListType::OneCancelsOther, held_minor);
    let stop = of_list(extended(2, ALICE, Side::Buy, 2, 120), 1, ListType::OneCancelsOther, 0);
    books.fold_command(|events| {
        events.push(&limit);
        events.push(&stop);
    });
    books
}

#[test]
fn a_pair_holds_the_larger_need_once_and_the_stop_takes_its_own() {
    let mut books = pair(2_448);
    assert_eq!(books.problem(), "none");
    assert_eq!(books.ledger.balance(ALICE, USD).held_minor, 2_448);
    books.fold_command(|events| {
        events.push(&canceled(1, 2, 2_448));
        events.push(&triggered(2, 2, 120, 2_448, 0));
    });
    assert_eq!((books.problem(), books.ledger.check()), ("none", Ok(())));
    assert_eq!(books.ledger.balance(ALICE, USD).held_minor, 2_448);
    assert_eq!(pair(2_040).problem(), "a pair does not hold the larger of both needs");
    assert_eq!(pair(2_039).problem(), "a pair holds less than its first order needs");

    let mut books = pair(2_448);
    books.fold(&triggered(2, 2, 120, 2_448, 0));
    assert_eq!(books.problem(), "a triggered order's partner is still live");
}

#[test]
fn a_pair_holds_its_first_orders_own_need_from_its_first_fill_on() {
    let mut books = pair(2_448);
    books.accept(3, BOB, Side::Sell, 1, 100);
    books.fold(&Trade {
        taker_order_id: OrderId(3),
        quantity_lots: 1,
        quote_minor: 1_000,
        maker_fee_minor: 10,
        taker_fee_minor: 20,
        maker_leaves_lots: 1,
        ..trade()
    });
    books.fold(&canceled(2, 2, 0));
    assert_eq!((books.problem(), books.ledger.check()), ("none", Ok(())));
    assert_eq!(books.ledger.balance(ALICE, USD).held_minor, 1_020);
}

#[test]
fn an_accepted_half_of_a_pair_is_found() {
    let half = of_list(extended(1, ALICE, Side::Buy, 2, 100), 0, ListType::OneCancelsOther, 2_448);
    let mut books = Books::new();
    books.fold(&half);
    assert_eq!(books.problem(), "the command ended before all that it had to say");
    let mut books = Books::new();
    books.fold_command(|events| {
        events.push(&half);
        events.push(&canceled(1, 2, 2_448));
    });
    assert_eq!(books.problem(), "the second order of a pair is missing");
}

/// Alice's bracket: a buy of 2 at 100, then a limit buy and a stop (buys too: only the holds matter here).
fn bracket() -> Books {
    let mut books = Books::new();
    let first = of_list(extended(1 << 24, ALICE, Side::Buy, 2, 100), 0, ListType::Bracket, 2_040);
    let limit = of_list(extended(1 << 24 | 1, ALICE, Side::Buy, 2, 90), 1 << 24, ListType::Bracket, 0);
    let stop = of_list(extended(1 << 24 | 2, ALICE, Side::Buy, 2, 120), 1 << 24, ListType::Bracket, 0);
    books.fold_command(|events| {
        events.push(&first);
        events.push(&limit);
        events.push(&stop);
    });
    assert_eq!(books.problem(), "none");
    books.accept(3, BOB, Side::Sell, 2, 200);
    books.fold(&Trade {
        maker_order_id: OrderId(1 << 24),
        taker_order_id: OrderId(3),
        maker_leaves_lots: 0,
        ..trade()
    });
    books
}

#[test]
fn a_bracket_holds_nothing_until_it_is_set_free() {
    let mut books = bracket();
    assert_eq!(books.ledger.balance(ALICE, USD).held_minor, 0);
    books.fold(&triggered(1 << 24 | 1, 2, 90, 2_448, 0));
    books.fold(&triggered(1 << 24 | 2, 2, 120, 0, 1));
    assert_eq!((books.problem(), books.ledger.check()), ("none", Ok(())));
    assert_eq!(books.ledger.balance(ALICE, USD).held_minor, 2_448);

    let mut books = bracket();
    books.fold(&triggered(1 << 24 | 1, 2, 90, 1_836, 0));
    assert_eq!(books.problem(), "the hold is not that of the order's price and quantity");

    let mut books = bracket();
    let trade = Trade {
        trade_id: 2,
        maker_order_id: OrderId(1 << 24 | 1),
        price_ticks: 90,
        quote_minor: 1_800,
        ..trade()
    };
    books.accept(2, BOB, Side::Sell, 2, 200);
    books.fold(&Trade { maker_fee_minor: 18, taker_fee_minor: 36, maker_leaves_lots: 0, ..trade });
    assert_eq!(books.problem(), "an inactive order traded");
}

#[test]
fn special_orders_are_held_by_their_worst_price() {
    let held = || {
        let mut books = Books::new();
        let mut order = extended(1, ALICE, Side::Buy, 4, 100);
        order.order.hold_minor = 4_080;
        order.terms.display_lots = 1;
        books.fold(&order);
        assert_eq!(books.problem(), "none");
        books
    };
    let shown = |shown_lots, price_ticks| OrderShown {
        order_id: OrderId(1),
        price_ticks,
        shown_lots,
        ..OrderShown::default()
    };
    for (event, problem) in [
        (shown(4, 100), "none"),
        (shown(5, 100), "more is shown than is left of the order"),
        (shown(1, 101), "an order is shown at another price"),
    ] {
        let mut books = held();
        books.fold(&event);
        assert_eq!(books.problem(), problem);
    }
    let mut books = held();
    books.fold(&OrderRepriced { order_id: OrderId(1), price_ticks: 101, ..OrderRepriced::default() });
    assert_eq!(books.problem(), "an order moved beyond its limit price");

    let taken = |leaves_lots, hold_minor| OrderDecremented {
        order_id: OrderId(1),
        quantity_lots: 3,
        leaves_lots,
        hold_minor,
        ..OrderDecremented::default()
    };
    for (event, problem) in [
        (taken(1, 1_020), "none"),
        (taken(1, 1_021), "the hold is not that of the order's price and quantity"),
        (taken(2, 2_040), "what is left of the order is another quantity"),
        (OrderDecremented { quantity_lots: 4, ..taken(0, 0) }, "none"),
        (OrderDecremented { quantity_lots: 5, ..taken(-1, 0) }, "more was taken than was left of the order"),
    ] {
        let mut books = held();
        books.fold(&event);
        assert_eq!(books.problem(), problem, "{event:?}");
    }
}

#[test]
fn a_walked_hold_shrinks_by_what_fills_cost_and_stays_within_its_budget() {
    let bought = |hold_minor, budget_minor| {
        let mut books = Books::new();
        books.accept(1, BOB, Side::Sell, 2, 200);
        let mut order = extended(2, ALICE, Side::Buy, 3, 0);
        order.order.hold_minor = hold_minor;
        order.terms.budget_minor = budget_minor;
        books.fold(&order);
        books
    };
    let mut books = bought(3_060, 3_100);
    let buy = Trade {
        maker_account: BOB,
        taker_account: ALICE,
        taker_side: Side::Buy.code(),
        maker_leaves_lots: 0,
        taker_leaves_lots: 1,
        ..trade()
    };
    books.fold(&buy);
    books.fold(&canceled(2, 1, 1_020));
    assert_eq!((books.problem(), books.ledger.check()), ("none", Ok(())));
    assert_eq!(books.ledger.balance(ALICE, USD).balance_minor, 10_000 - 2_040);
    assert_eq!(bought(3_060, 3_059).problem(), "more is held than the budget");
    let mut books = bought(2_000, 0);
    books.fold(&buy);
    assert_eq!(books.problem(), "an order holds less than nothing");
}

#[test]
fn trades_beyond_a_limit_or_of_the_wrong_side_are_found() {
    let found = |change: fn(&mut Trade)| {
        let mut books = with_orders();
        let mut event = trade();
        change(&mut event);
        books.fold(&event);
        books.problem()
    };
    assert_eq!(
        found(|trade| (trade.price_ticks, trade.quote_minor, trade.maker_fee_minor, trade.taker_fee_minor) =
            (101, 2_020, 20, 40)),
        "an order traded beyond its limit price"
    );
    assert_eq!(found(|trade| trade.taker_side = 1), "an order traded on the other side");
    assert_eq!(found(|trade| trade.maker_leaves_lots = 2), "what is left of an order is another quantity");
    assert_eq!(found(|trade| trade.auction = 1), "none");
    let swapped = found(|trade| {
        (trade.maker_order_id, trade.taker_order_id) = (OrderId(2), OrderId(1));
        (trade.maker_account, trade.taker_account) = (BOB, ALICE);
        (trade.maker_leaves_lots, trade.taker_leaves_lots) = (0, 3);
        (trade.taker_side, trade.auction) = (Side::Buy.code(), 1);
    });
    assert_eq!(swapped, "the maker of an auction's trade is not the older order");
}

/// Makers get half a percent back, takers pay 2 %, and from a volume of 2,000 on 1 %.
fn schedule() -> FeeScheduleSet {
    let tier =
        |min_volume_minor, taker_fee_ppm| FeeTier { min_volume_minor, maker_fee_ppm: -5_000, taker_fee_ppm };
    let mut schedule = SetFeeSchedule { instrument: 1, count: 2, ..SetFeeSchedule::default() };
    (schedule.tiers[0], schedule.tiers[1]) = (tier(0, 20_000), tier(2_000, 10_000));
    FeeScheduleSet(schedule)
}

#[test]
fn a_schedule_counts_the_volume_of_the_thirty_days_before() {
    let after_days = |days: u64, taker_fee_minor: i64| {
        let mut books = with_orders();
        books.fold(&schedule());
        books.now_ns = 100 * DAY_NS;
        books.fold(&Trade { maker_fee_minor: -10, ..trade() });
        books.now_ns += days * DAY_NS;
        books.accept(3, BOB, Side::Sell, 2, 200);
        books.fold(&Trade {
            trade_id: 2,
            taker_order_id: OrderId(3),
            maker_leaves_lots: 1,
            maker_fee_minor: -10,
            taker_fee_minor,
            ..trade()
        });
        books
    };
    for (days, taker_fee_minor) in [(0, 40), (1, 20), (30, 20), (31, 40)] {
        let books = after_days(days, taker_fee_minor);
        assert_eq!((books.problem(), books.ledger.check()), ("none", Ok(())), "after {days} days");
        assert_eq!(books.ledger.balance(AccountId::FEES, USD).balance_minor, 40 + taker_fee_minor - 20);
        assert_eq!(after_days(days, taker_fee_minor - 1).problem(), "the taker's fee is another");
    }
    let books = after_days(0, 40);
    assert_eq!(books.ledger.volume(ALICE, USD, 100), 4_000);
    assert_eq!(books.ledger.positions().collect::<Vec<_>>(), [(ALICE, 1, 4), (BOB, 1, -4)]);
}

#[test]
fn a_schedule_that_nothing_covers_is_refused() {
    let refused = |change: fn(&mut SetFeeSchedule)| {
        let mut books = Books::new();
        let FeeScheduleSet(mut schedule) = schedule();
        change(&mut schedule);
        books.fold(&FeeScheduleSet(schedule));
        books.problem()
    };
    let uncovered = "holds do not cover a fee, or takers' fees a rebate";
    assert_eq!(refused(|_| ()), "none");
    assert_eq!(refused(|schedule| schedule.tiers[1].taker_fee_ppm = 20_001), uncovered);
    assert_eq!(refused(|schedule| schedule.tiers[1].maker_fee_ppm = -10_001), uncovered);
    assert_eq!(
        refused(|schedule| schedule.tiers[0].min_volume_minor = 1),
        "a schedule's volumes do not rise from 0"
    );
    assert_eq!(refused(|schedule| schedule.count = 5), "a schedule has too many tiers");
}

/// Both pay in GAS, at two and a half for one.
fn with_fee_asset(gas_of_bob_minor: i64) -> Books {
    let mut books = with_orders();
    books.fold(&AssetCreated { asset: GAS, ..AssetCreated::default() });
    let rules = SetInstrumentRules {
        instrument: 1,
        fee_asset: GAS,
        fee_asset_rate_ppm: 2_500_000,
        ..SetInstrumentRules::default()
    };
    books.fold(&InstrumentRulesSet(rules));
    for (account, minor) in [(ALICE, 50), (BOB, gas_of_bob_minor)] {
        books.deposit(account, GAS, minor, minor);
        let options = SetAccountOptions { account, pays_in_fee_asset: 1, ..SetAccountOptions::default() };
        books.fold(&AccountOptionsSet(options));
    }
    books
}

fn charged(account: AccountId, role: u8, amount_minor: i64) -> FeeCharged {
    FeeCharged { trade_id: 1, amount_minor, account, asset: GAS, role, ..FeeCharged::default() }
}

#[test]
fn fees_in_the_fee_asset_must_be_charged_at_the_rules_rate() {
    let free = Trade { maker_fee_minor: 0, taker_fee_minor: 0, ..trade() };
    let found = |trade: Trade, gas_of_bob_minor: i64, charges: &[FeeCharged]| {
        let mut books = with_fee_asset(gas_of_bob_minor);
        books.fold_command(|events| {
            events.push(&trade);
            charges.iter().for_each(|charge| events.push(charge));
        });
        (books.problem(), books)
    };
    let (problem, books) = found(free, 100, &[charged(ALICE, 1, 50), charged(BOB, 2, 100)]);
    assert_eq!((problem, books.ledger.check()), ("none", Ok(())));
    assert_eq!(books.ledger.balance(AccountId::FEES, GAS).balance_minor, 150);
    assert_eq!(books.ledger.balance(AccountId::FEES, USD).balance_minor, 0);
    assert_eq!(books.ledger.balance(BOB, USD).balance_minor, 2_000);

    // One minor unit short: Bob's fee is taken in the quote asset.
    let (problem, _) = found(Trade { taker_fee_minor: 40, ..free }, 99, &[charged(ALICE, 1, 50)]);
    assert_eq!(problem, "none");
    let (problem, _) = found(free, 99, &[charged(ALICE, 1, 50)]);
    assert_eq!(problem, "the taker's fee is another");
    let (problem, _) = found(trade(), 100, &[]);
    assert_eq!(problem, "the taker's fee is another");

    let (problem, _) = found(free, 100, &[charged(ALICE, 1, 50), charged(BOB, 2, 99)]);
    assert_eq!(problem, "the fee charged is another than the one due");
    let (problem, _) = found(free, 100, &[charged(BOB, 2, 100), charged(ALICE, 1, 50)]);
    assert_eq!(problem, "the fee charged is another than the one due");
    let (problem, _) = found(free, 100, &[charged(ALICE, 1, 50)]);
    assert_eq!(problem, "the command ended before all that it had to say");
    let (problem, _) = found(free, 100, &[charged(ALICE, 1, 50), charged(BOB, 2, 100), charged(BOB, 2, 100)]);
    assert_eq!(problem, "a fee was charged that is not due");
}

#[test]
fn a_taker_whose_maker_gets_a_rebate_pays_in_the_quote_asset() {
    let mut books = with_fee_asset(100);
    books.fold(&schedule());
    books.fold(&Trade { maker_fee_minor: -10, ..trade() });
    assert_eq!((books.problem(), books.ledger.check()), ("none", Ok(())));
    assert_eq!(books.ledger.balance(AccountId::FEES, USD).balance_minor, 30);
    assert_eq!(books.ledger.balance(BOB, GAS).balance_minor, 100);
}

fn bust() -> TradeBusted {
    TradeBusted {
        trade_id: 1,
        reference: 77,
        price_ticks: 100,
        quantity_lots: 2,
        quote_minor: 2_000,
        maker_fee_minor: 50,
        taker_fee_minor: 40,
        maker_account: ALICE,
        taker_account: BOB,
        instrument: 1,
        maker_fee_asset: GAS,
        taker_fee_asset: USD,
        taker_side: Side::Sell.code(),
        maker_order_id: OrderId(1),
        taker_order_id: OrderId(2),
        ..TradeBusted::default()
    }
}

#[test]
fn a_bust_gives_everything_back_in_what_it_was_paid_in() {
    let traded = || {
        let mut books = with_fee_asset(99);
        books.fold_command(|events| {
            events.push(&Trade { maker_fee_minor: 0, ..trade() });
            events.push(&charged(ALICE, 1, 50));
        });
        books
    };
    let mut books = traded();
    books.fold(&bust());
    assert_eq!((books.problem(), books.ledger.check()), ("none", Ok(())));
    let balance = |account, asset| books.ledger.balance(account, asset).balance_minor;
    assert_eq!([balance(ALICE, USD), balance(BOB, USD)], [10_000, 0]);
    assert_eq!([balance(ALICE, BTC), balance(BOB, BTC)], [0, 1_000]);
    assert_eq!([balance(ALICE, GAS), balance(BOB, GAS)], [50, 99]);
    assert_eq!([balance(AccountId::FEES, USD), balance(AccountId::FEES, GAS)], [0, 0]);
    assert!(books.ledger.postings().iter().all(|posting| posting.kind == PostingKind::Bust));
    assert!(books.ledger.positions().all(|(_, _, lots)| lots == 0));
    assert_eq!(books.ledger.volume(BOB, USD, 0), 2_000, "volumes stay");
    books.fold(&bust());
    assert_eq!(books.problem(), "the trade was busted before");

    let found = |event: TradeBusted| {
        let mut books = traded();
        books.fold(&event);
        books.problem()
    };
    assert_eq!(found(TradeBusted { taker_fee_minor: 41, ..bust() }), "the trade that was busted is another");
    assert_eq!(found(TradeBusted { maker_fee_asset: USD, ..bust() }), "the trade that was busted is another");
    assert_eq!(found(TradeBusted { trade_id: 2, ..bust() }), "the trade is not among the last ones");

    // Bob has spent one minor unit of his proceeds: he cannot give all back.
    let mut books = traded();
    let withdrawn =
        protocol::Withdrawn { amount_minor: 1, balance_minor: 1_959, account: BOB, asset: USD, reference: 0 };
    books.fold(&withdrawn);
    books.fold(&bust());
    assert_eq!(books.problem(), "an account paid more than it had");
}
