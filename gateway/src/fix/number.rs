//! Numbers as text.

/// An unsigned number of 1 to 18 digits.
#[inline]
#[must_use]
pub fn parse_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    let (mut value, mut valid) = (0u64, true);
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        valid &= digit < 10;
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    valid.then_some(value)
}

/// FIX's int: an optional minus sign and digits.
#[must_use]
pub fn is_integer(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// FIX's float: an optional minus sign, digits, at most one point; at least one digit.
#[must_use]
pub fn is_decimal(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let (mut points, mut others) = (0, 0);
    for &byte in digits {
        points += usize::from(byte == b'.');
        others += usize::from(!byte.is_ascii_digit());
    }
    points <= 1 && others == points && digits.len() > points
}

/// Most decimals of a number whose digits are 64 bits.
pub(crate) const MAX_SCALE: u32 = 19;

const POWERS_OF_TEN: [u64; MAX_SCALE as usize + 1] = {
    let mut powers = [1; MAX_SCALE as usize + 1];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// 10 to the power of `exponent`, if that has 64 bits.
#[inline]
pub(crate) fn power_of_ten(exponent: u32) -> Option<u64> {
    POWERS_OF_TEN.get(exponent as usize).copied()
}
