//! House traders for a demonstration: makers that quote several levels around a fair price that walks at random, and
//! takers that hit them, so that the books live.
//!
//! Pure logic: [`House::on_event`] learns from events, [`House::on_timer`] decides. Equal seeds, events and times give
//! equal commands. All knowledge of own orders comes from events, so a house that is fed the events of an earlier run
//! adopts that run's orders; [`House::adopt`] does the same from a list.
//!
//! Bounds: a maker has at most `2 x levels` orders per instrument, and a new round starts only when every command of
//! the one before has been answered. After a rejection for want of funds or room the house rests for a second.

use std::collections::BTreeMap;

use machine::{Body, Record, Source};
use protocol::{
    AccountId, CancelOrder, ClientOrderId, EventKind, InstrumentId, MAX_PRICE_TICKS, NewOrder, OrderAccepted,
    OrderCanceled, OrderId, OrderReplaced, OrderType, PriceTicks, QuantityLots, RejectReason, Rejected,
    ReplaceOrder, SelfTradePrevention, Side, TimeInForce, Trade,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use zerocopy::IntoBytes;

/// Rest after a rejection that will not pass by itself at once.
const PAUSE_NS: u64 = 1_000_000_000;
/// An answer that has not come in this time is given up.
const ANSWER_TIMEOUT_NS: u64 = 5_000_000_000;

/// One instrument that the house trades.
#[derive(Clone, Copy, Debug)]
pub struct HouseInstrument {
    /// Which; must exist.
    pub instrument: InstrumentId,
    /// Where the fair price starts and is drawn back to; a trade seen in the events overrides the start.
    pub fair_ticks: PriceTicks,
    /// Ticks between two quotes of a side, and the size of the fair price's steps; at least 1.
    pub step_ticks: i64,
    /// Quantity of a quote; takers take up to twice as much. At least 1.
    pub quantity_lots: QuantityLots,
}

/// Who trades what, how often.
#[derive(Clone, Debug)]
pub struct HouseConfig {
    /// Of all that is random.
    pub seed: u64,
    /// The source that the house's commands carry; nobody else may use it.
    pub source: Source,
    /// Accounts that quote; they need funds in both assets.
    pub makers: Vec<AccountId>,
    /// Accounts that take; likewise.
    pub takers: Vec<AccountId>,
    /// Quotes of each maker on each side of each instrument.
    pub levels: usize,
    /// Time between two rounds of quoting.
    pub quote_interval_ns: u64,
    /// Time between two takers' orders, on average, over all instruments.
    pub take_interval_ns: u64,
    /// What they trade.
    pub instruments: Vec<HouseInstrument>,
}

/// A command that the house wants sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HouseCommand {
    /// A new order.
    New(NewOrder),
    /// A cancel.
    Cancel(CancelOrder),
    /// A replace.
    Replace(ReplaceOrder),
}

impl HouseCommand {
    /// Record kind.
    #[must_use]
    pub fn kind(&self) -> u16 {
        match self {
            Self::New(_) => NewOrder::KIND,
            Self::Cancel(_) => CancelOrder::KIND,
            Self::Replace(_) => ReplaceOrder::KIND,
        }
    }

    /// Record body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        match self {
            Self::New(body) => body.as_bytes(),
            Self::Cancel(body) => body.as_bytes(),
            Self::Replace(body) => body.as_bytes(),
        }
    }
}

/// A resting order of the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Which maker's.
    pub account: AccountId,
    /// On which instrument.
    pub instrument: InstrumentId,
    /// Side.
    pub side: Side,
    /// Limit price.
    pub price_ticks: PriceTicks,
    /// What is left of it.
    pub leaves_lots: QuantityLots,
    /// What has been filled of it.
    pub filled_lots: QuantityLots,
}

struct Fair {
    config: HouseInstrument,
    /// Now; `None` until the first round.
    ticks: Option<PriceTicks>,
    last_trade: Option<PriceTicks>,
    /// Net lots that the takers have bought; they lean against it.
    taken_lots: i64,
}

