//! The parts of the configuration file that are about FIX: users, their sessions, firms, and the gateway's limits.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use gateway::access::{HmacKey, PasswordHash, Permissions, ThrottleLimits};
use gateway::dictionary::Switches;
use gateway::fix::{Precision, Version};
use gateway::session::{Schedule, SessionSettings};
use gateway::transport::CertificateName;
use gateway::{AccessSettings, DisconnectPolicy, GatewayLimits, MarketSettings, UserConfig};
use protocol::{AccountId, Limits};
use serde::Deserialize;

use crate::rules;

/// Where a mistake is and what it is.
pub type Mistake = (String, String);

/// `[[users]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileUser {
    pub sender_comp_id: String,
    username: String,
    password_hash: Option<String>,
    /// Only to say that it is not taken.
    password: Option<String>,
    hmac_key_file: Option<PathBuf>,
    /// Left out for a session that neither trades nor cancels.
    #[serde(default)]
    pub account: u32,
    self_trade_prevention: Option<String>,
    #[serde(default)]
    addresses: Vec<String>,
    certificate: Option<String>,
    permissions: Option<Vec<String>>,
    throttle: Option<FileThrottle>,
    firm: Option<String>,
    cancel_on_disconnect: Option<String>,
    cancel_on_disconnect_grace_s: Option<u64>,
    #[serde(default)]
    session: FileSession,
}

impl std::fmt::Debug for FileUser {
    /// Leaves all secrets out, so that none can reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileUser").field("sender_comp_id", &self.sender_comp_id).finish_non_exhaustive()
    }
}

/// `[sessions]`, and `session` of a user, which goes before it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSession {
    version: Option<String>,
    timestamps: Option<String>,
    resend_chunk: Option<u64>,
    last_processed: Option<bool>,
    reset_on_logon: Option<bool>,
    reset_on_logout: Option<bool>,
    reset_on_disconnect: Option<bool>,
    check_latency: Option<bool>,
    max_latency_s: Option<u64>,
    use_data_dictionary: Option<bool>,
    validate_fields_out_of_order: Option<bool>,
    validate_fields_have_values: Option<bool>,
    validate_user_defined_fields: Option<bool>,
    allow_unknown_msg_fields: Option<bool>,
    schedule: Option<FileSchedule>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSchedule {
    start: String,
    end: String,
    start_day: Option<String>,
    end_day: Option<String>,
}

/// `[firms.NAME]`, and `throttle` of a user: messages a second.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileThrottle {
    #[serde(default)]
    soft: u64,
    #[serde(default)]
    hard: u64,
    #[serde(default)]
    cancels: u64,
}

/// `[gateway]`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileGateway {
    connections: Option<usize>,
    connections_per_address: Option<usize>,
    strangers: Option<usize>,
    logon_timeout_s: Option<u64>,
    lockout_failures: Option<u32>,
    lockout_s: Option<u64>,
    output_bytes: Option<usize>,
    resend_messages: Option<usize>,
    kept_bytes: Option<u64>,
    store_bytes: Option<u64>,
    recent_bytes: Option<usize>,
    checkpoint_commands: Option<u64>,
}

impl FileGateway {
    /// The limits, with the defaults for what is left out.
    pub fn limits(&self) -> GatewayLimits {
        let ns = |seconds: u64| seconds.saturating_mul(1_000_000_000);
        let defaults = GatewayLimits::default();
        GatewayLimits {
            connections: self.connections.unwrap_or(defaults.connections),
            connections_per_address: self.connections_per_address.unwrap_or(defaults.connections_per_address),
            strangers: self.strangers.unwrap_or(defaults.strangers),
            logon_timeout_ns: self.logon_timeout_s.map_or(defaults.logon_timeout_ns, ns),
            lockout_failures: self.lockout_failures.unwrap_or(defaults.lockout_failures),
            lockout_ns: self.lockout_s.map_or(defaults.lockout_ns, ns),
            output_bytes: self.output_bytes.unwrap_or(defaults.output_bytes),
            resend_messages: self.resend_messages.unwrap_or(defaults.resend_messages),
            kept_bytes: self.kept_bytes.unwrap_or(defaults.kept_bytes),
            store_bytes: self.store_bytes.unwrap_or(defaults.store_bytes),
            recent_bytes: self.recent_bytes.unwrap_or(defaults.recent_bytes),
            checkpoint_commands: self.checkpoint_commands.unwrap_or(defaults.checkpoint_commands),
            ..defaults
        }
    }
}

