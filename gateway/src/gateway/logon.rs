//! The first message of a connection.

use subtle::{Choice, ConstantTimeEq as _};

use super::{Gateway, LinkId};
use crate::config::UserConfig;
use crate::fix::{Message, Version, tags};
use crate::session::{Verdict, has_good_time};

impl Gateway {
    /// A connection's first message must be a Logon of a user that we know. Until the client has shown that it is one,
    /// nothing is sent to it: the connection just ends.
    pub(super) fn on_first_message(&mut self, link: LinkId, message: &Message<'_>, now_ns: u64) {
        if let Err(reason) = self.check_first_message(message, now_ns) {
            self.counters.refused_logons += 1;
            return self.close(link, reason);
        }
        let theirs = message.get(tags::SENDER_COMP_ID).unwrap_or_default();
        let Some(client) = self.by_comp_id.get(theirs).copied() else {
            self.counters.refused_logons += 1;
            return self.close(link, "Logon of an unknown SenderCompID");
        };
        if self.clients[client].session.is_connected() {
            self.counters.refused_logons += 1;
            return self.close(link, "Logon of a session that is logged on already");
        }
        if !check_credentials(message, &self.config.users[client]) {
            let text = "Logon refused: Username (553) or Password (554) is wrong";
            self.clients[client].session.refuse(text, now_ns, &self.store);
            let mut wire = std::mem::take(self.clients[client].session.wire());
            self.link(link).wire.append(&mut wire);
            self.counters.refused_logons += 1;
            return self.close(link, "Logon with a wrong user name or password");
        }
        self.log_on(link, client, message, now_ns);
    }

    fn check_first_message(&self, message: &Message<'_>, now_ns: u64) -> Result<(), &'static str> {
        if !Version::is_begin_string(message.get(tags::BEGIN_STRING).unwrap_or_default()) {
            return Err("first message is of an unknown version of FIX");
        }
        if message.message_type() != b"A" {
            return Err("first message is not a Logon");
        }
        if message.get(tags::TARGET_COMP_ID) != Some(self.config.target_comp_id.as_bytes()) {
            return Err("Logon with a TargetCompID that is not ours");
        }
        let theirs = message.get(tags::SENDER_COMP_ID).unwrap_or_default();
        let user = self.by_comp_id.get(theirs).map(|&client| &self.config.users[client].session);
        let latency = user.map_or((true, 0), |it| (it.check_latency, it.max_latency_ns));
        if user.is_some() && !has_good_time(message, latency.0, latency.1, now_ns) {
            return Err("Logon with a SendingTime that is missing, malformed or too far from our clock");
        }
        Ok(())
    }

    fn log_on(&mut self, link: LinkId, client: usize, message: &Message<'_>, now_ns: u64) {
        let resets = self.clients[client].session.resets();
        let verdict = self.clients[client].session.on_logon(message, now_ns, &mut self.store);
        if self.clients[client].session.resets() != resets {
            self.clients[client].forget_sequences();
        }
        match verdict {
            Verdict::Disconnect(reason) => {
                let mut wire = std::mem::take(self.clients[client].session.wire());
                self.link(link).wire.append(&mut wire);
                self.counters.refused_logons += 1;
                self.close(link, reason);
            }
            Verdict::Handled | Verdict::Application => {
                self.counters.logons += 1;
                self.clients[client].link = Some(link);
                self.link(link).client = Some(client);
            }
        }
    }
}

/// Longest user name and password: what `GatewayConfig::validate` allows.
const MAX_CREDENTIAL: usize = 64;

/// Compares both credentials in a time that tells nothing about where they differ.
fn check_credentials(message: &Message<'_>, user: &UserConfig) -> bool {
    let given = |tag| message.get(tag).unwrap_or_default();
    let name_ok = same(given(tags::USERNAME), user.username.as_bytes());
    let password_ok = same(given(tags::PASSWORD), user.password.as_bytes());
    bool::from(name_ok & password_ok)
}

fn same(given: &[u8], expected: &[u8]) -> Choice {
    let pad = |text: &[u8]| {
        let mut padded = [0; MAX_CREDENTIAL];
        let length = text.len().min(MAX_CREDENTIAL);
        padded[..length].copy_from_slice(&text[..length]);
        padded
    };
    let length_ok = (given.len() as u64).ct_eq(&(expected.len() as u64));
    pad(given).ct_eq(&pad(expected)) & length_ok
}
