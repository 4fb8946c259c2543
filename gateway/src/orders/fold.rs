//! Folding events, and the reports that they come to.

use std::num::NonZeroU64;

use machine::{Record, Source};
use protocol::{
    AccountId, AmountMinor, AssetCreated, AssetId, BUSTABLE_TRADES, CancelReason, ClientOrderId, CommandKind,
    Deposited, EventKind, ExtendedOrderAccepted, FeeCharged, InstrumentCreated, MassCancelAccepted,
    MassCancelDone, OrderAccepted, OrderCanceled, OrderDecremented, OrderId, OrderListAccepted,
    OrderReplaced, OrderRepriced, OrderShown, OrderTermsReplaced, OrderTriggered, RejectReason, Rejected,
    Trade, TradeBusted, Withdrawn,
};

use super::{
    Asked, CancelReject, ExecutionReport, Fill, MassCancelReport, Order, Orders, Report, Reports, Restated,
    Special, Stamp, exec_type, status,
};

impl Orders {
    /// Folds one event; `index` is its place among its command's events, `asked` what caused it if a session of this
    /// process did: a reject needs it.
    pub(crate) fn apply(&mut self, event: Record<'_>, index: u32, asked: Option<&Asked>) -> Reports {
        let stamp = Stamp::of(event.header(), index);
        let one = |report: Option<Report>| [report, None];
        let Some(kind) = EventKind::from_code(event.header().kind) else { return one(None) };
        match kind {
            EventKind::OrderAccepted => one(event.body_as().and_then(|body| self.on_accepted(body, stamp))),
            EventKind::ExtendedOrderAccepted => {
                event.body_as().map_or(one(None), |body| self.on_extended(body, stamp))
            }
            EventKind::Trade => event.body_as().map_or(one(None), |body| {
                let reports = self.on_both_sides(body, stamp);
                self.hold(event, body, index, reports)
            }),
            EventKind::OrderCanceled => one(event.body_as().and_then(|body| self.on_canceled(body, stamp))),
            EventKind::OrderReplaced => {
                let ours = event.header().source.gateway == self.gateway;
                one(event.body_as().and_then(|body| self.on_replaced(body, stamp, ours)))
            }
            EventKind::Rejected => {
                let source = event.header().source;
                one(event.body_as().and_then(|body| self.on_rejected(body, stamp, source, asked)))
            }
            EventKind::OrderRepriced => one(event.body_as().and_then(|body| self.on_repriced(body, stamp))),
            EventKind::OrderTriggered => one(event.body_as().and_then(|body| self.on_triggered(body, stamp))),
            EventKind::OrderDecremented => {
                one(event.body_as().and_then(|body| self.on_decremented(body, stamp)))
            }
            EventKind::MassCancelDone => {
                one(event.body_as().and_then(|body| self.on_mass_cancel_done(body, stamp)))
            }
            EventKind::TradeBusted => event.body_as().map_or(one(None), |body| self.on_bust(body, stamp)),
            _ => {
                self.apply_silently(event, kind, stamp);
                one(None)
            }
        }
    }

