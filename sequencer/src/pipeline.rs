//! The pipeline, before it runs.

use std::path::Path;
use std::sync::Arc;

use journal::{
    Cut, DataFolder, JournalError, Progress, Recovered, Restored, SkippedSnapshot, SpaceWatch, recover,
    recover_from_snapshot,
};
use machine::{Record, Snapshot, StateMachine};

use crate::agent::{Agent, Fault, FaultReport};
use crate::config::{AgentName, ConfigError, PipelineConfig, ThreadConfig};
use crate::engine::EngineAgent;
use crate::gate::{EventReader, Gate};
use crate::ingress::Ingress;
use crate::inline::InlinePipeline;
use crate::journaling::{Committing, EventJournalAgent, JournalAgent, SyncAgent};
use crate::places::RingFolder;
use crate::ring::{RingError, broadcast, spsc};
use crate::runner::Cores;
use crate::running::Running;
use crate::sequencing::{LocalLog, SequencerAgent, SequencerStart};

/// Why a pipeline cannot start, or how it ended.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The configuration cannot work.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// The journal cannot be opened, or what it holds does not replay.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A ring cannot be made.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// A thread cannot be started.
    #[error("cannot start thread '{name}': {source}")]
    Thread {
        /// Its name.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// An agent failed, and everything stopped.
    #[error(transparent)]
    Fault(#[from] FaultReport),
    /// The agents did not finish in time: an event reader is not being polled, or the disk is full or hangs.
    #[error(
        "shutdown gave up after {seconds} s at sequence {committed} of {last_sequence}: an event reader is not \
         polled, or the disk is full or hangs; what was committed is in the journal"
    )]
    Stuck {
        /// How long it waited.
        seconds: u64,
        /// What was committed.
        committed: u64,
        /// What had been sequenced.
        last_sequence: u64,
    },
    /// The events stream cannot hold the most events of one command.
    #[error(
        "event segments of {segment_bytes} bytes are too small: one command gives up to {max_event_bytes}"
    )]
    SegmentTooSmall {
        /// Configured.
        segment_bytes: u64,
        /// What the machine says.
        max_event_bytes: usize,
    },
}

/// The agents that every pipeline has.
pub(crate) struct Parts<M> {
    pub(crate) sequencer: SequencerAgent<LocalLog>,
    pub(crate) engine: EngineAgent<M>,
    pub(crate) journal: JournalAgent,
    pub(crate) sync: SyncAgent,
    pub(crate) event_journal: EventJournalAgent,
}

impl<M> Parts<M> {
    /// Of the commands and the events.
    pub(crate) fn spaces(&self) -> [SpaceWatch; 2] {
        [self.journal.space(), self.event_journal.space()]
    }
}

/// A recovered machine with its journal and rings, ready to start: first take the ways in and out, then
/// [`Pipeline::start`] it on threads, or [`Pipeline::inline`] to drive it yourself.
pub struct Pipeline<M> {
    pub(crate) parts: Parts<M>,
    pub(crate) extra: Vec<(String, Box<dyn Agent + Send>)>,
    pub(crate) config: PipelineConfig,
    pub(crate) gate: Gate,
    pub(crate) fault: Fault,
    pub(crate) rings: RingFolder,
    pub(crate) folder: DataFolder,
    recovered: RecoveredSummary,
}

/// What recovery found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredSummary {
    /// The last command in the journal; 0 when there is none.
    pub last_sequence: u64,
    /// Its time.
    pub last_timestamp_ns: u64,
    /// State hash after it.
    pub state_hash: u64,
    /// Commands whose events had to be written again.
    pub events_appended: u64,
    /// The torn tail of the commands stream, if one was cut. Nothing in it had been acknowledged.
    pub commands_cut: Option<Cut>,
    /// The torn tail of the events stream, if one was cut; its events have been computed again.
    pub events_cut: Option<Cut>,
    /// Last sequence of the events that were removed because their commands are gone, which says that these were there.
    pub events_removed_up_to: Option<u64>,
    /// The snapshot that recovery started from; `None` for the journal's beginning.
    pub from_snapshot: Option<u64>,
    /// Newer snapshots that were not used, and why: worth telling.
    pub skipped: Vec<SkippedSnapshot>,
}

