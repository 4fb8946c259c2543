//! A hash of order ids that keeps those together that came together.
//!
//! An order id begins with the sequence of the command that made it. Where a table's place follows the sequence, new orders
//! take places in a row and the oldest leave a row of places behind, so that the processor foresees both; a hash that scatters
//! them costs a miss or two each time. No client chooses sequences, so nobody can make many ids fall on one place.

use std::hash::{BuildHasher, Hasher};

use protocol::OrderId;

/// For maps whose keys are [`OrderId`]s.
#[derive(Clone, Copy, Default)]
pub(crate) struct InSequence;

impl BuildHasher for InSequence {
    type Hasher = Place;

    #[inline]
    fn build_hasher(&self) -> Place {
        Place(0)
    }
}

/// See [`InSequence`].
pub(crate) struct Place(u64);

impl Hasher for Place {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    /// The low bits, which say the place in a table, are the sequence; the high ones, by which entries near each other are
    /// told apart, are of all of it. Orders of one command (a list's) have places beside each other.
    #[inline]
    fn write_u64(&mut self, id: u64) {
        let sequence = id >> OrderId::SLOT_BITS;
        let scattered = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = (sequence & 0x0000_FFFF_FFFF_FFFF) ^ (scattered & 0xFFFF_0000_0000_0000);
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("order ids are hashed as one number");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn an_order_is_live_until_it_ends_whoever_else_has_its_slot() {
        let mut live = HashSet::<OrderId, InSequence>::default();
        let [first, second, far] = [OrderId::new(1, 0), OrderId::new(2, 0), OrderId::new(3, 1000)];
        assert!(!live.contains(&OrderId::NONE) && !live.contains(&first));
        live.insert(first);
        live.insert(far);
        live.insert(second);
        assert!(
            live.contains(&first)
                && live.contains(&second)
                && live.contains(&far)
                && !live.contains(&OrderId::new(4, 1000))
        );
        live.remove(&first);
        live.remove(&first);
        assert!(
            !live.contains(&first)
                && live.contains(&second)
                && live.contains(&far)
                && !live.contains(&OrderId::NONE)
        );
    }
}
