//! Recorded markets and house traders as command sources.
pub mod itch;
