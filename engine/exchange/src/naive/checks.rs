//! Why a command is rejected: every reason that applies is listed, and the caller takes the lowest.

use alloc::vec::Vec;

use machine::{Context, Record};
use protocol::{
    AccountId, AssetId, CancelOrder, ClientOrderId, CommandKind, CreateAccount, CreateAsset,
    CreateInstrument, Deposit, EndDay, InstrumentId, NewOrder, OrderId, RejectReason, ReplaceOrder, Side,
    Withdraw,
};

use super::{LiveOrder, NaiveExchange, kind_of};

const MAX_AMOUNT: i128 = (1 << 62) - 1;
const MAX_40_BITS: i64 = (1 << 40) - 1;

/// Reasons collected so far.
struct Reasons(Vec<RejectReason>);

impl Reasons {
    fn unless(&mut self, holds: bool, reason: RejectReason) {
        if !holds {
            self.0.push(reason);
        }
    }
}

impl NaiveExchange {
    /// All reasons against a command. Those that presuppose something (an order's funds, its instrument) are looked at
    /// only once that something is there: a lower reason has been found otherwise.
    pub(crate) fn reasons(&self, context: &Context, command: Record<'_>) -> Vec<RejectReason> {
        let mut reasons = Reasons(Vec::new());
        if self.check_body(command, &mut reasons).is_none() {
            return [RejectReason::Malformed].into();
        }
        reasons.unless(context.sequence < 1 << 39, RejectReason::SequenceExhausted);
        reasons.0
    }

    fn check_body(&self, command: Record<'_>, reasons: &mut Reasons) -> Option<()> {
        match kind_of(command)? {
            CommandKind::CreateAsset => self.check_asset(command.body_as()?, reasons),
            CommandKind::CreateInstrument => self.check_instrument(command.body_as()?, reasons),
            CommandKind::CreateAccount => self.check_account(command.body_as()?, reasons),
            CommandKind::Deposit => self.check_deposit(command.body_as()?, reasons),
            CommandKind::Withdraw => self.check_withdraw(command.body_as()?, reasons),
            CommandKind::NewOrder => self.check_new_order(command.body_as()?, reasons),
            CommandKind::CancelOrder => self.check_cancel(command.body_as()?, reasons),
            CommandKind::ReplaceOrder => self.check_replace(command.body_as()?, reasons),
            CommandKind::EndDay => {
                let EndDay { instrument, reserved } = *command.body_as()?;
                reasons.unless(reserved == 0, RejectReason::Malformed);
                reasons.unless(self.instruments.contains_key(&instrument), RejectReason::UnknownInstrument);
            }
        }
        Some(())
    }

    fn check_asset(&self, it: &CreateAsset, reasons: &mut Reasons) {
        reasons.unless(it.reserved == [0; 3], RejectReason::Malformed);
        reasons.unless((1..=self.limits.assets).contains(&it.asset), RejectReason::IdOutOfRange);
        reasons.unless(!self.assets.contains_key(&it.asset), RejectReason::AlreadyExists);
        let valid = it.scale <= 18 && it.name.is_well_formed();
        reasons.unless(valid, RejectReason::InvalidParameter);
    }

    fn check_instrument(&self, it: &CreateInstrument, reasons: &mut Reasons) {
        let assets_exist =
            self.assets.contains_key(&it.base_asset) && self.assets.contains_key(&it.quote_asset);
        reasons.unless(assets_exist, RejectReason::UnknownAsset);
        reasons.unless((1..=self.limits.instruments).contains(&it.instrument), RejectReason::IdOutOfRange);
        reasons.unless(!self.instruments.contains_key(&it.instrument), RejectReason::AlreadyExists);
        let units = 1..=1i64 << 40;
        let ladders = [0, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536];
        let valid = units.contains(&it.quote_minor_per_tick_lot)
            && units.contains(&it.base_minor_per_lot)
            && (0..=MAX_40_BITS).contains(&it.reference_price_ticks)
            && it.base_asset != it.quote_asset
            && it.maker_fee_ppm <= 100_000
            && it.taker_fee_ppm <= 100_000
            && ladders.contains(&it.ladder_levels)
            && it.name.is_well_formed();
        reasons.unless(valid, RejectReason::InvalidParameter);
    }

