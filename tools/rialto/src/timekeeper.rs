//! When the exchange must be told the time, so that expiries, timetables and auctions go on while nothing else comes.
//!
//! Every command brings the time with it. On a quiet exchange the operator sends `AdvanceTime` instead, but only while
//! the time can bring something (an order that will expire, a timetable, a phase with an end, an auction), and once after
//! other commands, which may have left work. So an exchange on which nothing can happen writes nothing.

use std::collections::BTreeSet;

use machine::Record;
use protocol::{
    AdvanceTime, EventKind, ExtendedOrderAccepted, InstrumentId, OrderCanceled, OrderDecremented, OrderId,
    Phase, PhaseChanged, Rejected, TimeAdvanced, TimeInForce, TimetableSet, Trade,
};

/// Folds what the time may bring, and says when to send `AdvanceTime`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timekeeper {
    /// Instruments with a timetable.
    timetables: BTreeSet<InstrumentId>,
    /// Instruments in an auction or in a phase that is to end.
    phases: BTreeSet<InstrumentId>,
    /// Live good-till-date orders.
    expiring: BTreeSet<OrderId>,
    /// The last command may have left work.
    work_left: bool,
    next_ns: u64,
}

impl Timekeeper {
    /// Folds one event.
    pub fn on_event(&mut self, event: Record<'_>) {
        match EventKind::from_code(event.header().kind) {
            Some(EventKind::TimetableSet) => {
                let Some(TimetableSet(it)) = event.body_as() else { return };
                let times = [
                    it.pre_open_ns,
                    it.opening_auction_ns,
                    it.continuous_ns,
                    it.closing_auction_ns,
                    it.closed_ns,
                ];
                keep(&mut self.timetables, it.instrument, times.iter().any(|&time_ns| time_ns != 0));
            }
            Some(EventKind::PhaseChanged) => {
                let Some(it) = event.body_as::<PhaseChanged>() else { return };
                let auction = Phase::from_code(it.phase).is_some_and(Phase::is_auction);
                keep(&mut self.phases, it.instrument, auction || it.until_ns != 0);
            }
            Some(EventKind::ExtendedOrderAccepted) => {
                let Some(it) = event.body_as::<ExtendedOrderAccepted>() else { return };
                if it.order.time_in_force == TimeInForce::GoodTillDate.code() {
                    self.expiring.insert(it.order.order_id);
                }
            }
            Some(_) if !self.expiring.is_empty() => self.order_ended(event),
            _ => {}
        }
        if event.is_last_event() {
            let answer = event.body_as::<TimeAdvanced>().map(|it| it.work_left == 1);
            let refused = || event.body_as::<Rejected>().is_some_and(|it| it.command_kind == ADVANCE_TIME);
            self.work_left = answer.unwrap_or_else(|| !refused());
        }
    }

    /// What a checkpoint has of it: timetables, phases, expiring orders, and whether work may be left.
    pub fn to_parts(&self) -> ([Vec<InstrumentId>; 2], Vec<OrderId>, bool) {
        let instruments = [&self.timetables, &self.phases].map(|set| set.iter().copied().collect());
        (instruments, self.expiring.iter().copied().collect(), self.work_left)
    }

    /// From [`Timekeeper::to_parts`].
    pub fn from_parts(
        [timetables, phases]: [Vec<InstrumentId>; 2],
        expiring: Vec<OrderId>,
        work_left: bool,
    ) -> Self {
        let set = |ids: Vec<InstrumentId>| ids.into_iter().collect();
        Self {
            timetables: set(timetables),
            phases: set(phases),
            expiring: expiring.into_iter().collect(),
            work_left,
            next_ns: 0,
        }
    }

    fn order_ended(&mut self, event: Record<'_>) {
        if let Some(it) = event.body_as::<OrderCanceled>() {
            self.expiring.remove(&it.order_id);
        } else if let Some(it) = event.body_as::<OrderDecremented>() {
            keep_live(&mut self.expiring, it.order_id, it.leaves_lots);
        } else if let Some(it) = event.body_as::<Trade>() {
            keep_live(&mut self.expiring, it.maker_order_id, it.maker_leaves_lots);
            keep_live(&mut self.expiring, it.taker_order_id, it.taker_leaves_lots);
        }
    }

