//! What the configuration sets and may set anew at every start: sent when the journal has nothing or something else.

use std::collections::BTreeMap;

use machine::{Body, Record};
use protocol::{
    AccountOptionsSet, FeeScheduleSet, InstrumentRulesSet, RiskLimitsSet, SetAccountOptions, SetFeeSchedule,
    SetInstrumentRules, SetRiskLimits, SetTickTable, SetTimetable, TickTableSet, TimetableSet,
};

use crate::operator::Wish;
use crate::rules::{DAY_NS, on_day};

/// One setting, as the command that makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// An instrument's rules. The reference price is set with the first ones only: later it is the market's.
    Rules(SetInstrumentRules),
    /// An instrument's tick table.
    Ticks(SetTickTable),
    /// An instrument's fee schedule.
    Fees(SetFeeSchedule),
    /// An instrument's timetable, of any day.
    Timetable(SetTimetable),
    /// An account's options.
    Options(SetAccountOptions),
    /// Risk limits.
    Risk(SetRiskLimits),
}

/// What a setting is of: kind of the command, instrument, account.
pub type Key = (u16, u32, u32);

/// The settings in force, folded from events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InForce(BTreeMap<Key, Setting>);

impl InForce {
    /// Folds one event.
    pub fn apply(&mut self, event: Record<'_>) {
        if let Some(setting) = Setting::of_event(event) {
            self.0.insert(setting.key(), setting);
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.0.values()
    }

    /// Takes over what a checkpoint has.
    pub fn restore(&mut self, setting: Setting) {
        self.0.insert(setting.key(), setting);
    }

    /// The command that brings `wanted` into force, unless it is.
    pub fn missing(&self, wanted: &Setting, now_ns: u64) -> Option<Wish> {
        let known = self.0.get(&wanted.key());
        let is_so = match (wanted, known) {
            (_, None) => false,
            (Setting::Rules(wanted), Some(Setting::Rules(known))) => {
                *wanted
                    == SetInstrumentRules { reference_price_ticks: wanted.reference_price_ticks, ..*known }
            }
            (Setting::Timetable(wanted), Some(Setting::Timetable(known))) => {
                on_day(wanted, now_ns) == of_its_day(known, wanted, now_ns)
            }
            (_, Some(known)) => wanted == known,
        };
        (!is_so).then(|| wanted.wish(known.is_some(), now_ns))
    }
}

/// A timetable in force, moved by whole days to where `wanted` would begin now.
fn of_its_day(known: &SetTimetable, wanted: &SetTimetable, now_ns: u64) -> SetTimetable {
    let times = |it: &SetTimetable| {
        [it.pre_open_ns, it.opening_auction_ns, it.continuous_ns, it.closing_auction_ns, it.closed_ns]
    };
    let first = |it: &SetTimetable| times(it).into_iter().find(|&time_ns| time_ns != 0).unwrap_or(0);
    let target_ns = first(&on_day(wanted, now_ns));
    let first_ns = first(known);
    let whole_days = target_ns.abs_diff(first_ns).is_multiple_of(DAY_NS);
    let moved = |time_ns: u64| match time_ns {
        0 => 0,
        _ if whole_days => (time_ns - first_ns).saturating_add(target_ns),
        _ => time_ns,
    };
    SetTimetable {
        pre_open_ns: moved(known.pre_open_ns),
        opening_auction_ns: moved(known.opening_auction_ns),
        continuous_ns: moved(known.continuous_ns),
        closing_auction_ns: moved(known.closing_auction_ns),
        closed_ns: moved(known.closed_ns),
        ..*known
    }
}

impl Setting {
    fn of_event(event: Record<'_>) -> Option<Self> {
        None.or_else(|| event.body_as::<InstrumentRulesSet>().map(|it| Self::Rules(it.0)))
            .or_else(|| event.body_as::<TickTableSet>().map(|it| Self::Ticks(it.0)))
            .or_else(|| event.body_as::<FeeScheduleSet>().map(|it| Self::Fees(it.0)))
            .or_else(|| event.body_as::<TimetableSet>().map(|it| Self::Timetable(it.0)))
            .or_else(|| event.body_as::<AccountOptionsSet>().map(|it| Self::Options(it.0)))
            .or_else(|| event.body_as::<RiskLimitsSet>().map(|it| Self::Risk(it.0)))
    }

    /// What it is of.
    pub fn key(&self) -> Key {
        match self {
            Self::Rules(it) => (SetInstrumentRules::KIND, it.instrument, 0),
            Self::Ticks(it) => (SetTickTable::KIND, it.instrument, 0),
            Self::Fees(it) => (SetFeeSchedule::KIND, it.instrument, 0),
            Self::Timetable(it) => (SetTimetable::KIND, it.instrument, 0),
            Self::Options(it) => (SetAccountOptions::KIND, 0, it.account.0),
            Self::Risk(it) => (SetRiskLimits::KIND, it.instrument, it.account.0),
        }
    }

