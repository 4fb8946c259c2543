//! Entries of the store's file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::fix::Version;
use crate::rebuild::Origin;

/// Bytes before the first entry.
pub(super) const FILE_HEADER: usize = 16;
/// Bytes before an entry's body.
pub(super) const ENTRY_HEADER: usize = 16;
/// Bytes that say where a report came from.
const REPORT_BODY: usize = 24;
/// Longest text in a body: a message, with room to spare over `GatewayLimits::message_bytes`.
const MAX_TEXT: u32 = 1 << 20;
/// How much is read from the file at once.
const WINDOW: usize = 1 << 20;

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    /// Text: CompID of the session with this index. Starts the session at 1 and 1.
    Session = 1,
    /// Number: its MsgSeqNum. Text: an application message that no event stands behind.
    Message = 2,
    /// Number: next to send.
    NextOut = 3,
    /// Number: next to receive.
    NextIn = 4,
    /// Both sequences at 1, messages forgotten.
    Reset = 5,
    /// Number: sequence of the last applied event. All before it is complete.
    Commit = 6,
    /// Number: the version that the session spoke last, as its place in `Version::ALL`.
    Version = 7,
    /// Number: start of the schedule's interval in which the sequences began, nanoseconds since the Unix epoch.
    Began = 8,
    /// Number: its MsgSeqNum. A report that can be made again from its event.
    Report = 9,
    /// As `Report`; text: the request that it answers, as far as the event does not say it.
    Answer = 10,
    /// Number: 0, or 1 more than the nanoseconds after which the session's orders are to be cancelled once it is gone.
    OnDisconnect = 11,
    /// Number: SendingTime of the last signed Logon that was accepted, nanoseconds since the Unix epoch. Since format 3.
    Signed = 12,
}

impl EntryKind {
    pub(super) const ALL: [Self; 12] = [
        Self::Session,
        Self::Message,
        Self::NextOut,
        Self::NextIn,
        Self::Reset,
        Self::Commit,
        Self::Version,
        Self::Began,
        Self::Report,
        Self::Answer,
        Self::OnDisconnect,
        Self::Signed,
    ];

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code)
    }

    /// Bytes of the body before its text.
    fn fixed_bytes(self) -> usize {
        if matches!(self, Self::Report | Self::Answer) { REPORT_BODY } else { 0 }
    }

    /// Whether a length and a text end the body.
    fn has_text(self) -> bool {
        matches!(self, Self::Session | Self::Message | Self::Answer)
    }
}

/// What is kept of a report instead of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// What it was made of.
    pub(crate) origin: Origin,
    /// The version in which it was written.
    pub(crate) version: Version,
    /// Its SendingTime, nanoseconds since the Unix epoch.
    pub(crate) time_ns: u64,
    /// CRC-32C of its body: what is made again must have the same.
    pub(crate) checksum: u32,
}

/// Bits of the byte beside the kind.
mod bits {
    pub(super) const VERSION: u8 = 0b0000_0111;
    pub(super) const PART_SHIFT: u8 = 3;
    pub(super) const PART: u8 = 0b0000_1111;
    pub(super) const COPY: u8 = 1 << 7;
}

impl Sent {
    fn detail(&self) -> u8 {
        assert!(self.origin.part <= bits::PART, "an event has fewer reports than that");
        let copy = if self.origin.copy { bits::COPY } else { 0 };
        self.version as u8 | self.origin.part << bits::PART_SHIFT | copy
    }

    fn push(&self, buffer: &mut Vec<u8>) {
        let Origin { sequence, index, replayed, .. } = self.origin;
        // The highest bit of the place is free: no command has that many events.
        let place = index | u32::from(replayed) << 31;
        buffer.extend_from_slice(&sequence.to_le_bytes());
        buffer.extend_from_slice(&self.time_ns.to_le_bytes());
        buffer.extend_from_slice(&place.to_le_bytes());
        buffer.extend_from_slice(&self.checksum.to_le_bytes());
    }

