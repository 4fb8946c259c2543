//! The sequencer: gives each command its place in the one order and its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use journal::{CommandLog, LogError};
use machine::{Context, EventBuffer, HEADER_LENGTH, Record, Source, stride};

use crate::agent::{Agent, AgentError, Counter, Fault};
use crate::clock::Clock;
use crate::gate::Gate;
use crate::ingress::FIRST_EVENT_KIND;
use crate::ring::broadcast::Writer;
use crate::ring::spsc::Consumer;
use crate::ring::{PushError, RingError};

/// The log of a single machine: the ring that the journal's agent and the engine read, and the gate that the
/// journal's agent opens.
pub struct LocalLog {
    writer: Writer,
    gate: Gate,
    fault: Fault,
}

impl LocalLog {
    /// Over the command ring.
    #[must_use]
    pub fn new(writer: Writer, gate: Gate, fault: Fault) -> Self {
        Self { writer, gate, fault }
    }
}

impl CommandLog for LocalLog {
    fn append(&mut self, batch: &[u8], _last_sequence: u64) -> Result<(), LogError> {
        if self.fault.is_raised() {
            return Err(LogError::Stopped);
        }
        match self.writer.push_all(batch) {
            Ok(()) => {
                self.writer.publish();
                Ok(())
            }
            Err(PushError::Full) => Err(LogError::Backpressure),
            Err(error) => {
                self.fault.raise("sequencer", error);
                Err(LogError::Stopped)
            }
        }
    }

    fn committed(&self) -> u64 {
        self.gate.committed()
    }
}

/// What the sequencer has counted.
#[derive(Debug, Default)]
pub struct SequencerCounters {
    /// Commands sequenced.
    pub commands: Counter,
    /// Records dropped because their kind is not a command's.
    pub refused_kind: Counter,
    /// Records dropped because they are longer than a batch.
    pub refused_length: Counter,
    /// Duty cycles in which the log was full.
    pub backpressure: Counter,
}

struct IngressRing {
    gateway: u16,
    consumer: Consumer,
}

/// Takes commands from the gateways' rings, fairly and in bounded batches, stamps them, and appends them to the log.
/// While the log is full it takes nothing, and the rings fill up behind it.
pub struct SequencerAgent<L> {
    log: L,
    rings: Vec<IngressRing>,
    /// The ring that goes first in the next duty cycle.
    turn: usize,
    clock: Clock,
    /// Sequenced and not taken by the log yet. An event buffer is a batch of records.
    batch: EventBuffer,
    records_per_ring: usize,
    last_sequence: u64,
    last_timestamp_ns: u64,
    /// The last sequence in the log.
    appended: Gate,
    counters: Arc<SequencerCounters>,
    closed: Arc<AtomicBool>,
    drained: Arc<AtomicBool>,
    fault: Fault,
}

/// What a sequencer starts from.
pub struct SequencerStart {
    /// The last sequence in the journal.
    pub last_sequence: u64,
    /// Its time.
    pub last_timestamp_ns: u64,
    /// Most records taken from one ring in a duty cycle.
    pub records_per_ring: usize,
    /// Most bytes in a batch.
    pub batch_bytes: usize,
}

impl<L: CommandLog> SequencerAgent<L> {
    /// Without rings yet.
    #[must_use]
    pub fn new(log: L, start: &SequencerStart, clock: Clock, fault: Fault) -> Self {
        Self {
            log,
            rings: Vec::new(),
            turn: 0,
            clock,
            batch: EventBuffer::with_capacity(start.batch_bytes),
            records_per_ring: start.records_per_ring,
            last_sequence: start.last_sequence,
            last_timestamp_ns: start.last_timestamp_ns,
            appended: Gate::new(start.last_sequence),
            counters: Arc::default(),
            closed: Arc::default(),
            drained: Arc::default(),
            fault,
        }
    }

    /// Adds a gateway's ring.
    pub fn add_ring(&mut self, gateway: u16, consumer: Consumer) {
        self.rings.push(IngressRing { gateway, consumer });
    }

