//! Fee tiers, the volume behind them, and trades that are busted.

use machine::EventBuffer;
use protocol::{
    AccountId, AssetId, BUSTABLE_TRADES, BustTrade, FeeTier, InstrumentId, RejectReason, SetFeeSchedule,
    Side, TradeBusted, VOLUME_DAYS,
};

use alloc::collections::BTreeMap;

use super::checks::Reasons;
use super::{MAX_AMOUNT, NaiveExchange, PastTrade};

const DAY_NS: u64 = 86_400_000_000_000;

impl NaiveExchange {
    /// Maker's and taker's fee of an account in millionths.
    pub(crate) fn fee_rates(&self, account: AccountId, instrument: InstrumentId) -> (i64, i64) {
        let market = &self.markets[&instrument];
        let volume = self.volume(account, market.created.quote_asset);
        let tiers = &market.schedule.tiers[..market.schedule.count as usize];
        match tiers.iter().rfind(|tier| i128::from(tier.min_volume_minor) <= volume) {
            Some(tier) => (tier.maker_fee_ppm.into(), tier.taker_fee_ppm.into()),
            None => (market.created.maker_fee_ppm.into(), market.created.taker_fee_ppm.into()),
        }
    }

    /// What an account traded over the days that count.
    fn volume(&self, account: AccountId, asset: AssetId) -> i128 {
        let today = self.now.timestamp_ns / DAY_NS;
        let days = self.volumes.get(&(account, asset)).into_iter().flatten();
        let counting = days.filter(|&(&day, _)| day < today && day + u64::from(VOLUME_DAYS) >= today);
        counting.map(|(_, volume)| volume).sum()
    }

    pub(crate) fn add_volume(&mut self, account: AccountId, asset: AssetId, quote: i128) {
        let today = self.now.timestamp_ns / DAY_NS;
        let volume = self.volumes.entry((account, asset)).or_default().entry(today).or_default();
        *volume = (*volume + quote).min(MAX_AMOUNT);
    }

    pub(crate) fn fee_schedule_fits(&self, it: &SetFeeSchedule) -> bool {
        let (Some(market), Some(tiers)) =
            (self.markets.get(&it.instrument), it.tiers.get(..it.count as usize))
        else {
            return false;
        };
        let created = &market.created;
        let highest = i64::from(created.maker_fee_ppm.max(created.taker_fee_ppm));
        let lowest_taker = tiers.iter().map(|tier| i64::from(tier.taker_fee_ppm)).min().unwrap_or(0);
        let fees_fit = |tier: &FeeTier| {
            let (maker, taker) = (i64::from(tier.maker_fee_ppm), i64::from(tier.taker_fee_ppm));
            (-lowest_taker..=highest).contains(&maker)
                && (0..=i64::from(created.taker_fee_ppm)).contains(&taker)
        };
        tiers.first().is_none_or(|tier| tier.min_volume_minor == 0)
            && tiers.windows(2).all(|pair| pair[0].min_volume_minor < pair[1].min_volume_minor)
            && tiers.iter().all(fees_fit)
            && it.tiers[tiers.len()..].iter().all(|tier| *tier == FeeTier::default())
    }

    /// Keeps a trade for as long as it can be busted.
    pub(crate) fn remember(&mut self, past: PastTrade) {
        let id = past.trade.trade_id;
        self.past_trades.insert(id, past);
        self.past_trades.retain(|&old, _| old + u64::from(BUSTABLE_TRADES) > id);
    }

    /// What a bust adds to each balance.
    fn changes_of_bust(&self, past: &PastTrade) -> BTreeMap<(AccountId, AssetId), i128> {
        let trade = &past.trade;
        let created = &self.markets[&trade.instrument].created;
        let (buyer, seller) = parties(past);
        let (quote, base) = (i128::from(trade.quote_minor), self.base(trade.instrument, trade.quantity_lots));
        let lines = [
            (buyer, created.quote_asset, quote),
            (seller, created.quote_asset, -quote),
            (buyer, created.base_asset, -base),
            (seller, created.base_asset, base),
            (trade.maker_account, past.maker_fee.0, past.maker_fee.1),
            (AccountId::FEES, past.maker_fee.0, -past.maker_fee.1),
            (trade.taker_account, past.taker_fee.0, past.taker_fee.1),
            (AccountId::FEES, past.taker_fee.0, -past.taker_fee.1),
        ];
        let mut changes = BTreeMap::new();
        for (account, asset, amount) in lines.into_iter().filter(|line| line.2 != 0) {
            *changes.entry((account, asset)).or_default() += amount;
        }
        changes
    }

    pub(crate) fn bust(&mut self, it: &BustTrade, events: &mut EventBuffer) -> Result<(), RejectReason> {
        self.check_form(true)?;
        let past = *self.past_trades.get(&it.trade_id).ok_or(RejectReason::UnknownTrade)?;
        if past.busted {
            return Err(RejectReason::AlreadyBusted);
        }
        let changes = self.changes_of_bust(&past);
        let mut reasons = Reasons::default();
        for (&(account, asset), &change) in &changes {
            let enough = -change <= self.available_funds(account, asset);
            reasons.unless(enough, RejectReason::InsufficientFunds);
        }
        reasons.result()?;
        for (&(account, asset), &change) in &changes {
            self.funds_mut(account, asset).balance += change;
        }
        let trade = past.trade;
        let (buyer, seller) = parties(&past);
        *self.positions.entry((buyer, trade.instrument)).or_default() -= i128::from(trade.quantity_lots);
        *self.positions.entry((seller, trade.instrument)).or_default() += i128::from(trade.quantity_lots);
        self.past_trades.insert(it.trade_id, PastTrade { busted: true, ..past });
        events.push(&TradeBusted {
            trade_id: it.trade_id,
            reference: it.reference,
            price_ticks: trade.price_ticks,
            quantity_lots: trade.quantity_lots,
            quote_minor: trade.quote_minor,
            maker_fee_minor: past.maker_fee.1 as i64,
            taker_fee_minor: past.taker_fee.1 as i64,
            maker_account: trade.maker_account,
            taker_account: trade.taker_account,
            instrument: trade.instrument,
            maker_fee_asset: past.maker_fee.0,
            taker_fee_asset: past.taker_fee.0,
            reserved: [0; 3],
            taker_side: trade.taker_side,
            maker_order_id: trade.maker_order_id,
            taker_order_id: trade.taker_order_id,
        });
        Ok(())
    }
}

/// Buyer and seller.
fn parties(past: &PastTrade) -> (AccountId, AccountId) {
    let trade = &past.trade;
    if trade.taker_side == Side::Buy.code() {
        (trade.taker_account, trade.maker_account)
    } else {
        (trade.maker_account, trade.taker_account)
    }
}
