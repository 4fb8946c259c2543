//! Configuration, checked before anything is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use protocol::{AccountId, SelfTradePrevention};

use crate::access::{
    AddressRange, FirmThrottles, HmacKey, LogonGuard, PasswordHash, Permissions, ThrottleLimits,
};
use crate::market::MarketSettings;
use crate::session::SessionSettings;
use crate::transport::{CertificateName, TlsSettings};

/// Everything a FIX gateway needs to know. Plain data: the binary fills it from its configuration file.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Number of this gateway in the source of its commands; 1 and above (0 is the operator).
    pub gateway: u16,
    /// Where to listen.
    pub bind: SocketAddr,
    /// A second port, for the same sessions over TLS.
    pub tls: Option<TlsSettings>,
    /// Our CompID: tag 56 of what comes in, 49 of what goes out.
    pub target_comp_id: String,
    /// File with the sessions' state; see [`crate::Store`].
    pub store_path: PathBuf,
    /// Folder of the events stream, from which reports are made again for resends and replays. Without it the store
    /// keeps the bytes of every message, there are no checkpoints, and no replays of drop copies.
    pub events_path: Option<PathBuf>,
    /// Who may log on. The position in this list, plus 1, is the session number in the source of commands, so add
    /// new users at the end.
    pub users: Vec<UserConfig>,
    /// Messages per second of all sessions of a firm together, by its name.
    pub firms: BTreeMap<String, ThrottleLimits>,
    /// File that every attempt to log on is written to.
    pub audit_path: Option<PathBuf>,
    /// File with the passwords that users have changed; without it they cannot.
    pub passwords_path: Option<PathBuf>,
    /// What other ports of the same users know of Logons, too; else it guards its own alone.
    pub logon_guard: Option<LogonGuard>,
    /// The throttles of these firms that other ports count against, too; else it counts for itself alone.
    pub firm_throttles: Option<FirmThrottles>,
    /// Limits.
    pub limits: GatewayLimits,
    /// Whether orders can be entered here. A gateway for market data alone does not even fold them.
    pub order_entry: bool,
    /// Market data and reference data, if they are offered here.
    pub market: Option<MarketSettings>,
}

impl GatewayConfig {
    /// A configuration with the default limits and CompID `RIALTO`.
    #[must_use]
    pub fn new(gateway: u16, bind: SocketAddr, store_path: PathBuf, users: Vec<UserConfig>) -> Self {
        let target_comp_id = "RIALTO".to_owned();
        Self {
            gateway,
            bind,
            tls: None,
            target_comp_id,
            store_path,
            events_path: None,
            users,
            firms: BTreeMap::new(),
            audit_path: None,
            passwords_path: None,
            logon_guard: None,
            firm_throttles: None,
            limits: GatewayLimits::default(),
            order_entry: true,
            market: None,
        }
    }
}

/// One user: a FIX session and the account it trades for.
#[derive(Clone)]
pub struct UserConfig {
    /// CompID of the client: tag 49 of what comes in.
    pub sender_comp_id: String,
    /// Tag 553 of the Logon.
    pub username: String,
    /// What Password (554) of the Logon must hash to; `None` if only signed Logons are taken.
    pub password: Option<PasswordHash>,
    /// Key of signed Logons; `None` if only passwords are taken.
    pub hmac_key: Option<HmacKey>,
    /// Whose orders these are. An account has at most one FIX session; all its reports go there. 0 for a session that
    /// may neither trade nor cancel, such as one for drop copies.
    pub account: AccountId,
    /// Self-trade prevention for orders that do not carry tag 2964.
    pub self_trade_prevention: SelfTradePrevention,
    /// How its session behaves.
    pub session: SessionSettings,
    /// What it may do, from where, and how much.
    pub access: AccessSettings,
    /// What becomes of its orders when it is gone.
    pub on_disconnect: DisconnectPolicy,
}

