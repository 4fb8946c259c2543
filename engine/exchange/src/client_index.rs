//! The index from (account, client order id) to a live order, and the window of ids that ended orders had.

use alloc::vec::Vec;

use machine::StateHasher;
use orderbook::OrderTable;
use protocol::{AccountId, ClientOrderId};
use zerocopy::{FromZeros, Immutable, IntoBytes};

/// Buckets of one cache line each: seven entries, and a count of those that found their bucket full and lie behind it.
///
/// An entry is 8 bytes: 32 bits of hash, and what has the id; 0 marks an empty one. For a live order that is its slot,
/// for an ended one the position of its end in the one order of ends. So an order that ends only changes its entry
/// where it stands, and one line shows live and recent ids alike. An entry whose position has left the window counts
/// for nothing: it is overwritten when its place is wanted, and nobody goes to a cold line to remove it. A cursor
/// passes over all buckets before positions, kept modulo 2^31, could come round.
///
/// Accounts and ids lie apart, a live order's by its slot and those of the window in a ring behind them; looking up reads
/// one only where the hashes agree. The order keeps its hash (`Order::client_index`), so that ending it hashes nothing.
/// No outcome depends on the hash: it decides where entries lie, never what is found.
pub(crate) struct ClientIndex {
    buckets: Vec<Bucket>,
    /// By slot, meaningless for orders without an id; then the ring.
    cells: Vec<Cell>,
    /// Cells of live orders: the ring begins behind them.
    slots: u32,
    /// Places of the ring.
    recent: u32,
    /// Ids that have been remembered so far: the next one's position.
    ended: u64,
    /// Where in the ring the next id goes: its position modulo `recent`.
    next_recent: u32,
    /// The bucket that the cursor comes to next.
    swept: usize,
    /// Live orders indexed.
    live: usize,
    /// Mixed into every hash, so that a client who does not know it cannot make its ids collide.
    seed: u64,
}

/// Entries of a bucket.
const PLACES: usize = 7;

/// Cells for each bucket: four of seven places are used when all tables are full.
const CELLS_PER_BUCKET: usize = 4;

/// Marks an entry of the window; the lower bits are its position modulo 2^31. Without it they are a slot + 1.
const ENDED: u32 = 1 << 31;

/// Ends after which the cursor cleans one bucket. With at most 2^25 cells it has passed them all after 2^29 ends.
const ENDS_PER_SWEPT_BUCKET: u64 = 64;

/// One cache line of entries.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, FromZeros)]
struct Bucket {
    /// Entries, valid or not, for which this or a bucket before it was full, and which lie behind this one.
    passed: u64,
    entries: [u64; PLACES],
}

const _: () = assert!(size_of::<Bucket>() == 64);

impl Bucket {
    /// A bit for each place whose entry is wanted. All are looked at: which one it is no processor foresees.
    #[inline(always)]
    fn places(&self, is_wanted: impl Fn(u64) -> bool) -> u32 {
        let bit = |(place, &entry): (u32, &u64)| u32::from(is_wanted(entry)) << place;
        (0u32..).zip(&self.entries).map(bit).sum()
    }
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
        let buckets = Bucket::new_vec_zeroed(cells / CELLS_PER_BUCKET + 1);
        Self {
            buckets: buckets.expect("there is memory for the index of client order ids"),
            cells: Cell::new_vec_zeroed(cells).expect("there is memory for all client order ids"),
            slots: orders,
            recent,
            ended: 0,
            next_recent: 0,
            swept: 0,
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
        self.add(entry_of(hash, slot + 1));
    }

    /// Takes a live order's id away from it: it has ended, or a replace gave it another one. The id is remembered, and
    /// the oldest one that was is forgotten.
    #[inline]
    pub(crate) fn end(&mut self, hash: u32, slot: u32, account: AccountId) {
        if hash == NO_CLIENT_ID {
            return;
        }
        self.live -= 1;
        let (bucket, place) = self.place_of(entry_of(hash, slot + 1));
        if self.recent == 0 {
            return self.vacate(bucket, place);
        }
        let cell = self.cells[slot as usize];
        debug_assert_eq!(cell.account, account, "slot {slot}");
        self.buckets[bucket].entries[place] = self.turn(hash, cell);
    }

