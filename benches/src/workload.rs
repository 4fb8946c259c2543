//! A stream of commands on one instrument, and a generator for it.
//!
//! The shape is that of the published single-pair test of exchange-core: about 1,000 resting orders on about 500
//! levels; 12.6 % new limit orders, 1.8 % immediate-or-cancel, 0.06 % fill-or-kill, 7.2 % cancels, 7.2 % reductions,
//! 71 % moves of the price by a hundredth of its distance to the last trade.

use orderbook::{Book, OrderBook};
use protocol::{CreateInstrument, PriceTicks, QuantityLots, Side};

use crate::book_driver::{Desk, Step};

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// New limit order, good till cancelled.
    Rest,
    /// New immediate-or-cancel order.
    ImmediateOrCancel,
    /// New fill-or-kill order.
    FillOrKill,
    /// Cancel.
    Cancel,
    /// Quantity down in place by `quantity_lots`; to nothing is a cancel.
    Reduce,
    /// Replace: new price, same leaves, at the end of the new price's queue.
    Move,
}

/// One command, before it is known which ids an engine will give the orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkloadCommand {
    /// What it does.
    pub action: Action,
    /// Side of the order.
    pub side: Side,
    /// Whose order; 1 and above.
    pub user: u32,
    /// Which order: a dense number from 0, given by the command that creates the order.
    pub order: u32,
    /// Limit price, or new price; 0 for a cancel or a reduction.
    pub price_ticks: PriceTicks,
    /// Quantity, or reduction; 0 for a cancel or a move.
    pub quantity_lots: QuantityLots,
}

/// A stream of commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// The commands.
    pub commands: Vec<WorkloadCommand>,
    /// How many of them only fill the book and are not timed.
    pub fill: usize,
    /// How many orders are created: `order` is below this.
    pub orders: u32,
    /// Fills over all commands, where known.
    pub trades: Option<u64>,
}

impl Workload {
    /// The same stream with all prices multiplied: the grid of a venue whose tick is finer than its price steps.
    #[must_use]
    pub fn with_prices_times(mut self, factor: i64) -> Self {
        self.commands.iter_mut().for_each(|command| command.price_ticks *= factor);
        self
    }
}

impl Workload {
    /// The same stream after somebody has spread `levels` sell orders, each at a price of its own, far above it.
    #[must_use]
    pub fn among_far_levels(mut self, levels: u32) -> Self {
        let far_order = |order: u32| {
            let price_ticks = (1 << 30) + i64::from(order) * 997;
            WorkloadCommand {
                action: Action::Rest,
                side: Side::Sell,
                user: 1,
                order,
                price_ticks,
                quantity_lots: 1,
            }
        };
        self.commands.iter_mut().for_each(|command| command.order += levels);
        self.commands.splice(0..0, (0..levels).map(far_order));
        self.fill += levels as usize;
        self.orders += levels;
        self
    }
}

/// What to generate.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Everything follows from it.
    pub seed: u64,
    /// Resting orders to aim at.
    pub resting: u32,
    /// Commands after the filling.
    pub commands: usize,
    /// Users; they are numbered from 1.
    pub users: u32,
    /// Where prices start.
    pub centre_ticks: PriceTicks,
    /// How far from the last trade new orders are at most.
    pub width_ticks: PriceTicks,
}

impl Shape {
    /// The shape of the published test, `commands` long.
    #[must_use]
    pub fn single_pair(seed: u64, commands: usize) -> Self {
        Self { seed, resting: 1_000, commands, users: 1_000, centre_ticks: 34_390, width_ticks: 1_719 }
    }
}

