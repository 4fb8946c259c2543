//! Drop copy sessions: copies as executions happen, and again from any place in the journal.
//!
//! A replay is asked for by ApplicationMessageRequest (35=BW), answered by its acknowledgement (35=BX), and ended by an
//! ApplicationMessageReport (35=BY). Its copies are messages like others, with numbers of their own; what a client
//! does not read it gets by ResendRequest later.

use std::collections::VecDeque;

use super::{Gateway, MadeOf};
use crate::access::Permissions;
use crate::config::GatewayConfig;
use crate::drop_copy::{message_type, tags, write_report};
use crate::fix::{Message, MessageWriter, Version};
use crate::orders::Report;
use crate::rebuild::{Origin, Replay, ReplayedCopy};

/// A replay pauses while this many bytes wait to be sent, or a quarter of what may wait, if that is less.
const PAUSE_AT_BYTES: usize = 256 * 1024;

/// Values of ApplReqType (1347).
mod request_type {
    pub(super) const RETRANSMISSION: u64 = 0;
    pub(super) const LAST_SEQUENCE: u64 = 2;
    pub(super) const CANCEL_RETRANSMISSION: u64 = 5;
}

/// Values of ApplResponseType (1348).
mod response {
    pub(super) const ACCEPTED: u64 = 0;
    pub(super) const NO_SUCH_APPLICATION: u64 = 1;
    pub(super) const NOT_AVAILABLE: u64 = 2;
}

/// ApplReportType (1426): the retransmission is complete. FIX 5.0 SP1 has only "last message sent" for that.
fn resend_complete(version: Version) -> u64 {
    if version == Version::Fix50Sp1 { 1 } else { 3 }
}

/// The drop copy sessions of a gateway.
pub(super) struct DropCopies {
    /// By session: to whom copies of its executions go.
    receivers: Vec<Vec<usize>>,
    /// By session: the replay that it has asked for.
    replays: Vec<Option<OpenReplay>>,
    /// How many of them there are.
    open: usize,
    /// Numbers our answers.
    answers: u64,
}

struct OpenReplay {
    /// ApplReqID (1346) of the request.
    request_id: Vec<u8>,
    last: u64,
    /// The part that has been asked for.
    ticket: Option<u64>,
    copies: VecDeque<ReplayedCopy>,
    /// Where the next part begins.
    after: Option<(u64, u32)>,
}

/// What a client asks for.
struct Asked<'m> {
    id: &'m [u8],
    kind: u64,
    firm: Option<&'m [u8]>,
    begin: u64,
    end: u64,
}

impl DropCopies {
    pub(super) fn new(config: &GatewayConfig) -> Self {
        let users = &config.users;
        let receives = |index: usize, firm: &Option<String>| {
            let access = &users[index].access;
            access.permissions.has(Permissions::DROP_COPY) && access.firm == *firm
        };
        let receivers = users.iter().enumerate().map(|(owner, user)| {
            let others = (0..users.len()).filter(|&index| index != owner && user.access.firm.is_some());
            others.filter(|&index| receives(index, &user.access.firm)).collect()
        });
        let replays = users.iter().map(|_| None).collect();
        Self { receivers: receivers.collect(), replays, open: 0, answers: 0 }
    }

    /// The client has gone; it asks again.
    pub(super) fn forget(&mut self, client: usize) {
        self.take(client);
    }

    fn take(&mut self, client: usize) -> Option<OpenReplay> {
        let open = self.replays[client].take();
        self.open -= usize::from(open.is_some());
        open
    }
}

impl Gateway {
    /// Sends copies of a report to the drop copy sessions of its firm.
    #[inline]
    pub(super) fn write_copies(&mut self, report: &Report, made_of: MadeOf<'_>, now_ns: u64) {
        if !matches!(report, Report::Execution(_)) {
            return;
        }
        for at in 0..self.drop_copies.receivers[report.session()].len() {
            let receiver = self.drop_copies.receivers[report.session()][at];
            let (origin, asked) = made_of;
            self.write_copy(receiver, report, (Origin { copy: true, ..origin }, asked), now_ns);
        }
    }

