//! Draws for everything beyond plain orders: terms, lists, mass cancels, and what an operator sets.

use machine::Body;
use protocol::{
    AccountId, AdvanceTime, BustTrade, ClientOrderId, CommandKind, FeeTier, MAX_PRICE_TICKS, MassCancel,
    NewClientOrderList, NewExtendedOrder, NewOrder, NewOrderList, OrderTerms, ReplaceExtendedOrder,
    ReplaceOrder, ReplaceOrderTerms, SetAccountOptions, SetAccountStatus, SetFeeSchedule, SetInstrumentRules,
    SetPhase, SetRiskLimits, SetTickTable, SetTimetable, TickRow,
};
use testkit::RecordBytes;
use zerocopy::IntoBytes;

use super::{Commands, DAY_NS, Known};

impl Commands {
    /// Orders of every type, lists, replaces, mass cancels, the time.
    pub fn special_trading(&mut self) -> RecordBytes {
        match self.random.below(100) {
            0..=64 => {
                let order = self.extended_order();
                RecordBytes::new(&self.context(), &order)
            }
            65..=76 => self.list(),
            77..=88 => self.replace_extended(),
            89..=91 => self.mass_cancel(),
            _ => self.advance_time(),
        }
    }

    fn advance_time(&mut self) -> RecordBytes {
        let reserved = u64::from(self.random.one_in(60));
        RecordBytes::new(&self.context(), &AdvanceTime { reserved })
    }

    fn plain_order(&mut self) -> NewOrder {
        NewOrder {
            price_ticks: self.price(),
            quantity_lots: self.quantity(),
            account: self.account(),
            instrument: self.instrument(),
            client_order_id: self.client_order_id(),
            side: 1 + self.random.below(2) as u8,
            order_type: 2,
            time_in_force: self.random.pick(&[0, 1, 1]),
            self_trade_prevention: self.random.pick(&[0, 0, 1, 2, 3, 4]),
        }
    }

    fn extended_order(&mut self) -> NewExtendedOrder {
        let mut order = self.plain_order();
        let mut terms = OrderTerms::default();
        match self.random.below(16) {
            0 => {
                terms.display_lots = self.quantity();
                if self.random.one_in(2) && terms.display_lots > 1 {
                    terms.display_variation_lots =
                        self.random.below(terms.display_lots.min(100) as u64) as u32;
                }
            }
            1 => terms.flags = 1,
            2 => terms.flags = 2,
            3 => {
                terms.minimum_lots = self.random.within(1, order.quantity_lots.clamp(1, 1_000));
                order.time_in_force = self.random.pick(&[0, 1, 3, 4]);
            }
            4 => terms.post_only = self.random.pick(&[1, 2]),
            5 | 6 => self.make_stop(&mut order, &mut terms),
            7 => self.make_trailing(&mut order, &mut terms),
            8 | 9 => {
                order.order_type = 80;
                terms.peg = self.random.pick(&[1, 2, 3]);
                terms.offset = self.random.within(-3, 3);
            }
            10 => (order.order_type, order.price_ticks) = (75, 0),
            11 => self.make_budget(&mut order, &mut terms),
            12 | 13 => order.time_in_force = self.random.pick(&[2, 7]),
            14 => {
                (order.order_type, order.price_ticks, order.time_in_force) =
                    (1, 0, self.random.pick(&[2, 3, 7]))
            }
            _ => {}
        }
        let dated = order.time_in_force < 2 && (terms.trigger == 0 || self.random.one_in(2));
        if dated && self.random.one_in(3) || self.random.one_in(30) {
            order.time_in_force = 6;
            terms.expire_time_ns = self.later(5_000);
        }
        self.spoil(&mut order, &mut terms);
        NewExtendedOrder { order, terms }
    }

    fn make_stop(&mut self, order: &mut NewOrder, terms: &mut OrderTerms) {
        order.order_type = self.random.pick(&[3, 4]);
        if order.order_type == 3 {
            order.price_ticks = 0;
        }
        terms.trigger = self.random.pick(&[1, 2]);
        terms.trigger_price_ticks = self.price();
    }

    fn make_trailing(&mut self, order: &mut NewOrder, terms: &mut OrderTerms) {
        self.make_stop(order, terms);
        terms.trigger_price_ticks = 0;
        terms.trail = self.random.pick(&[1, 2]);
        terms.offset = if terms.trail == 1 { self.random.within(1, 5) } else { self.random.within(1, 600) };
    }

