//! What the terms of an order come to when it is entered: price, quantity, trigger and hold.

use protocol::{
    InstrumentId, MAX_AMOUNT_MINOR, NewExtendedOrder, NewOrder, OrderTerms, OrderType, PegReference,
    PostOnly, RejectReason, SelfTradePrevention, Side, TimeInForce, TrailUnit, TriggerSource, term_flags,
};

use super::order::LiveOrder;
use super::{MAX_40_BITS, Market, NaiveExchange};

/// An order as it will stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// Limit or worst price; 0 for none.
    pub(crate) price: i64,
    /// The target of a pegged order, else the price.
    pub(crate) book_price: i64,
    pub(crate) quantity: i64,
    pub(crate) trigger: i64,
    pub(crate) hold: i128,
    pub(crate) hold_is_spent: bool,
    /// Post-only, and it would trade.
    pub(crate) would_take: bool,
}

pub(crate) fn side_of(code: u8) -> Side {
    if code == Side::Buy.code() { Side::Buy } else { Side::Sell }
}

pub(crate) fn type_of(it: &NewOrder) -> OrderType {
    OrderType::from_code(it.order_type).expect("it is well formed")
}

pub(crate) fn time_of(it: &NewOrder) -> TimeInForce {
    TimeInForce::from_code(it.time_in_force).expect("it is well formed")
}

/// Day, good till cancel or good till date: what may rest for long.
pub(crate) fn rests(time: TimeInForce) -> bool {
    matches!(time, TimeInForce::Day | TimeInForce::GoodTillCancel | TimeInForce::GoodTillDate)
}

/// What an order may give as its price.
pub(crate) fn price_fits(order_type: OrderType, price: i64) -> bool {
    match order_type {
        OrderType::Market | OrderType::Stop | OrderType::MarketToLimit => price == 0,
        OrderType::Limit | OrderType::StopLimit | OrderType::Pegged => (1..=MAX_40_BITS).contains(&price),
    }
}

pub(crate) fn time_fits(order_type: OrderType, time: TimeInForce) -> bool {
    match order_type {
        OrderType::Limit => true,
        OrderType::Market => !rests(time),
        _ => rests(time),
    }
}

/// Section "Terms": the list of what holds for all terms.
pub(crate) fn terms_fit(now_ns: u64, it: &NewExtendedOrder) -> bool {
    let NewExtendedOrder { order, terms } = it;
    let (order_type, time) = (type_of(order), time_of(order));
    let is_stop = matches!(order_type, OrderType::Stop | OrderType::StopLimit);
    let immediate = matches!(time, TimeInForce::ImmediateOrCancel | TimeInForce::FillOrKill);
    let all_or_none = terms.flags & term_flags::ALL_OR_NONE != 0;
    let resting_limit = order_type == OrderType::Limit && rests(time);

    let display_fits = terms.display_lots == 0
        || (1..=MAX_40_BITS).contains(&terms.display_lots)
            && order_type == OrderType::Limit
            && terms.flags == 0
            && !immediate;
    let variation = i64::from(terms.display_variation_lots);
    let minimum_fits = terms.minimum_lots == 0
        || (1..=order.quantity_lots).contains(&terms.minimum_lots)
            && matches!(order_type, OrderType::Market | OrderType::Limit)
            && (rests(time) || immediate)
            && terms.post_only == 0
            && !all_or_none
            && terms.budget_minor == 0;
    let only_budget = OrderTerms { budget_minor: terms.budget_minor, ..OrderTerms::default() };
    let budget_fits = terms.budget_minor == 0
        || (1..=MAX_AMOUNT_MINOR).contains(&terms.budget_minor)
            && order_type == OrderType::Market
            && order.side == Side::Buy.code()
            && time == TimeInForce::ImmediateOrCancel
            && *terms == only_budget;
    let expiry_fits = if time == TimeInForce::GoodTillDate {
        terms.expire_time_ns > now_ns
    } else {
        terms.expire_time_ns == 0
    };
    (terms.trigger != 0) == is_stop
        && trigger_and_offset_fit(is_stop, order_type, terms)
        && display_fits
        && (variation == 0 || variation < terms.display_lots)
        && minimum_fits
        && terms.flags != term_flags::HIDDEN | term_flags::ALL_OR_NONE
        && ((terms.flags == 0 && terms.post_only == 0) || resting_limit)
        && !(all_or_none && terms.post_only != 0)
        && expiry_fits
        && budget_fits
}

