//! What is said: commands, events and their encoding.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::{Decode, Encode};

/// Longest text in bytes: it and its event fit a record many times over, and bound what one command can store.
pub const MAX_TEXT_BYTES: usize = 1024;

/// Most bytes that a message may take or claim to take. Checked while decoding, before anything is allocated.
const MAX_MESSAGE_BYTES: usize = MAX_TEXT_BYTES + 64;

/// Record kind of [`Echo`].
pub const COMMAND_ECHO: u16 = 1;
/// Record kind of [`Rejected`].
pub const EVENT_REJECTED: u16 = 0x8000;
/// Record kind of [`Echoed`].
pub const EVENT_ECHOED: u16 = 0x8001;

/// Command: say this back.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Echo {
    /// What to say; at most [`MAX_TEXT_BYTES`].
    pub text: String,
}

/// Event: it was said.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Echoed {
    /// What was said.
    pub text: String,
    /// How many times anything has been said, this time included.
    pub count: u64,
}

/// Event: the command changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Rejected {
    /// Why.
    pub reason: Reason,
}

/// Why a command was rejected; the lowest that applies. The numbers are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Reason {
    /// Of a kind that this service does not know, or bytes that are no such message.
    Malformed,
    /// Longer than [`MAX_TEXT_BYTES`].
    TooLong,
}

/// Fixed-width little-endian integers: the same bytes everywhere, and cheap to read.
fn configuration() -> Configuration<LittleEndian, Fixint, Limit<MAX_MESSAGE_BYTES>> {
    bincode::config::standard().with_fixed_int_encoding().with_limit::<MAX_MESSAGE_BYTES>()
}

/// A message as the body of a record.
///
/// # Panics
/// If it is longer than any message of this service may be.
#[must_use]
pub fn encode<T: Encode>(message: &T) -> Vec<u8> {
    bincode::encode_to_vec(message, configuration()).expect("messages of this service are short")
}

/// The message in a record's body, if it is one and nothing follows it.
#[must_use]
pub fn decode<T: Decode<()>>(body: &[u8]) -> Option<T> {
    let (message, length) = bincode::decode_from_slice(body, configuration()).ok()?;
    (length == body.len()).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_and_their_bytes_are_the_documented_ones() {
        let echoed = Echoed { text: "hi".to_owned(), count: 3 };
        let bytes = encode(&echoed);
        assert_eq!(bytes, [2, 0, 0, 0, 0, 0, 0, 0, b'h', b'i', 3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(decode(&bytes), Some(echoed));
    }

    #[test]
    fn what_is_no_message_is_none_and_claims_allocate_nothing() {
        let good = encode(&Echo { text: "hello".to_owned() });
        for length in 0..good.len() {
            assert_eq!(decode::<Echo>(&good[..length]), None);
        }
        assert_eq!(decode::<Echo>(&[good.clone(), vec![0]].concat()), None, "something follows");
        let claims_much = u64::MAX.to_le_bytes();
        assert_eq!(decode::<Echo>(&claims_much), None);
        assert_eq!(decode::<Echo>(&[2, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]), None, "not UTF-8");
    }
}
