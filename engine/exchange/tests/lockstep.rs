//! The fast exchange against the naive one, command by command.
//!
//! `RIALTO_LOCKSTEP_COMMANDS` sets how many commands each of the two tests plays; the default takes a few seconds in all.
//! `RIALTO_LOCKSTEP_SEED` is the first seed of the second one, `RIALTO_LOCKSTEP_HISTORY=1` prints every command with its
//! events.

mod commands;
mod coverage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use commands::{Commands, Known};
use coverage::Coverage;
use exchange::Exchange;
use exchange::naive::NaiveExchange;
use ledger::Ledger;
use machine::{EventBuffer, Projection, Record, StateMachine, step};
use orderbook::{NaiveBook, OrderBook};
use protocol::{
    AccountId, AuctionIndicative, AuctionUncrossed, CancelOrder, CancelReason, CommandKind, EventKind,
    ExtendedOrderAccepted, FeeCharged, MassCancelAccepted, MassCancelDone, NewExtendedOrder, NewOrder,
    OrderAccepted, OrderCanceled, OrderDecremented, OrderListAccepted, OrderReplaced, OrderRepriced,
    OrderShown, OrderTermsReplaced, OrderTriggered, Phase, PhaseChanged, RejectReason, Rejected,
    ReplaceExtendedOrder, ReplaceOrder, Side, TimeAdvanced, Trade, TradeBusted,
};
use testkit::fresh_seed;

/// Commands per exchange; then another one with other limits begins.
const COMMANDS_PER_RUN: u64 = 500;

/// What has been seen, so that a generator that no longer reaches a rule fails the test.
#[derive(Default)]
struct Seen {
    events: BTreeMap<u16, u64>,
    rejects: BTreeSet<u16>,
    cancels: BTreeSet<u8>,
    kept_priority: BTreeSet<u8>,
    coverage: Coverage,
    last_trade_id: u64,
}

struct Pair {
    fast: Exchange<OrderBook>,
    /// The same with the naive book and another hash seed: state hashes must agree.
    other: Exchange<NaiveBook>,
    naive: NaiveExchange,
    ledger: Ledger,
    fast_events: EventBuffer,
    other_events: EventBuffer,
    naive_events: EventBuffer,
    /// State hash of the fast one.
    hash: u64,
}

impl Pair {
    fn new(commands: &Commands) -> Self {
        let limits = commands.limits;
        let fast = Exchange::new(limits).expect("good limits");
        let room = fast.max_event_bytes();
        Self {
            other: Exchange::with_hash_seed(limits, 0xDEAD_BEEF).expect("good limits"),
            naive: NaiveExchange::new(limits),
            ledger: Ledger::new(),
            fast_events: EventBuffer::with_capacity(room),
            other_events: EventBuffer::with_capacity(room),
            naive_events: EventBuffer::with_capacity(room),
            hash: fast.state_hash(),
            fast,
        }
    }

    fn play(&mut self, command: Record<'_>, seen: &mut Seen, known: &mut Vec<Known>) {
        for events in [&mut self.fast_events, &mut self.other_events, &mut self.naive_events] {
            events.clear();
        }
        let before = self.hash;
        let is_idle = self.fast.due_ns() > command.header().timestamp_ns;
        step(&mut self.naive, command, &mut self.naive_events);
        step(&mut self.fast, command, &mut self.fast_events);
        step(&mut self.other, command, &mut self.other_events);
        self.check_events(command);
        self.hash = self.fast.state_hash();
        if shows_history() {
            println!("{}\n   {}", in_words(command), describe(&self.fast_events).join("\n   "));
        }
        assert_eq!(self.fast_events.bytes(), self.other_events.bytes());
        for event in self.fast_events.records() {
            note(event, seen, known);
            self.ledger.apply(event);
            if event.header().kind == EventKind::Rejected.code() {
                // Time and unfinished work come before the command and may change something all the same. A list that
                // is no list has several rejects.
                let alone = is_idle && self.fast_events.records().count() == 1;
                let changed = self.hash != before;
                assert!(!(alone && changed), "a rejected command changed something");
            }
        }
        assert_eq!(self.hash, self.other.state_hash(), "the hash depends on what it must not");
        self.check_books();
        self.check_money();
    }

