//! The workload as the exchange's own command records: assets, an instrument with fees and funded accounts first, then the
//! stream, with the order ids that the exchange will give (they are deterministic, and learned by running it once).

use std::hint::black_box;
use std::ops::Range;

use exchange::Exchange;
use machine::{Body, Context, EventBuffer, HEADER_LENGTH, MOST_AHEAD, Record, StateMachine, step, stride};
use protocol::{
    AccountId, CancelOrder, ClientOrderId, CreateAccount, CreateAsset, CreateInstrument, Deposit, Limits,
    Name, NewOrder, OrderAccepted, OrderId, OrderType, Rejected, ReplaceOrder, SelfTradePrevention,
    TimeInForce,
};

use crate::workload::{Action, Workload, WorkloadCommand};

const ACCOUNTS: u32 = 1_000;
/// The base asset.
pub const BASE: u32 = 1;
/// The quote asset.
pub const QUOTE: u32 = 2;

/// Which commands carry a client order id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ClientIds {
    /// No command.
    None,
    /// New orders; replaces keep the id.
    New,
    /// New orders and replaces, as FIX asks for.
    Every,
}

/// Records back to back, and where each starts.
#[derive(Default)]
pub struct Stream {
    words: Vec<u64>,
    starts: Vec<usize>,
    /// Sequence of the command before the first.
    after: u64,
    client_ids: u64,
}

impl Stream {
    /// A stream that follows on a command with this sequence.
    #[must_use]
    pub fn after(sequence: u64) -> Self {
        Self { after: sequence, ..Self::default() }
    }

    pub(crate) fn push<T: Body>(&mut self, body: &T) {
        let length = HEADER_LENGTH + size_of::<T>();
        let start = self.words.len();
        self.starts.push(start);
        let sequence = self.after + self.starts.len() as u64;
        let mut record = EventBuffer::with_capacity(stride(length));
        record.begin(&Context { sequence, timestamp_ns: sequence * 1_000, ..Context::default() });
        record.push(body);
        let (words, _) = record.bytes().as_chunks::<8>();
        self.words.extend(words.iter().map(|&word| u64::from_le_bytes(word)));
    }

    /// Record `number`, from 0; in a stream that follows on nothing its sequence is one higher.
    ///
    /// # Panics
    /// If there is no such record.
    #[must_use]
    pub fn get(&self, number: usize) -> Record<'_> {
        let words = &self.words[self.starts[number]..];
        let bytes = zerocopy::IntoBytes::as_bytes(words);
        Record::parse(bytes).expect("it was built as a record")
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// An id as a client would give it: 17 bytes, never used before.
    fn client_order_id(&mut self, wanted: bool) -> ClientOrderId {
        self.client_ids += 1;
        let text = format!("20261123-{:08}", self.client_ids);
        if wanted { ClientOrderId::from_text(text.as_bytes()).expect("short") } else { ClientOrderId::NONE }
    }
}

pub(crate) fn name(text: &str) -> Name {
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

/// Limits of an exchange that takes the workload.
#[must_use]
pub fn limits(workload: &Workload) -> Limits {
    let orders = (workload.fill as u32 * 2 + 10_000).min(2_000_000);
    Limits { orders, ..Limits::default() }
}

/// An empty exchange that takes the workload.
///
/// # Panics
/// Never: the limits are in range.
#[must_use]
pub fn exchange(workload: &Workload) -> Exchange {
    Exchange::new(limits(workload)).expect("good limits")
}

/// What an order was when it was last heard of.
#[derive(Clone, Copy, Default)]
struct Learned {
    id: OrderId,
    account: AccountId,
    price_ticks: i64,
}

/// The commands as records, and how many of them come before the workload's own. Which ids the exchange gives is learned
/// by running them once.
///
/// # Panics
/// If the exchange rejects one: the stream has no bad command.
#[must_use]
pub fn records(workload: &Workload, client_ids: ClientIds) -> (Stream, usize) {
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

/// Commands whose events stay in the buffer before it is cleared.
const BATCH: usize = 64;

/// Applies the records of a range as the engine's agent does: the machine looks at some ahead, then takes them one by one.
///
/// # Panics
/// If the range is beyond the stream, or the machine breaks its contract.
pub fn run(exchange: &mut Exchange, stream: &Stream, numbers: Range<usize>, events: &mut EventBuffer) {
    let most = exchange.max_event_bytes();
    let mut ended = 0;
    for start in numbers.clone().step_by(MOST_AHEAD) {
        let mut ahead = [stream.get(start); MOST_AHEAD];
        let count = MOST_AHEAD.min(numbers.end - start);
        let ahead = &mut ahead[..count];
        ahead.iter_mut().zip(start..).for_each(|(place, number)| *place = stream.get(number));
        exchange.look_ahead(ahead);
        for &command in &*ahead {
            if ended % BATCH == 0 || events.free_bytes() < most {
                black_box(events.bytes());
                events.clear();
            }
            step(exchange, command, events);
            ended += 1;
        }
    }
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
