//! What a stream is, and how it is written.

use crate::JournalError;
use crate::format::{
    FRAME_HEADER_LENGTH, MACHINE_NAME_LENGTH, MAX_FRAME_BYTES, MAX_PARAMETERS_LENGTH, SEGMENT_HEADER_LENGTH,
};
use machine::MAX_RECORD_LENGTH;

/// Which of a machine's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Sequenced commands: the truth. One record per sequence.
    Commands,
    /// Their events, which can be rebuilt. One or more records per sequence, the last one flagged.
    Events,
}

impl StreamKind {
    /// Code in the segment header.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Commands => 1,
            Self::Events => 2,
        }
    }

    /// The kind with this code.
    #[must_use]
    pub const fn from_code(code: u16) -> Option<Self> {
        match code {
            1 => Some(Self::Commands),
            2 => Some(Self::Events),
            _ => None,
        }
    }
}

/// What every segment of a stream says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamIdentity {
    /// Commands or events.
    pub kind: StreamKind,
    /// `StateMachine::NAME`; 1 to 32 bytes, no NUL.
    pub machine: String,
    /// Bytes that shape what the machine does (the exchange's limits), opaque to the journal; at most 256.
    pub parameters: Vec<u8>,
}

impl StreamIdentity {
    /// An identity.
    #[must_use]
    pub fn new(kind: StreamKind, machine: &str, parameters: &[u8]) -> Self {
        Self { kind, machine: machine.to_owned(), parameters: parameters.to_vec() }
    }

    /// The same machine's other stream.
    #[must_use]
    pub fn clone_as(&self, kind: StreamKind) -> Self {
        Self { kind, ..self.clone() }
    }

    /// # Errors
    /// [`JournalError::InvalidOption`] when name or parameters do not fit a segment header.
    pub fn validate(&self) -> Result<(), JournalError> {
        let name = self.machine.as_bytes();
        if name.is_empty() || name.len() > MACHINE_NAME_LENGTH || name.contains(&0) {
            let reason =
                format!("must be 1 to {MACHINE_NAME_LENGTH} bytes without NUL, as the header has room");
            return Err(JournalError::InvalidOption { option: "machine", reason });
        }
        if self.parameters.len() > MAX_PARAMETERS_LENGTH {
            let reason = format!("must be at most {MAX_PARAMETERS_LENGTH} bytes, as the header has room");
            return Err(JournalError::InvalidOption { option: "parameters", reason });
        }
        Ok(())
    }
}

/// How a stream is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// Size of a segment file; a multiple of 4096, 64 KiB to 4 GiB. Default 64 MiB.
    pub segment_bytes: u64,
    /// Frames start at multiples of this: 8 (dense, default), 512 or 4096 (no synced sector or page is ever
    /// rewritten, for disks that may lose a sector they are rewriting when power fails).
    pub frame_alignment: u32,
    /// Longest frame in bytes; a longer record is refused, and a batch is split into frames of 64 KiB at most, whatever this
    /// is. A multiple of 4096, at most 16 MiB, and no longer than a segment has room. Default 1 MiB. Reserved once per
    /// writer.
    pub max_frame_bytes: u32,
    /// Zeros are written this far ahead of the records, so that a sync seldom has to convert unwritten extents (see
    /// `docs/decisions/0002`), for frames up to a sixteenth of this; 0 turns it off; at most 64 MiB. Default 1 MiB.
    pub zero_ahead_bytes: u32,
    /// Bytes that must stay free on the disk beyond the next segment, so that a full disk is met while there is still
    /// room to shut down in order. Default 64 MiB.
    pub reserve_bytes: u64,
    /// Whether a thread of its own prepares the next segment (allocates it, and with `zero_ahead_bytes` fills it with
    /// zeros), so that no append waits for that. Default true; false does it when a segment is begun, in an order that a
    /// simulation can repeat.
    pub prepare_on_thread: bool,
    /// Whether a full segment is synced before the next one is begun. Default true; false for a stream that is
    /// synced only at shutdown (events), whose writer must not wait.
    pub sync_on_roll: bool,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            frame_alignment: 8,
            max_frame_bytes: 1 << 20,
            zero_ahead_bytes: 1 << 20,
            reserve_bytes: 64 << 20,
            prepare_on_thread: true,
            sync_on_roll: true,
        }
    }
}

/// Smallest segment: tests fill several of them quickly.
const MIN_SEGMENT_BYTES: u64 = 64 << 10;

impl StreamOptions {
    /// The defaults for an events stream: not synced while running, because it can be rebuilt.
    #[must_use]
    pub fn for_events() -> Self {
        Self { sync_on_roll: false, zero_ahead_bytes: 0, ..Self::default() }
    }

    /// # Errors
    /// [`JournalError::InvalidOption`] naming the option and its range.
    pub fn validate(&self) -> Result<(), JournalError> {
        let refuse = |option, reason: String| Err(JournalError::InvalidOption { option, reason });
        let sizes = MIN_SEGMENT_BYTES..=(4 << 30);
        if !sizes.contains(&self.segment_bytes) || !self.segment_bytes.is_multiple_of(4096) {
            let reason = format!("{} must be a multiple of 4096 from 64 KiB to 4 GiB", self.segment_bytes);
            return refuse("segment_bytes", reason);
        }
        if ![8, 512, 4096].contains(&self.frame_alignment) {
            return refuse("frame_alignment", format!("{} must be 8, 512 or 4096", self.frame_alignment));
        }
        let room = self.segment_bytes - SEGMENT_HEADER_LENGTH as u64;
        let frame = u64::from(self.max_frame_bytes);
        if !frame.is_multiple_of(4096) || frame > MAX_FRAME_BYTES as u64 || frame > room {
            let reason = format!("{frame} must be a multiple of 4096, at most 16 MiB, and fit a segment");
            return refuse("max_frame_bytes", reason);
        }
        if frame < 4096 {
            return refuse("max_frame_bytes", format!("{frame} must be at least 4096"));
        }
        if self.zero_ahead_bytes > 64 << 20 || !self.zero_ahead_bytes.is_multiple_of(4096) {
            let reason = format!("{} must be a multiple of 4096, at most 64 MiB", self.zero_ahead_bytes);
            return refuse("zero_ahead_bytes", reason);
        }
        Ok(())
    }

    /// Longest record that a frame of these options holds.
    #[must_use]
    pub fn max_record_bytes(&self) -> usize {
        MAX_RECORD_LENGTH.min(self.max_frame_bytes as usize - FRAME_HEADER_LENGTH)
    }
}
