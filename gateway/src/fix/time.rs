//! UTCTimestamp (FIX 4.4 volume 1, data types): `YYYYMMDD-HH:MM:SS` with an optional fraction of up to nine digits.

use std::cell::Cell;

use super::Version;
use super::encode::two_digits;

const NS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// Digits of a second in the timestamps that a session sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Whole seconds: all that FIX.4.0 and 4.1 know.
    Seconds,
    /// Three digits, as most clients expect.
    #[default]
    Millis,
    /// Six digits.
    Micros,
    /// Nine digits.
    Nanos,
}

impl Precision {
    /// What a message of this version can have of it.
    #[must_use]
    pub fn in_version(self, version: Version) -> Self {
        if version < Version::Fix42 { Self::Seconds } else { self }
    }

    /// Length of a timestamp.
    const fn length(self) -> usize {
        match self {
            Self::Seconds => 17,
            Self::Millis => 21,
            Self::Micros => 24,
            Self::Nanos => 27,
        }
    }
}

/// A UTCTimestamp as text.
#[derive(Clone, Copy)]
pub struct UtcText {
    bytes: [u8; 27],
    length: usize,
}

impl std::ops::Deref for UtcText {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Formats `now_ns` (since the Unix epoch) as `YYYYMMDD-HH:MM:SS` with a fraction, cut, not rounded; years up to 9999.
#[must_use]
pub fn format_utc(now_ns: u64, precision: Precision) -> UtcText {
    let mut bytes = *b"00000000-00:00:00.000000000";
    bytes[..SECOND].copy_from_slice(&second_text(now_ns / NS_PER_SECOND));
    let fraction_ns = now_ns % NS_PER_SECOND;
    // Each pair by itself: the processor works on several at a time.
    for (at, unit) in [(18, 10_000_000), (20, 100_000), (22, 1000), (24, 10)] {
        bytes[at..at + 2].copy_from_slice(&two_digits(fraction_ns / unit % 100));
    }
    bytes[26] = b'0' + (fraction_ns % 10) as u8;
    UtcText { bytes, length: precision.length() }
}

/// Length of a timestamp without a fraction.
const SECOND: usize = 17;

thread_local! {
    /// The second that was written last, and the text of the one that was read last: nearly always the next is the same.
    static WRITTEN: Cell<(u64, [u8; SECOND])> = const { Cell::new((0, *b"19700101-00:00:00")) };
    static READ: Cell<([u8; SECOND], u64)> = const { Cell::new((*b"19700101-00:00:00", 0)) };
}

/// `YYYYMMDD-HH:MM:SS`.
#[inline]
fn second_text(seconds: u64) -> [u8; SECOND] {
    let (known, text) = WRITTEN.get();
    if known == seconds {
        return text;
    }
    let text = format_second(seconds);
    WRITTEN.set((seconds, text));
    text
}

fn format_second(seconds: u64) -> [u8; SECOND] {
    let (year, month, day) = civil_from_days(seconds / SECONDS_PER_DAY);
    let of_day = seconds % SECONDS_PER_DAY;
    let mut text = *b"00000000-00:00:00";
    let parts = [
        (0, year / 100),
        (2, year % 100),
        (4, month),
        (6, day),
        (9, of_day / 3600),
        (12, of_day / 60 % 60),
        (15, of_day % 60),
    ];
    for (at, value) in parts {
        text[at..at + 2].copy_from_slice(&two_digits(value % 100));
    }
    text
}

/// Seconds since the Unix epoch of `YYYYMMDD-HH:MM:SS`.
#[inline]
fn seconds_since_epoch(text: &[u8; SECOND]) -> Option<u64> {
    let (known, seconds) = READ.get();
    if known == *text {
        return Some(seconds);
    }
    let seconds = parse_second(text)?;
    READ.set((*text, seconds));
    Some(seconds)
}

fn parse_second(text: &[u8; SECOND]) -> Option<u64> {
    let (date, time) = text.split_at(8);
    let (dash, time) = time.split_first()?;
    let days = days_of(date).filter(|_| *dash == b'-')?;
    Some(days * SECONDS_PER_DAY + seconds_of(time)?)
}

/// Formats `now_ns` with milliseconds, as most clients expect.
#[must_use]
pub fn format_utc_millis(now_ns: u64) -> UtcText {
    format_utc(now_ns, Precision::Millis)
}

/// Whether the text is a date: `YYYYMMDD`.
#[must_use]
pub fn is_date(text: &[u8]) -> bool {
    text.len() == 8 && days_of(text).is_some()
}

/// Whether the text is a time of day: `HH:MM:SS` with an optional fraction of up to nine digits.
#[must_use]
pub fn is_time_of_day(text: &[u8]) -> bool {
    text.split_at_checked(8)
        .is_some_and(|(time, fraction)| seconds_of(time).is_some() && fraction_ns(fraction).is_some())
}

/// Nanoseconds since the Unix epoch, or `None` if the text is not a UTCTimestamp of 1970 to 2554 (the range of `u64`).
/// A leap second (`:60`) counts as the second before it.
#[must_use]
pub fn parse_utc_timestamp(text: &[u8]) -> Option<u64> {
    let (second, fraction) = text.split_first_chunk()?;
    Some(seconds_since_epoch(second)? * NS_PER_SECOND + fraction_ns(fraction)?)
}

/// Whether the text is one that [`parse_utc_timestamp`] takes, without its value.
#[inline]
#[must_use]
pub fn is_utc_timestamp(text: &[u8]) -> bool {
    text.split_first_chunk().is_some_and(|(second, fraction)| {
        seconds_since_epoch(second).is_some() && fraction_ns(fraction).is_some()
    })
}

/// Days since the Unix epoch of `YYYYMMDD`.
#[inline]
fn days_of(date: &[u8]) -> Option<u64> {
    date_of(date).map(|(year, month, day)| days_from_civil(year, month, day))
}

/// Year, month and day of `YYYYMMDD`.
#[inline]
fn date_of(date: &[u8]) -> Option<(u64, u64, u64)> {
    let date = eight_digits(date.try_into().ok()?)?;
    let (year, month, day) = (date / 10_000, date / 100 % 100, date % 100);
    let valid = (1970..=2553).contains(&year) && (1..=12).contains(&month) && day >= 1;
    // Every month has 28 days; only for the rest is it worth looking which.
    (valid && (day <= 28 || day <= days_in_month(year, month))).then_some((year, month, day))
}

/// Seconds since midnight of `HH:MM:SS`.
#[inline]
fn seconds_of(time: &[u8]) -> Option<u64> {
    let &[h1, h0, b':', m1, m0, b':', s1, s0] = time else { return None };
    let time = eight_digits([b'0', b'0', h1, h0, m1, m0, s1, s0])?;
    let (hour, minute, second) = (time / 10_000, time / 100 % 100, time % 100);
    (hour <= 23 && minute <= 59 && second <= 60).then(|| hour * 3600 + minute * 60 + second.min(59))
}

/// The number that eight digits stand for, all at once: first tens and ones are joined, then hundreds, then ten thousands
/// (Daniel Lemire, "Quickly parsing eight digits", 2018).
#[inline]
fn eight_digits(text: [u8; 8]) -> Option<u64> {
    let digits = u64::from_le_bytes(text) ^ 0x3030_3030_3030_3030;
    // A byte above 9 has a high bit, or gets one with 6 added.
    if (digits | digits.wrapping_add(0x0606_0606_0606_0606)) & 0xF0F0_F0F0_F0F0_F0F0 != 0 {
        return None;
    }
    const EVERY_FOURTH: u64 = 0x0000_00FF_0000_00FF;
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let high = (pairs & EVERY_FOURTH).wrapping_mul(100 + (1_000_000 << 32));
    let low = (pairs >> 16 & EVERY_FOURTH).wrapping_mul(1 + (10_000 << 32));
    Some(high.wrapping_add(low) >> 32)
}

fn fraction_ns(fraction: &[u8]) -> Option<u64> {
    let Some((&point, digits)) = fraction.split_first() else { return Some(0) };
    if point != b'.' || digits.is_empty() || digits.len() > 9 {
        return None;
    }
    const UNITS: [u64; 10] =
        [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
    Some(digits_value(digits)? * UNITS[digits.len()])
}

#[inline]
fn digits_value(digits: &[u8]) -> Option<u64> {
    super::parse_number(digits)
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar (Howard Hinnant, "chrono-compatible date algorithms").
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day_of_year - (153 * month_index + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_instants() {
        let text =
            |precision| String::from_utf8(format_utc(951_827_696_789_999_999, precision).to_vec()).unwrap();
        assert_eq!(&*format_utc_millis(0), b"19700101-00:00:00.000");
        assert_eq!(text(Precision::Seconds), "20000229-12:34:56");
        assert_eq!(text(Precision::Millis), "20000229-12:34:56.789");
        assert_eq!(text(Precision::Micros), "20000229-12:34:56.789999");
        assert_eq!(text(Precision::Nanos), "20000229-12:34:56.789999999");
        assert_eq!(parse_utc_timestamp(b"20000229-12:34:56.789"), Some(951_827_696_789_000_000));
        assert_eq!(parse_utc_timestamp(b"20000229-12:34:56"), Some(951_827_696_000_000_000));
        assert_eq!(parse_utc_timestamp(b"20000229-12:34:56.000000001"), Some(951_827_696_000_000_001));
        assert_eq!(parse_utc_timestamp(b"20161231-23:59:60"), parse_utc_timestamp(b"20161231-23:59:59"));
    }

    #[test]
    fn a_time_is_not_taken_for_the_one_before() {
        let known = b"20240228-12:34:56";
        for at in 0..SECOND {
            for byte in *b"0139x" {
                let mut other = *known;
                other[at] = byte;
                for text in [known, &other] {
                    assert_eq!(seconds_since_epoch(text), parse_second(text), "{}", text.escape_ascii());
                }
            }
        }
        for seconds in [0, 1, 59, 60, 3600, 86_399, 86_400, 951_827_696] {
            assert_eq!([seconds, seconds + 1].map(second_text), [seconds, seconds + 1].map(format_second));
        }
    }

    #[test]
    fn refuses_what_is_no_timestamp() {
        let bad: [&[u8]; 12] = [
            b"",
            b"20040415",
            b"20010229-00:00:00",
            b"20011301-00:00:00",
            b"20010100-00:00:00",
            b"20010101-24:00:00",
            b"20010101-00:60:00",
            b"20010101 00:00:00",
            b"20010101-00:00:00.",
            b"20010101-00:00:00.1234567890",
            b"+0010101-00:00:00",
            b"00000101-00:00:00",
        ];
        for text in bad {
            assert_eq!(parse_utc_timestamp(text), None, "{}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn eight_digits_are_their_number_and_nothing_else_is(value in 0u32..100_000_000, at in 0usize..8, byte in any::<u8>()) {
            let mut text: [u8; 8] = format!("{value:08}").into_bytes().try_into().unwrap();
            prop_assert_eq!(eight_digits(text), Some(u64::from(value)));
            text[at] = byte;
            prop_assert_eq!(eight_digits(text), crate::fix::parse_number(&text));
        }

        #[test]
        fn a_timestamp_is_one_exactly_if_it_can_be_read(at in 0usize..24, byte in any::<u8>(), cut in 0usize..=27) {
            let mut text = *b"20240229-23:59:59.123456789";
            text[at] = byte;
            let text = &text[..cut];
            prop_assert_eq!(is_utc_timestamp(text), parse_utc_timestamp(text).is_some());
        }

        #[test]
        fn every_digit_of_a_time_is_written(ns in 0u64..18_000_000_000_000_000_000) {
            prop_assert_eq!(parse_utc_timestamp(&format_utc(ns, Precision::Nanos)), Some(ns));
        }

        #[test]
        fn parse_undoes_format(millis in 0u64..18_000_000_000_000) {
            let ns = millis * 1_000_000;
            prop_assert_eq!(parse_utc_timestamp(&format_utc_millis(ns)), Some(ns));
        }
    }
}
