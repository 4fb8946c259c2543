//! The orders in a checkpoint.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::accounts::{Accounts, Holdings};
use super::in_sequence::InSequence;
use super::report::Stamp;
use super::{Asked, Asset, Catalog, Instrument, Lists, Order, OrderList, Orders, Special};
use crate::rebuild::{Saved, mix, saved};
use protocol::{
    AccountId, AmountMinor, AssetId, ClientOrderId, CreateInstrument, InstrumentId, MassCancelAccepted,
    OrderId, OrderTerms, PriceTicks, QuantityLots,
};
use rust_decimal::Decimal;
use zerocopy::{FromBytes as _, IntoBytes as _};

saved!(Asset { name: String, scale: u8 });
saved!(Instrument {
    id: InstrumentId,
    symbol: String,
    tick: Decimal,
    lot: Decimal,
    quote_name: String,
    quote_scale: u8,
});
saved!(Stamp { sequence: u64, timestamp_ns: u64, index: u32 });
saved!(Order {
    order_id: OrderId,
    session: u16,
    client_order_id: ClientOrderId,
    account: AccountId,
    instrument: InstrumentId,
    price_ticks: PriceTicks,
    quantity_lots: QuantityLots,
    leaves_lots: QuantityLots,
    cumulative_lots: QuantityLots,
    tick_lots: i128,
    side: u8,
    order_type: u8,
    time_in_force: u8,
    status: u8,
    is_special: bool,
    is_listed: bool,
});
saved!(Special {
    terms: OrderTerms,
    is_iceberg: bool,
    pegged_price_ticks: PriceTicks,
    list_order_id: OrderId,
    list_type: u8,
    waits: bool,
});
saved!(OrderList {
    session: u16,
    id: ClientOrderId,
    orders: Vec<(ClientOrderId, OrderId)>,
    noted: u32,
    live: u32,
});
saved!(Holdings { balances: Vec<(AssetId, AmountMinor)>, positions: Vec<(InstrumentId, QuantityLots)> });
saved!(Accounts { instruments: Vec<Option<CreateInstrument>>, holdings: Vec<Holdings> });
// In the session store, beside a report that needs it.
saved!(Asked {
    original_client_order_id: ClientOrderId,
    price_ticks: PriceTicks,
    quantity_lots: QuantityLots,
    side: u8,
    order_type: u8,
    time_in_force: u8,
});

/// Records of the protocol are written as they stand in an event; their layout is the journal's.
macro_rules! records {
    ($($record:ident),+) => {$(
        impl Saved for $record {
            const LAYOUT: u64 = mix(size_of::<Self>() as u64, stringify!($record));

            fn save(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.as_bytes());
            }

            fn load(input: &mut &[u8]) -> Option<Self> {
                let (record, rest) = Self::read_from_prefix(input).ok()?;
                *input = rest;
                Some(record)
            }
        }
    )+};
}
records!(OrderTerms, CreateInstrument, MassCancelAccepted);

type Assets = HashMap<AssetId, Asset>;
type Instruments = Vec<Option<Instrument>>;
type LiveAndDone = HashMap<OrderId, Order, InSequence>;
type Specials = HashMap<OrderId, Special, InSequence>;
type DoneIds = VecDeque<OrderId>;
type Ids = Vec<((u16, ClientOrderId), OrderId)>;
type Trades = VecDeque<(u64, Stamp)>;
type OrderLists = BTreeMap<u64, OrderList>;
type FeePayers = Vec<AccountId>;
type NewestLists = VecDeque<u64>;
type MassCancels = Vec<((u64, u16), MassCancelAccepted)>;

impl Catalog {
    fn save(&self, out: &mut Vec<u8>) {
        // `by_symbol` follows from the instruments.
        let Self { assets, instruments, by_symbol: _ } = self;
        assets.save(out);
        instruments.save(out);
    }

