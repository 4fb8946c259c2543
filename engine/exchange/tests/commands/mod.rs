//! Random commands, valid and invalid, for exchanges with small tables.
#![allow(dead_code)] // Each test that includes this file uses a part of it.

mod special;

use machine::{Context, Source};
use protocol::{
    AccountId, CancelOrder, ClientOrderId, CreateAccount, CreateAsset, CreateInstrument, Deposit, EndDay,
    Limits, MAX_AMOUNT_MINOR, MAX_PRICE_TICKS, MAX_QUANTITY_LOTS, MAX_SEQUENCE, Name, NewOrder, OrderId,
    ReplaceOrder, Withdraw,
};
use testkit::{Random, RecordBytes};
use zerocopy::IntoBytes;

const DAY_NS: u64 = 86_400_000_000_000;

/// Numbers at which a sum or a product overflows, or a range ends.
const EXTREMES: [i64; 12] = [
    0,
    1,
    -1,
    i64::MIN,
    i64::MAX,
    MAX_PRICE_TICKS,
    MAX_PRICE_TICKS + 1,
    1 << 32,
    u32::MAX as i64,
    MAX_AMOUNT_MINOR,
    MAX_AMOUNT_MINOR + 1,
    -MAX_PRICE_TICKS,
];

/// What a generated order was, so that later commands can name it. It may have ended since.
#[derive(Clone, Copy)]
pub struct Known {
    pub order_id: OrderId,
    pub account: AccountId,
    pub instrument: u32,
    pub price_ticks: i64,
    pub quantity_lots: i64,
}

/// Draws commands. All follow from the seed and from the orders it is told of.
pub struct Commands {
    pub random: Random,
    pub limits: Limits,
    pub known: Vec<Known>,
    sequence: u64,
    now_ns: u64,
    /// Highest trade seen.
    pub last_trade_id: u64,
    /// Prices are drawn around this one.
    centre_ticks: i64,
    /// How many accounts and instruments there are to draw from.
    accounts: u32,
    instruments: u32,
    /// Largest ordinary quantity.
    lots: i64,
}

