//! What each account has traded in each quote asset, by day.

use alloc::vec::Vec;

use machine::{StateHasher, prefetch};
use protocol::{AmountMinor, MAX_AMOUNT_MINOR, VOLUME_DAYS};
use wallet::BalanceSlot;

/// Days kept: those that count, and today.
const DAYS: usize = VOLUME_DAYS as usize + 1;

/// The newest day + 1 (0: nothing yet), then an amount for each day, by day modulo [`DAYS`]. Four cache lines.
pub(crate) type Row = [u64; 1 + DAYS];

const _: () = assert!(size_of::<Row>() == 256);

/// A row for each balance that has paid or received a quote amount: never more than there are positions, since who
/// trades has one. All of it comes zeroed from the system and costs nothing until it is used.
pub(crate) struct Volumes {
    /// Row + 1 by place in the balance table; 0 for a balance without one.
    places: Vec<u32>,
    /// Rows in the order in which they were first used.
    rows: Vec<Row>,
    limit: usize,
}

impl Volumes {
    /// Volumes for a balance table, of which at most `rows` balances ever trade. Nothing is allocated after this.
    pub(crate) fn with_capacity(balances: u32, rows: u32) -> Self {
        let limit = rows.min(balances) as usize;
        Self { places: alloc::vec![0; balances as usize], rows: Vec::with_capacity(limit), limit }
    }

    /// Asks for what [`Volumes::add`] will need.
    #[inline]
    pub(crate) fn prefetch(&self, quote: BalanceSlot, day: u32) {
        let place = self.places[quote.to_bits() as usize] as usize;
        if let Some(row) = self.rows.get(place.wrapping_sub(1)) {
            prefetch(&row[0]);
            prefetch(&row[cell(day)]);
        }
    }

    /// Adds what an account traded on a day (days since the Unix epoch, UTC). A day stops at [`MAX_AMOUNT_MINOR`].
    ///
    /// # Panics
    /// If the account has traded on a later day already: time never goes back.
    #[inline]
    pub(crate) fn add(&mut self, quote: BalanceSlot, day: u32, quote_minor: AmountMinor) {
        debug_assert!((0..=MAX_AMOUNT_MINOR).contains(&quote_minor));
        let place = &mut self.places[quote.to_bits() as usize];
        if *place == 0 {
            assert!(self.rows.len() < self.limit, "more balances have traded than there are positions");
            self.rows.push([0; 1 + DAYS]);
            *place = self.rows.len() as u32;
        }
        let row = &mut self.rows[*place as usize - 1];
        if row[0] != u64::from(day) + 1 {
            begin_day(row, day);
        }
        let amount = &mut row[cell(day)];
        *amount = (*amount + quote_minor as u64).min(MAX_AMOUNT_MINOR as u64);
    }

    /// What an account traded in the 30 days before a day. That day does not count; nor can there be a later one.
    #[inline]
    pub(crate) fn volume_minor(&self, quote: BalanceSlot, day: u32) -> i128 {
        let place = self.places[quote.to_bits() as usize];
        let Some(row) = (place as usize).checked_sub(1).map(|at| &self.rows[at]) else { return 0 };
        let newest = row[0] - 1;
        debug_assert!(newest <= u64::from(day));
        // The row holds the last 31 days up to its newest; of those the ones that are neither too old nor today.
        let oldest = u64::from(day).saturating_sub(u64::from(VOLUME_DAYS));
        let kept = (newest + 1).saturating_sub(DAYS as u64);
        let days = oldest.max(kept)..u64::from(day).min(newest + 1);
        days.map(|day| i128::from(row[cell(day as u32)])).sum()
    }

    /// All rows, by the place of their balance.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (BalanceSlot, &Row)> {
        let used = (0u32..).zip(&self.places).filter(|(_, place)| **place != 0);
        let used =
            used.map(|(balance, &place)| (BalanceSlot::from_bits(balance), &self.rows[place as usize - 1]));
        used.take(self.rows.len())
    }

    /// Takes a balance's row from a snapshot. False if there is no such balance, or no room, or it has one.
    pub(crate) fn restore(&mut self, quote: BalanceSlot, row: Row) -> bool {
        let place = self.places.get_mut(quote.to_bits() as usize);
        let Some(place) = place.filter(|place| **place == 0) else { return false };
        if self.rows.len() == self.limit || row[0] == 0 || row[0] > 1 << 32 {
            return false;
        }
        self.rows.push(row);
        *place = self.rows.len() as u32;
        row[1..].iter().all(|&amount| amount <= MAX_AMOUNT_MINOR as u64)
    }

    /// Feeds all rows, by the place of their balance.
    pub(crate) fn hash_into(&self, hasher: &mut StateHasher) {
        for (balance, row) in self.iter() {
            hasher.write_value(&balance.to_bits());
            hasher.write_value(row);
        }
    }
}

/// Where a day's amount is in its row.
#[inline]
fn cell(day: u32) -> usize {
    1 + day as usize % DAYS
}

