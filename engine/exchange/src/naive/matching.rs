//! An order that comes in meets the other side.

use machine::EventBuffer;
use protocol::{
    BandAction, CancelReason, ClientOrderId, OrderDecremented, OrderType, Phase, SelfTradePrevention,
    TimeInForce,
};

use super::NaiveExchange;
use super::order::{LiveOrder, Place};

/// Why matching ended with something left.
enum Stopped {
    /// No resting order is left that it could trade with.
    NothingLeft,
    /// The remainder is cancelled.
    Cancel(CancelReason),
    /// The next resting order is outside the price bands, and that begins an auction.
    Volatility,
}

impl NaiveExchange {
    /// Steps 4 to 6 of a new order, for any order that is in no book and waits for nothing.
    pub(crate) fn match_or_rest(&mut self, slot: u32, events: &mut EventBuffer) {
        let order = self.orders[&slot].clone();
        if self.markets[&order.instrument].phase != Phase::Continuous {
            return self.rest(slot, events);
        }
        let fills = |lots: i64| self.available(&order, order.leaves()) >= lots;
        if order.time_in_force == TimeInForce::FillOrKill && !fills(order.leaves()) {
            return self.cancel(slot, CancelReason::FillOrKill, ClientOrderId::NONE, events);
        }
        if order.terms.minimum_lots > 0 && !fills(order.terms.minimum_lots) {
            return self.cancel(slot, CancelReason::MinimumQuantity, ClientOrderId::NONE, events);
        }
        if order.is_all_or_none() && !fills(order.leaves()) {
            return self.rest(slot, events);
        }
        let stopped = self.match_order(slot, events);
        if self.orders.get(&slot).is_none_or(|now| now.id != order.id) {
            return; // It lost its last lots to self-trade prevention.
        }
        let may_rest = order.time_in_force != TimeInForce::ImmediateOrCancel
            && order.time_in_force != TimeInForce::FillOrKill
            && (!order.has_worst_price() || order.is_for_auction());
        if self.orders[&slot].leaves() == 0 {
            self.end_order(slot, true);
        } else if let Stopped::Cancel(reason) = stopped {
            self.cancel(slot, reason, ClientOrderId::NONE, events);
        } else if may_rest {
            self.rest(slot, events);
        } else if let Stopped::Volatility = stopped {
            self.cancel(slot, CancelReason::PriceBand, ClientOrderId::NONE, events);
        } else {
            self.cancel(slot, CancelReason::ImmediateOrCancel, ClientOrderId::NONE, events);
        }
        if let Stopped::Volatility = stopped {
            self.interrupt(order.instrument, events);
        }
    }

    /// The resting order that comes next: an all-or-none order is passed over unless it can be taken in full.
    fn next_maker(&self, taker: &LiveOrder) -> Option<u32> {
        let queue = self.queue(taker.instrument, taker.side.opposite());
        queue.into_iter().find(|slot| {
            let maker = &self.orders[slot];
            !maker.is_all_or_none() || taker.leaves() >= maker.leaves()
        })
    }

