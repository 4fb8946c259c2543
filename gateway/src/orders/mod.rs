//! The orders of this gateway's sessions, folded from events.
//!
//! [`Orders`] is a projection: it holds what reports and requests need, and nothing that events do not say. Orders of
//! accounts without a FIX session are not kept. Ended orders are kept up to a limit, the oldest forgotten first.

mod catalog;
mod report;
mod request;
mod saved;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU64;

pub use catalog::{Asset, Catalog, ConversionError, Instrument};
pub use report::{CancelReject, ExecutionReport, Fill, Report, reject_text};
pub(crate) use report::{
    write_cancel_reject, write_execution, write_local_cancel_reject, write_local_report,
};
pub(crate) use request::{Refusal, Request, parse_cancel, parse_new, parse_replace};

use machine::Record;
use protocol::{
    AccountId, AssetCreated, BUSTABLE_TRADES, CancelReason, ClientOrderId, CommandKind, EventKind,
    ExtendedOrderAccepted, InstrumentCreated, InstrumentId, OrderAccepted, OrderCanceled, OrderDecremented,
    OrderId, OrderReplaced, OrderTriggered, OrderType, PriceTicks, QuantityLots, RejectReason, Rejected,
    Trade, TradeBusted,
};

/// OrdStatus (tag 39) as FIX's characters.
pub mod status {
    /// New.
    pub const NEW: u8 = b'0';
    /// Partially filled.
    pub const PARTIALLY_FILLED: u8 = b'1';
    /// Filled.
    pub const FILLED: u8 = b'2';
    /// Canceled.
    pub const CANCELED: u8 = b'4';
    /// Rejected.
    pub const REJECTED: u8 = b'8';
    /// Pending new.
    pub const PENDING_NEW: u8 = b'A';
    /// Expired.
    pub const EXPIRED: u8 = b'C';
}

/// ExecType (tag 150) where it is no OrdStatus.
pub(crate) mod exec_type {
    /// Restated: the exchange has changed the order.
    pub(crate) const RESTATED: u8 = b'D';
    /// Trade cancel.
    pub(crate) const TRADE_CANCEL: u8 = b'H';
    /// Triggered.
    pub(crate) const TRIGGERED: u8 = b'L';
}

/// One order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The engine's id.
    pub order_id: OrderId,
    /// Index of the session whose account owns it.
    pub session: u16,
    /// Its present ClOrdID.
    pub client_order_id: ClientOrderId,
    /// Owner.
    pub account: AccountId,
    /// On which instrument.
    pub instrument: InstrumentId,
    /// Limit price; 0, or the worst price, for an order that has none of its own.
    pub price_ticks: PriceTicks,
    /// Total quantity.
    pub quantity_lots: QuantityLots,
    /// What can still trade.
    pub leaves_lots: QuantityLots,
    /// What has traded.
    pub cumulative_lots: QuantityLots,
    /// Sum of price times quantity of its trades.
    pub tick_lots: i128,
    /// [`protocol::Side`].
    pub side: u8,
    /// [`OrderType`].
    pub order_type: u8,
    /// [`protocol::TimeInForce`].
    pub time_in_force: u8,
    /// OrdStatus.
    pub status: u8,
}

impl Order {
    /// Whether it has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.status, status::FILLED | status::CANCELED | status::REJECTED | status::EXPIRED)
    }

    fn open_status(&self) -> u8 {
        if self.cumulative_lots == 0 { status::NEW } else { status::PARTIALLY_FILLED }
    }
}

/// The projection. See the module's documentation.
pub struct Orders {
    /// Assets and instruments.
    pub catalog: Catalog,
    session_of: HashMap<AccountId, u16>,
    by_id: HashMap<OrderId, Order>,
    by_client_id: HashMap<(u16, ClientOrderId), OrderId>,
    /// Ended orders, oldest first.
    done: VecDeque<OrderId>,
    /// Client order ids, oldest first.
    client_ids: VecDeque<(u16, ClientOrderId)>,
    /// Trades of these sessions that may still be busted, by number, with where each was reported.
    trades: VecDeque<(u64, report::Stamp)>,
    done_limit: usize,
}

/// The reports of one event: a trade has two.
pub type Reports = [Option<Report>; 2];

impl Orders {
    /// An empty projection for these accounts (position: the session's index).
    #[must_use]
    pub fn new(accounts: &[AccountId], done_limit: usize) -> Self {
        let sessions = accounts.iter().enumerate().map(|(index, account)| (*account, index as u16));
        // A session that only listens has none.
        let sessions = sessions.filter(|(account, _)| *account != AccountId::WORLD);
        Self {
            catalog: Catalog::default(),
            session_of: sessions.collect(),
            by_id: HashMap::new(),
            by_client_id: HashMap::new(),
            done: VecDeque::new(),
            client_ids: VecDeque::new(),
            trades: VecDeque::new(),
            done_limit,
        }
    }

