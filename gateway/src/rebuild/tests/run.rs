//! A long run of random events, and what was reported of them.

#[path = "../../../tests/support/pair.rs"]
mod pair;

use super::super::*;
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
use tempfile::TempDir;

const ALICE: AccountId = AccountId(2);
const BOB: AccountId = AccountId(3);

pub(super) fn purpose() -> Purpose {
    Purpose { gateway: 1, accounts: vec![ALICE, BOB], done_orders: 20 }
}

pub(super) fn owners() -> Owners {
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

pub(super) fn saved(orders: &Orders) -> Vec<u8> {
    let mut out = Vec::new();
    orders.save(&mut out);
    out
}

/// A report as it was sent first.
pub(super) struct First {
    pub(super) is_execution: bool,
    pub(super) sent: Sent,
    pub(super) session: usize,
    pub(super) asked: Option<Asked>,
    pub(super) body: Vec<u8>,
}

/// Random events of two accounts and others, their fold, and what it reported.
pub(super) struct Run {
    pub(super) folder: TempDir,
    pub(super) events: MemoryEvents,
    pub(super) orders: Orders,
    pub(super) owners: Owners,
    pub(super) random: SmallRng,
    pub(super) sequence: u64,
    live: Vec<(OrderId, AccountId)>,
    pub(super) first: Vec<First>,
    /// The same orders, which go through checkpoints; and what the others have told of the last command.
    twin: Orders,
    texts: Vec<String>,
    /// A mass cancel at work, and the last trade.
    mass_cancel: Option<(u64, AccountId, ClientOrderId)>,
    traded: Option<(u64, OrderId, OrderId)>,
}

impl Run {
    pub(super) fn new(seed: u64, commands: u64) -> Self {
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

    pub(super) fn worker(&self, spacing: u64) -> Worker {
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
            let twin = Orders::load(
                &mut bytes.as_slice(),
                purpose().gateway,
                &purpose().accounts,
                purpose().done_orders,
            );
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

    pub(super) fn go_on(&mut self, commands: u64) {
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
    pub(super) fn ask(&self, worker: &mut Worker, session: usize, chosen: impl Iterator<Item = usize>) {
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

    pub(super) fn check(&self, messages: &[Resent]) {
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

pub(super) fn run_to_end(worker: &mut Worker, mut take: impl FnMut(Outcome)) {
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

pub(super) fn seed() -> u64 {
    let seed = std::env::var("RIALTO_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0));
    println!("RIALTO_SEED={seed}");
    seed
}
