//! Trades: the money they move, their fees, and their reversal.

use machine::RecordHeader;
use protocol::{
    AccountId, AmountMinor, AssetId, BUSTABLE_TRADES, CreateInstrument, FeeCharged, Side, Trade, TradeBusted,
    base_amount, quote_amount, signed_fee,
};

use crate::fees::Role;
use crate::fold::{Problem, ensure, posting};
use crate::orders::Fill;
use crate::{Ledger, Posting, PostingKind};

/// A fee that was paid, and in what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PaidFee {
    pub(crate) amount_minor: AmountMinor,
    pub(crate) asset: AssetId,
}

/// A fee that the next events must charge in the fee asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    trade_id: u64,
    account: AccountId,
    role: Role,
    paid: PaidFee,
}

/// A trade as it was settled: what a bust gives back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SettledTrade {
    event: Trade,
    maker_fee: PaidFee,
    taker_fee: PaidFee,
    busted: bool,
}

/// Who gave and who got what.
struct Parties {
    buyer: AccountId,
    seller: AccountId,
    base_minor: AmountMinor,
}

impl Ledger {
    /// Each side's hold shrinks first, then the money moves: quote amount, base amount, the taker's fee, the maker's.
    pub(crate) fn traded(&mut self, header: &RecordHeader, event: &Trade) -> Result<(), Problem> {
        ensure(event.trade_id == self.last_trade_id + 1, "the trade's number is not the next one")?;
        self.last_trade_id = event.trade_id;
        let instrument = *self.instruments.get(&event.instrument).ok_or("the instrument is unknown")?;
        let quote_minor = event.quote_minor;
        let expected = quote_amount(&instrument, event.price_ticks, event.quantity_lots);
        ensure(expected == Some(quote_minor), "the quote amount is not price times quantity")?;
        ensure(event.quantity_lots > 0, "nothing was traded")?;
        let older = event.auction == 0 || event.maker_order_id < event.taker_order_id;
        ensure(older, "the maker of an auction's trade is not the older order")?;

        let parties = parties(&instrument, event)?;
        self.fills(event, parties.base_minor)?;
        let Parties { buyer, seller, base_minor } = parties;
        let (base, quote) = (instrument.base_asset, instrument.quote_asset);
        let line = |account, asset| Posting {
            account,
            ..posting(header, PostingKind::Trade, asset, event.trade_id)
        };
        self.transfer(line(buyer, quote), seller, quote_minor)?;
        self.transfer(line(seller, base), buyer, base_minor)?;
        let (maker_fee, taker_fee) = self.fees(header, &instrument, event)?;
        for (account, asset) in [(buyer, quote), (seller, base), (seller, quote), (AccountId::FEES, quote)] {
            self.covered(account, asset)?;
        }
        for account in [event.maker_account, event.taker_account] {
            self.add_volume(account, quote, header.timestamp_ns, quote_minor);
        }
        self.move_position(buyer, seller, event);
        self.trades
            .insert(event.trade_id, SettledTrade { event: *event, maker_fee, taker_fee, busted: false });
        let forgotten = event.trade_id.saturating_sub(u64::from(BUSTABLE_TRADES));
        self.trades.remove(&forgotten);
        Ok(())
    }

    fn fills(&mut self, event: &Trade, base_minor: AmountMinor) -> Result<(), Problem> {
        let taker_side = Side::from_code(event.taker_side).ok_or("the side is unknown")?;
        let fill = |account, side: Side, leaves_lots, fee_minor| Fill {
            account,
            instrument: event.instrument,
            side,
            price_ticks: event.price_ticks,
            quantity_lots: event.quantity_lots,
            leaves_lots,
            cost_minor: match side {
                Side::Buy => event.quote_minor.saturating_add(fee_minor),
                Side::Sell => base_minor,
            },
        };
        let maker =
            fill(event.maker_account, taker_side.opposite(), event.maker_leaves_lots, event.maker_fee_minor);
        let taker = fill(event.taker_account, taker_side, event.taker_leaves_lots, event.taker_fee_minor);
        self.fill(event.maker_order_id, maker)?;
        self.fill(event.taker_order_id, taker)
    }

    /// Both fees as they must be: moved at once in the quote asset, or owed as charges in the fee asset. The taker's
    /// comes first. One that pays a maker's rebate is never converted.
    fn fees(
        &mut self,
        header: &RecordHeader,
        instrument: &CreateInstrument,
        event: &Trade,
    ) -> Result<(PaidFee, PaidFee), Problem> {
        let due = |role, account| {
            signed_fee(event.quote_minor, self.fee_ppm(instrument, account, role, header.timestamp_ns))
        };
        let maker_due = due(Role::Maker, event.maker_account);
        let taker_due = due(Role::Taker, event.taker_account);
        let taker = match maker_due {
            0.. => self.converted(instrument, event.taker_account, taker_due, 0),
            _ => None,
        };
        let same_account = event.maker_account == event.taker_account;
        let spoken_for_minor = taker.filter(|_| same_account).map_or(0, |(_, amount_minor)| amount_minor);
        let maker = self.converted(instrument, event.maker_account, maker_due, spoken_for_minor);
        let sides = [
            (Role::Taker, event.taker_account, taker_due, event.taker_fee_minor, taker),
            (Role::Maker, event.maker_account, maker_due, event.maker_fee_minor, maker),
        ];
        let quote = instrument.quote_asset;
        let mut paid = [PaidFee { amount_minor: 0, asset: quote }; 2];
        for (role, account, due_minor, said_minor, converted) in sides {
            let problem = match role {
                Role::Maker => "the maker's fee is another",
                Role::Taker => "the taker's fee is another",
            };
            let place = (role as usize) - 1;
            if let Some((asset, amount_minor)) = converted {
                ensure(said_minor == 0, problem)?;
                paid[place] = PaidFee { amount_minor, asset };
                self.charges[place] =
                    Some(Charge { trade_id: event.trade_id, account, role, paid: paid[place] });
            } else {
                ensure(said_minor == due_minor, problem)?;
                paid[place] = PaidFee { amount_minor: due_minor, asset: quote };
                let kind = PostingKind::Fee;
                self.pay_fee(posting(header, kind, quote, event.trade_id), account, due_minor)?;
            }
        }
        Ok((paid[0], paid[1]))
    }

