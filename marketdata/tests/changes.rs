//! Readers that apply only what each command changed have the exchange's shown books after every command.

mod support;

use marketdata::{ChangeAction, Changes, DepthBook, DepthLevel, InstrumentSeed, LevelStep, PhaseState, Seed};
use protocol::{InstrumentId, OrderId, SetInstrumentRules, Side};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use support::{Market, fold};

const SIDES: [Side; 2] = [Side::Buy, Side::Sell];
const DEPTHS: [usize; 5] = [1, 2, 3, 5, usize::MAX];

/// Keeps the best levels of one side, and finds each by its position.
#[derive(Default)]
struct Levels {
    levels: Vec<DepthLevel>,
}

impl Levels {
    fn take(&mut self, step: &LevelStep) {
        let at = step.position as usize - 1;
        match step.action {
            ChangeAction::New => self.levels.insert(at, step.level),
            ChangeAction::Change => {
                assert_eq!(self.levels[at].price_ticks, step.level.price_ticks);
                assert_ne!(self.levels[at], step.level, "a change that changes nothing");
                self.levels[at] = step.level;
            }
            ChangeAction::Delete => {
                assert_eq!(self.levels.remove(at).price_ticks, step.level.price_ticks);
            }
        }
    }
}

/// Keeps the orders of one instrument, each side's in the order in which they came, by price.
#[derive(Default)]
struct Orders {
    /// Side, rank of the price, id, shown quantity.
    orders: Vec<(Side, i64, OrderId, i64)>,
}

impl Orders {
    fn take(&mut self, changes: &Changes, instrument: InstrumentId) {
        for change in changes.orders(instrument) {
            let order = change.order;
            let rank = if order.side == Side::Buy { -order.price_ticks } else { order.price_ticks };
            let found = self.orders.iter().position(|it| it.2 == order.order_id);
            match (change.action, found) {
                (ChangeAction::New, None) => {
                    let behind = self.orders.partition_point(|it| (it.0, it.1) <= (order.side, rank));
                    let entry = (order.side, rank, order.order_id, order.leaves_lots);
                    self.orders.insert(behind, entry);
                }
                (ChangeAction::Change, Some(at)) => self.orders[at].3 = order.leaves_lots,
                (ChangeAction::Delete, Some(at)) => drop(self.orders.remove(at)),
                (action, found) => panic!("{action:?} of {order:?}, which is at {found:?}"),
            }
        }
    }
}

/// Readers of both instruments at every depth.
struct Readers {
    levels: Vec<(InstrumentId, Side, usize, Levels)>,
    orders: Vec<(InstrumentId, Orders)>,
    steps: Vec<LevelStep>,
    /// Steps taken in all.
    taken: usize,
    trades: u64,
}

impl Readers {
    fn new() -> Self {
        let mut levels = Vec::new();
        for instrument in [1, 2] {
            for side in SIDES {
                levels.extend(DEPTHS.map(|depth| (instrument, side, depth, Levels::default())));
            }
        }
        let orders = [1, 2].map(|instrument| (instrument, Orders::default())).into();
        Self { levels, orders, steps: Vec::new(), taken: 0, trades: 0 }
    }

    fn follow(&mut self, depth: &DepthBook) {
        let changes = depth.changes();
        let touched: Vec<_> = changes.instruments().map(|it| it.0).collect();
        for (instrument, side, limit, levels) in &mut self.levels {
            let prices = changes.prices(*instrument, *side);
            assert!(prices.is_empty() || touched.contains(instrument));
            let book = depth.book(*instrument).expect("exists");
            self.steps.clear();
            book.level_steps(*side, prices, *limit, &mut self.steps);
            self.steps.iter().for_each(|step| levels.take(step));
            self.taken += self.steps.len();
            let expected: Vec<DepthLevel> = book.levels(*side).take(*limit).collect();
            assert_eq!(levels.levels, expected, "the best {limit} of {instrument} {side:?}");
        }
        for (instrument, orders) in &mut self.orders {
            orders.take(changes, *instrument);
            let expected: Vec<_> = SIDES
                .into_iter()
                .flat_map(|side| depth.orders(*instrument, side))
                .map(|order| (order.side, order.order_id, order.leaves_lots))
                .collect();
            let ours: Vec<_> = orders.orders.iter().map(|it| (it.0, it.2, it.3)).collect();
            assert_eq!(ours, expected, "orders of {instrument}");
            self.trades += changes.trades(*instrument).count() as u64;
        }
    }
}

