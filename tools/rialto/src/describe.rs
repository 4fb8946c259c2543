//! Records as a person or a program reads them.

use machine::Record;
use protocol::{
    AccountCreated, AccountId, AssetCreated, CancelOrder, CancelReason, ClientOrderId, CommandKind,
    CreateAccount, CreateAsset, CreateInstrument, DayEnded, Deposit, Deposited, EndDay, EventKind,
    InstrumentCreated, Name, NewOrder, OrderAccepted, OrderCanceled, OrderId, OrderReplaced, OrderType,
    RejectReason, Rejected, ReplaceOrder, SelfTradePrevention, Side, TimeInForce, Trade, Withdraw, Withdrawn,
};
use serde_json::{Map, Value, json};

/// What a body comes to: fields by name, in order.
type Fields = Map<String, Value>;

/// A field's value as JSON.
trait Field {
    fn json(&self) -> Value;
}

macro_rules! plain_fields {
    ($($type:ty),+) => { $(impl Field for $type { fn json(&self) -> Value { json!(self) } })+ };
}
plain_fields!(u8, u16, u32, u64, i32, i64);

impl Field for AccountId {
    fn json(&self) -> Value {
        json!(self.0)
    }
}

impl Field for OrderId {
    fn json(&self) -> Value {
        json!(self.0)
    }
}

impl Field for Name {
    fn json(&self) -> Value {
        json!(self.as_str())
    }
}

impl Field for ClientOrderId {
    fn json(&self) -> Value {
        json!(self.as_bytes_trimmed().escape_ascii().to_string())
    }
}

/// The named fields of a struct, in order; `field as Code` gives the code's name instead of its number.
macro_rules! fields {
    ($body:expr, { $($field:ident $(as $code:ident)?),* $(,)? }) => {{
        let body = $body;
        let mut map = Fields::new();
        $(fields!(@field map, body, $field $(, $code)?);)*
        map
    }};
    (@field $map:ident, $body:ident, $field:ident) => {
        $map.insert(stringify!($field).to_string(), Field::json(&$body.$field));
    };
    (@field $map:ident, $body:ident, $field:ident, $code:ident) => {
        let name = $code::from_code($body.$field).map_or_else(|| json!($body.$field), |code| json!(code.name()));
        $map.insert(stringify!($field).to_string(), name);
    };
}

/// The same of a record's body.
macro_rules! body {
    ($record:expr, $type:ty { $($fields:tt)+ }) => {
        $record.body_as::<$type>().map(|body| fields!(body, { $($fields)+ }))
    };
}

mod special;

/// Name of a record kind, or its number.
pub fn kind_name(kind: u16) -> String {
    let name = CommandKind::from_code(kind).map(CommandKind::name);
    let name = name.or_else(|| EventKind::from_code(kind).map(EventKind::name));
    name.map_or_else(|| format!("kind {kind}"), str::to_string)
}

/// Room for the fields of most records, so that an export of many does not grow each table three times.
const MOST_FIELDS: usize = 28;

/// A record's header and body as one flat JSON object. A body that is not known is given as hexadecimal bytes.
pub fn to_json(record: Record<'_>) -> Fields {
    let header = record.header();
    let mut map = Fields::with_capacity(MOST_FIELDS);
    map.insert("sequence".into(), json!(header.sequence));
    map.insert("timestamp_ns".into(), json!(header.timestamp_ns));
    map.insert("gateway".into(), json!(header.source.gateway));
    map.insert("session".into(), json!(header.source.session));
    map.insert("kind".into(), json!(kind_name(header.kind)));
    let body = command_body(record).or_else(|| event_body(record)).unwrap_or_else(|| {
        let hex = record.body().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Map::from_iter([("bytes".to_string(), json!(hex))])
    });
    map.extend(body);
    map
}

fn command_body(record: Record<'_>) -> Option<Fields> {
    match CommandKind::from_code(record.header().kind)? {
        CommandKind::CreateAsset => body!(record, CreateAsset { asset, name, scale }),
        CommandKind::CreateInstrument => record.body_as::<CreateInstrument>().map(instrument),
        CommandKind::CreateAccount => body!(record, CreateAccount { account, name }),
        CommandKind::Deposit => body!(record, Deposit { account, asset, amount_minor, reference }),
        CommandKind::Withdraw => body!(record, Withdraw { account, asset, amount_minor, reference }),
        CommandKind::NewOrder => record.body_as::<NewOrder>().map(new_order),
        CommandKind::CancelOrder => {
            body!(record, CancelOrder { order_id, account, instrument, client_order_id })
        }
        CommandKind::ReplaceOrder => record.body_as::<ReplaceOrder>().map(replace_order),
        CommandKind::EndDay => body!(record, EndDay { instrument }),
        _ => special::command_body(record),
    }
}

