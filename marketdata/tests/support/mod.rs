//! The real exchange under random commands, for the projection to follow.
#![allow(dead_code, reason = "each test binary uses its own part")]

use exchange::Exchange;
use machine::{
    Body, EventBuffer, HEADER_LENGTH, Projection, Record, RecordHeader, StateMachine, step, stride,
};
use marketdata::DepthBook;
use protocol::{
    AccountId, AdvanceTime, CancelOrder, CreateAccount, CreateAsset, CreateInstrument, Deposit, EndDay,
    Limits, Name, NewExtendedOrder, NewOrder, OrderId, OrderTerms, ReplaceOrder, SetPhase, Side, term_flags,
};
use rand::Rng;
use rand::rngs::SmallRng;
use zerocopy::IntoBytes;

/// An exchange with two instruments and three accounts, and all of its events.
pub struct Market {
    pub exchange: Exchange,
    events: EventBuffer,
    pub sequence: u64,
    /// All event bytes, for a second reading.
    pub all: Vec<u64>,
}

impl Market {
    pub fn new() -> Self {
        let limits = Limits { fills_per_command: 7, orders: 400, ..Limits::default() };
        let exchange = Exchange::new(limits).expect("limits in range");
        let events = EventBuffer::with_capacity(exchange.max_event_bytes());
        let mut market = Self { exchange, events, sequence: 0, all: Vec::new() };
        let name = |text: &str| Name::from_text(text).expect("a name");
        for (asset, text, scale) in [(1, "USD", 4), (2, "BTC", 8), (3, "ETH", 6)] {
            market.send(&CreateAsset { asset, scale, name: name(text), ..CreateAsset::default() });
        }
        for (instrument, text) in [(1, "BTC/USD"), (2, "ETH/USD")] {
            market.send(&CreateInstrument {
                quote_minor_per_tick_lot: 1,
                base_minor_per_lot: 100,
                instrument,
                base_asset: instrument + 1,
                quote_asset: 1,
                maker_fee_ppm: 100,
                taker_fee_ppm: 200,
                name: name(text),
                ..CreateInstrument::default()
            });
        }
        for account in [2, 3, 4].map(AccountId) {
            market.send(&CreateAccount { account, name: name("X"), ..CreateAccount::default() });
            for asset in [1, 2, 3] {
                market.send(&Deposit { amount_minor: 50_000_000_000, account, asset, ..Deposit::default() });
            }
        }
        market
    }

    pub fn send<B: Body>(&mut self, body: &B) {
        self.sequence += 1;
        let header = RecordHeader {
            length: (HEADER_LENGTH + size_of::<B>()) as u32,
            sequence: self.sequence,
            timestamp_ns: self.sequence * 1_000_000,
            kind: B::KIND,
            schema_version: 1,
            ..RecordHeader::default()
        };
        self.events.clear();
        step(&mut self.exchange, Record::from_parts(&header, body.as_bytes()), &mut self.events);
        let start = self.all.len();
        self.all.resize(start + self.events.bytes().len() / 8, 0);
        self.all[start..].as_mut_bytes().copy_from_slice(self.events.bytes());
    }

    pub fn random_command(&mut self, random: &mut SmallRng) {
        let (account, instrument) = (AccountId(random.random_range(2..5)), random.random_range(1..3));
        let (price_ticks, quantity_lots) = (random.random_range(95..106), random.random_range(1..50));
        let live: Vec<OrderId> = [Side::Buy, Side::Sell]
            .into_iter()
            .flat_map(|side| self.exchange.orders(instrument, side).map(|order| order.order_id))
            .collect();
        let any = live.get(random.random_range(0..live.len().max(1))).copied().unwrap_or_default();
        let account = self.exchange.order(any).map_or(account, |order| order.account);
        match random.random_range(0..100) {
            0..60 => {
                let market = random.random_range(0..10) == 0;
                let forces = if market { [3, 3, 3, 4] } else { [0, 1, 3, 4] };
                self.send(&NewOrder {
                    price_ticks: if market { 0 } else { price_ticks },
                    quantity_lots,
                    account: AccountId(random.random_range(2..5)),
                    instrument,
                    side: random.random_range(1..3),
                    order_type: if market { 1 } else { 2 },
                    time_in_force: forces[random.random_range(0..4)],
                    self_trade_prevention: random.random_range(0..4),
                    ..NewOrder::default()
                });
            }
            60..75 => {
                self.send(&CancelOrder { order_id: any, account, instrument, ..CancelOrder::default() })
            }
            75..99 => self.send(&ReplaceOrder {
                order_id: any,
                price_ticks: self
                    .exchange
                    .order(any)
                    .filter(|_| random.random())
                    .map_or(price_ticks, |order| order.price_ticks),
                quantity_lots,
                account,
                instrument,
                ..ReplaceOrder::default()
            }),
            _ => self.send(&EndDay { instrument, reserved: 0 }),
        }
    }

