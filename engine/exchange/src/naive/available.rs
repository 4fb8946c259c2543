//! The books as scans, and what surely trades of an order.

use alloc::vec::Vec;

use protocol::{InstrumentId, SelfTradePrevention, Side};

use super::NaiveExchange;
use super::order::LiveOrder;

/// A walk of `available`: how much has been found, and how many fills are left.
struct Walk {
    found: i64,
    fills_left: i64,
}

impl NaiveExchange {
    /// Slots of the resting orders of one side: best price first, within a price shown orders before hidden ones, then
    /// oldest first.
    pub(crate) fn queue(&self, instrument: InstrumentId, side: Side) -> Vec<u32> {
        let resting =
            |order: &LiveOrder| order.instrument == instrument && order.side == side && order.is_in_book();
        let orders = self.orders.iter().filter(|(_, order)| resting(order));
        let mut slots: Vec<u32> = orders.map(|(&slot, _)| slot).collect();
        slots.sort_by_key(|slot| {
            let order = &self.orders[slot];
            (order.rank(), order.is_hidden(), order.clock())
        });
        slots
    }

    /// What surely trades of at most `wanted` of an order that comes in. See the page for the rules.
    pub(crate) fn available(&self, taker: &LiveOrder, wanted: i64) -> i64 {
        let bands = self.bands(taker.instrument);
        let queue = self.queue(taker.instrument, taker.side.opposite());
        let orders: Vec<&LiveOrder> = queue.iter().map(|slot| &self.orders[slot]).collect();
        let mut walk = Walk { found: 0, fills_left: i64::from(self.fills) };
        for level in orders.chunk_by(|one, next| one.book_price == next.book_price) {
            let price = level[0].book_price;
            if !taker.accepts(price) {
                break;
            }
            let is_passed =
                |order: &&LiveOrder| order.is_all_or_none() && wanted - walk.found < order.leaves();
            if level.iter().all(is_passed) {
                continue;
            }
            if !bands.allow(price) {
                break;
            }
            let (shown, hidden): (Vec<&LiveOrder>, Vec<&LiveOrder>) =
                level.iter().partition(|order| !order.is_hidden());
            let goes_on = self.walk_one_by_one(taker, wanted, &shown, &mut walk)
                && self.walk_reserves(taker, wanted, &shown, &mut walk)
                && self.walk_one_by_one(taker, wanted, &hidden, &mut walk);
            if !goes_on {
                break;
            }
        }
        walk.found.min(wanted)
    }

    /// Whether the walk goes on behind these orders.
    fn walk_one_by_one(
        &self,
        taker: &LiveOrder,
        wanted: i64,
        orders: &[&LiveOrder],
        walk: &mut Walk,
    ) -> bool {
        let mode = self.mode(taker.account, taker.self_trade_prevention);
        for order in orders {
            if walk.found >= wanted || walk.fills_left == 0 {
                return false;
            }
            if order.is_all_or_none() && wanted - walk.found < order.leaves() {
                continue;
            }
            match (order.account == taker.account, mode) {
                (false, _) | (true, SelfTradePrevention::Allow) => walk.found += order.shown(),
                (true, SelfTradePrevention::CancelOldest) => {}
                (true, _) => return false,
            }
            walk.fills_left -= 1;
        }
        true
    }

    /// What is behind the shown orders of a price, which have been walked. Own orders are gone with what is behind them.
    fn walk_reserves(&self, taker: &LiveOrder, wanted: i64, orders: &[&LiveOrder], walk: &mut Walk) -> bool {
        let mode = self.mode(taker.account, taker.self_trade_prevention);
        let goes = |order: &LiveOrder| order.account == taker.account && mode != SelfTradePrevention::Allow;
        let behind = orders.iter().filter(|order| order.reserve > 0 && !goes(order));
        let least_of =
            |order: &LiveOrder| order.terms.display_lots - i64::from(order.terms.display_variation_lots);
        let behind: Vec<(i64, i64)> = behind.map(|order| (order.reserve, least_of(order))).collect();
        let missing = wanted - walk.found;
        let Some(least) = behind.iter().map(|&(_, least)| least).min().filter(|_| missing > 0) else {
            return true;
        };
        let number = behind.len() as i64;
        let all: i64 = behind.iter().map(|&(lots, _)| lots).sum();
        let slices: i64 = behind.iter().map(|&(lots, least)| (lots + least - 1) / least).sum();
        let fills = slices.min(number + (missing + least - 1) / least);
        if fills > walk.fills_left {
            walk.found += all.min(0.max(walk.fills_left - number) * least);
            return false;
        }
        walk.fills_left -= fills;
        walk.found += all;
        true
    }
}