impl Commands {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let limits = Limits {
            assets: 4,
            instruments: 4,
            accounts: 8,
            balances: random.within(3, 30) as u32,
            orders: random.within(2, 60) as u32,
            fills_per_command: random.pick(&[1, 2, 3, 5, 9, 9, 30, 200]),
            positions: random.within(2, 20) as u32,
            recent_client_ids: random.pick(&[0, 1, 5, 100]),
        };
        let (accounts, instruments) = (random.within(1, 6) as u32, random.within(1, 3) as u32);
        let lots = random.pick(&[3, 20, 1_000]);
        Self {
            random,
            limits,
            known: Vec::new(),
            sequence: 0,
            now_ns: 20_000 * DAY_NS,
            last_trade_id: 0,
            centre_ticks: 100,
            accounts,
            instruments,
            lots,
        }
    }

    /// Big tables and nothing but well-funded orders, for measuring.
    pub fn calm(seed: u64) -> Self {
        let limits = Limits {
            balances: 100,
            orders: 2_000,
            fills_per_command: 64,
            recent_client_ids: 8,
            ..Limits::default()
        };
        Self { limits, accounts: 6, instruments: 3, lots: 20, ..Self::new(seed) }
    }

    /// The same with more slots than a few commands can sweep.
    pub fn wide(seed: u64) -> Self {
        let calm = Self::calm(seed);
        Self { limits: Limits { orders: 300_000, ..calm.limits }, ..calm }
    }

    fn context(&mut self) -> Context {
        self.sequence += 1 + self.random.below(2);
        let source = Source { gateway: self.random.below(3) as u16, session: self.random.below(9) as u16 };
        self.now_ns += match self.random.below(100) {
            0 => self.random.pick(&[DAY_NS, DAY_NS, DAY_NS, 29 * DAY_NS, 30 * DAY_NS, 31 * DAY_NS]),
            1..=3 => self.random.below(1_000_000),
            4..=40 => 0,
            _ => self.random.below(1_000),
        };
        Context { sequence: self.sequence, timestamp_ns: self.now_ns, source }
    }

    fn asset(&mut self) -> u32 {
        if self.random.one_in(40) { self.random.below(7) as u32 } else { 1 + self.random.below(3) as u32 }
    }

    fn account(&mut self) -> AccountId {
        if self.random.one_in(60) {
            return AccountId(self.random.pick(&[0, 1, 8, 9, u32::MAX]));
        }
        AccountId(2 + self.random.below(u64::from(self.accounts)) as u32)
    }

    fn instrument(&mut self) -> u32 {
        if self.random.one_in(60) {
            return self.random.pick(&[0, 4, 5, u32::MAX]);
        }
        1 + self.random.below(u64::from(self.instruments)) as u32
    }

    fn name(&mut self) -> Name {
        if self.random.one_in(30) { Name([0xFF; 16]) } else { Name::from_text("N").expect("a good name") }
    }

    fn client_order_id(&mut self) -> ClientOrderId {
        match self.random.below(30) {
            0..=9 => ClientOrderId::NONE,
            10 => {
                let mut bad = ClientOrderId::from_text(b"bad").expect("short");
                bad.0[20] = b'x';
                bad
            }
            _ => {
                let text = format!("client-order-{}", self.random.below(40));
                ClientOrderId::from_text(text.as_bytes()).expect("short")
            }
        }
    }

    fn price(&mut self) -> i64 {
        if self.random.one_in(80) {
            return self.random.pick(&[0, -1, MAX_PRICE_TICKS, MAX_PRICE_TICKS + 1, i64::MIN, i64::MAX, 1]);
        }
        self.centre_ticks + self.random.within(-6, 6)
    }

    fn quantity(&mut self) -> i64 {
        if self.random.one_in(80) {
            return self.random.pick(&[0, -1, MAX_QUANTITY_LOTS, MAX_QUANTITY_LOTS + 1, i64::MIN, i64::MAX]);
        }
        self.random.within(1, self.lots)
    }

    fn amount(&mut self) -> i64 {
        match self.random.below(40) {
            0 => self.random.pick(&[0, -1, i64::MIN, i64::MAX, MAX_AMOUNT_MINOR, MAX_AMOUNT_MINOR + 1]),
            1 => self.random.within(1, MAX_AMOUNT_MINOR),
            2..=10 => self.random.within(1, 2_000),
            _ => self.random.within(1, 3_000_000),
        }
    }

    fn reserved(&mut self) -> u32 {
        u32::from(self.random.one_in(80))
    }

    /// The commands that set the stage: assets, instruments that share them, accounts.
    pub fn opening(&mut self) -> Vec<RecordBytes> {
        let mut commands = Vec::new();
        for asset in 1..=3 {
            let name = Name::from_text("ASSET").expect("a good name");
            let create = CreateAsset { asset, scale: 2, reserved: [0; 3], name };
            commands.push(RecordBytes::new(&self.context(), &create));
        }
        for account in 2..2 + self.accounts {
            let name = Name::from_text("OWNER").expect("a good name");
            let create = CreateAccount { account: AccountId(account), reserved: 0, name };
            commands.push(RecordBytes::new(&self.context(), &create));
        }
        let pairs = [(1, 2), (3, 2), (1, 3)];
        for (instrument, (base_asset, quote_asset)) in (1..=self.instruments).zip(pairs) {
            let create = CreateInstrument { instrument, base_asset, quote_asset, ..self.instrument_terms() };
            commands.push(RecordBytes::new(&self.context(), &create));
        }
        commands
    }

    /// Deposits that let every account trade.
    pub fn funding(&mut self) -> Vec<RecordBytes> {
        let pairs = (2..2 + self.accounts).flat_map(|account| (1..=3).map(move |asset| (account, asset)));
        let deposits = pairs.map(|(account, asset)| {
            let account = AccountId(account);
            RecordBytes::new(
                &self.context(),
                &Deposit { amount_minor: 1 << 40, reference: 1, account, asset },
            )
        });
        deposits.collect()
    }

    fn instrument_terms(&mut self) -> CreateInstrument {
        let fees = [0, 0, 1, 100, 2_500, 100_000];
        CreateInstrument {
            quote_minor_per_tick_lot: self.random.pick(&[1, 3, 100]),
            base_minor_per_lot: self.random.pick(&[1, 10, 1_000]),
            reference_price_ticks: self.random.pick(&[0, 100, 100_000]),
            maker_fee_ppm: self.random.pick(&fees),
            taker_fee_ppm: self.random.pick(&fees),
            // Small ones as a rule: checking a ladder after every command takes as long as it is large.
            ladder_levels: if self.random.one_in(50) { 0 } else { self.random.pick(&[64, 64, 128]) },
            name: Name::from_text("PAIR").expect("a good name"),
            ..CreateInstrument::default()
        }
    }

    /// The next command of a wild stream; sometimes one that has been damaged on its way.
    pub fn draw(&mut self) -> RecordBytes {
        let command = self.draw_sound();
        if self.random.one_in(50) { self.damaged(&command) } else { command }
    }

    fn draw_sound(&mut self) -> RecordBytes {
        match self.random.below(200) {
            0..=3 => self.administration(),
            4..=5 => self.garbage(),
            6..=7 => {
                let instrument = self.instrument();
                let end_day = EndDay { instrument, reserved: self.reserved() };
                RecordBytes::new(&self.context(), &end_day)
            }
            8..=37 => self.money(),
            38..=57 => self.setting(),
            58..=117 => self.special_trading(),
            _ => self.trading(),
        }
    }

    /// The next command of a stream without administration and garbage.
    pub fn trading(&mut self) -> RecordBytes {
        match self.random.below(100) {
            0..=59 => self.new_order(),
            60..=74 => self.cancel(),
            _ => self.replace(),
        }
    }

    /// A command beyond the last sequence.
    pub fn exhausted(&mut self) -> RecordBytes {
        self.sequence = MAX_SEQUENCE;
        self.trading()
    }

    fn new_order(&mut self) -> RecordBytes {
        let is_market = self.random.one_in(8);
        let (odd_price, odd_time) = (self.random.one_in(40), self.random.one_in(40));
        let mut order = NewOrder {
            price_ticks: if is_market && !odd_price { 0 } else { self.price() },
            quantity_lots: self.quantity(),
            account: self.account(),
            instrument: self.instrument(),
            client_order_id: self.client_order_id(),
            side: 1 + self.random.below(2) as u8,
            order_type: if is_market { 1 } else { 2 },
            time_in_force: if is_market && !odd_time {
                self.random.pick(&[3, 4])
            } else {
                self.random.pick(&[0, 0, 1, 1, 1, 3, 4])
            },
            self_trade_prevention: self.random.below(5) as u8,
        };
        match self.random.below(400) {
            0 => order.side = self.random.pick(&[0, 3, 255]),
            1 => order.order_type = self.random.pick(&[0, 255]),
            2 => order.time_in_force = self.random.pick(&[5, 255]),
            3 => order.self_trade_prevention = self.random.pick(&[255]),
            4..=9 => order.quantity_lots = MAX_QUANTITY_LOTS,
            10..=13 => (order.price_ticks, order.quantity_lots) = (MAX_PRICE_TICKS, MAX_QUANTITY_LOTS),
            _ => {}
        }
        RecordBytes::new(&self.context(), &order)
    }

    fn target(&mut self) -> Known {
        let none = Known {
            order_id: OrderId(self.random.pick(&[0, 1, 1 << 24, u64::MAX, (1 << 24) | 0xFF_FFFF])),
            account: self.account(),
            instrument: self.instrument(),
            price_ticks: self.price(),
            quantity_lots: 1,
        };
        if self.known.is_empty() || self.random.one_in(30) {
            return none;
        }
        let recent = self.known.len().saturating_sub(40);
        let mut known = self.random.pick(&self.known[recent..]);
        if self.random.one_in(40) {
            known.account = none.account;
        }
        if self.random.one_in(40) {
            known.instrument = none.instrument;
        }
        known
    }

    fn cancel(&mut self) -> RecordBytes {
        let Known { order_id, account, instrument, .. } = self.target();
        let client_order_id = self.client_order_id();
        let cancel =
            CancelOrder { order_id, account, instrument, client_order_id, reserved: self.reserved() };
        RecordBytes::new(&self.context(), &cancel)
    }

    fn replace(&mut self) -> RecordBytes {
        let Known { order_id, account, instrument, price_ticks, quantity_lots } = self.target();
        let keeps_price = self.random.one_in(3);
        let replace = ReplaceOrder {
            order_id,
            price_ticks: if keeps_price { price_ticks } else { self.price() },
            quantity_lots: match self.random.below(4) {
                0 => quantity_lots,
                1 => self.random.within(1, quantity_lots.clamp(1, self.lots)),
                _ => self.quantity(),
            },
            account,
            instrument,
            client_order_id: self.client_order_id(),
            reserved: self.reserved(),
        };
        RecordBytes::new(&self.context(), &replace)
    }

    fn money(&mut self) -> RecordBytes {
        let (amount_minor, account, asset) = (self.amount(), self.account(), self.asset());
        let reference = self.random.bits();
        if self.random.below(3) > 0 {
            RecordBytes::new(&self.context(), &Deposit { amount_minor, reference, account, asset })
        } else {
            RecordBytes::new(&self.context(), &Withdraw { amount_minor, reference, account, asset })
        }
    }

    fn administration(&mut self) -> RecordBytes {
        let name = self.name();
        match self.random.below(3) {
            0 => {
                let scale = self.random.pick(&[0, 2, 18, 19]);
                let reserved = [0, self.random.one_in(9).into(), 0];
                let create = CreateAsset { asset: self.random.below(7) as u32, scale, reserved, name };
                RecordBytes::new(&self.context(), &create)
            }
            1 => {
                let account = AccountId(self.random.below(11) as u32);
                let create = CreateAccount { account, reserved: self.reserved(), name };
                RecordBytes::new(&self.context(), &create)
            }
            _ => {
                let mut create = CreateInstrument { name, ..self.instrument_terms() };
                create.instrument = self.random.below(6) as u32;
                (create.base_asset, create.quote_asset) = (self.asset(), self.asset());
                match self.random.below(12) {
                    0 => create.quote_minor_per_tick_lot = self.random.pick(&[0, -1, (1 << 40) + 1]),
                    1 => create.base_minor_per_lot = self.random.pick(&[0, i64::MIN, (1 << 40) + 1]),
                    2 => create.reference_price_ticks = self.random.pick(&[-1, MAX_PRICE_TICKS + 1]),
                    3 => create.maker_fee_ppm = 100_001,
                    4 => create.taker_fee_ppm = u32::MAX,
                    5 => create.ladder_levels = self.random.pick(&[1, 63, 65, 262_144, u32::MAX]),
                    _ => {}
                }
                RecordBytes::new(&self.context(), &create)
            }
        }
    }

    /// A command with a few of its bytes, or numbers of eight bytes, changed, or of another length.
    pub fn damaged(&mut self, command: &RecordBytes) -> RecordBytes {
        let record = command.record();
        let (header, mut body) = (*record.header(), record.body().to_vec());
        if body.is_empty() {
            return command.clone();
        }
        for _ in 0..self.random.within(1, 3) {
            let at = self.random.below(body.len() as u64) as usize;
            match self.random.below(4) {
                0 => body[at] ^= 1 << self.random.below(8),
                1 => body[at] = self.random.pick(&[0, 1, 2, 255]),
                2 => body[at] = self.random.bits() as u8,
                _ => {
                    let word = self.random.pick(&EXTREMES).to_le_bytes();
                    body.iter_mut().skip(at / 8 * 8).zip(word).for_each(|(byte, new)| *byte = new);
                }
            }
        }
        match self.random.below(30) {
            0 => body.truncate(body.len() - 8),
            1 => body.extend([0; 8]),
            _ => {}
        }
        RecordBytes::raw(&self.context(), header.kind, header.schema_version, &body)
    }

    /// Records of unknown kinds, versions or sizes, and known ones with random bytes in them.
    fn garbage(&mut self) -> RecordBytes {
        let kind = self.random.pick(&[0, 0x8000, u16::MAX]);
        let kind = if self.random.one_in(5) { kind } else { self.random.within(1, 24) as u16 };
        let version = self.random.pick(&[0, 1, 1, 1, 2, 255]);
        let length = self.random.pick(&[0, 8, 16, 24, 40, 56, 64, 72, 63, 88, 104, 128, 136, 144, 200]);
        let words: Vec<u64> = (0..25).map(|_| self.random.bits()).collect();
        RecordBytes::raw(&self.context(), kind, version, &words.as_bytes()[..length])
    }
}
