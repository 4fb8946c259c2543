//! The queue between matcher and reader: reports in a ring of atomic words, without a lock and without `unsafe`.
//!
//! One thread writes, one reads. Words are stored relaxed, and one release of the count shows a batch of reports. Each
//! side keeps what it last saw of the other's count, so that this line moves between cores only when that is used up.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::messages::{Report, ReportKind};

/// Words of a report: kind, side and quantity; sequence; price; order or maker; taker of a trade.
const WORDS: usize = 5;

/// Reports written before the reader is told without [`Ring::publish`].
const BATCH: u64 = 64;

/// A count that only grows.
#[derive(Default)]
#[repr(align(128))]
struct Line<T>(T);

/// What one side alone uses. Atomics, so that the ring can be shared; relaxed they cost nothing.
#[derive(Default)]
struct Cursor {
    /// Reports that it has written or read.
    count: AtomicU64,
    /// Place of the next one.
    place: AtomicU64,
    /// What it last saw of the other side's count.
    seen: AtomicU64,
}

/// The queue.
pub struct Ring {
    places: Box<[[AtomicU64; WORDS]]>,
    writer: Line<Cursor>,
    /// Reports that the writer has shown.
    written: Line<AtomicU64>,
    reader: Line<Cursor>,
    /// Reports whose places are free again.
    read: Line<AtomicU64>,
}

impl Ring {
    /// Room for `reports` reports (at least two batches), with its memory touched.
    pub fn new(reports: u32) -> Self {
        let places = u64::from(reports).max(2 * BATCH);
        Self {
            places: (0..places).map(|_| [const { AtomicU64::new(u64::MAX) }; WORDS]).collect(),
            writer: Line::default(),
            written: Line::default(),
            reader: Line::default(),
            read: Line::default(),
        }
    }

    /// Writes a report; `false` if there is no room. Only the writer's thread may call this.
    #[inline(always)]
    pub fn push(&self, report: &Report) -> bool {
        let cursor = &self.writer.0;
        let count = cursor.count.load(Relaxed);
        if count - cursor.seen.load(Relaxed) >= self.places.len() as u64 && !self.sees_room(count) {
            return false;
        }
        let place = cursor.place.load(Relaxed) as usize;
        let words = &self.places[place];
        let is_trade = report.kind == ReportKind::Trade as u8;
        let head = u64::from(report.quantity) << 32 | u64::from(report.side) << 8 | u64::from(report.kind);
        words[0].store(head, Relaxed);
        words[1].store(report.sequence, Relaxed);
        words[2].store(report.price_ticks as u64, Relaxed);
        words[3].store(if is_trade { report.maker_order_id } else { report.order_id }, Relaxed);
        if is_trade {
            words[4].store(report.taker_order_id, Relaxed);
        }
        let next = place + 1;
        cursor.place.store(if next == self.places.len() { 0 } else { next as u64 }, Relaxed);
        cursor.count.store(count + 1, Relaxed);
        if (count + 1).is_multiple_of(BATCH) {
            self.written.0.store(count + 1, Release);
        }
        true
    }

    #[cold]
    #[inline(never)]
    fn sees_room(&self, count: u64) -> bool {
        self.publish();
        let read = self.read.0.load(Acquire);
        self.writer.0.seen.store(read, Relaxed);
        count - read < self.places.len() as u64
    }

    /// Shows the reader all that is written. Only the writer's thread may call this.
    pub fn publish(&self) {
        self.written.0.store(self.writer.0.count.load(Relaxed), Release);
    }

    /// Takes reports in order; returns how many. Only the reader's thread may call this.
    pub fn drain(&self, out: &mut [Report]) -> usize {
        let cursor = &self.reader.0;
        let count = cursor.count.load(Relaxed);
        let mut shown = cursor.seen.load(Relaxed) - count;
        if shown == 0 {
            let written = self.written.0.load(Acquire);
            cursor.seen.store(written, Relaxed);
            shown = written - count;
        }
        let taken = out.len().min(shown as usize);
        let mut place = cursor.place.load(Relaxed) as usize;
        for report in &mut out[..taken] {
            *report = read(&self.places[place]);
            place = if place + 1 == self.places.len() { 0 } else { place + 1 };
        }
        if taken > 0 {
            cursor.place.store(place as u64, Relaxed);
            cursor.count.store(count + taken as u64, Relaxed);
            self.read.0.store(count + taken as u64, Release);
        }
        taken
    }
}

fn read(words: &[AtomicU64; WORDS]) -> Report {
    let head = words[0].load(Relaxed);
    let subject = words[3].load(Relaxed);
    let report = Report {
        kind: head as u8,
        side: (head >> 8) as u8,
        quantity: (head >> 32) as u32,
        sequence: words[1].load(Relaxed),
        price_ticks: words[2].load(Relaxed) as i64,
        ..Report::default()
    };
    if report.kind == ReportKind::Trade as u8 {
        return Report { maker_order_id: subject, taker_order_id: words[4].load(Relaxed), ..report };
    }
    Report { order_id: subject, ..report }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(number: u64) -> Report {
        let report = Report {
            sequence: number,
            side: (number % 2) as u8,
            price_ticks: number as i64 * 3 - 100,
            quantity: number as u32 * 7,
            ..Report::default()
        };
        if number % 3 == 0 {
            let kind = ReportKind::Trade as u8;
            return Report { kind, maker_order_id: number + 1, taker_order_id: number + 2, ..report };
        }
        Report { kind: (2 + number % 3) as u8, order_id: number + 5, ..report }
    }

    #[test]
    fn is_full_at_its_size_and_goes_on_when_read() {
        let ring = Ring::new(200);
        assert_eq!((0..500).take_while(|&number| ring.push(&report(number))).count(), 200);
        let mut out = [Report::default(); 150];
        assert_eq!(ring.drain(&mut out), 150);
        assert!(out.iter().zip(0..).all(|(read, number)| *read == report(number)));
        assert_eq!((200..330).take_while(|&number| ring.push(&report(number))).count(), 130);
        assert_eq!(ring.drain(&mut out), 50, "what was shown when there was no room");
        assert_eq!(ring.drain(&mut out), 120, "whole batches, to 320; the rest is not shown yet");
        assert_eq!(ring.drain(&mut out), 0);
        ring.publish();
        assert_eq!(ring.drain(&mut out), 10);
        assert_eq!(out[9], report(329));
        assert_eq!(ring.drain(&mut out), 0);
    }

    #[test]
    fn a_reader_on_another_thread_sees_all_in_order() {
        let ring = Ring::new(300);
        let (ring, total) = (&ring, 200_000);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut out = [Report::default(); 64];
                let mut expected = 0;
                while expected < total {
                    let taken = ring.drain(&mut out);
                    for read in &out[..taken] {
                        assert_eq!(*read, report(expected));
                        expected += 1;
                    }
                    std::thread::yield_now();
                }
            });
            for number in 0..total {
                while !ring.push(&report(number)) {
                    std::thread::yield_now();
                }
            }
            ring.publish();
        });
    }
}
