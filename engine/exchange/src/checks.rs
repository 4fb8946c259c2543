//! Checks of a new order, in the four stages of `docs/exchange.md`, "Order of checks".

use machine::Context;
use orderbook::Book;
use protocol::{
    AccountId, AmountMinor, BandAction, ListType, MAX_ALL_OR_NONE_ORDERS, MAX_AMOUNT_MINOR,
    MAX_PEGGED_ORDERS, MAX_QUANTITY_LOTS, MAX_TRAILING_ORDERS, NewExtendedOrder, NewOrder, OrderTerms,
    OrderType, Phase, PostOnly, PriceTicks, QuantityLots, RejectReason, SelfTradePrevention, SetRiskLimits,
    Side, TimeInForce, term_flags,
};
use wallet::BalanceSlot;

use crate::exchange::{Exchange, place};
use crate::instrument::Instrument;
use crate::makers::{Ahead, is_within};
use crate::pegs::target_of;
use crate::positions::Position;
use crate::settlement::Incoming;
use crate::terms_check::{check_form, has_own_price, is_plain_kind};
use crate::triggers::first_trigger;

/// An order that has passed its checks, with what they found out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    pub(crate) client_hash: u32,
    pub(crate) side: Side,
    /// Limit or worst price; `None` for a market order without one.
    pub(crate) limit: Option<PriceTicks>,
    pub(crate) quantity_lots: QuantityLots,
    pub(crate) hold_minor: AmountMinor,
    /// Trigger price of an order that waits, else 0.
    pub(crate) trigger_ticks: PriceTicks,
    /// Where a pegged order comes in, else 0.
    pub(crate) target_ticks: PriceTicks,
    /// Whether the hold is for what is bought now and not for the limit.
    pub(crate) is_prepaid: bool,
}

/// What an order's terms come to at the prices of now.
#[derive(Clone, Copy, Debug, Default)]
struct Resolved {
    limit: Option<PriceTicks>,
    quantity_lots: QuantityLots,
    trigger_ticks: PriceTicks,
    target_ticks: PriceTicks,
    /// Hold of a spend-budget order.
    budgeted_minor: Option<AmountMinor>,
}

/// How an order comes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// By itself.
    Alone,
    /// In a list, which has a slot for it.
    Listed,
    /// In a list, to wait for the first of it.
    Inactive,
}

/// The parts of a judgement of rules and risk that new orders and replaces share.
pub(crate) struct Judged {
    pub(crate) side: Side,
    /// Limit price of its own; 0 for none.
    pub(crate) own_ticks: PriceTicks,
    pub(crate) limit: Option<PriceTicks>,
    pub(crate) quantity_lots: QuantityLots,
    /// What it adds to the account's open quantity.
    pub(crate) added_lots: QuantityLots,
    pub(crate) is_new: bool,
    /// Orders that are entered together with it and before it.
    pub(crate) before: u32,
}