    /// Events that nobody is told of.
    fn apply_silently(&mut self, event: Record<'_>, kind: EventKind, stamp: Stamp) {
        match kind {
            EventKind::AssetCreated => {
                event.body_as::<AssetCreated>().iter().for_each(|body| self.catalog.on_asset(body));
            }
            EventKind::InstrumentCreated => {
                if let Some(body) = event.body_as::<InstrumentCreated>() {
                    self.catalog.on_instrument(body);
                    self.accounts.on_instrument(&body.0);
                }
            }
            EventKind::Deposited => {
                if let Some(body) = event.body_as::<Deposited>() {
                    self.on_balance(body.account, body.asset, body.balance_minor);
                }
            }
            EventKind::Withdrawn => {
                if let Some(body) = event.body_as::<Withdrawn>() {
                    self.on_balance(body.account, body.asset, body.balance_minor);
                }
            }
            EventKind::FeeCharged => {
                if let Some(body) = event.body_as::<FeeCharged>()
                    && let Some(session) = self.session_of.get(&body.account)
                {
                    self.accounts.on_fee(*session, body);
                }
            }
            EventKind::OrderTermsReplaced => {
                event.body_as().into_iter().for_each(|body| self.on_terms_replaced(body));
            }
            EventKind::AccountOptionsSet => {
                event.body_as().into_iter().for_each(|body| self.on_options(body));
            }
            EventKind::OrderListAccepted => {
                event.body_as().into_iter().for_each(|body| self.on_list(body, stamp));
            }
            EventKind::OrderShown => event.body_as().into_iter().for_each(|body| self.on_shown(body)),
            EventKind::MassCancelAccepted => {
                let source = event.header().source;
                event.body_as().into_iter().for_each(|body| self.on_mass_cancel(body, stamp, source));
            }
            _ => {}
        }
    }

    fn on_both_sides(&mut self, body: &Trade, stamp: Stamp) -> Reports {
        let reports = [self.on_trade(body, stamp, false), self.on_trade(body, stamp, true)];
        self.keep_trade(body.trade_id, stamp, reports.iter().any(Option::is_some));
        reports
    }

    /// A trade was reversed: money goes back, whether its orders are still remembered or not.
    fn on_bust(&mut self, body: &TradeBusted, stamp: Stamp) -> Reports {
        for (account, maker) in [(body.maker_account, true), (body.taker_account, false)] {
            if let Some(session) = self.session_of.get(&account) {
                self.accounts.on_busted(*session, body, maker);
            }
        }
        [self.on_busted(body, stamp, false), self.on_busted(body, stamp, true)]
    }

    fn on_balance(&mut self, account: AccountId, asset: AssetId, balance_minor: AmountMinor) {
        let Some(session) = self.session_of.get(&account) else { return };
        if let Some(holdings) = self.accounts.holdings.get_mut(usize::from(*session)) {
            holdings.set_balance(asset, balance_minor);
        }
    }

