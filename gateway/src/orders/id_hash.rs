//! A hash of ClOrdIDs.
//!
//! Clients choose them, so it has secret seeds: nobody can make many that share a place. Words of the id are joined with
//! seeds in pairs and multiplied, and both halves of the product count. That is what `foldhash` does, which is here for all other
//! keys; its ways for other lengths than the one that all ids have are what this goes without.

use std::hash::{BuildHasher as _, Hasher};

use foldhash::fast::RandomState;
use protocol::ClientOrderId;

/// The seeds.
pub(crate) struct IdHash {
    seeds: [u64; 6],
}

impl Default for IdHash {
    fn default() -> Self {
        Self { seeds: std::array::from_fn(|_| RandomState::default().hash_one(0)) }
    }
}

#[inline]
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    (product >> 64) as u64 ^ product as u64
}

impl IdHash {
    /// The hash of an id together with a small number.
    #[inline]
    pub(crate) fn of(&self, number: u64, id: &[u8; ClientOrderId::MAX_LENGTH]) -> u64 {
        let (words, rest) = id.as_chunks::<8>();
        let [a, b, c, d] = std::array::from_fn(|at| u64::from_le_bytes(words[at]) ^ self.seeds[at]);
        let rest = u32::from_le_bytes(rest.try_into().expect("36 bytes are four words and a half"));
        let last = u64::from(rest) << 16 | number;
        fold(fold(a, b) ^ fold(c, d) ^ self.seeds[4], last ^ self.seeds[5])
    }
}

/// For maps whose keys are hashes already.
#[derive(Clone, Copy, Default)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("a hash is one number");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    #[test]
    fn every_byte_and_the_seeds_count() {
        let hash = IdHash::default();
        let mut seen = HashSet::from([hash.of(0, &[0; 36]), hash.of(1, &[0; 36])]);
        for at in 0..36 {
            for byte in 1..=255 {
                let mut id = [0; 36];
                id[at] = byte;
                assert!(seen.insert(hash.of(0, &id)), "{at} {byte}");
            }
        }
        assert_ne!(IdHash::default().of(0, &[0; 36]), hash.of(0, &[0; 36]));
    }

    #[test]
    fn ids_that_count_up_fall_on_places_of_their_own() {
        let hash = IdHash::default();
        let mut places: HashMap<u64, u32> = HashMap::new();
        for number in 0..65_536 {
            let id = ClientOrderId::from_text(format!("ORDER-{number:09}").as_bytes()).unwrap();
            *places.entry(hash.of(0, &id.0) >> 48).or_default() += 1;
        }
        // A random hash leaves 37 in a hundred places empty, and the fullest with 8 or 9.
        assert!((39_000..44_000).contains(&places.len()), "{}", places.len());
        assert!(places.values().all(|&count| count < 14), "{:?}", places.values().max());
    }
}
