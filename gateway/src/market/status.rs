//! How trading goes: SecurityStatusRequest (35=e) with SecurityStatus (f), TradingSessionStatusRequest (g) with
//! TradingSessionStatus (h). Each instrument has its own phases, so each is a trading session of its own.

use marketdata::{InstrumentBook, Marks};
use protocol::{InstrumentId, Phase, SetInstrumentRules};

use super::entries::Quoted;
use super::fields::Fields;
use super::request::Wish;
use super::{Market, Outlet, REQUEST_ID_BYTES};
use crate::fix::{Message, Precision, Version, format_utc, tags};

const SECURITY_STATUS_REQ_ID: u32 = 324;
const TRAD_SES_REQ_ID: u32 = 335;
const TRADING_SESSION_ID: u32 = 336;
const UNSOLICITED_INDICATOR: u32 = 325;

/// What a follower is told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Followed {
    /// New instruments and new rules, by SecurityList.
    List,
    /// The status of one instrument.
    Security(InstrumentId),
    /// The session of one instrument, or of all.
    Session(Option<InstrumentId>),
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Follower {
    pub(super) session: usize,
    /// The request's id.
    pub(super) id: Vec<u8>,
    pub(super) followed: Followed,
}

impl Market {
    /// Adds a follower; the same request again is no second one. `false`: there are too many, which has been said.
    pub(super) fn follow(
        &mut self,
        follower: Follower,
        message: &Message<'_>,
        outlet: &mut impl Outlet,
    ) -> bool {
        if self.followers.contains(&follower) {
            return true;
        }
        let session = follower.session;
        let fits = follower.id.len() <= REQUEST_ID_BYTES;
        if !fits || self.check_room(session, 1).is_err() {
            let text =
                if fits { "too many subscriptions of this session" } else { "the request's id is too long" };
            outlet.reject(session, message, 0, text);
            return false;
        }
        self.followers.push(follower);
        true
    }

    pub(super) fn unfollow(&mut self, session: usize, id: &[u8], which: impl Fn(&Followed) -> bool) {
        self.followers.retain(|it| it.session != session || it.id != id || !which(&it.followed));
    }

    pub(super) fn security_status(
        &mut self,
        session: usize,
        message: &Message<'_>,
        outlet: &mut impl Outlet,
    ) {
        let id = message.get(SECURITY_STATUS_REQ_ID).unwrap_or_default().to_vec();
        let symbol = message.get(tags::SYMBOL).unwrap_or_default();
        let wish = Wish::of(message);
        if wish == Some(Wish::Unsubscribe) {
            return self.unfollow(session, &id, |followed| matches!(followed, Followed::Security(_)));
        }
        let Some(instrument) = self.by_symbol.get(symbol).copied() else {
            return outlet.send(session, b"f", |writer| {
                writer.bytes(SECURITY_STATUS_REQ_ID, &id);
                writer.bytes(tags::SYMBOL, symbol);
                // Unknown or invalid.
                writer.integer(326, 20);
            });
        };
        if wish == Some(Wish::Subscribe) {
            let follower = Follower { session, id: id.clone(), followed: Followed::Security(instrument) };
            if !self.follow(follower, message, outlet) {
                return;
            }
        }
        self.send_security_status(session, &id, instrument, false, outlet);
    }

    pub(super) fn trading_session_status(
        &mut self,
        session: usize,
        message: &Message<'_>,
        outlet: &mut impl Outlet,
    ) {
        let id = message.get(TRAD_SES_REQ_ID).unwrap_or_default().to_vec();
        let wish = Wish::of(message);
        if wish == Some(Wish::Unsubscribe) {
            return self.unfollow(session, &id, |followed| matches!(followed, Followed::Session(_)));
        }
        let wanted = message.get(TRADING_SESSION_ID);
        let instrument = match wanted {
            None => None,
            // From FIX 5.0 on the symbol has a field of its own, and all sessions are days.
            Some(b"1") if outlet.version(session) >= Version::Fix50 => None,
            Some(name) => match self.by_symbol.get(name) {
                Some(&instrument) => Some(instrument),
                None => return self.refuse_session(session, &id, name, message, outlet),
            },
        };
        if wish == Some(Wish::Subscribe) {
            let follower = Follower { session, id: id.clone(), followed: Followed::Session(instrument) };
            if !self.follow(follower, message, outlet) {
                return;
            }
        }
        let instruments = instrument.map_or_else(|| self.listed().collect(), |it| vec![it]);
        for instrument in instruments {
            self.send_session_status(session, &id, instrument, false, outlet);
        }
    }

