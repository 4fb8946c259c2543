//! The whole exchange as it runs in production, without rings and journal: nanoseconds per command of `machine::step`
//! (checks, wallet, fees, index of client order ids, book, events) on a single-pair stream.
//!
//! `RIALTO_WORKLOAD=/path/out.bin` plays a trace, and asserts its number of fills; without it a stream of the same
//! shape is generated. Commands are records built beforehand, 100 bytes each in the mean, read once in order.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use benches::trace;
use benches::workload::{Action, Shape, Workload, WorkloadCommand, generate};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use exchange::Exchange;
use machine::{Body, Context, EventBuffer, Record, StateMachine, step, stride};
use protocol::{
    AccountId, CancelOrder, ClientOrderId, CreateAccount, CreateAsset, CreateInstrument, Deposit, Limits,
    Name, NewOrder, OrderAccepted, OrderId, OrderType, Rejected, ReplaceOrder, SelfTradePrevention, Side,
    TimeInForce, Trade,
};

const ACCOUNTS: u32 = 1_000;
const BASE: u32 = 1;
const QUOTE: u32 = 2;

/// Commands whose events stay in the buffer before it is cleared.
const BATCH: usize = 64;

/// Known results: timed commands, trades, resting orders, sell levels, buy levels.
const KNOWN: [(usize, u64, u32, usize, usize); 3] = [
    (3_000_000, 122_607, 1_020, 265, 253),
    (3_000_000, 166_935, 978, 399, 382),
    (5_000_000, 304_115, 1_000_859, 1_194, 1_218),
];

/// Which commands carry a client order id.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ClientIds {
    None,
    /// New orders; replaces keep the id.
    New,
    /// New orders and replaces, as FIX asks for.
    Every,
}

/// Records back to back, and where each starts.
#[derive(Default)]
struct Stream {
    words: Vec<u64>,
    starts: Vec<usize>,
    client_ids: u64,
}

impl Stream {
    fn push<T: Body>(&mut self, body: &T) {
        let length = machine::HEADER_LENGTH + size_of::<T>();
        let start = self.words.len();
        self.starts.push(start);
        let sequence = self.starts.len() as u64;
        let mut record = EventBuffer::with_capacity(stride(length));
        record.begin(&Context { sequence, timestamp_ns: sequence * 1_000, ..Context::default() });
        record.push(body);
        let (words, _) = record.bytes().as_chunks::<8>();
        self.words.extend(words.iter().map(|&word| u64::from_le_bytes(word)));
    }

    fn get(&self, number: usize) -> Record<'_> {
        let words = &self.words[self.starts[number]..];
        let bytes = zerocopy::IntoBytes::as_bytes(words);
        Record::parse(bytes).expect("it was built as a record")
    }

    /// An id as a client would give it: 17 bytes, never used before.
    fn client_order_id(&mut self, wanted: bool) -> ClientOrderId {
        self.client_ids += 1;
        let text = format!("20261123-{:08}", self.client_ids);
        if wanted { ClientOrderId::from_text(text.as_bytes()).expect("short") } else { ClientOrderId::NONE }
    }
}

fn name(text: &str) -> Name {
    Name::from_text(text).expect("a good name")
}

/// Assets, one instrument with fees, funded accounts.
fn stage(stream: &mut Stream) {
    for (asset, code) in [(BASE, "BTC"), (QUOTE, "USD")] {
        stream.push(&CreateAsset { asset, scale: 8, reserved: [0; 3], name: name(code) });
    }
    stream.push(&CreateInstrument {
        quote_minor_per_tick_lot: 100,
        base_minor_per_lot: 100_000,
        instrument: 1,
        base_asset: BASE,
        quote_asset: QUOTE,
        maker_fee_ppm: 100,
        taker_fee_ppm: 250,
        name: name("BTC/USD"),
        ..CreateInstrument::default()
    });
    for account in (0..ACCOUNTS).map(account_of) {
        stream.push(&CreateAccount { account, reserved: 0, name: name("bench") });
        for asset in [BASE, QUOTE] {
            stream.push(&Deposit { amount_minor: 1 << 50, reference: 0, account, asset });
        }
    }
}

fn account_of(user: u32) -> AccountId {
    AccountId(AccountId::FIRST_CLIENT.0 + user % ACCOUNTS)
}

fn exchange(workload: &Workload) -> Exchange {
    let orders = (workload.fill as u32 * 2 + 10_000).min(2_000_000);
    Exchange::new(Limits { orders, ..Limits::default() }).expect("good limits")
}

/// What an order was when it was last heard of.
#[derive(Clone, Copy, Default)]
struct Learned {
    id: OrderId,
    account: AccountId,
    price_ticks: i64,
}

/// The commands as records. Which ids the exchange gives is learned by running them once.
fn records(workload: &Workload, client_ids: ClientIds) -> (Stream, usize) {
    let mut stream = Stream::default();
    stage(&mut stream);
    let staged = stream.starts.len();
    let mut exchange = exchange(workload);
    let mut events = EventBuffer::with_capacity(exchange.max_event_bytes());
    for number in 0..staged {
        play(&mut exchange, &stream, number, &mut events);
    }
    let mut learned = vec![Learned::default(); workload.orders as usize];
    for command in &workload.commands {
        let order = learned[command.order as usize];
        translate(&exchange, &mut stream, command, order, client_ids);
        play(&mut exchange, &stream, stream.starts.len() - 1, &mut events);
        let entry = &mut learned[command.order as usize];
        if let Some(accepted) = events.records().next().and_then(|event| event.body_as::<OrderAccepted>()) {
            (entry.id, entry.account) = (accepted.order_id, accepted.account);
        }
        if command.action != Action::Reduce {
            entry.price_ticks = command.price_ticks;
        }
    }
    (stream, staged)
}

