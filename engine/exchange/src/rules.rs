//! An instrument's rules: tick table, quantities, notionals, bands and collars.

use machine::StateHasher;
use orderbook::split_mix;
use protocol::{
    BandAction, CreateInstrument, MAX_PRICE_TICKS, MAX_TICK_ROWS, PriceTicks, QuantityLots,
    SetInstrumentRules, SetTickTable, Side, TickRow,
};

/// Basis points in the whole.
const WHOLE_BPS: u32 = 10_000;

/// Longest volatility auction and random end: a day.
const MAX_AUCTION_NS: u64 = 86_400_000_000_000;

/// Largest tick of a table.
const MAX_TICK: i64 = 1 << 20;

/// What has been set for an instrument; nothing at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// As it was set. What the reference price is now is the instrument's matter.
    set: SetInstrumentRules,
    table: SetTickTable,
    /// Whether any of the rules is set that every order is checked against.
    has_order_rules: bool,
}

impl Rules {
    /// Whether all fields but the instrument are in range. That the fee asset exists is the caller's matter.
    pub(crate) fn are_valid(set: &SetInstrumentRules, created: &CreateInstrument) -> bool {
        let not_negative = [
            set.min_quantity_lots,
            set.max_quantity_lots,
            set.round_lot_lots,
            set.min_notional_minor,
            set.max_notional_minor,
        ];
        let fits_most = |least: i64, most: i64| least == 0 || most == 0 || least <= most;
        let least_auction_ns = u64::from(set.band_action == BandAction::Auction.code());
        let has_fee_asset = set.fee_asset != 0;
        not_negative.iter().all(|&value| value >= 0)
            && fits_most(set.min_quantity_lots, set.max_quantity_lots)
            && fits_most(set.min_notional_minor, set.max_notional_minor)
            && [set.static_band_bps, set.dynamic_band_bps, set.collar_bps].iter().all(|&bps| bps <= WHOLE_BPS)
            && (least_auction_ns..=MAX_AUCTION_NS).contains(&set.volatility_auction_ns)
            && set.random_end_ns <= MAX_AUCTION_NS
            && (0..=MAX_PRICE_TICKS).contains(&set.reference_price_ticks)
            && set.fee_asset != created.base_asset
            && set.fee_asset != created.quote_asset
            && has_fee_asset == (set.fee_asset_rate_ppm != 0)
    }

    /// Whether a table's rows are in range. What is not a row must be zero.
    pub(crate) fn is_valid_table(table: &SetTickTable) -> bool {
        if table.count as usize > MAX_TICK_ROWS {
            return false;
        }
        let (rows, unused) = table.rows.split_at(table.count as usize);
        unused.iter().all(|row| *row == TickRow::default())
            && rows.first().is_none_or(|row| row.from_price_ticks == 1)
            && rows.is_sorted_by(|one, next| one.from_price_ticks < next.from_price_ticks)
            && rows.last().is_none_or(|row| row.from_price_ticks <= MAX_PRICE_TICKS)
            && rows.iter().all(|row| (1..=MAX_TICK).contains(&row.tick_ticks))
    }

    /// Takes valid rules over.
    /// As it was set.
    #[inline]
    pub(crate) fn set(&self) -> &SetInstrumentRules {
        &self.set
    }

    pub(crate) fn change(&mut self, set: &SetInstrumentRules) {
        self.set = *set;
        self.note();
    }

    /// Takes a valid tick table over.
    pub(crate) fn change_table(&mut self, table: &SetTickTable) {
        self.table = *table;
        self.note();
    }

    /// Whether orders have to be checked against quantities, notionals, ticks or bands at all.
    #[inline]
    pub(crate) fn are_any(&self) -> bool {
        self.has_order_rules
    }

    /// Whether a limit price is a multiple of the tick there.
    #[inline]
    pub(crate) fn is_on_tick(&self, price_ticks: PriceTicks) -> bool {
        self.row(price_ticks).is_none_or(|at| price_ticks % self.table.rows[at].tick_ticks == 0)
    }

    /// The highest price on a tick below this one, if there is one. `price_ticks` is at least 1.
    pub(crate) fn next_tick_below(&self, price_ticks: PriceTicks) -> Option<PriceTicks> {
        let mut highest = price_ticks - 1;
        while highest > 0 {
            let Some(at) = self.row(highest) else { return Some(highest) };
            let row = self.table.rows[at];
            let on_tick = highest - highest % row.tick_ticks;
            if on_tick >= row.from_price_ticks {
                return Some(on_tick);
            }
            // The row has no multiple of its tick that low: go on in the one before it.
            highest = row.from_price_ticks - 1;
        }
        None
    }

