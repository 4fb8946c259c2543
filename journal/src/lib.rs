//! The journal: streams of records in preallocated segments, group commit, recovery, replay.
//!
//! `journal/FORMAT.md` draws the bytes. The crate moves [`machine::Record`]s and knows no order, account or amount.
//!
//! - [`DataFolder`]: the folder of one machine, held by one process.
//! - [`StreamWriter`]: appends batches to a stream; [`StreamSyncer`] makes it safe, on another thread if need be;
//!   [`StreamReader`] reads it, beside a live writer too.
//! - [`recover`]: start-up; [`replay`]: read-only re-execution; [`verify`]: checksums and continuity.
//! - [`CommandLog`]: what the sequencer appends to, so that a replicated log can take the journal's place.
//! - [`Storage`]: all that is asked of the disk; [`simulated::SimulatedStorage`] loses power on demand.

mod archive;
mod chain;
mod disk;
mod error;
mod folder;
mod format;
mod frame;
mod framing;
mod log;
mod options;
mod reader;
mod recover;
mod replay;
mod scan;
mod shadow;
pub mod simulated;
mod snapshot;
mod spare;
mod storage;
mod sync;
mod tail;
mod truncate;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

pub use archive::{ArchiveReport, MIN_KEPT_SEGMENTS, archive};
pub use chain::{ChainHash, NotAChainHash};
pub use disk::DiskStorage;
pub use error::{DamagePlace, Difference, JournalError, Problem};
pub use folder::{COMMANDS_FOLDER, DataFolder, EVENTS_FOLDER, LOCK_FILE, MARKS_FILE, Mark};
pub use format::{
    FORMAT_VERSION, FRAME_HEADER_LENGTH, FRAME_MAGIC, FrameHeader, MACHINE_NAME_LENGTH, MAX_FRAME_BYTES,
    MAX_PARAMETERS_LENGTH, SEGMENT_HEADER_LENGTH, SEGMENT_MAGIC, SegmentHeader,
};
pub use log::{CommandLog, LogError};
pub use options::{StreamIdentity, StreamKind, StreamOptions};
pub use reader::{StreamReader, stream_identity};
pub use recover::{Progress, Recovered, Restored, recover, recover_from_snapshot};
pub use replay::{ReplayOptions, ReplayReport, replay};
pub use scan::{Cut, RecoveryReport};
pub use shadow::{Shadow, SkippedSnapshot};
pub use snapshot::{
    Retention, SNAPSHOT_FORMAT_VERSION, SNAPSHOT_HEADER_LENGTH, SNAPSHOT_MAGIC, SNAPSHOTS_FOLDER, Snapshot,
    SnapshotHeader, SnapshotPlace, SnapshotRefused, SnapshotStore,
};
pub use spare::SpaceWatch;
pub use storage::{SharedStorage, Storage, StorageFile};
pub use sync::StreamSyncer;
pub use verify::{StreamReport, VerifyProgress, VerifyReport, verify, verify_stream};
pub use writer::StreamWriter;