    fn check_account(&self, it: &CreateAccount, reasons: &mut Reasons) {
        reasons.unless(it.reserved == 0, RejectReason::Malformed);
        reasons.unless((2..=self.limits.accounts).contains(&it.account.0), RejectReason::IdOutOfRange);
        reasons.unless(!self.accounts.contains_key(&it.account), RejectReason::AlreadyExists);
        reasons.unless(it.name.is_well_formed(), RejectReason::InvalidParameter);
    }

    fn check_deposit(&self, it: &Deposit, reasons: &mut Reasons) {
        let amount = i128::from(it.amount_minor);
        reasons.unless(self.accounts.contains_key(&it.account), RejectReason::UnknownAccount);
        reasons.unless(self.assets.contains_key(&it.asset), RejectReason::UnknownAsset);
        reasons.unless((1..=MAX_AMOUNT).contains(&amount), RejectReason::InvalidAmount);
        reasons.unless(self.total(it.asset) + amount <= MAX_AMOUNT, RejectReason::InvalidAmount);
        reasons.unless(self.room_for(&[(it.account, it.asset)]), RejectReason::BalanceTableFull);
    }

    fn check_withdraw(&self, it: &Withdraw, reasons: &mut Reasons) {
        let amount = i128::from(it.amount_minor);
        reasons.unless(self.accounts.contains_key(&it.account), RejectReason::UnknownAccount);
        reasons.unless(self.assets.contains_key(&it.asset), RejectReason::UnknownAsset);
        reasons.unless((1..=MAX_AMOUNT).contains(&amount), RejectReason::InvalidAmount);
        reasons.unless(amount <= self.available(it.account, it.asset), RejectReason::InsufficientFunds);
    }

    fn check_new_order(&self, it: &NewOrder, reasons: &mut Reasons) {
        let codes_exist = [1, 2].contains(&it.side)
            && [1, 2].contains(&it.order_type)
            && [0, 1, 3, 4].contains(&it.time_in_force)
            && [0, 1, 2, 3].contains(&it.self_trade_prevention);
        reasons.unless(codes_exist && it.client_order_id.is_well_formed(), RejectReason::Malformed);
        self.check_party(it.account, it.instrument, reasons);
        let is_market = it.order_type == 1;
        let price_fits =
            if is_market { it.price_ticks == 0 } else { (1..=MAX_40_BITS).contains(&it.price_ticks) };
        reasons.unless(price_fits, RejectReason::InvalidPrice);
        reasons.unless((1..=MAX_40_BITS).contains(&it.quantity_lots), RejectReason::InvalidQuantity);
        let time_fits = !is_market || [3, 4].contains(&it.time_in_force);
        reasons.unless(time_fits, RejectReason::InvalidTimeInForce);
        let used = self.client_id_is_used(it.account, &it.client_order_id, OrderId::NONE);
        reasons.unless(!used, RejectReason::DuplicateClientOrderId);
        reasons.unless(!self.free_slots.is_empty(), RejectReason::OrderTableFull);
        let Some(instrument) = self.instruments.get(&it.instrument).filter(|_| reasons.0.iter().all(late))
        else {
            return;
        };
        let hold = self.hold_of_new(it);
        reasons.unless(hold <= MAX_AMOUNT, RejectReason::NotionalTooLarge);
        let pairs = [
            (it.account, instrument.base_asset),
            (it.account, instrument.quote_asset),
            (AccountId::FEES, instrument.quote_asset),
        ];
        reasons.unless(self.room_for(&pairs), RejectReason::BalanceTableFull);
        let asset = if it.side == 1 { instrument.quote_asset } else { instrument.base_asset };
        reasons.unless(hold <= self.available(it.account, asset), RejectReason::InsufficientFunds);
    }

