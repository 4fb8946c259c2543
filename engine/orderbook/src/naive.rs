//! The slow and obvious book: the oracle that the fast one is tested against.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::iter;
use protocol::{CreateInstrument, OrderId, PriceTicks, QuantityLots, SelfTradePrevention, Side};

use crate::book::{order_flags, within_limit};
use crate::{Book, Cost, Execution, Filled, MatchSink, OrderTable, PriceLevel, Reserve, Stop, Taker};

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

    /// The queues of a side with their prices, best first.
    fn queues(&self, side: Side) -> impl Iterator<Item = (PriceTicks, &VecDeque<u32>)> {
        let mut levels = self.side(side).iter();
        let best_first = iter::from_fn(move || match side {
            Side::Buy => levels.next_back(),
            Side::Sell => levels.next(),
        });
        best_first.map(|(&price_ticks, queue)| (price_ticks, queue))
    }

    /// What becomes of an order that shows nothing any more: the next slice from its reserve goes to the back of its
    /// price, or the order is unlinked.
    fn refill_or_unlink(&mut self, table: &mut OrderTable, slot: u32) -> Filled {
        let refills = has_reserve(table, slot) && table.reserve(slot).lots > 0;
        self.unlink(table, slot);
        if !refills {
            return Filled::Gone;
        }
        let mut reserve = table.reserve(slot);
        table.slots.entry_mut(slot).leaves_lots = reserve.take_slice();
        table.set_reserve(slot, reserve);
        self.rest(table, slot);
        Filled::Refilled
    }

    /// Ends what [`NaiveBook::execute`] did to a maker.
    fn after_fill<S: MatchSink>(&mut self, table: &mut OrderTable, slot: u32, sink: &mut S) {
        if table.slots.entry(slot).leaves_lots > 0 {
            return;
        }
        match self.refill_or_unlink(table, slot) {
            Filled::Refilled => sink.on_refill(table.slots.entry(slot), reserve_lots(table, slot)),
            _ => table.remove(slot),
        }
    }
}

fn has_reserve(table: &OrderTable, slot: u32) -> bool {
    table.slots.entry(slot).flags & order_flags::RESERVE != 0
}

fn reserve_lots(table: &OrderTable, slot: u32) -> QuantityLots {
    if has_reserve(table, slot) { table.reserve(slot).lots } else { 0 }
}