    fn refuse_session(
        &self,
        session: usize,
        id: &[u8],
        name: &[u8],
        message: &Message<'_>,
        outlet: &mut impl Outlet,
    ) {
        if outlet.version(session) < Version::Fix43 {
            return outlet.reject(session, message, 1, "unknown TradingSessionID (336): it is a symbol");
        }
        outlet.send(session, b"h", |writer| {
            writer.bytes(TRAD_SES_REQ_ID, id);
            writer.bytes(TRADING_SESSION_ID, name);
            // Request rejected: unknown or invalid TradingSessionID.
            writer.integer(340, 6);
            writer.integer(567, 1);
            writer.bytes(tags::TEXT, b"unknown TradingSessionID (336): it is a symbol");
        });
    }

    /// Tells followers what a command has changed on an instrument.
    pub(super) fn publish_status(&self, instrument: InstrumentId, marks: Marks, outlet: &mut impl Outlet) {
        let status = [Marks::PHASE, Marks::INDICATIVE, Marks::UNCROSSED].into_iter().any(|it| marks.has(it));
        let listed = marks.has(Marks::CREATED) || marks.has(Marks::RULES);
        for follower in &self.followers {
            let Follower { session, ref id, followed } = *follower;
            match followed {
                Followed::List if listed && self.quoted(instrument).is_some() => {
                    self.send_list(session, id, &[instrument], outlet);
                }
                Followed::Security(of) if status && of == instrument => {
                    self.send_security_status(session, id, instrument, true, outlet);
                }
                Followed::Session(of) if marks.has(Marks::PHASE) && of.is_none_or(|of| of == instrument) => {
                    self.send_session_status(session, id, instrument, true, outlet);
                }
                _ => {}
            }
        }
    }

    fn send_security_status(
        &self,
        session: usize,
        id: &[u8],
        instrument: InstrumentId,
        unsolicited: bool,
        outlet: &mut impl Outlet,
    ) {
        let Some((book, quoted)) = self.depth.book(instrument).zip(self.quoted(instrument)) else { return };
        let version = outlet.version(session);
        let mut prices = Vec::new();
        write_prices(&mut Fields(&mut prices), book, quoted);
        let phase = book.phase().phase;
        let currency = book.reference().quote_name;
        let time = format_utc(self.event_ns, Precision::Millis);
        outlet.send(session, b"f", |writer| {
            writer.bytes(SECURITY_STATUS_REQ_ID, id);
            writer.bytes(tags::SYMBOL, &quoted.symbol);
            writer.bytes(15, currency.as_str().as_bytes());
            writer.bytes(TRADING_SESSION_ID, session_name(version, quoted));
            if version >= Version::Fix43 {
                writer.integer(625, session_part(version, phase));
            }
            writer.bytes(UNSOLICITED_INDICATOR, if unsolicited { b"Y" } else { b"N" });
            writer.integer(326, trading_status(version, phase));
            writer.raw(&prices);
            writer.bytes(tags::TRANSACT_TIME, &time);
            if version >= Version::Fix43 {
                writer.bytes(tags::TEXT, words(book, quoted).as_bytes());
            }
        });
    }

