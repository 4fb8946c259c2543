//! The gateway without its sockets: connections as byte streams in and out, commands out through a [`CommandPort`],
//! events in.
//!
//! One duty cycle is: events ([`Gateway::on_event`]), received bytes ([`Gateway::receive`]), time
//! ([`Gateway::on_tick`]), then [`Gateway::commit`]; only after it has returned `true` may what stands in
//! [`Gateway::output`] be sent.

mod account;
mod activity;
mod client;
mod disconnect;
pub(crate) mod dispatch;
mod drop_copy;
mod logon;
mod market_data;
mod mass_cancel;
mod opening;
mod order_cancel;
mod order_entry;
mod order_list;
mod order_status;
mod user_request;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use machine::{Record, Source};
use protocol::ClientOrderId;

use crate::access::{Attempt, Attempts, ChangedPasswords, FirmThrottles, LogonGuard, PasswordHash, Verifier};
use crate::config::{ConfigError, GatewayConfig};
use crate::drop_copy::{Owners, message_type, write_report};
use crate::fix::{FieldIndex, Frame, Message, find_frame, tags};
use crate::market::Market;
use crate::orders::{Asked, Orders, Report, Reports};
use crate::rebuild::Origin;
use crate::session::{CLIENT_LOGGED_OUT, LOGGED_OUT, Verdict};
use crate::store::{Store, StoreError};
use crate::transport::Security;
use activity::Activity;
use client::Client;
use disconnect::Ending;
use drop_copy::DropCopies;
use user_request::PendingChange;

/// Where commands go: a ring to the sequencer.
pub trait CommandPort {
    /// Hands over one command of a session of this gateway. `false` says that there is no room now; the gateway asks
    /// again later and reads no more from that client until then.
    fn try_send(&mut self, session: u16, kind: u16, schema_version: u8, body: &[u8]) -> bool;

    /// Whether the journal's disk is full: new orders and replacements are then refused by name, cancels are taken.
    fn is_disk_full(&self) -> bool {
        false
    }
}

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The configuration is wrong.
    #[error("FIX gateway configuration: {0}")]
    Config(#[from] ConfigError),
    /// The session store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal is not the one that the session store has followed.
    #[error(
        "session store {} has reports up to sequence {stored}, but the journal ends at {journal}: put the right \
         journal back, or move the store away and have all clients log on with ResetSeqNumFlag (141=Y)",
        path.display()
    )]
    AheadOfJournal {
        /// The store's file.
        path: PathBuf,
        /// Last sequence that the store has seen.
        stored: u64,
        /// Last sequence of the recovered events.
        journal: u64,
    },
    /// A file or socket failed.
    #[error("FIX gateway: {0}")]
    Io(#[from] io::Error),
}

/// Counts of what went on, for the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GatewayCounters {
    /// Logons accepted.
    pub logons: u64,
    /// Logons refused.
    pub refused_logons: u64,
    /// Messages received in whole.
    pub messages_in: u64,
    /// Bytes skipped because they were no message.
    pub garbled_bytes: u64,
    /// Commands handed to the sequencer.
    pub commands: u64,
    /// Times that a client had to wait because the ring was full or too much was in flight.
    pub stalls: u64,
    /// Connections closed because the client did not read.
    pub slow_consumers: u64,
    /// Application messages sent or stored for a client that is away.
    pub reports: u64,
    /// Messages rejected because there were too many.
    pub throttled: u64,
}

/// A connection's place in the gateway.
pub type LinkId = usize;

/// A Logon whose password is being checked.
struct PendingLogon {
    ticket: u64,
    client: usize,
    message: Vec<u8>,
}

/// The same after its connection has ended.
struct AbandonedLogon {
    ticket: u64,
    client: usize,
    address: IpAddr,
    tls: bool,
}

/// One byte stream.
struct Link {
    address: IpAddr,
    security: Security,
    pending: Option<PendingLogon>,
    input: Vec<u8>,
    /// Output of a link without a session; a session has its own.
    wire: Vec<u8>,
    client: Option<usize>,
    opened_ns: u64,
    /// Set when it shall be closed once its output has been sent.
    closing: Option<&'static str>,
    stalled: bool,
}

/// What became of an application message.
enum Taken {
    /// It has been dealt with.
    Yes,
    /// There is no room for its command now.
    NotNow,
    /// It has not been received; the session is being ended.
    Dropped,
}

