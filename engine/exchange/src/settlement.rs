//! What happens to money, positions and resting orders while an order matches.

use machine::EventBuffer;
use orderbook::{MatchSink, Order};
use protocol::{
    AccountId, AmountMinor, CancelReason, ClientOrderId, CreateInstrument, OrderCanceled, OrderDecremented,
    OrderId, OrderShown, PriceTicks, QuantityLots, Side, Trade,
};
use wallet::{BalanceSlot, Wallet};

use crate::accounts::Accounts;
use crate::charges::{Charge, Payer, Tariff};
use crate::client_index::ClientIndex;
use crate::instrument::State;
use crate::positions::{PositionSlot, PositionTable};
use crate::special::{Specials, flags};
use crate::terms::Terms;
use crate::trades::{TradeRecord, TradeRing};
use crate::volumes::Volumes;

/// An order on its way through the market: in the table, in no queue. `order.leaves_lots` is all that is left of it.
pub(crate) struct Incoming {
    pub(crate) order: Order,
    pub(crate) position: PositionSlot,
    pub(crate) base: BalanceSlot,
    pub(crate) quote: BalanceSlot,
    pub(crate) side: Side,
    /// `None` for a market order without a worst price.
    pub(crate) limit: Option<PriceTicks>,
    /// What is held for it now.
    pub(crate) hold_minor: AmountMinor,
    /// The price that the hold is for: the limit, or a pegged order's own; `None` if the hold is used up as it trades.
    pub(crate) hold_ticks: Option<PriceTicks>,
    /// Whether the last thing that happened to it was a decrement, and not a trade.
    pub(crate) is_decremented: bool,
}

impl Incoming {
    /// The balance that its hold is on.
    #[inline]
    pub(crate) fn held(&self) -> BalanceSlot {
        match self.side {
            Side::Buy => self.quote,
            Side::Sell => self.base,
        }
    }

    #[inline]
    pub(crate) fn is_extended(&self) -> bool {
        self.order.flags & flags::EXTENDED != 0
    }
}

/// The position that an order belongs to, and the session that entered it, as kept in [`Order::user`].
#[inline]
pub(crate) fn user_of(position: PositionSlot, source: machine::Source) -> u64 {
    u64::from(position.to_bits()) << 32 | u64::from(source.gateway) << 16 | u64::from(source.session)
}

#[inline]
pub(crate) fn position_of(order: &Order) -> PositionSlot {
    PositionSlot::from_bits((order.user >> 32) as u32)
}

/// Settles trades; as a [`MatchSink`], those between the taker and the orders that a book reports.
pub(crate) struct Settlement<'a> {
    pub(crate) wallet: &'a mut Wallet,
    pub(crate) clients: &'a mut ClientIndex,
    pub(crate) positions: &'a mut PositionTable,
    pub(crate) specials: &'a mut Specials,
    pub(crate) volumes: &'a mut Volumes,
    pub(crate) trades: &'a mut TradeRing,
    pub(crate) accounts: &'a Accounts,
    pub(crate) events: &'a mut EventBuffer,
    pub(crate) next_trade_id: &'a mut u64,
    pub(crate) state: &'a mut State,
    pub(crate) terms: &'a Terms,
    pub(crate) created: &'a CreateInstrument,
    pub(crate) fees: BalanceSlot,
    /// UTC day of the command.
    pub(crate) day: u32,
    /// Resting orders traded with or removed so far.
    pub(crate) fills: u32,
    pub(crate) taker: &'a mut Incoming,
}

/// One side of a trade, after its order has been filled.
#[derive(Clone, Copy)]
pub(crate) struct Party {
    pub(crate) order_id: OrderId,
    pub(crate) account: AccountId,
    pub(crate) position: PositionSlot,
    pub(crate) base: BalanceSlot,
    pub(crate) quote: BalanceSlot,
    /// All that is left of its order.
    pub(crate) leaves_lots: QuantityLots,
    /// What of its hold was for this quantity.
    pub(crate) released_minor: AmountMinor,
}

