//! The state hash.

use xxhash_rust::xxh3::Xxh3;
use zerocopy::{Immutable, IntoBytes};

/// XXH3-64 over a machine's state, fed in a canonical order that the machine defines.
///
/// XXH3 is a published, stable format, so that another implementation can compute the same number. It guards against
/// mistakes and damage, not against an adversary.
pub struct StateHasher(Xxh3);

impl StateHasher {
    /// An empty hash.
    #[must_use]
    pub fn new() -> Self {
        Self(Xxh3::new())
    }

    /// Feeds bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Feeds one integer or record, as its little-endian bytes.
    pub fn write_value<T: IntoBytes + Immutable + ?Sized>(&mut self, value: &T) {
        self.0.update(value.as_bytes());
    }

    /// The hash of all that was fed.
    #[must_use]
    pub fn finish(&self) -> u64 {
        self.0.digest()
    }
}

impl Default for StateHasher {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_plain_xxh3_and_depends_on_order() {
        let mut one = StateHasher::new();
        one.write_value(&1u64);
        one.write_value(&2u64);
        let mut two = StateHasher::new();
        two.write_value(&[1u64, 2u64]);
        assert_eq!(one.finish(), two.finish());
        let mut other = StateHasher::new();
        other.write_value(&[2u64, 1u64]);
        assert_ne!(one.finish(), other.finish());
        assert_eq!(
            StateHasher::new().finish(),
            0x2D06_8005_38D3_94C2,
            "XXH3-64 of the empty input, as published"
        );
    }
}