    /// Whether to send `AdvanceTime` now; then the next time is `interval_ns` later. An interval of 0: never.
    pub fn is_due(&mut self, now_ns: u64, interval_ns: u64) -> bool {
        let waits = !(self.timetables.is_empty() && self.phases.is_empty() && self.expiring.is_empty());
        let due = interval_ns > 0 && now_ns >= self.next_ns && (waits || self.work_left);
        if due {
            self.next_ns = now_ns.saturating_add(interval_ns);
        }
        due
    }
}

const ADVANCE_TIME: u16 = <AdvanceTime as machine::Body>::KIND;

fn keep(set: &mut BTreeSet<InstrumentId>, instrument: InstrumentId, present: bool) {
    if present {
        set.insert(instrument);
    } else {
        set.remove(&instrument);
    }
}

fn keep_live(set: &mut BTreeSet<OrderId>, order_id: OrderId, leaves_lots: i64) {
    if leaves_lots == 0 {
        set.remove(&order_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::{Body, Context, EventBuffer};
    use protocol::{OrderAccepted, SetTimetable};

    fn fold<T: Body>(keeper: &mut Timekeeper, event: &T) {
        let mut events = EventBuffer::with_capacity(512);
        events.begin(&Context::default());
        events.push(event);
        events.finish();
        events.records().for_each(|record| keeper.on_event(record));
    }

    /// Whether the exchange is told the time again and again after `event`, once its work is done.
    fn goes_on(keeper: &mut Timekeeper, event: &impl Body) -> bool {
        fold(keeper, event);
        fold(keeper, &TimeAdvanced::default());
        keeper.next_ns = 0;
        keeper.is_due(1, 1)
    }

    #[test]
    fn the_time_is_told_once_after_other_commands_and_until_no_work_is_left() {
        let mut keeper = Timekeeper::default();
        assert!(!keeper.is_due(1_000, 100), "nothing has happened yet");
        fold(&mut keeper, &OrderAccepted::default());
        assert!(!keeper.is_due(1_000, 0), "switched off");
        assert!(keeper.is_due(1_000, 100));
        assert!(!keeper.is_due(1_099, 100));
        fold(&mut keeper, &TimeAdvanced { work_left: 1, ..TimeAdvanced::default() });
        assert!(keeper.is_due(1_100, 100));
        fold(&mut keeper, &TimeAdvanced::default());
        assert!(!keeper.is_due(9_999, 100));
        fold(&mut keeper, &OrderAccepted::default());
        fold(&mut keeper, &Rejected { command_kind: ADVANCE_TIME, ..Rejected::default() });
        assert!(!keeper.is_due(9_999, 100), "asking again would not help");
    }

    #[test]
    fn timetables_phases_and_expiries_keep_it_going() {
        let mut keeper = Timekeeper::default();
        let timetable = SetTimetable { instrument: 1, closed_ns: 5, ..SetTimetable::default() };
        assert!(goes_on(&mut keeper, &TimetableSet(timetable)));
        assert!(!goes_on(&mut keeper, &TimetableSet(SetTimetable { closed_ns: 0, ..timetable })));

        let phase = |phase: Phase, until_ns| PhaseChanged {
            phase: phase.code(),
            until_ns,
            instrument: 1,
            ..PhaseChanged::default()
        };
        assert!(goes_on(&mut keeper, &phase(Phase::OpeningAuction, 0)));
        assert!(goes_on(&mut keeper, &phase(Phase::Halted, 7)));
        assert!(!goes_on(&mut keeper, &phase(Phase::Continuous, 0)));

        let order =
            |id| OrderAccepted { order_id: OrderId(id), time_in_force: 6, ..OrderAccepted::default() };
        let accepted = |id| ExtendedOrderAccepted { order: order(id), ..ExtendedOrderAccepted::default() };
        assert!(goes_on(&mut keeper, &accepted(1)));
        assert!(goes_on(&mut keeper, &accepted(2)));
        let trade = Trade {
            maker_order_id: OrderId(1),
            taker_order_id: OrderId(9),
            maker_leaves_lots: 1,
            ..Trade::default()
        };
        assert!(goes_on(&mut keeper, &trade));
        assert!(goes_on(&mut keeper, &Trade { maker_leaves_lots: 0, ..trade }));
        assert!(goes_on(
            &mut keeper,
            &OrderDecremented { order_id: OrderId(2), leaves_lots: 3, ..OrderDecremented::default() }
        ));
        assert!(!goes_on(&mut keeper, &OrderCanceled { order_id: OrderId(2), ..OrderCanceled::default() }));
    }
}
