//! The index from (account, client order id) to a live order, and the window of ids that ended orders had.

use alloc::vec::Vec;

use machine::StateHasher;
use orderbook::OrderTable;
use protocol::{AccountId, ClientOrderId};
use zerocopy::{FromZeros, Immutable, IntoBytes};

/// Open addressing with linear probing and backward-shift deletion, half empty at least, reserved once.
///
/// An entry is 8 bytes: 32 bits of hash, and the cell that holds account and id, plus 1; 0 marks an empty one. A live
/// order's cell is its slot; the cells behind those are a ring of the ids of ended orders. So an order that ends only
/// changes its entry's cell where it stands, and one probe sees live and recent ids alike. The order keeps its hash
/// (`Order::client_index`), so that ending it hashes nothing; looking up reads a cell only where the hashes agree. No
/// outcome depends on the hash: it decides where entries lie, never what is found.
pub(crate) struct ClientIndex {
    /// Plain integers: a vector of them comes zeroed from the system and costs nothing until it is used.
    entries: Vec<u64>,
    /// By slot, meaningless for orders without an id; then the ring.
    cells: Vec<Cell>,
    /// Cells of live orders: the ring begins behind them.
    slots: u32,
    /// Hashes of the ring's ids, by place in it; [`NO_CLIENT_ID`] where it has not been filled yet.
    recent_hashes: Vec<u32>,
    /// Where in the ring the next id goes: the oldest one's place.
    next_recent: u32,
    /// Live orders indexed.
    live: usize,
    /// Mixed into every hash, so that a client who does not know it cannot make its ids collide.
    seed: u64,
}

/// Who has or had an order, and its id.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromZeros, IntoBytes, Immutable)]
struct Cell {
    account: AccountId,
    id: ClientOrderId,
}

const _: () = assert!(size_of::<Cell>() == 40);

/// The hash of an order without client order id: it is not indexed.
pub(crate) const NO_CLIENT_ID: u32 = 0;

