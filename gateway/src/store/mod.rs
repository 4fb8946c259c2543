//! Session state that survives the process: sequence numbers, messages for resends, and the last applied event.
//!
//! One append-only file per gateway. What happens in one duty cycle is collected in memory and written with one
//! `write` that ends in a *commit* entry, before any of the cycle's bytes go to a socket; so the numbers and messages
//! that a client has seen are in the file, whenever the process is killed. On opening, what follows the last commit is
//! cut (nobody has seen it); damage before a later commit is refused. The commit carries the sequence of the last
//! event whose messages are in the file: events after it give their messages again, those up to it never, so each
//! report gets its number once.
//!
//! The kernel holds what was written: the state survives the process, not the machine losing power. After that, a
//! client's numbers may be ahead of ours, and it must log on with ResetSeqNumFlag (141=Y); its orders are in the
//! journal all the same.
//!
//! The file starts with `RIALTOFX`, version (u32) and gateway (u32), little-endian, then entries:
//!
//! ```text
//!  0        4        8                16       18     19       24
//!  ├────────┼────────┼────────────────┼────────┼──────┼────────┼──────────┤
//!  │ crc32c │ length │ number         │session │ kind │ zero   │ body ... │
//!  └────────┴────────┴────────────────┴────────┴──────┴────────┴──────────┘
//! ```
//!
//! The checksum covers everything after it. `length` is the body's. Kinds: see [`EntryKind`]. A file that has grown
//! beyond its limit, or is mostly garbage when opened, is rewritten beside itself and renamed.

mod entry;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::fix::Version;
use entry::{ENTRY_HEADER, EntryKind, FILE_HEADER, Scan, file_header, push_entry};

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system said no.
    #[error("session store {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Another file, another version or another gateway's.
    #[error(
        "{path} is not the session store of gateway {gateway} in format 1: move it away or correct the path"
    )]
    NotAStore {
        /// Which file.
        path: PathBuf,
        /// The gateway that tried.
        gateway: u16,
    },
    /// Damage with committed entries after it.
    #[error(
        "session store {path} is damaged at offset {offset}: restore it from a copy, or move it away and have all \
         clients log on with ResetSeqNumFlag (141=Y)"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where the damaged entry starts.
        offset: u64,
    },
}

#[derive(Clone, Copy)]
struct Stored {
    sequence: u64,
    offset: u64,
    length: u32,
}

/// What is stored of one session.
struct SessionState {
    name: String,
    next_out: u64,
    next_in: u64,
    messages: VecDeque<Stored>,
    version: Option<Version>,
    began_ns: u64,
    cancels_after_ns: Option<u64>,
}

impl SessionState {
    fn new(name: String) -> Self {
        Self {
            name,
            next_out: 1,
            next_in: 1,
            messages: VecDeque::new(),
            version: None,
            began_ns: 0,
            cancels_after_ns: None,
        }
    }

    fn reset(&mut self) {
        self.next_out = 1;
        self.next_in = 1;
        self.messages.clear();
    }
}

/// The session store of one gateway. See the module's documentation.
pub struct Store {
    path: PathBuf,
    gateway: u16,
    file: File,
    /// Bytes in the file; what is in `pending` comes after.
    file_length: u64,
    pending: Vec<u8>,
    sessions: Vec<SessionState>,
    applied: u64,
    keep_messages: usize,
    compact_at: u64,
    /// Bytes of a torn tail that opening cut off.
    cut_bytes: u64,
}

