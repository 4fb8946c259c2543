//! Holds, matching and what follows from it.

use alloc::vec::Vec;

use machine::{Context, EventBuffer};
use protocol::{
    AccountId, CancelReason, ClientOrderId, InstrumentId, NewOrder, OrderAccepted, OrderId, OrderReplaced,
    ReplaceOrder, Side, Trade,
};

use super::{LiveOrder, NaiveExchange};

const FILL_OR_KILL: u8 = 4;
const IMMEDIATE_OR_CANCEL: u8 = 3;

impl NaiveExchange {
    /// Quote amount of a quantity at a price.
    fn quote(&self, instrument: InstrumentId, price: i64, lots: i64) -> i128 {
        let tick_lot = i128::from(self.instruments[&instrument].quote_minor_per_tick_lot);
        i128::from(price) * i128::from(lots) * tick_lot
    }

    fn base(&self, instrument: InstrumentId, lots: i64) -> i128 {
        i128::from(lots) * i128::from(self.instruments[&instrument].base_minor_per_lot)
    }

    pub(crate) fn hold_of_limit(&self, instrument: InstrumentId, side: Side, price: i64, lots: i64) -> i128 {
        let it = &self.instruments[&instrument];
        match side {
            Side::Buy => {
                let quote = self.quote(instrument, price, lots);
                quote + part(quote, it.maker_fee_ppm.max(it.taker_fee_ppm))
            }
            Side::Sell => self.base(instrument, lots),
        }
    }

    /// What is offered now, as far as the order could take it. Under `CancelOldest` the account's own orders are not
    /// an offer, and only as many orders count as one command may meet.
    pub(crate) fn hold_of_market_buy(&self, it: &NewOrder) -> i128 {
        let cancels_oldest = it.self_trade_prevention == 2;
        let mut offers = self.queue(it.instrument, Side::Sell);
        if cancels_oldest {
            offers.truncate(self.limits.fills_per_command as usize);
            offers.retain(|slot| self.orders[slot].account != it.account);
        }
        let (mut wanted, mut quote) = (it.quantity_lots, 0);
        for slot in offers {
            let offer = &self.orders[&slot];
            let lots = wanted.min(offer.leaves());
            quote += self.quote(it.instrument, offer.price, lots);
            wanted -= lots;
        }
        quote + part(quote, self.instruments[&it.instrument].taker_fee_ppm)
    }

    /// Slots of the resting orders of one side, best price first, then oldest first.
    pub(crate) fn queue(&self, instrument: InstrumentId, side: Side) -> Vec<u32> {
        let resting = |order: &LiveOrder| {
            order.instrument == instrument && order.side == side && order.queued_at.is_some()
        };
        let orders = self.orders.iter().filter(|(_, order)| resting(order));
        let mut slots: Vec<u32> = orders.map(|(&slot, _)| slot).collect();
        slots.sort_by_key(|slot| {
            let order = &self.orders[slot];
            let price = if side == Side::Buy { -order.price } else { order.price };
            (price, order.queued_at)
        });
        slots
    }

    pub(crate) fn new_order(&mut self, context: &Context, it: &NewOrder, events: &mut EventBuffer) {
        let hold = self.hold_of_new(it);
        let slot = self.free_slots.pop().expect("a free slot was checked for");
        let order = LiveOrder {
            id: OrderId(context.sequence * (1 << 24) + u64::from(slot)),
            account: it.account,
            instrument: it.instrument,
            client_order_id: it.client_order_id,
            side: if it.side == 1 { Side::Buy } else { Side::Sell },
            is_market: it.order_type == 1,
            time_in_force: it.time_in_force,
            self_trade_prevention: it.self_trade_prevention,
            price: it.price_ticks,
            quantity: it.quantity_lots,
            filled: 0,
            hold,
            queued_at: None,
        };
        let instrument = self.instruments[&it.instrument];
        self.funds_mut(it.account, instrument.base_asset);
        self.funds_mut(it.account, instrument.quote_asset);
        self.funds_mut(AccountId::FEES, instrument.quote_asset);
        let (account, asset) = self.hold_key(&order);
        self.funds_mut(account, asset).held += hold;
        events.push(&OrderAccepted {
            order_id: order.id,
            price_ticks: it.price_ticks,
            quantity_lots: it.quantity_lots,
            hold_minor: hold as i64,
            account: it.account,
            instrument: it.instrument,
            client_order_id: it.client_order_id,
            side: it.side,
            order_type: it.order_type,
            time_in_force: it.time_in_force,
            self_trade_prevention: it.self_trade_prevention,
        });
        self.orders.insert(slot, order);
        if it.time_in_force == FILL_OR_KILL && !self.clone().fills_in_full(slot) {
            return self.cancel(slot, CancelReason::FillOrKill.code(), ClientOrderId::NONE, events);
        }
        self.match_and_rest(slot, events);
    }

