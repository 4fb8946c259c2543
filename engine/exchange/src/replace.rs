//! Cancels and replaces.

use machine::{Context, EventBuffer};
use orderbook::{Book, Order, order_flags};
use protocol::{
    AccountId, AmountMinor, CancelOrder, CancelReason, ClientOrderId, DayEnded, EndDay, InstrumentId,
    MAX_PRICE_TICKS, MAX_QUANTITY_LOTS, NewOrder, OrderId, OrderReplaced, OrderTerms, OrderTermsReplaced,
    OrderType, PostOnly, PriceTicks, QuantityLots, RejectReason, ReplaceExtendedOrder, ReplaceOrder,
    ReplaceOrderTerms, Side, TimeInForce,
};

use crate::checks::{Judged, joins, takes};
use crate::client_index::NO_CLIENT_ID;
use crate::exchange::{Exchange, place};
use crate::instrument::Instrument;
use crate::makers::is_within;
use crate::pegs::target_of;
use crate::positions::PositionSlot;
use crate::settlement::{Incoming, hold_of, position_of};
use crate::special::{Place, Special, flags, leaves_of, side_of};
use crate::terms_check::has_own_price;

/// An order that is to be replaced, with what it is to become.
struct Change {
    order: Order,
    special: Option<Special>,
    side: Side,
    position: PositionSlot,
    /// All that was left of it.
    old_leaves_lots: QuantityLots,
    old_hold_minor: AmountMinor,
    leaves_lots: QuantityLots,
    /// The price asked for, or the one that the order keeps where it has none of its own.
    asked_ticks: PriceTicks,
    /// Limit or worst price from now on: the same, unless a post-only order slides.
    limit_ticks: PriceTicks,
    hold_minor: AmountMinor,
    /// Hash of its new client order id, or `None` if it keeps the one it has.
    new_id: Option<u32>,
    /// New trigger price; 0 if it stays.
    trigger_ticks: PriceTicks,
    /// New display quantity; 0 if it stays.
    display_lots: QuantityLots,
}

impl Change {
    fn place(&self) -> Place {
        self.special.map_or(Place::Active, |special| special.place())
    }

    fn terms(&self) -> OrderTerms {
        self.special.map_or(OrderTerms::default(), |special| special.terms)
    }

    /// Whether the order stays where it is.
    fn keeps_priority(&self) -> bool {
        let held_price = match &self.special {
            Some(special) => special.limit_ticks,
            None => self.order.price_ticks,
        };
        match self.place() {
            Place::Waiting => self.trigger_ticks == 0,
            Place::Parked | Place::Inactive => true,
            Place::Active => {
                held_price == self.asked_ticks
                    && self.leaves_lots < self.old_leaves_lots
                    && self.display_lots == 0
            }
        }
    }
}

/// What a replace changes beside price and quantity, if anything.
fn push_terms_replaced(change: &Change, events: &mut EventBuffer) {
    let shows_anew = change.place() == Place::Active && !change.keeps_priority();
    let display_lots = if shows_anew { change.display_lots } else { 0 };
    if change.trigger_ticks == 0 && display_lots == 0 {
        return;
    }
    events.push(&OrderTermsReplaced {
        order_id: change.order.order_id,
        trigger_price_ticks: change.trigger_ticks,
        display_lots,
        account: change.order.account,
        instrument: change.order.instrument,
        side: change.side.code(),
        reserved: [0; 7],
    });
}

impl<B: Book> Exchange<B> {
    pub(crate) fn cancel_order(
        &mut self,
        context: &Context,
        command: &CancelOrder,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        self.check_owner(command.account, command.instrument)?;
        let order = self.find_order(command.order_id, command.account, command.instrument)?;
        self.table.prefetch_around(command.order_id.slot());
        self.check_not_uncrossing(command.instrument)?;
        if order.flags & flags::EXTENDED == 0 {
            self.cancel_plain(order, command.client_order_id, events);
        } else {
            let slot = command.order_id.slot();
            self.cancel_live(slot, CancelReason::Requested, command.client_order_id, events);
        }
        if !self.instrument_at(command.instrument).state.is_plain() || !self.specials.duties.is_empty() {
            self.settle(context, command.instrument, events);
        }
        Ok(())
    }

