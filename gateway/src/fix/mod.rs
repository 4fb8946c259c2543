//! FIX 4.4 on the wire: framing, field index, encoding, timestamps. Pure: no socket, no clock.

mod decode;
mod encode;
pub mod tags;
mod time;

pub(crate) use decode::parse_number;
pub use decode::{Field, FieldIndex, Frame, Message, find_frame};
pub use encode::{MessageWriter, SOH};
pub use time::{UtcText, format_utc_millis, parse_utc_timestamp};

/// The value of tag 8 that this gateway speaks.
pub const BEGIN_STRING: &[u8] = b"FIX.4.4";