    /// The order with this id, if it is the session's.
    #[must_use]
    pub fn by_id(&self, session: u16, order_id: OrderId) -> Option<&Order> {
        self.by_id.get(&order_id).filter(|order| order.session == session)
    }

    /// The order that has or had this ClOrdID.
    #[must_use]
    pub fn by_client_id(&self, session: u16, client_order_id: ClientOrderId) -> Option<&Order> {
        self.by_client_id.get(&(session, client_order_id)).and_then(|order_id| self.by_id.get(order_id))
    }

    /// Whether an event has answered a request with this ClOrdID, be it by a reject.
    #[must_use]
    pub fn knows_client_id(&self, session: u16, client_order_id: ClientOrderId) -> bool {
        self.by_client_id.contains_key(&(session, client_order_id))
    }

    /// Orders held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Folds one event; `index` is its place among its command's events, `request` what caused it if a session of this
    /// process did.
    pub(crate) fn apply(&mut self, event: Record<'_>, index: u32, request: Option<&Request>) -> Reports {
        let stamp = report::Stamp::of(event.header(), index);
        match EventKind::from_code(event.header().kind) {
            Some(EventKind::AssetCreated) => {
                event.body_as::<AssetCreated>().iter().for_each(|body| self.catalog.on_asset(body));
            }
            Some(EventKind::InstrumentCreated) => {
                event.body_as::<InstrumentCreated>().iter().for_each(|body| self.catalog.on_instrument(body));
            }
            Some(EventKind::OrderAccepted) => {
                return [event.body_as().and_then(|body| self.on_accepted(body, stamp)), None];
            }
            Some(EventKind::ExtendedOrderAccepted) => {
                let body = event.body_as::<ExtendedOrderAccepted>();
                return [body.and_then(|body| self.on_accepted(&body.order, stamp)), None];
            }
            Some(EventKind::OrderTriggered) => {
                return [event.body_as().and_then(|body| self.on_triggered(body, stamp)), None];
            }
            Some(EventKind::OrderDecremented) => {
                return [event.body_as().and_then(|body| self.on_decremented(body, stamp)), None];
            }
            Some(EventKind::OrderCanceled) => {
                return [event.body_as().and_then(|body| self.on_canceled(body, stamp)), None];
            }
            Some(EventKind::OrderReplaced) => {
                return [event.body_as().and_then(|body| self.on_replaced(body, stamp)), None];
            }
            Some(EventKind::Rejected) => {
                return [event.body_as().and_then(|body| self.on_rejected(body, stamp, request)), None];
            }
            Some(EventKind::Trade) => {
                if let Some(body) = event.body_as() {
                    let reports = [self.on_trade(body, stamp, false), self.on_trade(body, stamp, true)];
                    self.keep_trade(body.trade_id, stamp, reports.iter().any(Option::is_some));
                    return reports;
                }
            }
            Some(EventKind::TradeBusted) => {
                if let Some(body) = event.body_as() {
                    return [self.on_busted(body, stamp, false), self.on_busted(body, stamp, true)];
                }
            }
            _ => {}
        }
        [None, None]
    }

    fn on_accepted(&mut self, body: &OrderAccepted, stamp: report::Stamp) -> Option<Report> {
        let session = *self.session_of.get(&body.account)?;
        let order = Order {
            order_id: body.order_id,
            session,
            client_order_id: body.client_order_id,
            account: body.account,
            instrument: body.instrument,
            price_ticks: body.price_ticks,
            quantity_lots: body.quantity_lots,
            leaves_lots: body.quantity_lots,
            cumulative_lots: 0,
            tick_lots: 0,
            side: body.side,
            order_type: body.order_type,
            time_in_force: body.time_in_force,
            status: status::NEW,
        };
        self.by_id.insert(order.order_id, order);
        self.remember(session, order.client_order_id, order.order_id);
        Some(Report::Execution(ExecutionReport::of(order, b'0', stamp)))
    }

