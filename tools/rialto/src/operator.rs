//! The operator: creates and sets what the configuration names, ends the trading day, and tells a quiet exchange the
//! time.
//!
//! It is a client of the exchange like any other, with a ring of its own (gateway 0). What exists already it learns from
//! events, so a restart creates nothing twice.

mod checkpoint;

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use gateway::orders::reject_text;
use machine::{Body, Projection, Record};
use protocol::{
    AccountCreated, AccountId, AdvanceTime, AssetCreated, CreateInstrument, DayEnded, Deposit, Deposited,
    EndDay, InstrumentCreated, InstrumentId, RejectReason, Rejected,
};

use crate::admin::AdminReply;
use crate::admin::desk::Names;
use crate::config::Config;
use crate::describe;
use crate::rules::DAY_NS;
use crate::settings::InForce;
use crate::timekeeper::Timekeeper;

/// Gateway number of the operator's ring.
pub const GATEWAY: u16 = 0;

/// [`Deposit::reference`] of deposits that come from the configuration.
pub const OPENING_REFERENCE: u64 = u64::from_be_bytes(*b"OPENING\0");

/// Events that an answer to a person holds.
const ANSWER_EVENTS: usize = 100;

/// What the journal has created so far, folded from events, or read from a checkpoint and folded from there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The last command whose events have all been folded.
    applied_sequence: u64,
    assets: BTreeSet<u32>,
    accounts: BTreeSet<AccountId>,
    instruments: Vec<CreateInstrument>,
    opening_deposits: BTreeSet<(AccountId, u32)>,
    settings: InForce,
    timekeeper: Timekeeper,
    last_timestamp_ns: u64,
}

fn note_names(names: &Mutex<Names>, event: Record<'_>) {
    if Names::wants(event.header().kind) {
        names.lock().unwrap_or_else(PoisonError::into_inner).apply(event);
    }
}

impl Known {
    fn fold(&mut self, event: Record<'_>) {
        self.last_timestamp_ns = event.header().timestamp_ns;
        self.settings.apply(event);
        self.timekeeper.on_event(event);
        if let Some(created) = event.body_as::<AssetCreated>() {
            self.assets.insert(created.asset);
        } else if let Some(created) = event.body_as::<InstrumentCreated>() {
            self.instruments.push(created.0);
        } else if let Some(created) = event.body_as::<AccountCreated>() {
            self.accounts.insert(created.account);
        } else if let Some(deposited) = event.body_as::<Deposited>()
            && deposited.reference == OPENING_REFERENCE
        {
            self.opening_deposits.insert((deposited.account, deposited.asset));
        }
    }

    /// What `config` names and the journal does not have, as commands in the order in which they must be sent; and
    /// what it has with other parameters, as warnings.
    pub fn missing(&self, config: &Config, now_ns: u64) -> (VecDeque<Wish>, Vec<String>) {
        let mut wishes = VecDeque::new();
        let mut warnings = Vec::new();
        for asset in config.assets.iter().filter(|it| !self.assets.contains(&it.asset)) {
            wishes.push_back(Wish::of(asset, format!("asset {}", asset.name)));
        }
        for wanted in &config.instruments {
            match self.instruments.iter().find(|it| it.instrument == wanted.instrument) {
                None => wishes.push_back(Wish::of(wanted, format!("instrument {}", wanted.name))),
                Some(existing) if existing != wanted => warnings.push(format!(
                    "instrument {} is not as configured: the journal has {} with its own tick, lot and fees, which \
                     stay in force",
                    wanted.instrument, existing.name
                )),
                Some(_) => {}
            }
        }
        for account in config.accounts.iter().filter(|it| !self.accounts.contains(&it.account)) {
            wishes.push_back(Wish::of(account, format!("account {}", account.name)));
        }
        for deposit in &config.deposits {
            if !self.opening_deposits.contains(&(deposit.account, deposit.asset)) {
                let command = Deposit {
                    amount_minor: deposit.amount_minor,
                    reference: OPENING_REFERENCE,
                    account: deposit.account,
                    asset: deposit.asset,
                };
                wishes.push_back(Wish::of(&command, format!("deposit to account {}", deposit.account)));
            }
        }
        wishes.extend(config.settings.iter().filter_map(|wanted| self.settings.missing(wanted, now_ns)));
        (wishes, warnings)
    }
}

