//! Stage 4: the instrument's rules and the account's risk limits.

use alloc::vec::Vec;

use protocol::{
    AccountId, BandAction, InstrumentId, MAX_POSITION_LOTS, NewExtendedOrder, OrderType, Phase, RejectReason,
    SetRiskLimits, Side, TimeInForce,
};

use super::NaiveExchange;
use super::order::{LiveOrder, Place};
use super::terms::{Standing, share, side_of, time_of, type_of};

/// Prices that trades may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bands {
    low: i64,
    high: i64,
}

impl Bands {
    pub(crate) fn allow(self, price: i64) -> bool {
        (self.low..=self.high).contains(&price)
    }
}

/// What the rules look at: of a new order, or of what a replace makes of one.
pub(crate) struct Judged {
    pub(crate) account: AccountId,
    pub(crate) instrument: InstrumentId,
    pub(crate) side: Side,
    /// Limit or worst price; 0 for none.
    pub(crate) price: i64,
    /// It gave its limit price itself.
    pub(crate) own_price: bool,
    pub(crate) quantity: i64,
    /// By how much the quantity grows; all of a new order's.
    pub(crate) growth: i64,
    pub(crate) is_new: bool,
    /// How many orders of its list come before it and are accepted with it.
    pub(crate) before: usize,
    /// What its kind may not be in a phase that collects orders.
    pub(crate) collectable: bool,
    pub(crate) time_in_force: TimeInForce,
    pub(crate) would_take: bool,
}

impl Judged {
    pub(crate) fn of_new(it: &NewExtendedOrder, standing: &Standing) -> Self {
        let NewExtendedOrder { order, terms } = it;
        let (order_type, time_in_force) = (type_of(order), time_of(order));
        let immediate = matches!(time_in_force, TimeInForce::ImmediateOrCancel | TimeInForce::FillOrKill);
        let special = matches!(order_type, OrderType::MarketToLimit | OrderType::Pegged);
        Self {
            account: order.account,
            instrument: order.instrument,
            side: side_of(order.side),
            price: standing.price,
            own_price: matches!(order_type, OrderType::Limit | OrderType::StopLimit | OrderType::Pegged),
            quantity: standing.quantity,
            growth: standing.quantity,
            is_new: true,
            before: 0,
            collectable: !immediate && !special && terms.minimum_lots == 0 && terms.post_only == 0,
            time_in_force,
            would_take: standing.would_take,
        }
    }
}

impl NaiveExchange {
    /// The bands now.
    pub(crate) fn bands(&self, instrument: InstrumentId) -> Bands {
        let market = &self.markets[&instrument];
        let mut bands = Bands { low: i64::MIN, high: i64::MAX };
        let of = [
            (market.reference, market.rules.static_band_bps),
            (market.last_trade, market.rules.dynamic_band_bps),
        ];
        for (price, basis_points) in of {
            if price > 0 && basis_points > 0 {
                bands.low = bands.low.max(price - share(price, basis_points));
                bands.high = bands.high.min(price + share(price, basis_points));
            }
        }
        bands
    }

    /// The rules that look at price and quantity alone: 22 to 25. They hold for orders of lists that wait too.
    pub(crate) fn rules_of_price(&self, it: &Judged) -> Vec<RejectReason> {
        let mut reasons = Vec::new();
        let market = &self.markets[&it.instrument];
        let rules = &market.rules;
        if it.own_price && !market.is_on_tick(it.price) {
            reasons.push(RejectReason::PriceOffTick);
        }
        let too_small = it.quantity < rules.min_quantity_lots;
        let too_large = rules.max_quantity_lots > 0 && it.quantity > rules.max_quantity_lots;
        let off_lot = rules.round_lot_lots > 0 && it.quantity % rules.round_lot_lots != 0;
        if too_small || too_large || off_lot {
            reasons.push(RejectReason::QuantityOutsideRules);
        }
        let notional = self.quote(it.instrument, it.price, it.quantity);
        let too_small = notional < i128::from(rules.min_notional_minor);
        let too_large = rules.max_notional_minor > 0 && notional > i128::from(rules.max_notional_minor);
        if it.price > 0 && (too_small || too_large) {
            reasons.push(RejectReason::NotionalOutsideRules);
        }
        let bands = self.bands(it.instrument);
        let beyond = if it.side == Side::Buy { it.price > bands.high } else { it.price < bands.low };
        if it.own_price && rules.band_action == BandAction::Reject.code() && beyond {
            reasons.push(RejectReason::OutsidePriceBand);
        }
        reasons
    }

    /// All of stage 4.
    pub(crate) fn rules_and_risk(&self, it: &Judged) -> Vec<RejectReason> {
        let mut reasons = self.rules_of_price(it);
        let account = &self.accounts[&it.account];
        if account.suspended {
            reasons.push(RejectReason::AccountSuspended);
        }
        if !self.phase_takes(it) {
            reasons.push(RejectReason::WrongPhase);
        }
        self.risk(it, &mut reasons);
        if it.would_take {
            reasons.push(RejectReason::WouldTake);
        }
        let has_position = self.positions.contains_key(&(it.account, it.instrument));
        if it.is_new && !has_position && self.positions.len() >= self.limits.positions as usize {
            reasons.push(RejectReason::PositionTableFull);
        }
        reasons
    }

