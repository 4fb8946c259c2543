//! Native order entry: the engine's own records over framing in the style of SoupBinTCP, for those who count microseconds.
//!
//! A client logs on, sends commands, and gets the events of its account, from any sequence on. Nothing is stored for it:
//! an event's place is its command's sequence and its index in that command, and what is past is read from the event
//! journal. `docs/binary.md` has it byte by byte. Like [`crate::Gateway`] this has no sockets and no clock of its own.

mod command;
mod config;
mod endpoint;
mod feed;
mod login;
mod replay;
pub mod wire;

use std::collections::HashMap;
use std::net::IpAddr;

use machine::{Record, Source};
use protocol::{
    AccountId, CancelReason, ClientOrderId, CommandKind, EventKind, MassCancel, MassCancelDone, Rejected,
};
use zerocopy::IntoBytes as _;

pub use config::BinaryConfig;

use crate::Acceptor;
use crate::access::{
    Attempts, AuditLog, FirmThrottles, LogonGuard, ThreadVerifier, Throttle, ThrottleVerdict, Verifier,
};
use crate::endpoint::Endpoint;
use crate::gateway::{CommandPort, GatewayCounters, GatewayError, LinkId};
use crate::transport::Security;
use command::{Refused, check, is_cancel};
use feed::{Audience, Feed, Viewer, audience};
use login::{AbandonedLogin, Login};
use replay::Replay;
use wire::{Packet, Refusal, RefusalReason, find_packet, packet, push_packet};

/// The server says that it is there when it has sent nothing for so long.
const HEARTBEAT_NS: u64 = 1_000_000_000;
/// A client that has sent nothing for so long has gone.
const SILENCE_NS: u64 = 15_000_000_000;
/// New events that wait while older ones are read from the journal; beyond, they are read from there too.
const HELD_BYTES: usize = 1 << 20;
/// A replay waits while so much of it is on its way to the client.
const REPLAY_AHEAD_BYTES: usize = 256 * 1024;
/// Replays at the same time, each with a thread; more wait.
const REPLAYS: usize = 8;
/// After the engine had no room for a cancel on disconnect it is sent again so much later.
const AGAIN_NS: u64 = 50_000_000;
/// Client order id of the mass cancel that a lost connection causes.
const ON_DISCONNECT: &[u8] = b"cancel-on-disconnect";

/// One user.
struct Session {
    viewer: Viewer,
    link: Option<LinkId>,
    /// Commands sent whose events have not come yet.
    in_flight: usize,
    throttle: Throttle,
    firm: Option<usize>,
    /// Sequence of the last order that it may have entered; 0 if none can be live.
    last_entered: u64,
    /// When its orders are cancelled, unless it comes back before.
    cancel_due_ns: Option<u64>,
}

/// Where a connection is in its life.
enum State {
    /// Not logged on.
    Stranger,
    /// Its password is being checked.
    Checking { ticket: u64, login: Box<Login> },
    /// It is who it says; its replay has not begun because of others.
    Queued(Box<Login>),
    /// It gets events of the past.
    Replaying(Box<Replaying>),
    /// It gets events as they happen.
    Live(usize),
}

struct Replaying {
    session: usize,
    from: u64,
    /// Up to where the journal is read.
    until: u64,
    replay: Replay,
    /// Whether the events are there, and the login has been accepted.
    opened: bool,
    /// Packets of events after `until`; `None` if there were too many.
    held: Option<Vec<u8>>,
}

/// One byte stream.
struct Link {
    address: IpAddr,
    security: Security,
    state: State,
    input: Vec<u8>,
    output: Vec<u8>,
    feed: Feed,
    opened_ns: u64,
    received_ns: u64,
    sent_ns: u64,
    /// Command packets so far, and how many of them have been counted against the throttle.
    messages: u64,
    counted: u64,
    closing: Option<&'static str>,
    stalled: bool,
}

impl Link {
    fn new(address: IpAddr, now_ns: u64) -> Self {
        Self {
            address,
            security: Security::default(),
            state: State::Stranger,
            input: Vec::new(),
            output: Vec::new(),
            feed: Feed::default(),
            opened_ns: now_ns,
            received_ns: now_ns,
            sent_ns: now_ns,
            messages: 0,
            counted: 0,
            closing: None,
            stalled: false,
        }
    }

    /// The session whose client this is, once its login has been accepted.
    fn session(&self) -> Option<usize> {
        match &self.state {
            State::Live(session) => Some(*session),
            State::Replaying(it) if it.opened => Some(it.session),
            _ => None,
        }
    }

    fn send(&mut self, kind: u8, parts: &[&[u8]], now_ns: u64) {
        push_packet(&mut self.output, kind, parts);
        self.sent_ns = now_ns;
    }
}