    /// An order that is shown in part, hidden, all or none, a stop or pegged; a change of phase; or the time.
    pub fn special_command(&mut self, random: &mut SmallRng) {
        let instrument = random.random_range(1..3);
        if random.random_range(0..12) == 0 {
            let phase = [0, 0, 0, 2, 3, 6][random.random_range(0..6)];
            return self.send(&SetPhase { instrument, phase, ..SetPhase::default() });
        }
        if random.random_range(0..8) == 0 {
            return self.send(&AdvanceTime::default());
        }
        let price_ticks = random.random_range(95..106);
        let quantity_lots = random.random_range(1..90);
        let none = OrderTerms::default();
        let (order_type, terms) = match random.random_range(0..6) {
            0..2 => (2, OrderTerms { display_lots: 9, display_variation_lots: 3, ..none }),
            2 => (2, OrderTerms { flags: term_flags::HIDDEN, ..none }),
            3 => (2, OrderTerms { flags: term_flags::ALL_OR_NONE, ..none }),
            4 => (4, OrderTerms { trigger: 1, trigger_price_ticks: random.random_range(95..106), ..none }),
            _ => (80, OrderTerms { peg: random.random_range(1..4), ..none }),
        };
        let order = NewOrder {
            price_ticks,
            quantity_lots,
            account: AccountId(random.random_range(2..5)),
            instrument,
            side: random.random_range(1..3),
            order_type,
            time_in_force: 1,
            self_trade_prevention: random.random_range(0..5),
            ..NewOrder::default()
        };
        self.send(&NewExtendedOrder { order, terms });
    }

    pub fn assert_equal(&self, depth: &DepthBook) {
        let mut shown = 0;
        for instrument in [1, 2] {
            let book = depth.book(instrument).expect("exists");
            assert_eq!(book.phase().phase, self.exchange.phase(instrument));
            for side in [Side::Buy, Side::Sell] {
                let theirs = self.exchange.levels(instrument, side);
                let theirs = theirs.map(|level| (level.price_ticks, level.quantity_lots, level.orders));
                let ours =
                    book.levels(side).map(|level| (level.price_ticks, level.quantity_lots, level.orders));
                assert!(ours.eq(theirs), "levels of {instrument} after {}", self.sequence);
                let theirs = self.exchange.orders(instrument, side);
                let theirs = theirs.map(|order| {
                    shown += 1;
                    (order.order_id, order.price_ticks, order.leaves_lots - order.reserve_lots)
                });
                let ours = depth.orders(instrument, side);
                let ours = ours.map(|order| (order.order_id, order.price_ticks, order.leaves_lots));
                assert!(ours.eq(theirs), "orders of {instrument} after {}", self.sequence);
            }
        }
        assert_eq!(depth.live_orders(), shown);
        assert!(shown + depth.extended_orders() >= self.exchange.counts().orders as usize);
        assert_eq!(depth.inconsistent_events(), 0);
        assert_eq!(depth.applied_sequence(), self.sequence);
    }
}

/// Folds event records; how many there were.
pub fn fold(depth: &mut DepthBook, words: &[u64]) -> u64 {
    let (mut rest, mut events) = (words.as_bytes(), 0);
    while !rest.is_empty() {
        let record = Record::parse(rest).expect("whole records");
        depth.apply(record);
        rest = &rest[stride(record.header().length as usize)..];
        events += 1;
    }
    events
}

/// Gives the event records of one command after the other to `take`.
pub fn each_command(words: &[u64], mut take: impl FnMut(&[u64])) {
    let (mut start, mut at) = (0, 0);
    while at < words.len() {
        let record = Record::parse(words[at..].as_bytes()).expect("whole records");
        at += stride(record.header().length as usize) / size_of::<u64>();
        if record.is_last_event() {
            take(&words[start..at]);
            start = at;
        }
    }
}
