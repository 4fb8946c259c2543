//! What the events of orders beyond the plain one come to.

use super::*;
use machine::{Body, Context, EventBuffer};
use protocol::{
    AccountOptionsSet, BUSTABLE_TRADES, CancelReason, CommandKind, ExtendedOrderAccepted, FeeCharged,
    OrderAccepted, OrderCanceled, OrderDecremented, OrderReplaced, OrderShown, OrderTermsReplaced,
    OrderTriggered, OrderType, RejectReason, Rejected, SetAccountOptions, TimeAdvanced, Trade, TradeBusted,
};

const ALICE: AccountId = AccountId(2);
const ID: OrderId = OrderId(7 << 24);

struct Fold {
    orders: Orders,
    sequence: u64,
}

impl Fold {
    /// Alice has an order of 10 of this type.
    fn new(order_type: OrderType) -> Self {
        let mut fold = Self { orders: Orders::new(1, &[ALICE], 100), sequence: 0 };
        let order = OrderAccepted {
            order_id: ID,
            price_ticks: 100,
            quantity_lots: 10,
            account: ALICE,
            instrument: 1,
            client_order_id: ClientOrderId::from_text(b"stop").unwrap(),
            side: 1,
            order_type: order_type.code(),
            ..OrderAccepted::default()
        };
        let accepted = fold.one(&ExtendedOrderAccepted { order, ..ExtendedOrderAccepted::default() });
        assert_eq!((accepted.exec_type, accepted.order.status), (b'0', status::NEW));
        fold
    }

    fn apply<T: Body>(&mut self, event: &T) -> Vec<ExecutionReport> {
        self.sequence += 1;
        let mut events = EventBuffer::with_capacity(512);
        events.begin(&Context { sequence: self.sequence, ..Context::default() });
        events.push(event);
        events.finish();
        self.fold(&events)
    }