/// `[market_data]`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileMarketData {
    enabled: Option<bool>,
    bind: Option<SocketAddr>,
    tls_bind: Option<SocketAddr>,
    subscriptions: Option<usize>,
    backlog_bytes: Option<usize>,
}

/// How market data is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarketData {
    /// Whether it is.
    pub enabled: bool,
    /// A port of its own, with a thread of its own; without one it is served on the FIX port.
    pub bind: Option<SocketAddr>,
    /// The same over TLS.
    pub tls_bind: Option<SocketAddr>,
    subscriptions: Option<usize>,
    backlog_bytes: Option<usize>,
}

impl FileMarketData {
    /// Checks it; `has_tls` says whether there is a certificate for a port of TLS.
    pub fn check(self, has_tls: bool) -> Result<MarketData, Mistake> {
        let Self { enabled, bind, tls_bind, subscriptions, backlog_bytes } = self;
        if tls_bind.is_some() && !has_tls {
            let reason = "needs the certificate and the key of [tls]".to_owned();
            return Err(("market_data.tls_bind".to_owned(), reason));
        }
        if tls_bind.is_some() && bind.is_none() {
            let reason = "needs `bind`: without it market data is served on the ports for FIX".to_owned();
            return Err(("market_data.tls_bind".to_owned(), reason));
        }
        if subscriptions == Some(0) {
            let reason = "must be 1 or more; `enabled = false` offers no market data".to_owned();
            return Err(("market_data.subscriptions".to_owned(), reason));
        }
        if backlog_bytes.is_some_and(|bytes| !(4096..=1 << 30).contains(&bytes)) {
            let reason = "must be from 4,096 to 1,073,741,824".to_owned();
            return Err(("market_data.backlog_bytes".to_owned(), reason));
        }
        Ok(MarketData { enabled: enabled.unwrap_or(true), bind, tls_bind, subscriptions, backlog_bytes })
    }
}

impl MarketData {
    /// What a gateway must know, for an exchange of these limits.
    pub fn settings(&self, limits: &Limits) -> MarketSettings {
        let usual = MarketSettings::new(*limits);
        MarketSettings {
            subscriptions: self.subscriptions.unwrap_or(usual.subscriptions),
            backlog_bytes: self.backlog_bytes.unwrap_or(usual.backlog_bytes),
            ..usual
        }
    }
}

impl FileThrottle {
    fn limits(self) -> ThrottleLimits {
        ThrottleLimits {
            soft_per_second: self.soft,
            hard_per_second: self.hard,
            cancels_per_second: self.cancels,
        }
    }
}

/// The firms with their throttles.
pub fn firms(file: &BTreeMap<String, FileThrottle>) -> BTreeMap<String, ThrottleLimits> {
    file.iter().map(|(name, throttle)| (name.clone(), throttle.limits())).collect()
}

impl FileUser {
    /// The user, with `sessions` for what its own session leaves out.
    pub fn check(self, sessions: &FileSession) -> Result<UserConfig, Mistake> {
        let at = |field: &str| format!("users.{}.{field}", self.sender_comp_id);
        if self.password.is_some() {
            let reason = "plain passwords are not kept: run `rialto password`, put what it prints into \
                          `password_hash`, and take this line out";
            return Err((at("password"), reason.to_owned()));
        }
        let password = self.password_hash.as_deref().map(PasswordHash::parse).transpose();
        let password = password.map_err(|error| (at("password_hash"), error.to_string()))?;
        let hmac_key = self.hmac_key_file.as_ref().map(|path| {
            let text =
                std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            HmacKey::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
        });
        let hmac_key = hmac_key.transpose().map_err(|reason| (at("hmac_key_file"), reason))?;
        let settings = self
            .session
            .clone()
            .over(sessions)
            .settings()
            .map_err(|(field, reason)| (at(&format!("session.{field}")), reason))?;
        let access = self.access().map_err(|(field, reason)| (at(field), reason))?;
        let on_disconnect = self.on_disconnect().map_err(|(field, reason)| (at(field), reason))?;
        let name = self.self_trade_prevention.as_deref().unwrap_or("cancel_newest");
        let prevention = rules::self_trade_prevention(name).map_err(|(field, reason)| (at(field), reason))?;
        Ok(UserConfig {
            sender_comp_id: self.sender_comp_id,
            username: self.username,
            password,
            hmac_key,
            account: AccountId(self.account),
            self_trade_prevention: prevention,
            session: settings,
            access,
            on_disconnect,
        })
    }

