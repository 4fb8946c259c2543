//! How a pipeline is set up.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use journal::StreamOptions;
use machine::MAX_RECORD_LENGTH;

use crate::clock::Clock;
use crate::idle::IdleStrategy;
use crate::runner::{Cores, NoSuchCore};
use crate::scheduling::SLICES_NS;

/// How safe a command is before anything that it caused leaves the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// It has its place in the order, in the memory of this process: when the process dies, the last ones may be lost.
    Memory,
    /// It has been written to the operating system: it survives this process, however that ends, but not loss of power.
    Os,
    /// It has been synced to the disk, by `fdatasync`: it survives loss of power.
    #[default]
    Disk,
}

impl FromStr for Durability {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "memory" => Ok(Self::Memory),
            "os" => Ok(Self::Os),
            "disk" => Ok(Self::Disk),
            _ => Err(ConfigError::Durability(text.to_owned())),
        }
    }
}

/// The pipeline's own agents, as the thread map names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentName {
    /// Sequences commands.
    Sequencer,
    /// Runs the state machine.
    Engine,
    /// Writes the commands.
    Journal,
    /// Syncs the commands.
    Sync,
    /// Writes the events.
    EventJournal,
}

impl AgentName {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Sequencer, Self::Engine, Self::Journal, Self::Sync, Self::EventJournal];

    /// As in the configuration.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Sequencer => "sequencer",
            Self::Engine => "engine",
            Self::Journal => "journal",
            Self::Sync => "sync",
            Self::EventJournal => "event-journal",
        }
    }
}

impl FromStr for AgentName {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let found = Self::ALL.into_iter().find(|name| name.text() == text);
        found.ok_or_else(|| ConfigError::UnknownAgent(text.to_owned()))
    }
}

/// A thread and what runs on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadConfig {
    /// Its name; those given to `Pipeline::add_agent` refer to it.
    pub name: String,
    /// The pipeline's agents on it, in the order they are called. Others are added behind them.
    pub agents: Vec<AgentName>,
    /// Core to pin it to; `None` leaves it to the system.
    pub core: Option<usize>,
    /// What it does when there is nothing to do.
    pub idle: IdleStrategy,
    /// Time slice to ask the system for, in nanoseconds, 100,000 to 100,000,000; 0 leaves it to the system. With a short one a
    /// thread that wakes takes the processor at once from one with a longer one (Linux 6.12), instead of up to
    /// 4 ms later. Default [`DEFAULT_SLICE_NS`].
    pub slice_ns: u64,
}

/// The shortest slice that Linux gives: every thread here works in short duty cycles, and others wait for it.
pub const DEFAULT_SLICE_NS: u64 = 100_000;

/// The sync thread is woken when there is something to do; it looks by itself this often.
pub const SYNC_PARK_NS: u64 = 20_000_000;

impl ThreadConfig {
    /// Not pinned, backing off, with a short time slice.
    #[must_use]
    pub fn new(name: &str, agents: &[AgentName]) -> Self {
        Self {
            name: name.to_owned(),
            agents: agents.to_vec(),
            core: None,
            idle: IdleStrategy::default(),
            slice_ns: DEFAULT_SLICE_NS,
        }
    }
}

/// Where the rings live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RingPlace {
    /// In a folder of `/dev/shm` named after the data folder; in anonymous memory where that cannot be had.
    #[default]
    Auto,
    /// In this folder, which is created; old rings in it are replaced.
    Folder(PathBuf),
    /// In memory of this process only.
    Anonymous,
}

/// Ring sizes in bytes: powers of two, at least 128 KiB so that the longest record fits half of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSizes {
    /// Each gateway's. Default 1 MiB: about 8,000 orders that the sequencer may be behind.
    pub ingress: usize,
    /// The command log's. Default 16 MiB: what may arrive while a disk takes 100 ms for a sync, at a million a second.
    pub commands: usize,
    /// The events'. Default 64 MiB: the engine may be this far ahead of the disk and of the slowest gateway.
    pub events: usize,
}

impl Default for RingSizes {
    fn default() -> Self {
        Self { ingress: 1 << 20, commands: 16 << 20, events: 64 << 20 }
    }
}