    /// The short way of [`Exchange::cancel_live`] for a plain order.
    #[inline]
    fn cancel_plain(&mut self, order: Order, client_order_id: ClientOrderId, events: &mut EventBuffer) {
        let slot = order.order_id.slot();
        let instrument = self.instruments[place(order.instrument)].as_mut();
        let instrument = instrument.expect("a live order has an instrument");
        instrument.book.unlink(&mut self.table, slot);
        instrument.state.delist(&order);
        let side = order.side();
        let released_minor = hold_of(&instrument.terms, side, order.price_ticks, order.leaves_lots);
        let position = self.positions.at_mut(position_of(&order));
        *position.open_lots_mut(side) -= order.leaves_lots;
        position.open_orders -= 1;
        self.wallet.release(position.held(side), released_minor);
        self.clients.end(order.client_index, slot, order.account);
        self.table.remove(slot);
        let reason = CancelReason::Requested;
        events.push(&crate::settlement::canceled(&order, side, released_minor, reason, client_order_id));
    }

    pub(crate) fn replace_order(
        &mut self,
        context: &Context,
        command: &ReplaceOrder,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        let order = self.find_order(command.order_id, command.account, command.instrument);
        if let Ok(order) = order
            && self.is_fast_replace(&order)
        {
            return crate::replace_plain::replace(self, context, order, command, events);
        }
        let whole = ReplaceExtendedOrder { replace: *command, trigger_price_ticks: 0, display_lots: 0 };
        self.replace_extended_order(context, &whole, events)
    }

    /// Whether a replace meets nothing special: the order is plain, and so are its account and the instrument now.
    #[inline]
    fn is_fast_replace(&self, order: &Order) -> bool {
        order.flags & flags::EXTENDED == 0
            && self.instrument_of(order).state.is_plain()
            && self.accounts.is_plain(order.account)
            && self.positions.at(position_of(order)).risk == 0
            && !self.positions.at(position_of(order)).is_full(order.side())
    }

    pub(crate) fn replace_extended_order(
        &mut self,
        context: &Context,
        command: &ReplaceExtendedOrder,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        self.replace_special(context, command, false, events)
    }

    pub(crate) fn replace_order_terms(
        &mut self,
        context: &Context,
        ReplaceOrderTerms(command): &ReplaceOrderTerms,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        self.replace_special(context, command, true, events)
    }

    /// `tells` says that an event of its own tells which terms have changed.
    #[cold]
    #[inline(never)]
    fn replace_special(
        &mut self,
        context: &Context,
        command: &ReplaceExtendedOrder,
        tells: bool,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        let change = self.check_replace(context, command)?;
        let ReplaceOrder { account, instrument, .. } = command.replace;
        if !self.accounts.is_plain(account) {
            self.accounts.count_sent(account, context.timestamp_ns, 1);
        }
        self.move_hold(&change);
        self.rename(&change, &command.replace.client_order_id);
        if tells {
            push_terms_replaced(&change, events);
        }
        self.push_replaced(&change, command.replace.quantity_lots, events);
        self.carry_out(context, change, events);
        if self.instrument_at(instrument).state.is_plain() {
            self.settle_plain(context, instrument, events);
        } else {
            self.settle(context, instrument, events);
        }
        Ok(())
    }