/// What became of a message.
enum Flow {
    Next,
    /// It could not be dealt with now and has not been received.
    Stalled,
}

/// What a report is made of: its event, and what a reject's event does not say of the request.
type MadeOf<'a> = (Origin, Option<&'a Asked>);

/// The gateway. See the module's documentation.
pub struct Gateway {
    config: GatewayConfig,
    clients: Vec<Client>,
    by_comp_id: HashMap<Vec<u8>, usize>,
    orders: Orders,
    market: Option<Market>,
    store: Store,
    links: Vec<Option<Link>>,
    index: FieldIndex,
    counters: GatewayCounters,
    /// Numbers the reports that have no event.
    local_reports: u64,
    /// Sequence of the last command whose events have all been folded, and its time.
    applied: u64,
    applied_ns: u64,
    /// Last sequence of the journal, as far as known.
    journal_end: u64,
    owners: Owners,
    drop_copies: DropCopies,
    /// Whether there is an event journal to make reports from.
    rebuilds: bool,
    /// Sequence and next index of the command whose events are coming in.
    current: Option<(u64, u32)>,
    shutting_down: bool,
    /// The time that the caller told last.
    now_ns: u64,
    verifier: Box<dyn Verifier>,
    next_ticket: u64,
    guard: LogonGuard,
    attempts: Attempts,
    /// Logons whose connection did not wait for their password to be checked: at most as many as the verifier takes.
    abandoned: Vec<AbandonedLogon>,
    /// Throttles of the firms, by the place of their name in the configuration.
    firms: FirmThrottles,
    /// Hashes of the configuration, by user: those in `config` may have been changed since.
    configured_passwords: Vec<Option<PasswordHash>>,
    changed_passwords: Option<ChangedPasswords>,
    changes: Vec<PendingChange>,
    activity: Activity,
}

impl Gateway {
    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &GatewayConfig {
        &self.config
    }

    /// Counts so far.
    #[must_use]
    pub fn counters(&self) -> GatewayCounters {
        self.counters
    }

    /// The orders as events have told them.
    #[must_use]
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Sequence of the last command whose events have all been folded; 0 before the first.
    #[must_use]
    pub fn applied_sequence(&self) -> u64 {
        self.applied
    }

    /// Folds one event, live or recovered, and writes its reports. At start-up the recovered events come first, those
    /// after [`Gateway::applied_sequence`] up to the journal's last: those that the store has seen rebuild the orders
    /// only, later ones give the reports that the last process did not get to write.
    ///
    /// # Errors
    /// When the store cannot be written; the gateway must stop then.
    pub fn on_event(&mut self, event: Record<'_>, now_ns: u64) -> io::Result<()> {
        let header = event.header();
        if header.sequence <= self.applied {
            return Ok(());
        }
        let index = match self.current {
            Some((sequence, index)) if sequence == header.sequence => index,
            _ => 0,
        };
        self.current = Some((header.sequence, index + 1));
        if self.config.order_entry {
            self.fold_order(event, index, now_ns);
        }
        self.fold_market(event, now_ns);
        if event.is_last_event() {
            self.current = None;
            self.applied = header.sequence;
            self.applied_ns = header.timestamp_ns;
            self.journal_end = self.journal_end.max(header.sequence);
            if let Some(client) = self.client_of(header.source) {
                self.activity.clients.insert(client);
                match self.clients[client].finish_request() {
                    Some(request) => self.on_list_done(client, &request, header.sequence, now_ns),
                    None => self.on_list_of_before(client, header.sequence, now_ns),
                }
            }
            if self.store.pending_bytes() > 1 << 20 {
                self.commit()?;
            }
        }
        Ok(())
    }

    /// Folds one event into the orders, and writes its reports.
    fn fold_order(&mut self, event: Record<'_>, index: u32, now_ns: u64) {
        let header = event.header();
        let client = self.client_of(header.source);
        // Not always the first event answers: what the time has brought comes before it.
        if let Some(client) = client
            && !self.clients[client].has_current_request()
        {
            self.clients[client].match_request(event);
        }
        if let Some(held) = self.orders.release_before(event) {
            self.write_reports(&held.reports, (header.sequence, held.index), None, now_ns);
        }
        let asked = client.and_then(|client| self.clients[client].asked(event));
        let reports = self.orders.apply(event, index, asked.as_ref());
        self.write_reports(&reports, (header.sequence, index), asked.as_ref(), now_ns);
        if event.is_last_event()
            && let Some(held) = self.orders.release_last()
        {
            self.write_reports(&held.reports, (header.sequence, held.index), None, now_ns);
        }
    }