/// The binary gateway. See the module's documentation.
pub struct BinaryGateway {
    config: BinaryConfig,
    sessions: Vec<Session>,
    by_name: HashMap<Vec<u8>, usize>,
    by_account: HashMap<AccountId, usize>,
    links: Vec<Option<Link>>,
    counters: GatewayCounters,
    /// Sequence of the last command whose events have all been folded.
    applied: u64,
    /// Sequence and next index of the command whose events are coming in.
    current: Option<(u64, u32)>,
    /// Links that the current command's events were written for.
    touched: Vec<LinkId>,
    shutting_down: bool,
    /// Time of the last duty cycle; 0 before the first.
    now_ns: u64,
    verifier: Box<dyn Verifier>,
    next_ticket: u64,
    guard: LogonGuard,
    attempts: Attempts,
    abandoned: Vec<AbandonedLogin>,
    notes: Vec<String>,
    firms: FirmThrottles,
}

impl Acceptor<BinaryGateway> {
    /// Listens for binary clients.
    ///
    /// # Errors
    /// [`GatewayError`]
    pub fn open_binary(config: BinaryConfig) -> Result<Self, GatewayError> {
        let (bind, tls) = (config.bind, config.tls.clone());
        let audit = config.audit_path.as_deref().map(AuditLog::open).transpose()?;
        let gateway = BinaryGateway::open_with(config, Box::new(ThreadVerifier::start()?))?;
        Self::listen(gateway, bind, tls.as_ref(), audit)
    }
}

impl BinaryGateway {
    /// Checks the configuration. Passwords are checked by `verifier`.
    ///
    /// # Errors
    /// [`GatewayError::Config`]
    pub fn open_with(config: BinaryConfig, verifier: Box<dyn Verifier>) -> Result<Self, GatewayError> {
        config.validate()?;
        let session_of = |(index, user): (usize, &crate::UserConfig)| {
            let source = Source { gateway: config.gateway, session: index as u16 + 1 };
            let firm = user.access.firm.as_ref();
            Session {
                viewer: Viewer { account: user.account, source },
                link: None,
                in_flight: 0,
                throttle: Throttle::new(&user.access.throttle),
                firm: firm.and_then(|firm| config.firms.keys().position(|name| name == firm)),
                last_entered: 0,
                cancel_due_ns: None,
            }
        };
        let users = config.users.iter().enumerate();
        Ok(Self {
            sessions: users.clone().map(session_of).collect(),
            by_name: users.clone().map(|(at, user)| (user.username.as_bytes().to_vec(), at)).collect(),
            by_account: users.map(|(at, user)| (user.account, at)).collect(),
            links: Vec::new(),
            counters: GatewayCounters::default(),
            applied: 0,
            current: None,
            touched: Vec::new(),
            shutting_down: false,
            now_ns: 0,
            verifier,
            next_ticket: 0,
            guard: config.logon_guard.clone().unwrap_or_else(|| LogonGuard::new(&config.limits)),
            attempts: Attempts::default(),
            abandoned: Vec::new(),
            notes: Vec::new(),
            firms: config.firm_throttles.clone().unwrap_or_else(|| FirmThrottles::new(&config.firms)),
            config,
        })
    }

    /// Counts so far.
    #[must_use]
    pub fn counters(&self) -> GatewayCounters {
        self.counters
    }

    /// Sequence of the last command whose events have all been folded; 0 before the first.
    #[must_use]
    pub fn applied_sequence(&self) -> u64 {
        self.applied
    }

    fn link(&mut self, link: LinkId) -> &mut Link {
        self.links[link].as_mut().expect("the transport names links that are connected")
    }

    fn session_of(&self, source: Source) -> Option<usize> {
        let session = usize::from(source.session).checked_sub(1)?;
        (source.gateway == self.config.gateway && session < self.sessions.len()).then_some(session)
    }

    /// Sends an event to those that may see it and are connected.
    fn distribute(&mut self, event: Record<'_>, index: u32) {
        match audience(event) {
            Audience::None => {}
            Audience::All => (0..self.sessions.len()).for_each(|session| self.write(session, event, index)),
            Audience::Accounts(one, other) => {
                for account in [Some(one), other].into_iter().flatten() {
                    if let Some(&session) = self.by_account.get(&account) {
                        self.write(session, event, index);
                    }
                }
            }
        }
    }

    fn write(&mut self, session: usize, event: Record<'_>, index: u32) {
        let Session { viewer, link: Some(at), .. } = self.sessions[session] else { return };
        let link = self.links[at].as_mut().expect("a session's link is connected");
        let out = match &mut link.state {
            State::Live(_) => &mut link.output,
            State::Replaying(it) => match &mut it.held {
                Some(held) => held,
                None => return,
            },
            _ => return,
        };
        self.counters.reports += 1;
        link.feed.push(event, index, viewer, out);
        if self.touched.last() != Some(&at) {
            self.touched.push(at);
        }
    }

