//! A machine behind the shortest pipeline there is.

use machine::{EventBuffer, Record, RecordHeader, Source, StateMachine, step};
use simulator::{Venue, VenueError};
use zerocopy::IntoBytes;

/// A machine stepped in place; events come only when polled, and at most `burst` commands' events at a time, so
/// that many commands are in flight; `room` of them before it is full.
pub struct Inline<M> {
    pub machine: M,
    sequence: u64,
    waiting: Vec<Vec<u64>>,
    burst: usize,
    room: usize,
    /// Whether a command without room is a mistake of the test's subject.
    pub strict: bool,
    events: EventBuffer,
}

impl<M: StateMachine> Inline<M> {
    pub fn new(machine: M, burst: usize, room: usize) -> Self {
        let events = EventBuffer::with_capacity(machine.max_event_bytes());
        Self { machine, sequence: 0, waiting: Vec::new(), burst, room, strict: false, events }
    }
}

impl<M: StateMachine> Venue for Inline<M> {
    fn source(&self) -> Source {
        Source { gateway: 7, session: 3 }
    }
    fn send(&mut self, kind: u16, body: &[u8]) -> Result<bool, VenueError> {
        if self.waiting.len() >= self.room {
            let strict = self.strict.then(|| VenueError("more in flight than the window".to_owned()));
            return strict.map_or(Ok(false), Err);
        }
        self.sequence += 1;
        let header = RecordHeader {
            length: (machine::HEADER_LENGTH + body.len()) as u32,
            sequence: self.sequence,
            timestamp_ns: self.sequence * 1_000,
            kind,
            schema_version: 1,
            source: self.source(),
            ..RecordHeader::default()
        };
        let mut words = vec![0u64; body.len().div_ceil(8)];
        words.as_mut_bytes()[..body.len()].copy_from_slice(body);
        let body = &words.as_bytes()[..body.len()];
        step(&mut self.machine, Record::from_parts(&header, body), &mut self.events);
        let bytes = self.events.bytes();
        let mut copy = vec![0u64; bytes.len() / 8];
        copy.as_mut_bytes().copy_from_slice(bytes);
        self.waiting.push(copy);
        self.events.clear();
        Ok(true)
    }
    fn poll(&mut self, handler: &mut dyn FnMut(Record<'_>)) -> Result<usize, VenueError> {
        let count = self.burst.min(self.waiting.len());
        for words in self.waiting.drain(..count) {
            let mut rest = words.as_bytes();
            while !rest.is_empty() {
                let record = Record::parse(rest).unwrap();
                rest = &rest[machine::stride(record.header().length as usize)..];
                handler(record);
            }
        }
        Ok(count)
    }
}
