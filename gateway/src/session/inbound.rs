//! What a session receives.

use std::io;

use super::resend::MAX_OPEN_RANGES;
use super::validate::{Problem, SessionRejectReason as Reason, header_problem, message_problem};
use super::{Phase, Session, Verdict};
use crate::fix::{BEGIN_STRING, Message, parse_utc_timestamp, tags};
use crate::store::Store;

impl Session {
    /// A complete message of a connected client (not its first Logon). `again` says that it was received before, ahead
    /// of a gap, and comes from the queue.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn on_message(
        &mut self,
        message: &Message<'_>,
        again: bool,
        now_ns: u64,
        store: &mut Store,
    ) -> io::Result<Verdict> {
        self.last_received_ns = now_ns;
        self.test_request_open = false;
        let kind = message.message_type();
        if matches!(self.phase, Phase::LoggingOut { .. }) && kind != b"2" {
            let answered = kind == b"5";
            return Ok(if answered { Verdict::Disconnect("logged out") } else { Verdict::Handled });
        }
        if message.get(tags::BEGIN_STRING) != Some(BEGIN_STRING) {
            self.begin_logout("Incorrect BeginString", now_ns, store);
            return Ok(Verdict::Handled);
        }
        let Some(sequence) = message.number(tags::MSG_SEQ_NUM) else {
            self.send_logout("MsgSeqNum (34) is missing or not a number", now_ns, store);
            return Ok(Verdict::Disconnect("message without MsgSeqNum"));
        };
        if !again && let Some((problem, fatal)) = self.identity_problem(message, now_ns) {
            self.reject(message, &problem, now_ns, store);
            if fatal {
                self.begin_logout("", now_ns, store);
            }
            return Ok(Verdict::Handled);
        }
        match kind {
            b"5" => Ok(self.on_logout(sequence, now_ns, store)),
            b"2" => self.on_resend_request(message, sequence, now_ns, store),
            b"4" if !message.flag(tags::GAP_FILL_FLAG) => Ok(self.on_sequence_reset(message, now_ns, store)),
            b"A" if message.flag(tags::RESET_SEQ_NUM_FLAG) => {
                Ok(self.on_reset_logon(message, sequence, now_ns, store))
            }
            _ => Ok(self.in_sequence(message, sequence, now_ns, store)),
        }
    }

    /// Header fields, CompIDs and times; whether it also ends the session.
    fn identity_problem<'m>(&self, message: &Message<'m>, now_ns: u64) -> Option<(Problem<'m>, bool)> {
        if let Some(problem) = header_problem(message) {
            return Some((problem, false));
        }
        let theirs = message.get(tags::SENDER_COMP_ID) == Some(&self.their_comp_id);
        if !theirs || message.get(tags::TARGET_COMP_ID) != Some(&self.our_comp_id) {
            return Some((Problem::of(Reason::CompId), true));
        }
        let sending_time = message.get(tags::SENDING_TIME).and_then(parse_utc_timestamp);
        let Some(sending_time) = sending_time else {
            return Some((Problem::at(Reason::DataFormat, b"52"), false));
        };
        if sending_time.abs_diff(now_ns) > self.sending_time_ns {
            return Some((Problem::of(Reason::SendingTime), true));
        }
        if !message.flag(tags::POSS_DUP_FLAG) || message.message_type() == b"4" {
            return None;
        }
        match message.get(tags::ORIG_SENDING_TIME).map(parse_utc_timestamp) {
            None => Some((Problem::at(Reason::RequiredTag, b"122"), false)),
            Some(None) => Some((Problem::at(Reason::DataFormat, b"122"), false)),
            Some(Some(original)) if original > sending_time => Some((Problem::of(Reason::SendingTime), true)),
            Some(Some(_)) => None,
        }
    }

    fn in_sequence(
        &mut self,
        message: &Message<'_>,
        sequence: u64,
        now_ns: u64,
        store: &mut Store,
    ) -> Verdict {
        if sequence < self.expected_in {
            if message.flag(tags::POSS_DUP_FLAG) {
                return Verdict::Handled;
            }
            let text = format!("MsgSeqNum too low, expecting {} but received {sequence}", self.expected_in);
            self.send_logout(&text, now_ns, store);
            return Verdict::Disconnect("MsgSeqNum too low");
        }
        if sequence > self.expected_in {
            if self.queue.len() < self.queue_limit {
                self.queue.insert(sequence, message.bytes().to_vec());
            }
            self.ask_resend(sequence, now_ns, store);
            return Verdict::Handled;
        }
        if let Some(problem) = message_problem(message) {
            self.reject(message, &problem, now_ns, store);
            return Verdict::Handled;
        }
        self.dispatch(message, now_ns, store)
    }

    fn dispatch(&mut self, message: &Message<'_>, now_ns: u64, store: &mut Store) -> Verdict {
        match message.message_type() {
            b"D" | b"F" | b"G" | b"H" => return Verdict::Application,
            b"0" | b"3" => self.advance(),
            b"1" => {
                let id = message.get(tags::TEST_REQ_ID).unwrap_or_default();
                self.send_admin(b"0", now_ns, store, |writer| writer.bytes(tags::TEST_REQ_ID, id));
                self.advance();
            }
            b"4" => self.on_gap_fill(message, now_ns, store),
            b"A" => self.reject(message, &Problem::of(Reason::Other), now_ns, store),
            _ => {
                self.reject_unsupported(message, now_ns, store);
                self.advance();
            }
        }
        Verdict::Handled
    }

    /// Asks for everything from the first missing message on, unless that is under way.
    pub(super) fn ask_resend(&mut self, received: u64, now_ns: u64, store: &mut Store) {
        if self.resend_asked_to != 0 {
            return;
        }
        self.resend_asked_to = received;
        let begin = self.expected_in;
        self.send_admin(b"2", now_ns, store, |writer| {
            writer.integer(tags::BEGIN_SEQ_NO, begin);
            writer.bytes(tags::END_SEQ_NO, b"0");
        });
    }

    /// A Logout is answered whatever its number: the client leaves, and what is missing comes with the next session.
    fn on_logout(&mut self, sequence: u64, now_ns: u64, store: &mut Store) -> Verdict {
        if sequence == self.expected_in {
            self.advance();
        }
        self.send_logout("", now_ns, store);
        Verdict::Disconnect("client logged out")
    }

    /// A ResendRequest is answered whatever its number, or two sides that both miss messages would wait for each other
    /// (FIX 4.4 volume 2, "simultaneous resend request").
    fn on_resend_request(
        &mut self,
        message: &Message<'_>,
        sequence: u64,
        now_ns: u64,
        store: &mut Store,
    ) -> io::Result<Verdict> {
        if let Some(problem) = message_problem(message) {
            self.reject(message, &problem, now_ns, store);
            return Ok(Verdict::Handled);
        }
        let begin = message.number(tags::BEGIN_SEQ_NO).expect("checked by message_problem");
        let end = message.number(tags::END_SEQ_NO).expect("checked by message_problem");
        if begin == 0 || (end != 0 && end < begin) {
            let tag: &[u8] = if begin == 0 { b"7" } else { b"16" };
            self.reject(message, &Problem::at(Reason::Value, tag), now_ns, store);
            return Ok(Verdict::Handled);
        }
        if sequence == self.expected_in {
            self.advance();
        }
        let last_sent = store.next_out(self.index) - 1;
        let last = if end == 0 { last_sent } else { end.min(last_sent) };
        if self.resends.len() >= MAX_OPEN_RANGES {
            self.begin_logout("too many ResendRequests before the first was answered", now_ns, store);
            return Ok(Verdict::Handled);
        }
        if begin <= last {
            self.resends.push_back((begin, last));
        }
        self.pump_resends(now_ns, store)?;
        Ok(Verdict::Handled)
    }

    /// SequenceReset-Reset: the client gives up on what is missing. Its own number is ignored.
    fn on_sequence_reset(&mut self, message: &Message<'_>, now_ns: u64, store: &mut Store) -> Verdict {
        if let Some(problem) = message_problem(message) {
            self.reject(message, &problem, now_ns, store);
            return Verdict::Handled;
        }
        let next = message.number(tags::NEW_SEQ_NO).expect("checked by message_problem");
        if next < self.expected_in {
            self.reject(message, &Problem::of(Reason::Value), now_ns, store);
        } else {
            self.move_expected_in(next);
        }
        Verdict::Handled
    }

    fn on_gap_fill(&mut self, message: &Message<'_>, now_ns: u64, store: &mut Store) {
        let next = message.number(tags::NEW_SEQ_NO).expect("checked by message_problem");
        if next <= self.expected_in {
            self.reject(message, &Problem::at(Reason::Value, b"36"), now_ns, store);
        } else {
            self.move_expected_in(next);
        }
    }

    /// A Logon with ResetSeqNumFlag inside a session: both sides start at 1.
    fn on_reset_logon(
        &mut self,
        message: &Message<'_>,
        sequence: u64,
        now_ns: u64,
        store: &mut Store,
    ) -> Verdict {
        if sequence != 1 {
            self.begin_logout("ResetSeqNumFlag (141) needs MsgSeqNum 1", now_ns, store);
            return Verdict::Handled;
        }
        self.reset(store);
        let seconds = message.number(tags::HEART_BT_INT).filter(|&seconds| seconds <= self.heartbeat_limit_s);
        let seconds = seconds.unwrap_or(self.heartbeat_ns / 1_000_000_000);
        self.heartbeat_ns = seconds * 1_000_000_000;
        self.advance();
        self.send_logon(seconds, true, now_ns, store);
        Verdict::Handled
    }
}
