//! The machine: its state and the way in.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use machine::{Body, Context, EventBuffer, HEADER_LENGTH, Record, StateMachine, stride};
use orderbook::{Book, Order, OrderTable};
use protocol::{
    AuctionIndicative, CommandKind, ExtendedOrderAccepted, FeeCharged, InstrumentId, Limits, MAX_LIST_ORDERS,
    MAX_SEQUENCE, OrderCanceled, OrderDecremented, OrderShown, OrderTriggered, PhaseChanged, RejectReason,
    SetTickTable, Trade,
};
use wallet::Wallet;

use crate::accounts::Accounts;
use crate::client_index::ClientIndex;
use crate::instrument::Instrument;
use crate::limits::{LimitsError, check_limits};
use crate::positions::PositionTable;
use crate::request::{self, Request};
use crate::risk_table::RiskTable;
use crate::special::Specials;
use crate::sweeps::Sweeps;
use crate::timers::Expiries;
use crate::trades::TradeRing;
use crate::volumes::Volumes;

/// All order books, the wallet, and the rules between them (`docs/exchange.md`).
///
/// Memory for all tables is reserved by [`Exchange::new`], and for books by `CreateInstrument`. Pages of side tables that
/// no order uses stay untouched.
pub struct Exchange<B: Book = orderbook::OrderBook> {
    pub(crate) limits: Limits,
    pub(crate) wallet: Wallet,
    pub(crate) table: OrderTable,
    pub(crate) clients: ClientIndex,
    pub(crate) positions: PositionTable,
    pub(crate) accounts: Accounts,
    pub(crate) specials: Specials,
    pub(crate) volumes: Volumes,
    pub(crate) trades: TradeRing,
    /// By id less 1.
    pub(crate) instruments: Vec<Option<Instrument<B>>>,
    pub(crate) instrument_count: u32,
    pub(crate) next_trade_id: u64,
    /// When instruments change phase; see [`crate::instrument::State::timer_id`].
    pub(crate) phase_timers: Expiries,
    /// Instruments with work left, in the order in which they were left with it.
    pub(crate) unfinished: VecDeque<InstrumentId>,
    pub(crate) sweeps: Sweeps,
    /// Set by the operator; positions and instruments hold numbers of its rows.
    pub(crate) risk: RiskTable,
    /// When there is something to catch up with: 0 for at once, `u64::MAX` for never. Not part of the state hash: it
    /// follows from the rest.
    pub(crate) due_ns: u64,
    /// Steps of the command so far.
    pub(crate) steps: u32,
    /// Resting orders that one matching may trade with or remove: `fills_per_command`, or what a batch has left of it.
    pub(crate) fill_budget: u32,
    /// Slots that sweeps have looked at in this command.
    pub(crate) swept_slots: u32,
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
            clients: ClientIndex::with_capacity(limits.orders, limits.recent_client_ids, seed),
            positions: PositionTable::with_capacity(limits.positions),
            accounts: Accounts::new(&limits),
            specials: Specials::with_capacity(limits.orders),
            volumes: Volumes::with_capacity(limits.balances, limits.positions),
            trades: TradeRing::new(),
            instruments,
            instrument_count: 0,
            next_trade_id: 1,
            phase_timers: Expiries::with_capacity(limits.instruments),
            unfinished: VecDeque::with_capacity(limits.instruments as usize),
            sweeps: Sweeps::new(),
            risk: RiskTable::new(&limits),
            due_ns: u64::MAX,
            steps: 0,
            fill_budget: limits.fills_per_command,
            swept_slots: 0,
            applied_sequence: 0,
        })
    }

    /// The instrument of an accepted order.
    #[inline]
    pub(crate) fn instrument_of(&self, order: &Order) -> &Instrument<B> {
        self.instrument_at(order.instrument)
    }

    /// An instrument that is known to exist.
    #[inline]
    pub(crate) fn instrument_at(&self, instrument: InstrumentId) -> &Instrument<B> {
        let instrument = self.instruments.get(place(instrument)).and_then(Option::as_ref);
        instrument.expect("an accepted order has an instrument")
    }

    #[inline]
    pub(crate) fn instrument_at_mut(&mut self, instrument: InstrumentId) -> &mut Instrument<B> {
        let instrument = self.instruments.get_mut(place(instrument)).and_then(Option::as_mut);
        instrument.expect("an accepted order has an instrument")
    }

    /// Whether more work may be begun in this command.
    #[inline]
    pub(crate) fn has_steps(&self) -> bool {
        self.steps < self.limits.fills_per_command
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
        match result {
            Ok(()) => self.sweep_after(context, events),
            Err(reason) => events.push(&command.rejected(reason)),
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
        (self.steps, self.swept_slots) = (0, 0);
        if context.timestamp_ns >= self.due_ns {
            self.catch_up(context, events);
        }
        match CommandKind::from_code(command.header().kind) {
            Some(CommandKind::NewOrder) => self.run(context, command, events, Self::new_order),
            Some(CommandKind::ReplaceOrder) => self.run(context, command, events, Self::replace_order),
            Some(CommandKind::CancelOrder) => self.run(context, command, events, Self::cancel_order),
            Some(kind) => self.apply_rare(kind, context, command, events),
            None => events.push(&request::unknown(command.header().kind)),
        }
    }

    fn look_ahead(&self, commands: &[Record<'_>]) {
        self.look_at(commands);
    }

    fn state_hash(&self) -> u64 {
        self.hash()
    }

    /// A command takes at most three times `fills_per_command` steps: before it and after it work is begun only while
    /// there are fewer, and what has begun last may take as many again. Each step gives at most the events of a stop
    /// of a pair that is triggered and trades once; besides, there is what a command itself gives.
    fn max_event_bytes(&self) -> usize {
        const STEP: usize = bytes_of::<OrderCanceled>() * 2
            + bytes_of::<OrderTriggered>() * 2
            + bytes_of::<Trade>()
            + bytes_of::<FeeCharged>() * 2
            + bytes_of::<OrderDecremented>() * 2
            + bytes_of::<OrderShown>() * 2
            + bytes_of::<PhaseChanged>() * 2;
        const COMMAND: usize = (bytes_of::<ExtendedOrderAccepted>() + STEP) * (MAX_LIST_ORDERS as usize + 1)
            + bytes_of::<SetTickTable>();
        let indicative = bytes_of::<AuctionIndicative>() * self.limits.instruments as usize;
        COMMAND + indicative + STEP * 3 * (self.limits.fills_per_command as usize + 1)
    }
}

impl<B: Book> Exchange<B> {
    /// The commands that are not the daily bread.
    #[cold]
    #[inline(never)]
    fn apply_rare(
        &mut self,
        kind: CommandKind,
        context: &Context,
        command: Record<'_>,
        events: &mut EventBuffer,
    ) {
        match kind {
            CommandKind::NewOrder => self.run(context, command, events, Self::new_order),
            CommandKind::ReplaceOrder => self.run(context, command, events, Self::replace_order),
            CommandKind::CancelOrder => self.run(context, command, events, Self::cancel_order),
            CommandKind::Deposit => self.run(context, command, events, Self::deposit),
            CommandKind::Withdraw => self.run(context, command, events, Self::withdraw),
            CommandKind::EndDay => self.run(context, command, events, Self::end_day),
            CommandKind::CreateAsset => self.run(context, command, events, Self::create_asset),
            CommandKind::CreateAccount => self.run(context, command, events, Self::create_account),
            CommandKind::CreateInstrument => self.run(context, command, events, Self::create_instrument),
            CommandKind::NewExtendedOrder => self.run(context, command, events, Self::new_extended_order),
            CommandKind::NewOrderList | CommandKind::NewClientOrderList => {
                self.new_order_list(context, command, events);
            }
            CommandKind::ReplaceExtendedOrder => {
                self.run(context, command, events, Self::replace_extended_order);
            }
            CommandKind::ReplaceOrderTerms => {
                self.run(context, command, events, Self::replace_order_terms);
            }
            CommandKind::MassCancel => self.run(context, command, events, Self::mass_cancel),
            CommandKind::SetAccountStatus => self.run(context, command, events, Self::set_account_status),
            CommandKind::SetAccountOptions => self.run(context, command, events, Self::set_account_options),
            CommandKind::SetRiskLimits => self.run(context, command, events, Self::set_risk_limits),
            CommandKind::SetInstrumentRules => {
                self.run(context, command, events, Self::set_instrument_rules);
            }
            CommandKind::SetTickTable => self.run(context, command, events, Self::set_tick_table),
            CommandKind::SetFeeSchedule => self.run(context, command, events, Self::set_fee_schedule),
            CommandKind::SetTimetable => self.run(context, command, events, Self::set_timetable),
            CommandKind::SetPhase => self.run(context, command, events, Self::set_phase),
            CommandKind::BustTrade => self.run(context, command, events, Self::bust_trade),
            CommandKind::AdvanceTime => self.run(context, command, events, Self::advance_time),
        }
    }
}

const fn bytes_of<T: Body>() -> usize {
    stride(HEADER_LENGTH + size_of::<T>())
}

/// Where in `instruments` an id lies; out of bounds for 0.
#[inline]
pub(crate) fn place(instrument: InstrumentId) -> usize {
    (instrument as usize).wrapping_sub(1)
}

/// UTC day of a command, counted from the Unix epoch.
#[inline]
pub(crate) fn day_of(context: &Context) -> u32 {
    const DAY_NS: u64 = 86_400_000_000_000;
    (context.timestamp_ns / DAY_NS) as u32
}
