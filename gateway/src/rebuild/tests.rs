//! The worker on events in memory: every report of a long run, asked for in every way, is made as it was.

#[path = "../../tests/support/pair.rs"]
mod pair;

use super::*;
use crate::drop_copy::{Owners, message_type, write_report};
use crate::fix::{MessageWriter, Version};
use crate::orders::{Orders, Report, Reports};
use checkpoint::{Checkpoints, Purpose};
use machine::{Context, EventBuffer};
use pair::push_pair;
use protocol::{
    AccountId, AccountOptionsSet, AssetCreated, CancelReason, ClientOrderId, CommandKind,
    ExtendedOrderAccepted, FeeCharged, MassCancelAccepted, MassCancelDone, OrderAccepted, OrderCanceled,
    OrderDecremented, OrderId, OrderListAccepted, OrderReplaced, OrderRepriced, OrderShown, OrderTerms,
    OrderTriggered, RejectReason, Rejected, SetAccountOptions, Trade, TradeBusted,
};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

const ALICE: AccountId = AccountId(2);
const BOB: AccountId = AccountId(3);

fn purpose() -> Purpose {
    Purpose { gateway: 1, accounts: vec![ALICE, BOB], done_orders: 20 }
}

fn owners() -> Owners {
    use crate::access::PasswordHash;
    use crate::{GatewayConfig, UserConfig};
    let hash = PasswordHash::create(b"secret", 8, 1).unwrap();
    let users = [("ALICE", ALICE), ("BOB", BOB)];
    let users = users.map(|(name, account)| {
        let mut user = UserConfig::new(name, "u", hash.clone(), account);
        user.access.firm = Some("FIRM".to_owned());
        user
    });
    Owners::of(&GatewayConfig::new(1, ([127, 0, 0, 1], 0).into(), "x".into(), users.into()))
}

/// A report as it stands in one of the versions, by the number of its command.
fn text_of(orders: &Orders, report: &Report, sequence: u64) -> String {
    let version = Version::ALL[sequence as usize % Version::ALL.len()];
    let mut buffer = Vec::new();
    let mut writer = MessageWriter::begin(&mut buffer, version, message_type(report));
    let place = writer.place();
    write_report(&mut writer, orders, report, None);
    writer.since(place).escape_ascii().to_string()
}

fn saved(orders: &Orders) -> Vec<u8> {
    let mut out = Vec::new();
    orders.save(&mut out);
    out
}

/// A report as it was sent first.
struct First {
    is_execution: bool,
    sent: Sent,
    session: usize,
    asked: Option<Asked>,
    body: Vec<u8>,
}

/// Random events of two accounts and others, their fold, and what it reported.
struct Run {
    folder: TempDir,
    events: MemoryEvents,
    orders: Orders,
    owners: Owners,
    random: SmallRng,
    sequence: u64,
    live: Vec<(OrderId, AccountId)>,
    first: Vec<First>,
    /// The same orders, which go through checkpoints; and what the others have told of the last command.
    twin: Orders,
    texts: Vec<String>,
    /// A mass cancel at work, and the last trade.
    mass_cancel: Option<(u64, AccountId, ClientOrderId)>,
    traded: Option<(u64, OrderId, OrderId)>,
}

impl Run {
    fn new(seed: u64, commands: u64) -> Self {
        let mut run = Self {
            folder: tempfile::tempdir().unwrap(),
            events: MemoryEvents::new(),
            orders: purpose().no_orders(),
            owners: owners(),
            random: SmallRng::seed_from_u64(seed),
            sequence: 0,
            live: Vec::new(),
            first: Vec::new(),
            twin: purpose().no_orders(),
            texts: Vec::new(),
            mass_cancel: None,
            traded: None,
        };
        run.create();
        run.go_on(commands);
        run
    }

    fn worker(&self, spacing: u64) -> Worker {
        let checkpoints = Checkpoints::list(self.folder.path(), purpose());
        let mut worker = Worker::new(Box::new(self.events.clone()), checkpoints, owners(), spacing);
        worker.committed(self.sequence);
        worker
    }

