//! Answering ResendRequests, a part at a time so that a long one does not fill memory.

use std::io;

use super::Session;
use crate::fix::{format_utc, tags};
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
                    if !self.send_again(&stored, sequence, now_ns) {
                        self.send_gap_fill(sequence, sequence + 1, now_ns);
                    }
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
        let now = format_utc(now_ns, self.identity.precision);
        let mut writer = self.identity.begin(&mut self.wire, b"4");
        self.identity.write_header_again(&mut writer, sequence, Some(&now), now_ns);
        writer.integer(tags::NEW_SEQ_NO, next);
        writer.bytes(tags::GAP_FILL_FLAG, b"Y");
        writer.finish();
        self.last_sent_ns = now_ns;
    }

    /// A stored message with PossDupFlag and its first SendingTime. `false` if it is of another version than the
    /// session speaks now: the client could not read it.
    fn send_again(&mut self, stored: &[u8], sequence: u64, now_ns: u64) -> bool {
        let message = self.resend_index.parse(stored).expect("the store keeps what we built");
        if message.get(tags::BEGIN_STRING) != Some(self.identity.version.begin_string()) {
            return false;
        }
        let mut writer = self.identity.begin(&mut self.wire, message.message_type());
        let original_time = message.get(tags::SENDING_TIME).unwrap_or_default();
        self.identity.write_header_again(&mut writer, sequence, Some(original_time), now_ns);
        let header =
            message.fields().iter().take_while(|field| field.tag != tags::TARGET_COMP_ID).count() + 1;
        let processed = message.fields().get(header).map(|field| field.tag);
        let last = if processed == Some(tags::LAST_MSG_SEQ_NUM_PROCESSED) {
            processed
        } else {
            Some(tags::TARGET_COMP_ID)
        };
        writer.raw(message.body_after(last.unwrap_or_default()));
        writer.finish();
        self.last_sent_ns = now_ns;
        true
    }
}
