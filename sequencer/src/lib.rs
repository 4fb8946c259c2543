//! Rings, agents, clock, sequencing and the durability gate.
//!
//! ```text
//! Ingress ─ring─▶ SequencerAgent ─command ring─┬─▶ JournalAgent ─▶ SyncAgent ─▶ Gate (committed up to)
//! Ingress ─ring─▶   sequence, time             └─▶ EngineAgent ─event ring─┬─▶ EventReader (through the gate)
//!                                                                          └─▶ EventJournalAgent (likewise)
//! ```
//!
//! [`Pipeline`] puts them together, on threads or in the caller's. The law it keeps: nothing that a command caused
//! is handed out before the command is as safe as [`Durability`] promises. The engine runs ahead; the way out waits.
//!
//! `unsafe` is in `ring/memory.rs`, `ring/frames.rs`, `ring/broadcast.rs`, `bus.rs` and
//! `scheduling.rs` only.

pub mod ring;

#[cfg(not(loom))]
pub mod agent;
#[cfg(not(loom))]
mod bus;
#[cfg(not(loom))]
pub mod clock;
#[cfg(not(loom))]
mod config;
#[cfg(not(loom))]
mod engine;
#[cfg(not(loom))]
mod gate;
#[cfg(not(loom))]
pub mod idle;
#[cfg(not(loom))]
mod ingress;
#[cfg(not(loom))]
mod inline;
#[cfg(not(loom))]
mod journaling;
#[cfg(not(loom))]
mod pipeline;
#[cfg(not(loom))]
mod places;
#[cfg(not(loom))]
pub mod process;
#[cfg(not(loom))]
pub mod runner;
#[cfg(not(loom))]
mod running;
#[cfg(not(loom))]
mod scheduling;
#[cfg(not(loom))]
mod sequencing;
#[cfg(not(loom))]
mod waker;

#[cfg(not(loom))]
pub use {
    agent::{Agent, AgentError, CompositeAgent, Fault, FaultReport},
    bus::stop_on_bus_error,
    clock::{Clock, ManualClock},
    config::{
        AgentName, BatchLimits, ConfigError, DEFAULT_SLICE_NS, Durability, MAX_JOURNAL_WAIT_NS,
        PipelineConfig, RingPlace, RingSizes, SYNC_PARK_NS, ThreadConfig,
    },
    engine::EngineAgent,
    gate::{EventReader, Gate},
    idle::IdleStrategy,
    ingress::{Ingress, SendError},
    inline::InlinePipeline,
    journaling::{Committing, EventJournalAgent, JournalAgent, SyncAgent},
    pipeline::{Pipeline, PipelineError, RecoveredSummary},
    running::{Running, ShutdownReport},
    scheduling::ask_for_slice,
    sequencing::{LocalLog, SequencerAgent, SequencerCounters},
};
