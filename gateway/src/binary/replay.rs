//! Events of the past, read from the event journal on a thread of their own: a client that asks for last year must not
//! hold up anybody's orders, and a disk that is slow must not either.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvError, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use journal::{JournalError, StreamReader};
use machine::Record;

use super::feed::{Audience, Feed, Viewer, audience};

/// Bytes that are handed over at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks that wait for the client; the thread reads no further meanwhile.
const CHUNKS: usize = 2;
/// How long it waits where the journal is behind what has been committed.
const PAUSE: Duration = Duration::from_millis(1);

/// What a replay says.
pub(super) enum Step {
    /// The events are there; packets follow.
    Opened,
    /// Packets of whole commands.
    Packets(Vec<u8>),
    /// All events up to the sequence that was asked for have been given.
    Done,
    /// The journal does not have the first event that was asked for any more.
    Gone,
    /// The journal cannot be read.
    Failed(String),
}

/// A replay for one session. Dropping it ends its thread.
pub(super) struct Replay {
    steps: Receiver<Step>,
    more: SyncSender<u64>,
}

impl Replay {
    /// Begins to read `folder`, the events stream, for the events of sequence `from` to `until`.
    pub(super) fn start(folder: PathBuf, viewer: Viewer, from: u64, until: u64) -> io::Result<Self> {
        let (sender, steps) = sync_channel(CHUNKS);
        let (more, untils) = sync_channel(1);
        std::thread::Builder::new().name("binary-replay".to_owned()).spawn(move || {
            let mut worker =
                Worker { sender, viewer, feed: Feed::default(), packets: Vec::new(), from, last: (0, 0) };
            if let Err(Stop::Failed(error)) = worker.run(&folder, &untils, until) {
                // Nobody hears it if the client has gone.
                let _ = worker.sender.send(Step::Failed(error.to_string()));
            }
        })?;
        Ok(Self { steps, more })
    }

    /// The next step, if there is one.
    pub(super) fn poll(&self) -> Option<Step> {
        match self.steps.try_recv() {
            Ok(step) => Some(step),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Step::Failed("the replay has ended".to_owned())),
        }
    }

    /// After [`Step::Done`]: goes on up to a later sequence.
    pub(super) fn go_on(&self, until: u64) {
        // If the thread has ended, the next poll says so.
        let _ = self.more.try_send(until);
    }
}

/// Why the thread ends.
enum Stop {
    /// Nobody listens any more.
    Unheard,
    Failed(JournalError),
}

impl From<JournalError> for Stop {
    fn from(error: JournalError) -> Self {
        Self::Failed(error)
    }
}

struct Worker {
    sender: SyncSender<Step>,
    viewer: Viewer,
    feed: Feed,
    packets: Vec<u8>,
    from: u64,
    /// Sequence of the event that was read last, and the next one's index if it is of the same command.
    last: (u64, u32),
}

impl Worker {
    fn run(&mut self, folder: &std::path::Path, untils: &Receiver<u64>, mut until: u64) -> Result<(), Stop> {
        let mut reader = StreamReader::open(folder)?;
        if reader.first_sequence() > self.from {
            return self.say(Step::Gone);
        }
        self.say(Step::Opened)?;
        reader.seek(self.from)?;
        loop {
            let complete = match reader.next()? {
                Some(event) => self.take(event),
                None => {
                    self.wait()?;
                    continue;
                }
            };
            if complete >= until {
                self.flush()?;
                self.say(Step::Done)?;
                until = match untils.recv() {
                    Ok(until) => until,
                    Err(RecvError) => return Err(Stop::Unheard),
                };
            } else if complete > 0 && self.packets.len() >= CHUNK_BYTES {
                self.flush()?;
            }
        }
    }

    /// Writes an event if the viewer may see it. Its sequence, if it is its command's last, else 0.
    fn take(&mut self, event: Record<'_>) -> u64 {
        let sequence = event.header().sequence;
        let index = if self.last.0 == sequence { self.last.1 } else { 0 };
        self.last = (sequence, index + 1);
        let seen = match audience(event) {
            Audience::All => true,
            Audience::Accounts(one, other) => {
                one == self.viewer.account || other == Some(self.viewer.account)
            }
            Audience::None => false,
        };
        if seen {
            self.feed.push(event, index, self.viewer, &mut self.packets);
        }
        if !event.is_last_event() {
            return 0;
        }
        self.feed.finish_command(&mut self.packets);
        sequence
    }

    /// There is nothing more yet. What is there goes out first, but for a command of which more is to come; an empty chunk
    /// asks whether anybody listens.
    fn wait(&mut self) -> Result<(), Stop> {
        if self.feed.is_between_commands() {
            self.flush()?;
        } else {
            self.say(Step::Packets(Vec::new()))?;
        }
        std::thread::sleep(PAUSE);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Stop> {
        let packets = std::mem::take(&mut self.packets);
        self.say(Step::Packets(packets))
    }

    fn say(&self, step: Step) -> Result<(), Stop> {
        self.sender.send(step).map_err(|_| Stop::Unheard)
    }
}
