//! A pipeline on its threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use journal::{ChainHash, DataFolder, Mark, SpaceWatch};
use machine::StateMachine;

use crate::agent::{Agent, Fault, FaultReport, ThreadCounters};
use crate::config::{AgentName, ThreadConfig};
use crate::gate::Gate;
use crate::pipeline::{Parts, Pipeline, PipelineError};
use crate::places::RingFolder;
use crate::runner::{AgentRunner, RunOptions};
use crate::sequencing::SequencerCounters;

/// How far the agents have come.
pub(crate) struct Progress {
    closed: Arc<AtomicBool>,
    drained: Arc<AtomicBool>,
    /// In the command ring.
    pub(crate) appended: Gate,
    /// Events in the event ring.
    applied: Gate,
    /// As safe as promised.
    pub(crate) gate: Gate,
    /// Events in the journal, or given up while closing on a full disk.
    written: Gate,
    pub(crate) counters: Arc<SequencerCounters>,
    spaces: [SpaceWatch; 2],
    state_hash: Arc<OnceLock<(u64, u64)>>,
    chain: Arc<OnceLock<ChainHash>>,
}

impl Progress {
    pub(crate) fn of<M: StateMachine>(parts: &Parts<M>, gate: &Gate) -> Self {
        Self {
            closed: parts.sequencer.closed(),
            drained: parts.sequencer.drained(),
            appended: parts.sequencer.appended(),
            applied: parts.engine.applied(),
            gate: gate.clone(),
            written: parts.event_journal.written(),
            counters: parts.sequencer.counters(),
            spaces: parts.spaces(),
            state_hash: parts.engine.state_hash(),
            chain: parts.journal.chain(),
        }
    }

    /// Stops the gateways' ends of the rings.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Whether all that was taken is sequenced, applied, committed and in both streams.
    pub(crate) fn is_finished(&self) -> bool {
        // In this order: nothing is appended once the rings are drained.
        self.drained.load(Ordering::Acquire) && {
            let last = self.appended.committed();
            [&self.applied, &self.gate, &self.written].iter().all(|gate| gate.committed() == last)
        }
    }

    /// After all agents have been closed in order: writes the mark.
    pub(crate) fn conclude(&self, folder: &DataFolder) -> Result<ShutdownReport, PipelineError> {
        let (last_sequence, state_hash) = *self.state_hash.get().expect("the engine has been closed");
        let chain = self.chain.get().copied();
        folder.append_mark(Mark { sequence: last_sequence, state_hash, chain })?;
        Ok(ShutdownReport { last_sequence, state_hash, readers_drained: true })
    }

    pub(crate) fn stuck(&self, waited: Duration) -> PipelineError {
        PipelineError::Stuck {
            seconds: waited.as_secs(),
            committed: self.gate.committed(),
            last_sequence: self.appended.committed(),
        }
    }
}

/// How a pipeline ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownReport {
    /// The last command: applied, synced, its events written if the disk has room for them.
    pub last_sequence: u64,
    /// The machine's state hash after it; also written to the journal as a mark.
    pub state_hash: u64,
    /// Whether every event reader had taken everything.
    pub readers_drained: bool,
}

/// A pipeline that runs. Dropping it stops the threads without draining.
pub struct Running {
    threads: Vec<AgentRunner>,
    stop: Arc<AtomicBool>,
    fault: Fault,
    progress: Progress,
    readers: crate::ring::broadcast::ReaderWatch,
    folder: DataFolder,
    timeouts: (Duration, Duration),
    /// Removed only after the threads have ended.
    _rings: RingFolder,
}

