//! The agents that write the two streams of the journal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use journal::{ChainHash, SpaceWatch, StreamSyncer, StreamWriter};

use crate::agent::{Agent, AgentError, Fault};
use crate::clock::Clock;
use crate::config::Durability;
use crate::gate::{EventReader, Gate};
use crate::ring::broadcast::GatedReader;
use crate::waker::Waker;

/// How the commands are made safe.
#[derive(Clone)]
pub struct Committing {
    /// What the gate waits for.
    pub durability: Durability,
    /// Most bytes that gather for one sync, and most that are written in one duty cycle.
    pub batch_bytes: usize,
    /// Stands at the writer's last sequence.
    pub gate: Gate,
    /// Of the pipeline.
    pub fault: Fault,
    /// Whether [`SyncAgent`] runs on another thread: the disk can then begin with a batch while the sync before runs.
    pub syncs_beside: bool,
    wakers: Arc<Wakers>,
}

/// The two threads wake each other: neither has to look all the time.
#[derive(Default)]
struct Wakers {
    journal: Waker,
    sync: Waker,
}

impl Committing {
    /// As configured.
    #[must_use]
    pub fn new(durability: Durability, batch_bytes: usize, gate: Gate, fault: Fault) -> Self {
        Self { durability, batch_bytes, gate, fault, syncs_beside: false, wakers: Arc::default() }
    }
}

/// Writes the commands; opens the gate where no sync is promised. With [`SyncAgent`] on another thread, the next batch is
/// hashed and written while a sync runs: a bounded one, and what is beyond it waits in the ring.
pub struct JournalAgent {
    commands: GatedReader,
    writer: StreamWriter,
    syncer: StreamSyncer,
    how: Committing,
    /// Filled with the hash chain after the last command when the agent is closed.
    chain: Arc<OnceLock<ChainHash>>,
}

impl JournalAgent {
    /// Writes what `commands` gives.
    #[must_use]
    pub fn new(commands: GatedReader, writer: StreamWriter, how: Committing) -> Self {
        let syncer = writer.syncer();
        Self { commands, writer, syncer, how, chain: Arc::default() }
    }

    /// Makes safe what this agent writes, `wait_ns` after the first command of a batch has been written (0: at once), or
    /// sooner, when a whole batch has been. `closing` is set when the pipeline takes no more commands.
    #[must_use]
    pub fn sync_agent(&self, clock: Clock, wait_ns: u64, closing: Arc<AtomicBool>) -> SyncAgent {
        let syncer = self.writer.syncer();
        SyncAgent { syncer, how: self.how.clone(), clock, wait_ns, waiting_since_ns: None, closing }
    }

    /// Tells when room for the commands is short.
    pub(crate) fn space(&self) -> SpaceWatch {
        self.writer.space()
    }

    /// Filled with the hash chain after the last command when the agent is closed.
    pub(crate) fn chain(&self) -> Arc<OnceLock<ChainHash>> {
        Arc::clone(&self.chain)
    }

    /// Most bytes that may be written now.
    fn limit(&self) -> usize {
        let batch = self.how.batch_bytes;
        if self.how.durability != Durability::Disk {
            return batch;
        }
        batch.saturating_sub(usize::try_from(self.syncer.gathered_bytes()).unwrap_or(batch))
    }

    /// Writes what is in the ring, a bounded amount, as one frame if it fits. Returns the number of commands.
    fn write(&mut self) -> Result<usize, AgentError> {
        let (mut commands, mut bytes) = (0, 0);
        // Also without commands: someone may wait for room to be made.
        self.writer.has_room(0)?;
        let limit = self.limit();
        // The ring's end cuts a batch in two; both halves belong into one frame.
        while bytes < limit {
            let (mut last, mut count) = (0, 0);
            let batch = self.commands.peek_while(limit - bytes, |header| {
                last = header.sequence;
                count += 1;
                true
            })?;
            // A full disk: the batch stays in the ring, and what is behind it waits too.
            if batch.is_empty() || !self.writer.has_room(batch.len())? {
                break;
            }
            if self.how.durability == Durability::Memory {
                self.how.gate.publish(last);
            }
            // What has been acknowledged must never be taken for a torn tail later, where it is to survive a loss of
            // power. With the other modes a lost tail is no damage, and the next start must not refuse it.
            let kept = if self.how.durability == Durability::Disk { self.how.gate.committed() } else { 0 };
            self.writer.append(batch, kept)?;
            let length = batch.len();
            self.commands.advance(length);
            bytes += length;
            commands += count;
        }
        self.writer.flush()?;
        // Not in a cycle without commands: what is behind was left to a sync that runs by now.
        if commands > 0 && self.how.syncs_beside && self.how.durability == Durability::Disk {
            self.writer.begin_write_back()?;
        }
        Ok(commands)
    }
}

impl Agent for JournalAgent {
    fn name(&self) -> &str {
        "journal"
    }

    fn do_work(&mut self) -> Result<usize, AgentError> {
        if self.how.fault.is_raised() {
            return Ok(0);
        }
        self.how.wakers.journal.register();
        let commands = match self.write() {
            // The sync agent has met the failure, and tells it with its reason.
            Err(error) if error.follows() && self.syncer.has_met_failure() => return Ok(0),
            result => result?,
        };
        // Not in a cycle without commands: what is behind was left to a sync that runs by now.
        if commands > 0 {
            match self.how.durability {
                Durability::Memory => {}
                Durability::Os => self.how.gate.publish(self.writer.last_sequence()),
                Durability::Disk => self.how.wakers.sync.wake(),
            }
        }
        Ok(commands)
    }