    /// Both answered the same; else says what, event by event.
    fn check_events(&self, command: Record<'_>) {
        if self.fast_events.bytes() != self.naive_events.bytes() {
            let (fast, naive) = (describe(&self.fast_events), describe(&self.naive_events));
            let at = fast.iter().zip(&naive).take_while(|(one, other)| one == other).count();
            let before = fast.get(at.saturating_sub(3)..at).unwrap_or_default();
            panic!(
                "command {} at {}: {}\nlimits {:?}\nalike: {before:#?}\nfast: {:#?}\nnaive: {:#?}",
                command.header().sequence,
                command.header().timestamp_ns,
                in_words(command),
                self.fast.limits(),
                fast.get(at..(at + 3).min(fast.len())),
                naive.get(at..(at + 3).min(naive.len())),
            );
        }
    }

    /// Never crossed, and every order where the naive book has it: best price first, oldest first.
    fn check_books(&self) {
        self.fast.check_invariants();
        for created in self.fast.instruments() {
            for side in [Side::Buy, Side::Sell] {
                let fast: Vec<_> =
                    self.fast.orders(created.instrument, side).map(|order| order.order_id).collect();
                assert_eq!(fast, self.naive.book(created.instrument, side), "{side:?} of {created:?}");
            }
            let best =
                |side| self.fast.levels(created.instrument, side).next().map(|level| level.price_ticks);
            let continuous = self.fast.phase(created.instrument) == Phase::Continuous;
            if let (true, Some(buy), Some(sell)) = (continuous, best(Side::Buy), best(Side::Sell)) {
                assert!(buy < sell, "crossed: {buy} {sell}");
            }
        }
    }

    /// Wallet, naive exchange and ledger agree; assets sum to zero; holds are those of the live orders.
    fn check_money(&self) {
        assert_eq!(self.ledger.error(), None);
        assert_eq!(self.ledger.check(), Ok(()));
        let mut wallet: Vec<_> = self.fast.wallet().balances().collect();
        wallet.sort_by_key(|&(account, asset, _)| (account, asset));
        let naive: Vec<_> = self.naive.balances().collect();
        assert_eq!(wallet.len(), naive.len());
        let mut held: BTreeMap<(AccountId, u32), i64> = BTreeMap::new();
        for created in self.fast.instruments() {
            for (side, asset) in [(Side::Buy, created.quote_asset), (Side::Sell, created.base_asset)] {
                let (shown, hidden) =
                    (self.fast.orders(created.instrument, side), self.fast.hidden(created.instrument, side));
                let waiting = self.fast.waiting(created.instrument);
                let waiting = waiting.filter(|order| order.side == side.code());
                for order in shown.chain(hidden).chain(waiting).filter(|order| order.hold_minor > 0) {
                    *held.entry((order.account, asset)).or_default() += order.hold_minor;
                }
            }
        }
        for ((account, asset, balance), naive) in wallet.into_iter().zip(naive) {
            let (owned, reserved) = (balance.balance_minor, balance.held_minor);
            assert_eq!((account, asset, owned.into(), reserved.into()), naive);
            let folded = self.ledger.balance(account, asset);
            assert_eq!((folded.balance_minor, folded.held_minor), (owned, reserved));
            assert!(0 <= reserved && reserved <= owned, "{account} holds {reserved} of {owned}");
            assert_eq!(held.remove(&(account, asset)).unwrap_or(0), reserved, "holds of {account}");
        }
        assert!(held.is_empty());
        for asset in self.fast.assets() {
            let of_asset = self.fast.wallet().balances().filter(|entry| entry.1 == asset.asset);
            let others: i64 = of_asset.map(|entry| entry.2.balance_minor).sum();
            assert_eq!(others + self.fast.balance(AccountId::WORLD, asset.asset).balance_minor, 0);
        }
    }
}

