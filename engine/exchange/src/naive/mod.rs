//! The exchange a second time: slow, obvious, and the judge of the other one.
//!
//! Written from `docs/exchange.md` alone. It shares no code with the fast exchange but the records: its books are scans
//! over all orders, its money is `i128`, its holds are stored and not recomputed, and its auction price is found by
//! trying every price at which something changes.

mod administration;
mod auctions;
mod available;
mod checks;
mod fees;
mod form;
mod lists;
mod matching;
mod names;
mod order;
mod orders;
mod phases;
mod queries;
mod replace;
mod rules;
mod settling;
mod sweeps;
mod terms;
mod trade;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use machine::{Context, EventBuffer, Record, StateHasher, StateMachine};
use protocol::{
    AccountId, AssetId, ClientOrderId, CreateAsset, CreateInstrument, InstrumentId, Limits, OrderId, Phase,
    Rejected, SetAccountOptions, SetFeeSchedule, SetInstrumentRules, SetRiskLimits, SetTickTable,
};

use order::LiveOrder;
pub use queries::SeenOrder;

pub(crate) const MAX_AMOUNT: i128 = (1 << 62) - 1;
pub(crate) const MAX_40_BITS: i64 = (1 << 40) - 1;

/// Balance and hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Funds {
    pub(crate) balance: i128,
    pub(crate) held: i128,
}

/// A client account.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) suspended: bool,
    pub(crate) options: SetAccountOptions,
    /// When the interval of its message rate began, and how many orders it has sent since.
    pub(crate) interval: Option<(u64, u32)>,
}

/// What a list still has to do on its instrument.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ListWork {
    /// The other order of a pair goes.
    CancelOther(OrderId),
    /// These become active.
    Free([OrderId; 2]),
    /// These will never become active.
    End([OrderId; 2]),
}

/// An uncross at work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uncross {
    pub(crate) price: i64,
    /// The phase that follows, its end, and whether the timetable asks for it.
    pub(crate) phase: Phase,
    pub(crate) until_ns: u64,
    pub(crate) by_timetable: bool,
}

/// An instrument with all that has been set for it.
#[derive(Clone, Debug)]
pub(crate) struct Market {
    pub(crate) created: CreateInstrument,
    pub(crate) rules: SetInstrumentRules,
    pub(crate) ticks: SetTickTable,
    pub(crate) schedule: SetFeeSchedule,
    /// Begin of each phase, in order, and which of them is the next.
    pub(crate) timetable: Vec<(u128, Phase)>,
    pub(crate) next_entry: usize,
    pub(crate) repeat_ns: u64,
    pub(crate) phase: Phase,
    /// When Continuous follows; 0 for never.
    pub(crate) until_ns: u64,
    /// 0 for none.
    pub(crate) reference: i64,
    /// Price of the last trade; 0 for none.
    pub(crate) last_trade: i64,
    /// Lowest and highest trade that counts for stops.
    pub(crate) trades: Option<(i64, i64)>,
    pub(crate) uncross: Option<Uncross>,
    pub(crate) list_work: VecDeque<ListWork>,
    /// Price, paired quantity and imbalance given last in this phase.
    pub(crate) indicative: Option<(i64, i64, i64)>,
}

/// A mass cancel at work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MassSweep {
    pub(crate) begun_sequence: u64,
    pub(crate) wish: protocol::MassCancel,
    pub(crate) next_slot: u32,
    pub(crate) canceled: u32,
}

/// The sweep of orders whose auction or day is over: by instrument and time in force, those entered before a command.
#[derive(Clone, Debug, Default)]
pub(crate) struct PhaseSweep {
    pub(crate) ends: BTreeMap<(InstrumentId, u8), u64>,
    pub(crate) next_slot: u32,
}

/// A trade that can be busted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PastTrade {
    pub(crate) trade: protocol::Trade,
    /// In what and how much, as it was paid.
    pub(crate) maker_fee: (AssetId, i128),
    pub(crate) taker_fee: (AssetId, i128),
    pub(crate) busted: bool,
}