impl std::fmt::Debug for UserConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserConfig")
            .field("sender_comp_id", &self.sender_comp_id)
            .field("username", &self.username)
            .field("password", &self.password)
            .field("hmac_key", &self.hmac_key)
            .field("account", &self.account)
            .field("self_trade_prevention", &self.self_trade_prevention)
            .field("session", &self.session)
            .field("access", &self.access)
            .field("on_disconnect", &self.on_disconnect)
            .finish()
    }
}

impl UserConfig {
    /// A user with the default settings.
    #[must_use]
    pub fn new(sender_comp_id: &str, username: &str, password: PasswordHash, account: AccountId) -> Self {
        Self {
            sender_comp_id: sender_comp_id.to_owned(),
            username: username.to_owned(),
            password: Some(password),
            hmac_key: None,
            account,
            self_trade_prevention: SelfTradePrevention::CancelNewest,
            session: SessionSettings::default(),
            access: AccessSettings::default(),
            on_disconnect: DisconnectPolicy::default(),
        }
    }
}

/// When a session's orders are cancelled because it is gone. A Logon may say otherwise (tags 35002 and 35003).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DisconnectPolicy {
    /// When the connection is lost: dropped, silent, too slow, or ended by us.
    pub on_drop: bool,
    /// When the client logs out.
    pub on_logout: bool,
    /// How long the session may be gone before they are; at most [`DisconnectPolicy::MAX_GRACE_NS`].
    pub grace_ns: u64,
}

impl DisconnectPolicy {
    /// Longest grace time: an hour. Who is gone for longer has other ways to cancel.
    pub const MAX_GRACE_NS: u64 = 3_600_000_000_000;
}

/// What a user may do, from where, and how much.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessSettings {
    /// Addresses that it may come from; empty is everywhere.
    pub addresses: Vec<AddressRange>,
    /// The certificate that it must show; it may then log on over TLS only.
    pub certificate: Option<CertificateName>,
    /// What it may do.
    pub permissions: Permissions,
    /// Messages per second of the session.
    pub throttle: ThrottleLimits,
    /// Name of the firm whose throttle it shares; see [`GatewayConfig::firms`].
    pub firm: Option<String>,
}

/// Limits of a gateway, each with its reason.
#[derive(Clone, Debug)]
pub struct GatewayLimits {
    /// Connections at the same time, logged on or not; more are closed at once. Bounds file descriptors.
    pub connections: usize,
    /// Connections at the same time from one address.
    pub connections_per_address: usize,
    /// Connections at the same time that have not logged on yet.
    pub strangers: usize,
    /// Logons with a wrong password after which a user may not try again from the same address; four times as many, over
    /// all users, lock the address.
    pub lockout_failures: u32,
    /// For how long.
    pub lockout_ns: u64,
    /// Longest message in bytes; a longer one ends the connection. Bounds the receive buffer.
    pub message_bytes: usize,
    /// Bytes waiting for a client that does not read; more ends the connection. Nothing is lost: reports stay in the
    /// store and come back by ResendRequest.
    pub output_bytes: usize,
    /// Time between connecting and a Logon.
    pub logon_timeout_ns: u64,
    /// Time that the client has to answer our Logout.
    pub logout_timeout_ns: u64,
    /// Longest HeartBtInt (tag 108) in seconds.
    pub heartbeat_seconds: u64,
    /// Commands of one session without their event yet; the socket is not read while there are so many.
    pub commands_in_flight: usize,
    /// Cancels and replaces of one session that wait for their order's acknowledgement; the socket is not read while there are so
    /// many.
    pub parked_requests: usize,
    /// Messages of one session kept while a gap before them is being filled; later ones come again by the resend.
    pub queued_messages: usize,
    /// Ended orders remembered for status requests and late cancels; the oldest is forgotten first.
    pub done_orders: usize,
    /// Application messages of one session kept for ResendRequest; older ones are gap-filled.
    pub resend_messages: usize,
    /// Bytes of messages that no event stands behind (refusals by the gateway itself, answers to requests) that are kept
    /// for a session; the oldest are gap-filled first.
    pub kept_bytes: u64,
    /// Size at which the store file is rewritten without what is no longer needed, if that is more than half of it.
    pub store_bytes: u64,
    /// Bytes that must be free on the store's disk for application messages to be taken: less than the journal's reserve, so that
    /// new orders have been refused by name before.
    pub free_bytes: u64,
    /// Memory for the newest reports of all sessions: a resend of these needs no journal.
    pub recent_bytes: usize,
    /// Commands between two checkpoints: how many the next start has to fold after a kill, and a resend before its first
    /// message.
    pub checkpoint_commands: u64,
}

