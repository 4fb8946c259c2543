//! The index from (account, client order id) to a live order.

use alloc::vec::Vec;

use orderbook::OrderTable;
use protocol::{AccountId, ClientOrderId};

/// Open addressing with linear probing and backward-shift deletion, half empty at least, reserved once.
///
/// An entry is 8 bytes: 32 bits of hash and the order's slot. The order keeps its hash (`Order::client_index`), so that
/// removing neither hashes nor reads the id; looking up reads the id only where the hashes agree. No outcome depends
/// on the hash: it decides where entries lie, never what is found.
pub(crate) struct ClientIndex {
    entries: Vec<Entry>,
    /// Client order ids by slot; meaningless for orders without one.
    ids: Vec<ClientOrderId>,
    /// Orders indexed. Half of the entries stay empty, or a probe would never end.
    indexed: usize,
    /// Mixed into every hash, so that a client who does not know it cannot make its ids collide.
    seed: u64,
}

/// Hash and slot + 1; slot part 0 marks an empty entry.
#[derive(Clone, Copy, Default)]
struct Entry {
    hash: u32,
    slot_plus_one: u32,
}

const _: () = assert!(size_of::<Entry>() == 8);

/// The hash of an order without client order id: it is not indexed.
pub(crate) const NO_CLIENT_ID: u32 = 0;

impl ClientIndex {
    /// An index for at most `orders` orders.
    pub(crate) fn with_capacity(orders: u32, seed: u64) -> Self {
        let orders = orders as usize;
        Self {
            entries: alloc::vec![Entry::default(); orders * 2],
            ids: alloc::vec![ClientOrderId::NONE; orders],
            indexed: 0,
            seed,
        }
    }

    /// The hash of an id; [`NO_CLIENT_ID`] for none, never that for another.
    #[inline]
    pub(crate) fn hash(&self, account: AccountId, id: &ClientOrderId) -> u32 {
        if id.is_none() {
            return NO_CLIENT_ID;
        }
        let word = |at: usize| {
            let bytes = id.0.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            u64::from_le_bytes(bytes.unwrap_or_default())
        };
        // The last word overlaps the fourth: 36 bytes are four and a half words.
        let one = fold(word(0) ^ self.seed, word(8) ^ 0x9E37_79B9_7F4A_7C15);
        let two = fold(word(16) ^ 0xD6E8_FEB8_6659_FD93, word(24) ^ 0xA076_1D64_78BD_642F);
        let three = fold(word(28) ^ 0xE703_7ED1_A0B4_28DB, u64::from(account.0) ^ 0x8EBC_6AF0_9C88_C6E3);
        let hash = fold(one ^ two.rotate_left(23), three ^ self.seed);
        ((hash >> 32) as u32).max(1)
    }

    /// The live order of this account with this id.
    #[inline]
    pub(crate) fn find(
        &self,
        table: &OrderTable,
        hash: u32,
        account: AccountId,
        id: &ClientOrderId,
    ) -> Option<u32> {
        if hash == NO_CLIENT_ID {
            return None;
        }
        let mut at = self.home(hash);
        loop {
            let entry = self.entries[at];
            let slot = entry.slot_plus_one.checked_sub(1)?;
            if entry.hash == hash
                && self.ids[slot as usize] == *id
                && table.get(slot).is_some_and(|order| order.account == account)
            {
                return Some(slot);
            }
            at = self.next(at);
        }
    }

