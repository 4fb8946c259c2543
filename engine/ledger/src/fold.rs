//! What each event does to the ledger.

use machine::{Body, Record, RecordHeader};
use protocol::{
    AccountCreated, AccountId, AmountMinor, AssetCreated, AssetId, Deposited, EventKind, InstrumentCreated,
    OrderAccepted, OrderCanceled, OrderId, OrderReplaced, Side, Trade, Withdrawn, base_amount, fee,
    hold_amount, quote_amount,
};

use crate::{Ledger, LedgerOrder, Posting, PostingKind, held_asset};

/// What does not add up.
type Problem = &'static str;

const OVERFLOW: Problem = "an amount is too large";

impl Ledger {
    pub(crate) fn fold(&mut self, event: Record<'_>) -> Result<(), Problem> {
        let header = event.header();
        match EventKind::from_code(header.kind) {
            Some(EventKind::AssetCreated) => {
                let created: &AssetCreated = body(event)?;
                self.assets.insert(created.asset, *created);
            }
            Some(EventKind::InstrumentCreated) => {
                let InstrumentCreated(created) = body(event)?;
                self.instruments.insert(created.instrument, *created);
            }
            Some(EventKind::AccountCreated) => {
                let created: &AccountCreated = body(event)?;
                self.accounts.insert(created.account, created.name);
            }
            Some(EventKind::Deposited) => self.deposited(header, body(event)?)?,
            Some(EventKind::Withdrawn) => self.withdrawn(header, body(event)?)?,
            Some(EventKind::OrderAccepted) => self.accepted(body(event)?)?,
            Some(EventKind::OrderCanceled) => self.canceled(body(event)?)?,
            Some(EventKind::OrderReplaced) => self.replaced(body(event)?)?,
            Some(EventKind::Trade) => self.traded(header, body(event)?)?,
            Some(EventKind::Rejected | EventKind::DayEnded) => {}
            None => return Err("this kind of event is not known"),
        }
        Ok(())
    }

    fn deposited(&mut self, header: &RecordHeader, event: &Deposited) -> Result<(), Problem> {
        let Deposited { account, asset, amount_minor, balance_minor, .. } = *event;
        let entry = Posting { account: AccountId::WORLD, ..posting(header, PostingKind::Deposit, asset, 0) };
        self.transfer(entry, account, amount_minor)?;
        ensure(self.balance(account, asset).balance_minor == balance_minor, "the balance after it is another")
    }

    fn withdrawn(&mut self, header: &RecordHeader, event: &Withdrawn) -> Result<(), Problem> {
        let Withdrawn { account, asset, amount_minor, balance_minor, .. } = *event;
        let entry = Posting { account, ..posting(header, PostingKind::Withdrawal, asset, 0) };
        self.transfer(entry, AccountId::WORLD, amount_minor)?;
        ensure(self.balance(account, asset).balance_minor == balance_minor, "the balance after it is another")
    }

    fn accepted(&mut self, event: &OrderAccepted) -> Result<(), Problem> {
        let side = Side::from_code(event.side).ok_or("the side is unknown")?;
        let order = LedgerOrder {
            account: event.account,
            instrument: event.instrument,
            side,
            price_ticks: event.price_ticks,
            leaves_lots: event.quantity_lots,
            hold_minor: 0,
        };
        ensure(self.orders.insert(event.order_id, order).is_none(), "the order id was used before")?;
        if event.price_ticks != 0 {
            let expected = self.formula(&order)?;
            ensure(event.hold_minor == expected, "the hold is not that of the order's price and quantity")?;
        }
        self.set_hold(event.order_id, event.hold_minor)
    }

    fn canceled(&mut self, event: &OrderCanceled) -> Result<(), Problem> {
        let order = self.live(event.order_id)?;
        ensure(order.leaves_lots == event.leaves_lots, "what is left of the order is another quantity")?;
        ensure(order.hold_minor == event.released_minor, "what is released is not what was held")?;
        self.set_hold(event.order_id, 0)?;
        self.orders.remove(&event.order_id);
        Ok(())
    }

    fn replaced(&mut self, event: &OrderReplaced) -> Result<(), Problem> {
        let order = self.orders.get_mut(&event.order_id).ok_or("the order is not live")?;
        order.price_ticks = event.price_ticks;
        order.leaves_lots = event.leaves_lots;
        let order = *order;
        let expected = self.formula(&order)?;
        ensure(event.hold_minor == expected, "the hold is not that of the order's price and quantity")?;
        self.set_hold(event.order_id, event.hold_minor)
    }

