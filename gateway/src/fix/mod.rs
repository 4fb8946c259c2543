//! FIX on the wire: framing, field index, encoding, formats. Pure: no socket, no clock.

mod decode;
mod encode;
mod number;
pub mod tags;
mod time;
mod version;

pub use decode::{Field, FieldIndex, Frame, Message, find_frame};
pub use encode::{MessageWriter, SOH};
pub(crate) use encode::{push_decimal, push_integer};
pub(crate) use number::{MAX_SCALE, power_of_ten};
pub use number::{is_decimal, is_integer, parse_number};
pub use time::{
    Precision, UtcText, format_utc, format_utc_millis, is_date, is_time_of_day, is_utc_timestamp,
    parse_utc_timestamp,
};
pub use version::Version;
