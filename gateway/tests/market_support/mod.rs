//! Subscribers of market data that believe every message and nothing else.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;

use exchange::Exchange;
use gateway::dictionary::{Checker, Switches};
use gateway::fix::{FieldIndex, Version};
use gateway::{GatewayConfig, MarketSettings};
use protocol::{
    AccountId, AdvanceTime, CreateAccount, CreateAsset, CreateInstrument, Deposit, Limits, Name,
    NewExtendedOrder, NewOrder, OrderId, OrderTerms, ReplaceOrder, SetPhase, Side, term_flags,
};
use rand::Rng;
use rand::rngs::SmallRng;
use rust_decimal::Decimal;

use crate::support::{Client, Received, World, user};

pub const SYMBOLS: [(&str, u32); 2] = [("BTC/USD", 1), ("ETH/USD", 2)];
pub const SIDES: [(Side, &str); 2] = [(Side::Buy, "0"), (Side::Sell, "1")];

/// Settings for the exchange of [`World`].
pub fn settings() -> MarketSettings {
    MarketSettings::new(Limits { accounts: 10, orders: 1000, balances: 100, ..Limits::default() })
}

/// A world with market data, a second instrument, and four users; the market is made by accounts 2 and 3.
pub fn world(change: impl FnOnce(&mut GatewayConfig)) -> World {
    let mut world = World::with_config(|config| {
        // Accounts of their own, so that nobody gets reports of the orders that make the market.
        let accounts = [("ALICE", 6), ("BOB", 7), ("CAROL", 8), ("DAVE", 9)];
        config.users = accounts.map(|(name, account)| user(name, account)).into();
        config.market = Some(settings());
        change(config);
    });
    let name = |text| Name::from_text(text).unwrap();
    world.operate(&CreateAsset { asset: 3, scale: 6, name: name("ETH"), ..CreateAsset::default() });
    world.operate(&CreateInstrument {
        quote_minor_per_tick_lot: 50,
        base_minor_per_lot: 1_000,
        instrument: 2,
        base_asset: 3,
        quote_asset: 2,
        name: name("ETH/USD"),
        ..CreateInstrument::default()
    });
    for account in [2, 3].map(AccountId) {
        world.operate(&CreateAccount { account, name: name("maker"), ..CreateAccount::default() });
        for (asset, amount_minor) in [(1, 100 * 100_000_000), (2, 1_000_000 * 100_000)] {
            world.operate(&Deposit { amount_minor, account, asset, ..Deposit::default() });
        }
        world.operate(&Deposit { amount_minor: 1 << 40, account, asset: 3, ..Deposit::default() });
    }
    world
}

/// Logs on in a version.
pub fn log_on(world: &mut World, version: Version, name: &str) -> Client {
    let application = String::from_utf8(version.application_id().to_vec()).unwrap();
    let more = if version.is_fixt() { format!("1137={application}|") } else { String::new() };
    let (client, answer) = world.log_on_as(version, name, 1, &more);
    assert_eq!(answer[0].get(35), "A", "{answer:?}");
    client
}

/// Fails if a message is not right by the dictionary of its version.
pub fn check(version: Version, message: &Received) {
    let bytes = message.0.replace('|', "\x01");
    let mut index = FieldIndex::new();
    let parsed = index.parse(bytes.as_bytes()).unwrap();
    let problem = Checker::new(version).check(&parsed, &Switches::default());
    assert_eq!(problem, None, "{version:?} {message:?}");
}

/// Tags and values of a message.
pub fn fields(message: &Received) -> Vec<(u32, &str)> {
    let pairs = message.0.split('|').filter_map(|field| field.split_once('='));
    pairs.map(|(tag, value)| (tag.parse().unwrap(), value)).collect()
}

/// The entries of a 35=W or 35=X.
pub fn entries(message: &Received) -> Vec<BTreeMap<u32, &str>> {
    let first = if message.get(35) == "W" { 269 } else { 279 };
    let mut entries: Vec<BTreeMap<u32, &str>> = Vec::new();
    let fields = fields(message);
    let start = fields.iter().position(|it| it.0 == 268).unwrap() + 1;
    for &(tag, value) in &fields[start..fields.len() - 1] {
        if tag == first {
            entries.push(BTreeMap::new());
        }
        entries.last_mut().unwrap().insert(tag, value);
    }
    assert_eq!(entries.len().to_string(), message.get(268), "{message:?}");
    entries
}

