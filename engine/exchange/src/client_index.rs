//! The index from (account, client order id) to a live order, and the window of ids that ended orders had.

use alloc::vec::Vec;

use machine::{StateHasher, prefetch};
use orderbook::OrderTable;
use protocol::{AccountId, ClientOrderId};
use zerocopy::FromZeros;

pub(crate) use crate::id_words::NO_CLIENT_ID;
use crate::id_words::{IdHasher, TAG_ONES, empty_places, is_same};
use crate::limits::{MAX_ORDERS, MAX_RECENT_CLIENT_IDS};

/// Buckets of seven places. What a bucket's places hold is told by one word: a tag of eight bits of hash for each, 0 for an
/// empty one, and in the highest byte how many entries found their bucket full and lie behind it. So the words of all ids
/// that count fit a second cache where the ids themselves do not, and a new id is nearly always found unused by one word.
///
/// A place leads to a cell with account and id: a live order's by its slot, those of the window in a ring behind them. The
/// cell knows its place, so that an order that ends only makes its place lead to the ring, and the id that leaves the
/// window is taken out where it is, without asking for it. The order keeps its hash (`Order::client_index`), so that ending
/// it hashes nothing. No outcome depends on the hash: it decides where entries lie, never what is found.
pub(crate) struct ClientIndex {
    /// By bucket.
    words: Vec<u64>,
    /// By place, eight to a bucket of which the last is unused: its cell, and above it [`mark_of`] its hash. Meaningless
    /// where the tag is 0.
    places: Vec<u32>,
    /// By slot, meaningless for orders without an id; then the ring.
    cells: Vec<Cell>,
    /// Cells of live orders: the ring begins behind them.
    slots: u32,
    /// Places of the ring.
    recent: u32,
    /// Ids in the ring.
    remembered: u32,
    /// Where in the ring the next id goes.
    next_recent: u32,
    /// Live orders indexed.
    live: usize,
    hasher: IdHasher,
}

/// Cells for each bucket: four of seven places are used when all tables are full.
const CELLS_PER_BUCKET: usize = 4;

/// Numbers of places for each bucket.
const STRIDE: usize = 8;

/// Bits of a place for its cell: as many as `orders` and `recent_client_ids` together need at most. In those above them is
/// more of the hash, so that of 256 cells whose tags agree with that of another id, two are read.
const CELL_BITS: u32 = 25;

const _: () = assert!(MAX_ORDERS as u64 + MAX_RECENT_CLIENT_IDS as u64 <= 1 << CELL_BITS);

/// Where in a word the count of those that passed it lies.
const PASSED_SHIFT: u32 = 56;

/// A count that has come so far stays: it says no more than that there are some.
const MOST_PASSED: u64 = 255;

/// How far ahead in the ring a cell is asked for.
const NEXT_CELLS: usize = 4;

/// Who has or had an order, its id, and where that is indexed.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromZeros)]
struct Cell {
    account: AccountId,
    id: ClientOrderId,
    hash: u32,
    place: u32,
}

const _: () = assert!(size_of::<Cell>() == 48);

impl ClientIndex {
    /// An index for at most `orders` live orders, and the ids of the last `recent` that have ended.
    ///
    /// # Panics
    /// If there is no memory for it.
    pub(crate) fn with_capacity(orders: u32, recent: u32, seed: u64) -> Self {
        let cells = orders as usize + recent as usize;
        let buckets = cells / CELLS_PER_BUCKET + 1;
        Self {
            words: alloc::vec![0; buckets],
            places: alloc::vec![0; buckets * STRIDE],
            cells: Cell::new_vec_zeroed(cells).expect("there is memory for all client order ids"),
            slots: orders,
            recent,
            remembered: 0,
            next_recent: 0,
            live: 0,
            hasher: IdHasher::new(seed),
        }
    }

    /// The hash of an id; [`NO_CLIENT_ID`] for none, never that for another.
    #[inline(always)]
    pub(crate) fn hash(&self, account: AccountId, id: &ClientOrderId) -> u32 {
        self.hasher.hash(account, id)
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
        self.live += 1;
        self.settle_in(hash, slot, account, id);
    }