    fn make_budget(&mut self, order: &mut NewOrder, terms: &mut OrderTerms) {
        (order.order_type, order.price_ticks, order.time_in_force) = (1, 0, 3);
        order.side = if self.random.one_in(10) { 2 } else { 1 };
        terms.budget_minor = self.amount();
        if self.random.one_in(2) {
            order.quantity_lots = 0;
        }
    }

    /// Sometimes makes an order nonsense, or combines what may or may not go together.
    fn spoil(&mut self, order: &mut NewOrder, terms: &mut OrderTerms) {
        match self.random.below(120) {
            0 => terms.display_lots = self.quantity(),
            1 => terms.flags ^= self.random.pick(&[1, 2, 3]),
            2 => terms.post_only = self.random.pick(&[1, 2]),
            3 => terms.minimum_lots = self.random.pick(&[-1, 1, i64::MAX]),
            4 => terms.offset = self.random.pick(&[-1, 1, i64::MIN, i64::MAX, MAX_PRICE_TICKS]),
            5 => terms.expire_time_ns = self.random.pick(&[0, 1, u64::MAX]),
            6 => terms.budget_minor = self.random.pick(&[-1, 1, i64::MAX]),
            7 => order.time_in_force = self.random.below(8) as u8,
            8 => order.order_type = self.random.pick(&[1, 2, 3, 4, 75, 80]),
            9 => terms.trigger = self.random.pick(&[0, 1, 2, 3]),
            10 => terms.peg = self.random.pick(&[0, 1, 4]),
            11 => terms.trail = self.random.pick(&[0, 1, 3]),
            12 => terms.reserved[3] = 1,
            13 => terms.flags = 4,
            14 => terms.display_variation_lots = self.random.pick(&[1, 9, u32::MAX]),
            15 => terms.trigger_price_ticks = self.price(),
            _ => {}
        }
    }

    /// A time that comes, soon as a rule.
    fn later(&mut self, spread_ns: u64) -> u64 {
        self.now_ns + 1 + self.random.below(spread_ns)
    }

    fn list(&mut self) -> RecordBytes {
        let list_type = self.random.below(4) as u8;
        let (account, instrument) = (self.account(), self.instrument());
        let mut orders = match list_type {
            0 => (0..self.random.within(1, 4)).map(|_| self.extended_order()).collect(),
            1 => self.pair(),
            2 => {
                let pair = self.pair();
                vec![self.first_of_list(), if self.random.one_in(2) { pair[0] } else { pair[1] }]
            }
            _ => {
                let first = self.first_of_list();
                [vec![first], self.pair()].concat()
            }
        };
        if list_type > 1 && self.random.one_in(2) {
            // More than anyone can pay for, or as much as any position may be: which only shows when it is to become active.
            let lots = if self.random.one_in(2) { 1 << 30 } else { 3 * self.lots };
            orders.iter_mut().skip(1).for_each(|order| order.order.quantity_lots = lots);
        }
        for order in &mut orders {
            order.order.account = account;
            if list_type != 0 {
                order.order.instrument = instrument;
            }
        }
        if self.random.one_in(15) {
            let odd = self.extended_order();
            let last = orders.len() - 1;
            orders[self.random.below(last as u64 + 1) as usize] = odd;
        }
        let mut head = NewOrderList { account, count: orders.len() as u32, list_type, reserved: [0; 7] };
        match self.random.below(80) {
            0 => head.count += 1,
            1 => head.list_type = 9,
            2 => head.reserved[0] = 1,
            3 => head.account = self.account(),
            4 => {
                orders = orders.repeat(20);
                head.count = orders.len() as u32;
            }
            // More than the fills of a command suffice for.
            5..=9 if list_type == 0 => {
                orders = orders.repeat(8);
                orders.iter_mut().for_each(|order| order.order.client_order_id = ClientOrderId::NONE);
                head.count = orders.len() as u32;
            }
            _ => {}
        }
        let (mut kind, mut body) = (CommandKind::NewOrderList, head.as_bytes().to_vec());
        if self.random.one_in(2) {
            let client_list_id = if self.random.one_in(30) { ClientOrderId::NONE } else { self.id_of_list() };
            let reserved = [u8::from(self.random.one_in(60)), 0, 0, 0];
            let head = NewClientOrderList { list: head, client_list_id, reserved };
            (kind, body) = (CommandKind::NewClientOrderList, head.as_bytes().to_vec());
        }
        orders.iter().for_each(|order| body.extend_from_slice(order.as_bytes()));
        RecordBytes::raw(&self.context(), kind.code(), 1, &body)
    }

