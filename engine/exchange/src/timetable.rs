//! An instrument's trading day: which phase begins when.

use machine::StateHasher;
use protocol::{Phase, SetTimetable};

use crate::rules::Rules;

/// Times and what they repeat after are below this, so that few sums of them fit.
const TIME_LIMIT_NS: u64 = 1 << 62;

/// The entries of a table, in order.
const PHASES: [Phase; 5] =
    [Phase::PreOpen, Phase::OpeningAuction, Phase::Continuous, Phase::ClosingAuction, Phase::Closed];

/// A timetable and how far it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timetable {
    /// When each of [`PHASES`] begins next; 0 leaves it out.
    times_ns: [u64; 5],
    /// After this long all times come again; 0 for never.
    repeat_ns: u64,
    /// The entry that comes next; 5 if there is none any more.
    next: u32,
}

impl Timetable {
    /// From a command that is valid.
    pub(crate) fn new(set: &SetTimetable) -> Self {
        let mut timetable = Self { times_ns: times_of(set), repeat_ns: set.repeat_ns, next: 0 };
        timetable.skip();
        timetable
    }

    /// Whether the times rise, and come again only after the last of them.
    pub(crate) fn is_valid(set: &SetTimetable) -> bool {
        let times = times_of(set);
        let given = || times.iter().copied().filter(|&time_ns| time_ns != 0);
        let (first, last) = (given().next().unwrap_or(0), given().next_back().unwrap_or(0));
        given().is_sorted_by(|one, next| one < next)
            && last < TIME_LIMIT_NS
            && set.repeat_ns < TIME_LIMIT_NS
            && (set.repeat_ns == 0 || set.repeat_ns > last - first)
    }

    /// The entry that comes next and when it takes effect: an auction's end up to `random_end_ns` after its time.
    #[inline]
    pub(crate) fn next(&self, rules: &Rules) -> Option<(u64, Phase)> {
        let time_ns = *self.times_ns.get(self.next as usize)?;
        let phase = PHASES[self.next as usize];
        // An auction, where the table has one, is the entry just before the phase that ends it.
        let ends_auction = match phase {
            Phase::Continuous | Phase::Closed => self.times_ns[self.next as usize - 1] != 0,
            _ => false,
        };
        let later_ns = if ends_auction { rules.random_end(time_ns) } else { 0 };
        Some((time_ns.saturating_add(later_ns), phase))
    }

    /// Goes on to the entry after the next one; behind the last all times come again later, if they repeat.
    pub(crate) fn advance(&mut self, now_ns: u64) {
        self.next += 1;
        self.skip();
        if self.next as usize == PHASES.len() && self.repeat_ns > 0 {
            self.repeat(now_ns);
        }
    }

    /// Feeds what is left of it.
    pub(crate) fn hash_into(&self, hasher: &mut StateHasher) {
        hasher.write_value(&self.times_ns);
        hasher.write_value(&self.repeat_ns);
        hasher.write_value(&self.next);
    }

    /// Passes over entries that are left out.
    fn skip(&mut self) {
        while self.times_ns.get(self.next as usize) == Some(&0) {
            self.next += 1;
        }
    }

    /// Moves all times until the last one lies in the future: days that have passed meanwhile are passed over at once,
    /// or a table that repeats every nanosecond would keep its exchange from doing anything else. A table whose times
    /// would leave the calendar has ended.
    fn repeat(&mut self, now_ns: u64) {
        let last_ns = self.times_ns.iter().copied().max().unwrap_or(0);
        let repeats = now_ns.checked_sub(last_ns).map_or(1, |passed_ns| passed_ns / self.repeat_ns + 1);
        let Some(shift_ns) = repeats.checked_mul(self.repeat_ns) else { return };
        let mut moved = self.times_ns;
        for time_ns in moved.iter_mut().filter(|time_ns| **time_ns != 0) {
            match time_ns.checked_add(shift_ns) {
                Some(later_ns) => *time_ns = later_ns,
                None => return,
            }
        }
        self.times_ns = moved;
        self.next = 0;
        self.skip();
    }
}

