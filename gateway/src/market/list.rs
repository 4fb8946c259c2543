//! What can be traded: SecurityListRequest (35=x) with SecurityList (y), SecurityDefinitionRequest (c) with
//! SecurityDefinition (d), which is all that FIX.4.2 has.

use marketdata::InstrumentBook;
use protocol::InstrumentId;

use super::entries::Quoted;
use super::fields::{Fields, Unit};
use super::request::Wish;
use super::status::{Followed, Follower};
use super::{Market, Outlet};
use crate::fix::{Message, MessageWriter, Version, tags};

const SECURITY_REQ_ID: u32 = 320;
const SECURITY_REQUEST_TYPE: u32 = 321;
const SECURITY_LIST_REQUEST_TYPE: u32 = 559;

/// Instruments in one SecurityList; a list goes on in the next message.
const INSTRUMENTS_PER_LIST: usize = 100;

/// Values of SecurityRequestResult (560).
const VALID: u64 = 0;
const UNSUPPORTED: u64 = 1;
const NOT_FOUND: u64 = 2;

impl Market {
    pub(super) fn security_list(&mut self, session: usize, message: &Message<'_>, outlet: &mut impl Outlet) {
        let id = message.get(SECURITY_REQ_ID).unwrap_or_default().to_vec();
        // SubscriptionRequestType is optional here: a list is asked for once as a rule.
        let wish = Wish::of(message).unwrap_or(Wish::Snapshot);
        if wish == Wish::Unsubscribe {
            return self.unfollow(session, &id, |followed| *followed == Followed::List);
        }
        let instruments: Vec<InstrumentId> = match message.get(SECURITY_LIST_REQUEST_TYPE) {
            Some(b"4") => self.listed().collect(),
            Some(b"0") => {
                let symbol = message.get(tags::SYMBOL).unwrap_or_default();
                self.by_symbol.get(symbol).copied().into_iter().collect()
            }
            _ => return self.refuse_list(session, &id, UNSUPPORTED, outlet),
        };
        if wish == Wish::Subscribe {
            let follower = Follower { session, id: id.clone(), followed: Followed::List };
            if !self.follow(follower, message, outlet) {
                return;
            }
        }
        if instruments.is_empty() {
            return self.refuse_list(session, &id, NOT_FOUND, outlet);
        }
        self.send_list(session, &id, &instruments, outlet);
    }

    /// Instruments that FIX can express, by id.
    pub(super) fn listed(&self) -> impl Iterator<Item = InstrumentId> + '_ {
        let known = self.quoted.iter().enumerate().filter(|(_, quoted)| quoted.is_some());
        known.map(|(index, _)| index as InstrumentId + 1)
    }

    pub(super) fn send_list(
        &self,
        session: usize,
        id: &[u8],
        instruments: &[InstrumentId],
        outlet: &mut impl Outlet,
    ) {
        let version = outlet.version(session);
        let parts = instruments.chunks(INSTRUMENTS_PER_LIST);
        let last = parts.len() - 1;
        for (number, part) in parts.enumerate() {
            let mut body = Vec::new();
            for &instrument in part {
                if let Some((book, quoted)) = self.depth.book(instrument).zip(self.quoted(instrument)) {
                    write_listed(&mut Fields(&mut body), version, book, quoted);
                }
            }
            outlet.send(session, b"y", |writer| {
                write_list_head(writer, id, VALID);
                writer.integer(393, instruments.len() as u64);
                if version >= Version::Fix44 {
                    writer.bytes(893, if number == last { b"Y" } else { b"N" });
                }
                writer.integer(146, part.len() as u64);
                writer.raw(&body);
            });
        }
    }

    fn refuse_list(&self, session: usize, id: &[u8], result: u64, outlet: &mut impl Outlet) {
        outlet.send(session, b"y", |writer| write_list_head(writer, id, result));
    }

    pub(super) fn security_definition(
        &self,
        session: usize,
        message: &Message<'_>,
        outlet: &mut impl Outlet,
    ) {
        let id = message.get(SECURITY_REQ_ID).unwrap_or_default();
        let symbol = message.get(tags::SYMBOL);
        let found = symbol.map(|symbol| self.by_symbol.get(symbol).copied());
        let (instruments, answer): (Vec<InstrumentId>, u64) =
            match (message.get(SECURITY_REQUEST_TYPE), found) {
                // The list of all is asked for without a symbol.
                (Some(b"0" | b"1" | b"3" | b"4"), Some(Some(instrument))) => (vec![instrument], ACCEPTED),
                (Some(b"3" | b"8"), None) => (self.listed().collect(), LISTED),
                _ => (Vec::new(), CANNOT_MATCH),
            };
        let answer = if instruments.is_empty() { CANNOT_MATCH } else { answer };
        let version = outlet.version(session);
        // What is not found is said once, too.
        for place in 0..instruments.len().max(1) {
            let instrument = instruments.get(place).copied();
            let listed = instrument.and_then(|it| self.depth.book(it).zip(self.quoted(it)));
            let mut body = Vec::new();
            if let Some((book, quoted)) = listed {
                write_defined(&mut Fields(&mut body), version, book, quoted);
            }
            // A list of securities is an answer of FIX.4.2 and from 5.0 on.
            let answer = match answer {
                LISTED if matches!(version, Version::Fix44) => ACCEPTED,
                other => other,
            };
            outlet.send(session, b"d", |writer| {
                writer.bytes(SECURITY_REQ_ID, id);
                writer.display(322, format_args!("{}-{place}", self.depth_sequence()));
                writer.integer(323, answer);
                if version <= Version::Fix42 {
                    writer.integer(393, instruments.len() as u64);
                }
                writer.raw(&body);
                if instrument.is_none() {
                    writer.bytes(tags::TEXT, b"no such security, or a request of a type that is not served");
                }
            });
        }
    }

    fn depth_sequence(&self) -> u64 {
        machine::Projection::applied_sequence(&self.depth)
    }
}

