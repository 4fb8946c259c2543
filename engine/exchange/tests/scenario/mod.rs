//! The language of the scenario files.

mod describe;
mod words;

use std::collections::{BTreeMap, VecDeque};

use exchange::Exchange;
use machine::{Body, Context, EventBuffer, StateMachine, step};
use protocol::{
    AccountId, CancelOrder, ClientOrderId, CreateAccount, CreateAsset, CreateInstrument, Deposit, EndDay,
    Limits, Name, NewOrder, OrderAccepted, OrderId, ReplaceOrder, Side, Withdraw,
};
use testkit::RecordBytes;
use words::{Words, amount_text};

pub type Problem = String;

/// An asset or account by name.
#[derive(Clone, Copy)]
pub struct Asset {
    pub id: u32,
    pub scale: u8,
}

/// What the names in the file stand for.
#[derive(Default)]
pub struct Names {
    pub assets: BTreeMap<String, Asset>,
    pub accounts: BTreeMap<String, AccountId>,
    pub instruments: BTreeMap<String, CreateInstrument>,
    /// Orders by the client order id they were entered with.
    pub orders: BTreeMap<String, OrderId>,
}

/// One file being played.
pub struct Scenario {
    limits: Limits,
    exchange: Option<Exchange>,
    names: Names,
    sequence: u64,
    /// What happened by the last command and has not been expected yet.
    happened: VecDeque<String>,
}

impl Scenario {
    pub fn new() -> Self {
        let limits =
            Limits { assets: 8, instruments: 8, accounts: 20, balances: 50, orders: 50, ..Limits::default() };
        Self { limits, exchange: None, names: Names::default(), sequence: 0, happened: VecDeque::new() }
    }

    /// Plays one line.
    pub fn line(&mut self, line: &str) -> Result<(), Problem> {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = Words::new(line);
        let Some(verb) = words.next() else { return Ok(()) };
        if verb == "expect" {
            return self.expect(line.trim().trim_start_matches("expect").trim());
        }
        self.finish()?;
        match verb {
            "limit" => self.limit(&mut words),
            "asset" => self.asset(&mut words),
            "account" => self.account(&mut words),
            "instrument" => self.instrument(&mut words),
            "deposit" | "withdraw" => self.money(verb, &mut words),
            "buy" => self.order(Side::Buy, &mut words),
            "sell" => self.order(Side::Sell, &mut words),
            "cancel" => self.cancel(&mut words),
            "replace" => self.replace(&mut words),
            "end-day" => {
                let instrument = self.names.instrument(words.need("an instrument")?)?.instrument;
                self.send(&EndDay { instrument, reserved: 0 });
                Ok(())
            }
            _ => Err(format!("no such line: `{verb}`")),
        }?;
        words.end()
    }

    /// Everything that happened must have been expected.
    pub fn finish(&mut self) -> Result<(), Problem> {
        match self.happened.front() {
            None => Ok(()),
            Some(event) => Err(format!("not expected: {event}")),
        }
    }

    fn exchange(&mut self) -> &mut Exchange {
        self.exchange.get_or_insert_with(|| Exchange::new(self.limits).expect("good limits"))
    }

    fn send<T: Body>(&mut self, body: &T) {
        self.sequence += 1;
        let context = Context { sequence: self.sequence, ..Context::default() };
        let command = RecordBytes::new(&context, body);
        let exchange = self.exchange();
        let mut events = EventBuffer::with_capacity(exchange.max_event_bytes());
        step(exchange, command.record(), &mut events);
        exchange.check_invariants();
        for event in events.records() {
            if let Some(accepted) = event.body_as::<OrderAccepted>() {
                let name = String::from_utf8_lossy(accepted.client_order_id.as_bytes_trimmed()).into_owned();
                self.names.orders.insert(name, accepted.order_id);
            }
            self.happened.extend(self.names.describe(event));
        }
    }

