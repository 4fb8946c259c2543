//! UTCTimestamp (FIX 4.4 volume 1, data types): `YYYYMMDD-HH:MM:SS` with an optional fraction of up to nine digits.

const NS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// A UTCTimestamp in milliseconds, as text.
pub type UtcText = [u8; 21];

/// Formats `now_ns` (since the Unix epoch) as `YYYYMMDD-HH:MM:SS.sss`; years up to 9999.
#[must_use]
pub fn format_utc_millis(now_ns: u64) -> UtcText {
    let seconds = now_ns / NS_PER_SECOND;
    let millis = now_ns % NS_PER_SECOND / 1_000_000;
    let (year, month, day) = civil_from_days(seconds / SECONDS_PER_DAY);
    let of_day = seconds % SECONDS_PER_DAY;
    let mut text = *b"00000000-00:00:00.000";
    put(&mut text, 0, 4, year);
    put(&mut text, 4, 2, month);
    put(&mut text, 6, 2, day);
    put(&mut text, 9, 2, of_day / 3600);
    put(&mut text, 12, 2, of_day / 60 % 60);
    put(&mut text, 15, 2, of_day % 60);
    put(&mut text, 18, 3, millis);
    text
}

fn put(text: &mut UtcText, at: usize, digits: usize, mut value: u64) {
    for slot in text[at..at + digits].iter_mut().rev() {
        *slot = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Nanoseconds since the Unix epoch, or `None` if the text is not a UTCTimestamp of 1970 to 2554 (the range of `u64`).
/// A leap second (`:60`) counts as the second before it.
#[must_use]
pub fn parse_utc_timestamp(text: &[u8]) -> Option<u64> {
    let (whole, fraction) = text.split_at_checked(17)?;
    let separators = [(8, b'-'), (11, b':'), (14, b':')];
    if separators.iter().any(|&(at, expected)| whole[at] != expected) {
        return None;
    }
    let number = |at: usize, digits: usize| digits_value(&whole[at..at + digits]);
    let (year, month, day) = (number(0, 4)?, number(4, 2)?, number(6, 2)?);
    let (hour, minute, second) = (number(9, 2)?, number(12, 2)?, number(15, 2)?);
    if !(1970..=2553).contains(&year)
        || !(1..=12).contains(&month)
        || day < 1
        || day > days_in_month(year, month)
    {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    let seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second.min(59);
    Some(seconds * NS_PER_SECOND + fraction_ns(fraction)?)
}

fn fraction_ns(fraction: &[u8]) -> Option<u64> {
    let Some((&point, digits)) = fraction.split_first() else { return Some(0) };
    if point != b'.' || digits.is_empty() || digits.len() > 9 {
        return None;
    }
    Some(digits_value(digits)? * 10u64.pow(9 - digits.len() as u32))
}

fn digits_value(digits: &[u8]) -> Option<u64> {
    digits
        .iter()
        .try_fold(0, |value, &digit| digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0')))
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
        assert_eq!(&format_utc_millis(0), b"19700101-00:00:00.000");
        assert_eq!(&format_utc_millis(951_827_696_789_999_999), b"20000229-12:34:56.789");
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
