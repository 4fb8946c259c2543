//! Snapshots: a machine's whole state in a file, so that a start need not execute the journal from its beginning.
//!
//! `journal/FORMAT.md` draws the container; what is in it is the machine's affair ([`machine::Snapshot`]). A snapshot is never the
//! truth: each can be deleted, and one that does not check is passed over, aloud.

use crate::format::{MACHINE_NAME_LENGTH, MAX_PARAMETERS_LENGTH};
use crate::storage::{StorageFile, read_full, write_all};
use crate::{ChainHash, DataFolder, JournalError, StreamIdentity, StreamKind, StreamReader};
use machine::{Snapshot, SnapshotReader, SnapshotSink, SnapshotSource, SnapshotWriter};
use std::io;
use std::path::{Path, PathBuf};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Folder of the snapshots in a data folder.
pub const SNAPSHOTS_FOLDER: &str = "snapshots";
/// First eight bytes of a snapshot.
pub const SNAPSHOT_MAGIC: [u8; 8] = *b"RIALTOS\n";
/// Version of the container.
pub const SNAPSHOT_FORMAT_VERSION: u16 = 1;
/// Bytes of its header.
pub const SNAPSHOT_HEADER_LENGTH: usize = 512;

/// A snapshot that is being written; it has no meaning until it is renamed.
const UNFINISHED_NAME: &str = "snapshot.tmp";
/// Where the header's checksum starts.
const CHECKED_FROM: usize = 12;
/// Payload bytes written and read at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// Why a snapshot is not used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SnapshotRefused(pub String);

impl From<io::Error> for SnapshotRefused {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

fn refused<T>(why: impl Into<String>) -> Result<T, SnapshotRefused> {
    Err(SnapshotRefused(why.into()))
}

/// The first 512 bytes of a snapshot.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct SnapshotHeader {
    /// [`SNAPSHOT_MAGIC`].
    pub magic: [u8; 8],
    /// CRC-32C of bytes 12 to 512.
    pub checksum: u32,
    /// [`SNAPSHOT_FORMAT_VERSION`].
    pub version: u16,
    /// Bytes used of `parameters`.
    pub parameters_length: u16,
    /// The last command in the state.
    pub sequence: u64,
    /// Its time, nanoseconds since the Unix epoch.
    pub timestamp_ns: u64,
    /// `StateMachine::state_hash` after it.
    pub state_hash: u64,
    /// Bytes of the payload, which follows the header.
    pub payload_length: u64,
    /// When the snapshot was made, nanoseconds since the Unix epoch.
    pub created_ns: u64,
    /// [`machine::Snapshot::SNAPSHOT_VERSION`] of the machine that wrote it.
    pub payload_version: u32,
    /// Zero.
    pub reserved: u32,
    /// The commands' hash chain after the frame that ends with `sequence`.
    pub chain: ChainHash,
    /// BLAKE3 of the payload.
    pub payload_hash: [u8; 32],
    /// Name of the state machine, padded with zeros.
    pub machine: [u8; MACHINE_NAME_LENGTH],
    /// Parameters of the state machine, padded with zeros.
    pub parameters: [u8; MAX_PARAMETERS_LENGTH],
    /// Zero.
    pub padding: [u8; SNAPSHOT_HEADER_LENGTH - 416],
}

const _: () = assert!(size_of::<SnapshotHeader>() == SNAPSHOT_HEADER_LENGTH);

/// Where in the journal a state belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotPlace {
    /// The last command in the state.
    pub sequence: u64,
    /// Its time.
    pub timestamp_ns: u64,
    /// The commands' hash chain after the frame that ends with it.
    pub chain: ChainHash,
}

/// How long snapshots stay. The newest one always does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The newest so many stay, however old.
    pub count: usize,
    /// Those younger than this stay, however many.
    pub age_ns: u64,
}

/// The snapshots of a data folder.
pub struct SnapshotStore<'a> {
    data: &'a DataFolder,
    folder: PathBuf,
    identity: StreamIdentity,
}

/// File of a snapshot.
pub(crate) fn snapshot_path(data: &DataFolder, sequence: u64) -> PathBuf {
    data.path().join(SNAPSHOTS_FOLDER).join(format!("{sequence:020}.snap"))
}

impl<'a> SnapshotStore<'a> {
    /// Those of machine `M` with these parameters.
    #[must_use]
    pub fn new<M: Snapshot>(data: &'a DataFolder, parameters: &[u8]) -> Self {
        let identity = StreamIdentity::new(StreamKind::Commands, M::NAME, parameters);
        Self { data, folder: data.path().join(SNAPSHOTS_FOLDER), identity }
    }

