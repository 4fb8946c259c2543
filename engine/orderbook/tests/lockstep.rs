//! The fast book against the naive one: the same random operations, the same callbacks, levels and queues.

use orderbook::{Book, Execution, MatchSink, NaiveBook, Order, OrderBook, OrderTable, Stop, Taker};
use protocol::{
    AccountId, CreateInstrument, MAX_PRICE_TICKS, NewOrder, OrderId, PriceTicks, QuantityLots,
    SelfTradePrevention, Side,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Callbacks as they came.
#[derive(Default, Debug, PartialEq)]
struct Heard(Vec<(OrderId, QuantityLots, QuantityLots, QuantityLots)>);

impl MatchSink for Heard {
    fn on_fill(&mut self, maker: &mut Order, quantity_lots: QuantityLots) {
        maker.user += 1;
        self.0.push((maker.order_id, maker.leaves_lots, maker.filled_lots, quantity_lots));
    }

    fn on_self_trade_canceled(&mut self, maker: &Order) {
        self.0.push((maker.order_id, maker.leaves_lots, maker.filled_lots, -1));
    }
}

/// One book and its table.
struct Desk<B> {
    book: B,
    table: OrderTable,
    heard: Heard,
}

/// How prices are drawn.
#[derive(Clone, Copy, Debug)]
enum Regime {
    /// Around a centre that wanders by itself.
    Tight { centre: i64, width: i64 },
    /// On a coarse grid around a centre.
    Grid { centre: i64, step: i64, steps: i64 },
    /// Anywhere, each number of bits as likely as any other.
    Anywhere,
    /// Buys at the bottom, sells at the top.
    Apart,
}

impl Regime {
    fn random(rng: &mut SmallRng) -> Self {
        let bits = rng.random_range(1..40);
        let centre = rng.random_range(1i64 << bits >> 1..1 << bits);
        match rng.random_range(0..4) {
            0 => Self::Tight { centre, width: rng.random_range(1..6_000) },
            1 => Self::Grid { centre, step: rng.random_range(1..200), steps: rng.random_range(1..300) },
            2 => Self::Anywhere,
            _ => Self::Apart,
        }
    }

    fn price(&mut self, rng: &mut SmallRng, side: Side) -> PriceTicks {
        let price_ticks = match self {
            Self::Tight { centre, width } => {
                *centre += rng.random_range(-3..=3);
                *centre + rng.random_range(-*width..=*width)
            }
            Self::Grid { centre, step, steps } => *centre + *step * rng.random_range(-*steps..=*steps),
            Self::Anywhere => {
                let bits = rng.random_range(0..40);
                rng.random_range(1i64 << bits..2 << bits)
            }
            Self::Apart => {
                let far = rng.random_range(0..10_000);
                if side == Side::Buy { 1 + far } else { MAX_PRICE_TICKS - far }
            }
        };
        price_ticks.clamp(1, MAX_PRICE_TICKS)
    }
}

/// What is done to both books.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Enter(NewOrder, Taker),
    Cancel(u32),
    Reduce(u32, QuantityLots),
    Replace(u32, Taker),
    Ask(Taker),
}

fn side(rng: &mut SmallRng) -> Side {
    if rng.random() { Side::Buy } else { Side::Sell }
}

fn taker(rng: &mut SmallRng, regime: &mut Regime, side: Side) -> Taker {
    let prevention = SelfTradePrevention::ALL;
    let sweep = rng.random_range(0..40) == 0;
    Taker {
        account: AccountId(rng.random_range(2..6)),
        side,
        limit: (!sweep).then(|| regime.price(rng, side)),
        quantity_lots: if sweep { rng.random_range(1..2_000) } else { rng.random_range(1..30) },
        self_trade_prevention: prevention[rng.random_range(0..prevention.len())],
        max_fills: if rng.random_range(0..4) == 0 { rng.random_range(0..5) } else { 1_000 },
    }
}

fn live_slot(rng: &mut SmallRng, table: &OrderTable) -> Option<u32> {
    let nth = rng.random_range(0..table.len().max(1)) as usize;
    table.iter().nth(nth).map(|(slot, _)| slot)
}

fn operation(rng: &mut SmallRng, regime: &mut Regime, table: &OrderTable) -> Operation {
    let full = table.next_slot().is_none();
    let kind = rng.random_range(if full { 4 } else { 0 }..12);
    match (kind, live_slot(rng, table)) {
        (4..=5, Some(slot)) => Operation::Cancel(slot),
        (6, Some(slot)) => {
            let leaves_lots = table.get(slot).expect("live").leaves_lots;
            Operation::Reduce(slot, rng.random_range(1..=leaves_lots))
        }
        (7..=9, Some(slot)) => {
            let order = *table.get(slot).expect("live");
            let taker = taker(rng, regime, order.side());
            let limit = Some(taker.limit.unwrap_or(order.price_ticks));
            Operation::Replace(slot, Taker { limit, account: order.account, ..taker })
        }
        (10..=11, _) => {
            let side = side(rng);
            Operation::Ask(taker(rng, regime, side))
        }
        _ => {
            let side = side(rng);
            let taker = taker(rng, regime, side);
            let new_order = NewOrder {
                price_ticks: taker.limit.unwrap_or(0),
                quantity_lots: taker.quantity_lots,
                account: taker.account,
                side: side.code(),
                ..NewOrder::default()
            };
            Operation::Enter(new_order, taker)
        }
    }
}