/// One trade, before it is settled.
#[derive(Clone, Copy)]
pub(crate) struct Deal {
    pub(crate) maker: Party,
    pub(crate) taker: Party,
    pub(crate) taker_side: Side,
    pub(crate) price_ticks: PriceTicks,
    pub(crate) quantity_lots: QuantityLots,
    pub(crate) quote_minor: AmountMinor,
    pub(crate) base_minor: AmountMinor,
    pub(crate) is_auction: bool,
}

impl Settlement<'_> {
    /// Moves the money and the positions of one trade and says so.
    #[inline]
    pub(crate) fn settle(&mut self, deal: &Deal, maker_charge: &Charge, taker_charge: &Charge) {
        let Deal { maker, taker, quote_minor, base_minor, .. } = deal;
        let (quote_minor, base_minor) = (*quote_minor, *base_minor);
        let (buyer, seller) = match deal.taker_side {
            Side::Buy => (taker, maker),
            Side::Sell => (maker, taker),
        };
        let wallet = &mut *self.wallet;
        wallet.settle(buyer.quote, seller.quote, buyer.released_minor, quote_minor);
        wallet.settle(seller.base, buyer.base, seller.released_minor, base_minor);
        taker_charge.pay(wallet, taker.quote, self.fees);
        maker_charge.pay(wallet, maker.quote, self.fees);

        self.positions.at_mut(buyer.position).position_lots += deal.quantity_lots;
        self.positions.at_mut(seller.position).position_lots -= deal.quantity_lots;
        self.volumes.add(maker.quote, self.day, quote_minor);
        self.volumes.add(taker.quote, self.day, quote_minor);
        self.state.traded_at(deal.price_ticks);
        self.publish(deal, maker_charge, taker_charge);
    }

    /// What maker and taker pay. A fee asset is asked for only where there is one.
    #[inline]
    pub(crate) fn charges(&self, maker: &Payer, taker: &Payer, quote_minor: AmountMinor) -> (Charge, Charge) {
        if self.state.schedule.is_none() && self.state.rules.set().fee_asset == 0 {
            return (
                Charge::in_quote(self.terms.maker_fee_minor(quote_minor)),
                Charge::in_quote(self.terms.taker_fee_minor(quote_minor)),
            );
        }
        let tariff = Tariff {
            schedule: self.state.schedule.as_ref(),
            rules: self.state.rules.set(),
            terms: self.terms,
            wallet: self.wallet,
            volumes: self.volumes,
            accounts: self.accounts,
            day: self.day,
        };
        tariff.charges(maker, taker, quote_minor)
    }

    #[inline]
    fn publish(&mut self, deal: &Deal, maker_charge: &Charge, taker_charge: &Charge) {
        let &Deal { ref maker, ref taker, price_ticks, quantity_lots, quote_minor, .. } = deal;
        let trade_id = *self.next_trade_id;
        *self.next_trade_id += 1;
        let trade = Trade {
            trade_id,
            maker_order_id: maker.order_id,
            taker_order_id: taker.order_id,
            price_ticks,
            quantity_lots,
            quote_minor,
            maker_fee_minor: maker_charge.quote_minor(),
            taker_fee_minor: taker_charge.quote_minor(),
            maker_leaves_lots: maker.leaves_lots,
            taker_leaves_lots: taker.leaves_lots,
            maker_account: maker.account,
            taker_account: taker.account,
            instrument: self.created.instrument,
            taker_side: deal.taker_side.code(),
            auction: u8::from(deal.is_auction),
            reserved: [0; 2],
        };
        self.events.push(&trade);
        for (charge, account, role) in [(maker_charge, maker.account, 1), (taker_charge, taker.account, 2)] {
            if let Some(event) = charge.event(trade_id, account, role) {
                self.events.push(&event);
            }
        }
        let quote_asset = self.created.quote_asset;
        self.trades.push(TradeRecord {
            trade_id,
            price_ticks,
            quantity_lots,
            quote_minor,
            base_minor: deal.base_minor,
            maker_fee_minor: maker_charge.amount_minor(),
            taker_fee_minor: taker_charge.amount_minor(),
            maker_fee_asset: maker_charge.asset().unwrap_or(quote_asset),
            taker_fee_asset: taker_charge.asset().unwrap_or(quote_asset),
            maker_account: maker.account,
            taker_account: taker.account,
            instrument: self.created.instrument,
            taker_side: deal.taker_side.code(),
            busted: 0,
            reserved: [0; 2],
            maker_order_id: maker.order_id,
            taker_order_id: taker.order_id,
        });
    }

    /// The pair of an order that trades is dissolved, before either side's hold goes down.
    #[inline]
    pub(crate) fn note_traded(&mut self, order: &Order) {
        if order.flags & flags::EXTENDED != 0 {
            self.specials.has_traded(order);
        }
    }

    /// Takes a fill from an order that rests or rested: its hold, what is open, and itself if it has ended. Returns its
    /// side of the deal.
    #[inline]
    pub(crate) fn fill_resting(
        &mut self,
        order: &Order,
        lots: QuantityLots,
        reserve_lots: QuantityLots,
    ) -> Party {
        let leaves_lots = order.leaves_lots + reserve_lots;
        let released_minor = self.release_resting(order, lots, leaves_lots);
        let slot = position_of(order);
        let position = self.positions.at_mut(slot);
        *position.open_lots_mut(order.side()) -= lots;
        let (base, quote) = (position.base, position.quote);
        if leaves_lots == 0 {
            position.open_orders -= 1;
            self.end_resting(order, true);
        }
        Party {
            order_id: order.order_id,
            account: order.account,
            position: slot,
            base,
            quote,
            leaves_lots,
            released_minor,
        }
    }

    /// What of a resting order's hold was for a quantity that is gone now.
    #[inline]
    fn release_resting(
        &mut self,
        order: &Order,
        lots: QuantityLots,
        leaves_lots: QuantityLots,
    ) -> AmountMinor {
        let side = order.side();
        if order.flags & flags::EXTENDED == 0 {
            return match side {
                Side::Sell => self.terms.base_minor(lots).expect("the seller's hold covers it"),
                Side::Buy => {
                    let before = hold_of(self.terms, side, order.price_ticks, leaves_lots + lots);
                    before - hold_of(self.terms, side, order.price_ticks, leaves_lots)
                }
            };
        }
        let special = *self.specials.at(order.order_id.slot());
        let own_minor = hold_of(self.terms, side, special.limit_ticks, leaves_lots);
        let hold_minor = if leaves_lots == 0 { 0 } else { own_minor.max(special.pair_hold_minor) };
        self.specials.at_mut(order.order_id.slot()).hold_minor = hold_minor;
        special.hold_minor - hold_minor
    }

    /// Forgets an order that has left the book for good.
    #[inline]
    fn end_resting(&mut self, order: &Order, filled: bool) {
        self.clients.end(order.client_index, order.order_id.slot(), order.account);
        self.state.delist(order);
        if order.flags & flags::EXTENDED != 0 {
            leave_hidden(self.state, self.specials, order);
            self.specials.has_ended(order, filled);
        }
    }

    /// Releases and returns what the taker's hold is too large by after a fill.
    #[inline]
    fn taker_release(&mut self, base_minor: AmountMinor, cost_minor: AmountMinor) -> AmountMinor {
        let taker = &mut *self.taker;
        let released_minor = match (taker.side, taker.hold_ticks) {
            // The first of a pair may have held for the other one too, until now.
            (Side::Sell, _) if taker.is_extended() => {
                let leaves_lots = taker.order.leaves_lots;
                taker.hold_minor - self.terms.base_minor(leaves_lots).expect("the seller's hold covers it")
            }
            (Side::Sell, _) => base_minor,
            (Side::Buy, None) => cost_minor,
            (Side::Buy, Some(limit)) => {
                taker.hold_minor - hold_of(self.terms, Side::Buy, limit, taker.order.leaves_lots)
            }
        };
        taker.hold_minor -= released_minor;
        released_minor
    }

    /// The taker's side of a deal, after its leaves have gone down.
    #[inline]
    fn taker_party(&mut self, base_minor: AmountMinor, cost_minor: AmountMinor) -> Party {
        let released_minor = self.taker_release(base_minor, cost_minor);
        let Incoming { order, position, base, quote, .. } = &*self.taker;
        Party {
            order_id: order.order_id,
            account: order.account,
            position: *position,
            base: *base,
            quote: *quote,
            leaves_lots: order.leaves_lots,
            released_minor,
        }
    }
}