/// The book of one symbol of one subscription, from its messages.
#[derive(Default)]
pub struct Book {
    /// Price, quantity, number of orders; by position.
    pub levels: [Vec<(Decimal, Decimal, u32)>; 2],
    /// The same by MDEntryID, or where a full refresh has none by its price.
    by_id: BTreeMap<String, (Decimal, Decimal)>,
    /// Price, OrderID, quantity; within a price in the order in which they came.
    pub orders: [Vec<(Decimal, String, Decimal)>; 2],
    /// By MDEntryType: price and quantity.
    pub figures: BTreeMap<String, (String, String)>,
    /// TradeID-like MDEntryIDs of trades that stand.
    pub trades: Vec<String>,
    pub report: u64,
    pub snapshots: usize,
    pub increments: usize,
}

fn number(entry: &BTreeMap<u32, &str>, tag: u32) -> Decimal {
    entry[&tag].parse().unwrap()
}

impl Book {
    fn id(symbol: &str, entry: &BTreeMap<u32, &str>) -> String {
        let instrument = SYMBOLS.iter().find(|it| it.0 == symbol).unwrap().1;
        let name = ["B", "S"][usize::from(entry[&269] == "1")];
        // As documented: a client can tell the id of a level that a full refresh gave without one.
        let ticks = number(entry, 270) / [Decimal::new(1, 2), Decimal::new(5, 1)][instrument as usize - 1];
        format!("{instrument}{name}{}", ticks.normalize())
    }

    fn full(&mut self, message: &Received, by_order: bool) {
        let symbol = message.get(55).to_owned();
        let (snapshots, increments) = (self.snapshots + 1, self.increments);
        *self = Self { snapshots, increments, ..Self::default() };
        for entry in entries(message) {
            self.report = entry.get(&83).map_or(self.report, |it| it.parse().unwrap());
            self.entry("0", &symbol, &entry, by_order);
        }
    }

    fn entry(&mut self, action: &str, symbol: &str, entry: &BTreeMap<u32, &str>, by_order: bool) {
        match entry[&269] {
            "J" => {}
            kind @ ("0" | "1") if by_order => self.order(action, usize::from(kind == "1"), entry),
            kind @ ("0" | "1") => self.level(action, usize::from(kind == "1"), symbol, entry),
            "2" => match action {
                "0" => self.trades.push(entry.get(&278).unwrap_or(&"").to_string()),
                _ => self.trades.retain(|id| id != entry[&278]),
            },
            kind => {
                let known = self.figures.contains_key(kind);
                assert_eq!(known, action != "0", "{action} {entry:?}");
                let value = |tag: u32| entry.get(&tag).unwrap_or(&"").to_string();
                match action {
                    "2" => drop(self.figures.remove(kind)),
                    _ => drop(self.figures.insert(kind.to_owned(), (value(270), value(271)))),
                }
            }
        }
    }

    fn level(&mut self, action: &str, side: usize, symbol: &str, entry: &BTreeMap<u32, &str>) {
        let id = Self::id(symbol, entry);
        assert!(entry.get(&278).is_none_or(|given| *given == id), "{id} {entry:?}");
        let (at, price) = (entry[&290].parse::<usize>().unwrap() - 1, number(entry, 270));
        let level = || (price, number(entry, 271), entry[&346].parse().unwrap());
        match action {
            "0" => {
                self.levels[side].insert(at, level());
                assert_eq!(self.by_id.insert(id, (price, level().1)), None);
            }
            "1" => {
                assert_eq!(self.levels[side][at].0, price);
                self.levels[side][at] = level();
                assert!(self.by_id.insert(id, (price, level().1)).is_some());
            }
            _ => {
                assert_eq!(self.levels[side].remove(at).0, price);
                assert!(self.by_id.remove(&id).is_some());
            }
        }
    }