impl<B: Book> Exchange<B> {
    /// All stages for a new order; `before` are the orders of its list that will be accepted with it, up to itself.
    pub(crate) fn check_order(
        &self,
        context: &Context,
        order: &NewOrder,
        terms: &OrderTerms,
        arrival: Arrival,
        before: &[NewExtendedOrder],
    ) -> Result<Ticket, RejectReason> {
        if !self.wallet.is_client(order.account) {
            return Err(RejectReason::UnknownAccount);
        }
        let instrument = self.instruments.get(place(order.instrument)).and_then(Option::as_ref);
        let instrument = instrument.ok_or(RejectReason::UnknownInstrument)?;
        check_form(order, terms, context.timestamp_ns)?;
        let id = &order.client_order_id;
        let client_hash = self.clients.hash(order.account, id);
        let repeats = !id.is_none() && before.iter().any(|other| other.order.client_order_id == *id);
        if repeats || self.clients.is_used(&self.table, client_hash, order.account, id) {
            return Err(RejectReason::DuplicateClientOrderId);
        }
        if is_one_too_many(instrument, terms) {
            return Err(RejectReason::TooManyConditional);
        }
        let self_trade_prevention = match order.self_trade_prevention {
            0 => self.accounts.get(order.account).self_trade_prevention,
            mode => mode,
        };
        let side = side_of_code(order.side);
        let skips_own = self_trade_prevention == SelfTradePrevention::CancelOldest.code();
        let resolved = self.resolve(instrument, order, terms, skips_own)?;
        let mut hold_minor = 0;
        if arrival != Arrival::Inactive {
            let hold = self.required_hold(instrument, order, &resolved, skips_own);
            hold_minor = hold.ok_or(RejectReason::NotionalTooLarge)?;
            if arrival == Arrival::Alone && self.table.next_slot().is_none() {
                return Err(RejectReason::OrderTableFull);
            }
            self.check_balances(instrument, order.account, side, hold_minor)?;
        }
        let judged = Judged {
            side,
            own_ticks: if order.price_ticks == 0 { 0 } else { resolved.limit.unwrap_or(order.price_ticks) },
            limit: resolved.limit,
            quantity_lots: resolved.quantity_lots,
            // What waits inactive is no open quantity yet: its position is looked at when it is set free.
            added_lots: if arrival == Arrival::Inactive { 0 } else { resolved.quantity_lots },
            is_new: true,
            before: before.len() as u32,
        };
        if arrival == Arrival::Inactive {
            self.check_rules_and_risk(context, instrument, order.account, &judged)?;
        } else {
            self.check_stage_four(context, instrument, order, terms, &judged)?;
        }
        Ok(Ticket {
            client_hash,
            side,
            limit: resolved.limit,
            quantity_lots: resolved.quantity_lots,
            hold_minor,
            trigger_ticks: resolved.trigger_ticks,
            target_ticks: resolved.target_ticks,
            is_prepaid: resolved.budgeted_minor.is_some(),
        })
    }

    fn check_stage_four(
        &self,
        context: &Context,
        instrument: &Instrument<B>,
        order: &NewOrder,
        terms: &OrderTerms,
        judged: &Judged,
    ) -> Result<(), RejectReason> {
        self.check_status(order.account)?;
        if !takes(instrument, order, terms) {
            return Err(RejectReason::WrongPhase);
        }
        self.check_rules_and_risk(context, instrument, order.account, judged)?;
        if terms.post_only == PostOnly::Reject.code() || terms.post_only == PostOnly::Slide.code() {
            // A price that could slide has slid: what still meets an order has no price left.
            let best = self.best_that_counts(instrument, judged.side.opposite());
            if best.is_some_and(|best| is_within(judged.side.opposite(), best, judged.limit)) {
                return Err(RejectReason::WouldTake);
            }
        }
        let known = self.positions.find(order.account, order.instrument);
        if known.is_none() && self.positions.is_full() {
            return Err(RejectReason::PositionTableFull);
        }
        Ok(())
    }

    /// `AccountSuspended`.
    pub(crate) fn check_status(&self, account: AccountId) -> Result<(), RejectReason> {
        let suspended = !self.accounts.is_plain(account) && self.accounts.get(account).status != 0;
        if suspended { Err(RejectReason::AccountSuspended) } else { Ok(()) }
    }

    /// Reasons 22 to 31.
    pub(crate) fn check_rules_and_risk(
        &self,
        context: &Context,
        instrument: &Instrument<B>,
        account: AccountId,
        judged: &Judged,
    ) -> Result<(), RejectReason> {
        check_rules(instrument, judged)?;
        let position = self.positions.find(account, instrument.created.instrument);
        let position = position.map(|slot| *self.positions.at(slot));
        let of = instrument.created.instrument;
        let own = position.map_or_else(|| self.risk.number(account, of), |position| position.risk);
        check_risk(instrument, &self.limits_of(instrument, own), position.as_ref(), judged)?;
        if !self.accounts.is_plain(account)
            && !self.accounts.may_send(account, context.timestamp_ns, judged.before)
        {
            return Err(RejectReason::RateLimited);
        }
        Ok(())
    }