    /// Takes a live order's id away from it: it has ended. The id is remembered, and the oldest one that was is forgotten.
    #[inline]
    pub(crate) fn end(&mut self, hash: u32, slot: u32, account: AccountId) {
        if hash == NO_CLIENT_ID {
            return;
        }
        self.live -= 1;
        self.move_out(hash, slot, account);
    }

    /// The same where a replace has given the order another id, which is not used, or its first one.
    #[inline]
    pub(crate) fn rename(
        &mut self,
        old_hash: u32,
        hash: u32,
        slot: u32,
        account: AccountId,
        id: &ClientOrderId,
    ) {
        if old_hash == NO_CLIENT_ID {
            return self.insert(hash, slot, account, id);
        }
        self.move_out(old_hash, slot, account);
        self.settle_in(hash, slot, account, id);
    }

    /// Gives a slot's cell an id that is not used.
    #[inline]
    fn settle_in(&mut self, hash: u32, slot: u32, account: AccountId, id: &ClientOrderId) {
        assert!(slot < self.slots, "slot {slot} is beyond the order table");
        let place = self.add(hash, slot);
        self.cells[slot as usize] = Cell { account, id: *id, hash, place };
    }

    /// Moves a slot's id into the ring.
    #[inline]
    fn move_out(&mut self, hash: u32, slot: u32, account: AccountId) {
        let cell = self.cells[slot as usize];
        assert!(cell.hash == hash && cell.account == account, "slot {slot} has no client order id");
        if self.recent == 0 {
            return self.vacate(cell.place, hash);
        }
        let at = self.turn();
        self.places[cell.place as usize] = at | mark_of(hash);
        self.cells[at as usize] = cell;
    }

    /// Remembers the id of an order that was never indexed, as an order's that has ended.
    #[inline]
    pub(crate) fn remember(&mut self, hash: u32, account: AccountId, id: &ClientOrderId) {
        if hash == NO_CLIENT_ID || self.recent == 0 {
            return;
        }
        let at = self.turn();
        let place = self.add(hash, at);
        self.cells[at as usize] = Cell { account, id: *id, hash, place };
    }

