//! The same agents without threads, for deterministic tests and simulations: the caller decides who works when.

use journal::DataFolder;
use machine::StateMachine;

use crate::agent::{Agent, AgentError, Fault, FaultReport};
use crate::config::AgentName;
use crate::pipeline::{Parts, Pipeline, PipelineError};
use crate::places::RingFolder;
use crate::running::{Progress, ShutdownReport};

/// A pipeline in the caller's thread.
pub struct InlinePipeline<M> {
    parts: Parts<M>,
    extra: Vec<Box<dyn Agent + Send>>,
    fault: Fault,
    progress: Progress,
    folder: DataFolder,
    _rings: RingFolder,
}

/// Duty cycles without progress after which a shutdown gives up.
const STUCK_CYCLES: usize = 1_000;

impl<M: StateMachine> InlinePipeline<M> {
    pub(crate) fn new(pipeline: Pipeline<M>) -> Self {
        let Pipeline { parts, extra, gate, fault, rings, folder, .. } = pipeline;
        Self {
            progress: Progress::of(&parts, &gate),
            parts,
            extra: extra.into_iter().map(|(_, agent)| agent).collect(),
            fault,
            folder,
            _rings: rings,
        }
    }

    /// One duty cycle of one agent. Returns the work done.
    ///
    /// # Errors
    /// The pipeline's first failure, now or earlier.
    pub fn do_work_of(&mut self, name: AgentName) -> Result<usize, FaultReport> {
        let agent: &mut dyn Agent = match name {
            AgentName::Sequencer => &mut self.parts.sequencer,
            AgentName::Engine => &mut self.parts.engine,
            AgentName::Journal => &mut self.parts.journal,
            AgentName::Sync => &mut self.parts.sync,
            AgentName::EventJournal => &mut self.parts.event_journal,
        };
        call(agent, &self.fault, |agent| agent.do_work())
    }

    /// One duty cycle of each agent, the added ones last. Returns the work done.
    ///
    /// # Errors
    /// The pipeline's first failure, now or earlier.
    pub fn do_work(&mut self) -> Result<usize, FaultReport> {
        let mut work = 0;
        for name in AgentName::ALL {
            work += self.do_work_of(name)?;
        }
        for agent in &mut self.extra {
            work += call(&mut **agent, &self.fault, |agent| agent.do_work())?;
        }
        Ok(work)
    }

    /// Duty cycles until nothing is left to do. Returns the work done.
    ///
    /// # Errors
    /// As for [`InlinePipeline::do_work`].
    pub fn run_until_idle(&mut self) -> Result<usize, FaultReport> {
        let mut total = 0;
        loop {
            match self.do_work()? {
                0 => return Ok(total),
                work => total += work,
            }
        }
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> &M {
        self.parts.engine.machine()
    }

    /// The last command that is as safe as promised.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.progress.gate.committed()
    }

    /// The last command that was sequenced.
    #[must_use]
    pub fn last_sequence(&self) -> u64 {
        self.progress.appended.committed()
    }

    /// The failure that stopped the pipeline, if one did.
    #[must_use]
    pub fn fault(&self) -> Option<FaultReport> {
        self.fault.report()
    }

    /// As `Running::shutdown`, without waiting for readers, which the caller has.
    ///
    /// # Errors
    /// [`PipelineError::Fault`], [`PipelineError::Stuck`] when a reader that is not polled holds the engine back.
    pub fn shutdown(mut self) -> Result<ShutdownReport, PipelineError> {
        self.progress.close();
        let mut idle_cycles = 0;
        while !self.progress.is_finished() {
            idle_cycles = if self.do_work()? == 0 { idle_cycles + 1 } else { 0 };
            if idle_cycles > STUCK_CYCLES {
                return Err(self.progress.stuck(std::time::Duration::ZERO));
            }
        }
        let Parts { sequencer, engine, journal, sync, event_journal } = &mut self.parts;
        let own: [&mut dyn Agent; 5] = [sequencer, engine, journal, sync, event_journal];
        for agent in own {
            call(agent, &self.fault, |agent| agent.on_close())?;
        }
        for agent in &mut self.extra {
            call(&mut **agent, &self.fault, |agent| agent.on_close())?;
        }
        self.progress.conclude(&self.folder)
    }
}

/// Calls an agent unless the pipeline has failed; an error makes it fail.
fn call<T>(
    agent: &mut dyn Agent,
    fault: &Fault,
    work: impl FnOnce(&mut dyn Agent) -> Result<T, AgentError>,
) -> Result<T, FaultReport> {
    if let Some(report) = fault.report() {
        return Err(report);
    }
    work(agent).map_err(|error| {
        fault.raise(agent.name(), &error);
        fault.report().expect("a fault was raised")
    })
}
