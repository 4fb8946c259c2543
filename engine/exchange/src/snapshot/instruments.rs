//! Instruments in the snapshot.
//!
//! An instrument is `CreateInstrument`; the slot of its fees (4 bytes, may be missing); phase, has-rules, is-unfinished,
//! has-timer (a byte each); what the session sweep is to end (3 times 8 bytes); hidden, all-or-none, waiting, day, opening
//! and closing orders and its risk limits (4 bytes each); last, high, low and reference price (8 bytes each); the lists of
//! pegged, trailing and parked orders (first and last slot + 1 and length, 4 bytes each); the end of the phase (8 bytes); an
//! auction's end (may be missing: price, until, phase, by-timetable: 8, 8, 1, 1); what was published of it (may be missing:
//! price, quantity, imbalance, 8 bytes each); `SetInstrumentRules`; `SetTickTable`; `SetFeeSchedule` (may be missing); the
//! timetable (may be missing: five times, interval, next entry, 8 bytes each).

use alloc::vec::Vec;

use machine::{SnapshotError, SnapshotReader, SnapshotWriter};
use orderbook::Book;
use protocol::{CreateInstrument, MAX_PRICE_TICKS, MAX_QUANTITY_LOTS, Phase, SetFeeSchedule, Side};
use wallet::BalanceSlot;

use super::require;
use crate::exchange::{Exchange, place};
use crate::fees::FeeSchedule;
use crate::instrument::{Instrument, State, Uncross, has_valid_parameters};
use crate::special::SlotList;
use crate::timetable::Timetable;

/// Ends a list of slots.
const NO_SLOT: u32 = u32::MAX;

/// What is read as a number and is none of its enumeration.
const NO_PHASE: SnapshotError = SnapshotError::Invalid("a phase that cannot be");

impl<B: Book> Exchange<B> {
    pub(super) fn write_instruments(&self, out: &mut SnapshotWriter<'_>) {
        out.count(self.instrument_count as usize);
        for instrument in self.instruments.iter().flatten() {
            out.value(&instrument.created);
            out.option(instrument.fees.map(BalanceSlot::to_bits).as_ref());
            write_state(&instrument.state, out);
        }
    }

    pub(super) fn read_instruments(&mut self, input: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        let count = input.count("instruments", self.limits.instruments as usize)?;
        for _ in 0..count {
            let created: CreateInstrument = input.value()?;
            let fees: Option<u32> = input.option("a fee slot that cannot be")?;
            let known =
                self.wallet.has_asset(created.base_asset) && self.wallet.has_asset(created.quote_asset);
            require(known && has_valid_parameters(&created), "an instrument that cannot be")?;
            let in_table = fees.is_none_or(|slot| (slot as usize) < self.wallet.balance_count());
            require(in_table, "a fee slot that cannot be")?;
            let mut instrument = Instrument::new(&created);
            instrument.fees = fees.map(BalanceSlot::from_bits);
            read_state(&mut instrument.state, self.limits.orders, input)?;
            let entry = self.instruments.get_mut(place(created.instrument)).filter(|entry| entry.is_none());
            *entry.ok_or(SnapshotError::Invalid("an instrument twice"))? = Some(instrument);
        }
        self.instrument_count = count as u32;
        Ok(())
    }

    pub(super) fn write_books(&self, out: &mut SnapshotWriter<'_>) {
        for instrument in self.instruments.iter().flatten() {
            for book in instrument.books() {
                for side in [Side::Buy, Side::Sell] {
                    let levels = book.levels(&self.table, side);
                    let slots = levels.flat_map(|level| book.queue(&self.table, side, level.price_ticks));
                    slots.for_each(|slot| out.value(&slot));
                    out.value(&NO_SLOT);
                }
            }
        }
    }