fn random_step(market: &mut Market, random: &mut SmallRng) {
    if random.random_range(0..3) == 0 {
        market.special_command(random);
    } else {
        market.random_command(random);
    }
}

#[test]
fn readers_of_every_depth_have_the_shown_book_after_every_command() {
    for seed in 11..=14 {
        println!("seed {seed}");
        let mut random = SmallRng::seed_from_u64(seed);
        let mut market = Market::new();
        let mut depth = DepthBook::new(market.exchange.limits(), 16);
        depth.record_changes(true);
        let (mut readers, mut folded) = (Readers::new(), 0);
        for _ in 0..4_000 {
            random_step(&mut market, &mut random);
            // Events of the stage's commands come first; readers look after each command.
            let words = market.all[folded..].to_vec();
            folded = market.all.len();
            support::each_command(&words, |command| {
                fold(&mut depth, command);
                if depth.book(2).is_some() {
                    readers.follow(&depth);
                }
            });
            market.assert_equal(&depth);
        }
        assert_eq!(readers.trades, market.exchange.counts().trades);
        assert!(readers.taken > 8_000, "{} steps", readers.taken);
    }
}

#[test]
fn what_comes_and_goes_within_a_command_is_not_told() {
    let mut random = SmallRng::seed_from_u64(5);
    let mut market = Market::new();
    let mut depth = DepthBook::new(market.exchange.limits(), 16);
    depth.record_changes(true);
    let (mut folded, mut nothing) = (0, 0);
    for _ in 0..2_000 {
        random_step(&mut market, &mut random);
        fold(&mut depth, &market.all[folded..]);
        folded = market.all.len();
        for instrument in [1, 2] {
            let mut ids: Vec<_> =
                depth.changes().orders(instrument).map(|it| (it.order.order_id, it.action as u8)).collect();
            let all = ids.len();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), all, "an order has at most one change of each kind");
            for change in SIDES.iter().flat_map(|&side| depth.changes().prices(instrument, side)) {
                assert_ne!(change.before, change.after);
            }
        }
        nothing += usize::from(depth.changes().is_empty());
    }
    assert!(nothing > 50, "{nothing} commands without a change");
    depth.record_changes(false);
    random_step(&mut market, &mut random);
    fold(&mut depth, &market.all[folded..]);
    assert!(depth.changes().is_empty(), "nobody wants them");
}

fn seed(market: &Market) -> DepthBook {
    let exchange = &market.exchange;
    let instruments = exchange.instruments().map(|created| {
        let instrument = created.instrument;
        let phase = PhaseState {
            phase: exchange.phase(instrument),
            until_ns: exchange.phase_until_ns(instrument),
            reference_price_ticks: exchange.reference_price_ticks(instrument),
        };
        let rules = exchange.rules(instrument).expect("exists");
        assert_eq!(rules, SetInstrumentRules { instrument, ..rules });
        let ticks = exchange.tick_table(instrument).expect("exists");
        InstrumentSeed { created: *created, phase, rules, ticks }
    });
    let shown = [1, 2].into_iter().flat_map(|instrument| SIDES.map(|side| (instrument, side)));
    let shown = shown.flat_map(|(instrument, side)| exchange.orders(instrument, side)).map(|order| {
        marketdata::OrderSeed {
            order_id: order.order_id,
            price_ticks: order.price_ticks,
            leaves_lots: order.leaves_lots - order.reserve_lots,
            account: order.account,
            instrument: order.instrument,
            side: Side::from_code(order.side).expect("a side"),
        }
    });
    let seed = Seed {
        sequence: exchange.applied_sequence(),
        assets: exchange.assets().copied().collect(),
        instruments: instruments.collect(),
        shown,
        extended: exchange.extended_orders(),
    };
    DepthBook::seed(exchange.limits(), 16, seed).expect("a state that can be")
}

#[test]
fn a_projection_seeded_from_the_machines_state_goes_on_like_one_that_saw_everything() {
    for seed_number in 21..=23 {
        println!("seed {seed_number}");
        let mut random = SmallRng::seed_from_u64(seed_number);
        let mut market = Market::new();
        let mut waiting = 0;
        for _ in 0..40 {
            let mut depth = seed(&market);
            market.assert_equal(&depth);
            waiting += depth.extended_orders();
            let mut folded = market.all.len();
            for _ in 0..random.random_range(1..120) {
                random_step(&mut market, &mut random);
                fold(&mut depth, &market.all[folded..]);
                folded = market.all.len();
                market.assert_equal(&depth);
            }
        }
        assert!(waiting > 200, "{waiting} orders that were not plain");
    }
}
