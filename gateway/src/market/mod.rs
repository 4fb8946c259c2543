//! Market data sessions: books, trades, auctions and reference data, folded from events and sent to who has asked.
//!
//! [`Market`] is a projection ([`marketdata::DepthBook`]) with subscribers. After each command it sends every
//! subscriber what the command changed of what it sees (35=X), built once for all who see the same. It does no I/O: a
//! message goes into its session's output through an [`Outlet`].
//!
//! Nothing grows with a subscriber that does not read. As long as more than a bound of bytes waits for it, nothing is
//! added; when it has caught up it gets the whole book again (35=W). So its book is old for a while, never wrong.

mod board;
mod entries;
mod fields;
mod list;
mod request;
mod status;

use std::collections::{HashMap, VecDeque};

use machine::{Body as _, Projection as _, Record};
use marketdata::{DepthBook, LevelStep};
use protocol::{InstrumentCreated, InstrumentId, Limits, MAX_PRICE_TICKS, MAX_QUANTITY_LOTS, OrderId};

use crate::fix::{Message, MessageWriter, Version, tags};
use board::Board;
use entries::Quoted;
use fields::Unit;
use request::{MD_REQ_ID, Refusal, Request, Wish, reason};
use status::Follower;

/// Market data as a gateway offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketSettings {
    /// Table sizes of the exchange.
    pub limits: Limits,
    /// Trades remembered of each instrument: a snapshot shows the newest that stands.
    pub tape_length: usize,
    /// Most subscriptions of one session, each symbol of a request counted; bounds what a command can set off.
    pub subscriptions: usize,
    /// Bytes that may wait for a session before its updates are left out until it has caught up.
    pub backlog_bytes: usize,
    /// Most entries of one book in one message: of some 70 bytes each, so that a message stays well below what may wait
    /// for a session. A larger book can be had by price levels only.
    pub snapshot_entries: usize,
}

impl MarketSettings {
    /// The usual ones, for an exchange of these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            tape_length: 256,
            subscriptions: 1024,
            backlog_bytes: 1 << 20,
            snapshot_entries: 50_000,
        }
    }
}