    fn command(&mut self, asked: Option<&Asked>, fill: impl FnOnce(&mut Self, &mut EventBuffer)) {
        self.sequence += 1;
        let mut buffer = EventBuffer::with_capacity(1 << 14);
        let timestamp_ns = 1_000_000_007 * self.sequence;
        buffer.begin(&Context { sequence: self.sequence, timestamp_ns, ..Context::default() });
        fill(self, &mut buffer);
        buffer.finish();
        self.events.push(buffer.bytes());
        self.texts.clear();
        for (index, record) in (0..).zip(buffer.records()) {
            if let Some(held) = self.orders.release_before(record) {
                self.keep_all((&held.reports, &held.reports), held.index, None);
            }
            let reports = self.orders.apply(record, index, asked);
            // Only a reject may be folded twice.
            let bare = asked.map(|_| self.orders.apply(record, index, None)).unwrap_or(reports);
            self.keep_all((&reports, &bare), index, asked);
            if record.is_last_event()
                && let Some(held) = self.orders.release_last()
            {
                self.keep_all((&held.reports, &held.reports), held.index, None);
            }
        }
        self.check_twin(&buffer, asked);
    }

    fn keep_all(&mut self, (reports, bare): (&Reports, &Reports), index: u32, asked: Option<&Asked>) {
        for (part, report) in (0..).zip(reports) {
            let Some(report) = report else { continue };
            let bare = bare[usize::from(part)].as_ref().unwrap_or(report);
            // Perhaps for its owner and for a replay, which know different things of the same event.
            for _ in 0..1 + usize::from(asked.is_some()) {
                self.keep((report, bare), (index, part), asked);
            }
            self.texts.push(text_of(&self.orders, report, self.sequence));
        }
    }

    /// Orders that are written into a checkpoint and read again now and then tell the same as those that are not.
    fn check_twin(&mut self, buffer: &EventBuffer, asked: Option<&Asked>) {
        let mut texts = Vec::new();
        let mut tell = |orders: &Orders, reports: &Reports| {
            texts.extend(reports.iter().flatten().map(|report| text_of(orders, report, self.sequence)));
        };
        for (index, record) in (0..).zip(buffer.records()) {
            if let Some(held) = self.twin.release_before(record) {
                tell(&self.twin, &held.reports);
            }
            let reports = self.twin.apply(record, index, asked);
            tell(&self.twin, &reports);
            if record.is_last_event()
                && let Some(held) = self.twin.release_last()
            {
                tell(&self.twin, &held.reports);
            }
        }
        assert_eq!(texts, self.texts, "command {}", self.sequence);
        if self.random.random_ratio(1, 4) {
            let bytes = saved(&self.twin);
            assert!(bytes == saved(&self.orders), "command {}", self.sequence);
            let twin = Orders::load(&mut bytes.as_slice(), &purpose().accounts, purpose().done_orders);
            self.twin = twin.expect("what was saved can be loaded");
        }
    }

    /// A replay does not know what was asked.
    fn keep(&mut self, (report, bare): (&Report, &Report), (index, part): (u32, u8), asked: Option<&Asked>) {
        let version = Version::ALL[self.random.random_range(0..Version::ALL.len())];
        let copy = self.random.random_ratio(1, 4) && matches!(report, Report::Execution(_));
        let replayed = copy && self.random.random();
        let (report, asked) = if replayed { (bare, None) } else { (report, asked) };
        let origin = Origin { sequence: self.sequence, index, part, copy, replayed };
        let mut buffer = Vec::new();
        let mut writer = MessageWriter::begin(&mut buffer, version, message_type(report));
        let place = writer.place();
        let copied = copy.then(|| self.owners.copied(report, self.sequence, replayed));
        write_report(&mut writer, &self.orders, report, copied.as_ref());
        let body = writer.since(place).to_vec();
        let sent = Sent { origin, version, time_ns: self.sequence, checksum: crc32c::crc32c(&body) };
        let is_execution = matches!(report, Report::Execution(_));
        let session = report.session();
        self.first.push(First { is_execution, sent, session, asked: asked.copied(), body });
    }

    fn create(&mut self) {
        self.command(None, |_, events| {
            push_pair(events, 5, 1000);
            events.push(&AssetCreated {
                asset: 9,
                scale: 2,
                name: protocol::Name::from_text("FEE").unwrap(),
                ..AssetCreated::default()
            });
        });
    }

