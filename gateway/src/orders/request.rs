//! From FIX requests to commands.

use protocol::{
    AccountId, CancelOrder, ClientOrderId, CommandKind, InstrumentId, MassCancel, NewExtendedOrder, NewOrder,
    OrderId, OrderTerms, OrderType, PriceTicks, QuantityLots, ReplaceExtendedOrder, ReplaceOrder,
    ReplaceOrderTerms, SelfTradePrevention, TimeInForce,
};
use zerocopy::IntoBytes;

use super::fields::OrderFields;
use super::list::List;
use super::refusal::{OTHER, Refusal, UNSUPPORTED, refuse};
use super::{Catalog, Instrument, terms};
use crate::fix::{Message, parse_number};

/// For whom requests are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trader {
    pub(crate) account: AccountId,
    /// Of orders that do not carry tag 2964.
    pub(crate) self_trade_prevention: SelfTradePrevention,
}

/// What a request has besides, by its kind.
#[derive(Clone, Debug, Default)]
pub(crate) enum Extra {
    /// Nothing.
    #[default]
    None,
    /// Which orders a mass cancel means.
    MassCancel(Box<MassCancel>),
    /// The orders of a list.
    List(Box<List>),
    /// It cancels an order because the whole list is to be cancelled.
    OfListCancel,
}

/// A request on its way to the engine, with what its answer will need.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) kind: CommandKind,
    /// MsgSeqNum that it came with; 0 for one of the gateway's own.
    pub(crate) sequence: u64,
    pub(crate) client_order_id: ClientOrderId,
    pub(crate) original_client_order_id: ClientOrderId,
    pub(crate) order_id: OrderId,
    pub(crate) account: AccountId,
    pub(crate) instrument: InstrumentId,
    pub(crate) price_ticks: PriceTicks,
    pub(crate) quantity_lots: QuantityLots,
    pub(crate) side: u8,
    pub(crate) order_type: u8,
    pub(crate) time_in_force: u8,
    pub(crate) self_trade_prevention: u8,
    /// Of a replace: whether TimeInForce (59) and TriggerPriceType (1107) stand in it.
    pub(crate) says_time_in_force: bool,
    pub(crate) says_trigger: bool,
    pub(crate) terms: OrderTerms,
    pub(crate) extra: Extra,
}

/// What a reject's event does not say, and its report tells all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// OrigClOrdID of a cancel or replace.
    pub(crate) original_client_order_id: ClientOrderId,
    /// Price of the order that it would have made.
    pub(crate) price_ticks: PriceTicks,
    /// Its quantity.
    pub(crate) quantity_lots: QuantityLots,
    /// Its side; 7 (undisclosed) if that is not known.
    pub(crate) side: u8,
    /// Its type; 0 if that is not known.
    pub(crate) order_type: u8,
    /// Its time in force, if its type is known.
    pub(crate) time_in_force: u8,
}

impl Asked {
    /// Nothing is known: the request was made by the process before this one.
    pub(crate) const NOTHING: Self = Self {
        original_client_order_id: ClientOrderId::NONE,
        price_ticks: 0,
        quantity_lots: 0,
        side: 7,
        order_type: 0,
        time_in_force: 0,
    };
}

impl Request {
    /// Hands the command's body to `send`.
    pub(crate) fn send(&self, send: impl FnOnce(u16, &[u8]) -> bool) -> bool {
        let kind = self.kind.code();
        match (&self.extra, self.kind) {
            (Extra::MassCancel(command), _) => send(kind, command.as_bytes()),
            (Extra::List(list), _) => send(kind, &list.body),
            (_, CommandKind::CancelOrder) => send(kind, self.cancel_order().as_bytes()),
            (_, CommandKind::ReplaceOrder) => send(kind, self.replace_order().as_bytes()),
            (_, CommandKind::ReplaceOrderTerms) => {
                let command = ReplaceOrderTerms(ReplaceExtendedOrder {
                    replace: self.replace_order(),
                    trigger_price_ticks: self.terms.trigger_price_ticks,
                    display_lots: self.terms.display_lots,
                });
                send(kind, command.as_bytes())
            }
            (_, CommandKind::NewExtendedOrder) => send(kind, self.extended_order().as_bytes()),
            _ => send(kind, self.new_order().as_bytes()),
        }
    }

    fn new_order(&self) -> NewOrder {
        NewOrder {
            price_ticks: self.price_ticks,
            quantity_lots: self.quantity_lots,
            account: self.account,
            instrument: self.instrument,
            client_order_id: self.client_order_id,
            side: self.side,
            order_type: self.order_type,
            time_in_force: self.time_in_force,
            self_trade_prevention: self.self_trade_prevention,
        }
    }

    pub(super) fn extended_order(&self) -> NewExtendedOrder {
        NewExtendedOrder { order: self.new_order(), terms: self.terms }
    }

    fn cancel_order(&self) -> CancelOrder {
        CancelOrder {
            order_id: self.order_id,
            account: self.account,
            instrument: self.instrument,
            client_order_id: self.client_order_id,
            reserved: 0,
        }
    }