    /// Remembers the id of an order that was never indexed, as an order's that has ended.
    #[inline]
    pub(crate) fn remember(&mut self, hash: u32, account: AccountId, id: &ClientOrderId) {
        if hash == NO_CLIENT_ID || self.recent == 0 {
            return;
        }
        let entry = self.turn(hash, Cell { account, id: *id });
        self.add(entry);
    }

    /// Reads where an id's entry would be; what comes back means nothing.
    #[inline]
    pub(crate) fn glance(&self, hash: u32) -> u64 {
        self.buckets[self.home(hash)].passed
    }

    /// Reads where a slot's id would be; what comes back means nothing.
    #[inline]
    pub(crate) fn glance_at_cell(&self, slot: u32) -> u64 {
        self.cells.get(slot as usize).map_or(0, |cell| u64::from(cell.account.0))
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
        let ring = self.cells.get(self.slots as usize..).unwrap_or_default();
        let (newer, older) = ring.split_at(self.next_recent as usize);
        let older = if self.ended < u64::from(self.recent) { &[] } else { older };
        older.iter().chain(newer).map(|cell| (cell.account, cell.id))
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
        for _ in 0..self.buckets.len() {
            let bucket = &self.buckets[at];
            let mut left = bucket.places(|entry| hash_of(entry) == hash);
            while left != 0 {
                let entry = bucket.entries[left.trailing_zeros() as usize];
                if let Some(cell) = self.cell_of(entry).filter(|&cell| self.names(cell, account, id)) {
                    return Some(cell);
                }
                left &= left - 1;
            }
            if bucket.passed == 0 {
                break;
            }
            at = self.next(at);
        }
        None
    }

    #[inline]
    fn names(&self, cell: u32, account: AccountId, id: &ClientOrderId) -> bool {
        let cell = &self.cells[cell as usize];
        cell.account == account && cell.id == *id
    }

    /// Ends since an entry of the window: 1 for the last one.
    #[inline]
    fn age(&self, entry: u64) -> u32 {
        (self.ended as u32).wrapping_sub(entry as u32) & !ENDED
    }

    /// Whether an entry counts for nothing: it is empty, or has left the window.
    #[inline]
    fn is_free(&self, entry: u64) -> bool {
        (entry == 0) | (entry as u32 & ENDED != 0) & (self.age(entry) > self.recent)
    }

    /// Where account and id of an entry are; `None` if it has left the window.
    #[inline]
    fn cell_of(&self, entry: u64) -> Option<u32> {
        if entry as u32 & ENDED == 0 {
            return (entry as u32).checked_sub(1);
        }
        let age = self.age(entry);
        if age > self.recent {
            return None;
        }
        let newest = self.next_recent;
        Some(self.slots + if age <= newest { newest - age } else { newest + self.recent - age })
    }

    /// Gives an id the next position and its place in the ring; returns its entry.
    #[inline]
    fn turn(&mut self, hash: u32, cell: Cell) -> u64 {
        let position = self.ended as u32 | ENDED;
        self.cells[(self.slots + self.next_recent) as usize] = cell;
        let next = self.next_recent + 1;
        self.next_recent = if next == self.recent { 0 } else { next };
        self.ended += 1;
        if self.ended.is_multiple_of(ENDS_PER_SWEPT_BUCKET) {
            self.sweep();
        }
        entry_of(hash, position)
    }

    /// Empties the places of a bucket that have left the window.
    #[cold]
    fn sweep(&mut self) {
        let bucket = self.swept;
        for place in 0..PLACES {
            let entry = self.buckets[bucket].entries[place];
            if entry != 0 && self.is_free(entry) {
                self.vacate(bucket, place);
            }
        }
        self.swept = self.next(bucket);
    }

