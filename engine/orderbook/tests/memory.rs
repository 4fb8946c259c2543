//! Memory: nothing is allocated once table and book exist, and what they reserve is what the design says.

use orderbook::{Book, MatchSink, Order, OrderBook, OrderTable, Reserve, Stop, Taker, order_flags};
use protocol::{
    AccountId, CreateInstrument, MAX_PRICE_TICKS, NewOrder, OrderId, QuantityLots, SelfTradePrevention, Side,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use testkit::{CountingAllocator, allocated_bytes, allocations};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Calls and bytes that `work` allocates on this thread.
fn allocated<T>(work: impl FnOnce() -> T) -> ((u64, u64), T) {
    let before = (allocations(), allocated_bytes());
    let result = work();
    ((allocations() - before.0, allocated_bytes() - before.1), result)
}

struct Ignore;

impl MatchSink for Ignore {
    fn on_fill(&mut self, _maker: &mut Order, _quantity_lots: QuantityLots, _reserve_lots: QuantityLots) {}
    fn on_refill(&mut self, _maker: &Order, _reserve_lots: QuantityLots) {}
    fn on_decrement(
        &mut self,
        _maker: &mut Order,
        _quantity_lots: QuantityLots,
        _reserve_lots: QuantityLots,
    ) {
    }
    fn on_self_trade_canceled(&mut self, _maker: &Order, _reserve_lots: QuantityLots) {}
}

/// Enters an order at a price, or cancels when the table is full.
fn enter_or_cancel(
    book: &mut OrderBook,
    table: &mut OrderTable,
    rng: &mut SmallRng,
    sequence: u64,
    price: i64,
) {
    let side = if rng.random() { Side::Buy } else { Side::Sell };
    let Some(slot) = table.next_slot() else {
        let slot = rng.random_range(0..table.capacity());
        if table.get(slot).is_some() {
            book.unlink(table, slot);
            table.remove(slot);
        }
        return;
    };
    let account = AccountId(rng.random_range(2..9));
    let quantity_lots = rng.random_range(1..50);
    let new_order =
        NewOrder { price_ticks: price, quantity_lots, account, side: side.code(), ..Default::default() };
    let mut order = Order::new(OrderId::new(sequence, slot), &new_order, 0, 0);
    if rng.random_range(0..8) == 0 {
        order.flags = order_flags::RESERVE;
        table.set_reserve(slot, Reserve { lots: 40, least_lots: 3, most_lots: 9, random: sequence });
    }
    table.insert(order);
    let self_trade_prevention = SelfTradePrevention::CancelOldest;
    let taker =
        Taker { account, side, limit: Some(price), quantity_lots, self_trade_prevention, max_fills: 100 };
    let available_lots = book.available(table, &taker, quantity_lots);
    assert!(
        available_lots <= book.cost(table, side, quantity_lots, 100).available_lots,
        "what is available is offered"
    );
    let execution = book.execute(table, &taker, &mut Ignore);
    if matches!(execution.stop, Stop::NoLiquidity | Stop::LimitPrice) {
        table.get_mut(slot).expect("live").leaves_lots = execution.remaining_lots;
        book.rest(table, slot);
    } else {
        table.remove(slot);
    }
}

#[test]
fn nothing_is_allocated_after_the_start() {
    let mut rng = SmallRng::seed_from_u64(1);
    let mut table = OrderTable::with_capacity(1_000);
    let mut book = OrderBook::new(&CreateInstrument::default());
    let ((calls, _), ()) = allocated(|| {
        for sequence in 1..200_000u64 {
            let bits = rng.random_range(0..40);
            let centre = (sequence as i64 / 1_000 * 7_919_777) % MAX_PRICE_TICKS;
            let price = match rng.random_range(0..3) {
                0 => rng.random_range(1i64 << bits..2 << bits),
                1 => centre + rng.random_range(1..20_000) * 100,
                _ => centre + rng.random_range(1..1_000),
            };
            enter_or_cancel(&mut book, &mut table, &mut rng, sequence, price.min(MAX_PRICE_TICKS));
        }
    });
    assert_eq!(calls, 0, "allocations after the start");
    assert!(book.levels(&table, Side::Buy).count() > 10, "the test keeps a book");
    book.check_invariants(&table);
}

#[test]
fn ten_thousand_empty_books_fit_into_a_gibibyte() {
    let ((_, bytes), book) = allocated(|| OrderBook::new(&CreateInstrument::default()));
    let bytes = bytes + size_of_val(&book) as u64;
    assert!(bytes * 10_000 < 1 << 30, "an empty book takes {bytes} bytes");
    let small = CreateInstrument { ladder_levels: 64, ..CreateInstrument::default() };
    let ((_, bytes), book) = allocated(|| OrderBook::new(&small));
    let bytes = bytes + size_of_val(&book) as u64;
    assert!(bytes <= 4_096, "an empty book with the smallest ladder takes {bytes} bytes");
    let ((_, bytes), table) = allocated(|| OrderTable::with_capacity(1_000));
    assert_eq!(table.capacity(), 1_000);
    assert_eq!(bytes / 1_000, 64 + 32 + 12 + 32, "order, far level, branch and reserve");
}
