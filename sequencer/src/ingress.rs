//! A gateway's way in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use journal::SpaceWatch;
use machine::{Body, RecordHeader, Source};

use crate::agent::Fault;
use crate::ring::spsc::Producer;
use crate::ring::{PushError, RingError};

/// First record kind that is an event.
pub(crate) const FIRST_EVENT_KIND: u16 = 0x8000;

/// Why a command was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The ring is full: the sequencer is behind. Try again later, or tell the client to.
    #[error("the sequencer is behind: try again")]
    Full,
    /// The pipeline is shutting down, or has met an error and takes no more commands.
    #[error("no more commands are taken")]
    Closed,
    /// Kind 0, or one of an event.
    #[error("record kind {0} is not a command's: they are 1 to 32767")]
    NotACommand(u16),
    /// Longer than a record may be.
    #[error("command of {length} bytes is longer than {max}")]
    TooLong {
        /// Bytes, header included.
        length: usize,
        /// Most that the ring takes.
        max: usize,
    },
    /// The ring is corrupt.
    #[error(transparent)]
    Ring(RingError),
}

/// The producer of one gateway's ring. What it sends has no sequence and no time yet; the gateway's number is the
/// ring's, whatever the record says.
pub struct Ingress {
    producer: Producer,
    gateway: u16,
    closed: Arc<AtomicBool>,
    /// Of both streams.
    spaces: [SpaceWatch; 2],
    fault: Fault,
}

impl Ingress {
    pub(crate) fn new(
        producer: Producer,
        gateway: u16,
        closed: Arc<AtomicBool>,
        spaces: [SpaceWatch; 2],
        fault: Fault,
    ) -> Self {
        Self { producer, gateway, closed, spaces, fault }
    }

    /// Whether the disk has no room for another segment and the current one is half full. What opens new business
    /// should be refused by name until this ends; what closes it (a cancel) may still be sent. Whoever sends on is held
    /// back by [`SendError::Full`] in the end, and loses nothing.
    #[inline]
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        self.spaces.iter().any(SpaceWatch::is_short)
    }

    /// Number of the gateway.
    #[must_use]
    pub fn gateway(&self) -> u16 {
        self.gateway
    }

    /// Sends a command of fixed layout. It has been taken when its events arrive, not before.
    ///
    /// # Errors
    /// [`SendError`]; the command was not taken.
    #[inline]
    pub fn try_send<T: Body>(&mut self, session: u16, command: &T) -> Result<(), SendError> {
        self.try_send_bytes(session, T::KIND, T::SCHEMA_VERSION, command.as_bytes())
    }

    /// Sends a command whose body another codec has encoded.
    ///
    /// # Errors
    /// [`SendError`]; the command was not taken.
    #[inline]
    pub fn try_send_bytes(
        &mut self,
        session: u16,
        kind: u16,
        schema_version: u8,
        body: &[u8],
    ) -> Result<(), SendError> {
        if self.closed.load(Ordering::Relaxed) || self.fault.is_raised() {
            return Err(SendError::Closed);
        }
        if kind == 0 || kind >= FIRST_EVENT_KIND {
            return Err(SendError::NotACommand(kind));
        }
        let source = Source { gateway: self.gateway, session };
        let header = RecordHeader { kind, schema_version, source, ..RecordHeader::default() };
        self.producer.try_push(&header, body).map_err(|error| match error {
            PushError::Full => SendError::Full,
            PushError::TooLong { length, max } => SendError::TooLong { length, max },
            PushError::Ring(error) => SendError::Ring(error),
        })
    }
}