    fn on_canceled(&mut self, body: &OrderCanceled, stamp: report::Stamp) -> Option<Report> {
        let order = self.by_id.get_mut(&body.order_id)?;
        let reason = CancelReason::from_code(body.reason);
        let expired = matches!(
            reason,
            Some(CancelReason::DayEnded | CancelReason::Expired | CancelReason::AuctionEnded)
        );
        order.leaves_lots = 0;
        order.status = if expired { status::EXPIRED } else { status::CANCELED };
        let order = *order;
        let mut report = ExecutionReport::of(order, order.status, stamp);
        if reason == Some(CancelReason::Requested) {
            report.client_order_id = body.client_order_id;
            report.original_client_order_id = order.client_order_id;
            self.remember(order.session, body.client_order_id, order.order_id);
        } else {
            report.text = reason.map_or("", CancelReason::name);
        }
        self.finish(order.order_id);
        Some(Report::Execution(report))
    }

    fn on_replaced(&mut self, body: &OrderReplaced, stamp: report::Stamp) -> Option<Report> {
        let order = self.by_id.get_mut(&body.order_id)?;
        let original = order.client_order_id;
        order.client_order_id = body.client_order_id;
        order.price_ticks = body.price_ticks;
        order.quantity_lots = body.quantity_lots;
        order.leaves_lots = body.leaves_lots;
        order.status = order.open_status();
        let order = *order;
        self.remember(order.session, order.client_order_id, order.order_id);
        let mut report = ExecutionReport::of(order, b'5', stamp);
        report.original_client_order_id = original;
        Some(Report::Execution(report))
    }

    /// A waiting order became active, or (`waits`) was set free to wait for its trigger.
    fn on_triggered(&mut self, body: &OrderTriggered, stamp: report::Stamp) -> Option<Report> {
        let order = self.by_id.get_mut(&body.order_id)?;
        order.price_ticks = body.price_ticks;
        order.leaves_lots = body.leaves_lots;
        let mut report = ExecutionReport::of(*order, exec_type::TRIGGERED, stamp);
        report.text = if body.waits == 1 { "set free by its list; waits for its trigger" } else { "" };
        Some(Report::Execution(report))
    }

    /// Self-trade prevention took quantity: the order is smaller now, or has ended.
    fn on_decremented(&mut self, body: &OrderDecremented, stamp: report::Stamp) -> Option<Report> {
        let order = self.by_id.get_mut(&body.order_id)?;
        order.leaves_lots = body.leaves_lots;
        let exec_type = if body.leaves_lots == 0 {
            order.status = status::CANCELED;
            status::CANCELED
        } else {
            order.quantity_lots = order.cumulative_lots.saturating_add(body.leaves_lots);
            exec_type::RESTATED
        };
        let order = *order;
        if order.is_done() {
            self.finish(order.order_id);
        }
        let mut report = ExecutionReport::of(order, exec_type, stamp);
        report.text = CancelReason::SelfTrade.name();
        Some(Report::Execution(report))
    }

    /// A trade was reversed: the fill is taken back, what is left of the order stays as it is. Nothing is said about
    /// an order that ended so long ago that it has been forgotten.
    fn on_busted(&mut self, body: &TradeBusted, stamp: report::Stamp, maker: bool) -> Option<Report> {
        let order_id = if maker { body.maker_order_id } else { body.taker_order_id };
        let traded = self.trades.binary_search_by_key(&body.trade_id, |(trade_id, _)| *trade_id);
        let traded = traded.ok().and_then(|at| self.trades.get(at));
        let traded = traded.and_then(|(_, stamp)| Some((NonZeroU64::new(stamp.sequence)?, stamp.index)));
        let order = self.by_id.get_mut(&order_id)?;
        order.cumulative_lots = order.cumulative_lots.saturating_sub(body.quantity_lots);
        order.tick_lots -= i128::from(body.price_ticks) * i128::from(body.quantity_lots);
        order.status = match order.status {
            status::FILLED => status::CANCELED,
            status::PARTIALLY_FILLED => order.open_status(),
            ended => ended,
        };
        let mut report = ExecutionReport::of(*order, exec_type::TRADE_CANCEL, stamp);
        report.fill = Some(Fill {
            price_ticks: body.price_ticks,
            quantity_lots: body.quantity_lots,
            fee_minor: 0,
            maker,
        });
        report.busted = traded;
        report.text = "the trade was reversed by the operator";
        Some(Report::Execution(report))
    }

    /// Remembers where a trade was reported, as long as it can be busted.
    fn keep_trade(&mut self, trade_id: u64, stamp: report::Stamp, reported: bool) {
        let last_gone = trade_id.saturating_sub(u64::from(BUSTABLE_TRADES));
        while self.trades.front().is_some_and(|(trade_id, _)| *trade_id <= last_gone) {
            self.trades.pop_front();
        }
        if reported {
            self.trades.push_back((trade_id, stamp));
        }
    }

