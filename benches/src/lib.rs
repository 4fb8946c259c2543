//! Criterion benchmarks and side-by-side runs: the workloads, and how they are played on a book.

pub mod book_driver;
pub mod exchange_driver;
pub mod pairs;
pub mod singles;
pub mod trace;
pub mod workload;