    /// Each side's hold shrinks first, then the money moves: quote amount, base amount, two fees.
    fn traded(&mut self, header: &RecordHeader, event: &Trade) -> Result<(), Problem> {
        ensure(event.trade_id == self.last_trade_id + 1, "the trade's number is not the next one")?;
        self.last_trade_id = event.trade_id;
        let instrument = *self.instruments.get(&event.instrument).ok_or("the instrument is unknown")?;
        let Trade { quote_minor, maker_fee_minor, taker_fee_minor, .. } = *event;
        let base_minor = base_amount(&instrument, event.quantity_lots).ok_or("the quantity is too large")?;
        let expected = quote_amount(&instrument, event.price_ticks, event.quantity_lots);
        ensure(expected == Some(quote_minor), "the quote amount is not price times quantity")?;
        ensure(fee(quote_minor, instrument.maker_fee_ppm) == maker_fee_minor, "the maker's fee is another")?;
        ensure(fee(quote_minor, instrument.taker_fee_ppm) == taker_fee_minor, "the taker's fee is another")?;

        let taker_side = Side::from_code(event.taker_side).ok_or("the side is unknown")?;
        let taker_cost_minor = match taker_side {
            Side::Buy => quote_minor + taker_fee_minor,
            Side::Sell => base_minor,
        };
        self.fill(event.maker_order_id, event.maker_account, event.maker_leaves_lots, 0)?;
        self.fill(event.taker_order_id, event.taker_account, event.taker_leaves_lots, taker_cost_minor)?;

        let (buyer, seller) = match taker_side {
            Side::Buy => (event.taker_account, event.maker_account),
            Side::Sell => (event.maker_account, event.taker_account),
        };
        let (base, quote) = (instrument.base_asset, instrument.quote_asset);
        let line = |account, kind, asset| Posting { account, ..posting(header, kind, asset, event.trade_id) };
        self.transfer(line(buyer, PostingKind::Trade, quote), seller, quote_minor)?;
        self.transfer(line(seller, PostingKind::Trade, base), buyer, base_minor)?;
        self.transfer(line(event.maker_account, PostingKind::Fee, quote), AccountId::FEES, maker_fee_minor)?;
        self.transfer(line(event.taker_account, PostingKind::Fee, quote), AccountId::FEES, taker_fee_minor)?;
        for (account, asset) in [(buyer, quote), (seller, base), (seller, quote)] {
            let balance = self.balance(account, asset);
            ensure(balance.held_minor <= balance.balance_minor, "an account paid more than it had")?;
        }
        Ok(())
    }

    /// One side of a trade: new leaves, and the hold that goes with them. A market order has no price to compute its
    /// hold from; `market_cost_minor` is what this fill used of it.
    fn fill(
        &mut self,
        order_id: OrderId,
        account: AccountId,
        leaves_lots: i64,
        market_cost_minor: AmountMinor,
    ) -> Result<(), Problem> {
        let order = self.orders.get_mut(&order_id).ok_or("an order that traded is not live")?;
        ensure(order.account == account, "an order that traded is another account's")?;
        order.leaves_lots = leaves_lots;
        let order = *order;
        let hold_minor = if leaves_lots == 0 {
            0
        } else if order.price_ticks == 0 {
            order.hold_minor - market_cost_minor
        } else {
            self.formula(&order)?
        };
        self.set_hold(order_id, hold_minor)?;
        if leaves_lots == 0 {
            self.orders.remove(&order_id);
        }
        Ok(())
    }

    fn live(&self, order_id: OrderId) -> Result<&LedgerOrder, Problem> {
        self.orders.get(&order_id).ok_or("the order is not live")
    }

    /// What must be held for a limit order as it is now.
    fn formula(&self, order: &LedgerOrder) -> Result<AmountMinor, Problem> {
        let instrument = self.instruments.get(&order.instrument).ok_or("the instrument is unknown")?;
        let hold_minor = hold_amount(instrument, order.side, order.price_ticks, order.leaves_lots);
        hold_minor.ok_or("the order is too large")
    }

    /// Changes what is held for an order, and with it what its account has reserved.
    fn set_hold(&mut self, order_id: OrderId, hold_minor: AmountMinor) -> Result<(), Problem> {
        ensure(hold_minor >= 0, "an order holds less than nothing")?;
        let order = self.orders.get_mut(&order_id).ok_or("the order is not live")?;
        let change_minor = hold_minor - order.hold_minor;
        order.hold_minor = hold_minor;
        let instrument = self.instruments.get(&order.instrument).ok_or("the instrument is unknown")?;
        let key = (order.account, held_asset(instrument, order.side));
        let balance = self.balances.entry(key).or_default();
        balance.held_minor = balance.held_minor.checked_add(change_minor).ok_or(OVERFLOW)?;
        let grew_too_far = change_minor > 0 && balance.held_minor > balance.balance_minor;
        ensure(balance.held_minor >= 0, "an account has less than nothing held")?;
        ensure(!grew_too_far, "more is held than the account owns")
    }

    /// Moves money from the posting's account to another: two postings that sum to zero. Nothing is noted when nothing
    /// moves.
    fn transfer(&mut self, payer: Posting, to: AccountId, amount_minor: AmountMinor) -> Result<(), Problem> {
        ensure(amount_minor >= 0, "a negative amount was moved")?;
        ensure(self.assets.contains_key(&payer.asset), "the asset is unknown")?;
        if amount_minor == 0 {
            return Ok(());
        }
        let payer = Posting { amount_minor: -amount_minor, ..payer };
        for posting in [payer, Posting { account: to, amount_minor, ..payer }] {
            let balance = self.balances.entry((posting.account, posting.asset)).or_default();
            balance.balance_minor =
                balance.balance_minor.checked_add(posting.amount_minor).ok_or(OVERFLOW)?;
            self.postings.push(posting);
        }
        let left_minor = self.balance(payer.account, payer.asset).balance_minor;
        ensure(payer.account == AccountId::WORLD || left_minor >= 0, "an account paid more than it had")
    }
}

fn body<'a, T: Body>(event: Record<'a>) -> Result<&'a T, Problem> {
    event.body_as().ok_or("the event has another size or version than this ledger knows")
}

fn ensure(holds: bool, problem: Problem) -> Result<(), Problem> {
    if holds { Ok(()) } else { Err(problem) }
}

/// A posting without account and amount.
fn posting(header: &RecordHeader, kind: PostingKind, asset: AssetId, trade_id: u64) -> Posting {
    Posting {
        sequence: header.sequence,
        timestamp_ns: header.timestamp_ns,
        account: AccountId::WORLD,
        asset,
        amount_minor: 0,
        kind,
        trade_id,
    }
}
