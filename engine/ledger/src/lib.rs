//! The ledger folded from events.
#![no_std]
#![forbid(unsafe_code)]
