//! As whom a load logs on, and how its orders are named.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::args::WhoArgs;
use crate::config::Config;
use crate::load_users;
use crate::output::Failure;

/// How long connecting, and the answer to a logon, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// One user.
pub struct Login {
    /// SenderCompID (49).
    pub comp_id: String,
    /// Username (553).
    pub username: String,
    /// Password (554).
    pub password: String,
    /// Whether it is one of `serve --load-sessions`.
    made_up: bool,
}

impl Login {
    /// The first users of the configuration if they are enough, else those of `serve --load-sessions`.
    pub fn all(who: &WhoArgs, config: &Config, sessions: u64) -> Vec<Self> {
        let password = |or: String| who.password.clone().unwrap_or(or);
        if sessions as usize <= config.users.len() {
            let users = config.users.iter().take(sessions as usize);
            return users
                .map(|user| Self {
                    comp_id: user.sender_comp_id.clone(),
                    username: user.username.clone(),
                    password: password(format!("{}-secret", user.username)),
                    made_up: false,
                })
                .collect();
        }
        let made_up = |number| Self {
            comp_id: load_users::comp_id(number),
            username: load_users::username(number),
            password: password(load_users::PASSWORD.to_owned()),
            made_up: true,
        };
        (1..=sessions).map(made_up).collect()
    }

    /// A connection that waits [`PATIENCE`] for what it reads.
    ///
    /// # Errors
    /// No connection.
    pub fn connect(&self, address: SocketAddr) -> Result<TcpStream, Failure> {
        let failed = |error| {
            Failure::system(format!(
                "cannot connect to {address}: {error}; is an exchange listening there (`rialto serve`)?"
            ))
        };
        let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
        stream.set_nodelay(true).map_err(Failure::system)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(Failure::system)?;
        Ok(stream)
    }

    /// The server does not say whether it accepts.
    pub fn no_answer(&self, error: &std::io::Error) -> Failure {
        Failure::system(format!("no answer to the logon of {}: {error}", self.comp_id))
    }

    /// The server does not accept.
    pub fn refused(&self, address: SocketAddr, reason: &str) -> Failure {
        let hint = if self.made_up {
            "; more sessions than the configuration has users need `rialto serve --load-sessions N`"
        } else {
            "; --config and --password say as whom to log on"
        };
        let reason = if reason.is_empty() { "the connection was closed" } else { reason };
        Failure::check(format!("logon of {} was refused by {address}: {reason}{hint}", self.comp_id))
    }
}

/// What the ids of this run's orders begin with: they must not repeat those of an earlier run whose orders may still rest.
pub fn run_id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}", now.as_millis())
}

/// The number of an order of this run, by its id: `RUN-NUMBER`.
pub fn order_number(id: &[u8], run: &[u8]) -> Option<u64> {
    gateway::fix::parse_number(id.strip_prefix(run)?.strip_prefix(b"-")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_other_runs_are_not_ours() {
        assert_eq!(order_number(b"1a-7", b"1a"), Some(7));
        assert_eq!(order_number(b"1b-7", b"1a"), None);
        assert_eq!(order_number(b"1a-", b"1a"), None);
        assert_eq!(order_number(b"1a7", b"1a"), None);
    }

    #[test]
    fn more_sessions_than_users_are_the_made_up_ones() {
        let config = Config::load(None).unwrap();
        let who = WhoArgs { config: None, password: None };
        let few = Login::all(&who, &config, 2);
        assert_eq!((few[1].comp_id.as_str(), few[1].password.as_str()), ("BOB", "bob-secret"));
        let many = Login::all(&who, &config, 8);
        assert_eq!((many[7].comp_id.as_str(), many[7].password.as_str()), ("LOAD8", load_users::PASSWORD));
        let address = ([127, 0, 0, 1], 1).into();
        assert!(many[7].refused(address, "no").message.contains("--load-sessions"));
    }
}
