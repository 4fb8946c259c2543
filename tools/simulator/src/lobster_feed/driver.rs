//! Message by message: what to send, and which rows each answer completes.

use std::collections::VecDeque;
use std::io::Read;

use marketdata::DepthBook;
use protocol::{
    AccountId, CancelOrder, ClientOrderId, CreateAccount, CreateAsset, CreateInstrument, Deposit,
    InstrumentId, Limits, Name, NewOrder, OrderType, ReplaceOrder, SelfTradePrevention, Side, TimeInForce,
};

use super::LobsterOptions;
use super::levels::{Index, Levels};
use super::report::{LobsterReport, first_difference};
use crate::lobster::{BookRow, Lines, LobsterMessage, MessageType};
use crate::{Answer, Answers, Client, FeedError, Venue};

/// Funds of the maker and of the taker, per asset, in minor units; together below `MAX_AMOUNT_MINOR`.
const MAKER_FUNDS: i64 = 1 << 61;
const TAKER_FUNDS: i64 = 1 << 60;
/// Decimal places of the dollar: one tick of 0.0001 on a lot of one share is one minor unit.
const DOLLAR_SCALE: u8 = 4;
/// Prices lie close together in these files: the widest ladder there is.
const LADDER_LEVELS: u32 = 65_536;

/// What a command is for.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    SetUp { kind: u16 },
    Rest { order: Index },
    Execute { order: Index, price: i64, size: i64 },
    Reduce,
}

/// A command's purpose, and the last row that its answer completes, if it completes any.
#[derive(Clone, Copy, Debug)]
struct Tag {
    purpose: Purpose,
    row: Option<u64>,
}

/// All that a feed knows besides its client.
struct State {
    levels: Levels,
    report: LobsterReport,
    instrument: InstrumentId,
    compare_levels: usize,
    follow_window: bool,
    executions_in_flight: u64,
    /// Rows whose message has been sent, to be compared once it has been answered.
    rows: VecDeque<(u64, Vec<Option<BookRow>>)>,
    set_up_rejected: Option<(&'static str, u16)>,
}

/// Replays a message file, and compares the book with every order book file given (any level counts; the first row of
/// the widest one is where the book starts). Each may be gzip or plain.
///
/// `limits` are those of the exchange behind `venue`; the default ones do for any file of one symbol.
///
/// # Errors
/// [`FeedError`] when an input cannot be read, the pipeline stops, or the set-up is rejected. Differences are no
/// error; see [`LobsterReport`].
pub fn run<'a, V: Venue>(
    venue: V,
    messages: impl Read + 'a,
    books: Vec<Box<dyn Read + 'a>>,
    limits: &Limits,
    options: LobsterOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<LobsterReport, FeedError> {
    let mut messages = Lines::new(messages)?;
    let mut books = books.into_iter().map(Lines::new).collect::<Result<Vec<_>, _>>()?;
    let mut feed = Feed::new(venue, limits, options, books.len())?;
    let mut row = 0;
    while let Some(message) = messages.next_message()? {
        let rows = books.iter_mut().map(Lines::next_row).collect::<Result<Vec<_>, _>>()?;
        *feed.state.report.messages.entry(message.message_type).or_default() += 1;
        // The first row is the book after the first message already.
        if row > 0 || !feed.seed(&rows)? {
            feed.message(&message)?;
        }
        feed.end_of_message(row, rows)?;
        row += 1;
        if row % 4_096 == 0 {
            progress(row);
        }
    }
    progress(row);
    let mut report = feed.finish()?;
    report.truncated_bytes = messages.truncated_bytes();
    for (comparison, lines) in report.books.iter_mut().zip(&books) {
        comparison.truncated_bytes = lines.truncated_bytes();
    }
    Ok(report)
}

struct Feed<V> {
    client: Client<V, Tag>,
    state: State,
    maker: AccountId,
    taker: AccountId,
}

impl<V: Venue> Feed<V> {
    fn new(venue: V, limits: &Limits, options: LobsterOptions, books: usize) -> Result<Self, FeedError> {
        let (maker, taker) = (options.first_account, AccountId(options.first_account.0.saturating_add(1)));
        let mut report = LobsterReport::default();
        report.books.resize_with(books, Default::default);
        let state = State {
            levels: Levels::default(),
            report,
            instrument: options.instrument,
            compare_levels: options.compare_levels,
            follow_window: options.follow_window,
            executions_in_flight: 0,
            rows: VecDeque::new(),
            set_up_rejected: None,
        };
        let mut feed = Self { client: Client::new(venue, limits, options.window), state, maker, taker };
        feed.create(&options)?;
        feed.client.drain(&mut feed.state)?;
        match feed.state.set_up_rejected {
            Some((reason, kind)) => Err(FeedError::SetUp { reason, kind }),
            None => Ok(feed),
        }
    }

