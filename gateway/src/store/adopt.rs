//! Bringing the sessions of the file to the indices that the gateway uses.

use std::io;

use super::entry::{self, EntryKind, push_number, push_text};
use super::{SessionState, Store};

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
        push_heads(&self.sessions, &mut self.pending);
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
                self.keep(index, stored.number, (offset, bytes.len()), None);
                if kept.binary_search(&stored.number).is_ok() {
                    self.bound_kept(index);
                }
            }
            self.sessions[index].next_out = next_out;
        }
        push_numbers(&self.sessions, &mut self.pending);
        Ok(())
    }
}

/// The entries that begin the sessions.
pub(super) fn push_heads(sessions: &[SessionState], out: &mut Vec<u8>) {
    for (index, session) in sessions.iter().enumerate() {
        push_text(out, EntryKind::Session, index as u16, 0, session.name.as_bytes());
    }
}

/// All that is kept of the sessions but their messages.
pub(super) fn push_numbers(sessions: &[SessionState], out: &mut Vec<u8>) {
    for (index, session) in sessions.iter().enumerate() {
        push_number(out, EntryKind::NextOut, index as u16, session.next_out);
        push_number(out, EntryKind::NextIn, index as u16, session.next_in);
        push_number(out, EntryKind::Began, index as u16, session.began_ns);
        if session.signed_ns != 0 {
            push_number(out, EntryKind::Signed, index as u16, session.signed_ns);
        }
        if let Some(after_ns) = session.cancels_after_ns {
            push_number(out, EntryKind::OnDisconnect, index as u16, after_ns + 1);
        }
        if let Some(version) = session.version {
            push_number(out, EntryKind::Version, index as u16, version as u64);
        }
    }
}