    fn on_accepted(&mut self, body: &OrderAccepted, stamp: Stamp) -> Option<Report> {
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
            is_special: false,
            is_listed: self.lists.note(body.client_order_id, body.order_id, stamp),
        };
        self.by_id.insert(order.order_id, order);
        self.live.insert(order.order_id);
        self.remember(session, order.client_order_id, order.order_id);
        Some(Report::Execution(ExecutionReport::of(order, b'0', stamp)))
    }

    /// An order that is not plain. One that waits for another order of its list is suspended as soon as it is there.
    fn on_extended(&mut self, body: &ExtendedOrderAccepted, stamp: Stamp) -> Reports {
        let Some(Report::Execution(mut accepted)) = self.on_accepted(&body.order, stamp) else {
            return [None, None];
        };
        let special = Special {
            terms: body.terms,
            is_iceberg: body.terms.display_lots > 0,
            pegged_price_ticks: 0,
            list_order_id: body.list_order_id,
            list_type: body.list_type,
            waits: body.terms.trigger != 0 || body.inactive == 1,
        };
        self.special.insert(accepted.order.order_id, special);
        accepted.order.is_special = true;
        if let Some(order) = self.by_id.get_mut(&accepted.order.order_id) {
            order.is_special = true;
            if body.inactive == 1 {
                order.status = status::SUSPENDED;
                let suspended = ExecutionReport::of(*order, status::SUSPENDED, stamp);
                let suspended =
                    ExecutionReport { part: 1, text: "waits for the first order of its list", ..suspended };
                return [Some(Report::Execution(accepted)), Some(Report::Execution(suspended))];
            }
        }
        [Some(Report::Execution(accepted)), None]
    }

    /// An iceberg shows a slice. The first one after a replace says how much it shows at a time from then on.
    fn on_shown(&mut self, body: &OrderShown) {
        if let Some(special) = self.special.get_mut(&body.order_id)
            && special.is_iceberg
            && special.terms.display_lots == 0
        {
            special.terms.display_lots = body.shown_lots;
        }
    }

    /// A pegged order moved with the price that it follows.
    fn on_repriced(&mut self, body: &OrderRepriced, stamp: Stamp) -> Option<Report> {
        self.special.get_mut(&body.order_id)?.pegged_price_ticks = body.price_ticks;
        let order = *self.by_id.get(&body.order_id)?;
        let report = ExecutionReport::of(order, exec_type::RESTATED, stamp);
        Some(Report::Execution(ExecutionReport { restated: Restated::Repriced, ..report }))
    }

    /// A replace that follows changes what an order waits for or shows.
    fn on_terms_replaced(&mut self, body: &OrderTermsReplaced) {
        let Some(special) = self.special.get_mut(&body.order_id) else { return };
        if body.trigger_price_ticks != 0 {
            special.terms.trigger_price_ticks = body.trigger_price_ticks;
        }
        if body.display_lots != 0 {
            special.terms.display_lots = body.display_lots;
        }
        self.told_terms = Some(body.order_id);
    }

    fn on_list(&mut self, body: &OrderListAccepted, stamp: Stamp) {
        if let Some(session) = self.session_of.get(&body.account) {
            self.lists.begin(*session, body, stamp);
        }
    }

    /// A mass cancel has begun. Only one that a client asked for by a ClOrdID of its own is reported.
    fn on_mass_cancel(&mut self, body: &MassCancelAccepted, stamp: Stamp, source: Source) {
        if !body.client_order_id.is_none()
            && let Some(session) = self.told_of_mass_cancel(body.account, source)
        {
            self.mass_cancels.push(((stamp.sequence, session), *body));
        }
    }

    /// Who is told of a mass cancel of this account: the account's session, or an operator's that has asked for it.
    fn told_of_mass_cancel(&self, account: AccountId, source: Source) -> Option<u16> {
        let asker = if source.gateway == self.gateway { source.session.checked_sub(1) } else { None };
        let is_operator = |session: &u16| {
            let own = self.accounts_of.get(usize::from(*session));
            own.is_some_and(|own| *own != account || account == AccountId::WORLD)
        };
        asker.filter(is_operator).or_else(|| self.session_of.get(&account).copied())
    }

    fn on_mass_cancel_done(&mut self, body: &MassCancelDone, stamp: Stamp) -> Option<Report> {
        let at = self.mass_cancels.iter().position(|((sequence, _), _)| *sequence == body.begun_sequence)?;
        let ((sequence, session), begun) = self.mass_cancels.swap_remove(at);
        self.remember(session, begun.client_order_id, OrderId::NONE);
        Some(Report::MassCancel(MassCancelReport {
            session,
            sequence,
            client_order_id: begun.client_order_id,
            instrument: begun.instrument,
            side: begun.side,
            canceled_orders: body.canceled_orders,
            reject: None,
            timestamp_ns: stamp.timestamp_ns,
        }))
    }

    fn on_canceled(&mut self, body: &OrderCanceled, stamp: Stamp) -> Option<Report> {
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
            // A request without an id of its own (of a binary session) leaves the order's.
            if !body.client_order_id.is_none() {
                report.client_order_id = body.client_order_id;
                report.original_client_order_id = order.client_order_id;
                self.remember(order.session, body.client_order_id, order.order_id);
            }
        } else {
            report.text = reason.map_or("", CancelReason::name);
            report.restated = match reason {
                Some(CancelReason::Disconnected) => Restated::Disconnected,
                Some(CancelReason::Operator) => Restated::Operator,
                _ => Restated::No,
            };
        }
        self.finish(&order);
        Some(Report::Execution(report))
    }

    /// `ours`: a session of this gateway has asked for it.
    fn on_replaced(&mut self, body: &OrderReplaced, stamp: Stamp, ours: bool) -> Option<Report> {
        let order = self.by_id.get_mut(&body.order_id)?;
        let original = order.client_order_id;
        order.client_order_id = body.client_order_id;
        order.price_ticks = body.price_ticks;
        order.quantity_lots = body.quantity_lots;
        order.leaves_lots = body.leaves_lots;
        order.status = order.open_status();
        let order = *order;
        if order.is_special
            && let Some(special) = self.special.get_mut(&order.order_id)
        {
            // What has changed of them has been told just before, if this gateway has asked for it: only those of others send
            // commands that change them in silence. One that keeps its place has not changed any.
            let told = self.told_terms.take() == Some(body.order_id);
            if !(ours || told || body.kept_priority == 1) {
                special.forget_what_may_have_changed();
            }
        }
        self.remember(order.session, order.client_order_id, order.order_id);
        let mut report = ExecutionReport::of(order, b'5', stamp);
        report.original_client_order_id = original;
        Some(Report::Execution(report))
    }

    /// A waiting order became active, or (`waits`) was set free to wait for its trigger.
    fn on_triggered(&mut self, body: &OrderTriggered, stamp: Stamp) -> Option<Report> {
        let order = self.by_id.get_mut(&body.order_id)?;
        order.price_ticks = body.price_ticks;
        order.leaves_lots = body.leaves_lots;
        order.status = order.open_status();
        if let Some(special) = self.special.get_mut(&body.order_id) {
            special.waits = body.waits == 1;
        }
        let mut report = ExecutionReport::of(*order, exec_type::TRIGGERED, stamp);
        report.restated = Restated::Triggered;
        report.text = if body.waits == 1 { "set free by its list; waits for its trigger" } else { "" };
        Some(Report::Execution(report))
    }

    /// Self-trade prevention took quantity: the order is smaller now, or has ended.
    fn on_decremented(&mut self, body: &OrderDecremented, stamp: Stamp) -> Option<Report> {
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
            self.finish(&order);
        }
        let mut report = ExecutionReport::of(order, exec_type, stamp);
        report.restated = if order.is_done() { Restated::No } else { Restated::Decremented };
        report.text = CancelReason::SelfTrade.name();
        Some(Report::Execution(report))
    }

    /// A trade was reversed: the fill is taken back, what is left of the order stays as it is. Nothing is said about
    /// an order that ended so long ago that it has been forgotten.
    fn on_busted(&mut self, body: &TradeBusted, stamp: Stamp, maker: bool) -> Option<Report> {
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
            fee_asset: 0,
            maker,
        });
        report.part = u8::from(maker);
        report.busted = traded;
        report.text = "the trade was reversed by the operator";
        Some(Report::Execution(report))
    }

    /// Remembers where a trade was reported, as long as it can be busted.
    fn keep_trade(&mut self, trade_id: u64, stamp: Stamp, reported: bool) {
        let last_gone = trade_id.saturating_sub(u64::from(BUSTABLE_TRADES));
        while self.trades.front().is_some_and(|(trade_id, _)| *trade_id <= last_gone) {
            self.trades.pop_front();
        }
        if reported {
            self.trades.push_back((trade_id, stamp));
        }
    }

    fn on_trade(&mut self, body: &Trade, stamp: Stamp, maker: bool) -> Option<Report> {
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
            self.finish(&order);
        }
        self.accounts.on_trade(order.session, body, maker);
        let mut report = ExecutionReport::of(order, b'F', stamp);
        report.part = u8::from(maker);
        report.fill = Some(Fill {
            price_ticks: body.price_ticks,
            quantity_lots: body.quantity_lots,
            fee_minor,
            fee_asset: 0,
            maker,
        });
        Some(Report::Execution(report))
    }

    fn on_rejected(
        &mut self,
        body: &Rejected,
        stamp: Stamp,
        source: Source,
        asked: Option<&Asked>,
    ) -> Option<Report> {
        let reason = RejectReason::from_code(body.reason)?;
        let kind = CommandKind::from_code(body.command_kind)?;
        let session = match kind {
            CommandKind::MassCancel => self.told_of_mass_cancel(body.account, source)?,
            _ => *self.session_of.get(&body.account)?,
        };
        match kind {
            CommandKind::NewOrder
            | CommandKind::NewExtendedOrder
            | CommandKind::NewOrderList
            | CommandKind::NewClientOrderList => {
                let is_list = matches!(kind, CommandKind::NewOrderList | CommandKind::NewClientOrderList);
                if is_list && body.client_order_id.is_none() {
                    // The list as a whole: its ListStatus says so.
                    return None;
                }
                if !self.knows_client_id(session, body.client_order_id) {
                    self.remember(session, body.client_order_id, OrderId::NONE);
                }
                let mut order = rejected(session, body, asked.unwrap_or(&Asked::NOTHING));
                order.is_listed = self.lists.note(body.client_order_id, OrderId::NONE, stamp);
                let mut report = ExecutionReport::of(order, status::REJECTED, stamp);
                report.reject = Some(reason);
                Some(Report::Execution(report))
            }
            // Without an id of its own it was no request of a FIX client.
            CommandKind::CancelOrder if body.client_order_id.is_none() => None,
            CommandKind::CancelOrder
            | CommandKind::ReplaceOrder
            | CommandKind::ReplaceExtendedOrder
            | CommandKind::ReplaceOrderTerms => {
                let order = self.by_id(session, body.order_id).copied();
                if !self.knows_client_id(session, body.client_order_id) {
                    self.remember(session, body.client_order_id, OrderId::NONE);
                }
                let original = asked.map(|it| it.original_client_order_id).filter(|it| !it.is_none());
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
            CommandKind::MassCancel if !body.client_order_id.is_none() => {
                Some(Report::MassCancel(MassCancelReport {
                    session,
                    sequence: stamp.sequence,
                    client_order_id: body.client_order_id,
                    instrument: body.instrument,
                    side: 0,
                    canceled_orders: 0,
                    reject: Some(reason),
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
        self.client_ids.insert((session, client_order_id), order_id);
        // Two steps a call: with at most as many live orders as other ids, the queue stays within twice the live
        // orders plus the limit.
        for _ in 0..2 {
            if self.client_ids.len() <= 2 * self.done_limit {
                return;
            }
            let (by_id, live) = (&self.by_id, &self.live);
            self.client_ids.pass_oldest(|(_, client_order_id), order_id| {
                // Nearly all have ended: their orders, which nobody has looked at for long, are left alone.
                let order = if live.contains(&order_id) { by_id.get(&order_id) } else { None };
                order.is_some_and(|it| it.client_order_id == *client_order_id)
            });
        }
    }

    fn finish(&mut self, order: &Order) {
        if order.is_listed {
            self.lists.ended(order.order_id);
        }
        self.live.remove(&order.order_id);
        self.done.push_back(order.order_id);
        // Two steps a call: what must stay is looked at again, and may be as many as there are others.
        for _ in 0..2 {
            if self.done.len() <= self.done_limit {
                return;
            }
            let Some(oldest) = self.done.pop_front() else { return };
            match self.by_id.remove(&oldest) {
                Some(order) if order.is_listed && self.lists.needs(oldest) => {
                    self.by_id.insert(oldest, order);
                    self.done.push_back(oldest);
                }
                Some(order) if order.is_special => drop(self.special.remove(&oldest)),
                _ => {}
            }
        }
    }
}

/// The order that a rejected request would have made.
fn rejected(session: u16, body: &Rejected, asked: &Asked) -> Order {
    Order {
        session,
        client_order_id: body.client_order_id,
        account: body.account,
        instrument: body.instrument,
        price_ticks: asked.price_ticks,
        quantity_lots: asked.quantity_lots,
        side: asked.side,
        order_type: asked.order_type,
        time_in_force: asked.time_in_force,
        status: status::REJECTED,
        ..Order::default()
    }
}
