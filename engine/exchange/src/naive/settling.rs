//! What an instrument still has to do after something happened on it.

use alloc::vec::Vec;

use machine::EventBuffer;
use protocol::{
    CancelReason, ClientOrderId, InstrumentId, OrderId, OrderRepriced, OrderTriggered, OrderType, Phase,
    Side, TriggerSource,
};

use super::NaiveExchange;
use super::order::{LiveOrder, Place};
use super::terms::trailing_trigger;

impl NaiveExchange {
    /// Does one piece of the instrument's work; takes it off the instruments with work left if there is none.
    pub(crate) fn settle(&mut self, instrument: InstrumentId, events: &mut EventBuffer) {
        if !self.settle_one(instrument, events) {
            self.unsettled.retain(|&other| other != instrument);
        }
    }

    /// The first thing found of the list on the page. Whether there was one.
    fn settle_one(&mut self, instrument: InstrumentId, events: &mut EventBuffer) -> bool {
        let market = &self.markets[&instrument];
        if let Some(uncross) = market.uncross {
            self.go_on_uncrossing(instrument, uncross, events);
        } else if let Some(work) = self.market_mut(instrument).list_work.pop_front() {
            self.do_list_work(work, events);
        } else if let Some(slot) = self.next_for_the_close(instrument) {
            self.steps += 1;
            self.order_mut(slot).place = Place::Nowhere;
            self.say_triggered(slot, false, events);
            self.rest(slot, events);
        } else if self.markets[&instrument].phase != Phase::Continuous {
            return false;
        } else if let Some(slot) = self.next_stop(instrument) {
            self.trigger(slot, events);
        } else if let Some(slot) = self.next_peg(instrument) {
            self.reprice(slot, events);
        } else if let Some(slot) = self.next_all_or_none(instrument) {
            self.order_mut(slot).place = Place::Nowhere;
            self.match_or_rest(slot, events);
        } else {
            return false;
        }
        true
    }

    /// `OrderTriggered`.
    pub(crate) fn say_triggered(&self, slot: u32, waits: bool, events: &mut EventBuffer) {
        let order = &self.orders[&slot];
        events.push(&OrderTriggered {
            order_id: order.id,
            price_ticks: order.price,
            leaves_lots: order.leaves(),
            hold_minor: order.hold as i64,
            account: order.account,
            instrument: order.instrument,
            side: order.side.code(),
            waits: u8::from(waits),
            reserved: [0; 6],
        });
    }

    /// Slots of the orders of an instrument that something holds for, by id.
    fn slots_by_id(&self, instrument: InstrumentId, wanted: impl Fn(&LiveOrder) -> bool) -> Vec<u32> {
        let of_instrument = self.orders.values().filter(|order| order.instrument == instrument);
        let mut ids: Vec<OrderId> =
            of_instrument.filter(|order| wanted(order)).map(|order| order.id).collect();
        ids.sort_unstable();
        ids.into_iter().map(OrderId::slot).collect()
    }

    fn next_for_the_close(&self, instrument: InstrumentId) -> Option<u32> {
        let is_closing = self.markets[&instrument].phase == Phase::ClosingAuction;
        let waiting = self.slots_by_id(instrument, |order| order.place == Place::ForTheClose);
        waiting.first().copied().filter(|_| is_closing)
    }

    /// The stop to trigger now. If there is none, trailing stops follow, only the last trade counts from here on, and it
    /// is looked once more.
    fn next_stop(&mut self, instrument: InstrumentId) -> Option<u32> {
        if let Some(slot) = self.triggered_stop(instrument) {
            return Some(slot);
        }
        self.follow(instrument);
        let market = self.market_mut(instrument);
        market.trades = Some((market.last_trade, market.last_trade)).filter(|_| market.last_trade > 0);
        self.triggered_stop(instrument)
    }