/// Whether the configuration can work, with this machine.
fn check<M: StateMachine>(config: &PipelineConfig, machine: &M) -> Result<(), PipelineError> {
    config.validate(&Cores::list())?;
    let max_event_bytes = machine.max_event_bytes();
    let segment_bytes = config.events.segment_bytes;
    if segment_bytes < 2 * max_event_bytes as u64 {
        return Err(PipelineError::SegmentTooSmall { segment_bytes, max_event_bytes });
    }
    Ok(())
}

impl<M: Snapshot> Pipeline<M> {
    /// Like [`Pipeline::open_on`], from the newest snapshot that can be used. `machine` makes a new machine; `on_event`
    /// sees the events after `events_from`, the least sequence that any projection has applied.
    ///
    /// # Errors
    /// [`PipelineError`].
    pub fn open_from_snapshot(
        folder: DataFolder,
        config: PipelineConfig,
        machine: &mut dyn FnMut() -> M,
        events_from: u64,
        on_event: &mut dyn FnMut(Record<'_>),
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, PipelineError> {
        check(&config, &machine())?;
        let options = (&config.commands, &config.events);
        let parameters = &config.parameters;
        let restored =
            recover_from_snapshot(&folder, machine, parameters, options, events_from, on_event, progress)?;
        Self::on_recovered(folder, config, restored)
    }
}

impl<M: StateMachine> Pipeline<M> {
    /// Locks the data folder (creating it if need be), replays its journal into `machine`, which must be new, and
    /// makes the rings. `on_event` sees every event in the journal, in order, so that projections catch up.
    ///
    /// # Errors
    /// [`PipelineError`].
    pub fn open(
        folder: &Path,
        config: PipelineConfig,
        machine: M,
        on_event: &mut dyn FnMut(Record<'_>),
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, PipelineError> {
        config.validate(&Cores::list())?;
        Self::open_on(DataFolder::create(folder)?, config, machine, on_event, progress)
    }

    /// Like [`Pipeline::open`], on a data folder that has been opened already: on other storage, for example.
    ///
    /// # Errors
    /// [`PipelineError`].
    pub fn open_on(
        folder: DataFolder,
        config: PipelineConfig,
        mut machine: M,
        on_event: &mut dyn FnMut(Record<'_>),
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, PipelineError> {
        check(&config, &machine)?;
        let options = (&config.commands, &config.events);
        let recovered = recover(&folder, &mut machine, &config.parameters, options, on_event, progress)?;
        let restored = Restored { machine, recovered, from_snapshot: None, skipped: Vec::new() };
        Self::on_recovered(folder, config, restored)
    }

    fn on_recovered(
        folder: DataFolder,
        config: PipelineConfig,
        restored: Restored<M>,
    ) -> Result<Self, PipelineError> {
        let Restored { machine, recovered, from_snapshot, skipped } = restored;
        let rings = RingFolder::create(&config.ring_place, folder.path())?;
        let summary = RecoveredSummary {
            last_sequence: recovered.last_sequence,
            last_timestamp_ns: recovered.last_timestamp_ns,
            state_hash: recovered.state_hash,
            events_appended: recovered.events_appended,
            commands_cut: recovered.commands_report.cut.clone(),
            events_cut: recovered.events_report.cut.clone(),
            events_removed_up_to: recovered.events_removed_up_to,
            from_snapshot,
            skipped,
        };
        let (gate, fault) = (Gate::new(recovered.last_sequence), Fault::new());
        let parts = build(machine, recovered, &config, &rings, (&gate, &fault))?;
        let extra = Vec::new();
        Ok(Self { parts, extra, config, gate, fault, rings, folder, recovered: summary })
    }

    /// What recovery found.
    #[must_use]
    pub fn recovered(&self) -> &RecoveredSummary {
        &self.recovered
    }

    /// The machine, as recovered.
    #[must_use]
    pub fn machine(&self) -> &M {
        self.parts.engine.machine()
    }

    /// The folder of the rings' files, if they are in files.
    #[must_use]
    pub fn ring_folder(&self) -> Option<&Path> {
        self.rings.path()
    }

    /// Makes the ring of a gateway. Several may have the same number; each is a ring of its own.
    ///
    /// # Errors
    /// [`RingError`].
    pub fn ingress(&mut self, gateway: u16) -> Result<Ingress, RingError> {
        let capacity = self.config.ring_sizes.ingress;
        let name = format!("ingress-{gateway}-{}.ring", self.parts.sequencer.rings());
        let (producer, consumer) = self.rings.make(&name, |place| spsc::create(place, capacity))?;
        self.parts.sequencer.add_ring(gateway, consumer);
        let closed = self.parts.sequencer.closed();
        Ok(Ingress::new(producer, gateway, closed, self.parts.spaces(), self.fault.clone()))
    }

    /// A reader of the events from now on, through the gate. It must be polled, or dropped.
    ///
    /// # Errors
    /// [`RingError::TooManyReaders`].
    pub fn events(&mut self) -> Result<EventReader, RingError> {
        Ok(EventReader::new(self.parts.engine.event_reader()?, self.gate.clone()))
    }

    /// Puts an agent on a thread of the thread map; a name that it does not have makes a new thread, not pinned and
    /// backing off.
    pub fn add_agent(&mut self, thread_name: &str, agent: Box<dyn Agent + Send>) {
        self.extra.push((thread_name.to_owned(), agent));
    }

    /// Says how a thread is run, if the thread map does not say it already: for threads of added agents.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn add_thread(&mut self, thread: ThreadConfig) -> Result<(), ConfigError> {
        if self.config.threads.iter().all(|known| known.name != thread.name) {
            self.config.threads.push(thread);
        }
        self.config.validate(&Cores::list())
    }

    /// The pipeline's fault, for agents that want to raise it themselves.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault.clone()
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// [`PipelineError::Thread`]; those already started are stopped.
    pub fn start(self) -> Result<Running, PipelineError>
    where
        M: Send + 'static,
    {
        Running::start(self)
    }

    /// Leaves the work to the caller, without threads.
    #[must_use]
    pub fn inline(self) -> InlinePipeline<M> {
        InlinePipeline::new(self)
    }
}

/// Makes the command and event rings and the agents around them.
fn build<M: StateMachine>(
    machine: M,
    recovered: Recovered,
    config: &PipelineConfig,
    rings: &RingFolder,
    (gate, fault): (&Gate, &Fault),
) -> Result<Parts<M>, PipelineError> {
    let sizes = &config.ring_sizes;
    let mut commands =
        rings.make("commands.ring", |place| broadcast::Writer::create(place, sizes.commands))?;
    let events = rings.make("events.ring", |place| broadcast::Writer::create(place, sizes.events))?;
    let (for_journal, for_engine) = (commands.gated_reader()?, commands.gated_reader()?);
    let last = recovered.last_sequence;
    let limits = &config.limits;
    let mut engine =
        EngineAgent::new(machine, last, for_engine, events, limits.engine_commands, fault.clone());
    let for_event_journal = EventReader::new(engine.event_reader()?, gate.clone());
    let start = SequencerStart {
        last_sequence: last,
        last_timestamp_ns: recovered.last_timestamp_ns,
        records_per_ring: limits.records_per_ring,
        batch_bytes: limits.sequencer_bytes,
    };
    let log = LocalLog::new(commands, gate.clone(), fault.clone());
    let sequencer = SequencerAgent::new(log, &start, config.clock.clone(), fault.clone());
    let closing = sequencer.closed();
    let mut how = Committing::new(config.durability, limits.journal_bytes, gate.clone(), fault.clone());
    let share = |it: &ThreadConfig| {
        [AgentName::Journal, AgentName::Sync].iter().all(|agent| it.agents.contains(agent))
    };
    how.syncs_beside = !config.threads.iter().any(share);
    let journal = JournalAgent::new(for_journal, recovered.commands, how);
    Ok(Parts {
        sequencer,
        engine,
        sync: journal.sync_agent(config.clock.clone(), limits.journal_wait_ns, Arc::clone(&closing)),
        journal,
        event_journal: EventJournalAgent::new(
            for_event_journal,
            recovered.events,
            limits.journal_bytes,
            closing,
            fault.clone(),
        ),
    })
}