impl Shape {
    /// So wide that nearly every order has a level of its own: about 100,000 of them, far from the touch.
    #[must_use]
    pub fn wide(seed: u64, commands: usize) -> Self {
        Self {
            resting: 100_000,
            centre_ticks: 1 << 32,
            width_ticks: 1 << 30,
            ..Self::single_pair(seed, commands)
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers on every machine and with every library version.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `below - 1`; the bias is far below what a benchmark can see.
    pub(crate) fn below(&mut self, below: i64) -> i64 {
        ((u128::from(self.next()) * below as u128) >> 64) as i64
    }

    /// Product of three small numbers, so that most are small and few are large.
    pub(crate) fn quantity(&mut self) -> QuantityLots {
        1 + self.below(6) * self.below(6) * self.below(6)
    }
}

/// A resting order as the generator knows it.
struct Known {
    order: u32,
    user: u32,
    side: Side,
    price_ticks: PriceTicks,
}

struct Generator {
    shape: Shape,
    random: Random,
    desk: Desk<OrderBook>,
    resting: Vec<Known>,
    workload: Workload,
}

/// Generates a stream. The book itself plays it along, to know which orders still rest and where the last trade was.
#[must_use]
pub fn generate(shape: Shape) -> Workload {
    let book = OrderBook::new(&CreateInstrument::default());
    let desk = Desk::new(book, 4 * shape.resting + 1_000);
    let workload = Workload { fill: shape.resting as usize, ..Workload::default() };
    let mut generator =
        Generator { shape, random: Random::new(shape.seed), desk, resting: Vec::new(), workload };
    while generator.workload.commands.len() < shape.commands + shape.resting as usize {
        if let Some(command) = generator.draw() {
            generator.play(command);
        }
    }
    generator.workload.trades = Some(generator.desk.tally.trades);
    generator.workload
}

impl Generator {
    /// The next command, or `None` if the order drawn has ended since.
    fn draw(&mut self) -> Option<WorkloadCommand> {
        if self.workload.commands.len() < self.workload.fill {
            return Some(self.enter(Action::Rest));
        }
        let short = self.desk.table.len() < self.shape.resting;
        match self.random.below(10_000) {
            0..=1_439 if short => Some(self.enter(Action::Rest)),
            0..=1_439 => {
                let kill = self.random.below(31) == 0;
                Some(self.enter(if kill { Action::FillOrKill } else { Action::ImmediateOrCancel }))
            }
            1_440..=2_159 => self.touch(Action::Cancel),
            2_160..=2_879 => self.touch(Action::Reduce),
            _ => self.touch(Action::Move),
        }
    }

    fn enter(&mut self, action: Action) -> WorkloadCommand {
        let side = if self.random.below(2) == 0 { Side::Buy } else { Side::Sell };
        let last = self.desk.tally.last_price_ticks.unwrap_or(self.shape.centre_ticks);
        let width = self.shape.width_ticks;
        let away =
            (self.random.below(width) + self.random.below(width)) / 2 * self.random.below(width) / width;
        let sign = if side == Side::Buy { -1 } else { 1 };
        let price_ticks = match action {
            Action::Rest => last + sign * (1 + away),
            _ => self.shape.centre_ticks - sign * self.shape.width_ticks * 4,
        };
        WorkloadCommand {
            action,
            side,
            user: 1 + self.random.below(i64::from(self.shape.users)) as u32,
            order: self.workload.orders,
            price_ticks: price_ticks.max(1),
            quantity_lots: self.random.quantity(),
        }
    }

    fn touch(&mut self, action: Action) -> Option<WorkloadCommand> {
        // As in the published test only some of the orders are ever touched: these crowd towards the last trade.
        let choice = self.resting.len().clamp(1, 512);
        let nth = self.random.below(choice as i64) as usize;
        let known = self.resting.get_mut(nth)?;
        if self.desk.order_id(known.order).is_none() || action == Action::Cancel {
            let known = self.resting.swap_remove(nth);
            return self.desk.order_id(known.order).map(|_| command(action, &known, 0, 0));
        }
        if action == Action::Reduce {
            let quantity_lots = self.random.quantity();
            return Some(command(action, known, 0, quantity_lots));
        }
        let last = self.desk.tally.last_price_ticks.unwrap_or(self.shape.centre_ticks);
        let step = (last - known.price_ticks) / 100;
        known.price_ticks += if step == 0 { (last - known.price_ticks).signum() } else { step };
        Some(command(action, known, known.price_ticks, 0))
    }

    fn play(&mut self, command: WorkloadCommand) {
        if command.order == self.workload.orders {
            self.workload.orders += 1;
            if command.action == Action::Rest {
                let WorkloadCommand { order, user, side, price_ticks, .. } = command;
                self.resting.push(Known { order, user, side, price_ticks });
            }
        }
        let step: Step = self.desk.resolve(&command);
        self.desk.play(&step);
        self.workload.commands.push(command);
    }
}

fn command(action: Action, known: &Known, price_ticks: PriceTicks, quantity_lots: i64) -> WorkloadCommand {
    let &Known { order, user, side, .. } = known;
    WorkloadCommand { action, side, user, order, price_ticks, quantity_lots }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_shape_it_promises_and_follows_from_its_seed() {
        let shape = Shape::single_pair(1, 100_000);
        let workload = generate(shape);
        assert_eq!(workload, generate(shape));
        assert_ne!(workload, generate(Shape::single_pair(2, 100_000)));
        let timed = &workload.commands[workload.fill..];
        let per_mille = |action| timed.iter().filter(|it| it.action == action).count() / 100;
        assert!((100..=150).contains(&per_mille(Action::Rest)), "{}", per_mille(Action::Rest));
        assert!((5..=30).contains(&per_mille(Action::ImmediateOrCancel)));
        assert!((60..=85).contains(&per_mille(Action::Cancel)));
        assert!((60..=85).contains(&per_mille(Action::Reduce)));
        assert!((680..=740).contains(&per_mille(Action::Move)));

        let mut desk = Desk::new(OrderBook::new(&CreateInstrument::default()), 5_000);
        workload.commands.iter().for_each(|command| {
            let step = desk.resolve(command);
            desk.play(&step);
        });
        assert_eq!(Some(desk.tally.trades), workload.trades);
        assert!((900..=1_100).contains(&desk.table.len()), "{}", desk.table.len());
        let levels = desk.levels();
        assert!((350..=900).contains(&(levels.0 + levels.1)), "{levels:?}");
    }
}