    fn create(&mut self, options: &LobsterOptions) -> Result<(), FeedError> {
        let name = |text: &str| {
            Name::from_text(text).ok_or_else(|| {
                FeedError::Input(format!("{text:?} is no name: up to 12 printable characters, no spaces"))
            })
        };
        let (dollar, share) = (options.first_asset, options.first_asset.saturating_add(1));
        let assets = [(dollar, "USD", DOLLAR_SCALE), (share, options.symbol.as_str(), 0)];
        for (asset, text, scale) in assets {
            self.set_up(&CreateAsset { asset, scale, name: name(text)?, ..CreateAsset::default() })?;
        }
        self.set_up(&CreateInstrument {
            quote_minor_per_tick_lot: 1,
            base_minor_per_lot: 1,
            instrument: options.instrument,
            base_asset: share,
            quote_asset: dollar,
            ladder_levels: LADDER_LEVELS,
            name: name(&format!("{}/USD", options.symbol))?,
            ..CreateInstrument::default()
        })?;
        for (account, text, amount_minor) in
            [(self.maker, "maker", MAKER_FUNDS), (self.taker, "taker", TAKER_FUNDS)]
        {
            self.set_up(&CreateAccount { account, name: name(text)?, ..CreateAccount::default() })?;
            for asset in [dollar, share] {
                self.set_up(&Deposit { amount_minor, account, asset, ..Deposit::default() })?;
            }
        }
        Ok(())
    }

    fn set_up<B: machine::Body>(&mut self, body: &B) -> Result<(), FeedError> {
        self.send(body, Purpose::SetUp { kind: B::KIND })
    }

    fn send<B: machine::Body>(&mut self, body: &B, purpose: Purpose) -> Result<(), FeedError> {
        self.client.send(body, Tag { purpose, row: None }, &mut self.state)
    }

    /// Starts the book from the widest of the first rows; `false` if there is none.
    fn seed(&mut self, rows: &[Option<BookRow>]) -> Result<bool, FeedError> {
        let Some(widest) = rows.iter().flatten().max_by_key(|row| row.asks.len()) else { return Ok(false) };
        for side in [Side::Buy, Side::Sell] {
            for &(price, size) in widest.side(side).iter().flatten() {
                self.enter(side, price, size, None)?;
                self.state.report.seeded += 1;
            }
        }
        Ok(true)
    }

    /// Everything of one message has been sent: its row is due when the last of it has been answered.
    fn end_of_message(&mut self, row: u64, rows: Vec<Option<BookRow>>) -> Result<(), FeedError> {
        let published = if self.state.follow_window { rows.first().cloned().flatten() } else { None };
        self.state.rows.push_back((row, rows));
        match self.client.newest_mut() {
            Some(tag) => tag.row = Some(row),
            None => self.state.compare(row, self.client.depth()),
        }
        match published {
            Some(published) => self.follow(&published),
            None => Ok(()),
        }
    }

    fn message(&mut self, message: &LobsterMessage) -> Result<(), FeedError> {
        match message.message_type {
            MessageType::New => self.new_order(message),
            MessageType::PartialCancel | MessageType::Delete => self.reduce(message),
            MessageType::Execution => self.execute(message),
            MessageType::HiddenExecution | MessageType::Cross | MessageType::Halt => Ok(()),
        }
    }

    fn skip(&mut self, reason: &'static str) -> Result<(), FeedError> {
        *self.state.report.skipped.entry(reason).or_default() += 1;
        Ok(())
    }

    fn new_order(&mut self, message: &LobsterMessage) -> Result<(), FeedError> {
        let LobsterMessage { order_id, size, price, side, .. } = *message;
        if size <= 0 || price <= 0 {
            return self.skip("new order without size or price");
        }
        self.remove_contradicted(
            side.opposite(),
            price,
            true,
            "a new order rests where it would have traded",
        )?;
        self.enter(side, price, size, Some(order_id))
    }

