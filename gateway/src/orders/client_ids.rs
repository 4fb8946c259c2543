//! Which order each ClOrdID belongs to, for as many as are remembered.
//!
//! Ids stand in the order in which they came, one cell after the other, and an index of one word each says where. A word has
//! 32 bits of the id's hash: another id is told from it without looking at its cell, and a cell is looked at once, when it
//! is the right one. So what comes and goes with every message is the end and the beginning of the row of cells, which the
//! processor foresees, and a line of the index.

use machine::prefetch;
use protocol::{ClientOrderId, OrderId};
use std::collections::VecDeque;

use super::id_hash::IdHash;

/// How far ahead of the oldest id a line of the index is asked for. Nobody has looked at it for as many ids as are remembered.
const NEXT_OLDEST: usize = 8;

/// Session and ClOrdID.
pub(super) type Key = (u16, ClientOrderId);

struct Cell {
    client_order_id: ClientOrderId,
    session: u16,
    tag: u32,
    order_id: OrderId,
}

impl Cell {
    fn key(&self) -> Key {
        (self.session, self.client_order_id)
    }

    #[inline]
    fn has(&self, (session, client_order_id): &Key) -> bool {
        self.session == *session && self.client_order_id == *client_order_id
    }
}

/// See the module's documentation.
pub(super) struct ClientIds {
    /// Oldest first.
    cells: VecDeque<Cell>,
    /// Number of the first cell; they are numbered in a row, modulo 2^32.
    first: u32,
    /// Tag and number of a cell, or 0; linear probing from the place that the tag says. The length is a power of two.
    index: Vec<u64>,
    hash: IdHash,
}

fn word(tag: u32, number: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(number)
}