    /// The risk limits that count, given the number of the account's own (0: none).
    fn limits_of(&self, instrument: &Instrument<B>, own: u32) -> SetRiskLimits {
        let index = if own != 0 { own } else { instrument.state.risk };
        self.risk.at(index).copied().unwrap_or_default()
    }

    /// Whether an order that is to become active would take its account's position beyond a limit.
    pub(crate) fn exceeds_position(&self, incoming: &Incoming) -> bool {
        let position = self.positions.at(incoming.position);
        let limits = self.limits_of(self.instrument_of(&incoming.order), position.risk);
        exceeds_position(&limits, Some(position), incoming.side, incoming.order.leaves_lots)
    }

    /// Stage 2: the price, quantity and trigger that an order stands for.
    fn resolve(
        &self,
        instrument: &Instrument<B>,
        order: &NewOrder,
        terms: &OrderTerms,
        skips_own: bool,
    ) -> Result<Resolved, RejectReason> {
        let side = side_of_code(order.side);
        let rules = &instrument.state.rules;
        let best = instrument.book.best(side.opposite());
        let mut resolved = Resolved {
            limit: has_own_price(order.order_type).then_some(order.price_ticks),
            quantity_lots: order.quantity_lots,
            ..Resolved::default()
        };
        match OrderType::from_code(order.order_type) {
            Some(OrderType::Market) if is_for_auction(order) => {
                let worst = rules.collared(side, instrument.state.reference_ticks);
                resolved.limit = Some(worst.ok_or(RejectReason::NoCollar)?);
            }
            Some(OrderType::Market) => {
                resolved.limit = best.and_then(|best| rules.collared(side, best));
                if terms.budget_minor > 0 {
                    self.spend(instrument, order, terms.budget_minor, skips_own, &mut resolved)?;
                }
            }
            Some(OrderType::MarketToLimit) => {
                resolved.limit = Some(best.ok_or(RejectReason::NoLiquidity)?);
            }
            Some(OrderType::Stop) => {
                let trigger = first_trigger(instrument, side, terms).ok_or(RejectReason::NoLiquidity)?;
                resolved.trigger_ticks = trigger;
                resolved.limit = Some(rules.collared(side, trigger).ok_or(RejectReason::NoCollar)?);
            }
            Some(OrderType::StopLimit) => {
                let trigger = first_trigger(instrument, side, terms);
                resolved.trigger_ticks = trigger.ok_or(RejectReason::NoLiquidity)?;
            }
            Some(OrderType::Pegged) => {
                let target = target_of(instrument, side, terms, order.price_ticks);
                resolved.target_ticks = target.ok_or(RejectReason::NoLiquidity)?;
            }
            Some(OrderType::Limit) | None => {
                if terms.post_only == PostOnly::Slide.code() {
                    resolved.limit = Some(self.slide(instrument, side, order.price_ticks));
                }
            }
        }
        Ok(resolved)
    }

    /// Where a sliding post-only order goes; where it was if there is no price left.
    pub(crate) fn slide(
        &self,
        instrument: &Instrument<B>,
        side: Side,
        price_ticks: PriceTicks,
    ) -> PriceTicks {
        let best = self.best_that_counts(instrument, side.opposite());
        let Some(best) = best.filter(|&best| is_within(side.opposite(), best, Some(price_ticks))) else {
            return price_ticks;
        };
        let slid = match side {
            Side::Buy => instrument.state.rules.next_tick_below(best),
            Side::Sell => instrument.state.rules.next_tick_above(best),
        };
        slid.unwrap_or(price_ticks)
    }

