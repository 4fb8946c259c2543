//! The agents that write the two streams of the journal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use journal::{ChainHash, SpaceWatch, StreamWriter};

use crate::agent::{Agent, AgentError, Fault};
use crate::config::Durability;
use crate::gate::{EventReader, Gate};
use crate::ring::broadcast::GatedReader;

/// Writes the commands, and opens the gate.
///
/// Group commit: all that arrives in the ring while one sync runs is written and synced together by the next.
pub struct JournalAgent {
    commands: GatedReader,
    writer: StreamWriter,
    durability: Durability,
    batch_bytes: usize,
    gate: Gate,
    /// Filled with the hash chain after the last command when the agent is closed.
    chain: Arc<OnceLock<ChainHash>>,
    fault: Fault,
}

impl JournalAgent {
    /// Writes what `commands` gives; `gate` stands at the writer's last sequence.
    #[must_use]
    pub fn new(
        commands: GatedReader,
        writer: StreamWriter,
        durability: Durability,
        batch_bytes: usize,
        gate: Gate,
        fault: Fault,
    ) -> Self {
        Self { commands, writer, durability, batch_bytes, gate, chain: Arc::default(), fault }
    }

    /// Tells when room for the commands is short.
    pub(crate) fn space(&self) -> SpaceWatch {
        self.writer.space()
    }

    /// Filled with the hash chain after the last command when the agent is closed.
    pub(crate) fn chain(&self) -> Arc<OnceLock<ChainHash>> {
        Arc::clone(&self.chain)
    }

    /// Writes what is in the ring, a bounded amount. Returns the number of commands.
    fn write(&mut self) -> Result<usize, AgentError> {
        let (mut commands, mut bytes) = (0, 0);
        // Also without commands: someone may wait for room to be made.
        self.writer.has_room(0)?;
        // The ring's end cuts a batch in two; both halves belong under one sync.
        while bytes < self.batch_bytes {
            let (mut last, mut count) = (0, 0);
            let batch = self.commands.peek_while(self.batch_bytes - bytes, |header| {
                last = header.sequence;
                count += 1;
                true
            })?;
            // A full disk: the batch stays in the ring, and what is behind it waits too.
            if batch.is_empty() || !self.writer.has_room(batch.len())? {
                break;
            }
            if self.durability == Durability::Memory {
                self.gate.publish(last);
            }
            // What has been acknowledged must never be taken for a torn tail later; memory promises nothing.
            let kept = if self.durability == Durability::Memory { 0 } else { self.gate.committed() };
            self.writer.write_batch(batch, kept)?;
            let length = batch.len();
            self.commands.advance(length);
            bytes += length;
            commands += count;
        }
        Ok(commands)
    }
}

impl Agent for JournalAgent {
    fn name(&self) -> &str {
        "journal"
    }

    fn do_work(&mut self) -> Result<usize, AgentError> {
        if self.fault.is_raised() {
            return Ok(0);
        }
        let commands = self.write()?;
        if commands > 0 {
            match self.durability {
                Durability::Memory => {}
                Durability::Os => self.gate.publish(self.writer.last_sequence()),
                Durability::Disk => {
                    let durable = self.writer.sync()?;
                    self.gate.publish(durable);
                }
            }
        }
        Ok(commands)
    }

    /// Syncs, whatever the durability: an orderly shutdown loses nothing. Not after a fault: what the disk has
    /// said once is not asked again.
    fn on_close(&mut self) -> Result<(), AgentError> {
        if !self.fault.is_raised() {
            self.writer.sync()?;
            let _ = self.chain.set(self.writer.chain());
        }
        Ok(())
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