    fn write_copy(&mut self, receiver: usize, report: &Report, made_of: MadeOf<'_>, now_ns: u64) {
        self.counters.reports += 1;
        self.activity.clients.insert(receiver);
        let copied = self.owners.copied(report, made_of.0.sequence, false);
        let (orders, session) = (&self.orders, &mut self.clients[receiver].session);
        session.send_report(message_type(report), now_ns, &mut self.store, made_of, |writer| {
            write_report(writer, orders, report, Some(&copied));
        });
    }

    fn send_copy(&mut self, receiver: usize, copy: &ReplayedCopy, now_ns: u64) {
        self.counters.reports += 1;
        self.activity.clients.insert(receiver);
        let session = &mut self.clients[receiver].session;
        session.send_report(copy.message_type, now_ns, &mut self.store, (copy.origin, None), |writer| {
            writer.raw(&copy.body);
        });
    }

    /// ApplicationMessageRequest (35=BW).
    pub(super) fn on_application_request(&mut self, client: usize, message: &Message<'_>, now_ns: u64) {
        let asked = Asked {
            id: message.get(tags::APPL_REQ_ID).unwrap_or_default(),
            kind: message.number(tags::APPL_REQ_TYPE).unwrap_or(u64::MAX),
            firm: message.get(tags::REF_APPL_ID),
            begin: message.number(tags::APPL_BEG_SEQ_NUM).unwrap_or(1),
            end: message.number(tags::APPL_END_SEQ_NUM).unwrap_or(0),
        };
        let last = if asked.end == 0 { self.applied } else { asked.end };
        let (response, text) = self.judge(client, message, &asked, last);
        self.acknowledge(client, &asked, response, text, now_ns);
        if response != response::ACCEPTED {
            return;
        }
        match asked.kind {
            request_type::RETRANSMISSION => {
                self.drop_copies.open += 1;
                self.drop_copies.replays[client] = Some(OpenReplay {
                    request_id: asked.id.to_vec(),
                    last,
                    ticket: None,
                    copies: VecDeque::new(),
                    after: Some((asked.begin.max(1) - 1, u32::MAX)),
                });
                self.pump_replay(client, now_ns);
            }
            request_type::CANCEL_RETRANSMISSION => self.drop_copies.forget(client),
            _ => {}
        }
    }

    /// ApplResponseType (1348) and words.
    fn judge(
        &self,
        client: usize,
        message: &Message<'_>,
        asked: &Asked<'_>,
        last: u64,
    ) -> (u64, &'static str) {
        let replay = asked.kind == request_type::RETRANSMISSION;
        let known =
            [request_type::RETRANSMISSION, request_type::LAST_SEQUENCE, request_type::CANCEL_RETRANSMISSION];
        let refused = |text| (response::NOT_AVAILABLE, text);
        if asked.firm.is_some_and(|firm| firm != self.owners.firm(client).as_bytes()) {
            (response::NO_SUCH_APPLICATION, "RefApplID (1355) must be the session's own firm, or left out")
        } else if message.number(tags::NO_APPL_IDS).is_some_and(|count| count > 1) {
            refused("one application, the session's own firm, is all there is")
        } else if !known.contains(&asked.kind) {
            refused("ApplReqType (1347) must be 0 (retransmission), 2 (last sequence) or 5 (cancel)")
        } else if replay && !self.rebuilds {
            refused("this gateway has no event journal to read")
        } else if replay && self.drop_copies.replays[client].is_some() {
            refused("a retransmission is under way; it can be cancelled with ApplReqType (1347) 5")
        } else if replay && (asked.begin > last || last > self.applied) {
            refused("ApplBegSeqNum (1182) and ApplEndSeqNum (1183) must be a range up to the last sequence")
        } else {
            (response::ACCEPTED, "")
        }
    }

    fn answer_id(&mut self, now_ns: u64) -> String {
        self.drop_copies.answers += 1;
        format!("R{now_ns}-{}", self.drop_copies.answers)
    }

