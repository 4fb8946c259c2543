//! The log behind the sequencer.

/// Why a log does not take a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Its buffer is full for now: try the same batch again in a later duty cycle.
    #[error("the command log is behind: try again")]
    Backpressure,
    /// It met an error and takes nothing more: the process must stop taking commands.
    #[error("the command log has stopped after an error")]
    Stopped,
}

/// Where sequenced commands are made safe before anything that they cause may leave the process.
///
/// A trait because the local journal is only the first such log: a replicated one (one consensus entry per batch, the
/// journal as its store) has the same two questions to answer, and the sequencer and the gate must not change for
/// it. Appending and committing are apart, so that one sync, or one round to a majority, covers all the batches that
/// came while the last one ran.
pub trait CommandLog {
    /// Takes a batch: whole padded records back to back, contiguous, ending with `last_sequence`. All or nothing;
    /// returns without waiting for the disk or a network.
    ///
    /// # Errors
    /// [`LogError`]; the batch was not taken.
    fn append(&mut self, batch: &[u8], last_sequence: u64) -> Result<(), LogError>;

    /// The last sequence that is as safe as the configuration promises; never decreases.
    fn committed(&self) -> u64;
}
