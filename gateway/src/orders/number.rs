//! Prices and quantities on their way between text and whole numbers of ticks and lots.
//!
//! `rust_decimal` says what is right, for all that it can hold. Nearly every number has less than 19 digits, and those are
//! read and written with integers of 64 bits, to the same result in a fraction of the time.

use std::fmt;

use rust_decimal::Decimal;

use super::ConversionError;
use crate::fix::{MAX_SCALE, MessageWriter, power_of_ten};

/// A decimal, which prints itself as a message has it.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// `digits * 10^-scale`, written with `scale` decimals, at most [`MAX_SCALE`].
    Small {
        /// All digits.
        digits: u64,
        /// How many of them are decimals.
        scale: u32,
    },
    /// Any other.
    Large(Decimal),
}

impl Number {
    /// Nothing, without decimals.
    pub const ZERO: Self = Self::Small { digits: 0, scale: 0 };

    /// `minor * 10^-scale`.
    #[must_use]
    pub fn new(minor: i64, scale: u32) -> Self {
        match u64::try_from(minor) {
            Ok(digits) if scale <= MAX_SCALE => Self::Small { digits, scale },
            _ => Self::Large(Decimal::new(minor, scale)),
        }
    }

    /// So many units, with the unit's decimals; zero has none. Too large a product is the largest decimal.
    #[inline]
    #[must_use]
    pub fn product(count: i64, unit: Decimal) -> Self {
        if count == 0 || unit.is_zero() {
            return Self::ZERO;
        }
        let (mantissa, scale) = (u64::try_from(unit.mantissa()), unit.scale());
        let digits = u64::try_from(count).ok().zip(mantissa.ok()).and_then(|(a, b)| a.checked_mul(b));
        match digits {
            Some(digits) if scale <= MAX_SCALE => Self::Small { digits, scale },
            _ => Self::Large(Decimal::from(count).checked_mul(unit).unwrap_or(Decimal::MAX)),
        }
    }

    /// The same without decimals that are zero at the end.
    #[must_use]
    pub fn normalize(self) -> Self {
        match self {
            Self::Small { mut digits, mut scale } => {
                while scale > 0 && digits.is_multiple_of(10) {
                    (digits, scale) = (digits / 10, scale - 1);
                }
                Self::Small { digits, scale }
            }
            Self::Large(decimal) => Self::Large(decimal.normalize()),
        }
    }

    /// Writes it as the value of a field.
    #[inline]
    pub(crate) fn write(self, writer: &mut MessageWriter<'_>, tag: u32) {
        match self {
            Self::Small { digits, scale } => writer.decimal(tag, digits, scale),
            Self::Large(decimal) => writer.display(tag, decimal),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Small { digits, scale } => Decimal::from_i128_with_scale(i128::from(digits), scale).fmt(f),
            Self::Large(decimal) => decimal.fmt(f),
        }
    }
}

/// A decimal as a whole number of units.
pub(super) fn units(text: &[u8], unit: Decimal) -> Result<i64, ConversionError> {
    small_units(text, unit).unwrap_or_else(|| large_units(text, unit))
}

/// The same for a number that begins and ends with a digit and has at most 18; `None` for all others.
#[inline]
fn small_units(text: &[u8], unit: Decimal) -> Option<Result<i64, ConversionError>> {
    let ends = text.first()?.is_ascii_digit() && text.last()?.is_ascii_digit();
    if !ends || text.len() > 18 {
        return None;
    }
    let (mut value, mut point) = (0, None);
    for (at, &byte) in text.iter().enumerate() {
        match byte.wrapping_sub(b'0') {
            digit @ 0..10 => value = value * 10 + u64::from(digit),
            _ if byte == b'.' && point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    let decimals = point.map_or(0, |at| text.len() - 1 - at) as u32;
    let mantissa = u64::try_from(unit.mantissa()).ok().filter(|&it| it != 0)?;
    // At one common scale both are integers, and integers divide without rounding.
    let value = value.checked_mul(power_of_ten(unit.scale().saturating_sub(decimals))?)?;
    let unit = mantissa.checked_mul(power_of_ten(decimals.saturating_sub(unit.scale()))?)?;
    if unit == 1 {
        return Some(i64::try_from(value).map_err(|_| ConversionError::TooLarge));
    }
    if !value.is_multiple_of(unit) {
        return Some(Err(ConversionError::NotAMultiple));
    }
    Some(i64::try_from(value / unit).map_err(|_| ConversionError::TooLarge))
}

fn large_units(text: &[u8], unit: Decimal) -> Result<i64, ConversionError> {
    let digits_only = text.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'));
    let text = std::str::from_utf8(text).ok().filter(|_| digits_only).ok_or(ConversionError::NotADecimal)?;
    let value = Decimal::from_str_exact(text).map_err(|_| ConversionError::NotADecimal)?;
    let (value, unit) = (value.normalize(), unit.normalize());
    let scale = value.scale().max(unit.scale());
    let value = value.mantissa().checked_mul(10i128.pow(scale - value.scale()));
    let unit = unit.mantissa().checked_mul(10i128.pow(scale - unit.scale()));
    let (value, unit) = value.zip(unit).ok_or(ConversionError::TooLarge)?;
    if value % unit != 0 {
        return Err(ConversionError::NotAMultiple);
    }
    i64::try_from(value / unit).map_err(|_| ConversionError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fix::{FieldIndex, Version};
    use proptest::prelude::*;

    /// How a message has it.
    fn written(number: Number) -> String {
        let mut bytes = Vec::new();
        let mut writer = MessageWriter::begin(&mut bytes, Version::Fix44, b"8");
        number.write(&mut writer, 44);
        writer.finish();
        let mut index = FieldIndex::new();
        let value = index.parse(&bytes).and_then(|message| message.get(44)).map(<[u8]>::to_vec);
        String::from_utf8(value.unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_decimals_write_themselves(
            count in prop_oneof![-5i64..5, any::<i64>(), 0i64..1_000_000_000],
            mantissa in prop_oneof![0i64..1_000, any::<i64>()],
            scale in 0u32..=28,
        ) {
            let unit = Decimal::new(mantissa, scale);
            let expected = Decimal::from(count).checked_mul(unit).unwrap_or(Decimal::MAX);
            for (number, expected) in [
                (Number::product(count, unit), expected),
                (Number::product(count, unit).normalize(), expected.normalize()),
                (Number::new(mantissa, scale), unit),
            ] {
                prop_assert_eq!(written(number), expected.to_string());
                prop_assert_eq!(number.to_string(), expected.to_string());
            }
        }

        #[test]
        fn short_text_means_what_it_means_as_a_decimal(
            text in "-?[0-9]{0,11}\\.?[0-9]{0,8}|[0-9.e+-]{0,6}",
            mantissa in 1i64..1_000_000_000_000,
            scale in 0u32..=24,
        ) {
            let unit = Decimal::new(mantissa, scale);
            prop_assert_eq!(units(text.as_bytes(), unit), large_units(text.as_bytes(), unit), "{}", text);
            let of_one = units(text.as_bytes(), Decimal::new(1, scale));
            prop_assert_eq!(of_one, large_units(text.as_bytes(), Decimal::new(1, scale)), "{}", text);
        }
    }
}