    fn parse(detail: u8, body: &[u8]) -> Self {
        let place = u32_at(body, 16);
        Self {
            origin: Origin {
                sequence: u64_at(body, 0),
                index: place & (u32::MAX >> 1),
                part: detail >> bits::PART_SHIFT & bits::PART,
                copy: detail & bits::COPY != 0,
                replayed: place >> 31 == 1,
            },
            version: Version::ALL[usize::from(detail & bits::VERSION)],
            time_ns: u64_at(body, 8),
            checksum: u32_at(body, 20),
        }
    }
}

/// One entry as it stands in the file.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) kind: EntryKind,
    pub(super) session: u16,
    pub(super) number: u64,
    pub(super) offset: u64,
    /// All of it.
    pub(super) bytes: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The text at the end of the body; empty if it has none.
    pub(super) fn text(&self) -> &'a [u8] {
        let start = ENTRY_HEADER + self.kind.fixed_bytes() + 4;
        if self.kind.has_text() { &self.bytes[start..] } else { b"" }
    }

    /// Whether it is a message that no event stands behind.
    pub(super) fn is_kept(&self) -> bool {
        self.kind == EntryKind::Message && self.bytes[7] != REPORT_WITH_BYTES
    }

    /// Where a report came from.
    pub(super) fn sent(&self) -> Option<Sent> {
        let is_report = self.kind.fixed_bytes() == REPORT_BODY;
        is_report.then(|| Sent::parse(self.bytes[7], &self.bytes[ENTRY_HEADER..]))
    }
}

/// The file's header in format `version`.
pub(super) fn file_header(version: u8, gateway: u16) -> [u8; FILE_HEADER] {
    let mut header = *b"RIALTOFX\0\0\0\0\0\0\0\0";
    header[8] = version;
    header[12..14].copy_from_slice(&gateway.to_le_bytes());
    header
}

/// Appends an entry without text.
pub(super) fn push_number(buffer: &mut Vec<u8>, kind: EntryKind, session: u16, number: u64) {
    let start = begin(buffer, kind, 0, session, number);
    finish(buffer, start);
}

/// Detail of a message that is a report all the same: one of format 1, or where there is no event journal to read. It counts
/// among the reports, not among the messages that are bounded by their bytes.
const REPORT_WITH_BYTES: u8 = 1;

/// Appends a report with its bytes.
pub(super) fn push_report_bytes(buffer: &mut Vec<u8>, session: u16, number: u64, message: &[u8]) {
    let start = begin(buffer, EntryKind::Message, REPORT_WITH_BYTES, session, number);
    extend_with_text(buffer, message);
    finish(buffer, start);
}

/// Appends an entry with a text and nothing else in its body.
pub(super) fn push_text(buffer: &mut Vec<u8>, kind: EntryKind, session: u16, number: u64, text: &[u8]) {
    let start = begin(buffer, kind, 0, session, number);
    extend_with_text(buffer, text);
    finish(buffer, start);
}

/// Appends what is kept of a report; `request` if it must be known to make it again.
pub(super) fn push_report(buffer: &mut Vec<u8>, session: u16, number: u64, sent: &Sent, request: &[u8]) {
    let kind = if request.is_empty() { EntryKind::Report } else { EntryKind::Answer };
    let start = begin(buffer, kind, sent.detail(), session, number);
    sent.push(buffer);
    if kind == EntryKind::Answer {
        extend_with_text(buffer, request);
    }
    finish(buffer, start);
}

/// Appends a copy of an entry for a session that has another index now.
pub(super) fn push_moved(buffer: &mut Vec<u8>, entry: &[u8], session: u16) {
    let start = buffer.len();
    buffer.extend_from_slice(entry);
    buffer[start + 4..start + 6].copy_from_slice(&session.to_le_bytes());
    finish(buffer, start);
}

fn begin(buffer: &mut Vec<u8>, kind: EntryKind, detail: u8, session: u16, number: u64) -> usize {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&session.to_le_bytes());
    buffer.extend_from_slice(&[kind as u8, detail]);
    buffer.extend_from_slice(&number.to_le_bytes());
    start
}

fn extend_with_text(buffer: &mut Vec<u8>, text: &[u8]) {
    let length = text.len() as u32;
    assert!(length <= MAX_TEXT, "a message of {length} bytes is longer than any we build");
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(text);
}

