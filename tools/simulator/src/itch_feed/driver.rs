//! Message by message: what to send, and what to expect of it.

use std::collections::HashMap;
use std::io::Read;

use protocol::{
    AccountId, AssetId, CancelOrder, ClientOrderId, CreateAccount, CreateAsset, CreateInstrument, Deposit,
    Limits, Name, NewOrder, OrderId, OrderType, ReplaceOrder, SelfTradePrevention, Side, TimeInForce,
};

use super::ItchOptions;
use super::report::{ItchReport, SymbolBook, side_of};
use super::state::{Expected, FileOrder, Standing, State, Symbol, Tag};
use crate::input::open;
use crate::itch::{Frames, Message, MessageError, Stock};
use crate::{Client, FeedError, Venue};

/// Funds of the maker and of the taker, per asset, in minor units: together below `MAX_AMOUNT_MINOR`, and a thousand
/// times what a day of the whole market moves.
const MAKER_FUNDS: i64 = 1 << 61;
const TAKER_FUNDS: i64 = 1 << 60;
/// Decimal places of the dollar: one tick of 0.0001 on a lot of one share is one minor unit.
const DOLLAR_SCALE: u8 = 4;

/// Replays a whole file, gzip or plain, and reports.
///
/// `limits` are those of the exchange behind `venue`; see [`super::Scan::required_limits`].
///
/// # Errors
/// [`FeedError`] when the input cannot be read, the pipeline stops, or the set-up is rejected. Differences are no
/// error: [`ItchReport::is_exact`].
pub fn run<V: Venue, R: Read>(
    venue: V,
    input: R,
    limits: &Limits,
    options: ItchOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<ItchReport, FeedError> {
    let mut frames = Frames::new(open(input)?);
    let mut feed = ItchFeed::new(venue, limits, options)?;
    let mut messages = 0;
    while let Some(frame) = frames.next_frame()? {
        feed.frame(frame)?;
        messages += 1;
        if messages % 4_096 == 0 {
            progress(messages);
        }
    }
    progress(messages);
    let mut report = feed.finish()?;
    report.end = frames.end();
    Ok(report)
}

/// A feed that takes messages one at a time.
pub struct ItchFeed<V> {
    client: Client<V, Tag>,
    state: State,
    options: ItchOptions,
    taker: AccountId,
    /// Number of the current message, from 1.
    message: u64,
}

impl<V: Venue> ItchFeed<V> {
    /// Creates the dollar and the two accounts.
    ///
    /// # Errors
    /// As [`run`].
    pub fn new(venue: V, limits: &Limits, options: ItchOptions) -> Result<Self, FeedError> {
        let maker = options.first_account;
        let mut feed = Self {
            client: Client::new(venue, limits, options.window),
            state: State {
                report: ItchReport::default(),
                orders: HashMap::new(),
                symbols: Vec::new(),
                by_stock: HashMap::new(),
                maker,
                set_up_rejected: None,
            },
            options,
            taker: AccountId(maker.0 + 1),
            message: 0,
        };
        feed.create_asset(options.first_asset, "USD", DOLLAR_SCALE)?;
        for (account, name) in [(maker, "maker"), (feed.taker, "taker")] {
            let name = Name::from_text(name).unwrap_or_default();
            feed.set_up(&CreateAccount { account, name, ..CreateAccount::default() })?;
        }
        feed.fund(options.first_asset)?;
        feed.check_set_up()?;
        Ok(feed)
    }

    /// Takes one message, without its length prefix.
    ///
    /// # Errors
    /// As [`run`]; a message that is malformed is counted.
    pub fn frame(&mut self, frame: &[u8]) -> Result<(), FeedError> {
        self.message += 1;
        let report = &mut self.state.report;
        let message = match Message::parse(frame) {
            Ok(message) => message,
            Err(MessageError::WrongLength { kind, .. }) => {
                *report.wrong_lengths.entry(kind.into()).or_default() += 1;
                return Ok(());
            }
            Err(MessageError::UnknownType(kind)) => {
                *report.unknown_types.entry(kind.into()).or_default() += 1;
                return Ok(());
            }
            Err(MessageError::Empty) => return Ok(()),
        };
        *report.messages.entry(message.kind().into()).or_default() += 1;
        match message {
            Message::StockDirectory(directory) => self.symbol(directory.stock).map(|_| ()),
            Message::AddOrder(add) => self.add(add.reference, add.stock, add.side, add.shares, add.price),
            Message::AddOrderAttributed(add) => {
                self.add(add.reference, add.stock, add.side, add.shares, add.price)
            }
            Message::OrderExecuted(executed) => self.execute(executed.reference, executed.shares),
            Message::OrderExecutedWithPrice(executed) => {
                self.reduce('C', executed.reference, executed.shares)
            }
            Message::OrderCancel(cancel) => self.reduce('X', cancel.reference, cancel.shares),
            Message::OrderDelete(delete) => self.delete(delete.reference),
            Message::OrderReplace(replace) => {
                self.replace(replace.reference, replace.new_reference, replace.shares, replace.price)
            }
            _ => Ok(()),
        }
    }

    /// Waits for the last answers and compares the books.
    ///
    /// # Errors
    /// As [`run`].
    pub fn finish(mut self) -> Result<ItchReport, FeedError> {
        self.client.drain(&mut self.state)?;
        self.check_set_up()?;
        self.compare_orders();
        let mut report = self.state.report;
        let depth = self.client.depth();
        for symbol in &self.state.symbols {
            let orders = |side| {
                depth
                    .orders(symbol.instrument, side)
                    .filter(|order| order.account == self.state.maker)
                    .count()
            };
            let book = depth.book(symbol.instrument);
            let best = |side| book.and_then(|book| book.best(side));
            report.books.push(SymbolBook {
                symbol: symbol.stock.to_string(),
                instrument: symbol.instrument,
                bid: best(Side::Buy),
                ask: best(Side::Sell),
                live_orders: (orders(Side::Buy) + orders(Side::Sell)) as u64,
            });
        }
        report.live_orders = report.books.iter().map(|book| book.live_orders).sum();
        report.commands = self.client.sent();
        Ok(report)
    }

    /// Each order that the file has left must rest with just that quantity and price.
    fn compare_orders(&mut self) {
        let mut references: Vec<u64> = self.state.orders.keys().copied().collect();
        references.sort_unstable();
        self.state.report.file_live_orders = references.len() as u64;
        for reference in references {
            let Some(order) = self.state.orders.get(&reference) else { continue };
            let found = match order.standing {
                Standing::Live(order_id) => self.client.depth().order(order_id),
                Standing::Parked => {
                    self.state.report.parked_at_end += 1;
                    continue;
                }
                Standing::Sent | Standing::Rejected => None,
            };
            let same = found.is_some_and(|found| {
                found.leaves_lots == i64::from(order.leaves) && found.price_ticks == i64::from(order.price)
            });
            if !same {
                let expected = format!("order {reference} rests with {} at {}", order.leaves, order.price);
                self.state.report.differs(0, expected, format!("{found:?}"));
            }
        }
    }

    fn send<B: machine::Body>(&mut self, body: &B, expected: Expected) -> Result<(), FeedError> {
        self.client.send(body, Tag { message: self.message, expected }, &mut self.state)
    }

    fn set_up<B: machine::Body>(&mut self, body: &B) -> Result<(), FeedError> {
        self.send(body, Expected::SetUp { kind: B::KIND })
    }

    fn check_set_up(&mut self) -> Result<(), FeedError> {
        if let Some((reason, kind)) = self.state.set_up_rejected {
            return Err(FeedError::SetUp { reason, kind });
        }
        Ok(())
    }

    fn create_asset(&mut self, asset: AssetId, name: &str, scale: u8) -> Result<(), FeedError> {
        let name =
            Name::from_text(name).or_else(|| Name::from_text(&format!("asset-{asset}"))).unwrap_or_default();
        self.set_up(&CreateAsset { asset, scale, name, ..CreateAsset::default() })
    }

    fn fund(&mut self, asset: AssetId) -> Result<(), FeedError> {
        for (account, amount_minor) in [(self.state.maker, MAKER_FUNDS), (self.taker, TAKER_FUNDS)] {
            self.set_up(&Deposit { amount_minor, account, asset, ..Deposit::default() })?;
        }
        Ok(())
    }

    /// The index of a symbol; the first time its asset, instrument and funds are created.
    fn symbol(&mut self, stock: Stock) -> Result<usize, FeedError> {
        if let Some(&index) = self.state.by_stock.get(&stock) {
            return Ok(index);
        }
        let index = self.state.symbols.len();
        // A file has at most 2^32 messages of 39 bytes before this wraps, which no exchange's limits allow.
        let number = u32::try_from(index).map_err(|_| FeedError::Input("too many symbols".to_owned()))?;
        let base_asset = self.options.first_asset.saturating_add(1).saturating_add(number);
        let instrument = self.options.first_instrument.saturating_add(number);
        self.create_asset(base_asset, &stock.to_string(), 0)?;
        let name = Name::from_text(&format!("{stock}/USD"));
        let name = name.or_else(|| Name::from_text(&format!("stock-{number}"))).unwrap_or_default();
        self.set_up(&CreateInstrument {
            quote_minor_per_tick_lot: 1,
            base_minor_per_lot: 1,
            instrument,
            base_asset,
            quote_asset: self.options.first_asset,
            ladder_levels: self.options.ladder_levels,
            name,
            ..CreateInstrument::default()
        })?;
        self.fund(base_asset)?;
        self.check_set_up()?;
        self.state.symbols.push(Symbol::new(stock, instrument));
        self.state.by_stock.insert(stock, index);
        Ok(index)
    }

    fn add(
        &mut self,
        reference: u64,
        stock: Stock,
        side: u8,
        shares: u32,
        price: u32,
    ) -> Result<(), FeedError> {
        let Some(side) = side_of(side) else {
            self.state.report.skip("add whose side is neither B nor S");
            return Ok(());
        };
        if shares == 0 || price == 0 {
            self.state.report.skip("add without shares or price");
            return Ok(());
        }
        if self.state.orders.contains_key(&reference) {
            self.state.report.skip("add of a reference that is live already");
            return Ok(());
        }
        let symbol = self.symbol(stock)?;
        let order = FileOrder { symbol, side, price, leaves: shares, filled: 0, standing: Standing::Parked };
        self.state.orders.insert(reference, order);
        self.enter_or_park(reference)
    }

    /// Sends an order that is not at the exchange yet, unless it would trade on entry.
    fn enter_or_park(&mut self, reference: u64) -> Result<(), FeedError> {
        let Some(&order) = self.state.orders.get(&reference) else { return Ok(()) };
        let Some(symbol) = self.state.symbols.get_mut(order.symbol) else { return Ok(()) };
        if symbol.crosses(order.side, order.price) {
            symbol.parked.push(reference);
            self.state.report.parked += 1;
            return Ok(());
        }
        self.enter(reference, order)
    }

    fn enter(&mut self, reference: u64, order: FileOrder) -> Result<(), FeedError> {
        let Some(symbol) = self.state.symbols.get_mut(order.symbol) else { return Ok(()) };
        symbol.add(order.side, order.price, order.leaves);
        let body = NewOrder {
            price_ticks: order.price.into(),
            quantity_lots: order.leaves.into(),
            account: self.state.maker,
            instrument: symbol.instrument,
            client_order_id: client_order_id(reference),
            side: order.side.code(),
            order_type: OrderType::Limit.code(),
            time_in_force: TimeInForce::GoodTillCancel.code(),
            self_trade_prevention: SelfTradePrevention::Allow.code(),
        };
        if let Some(order) = self.state.orders.get_mut(&reference) {
            order.standing = Standing::Sent;
        }
        self.send(&body, Expected::Rests { reference })
    }

    /// The order of a reference with its id at the exchange, once that is known. `None` for a reference that the
    /// file does not add; counted.
    fn known(
        &mut self,
        kind: char,
        reference: u64,
    ) -> Result<Option<(FileOrder, Option<OrderId>)>, FeedError> {
        if self.state.standing(reference) == Some(Standing::Sent) {
            self.client
                .poll_until(&mut self.state, |_, state| state.standing(reference) != Some(Standing::Sent))?;
        }
        let Some(&order) = self.state.orders.get(&reference) else {
            self.state.report.skip(format!("{kind} of an order older than the file"));
            return Ok(None);
        };
        let order_id = match order.standing {
            Standing::Live(order_id) => Some(order_id),
            Standing::Parked | Standing::Sent => None,
            Standing::Rejected => {
                self.state.report.skip(format!("{kind} of an order that was rejected"));
                return Ok(None);
            }
        };
        Ok(Some((order, order_id)))
    }

    /// Takes shares off an order in the file's own view; gone when nothing is left.
    fn shrink(&mut self, reference: u64, order: FileOrder, shares: u32, filled: u32) {
        let leaves = order.leaves.saturating_sub(shares);
        if order.standing != Standing::Parked
            && let Some(symbol) = self.state.symbols.get_mut(order.symbol)
        {
            symbol.remove(order.side, order.price, shares);
        }
        if leaves == 0 {
            self.state.orders.remove(&reference);
        } else if let Some(order) = self.state.orders.get_mut(&reference) {
            order.leaves = leaves;
            order.filled += i64::from(filled);
        }
    }

    /// `E`: the opposite side comes in with an IOC and must hit exactly this order.
    fn execute(&mut self, reference: u64, shares: u32) -> Result<(), FeedError> {
        let Some((order, order_id)) = self.known('E', reference)? else { return Ok(()) };
        let shares = self.at_most_leaves('E', order, shares);
        if shares == 0 {
            return Ok(());
        }
        let Some(order_id) = order_id else {
            self.state.report.skip("E of a parked order");
            self.shrink(reference, order, shares, 0);
            return Ok(());
        };
        self.shrink(reference, order, shares, shares);
        self.state.report.executions_known += 1;
        let body = NewOrder {
            price_ticks: order.price.into(),
            quantity_lots: shares.into(),
            account: self.taker,
            instrument: self.instrument(order),
            client_order_id: ClientOrderId::NONE,
            side: order.side.opposite().code(),
            order_type: OrderType::Limit.code(),
            time_in_force: TimeInForce::ImmediateOrCancel.code(),
            self_trade_prevention: SelfTradePrevention::Allow.code(),
        };
        self.send(&body, Expected::Executed { order_id, price: order.price, shares })?;
        self.release(order.symbol)
    }

    /// `X` and `C`: the displayed order shrinks and keeps its place.
    fn reduce(&mut self, kind: char, reference: u64, shares: u32) -> Result<(), FeedError> {
        let Some((order, order_id)) = self.known(kind, reference)? else { return Ok(()) };
        let shares = self.at_most_leaves(kind, order, shares);
        if shares == 0 {
            return Ok(());
        }
        self.shrink(reference, order, shares, 0);
        let Some(order_id) = order_id else { return Ok(()) };
        let leaves = order.leaves - shares;
        if leaves == 0 {
            self.cancel(order, order_id, order.leaves)?;
        } else {
            let expected = Expected::Replaced { leaves, kept: true };
            self.send_replace(order, order_id, order.price, leaves, ClientOrderId::NONE, expected)?;
        }
        self.release(order.symbol)
    }

    fn delete(&mut self, reference: u64) -> Result<(), FeedError> {
        let Some((order, order_id)) = self.known('D', reference)? else { return Ok(()) };
        self.shrink(reference, order, order.leaves, 0);
        let Some(order_id) = order_id else { return Ok(()) };
        self.cancel(order, order_id, order.leaves)?;
        self.release(order.symbol)
    }

    /// `U`: a new reference, price and size; always at the end of its queue.
    fn replace(&mut self, old: u64, new: u64, shares: u32, price: u32) -> Result<(), FeedError> {
        let Some((order, order_id)) = self.known('U', old)? else { return Ok(()) };
        if shares == 0 || price == 0 || (new != old && self.state.orders.contains_key(&new)) {
            self.state.report.skip("U without shares or price, or to a reference that is live already");
            return Ok(());
        }
        self.shrink(old, order, order.leaves, 0);
        let mut next = FileOrder { price, leaves: shares, filled: 0, standing: Standing::Parked, ..order };
        let crosses =
            self.state.symbols.get(order.symbol).is_some_and(|symbol| symbol.crosses(order.side, price));
        let keeps_place = price == order.price && shares < order.leaves;
        if let Some(order_id) = order_id.filter(|_| !crosses && !keeps_place) {
            next.standing = Standing::Live(order_id);
            next.filled = order.filled;
            self.state.orders.insert(new, next);
            if let Some(symbol) = self.state.symbols.get_mut(order.symbol) {
                symbol.add(order.side, price, shares);
            }
            let expected = Expected::Replaced { leaves: shares, kept: false };
            self.send_replace(order, order_id, price, shares, client_order_id(new), expected)?;
        } else {
            if let Some(order_id) = order_id {
                self.cancel(order, order_id, order.leaves)?;
            }
            self.state.orders.insert(new, next);
            self.enter_or_park(new)?;
        }
        self.release(order.symbol)
    }

    fn at_most_leaves(&mut self, kind: char, order: FileOrder, shares: u32) -> u32 {
        if shares > order.leaves {
            self.state.report.skip(format!("part of {kind}: more shares than the order has"));
        } else if shares == 0 {
            self.state.report.skip(format!("{kind} without shares"));
        }
        shares.min(order.leaves)
    }

    fn instrument(&self, order: FileOrder) -> u32 {
        self.state.symbols.get(order.symbol).map_or(0, |symbol| symbol.instrument)
    }

    fn cancel(&mut self, order: FileOrder, order_id: OrderId, leaves: u32) -> Result<(), FeedError> {
        let (account, instrument) = (self.state.maker, self.instrument(order));
        let body = CancelOrder { order_id, account, instrument, ..CancelOrder::default() };
        self.send(&body, Expected::Canceled { leaves })
    }

    fn send_replace(
        &mut self,
        order: FileOrder,
        order_id: OrderId,
        price: u32,
        leaves: u32,
        client_order_id: ClientOrderId,
        expected: Expected,
    ) -> Result<(), FeedError> {
        let body = ReplaceOrder {
            order_id,
            price_ticks: price.into(),
            quantity_lots: order.filled + i64::from(leaves),
            account: self.state.maker,
            instrument: self.instrument(order),
            client_order_id,
            reserved: 0,
        };
        self.send(&body, expected)
    }

    /// Sends parked orders of a symbol that no longer cross, oldest first.
    fn release(&mut self, symbol: usize) -> Result<(), FeedError> {
        let Some(parked) = self.state.symbols.get_mut(symbol).map(|symbol| &mut symbol.parked) else {
            return Ok(());
        };
        if parked.is_empty() {
            return Ok(());
        }
        let mut kept = Vec::new();
        for reference in std::mem::take(parked) {
            let Some(&order) = self.state.orders.get(&reference) else { continue };
            if order.standing != Standing::Parked {
                continue;
            }
            if self.state.symbols.get(symbol).is_some_and(|symbol| symbol.crosses(order.side, order.price)) {
                kept.push(reference);
                continue;
            }
            self.state.report.released += 1;
            self.enter(reference, order)?;
        }
        if let Some(symbol) = self.state.symbols.get_mut(symbol) {
            symbol.parked = kept;
        }
        Ok(())
    }
}

fn client_order_id(reference: u64) -> ClientOrderId {
    ClientOrderId::from_text(reference.to_string().as_bytes()).unwrap_or_default()
}