    /// Writes the reports of the event at this place, unless the process before this one has.
    #[inline]
    fn write_reports(
        &mut self,
        reports: &Reports,
        (sequence, index): (u64, u32),
        asked: Option<&Asked>,
        now_ns: u64,
    ) {
        if sequence <= self.store.applied() {
            return;
        }
        for (part, report) in reports.iter().enumerate() {
            let Some(report) = report else { continue };
            let origin = Origin { sequence, index, part: part as u8, copy: false, replayed: false };
            self.write_report(report, (origin, asked), now_ns);
        }
    }

    /// All recovered events are in: checks that they are those that the store has followed, and keeps what they gave.
    /// Without this check a wrong journal's reports would be taken for written ones.
    ///
    /// # Errors
    /// [`GatewayError`]
    pub fn finish_recovery(&mut self) -> Result<(), GatewayError> {
        let (stored, journal) = (self.store.applied(), self.journal_end);
        // A gateway without orders has no reports that events must not give again.
        if self.config.order_entry && stored > journal {
            let path = self.config.store_path.clone();
            return Err(GatewayError::AheadOfJournal { path, stored, journal });
        }
        self.commit()?;
        Ok(())
    }

    /// What the operator may want to read, since the last call.
    pub fn take_notes(&mut self) -> Vec<String> {
        self.store.take_notes()
    }

