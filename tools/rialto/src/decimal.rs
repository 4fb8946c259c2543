//! Between decimals and integers, exactly or not at all.

use rust_decimal::Decimal;

/// `value` as a whole number of 10^-scale; `None` if it is not whole or does not fit.
pub fn to_minor(value: Decimal, scale: u8) -> Option<i64> {
    let scaled =
        value.checked_mul(Decimal::from_i128_with_scale(10i128.checked_pow(u32::from(scale))?, 0))?;
    let normal = scaled.normalize();
    if normal.scale() == 0 { i64::try_from(normal.mantissa()).ok() } else { None }
}

/// 10^-scale times `minor`, with all its decimal places.
pub fn from_minor(minor: i64, scale: u8) -> Decimal {
    Decimal::from_i128_with_scale(i128::from(minor), u32::from(scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn conversions_are_exact_or_refused() {
        assert_eq!(to_minor(decimal("1.05"), 2), Some(105));
        assert_eq!(to_minor(decimal("1.050000"), 2), Some(105));
        assert_eq!(to_minor(decimal("1.055"), 2), None);
        assert_eq!(to_minor(decimal("-3"), 0), Some(-3));
        assert_eq!(to_minor(decimal("9.3"), 18), None);
        assert_eq!(to_minor(decimal("9.2"), 18), Some(9_200_000_000_000_000_000));
        assert_eq!(from_minor(105, 2).to_string(), "1.05");
        assert_eq!(from_minor(-5, 6).to_string(), "-0.000005");
    }
}
