//! What a binary gateway needs to know.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::access::ThrottleLimits;
use crate::config::{ConfigError, GatewayLimits, UserConfig, validate_users};
use crate::transport::TlsSettings;

/// Everything a binary gateway needs to know. Its users are those of the FIX gateway; a user logs on with its user name.
#[derive(Clone, Debug)]
pub struct BinaryConfig {
    /// Number of this gateway in the source of its commands; 1 and above (0 is the operator).
    pub gateway: u16,
    /// Where to listen.
    pub bind: SocketAddr,
    /// A second port, for the same sessions over TLS.
    pub tls: Option<TlsSettings>,
    /// Folder of the events stream, which replays are read from.
    pub events_folder: PathBuf,
    /// Who may log on. The position in this list, plus 1, is the session number in the source of commands.
    pub users: Vec<UserConfig>,
    /// Messages per second of all sessions of a firm together, by its name.
    pub firms: BTreeMap<String, ThrottleLimits>,
    /// File that every attempt to log on is written to.
    pub audit_path: Option<PathBuf>,
    /// Whether a session's orders are cancelled when its connection ends, however it ends.
    pub cancel_on_disconnect: bool,
    /// How long a session may be away before they are.
    pub cancel_grace_ns: u64,
    /// Limits; those of FIX messages and of the store are not used.
    pub limits: GatewayLimits,
}

impl BinaryConfig {
    /// A configuration with the default limits, cancelling at once on disconnect.
    #[must_use]
    pub fn new(gateway: u16, bind: SocketAddr, events_folder: PathBuf, users: Vec<UserConfig>) -> Self {
        Self {
            gateway,
            bind,
            tls: None,
            events_folder,
            users,
            firms: BTreeMap::new(),
            audit_path: None,
            cancel_on_disconnect: true,
            cancel_grace_ns: 0,
            limits: GatewayLimits::default(),
        }
    }

    /// Checks it.
    ///
    /// # Errors
    /// The first [`ConfigError`].
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.gateway == 0 {
            return Err(ConfigError::GatewayNumber);
        }
        validate_users(&self.users, &self.firms)?;
        let mut names = BTreeSet::new();
        for user in &self.users {
            if !names.insert(&user.username) {
                return Err(ConfigError::DuplicateUsername(user.username.clone()));
            }
        }
        self.limits.validate()
    }
}
