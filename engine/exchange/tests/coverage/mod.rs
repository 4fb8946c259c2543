//! What of the specification a stream of events has reached, in words, so that a generator that no longer reaches it
//! fails the test.

use std::collections::BTreeSet;

use machine::Record;
use protocol::{
    AuctionUncrossed, DayEnded, ExtendedOrderAccepted, FeeCharged, ListType, MassCancelDone, NewOrder,
    OrderAccepted, OrderTerms, OrderTriggered, OrderType, PegReference, Phase, PhaseChanged, PostOnly,
    TimeAdvanced, TimeInForce, Trade, TradeBusted, TrailUnit, TriggerSource, term_flags,
};

/// What has been seen.
#[derive(Default)]
pub struct Coverage(BTreeSet<String>);

impl Coverage {
    pub fn note(&mut self, event: Record<'_>) {
        if let Some(it) = event.body_as::<OrderAccepted>() {
            self.saw(&format!("plain {}", kind_of(it)));
        } else if let Some(it) = event.body_as::<ExtendedOrderAccepted>() {
            self.saw(&kind_of(&it.order));
            self.note_terms(&it.terms);
            if it.list_type != 0 {
                let list = ListType::from_code(it.list_type).map_or("?", ListType::name);
                self.saw(&format!("{list}{}", if it.inactive == 1 { " inactive" } else { "" }));
            }
        } else if let Some(it) = event.body_as::<Trade>() {
            self.saw(if it.auction == 1 { "trade of an auction" } else { "trade" });
            self.saw_if(it.maker_fee_minor < 0, "rebate");
            self.saw_if(it.maker_account == it.taker_account, "trade with oneself");
        } else {
            self.note_rare(event);
        }
    }

    fn note_rare(&mut self, event: Record<'_>) {
        if let Some(it) = event.body_as::<FeeCharged>() {
            let role = if it.role == 1 { "maker" } else { "taker" };
            self.saw(&format!("{role} pays in the fee asset"));
            self.saw_if(it.amount_minor == 0, "fee of nothing in the fee asset");
        } else if let Some(it) = event.body_as::<OrderTriggered>() {
            self.saw(if it.waits == 1 { "set free, and waits" } else { "set free" });
        } else if let Some(it) = event.body_as::<PhaseChanged>() {
            self.saw(Phase::from_code(it.phase).map_or("?", Phase::name));
            self.saw_if(it.until_ns != 0, "phase with an end");
        } else if let Some(it) = event.body_as::<AuctionUncrossed>() {
            let sign = ["fewer", "as many", "more"][(it.imbalance_lots.signum() + 1) as usize];
            self.saw(&format!("uncross of {sign} buys"));
        } else if let Some(it) = event.body_as::<TradeBusted>() {
            self.saw_if(it.maker_fee_asset != it.taker_fee_asset, "bust of fees in two assets");
            self.saw_if(it.maker_fee_minor < 0, "bust of a rebate");
        } else if let Some(it) = event.body_as::<MassCancelDone>() {
            self.saw_if(it.canceled_orders > 1, "mass cancel of several");
        } else if let Some(it) = event.body_as::<DayEnded>() {
            self.saw_if(it.remaining_orders > 0, "day end with orders left");
        } else if let Some(it) = event.body_as::<TimeAdvanced>() {
            self.saw_if(it.work_left == 1, "work left");
        }
    }