/// Bounds of one duty cycle, so that no agent keeps its thread from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Records that the sequencer takes from one ring. Default 512: with fewer, what a cycle costs by itself (writes of files, looks at
    /// sockets) is shared by few where one thread runs all agents, and what a gateway reads faster than that waits in its ring.
    pub records_per_ring: usize,
    /// Bytes in a sequencer's batch; 64 KiB (the longest record) to half the command ring. Default 64 KiB.
    pub sequencer_bytes: usize,
    /// Commands that the engine applies. Default 512.
    pub engine_commands: usize,
    /// Bytes of commands that gather for one sync while another runs, and that one write of either stream takes (or one
    /// record, if that is longer); at least 1. Default 1 MiB.
    pub journal_bytes: usize,
    /// How long a sync waits for more commands after the first of its batch, in nanoseconds, unless `journal_bytes` are
    /// there; up to [`MAX_JOURNAL_WAIT_NS`]. Default 0: the last sync is wait enough. The sync thread looks as often as its idle
    /// strategy lets it.
    pub journal_wait_ns: u64,
}

/// Longest wait for a batch: a tenth of a second, which every durable command may have to wait.
pub const MAX_JOURNAL_WAIT_NS: u64 = 100_000_000;

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            records_per_ring: 512,
            sequencer_bytes: MAX_RECORD_LENGTH,
            engine_commands: 512,
            journal_bytes: 1 << 20,
            journal_wait_ns: 0,
        }
    }
}

/// All of it.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// What the gate waits for. Default `disk`.
    pub durability: Durability,
    /// The machine's parameters, written into every segment; a journal with others is refused.
    pub parameters: Vec<u8>,
    /// Segments of the commands stream.
    pub commands: StreamOptions,
    /// Segments of the events stream.
    pub events: StreamOptions,
    /// Where the rings live.
    pub ring_place: RingPlace,
    /// How large they are.
    pub ring_sizes: RingSizes,
    /// Bounds of a duty cycle.
    pub limits: BatchLimits,
    /// Threads. Default, for two cores or more: `core` with sequencer and engine, `journal` with both writers, which
    /// back off to sleep, so that an idle pipeline takes next to no processor time; `sync`, which sleeps until it is
    /// woken.
    pub threads: Vec<ThreadConfig>,
    /// The clock.
    pub clock: Clock,
    /// How long a shutdown waits for the agents to finish what has been taken. Default 30 s.
    pub shutdown_timeout: Duration,
    /// How long it then waits for the event readers to take what is committed. Default 2 s.
    pub drain_timeout: Duration,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            parameters: Vec::new(),
            commands: StreamOptions { sync_on_roll: false, ..StreamOptions::default() },
            events: StreamOptions::for_events(),
            ring_place: RingPlace::default(),
            ring_sizes: RingSizes::default(),
            limits: BatchLimits::default(),
            threads: vec![
                ThreadConfig::new("core", &[AgentName::Sequencer, AgentName::Engine]),
                ThreadConfig::new("journal", &[AgentName::Journal, AgentName::EventJournal]),
                ThreadConfig {
                    idle: IdleStrategy::Park { park_ns: SYNC_PARK_NS },
                    ..ThreadConfig::new("sync", &[AgentName::Sync])
                },
            ],
            clock: Clock::default(),
            shutdown_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(2),
        }
    }
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not a durability.
    #[error("durability '{0}' is not one of memory, os, disk")]
    Durability(String),
    /// Not an agent.
    #[error("'{0}' is not one of the agents sequencer, engine, journal, sync, event-journal")]
    UnknownAgent(String),
    /// An agent is on no thread, or on several.
    #[error("agent {agent} must be on exactly one thread, it is on {count}")]
    AgentThreads {
        /// The agent.
        agent: &'static str,
        /// Threads that have it.
        count: usize,
    },
    /// Two threads of one name.
    #[error("two threads are named '{0}'")]
    ThreadTwice(String),
    /// See [`NoSuchCore`].
    #[error("thread '{thread}': {error}")]
    Core {
        /// The thread.
        thread: String,
        /// Which core.
        error: NoSuchCore,
    },
    /// A thread that spins would share its core with the one that sleeps in `fdatasync`, which would then wake up to
    /// a scheduler tick (4 ms) late.
    #[error(
        "thread '{spinning}' spins on core {core}, where thread '{sync}' sleeps in fdatasync: give '{sync}' another \
         core, or let '{spinning}' back off"
    )]
    SharedCore {
        /// The thread that spins.
        spinning: String,
        /// The thread that syncs.
        sync: String,
        /// The core.
        core: usize,
    },
    /// A number is out of range.
    #[error("{name} is {value}, it must be {range}")]
    OutOfRange {
        /// Name of the setting.
        name: &'static str,
        /// What it is.
        value: usize,
        /// What it may be.
        range: &'static str,
    },
}