impl ClientIds {
    /// None, with room for so many.
    pub(super) fn with_capacity(ids: usize) -> Self {
        Self {
            cells: VecDeque::with_capacity(ids + 1),
            first: 0,
            index: vec![0; (ids + ids / 7 + 2).next_power_of_two()],
            hash: IdHash::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    /// From the oldest on.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, OrderId)> + '_ {
        self.cells.iter().map(|cell| (cell.key(), cell.order_id))
    }

    /// The order that has or had this id; none for one that came to no order.
    pub(super) fn get(&self, key: &Key) -> Option<OrderId> {
        let at = self.find(self.tag(key), key)?;
        Some(self.cells[self.cell_of(self.index[at])].order_id)
    }

    /// Asks for the line of the index where this id is or will be.
    #[inline]
    pub(super) fn prefetch(&self, key: &Key) {
        prefetch(&self.index[self.home(self.tag(key))]);
    }

    /// The id belongs to this order now. One that is known stays in its place.
    pub(super) fn insert(&mut self, key: Key, order_id: OrderId) {
        let tag = self.tag(&key);
        if let Some(at) = self.find(tag, &key) {
            let cell = self.cell_of(self.index[at]);
            self.cells[cell].order_id = order_id;
            return;
        }
        if (self.cells.len() + 1) * 8 > self.index.len() * 7 {
            self.grow();
        }
        self.enter(word(tag, self.first.wrapping_add(self.cells.len() as u32)));
        self.cells.push_back(Cell { client_order_id: key.1, session: key.0, tag, order_id });
    }

    /// Looks at the oldest id: forgets it, or, if it `is_used`, makes it the newest.
    pub(super) fn pass_oldest(&mut self, is_used: impl FnOnce(&Key, OrderId) -> bool) {
        let Some(cell) = self.cells.pop_front() else { return };
        if let Some(next) = self.cells.get(NEXT_OLDEST) {
            prefetch(&self.index[self.home(next.tag)]);
        }
        let old = word(cell.tag, self.first);
        let at = self.probe(cell.tag).find(|&at| self.index[at] == old).expect("every cell is in the index");
        self.first = self.first.wrapping_add(1);
        if is_used(&cell.key(), cell.order_id) {
            self.index[at] = word(cell.tag, self.first.wrapping_add(self.cells.len() as u32));
            self.cells.push_back(cell);
        } else {
            self.remove(at);
        }
    }

    /// Bits of the key's hash, never 0.
    #[inline]
    fn tag(&self, (session, client_order_id): &Key) -> u32 {
        (self.hash.of(u64::from(*session), &client_order_id.0) >> 32) as u32 | 1
    }

    /// The places of the index where a tag may be, in their order.
    #[inline]
    fn probe(&self, tag: u32) -> impl Iterator<Item = usize> + use<> {
        let mask = self.index.len() - 1;
        let home = self.home(tag);
        (0..=mask).map(move |step| (home + step) & mask)
    }

    /// The place of the index where a tag would like to be.
    #[inline]
    fn home(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.index.len() as u64) >> 32) as usize
    }

    #[inline]
    fn cell_of(&self, word: u64) -> usize {
        (word as u32).wrapping_sub(self.first) as usize
    }

    /// Where the index has a key.
    fn find(&self, tag: u32, key: &Key) -> Option<usize> {
        for at in self.probe(tag) {
            let word = self.index[at];
            if word == 0 {
                return None;
            }
            if (word >> 32) as u32 == tag && self.cells[self.cell_of(word)].has(key) {
                return Some(at);
            }
        }
        None
    }

    /// Puts a word into the first place that is free.
    fn enter(&mut self, word: u64) {
        let tag = (word >> 32) as u32;
        let at = self.probe(tag).find(|&at| self.index[at] == 0).expect("the index is never full");
        self.index[at] = word;
    }

    /// Empties a place; words behind it that could not be there move up.
    fn remove(&mut self, at: usize) {
        let mask = self.index.len() - 1;
        let (mut gap, mut at) = (at, at);
        loop {
            at = (at + 1) & mask;
            let word = self.index[at];
            if word == 0 {
                break;
            }
            let home = self.home((word >> 32) as u32);
            // How far it has come from home, and how far the gap is: it may not move before its home.
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(gap) & mask {
                self.index[gap] = word;
                gap = at;
            }
        }
        self.index[gap] = 0;
    }

    fn grow(&mut self) {
        self.index = vec![0; self.index.len() * 2];
        for place in 0..self.cells.len() {
            self.enter(word(self.cells[place].tag, self.first.wrapping_add(place as u32)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(number: u16) -> Key {
        (number % 3, ClientOrderId::from_text(format!("id-{}", number / 3).as_bytes()).unwrap())
    }

    /// What it does, slow and obvious.
    #[derive(Default)]
    struct Naive(Vec<(Key, OrderId)>);

    impl Naive {
        fn get(&self, key: &Key) -> Option<OrderId> {
            self.0.iter().find(|it| it.0 == *key).map(|it| it.1)
        }

        fn insert(&mut self, key: Key, order_id: OrderId) {
            match self.0.iter_mut().find(|it| it.0 == key) {
                Some(known) => known.1 = order_id,
                None => self.0.push((key, order_id)),
            }
        }
    }

    proptest! {
        #[test]
        fn it_knows_what_a_list_knows(
            capacity in 0usize..40,
            first in prop_oneof![Just(0u32), Just(u32::MAX - 20)],
            steps in proptest::collection::vec((0u8..4, 0u16..60), 0..400),
        ) {
            let (mut ids, mut naive) = (ClientIds::with_capacity(capacity), Naive::default());
            ids.first = first;
            for (step, (what, number)) in steps.into_iter().enumerate() {
                match what {
                    0 | 1 => {
                        ids.insert(key(number), OrderId(step as u64));
                        naive.insert(key(number), OrderId(step as u64));
                    }
                    2 => {
                        let used = number % 3 == 0;
                        ids.pass_oldest(|oldest, order_id| {
                            assert_eq!(naive.0.first(), Some(&(*oldest, order_id)));
                            used
                        });
                        if !naive.0.is_empty() {
                            let oldest = naive.0.remove(0);
                            naive.0.extend(used.then_some(oldest));
                        }
                    }
                    _ => prop_assert_eq!(ids.get(&key(number)), naive.get(&key(number))),
                }
                prop_assert_eq!(ids.iter().collect::<Vec<_>>(), naive.0.clone());
                prop_assert_eq!(ids.index.iter().filter(|&&word| word != 0).count(), naive.0.len());
            }
            for number in 0..60 {
                prop_assert_eq!(ids.get(&key(number)), naive.get(&key(number)));
            }
        }
    }
}