    fn note_terms(&mut self, terms: &OrderTerms) {
        self.saw_if(terms.flags & term_flags::HIDDEN != 0, "hidden");
        self.saw_if(terms.flags & term_flags::ALL_OR_NONE != 0, "all or none");
        self.saw_if(terms.display_lots != 0, "iceberg");
        self.saw_if(terms.display_variation_lots != 0, "iceberg of random slices");
        self.saw_if(terms.minimum_lots != 0, "minimum quantity");
        self.saw_if(terms.budget_minor != 0, "budget");
        self.saw_if(terms.expire_time_ns != 0 && terms.trigger != 0, "stop with a date");
        let codes = [
            ("post-only", PostOnly::from_code(terms.post_only).map(PostOnly::name)),
            ("stop on", TriggerSource::from_code(terms.trigger).map(TriggerSource::name)),
            ("trailing by", TrailUnit::from_code(terms.trail).map(TrailUnit::name)),
            ("pegged to", PegReference::from_code(terms.peg).map(PegReference::name)),
        ];
        for (what, name) in codes {
            if let Some(name) = name {
                self.saw(&format!("{what} {name}"));
            }
        }
    }

    fn saw_if(&mut self, holds: bool, what: &str) {
        if holds {
            self.saw(what);
        }
    }

    fn saw(&mut self, what: &str) {
        if !self.0.contains(what) {
            self.0.insert(what.to_owned());
        }
    }

    /// Things of the list that have not been seen.
    pub fn missing<'a>(&self, expected: &'a [String]) -> Vec<&'a String> {
        expected.iter().filter(|&what| !self.0.contains(what)).collect()
    }
}

fn kind_of(it: &OrderAccepted) -> String {
    let order_type = OrderType::from_code(it.order_type).map_or("?", OrderType::name);
    let time = TimeInForce::from_code(it.time_in_force).map_or("?", TimeInForce::name);
    format!("{order_type} {time}")
}

/// Everything that must be reached.
pub fn expected() -> Vec<String> {
    let stays = [TimeInForce::Day, TimeInForce::GoodTillCancel, TimeInForce::GoodTillDate];
    let auction = [TimeInForce::AtTheOpening, TimeInForce::AtTheClose];
    let immediate = [TimeInForce::ImmediateOrCancel, TimeInForce::FillOrKill];
    let mut all: Vec<String> = Vec::new();
    for order_type in [OrderType::Stop, OrderType::StopLimit, OrderType::Pegged, OrderType::MarketToLimit] {
        all.extend(stays.map(|time| format!("{} {}", order_type.name(), time.name())));
    }
    for time in immediate {
        all.push(format!("plain Market {}", time.name()));
    }
    for time in TimeInForce::ALL {
        let plain = !auction.contains(time) && *time != TimeInForce::GoodTillDate;
        all.extend(plain.then(|| format!("plain Limit {}", time.name())));
        all.push(format!("Limit {}", time.name()));
    }
    all.extend(auction.map(|time| format!("Market {}", time.name())));
    all.extend(PostOnly::ALL.iter().map(|it| format!("post-only {}", it.name())));
    all.extend(TriggerSource::ALL.iter().map(|it| format!("stop on {}", it.name())));
    all.extend(TrailUnit::ALL.iter().map(|it| format!("trailing by {}", it.name())));
    all.extend(PegReference::ALL.iter().map(|it| format!("pegged to {}", it.name())));
    all.extend(Phase::ALL.iter().map(|it| it.name().to_owned()));
    all.extend(["fewer", "as many", "more"].map(|sign| format!("uncross of {sign} buys")));
    let others = [
        "OneCancelsOther",
        "OneTriggersOther",
        "OneTriggersOther inactive",
        "Bracket",
        "Bracket inactive",
        "hidden",
        "all or none",
        "iceberg",
        "iceberg of random slices",
        "minimum quantity",
        "budget",
        "stop with a date",
        "trade",
        "trade of an auction",
        "trade with oneself",
        "rebate",
        "maker pays in the fee asset",
        "taker pays in the fee asset",
        "fee of nothing in the fee asset",
        "set free",
        "set free, and waits",
        "phase with an end",
        "bust of fees in two assets",
        "bust of a rebate",
        "mass cancel of several",
        "day end with orders left",
        "work left",
    ];
    all.extend(others.map(str::to_owned));
    all
}

const _: () = assert!(size_of::<NewOrder>() == 64, "a new field: let the generator draw it");
