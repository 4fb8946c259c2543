//! Agents: pieces of work that a thread calls in turn, and what happens when one fails.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// A component with a duty cycle. It never sleeps, and looks at no clock but the one it was given.
pub trait Agent {
    /// Name for reports; also what the thread map calls it.
    fn name(&self) -> &str;

    /// Does what there is to do now, a bounded amount, and returns how much that was; 0 lets the thread idle.
    ///
    /// # Errors
    /// An error stops all agents of the pipeline; the first one is kept in [`Fault`].
    fn do_work(&mut self) -> Result<usize, AgentError>;

    /// Called once, on the agent's thread, after its last duty cycle: also after a fault.
    ///
    /// # Errors
    /// As for [`Agent::do_work`].
    fn on_close(&mut self) -> Result<(), AgentError> {
        Ok(())
    }
}

/// Why an agent cannot go on, in words for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct AgentError {
    reason: String,
    follows: bool,
}

impl AgentError {
    /// From anything that can be shown.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string(), follows: false }
    }

    /// Whether it only follows from another failure, of the same journal, which whoever met it tells with its reason.
    pub(crate) fn follows(&self) -> bool {
        self.follows
    }
}

impl From<crate::ring::RingError> for AgentError {
    fn from(error: crate::ring::RingError) -> Self {
        Self::new(error)
    }
}

impl From<journal::JournalError> for AgentError {
    fn from(error: journal::JournalError) -> Self {
        let follows = matches!(error, journal::JournalError::Stopped { .. });
        Self { follows, ..Self::new(error) }
    }
}

/// The first failure of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{agent} stopped: {reason}")]
pub struct FaultReport {
    /// The agent that failed.
    pub agent: String,
    /// Why.
    pub reason: String,
}

/// Shared by all agents of a pipeline: raised once, never lowered. After it no command is taken.
#[derive(Clone, Debug, Default)]
pub struct Fault(Arc<OnceLock<FaultReport>>);

impl Fault {
    /// Not raised.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises it; the first report is kept, later ones follow from it.
    pub fn raise(&self, agent: &str, reason: impl fmt::Display) {
        let _ = self.0.set(FaultReport { agent: agent.to_owned(), reason: reason.to_string() });
    }

    /// Whether anything has failed.
    #[inline]
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.get().is_some()
    }

    /// The first failure.
    #[must_use]
    pub fn report(&self) -> Option<FaultReport> {
        self.0.get().cloned()
    }
}

/// Several agents as one: each duty cycle calls all of them in order.
pub struct CompositeAgent {
    name: String,
    agents: Vec<Box<dyn Agent + Send>>,
    /// The one that is being called, for the report of a panic.
    current: usize,
}

impl CompositeAgent {
    /// The agents in the order they will be called.
    #[must_use]
    pub fn new(name: &str, agents: Vec<Box<dyn Agent + Send>>) -> Self {
        Self { name: name.to_owned(), agents, current: 0 }
    }

    /// Name of the agent that was called last.
    #[must_use]
    pub fn current(&self) -> &str {
        self.agents.get(self.current).map_or(&self.name, |agent| agent.name())
    }
}

impl Agent for CompositeAgent {
    fn name(&self) -> &str {
        &self.name
    }

    fn do_work(&mut self) -> Result<usize, AgentError> {
        let mut work = 0;
        for (index, agent) in self.agents.iter_mut().enumerate() {
            self.current = index;
            work += agent.do_work()?;
        }
        Ok(work)
    }

    /// Closes all of them, whatever the others say; the first error is returned.
    fn on_close(&mut self) -> Result<(), AgentError> {
        let mut first = None;
        for (index, agent) in self.agents.iter_mut().enumerate() {
            if first.is_none() {
                self.current = index;
            }
            if let Err(error) = agent.on_close() {
                first.get_or_insert(error);
            }
        }
        first.map_or(Ok(()), Err)
    }
}

/// A number that one thread counts and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the owner may.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// The value, perhaps a moment old.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a thread has been doing.
#[derive(Debug, Default)]
pub struct ThreadCounters {
    /// Duty cycles that found something to do.
    pub work_cycles: Counter,
    /// Duty cycles that did not.
    pub idle_cycles: Counter,
    /// Sum of what [`Agent::do_work`] returned.
    pub work: Counter,
}