    fn id_of_list(&mut self) -> ClientOrderId {
        let text = format!("list-{}", self.random.below(100));
        ClientOrderId::from_text(text.as_bytes()).unwrap()
    }

    fn first_of_list(&mut self) -> NewExtendedOrder {
        let mut order = self.plain_order();
        if self.random.one_in(5) {
            (order.order_type, order.price_ticks, order.time_in_force) = (1, 0, self.random.pick(&[3, 4]));
        } else {
            order.time_in_force = self.random.pick(&[0, 1, 1, 3, 4]);
        }
        NewExtendedOrder { order, terms: OrderTerms::default() }
    }

    fn pair(&mut self) -> Vec<NewExtendedOrder> {
        let mut limit = NewExtendedOrder { order: self.plain_order(), terms: OrderTerms::default() };
        let mut stop = limit;
        stop.order.client_order_id = self.client_order_id();
        if self.random.one_in(3) {
            self.make_trailing(&mut stop.order, &mut stop.terms);
        } else {
            self.make_stop(&mut stop.order, &mut stop.terms);
        }
        if stop.order.price_ticks != 0 {
            stop.order.price_ticks = self.price();
        }
        if self.random.one_in(6) {
            (limit.order.time_in_force, limit.terms.expire_time_ns) = (6, self.later(5_000));
        }
        match self.random.below(10) {
            0 => limit.terms.minimum_lots = 1 + self.random.below(3) as i64,
            1 => limit.terms.display_lots = self.quantity(),
            _ => {}
        }
        vec![limit, stop]
    }

    fn replace_extended(&mut self) -> RecordBytes {
        let Known { order_id, account, instrument, price_ticks, quantity_lots } = self.target();
        let keeps_price = self.random.one_in(2);
        let replace = ReplaceOrder {
            order_id,
            price_ticks: match self.random.below(5) {
                0 => 0,
                _ if keeps_price => price_ticks,
                _ => self.price(),
            },
            quantity_lots: match self.random.below(3) {
                0 => quantity_lots,
                1 => self.random.within(1, quantity_lots.clamp(1, self.lots)),
                _ => self.quantity(),
            },
            account,
            instrument,
            client_order_id: self.client_order_id(),
            reserved: self.reserved(),
        };
        let trigger_price_ticks = if self.random.one_in(3) { self.price() } else { 0 };
        let display_lots = if self.random.one_in(4) { self.quantity() } else { 0 };
        let command = ReplaceExtendedOrder { replace, trigger_price_ticks, display_lots };
        if command.replace.price_ticks % 3 != 0 {
            return RecordBytes::new(&self.context(), &ReplaceOrderTerms(command));
        }
        RecordBytes::new(&self.context(), &command)
    }

    fn mass_cancel(&mut self) -> RecordBytes {
        let mut command = MassCancel {
            client_order_id: self.client_order_id(),
            reason: self.random.pick(&[12, 13, 14]),
            ..MassCancel::default()
        };
        if self.random.one_in(2) {
            command.account = self.account();
        }
        if self.random.one_in(2) {
            command.instrument = self.instrument();
        }
        if self.random.one_in(3) {
            command.side = 1 + self.random.below(2) as u8;
        }
        if self.random.one_in(3) {
            command.of_session = 1;
            (command.gateway, command.session) = (self.random.below(3) as u16, self.random.below(9) as u16);
        }
        match self.random.below(40) {
            0 => command.reason = 1,
            1 => command.of_session = 2,
            2 => command.session = 1,
            _ => {}
        }
        RecordBytes::new(&self.context(), &command)
    }