    /// Asks for where an id would be found, and where it would be entered.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u32) {
        let home = self.home(hash);
        prefetch(&self.words[home]);
        prefetch(&self.places[home * STRIDE]);
    }

    /// Asks for where a slot's id would be: half of the cells lie on two lines.
    #[inline]
    pub(crate) fn prefetch_cell(&self, slot: u32) {
        if let Some(cell) = self.cells.get(slot as usize) {
            prefetch(&cell.account);
            prefetch(&cell.place);
        }
    }

    /// Asks for the place of a slot's id, which is written when the order gets another one.
    #[inline]
    pub(crate) fn prefetch_place(&self, slot: u32) {
        let place = self.cells.get(slot as usize).and_then(|cell| self.places.get(cell.place as usize));
        place.into_iter().for_each(prefetch);
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

    /// Whether a live order that has an id has this one.
    #[cold]
    #[inline(never)]
    pub(crate) fn has_id(&self, slot: u32, id: &ClientOrderId) -> bool {
        is_same(&self.cells[slot as usize].id, id)
    }

    /// Account and id of those that are remembered, the oldest first.
    pub(crate) fn recent(&self) -> impl Iterator<Item = (AccountId, ClientOrderId)> {
        let ring = self.cells.get(self.slots as usize..).unwrap_or_default();
        let (newer, older) = ring.split_at(self.next_recent as usize);
        let older = if self.remembered < self.recent { &[] } else { older };
        older.iter().chain(newer).map(|cell| (cell.account, cell.id))
    }

    /// Feeds the ids that are remembered, the oldest first.
    pub(crate) fn hash_into(&self, hasher: &mut StateHasher) {
        for (account, id) in self.recent() {
            hasher.write_value(&account);
            hasher.write_value(&id);
        }
    }

    /// The cell of a live or recent id.
    #[inline(always)]
    fn find(&self, hash: u32, account: AccountId, id: &ClientOrderId) -> Option<u32> {
        if hash == NO_CLIENT_ID {
            return None;
        }
        let home = self.home(hash);
        // Read for few ids, but most are entered next: a store that misses holds up those behind it.
        prefetch(&self.places[home * STRIDE]);
        let word = self.words[home];
        // Nearly all ids that are asked for are new, and nearly always one word tells it.
        if places_of(word, hash) | word >> PASSED_SHIFT == 0 {
            return None;
        }
        self.find_from(home, hash, account, id)
    }

    #[inline(never)]
    fn find_from(&self, home: usize, hash: u32, account: AccountId, id: &ClientOrderId) -> Option<u32> {
        let mut at = home;
        for _ in 0..self.words.len() {
            let word = self.words[at];
            let mut left = places_of(word, hash);
            while left != 0 {
                let marked = self.places[at * STRIDE + left.trailing_zeros() as usize / 8];
                let cell = marked ^ mark_of(hash);
                if cell >> CELL_BITS == 0 && self.names(cell, account, id) {
                    return Some(cell);
                }
                left &= left - 1;
            }
            if word >> PASSED_SHIFT == 0 {
                break;
            }
            at = self.next(at);
        }
        None
    }

    fn names(&self, cell: u32, account: AccountId, id: &ClientOrderId) -> bool {
        let cell = &self.cells[cell as usize];
        cell.account == account && is_same(&cell.id, id)
    }

    /// Gives the next cell of the ring. If an id is there, it is the oldest: it is forgotten.
    #[inline(always)]
    fn turn(&mut self) -> u32 {
        let at = self.slots + self.next_recent;
        if self.remembered == self.recent {
            let Cell { hash, place, .. } = self.cells[at as usize];
            self.vacate(place, hash);
        } else {
            self.remembered += 1;
        }
        // Those that are forgotten next were written long ago, and so were their buckets.
        self.cells.get(at as usize + NEXT_CELLS).into_iter().for_each(prefetch);
        let next =
            self.cells.get(at as usize + 1).and_then(|cell| self.words.get(cell.place as usize / STRIDE));
        next.into_iter().for_each(prefetch);
        let next = self.next_recent + 1;
        self.next_recent = if next == self.recent { 0 } else { next };
        at
    }

    /// Makes the first empty place from the home on lead to a cell, and returns it. There is one, since four of seven
    /// places are enough for all cells.
    #[inline(always)]
    fn add(&mut self, hash: u32, cell: u32) -> u32 {
        let home = self.home(hash);
        let free = empty_places(self.words[home]);
        if free == 0 {
            return self.add_behind(home, hash, cell);
        }
        self.occupy(home, free, hash, cell)
    }

    /// The same for a home that is full.
    #[inline(never)]
    fn add_behind(&mut self, home: usize, hash: u32, cell: u32) -> u32 {
        let mut at = home;
        loop {
            let word = &mut self.words[at];
            let free = empty_places(*word);
            if free != 0 {
                return self.occupy(at, free, hash, cell);
            }
            if *word >> PASSED_SHIFT != MOST_PASSED {
                *word += 1 << PASSED_SHIFT;
            }
            at = self.next(at);
        }
    }

    /// Makes the first of a bucket's empty places lead to a cell, and returns it.
    #[inline(always)]
    fn occupy(&mut self, bucket: usize, free: u64, hash: u32, cell: u32) -> u32 {
        let in_bucket = free.trailing_zeros() / 8;
        self.words[bucket] |= tag_of(hash) << (8 * in_bucket);
        let place = bucket * STRIDE + in_bucket as usize;
        self.places[place] = cell | mark_of(hash);
        place as u32
    }

    /// Empties a place. The buckets that its entry had passed count it no more.
    #[inline(always)]
    fn vacate(&mut self, place: u32, hash: u32) {
        let bucket = place as usize / STRIDE;
        let tag = 0xFF << (8 * (place as usize % STRIDE));
        debug_assert_eq!(self.words[bucket] & tag, tag & (tag_of(hash) * TAG_ONES), "place {place}");
        self.words[bucket] &= !tag;
        let home = self.home(hash);
        if home != bucket {
            self.uncount(home, bucket);
        }
    }

    /// Counts an entry of a bucket no more in those from its home on that it had passed.
    #[inline(never)]
    fn uncount(&mut self, home: usize, bucket: usize) {
        let mut at = home;
        while at != bucket {
            let word = &mut self.words[at];
            if *word >> PASSED_SHIFT != MOST_PASSED {
                *word -= 1 << PASSED_SHIFT;
            }
            at = self.next(at);
        }
    }

    /// The bucket of a hash.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        (u64::from(hash).wrapping_mul(self.words.len() as u64) >> 32) as usize
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        if at + 1 == self.words.len() { 0 } else { at + 1 }
    }
}

