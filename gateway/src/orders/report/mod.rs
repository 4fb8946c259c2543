//! What the gateway tells of orders: ExecutionReport (35=8), OrderCancelReject (35=9), OrderMassCancelReport (35=r) and
//! ListStatus (35=N).

mod account;
mod cancel_reject;
mod execution;
mod list_status;
mod local;
mod mass_cancel;
mod terms;
mod words;

use std::num::NonZeroU64;

use machine::RecordHeader;
use protocol::{
    AmountMinor, AssetId, ClientOrderId, InstrumentId, OrderId, PriceTicks, QuantityLots, RejectReason,
};

use super::Order;
use crate::fix::{MessageWriter, tags};
pub(crate) use account::{
    AccountAnswer, write_account_summary, write_collateral, write_collateral_ack, write_position,
    write_positions_ack,
};
pub(crate) use cancel_reject::{write_cancel_reject, write_local_cancel_reject};
pub(crate) use execution::{StatusAnswer, write_execution};
pub(crate) use list_status::{ListOccasion, ListOrderState, states_of, write_list_status};
pub(crate) use local::{write_local_report, write_no_orders};
pub(crate) use mass_cancel::{write_local_mass_cancel_reject, write_mass_cancel};
pub use words::reject_text;

/// Where and when an event happened; makes ExecIDs.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// Sequence of the command.
    pub sequence: u64,
    /// Its time.
    pub timestamp_ns: u64,
    /// Place of the event among the command's events.
    pub index: u32,
}

impl Stamp {
    pub(super) fn of(header: &RecordHeader, index: u32) -> Self {
        Self { sequence: header.sequence, timestamp_ns: header.timestamp_ns, index }
    }
}

/// One side of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// LastPx.
    pub price_ticks: PriceTicks,
    /// LastQty.
    pub quantity_lots: QuantityLots,
    /// Fee.
    pub fee_minor: AmountMinor,
    /// What it is paid in; 0 is the quote asset.
    pub fee_asset: AssetId,
    /// Whether the order rested.
    pub maker: bool,
}

/// Why the exchange has changed an order by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restated {
    /// It has not.
    #[default]
    No,
    /// A pegged order moved with the price that it follows.
    Repriced,
    /// Self-trade prevention took a part of it.
    Decremented,
    /// It became active; only for versions that have no ExecType for that.
    Triggered,
    /// It was cancelled because its session was lost.
    Disconnected,
    /// It was cancelled by the operator.
    Operator,
}

/// What an ExecutionReport says.
#[derive(Clone, Copy, Debug)]
pub struct ExecutionReport {
    /// The order after the event.
    pub order: Order,
    /// 1 for the second report of the same event: the maker's of a trade, the suspension of an order just accepted.
    pub part: u8,
    /// ExecType (150).
    pub exec_type: u8,
    /// Where and when.
    pub stamp: Stamp,
    /// ClOrdID (11).
    pub client_order_id: ClientOrderId,
    /// OrigClOrdID (41), if it answers a cancel or replace.
    pub original_client_order_id: ClientOrderId,
    /// The trade it reports.
    pub fill: Option<Fill>,
    /// Where the trade was reported that is taken back (sequence, index), if that is known.
    pub busted: Option<(NonZeroU64, u32)>,
    /// Why the order was rejected.
    pub reject: Option<RejectReason>,
    /// Why it was changed, if nobody asked for it.
    pub restated: Restated,
    /// Text (58).
    pub text: &'static str,
}

impl ExecutionReport {
    pub(super) fn of(order: Order, exec_type: u8, stamp: Stamp) -> Self {
        Self {
            order,
            part: 0,
            exec_type,
            stamp,
            client_order_id: order.client_order_id,
            original_client_order_id: ClientOrderId::NONE,
            fill: None,
            busted: None,
            reject: None,
            restated: Restated::No,
            text: "",
        }
    }

    /// The order as it is, for a status request.
    pub(crate) fn status_of(order: Order, now_ns: u64) -> Self {
        Self::of(order, b'I', Stamp { sequence: 0, timestamp_ns: now_ns, index: 0 })
    }
}

/// What an OrderCancelReject says.
#[derive(Clone, Copy, Debug)]
pub struct CancelReject {
    /// Index of the session.
    pub session: u16,
    /// The order, or none.
    pub order_id: OrderId,
    /// ClOrdID of the request.
    pub client_order_id: ClientOrderId,
    /// OrigClOrdID of the request.
    pub original_client_order_id: ClientOrderId,
    /// OrdStatus of the order.
    pub status: u8,
    /// Whether a replace was asked for.
    pub replace: bool,
    /// Why.
    pub reason: RejectReason,
    /// When.
    pub timestamp_ns: u64,
}

/// What an OrderMassCancelReport says.
#[derive(Clone, Copy, Debug)]
pub struct MassCancelReport {
    /// Index of the session.
    pub session: u16,
    /// Sequence of the command that began it.
    pub sequence: u64,
    /// ClOrdID of the request.
    pub client_order_id: ClientOrderId,
    /// On this instrument; 0 for all.
    pub instrument: InstrumentId,
    /// [`protocol::Side`]; 0 for both.
    pub side: u8,
    /// Orders that were cancelled.
    pub canceled_orders: u32,
    /// Why it was refused.
    pub reject: Option<RejectReason>,
    /// When it was through.
    pub timestamp_ns: u64,
}

/// A message to a session.
#[derive(Clone, Copy, Debug)]
pub enum Report {
    /// 35=8.
    Execution(ExecutionReport),
    /// 35=9.
    CancelReject(CancelReject),
    /// 35=r.
    MassCancel(MassCancelReport),
}

impl Report {
    /// Index of the session that it is for.
    #[must_use]
    pub fn session(&self) -> usize {
        usize::from(match self {
            Self::Execution(report) => report.order.session,
            Self::CancelReject(report) => report.session,
            Self::MassCancel(report) => report.session,
        })
    }
}

fn write_text(writer: &mut MessageWriter<'_>, tag: u32, id: ClientOrderId) {
    if !id.is_none() {
        writer.bytes(tag, id.as_bytes_trimmed());
    }
}

fn write_order_id(writer: &mut MessageWriter<'_>, order_id: OrderId) {
    if order_id == OrderId::NONE {
        writer.bytes(tags::ORDER_ID, b"NONE");
    } else {
        writer.joined(tags::ORDER_ID, order_id.sequence(), u64::from(order_id.slot()));
    }
}
