//! Books of orders beyond the plain one, and phases, from event streams written by hand.

use machine::{Context, EventBuffer, Projection};
use marketdata::{AuctionResult, DepthBook, render_lines};
use protocol::{
    AccountId, AssetCreated, AuctionIndicative, AuctionUncrossed, CreateInstrument, ExtendedOrderAccepted,
    FeeCharged, InstrumentCreated, Limits, Name, OrderAccepted, OrderCanceled, OrderDecremented, OrderId,
    OrderReplaced, OrderRepriced, OrderShown, OrderTriggered, Phase, PhaseChanged, Side, TimeAdvanced, Trade,
    TradeBusted,
};

use Side::{Buy, Sell};

struct Stream {
    depth: DepthBook,
    events: EventBuffer,
    sequence: u64,
    trades: u64,
}

/// What each order of a side shows, in the order of the queue: id, price, quantity.
type Queue = Vec<(u64, i64, i64)>;

impl Stream {
    fn new() -> Self {
        let depth = DepthBook::new(&Limits::default(), 8);
        let events = EventBuffer::with_capacity(4096);
        let mut stream = Self { depth, events, sequence: 0, trades: 0 };
        let name = |text| Name::from_text(text).expect("a name");
        stream.command(|it| {
            for (asset, text) in [(1, "USD"), (2, "BTC")] {
                it.events.push(&AssetCreated { asset, name: name(text), ..AssetCreated::default() });
            }
            it.events.push(&InstrumentCreated(CreateInstrument {
                quote_minor_per_tick_lot: 1,
                base_minor_per_lot: 1,
                instrument: 1,
                base_asset: 2,
                quote_asset: 1,
                name: name("BTC/USD"),
                ..CreateInstrument::default()
            }));
        });
        stream
    }

    /// Folds what `push` writes as the events of one command.
    fn command(&mut self, push: impl FnOnce(&mut Self)) {
        self.sequence += 1;
        self.events.clear();
        self.events.begin(&Context { sequence: self.sequence, ..Context::default() });
        push(self);
        self.events.finish();
        for record in self.events.records() {
            self.depth.apply(record);
        }
    }

    fn plain(&mut self, id: u64, side: Side, price_ticks: i64, quantity_lots: i64) {
        let (order_id, side) = (OrderId(id), side.code());
        self.events.push(&OrderAccepted {
            order_id,
            price_ticks,
            quantity_lots,
            account: AccountId(2),
            instrument: 1,
            side,
            ..OrderAccepted::default()
        });
    }

    fn extended(&mut self, id: u64, side: Side, price_ticks: i64, quantity_lots: i64) {
        let order = OrderAccepted {
            order_id: OrderId(id),
            price_ticks,
            quantity_lots,
            account: AccountId(3),
            instrument: 1,
            side: side.code(),
            ..OrderAccepted::default()
        };
        self.events.push(&ExtendedOrderAccepted { order, ..ExtendedOrderAccepted::default() });
    }

    fn shown(&mut self, id: u64, side: Side, price_ticks: i64, shown_lots: i64) {
        self.events.push(&OrderShown {
            order_id: OrderId(id),
            price_ticks,
            shown_lots,
            account: AccountId(3),
            instrument: 1,
            side: side.code(),
            ..OrderShown::default()
        });
    }

    fn triggered(&mut self, id: u64) {
        self.events.push(&OrderTriggered {
            order_id: OrderId(id),
            instrument: 1,
            ..OrderTriggered::default()
        });
    }

    fn canceled(&mut self, id: u64) {
        self.events.push(&OrderCanceled { order_id: OrderId(id), instrument: 1, ..OrderCanceled::default() });
    }