    /// The lowest price on a tick above this one, if there is one. `price_ticks` is at least 1.
    pub(crate) fn next_tick_above(&self, price_ticks: PriceTicks) -> Option<PriceTicks> {
        let mut lowest = price_ticks + 1;
        while lowest <= MAX_PRICE_TICKS {
            let Some(at) = self.row(lowest) else { return Some(lowest) };
            let tick = self.table.rows[at].tick_ticks;
            let on_tick = (lowest + tick - 1) / tick * tick;
            let next_row = self.rows().get(at + 1).map_or(MAX_PRICE_TICKS + 1, |row| row.from_price_ticks);
            if on_tick < next_row {
                return Some(on_tick);
            }
            lowest = next_row;
        }
        None
    }

    /// Of the prices from `first` to `last` that are on a tick the nearest to this one, of two the lower; this one if none
    /// is.
    pub(crate) fn nearest_on_tick(
        &self,
        price_ticks: PriceTicks,
        first: PriceTicks,
        last: PriceTicks,
    ) -> PriceTicks {
        if self.is_on_tick(price_ticks) {
            return price_ticks;
        }
        let below = self.next_tick_below(price_ticks).filter(|&below| below >= first);
        let above = self.next_tick_above(price_ticks).filter(|&above| above <= last);
        match (below, above) {
            (Some(below), Some(above)) if above - price_ticks < price_ticks - below => above,
            (Some(below), _) => below,
            (None, above) => above.unwrap_or(price_ticks),
        }
    }

    /// By how much a quantity exceeds a multiple of the round lot.
    pub(crate) fn off_round_lot(&self, lots: QuantityLots) -> QuantityLots {
        if self.set.round_lot_lots == 0 { 0 } else { lots % self.set.round_lot_lots }
    }

    /// Whether an order's quantity is within least and most and a multiple of the round lot.
    #[inline]
    pub(crate) fn quantity_fits(&self, lots: QuantityLots) -> bool {
        let set = &self.set;
        lots >= set.min_quantity_lots
            && (set.max_quantity_lots == 0 || lots <= set.max_quantity_lots)
            && self.off_round_lot(lots) == 0
    }

    /// Whether an order's notional, which may exceed every amount, is within least and most.
    #[inline]
    pub(crate) fn notional_fits(&self, notional_minor: i128) -> bool {
        let set = &self.set;
        notional_minor >= i128::from(set.min_notional_minor)
            && (set.max_notional_minor == 0 || notional_minor <= i128::from(set.max_notional_minor))
    }

    /// The worst price that an order without a limit may trade at, counted from a price; none without a collar, or
    /// without a price (0).
    #[inline]
    pub(crate) fn collared(&self, side: Side, from_price_ticks: PriceTicks) -> Option<PriceTicks> {
        if self.set.collar_bps == 0 || from_price_ticks == 0 {
            return None;
        }
        let distance = share(from_price_ticks, self.set.collar_bps);
        Some(match side {
            Side::Buy => (from_price_ticks + distance).min(MAX_PRICE_TICKS),
            Side::Sell => (from_price_ticks - distance).max(1),
        })
    }

    /// Lowest and highest price that may trade, with a reference price and a last price (0: none); `None` if there is
    /// no band. Two bands that do not meet leave a lowest above the highest.
    #[inline]
    pub(crate) fn bands(
        &self,
        reference_ticks: PriceTicks,
        last_ticks: PriceTicks,
    ) -> Option<(PriceTicks, PriceTicks)> {
        let band = |price: PriceTicks, bps: u32| {
            let distance = share(price, bps);
            (price > 0 && bps > 0).then_some((price - distance, price + distance))
        };
        let fixed = band(reference_ticks, self.set.static_band_bps);
        let moving = band(last_ticks, self.set.dynamic_band_bps);
        match (fixed, moving) {
            (Some(one), Some(two)) => Some((one.0.max(two.0), one.1.min(two.1))),
            (one, two) => one.or(two),
        }
    }

    /// How much later an auction ends that is to end at a time.
    #[inline]
    pub(crate) fn random_end(&self, time_ns: u64) -> u64 {
        split_mix(&mut (self.set.seed ^ time_ns)) % (self.set.random_end_ns + 1)
    }

    /// The tick table as it was set.
    pub(crate) fn table(&self) -> &SetTickTable {
        &self.table
    }

    /// Feeds rules and table.
    pub(crate) fn hash_into(&self, hasher: &mut StateHasher) {
        hasher.write_value(&self.set);
        hasher.write_value(&self.table);
    }