    /// Those of the machine whose commands are in the folder; nothing where there are no commands that can be read.
    pub(crate) fn of_stream(data: &'a DataFolder) -> Option<Self> {
        let identity = StreamReader::open_with(&data.commands(), data.storage()).ok()?.identity().clone();
        Some(Self { data, folder: data.path().join(SNAPSHOTS_FOLDER), identity })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn path(&self, sequence: u64) -> PathBuf {
        snapshot_path(self.data, sequence)
    }

    /// Sequences of the snapshots there are, the newest first.
    ///
    /// # Errors
    /// What the system says.
    pub fn list(&self) -> Result<Vec<u64>, JournalError> {
        let names = match self.data.storage().list(&self.folder) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(JournalError::io("list", &self.folder)(error)),
        };
        let mut sequences: Vec<u64> =
            names.iter().filter_map(|name| name.strip_suffix(".snap")?.parse().ok()).collect();
        sequences.sort_unstable_by(|one, two| two.cmp(one));
        Ok(sequences)
    }

    /// Sequence of the newest one whose header checks, whatever its payload is: both streams were synced up to it before it
    /// got its name.
    ///
    /// # Errors
    /// What the system says.
    pub fn newest_synced(&self) -> Result<u64, JournalError> {
        for sequence in self.list()? {
            if self.inspect(sequence).is_ok() {
                return Ok(sequence);
            }
        }
        Ok(0)
    }

    /// Reads a snapshot's header and checks it, not the payload.
    ///
    /// # Errors
    /// Why it is not used.
    pub fn inspect(&self, sequence: u64) -> Result<SnapshotHeader, SnapshotRefused> {
        self.header(&*self.data.storage().open(&self.path(sequence), false)?, sequence)
    }

    /// Reads a snapshot's header and checks its payload against length and hash. What the machine says of it and where it
    /// stands in the journal, only [`SnapshotStore::read`] and [`crate::Shadow`] know.
    ///
    /// # Errors
    /// Why it is not used.
    pub fn check(&self, sequence: u64) -> Result<SnapshotHeader, SnapshotRefused> {
        let file = self.data.storage().open(&self.path(sequence), false)?;
        let header = self.header(&*file, sequence)?;
        check_payload(&*file, &header)?;
        Ok(header)
    }