    /// The best price of a side, all-or-none orders aside.
    pub(crate) fn best_that_counts(&self, instrument: &Instrument<B>, side: Side) -> Option<PriceTicks> {
        let ahead = Ahead { instrument, table: &self.table, specials: &self.specials };
        ahead.best(side, |order| !self.specials.at(order.order_id.slot()).is_all_or_none())
    }

    /// How much a budget buys, and what that costs.
    fn spend(
        &self,
        instrument: &Instrument<B>,
        order: &NewOrder,
        budget_minor: AmountMinor,
        skips_own: bool,
        resolved: &mut Resolved,
    ) -> Result<(), RejectReason> {
        let terms = &instrument.terms;
        let most_lots = if order.quantity_lots > 0 { order.quantity_lots } else { MAX_QUANTITY_LOTS };
        let cost = |sum: i128| {
            let quote_minor = terms.quote_minor_of_sum(sum)?;
            Some(quote_minor + terms.taker_fee_minor(quote_minor))
        };
        let covers = |sum: i128| cost(sum).is_some_and(|cost_minor| cost_minor <= budget_minor);
        let ahead = Ahead { instrument, table: &self.table, specials: &self.specials };
        let walk = |most_lots: QuantityLots| {
            let (mut lots, mut sum) = (0, 0i128);
            for (price_ticks, offered_lots) in
                ahead.budgeted(order.account, skips_own, resolved.limit, self.limits.fills_per_command)
            {
                let wanted_lots = offered_lots.min(most_lots - lots);
                let sum_with = |more: QuantityLots| sum + i128::from(more) * i128::from(price_ticks);
                let taken_lots = most_covered(wanted_lots, |more| covers(sum_with(more)));
                (lots, sum) = (lots + taken_lots, sum_with(taken_lots));
                if taken_lots < offered_lots {
                    break;
                }
            }
            (lots, sum)
        };
        let (mut lots, mut sum) = walk(most_lots);
        // A budget says nothing of lots, so it is for the exchange to find a quantity that its round lot allows.
        let off_round_lots = instrument.state.rules.off_round_lot(lots);
        if off_round_lots > 0 {
            (lots, sum) = walk(lots - off_round_lots);
        }
        if lots == 0 {
            return Err(RejectReason::BudgetTooSmall);
        }
        resolved.quantity_lots = lots;
        resolved.budgeted_minor = cost(sum);
        Ok(())
    }

    /// What an order must have reserved, or `None` above [`MAX_AMOUNT_MINOR`].
    fn required_hold(
        &self,
        instrument: &Instrument<B>,
        order: &NewOrder,
        resolved: &Resolved,
        skips_own: bool,
    ) -> Option<AmountMinor> {
        let side = side_of_code(order.side);
        let terms = &instrument.terms;
        match (resolved.budgeted_minor, resolved.limit) {
            (Some(hold_minor), _) => Some(hold_minor),
            (None, Some(limit)) => terms.hold_minor(side, limit, resolved.quantity_lots),
            (None, None) if side == Side::Sell => terms.base_minor(resolved.quantity_lots),
            (None, None) => self.market_cost(instrument, order.account, resolved.quantity_lots, skips_own),
        }
    }

    /// What a market buy without a worst price must have reserved.
    pub(crate) fn market_cost(
        &self,
        instrument: &Instrument<B>,
        account: AccountId,
        quantity_lots: QuantityLots,
        skips_own: bool,
    ) -> Option<AmountMinor> {
        // It can meet no more of them, so they are all that it can cost.
        let max_orders = self.limits.fills_per_command;
        let ticks_times_lots = if instrument.state.hidden_orders == 0 && !skips_own {
            instrument.book.cost(&self.table, Side::Buy, quantity_lots, max_orders).ticks_times_lots
        } else {
            let ahead = Ahead { instrument, table: &self.table, specials: &self.specials };
            ahead.cost(account, skips_own, quantity_lots, max_orders)
        };
        let quote_minor = instrument.terms.quote_minor_of_sum(ticks_times_lots)?;
        let hold_minor = quote_minor + instrument.terms.taker_fee_minor(quote_minor);
        (hold_minor <= MAX_AMOUNT_MINOR).then_some(hold_minor)
    }

