//! Which order expires next.

use alloc::vec::Vec;

use protocol::OrderId;

/// A binary heap of orders by time, then id, that knows where each of them is, so that one which ends otherwise is
/// taken out at once.
pub(crate) struct Expiries {
    heap: Vec<Entry>,
    /// Place in the heap + 1, by slot; 0 for an order that is not in it. Zeroed by the system.
    places: Vec<u32>,
}

type Entry = (u64, OrderId);

impl Expiries {
    /// A heap for at most `orders` orders. Nothing is allocated after this.
    pub(crate) fn with_capacity(orders: u32) -> Self {
        let orders = orders as usize;
        Self { heap: Vec::with_capacity(orders), places: alloc::vec![0; orders] }
    }

    /// Adds a live order that expires at a time.
    ///
    /// # Panics
    /// If there is an order in its slot already.
    pub(crate) fn insert(&mut self, order_id: OrderId, time_ns: u64) {
        let place = &mut self.places[order_id.slot() as usize];
        assert!(*place == 0, "the order in the slot of {order_id} expires already");
        let at = self.heap.len();
        *place = at as u32 + 1;
        self.heap.push((time_ns, order_id));
        self.rise(at);
    }

    /// Takes an order out that has been added.
    ///
    /// # Panics
    /// If it is not there.
    pub(crate) fn remove(&mut self, order_id: OrderId) {
        let slot = order_id.slot() as usize;
        let at = (self.places[slot] as usize).checked_sub(1);
        let at = at.filter(|&at| self.heap[at].1 == order_id).expect("an order that expires is in the heap");
        self.places[slot] = 0;
        let last = self.heap.pop().expect("it holds that order at least");
        if at < self.heap.len() {
            self.put(at, last);
            self.rise(at);
            self.sink(at);
        }
    }

    /// The order that expires first, of those at the same time the one of the lowest id.
    #[inline]
    pub(crate) fn first(&self) -> Option<(u64, OrderId)> {
        self.heap.first().copied()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// All of them, in no order that means anything; the same commands give the same one.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, OrderId)> {
        self.heap.iter().copied()
    }

    /// Adds one from a snapshot; false if its slot is none or holds another one.
    pub(crate) fn restore(&mut self, order_id: OrderId, time_ns: u64) -> bool {
        let is_free = self.places.get(order_id.slot() as usize) == Some(&0);
        if is_free {
            self.insert(order_id, time_ns);
        }
        is_free
    }

    fn put(&mut self, at: usize, entry: Entry) {
        self.heap[at] = entry;
        self.places[entry.1.slot() as usize] = at as u32 + 1;
    }

    fn rise(&mut self, mut at: usize) {
        let entry = self.heap[at];
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.heap[parent] < entry {
                break;
            }
            self.put(at, self.heap[parent]);
            at = parent;
        }
        self.put(at, entry);
    }

    fn sink(&mut self, mut at: usize) {
        let entry = self.heap[at];
        loop {
            let children = 2 * at + 1..(2 * at + 3).min(self.heap.len());
            let Some(child) = children.min_by_key(|&child| self.heap[child]) else { break };
            if entry < self.heap[child] {
                break;
            }
            self.put(at, self.heap[child]);
            at = child;
        }
        self.put(at, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    /// Adds and takes out at random, the first or any, and compares with a sorted set.
    #[test]
    fn agrees_with_a_sorted_set() {
        for (slots, times) in [(1u32, 3u64), (7, 2), (200, 5), (200, 1 << 40)] {
            let mut expiries = Expiries::with_capacity(slots);
            let mut set: BTreeSet<(u64, OrderId)> = BTreeSet::new();
            let mut random = 0x1234_5678_9ABC_DEF1u64;
            for sequence in 1..20_000 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let slot = (random >> 33) as u32 % slots;
                let known = set.iter().find(|(_, order_id)| order_id.slot() == slot).copied();
                match known {
                    Some(entry) if random >> 32 & 1 == 0 => {
                        expiries.remove(entry.1);
                        set.remove(&entry);
                    }
                    Some(_) => {
                        let (time_ns, order_id) = expiries.first().unwrap();
                        expiries.remove(order_id);
                        assert!(set.remove(&(time_ns, order_id)));
                    }
                    None => {
                        let entry = ((random >> 20) % times, OrderId::new(sequence, slot));
                        expiries.insert(entry.1, entry.0);
                        set.insert(entry);
                    }
                }
                assert_eq!(expiries.first(), set.first().copied());
                assert_eq!(expiries.heap.len(), set.len());
            }
            assert_eq!(expiries.places.iter().filter(|&&place| place != 0).count(), set.len());
        }
    }

    #[test]
    fn at_the_same_time_the_lowest_id_is_first() {
        let mut expiries = Expiries::with_capacity(4);
        for (sequence, slot) in [(5, 0), (4, 1), (9, 2)] {
            expiries.insert(OrderId::new(sequence, slot), 77);
        }
        assert_eq!(expiries.first(), Some((77, OrderId::new(4, 1))));
        expiries.insert(OrderId::new(99, 3), 76);
        assert_eq!(expiries.first(), Some((76, OrderId::new(99, 3))));
    }

    #[test]
    #[should_panic(expected = "an order that expires is in the heap")]
    fn another_order_of_the_same_slot_is_not_the_one() {
        let mut expiries = Expiries::with_capacity(1);
        expiries.insert(OrderId::new(1, 0), 5);
        expiries.remove(OrderId::new(2, 0));
    }

    #[test]
    #[should_panic(expected = "expires already")]
    fn a_slot_expires_once() {
        let mut expiries = Expiries::with_capacity(1);
        expiries.insert(OrderId::new(1, 0), 5);
        expiries.insert(OrderId::new(2, 0), 5);
    }
}
