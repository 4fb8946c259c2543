//! A stop that triggers thousands of others: bounded work per command, continued by the next, in order.

use exchange::Exchange;
use exchange::naive::NaiveExchange;
use machine::{Body, Context, EventBuffer, StateMachine, step};
use protocol::{
    AccountId, AdvanceTime, CreateAccount, CreateAsset, CreateInstrument, Deposit, ExtendedOrderAccepted,
    Limits, Name, NewExtendedOrder, NewOrder, OrderId, OrderTerms, OrderTriggered, OrderType, Side,
    TimeAdvanced, TimeInForce, Trade, TriggerSource,
};
use testkit::RecordBytes;

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
