//! An instrument with its books.

use machine::StateHasher;
use orderbook::{Book, Order};
use protocol::{
    BandAction, CreateInstrument, MAX_FEE_PPM, MAX_PRICE_TICKS, OrderId, Phase, PriceTicks, QuantityLots,
    Side, TimeInForce, TriggerSource,
};
use wallet::BalanceSlot;

use crate::fees::FeeSchedule;
use crate::rules::Rules;
use crate::special::SlotList;
use crate::terms::Terms;
use crate::timetable::Timetable;

/// Most minor units per tick and lot, and per lot.
const MAX_UNIT: i64 = 1 << 40;

/// Ladder of the books that hold few orders.
const SMALL_LADDER: u32 = 64;

pub(crate) struct Instrument<B> {
    pub(crate) terms: Terms,
    /// Where its fees go; none before its first order.
    pub(crate) fees: Option<BalanceSlot>,
    pub(crate) state: State,
    /// What is shown.
    pub(crate) book: B,
    /// Hidden, all-or-none and pegged orders.
    pub(crate) hidden: B,
    /// Orders that wait for a trade at their trigger price, which stands in place of their price. See
    /// [`crate::special::side_of`] for their side.
    pub(crate) last_triggers: B,
    /// The same for the best price.
    pub(crate) best_triggers: B,
    /// As it was created.
    pub(crate) created: CreateInstrument,
}

impl<B: Book> Instrument<B> {
    pub(crate) fn new(created: &CreateInstrument) -> Self {
        let small = CreateInstrument { ladder_levels: SMALL_LADDER, ..*created };
        Self {
            created: *created,
            terms: Terms::new(created),
            fees: None,
            state: State::new(),
            book: B::new(created),
            hidden: B::new(&small),
            last_triggers: B::new(&small),
            best_triggers: B::new(&small),
        }
    }

    pub(crate) fn triggers(&mut self, source: u8) -> &mut B {
        if source == TriggerSource::LastTrade.code() {
            &mut self.last_triggers
        } else {
            &mut self.best_triggers
        }
    }

    /// The price that a stop of this side looks at: what it would trade at, or what was traded.
    pub(crate) fn followed_price(&self, source: u8, side: Side) -> Option<PriceTicks> {
        if source == TriggerSource::LastTrade.code() {
            (self.state.last_ticks != 0).then_some(self.state.last_ticks)
        } else {
            self.book.best(side.opposite())
        }
    }
}

/// What an auction would come to, or comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uncross {
    pub(crate) price_ticks: PriceTicks,
    /// Phase that follows.
    pub(crate) target: Phase,
    pub(crate) until_ns: u64,
    /// Whether the timetable asked for it.
    pub(crate) by_timetable: bool,
}

/// Orders that an entry into a phase ends: places in [`State::ending`].
pub(crate) mod ending {
    pub(crate) const OPENING: usize = 0;
    pub(crate) const CLOSING: usize = 1;
    pub(crate) const DAY: usize = 2;
}

/// What an instrument has besides its books, so that it can change while one of them is matched.
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// Whether there is any rule, tick table or default risk limit.
    pub(crate) has_rules: bool,
    /// Whether it stands in the exchange's list of instruments with work left.
    pub(crate) is_unfinished: bool,
    /// Whether it stands in the heap of timers.
    pub(crate) has_timer: bool,
    /// What the session sweep is to end, see [`ending`]: orders entered before the command of this sequence; 0 for none.
    pub(crate) ending: [u64; 3],
    /// Orders in the hidden book.
    pub(crate) hidden_orders: u32,
    /// All-or-none orders among them.
    pub(crate) all_or_none_orders: u32,
    /// Orders that wait for their trigger.
    pub(crate) waiting_orders: u32,
    /// Live day orders.
    pub(crate) day_orders: u32,
    /// Live orders at the opening.
    pub(crate) opening_orders: u32,
    /// Live orders at the close.
    pub(crate) closing_orders: u32,
    /// Number of the risk limits of accounts without their own ([`crate::risk_table`]); 0 for none.
    pub(crate) risk: u32,
    /// Price of the last trade; 0 before the first.
    pub(crate) last_ticks: PriceTicks,
    /// Highest and lowest trade since no stop was triggered last.
    pub(crate) high_ticks: PriceTicks,
    pub(crate) low_ticks: PriceTicks,
    pub(crate) reference_ticks: PriceTicks,
    pub(crate) pegged: SlotList,
    pub(crate) trailing: SlotList,
    pub(crate) parked: SlotList,
    /// When the phase ends by the operator's word or after a volatility auction; 0 for never.
    pub(crate) until_ns: u64,
    pub(crate) uncross: Option<Uncross>,
    /// Price, quantity and imbalance published last in this auction.
    pub(crate) indicative: Option<(PriceTicks, QuantityLots, QuantityLots)>,
    pub(crate) rules: Rules,
    pub(crate) schedule: Option<FeeSchedule>,
    pub(crate) timetable: Option<Timetable>,
}