impl<B: Book> Desk<B> {
    fn new(instrument: &CreateInstrument, orders: u32) -> Self {
        let table = OrderTable::with_capacity(orders);
        Self { book: B::new(instrument), table, heard: Heard::default() }
    }

    /// Does it and tells what can be seen of it.
    fn apply(&mut self, sequence: u64, operation: &Operation) -> String {
        let seen = match operation {
            Operation::Enter(new_order, taker) => {
                let slot = self.table.next_slot().expect("not full");
                let order = Order::new(OrderId::new(sequence, slot), new_order, 0, 0);
                self.table.insert(order);
                self.meet(slot, taker)
            }
            Operation::Cancel(slot) => {
                self.book.unlink(&mut self.table, *slot);
                self.table.remove(*slot);
                String::new()
            }
            Operation::Reduce(slot, leaves_lots) => {
                self.book.reduce(&mut self.table, *slot, *leaves_lots);
                String::new()
            }
            Operation::Replace(slot, taker) => {
                self.book.unlink(&mut self.table, *slot);
                let order = self.table.get_mut(*slot).expect("live");
                order.price_ticks = taker.limit.expect("a replace has a limit");
                self.meet(*slot, taker)
            }
            Operation::Ask(taker) => {
                let cost = self.book.cost(&self.table, taker.side, taker.quantity_lots);
                let fillable = self.book.fillable(&self.table, taker);
                format!("{cost:?} {fillable}")
            }
        };
        format!("{seen} {:?}", std::mem::take(&mut self.heard))
    }

    /// Matches and rests, as an exchange does.
    fn meet(&mut self, slot: u32, taker: &Taker) -> String {
        let fillable = self.book.fillable(&self.table, taker);
        let execution = self.book.execute(&mut self.table, taker, &mut self.heard);
        assert_eq!(fillable, execution.stop == Stop::Done, "fillable says what execute does");
        assert_eq!(execution.stop == Stop::Done, execution.remaining_lots == 0);
        let Execution { remaining_lots, stop } = execution;
        if taker.limit.is_some() && matches!(stop, Stop::NoLiquidity | Stop::LimitPrice) {
            self.table.get_mut(slot).expect("live").leaves_lots = remaining_lots;
            self.book.rest(&mut self.table, slot);
        } else {
            self.table.remove(slot);
        }
        format!("{execution:?}")
    }

    fn levels(&self, side: Side) -> Vec<(orderbook::PriceLevel, Vec<u32>)> {
        let levels = self.book.levels(&self.table, side);
        let with_queue = levels.map(|level| {
            let queue = self.book.queue(&self.table, side, level.price_ticks);
            (level, queue.collect())
        });
        with_queue.collect()
    }
}

/// Runs both books on the operations of one seed.
fn run(seed: u64, operations: u64) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let instrument = CreateInstrument {
        ladder_levels: [64, 64, 256, 4_096, 8_192][rng.random_range(0..5)],
        reference_price_ticks: [0, 5_000][rng.random_range(0..2)],
        ..CreateInstrument::default()
    };
    let orders = rng.random_range(10..300);
    let mut fast: Desk<OrderBook> = Desk::new(&instrument, orders);
    let mut naive: Desk<NaiveBook> = Desk::new(&instrument, orders);
    let mut regime = Regime::random(&mut rng);
    for step in 1..=operations {
        if rng.random_range(0..500) == 0 {
            regime = Regime::random(&mut rng);
        }
        let operation = operation(&mut rng, &mut regime, &naive.table);
        let (did, should) = (fast.apply(step, &operation), naive.apply(step, &operation));
        assert_eq!(did, should, "step {step}: {operation:?}");
        assert_eq!(fast.table.next_slot(), naive.table.next_slot(), "step {step}: {operation:?}");
        for side in [Side::Buy, Side::Sell] {
            assert_eq!(fast.book.best(side), naive.book.best(side), "step {step}: {operation:?}");
            assert_eq!(fast.levels(side), naive.levels(side), "step {step}: {operation:?}");
        }
        naive.book.check_invariants(&naive.table);
        if instrument.ladder_levels < 4_096 || step % 64 == 0 {
            fast.book.check_invariants(&fast.table);
        }
    }
}

fn run_and_name(seed: u64, operations: u64) {
    let outcome = catch_unwind(AssertUnwindSafe(|| run(seed, operations)));
    if let Err(panic) = outcome {
        eprintln!("the books differ for seed {seed}: add run_and_name({seed}, {operations}) to reproduce");
        resume_unwind(panic);
    }
}

#[test]
fn both_books_do_the_same_for_fixed_seeds() {
    for seed in 0..40 {
        run_and_name(seed, 3_000);
    }
}

#[test]
fn both_books_do_the_same_for_a_fresh_seed() {
    run_and_name(RandomState::new().build_hasher().finish(), 10_000);
}