    fn check_cancel(&self, it: &CancelOrder, reasons: &mut Reasons) {
        let well_formed = it.reserved == 0 && it.client_order_id.is_well_formed();
        reasons.unless(well_formed, RejectReason::Malformed);
        self.check_party(it.account, it.instrument, reasons);
        let order = self.live(it.order_id, it.account, it.instrument);
        reasons.unless(order.is_some(), RejectReason::UnknownOrder);
    }

    fn check_replace(&self, it: &ReplaceOrder, reasons: &mut Reasons) {
        let well_formed = it.reserved == 0 && it.client_order_id.is_well_formed();
        reasons.unless(well_formed, RejectReason::Malformed);
        self.check_party(it.account, it.instrument, reasons);
        reasons.unless((1..=MAX_40_BITS).contains(&it.price_ticks), RejectReason::InvalidPrice);
        reasons.unless((1..=MAX_40_BITS).contains(&it.quantity_lots), RejectReason::InvalidQuantity);
        let order = self.live(it.order_id, it.account, it.instrument);
        reasons.unless(order.is_some(), RejectReason::UnknownOrder);
        let Some(order) = order.filter(|_| reasons.0.is_empty()) else { return };
        reasons.unless(it.quantity_lots > order.filled, RejectReason::QuantityBelowFilled);
        let used = self.client_id_is_used(it.account, &it.client_order_id, order.id);
        reasons.unless(!used, RejectReason::DuplicateClientOrderId);
        let hold =
            self.hold_of_limit(order.instrument, order.side, it.price_ticks, it.quantity_lots - order.filled);
        reasons.unless(hold <= MAX_AMOUNT, RejectReason::NotionalTooLarge);
        let (account, asset) = self.hold_key(order);
        let enough = hold - order.hold <= self.available(account, asset);
        reasons.unless(enough, RejectReason::InsufficientFunds);
    }

    fn check_party(&self, account: AccountId, instrument: InstrumentId, reasons: &mut Reasons) {
        reasons.unless(self.accounts.contains_key(&account), RejectReason::UnknownAccount);
        reasons.unless(self.instruments.contains_key(&instrument), RejectReason::UnknownInstrument);
    }

    fn live(&self, id: OrderId, account: AccountId, instrument: InstrumentId) -> Option<&LiveOrder> {
        let mut orders = self.orders.values();
        orders.find(|order| order.id == id && order.account == account && order.instrument == instrument)
    }

    fn client_id_is_used(&self, account: AccountId, id: &ClientOrderId, but_for: OrderId) -> bool {
        let same = |order: &LiveOrder| order.account == account && order.client_order_id == *id;
        !id.is_none() && self.orders.values().any(|order| same(order) && order.id != but_for)
    }

    fn available(&self, account: AccountId, asset: AssetId) -> i128 {
        self.funds.get(&(account, asset)).map_or(0, |funds| funds.balance - funds.held)
    }

    fn room_for(&self, pairs: &[(AccountId, AssetId)]) -> bool {
        let missing = pairs.iter().filter(|pair| !self.funds.contains_key(pair)).count();
        missing == 0 || self.funds.len() + missing <= self.limits.balances as usize
    }

    /// What a new order must hold.
    pub(crate) fn hold_of_new(&self, it: &NewOrder) -> i128 {
        let side = if it.side == 1 { Side::Buy } else { Side::Sell };
        if it.order_type == 1 && side == Side::Buy {
            self.hold_of_market_buy(it)
        } else {
            self.hold_of_limit(it.instrument, side, it.price_ticks, it.quantity_lots)
        }
    }
}

/// Whether a reason comes after those about an order's funds have begun: the rest can still be looked at.
fn late(reason: &RejectReason) -> bool {
    *reason > RejectReason::NotionalTooLarge
}