    fn go_on(&mut self, commands: u64) {
        for _ in 0..commands {
            match self.random.random_range(0..20) {
                0..4 => self.enter(),
                4..7 => self.enter_special(),
                7..9 => self.enter_list(),
                9..11 => self.cancel(),
                11 => self.replace(),
                12..14 => self.reject(),
                14..16 => self.change_special(),
                16 => self.mass_cancel(),
                17 => self.bust_or_options(),
                _ => self.trade(),
            }
        }
    }

    /// An order in an event of its own.
    fn accepted(&mut self, slot: u32) -> OrderAccepted {
        let account = [ALICE, BOB, AccountId(9)][self.random.random_range(0..3)];
        let order_id = OrderId::new(self.sequence, slot);
        self.live.push((order_id, account));
        OrderAccepted {
            order_id,
            price_ticks: self.random.random_range(1..1000),
            quantity_lots: 1000,
            account,
            instrument: 1,
            client_order_id: self.id(),
            side: self.random.random_range(1..=2),
            order_type: [2, 4, 80][self.random.random_range(0..3)],
            ..OrderAccepted::default()
        }
    }

    /// Stops, icebergs, pegged orders, orders with a time: whatever terms there are.
    fn terms(&mut self) -> OrderTerms {
        let mut terms = OrderTerms::default();
        match self.random.random_range(0..5) {
            0 => (terms.trigger, terms.trigger_price_ticks) = (1, self.random.random_range(1..1000)),
            1 => terms.display_lots = self.random.random_range(1..100),
            2 => {
                (terms.peg, terms.offset) = (self.random.random_range(1..=3), self.random.random_range(0..5))
            }
            3 => terms.expire_time_ns = 1_800_000_000_000_000_000,
            _ => terms.minimum_lots = self.random.random_range(1..10),
        }
        terms
    }

    fn enter_special(&mut self) {
        self.command(None, |run, events| {
            let (order, terms) = (run.accepted(3), run.terms());
            events.push(&ExtendedOrderAccepted { order, terms, ..ExtendedOrderAccepted::default() });
        });
    }

    /// A batch, some of whose orders are rejected, or orders that wait for the first.
    fn enter_list(&mut self) {
        let (client_list_id, count) = (self.id(), self.random.random_range(1..6u32));
        let list_type = self.random.random_range(0..=3);
        self.command(None, |run, events| {
            let account = [ALICE, BOB][run.random.random_range(0..2)];
            events.push(&OrderListAccepted { account, count, client_list_id, list_type, reserved: [0; 3] });
            let first = OrderId::new(run.sequence, 0);
            for slot in 0..count {
                let mut order = run.accepted(slot);
                order.account = account;
                if run.random.random_ratio(1, 4) {
                    run.live.pop();
                    events.push(&Rejected {
                        account,
                        instrument: 1,
                        client_order_id: order.client_order_id,
                        reason: RejectReason::InsufficientFunds.code(),
                        command_kind: CommandKind::NewClientOrderList.code(),
                        ..Rejected::default()
                    });
                } else if list_type == 0 {
                    events.push(&order);
                } else {
                    let (list_order_id, inactive) =
                        if slot == 0 { (OrderId::NONE, 0) } else { (first, u8::from(list_type > 1)) };
                    let terms = run.terms();
                    let rest = ExtendedOrderAccepted::default();
                    events.push(&ExtendedOrderAccepted {
                        order,
                        terms,
                        list_order_id,
                        list_type,
                        inactive,
                        ..rest
                    });
                }
            }
        });
    }

    /// What the exchange does with special orders by itself.
    fn change_special(&mut self) {
        let Some((order_id, account)) = self.order() else { return };
        let (choice, price_ticks) = (self.random.random_range(0..5), self.random.random_range(1..1000));
        let leaves_lots = if choice == 4 { 0 } else { self.random.random_range(1..1000) };
        if choice == 4 {
            self.live.retain(|it| it.0 != order_id);
        }
        self.command(None, |run, events| match choice {
            0 | 1 => {
                let waits = run.random.random_range(0..=1);
                let rest = OrderTriggered::default();
                events.push(&OrderTriggered { order_id, price_ticks, leaves_lots, account, waits, ..rest });
            }
            2 => events.push(&OrderRepriced { order_id, price_ticks, account, ..OrderRepriced::default() }),
            3 => events.push(&OrderShown { order_id, shown_lots: leaves_lots, ..OrderShown::default() }),
            _ => events.push(&OrderDecremented {
                order_id,
                leaves_lots,
                account,
                ..OrderDecremented::default()
            }),
        });
    }

