//! What the accounts of this gateway's sessions own, folded from events.
//!
//! Balances follow from deposits, withdrawals, trades and fees. What is held for orders is not kept: it follows from the
//! orders that are live, by the rules of docs/exchange.md, and is computed when somebody asks.

use protocol::{
    AmountMinor, AssetId, CreateInstrument, FeeCharged, InstrumentId, ListType, OrderId, OrderType,
    QuantityLots, Side, Trade, TradeBusted, base_amount, hold_amount,
};

use super::{Order, Orders, status};

/// What an account owns of one asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Of what.
    pub asset: AssetId,
    /// All of it, in minor units.
    pub balance_minor: AmountMinor,
    /// The part of it that is reserved for live orders.
    pub held_minor: AmountMinor,
}

/// Money and positions of one session's account, in the order in which they came about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holdings {
    pub(super) balances: Vec<(AssetId, AmountMinor)>,
    pub(super) positions: Vec<(InstrumentId, QuantityLots)>,
}

fn entry<K: PartialEq + Copy>(all: &mut Vec<(K, i64)>, key: K) -> &mut i64 {
    let at = all.iter().position(|it| it.0 == key).unwrap_or_else(|| {
        all.push((key, 0));
        all.len() - 1
    });
    &mut all[at].1
}

impl Holdings {
    pub(super) fn set_balance(&mut self, asset: AssetId, balance_minor: AmountMinor) {
        *entry(&mut self.balances, asset) = balance_minor;
    }

    fn add(&mut self, asset: AssetId, amount_minor: AmountMinor) {
        let balance = entry(&mut self.balances, asset);
        *balance = balance.saturating_add(amount_minor);
    }
}

/// Instruments and holdings. See the module's documentation.
#[derive(Default)]
pub(crate) struct Accounts {
    /// By id.
    pub(super) instruments: Vec<Option<CreateInstrument>>,
    /// By session.
    pub(super) holdings: Vec<Holdings>,
}

/// What one party of a trade gives and gets.
struct Leg {
    buys: bool,
    quantity_lots: QuantityLots,
    quote_minor: AmountMinor,
    fee_minor: AmountMinor,
    fee_asset: AssetId,
}

impl Accounts {
    pub(super) fn new(sessions: usize) -> Self {
        Self { instruments: Vec::new(), holdings: vec![Holdings::default(); sessions] }
    }

    pub(super) fn on_instrument(&mut self, created: &CreateInstrument) {
        let at = created.instrument as usize;
        self.instruments.resize(self.instruments.len().max(at + 1), None);
        self.instruments[at] = Some(*created);
    }

    fn instrument(&self, instrument: InstrumentId) -> Option<&CreateInstrument> {
        self.instruments.get(instrument as usize)?.as_ref()
    }

    /// One side of a trade of a session's order.
    pub(super) fn on_trade(&mut self, session: u16, body: &Trade, maker: bool) {
        let Some(instrument) = self.instrument(body.instrument).copied() else { return };
        let leg = Leg {
            buys: (body.taker_side == Side::Buy.code()) != maker,
            quantity_lots: body.quantity_lots,
            quote_minor: body.quote_minor,
            fee_minor: if maker { body.maker_fee_minor } else { body.taker_fee_minor },
            fee_asset: instrument.quote_asset,
        };
        self.settle(session, &instrument, &leg, 1);
    }

    /// One side of a trade that is taken back.
    pub(super) fn on_busted(&mut self, session: u16, body: &TradeBusted, maker: bool) {
        let Some(instrument) = self.instrument(body.instrument).copied() else { return };
        let leg = Leg {
            buys: (body.taker_side == Side::Buy.code()) != maker,
            quantity_lots: body.quantity_lots,
            quote_minor: body.quote_minor,
            fee_minor: if maker { body.maker_fee_minor } else { body.taker_fee_minor },
            fee_asset: if maker { body.maker_fee_asset } else { body.taker_fee_asset },
        };
        self.settle(session, &instrument, &leg, -1);
    }

