//! A block: the fields that a header, trailer, message or repeating group may hold, found by tag in one look-up.

use super::{Definition, Kind, NO_SET};

/// No group starts at this field.
pub(crate) const NO_GROUP: u16 = u16::MAX;

/// A field of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// 0 marks an empty slot.
    pub(crate) tag: u16,
    /// Place in the block; the required fields come first.
    pub(crate) ordinal: u16,
    /// Index of the group that the field counts, or [`NO_GROUP`].
    pub(crate) group: u16,
    /// Index of the field's value set, or [`NO_SET`]. Like `kind` a copy from its definition, so that a check touches one place a
    /// field.
    pub(crate) set: u16,
    /// What its type asks of a value.
    pub(crate) kind: Kind,
}

const EMPTY: Slot = Slot { tag: 0, ordinal: 0, group: NO_GROUP, set: NO_SET, kind: Kind::Text };

impl Default for Slot {
    /// An empty one.
    fn default() -> Self {
        EMPTY
    }
}

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Block {
    /// Open addressing, at most half full; the length is a power of two.
    slots: Vec<Slot>,
    shift: u32,
    /// Tags that must be there, ascending; their ordinals are their places here.
    pub(crate) required: Vec<u16>,
    /// First field of the block: starts the next instance of a group.
    pub(crate) first: u16,
    /// Number of fields.
    pub(crate) length: usize,
}

/// A field on its way into a block.
#[derive(Clone, Copy)]
pub(super) struct Member {
    pub(super) tag: u16,
    pub(super) definition: Definition,
    pub(super) group: u16,
    pub(super) required: bool,
}

impl Block {
    /// A block with these fields; the first of equal tags counts.
    pub(super) fn new(members: &[Member]) -> Self {
        let mut unique: Vec<Member> = Vec::with_capacity(members.len());
        for member in members {
            if unique.iter().all(|it| it.tag != member.tag) {
                unique.push(*member);
            }
        }
        let first = unique.first().map_or(0, |it| it.tag);
        unique.sort_by_key(|it| (!it.required, it.tag));
        let bits = (unique.len() * 2).next_power_of_two().trailing_zeros().max(1);
        let mut block = Self {
            slots: vec![EMPTY; 1 << bits],
            shift: 32 - bits,
            required: unique.iter().filter(|it| it.required).map(|it| it.tag).collect(),
            first,
            length: unique.len(),
        };
        for (ordinal, it) in unique.iter().enumerate() {
            let mut at = block.start(u32::from(it.tag));
            while block.slots[at].tag != 0 {
                at = (at + 1) & (block.slots.len() - 1);
            }
            let Definition { kind, set } = it.definition;
            block.slots[at] = Slot { tag: it.tag, ordinal: ordinal as u16, group: it.group, set, kind };
        }
        block
    }

    /// The same with further fields; those that it has already stay as they are.
    pub(super) fn with(&self, more: &[Member]) -> Self {
        let required = |tag| self.required.contains(&tag);
        let own = self.slots.iter().filter(|it| it.tag != 0).map(|it| Member {
            tag: it.tag,
            definition: Definition { kind: it.kind, set: it.set },
            group: it.group,
            required: required(it.tag),
        });
        let mut members: Vec<Member> = own.collect();
        // What comes first starts an instance.
        members.sort_by_key(|it| it.tag != self.first);
        members.extend_from_slice(more);
        Self::new(&members)
    }

    #[inline]
    fn start(&self, tag: u32) -> usize {
        (tag.wrapping_mul(0x9E37_79B1) >> self.shift) as usize
    }

    /// The field with this tag.
    #[inline]
    pub(crate) fn find(&self, tag: u32) -> Option<Slot> {
        let mut at = self.start(tag);
        loop {
            let slot = self.slots[at & (self.slots.len() - 1)];
            if u32::from(slot.tag) == tag && tag != 0 {
                return Some(slot);
            }
            if slot.tag == 0 {
                return None;
            }
            at += 1;
        }
    }

    /// All fields.
    #[cfg(test)]
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.slots.iter().copied().filter(|it| it.tag != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_what_is_in_it_and_nothing_else(tags in proptest::collection::vec(1u16..=u16::MAX, 1..200), other in 0u32..200_000) {
            let members: Vec<Member> = tags
                .iter()
                .map(|&tag| {
                    let definition = Definition { kind: Kind::Text, set: tag };
                    Member { tag, definition, group: NO_GROUP, required: tag % 3 == 0 }
                })
                .collect();
            let block = Block::new(&members);
            for &tag in &tags {
                prop_assert_eq!(block.find(u32::from(tag)).map(|it| it.set), Some(tag));
            }
            prop_assert_eq!(block.find(other).is_some(), u16::try_from(other).is_ok_and(|it| tags.contains(&it)));
            for (at, &tag) in block.required.iter().enumerate() {
                prop_assert_eq!(block.find(u32::from(tag)).map(|it| usize::from(it.ordinal)), Some(at));
            }
        }
    }
}
