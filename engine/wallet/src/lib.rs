//! Accounts, balances, holds and transfers.
#![no_std]
#![forbid(unsafe_code)]