impl Store {
    /// Opens or creates the store for these sessions (their CompIDs; the position is the session's index here).
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(
        path: &Path,
        gateway: u16,
        names: &[&str],
        keep_messages: usize,
        compact_at: u64,
    ) -> Result<Self, StoreError> {
        let io_error = |source| StoreError::Io { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(io_error)?;
        let mut store = Self {
            path: path.to_owned(),
            gateway,
            file,
            file_length: 0,
            pending: Vec::with_capacity(1 << 16),
            sessions: Vec::new(),
            applied: 0,
            keep_messages,
            compact_at,
            cut_bytes: 0,
        };
        store.recover()?;
        store.adopt(names).map_err(io_error)?;
        if store.file_length > 1 << 20 && store.live_bytes() * 2 < store.file_length {
            store.compact().map_err(io_error)?;
        }
        store.commit(store.applied, true).map_err(io_error)?;
        Ok(store)
    }

    fn recover(&mut self) -> Result<(), StoreError> {
        let path = self.path.clone();
        let io_error = |source| StoreError::Io { path: path.clone(), source };
        let total = self.file.metadata().map_err(io_error)?.len();
        let header = file_header(self.gateway);
        let mut found = [0; FILE_HEADER];
        let known = FILE_HEADER.min(total as usize);
        self.file.read_exact_at(&mut found[..known], 0).map_err(io_error)?;
        if known < FILE_HEADER && found[..known] == header[..known] {
            self.file.set_len(0).map_err(io_error)?;
            self.file.write_all_at(&header, 0).map_err(io_error)?;
            self.file_length = FILE_HEADER as u64;
            return Ok(());
        }
        if found != header {
            return Err(StoreError::NotAStore { path, gateway: self.gateway });
        }
        let committed = entry::last_commit(&self.file, total).map_err(io_error)?;
        if let Some(offset) = committed.damaged_at {
            return Err(StoreError::Damaged { path, offset });
        }
        let file = self.file.try_clone().map_err(io_error)?;
        let mut scan = Scan::new(&file, FILE_HEADER as u64, committed.end);
        while let Some(entry) = scan.next_entry().map_err(io_error)? {
            self.replay(&entry);
        }
        self.file.set_len(committed.end).map_err(io_error)?;
        self.file_length = committed.end;
        self.cut_bytes = total - committed.end;
        Ok(())
    }

    fn replay(&mut self, entry: &entry::Entry<'_>) {
        if entry.kind == EntryKind::Commit {
            self.applied = entry.number;
            return;
        }
        let index = usize::from(entry.session);
        if entry.kind == EntryKind::Session {
            let name = String::from_utf8_lossy(entry.body).into_owned();
            self.sessions
                .resize_with(self.sessions.len().max(index + 1), || SessionState::new(String::new()));
            self.sessions[index] = SessionState::new(name);
            return;
        }
        let keep = self.keep_messages;
        let Some(session) = self.sessions.get_mut(index) else { return };
        match entry.kind {
            EntryKind::Application => {
                let offset = entry.offset + ENTRY_HEADER as u64;
                let length = entry.body.len() as u32;
                session.messages.push_back(Stored { sequence: entry.number, offset, length });
                if session.messages.len() > keep {
                    session.messages.pop_front();
                }
                session.next_out = entry.number + 1;
            }
            EntryKind::NextOut => session.next_out = entry.number,
            EntryKind::NextIn => session.next_in = entry.number,
            EntryKind::Reset => session.reset(),
            EntryKind::Version => session.version = Version::ALL.get(entry.number as usize).copied(),
            EntryKind::Began => session.began_ns = entry.number,
            EntryKind::OnDisconnect => session.cancels_after_ns = entry.number.checked_sub(1),
            EntryKind::Session | EntryKind::Commit => unreachable!("handled above"),
        }
    }

    /// Brings the configured sessions to the indices that the gateway uses. Sessions that are no longer configured
    /// keep their state, behind the others.
    fn adopt(&mut self, names: &[&str]) -> io::Result<()> {
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
        let moved: Vec<(u16, Stored)> = self.all_messages().collect();
        let mut body = Vec::new();
        for session in &mut self.sessions {
            session.messages.clear();
        }
        for (session, stored) in moved {
            body.resize(stored.length as usize, 0);
            self.file.read_exact_at(&mut body, stored.offset)?;
            let next_out = self.sessions[usize::from(session)].next_out;
            self.application(usize::from(session), stored.sequence, &body);
            self.sessions[usize::from(session)].next_out = next_out;
        }
        self.write_numbers();
        Ok(())
    }

    fn all_messages(&self) -> impl Iterator<Item = (u16, Stored)> + '_ {
        let sessions = self.sessions.iter().enumerate();
        sessions
            .flat_map(|(index, session)| session.messages.iter().map(move |stored| (index as u16, *stored)))
    }

