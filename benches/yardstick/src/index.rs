//! Finds the slot of a live order by its client's id: open addressing, linear probing, nothing left behind by removals.
//!
//! It is as large as the live orders need and not as the ids that ever were, so that it stays within the near caches.

/// An empty place.
const EMPTY: u64 = u64::MAX;

/// Places at the start.
const FIRST_PLACES: usize = 1 << 16;

/// Ids that follow each other and lie side by side.
const GROUP: u32 = 8;

/// Slots by client id.
pub struct Index {
    /// Lowest 32 bits of the id, then the slot; a power of two of them, at most half used.
    places: Vec<u64>,
    /// How far a hash is shifted down to a group of places.
    shift: u32,
    used: usize,
}

#[inline(always)]
fn slot_of(entry: u64) -> u32 {
    entry as u32
}

impl Default for Index {
    fn default() -> Self {
        Self {
            places: vec![EMPTY; FIRST_PLACES],
            shift: 64 - (FIRST_PLACES / GROUP as usize).ilog2(),
            used: 0,
        }
    }
}

impl Index {
    /// Where a tag's search starts: Fibonacci hashing (Knuth, volume 3, 6.4) of groups of eight, which are a cache line.
    /// Clients count their orders, and most are cancelled soon after they came: their entries are then on few lines.
    #[inline(always)]
    fn home(&self, tag: u32) -> usize {
        let group = u64::from(tag / GROUP).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift;
        group as usize * GROUP as usize + (tag % GROUP) as usize
    }

    /// Place and slot of the entry of an id that `is_it` confirms: ids that agree in 32 bits share a tag.
    #[inline(always)]
    pub fn find(&self, id: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<(usize, u32)> {
        let mask = self.places.len() - 1;
        let mut place = self.home(id as u32);
        loop {
            let entry = *self.places.get(place & mask)?;
            if entry == EMPTY {
                return None;
            }
            if entry >> 32 == id & 0xFFFF_FFFF && is_it(slot_of(entry)) {
                return Some((place & mask, slot_of(entry)));
            }
            place += 1;
        }
    }

    /// Adds an entry.
    #[inline(always)]
    pub fn insert(&mut self, id: u64, slot: u32) {
        if self.used * 2 >= self.places.len() {
            self.grow();
        }
        self.used += 1;
        self.put(id << 32 | u64::from(slot));
    }

    #[inline(always)]
    fn put(&mut self, entry: u64) {
        assert!(entry != EMPTY, "no slot has the highest number");
        let mask = self.places.len() - 1;
        let mut place = self.home((entry >> 32) as u32);
        while self.places[place & mask] != EMPTY {
            place += 1;
        }
        self.places[place & mask] = entry;
    }

    /// Removes the entry at a place that was found; entries behind it close the gap.
    #[inline(always)]
    pub fn remove(&mut self, place: usize) {
        let mask = self.places.len() - 1;
        let mut gap = place;
        let mut at = place;
        loop {
            at = (at + 1) & mask;
            let entry = self.places[at];
            if entry == EMPTY {
                break;
            }
            // It may move into the gap if its search comes past there.
            let home = self.home((entry >> 32) as u32);
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(gap) & mask {
                self.places[gap] = entry;
                gap = at;
            }
        }
        self.places[gap] = EMPTY;
        self.used -= 1;
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let places = self.places.len() * 2;
        let old = std::mem::replace(&mut self.places, vec![EMPTY; places]);
        self.shift -= 1;
        old.into_iter().filter(|&entry| entry != EMPTY).for_each(|entry| self.put(entry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn agrees_with_a_map() {
        let (mut index, mut model) = (Index::default(), BTreeMap::new());
        let mut state = 1u64;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        for step in 0..300_000u32 {
            // Ids of which many share their lowest 32 bits.
            let id = random() % 50_000 + ((random() % 2) << 32);
            let found = index.find(id, |slot| model.get(&id) == Some(&slot));
            assert_eq!(found.map(|(_, slot)| slot), model.get(&id).copied());
            if let Some((place, _)) = found {
                index.remove(place);
                model.remove(&id);
            } else {
                index.insert(id, step);
                model.insert(id, step);
            }
            assert_eq!(index.used, model.len());
        }
        assert!(model.len() > 40_000, "the test makes it grow: {}", model.len());
        for (&id, &slot) in &model {
            assert_eq!(index.find(id, |other| other == slot).map(|(_, slot)| slot), Some(slot));
        }
    }
}
