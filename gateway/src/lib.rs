//! FIX order entry: sessions, orders, execution reports.
mod acceptor;
mod config;
pub mod fix;
mod gateway;
pub mod orders;
pub mod session;
mod store;

pub use acceptor::{Acceptor, Notice};
pub use config::{ConfigError, GatewayConfig, GatewayLimits, UserConfig};
pub use gateway::{CommandPort, Gateway, GatewayCounters, GatewayError, LinkId};
pub use store::{Store, StoreError};
