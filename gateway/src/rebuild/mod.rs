//! Reports made again from the event journal.
//!
//! A report is a function of its event and of the orders as they stood before it ([`crate::orders::Orders`]). To make
//! one again, a second fold is started from the newest checkpoint before the event and led up to it:
//!
//! ```text
//!  session store: event 7,041,112, place 3        event journal on disk
//!          │                                             │
//!          ▼            checkpoint at 7,000,000          ▼
//!       Worker ───────▶ Orders ◀── fold ── 7,000,001 ... 7,041,112 ──▶ the report, its body as first sent
//! ```
//!
//! The work is done by a [`Worker`], on a thread of its own beside a gateway ([`ThreadRebuilder`]), so that a long
//! resend holds nobody up, or step by step in tests ([`InlineRebuilder`]). On its way the worker writes the checkpoints
//! that it starts from, and from which the next process starts, too ([`checkpoint`]).

pub(crate) mod checkpoint;
mod inline;
mod saved;
mod source;
#[cfg(test)]
mod tests;
mod thread;
mod worker;

use std::fmt;

use crate::fix::{Precision, Version};
use crate::orders::Asked;
use crate::store::Sent;

pub(crate) use checkpoint::Checkpoints;
pub(crate) use inline::InlineRebuilder;
pub(crate) use saved::{Saved, mix, saved};
pub use source::{EventCursor, EventSource, JournalEvents, MemoryEvents};
pub(crate) use thread::ThreadRebuilder;
pub(crate) use worker::Worker;

/// What a report was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Sequence of the event.
    pub(crate) sequence: u64,
    /// Its place among its command's events.
    pub(crate) index: u32,
    /// Which of the event's reports.
    pub(crate) part: u8,
    /// Whether it is a copy for a drop copy session.
    pub(crate) copy: bool,
    /// Whether it was sent because a replay was asked for.
    pub(crate) replayed: bool,
}

impl Origin {
    /// Place in the order of all reports.
    fn place(&self) -> (u64, u32) {
        (self.sequence, self.index)
    }
}

/// A message that is to be sent again.
pub(crate) struct Wanted {
    /// Its MsgSeqNum.
    pub(crate) number: u64,
    /// What is kept of it.
    pub(crate) sent: Sent,
    /// What a reject's event does not say.
    pub(crate) asked: Option<Asked>,
}

/// Messages of one session that are to be sent again.
pub(crate) struct Resend {
    pub(crate) ticket: u64,
    pub(crate) session: usize,
    pub(crate) wanted: Vec<Wanted>,
}

/// A message that was made again.
#[derive(Clone, Debug)]
pub(crate) struct Resent {
    /// Its MsgSeqNum.
    pub(crate) number: u64,
    /// What is kept of it.
    pub(crate) sent: Sent,
    /// MsgType and the fields behind the header; `None` if it cannot be made.
    pub(crate) body: Option<(&'static [u8], Vec<u8>)>,
}

/// Reports of some sessions that are wanted from the past.
pub(crate) struct Replay {
    pub(crate) ticket: u64,
    /// What the session that gets them speaks, and how exact its times are.
    pub(crate) speech: (Version, Precision),
    /// By index: whose.
    pub(crate) sessions: Vec<bool>,
    /// After this place.
    pub(crate) after: (u64, u32),
    /// Up to this sequence.
    pub(crate) last: u64,
}

/// A copy as it stands behind the header: MsgType and fields.
pub(crate) struct ReplayedCopy {
    pub(crate) origin: Origin,
    pub(crate) message_type: &'static [u8],
    pub(crate) body: Vec<u8>,
}

/// A part of a replay.
pub(crate) struct Replayed {
    pub(crate) ticket: u64,
    pub(crate) copies: Vec<ReplayedCopy>,
    /// Where the next part begins, if this was not the last.
    pub(crate) after: Option<(u64, u32)>,
}

/// What a rebuilder is asked for.
pub(crate) enum Work {
    Resend(Resend),
    Replay(Replay),
}

/// What comes of it.
pub(crate) enum Outcome {
    Resent {
        ticket: u64,
        session: usize,
        messages: Vec<Resent>,
    },
    Replayed(Replayed),
    /// Something for the operator.
    Note(String),
}

/// Makes reports again.
pub(crate) trait Rebuilder: Send {
    /// Takes work; its outcome comes by [`Rebuilder::poll`].
    fn submit(&mut self, work: Work);

    /// The next outcome that is there.
    fn poll(&mut self) -> Option<Outcome>;

    /// The session store knows all reports up to this sequence: checkpoints may go so far.
    fn committed(&mut self, sequence: u64);
}

/// Why events cannot be read again.
#[derive(Debug)]
pub struct RebuildError(String);

impl RebuildError {
    /// Says why.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

impl fmt::Display for RebuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RebuildError {}
