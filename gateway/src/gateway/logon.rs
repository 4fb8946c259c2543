//! The first message of a connection.

use super::disconnect::policy_of;
use super::{AbandonedLogon, Gateway, LinkId, PendingLogon};
use crate::access::{PasswordHash, Work, same, signed_text};
use crate::fix::{FieldIndex, Message, Version, parse_utc_timestamp, tags};
use crate::session::{Verdict, has_good_time};

/// What a Logon shows to prove who sent it.
enum Proof {
    /// It is right.
    Shown,
    /// A password, which has yet to be checked.
    Password,
    /// It is wrong, or there is none.
    Wrong(&'static str),
}

impl Gateway {
    /// A connection's first message must be a Logon of a user that we know. Until the client has shown that it is one,
    /// nothing is sent to it, but for the words that its password is wrong: the connection just ends.
    pub(super) fn on_first_message(&mut self, link: LinkId, message: &Message<'_>, now_ns: u64) {
        let theirs = message.get(tags::SENDER_COMP_ID).unwrap_or_default();
        let client = match self.check_first_message(link, message, now_ns) {
            Ok(client) => client,
            Err(reason) => {
                self.counters.refused_logons += 1;
                self.note_attempt(link, theirs, false, reason, now_ns);
                return self.close(link, reason);
            }
        };
        match self.proof_of(client, message) {
            Proof::Shown => self.log_on(link, client, message, "signed", now_ns),
            Proof::Wrong(reason) => self.refuse_secret(link, client, message, reason, now_ns),
            Proof::Password => {
                self.next_ticket += 1;
                let ticket = self.next_ticket;
                let Some(hash) = self.current_password(client) else {
                    let reason = "Logon while the changed passwords cannot be read";
                    return self.refuse_secret(link, client, message, reason, now_ns);
                };
                let password = message.get(tags::PASSWORD).unwrap_or_default().to_vec();
                let work = Work { ticket, hash, password };
                let taken = match message.get(tags::NEW_PASSWORD) {
                    None => self.verifier.submit(work),
                    Some(new) => self.verifier.submit_change(work, new.to_vec()),
                };
                if !taken {
                    return self.refuse_silently(link, client, "too many Logons at the same time", now_ns);
                }
                let message = message.bytes().to_vec();
                self.link(link).pending = Some(PendingLogon { ticket, client, message });
                self.finish_logons(now_ns);
            }
        }
    }

    /// Whose Logon it is; or why it is not looked at any further.
    fn check_first_message(
        &mut self,
        link: LinkId,
        message: &Message<'_>,
        now_ns: u64,
    ) -> Result<usize, &'static str> {
        if !Version::is_begin_string(message.get(tags::BEGIN_STRING).unwrap_or_default()) {
            return Err("first message is of an unknown version of FIX");
        }
        if message.message_type() != b"A" {
            return Err("first message is not a Logon");
        }
        if message.get(tags::TARGET_COMP_ID) != Some(self.config.target_comp_id.as_bytes()) {
            return Err("Logon with a TargetCompID that is not ours");
        }
        let address = self.link(link).address;
        let theirs = message.get(tags::SENDER_COMP_ID).unwrap_or_default();
        let Some(client) = self.by_comp_id.get(theirs).copied() else {
            self.guard.failed(None, address, now_ns);
            return Err("Logon of an unknown SenderCompID");
        };
        let user = &self.config.users[client];
        if !user.access.addresses.is_empty() && !user.access.addresses.iter().any(|it| it.contains(address)) {
            return Err("Logon from an address that is not allowed");
        }
        if user.access.certificate.is_some() && !self.shows_certificate(link, client) {
            self.guard.failed(Some(client), address, now_ns);
            return Err("Logon without the certificate that is this user's");
        }
        if self.guard.is_locked(client, address, now_ns) {
            return Err("Logon while locked out after too many failures");
        }
        if !has_good_time(message, user.session.check_latency, user.session.max_latency_ns, now_ns) {
            return Err("Logon with a SendingTime that is missing, malformed or too far from our clock");
        }
        if self.clients[client].session.is_connected() {
            return Err("Logon of a session that is logged on already");
        }
        Ok(client)
    }