    fn triggered_stop(&self, instrument: InstrumentId) -> Option<u32> {
        let trades = self.markets[&instrument].trades;
        let groups = [
            (TriggerSource::LastTrade, Side::Buy),
            (TriggerSource::LastTrade, Side::Sell),
            (TriggerSource::BestPrice, Side::Buy),
            (TriggerSource::BestPrice, Side::Sell),
        ];
        groups.into_iter().find_map(|(source, side)| {
            let best = self.best_shown(instrument, side.opposite());
            let price = match (source, side) {
                (TriggerSource::LastTrade, Side::Buy) => trades.map(|(_, high)| high),
                (TriggerSource::LastTrade, Side::Sell) => trades.map(|(low, _)| low),
                (TriggerSource::BestPrice, _) => best,
            }?;
            let is_met = |order: &&u32| {
                let trigger = self.orders[order].trigger;
                if side == Side::Buy { price >= trigger } else { price <= trigger }
            };
            let waiting = self.slots_by_id(instrument, |order| {
                order.waits_for_trigger() && order.side == side && order.terms.trigger == source.code()
            });
            let first = |slot: &&u32| {
                let order = &self.orders[slot];
                (if side == Side::Buy { order.trigger } else { -order.trigger }, order.clock())
            };
            waiting.iter().filter(is_met).min_by_key(first).copied()
        })
    }

    /// Trailing stops follow, by id: those that look at trades the one in their favour that counts, the others the best
    /// price now.
    fn follow(&mut self, instrument: InstrumentId) {
        let trades = self.markets[&instrument].trades;
        for slot in self.slots_by_id(instrument, |order| order.waits_for_trigger() && order.terms.trail != 0)
        {
            let order = self.orders[&slot].clone();
            let followed = match (order.terms.trigger == TriggerSource::LastTrade.code(), order.side) {
                (true, Side::Buy) => trades.map(|(low, _)| low),
                (true, Side::Sell) => trades.map(|(_, high)| high),
                (false, side) => self.best_shown(instrument, side.opposite()),
            };
            let Some(followed) = followed else { continue };
            let trigger = trailing_trigger(order.side, &order.terms, followed);
            let moves =
                if order.side == Side::Buy { trigger < order.trigger } else { trigger > order.trigger };
            if moves {
                let clock = self.tick();
                let order = self.order_mut(slot);
                (order.trigger, order.place) = (trigger, Place::Trigger(clock));
            }
        }
    }

    /// A stop is triggered; the limit order of its pair goes just before.
    fn trigger(&mut self, slot: u32, events: &mut EventBuffer) {
        self.steps += 1;
        self.order_mut(slot).place = Place::Nowhere;
        if let Some(other) = self.order_mut(slot).pair.take() {
            self.part_pair(other);
            if let Some(other) = self.slot_of(other) {
                self.cancel(other, CancelReason::OneCancelsOther, ClientOrderId::NONE, events);
            }
            let hold = self.need_of(&self.orders[&slot]);
            self.set_hold(slot, hold);
        }
        self.say_triggered(slot, false, events);
        self.match_or_rest(slot, events);
    }

    /// The pegged order in the book of the lowest id that is not at its target.
    fn next_peg(&self, instrument: InstrumentId) -> Option<u32> {
        let pegs = self.slots_by_id(instrument, |order| order.is_pegged() && order.is_in_book());
        pegs.into_iter().find(|slot| {
            let order = &self.orders[slot];
            self.target_of(order).is_some_and(|target| target != order.book_price)
        })
    }

    pub(crate) fn target_of(&self, order: &LiveOrder) -> Option<i64> {
        self.target(order.instrument, order.side, order.price, &order.terms)
    }

    fn reprice(&mut self, slot: u32, events: &mut EventBuffer) {
        self.steps += 1;
        let target = self.target_of(&self.orders[&slot]).expect("it has one");
        let order = self.order_mut(slot);
        (order.book_price, order.place) = (target, Place::Nowhere);
        events.push(&OrderRepriced {
            order_id: order.id,
            price_ticks: target,
            account: order.account,
            instrument: order.instrument,
            side: order.side.code(),
            reserved: [0; 7],
        });
        self.match_or_rest(slot, events);
    }

    /// The all-or-none order that can be filled in full now: buys first, best price first, oldest first.
    fn next_all_or_none(&self, instrument: InstrumentId) -> Option<u32> {
        [Side::Buy, Side::Sell].into_iter().find_map(|side| {
            self.queue(instrument, side).into_iter().find(|slot| {
                let order = &self.orders[slot];
                order.is_all_or_none() && self.available(order, order.leaves()) == order.leaves()
            })
        })
    }

    /// Whether an order of this type waits for a trigger when it becomes active.
    pub(crate) fn is_stop(order: &LiveOrder) -> bool {
        matches!(order.order_type, OrderType::Stop | OrderType::StopLimit)
    }
}