fn trigger_and_offset_fit(is_stop: bool, order_type: OrderType, terms: &OrderTerms) -> bool {
    let trailing = TrailUnit::from_code(terms.trail);
    let trigger_fits = match (is_stop, trailing) {
        (true, None) => (1..=MAX_40_BITS).contains(&terms.trigger_price_ticks),
        _ => terms.trigger_price_ticks == 0,
    };
    let offset_fits = match trailing {
        Some(TrailUnit::Ticks) => (1..=MAX_40_BITS).contains(&terms.offset),
        Some(TrailUnit::BasisPoints) => (1..=10_000).contains(&terms.offset),
        None if order_type == OrderType::Pegged => (-MAX_40_BITS..=MAX_40_BITS).contains(&terms.offset),
        None => terms.offset == 0,
    };
    trigger_fits
        && offset_fits
        && (trailing.is_none() || is_stop)
        && (terms.peg != 0) == (order_type == OrderType::Pegged)
}

/// Basis points of a price, rounded down.
pub(crate) fn share(price: i64, basis_points: u32) -> i64 {
    (i128::from(price) * i128::from(basis_points) / 10_000) as i64
}

/// A price that is within the range of prices.
pub(crate) fn clamped(price: i64) -> i64 {
    price.clamp(1, MAX_40_BITS)
}

/// Where a trailing stop's trigger is for a price followed.
pub(crate) fn trailing_trigger(side: Side, terms: &OrderTerms, followed: i64) -> i64 {
    let distance = if terms.trail == TrailUnit::Ticks.code() {
        terms.offset
    } else {
        share(followed, terms.offset as u32).max(1)
    };
    clamped(if side == Side::Buy { followed + distance } else { followed - distance })
}

impl Market {
    /// The worst price of an order that may be so far from a price; `None` without a collar.
    pub(crate) fn worst_price(&self, side: Side, from: i64) -> Option<i64> {
        let distance = share(from, self.rules.collar_bps);
        let worst = if side == Side::Buy { from + distance } else { from - distance };
        (self.rules.collar_bps > 0).then_some(clamped(worst))
    }

    /// Whether the tick table allows a price.
    pub(crate) fn is_on_tick(&self, price: i64) -> bool {
        let rows = &self.ticks.rows[..self.ticks.count as usize];
        let row = rows.iter().rfind(|row| row.from_price_ticks <= price);
        row.is_none_or(|row| price % row.tick_ticks == 0)
    }

    /// The next price that the tick table allows below (for a buy) or above (for a sell) a price. In each row it is the
    /// multiple nearest to the price; of all rows the nearest counts.
    pub(crate) fn next_tick(&self, side: Side, price: i64) -> Option<i64> {
        let rows = &self.ticks.rows[..self.ticks.count as usize];
        if rows.is_empty() {
            let next = if side == Side::Buy { price - 1 } else { price + 1 };
            return (1..=MAX_40_BITS).contains(&next).then_some(next);
        }
        let candidates = rows.iter().enumerate().filter_map(|(number, row)| {
            let last = rows.get(number + 1).map_or(MAX_40_BITS, |next| next.from_price_ticks - 1);
            let (from, tick) = (row.from_price_ticks, row.tick_ticks);
            let nearest = match side {
                Side::Buy => last.min(price - 1) / tick * tick,
                Side::Sell => (from.max(price + 1) + tick - 1) / tick * tick,
            };
            (from..=last).contains(&nearest).then_some(nearest)
        });
        if side == Side::Buy { candidates.max() } else { candidates.min() }
    }
}

impl NaiveExchange {
    /// The self-trade prevention that counts: the order's, or its account's option where it says `Allow`.
    pub(crate) fn mode(&self, account: protocol::AccountId, given: u8) -> SelfTradePrevention {
        let of_order = SelfTradePrevention::from_code(given).expect("it is well formed");
        let option = self.accounts[&account].options.self_trade_prevention;
        match of_order {
            SelfTradePrevention::Allow => SelfTradePrevention::from_code(option).expect("it was checked"),
            mode => mode,
        }
    }

    /// Best price shown on one side.
    pub(crate) fn best_shown(&self, instrument: InstrumentId, side: Side) -> Option<i64> {
        let queue = self.queue(instrument, side);
        let mut orders = queue.iter().map(|slot| &self.orders[slot]);
        orders.find(|order| !order.is_hidden()).map(|order| order.book_price)
    }

    /// The price that a stop looks at now.
    pub(crate) fn followed(&self, instrument: InstrumentId, side: Side, source: u8) -> Option<i64> {
        if source == TriggerSource::BestPrice.code() {
            self.best_shown(instrument, side.opposite())
        } else {
            Some(self.markets[&instrument].last_trade).filter(|&price| price > 0)
        }
    }