/// Makes a day the newest one: the days since the last newest one are empty.
#[cold]
fn begin_day(row: &mut Row, day: u32) {
    let day = u64::from(day);
    let newest = row[0];
    assert!(newest <= day + 1, "time went back from day {newest} to {day}");
    for passed in newest.max((day + 1).saturating_sub(DAYS as u64))..=day {
        row[cell(passed as u32)] = 0;
    }
    row[0] = day + 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    fn slot(bits: u32) -> BalanceSlot {
        BalanceSlot::from_bits(bits)
    }

    fn hash(volumes: &Volumes) -> u64 {
        let mut hasher = StateHasher::new();
        volumes.hash_into(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn thirty_days_count_and_today_does_not() {
        let mut volumes = Volumes::with_capacity(2, 1);
        volumes.add(slot(1), 20_000, 5);
        volumes.add(slot(1), 20_000, 6);
        assert_eq!(volumes.volume_minor(slot(1), 20_000), 0);
        assert_eq!(volumes.volume_minor(slot(1), 20_001), 11);
        assert_eq!(volumes.volume_minor(slot(1), 20_030), 11);
        assert_eq!(volumes.volume_minor(slot(1), 20_031), 0);
        assert_eq!(volumes.volume_minor(slot(0), 20_001), 0);
        volumes.add(slot(1), 20_030, 100);
        assert_eq!(volumes.volume_minor(slot(1), 20_030), 11);
        assert_eq!(volumes.volume_minor(slot(1), 20_031), 100);
        // The cell of a day that is 31 days back is used anew.
        volumes.add(slot(1), 20_031, 1_000);
        assert_eq!(volumes.volume_minor(slot(1), 20_031), 100);
        assert_eq!(volumes.volume_minor(slot(1), 20_032), 1_100);
    }

    #[test]
    fn a_day_saturates_and_thirty_such_days_do_not_overflow() {
        let mut volumes = Volumes::with_capacity(1, 1);
        for day in 0..40 {
            for _ in 0..3 {
                volumes.add(slot(0), day, MAX_AMOUNT_MINOR);
            }
        }
        assert_eq!(volumes.volume_minor(slot(0), 40), 30 * i128::from(MAX_AMOUNT_MINOR));
        assert_eq!(volumes.volume_minor(slot(0), 39), 30 * i128::from(MAX_AMOUNT_MINOR));
        assert_eq!(volumes.volume_minor(slot(0), u32::MAX), 0);
    }

    #[test]
    fn the_hash_knows_account_day_and_amount() {
        let entries = [(0, 5, 7), (1, 5, 7), (0, 6, 7), (0, 5, 8)];
        let hashes = entries.map(|(place, day, amount)| {
            let mut volumes = Volumes::with_capacity(2, 2);
            assert_eq!(hash(&volumes), StateHasher::new().finish());
            volumes.add(slot(place), day, amount);
            hash(&volumes)
        });
        for (at, one) in hashes.iter().enumerate() {
            assert!(hashes.iter().skip(at + 1).all(|other| other != one), "{:?}", entries[at]);
        }
    }

    #[test]
    #[should_panic(expected = "time went back")]
    fn time_does_not_go_back() {
        let mut volumes = Volumes::with_capacity(1, 1);
        volumes.add(slot(0), 2, 1);
        volumes.add(slot(0), 1, 1);
    }

    #[test]
    fn rows_are_kept_apart_and_the_hash_does_not_ask_who_came_first() {
        let mut one = Volumes::with_capacity(9, 2);
        let mut two = Volumes::with_capacity(9, 2);
        one.add(slot(7), 5, 70);
        one.add(slot(3), 6, 30);
        two.add(slot(3), 6, 30);
        two.add(slot(7), 5, 70);
        for volumes in [&one, &two] {
            assert_eq!([3, 7, 8].map(|place| volumes.volume_minor(slot(place), 7)), [30, 70, 0]);
        }
        assert_eq!(hash(&one), hash(&two));
    }

    #[test]
    #[should_panic(expected = "more balances have traded than there are positions")]
    fn there_are_as_many_rows_as_positions() {
        let mut volumes = Volumes::with_capacity(9, 1);
        volumes.add(slot(7), 5, 70);
        volumes.add(slot(3), 6, 30);
    }

    proptest! {
        #[test]
        fn agrees_with_a_map_of_all_days(
            first in prop_oneof![Just(0u32), 0..100u32, Just(u32::MAX - 4_000)],
            steps in proptest::collection::vec((prop_oneof![0..3u32, 25..40u32], 0..50i64), 1..100),
        ) {
            let mut volumes = Volumes::with_capacity(1, 1);
            let mut days: BTreeMap<u32, i128> = BTreeMap::new();
            let mut day = first;
            for (step, amount) in steps {
                day += step;
                let range = day.saturating_sub(30)..day;
                let expected: i128 = days.range(range).map(|(_, amount)| amount).sum();
                prop_assert_eq!(volumes.volume_minor(slot(0), day), expected);
                volumes.add(slot(0), day, amount);
                *days.entry(day).or_default() += i128::from(amount);
            }
        }
    }
}