    fn phase_takes(&self, it: &Judged) -> bool {
        let market = &self.markets[&it.instrument];
        let at_the_opening = it.time_in_force == TimeInForce::AtTheOpening;
        market.uncross.is_none()
            && match market.phase {
                Phase::Continuous => !at_the_opening,
                Phase::PreOpen | Phase::OpeningAuction => it.collectable,
                Phase::VolatilityAuction | Phase::ClosingAuction => it.collectable && !at_the_opening,
                Phase::Closed | Phase::Halted => false,
            }
    }

    /// The limits that count for an account on an instrument.
    fn limits_of(&self, account: AccountId, instrument: InstrumentId) -> SetRiskLimits {
        let own = self.risk.get(&(account, instrument));
        own.or_else(|| self.risk.get(&(AccountId(0), instrument))).copied().unwrap_or_default()
    }

    /// The account's risk limits and its message rate: 26 to 31.
    pub(crate) fn risk(&self, it: &Judged, reasons: &mut Vec<RejectReason>) {
        if self.is_rate_limited(it.account, it.before) {
            reasons.push(RejectReason::RateLimited);
        }
        let limits = self.limits_of(it.account, it.instrument);
        if limits.max_order_lots > 0 && it.quantity > limits.max_order_lots {
            reasons.push(RejectReason::RiskQuantity);
        }
        let notional = self.quote(it.instrument, it.price, it.quantity);
        if limits.max_order_notional_minor > 0 && notional > i128::from(limits.max_order_notional_minor) {
            reasons.push(RejectReason::RiskNotional);
        }
        let of_account =
            |order: &&LiveOrder| order.account == it.account && order.instrument == it.instrument;
        let open = self.orders.values().filter(of_account).count() + it.before;
        if it.is_new && limits.max_open_orders > 0 && open >= limits.max_open_orders as usize {
            reasons.push(RejectReason::RiskOpenOrders);
        }
        if it.growth > 0 && self.exceeds_position(it.account, it.instrument, it.side, it.growth) {
            reasons.push(RejectReason::RiskPosition);
        }
        let reference = self.markets[&it.instrument].reference;
        let distance = share(reference, limits.price_collar_bps);
        let beyond = match it.side {
            Side::Buy => it.price > reference + distance,
            Side::Sell => it.price < reference - distance,
        };
        if limits.price_collar_bps > 0 && it.own_price && reference > 0 && beyond {
            reasons.push(RejectReason::RiskPriceCollar);
        }
    }

    /// Whether an account's position would go beyond a limit if so much more were open on a side.
    pub(crate) fn exceeds_position(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        side: Side,
        more: i64,
    ) -> bool {
        let toward = self.position_toward(account, instrument, side);
        let is_open = |order: &&LiveOrder| {
            (order.account, order.instrument, order.side) == (account, instrument, side)
                && order.place != Place::Inactive
        };
        let open: i128 = self.orders.values().filter(is_open).map(|order| i128::from(order.leaves())).sum();
        let most = self.limits_of(account, instrument).max_position_lots;
        toward > i128::from(MAX_POSITION_LOTS)
            || most > 0 && toward + open + i128::from(more) > i128::from(most)
    }

    /// An account's position as something that an order of this side adds to.
    pub(crate) fn position_toward(&self, account: AccountId, instrument: InstrumentId, side: Side) -> i128 {
        let position = self.positions.get(&(account, instrument)).copied().unwrap_or(0);
        if side == Side::Buy { position } else { -position }
    }

    /// Whether the account's interval is full with so many orders before this one.
    fn is_rate_limited(&self, account: AccountId, before: usize) -> bool {
        let account = &self.accounts[&account];
        let at_work =
            account.interval.filter(|&(begin, _)| !self.has_passed(begin, account.options.interval_ns));
        let sent = at_work.map_or(0, |(_, sent)| sent as usize) + before;
        account.options.max_orders > 0 && sent >= account.options.max_orders as usize
    }

    fn has_passed(&self, begin_ns: u64, interval_ns: u64) -> bool {
        u128::from(self.now.timestamp_ns) >= u128::from(begin_ns) + u128::from(interval_ns)
    }

    /// Counts an order that was accepted for its account's message rate.
    pub(crate) fn count_order(&mut self, id: AccountId) {
        let account = &self.accounts[&id];
        let at_work =
            account.interval.filter(|&(begin, _)| !self.has_passed(begin, account.options.interval_ns));
        let (begin, sent) = at_work.unwrap_or((self.now.timestamp_ns, 0));
        self.accounts.get_mut(&id).expect("it exists").interval = Some((begin, sent + 1));
    }
}