    fn on_disconnect(&self) -> Result<DisconnectPolicy, (&'static str, String)> {
        let (on_drop, on_logout) = match self.cancel_on_disconnect.as_deref() {
            None | Some("never") => (false, false),
            Some("drop") => (true, false),
            Some("logout") => (false, true),
            Some("always") => (true, true),
            Some(other) => {
                let reason = format!("{other:?} is none of never, drop, logout, always");
                return Err(("cancel_on_disconnect", reason));
            }
        };
        let grace_s = self.cancel_on_disconnect_grace_s.unwrap_or(0);
        let grace_ns = grace_s.checked_mul(1_000_000_000).filter(|&it| it <= DisconnectPolicy::MAX_GRACE_NS);
        let too_long = || ("cancel_on_disconnect_grace_s", "must be at most an hour: 3600".to_owned());
        Ok(DisconnectPolicy { on_drop, on_logout, grace_ns: grace_ns.ok_or_else(too_long)? })
    }

    fn access(&self) -> Result<AccessSettings, (&'static str, String)> {
        let addresses = self.addresses.iter().map(|text| text.parse()).collect::<Result<_, _>>();
        let permissions = self.permissions.as_ref().map_or(Ok(Permissions::default()), |names| {
            names.iter().try_fold(Permissions::NONE, |all, name| {
                let known = Permissions::from_name(name).map(|it| all.and(it));
                known.ok_or_else(|| {
                    format!("{name:?} is none of trade, cancel, market_data, drop_copy, admin")
                })
            })
        });
        let certificate = self.certificate.as_deref().map(str::parse::<CertificateName>).transpose();
        Ok(AccessSettings {
            certificate: certificate.map_err(|error| ("certificate", error.to_string()))?,
            addresses: addresses.map_err(|reason| ("addresses", reason))?,
            permissions: permissions.map_err(|reason| ("permissions", reason))?,
            throttle: self.throttle.map(FileThrottle::limits).unwrap_or_default(),
            firm: self.firm.clone(),
        })
    }
}

impl FileSession {
    /// This, and `below` for what it leaves out.
    fn over(self, below: &Self) -> Self {
        let below = below.clone();
        Self {
            version: self.version.or(below.version),
            timestamps: self.timestamps.or(below.timestamps),
            resend_chunk: self.resend_chunk.or(below.resend_chunk),
            last_processed: self.last_processed.or(below.last_processed),
            reset_on_logon: self.reset_on_logon.or(below.reset_on_logon),
            reset_on_logout: self.reset_on_logout.or(below.reset_on_logout),
            reset_on_disconnect: self.reset_on_disconnect.or(below.reset_on_disconnect),
            check_latency: self.check_latency.or(below.check_latency),
            max_latency_s: self.max_latency_s.or(below.max_latency_s),
            use_data_dictionary: self.use_data_dictionary.or(below.use_data_dictionary),
            validate_fields_out_of_order: self
                .validate_fields_out_of_order
                .or(below.validate_fields_out_of_order),
            validate_fields_have_values: self
                .validate_fields_have_values
                .or(below.validate_fields_have_values),
            validate_user_defined_fields: self
                .validate_user_defined_fields
                .or(below.validate_user_defined_fields),
            allow_unknown_msg_fields: self.allow_unknown_msg_fields.or(below.allow_unknown_msg_fields),
            schedule: self.schedule.or(below.schedule),
        }
    }

