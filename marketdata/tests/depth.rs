//! The projection against the exchange's own books, command by command.

mod support;

use std::time::Instant;

use marketdata::{DepthBook, render_lines};
use protocol::{AccountId, NewOrder, Side};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use support::{Market, fold};

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