impl PipelineConfig {
    /// Checks all that can be checked without touching anything.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn validate(&self, cores: &Cores) -> Result<(), ConfigError> {
        self.check_sizes()?;
        self.check_threads(cores)
    }

    fn check_sizes(&self) -> Result<(), ConfigError> {
        let refuse = |name, value, range| Err(ConfigError::OutOfRange { name, value, range });
        let (sizes, limits) = (&self.ring_sizes, &self.limits);
        let rings = [
            ("ring_sizes.ingress", sizes.ingress),
            ("ring_sizes.commands", sizes.commands),
            ("ring_sizes.events", sizes.events),
        ];
        for (name, value) in rings {
            if !value.is_power_of_two() || !(2 * MAX_RECORD_LENGTH..=1 << 32).contains(&value) {
                return refuse(name, value, "a power of two from 128 KiB to 4 GiB");
            }
        }
        if !(MAX_RECORD_LENGTH..=sizes.commands / 2).contains(&limits.sequencer_bytes) {
            let range = "from 64 KiB to half the command ring";
            return refuse("limits.sequencer_bytes", limits.sequencer_bytes, range);
        }
        let counts = [
            ("limits.records_per_ring", limits.records_per_ring),
            ("limits.engine_commands", limits.engine_commands),
            ("limits.journal_bytes", limits.journal_bytes),
        ];
        for (name, value) in counts {
            if value == 0 {
                return refuse(name, value, "at least 1");
            }
        }
        if limits.journal_wait_ns > MAX_JOURNAL_WAIT_NS {
            let value = usize::try_from(limits.journal_wait_ns).unwrap_or(usize::MAX);
            return refuse("limits.journal_wait_ns", value, "at most 100 ms");
        }
        for options in [&self.commands, &self.events] {
            if options.max_record_bytes() < MAX_RECORD_LENGTH {
                let value = options.max_frame_bytes as usize;
                return refuse(
                    "max_frame_bytes",
                    value,
                    "large enough for a record of 64 KiB and a frame header",
                );
            }
        }
        Ok(())
    }

    fn check_threads(&self, cores: &Cores) -> Result<(), ConfigError> {
        for agent in AgentName::ALL {
            let on = |thread: &ThreadConfig| thread.agents.iter().filter(|name| **name == agent).count();
            let count = self.threads.iter().map(on).sum();
            if count != 1 {
                return Err(ConfigError::AgentThreads { agent: agent.text(), count });
            }
        }
        for (index, thread) in self.threads.iter().enumerate() {
            if self.threads[..index].iter().any(|other| other.name == thread.name) {
                return Err(ConfigError::ThreadTwice(thread.name.clone()));
            }
            if thread.slice_ns != 0 && !SLICES_NS.contains(&thread.slice_ns) {
                let value = usize::try_from(thread.slice_ns).unwrap_or(usize::MAX);
                let range = "0, or 100,000 to 100,000,000 ns";
                return Err(ConfigError::OutOfRange { name: "slice_ns", value, range });
            }
            if let Some(core) = thread.core {
                let error = |error| ConfigError::Core { thread: thread.name.clone(), error };
                cores.check(core).map_err(error)?;
            }
        }
        self.check_sync_core()
    }

    fn check_sync_core(&self) -> Result<(), ConfigError> {
        let sync = self.threads.iter().find(|thread| thread.agents.contains(&AgentName::Sync));
        let Some((sync, core)) = sync.and_then(|thread| Some((thread, thread.core?))) else {
            return Ok(());
        };
        let spins = |thread: &&ThreadConfig| {
            thread.core == Some(core) && thread.idle.spins() && thread.name != sync.name
        };
        match self.threads.iter().find(spins) {
            Some(spinning) if self.durability == Durability::Disk => Err(ConfigError::SharedCore {
                spinning: spinning.name.clone(),
                sync: sync.name.clone(),
                core,
            }),
            _ => Ok(()),
        }
    }
}
