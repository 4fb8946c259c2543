//! Price-time order book and the naive oracle beside it.
#![no_std]
#![forbid(unsafe_code)]
