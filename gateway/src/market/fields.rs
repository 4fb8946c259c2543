//! Fields of market data, written without a detour over text: they are most of what a feed sends.

use rust_decimal::Decimal;

use crate::fix::{MAX_SCALE, Precision, SOH, format_utc, push_decimal, push_integer};

/// Digits of the longest number: 39 of an `i128`, the point, and a zero before it.
const DIGITS: usize = 48;

/// A price or quantity of one unit: a tick or a lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    mantissa: i128,
    scale: u32,
}

impl Unit {
    /// Numbers of this unit are written with its decimals, as execution reports write them.
    pub(super) fn new(unit: Decimal) -> Self {
        Self { mantissa: unit.mantissa(), scale: unit.scale() }
    }
}

/// Appends fields to a buffer. A field's name is given with its `=`.
pub(super) struct Fields<'a>(pub(super) &'a mut Vec<u8>);

impl Fields<'_> {
    #[inline]
    pub(super) fn text(&mut self, name: &[u8], value: &[u8]) {
        self.0.extend_from_slice(name);
        self.0.extend_from_slice(value);
        self.0.push(SOH);
    }

    #[inline]
    pub(super) fn character(&mut self, name: &[u8], value: u8) {
        self.text(name, &[value]);
    }

    #[inline]
    pub(super) fn integer(&mut self, name: &[u8], value: u64) {
        self.0.extend_from_slice(name);
        self.digits(value);
        self.0.push(SOH);
    }

    /// `count` units, which are not negative, as a decimal.
    #[inline]
    pub(super) fn number(&mut self, name: &[u8], count: i128, unit: Unit) {
        self.0.extend_from_slice(name);
        let value = count.saturating_mul(unit.mantissa).unsigned_abs();
        match u64::try_from(value) {
            Ok(value) if unit.scale <= MAX_SCALE => push_decimal(self.0, value, unit.scale),
            _ => push_large_decimal(self.0, value, unit.scale),
        }
        self.0.push(SOH);
    }

    /// MDEntryDate (272) and MDEntryTime (273).
    pub(super) fn date_and_time(&mut self, timestamp_ns: u64) {
        let text = format_utc(timestamp_ns, Precision::Millis);
        self.text(b"272=", &text[..8]);
        self.text(b"273=", &text[9..]);
    }

    #[inline]
    pub(super) fn digits(&mut self, value: u64) {
        push_integer(self.0, value);
    }
}

/// Writes `value * 10^-scale`, digit by digit.
fn push_large_decimal(buffer: &mut Vec<u8>, value: u128, scale: u32) {
    let mut digits = [0; DIGITS];
    let (mut at, mut rest, mut written) = (DIGITS, value, 0);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        written += 1;
        if written == scale {
            at -= 1;
            digits[at] = b'.';
        }
        if rest == 0 && written > scale {
            break;
        }
    }
    buffer.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(count: i128, unit: &str) -> String {
        let mut buffer = Vec::new();
        Fields(&mut buffer).number(b"270=", count, Unit::new(Decimal::from_str_exact(unit).unwrap()));
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn numbers_have_the_decimals_of_their_unit() {
        assert_eq!(number(10_050, "0.01"), "270=100.50\x01");
        assert_eq!(number(1, "0.01"), "270=0.01\x01");
        assert_eq!(number(0, "0.001"), "270=0.000\x01");
        assert_eq!(number(7, "1"), "270=7\x01");
        assert_eq!(number(3, "0.25"), "270=0.75\x01");
        assert_eq!(number(4, "2.5"), "270=10.0\x01");
        assert_eq!(number(-12, "0.1"), "270=1.2\x01", "a sign is said in other fields");
        let mut buffer = Vec::new();
        Fields(&mut buffer).date_and_time(1_700_000_000_123_456_789);
        assert_eq!(String::from_utf8(buffer).unwrap(), "272=20231114\x01273=22:13:20.123\x01");
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_decimals_write_themselves(count in 0i64..1 << 40, mantissa in 1i64..1 << 40, scale in 0u32..=18) {
            let unit = Decimal::new(mantissa, scale);
            prop_assume!(i128::from(count) * i128::from(mantissa) < 1 << 95);
            let expected = Decimal::from(count).checked_mul(unit);
            if let Some(expected) = expected.filter(|it| it.scale() == scale) {
                let mut buffer = Vec::new();
                Fields(&mut buffer).number(b"271=", i128::from(count), Unit::new(unit));
                prop_assert_eq!(String::from_utf8(buffer).unwrap(), format!("271={expected}\x01"));
            }
        }

        #[test]
        fn no_count_panics(count in any::<i128>(), mantissa in 1i64..i64::MAX, scale in 0u32..=28) {
            let mut buffer = Vec::new();
            Fields(&mut buffer).number(b"271=", count, Unit::new(Decimal::new(mantissa, scale)));
            prop_assert!(buffer.len() > 5);
        }
    }
}
