//! Looking ahead over the shown and the hidden book together. Only instruments with hidden orders, icebergs or special
//! takers come here; plain matching asks its book.

use core::iter::Peekable;

use orderbook::{Book, Order, OrderTable, Reserves, Taker};
use protocol::{PriceTicks, QuantityLots, SelfTradePrevention, Side};

use crate::instrument::Instrument;
use crate::special::{Specials, leaves_of};

/// A resting order that an incoming one would meet.
#[derive(Clone, Copy)]
pub(crate) struct Maker<'a> {
    pub(crate) order: &'a Order,
    pub(crate) is_hidden: bool,
}

/// Whether a price is at least as good for the one who takes as another; `side` is the maker's.
#[inline]
pub(crate) fn is_as_good(side: Side, price_ticks: PriceTicks, other_ticks: PriceTicks) -> bool {
    match side {
        Side::Sell => price_ticks <= other_ticks,
        Side::Buy => price_ticks >= other_ticks,
    }
}

/// Whether a maker's price is within a taker's limit; `side` is the maker's.
#[inline]
pub(crate) fn is_within(side: Side, price_ticks: PriceTicks, limit: Option<PriceTicks>) -> bool {
    limit.is_none_or(|limit| is_as_good(side, price_ticks, limit))
}

/// Orders of one book, best price first, oldest first.
fn orders<'a, B: Book>(book: &'a B, table: &'a OrderTable, side: Side) -> impl Iterator<Item = &'a Order> {
    let levels = book.levels(table, side);
    let slots = levels.flat_map(move |level| book.queue(table, side, level.price_ticks));
    slots.map(|slot| table.get(slot).expect("an order in a queue is live"))
}

/// Orders of one side of both books as an incoming order meets them: best price first, within a price shown ones first,
/// then oldest first.
pub(crate) fn makers<'a, B: Book>(
    instrument: &'a Instrument<B>,
    table: &'a OrderTable,
    side: Side,
) -> impl Iterator<Item = Maker<'a>> {
    let mut shown = orders(&instrument.book, table, side).peekable();
    let mut hidden = orders(&instrument.hidden, table, side).peekable();
    core::iter::from_fn(move || next_maker(&mut shown, &mut hidden, side))
}

fn next_maker<'a>(
    shown: &mut Peekable<impl Iterator<Item = &'a Order>>,
    hidden: &mut Peekable<impl Iterator<Item = &'a Order>>,
    side: Side,
) -> Option<Maker<'a>> {
    let takes_shown = match (shown.peek(), hidden.peek()) {
        (Some(shown), Some(hidden)) => is_as_good(side, shown.price_ticks, hidden.price_ticks),
        (shown, _) => shown.is_some(),
    };
    let order = if takes_shown { shown.next() } else { hidden.next() };
    order.map(|order| Maker { order, is_hidden: !takes_shown })
}

/// What [`Ahead`] looks with.
#[derive(Clone, Copy)]
pub(crate) struct Ahead<'a, B> {
    pub(crate) instrument: &'a Instrument<B>,
    pub(crate) table: &'a OrderTable,
    pub(crate) specials: &'a Specials,
}