impl Default for GatewayLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_address: 1024,
            strangers: 256,
            lockout_failures: 5,
            lockout_ns: 60_000_000_000,
            message_bytes: 8192,
            output_bytes: 8 << 20,
            logon_timeout_ns: 10_000_000_000,
            logout_timeout_ns: 2_000_000_000,
            heartbeat_seconds: 3600,
            commands_in_flight: 4096,
            parked_requests: 64,
            queued_messages: 256,
            done_orders: 100_000,
            resend_messages: 1_000_000,
            kept_bytes: 16 << 20,
            store_bytes: 1 << 30,
            free_bytes: 32 << 20,
            recent_bytes: 4 << 20,
            checkpoint_commands: 250_000,
        }
    }
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// Number 0.
    #[error("gateway number 0 is the operator's: use 1 or above")]
    GatewayNumber,
    /// Nobody to serve, or more than session numbers.
    #[error("a gateway needs 1 to 65,534 users, not {0}")]
    UserCount(usize),
    /// A CompID or user name that cannot stand in a FIX field.
    #[error("{field} of user {user} must be 1 to 64 printable ASCII characters without `=` and space")]
    Text {
        /// Position in the list, from 1.
        user: usize,
        /// Which field.
        field: &'static str,
    },
    /// Our own CompID.
    #[error("target_comp_id must be 1 to 64 printable ASCII characters without `=` and space")]
    TargetCompId,
    /// A CompID that is given twice.
    #[error("sender_comp_id {0} is given to two users: a session has one user")]
    DuplicateCompId(String),
    /// A user name that is given twice.
    #[error("username {0} is given to two users: the binary port tells its users by it")]
    DuplicateUsername(String),
    /// An account that is given twice.
    #[error("account {0} is given to two users: its reports can go to one session only")]
    DuplicateAccount(AccountId),
    /// WORLD or FEES.
    #[error("account {0} cannot trade: client accounts start at 2")]
    NotAClient(AccountId),
    /// Nothing to show at the Logon.
    #[error("user {0} has neither a password hash nor an HMAC key")]
    NoSecret(usize),
    /// A firm that is not among [`GatewayConfig::firms`].
    #[error("user {0} belongs to the firm {1}, which is not defined")]
    UnknownFirm(usize, String),
    /// A throttle whose second step comes before its first.
    #[error(
        "the throttle of {0} has a hard limit below its soft one, which would never be met: raise it, or leave one out"
    )]
    Throttle(String),
    /// A grace time above [`DisconnectPolicy::MAX_GRACE_NS`].
    #[error("user {0}: the grace time of cancel on disconnect must be at most an hour")]
    GraceTime(usize),
    /// A drop copy session whose firm is not said.
    #[error("user {0} has the permission drop_copy, but no firm whose executions it could get")]
    NoFirm(usize),
    /// A limit that makes no sense.
    #[error("limit {0} must be {1}")]
    Limit(&'static str, &'static str),
}

impl GatewayConfig {
    /// Where the gateway's checkpoints are: beside the store.
    #[must_use]
    pub fn checkpoint_folder(&self) -> PathBuf {
        let mut name = self.store_path.file_name().unwrap_or_default().to_owned();
        name.push("-checkpoints");
        self.store_path.with_file_name(name)
    }