impl Projection for Known {
    fn apply(&mut self, event: Record<'_>) {
        let sequence = event.header().sequence;
        if sequence <= self.applied_sequence {
            return;
        }
        self.fold(event);
        if event.is_last_event() {
            self.applied_sequence = sequence;
        }
    }

    fn applied_sequence(&self) -> u64 {
        self.applied_sequence
    }
}

/// A command waiting to be sent, with what to call it in an error.
#[derive(Debug)]
pub struct Wish {
    /// Record kind.
    pub kind: u16,
    /// Body bytes.
    pub body: Vec<u8>,
    /// What it is, for a person.
    pub what: String,
    /// Who waits for what comes of it, if somebody does.
    pub reply: Option<SyncSender<AdminReply>>,
}

impl Wish {
    /// The wish for `body`.
    pub fn of<T: Body>(body: &T, what: String) -> Self {
        Self { kind: T::KIND, body: body.as_bytes().to_vec(), what, reply: None }
    }
}

/// What other threads see of the operator.
#[derive(Debug, Default)]
pub struct Status {
    /// All that the configuration names exists.
    pub ready: AtomicBool,
    /// Why it cannot.
    pub failure: std::sync::Mutex<Option<String>>,
}

/// Sends wishes one at a time, the day's end when it is due, and the time where nothing else brings it; the caller moves
/// bytes and time.
pub struct Operator {
    wishes: VecDeque<Wish>,
    in_flight: Option<Wish>,
    /// The `EndDay` in flight has left orders for another one.
    day_orders_left: bool,
    timekeeper: Timekeeper,
    /// Nanoseconds between two `AdvanceTime`; 0 for none.
    advance_time_ns: u64,
    instruments: BTreeSet<InstrumentId>,
    /// Time of day of the day's end.
    day_end_utc_s: Option<u64>,
    /// When the next day ends.
    next_day_end_ns: u64,
    status: Arc<Status>,
    names: Arc<Mutex<Names>>,
    /// What has come so far of the wish in flight that somebody waits for.
    answer: AdminReply,
}

impl Operator {
    /// An operator with `wishes` to fulfil, on the journal's `known` things.
    ///
    /// A day's end that passed while the exchange was down is made up for at once: `now_ns` counts from the journal's
    /// last command.
    pub fn new(known: &Known, wishes: VecDeque<Wish>, config: &Config, now_ns: u64) -> Self {
        let day_end_utc_s = config.day_end_utc_s;
        let since_ns = if known.last_timestamp_ns == 0 { now_ns } else { known.last_timestamp_ns };
        let status = Arc::new(Status::default());
        status.ready.store(wishes.is_empty(), Ordering::Release);
        Self {
            wishes,
            in_flight: None,
            day_orders_left: false,
            timekeeper: known.timekeeper.clone(),
            advance_time_ns: config.advance_time_ms.saturating_mul(1_000_000),
            instruments: known.instruments.iter().map(|it| it.instrument).collect(),
            day_end_utc_s,
            next_day_end_ns: day_end_utc_s.map_or(u64::MAX, |time_s| next_after(since_ns, time_s)),
            status,
            names: Arc::default(),
            answer: AdminReply::default(),
        }
    }

    /// A wish of a person, behind those that wait.
    pub fn ask(&mut self, wish: Wish) {
        self.wishes.push_back(wish);
    }

    /// The names of what there is, folded on from here; shared with whoever turns an operator's words into commands.
    pub fn names(&self) -> Arc<Mutex<Names>> {
        Arc::clone(&self.names)
    }

    /// What other threads see.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// The command to send now, if none is in flight; give it back with [`Operator::sent`] once it is in the ring.
    pub fn next(&mut self, now_ns: u64) -> Option<&Wish> {
        if self.in_flight.is_some() {
            return None;
        }
        if let Some(time_s) = self.day_end_utc_s
            && now_ns >= self.next_day_end_ns
        {
            self.next_day_end_ns = next_after(now_ns, time_s);
            for &instrument in &self.instruments {
                let command = EndDay { instrument, reserved: 0 };
                self.wishes.push_back(Wish::of(&command, format!("end of day of instrument {instrument}")));
            }
        }
        if self.wishes.is_empty() && self.timekeeper.is_due(now_ns, self.advance_time_ns) {
            self.wishes.push_back(Wish::of(&AdvanceTime::default(), "the time".to_string()));
        }
        self.wishes.front()
    }

    /// The command that [`Operator::next`] gave is in the ring.
    pub fn sent(&mut self) {
        self.in_flight = self.wishes.pop_front();
    }

