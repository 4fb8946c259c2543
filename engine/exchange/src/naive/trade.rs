//! What a trade moves.

use machine::EventBuffer;
use protocol::{AccountId, AssetId, FeeCharged, InstrumentId, Side, Trade};

use super::order::LiveOrder;
use super::{ListWork, NaiveExchange, PastTrade};

/// One side of a trade: whose fee, how much, and what it was paid in.
struct Fee {
    account: AccountId,
    in_quote: i128,
    paid: (AssetId, i128),
    role: u8,
}

impl NaiveExchange {
    /// Two live orders trade. Holds shrink, money moves, fees are taken; who has nothing left is ended by the caller.
    pub(crate) fn trade(
        &mut self,
        maker_slot: u32,
        taker_slot: u32,
        lots: i64,
        price: i64,
        auction: bool,
        events: &mut EventBuffer,
    ) {
        let (maker, taker) = (self.orders[&maker_slot].clone(), self.orders[&taker_slot].clone());
        let instrument = maker.instrument;
        let created = self.markets[&instrument].created;
        let (quote, base) = (self.quote(instrument, price, lots), self.base(instrument, lots));
        let (maker_fee, taker_fee) = self.fees_of(&maker, &taker, quote);

        self.fill(maker_slot, lots);
        self.fill(taker_slot, lots);
        let (buyer, seller) = match taker.side {
            Side::Buy => (taker.account, maker.account),
            Side::Sell => (maker.account, taker.account),
        };
        self.move_funds(buyer, seller, created.quote_asset, quote);
        self.move_funds(seller, buyer, created.base_asset, base);
        *self.positions.entry((buyer, instrument)).or_default() += i128::from(lots);
        *self.positions.entry((seller, instrument)).or_default() -= i128::from(lots);

        let taker_fee = self.take_fee(instrument, taker.account, taker_fee, maker_fee < 0, 2);
        let maker_fee = self.take_fee(instrument, maker.account, maker_fee, false, 1);
        let taker_cost = if taker.side == Side::Buy { quote + taker_fee.in_quote } else { base };
        self.shrink_hold(maker_slot, 0);
        self.shrink_hold(taker_slot, taker_cost);
        self.add_volume(maker.account, created.quote_asset, quote);
        self.add_volume(taker.account, created.quote_asset, quote);
        self.note_price(instrument, price);

        self.last_trade_id += 1;
        let trade = Trade {
            trade_id: self.last_trade_id,
            maker_order_id: maker.id,
            taker_order_id: taker.id,
            price_ticks: price,
            quantity_lots: lots,
            quote_minor: quote as i64,
            maker_fee_minor: maker_fee.in_quote as i64,
            taker_fee_minor: taker_fee.in_quote as i64,
            maker_leaves_lots: maker.leaves() - lots,
            taker_leaves_lots: taker.leaves() - lots,
            maker_account: maker.account,
            taker_account: taker.account,
            instrument,
            taker_side: taker.side.code(),
            auction: u8::from(auction),
            reserved: [0; 2],
        };
        events.push(&trade);
        self.say_charged(&maker_fee, created.quote_asset, events);
        self.say_charged(&taker_fee, created.quote_asset, events);
        let past = PastTrade { trade, maker_fee: maker_fee.paid, taker_fee: taker_fee.paid, busted: false };
        self.remember(past);
    }

    /// Fills part of an order. The first order of a pair is on its own from here on.
    fn fill(&mut self, slot: u32, lots: i64) {
        let order = self.order_mut(slot);
        order.filled += lots;
        order.holds_for_pair = false;
        let instrument = order.instrument;
        if let Some(other) = order.pair.take() {
            self.part_pair(other);
            self.market_mut(instrument).list_work.push_back(ListWork::CancelOther(other));
        }
    }

    /// What an order holds after a fill that cost this much.
    fn shrink_hold(&mut self, slot: u32, cost: i128) {
        let order = &self.orders[&slot];
        let hold = if order.hold_is_spent { order.hold - cost } else { self.need_of(order) };
        let hold = if order.leaves() == 0 { 0 } else { hold };
        self.set_hold(slot, hold);
    }

    pub(crate) fn move_funds(&mut self, from: AccountId, to: AccountId, asset: AssetId, amount: i128) {
        if amount != 0 {
            self.funds_mut(from, asset).balance -= amount;
            self.funds_mut(to, asset).balance += amount;
        }
    }

    /// Both fees in the quote asset: maker's and taker's.
    fn fees_of(&self, maker: &LiveOrder, taker: &LiveOrder, quote: i128) -> (i128, i128) {
        let (maker_ppm, _) = self.fee_rates(maker.account, maker.instrument);
        let (_, taker_ppm) = self.fee_rates(taker.account, taker.instrument);
        // Division rounds toward zero: a fee toward the client, a rebate toward the exchange.
        (quote * i128::from(maker_ppm) / 1_000_000, quote * i128::from(taker_ppm) / 1_000_000)
    }

    /// Takes a fee: in the fee asset if the account wants that and has enough, else in the quote asset.
    fn take_fee(
        &mut self,
        instrument: InstrumentId,
        account: AccountId,
        fee: i128,
        pays_rebate: bool,
        role: u8,
    ) -> Fee {
        let market = &self.markets[&instrument];
        let (quote_asset, fee_asset) = (market.created.quote_asset, market.rules.fee_asset);
        let in_fee_asset = fee * i128::from(market.rules.fee_asset_rate_ppm) / 1_000_000;
        let wants = self.accounts[&account].options.pays_in_fee_asset == 1;
        let can = fee_asset != 0 && in_fee_asset <= self.available_funds(account, fee_asset);
        let (in_quote, paid) = if fee > 0 && !pays_rebate && wants && can {
            (0, (fee_asset, in_fee_asset))
        } else {
            (fee, (quote_asset, fee))
        };
        self.move_funds(account, AccountId::FEES, paid.0, paid.1);
        Fee { account, in_quote, paid, role }
    }

    fn say_charged(&self, fee: &Fee, quote_asset: AssetId, events: &mut EventBuffer) {
        let (asset, amount) = fee.paid;
        if asset != quote_asset {
            events.push(&FeeCharged {
                trade_id: self.last_trade_id,
                amount_minor: amount as i64,
                account: fee.account,
                asset,
                role: fee.role,
                reserved: [0; 7],
            });
        }
    }

    /// The last trade's price, and with it what stops look at.
    fn note_price(&mut self, instrument: InstrumentId, price: i64) {
        let market = self.market_mut(instrument);
        market.last_trade = price;
        let (low, high) = market.trades.unwrap_or((price, price));
        market.trades = Some((low.min(price), high.max(price)));
    }
}