    /// All stages ("Replace", step 1).
    fn check_replace(
        &self,
        context: &Context,
        command: &ReplaceExtendedOrder,
    ) -> Result<Change, RejectReason> {
        let ReplaceOrder { account, instrument, price_ticks, quantity_lots, .. } = command.replace;
        self.check_owner(account, instrument)?;
        let order = self.find_order(command.replace.order_id, account, instrument);
        let special = order.as_ref().ok().and_then(|order| self.specials.of(order)).copied();
        self.check_values(command, special.as_ref())?;
        let order = order?;
        let leaves_lots = quantity_lots - order.filled_lots;
        if leaves_lots <= 0 {
            return Err(RejectReason::QuantityBelowFilled);
        }
        let new_id = self.new_client_id(&order, &command.replace)?;
        let is_tied = |special: &Special| special.place() == Place::Inactive || joins(special.list_type);
        if special.as_ref().is_some_and(is_tied) {
            return Err(RejectReason::NotReplaceable);
        }
        let side = side_of(&order, special.as_ref());
        let kept_trigger = special.map_or(0, |special| special.terms.trigger_price_ticks);
        let mut change = Change {
            order,
            special,
            side,
            position: position_of(&order),
            old_leaves_lots: leaves_of(&self.table, &order),
            old_hold_minor: 0,
            leaves_lots,
            asked_ticks: price_ticks,
            limit_ticks: price_ticks,
            hold_minor: 0,
            new_id,
            trigger_ticks: if command.trigger_price_ticks == kept_trigger {
                0
            } else {
                command.trigger_price_ticks
            },
            display_lots: command.display_lots,
        };
        let of = self.instrument_at(instrument);
        self.resolve_change(of, &mut change)?;
        let hold_minor = of.terms.hold_minor(side, change.limit_ticks, leaves_lots);
        change.hold_minor = hold_minor.ok_or(RejectReason::NotionalTooLarge)?;
        change.old_hold_minor = match &special {
            Some(special) => special.hold_minor,
            None => hold_of(&of.terms, side, order.price_ticks, order.leaves_lots),
        };
        let balance = self.positions.at(change.position).held(side);
        if change.hold_minor - change.old_hold_minor > self.wallet.at(balance).available_minor() {
            return Err(RejectReason::InsufficientFunds);
        }
        self.judge_change(context, of, &change, quantity_lots, price_ticks)?;
        Ok(change)
    }

    /// Reasons 8 to 10, which presuppose the order where it is known.
    fn check_values(
        &self,
        command: &ReplaceExtendedOrder,
        special: Option<&Special>,
    ) -> Result<(), RejectReason> {
        if let Some(special) = special {
            let may_set_trigger = special.place() == Place::Waiting && special.terms.trail == 0;
            let trigger = command.trigger_price_ticks;
            let variation_lots = i64::from(special.terms.display_variation_lots);
            let display_lots = command.display_lots;
            let displays = special.terms.display_lots > 0
                && (1..=MAX_QUANTITY_LOTS).contains(&display_lots)
                && display_lots > variation_lots;
            if trigger != 0 && !(may_set_trigger && (1..=MAX_PRICE_TICKS).contains(&trigger))
                || display_lots != 0 && !displays
            {
                return Err(RejectReason::InvalidParameter);
            }
        } else if self.table.find(command.replace.order_id).is_some()
            && (command.trigger_price_ticks != 0 || command.display_lots != 0)
            && self.owns(&command.replace)
        {
            return Err(RejectReason::InvalidParameter);
        }
        let has_price = special.is_none_or(|special| {
            has_own_price(special.order_type) || special.order_type == OrderType::MarketToLimit.code()
        });
        let prices = if has_price { 1..=MAX_PRICE_TICKS } else { 0..=0 };
        if !prices.contains(&command.replace.price_ticks) {
            return Err(RejectReason::InvalidPrice);
        }
        if !(1..=MAX_QUANTITY_LOTS).contains(&command.replace.quantity_lots) {
            return Err(RejectReason::InvalidQuantity);
        }
        Ok(())
    }

    fn owns(&self, replace: &ReplaceOrder) -> bool {
        self.find_order(replace.order_id, replace.account, replace.instrument).is_ok()
    }