    /// `direction` is 1, or -1 to take it back.
    fn settle(&mut self, session: u16, instrument: &CreateInstrument, leg: &Leg, direction: i64) {
        let Some(holdings) = self.holdings.get_mut(usize::from(session)) else { return };
        let base_minor = base_amount(instrument, leg.quantity_lots).unwrap_or(0);
        let sign = if leg.buys { direction } else { -direction };
        holdings.add(instrument.base_asset, sign * base_minor);
        holdings.add(instrument.quote_asset, -sign * leg.quote_minor);
        holdings.add(leg.fee_asset, -direction * leg.fee_minor);
        let position = entry(&mut holdings.positions, instrument.instrument);
        *position = position.saturating_add(sign * leg.quantity_lots);
    }

    /// A fee was paid in the fee asset.
    pub(super) fn on_fee(&mut self, session: u16, body: &FeeCharged) {
        if let Some(holdings) = self.holdings.get_mut(usize::from(session)) {
            holdings.add(body.asset, -body.amount_minor);
        }
    }
}

impl Orders {
    /// What the session's account owns, and what of it is held for its live orders.
    #[must_use]
    pub fn balances(&self, session: u16) -> Vec<Balance> {
        let Some(holdings) = self.accounts.holdings.get(usize::from(session)) else { return Vec::new() };
        let known = holdings.balances.iter();
        let mut all: Vec<Balance> =
            known.map(|&(asset, balance_minor)| Balance { asset, balance_minor, held_minor: 0 }).collect();
        for order in self.by_id.values().filter(|it| it.session == session && !it.is_done()) {
            let Some(instrument) = self.accounts.instrument(order.instrument) else { continue };
            let buys = order.side == Side::Buy.code();
            let asset = if buys { instrument.quote_asset } else { instrument.base_asset };
            if let Some(balance) = all.iter_mut().find(|it| it.asset == asset) {
                balance.held_minor = balance.held_minor.saturating_add(self.held_for(order));
            }
        }
        all.sort_unstable_by_key(|it| it.asset);
        all
    }

    /// What the session's account has bought less what it has sold, by instrument.
    #[must_use]
    pub fn positions(&self, session: u16) -> Vec<(InstrumentId, QuantityLots)> {
        let holdings = self.accounts.holdings.get(usize::from(session));
        let mut all = holdings.map(|it| it.positions.clone()).unwrap_or_default();
        all.sort_unstable();
        all
    }

    /// What is held for an order that lives when a command is through. (What never rests has ended by then.)
    fn held_for(&self, order: &Order) -> AmountMinor {
        if order.status == status::SUSPENDED {
            return 0;
        }
        match self.partner(order) {
            None => self.need_of(order),
            // The limit order of a pair holds for both, until it has traded.
            Some(_) if order.order_type != OrderType::Limit.code() => 0,
            Some(stop) if order.cumulative_lots == 0 => self.need_of(order).max(self.need_of(stop)),
            Some(_) => self.need_of(order),
        }
    }

    fn need_of(&self, order: &Order) -> AmountMinor {
        let side = if order.side == Side::Buy.code() { Side::Buy } else { Side::Sell };
        let instrument = self.accounts.instrument(order.instrument);
        let need = instrument.and_then(|it| hold_amount(it, side, order.price_ticks, order.leaves_lots));
        need.unwrap_or(0)
    }

    /// The other order of a one-cancels-other pair, if it lives. Orders of a list have one sequence in their ids.
    fn partner(&self, order: &Order) -> Option<&Order> {
        let own = self.special(order)?;
        let first = match own.list_order_id {
            OrderId::NONE => order.order_id,
            first => first,
        };
        let is_pair = own.list_type == ListType::OneCancelsOther.code()
            || (own.list_type == ListType::Bracket.code() && first != order.order_id);
        let siblings = self.special.iter().filter(|(id, it)| {
            **id != order.order_id
                && it.list_type == own.list_type
                && (it.list_order_id == first || (**id == first && own.list_type != ListType::Bracket.code()))
        });
        let lives = |id: &OrderId| self.by_id.get(id).filter(|it| !it.is_done());
        if is_pair { siblings.filter_map(|(id, _)| lives(id)).next() } else { None }
    }
}