    /// Checks it.
    ///
    /// # Errors
    /// The first [`ConfigError`].
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.gateway == 0 {
            return Err(ConfigError::GatewayNumber);
        }
        if !is_field_text(&self.target_comp_id) {
            return Err(ConfigError::TargetCompId);
        }
        validate_users(&self.users, &self.firms)?;
        self.limits.validate()
    }
}

/// Checks the users of a gateway, each by itself and all together.
pub(crate) fn validate_users(
    users: &[UserConfig],
    firms: &BTreeMap<String, ThrottleLimits>,
) -> Result<(), ConfigError> {
    if users.is_empty() || users.len() > 65_534 {
        return Err(ConfigError::UserCount(users.len()));
    }
    for (name, throttle) in firms {
        validate_throttle(|| format!("firm {name}"), throttle)?;
    }
    let (mut names, mut accounts) = (BTreeSet::new(), BTreeSet::new());
    for (index, user) in users.iter().enumerate() {
        validate_user(index + 1, user)?;
        validate_throttle(|| format!("user {}", index + 1), &user.access.throttle)?;
        if let Some(firm) = user.access.firm.as_ref().filter(|firm| !firms.contains_key(*firm)) {
            return Err(ConfigError::UnknownFirm(index + 1, firm.clone()));
        }
        if user.access.permissions.has(Permissions::DROP_COPY) && user.access.firm.is_none() {
            return Err(ConfigError::NoFirm(index + 1));
        }
        if !names.insert(&user.sender_comp_id) {
            return Err(ConfigError::DuplicateCompId(user.sender_comp_id.clone()));
        }
        if user.account != AccountId::WORLD && !accounts.insert(user.account) {
            return Err(ConfigError::DuplicateAccount(user.account));
        }
    }
    Ok(())
}

fn validate_throttle(whose: impl FnOnce() -> String, limits: &ThrottleLimits) -> Result<(), ConfigError> {
    // 0 is no limit.
    let hard_comes_first = (1..limits.soft_per_second).contains(&limits.hard_per_second);
    if hard_comes_first { Err(ConfigError::Throttle(whose())) } else { Ok(()) }
}

fn validate_user(user: usize, config: &UserConfig) -> Result<(), ConfigError> {
    let texts = [("sender_comp_id", &config.sender_comp_id), ("username", &config.username)];
    if config.password.is_none() && config.hmac_key.is_none() {
        return Err(ConfigError::NoSecret(user));
    }
    for (field, text) in texts {
        if !is_field_text(text) {
            return Err(ConfigError::Text { user, field });
        }
    }
    if config.on_disconnect.grace_ns > DisconnectPolicy::MAX_GRACE_NS {
        return Err(ConfigError::GraceTime(user));
    }
    let permissions = config.access.permissions;
    let trades = permissions.has(Permissions::TRADE) || permissions.has(Permissions::CANCEL);
    let listens = config.account == AccountId::WORLD && !trades;
    if config.account < AccountId::FIRST_CLIENT && !listens {
        return Err(ConfigError::NotAClient(config.account));
    }
    Ok(())
}

fn is_field_text(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'=')
}