    /// Takes note of one event.
    pub fn on_event(&mut self, event: Record<'_>) {
        if let Some(created) = event.body_as::<InstrumentCreated>() {
            self.instruments.insert(created.0.instrument);
        }
        self.timekeeper.on_event(event);
        note_names(&self.names, event);
        if event.header().source.gateway != GATEWAY {
            return;
        }
        self.note_answer(event);
        // What the day's end sets off (orders of lists, pegged orders) comes behind its own event.
        if let Some(ended) = event.body_as::<DayEnded>() {
            self.day_orders_left = ended.remaining_orders > 0;
        }
        if !event.is_last_event() {
            return;
        }
        let Some(wish) = self.in_flight.take() else { return };
        if let Some(reply) = wish.reply {
            self.day_orders_left = false;
            // Who asked may have given up.
            let _ = reply.try_send(std::mem::take(&mut self.answer));
        } else if let Some(rejected) = event.body_as::<Rejected>()
            && wish.kind != AdvanceTime::KIND
        {
            let reason = RejectReason::from_code(rejected.reason).map_or("unknown", RejectReason::name);
            self.fail(format!("{} was rejected: {reason}", wish.what));
        } else if std::mem::take(&mut self.day_orders_left) {
            self.wishes.push_front(wish);
        }
        if self.wishes.is_empty() {
            self.status.ready.store(true, Ordering::Release);
        }
    }

    /// Collects what comes of a wish that somebody waits for.
    fn note_answer(&mut self, event: Record<'_>) {
        if self.in_flight.as_ref().is_none_or(|wish| wish.reply.is_none()) {
            return;
        }
        let answer = &mut self.answer;
        if answer.sequence == 0 {
            (answer.ok, answer.sequence) = (true, event.header().sequence);
        }
        if let Some(rejected) = event.body_as::<Rejected>() {
            let reason = RejectReason::from_code(rejected.reason);
            answer.ok = false;
            answer.error = Some(reason.map_or("rejected", reject_text).to_owned());
        }
        if answer.events.len() < ANSWER_EVENTS {
            answer.events.push(serde_json::Value::Object(describe::to_json(event)));
        } else {
            answer.more_events += 1;
        }
    }

    fn fail(&self, message: String) {
        let mut failure = self.status.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        failure.get_or_insert(message);
    }
}