fn event_body(record: Record<'_>) -> Option<Fields> {
    match EventKind::from_code(record.header().kind)? {
        EventKind::Rejected => body!(record, Rejected {
            command_kind as CommandKind, reason as RejectReason, account, instrument, asset, order_id, client_order_id,
        }),
        EventKind::AssetCreated => body!(record, AssetCreated { asset, name, scale }),
        EventKind::InstrumentCreated => record.body_as::<InstrumentCreated>().map(|body| instrument(&body.0)),
        EventKind::AccountCreated => body!(record, AccountCreated { account, name }),
        EventKind::Deposited => {
            body!(record, Deposited { account, asset, amount_minor, balance_minor, reference })
        }
        EventKind::Withdrawn => {
            body!(record, Withdrawn { account, asset, amount_minor, balance_minor, reference })
        }
        EventKind::OrderAccepted => record.body_as::<OrderAccepted>().map(accepted),
        EventKind::OrderCanceled => body!(record, OrderCanceled {
            order_id, account, instrument, client_order_id, side as Side, leaves_lots, reason as CancelReason,
            released_minor,
        }),
        EventKind::OrderReplaced => body!(record, OrderReplaced {
            order_id, account, instrument, client_order_id, side as Side, price_ticks, quantity_lots, leaves_lots,
            kept_priority, hold_minor,
        }),
        EventKind::DayEnded => body!(record, DayEnded { instrument, remaining_orders }),
        EventKind::Trade => body!(record, Trade {
            trade_id, instrument, price_ticks, quantity_lots, quote_minor, taker_side as Side, maker_order_id,
            maker_account, maker_leaves_lots, maker_fee_minor, taker_order_id, taker_account, taker_leaves_lots,
            taker_fee_minor, auction,
        }),
        _ => special::event_body(record),
    }
}

fn instrument(it: &CreateInstrument) -> Fields {
    fields!(it, {
        instrument, name, base_asset, quote_asset, quote_minor_per_tick_lot, base_minor_per_lot, maker_fee_ppm,
        taker_fee_ppm, reference_price_ticks, ladder_levels,
    })
}

fn accepted(it: &OrderAccepted) -> Fields {
    fields!(it, {
        order_id, account, instrument, client_order_id, side as Side, order_type as OrderType, price_ticks,
        quantity_lots, time_in_force as TimeInForce, self_trade_prevention as SelfTradePrevention, hold_minor,
    })
}

fn new_order(it: &NewOrder) -> Fields {
    fields!(it, {
        account, instrument, client_order_id, side as Side, order_type as OrderType, price_ticks, quantity_lots,
        time_in_force as TimeInForce, self_trade_prevention as SelfTradePrevention,
    })
}

fn replace_order(it: &ReplaceOrder) -> Fields {
    fields!(it, { order_id, account, instrument, client_order_id, price_ticks, quantity_lots })
}

/// One line for a person: sequence, time, kind and fields.
pub fn to_line(record: Record<'_>) -> String {
    line_of(record, &to_json(record))
}

/// The same, of a record that [`to_json`] has described.
pub fn line_of(record: Record<'_>, map: &Fields) -> String {
    let header = record.header();
    let indent = if header.kind >= 0x8000 { "  " } else { "" };
    let shown = map.iter().skip(5).map(|(name, value)| match value {
        Value::String(text) => format!(" {name}={text}"),
        other => format!(" {name}={other}"),
    });
    let fields = shown.collect::<String>();
    format!(
        "{:>10} {} {indent}{}{fields}",
        header.sequence,
        timestamp(header.timestamp_ns),
        kind_name(header.kind)
    )
}

