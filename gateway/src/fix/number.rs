//! Numbers as text.

/// An unsigned number of 1 to 18 digits.
#[inline]
#[must_use]
pub fn parse_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    text.iter().try_fold(0, |value: u64, &digit| {
        digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0'))
    })
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
    let points = digits.iter().filter(|&&byte| byte == b'.').count();
    let numbers = digits.iter().filter(|byte| byte.is_ascii_digit()).count();
    numbers > 0 && points <= 1 && points + numbers == digits.len()
}
