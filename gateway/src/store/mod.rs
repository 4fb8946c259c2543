//! Session state that survives the process: sequence numbers, what reports were made of, and the last applied event.
//!
//! One append-only file per gateway. What happens in one duty cycle is collected in memory and written with one
//! `write` that ends in a *commit* entry, before any of the cycle's bytes go to a socket; so the numbers and messages
//! that a client has seen are in the file, whenever the process is killed. On opening, what follows the last commit is
//! cut (nobody has seen it); damage before a later commit is refused. The commit carries the sequence of the last
//! event whose messages are in the file: events after it give their messages again, those up to it never, so each
//! report gets its number once.
//!
//! Messages are not stored twice: a report is an entry of 40 bytes that names its event, and a resend makes it again
//! from the event journal ([`crate::rebuild`]). Only messages that no event stands behind keep their bytes. The newest
//! reports are also in memory, in a ring of fixed size, which answers most resends. Without an event journal to read
//! (see [`crate::GatewayConfig::events_path`]) all messages keep their bytes.
//!
//! The kernel holds what was written: the state survives the process, not the machine losing power. After that, a
//! client's numbers may be ahead of ours, and it must log on with ResetSeqNumFlag (141=Y); its orders are in the
//! journal all the same.
//!
//! The file starts with `RIALTOFX`, format (u32) and gateway (u32), little-endian, then entries:
//!
//! ```text
//!  0        4         6      7        8                16
//!  ├────────┼─────────┼──────┼────────┼────────────────┼──────────┤
//!  │ crc32c │ session │ kind │ detail │ number         │ body ... │
//!  └────────┴─────────┴──────┴────────┴────────────────┴──────────┘
//! ```
//!
//! The checksum covers everything after it. Kinds: see [`EntryKind`]. A text in a body has its length (u32) before it.
//! The body of a report is
//!
//! ```text
//!  16               24               32       36          40
//!  ├────────────────┼────────────────┼────────┼───────────┤
//!  │ event sequence │ SendingTime ns │ place  │ crc32c of │ a text follows in answers only
//!  │                │                │        │ the body  │
//!  └────────────────┴────────────────┴────────┴───────────┘
//! ```
//!
//! where `place` is that of the event among its command's events, its highest bit says that it was sent for a replay,
//! and `detail` is the version (3 bits), which of the event's reports it is (4 bits), and whether it is a drop copy.
//!
//! A file that has grown beyond its limit (`store_bytes`, 1 GiB) and is more than half garbage, or is mostly garbage when
//! opened, is rewritten beside itself and renamed. So is one of format 1, which kept the bytes of all messages. Garbage is
//! what a reset of the sequences has ended, reports beyond the newest `resend_messages` of a session, and messages with
//! bytes beyond the newest `kept_bytes` of a session; numbers and commits of the past are garbage, too. So the file is at
//! most the larger of `store_bytes` and twice what all sessions may keep, and what comes while it is rewritten.
//!
//! Rewriting is done by a thread of its own, while the gateway goes on writing to the old file: the thread copies what is
//! needed, then what has come since, and when next to nothing is missing the gateway's thread copies that, renames the
//! new file and goes on with it ([`rewrite`]). If the disk has no room for the new file, the old one grows, a note says
//! so, and it is tried again later.
//!
//! While the disk has less than `free_bytes` free, the gateway takes nothing more from its clients that has to be kept ([`room`]).

mod adopt;
mod again;
mod entry;
mod forget;
mod old;
mod recent;
mod rewrite;
#[cfg(test)]
mod rewrite_tests;
mod rewriter;
mod room;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::fix::Version;
use crate::orders::Asked;
use crate::rebuild::{Rebuilder, Replayed};
pub(crate) use again::Again;
use again::Question;
pub(crate) use entry::Sent;
use entry::{
    EntryKind, FILE_HEADER, Scan, file_header, push_number, push_report, push_report_bytes, push_text,
};
pub use forget::forget_beyond;
use recent::{Place, Recent};
use rewriter::Rewriter;
use room::Room;