    fn load(input: &mut &[u8]) -> Option<Self> {
        let (assets, instruments) = (Assets::load(input)?, Instruments::load(input)?);
        let mut catalog = Self { assets, instruments, ..Self::default() };
        let symbols = catalog.instruments.iter().flatten().map(|it| (it.symbol.as_bytes().to_vec(), it.id));
        catalog.by_symbol = symbols.collect();
        Some(catalog)
    }
}

impl Lists {
    fn save(&self, out: &mut Vec<u8>) {
        // `by_id` follows from the lists; a checkpoint stands between two commands.
        let Self { by_sequence, by_id: _, newest, current: _ } = self;
        by_sequence.save(out);
        newest.save(out);
    }

    fn load(input: &mut &[u8]) -> Option<Self> {
        let (by_sequence, newest) = (OrderLists::load(input)?, NewestLists::load(input)?);
        let ids = by_sequence.iter().map(|(&sequence, list)| ((list.session, list.id), sequence));
        Some(Self { by_id: ids.collect(), by_sequence, newest, current: None })
    }
}

impl Orders {
    /// Tells one layout of a checkpoint from another.
    pub(crate) const LAYOUT: u64 = {
        let parts = [
            Assets::LAYOUT,
            Instruments::LAYOUT,
            Accounts::LAYOUT,
            LiveAndDone::LAYOUT,
            Specials::LAYOUT,
            DoneIds::LAYOUT,
            Ids::LAYOUT,
            Trades::LAYOUT,
            MassCancels::LAYOUT,
            OrderLists::LAYOUT,
            NewestLists::LAYOUT,
            FeePayers::LAYOUT,
        ];
        let (mut layout, mut at) = (mix(0, "Orders"), 0);
        while at < parts.len() {
            layout = layout.rotate_left(1) ^ parts[at];
            at += 1;
        }
        layout
    };

    /// Appends all that events have said, the same bytes for the same orders.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        // Gateway, accounts and limits are configured, and stand in the checkpoint's header; who is live stands in the orders.
        let Self {
            gateway: _,
            catalog,
            session_of: _,
            accounts_of: _,
            accounts,
            by_id,
            live: _,
            special,
            done,
            client_ids,
            trades,
            mass_cancels,
            lists,
            fee_payers,
            // A checkpoint stands between two commands.
            held: _,
            told_terms: _,
            done_limit: _,
        } = self;
        catalog.save(out);
        accounts.save(out);
        by_id.save(out);
        special.save(out);
        done.save(out);
        (client_ids.len() as u64).save(out);
        client_ids.iter().for_each(|it| it.save(out));
        trades.save(out);
        mass_cancels.save(out);
        lists.save(out);
        fee_payers.save(out);
    }

    /// Takes what [`Orders::save`] has written; `None` if it is something else.
    pub(crate) fn load(
        input: &mut &[u8],
        gateway: u16,
        accounts: &[AccountId],
        done_limit: usize,
    ) -> Option<Self> {
        let mut orders = Self::new(gateway, accounts, done_limit);
        orders.catalog = Catalog::load(input)?;
        orders.accounts = Accounts::load(input)?;
        orders.by_id.extend(LiveAndDone::load(input)?);
        orders.live.extend(orders.by_id.values().filter(|it| !it.is_done()).map(|it| it.order_id));
        orders.special = Specials::load(input)?;
        orders.done.extend(DoneIds::load(input)?);
        let client_ids = Ids::load(input)?;
        let count = client_ids.len();
        client_ids.into_iter().for_each(|(key, order_id)| orders.client_ids.insert(key, order_id));
        orders.trades = Trades::load(input)?;
        orders.mass_cancels = MassCancels::load(input)?;
        orders.lists = Lists::load(input)?;
        orders.fee_payers = FeePayers::load(input)?;
        let complete = orders.client_ids.len() == count && orders.accounts.holdings.len() == accounts.len();
        complete.then_some(orders)
    }
}