    /// Where a pegged order should be; `None` if what it follows is missing.
    pub(crate) fn target(
        &self,
        instrument: InstrumentId,
        side: Side,
        limit: i64,
        it: &OrderTerms,
    ) -> Option<i64> {
        let (bid, ask) = (self.best_shown(instrument, Side::Buy), self.best_shown(instrument, Side::Sell));
        let followed = match PegReference::from_code(it.peg)? {
            PegReference::BestBid => bid?,
            PegReference::BestAsk => ask?,
            PegReference::Midpoint if side == Side::Buy => (bid? + ask?) / 2,
            PegReference::Midpoint => (bid? + ask? + 1) / 2,
        };
        let wanted = followed + it.offset;
        Some(clamped(match side {
            Side::Buy => wanted.min(limit).min(ask.map_or(i64::MAX, |ask| ask - 1)),
            Side::Sell => wanted.max(limit).max(bid.map_or(i64::MIN, |bid| bid + 1)),
        }))
    }

    /// Where a post-only order of this limit must go: `Err` if it would trade and cannot go anywhere.
    pub(crate) fn post_only_price(
        &self,
        instrument: InstrumentId,
        side: Side,
        limit: i64,
        post_only: u8,
    ) -> Result<i64, ()> {
        let queue = self.queue(instrument, side.opposite());
        let mut others = queue.iter().map(|slot| &self.orders[slot]);
        let Some(best) = others.find(|order| !order.is_all_or_none()).map(|order| order.book_price) else {
            return Ok(limit);
        };
        let crosses = if side == Side::Buy { best <= limit } else { best >= limit };
        match PostOnly::from_code(post_only) {
            Some(PostOnly::Reject) if crosses => Err(()),
            Some(PostOnly::Slide) if crosses => self.markets[&instrument].next_tick(side, best).ok_or(()),
            _ => Ok(limit),
        }
    }

    /// Stage 2: what the order stands for.
    pub(crate) fn stand(&self, it: &NewExtendedOrder) -> Result<Standing, RejectReason> {
        let NewExtendedOrder { order, terms } = it;
        let market = &self.markets[&order.instrument];
        let (side, id) = (side_of(order.side), order.instrument);
        let time = time_of(order);
        let mut standing = Standing {
            price: order.price_ticks,
            book_price: 0,
            quantity: order.quantity_lots,
            trigger: terms.trigger_price_ticks,
            hold: 0,
            hold_is_spent: false,
            would_take: false,
        };
        if terms.trail != 0 {
            let followed = self.followed(id, side, terms.trigger).ok_or(RejectReason::NoLiquidity)?;
            standing.trigger = trailing_trigger(side, terms, followed);
        }
        match type_of(order) {
            OrderType::Market if matches!(time, TimeInForce::AtTheOpening | TimeInForce::AtTheClose) => {
                let reference = Some(market.reference).filter(|&price| price > 0);
                let worst = reference.and_then(|reference| market.worst_price(side, reference));
                standing.price = worst.ok_or(RejectReason::NoCollar)?;
            }
            OrderType::Market => {
                let best = self.best_shown(id, side.opposite());
                standing.price = best.and_then(|best| market.worst_price(side, best)).unwrap_or(0);
            }
            OrderType::Stop => {
                let worst = market.worst_price(side, standing.trigger);
                standing.price = worst.ok_or(RejectReason::NoCollar)?;
            }
            OrderType::MarketToLimit => {
                standing.price = self.best_shown(id, side.opposite()).ok_or(RejectReason::NoLiquidity)?;
            }
            OrderType::Limit => match self.post_only_price(id, side, order.price_ticks, terms.post_only) {
                Ok(price) => standing.price = price,
                Err(()) => standing.would_take = true,
            },
            OrderType::StopLimit | OrderType::Pegged => {}
        }
        standing.book_price = standing.price;
        if type_of(order) == OrderType::Pegged {
            let target = self.target(id, side, order.price_ticks, terms);
            standing.book_price = target.ok_or(RejectReason::NoLiquidity)?;
        }
        self.hold_of_standing(it, &mut standing)?;
        Ok(standing)
    }

    fn hold_of_standing(&self, it: &NewExtendedOrder, standing: &mut Standing) -> Result<(), RejectReason> {
        let (id, side) = (it.order.instrument, side_of(it.order.side));
        if it.terms.budget_minor > 0 {
            (standing.quantity, standing.hold) = self.within_budget(it, standing.price);
            standing.hold_is_spent = true;
            if standing.quantity == 0 {
                return Err(RejectReason::BudgetTooSmall);
            }
        } else if standing.price == 0 && side == Side::Buy {
            standing.hold = self.cost_of_offers(&it.order);
            standing.hold_is_spent = true;
        } else {
            standing.hold = self.need(id, side, standing.price, standing.quantity);
        }
        Ok(())
    }

