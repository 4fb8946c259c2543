//! The queue between matcher and reader: reports in a ring of atomic words, without a lock and without `unsafe`.
//!
//! One thread writes, one reads. Words are stored relaxed, and one release of the count shows a batch of reports. Each
//! side keeps what it last saw of the other's count, so that this line moves between cores only when that is used up.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::messages::{Report, ReportKind};

/// Words that a report takes at most; it starts only where so many follow.
const MOST_WORDS: usize = 5;

/// Words written before the reader is told without [`Ring::publish`].
const BATCH_WORDS: u64 = 128;

/// In a report's first word, beside the kind in the lowest three bits: numbers that do not fit 32 bits follow in full.
const LONG: u64 = 1 << 3;

/// A count that only grows, on lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Line<T>(T);

/// What one side alone uses. Atomics, so that the ring can be shared; relaxed they cost nothing.
#[derive(Default)]
struct Cursor {
    /// Words that it has written or read, those left out at the end included; the place is the rest by the size.
    count: AtomicU64,
    /// Place of the next report.
    place: AtomicU64,
    /// What it last saw of the other side's count.
    seen: AtomicU64,
    /// What it last told the other side.
    told: AtomicU64,
}

impl Cursor {
    /// Steps over the words of a report, and to the start if there the next one fits only.
    #[inline(always)]
    fn step(&self, count: u64, place: usize, words: usize, size: usize) -> (u64, usize) {
        let (mut count, mut place) = (count + words as u64, place + words);
        if place + MOST_WORDS > size {
            count += (size - place) as u64;
            place = 0;
        }
        self.count.store(count, Relaxed);
        self.place.store(place as u64, Relaxed);
        (count, place)
    }
}

/// The queue.
pub struct Ring {
    words: Box<[AtomicU64]>,
    writer: Line<Cursor>,
    /// Words that the writer has shown.
    written: Line<AtomicU64>,
    reader: Line<Cursor>,
    /// Words that are free again.
    read: Line<AtomicU64>,
}

