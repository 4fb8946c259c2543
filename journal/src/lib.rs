//! The journal: streams of records in preallocated segments, group commit, recovery, replay.
//!
//! `journal/FORMAT.md` draws the bytes. The crate moves [`machine::Record`]s and knows no order, account or amount.
//!
//! - [`DataFolder`]: the folder of one machine, held by one process.
//! - [`StreamWriter`]: appends batches to a stream; [`StreamSyncer`] makes it safe, on another thread if need be;
//!   [`StreamReader`] reads it, beside a live writer too.
//! - [`recover`]: start-up; [`replay`]: read-only re-execution; [`verify`]: checksums and continuity.
//! - [`CommandLog`]: what the sequencer appends to, so that a replicated log can take the journal's place.
//! - [`Shadow`]: a machine that follows a journal and takes snapshots; [`SnapshotStore`]: the snapshots there are.
//! - [`Storage`]: all that is asked of the disk; [`MappedStorage`] reads by mapping; [`simulated::SimulatedStorage`] loses power on demand.
//!
//! # Reading a journal from another program
//!
//! A [`StreamReader`] needs nothing but the folder of a stream. It takes no lock, changes nothing, and never gives half a
//! record; where `next` gives `None` it has caught up, and a later call goes on. Its first look tells what the stream is
//! ([`StreamReader::identity`]); [`StreamReader::seek`] begins at a sequence without reading what lies before.
//! [`StreamReader::open_mapped`] does the same over mapped segments. `examples/follow.rs` is a whole program.
//!
//! ```
//! use journal::{StreamIdentity, StreamKind, StreamOptions, StreamReader, StreamWriter};
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path();
//! # let identity = StreamIdentity::new(StreamKind::Commands, "counter", b"");
//! # let options = StreamOptions { reserve_bytes: 0, ..StreamOptions::default() };
//! # let storage = std::sync::Arc::new(journal::DiskStorage);
//! # let (mut writer, _) = StreamWriter::open(path, &identity, &options, storage)?;
//! # let mut events = machine::EventBuffer::with_capacity(256);
//! # for sequence in 1..=3 {
//! #     events.begin(&machine::Context { sequence, timestamp_ns: sequence, ..Default::default() });
//! #     events.push_bytes(7, 1, &sequence.to_le_bytes());
//! # }
//! # writer.write_batch(events.bytes(), 0)?;
//! let mut reader = StreamReader::open(path)?;
//! assert_eq!(reader.identity().machine, "counter");
//! reader.seek(2)?;
//! let mut bodies = Vec::new();
//! while let Some(record) = reader.next()? {
//!     bodies.push((record.header().sequence, record.body().len()));
//! }
//! assert_eq!(bodies, [(2, 8), (3, 8)]);
//! // Whether this is the end, or a place where synced records have become unreadable.
//! reader.check_end()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ahead;
mod archive;
mod chain;
mod compare;
mod disk;
mod error;
mod folder;
mod format;
mod frame;
mod framing;
mod log;
mod mapped;
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
pub use mapped::MappedStorage;
pub use options::{StreamIdentity, StreamKind, StreamOptions};
pub use reader::{StreamReader, TornTail, stream_identity};
pub use recover::{Progress, Recovered, Restored, Stage, recover, recover_from_snapshot};
pub use replay::{ReplayOptions, ReplayReport, Replayed, replay, replay_from_snapshot};
pub use scan::{Cut, RecoveryReport};
pub use shadow::{Shadow, SkippedSnapshot};
pub use snapshot::{
    Retention, SNAPSHOT_FORMAT_VERSION, SNAPSHOT_HEADER_LENGTH, SNAPSHOT_MAGIC, SNAPSHOTS_FOLDER,
    SnapshotHeader, SnapshotPlace, SnapshotRefused, SnapshotStore,
};
pub use spare::SpaceWatch;
pub use storage::{SharedStorage, Storage, StorageFile};
pub use sync::StreamSyncer;
pub use verify::{StreamReport, VerifyProgress, VerifyReport, verify, verify_stream};
pub use writer::StreamWriter;
