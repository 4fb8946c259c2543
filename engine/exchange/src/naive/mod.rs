//! The exchange a second time: slow, obvious, and the judge of the other one.
//!
//! Written from `docs/exchange.md` alone. It shares no code with the fast exchange but the records: its book is a scan
//! over all orders, its money is `i128`, its hold is stored and not recomputed, and whether a fill-or-kill order can
//! fill is found out by trying it on a copy of everything.

mod checks;
mod matching;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use machine::{Context, EventBuffer, Record, StateHasher, StateMachine};
use protocol::{
    AccountCreated, AccountId, AssetCreated, AssetId, CancelOrder, ClientOrderId, CommandKind, CreateAccount,
    CreateAsset, CreateInstrument, DayEnded, Deposit, Deposited, EndDay, InstrumentCreated, InstrumentId,
    Limits, Name, NewOrder, OrderCanceled, OrderId, Rejected, ReplaceOrder, Side, Withdraw, Withdrawn,
};

/// A live order.
#[derive(Clone, Debug)]
pub(crate) struct LiveOrder {
    pub(crate) id: OrderId,
    pub(crate) account: AccountId,
    pub(crate) instrument: InstrumentId,
    pub(crate) client_order_id: ClientOrderId,
    pub(crate) side: Side,
    pub(crate) is_market: bool,
    pub(crate) time_in_force: u8,
    pub(crate) self_trade_prevention: u8,
    pub(crate) price: i64,
    pub(crate) quantity: i64,
    pub(crate) filled: i64,
    /// What is held for it now.
    pub(crate) hold: i128,
    /// Place in time among resting orders; `None` while it is not in the book.
    pub(crate) queued_at: Option<u64>,
}

impl LiveOrder {
    pub(crate) fn leaves(&self) -> i64 {
        self.quantity - self.filled
    }
}

/// Balance and hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Funds {
    pub(crate) balance: i128,
    pub(crate) held: i128,
}

/// The naive exchange: same commands, same events as [`crate::Exchange`].
#[derive(Clone)]
pub struct NaiveExchange {
    pub(crate) limits: Limits,
    pub(crate) assets: BTreeMap<AssetId, CreateAsset>,
    pub(crate) instruments: BTreeMap<InstrumentId, CreateInstrument>,
    pub(crate) accounts: BTreeMap<AccountId, Name>,
    /// Pairs that have been used, FEES included; WORLD's are computed.
    pub(crate) funds: BTreeMap<(AccountId, AssetId), Funds>,
    /// By slot.
    pub(crate) orders: BTreeMap<u32, LiveOrder>,
    /// Free slots; the next one is last.
    pub(crate) free_slots: Vec<u32>,
    pub(crate) last_trade_id: u64,
    /// Counts the times that an order went to the end of a queue.
    pub(crate) queue_clock: u64,
}

