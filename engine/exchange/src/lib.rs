//! Order book, wallet, risk and fees as one state machine.
#![no_std]
#![forbid(unsafe_code)]
