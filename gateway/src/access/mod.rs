//! Who may connect, log on and do what, and how much: addresses, passwords, signatures, lock-out, permissions,
//! throttles, and the audit log of logon attempts.

mod address;
mod audit;
mod changed;
mod lockout;
mod password;
mod permission;
mod throttle;
mod verifier;

pub use address::AddressRange;
pub(crate) use audit::Attempts;
pub use audit::{Attempt, AuditLog};
pub use changed::ChangedPasswords;
pub use lockout::LogonGuard;
pub use password::{HmacKey, PasswordHash, SecretError};
pub(crate) use password::{same, signed_text};
pub use permission::Permissions;
pub(crate) use throttle::Throttle;
pub use throttle::{FirmThrottles, ThrottleLimits, Verdict as ThrottleVerdict};
pub use verifier::{InlineVerifier, ThreadVerifier, Verifier, Work};