    /// Writes a snapshot: beside its place, synced, read back and compared, and only then put there under its name.
    ///
    /// # Errors
    /// What the system says. The snapshots that there were are untouched.
    pub fn write<M: Snapshot>(&self, machine: &M, place: SnapshotPlace) -> Result<PathBuf, JournalError> {
        let storage = self.data.storage();
        storage.create_folder(&self.folder).map_err(JournalError::io("create", &self.folder))?;
        let unfinished = self.folder.join(UNFINISHED_NAME);
        match storage.remove(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(JournalError::io("remove", &unfinished)(error));
            }
            _ => {}
        }
        let file = storage.create(&unfinished).map_err(JournalError::io("create", &unfinished))?;
        let header = self.write_to(&*file, machine, place).map_err(JournalError::io("write", &unfinished))?;
        file.sync().map_err(JournalError::io("sync", &unfinished))?;
        check_payload(&*file, &header).map_err(|SnapshotRefused(why)| {
            JournalError::io("read back", &unfinished)(io::Error::new(io::ErrorKind::InvalidData, why))
        })?;
        let path = self.path(place.sequence);
        storage.rename(&unfinished, &path).map_err(JournalError::io("rename", &unfinished))?;
        storage.sync_folder(&self.folder).map_err(JournalError::io("sync", &self.folder))?;
        storage.sync_folder(self.data.path()).map_err(JournalError::io("sync", self.data.path()))?;
        Ok(path)
    }

    fn write_to<M: Snapshot>(
        &self,
        file: &dyn StorageFile,
        machine: &M,
        place: SnapshotPlace,
    ) -> io::Result<SnapshotHeader> {
        let mut out = PayloadWriter {
            file,
            hasher: blake3::Hasher::new(),
            offset: SNAPSHOT_HEADER_LENGTH as u64,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            outcome: Ok(()),
        };
        machine.write_snapshot(&mut SnapshotWriter::new(&mut out));
        out.flush();
        out.outcome?;
        let mut header = SnapshotHeader {
            magic: SNAPSHOT_MAGIC,
            checksum: 0,
            version: SNAPSHOT_FORMAT_VERSION,
            parameters_length: self.identity.parameters.len() as u16,
            sequence: place.sequence,
            timestamp_ns: place.timestamp_ns,
            state_hash: machine.state_hash(),
            payload_length: out.offset - SNAPSHOT_HEADER_LENGTH as u64,
            created_ns: self.data.storage().now_ns(),
            payload_version: M::SNAPSHOT_VERSION,
            reserved: 0,
            chain: place.chain,
            payload_hash: *out.hasher.finalize().as_bytes(),
            machine: [0; MACHINE_NAME_LENGTH],
            parameters: [0; MAX_PARAMETERS_LENGTH],
            padding: [0; SNAPSHOT_HEADER_LENGTH - 416],
        };
        header.machine[..self.identity.machine.len()].copy_from_slice(self.identity.machine.as_bytes());
        header.parameters[..self.identity.parameters.len()].copy_from_slice(&self.identity.parameters);
        header.checksum = crc32c::crc32c(&header.as_bytes()[CHECKED_FROM..]);
        write_all(file, header.as_bytes(), 0)?;
        Ok(header)
    }

    /// Reads a snapshot into `machine`, which must be new, and checks all of it but its place in the journal.
    ///
    /// # Errors
    /// Why it is not used; the machine is spoilt then.
    pub fn read<M: Snapshot>(
        &self,
        sequence: u64,
        machine: &mut M,
    ) -> Result<SnapshotHeader, SnapshotRefused> {
        let file = self.data.storage().open(&self.path(sequence), false)?;
        let header = self.header(&*file, sequence)?;
        check_length(&*file, &header)?;
        let mut input = PayloadReader::new(&*file, &header);
        let read = machine.read_snapshot(header.payload_version, &mut SnapshotReader::new(&mut input));
        // Damage is told from what the machine made of it.
        let left = input.finish(&header)?;
        read.map_err(|error| SnapshotRefused(error.to_string()))?;
        if left > 0 {
            return refused("the machine has left a part of it unread");
        }
        let found = machine.state_hash();
        if found != header.state_hash {
            return refused(format!("the state hashes to {found:016x}, not {:016x}", header.state_hash));
        }
        Ok(header)
    }

    fn header(&self, file: &dyn StorageFile, sequence: u64) -> Result<SnapshotHeader, SnapshotRefused> {
        let mut bytes = [0; SNAPSHOT_HEADER_LENGTH];
        let count = read_full(file, &mut bytes, 0)?;
        let Ok(header) = SnapshotHeader::read_from_bytes(&bytes[..count]) else {
            return refused("the header is cut off");
        };
        let checksum = crc32c::crc32c(&header.as_bytes()[CHECKED_FROM..]);
        if header.magic != SNAPSHOT_MAGIC || header.checksum != checksum {
            return refused("the header does not match its checksum");
        }
        if header.version != SNAPSHOT_FORMAT_VERSION {
            let (found, ours) = (header.version, SNAPSHOT_FORMAT_VERSION);
            return refused(format!("it has container version {found}, this program reads {ours}"));
        }
        let parameters = header.parameters.get(..usize::from(header.parameters_length));
        let name = self.identity.machine.as_bytes();
        let same_name =
            header.machine.starts_with(name) && header.machine[name.len()..].iter().all(|byte| *byte == 0);
        if !same_name || parameters != Some(&self.identity.parameters) {
            return refused("it is another machine's, or one with other parameters");
        }
        if header.sequence != sequence {
            return refused(format!("it is one of sequence {}", header.sequence));
        }
        Ok(header)
    }

    /// Whether it looks as if it could be used. Its payload is not read: that would take as long as a start from it.
    fn is_usable(&self, sequence: u64) -> bool {
        let Ok(file) = self.data.storage().open(&self.path(sequence), false) else { return false };
        self.header(&*file, sequence).is_ok_and(|header| check_length(&*file, &header).is_ok())
    }

    /// Removes the snapshots that `retention` does not keep; returns how many. Those that cannot be used, as far as header and
    /// length tell, do not count.
    ///
    /// # Errors
    /// What the system says.
    pub fn prune(&self, retention: Retention) -> Result<usize, JournalError> {
        let storage = self.data.storage();
        let now_ns = storage.now_ns();
        let (mut kept, mut removed) = (0, 0);
        for sequence in self.list()? {
            let path = self.path(sequence);
            if kept < retention.count.max(1) {
                kept += usize::from(self.is_usable(sequence));
                continue;
            }
            let file = storage.open(&path, false).map_err(JournalError::io("open", &path))?;
            // One that cannot be read keeps nobody's state.
            let created_ns = self.header(&*file, sequence).map_or(0, |header| header.created_ns);
            if now_ns.saturating_sub(created_ns) < retention.age_ns {
                continue;
            }
            storage.remove(&path).map_err(JournalError::io("remove", &path))?;
            removed += 1;
        }
        if removed > 0 {
            storage.sync_folder(&self.folder).map_err(JournalError::io("sync", &self.folder))?;
        }
        Ok(removed)
    }
}

