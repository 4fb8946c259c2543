//! What tests share: a counting allocator, random numbers that follow from a printed seed, records, data paths.

mod allocation;
mod data;
mod random;
mod records;

pub use allocation::{CountingAllocator, CountingOver, allocated_bytes, allocations};
pub use data::shared_data;
pub use random::{Random, fresh_seed};
pub use records::RecordBytes;