    /// Whether matching leaves nothing. Tried on a copy.
    fn fills_in_full(mut self, slot: u32) -> bool {
        let mut events = EventBuffer::with_capacity(160 * (self.limits.fills_per_command as usize + 2));
        events.begin(&Context::default());
        self.match_order(slot, &mut events);
        self.orders[&slot].leaves() == 0
    }

    pub(crate) fn replace_order(&mut self, it: &ReplaceOrder, events: &mut EventBuffer) {
        let slot = it.order_id.slot();
        let old = self.orders[&slot].clone();
        let leaves = it.quantity_lots - old.filled;
        let hold = self.hold_of_limit(old.instrument, old.side, it.price_ticks, leaves);
        let (account, asset) = self.hold_key(&old);
        self.funds_mut(account, asset).held += hold - old.hold;
        let keeps_place = it.price_ticks == old.price && it.quantity_lots < old.quantity;
        let named = !it.client_order_id.is_none();
        let new = LiveOrder {
            price: it.price_ticks,
            quantity: it.quantity_lots,
            hold,
            client_order_id: if named { it.client_order_id } else { old.client_order_id },
            queued_at: old.queued_at.filter(|_| keeps_place),
            ..old
        };
        events.push(&OrderReplaced {
            order_id: new.id,
            price_ticks: new.price,
            quantity_lots: new.quantity,
            leaves_lots: leaves,
            hold_minor: hold as i64,
            account,
            instrument: new.instrument,
            client_order_id: new.client_order_id,
            side: new.side.code(),
            kept_priority: u8::from(keeps_place),
            reserved: [0; 2],
        });
        self.orders.insert(slot, new);
        if !keeps_place {
            self.match_and_rest(slot, events);
        }
    }

    /// Matches a live order that is not in the book; what is left rests or is cancelled.
    fn match_and_rest(&mut self, slot: u32, events: &mut EventBuffer) {
        let stopped = self.match_order(slot, events);
        let order = &self.orders[&slot];
        if order.leaves() == 0 {
            self.end_order(slot);
        } else if let Some(reason) = stopped {
            self.cancel(slot, reason.code(), ClientOrderId::NONE, events);
        } else if order.is_market || order.time_in_force == IMMEDIATE_OR_CANCEL {
            self.cancel(slot, CancelReason::ImmediateOrCancel.code(), ClientOrderId::NONE, events);
        } else {
            self.queue_clock += 1;
            let clock = self.queue_clock;
            self.orders.get_mut(&slot).expect("it is live").queued_at = Some(clock);
        }
    }

