//! What a session sends.

use super::validate::Problem;
use super::{Phase, Session};
use crate::fix::{Message, MessageWriter, format_utc_millis, tags};
use crate::store::Store;

/// Pairs of routing fields: a reject goes back the way that the message came (FIX 4.4 volume 2, routing).
/// From, to; in the order in which they are written.
const ROUTES: [(u32, u32); 6] = [
    (tags::DELIVER_TO_COMP_ID, tags::ON_BEHALF_OF_COMP_ID),
    (tags::DELIVER_TO_SUB_ID, tags::ON_BEHALF_OF_SUB_ID),
    (tags::ON_BEHALF_OF_COMP_ID, tags::DELIVER_TO_COMP_ID),
    (tags::ON_BEHALF_OF_SUB_ID, tags::DELIVER_TO_SUB_ID),
    (tags::DELIVER_TO_LOCATION_ID, tags::ON_BEHALF_OF_LOCATION_ID),
    (tags::ON_BEHALF_OF_LOCATION_ID, tags::DELIVER_TO_LOCATION_ID),
];

/// Writes a Logout to a client that is not logged on, with a number that it does not check.
pub(crate) fn write_refusal(
    wire: &mut Vec<u8>,
    ours: &[u8],
    theirs: &[u8],
    sequence: u64,
    now_ns: u64,
    text: &str,
) {
    let mut writer = MessageWriter::begin(wire, b"5");
    write_header(&mut writer, ours, theirs, sequence, now_ns);
    writer.bytes(tags::TEXT, text.as_bytes());
    writer.finish();
}

fn write_header(writer: &mut MessageWriter<'_>, ours: &[u8], theirs: &[u8], sequence: u64, now_ns: u64) {
    writer.integer(tags::MSG_SEQ_NUM, sequence);
    writer.bytes(tags::SENDER_COMP_ID, ours);
    writer.bytes(tags::SENDING_TIME, &format_utc_millis(now_ns));
    writer.bytes(tags::TARGET_COMP_ID, theirs);
}

impl Session {
    /// Sends an administrative message; a resend will fill its number.
    pub(super) fn send_admin(
        &mut self,
        message_type: &[u8],
        now_ns: u64,
        store: &mut Store,
        body: impl FnOnce(&mut MessageWriter<'_>),
    ) {
        let sequence = store.next_out(self.index);
        let mut writer = MessageWriter::begin(&mut self.wire, message_type);
        write_header(&mut writer, &self.our_comp_id, &self.their_comp_id, sequence, now_ns);
        body(&mut writer);
        writer.finish();
        store.next_out_is(self.index, sequence + 1);
        self.last_sent_ns = now_ns;
    }

    /// Sends an application message. It is stored whether a client is connected or not, and can be asked for again.
    pub fn send_application(
        &mut self,
        message_type: &[u8],
        now_ns: u64,
        store: &mut Store,
        body: impl FnOnce(&mut MessageWriter<'_>),
    ) {
        let sequence = store.next_out(self.index);
        self.scratch.clear();
        let mut writer = MessageWriter::begin(&mut self.scratch, message_type);
        write_header(&mut writer, &self.our_comp_id, &self.their_comp_id, sequence, now_ns);
        body(&mut writer);
        writer.finish();
        store.application(self.index, sequence, &self.scratch);
        if self.is_connected() {
            self.wire.extend_from_slice(&self.scratch);
            self.last_sent_ns = now_ns;
        }
    }

    pub(super) fn send_logon(&mut self, seconds: u64, reset: bool, now_ns: u64, store: &mut Store) {
        self.send_admin(b"A", now_ns, store, |writer| {
            writer.bytes(tags::ENCRYPT_METHOD, b"0");
            writer.integer(tags::HEART_BT_INT, seconds);
            if reset {
                writer.bytes(tags::RESET_SEQ_NUM_FLAG, b"Y");
            }
        });
    }

    /// A Logout outside the sequence, for a Logon that is refused.
    pub(super) fn refuse(&mut self, text: &str, now_ns: u64, store: &Store) {
        let sequence = store.next_out(self.index);
        write_refusal(&mut self.wire, &self.our_comp_id, &self.their_comp_id, sequence, now_ns, text);
    }

    pub(super) fn send_logout(&mut self, text: &str, now_ns: u64, store: &mut Store) {
        self.send_admin(b"5", now_ns, store, |writer| {
            if !text.is_empty() {
                writer.bytes(tags::TEXT, text.as_bytes());
            }
        });
    }

    /// Sends a Logout and waits for the answer. Messages that still come are not received; the next session gets them
    /// again.
    pub fn begin_logout(&mut self, text: &str, now_ns: u64, store: &mut Store) {
        if self.phase == Phase::Online {
            self.send_logout(text, now_ns, store);
            self.phase = Phase::LoggingOut { since_ns: now_ns };
        }
    }

    /// Session-level Reject (35=3). Uses up the message's number if it is the next one.
    pub(super) fn reject(
        &mut self,
        message: &Message<'_>,
        problem: &Problem<'_>,
        now_ns: u64,
        store: &mut Store,
    ) {
        let sequence = message.number(tags::MSG_SEQ_NUM).unwrap_or(0);
        let route = |writer: &mut MessageWriter<'_>| {
            for (from, to) in ROUTES {
                if let Some(value) = message.get(from).filter(|value| !value.is_empty()) {
                    writer.bytes(to, value);
                }
            }
        };
        self.send_admin(b"3", now_ns, store, |writer| {
            route(writer);
            writer.integer(tags::REF_SEQ_NUM, sequence);
            writer.bytes(tags::TEXT, problem.reason.text().as_bytes());
            if !problem.tag.is_empty() {
                writer.bytes(tags::REF_TAG_ID, problem.tag);
            }
            writer.bytes(tags::REF_MSG_TYPE, message.message_type());
            writer.integer(tags::SESSION_REJECT_REASON, problem.reason as u64);
        });
        if sequence == self.expected_in {
            self.advance();
        }
    }

    /// BusinessMessageReject (35=j) for a message type that FIX knows and we do not serve.
    pub(super) fn reject_unsupported(&mut self, message: &Message<'_>, now_ns: u64, store: &mut Store) {
        let sequence = self.expected_in;
        self.send_application(b"j", now_ns, store, |writer| {
            writer.integer(tags::REF_SEQ_NUM, sequence);
            writer.bytes(tags::TEXT, b"Unsupported Message Type");
            writer.bytes(tags::REF_MSG_TYPE, message.message_type());
            writer.bytes(tags::BUSINESS_REJECT_REASON, b"3");
        });
    }
}
