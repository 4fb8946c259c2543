//! Records beyond the plain order.

use machine::Record;
use protocol::{
    AccountOptionsSet, AccountStatus, AccountStatusSet, AdvanceTime, AuctionIndicative, AuctionUncrossed,
    BandAction, BustTrade, CancelReason, CommandKind, EventKind, ExtendedOrderAccepted, FeeCharged,
    FeeScheduleSet, InstrumentRulesSet, ListType, MassCancel, MassCancelAccepted, MassCancelDone,
    NewClientOrderList, NewExtendedOrder, NewOrderList, OrderDecremented, OrderListAccepted, OrderRepriced,
    OrderShown, OrderTerms, OrderTermsReplaced, OrderTriggered, PegReference, Phase, PhaseChanged, PostOnly,
    ReplaceExtendedOrder, ReplaceOrderTerms, RiskLimitsSet, SelfTradePrevention, SetAccountOptions,
    SetAccountStatus, SetFeeSchedule, SetInstrumentRules, SetPhase, SetRiskLimits, SetTickTable,
    SetTimetable, Side, TickTableSet, TimeAdvanced, TimetableSet, TradeBusted, TrailUnit, TriggerSource,
    term_flags,
};
use serde_json::{Value, json};
use zerocopy::FromBytes;

use super::{Field, Fields, accepted, new_order, replace_order};

/// Who pays a fee ([`FeeCharged::role`]).
const ROLES: [&str; 3] = ["none", "maker", "taker"];

pub(super) fn command_body(record: Record<'_>) -> Option<Fields> {
    match CommandKind::from_code(record.header().kind)? {
        CommandKind::NewExtendedOrder => record.body_as::<NewExtendedOrder>().map(extended_order),
        CommandKind::NewOrderList => list(record.body()),
        CommandKind::NewClientOrderList => client_list(record.body()),
        CommandKind::ReplaceExtendedOrder => record.body_as::<ReplaceExtendedOrder>().map(replaced_terms),
        CommandKind::ReplaceOrderTerms => {
            record.body_as::<ReplaceOrderTerms>().map(|it| replaced_terms(&it.0))
        }
        CommandKind::MassCancel => body!(record, MassCancel {
            account, instrument, client_order_id, side as Side, of_session, gateway, session,
            reason as CancelReason,
        }),
        CommandKind::SetAccountStatus => record.body_as::<SetAccountStatus>().map(status),
        CommandKind::SetAccountOptions => record.body_as::<SetAccountOptions>().map(options),
        CommandKind::SetRiskLimits => record.body_as::<SetRiskLimits>().map(risk_limits),
        CommandKind::SetInstrumentRules => record.body_as::<SetInstrumentRules>().map(rules),
        CommandKind::SetTickTable => record.body_as::<SetTickTable>().map(tick_table),
        CommandKind::SetFeeSchedule => record.body_as::<SetFeeSchedule>().map(fee_schedule),
        CommandKind::SetTimetable => record.body_as::<SetTimetable>().map(timetable),
        CommandKind::SetPhase => body!(record, SetPhase { instrument, phase as Phase, until_ns }),
        CommandKind::BustTrade => body!(record, BustTrade { trade_id, reference }),
        CommandKind::AdvanceTime => record.body_as::<AdvanceTime>().map(|_| Fields::new()),
        _ => None,
    }
}

