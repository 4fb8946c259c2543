//! `docs/binary.md` says what the bytes are; this compares its tables with the code.

use std::mem::offset_of;

use gateway::binary::wire::{LoginAccepted, LoginRequest, Refusal, RefusalReason, packet};
use machine::{HEADER_LENGTH, RecordHeader, Source};
use protocol::{
    CancelOrder, CommandKind, EventKind, NewExtendedOrder, NewOrder, OrderType, ReplaceOrder, Side,
    TimeInForce, layouts,
};

const DOC: &str = include_str!("../../docs/binary.md");

/// The rows of the first table after a line, as cells.
fn table(after: &str) -> Vec<Vec<&'static str>> {
    let rest = DOC.lines().skip_while(|line| *line != after).skip(1);
    let rows = rest.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    // The first two are the heading and the line under it.
    let rows: Vec<Vec<&str>> =
        rows.skip(2).map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect();
    assert!(!rows.is_empty(), "no table after {after:?}");
    rows
}

/// First two columns as numbers: offset and bytes.
fn fields(after: &str) -> Vec<(usize, usize)> {
    let number =
        |cell: &str| cell.parse().unwrap_or_else(|_| panic!("{cell:?} after {after:?} is no number"));
    let fields: Vec<(usize, usize)> =
        table(after).iter().map(|row| (number(row[0]), number(row[1]))).collect();
    for pair in fields.windows(2) {
        assert_eq!(pair[0].0 + pair[0].1, pair[1].0, "a gap after {after:?}");
    }
    fields
}

fn total(fields: &[(usize, usize)]) -> usize {
    fields.last().map_or(0, |it| it.0 + it.1)
}

fn offsets(fields: &[(usize, usize)]) -> Vec<usize> {
    fields.iter().map(|it| it.0).collect()
}

#[test]
fn control_packets_lie_as_documented() {
    let login = fields("### Login Request");
    let expected = [
        offset_of!(LoginRequest, version),
        offset_of!(LoginRequest, reserved),
        offset_of!(LoginRequest, from_sequence),
        offset_of!(LoginRequest, username),
        offset_of!(LoginRequest, password),
    ];
    assert_eq!((offsets(&login), total(&login)), (expected.to_vec(), size_of::<LoginRequest>()));
    let accepted = fields("### Login Accepted");
    let expected = [
        offset_of!(LoginAccepted, version),
        offset_of!(LoginAccepted, gateway),
        offset_of!(LoginAccepted, session),
        offset_of!(LoginAccepted, cancel_on_disconnect),
        offset_of!(LoginAccepted, reserved),
        offset_of!(LoginAccepted, account),
        offset_of!(LoginAccepted, max_packet_bytes),
        offset_of!(LoginAccepted, from_sequence),
        offset_of!(LoginAccepted, last_sequence),
    ];
    assert_eq!((offsets(&accepted), total(&accepted)), (expected.to_vec(), size_of::<LoginAccepted>()));
    let refusal = fields("## Refusals");
    let expected = [
        offset_of!(Refusal, message_number),
        offset_of!(Refusal, kind),
        offset_of!(Refusal, reason),
        offset_of!(Refusal, client_order_id),
    ];
    assert_eq!((offsets(&refusal), total(&refusal)), (expected.to_vec(), size_of::<Refusal>()));
    let packets = table("## Packets");
    assert_eq!(packets[2][0], "3", "the payload's offset");
    for (kind, bytes) in [
        (packet::LOGIN_REQUEST, size_of::<LoginRequest>()),
        (packet::LOGIN_ACCEPTED, size_of::<LoginAccepted>()),
        (packet::REFUSED, size_of::<Refusal>()),
    ] {
        let row = format!("`{}` ", kind as char);
        let rows: Vec<&str> = DOC.lines().filter(|line| line.contains(&row)).collect();
        assert!(rows.iter().any(|line| line.contains(&format!("| {bytes} bytes |"))), "{rows:?}");
    }
}

