//! Lines that enter, change and cancel orders.

use machine::Body;
use protocol::{
    CancelOrder, ClientOrderId, CommandKind, ListType, NewClientOrderList, NewExtendedOrder, NewOrder,
    NewOrderList, OrderTerms, OrderType, PegReference, PostOnly, ReplaceExtendedOrder, ReplaceOrder,
    ReplaceOrderTerms, Side, TimeInForce, TrailUnit, term_flags,
};
use testkit::RecordBytes;
use zerocopy::IntoBytes;

use super::machine::Machine;
use super::words::Words;
use super::{OpenList, Problem, Scenario, client_order_id};

impl<M: Machine> Scenario<M> {
    /// A line that begins with `buy` or `sell`; of a list that is being told, or a command of its own.
    pub(super) fn order(&mut self, side: Side, words: &mut Words<'_>) -> Result<(), Problem> {
        let it = self.parse_order(side, words)?;
        if let Some(list) = &mut self.list {
            list.orders.push(it);
        } else if it.terms == OrderTerms::default() {
            self.send(&it.order);
        } else {
            self.send(&it);
        }
        Ok(())
    }

    fn parse_order(&mut self, side: Side, words: &mut Words<'_>) -> Result<NewExtendedOrder, Problem> {
        let account = self.names.account(words.need("an account")?)?;
        let quantity_lots = words.number("a quantity")?;
        words.literal("@")?;
        let (order_type, price_ticks) = match words.need("a price")? {
            "market" => (OrderType::Market, 0),
            "to-limit" => (OrderType::MarketToLimit, 0),
            price => (OrderType::Limit, price.parse().map_err(|_| format!("`{price}` is no price"))?),
        };
        let order = NewOrder {
            price_ticks,
            quantity_lots,
            account,
            instrument: 1,
            side: side.code(),
            order_type: order_type.code(),
            ..NewOrder::default()
        };
        let mut it = NewExtendedOrder { order, terms: OrderTerms::default() };
        self.time_in_force(words, &mut it)?;
        while let Some(word) = words.next() {
            self.term(word, words, &mut it)?;
        }
        Ok(it)
    }

    fn time_in_force(&self, words: &mut Words<'_>, it: &mut NewExtendedOrder) -> Result<(), Problem> {
        let time = match words.need("a time in force")? {
            "day" => TimeInForce::Day,
            "gtc" => TimeInForce::GoodTillCancel,
            "ioc" => TimeInForce::ImmediateOrCancel,
            "fok" => TimeInForce::FillOrKill,
            "open" => TimeInForce::AtTheOpening,
            "close" => TimeInForce::AtTheClose,
            "gtd" => {
                it.terms.expire_time_ns = self.now_ns + words.duration()?;
                TimeInForce::GoodTillDate
            }
            other => return Err(format!("`{other}` is no time in force")),
        };
        it.order.time_in_force = time.code();
        Ok(())
    }

    fn term(&self, word: &str, words: &mut Words<'_>, it: &mut NewExtendedOrder) -> Result<(), Problem> {
        let stops = if it.order.price_ticks == 0 { OrderType::Stop } else { OrderType::StopLimit };
        match word {
            "on" => it.order.instrument = self.names.instrument(words.need("a symbol")?)?.instrument,
            "as" => it.order.client_order_id = client_order_id(words.need("an id")?)?,
            "stp" => it.order.self_trade_prevention = words.self_trade_prevention()?,
            "stop" => {
                it.order.order_type = stops.code();
                it.terms.trigger_price_ticks = words.number("a trigger price")?;
                it.terms.trigger = words.trigger_source()?;
            }
            "trail" => {
                it.order.order_type = stops.code();
                it.terms.offset = words.number("a distance")?;
                it.terms.trail = match words.need("ticks or bps")? {
                    "ticks" => TrailUnit::Ticks.code(),
                    "bps" => TrailUnit::BasisPoints.code(),
                    other => return Err(format!("`{other}` is neither ticks nor bps")),
                };
                it.terms.trigger = words.trigger_source()?;
            }
            "peg" => {
                it.order.order_type = OrderType::Pegged.code();
                it.terms.peg = match words.need("bid, ask or mid")? {
                    "bid" => PegReference::BestBid.code(),
                    "ask" => PegReference::BestAsk.code(),
                    "mid" => PegReference::Midpoint.code(),
                    other => return Err(format!("`{other}` is nothing to peg to")),
                };
                it.terms.offset = words.number("an offset")?;
            }
            "display" => it.terms.display_lots = words.number("a quantity")?,
            "vary" => it.terms.display_variation_lots = words.number("a quantity")? as u32,
            "hidden" => it.terms.flags |= term_flags::HIDDEN,
            "aon" => it.terms.flags |= term_flags::ALL_OR_NONE,
            "min" => it.terms.minimum_lots = words.number("a quantity")?,
            "post-only" => {
                it.terms.post_only = match words.need("reject or slide")? {
                    "reject" => PostOnly::Reject.code(),
                    "slide" => PostOnly::Slide.code(),
                    other => return Err(format!("`{other}` is neither reject nor slide")),
                }
            }
            "budget" => it.terms.budget_minor = words.amount(self.quote_scale())?,
            other => return Err(format!("`{other}` makes no sense here")),
        }
        Ok(())
    }

