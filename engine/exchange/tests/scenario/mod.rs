//! The language of the scenario files.
//!
//! One line is one command, or says what is expected of it. `#` begins a comment. Everything that a command brings about
//! must be expected, in order, by the words that matter; only what the setting of the stage answers may go unsaid.
//! Prices are in ticks (a whole unit of the quote asset), quantities in lots (a minor unit of the base asset).
//!
//! ```text
//! asset USD 2 | account alice | deposit alice USD 10.00 | instrument BTC/USD fees MAKER-PPM TAKER-PPM
//! buy OWNER LOTS @ PRICE|market|to-limit day|gtc|gtd +60s|ioc|fok|open|close [as ID] [on SYMBOL] [stp MODE]
//!     [stop PRICE last|best] [trail N ticks|bps last|best] [peg bid|ask|mid +N] [display N [vary N]] [hidden] [aon]
//!     [min N] [post-only reject|slide] [budget AMOUNT]
//! batch|oco|oto|bracket OWNER [ID], the orders line by line, end
//! cancel OWNER ID | replace OWNER ID LOTS @ PRICE|market [as ID] [trigger PRICE] [display N]
//! mass-cancel [of OWNER] [on SYMBOL] [buys|sells] [session G/S] [disconnected|operator] [as ID]
//! suspend|kill|resume OWNER | options OWNER [stp MODE] [fees-in-fee-asset] [rate N per 1s]
//! risk OWNER|everyone [lots N] [notional AMOUNT] [position N] [open N] [collar BPS]
//! rules [reference P] [min N] [max N] [round N] [min-notional A] [max-notional A] [static-band BPS] [dynamic-band BPS]
//!     [band-auction 30s] [collar BPS] [random-end 5s] [seed N] [fee-asset CODE PPM]
//! ticks FROM TICK, FROM TICK | tiers VOLUME MAKER TAKER, VOLUME MAKER TAKER
//! timetable [pre-open +1h] [opening +2h] [continuous +3h] [closing +9h] [closed +10h] [repeat 1d]
//! phase NAME [until +30s] | bust NUMBER | end-day SYMBOL | time +1s | advance [+1s] | session G/S
//! expect EVENT WORDS | expect nothing | expect balance OWNER ASSET AMOUNT [held AMOUNT] | expect position OWNER N
//! expect book|queue|hidden bid|ask ... | expect waiting ID ID | expect phase NAME
//! ```

mod describe;
mod enter;
mod expect;
pub mod machine;
mod set;
mod special;
mod words;

use std::collections::{BTreeMap, VecDeque};

use ::machine::{Body, Context, EventBuffer, Source, step};
use machine::Machine;
use protocol::{
    AccountId, ClientOrderId, CreateInstrument, ExtendedOrderAccepted, Limits, Name, NewExtendedOrder,
    OrderAccepted, OrderId, Side,
};
use testkit::RecordBytes;
use words::Words;

pub type Problem = String;

/// The time at which every file begins: midnight of a day long ago.
const BEGIN_NS: u64 = 10_000 * 86_400_000_000_000;

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

/// What happened, in words.
struct Happened {
    text: String,
    /// What the setting of the stage answers: may go unsaid.
    optional: bool,
}

/// A list whose orders are being told.
struct OpenList {
    list_type: u8,
    account: AccountId,
    /// Its owner's id of it.
    id: Option<ClientOrderId>,
    orders: Vec<NewExtendedOrder>,
}

/// One file being played.
pub struct Scenario<M> {
    limits: Limits,
    machine: Option<M>,
    names: Names,
    sequence: u64,
    now_ns: u64,
    source: Source,
    list: Option<OpenList>,
    /// What happened by the last command and has not been expected yet.
    happened: VecDeque<Happened>,
}

impl<M: Machine> Scenario<M> {
    pub fn new() -> Self {
        let limits = Limits {
            assets: 8,
            instruments: 8,
            accounts: 20,
            balances: 50,
            orders: 50,
            positions: 50,
            recent_client_ids: 50,
            ..Limits::default()
        };
        Self {
            limits,
            machine: None,
            names: Names::default(),
            sequence: 0,
            now_ns: BEGIN_NS,
            source: Source::default(),
            list: None,
            happened: VecDeque::new(),
        }
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
        self.happened.clear();
        match verb {
            "buy" => self.order(Side::Buy, &mut words),
            "sell" => self.order(Side::Sell, &mut words),
            "batch" | "oco" | "oto" | "bracket" => self.begin_list(verb, &mut words),
            "end" => self.end_list(),
            "cancel" => self.cancel(&mut words),
            "replace" => self.replace(&mut words),
            _ => self.set(verb, &mut words),
        }?;
        words.end()
    }

    /// Everything that happened must have been expected.
    pub fn finish(&mut self) -> Result<(), Problem> {
        match self.happened.iter().find(|happened| !happened.optional) {
            None => Ok(()),
            Some(event) => Err(format!("not expected: {}", event.text)),
        }
    }

    fn machine(&mut self) -> &mut M {
        self.machine.get_or_insert_with(|| M::create(self.limits))
    }

    fn context(&mut self) -> Context {
        self.sequence += 1;
        Context { sequence: self.sequence, timestamp_ns: self.now_ns, source: self.source }
    }

    fn send<T: Body>(&mut self, body: &T) {
        let command = RecordBytes::new(&self.context(), body);
        self.play(&command);
    }

    fn play(&mut self, command: &RecordBytes) {
        let machine = self.machine();
        let mut events = EventBuffer::with_capacity(machine.max_event_bytes());
        step(machine, command.record(), &mut events);
        machine.check();
        for event in events.records() {
            let extended = event.body_as::<ExtendedOrderAccepted>().map(|it| &it.order);
            if let Some(accepted) = event.body_as::<OrderAccepted>().or(extended) {
                let name = String::from_utf8_lossy(accepted.client_order_id.as_bytes_trimmed()).into_owned();
                self.names.orders.insert(name, accepted.order_id);
            }
            let (text, optional) = self.names.describe(event);
            self.happened.push_back(Happened { text, optional });
        }
    }
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
