//! The FIX session layer as a state machine without I/O.
//!
//! A [`Session`] is one identity (a pair of CompIDs), connected or not. It takes messages and ticks with the time, and
//! leaves bytes in [`Session::wire`]; its numbers and messages live in the [`Store`]. Sources: FIX 4.4 volume 2, FIXT
//! 1.1, the FIX session-level test cases, and what QuickFIX does where those are silent.

mod inbound;
mod logon;
mod outbound;
mod resend;
mod schedule;

use std::collections::{BTreeMap, VecDeque};
use std::io;

pub(crate) use logon::has_good_time;
pub use schedule::Schedule;

use crate::config::GatewayLimits;
use crate::dictionary::{RememberingChecker, Switches};
use crate::fix::{FieldIndex, Precision, Version};
use crate::store::Store;

/// Why a connection ends after the client has answered our Logout.
pub(crate) const LOGGED_OUT: &str = "logged out";
/// Why a connection ends after a Logout of the client.
pub(crate) const CLIENT_LOGGED_OUT: &str = "client logged out";

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

/// How one session behaves; all of it may differ from session to session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// The only version that may log on; `None` takes any, by BeginString.
    pub version: Option<Version>,
    /// What is checked against the dictionary.
    pub switches: Switches,
    /// CheckLatency: whether SendingTime (52) must be near our clock.
    pub check_latency: bool,
    /// MaxLatency: furthest that it may be, in nanoseconds (FIX recommends two minutes).
    pub max_latency_ns: u64,
    /// Digits in the timestamps that we send. FIX.4.0 and 4.1 get whole seconds always.
    pub precision: Precision,
    /// Most messages that one ResendRequest of ours asks for; 0 asks for all at once.
    pub resend_chunk: u64,
    /// Whether our messages carry LastMsgSeqNumProcessed (369), from FIX.4.2 on.
    pub last_processed: bool,
    /// Starts both sequences at 1 with every Logon. What was not received is then lost.
    pub reset_on_logon: bool,
    /// Starts both sequences at 1 after every Logout.
    pub reset_on_logout: bool,
    /// Starts both sequences at 1 after every disconnection.
    pub reset_on_disconnect: bool,
    /// Session time; `None` is always.
    pub schedule: Option<Schedule>,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            version: None,
            switches: Switches::default(),
            check_latency: true,
            max_latency_ns: 120_000_000_000,
            precision: Precision::Millis,
            resend_chunk: 0,
            last_processed: false,
            reset_on_logon: false,
            reset_on_logout: false,
            reset_on_disconnect: false,
            schedule: None,
        }
    }
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

/// What the time can bring to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// Our Logout was not answered in time.
    LogoutUnanswered,
    /// The interval of its schedule has ended.
    SessionOver,
    /// Nothing was received, not even an answer to a TestRequest.
    Silence,
    /// Nothing was received for more than an interval.
    TestRequest,
    /// Nothing was sent for an interval.
    Heartbeat,
}

/// Who is at both ends of a session, and how they speak.
struct Identity {
    ours: Vec<u8>,
    theirs: Vec<u8>,
    version: Version,
    precision: Precision,
    /// LastMsgSeqNumProcessed (369) of the next message, if it has one.
    last_processed: Option<u64>,
}

