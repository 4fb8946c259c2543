//! A stream over many instruments and accounts: 100 or 10,000 pairs, a million accounts, a million resting orders.
//!
//! Pairs are all combinations of as many base as quote assets. An account trades one pair and is funded in both of its
//! assets. Every pair's book has its share of the resting orders; commands come in the mix of the single-pair stream
//! (`workload.rs`), each on a pair drawn anew, so that hardly two commands in a row meet the same book or account.

use exchange::Exchange;
use machine::{Body, Context, EventBuffer, Record, StateMachine, step};
use protocol::{
    AccountId, AssetId, CancelOrder, ClientOrderId, CreateAccount, CreateAsset, CreateInstrument, Deposit,
    InstrumentId, Limits, NewOrder, OrderAccepted, OrderId, OrderType, PriceTicks, Rejected, ReplaceOrder,
    SelfTradePrevention, Side, TimeInForce, Trade,
};

use crate::exchange_driver::{Stream, name};
use crate::workload::Random;

/// What to generate.
#[derive(Clone, Copy, Debug)]
pub struct Market {
    /// Everything follows from it.
    pub seed: u64,
    /// Base assets, and as many quote assets: their square is the number of pairs.
    pub assets: u32,
    /// Accounts; a multiple of the pairs.
    pub accounts: u32,
    /// Resting orders to begin with and to aim at; a multiple of the pairs.
    pub resting: u32,
    /// Commands after the filling.
    pub commands: usize,
    /// Price levels of each book's ladder; 0 for the default.
    pub ladder_levels: u32,
}

/// Where the prices of every pair begin.
const CENTRE_TICKS: PriceTicks = 34_390;
/// How far from the last trade new orders are at most.
const WIDTH_TICKS: PriceTicks = 1_719;

impl Market {
    /// A million accounts and a million resting orders on so many pairs (a square number).
    #[must_use]
    pub fn million(pairs: u32, commands: usize) -> Self {
        let assets = pairs.isqrt();
        Self { seed: 1, assets, accounts: 1_000_000, resting: 1_000_000, commands, ladder_levels: 0 }
    }

    /// How many instruments there are.
    #[must_use]
    pub fn pairs(&self) -> u32 {
        self.assets * self.assets
    }

