//! A position ends at [`MAX_POSITION_LOTS`]. Two accounts that trade the same lots round and round through two instruments
//! would need some two million rounds to get there, and the sum used to overflow soon after: so the tests set it.

use alloc::vec::Vec;

use machine::{Body, Context, EventBuffer, StateMachine, step};
use protocol::{
    AccountId, CancelReason, CommandKind, CreateAccount, CreateAsset, CreateInstrument, Deposit, ListType,
    MAX_POSITION_LOTS, Name, NewExtendedOrder, NewOrder, NewOrderList, OrderAccepted, OrderCanceled, OrderId,
    OrderTerms, OrderType, RejectReason, Rejected, ReplaceOrder, Side, TimeInForce,
};
use testkit::RecordBytes;
use zerocopy::IntoBytes;

use crate::Exchange;

const ALICE: AccountId = AccountId(2);
const BOB: AccountId = AccountId(3);

struct Play {
    exchange: Exchange,
    events: EventBuffer,
    sequence: u64,
}

impl Play {
    fn new() -> Self {
        let exchange = Exchange::new(protocol::Limits::default()).unwrap();
        let events = EventBuffer::with_capacity(exchange.max_event_bytes());
        let mut play = Self { exchange, events, sequence: 0 };
        let name = Name::from_text("N").unwrap();
        for asset in [1, 2] {
            play.send(&CreateAsset { asset, scale: 0, reserved: [0; 3], name });
        }
        play.send(&CreateInstrument {
            quote_minor_per_tick_lot: 1,
            base_minor_per_lot: 1,
            instrument: 1,
            base_asset: 1,
            quote_asset: 2,
            name,
            ..CreateInstrument::default()
        });
        for account in [ALICE, BOB] {
            play.send(&CreateAccount { account, reserved: 0, name });
            for asset in [1, 2] {
                play.send(&Deposit { amount_minor: 1_000, reference: 0, account, asset });
            }
        }
        play
    }

    fn send<T: Body>(&mut self, body: &T) {
        self.sequence += 1;
        let context = Context { sequence: self.sequence, ..Context::default() };
        let record = RecordBytes::new(&context, body);
        self.events.clear();
        step(&mut self.exchange, record.record(), &mut self.events);
        self.exchange.check_invariants();
    }

    fn first<T: Body>(&self) -> Option<T> {
        self.events.records().find_map(|event| event.body_as::<T>().copied())
    }

    fn buy_or_sell(&mut self, account: AccountId, side: Side, lots: i64) -> Result<OrderId, u16> {
        self.send(&order(account, side, lots));
        match self.first::<Rejected>() {
            Some(rejected) => Err(rejected.reason),
            None => Ok(self.first::<OrderAccepted>().unwrap().order_id),
        }
    }

    fn replace(&mut self, order_id: OrderId, lots: i64) -> Option<u16> {
        self.send(&ReplaceOrder {
            order_id,
            price_ticks: 1,
            quantity_lots: lots,
            account: ALICE,
            instrument: 1,
            ..ReplaceOrder::default()
        });
        self.first::<Rejected>().map(|it| it.reason)
    }

    fn set_position(&mut self, lots: i64) {
        let slot = self.exchange.positions.find(ALICE, 1).unwrap();
        self.exchange.positions.at_mut(slot).position_lots = lots;
    }
}

fn order(account: AccountId, side: Side, quantity_lots: i64) -> NewOrder {
    NewOrder {
        price_ticks: 1,
        quantity_lots,
        account,
        instrument: 1,
        side: side.code(),
        order_type: OrderType::Limit.code(),
        time_in_force: TimeInForce::GoodTillCancel.code(),
        ..NewOrder::default()
    }
}

#[test]
fn a_full_position_grows_by_no_order_and_no_replace() {
    let full = RejectReason::RiskPosition.code();
    for (side, sign) in [(Side::Buy, 1), (Side::Sell, -1)] {
        let mut play = Play::new();
        let id = play.buy_or_sell(ALICE, side, 5).unwrap();
        play.set_position(sign * MAX_POSITION_LOTS);
        assert!(play.buy_or_sell(ALICE, side, 5).is_ok());
        assert_eq!(play.replace(id, 6), None);
        play.set_position(sign * (MAX_POSITION_LOTS + 1));
        assert_eq!(play.buy_or_sell(ALICE, side, 1), Err(full));
        assert_eq!(play.replace(id, 7), Some(full));
        // Less, and the other side, are always welcome: with oneself too.
        assert_eq!(play.replace(id, 4), None);
        assert!(play.buy_or_sell(ALICE, side.opposite(), 1).is_ok());
    }
}

#[test]
fn an_order_of_a_list_is_not_set_free_into_a_full_position() {
    let mut play = Play::new();
    let later = NewExtendedOrder { order: order(ALICE, Side::Buy, 5), terms: OrderTerms::default() };
    let first = NewExtendedOrder { order: order(ALICE, Side::Sell, 1), terms: OrderTerms::default() };
    let list_type = ListType::OneTriggersOther.code();
    let head = NewOrderList { account: ALICE, count: 2, list_type, reserved: [0; 7] };
    let mut body: Vec<u8> = head.as_bytes().to_vec();
    body.extend_from_slice(first.as_bytes());
    body.extend_from_slice(later.as_bytes());
    play.sequence += 1;
    let context = Context { sequence: play.sequence, ..Context::default() };
    let record = RecordBytes::raw(&context, CommandKind::NewOrderList.code(), 1, &body);
    play.events.clear();
    step(&mut play.exchange, record.record(), &mut play.events);
    assert_eq!(play.first::<Rejected>(), None);
    play.set_position(MAX_POSITION_LOTS + 9);
    play.buy_or_sell(BOB, Side::Buy, 1).unwrap();
    let canceled = play.first::<OrderCanceled>().unwrap();
    assert_eq!((canceled.leaves_lots, canceled.reason), (5, CancelReason::RiskPosition.code()));
}
