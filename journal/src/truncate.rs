//! Cutting the end of a stream on purpose: events that no command stands behind.

use crate::chain::Chain;
use crate::format::{FrameHeader, SEGMENT_HEADER_LENGTH, segment_path};
use crate::frame::{Found, FrameReader, Segment, list_segments, split_record};
use crate::scan::Cut;
use crate::storage::write_all;
use crate::writer::reopen;
use crate::{JournalError, Problem, StreamWriter};
use machine::Record;
use zerocopy::IntoBytes;

/// Where to cut a segment: behind the frame at `frame_end`, or inside the frame that starts there.
struct Place {
    frame_end: u64,
    /// The frame that goes over the cut, with the payload that stays.
    partial: Option<(FrameHeader, Vec<u8>)>,
    chain: Chain,
}

impl StreamWriter {
    /// Removes every record after `sequence`, and syncs. For the events stream, whose records can be rebuilt.
    ///
    /// # Errors
    /// Nothing at or before `sequence` is stored, damage, or what the system says.
    pub fn truncate_after(&mut self, sequence: u64) -> Result<(), JournalError> {
        self.flush()?;
        self.guarded(|writer| writer.cut_after(sequence))
    }

    /// Cuts the events of a command whose last one is missing.
    pub(crate) fn cut_incomplete_command(&mut self, earlier: Option<Cut>) -> Result<Cut, JournalError> {
        let (before, end) = (self.segment.path.clone(), self.offset);
        self.truncate_after(self.chain.last_complete())?;
        let same = before == self.segment.path;
        let last_seen = earlier.as_ref().map_or(0, |cut| cut.last_seen).max(self.chain.last + 1);
        let bytes = earlier.as_ref().map_or(0, |cut| cut.bytes) + end.saturating_sub(self.offset);
        let mut segments_removed = earlier.map(|cut| cut.segments_removed).unwrap_or_default();
        if !same {
            segments_removed.insert(0, before);
        }
        let problem = Problem::IncompleteCommand;
        let bytes = if same { bytes } else { 0 };
        let (file, offset, sequence) = (self.segment.path.clone(), self.offset, self.chain.last + 1);
        Ok(Cut { file, offset, bytes, segments_removed, problem, sequence, last_seen })
    }

    fn cut_after(&mut self, sequence: u64) -> Result<(), JournalError> {
        if sequence >= self.chain.last && self.chain.complete {
            return Ok(());
        }
        let firsts = list_segments(&*self.storage, &self.folder)?;
        // The first segment stays even when nothing of it does: it says what the stream is.
        let kept = firsts.iter().rposition(|first| *first <= sequence).unwrap_or(0);
        let Some(first) = firsts.get(kept).copied() else { return Ok(()) };
        for later in firsts[kept + 1..].iter().rev() {
            crate::archive::remove(&*self.storage, &self.folder, *later)?;
            self.storage.sync_folder(&self.folder).map_err(JournalError::io("sync", &self.folder))?;
        }
        let segment = Segment::require(&*self.storage, &self.folder, first)?;
        let place = find(&segment, self.identity.kind, sequence)?;
        drop(segment);
        self.apply(first, place)
    }

    fn apply(&mut self, first: u64, place: Place) -> Result<(), JournalError> {
        let segment = Segment::open(&*self.storage, &self.folder, first, true)?;
        let Some(segment) = segment else {
            return Err(crate::format::damaged_header(&segment_path(&self.folder, first), first));
        };
        segment.file.truncate(place.frame_end).map_err(segment.io("truncate"))?;
        segment.file.sync().map_err(segment.io("sync"))?;
        let mut end = place.frame_end;
        if let Some((mut header, payload)) = place.partial {
            header.seal(segment.header.checksum);
            end += header.total_length(segment.header.frame_alignment);
            let mut frame = header.as_bytes().to_vec();
            frame.extend_from_slice(&payload);
            write_all(&*segment.file, &frame, place.frame_end).map_err(segment.io("write"))?;
        }
        drop(segment);
        self.segment = reopen(&self.storage, &self.folder, first)?;
        self.offset = end;
        self.write_back.to = end;
        self.zeroed_to = end;
        self.chain = place.chain;
        self.syncer.cut(&self.segment, self.chain.last_complete());
        self.frame.restart(self.chain);
        Ok(())
    }
}

/// Finds the end of the last record at or before `sequence`.
fn find(segment: &Segment, kind: crate::StreamKind, sequence: u64) -> Result<Place, JournalError> {
    let mut reader = FrameReader::new();
    let mut offset = SEGMENT_HEADER_LENGTH as u64;
    let mut chain = Chain::entering(kind, &segment.header);
    loop {
        let before = chain;
        match reader.read(segment, offset, &mut chain).map_err(segment.io("read"))? {
            Found::Frame(header) if header.last_sequence() <= sequence => {
                offset += header.total_length(segment.header.frame_alignment);
            }
            Found::Frame(header) => {
                let (chain, partial) = split(reader.payload(), header, before, sequence);
                return Ok(Place { frame_end: offset, partial, chain });
            }
            _ => return Ok(Place { frame_end: offset, partial: None, chain }),
        }
    }
}

/// The part of a frame that stays: its new header and payload, and the chain after it.
fn split(
    payload: &[u8],
    header: FrameHeader,
    before: Chain,
    sequence: u64,
) -> (Chain, Option<(FrameHeader, Vec<u8>)>) {
    let mut chain = before;
    let mut rest = payload;
    let mut kept = 0;
    while let Some((bytes, after)) = split_record(rest) {
        let Ok(record) = Record::parse(bytes) else { break };
        if record.header().sequence > sequence || chain.accept(record.header()).is_err() {
            break;
        }
        kept += bytes.len();
        rest = after;
    }
    if kept == 0 {
        return (before, None);
    }
    let mut header = FrameHeader {
        payload_length: kept as u32,
        record_count: (chain.records - before.records) as u32,
        sequence_span: (chain.last - header.first_sequence) as u32,
        ..header
    };
    chain.hash = before.hash.after(&[header.as_bytes(), &payload[..kept]].concat());
    header.chain = chain.hash.half();
    (chain, Some((header, payload[..kept].to_vec())))
}
