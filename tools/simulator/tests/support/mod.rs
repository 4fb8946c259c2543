//! Venues for the tests: the exchange stepped in place, and one that matches wrongly on purpose.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod inline;
pub mod wrong;

use std::path::PathBuf;

/// A file of recorded market data, or `None` (said aloud) where there is none.
pub fn market_file(name: &str) -> Option<PathBuf> {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    while !root.join("Cargo.lock").exists() {
        if !root.pop() {
            break;
        }
    }
    let path = root.join("../shared/data/market").join(name);
    if !path.exists() {
        println!("skipped: no data ({name})");
        return None;
    }
    Some(path)
}