    /// One that begins and is through by a later command, or by the same one.
    fn mass_cancel(&mut self) {
        if let Some((begun_sequence, account, client_order_id)) = self.mass_cancel.take() {
            let rest = MassCancelDone::default();
            return self.command(None, |_, events| {
                events.push(&MassCancelDone {
                    begun_sequence,
                    account,
                    client_order_id,
                    canceled_orders: 2,
                    ..rest
                });
            });
        }
        let (account, client_order_id) = ([ALICE, BOB][self.random.random_range(0..2)], self.id());
        self.command(None, |run, events| {
            run.mass_cancel = Some((run.sequence, account, client_order_id));
            events.push(&MassCancelAccepted { account, client_order_id, ..MassCancelAccepted::default() });
            for _ in 0..2 {
                let Some((order_id, account)) = run.order() else { return };
                run.live.retain(|it| it.0 != order_id);
                let reason = CancelReason::MassCancel.code();
                events.push(&OrderCanceled { order_id, account, reason, ..OrderCanceled::default() });
            }
        });
    }

    fn bust_or_options(&mut self) {
        if self.random.random() {
            let (account, pays_in_fee_asset) = (ALICE, self.random.random_range(0..=1));
            let options = SetAccountOptions { account, pays_in_fee_asset, ..SetAccountOptions::default() };
            return self.command(None, |_, events| events.push(&AccountOptionsSet(options)));
        }
        let Some((trade_id, maker_order_id, taker_order_id)) = self.traded else { return };
        self.command(None, |_, events| {
            let rest = TradeBusted::default();
            events.push(&TradeBusted {
                trade_id,
                maker_order_id,
                taker_order_id,
                quantity_lots: 1,
                price_ticks: 100,
                instrument: 1,
                ..rest
            });
        });
    }

    fn id(&mut self) -> ClientOrderId {
        ClientOrderId::from_text(format!("id-{}", self.random.random_range(0..1000)).as_bytes()).unwrap()
    }

    fn order(&mut self) -> Option<(OrderId, AccountId)> {
        let count = self.live.len();
        (count > 0).then(|| self.live[self.random.random_range(0..count)])
    }

    fn enter(&mut self) {
        self.command(None, |run, events| {
            let mut order = run.accepted(3);
            order.order_type = 2;
            events.push(&order);
        });
    }

    fn cancel(&mut self) {
        let Some((order_id, account)) = self.order() else { return };
        self.live.retain(|it| it.0 != order_id);
        let reason = if self.random.random() { CancelReason::Requested } else { CancelReason::DayEnded };
        let client_order_id = if reason == CancelReason::Requested { self.id() } else { ClientOrderId::NONE };
        self.command(None, |_, events| {
            events.push(&OrderCanceled {
                order_id,
                account,
                instrument: 1,
                client_order_id,
                reason: reason.code(),
                ..OrderCanceled::default()
            });
        });
    }

    fn replace(&mut self) {
        let Some((order_id, account)) = self.order() else { return };
        let (client_order_id, price_ticks) = (self.id(), self.random.random_range(1..1000));
        self.command(None, |_, events| {
            events.push(&OrderReplaced {
                order_id,
                price_ticks,
                quantity_lots: 5000,
                leaves_lots: 4000,
                account,
                instrument: 1,
                client_order_id,
                ..OrderReplaced::default()
            });
        });
    }

    /// With what only the request knows, or without, as after a restart.
    fn reject(&mut self) {
        let kind = if self.random.random() { CommandKind::NewOrder } else { CommandKind::CancelOrder };
        let (client_order_id, original) = (self.id(), self.id());
        let order_id = self.order().map_or(OrderId::NONE, |it| it.0);
        let asked = Asked {
            original_client_order_id: original,
            price_ticks: self.random.random_range(1..1000),
            quantity_lots: self.random.random_range(1..1000),
            side: self.random.random_range(1..=2),
            order_type: 2,
            time_in_force: 1,
        };
        let known = self.random.random::<bool>().then_some(asked);
        self.command(known.as_ref(), |_, events| {
            events.push(&Rejected {
                order_id,
                account: BOB,
                instrument: 1,
                client_order_id,
                reason: RejectReason::InsufficientFunds.code(),
                command_kind: kind.code(),
                ..Rejected::default()
            });
        });
    }

