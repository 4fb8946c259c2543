//! Records of the benchmark's interface, field by field as its header lays them out.

use std::mem::MaybeUninit;

/// A new order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewOrderMessage {
    /// The client's id of the order.
    pub order_id: u64,
    /// Number of the message; reports name it.
    pub sequence: u64,
    /// Limit price.
    pub price_ticks: i64,
    /// Quantity.
    pub quantity: u32,
    /// 0 buy, 1 sell.
    pub side: u8,
    /// 1 for immediate-or-cancel.
    pub immediate: u8,
    /// Zero.
    pub reserved: [u8; 2],
}

/// A cancel.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CancelMessage {
    /// The client's id of the order.
    pub order_id: u64,
    /// Number of the message.
    pub sequence: u64,
}

/// A replace: the order leaves its queue and is matched anew.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModifyMessage {
    /// The client's id of the order.
    pub order_id: u64,
    /// Number of the message.
    pub sequence: u64,
    /// New limit price.
    pub price_ticks: i64,
    /// New quantity.
    pub quantity: u32,
    /// 0 buy, 1 sell; the order's own side counts.
    pub side: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

/// Kinds of reports, as their codes.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportKind {
    /// A new order was accepted.
    OrderAck = 0,
    /// A fill.
    Trade = 1,
    /// An order, or the rest of an immediate-or-cancel order, was cancelled.
    CancelAck = 2,
    /// An order was replaced.
    ModifyAck = 3,
    /// Cancel of an order that does not rest.
    CancelReject = 4,
    /// Replace of an order that does not rest.
    ModifyReject = 5,
}

/// What the engine tells about a message.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// [`ReportKind`] as its code.
    pub kind: u8,
    /// Side of the order, where there is one.
    pub side: u8,
    /// Zero.
    pub reserved: [u8; 6],
    /// Number of the message that caused it.
    pub sequence: u64,
    /// The order; 0 for a trade.
    pub order_id: u64,
    /// The resting order's price for a trade, else the order's.
    pub price_ticks: i64,
    /// Quantity.
    pub quantity: u32,
    /// Zero.
    pub reserved_quantity: u32,
    /// Resting order of a trade.
    pub maker_order_id: u64,
    /// Incoming order of a trade.
    pub taker_order_id: u64,
    /// Zero.
    pub padding: u64,
}

/// A message with its tag, for delivery in batches. `payload` holds the record that `kind` says; the smaller one is
/// followed by bytes without meaning.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TaggedMessage {
    /// 0 new order, 1 cancel, 2 modify.
    pub kind: u8,
    /// Without meaning.
    pub reserved: [MaybeUninit<u8>; 7],
    /// The record, 32 bytes aligned to 8.
    pub payload: [MaybeUninit<u64>; 4],
}

const _: () = assert!(size_of::<NewOrderMessage>() == 32 && align_of::<NewOrderMessage>() == 8);
const _: () = assert!(size_of::<CancelMessage>() == 16 && align_of::<CancelMessage>() == 8);
const _: () = assert!(size_of::<ModifyMessage>() == 32 && align_of::<ModifyMessage>() == 8);
const _: () = assert!(size_of::<Report>() == 64 && align_of::<Report>() == 8);
const _: () = assert!(size_of::<TaggedMessage>() == 40 && align_of::<TaggedMessage>() == 8);