    /// Stage 2: the limit or worst price that the change comes to.
    fn resolve_change(&self, of: &Instrument<B>, change: &mut Change) -> Result<(), RejectReason> {
        let Some(special) = change.special else { return Ok(()) };
        if special.order_type == OrderType::Stop.code() && change.trigger_ticks != 0 {
            let worst = of.state.rules.collared(change.side, change.trigger_ticks);
            change.limit_ticks = worst.ok_or(RejectReason::NoCollar)?;
        } else if change.limit_ticks == 0 {
            change.limit_ticks = special.limit_ticks;
        }
        change.asked_ticks = change.limit_ticks;
        let slides = special.terms.post_only == PostOnly::Slide.code() && special.place() == Place::Active;
        if slides && !change.keeps_priority() {
            change.limit_ticks = self.slide(of, change.side, change.limit_ticks);
        }
        Ok(())
    }

    /// Stage 4.
    fn judge_change(
        &self,
        context: &Context,
        of: &Instrument<B>,
        change: &Change,
        quantity_lots: QuantityLots,
        price_ticks: PriceTicks,
    ) -> Result<(), RejectReason> {
        let account = change.order.account;
        let row = self.positions.at(change.position);
        let is_judged = row.risk != 0 || row.is_full(change.side);
        if of.state.is_plain() && self.accounts.is_plain(account) && !is_judged && change.special.is_none() {
            return Ok(());
        }
        self.check_status(account)?;
        let order_type = change.special.map_or(OrderType::Limit.code(), |special| special.order_type);
        let is_limit_now = order_type == OrderType::MarketToLimit.code();
        let like = NewOrder {
            order_type: if is_limit_now { OrderType::Limit.code() } else { order_type },
            time_in_force: change.order.time_in_force,
            ..NewOrder::default()
        };
        let terms = OrderTerms { minimum_lots: 0, budget_minor: 0, ..change.terms() };
        if !takes(of, &like, &terms) {
            return Err(RejectReason::WrongPhase);
        }
        let judged = Judged {
            side: change.side,
            own_ticks: if price_ticks == 0 { 0 } else { change.limit_ticks },
            limit: Some(change.limit_ticks),
            quantity_lots,
            added_lots: change.leaves_lots - change.old_leaves_lots,
            is_new: false,
            before: 0,
        };
        self.check_rules_and_risk(context, of, account, &judged)?;
        if change.place() == Place::Active && terms.post_only != 0 && !change.keeps_priority() {
            let best = self.best_that_counts(of, change.side.opposite());
            if best.is_some_and(|best| is_within(change.side.opposite(), best, Some(change.limit_ticks))) {
                return Err(RejectReason::WouldTake);
            }
        }
        Ok(())
    }

    fn move_hold(&mut self, change: &Change) {
        let balance = self.positions.at(change.position).held(change.side);
        if change.hold_minor >= change.old_hold_minor {
            let more = self.wallet.reserve(balance, change.hold_minor - change.old_hold_minor);
            more.expect("the checks found it available");
        } else {
            self.wallet.release(balance, change.old_hold_minor - change.hold_minor);
        }
    }

    fn push_replaced(&self, change: &Change, quantity_lots: QuantityLots, events: &mut EventBuffer) {
        let order = self.table.get(change.order.order_id.slot()).expect("a live order is in the table");
        events.push(&OrderReplaced {
            order_id: order.order_id,
            price_ticks: change.limit_ticks,
            quantity_lots,
            leaves_lots: change.leaves_lots,
            hold_minor: change.hold_minor,
            account: order.account,
            instrument: order.instrument,
            client_order_id: self.clients.id(order.client_index, order.order_id.slot()),
            side: change.side.code(),
            kept_priority: u8::from(change.keeps_priority()),
            reserved: [0; 2],
        });
    }

