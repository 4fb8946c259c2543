//! Snapshots: a machine's whole state in a file, so that a start need not execute the journal from its beginning.
//!
//! `journal/FORMAT.md` draws the container; what is in it is the machine's affair ([`Snapshot`]). A snapshot is never the
//! truth: each can be deleted, and one that does not check is passed over, aloud.

use crate::format::{MACHINE_NAME_LENGTH, MAX_PARAMETERS_LENGTH};
use crate::storage::{StorageFile, read_full, write_all};
use crate::{ChainHash, DataFolder, JournalError, StreamIdentity, StreamKind};
use machine::StateMachine;
use std::io::{self, Read, Write};
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

/// A machine whose state can be written down and taken up again.
pub trait Snapshot: StateMachine {
    /// Version of what [`Snapshot::write_snapshot`] writes.
    const SNAPSHOT_VERSION: u32;

    /// Writes the whole state.
    ///
    /// # Errors
    /// What `out` says.
    fn write_snapshot(&self, out: &mut dyn Write) -> io::Result<()>;

    /// Takes up a state, into a machine that is new. The bytes have been checked; the state hash is compared afterwards.
    ///
    /// # Errors
    /// What `input` says, or words on a version that this program does not know and cannot migrate.
    fn read_snapshot(&mut self, version: u32, input: &mut dyn Read) -> Result<(), SnapshotRefused>;
}

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
    /// [`Snapshot::SNAPSHOT_VERSION`] of the machine that wrote it.
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

impl<'a> SnapshotStore<'a> {
    /// Those of machine `M` with these parameters.
    #[must_use]
    pub fn new<M: Snapshot>(data: &'a DataFolder, parameters: &[u8]) -> Self {
        let identity = StreamIdentity::new(StreamKind::Commands, M::NAME, parameters);
        Self { data, folder: data.path().join(SNAPSHOTS_FOLDER), identity }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, sequence: u64) -> PathBuf {
        self.folder.join(format!("{sequence:020}.snap"))
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
        };
        machine.write_snapshot(&mut out)?;
        out.flush()?;
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
        check_payload(&*file, &header)?;
        let mut input = io::BufReader::with_capacity(
            BUFFER_BYTES,
            PayloadReader {
                file: &*file,
                offset: SNAPSHOT_HEADER_LENGTH as u64,
                left: header.payload_length,
            },
        );
        machine.read_snapshot(header.payload_version, &mut input)?;
        if input.read(&mut [0])? != 0 {
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

    /// Removes the snapshots that `retention` does not keep; returns how many.
    ///
    /// # Errors
    /// What the system says.
    pub fn prune(&self, retention: Retention) -> Result<usize, JournalError> {
        let storage = self.data.storage();
        let now_ns = storage.now_ns();
        let mut removed = 0;
        for sequence in self.list()?.into_iter().skip(retention.count.max(1)) {
            let path = self.path(sequence);
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

/// Compares the payload with its hash and length.
fn check_payload(file: &dyn StorageFile, header: &SnapshotHeader) -> Result<(), SnapshotRefused> {
    if file.length()? != SNAPSHOT_HEADER_LENGTH as u64 + header.payload_length {
        return refused("it has another length than its header says");
    }
    let mut hasher = blake3::Hasher::new();
    let mut input =
        PayloadReader { file, offset: SNAPSHOT_HEADER_LENGTH as u64, left: header.payload_length };
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = input.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    if *hasher.finalize().as_bytes() == header.payload_hash {
        Ok(())
    } else {
        refused("the payload does not match its hash")
    }
}

/// Gathers and hashes what a machine writes.
struct PayloadWriter<'a> {
    file: &'a dyn StorageFile,
    hasher: blake3::Hasher,
    offset: u64,
    buffer: Vec<u8>,
}

impl Write for PayloadWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        let count = bytes.len().min(BUFFER_BYTES);
        self.buffer.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        write_all(self.file, &self.buffer, self.offset)?;
        self.hasher.update(&self.buffer);
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// The payload and nothing behind it.
struct PayloadReader<'a> {
    file: &'a dyn StorageFile,
    offset: u64,
    left: u64,
}

impl Read for PayloadReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = read_full(self.file, &mut buffer[..limit], self.offset)?;
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
