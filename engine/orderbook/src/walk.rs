//! A side's levels in order, from ladder and tree at once.

use protocol::{PriceTicks, Side};

use crate::OrderTable;
use crate::ladder::{Ladder, Level};
use crate::order_book::{OrderBook, key, price_of};
use crate::table::NIL;

/// Iterates over the levels of one side, best first.
pub(crate) struct Walk<'a> {
    table: &'a OrderTable,
    ladder: &'a Ladder,
    side: Side,
    /// Next level in the ladder.
    ladder_next: Option<PriceTicks>,
    /// Next level in the tree, or `NIL`.
    far_next: u32,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(book: &'a OrderBook, table: &'a OrderTable, side: Side) -> Self {
        let bests = book.bests(side);
        Self {
            table,
            ladder: book.ladder(),
            side,
            ladder_next: price_of(side, bests.ladder_key),
            far_next: bests.far_node,
        }
    }

    fn take_ladder(&mut self, price_ticks: PriceTicks) -> Option<(PriceTicks, &'a Level)> {
        self.ladder_next = beyond(self.ladder, self.side, price_ticks);
        Some((price_ticks, self.ladder.level(self.ladder.index(price_ticks)?)))
    }

    fn take_far(&mut self) -> (PriceTicks, &'a Level) {
        let node = self.table.far.node(self.far_next);
        self.far_next = match self.side {
            Side::Buy => node.below,
            Side::Sell => node.above,
        };
        (node.price_ticks, &node.level)
    }
}

/// The ladder's next level of a side behind a price.
#[inline]
pub(crate) fn beyond(ladder: &Ladder, side: Side, price_ticks: PriceTicks) -> Option<PriceTicks> {
    match side {
        Side::Buy => ladder.floor(price_ticks - 1),
        Side::Sell => ladder.ceiling(price_ticks + 1),
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = (PriceTicks, &'a Level);

    fn next(&mut self) -> Option<Self::Item> {
        let Some(ladder_next) = self.ladder_next else {
            return (self.far_next != NIL).then(|| self.take_far());
        };
        if self.far_next == NIL {
            return self.take_ladder(ladder_next);
        }
        let far_price = self.table.far.node(self.far_next).price_ticks;
        if key(self.side, far_price) > key(self.side, ladder_next) {
            Some(self.take_far())
        } else {
            self.take_ladder(ladder_next)
        }
    }
}