    /// Limits of an exchange that takes the stream.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            assets: 2 * self.assets,
            instruments: self.pairs(),
            accounts: self.accounts + AccountId::FIRST_CLIENT.0,
            balances: 2 * self.accounts + self.assets,
            // A new order needs a slot before it is known whether it will rest.
            orders: self.resting + self.resting / 16 + 1,
            positions: self.accounts,
            ..Limits::default()
        }
    }

    fn quote_asset(&self, pair: u32) -> AssetId {
        self.assets + 1 + pair % self.assets
    }

    fn base_asset(&self, pair: u32) -> AssetId {
        1 + pair / self.assets
    }

    /// The nth account of a pair.
    fn account(&self, pair: u32, nth: u32) -> AccountId {
        AccountId(AccountId::FIRST_CLIENT.0 + nth * self.pairs() + pair)
    }

    /// Creates the assets and the pairs.
    ///
    /// # Panics
    /// If the exchange rejects a command.
    pub fn stage(&self, exchange: &mut Exchange) -> Staged {
        self.stage_seen(exchange, &mut |_, _| {})
    }

    /// Plays all of it, the staging and then the stream, and shows each command with its events, until `seen` says that it
    /// is enough.
    ///
    /// # Panics
    /// If the exchange rejects a command.
    pub fn play(&self, exchange: &mut Exchange, seen: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Staged {
        let mut staged = self.stage_seen(exchange, &mut |command, events| _ = seen(command, events));
        self.go_on(&mut staged, exchange, seen);
        staged
    }

    /// Plays more of the stream.
    ///
    /// # Panics
    /// If the exchange rejects a command.
    pub fn go_on(
        &self,
        staged: &mut Staged,
        exchange: &mut Exchange,
        seen: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) {
        let mut unseen = |_: &[u8], _: &[u8]| {};
        let mut sender = Sender::new(exchange, &mut unseen);
        sender.sequence = staged.sequence;
        loop {
            let Some(change) = staged.draw(exchange) else { continue };
            match &change.command {
                Command::New(order) => sender.send(exchange, order),
                Command::Replace(replace) => sender.send(exchange, replace),
                Command::Cancel(cancel) => sender.send(exchange, cancel),
            }
            staged.learn(&change, &sender.events);
            staged.sequence = sender.sequence;
            if !seen(sender.command.bytes(), sender.events.bytes()) {
                return;
            }
        }
    }

    /// Creates the assets and the pairs alone.
    ///
    /// # Panics
    /// If the exchange rejects a command.
    pub fn create_pairs(&self, exchange: &mut Exchange) {
        self.create_pairs_seen(exchange, &mut |_, _| {});
    }

    fn create_pairs_seen<'a>(
        &self,
        exchange: &mut Exchange,
        seen: &'a mut dyn FnMut(&[u8], &[u8]),
    ) -> Sender<'a> {
        let mut sender = Sender::new(exchange, seen);
        for asset in 1..=2 * self.assets {
            let create = CreateAsset { asset, scale: 8, reserved: [0; 3], name: name("A") };
            sender.send(exchange, &create);
        }
        for pair in 0..self.pairs() {
            let create = CreateInstrument {
                quote_minor_per_tick_lot: 100,
                base_minor_per_lot: 100_000,
                instrument: pair + 1,
                base_asset: self.base_asset(pair),
                quote_asset: self.quote_asset(pair),
                maker_fee_ppm: 100,
                taker_fee_ppm: 250,
                ladder_levels: self.ladder_levels,
                name: name("A/B"),
                ..CreateInstrument::default()
            };
            sender.send(exchange, &create);
        }
        sender
    }

    fn stage_seen(&self, exchange: &mut Exchange, seen: &mut dyn FnMut(&[u8], &[u8])) -> Staged {
        let mut sender = self.create_pairs_seen(exchange, seen);
        for nth in 0..self.accounts / self.pairs() {
            for pair in 0..self.pairs() {
                let account = self.account(pair, nth);
                sender.send(exchange, &CreateAccount { account, reserved: 0, name: name("bench") });
                for asset in [self.base_asset(pair), self.quote_asset(pair)] {
                    let deposit = Deposit { amount_minor: 1 << 40, reference: 0, account, asset };
                    sender.send(exchange, &deposit);
                }
            }
        }
        self.fill(exchange, sender)
    }

    fn fill(&self, exchange: &mut Exchange, mut sender: Sender<'_>) -> Staged {
        let pairs = self.pairs() as usize;
        let mut draws = Draws { market: *self, random: Random::new(self.seed), client_ids: 0 };
        let mut books: Vec<Book> = Vec::with_capacity(pairs);
        books.resize_with(pairs, Book::default);
        for _ in 0..self.resting / self.pairs() {
            for pair in 0..self.pairs() {
                let order = draws.new_order(pair, CENTRE_TICKS, Kind::Rest);
                sender.send(exchange, &order);
                let accepted = sender.accepted().expect("an order that is far enough away rests");
                books[pair as usize].resting.push(Known::new(accepted, &order));
            }
        }
        Staged { sequence: sender.sequence, draws, books }
    }

    /// The stream that follows on [`Market::stage`], learned by playing it.
    ///
    /// # Panics
    /// If the exchange rejects a command.
    #[must_use]
    pub fn stream(&self) -> Stream {
        let mut exchange = Exchange::new(self.limits()).expect("good limits");
        let mut staged = self.stage(&mut exchange);
        let mut stream = Stream::after(staged.sequence);
        let mut events = EventBuffer::with_capacity(exchange.max_event_bytes());
        while stream.len() < self.commands {
            let Some(change) = staged.draw(&exchange) else { continue };
            match &change.command {
                Command::New(order) => stream.push(order),
                Command::Replace(replace) => stream.push(replace),
                Command::Cancel(cancel) => stream.push(cancel),
            }
            events.clear();
            step(&mut exchange, stream.get(stream.len() - 1), &mut events);
            staged.learn(&change, &events);
        }
        stream
    }
}

/// Sends commands that are made up on the way.
struct Sender<'a> {
    command: EventBuffer,
    events: EventBuffer,
    sequence: u64,
    seen: &'a mut dyn FnMut(&[u8], &[u8]),
}

