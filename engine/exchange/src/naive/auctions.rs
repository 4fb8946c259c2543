//! The price at which an auction trades, and the trades at it.

use alloc::vec::Vec;

use machine::EventBuffer;
use protocol::{
    AdvanceTime, AuctionIndicative, AuctionUncrossed, InstrumentId, Phase, RejectReason, Side, TimeAdvanced,
};

use super::order::LiveOrder;
use super::{NaiveExchange, Uncross};

/// What an auction comes to at a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) price: i64,
    pub(crate) paired: i64,
    /// Of buys above 0, of sells below.
    pub(crate) imbalance: i64,
}

impl NaiveExchange {
    /// Slots of one side that take part in an auction, in the order in which they trade.
    fn bidders(&self, instrument: InstrumentId, side: Side) -> Vec<u32> {
        let takes_part = |slot: &u32| {
            let order: &LiveOrder = &self.orders[slot];
            !order.is_pegged() && !order.is_all_or_none()
        };
        self.queue(instrument, side).into_iter().filter(takes_part).collect()
    }

    /// Best price of one side in an auction.
    fn best_bidder(&self, instrument: InstrumentId, side: Side) -> Option<u32> {
        self.bidders(instrument, side).first().copied()
    }

    fn outcome_at(&self, instrument: InstrumentId, price: i64) -> Outcome {
        let volume = |side| -> i64 {
            let slots = self.bidders(instrument, side);
            let orders = slots.iter().map(|slot| &self.orders[slot]).filter(|order| order.accepts(price));
            orders.map(LiveOrder::leaves).sum()
        };
        let (buys, sells) = (volume(Side::Buy), volume(Side::Sell));
        Outcome { price, paired: buys.min(sells), imbalance: buys - sells }
    }

    /// The auction's price and what comes of it; `None` if nothing would trade.
    ///
    /// Only prices from the best sell to the best buy can pair anything. Between two neighbouring order prices nothing
    /// changes, so each order's price and its neighbours stand for all of them: the lowest and the highest price of any
    /// outcome are among these. The reference price, if it lies between those two, is then as good as they are.
    pub(crate) fn equilibrium(&self, instrument: InstrumentId) -> Option<Outcome> {
        let best_buy = self.orders[&self.best_bidder(instrument, Side::Buy)?].book_price;
        let best_sell = self.orders[&self.best_bidder(instrument, Side::Sell)?].book_price;
        let slots = [self.bidders(instrument, Side::Buy), self.bidders(instrument, Side::Sell)].concat();
        let prices = slots.iter().map(|slot| self.orders[slot].book_price);
        let mut candidates: Vec<i64> = prices.flat_map(|price| [price - 1, price, price + 1]).collect();
        candidates.retain(|price| (best_sell..=best_buy).contains(price));
        candidates.sort_unstable();
        candidates.dedup();

        let mut outcomes: Vec<Outcome> =
            candidates.iter().map(|&price| self.outcome_at(instrument, price)).collect();
        let most = outcomes.iter().map(|outcome| outcome.paired).max()?;
        outcomes.retain(|outcome| outcome.paired == most);
        let least = outcomes.iter().map(|outcome| outcome.imbalance.abs()).min()?;
        outcomes.retain(|outcome| outcome.imbalance.abs() == least);

        let (lowest, highest) = (*outcomes.first()?, *outcomes.last()?);
        let best = if outcomes.iter().all(|outcome| outcome.imbalance > 0) {
            highest.price
        } else if outcomes.iter().all(|outcome| outcome.imbalance < 0) {
            lowest.price
        } else {
            self.markets[&instrument].reference.clamp(lowest.price, highest.price)
        };
        let market = &self.markets[&instrument];
        if market.is_on_tick(best) {
            return Some(self.outcome_at(instrument, best));
        }
        let neighbours = [market.next_tick(Side::Buy, best), market.next_tick(Side::Sell, best)];
        let as_good = neighbours.into_iter().flatten();
        let as_good = as_good.filter(|price| (lowest.price..=highest.price).contains(price));
        let nearest = as_good.min_by_key(|price| (price - best).abs());
        Some(self.outcome_at(instrument, nearest.unwrap_or(best)))
    }

    /// Begins an uncross if anything crosses.
    pub(crate) fn begin_uncross(
        &mut self,
        instrument: InstrumentId,
        phase: Phase,
        until_ns: u64,
        by_timetable: bool,
        events: &mut EventBuffer,
    ) -> bool {
        let Some(Outcome { price, paired, imbalance }) = self.equilibrium(instrument) else { return false };
        self.market_mut(instrument).uncross = Some(Uncross { price, phase, until_ns, by_timetable });
        events.push(&AuctionUncrossed {
            price_ticks: price,
            paired_lots: paired,
            imbalance_lots: imbalance,
            instrument,
            reserved: 0,
        });
        true
    }

    /// One pair of an uncross, or its end.
    pub(crate) fn go_on_uncrossing(
        &mut self,
        instrument: InstrumentId,
        uncross: Uncross,
        events: &mut EventBuffer,
    ) {
        let accepts = |slot: &u32| self.orders[slot].accepts(uncross.price);
        let buy = self.best_bidder(instrument, Side::Buy).filter(accepts);
        let sell = self.best_bidder(instrument, Side::Sell).filter(accepts);
        let (Some(buy), Some(sell)) = (buy, sell) else {
            let market = self.market_mut(instrument);
            market.uncross = None;
            market.reference = uncross.price;
            return self.enter(instrument, uncross.phase, uncross.until_ns, uncross.by_timetable, events);
        };
        let lots = self.orders[&buy].shown().min(self.orders[&sell].shown());
        let buy_is_older = self.orders[&buy].id < self.orders[&sell].id;
        let (maker, taker) = if buy_is_older { (buy, sell) } else { (sell, buy) };
        self.steps += 1;
        self.trade(maker, taker, lots, uncross.price, true, events);
        self.after_maker(maker, true, events);
        self.after_maker(taker, true, events);
    }

    /// Publishes what auctions would come to, where that is new.
    pub(crate) fn advance_time(
        &mut self,
        it: &AdvanceTime,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        self.check_form(it.reserved == 0)?;
        let markets =
            self.markets.iter().filter(|(_, market)| market.phase.is_auction() && market.uncross.is_none());
        let instruments: Vec<InstrumentId> = markets.map(|(&instrument, _)| instrument).collect();
        for instrument in instruments {
            let outcome = self.equilibrium(instrument);
            let now = outcome.map_or((0, 0, 0), |it| (it.price, it.paired, it.imbalance));
            if self.markets[&instrument].indicative != Some(now) {
                self.market_mut(instrument).indicative = Some(now);
                let (price_ticks, paired_lots, imbalance_lots) = now;
                events.push(&AuctionIndicative {
                    price_ticks,
                    paired_lots,
                    imbalance_lots,
                    instrument,
                    reserved: 0,
                });
            }
        }
        events.push(&TimeAdvanced { work_left: u8::from(self.has_work_left()), reserved: [0; 7] });
        Ok(())
    }
}
