//! Recorded markets and house traders as command sources.
//!
//! - [`itch`] reads Nasdaq TotalView-ITCH 5.0; [`itch_feed`] replays such a file as orders;
//! - [`lobster`] reads LOBSTER message and order book files; [`lobster_feed`] replays them and compares each book;
//! - [`house`] quotes and trades for a demonstration, from a seed.
//!
//! The feeds reach the exchange through a [`Venue`]: commands in, events out, whatever lies between.
#![forbid(unsafe_code)]

pub mod client;
pub mod house;
pub mod input;
pub mod itch;
pub mod itch_feed;
pub mod lobster;
pub mod lobster_feed;
pub mod venue;

pub use client::{Answer, Answers, Client, FeedError};
pub use venue::{Venue, VenueError};
