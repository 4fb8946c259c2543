//! The FIX session layer as a state machine without I/O.
//!
//! A [`Session`] is one identity (a pair of CompIDs), connected or not. It takes messages and ticks with the time, and
//! leaves bytes in [`Session::wire`]; its numbers and messages live in the [`Store`]. Sources: FIX 4.4 volume 2, FIX
//! session-level test cases, and what QuickFIX does where those are silent.

mod inbound;
mod outbound;
mod resend;
mod validate;

use std::collections::{BTreeMap, VecDeque};

pub(crate) use outbound::write_refusal;
pub use validate::{Problem, SessionRejectReason};

use crate::config::GatewayLimits;
use crate::fix::{FieldIndex, Message, tags};
use crate::store::Store;

/// What to do after a message or a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing more; the session has dealt with it.
    Handled,
    /// An order message in sequence and well formed. Deal with it, then call [`Session::advance`]; or do not, and it
    /// has not been received.
    Application,
    /// Send what is in [`Session::wire`], then disconnect. The text says why, for the operator.
    Disconnect(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Offline,
    Online,
    /// We have sent a Logout and wait for the answer.
    LoggingOut {
        since_ns: u64,
    },
}

/// One FIX session. See the module's documentation.
pub struct Session {
    index: usize,
    our_comp_id: Vec<u8>,
    their_comp_id: Vec<u8>,
    sending_time_ns: u64,
    logout_timeout_ns: u64,
    heartbeat_limit_s: u64,
    queue_limit: usize,
    resend_pause_bytes: usize,
    phase: Phase,
    heartbeat_ns: u64,
    last_sent_ns: u64,
    last_received_ns: u64,
    test_request_open: bool,
    /// Next number to receive. The store's is lower while effects are outstanding.
    expected_in: u64,
    /// Highest number that our open ResendRequest asks for; 0 if none is open.
    resend_asked_to: u64,
    /// Messages received ahead of a gap.
    queue: BTreeMap<u64, Vec<u8>>,
    /// Ranges that the client has asked for and not got yet: next and last.
    resends: VecDeque<(u64, u64)>,
    /// How often both sequences have started anew.
    resets: u64,
    wire: Vec<u8>,
    scratch: Vec<u8>,
    resend_index: FieldIndex,
}

impl Session {
    /// The session at `index` of the store, not connected.
    #[must_use]
    pub fn new(
        index: usize,
        our_comp_id: &str,
        their_comp_id: &str,
        limits: &GatewayLimits,
        store: &Store,
    ) -> Self {
        Self {
            index,
            our_comp_id: our_comp_id.as_bytes().to_vec(),
            their_comp_id: their_comp_id.as_bytes().to_vec(),
            sending_time_ns: limits.sending_time_ns,
            logout_timeout_ns: limits.logout_timeout_ns,
            heartbeat_limit_s: limits.heartbeat_seconds,
            queue_limit: limits.queued_messages,
            resend_pause_bytes: resend::PAUSE_AT_BYTES.min(limits.output_bytes / 4),
            phase: Phase::Offline,
            heartbeat_ns: 0,
            last_sent_ns: 0,
            last_received_ns: 0,
            test_request_open: false,
            expected_in: store.next_in(index),
            resend_asked_to: 0,
            queue: BTreeMap::new(),
            resends: VecDeque::new(),
            resets: 0,
            wire: Vec::new(),
            scratch: Vec::with_capacity(1024),
            resend_index: FieldIndex::new(),
        }
    }