    fn replace_order(&self) -> ReplaceOrder {
        ReplaceOrder {
            order_id: self.order_id,
            price_ticks: self.price_ticks,
            quantity_lots: self.quantity_lots,
            account: self.account,
            instrument: self.instrument,
            client_order_id: self.client_order_id,
            reserved: 0,
        }
    }

    /// What the answer will need of it, the orders of a list aside.
    fn asked(&self) -> Asked {
        Asked {
            original_client_order_id: self.original_client_order_id,
            price_ticks: self.price_ticks,
            quantity_lots: self.quantity_lots,
            side: self.side,
            order_type: self.order_type,
            time_in_force: self.time_in_force,
        }
    }

    /// It is on its way: what is left of it until it is answered.
    pub(crate) fn into_sent(self) -> Sent {
        Sent {
            kind: self.kind,
            sequence: self.sequence,
            client_order_id: self.client_order_id,
            order_id: self.order_id,
            asked: self.asked(),
            extra: self.extra,
        }
    }

    /// Whether it wants an existing order changed.
    pub(crate) fn is_replace(&self) -> bool {
        matches!(self.kind, CommandKind::ReplaceOrder | CommandKind::ReplaceOrderTerms)
    }

    /// The ClOrdIDs that it brings.
    pub(crate) fn client_order_ids(&self) -> impl Iterator<Item = ClientOrderId> + '_ {
        all_ids(self.client_order_id, &self.extra)
    }

    /// A request of this kind with nothing else in it.
    pub(crate) fn empty(kind: CommandKind, account: AccountId) -> Self {
        Self {
            kind,
            sequence: 0,
            client_order_id: ClientOrderId::NONE,
            original_client_order_id: ClientOrderId::NONE,
            order_id: OrderId::NONE,
            account,
            instrument: 0,
            price_ticks: 0,
            quantity_lots: 0,
            side: 0,
            order_type: OrderType::Limit.code(),
            time_in_force: 0,
            self_trade_prevention: 0,
            says_time_in_force: false,
            says_trigger: false,
            terms: OrderTerms::default(),
            extra: Extra::None,
        }
    }
}

/// A request that waits for its answer: what that will need.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) kind: CommandKind,
    /// MsgSeqNum that it came with; 0 for one of the gateway's own.
    pub(crate) sequence: u64,
    pub(crate) client_order_id: ClientOrderId,
    pub(crate) order_id: OrderId,
    asked: Asked,
    pub(crate) extra: Extra,
}

impl Sent {
    /// What the answer with this ClOrdID needs.
    pub(crate) fn asked(&self, client_order_id: ClientOrderId) -> Asked {
        let listed = match &self.extra {
            Extra::List(list) => list.orders.iter().find(|it| it.client_order_id == client_order_id),
            _ => None,
        };
        listed.map_or(self.asked, Request::asked)
    }

    /// The ClOrdIDs that it has brought.
    pub(crate) fn client_order_ids(&self) -> impl Iterator<Item = ClientOrderId> + '_ {
        all_ids(self.client_order_id, &self.extra)
    }
}

fn all_ids(own: ClientOrderId, extra: &Extra) -> impl Iterator<Item = ClientOrderId> + '_ {
    let listed = match extra {
        Extra::List(list) => list.orders.as_slice(),
        _ => &[],
    };
    std::iter::once(own).chain(listed.iter().map(|it| it.client_order_id)).filter(|it| !it.is_none())
}

pub(super) fn client_order_id(text: Option<&[u8]>) -> Result<ClientOrderId, Refusal> {
    match ClientOrderId::from_text(text.unwrap_or_default()) {
        Some(id) if !id.is_none() => Ok(id),
        _ => refuse(OTHER, "ClOrdID (11) must be 1 to 36 bytes"),
    }
}

fn self_trade_prevention(
    fields: &OrderFields<'_>,
    default: SelfTradePrevention,
) -> Result<SelfTradePrevention, Refusal> {
    match fields.own_prevention.or(fields.self_trade_prevention) {
        None => Ok(default),
        Some(b"0") => Ok(SelfTradePrevention::Allow),
        Some(b"1") => Ok(SelfTradePrevention::CancelNewest),
        Some(b"2") => Ok(SelfTradePrevention::CancelOldest),
        Some(b"3") => Ok(SelfTradePrevention::CancelBoth),
        Some(b"4") => Ok(SelfTradePrevention::DecrementAndCancel),
        _ => refuse(
            UNSUPPORTED,
            "SelfMatchPreventionInstruction (2964) and SelfTradePrevention (9104) must be 0, 1, 2, 3 or 4",
        ),
    }
}

pub(super) fn instrument<'c>(
    fields: &OrderFields<'_>,
    catalog: &'c Catalog,
) -> Result<&'c Instrument, Refusal> {
    let found = catalog.by_symbol(fields.symbol.unwrap_or_default());
    found.ok_or(Refusal { code: 1, text: "Symbol (55) is not an instrument of this exchange" })
}

