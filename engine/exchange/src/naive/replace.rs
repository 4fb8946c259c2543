//! Changes of live orders.

use machine::EventBuffer;
use protocol::{
    OrderReplaced, OrderTermsReplaced, OrderType, RejectReason, Rejected, ReplaceExtendedOrder, ReplaceOrder,
    TimeInForce,
};

use super::checks::Reasons;
use super::order::{LiveOrder, Place};
use super::rules::Judged;
use super::terms::price_fits;
use super::{MAX_40_BITS, MAX_AMOUNT, NaiveExchange, names};

/// What a replace makes of an order.
struct Change {
    new: LiveOrder,
    keeps_place: bool,
    hold: i128,
}

impl NaiveExchange {
    pub(crate) fn replace(
        &mut self,
        it: &ReplaceExtendedOrder,
        tells_terms: bool,
        events: &mut EventBuffer,
    ) -> Result<(), Rejected> {
        let checked = self.check_replace(it);
        let Change { new, keeps_place, hold } =
            checked.map_err(|reason| names::reject(reason, names::of_replace(&it.replace)))?;
        let slot = new.id.slot();
        let (old_clock, waits) = (new.clock(), !new.is_in_book());
        self.count_order(new.account);
        let old_id = self.orders[&slot].client_order_id;
        if old_id != new.client_order_id {
            self.remember_id(new.account, old_id);
        }
        let before = self.orders.insert(slot, new).expect("it lives");
        self.set_hold(slot, hold);
        let new = &self.orders[&slot];
        let told = |new: i64, old: i64| if new == old { 0 } else { new };
        let trigger_price_ticks = told(new.trigger, before.trigger);
        let shows_anew = before.is_in_book() && !keeps_place;
        let display_lots = if shows_anew { it.display_lots } else { 0 };
        if tells_terms && (trigger_price_ticks != 0 || display_lots != 0) {
            events.push(&OrderTermsReplaced {
                order_id: new.id,
                trigger_price_ticks,
                display_lots,
                account: new.account,
                instrument: new.instrument,
                side: new.side.code(),
                reserved: [0; 7],
            });
        }
        events.push(&OrderReplaced {
            order_id: new.id,
            price_ticks: new.price,
            quantity_lots: new.quantity,
            leaves_lots: new.leaves(),
            hold_minor: hold as i64,
            account: new.account,
            instrument: new.instrument,
            client_order_id: new.client_order_id,
            side: new.side.code(),
            kept_priority: u8::from(keeps_place),
            reserved: [0; 2],
        });
        if !keeps_place && waits {
            let clock = self.tick();
            debug_assert!(clock > old_clock);
            self.order_mut(slot).place = Place::Trigger(clock);
        } else if !keeps_place {
            self.order_mut(slot).place = Place::Nowhere;
            self.match_or_rest(slot, events);
        }
        self.leave_work(it.replace.instrument);
        Ok(())
    }

    /// All four stages, and what comes of the order.
    fn check_replace(&self, it: &ReplaceExtendedOrder) -> Result<Change, RejectReason> {
        let ReplaceOrder { order_id, account, instrument, .. } = it.replace;
        self.check_form(it.replace.reserved == 0 && it.replace.client_order_id.is_well_formed())?;
        let order = self.live(order_id, account, instrument);
        self.check_replace_form(it, order)?;
        let old = order.expect("it was checked");
        let (change, would_take) = self.change(it, old)?;
        let mut reasons = Reasons::default();
        reasons.unless(change.hold <= MAX_AMOUNT, RejectReason::NotionalTooLarge);
        let available = self.available_for(account, instrument, old.side);
        reasons.unless(change.hold - old.hold <= available, RejectReason::InsufficientFunds);
        reasons.result()?;
        let new = &change.new;
        let judged = Judged {
            account,
            instrument,
            side: new.side,
            price: new.price,
            own_price: !new.has_worst_price(),
            quantity: new.quantity,
            growth: new.quantity - old.quantity,
            is_new: false,
            before: 0,
            collectable: !new.is_pegged() && new.terms.post_only == 0,
            time_in_force: new.time_in_force,
            would_take,
        };
        Reasons(self.rules_and_risk(&judged)).result()?;
        Ok(change)
    }