/// The format that is written.
const FORMAT: u8 = 3;
/// The same without entries of signed Logons: such a file needs another header, and that is all.
const UNSIGNED_FORMAT: u8 = 2;
/// An advance of the last applied event by so many commands is written even if there is nothing else to write.
const FORCE_COMMIT: u64 = 1 << 16;

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
    #[error("{path} is not the session store of gateway {gateway}: move it away or correct the path")]
    NotAStore {
        /// Which file.
        path: PathBuf,
        /// The gateway that tried.
        gateway: u16,
    },
    /// A store that a later version of this program has written.
    #[error(
        "session store {path} is of format {found}, this program knows 1 to 3: start the version that wrote it, or \
         move it away and have all clients log on with ResetSeqNumFlag (141=Y)"
    )]
    LaterFormat {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u8,
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

/// Where a message of a session is.
#[derive(Clone, Copy)]
struct Stored {
    /// Its MsgSeqNum.
    number: u64,
    /// Of its entry, in the file.
    offset: u64,
    /// Bytes of its entry; 0 if it has been forgotten.
    length: u32,
    /// Where in the ring of the newest reports it may be, if it was put there.
    recent: Option<Place>,
}

/// What is stored of one session.
struct SessionState {
    name: String,
    next_out: u64,
    next_in: u64,
    messages: VecDeque<Stored>,
    /// Numbers of those that keep their bytes, and how many bytes that are.
    kept: VecDeque<u64>,
    kept_bytes: u64,
    version: Option<Version>,
    began_ns: u64,
    signed_ns: u64,
    cancels_after_ns: Option<u64>,
    asked: Question,
}

impl SessionState {
    fn new(name: String) -> Self {
        Self {
            name,
            next_out: 1,
            next_in: 1,
            messages: VecDeque::new(),
            kept: VecDeque::new(),
            kept_bytes: 0,
            version: None,
            began_ns: 0,
            signed_ns: 0,
            cancels_after_ns: None,
            asked: Question::default(),
        }
    }

    /// Both sequences at 1; how many bytes of the file are of no use any more.
    fn reset(&mut self) -> u64 {
        self.next_out = 1;
        self.next_in = 1;
        self.asked = Question::default();
        let unused = self.messages.iter().map(|stored| u64::from(stored.length)).sum();
        self.messages.clear();
        self.kept.clear();
        self.kept_bytes = 0;
        unused
    }

    /// Forgets the oldest message of those that keep their bytes; how many they were.
    fn forget_kept(&mut self) -> u64 {
        let Some(number) = self.kept.pop_front() else { return 0 };
        let at = self.messages.partition_point(|stored| stored.number < number);
        let Some(stored) = self.messages.get_mut(at).filter(|stored| stored.number == number) else {
            return 0;
        };
        let bytes = u64::from(std::mem::take(&mut stored.length));
        self.kept_bytes -= bytes;
        bytes
    }
}

/// How much a store keeps.
#[derive(Clone, Copy, Debug)]
pub struct StoreLimits {
    /// Application messages of one session.
    pub messages: usize,
    /// Bytes of those of them that no event stands behind.
    pub kept_bytes: u64,
    /// Size at which the file is rewritten without what is no longer needed.
    pub file_bytes: u64,
    /// Memory for the newest reports of all sessions.
    pub recent_bytes: usize,
    /// Bytes that must be free on the disk for more to be taken from clients.
    pub free_bytes: u64,
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
    limits: StoreLimits,
    /// Bytes of the entries of messages that are kept.
    live_bytes: u64,
    /// Bytes of a torn tail that opening cut off.
    cut_bytes: u64,
    recent: Recent,
    rebuilder: Option<Box<dyn Rebuilder>>,
    next_ticket: u64,
    /// Parts of replays that have come.
    replayed: VecDeque<Replayed>,
    notes: Vec<String>,
    made_differently: u64,
    rewriter: Rewriter,
    room: Room,
    /// Reused for what a report's entry needs.
    asked: Vec<u8>,
    window: Vec<u8>,
}

impl Store {
    /// Opens or creates the store for these sessions (their CompIDs; the position is the session's index here).
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path, gateway: u16, names: &[&str], limits: StoreLimits) -> Result<Self, StoreError> {
        let io_error = |source| StoreError::Io { path: path.to_owned(), source };
        let file = open_file(path).map_err(io_error)?;
        let mut store = Self {
            path: path.to_owned(),
            gateway,
            file,
            file_length: 0,
            pending: Vec::with_capacity(1 << 16),
            sessions: Vec::new(),
            applied: 0,
            limits,
            live_bytes: 0,
            cut_bytes: 0,
            recent: Recent::new(limits.recent_bytes),
            rebuilder: None,
            next_ticket: 0,
            replayed: VecDeque::new(),
            notes: Vec::new(),
            made_differently: 0,
            rewriter: Rewriter::start().map_err(io_error)?,
            room: Room::beside(path, limits.free_bytes),
            asked: Vec::new(),
            window: Vec::new(),
        };
        store.recover()?;
        rewriter::remove_leftover(path);
        store.adopt(names).map_err(io_error)?;
        if !store.pending.is_empty() {
            store.write_pending(store.applied).map_err(io_error)?;
        }
        if store.file_length > 1 << 20 && store.live_bytes * 2 < store.file_length {
            store.compact().map_err(io_error)?;
        }
        Ok(store)
    }

    /// From now on reports are kept as the names of their events, which this one makes again.
    pub(crate) fn rebuild_with(&mut self, rebuilder: Box<dyn Rebuilder>) {
        self.rebuilder = Some(rebuilder);
    }

    fn recover(&mut self) -> Result<(), StoreError> {
        let path = self.path.clone();
        let io_error = |source| StoreError::Io { path: path.clone(), source };
        let total = self.file.metadata().map_err(io_error)?.len();
        let header = file_header(FORMAT, self.gateway);
        let mut found = [0; FILE_HEADER];
        let known = FILE_HEADER.min(total as usize);
        self.file.read_exact_at(&mut found[..known], 0).map_err(io_error)?;
        if known < FILE_HEADER && found[..known] == header[..known] {
            self.file.set_len(0).map_err(io_error)?;
            self.file.write_all_at(&header, 0).map_err(io_error)?;
            self.file_length = FILE_HEADER as u64;
            return Ok(());
        }
        if found == file_header(old::OLD_FORMAT, self.gateway) {
            old::migrate(&path, &self.file, self.gateway)?;
            self.file = open_file(&path).map_err(io_error)?;
            self.notes.push(format!(
                "session store {} was of format 1, it is of format {FORMAT} now",
                path.display()
            ));
            return self.recover();
        }
        if found == file_header(UNSIGNED_FORMAT, self.gateway) {
            self.file.write_all_at(&header, 0).map_err(io_error)?;
            found = header;
        }
        if found[8] > FORMAT && found == file_header(found[8], self.gateway) {
            return Err(StoreError::LaterFormat { path, found: found[8] });
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
            let name = String::from_utf8_lossy(entry.text()).into_owned();
            self.sessions
                .resize_with(self.sessions.len().max(index + 1), || SessionState::new(String::new()));
            self.live_bytes -= self.sessions[index].reset();
            self.sessions[index] = SessionState::new(name);
            return;
        }
        let Some(session) = self.sessions.get_mut(index) else { return };
        match entry.kind {
            EntryKind::Message | EntryKind::Report | EntryKind::Answer => {
                let place = (entry.offset, entry.bytes.len());
                self.keep(index, entry.number, place, None);
                if entry.is_kept() {
                    self.bound_kept(index);
                }
            }
            EntryKind::NextOut => session.next_out = entry.number,
            EntryKind::NextIn => session.next_in = entry.number,
            EntryKind::Reset => self.live_bytes -= session.reset(),
            EntryKind::Version => session.version = Version::ALL.get(entry.number as usize).copied(),
            EntryKind::Began => session.began_ns = entry.number,
            EntryKind::Signed => session.signed_ns = entry.number,
            EntryKind::OnDisconnect => session.cancels_after_ns = entry.number.checked_sub(1),
            EntryKind::Session | EntryKind::Commit => unreachable!("handled above"),
        }
    }

    /// A message of a session has an entry at this offset and of this length.
    fn keep(&mut self, session: usize, number: u64, (offset, length): (u64, usize), recent: Option<Place>) {
        let state = &mut self.sessions[session];
        state.messages.push_back(Stored { number, offset, length: length as u32, recent });
        state.next_out = number + 1;
        self.live_bytes += length as u64;
        if state.messages.len() > self.limits.messages
            && let Some(oldest) = state.messages.pop_front()
        {
            self.live_bytes -= u64::from(oldest.length);
            if state.kept.front() == Some(&oldest.number) {
                state.kept.pop_front();
                state.kept_bytes -= u64::from(oldest.length);
            }
        }
    }

    /// The newest message of a session keeps its bytes: the oldest ones that do may be too many now.
    fn bound_kept(&mut self, session: usize) {
        let state = &mut self.sessions[session];
        let Some(newest) = state.messages.back() else { return };
        state.kept.push_back(newest.number);
        state.kept_bytes += u64::from(newest.length);
        while state.kept_bytes > self.limits.kept_bytes {
            self.live_bytes -= state.forget_kept();
        }
    }

    /// Where in the file the next entry will be.
    fn end(&self) -> u64 {
        self.file_length + self.pending.len() as u64
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
        push_number(&mut self.pending, EntryKind::Version, session as u16, version as u64);
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
        push_number(&mut self.pending, EntryKind::Began, session as u16, began_ns);
        self.sessions[session].began_ns = began_ns;
    }

    /// SendingTime of the session's last signed Logon, nanoseconds since the Unix epoch; 0 if there was none.
    #[must_use]
    pub fn signed_ns(&self, session: usize) -> u64 {
        self.sessions[session].signed_ns
    }

    /// A signed Logon of this SendingTime was accepted: it must not be again.
    pub fn signed_is(&mut self, session: usize, sent_ns: u64) {
        push_number(&mut self.pending, EntryKind::Signed, session as u16, sent_ns);
        self.sessions[session].signed_ns = sent_ns;
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
            push_number(&mut self.pending, EntryKind::OnDisconnect, session as u16, number);
            self.sessions[session].cancels_after_ns = after_ns;
        }
    }

    /// Sequence of the last event whose messages are in the store.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Bytes in the file.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.file_length
    }

    /// Looks, now and then, whether the disk has room for what will be appended.
    pub fn look_for_room(&mut self, now_ns: u64) {
        self.notes.extend(self.room.look(now_ns, self.file_length));
    }

    /// Whether the disk has so little room that nothing more should be taken from clients.
    #[must_use]
    pub fn is_room_short(&self) -> bool {
        self.room.is_short()
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

    /// An application message that no event stands behind goes out.
    pub fn application(&mut self, session: usize, number: u64, message: &[u8]) {
        let offset = self.end();
        push_text(&mut self.pending, EntryKind::Message, session as u16, number, message);
        self.keep(session, number, (offset, (self.end() - offset) as usize), None);
        self.bound_kept(session);
    }

    /// A report goes out. `asked` is what a reject's event does not say.
    pub(crate) fn report(
        &mut self,
        session: usize,
        number: u64,
        sent: &Sent,
        asked: Option<&Asked>,
        message: &[u8],
    ) {
        if self.rebuilder.is_none() {
            let offset = self.end();
            push_report_bytes(&mut self.pending, session as u16, number, message);
            return self.keep(session, number, (offset, (self.end() - offset) as usize), None);
        }
        self.asked.clear();
        if let Some(asked) = asked {
            again::push_asked(asked, &mut self.asked);
        }
        let offset = self.end();
        push_report(&mut self.pending, session as u16, number, sent, &self.asked);
        let recent = self.recent.put(session as u16, number, message);
        self.keep(session, number, (offset, (self.end() - offset) as usize), recent);
    }

    /// An administrative message goes out: only its number is kept, a resend fills it.
    pub fn next_out_is(&mut self, session: usize, next_out: u64) {
        push_number(&mut self.pending, EntryKind::NextOut, session as u16, next_out);
        self.sessions[session].next_out = next_out;
    }

    /// Everything received below `next_in` has had its effect.
    pub fn next_in_is(&mut self, session: usize, next_in: u64) {
        if self.sessions[session].next_in != next_in {
            push_number(&mut self.pending, EntryKind::NextIn, session as u16, next_in);
            self.sessions[session].next_in = next_in;
        }
    }

    /// Both sequences of a session start at 1 again; its messages are forgotten.
    pub fn reset(&mut self, session: usize) {
        push_number(&mut self.pending, EntryKind::Reset, session as u16, 0);
        self.live_bytes -= self.sessions[session].reset();
    }

    /// The bytes of an entry that is in the file or will be.
    fn read_entry(&self, stored: &Stored, bytes: &mut Vec<u8>) -> io::Result<()> {
        let length = stored.length as usize;
        bytes.clear();
        if stored.offset >= self.file_length {
            let start = (stored.offset - self.file_length) as usize;
            bytes.extend_from_slice(&self.pending[start..start + length]);
            return Ok(());
        }
        bytes.resize(length, 0);
        self.file.read_exact_at(bytes, stored.offset)
    }

    /// Writes everything since the last commit, with the sequence of the last event whose messages are all in it. Only
    /// an advance of `applied` is not worth a write, unless `force`d: such events gave no messages and give none again.
    ///
    /// # Errors
    /// When the file cannot be written; the gateway must stop then.
    pub fn commit(&mut self, applied: u64, force: bool) -> io::Result<()> {
        if self.rewriter.is_busy() {
            self.end_rewriting()?;
        }
        let far = force || applied >= self.applied + FORCE_COMMIT;
        if self.pending.is_empty() && (!far || applied == self.applied) {
            return Ok(());
        }
        self.write_pending(applied)?;
        if self.file_length > self.limits.file_bytes && self.live_bytes * 2 < self.file_length {
            self.begin_rewriting();
        }
        if let Some(rebuilder) = &mut self.rebuilder {
            rebuilder.committed(applied);
        }
        Ok(())
    }

    fn write_pending(&mut self, applied: u64) -> io::Result<()> {
        self.applied = applied;
        push_number(&mut self.pending, EntryKind::Commit, 0, applied);
        let written = self.file.write_all_at(&self.pending, self.file_length);
        written.map_err(|error| {
            let text = format!("cannot write session store {}: {error}", self.path.display());
            io::Error::new(error.kind(), text)
        })?;
        self.file_length += self.pending.len() as u64;
        self.rewriter.committed(self.file_length);
        self.pending.clear();
        Ok(())
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}