    /// Step 5 of a new order. Returns why the remainder must be cancelled, if it must.
    fn match_order(&mut self, slot: u32, events: &mut EventBuffer) -> Option<CancelReason> {
        let mut met = 0;
        loop {
            let taker = self.orders[&slot].clone();
            if taker.leaves() == 0 {
                return None;
            }
            let maker_slot = *self.queue(taker.instrument, taker.side.opposite()).first()?;
            let maker = self.orders[&maker_slot].clone();
            let too_dear = taker.side == Side::Buy && maker.price > taker.price;
            let too_cheap = taker.side == Side::Sell && maker.price < taker.price;
            if !taker.is_market && (too_dear || too_cheap) {
                return None;
            }
            if met == self.limits.fills_per_command {
                return Some(CancelReason::FillLimit);
            }
            met += 1;
            match (maker.account == taker.account, taker.self_trade_prevention) {
                (true, 1) => return Some(CancelReason::SelfTrade),
                (true, 2) => {
                    self.cancel(maker_slot, CancelReason::SelfTrade.code(), ClientOrderId::NONE, events)
                }
                (true, 3) => {
                    self.cancel(maker_slot, CancelReason::SelfTrade.code(), ClientOrderId::NONE, events);
                    return Some(CancelReason::SelfTrade);
                }
                _ => self.trade(maker_slot, slot, events),
            }
        }
    }

    fn trade(&mut self, maker_slot: u32, taker_slot: u32, events: &mut EventBuffer) {
        let (maker, taker) = (self.orders[&maker_slot].clone(), self.orders[&taker_slot].clone());
        let instrument = self.instruments[&maker.instrument];
        let lots = maker.leaves().min(taker.leaves());
        let quote = self.quote(maker.instrument, maker.price, lots);
        let base = self.base(maker.instrument, lots);
        let maker_fee = part(quote, instrument.maker_fee_ppm);
        let taker_fee = part(quote, instrument.taker_fee_ppm);

        self.fill(maker_slot, lots, 0);
        self.fill(taker_slot, lots, if taker.side == Side::Buy { quote + taker_fee } else { base });
        let (buyer, seller) = match taker.side {
            Side::Buy => (taker.account, maker.account),
            Side::Sell => (maker.account, taker.account),
        };
        self.funds_mut(buyer, instrument.quote_asset).balance -= quote;
        self.funds_mut(seller, instrument.quote_asset).balance += quote;
        self.funds_mut(seller, instrument.base_asset).balance -= base;
        self.funds_mut(buyer, instrument.base_asset).balance += base;
        self.funds_mut(maker.account, instrument.quote_asset).balance -= maker_fee;
        self.funds_mut(taker.account, instrument.quote_asset).balance -= taker_fee;
        self.funds_mut(AccountId::FEES, instrument.quote_asset).balance += maker_fee + taker_fee;

        self.last_trade_id += 1;
        events.push(&Trade {
            trade_id: self.last_trade_id,
            maker_order_id: maker.id,
            taker_order_id: taker.id,
            price_ticks: maker.price,
            quantity_lots: lots,
            quote_minor: quote as i64,
            maker_fee_minor: maker_fee as i64,
            taker_fee_minor: taker_fee as i64,
            maker_leaves_lots: maker.leaves() - lots,
            taker_leaves_lots: taker.leaves() - lots,
            maker_account: maker.account,
            taker_account: taker.account,
            instrument: maker.instrument,
            taker_side: taker.side.code(),
            reserved: [0; 3],
        });
        if maker.leaves() == lots {
            self.end_order(maker_slot);
        }
    }

    /// Fills part of an order and shrinks its hold to what its leaves need. A market order's hold shrinks by what the
    /// fill took.
    fn fill(&mut self, slot: u32, lots: i64, market_cost: i128) {
        let mut order = self.orders[&slot].clone();
        order.filled += lots;
        let needed = if order.is_market {
            order.hold - market_cost
        } else {
            self.hold_of_limit(order.instrument, order.side, order.price, order.leaves())
        };
        let (account, asset) = self.hold_key(&order);
        self.funds_mut(account, asset).held -= order.hold - needed;
        order.hold = needed;
        self.orders.insert(slot, order);
    }
}

/// A fee in millionths, rounded down. In two steps, since an order that is far too large would overflow in one.
fn part(quote: i128, fee_ppm: u32) -> i128 {
    let (whole, rest) = (quote / 1_000_000, quote % 1_000_000);
    whole * i128::from(fee_ppm) + rest * i128::from(fee_ppm) / 1_000_000
}
