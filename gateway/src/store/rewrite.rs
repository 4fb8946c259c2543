//! Writing the file again: for other sessions than it was written for, and without what is no longer needed.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;

use super::entry::{self, EntryKind, FILE_HEADER, file_header, push_number, push_text};
use super::{FORMAT, SessionState, Store};

impl Store {
    /// Brings the configured sessions to the indices that the gateway uses. Sessions that are no longer configured
    /// keep their state, behind the others.
    pub(super) fn adopt(&mut self, names: &[&str]) -> io::Result<()> {
        let in_place = names
            .iter()
            .enumerate()
            .all(|(index, name)| self.sessions.get(index).is_some_and(|session| session.name == *name));
        if in_place {
            return Ok(());
        }
        let mut old = std::mem::take(&mut self.sessions);
        for name in names {
            let at = old.iter().position(|session| session.name == *name);
            self.sessions.push(at.map_or_else(|| SessionState::new((*name).to_owned()), |at| old.remove(at)));
        }
        self.sessions.extend(old);
        self.write_heads();
        // Entries name sessions by index, so messages under the old indices must be written again.
        let mut bytes = Vec::new();
        for index in 0..self.sessions.len() {
            let next_out = self.sessions[index].next_out;
            let kept = std::mem::take(&mut self.sessions[index].kept);
            self.sessions[index].kept_bytes = 0;
            for stored in std::mem::take(&mut self.sessions[index].messages) {
                if stored.length == 0 {
                    continue;
                }
                self.live_bytes -= u64::from(stored.length);
                self.read_entry(&stored, &mut bytes)?;
                let offset = self.end();
                entry::push_moved(&mut self.pending, &bytes, index as u16);
                self.keep(index, stored.number, (offset, bytes.len()), 0);
                if kept.binary_search(&stored.number).is_ok() {
                    self.bound_kept(index);
                }
            }
            self.sessions[index].next_out = next_out;
        }
        self.write_numbers();
        Ok(())
    }

    fn write_heads(&mut self) {
        for (index, session) in self.sessions.iter().enumerate() {
            push_text(&mut self.pending, EntryKind::Session, index as u16, 0, session.name.as_bytes());
        }
    }

    fn write_numbers(&mut self) {
        for (index, session) in self.sessions.iter().enumerate() {
            push_number(&mut self.pending, EntryKind::NextOut, index as u16, session.next_out);
            push_number(&mut self.pending, EntryKind::NextIn, index as u16, session.next_in);
            push_number(&mut self.pending, EntryKind::Began, index as u16, session.began_ns);
            if let Some(after_ns) = session.cancels_after_ns {
                push_number(&mut self.pending, EntryKind::OnDisconnect, index as u16, after_ns + 1);
            }
            if let Some(version) = session.version {
                push_number(&mut self.pending, EntryKind::Version, index as u16, version as u64);
            }
        }
    }

    /// Rewrites the file with what is still needed, beside it, and puts it in its place.
    pub(super) fn compact(&mut self) -> io::Result<()> {
        assert!(self.pending.is_empty(), "only committed state is rewritten");
        let temporary = self.path.with_extension("rewriting");
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&temporary)?;
        file.write_all(&file_header(FORMAT, self.gateway))?;
        let mut offset = FILE_HEADER as u64;
        self.write_heads();
        let mut bytes = Vec::new();
        for index in 0..self.sessions.len() {
            self.sessions[index].messages.retain(|stored| stored.length > 0);
            for at in 0..self.sessions[index].messages.len() {
                let stored = self.sessions[index].messages[at];
                bytes.resize(stored.length as usize, 0);
                self.file.read_exact_at(&mut bytes, stored.offset)?;
                self.sessions[index].messages[at].offset = offset + self.pending.len() as u64;
                self.pending.extend_from_slice(&bytes);
                if self.pending.len() > 1 << 20 {
                    file.write_all(&self.pending)?;
                    offset += self.pending.len() as u64;
                    self.pending.clear();
                }
            }
        }
        self.write_numbers();
        push_number(&mut self.pending, EntryKind::Commit, 0, self.applied);
        file.write_all(&self.pending)?;
        offset += self.pending.len() as u64;
        self.pending.clear();
        file.sync_all()?;
        std::fs::rename(&temporary, &self.path)?;
        self.file = file;
        self.file_length = offset;
        Ok(())
    }
}
