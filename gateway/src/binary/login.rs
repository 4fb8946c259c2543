//! From the first packet to the first event: who it is, from where it wants events, and how it gets to the present.

use std::io;
use std::net::IpAddr;

use protocol::AccountId;
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::replay::{Replay, Step};
use super::wire::{LoginAccepted, LoginReject, LoginRequest, VERSION, packet, unpadded};
use super::{BinaryGateway, REPLAY_AHEAD_BYTES, REPLAYS, Replaying, State};
use crate::access::{ChangedPasswords, PasswordHash, Work};
use crate::gateway::LinkId;

const WRONG_SECRET: &str = "login with a wrong user name or password";
const ENDED_EARLY: &str = "login whose connection ended before it was answered";

/// A login whose connection did not wait for its password to be checked.
pub(super) struct AbandonedLogin {
    ticket: u64,
    login: Box<Login>,
    /// Address, and whether over TLS.
    from: (IpAddr, bool),
}

/// A login that is being looked at.
pub(super) struct Login {
    /// Who it is; `None` if there is no such user, whose password is checked all the same: an answer that comes sooner
    /// would tell.
    session: Option<usize>,
    name: Vec<u8>,
    from: u64,
}

impl BinaryGateway {
    pub(super) fn on_first_packet(&mut self, link: LinkId, kind: u8, payload: &[u8], now_ns: u64) {
        let request = LoginRequest::read_from_bytes(payload);
        let (packet::LOGIN_REQUEST, Ok(request)) = (kind, request) else {
            self.counters.refused_logons += 1;
            self.note_attempt(link, b"", false, "first packet is not a Login Request", now_ns);
            return self.close(link, "first packet is not a Login Request", now_ns);
        };
        let name = unpadded(&request.username).unwrap_or_default().to_vec();
        if request.version.get() != VERSION || request.reserved != [0; 6] {
            let reason = "login in another version of the protocol";
            return self.reject(link, &name, LoginReject::Version, reason, now_ns);
        }
        let password = unpadded(&request.password).unwrap_or_default().to_vec();
        let address = self.link(link).address;
        let session = match self.session_that_may(link, &name) {
            Ok(session) => session,
            Err(reason) => {
                self.guard.failed(None, address, now_ns);
                return self.reject(link, &name, LoginReject::NotAuthorized, reason, now_ns);
            }
        };
        if self.guard.is_locked(session.unwrap_or(usize::MAX), address, now_ns) {
            let reason = "login while locked out after too many failures";
            return self.reject(link, &name, LoginReject::NotAuthorized, reason, now_ns);
        }
        let own = match session.map_or(Ok(None), |session| self.password_of(session)) {
            Ok(own) => own,
            Err(error) => {
                self.notes.push(format!("a login was refused: {error}"));
                let reason = "the changed passwords cannot be read";
                return self.reject(link, &name, LoginReject::NotAuthorized, reason, now_ns);
            }
        };
        let (known, users) = (own.is_some(), &self.config.users);
        // Any hash takes as long as the one that there is not.
        let any = || users.iter().find_map(|user| user.password.clone());
        let Some(hash) = own.or_else(any) else {
            let reason = "no user of this exchange has a password";
            return self.reject(link, &name, LoginReject::NotAuthorized, reason, now_ns);
        };
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        if !self.verifier.submit(Work { ticket, hash, password }) {
            let reason = "too many logins at the same time";
            return self.reject(link, &name, LoginReject::Busy, reason, now_ns);
        }
        let session = session.filter(|_| known);
        let login = Box::new(Login { session, name, from: request.from_sequence.get() });
        self.link(link).state = State::Checking { ticket, login };
    }

    /// What a user's password must hash to: the one that it has changed it to, if it has.
    fn password_of(&self, session: usize) -> io::Result<Option<PasswordHash>> {
        let user = &self.config.users[session];
        let Some(configured) = &user.password else { return Ok(None) };
        let changed = self.config.passwords_path.as_deref().map(ChangedPasswords::open).transpose()?;
        let current = |changed: ChangedPasswords| changed.current(&user.sender_comp_id, configured);
        Ok(Some(changed.map_or_else(|| configured.clone(), current)))
    }