impl MatchSink for Settlement<'_> {
    #[inline]
    fn on_fill(&mut self, maker: &mut Order, quantity_lots: QuantityLots, reserve_lots: QuantityLots) {
        self.fills += 1;
        let quote_minor = self.terms.quote_minor(maker.price_ticks, quantity_lots);
        let quote_minor = quote_minor.expect("the buyer's hold covers it");
        let base_minor = self.terms.base_minor(quantity_lots).expect("the seller's hold covers it");
        let maker_quote = self.positions.at(position_of(maker)).quote;
        self.volumes.prefetch(maker_quote, self.day);
        let maker_payer = Payer { account: maker.account, quote: maker_quote };
        let taker_payer = Payer { account: self.taker.order.account, quote: self.taker.quote };
        let (maker_charge, taker_charge) = self.charges(&maker_payer, &taker_payer, quote_minor);
        self.note_traded(maker);
        if self.taker.is_extended() {
            self.specials.has_traded(&self.taker.order);
        }
        self.taker.order.leaves_lots -= quantity_lots;
        self.taker.order.filled_lots += quantity_lots;
        self.taker.is_decremented = false;
        let maker_party = self.fill_resting(maker, quantity_lots, reserve_lots);
        let taker_party = self.taker_party(base_minor, quote_minor + taker_charge.quote_minor());
        let deal = Deal {
            maker: maker_party,
            taker: taker_party,
            taker_side: self.taker.side,
            price_ticks: maker.price_ticks,
            quantity_lots,
            quote_minor,
            base_minor,
            is_auction: false,
        };
        self.settle(&deal, &maker_charge, &taker_charge);
    }

    fn on_refill(&mut self, maker: &Order, _reserve_lots: QuantityLots) {
        self.events.push(&shown(maker));
    }

    fn on_decrement(&mut self, maker: &mut Order, quantity_lots: QuantityLots, reserve_lots: QuantityLots) {
        self.fills += 1;
        let leaves_lots = maker.leaves_lots + reserve_lots;
        let released_minor = self.release_resting(maker, quantity_lots, leaves_lots);
        let position = self.positions.at_mut(position_of(maker));
        *position.open_lots_mut(maker.side()) -= quantity_lots;
        position.open_orders -= u32::from(leaves_lots == 0);
        self.wallet.release(position.held(maker.side()), released_minor);
        if leaves_lots == 0 {
            self.end_resting(maker, false);
        }
        let hold_minor = match maker.flags & flags::EXTENDED {
            0 => hold_of(self.terms, maker.side(), maker.price_ticks, leaves_lots),
            _ => self.specials.at(maker.order_id.slot()).hold_minor,
        };
        self.events.push(&decremented(maker, maker.side(), quantity_lots, leaves_lots, hold_minor));
        self.decrement_taker(quantity_lots);
    }

    fn on_self_trade_canceled(&mut self, maker: &Order, reserve_lots: QuantityLots) {
        self.fills += 1;
        let leaves_lots = maker.leaves_lots + reserve_lots;
        let released_minor = match maker.flags & flags::EXTENDED {
            0 => hold_of(self.terms, maker.side(), maker.price_ticks, leaves_lots),
            _ => core::mem::take(&mut self.specials.at_mut(maker.order_id.slot()).hold_minor),
        };
        let position = self.positions.at_mut(position_of(maker));
        *position.open_lots_mut(maker.side()) -= leaves_lots;
        position.open_orders -= 1;
        self.wallet.release(position.held(maker.side()), released_minor);
        self.end_resting(maker, false);
        let mut whole = *maker;
        whole.leaves_lots = leaves_lots;
        self.events.push(&canceled(
            &whole,
            maker.side(),
            released_minor,
            CancelReason::SelfTrade,
            ClientOrderId::NONE,
        ));
    }
}