    /// Bucket and place of an entry.
    #[inline]
    fn place_of(&self, entry: u64) -> (usize, usize) {
        let mut at = self.home(hash_of(entry));
        loop {
            let bucket = &self.buckets[at];
            let found = bucket.places(|other| other == entry);
            if found != 0 {
                return (at, found.trailing_zeros() as usize);
            }
            assert!(bucket.passed != 0, "cell {} is not in the client order id index", entry as u32);
            at = self.next(at);
        }
    }

    /// Adds an entry in the first place from its home on that is empty or has left the window. There is one, since four
    /// of seven places are enough for all that can count.
    #[inline]
    fn add(&mut self, entry: u64) {
        let mut at = self.home(hash_of(entry));
        loop {
            let bucket = &self.buckets[at];
            let free = bucket.places(|other| self.is_free(other));
            if free != 0 {
                let place = free.trailing_zeros() as usize;
                if bucket.entries[place] != 0 {
                    self.vacate(at, place);
                }
                self.buckets[at].entries[place] = entry;
                return;
            }
            self.buckets[at].passed += 1;
            at = self.next(at);
        }
    }

    /// Empties a place. The buckets that its entry had passed count it no more.
    #[inline]
    fn vacate(&mut self, bucket: usize, place: usize) {
        let entry = core::mem::take(&mut self.buckets[bucket].entries[place]);
        let mut at = self.home(hash_of(entry));
        while at != bucket {
            self.buckets[at].passed -= 1;
            at = self.next(at);
        }
    }

    /// The bucket of a hash.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.buckets.len() as u64) >> 32) as usize
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        if at + 1 == self.buckets.len() { 0 } else { at + 1 }
    }
}

#[inline]
fn entry_of(hash: u32, what: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(what)
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

    fn entries(index: &ClientIndex) -> impl Iterator<Item = u64> {
        index.buckets.iter().flat_map(|bucket| bucket.entries)
    }

    /// Entries that count; checks what buckets say of those that have passed them.
    fn used_entries(index: &ClientIndex) -> usize {
        let mut passed = alloc::vec![0; index.buckets.len()];
        for (at, bucket) in index.buckets.iter().enumerate() {
            for entry in bucket.entries.into_iter().filter(|entry| *entry != 0) {
                let mut from = index.home(hash_of(entry));
                while from != at {
                    passed[from] += 1;
                    from = index.next(from);
                }
            }
        }
        assert!(index.buckets.iter().map(|bucket| bucket.passed).eq(passed));
        entries(index).filter(|&entry| !index.is_free(entry)).count()
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

    /// Positions are kept modulo 2^31: an entry that nobody came across must be gone before they come round, or it would
    /// stand for an id of the window again.
    #[test]
    fn entries_that_have_left_the_window_do_not_come_back_when_positions_come_round() {
        let (orders, recent) = (200, 100);
        let mut index = ClientIndex::with_capacity(orders, recent, 0);
        let account = AccountId(2);
        let remember = |index: &mut ClientIndex, number: u64| {
            let hash = index.hash(account, &id(number));
            index.remember(hash, account, &id(number));
        };
        index.ended = (1 << 31) - 150;
        index.next_recent = (index.ended % u64::from(recent)) as u32;
        let buckets = index.buckets.len() as u64;
        for number in 0..100 + u64::from(recent) {
            remember(&mut index, number);
        }
        assert_eq!(used_entries(&index), recent as usize);
        let stale = entries(&index).filter(|&entry| entry != 0 && index.is_free(entry)).count();
        assert!(stale > 0, "some are left that do not count");
        for number in 0..buckets * ENDS_PER_SWEPT_BUCKET {
            remember(&mut index, 1_000 + number);
        }
        let first = index.ended - buckets * ENDS_PER_SWEPT_BUCKET - u64::from(recent);
        let oldest = entries(&index).filter(|entry| *entry != 0).map(|entry| index.age(entry)).max();
        assert!(u64::from(oldest.unwrap()) <= index.ended - first, "the cursor has passed them");
        assert!(
            (0..200).all(|number| {
                index.find(index.hash(account, &id(number)), account, &id(number)).is_none()
            })
        );
        assert_eq!(used_entries(&index), recent as usize);
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