/// Values of SecurityResponseType (323).
const ACCEPTED: u64 = 1;
const LISTED: u64 = 4;
const CANNOT_MATCH: u64 = 6;

fn write_list_head(writer: &mut MessageWriter<'_>, id: &[u8], result: u64) {
    writer.bytes(SECURITY_REQ_ID, id);
    // SecurityResponseID: one list answers one request.
    writer.bytes(322, id);
    writer.integer(560, result);
}

/// The group of a SecurityList.
fn write_listed(fields: &mut Fields<'_>, version: Version, book: &InstrumentBook, quoted: &Quoted) {
    fields.text(b"55=", &quoted.symbol);
    if version >= Version::Fix50 {
        fields.number(b"969=", 1, Unit::new(quoted.tick_size));
    }
    if version >= Version::Fix50Sp1 {
        write_trading_rules(fields, book, quoted);
    }
    fields.text(b"15=", book.reference().quote_name.as_str().as_bytes());
    if version <= Version::Fix50 {
        write_sizes(fields, book, quoted);
        fields.text(b"58=", words(book, quoted).as_bytes());
    }
}

/// The body of a SecurityDefinition.
fn write_defined(fields: &mut Fields<'_>, version: Version, book: &InstrumentBook, quoted: &Quoted) {
    fields.text(b"55=", &quoted.symbol);
    if version >= Version::Fix50 {
        fields.number(b"969=", 1, Unit::new(quoted.tick_size));
    }
    fields.text(b"15=", book.reference().quote_name.as_str().as_bytes());
    fields.text(b"58=", words(book, quoted).as_bytes());
    if version >= Version::Fix50Sp1 {
        // One market segment with the rules: the exchange.
        fields.text(b"1310=", b"1");
        fields.text(b"1301=", b"XXXX");
        write_trading_rules(fields, book, quoted);
    } else if version >= Version::Fix43 {
        write_sizes(fields, book, quoted);
    }
}

/// RoundLot (561) and MinTradeVol (562).
fn write_sizes(fields: &mut Fields<'_>, book: &InstrumentBook, quoted: &Quoted) {
    let rules = book.rules();
    fields.number(b"561=", rules.round_lot_lots.max(1).into(), quoted.lot);
    fields.number(b"562=", rules.min_quantity_lots.max(1).into(), quoted.lot);
}

/// SecurityTradingRules of FIX 5.0SP1: tick sizes, price limits, sizes.
fn write_trading_rules(fields: &mut Fields<'_>, book: &InstrumentBook, quoted: &Quoted) {
    let (rules, table) = (book.rules(), book.ticks());
    let rows = &table.rows[..(table.count as usize).min(table.rows.len())];
    if !rows.is_empty() {
        fields.integer(b"1205=", rows.len() as u64);
        for (place, row) in rows.iter().enumerate() {
            fields.number(b"1206=", row.from_price_ticks.into(), quoted.tick);
            if let Some(next) = rows.get(place + 1) {
                fields.number(b"1207=", i128::from(next.from_price_ticks) - 1, quoted.tick);
            }
            fields.number(b"1208=", row.tick_ticks.into(), quoted.tick);
        }
    }
    // TradingReferencePrice (1150): what the static band is measured from.
    if rules.reference_price_ticks > 0 {
        let band = i128::from(rules.static_band_bps);
        let reference = i128::from(rules.reference_price_ticks);
        if band > 0 {
            fields.text(b"1306=", b"0");
            fields.number(b"1148=", reference - reference * band / 10_000, quoted.tick);
            fields.number(b"1149=", reference + reference * band / 10_000, quoted.tick);
        }
        fields.number(b"1150=", reference, quoted.tick);
    }
    fields.number(b"562=", rules.min_quantity_lots.max(1).into(), quoted.lot);
    if rules.max_quantity_lots > 0 {
        fields.number(b"1140=", rules.max_quantity_lots.into(), quoted.lot);
    }
    fields.number(b"561=", rules.round_lot_lots.max(1).into(), quoted.lot);
}

/// Tick and lot in words, for the versions that have no field for a tick.
fn words(book: &InstrumentBook, quoted: &Quoted) -> String {
    let (reference, rules) = (book.reference(), book.rules());
    let mut text = format!(
        "{} for {}; price increment {}, quantity increment {}",
        reference.base_name, reference.quote_name, quoted.tick_size, quoted.lot_size
    );
    if rules.reference_price_ticks > 0
        && let Ok(price) = reference.price_decimal(rules.reference_price_ticks)
    {
        text.push_str(&format!("; reference price {price}"));
    }
    text
}