    /// `BalanceTableFull` and `InsufficientFunds`.
    pub(crate) fn check_balances(
        &self,
        instrument: &Instrument<B>,
        account: AccountId,
        side: Side,
        hold_minor: AmountMinor,
    ) -> Result<(), RejectReason> {
        let created = &instrument.created;
        let (base, quote) = match self.positions.find(account, created.instrument) {
            Some(slot) => {
                let position = self.positions.at(slot);
                (Some(position.base), Some(position.quote))
            }
            None => (
                self.wallet.find(account, created.base_asset),
                self.wallet.find(account, created.quote_asset),
            ),
        };
        if self.wallet.free_balances() < 3 {
            let fees = self.wallet.find(AccountId::FEES, created.quote_asset);
            let missing = [base, quote, fees].iter().filter(|slot| slot.is_none()).count();
            if missing > self.wallet.free_balances() {
                return Err(RejectReason::BalanceTableFull);
            }
        }
        let held: Option<BalanceSlot> = match side {
            Side::Buy => quote,
            Side::Sell => base,
        };
        if hold_minor > held.map_or(0, |slot| self.wallet.at(slot).available_minor()) {
            return Err(RejectReason::InsufficientFunds);
        }
        Ok(())
    }
}

/// The largest number up to `wanted` that `covers` accepts, given that it accepts all below one that it accepts.
fn most_covered(wanted: QuantityLots, covers: impl Fn(QuantityLots) -> bool) -> QuantityLots {
    if covers(wanted) {
        return wanted;
    }
    let (mut good, mut bad) = (0, wanted);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if covers(middle) { good = middle } else { bad = middle }
    }
    good
}

fn is_for_auction(order: &NewOrder) -> bool {
    order.time_in_force == TimeInForce::AtTheOpening.code()
        || order.time_in_force == TimeInForce::AtTheClose.code()
}

/// A side whose code has been checked.
#[inline]
pub(crate) fn side_of_code(code: u8) -> Side {
    if code == Side::Buy.code() { Side::Buy } else { Side::Sell }
}

fn is_one_too_many<B>(instrument: &Instrument<B>, terms: &OrderTerms) -> bool {
    let state = &instrument.state;
    terms.peg != 0 && state.pegged.length >= MAX_PEGGED_ORDERS
        || terms.trail != 0 && state.trailing.length >= MAX_TRAILING_ORDERS
        || terms.flags & term_flags::ALL_OR_NONE != 0 && state.all_or_none_orders >= MAX_ALL_OR_NONE_ORDERS
}

/// Whether the phase takes such an order ("Phases").
pub(crate) fn takes<B>(instrument: &Instrument<B>, order: &NewOrder, terms: &OrderTerms) -> bool {
    let state = &instrument.state;
    let opening = order.time_in_force == TimeInForce::AtTheOpening.code();
    if state.uncross.is_some() {
        return false;
    }
    match state.phase {
        Phase::Continuous => !opening,
        Phase::Closed | Phase::Halted => false,
        Phase::PreOpen | Phase::OpeningAuction => can_be_collected(order, terms),
        Phase::VolatilityAuction | Phase::ClosingAuction => !opening && can_be_collected(order, terms),
    }
}

fn can_be_collected(order: &NewOrder, terms: &OrderTerms) -> bool {
    let immediate = is_plain_kind(order) && !crate::special::may_rest(order.time_in_force);
    let matched_at_once = order.order_type == OrderType::MarketToLimit.code()
        || order.order_type == OrderType::Pegged.code()
        || terms.minimum_lots != 0
        || terms.post_only != 0
        || terms.budget_minor != 0;
    !immediate && !matched_at_once
}

