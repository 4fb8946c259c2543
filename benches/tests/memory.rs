//! What the exchange reserves for 10,000 pairs, a million accounts and a million resting orders, without touching it.

use benches::pairs::Market;
use exchange::Exchange;
use testkit::{CountingAllocator, allocated_bytes};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Most bytes that tables and books of 10,000 pairs may take.
const MOST_BYTES: u64 = 2 << 30;

#[test]
fn ten_thousand_pairs_fit_two_gibibytes() {
    let market = Market::million(10_000, 0);
    let before = allocated_bytes();
    let mut exchange = Exchange::new(market.limits()).expect("good limits");
    let tables = allocated_bytes() - before;
    // Pairs alone: what the others would be is in the tables already, and nothing is allocated for them later.
    let before = allocated_bytes();
    market.create_pairs(&mut exchange);
    let books = allocated_bytes() - before;
    assert_eq!(exchange.counts().instruments, 10_000);
    let (tables_mib, books_mib) = (tables >> 20, books >> 20);
    assert!(tables + books <= MOST_BYTES, "{tables_mib} MiB of tables and {books_mib} MiB of books");
    assert!(tables_mib > 500 && books_mib > 500, "{tables_mib} and {books_mib} MiB are counted");
}
