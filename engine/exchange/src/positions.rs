//! What each account has bought and sold of each instrument, and what it has open there.

use alloc::vec::Vec;

use machine::StateHasher;
use protocol::{AccountId, InstrumentId, MAX_POSITION_LOTS, QuantityLots, Side};
use wallet::BalanceSlot;

use crate::pair_index::PairIndex;

/// The place of one pair of account and instrument in the position table. Given once, valid for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PositionSlot(u32);

impl PositionSlot {
    /// As a number, for a caller that keeps it in a record of its own.
    #[inline]
    pub(crate) const fn to_bits(self) -> u32 {
        self.0
    }

    /// From [`PositionSlot::to_bits`] of the same table.
    #[inline]
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

/// An account on an instrument: exactly one cache line, all that an order needs to know of it.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Whose.
    pub(crate) account: AccountId,
    /// On which instrument.
    pub(crate) instrument: InstrumentId,
    /// The account's balance of the base asset.
    pub(crate) base: BalanceSlot,
    /// The account's balance of the quote asset.
    pub(crate) quote: BalanceSlot,
    /// Bought less sold.
    pub(crate) position_lots: i64,
    /// Leaves of all live, active buys.
    pub(crate) open_buy_lots: QuantityLots,
    /// Leaves of all live, active sells.
    pub(crate) open_sell_lots: QuantityLots,
    /// Live orders.
    pub(crate) open_orders: u32,
    /// Number of its risk limits ([`crate::risk_table`]); 0 if it has none of its own.
    pub(crate) risk: u32,
}

impl Position {
    /// Whether it may not grow any more to a side: it is beyond [`MAX_POSITION_LOTS`] there.
    #[inline]
    pub(crate) fn is_full(&self, side: Side) -> bool {
        match side {
            Side::Buy => self.position_lots > MAX_POSITION_LOTS,
            Side::Sell => self.position_lots < -MAX_POSITION_LOTS,
        }
    }

    /// What is open on a side.
    #[inline]
    pub(crate) fn open_lots_mut(&mut self, side: Side) -> &mut QuantityLots {
        match side {
            Side::Buy => &mut self.open_buy_lots,
            Side::Sell => &mut self.open_sell_lots,
        }
    }

    /// The balance that holds of orders of a side are on.
    #[inline]
    pub(crate) fn held(&self, side: Side) -> BalanceSlot {
        match side {
            Side::Buy => self.quote,
            Side::Sell => self.base,
        }
    }
}

const _: () = assert!(size_of::<Position>() == 64 && align_of::<Position>() == 64);

/// All positions, in the order in which they were first used, and the index to them.
pub(crate) struct PositionTable {
    positions: Vec<Position>,
    limit: usize,
    index: PairIndex,
}

impl PositionTable {
    /// A table for at most `limit` positions. Nothing is allocated after this.
    pub(crate) fn with_capacity(limit: u32) -> Self {
        let limit = limit as usize;
        Self { positions: Vec::with_capacity(limit), limit, index: PairIndex::with_capacity(limit) }
    }

    /// The place of a pair, if it has one.
    #[inline]
    pub(crate) fn find(&self, account: AccountId, instrument: InstrumentId) -> Option<PositionSlot> {
        let key_of = |row: u32| {
            let position = &self.positions[row as usize];
            (position.account, position.instrument)
        };
        self.index.find(account, instrument, key_of).map(PositionSlot)
    }

    /// Asks for the entry of a pair in the index.
    #[inline]
    pub(crate) fn prefetch(&self, account: AccountId, instrument: InstrumentId) {
        self.index.prefetch(account, instrument);
    }