    /// Maker and taker with what is left of each.
    fn trade(&mut self, maker: (u64, i64), taker: (u64, i64), taker_side: Side, price_ticks: i64, lots: i64) {
        self.trades += 1;
        self.events.push(&Trade {
            trade_id: self.trades,
            maker_order_id: OrderId(maker.0),
            taker_order_id: OrderId(taker.0),
            price_ticks,
            quantity_lots: lots,
            maker_leaves_lots: maker.1,
            taker_leaves_lots: taker.1,
            instrument: 1,
            taker_side: taker_side.code(),
            auction: u8::from(self.depth.book(1).is_some_and(|it| it.phase().phase != Phase::Continuous)),
            ..Trade::default()
        });
    }

    fn phase(&mut self, phase: Phase, previous: Phase, until_ns: u64) {
        self.events.push(&PhaseChanged {
            until_ns,
            reference_price_ticks: 100,
            instrument: 1,
            phase: phase.code(),
            previous: previous.code(),
            ..PhaseChanged::default()
        });
    }

    fn queue(&self, side: Side) -> Queue {
        let orders = self.depth.orders(1, side);
        orders.map(|order| (order.order_id.0, order.price_ticks, order.leaves_lots)).collect()
    }

    /// Shown orders and levels agree, and no event was out of place.
    fn check(&self) {
        assert_eq!(self.depth.inconsistent_events(), 0);
        let book = self.depth.book(1).expect("exists");
        let mut orders = 0;
        for side in [Buy, Sell] {
            for level in book.levels(side) {
                let at = self.queue(side).into_iter().filter(|it| it.1 == level.price_ticks);
                let (count, lots) = at.fold((0, 0), |sum, it| (sum.0 + 1, sum.1 + it.2));
                assert_eq!((level.orders, level.quantity_lots), (count, lots));
                orders += count as usize;
            }
        }
        assert_eq!(self.depth.live_orders(), orders);
    }
}

#[test]
fn an_iceberg_shows_slices_and_loses_its_place_with_each() {
    let mut it = Stream::new();
    it.command(|it| {
        it.extended(1, Sell, 100, 30);
        it.shown(1, Sell, 100, 10);
    });
    it.command(|it| it.plain(2, Sell, 100, 7));
    assert_eq!(it.queue(Sell), [(1, 100, 10), (2, 100, 7)]);
    // A buy of 12 takes the slice and two of the order behind it; the next slice comes last.
    it.command(|it| {
        it.plain(3, Buy, 100, 12);
        it.trade((1, 20), (3, 2), Buy, 100, 10);
        it.shown(1, Sell, 100, 9);
        it.trade((2, 5), (3, 0), Buy, 100, 2);
    });
    it.check();
    assert_eq!(it.queue(Sell), [(2, 100, 5), (1, 100, 9)]);
    assert_eq!((it.queue(Buy), it.depth.extended_orders()), (vec![], 1));
    // Self-trade prevention takes 4 of what is shown; a replace takes the reserve first, then what is shown.
    let decremented = |lots, left| OrderDecremented {
        order_id: OrderId(1),
        quantity_lots: lots,
        leaves_lots: left,
        instrument: 1,
        ..OrderDecremented::default()
    };
    it.command(|it| it.events.push(&decremented(4, 16)));
    assert_eq!(it.queue(Sell), [(2, 100, 5), (1, 100, 5)]);
    let replaced = |leaves_lots, kept_priority| OrderReplaced {
        order_id: OrderId(1),
        price_ticks: 100,
        leaves_lots,
        instrument: 1,
        kept_priority,
        ..OrderReplaced::default()
    };
    it.command(|it| it.events.push(&replaced(6, 1)));
    assert_eq!(it.queue(Sell), [(2, 100, 5), (1, 100, 5)]);
    it.command(|it| it.events.push(&replaced(3, 1)));
    assert_eq!(it.queue(Sell), [(2, 100, 5), (1, 100, 3)]);
    it.command(|it| {
        it.events.push(&OrderReplaced { price_ticks: 101, ..replaced(12, 0) });
        it.shown(1, Sell, 101, 10);
    });
    assert_eq!(it.queue(Sell), [(2, 100, 5), (1, 101, 10)]);
    it.check();
    it.command(|it| it.canceled(1));
    assert_eq!((it.queue(Sell), it.depth.extended_orders()), (vec![(2, 100, 5)], 0));
    it.check();
}