    fn order(&mut self, action: &str, side: usize, entry: &BTreeMap<u32, &str>) {
        let (price, id) = (number(entry, 270), entry[&37].to_owned());
        assert!(entry.get(&278).is_none_or(|given| *given == id));
        let orders = &mut self.orders[side];
        let found = orders.iter().position(|it| it.1 == id);
        match (action, found) {
            ("0", None) => {
                let better = |it: &(Decimal, String, Decimal)| {
                    if side == 0 { it.0 >= price } else { it.0 <= price }
                };
                let behind = orders.partition_point(better);
                orders.insert(behind, (price, id, number(entry, 271)));
            }
            ("1", Some(at)) => orders[at].2 = number(entry, 271),
            ("2", Some(at)) => drop(orders.remove(at)),
            _ => panic!("{action} {entry:?}, which is at {found:?}"),
        }
    }
}

/// A session with its subscriptions.
pub struct Subscriber {
    pub client: Client,
    /// MDReqID, what was asked for, symbols.
    pub wants: Vec<(&'static str, Want)>,
    pub books: BTreeMap<(String, String), Book>,
    pub rejects: Vec<Received>,
}

#[derive(Clone, Copy)]
pub struct Want {
    pub depth: usize,
    pub by_order: bool,
    pub full_refresh: bool,
    pub entries: &'static [&'static str],
}

impl Want {
    pub fn fields(&self, id: &str) -> String {
        let kinds: String = self.entries.iter().map(|it| format!("|269={it}")).collect();
        format!(
            "262={id}|263=1|264={}|265={}|266={}|267={}{kinds}|146=2|55=BTC/USD|55=ETH/USD",
            self.depth,
            u8::from(!self.full_refresh),
            if self.by_order { "N" } else { "Y" },
            self.entries.len(),
        )
    }
}

