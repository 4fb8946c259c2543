//! Forgetting reports of events that the journal has lost.
//!
//! Only with `disk` does nothing leave before its command is synced. With the other two a loss of power, with `memory` the end of
//! the process, may take commands whose reports have been sent. Then the store is ahead of the journal, and its reports name
//! events that others will take the numbers of. They are replaced by their own numbers: clients go on with theirs, and a resend
//! fills the gap.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use super::StoreError;
use super::entry::{self, EntryKind, FILE_HEADER, Scan, file_header, push_number};

/// Writes the store again without what events behind `sequence` gave; how many messages that were. One that is damaged is left as
/// it is, for its opening to tell.
///
/// # Errors
/// What the system says; the old file is in its place then.
pub fn forget_beyond(path: &Path, gateway: u16, sequence: u64) -> Result<u64, StoreError> {
    rewrite(path, gateway, sequence).map_err(|source| StoreError::Io { path: path.to_owned(), source })
}

fn rewrite(path: &Path, gateway: u16, sequence: u64) -> io::Result<u64> {
    let source = File::open(path)?;
    let committed = entry::last_commit(&source, source.metadata()?.len())?;
    if committed.damaged_at.is_some() {
        return Ok(0);
    }
    let target = path.with_extension("forgetting");
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(&target)?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(&file_header(super::FORMAT, gateway))?;
    let mut scan = Scan::new(&source, FILE_HEADER as u64, committed.end);
    let (mut forgotten, mut number) = (0, Vec::new());
    while let Some(entry) = scan.next_entry()? {
        number.clear();
        if entry.kind == EntryKind::Commit && entry.number > sequence {
            push_number(&mut number, EntryKind::Commit, 0, sequence);
        } else if entry.sent().is_some_and(|sent| sent.origin.sequence > sequence) {
            push_number(&mut number, EntryKind::NextOut, entry.session, entry.number + 1);
            forgotten += 1;
        }
        out.write_all(if number.is_empty() { entry.bytes } else { &number })?;
    }
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    std::fs::rename(&target, path)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    Ok(forgotten)
}
