//! Why an order, a cancel or a deposit is rejected, stage by stage.

use alloc::vec::Vec;

use protocol::{
    AccountId, AssetId, CancelOrder, ClientOrderId, InstrumentId, MAX_ALL_OR_NONE_ORDERS, MAX_PEGGED_ORDERS,
    MAX_TRAILING_ORDERS, NewExtendedOrder, OrderId, OrderType, RejectReason, Side, term_flags,
};

use super::order::{LiveOrder, Place};
use super::rules::Judged;
use super::terms::{Standing, price_fits, side_of, terms_fit, time_fits, time_of, type_of};
use super::{MAX_40_BITS, MAX_AMOUNT, NaiveExchange, form};

/// Reasons found in a stage.
#[derive(Default)]
pub(crate) struct Reasons(pub(crate) Vec<RejectReason>);

impl Reasons {
    pub(crate) fn unless(&mut self, holds: bool, reason: RejectReason) {
        if !holds {
            self.0.push(reason);
        }
    }

    /// The lowest, if there is one.
    pub(crate) fn result(&self) -> Result<(), RejectReason> {
        self.0.iter().min().map_or(Ok(()), |&reason| Err(reason))
    }
}

impl NaiveExchange {
    /// What all commands have in common.
    pub(crate) fn check_form(&self, well_formed: bool) -> Result<(), RejectReason> {
        let mut reasons = Reasons::default();
        reasons.unless(well_formed, RejectReason::Malformed);
        reasons.unless(self.now.sequence < 1 << 39, RejectReason::SequenceExhausted);
        reasons.result()
    }

    pub(crate) fn check_party(&self, account: AccountId, instrument: InstrumentId, reasons: &mut Reasons) {
        reasons.unless(self.accounts.contains_key(&account), RejectReason::UnknownAccount);
        reasons.unless(self.markets.contains_key(&instrument), RejectReason::UnknownInstrument);
    }

    /// All four stages of a new order that comes alone.
    pub(crate) fn check_order(
        &self,
        it: &NewExtendedOrder,
        has_slot: bool,
    ) -> Result<Standing, RejectReason> {
        self.check_order_form(it)?;
        let standing = self.stand(it)?;
        let mut reasons = self.check_room(it, &standing);
        reasons.unless(has_slot, RejectReason::OrderTableFull);
        let available = self.available_for(it.order.account, it.order.instrument, side_of(it.order.side));
        reasons.unless(standing.hold <= available, RejectReason::InsufficientFunds);
        reasons.result()?;
        Reasons(self.rules_and_risk(&Judged::of_new(it, &standing))).result()?;
        Ok(standing)
    }

    /// Stage 1.
    pub(crate) fn check_order_form(&self, it: &NewExtendedOrder) -> Result<(), RejectReason> {
        let NewExtendedOrder { order, terms } = it;
        self.check_form(form::order(order) && form::terms(terms))?;
        let mut reasons = Reasons::default();
        self.check_party(order.account, order.instrument, &mut reasons);
        let (order_type, time) = (type_of(order), time_of(order));
        reasons.unless(terms_fit(self.now.timestamp_ns, it), RejectReason::InvalidParameter);
        reasons.unless(price_fits(order_type, order.price_ticks), RejectReason::InvalidPrice);
        let least = if terms.budget_minor > 0 { 0 } else { 1 };
        reasons.unless((least..=MAX_40_BITS).contains(&order.quantity_lots), RejectReason::InvalidQuantity);
        reasons.unless(time_fits(order_type, time), RejectReason::InvalidTimeInForce);
        let free = self.client_id_is_free(order.account, &order.client_order_id);
        reasons.unless(free, RejectReason::DuplicateClientOrderId);
        reasons.unless(self.has_room_for_conditional(it), RejectReason::TooManyConditional);
        reasons.result()
    }

    /// Stage 3 but for the money and the slot.
    pub(crate) fn check_room(&self, it: &NewExtendedOrder, standing: &Standing) -> Reasons {
        let mut reasons = Reasons::default();
        let created = &self.markets[&it.order.instrument].created;
        reasons.unless(standing.hold <= MAX_AMOUNT, RejectReason::NotionalTooLarge);
        let pairs = [
            (it.order.account, created.base_asset),
            (it.order.account, created.quote_asset),
            (AccountId::FEES, created.quote_asset),
        ];
        reasons.unless(self.room_for(&pairs), RejectReason::BalanceTableFull);
        reasons
    }

    /// What an account can still hold for an order.
    pub(crate) fn available_for(&self, account: AccountId, instrument: InstrumentId, side: Side) -> i128 {
        let created = &self.markets[&instrument].created;
        let asset = if side == Side::Buy { created.quote_asset } else { created.base_asset };
        self.available_funds(account, asset)
    }

    pub(crate) fn available_funds(&self, account: AccountId, asset: AssetId) -> i128 {
        self.funds.get(&(account, asset)).map_or(0, |funds| funds.balance - funds.held)
    }

    pub(crate) fn room_for(&self, pairs: &[(AccountId, AssetId)]) -> bool {
        let missing = pairs.iter().filter(|pair| !self.funds.contains_key(pair)).count();
        missing == 0 || self.funds.len() + missing <= self.limits.balances as usize
    }

    /// Pegged orders, trailing stops and all-or-none orders of an instrument are few.
    fn has_room_for_conditional(&self, it: &NewExtendedOrder) -> bool {
        let count = |is_such: &dyn Fn(&LiveOrder) -> bool| {
            let orders = self.orders.values().filter(|order| order.instrument == it.order.instrument);
            orders.filter(|order| is_such(order)).count() as u32
        };
        let waits = |order: &LiveOrder| matches!(order.place, Place::Trigger(_) | Place::Inactive);
        if type_of(&it.order) == OrderType::Pegged {
            count(&LiveOrder::is_pegged) < MAX_PEGGED_ORDERS
        } else if it.terms.trail != 0 {
            count(&|order| order.terms.trail != 0 && waits(order)) < MAX_TRAILING_ORDERS
        } else if it.terms.flags & term_flags::ALL_OR_NONE != 0 {
            count(&LiveOrder::is_all_or_none) < MAX_ALL_OR_NONE_ORDERS
        } else {
            true
        }
    }

    /// Whether no live order of the account has this id, nor one that ended lately.
    pub(crate) fn client_id_is_free(&self, account: AccountId, id: &ClientOrderId) -> bool {
        let lives =
            self.orders.values().any(|order| order.account == account && order.client_order_id == *id);
        id.is_none() || !lives && !self.recent_ids.contains(&(account, *id))
    }

    pub(crate) fn live(
        &self,
        id: OrderId,
        account: AccountId,
        instrument: InstrumentId,
    ) -> Option<&LiveOrder> {
        let order = self.slot_of(id).map(|slot| &self.orders[&slot]);
        order.filter(|order| order.account == account && order.instrument == instrument)
    }

    pub(crate) fn check_cancel(&self, it: &CancelOrder) -> Result<(), RejectReason> {
        self.check_form(it.reserved == 0 && it.client_order_id.is_well_formed())?;
        let mut reasons = Reasons::default();
        self.check_party(it.account, it.instrument, &mut reasons);
        let order = self.live(it.order_id, it.account, it.instrument);
        reasons.unless(order.is_some(), RejectReason::UnknownOrder);
        reasons.result()?;
        let uncrosses = self.markets[&it.instrument].uncross.is_some();
        if uncrosses { Err(RejectReason::WrongPhase) } else { Ok(()) }
    }
}