    /// What a limit order of this price must hold.
    pub(crate) fn need(&self, instrument: InstrumentId, side: Side, price: i64, lots: i64) -> i128 {
        let created = &self.markets[&instrument].created;
        match side {
            Side::Buy => {
                let quote = self.quote(instrument, price, lots);
                quote + part(quote, created.maker_fee_ppm.max(created.taker_fee_ppm))
            }
            Side::Sell => self.base(instrument, lots),
        }
    }

    /// Quote amount of a quantity at a price.
    pub(crate) fn quote(&self, instrument: InstrumentId, price: i64, lots: i64) -> i128 {
        let tick_lot = i128::from(self.markets[&instrument].created.quote_minor_per_tick_lot);
        i128::from(price) * i128::from(lots) * tick_lot
    }

    pub(crate) fn base(&self, instrument: InstrumentId, lots: i64) -> i128 {
        i128::from(lots) * i128::from(self.markets[&instrument].created.base_minor_per_lot)
    }

    /// What an order must hold as it is now, unless its hold is spent.
    pub(crate) fn need_of(&self, order: &LiveOrder) -> i128 {
        self.need(order.instrument, order.side, order.price, order.leaves())
    }

    /// Whether own orders on the other side are cancelled before they could trade.
    fn passes_own(&self, it: &NewOrder) -> bool {
        self.mode(it.account, it.self_trade_prevention) == SelfTradePrevention::CancelOldest
    }

    /// What a market buy without a worst price can cost: what is offered, as far as the order could take it.
    fn cost_of_offers(&self, it: &NewOrder) -> i128 {
        let (mut wanted, mut quote, mut met) = (it.quantity_lots, 0, 0);
        for slot in self.queue(it.instrument, Side::Sell) {
            let offer = &self.orders[&slot];
            if offer.is_all_or_none() && wanted < offer.leaves() {
                continue;
            }
            if met == self.limits.fills_per_command {
                break;
            }
            met += 1;
            if offer.account == it.account && self.passes_own(it) {
                continue;
            }
            let lots = wanted.min(offer.leaves());
            quote += self.quote(it.instrument, offer.book_price, lots);
            wanted -= lots;
        }
        quote + part(quote, self.markets[&it.instrument].created.taker_fee_ppm)
    }

    /// The most lots that a budget covers at the prices now in the book, in round lots where there are any, and what they
    /// cost with the fee.
    fn within_budget(&self, it: &NewExtendedOrder, worst: i64) -> (i64, i128) {
        let most = if it.order.quantity_lots > 0 { it.order.quantity_lots } else { MAX_40_BITS };
        let covered = self.covered_by_budget(it, worst, most);
        let round_lot = self.markets[&it.order.instrument].rules.round_lot_lots.max(1);
        self.covered_by_budget(it, worst, covered.0 / round_lot * round_lot)
    }

    /// The most lots up to a quantity that a budget covers.
    fn covered_by_budget(&self, it: &NewExtendedOrder, worst: i64, most: i64) -> (i64, i128) {
        let NewExtendedOrder { order, terms } = it;
        let fee_ppm = self.markets[&order.instrument].created.taker_fee_ppm;
        let with_fee = |quote: i128| quote + part(quote, fee_ppm);
        let (mut lots, mut quote, mut met) = (0, 0, 0);
        for slot in self.queue(order.instrument, Side::Sell) {
            let offer = &self.orders[&slot];
            if offer.is_all_or_none() {
                continue;
            }
            if worst != 0 && offer.book_price > worst || met == self.limits.fills_per_command {
                break;
            }
            met += 1;
            if offer.account == order.account && self.passes_own(order) {
                continue;
            }
            let wanted = offer.leaves().min(most - lots);
            let covered = |more: i64| {
                let sum = quote + self.quote(order.instrument, offer.book_price, more);
                with_fee(sum) <= i128::from(terms.budget_minor)
            };
            let more = largest(wanted, covered);
            lots += more;
            quote += self.quote(order.instrument, offer.book_price, more);
            if more < offer.leaves() {
                break;
            }
        }
        (lots, with_fee(quote))
    }
}

/// The largest number from 0 to `most` for which something holds that holds for 0 and for all numbers up to a last one.
fn largest(most: i64, holds: impl Fn(i64) -> bool) -> i64 {
    let (mut yes, mut no) = (0, most + 1);
    while no - yes > 1 {
        let middle = yes + (no - yes) / 2;
        if holds(middle) {
            yes = middle;
        } else {
            no = middle;
        }
    }
    yes
}

/// A fee in millionths, rounded down. In two steps, since an order that is far too large would overflow in one.
pub(crate) fn part(quote: i128, fee_ppm: u32) -> i128 {
    let (whole, rest) = (quote / 1_000_000, quote % 1_000_000);
    whole * i128::from(fee_ppm) + rest * i128::from(fee_ppm) / 1_000_000
}