impl State {
    fn new() -> Self {
        Self {
            phase: Phase::Continuous,
            has_rules: false,
            is_unfinished: false,
            has_timer: false,
            ending: [0; 3],
            hidden_orders: 0,
            all_or_none_orders: 0,
            waiting_orders: 0,
            day_orders: 0,
            opening_orders: 0,
            closing_orders: 0,
            risk: 0,
            last_ticks: 0,
            high_ticks: 0,
            low_ticks: 0,
            reference_ticks: 0,
            pegged: SlotList::default(),
            trailing: SlotList::default(),
            parked: SlotList::default(),
            until_ns: 0,
            uncross: None,
            indicative: None,
            rules: Rules::default(),
            schedule: None,
            timetable: None,
        }
    }

    /// Whether a plain order of a plain account needs nothing but the shown book.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.phase == Phase::Continuous
            && !self.has_rules
            && self.hidden_orders == 0
            && self.waiting_orders == 0
            && self.risk == 0
    }

    /// Counts a live order by its time in force.
    #[inline]
    pub(crate) fn enlist(&mut self, order: &Order) {
        if let Some(count) = self.count_of(order) {
            *count += 1;
        }
    }

    #[inline]
    pub(crate) fn delist(&mut self, order: &Order) {
        if let Some(count) = self.count_of(order) {
            *count -= 1;
        }
    }

    #[inline]
    fn count_of(&mut self, order: &Order) -> Option<&mut u32> {
        const DAY: u8 = TimeInForce::Day.code();
        const OPENING: u8 = TimeInForce::AtTheOpening.code();
        const CLOSING: u8 = TimeInForce::AtTheClose.code();
        match order.time_in_force {
            DAY => Some(&mut self.day_orders),
            OPENING => Some(&mut self.opening_orders),
            CLOSING => Some(&mut self.closing_orders),
            _ => None,
        }
    }

    /// Notes a trade for triggers and bands.
    #[inline]
    pub(crate) fn traded_at(&mut self, price_ticks: PriceTicks) {
        self.last_ticks = price_ticks;
        self.high_ticks = self.high_ticks.max(price_ticks);
        self.low_ticks = if self.low_ticks == 0 { price_ticks } else { self.low_ticks.min(price_ticks) };
    }

    /// From now on only the last trade counts for triggers.
    pub(crate) fn forget_extremes(&mut self) {
        (self.high_ticks, self.low_ticks) = (self.last_ticks, self.last_ticks);
    }

    /// Lowest and highest price at which orders may trade now.
    pub(crate) fn bands(&self) -> Option<(PriceTicks, PriceTicks)> {
        if !self.has_rules {
            return None;
        }
        self.rules.bands(self.reference_ticks, self.last_ticks)
    }

    pub(crate) fn band_action(&self) -> BandAction {
        if self.rules.set().band_action == BandAction::Auction.code() {
            BandAction::Auction
        } else {
            BandAction::Reject
        }
    }

    /// Feeds all but the counts, which follow from the orders.
    pub(crate) fn hash_into(&self, hasher: &mut StateHasher) {
        hasher.write_value(&self.phase.code());
        hasher.write_value(&self.ending);
        hasher.write_value(&[self.last_ticks, self.high_ticks, self.low_ticks, self.reference_ticks]);
        hasher.write_value(&self.until_ns);
        if let Some(uncross) = &self.uncross {
            hasher.write_value(&uncross.price_ticks);
            hasher.write_value(&uncross.until_ns);
            hasher.write_value(&[uncross.target.code(), u8::from(uncross.by_timetable)]);
        }
        if let Some((price_ticks, paired_lots, imbalance_lots)) = self.indicative {
            hasher.write_value(&[price_ticks, paired_lots, imbalance_lots]);
        }
        self.rules.hash_into(hasher);
        if let Some(schedule) = &self.schedule {
            hasher.write_value(schedule.command());
        }
        if let Some(timetable) = &self.timetable {
            timetable.hash_into(hasher);
        }
    }

    /// The key of the instrument in the heap of timers.
    pub(crate) fn timer_id(place: usize) -> OrderId {
        OrderId::new(1, place as u32)
    }

    /// The next change of phase that time brings: when, to what, and whether the timetable asks for it.
    pub(crate) fn next_phase(&self) -> Option<(u64, Phase, bool)> {
        let entry = self.timetable.as_ref().and_then(|timetable| timetable.next(&self.rules));
        match (entry, self.until_ns) {
            (Some((time_ns, phase)), 0) => Some((time_ns, phase, true)),
            (Some((time_ns, phase)), until_ns) if time_ns <= until_ns => Some((time_ns, phase, true)),
            (_, 0) => None,
            (_, until_ns) => Some((until_ns, Phase::Continuous, false)),
        }
    }
}

/// Whether all fields but the ids are in their documented ranges.
pub(crate) fn has_valid_parameters(create: &CreateInstrument) -> bool {
    let levels = create.ladder_levels;
    (1..=MAX_UNIT).contains(&create.quote_minor_per_tick_lot)
        && (1..=MAX_UNIT).contains(&create.base_minor_per_lot)
        && (0..=MAX_PRICE_TICKS).contains(&create.reference_price_ticks)
        && create.base_asset != create.quote_asset
        && create.maker_fee_ppm <= MAX_FEE_PPM
        && create.taker_fee_ppm <= MAX_FEE_PPM
        && (levels == 0 || (levels.is_power_of_two() && (64..=65_536).contains(&levels)))
        && create.name.is_well_formed()
}
