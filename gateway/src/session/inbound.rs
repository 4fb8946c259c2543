//! What a session receives.

use std::io;

use super::logon::has_good_time;
use super::resend::{MAX_OPEN_RANGES, Range};
use super::{CLIENT_LOGGED_OUT, LOGGED_OUT, Phase, Session, Verdict};
use crate::dictionary::{Checker, Problem, SessionRejectReason as Reason};
use crate::fix::{Message, Version, parse_utc_timestamp, tags};
use crate::gateway::dispatch::route_of;
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
            return Ok(if answered { Verdict::Disconnect(LOGGED_OUT) } else { Verdict::Handled });
        }
        if message.get(tags::BEGIN_STRING) != Some(self.identity.version.begin_string()) {
            if kind != b"5" {
                self.begin_logout("Incorrect BeginString", now_ns, store);
                return Ok(Verdict::Handled);
            }
            return Ok(self.on_logout(self.expected_in, now_ns, store));
        }
        let Some(sequence) = message.number(tags::MSG_SEQ_NUM) else {
            self.send_logout("MsgSeqNum (34) is missing or not a number", now_ns, store);
            return Ok(Verdict::Disconnect("message without MsgSeqNum"));
        };
        if let Some((problem, fatal)) = self.problem_of(message, again, now_ns) {
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

    /// What is wrong with a message by itself, whatever its number; whether that also ends the session.
    fn problem_of<'m>(
        &mut self,
        message: &Message<'m>,
        again: bool,
        now_ns: u64,
    ) -> Option<(Problem<'m>, bool)> {
        let missing = |tag: u32| message.get(tag).is_none();
        if let Some(tag) = [tags::SENDER_COMP_ID, tags::TARGET_COMP_ID].into_iter().find(|&tag| missing(tag))
        {
            return Some((Problem::at(Reason::RequiredTag, tag), false));
        }
        if let Some(problem) = self.dictionary_problem(message) {
            return Some((problem, false));
        }
        if !again && let Some(problem) = self.time_or_identity_problem(message, now_ns) {
            return Some((problem, true));
        }
        if let Some(problem) = missing_field(message) {
            return Some((problem, false));
        }
        self.duplicate_problem(message)
    }

    fn dictionary_problem<'m>(&mut self, message: &Message<'m>) -> Option<Problem<'m>> {
        let own = message.get(tags::APPL_VER_ID).filter(|_| self.identity.version.is_fixt());
        let Some(own) = own else { return self.checker.check(message) };
        match Version::of(self.identity.version.begin_string(), Some(own)) {
            Some(version) => Checker::new(version).check(message, &self.settings.switches),
            None => Some(Problem::at(Reason::ApplicationVersion, tags::APPL_VER_ID)),
        }
    }

    /// SendingTime and CompIDs.
    fn time_or_identity_problem<'m>(&self, message: &Message<'m>, now_ns: u64) -> Option<Problem<'m>> {
        if !has_good_time(message, self.settings.check_latency, self.settings.max_latency_ns, now_ns) {
            return Some(Problem::of(Reason::SendingTime));
        }
        let theirs = message.get(tags::SENDER_COMP_ID) == Some(&self.identity.theirs);
        let ours = message.get(tags::TARGET_COMP_ID) == Some(&self.identity.ours);
        (!theirs || !ours).then(|| Problem::of(Reason::CompId))
    }

    /// A message that is sent again says when it was sent first.
    fn duplicate_problem<'m>(&self, message: &Message<'m>) -> Option<(Problem<'m>, bool)> {
        if !message.flag(tags::POSS_DUP_FLAG) || message.message_type() == b"4" {
            return None;
        }
        let sent = message.get(tags::SENDING_TIME).and_then(parse_utc_timestamp)?;
        match message.get(tags::ORIG_SENDING_TIME).map(parse_utc_timestamp) {
            None => Some((Problem::at(Reason::RequiredTag, tags::ORIG_SENDING_TIME), false)),
            Some(None) => Some((Problem::at(Reason::DataFormat, tags::ORIG_SENDING_TIME), false)),
            Some(Some(original)) if original > sent => Some((Problem::of(Reason::SendingTime), true)),
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
            self.gap_to = self.gap_to.max(sequence);
            self.ask_resend(sequence, now_ns, store);
            return Verdict::Handled;
        }
        self.dispatch(message, now_ns, store)
    }

    fn dispatch(&mut self, message: &Message<'_>, now_ns: u64, store: &mut Store) -> Verdict {
        match message.message_type() {
            b"0" | b"3" => self.advance(),
            b"1" => {
                let id = message.get(tags::TEST_REQ_ID).unwrap_or_default();
                self.advance();
                self.send_admin(b"0", now_ns, store, |writer| writer.bytes(tags::TEST_REQ_ID, id));
            }
            b"4" => self.on_gap_fill(message, now_ns, store),
            b"A" => self.reject(message, &Problem::of(Reason::Other), now_ns, store),
            kind if route_of(kind).is_some() => return Verdict::Application,
            _ => self.reject_unsupported(message, now_ns, store),
        }
        Verdict::Handled
    }

    /// Asks for everything from the first missing message on, unless that is under way.
    pub(super) fn ask_resend(&mut self, received: u64, now_ns: u64, store: &mut Store) {
        if self.resend_asked_to != 0 {
            return;
        }
        let begin = self.expected_in;
        let chunk = self.settings.resend_chunk;
        // FIX.4.0 and 4.1 have no sign for "all": the highest number stands for it.
        let all = if self.identity.version < Version::Fix42 { 999_999 } else { 0 };
        let end = if chunk == 0 || received - begin <= chunk { all } else { begin + chunk - 1 };
        self.resend_asked_to = if end == all { received } else { end };
        self.send_admin(b"2", now_ns, store, |writer| {
            writer.integer(tags::BEGIN_SEQ_NO, begin);
            writer.integer(tags::END_SEQ_NO, end);
        });
    }

    /// The part of a gap that was asked for has come: asks for the next one.
    pub(super) fn ask_next_chunk(&mut self, now_ns: u64, store: &mut Store) {
        let has_next = self.queue.contains_key(&self.expected_in);
        if self.gap_to != 0 && self.resend_asked_to == 0 && !has_next {
            self.ask_resend(self.gap_to, now_ns, store);
        }
    }

    /// A Logout is answered whatever its number: the client leaves, and what is missing comes with the next session.
    fn on_logout(&mut self, sequence: u64, now_ns: u64, store: &mut Store) -> Verdict {
        if sequence == self.expected_in {
            self.advance();
        }
        self.send_logout("", now_ns, store);
        // As after a Logout of ours: what it means for the numbers is settled when the connection is gone.
        self.phase = Phase::LoggingOut { since_ns: now_ns };
        Verdict::Disconnect(CLIENT_LOGGED_OUT)
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
        let begin = message.number(tags::BEGIN_SEQ_NO).expect("checked by missing_field");
        let end = message.number(tags::END_SEQ_NO).expect("checked by missing_field");
        // What stands for "all" before FIX.4.3.
        let end = if end == 999_999 && self.identity.version <= Version::Fix42 { 0 } else { end };
        if begin == 0 || (end != 0 && end < begin) {
            let tag = if begin == 0 { tags::BEGIN_SEQ_NO } else { tags::END_SEQ_NO };
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
            self.resends.push_back(Range::new(begin, last));
        }
        self.pump_resends(now_ns, store)?;
        Ok(Verdict::Handled)
    }

    /// SequenceReset-Reset: the client gives up on what is missing. Its own number is ignored.
    fn on_sequence_reset(&mut self, message: &Message<'_>, now_ns: u64, store: &mut Store) -> Verdict {
        let next = message.number(tags::NEW_SEQ_NO).expect("checked by missing_field");
        if next < self.expected_in {
            self.reject(message, &Problem::of(Reason::Value), now_ns, store);
        } else {
            self.move_expected_in(next);
        }
        Verdict::Handled
    }

    fn on_gap_fill(&mut self, message: &Message<'_>, now_ns: u64, store: &mut Store) {
        let next = message.number(tags::NEW_SEQ_NO).expect("checked by missing_field");
        if next <= self.expected_in {
            self.reject(message, &Problem::of(Reason::Value), now_ns, store);
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
        if message.number(tags::HEART_BT_INT).is_none_or(|seconds| seconds > self.heartbeat_limit_s) {
            self.begin_logout("HeartBtInt (108) is missing or too long", now_ns, store);
            return Verdict::Handled;
        }
        self.reset(store);
        let seconds = message.number(tags::HEART_BT_INT).expect("checked above");
        self.heartbeat_ns = seconds * 1_000_000_000;
        self.advance();
        let next_expected = message.get(tags::NEXT_EXPECTED_MSG_SEQ_NUM).map(|_| self.expected_in);
        self.send_logon(seconds, true, next_expected, now_ns, store);
        Verdict::Handled
    }
}

/// Fields that the session layer itself cannot do without, whatever the switches of the dictionary say.
fn missing_field<'m>(message: &Message<'m>) -> Option<Problem<'m>> {
    let needed: &[u32] = match message.message_type() {
        b"1" => &[tags::TEST_REQ_ID],
        b"2" => &[tags::BEGIN_SEQ_NO, tags::END_SEQ_NO],
        b"4" => &[tags::NEW_SEQ_NO],
        _ => &[],
    };
    needed.iter().find_map(|&tag| match message.get(tag) {
        None => Some(Problem::at(Reason::RequiredTag, tag)),
        Some(value) if tag != tags::TEST_REQ_ID && crate::fix::parse_number(value).is_none() => {
            Some(Problem::at(Reason::DataFormat, tag))
        }
        Some(_) => None,
    })
}