fn finish(buffer: &mut [u8], start: usize) {
    let checksum = crc32c::crc32c(&buffer[start + 4..]);
    buffer[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
}

/// How long the entry at the start of `bytes` says it is, as far as they tell; `None` if it cannot be one.
fn length_of(bytes: &[u8]) -> Option<usize> {
    let Some(&code) = bytes.get(6) else { return Some(ENTRY_HEADER) };
    let kind = EntryKind::from_code(code)?;
    let fixed = ENTRY_HEADER + kind.fixed_bytes();
    if !kind.has_text() {
        return Some(fixed);
    }
    if bytes.len() < fixed + 4 {
        return Some(fixed + 4);
    }
    let text = u32_at(bytes, fixed);
    (text <= MAX_TEXT).then_some(fixed + 4 + text as usize)
}

/// The entry at the start of `bytes`, which is at `offset` of the file; `None` if they are cut off or not valid.
pub(super) fn parse(bytes: &[u8], offset: u64) -> Option<Entry<'_>> {
    let bytes = bytes.get(..length_of(bytes)?)?;
    if crc32c::crc32c(&bytes[4..]) != u32_at(bytes, 0) {
        return None;
    }
    Some(Entry {
        kind: EntryKind::from_code(bytes[6])?,
        session: u16::from_le_bytes([bytes[4], bytes[5]]),
        number: u64_at(bytes, 8),
        offset,
        bytes,
    })
}

/// Reads entries one after the other, up to `end` or the first that is not valid.
pub(super) struct Scan<'a> {
    file: &'a File,
    offset: u64,
    end: u64,
    window: Vec<u8>,
    window_start: u64,
}

impl<'a> Scan<'a> {
    pub(super) fn new(file: &'a File, start: u64, end: u64) -> Self {
        Self { file, offset: start, end, window: Vec::new(), window_start: start }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Makes `length` bytes at the current offset available, if there are so many; where in the window they start.
    fn have(&mut self, length: usize) -> io::Result<usize> {
        let at = (self.offset - self.window_start) as usize;
        let left = self.end - self.offset;
        if at + length <= self.window.len() || self.window_start + self.window.len() as u64 == self.end {
            return Ok(at);
        }
        let want = (length.max(WINDOW) as u64).min(left) as usize;
        self.window.resize(want, 0);
        self.file.read_exact_at(&mut self.window, self.offset)?;
        self.window_start = self.offset;
        Ok(0)
    }

    pub(super) fn next_entry(&mut self) -> io::Result<Option<Entry<'_>>> {
        let mut length = ENTRY_HEADER;
        loop {
            let at = self.have(length)?;
            match length_of(&self.window[at..(at + length).min(self.window.len())]) {
                Some(longer) if longer > length && self.offset + longer as u64 <= self.end => length = longer,
                Some(_) => break,
                None => return Ok(None),
            }
        }
        let at = self.have(length)?;
        let offset = self.offset;
        let entry = parse(&self.window[at..], offset);
        if let Some(entry) = &entry {
            self.offset += entry.bytes.len() as u64;
        }
        Ok(entry)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Where the committed part ends.
pub(super) struct Committed {
    pub(super) end: u64,
    pub(super) damaged_at: Option<u64>,
}

/// Finds the end of the last commit, and whether something before a later commit is damaged.
pub(super) fn last_commit(file: &File, total: u64) -> io::Result<Committed> {
    let mut scan = Scan::new(file, FILE_HEADER as u64, total);
    let mut end = FILE_HEADER as u64;
    while let Some(entry) = scan.next_entry()? {
        if entry.kind == EntryKind::Commit {
            end = entry.offset + ENTRY_HEADER as u64;
        }
    }
    let bad = scan.offset();
    let damaged_at = (bad < total && has_commit_after(file, bad + 1, total)?).then_some(bad);
    Ok(Committed { end, damaged_at })
}

/// Whether a valid commit stands anywhere after `from`: then what is in front of it is no torn tail.
fn has_commit_after(file: &File, from: u64, total: u64) -> io::Result<bool> {
    let mut rest = vec![0; (total - from.min(total)) as usize];
    file.read_exact_at(&mut rest, from)?;
    Ok(rest
        .windows(ENTRY_HEADER)
        .any(|window| window[4..8] == [0, 0, EntryKind::Commit as u8, 0] && parse(window, 0).is_some()))
}