    /// A fee above 0 to FEES, one below 0 from it.
    fn pay_fee(
        &mut self,
        line: Posting,
        account: AccountId,
        amount_minor: AmountMinor,
    ) -> Result<(), Problem> {
        let (payer, to) =
            if amount_minor >= 0 { (account, AccountId::FEES) } else { (AccountId::FEES, account) };
        self.transfer(Posting { account: payer, ..line }, to, amount_minor.abs())
    }

    pub(crate) fn fee_charged(&mut self, header: &RecordHeader, event: &FeeCharged) -> Result<(), Problem> {
        let due =
            self.charges.iter_mut().find_map(Option::take).ok_or("a fee was charged that is not due")?;
        let said = Charge {
            trade_id: event.trade_id,
            account: event.account,
            role: due.role,
            paid: PaidFee { amount_minor: event.amount_minor, asset: event.asset },
        };
        ensure(said == due && event.role == due.role as u8, "the fee charged is another than the one due")?;
        let line = posting(header, PostingKind::Fee, event.asset, event.trade_id);
        self.pay_fee(line, event.account, event.amount_minor)?;
        self.covered(event.account, event.asset)
    }

    /// Everything goes back: base and quote amount, and both fees in the assets that they were paid in.
    pub(crate) fn busted(&mut self, header: &RecordHeader, event: &TradeBusted) -> Result<(), Problem> {
        let settled = self.trades.get_mut(&event.trade_id).ok_or("the trade is not among the last ones")?;
        ensure(!settled.busted, "the trade was busted before")?;
        settled.busted = true;
        let SettledTrade { event: trade, maker_fee, taker_fee, .. } = *settled;
        ensure(reverses(event, &trade, maker_fee, taker_fee), "the trade that was busted is another")?;
        let instrument = *self.instruments.get(&trade.instrument).ok_or("the instrument is unknown")?;
        let Parties { buyer, seller, base_minor } = parties(&instrument, &trade)?;
        let (base, quote) = (instrument.base_asset, instrument.quote_asset);
        let line =
            |account, asset| Posting { account, ..posting(header, PostingKind::Bust, asset, event.trade_id) };
        self.transfer(line(seller, quote), buyer, trade.quote_minor)?;
        self.transfer(line(buyer, base), seller, base_minor)?;
        for (account, fee) in [(trade.maker_account, maker_fee), (trade.taker_account, taker_fee)] {
            self.pay_fee(line(account, fee.asset), account, -fee.amount_minor)?;
        }
        for asset in [base, quote, maker_fee.asset, taker_fee.asset] {
            for account in [buyer, seller, AccountId::FEES] {
                self.covered(account, asset)?;
            }
        }
        self.move_position(seller, buyer, &trade);
        Ok(())
    }

    fn move_position(&mut self, to: AccountId, from: AccountId, trade: &Trade) {
        let lots = i128::from(trade.quantity_lots);
        *self.positions.entry((to, trade.instrument)).or_default() += lots;
        *self.positions.entry((from, trade.instrument)).or_default() -= lots;
    }
}

fn parties(instrument: &CreateInstrument, trade: &Trade) -> Result<Parties, Problem> {
    let base_minor = base_amount(instrument, trade.quantity_lots).ok_or("the quantity is too large")?;
    let (buyer, seller) = match Side::from_code(trade.taker_side).ok_or("the side is unknown")? {
        Side::Buy => (trade.taker_account, trade.maker_account),
        Side::Sell => (trade.maker_account, trade.taker_account),
    };
    Ok(Parties { buyer, seller, base_minor })
}

/// Whether the event repeats the trade and what was paid for it.
fn reverses(event: &TradeBusted, trade: &Trade, maker_fee: PaidFee, taker_fee: PaidFee) -> bool {
    let expected = TradeBusted {
        trade_id: trade.trade_id,
        reference: event.reference,
        price_ticks: trade.price_ticks,
        quantity_lots: trade.quantity_lots,
        quote_minor: trade.quote_minor,
        maker_fee_minor: maker_fee.amount_minor,
        taker_fee_minor: taker_fee.amount_minor,
        maker_account: trade.maker_account,
        taker_account: trade.taker_account,
        instrument: trade.instrument,
        maker_fee_asset: maker_fee.asset,
        taker_fee_asset: taker_fee.asset,
        reserved: [0; 3],
        taker_side: trade.taker_side,
        maker_order_id: trade.maker_order_id,
        taker_order_id: trade.taker_order_id,
    };
    *event == expected
}