    /// Decimal places of the first instrument's quote asset.
    pub(super) fn quote_scale(&self) -> u8 {
        let first = self.names.instruments.values().find(|it| it.instrument == 1);
        let asset = first.and_then(|it| self.names.assets.values().find(|asset| asset.id == it.quote_asset));
        asset.map_or(0, |asset| asset.scale)
    }

    pub(super) fn begin_list(&mut self, verb: &str, words: &mut Words<'_>) -> Result<(), Problem> {
        let list_type = match verb {
            "batch" => ListType::Batch,
            "oco" => ListType::OneCancelsOther,
            "oto" => ListType::OneTriggersOther,
            _ => ListType::Bracket,
        };
        let account = self.names.account(words.need("an account")?)?;
        let id = words
            .next()
            .map(|text| ClientOrderId::from_text(text.as_bytes()).ok_or("a list's id is too long"));
        let id = id.transpose()?;
        self.list = Some(OpenList { list_type: list_type.code(), account, id, orders: Vec::new() });
        Ok(())
    }

    pub(super) fn end_list(&mut self) -> Result<(), Problem> {
        let OpenList { list_type, account, id, orders } = self.list.take().ok_or("no list is open")?;
        let list = NewOrderList { account, count: orders.len() as u32, list_type, reserved: [0; 7] };
        let (kind, head) = match id {
            None => (CommandKind::NewOrderList, list.as_bytes().to_vec()),
            Some(client_list_id) => {
                let head = NewClientOrderList { list, client_list_id, reserved: [0; 4] };
                (CommandKind::NewClientOrderList, head.as_bytes().to_vec())
            }
        };
        let body = [&head, orders.as_bytes()].concat();
        let context = self.context();
        self.play(&RecordBytes::raw(&context, kind.code(), NewOrderList::SCHEMA_VERSION, &body));
        Ok(())
    }

    /// `cancel OWNER ID [on SYMBOL]`
    pub(super) fn cancel(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let account = self.names.account(words.need("an account")?)?;
        let order_id = self.names.order(words.need("an order")?)?;
        let instrument = self.instrument_of(words)?;
        self.send(&CancelOrder { order_id, account, instrument, ..CancelOrder::default() });
        Ok(())
    }

    /// `on SYMBOL`, or the first instrument.
    pub(super) fn instrument_of(&self, words: &mut Words<'_>) -> Result<u32, Problem> {
        if words.takes("on") { Ok(self.names.instrument(words.need("a symbol")?)?.instrument) } else { Ok(1) }
    }

    /// `replace OWNER ID LOTS @ PRICE|market [as NEW-ID] [trigger PRICE] [display LOTS] [told] [on SYMBOL]`
    pub(super) fn replace(&mut self, words: &mut Words<'_>) -> Result<(), Problem> {
        let account = self.names.account(words.need("an account")?)?;
        let order_id = self.names.order(words.need("an order")?)?;
        let quantity_lots = words.number("a quantity")?;
        words.literal("@")?;
        let price_ticks = if words.takes("market") { 0 } else { words.number("a price")? };
        let mut it = ReplaceExtendedOrder {
            replace: ReplaceOrder {
                order_id,
                price_ticks,
                quantity_lots,
                account,
                instrument: 1,
                client_order_id: ClientOrderId::NONE,
                reserved: 0,
            },
            ..ReplaceExtendedOrder::default()
        };
        let mut told = false;
        while let Some(word) = words.next() {
            match word {
                "as" => {
                    let new = words.need("an id")?;
                    it.replace.client_order_id = client_order_id(new)?;
                    self.names.orders.entry(new.to_owned()).or_insert(order_id);
                }
                "on" => it.replace.instrument = self.names.instrument(words.need("a symbol")?)?.instrument,
                "trigger" => it.trigger_price_ticks = words.number("a trigger price")?,
                "told" => told = true,
                "display" => it.display_lots = words.number("a quantity")?,
                other => return Err(format!("`{other}` makes no sense here")),
            }
        }
        if told {
            self.send(&ReplaceOrderTerms(it));
        } else if (it.trigger_price_ticks, it.display_lots) == (0, 0) {
            self.send(&it.replace);
        } else {
            self.send(&it);
        }
        Ok(())
    }
}