/// NewOrderSingle (35=D).
pub(crate) fn parse_new(
    message: &Message<'_>,
    catalog: &Catalog,
    trader: Trader,
) -> Result<Request, Refusal> {
    new_order(&OrderFields::of(message), catalog, trader)
}

/// An order by its fields.
pub(super) fn new_order(
    fields: &OrderFields<'_>,
    catalog: &Catalog,
    trader: Trader,
) -> Result<Request, Refusal> {
    let client_order_id = client_order_id(fields.client_order_id)?;
    if !terms::is_own_account(fields.account, trader.account.0) {
        return refuse(15, "Account (1) is not this session's account; it may be left out");
    }
    let instrument = instrument(fields, catalog)?;
    let style = terms::style(fields)?;
    let has_price = matches!(style.order_type, OrderType::Limit | OrderType::StopLimit | OrderType::Pegged);
    let price_ticks = match fields.price {
        Some(_) if !has_price => {
            return refuse(UNSUPPORTED, "a market order has no Price (44)");
        }
        None if !has_price => 0,
        _ => terms::price(fields, instrument)?,
    };
    let quantity_lots = match (fields.budget, fields.quantity) {
        (Some(_), None) => 0,
        _ => terms::quantity(fields, instrument)?,
    };
    let side = terms::side(fields)?;
    let time_in_force = terms::time_in_force(fields, style)?;
    let terms = terms::terms(fields, instrument, side, style, time_in_force)?;
    let plain = matches!(style.order_type, OrderType::Market | OrderType::Limit)
        && is_plain(time_in_force)
        && terms == OrderTerms::default();
    Ok(Request {
        sequence: fields.sequence.and_then(parse_number).unwrap_or(0),
        client_order_id,
        instrument: instrument.id,
        price_ticks,
        quantity_lots,
        side: side.code(),
        order_type: style.order_type.code(),
        time_in_force: time_in_force.code(),
        self_trade_prevention: self_trade_prevention(fields, trader.self_trade_prevention)?.code(),
        terms,
        ..Request::empty(
            if plain { CommandKind::NewOrder } else { CommandKind::NewExtendedOrder },
            trader.account,
        )
    })
}

fn is_plain(time_in_force: TimeInForce) -> bool {
    use TimeInForce::{Day, FillOrKill, GoodTillCancel, ImmediateOrCancel};
    matches!(time_in_force, Day | GoodTillCancel | ImmediateOrCancel | FillOrKill)
}

/// OrderCancelRequest (35=F). The order is not looked up yet; `order_id` is none.
pub(crate) fn parse_cancel(
    message: &Message<'_>,
    catalog: &Catalog,
    account: AccountId,
) -> Result<Request, Refusal> {
    cancel(&OrderFields::of(message), catalog, account)
}

fn cancel(fields: &OrderFields<'_>, catalog: &Catalog, account: AccountId) -> Result<Request, Refusal> {
    let client_order_id = client_order_id(fields.client_order_id)?;
    if !terms::is_own_account(fields.account, account.0) {
        return refuse(OTHER, "Account (1) is not this session's account; it may be left out");
    }
    let instrument = instrument(fields, catalog)?;
    let original = fields.original_client_order_id.and_then(ClientOrderId::from_text);
    Ok(Request {
        sequence: fields.sequence.and_then(parse_number).unwrap_or(0),
        client_order_id,
        original_client_order_id: original.unwrap_or_default(),
        instrument: instrument.id,
        side: terms::side(fields).map_err(|it| Refusal { code: OTHER, ..it })?.code(),
        ..Request::empty(CommandKind::CancelOrder, account)
    })
}

/// OrderCancelReplaceRequest (35=G). The order is not looked up yet: `order_id` is none, and what depends on the order
/// is seen to by [`super::replace::fit_to_order`].
pub(crate) fn parse_replace(
    message: &Message<'_>,
    catalog: &Catalog,
    account: AccountId,
) -> Result<Request, Refusal> {
    let fields = OrderFields::of(message);
    let base = cancel(&fields, catalog, account)?;
    let instrument = instrument(&fields, catalog)?;
    let other = |refusal: Refusal| Refusal { code: OTHER, ..refusal };
    let style = terms::style(&fields).map_err(other)?.partial();
    let side = terms::side(&fields).map_err(other)?;
    let expires = fields.expire_time.is_some() || fields.expire_date.is_some();
    let time_in_force = match fields.time_in_force {
        None if expires => TimeInForce::GoodTillDate,
        None => TimeInForce::Day,
        Some(_) => terms::time_in_force(&fields, style).map_err(other)?,
    };
    let price_ticks = match fields.price {
        None => 0,
        Some(_) => terms::price(&fields, instrument).map_err(other)?,
    };
    Ok(Request {
        kind: CommandKind::ReplaceOrder,
        price_ticks,
        quantity_lots: terms::quantity(&fields, instrument).map_err(other)?,
        order_type: style.order_type.code(),
        time_in_force: time_in_force.code(),
        says_time_in_force: fields.time_in_force.is_some(),
        says_trigger: fields.trigger_price_type.is_some(),
        terms: terms::terms(&fields, instrument, side, style, time_in_force).map_err(other)?,
        ..base
    })
}
