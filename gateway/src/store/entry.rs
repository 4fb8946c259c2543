//! Entries of the store's file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Bytes before the first entry.
pub(super) const FILE_HEADER: usize = 16;
/// Bytes before an entry's body.
pub(super) const ENTRY_HEADER: usize = 24;
/// Longest body: a message, with room to spare over `GatewayLimits::message_bytes`.
const MAX_BODY: u32 = 1 << 20;

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    /// Body: CompID of the session with this index. Starts the session at 1 and 1.
    Session = 1,
    /// Number: its MsgSeqNum. Body: an application message that was sent.
    Application = 2,
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
    /// Number: 0, or 1 more than the nanoseconds after which the session's orders are to be cancelled once it is gone.
    OnDisconnect = 11,
}

impl EntryKind {
    fn from_code(code: u8) -> Option<Self> {
        let all = [
            Self::Session,
            Self::Application,
            Self::NextOut,
            Self::NextIn,
            Self::Reset,
            Self::Commit,
            Self::Version,
            Self::Began,
            Self::OnDisconnect,
        ];
        all.into_iter().find(|kind| *kind as u8 == code)
    }
}

pub(super) struct Entry<'a> {
    pub(super) kind: EntryKind,
    pub(super) session: u16,
    pub(super) number: u64,
    pub(super) offset: u64,
    pub(super) body: &'a [u8],
}

pub(super) fn file_header(gateway: u16) -> [u8; FILE_HEADER] {
    let mut header = *b"RIALTOFX\x01\0\0\0\0\0\0\0";
    header[12..14].copy_from_slice(&gateway.to_le_bytes());
    header
}

pub(super) fn push_entry(buffer: &mut Vec<u8>, kind: EntryKind, session: u16, number: u64, body: &[u8]) {
    assert!(body.len() <= MAX_BODY as usize, "a message of {} bytes is longer than any we build", body.len());
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&(body.len() as u32).to_le_bytes());
    buffer.extend_from_slice(&number.to_le_bytes());
    buffer.extend_from_slice(&session.to_le_bytes());
    buffer.extend_from_slice(&[kind as u8, 0, 0, 0, 0, 0]);
    buffer.extend_from_slice(body);
    let checksum = crc32c::crc32c(&buffer[start + 4..]);
    buffer[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
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

    /// Makes `length` bytes at the current offset available; where in the window, or `None` beyond the end.
    fn have(&mut self, length: usize) -> io::Result<Option<usize>> {
        if self.offset + length as u64 > self.end {
            return Ok(None);
        }
        let at = (self.offset - self.window_start) as usize;
        if at + length > self.window.len() {
            let want = (length.max(1 << 20) as u64).min(self.end - self.offset) as usize;
            self.window.resize(want, 0);
            self.file.read_exact_at(&mut self.window, self.offset)?;
            self.window_start = self.offset;
            return Ok(Some(0));
        }
        Ok(Some(at))
    }

    pub(super) fn next_entry(&mut self) -> io::Result<Option<Entry<'_>>> {
        let Some(at) = self.have(ENTRY_HEADER)? else { return Ok(None) };
        let length = u32_at(&self.window, at + 4);
        if length > MAX_BODY {
            return Ok(None);
        }
        let total = ENTRY_HEADER + length as usize;
        let Some(at) = self.have(total)? else { return Ok(None) };
        let bytes = &self.window[at..at + total];
        let Some(kind) = valid_kind(bytes) else { return Ok(None) };
        let offset = self.offset;
        self.offset += total as u64;
        let number = u64::from_le_bytes(bytes[8..16].try_into().expect("eight bytes"));
        let session = u16::from_le_bytes([bytes[16], bytes[17]]);
        Ok(Some(Entry { kind, session, number, offset, body: &bytes[ENTRY_HEADER..] }))
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn valid_kind(entry: &[u8]) -> Option<EntryKind> {
    if crc32c::crc32c(&entry[4..]) != u32_at(entry, 0) {
        return None;
    }
    EntryKind::from_code(entry[18])
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
    Ok(rest.windows(ENTRY_HEADER).any(|window| {
        window[18] == EntryKind::Commit as u8
            && window[4..8] == [0; 4]
            && window[19..] == [0; 5]
            && valid_kind(window).is_some()
    }))
}