impl Settlement<'_> {
    /// The taker's half of a decrement.
    fn decrement_taker(&mut self, quantity_lots: QuantityLots) {
        let taker = &mut *self.taker;
        taker.order.leaves_lots -= quantity_lots;
        taker.is_decremented = true;
        let leaves_lots = taker.order.leaves_lots;
        let hold_minor = match (taker.side, taker.hold_ticks) {
            (Side::Buy, None) if leaves_lots > 0 => taker.hold_minor,
            (Side::Buy, None) => 0,
            (side, limit) => {
                let own_minor = hold_of(self.terms, side, limit.unwrap_or(1), leaves_lots);
                let pair_minor = match taker.order.flags & flags::EXTENDED {
                    0 => 0,
                    _ => self.specials.at(taker.order.order_id.slot()).pair_hold_minor,
                };
                if leaves_lots == 0 { 0 } else { own_minor.max(pair_minor) }
            }
        };
        let released_minor = taker.hold_minor - hold_minor;
        taker.hold_minor = hold_minor;
        self.wallet.release(taker.held(), released_minor);
        let event = decremented(&taker.order, taker.side, quantity_lots, leaves_lots, hold_minor);
        self.events.push(&event);
    }
}

/// Takes an order out of the counts of the hidden book; it is in no queue any more.
pub(crate) fn leave_hidden(state: &mut State, specials: &mut Specials, order: &Order) {
    let slot = order.order_id.slot();
    let special = *specials.at(slot);
    if !special.is_hidden() {
        return;
    }
    state.hidden_orders -= 1;
    if special.is_all_or_none() {
        state.all_or_none_orders -= 1;
    }
    if special.terms.peg != 0 {
        specials.take_out(&mut state.pegged, slot);
    }
}

