//! Matching along the queue of one price level.

use protocol::{QuantityLots, SelfTradePrevention};

use crate::level::{Level, append, pop, queue_of, take_out};
use crate::table::Slots;
use crate::{MatchSink, Reserves, Stop, Taker};

/// What is left of a taker.
pub(crate) struct Progress {
    pub(crate) remaining_lots: QuantityLots,
    pub(crate) fills_left: u32,
}

/// Matches along one queue. `None` means that the queue is empty and something may be left.
#[inline(always)]
pub(crate) fn match_queue<S: MatchSink>(
    level: &mut Level,
    slots: &mut Slots,
    taker: &Taker,
    progress: &mut Progress,
    sink: &mut S,
) -> Option<Stop> {
    let prevents = taker.self_trade_prevention != SelfTradePrevention::Allow;
    while !level.is_empty() {
        if progress.remaining_lots == 0 {
            return Some(Stop::Done);
        }
        if progress.fills_left == 0 {
            return Some(Stop::FillLimit);
        }
        let slot = level.head();
        if prevents && slots.entry(slot).account == taker.account {
            match prevent(level, slots, taker, progress, sink) {
                None => continue,
                stop => return stop,
            }
        }
        let reserve_lots = slots.reserve_lots(slot);
        let maker = slots.entry_mut(slot);
        let leaves_lots = maker.leaves_lots;
        let quantity_lots = progress.remaining_lots.min(leaves_lots);
        maker.leaves_lots = leaves_lots - quantity_lots;
        maker.filled_lots += quantity_lots;
        level.quantity_lots -= quantity_lots;
        progress.remaining_lots -= quantity_lots;
        sink.on_fill(maker, quantity_lots, reserve_lots);
        if quantity_lots < leaves_lots {
            return Some(Stop::Done);
        }
        progress.fills_left -= 1;
        if reserve_lots > 0 {
            refill(level, slots, sink);
        } else {
            pop(level, slots);
        }
    }
    None
}

/// Shows the next slice of the oldest order, at the back of the queue.
#[cold]
#[inline(never)]
fn refill<S: MatchSink>(level: &mut Level, slots: &mut Slots, sink: &mut S) {
    let slot = level.head();
    take_out(level, slots, slot);
    let reserve_lots = slots.refill(slot);
    append(level, slots, slot);
    sink.on_refill(slots.entry(slot), reserve_lots);
}

/// What self-trade prevention does at the oldest order, which is the taker's own. `None`: matching goes on.
#[cold]
#[inline(never)]
fn prevent<S: MatchSink>(
    level: &mut Level,
    slots: &mut Slots,
    taker: &Taker,
    progress: &mut Progress,
    sink: &mut S,
) -> Option<Stop> {
    let slot = level.head();
    match taker.self_trade_prevention {
        SelfTradePrevention::Allow => unreachable!("own orders trade where that is allowed"),
        SelfTradePrevention::CancelNewest => return Some(Stop::SelfTrade),
        SelfTradePrevention::CancelOldest | SelfTradePrevention::CancelBoth => {
            let reserve_lots = slots.reserve_lots(slot);
            let maker = slots.entry(slot);
            sink.on_self_trade_canceled(maker, reserve_lots);
            level.quantity_lots -= maker.leaves_lots;
            progress.fills_left -= 1;
            pop(level, slots);
            if taker.self_trade_prevention == SelfTradePrevention::CancelBoth {
                return Some(Stop::SelfTrade);
            }
        }
        SelfTradePrevention::DecrementAndCancel => {
            let reserve_lots = slots.reserve_lots(slot);
            let maker = slots.entry_mut(slot);
            let quantity_lots = progress.remaining_lots.min(maker.leaves_lots);
            maker.leaves_lots -= quantity_lots;
            level.quantity_lots -= quantity_lots;
            progress.remaining_lots -= quantity_lots;
            progress.fills_left -= 1;
            sink.on_decrement(maker, quantity_lots, reserve_lots);
            if maker.leaves_lots == 0 && reserve_lots > 0 {
                refill(level, slots, sink);
            } else if maker.leaves_lots == 0 {
                pop(level, slots);
            }
        }
    }
    None
}

/// What counting a level came to; see [`crate::Book::available`].
pub(crate) struct Counted {
    /// What the level's orders surely give.
    pub(crate) lots: QuantityLots,
    /// Whether the levels behind it count too.
    pub(crate) goes_on: bool,
}

/// Counts what a level shows, order by order.
pub(crate) fn count_shown(
    level: &Level,
    slots: &Slots,
    taker: &Taker,
    wanted_lots: QuantityLots,
    fills_left: &mut u32,
) -> Counted {
    let mut lots = 0;
    for slot in queue_of(slots, level) {
        if lots >= wanted_lots || *fills_left == 0 {
            return Counted { lots, goes_on: false };
        }
        let maker = slots.entry(slot);
        let own = maker.account == taker.account;
        match taker.self_trade_prevention {
            SelfTradePrevention::CancelNewest
            | SelfTradePrevention::CancelBoth
            | SelfTradePrevention::DecrementAndCancel
                if own =>
            {
                return Counted { lots, goes_on: false };
            }
            SelfTradePrevention::CancelOldest if own => {}
            _ => lots += maker.leaves_lots,
        }
        *fills_left -= 1;
    }
    Counted { lots, goes_on: true }
}

/// Counts the reserves of a level whose shown orders have been counted.
pub(crate) fn count_reserves(
    level: &Level,
    slots: &Slots,
    taker: &Taker,
    wanted_lots: QuantityLots,
    fills_left: &mut u32,
) -> Counted {
    let mut reserves = Reserves::default();
    for slot in queue_of(slots, level) {
        // An own order that stops the match has stopped the count; one that is removed takes its reserve with it.
        let own = slots.entry(slot).account == taker.account;
        let is_removed = own && taker.self_trade_prevention != SelfTradePrevention::Allow;
        if !is_removed && slots.reserve_lots(slot) > 0 {
            reserves.add(&slots.reserve(slot));
        }
    }
    let lots = reserves.sure_lots(wanted_lots, fills_left);
    Counted { lots, goes_on: lots == reserves.lots }
}