#[test]
fn what_waits_or_is_hidden_never_appears() {
    let mut it = Stream::new();
    it.command(|it| it.extended(1, Sell, 100, 5));
    it.command(|it| it.extended(2, Sell, 90, 5));
    it.command(|it| it.plain(3, Sell, 101, 1));
    assert_eq!(it.queue(Sell), [(3, 101, 1)]);
    // The hidden order trades before the shown one, the pegged one moves, the stop comes in and is shown.
    it.command(|it| {
        it.plain(4, Buy, 101, 3);
        it.trade((1, 2), (4, 0), Buy, 100, 3);
        it.events.push(&FeeCharged { trade_id: 1, ..FeeCharged::default() });
        it.triggered(2);
        it.shown(2, Sell, 90, 5);
        it.events.push(&OrderRepriced { order_id: OrderId(1), instrument: 1, ..OrderRepriced::default() });
    });
    it.check();
    assert_eq!(it.queue(Sell), [(2, 90, 5), (3, 101, 1)]);
    assert_eq!(it.depth.extended_orders(), 2);
    it.command(|it| it.canceled(1));
    it.command(|it| it.canceled(2));
    it.check();
    assert_eq!((it.queue(Sell), it.depth.extended_orders()), (vec![(3, 101, 1)], 0));
}

#[test]
fn orders_of_one_command_rest_in_the_order_in_which_they_came() {
    let mut it = Stream::new();
    it.command(|it| it.extended(9, Sell, 95, 4));
    it.command(|it| it.plain(8, Buy, 90, 1));
    // Catch-up ends an order; then a batch: the first rests, the second takes, a stop meets the first, an order that
    // is not plain comes behind it at the same price, and a third plain order behind that.
    it.command(|it| {
        it.canceled(8);
        it.plain(1, Buy, 100, 6);
        it.trade((1, 4), (9, 2), Sell, 100, 2);
        it.canceled(9);
        it.extended(2, Buy, 100, 5);
        it.shown(2, Buy, 100, 5);
        it.plain(3, Buy, 100, 7);
        it.plain(4, Sell, 100, 5);
        it.trade((1, 0), (4, 1), Sell, 100, 4);
        it.trade((2, 4), (4, 0), Sell, 100, 1);
    });
    it.check();
    assert_eq!(it.queue(Buy), [(2, 100, 4), (3, 100, 7)]);
    assert_eq!(it.queue(Sell), []);
}

