//! Reading messages back for a resend: from memory, from the file, or made again from their events.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::{Store, Stored, entry};
use crate::orders::Asked;
use crate::rebuild::{Outcome, Replay, Replayed, Resend, Resent, Saved as _, Wanted, Work};

/// Reports of a session that are asked of the rebuilder at once. Bounds memory, and how much of it is made in vain if
/// the client goes away.
const ASK_MESSAGES: usize = 1024;
/// Bytes of the file that are looked at for them, in one read.
const ASK_BYTES: u64 = 48 * 1024;

/// What a session has asked of the rebuilder, and got.
#[derive(Default)]
pub(super) struct Question {
    /// Number of the question, and the messages that it is about; none is open without it.
    open: Option<(u64, u64, u64)>,
    ready: VecDeque<Resent>,
}

/// What there is in place of a message.
pub(crate) enum Again {
    /// No message from there on.
    End,
    /// The message with this number, as it was sent.
    Kept(u64),
    /// A message that was made again.
    Made(Resent),
    /// The message with this number cannot be had any more.
    Lost(u64),
    /// A message that is being made; ask again later.
    NotYet,
}

impl Store {
    /// The first kept application message numbered `from` to `last`. One that is kept as it was sent is put into
    /// `message`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn read_again(
        &mut self,
        session: usize,
        (from, last): (u64, u64),
        message: &mut Vec<u8>,
    ) -> io::Result<Again> {
        let state = &mut self.sessions[session];
        let at = state.messages.partition_point(|stored| stored.number < from);
        let Some(&stored) = state.messages.get(at).filter(|stored| stored.number <= last) else {
            return Ok(Again::End);
        };
        if stored.length == 0 {
            return Ok(Again::Lost(stored.number));
        }
        if let Some(found) = stored.recent.and_then(|it| self.recent.get(it, session as u16, stored.number)) {
            message.clear();
            message.extend_from_slice(found);
            return Ok(Again::Kept(stored.number));
        }
        let ready = &mut state.asked.ready;
        while ready.front().is_some_and(|it| it.number < stored.number) {
            ready.pop_front();
        }
        if let Some(made) = ready.pop_front_if(|it| it.number == stored.number) {
            return Ok(Again::Made(made));
        }
        if state.asked.open.is_some_and(|(_, first, last)| (first..=last).contains(&stored.number)) {
            return Ok(Again::NotYet);
        }
        self.read_entry(&stored, message)?;
        let entry = entry::parse(message, 0).ok_or_else(unreadable)?;
        if entry.sent().is_none() {
            let text = entry.bytes.len() - entry.text().len();
            message.drain(..text);
            return Ok(Again::Kept(stored.number));
        }
        self.ask(session, at, last, message)
    }

    /// Asks for the messages of a session from the one at `at` on, whose entry is `first`.
    fn ask(&mut self, session: usize, at: usize, last: u64, first: &[u8]) -> io::Result<Again> {
        let messages = &self.sessions[session].messages;
        let start = messages[at];
        let mut wanted = Vec::new();
        if start.offset < self.file_length {
            let end = (start.offset + ASK_BYTES).min(self.file_length).max(start.offset + first.len() as u64);
            self.window.resize((end - start.offset) as usize, 0);
            self.file.read_exact_at(&mut self.window, start.offset)?;
        } else {
            self.window.clear();
            self.window.extend_from_slice(first);
        }
        let asked = messages.range(at..).take(ASK_MESSAGES).take_while(|stored| stored.number <= last);
        for stored in asked.filter(|stored| stored.length > 0) {
            let in_memory =
                stored.recent.is_some_and(|it| self.recent.get(it, session as u16, stored.number).is_some());
            let place = (stored.offset - start.offset) as usize;
            let Some(bytes) = self.window.get(place..place + stored.length as usize) else { break };
            if in_memory {
                break;
            }
            wanted.extend(wanted_of(stored, bytes)?);
        }
        let (Some(rebuilder), Some(to)) = (&mut self.rebuilder, wanted.last()) else {
            return Ok(Again::Lost(start.number));
        };
        self.next_ticket += 1;
        let asked = &mut self.sessions[session].asked;
        asked.ready.clear();
        asked.open = Some((self.next_ticket, start.number, to.number));
        rebuilder.submit(Work::Resend(Resend { ticket: self.next_ticket, session, wanted }));
        Ok(Again::NotYet)
    }

    /// What was asked for is not wanted any more: the client has gone.
    pub(crate) fn stop_resend(&mut self, session: usize) {
        self.sessions[session].asked = Question::default();
    }

    /// Asks for reports of the past; the number by which [`Store::take_replayed`] calls them. `None` if there is no
    /// event journal to read.
    pub(crate) fn replay_reports(&mut self, replay: impl FnOnce(u64) -> Replay) -> Option<u64> {
        let rebuilder = self.rebuilder.as_mut()?;
        self.next_ticket += 1;
        rebuilder.submit(Work::Replay(replay(self.next_ticket)));
        Some(self.next_ticket)
    }

    /// Reports of the past that have come.
    pub(crate) fn take_replayed(&mut self) -> Option<Replayed> {
        self.replayed.pop_front()
    }

    /// Takes what the rebuilder has made.
    pub(crate) fn poll_rebuilder(&mut self) {
        let Some(rebuilder) = &mut self.rebuilder else { return };
        while let Some(outcome) = rebuilder.poll() {
            match outcome {
                Outcome::Resent { ticket, session, messages } => {
                    let asked = &mut self.sessions[session].asked;
                    if asked.open.take_if(|open| open.0 == ticket).is_some() {
                        asked.ready = messages.into();
                    }
                }
                Outcome::Replayed(replayed) => self.replayed.push_back(replayed),
                Outcome::Note(text) => self.notes.push(text),
            }
        }
    }

    /// A message was made again, and is not what was sent first.
    pub(crate) fn made_differently(&mut self, session: usize, number: u64) {
        self.made_differently += 1;
        let name = &self.sessions[session].name;
        self.notes.push(format!("message {number} to {name} was sent again in other words than first"));
    }

    /// Messages sent again that were not what was sent first. Anything but 0 says that this program, its configuration
    /// or its journal has changed since.
    #[must_use]
    pub fn messages_made_differently(&self) -> u64 {
        self.made_differently
    }

    /// More that the operator may want to read.
    pub(crate) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// What the operator may want to read.
    pub(crate) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Ends the rebuilder.
    pub(crate) fn close_rebuilder(&mut self) {
        self.rebuilder = None;
    }
}

/// What the rebuilder must know of a stored message; `None` for one that keeps its bytes.
fn wanted_of(stored: &Stored, bytes: &[u8]) -> io::Result<Option<Wanted>> {
    let entry = entry::parse(bytes, 0).ok_or_else(unreadable)?;
    let asked = asked_of(entry.text());
    Ok(entry.sent().map(|sent| Wanted { number: stored.number, sent, asked }))
}

/// Appends what a reject's event does not say.
pub(super) fn push_asked(asked: &Asked, out: &mut Vec<u8>) {
    (Asked::LAYOUT as u32).save(out);
    asked.save(out);
}

/// Reads it; `None` also if another version of this program has written it in another layout.
fn asked_of(mut text: &[u8]) -> Option<Asked> {
    let layout = u32::load(&mut text)?;
    if layout == Asked::LAYOUT as u32 { Asked::load(&mut text) } else { None }
}

fn unreadable() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "an entry of the session store has changed since it was written",
    )
}