impl GatewayLimits {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let checks = [
            (self.connections >= 1, "connections", "1 or more"),
            (self.connections_per_address >= 1, "connections_per_address", "1 or more"),
            (self.strangers >= 1, "strangers", "1 or more"),
            (self.lockout_failures >= 1, "lockout_failures", "1 or more"),
            ((256..=65_536).contains(&self.message_bytes), "message_bytes", "256 to 65,536"),
            (
                self.output_bytes >= 4 * self.message_bytes,
                "output_bytes",
                "at least four times message_bytes",
            ),
            (self.logon_timeout_ns > 0, "logon_timeout_ns", "above 0"),
            (self.commands_in_flight >= 1, "commands_in_flight", "1 or more"),
            (self.done_orders >= 1, "done_orders", "1 or more"),
            (self.resend_messages >= 1, "resend_messages", "1 or more"),
            (self.kept_bytes >= self.message_bytes as u64, "kept_bytes", "at least message_bytes"),
            (self.store_bytes >= 1 << 16, "store_bytes", "at least 65,536"),
            (self.recent_bytes <= 1 << 30, "recent_bytes", "at most 1,073,741,824"),
            (self.checkpoint_commands >= 1, "checkpoint_commands", "1 or more"),
        ];
        match checks.iter().find(|check| !check.0) {
            Some(&(_, name, range)) => Err(ConfigError::Limit(name, range)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, account: u32) -> UserConfig {
        let hash = PasswordHash::create(b"secret", 8, 1).unwrap();
        UserConfig::new(name, "u", hash, AccountId(account))
    }

    fn config(users: Vec<UserConfig>) -> GatewayConfig {
        GatewayConfig::new(1, ([127, 0, 0, 1], 0).into(), PathBuf::from("x"), users)
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(config(vec![user("A", 2), user("B", 3)]).validate(), Ok(()));
        assert_eq!(config(vec![]).validate(), Err(ConfigError::UserCount(0)));
        let twice = config(vec![user("A", 2), user("A", 3)]);
        assert_eq!(twice.validate(), Err(ConfigError::DuplicateCompId("A".to_owned())));
        let twice = config(vec![user("A", 2), user("B", 2)]);
        assert_eq!(twice.validate(), Err(ConfigError::DuplicateAccount(AccountId(2))));
        assert_eq!(config(vec![user("A", 1)]).validate(), Err(ConfigError::NotAClient(AccountId(1))));
        let space = config(vec![user("A B", 2)]);
        assert_eq!(space.validate(), Err(ConfigError::Text { user: 1, field: "sender_comp_id" }));
        let nothing = config(vec![UserConfig { password: None, ..user("A", 2) }]);
        assert_eq!(nothing.validate(), Err(ConfigError::NoSecret(1)));
        let mut upside_down = config(vec![user("A", 2)]);
        let mut set = |soft_per_second, hard_per_second| {
            upside_down.users[0].access.throttle =
                ThrottleLimits { soft_per_second, hard_per_second, cancels_per_second: 1 };
            upside_down.validate()
        };
        assert_eq!([set(10, 10), set(10, 0), set(0, 5)], [Ok(()), Ok(()), Ok(())]);
        assert_eq!(set(10, 9), Err(ConfigError::Throttle("user 1".to_owned())));
        let firms = [("F".to_owned(), upside_down.users[0].access.throttle)].into();
        let of_firm = GatewayConfig { firms, ..config(vec![user("A", 2)]) };
        assert_eq!(of_firm.validate(), Err(ConfigError::Throttle("firm F".to_owned())));
        let mut lonely = config(vec![user("A", 2)]);
        lonely.users[0].access.firm = Some("F".to_owned());
        assert_eq!(lonely.validate(), Err(ConfigError::UnknownFirm(1, "F".to_owned())));
        let mut listener = user("B", 0);
        listener.access.permissions = Permissions::DROP_COPY;
        let mut firm = config(vec![user("A", 2), listener.clone(), listener]);
        firm.users[2].sender_comp_id = "C".to_owned();
        assert_eq!(firm.validate(), Err(ConfigError::NoFirm(2)));
        firm.firms.insert("F".to_owned(), ThrottleLimits::default());
        firm.users.iter_mut().for_each(|user| user.access.firm = Some("F".to_owned()));
        assert_eq!(firm.validate(), Ok(()));
        firm.users[1].access.permissions = Permissions::DROP_COPY.and(Permissions::CANCEL);
        assert_eq!(firm.validate(), Err(ConfigError::NotAClient(AccountId(0))));
        let mut small = config(vec![user("A", 2)]);
        small.limits.message_bytes = 10;
        assert_eq!(small.validate(), Err(ConfigError::Limit("message_bytes", "256 to 65,536")));
    }

    #[test]
    fn passwords_are_never_printed() {
        let text = format!("{:?}", config(vec![user("A", 2)]));
        assert!(!text.contains("argon2") && text.contains("(hidden)"));
    }
}
