//! A side's levels in order, from ladder and tree at once.

use crate::Key;
use crate::far::FarPool;
use crate::level::Level;
use crate::side_book::{NO_KEY, SideBook};
use crate::table::NIL;

/// Iterates over the levels of one side, best first, with their keys.
pub(crate) struct Walk<'a> {
    far: &'a FarPool,
    book: &'a SideBook,
    /// Next level in the ladder, or [`NO_KEY`].
    ladder_next: Key,
    /// Next level in the tree, or [`NIL`].
    far_next: u32,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(book: &'a SideBook, far: &'a FarPool) -> Self {
        Self { far, book, ladder_next: book.best.ladder_key, far_next: book.best.far_node }
    }

    fn take_ladder(&mut self) -> Option<(Key, &'a Level)> {
        let key = self.ladder_next;
        let index = self.book.ladder.index(key)?;
        self.ladder_next = self.book.ladder.floor(key - 1).unwrap_or(NO_KEY);
        Some((key, self.book.ladder.level(index)))
    }

    fn take_far(&mut self) -> (Key, &'a Level) {
        let node = self.far.node(self.far_next);
        self.far_next = node.below;
        (node.key, &node.level)
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = (Key, &'a Level);

    fn next(&mut self) -> Option<Self::Item> {
        if self.far_next != NIL && self.far.node(self.far_next).key > self.ladder_next {
            return Some(self.take_far());
        }
        if self.ladder_next == NO_KEY { None } else { self.take_ladder() }
    }
}
