//! Where a feed sends its commands and reads its events.

use machine::{Record, Source};

/// The way to the exchange is gone: the pipeline stopped or its reader was overrun.
#[derive(Debug, thiserror::Error)]
#[error("the exchange cannot be reached: {0}")]
pub struct VenueError(pub String);

/// An exchange behind whatever pipeline: a ring and a sequencer, or a machine stepped in place.
///
/// Contract: commands are sequenced in the order in which they were sent, and every command is answered, by events
/// with this venue's [`Source`] of which the last one is marked. Events of other sources may come in between.
pub trait Venue {
    /// The source that this venue's commands carry; nobody else may send with it meanwhile.
    fn source(&self) -> Source;

    /// Hands over one command: its kind and its body. `false` when there is no room now: poll, then try again.
    ///
    /// # Errors
    /// [`VenueError`] when it can never be sent.
    fn send(&mut self, kind: u16, body: &[u8]) -> Result<bool, VenueError>;

    /// Passes the events that have arrived to `handler`, in journal order, and says how many there were. Should
    /// return soon; it may wait a little when there are none, since the caller has nothing else to do.
    ///
    /// # Errors
    /// [`VenueError`] when events were lost or will never come.
    fn poll(&mut self, handler: &mut dyn FnMut(Record<'_>)) -> Result<usize, VenueError>;
}