/// Where messages go: the sessions.
pub(crate) trait Outlet {
    /// Sends a message that is not kept for a resend, if the session is online.
    fn send(&mut self, session: usize, message_type: &[u8], body: impl FnOnce(&mut MessageWriter<'_>));

    /// BusinessMessageReject (35=j).
    fn reject(&mut self, session: usize, message: &Message<'_>, reason: u64, text: &str);

    /// Bytes that wait to be sent.
    fn backlog_bytes(&mut self, session: usize) -> usize;

    /// What the session speaks.
    fn version(&self, session: usize) -> Version;
}

/// Longest MDReqID (262) and the like: they are kept as long as the subscription.
const REQUEST_ID_BYTES: usize = 64;

/// See the module's documentation.
pub(crate) struct Market {
    settings: MarketSettings,
    depth: DepthBook,
    /// Sequence of the first command whose events were folded; 0 before.
    first_sequence: u64,
    /// Time of the newest event.
    event_ns: u64,
    /// By instrument id less one; `None` also for one that FIX cannot express.
    quoted: Vec<Option<Quoted>>,
    by_symbol: HashMap<Vec<u8>, InstrumentId>,
    /// Subscribers by instrument id less one.
    boards: Vec<Board>,
    /// Number of each subscription by session and MDReqID.
    subscriptions: HashMap<(usize, Vec<u8>), u64>,
    last_subscription: u64,
    /// Subscriptions that shall get the whole book as soon as there is room.
    due: VecDeque<Due>,
    /// Subscribers of statuses and lists.
    followers: Vec<Follower>,
    scratch: Scratch,
}

/// A subscription of an instrument that waits for the whole book.
#[derive(Clone, Copy)]
struct Due {
    instrument: InstrumentId,
    subscription: u64,
    session: usize,
}

/// Memory that is used again for every message.
#[derive(Default)]
struct Scratch {
    entries: Vec<u8>,
    preamble: Vec<u8>,
    steps: Vec<LevelStep>,
}

impl Market {
    /// An event will soon speak of this order.
    #[inline]
    pub(crate) fn expect_order(&self, order_id: OrderId) {
        self.depth.expect_order(order_id);
    }

    pub(crate) fn new(settings: MarketSettings) -> Self {
        let depth = DepthBook::new(&settings.limits, settings.tape_length);
        Self {
            settings,
            depth,
            first_sequence: 0,
            event_ns: 0,
            quoted: Vec::new(),
            by_symbol: HashMap::new(),
            boards: Vec::new(),
            subscriptions: HashMap::new(),
            last_subscription: 0,
            due: VecDeque::new(),
            followers: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Whether it has folded every event of an exchange that is at `sequence`; if not, it must be seeded.
    pub(crate) fn has_all_up_to(&self, sequence: u64) -> bool {
        self.depth.applied_sequence() == sequence && (sequence == 0 || self.first_sequence == 1)
    }

    /// Takes over books that were built from the machine's state.
    pub(crate) fn seed(&mut self, depth: DepthBook) {
        assert!(self.subscriptions.is_empty(), "books are seeded before anybody has seen them");
        self.first_sequence = 1;
        self.depth = depth;
        let instruments: Vec<InstrumentId> = self.depth.instruments().collect();
        instruments.into_iter().for_each(|instrument| self.quote(instrument));
    }

    /// Folds one event; after the last of a command, sends what the command changed.
    pub(crate) fn on_event(&mut self, event: Record<'_>, outlet: &mut impl Outlet) {
        if self.first_sequence == 0 {
            self.first_sequence = event.header().sequence;
        }
        self.event_ns = event.header().timestamp_ns;
        self.depth.apply(event);
        if event.header().kind == InstrumentCreated::KIND
            && let Some(created) = event.body_as::<InstrumentCreated>()
        {
            self.quote(created.0.instrument);
        }
        if event.is_last_event() && !self.depth.changes().is_empty() {
            self.publish(outlet);
        }
    }

    /// Time has passed: who has caught up gets whole books.
    pub(crate) fn on_tick(&mut self, outlet: &mut impl Outlet) {
        // Amid a command the books are not what anybody should see.
        if self.due.is_empty() || !self.depth.is_between_commands() {
            return;
        }
        for _ in 0..self.due.len() {
            let Some(due) = self.due.pop_front() else { break };
            // Who does not read at all is looked at in every duty cycle: that must cost next to nothing.
            if outlet.backlog_bytes(due.session) > self.settings.backlog_bytes / 4 {
                self.due.push_back(due);
            } else {
                self.refresh(due.instrument, due.subscription, outlet);
            }
        }
    }

    /// The session's connection is gone, and with it all that it has subscribed to.
    pub(crate) fn drop_session(&mut self, session: usize) {
        self.subscriptions.retain(|key, _| key.0 != session);
        self.boards.iter_mut().for_each(|board| board.drop_session(session));
        self.followers.retain(|follower| follower.session != session);
        self.record_if_wanted();
    }

    /// The session has asked for messages again, and got gap fills in their place: its books may be incomplete.
    pub(crate) fn on_resend(&mut self, session: usize) {
        for (index, board) in self.boards.iter_mut().enumerate() {
            for subscription in board.take_refreshes(session) {
                self.due.push_back(Due { instrument: index as InstrumentId + 1, subscription, session });
            }
        }
    }

    /// A request of a session: 35=V, x, c, e or g. `permitted` says whether it may see the market.
    pub(crate) fn on_request(
        &mut self,
        session: usize,
        message: &Message<'_>,
        permitted: bool,
        outlet: &mut impl Outlet,
    ) {
        match message.message_type() {
            b"V" => {
                if let Err(refusal) = self.market_data(session, message, permitted, outlet) {
                    let id = message.get(MD_REQ_ID).unwrap_or_default();
                    refuse(outlet, session, id, &refusal);
                }
                self.on_tick(outlet);
            }
            b"x" => self.security_list(session, message, outlet),
            b"c" => self.security_definition(session, message, outlet),
            b"e" => self.security_status(session, message, outlet),
            _ => self.trading_session_status(session, message, outlet),
        }
        self.record_if_wanted();
    }

    fn market_data(
        &mut self,
        session: usize,
        message: &Message<'_>,
        permitted: bool,
        outlet: &impl Outlet,
    ) -> Result<(), Refusal> {
        if !permitted {
            let text = "this session has no permission for market data";
            return Err(Refusal::new(reason::PERMISSIONS, text));
        }
        let id = message.get(MD_REQ_ID).unwrap_or_default();
        let key = (session, id.to_vec());
        if Wish::of(message) == Some(Wish::Unsubscribe) {
            let Some(subscription) = self.subscriptions.remove(&key) else {
                let text = "this session has no subscription with this MDReqID (262)".to_owned();
                return Err(Refusal { reason: None, text });
            };
            self.boards.iter_mut().for_each(|board| board.drop_subscription(subscription));
            return Ok(());
        }
        if self.subscriptions.contains_key(&key) {
            let text = "this session has a subscription with this MDReqID (262)";
            return Err(Refusal::new(reason::DUPLICATE_ID, text));
        }
        if id.is_empty() || id.len() > REQUEST_ID_BYTES {
            let text = format!("MDReqID (262) has 1 to {REQUEST_ID_BYTES} bytes");
            return Err(Refusal { reason: None, text });
        }
        let request =
            request::parse(message, outlet.version(session), |symbol| self.by_symbol.get(symbol).copied())?;
        self.check_room(session, request.instruments.len())?;
        self.check_size(&request)?;
        self.subscribe(session, id, &request);
        Ok(())
    }

    fn check_room(&self, session: usize, wanted: usize) -> Result<(), Refusal> {
        let feeds: usize = self.boards.iter().map(|board| board.feeds_of(session)).sum();
        let followers = self.followers.iter().filter(|follower| follower.session == session).count();
        if feeds + followers + wanted <= self.settings.subscriptions {
            return Ok(());
        }
        let text = format!(
            "too many subscriptions: a session may have {}, and each symbol counts",
            self.settings.subscriptions
        );
        Err(Refusal::new(reason::BANDWIDTH, text))
    }

    /// Whether the books that are asked for fit into messages now.
    fn check_size(&self, request: &Request) -> Result<(), Refusal> {
        for &instrument in &request.instruments {
            let Some(book) = self.depth.book(instrument) else { continue };
            let sides = [protocol::Side::Buy, protocol::Side::Sell];
            let entries: usize = if request.view.by_order {
                sides.iter().map(|&side| self.depth.orders(instrument, side).count()).sum()
            } else {
                sides.iter().map(|&side| book.levels(side).take(request.view.depth).count()).sum()
            };
            if entries > self.settings.snapshot_entries {
                let text = format!(
                    "the book has {entries} entries, more than the {} of one message: ask for price levels",
                    self.settings.snapshot_entries
                );
                return Err(Refusal::new(reason::DEPTH, text));
            }
        }
        Ok(())
    }

    fn subscribe(&mut self, session: usize, id: &[u8], request: &Request) {
        self.last_subscription += 1;
        let subscription = self.last_subscription;
        let once = request.wish == Wish::Snapshot;
        if !once {
            self.subscriptions.insert((session, id.to_vec()), subscription);
        }
        for &instrument in &request.instruments {
            let index = instrument as usize - 1;
            if self.boards.len() <= index {
                self.boards.resize_with(index + 1, Board::default);
            }
            self.boards[index].add(request.view, subscription, session, id, once);
            self.due.push_back(Due { instrument, subscription, session });
        }
    }

    /// Changes are collected only while somebody wants them.
    fn record_if_wanted(&mut self) {
        let wanted = !self.followers.is_empty() || self.boards.iter().any(|board| !board.is_empty());
        if wanted != self.depth.records_changes() {
            self.depth.record_changes(wanted);
        }
    }

    /// An instrument exists: how its prices and quantities are written.
    fn quote(&mut self, instrument: InstrumentId) {
        let Some(reference) = self.depth.book(instrument).map(|book| book.reference()) else { return };
        let index = instrument as usize - 1;
        if self.quoted.len() <= index {
            self.quoted.resize_with(index + 1, || None);
        }
        let expressible = reference.price_decimal(MAX_PRICE_TICKS).is_ok()
            && reference.quantity_decimal(i128::from(MAX_QUANTITY_LOTS)).is_ok();
        let Some(tick_size) = reference.tick_size().ok().filter(|_| expressible) else { return };
        let lot_size = reference.lot_size();
        let symbol = reference.name.as_str().as_bytes().to_vec();
        self.by_symbol.insert(symbol.clone(), instrument);
        self.quoted[index] = Some(Quoted {
            symbol,
            tick: Unit::new(tick_size),
            lot: Unit::new(lot_size),
            tick_size,
            lot_size,
        });
    }

    fn quoted(&self, instrument: InstrumentId) -> Option<&Quoted> {
        self.quoted.get((instrument as usize).checked_sub(1)?)?.as_ref()
    }
}

/// MarketDataRequestReject (35=Y).
fn refuse(outlet: &mut impl Outlet, session: usize, id: &[u8], refusal: &Refusal) {
    let version = outlet.version(session);
    outlet.send(session, b"Y", |writer| {
        writer.bytes(MD_REQ_ID, id);
        // FIX.4.2 knows the first nine reasons only.
        let known = |it: &u8| it.is_ascii_digit() && *it <= b'8' || version >= Version::Fix43;
        if let Some(reason) = refusal.reason.filter(known) {
            writer.character(MD_REQ_REJ_REASON, reason);
        }
        writer.bytes(tags::TEXT, refusal.text.as_bytes());
    });
}

const MD_REQ_REJ_REASON: u32 = 281;