    /// Several trades by one command; both sides may be the same account's.
    fn trade(&mut self) {
        let (Some(maker), Some(taker)) = (self.order(), self.order()) else { return };
        let count = self.random.random_range(1..5);
        self.command(None, |run, events| {
            for trade in 0..count {
                events.push(&Trade {
                    trade_id: run.sequence * 10 + trade,
                    maker_order_id: maker.0,
                    taker_order_id: taker.0,
                    price_ticks: 100 + trade as i64,
                    quantity_lots: 1,
                    maker_leaves_lots: 5,
                    taker_leaves_lots: 6,
                    maker_account: maker.1,
                    taker_account: taker.1,
                    taker_fee_minor: if trade % 2 == 0 { 3 } else { 0 },
                    instrument: 1,
                    ..Trade::default()
                });
                let trade_id = run.sequence * 10 + trade;
                run.traded = Some((trade_id, maker.0, taker.0));
                for (role, account) in [(1, maker.1), (2, taker.1)] {
                    if run.random.random_ratio(1, 3) {
                        let reserved = [0; 7];
                        events.push(&FeeCharged {
                            trade_id,
                            amount_minor: 7,
                            account,
                            asset: 9,
                            role,
                            reserved,
                        });
                    }
                }
            }
        });
    }

    /// Asks for these of its first reports on behalf of a session.
    fn ask(&self, worker: &mut Worker, session: usize, chosen: impl Iterator<Item = usize>) {
        let mut wanted: Vec<Wanted> = chosen
            .map(|at| {
                let First { sent, asked, .. } = &self.first[at];
                Wanted { number: at as u64, sent: *sent, asked: *asked }
            })
            .collect();
        // Numbers need not come in the order of events.
        wanted.reverse();
        worker.submit(Work::Resend(Resend { ticket: session as u64, session, wanted }));
    }

    fn check(&self, messages: &[Resent]) {
        assert!(messages.is_sorted_by_key(|it| it.number));
        for made in messages {
            let first = &self.first[made.number as usize];
            let body = &made.body.as_ref().expect("it can be made").1;
            assert_eq!(
                body.escape_ascii().to_string(),
                first.body.escape_ascii().to_string(),
                "{:?}",
                first.sent
            );
        }
    }
}

fn run_to_end(worker: &mut Worker, mut take: impl FnMut(Outcome)) {
    loop {
        let worked = worker.work(100);
        while let Some(outcome) = worker.take_outcome() {
            take(outcome);
        }
        if !worked {
            return;
        }
    }
}