/// Reasons 22 to 25.
fn check_rules<B>(instrument: &Instrument<B>, judged: &Judged) -> Result<(), RejectReason> {
    let state = &instrument.state;
    if !state.has_rules {
        return Ok(());
    }
    let rules = &state.rules;
    if judged.own_ticks != 0 && !rules.is_on_tick(judged.own_ticks) {
        return Err(RejectReason::PriceOffTick);
    }
    if !rules.quantity_fits(judged.quantity_lots) {
        return Err(RejectReason::QuantityOutsideRules);
    }
    if let Some(limit) = judged.limit
        && !rules.notional_fits(instrument.terms.notional_minor(limit, judged.quantity_lots))
    {
        return Err(RejectReason::NotionalOutsideRules);
    }
    if let (Some((low, high)), BandAction::Reject) = (state.bands(), state.band_action()) {
        let outside = match judged.side {
            Side::Buy => judged.own_ticks > high,
            Side::Sell => judged.own_ticks != 0 && judged.own_ticks < low,
        };
        if outside {
            return Err(RejectReason::OutsidePriceBand);
        }
    }
    Ok(())
}

/// Reasons 26 to 30.
fn check_risk<B>(
    instrument: &Instrument<B>,
    limits: &SetRiskLimits,
    position: Option<&Position>,
    judged: &Judged,
) -> Result<(), RejectReason> {
    if exceeds(judged.quantity_lots, limits.max_order_lots) {
        return Err(RejectReason::RiskQuantity);
    }
    let most_minor = limits.max_order_notional_minor;
    if let (Some(limit), true) = (judged.limit, most_minor != 0)
        && instrument.terms.notional_minor(limit, judged.quantity_lots) > i128::from(most_minor)
    {
        return Err(RejectReason::RiskNotional);
    }
    let open_orders = position.map_or(0, |position| position.open_orders).saturating_add(judged.before);
    if judged.is_new && limits.max_open_orders != 0 && open_orders >= limits.max_open_orders {
        return Err(RejectReason::RiskOpenOrders);
    }
    if judged.added_lots > 0 && exceeds_position(limits, position, judged.side, judged.added_lots) {
        return Err(RejectReason::RiskPosition);
    }
    let reference_ticks = instrument.state.reference_ticks;
    if limits.price_collar_bps != 0 && judged.own_ticks != 0 && reference_ticks != 0 {
        let width = i128::from(reference_ticks) * i128::from(limits.price_collar_bps) / 10_000;
        let (own, reference) = (i128::from(judged.own_ticks), i128::from(reference_ticks));
        let too_far = match judged.side {
            Side::Buy => own > reference + width,
            Side::Sell => own < reference - width,
        };
        if too_far {
            return Err(RejectReason::RiskPriceCollar);
        }
    }
    Ok(())
}

/// Whether a position goes beyond a limit with so much more open on a side.
fn exceeds_position(
    limits: &SetRiskLimits,
    position: Option<&Position>,
    side: Side,
    added_lots: QuantityLots,
) -> bool {
    let reached = |position: &Position| match side {
        Side::Buy => position.position_lots.saturating_add(position.open_buy_lots),
        Side::Sell => position.open_sell_lots.saturating_sub(position.position_lots),
    };
    let reached_lots = position.map_or(0, reached).saturating_add(added_lots);
    let is_full = position.is_some_and(|position| position.is_full(side));
    is_full || exceeds(reached_lots, limits.max_position_lots)
}

/// Whether a value is beyond a limit; 0 is none.
fn exceeds(value: i64, limit: i64) -> bool {
    limit != 0 && value > limit
}

/// Whether a list's type asks its orders to belong together.
pub(crate) fn joins(list_type: u8) -> bool {
    list_type != ListType::Batch.code()
}
