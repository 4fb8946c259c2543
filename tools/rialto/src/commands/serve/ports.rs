//! The ports that clients come to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gateway::access::{FirmThrottles, LogonGuard};
use gateway::binary::{BinaryConfig, BinaryGateway};
use gateway::transport::{TlsReload, TlsSettings};
use gateway::{Acceptor, GatewayConfig};
use protocol::Limits;

use crate::config::Config;
use crate::output::Failure;

/// Gateway number of the FIX port.
pub(super) const FIX_GATEWAY: u16 = 1;
/// Gateway number of the port for market data alone; it sends no commands.
const MARKET_DATA_GATEWAY: u16 = 3;
/// Gateway number of the binary ports.
pub(super) const BINARY_GATEWAY: u16 = 4;

/// Certificates and keys, and a signal that has them read again.
pub(super) struct Tls {
    reload: TlsReload,
    hang_up: Arc<AtomicBool>,
}

pub(super) fn tls(config: &Config) -> Result<Option<Tls>, Failure> {
    let Some(port) = &config.tls else { return Ok(None) };
    let reload = TlsReload::load(port.identity.clone());
    let reload = reload.map_err(|error| Failure::usage(format!("[tls]: {error}")))?;
    let hang_up = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&hang_up))
        .map_err(Failure::system)?;
    Ok(Some(Tls { reload, hang_up }))
}

impl Tls {
    fn settings(&self, bind: SocketAddr) -> TlsSettings {
        TlsSettings { bind, reload: self.reload.clone() }
    }

    /// Reads the files again if somebody has asked for it.
    pub(super) fn watch(&self) {
        if self.hang_up.swap(false, Ordering::AcqRel) {
            match self.reload.reload() {
                Ok(()) => eprintln!("note: TLS certificates have been read again; new connections use them"),
                Err(error) => eprintln!("note: TLS certificates stay as they were: {error}"),
            }
        }
    }
}

/// What all ports know of the clients.
pub(super) struct Shared {
    /// Who guesses passwords guesses on all ports.
    guard: LogonGuard,
    /// A firm sends on all ports.
    firms: FirmThrottles,
}

impl Shared {
    pub(super) fn of(config: &Config) -> Self {
        Self { guard: LogonGuard::new(&config.gateway), firms: FirmThrottles::new(&config.firms) }
    }
}

/// Where clients can come to.
pub(super) struct Ports {
    pub(super) fix: SocketAddr,
    pub(super) others: Vec<(&'static str, SocketAddr)>,
}

impl Ports {
    pub(super) fn of(
        fix: &Acceptor,
        market_data: Option<&Acceptor>,
        binary: Option<&Acceptor<BinaryGateway>>,
    ) -> std::io::Result<Self> {
        let mut others = Vec::new();
        others.extend(fix.tls_local_addr()?.map(|address| ("FIX over TLS", address)));
        if let Some(market_data) = market_data {
            others.push(("market data over FIX", market_data.local_addr()?));
            let secure = market_data.tls_local_addr()?;
            others.extend(secure.map(|address| ("market data over FIX over TLS", address)));
        }
        if let Some(binary) = binary {
            others.push(("binary order entry", binary.local_addr()?));
            others.extend(binary.tls_local_addr()?.map(|address| ("binary order entry over TLS", address)));
        }
        Ok(Self { fix: fix.local_addr()?, others })
    }
}

pub(super) fn binary_config(config: &Config, tls: Option<&Tls>, shared: &Shared) -> Option<BinaryConfig> {
    let port = config.binary.as_ref()?;
    let events = config.data.join(journal::EVENTS_FOLDER);
    let mut binary = BinaryConfig::new(BINARY_GATEWAY, port.bind, events, config.users.clone());
    binary.tls = port.tls_bind.zip(tls).map(|(bind, tls)| tls.settings(bind));
    binary.firms.clone_from(&config.firms);
    binary.limits.clone_from(&config.gateway);
    binary.logon_guard = Some(shared.guard.clone());
    binary.firm_throttles = Some(shared.firms.clone());
    binary.passwords_path = Some(config.data.join("fix-passwords"));
    binary.audit_path = Some(config.data.join("binary-logons.log"));
    binary.cancel_on_disconnect = port.cancel_on_disconnect;
    binary.cancel_grace_ns = port.cancel_grace_ns;
    Some(binary)
}

pub(super) fn fix_config(
    config: &Config,
    limits: &Limits,
    tls: Option<&Tls>,
    shared: &Shared,
) -> GatewayConfig {
    let store = config.data.join("fix-sessions");
    let mut gateway = GatewayConfig::new(FIX_GATEWAY, config.fix_bind, store, config.users.clone());
    gateway.tls = config.tls.as_ref().zip(tls).map(|(port, tls)| tls.settings(port.bind));
    gateway.firms.clone_from(&config.firms);
    gateway.limits.clone_from(&config.gateway);
    gateway.logon_guard = Some(shared.guard.clone());
    gateway.firm_throttles = Some(shared.firms.clone());
    gateway.events_path = Some(config.data.join(journal::EVENTS_FOLDER));
    gateway.passwords_path = Some(config.data.join("fix-passwords"));
    gateway.audit_path = Some(config.data.join("fix-logons.log"));
    gateway.target_comp_id.clone_from(&config.target_comp_id);
    let offered = config.market_data.enabled && config.market_data.bind.is_none();
    gateway.market = offered.then(|| config.market_data.settings(limits));
    gateway
}

/// The port for market data alone, if there is to be one: the same users, with sessions of their own.
pub(super) fn market_data_config(
    config: &Config,
    limits: &Limits,
    tls: Option<&Tls>,
    shared: &Shared,
) -> Option<GatewayConfig> {
    let bind = config.market_data.bind.filter(|_| config.market_data.enabled)?;
    let mut gateway = fix_config(config, limits, None, shared);
    gateway.tls = config.market_data.tls_bind.zip(tls).map(|(bind, tls)| tls.settings(bind));
    gateway.gateway = MARKET_DATA_GATEWAY;
    gateway.bind = bind;
    gateway.store_path = config.data.join("fix-market-data");
    gateway.audit_path = Some(config.data.join("fix-market-data-logons.log"));
    gateway.order_entry = false;
    gateway.events_path = None;
    gateway.market = Some(config.market_data.settings(limits));
    Some(gateway)
}