    fn limit(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let (field, value) = (words.need("a limit")?, words.number("its value")?);
        let place = match field {
            "orders" => &mut self.limits.orders,
            "fills" => &mut self.limits.fills_per_command,
            "balances" => &mut self.limits.balances,
            _ => return Err(format!("no such limit: {field}")),
        };
        *place = value as u32;
        Ok(())
    }

    fn asset(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let (code, scale) = (words.need("a code")?, words.number("decimal places")? as u8);
        let id = self.names.assets.len() as u32 + 1;
        self.names.assets.insert(code.to_owned(), Asset { id, scale });
        self.send(&CreateAsset { asset: id, scale, reserved: [0; 3], name: name(code)? });
        Ok(())
    }

    fn account(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let owner = words.need("an owner")?;
        let account = AccountId(self.names.accounts.len() as u32 + 2);
        self.names.accounts.insert(owner.to_owned(), account);
        self.send(&CreateAccount { account, reserved: 0, name: name(owner)? });
        Ok(())
    }

    /// `instrument BASE/QUOTE fees MAKER TAKER` (millionths): one lot is one unit of the base asset's smallest, one
    /// tick is one whole unit of the quote asset per lot.
    fn instrument(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let symbol = words.need("a symbol")?;
        words.literal("fees")?;
        let (base, quote) = symbol.split_once('/').ok_or("a symbol is BASE/QUOTE")?;
        let quote = self.names.asset(quote)?;
        let create = CreateInstrument {
            quote_minor_per_tick_lot: 10i64.pow(u32::from(quote.scale)),
            base_minor_per_lot: 1,
            instrument: self.names.instruments.len() as u32 + 1,
            base_asset: self.names.asset(base)?.id,
            quote_asset: quote.id,
            maker_fee_ppm: words.number("the maker's fee")? as u32,
            taker_fee_ppm: words.number("the taker's fee")? as u32,
            name: name(symbol)?,
            ..CreateInstrument::default()
        };
        self.names.instruments.insert(symbol.to_owned(), create);
        self.send(&create);
        Ok(())
    }

    fn money(&mut self, verb: &str, words: &mut Words<'_>) -> Result<(), Problem> {
        let account = self.names.account(words.need("an account")?)?;
        let asset = self.names.asset(words.need("an asset")?)?;
        let amount_minor = words.amount(asset.scale)?;
        if verb == "deposit" {
            self.send(&Deposit { amount_minor, reference: 0, account, asset: asset.id });
        } else {
            self.send(&Withdraw { amount_minor, reference: 0, account, asset: asset.id });
        }
        Ok(())
    }

    /// `buy OWNER LOTS @ PRICE|market TIME [on SYMBOL] [as ID] [stp MODE]`
    fn order(&mut self, side: Side, words: &mut Words<'_>) -> Result<(), Problem> {
        let account = self.names.account(words.need("an account")?)?;
        let quantity_lots = words.number("a quantity")?;
        words.literal("@")?;
        let price = words.need("a price")?;
        let (order_type, price_ticks) = match price {
            "market" => (1, 0),
            price => (2, price.parse().map_err(|_| format!("`{price}` is no price"))?),
        };
        let mut order = NewOrder {
            price_ticks,
            quantity_lots,
            account,
            instrument: 1,
            side: side.code(),
            order_type,
            time_in_force: words.time_in_force()?,
            ..NewOrder::default()
        };
        while let Some(word) = words.next() {
            match word {
                "on" => order.instrument = self.names.instrument(words.need("a symbol")?)?.instrument,
                "as" => order.client_order_id = client_order_id(words.need("an id")?)?,
                "stp" => order.self_trade_prevention = words.self_trade_prevention()?,
                other => return Err(format!("`{other}` makes no sense here")),
            }
        }
        self.send(&order);
        Ok(())
    }

    /// `cancel OWNER ID`
    fn cancel(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let account = self.names.account(words.need("an account")?)?;
        let order_id = self.names.order(words.need("an order")?)?;
        self.send(&CancelOrder { order_id, account, instrument: 1, ..CancelOrder::default() });
        Ok(())
    }

