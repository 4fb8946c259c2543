//! The agents that write the two streams of the journal.

use std::sync::{Arc, OnceLock};

use journal::{ChainHash, StreamWriter};

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

    /// Filled with the hash chain after the last command when the agent is closed.
    pub(crate) fn chain(&self) -> Arc<OnceLock<ChainHash>> {
        Arc::clone(&self.chain)
    }

    /// Writes what is in the ring, a bounded amount. Returns the number of commands.
    fn write(&mut self) -> Result<usize, AgentError> {
        let (mut commands, mut bytes) = (0, 0);
        // The ring's end cuts a batch in two; both halves belong under one sync.
        while bytes < self.batch_bytes {
            let mut last = 0;
            let batch = self.commands.peek_while(self.batch_bytes - bytes, |header| {
                last = header.sequence;
                commands += 1;
                true
            })?;
            if batch.is_empty() {
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
    /// The last command whose events are all in the stream.
    written: Gate,
    fault: Fault,
}

impl EventJournalAgent {
    /// Writes what `events` gives.
    #[must_use]
    pub fn new(events: EventReader, writer: StreamWriter, batch_bytes: usize, fault: Fault) -> Self {
        let written = Gate::new(writer.last_sequence());
        Self { events, writer, batch_bytes, written, fault }
    }

    /// The last command whose events are all in the stream.
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
        self.writer.write_batch(batch, 0)?;
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
