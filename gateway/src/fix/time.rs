//! UTCTimestamp (FIX 4.4 volume 1, data types): `YYYYMMDD-HH:MM:SS` with an optional fraction of up to nine digits.

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
    let seconds = now_ns / NS_PER_SECOND;
    let (year, month, day) = civil_from_days(seconds / SECONDS_PER_DAY);
    let of_day = seconds % SECONDS_PER_DAY;
    let mut bytes = *b"00000000-00:00:00.000000000";
    put(&mut bytes[0..4], year);
    put(&mut bytes[4..6], month);
    put(&mut bytes[6..8], day);
    put(&mut bytes[9..11], of_day / 3600);
    put(&mut bytes[12..14], of_day / 60 % 60);
    put(&mut bytes[15..17], of_day % 60);
    put(&mut bytes[18..27], now_ns % NS_PER_SECOND);
    UtcText { bytes, length: precision.length() }
}

/// Formats `now_ns` with milliseconds.
#[must_use]
pub fn format_utc_millis(now_ns: u64) -> UtcText {
    format_utc(now_ns, Precision::Millis)
}

fn put(digits: &mut [u8], mut value: u64) {
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + (value % 10) as u8;
        value /= 10;
    }
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
    let (whole, fraction) = text.split_at_checked(17)?;
    if whole[8] != b'-' {
        return None;
    }
    let seconds = days_of(&whole[..8])? * SECONDS_PER_DAY + seconds_of(&whole[9..])?;
    Some(seconds * NS_PER_SECOND + fraction_ns(fraction)?)
}

/// Days since the Unix epoch of `YYYYMMDD`.
#[inline]
fn days_of(date: &[u8]) -> Option<u64> {
    let date = digits_value(date)?;
    let (year, month, day) = (date / 10_000, date / 100 % 100, date % 100);
    let valid = (1970..=2553).contains(&year) && (1..=12).contains(&month);
    (valid && day >= 1 && day <= days_in_month(year, month)).then(|| days_from_civil(year, month, day))
}

/// Seconds since midnight of `HH:MM:SS`.
#[inline]
fn seconds_of(time: &[u8]) -> Option<u64> {
    let &[h1, h0, b':', m1, m0, b':', s1, s0] = time else { return None };
    let time = digits_value(&[h1, h0, m1, m0, s1, s0])?;
    let (hour, minute, second) = (time / 10_000, time / 100 % 100, time % 100);
    (hour <= 23 && minute <= 59 && second <= 60).then(|| hour * 3600 + minute * 60 + second.min(59))
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
        fn parse_undoes_format(millis in 0u64..18_000_000_000_000) {
            let ns = millis * 1_000_000;
            prop_assert_eq!(parse_utc_timestamp(&format_utc_millis(ns)), Some(ns));
        }
    }
}