    fn write_heads(&mut self) {
        for (index, session) in self.sessions.iter().enumerate() {
            push_entry(&mut self.pending, EntryKind::Session, index as u16, 0, session.name.as_bytes());
        }
    }

    fn write_numbers(&mut self) {
        for (index, session) in self.sessions.iter().enumerate() {
            push_entry(&mut self.pending, EntryKind::NextOut, index as u16, session.next_out, b"");
            push_entry(&mut self.pending, EntryKind::NextIn, index as u16, session.next_in, b"");
            push_entry(&mut self.pending, EntryKind::Began, index as u16, session.began_ns, b"");
            if let Some(after_ns) = session.cancels_after_ns {
                push_entry(&mut self.pending, EntryKind::OnDisconnect, index as u16, after_ns + 1, b"");
            }
            if let Some(version) = session.version {
                push_entry(&mut self.pending, EntryKind::Version, index as u16, version as u64, b"");
            }
        }
    }

    /// Next sequence number to send on a session.
    #[must_use]
    pub fn next_out(&self, session: usize) -> u64 {
        self.sessions[session].next_out
    }

    /// Next sequence number to receive: everything below it has had its effect.
    #[must_use]
    pub fn next_in(&self, session: usize) -> u64 {
        self.sessions[session].next_in
    }

    /// The version that the session spoke last; `None` before its first Logon.
    #[must_use]
    pub fn version(&self, session: usize) -> Option<Version> {
        self.sessions[session].version
    }

    /// The session speaks this version from now on.
    pub fn version_is(&mut self, session: usize, version: Version) {
        push_entry(&mut self.pending, EntryKind::Version, session as u16, version as u64, b"");
        self.sessions[session].version = Some(version);
    }

    /// Start of the schedule's interval in which the session's sequences began, nanoseconds since the Unix epoch; 0
    /// if it has had no schedule.
    #[must_use]
    pub fn began_ns(&self, session: usize) -> u64 {
        self.sessions[session].began_ns
    }

    /// The session's sequences began in the interval that started then.
    pub fn began_is(&mut self, session: usize, began_ns: u64) {
        push_entry(&mut self.pending, EntryKind::Began, session as u16, began_ns, b"");
        self.sessions[session].began_ns = began_ns;
    }

    /// How long after it is gone the session's orders are to be cancelled; `None` if they are not.
    #[must_use]
    pub fn cancels_after_ns(&self, session: usize) -> Option<u64> {
        self.sessions[session].cancels_after_ns
    }

    /// The session's orders are to be cancelled so long after it is gone, or not.
    pub fn cancels_after_ns_is(&mut self, session: usize, after_ns: Option<u64>) {
        if self.sessions[session].cancels_after_ns != after_ns {
            let number = after_ns.map_or(0, |after_ns| after_ns + 1);
            push_entry(&mut self.pending, EntryKind::OnDisconnect, session as u16, number, b"");
            self.sessions[session].cancels_after_ns = after_ns;
        }
    }

    /// Sequence of the last event whose messages are in the store.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Bytes that the next commit will write.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// Bytes that opening cut off because their batch was incomplete.
    #[must_use]
    pub fn cut_bytes(&self) -> u64 {
        self.cut_bytes
    }

    /// An application message with its sequence number goes out.
    pub fn application(&mut self, session: usize, sequence: u64, message: &[u8]) {
        let offset = self.file_length + (self.pending.len() + ENTRY_HEADER) as u64;
        push_entry(&mut self.pending, EntryKind::Application, session as u16, sequence, message);
        let state = &mut self.sessions[session];
        state.messages.push_back(Stored { sequence, offset, length: message.len() as u32 });
        if state.messages.len() > self.keep_messages {
            state.messages.pop_front();
        }
        state.next_out = sequence + 1;
    }