fn times_of(set: &SetTimetable) -> [u64; 5] {
    [set.pre_open_ns, set.opening_auction_ns, set.continuous_ns, set.closing_auction_ns, set.closed_ns]
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use protocol::SetInstrumentRules;

    fn table(times: [u64; 5], repeat_ns: u64) -> SetTimetable {
        let [pre_open_ns, opening_auction_ns, continuous_ns, closing_auction_ns, closed_ns] = times;
        SetTimetable {
            pre_open_ns,
            opening_auction_ns,
            continuous_ns,
            closing_auction_ns,
            closed_ns,
            repeat_ns,
            ..SetTimetable::default()
        }
    }

    fn rules(random_end_ns: u64) -> Rules {
        let mut rules = Rules::default();
        rules.change(&SetInstrumentRules { random_end_ns, seed: 5, ..SetInstrumentRules::default() });
        rules
    }

    fn play(times: [u64; 5], repeat_ns: u64, rules: &Rules, entries: usize) -> Vec<(u64, Phase)> {
        assert!(Timetable::is_valid(&table(times, repeat_ns)));
        let mut timetable = Timetable::new(&table(times, repeat_ns));
        let mut played = Vec::new();
        while let Some(entry) = timetable.next(rules).filter(|_| played.len() < entries) {
            played.push(entry);
            timetable.advance(0);
        }
        played
    }

    #[test]
    fn entries_come_in_order_and_again_after_the_last() {
        use Phase::{Closed, ClosingAuction, Continuous, OpeningAuction, PreOpen};
        let none = rules(0);
        let day = [(10, PreOpen), (20, OpeningAuction), (30, Continuous), (40, ClosingAuction), (50, Closed)];
        assert_eq!(play([10, 20, 30, 40, 50], 0, &none, 99), day);
        let twice = day.iter().copied().chain(day.iter().map(|&(time_ns, phase)| (time_ns + 41, phase)));
        assert_eq!(play([10, 20, 30, 40, 50], 41, &none, 10), twice.collect::<Vec<_>>());
        assert_eq!(play([0, 0, 30, 0, 50], 0, &none, 99), [(30, Continuous), (50, Closed)]);
        assert_eq!(play([0, 20, 0, 0, 0], 7, &none, 3), [20, 27, 34].map(|time| (time, OpeningAuction)));
        assert_eq!(play([0; 5], 7, &none, 99), []);
        assert_eq!(play([0; 5], 0, &none, 99), []);
    }

    #[test]
    fn auctions_end_at_random_and_nothing_else_does() {
        let late = rules(1_000);
        let times = [10, 20, 30, 40, 50];
        let expected = [10, 20, 30 + late.random_end(30), 40, 50 + late.random_end(50)];
        assert!(late.random_end(30) > 0 && late.random_end(50) > 0);
        let played = |times| play(times, 0, &late, 99).iter().map(|entry| entry.0).collect::<Vec<u64>>();
        assert_eq!(played(times), expected);
        // Without an auction before it a phase begins on time.
        assert_eq!(played([10, 0, 30, 0, 50]), [10, 30, 50]);
        assert_eq!(played([0, 20, 30, 0, 50]), [20, expected[2], 50]);
        // When they come again it is at another random time.
        let again = play(times, 41, &late, 10);
        assert_eq!(again[7].0, 71 + late.random_end(71));
    }

    #[test]
    fn valid_times_rise_and_repeat_after_the_last() {
        let valid = |times, repeat_ns| Timetable::is_valid(&table(times, repeat_ns));
        assert!(valid([1, 2, 3, 4, 5], 5) && !valid([1, 2, 3, 4, 5], 4));
        assert!(valid([0, 2, 0, 4, 0], 3) && !valid([0, 2, 0, 4, 0], 2));
        assert!(!valid([1, 1, 3, 4, 5], 0) && !valid([2, 0, 1, 0, 0], 0));
        assert!(valid([0, 0, 9, 0, 0], 1) && valid([0; 5], 1));
        assert!(valid([0, 0, 0, 1, TIME_LIMIT_NS - 1], TIME_LIMIT_NS - 1));
        assert!(!valid([0, 0, 0, 0, TIME_LIMIT_NS], 0) && !valid([0, 0, 0, 0, 1], TIME_LIMIT_NS));
    }

    #[test]
    fn a_table_ends_where_time_does() {
        let mut timetable = Timetable::new(&table([0, 0, 5, 0, TIME_LIMIT_NS - 1], TIME_LIMIT_NS - 1));
        let mut entries = 0;
        while timetable.next(&rules(0)).is_some() {
            timetable.advance(0);
            entries += 1;
        }
        // Four times 2^62 is the end: the second entry cannot come a fifth time.
        assert_eq!(entries, 8);
    }

    #[test]
    fn the_hash_knows_times_and_progress() {
        let hash = |timetable: &Timetable| {
            let mut hasher = StateHasher::new();
            timetable.hash_into(&mut hasher);
            hasher.finish()
        };
        let one = Timetable::new(&table([1, 2, 0, 0, 0], 9));
        let mut two = one;
        two.advance(0);
        let others =
            [two, Timetable::new(&table([1, 3, 0, 0, 0], 9)), Timetable::new(&table([1, 2, 0, 0, 0], 8))];
        assert!(others.iter().all(|other| hash(other) != hash(&one)));
    }
}