    /// All events of a command are in.
    fn finish_command(&mut self) {
        for at in self.touched.drain(..) {
            // It may have gone between two events of the command.
            let Some(link) = &mut self.links[at] else { continue };
            match &mut link.state {
                State::Live(_) => link.feed.finish_command(&mut link.output),
                State::Replaying(it) => {
                    if let Some(held) = &mut it.held {
                        link.feed.finish_command(held);
                        if held.len() > HELD_BYTES {
                            it.held = None;
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// What the gateway itself must know of an event.
    fn note(&mut self, event: Record<'_>) {
        if let Some(done) = event.body_as::<MassCancelDone>()
            && done.client_order_id.as_bytes_trimmed() == ON_DISCONNECT
            && let Some(&session) = self.by_account.get(&done.account)
            && self.sessions[session].last_entered <= done.begun_sequence
        {
            self.sessions[session].last_entered = 0;
        }
        let header = event.header();
        let Some(session) = self.session_of(header.source) else { return };
        let session = &mut self.sessions[session];
        match EventKind::from_code(header.kind) {
            Some(EventKind::OrderAccepted | EventKind::ExtendedOrderAccepted) => {
                session.last_entered = header.sequence;
            }
            Some(EventKind::Rejected) => {
                let ours = |it: &&Rejected| {
                    it.command_kind == CommandKind::MassCancel.code()
                        && it.client_order_id.as_bytes_trimmed() == ON_DISCONNECT
                };
                if event.body_as::<Rejected>().as_ref().is_some_and(ours) {
                    // The engine is busy with as many mass cancels as it can hold.
                    session.cancel_due_ns = Some(header.timestamp_ns + AGAIN_NS);
                }
            }
            _ => {}
        }
        if event.is_last_event() {
            session.in_flight = session.in_flight.saturating_sub(1);
        }
    }

    fn close(&mut self, link: LinkId, reason: &'static str, now_ns: u64) {
        self.detach(link, now_ns);
        let link = self.link(link);
        link.closing = Some(reason);
        link.input.clear();
        link.stalled = false;
    }

    /// Parts a link from its session, whose orders are cancelled if they are to be.
    fn detach(&mut self, link: LinkId, now_ns: u64) {
        self.abandon_login(link, now_ns);
        let Some(session) = self.sessions.iter_mut().find(|it| it.link == Some(link)) else { return };
        session.link = None;
        if self.config.cancel_on_disconnect {
            session.cancel_due_ns = Some(now_ns.saturating_add(self.config.cancel_grace_ns));
        }
    }

    /// Ends a link with words for its client.
    fn end(&mut self, link: LinkId, reason: &'static str, now_ns: u64) {
        self.link(link).send(packet::END_OF_SESSION, &[reason.as_bytes()], now_ns);
        self.close(link, reason, now_ns);
    }

    fn receive_all(&mut self, link: LinkId, input: &[u8], now_ns: u64, port: &mut dyn CommandPort) -> usize {
        let mut at = 0;
        self.link(link).stalled = false;
        while self.closing(link).is_none() && !self.is_stalled(link) {
            match find_packet(&input[at..], self.config.limits.message_bytes) {
                Packet::Incomplete => break,
                Packet::Bad if self.link(link).session().is_some() => {
                    self.end(link, "received a packet longer than allowed, or of no length", now_ns);
                }
                Packet::Bad => self.close(link, "received bytes that are no Login Request", now_ns),
                Packet::Whole(kind, payload, length) => {
                    if !self.on_packet(link, kind, payload, now_ns, port) {
                        self.counters.stalls += 1;
                        self.link(link).stalled = true;
                        break;
                    }
                    self.counters.messages_in += 1;
                    at += length;
                }
            }
        }
        at
    }

    /// `false`: there is no room for it now, and it has not been received.
    fn on_packet(
        &mut self,
        link: LinkId,
        kind: u8,
        payload: &[u8],
        now_ns: u64,
        port: &mut dyn CommandPort,
    ) -> bool {
        self.link(link).received_ns = now_ns;
        let Some(session) = self.link(link).session() else {
            self.on_first_packet(link, kind, payload, now_ns);
            return true;
        };
        match kind {
            packet::UNSEQUENCED => return self.on_command(link, session, payload, now_ns, port),
            packet::CLIENT_HEARTBEAT => {}
            packet::LOGOUT => self.end(link, "the client has logged out", now_ns),
            _ => self.end(link, "received a packet of an unknown type", now_ns),
        }
        true
    }

    fn on_command(
        &mut self,
        link: LinkId,
        session: usize,
        payload: &[u8],
        now_ns: u64,
        port: &mut dyn CommandPort,
    ) -> bool {
        let it = self.link(link);
        let number = it.messages + 1;
        // One that has to wait for room is counted once.
        let counted = std::mem::replace(&mut it.counted, number) == number;
        let verdict = if counted { ThrottleVerdict::Pass } else { self.count(session, payload, now_ns) };
        if verdict == ThrottleVerdict::LogOut {
            self.end(link, "too many messages a second", now_ns);
            return true;
        }
        let permissions = self.config.users[session].access.permissions;
        let outcome = match check(payload, self.sessions[session].viewer, permissions) {
            Ok(it) if verdict == ThrottleVerdict::Reject => Err(it.refused(RefusalReason::TooManyMessages)),
            Ok(it) if !it.cancels && port.is_disk_full() => Err(it.refused(RefusalReason::DiskFull)),
            outcome => outcome,
        };
        match outcome {
            Ok(command) => {
                let it = &mut self.sessions[session];
                let room = it.in_flight < self.config.limits.commands_in_flight;
                if !room || !port.try_send(it.viewer.source.session, command.kind, 1, command.body) {
                    return false;
                }
                it.in_flight += 1;
                self.counters.commands += 1;
            }
            Err(refused) => self.refuse(link, refused, number, now_ns),
        }
        self.link(link).messages = number;
        true
    }

    fn refuse(&mut self, link: LinkId, refused: Refused, message_number: u64, now_ns: u64) {
        if refused.reason == RefusalReason::TooManyMessages {
            self.counters.throttled += 1;
        }
        let refusal = Refusal {
            message_number: message_number.into(),
            kind: refused.kind.into(),
            reason: (refused.reason as u16).into(),
            client_order_id: refused.client_order_id,
        };
        self.link(link).send(packet::REFUSED, &[refusal.as_bytes()], now_ns);
    }

    /// Counts a command against the session's and the firm's throttle.
    fn count(&mut self, session: usize, payload: &[u8], now_ns: u64) -> ThrottleVerdict {
        let cancel = is_cancel(payload);
        let it = &mut self.sessions[session];
        let of_session = it.throttle.take(cancel, now_ns);
        let of_firm = it.firm.map_or(ThrottleVerdict::Pass, |firm| self.firms.take(firm, cancel, now_ns));
        of_session.max(of_firm)
    }

    /// Cancels the orders of sessions that have been away for too long.
    fn cancel_for_absent(&mut self, now_ns: u64, port: &mut dyn CommandPort) {
        for session in &mut self.sessions {
            if session.link.is_some() {
                session.cancel_due_ns = None;
            }
            if session.cancel_due_ns.is_none_or(|due_ns| now_ns < due_ns) {
                continue;
            }
            // Commands that are still on their way may enter orders: the mass cancel comes behind them in the ring.
            if session.last_entered > 0 || session.in_flight > 0 {
                let Viewer { account, source } = session.viewer;
                let command = MassCancel {
                    account,
                    client_order_id: ClientOrderId::from_text(ON_DISCONNECT).unwrap_or_default(),
                    gateway: source.gateway,
                    session: source.session,
                    of_session: 1,
                    reason: CancelReason::Disconnected.code(),
                    ..MassCancel::default()
                };
                let kind = CommandKind::MassCancel.code();
                if !port.try_send(source.session, kind, 1, command.as_bytes()) {
                    return;
                }
                self.counters.commands += 1;
                session.in_flight += 1;
            }
            session.cancel_due_ns = None;
        }
    }

    fn watch_links(&mut self, now_ns: u64) {
        for at in 0..self.links.len() {
            let Some(link) = &mut self.links[at] else { continue };
            if link.closing.is_some() {
                continue;
            }
            let silent_ns = now_ns.saturating_sub(link.received_ns);
            if link.session().is_none() {
                let waits = matches!(link.state, State::Stranger | State::Checking { .. });
                if waits && now_ns.saturating_sub(link.opened_ns) >= self.config.limits.logon_timeout_ns {
                    self.close(at, "no Login Request in time", now_ns);
                }
            } else if link.output.len() > self.config.limits.output_bytes {
                self.counters.slow_consumers += 1;
                link.output.clear();
                self.close(at, "slow consumer: too many bytes not read", now_ns);
            } else if silent_ns >= SILENCE_NS && !link.stalled {
                self.end(at, "no heartbeat for 15 seconds", now_ns);
            } else if now_ns.saturating_sub(link.sent_ns) >= HEARTBEAT_NS {
                self.heartbeat(at, now_ns);
            }
        }
    }

    /// Tells the client up to where it has all its events: not while some are still to come from the journal.
    fn heartbeat(&mut self, link: LinkId, now_ns: u64) {
        let applied = match self.link(link).state {
            State::Live(_) => self.applied,
            _ => 0,
        };
        self.link(link).send(packet::SERVER_HEARTBEAT, &[&applied.to_le_bytes()], now_ns);
    }
}
