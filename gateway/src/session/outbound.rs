//! What a session sends.

use super::{Identity, Phase, Session};
use crate::dictionary::{Problem, SessionRejectReason, TagRef};
use crate::fix::{Message, MessageWriter, Version, tags};
use crate::orders::Asked;
use crate::rebuild::Origin;
use crate::store::{Sent, Store};

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

impl Identity {
    pub(super) fn begin<'w>(&self, wire: &'w mut Vec<u8>, message_type: &[u8]) -> MessageWriter<'w> {
        MessageWriter::begin(wire, self.version, message_type).at_precision(self.precision)
    }

    /// Writes the header's fields after MsgType.
    pub(super) fn write_header(&self, writer: &mut MessageWriter<'_>, sequence: u64, now_ns: u64) {
        self.write_header_again(writer, sequence, None, now_ns);
    }

    /// Writes the header of a message that is sent again, with its first SendingTime, if that is given.
    pub(super) fn write_header_again(
        &self,
        writer: &mut MessageWriter<'_>,
        sequence: u64,
        original_time: Option<&[u8]>,
        now_ns: u64,
    ) {
        writer.integer(tags::MSG_SEQ_NUM, sequence);
        if original_time.is_some() {
            writer.bytes(tags::POSS_DUP_FLAG, b"Y");
        }
        writer.bytes(tags::SENDER_COMP_ID, &self.ours);
        writer.time(tags::SENDING_TIME, now_ns);
        writer.bytes(tags::TARGET_COMP_ID, &self.theirs);
        if let Some(original_time) = original_time {
            writer.bytes(tags::ORIG_SENDING_TIME, original_time);
        }
        if let Some(last_processed) = self.last_processed {
            writer.integer(tags::LAST_MSG_SEQ_NUM_PROCESSED, last_processed);
        }
    }
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
        let mut writer = self.identity.begin(&mut self.wire, message_type);
        self.identity.write_header(&mut writer, sequence, now_ns);
        body(&mut writer);
        writer.finish();
        store.next_out_is(self.index, sequence + 1);
        self.last_sent_ns = now_ns;
    }

    /// Sends a report. Whether a client is connected or not, the store keeps what it was made of, and it can be asked
    /// for again. `asked` is what a reject's event does not say.
    pub(crate) fn send_report(
        &mut self,
        message_type: &[u8],
        now_ns: u64,
        store: &mut Store,
        (origin, asked): (Origin, Option<&Asked>),
        body: impl FnOnce(&mut MessageWriter<'_>),
    ) {
        let number = store.next_out(self.index);
        let connected = self.is_connected();
        self.scratch.clear();
        let buffer = if connected { &mut self.wire } else { &mut self.scratch };
        let start = buffer.len();
        let mut writer = self.identity.begin(buffer, message_type);
        self.identity.write_header(&mut writer, number, now_ns);
        let place = writer.place();
        body(&mut writer);
        let checksum = crc32c::crc32c(writer.since(place));
        writer.finish();
        let sent = Sent { origin, version: self.identity.version, time_ns: now_ns, checksum };
        store.report(self.index, number, &sent, asked, &buffer[start..]);
        if connected {
            self.last_sent_ns = now_ns;
        }
    }

    /// Sends an application message that no event stands behind. The store keeps it whether a client is connected or
    /// not, and it can be asked for again.
    pub fn send_application(
        &mut self,
        message_type: &[u8],
        now_ns: u64,
        store: &mut Store,
        body: impl FnOnce(&mut MessageWriter<'_>),
    ) {
        let sequence = store.next_out(self.index);
        self.scratch.clear();
        let mut writer = self.identity.begin(&mut self.scratch, message_type);
        self.identity.write_header(&mut writer, sequence, now_ns);
        body(&mut writer);
        writer.finish();
        store.application(self.index, sequence, &self.scratch);
        if self.is_connected() {
            self.wire.extend_from_slice(&self.scratch);
            self.last_sent_ns = now_ns;
        }
    }

    /// Sends an application message that is not kept: a resend fills its number. For what is old when it is sent again.
    pub fn send_unkept(
        &mut self,
        message_type: &[u8],
        now_ns: u64,
        store: &mut Store,
        body: impl FnOnce(&mut MessageWriter<'_>),
    ) {
        self.send_admin(message_type, now_ns, store, body);
    }

    pub(super) fn send_logon(
        &mut self,
        seconds: u64,
        reset: bool,
        next_expected: Option<u64>,
        now_ns: u64,
        store: &mut Store,
    ) {
        let version = self.identity.version;
        self.send_admin(b"A", now_ns, store, |writer| {
            writer.bytes(tags::ENCRYPT_METHOD, b"0");
            writer.integer(tags::HEART_BT_INT, seconds);
            if reset {
                writer.bytes(tags::RESET_SEQ_NUM_FLAG, b"Y");
            }
            if let Some(next_expected) = next_expected {
                writer.integer(tags::NEXT_EXPECTED_MSG_SEQ_NUM, next_expected);
            }
            if version.is_fixt() {
                writer.bytes(tags::DEFAULT_APPL_VER_ID, version.application_id());
            }
        });
    }

    /// A Logout outside the sequence, for a Logon that is refused; in the words of its version.
    pub(crate) fn refuse(&mut self, logon: &Message<'_>, text: &str, now_ns: u64, store: &Store) {
        let sequence = store.next_out(self.index);
        let begin_string = logon.get(tags::BEGIN_STRING).unwrap_or_default();
        let spoken = Version::spoken(begin_string, logon.get(tags::DEFAULT_APPL_VER_ID));
        let version = spoken.unwrap_or(self.identity.version);
        let mut writer =
            MessageWriter::begin(&mut self.wire, version, b"5").at_precision(self.settings.precision);
        self.identity.write_header(&mut writer, sequence, now_ns);
        writer.bytes(tags::TEXT, text.as_bytes());
        writer.finish();
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

    /// Session-level Reject (35=3). Uses up the message's number if it is the next one, except for a SequenceReset,
    /// which says itself what the next number is.
    pub(super) fn reject(
        &mut self,
        message: &Message<'_>,
        problem: &Problem<'_>,
        now_ns: u64,
        store: &mut Store,
    ) {
        let text = match (self.identity.version < Version::Fix42, problem.tag) {
            (true, TagRef::Number(tag)) => format!("{} ({tag})", problem.reason.text()),
            (true, TagRef::Text(tag)) => format!("{} ({})", problem.reason.text(), tag.escape_ascii()),
            _ => problem.reason.text().to_owned(),
        };
        self.reject_as(message, &text, problem.tag, Some(problem.reason), now_ns, store);
    }

    fn reject_as(
        &mut self,
        message: &Message<'_>,
        text: &str,
        tag: TagRef<'_>,
        reason: Option<SessionRejectReason>,
        now_ns: u64,
        store: &mut Store,
    ) {
        let sequence = message.number(tags::MSG_SEQ_NUM).unwrap_or(0);
        if sequence == self.expected_in && message.message_type() != b"4" {
            self.advance();
        }
        let version = self.identity.version;
        // FIX.4.2 has no reasons above 11.
        let reason = reason.filter(|&reason| match version {
            Version::Fix40 | Version::Fix41 => false,
            Version::Fix42 => reason as u64 <= SessionRejectReason::MsgType as u64,
            _ => true,
        });
        self.send_admin(b"3", now_ns, store, |writer| {
            write_route(writer, message, version);
            writer.integer(tags::REF_SEQ_NUM, sequence);
            writer.bytes(tags::TEXT, text.as_bytes());
            if version < Version::Fix42 {
                return;
            }
            match tag {
                TagRef::None => {}
                TagRef::Number(tag) => writer.integer(tags::REF_TAG_ID, u64::from(tag)),
                TagRef::Text(tag) => writer.bytes(tags::REF_TAG_ID, tag),
            }
            writer.bytes(tags::REF_MSG_TYPE, message.message_type());
            if let Some(reason) = reason {
                writer.integer(tags::SESSION_REJECT_REASON, reason as u64);
            }
        });
    }

    /// For a message type that FIX knows and we do not serve: BusinessMessageReject (35=j), or before FIX.4.2, which
    /// has none, a Reject.
    pub(super) fn reject_unsupported(&mut self, message: &Message<'_>, now_ns: u64, store: &mut Store) {
        if self.identity.version < Version::Fix42 {
            return self.reject_as(message, "Unsupported message type", TagRef::None, None, now_ns, store);
        }
        let version = self.identity.version;
        self.send_application(b"j", now_ns, store, |writer| {
            write_business_reject(writer, message, 3, "Unsupported Message Type");
            if version.is_fixt() {
                // Not in FIX's table of this message, but QuickFIX sends it here and its acceptance scripts ask for it.
                writer.bytes(tags::DEFAULT_APPL_VER_ID, version.application_id());
            }
        });
        self.advance();
    }

    /// BusinessMessageReject (35=j) of a message, with BusinessRejectReason (380) and Text. Leaves its number alone.
    /// Before FIX.4.2 it is a Reject.
    pub fn reject_business(
        &mut self,
        message: &Message<'_>,
        reason: u64,
        text: &str,
        now_ns: u64,
        store: &mut Store,
    ) {
        if self.identity.version < Version::Fix42 {
            return self.send_admin(b"3", now_ns, store, |writer| write_referred(writer, message, text));
        }
        self.send_application(b"j", now_ns, store, |writer| {
            write_business_reject(writer, message, reason, text);
        });
    }
}

/// RefSeqNum (45) and Text (58).
fn write_referred(writer: &mut MessageWriter<'_>, message: &Message<'_>, text: &str) {
    writer.integer(tags::REF_SEQ_NUM, message.number(tags::MSG_SEQ_NUM).unwrap_or(0));
    writer.bytes(tags::TEXT, text.as_bytes());
}

fn write_business_reject(writer: &mut MessageWriter<'_>, message: &Message<'_>, reason: u64, text: &str) {
    write_referred(writer, message, text);
    writer.bytes(tags::REF_MSG_TYPE, message.message_type());
    writer.integer(tags::BUSINESS_REJECT_REASON, reason);
}

fn write_route(writer: &mut MessageWriter<'_>, message: &Message<'_>, version: Version) {
    for (from, to) in ROUTES {
        let location = matches!(to, tags::DELIVER_TO_LOCATION_ID | tags::ON_BEHALF_OF_LOCATION_ID);
        if location && version == Version::Fix40 {
            continue;
        }
        if let Some(value) = message.get(from).filter(|value| !value.is_empty()) {
            writer.bytes(to, value);
        }
    }
}