fn play(exchange: &mut Exchange, stream: &Stream, number: usize, events: &mut EventBuffer) {
    events.clear();
    step(exchange, stream.get(number), events);
    let rejected = events.records().find_map(|event| event.body_as::<Rejected>());
    assert_eq!(rejected, None, "the stream has no bad command");
}

fn translate(
    exchange: &Exchange,
    stream: &mut Stream,
    command: &WorkloadCommand,
    order: Learned,
    client_ids: ClientIds,
) {
    let replaced_id = stream.client_order_id(client_ids == ClientIds::Every);
    let live = exchange.order(order.id);
    let total_lots = live.map_or(0, |live| live.leaves_lots + live.filled_lots);
    let leaves_lots = live.map_or(0, |live| live.leaves_lots);
    let replace = ReplaceOrder {
        order_id: order.id,
        price_ticks: order.price_ticks,
        quantity_lots: total_lots,
        account: order.account,
        instrument: 1,
        client_order_id: replaced_id,
        reserved: 0,
    };
    match command.action {
        Action::Rest | Action::ImmediateOrCancel | Action::FillOrKill => {
            let client_order_id = stream.client_order_id(client_ids != ClientIds::None);
            stream.push(&new_order(command, client_order_id));
        }
        Action::Move => stream.push(&ReplaceOrder { price_ticks: command.price_ticks, ..replace }),
        Action::Reduce if command.quantity_lots < leaves_lots => {
            stream.push(&ReplaceOrder { quantity_lots: total_lots - command.quantity_lots, ..replace });
        }
        Action::Cancel | Action::Reduce => stream.push(&CancelOrder {
            order_id: order.id,
            account: order.account,
            instrument: 1,
            client_order_id: ClientOrderId::NONE,
            reserved: 0,
        }),
    }
}

fn new_order(command: &WorkloadCommand, client_order_id: ClientOrderId) -> NewOrder {
    let time_in_force = match command.action {
        Action::ImmediateOrCancel => TimeInForce::ImmediateOrCancel,
        Action::FillOrKill => TimeInForce::FillOrKill,
        _ => TimeInForce::GoodTillCancel,
    };
    NewOrder {
        price_ticks: command.price_ticks,
        quantity_lots: command.quantity_lots,
        account: account_of(command.user),
        instrument: 1,
        client_order_id,
        side: command.side.code(),
        order_type: OrderType::Limit.code(),
        time_in_force: time_in_force.code(),
        self_trade_prevention: SelfTradePrevention::Allow.code(),
    }
}

/// Plays everything into a new exchange and times what comes after the filling.
fn pass(workload: &Workload, stream: &Stream, staged: usize) -> (Duration, Exchange) {
    let mut exchange = exchange(workload);
    let mut events = EventBuffer::with_capacity(exchange.max_event_bytes() * 2);
    let warm = staged + workload.fill;
    run(&mut exchange, stream, 0..warm, &mut events);
    let start = Instant::now();
    run(&mut exchange, stream, warm..stream.starts.len(), &mut events);
    (start.elapsed(), exchange)
}

fn run(exchange: &mut Exchange, stream: &Stream, numbers: std::ops::Range<usize>, events: &mut EventBuffer) {
    let most = exchange.max_event_bytes();
    for number in numbers {
        if number % BATCH == 0 || events.free_bytes() < most {
            black_box(events.bytes());
            events.clear();
        }
        step(exchange, stream.get(number), events);
    }
}

/// Checks an untimed pass against the trace's own count and, where known, the book at its end.
fn check(workload: &Workload, stream: &Stream, staged: usize) {
    let exchange = pass(workload, stream, staged).1;
    let counts = exchange.counts();
    assert_eq!(Some(counts.trades), workload.trades, "trades");
    let timed = workload.commands.len() - workload.fill;
    let levels = (exchange.levels(1, Side::Sell).count(), exchange.levels(1, Side::Buy).count());
    for (commands, trades, orders, sells, buys) in KNOWN {
        if timed == commands && counts.trades == trades {
            assert_eq!((counts.orders, levels), (orders, (sells, buys)), "book at the end");
        }
    }
    let fees_minor = exchange.balance(AccountId::FEES, QUOTE).balance_minor;
    assert!(fees_minor > 0 && size_of::<Trade>() == 96, "the fees are not zero");
    exchange.check_invariants();
}

fn machine_bench(criterion: &mut Criterion) {
    let workload = match std::env::var_os("RIALTO_WORKLOAD") {
        Some(path) => {
            trace::read(Path::new(&path)).unwrap_or_else(|error| panic!("RIALTO_WORKLOAD: {error}"))
        }
        None => generate(Shape::single_pair(1, 1_000_000)),
    };
    let variants = [
        ("client_ids_of_new_orders", ClientIds::New),
        ("client_ids_of_all", ClientIds::Every),
        ("no_client_ids", ClientIds::None),
    ];
    for (name, client_ids) in variants {
        let (stream, staged) = records(&workload, client_ids);
        check(&workload, &stream, staged);
        let mut group = criterion.benchmark_group("machine");
        group.throughput(Throughput::Elements((workload.commands.len() - workload.fill) as u64));
        group
            .sample_size(10)
            .warm_up_time(Duration::from_millis(100))
            .measurement_time(Duration::from_secs(1));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|passes| (0..passes).map(|_| pass(&workload, &stream, staged).0).sum());
        });
        group.finish();
    }
}

criterion_group!(benches, machine_bench);
criterion_main!(benches);
