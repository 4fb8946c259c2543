//! The orders of this gateway's sessions, folded from events.
//!
//! [`Orders`] is a projection: it holds what reports and requests need, and nothing that events do not say. Orders of
//! accounts without a FIX session are not kept. Ended orders are kept up to a limit, the oldest forgotten first.

mod accounts;
mod catalog;
mod client_ids;
mod display;
mod fields;
mod fold;
mod held;
mod id_hash;
mod in_sequence;
mod list;
mod lists;
mod mass;
mod number;
mod refusal;
mod replace;
mod report;
mod request;
mod saved;
mod terms;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};

use accounts::Accounts;
pub use accounts::Balance;
pub use catalog::{Asset, Catalog, ConversionError, Instrument};
use client_ids::ClientIds;
pub(crate) use held::HeldReports;
pub(crate) use id_hash::{Hashed, IdHash};
use in_sequence::InSequence;
pub(crate) use list::{list_id, orders_of, parse_list};
use lists::Lists;
pub use lists::OrderList;
pub(crate) use mass::{cancel_for_disconnect, cancel_of_list, parse_mass_cancel, parse_mass_status};
pub use number::Number;
pub(crate) use refusal::Refusal;
pub(crate) use replace::fit_to_order;
pub(crate) use report::{
    AccountAnswer, ListOccasion, ListOrderState, StatusAnswer, states_of, write_account_summary,
    write_cancel_reject, write_collateral, write_collateral_ack, write_execution, write_list_status,
    write_local_cancel_reject, write_local_mass_cancel_reject, write_local_report, write_mass_cancel,
    write_no_orders, write_position, write_positions_ack,
};
pub use report::{
    CancelReject, ExecutionReport, Fill, MassCancelReport, Report, Restated, Stamp, reject_text,
};
pub(crate) use request::{Asked, Extra, Request, Sent, Trader, parse_cancel, parse_new, parse_replace};

use foldhash::fast::RandomState;
use protocol::{
    AccountId, ClientOrderId, InstrumentId, MassCancelAccepted, OrderId, OrderTerms, PriceTicks, QuantityLots,
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
    /// Suspended: it waits for another order of its list and cannot trade.
    pub const SUSPENDED: u8 = b'9';
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
    /// Whether there is a [`Special`] of it.
    pub is_special: bool,
    /// Whether it is of a list that has an id: an [`OrderList`].
    pub is_listed: bool,
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

/// What an order has beyond a plain one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Special {
    /// What it asked for. Trigger price and displayed quantity are 0 where a replace may have changed them and no
    /// event has said yet to what.
    pub terms: OrderTerms,
    /// Whether it shows a part of itself at a time.
    pub is_iceberg: bool,
    /// Where a pegged order stands; 0 if it has not moved yet, or is none.
    pub pegged_price_ticks: PriceTicks,
    /// The first order of its list; none without one.
    pub list_order_id: OrderId,
    /// [`protocol::ListType`].
    pub list_type: u8,
    /// Whether it waits for its trigger, or for another order of its list.
    pub waits: bool,
}

impl Special {
    /// The order was replaced by a command that may have changed what it waits for and what it shows, and does not tell.
    fn forget_what_may_have_changed(&mut self) {
        if self.waits {
            self.terms.trigger_price_ticks = 0;
        }
        self.terms.display_lots = 0;
    }
}

/// The projection. See the module's documentation.
pub struct Orders {
    /// Whose sessions they are.
    gateway: u16,
    /// Assets and instruments.
    pub catalog: Catalog,
    session_of: HashMap<AccountId, u16, RandomState>,
    /// By session.
    accounts_of: Vec<AccountId>,
    accounts: Accounts,
    by_id: HashMap<OrderId, Order, InSequence>,
    /// Orders that have begun and not ended: a small table, and in use.
    live: HashSet<OrderId, InSequence>,
    special: HashMap<OrderId, Special, InSequence>,
    /// Ended orders, oldest first.
    done: VecDeque<OrderId>,
    client_ids: ClientIds,
    /// Trades of these sessions that may still be busted, by number, with where each was reported.
    trades: VecDeque<(u64, Stamp)>,
    /// Mass cancels of these sessions that are at work, by the sequence of the command that began them and the session that
    /// is told.
    mass_cancels: Vec<((u64, u16), MassCancelAccepted)>,
    lists: Lists,
    /// Accounts of these sessions that pay fees in fee assets, ascending.
    fee_payers: Vec<AccountId>,
    /// Reports of a trade that wait for its fees, within a command.
    held: Option<HeldReports>,
    /// The order whose changed terms the command has told, before it is replaced.
    told_terms: Option<OrderId>,
    done_limit: usize,
}

/// The reports of one event: a trade has two.
pub type Reports = [Option<Report>; 2];

impl Orders {
    /// An empty projection for these accounts (position: the session's index) of this gateway. It has room for `done_limit` orders of each kind, live
    /// and ended: a table that grows moves all that it holds, and every client would wait for that.
    #[must_use]
    pub fn new(gateway: u16, accounts: &[AccountId], done_limit: usize) -> Self {
        let sessions = accounts.iter().enumerate().map(|(index, account)| (*account, index as u16));
        // A session that only listens has none.
        let sessions = sessions.filter(|(account, _)| *account != AccountId::WORLD);
        Self {
            gateway,
            catalog: Catalog::default(),
            session_of: sessions.collect(),
            accounts_of: accounts.to_vec(),
            accounts: Accounts::new(accounts.len()),
            by_id: HashMap::with_capacity_and_hasher(2 * done_limit, InSequence),
            live: HashSet::default(),
            special: HashMap::default(),
            done: VecDeque::with_capacity(done_limit + 1),
            // Twice the limit, and twice the live orders: a quarter of the limit of these is many.
            client_ids: ClientIds::with_capacity(2 * done_limit + done_limit / 2),
            trades: VecDeque::new(),
            mass_cancels: Vec::new(),
            lists: Lists::default(),
            fee_payers: Vec::new(),
            held: None,
            told_terms: None,
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
        self.client_ids.get(&(session, client_order_id)).and_then(|order_id| self.by_id.get(&order_id))
    }

    /// Whether an event has answered a request with this ClOrdID, be it by a reject.
    #[must_use]
    pub fn knows_client_id(&self, session: u16, client_order_id: ClientOrderId) -> bool {
        self.client_ids.get(&(session, client_order_id)).is_some()
    }

    /// A request with this ClOrdID is on its way: asks for the memory in which its answer will be looked for.
    #[inline]
    pub(crate) fn expect_client_id(&self, session: u16, client_order_id: ClientOrderId) {
        self.client_ids.prefetch(&(session, client_order_id));
    }

    /// What the order has beyond a plain one, if anything.
    #[must_use]
    pub fn special(&self, order: &Order) -> Option<&Special> {
        if order.is_special { self.special.get(&order.order_id) } else { None }
    }

    /// The live orders of a session that fit: oldest first.
    #[must_use]
    pub fn live(&self, session: u16, fits: impl Fn(&Order) -> bool) -> Vec<OrderId> {
        let orders = self.live.iter().filter_map(|order_id| self.by_id.get(order_id));
        let orders =
            orders.inspect(|it| debug_assert!(!it.is_done())).filter(|it| it.session == session && fits(it));
        let mut ids: Vec<OrderId> = orders.map(|it| it.order_id).collect();
        ids.sort_unstable();
        ids
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
}
