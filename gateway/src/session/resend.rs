//! Answering ResendRequests, a part at a time so that a long one does not fill memory.

use std::io;

use super::Session;
use crate::fix::{Message, format_utc, tags};
use crate::rebuild::Resent;
use crate::store::{Again, Store};

/// A resend pauses while this many bytes wait to be sent, or a quarter of what may wait, if that is less.
pub(super) const PAUSE_AT_BYTES: usize = 256 * 1024;
/// Ranges asked for and not answered yet; more would only repeat each other.
pub(super) const MAX_OPEN_RANGES: usize = 16;

/// Numbers that the client has asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    /// The first one that has not been answered, by a message or a gap fill.
    unanswered: u64,
    /// The first one that has not been looked at.
    next: u64,
    /// The last one.
    last: u64,
}

impl Range {
    pub(super) fn new(begin: u64, last: u64) -> Self {
        Self { unanswered: begin, next: begin, last }
    }
}

impl Session {
    /// Goes on with what the client has asked for.
    pub(super) fn pump_resends(&mut self, now_ns: u64, store: &mut Store) -> io::Result<()> {
        while self.wire.len() < self.resend_pause_bytes {
            let Some(&range) = self.resends.front() else { return Ok(()) };
            let mut kept = std::mem::take(&mut self.scratch);
            let again = store.read_again(self.index, (range.next, range.last), &mut kept);
            let after = match again? {
                Again::NotYet => {
                    self.scratch = kept;
                    return Ok(());
                }
                Again::Kept(number) if self.can_read(&kept) => {
                    self.fill_gap(range.unanswered, number, now_ns);
                    self.send_kept(&kept, number, now_ns);
                    Some(number)
                }
                Again::Made(made) if self.speaks(&made) => {
                    self.fill_gap(range.unanswered, made.number, now_ns);
                    self.send_made(&made, now_ns, store);
                    Some(made.number)
                }
                Again::Kept(number) | Again::Lost(number) | Again::Made(Resent { number, .. }) => {
                    self.resends[0].next = number + 1;
                    None
                }
                Again::End => {
                    self.fill_gap(range.unanswered, range.last + 1, now_ns);
                    Some(range.last)
                }
            };
            self.scratch = kept;
            if let Some(answered) = after {
                self.resends[0].next = answered + 1;
                self.resends[0].unanswered = answered + 1;
            }
            self.resends.pop_front_if(|range| range.unanswered > range.last);
        }
        Ok(())
    }

    /// SequenceReset-GapFill, if there is a gap.
    fn fill_gap(&mut self, from: u64, next: u64, now_ns: u64) {
        if next > from {
            self.send_gap_fill(from, next, now_ns);
        }
    }

    /// Whether the client can read what was sent to it in the version that it spoke then.
    fn can_read(&mut self, kept: &[u8]) -> bool {
        let message = self.resend_index.parse(kept).expect("the store keeps what we built");
        message.get(tags::BEGIN_STRING) == Some(self.identity.version.begin_string())
    }

    /// The same of a message that was made again; `false` also if it could not be made.
    fn speaks(&self, made: &Resent) -> bool {
        made.body.is_some() && made.sent.version.begin_string() == self.identity.version.begin_string()
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

    /// A message as it was kept, with PossDupFlag and its first SendingTime.
    fn send_kept(&mut self, kept: &[u8], sequence: u64, now_ns: u64) {
        let message = self.resend_index.parse(kept).expect("the store keeps what we built");
        let mut writer = self.identity.begin(&mut self.wire, message.message_type());
        let original_time = message.get(tags::SENDING_TIME).unwrap_or_default();
        self.identity.write_header_again(&mut writer, sequence, Some(original_time), now_ns);
        writer.raw(body_of(&message));
        writer.finish();
        self.last_sent_ns = now_ns;
    }

    /// The same for a message that was made again.
    fn send_made(&mut self, made: &Resent, now_ns: u64, store: &mut Store) {
        let Some((message_type, body)) = &made.body else { return };
        if crc32c::crc32c(body) != made.sent.checksum {
            // Better this than nothing: another version of this program may have had other words for it.
            store.made_differently(self.index, made.number);
        }
        let original_time = format_utc(made.sent.time_ns, self.identity.precision);
        let mut writer = self.identity.begin(&mut self.wire, message_type);
        self.identity.write_header_again(&mut writer, made.number, Some(&original_time), now_ns);
        writer.raw(body);
        writer.finish();
        self.last_sent_ns = now_ns;
    }
}

/// The fields behind the header that we write.
fn body_of<'m>(message: &Message<'m>) -> &'m [u8] {
    let header = message.fields().iter().take_while(|field| field.tag != tags::TARGET_COMP_ID).count() + 1;
    let processed = message.fields().get(header).map(|field| field.tag);
    let last = processed.filter(|&tag| tag == tags::LAST_MSG_SEQ_NUM_PROCESSED);
    message.body_after(last.unwrap_or(tags::TARGET_COMP_ID))
}