/// What is held for a live limit order.
#[inline]
pub(crate) fn hold_of(terms: &Terms, side: Side, price_ticks: PriceTicks, lots: QuantityLots) -> AmountMinor {
    terms.hold_minor(side, price_ticks, lots).expect("it was bounded when the order was accepted")
}

/// The event for an order that ends with something left; `order.leaves_lots` is all of it.
#[inline]
pub(crate) fn canceled(
    order: &Order,
    side: Side,
    released_minor: AmountMinor,
    reason: CancelReason,
    client_order_id: ClientOrderId,
) -> OrderCanceled {
    OrderCanceled {
        order_id: order.order_id,
        leaves_lots: order.leaves_lots,
        released_minor,
        account: order.account,
        instrument: order.instrument,
        client_order_id,
        side: side.code(),
        reason: reason.code(),
        reserved: [0; 2],
    }
}

/// The event for what an extended order shows now.
pub(crate) fn shown(order: &Order) -> OrderShown {
    OrderShown {
        order_id: order.order_id,
        price_ticks: order.price_ticks,
        shown_lots: order.leaves_lots,
        account: order.account,
        instrument: order.instrument,
        side: order.side,
        reserved: [0; 7],
    }
}

fn decremented(
    order: &Order,
    side: Side,
    quantity_lots: QuantityLots,
    leaves_lots: QuantityLots,
    hold_minor: AmountMinor,
) -> OrderDecremented {
    OrderDecremented {
        order_id: order.order_id,
        quantity_lots,
        leaves_lots,
        hold_minor,
        account: order.account,
        instrument: order.instrument,
        side: side.code(),
        reserved: [0; 7],
    }
}
