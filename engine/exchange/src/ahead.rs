//! Looking ahead: asking for what the next commands will need, before they are applied.
//!
//! With a million orders and accounts nearly every line of memory that a command needs is in no cache, and each is known
//! only when the one before it has come: order, price level, neighbours in the queue; position, balances. For one command
//! that is a chain of misses. Here the chains of some commands are walked together, a link at a time, so that they wait at
//! the same time. Nothing is changed and nothing comes back, so nothing here can change an outcome.

use machine::{MOST_AHEAD, Record, prefetch};
use orderbook::Book;
use protocol::{
    AccountId, CancelOrder, ClientOrderId, InstrumentId, NewOrder, OrderId, PriceTicks, ReplaceOrder, Side,
};

use crate::client_index::NO_CLIENT_ID;
use crate::exchange::{Exchange, place};
use crate::instrument::Instrument;
use crate::positions::PositionSlot;
use crate::settlement::position_of;

/// Live orders below which what commands need is near anyway: their slots, levels and entries fit a second cache.
const LEAST_ORDERS: u32 = 16_384;

/// What is known of a command's needs so far.
#[derive(Clone, Copy)]
struct Aim {
    account: AccountId,
    instrument: InstrumentId,
    /// The order that it is about.
    order_id: OrderId,
    /// Code of its side; 0 while it is not known.
    side: u8,
    /// Price that it goes to; 0 for none.
    price_ticks: PriceTicks,
    /// Price that it leaves; 0 for none.
    left_ticks: PriceTicks,
    position: Option<PositionSlot>,
}

const NOTHING: Aim = Aim {
    account: AccountId::WORLD,
    instrument: 0,
    order_id: OrderId::NONE,
    side: 0,
    price_ticks: 0,
    left_ticks: 0,
    position: None,
};

