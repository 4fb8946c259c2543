//! What a binary gateway needs to know.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::access::{FirmThrottles, LogonGuard, ThrottleLimits};
use crate::config::{ConfigError, GatewayLimits, UserConfig, validate_users};
use crate::transport::TlsSettings;

/// What a replay may put before a client at once: what is ahead of it, a chunk, and the events that were held meanwhile.
const MIN_OUTPUT_BYTES: usize = 2 << 20;

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
    /// File with the passwords that users have changed over FIX; it is looked at with every login.
    pub passwords_path: Option<PathBuf>,
    /// Whether a session's orders are cancelled when its connection ends, however it ends.
    pub cancel_on_disconnect: bool,
    /// How long a session may be away before they are.
    pub cancel_grace_ns: u64,
    /// What other ports of the same users know of Logons, too; else it guards its own alone.
    pub logon_guard: Option<LogonGuard>,
    /// The throttles of these firms that other ports count against, too; else it counts for itself alone.
    pub firm_throttles: Option<FirmThrottles>,
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
            passwords_path: None,
            cancel_on_disconnect: true,
            cancel_grace_ns: 0,
            logon_guard: None,
            firm_throttles: None,
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
        if self.limits.output_bytes < MIN_OUTPUT_BYTES {
            return Err(ConfigError::Limit("output_bytes", "at least 2 MiB for the binary port"));
        }
        self.limits.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::PasswordHash;
    use protocol::AccountId;

    #[test]
    fn mistakes_are_named() {
        let user = |comp_id: &str, name: &str, account| {
            UserConfig::new(comp_id, name, PasswordHash::create(b"secret", 8, 1).unwrap(), AccountId(account))
        };
        let config = |users| BinaryConfig::new(4, ([127, 0, 0, 1], 0).into(), "events".into(), users);
        assert_eq!(config(vec![user("A", "a", 2), user("B", "b", 3)]).validate(), Ok(()));
        let twice = config(vec![user("A", "a", 2), user("B", "a", 3)]);
        assert_eq!(twice.validate(), Err(ConfigError::DuplicateUsername("a".to_owned())));
        assert_eq!(BinaryConfig { gateway: 0, ..twice }.validate(), Err(ConfigError::GatewayNumber));
        let mut small = config(vec![user("A", "a", 2)]);
        small.limits.output_bytes = 1 << 20;
        let expected = ConfigError::Limit("output_bytes", "at least 2 MiB for the binary port");
        assert_eq!(small.validate(), Err(expected));
    }
}