    /// ApplicationMessageRequestAck (35=BX).
    fn acknowledge(&mut self, client: usize, asked: &Asked<'_>, response: u64, text: &str, now_ns: u64) {
        let (id, applied) = (self.answer_id(now_ns), self.applied);
        let firm = self.owners.firm(client).as_bytes();
        let session = &mut self.clients[client].session;
        session.send_application(b"BX", now_ns, &mut self.store, |writer| {
            writer.bytes(tags::APPL_RESP_ID, id.as_bytes());
            writer.bytes(tags::APPL_REQ_ID, asked.id);
            if asked.kind <= 6 {
                writer.integer(tags::APPL_REQ_TYPE, asked.kind);
            }
            writer.integer(tags::APPL_RESPONSE_TYPE, response);
            if response == response::ACCEPTED {
                write_application(writer, firm, applied);
            }
            if !text.is_empty() {
                writer.bytes(crate::fix::tags::TEXT, text.as_bytes());
            }
        });
    }

    /// Goes on with all replays.
    pub(super) fn pump_replays(&mut self, now_ns: u64) {
        while let Some(replayed) = self.store.take_replayed() {
            let mut open = self.drop_copies.replays.iter_mut().flatten();
            // It may have been cancelled meanwhile.
            let Some(open) = open.find(|it| it.ticket == Some(replayed.ticket)) else { continue };
            open.ticket = None;
            open.copies.extend(replayed.copies);
            open.after = replayed.after;
        }
        if self.drop_copies.open == 0 {
            return;
        }
        for client in 0..self.drop_copies.replays.len() {
            if self.drop_copies.replays[client].is_some() {
                self.pump_replay(client, now_ns);
            }
        }
    }

    fn pump_replay(&mut self, client: usize, now_ns: u64) {
        let pause_bytes = PAUSE_AT_BYTES.min(self.config.limits.output_bytes / 4);
        loop {
            if self.clients[client].session.wire().len() >= pause_bytes {
                return;
            }
            let Some(open) = &mut self.drop_copies.replays[client] else { return };
            match open.copies.pop_front() {
                Some(copy) => self.send_copy(client, &copy, now_ns),
                None if open.ticket.is_some() => return,
                None => break,
            }
        }
        let Some(open) = &mut self.drop_copies.replays[client] else { return };
        let Some(after) = open.after.take() else { return self.end_replay(client, now_ns) };
        let receivers = &self.drop_copies.receivers;
        let sessions = receivers.iter().map(|receivers| receivers.contains(&client)).collect();
        let last = open.last;
        let speech = self.clients[client].session.speech();
        open.ticket = self.store.replay_reports(|ticket| Replay { ticket, speech, sessions, after, last });
    }

    /// ApplicationMessageReport (35=BY): all copies have been sent.
    fn end_replay(&mut self, client: usize, now_ns: u64) {
        self.activity.clients.insert(client);
        let Some(open) = self.drop_copies.take(client) else { return };
        let id = self.answer_id(now_ns);
        let firm = self.owners.firm(client).as_bytes();
        let session = &mut self.clients[client].session;
        session.send_application(b"BY", now_ns, &mut self.store, |writer| {
            writer.bytes(tags::APPL_REPORT_ID, id.as_bytes());
            if crate::dictionary::Dictionary::application(writer.version()).allows(b"BY", tags::APPL_REQ_ID) {
                writer.bytes(tags::APPL_REQ_ID, &open.request_id);
            }
            writer.integer(tags::APPL_REPORT_TYPE, resend_complete(writer.version()));
            write_application(writer, firm, open.last);
        });
    }
}

/// The group with the firm and the last sequence.
fn write_application(writer: &mut MessageWriter<'_>, firm: &[u8], last: u64) {
    writer.bytes(tags::NO_APPL_IDS, b"1");
    writer.bytes(tags::REF_APPL_ID, firm);
    writer.integer(tags::REF_APPL_LAST_SEQ_NUM, last);
}
