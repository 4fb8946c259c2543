//! What happens to money and to resting orders while an order matches.

use machine::EventBuffer;
use orderbook::{MatchSink, Order};
use protocol::{
    AmountMinor, CancelReason, ClientOrderId, InstrumentId, OrderCanceled, PriceTicks, QuantityLots, Side,
    Trade,
};
use wallet::{BalanceSlot, Wallet};

use crate::client_index::ClientIndex;
use crate::exchange::{Slots, day_count};
use crate::terms::Terms;

/// The incoming order, as far as settling it needs. It is not in the book.
pub(crate) struct Incoming {
    pub(crate) order: Order,
    pub(crate) slots: Slots,
    pub(crate) side: Side,
    /// `None` for a market order.
    pub(crate) limit: Option<PriceTicks>,
    /// What is held for it now.
    pub(crate) hold_minor: AmountMinor,
}

/// Settles fills as the book reports them.
pub(crate) struct Settlement<'a> {
    pub(crate) wallet: &'a mut Wallet,
    pub(crate) clients: &'a mut ClientIndex,
    pub(crate) events: &'a mut EventBuffer,
    pub(crate) next_trade_id: &'a mut u64,
    pub(crate) day_orders: &'a mut u32,
    pub(crate) terms: &'a Terms,
    pub(crate) instrument: InstrumentId,
    pub(crate) fees: BalanceSlot,
    pub(crate) taker: &'a mut Incoming,
}

impl Settlement<'_> {
    /// Releases and returns what the taker's hold is too large by after a fill.
    #[inline]
    fn taker_release(&mut self, base_minor: AmountMinor, cost_minor: AmountMinor) -> AmountMinor {
        let taker = &mut *self.taker;
        let released_minor = match (taker.side, taker.limit) {
            (Side::Sell, _) => base_minor,
            (Side::Buy, None) => cost_minor,
            (Side::Buy, Some(limit)) => {
                taker.hold_minor - hold_of(self.terms, Side::Buy, limit, taker.order.leaves_lots)
            }
        };
        taker.hold_minor -= released_minor;
        released_minor
    }

    /// Moves the money of one trade: five transfers, or the process stops.
    #[inline]
    fn transfer(&mut self, deal: &Deal) {
        let Deal { buyer, seller, .. } = *deal;
        let wallet = &mut *self.wallet;
        wallet.settle(buyer.quote, seller.quote, deal.buyer_released_minor, deal.quote_minor);
        wallet.transfer(buyer.quote, self.fees, deal.buyer_fee_minor);
        wallet.transfer(seller.quote, self.fees, deal.seller_fee_minor);
        wallet.settle(seller.base, buyer.base, deal.base_minor, deal.base_minor);
    }
}

/// One trade in money.
struct Deal {
    buyer: Slots,
    seller: Slots,
    quote_minor: AmountMinor,
    base_minor: AmountMinor,
    buyer_fee_minor: AmountMinor,
    seller_fee_minor: AmountMinor,
    /// What of the buyer's hold was for this quantity.
    buyer_released_minor: AmountMinor,
}

impl MatchSink for Settlement<'_> {
    #[inline]
    fn on_fill(&mut self, maker: &mut Order, quantity_lots: QuantityLots, reserve_lots: QuantityLots) {
        debug_assert_eq!(reserve_lots, 0, "no order has a reserve");
        let terms = self.terms;
        let quote_minor = terms.quote_minor(maker.price_ticks, quantity_lots);
        let quote_minor = quote_minor.expect("the buyer's hold covers it");
        let base_minor = terms.base_minor(quantity_lots).expect("the seller's hold covers it");
        let maker_fee_minor = terms.maker_fee_minor(quote_minor);
        let taker_fee_minor = terms.taker_fee_minor(quote_minor);
        self.taker.order.leaves_lots -= quantity_lots;
        self.taker.order.filled_lots += quantity_lots;
        let taker_released_minor = self.taker_release(base_minor, quote_minor + taker_fee_minor);

        let (maker_slots, taker_slots) = (Slots::of(maker), self.taker.slots);
        let deal = match self.taker.side {
            Side::Buy => Deal {
                buyer: taker_slots,
                seller: maker_slots,
                quote_minor,
                base_minor,
                buyer_fee_minor: taker_fee_minor,
                seller_fee_minor: maker_fee_minor,
                buyer_released_minor: taker_released_minor,
            },
            Side::Sell => Deal {
                buyer: maker_slots,
                seller: taker_slots,
                quote_minor,
                base_minor,
                buyer_fee_minor: maker_fee_minor,
                seller_fee_minor: taker_fee_minor,
                buyer_released_minor: maker_release(terms, maker, quantity_lots),
            },
        };
        self.transfer(&deal);
        if maker.leaves_lots == 0 {
            self.clients.remove(maker.client_index, maker.order_id.slot());
            *self.day_orders -= day_count(maker);
        }
        self.events.push(&Trade {
            trade_id: *self.next_trade_id,
            maker_order_id: maker.order_id,
            taker_order_id: self.taker.order.order_id,
            price_ticks: maker.price_ticks,
            quantity_lots,
            quote_minor,
            maker_fee_minor,
            taker_fee_minor,
            maker_leaves_lots: maker.leaves_lots,
            taker_leaves_lots: self.taker.order.leaves_lots,
            maker_account: maker.account,
            taker_account: self.taker.order.account,
            instrument: self.instrument,
            taker_side: self.taker.order.side,
            reserved: [0; 3],
        });
        *self.next_trade_id += 1;
    }

    fn on_refill(&mut self, maker: &Order, _reserve_lots: QuantityLots) {
        unreachable!("no order has a reserve, yet {:?} showed a new slice", maker.order_id);
    }

    fn on_decrement(&mut self, maker: &mut Order, _quantity_lots: QuantityLots, _reserve_lots: QuantityLots) {
        unreachable!("no order is accepted with this self-trade mode, yet {:?} met one", maker.order_id);
    }

    fn on_self_trade_canceled(&mut self, maker: &Order) {
        *self.day_orders -= day_count(maker);
        self.clients.remove(maker.client_index, maker.order_id.slot());
        let released_minor = hold_of(self.terms, maker.side(), maker.price_ticks, maker.leaves_lots);
        self.wallet.release(Slots::of(maker).held(maker.side()), released_minor);
        self.events.push(&canceled(maker, released_minor, CancelReason::SelfTrade, ClientOrderId::NONE));
    }
}

/// What of a resting buy's hold was for a quantity that has just been filled.
#[inline]
fn maker_release(terms: &Terms, maker: &Order, quantity_lots: QuantityLots) -> AmountMinor {
    let before = hold_of(terms, Side::Buy, maker.price_ticks, maker.leaves_lots + quantity_lots);
    before - hold_of(terms, Side::Buy, maker.price_ticks, maker.leaves_lots)
}

/// What is held for a live limit order.
#[inline]
pub(crate) fn hold_of(terms: &Terms, side: Side, price_ticks: PriceTicks, lots: QuantityLots) -> AmountMinor {
    terms.hold_minor(side, price_ticks, lots).expect("it was bounded when the order was accepted")
}

/// The event for an order that ends with something left.
#[inline]
pub(crate) fn canceled(
    order: &Order,
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
        side: order.side,
        reason: reason.code(),
        reserved: [0; 2],
    }
}