impl Ring {
    /// Room for `reports` reports of any form (at least some batches), with its memory touched.
    pub fn new(reports: u32) -> Self {
        let words = (reports as usize + 1) * MOST_WORDS;
        Self {
            words: (0..words.max(4 * BATCH_WORDS as usize)).map(|_| AtomicU64::new(u64::MAX)).collect(),
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
        let size = self.words.len();
        if count + MOST_WORDS as u64 - cursor.seen.load(Relaxed) > size as u64 && !self.sees_room(count) {
            return false;
        }
        let place = cursor.place.load(Relaxed) as usize;
        let Some(words) = self.words.get(place..).and_then(|rest| rest.first_chunk()) else {
            misplaced(place)
        };
        let written = write(words, report);
        let (count, _) = cursor.step(count, place, written, size);
        if count - cursor.told.load(Relaxed) >= BATCH_WORDS {
            self.publish();
        }
        true
    }

    #[cold]
    #[inline(never)]
    fn sees_room(&self, count: u64) -> bool {
        self.publish();
        let read = self.read.0.load(Acquire);
        self.writer.0.seen.store(read, Relaxed);
        count + MOST_WORDS as u64 - read <= self.words.len() as u64
    }

    /// Shows the reader all that is written. Only the writer's thread may call this.
    #[inline]
    pub fn publish(&self) {
        let count = self.writer.0.count.load(Relaxed);
        self.writer.0.told.store(count, Relaxed);
        self.written.0.store(count, Release);
    }

    /// Takes reports in order; returns how many. Only the reader's thread may call this.
    pub fn drain(&self, out: &mut [Report]) -> usize {
        let cursor = &self.reader.0;
        let mut count = cursor.count.load(Relaxed);
        let mut place = cursor.place.load(Relaxed) as usize;
        let mut seen = cursor.seen.load(Relaxed);
        if seen == count {
            seen = self.written.0.load(Acquire);
            cursor.seen.store(seen, Relaxed);
        }
        let mut taken = 0;
        for report in out {
            if count == seen {
                break;
            }
            let Some(words) = self.words.get(place..).and_then(|rest| rest.first_chunk()) else {
                misplaced(place)
            };
            let length;
            (*report, length) = read(words);
            (count, place) = cursor.step(count, place, length, self.words.len());
            taken += 1;
        }
        if taken > 0 {
            self.read.0.store(count, Release);
        }
        taken
    }
}

#[cold]
#[inline(never)]
fn misplaced(place: usize) -> ! {
    panic!("no report fits at place {place}");
}

/// Writes a report; returns how many words it took: 2, 3 for a trade, all if it has large numbers.
#[inline(always)]
fn write(words: &[AtomicU64; MOST_WORDS], report: &Report) -> usize {
    let &Report {
        kind, side, sequence, price_ticks, quantity, order_id, maker_order_id, taker_order_id, ..
    } = report;
    let is_trade = kind == ReportKind::Trade as u8;
    let subject = if is_trade { maker_order_id } else { order_id };
    let price = price_ticks as u64;
    let fits = (sequence | subject | price) >> 32 == 0 && quantity >> 24 == 0 && side < 16;
    if !fits {
        return write_long(words, report, subject);
    }
    let head = u64::from(kind) | u64::from(side) << 4 | u64::from(quantity) << 8;
    words[0].store(head | sequence << 32, Relaxed);
    words[1].store(subject | price << 32, Relaxed);
    if !is_trade {
        return 2;
    }
    words[2].store(taker_order_id, Relaxed);
    3
}

#[cold]
#[inline(never)]
fn write_long(words: &[AtomicU64; MOST_WORDS], report: &Report, subject: u64) -> usize {
    let head = u64::from(report.kind) | LONG | u64::from(report.side) << 8 | u64::from(report.quantity) << 32;
    words[0].store(head, Relaxed);
    words[1].store(report.sequence, Relaxed);
    words[2].store(report.price_ticks as u64, Relaxed);
    words[3].store(subject, Relaxed);
    words[4].store(report.taker_order_id, Relaxed);
    MOST_WORDS
}

/// Reads a report and how many words it took.
#[inline(always)]
fn read(words: &[AtomicU64; MOST_WORDS]) -> (Report, usize) {
    let [head, second, third] = [0, 1, 2].map(|index: usize| words[index].load(Relaxed));
    let is_trade = head & 7 == u64::from(ReportKind::Trade as u8);
    let (mut report, subject, length);
    if head & LONG == 0 {
        report = Report {
            side: (head >> 4) as u8 & 15,
            quantity: (head >> 8) as u32 & 0xFF_FFFF,
            sequence: head >> 32,
            price_ticks: (second >> 32) as i64,
            taker_order_id: if is_trade { third } else { 0 },
            ..Report::default()
        };
        (subject, length) = (second & u64::from(u32::MAX), if is_trade { 3 } else { 2 });
    } else {
        report = Report {
            side: (head >> 8) as u8,
            quantity: (head >> 32) as u32,
            sequence: second,
            price_ticks: third as i64,
            taker_order_id: words[4].load(Relaxed),
            ..Report::default()
        };
        (subject, length) = (words[3].load(Relaxed), MOST_WORDS);
    }
    report.kind = head as u8 & 7;
    let field = if is_trade { &mut report.maker_order_id } else { &mut report.order_id };
    *field = subject;
    (report, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reports of all kinds; each seventh has numbers of more than 32 bits.
    fn report(number: u64) -> Report {
        let large = if number % 7 == 3 { 1 << 33 } else { 0 };
        let report = Report {
            sequence: number + large,
            side: (number % 2) as u8,
            price_ticks: number as i64 * 3 - 100,
            quantity: if number % 11 == 5 { u32::MAX } else { number as u32 % 1000 },
            ..Report::default()
        };
        if number.is_multiple_of(3) {
            let kind = ReportKind::Trade as u8;
            return Report { kind, maker_order_id: number + 1 + large, taker_order_id: number + 2, ..report };
        }
        Report { kind: (2 + number % 3) as u8, order_id: number + 5, ..report }
    }

    #[test]
    fn is_full_when_nothing_is_read_and_goes_on_when_something_is() {
        let ring = Ring::new(200);
        let mut out = [Report::default(); 150];
        let (mut pushed, mut read) = (0, 0);
        for _ in 0..1_000 {
            let before = pushed;
            while ring.push(&report(pushed)) {
                pushed += 1;
            }
            assert!(pushed > before && pushed - read >= 200, "room for 200, yet full with {}", pushed - read);
            let taken = ring.drain(&mut out);
            assert!(taken > 0);
            for found in &out[..taken] {
                assert_eq!(*found, report(read));
                read += 1;
            }
        }
    }

    #[test]
    fn the_reader_sees_batches_or_what_is_published() {
        let ring = Ring::new(1_000);
        let mut out = [Report::default(); 150];
        let short = Report { kind: ReportKind::CancelReject as u8, ..Report::default() };
        for _ in 0..70 {
            assert!(ring.push(&short));
        }
        assert_eq!(ring.drain(&mut out), 64, "a batch");
        assert_eq!(ring.drain(&mut out), 0);
        ring.publish();
        assert_eq!(ring.drain(&mut out), 6);
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