/// The naive exchange: same commands, same events as [`crate::Exchange`].
#[derive(Clone)]
pub struct NaiveExchange {
    pub(crate) limits: Limits,
    pub(crate) assets: BTreeMap<AssetId, CreateAsset>,
    pub(crate) markets: BTreeMap<InstrumentId, Market>,
    pub(crate) accounts: BTreeMap<AccountId, Account>,
    /// Pairs that have been used, FEES included; WORLD's are computed.
    pub(crate) funds: BTreeMap<(AccountId, AssetId), Funds>,
    pub(crate) positions: BTreeMap<(AccountId, InstrumentId), i128>,
    pub(crate) risk: BTreeMap<(AccountId, InstrumentId), SetRiskLimits>,
    /// What an account traded in a quote asset, by UTC day.
    pub(crate) volumes: BTreeMap<(AccountId, AssetId), BTreeMap<u64, i128>>,
    /// By slot.
    pub(crate) orders: BTreeMap<u32, LiveOrder>,
    /// Free slots; the next one is last.
    pub(crate) free_slots: Vec<u32>,
    /// Client order ids of ended orders, the oldest first.
    pub(crate) recent_ids: VecDeque<(AccountId, ClientOrderId)>,
    pub(crate) past_trades: BTreeMap<u64, PastTrade>,
    pub(crate) last_trade_id: u64,
    /// Counts the times that an order went to the end of a queue.
    pub(crate) clock: u64,
    /// Instruments with work left, in the order in which they were left with it.
    pub(crate) unsettled: VecDeque<InstrumentId>,
    pub(crate) phase_sweep: Option<PhaseSweep>,
    pub(crate) mass_sweeps: VecDeque<MassSweep>,
    /// The command being applied, the steps it has taken and the slots it has swept.
    pub(crate) now: Context,
    pub(crate) steps: u32,
    pub(crate) swept_slots: u32,
    /// Resting orders that one matching may trade with or remove.
    pub(crate) fills: u32,
}

impl NaiveExchange {
    /// An empty exchange.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            assets: BTreeMap::new(),
            markets: BTreeMap::new(),
            accounts: BTreeMap::new(),
            funds: BTreeMap::new(),
            positions: BTreeMap::new(),
            risk: BTreeMap::new(),
            volumes: BTreeMap::new(),
            orders: BTreeMap::new(),
            free_slots: (0..limits.orders).rev().collect(),
            recent_ids: VecDeque::new(),
            past_trades: BTreeMap::new(),
            last_trade_id: 0,
            clock: 0,
            unsettled: VecDeque::new(),
            phase_sweep: None,
            mass_sweeps: VecDeque::new(),
            now: Context::default(),
            steps: 0,
            swept_slots: 0,
            fills: limits.fills_per_command,
        }
    }

    pub(crate) fn has_steps(&self) -> bool {
        self.steps < self.limits.fills_per_command
    }

    /// The clock's next reading: who reads it later waits behind.
    pub(crate) fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    pub(crate) fn funds_mut(&mut self, account: AccountId, asset: AssetId) -> &mut Funds {
        self.funds.entry((account, asset)).or_default()
    }

    pub(crate) fn market_mut(&mut self, instrument: InstrumentId) -> &mut Market {
        self.markets.get_mut(&instrument).expect("it was checked for")
    }

    pub(crate) fn order_mut(&mut self, slot: u32) -> &mut LiveOrder {
        self.orders.get_mut(&slot).expect("it is live")
    }

    /// The slot of a live order.
    pub(crate) fn slot_of(&self, id: OrderId) -> Option<u32> {
        self.orders.get(&id.slot()).filter(|order| order.id == id).map(|_| id.slot())
    }

    /// From here on the instrument has work left.
    pub(crate) fn leave_work(&mut self, instrument: InstrumentId) {
        if !self.unsettled.contains(&instrument) {
            self.unsettled.push_back(instrument);
        }
    }

    /// Work, while there are steps: instruments with work left, then sweeps, then (in catch-up) what the time brought.
    fn work(&mut self, with_time: bool, events: &mut EventBuffer) {
        while self.has_steps() {
            if let Some(&instrument) = self.unsettled.front() {
                self.settle(instrument, events);
            } else if !(self.sweep(events) || with_time && self.time_passes(events)) {
                return;
            }
        }
    }
}

impl StateMachine for NaiveExchange {
    const NAME: &'static str = "exchange";

    fn apply(&mut self, context: &Context, command: Record<'_>, events: &mut EventBuffer) {
        (self.now, self.steps, self.swept_slots) = (*context, 0, 0);
        self.work(true, events);
        match self.run(command, events) {
            Ok(()) => self.work(false, events),
            Err(rejected) => {
                let command_kind = command.header().kind;
                events.push(&Rejected { command_kind, ..rejected });
            }
        }
    }

    /// Of its own: hashes are compared between exchanges of one kind only.
    fn state_hash(&self) -> u64 {
        let mut hasher = StateHasher::new();
        for (account, asset, balance, held) in self.balances() {
            hasher.write_value(&[account.0, asset]);
            hasher.write_value(&[balance, held]);
        }
        for order in self.orders.values() {
            hasher.write_value(&[order.id.0, order.price as u64, order.leaves() as u64, order.clock()]);
        }
        for (&instrument, market) in &self.markets {
            hasher.write_value(&[u64::from(instrument), u64::from(market.phase.code()), market.until_ns]);
        }
        hasher.write_value(&self.last_trade_id);
        hasher.finish()
    }

    /// Catch-up and follow-up end within one matching of the limit, the command itself matches once more, and no step
    /// gives more than 1,100 bytes; then an answer for each order of a list and an indicative price for each instrument.
    fn max_event_bytes(&self) -> usize {
        let steps = 4 * (self.limits.fills_per_command as usize + 2);
        1_100 * (steps + 64) + 64 * self.limits.instruments as usize
    }
}
