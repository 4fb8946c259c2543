//! The engine: runs the state machine over the sequenced commands.

use std::sync::{Arc, OnceLock};

use machine::{EventBuffer, MOST_AHEAD, Record, StateMachine, stride};

use crate::agent::{Agent, AgentError, Fault};
use crate::gate::Gate;
use crate::ring::RingError;
use crate::ring::broadcast::{GatedReader, ReaderWatch, Writer};

/// Events of a batch of commands are gathered in at least this many bytes before the ring is asked.
const MIN_BUFFER_BYTES: usize = 256 << 10;

/// Applies commands, and copies their events to the event ring. Never blocks and never drops: while the ring is full
/// it keeps the events and takes no more commands.
pub struct EngineAgent<M> {
    machine: M,
    commands: GatedReader,
    ring: Writer,
    buffer: EventBuffer,
    /// Bytes of the buffer that are in the ring.
    copied: usize,
    commands_per_cycle: usize,
    /// The last command that was applied.
    last_sequence: u64,
    /// The last command whose events are all in the ring.
    applied: Gate,
    state_hash: Arc<OnceLock<(u64, u64)>>,
    fault: Fault,
}

impl<M: StateMachine> EngineAgent<M> {
    /// Over a machine that has applied everything up to `last_sequence`.
    #[must_use]
    pub fn new(
        machine: M,
        last_sequence: u64,
        commands: GatedReader,
        ring: Writer,
        commands_per_cycle: usize,
        fault: Fault,
    ) -> Self {
        let capacity = MIN_BUFFER_BYTES.max(2 * machine.max_event_bytes());
        Self {
            machine,
            commands,
            ring,
            buffer: EventBuffer::with_capacity(capacity),
            copied: 0,
            commands_per_cycle,
            last_sequence,
            applied: Gate::new(last_sequence),
            state_hash: Arc::default(),
            fault,
        }
    }

    /// Adds a reader of the event ring.
    ///
    /// # Errors
    /// [`RingError::TooManyReaders`].
    pub(crate) fn event_reader(&mut self) -> Result<GatedReader, RingError> {
        self.ring.gated_reader()
    }

    /// Tells whether the readers of the event ring have taken everything.
    pub(crate) fn reader_watch(&self) -> ReaderWatch {
        self.ring.watch()
    }

    /// The last command whose events are all in the ring.
    #[must_use]
    pub fn applied(&self) -> Gate {
        self.applied.clone()
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// Filled with the last sequence and the state hash after it when the agent is closed.
    pub(crate) fn state_hash(&self) -> Arc<OnceLock<(u64, u64)>> {
        Arc::clone(&self.state_hash)
    }

    /// Applies up to a batch of commands, as long as their events are sure to fit the buffer.
    fn apply(&mut self) -> Result<usize, AgentError> {
        let mut applied = 0;
        while applied < self.commands_per_cycle {
            match self.apply_few(MOST_AHEAD.min(self.commands_per_cycle - applied))? {
                0 => break,
                few => applied += few,
            }
        }
        Ok(applied)
    }

    /// Applies up to `most` commands, at most [`MOST_AHEAD`], that the machine has looked at together.
    fn apply_few(&mut self, most: usize) -> Result<usize, AgentError> {
        let Self { machine, commands, buffer, last_sequence, .. } = self;
        let mut seen = 0;
        let mut rest = commands.peek_while(usize::MAX, |_| {
            seen += 1;
            seen <= most
        })?;
        if rest.is_empty() {
            return Ok(0);
        }
        let parse =
            |bytes| Record::parse(bytes).map_err(|error| AgentError::new(format_args!("command: {error}")));
        let mut ahead = [parse(rest)?; MOST_AHEAD];
        let mut found = 0;
        for place in &mut ahead {
            if rest.is_empty() {
                break;
            }
            *place = parse(rest)?;
            rest = rest.get(stride(place.header().length as usize)..).unwrap_or_default();
            found += 1;
        }
        let ahead = ahead.get(..found).unwrap_or_default();
        machine.look_ahead(ahead);
        let (mut applied, mut bytes, mut gap) = (0, 0, None);
        for &command in ahead {
            let sequence = command.header().sequence;
            if sequence != *last_sequence + 1 {
                gap = Some(sequence);
                break;
            }
            if buffer.free_bytes() < machine.max_event_bytes() {
                break;
            }
            machine::step(machine, command, buffer);
            *last_sequence = sequence;
            applied += 1;
            bytes += stride(command.header().length as usize);
        }
        commands.advance(bytes);
        match gap {
            None => Ok(applied),
            Some(sequence) => Err(AgentError::new(format_args!(
                "command {sequence} came where {} must follow",
                self.last_sequence + 1
            ))),
        }
    }

    /// Copies what the ring has room for. Returns the bytes copied.
    fn flush(&mut self) -> Result<usize, AgentError> {
        let pending = &self.buffer.bytes()[self.copied..];
        if pending.is_empty() {
            return Ok(0);
        }
        let copied = self.ring.push_records(pending).map_err(AgentError::new)?;
        if copied > 0 {
            self.ring.publish();
            self.copied += copied;
        }
        if self.copied == self.buffer.bytes().len() {
            self.buffer.clear();
            self.copied = 0;
            self.applied.publish(self.last_sequence);
        }
        Ok(copied)
    }
}

impl<M: StateMachine> Agent for EngineAgent<M> {
    fn name(&self) -> &str {
        "engine"
    }

    fn do_work(&mut self) -> Result<usize, AgentError> {
        if self.fault.is_raised() {
            return Ok(0);
        }
        let mut work = usize::from(self.flush()? > 0);
        if self.buffer.bytes().is_empty() {
            work += self.apply()?;
            self.flush()?;
        }
        Ok(work)
    }

    fn on_close(&mut self) -> Result<(), AgentError> {
        let _ = self.state_hash.set((self.last_sequence, self.machine.state_hash()));
        Ok(())
    }
}