impl ClientIndex {
    /// An index for at most `orders` live orders, and the ids of the last `recent` that have ended.
    ///
    /// # Panics
    /// If there is no memory for it.
    pub(crate) fn with_capacity(orders: u32, recent: u32, seed: u64) -> Self {
        let cells = orders as usize + recent as usize;
        Self {
            entries: alloc::vec![0; cells * 2],
            cells: Cell::new_vec_zeroed(cells).expect("there is memory for all client order ids"),
            slots: orders,
            recent_hashes: alloc::vec![NO_CLIENT_ID; recent as usize],
            next_recent: 0,
            live: 0,
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
    pub(crate) fn find_live(
        &self,
        table: &OrderTable,
        hash: u32,
        account: AccountId,
        id: &ClientOrderId,
    ) -> Option<u32> {
        let slot = self.find(hash, account, id).filter(|&cell| cell < self.slots)?;
        debug_assert!(
            table.get(slot).is_some_and(|order| order.account == account),
            "slot {slot} is not live"
        );
        Some(slot)
    }

    /// Whether a new order of this account may not have this id: a live order has it, or one of the last that ended had.
    #[inline]
    pub(crate) fn is_used(
        &self,
        table: &OrderTable,
        hash: u32,
        account: AccountId,
        id: &ClientOrderId,
    ) -> bool {
        let cell = self.find(hash, account, id);
        debug_assert!(
            cell.is_none_or(|cell| cell >= self.slots || table.get(cell).is_some()),
            "the index names an order that has ended"
        );
        cell.is_some()
    }

    /// Adds a live order whose id is not used.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u32, slot: u32, account: AccountId, id: &ClientOrderId) {
        if hash == NO_CLIENT_ID {
            return;
        }
        assert!(slot < self.slots, "slot {slot} is beyond the order table");
        self.live += 1;
        self.cells[slot as usize] = Cell { account, id: *id };
        self.add_entry(hash, slot);
    }

    /// Takes a live order's id away from it: it has ended, or a replace gave it another one. The id is remembered, and
    /// the oldest one that was is forgotten.
    #[inline]
    pub(crate) fn end(&mut self, hash: u32, slot: u32, account: AccountId) {
        if hash == NO_CLIENT_ID {
            return;
        }
        self.live -= 1;
        let cell = self.cells[slot as usize];
        debug_assert_eq!(cell.account, account, "slot {slot}");
        let place = self.free_place();
        let at = self.entry_of(hash, slot);
        match place {
            None => self.remove_entry(at),
            Some(place) => {
                let ring_cell = self.slots + place;
                self.entries[at] = entry(hash, ring_cell);
                self.cells[ring_cell as usize] = cell;
                self.turn(place, hash);
            }
        }
    }

    /// Remembers the id of an order that was never indexed, as an order's that has ended.
    #[inline]
    pub(crate) fn remember(&mut self, hash: u32, account: AccountId, id: &ClientOrderId) {
        if hash == NO_CLIENT_ID {
            return;
        }
        let Some(place) = self.free_place() else { return };
        let ring_cell = self.slots + place;
        self.cells[ring_cell as usize] = Cell { account, id: *id };
        self.turn(place, hash);
        self.add_entry(hash, ring_cell);
    }

    /// Live orders indexed.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// The client order id of a live order; `hash` is its `client_index`.
    #[inline]
    pub(crate) fn id(&self, hash: u32, slot: u32) -> ClientOrderId {
        if hash == NO_CLIENT_ID { ClientOrderId::NONE } else { self.cells[slot as usize].id }
    }

    /// Account and id of those that are remembered, the oldest first.
    pub(crate) fn recent(&self) -> impl Iterator<Item = (AccountId, ClientOrderId)> {
        let (newer, older) = self.recent_hashes.split_at(self.next_recent as usize);
        let first = self.slots as usize;
        let older = older.iter().zip(first + newer.len()..);
        let used = older.chain(newer.iter().zip(first..)).filter(|(hash, _)| **hash != NO_CLIENT_ID);
        used.map(|(_, cell)| (self.cells[cell].account, self.cells[cell].id))
    }

    /// Feeds the ids that are remembered, the oldest first.
    pub(crate) fn hash_into(&self, hasher: &mut StateHasher) {
        for (account, id) in self.recent() {
            hasher.write_value(&Cell { account, id });
        }
    }

    /// The cell of a live or recent id.
    #[inline]
    fn find(&self, hash: u32, account: AccountId, id: &ClientOrderId) -> Option<u32> {
        if hash == NO_CLIENT_ID {
            return None;
        }
        let mut at = self.home(hash);
        loop {
            let entry = self.entries[at];
            let cell = (entry as u32).checked_sub(1)?;
            if hash_of(entry) == hash {
                let named = &self.cells[cell as usize];
                if named.id == *id && named.account == account {
                    return Some(cell);
                }
            }
            at = self.next(at);
        }
    }

    /// Forgets the oldest id if the ring is full, and gives the place where the next one goes; `None` if none is
    /// remembered at all. Moves entries.
    #[inline]
    fn free_place(&mut self) -> Option<u32> {
        let place = self.next_recent;
        let oldest = *self.recent_hashes.get(place as usize)?;
        if oldest != NO_CLIENT_ID {
            let at = self.entry_of(oldest, self.slots + place);
            self.remove_entry(at);
        }
        Some(place)
    }

    /// Gives a place of the ring to a new id, whose cell is written already.
    #[inline]
    fn turn(&mut self, place: u32, hash: u32) {
        self.recent_hashes[place as usize] = hash;
        let next = place + 1;
        self.next_recent = if next as usize == self.recent_hashes.len() { 0 } else { next };
    }

    /// Where the entry of a cell is.
    #[inline]
    fn entry_of(&self, hash: u32, cell: u32) -> usize {
        let wanted = entry(hash, cell);
        let mut at = self.home(hash);
        while self.entries[at] != wanted {
            assert!(self.entries[at] != 0, "cell {cell} is not in the client order id index");
            at = self.next(at);
        }
        at
    }

    /// Ends, since there are two entries for each cell.
    #[inline]
    fn add_entry(&mut self, hash: u32, cell: u32) {
        let mut at = self.home(hash);
        while self.entries[at] != 0 {
            at = self.next(at);
        }
        self.entries[at] = entry(hash, cell);
    }

    /// Removes an entry. Those behind it move up, so that no tombstones collect.
    #[inline]
    fn remove_entry(&mut self, mut hole: usize) {
        let mut at = hole;
        loop {
            at = self.next(at);
            let entry = self.entries[at];
            if entry == 0 {
                break;
            }
            // An entry may move up to the hole unless its home lies behind the hole.
            if self.distance(self.home(hash_of(entry)), at) >= self.distance(hole, at) {
                self.entries[hole] = entry;
                hole = at;
            }
        }
        self.entries[hole] = 0;
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

#[inline]
fn entry(hash: u32, cell: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(cell + 1)
}

#[inline]
fn hash_of(entry: u64) -> u32 {
    (entry >> 32) as u32
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
    use alloc::collections::{BTreeMap, VecDeque};
    use alloc::format;
    use orderbook::Order;
    use protocol::{NewOrder, OrderId};

    type Key = (AccountId, ClientOrderId);

    /// Ids of live orders with hash and slot, and those of ended ones, as the page says it.
    struct Model {
        live: BTreeMap<Key, (u32, u32)>,
        recent: VecDeque<Key>,
        capacity: usize,
    }

    impl Model {
        fn remember(&mut self, key: Key) {
            self.recent.push_back(key);
            if self.recent.len() > self.capacity {
                self.recent.pop_front();
            }
        }

        fn is_used(&self, key: &Key) -> bool {
            self.live.contains_key(key) || self.recent.contains(key)
        }

        fn hash(&self) -> u64 {
            let mut hasher = StateHasher::new();
            for (account, id) in &self.recent {
                hasher.write_value(account);
                hasher.write_value(id);
            }
            hasher.finish()
        }
    }

    fn id(number: u64) -> ClientOrderId {
        ClientOrderId::from_text(format!("order-{number}").as_bytes()).unwrap()
    }

    fn insert(table: &mut OrderTable, account: AccountId) -> u32 {
        let slot = table.next_slot().unwrap();
        let new_order = NewOrder { account, ..NewOrder::default() };
        table.insert(Order::new(OrderId::new(1, slot), &new_order, 0, 0)).unwrap()
    }

    fn state_hash(index: &ClientIndex) -> u64 {
        let mut hasher = StateHasher::new();
        index.hash_into(&mut hasher);
        hasher.finish()
    }

    fn used_entries(index: &ClientIndex) -> usize {
        index.entries.iter().filter(|&&entry| entry != 0).count()
    }

    /// One step of an exchange: a random id is asked for and then entered, ended, renamed or remembered.
    fn step(index: &mut ClientIndex, table: &mut OrderTable, model: &mut Model, draw: u64, hash_values: u64) {
        let hash_of = |index: &ClientIndex, key: &Key| {
            u32::MAX - (u64::from(index.hash(key.0, &key.1)) % hash_values) as u32
        };
        let key_of = |number: u64| (AccountId(2 + (number % 3) as u32), id(number / 3));
        let key = key_of(draw % 150);
        let hash = hash_of(index, &key);
        let live = model.live.get(&key).copied();
        assert_eq!(index.find_live(table, hash, key.0, &key.1), live.map(|(_, slot)| slot));
        assert_eq!(index.is_used(table, hash, key.0, &key.1), model.is_used(&key));
        match live {
            Some((_, slot)) => {
                assert_eq!(index.id(hash, slot), key.1);
                index.end(hash, slot, key.0);
                model.live.remove(&key);
                model.remember(key);
                // A replace: the order goes on under another id of its account.
                let other = key_of((draw >> 16) % 50 * 3 + u64::from(key.0.0 - 2));
                let other_hash = hash_of(index, &other);
                if draw >> 8 & 1 == 0 && !index.is_used(table, other_hash, other.0, &other.1) {
                    index.insert(other_hash, slot, other.0, &other.1);
                    model.live.insert(other, (other_hash, slot));
                } else {
                    table.remove(slot);
                }
            }
            None if model.is_used(&key) => {}
            None if draw >> 8 & 3 == 0 => {
                index.remember(hash, key.0, &key.1);
                model.remember(key);
            }
            None if table.next_slot().is_some() => {
                let slot = insert(table, key.0);
                index.insert(hash, slot, key.0, &key.1);
                model.live.insert(key, (hash, slot));
            }
            None => {}
        }
        assert_eq!(index.len(), model.live.len());
    }

    /// Fills and drains the index many times at full load and compares it with the model. The hash is cut down to few
    /// values, so that runs of colliding entries are long and wrap around the end.
    #[test]
    fn agrees_with_a_model_under_collisions() {
        let orders = 32;
        for (hash_values, recent) in
            [1u64, 3, 50, 1 << 32].into_iter().flat_map(|values| [(values, 0), (values, 1), (values, 40)])
        {
            let mut index = ClientIndex::with_capacity(orders, recent, 0);
            let mut table = OrderTable::with_capacity(orders);
            let mut model =
                Model { live: BTreeMap::new(), recent: VecDeque::new(), capacity: recent as usize };
            let mut random = 0x1234_5678_9ABC_DEF1u64;
            for count in 0..20_000 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                step(&mut index, &mut table, &mut model, random >> 20, hash_values);
                if count % 64 == 0 {
                    assert_eq!(used_entries(&index), model.live.len() + model.recent.len());
                    assert_eq!(state_hash(&index), model.hash());
                }
            }
            for (key, (hash, slot)) in core::mem::take(&mut model.live) {
                index.end(hash, slot, key.0);
            }
            assert_eq!(index.len(), 0);
            assert!(used_entries(&index) <= recent as usize, "nothing is left behind");
        }
    }

    #[test]
    fn the_window_forgets_the_oldest_first_and_nothing_else() {
        let mut index = ClientIndex::with_capacity(2, 2, 0);
        let mut table = OrderTable::with_capacity(2);
        let account = AccountId(2);
        let hashes: Vec<u32> = (0..5).map(|number| index.hash(account, &id(number))).collect();
        let slot = insert(&mut table, account);
        index.insert(hashes[0], slot, account, &id(0));
        index.remember(hashes[1], account, &id(1));
        index.end(hashes[0], slot, account);
        let used = |index: &ClientIndex| {
            let used = |number| index.is_used(&table, hashes[number as usize], account, &id(number));
            (0..5).map(used).collect::<Vec<bool>>()
        };
        assert_eq!(used(&index), [true, true, false, false, false]);
        assert_eq!(index.find_live(&table, hashes[0], account, &id(0)), None);
        assert!(!index.is_used(&table, hashes[0], AccountId(3), &id(0)), "of that account only");
        index.remember(hashes[2], account, &id(2));
        assert_eq!(used(&index), [true, false, true, false, false]);
        index.remember(hashes[3], account, &id(3));
        assert_eq!(used(&index), [false, false, true, true, false]);
        index.remember(NO_CLIENT_ID, account, &ClientOrderId::NONE);
        index.end(NO_CLIENT_ID, slot, account);
        assert_eq!(used(&index), [false, false, true, true, false]);
        assert!(!index.is_used(&table, NO_CLIENT_ID, account, &ClientOrderId::NONE));
    }

    #[test]
    fn every_byte_of_the_id_and_the_account_count() {
        let index = ClientIndex::with_capacity(1, 0, 7);
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

    /// Prints what an order costs here: asked for, entered, ended at random later.
    /// `cargo test --release -p exchange --lib -- --ignored --nocapture cost_of_an_order`
    #[test]
    #[ignore = "a measurement, not a check"]
    #[expect(clippy::disallowed_types, reason = "it measures, and no machine runs it")]
    fn cost_of_an_order() {
        extern crate std;
        for recent in [0, 65_536, 1 << 20] {
            let orders = 100_000;
            let mut index = ClientIndex::with_capacity(orders, recent, 7);
            let mut table = OrderTable::with_capacity(orders);
            let mut live: Vec<(u32, u32)> = Vec::new();
            let (account, mut random, rounds) = (AccountId(2), 1u64, 4_000_000u64);
            let begun = std::time::Instant::now();
            for number in 0..rounds {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let mut name = ClientOrderId([b'0'; 36]);
                name.0[..8].copy_from_slice(&(number | 0x3030_3030_3030_3030).to_le_bytes());
                name.0[8..16]
                    .copy_from_slice(&(number.rotate_left(32) | 0x3030_3030_3030_3030).to_le_bytes());
                name.0[20] = b'0' + (number >> 6 & 3) as u8;
                name.0[28..36].copy_from_slice(&number.wrapping_mul(0x0101_0101_0101_0101).to_le_bytes());
                let hash = index.hash(account, &name);
                if index.is_used(&table, hash, account, &name) {
                    continue;
                }
                if table.next_slot().is_none() {
                    let at = (random >> 33) as usize % live.len();
                    let (hash, slot) = live.swap_remove(at);
                    index.end(hash, slot, account);
                    table.remove(slot);
                }
                let slot = insert(&mut table, account);
                index.insert(hash, slot, account, &name);
                live.push((hash, slot));
            }
            let mean = begun.elapsed().as_nanos() as u64 / rounds;
            std::println!("{recent} ids remembered: {mean} ns an order");
        }
    }
}
