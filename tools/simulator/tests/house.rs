//! House traders against the exchange.

mod support;

use exchange::Exchange;
use machine::{Body, Projection, Source};
use marketdata::DepthBook;
use protocol::{
    AccountId, CreateAccount, CreateAsset, CreateInstrument, Deposit, Limits, Name, NewOrder, OrderType,
    RejectReason, Rejected, Side, TimeInForce,
};
use simulator::Venue;
use simulator::house::{House, HouseCommand, HouseConfig, HouseInstrument};
use support::inline::Inline;

const MAKERS: [AccountId; 2] = [AccountId(2), AccountId(3)];
const TAKERS: [AccountId; 2] = [AccountId(4), AccountId(5)];
const GUEST: AccountId = AccountId(6);
const LEVELS: usize = 5;
const INSTRUMENTS: u32 = 3;
/// Both makers, both sides.
const MOST_ORDERS: usize = 2 * 2 * LEVELS * INSTRUMENTS as usize;

fn config(seed: u64) -> HouseConfig {
    let instrument = |instrument| HouseInstrument {
        instrument,
        fair_ticks: 10_000 * i64::from(instrument),
        step_ticks: 5,
        quantity_lots: 20,
    };
    HouseConfig {
        seed,
        source: Source { gateway: 7, session: 3 },
        makers: MAKERS.to_vec(),
        takers: TAKERS.to_vec(),
        levels: LEVELS,
        quote_interval_ns: 200,
        take_interval_ns: 100,
        instruments: (1..=INSTRUMENTS).map(instrument).collect(),
    }
}

struct Market {
    venue: Inline<Exchange>,
    depth: DepthBook,
    now_ns: u64,
    commands: Vec<HouseCommand>,
    rejects: u32,
}

fn send<B: Body>(venue: &mut impl Venue, body: B) {
    assert!(venue.send(B::KIND, body.as_bytes()).expect("runs"));
}

impl Market {
    fn new() -> Self {
        let limits = Limits::default();
        let exchange = Exchange::new(limits).expect("limits in range");
        let mut venue = Inline::new(exchange, usize::MAX, usize::MAX);
        let name = Name::from_text("X").expect("a name");
        let accounts = MAKERS.into_iter().chain(TAKERS).chain([GUEST]);
        for account in accounts.clone() {
            send(&mut venue, CreateAccount { account, name, ..CreateAccount::default() });
        }
        for asset in 1..=INSTRUMENTS + 1 {
            send(&mut venue, CreateAsset { asset, name, ..CreateAsset::default() });
            for account in accounts.clone() {
                send(&mut venue, Deposit { amount_minor: 1 << 50, account, asset, ..Deposit::default() });
            }
        }
        for instrument in 1..=INSTRUMENTS {
            send(
                &mut venue,
                CreateInstrument {
                    quote_minor_per_tick_lot: 1,
                    base_minor_per_lot: 1,
                    instrument,
                    base_asset: instrument + 1,
                    quote_asset: 1,
                    name,
                    ..CreateInstrument::default()
                },
            );
        }
        let depth = DepthBook::new(&limits, 8);
        Self { venue, depth, now_ns: 0, commands: Vec::new(), rejects: 0 }
    }

    fn poll(&mut self, house: &mut House) {
        let Self { venue, depth, rejects, .. } = self;
        let handled = venue.poll(&mut |event| {
            depth.apply(event);
            house.on_event(event);
            let reason = event.body_as::<Rejected>().map(|body| body.reason);
            *rejects += u32::from(reason.is_some_and(|reason| reason != RejectReason::UnknownOrder.code()));
        });
        handled.expect("runs");
    }

    fn run(&mut self, house: &mut House, rounds: u32) {
        for _ in 0..rounds {
            self.poll(house);
            self.now_ns += 50;
            let Self { venue, commands, .. } = self;
            house.on_timer(self.now_ns, &mut |command| {
                commands.push(*command);
                venue.send(command.kind(), command.body()).expect("runs")
            });
            self.poll(house);
            assert!(house.live_orders() <= MOST_ORDERS, "{} orders", house.live_orders());
            assert_eq!(self.depth.live_orders(), house.live_orders(), "the house knows its orders");
            for (order_id, quote) in house.orders() {
                let order = self.depth.order(order_id).expect("rests");
                let known = (quote.account, quote.price_ticks, quote.leaves_lots);
                assert_eq!(known, (order.account, order.price_ticks, order.leaves_lots));
            }
        }
    }

    fn levels(&self, instrument: u32, side: Side) -> usize {
        self.depth.book(instrument).map_or(0, |book| book.levels(side).count())
    }
}

#[test]
fn the_books_live_within_bounds_and_equal_seeds_give_equal_commands() {
    let run = |seed| {
        let (mut market, mut house) = (Market::new(), House::new(config(seed)));
        market.run(&mut house, 4_000);
        for instrument in 1..=INSTRUMENTS {
            let book = market.depth.book(instrument).expect("exists");
            assert!(market.levels(instrument, Side::Buy) >= LEVELS, "bids of {instrument}");
            assert!(market.levels(instrument, Side::Sell) >= LEVELS, "asks of {instrument}");
            assert!(book.trade_count() > 100, "trades of {instrument}");
            assert!(book.high() > book.low(), "the price of {instrument} moves");
        }
        assert_eq!((market.rejects, market.depth.inconsistent_events()), (0, 0));
        market.commands
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_restarted_house_adopts_its_orders_from_the_events() {
    let (mut market, mut first) = (Market::new(), House::new(config(1)));
    let mut second = House::new(config(9));
    for _ in 0..200 {
        market.now_ns += 50;
        let venue = &mut market.venue;
        first.on_timer(market.now_ns, &mut |command| {
            venue.send(command.kind(), command.body()).expect("runs")
        });
        let (one, two, depth) = (&mut first, &mut second, &mut market.depth);
        let handled = market.venue.poll(&mut |event| {
            one.on_event(event);
            two.on_event(event);
            depth.apply(event);
        });
        handled.expect("runs");
    }
    assert!(first.live_orders() > 0);
    assert_eq!(second.live_orders(), first.live_orders());
    let before = market.depth.book(1).expect("exists").trade_count();
    market.run(&mut second, 500);
    assert_eq!(market.rejects, 0);
    assert!(market.depth.book(1).expect("exists").trade_count() > before + 10);
    for instrument in 1..=INSTRUMENTS {
        assert!(
            market.levels(instrument, Side::Buy) >= LEVELS && market.levels(instrument, Side::Sell) >= LEVELS
        );
    }
}

#[test]
fn a_guest_who_sweeps_the_book_is_quoted_against_again_and_a_full_ring_is_no_harm() {
    let (mut market, mut house) = (Market::new(), House::new(config(3)));
    market.run(&mut house, 100);
    send(
        &mut market.venue,
        NewOrder {
            price_ticks: 1_000_000,
            quantity_lots: 1_000_000,
            account: GUEST,
            instrument: 1,
            side: Side::Buy.code(),
            order_type: OrderType::Limit.code(),
            time_in_force: TimeInForce::ImmediateOrCancel.code(),
            ..NewOrder::default()
        },
    );
    market.poll(&mut house);
    assert_eq!(market.levels(1, Side::Sell), 0);
    for _ in 0..10 {
        market.now_ns += 1_000;
        house.on_timer(market.now_ns, &mut |_| false);
    }
    market.run(&mut house, 100);
    assert!(market.levels(1, Side::Sell) >= LEVELS);
}