fn seed() -> u64 {
    let seed = std::env::var("RIALTO_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0));
    println!("RIALTO_SEED={seed}");
    seed
}

#[test]
fn what_is_made_again_is_what_was_sent_whatever_is_asked_for_in_whatever_order() {
    let mut run = Run::new(seed(), 1500);
    for spacing in [u64::MAX, 100, 7] {
        let mut worker = run.worker(spacing);
        let mut answers = 0;
        for _ in 0..20 {
            // Parts of both sessions, here and there; some at the same time.
            let mut asked = 0;
            for session in 0..2 {
                if run.random.random_ratio(2, 3) {
                    let own: Vec<usize> = (0..run.first.len())
                        .filter(|&at| run.first[at].session == session || run.first[at].sent.origin.copy)
                        .collect();
                    let from = run.random.random_range(0..own.len());
                    let count = run.random.random_range(1..300);
                    run.ask(&mut worker, session, own.into_iter().skip(from).take(count));
                    asked += 1;
                }
                if run.random.random() {
                    worker.work(50);
                }
            }
            run_to_end(&mut worker, |outcome| match outcome {
                Outcome::Resent { messages, .. } => {
                    run.check(&messages);
                    answers += messages.len();
                    asked -= 1;
                }
                Outcome::Note(text) => panic!("{text}"),
                Outcome::Replayed(_) => panic!("nobody asked"),
            });
            assert_eq!(asked, 0, "every question is answered");
        }
        assert!(answers > 500);
        assert!(worker.is_idle());
    }
    let written = std::fs::read_dir(run.folder.path()).unwrap().count();
    assert!((3..=20).contains(&written), "{written} checkpoints");
}

#[test]
fn a_fold_from_a_checkpoint_is_the_fold_from_the_start() {
    let mut run = Run::new(seed(), 700);
    run_to_end(&mut run.worker(50), |_| {});
    run.go_on(300);
    let mut worker = run.worker(u64::MAX);
    assert!(worker.newest_checkpoint(600).is_none_or(|it| it.sequence <= 600));
    let newest = worker.newest_checkpoint(run.sequence).expect("one is left");
    let mut cursor = run.events.open(newest.sequence + 1).unwrap();
    let mut orders = newest.orders;
    let mut place = (0, 0);
    while let Some(event) = cursor.next().unwrap() {
        let sequence = event.header().sequence;
        place = if place.0 == sequence { (sequence, place.1 + 1) } else { (sequence, 0) };
        orders.release_before(event);
        orders.apply(event, place.1, None);
        if event.is_last_event() {
            orders.release_last();
        }
    }
    assert_eq!(saved(&orders), saved(&run.orders));
    let again = Orders::load(&mut saved(&orders).as_slice(), &purpose().accounts, 20).unwrap();
    assert_eq!(saved(&again), saved(&orders));
}

/// Adds an event to others in memory.
fn push_record(events: &MemoryEvents, event: machine::Record<'_>) {
    let mut words = vec![0u64; machine::stride(event.header().length as usize) / 8];
    let bytes = zerocopy::IntoBytes::as_mut_bytes(words.as_mut_slice());
    bytes[..32].copy_from_slice(zerocopy::IntoBytes::as_bytes(event.header()));
    bytes[32..32 + event.body().len()].copy_from_slice(event.body());
    events.push(bytes);
}

#[test]
fn reports_that_are_not_in_the_journal_yet_are_waited_for() {
    let mut run = Run::new(seed(), 100);
    let behind = MemoryEvents::new();
    let mut worker = {
        let checkpoints = Checkpoints::list(run.folder.path(), purpose());
        Worker::new(Box::new(behind.clone()), checkpoints, owners(), u64::MAX)
    };
    run.go_on(100);
    let last = run.first.len() - 1;
    run.ask(&mut worker, run.first[last].session, [last].into_iter());
    assert!(!worker.work(1000) && worker.take_outcome().is_none() && !worker.is_idle());
    let mut cursor = run.events.open(1).unwrap();
    let mut answered = false;
    while let Some(event) = cursor.next().unwrap() {
        push_record(&behind, event);
        worker.work(10);
        match worker.take_outcome() {
            Some(Outcome::Resent { messages, .. }) => {
                run.check(&messages);
                answered = true;
            }
            None => {}
            Some(_) => panic!("something else"),
        }
    }
    assert!(answered);
}

/// Counts how often somebody has begun to read.
struct Counted(MemoryEvents, Arc<AtomicUsize>);

impl EventSource for Counted {
    fn open(&self, sequence: u64) -> Result<Box<dyn EventCursor>, RebuildError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.open(sequence)
    }
}

/// While a checkpoint was due whose events were not in the journal yet, the idle thread threw its fold away every 100 ms
/// and began again from the checkpoint before: with a million orders that is all it did, and the more the journal lagged
/// the longer it went on.
#[test]
fn a_checkpoint_that_waits_for_events_keeps_the_fold() {
    let run = Run::new(seed(), 200);
    let (behind, opened) = (MemoryEvents::new(), Arc::new(AtomicUsize::new(0)));
    let checkpoints = Checkpoints::list(run.folder.path(), purpose());
    let source = Box::new(Counted(behind.clone(), Arc::clone(&opened)));
    let mut worker = Worker::new(source, checkpoints, owners(), run.sequence);
    worker.committed(run.sequence);
    let mut cursor = run.events.open(1).unwrap();
    while let Some(event) = cursor.next().unwrap() {
        worker.work(1000);
        assert!(!worker.pause(), "nobody has asked");
        assert_eq!(opened.load(Ordering::Relaxed), 1, "at {}", event.header().sequence);
        push_record(&behind, event);
    }
    worker.work(1000);
    assert!(Checkpoints::list(run.folder.path(), purpose()).newest() == Some(run.sequence));
    // Now nothing is due: its memory is given back, and a question begins anew.
    worker.pause();
    run.ask(&mut worker, run.first[0].session, [0].into_iter());
    run_to_end(&mut worker, |_| {});
    assert_eq!(opened.load(Ordering::Relaxed), 2);
}