impl<B: Book> Exchange<B> {
    /// See [`machine::StateMachine::look_ahead`].
    pub(crate) fn look_at(&self, commands: &[Record<'_>]) {
        if self.table.len() >= LEAST_ORDERS {
            self.look_at_all(commands);
        }
    }

    fn look_at_all(&self, commands: &[Record<'_>]) {
        let mut aims = [NOTHING; MOST_AHEAD];
        for (aim, command) in aims.iter_mut().zip(commands) {
            self.take_aim(aim, command);
        }
        for aim in aims.iter_mut().take(commands.len()) {
            self.look_at_order(aim);
        }
        for aim in aims.iter().take(commands.len()) {
            self.look_at_levels(aim);
        }
        for aim in aims.iter().take(commands.len()) {
            self.look_at_queues(aim);
        }
    }

    /// Asks for what a command names itself: the order's slot, the instrument, entries of indexes.
    #[inline]
    fn take_aim(&self, aim: &mut Aim, command: &Record<'_>) {
        if let Some(replace) = command.body_as::<ReplaceOrder>() {
            *aim = Aim {
                account: replace.account,
                instrument: replace.instrument,
                order_id: replace.order_id,
                price_ticks: replace.price_ticks,
                ..NOTHING
            };
            self.look_at_slot(replace.order_id);
            self.look_at_client_id(aim, &replace.client_order_id);
        } else if let Some(order) = command.body_as::<NewOrder>() {
            *aim = Aim {
                account: order.account,
                instrument: order.instrument,
                side: order.side,
                price_ticks: order.price_ticks,
                ..NOTHING
            };
            self.positions.prefetch(order.account, order.instrument);
            self.look_at_client_id(aim, &order.client_order_id);
        } else if let Some(cancel) = command.body_as::<CancelOrder>() {
            *aim = Aim {
                account: cancel.account,
                instrument: cancel.instrument,
                order_id: cancel.order_id,
                ..NOTHING
            };
            self.look_at_slot(cancel.order_id);
        }
        if let Some(instrument) = self.instrument_of_aim(aim) {
            prefetch(&instrument.state);
            instrument.book.prefetch();
        }
    }

    #[inline]
    fn look_at_slot(&self, order_id: OrderId) {
        self.table.prefetch(order_id.slot());
        self.clients.prefetch_cell(order_id.slot());
    }

    #[inline]
    fn look_at_client_id(&self, aim: &Aim, id: &ClientOrderId) {
        let hash = self.clients.hash(aim.account, id);
        if hash != NO_CLIENT_ID {
            self.clients.prefetch(hash);
        }
    }

    /// Reads the order or the entry of the account, and asks for the position.
    #[inline]
    fn look_at_order(&self, aim: &mut Aim) {
        match self.table.find(aim.order_id) {
            Some(order) => {
                aim.side = order.side;
                aim.left_ticks = order.price_ticks;
                aim.position = Some(position_of(order));
                if order.client_index != NO_CLIENT_ID {
                    self.clients.prefetch_place(aim.order_id.slot());
                }
            }
            None => aim.position = self.positions.find(aim.account, aim.instrument),
        }
        if let Some(slot) = aim.position {
            prefetch(self.positions.at(slot));
        }
    }

    /// Reads the position and asks for its balances; asks for the levels of both prices and the neighbours in the queue.
    #[inline]
    fn look_at_levels(&self, aim: &Aim) {
        if let Some(slot) = aim.position {
            let position = self.positions.at(slot);
            prefetch(self.wallet.at(position.base));
            prefetch(self.wallet.at(position.quote));
        }
        let Some((book, side)) = self.book_of(aim) else { return };
        self.table.prefetch_around(aim.order_id.slot());
        for price_ticks in [aim.price_ticks, aim.left_ticks] {
            book.prefetch_level(side, price_ticks);
        }
    }

    /// Reads the levels, and asks for the order behind which it would queue, and the one that it would meet first.
    #[inline]
    fn look_at_queues(&self, aim: &Aim) {
        let Some((book, side)) = self.book_of(aim) else { return };
        book.prefetch_queue(&self.table, side, aim.price_ticks);
        if let Some(slot) = book.front(side.opposite()) {
            self.table.prefetch(slot);
        }
    }

    #[inline]
    fn instrument_of_aim(&self, aim: &Aim) -> Option<&Instrument<B>> {
        self.instruments.get(place(aim.instrument)).and_then(Option::as_ref)
    }

    #[inline]
    fn book_of(&self, aim: &Aim) -> Option<(&B, Side)> {
        let instrument = self.instrument_of_aim(aim)?;
        Side::from_code(aim.side).map(|side| (&instrument.book, side))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use machine::{Body, Context, EventBuffer, StateMachine, step};
    use protocol::{
        CreateAccount, CreateAsset, CreateInstrument, Deposit, Limits, Name, OrderType, TimeInForce,
    };
    use testkit::{Random, RecordBytes};

    /// The smallest tables, so that an index that is not checked leaves them.
    fn exchange() -> (Exchange, EventBuffer, u64) {
        let limits = Limits {
            assets: 2,
            instruments: 2,
            accounts: 4,
            balances: 8,
            orders: 64,
            positions: 4,
            recent_client_ids: 16,
            ..Limits::default()
        };
        let exchange: Exchange = Exchange::new(limits).unwrap();
        let events = EventBuffer::with_capacity(exchange.max_event_bytes());
        let mut all = (exchange, events, 0);
        let name = Name::from_text("N").unwrap();
        for asset in [1, 2] {
            send(&mut all, &CreateAsset { asset, scale: 0, reserved: [0; 3], name });
        }
        send(
            &mut all,
            &CreateInstrument {
                quote_minor_per_tick_lot: 1,
                base_minor_per_lot: 1,
                instrument: 1,
                base_asset: 1,
                quote_asset: 2,
                ladder_levels: 64,
                name,
                ..CreateInstrument::default()
            },
        );
        for account in [AccountId(2), AccountId(3)] {
            send(&mut all, &CreateAccount { account, reserved: 0, name });
            for asset in [1, 2] {
                send(&mut all, &Deposit { amount_minor: 1 << 40, reference: 0, account, asset });
            }
        }
        all
    }

    fn send<T: Body>((exchange, events, sequence): &mut (Exchange, EventBuffer, u64), body: &T) {
        *sequence += 1;
        let context = Context { sequence: *sequence, ..Context::default() };
        events.clear();
        step(exchange, RecordBytes::new(&context, body).record(), events);
    }

    /// A number that is now and then far beyond any table.
    fn number(random: &mut Random, below: u64) -> u64 {
        match random.bits() % 8 {
            0 => random.bits(),
            1 => u64::MAX,
            _ => random.bits() % below,
        }
    }

    fn command(random: &mut Random) -> RecordBytes {
        let context = Context { sequence: 1_000_000, ..Context::default() };
        let account = AccountId(number(random, 5) as u32);
        let instrument = number(random, 3) as u32;
        let order_id = OrderId(number(random, 60 << OrderId::SLOT_BITS) | number(random, 64));
        let price_ticks = number(random, 300) as i64;
        match random.bits() % 4 {
            0 => RecordBytes::new(
                &context,
                &CancelOrder { order_id, account, instrument, ..CancelOrder::default() },
            ),
            1 => {
                let replace =
                    ReplaceOrder { order_id, price_ticks, account, instrument, ..ReplaceOrder::default() };
                RecordBytes::new(&context, &replace)
            }
            2 => {
                RecordBytes::new(&context, &new_order(account, instrument, price_ticks, random.bits() as u8))
            }
            _ => RecordBytes::raw(&context, random.bits() as u16 % 40, 1, &[0xA5; 7]),
        }
    }

    fn new_order(
        account: AccountId,
        instrument: InstrumentId,
        price_ticks: PriceTicks,
        side: u8,
    ) -> NewOrder {
        NewOrder {
            price_ticks,
            quantity_lots: 1,
            account,
            instrument,
            side,
            order_type: OrderType::Limit.code(),
            time_in_force: TimeInForce::GoodTillCancel.code(),
            ..NewOrder::default()
        }
    }

    /// Looking at what is not there must find nothing: commands come from anywhere and are looked at before they are checked.
    #[test]
    fn any_bytes_may_be_looked_at() {
        let mut random = Random::new(7);
        let mut all = exchange();
        for round in 0..2_000 {
            let side = if random.bits().is_multiple_of(2) { Side::Buy } else { Side::Sell };
            // On both sides of the touch and of the ladder's window, so that levels of both kinds come and go.
            let price_ticks = 1 + (random.bits() % 200) as i64;
            let account = AccountId(2 + (random.bits() % 2) as u32);
            send(&mut all, &new_order(account, 1, price_ticks, side.code()));
            let commands: Vec<RecordBytes> =
                (0..1 + round % MOST_AHEAD).map(|_| command(&mut random)).collect();
            let records: Vec<Record<'_>> = commands.iter().map(RecordBytes::record).collect();
            let before = all.0.state_hash();
            all.0.look_at_all(&records);
            assert_eq!(all.0.state_hash(), before, "round {round}");
        }
        let counts = all.0.counts();
        assert!(counts.trades > 50 && counts.orders > 20, "the book lives: {counts:?}");
    }
}