    /// How many rings there are.
    #[must_use]
    pub fn rings(&self) -> usize {
        self.rings.len()
    }

    /// The last sequence in the log.
    #[must_use]
    pub fn appended(&self) -> Gate {
        self.appended.clone()
    }

    /// Its counters.
    #[must_use]
    pub fn counters(&self) -> Arc<SequencerCounters> {
        Arc::clone(&self.counters)
    }

    /// Set to stop the gateways' ends of the rings.
    pub(crate) fn closed(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.closed)
    }

    /// Becomes true when the rings are closed and nothing is left in them.
    pub(crate) fn drained(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.drained)
    }

    /// Takes a batch from the rings. Returns how many records were taken, refused ones included.
    fn gather(&mut self) -> Result<usize, RingError> {
        let count = self.rings.len();
        let mut stamp = Stamp {
            batch: &mut self.batch,
            clock: &self.clock,
            counters: &self.counters,
            sequence: self.last_sequence,
            timestamp_ns: self.last_timestamp_ns,
            clock_read: false,
        };
        let mut taken = 0;
        for index in 0..count {
            let ring = &mut self.rings[(self.turn + index) % count];
            let gateway = ring.gateway;
            taken += ring.consumer.poll_while(self.records_per_ring, |record| stamp.take(gateway, record))?;
        }
        self.last_sequence = stamp.sequence;
        self.last_timestamp_ns = stamp.timestamp_ns;
        self.turn = if count == 0 { 0 } else { (self.turn + 1) % count };
        Ok(taken)
    }

    /// Hands the batch to the log, if it will have it.
    fn append(&mut self) -> Result<(), AgentError> {
        match self.log.append(self.batch.bytes(), self.last_sequence) {
            Ok(()) => {
                self.counters.commands.add(self.last_sequence - self.appended.committed());
                self.appended.publish(self.last_sequence);
                self.batch.clear();
                Ok(())
            }
            Err(LogError::Backpressure) => {
                self.counters.backpressure.add(1);
                Ok(())
            }
            Err(error) => Err(AgentError::new(error)),
        }
    }
}

/// Stamps the records of one batch. They share one reading of the clock.
struct Stamp<'a> {
    batch: &'a mut EventBuffer,
    clock: &'a Clock,
    counters: &'a SequencerCounters,
    sequence: u64,
    timestamp_ns: u64,
    clock_read: bool,
}

impl Stamp<'_> {
    /// Returns whether the record was taken; a record that is no command is taken and dropped.
    #[inline]
    fn take(&mut self, gateway: u16, record: Record<'_>) -> bool {
        let header = record.header();
        if header.kind == 0 || header.kind >= FIRST_EVENT_KIND {
            self.counters.refused_kind.add(1);
            return true;
        }
        let bytes = stride(HEADER_LENGTH + record.body().len());
        if bytes > self.batch.capacity_bytes() {
            self.counters.refused_length.add(1);
            return true;
        }
        if bytes > self.batch.free_bytes() {
            return false;
        }
        if !self.clock_read {
            self.clock_read = true;
            self.timestamp_ns = self.timestamp_ns.max(self.clock.now_ns());
        }
        self.sequence += 1;
        self.batch.begin(&Context {
            sequence: self.sequence,
            timestamp_ns: self.timestamp_ns,
            source: Source { gateway, session: header.source.session },
        });
        self.batch.push_bytes(header.kind, header.schema_version, record.body());
        true
    }
}

impl<L: CommandLog> Agent for SequencerAgent<L> {
    fn name(&self) -> &str {
        "sequencer"
    }

    fn do_work(&mut self) -> Result<usize, AgentError> {
        if self.fault.is_raised() {
            return Ok(0);
        }
        let closed = self.closed.load(Ordering::Acquire);
        let mut taken = 0;
        if self.batch.bytes().is_empty() {
            taken = self.gather()?;
        }
        if self.batch.bytes().is_empty() {
            if closed && taken == 0 {
                self.drained.store(true, Ordering::Release);
            }
            return Ok(taken);
        }
        self.append()?;
        Ok(taken)
    }
}