impl<'a> Sender<'a> {
    fn new(exchange: &Exchange, seen: &'a mut dyn FnMut(&[u8], &[u8])) -> Self {
        let events = EventBuffer::with_capacity(exchange.max_event_bytes());
        Self { command: EventBuffer::with_capacity(1_024), events, sequence: 0, seen }
    }

    fn send<T: Body>(&mut self, exchange: &mut Exchange, body: &T) {
        self.sequence += 1;
        let (sequence, timestamp_ns) = (self.sequence, self.sequence * 1_000);
        self.command.clear();
        self.command.begin(&Context { sequence, timestamp_ns, ..Context::default() });
        self.command.push(body);
        self.events.clear();
        let record = Record::parse(self.command.bytes()).expect("it was built as a record");
        step(exchange, record, &mut self.events);
        let rejected = self.events.records().find_map(|event| event.body_as::<Rejected>().copied());
        assert_eq!(rejected, None, "there is no bad command");
        (self.seen)(self.command.bytes(), self.events.bytes());
    }

    fn accepted(&self) -> Option<OrderId> {
        let first = self.events.records().next()?;
        first.body_as::<OrderAccepted>().map(|accepted| accepted.order_id)
    }
}

/// The generator once the books are filled.
pub struct Staged {
    sequence: u64,
    draws: Draws,
    books: Vec<Book>,
}

#[derive(Default)]
struct Book {
    resting: Vec<Known>,
    last_ticks: Option<PriceTicks>,
}

/// A resting order as the generator knows it.
#[derive(Clone, Copy)]
struct Known {
    order_id: OrderId,
    account: AccountId,
    price_ticks: PriceTicks,
}

impl Known {
    fn new(order_id: OrderId, order: &NewOrder) -> Self {
        Self { order_id, account: order.account, price_ticks: order.price_ticks }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rest,
    ImmediateOrCancel,
    FillOrKill,
}

enum Command {
    New(NewOrder),
    Replace(ReplaceOrder),
    Cancel(CancelOrder),
}

/// A command and which of its pair's known orders it is about.
struct Change {
    pair: u32,
    command: Command,
    nth: usize,
}

struct Draws {
    market: Market,
    random: Random,
    client_ids: u64,
}

impl Draws {
    fn client_order_id(&mut self) -> ClientOrderId {
        self.client_ids += 1;
        let text = format!("20261123-{:08}", self.client_ids);
        ClientOrderId::from_text(text.as_bytes()).expect("short")
    }