/// The traders.
pub struct House {
    config: HouseConfig,
    random: SmallRng,
    fairs: Vec<Fair>,
    /// By id, so that rounds go through them in one order.
    quotes: BTreeMap<OrderId, Quote>,
    /// The order that the current command brought in.
    incoming: Option<(OrderId, Quote)>,
    in_flight: u32,
    sent_ns: u64,
    paused_until_ns: u64,
    next_quote_ns: u64,
    next_take_ns: u64,
}

impl House {
    /// Traders without orders.
    #[must_use]
    pub fn new(config: HouseConfig) -> Self {
        let fair = |config: &HouseInstrument| Fair {
            config: HouseInstrument {
                step_ticks: config.step_ticks.max(1),
                quantity_lots: config.quantity_lots.max(1),
                ..*config
            },
            ticks: None,
            last_trade: None,
            taken_lots: 0,
        };
        Self {
            random: SmallRng::seed_from_u64(config.seed),
            fairs: config.instruments.iter().map(fair).collect(),
            config,
            quotes: BTreeMap::new(),
            incoming: None,
            in_flight: 0,
            sent_ns: 0,
            paused_until_ns: 0,
            next_quote_ns: 0,
            next_take_ns: 0,
        }
    }

    /// Orders that the house has in the books.
    #[must_use]
    pub fn live_orders(&self) -> usize {
        self.quotes.len()
    }

    /// The house's resting orders, by id.
    pub fn orders(&self) -> impl Iterator<Item = (OrderId, &Quote)> {
        self.quotes.iter().map(|(&order_id, quote)| (order_id, quote))
    }

    /// Makes an order found at the start the house's own; one of somebody else is ignored.
    pub fn adopt(&mut self, order_id: OrderId, quote: Quote) {
        if self.config.makers.contains(&quote.account) {
            self.quotes.insert(order_id, quote);
        }
    }

    /// Lets a fair price begin at the last trade found at the start.
    pub fn last_traded(&mut self, instrument: InstrumentId, price_ticks: PriceTicks) {
        if let Some(fair) = self.fairs.iter_mut().find(|fair| fair.config.instrument == instrument) {
            fair.last_trade = Some(price_ticks);
        }
    }