    /// More pegged, trailing and all-or-none orders than an instrument takes, then more mass cancels than there may be
    /// at work, and the time until they are through. For an exchange with slots that one command cannot sweep.
    pub fn crowd(&mut self) -> Vec<RecordBytes> {
        let buy = |order_type, price_ticks| NewOrder {
            price_ticks,
            quantity_lots: 1,
            account: AccountId(2),
            instrument: 1,
            side: 1,
            order_type,
            time_in_force: 1,
            ..NewOrder::default()
        };
        let plain = NewExtendedOrder { order: buy(2, 90), terms: OrderTerms::default() };
        let pegged = OrderTerms { peg: 1, offset: -1, ..OrderTerms::default() };
        let all_or_none = OrderTerms { flags: 2, ..OrderTerms::default() };
        let trailing = OrderTerms { trigger: 2, trail: 1, offset: 9, ..OrderTerms::default() };
        let ask = NewExtendedOrder { order: NewOrder { side: 2, ..buy(2, 110) }, terms: plain.terms };
        let many = |order: NewOrder, terms, times| vec![NewExtendedOrder { order, terms }; times];
        let mut orders = vec![plain, ask];
        orders.extend(many(buy(80, 95), pegged, 66));
        orders.extend(many(buy(2, 80), all_or_none, 66));
        orders.extend(many(buy(4, 130), trailing, 258));
        let mut records: Vec<_> =
            orders.iter().map(|order| RecordBytes::new(&self.context(), order)).collect();
        let filter = MassCancel { account: AccountId(3), reason: 12, ..MassCancel::default() };
        records.extend((0..90).map(|_| RecordBytes::new(&self.context(), &filter)));
        records.extend((0..450).map(|_| self.advance_time()));
        records
    }

    /// What an operator sets.
    pub fn setting(&mut self) -> RecordBytes {
        match self.random.below(100) {
            0..=7 => self.account_status(),
            8..=19 => self.account_options(),
            20..=31 => self.risk_limits(),
            32..=51 => self.rules(),
            52..=56 => self.tick_table(),
            57..=66 => self.fee_schedule(),
            67..=72 => self.timetable(),
            73..=83 => self.phase(),
            _ => self.bust(),
        }
    }

    fn record<T: Body>(&mut self, command: &T) -> RecordBytes {
        RecordBytes::new(&self.context(), command)
    }

    fn account_status(&mut self) -> RecordBytes {
        let status = u8::from(self.random.one_in(3));
        let command = SetAccountStatus {
            account: self.account(),
            status: if self.random.one_in(30) { 2 } else { status },
            cancel_orders: if status == 1 {
                self.random.below(2) as u8
            } else {
                u8::from(self.random.one_in(20))
            },
            reserved: [u8::from(self.random.one_in(30)), 0],
        };
        self.record(&command)
    }

    fn account_options(&mut self) -> RecordBytes {
        let max_orders = if self.random.one_in(2) { self.random.below(4) as u32 } else { 0 };
        let command = SetAccountOptions {
            interval_ns: if max_orders == 0 { 0 } else { 1 + self.random.below(20_000) },
            account: self.account(),
            max_orders: if self.random.one_in(20) { 1 } else { max_orders },
            self_trade_prevention: self.random.pick(&[0, 0, 1, 2, 3, 4, 4]),
            pays_in_fee_asset: self.random.below(2) as u8,
            reserved: [0; 6],
        };
        self.record(&command)
    }

    fn risk_limits(&mut self) -> RecordBytes {
        let mut command = SetRiskLimits {
            account: if self.random.one_in(3) { AccountId(0) } else { self.account() },
            instrument: self.instrument(),
            ..SetRiskLimits::default()
        };
        match self.random.below(9) {
            0 => command.max_order_lots = self.quantity(),
            1 => command.max_order_notional_minor = self.amount(),
            2 | 5 => command.max_position_lots = self.random.within(1, 3 * self.lots),
            3 => command.max_open_orders = 1 + self.random.below(5) as u32,
            4 => command.price_collar_bps = self.random.pick(&[1, 100, 500, 10_000, 10_001]),
            _ => {}
        }
        self.record(&command)
    }

