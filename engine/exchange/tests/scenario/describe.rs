//! Events as a trader would say them.

use machine::Record;
use protocol::{
    AccountId, CancelReason, CreateInstrument, DayEnded, EventKind, OrderAccepted, OrderCanceled, OrderId,
    OrderReplaced, RejectReason, Rejected, Side, Trade,
};

use super::words::amount_text;
use super::{Asset, Names, Problem};

impl Names {
    pub fn asset(&self, code: &str) -> Result<Asset, Problem> {
        self.assets.get(code).copied().ok_or_else(|| format!("no asset `{code}`"))
    }

    pub fn account(&self, owner: &str) -> Result<AccountId, Problem> {
        match owner {
            "FEES" => Ok(AccountId::FEES),
            "WORLD" => Ok(AccountId::WORLD),
            _ => self.accounts.get(owner).copied().ok_or_else(|| format!("no account `{owner}`")),
        }
    }

    pub fn instrument(&self, symbol: &str) -> Result<CreateInstrument, Problem> {
        self.instruments.get(symbol).copied().ok_or_else(|| format!("no instrument `{symbol}`"))
    }

    pub fn order(&self, name: &str) -> Result<OrderId, Problem> {
        self.orders.get(name).copied().ok_or_else(|| format!("no order `{name}`"))
    }

    /// The name an order was first entered with.
    pub fn order_name(&self, order_id: OrderId) -> &str {
        self.orders.iter().find(|(_, id)| **id == order_id).map_or("?", |(name, _)| name)
    }

    pub fn owner(&self, account: AccountId) -> &str {
        self.accounts.iter().find(|(_, id)| **id == account).map_or("?", |(name, _)| name)
    }

    /// What an order on this instrument and side holds, in words.
    pub fn held(&self, instrument: u32, side: u8, amount_minor: i64) -> String {
        let created = self.instruments.values().find(|created| created.instrument == instrument);
        let asset = created.map(|it| if side == Side::Buy.code() { it.quote_asset } else { it.base_asset });
        self.amount(asset.unwrap_or(0), amount_minor)
    }

    pub fn amount(&self, asset: u32, amount_minor: i64) -> String {
        let scale = self.assets.values().find(|entry| entry.id == asset).map_or(0, |entry| entry.scale);
        amount_text(amount_minor, scale)
    }

    /// What happened, and whether it may go unsaid, as what the setting of the stage answers.
    pub fn describe(&self, event: Record<'_>) -> (String, bool) {
        let told = self.describe_order(event).or_else(|| self.describe_special(event));
        let kind = EventKind::from_code(event.header().kind).map_or("?", EventKind::name);
        told.map_or((kind.to_owned(), true), |text| (text, false))
    }

    fn describe_order(&self, event: Record<'_>) -> Option<String> {
        if let Some(it) = event.body_as::<Rejected>() {
            let reason = RejectReason::from_code(it.reason).map_or("?", RejectReason::name);
            let id = String::from_utf8_lossy(it.client_order_id.as_bytes_trimmed()).into_owned();
            return Some(format!("rejected {reason} {id}"));
        }
        if let Some(it) = event.body_as::<OrderAccepted>() {
            return Some(format!("accepted {}", self.describe_accepted(it)));
        }
        if let Some(it) = event.body_as::<OrderCanceled>() {
            let name = self.order_name(it.order_id);
            let reason = CancelReason::from_code(it.reason).map_or("?", CancelReason::name);
            let released = self.held(it.instrument, it.side, it.released_minor);
            return Some(format!("canceled {name} {reason} left {} released {released}", it.leaves_lots));
        }
        if let Some(it) = event.body_as::<OrderReplaced>() {
            let place = if it.kept_priority == 1 { "keeps-place" } else { "loses-place" };
            let (name, hold) =
                (self.order_name(it.order_id), self.held(it.instrument, it.side, it.hold_minor));
            let (lots, price) = (it.leaves_lots, it.price_ticks);
            return Some(format!("replaced {name} {place} left {lots} @ {price} hold {hold}"));
        }
        if let Some(it) = event.body_as::<Trade>() {
            return Some(self.describe_trade(it));
        }
        event.body_as::<DayEnded>().map(|it| format!("day-ended remaining {}", it.remaining_orders))
    }

    pub fn describe_accepted(&self, it: &OrderAccepted) -> String {
        let (name, hold) = (self.order_name(it.order_id), self.held(it.instrument, it.side, it.hold_minor));
        // The name is known only once the event has been read.
        let id = String::from_utf8_lossy(it.client_order_id.as_bytes_trimmed()).into_owned();
        let name = if name == "?" { id } else { name.to_owned() };
        format!("{name} {} @ {} hold {hold}", it.quantity_lots, it.price_ticks)
    }

    fn describe_trade(&self, it: &Trade) -> String {
        let (maker, taker) = (self.order_name(it.maker_order_id), self.order_name(it.taker_order_id));
        let fee = |amount| self.held(it.instrument, Side::Buy.code(), amount);
        let (maker_fee, taker_fee) = (fee(it.maker_fee_minor), fee(it.taker_fee_minor));
        let (lots, price) = (it.quantity_lots, it.price_ticks);
        let auction = if it.auction == 1 { " auction" } else { "" };
        let left = format!("left {} {}", it.maker_leaves_lots, it.taker_leaves_lots);
        format!(
            "trade {lots} @ {price} maker {maker} taker {taker} fees {maker_fee} {taker_fee} {left}{auction}"
        )
    }
}