    /// `replace OWNER ID LOTS @ PRICE [as NEW-ID]`
    fn replace(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let account = self.names.account(words.need("an account")?)?;
        let order = words.need("an order")?;
        let order_id = self.names.order(order)?;
        let quantity_lots = words.number("a quantity")?;
        words.literal("@")?;
        let price_ticks = words.number("a price")?;
        let mut client_order_id = ClientOrderId::NONE;
        if let Some(word) = words.next() {
            if word != "as" {
                return Err(format!("`{word}` makes no sense here"));
            }
            let new = words.need("an id")?;
            client_order_id = self::client_order_id(new)?;
            self.names.orders.entry(new.to_owned()).or_insert(order_id);
        }
        let replace = ReplaceOrder {
            order_id,
            price_ticks,
            quantity_lots,
            account,
            instrument: 1,
            client_order_id,
            reserved: 0,
        };
        self.send(&replace);
        Ok(())
    }

    fn expect(&mut self, expected: &str) -> Result<(), Problem> {
        let mut words = Words::new(expected);
        match words.next() {
            Some("balance") => self.expect_balance(&mut words),
            Some("book") => self.expect_book(&mut words),
            Some("queue") => self.expect_queue(&mut words),
            _ => {
                let event = self.happened.pop_front().ok_or("nothing happened")?;
                if in_order(expected, &event) { Ok(()) } else { Err(format!("what happened: {event}")) }
            }
        }
    }

    /// `expect balance OWNER ASSET AMOUNT [held AMOUNT]`
    fn expect_balance(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let account = self.names.account(words.need("an account")?)?;
        let asset = self.names.asset(words.need("an asset")?)?;
        let balance = self.exchange().balance(account, asset.id);
        let text = |amount| amount_text(amount, asset.scale);
        let actual = format!("{} held {}", text(balance.balance_minor), text(balance.held_minor));
        let expected = words.rest();
        let full =
            if expected.contains("held") { expected.clone() } else { format!("{expected} held {}", text(0)) };
        if full == actual { Ok(()) } else { Err(format!("the balance is {actual}")) }
    }

    /// `expect book bid|ask PRICE x LOTS, PRICE x LOTS ...` best first, or `empty`.
    fn expect_book(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let side = side(words.need("bid or ask")?)?;
        let levels = self.exchange().levels(1, side);
        let levels: Vec<_> = levels.map(|it| format!("{} x {}", it.price_ticks, it.quantity_lots)).collect();
        let actual = if levels.is_empty() { "empty".to_owned() } else { levels.join(", ") };
        if words.rest() == actual { Ok(()) } else { Err(format!("the book is {actual}")) }
    }

    /// `expect queue bid|ask ID ID ...`: client order ids, best price first, oldest first.
    fn expect_queue(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let side = side(words.need("bid or ask")?)?;
        let orders = self.exchange().orders(1, side);
        let ids: Vec<_> = orders
            .map(|order| String::from_utf8_lossy(order.client_order_id.as_bytes_trimmed()).into_owned())
            .collect();
        if words.rest() == ids.join(" ") { Ok(()) } else { Err(format!("the queue is {}", ids.join(" "))) }
    }
}

/// Whether the words expected occur in the text in this order; words between them do not matter.
fn in_order(expected: &str, text: &str) -> bool {
    let mut words = text.split_whitespace();
    expected.split_whitespace().all(|expected| words.any(|word| word == expected))
}

fn side(word: &str) -> Result<Side, Problem> {
    match word {
        "bid" => Ok(Side::Buy),
        "ask" => Ok(Side::Sell),
        _ => Err(format!("`{word}` is neither bid nor ask")),
    }
}

fn name(text: &str) -> Result<Name, Problem> {
    Name::from_text(text).ok_or_else(|| format!("`{text}` is no name"))
}

fn client_order_id(text: &str) -> Result<ClientOrderId, Problem> {
    ClientOrderId::from_text(text.as_bytes()).ok_or_else(|| format!("`{text}` is no client order id"))
}
