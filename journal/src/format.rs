//! The bytes of a segment header and of a frame header, as drawn in `journal/FORMAT.md`.

use crate::chain::ChainHash;
use crate::options::{StreamIdentity, StreamKind};
use crate::{JournalError, Problem};
use std::path::{Path, PathBuf};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// First eight bytes of a segment.
pub const SEGMENT_MAGIC: [u8; 8] = *b"RIALTOJ\n";
/// Version of this format.
pub const FORMAT_VERSION: u16 = 2;
/// Bytes of a segment header: one page, so that frames can be page-aligned.
pub const SEGMENT_HEADER_LENGTH: usize = 4096;
/// Bytes for the machine's name, padded with zeros.
pub const MACHINE_NAME_LENGTH: usize = 32;
/// Bytes for the machine's parameters, padded with zeros.
pub const MAX_PARAMETERS_LENGTH: usize = 256;
/// First four bytes of a frame.
pub const FRAME_MAGIC: [u8; 4] = *b"FRM1";
/// Bytes of a frame header.
pub const FRAME_HEADER_LENGTH: usize = 64;
/// Longest frame in bytes, header and padding included: bounds every buffer that must hold one.
pub const MAX_FRAME_BYTES: usize = 16 << 20;

/// Where a checksum starts in both headers: after magic and checksum.
const SEGMENT_CHECKED_FROM: usize = 12;
const FRAME_CHECKED_FROM: usize = 8;

/// Where the hash chain's input starts in a frame: behind magic, checksum and the chain itself. It ends with the records.
pub(crate) const FRAME_CHAINED_FROM: usize = 24;

/// The first 4096 bytes of a segment.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct SegmentHeader {
    /// [`SEGMENT_MAGIC`].
    pub magic: [u8; 8],
    /// CRC-32C of bytes 12 to 4096; also the seed of this segment's frame checksums.
    pub checksum: u32,
    /// [`FORMAT_VERSION`].
    pub version: u16,
    /// [`StreamKind::code`].
    pub kind: u16,
    /// Sequence of the segment's first record; also its file name.
    pub first_sequence: u64,
    /// Creation time, nanoseconds since the Unix epoch; for people, never for logic.
    pub created_ns: u64,
    /// Length of the file in bytes when it is whole.
    pub segment_bytes: u64,
    /// Last sequence that the writer knew to be synced when it began this segment.
    pub durable_sequence: u64,
    /// Frames start at multiples of this.
    pub frame_alignment: u32,
    /// Bytes used of `parameters`.
    pub parameters_length: u16,
    /// Zero.
    pub reserved: u16,
    /// Name of the state machine, padded with zeros.
    pub machine: [u8; MACHINE_NAME_LENGTH],
    /// Parameters of the state machine, padded with zeros.
    pub parameters: [u8; MAX_PARAMETERS_LENGTH],
    /// Time of the last record before this segment, nanoseconds since the Unix epoch; 0 when there is none.
    pub previous_timestamp_ns: u64,
    /// The hash chain before the first frame.
    pub chain: ChainHash,
    /// Zero.
    pub padding: [u8; SEGMENT_HEADER_LENGTH - 384],
}

const _: () = assert!(size_of::<SegmentHeader>() == SEGMENT_HEADER_LENGTH);

/// The first 64 bytes of a frame.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct FrameHeader {
    /// [`FRAME_MAGIC`].
    pub magic: [u8; 4],
    /// CRC-32C of bytes 8 to 64, continued from the segment header's checksum, so that a frame of another segment,
    /// or one hidden in a record's body, does not check.
    pub checksum: u32,
    /// The first half of the hash chain after this frame.
    pub chain: [u8; 16],
    /// Bytes of records after this header, each padded to 8, without the padding of the frame.
    pub payload_length: u32,
    /// Number of records.
    pub record_count: u32,
    /// Sequence of the first record.
    pub first_sequence: u64,
    /// Sequence of the last record less that of the first.
    pub sequence_span: u32,
    /// Consensus term; 0 in a local journal.
    pub term: u32,
    /// Consensus log index; 0 in a local journal.
    pub index: u64,
    /// Last sequence that the writer knew to be synced when it wrote this frame.
    pub durable_sequence: u64,
}

const _: () = assert!(size_of::<FrameHeader>() == FRAME_HEADER_LENGTH);

impl FrameHeader {
    /// Sequence of the last record.
    #[must_use]
    pub fn last_sequence(&self) -> u64 {
        self.first_sequence.saturating_add(u64::from(self.sequence_span))
    }

    /// Bytes of header, records and padding to `alignment`.
    #[must_use]
    pub fn total_length(&self, alignment: u32) -> u64 {
        (FRAME_HEADER_LENGTH as u64 + u64::from(self.payload_length)).next_multiple_of(u64::from(alignment))
    }