    fn settings(&self) -> Result<SessionSettings, (&'static str, String)> {
        let defaults = SessionSettings::default();
        let version = self.version.as_deref().map(|name| {
            let names: Vec<&str> = Version::ALL.into_iter().map(Version::name).collect();
            Version::from_name(name)
                .ok_or_else(|| ("version", format!("{name:?} is none of {}", names.join(", "))))
        });
        let precision = match self.timestamps.as_deref() {
            None => defaults.precision,
            Some("seconds") => Precision::Seconds,
            Some("millis") => Precision::Millis,
            Some("micros") => Precision::Micros,
            Some("nanos") => Precision::Nanos,
            Some(other) => {
                return Err(("timestamps", format!("{other:?} is none of seconds, millis, micros, nanos")));
            }
        };
        let schedule = self.schedule.as_ref().map(FileSchedule::schedule).transpose();
        let max_latency_ns = self.max_latency_s.map(|seconds| seconds.saturating_mul(1_000_000_000));
        Ok(SessionSettings {
            version: version.transpose()?,
            switches: self.switches(),
            check_latency: self.check_latency.unwrap_or(defaults.check_latency),
            max_latency_ns: max_latency_ns.unwrap_or(defaults.max_latency_ns),
            precision,
            resend_chunk: self.resend_chunk.unwrap_or(defaults.resend_chunk),
            last_processed: self.last_processed.unwrap_or(defaults.last_processed),
            reset_on_logon: self.reset_on_logon.unwrap_or(defaults.reset_on_logon),
            reset_on_logout: self.reset_on_logout.unwrap_or(defaults.reset_on_logout),
            reset_on_disconnect: self.reset_on_disconnect.unwrap_or(defaults.reset_on_disconnect),
            schedule: schedule.map_err(|reason| ("schedule", reason))?,
        })
    }

    fn switches(&self) -> Switches {
        let defaults = Switches::default();
        let or = |value: Option<bool>, default| value.unwrap_or(default);
        Switches {
            use_data_dictionary: or(self.use_data_dictionary, defaults.use_data_dictionary),
            validate_fields_out_of_order: or(
                self.validate_fields_out_of_order,
                defaults.validate_fields_out_of_order,
            ),
            validate_fields_have_values: or(
                self.validate_fields_have_values,
                defaults.validate_fields_have_values,
            ),
            validate_user_defined_fields: or(
                self.validate_user_defined_fields,
                defaults.validate_user_defined_fields,
            ),
            allow_unknown_msg_fields: or(self.allow_unknown_msg_fields, defaults.allow_unknown_msg_fields),
        }
    }
}

impl FileSchedule {
    fn schedule(&self) -> Result<Schedule, String> {
        let (start_s, end_s) = (time_of_day(&self.start)?, time_of_day(&self.end)?);
        let schedule = match (&self.start_day, &self.end_day) {
            (None, None) => Schedule::daily(start_s, end_s),
            (Some(first), Some(last)) => Schedule::weekly((day(first)?, start_s), (day(last)?, end_s)),
            _ => return Err("start_day and end_day go together".to_owned()),
        };
        schedule.ok_or_else(|| "no such times".to_owned())
    }
}

/// Seconds after midnight of `HH:MM` or `HH:MM:SS`.
fn time_of_day(text: &str) -> Result<u64, String> {
    let numbers: Option<Vec<u64>> = text.split(':').map(|part| part.parse().ok()).collect();
    match numbers.as_deref() {
        Some([hours @ 0..24, minutes @ 0..60]) => Ok(hours * 3600 + minutes * 60),
        Some([hours @ 0..24, minutes @ 0..60, seconds @ 0..60]) => Ok(hours * 3600 + minutes * 60 + seconds),
        _ => Err(format!("{text:?} is not a time like \"17:00\"")),
    }
}