    fn carry_out(&mut self, context: &Context, change: Change, events: &mut EventBuffer) {
        let slot = change.order.order_id.slot();
        let kept = change.keeps_priority();
        if change.special.is_some() {
            let special = self.specials.at_mut(slot);
            special.hold_minor = change.hold_minor;
            if kept {
                special.limit_ticks = change.limit_ticks;
            }
        }
        match change.place() {
            Place::Waiting | Place::Parked | Place::Inactive => self.change_aside(&change),
            Place::Active if kept => self.reduce(&change),
            Place::Active => self.requeue(context, &change, events),
        }
    }

    /// Changes an order that is in no book where it is.
    fn change_aside(&mut self, change: &Change) {
        let slot = change.order.order_id.slot();
        let added_lots = change.leaves_lots - change.old_leaves_lots;
        *self.positions.at_mut(change.position).open_lots_mut(change.side) += added_lots;
        let special = self.specials.at_mut(slot);
        special.limit_ticks = change.limit_ticks;
        if change.place() == Place::Waiting {
            let source = special.terms.trigger;
            let instrument = self.instruments[place(change.order.instrument)].as_mut();
            let book = instrument.expect("a live order has an instrument").triggers(source);
            book.reduce(&mut self.table, slot, change.leaves_lots);
            if change.trigger_ticks != 0 {
                self.set_trigger(slot, change.trigger_ticks);
            }
        } else {
            let order = self.table.get_mut(slot).expect("a live order is in the table");
            order.leaves_lots = change.leaves_lots;
            order.price_ticks = change.limit_ticks;
        }
    }

    /// Less of an order that keeps its place; a reserve shrinks first.
    fn reduce(&mut self, change: &Change) {
        let slot = change.order.order_id.slot();
        let less_lots = change.old_leaves_lots - change.leaves_lots;
        *self.positions.at_mut(change.position).open_lots_mut(change.side) -= less_lots;
        let mut shown_lots = change.leaves_lots;
        if change.order.flags & order_flags::RESERVE != 0 {
            shown_lots = change.order.leaves_lots.min(change.leaves_lots);
            let reserve = self.table.reserve(slot);
            let lots = change.leaves_lots - shown_lots;
            self.table.set_reserve(slot, orderbook::Reserve { lots, ..reserve });
        }
        let is_hidden = change.special.is_some_and(|special| special.is_hidden());
        let instrument = self.instruments[place(change.order.instrument)].as_mut();
        let instrument = instrument.expect("a live order has an instrument");
        let book = if is_hidden { &mut instrument.hidden } else { &mut instrument.book };
        book.reduce(&mut self.table, slot, shown_lots);
    }

    /// Takes a replaced order out of its queue and lets it come in like a new one.
    fn requeue(&mut self, context: &Context, change: &Change, events: &mut EventBuffer) {
        let slot = change.order.order_id.slot();
        let mut incoming = self.take_back(slot);
        incoming.order.leaves_lots = change.leaves_lots;
        incoming.order.price_ticks = change.limit_ticks;
        incoming.hold_minor = change.hold_minor;
        incoming.limit = Some(change.limit_ticks);
        incoming.hold_ticks = incoming.limit;
        if change.special.is_some() {
            self.reshape(slot, change, &mut incoming);
        }
        self.come_in(context, incoming, 0, events);
    }

    fn reshape(&mut self, slot: u32, change: &Change, incoming: &mut Incoming) {
        let special = self.specials.at_mut(slot);
        special.limit_ticks = change.limit_ticks;
        if change.display_lots != 0 {
            special.terms.display_lots = change.display_lots;
        }
        let terms = special.terms;
        if terms.peg == 0 {
            return;
        }
        let instrument = self.instrument_at(change.order.instrument);
        let kept = match change.side {
            Side::Buy => change.order.price_ticks.min(change.limit_ticks),
            Side::Sell => change.order.price_ticks.max(change.limit_ticks),
        };
        let target = target_of(instrument, change.side, &terms, change.limit_ticks).unwrap_or(kept);
        incoming.order.price_ticks = target;
        incoming.limit = Some(target);
    }