/// One FIX session. See the module's documentation.
pub struct Session {
    index: usize,
    identity: Identity,
    settings: SessionSettings,
    checker: RememberingChecker,
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
    /// Highest number received ahead of a gap; 0 if there is no gap.
    gap_to: u64,
    /// Messages received ahead of a gap.
    queue: BTreeMap<u64, Vec<u8>>,
    /// Ranges that the client has asked for and not got yet.
    resends: VecDeque<resend::Range>,
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
        settings: &SessionSettings,
        limits: &GatewayLimits,
        store: &Store,
    ) -> Self {
        let version = settings.version.or(store.version(index)).unwrap_or(Version::Fix44);
        Self {
            index,
            identity: Identity {
                ours: our_comp_id.as_bytes().to_vec(),
                theirs: their_comp_id.as_bytes().to_vec(),
                version,
                precision: settings.precision.in_version(version),
                last_processed: None,
            },
            settings: settings.clone(),
            checker: RememberingChecker::new(version, settings.switches),
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
            gap_to: 0,
            queue: BTreeMap::new(),
            resends: VecDeque::new(),
            resets: 0,
            wire: Vec::new(),
            scratch: Vec::new(),
            resend_index: FieldIndex::default(),
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

    /// The version that is spoken, or was last.
    #[must_use]
    pub fn version(&self) -> Version {
        self.identity.version
    }

    /// What it speaks, and how exact the times are that it sends.
    pub(crate) fn speech(&self) -> (Version, Precision) {
        (self.identity.version, self.identity.precision)
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
        if self.expected_in > self.gap_to {
            self.gap_to = 0;
        }
        self.note_processed();
    }

    fn note_processed(&mut self) {
        let carries = self.settings.last_processed && self.identity.version >= Version::Fix42;
        self.identity.last_processed = carries.then(|| self.expected_in - 1);
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

    /// Both sequences start at 1 again.
    pub fn reset(&mut self, store: &mut Store) {
        store.reset(self.index);
        self.resets += 1;
        self.expected_in = 1;
        self.resend_asked_to = 0;
        self.gap_to = 0;
        self.queue.clear();
        self.resends.clear();
        self.note_processed();
    }

    /// The connection is gone. Whether the sequences shall start anew then, see [`SessionSettings`].
    pub fn on_disconnect(&mut self) -> bool {
        let was_logging_out = matches!(self.phase, Phase::LoggingOut { .. });
        self.phase = Phase::Offline;
        self.wire.clear();
        self.queue.clear();
        self.resends.clear();
        self.resend_asked_to = 0;
        self.gap_to = 0;
        self.test_request_open = false;
        self.settings.reset_on_disconnect || (self.settings.reset_on_logout && was_logging_out)
    }

    /// What the time has brought.
    fn due(&self, now_ns: u64, store: &Store) -> Option<Due> {
        match self.phase {
            Phase::Offline => return None,
            Phase::LoggingOut { since_ns } => {
                let waited_ns = now_ns.saturating_sub(since_ns);
                return (waited_ns >= self.logout_timeout_ns).then_some(Due::LogoutUnanswered);
            }
            Phase::Online if self.is_out_of_schedule(now_ns, store) => return Some(Due::SessionOver),
            Phase::Online if self.heartbeat_ns == 0 => return None,
            Phase::Online => {}
        }
        // 1.2 and 2.4 intervals of silence, as QuickFIX has it: the interval plus "a reasonable transmission time".
        let silence_ns = now_ns.saturating_sub(self.last_received_ns);
        if silence_ns >= self.heartbeat_ns / 5 * 12 {
            Some(Due::Silence)
        } else if self.test_request_open {
            None
        } else if silence_ns >= self.heartbeat_ns / 5 * 6 {
            Some(Due::TestRequest)
        } else {
            (now_ns.saturating_sub(self.last_sent_ns) >= self.heartbeat_ns).then_some(Due::Heartbeat)
        }
    }

    /// Whether [`Session::on_tick`] would find something to do, or there is something to send.
    #[must_use]
    pub fn has_due(&self, now_ns: u64, store: &Store) -> bool {
        !self.wire.is_empty() || self.is_busy() || self.due(now_ns, store).is_some()
    }

    /// Whether it has to go on with something without hearing anything new: a resend, or a gap that is asked for in parts.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.resends.is_empty() || self.gap_to != 0
    }

    /// Time has passed: heartbeats, test requests, timeouts, and the next part of a long resend.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn on_tick(&mut self, now_ns: u64, store: &mut Store) -> io::Result<Verdict> {
        if self.phase == Phase::Online && !self.is_out_of_schedule(now_ns, store) {
            self.pump_resends(now_ns, store)?;
            self.ask_next_chunk(now_ns, store);
        }
        match self.due(now_ns, store) {
            None => {}
            Some(Due::LogoutUnanswered) => return Ok(Verdict::Disconnect("Logout not answered")),
            Some(Due::Silence) => return Ok(Verdict::Disconnect("no answer to TestRequest")),
            Some(Due::SessionOver) => self.begin_logout("the session's time is over", now_ns, store),
            Some(Due::TestRequest) => {
                self.send_admin(b"1", now_ns, store, |writer| {
                    writer.bytes(crate::fix::tags::TEST_REQ_ID, b"TEST");
                });
                self.test_request_open = true;
            }
            Some(Due::Heartbeat) => self.send_admin(b"0", now_ns, store, |_| {}),
        }
        Ok(Verdict::Handled)
    }
}