impl Running {
    pub(crate) fn start<M: StateMachine + Send + 'static>(
        pipeline: Pipeline<M>,
    ) -> Result<Self, PipelineError> {
        let Pipeline { parts, extra, config, gate, fault, rings, folder, .. } = pipeline;
        let mut running = Self {
            threads: Vec::new(),
            stop: Arc::default(),
            fault,
            progress: Progress::of(&parts, &gate),
            readers: parts.engine.reader_watch(),
            folder,
            timeouts: (config.shutdown_timeout, config.drain_timeout),
            _rings: rings,
        };
        for (thread, agents) in assign(parts, extra, config.threads) {
            let name = thread.name.clone();
            let ThreadConfig { name: _, agents: _, core, idle, slice_ns } = thread;
            let options = RunOptions { name: thread.name, core, idle, slice_ns };
            let spawned =
                AgentRunner::spawn(options, agents, Arc::clone(&running.stop), running.fault.clone());
            running.threads.push(spawned.map_err(|source| PipelineError::Thread { name, source })?);
        }
        Ok(running)
    }

    /// The last command that is as safe as promised: its events may leave.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.progress.gate.committed()
    }

    /// The last command that was sequenced.
    #[must_use]
    pub fn last_sequence(&self) -> u64 {
        self.progress.appended.committed()
    }

    /// Whether the disk is full: see `Ingress::is_disk_full`.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        self.progress.spaces.iter().any(SpaceWatch::is_short)
    }

    /// The failure that stopped the pipeline, if one did.
    #[must_use]
    pub fn fault(&self) -> Option<FaultReport> {
        self.fault.report()
    }

    /// The sequencer's counters.
    #[must_use]
    pub fn sequencer_counters(&self) -> &SequencerCounters {
        &self.progress.counters
    }

    /// Each thread's name and counters.
    pub fn threads(&self) -> impl Iterator<Item = (&str, &ThreadCounters)> {
        self.threads.iter().map(|thread| (thread.name(), thread.counters()))
    }

    /// Waits until `stop` is set (by a signal handler) or the pipeline has failed; the failure, if so.
    pub fn wait(&self, stop: &AtomicBool) -> Option<FaultReport> {
        while !stop.load(Ordering::Acquire) && !self.fault.is_raised() {
            std::thread::sleep(POLL);
        }
        self.fault.report()
    }

    /// Takes no more commands, finishes those taken, lets the readers take their events, syncs, writes the mark of
    /// the state hash, and ends the threads. A command whose sending raced with this call may stay unanswered.
    ///
    /// # Errors
    /// [`PipelineError::Fault`] when an agent has failed (no mark is written), [`PipelineError::Stuck`].
    pub fn shutdown(mut self) -> Result<ShutdownReport, PipelineError> {
        let (finish, drain) = self.timeouts;
        self.progress.close();
        let finished = self.wait_for(finish, |running| running.progress.is_finished());
        let readers_drained = finished && self.wait_for(drain, |running| running.readers.is_drained());
        self.end_threads();
        if let Some(report) = self.fault.report() {
            return Err(report.into());
        }
        if !finished {
            return Err(self.progress.stuck(finish));
        }
        Ok(ShutdownReport { readers_drained, ..self.progress.conclude(&self.folder)? })
    }

    /// Waits until `done`, a fault or the end of the time. Returns whether it was done.
    fn wait_for(&self, timeout: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let start = Instant::now();
        loop {
            if done(self) {
                return true;
            }
            if self.fault.is_raised() || start.elapsed() >= timeout {
                return false;
            }
            std::thread::sleep(POLL);
        }
    }

    fn end_threads(&mut self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.progress.close();
        self.end_threads();
    }
}

/// How often the waiting calls look.
const POLL: Duration = Duration::from_millis(1);

type Threads = Vec<(ThreadConfig, Vec<Box<dyn Agent + Send>>)>;

/// Puts each agent on its thread. The configuration has been checked: each is on one.
fn assign<M: StateMachine + Send + 'static>(
    parts: Parts<M>,
    extra: Vec<(String, Box<dyn Agent + Send>)>,
    threads: Vec<ThreadConfig>,
) -> Threads {
    let Parts { sequencer, engine, journal, sync, event_journal } = parts;
    let mut agents: Vec<(AgentName, Box<dyn Agent + Send>)> = vec![
        (AgentName::Sequencer, Box::new(sequencer)),
        (AgentName::Engine, Box::new(engine)),
        (AgentName::Journal, Box::new(journal)),
        (AgentName::Sync, Box::new(sync)),
        (AgentName::EventJournal, Box::new(event_journal)),
    ];
    let mut assigned: Threads = Vec::new();
    for thread in threads {
        let mut own: Vec<Box<dyn Agent + Send>> = Vec::new();
        for name in &thread.agents {
            if let Some(index) = agents.iter().position(|(agent, _)| agent == name) {
                own.push(agents.remove(index).1);
            }
        }
        assigned.push((thread, own));
    }
    for (name, agent) in extra {
        match assigned.iter_mut().find(|(thread, _)| thread.name == name) {
            Some((_, own)) => own.push(agent),
            None => assigned.push((ThreadConfig::new(&name, &[]), vec![agent])),
        }
    }
    assigned.retain(|(_, own)| !own.is_empty());
    assigned
}
