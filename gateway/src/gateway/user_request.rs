//! UserRequest (35=BE): a client changes its password, in a session or with its Logon.

use super::Gateway;
use crate::access::{ChangedPasswords, PasswordHash, Work, same};
use crate::fix::{Message, tags};

/// A change that is being worked on, beside the gateway's own thread.
pub(super) struct PendingChange {
    ticket: u64,
    client: usize,
    request_id: Vec<u8>,
}

/// Changes that may be worked on at the same time.
const CHANGES: usize = 16;

/// UserStatus (926).
mod user_status {
    pub(super) const LOGGED_IN: u64 = 1;
    pub(super) const NOT_RECOGNISED: u64 = 3;
    pub(super) const PASSWORD_INCORRECT: u64 = 4;
    pub(super) const PASSWORD_CHANGED: u64 = 5;
    pub(super) const OTHER: u64 = 6;
}

impl Gateway {
    pub(super) fn on_user_request(&mut self, client: usize, message: &Message<'_>, now_ns: u64) {
        let request_id = message.get(tags::USER_REQUEST_ID).unwrap_or_default();
        let own = self.config.users[client].username.as_bytes();
        let answer = if !same(message.get(tags::USERNAME).unwrap_or_default(), own) {
            Some((user_status::NOT_RECOGNISED, "Username (553) is not this session's user"))
        } else {
            match message.get(tags::USER_REQUEST_TYPE) {
                Some(b"3") => self.begin_change(client, message, request_id, now_ns).err(),
                Some(b"4") => Some((user_status::LOGGED_IN, "")),
                _ => Some((
                    user_status::OTHER,
                    "UserRequestType (924) must be 3 (change password) or 4 (status)",
                )),
            }
        };
        if let Some((status, text)) = answer {
            self.answer_user(client, request_id, status, text, now_ns);
        }
    }

    /// Has the old password checked and the new one hashed.
    fn begin_change(
        &mut self,
        client: usize,
        message: &Message<'_>,
        request_id: &[u8],
        now_ns: u64,
    ) -> Result<(), (u64, &'static str)> {
        let other = |text| Err((user_status::OTHER, text));
        let Some(new) = message.get(tags::NEW_PASSWORD) else {
            return other("NewPassword (925) is missing");
        };
        if self.changed_passwords.is_none() {
            return other("passwords cannot be changed here: the operator does it");
        }
        let Some(hash) = self.config.users[client].password.clone() else {
            return other("this user has no password: its Logons are signed");
        };
        if !PasswordHash::is_possible(new) || message.get(tags::PASSWORD) == Some(new) {
            return other("NewPassword (925) must have 1 to 64 bytes, and be another one");
        }
        let address =
            self.clients[client].link.and_then(|link| self.links[link].as_ref()).map(|it| it.address);
        if address.is_some_and(|address| self.guard.is_locked(client, address, now_ns)) {
            return other("too many wrong passwords: try again later");
        }
        if self.changes.len() == CHANGES {
            return other("too many passwords are being changed: try again");
        }
        let password = message.get(tags::PASSWORD).unwrap_or_default().to_vec();
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        if !self.verifier.submit_change(Work { ticket, hash, password }, new.to_vec()) {
            return other("too many passwords are being checked: try again");
        }
        self.changes.push(PendingChange { ticket, client, request_id: request_id.to_vec() });
        Ok(())
    }

    /// The old password has been checked, and the new one hashed.
    pub(super) fn finish_change(&mut self, ticket: u64, right: bool, now_ns: u64) {
        let hash = self.verifier.take_hash(ticket);
        let Some(at) = self.changes.iter().position(|it| it.ticket == ticket) else { return };
        let PendingChange { client, request_id, .. } = self.changes.swap_remove(at);
        let (status, text) = match (right, hash.is_some_and(|hash| self.keep_password(client, hash))) {
            (false, _) => {
                let link = self.clients[client].link.and_then(|link| self.links[link].as_ref());
                if let Some(address) = link.map(|it| it.address) {
                    self.guard.failed(Some(client), address, now_ns);
                }
                (user_status::PASSWORD_INCORRECT, "Password (554) is wrong")
            }
            (true, true) => (user_status::PASSWORD_CHANGED, ""),
            (true, false) => (user_status::OTHER, "the new password could not be kept: the old one stays"),
        };
        self.answer_user(client, &request_id, status, text, now_ns);
    }

    /// Makes a new password the one that counts, now and after a restart. Whether that worked.
    pub(super) fn keep_password(&mut self, client: usize, hash: PasswordHash) -> bool {
        if !self.config.order_entry {
            return false;
        }
        let (Some(file), Some(configured)) =
            (&mut self.changed_passwords, &self.configured_passwords[client])
        else {
            return false;
        };
        let user = &mut self.config.users[client];
        let kept = file.change(&user.sender_comp_id, configured, hash.clone()).is_ok();
        if kept {
            user.password = Some(hash);
        }
        kept
    }

    /// The hash that a user's password must have now. A gateway without orders changes none: it reads what the other one
    /// has changed.
    pub(super) fn current_password(&self, client: usize) -> Option<PasswordHash> {
        let user = &self.config.users[client];
        if self.config.order_entry {
            return user.password.clone();
        }
        let configured = self.configured_passwords[client].as_ref()?;
        let Some(path) = &self.config.passwords_path else { return Some(configured.clone()) };
        // Without the file nobody can tell which password counts: none does.
        Some(ChangedPasswords::open(path).ok()?.current(&user.sender_comp_id, configured))
    }

    fn answer_user(&mut self, client: usize, request_id: &[u8], status: u64, text: &str, now_ns: u64) {
        self.activity.clients.insert(client);
        self.counters.reports += 1;
        let username = self.config.users[client].username.clone();
        self.clients[client].session.send_application(b"BF", now_ns, &mut self.store, |writer| {
            writer.bytes(tags::USERNAME, username.as_bytes());
            writer.bytes(tags::USER_REQUEST_ID, request_id);
            writer.integer(tags::USER_STATUS, status);
            if !text.is_empty() {
                writer.bytes(tags::USER_STATUS_TEXT, text.as_bytes());
            }
        });
    }
}