/// Whether `RIALTO_LOCKSTEP_HISTORY` is set: then every command is printed with its events.
fn shows_history() -> bool {
    static SHOWS: OnceLock<bool> = OnceLock::new();
    *SHOWS.get_or_init(|| std::env::var_os("RIALTO_LOCKSTEP_HISTORY").is_some())
}

/// Events for people, so that a difference can be read.
fn describe(events: &EventBuffer) -> Vec<String> {
    events.records().map(in_words).collect()
}

/// A record with the names of its fields, where it is one of those that differ most.
fn in_words(record: Record<'_>) -> String {
    macro_rules! first_of {
        ($($body:ty),+) => {
            $(if let Some(body) = record.body_as::<$body>() { return format!("{body:?}"); })+
        };
    }
    first_of!(
        Rejected,
        OrderAccepted,
        ExtendedOrderAccepted,
        OrderCanceled,
        OrderReplaced,
        OrderTriggered,
        OrderShown,
        OrderRepriced,
        OrderDecremented,
        Trade,
        FeeCharged,
        PhaseChanged,
        AuctionUncrossed,
        AuctionIndicative,
        TradeBusted,
        MassCancelAccepted,
        MassCancelDone,
        OrderListAccepted,
        OrderTermsReplaced,
        TimeAdvanced,
        NewOrder,
        NewExtendedOrder,
        ReplaceExtendedOrder,
        ReplaceOrder,
        CancelOrder
    );
    let kind = record.header().kind;
    let name = EventKind::from_code(kind).map(EventKind::name);
    let name = name.or(CommandKind::from_code(kind).map(CommandKind::name));
    format!("{} {:?}", name.unwrap_or("?"), record.body())
}

fn note(event: Record<'_>, seen: &mut Seen, known: &mut Vec<Known>) {
    *seen.events.entry(event.header().kind).or_default() += 1;
    seen.coverage.note(event);
    let accepted = event.body_as::<ExtendedOrderAccepted>().map(|it| &it.order);
    if let Some(it) = event.body_as::<OrderAccepted>().or(accepted) {
        let OrderAccepted { order_id, account, instrument, price_ticks, quantity_lots, .. } = *it;
        known.push(Known { order_id, account, instrument, price_ticks, quantity_lots });
    } else if let Some(it) = event.body_as::<OrderReplaced>() {
        seen.kept_priority.insert(it.kept_priority);
        if let Some(known) = known.iter_mut().find(|known| known.order_id == it.order_id) {
            (known.price_ticks, known.quantity_lots) = (it.price_ticks, it.quantity_lots);
        }
    } else if let Some(it) = event.body_as::<OrderCanceled>() {
        seen.cancels.insert(it.reason);
    } else if let Some(it) = event.body_as::<Trade>() {
        seen.last_trade_id = it.trade_id;
    } else if let Some(it) = event.body_as::<Rejected>() {
        seen.rejects.insert(it.reason);
    }
}

fn run(seed: u64, seen: &mut Seen) {
    let mut commands = Commands::new(seed);
    let mut pair = Pair::new(&commands);
    for command in commands.opening() {
        pair.play(command.record(), seen, &mut commands.known);
    }
    for number in 0..COMMANDS_PER_RUN {
        let command = if number == COMMANDS_PER_RUN - 1 { commands.exhausted() } else { commands.draw() };
        let mut known = core::mem::take(&mut commands.known);
        pair.play(command.record(), seen, &mut known);
        commands.known = known;
        commands.last_trade_id = seen.last_trade_id;
    }
}

/// Says which seed failed; the run's own panic message says why.
struct FailingSeed(u64);

impl Drop for FailingSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "lock-step failed with seed {:#x}: set RIALTO_LOCKSTEP_SEED to it, RIALTO_LOCKSTEP_HISTORY=1",
                self.0
            );
        }
    }
}

fn number_from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let digits = text.strip_prefix("0x");
    let number = digits.map_or_else(|| text.parse(), |digits| u64::from_str_radix(digits, 16));
    Some(number.unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}

fn runs(first_seed: u64, seen: &mut Seen) {
    let commands = number_from_environment("RIALTO_LOCKSTEP_COMMANDS").unwrap_or(80_000);
    for number in 0..commands.div_ceil(COMMANDS_PER_RUN) {
        let seed = first_seed.wrapping_add(number);
        let _failing = FailingSeed(seed);
        run(seed, seen);
    }
}