    /// Step 5.
    fn match_order(&mut self, slot: u32, events: &mut EventBuffer) -> Stopped {
        let bands = self.bands(self.orders[&slot].instrument);
        let mut met = 0;
        loop {
            let Some(taker) = self.orders.get(&slot).cloned().filter(|taker| taker.leaves() > 0) else {
                return Stopped::NothingLeft;
            };
            let next = self.next_maker(&taker);
            let next = next.filter(|maker| taker.accepts(self.orders[maker].book_price));
            let Some(maker_slot) = next else { return Stopped::NothingLeft };
            let maker = self.orders[&maker_slot].clone();
            if !bands.allow(maker.book_price) {
                let action = self.markets[&taker.instrument].rules.band_action;
                let rejects = action == BandAction::Reject.code();
                return if rejects { Stopped::Cancel(CancelReason::PriceBand) } else { Stopped::Volatility };
            }
            if met == self.fills {
                return Stopped::Cancel(CancelReason::FillLimit);
            }
            let own = maker.account == taker.account;
            let mode = self.mode(taker.account, taker.self_trade_prevention);
            let mode = if own { mode } else { SelfTradePrevention::Allow };
            if mode == SelfTradePrevention::CancelNewest {
                return Stopped::Cancel(CancelReason::SelfTrade);
            }
            met += 1;
            self.steps += 1;
            match mode {
                SelfTradePrevention::CancelOldest => {
                    self.cancel(maker_slot, CancelReason::SelfTrade, ClientOrderId::NONE, events);
                }
                SelfTradePrevention::CancelBoth => {
                    self.cancel(maker_slot, CancelReason::SelfTrade, ClientOrderId::NONE, events);
                    return Stopped::Cancel(CancelReason::SelfTrade);
                }
                SelfTradePrevention::DecrementAndCancel => self.decrement_both(maker_slot, slot, events),
                _ => {
                    let lots = maker.shown().min(taker.leaves());
                    self.trade(maker_slot, slot, lots, maker.book_price, false, events);
                    self.after_maker(maker_slot, true, events);
                }
            }
        }
    }

    /// A resting order whose last lots are gone ends; an iceberg whose shown part is gone shows the next slice.
    pub(crate) fn after_maker(&mut self, slot: u32, traded: bool, events: &mut EventBuffer) {
        if self.orders[&slot].leaves() == 0 {
            self.end_order(slot, traded);
        } else if self.orders[&slot].shown() == 0 {
            let clock = self.tick();
            let order = self.order_mut(slot);
            let variation = i64::from(order.terms.display_variation_lots);
            let (least, most) = (order.terms.display_lots - variation, order.terms.display_lots + variation);
            order.refills = order.refills.wrapping_add(GOLDEN);
            let draw = mixed(order.refills) % (most - least + 1) as u64;
            order.reserve -= order.reserve.min(least + draw as i64);
            order.place = Place::Book(clock);
            self.say_shown(slot, events);
        }
    }

    /// Two orders of one account lose the smaller quantity of the two.
    fn decrement_both(&mut self, maker_slot: u32, taker_slot: u32, events: &mut EventBuffer) {
        let lots = self.orders[&maker_slot].shown().min(self.orders[&taker_slot].leaves());
        self.decrement(maker_slot, lots, events);
        self.decrement(taker_slot, lots, events);
        self.after_maker(maker_slot, false, events);
        if self.orders[&taker_slot].leaves() == 0 {
            self.end_order(taker_slot, false);
        }
    }

    fn decrement(&mut self, slot: u32, lots: i64, events: &mut EventBuffer) {
        self.order_mut(slot).quantity -= lots;
        let order = self.orders[&slot].clone();
        let other = order.pair.filter(|_| order.holds_for_pair).and_then(|other| self.slot_of(other));
        let for_other = other.map_or(0, |other| self.need_of(&self.orders[&other]));
        let hold = match order.leaves() {
            0 => 0,
            _ if order.hold_is_spent => order.hold,
            _ => self.need_of(&order).max(for_other),
        };
        self.set_hold(slot, hold);
        events.push(&OrderDecremented {
            order_id: order.id,
            quantity_lots: lots,
            leaves_lots: order.leaves(),
            hold_minor: hold as i64,
            account: order.account,
            instrument: order.instrument,
            side: order.side.code(),
            reserved: [0; 7],
        });
    }
}

impl LiveOrder {
    /// An order of this kind is for an auction: its remainder rests although its limit is a worst price.
    pub(crate) fn is_for_auction(&self) -> bool {
        self.order_type == OrderType::Market
            && matches!(self.time_in_force, TimeInForce::AtTheOpening | TimeInForce::AtTheClose)
    }
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// splitmix64's output for a state that has been advanced.
fn mixed(state: u64) -> u64 {
    let once = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let twice = (once ^ once >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    twice ^ twice >> 31
}

/// The first number of splitmix64 from a state.
pub(crate) fn splitmix64(state: u64) -> u64 {
    mixed(state.wrapping_add(GOLDEN))
}