    /// The session with this name if it may come this way; `None` if there is no such name.
    fn session_that_may(&mut self, link: LinkId, name: &[u8]) -> Result<Option<usize>, &'static str> {
        let Some(session) = self.by_name.get(name).copied() else { return Ok(None) };
        let link = self.links[link].as_ref().expect("the transport names links that are connected");
        let access = &self.config.users[session].access;
        if !access.addresses.is_empty() && !access.addresses.iter().any(|it| it.contains(link.address)) {
            return Err("login from an address that is not allowed");
        }
        if self.config.users[session].account == AccountId::WORLD {
            return Err("login of a user without an account");
        }
        let shown = link.security.certificate.as_ref();
        match &access.certificate {
            Some(wanted) if !shown.is_some_and(|shown| wanted.is_of(shown)) => {
                Err("login without the certificate that is this user's")
            }
            _ => Ok(Some(session)),
        }
    }

    fn reject(&mut self, link: LinkId, name: &[u8], code: LoginReject, reason: &'static str, now_ns: u64) {
        self.counters.refused_logons += 1;
        self.note_attempt(link, name, false, reason, now_ns);
        self.link(link).state = State::Stranger;
        self.link(link).send(packet::LOGIN_REJECTED, &[&[code as u8]], now_ns);
        self.close(link, reason, now_ns);
    }

    /// Goes on with the logins whose passwords have been checked. Called between two commands.
    pub(super) fn finish_logins(&mut self, now_ns: u64) {
        while let Some((ticket, right)) = self.verifier.poll() {
            let waits =
                |state: &State| matches!(state, State::Checking { ticket: own, .. } if *own == ticket);
            let found = self.links.iter_mut().enumerate().find_map(|(at, link)| {
                let state = &mut link.as_mut()?.state;
                if !waits(state) {
                    return None;
                }
                match std::mem::replace(state, State::Stranger) {
                    State::Checking { login, .. } => Some((at, login)),
                    _ => None,
                }
            });
            match found {
                Some((link, login)) => self.on_checked(link, login, right, now_ns),
                None => self.finish_abandoned(ticket, right, now_ns),
            }
        }
        for link in 0..self.links.len() {
            let queued = self.links[link].as_ref().is_some_and(|it| matches!(it.state, State::Queued(_)));
            if queued && self.replays() < REPLAYS {
                let state = std::mem::replace(&mut self.link(link).state, State::Stranger);
                if let State::Queued(login) = state {
                    self.admit(link, login, now_ns);
                }
            }
        }
    }

    /// A link ends, and with it what it was: a login that has had no answer is an attempt all the same.
    pub(super) fn abandon_login(&mut self, link: LinkId, now_ns: u64) {
        let name = match std::mem::replace(&mut self.link(link).state, State::Stranger) {
            State::Checking { ticket, login } => {
                let from = (self.link(link).address, self.link(link).security.tls);
                return self.abandoned.push(AbandonedLogin { ticket, login, from });
            }
            State::Queued(login) => login.name,
            State::Replaying(it) if !it.opened => self.config.users[it.session].username.clone().into_bytes(),
            _ => return,
        };
        self.counters.refused_logons += 1;
        self.note_attempt(link, &name, false, ENDED_EARLY, now_ns);
    }

    /// The password of a login has been checked whose connection has ended. A wrong one counts: nobody gets more guesses, or
    /// our processor's time, by not waiting for the answer.
    fn finish_abandoned(&mut self, ticket: u64, right: bool, now_ns: u64) {
        let Some(at) = self.abandoned.iter().position(|it| it.ticket == ticket) else { return };
        let AbandonedLogin { login, from, .. } = self.abandoned.swap_remove(at);
        self.counters.refused_logons += 1;
        let right = right && login.session.is_some();
        if !right {
            self.guard.failed(login.session, from.0, now_ns);
        }
        let reason = if right { ENDED_EARLY } else { WRONG_SECRET };
        self.attempts.note(from, &login.name, false, reason, now_ns);
    }

    fn replays(&self) -> usize {
        self.links.iter().flatten().filter(|link| matches!(link.state, State::Replaying(_))).count()
    }

    fn on_checked(&mut self, link: LinkId, login: Box<Login>, right: bool, now_ns: u64) {
        let address = self.link(link).address;
        let Some(session) = login.session.filter(|_| right) else {
            self.guard.failed(login.session, address, now_ns);
            return self.reject(link, &login.name, LoginReject::NotAuthorized, WRONG_SECRET, now_ns);
        };
        self.guard.succeeded(session, address);
        if self.sessions[session].link.is_some() {
            let reason = "login of a session that is logged on already";
            return self.reject(link, &login.name, LoginReject::AlreadyLoggedOn, reason, now_ns);
        }
        self.sessions[session].link = Some(link);
        self.admit(link, login, now_ns);
    }

    /// It is who it says: gives it its place in the stream of events, or lets it wait for one.
    fn admit(&mut self, link: LinkId, login: Box<Login>, now_ns: u64) {
        let session = login.session.expect("only users that exist are admitted");
        let applied = self.applied;
        let from = if login.from == 0 { applied + 1 } else { login.from };
        if from > applied + 1 {
            let reason = "login from a sequence that is after the journal's end";
            return self.reject(link, &login.name, LoginReject::SequenceNotAvailable, reason, now_ns);
        }
        if from == applied + 1 {
            self.link(link).state = State::Live(session);
            return self.accept(link, session, from, now_ns);
        }
        if self.replays() >= REPLAYS {
            self.link(link).state = State::Queued(login);
            return;
        }
        let viewer = self.sessions[session].viewer;
        match Replay::start(self.config.events_folder.clone(), viewer, from, applied) {
            Ok(replay) => {
                let held = Some(Vec::new());
                let replaying = Replaying { session, from, until: applied, replay, opened: false, held };
                self.link(link).state = State::Replaying(Box::new(replaying));
            }
            Err(_) => {
                let reason = "no thread for a replay";
                self.reject(link, &login.name, LoginReject::Busy, reason, now_ns);
            }
        }
    }

    fn accept(&mut self, link: LinkId, session: usize, from: u64, now_ns: u64) {
        let viewer = self.sessions[session].viewer;
        let accepted = LoginAccepted {
            version: VERSION.into(),
            gateway: viewer.source.gateway.into(),
            session: viewer.source.session.into(),
            cancel_on_disconnect: u8::from(self.config.cancel_on_disconnect),
            reserved: 0,
            account: viewer.account.0.into(),
            max_packet_bytes: (self.config.limits.message_bytes as u32).into(),
            from_sequence: from.into(),
            last_sequence: self.applied.into(),
        };
        self.counters.logons += 1;
        let name = self.config.users[session].username.clone();
        self.note_attempt(link, name.as_bytes(), true, "password", now_ns);
        let link = self.link(link);
        link.received_ns = now_ns;
        link.send(packet::LOGIN_ACCEPTED, &[accepted.as_bytes()], now_ns);
        // What has come meanwhile is dealt with in the next duty cycle.
        link.stalled = true;
    }

    /// Hands on what replays have read. Called between two commands.
    pub(super) fn go_on_with_replays(&mut self, now_ns: u64) {
        for link in 0..self.links.len() {
            while let Some((session, step)) = self.next_step(link) {
                self.on_step(link, session, step, now_ns);
            }
        }
    }

    /// The next step of a link's replay, unless the client has enough to read already.
    fn next_step(&mut self, link: LinkId) -> Option<(usize, Step)> {
        let open = self.links[link].as_ref()?;
        let State::Replaying(replaying) = &open.state else { return None };
        let step = (open.output.len() < REPLAY_AHEAD_BYTES).then(|| replaying.replay.poll())??;
        Some((replaying.session, step))
    }

    fn on_step(&mut self, link: LinkId, session: usize, step: Step, now_ns: u64) {
        match step {
            Step::Packets(packets) if packets.is_empty() => {}
            Step::Packets(packets) => {
                let open = self.link(link);
                open.output.extend_from_slice(&packets);
                open.sent_ns = now_ns;
            }
            Step::Opened => {
                if let State::Replaying(replaying) = &mut self.link(link).state {
                    replaying.opened = true;
                    let from = replaying.from;
                    self.accept(link, session, from, now_ns);
                }
            }
            Step::Done => self.on_replayed(link, now_ns),
            Step::Gone => {
                let name = self.config.users[session].username.clone();
                let reason = "login from a sequence whose events are gone";
                let code = LoginReject::SequenceNotAvailable;
                self.reject(link, name.as_bytes(), code, reason, now_ns);
            }
            Step::Failed(error) => {
                self.notes.push(format!("a replay has failed: {error}"));
                self.end(link, "the event journal cannot be read", now_ns);
            }
        }
    }

    /// The journal has been read up to where new events were held, or up to where there were too many of them.
    fn on_replayed(&mut self, link: LinkId, now_ns: u64) {
        let applied = self.applied;
        let open = self.link(link);
        let State::Replaying(replaying) = &mut open.state else { return };
        match replaying.held.take() {
            Some(held) => {
                open.output.extend_from_slice(&held);
                open.state = State::Live(replaying.session);
                self.heartbeat(link, now_ns);
            }
            None => {
                replaying.until = applied;
                replaying.held = Some(Vec::new());
                replaying.replay.go_on(applied);
            }
        }
    }

    pub(super) fn note_attempt(
        &mut self,
        link: LinkId,
        name: &[u8],
        accepted: bool,
        reason: &'static str,
        now_ns: u64,
    ) {
        let from = (self.link(link).address, self.link(link).security.tls);
        self.attempts.note(from, name, accepted, reason, now_ns);
    }
}