    fn shows_certificate(&self, link: LinkId, client: usize) -> bool {
        let shown = self.links[link].as_ref().and_then(|link| link.security.certificate.as_ref());
        let wanted = self.config.users[client].access.certificate.as_ref();
        wanted.zip(shown).is_some_and(|(wanted, shown)| wanted.is_of(shown))
    }

    fn proof_of(&mut self, client: usize, message: &Message<'_>) -> Proof {
        let user = &self.config.users[client];
        let name_ok = same(message.get(tags::USERNAME).unwrap_or_default(), user.username.as_bytes());
        match (&user.hmac_key, message.get(tags::RAW_DATA)) {
            (Some(key), Some(signature)) => {
                let sent_ns = message.get(tags::SENDING_TIME).and_then(parse_utc_timestamp).unwrap_or(0);
                if !key.verify(&signed_text(message), signature) || !name_ok {
                    return Proof::Wrong("Logon with a wrong signature");
                }
                if !self.guard.use_signature(client, sent_ns) {
                    return Proof::Wrong("Logon with a signature that was used before");
                }
                self.store.signed_is(client, sent_ns);
                Proof::Shown
            }
            _ if user.password.is_some() && message.get(tags::PASSWORD).is_some() && name_ok => {
                Proof::Password
            }
            _ => Proof::Wrong("Logon with a wrong user name, or without password or signature"),
        }
    }

    fn refuse_secret(
        &mut self,
        link: LinkId,
        client: usize,
        message: &Message<'_>,
        reason: &'static str,
        now_ns: u64,
    ) {
        let address = self.link(link).address;
        self.guard.failed(Some(client), address, now_ns);
        self.counters.refused_logons += 1;
        self.note_attempt_of(link, client, false, reason, now_ns);
        let text = "Logon refused: Username (553) or Password (554) is wrong";
        // Another connection may have logged on meanwhile; its stream is not ours to write to.
        if !self.clients[client].session.is_connected() {
            self.clients[client].session.refuse(message, text, now_ns, &self.store);
            let mut wire = std::mem::take(self.clients[client].session.wire());
            self.link(link).wire.append(&mut wire);
        }
        self.close(link, reason);
    }

    /// Goes on with the Logons whose passwords have been checked.
    pub(super) fn finish_logons(&mut self, now_ns: u64) {
        while let Some((ticket, right)) = self.verifier.poll() {
            let waits = |it: &PendingLogon| it.ticket == ticket;
            let found = self.links.iter_mut().enumerate().find_map(|(at, link)| {
                let pending = link.as_mut()?.pending.take_if(|it| waits(it))?;
                Some((at, pending))
            });
            let Some((link, pending)) = found else {
                match self.abandoned.iter().position(|it| it.ticket == ticket) {
                    Some(at) => self.finish_abandoned(at, right, now_ns),
                    // It is no Logon.
                    None => self.finish_change(ticket, right, now_ns),
                }
                continue;
            };
            let new_password = self.verifier.take_hash(ticket);
            self.link(link).stalled = true;
            self.touch_link(link);
            let mut index = FieldIndex::new();
            let message = index.parse(&pending.message).expect("it was parsed before");
            if !right {
                self.refuse_secret(link, pending.client, &message, "Logon with a wrong password", now_ns);
            } else if self.clients[pending.client].session.is_connected() {
                let reason = "Logon of a session that is logged on already";
                self.refuse_silently(link, pending.client, reason, now_ns);
            } else if let Some(new) = message.get(tags::NEW_PASSWORD) {
                self.log_on_with_change(link, pending.client, &message, (new, new_password), now_ns);
            } else {
                self.log_on(link, pending.client, &message, "password", now_ns);
            }
        }
    }

    /// The connection ends without a word.
    fn refuse_silently(&mut self, link: LinkId, client: usize, reason: &'static str, now_ns: u64) {
        self.counters.refused_logons += 1;
        self.note_attempt_of(link, client, false, reason, now_ns);
        self.close(link, reason);
    }

