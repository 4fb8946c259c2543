//! MarketDataRequest (35=V): what is asked for, or why it cannot be had.

use protocol::InstrumentId;

use crate::fix::{Message, Version, parse_number, tags};

/// Kinds of entries, as bits; see [`Entries::LETTERS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Entries(u16);

impl Entries {
    pub(super) const BID: Self = Self(1);
    pub(super) const OFFER: Self = Self(1 << 1);
    pub(super) const TRADE: Self = Self(1 << 2);
    pub(super) const OPENING: Self = Self(1 << 3);
    pub(super) const CLOSING: Self = Self(1 << 4);
    pub(super) const HIGH: Self = Self(1 << 5);
    pub(super) const LOW: Self = Self(1 << 6);
    pub(super) const IMBALANCE: Self = Self(1 << 7);
    pub(super) const VOLUME: Self = Self(1 << 8);
    pub(super) const CLEARING_PRICE: Self = Self(1 << 9);

    /// With the values of MDEntryType (269) that ask for them.
    pub(super) const LETTERS: [(u8, Self); 10] = [
        (b'0', Self::BID),
        (b'1', Self::OFFER),
        (b'2', Self::TRADE),
        (b'4', Self::OPENING),
        (b'5', Self::CLOSING),
        (b'7', Self::HIGH),
        (b'8', Self::LOW),
        (b'A', Self::IMBALANCE),
        (b'B', Self::VOLUME),
        (b'Q', Self::CLEARING_PRICE),
    ];

    fn of(value: &[u8]) -> Option<Self> {
        Self::LETTERS.iter().find(|(letter, _)| [*letter] == *value).map(|(_, kind)| *kind)
    }

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a subscriber sees of an instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct View {
    /// Best price levels of each side; `usize::MAX` for all.
    pub(super) depth: usize,
    /// Order by order instead of by price.
    pub(super) by_order: bool,
    pub(super) entries: Entries,
    /// Whole books instead of increments.
    pub(super) full_refresh: bool,
    pub(super) version: Version,
}

/// Value of SubscriptionRequestType (263).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Snapshot,
    Subscribe,
    Unsubscribe,
}

impl Wish {
    pub(super) fn of(message: &Message<'_>) -> Option<Self> {
        match message.get(SUBSCRIPTION_REQUEST_TYPE)? {
            b"0" => Some(Self::Snapshot),
            b"1" => Some(Self::Subscribe),
            b"2" => Some(Self::Unsubscribe),
            _ => None,
        }
    }
}

/// A request that can be granted.
pub(super) struct Request {
    pub(super) wish: Wish,
    pub(super) view: View,
    /// Each once.
    pub(super) instruments: Vec<InstrumentId>,
}

/// MDReqRejReason (281), where one fits, and Text (58).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: Option<u8>,
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn new(reason: u8, text: impl Into<String>) -> Self {
        Self { reason: Some(reason), text: text.into() }
    }
}

/// Values of MDReqRejReason (281).
pub(super) mod reason {
    pub(crate) const UNKNOWN_SYMBOL: u8 = b'0';
    pub(crate) const DUPLICATE_ID: u8 = b'1';
    pub(crate) const BANDWIDTH: u8 = b'2';
    pub(crate) const PERMISSIONS: u8 = b'3';
    pub(crate) const SUBSCRIPTION_TYPE: u8 = b'4';
    pub(crate) const DEPTH: u8 = b'5';
    pub(crate) const UPDATE_TYPE: u8 = b'6';
    pub(crate) const AGGREGATED_BOOK: u8 = b'7';
    pub(crate) const ENTRY_TYPE: u8 = b'8';
    pub(crate) const SCOPE: u8 = b'A';
    pub(crate) const IMPLICIT_DELETE: u8 = b'C';
}

pub(super) const MD_REQ_ID: u32 = 262;
pub(super) const SUBSCRIPTION_REQUEST_TYPE: u32 = 263;
const MARKET_DEPTH: u32 = 264;
const MD_UPDATE_TYPE: u32 = 265;
const AGGREGATED_BOOK: u32 = 266;
const MD_ENTRY_TYPE: u32 = 269;
const SCOPE: u32 = 546;
const MD_IMPLICIT_DELETE: u32 = 547;