    fn on_trade(&mut self, body: &Trade, stamp: report::Stamp, maker: bool) -> Option<Report> {
        let (order_id, leaves_lots, fee_minor) = if maker {
            (body.maker_order_id, body.maker_leaves_lots, body.maker_fee_minor)
        } else {
            (body.taker_order_id, body.taker_leaves_lots, body.taker_fee_minor)
        };
        let order = self.by_id.get_mut(&order_id)?;
        order.leaves_lots = leaves_lots;
        order.cumulative_lots += body.quantity_lots;
        order.tick_lots += i128::from(body.price_ticks) * i128::from(body.quantity_lots);
        order.status = if leaves_lots == 0 { status::FILLED } else { status::PARTIALLY_FILLED };
        let order = *order;
        if order.is_done() {
            self.finish(order_id);
        }
        let mut report = ExecutionReport::of(order, b'F', stamp);
        report.fill =
            Some(Fill { price_ticks: body.price_ticks, quantity_lots: body.quantity_lots, fee_minor, maker });
        Some(Report::Execution(report))
    }

    fn on_rejected(
        &mut self,
        body: &Rejected,
        stamp: report::Stamp,
        request: Option<&Request>,
    ) -> Option<Report> {
        let session = *self.session_of.get(&body.account)?;
        let reason = RejectReason::from_code(body.reason)?;
        let kind = CommandKind::from_code(body.command_kind)?;
        match kind {
            CommandKind::NewOrder | CommandKind::NewExtendedOrder | CommandKind::NewOrderList => {
                if !self.knows_client_id(session, body.client_order_id) {
                    self.remember(session, body.client_order_id, OrderId::NONE);
                }
                let order = request
                    .map_or_else(|| rejected_without_request(session, body), |it| it.as_rejected(session));
                let mut report = ExecutionReport::of(order, status::REJECTED, stamp);
                report.reject = Some(reason);
                Some(Report::Execution(report))
            }
            CommandKind::CancelOrder | CommandKind::ReplaceOrder | CommandKind::ReplaceExtendedOrder => {
                let order = self.by_id(session, body.order_id).copied();
                if !self.knows_client_id(session, body.client_order_id) {
                    self.remember(session, body.client_order_id, OrderId::NONE);
                }
                let original = request.map(|it| it.original_client_order_id).filter(|it| !it.is_none());
                let original = original.or(order.map(|it| it.client_order_id)).unwrap_or_default();
                Some(Report::CancelReject(CancelReject {
                    session,
                    order_id: body.order_id,
                    client_order_id: body.client_order_id,
                    original_client_order_id: original,
                    status: order.map_or(status::REJECTED, |it| it.status),
                    replace: kind != CommandKind::CancelOrder,
                    reason,
                    timestamp_ns: stamp.timestamp_ns,
                }))
            }
            _ => None,
        }
    }

    /// Keeps a ClOrdID; forgets the oldest ones that no live order uses when there are too many.
    fn remember(&mut self, session: u16, client_order_id: ClientOrderId, order_id: OrderId) {
        if client_order_id.is_none() {
            return;
        }
        let key = (session, client_order_id);
        if self.by_client_id.insert(key, order_id).is_none() {
            self.client_ids.push_back(key);
        }
        // Two steps a call: with at most as many live orders as other ids, the queue stays within twice the live
        // orders plus the limit.
        for _ in 0..2 {
            if self.client_ids.len() <= 2 * self.done_limit {
                return;
            }
            let Some(oldest) = self.client_ids.pop_front() else { return };
            let order_id = self.by_client_id.get(&oldest).copied().unwrap_or_default();
            let used = self
                .by_id
                .get(&order_id)
                .is_some_and(|order| !order.is_done() && order.client_order_id == oldest.1);
            if used {
                self.client_ids.push_back(oldest);
            } else {
                self.by_client_id.remove(&oldest);
            }
        }
    }

    fn finish(&mut self, order_id: OrderId) {
        self.done.push_back(order_id);
        if self.done.len() > self.done_limit
            && let Some(oldest) = self.done.pop_front()
        {
            self.by_id.remove(&oldest);
        }
    }
}

/// What an event alone says about a rejected order; the side is not in it (FIX: 7, undisclosed).
fn rejected_without_request(session: u16, body: &Rejected) -> Order {
    Order {
        session,
        client_order_id: body.client_order_id,
        account: body.account,
        instrument: body.instrument,
        side: 7,
        order_type: OrderType::Market.code(),
        status: status::REJECTED,
        ..Order::default()
    }
}