    /// Whether a client is logged on (or logging out).
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.phase != Phase::Offline
    }

    /// Whether messages flow: logged on and no Logout sent.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.phase == Phase::Online
    }

    /// Next number to receive.
    #[must_use]
    pub fn expected_in(&self) -> u64 {
        self.expected_in
    }

    /// How often both sequences have started anew in this process.
    #[must_use]
    pub fn resets(&self) -> u64 {
        self.resets
    }

    /// Bytes to send, in order. The transport removes what it has sent.
    pub fn wire(&mut self) -> &mut Vec<u8> {
        &mut self.wire
    }

    /// The in-sequence message has had its effect, or will have: go on to the next number.
    pub fn advance(&mut self) {
        self.move_expected_in(self.expected_in + 1);
    }

    fn move_expected_in(&mut self, expected_in: u64) {
        self.expected_in = expected_in;
        if self.expected_in > self.resend_asked_to {
            self.resend_asked_to = 0;
        }
    }

    /// Takes the message that was received ahead of a gap and is now in sequence, if there is one.
    pub fn take_queued(&mut self) -> Option<Vec<u8>> {
        while let Some(entry) = self.queue.first_entry() {
            if *entry.key() > self.expected_in {
                return None;
            }
            let in_sequence = *entry.key() == self.expected_in;
            let message = entry.remove();
            if in_sequence {
                return Some(message);
            }
        }
        None
    }

    /// Puts back what [`Session::take_queued`] gave: it could not be dealt with yet.
    pub fn put_back_queued(&mut self, message: Vec<u8>) {
        self.queue.insert(self.expected_in, message);
    }

    /// A client whose identity and password are right sends its Logon. Everything else about it is checked here.
    pub fn on_logon(&mut self, message: &Message<'_>, now_ns: u64, store: &mut Store) -> Verdict {
        assert!(!self.is_connected(), "a connected session takes no second client");
        self.wire.clear();
        if let Some((text, reason)) = self.logon_problem(message, now_ns) {
            self.refuse(text, now_ns, store);
            return Verdict::Disconnect(reason);
        }
        let sequence = message.number(tags::MSG_SEQ_NUM).expect("checked above");
        let reset = message.flag(tags::RESET_SEQ_NUM_FLAG);
        if reset {
            self.reset(store);
        }
        if sequence < self.expected_in && !message.flag(tags::POSS_DUP_FLAG) {
            let text = format!("MsgSeqNum too low, expecting {} but received {sequence}", self.expected_in);
            self.refuse(&text, now_ns, store);
            return Verdict::Disconnect("MsgSeqNum of the Logon too low");
        }
        let seconds = message.number(tags::HEART_BT_INT).expect("checked above");
        self.phase = Phase::Online;
        self.heartbeat_ns = seconds * 1_000_000_000;
        self.last_received_ns = now_ns;
        self.test_request_open = false;
        self.resend_asked_to = 0;
        self.send_logon(seconds, reset, now_ns, store);
        if sequence == self.expected_in {
            self.advance();
        } else if sequence > self.expected_in {
            self.ask_resend(sequence, now_ns, store);
        }
        Verdict::Handled
    }

    fn logon_problem(&self, message: &Message<'_>, now_ns: u64) -> Option<(&'static str, &'static str)> {
        let both = |text| Some((text, text));
        let sending_time = message.get(tags::SENDING_TIME).and_then(crate::fix::parse_utc_timestamp);
        if sending_time.is_none_or(|time| time.abs_diff(now_ns) > self.sending_time_ns) {
            return both("SendingTime (52) of the Logon is missing, malformed or too far from our clock");
        }
        let Some(sequence) = message.number(tags::MSG_SEQ_NUM).filter(|&sequence| sequence > 0) else {
            return both("MsgSeqNum (34) of the Logon is missing or not a number");
        };
        if message.get(tags::ENCRYPT_METHOD) != Some(b"0") {
            return both("EncryptMethod (98) must be 0: none");
        }
        let seconds = message.number(tags::HEART_BT_INT);
        if seconds.is_none_or(|seconds| seconds > self.heartbeat_limit_s) {
            return both("HeartBtInt (108) must be a number of seconds from 0 to the configured limit");
        }
        if message.flag(tags::RESET_SEQ_NUM_FLAG) && sequence != 1 {
            return both("ResetSeqNumFlag (141) needs MsgSeqNum 1");
        }
        None
    }

    /// Both sequences start at 1 again.
    pub fn reset(&mut self, store: &mut Store) {
        store.reset(self.index);
        self.resets += 1;
        self.expected_in = 1;
        self.resend_asked_to = 0;
        self.queue.clear();
        self.resends.clear();
    }

    /// The connection is gone.
    pub fn on_disconnect(&mut self) {
        self.phase = Phase::Offline;
        self.wire.clear();
        self.queue.clear();
        self.resends.clear();
        self.resend_asked_to = 0;
        self.test_request_open = false;
    }

    /// Time has passed: heartbeats, test requests, timeouts, and the next part of a long resend.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn on_tick(&mut self, now_ns: u64, store: &mut Store) -> std::io::Result<Verdict> {
        match self.phase {
            Phase::Offline => return Ok(Verdict::Handled),
            Phase::LoggingOut { since_ns } => {
                let waited_ns = now_ns.saturating_sub(since_ns);
                let late = waited_ns >= self.logout_timeout_ns;
                return Ok(if late { Verdict::Disconnect("Logout not answered") } else { Verdict::Handled });
            }
            Phase::Online => {}
        }
        self.pump_resends(now_ns, store)?;
        if self.heartbeat_ns == 0 {
            return Ok(Verdict::Handled);
        }
        // 1.2 and 2.4 intervals of silence, as QuickFIX has it: the interval plus "a reasonable transmission time".
        let silence_ns = now_ns.saturating_sub(self.last_received_ns);
        if silence_ns >= self.heartbeat_ns / 5 * 12 {
            return Ok(Verdict::Disconnect("no answer to TestRequest"));
        }
        if self.test_request_open {
            return Ok(Verdict::Handled);
        }
        if silence_ns >= self.heartbeat_ns / 5 * 6 {
            self.send_admin(b"1", now_ns, store, |writer| writer.bytes(tags::TEST_REQ_ID, b"TEST"));
            self.test_request_open = true;
        } else if now_ns.saturating_sub(self.last_sent_ns) >= self.heartbeat_ns {
            self.send_admin(b"0", now_ns, store, |_| {});
        }
        Ok(Verdict::Handled)
    }
}