impl NaiveExchange {
    /// An empty exchange.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            assets: BTreeMap::new(),
            instruments: BTreeMap::new(),
            accounts: BTreeMap::new(),
            funds: BTreeMap::new(),
            orders: BTreeMap::new(),
            free_slots: (0..limits.orders).rev().collect(),
            last_trade_id: 0,
            queue_clock: 0,
        }
    }

    /// Balance and hold of every used pair, by account and asset.
    pub fn balances(&self) -> impl Iterator<Item = (AccountId, AssetId, i128, i128)> {
        self.funds.iter().map(|(&(account, asset), funds)| (account, asset, funds.balance, funds.held))
    }

    /// Ids of the resting orders of one side of a book, best first.
    #[must_use]
    pub fn book(&self, instrument: InstrumentId, side: Side) -> Vec<OrderId> {
        self.queue(instrument, side).iter().map(|slot| self.orders[slot].id).collect()
    }

    pub(crate) fn funds_mut(&mut self, account: AccountId, asset: AssetId) -> &mut Funds {
        self.funds.entry((account, asset)).or_default()
    }

    /// What all accounts but WORLD own of an asset.
    pub(crate) fn total(&self, asset: AssetId) -> i128 {
        self.funds.iter().filter(|(key, _)| key.1 == asset).map(|(_, funds)| funds.balance).sum()
    }

    /// Which asset, and so which balance, an order's hold is on.
    pub(crate) fn hold_key(&self, order: &LiveOrder) -> (AccountId, AssetId) {
        let instrument = &self.instruments[&order.instrument];
        let asset = if order.side == Side::Buy { instrument.quote_asset } else { instrument.base_asset };
        (order.account, asset)
    }

    /// Ends a live order: what it holds is free, its slot goes on top. Returns it as it was.
    pub(crate) fn end_order(&mut self, slot: u32) -> LiveOrder {
        let order = self.orders.remove(&slot).expect("it is live");
        let (account, asset) = self.hold_key(&order);
        self.funds_mut(account, asset).held -= order.hold;
        self.free_slots.push(slot);
        order
    }

    /// Ends a live order with something left and says so.
    pub(crate) fn cancel(&mut self, slot: u32, reason: u8, client: ClientOrderId, events: &mut EventBuffer) {
        let order = self.end_order(slot);
        events.push(&OrderCanceled {
            order_id: order.id,
            leaves_lots: order.leaves(),
            released_minor: order.hold as i64,
            account: order.account,
            instrument: order.instrument,
            client_order_id: client,
            side: order.side.code(),
            reason,
            reserved: [0; 2],
        });
    }

    fn deposit(&mut self, command: &Deposit, events: &mut EventBuffer) {
        let Deposit { amount_minor, reference, account, asset } = *command;
        let funds = self.funds_mut(account, asset);
        funds.balance += i128::from(amount_minor);
        let balance_minor = funds.balance as i64;
        events.push(&Deposited { amount_minor, reference, balance_minor, account, asset });
    }

    fn withdraw(&mut self, command: &Withdraw, events: &mut EventBuffer) {
        let Withdraw { amount_minor, reference, account, asset } = *command;
        let funds = self.funds_mut(account, asset);
        funds.balance -= i128::from(amount_minor);
        let balance_minor = funds.balance as i64;
        events.push(&Withdrawn { amount_minor, reference, balance_minor, account, asset });
    }

    fn end_day(&mut self, instrument: InstrumentId, events: &mut EventBuffer) {
        let is_day = |order: &LiveOrder| order.instrument == instrument && order.time_in_force == 0;
        let orders = self.orders.iter().filter(|(_, order)| is_day(order));
        let slots: Vec<u32> = orders.map(|(&slot, _)| slot).collect();
        let limit = self.limits.fills_per_command as usize;
        for &slot in slots.iter().take(limit) {
            self.cancel(slot, 5, ClientOrderId::NONE, events);
        }
        let remaining_orders = slots.len().saturating_sub(limit) as u32;
        events.push(&DayEnded { instrument, remaining_orders });
    }

    /// Does what a command that passed all checks asks for.
    fn perform(&mut self, context: &Context, command: Record<'_>, events: &mut EventBuffer) {
        if let Some(create) = command.body_as::<CreateAsset>() {
            self.assets.insert(create.asset, *create);
            let CreateAsset { asset, scale, reserved, name } = *create;
            events.push(&AssetCreated { asset, scale, reserved, name });
        } else if let Some(create) = command.body_as::<CreateInstrument>() {
            self.instruments.insert(create.instrument, *create);
            events.push(&InstrumentCreated(*create));
        } else if let Some(create) = command.body_as::<CreateAccount>() {
            self.accounts.insert(create.account, create.name);
            let CreateAccount { account, reserved, name } = *create;
            events.push(&AccountCreated { account, reserved, name });
        } else if let Some(deposit) = command.body_as::<Deposit>() {
            self.deposit(deposit, events);
        } else if let Some(withdraw) = command.body_as::<Withdraw>() {
            self.withdraw(withdraw, events);
        } else if let Some(order) = command.body_as::<NewOrder>() {
            self.new_order(context, order, events);
        } else if let Some(cancel) = command.body_as::<CancelOrder>() {
            self.cancel(cancel.order_id.slot(), 1, cancel.client_order_id, events);
        } else if let Some(replace) = command.body_as::<ReplaceOrder>() {
            self.replace_order(replace, events);
        } else if let Some(end_day) = command.body_as::<EndDay>() {
            self.end_day(end_day.instrument, events);
        }
    }

    /// What the command names, for its rejection.
    fn named(command: Record<'_>) -> Rejected {
        let mut named = Rejected::default();
        if let Some(it) = command.body_as::<CreateAsset>() {
            named.asset = it.asset;
        } else if let Some(it) = command.body_as::<CreateInstrument>() {
            (named.instrument, named.asset) = (it.instrument, it.base_asset);
        } else if let Some(it) = command.body_as::<CreateAccount>() {
            named.account = it.account;
        } else if let Some(it) = command.body_as::<Deposit>() {
            (named.account, named.asset) = (it.account, it.asset);
        } else if let Some(it) = command.body_as::<Withdraw>() {
            (named.account, named.asset) = (it.account, it.asset);
        } else if let Some(it) = command.body_as::<NewOrder>() {
            (named.account, named.instrument, named.client_order_id) =
                (it.account, it.instrument, it.client_order_id);
        } else if let Some(it) = command.body_as::<CancelOrder>() {
            (named.order_id, named.account) = (it.order_id, it.account);
            (named.instrument, named.client_order_id) = (it.instrument, it.client_order_id);
        } else if let Some(it) = command.body_as::<ReplaceOrder>() {
            (named.order_id, named.account) = (it.order_id, it.account);
            (named.instrument, named.client_order_id) = (it.instrument, it.client_order_id);
        } else if let Some(it) = command.body_as::<EndDay>() {
            named.instrument = it.instrument;
        }
        named
    }
}

impl StateMachine for NaiveExchange {
    const NAME: &'static str = "exchange";

    fn apply(&mut self, context: &Context, command: Record<'_>, events: &mut EventBuffer) {
        match self.reasons(context, command).into_iter().min() {
            Some(reason) => {
                let command_kind = command.header().kind;
                events.push(&Rejected { reason: reason.code(), command_kind, ..Self::named(command) });
            }
            None => self.perform(context, command, events),
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
            hasher.write_value(&[order.id.0, order.price as u64, order.leaves() as u64]);
        }
        hasher.write_value(&self.last_trade_id);
        hasher.finish()
    }

    fn max_event_bytes(&self) -> usize {
        // Accepted or replaced, each fill, and a cancellation, all rounded up to 160 bytes.
        160 * (self.limits.fills_per_command as usize + 2)
    }
}

/// The number of a command's kind, for readers of `CommandKind`.
pub(crate) fn kind_of(command: Record<'_>) -> Option<CommandKind> {
    CommandKind::from_code(command.header().kind)
}