    /// Adds an order whose id no other live order of its account has.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u32, slot: u32, id: &ClientOrderId) {
        if hash == NO_CLIENT_ID {
            return;
        }
        assert!(self.indexed < self.ids.len(), "more client order ids are indexed than orders can be live");
        self.indexed += 1;
        let mut at = self.home(hash);
        while self.entries[at].slot_plus_one != 0 {
            at = self.next(at);
        }
        self.entries[at] = Entry { hash, slot_plus_one: slot + 1 };
        self.ids[slot as usize] = *id;
    }

    /// Removes an order. The entries behind it move up, so that no tombstones collect.
    #[inline]
    pub(crate) fn remove(&mut self, hash: u32, slot: u32) {
        if hash == NO_CLIENT_ID {
            return;
        }
        let mut hole = self.home(hash);
        while self.entries[hole].slot_plus_one != slot + 1 {
            assert!(self.entries[hole].slot_plus_one != 0, "slot {slot} is not in the client order id index");
            hole = self.next(hole);
        }
        let mut at = hole;
        loop {
            at = self.next(at);
            let entry = self.entries[at];
            if entry.slot_plus_one == 0 {
                break;
            }
            // An entry may move up to the hole unless its home lies behind the hole.
            if self.distance(self.home(entry.hash), at) >= self.distance(hole, at) {
                self.entries[hole] = entry;
                hole = at;
            }
        }
        self.entries[hole] = Entry::default();
        self.indexed -= 1;
    }

    /// Orders indexed.
    pub(crate) fn len(&self) -> usize {
        self.indexed
    }

    /// The client order id of a live order; `hash` is its `client_index`.
    #[inline]
    pub(crate) fn id(&self, hash: u32, slot: u32) -> ClientOrderId {
        if hash == NO_CLIENT_ID { ClientOrderId::NONE } else { self.ids[slot as usize] }
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.entries.len() as u64) >> 32) as usize
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        if at + 1 == self.entries.len() { 0 } else { at + 1 }
    }

    /// Steps forward from one entry to another.
    #[inline]
    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.entries.len() - from }
    }
}

/// Multiplies to 128 bits and folds the halves (the mixing step of wyhash).
#[inline]
fn fold(one: u64, two: u64) -> u64 {
    let product = u128::from(one) * u128::from(two);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::format;
    use orderbook::Order;
    use protocol::{NewOrder, OrderId};

    fn id(number: u64) -> ClientOrderId {
        ClientOrderId::from_text(format!("order-{number}").as_bytes()).unwrap()
    }

    fn insert(table: &mut OrderTable, account: AccountId) -> u32 {
        let slot = table.next_slot().unwrap();
        let new_order = NewOrder { account, ..NewOrder::default() };
        table.insert(Order::new(OrderId::new(1, slot), &new_order, 0, 0)).unwrap()
    }

    /// Fills and drains the index many times at full load and compares it with a map. The hash is cut down to few
    /// values, so that runs of colliding entries are long and wrap around the end.
    #[test]
    fn agrees_with_a_map_under_collisions() {
        let orders = 64;
        for hash_values in [1u64, 3, 50, 1 << 32] {
            let mut index = ClientIndex::with_capacity(orders, 0);
            let mut table = OrderTable::with_capacity(orders);
            let mut map: BTreeMap<u64, (u32, u32)> = BTreeMap::new();
            let mut random = 0x1234_5678_9ABC_DEF1u64;
            for _ in 0..20_000 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let number = (random >> 33) % 100;
                let account = AccountId(2 + (number % 3) as u32);
                let full_hash = index.hash(account, &id(number / 3));
                let hash = u32::MAX - (u64::from(full_hash) % hash_values) as u32;
                let found = index.find(&table, hash, account, &id(number / 3));
                assert_eq!(found, map.get(&number).map(|entry| entry.1), "order {number}");
                if let Some((hash, slot)) = map.remove(&number) {
                    index.remove(hash, slot);
                    table.remove(slot);
                } else if map.len() < orders as usize {
                    let slot = insert(&mut table, account);
                    index.insert(hash, slot, &id(number / 3));
                    map.insert(number, (hash, slot));
                }
            }
            for (hash, slot) in map.into_values() {
                index.remove(hash, slot);
            }
            assert!(index.entries.iter().all(|entry| entry.slot_plus_one == 0), "nothing is left behind");
        }
    }

    #[test]
    fn every_byte_of_the_id_and_the_account_count() {
        let index = ClientIndex::with_capacity(1, 7);
        let plain = ClientOrderId([b'a'; 36]);
        let hash = index.hash(AccountId(2), &plain);
        assert_ne!(hash, index.hash(AccountId(3), &plain));
        for at in 0..36 {
            let mut other = plain;
            other.0[at] = b'b';
            assert_ne!(hash, index.hash(AccountId(2), &other), "byte {at}");
        }
        assert_eq!(index.hash(AccountId(2), &ClientOrderId::NONE), NO_CLIENT_ID);
    }
}
