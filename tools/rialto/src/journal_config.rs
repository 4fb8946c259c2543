//! The configuration's `[journal]`: how commands gather for one sync of the disk.

use serde::Deserialize;

/// As it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileJournal {
    batch_bytes: Option<usize>,
    batch_wait_us: Option<u64>,
}

/// How commands gather before they are synced together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalBatch {
    /// Most bytes of commands that gather while a sync runs; 4096 to [`MAX_BATCH_BYTES`].
    pub bytes: usize,
    /// Microseconds that a sync waits for more commands; 0 to [`MAX_BATCH_WAIT_US`].
    pub wait_us: u64,
}

/// Smallest batch: what the disk writes at least.
const MIN_BATCH_BYTES: usize = 4096;
/// Half the ring that commands wait in: 8 MiB.
const MAX_BATCH_BYTES: usize = 8 << 20;
/// A tenth of a second, which every command may then have to wait.
const MAX_BATCH_WAIT_US: u64 = sequencer::MAX_JOURNAL_WAIT_NS / 1000;

impl FileJournal {
    /// Fills in the defaults.
    ///
    /// # Errors
    /// Field and reason.
    pub fn check(&self) -> Result<JournalBatch, (&'static str, String)> {
        let bytes = self.batch_bytes.unwrap_or(1 << 20);
        if !(MIN_BATCH_BYTES..=MAX_BATCH_BYTES).contains(&bytes) {
            let reason = format!(
                "{bytes} must be {MIN_BATCH_BYTES} to {MAX_BATCH_BYTES}: half the ring that commands wait in"
            );
            return Err(("journal.batch_bytes", reason));
        }
        let wait_us = self.batch_wait_us.unwrap_or(0);
        if wait_us > MAX_BATCH_WAIT_US {
            let reason =
                format!("{wait_us} must be 0 to {MAX_BATCH_WAIT_US}: every command may have to wait so long");
            return Err(("journal.batch_wait_us", reason));
        }
        Ok(JournalBatch { bytes, wait_us })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, DEFAULT};

    #[test]
    fn the_batch_of_a_sync_has_bounds_and_a_default() {
        let default = JournalBatch { bytes: 1 << 20, wait_us: 0 };
        assert_eq!(Config::load(None).unwrap().journal, default);
        let without = DEFAULT.replace("[journal]\nbatch_bytes = 1048576\nbatch_wait_us = 0\n", "");
        assert!(without.len() < DEFAULT.len());
        assert_eq!(Config::parse(&without, "test.toml").unwrap().journal, default);
        for (from, to, field) in [
            ("batch_bytes = 1048576", "batch_bytes = 4095", "journal.batch_bytes"),
            ("batch_bytes = 1048576", "batch_bytes = 8388609", "journal.batch_bytes"),
            ("batch_wait_us = 0", "batch_wait_us = 100001", "journal.batch_wait_us"),
        ] {
            assert!(DEFAULT.contains(from), "{from}");
            let parsed = Config::parse(&DEFAULT.replacen(from, to, 1), "test.toml");
            let error = parsed.err().expect("out of range").to_string();
            assert!(error.contains(field) && error.contains("must be"), "{error}");
        }
    }
}