/// What reserves surely give of `wanted` lots within `fills_left`, and how many fills that takes; all of them if it is
/// `None` that stops. See [`Book::available`].
fn sure_of_reserves(reserves: &[Reserve], wanted: i128, fills_left: i128) -> (i128, Option<i128>) {
    let all: i128 = reserves.iter().map(|reserve| i128::from(reserve.lots)).sum();
    let Some(least) = reserves.iter().map(|reserve| i128::from(reserve.least_lots)).min() else {
        return (0, Some(0));
    };
    let rounded_up = |lots: i128, slice: i128| (lots + slice - 1) / slice;
    let slices = |reserve: &Reserve| rounded_up(reserve.lots.into(), reserve.least_lots.into());
    let number = reserves.len() as i128;
    let fills = reserves.iter().map(slices).sum::<i128>().min(number + rounded_up(wanted, least));
    if fills <= fills_left {
        return (all, Some(fills));
    }
    (all.min((fills_left - number).max(0) * least), None)
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

    fn front(&self, side: Side) -> Option<u32> {
        self.queues(side).next().and_then(|(_, queue)| queue.front().copied())
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
        assert!(leaves_lots >= 1, "an order that rests has something left");
        order.leaves_lots = leaves_lots;
    }

    fn fill(&mut self, table: &mut OrderTable, slot: u32, quantity_lots: QuantityLots) -> Filled {
        let order = table.slots.entry_mut(slot);
        assert!((1..=order.leaves_lots).contains(&quantity_lots), "a fill takes no more than is shown");
        order.leaves_lots -= quantity_lots;
        order.filled_lots += quantity_lots;
        if order.leaves_lots > 0 { Filled::Partly } else { self.refill_or_unlink(table, slot) }
    }

    fn execute<S: MatchSink>(&mut self, table: &mut OrderTable, taker: &Taker, sink: &mut S) -> Execution {
        let mut remaining_lots = taker.quantity_lots;
        let mut fills = 0;
        let stop = loop {
            if remaining_lots == 0 {
                break Stop::Done;
            }
            let Some(slot) = self.front(taker.side.opposite()) else { break Stop::NoLiquidity };
            let behind_lots = reserve_lots(table, slot);
            let maker = table.slots.entry_mut(slot);
            if !within_limit(taker, maker.price_ticks) {
                break Stop::LimitPrice;
            }
            if fills == taker.max_fills {
                break Stop::FillLimit;
            }
            fills += 1;
            let quantity_lots = remaining_lots.min(maker.leaves_lots);
            let own = maker.account == taker.account;
            match taker.self_trade_prevention {
                SelfTradePrevention::CancelNewest if own => break Stop::SelfTrade,
                SelfTradePrevention::CancelOldest | SelfTradePrevention::CancelBoth if own => {
                    sink.on_self_trade_canceled(maker, behind_lots);
                    self.unlink(table, slot);
                    table.remove(slot);
                    if taker.self_trade_prevention == SelfTradePrevention::CancelBoth {
                        break Stop::SelfTrade;
                    }
                    continue;
                }
                SelfTradePrevention::DecrementAndCancel if own => {
                    maker.leaves_lots -= quantity_lots;
                    sink.on_decrement(maker, quantity_lots, behind_lots);
                }
                _ => {
                    maker.leaves_lots -= quantity_lots;
                    maker.filled_lots += quantity_lots;
                    sink.on_fill(maker, quantity_lots, behind_lots);
                }
            }
            remaining_lots -= quantity_lots;
            self.after_fill(table, slot, sink);
        };
        Execution { remaining_lots, stop }
    }

    fn available(&self, table: &OrderTable, taker: &Taker, wanted_lots: QuantityLots) -> QuantityLots {
        let mode = taker.self_trade_prevention;
        let (mut lots, mut fills_left) = (0, i128::from(taker.max_fills));
        let own = |slot: u32| {
            mode != SelfTradePrevention::Allow && table.slots.entry(slot).account == taker.account
        };
        let skips_own = mode == SelfTradePrevention::CancelOldest;
        for (price_ticks, queue) in self.queues(taker.side.opposite()) {
            if !within_limit(taker, price_ticks) {
                break;
            }
            for &slot in queue {
                if lots >= wanted_lots || fills_left == 0 || own(slot) && !skips_own {
                    return lots.min(wanted_lots);
                }
                lots += if own(slot) { 0 } else { table.slots.entry(slot).leaves_lots };
                fills_left -= 1;
            }
            let behind = queue.iter().filter(|&&slot| !own(slot) && reserve_lots(table, slot) > 0);
            let reserves: Vec<Reserve> = behind.map(|&slot| table.reserve(slot)).collect();
            if lots >= wanted_lots {
                break;
            }
            let (sure_lots, fills) = sure_of_reserves(&reserves, (wanted_lots - lots).into(), fills_left);
            lots += sure_lots as i64;
            let Some(fills) = fills else { break };
            fills_left -= fills;
        }
        lots.min(wanted_lots)
    }

    fn cost(&self, table: &OrderTable, side: Side, quantity_lots: QuantityLots) -> Cost {
        let mut cost = Cost::default();
        for (price_ticks, queue) in self.queues(side.opposite()) {
            for &slot in queue {
                let offered_lots = table.slots.entry(slot).leaves_lots + reserve_lots(table, slot);
                let lots = offered_lots.min(quantity_lots - cost.available_lots);
                cost.available_lots += lots;
                cost.ticks_times_lots += i128::from(lots) * i128::from(price_ticks);
            }
        }
        cost
    }

    fn levels<'a>(&'a self, table: &'a OrderTable, side: Side) -> impl Iterator<Item = PriceLevel> + 'a {
        self.queues(side).map(|(price_ticks, queue)| PriceLevel {
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
