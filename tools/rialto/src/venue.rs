//! The pipeline as a feed sees it: commands into a ring, events out through the gate.

use std::time::Duration;

use machine::{Record, Source};
use sequencer::{EventReader, Ingress, Running, SendError};
use simulator::{Venue, VenueError};

use crate::output::DISK_FULL;

/// Gateway number of a feed.
pub const GATEWAY: u16 = 1;

/// Events taken in one go.
const EVENTS_PER_POLL: usize = 4096;

/// How long an empty poll waits: the journal's sync is in this order of time.
const EMPTY_WAIT: Duration = Duration::from_micros(50);

/// A running pipeline with one ring into it and one reader of its events.
pub struct PipelineVenue<'a> {
    /// Into the sequencer.
    pub ingress: Ingress,
    /// Out of the gate.
    pub events: EventReader,
    /// To notice that it has stopped.
    pub running: &'a Running,
}

impl Venue for PipelineVenue<'_> {
    fn source(&self) -> Source {
        Source { gateway: GATEWAY, session: 1 }
    }

    fn send(&mut self, kind: u16, body: &[u8]) -> Result<bool, VenueError> {
        if self.ingress.is_disk_full() {
            return Err(VenueError(DISK_FULL.to_string()));
        }
        match self.ingress.try_send_bytes(1, kind, 1, body) {
            Ok(()) => Ok(true),
            Err(SendError::Full) => Ok(false),
            Err(error) => Err(VenueError(error.to_string())),
        }
    }

    fn poll(&mut self, handler: &mut dyn FnMut(Record<'_>)) -> Result<usize, VenueError> {
        let count =
            self.events.poll(EVENTS_PER_POLL, handler).map_err(|error| VenueError(error.to_string()))?;
        if count == 0 {
            if let Some(fault) = self.running.fault() {
                return Err(VenueError(fault.to_string()));
            }
            std::thread::park_timeout(EMPTY_WAIT);
        }
        Ok(count)
    }
}