#[test]
fn a_replay_gives_each_execution_after_its_place_once() {
    let run = Run::new(seed(), 2500);
    for (from, last) in [(1, run.sequence), (run.sequence / 2, run.sequence), (7, 7), (1, 3)] {
        let mut worker = run.worker(200);
        let (mut after, mut got, mut parts) = (Some((from - 1, u32::MAX)), Vec::new(), 0);
        while let Some(place) = after.take() {
            let sessions = vec![true, false];
            worker.submit(Work::Replay(Replay {
                ticket: parts,
                version: Version::Fix44,
                sessions,
                after: place,
                last,
            }));
            run_to_end(&mut worker, |outcome| match outcome {
                Outcome::Replayed(replayed) => {
                    assert_eq!(replayed.ticket, parts);
                    got.extend(replayed.copies.iter().map(|it| (it.origin.place(), it.origin.part)));
                    after = replayed.after;
                }
                Outcome::Note(text) => panic!("{text}"),
                Outcome::Resent { .. } => panic!("nobody asked"),
            });
            parts += 1;
        }
        let mut expected: Vec<_> = run
            .first
            .iter()
            .filter(|it| it.session == 0 && it.is_execution)
            .filter(|it| (from..=last).contains(&it.sent.origin.sequence))
            .map(|it| (it.sent.origin.place(), it.sent.origin.part))
            .collect();
        expected.dedup();
        assert_eq!(got, expected, "{from} to {last}");
        assert!(parts > 1 || got.len() < 1024);
    }
}

#[test]
fn checkpoints_of_another_journal_or_ahead_of_the_store_are_refused_aloud() {
    let run = Run::new(1, 400);
    run_to_end(&mut run.worker(100), |_| {});
    let notes = |worker: &mut Worker| {
        let mut notes = Vec::new();
        while let Some(Outcome::Note(text)) = worker.take_outcome() {
            notes.push(text);
        }
        notes
    };
    let mut worker = run.worker(u64::MAX);
    assert!(worker.newest_checkpoint(150).is_some_and(|it| it.sequence <= 150));
    assert!(notes(&mut worker).iter().all(|it| it.contains("has followed events up to 150 only")));

    let other = Run::new(1, 5);
    let checkpoints = Checkpoints::list(run.folder.path(), purpose());
    let mut worker = Worker::new(Box::new(other.events.clone()), checkpoints, owners(), u64::MAX);
    assert!(worker.newest_checkpoint(u64::MAX).is_none());
    assert!(notes(&mut worker).iter().any(|it| it.contains("the event journal ends before it")));
    assert_eq!(std::fs::read_dir(run.folder.path()).unwrap().count(), 0, "they are of no use");
}

struct Broken;

impl EventSource for Broken {
    fn open(&self, _: u64) -> Result<Box<dyn EventCursor>, RebuildError> {
        Err(RebuildError::new("the disk is gone"))
    }
}

#[test]
fn a_journal_that_cannot_be_read_is_told_and_nobody_waits_for_ever() {
    let run = Run::new(3, 100);
    let checkpoints = Checkpoints::list(run.folder.path(), purpose());
    let mut worker = Worker::new(Box::new(Broken), checkpoints, owners(), 10);
    worker.committed(run.sequence);
    run.ask(&mut worker, 0, 0..10);
    let (mut lost, mut notes) = (0, Vec::new());
    run_to_end(&mut worker, |outcome| match outcome {
        Outcome::Resent { messages, .. } => {
            lost += messages.iter().filter(|it| it.body.is_none()).count();
        }
        Outcome::Note(text) => notes.push(text),
        Outcome::Replayed(_) => panic!("nobody asked"),
    });
    assert_eq!(lost, 10);
    assert!(notes.iter().any(|it| it.contains("the disk is gone")), "{notes:?}");
    assert!(worker.is_idle());
}