    /// Whether there is no place left.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.positions.len() == self.limit
    }

    /// Gives a pair its place.
    ///
    /// # Panics
    /// If the table is full, or the pair has a place.
    pub(crate) fn open(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        base: BalanceSlot,
        quote: BalanceSlot,
    ) -> PositionSlot {
        assert!(!self.is_full(), "the position table is full, and its caller has not looked");
        assert!(self.find(account, instrument).is_none(), "account {account} has a position there already");
        let slot = self.positions.len() as u32;
        self.index.insert(account, instrument, slot);
        self.positions.push(Position {
            account,
            instrument,
            base,
            quote,
            position_lots: 0,
            open_buy_lots: 0,
            open_sell_lots: 0,
            open_orders: 0,
            risk: 0,
        });
        PositionSlot(slot)
    }

    /// A position.
    #[inline]
    pub(crate) fn at(&self, slot: PositionSlot) -> &Position {
        &self.positions[slot.0 as usize]
    }

    /// A position, to change what is counted in it.
    #[inline]
    pub(crate) fn at_mut(&mut self, slot: PositionSlot) -> &mut Position {
        &mut self.positions[slot.0 as usize]
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }

    /// All positions, in the order in which they were first used.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Position> {
        self.positions.iter()
    }

    /// Feeds what is counted in each position, by account and instrument, so that the hash does not depend on places.
    pub(crate) fn hash_into(&self, hasher: &mut StateHasher) {
        // Keys and places side by side: the sort then reads no other memory.
        let key = |it: &Position| u64::from(it.account.0) << 32 | u64::from(it.instrument);
        let mut sorted: Vec<(u64, u32)> = self.positions.iter().map(key).zip(0..).collect();
        sorted.sort_unstable();
        hasher.write_value(&(sorted.len() as u64));
        for (_, at) in sorted {
            let position = &self.positions[at as usize];
            hasher.write_value(&[position.account.0, position.instrument, position.open_orders]);
            hasher.write_value(&[position.position_lots, position.open_buy_lots, position.open_sell_lots]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_SLOT: BalanceSlot = BalanceSlot::from_bits(0);

    fn open(table: &mut PositionTable, account: u32, instrument: u32) -> PositionSlot {
        table.open(AccountId(account), instrument, NO_SLOT, NO_SLOT)
    }

    #[test]
    fn finds_every_pair_when_full_and_none_other() {
        let (accounts, instruments) = (250, 8);
        let mut table = PositionTable::with_capacity(accounts * instruments);
        let mut count = 0;
        for account in 2..accounts + 2 {
            for instrument in 1..=instruments {
                assert!(!table.is_full());
                assert_eq!(table.find(AccountId(account), instrument), None);
                let (base, quote) =
                    (BalanceSlot::from_bits(count * 2), BalanceSlot::from_bits(count * 2 + 1));
                let slot = table.open(AccountId(account), instrument, base, quote);
                assert_eq!(slot.to_bits(), count);
                assert_eq!((table.at(slot).base, table.at(slot).quote), (base, quote));
                table.at_mut(slot).position_lots = i64::from(count);
                count += 1;
            }
        }
        assert!(table.is_full());
        for account in 2..accounts + 2 {
            for instrument in 1..=instruments {
                let slot = table.find(AccountId(account), instrument).unwrap();
                let expected = (account - 2) * instruments + instrument - 1;
                assert_eq!(slot, PositionSlot::from_bits(expected));
                let position = table.at(slot);
                assert_eq!((position.account, position.instrument), (AccountId(account), instrument));
                assert_eq!(position.position_lots, i64::from(expected));
            }
        }
        assert_eq!(table.find(AccountId(accounts + 2), 1), None);
        assert_eq!(table.find(AccountId(2), instruments + 1), None);
        assert_eq!(table.iter().count(), count as usize);
    }

    #[test]
    #[should_panic(expected = "position table is full")]
    fn opening_beyond_the_limit_is_a_mistake() {
        let mut table = PositionTable::with_capacity(1);
        open(&mut table, 2, 1);
        open(&mut table, 2, 2);
    }

    #[test]
    #[should_panic(expected = "has a position there already")]
    fn opening_twice_is_a_mistake() {
        let mut table = PositionTable::with_capacity(2);
        open(&mut table, 2, 1);
        open(&mut table, 2, 1);
    }

    #[test]
    fn the_hash_knows_every_count_and_no_place() {
        let hash = |table: &PositionTable| {
            let mut hasher = StateHasher::new();
            table.hash_into(&mut hasher);
            hasher.finish()
        };
        let mut one = PositionTable::with_capacity(3);
        let mut two = PositionTable::with_capacity(9);
        let slot = open(&mut one, 2, 1);
        one.open(AccountId(3), 1, BalanceSlot::from_bits(7), BalanceSlot::from_bits(8));
        open(&mut two, 3, 1);
        let other = open(&mut two, 2, 1);
        assert_eq!(hash(&one), hash(&two));
        one.at_mut(slot).risk = 1;
        assert_eq!(hash(&one), hash(&two));
        let changes: [fn(&mut Position); 4] = [
            |it| it.position_lots -= 1,
            |it| it.open_buy_lots += 1,
            |it| it.open_sell_lots += 1,
            |it| it.open_orders += 1,
        ];
        for change in changes {
            change(one.at_mut(slot));
            assert_ne!(hash(&one), hash(&two));
            change(two.at_mut(other));
            assert_eq!(hash(&one), hash(&two));
        }
        open(&mut one, 2, 2);
        assert_ne!(hash(&one), hash(&two));
    }
}
