//! The data folder, as tools find it: which machine wrote it, and with which limits.

use std::path::Path;

use exchange::Exchange;
use machine::StateMachine;
use protocol::Limits;
use sequencer::{Durability, PipelineConfig};
use zerocopy::{FromBytes, IntoBytes};

use crate::output::Failure;

/// Limits as they stand in a journal segment's parameters.
pub fn parameters(limits: &Limits) -> &[u8] {
    limits.as_bytes()
}

/// The pipeline of an exchange with these limits, with defaults for all else.
pub fn pipeline_config(durability: Durability, limits: &Limits) -> PipelineConfig {
    let mut config =
        PipelineConfig { durability, parameters: parameters(limits).to_vec(), ..PipelineConfig::default() };
    // Only with `disk` does anyone wait for a sync; the others need not wait for 64 MiB at the end of a segment.
    config.commands.sync_on_roll = durability == Durability::Disk;
    config
}

/// The limits of the exchange whose journal is in `dir`; `None` where there is no journal yet.
///
/// # Errors
/// A journal of another machine, or one that cannot be read.
pub fn limits(dir: &Path) -> Result<Option<Limits>, Failure> {
    let identity = match journal::stream_identity(&dir.join(journal::COMMANDS_FOLDER)) {
        Ok(identity) => identity,
        Err(journal::JournalError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(Failure::system(error)),
    };
    if identity.machine != <Exchange as StateMachine>::NAME {
        let found = identity.machine;
        return Err(Failure::system(format!(
            "{} is the journal of `{found}`, not of an exchange",
            dir.display()
        )));
    }
    let limits = Limits::read_from_bytes(&identity.parameters).ok();
    let limits = limits.filter(|limits| exchange::check_limits(limits).is_ok());
    limits.map(Some).ok_or_else(|| {
        Failure::system(format!("{} has table sizes that this version does not know", dir.display()))
    })
}

/// An empty exchange of the same limits as the one whose journal is in `dir`.
///
/// # Errors
/// No journal, a journal of another machine, or one that cannot be read.
pub fn empty_exchange(dir: &Path) -> Result<Exchange, Failure> {
    let Some(limits) = limits(dir)? else {
        let folder = dir.display();
        return Err(Failure::system(format!(
            "{folder} holds no journal; `rialto serve --data {folder}` makes one"
        )));
    };
    Exchange::new(limits).map_err(Failure::system)
}