    /// Syncs, whatever the durability: an orderly shutdown loses nothing. Not after a fault: what the disk has
    /// said once is not asked again.
    fn on_close(&mut self) -> Result<(), AgentError> {
        if !self.how.fault.is_raised() {
            self.writer.sync()?;
            let _ = self.chain.set(self.writer.chain());
        }
        Ok(())
    }
}

/// Syncs what [`JournalAgent`] writes, and opens the gate up to there: with durability `disk`. With the others it only
/// syncs segments that are full, so that neither the writer nor a shutdown has to wait for all of them.
///
/// Group commit: all that is written while one sync runs is covered by the next.
pub struct SyncAgent {
    syncer: StreamSyncer,
    how: Committing,
    clock: Clock,
    wait_ns: u64,
    /// When the batch that is being waited for was first seen.
    waiting_since_ns: Option<u64>,
    closing: Arc<AtomicBool>,
}

impl SyncAgent {
    /// Whether a batch should still grow before it is synced.
    fn should_wait(&mut self) -> bool {
        if self.wait_ns == 0
            || self.syncer.gathered_bytes() >= self.how.batch_bytes as u64
            || self.closing.load(Ordering::Acquire)
        {
            return false;
        }
        let now_ns = self.clock.now_ns();
        let since_ns = *self.waiting_since_ns.get_or_insert(now_ns);
        now_ns.saturating_sub(since_ns) < self.wait_ns
    }
}

impl Agent for SyncAgent {
    fn name(&self) -> &str {
        "sync"
    }

    fn do_work(&mut self) -> Result<usize, AgentError> {
        if self.how.fault.is_raised() {
            return Ok(0);
        }
        if self.how.durability != Durability::Disk {
            return Ok(usize::from(self.syncer.sync_full_segments()?));
        }
        self.how.wakers.sync.register();
        let committed = self.how.gate.committed();
        if self.syncer.written_sequence() == committed || self.should_wait() {
            return Ok(0);
        }
        self.waiting_since_ns = None;
        let journal = &self.how.wakers.journal;
        let durable = match self.syncer.sync_after(|| journal.wake()).map_err(AgentError::from) {
            // The journal agent has met the failure, and tells it.
            Err(error) if error.follows() && !self.syncer.has_met_failure() => return Ok(0),
            result => result?,
        };
        // Once anything has failed, nothing more leaves.
        if self.how.fault.is_raised() {
            return Ok(0);
        }
        self.how.gate.publish(durable);
        Ok(usize::try_from(durable - committed).unwrap_or(usize::MAX))
    }
}

/// Writes the events whose commands are committed. Never synced while running: the stream can be rebuilt.
pub struct EventJournalAgent {
    events: EventReader,
    writer: StreamWriter,
    batch_bytes: usize,
    /// The last command whose events are all in the stream, or given up.
    written: Gate,
    /// Set when the pipeline takes no more commands.
    closing: Arc<AtomicBool>,
    /// Whether a full disk has ended the stream before the pipeline's end. The next start computes the rest again.
    given_up: bool,
    fault: Fault,
}

impl EventJournalAgent {
    /// Writes what `events` gives; `closing` is set when the pipeline takes no more commands.
    #[must_use]
    pub fn new(
        events: EventReader,
        writer: StreamWriter,
        batch_bytes: usize,
        closing: Arc<AtomicBool>,
        fault: Fault,
    ) -> Self {
        let written = Gate::new(writer.last_sequence());
        Self { events, writer, batch_bytes, written, closing, given_up: false, fault }
    }

    /// Tells when room for the events is short.
    pub(crate) fn space(&self) -> SpaceWatch {
        self.writer.space()
    }

    /// The last command whose events are all in the stream, or given up because the pipeline ends on a full disk.
    #[must_use]
    pub fn written(&self) -> Gate {
        self.written.clone()
    }
}

impl Agent for EventJournalAgent {
    fn name(&self) -> &str {
        "event-journal"
    }

    fn do_work(&mut self) -> Result<usize, AgentError> {
        if self.fault.is_raised() {
            return Ok(0);
        }
        self.writer.has_room(0)?;
        let committed = self.events.committed();
        let reader = self.events.reader();
        let mut complete = 0;
        let batch = reader.peek_while(self.batch_bytes, |header| {
            let wanted = header.sequence <= committed;
            if wanted && header.flags & machine::flags::LAST_EVENT != 0 {
                complete = header.sequence;
            }
            wanted
        })?;
        if batch.is_empty() {
            return Ok(0);
        }
        if !self.given_up {
            if self.writer.has_room(batch.len())? {
                self.writer.write_batch(batch, 0)?;
            } else if self.closing.load(Ordering::Acquire) {
                self.given_up = true;
            } else {
                return Ok(0);
            }
        }
        let length = batch.len();
        reader.advance(length);
        if complete > 0 {
            self.written.publish(complete);
        }
        Ok(1)
    }

    fn on_close(&mut self) -> Result<(), AgentError> {
        if !self.fault.is_raised() {
            self.writer.sync()?;
        }
        Ok(())
    }
}