pub(super) fn event_body(record: Record<'_>) -> Option<Fields> {
    match EventKind::from_code(record.header().kind)? {
        EventKind::ExtendedOrderAccepted => record.body_as::<ExtendedOrderAccepted>().map(|it| {
            let mut map = accepted(&it.order);
            map.extend(terms(&it.terms));
            if it.list_type != 0 {
                map.extend(fields!(it, { list_type as ListType, list_order_id, inactive }));
            }
            map
        }),
        EventKind::OrderTriggered => body!(record, OrderTriggered {
            order_id, account, instrument, side as Side, price_ticks, leaves_lots, waits, hold_minor,
        }),
        EventKind::OrderShown => {
            body!(record, OrderShown { order_id, account, instrument, side as Side, price_ticks, shown_lots })
        }
        EventKind::OrderRepriced => {
            body!(record, OrderRepriced { order_id, account, instrument, side as Side, price_ticks })
        }
        EventKind::OrderDecremented => body!(record, OrderDecremented {
            order_id, account, instrument, side as Side, quantity_lots, leaves_lots, hold_minor,
        }),
        EventKind::FeeCharged => record.body_as::<FeeCharged>().map(|it| {
            let mut map = fields!(it, { trade_id, account, asset, amount_minor });
            let role = ROLES.get(usize::from(it.role)).map_or_else(|| json!(it.role), |role| json!(role));
            map.insert("role".to_string(), role);
            map
        }),
        EventKind::OrderTermsReplaced => body!(record, OrderTermsReplaced {
            order_id, account, instrument, side as Side, trigger_price_ticks, display_lots,
        }),
        EventKind::OrderListAccepted => body!(record, OrderListAccepted {
            account, client_list_id, list_type as ListType, count,
        }),
        EventKind::MassCancelAccepted => body!(record, MassCancelAccepted {
            account, instrument, client_order_id, side as Side, of_session, gateway, session,
            reason as CancelReason,
        }),
        EventKind::MassCancelDone => body!(
            record,
            MassCancelDone { begun_sequence, account, instrument, client_order_id, canceled_orders }
        ),
        EventKind::AccountStatusSet => record.body_as::<AccountStatusSet>().map(|it| status(&it.0)),
        EventKind::AccountOptionsSet => record.body_as::<AccountOptionsSet>().map(|it| options(&it.0)),
        EventKind::RiskLimitsSet => record.body_as::<RiskLimitsSet>().map(|it| risk_limits(&it.0)),
        EventKind::InstrumentRulesSet => record.body_as::<InstrumentRulesSet>().map(|it| rules(&it.0)),
        EventKind::TickTableSet => record.body_as::<TickTableSet>().map(|it| tick_table(&it.0)),
        EventKind::FeeScheduleSet => record.body_as::<FeeScheduleSet>().map(|it| fee_schedule(&it.0)),
        EventKind::TimetableSet => record.body_as::<TimetableSet>().map(|it| timetable(&it.0)),
        EventKind::PhaseChanged => body!(record, PhaseChanged {
            instrument, phase as Phase, previous as Phase, until_ns, reference_price_ticks,
        }),
        EventKind::AuctionIndicative => {
            body!(record, AuctionIndicative { instrument, price_ticks, paired_lots, imbalance_lots })
        }
        EventKind::AuctionUncrossed => {
            body!(record, AuctionUncrossed { instrument, price_ticks, paired_lots, imbalance_lots })
        }
        EventKind::TradeBusted => body!(record, TradeBusted {
            trade_id, reference, instrument, price_ticks, quantity_lots, quote_minor, taker_side as Side,
            maker_order_id, maker_account, maker_fee_minor, maker_fee_asset, taker_order_id, taker_account,
            taker_fee_minor, taker_fee_asset,
        }),
        EventKind::TimeAdvanced => body!(record, TimeAdvanced { work_left }),
        _ => None,
    }
}

fn extended_order(it: &NewExtendedOrder) -> Fields {
    let mut map = new_order(&it.order);
    map.extend(terms(&it.terms));
    map
}

/// The terms that ask for something; those of a plain order come to nothing.
fn terms(it: &OrderTerms) -> Fields {
    let mut map = fields!(it, {
        trigger_price_ticks, display_lots, display_variation_lots, minimum_lots, expire_time_ns, budget_minor, offset,
        trigger as TriggerSource, trail as TrailUnit, peg as PegReference, post_only as PostOnly,
    });
    map.retain(|_, value| *value != json!(0));
    let flags = [(term_flags::HIDDEN, "hidden"), (term_flags::ALL_OR_NONE, "all_or_none")];
    for (flag, name) in flags {
        if it.flags & flag != 0 {
            map.insert(name.to_string(), json!(true));
        }
    }
    map
}

fn replaced_terms(it: &ReplaceExtendedOrder) -> Fields {
    let mut map = replace_order(&it.replace);
    map.extend(fields!(it, { trigger_price_ticks, display_lots }));
    map
}

/// A list's head and its orders; `None` unless the body is as long as its count says.
fn list(body: &[u8]) -> Option<Fields> {
    let (head, rest) = NewOrderList::ref_from_prefix(body).ok()?;
    list_of(head, rest)
}

/// The same of a list that has an id of its owner's.
fn client_list(body: &[u8]) -> Option<Fields> {
    let (head, rest) = NewClientOrderList::ref_from_prefix(body).ok()?;
    let mut map = list_of(&head.list, rest)?;
    map.extend(fields!(head, { client_list_id }));
    Some(map)
}

fn list_of(head: &NewOrderList, rest: &[u8]) -> Option<Fields> {
    let orders =
        <[NewExtendedOrder]>::ref_from_bytes(rest).ok().filter(|it| it.len() == head.count as usize)?;
    let mut map = fields!(head, { account, count, list_type as ListType });
    let orders = orders.iter().map(|order| Value::Object(extended_order(order)));
    map.insert("orders".to_string(), Value::Array(orders.collect()));
    Some(map)
}

fn status(it: &SetAccountStatus) -> Fields {
    fields!(it, { account, status as AccountStatus, cancel_orders })
}

fn options(it: &SetAccountOptions) -> Fields {
    fields!(it, {
        account, self_trade_prevention as SelfTradePrevention, pays_in_fee_asset, max_orders, interval_ns,
    })
}

fn risk_limits(it: &SetRiskLimits) -> Fields {
    fields!(it, {
        account, instrument, max_order_lots, max_order_notional_minor, max_position_lots, max_open_orders,
        price_collar_bps,
    })
}

