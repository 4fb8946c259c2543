//! The fast book against the naive one: the same random operations, the same callbacks, levels and queues.

use orderbook::{
    Book, Execution, Filled, MatchSink, NaiveBook, Order, OrderBook, OrderTable, PriceLevel, Reserve, Stop,
    Taker, order_flags,
};
use protocol::{
    AccountId, CreateInstrument, MAX_PRICE_TICKS, NewOrder, OrderId, PriceTicks, QuantityLots,
    SelfTradePrevention, Side,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What a callback was about.
#[derive(Clone, Copy, Debug, PartialEq)]
enum About {
    Fill,
    Refill,
    Decrement,
    Canceled,
}

/// Callbacks as they came: maker, its leaves and filled quantity, the quantity and the reserve told.
#[derive(Default, Debug, PartialEq)]
struct Heard(Vec<(About, OrderId, QuantityLots, QuantityLots, QuantityLots, QuantityLots)>);

impl Heard {
    fn hear(&mut self, about: About, maker: &Order, quantity_lots: QuantityLots, reserve_lots: QuantityLots) {
        let Order { order_id, leaves_lots, filled_lots, .. } = *maker;
        self.0.push((about, order_id, leaves_lots, filled_lots, quantity_lots, reserve_lots));
    }

    /// Sum of the quantities of one kind of callback.
    fn sum(&self, about: About) -> QuantityLots {
        self.0.iter().filter(|heard| heard.0 == about).map(|heard| heard.4).sum()
    }
}

impl MatchSink for Heard {
    fn on_fill(&mut self, maker: &mut Order, quantity_lots: QuantityLots, reserve_lots: QuantityLots) {
        maker.user += 1;
        self.hear(About::Fill, maker, quantity_lots, reserve_lots);
    }

    fn on_refill(&mut self, maker: &Order, reserve_lots: QuantityLots) {
        self.hear(About::Refill, maker, 0, reserve_lots);
    }

    fn on_decrement(&mut self, maker: &mut Order, quantity_lots: QuantityLots, reserve_lots: QuantityLots) {
        maker.user += 1;
        self.hear(About::Decrement, maker, quantity_lots, reserve_lots);
    }

    fn on_self_trade_canceled(&mut self, maker: &Order, reserve_lots: QuantityLots) {
        self.hear(About::Canceled, maker, 0, reserve_lots);
    }
}

/// One book and its table.
struct Desk<B> {
    book: B,
    table: OrderTable,
    heard: Heard,
}

/// A resting order: slot, id, what it shows, what it has traded, what is behind it.
type Queued = (u32, OrderId, QuantityLots, QuantityLots, Reserve);

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
    /// A new order, perhaps with a reserve; matched first in continuous trading, just put there in a call phase.
    Enter {
        new_order: NewOrder,
        taker: Taker,
        reserve: Option<Reserve>,
        call: bool,
    },
    Fill(u32, QuantityLots),
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

fn reserve(rng: &mut SmallRng) -> Reserve {
    let least_lots = rng.random_range(1..12);
    Reserve {
        lots: rng.random_range(0..60),
        least_lots,
        most_lots: least_lots + rng.random_range(0..6),
        random: rng.random(),
    }
}

/// What is drawn besides prices.
#[derive(Clone, Copy)]
struct Mood {
    /// Orders are gathered without matching.
    call: bool,
    /// One order in so many is an iceberg; 0 for none.
    icebergs: u32,
}

impl Mood {
    fn random(rng: &mut SmallRng) -> Self {
        Self { call: rng.random_range(0..5) == 0, icebergs: [0, 0, 2, 10, 100][rng.random_range(0..5)] }
    }
}

fn operation(rng: &mut SmallRng, regime: &mut Regime, mood: Mood, table: &OrderTable) -> Operation {
    let full = table.next_slot().is_none();
    let kind = rng.random_range(if full { 4 } else { 0 }..14);
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
        (12..=13, Some(slot)) => {
            let leaves_lots = table.get(slot).expect("live").leaves_lots;
            let all = rng.random_range(0..2) == 0;
            Operation::Fill(slot, if all { leaves_lots } else { rng.random_range(1..=leaves_lots) })
        }
        (10..=11, _) => {
            let side = side(rng);
            Operation::Ask(taker(rng, regime, side))
        }
        _ => {
            let side = side(rng);
            let mut taker = taker(rng, regime, side);
            if mood.call {
                taker.limit = taker.limit.or_else(|| Some(regime.price(rng, side)));
            }
            let new_order = NewOrder {
                price_ticks: taker.limit.unwrap_or(0),
                quantity_lots: taker.quantity_lots,
                account: taker.account,
                side: side.code(),
                ..NewOrder::default()
            };
            let iceberg = mood.icebergs > 0 && rng.random_range(0..mood.icebergs) == 0;
            let reserve = iceberg.then(|| reserve(rng));
            Operation::Enter { new_order, taker, reserve, call: mood.call }
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
            Operation::Enter { new_order, taker, reserve, call } => {
                let slot = self.table.next_slot().expect("not full");
                let mut order = Order::new(OrderId::new(sequence, slot), new_order, 0, 0);
                if let Some(reserve) = *reserve {
                    order.flags = order_flags::RESERVE;
                    self.table.set_reserve(slot, reserve);
                }
                self.table.insert(order);
                if *call {
                    self.book.rest(&mut self.table, slot);
                    String::new()
                } else {
                    self.meet(slot, taker)
                }
            }
            Operation::Fill(slot, quantity_lots) => {
                let filled = self.book.fill(&mut self.table, *slot, *quantity_lots);
                if filled == Filled::Gone {
                    self.table.remove(*slot);
                }
                format!("{filled:?}")
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
                let cost = self.book.cost(&self.table, taker.side, taker.quantity_lots, taker.max_fills);
                let available_lots = self.book.available(&self.table, taker, taker.quantity_lots);
                let offers: Vec<_> = self.book.offers(&self.table, taker.side).collect();
                format!("{cost:?} {available_lots} {offers:?}")
            }
        };
        format!("{seen} {:?}", std::mem::take(&mut self.heard))
    }

    /// Matches and rests, as an exchange does.
    fn meet(&mut self, slot: u32, taker: &Taker) -> String {
        let wanted_lots = taker.quantity_lots;
        let available_lots = self.book.available(&self.table, taker, wanted_lots);
        let plain = self.table.iter().all(|(_, order)| order.flags == 0);
        let execution = self.book.execute(&mut self.table, taker, &mut self.heard);
        let Execution { remaining_lots, stop } = execution;
        let (filled_lots, lost_lots) = (self.heard.sum(About::Fill), self.heard.sum(About::Decrement));
        assert!(filled_lots >= available_lots, "what is available is filled");
        if plain && taker.self_trade_prevention != SelfTradePrevention::DecrementAndCancel {
            assert_eq!(filled_lots, available_lots, "among plain orders it is all that is filled");
        }
        assert_eq!(filled_lots + lost_lots + remaining_lots, wanted_lots);
        assert_eq!(stop == Stop::Done, remaining_lots == 0);
        if taker.limit.is_some() && matches!(stop, Stop::NoLiquidity | Stop::LimitPrice) {
            self.table.get_mut(slot).expect("live").leaves_lots = remaining_lots;
            self.book.rest(&mut self.table, slot);
        } else {
            self.table.remove(slot);
        }
        format!("{execution:?}")
    }

    /// All levels of a side, each with its queue: slots, and what they show and have behind it.
    fn levels(&self, side: Side) -> Vec<(PriceLevel, Vec<Queued>)> {
        let levels = self.book.levels(&self.table, side);
        let with_queue = levels.map(|level| {
            let queue = self.book.queue(&self.table, side, level.price_ticks);
            let described = queue.map(|slot| {
                let order = self.table.get(slot).expect("a queue names live orders");
                (slot, order.order_id, order.leaves_lots, order.filled_lots, self.table.reserve(slot))
            });
            assert_eq!(self.book.level(&self.table, side, level.price_ticks), Some(level));
            let below = self.book.level(&self.table, side, level.price_ticks - 1);
            assert!(below.is_none_or(|below| below.price_ticks == level.price_ticks - 1));
            (level, described.collect())
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
    let (mut regime, mut mood) = (Regime::random(&mut rng), Mood::random(&mut rng));
    for step in 1..=operations {
        if rng.random_range(0..500) == 0 {
            regime = Regime::random(&mut rng);
            mood = Mood::random(&mut rng);
        }
        let operation = operation(&mut rng, &mut regime, mood, &naive.table);
        let (did, should) = (fast.apply(step, &operation), naive.apply(step, &operation));
        assert_eq!(did, should, "step {step}: {operation:?}");
        assert_eq!(fast.table.next_slot(), naive.table.next_slot(), "step {step}: {operation:?}");
        assert_eq!(fast.book.is_crossed(), naive.book.is_crossed(), "step {step}: {operation:?}");
        for side in [Side::Buy, Side::Sell] {
            assert_eq!(fast.book.front(side), naive.book.front(side), "step {step}: {operation:?}");
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