#[test]
fn the_exchange_does_what_the_naive_one_does() {
    let mut seen = Seen::default();
    runs(1, &mut seen);
    // Few replaces meet an order that waits, or an iceberg, with a change that it may have.
    let rare: Vec<_> = EventKind::ALL
        .iter()
        .map(|kind| (kind.name(), seen.events.get(&kind.code()).copied().unwrap_or(0)))
        .filter(|&(name, times)| times < if name == EventKind::OrderTermsReplaced.name() { 2 } else { 5 })
        .collect();
    assert!(rare.is_empty(), "seen too seldom: {rare:?}");
    // Tables of these sizes do not fill in a run of this length; they have tests of their own.
    let elsewhere = [RejectReason::TooManyConditional, RejectReason::TooManySweeps];
    let reasons = RejectReason::ALL.iter().filter(|reason| !elsewhere.contains(reason));
    let missing: Vec<_> = reasons.filter(|reason| !seen.rejects.contains(&reason.code())).collect();
    assert!(missing.is_empty(), "never given: {missing:?}");
    let missing: Vec<_> = CancelReason::ALL.iter().filter(|it| !seen.cancels.contains(&it.code())).collect();
    assert!(missing.is_empty(), "never given: {missing:?}");
    assert_eq!(seen.kept_priority.len(), 2);
    assert_eq!(CommandKind::ALL.len(), 25, "a new kind of command: let the generator draw it");
    let expected = coverage::expected();
    let missing = seen.coverage.missing(&expected);
    assert!(missing.is_empty(), "never reached: {missing:?}");
}

#[test]
fn and_does_so_with_a_seed_of_today() {
    let seed = number_from_environment("RIALTO_LOCKSTEP_SEED").unwrap_or_else(fresh_seed);
    println!("seed {seed:#x}");
    runs(seed, &mut Seen::default());
}

/// The tables that no short run fills: 64 pegged, 64 all-or-none and 256 trailing orders, 64 mass cancels at work.
#[test]
fn what_is_limited_by_a_constant_is_rejected_alike() {
    let mut commands = Commands::wide(7);
    let mut pair = Pair::new(&commands);
    let mut seen = Seen::default();
    let mut known = Vec::new();
    let (opening, funding) = (commands.opening(), commands.funding());
    for command in opening.iter().chain(&funding) {
        pair.play(command.record(), &mut seen, &mut known);
    }
    let last = commands.crowd();
    for command in &last {
        pair.play(command.record(), &mut seen, &mut known);
    }
    let times = |reason: RejectReason| seen.rejects.contains(&reason.code());
    assert!(times(RejectReason::TooManyConditional) && times(RejectReason::TooManySweeps));
    assert!(seen.events.get(&EventKind::MassCancelDone.code()).is_some_and(|&times| times >= 64));
}

/// Every body that arrives, whatever it says, is answered: the machine panics at none, and stays whole.
#[test]
fn damaged_commands_are_answered_alike() {
    let seed = number_from_environment("RIALTO_LOCKSTEP_SEED").unwrap_or_else(fresh_seed);
    println!("seed {seed:#x}");
    for seed in (0..20).map(|number| seed.wrapping_add(number)) {
        let _failing = FailingSeed(seed);
        let mut commands = Commands::new(seed);
        let mut pair = Pair::new(&commands);
        let mut seen = Seen::default();
        let stage: Vec<_> = commands.opening().into_iter().chain(commands.funding()).collect();
        for command in &stage {
            pair.play(command.record(), &mut seen, &mut commands.known);
        }
        for _ in 0..COMMANDS_PER_RUN {
            let sound = commands.draw();
            let command = commands.damaged(&sound);
            let mut known = core::mem::take(&mut commands.known);
            pair.play(command.record(), &mut seen, &mut known);
            if commands.random.one_in(2) {
                pair.play(commands.draw().record(), &mut seen, &mut known);
            }
            commands.known = known;
        }
    }
}