#[test]
fn records_lie_as_documented() {
    let header = fields("## Records");
    let source = offset_of!(RecordHeader, source);
    let expected = [
        offset_of!(RecordHeader, length),
        offset_of!(RecordHeader, checksum),
        offset_of!(RecordHeader, sequence),
        offset_of!(RecordHeader, timestamp_ns),
        offset_of!(RecordHeader, kind),
        offset_of!(RecordHeader, schema_version),
        offset_of!(RecordHeader, flags),
        source + offset_of!(Source, gateway),
        source + offset_of!(Source, session),
    ];
    assert_eq!((offsets(&header), total(&header)), (expected.to_vec(), HEADER_LENGTH));
    let new = fields("NewOrder");
    let expected = [
        offset_of!(NewOrder, price_ticks),
        offset_of!(NewOrder, quantity_lots),
        offset_of!(NewOrder, account),
        offset_of!(NewOrder, instrument),
        offset_of!(NewOrder, client_order_id),
        offset_of!(NewOrder, side),
        offset_of!(NewOrder, order_type),
        offset_of!(NewOrder, time_in_force),
        offset_of!(NewOrder, self_trade_prevention),
    ];
    assert_eq!((offsets(&new), total(&new)), (expected.to_vec(), size_of::<NewOrder>()));
    let cancel = fields("CancelOrder");
    let expected = [
        offset_of!(CancelOrder, order_id),
        offset_of!(CancelOrder, account),
        offset_of!(CancelOrder, instrument),
        offset_of!(CancelOrder, client_order_id),
        offset_of!(CancelOrder, reserved),
    ];
    assert_eq!((offsets(&cancel), total(&cancel)), (expected.to_vec(), size_of::<CancelOrder>()));
    let replace = fields("ReplaceOrder");
    let expected = [
        offset_of!(ReplaceOrder, order_id),
        offset_of!(ReplaceOrder, price_ticks),
        offset_of!(ReplaceOrder, quantity_lots),
        offset_of!(ReplaceOrder, account),
        offset_of!(ReplaceOrder, instrument),
        offset_of!(ReplaceOrder, client_order_id),
        offset_of!(ReplaceOrder, reserved),
    ];
    assert_eq!((offsets(&replace), total(&replace)), (expected.to_vec(), size_of::<ReplaceOrder>()));
}

/// The page once had limit and market the wrong way round, and so had the client that was written from it.
#[test]
fn choices_of_an_order_have_their_numbers() {
    let fields = table("NewOrder");
    let text = |name: &str| {
        let row =
            fields.iter().find(|row| row[2].starts_with(name)).unwrap_or_else(|| panic!("no row {name}"));
        row[2].to_owned()
    };
    let types = text("order type");
    for (code, words) in [(OrderType::Market.code(), "market"), (OrderType::Limit.code(), "limit")] {
        assert!(types.contains(&format!("{code} {words}")), "{types}");
    }
    let times = text("time in force");
    for (code, words) in [
        (TimeInForce::Day.code(), "day"),
        (TimeInForce::GoodTillCancel.code(), "good till cancel"),
        (TimeInForce::ImmediateOrCancel.code(), "immediate or cancel"),
        (TimeInForce::FillOrKill.code(), "fill or kill"),
    ] {
        assert!(times.contains(&format!("{code} {words}")), "{times}");
    }
    let sides = text("side");
    for (code, words) in [(Side::Buy.code(), "buy"), (Side::Sell.code(), "sell")] {
        assert!(sides.contains(&format!("{code} {words}")), "{sides}");
    }
}

#[test]
fn kinds_and_reasons_have_their_numbers() {
    for row in table("### Commands") {
        let kind: u16 = row[0].parse().unwrap();
        assert_eq!(CommandKind::from_code(kind).map(CommandKind::name), Some(row[1]));
        let length = layouts().iter().find(|it| it.kind == kind).unwrap().body_length;
        let first = row[2].split(' ').next().unwrap();
        assert_eq!(first.parse(), Ok(length), "{row:?}");
        if ["NewOrderList", "NewClientOrderList"].contains(&row[1]) {
            let more = format!("and {} for each order", size_of::<NewExtendedOrder>());
            assert!(row[2].contains(&more), "{row:?}");
        }
    }
    let events = DOC.split("### Events").nth(1).unwrap().split("## Refusals").next().unwrap();
    let words: Vec<&str> =
        events.split([' ', '\n', ',', ';', ':', '.']).filter(|it| !it.is_empty()).collect();
    let mut named = 0;
    for pair in words.windows(2) {
        let Some(code) = pair[0].strip_prefix("0x") else { continue };
        let code = u16::from_str_radix(code, 16).unwrap();
        assert_eq!(EventKind::from_code(code).map(EventKind::name), Some(pair[1]), "{pair:?}");
        named += 1;
    }
    assert_eq!(named, 26);
    let refusals = DOC.split("## Refusals").nth(1).unwrap();
    for reason in [
        RefusalReason::Malformed,
        RefusalReason::KindNotAllowed,
        RefusalReason::NotPermitted,
        RefusalReason::OtherAccount,
        RefusalReason::OtherSession,
        RefusalReason::TooManyMessages,
        RefusalReason::DiskFull,
    ] {
        assert!(refusals.contains(&format!("| {} {reason:?} |", reason as u16)), "{reason:?}");
    }
}
