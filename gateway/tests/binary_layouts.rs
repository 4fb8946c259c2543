//! `docs/binary.md` has the records byte by byte; this compares its tables with the source of the records.
//!
//! The page once named the source in place of most tables: nobody could write a client from the page alone.

use std::collections::BTreeMap;

use protocol::{
    AccountStatus, CancelReason, CommandKind, EventKind, Layout, ListType, OrderType, PegReference, Phase,
    PostOnly, RejectReason, SelfTradePrevention, Side, TimeInForce, TrailUnit, TriggerSource, layouts,
};

const DOC: &str = include_str!("../../docs/binary.md");
const SOURCES: [&str; 4] = [
    include_str!("../../engine/protocol/src/commands.rs"),
    include_str!("../../engine/protocol/src/special.rs"),
    include_str!("../../engine/protocol/src/events.rs"),
    include_str!("../../engine/protocol/src/special_events.rs"),
];

/// Name and type of each field.
type Fields = Vec<(String, String)>;

/// The structs of the source, by name; one that wraps another has a field without a name.
fn structs() -> BTreeMap<String, Fields> {
    let mut structs: BTreeMap<String, Fields> = BTreeMap::new();
    for source in SOURCES {
        let mut open: Option<String> = None;
        for line in source.lines().map(|line| line.trim().trim_start_matches("pub ")) {
            let wrapped = line.strip_suffix(");").and_then(|line| line.split_once('('));
            if let Some(name) = &open {
                match line.strip_suffix(',').and_then(|line| line.split_once(": ")) {
                    Some((field, kind)) if !line.starts_with("//") => {
                        let field = (field.to_owned(), kind.to_owned());
                        structs.get_mut(name).expect("begun above").push(field);
                    }
                    _ if line == "}" => open = None,
                    _ => {}
                }
            } else if let Some(head) = line.strip_suffix(" {") {
                let body = head.split_once(", ").filter(|(_, rest)| rest.contains("Kind::"));
                let name = head.strip_prefix("struct ").or(body.map(|(name, _)| name));
                if let Some(name) = name.filter(|name| !name.contains('$')) {
                    structs.insert(name.to_owned(), Vec::new());
                    open = Some(name.to_owned());
                }
            } else if let Some((name, inner)) = wrapped {
                let name = name.trim_start_matches("struct ");
                let inner = inner.trim_start_matches("pub ");
                structs.insert(name.to_owned(), vec![(String::new(), inner.to_owned())]);
            }
        }
    }
    structs
}

fn bytes(structs: &BTreeMap<String, Fields>, kind: &str) -> usize {
    if let Some((inner, count)) = kind.trim_matches(['[', ']']).split_once("; ") {
        let count = match count {
            "MAX_TICK_ROWS" => protocol::MAX_TICK_ROWS,
            "MAX_FEE_TIERS" => protocol::MAX_FEE_TIERS,
            count => count.parse().expect("a number"),
        };
        return count * bytes(structs, inner);
    }
    match kind {
        "u8" => 1,
        "u16" => 2,
        "u32" | "AccountId" | "AssetId" | "InstrumentId" => 4,
        "u64" | "i64" | "OrderId" | "PriceTicks" | "QuantityLots" | "AmountMinor" => 8,
        "ClientOrderId" => 36,
        "Name" => 16,
        kind => structs[kind].iter().map(|(_, kind)| bytes(structs, kind)).sum(),
    }
}

/// Offset, bytes and name of each field in the table under a heading.
fn documented(heading: &str) -> Option<Vec<(usize, usize, &'static str)>> {
    let rest = DOC.lines().skip_while(|line| {
        line.strip_prefix("#### ").and_then(|line| line.split(' ').next()) != Some(heading)
    });
    let rows =
        rest.skip(1).skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        (cells[1].parse().expect("an offset"), cells[2].parse().expect("bytes"), cells[3])
    };
    let rows: Vec<_> = rows.skip(2).map(row).collect();
    (!rows.is_empty()).then_some(rows)
}

#[test]
fn every_record_that_a_client_sends_or_gets_lies_as_documented() {
    let structs = structs();
    // Those of the older tables are in `binary_doc.rs`.
    let elsewhere = ["NewOrder", "CancelOrder", "ReplaceOrder"];
    let events = DOC.split("### Events").nth(1).unwrap().split("## Refusals").next().unwrap();
    let is_known = |it: &&Layout| match CommandKind::from_code(it.kind) {
        Some(_) => DOC.contains(&format!("\n| {} | {} | ", it.kind, it.name)),
        None => events.contains(&format!("0x{:04X}", it.kind)),
    };
    let all = layouts();
    let mut wanted: Vec<&str> = all.iter().filter(is_known).map(|it| it.name).collect();
    wanted.retain(|name| !elsewhere.contains(name));
    assert_eq!(wanted.len(), 6 + 26);
    let records = wanted.len();
    let mut seen = 0;
    while let Some(name) = wanted.get(seen).copied() {
        seen += 1;
        let fields = &structs[name];
        if let Some(layout) = all.iter().find(|it| it.name == name) {
            assert_eq!(bytes(&structs, name), layout.body_length, "{name}: the source is read wrongly");
            let kind = match CommandKind::from_code(layout.kind) {
                Some(_) => layout.kind.to_string(),
                None => format!("0x{:04X}", layout.kind),
            };
            // Those that stand in others have their kind elsewhere, or are no records here.
            assert!(seen > records || DOC.contains(&format!("{name} ({kind})")), "{name} ({kind})");
        }
        if fields[0].0.is_empty() {
            let inner = structs.keys().find(|key| **key == fields[0].1).unwrap();
            assert!(DOC.contains(&format!("): the bytes of {inner}.")), "{name}");
            wanted.push(inner);
            continue;
        }
        let table = documented(name).unwrap_or_else(|| panic!("{name} has no table"));
        let mut expected = Vec::new();
        let mut at = 0;
        for (field, kind) in fields {
            let length = bytes(&structs, kind);
            expected.push((at, length, field.as_str()));
            at += length;
            let inner = kind.trim_start_matches('[').split(';').next().unwrap();
            let inner = structs.keys().find(|key| *key == inner).map(String::as_str);
            wanted.extend(inner.filter(|inner| !elsewhere.contains(inner)));
        }
        assert_eq!(table, expected, "{name}");
    }
}

#[test]
fn all_numbers_are_there() {
    macro_rules! check {
        ($($codes:ident),+) => {$(
            let all: Vec<String> =
                $codes::ALL.iter().map(|it| format!("{} {}", it.code(), it.name())).collect();
            let row = format!("| {} | {} |", stringify!($codes), all.join(", "));
            assert!(DOC.contains(&row), "{row}");
        )+};
    }
    check!(
        Side,
        OrderType,
        TimeInForce,
        SelfTradePrevention,
        TriggerSource,
        TrailUnit,
        PegReference,
        PostOnly
    );
    check!(ListType, CancelReason, AccountStatus, Phase, RejectReason);
    assert!(
        EventKind::from_code(0x8006).is_some_and(|it| DOC.contains(&format!("#### {} (0x8006)", it.name())))
    );
}
