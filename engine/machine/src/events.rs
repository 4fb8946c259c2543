//! The buffer that a state machine writes its events into.

use alloc::vec::Vec;
use zerocopy::{FromBytes, IntoBytes};

use crate::Context;
use crate::record::{Body, HEADER_LENGTH, MAX_RECORD_LENGTH, Record, RecordHeader, flags, stride};

/// Events of one or more commands, back to back as records, in memory reserved once.
///
/// Use: [`EventBuffer::begin`], then [`EventBuffer::push`] for each event, then [`EventBuffer::finish`]; any number
/// of commands, then [`EventBuffer::bytes`] and [`EventBuffer::clear`]. The bytes are the ones that go into the ring
/// and, once the checksum is filled in, into the journal.
pub struct EventBuffer {
    /// Words, so that every record is aligned for its header.
    words: Vec<u64>,
    /// Bytes used.
    length: usize,
    /// Header of the events being written: sequence, time and source of the command.
    template: RecordHeader,
    /// Where the current command's last event starts, or `NONE`.
    last_start: usize,
}

const NONE: usize = usize::MAX;

impl EventBuffer {
    /// Reserves `capacity_bytes`, rounded up to whole words. Nothing is allocated after this.
    #[must_use]
    pub fn with_capacity(capacity_bytes: usize) -> Self {
        let words = alloc::vec![0; capacity_bytes.div_ceil(size_of::<u64>())];
        Self { words, length: 0, template: RecordHeader::default(), last_start: NONE }
    }

    /// Starts the events of one command.
    #[inline]
    pub fn begin(&mut self, context: &Context) {
        self.template = RecordHeader {
            sequence: context.sequence,
            timestamp_ns: context.timestamp_ns,
            source: context.source,
            ..RecordHeader::default()
        };
        self.last_start = NONE;
    }

    /// Appends one event of fixed layout.
    ///
    /// # Panics
    /// If the buffer is full: the machine promised less in `max_event_bytes`.
    #[inline(always)]
    pub fn push<T: Body>(&mut self, body: &T) {
        self.push_bytes(T::KIND, T::SCHEMA_VERSION, body.as_bytes());
    }

    /// Appends one event whose body another codec has encoded.
    ///
    /// # Panics
    /// If the buffer is full, or the body exceeds `MAX_RECORD_LENGTH - HEADER_LENGTH`.
    #[inline(always)]
    pub fn push_bytes(&mut self, kind: u16, schema_version: u8, body: &[u8]) {
        let length = HEADER_LENGTH + body.len();
        assert!(length <= MAX_RECORD_LENGTH, "event of {length} bytes is longer than a record can be");
        let start = self.length;
        let end = start + stride(length);
        let header = RecordHeader { length: length as u32, kind, schema_version, ..self.template };
        let Some(room) = self.words.as_mut_bytes().get_mut(start..end) else {
            panic!("event buffer is full: one command produced more than its machine promised");
        };
        let (head, tail) = room.split_at_mut(HEADER_LENGTH);
        head.copy_from_slice(header.as_bytes());
        let (content, padding) = tail.split_at_mut(body.len());
        content.copy_from_slice(body);
        padding.fill(0);
        self.last_start = start;
        self.length = end;
    }

    /// Ends the events of one command: marks the last one.
    ///
    /// # Panics
    /// If there is none; every command has at least one event.
    #[inline]
    pub fn finish(&mut self) {
        assert!(self.last_start != NONE, "a command must give at least one event");
        let start = self.last_start;
        let header = self.words.as_mut_bytes().get_mut(start..start + HEADER_LENGTH);
        let header = header.and_then(|bytes| RecordHeader::mut_from_bytes(bytes).ok());
        header.expect("the last event lies in the buffer").flags |= flags::LAST_EVENT;
    }

    /// All events so far, padded records back to back.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.words.as_bytes().get(..self.length).unwrap_or_default()
    }

    /// Forgets all events; keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.length = 0;
        self.last_start = NONE;
    }

    /// Bytes reserved.
    #[must_use]
    pub fn capacity_bytes(&self) -> usize {
        self.words.len() * size_of::<u64>()
    }

    /// Bytes still free.
    #[inline]
    #[must_use]
    pub fn free_bytes(&self) -> usize {
        self.capacity_bytes() - self.length
    }

    /// The events one by one.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let mut rest = self.bytes();
        core::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let record = Record::parse(rest).expect("the buffer holds whole records");
            rest = rest.get(stride(record.header().length as usize)..).unwrap_or_default();
            Some(record)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Source;
    use alloc::vec::Vec;

    #[test]
    fn events_carry_their_commands_context_and_the_last_is_marked() {
        let mut events = EventBuffer::with_capacity(1024);
        let source = Source { gateway: 2, session: 9 };
        events.begin(&Context { sequence: 5, timestamp_ns: 77, source });
        events.push_bytes(40_000, 1, b"abc");
        events.push_bytes(40_001, 1, b"");
        events.finish();
        events.begin(&Context { sequence: 6, timestamp_ns: 78, source });
        events.push_bytes(40_002, 2, &[1; 16]);
        events.finish();

        let records: Vec<_> = events.records().collect();
        assert_eq!(records.len(), 3);
        assert_eq!(records[0].header().sequence, 5);
        assert_eq!(records[0].header().source, source);
        assert_eq!(records[0].body(), b"abc");
        assert_eq!(records.iter().map(Record::is_last_event).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!(events.bytes().len(), 40 + 32 + 48);
        events.clear();
        assert_eq!(events.records().count(), 0);
    }

    #[test]
    #[should_panic(expected = "at least one event")]
    fn a_command_without_events_stops_the_process() {
        let mut events = EventBuffer::with_capacity(64);
        events.begin(&Context::default());
        events.finish();
    }

    #[test]
    #[should_panic(expected = "event buffer is full")]
    fn more_events_than_promised_stop_the_process() {
        let mut events = EventBuffer::with_capacity(64);
        events.begin(&Context::default());
        events.push_bytes(40_000, 1, &[0; 33]);
    }
}