fn rules(it: &SetInstrumentRules) -> Fields {
    fields!(it, {
        instrument, min_quantity_lots, max_quantity_lots, round_lot_lots, min_notional_minor, max_notional_minor,
        reference_price_ticks, static_band_bps, dynamic_band_bps, collar_bps, band_action as BandAction,
        volatility_auction_ns, random_end_ns, seed, fee_asset, fee_asset_rate_ppm,
    })
}

fn tick_table(it: &SetTickTable) -> Fields {
    let mut map = fields!(it, { instrument, count });
    let rows = it.rows.iter().take(it.count as usize);
    let rows = rows.map(|row| Value::Object(fields!(row, { from_price_ticks, tick_ticks })));
    map.insert("rows".to_string(), Value::Array(rows.collect()));
    map
}

fn fee_schedule(it: &SetFeeSchedule) -> Fields {
    let mut map = fields!(it, { instrument, count });
    let tiers = it.tiers.iter().take(it.count as usize);
    let tiers =
        tiers.map(|tier| Value::Object(fields!(tier, { min_volume_minor, maker_fee_ppm, taker_fee_ppm })));
    map.insert("tiers".to_string(), Value::Array(tiers.collect()));
    map
}

fn timetable(it: &SetTimetable) -> Fields {
    fields!(it, {
        instrument, pre_open_ns, opening_auction_ns, continuous_ns, closing_auction_ns, closed_ns, repeat_ns,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{to_json, to_line};
    use super::*;
    use machine::{Body, Context, EventBuffer};
    use protocol::{FeeTier, OrderAccepted};
    use zerocopy::IntoBytes;

    fn json_of(kind: u16, body: &[u8]) -> Fields {
        let mut events = EventBuffer::with_capacity(1024);
        events.begin(&Context::default());
        events.push_bytes(kind, 1, body);
        events.finish();
        to_json(events.records().next().unwrap())
    }

    #[test]
    fn a_list_is_described_with_its_orders_or_as_bytes() {
        let order = NewExtendedOrder {
            terms: OrderTerms { display_lots: 5, flags: term_flags::HIDDEN, peg: 9, ..OrderTerms::default() },
            ..NewExtendedOrder::default()
        };
        let head = NewOrderList { count: 2, list_type: 1, ..NewOrderList::default() };
        let bytes = [head.as_bytes(), order.as_bytes(), order.as_bytes()].concat();
        let map = json_of(NewOrderList::KIND, &bytes);
        assert_eq!(
            (&map["list_type"], &map["orders"][1]["display_lots"]),
            (&json!("OneCancelsOther"), &json!(5))
        );
        assert_eq!((&map["orders"][0]["hidden"], &map["orders"][0]["peg"]), (&json!(true), &json!(9)));
        assert!(map["orders"][0].get("offset").is_none(), "terms that ask for nothing are left out");
        assert!(json_of(NewOrderList::KIND, &bytes[..bytes.len() - 8]).contains_key("bytes"));
        let head = NewOrderList { count: 3, ..head };
        let bytes = [head.as_bytes(), order.as_bytes(), order.as_bytes()].concat();
        assert!(json_of(NewOrderList::KIND, &bytes).contains_key("bytes"));
    }

    #[test]
    fn tables_show_the_rows_that_count() {
        let mut schedule = SetFeeSchedule { instrument: 3, count: 1, ..SetFeeSchedule::default() };
        schedule.tiers[0] = FeeTier { min_volume_minor: 0, maker_fee_ppm: -50, taker_fee_ppm: 100 };
        let map = json_of(FeeScheduleSet::KIND, schedule.as_bytes());
        assert_eq!(
            map["tiers"],
            json!([{"min_volume_minor": 0, "maker_fee_ppm": -50, "taker_fee_ppm": 100}])
        );
        let map =
            json_of(SetTickTable::KIND, SetTickTable { count: 99, ..SetTickTable::default() }.as_bytes());
        assert_eq!(map["rows"].as_array().map(Vec::len), Some(8), "a count beyond the table does not panic");
    }

    #[test]
    fn an_extended_order_reads_as_one_line() {
        let event = ExtendedOrderAccepted {
            order: OrderAccepted { price_ticks: 100, order_type: 4, ..OrderAccepted::default() },
            terms: OrderTerms { trigger_price_ticks: 90, trigger: 1, ..OrderTerms::default() },
            list_type: 3,
            inactive: 1,
            ..ExtendedOrderAccepted::default()
        };
        let mut events = EventBuffer::with_capacity(1024);
        events.begin(&Context::default());
        events.push(&event);
        events.finish();
        let line = to_line(events.records().next().unwrap());
        for part in
            ["order_type=StopLimit", "trigger_price_ticks=90", "trigger=LastTrade", "list_type=Bracket"]
        {
            assert!(line.contains(part), "{line}");
        }
    }
}