#[test]
fn an_auction_crosses_the_book_and_trades_resting_orders_with_each_other() {
    let mut it = Stream::new();
    it.command(|it| it.phase(Phase::OpeningAuction, Phase::Continuous, 77));
    it.command(|it| it.plain(1, Buy, 105, 10));
    it.command(|it| it.plain(2, Sell, 95, 4));
    it.command(|it| {
        it.extended(3, Sell, 95, 8);
        it.shown(3, Sell, 95, 5);
    });
    it.check();
    assert_eq!((it.queue(Buy), it.queue(Sell)), (vec![(1, 105, 10)], vec![(2, 95, 4), (3, 95, 5)]));
    it.command(|it| {
        it.events.push(&AuctionIndicative {
            price_ticks: 100,
            paired_lots: 10,
            imbalance_lots: -2,
            instrument: 1,
            ..AuctionIndicative::default()
        });
        it.events.push(&TimeAdvanced::default());
    });
    let book = it.depth.book(1).expect("exists");
    let result = AuctionResult { price_ticks: Some(100), paired_lots: 10, imbalance_lots: -2 };
    assert_eq!((book.indicative(), book.phase().until_ns), (Some(result), 77));
    let view = it.depth.snapshot(1, 5).expect("exists");
    assert_eq!(view.spread, "-10");
    let line = &render_lines(&view, 200, 5)[0];
    assert!(line.starts_with("BTC/USD [OpeningAuction 100 x 10 imbalance -2]  last -"), "{line}");

    it.command(|it| {
        it.events.push(&AuctionUncrossed {
            price_ticks: 100,
            paired_lots: 10,
            imbalance_lots: -2,
            instrument: 1,
            ..AuctionUncrossed::default()
        });
        it.trade((1, 6), (2, 0), Sell, 100, 4);
        it.trade((1, 1), (3, 3), Sell, 100, 5);
        it.shown(3, Sell, 95, 3);
        it.trade((1, 0), (3, 2), Sell, 100, 1);
        it.phase(Phase::Continuous, Phase::OpeningAuction, 0);
    });
    it.check();
    assert_eq!((it.queue(Buy), it.queue(Sell)), (vec![], vec![(3, 95, 2)]));
    let book = it.depth.book(1).expect("exists");
    assert_eq!((book.indicative(), book.uncrossed()), (None, Some(result)));
    assert_eq!((book.phase().phase, book.phase().reference_price_ticks), (Phase::Continuous, 100));
    assert!(book.trades().all(|trade| trade.auction && !trade.busted));
}

#[test]
fn a_busted_trade_stays_on_the_tape_with_a_mark() {
    let mut it = Stream::new();
    for id in [1, 2] {
        it.command(|it| it.plain(id, Sell, 100, 1));
        it.command(|it| {
            it.plain(id + 10, Buy, 100, 1);
            it.trade((id, 0), (id + 10, 0), Buy, 100, 1);
        });
    }
    let bust =
        |trade_id| TradeBusted { trade_id, instrument: 1, taker_side: Buy.code(), ..TradeBusted::default() };
    it.command(|it| it.events.push(&bust(1)));
    it.command(|it| it.events.push(&bust(99)));
    it.check();
    let book = it.depth.book(1).expect("exists");
    assert_eq!(book.trades().map(|trade| trade.busted).collect::<Vec<_>>(), [false, true]);
    assert_eq!((book.trade_count(), book.volume_lots()), (2, 2));
    let lines = render_lines(&it.depth.snapshot(1, 5).expect("exists"), 200, 9);
    assert!(lines[2].contains(" + ") && lines[3].contains(" x "), "{lines:?}");
}

#[test]
fn events_that_do_not_fit_are_counted() {
    let found = |push: fn(&mut Stream)| {
        let mut it = Stream::new();
        it.command(|it| {
            it.extended(1, Sell, 100, 5);
            it.shown(1, Sell, 100, 2);
        });
        it.command(push);
        it.depth.inconsistent_events()
    };
    assert_eq!(found(|it| it.canceled(1)), 0);
    assert_eq!(found(|it| it.canceled(2)), 1);
    assert_eq!(found(|it| it.shown(2, Sell, 100, 1)), 1);
    assert_eq!(found(|it| it.extended(1, Sell, 100, 1)), 1);
    // Shown twice; and more than is left.
    assert_eq!(found(|it| it.shown(1, Sell, 100, 2)), 1);
    assert_eq!(
        found(|it| {
            it.extended(2, Sell, 100, 5);
            it.shown(2, Sell, 100, 6);
        }),
        1
    );
    // More traded than was shown; and another quantity left than the event says.
    for (lots, left) in [(3, 2), (1, 3)] {
        let mut it = Stream::new();
        it.command(|it| {
            it.extended(1, Sell, 100, 5);
            it.shown(1, Sell, 100, 2);
        });
        it.command(|it| {
            it.plain(2, Buy, 100, lots);
            it.trade((1, left), (2, 0), Buy, 100, lots);
        });
        assert_eq!(it.depth.inconsistent_events(), 1, "{lots} of which {left} are left");
    }
}
