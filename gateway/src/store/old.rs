//! Session stores of format 1, which kept the bytes of every message: read once, and written anew in today's format.
//!
//! An entry was `crc32c u32 | length u32 | number u64 | session u16 | kind u8 | 5 zeros | body`; the kinds had the codes
//! that they have now, 2 with the text of any application message.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::entry::{EntryKind, FILE_HEADER, file_header, push_number, push_report_bytes, push_text};
use super::{FORMAT, StoreError};

/// The format that is read here.
pub(super) const OLD_FORMAT: u8 = 1;
const ENTRY_HEADER: usize = 24;
const MAX_BODY: u32 = 1 << 20;
/// Codes of the kinds.
const SESSION: u8 = EntryKind::Session as u8;
const MESSAGE: u8 = EntryKind::Message as u8;
const COMMIT: u8 = EntryKind::Commit as u8;
const BEGAN: u8 = EntryKind::Began as u8;
const ON_DISCONNECT: u8 = EntryKind::OnDisconnect as u8;
/// Written to the new file at once.
const BATCH_BYTES: usize = 1 << 20;

struct OldEntry<'a> {
    kind: u8,
    session: u16,
    number: u64,
    body: &'a [u8],
}

/// Writes the committed part of a file of format 1 in today's format beside it, and puts that in its place.
///
/// # Errors
/// [`StoreError::Damaged`] as when such a file was opened in its day, or what the system says.
pub(super) fn migrate(path: &Path, file: &File, gateway: u16) -> Result<(), StoreError> {
    let io_error = |source| StoreError::Io { path: path.to_owned(), source };
    let total = file.metadata().map_err(io_error)?.len();
    let mut bytes = vec![0; total as usize];
    file.read_exact_at(&mut bytes, 0).map_err(io_error)?;
    let end =
        committed_end(&bytes).map_err(|offset| StoreError::Damaged { path: path.to_owned(), offset })?;
    convert(path, &bytes[..end], gateway).map_err(io_error)
}

fn convert(path: &Path, bytes: &[u8], gateway: u16) -> io::Result<()> {
    let temporary = path.with_extension("rewriting");
    let mut new = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
    let mut out = file_header(FORMAT, gateway).to_vec();
    let mut at = FILE_HEADER;
    while let Some((entry, length)) = entry_at(bytes, at) {
        at += length;
        let kind = EntryKind::ALL.into_iter().find(|kind| *kind as u8 == entry.kind);
        match (entry.kind, kind) {
            (MESSAGE, _) => push_report_bytes(&mut out, entry.session, entry.number, entry.body),
            (SESSION, Some(kind)) => push_text(&mut out, kind, entry.session, entry.number, entry.body),
            (..=BEGAN | ON_DISCONNECT, Some(kind)) => {
                push_number(&mut out, kind, entry.session, entry.number)
            }
            _ => unreachable!("entry_at gives known kinds"),
        }
        if out.len() >= BATCH_BYTES {
            new.write_all(&out)?;
            out.clear();
        }
    }
    new.write_all(&out)?;
    new.sync_all()?;
    std::fs::rename(&temporary, path)
}

/// The valid entry at `at`, and its length.
fn entry_at(bytes: &[u8], at: usize) -> Option<(OldEntry<'_>, usize)> {
    let rest = bytes.get(at..)?;
    let head = rest.get(..ENTRY_HEADER)?;
    let body = u32::from_le_bytes(head[4..8].try_into().ok()?);
    let length = ENTRY_HEADER + body as usize;
    let entry = rest.get(..length).filter(|_| body <= MAX_BODY)?;
    let checksum = u32::from_le_bytes(head[..4].try_into().ok()?);
    let known = matches!(head[18], SESSION..=BEGAN | ON_DISCONNECT);
    let valid = known && crc32c::crc32c(&entry[4..]) == checksum;
    let number = u64::from_le_bytes(head[8..16].try_into().ok()?);
    let session = u16::from_le_bytes([head[16], head[17]]);
    valid.then_some((OldEntry { kind: head[18], session, number, body: &entry[ENTRY_HEADER..] }, length))
}

/// Where the last commit ends; or where something is damaged with a commit after it.
fn committed_end(bytes: &[u8]) -> Result<usize, u64> {
    let (mut at, mut end) = (FILE_HEADER, FILE_HEADER);
    while let Some((entry, length)) = entry_at(bytes, at) {
        at += length;
        if entry.kind == COMMIT {
            end = at;
        }
    }
    let is_commit = |start: usize| {
        let looks = bytes.get(start + 18) == Some(&COMMIT) && bytes[start + 4..start + 8] == [0; 4];
        looks && entry_at(bytes, start).is_some()
    };
    let damaged = at < bytes.len() && (at + 1..bytes.len()).any(is_commit);
    if damaged { Err(at as u64) } else { Ok(end) }
}
