//! The events beyond the plain order as a trader would say them.

use machine::Record;
use protocol::{
    AccountOptionsSet, AccountStatusSet, AuctionIndicative, AuctionUncrossed, CancelReason,
    ExtendedOrderAccepted, FeeCharged, ListType, MassCancelAccepted, MassCancelDone, OrderDecremented,
    OrderListAccepted, OrderRepriced, OrderShown, OrderTermsReplaced, OrderTriggered, Phase, PhaseChanged,
    TimeAdvanced, TradeBusted,
};

use super::Names;
use super::words::time_text;

fn phase(code: u8) -> &'static str {
    Phase::from_code(code).map_or("?", Phase::name)
}

impl Names {
    pub fn describe_special(&self, event: Record<'_>) -> Option<String> {
        if event.body_as::<AccountOptionsSet>().is_some() {
            return None;
        }
        if let Some(it) = event.body_as::<ExtendedOrderAccepted>() {
            let list = match ListType::from_code(it.list_type) {
                Some(ListType::Batch) | None => "",
                Some(kind) => kind.name(),
            };
            let inactive = if it.inactive == 1 { "inactive" } else { "" };
            return Some(format!("accepted {} {list} {inactive}", self.describe_accepted(&it.order)));
        }
        self.describe_book(event).or_else(|| self.describe_operator(event)).or_else(|| describe_market(event))
    }

    fn describe_book(&self, event: Record<'_>) -> Option<String> {
        if let Some(it) = event.body_as::<OrderTriggered>() {
            let hold = self.held(it.instrument, it.side, it.hold_minor);
            let waits = if it.waits == 1 { " waits" } else { "" };
            let (name, lots, price) = (self.order_name(it.order_id), it.leaves_lots, it.price_ticks);
            return Some(format!("triggered {name} {lots} @ {price} hold {hold}{waits}"));
        }
        if let Some(it) = event.body_as::<OrderShown>() {
            return Some(format!(
                "shown {} {} @ {}",
                self.order_name(it.order_id),
                it.shown_lots,
                it.price_ticks
            ));
        }
        if let Some(it) = event.body_as::<OrderRepriced>() {
            return Some(format!("repriced {} @ {}", self.order_name(it.order_id), it.price_ticks));
        }
        if let Some(it) = event.body_as::<OrderDecremented>() {
            let hold = self.held(it.instrument, it.side, it.hold_minor);
            let (name, lots, left) = (self.order_name(it.order_id), it.quantity_lots, it.leaves_lots);
            return Some(format!("decremented {name} by {lots} left {left} hold {hold}"));
        }
        event.body_as::<FeeCharged>().map(|it| {
            let (amount, owner) = (self.amount(it.asset, it.amount_minor), self.owner(it.account));
            let role = if it.role == 1 { "maker" } else { "taker" };
            format!("fee-charged {role} {owner} {amount}")
        })
    }

    fn describe_operator(&self, event: Record<'_>) -> Option<String> {
        if let Some(AccountStatusSet(it)) = event.body_as() {
            let status = if it.status == 0 { "active" } else { "suspended" };
            return Some(format!("account {} {status}", self.owner(it.account)));
        }
        if let Some(it) = event.body_as::<MassCancelAccepted>() {
            let reason = CancelReason::from_code(it.reason).map_or("?", CancelReason::name);
            return Some(format!("mass-cancel begun {reason}"));
        }
        if let Some(it) = event.body_as::<MassCancelDone>() {
            return Some(format!("mass-cancel done {}", it.canceled_orders));
        }
        if let Some(it) = event.body_as::<OrderTermsReplaced>() {
            let order = self.order_name(it.order_id);
            return Some(format!(
                "terms {order} trigger {} display {}",
                it.trigger_price_ticks, it.display_lots
            ));
        }
        if let Some(it) = event.body_as::<OrderListAccepted>() {
            let id = String::from_utf8_lossy(it.client_list_id.as_bytes_trimmed());
            let list = ListType::from_code(it.list_type).map_or("?", ListType::name);
            return Some(format!("list {id} {list} of {} {}", it.count, self.owner(it.account)));
        }
        event.body_as::<TradeBusted>().map(|it| {
            let (lots, price) = (it.quantity_lots, it.price_ticks);
            let maker_fee = self.amount(it.maker_fee_asset, it.maker_fee_minor);
            let taker_fee = self.amount(it.taker_fee_asset, it.taker_fee_minor);
            format!("busted {} {lots} @ {price} fees {maker_fee} {taker_fee}", it.trade_id)
        })
    }
}

fn describe_market(event: Record<'_>) -> Option<String> {
    if let Some(it) = event.body_as::<PhaseChanged>() {
        let until = time_text(event.header().timestamp_ns, it.until_ns);
        let (now, before) = (phase(it.phase), phase(it.previous));
        let reference = it.reference_price_ticks;
        return Some(format!("phase {now} was {before} until {until} reference {reference}"));
    }
    if let Some(it) = event.body_as::<AuctionIndicative>() {
        let (price, paired, imbalance) = (it.price_ticks, it.paired_lots, it.imbalance_lots);
        return Some(format!("indicative {price} paired {paired} imbalance {imbalance}"));
    }
    if let Some(it) = event.body_as::<AuctionUncrossed>() {
        let (price, paired, imbalance) = (it.price_ticks, it.paired_lots, it.imbalance_lots);
        return Some(format!("uncrossed {price} paired {paired} imbalance {imbalance}"));
    }
    let advanced = event.body_as::<TimeAdvanced>()?;
    Some(format!("time {}", if advanced.work_left == 1 { "work-left" } else { "all-done" }))
}
