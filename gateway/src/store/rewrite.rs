//! Writing the file again without what is no longer needed, a step at a time, while the store goes on writing to it.
//!
//! ```text
//!  old file   ├ header ┤ what was there at the start ................ ┤ what came since .... ┤ still coming
//!                              │ what is needed of it                       │ as it is
//!                              ▼                                            ▼
//!  new file   ├ header ┤ sessions ┤ messages ┤ numbers ┤ commit ┤ what came since ... ┤
//! ```
//!
//! Whenever the process ends, the old file is whole and the new one is of no use; the store puts the new one in its
//! place when it has all that the old one has ([`super::rewriter`]).

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Stored;
use super::entry::{Entry, EntryKind, Scan};

/// Bytes written in one step.
const STEP_BYTES: usize = 1 << 20;
/// Bytes looked at in one step.
const STEP_SCAN_BYTES: u64 = 8 << 20;
/// The new file is synced whenever so much of it was written: the file system must not get much to write at once when
/// the journal beside it syncs.
const SYNC_BYTES: u64 = 16 << 20;
/// So much may be missing in the new file when the store takes it over, and is copied by the gateway's own thread.
const REST_BYTES: u64 = 64 << 10;

/// Which messages of a session are still needed: those of the file from these offsets on.
#[derive(Clone, Copy)]
pub(super) struct Needed {
    /// Of any kind.
    pub(super) from: u64,
    /// Of those that no event stands behind.
    pub(super) kept_from: u64,
}

/// What is to be done.
pub(super) struct Plan {
    /// The old file.
    pub(super) source: File,
    /// Path of the new one.
    pub(super) target: PathBuf,
    /// By session.
    pub(super) needed: Vec<Needed>,
    /// What the new file begins with: its header and the sessions.
    pub(super) head: Vec<u8>,
    /// What follows the messages: the numbers as they stood at `upto`, and a commit.
    pub(super) numbers: Vec<u8>,
    /// End of the old file when the plan was made.
    pub(super) upto: u64,
    /// End of what is committed in the old file now.
    pub(super) committed: Arc<AtomicU64>,
}

/// The messages of a session in the new file.
#[derive(Default)]
pub(super) struct Moved {
    pub(super) messages: VecDeque<Stored>,
    /// Numbers of those that no event stands behind.
    pub(super) kept: Vec<u64>,
}

/// The new file, but for the newest entries.
pub(super) struct Rewritten {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// What of the old file it holds ends here.
    pub(super) copied: u64,
    /// Its own end.
    pub(super) length: u64,
    /// What came since the plan was made begins here in the old file, and here in the new one.
    pub(super) upto: u64,
    pub(super) base: u64,
    pub(super) sessions: Vec<Moved>,
}

/// Why there is no new file.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: io::Error,
    /// Whether the disk can be trusted all the same: there is no room, or no file could be opened.
    pub(super) harmless: bool,
}

impl Failed {
    /// The new file could not be opened.
    fn to_open(error: io::Error) -> Self {
        Self { error, harmless: true }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        let harmless = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        Self { error, harmless }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Messages,
    Tail,
    /// The tail once more: it has grown while the file was synced.
    SyncedTail,
    Done,
}

/// The work under way.
pub(super) struct Rewrite {
    plan: Plan,
    file: File,
    stage: Stage,
    /// Place in the old file, and the end of the new one.
    at: u64,
    length: u64,
    base: u64,
    unsynced: u64,
    sessions: Vec<Moved>,
    out: Vec<u8>,
}

impl Rewrite {
    /// Begins the new file.
    pub(super) fn begin(mut plan: Plan) -> Result<Self, Failed> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(&plan.target);
        let mut rewrite = Self {
            file: file.map_err(Failed::to_open)?,
            stage: Stage::Messages,
            at: super::FILE_HEADER as u64,
            length: 0,
            base: 0,
            unsynced: 0,
            sessions: plan.needed.iter().map(|_| Moved::default()).collect(),
            out: std::mem::take(&mut plan.head),
            plan,
        };
        rewrite.write_out()?;
        Ok(rewrite)
    }

    /// Goes on for a bounded while. `false` when it is through.
    pub(super) fn step(&mut self) -> Result<bool, Failed> {
        match self.stage {
            Stage::Messages => self.copy_messages()?,
            Stage::Tail => {
                if self.copy_tail()? {
                    self.file.sync_all()?;
                    self.stage = Stage::SyncedTail;
                }
            }
            Stage::SyncedTail => {
                if self.copy_tail()? {
                    self.stage = Stage::Done;
                }
            }
            Stage::Done => {}
        }
        Ok(self.stage != Stage::Done)
    }

    /// What has come of it, once it is through.
    pub(super) fn finish(self) -> Rewritten {
        let Self { plan: Plan { target: path, upto, .. }, file, at, length, base, sessions, .. } = self;
        Rewritten { file, path, copied: at, length, upto, base, sessions }
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.file.write_all(&self.out)?;
        self.length += self.out.len() as u64;
        self.unsynced += self.out.len() as u64;
        self.out.clear();
        if self.unsynced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    fn copy_messages(&mut self) -> io::Result<()> {
        let Self { plan, sessions, out, length, at, .. } = self;
        let mut scan = Scan::new(&plan.source, *at, plan.upto);
        let mut ended = false;
        while out.len() < STEP_BYTES && scan.offset() - *at < STEP_SCAN_BYTES {
            let Some(entry) = scan.next_entry()? else {
                ended = true;
                break;
            };
            let needed = plan.needed.get(usize::from(entry.session));
            if !needed.is_some_and(|needed| needed.has(&entry)) {
                continue;
            }
            let moved = &mut sessions[usize::from(entry.session)];
            let (offset, bytes) = (*length + out.len() as u64, entry.bytes.len() as u32);
            moved.messages.push_back(Stored { number: entry.number, offset, length: bytes, recent: None });
            if entry.is_kept() {
                moved.kept.push(entry.number);
            }
            out.extend_from_slice(entry.bytes);
        }
        *at = scan.offset();
        if ended {
            if *at < plan.upto {
                let problem = format!("the session store has changed at offset {at} since it was written");
                return Err(io::Error::new(ErrorKind::InvalidData, problem));
            }
            out.append(&mut plan.numbers);
            self.base = *length + out.len() as u64;
            self.stage = Stage::Tail;
        }
        self.write_out()
    }

    /// Copies a part of what came since the plan was made; whether next to nothing is missing now.
    fn copy_tail(&mut self) -> io::Result<bool> {
        let missing = self.plan.committed.load(Ordering::Acquire) - self.at;
        self.out.resize((missing as usize).min(STEP_BYTES), 0);
        self.plan.source.read_exact_at(&mut self.out, self.at)?;
        self.at += self.out.len() as u64;
        self.write_out()?;
        Ok(missing <= STEP_BYTES as u64
            && self.plan.committed.load(Ordering::Acquire) - self.at <= REST_BYTES)
    }
}

impl Needed {
    fn has(&self, entry: &Entry<'_>) -> bool {
        let is_message = matches!(entry.kind, EntryKind::Message | EntryKind::Report | EntryKind::Answer);
        is_message && entry.offset >= self.from && (!entry.is_kept() || entry.offset >= self.kept_from)
    }
}