    /// The session store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn client_of(&self, source: Source) -> Option<usize> {
        let client = usize::from(source.session).checked_sub(1)?;
        (source.gateway == self.config.gateway && client < self.clients.len()).then_some(client)
    }

    fn write_report(&mut self, report: &Report, made_of: MadeOf<'_>, now_ns: u64) {
        self.counters.reports += 1;
        self.activity.clients.insert(report.session());
        let session = &mut self.clients[report.session()].session;
        let orders = &self.orders;
        session.send_report(message_type(report), now_ns, &mut self.store, made_of, |writer| {
            write_report(writer, orders, report, None);
        });
        self.write_copies(report, made_of, now_ns);
    }

    /// Makes everything so far survive the process. `false` when events of a command are still to come: then nothing
    /// may be sent yet.
    ///
    /// # Errors
    /// When the store cannot be written; the gateway must stop then.
    pub fn commit(&mut self) -> io::Result<bool> {
        if self.current.is_some() {
            return Ok(false);
        }
        // Only what has been active can have received anything.
        for client in self.activity.clients.iter() {
            self.store.next_in_is(client, self.clients[client].processed_in());
        }
        self.store.commit(self.applied.max(self.store.applied()), false)?;
        Ok(true)
    }

    /// A client has connected. `None` when there are as many as allowed, in all, from its address, or before their
    /// Logon: close it.
    pub fn connect(&mut self, address: IpAddr, now_ns: u64) -> Option<LinkId> {
        let link = Link {
            address,
            security: Security::default(),
            pending: None,
            input: Vec::new(),
            wire: Vec::new(),
            client: None,
            opened_ns: now_ns,
            closing: None,
            stalled: false,
        };
        let limits = &self.config.limits;
        let open = || self.links.iter().flatten();
        let crowded = open().count() >= limits.connections
            || open().filter(|link| link.address == address).count() >= limits.connections_per_address
            || open().filter(|link| link.client.is_none()).count() >= limits.strangers;
        if self.shutting_down || crowded {
            return None;
        }
        let free = self.links.iter().position(Option::is_none);
        match free {
            Some(at) => self.links[at] = Some(link),
            None => self.links.push(Some(link)),
        }
        Some(free.unwrap_or(self.links.len() - 1))
    }

    /// The link's TLS handshake has succeeded.
    pub fn secured(&mut self, link: LinkId, security: Security) {
        self.link(link).security = security;
    }

    /// The link's TLS handshake has failed; it is disconnected next.
    pub fn not_secured(&mut self, link: LinkId, now_ns: u64) {
        self.link(link).security.tls = true;
        self.counters.refused_logons += 1;
        self.note_attempt(link, b"", false, "TLS handshake failed", now_ns);
    }

    /// The attempts to log on since the last call, for the audit log.
    pub fn take_attempts(&mut self) -> Vec<Attempt> {
        self.attempts.take()
    }

    fn link(&mut self, link: LinkId) -> &mut Link {
        self.links[link].as_mut().expect("the transport names links that are connected")
    }

    /// Received bytes that have not been dealt with; the transport appends to it.
    pub fn input(&mut self, link: LinkId) -> &mut Vec<u8> {
        &mut self.link(link).input
    }

    /// Bytes to send; the transport removes what it has sent.
    pub fn output(&mut self, link: LinkId) -> &mut Vec<u8> {
        match self.link(link).client {
            Some(client) => self.clients[client].session.wire(),
            None => &mut self.link(link).wire,
        }
    }

    /// Why the link shall be closed once its output has been sent, if it shall.
    #[must_use]
    pub fn closing(&self, link: LinkId) -> Option<&'static str> {
        self.links[link].as_ref().and_then(|link| link.closing)
    }

    /// Whether the link's input waits for room for commands: read no more from it.
    #[must_use]
    pub fn is_stalled(&self, link: LinkId) -> bool {
        self.links[link].as_ref().is_some_and(|link| link.stalled || link.pending.is_some())
    }

    /// CompID of the client on this link, once it is logged on.
    #[must_use]
    pub fn comp_id(&self, link: LinkId) -> Option<&str> {
        let client = self.links[link].as_ref()?.client?;
        Some(&self.config.users[client].sender_comp_id)
    }

    /// The link is gone; its place is free again.
    pub fn disconnect(&mut self, link: LinkId) {
        self.detach(link, Ending::Drop);
        self.abandon_logon(link);
        self.links[link] = None;
    }

    /// Parts a link from its session, which keeps its state.
    fn detach(&mut self, link: LinkId, ending: Ending) {
        let Some(client) = self.link(link).client.take() else { return };
        let ending = if self.shutting_down { Ending::Drop } else { ending };
        self.on_gone(client, ending, self.now_ns);
        if let Some(market) = &mut self.market {
            market.drop_session(client);
        }
        let session = &mut self.clients[client].session;
        let mut wire = std::mem::take(session.wire());
        if session.on_disconnect() {
            self.reset(client);
        }
        self.clients[client].link = None;
        self.activity.clients.insert(client);
        self.drop_copies.forget(client);
        self.link(link).wire.append(&mut wire);
    }

    fn reset(&mut self, client: usize) {
        self.clients[client].session.reset(&mut self.store);
        self.clients[client].forget_sequences();
    }

    fn close(&mut self, link: LinkId, reason: &'static str) {
        let logged_out = matches!(reason, LOGGED_OUT | CLIENT_LOGGED_OUT);
        self.detach(link, if logged_out { Ending::Logout } else { Ending::Drop });
        self.activity.links.insert(link);
        self.abandon_logon(link);
        let link = self.link(link);
        link.closing = Some(reason);
        link.input.clear();
        link.stalled = false;
    }

    /// Deals with what has been received on a link, as far as there is room for commands.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn receive(&mut self, link: LinkId, now_ns: u64, port: &mut dyn CommandPort) -> io::Result<()> {
        self.tell_time(now_ns);
        self.touch_link(link);
        let mut index = std::mem::take(&mut self.index);
        let mut input = std::mem::take(self.input(link));
        let result = self.receive_all(link, &input, &mut index, now_ns, port);
        self.index = index;
        let used = result?;
        if self.closing(link).is_none() {
            input.drain(..used);
            *self.input(link) = input;
        }
        Ok(())
    }

    fn tell_time(&mut self, now_ns: u64) {
        if self.now_ns == 0 {
            self.resume_disconnects(now_ns);
        }
        self.now_ns = now_ns;
    }

    fn receive_all(
        &mut self,
        link: LinkId,
        input: &[u8],
        index: &mut FieldIndex,
        now_ns: u64,
        port: &mut dyn CommandPort,
    ) -> io::Result<usize> {
        let mut at = 0;
        self.link(link).stalled = false;
        while self.closing(link).is_none() && self.link(link).pending.is_none() {
            if !self.receive_queued(link, index, now_ns, port)? {
                break;
            }
            match find_frame(&input[at..], self.config.limits.message_bytes) {
                Frame::Incomplete => break,
                Frame::TooLong => self.on_too_long(link, now_ns),
                Frame::Garbled(skip) => {
                    at += skip;
                    self.on_garbled(link, skip);
                }
                Frame::Complete(length) => {
                    let bytes = &input[at..at + length];
                    let flow = match index.parse(bytes) {
                        Some(message) => self.on_message(link, &message, false, now_ns, port)?,
                        None => {
                            self.on_garbled(link, length);
                            Flow::Next
                        }
                    };
                    if matches!(flow, Flow::Stalled) {
                        break;
                    }
                    at += length;
                }
            }
        }
        Ok(at)
    }

    /// Messages that came ahead of a gap and are now in sequence. `false`: stalled.
    fn receive_queued(
        &mut self,
        link: LinkId,
        index: &mut FieldIndex,
        now_ns: u64,
        port: &mut dyn CommandPort,
    ) -> io::Result<bool> {
        while let Some(client) = self.link(link).client {
            let Some(bytes) = self.clients[client].session.take_queued() else { break };
            let message = index.parse(&bytes).expect("only messages that could be parsed are queued");
            if matches!(self.on_message(link, &message, true, now_ns, port)?, Flow::Stalled) {
                self.clients[client].session.put_back_queued(bytes);
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn on_garbled(&mut self, link: LinkId, bytes: usize) {
        self.counters.garbled_bytes += bytes as u64;
        if self.link(link).client.is_none() {
            self.close(link, "received bytes that are no FIX message before the Logon");
        }
    }

    fn on_too_long(&mut self, link: LinkId, now_ns: u64) {
        if let Some(client) = self.link(link).client {
            let text = format!("message longer than {} bytes", self.config.limits.message_bytes);
            self.clients[client].session.begin_logout(&text, now_ns, &mut self.store);
        }
        self.close(link, "received a message longer than allowed");
    }

    fn on_message(
        &mut self,
        link: LinkId,
        message: &Message<'_>,
        again: bool,
        now_ns: u64,
        port: &mut dyn CommandPort,
    ) -> io::Result<Flow> {
        let Some(client) = self.link(link).client else {
            self.counters.messages_in += 1;
            self.on_first_message(link, message, now_ns);
            return Ok(Flow::Next);
        };
        // Its line of the index is far away by now; it comes while the message is checked.
        if let Some(original) = message.get(tags::ORIG_CL_ORD_ID).and_then(ClientOrderId::from_text) {
            self.orders.expect_client_id(client as u16, original);
        }
        let resets = self.clients[client].session.resets();
        let verdict = self.clients[client].session.on_message(message, again, now_ns, &mut self.store)?;
        if self.clients[client].session.resets() != resets {
            self.clients[client].forget_sequences();
        }
        match verdict {
            Verdict::Handled => self.note_resend(client, message),
            Verdict::Disconnect(reason) => self.close(link, reason),
            // Whatever becomes of it, there must be room to keep the answer.
            Verdict::Application if self.store.is_room_short() => return Ok(self.stall(link)),
            Verdict::Application => match self.on_application(client, message, now_ns, port) {
                Taken::Yes => self.clients[client].session.advance(),
                Taken::NotNow => return Ok(self.stall(link)),
                Taken::Dropped => {}
            },
        }
        self.counters.messages_in += 1;
        Ok(Flow::Next)
    }

    /// The message stays where it is until there is room.
    fn stall(&mut self, link: LinkId) -> Flow {
        self.counters.stalls += 1;
        self.link(link).stalled = true;
        Flow::Stalled
    }

    /// Says goodbye to everybody with `text`, and takes no more connections. Go on with duty cycles until
    /// [`Gateway::is_drained`]; whoever does not answer is disconnected after the logout timeout.
    pub fn begin_shutdown(&mut self, text: &str, now_ns: u64) {
        self.shutting_down = true;
        for link in 0..self.links.len() {
            match self.links[link].as_ref().map(|link| link.client) {
                Some(Some(client)) => {
                    self.clients[client].session.begin_logout(text, now_ns, &mut self.store);
                    self.activity.clients.insert(client);
                }
                Some(None) => self.close(link, "shutting down"),
                None => {}
            }
        }
    }

    /// Whether nobody is connected any more.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.links.iter().all(Option::is_none)
    }
}