    /// An administrative message goes out: only its number is kept, a resend fills it.
    pub fn next_out_is(&mut self, session: usize, next_out: u64) {
        push_entry(&mut self.pending, EntryKind::NextOut, session as u16, next_out, b"");
        self.sessions[session].next_out = next_out;
    }

    /// Everything received below `next_in` has had its effect.
    pub fn next_in_is(&mut self, session: usize, next_in: u64) {
        if self.sessions[session].next_in != next_in {
            push_entry(&mut self.pending, EntryKind::NextIn, session as u16, next_in, b"");
            self.sessions[session].next_in = next_in;
        }
    }

    /// Both sequences of a session start at 1 again; its messages are forgotten.
    pub fn reset(&mut self, session: usize) {
        push_entry(&mut self.pending, EntryKind::Reset, session as u16, 0, b"");
        self.sessions[session].reset();
    }

    /// The first kept application message numbered `from` or above: its number, its text in `message`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_from(&self, session: usize, from: u64, message: &mut Vec<u8>) -> io::Result<Option<u64>> {
        let messages = &self.sessions[session].messages;
        let at = messages.partition_point(|stored| stored.sequence < from);
        let Some(stored) = messages.get(at) else { return Ok(None) };
        message.clear();
        let length = stored.length as usize;
        if stored.offset >= self.file_length {
            let start = (stored.offset - self.file_length) as usize;
            message.extend_from_slice(&self.pending[start..start + length]);
        } else {
            message.resize(length, 0);
            self.file.read_exact_at(message, stored.offset)?;
        }
        Ok(Some(stored.sequence))
    }

    /// Writes everything since the last commit, with the sequence of the last event whose messages are all in it. Only
    /// an advance of `applied` is not worth a write, unless `force`d: such events gave no messages and give none again.
    ///
    /// # Errors
    /// When the file cannot be written; the gateway must stop then.
    pub fn commit(&mut self, applied: u64, force: bool) -> io::Result<()> {
        if self.pending.is_empty() && (!force || applied == self.applied) {
            return Ok(());
        }
        self.applied = applied;
        push_entry(&mut self.pending, EntryKind::Commit, 0, applied, b"");
        self.file.write_all_at(&self.pending, self.file_length)?;
        self.file_length += self.pending.len() as u64;
        self.pending.clear();
        if self.file_length > self.compact_at && self.live_bytes() * 2 < self.file_length {
            self.compact()?;
        }
        Ok(())
    }

    fn live_bytes(&self) -> u64 {
        self.all_messages().map(|(_, stored)| u64::from(stored.length) + ENTRY_HEADER as u64).sum()
    }

    /// Rewrites the file with what is still needed, beside it, and puts it in its place.
    fn compact(&mut self) -> io::Result<()> {
        assert!(self.pending.is_empty(), "only committed state is rewritten");
        let temporary = self.path.with_extension("rewriting");
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&temporary)?;
        file.write_all(&file_header(self.gateway))?;
        let mut offset = FILE_HEADER as u64;
        self.write_heads();
        let mut body = Vec::new();
        for index in 0..self.sessions.len() {
            for at in 0..self.sessions[index].messages.len() {
                let stored = self.sessions[index].messages[at];
                body.resize(stored.length as usize, 0);
                self.file.read_exact_at(&mut body, stored.offset)?;
                let start = offset + (self.pending.len() + ENTRY_HEADER) as u64;
                push_entry(&mut self.pending, EntryKind::Application, index as u16, stored.sequence, &body);
                self.sessions[index].messages[at].offset = start;
                if self.pending.len() > 1 << 20 {
                    file.write_all(&self.pending)?;
                    offset += self.pending.len() as u64;
                    self.pending.clear();
                }
            }
        }
        self.write_numbers();
        push_entry(&mut self.pending, EntryKind::Commit, 0, self.applied, b"");
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