fn check_length(file: &dyn StorageFile, header: &SnapshotHeader) -> Result<(), SnapshotRefused> {
    if header.payload_length.checked_add(SNAPSHOT_HEADER_LENGTH as u64) == Some(file.length()?) {
        Ok(())
    } else {
        refused("it has another length than its header says")
    }
}

/// Compares the payload with its hash and length.
fn check_payload(file: &dyn StorageFile, header: &SnapshotHeader) -> Result<(), SnapshotRefused> {
    check_length(file, header)?;
    PayloadReader::new(file, header).finish(header).map(|_| ())
}

/// Gathers and hashes what a machine writes.
struct PayloadWriter<'a> {
    file: &'a dyn StorageFile,
    hasher: blake3::Hasher,
    offset: u64,
    buffer: Vec<u8>,
    /// The first failure; after it nothing more is written.
    outcome: io::Result<()>,
}

impl PayloadWriter<'_> {
    fn flush(&mut self) {
        if self.outcome.is_ok() {
            self.outcome = write_all(self.file, &self.buffer, self.offset);
            self.hasher.update(&self.buffer);
            self.offset += self.buffer.len() as u64;
        }
        self.buffer.clear();
    }
}

impl SnapshotSink for PayloadWriter<'_> {
    fn put(&mut self, mut bytes: &[u8]) {
        while self.buffer.len() + bytes.len() > BUFFER_BYTES {
            let (now, later) = bytes.split_at(BUFFER_BYTES - self.buffer.len());
            self.buffer.extend_from_slice(now);
            self.flush();
            bytes = later;
        }
        self.buffer.extend_from_slice(bytes);
    }
}

/// The payload and nothing behind it, hashed as it is read.
struct PayloadReader<'a> {
    file: &'a dyn StorageFile,
    hasher: blake3::Hasher,
    offset: u64,
    /// Bytes that have not been read from the file.
    left: u64,
    buffer: Vec<u8>,
    /// Bytes of the buffer that have been given out.
    given: usize,
    outcome: io::Result<()>,
}

impl<'a> PayloadReader<'a> {
    fn new(file: &'a dyn StorageFile, header: &SnapshotHeader) -> Self {
        Self {
            file,
            hasher: blake3::Hasher::new(),
            offset: SNAPSHOT_HEADER_LENGTH as u64,
            left: header.payload_length,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            given: 0,
            outcome: Ok(()),
        }
    }

    /// Reads the next piece over the one before; false at the end, or after an error.
    fn refill(&mut self) -> bool {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(BUFFER_BYTES);
        self.buffer.resize(length, 0);
        self.given = 0;
        let read = match &self.outcome {
            Ok(()) => read_full(self.file, &mut self.buffer, self.offset),
            Err(_) => Ok(0),
        };
        match read {
            Ok(count) if count == length && count > 0 => {
                self.hasher.update(&self.buffer);
                self.offset += length as u64;
                self.left -= length as u64;
                return true;
            }
            Ok(_) => self.left = 0,
            Err(error) => self.outcome = Err(error),
        }
        self.buffer.clear();
        false
    }

    /// Reads what is left and compares the hash of it all. Returns the bytes that nobody had asked for.
    fn finish(mut self, header: &SnapshotHeader) -> Result<u64, SnapshotRefused> {
        let unread = self.left + (self.buffer.len() - self.given) as u64;
        while self.refill() {}
        self.outcome?;
        if *self.hasher.finalize().as_bytes() == header.payload_hash {
            Ok(unread)
        } else {
            refused("the payload does not match its hash")
        }
    }
}

impl SnapshotSource for PayloadReader<'_> {
    fn fill(&mut self, mut into: &mut [u8]) -> bool {
        loop {
            let ready = &self.buffer[self.given..];
            let count = ready.len().min(into.len());
            let (now, later) = into.split_at_mut(count);
            now.copy_from_slice(&ready[..count]);
            self.given += count;
            if later.is_empty() {
                return true;
            }
            into = later;
            if !self.refill() {
                return false;
            }
        }
    }
}
