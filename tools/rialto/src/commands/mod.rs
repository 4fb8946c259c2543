//! One module for each command of the binary.

pub mod admin;
pub mod bench;
pub mod feed;
pub mod journal;
pub mod load;
pub mod password;
pub mod replay;
pub mod serve;
pub mod snapshot;
pub mod state;
pub mod top;
