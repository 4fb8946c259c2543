//! Comparing computed events with stored ones, byte for byte but for the checksums, which the journal filled in.

use crate::ahead::ReadAhead;
use crate::{Difference, JournalError};
use machine::{Record, RecordHeader, stride};
use zerocopy::{FromBytes, IntoBytes};

/// A stored events stream, at the first event that has not been compared.
pub(crate) struct Compare {
    stored: ReadAhead,
    /// Events that were equal.
    pub equal: u64,
}

/// What a batch was found to be.
pub(crate) enum Compared {
    /// All its events are stored.
    Equal,
    /// The stored events end before those of this command do.
    EndsBefore(u64),
    /// The first difference.
    Different(Box<Difference>),
}

impl Compare {
    pub fn new(stored: ReadAhead) -> Self {
        Self { stored, equal: 0 }
    }

    /// Compares the events of some commands, whole ones, in order, without gaps.
    ///
    /// # Errors
    /// Damage in the stored stream, or what the system says.
    pub fn batch(&mut self, computed: &[u8]) -> Result<Compared, JournalError> {
        let mut rest = computed;
        while !rest.is_empty() {
            let theirs = self.stored.records()?;
            if theirs.is_empty() {
                let sequence = header(rest).sequence;
                return Ok(Compared::EndsBefore(sequence));
            }
            let (bytes, events) = equal_records(rest, theirs);
            self.stored.consume(bytes);
            self.equal += events;
            rest = &rest[bytes..];
            if bytes == 0 {
                let done = computed.len() - rest.len();
                return self.differ(&computed[..done], rest).map(Compared::Different);
            }
        }
        Ok(Compared::Equal)
    }

    /// What keeps the stored events from going on where [`Compared::EndsBefore`] was found, if they are known to.
    ///
    /// # Errors
    /// What the system says.
    pub fn damage(&mut self) -> Result<JournalError, JournalError> {
        self.stored.damage()
    }

    /// Says what is different at the first of the `rest`.
    fn differ(&mut self, before: &[u8], rest: &[u8]) -> Result<Box<Difference>, JournalError> {
        let ours = record(rest);
        let theirs = record(self.stored.records()?);
        let sequence = ours.header().sequence.min(theirs.header().sequence);
        let event_index = records(before).filter(|event| event.header().sequence == sequence).count();
        let of_it = |event: Record<'_>| {
            let is_of_it = event.header().sequence == sequence;
            let bytes = || [event.header().as_bytes(), event.body()].concat();
            if is_of_it { bytes() } else { Vec::new() }
        };
        Ok(Box::new(Difference { sequence, event_index, stored: of_it(theirs), computed: of_it(ours) }))
    }
}

/// How many bytes and records are equal from the front.
fn equal_records(ours: &[u8], theirs: &[u8]) -> (usize, u64) {
    let (mut at, mut events) = (0, 0);
    while let (Some(ours), Some(theirs)) = (ours.get(at..), theirs.get(at..)) {
        let (Some((our_start, _)), Some((their_start, _))) =
            (ours.split_first_chunk::<8>(), theirs.split_first_chunk::<8>())
        else {
            break;
        };
        // Length in the lower half, checksum in the upper one.
        let length = u64::from_le_bytes(*our_start) as u32;
        if length != u64::from_le_bytes(*their_start) as u32 {
            break;
        }
        let end = stride(length as usize);
        if ours.get(8..end) != theirs.get(8..end) || ours.len() < end {
            break;
        }
        at += end;
        events += 1;
    }
    (at, events)
}

fn header(records: &[u8]) -> RecordHeader {
    RecordHeader::read_from_prefix(records).map_or_else(|_| RecordHeader::default(), |(header, _)| header)
}

fn record(records: &[u8]) -> Record<'_> {
    Record::parse(records).expect("a whole record, by its maker or its reader")
}

/// Records back to back, one by one.
pub(crate) fn records(bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let record = Record::parse(rest).ok()?;
        rest = rest.get(stride(record.header().length as usize)..).unwrap_or_default();
        Some(record)
    })
}