    /// The connection ends, with its Logon or without.
    pub(super) fn abandon_logon(&mut self, link: LinkId) {
        let link = self.link(link);
        if let Some(PendingLogon { ticket, client, .. }) = link.pending.take() {
            let (address, tls) = (link.address, link.security.tls);
            self.abandoned.push(AbandonedLogon { ticket, client, address, tls });
        }
    }

    /// The password of a Logon has been checked whose connection has ended. A wrong one counts: nobody gets more guesses, or
    /// our processor's time, by not waiting for the answer.
    fn finish_abandoned(&mut self, at: usize, right: bool, now_ns: u64) {
        let AbandonedLogon { ticket, client, address, tls } = self.abandoned.swap_remove(at);
        let _ = self.verifier.take_hash(ticket);
        self.counters.refused_logons += 1;
        if !right {
            self.guard.failed(Some(client), address, now_ns);
        }
        let reason = if right {
            "Logon whose connection ended before its password was checked"
        } else {
            "Logon with a wrong password"
        };
        let name = self.config.users[client].sender_comp_id.clone();
        self.attempts.note((address, tls), name.as_bytes(), false, reason, now_ns);
    }

    /// A Logon that changes the password: refused if it cannot, so that the client knows which one counts.
    fn log_on_with_change(
        &mut self,
        link: LinkId,
        client: usize,
        message: &Message<'_>,
        (new, hash): (&[u8], Option<PasswordHash>),
        now_ns: u64,
    ) {
        let another = message.get(tags::PASSWORD) != Some(new);
        if another && hash.is_some_and(|hash| self.keep_password(client, hash)) {
            return self.log_on(link, client, message, "password, changed", now_ns);
        }
        let reason = "Logon with a NewPassword that could not be kept";
        let text = "NewPassword (925) must have 1 to 64 bytes and be another one, or passwords cannot be changed here";
        self.counters.refused_logons += 1;
        self.note_attempt_of(link, client, false, reason, now_ns);
        self.clients[client].session.refuse(message, text, now_ns, &self.store);
        let mut wire = std::mem::take(self.clients[client].session.wire());
        self.link(link).wire.append(&mut wire);
        self.close(link, reason);
    }

    fn log_on(&mut self, link: LinkId, client: usize, message: &Message<'_>, how: &'static str, now_ns: u64) {
        let address = self.link(link).address;
        self.guard.succeeded(client, address);
        let resets = self.clients[client].session.resets();
        let policy = policy_of(message, self.config.users[client].on_disconnect);
        let session = &mut self.clients[client].session;
        let verdict = match policy {
            Ok(_) => session.on_logon(message, now_ns, &mut self.store),
            Err(text) => {
                session.refuse(message, text, now_ns, &self.store);
                Verdict::Disconnect("Logon with an impossible cancel on disconnect")
            }
        };
        if self.clients[client].session.resets() != resets {
            self.clients[client].forget_sequences();
        }
        match verdict {
            Verdict::Disconnect(reason) => {
                let mut wire = std::mem::take(self.clients[client].session.wire());
                self.link(link).wire.append(&mut wire);
                self.counters.refused_logons += 1;
                self.note_attempt_of(link, client, false, reason, now_ns);
                self.close(link, reason);
            }
            Verdict::Handled | Verdict::Application => {
                self.counters.logons += 1;
                self.note_attempt_of(link, client, true, how, now_ns);
                self.activity.clients.insert(client);
                self.clients[client].link = Some(link);
                self.link(link).client = Some(client);
                self.on_logged_on(client, policy.unwrap_or_default());
            }
        }
    }

    fn note_attempt_of(
        &mut self,
        link: LinkId,
        client: usize,
        accepted: bool,
        reason: &'static str,
        now_ns: u64,
    ) {
        let name = self.config.users[client].sender_comp_id.clone();
        self.note_attempt(link, name.as_bytes(), accepted, reason, now_ns);
    }

    pub(super) fn note_attempt(
        &mut self,
        link: LinkId,
        theirs: &[u8],
        accepted: bool,
        reason: &'static str,
        now_ns: u64,
    ) {
        let from = (self.link(link).address, self.link(link).security.tls);
        self.attempts.note(from, theirs, accepted, reason, now_ns);
    }
}
