//! Bounded work per command: a stop that triggers thousands of others is continued by the next command, in order; a batch
//! of orders that could each take as much as a command may takes that once.

use exchange::Exchange;
use exchange::naive::NaiveExchange;
use machine::{Body, Context, EventBuffer, StateMachine, step};
use protocol::{
    AccountId, AdvanceTime, CancelReason, CommandKind, CreateAccount, CreateAsset, CreateInstrument, Deposit,
    ExtendedOrderAccepted, Limits, MAX_LIST_ORDERS, Name, NewExtendedOrder, NewOrder, NewOrderList,
    OrderCanceled, OrderId, OrderTerms, OrderTriggered, OrderType, Side, TimeAdvanced, TimeInForce, Trade,
    TriggerSource,
};
use testkit::RecordBytes;
use zerocopy::IntoBytes;

const FILLS_PER_COMMAND: u32 = 100;

struct Play<M> {
    machine: M,
    events: EventBuffer,
    sequence: u64,
}

impl<M: StateMachine> Play<M> {
    fn new(machine: M) -> Self {
        let events = EventBuffer::with_capacity(machine.max_event_bytes());
        Self { machine, events, sequence: 0 }
    }

    fn send<T: Body>(&mut self, body: &T) {
        self.sequence += 1;
        let context = Context { sequence: self.sequence, ..Context::default() };
        self.events.clear();
        step(&mut self.machine, RecordBytes::new(&context, body).record(), &mut self.events);
    }

    /// As large a batch as there is, of equal orders.
    fn batch(&mut self, account: u32, order: &NewExtendedOrder) {
        let (account, count) = (AccountId(account), MAX_LIST_ORDERS);
        let head = NewOrderList { account, count, list_type: 0, reserved: [0; 7] };
        let orders = order.as_bytes().repeat(count as usize);
        self.sequence += 1;
        let context = Context { sequence: self.sequence, ..Context::default() };
        let body = [head.as_bytes(), &orders].concat();
        self.events.clear();
        let record = RecordBytes::raw(&context, CommandKind::NewOrderList.code(), 1, &body);
        step(&mut self.machine, record.record(), &mut self.events);
    }

    fn all<T: Body>(&self) -> Vec<T> {
        self.events.records().filter_map(|event| event.body_as::<T>().copied()).collect()
    }

    fn order(&mut self, account: u32, side: Side, lots: i64, trigger_price_ticks: i64) -> OrderId {
        let stops = trigger_price_ticks != 0;
        let order = NewOrder {
            price_ticks: 101,
            quantity_lots: lots,
            account: AccountId(account),
            instrument: 1,
            side: side.code(),
            order_type: if stops { OrderType::StopLimit } else { OrderType::Limit }.code(),
            time_in_force: TimeInForce::GoodTillCancel.code(),
            ..NewOrder::default()
        };
        let trigger = if stops { TriggerSource::LastTrade.code() } else { 0 };
        let terms = OrderTerms { trigger_price_ticks, trigger, ..OrderTerms::default() };
        self.send(&NewExtendedOrder { order, terms });
        self.all::<ExtendedOrderAccepted>().first().map_or(OrderId::NONE, |it| it.order.order_id)
    }

    fn set_the_stage(&mut self) {
        let name = Name::from_text("N").expect("a name");
        for asset in [1, 2] {
            self.send(&CreateAsset { asset, scale: 0, reserved: [0; 3], name });
        }
        self.send(&CreateInstrument {
            quote_minor_per_tick_lot: 1,
            base_minor_per_lot: 1,
            instrument: 1,
            base_asset: 1,
            quote_asset: 2,
            name,
            ..CreateInstrument::default()
        });
        for account in [2, 3] {
            let account = AccountId(account);
            self.send(&CreateAccount { account, reserved: 0, name });
            for asset in [1, 2] {
                self.send(&Deposit { amount_minor: 1 << 40, reference: 0, account, asset });
            }
        }
    }
}

/// Half of the stops have the lower trigger: those go first, each group in the order in which it came.
fn cascade<M: StateMachine>(machine: M, stops: usize) {
    let mut play = Play::new(machine);
    play.set_the_stage();
    play.order(2, Side::Sell, 2 * stops as i64, 0);
    let mut ids = Vec::new();
    for number in 0..stops {
        let trigger = if number % 2 == 0 { 101 } else { 100 };
        ids.push((trigger, play.order(3, Side::Buy, 1, trigger)));
    }
    ids.sort_unstable();

    play.order(3, Side::Buy, 1, 0);
    let (mut triggered, mut trades) = (Vec::new(), 0);
    let mut commands = 0;
    loop {
        let now = play.all::<OrderTriggered>();
        // Two steps each, a trigger and a trade; what has begun ends.
        let most = FILLS_PER_COMMAND as usize / 2 + 1;
        assert!(now.len() <= most, "{} stops triggered by one command", now.len());
        triggered.extend(now.iter().map(|it| it.order_id));
        trades += play.all::<Trade>().len();
        if play.all::<TimeAdvanced>().first().is_some_and(|it| it.work_left == 0) {
            break;
        }
        commands += 1;
        assert!(commands < stops, "no end");
        play.send(&AdvanceTime::default());
    }
    assert_eq!(trades, stops + 1);
    assert!(commands >= 2 * stops / FILLS_PER_COMMAND as usize, "{commands} commands are too few");
    assert!(triggered.iter().eq(ids.iter().map(|(_, id)| id)), "in order of trigger and time");
}

fn limits(stops: usize) -> Limits {
    Limits { orders: stops as u32 + 10, fills_per_command: FILLS_PER_COMMAND, ..Limits::default() }
}

#[test]
fn a_thousand_stops_on_the_naive_exchange() {
    cascade(NaiveExchange::new(limits(1_000)), 1_000);
}

#[test]
fn ten_thousand_stops_on_the_fast_exchange() {
    let machine: Exchange = Exchange::new(limits(10_000)).expect("good limits");
    cascade(machine, 10_000);
}

/// The batch's events used to be as many as those of all its orders alone, which no buffer has room for.
fn batch_of_aggressors<M: StateMachine>(machine: M) {
    let mut play = Play::new(machine);
    play.set_the_stage();
    let lots = i64::from(FILLS_PER_COMMAND);
    for _ in 0..3 * FILLS_PER_COMMAND {
        play.order(2, Side::Sell, 1, 0);
    }
    let order = NewOrder {
        price_ticks: 101,
        quantity_lots: lots,
        account: AccountId(3),
        instrument: 1,
        side: Side::Buy.code(),
        order_type: OrderType::Limit.code(),
        time_in_force: TimeInForce::ImmediateOrCancel.code(),
        ..NewOrder::default()
    };
    play.batch(3, &NewExtendedOrder { order, terms: OrderTerms::default() });
    assert_eq!(play.all::<Trade>().len(), FILLS_PER_COMMAND as usize);
    let canceled = play.all::<OrderCanceled>();
    assert_eq!(canceled.len() as u32, MAX_LIST_ORDERS - 1);
    assert!(canceled.iter().all(|it| it.reason == CancelReason::FillLimit.code() && it.leaves_lots == lots));
    // The next command has as much as ever.
    play.send(&NewExtendedOrder { order, terms: OrderTerms::default() });
    assert_eq!(play.all::<Trade>().len(), FILLS_PER_COMMAND as usize);
}

#[test]
fn a_batch_takes_no_more_than_a_command_may() {
    let machine: Exchange = Exchange::new(limits(4_000)).expect("good limits");
    batch_of_aggressors(machine);
    batch_of_aggressors(NaiveExchange::new(limits(4_000)));
}