    fn wish(&self, again: bool, now_ns: u64) -> Wish {
        match self {
            Self::Rules(it) => {
                let reference_price_ticks = if again { 0 } else { it.reference_price_ticks };
                let command = SetInstrumentRules { reference_price_ticks, ..*it };
                Wish::of(&command, format!("rules of instrument {}", it.instrument))
            }
            Self::Ticks(it) => Wish::of(it, format!("tick table of instrument {}", it.instrument)),
            Self::Fees(it) => Wish::of(it, format!("fee schedule of instrument {}", it.instrument)),
            Self::Timetable(it) => {
                Wish::of(&on_day(it, now_ns), format!("timetable of instrument {}", it.instrument))
            }
            Self::Options(it) => Wish::of(it, format!("options of account {}", it.account)),
            Self::Risk(it) => {
                let what = format!("risk limits of account {} on instrument {}", it.account, it.instrument);
                Wish::of(it, what)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::{Context, EventBuffer};
    use protocol::AccountId;
    use zerocopy::{FromBytes, IntoBytes};

    fn apply<T: Body>(in_force: &mut InForce, event: &T) {
        let mut events = EventBuffer::with_capacity(512);
        events.begin(&Context::default());
        events.push(event);
        events.finish();
        events.records().for_each(|record| in_force.apply(record));
    }

    #[test]
    fn a_setting_is_sent_once_and_again_when_it_changes() {
        let mut in_force = InForce::default();
        let limits =
            SetRiskLimits { account: AccountId(3), instrument: 1, max_open_orders: 5, ..Default::default() };
        let wish = in_force.missing(&Setting::Risk(limits), 0).unwrap();
        assert_eq!((wish.kind, wish.body.as_slice()), (SetRiskLimits::KIND, limits.as_bytes()));
        apply(&mut in_force, &RiskLimitsSet(limits));
        assert!(in_force.missing(&Setting::Risk(limits), 0).is_none());
        let other = SetRiskLimits { max_open_orders: 6, ..limits };
        assert!(in_force.missing(&Setting::Risk(other), 0).is_some());
        let of_all = SetRiskLimits { account: AccountId(0), ..limits };
        assert!(
            in_force.missing(&Setting::Risk(of_all), 0).is_some(),
            "another account's limits are no limits of it"
        );
    }

    #[test]
    fn the_reference_price_is_set_with_the_first_rules_only() {
        let mut in_force = InForce::default();
        let rules = SetInstrumentRules {
            instrument: 1,
            reference_price_ticks: 100,
            collar_bps: 5,
            ..Default::default()
        };
        let sent =
            |wish: Wish| SetInstrumentRules::read_from_bytes(&wish.body).unwrap().reference_price_ticks;
        assert_eq!(sent(in_force.missing(&Setting::Rules(rules), 0).unwrap()), 100);
        apply(&mut in_force, &InstrumentRulesSet(SetInstrumentRules { reference_price_ticks: 137, ..rules }));
        assert!(in_force.missing(&Setting::Rules(rules), 0).is_none());
        let changed = SetInstrumentRules { collar_bps: 6, ..rules };
        assert_eq!(sent(in_force.missing(&Setting::Rules(changed), 0).unwrap()), 0);
    }

    #[test]
    fn a_timetable_is_the_same_on_every_day() {
        let hour_ns = DAY_NS / 24;
        let at = |day: u64, close: u64| SetTimetable {
            continuous_ns: day * DAY_NS + 9 * hour_ns,
            closed_ns: day * DAY_NS + close * hour_ns,
            repeat_ns: DAY_NS,
            instrument: 1,
            ..Default::default()
        };
        let mut in_force = InForce::default();
        let wanted = Setting::Timetable(at(1, 17));
        let now_ns = 20_000 * DAY_NS + 12 * hour_ns;
        let wish = in_force.missing(&wanted, now_ns).unwrap();
        assert_eq!(SetTimetable::read_from_bytes(&wish.body).unwrap(), at(20_000, 17));
        apply(&mut in_force, &TimetableSet(at(20_000, 17)));
        for days in [0, 1, 400] {
            assert!(in_force.missing(&wanted, now_ns + days * DAY_NS).is_none());
        }
        assert!(in_force.missing(&Setting::Timetable(at(1, 18)), now_ns).is_some());
        let later = SetTimetable { continuous_ns: DAY_NS + 10 * hour_ns, ..at(1, 17) };
        assert!(in_force.missing(&Setting::Timetable(later), now_ns).is_some());
    }
}
