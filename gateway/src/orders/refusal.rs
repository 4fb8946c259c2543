//! Why the gateway itself refuses a request.

/// OrdRejReason (103) or CxlRejReason (102), and words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: u64,
    pub(crate) text: &'static str,
}

/// Other.
pub(crate) const OTHER: u64 = 99;
/// Unsupported order characteristic.
pub(crate) const UNSUPPORTED: u64 = 11;
/// Incorrect quantity.
pub(crate) const INCORRECT_QUANTITY: u64 = 13;

/// A refusal as the outcome of anything.
pub(crate) fn refuse<T>(code: u64, text: &'static str) -> Result<T, Refusal> {
    Err(Refusal { code, text })
}
