//! Client order ids and the words of their index, eight bytes at a time.

use protocol::{AccountId, ClientOrderId};

/// The hash of an order without client order id: it is not indexed.
pub(crate) const NO_CLIENT_ID: u32 = 0;

/// Numbers without pattern (those of wyhash and others), different for each word of an id.
const KEYS: [u64; 5] = [
    0xA076_1D64_78BD_642F,
    0x9E37_79B9_7F4A_7C15,
    0xD6E8_FEB8_6659_FD93,
    0xE703_7ED1_A0B4_28DB,
    0x8EBC_6AF0_9C88_C6E3,
];

/// Hashes ids with their accounts.
pub(crate) struct IdHasher {
    /// One for each word of an id, secret as the seed that they come from: a client who knew one could give the word that
    /// makes a product 0, whatever the other factor is, and so make its ids collide.
    keys: [u64; 5],
}

impl IdHasher {
    /// With a seed that clients must not know.
    pub(crate) fn new(seed: u64) -> Self {
        Self { keys: KEYS.map(|key| key ^ seed) }
    }

    /// The hash of an id; [`NO_CLIENT_ID`] for none, never that for another.
    #[inline(always)]
    pub(crate) fn hash(&self, account: AccountId, id: &ClientOrderId) -> u32 {
        let [one, two, three, four, five] = words_of(id);
        if one | two | three | four | five == 0 {
            return NO_CLIENT_ID;
        }
        // The fifth word repeats four bytes of the fourth, where the account finds room.
        let five = five & !u64::from(u32::MAX) | u64::from(account.0);
        let [key_one, key_two, key_three, key_four, key_five] = self.keys;
        let first = fold(one ^ key_one, two ^ key_two);
        let second = fold(three ^ key_three, four ^ key_four);
        let hash = fold(first ^ second.rotate_left(23), five ^ key_five);
        ((hash >> 32) as u32).max(1)
    }
}

/// The lowest bit of each tag.
pub(crate) const TAG_ONES: u64 = 0x0001_0101_0101_0101;

/// The highest bit of each tag of a word that is 0.
#[inline]
pub(crate) fn empty_places(word: u64) -> u64 {
    const LOW: u64 = TAG_ONES * 0x7F;
    const HIGH: u64 = TAG_ONES * 0x80;
    !(((word & LOW) + LOW) | word | LOW) & HIGH
}

/// An id as words. The last one overlaps the fourth: 36 bytes are four and a half.
#[inline(always)]
pub(crate) fn words_of(id: &ClientOrderId) -> [u64; 5] {
    [0, 8, 16, 24, 28].map(|at: usize| {
        let bytes = id.0.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        u64::from_le_bytes(bytes.unwrap_or_default())
    })
}

/// Whether two ids are equal, without a call and without a branch for each word.
#[inline]
pub(crate) fn is_same(one: &ClientOrderId, other: &ClientOrderId) -> bool {
    let pairs = words_of(one).into_iter().zip(words_of(other));
    pairs.fold(0, |differences, (one, other)| differences | (one ^ other)) == 0
}

/// Multiplies to 128 bits and folds the halves (the mixing step of wyhash).
#[inline]
pub(crate) fn fold(one: u64, two: u64) -> u64 {
    let product = u128::from(one) * u128::from(two);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn empty_places_are_those_whose_tag_is_zero() {
        let mut random = 1u64;
        for _ in 0..100_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Few values, so that neighbours are often 0 and 1 and differ in their highest bit alone.
            let word = random.swap_bytes() & 0x8181_8181_8181_8181 & random.rotate_left(7);
            let expected = (0..7).filter(|tag| word >> (8 * tag) & 0xFF == 0);
            let expected: u64 = expected.map(|tag| 0x80 << (8 * tag)).sum();
            assert_eq!(empty_places(word), expected, "{word:#x}");
        }
    }

    /// The constants of the hash stand in the source, and words that are equal to them made a product 0: ids with such a word
    /// had one hash whatever the word beside it was, and a client could fill one bucket with them.
    #[test]
    fn a_client_who_knows_the_constants_cannot_make_ids_collide() {
        let hasher = IdHasher::new(0x0123_4567_89AB_CDEF);
        for (at, key) in KEYS.into_iter().enumerate().take(4) {
            let hashes = (0..100u8).map(|number| {
                let mut id = ClientOrderId([b'a' + number; 36]);
                id.0[8 * at..8 * at + 8].copy_from_slice(&key.to_le_bytes());
                // All but the word and its neighbour are the same.
                let kept = 16 * (1 - at / 2);
                id.0[kept..kept + 16].fill(b'a');
                id.0[32..].fill(b'a');
                hasher.hash(AccountId(2), &id)
            });
            let distinct: BTreeSet<u32> = hashes.collect();
            assert_eq!(distinct.len(), 100, "word {at}");
        }
    }

    #[test]
    fn every_byte_of_the_id_and_the_account_count() {
        let hasher = IdHasher::new(7);
        let plain = ClientOrderId([b'a'; 36]);
        let hash = hasher.hash(AccountId(2), &plain);
        assert_ne!(hash, hasher.hash(AccountId(3), &plain));
        for at in 0..36 {
            let mut other = plain;
            other.0[at] = b'b';
            assert_ne!(hash, hasher.hash(AccountId(2), &other), "byte {at}");
        }
        assert_eq!(hasher.hash(AccountId(2), &ClientOrderId::NONE), NO_CLIENT_ID);
    }
}
