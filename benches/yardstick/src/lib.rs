//! The order book behind the C interface of `flash1-dev/matching-engine-benchmark`, to be measured beside other engines.
//!
//! That benchmark loads a shared library, sends it new orders, cancels and modifies one at a time, and drains the
//! reports on a second core. What is measured is `engine/orderbook` as it is; here is only what an exchange would put
//! around it: finding an order by its client's id, and telling what happened. Nothing of the benchmark is in this
//! repository; `README.md` says how to run it.

/// As in the exchange's binary.
#[global_allocator]
static ALLOCATOR: pages::HugePages = pages::HugePages;

mod abi;
pub mod desk;
pub mod index;
pub mod messages;
pub mod ring;