impl<B: Book> Ahead<'_, B> {
    fn is_all_or_none(&self, maker: &Maker<'_>) -> bool {
        maker.is_hidden && self.specials.at(maker.order.order_id.slot()).is_all_or_none()
    }

    /// What surely trades of at most `wanted_lots` (`docs/exchange.md`, "available").
    pub(crate) fn available(&self, taker: &Taker, wanted_lots: QuantityLots) -> QuantityLots {
        if self.instrument.state.hidden_orders == 0 {
            return self.instrument.book.available(self.table, taker, wanted_lots);
        }
        let side = taker.side.opposite();
        let mut count = Count { found_lots: 0, wanted_lots, fills_left: taker.max_fills };
        // What is behind the shown orders of a price is counted when the last of them has been.
        let (mut price, mut reserves) = (None, Reserves::default());
        let within = |maker: &Maker<'_>| is_within(side, maker.order.price_ticks, taker.limit);
        for maker in makers(self.instrument, self.table, side).take_while(within) {
            if (maker.is_hidden || price != Some(maker.order.price_ticks))
                && !count.reserves(&core::mem::take(&mut reserves))
            {
                return count.found_lots.min(wanted_lots);
            }
            price = Some(maker.order.price_ticks);
            if self.is_all_or_none(&maker) && maker.order.leaves_lots > count.left() {
                continue;
            }
            if !count.one(maker.order, taker) {
                return count.found_lots.min(wanted_lots);
            }
            if !maker.is_hidden {
                self.add_reserve(maker.order, taker, &mut reserves);
            }
        }
        count.reserves(&reserves);
        count.found_lots.min(wanted_lots)
    }

    /// Adds what is behind an order that has been counted. What is removed goes with its reserve.
    fn add_reserve(&self, order: &Order, taker: &Taker, reserves: &mut Reserves) {
        let own = order.account == taker.account;
        let is_removed = own && taker.self_trade_prevention != SelfTradePrevention::Allow;
        if order.flags & orderbook::order_flags::RESERVE == 0 || is_removed {
            return;
        }
        let reserve = self.table.reserve(order.order_id.slot());
        if reserve.lots > 0 {
            reserves.add(&reserve);
        }
    }

    /// Price times quantity of at most `quantity_lots` as a market buy meets them, without a limit.
    pub(crate) fn cost(
        &self,
        account: protocol::AccountId,
        skips_own: bool,
        quantity_lots: QuantityLots,
    ) -> i128 {
        let (mut left_lots, mut sum) = (quantity_lots, 0);
        for maker in makers(self.instrument, self.table, Side::Sell) {
            if left_lots == 0 {
                break;
            }
            let lots = leaves_of(self.table, maker.order);
            let passed = self.is_all_or_none(&maker) && lots > left_lots;
            if passed || (skips_own && maker.order.account == account) {
                continue;
            }
            let lots = lots.min(left_lots);
            sum += i128::from(lots) * i128::from(maker.order.price_ticks);
            left_lots -= lots;
        }
        sum
    }

    /// Orders that a spend-budget buy counts on: prices and quantities.
    pub(crate) fn budgeted(
        &self,
        account: protocol::AccountId,
        skips_own: bool,
        limit: Option<PriceTicks>,
    ) -> impl Iterator<Item = (PriceTicks, QuantityLots)> {
        makers(self.instrument, self.table, Side::Sell)
            .take_while(move |maker| is_within(Side::Sell, maker.order.price_ticks, limit))
            .filter(move |maker| !(self.is_all_or_none(maker) || skips_own && maker.order.account == account))
            .map(|maker| (maker.order.price_ticks, leaves_of(self.table, maker.order)))
    }

    /// The best price on a side, shown or hidden; `counts` says which hidden orders do.
    pub(crate) fn best(&self, side: Side, counts: impl Fn(&Order) -> bool) -> Option<PriceTicks> {
        let mut all = makers(self.instrument, self.table, side);
        all.find(|maker| !maker.is_hidden || counts(maker.order)).map(|maker| maker.order.price_ticks)
    }

    /// The best hidden order that an incoming order with `remaining_lots` could trade with.
    pub(crate) fn hidden_front(&self, side: Side, remaining_lots: QuantityLots) -> Option<&Order> {
        orders(&self.instrument.hidden, self.table, side).find(|order| {
            !self.specials.at(order.order_id.slot()).is_all_or_none() || order.leaves_lots <= remaining_lots
        })
    }
}

/// A count of what surely trades.
struct Count {
    found_lots: QuantityLots,
    wanted_lots: QuantityLots,
    fills_left: u32,
}

impl Count {
    fn left(&self) -> QuantityLots {
        self.wanted_lots - self.found_lots
    }

    /// Counts reserves; `false` stops.
    fn reserves(&mut self, reserves: &Reserves) -> bool {
        if reserves.lots == 0 || self.left() <= 0 {
            return true;
        }
        let sure_lots = reserves.sure_lots(self.left(), &mut self.fills_left);
        self.found_lots += sure_lots;
        sure_lots == reserves.lots
    }

    /// Counts what one order shows; `false` stops.
    fn one(&mut self, order: &Order, taker: &Taker) -> bool {
        if self.left() <= 0 || self.fills_left == 0 {
            return false;
        }
        if order.account == taker.account {
            match taker.self_trade_prevention {
                SelfTradePrevention::Allow => self.found_lots += order.leaves_lots,
                SelfTradePrevention::CancelOldest => {}
                _ => return false,
            }
        } else {
            self.found_lots += order.leaves_lots;
        }
        self.fills_left -= 1;
        true
    }
}