    fn enter(&mut self, side: Side, price: i64, size: i64, file_id: Option<i64>) -> Result<(), FeedError> {
        let order = self.state.levels.add(side, price, size, file_id);
        let client_order_id = file_id.map(|file_id| ClientOrderId::from_text(file_id.to_string().as_bytes()));
        let body = NewOrder {
            price_ticks: price,
            quantity_lots: size,
            account: self.maker,
            instrument: self.state.instrument,
            client_order_id: client_order_id.flatten().unwrap_or_default(),
            side: side.code(),
            order_type: OrderType::Limit.code(),
            time_in_force: TimeInForce::GoodTillCancel.code(),
            self_trade_prevention: SelfTradePrevention::Allow.code(),
        };
        self.send(&body, Purpose::Rest { order })
    }

    fn reduce(&mut self, message: &LobsterMessage) -> Result<(), FeedError> {
        let LobsterMessage { order_id, size, price, side, .. } = *message;
        let Some(order) = self.state.levels.find(order_id, side, price) else {
            return self.skip("cancel of an order that was never in the file's levels");
        };
        self.settle_executions()?;
        let Some(known) = self.state.levels.get_mut(order) else { return Ok(()) };
        let quantity = size.clamp(0, known.file_leaves);
        known.file_leaves -= quantity;
        if quantity < size {
            *self.state.report.skipped.entry("part of a cancel: more than there is").or_default() += 1;
        }
        for (order, part) in self.state.levels.take(order, quantity) {
            self.reduce_order(order, part)?;
        }
        self.state.levels.forget_if_done(order);
        Ok(())
    }

    fn execute(&mut self, message: &LobsterMessage) -> Result<(), FeedError> {
        let LobsterMessage { order_id, size, price, side, .. } = *message;
        let Some(order) = self.state.levels.find(order_id, side, price) else {
            return self.skip("execution of an order that was never in the file's levels");
        };
        self.remove_contradicted(side, price, false, "an execution at a price behind it")?;
        let Some(known) = self.state.levels.get_mut(order) else { return Ok(()) };
        let size = size.clamp(0, known.file_leaves);
        known.file_leaves -= size;
        if size == 0 {
            return self.skip("execution without size");
        }
        self.state.report.executions += 1;
        self.state.executions_in_flight += 1;
        let body = NewOrder {
            price_ticks: price,
            quantity_lots: size,
            account: self.taker,
            instrument: self.state.instrument,
            client_order_id: ClientOrderId::NONE,
            side: side.opposite().code(),
            order_type: OrderType::Limit.code(),
            time_in_force: TimeInForce::ImmediateOrCancel.code(),
            self_trade_prevention: SelfTradePrevention::Allow.code(),
        };
        self.send(&body, Purpose::Execute { order, price, size })
    }

    /// Waits until what rests of each order is known.
    fn settle_executions(&mut self) -> Result<(), FeedError> {
        self.client.poll_until(&mut self.state, |_, state| state.executions_in_flight == 0)
    }

    /// Cancels orders that a message proves gone: those of `side` better than `price`, or as good with `equal`.
    fn remove_contradicted(
        &mut self,
        side: Side,
        price: i64,
        equal: bool,
        reason: &'static str,
    ) -> Result<(), FeedError> {
        if self.state.levels.better(side, price, equal).is_empty() {
            return Ok(());
        }
        // Executions in flight may have taken them already.
        self.settle_executions()?;
        for order in self.state.levels.better(side, price, equal) {
            self.remove(order)?;
            *self.state.report.removed.entry(reason).or_default() += 1;
        }
        Ok(())
    }

    /// Takes an order out of both views.
    fn remove(&mut self, order: Index) -> Result<(), FeedError> {
        let Some(known) = self.state.levels.get_mut(order) else { return Ok(()) };
        known.file_leaves = 0;
        let quantity = known.our_leaves;
        self.reduce_order(order, quantity)
    }

    /// Takes `quantity` off an order in the exchange; no execution may be in flight.
    fn reduce_order(&mut self, order: Index, quantity: i64) -> Result<(), FeedError> {
        let answered = |state: &State| {
            state.levels.get(order).is_none_or(|order| order.order_id.is_some() || order.rejected)
        };
        self.client.poll_until(&mut self.state, |_, state| answered(state))?;
        let Some(known) = self.state.levels.get_mut(order) else { return Ok(()) };
        let Some(order_id) = known.order_id.filter(|_| quantity > 0 && known.our_leaves > 0) else {
            return Ok(());
        };
        known.our_leaves -= quantity;
        let (price_ticks, quantity_lots, left) =
            (known.price, known.filled + known.our_leaves, known.our_leaves);
        self.state.levels.forget_if_done(order);
        let (account, instrument) = (self.maker, self.state.instrument);
        if left == 0 {
            let body = CancelOrder { order_id, account, instrument, ..CancelOrder::default() };
            return self.send(&body, Purpose::Reduce);
        }
        let client_order_id = ClientOrderId::NONE;
        let body = ReplaceOrder {
            order_id,
            price_ticks,
            quantity_lots,
            account,
            instrument,
            client_order_id,
            reserved: 0,
        };
        self.send(&body, Purpose::Reduce)
    }

