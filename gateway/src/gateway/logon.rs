//! The first message of a connection.

use subtle::{Choice, ConstantTimeEq as _};

use super::{Gateway, LinkId, is_our_version};
use crate::config::UserConfig;
use crate::fix::{Message, tags};
use crate::session::{Verdict, write_refusal};

impl Gateway {
    /// A connection's first message must be a Logon of a user that we know. Everything else is answered with a Logout
    /// that says why, where there is somebody to answer, and the end of the connection.
    pub(super) fn on_first_message(&mut self, link: LinkId, message: &Message<'_>, now_ns: u64) {
        let theirs = message.get(tags::SENDER_COMP_ID).unwrap_or_default();
        if !is_our_version(message) || theirs.is_empty() {
            return self.close(link, "first message is not FIX 4.4");
        }
        if message.message_type() != b"A" {
            return self.refuse(link, theirs, now_ns, "the first message must be a Logon (35=A)");
        }
        if message.get(tags::TARGET_COMP_ID) != Some(self.config.target_comp_id.as_bytes()) {
            return self.refuse(link, theirs, now_ns, "Logon refused: TargetCompID (56) is not ours");
        }
        let client = self.by_comp_id.get(theirs).copied();
        let user = client.map(|client| &self.config.users[client]);
        let credentials_ok = check_credentials(message, user);
        let Some(client) = client.filter(|_| credentials_ok) else {
            let text = "Logon refused: unknown SenderCompID (49), Username (553) or Password (554)";
            return self.refuse(link, theirs, now_ns, text);
        };
        if self.clients[client].session.is_connected() {
            return self.refuse(link, theirs, now_ns, "Logon refused: this session is logged on already");
        }
        let resets = self.clients[client].session.resets();
        match self.clients[client].session.on_logon(message, now_ns, &mut self.store) {
            Verdict::Disconnect(reason) => {
                let mut wire = std::mem::take(self.clients[client].session.wire());
                self.link(link).wire.append(&mut wire);
                self.counters.refused_logons += 1;
                self.close(link, reason);
            }
            Verdict::Handled | Verdict::Application => {
                if self.clients[client].session.resets() != resets {
                    self.clients[client].forget_sequences();
                }
                self.counters.logons += 1;
                self.clients[client].link = Some(link);
                self.link(link).client = Some(client);
            }
        }
    }

    fn refuse(&mut self, link: LinkId, theirs: &[u8], now_ns: u64, text: &'static str) {
        self.counters.refused_logons += 1;
        let ours = self.config.target_comp_id.clone();
        write_refusal(&mut self.link(link).wire, ours.as_bytes(), theirs, 1, now_ns, text);
        self.close(link, text);
    }
}

/// Longest user name and password: what `GatewayConfig::validate` allows.
const MAX_CREDENTIAL: usize = 64;

/// Compares both credentials in a time that tells nothing about where they differ, or whether the user exists.
fn check_credentials(message: &Message<'_>, user: Option<&UserConfig>) -> bool {
    let given = |tag| message.get(tag).unwrap_or_default();
    let (username, password) = user.map_or(("", ""), |user| (user.username.as_str(), user.password.as_str()));
    let name_ok = same(given(tags::USERNAME), username.as_bytes());
    let password_ok = same(given(tags::PASSWORD), password.as_bytes());
    bool::from(name_ok & password_ok & Choice::from(u8::from(user.is_some())))
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