    fn rows(&self) -> &[TickRow] {
        self.table.rows.get(..self.table.count as usize).unwrap_or_default()
    }

    /// The row of the table that a price is in; none without a table.
    #[inline]
    fn row(&self, price_ticks: PriceTicks) -> Option<usize> {
        self.rows().iter().take_while(|row| row.from_price_ticks <= price_ticks).count().checked_sub(1)
    }

    fn note(&mut self) {
        let set = &self.set;
        self.has_order_rules = set.min_quantity_lots > 0
            || set.max_quantity_lots > 0
            || set.round_lot_lots > 0
            || set.min_notional_minor > 0
            || set.max_notional_minor > 0
            || set.static_band_bps > 0
            || set.dynamic_band_bps > 0
            || set.collar_bps > 0
            || self.table.count > 0;
    }
}

/// So many basis points of a price, rounded down.
#[inline]
fn share(price_ticks: PriceTicks, bps: u32) -> PriceTicks {
    price_ticks * i64::from(bps) / i64::from(WHOLE_BPS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const CREATED: CreateInstrument = CreateInstrument {
        quote_minor_per_tick_lot: 1,
        base_minor_per_lot: 1,
        reference_price_ticks: 0,
        instrument: 1,
        base_asset: 1,
        quote_asset: 2,
        maker_fee_ppm: 0,
        taker_fee_ppm: 0,
        ladder_levels: 0,
        name: protocol::Name([0; 16]),
    };

    fn with(change: impl FnOnce(&mut SetInstrumentRules)) -> Rules {
        let mut set = SetInstrumentRules::default();
        change(&mut set);
        let mut rules = Rules::default();
        rules.change(&set);
        rules
    }

    fn table(list: &[(i64, i64)]) -> SetTickTable {
        let mut table = SetTickTable { count: list.len() as u32, ..SetTickTable::default() };
        for (row, &(from_price_ticks, tick_ticks)) in table.rows.iter_mut().zip(list) {
            *row = TickRow { from_price_ticks, tick_ticks };
        }
        table
    }

    fn with_table(list: &[(i64, i64)]) -> Rules {
        let mut rules = Rules::default();
        assert!(Rules::is_valid_table(&table(list)), "{list:?}");
        rules.change_table(&table(list));
        rules
    }

    #[test]
    fn rules_are_valid_within_their_bounds() {
        let valid = |change: fn(&mut SetInstrumentRules)| Rules::are_valid(&with(change).set, &CREATED);
        assert!(valid(|_| {}));
        let good: [fn(&mut SetInstrumentRules); 10] = [
            |it| (it.min_quantity_lots, it.max_quantity_lots, it.round_lot_lots) = (5, 5, i64::MAX),
            |it| (it.min_quantity_lots, it.max_quantity_lots) = (5, 0),
            |it| (it.min_notional_minor, it.max_notional_minor) = (5, 5),
            |it| (it.min_notional_minor, it.max_notional_minor) = (5, 0),
            |it| (it.static_band_bps, it.dynamic_band_bps, it.collar_bps) = (10_000, 10_000, 10_000),
            |it| (it.volatility_auction_ns, it.random_end_ns) = (MAX_AUCTION_NS, MAX_AUCTION_NS),
            |it| (it.band_action, it.volatility_auction_ns) = (1, 1),
            |it| it.reference_price_ticks = MAX_PRICE_TICKS,
            |it| (it.fee_asset, it.fee_asset_rate_ppm) = (3, 1),
            |it| (it.seed, it.instrument) = (u64::MAX, u32::MAX),
        ];
        assert_eq!(good.map(valid), [true; 10]);
        let bad: [fn(&mut SetInstrumentRules); 20] = [
            |it| it.min_quantity_lots = -1,
            |it| it.max_quantity_lots = -1,
            |it| it.round_lot_lots = -1,
            |it| it.min_notional_minor = -1,
            |it| it.max_notional_minor = -1,
            |it| (it.min_quantity_lots, it.max_quantity_lots) = (6, 5),
            |it| (it.min_notional_minor, it.max_notional_minor) = (6, 5),
            |it| it.static_band_bps = 10_001,
            |it| it.dynamic_band_bps = 10_001,
            |it| it.collar_bps = 10_001,
            |it| it.band_action = 1,
            |it| it.volatility_auction_ns = MAX_AUCTION_NS + 1,
            |it| it.random_end_ns = MAX_AUCTION_NS + 1,
            |it| it.reference_price_ticks = -1,
            |it| it.reference_price_ticks = MAX_PRICE_TICKS + 1,
            |it| (it.fee_asset, it.fee_asset_rate_ppm) = (1, 5),
            |it| (it.fee_asset, it.fee_asset_rate_ppm) = (2, 5),
            |it| it.fee_asset = 3,
            |it| it.fee_asset_rate_ppm = 1,
            |it| (it.band_action, it.volatility_auction_ns) = (1, MAX_AUCTION_NS + 1),
        ];
        assert_eq!(bad.map(valid), [false; 20]);
    }

    #[test]
    fn tables_are_valid_within_their_bounds() {
        let valid = |list: &[(i64, i64)]| Rules::is_valid_table(&table(list));
        assert!(valid(&[]) && valid(&[(1, 1)]) && valid(&[(1, MAX_TICK), (2, 1), (MAX_PRICE_TICKS, 5)]));
        assert!(valid(&[(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1)]));
        assert!(!valid(&[(2, 1)]) && !valid(&[(0, 1)]) && !valid(&[(1, 1), (5, 1), (5, 1)]));
        assert!(!valid(&[(1, 1), (5, 1), (4, 1)]) && !valid(&[(1, 1), (MAX_PRICE_TICKS + 1, 1)]));
        assert!(!valid(&[(1, 0)]) && !valid(&[(1, 1), (2, 0)]) && !valid(&[(1, MAX_TICK + 1)]));
        for count in [9, u32::MAX] {
            assert!(!Rules::is_valid_table(&SetTickTable { count, ..table(&[]) }));
        }
        assert!(!Rules::is_valid_table(&SetTickTable { count: 1, ..table(&[(1, 1), (2, 1)]) }));
    }

    #[test]
    fn each_order_rule_is_told_and_no_other() {
        assert!(!Rules::default().are_any());
        assert!(with_table(&[(1, 5)]).are_any() && !with_table(&[]).are_any());
        let order_rules: [fn(&mut SetInstrumentRules); 8] = [
            |it| it.collar_bps = 1,
            |it| it.min_quantity_lots = 1,
            |it| it.max_quantity_lots = 1,
            |it| it.round_lot_lots = 1,
            |it| it.min_notional_minor = 1,
            |it| it.max_notional_minor = 1,
            |it| it.static_band_bps = 1,
            |it| it.dynamic_band_bps = 1,
        ];
        assert_eq!(order_rules.map(|change| with(change).are_any()), [true; 8]);
        let others = with(|it| (it.fee_asset, it.seed, it.reference_price_ticks) = (3, 4, 5));
        assert!(!others.are_any());
        let mut both = with_table(&[(1, 5)]);
        both.change(&SetInstrumentRules::default());
        assert!(both.are_any());
    }

    #[test]
    fn quantities_and_notionals_are_bounded_only_where_a_bound_is_given() {
        let none = Rules::default();
        assert!([1, 7, i64::MAX].iter().all(|&it| none.quantity_fits(it)));
        assert!([1, 7, 1 << 120].iter().all(|&it| none.notional_fits(it)));
        let rules = with(|it| {
            (it.min_quantity_lots, it.max_quantity_lots, it.round_lot_lots) = (10, 30, 5);
            (it.min_notional_minor, it.max_notional_minor) = (100, 200);
        });
        let fits = [5, 9, 10, 11, 15, 30, 31, 35].map(|lots| rules.quantity_fits(lots));
        assert_eq!(fits, [false, false, true, false, true, true, false, false]);
        let fits = [99, 100, 200, 201].map(|minor| rules.notional_fits(minor));
        assert_eq!(fits, [false, true, true, false]);
        // A bound beyond all amounts is a bound all the same.
        let rules = with(|it| it.max_notional_minor = i64::MAX);
        let most = i128::from(i64::MAX);
        assert_eq!([most, most + 1].map(|minor| rules.notional_fits(minor)), [true, false]);
    }

    #[test]
    fn collars_round_toward_the_price_and_stay_above_zero() {
        let rules = with(|it| it.collar_bps = 150);
        assert_eq!(rules.collared(Side::Buy, 999), Some(999 + 14));
        assert_eq!(rules.collared(Side::Sell, 999), Some(999 - 14));
        assert_eq!(rules.collared(Side::Buy, 0), None);
        assert_eq!(with(|_| {}).collared(Side::Buy, 999), None);
        let whole = with(|it| it.collar_bps = 10_000);
        assert_eq!(whole.collared(Side::Sell, 5), Some(1));
        assert_eq!(whole.collared(Side::Buy, MAX_PRICE_TICKS), Some(MAX_PRICE_TICKS));
    }

    #[test]
    fn bands_are_what_is_within_both() {
        let both = with(|it| (it.static_band_bps, it.dynamic_band_bps) = (1_000, 500));
        assert_eq!(both.bands(0, 0), None);
        assert_eq!(both.bands(1_009, 0), Some((909, 1_109)));
        assert_eq!(both.bands(0, 1_059), Some((1_007, 1_111)));
        assert_eq!(both.bands(1_009, 1_059), Some((1_007, 1_109)));
        assert_eq!(both.bands(1_009, 950), Some((909, 997)));
        assert_eq!(both.bands(1_000, 2_000), Some((1_900, 1_100)));
        assert_eq!(with(|it| it.static_band_bps = 10_000).bands(7, 9), Some((0, 14)));
        assert_eq!(with(|it| it.dynamic_band_bps = 10_000).bands(7, 9), Some((0, 18)));
    }

    #[test]
    fn random_ends_come_from_seed_and_time_and_reach_both_bounds() {
        assert_eq!(with(|it| it.seed = 9).random_end(77), 0);
        let rules = with(|it| (it.seed, it.random_end_ns) = (9, 3));
        let ends: Vec<u64> = (0..100).map(|time_ns| rules.random_end(time_ns)).collect();
        assert!((0..=3).all(|end| ends.contains(&end)) && ends.iter().all(|&end| end <= 3));
        assert_eq!(rules.random_end(77), split_mix(&mut (9 ^ 77)) % 4);
        assert!(
            (0..100)
                .any(|time_ns| with(|it| it.random_end_ns = 3).random_end(time_ns) != ends[time_ns as usize])
        );
    }

    #[test]
    fn ticks_end_at_both_ends_of_the_prices() {
        let none = Rules::default();
        assert!(none.is_on_tick(7));
        assert_eq!((none.next_tick_below(7), none.next_tick_above(7)), (Some(6), Some(8)));
        assert_eq!((none.next_tick_below(1), none.next_tick_above(MAX_PRICE_TICKS)), (None, None));
        assert_eq!(none.next_tick_above(MAX_PRICE_TICKS - 1), Some(MAX_PRICE_TICKS));
        let wide = with_table(&[(1, 10), (MAX_PRICE_TICKS - 1, MAX_TICK)]);
        assert_eq!((wide.next_tick_below(10), wide.next_tick_below(11)), (None, Some(10)));
        assert_eq!(wide.next_tick_above(MAX_PRICE_TICKS - 1), None);
        assert!(wide.next_tick_below(MAX_PRICE_TICKS).is_some_and(|price| price % 10 == 0));
    }

    #[test]
    fn the_hash_knows_rules_and_table() {
        let hash = |rules: &Rules| {
            let mut hasher = StateHasher::new();
            rules.hash_into(&mut hasher);
            hasher.finish()
        };
        let none = hash(&Rules::default());
        assert_ne!(hash(&with(|it| it.collar_bps = 1)), none);
        assert_ne!(hash(&with_table(&[(1, 5)])), none);
    }

    proptest! {
        #[test]
        fn ticks_agree_with_a_search(
            ticks in proptest::collection::vec((1..40i64, 1..30i64), 1..=8), price in 1..250i64,
        ) {
            let mut from = 1;
            let rows: Vec<(i64, i64)> = ticks.iter().map(|&(width, tick)| {
                let row = (from, tick);
                from += width;
                row
            }).collect();
            let rules = with_table(&rows);
            let on_tick = |price: i64| {
                let row = rows.iter().rev().find(|row| row.0 <= price).unwrap();
                price % row.1 == 0
            };
            prop_assert_eq!(rules.is_on_tick(price), on_tick(price));
            prop_assert_eq!(rules.next_tick_below(price), (1..price).rev().find(|&it| on_tick(it)));
            prop_assert_eq!(rules.next_tick_above(price), (price + 1..1_000).find(|&it| on_tick(it)));
        }

        #[test]
        fn the_nearest_on_a_tick_is_within_its_bounds(
            tick in 1..12i64, price in 1..60i64, below in 0..9i64, above in 0..9i64,
        ) {
            let rules = with_table(&[(1, tick)]);
            let (first, last) = ((price - below).max(1), price + above);
            let on_tick = (first..=last).filter(|it| it % tick == 0);
            let nearest = on_tick.min_by_key(|it| (it - price).abs()).unwrap_or(price);
            prop_assert_eq!(rules.nearest_on_tick(price, first, last), nearest);
        }
    }
}
