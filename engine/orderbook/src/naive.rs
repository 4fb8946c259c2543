//! The slow and obvious book: the oracle that the fast one is tested against.

use alloc::collections::{BTreeMap, VecDeque};
use core::iter;
use protocol::{CreateInstrument, OrderId, PriceTicks, QuantityLots, SelfTradePrevention, Side};

use crate::book::within_limit;
use crate::{Book, Cost, Execution, MatchSink, OrderTable, PriceLevel, Stop, Taker};

/// Slots in time order under each price.
type Levels = BTreeMap<PriceTicks, VecDeque<u32>>;

/// A sorted map of queues per side, and nothing cached.
#[derive(Default)]
pub struct NaiveBook {
    buys: Levels,
    sells: Levels,
}

impl NaiveBook {
    fn side(&self, side: Side) -> &Levels {
        match side {
            Side::Buy => &self.buys,
            Side::Sell => &self.sells,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut Levels {
        match side {
            Side::Buy => &mut self.buys,
            Side::Sell => &mut self.sells,
        }
    }

    /// The order that an incoming one meets first.
    fn front(&self, maker_side: Side) -> Option<u32> {
        let price_ticks = self.best(maker_side)?;
        self.side(maker_side).get(&price_ticks)?.front().copied()
    }

    /// All resting orders of a side, best first.
    fn slots(&self, side: Side) -> impl Iterator<Item = u32> {
        let mut levels = self.side(side).values();
        let best_first = iter::from_fn(move || match side {
            Side::Buy => levels.next_back(),
            Side::Sell => levels.next(),
        });
        best_first.flatten().copied()
    }
}

impl Book for NaiveBook {
    fn new(_instrument: &CreateInstrument) -> Self {
        Self::default()
    }

    fn best(&self, side: Side) -> Option<PriceTicks> {
        let entry = match side {
            Side::Buy => self.buys.last_key_value(),
            Side::Sell => self.sells.first_key_value(),
        };
        entry.map(|(&price_ticks, _)| price_ticks)
    }

    fn rest(&mut self, table: &mut OrderTable, slot: u32) {
        let order = table.slots.entry(slot);
        self.side_mut(order.side()).entry(order.price_ticks).or_default().push_back(slot);
    }

    fn unlink(&mut self, table: &mut OrderTable, slot: u32) {
        let order = table.slots.entry(slot);
        let levels = self.side_mut(order.side());
        let queue = levels.get_mut(&order.price_ticks).expect("a resting order has a level");
        let place = queue.iter().position(|&other| other == slot).expect("a resting order is in its queue");
        queue.remove(place);
        if queue.is_empty() {
            levels.remove(&order.price_ticks);
        }
    }

    fn reduce(&mut self, table: &mut OrderTable, slot: u32, leaves_lots: QuantityLots) {
        let order = table.slots.entry_mut(slot);
        assert!((1..=order.leaves_lots).contains(&leaves_lots), "reduce goes down and not to nothing");
        order.leaves_lots = leaves_lots;
    }

    fn execute<S: MatchSink>(&mut self, table: &mut OrderTable, taker: &Taker, sink: &mut S) -> Execution {
        let mut remaining_lots = taker.quantity_lots;
        let mut fills = 0;
        let stop = loop {
            if remaining_lots == 0 {
                break Stop::Done;
            }
            let Some(slot) = self.front(taker.side.opposite()) else { break Stop::NoLiquidity };
            let maker = table.slots.entry_mut(slot);
            if !within_limit(taker, maker.price_ticks) {
                break Stop::LimitPrice;
            }
            if fills == taker.max_fills {
                break Stop::FillLimit;
            }
            fills += 1;
            let prevention = taker.self_trade_prevention;
            if maker.account == taker.account && prevention != SelfTradePrevention::Allow {
                if prevention == SelfTradePrevention::CancelNewest {
                    break Stop::SelfTrade;
                }
                sink.on_self_trade_canceled(maker);
                self.unlink(table, slot);
                table.remove(slot);
                if prevention == SelfTradePrevention::CancelBoth {
                    break Stop::SelfTrade;
                }
                continue;
            }
            let quantity_lots = remaining_lots.min(maker.leaves_lots);
            maker.leaves_lots -= quantity_lots;
            maker.filled_lots += quantity_lots;
            remaining_lots -= quantity_lots;
            sink.on_fill(maker, quantity_lots);
            if maker.leaves_lots == 0 {
                self.unlink(table, slot);
                table.remove(slot);
            }
        };
        Execution { remaining_lots, stop }
    }

    fn fillable(&self, table: &OrderTable, taker: &Taker) -> bool {
        let mut remaining_lots = taker.quantity_lots;
        for slot in self.slots(taker.side.opposite()).take(taker.max_fills as usize) {
            let maker = table.slots.entry(slot);
            if remaining_lots <= 0 || !within_limit(taker, maker.price_ticks) {
                break;
            }
            let own = maker.account == taker.account;
            match taker.self_trade_prevention {
                SelfTradePrevention::CancelNewest | SelfTradePrevention::CancelBoth if own => return false,
                SelfTradePrevention::CancelOldest if own => {}
                _ => remaining_lots -= maker.leaves_lots,
            }
        }
        remaining_lots <= 0
    }

    fn cost(&self, table: &OrderTable, side: Side, quantity_lots: QuantityLots) -> Cost {
        let mut cost = Cost::default();
        for slot in self.slots(side.opposite()) {
            let maker = table.slots.entry(slot);
            let lots = maker.leaves_lots.min(quantity_lots - cost.available_lots);
            cost.available_lots += lots;
            cost.ticks_times_lots += i128::from(lots) * i128::from(maker.price_ticks);
        }
        cost
    }

    fn levels<'a>(&'a self, table: &'a OrderTable, side: Side) -> impl Iterator<Item = PriceLevel> + 'a {
        let mut levels = self.side(side).iter();
        let best_first = iter::from_fn(move || match side {
            Side::Buy => levels.next_back(),
            Side::Sell => levels.next(),
        });
        best_first.map(|(&price_ticks, queue)| PriceLevel {
            price_ticks,
            quantity_lots: queue.iter().map(|&slot| table.slots.entry(slot).leaves_lots).sum(),
            orders: queue.len() as u32,
        })
    }

    fn queue<'a>(
        &'a self,
        _table: &'a OrderTable,
        side: Side,
        price_ticks: PriceTicks,
    ) -> impl Iterator<Item = u32> + 'a {
        self.side(side).get(&price_ticks).into_iter().flatten().copied()
    }

    fn check_invariants(&self, table: &OrderTable) {
        if let (Some(buy), Some(sell)) = (self.best(Side::Buy), self.best(Side::Sell)) {
            assert!(buy < sell, "the book is crossed: buy {buy}, sell {sell}");
        }
        for side in [Side::Buy, Side::Sell] {
            for (&price_ticks, queue) in self.side(side) {
                assert!(!queue.is_empty(), "level {price_ticks} is empty");
                for &slot in queue {
                    let order = table.slots.entry(slot);
                    assert!(order.order_id != OrderId::NONE, "slot {slot} rests and is free");
                    assert_eq!((order.side(), order.price_ticks), (side, price_ticks), "slot {slot}");
                    assert!(order.leaves_lots > 0, "slot {slot} rests with nothing left");
                }
            }
        }
    }
}