    fn rules(&mut self) -> RecordBytes {
        let mut command =
            SetInstrumentRules { instrument: self.instrument(), ..SetInstrumentRules::default() };
        if self.random.below(4) > 0 {
            command.collar_bps = self.random.pick(&[100, 300, 10_000]);
            command.reference_price_ticks = self.random.pick(&[0, 100, 100, 97]);
        }
        if self.random.one_in(2) {
            command.volatility_auction_ns = 1 + self.random.below(3_000);
            command.band_action = self.random.pick(&[0, 1]);
            command.static_band_bps = self.random.pick(&[0, 300, 500]);
            command.dynamic_band_bps = self.random.pick(&[0, 200, 400]);
        }
        if self.random.one_in(2) {
            command.fee_asset = self.asset();
            command.fee_asset_rate_ppm = self.random.pick(&[1, 500_000, 2_000_000]);
        }
        command.seed = self.random.bits();
        command.random_end_ns = self.random.pick(&[0, 0, 500]);
        match self.random.below(24) {
            0 => command.min_quantity_lots = self.random.within(1, 3),
            1 => command.max_quantity_lots = self.quantity(),
            2 => command.round_lot_lots = self.random.within(1, 3),
            3 => command.min_notional_minor = self.random.within(1, 1_000),
            4 => command.max_notional_minor = self.amount(),
            5 => command.static_band_bps = 10_001,
            6 => command.random_end_ns = u64::MAX,
            7 => command.fee_asset_rate_ppm = 7,
            8 => command.reserved[6] = 1,
            9 => command.band_action = 2,
            10 => command.volatility_auction_ns = 0,
            _ => {}
        }
        self.record(&command)
    }

    fn tick_table(&mut self) -> RecordBytes {
        let mut command = SetTickTable { instrument: self.instrument(), ..SetTickTable::default() };
        if self.random.one_in(2) {
            let row = |from_price_ticks, tick_ticks| TickRow { from_price_ticks, tick_ticks };
            (command.rows[0], command.count) = (row(1, self.random.within(1, 3)), 1);
            if self.random.one_in(2) {
                (command.rows[1], command.count) = (row(98 + self.random.within(-2, 4), 2), 2);
            }
        }
        match self.random.below(12) {
            0 => command.count = self.random.pick(&[1, 3, 9]),
            1 => command.rows[0].tick_ticks = self.random.pick(&[0, -1, 1 << 21]),
            _ => {}
        }
        self.record(&command)
    }

    fn fee_schedule(&mut self) -> RecordBytes {
        let mut command = SetFeeSchedule { instrument: self.instrument(), ..SetFeeSchedule::default() };
        command.count = self.random.below(3) as u32;
        let taker = self.random.pick(&[0, 1, 100, 2_500]);
        for tier in 0..command.count as usize {
            command.tiers[tier] = FeeTier {
                min_volume_minor: tier as i64 * self.random.within(1, 200_000),
                maker_fee_ppm: self.random.pick(&[0, 1, 100, -taker, -1]),
                taker_fee_ppm: taker,
            };
        }
        if self.random.one_in(12) {
            command.count = self.random.pick(&[1, 2, 5]);
        }
        self.record(&command)
    }

    fn timetable(&mut self) -> RecordBytes {
        let mut times = [0; 5];
        let mut at = self.now_ns.saturating_sub(self.random.below(2_000));
        for time in &mut times {
            at += 1 + self.random.below(6_000);
            *time = if self.random.one_in(3) { 0 } else { at };
        }
        let [pre_open_ns, opening_auction_ns, continuous_ns, closing_auction_ns, closed_ns] = times;
        let command = SetTimetable {
            pre_open_ns,
            opening_auction_ns,
            continuous_ns: if self.random.one_in(20) { 1 } else { continuous_ns },
            closing_auction_ns,
            closed_ns,
            repeat_ns: self.random.pick(&[0, 40_000, DAY_NS, 5, 1 << 62]),
            instrument: self.instrument(),
            reserved: self.reserved(),
        };
        self.record(&command)
    }

    fn phase(&mut self) -> RecordBytes {
        let command = SetPhase {
            until_ns: match self.random.below(5) {
                0 | 1 => self.later(3_000),
                2 => self.random.pick(&[0, 1]),
                _ => 0,
            },
            instrument: self.instrument(),
            phase: self.random.pick(&[0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7]),
            reserved: [0, 0, u8::from(self.random.one_in(40))],
        };
        self.record(&command)
    }

    fn bust(&mut self) -> RecordBytes {
        let recent = self.last_trade_id.saturating_sub(self.random.below(8));
        let trade_id = if self.random.one_in(10) { self.random.pick(&[0, u64::MAX, 1]) } else { recent };
        let command = BustTrade { trade_id, reference: self.random.bits() };
        self.record(&command)
    }
}