    pub(super) fn read_books(&mut self, input: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        let Self { instruments, table, limits, .. } = self;
        // An order is in one queue: one bit for each slot that is in any.
        let mut queued: Vec<u64> = alloc::vec![0; (limits.orders as usize).div_ceil(64)];
        for instrument in instruments.iter_mut().flatten() {
            let id = instrument.created.instrument;
            for book in instrument.books_mut() {
                for side in [Side::Buy, Side::Sell] {
                    loop {
                        let slot: u32 = input.value()?;
                        if slot == NO_SLOT {
                            break;
                        }
                        let belongs = table.get(slot).is_some_and(|order| {
                            (order.instrument, order.side()) == (id, side)
                                && (1..=MAX_PRICE_TICKS).contains(&order.price_ticks)
                                && (1..=MAX_QUANTITY_LOTS).contains(&order.leaves_lots)
                        });
                        let word = queued.get_mut(slot as usize / 64).filter(|_| belongs);
                        let word = word.filter(|word| **word >> (slot % 64) & 1 == 0);
                        *word.ok_or(SnapshotError::Invalid("an order in a book that is not its own"))? |=
                            1 << (slot % 64);
                        book.rest(table, slot);
                    }
                }
            }
        }
        Ok(())
    }
}

fn write_state(state: &State, out: &mut SnapshotWriter<'_>) {
    out.value(&state.phase.code());
    [state.has_rules, state.is_unfinished, state.has_timer].into_iter().for_each(|flag| out.flag(flag));
    out.value(&state.ending);
    out.value(&[state.hidden_orders, state.all_or_none_orders, state.waiting_orders]);
    out.value(&[state.day_orders, state.opening_orders, state.closing_orders, state.risk]);
    out.value(&[state.last_ticks, state.high_ticks, state.low_ticks, state.reference_ticks]);
    out.value(&[state.pegged.to_words(), state.trailing.to_words(), state.parked.to_words()]);
    out.value(&state.until_ns);
    out.flag(state.uncross.is_some());
    if let Some(uncross) = &state.uncross {
        out.value(&uncross.price_ticks);
        out.value(&uncross.until_ns);
        out.value(&uncross.target.code());
        out.flag(uncross.by_timetable);
    }
    out.option(state.indicative.map(|(price, paired, imbalance)| [price, paired, imbalance]).as_ref());
    out.value(state.rules.set());
    out.value(state.rules.table());
    out.option(state.schedule.as_ref().map(FeeSchedule::command));
    out.option(state.timetable.map(Timetable::to_words).as_ref());
}

fn read_state(state: &mut State, orders: u32, input: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
    const FLAG: &str = "a mark of an instrument that cannot be";
    state.phase = Phase::from_code(input.value()?).ok_or(NO_PHASE)?;
    state.has_rules = input.flag(FLAG)?;
    state.is_unfinished = input.flag(FLAG)?;
    state.has_timer = input.flag(FLAG)?;
    state.ending = input.value()?;
    [state.hidden_orders, state.all_or_none_orders, state.waiting_orders] = input.value()?;
    [state.day_orders, state.opening_orders, state.closing_orders, state.risk] = input.value()?;
    [state.last_ticks, state.high_ticks, state.low_ticks, state.reference_ticks] = input.value()?;
    let lists: [[u32; 3]; 3] = input.value()?;
    require(lists.as_flattened().iter().all(|&word| word <= orders), "a list of orders that cannot be")?;
    [state.pegged, state.trailing, state.parked] = lists.map(SlotList::from_words);
    state.until_ns = input.value()?;
    if input.flag(FLAG)? {
        state.uncross = Some(Uncross {
            price_ticks: input.value()?,
            until_ns: input.value()?,
            target: Phase::from_code(input.value()?).ok_or(NO_PHASE)?,
            by_timetable: input.flag(FLAG)?,
        });
    }
    let indicative: Option<[i64; 3]> = input.option(FLAG)?;
    state.indicative = indicative.map(|[price, paired, imbalance]| (price, paired, imbalance));
    state.rules.change(&input.value()?);
    state.rules.change_table(&input.value()?);
    let schedule: Option<SetFeeSchedule> = input.option(FLAG)?;
    state.schedule = schedule.as_ref().and_then(FeeSchedule::new);
    let timetable: Option<[u64; 7]> = input.option(FLAG)?;
    state.timetable = match timetable {
        Some(words) => {
            let read = Timetable::from_words(words);
            Some(read.ok_or(SnapshotError::Invalid("a timetable that cannot be"))?)
        }
        None => None,
    };
    Ok(())
}