    fn new_order(&mut self, pair: u32, last_ticks: PriceTicks, kind: Kind) -> NewOrder {
        let side = if self.random.below(2) == 0 { Side::Buy } else { Side::Sell };
        let width = WIDTH_TICKS;
        let away =
            (self.random.below(width) + self.random.below(width)) / 2 * self.random.below(width) / width;
        let sign = if side == Side::Buy { -1 } else { 1 };
        let (price_ticks, time_in_force) = match kind {
            Kind::Rest => (last_ticks + sign * (1 + away), TimeInForce::GoodTillCancel),
            Kind::ImmediateOrCancel => (CENTRE_TICKS - sign * width * 4, TimeInForce::ImmediateOrCancel),
            Kind::FillOrKill => (CENTRE_TICKS - sign * width * 4, TimeInForce::FillOrKill),
        };
        let accounts = i64::from(self.market.accounts / self.market.pairs());
        NewOrder {
            price_ticks: price_ticks.max(1),
            quantity_lots: self.random.quantity(),
            account: self.market.account(pair, self.random.below(accounts) as u32),
            instrument: pair + 1,
            client_order_id: self.client_order_id(),
            side: side.code(),
            order_type: OrderType::Limit.code(),
            time_in_force: time_in_force.code(),
            self_trade_prevention: SelfTradePrevention::Allow.code(),
        }
    }
}

impl Staged {
    /// The next command, or `None` if the order drawn has ended since.
    fn draw(&mut self, exchange: &Exchange) -> Option<Change> {
        let pair = self.draws.random.below(i64::from(self.draws.market.pairs())) as u32;
        let last_ticks = self.books[pair as usize].last_ticks.unwrap_or(CENTRE_TICKS);
        let dice = self.draws.random.below(10_000);
        if dice < 1_440 {
            let kind = if exchange.counts().orders < self.draws.market.resting {
                Kind::Rest
            } else if self.draws.random.below(31) == 0 {
                Kind::FillOrKill
            } else {
                Kind::ImmediateOrCancel
            };
            let order = self.draws.new_order(pair, last_ticks, kind);
            return Some(Change { pair, command: Command::New(order), nth: usize::MAX });
        }
        let book = &mut self.books[pair as usize];
        let choice = book.resting.len().clamp(1, 512);
        let nth = self.draws.random.below(choice as i64) as usize;
        let known = *book.resting.get(nth)?;
        let Some(live) = exchange.order(known.order_id) else {
            book.resting.swap_remove(nth);
            return None;
        };
        let instrument: InstrumentId = pair + 1;
        let cancel = CancelOrder {
            order_id: known.order_id,
            account: known.account,
            instrument,
            client_order_id: ClientOrderId::NONE,
            reserved: 0,
        };
        let replace = ReplaceOrder {
            order_id: known.order_id,
            price_ticks: known.price_ticks,
            quantity_lots: live.leaves_lots + live.filled_lots,
            account: known.account,
            instrument,
            client_order_id: ClientOrderId::NONE,
            reserved: 0,
        };
        let less_lots = self.draws.random.quantity();
        let command = match dice {
            ..2_160 => Command::Cancel(cancel),
            2_160..2_880 if less_lots >= live.leaves_lots => Command::Cancel(cancel),
            2_160..2_880 => {
                Command::Replace(ReplaceOrder { quantity_lots: replace.quantity_lots - less_lots, ..replace })
            }
            _ => {
                let away_ticks = last_ticks - known.price_ticks;
                let step_ticks = if away_ticks / 100 == 0 { away_ticks.signum() } else { away_ticks / 100 };
                Command::Replace(ReplaceOrder { price_ticks: known.price_ticks + step_ticks, ..replace })
            }
        };
        Some(Change { pair, command, nth })
    }

    /// Takes note of what a command has done.
    fn learn(&mut self, change: &Change, events: &EventBuffer) {
        let book = &mut self.books[change.pair as usize];
        match &change.command {
            Command::New(order) => {
                let first = events.records().next().expect("every command has an event");
                let accepted = first.body_as::<OrderAccepted>().expect("the stream has no bad command");
                if order.time_in_force == TimeInForce::GoodTillCancel.code() {
                    book.resting.push(Known::new(accepted.order_id, order));
                }
            }
            Command::Replace(replace) => {
                if let Some(known) = book.resting.get_mut(change.nth) {
                    known.price_ticks = replace.price_ticks;
                }
            }
            Command::Cancel(_) => {
                book.resting.swap_remove(change.nth);
            }
        }
        let traded = events.records().filter_map(|event| event.body_as::<Trade>().copied()).last();
        book.last_ticks = traded.map_or(book.last_ticks, |trade| Some(trade.price_ticks));
        let rejected = events.records().find_map(|event| event.body_as::<Rejected>().copied());
        assert_eq!(rejected, None, "the stream has no bad command");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_every_book_and_plays_again_as_it_was_learned() {
        let market = Market { accounts: 900, resting: 900, ..Market::million(9, 5_000) };
        let stream = market.stream();
        assert_eq!(stream.len(), 5_000);
        let mut exchange = Exchange::new(market.limits()).expect("good limits");
        market.stage(&mut exchange);
        assert_eq!((exchange.counts().instruments, exchange.counts().accounts), (9, 900));
        assert_eq!((exchange.counts().orders, exchange.counts().trades), (900, 0));
        let mut events = EventBuffer::with_capacity(1 << 20);
        for number in 0..stream.len() {
            events.clear();
            step(&mut exchange, stream.get(number), &mut events);
            let rejected = events.records().find_map(|event| event.body_as::<Rejected>().copied());
            assert_eq!(rejected, None, "command {number}");
        }
        let counts = exchange.counts();
        assert!((700..=900).contains(&counts.orders), "{counts:?}");
        assert!(counts.trades > 100, "{counts:?}");
        exchange.check_invariants();
    }
}
