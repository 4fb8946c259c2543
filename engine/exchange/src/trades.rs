//! The last trades, as far as reversing one needs it.

use alloc::vec::Vec;

use machine::StateHasher;
use protocol::{
    AccountId, AmountMinor, AssetId, BUSTABLE_TRADES, InstrumentId, OrderId, PriceTicks, QuantityLots,
};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

/// What moved in a trade.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
pub(crate) struct TradeRecord {
    /// Number of the trade, from 1; 0 where there has been none yet.
    pub(crate) trade_id: u64,
    pub(crate) price_ticks: PriceTicks,
    pub(crate) quantity_lots: QuantityLots,
    /// From the buyer to the seller.
    pub(crate) quote_minor: AmountMinor,
    /// From the seller to the buyer.
    pub(crate) base_minor: AmountMinor,
    /// In `maker_fee_asset`; negative is a rebate.
    pub(crate) maker_fee_minor: AmountMinor,
    /// In `taker_fee_asset`.
    pub(crate) taker_fee_minor: AmountMinor,
    pub(crate) maker_order_id: OrderId,
    pub(crate) taker_order_id: OrderId,
    pub(crate) maker_fee_asset: AssetId,
    pub(crate) taker_fee_asset: AssetId,
    pub(crate) maker_account: AccountId,
    pub(crate) taker_account: AccountId,
    pub(crate) instrument: InstrumentId,
    /// [`protocol::Side`] of the taker.
    pub(crate) taker_side: u8,
    /// 1 once it has been reversed.
    pub(crate) busted: u8,
    pub(crate) reserved: [u8; 2],
}

const _: () = assert!(size_of::<TradeRecord>() == 96);

/// The last [`BUSTABLE_TRADES`] trades, each at its number modulo that. Comes zeroed from the system.
pub(crate) struct TradeRing {
    records: Vec<TradeRecord>,
    /// Number of the last trade; 0 before the first.
    last_trade_id: u64,
}

impl TradeRing {
    /// A ring without trades. Nothing is allocated after this.
    ///
    /// # Panics
    /// If there is no memory for it.
    pub(crate) fn new() -> Self {
        let records = TradeRecord::new_vec_zeroed(BUSTABLE_TRADES as usize);
        Self { records: records.expect("there is memory for the last trades"), last_trade_id: 0 }
    }

    /// Adds the next trade; the oldest one is forgotten.
    ///
    /// # Panics
    /// If its number does not follow the last one's.
    #[inline(always)]
    pub(crate) fn push(&mut self, record: TradeRecord) {
        assert!(record.trade_id == self.last_trade_id + 1, "trades are numbered without gaps");
        self.last_trade_id = record.trade_id;
        self.records[place(record.trade_id)] = record;
    }

    /// A trade, if it is one of the last.
    pub(crate) fn get(&self, trade_id: u64) -> Option<&TradeRecord> {
        (trade_id > 0).then(|| &self.records[place(trade_id)]).filter(|record| record.trade_id == trade_id)
    }

    /// Notes that a trade has been reversed.
    ///
    /// # Panics
    /// If it is none of the last ones, or has been reversed before.
    pub(crate) fn mark_busted(&mut self, trade_id: u64) {
        let record = &mut self.records[place(trade_id)];
        assert!(record.trade_id == trade_id && record.busted == 0, "trade {trade_id} cannot be reversed");
        record.busted = 1;
    }

    /// All that are kept, the oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &TradeRecord> {
        let first = self.last_trade_id.saturating_sub(u64::from(BUSTABLE_TRADES)) + 1;
        (first..=self.last_trade_id).map(|trade_id| &self.records[place(trade_id)])
    }

    /// Takes the last trades from a snapshot, the oldest first, of an exchange that has made `last_trade_id`. False if
    /// they are not those.
    pub(crate) fn restore(&mut self, last_trade_id: u64, trades: &[TradeRecord]) -> bool {
        let kept = last_trade_id.min(u64::from(BUSTABLE_TRADES));
        if trades.len() as u64 != kept {
            return false;
        }
        self.last_trade_id = last_trade_id;
        let numbered = (last_trade_id - kept + 1..).zip(trades);
        let mut follow = true;
        for (trade_id, trade) in numbered {
            follow &= trade.trade_id == trade_id;
            self.records[place(trade_id)] = *trade;
        }
        follow
    }

    /// Feeds all trades, the oldest first.
    pub(crate) fn hash_into(&self, hasher: &mut StateHasher) {
        for trade in self.iter() {
            hasher.write_value(trade);
        }
    }
}

#[inline]
fn place(trade_id: u64) -> usize {
    (trade_id % u64::from(BUSTABLE_TRADES)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trade(trade_id: u64) -> TradeRecord {
        TradeRecord { trade_id, price_ticks: trade_id as i64 * 3, ..TradeRecord::default() }
    }

    fn hash(ring: &TradeRing) -> u64 {
        let mut hasher = StateHasher::new();
        ring.hash_into(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn the_last_trades_are_there_and_no_others() {
        let mut ring = TradeRing::new();
        assert_eq!(ring.get(0), None);
        assert_eq!(ring.get(u64::from(BUSTABLE_TRADES)), None);
        assert_eq!(hash(&ring), StateHasher::new().finish());
        let many = u64::from(BUSTABLE_TRADES) + 3;
        for trade_id in 1..=many {
            assert_eq!(ring.get(trade_id), None);
            ring.push(trade(trade_id));
            assert_eq!(ring.get(trade_id), Some(&trade(trade_id)));
        }
        assert_eq!((0..=3).map(|trade_id| ring.get(trade_id)).collect::<Vec<_>>(), [None; 4]);
        assert_eq!(ring.get(4), Some(&trade(4)));
        assert_eq!(ring.get(many + 1), None);
        assert_eq!(ring.get(u64::MAX), None);
    }

    #[test]
    fn a_busted_trade_is_marked_and_no_other() {
        let mut ring = TradeRing::new();
        ring.push(trade(1));
        ring.push(trade(2));
        let before = hash(&ring);
        ring.mark_busted(1);
        assert_eq!([1, 2].map(|trade_id| ring.get(trade_id).unwrap().busted), [1, 0]);
        assert_ne!(hash(&ring), before);
    }

    #[test]
    fn the_hash_goes_from_the_oldest_to_the_newest() {
        let mut ring = TradeRing::new();
        let mut hasher = StateHasher::new();
        for trade_id in 1..=u64::from(BUSTABLE_TRADES) + 1 {
            ring.push(trade(trade_id));
            if trade_id > 1 {
                hasher.write_value(&trade(trade_id));
            }
        }
        assert_eq!(hash(&ring), hasher.finish());
    }

    #[test]
    #[should_panic(expected = "numbered without gaps")]
    fn a_gap_is_a_mistake() {
        TradeRing::new().push(trade(2));
    }

    #[test]
    #[should_panic(expected = "cannot be reversed")]
    fn reversing_twice_is_a_mistake() {
        let mut ring = TradeRing::new();
        ring.push(trade(1));
        ring.mark_busted(1);
        ring.mark_busted(1);
    }

    #[test]
    #[should_panic(expected = "cannot be reversed")]
    fn reversing_a_forgotten_trade_is_a_mistake() {
        let mut ring = TradeRing::new();
        (1..=u64::from(BUSTABLE_TRADES) + 1).for_each(|trade_id| ring.push(trade(trade_id)));
        ring.mark_busted(1);
    }
}