/// Nanoseconds since the epoch as `YYYY-MM-DDThh:mm:ss.nnnnnnnnnZ`.
pub fn timestamp(timestamp_ns: u64) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(timestamp_ns);
    humantime::format_rfc3339_nanos(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::{Body, Context, EventBuffer};

    fn record_of<T: Body>(body: &T, check: impl Fn(Record<'_>)) {
        let mut events = EventBuffer::with_capacity(512);
        events.begin(&Context {
            sequence: 12,
            timestamp_ns: 1_577_671_500_000_000_001,
            ..Context::default()
        });
        events.push(body);
        events.finish();
        check(events.records().next().unwrap());
    }

    #[test]
    fn a_record_reads_as_a_line_and_as_json() {
        let trade =
            Trade { trade_id: 3, price_ticks: 100, taker_side: Side::Sell.code(), ..Trade::default() };
        record_of(&trade, |record| {
            let line = to_line(record);
            assert!(line.contains("12 2019-12-30T02:05:00.000000001Z   Trade trade_id=3"), "{line}");
            assert!(line.contains("taker_side=Sell"), "{line}");
            assert_eq!(to_json(record)["price_ticks"], json!(100));
        });
    }

    #[test]
    fn every_kind_is_described_by_its_fields() {
        for layout in protocol::layouts() {
            let mut events = EventBuffer::with_capacity(512);
            events.begin(&Context::default());
            events.push_bytes(layout.kind, 1, &vec![0; layout.body_length]);
            events.finish();
            let map = to_json(events.records().next().unwrap());
            assert_eq!(map["kind"], json!(layout.name));
            assert!(!map.contains_key("bytes"), "{} has no description", layout.name);
        }
    }

    /// Bytes of each body that no field of the description shows: what the layouts call reserved, and nothing else.
    const RESERVED: &[(&str, usize)] = &[
        ("CreateAsset", 3),
        ("CreateAccount", 4),
        ("CancelOrder", 4),
        ("ReplaceOrder", 4),
        ("EndDay", 4),
        ("NewExtendedOrder", 7),
        ("ReplaceExtendedOrder", 4),
        ("ReplaceOrderTerms", 4),
        ("MassCancel", 5),
        ("SetAccountStatus", 2),
        ("SetAccountOptions", 6),
        ("SetInstrumentRules", 7),
        ("SetTimetable", 4),
        ("SetPhase", 3),
        ("AdvanceTime", 8),
        ("Rejected", 4),
        ("AssetCreated", 3),
        ("AccountCreated", 4),
        ("OrderCanceled", 2),
        ("OrderReplaced", 2),
        ("Trade", 2),
        ("ExtendedOrderAccepted", 13),
        ("OrderTriggered", 6),
        ("OrderShown", 7),
        ("OrderRepriced", 7),
        ("OrderDecremented", 7),
        ("FeeCharged", 7),
        ("MassCancelAccepted", 5),
        ("AccountStatusSet", 2),
        ("AccountOptionsSet", 6),
        ("InstrumentRulesSet", 7),
        ("TimetableSet", 4),
        ("PhaseChanged", 10),
        ("AuctionIndicative", 4),
        ("AuctionUncrossed", 4),
        ("TradeBusted", 3),
        ("TimeAdvanced", 7),
        ("OrderListAccepted", 3),
        ("OrderTermsReplaced", 7),
    ];

    #[test]
    fn every_byte_of_every_body_is_in_some_field_of_its_description() {
        let described = |kind: u16, body: &[u8]| {
            let mut events = EventBuffer::with_capacity(2048);
            events.begin(&Context::default());
            events.push_bytes(kind, 1, body);
            events.finish();
            to_json(events.records().next().unwrap())
        };
        let mut wrong = Vec::new();
        for layout in protocol::layouts() {
            // Zeros ask for nothing and ones for the first of everything: a byte may show over one or the other.
            let silent = (0..layout.body_length).filter(|at| {
                [0, 1].into_iter().all(|base| {
                    let mut body = vec![base; layout.body_length];
                    let before = described(layout.kind, &body);
                    body[*at] = 2;
                    before == described(layout.kind, &body)
                })
            });
            let silent = silent.count();
            let reserved =
                RESERVED.iter().find(|(name, _)| *name == layout.name).map_or(0, |(_, count)| *count);
            if silent != reserved {
                wrong.push((layout.name, silent));
            }
        }
        assert_eq!(wrong, [], "bytes that no field shows");
    }

    #[test]
    fn an_unknown_code_or_kind_is_shown_and_does_not_panic() {
        record_of(&Rejected { reason: 999, ..Rejected::default() }, |record| {
            assert_eq!(to_json(record)["reason"], json!(999));
        });
        let mut events = EventBuffer::with_capacity(512);
        events.begin(&Context::default());
        events.push_bytes(0x9999, 1, &[0xAB]);
        events.finish();
        assert_eq!(to_json(events.records().next().unwrap())["bytes"], json!("ab"));
    }

    #[test]
    fn dates_are_civil() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(timestamp(951_782_400_000_000_000), "2000-02-29T00:00:00.000000000Z");
        assert_eq!(timestamp(1_709_164_800_000_000_000), "2024-02-29T00:00:00.000000000Z");
    }
}
