//! Answering ResendRequests, a part at a time so that a long one does not fill memory.

use std::io;

use super::Session;
use crate::fix::{MessageWriter, format_utc_millis, tags};
use crate::store::Store;

/// A resend pauses while this many bytes wait to be sent, or a quarter of what may wait, if that is less.
pub(super) const PAUSE_AT_BYTES: usize = 256 * 1024;
/// Ranges asked for and not answered yet; more would only repeat each other.
pub(super) const MAX_OPEN_RANGES: usize = 16;

impl Session {
    /// Goes on with what the client has asked for.
    pub(super) fn pump_resends(&mut self, now_ns: u64, store: &mut Store) -> io::Result<()> {
        while self.wire.len() < self.resend_pause_bytes {
            let Some(&(next, last)) = self.resends.front() else { return Ok(()) };
            if next > last {
                self.resends.pop_front();
                continue;
            }
            let mut stored = std::mem::take(&mut self.scratch);
            let found = store.read_from(self.index, next, &mut stored);
            let after = match found? {
                Some(sequence) if sequence <= last => {
                    if sequence > next {
                        self.send_gap_fill(next, sequence, now_ns);
                    }
                    self.send_again(&stored, sequence, now_ns);
                    sequence + 1
                }
                _ => {
                    self.send_gap_fill(next, last + 1, now_ns);
                    last + 1
                }
            };
            self.scratch = stored;
            if let Some(range) = self.resends.front_mut() {
                range.0 = after;
            }
        }
        Ok(())
    }

    /// SequenceReset-GapFill in place of the administrative messages from `sequence` up to before `next`.
    fn send_gap_fill(&mut self, sequence: u64, next: u64, now_ns: u64) {
        let now = format_utc_millis(now_ns);
        let mut writer = MessageWriter::begin(&mut self.wire, b"4");
        writer.integer(tags::MSG_SEQ_NUM, sequence);
        writer.bytes(tags::POSS_DUP_FLAG, b"Y");
        writer.bytes(tags::SENDER_COMP_ID, &self.our_comp_id);
        writer.bytes(tags::SENDING_TIME, &now);
        writer.bytes(tags::TARGET_COMP_ID, &self.their_comp_id);
        writer.bytes(tags::ORIG_SENDING_TIME, &now);
        writer.integer(tags::NEW_SEQ_NO, next);
        writer.bytes(tags::GAP_FILL_FLAG, b"Y");
        writer.finish();
        self.last_sent_ns = now_ns;
    }

    /// A stored message with PossDupFlag and its first SendingTime.
    fn send_again(&mut self, stored: &[u8], sequence: u64, now_ns: u64) {
        let message = self.resend_index.parse(stored).expect("the store keeps what we built");
        let mut writer = MessageWriter::begin(&mut self.wire, message.message_type());
        writer.integer(tags::MSG_SEQ_NUM, sequence);
        writer.bytes(tags::POSS_DUP_FLAG, b"Y");
        writer.bytes(tags::SENDER_COMP_ID, &self.our_comp_id);
        writer.bytes(tags::SENDING_TIME, &format_utc_millis(now_ns));
        writer.bytes(tags::TARGET_COMP_ID, &self.their_comp_id);
        writer.bytes(tags::ORIG_SENDING_TIME, message.get(tags::SENDING_TIME).unwrap_or_default());
        writer.raw(message.body_after(tags::TARGET_COMP_ID));
        writer.finish();
        self.last_sent_ns = now_ns;
    }
}