/// The lowest bits of a hash, never 0; the highest ones choose the bucket.
#[inline]
fn tag_of(hash: u32) -> u64 {
    u64::from(hash & 0xFF).max(1)
}

/// Bits of a hash that are neither in its tag nor, unless the index is very large, decide about the bucket, as they are
/// kept with a place.
#[inline(always)]
fn mark_of(hash: u32) -> u32 {
    hash >> 8 << CELL_BITS
}

/// The highest bit of each tag of a bucket's word that is the hash's.
#[inline(always)]
fn places_of(word: u64, hash: u32) -> u64 {
    empty_places(word ^ (tag_of(hash) * TAG_ONES))
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

    /// Entries; checks what places, cells and buckets say of each other, and the counts of those that have passed.
    fn used_entries(index: &ClientIndex) -> usize {
        let mut passed = alloc::vec![0u64; index.words.len()];
        let mut used = 0;
        for (at, word) in index.words.iter().enumerate() {
            for in_bucket in (0..7).filter(|in_bucket| word >> (8 * in_bucket) & 0xFF != 0) {
                let place = at * STRIDE + in_bucket;
                let cell = &index.cells[(index.places[place] & ((1 << CELL_BITS) - 1)) as usize];
                assert_eq!(mark_of(cell.hash) >> CELL_BITS, index.places[place] >> CELL_BITS);
                assert_eq!(cell.place as usize, place);
                assert_eq!(tag_of(cell.hash), word >> (8 * in_bucket) & 0xFF);
                used += 1;
                let mut from = index.home(cell.hash);
                while from != at {
                    passed[from] += 1;
                    from = index.next(from);
                }
            }
        }
        for (word, passed) in index.words.iter().zip(passed) {
            let counted = word >> PASSED_SHIFT;
            assert!(counted == passed || counted == MOST_PASSED, "{counted} counted of {passed}");
        }
        used
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
                model.live.remove(&key);
                // A replace: the order goes on under another id of its account.
                let other = key_of((draw >> 16) % 50 * 3 + u64::from(key.0.0 - 2));
                let other_hash = hash_of(index, &other);
                if draw >> 8 & 1 == 0 && !index.is_used(table, other_hash, other.0, &other.1) {
                    index.rename(hash, other_hash, slot, other.0, &other.1);
                    model.live.insert(other, (other_hash, slot));
                } else {
                    index.end(hash, slot, key.0);
                    table.remove(slot);
                }
                model.remember(key);
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

    /// More entries pass a bucket than its byte can count: none of them may be lost, neither while they are there nor when
    /// most have gone and the count would have come down to 0.
    #[test]
    fn a_bucket_that_too_many_have_passed_is_never_thought_to_be_the_last() {
        let orders = 600;
        let mut index = ClientIndex::with_capacity(orders, 0, 0);
        let account = AccountId(2);
        let hash = 7;
        (0..orders).for_each(|slot| index.insert(hash, slot, account, &id(u64::from(slot))));
        let finds = |index: &ClientIndex, slot: u32| index.find(hash, account, &id(u64::from(slot)));
        assert!((0..orders).all(|slot| finds(&index, slot) == Some(slot)));
        assert_eq!(used_entries(&index), orders as usize);
        for slot in 0..orders - 1 {
            index.end(hash, slot, account);
            assert_eq!(finds(&index, slot), None);
            assert_eq!(finds(&index, orders - 1), Some(orders - 1), "after {slot}");
        }
        assert_eq!(used_entries(&index), 1);
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