    /// Stage 1.
    fn check_replace_form(
        &self,
        it: &ReplaceExtendedOrder,
        order: Option<&LiveOrder>,
    ) -> Result<(), RejectReason> {
        let ReplaceOrder { price_ticks, quantity_lots, account, instrument, client_order_id, .. } =
            it.replace;
        let mut reasons = Reasons::default();
        self.check_party(account, instrument, &mut reasons);
        let by_worst_price = order.is_some_and(LiveOrder::has_worst_price);
        let price_type = if by_worst_price { OrderType::Market } else { OrderType::Limit };
        reasons.unless(price_fits(price_type, price_ticks), RejectReason::InvalidPrice);
        reasons.unless((1..=MAX_40_BITS).contains(&quantity_lots), RejectReason::InvalidQuantity);
        reasons.unless(order.is_some(), RejectReason::UnknownOrder);
        if let Some(order) = order {
            let waits = order.waits_for_trigger() && order.terms.trail == 0;
            let range = 1..=MAX_40_BITS;
            let trigger = it.trigger_price_ticks;
            let trigger_fits = trigger == 0 || waits && range.contains(&trigger);
            let variation = i64::from(order.terms.display_variation_lots);
            let display = it.display_lots;
            let is_iceberg = order.terms.display_lots > 0;
            let display_fits = display == 0 || is_iceberg && range.contains(&display) && display > variation;
            reasons.unless(trigger_fits && display_fits, RejectReason::InvalidParameter);
            reasons.unless(quantity_lots > order.filled, RejectReason::QuantityBelowFilled);
            let own_id = client_order_id == order.client_order_id;
            let free = own_id || self.client_id_is_free(account, &client_order_id);
            reasons.unless(free, RejectReason::DuplicateClientOrderId);
            reasons.unless(!order.of_list, RejectReason::NotReplaceable);
        }
        reasons.result()
    }

    /// Stage 2: the order as it will be; and whether it is post-only and would trade.
    fn change(&self, it: &ReplaceExtendedOrder, old: &LiveOrder) -> Result<(Change, bool), RejectReason> {
        let mut new = old.clone();
        new.quantity = it.replace.quantity_lots;
        if !it.replace.client_order_id.is_none() {
            new.client_order_id = it.replace.client_order_id;
        }
        if !old.has_worst_price() {
            new.price = it.replace.price_ticks;
        }
        let new_trigger = it.trigger_price_ticks != 0 && it.trigger_price_ticks != old.trigger;
        if new_trigger {
            new.trigger = it.trigger_price_ticks;
            if old.order_type == OrderType::Stop {
                let worst = self.markets[&old.instrument].worst_price(old.side, new.trigger);
                new.price = worst.ok_or(RejectReason::NoCollar)?;
            }
        }
        let keeps_place = if old.is_in_book() {
            new.price == old.price && new.quantity < old.quantity && it.display_lots == 0
        } else {
            !new_trigger
        };
        let mut would_take = false;
        if old.is_in_book() && !keeps_place {
            if it.display_lots != 0 {
                new.terms.display_lots = it.display_lots;
            }
            match self.post_only_price(old.instrument, old.side, new.price, old.terms.post_only) {
                Ok(price) => new.price = price,
                Err(()) => would_take = true,
            }
            new.reserve = 0;
        } else {
            new.reserve = (old.reserve - (old.quantity - new.quantity)).max(0);
        }
        if !old.is_pegged() {
            new.book_price = new.price;
        } else if !keeps_place {
            let kept = if old.side == protocol::Side::Buy {
                old.book_price.min(new.price)
            } else {
                old.book_price.max(new.price)
            };
            new.book_price = self.target_of(&new).unwrap_or(kept);
        }
        debug_assert!(old.place != Place::ForTheClose || old.time_in_force == TimeInForce::AtTheClose);
        let hold = self.need_of(&new);
        Ok((Change { new, keeps_place, hold }, would_take))
    }
}