/// Reads everything but MDReqID. `find` gives the instrument with a symbol.
pub(super) fn parse(
    message: &Message<'_>,
    version: Version,
    find: impl Fn(&[u8]) -> Option<InstrumentId>,
) -> Result<Request, Refusal> {
    let wish = Wish::of(message).ok_or_else(|| {
        Refusal::new(
            reason::SUBSCRIPTION_TYPE,
            "SubscriptionRequestType (263) is 0, snapshot, 1, snapshot and updates, or 2, no more updates",
        )
    })?;
    let by_order = match message.get(AGGREGATED_BOOK) {
        None | Some(b"Y") => false,
        Some(b"N") => true,
        Some(_) => {
            let text = "AggregatedBook (266) is Y, one entry a price, or N, one entry an order";
            return Err(Refusal::new(reason::AGGREGATED_BOOK, text));
        }
    };
    let full_refresh = update_type(message, wish)?;
    let view = View {
        depth: depth(message, by_order)?,
        by_order,
        entries: entries(message)?,
        full_refresh,
        version,
    };
    refuse_what_is_not_offered(message)?;
    Ok(Request { wish, view, instruments: instruments(message, find)? })
}

fn update_type(message: &Message<'_>, wish: Wish) -> Result<bool, Refusal> {
    match message.get(MD_UPDATE_TYPE) {
        Some(b"0") => Ok(true),
        Some(b"1") => Ok(false),
        None if wish != Wish::Subscribe => Ok(true),
        _ => {
            let text =
                "MDUpdateType (265) is 0, full refresh, or 1, incremental refresh; a subscription needs it";
            Err(Refusal::new(reason::UPDATE_TYPE, text))
        }
    }
}

fn depth(message: &Message<'_>, by_order: bool) -> Result<usize, Refusal> {
    let depth = message.get(MARKET_DEPTH).and_then(parse_number);
    match depth.and_then(|depth| usize::try_from(depth).ok()) {
        Some(0) => Ok(usize::MAX),
        Some(_) if by_order => {
            let text = "order by order (266=N) there is the whole book only: MarketDepth (264) 0";
            Err(Refusal::new(reason::DEPTH, text))
        }
        Some(depth) => Ok(depth),
        None => {
            let text =
                "MarketDepth (264) is 0, the whole book, 1, the best prices, or a number of price levels";
            Err(Refusal::new(reason::DEPTH, text))
        }
    }
}

fn entries(message: &Message<'_>) -> Result<Entries, Refusal> {
    let mut entries = Entries::default();
    for field in message.fields().iter().filter(|field| field.tag == MD_ENTRY_TYPE) {
        let value = message.value(field);
        let Some(kind) = Entries::of(value) else {
            let text = format!(
                "MDEntryType (269) {} is not offered: 0, 1, 2, 4, 5, 7, 8, A, B and Q are",
                value.escape_ascii()
            );
            return Err(Refusal::new(reason::ENTRY_TYPE, text));
        };
        entries = entries.and(kind);
    }
    if entries == Entries::default() {
        return Err(Refusal::new(reason::ENTRY_TYPE, "MDEntryType (269) is missing"));
    }
    Ok(entries)
}

fn refuse_what_is_not_offered(message: &Message<'_>) -> Result<(), Refusal> {
    if message.flag(MD_IMPLICIT_DELETE) {
        let text = "MDImplicitDelete (547) Y is not offered: every delete is sent";
        return Err(Refusal::new(reason::IMPLICIT_DELETE, text));
    }
    // Scope: there is one market, ours; "local" is all of it.
    if message.get(SCOPE).is_some_and(|scope| !scope.split(|&byte| byte == b' ').any(|it| it == b"1")) {
        return Err(Refusal::new(reason::SCOPE, "Scope (546) is 1, local: there is no other market"));
    }
    Ok(())
}

fn instruments(
    message: &Message<'_>,
    find: impl Fn(&[u8]) -> Option<InstrumentId>,
) -> Result<Vec<InstrumentId>, Refusal> {
    let mut instruments = Vec::new();
    for field in message.fields().iter().filter(|field| field.tag == tags::SYMBOL) {
        let symbol = message.value(field);
        let Some(instrument) = find(symbol) else {
            let text = format!("there is no instrument with Symbol (55) {}", symbol.escape_ascii());
            return Err(Refusal::new(reason::UNKNOWN_SYMBOL, text));
        };
        if !instruments.contains(&instrument) {
            instruments.push(instrument);
        }
    }
    if instruments.is_empty() {
        return Err(Refusal::new(reason::UNKNOWN_SYMBOL, "Symbol (55) is missing"));
    }
    Ok(instruments)
}
