//! The edges for clients: FIX sessions, order entry with execution reports, market data; and the engine's own records in
//! [`binary`].
//!
//! ```text
//!  socket ─▶ Acceptor ─▶ Gateway ─▶ Session ─▶ order entry ─▶ CommandPort ─ring─▶ sequencer
//!                           │  ▲
//!                   Store ◀─┤  ├── Orders ◀── events, through the durability gate
//!                           │  └── Market ◀──┘
//! ```
//!
//! [`fix`] frames, indexes and encodes messages. A [`session::Session`] is one identity's state machine, without I/O.
//! [`orders::Orders`] is folded from events and turns them into reports, `Market` into books for those who subscribe.
//! [`Store`] keeps numbers and messages over a restart. [`Gateway`] joins these; [`Acceptor`] gives it sockets,
//! [`GatewayAgent`] the rings. What clients may send and get is in `docs/fix.md`.
#![forbid(unsafe_code)]

mod acceptor;
pub mod access;
mod agent;
pub mod binary;
mod config;
pub mod dictionary;
mod drop_copy;
mod endpoint;
pub mod fix;
mod gateway;
mod market;
pub mod orders;
mod rebuild;
pub mod session;
mod store;
pub mod transport;

pub use acceptor::{Acceptor, Notice};
pub use agent::GatewayAgent;
pub use config::{AccessSettings, ConfigError, DisconnectPolicy, GatewayConfig, GatewayLimits, UserConfig};
pub use endpoint::Endpoint;
pub use gateway::{CommandPort, Gateway, GatewayCounters, GatewayError, LinkId};
pub use market::MarketSettings;
pub use rebuild::{EventCursor, EventSource, JournalEvents, MemoryEvents, RebuildError};
pub use store::{Store, StoreError, StoreLimits, forget_beyond};
