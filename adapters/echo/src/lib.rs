//! The adapter template: a service on the same core. See the README beside `Cargo.toml`.
#![forbid(unsafe_code)]

mod machine;
mod messages;

pub use machine::EchoMachine;
pub use messages::{
    COMMAND_ECHO, EVENT_ECHOED, EVENT_REJECTED, Echo, Echoed, MAX_TEXT_BYTES, Reason, Rejected, decode,
    encode,
};