    /// Fills in the checksum; `seed` is the segment header's.
    pub fn seal(&mut self, seed: u32) {
        self.checksum = crc32c::crc32c_append(seed, &self.as_bytes()[FRAME_CHECKED_FROM..]);
    }

    /// Whether magic and checksum hold.
    #[must_use]
    pub fn checks(&self, seed: u32) -> bool {
        self.magic == FRAME_MAGIC
            && self.checksum == crc32c::crc32c_append(seed, &self.as_bytes()[FRAME_CHECKED_FROM..])
    }
}

impl SegmentHeader {
    /// A header that says what the stream is and nothing else, not sealed.
    #[must_use]
    pub fn blank(identity: &StreamIdentity) -> Self {
        let mut header = Self {
            magic: SEGMENT_MAGIC,
            checksum: 0,
            version: FORMAT_VERSION,
            kind: identity.kind.code(),
            first_sequence: 0,
            created_ns: 0,
            segment_bytes: 0,
            durable_sequence: 0,
            frame_alignment: 8,
            parameters_length: identity.parameters.len() as u16,
            reserved: 0,
            machine: [0; MACHINE_NAME_LENGTH],
            parameters: [0; MAX_PARAMETERS_LENGTH],
            previous_timestamp_ns: 0,
            chain: ChainHash::default(),
            padding: [0; SEGMENT_HEADER_LENGTH - 384],
        };
        header.machine[..identity.machine.len()].copy_from_slice(identity.machine.as_bytes());
        header.parameters[..identity.parameters.len()].copy_from_slice(&identity.parameters);
        header
    }

    /// The same with its checksum filled in.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.checksum = crc32c::crc32c(&self.as_bytes()[SEGMENT_CHECKED_FROM..]);
        self
    }

    /// Reads and checks a header. A wrong version is an error of its own, so that it is not taken for damage.
    ///
    /// # Errors
    /// `Err(None)` when the bytes are no segment header, `Err(Some(..))` when they are one of another version.
    pub(crate) fn parse(bytes: &[u8], file: &Path) -> Result<Self, Option<JournalError>> {
        let header = Self::read_from_bytes(bytes).map_err(|_| None)?;
        let checksum = crc32c::crc32c(&header.as_bytes()[SEGMENT_CHECKED_FROM..]);
        if header.magic != SEGMENT_MAGIC || header.checksum != checksum {
            return Err(None);
        }
        if header.version != FORMAT_VERSION {
            return Err(Some(JournalError::WrongVersion {
                file: file.to_path_buf(),
                found: header.version,
                supported: FORMAT_VERSION,
            }));
        }
        let sane = [8, 512, 4096].contains(&header.frame_alignment)
            && header.segment_bytes >= SEGMENT_HEADER_LENGTH as u64
            && header.identity().is_some();
        if sane { Ok(header) } else { Err(None) }
    }

    /// What the header says the stream is; `None` when the bytes are not valid.
    #[must_use]
    pub fn identity(&self) -> Option<StreamIdentity> {
        let kind = StreamKind::from_code(self.kind)?;
        let end = self.machine.iter().position(|byte| *byte == 0).unwrap_or(MACHINE_NAME_LENGTH);
        let machine = std::str::from_utf8(&self.machine[..end]).ok()?.to_owned();
        let parameters = self.parameters.get(..usize::from(self.parameters_length))?.to_vec();
        Some(StreamIdentity { kind, machine, parameters })
    }

    /// Refuses a segment of another machine, stream or with other parameters.
    pub(crate) fn require(&self, expected: &StreamIdentity, file: &Path) -> Result<(), JournalError> {
        let found = self.identity().ok_or_else(|| damaged_header(file, self.first_sequence))?;
        let wrong = |what, found, expected| {
            Err(JournalError::WrongIdentity { file: file.to_path_buf(), what, found, expected })
        };
        if found.kind != expected.kind {
            return wrong("stream", format!("{:?}", found.kind), format!("{:?}", expected.kind));
        }
        if found.machine != expected.machine {
            return wrong("machine", format!("'{}'", found.machine), format!("'{}'", expected.machine));
        }
        if found.parameters != expected.parameters {
            return wrong("parameters", hex(&found.parameters), hex(&expected.parameters));
        }
        Ok(())
    }
}

pub(crate) fn damaged_header(file: &Path, sequence: u64) -> JournalError {
    JournalError::Damaged { file: file.to_path_buf(), offset: 0, sequence, problem: Problem::SegmentHeader }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Path of the segment that starts with `sequence`.
pub(crate) fn segment_path(folder: &Path, sequence: u64) -> PathBuf {
    folder.join(format!("{sequence:020}.seg"))
}

/// First sequence of a segment by its file name; `None` for other files.
pub(crate) fn sequence_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    if digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        digits.parse().ok()
    } else {
        None
    }
}

/// Name of the preallocated segment that is next.
pub(crate) const SPARE_NAME: &str = "spare.tmp";
