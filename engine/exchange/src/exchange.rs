//! The machine: its state and the way in.

use alloc::vec::Vec;

use machine::{Body, Context, EventBuffer, HEADER_LENGTH, Record, StateMachine, stride};
use orderbook::{Book, Order, OrderTable};
use protocol::{
    CommandKind, InstrumentId, Limits, MAX_SEQUENCE, OrderAccepted, OrderCanceled, OrderReplaced,
    RejectReason, TimeInForce, Trade,
};
use wallet::{BalanceSlot, Wallet};

use crate::client_index::ClientIndex;
use crate::instrument::Instrument;
use crate::limits::{LimitsError, check_limits};
use crate::request::{self, Request};

/// All order books, the wallet, and the rules between them (`docs/exchange.md`).
///
/// Memory for all tables is reserved by [`Exchange::new`], and for a book by `CreateInstrument`; no other command
/// allocates. Per order that is 200 bytes: 64 of order, 52 for a far price level, 32 for what is behind an iceberg, 36 of
/// client order id, 16 of its index.
pub struct Exchange<B: Book = orderbook::OrderBook> {
    pub(crate) limits: Limits,
    pub(crate) wallet: Wallet,
    pub(crate) table: OrderTable,
    pub(crate) clients: ClientIndex,
    /// By id less 1.
    pub(crate) instruments: Vec<Option<Instrument<B>>>,
    pub(crate) instrument_count: u32,
    pub(crate) next_trade_id: u64,
    /// Sequence of the last command; not part of the state hash, since a rejected command changes nothing.
    pub(crate) applied_sequence: u64,
}

impl<B: Book> Exchange<B> {
    /// An exchange without assets, instruments and accounts.
    ///
    /// # Errors
    /// If a limit is out of range.
    pub fn new(limits: Limits) -> Result<Self, LimitsError> {
        Self::with_hash_seed(limits, 0)
    }

    /// The same with a secret seed for the hash of client order ids, so that no client can choose ids that collide.
    /// Nothing that the exchange answers depends on the seed, nor does its state hash.
    ///
    /// # Errors
    /// If a limit is out of range.
    pub fn with_hash_seed(limits: Limits, seed: u64) -> Result<Self, LimitsError> {
        check_limits(&limits)?;
        let mut instruments = Vec::with_capacity(limits.instruments as usize);
        instruments.resize_with(limits.instruments as usize, || None);
        Ok(Self {
            limits,
            wallet: Wallet::new(&limits),
            table: OrderTable::with_capacity(limits.orders),
            clients: ClientIndex::with_capacity(limits.orders, seed),
            instruments,
            instrument_count: 0,
            next_trade_id: 1,
            applied_sequence: 0,
        })
    }

    /// Runs one command of a known kind: the checks that all share, then its own.
    #[inline]
    fn run<T: Request>(
        &mut self,
        context: &Context,
        record: Record<'_>,
        events: &mut EventBuffer,
        rule: impl FnOnce(&mut Self, &Context, &T, &mut EventBuffer) -> Result<(), RejectReason>,
    ) {
        let Some(command) = record.body_as::<T>() else {
            return events.push(&request::unknown(record.header().kind));
        };
        let result = if !command.is_well_formed() {
            Err(RejectReason::Malformed)
        } else if context.sequence > MAX_SEQUENCE {
            Err(RejectReason::SequenceExhausted)
        } else {
            rule(self, context, command, events)
        };
        if let Err(reason) = result {
            events.push(&command.rejected(reason));
        }
    }
}

impl<B: Book> StateMachine for Exchange<B> {
    const NAME: &'static str = "exchange";

    /// # Panics
    /// If the sequence does not rise from command to command: the caller's log is not one order.
    fn apply(&mut self, context: &Context, command: Record<'_>, events: &mut EventBuffer) {
        assert!(
            context.sequence > self.applied_sequence,
            "command {} does not follow command {}",
            context.sequence,
            self.applied_sequence
        );
        self.applied_sequence = context.sequence;
        match CommandKind::from_code(command.header().kind) {
            Some(CommandKind::NewOrder) => self.run(context, command, events, Self::new_order),
            Some(CommandKind::ReplaceOrder) => self.run(context, command, events, Self::replace_order),
            Some(CommandKind::CancelOrder) => self.run(context, command, events, Self::cancel_order),
            Some(CommandKind::Deposit) => self.run(context, command, events, Self::deposit),
            Some(CommandKind::Withdraw) => self.run(context, command, events, Self::withdraw),
            Some(CommandKind::EndDay) => self.run(context, command, events, Self::end_day),
            Some(CommandKind::CreateAsset) => self.run(context, command, events, Self::create_asset),
            Some(CommandKind::CreateAccount) => self.run(context, command, events, Self::create_account),
            Some(CommandKind::CreateInstrument) => {
                self.run(context, command, events, Self::create_instrument);
            }
            None => events.push(&request::unknown(command.header().kind)),
        }
    }

    fn state_hash(&self) -> u64 {
        self.hash()
    }

    /// One command gives at most: a first event of the order, an event for each fill, and a last one for what is left.
    fn max_event_bytes(&self) -> usize {
        const FIRST: usize = larger(bytes_of::<OrderAccepted>(), bytes_of::<OrderReplaced>());
        const FILL: usize = larger(bytes_of::<Trade>(), bytes_of::<OrderCanceled>());
        const LAST: usize = bytes_of::<OrderCanceled>();
        FIRST + FILL * self.limits.fills_per_command as usize + LAST
    }
}

const fn bytes_of<T: Body>() -> usize {
    stride(HEADER_LENGTH + size_of::<T>())
}

const fn larger(one: usize, two: usize) -> usize {
    if one > two { one } else { two }
}

/// Where in `instruments` an id lies; out of bounds for 0.
#[inline]
pub(crate) fn place(instrument: InstrumentId) -> usize {
    (instrument as usize).wrapping_sub(1)
}

/// The balances that an order moves, kept in [`Order::user`].
#[derive(Clone, Copy)]
pub(crate) struct Slots {
    pub(crate) base: BalanceSlot,
    pub(crate) quote: BalanceSlot,
}

impl Slots {
    #[inline]
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.base.to_bits()) << 32 | u64::from(self.quote.to_bits())
    }

    #[inline]
    pub(crate) fn of(order: &Order) -> Self {
        Self {
            base: BalanceSlot::from_bits((order.user >> 32) as u32),
            quote: BalanceSlot::from_bits(order.user as u32),
        }
    }

    /// The one that the order's hold is on.
    #[inline]
    pub(crate) fn held(self, side: protocol::Side) -> BalanceSlot {
        match side {
            protocol::Side::Buy => self.quote,
            protocol::Side::Sell => self.base,
        }
    }
}

/// 1 for a day order: what it adds to its instrument's count.
#[inline]
pub(crate) fn day_count(order: &Order) -> u32 {
    u32::from(order.time_in_force == TimeInForce::Day.code())
}