impl Subscriber {
    pub fn new(world: &mut World, version: Version, name: &str, wants: &[(&'static str, Want)]) -> Self {
        let client = log_on(world, version, name);
        let wants = wants.to_vec();
        let mut subscriber = Self { client, wants, books: BTreeMap::new(), rejects: Vec::new() };
        for (id, want) in subscriber.wants.clone() {
            let answer = world.send(&mut subscriber.client, "V", &want.fields(id));
            subscriber.believe(&answer);
        }
        subscriber
    }

    pub fn believe(&mut self, messages: &[Received]) {
        for message in messages {
            check(self.client.version, message);
            match message.get(35) {
                "W" => {
                    let (id, want) = self.want(message);
                    let book = self.books.entry((id, message.get(55).to_owned())).or_default();
                    book.full(message, want.by_order);
                }
                "X" => self.increment(message),
                "Y" => self.rejects.push(message.clone()),
                _ => {}
            }
        }
    }

    fn want(&self, message: &Received) -> (String, Want) {
        let id = message.get(262);
        let want = self.wants.iter().find(|it| it.0 == id).unwrap_or_else(|| panic!("{message:?}"));
        (id.to_owned(), want.1)
    }

    fn increment(&mut self, message: &Received) {
        let (id, want) = self.want(message);
        assert!(!want.full_refresh, "{message:?}");
        let all = entries(message);
        assert!(!all.is_empty());
        let symbol = all[0][&55].to_owned();
        let book = self.books.get_mut(&(id, symbol.clone())).unwrap();
        book.increments += 1;
        if let Some(report) = all[0].get(&83) {
            book.report += 1;
            assert_eq!(report.parse(), Ok(book.report), "a gap: {message:?}");
        }
        for entry in &all {
            assert_eq!(entry[&55], symbol);
            book.entry(entry[&279], &symbol, entry, want.by_order);
        }
    }

    /// Compares all books with those that the exchange shows; those of full refreshes only when a duty cycle is over
    /// (`settled`).
    pub fn compare(&self, exchange: &Exchange, settled: bool) {
        for ((id, symbol), book) in &self.books {
            let want = self.wants.iter().find(|it| it.0 == id).unwrap().1;
            if want.full_refresh && !settled {
                continue;
            }
            let instrument = SYMBOLS.iter().find(|it| it.0 == symbol).unwrap().1;
            let (tick, lot) =
                [(Decimal::new(1, 2), Decimal::new(1, 3)), (Decimal::new(5, 1), Decimal::new(1, 3))]
                    [instrument as usize - 1];
            let price = |ticks: i64| Decimal::from(ticks) * tick;
            let quantity = |lots: i64| Decimal::from(lots) * lot;
            for (place, (side, kind)) in SIDES.into_iter().enumerate() {
                if !want.entries.contains(&kind) {
                    assert!(book.levels[place].is_empty() && book.orders[place].is_empty());
                } else if want.by_order {
                    let shown = exchange.orders(instrument, side).map(|it| {
                        let id = format!("{}-{}", it.order_id.sequence(), it.order_id.slot());
                        (price(it.price_ticks), id, quantity(it.leaves_lots - it.reserve_lots))
                    });
                    assert_eq!(book.orders[place], shown.collect::<Vec<_>>(), "{id} {symbol} {side:?}");
                } else {
                    let depth = if want.depth == 0 { usize::MAX } else { want.depth };
                    let shown = exchange.levels(instrument, side).take(depth);
                    let shown =
                        shown.map(|it| (price(it.price_ticks), quantity(it.quantity_lots), it.orders));
                    assert_eq!(book.levels[place], shown.collect::<Vec<_>>(), "{id} {symbol} {side:?}");
                }
            }
            let by_position = book.levels.iter().flatten().map(|it| (it.0, it.1));
            let (mut left, mut right): (Vec<_>, Vec<_>) =
                (by_position.collect(), book.by_id.values().copied().collect());
            left.sort_unstable();
            right.sort_unstable();
            assert_eq!(left, right, "by position and by id: {id} {symbol}");
        }
    }
}

/// One command of a random flow: orders of every type, cancels, replaces, phases and the time.
pub fn random_command(world: &mut World, random: &mut SmallRng) {
    let instrument = random.random_range(1..3);
    let (price_ticks, quantity_lots) = (random.random_range(95..106), random.random_range(1..50));
    let live: Vec<OrderId> = SIDES
        .into_iter()
        .flat_map(|(side, _)| world.exchange.orders(instrument, side).map(|order| order.order_id))
        .collect();
    let any = live.get(random.random_range(0..live.len().max(1))).copied().unwrap_or_default();
    let owner = world.exchange.order(any).map_or(AccountId(2), |order| order.account);
    let order = NewOrder {
        price_ticks,
        quantity_lots,
        account: AccountId(random.random_range(2..4)),
        instrument,
        side: random.random_range(1..3),
        order_type: 2,
        time_in_force: [0, 1, 1, 3, 4][random.random_range(0..5)],
        self_trade_prevention: random.random_range(0..5),
        ..NewOrder::default()
    };
    match random.random_range(0..100) {
        0..40 => world.operate(&order),
        40..48 => world.operate(&NewOrder { price_ticks: 0, order_type: 1, time_in_force: 3, ..order }),
        48..58 => world.operate(&protocol::CancelOrder {
            order_id: any,
            account: owner,
            instrument,
            ..protocol::CancelOrder::default()
        }),
        58..72 => world.operate(&ReplaceOrder {
            order_id: any,
            price_ticks: world
                .exchange
                .order(any)
                .filter(|_| random.random())
                .map_or(price_ticks, |order| order.price_ticks),
            quantity_lots,
            account: owner,
            instrument,
            ..ReplaceOrder::default()
        }),
        72..76 => {
            let phase = [0, 0, 0, 1, 2, 3, 4, 5, 6][random.random_range(0..9)];
            world.operate(&SetPhase { instrument, phase, ..SetPhase::default() });
        }
        76..82 => world.operate(&AdvanceTime::default()),
        _ => special_order(world, random, order),
    }
}

fn special_order(world: &mut World, random: &mut SmallRng, order: NewOrder) {
    let none = OrderTerms::default();
    let trigger_price_ticks = random.random_range(95..106);
    let (order_type, terms) = match random.random_range(0..7) {
        0..3 => (2, OrderTerms { display_lots: 4, display_variation_lots: 2, ..none }),
        3 => (2, OrderTerms { flags: term_flags::HIDDEN, ..none }),
        4 => (2, OrderTerms { flags: term_flags::ALL_OR_NONE, ..none }),
        5 => (4, OrderTerms { trigger: 1, trigger_price_ticks, ..none }),
        _ => (80, OrderTerms { peg: random.random_range(1..4), ..none }),
    };
    world.operate(&NewExtendedOrder { order: NewOrder { order_type, time_in_force: 1, ..order }, terms });
}