/// The first moment after `after_ns` whose time of day is `time_s`.
fn next_after(after_ns: u64, time_s: u64) -> u64 {
    let today_ns = after_ns / DAY_NS * DAY_NS + time_s * 1_000_000_000;
    if today_ns > after_ns { today_ns } else { today_ns + DAY_NS }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Setting;
    use machine::{Context, EventBuffer, Source};

    fn event<T: Body>(body: &T, gateway: u16, check: impl FnOnce(Record<'_>)) {
        event_of(1, body, gateway, check);
    }

    fn event_of<T: Body>(sequence: u64, body: &T, gateway: u16, check: impl FnOnce(Record<'_>)) {
        let mut events = EventBuffer::with_capacity(512);
        let source = Source { gateway, session: 0 };
        events.begin(&Context { sequence, source, ..Context::default() });
        events.push(body);
        events.finish();
        check(events.records().next().unwrap());
    }

    #[test]
    fn a_restart_creates_only_what_is_missing() {
        let config = Config::load(None).unwrap();
        let mut known = Known::default();
        let (wishes, warnings) = known.missing(&config, 0);
        assert_eq!(wishes.len(), 4 + 3 + 3 + 9);
        assert!(warnings.is_empty());

        for asset in &config.assets {
            let created = AssetCreated {
                asset: asset.asset,
                scale: asset.scale,
                name: asset.name,
                ..Default::default()
            };
            event(&created, GATEWAY, |event| known.fold(event));
        }
        let changed = CreateInstrument { taker_fee_ppm: 77, ..config.instruments[0] };
        event(&InstrumentCreated(changed), GATEWAY, |event| known.fold(event));
        event(
            &Deposited { reference: 5, account: AccountId(2), asset: 1, ..Default::default() },
            1,
            |event| {
                known.fold(event);
            },
        );
        let (wishes, warnings) = known.missing(&config, 0);
        assert_eq!(wishes.len(), 2 + 3 + 9, "a deposit by someone else is not the opening deposit");
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn a_rejected_wish_is_named_and_the_next_waits_for_its_answer() {
        let config = Config::load(None).unwrap();
        let known = Known::default();
        let (wishes, _) = known.missing(&config, 0);
        let mut operator = Operator::new(&known, wishes, &Config { day_end_utc_s: None, ..config }, 0);
        assert_eq!(operator.next(0).unwrap().what, "asset USD");
        operator.sent();
        assert!(operator.next(0).is_none());
        event(&Rejected { reason: 7, ..Default::default() }, 3, |event| operator.on_event(event));
        assert!(operator.next(0).is_none(), "another gateway's event is no answer");
        event(&Rejected { reason: 7, ..Default::default() }, GATEWAY, |event| operator.on_event(event));
        let failure = operator.status().failure.lock().unwrap().clone();
        assert_eq!(failure.as_deref(), Some("asset USD was rejected: AlreadyExists"));
        assert!(!operator.status().ready.load(Ordering::Acquire));
    }

    #[test]
    fn the_day_ends_once_a_day_for_each_instrument_until_no_order_remains() {
        let mut known = Known { last_timestamp_ns: 10 * DAY_NS + 5, ..Known::default() };
        known.instruments.push(CreateInstrument { instrument: 7, ..Default::default() });
        let config = Config { day_end_utc_s: Some(3600), advance_time_ms: 0, ..Config::load(None).unwrap() };
        let mut operator = Operator::new(&known, VecDeque::new(), &config, 10 * DAY_NS + 6);
        assert!(operator.status().ready.load(Ordering::Acquire));
        let hour = 3600 * 1_000_000_000;
        assert!(operator.next(10 * DAY_NS + hour - 1).is_none());
        assert_eq!(operator.next(10 * DAY_NS + hour).unwrap().kind, EndDay::KIND);
        operator.sent();
        event(&DayEnded { instrument: 7, remaining_orders: 2 }, GATEWAY, |event| operator.on_event(event));
        assert_eq!(operator.next(10 * DAY_NS + hour).unwrap().kind, EndDay::KIND);
        operator.sent();
        event(&DayEnded { instrument: 7, remaining_orders: 0 }, GATEWAY, |event| operator.on_event(event));
        assert!(operator.next(10 * DAY_NS + hour).is_none());
        assert!(operator.next(11 * DAY_NS + hour).is_some());
    }
    #[test]
    fn the_time_is_sent_when_nothing_else_is_and_its_refusal_is_no_failure() {
        let config = Config { day_end_utc_s: None, ..Config::load(None).unwrap() };
        let known = Known::default();
        let (wishes, _) = known.missing(&config, 0);
        let mut operator = Operator::new(&known, wishes, &config, 0);
        for _ in 0..4 + 3 + 3 + 9 {
            assert_ne!(operator.next(0).unwrap().kind, AdvanceTime::KIND);
            operator.sent();
            event(&Deposited::default(), GATEWAY, |event| operator.on_event(event));
        }
        assert!(operator.status().ready.load(Ordering::Acquire));
        assert_eq!(operator.next(0).unwrap().kind, AdvanceTime::KIND);
        operator.sent();
        let refused = Rejected { command_kind: AdvanceTime::KIND, ..Default::default() };
        event(&refused, GATEWAY, |event| operator.on_event(event));
        assert!(operator.status().failure.lock().unwrap().is_none());
        assert!(operator.next(u64::MAX / 2).is_none(), "nothing can happen: the time is not told");
        event(&Deposited::default(), 1, |event| operator.on_event(event));
        assert_eq!(operator.next(u64::MAX / 2).unwrap().kind, AdvanceTime::KIND);
    }

    #[test]
    fn settings_come_last_and_only_if_they_are_not_in_force() {
        let mut config = Config::load(None).unwrap();
        let limits = protocol::SetRiskLimits { instrument: 1, max_open_orders: 5, ..Default::default() };
        config.settings.push(Setting::Risk(limits));
        let mut known = Known::default();
        let (wishes, _) = known.missing(&config, 0);
        assert_eq!(wishes.back().map(|wish| wish.kind), Some(protocol::SetRiskLimits::KIND));
        event(&protocol::RiskLimitsSet(limits), GATEWAY, |event| known.fold(event));
        event_of(7, &DayEnded::default(), 1, |event| known.apply(event));
        event_of(7, &DayEnded::default(), 1, |event| known.apply(event));
        assert_eq!(known.applied_sequence(), 7);
        let (wishes, _) = known.missing(&config, 0);
        assert_eq!(wishes.back().map(|wish| wish.kind), Some(Deposit::KIND));
    }
}