    /// Sets the book to the published row, so that the next row checks one message only.
    fn follow(&mut self, published: &BookRow) -> Result<(), FeedError> {
        self.client.drain(&mut self.state)?;
        for side in [Side::Buy, Side::Sell] {
            let levels = published.side(side);
            for price in self.state.levels.prices(side) {
                let wanted =
                    levels.iter().flatten().find(|level| level.0 == price).map_or(0, |level| level.1);
                self.shrink_level(side, price, wanted)?;
            }
            for &(price, size) in levels.iter().flatten() {
                let missing = size - self.state.levels.total(side, price);
                if missing > 0 {
                    *self.state.report.followed.entry("levels that came into the window").or_default() += 1;
                    self.enter(side, price, missing, None)?;
                }
            }
        }
        self.client.drain(&mut self.state)
    }

    fn shrink_level(&mut self, side: Side, price: i64, wanted: i64) -> Result<(), FeedError> {
        let mut excess = self.state.levels.total(side, price) - wanted;
        if excess <= 0 {
            return Ok(());
        }
        *self.state.report.followed.entry("levels that left the window").or_default() += 1;
        for order in self.state.levels.at(side, price).into_iter().rev() {
            let Some(known) = self.state.levels.get_mut(order) else { continue };
            let part = known.our_leaves.min(excess);
            // A level that is gone is gone in both views, whoever owes whom.
            known.file_leaves = if wanted == 0 { 0 } else { (known.file_leaves - part).max(0) };
            excess -= part;
            self.reduce_order(order, part)?;
            self.state.levels.forget_if_done(order);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<LobsterReport, FeedError> {
        self.client.drain(&mut self.state)?;
        let mut report = self.state.report;
        report.commands = self.client.sent();
        let depth = self.client.depth();
        let count = |side| depth.orders(self.state.instrument, side).count() as u64;
        report.live_orders = count(Side::Buy) + count(Side::Sell);
        Ok(report)
    }
}

impl State {
    /// Compares every row up to this one with the book as it is now.
    fn compare(&mut self, through: u64, depth: &DepthBook) {
        let book = depth.book(self.instrument);
        while self.rows.front().is_some_and(|&(row, _)| row <= through) {
            let Some((row, published)) = self.rows.pop_front() else { break };
            for (published, comparison) in published.iter().zip(&mut self.report.books) {
                let Some(published) = published else { continue };
                let levels = published.asks.len().min(self.compare_levels);
                comparison.levels = levels;
                comparison.add(first_difference(row, published, book, levels, self.follow_window));
            }
        }
    }

    fn executed(&mut self, order: Index, price: i64, size: i64, answer: &Answer) {
        self.executions_in_flight -= 1;
        let mut traded = 0;
        let mut same_order = true;
        for trade in &answer.trades {
            let maker = self.levels.traded(trade.maker_order_id, trade.quantity_lots);
            same_order &= maker == Some(order);
            if trade.price_ticks == price {
                traded += trade.quantity_lots;
            }
        }
        self.levels.forget_if_done(order);
        self.report.executed_in_full += u64::from(traded == size);
        self.report.executed_same_order += u64::from(traded == size && same_order);
    }
}

impl Answers<Tag> for State {
    fn answered(&mut self, tag: Tag, answer: &Answer, depth: &DepthBook) {
        if let Some(reason) = answer.reject_name() {
            if let Purpose::SetUp { kind } = tag.purpose {
                self.set_up_rejected.get_or_insert((reason, kind));
            }
            *self.report.rejected.entry(reason).or_default() += 1;
        }
        match tag.purpose {
            Purpose::Rest { order } => self.levels.accepted(order, answer.accepted),
            Purpose::Execute { order, price, size } => self.executed(order, price, size, answer),
            Purpose::SetUp { .. } | Purpose::Reduce => {}
        }
        if let Some(row) = tag.row {
            self.compare(row, depth);
        }
    }
}