fn day(text: &str) -> Result<u64, String> {
    const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let found = DAYS.iter().position(|day| text.eq_ignore_ascii_case(day));
    found.map(|at| at as u64).ok_or_else(|| format!("{text:?} is no day of the week"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$nK7/JuGFRoRhzZ0OVTdzW9JrwGMsAvHHPyFEBuOUQDc";

    fn user(more: &str) -> Result<UserConfig, Mistake> {
        let text = format!("sender_comp_id = 'A'\nusername = 'a'\naccount = 2\n{more}");
        toml::from_str::<FileUser>(&text).unwrap().check(&toml::from_str("resend_chunk = 100").unwrap())
    }

    #[test]
    fn a_user_has_its_own_session_over_the_common_one() {
        let session = "session = { version = 'FIX.5.0SP2', timestamps = 'nanos', reset_on_logon = true, \
             validate_user_defined_fields = false, schedule = { start = '22:00', end = '21:00:30', \
             start_day = 'Sunday', end_day = 'friday' } }";
        let disconnect = "cancel_on_disconnect = 'drop'\ncancel_on_disconnect_grace_s = 5";
        let text = format!("password_hash = '{HASH}'\npermissions = ['cancel']\n{disconnect}\n{session}");
        let it = user(&text).unwrap();
        assert!(it.on_disconnect.on_drop && !it.on_disconnect.on_logout);
        assert_eq!(it.on_disconnect.grace_ns, 5_000_000_000);
        assert_eq!((it.session.version, it.session.resend_chunk), (Some(Version::Fix50Sp2), 100));
        assert!(it.session.reset_on_logon && !it.session.switches.validate_user_defined_fields);
        assert_eq!(it.session.schedule, Schedule::weekly((6, 79_200), (4, 75_630)));
        assert_eq!(it.access.permissions, Permissions::CANCEL);
    }

    #[test]
    fn market_data_over_tls_needs_a_port_and_a_certificate() {
        let file = |text: &str| toml::from_str::<FileMarketData>(text).unwrap();
        let both = "bind = '127.0.0.1:1'\ntls_bind = '127.0.0.1:2'";
        let port = file(both).check(true).unwrap();
        assert_eq!(port.tls_bind, Some("127.0.0.1:2".parse().unwrap()));
        assert_eq!(file("").check(false).unwrap().tls_bind, None);
        for (text, has_tls, words) in [(both, false, "[tls]"), ("tls_bind = '127.0.0.1:2'", true, "`bind`")] {
            let (field, reason) = file(text).check(has_tls).unwrap_err();
            assert!(field == "market_data.tls_bind" && reason.contains(words), "{reason}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let mistake = |more: &str| user(&format!("password_hash = '{HASH}'\n{more}")).err().unwrap();
        assert!(user("password = 'secret'").err().unwrap().1.contains("rialto password"));
        assert!(user("password_hash = 'secret'").err().unwrap().1.contains("rialto password"));
        assert_eq!(mistake("hmac_key_file = 'no-such-file'").0, "users.A.hmac_key_file");
        assert_eq!(mistake("permissions = ['all']").0, "users.A.permissions");
        assert_eq!(mistake("cancel_on_disconnect = 'yes'").0, "users.A.cancel_on_disconnect");
        let grace = mistake("cancel_on_disconnect_grace_s = 3601");
        assert_eq!(grace.0, "users.A.cancel_on_disconnect_grace_s");
        assert_eq!(mistake("addresses = ['10.0.0.0/40']").0, "users.A.addresses");
        assert_eq!(mistake("certificate = 'CN=alice'").0, "users.A.certificate");
        assert_eq!(mistake("session = { version = 'FIX.9' }").0, "users.A.session.version");
        assert_eq!(mistake("session = { timestamps = 'hours' }").0, "users.A.session.timestamps");
        let schedule = |text: &str| mistake(&format!("session = {{ schedule = {{ {text} }} }}")).1;
        assert!(schedule("start = '24:00', end = '1:00'").contains("24:00"));
        assert!(schedule("start = '1:00', end = '2:00', start_day = 'Monday'").contains("go together"));
        assert!(mistake("self_trade_prevention = 'never'").1.contains("cancel_newest"));
    }
}
