//! What a state machine is.
//!
//! The core of Rialto knows nothing about orders or money. It moves [`Record`]s: a [`RecordHeader`] and a body of
//! fixed layout. A [`StateMachine`] takes sequenced command records and answers each with event records. A
//! [`Projection`] folds events into something a person or a protocol wants to see.
//!
//! Laws held here (see `docs/decisions`): `apply` is a pure function of the machine's state, the command and its
//! [`Context`]; it cannot fail; it reads no clock, file or random number; in steady state it allocates nothing.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

mod events;
mod hash;
#[allow(unsafe_code)]
mod prefetch;
mod record;
mod snapshot;

pub use events::EventBuffer;
pub use hash::StateHasher;
pub use prefetch::prefetch;
pub use record::{
    Body, HEADER_LENGTH, MAX_RECORD_LENGTH, RECORD_ALIGNMENT, Record, RecordError, RecordHeader, Source,
    flags, stride,
};
pub use snapshot::{Snapshot, SnapshotError, SnapshotReader, SnapshotSink, SnapshotSource, SnapshotWriter};

/// What the sequencer decided about a command: its place in the one order, its time, and where it came from.
///
/// It is all that a state machine may know of the outside world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Place in the one order; the first command of a journal has sequence 1, and there are no gaps.
    pub sequence: u64,
    /// Nanoseconds since the Unix epoch, stamped by the sequencer; never decreases from one command to the next.
    pub timestamp_ns: u64,
    /// The gateway and session that sent the command.
    pub source: Source,
}

/// A deterministic service: commands in, events out.
///
/// Contract, checked by `journal::replay` and by the tests of every machine:
/// - the same commands give the same event bytes and the same [`StateMachine::state_hash`], on every machine;
/// - each command gives at least one event (a rejection is an event too);
/// - `apply` never panics on any bytes in a command's body; a broken invariant of the machine itself stops the
///   process.
pub trait StateMachine {
    /// Stable name, written into every journal segment; a journal of another machine is refused by it.
    const NAME: &'static str;

    /// Applies one command and appends its events, in order, to `events`.
    ///
    /// The caller has called [`EventBuffer::begin`] with the same context and calls [`EventBuffer::finish`] after.
    fn apply(&mut self, context: &Context, command: Record<'_>, events: &mut EventBuffer);

    /// Looks at what the next commands will need, at most [`MOST_AHEAD`] of them, so that it is in the near caches when
    /// they are applied; what one waits for, the others wait for at the same time. It changes nothing and need not be
    /// called. Any bytes may come, as in [`StateMachine::apply`].
    fn look_ahead(&self, _commands: &[Record<'_>]) {}

    /// XXH3-64 over the whole state in a canonical order, equal for equal states.
    fn state_hash(&self) -> u64;

    /// Bytes of [`EventBuffer`] that one command can fill at most.
    fn max_event_bytes(&self) -> usize;
}

/// Commands that a machine looks at ahead: enough to keep a core's outstanding loads busy, few enough that what was read
/// for the last of them is still in the first cache when its turn comes.
pub const MOST_AHEAD: usize = 16;

/// Something folded from events: an order cache, a depth book, a ledger, an SQL table.
pub trait Projection {
    /// Folds one event. Events arrive in journal order; those at or below
    /// [`Projection::applied_sequence`] must be ignored, so that each event takes effect once.
    fn apply(&mut self, event: Record<'_>);

    /// Sequence of the last command whose events have all been folded; 0 before the first.
    fn applied_sequence(&self) -> u64;
}

/// Runs one command through a machine: begin, apply, finish. The engine agent, replay and tests all use this one.
///
/// # Panics
/// If the machine produced no event, which breaks its contract.
pub fn step<M: StateMachine>(machine: &mut M, command: Record<'_>, events: &mut EventBuffer) {
    let context = command.context();
    events.begin(&context);
    machine.apply(&context, command, events);
    events.finish();
}

#[cfg(not(target_endian = "little"))]
compile_error!("records are little-endian in memory; this target would need conversions at every edge");
