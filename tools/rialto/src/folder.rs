//! The data folder, as tools find it: which machine wrote it, and with which limits.

use std::path::Path;

use exchange::Exchange;
use machine::StateMachine;
use protocol::Limits;
use sequencer::{AgentName, Durability, IdleStrategy, PipelineConfig};
use zerocopy::{FromBytes, IntoBytes};

use crate::journal_config::JournalBatch;
use crate::output::Failure;

/// Limits as they stand in a journal segment's parameters.
pub fn parameters(limits: &Limits) -> &[u8] {
    limits.as_bytes()
}

/// The pipeline of an exchange with these limits, with defaults for all else.
pub fn pipeline_config(durability: Durability, limits: &Limits) -> PipelineConfig {
    PipelineConfig { durability, parameters: parameters(limits).to_vec(), ..PipelineConfig::default() }
}

/// Sets how commands gather before they are synced together. The sync thread looks often enough to keep the wait.
pub fn set_batch(config: &mut PipelineConfig, batch: JournalBatch) {
    config.limits.journal_bytes = batch.bytes;
    config.limits.journal_wait_ns = batch.wait_us * 1000;
    if batch.wait_us == 0 {
        return;
    }
    let park_ns = sequencer::SYNC_PARK_NS.min(config.limits.journal_wait_ns / 2).max(1);
    for thread in config.threads.iter_mut().filter(|thread| thread.agents == [AgentName::Sync]) {
        thread.idle = IdleStrategy::Park { park_ns };
    }
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

/// The limits of the exchange whose journal is in `dir`.
///
/// # Errors
/// No journal, a journal of another machine, or one that cannot be read.
pub fn required_limits(dir: &Path) -> Result<Limits, Failure> {
    limits(dir)?.ok_or_else(|| {
        let folder = dir.display();
        Failure::system(format!("{folder} holds no journal; `rialto serve --data {folder}` makes one"))
    })
}

/// An empty exchange of the same limits as the one whose journal is in `dir`.
///
/// # Errors
/// As for [`required_limits`].
pub fn empty_exchange(dir: &Path) -> Result<Exchange, Failure> {
    Exchange::new(required_limits(dir)?).map_err(Failure::system)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sync_idle(config: &PipelineConfig) -> IdleStrategy {
        config.threads.iter().find(|thread| thread.agents == [AgentName::Sync]).unwrap().idle
    }

    #[test]
    fn the_sync_thread_looks_often_enough_to_keep_the_wait() {
        let mut config = PipelineConfig::default();
        set_batch(&mut config, JournalBatch { bytes: 5000, wait_us: 0 });
        assert_eq!((config.limits.journal_bytes, config.limits.journal_wait_ns), (5000, 0));
        assert_eq!(sync_idle(&config), IdleStrategy::Park { park_ns: sequencer::SYNC_PARK_NS });
        set_batch(&mut config, JournalBatch { bytes: 5000, wait_us: 80 });
        assert_eq!(config.limits.journal_wait_ns, 80_000);
        assert_eq!(sync_idle(&config), IdleStrategy::Park { park_ns: 40_000 });
    }
}
