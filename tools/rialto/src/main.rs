//! The exchange in one binary.

fn main() {}
