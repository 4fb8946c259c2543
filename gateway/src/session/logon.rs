//! The Logon of a client whose identity is known.

use super::resend::Range;
use super::{Phase, Session, Verdict};
use crate::dictionary::{RememberingChecker, TagRef};
use crate::fix::{Message, Version, parse_utc_timestamp, tags};
use crate::store::Store;

/// Why a Logon is refused: to the client (empty: it is hung up on without a word), and to the operator.
type Refusal = (String, &'static str);

/// Whether a message's SendingTime (52) is a time near `now_ns`.
pub(crate) fn has_good_time(message: &Message<'_>, check_latency: bool, max_ns: u64, now_ns: u64) -> bool {
    let sending_time = message.get(tags::SENDING_TIME).and_then(parse_utc_timestamp);
    sending_time.is_some_and(|time| !check_latency || time.abs_diff(now_ns) <= max_ns)
}

impl Session {
    /// A client whose identity and password are right sends its Logon. Everything else about it is checked here.
    pub fn on_logon(&mut self, message: &Message<'_>, now_ns: u64, store: &mut Store) -> Verdict {
        assert!(!self.is_connected(), "a connected session takes no second client");
        self.wire.clear();
        self.last_received_ns = now_ns;
        store.stop_resend(self.index);
        if let Err((text, reason)) = self.take_version(message, store) {
            // Without an application version there are no words to answer in: QuickFIX hangs up, too.
            if !text.is_empty() {
                self.refuse(message, &text, now_ns, store);
            }
            return Verdict::Disconnect(reason);
        }
        self.keep_to_schedule(now_ns, store);
        if let Some((text, reason)) = self.logon_problem(message, now_ns, store) {
            self.refuse(message, &text, now_ns, store);
            return Verdict::Disconnect(reason);
        }
        let sequence = message.number(tags::MSG_SEQ_NUM).expect("checked above");
        let reset = message.flag(tags::RESET_SEQ_NUM_FLAG);
        if reset || self.settings.reset_on_logon {
            self.reset(store);
        }
        if let Some((text, reason)) = self.sequence_problem(message, sequence, store) {
            self.refuse(message, &text, now_ns, store);
            return Verdict::Disconnect(reason);
        }
        self.accept(message, sequence, reset, now_ns, store);
        Verdict::Handled
    }

    fn accept(&mut self, message: &Message<'_>, sequence: u64, reset: bool, now_ns: u64, store: &mut Store) {
        let seconds = message.number(tags::HEART_BT_INT).expect("checked by logon_problem");
        self.phase = Phase::Online;
        self.heartbeat_ns = seconds * 1_000_000_000;
        self.test_request_open = false;
        self.resend_asked_to = 0;
        if sequence == self.expected_in {
            self.advance();
        }
        self.note_processed();
        let theirs = message.number(tags::NEXT_EXPECTED_MSG_SEQ_NUM);
        let ours = theirs.map(|_| self.expected_in);
        let logon = store.next_out(self.index);
        self.send_logon(seconds, reset, ours, now_ns, store);
        if sequence > self.expected_in {
            self.gap_to = sequence;
            if theirs.is_some() {
                // Our 789 has asked for it already (FIX 4.4 volume 2, "NextExpectedMsgSeqNum").
                self.resend_asked_to = sequence;
            } else {
                self.ask_resend(sequence, now_ns, store);
            }
        }
        if let Some(theirs) = theirs.filter(|&theirs| theirs < logon) {
            // Up to this Logon, so that the client's count is right whether it has counted the Logon or not.
            self.resends.push_back(Range::new(theirs, logon));
        }
    }

    /// Finds out the version, and keeps it for the messages that are built while the client is away.
    fn take_version(&mut self, message: &Message<'_>, store: &mut Store) -> Result<(), Refusal> {
        let begin_string = message.get(tags::BEGIN_STRING).unwrap_or_default();
        let application = message.get(tags::DEFAULT_APPL_VER_ID);
        let Some(version) = Version::of(begin_string, application) else {
            let Some(value) = application else {
                return Err((String::new(), "Logon without DefaultApplVerID (1137)"));
            };
            let text = format!(
                "Invalid/Unsupported Application Version: DefaultApplVerID (1137) is {}, this server has 7, 8 and 9",
                value.escape_ascii()
            );
            return Err((text, "Logon of an unknown version"));
        };
        if self.settings.version.is_some_and(|only| only != version) {
            return Err(("Incorrect BeginString".to_owned(), "Logon of another version than configured"));
        }
        if store.version(self.index) != Some(version) {
            store.version_is(self.index, version);
        }
        self.identity.version = version;
        self.identity.precision = self.settings.precision.in_version(version);
        self.checker = RememberingChecker::new(version, self.settings.switches);
        self.note_processed();
        Ok(())
    }

    fn logon_problem(&mut self, message: &Message<'_>, now_ns: u64, store: &Store) -> Option<Refusal> {
        let refuse = |text: &str, reason| Some((text.to_owned(), reason));
        if self.is_out_of_schedule(now_ns, store) {
            return refuse("Logon outside of the session's time", "Logon outside of the session's time");
        }
        if message.number(tags::MSG_SEQ_NUM).is_none_or(|sequence| sequence == 0) {
            return refuse(
                "MsgSeqNum (34) of the Logon is missing or not a number",
                "Logon without MsgSeqNum",
            );
        }
        if let Some(problem) = self.checker.check(message) {
            let tag = match problem.tag {
                TagRef::None => String::new(),
                TagRef::Number(tag) => format!(" ({tag})"),
                TagRef::Text(text) => format!(" ({})", text.escape_ascii()),
            };
            return Some((problem.reason.text().to_owned() + &tag, "Logon against the dictionary"));
        }
        if message.get(tags::ENCRYPT_METHOD) != Some(b"0") {
            return refuse("EncryptMethod (98) must be 0: none", "Logon with an EncryptMethod");
        }
        let seconds = message.number(tags::HEART_BT_INT);
        if seconds.is_none_or(|seconds| seconds > self.heartbeat_limit_s) {
            let limit = self.heartbeat_limit_s;
            let text = format!("HeartBtInt (108) must be a number of seconds from 0 to {limit}");
            return Some((text, "Logon with an impossible HeartBtInt"));
        }
        if message.flag(tags::RESET_SEQ_NUM_FLAG) && message.number(tags::MSG_SEQ_NUM) != Some(1) {
            return refuse("ResetSeqNumFlag (141) needs MsgSeqNum 1", "ResetSeqNumFlag without MsgSeqNum 1");
        }
        None
    }

    fn sequence_problem(&self, message: &Message<'_>, sequence: u64, store: &Store) -> Option<Refusal> {
        if sequence < self.expected_in && !message.flag(tags::POSS_DUP_FLAG) {
            let text = format!("MsgSeqNum too low, expecting {} but received {sequence}", self.expected_in);
            return Some((text, "MsgSeqNum of the Logon too low"));
        }
        let (theirs, ours) = (message.number(tags::NEXT_EXPECTED_MSG_SEQ_NUM), store.next_out(self.index));
        let theirs = theirs.filter(|&theirs| theirs > ours || theirs == 0)?;
        if theirs == 0 {
            let text = "NextExpectedMsgSeqNum (789) must be 1 or more".to_owned();
            return Some((text, "NextExpectedMsgSeqNum of the Logon is 0"));
        }
        let text = format!(
            "NextExpectedMsgSeqNum (789) is higher than expected: expecting {ours} but received {theirs}"
        );
        Some((text, "NextExpectedMsgSeqNum of the Logon too high"))
    }

    /// Whether the session may not be used now. An interval that has begun since the last Logon counts as out of
    /// schedule for a client that is still there from the one before.
    pub(super) fn is_out_of_schedule(&self, now_ns: u64, store: &Store) -> bool {
        let Some(schedule) = self.settings.schedule else { return false };
        schedule.began_ns(now_ns).is_none_or(|began_ns| began_ns != store.began_ns(self.index))
    }

    /// Starts both sequences anew if an interval of the schedule has begun since they last did.
    fn keep_to_schedule(&mut self, now_ns: u64, store: &mut Store) {
        let began_ns = self.settings.schedule.and_then(|schedule| schedule.began_ns(now_ns));
        if let Some(began_ns) = began_ns.filter(|&began_ns| began_ns != store.began_ns(self.index)) {
            self.reset(store);
            store.began_is(self.index, began_ns);
        }
    }
}