    fn send_session_status(
        &self,
        session: usize,
        id: &[u8],
        instrument: InstrumentId,
        unsolicited: bool,
        outlet: &mut impl Outlet,
    ) {
        let Some((book, quoted)) = self.depth.book(instrument).zip(self.quoted(instrument)) else { return };
        let version = outlet.version(session);
        let state = book.phase();
        let mut volume = Vec::new();
        Fields(&mut volume).number(b"387=", book.volume_lots(), quoted.lot);
        outlet.send(session, b"h", |writer| {
            writer.bytes(TRAD_SES_REQ_ID, id);
            writer.bytes(TRADING_SESSION_ID, session_name(version, quoted));
            if version >= Version::Fix43 {
                writer.integer(625, session_part(version, state.phase));
            }
            writer.integer(338, 1);
            writer.bytes(UNSOLICITED_INDICATOR, if unsolicited { b"Y" } else { b"N" });
            writer.integer(340, session_status(state.phase));
            if state.until_ns != 0 {
                writer.bytes(345, &format_utc(state.until_ns, Precision::Millis));
            }
            writer.raw(&volume);
            writer.bytes(tags::TEXT, words(book, quoted).as_bytes());
            if version >= Version::Fix50 {
                writer.bytes(tags::SYMBOL, &quoted.symbol);
            }
        });
    }
}

/// TradingSessionID (336): before FIX 5.0 the symbol, since TradingSessionStatus has no other field for it.
fn session_name(version: Version, quoted: &Quoted) -> &[u8] {
    if version >= Version::Fix50 { b"1" } else { &quoted.symbol }
}

/// TradingSessionSubID (625), with the values of FIX 5.0SP1.
fn session_part(version: Version, phase: Phase) -> u64 {
    match phase {
        Phase::PreOpen => 1,
        Phase::OpeningAuction => 2,
        Phase::Continuous => 3,
        Phase::ClosingAuction => 4,
        Phase::Closed => 5,
        // From 5.0SP2 on 6 is a scheduled one.
        Phase::VolatilityAuction if version >= Version::Fix50Sp2 => 9,
        Phase::VolatilityAuction => 6,
        Phase::Halted => 7,
    }
}

/// SecurityTradingStatus (326).
fn trading_status(version: Version, phase: Phase) -> u64 {
    match phase {
        Phase::Continuous => 17,
        Phase::PreOpen if version >= Version::Fix43 => 21,
        // No open, no resume: as near as FIX.4.2 gets.
        Phase::PreOpen => 4,
        // Price indication: what the auction would come to stands beside it.
        Phase::OpeningAuction | Phase::VolatilityAuction | Phase::ClosingAuction => 5,
        Phase::Closed => 18,
        Phase::Halted => 2,
    }
}

/// TradSesStatus (340).
fn session_status(phase: Phase) -> u64 {
    match phase {
        Phase::Halted => 1,
        Phase::Continuous | Phase::VolatilityAuction => 2,
        Phase::Closed => 3,
        Phase::PreOpen | Phase::OpeningAuction => 4,
        Phase::ClosingAuction => 5,
    }
}

/// In an auction what it would come to: BuyVolume (330), SellVolume (331), HighPx (332) and LowPx (333). Always LastPx
/// (31), if there was a trade.
fn write_prices(fields: &mut Fields<'_>, book: &InstrumentBook, quoted: &Quoted) {
    if let Some(result) = book.indicative() {
        let more = |lots: i64| i128::from(result.paired_lots) + i128::from(lots.max(0));
        fields.number(b"330=", more(result.imbalance_lots), quoted.lot);
        fields.number(b"331=", more(result.imbalance_lots.saturating_neg()), quoted.lot);
        if let Some(ticks) = result.price_ticks {
            fields.number(b"332=", ticks.into(), quoted.tick);
            fields.number(b"333=", ticks.into(), quoted.tick);
        }
    }
    if let Some(trade) = book.last() {
        fields.number(b"31=", trade.price_ticks.into(), quoted.tick);
    }
}

/// Phase and reference price.
fn words(book: &InstrumentBook, quoted: &Quoted) -> String {
    let state = book.phase();
    let SetInstrumentRules { reference_price_ticks, .. } = *book.rules();
    let reference =
        if state.reference_price_ticks != 0 { state.reference_price_ticks } else { reference_price_ticks };
    if reference == 0 {
        return state.phase.name().to_owned();
    }
    let mut text = format!("{}, reference price ", state.phase.name()).into_bytes();
    Fields(&mut text).number(b"", reference.into(), quoted.tick);
    text.pop();
    String::from_utf8_lossy(&text).into_owned()
}
