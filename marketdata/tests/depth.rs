//! The projection against the exchange's own books, command by command.

use std::time::Instant;

use exchange::Exchange;
use machine::{
    Body, EventBuffer, HEADER_LENGTH, Projection, Record, RecordHeader, StateMachine, step, stride,
};
use marketdata::{DepthBook, render_lines};
use protocol::{
    AccountId, AdvanceTime, CancelOrder, CreateAccount, CreateAsset, CreateInstrument, Deposit, EndDay,
    Limits, Name, NewExtendedOrder, NewOrder, OrderId, OrderTerms, ReplaceOrder, SetPhase, Side, term_flags,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use zerocopy::IntoBytes;

struct Market {
    exchange: Exchange,
    events: EventBuffer,
    sequence: u64,
    /// All event bytes, for a second reading.
    all: Vec<u64>,
}

impl Market {
    fn new() -> Self {
        let limits = Limits { fills_per_command: 7, orders: 400, ..Limits::default() };
        let exchange = Exchange::new(limits).expect("limits in range");
        let events = EventBuffer::with_capacity(exchange.max_event_bytes());
        let mut market = Self { exchange, events, sequence: 0, all: Vec::new() };
        let name = |text: &str| Name::from_text(text).expect("a name");
        for (asset, text, scale) in [(1, "USD", 4), (2, "BTC", 8), (3, "ETH", 6)] {
            market.send(&CreateAsset { asset, scale, name: name(text), ..CreateAsset::default() });
        }
        for (instrument, text) in [(1, "BTC/USD"), (2, "ETH/USD")] {
            market.send(&CreateInstrument {
                quote_minor_per_tick_lot: 1,
                base_minor_per_lot: 100,
                instrument,
                base_asset: instrument + 1,
                quote_asset: 1,
                maker_fee_ppm: 100,
                taker_fee_ppm: 200,
                name: name(text),
                ..CreateInstrument::default()
            });
        }
        for account in [2, 3, 4].map(AccountId) {
            market.send(&CreateAccount { account, name: name("X"), ..CreateAccount::default() });
            for asset in [1, 2, 3] {
                market.send(&Deposit { amount_minor: 50_000_000_000, account, asset, ..Deposit::default() });
            }
        }
        market
    }

    fn send<B: Body>(&mut self, body: &B) {
        self.sequence += 1;
        let header = RecordHeader {
            length: (HEADER_LENGTH + size_of::<B>()) as u32,
            sequence: self.sequence,
            timestamp_ns: self.sequence * 1_000_000,
            kind: B::KIND,
            schema_version: 1,
            ..RecordHeader::default()
        };
        self.events.clear();
        step(&mut self.exchange, Record::from_parts(&header, body.as_bytes()), &mut self.events);
        let start = self.all.len();
        self.all.resize(start + self.events.bytes().len() / 8, 0);
        self.all[start..].as_mut_bytes().copy_from_slice(self.events.bytes());
    }

    fn random_command(&mut self, random: &mut SmallRng) {
        let (account, instrument) = (AccountId(random.random_range(2..5)), random.random_range(1..3));
        let (price_ticks, quantity_lots) = (random.random_range(95..106), random.random_range(1..50));
        let live: Vec<OrderId> = [Side::Buy, Side::Sell]
            .into_iter()
            .flat_map(|side| self.exchange.orders(instrument, side).map(|order| order.order_id))
            .collect();
        let any = live.get(random.random_range(0..live.len().max(1))).copied().unwrap_or_default();
        let account = self.exchange.order(any).map_or(account, |order| order.account);
        match random.random_range(0..100) {
            0..60 => {
                let market = random.random_range(0..10) == 0;
                let forces = if market { [3, 3, 3, 4] } else { [0, 1, 3, 4] };
                self.send(&NewOrder {
                    price_ticks: if market { 0 } else { price_ticks },
                    quantity_lots,
                    account: AccountId(random.random_range(2..5)),
                    instrument,
                    side: random.random_range(1..3),
                    order_type: if market { 1 } else { 2 },
                    time_in_force: forces[random.random_range(0..4)],
                    self_trade_prevention: random.random_range(0..4),
                    ..NewOrder::default()
                });
            }
            60..75 => {
                self.send(&CancelOrder { order_id: any, account, instrument, ..CancelOrder::default() })
            }
            75..99 => self.send(&ReplaceOrder {
                order_id: any,
                price_ticks: self
                    .exchange
                    .order(any)
                    .filter(|_| random.random())
                    .map_or(price_ticks, |order| order.price_ticks),
                quantity_lots,
                account,
                instrument,
                ..ReplaceOrder::default()
            }),
            _ => self.send(&EndDay { instrument, reserved: 0 }),
        }
    }

    /// An order that is shown in part, hidden, all or none, a stop or pegged; a change of phase; or the time.
    fn special_command(&mut self, random: &mut SmallRng) {
        let instrument = random.random_range(1..3);
        if random.random_range(0..12) == 0 {
            let phase = [0, 0, 0, 2, 3, 6][random.random_range(0..6)];
            return self.send(&SetPhase { instrument, phase, ..SetPhase::default() });
        }
        if random.random_range(0..8) == 0 {
            return self.send(&AdvanceTime::default());
        }
        let price_ticks = random.random_range(95..106);
        let quantity_lots = random.random_range(1..90);
        let none = OrderTerms::default();
        let (order_type, terms) = match random.random_range(0..6) {
            0..2 => (2, OrderTerms { display_lots: 9, display_variation_lots: 3, ..none }),
            2 => (2, OrderTerms { flags: term_flags::HIDDEN, ..none }),
            3 => (2, OrderTerms { flags: term_flags::ALL_OR_NONE, ..none }),
            4 => (4, OrderTerms { trigger: 1, trigger_price_ticks: random.random_range(95..106), ..none }),
            _ => (80, OrderTerms { peg: random.random_range(1..4), ..none }),
        };
        let order = NewOrder {
            price_ticks,
            quantity_lots,
            account: AccountId(random.random_range(2..5)),
            instrument,
            side: random.random_range(1..3),
            order_type,
            time_in_force: 1,
            self_trade_prevention: random.random_range(0..5),
            ..NewOrder::default()
        };
        self.send(&NewExtendedOrder { order, terms });
    }

    fn assert_equal(&self, depth: &DepthBook) {
        let mut shown = 0;
        for instrument in [1, 2] {
            let book = depth.book(instrument).expect("exists");
            assert_eq!(book.phase().phase, self.exchange.phase(instrument));
            for side in [Side::Buy, Side::Sell] {
                let theirs = self.exchange.levels(instrument, side);
                let theirs = theirs.map(|level| (level.price_ticks, level.quantity_lots, level.orders));
                let ours =
                    book.levels(side).map(|level| (level.price_ticks, level.quantity_lots, level.orders));
                assert!(ours.eq(theirs), "levels of {instrument} after {}", self.sequence);
                let theirs = self.exchange.orders(instrument, side);
                let theirs = theirs.map(|order| {
                    shown += 1;
                    (order.order_id, order.price_ticks, order.leaves_lots - order.reserve_lots)
                });
                let ours = depth.orders(instrument, side);
                let ours = ours.map(|order| (order.order_id, order.price_ticks, order.leaves_lots));
                assert!(ours.eq(theirs), "orders of {instrument} after {}", self.sequence);
            }
        }
        assert_eq!(depth.live_orders(), shown);
        assert!(shown + depth.extended_orders() >= self.exchange.counts().orders as usize);
        assert_eq!(depth.inconsistent_events(), 0);
        assert_eq!(depth.applied_sequence(), self.sequence);
    }
}

fn fold(depth: &mut DepthBook, words: &[u64]) -> u64 {
    let (mut rest, mut events) = (words.as_bytes(), 0);
    while !rest.is_empty() {
        let record = Record::parse(rest).expect("whole records");
        depth.apply(record);
        rest = &rest[stride(record.header().length as usize)..];
        events += 1;
    }
    events
}

#[test]
fn depth_equals_the_exchanges_books_after_every_command() {
    for seed in 1..=4 {
        println!("seed {seed}");
        let mut random = SmallRng::seed_from_u64(seed);
        let mut market = Market::new();
        let mut depth = DepthBook::new(market.exchange.limits(), 16);
        let mut folded = 0;
        for _ in 0..4_000 {
            market.random_command(&mut random);
            fold(&mut depth, &market.all[folded..]);
            folded = market.all.len();
            market.assert_equal(&depth);
        }
        let trades: u64 = [1, 2].iter().filter_map(|&it| depth.book(it)).map(|book| book.trade_count()).sum();
        assert!(trades > 400, "{trades} trades");
        assert_eq!(trades, market.exchange.counts().trades);

        // Each event takes effect once: a second reading from the start changes nothing.
        fold(&mut depth, &market.all);
        market.assert_equal(&depth);
        assert_eq!(depth.book(1).map(|book| book.trades().count()), Some(16));
    }
}

#[test]
fn depth_equals_the_shown_books_among_orders_of_every_type() {
    for seed in 1..=4 {
        println!("seed {seed}");
        let mut random = SmallRng::seed_from_u64(seed);
        let mut market = Market::new();
        let mut depth = DepthBook::new(market.exchange.limits(), 16);
        let (mut folded, mut hidden, mut crossed) = (0, 0, 0);
        for _ in 0..4_000 {
            if random.random_range(0..3) == 0 {
                market.special_command(&mut random);
            } else {
                market.random_command(&mut random);
            }
            fold(&mut depth, &market.all[folded..]);
            folded = market.all.len();
            market.assert_equal(&depth);
            hidden += market.exchange.hidden(1, Side::Buy).count();
            let view = depth.snapshot(1, 1).expect("exists");
            crossed += usize::from(view.spread.starts_with('-'));
        }
        assert!(hidden > 1_000 && crossed > 50, "{hidden} hidden orders seen, {crossed} crossed books");
        let trades = [1, 2].iter().filter_map(|&it| depth.book(it)).map(|book| book.trade_count());
        assert_eq!(trades.sum::<u64>(), market.exchange.counts().trades);
    }
}

#[test]
fn a_snapshot_shows_decimals_and_lines_fit_their_screen() {
    let mut market = Market::new();
    let order = NewOrder {
        price_ticks: 100,
        quantity_lots: 30,
        account: AccountId(2),
        instrument: 1,
        side: 1,
        order_type: 2,
        time_in_force: 1,
        ..NewOrder::default()
    };
    market.send(&order);
    market.send(&NewOrder { price_ticks: 98, quantity_lots: 5, ..order });
    market.send(&NewOrder { price_ticks: 103, quantity_lots: 7, side: 2, ..order });
    market.send(&NewOrder { price_ticks: 100, quantity_lots: 10, account: AccountId(3), side: 2, ..order });
    let mut depth = DepthBook::new(market.exchange.limits(), 16);
    fold(&mut depth, &market.all);
    let view = depth.snapshot(1, 10).expect("exists");
    // A lot is 100 of 10^-8 coins, a tick one of 10^-4 dollars per lot: 100 dollars a coin.
    assert_eq!((view.name.as_str(), view.bids[0].price.as_str()), ("BTC/USD", "10000"));
    assert_eq!((view.bids[0].quantity.as_str(), view.bids[1].cumulative_lots), ("0.000020", 25));
    assert_eq!(
        (view.spread.as_str(), view.last.as_str(), view.volume.as_str()),
        ("300", "10000", "0.000010")
    );
    assert_eq!(view.trades[0].time, format!("00:00:00.{:03}", market.sequence));
    assert!(depth.snapshot(9, 10).is_none());

    let lines = render_lines(&view, 120, 30);
    assert_eq!(lines.len(), 4);
    assert!(lines[0].starts_with("BTC/USD  last 10000  spread 300"));
    assert!(lines[2].contains("10000 | 10300") && lines[2].contains("0.000010"), "{}", lines[2]);
    for (width, height) in [(0, 0), (1, 1), (10, 3), (80, 2), (200, 4)] {
        let lines = render_lines(&view, width, height);
        assert!(lines.len() <= height && lines.iter().all(|line| line.len() <= width));
    }
}

/// Prints the speed of folding; run it alone, in release.
#[test]
#[ignore = "measures"]
fn folding_is_measured() {
    let mut random = SmallRng::seed_from_u64(9);
    let mut market = Market::new();
    for _ in 0..20_000 {
        market.random_command(&mut random);
    }
    let mut best = f64::MAX;
    let mut events = 0;
    for _ in 0..5 {
        let mut depth = DepthBook::new(market.exchange.limits(), 16);
        let start = Instant::now();
        events = fold(&mut depth, &market.all);
        best = best.min(start.elapsed().as_secs_f64());
        market.assert_equal(&depth);
    }
    println!("{events} events, {:.1} million a second", events as f64 / best / 1e6);
}