    /// Learns from one event. Give it every event in order, those of other sources and of earlier runs too.
    pub fn on_event(&mut self, event: Record<'_>) {
        match EventKind::from_code(event.header().kind) {
            Some(EventKind::OrderAccepted) => event.body_as().map_or((), |body| self.accepted(body)),
            Some(EventKind::OrderCanceled) => event.body_as().map_or((), |body| self.canceled(body)),
            Some(EventKind::OrderReplaced) => event.body_as().map_or((), |body| self.replaced(body)),
            Some(EventKind::Trade) => event.body_as().map_or((), |body| self.traded(body)),
            Some(EventKind::Rejected) => event.body_as().map_or((), |body| self.rejected(event, body)),
            _ => {}
        }
        if !event.is_last_event() {
            return;
        }
        if let Some((order_id, quote)) = self.incoming.take()
            && quote.leaves_lots > 0
        {
            self.quotes.insert(order_id, quote);
        }
        if event.header().source == self.config.source {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
    }

    fn accepted(&mut self, body: &OrderAccepted) {
        let Some(side) = Side::from_code(body.side) else { return };
        if !self.config.makers.contains(&body.account) {
            return;
        }
        let quote = Quote {
            account: body.account,
            instrument: body.instrument,
            side,
            price_ticks: body.price_ticks,
            leaves_lots: body.quantity_lots,
            filled_lots: 0,
        };
        self.incoming = Some((body.order_id, quote));
    }

    fn canceled(&mut self, body: &OrderCanceled) {
        self.quotes.remove(&body.order_id);
        self.incoming = self.incoming.filter(|(order_id, _)| *order_id != body.order_id);
    }

    fn replaced(&mut self, body: &OrderReplaced) {
        let Some(mut quote) = self.quotes.remove(&body.order_id) else { return };
        quote.price_ticks = body.price_ticks;
        quote.leaves_lots = body.leaves_lots;
        self.incoming = Some((body.order_id, quote));
    }

    fn traded(&mut self, body: &Trade) {
        if let Some(fair) = self.fairs.iter_mut().find(|fair| fair.config.instrument == body.instrument) {
            fair.last_trade = Some(body.price_ticks);
            if self.config.takers.contains(&body.taker_account) {
                let bought = body.taker_side == Side::Buy.code();
                let signed = if bought { body.quantity_lots } else { -body.quantity_lots };
                fair.taken_lots = fair.taken_lots.saturating_add(signed);
            }
        }
        if let Some(quote) = self.quotes.get_mut(&body.maker_order_id) {
            quote.leaves_lots = body.maker_leaves_lots;
            quote.filled_lots += body.quantity_lots;
            if quote.leaves_lots == 0 {
                self.quotes.remove(&body.maker_order_id);
            }
        }
        if let Some((order_id, quote)) = &mut self.incoming
            && *order_id == body.taker_order_id
        {
            quote.leaves_lots = body.taker_leaves_lots;
            quote.filled_lots += body.quantity_lots;
        }
    }

    /// An order that was filled before its replace or cancel arrived is everyday life; anything else needs a rest.
    fn rejected(&mut self, event: Record<'_>, body: &Rejected) {
        let everyday =
            [RejectReason::UnknownOrder, RejectReason::QuantityBelowFilled].map(RejectReason::code);
        if event.header().source == self.config.source && !everyday.contains(&body.reason) {
            self.paused_until_ns = event.header().timestamp_ns.saturating_add(PAUSE_NS);
        }
    }

    /// Decides. Call it some tens of times a second; `now_ns` is on the clock of the events' timestamps. `send` takes
    /// one command, or says `false` when it cannot, which ends the round.
    pub fn on_timer(&mut self, now_ns: u64, send: &mut dyn FnMut(&HouseCommand) -> bool) {
        if self.in_flight > 0 && now_ns.saturating_sub(self.sent_ns) > ANSWER_TIMEOUT_NS {
            self.in_flight = 0;
        }
        if self.in_flight > 0 || now_ns < self.paused_until_ns {
            return;
        }
        let mut commands = Vec::new();
        if now_ns >= self.next_quote_ns {
            self.next_quote_ns = now_ns.saturating_add(self.config.quote_interval_ns);
            for index in 0..self.fairs.len() {
                self.quote(index, &mut commands);
            }
        }
        if now_ns >= self.next_take_ns {
            let mean = self.config.take_interval_ns.max(1);
            let wait = self.random.random_range(mean / 2..=mean.saturating_add(mean / 2));
            self.next_take_ns = now_ns.saturating_add(wait);
            commands.extend(self.take());
        }
        for command in &commands {
            if !send(command) {
                return;
            }
            self.in_flight += 1;
            self.sent_ns = now_ns;
        }
    }

    /// Ticks from the fair price to a maker's outermost quote.
    fn reach(&self, step_ticks: i64) -> i64 {
        let quotes = (self.config.levels * self.config.makers.len().max(1)) as i64;
        step_ticks.saturating_mul(quotes + 1)
    }

    /// One step of the fair price: at random, but drawn back to its anchor.
    fn walk(&mut self, index: usize) -> Option<(PriceTicks, bool)> {
        let fair = self.fairs.get_mut(index)?;
        let HouseInstrument { fair_ticks: anchor, step_ticks, .. } = fair.config;
        let now = fair.ticks.or(fair.last_trade).unwrap_or(anchor);
        // One time in four toward the anchor, else either way or not at all.
        let direction = match self.random.random_range(0..8) {
            0 | 1 => (anchor - now).signum(),
            2 | 3 => 1,
            4 | 5 => -1,
            _ => 0,
        };
        let least = self.reach(step_ticks).saturating_add(1);
        let most = MAX_PRICE_TICKS.saturating_sub(least).max(least);
        let next = now.saturating_add(direction * step_ticks).clamp(least, most);
        self.fairs.get_mut(index)?.ticks = Some(next);
        Some((next, next > now))
    }

    /// Brings every maker's quotes on one instrument to where they belong.
    fn quote(&mut self, index: usize, commands: &mut Vec<HouseCommand>) {
        let Some((fair, rising)) = self.walk(index) else { return };
        // The side that moves away first, so that a maker does not run into its own quotes.
        let sides = if rising { [Side::Sell, Side::Buy] } else { [Side::Buy, Side::Sell] };
        for side in sides {
            for maker in 0..self.config.makers.len() {
                self.quote_side(index, maker, fair, side, commands);
            }
        }
    }

    fn quote_side(
        &self,
        index: usize,
        maker: usize,
        fair: PriceTicks,
        side: Side,
        commands: &mut Vec<HouseCommand>,
    ) {
        let (Some(of), Some(&account)) = (self.fairs.get(index), self.config.makers.get(maker)) else {
            return;
        };
        let HouseInstrument { instrument, step_ticks, quantity_lots, .. } = of.config;
        let makers = self.config.makers.len();
        let mut wanted: Vec<PriceTicks> = (0..self.config.levels)
            .map(|level| {
                let away = step_ticks.saturating_mul((level * makers + maker) as i64 + 1);
                if side == Side::Buy { fair - away } else { fair + away }
            })
            .filter(|price| (1..=MAX_PRICE_TICKS).contains(price))
            .collect();
        let mut misplaced = Vec::new();
        let own = self.quotes.iter().filter(|(_, quote)| {
            quote.account == account && quote.instrument == instrument && quote.side == side
        });
        for (&order_id, quote) in own {
            // What has been mostly filled is set up anew.
            let place = wanted.iter().position(|&price| price == quote.price_ticks);
            match place.filter(|_| quote.leaves_lots * 2 >= quantity_lots) {
                Some(place) => drop(wanted.remove(place)),
                None => misplaced.push((order_id, quote.filled_lots)),
            }
        }
        let mut wanted = wanted.into_iter();
        for (order_id, filled_lots) in misplaced {
            let client_order_id = ClientOrderId::NONE;
            commands.push(match wanted.next() {
                Some(price_ticks) => HouseCommand::Replace(ReplaceOrder {
                    order_id,
                    price_ticks,
                    quantity_lots: filled_lots.saturating_add(quantity_lots),
                    account,
                    instrument,
                    client_order_id,
                    reserved: 0,
                }),
                None => HouseCommand::Cancel(CancelOrder {
                    order_id,
                    account,
                    instrument,
                    client_order_id,
                    reserved: 0,
                }),
            });
        }
        let rests = TimeInForce::GoodTillCancel;
        commands.extend(wanted.map(|price| order(account, instrument, side, price, quantity_lots, rests)));
    }

    /// One taker's order: through the best quotes, more often against what the takers have gathered.
    fn take(&mut self) -> Option<HouseCommand> {
        if self.fairs.is_empty() || self.config.takers.is_empty() {
            return None;
        }
        let index = self.random.random_range(0..self.fairs.len());
        let taker = self.random.random_range(0..self.config.takers.len());
        let &account = self.config.takers.get(taker)?;
        let fair = self.fairs.get(index)?;
        let HouseInstrument { instrument, step_ticks, quantity_lots, .. } = fair.config;
        let (ticks, taken) = (fair.ticks?, fair.taken_lots);
        let lean = taken.signum() * if taken.abs() > quantity_lots.saturating_mul(10) { 4 } else { 1 };
        let side = if self.random.random_range(0..10) + lean < 5 { Side::Buy } else { Side::Sell };
        let quantity = self.random.random_range(1..=quantity_lots.saturating_mul(2));
        let reach = self.reach(step_ticks);
        let price = if side == Side::Buy { ticks.saturating_add(reach) } else { ticks - reach };
        let price = price.clamp(1, MAX_PRICE_TICKS);
        Some(order(account, instrument, side, price, quantity, TimeInForce::ImmediateOrCancel))
    }
}

fn order(
    account: AccountId,
    instrument: InstrumentId,
    side: Side,
    price_ticks: PriceTicks,
    quantity_lots: QuantityLots,
    time_in_force: TimeInForce,
) -> HouseCommand {
    HouseCommand::New(NewOrder {
        price_ticks,
        quantity_lots,
        account,
        instrument,
        client_order_id: ClientOrderId::NONE,
        side: side.code(),
        order_type: OrderType::Limit.code(),
        time_in_force: time_in_force.code(),
        // A maker's new quote replaces an old one that it would run into.
        self_trade_prevention: SelfTradePrevention::CancelOldest.code(),
    })
}