    /// Folds all events of a command; what is told of them, in order.
    fn fold(&mut self, events: &EventBuffer) -> Vec<ExecutionReport> {
        let mut reports = Vec::new();
        for (index, record) in (3..).zip(events.records()) {
            reports.extend(self.orders.release_before(record).map(|it| it.reports));
            reports.push(self.orders.apply(record, index, None));
            if record.is_last_event() {
                reports.extend(self.orders.release_last().map(|it| it.reports));
            }
        }
        let reports = reports.into_iter().flatten().flatten();
        reports
            .map(|report| match report {
                Report::Execution(report) => report,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn one<T: Body>(&mut self, event: &T) -> ExecutionReport {
        let reports = self.apply(event);
        assert_eq!(reports.len(), 1);
        reports[0]
    }

    fn trade(&mut self, trade_id: u64, leaves_lots: i64) -> ExecutionReport {
        self.one(&Trade {
            trade_id,
            maker_order_id: ID,
            price_ticks: 99,
            quantity_lots: 4,
            maker_leaves_lots: leaves_lots,
            ..Trade::default()
        })
    }

    fn bust(&mut self, trade_id: u64) -> ExecutionReport {
        self.one(&TradeBusted {
            trade_id,
            maker_order_id: ID,
            price_ticks: 99,
            quantity_lots: 4,
            ..TradeBusted::default()
        })
    }
}

#[test]
fn a_stop_is_triggered_and_trades_like_any_order() {
    let mut fold = Fold::new(OrderType::Stop);
    let triggered =
        OrderTriggered { order_id: ID, price_ticks: 100, leaves_lots: 10, ..OrderTriggered::default() };
    let waits = fold.one(&OrderTriggered { waits: 1, ..triggered });
    assert_eq!((waits.exec_type, waits.text), (b'L', "set free by its list; waits for its trigger"));
    let report = fold.one(&triggered);
    assert_eq!((report.exec_type, report.order.status, report.text), (b'L', status::NEW, ""));
    assert_eq!(fold.trade(1, 6).order.status, status::PARTIALLY_FILLED);
    assert_eq!(fold.apply(&OrderTriggered { order_id: OrderId(1), ..triggered }).len(), 0);
}

/// A trade of ALICE with herself; the fees of both sides follow, the maker's first, or of one, or of none.
#[test]
fn fees_in_the_fee_asset_stand_in_the_reports_of_their_trade() {
    for (maker, taker) in [(7, 9), (7, 0), (0, 9), (0, 0)] {
        let mut fold = Fold::new(OrderType::Limit);
        let account = ALICE;
        let options = SetAccountOptions { account, pays_in_fee_asset: 1, ..SetAccountOptions::default() };
        fold.apply(&AccountOptionsSet(options));
        let mut events = EventBuffer::with_capacity(1024);
        events.begin(&Context { sequence: 100, ..Context::default() });
        for trade_id in 1..=2 {
            events.push(&Trade {
                trade_id,
                maker_order_id: ID,
                taker_order_id: ID,
                quantity_lots: 1,
                maker_leaves_lots: 5,
                taker_leaves_lots: 4,
                maker_account: ALICE,
                taker_account: ALICE,
                ..Trade::default()
            });
            for (amount_minor, role) in [(maker, 1), (taker, 2)].into_iter().filter(|it| it.0 > 0) {
                let reserved = [0; 7];
                events.push(&FeeCharged { trade_id, amount_minor, account, asset: 3, role, reserved });
            }
        }
        events.push(&TimeAdvanced::default());
        events.finish();
        let reports = fold.fold(&events);
        let fees = reports.iter().map(|it| {
            let fill = it.fill.unwrap();
            (it.part, it.stamp.index, fill.fee_minor, fill.fee_asset)
        });
        let asset = |fee_minor| if fee_minor == 0 { 0 } else { 3 };
        let fees_of = |index| [(0, index, taker, asset(taker)), (1, index, maker, asset(maker))];
        let second = 4 + u32::from(maker > 0) + u32::from(taker > 0);
        assert_eq!(fees.collect::<Vec<_>>(), [fees_of(3), fees_of(second)].concat(), "{maker} and {taker}");
        assert!(!fold.orders.holds_reports());
    }
}

#[test]
fn a_decremented_order_is_restated_and_ends_when_nothing_is_left() {
    let mut fold = Fold::new(OrderType::Limit);
    fold.trade(1, 6);
    let taken = |quantity_lots, leaves_lots| OrderDecremented {
        order_id: ID,
        quantity_lots,
        leaves_lots,
        ..OrderDecremented::default()
    };
    let report = fold.one(&taken(4, 2));
    assert_eq!(
        (report.exec_type, report.order.status, report.text),
        (b'D', status::PARTIALLY_FILLED, "SelfTrade")
    );
    assert_eq!(
        (report.order.quantity_lots, report.order.leaves_lots),
        (6, 2),
        "what is filled and what is left"
    );
    let report = fold.one(&taken(2, 0));
    assert_eq!(
        (report.exec_type, report.order.status, report.order.leaves_lots),
        (b'4', status::CANCELED, 0)
    );
    assert!(fold.orders.by_id(0, ID).is_some_and(Order::is_done));
}

#[test]
fn a_bust_takes_the_fill_back_and_names_it() {
    let mut fold = Fold::new(OrderType::Limit);
    fold.trade(1, 6);
    let traded = fold.sequence;
    let report = fold.bust(1);
    assert_eq!((report.exec_type, report.order.status), (b'H', status::NEW));
    assert_eq!((report.order.cumulative_lots, report.order.tick_lots, report.order.leaves_lots), (0, 0, 6));
    assert_eq!(report.busted.map(|(sequence, index)| (sequence.get(), index)), Some((traded, 3)));
    // A filled order is not revived.
    fold.trade(2, 2);
    fold.one(&Trade { trade_id: 3, maker_order_id: ID, quantity_lots: 2, ..Trade::default() });
    let report = fold.bust(2);
    assert_eq!(
        (report.order.status, report.order.cumulative_lots, report.order.leaves_lots),
        (status::CANCELED, 2, 0)
    );
    // One that can no longer be busted is not kept.
    fold.apply(&Trade { trade_id: 3 + u64::from(BUSTABLE_TRADES), ..Trade::default() });
    assert_eq!(fold.orders.trades.len(), 0);
}

#[test]
fn orders_that_end_by_themselves_expire_and_others_are_canceled_with_the_reason() {
    for &reason in CancelReason::ALL {
        let mut fold = Fold::new(OrderType::StopLimit);
        let canceled = OrderCanceled { order_id: ID, reason: reason.code(), ..OrderCanceled::default() };
        let report = fold.one(&canceled);
        let expired = matches!(reason.code(), 5 | 7 | 15);
        assert_eq!(report.order.status, if expired { b'C' } else { b'4' }, "{reason:?}");
        let text = if reason == CancelReason::Requested { "" } else { reason.name() };
        assert_eq!((report.text, report.order.leaves_lots), (text, 0));
    }
}

#[test]
fn every_reject_reason_begins_with_its_name() {
    for &reason in RejectReason::ALL {
        assert!(reject_text(reason).starts_with(&format!("{}: ", reason.name())), "{reason:?}");
    }
}

#[test]
fn rejects_of_every_kind_of_order_reach_their_session() {
    let mut fold = Fold::new(OrderType::Limit);
    let rejected = |kind: CommandKind| Rejected {
        account: ALICE,
        reason: RejectReason::WouldTake.code(),
        command_kind: kind.code(),
        client_order_id: ClientOrderId::from_text(b"late").unwrap(),
        ..Rejected::default()
    };
    for kind in [CommandKind::NewOrder, CommandKind::NewExtendedOrder, CommandKind::NewOrderList] {
        let report = fold.one(&rejected(kind));
        assert_eq!((report.order.status, report.reject), (status::REJECTED, Some(RejectReason::WouldTake)));
    }
}

#[test]
fn a_replace_that_tells_what_has_changed_leaves_nothing_open() {
    let mut fold = Fold::new(OrderType::Limit);
    let terms = OrderTerms { display_lots: 2, trigger_price_ticks: 90, trigger: 1, ..OrderTerms::default() };
    let order_id = OrderId(9 << 24);
    let client_order_id = ClientOrderId::from_text(b"i").unwrap();
    let order = OrderAccepted {
        order_id,
        account: ALICE,
        instrument: 1,
        client_order_id,
        ..OrderAccepted::default()
    };
    fold.one(&ExtendedOrderAccepted { order, terms, ..ExtendedOrderAccepted::default() });
    for (trigger_price_ticks, display_lots, expected) in [(95, 0, (95, 2)), (0, 4, (95, 4))] {
        let rest = OrderTermsReplaced::default();
        fold.apply(&OrderTermsReplaced { order_id, trigger_price_ticks, display_lots, ..rest });
        fold.one(&OrderReplaced { order_id, kept_priority: 0, ..OrderReplaced::default() });
        let terms = fold.orders.special(fold.orders.by_id(0, order_id).unwrap()).unwrap().terms;
        assert_eq!((terms.trigger_price_ticks, terms.display_lots), expected);
    }
    fold.one(&OrderReplaced { order_id, kept_priority: 0, ..OrderReplaced::default() });
    let terms = fold.orders.special(fold.orders.by_id(0, order_id).unwrap()).unwrap().terms;
    assert_eq!((terms.trigger_price_ticks, terms.display_lots), (0, 0), "the next one tells nothing");
}

#[test]
fn a_replace_leaves_open_what_no_event_says() {
    let mut fold = Fold::new(OrderType::Limit);
    let mut terms =
        OrderTerms { display_lots: 2, trigger_price_ticks: 90, trigger: 1, ..OrderTerms::default() };
    let order = OrderAccepted {
        order_id: OrderId(9 << 24),
        account: ALICE,
        instrument: 1,
        client_order_id: ClientOrderId::from_text(b"i").unwrap(),
        ..OrderAccepted::default()
    };
    fold.one(&ExtendedOrderAccepted { order, terms, ..ExtendedOrderAccepted::default() });
    let special = |fold: &Fold| {
        let order = fold.orders.by_id(0, OrderId(9 << 24)).unwrap();
        fold.orders.special(order).unwrap().terms
    };
    let replaced = OrderReplaced { order_id: OrderId(9 << 24), kept_priority: 1, ..OrderReplaced::default() };
    fold.one(&replaced);
    assert_eq!(special(&fold), terms, "it has kept its place: nothing of that has changed");
    fold.one(&OrderReplaced { kept_priority: 0, ..replaced });
    (terms.display_lots, terms.trigger_price_ticks) = (0, 0);
    assert_eq!(special(&fold), terms);
    fold.apply(&OrderShown { order_id: OrderId(9 << 24), shown_lots: 3, ..OrderShown::default() });
    terms.display_lots = 3;
    assert_eq!(special(&fold), terms, "the first slice shows how much is shown");
    fold.apply(&OrderShown { order_id: OrderId(9 << 24), shown_lots: 1, ..OrderShown::default() });
    assert_eq!(special(&fold), terms, "the last slice may be smaller");
}