    pub(crate) fn end_day(
        &mut self,
        context: &Context,
        command: &EndDay,
        events: &mut EventBuffer,
    ) -> Result<(), RejectReason> {
        if !self.has_instrument(command.instrument) {
            return Err(RejectReason::UnknownInstrument);
        }
        self.check_not_uncrossing(command.instrument)?;
        let mut left = self.limits.fills_per_command;
        let mut slot = 0;
        while left > 0 && self.instrument_at(command.instrument).state.day_orders > 0 {
            assert!(slot < self.table.capacity(), "a day order is counted that is not in the table");
            let order = self.table.get(slot);
            if order.is_some_and(|order| is_day_order(order, command.instrument)) {
                self.cancel_live(slot, CancelReason::DayEnded, ClientOrderId::NONE, events);
                self.steps += 1;
                left -= 1;
            }
            slot += 1;
        }
        let remaining_orders = self.instrument_at(command.instrument).state.day_orders;
        events.push(&DayEnded { instrument: command.instrument, remaining_orders });
        self.settle(context, command.instrument, events);
        Ok(())
    }

    #[inline]
    fn check_owner(&self, account: AccountId, instrument: InstrumentId) -> Result<(), RejectReason> {
        if !self.wallet.is_client(account) {
            return Err(RejectReason::UnknownAccount);
        }
        if !self.has_instrument(instrument) {
            return Err(RejectReason::UnknownInstrument);
        }
        Ok(())
    }

    /// `WrongPhase` while an uncross is at work: its price holds for the orders that were there when it was found.
    #[inline]
    fn check_not_uncrossing(&self, instrument: InstrumentId) -> Result<(), RejectReason> {
        let uncrosses = self.instrument_at(instrument).state.uncross.is_some();
        if uncrosses { Err(RejectReason::WrongPhase) } else { Ok(()) }
    }

    /// The live order that a cancel or replace names.
    #[inline]
    fn find_order(
        &self,
        order_id: OrderId,
        account: AccountId,
        instrument: InstrumentId,
    ) -> Result<Order, RejectReason> {
        let order = self.table.find(order_id);
        let order = order.filter(|order| order.account == account && order.instrument == instrument);
        order.copied().ok_or(RejectReason::UnknownOrder)
    }

    /// The hash of the order's new client order id, or `None` if it keeps the one it has.
    #[inline]
    pub(crate) fn new_client_id(
        &self,
        order: &Order,
        command: &ReplaceOrder,
    ) -> Result<Option<u32>, RejectReason> {
        let id = &command.client_order_id;
        let hash = self.clients.hash(order.account, id);
        // Nearly all that agree in the hash are the same: what the order has need not be looked at where they do not.
        let may_be_same = hash == order.client_index;
        if hash == NO_CLIENT_ID || (may_be_same && self.clients.has_id(order.order_id.slot(), id)) {
            return Ok(None);
        }
        self.clients.prefetch_place(order.order_id.slot());
        if self.clients.is_used(&self.table, hash, order.account, id) {
            return Err(RejectReason::DuplicateClientOrderId);
        }
        Ok(Some(hash))
    }

    /// Gives an order its new client order id.
    #[inline]
    fn rename(&mut self, change: &Change, id: &ClientOrderId) {
        let Some(client_index) = change.new_id else { return };
        let Order { order_id, account, .. } = change.order;
        let slot = order_id.slot();
        self.clients.rename(change.order.client_index, client_index, slot, account, id);
        self.table.get_mut(slot).expect("a live order is in the table").client_index = client_index;
    }
}

fn is_day_order(order: &Order, instrument: InstrumentId) -> bool {
    order.instrument == instrument && order.time_in_force == TimeInForce::Day.code()
}
