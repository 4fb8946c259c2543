//! Checkpoints: the orders of a gateway as they stood after some command, in files.
//!
//! One file each, `<sequence>.checkpoint`, written under another name, synced and renamed:
//!
//! ```text
//!  0          8        12      16       24       32          40       48         56      56+n
//!  ├──────────┼────────┼───────┼────────┼────────┼───────────┼────────┼──────────┼───────┼────────┐
//!  │ RIALTOCK │ format │gateway│ layout │sequence│ time ns   │ limit  │ length n │ state │ crc32c │
//!  └──────────┴────────┴───────┴────────┴────────┴───────────┴────────┴──────────┴───────┴────────┘
//! ```
//!
//! The state begins with the accounts of the sessions in their order: of other sessions it would be another. The time is
//! that of the command with the sequence, by which a checkpoint of another journal is told. The checksum covers all
//! before it. Whatever is wrong with a checkpoint, it is never needed: an older one or the journal's start will do.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use journal::{DiskStorage, Storage as _, StreamOptions};
use protocol::AccountId;

use super::{Saved as _, saved::mix};
use crate::orders::Orders;

const MAGIC: [u8; 8] = *b"RIALTOCK";
const FORMAT: u32 = 1;
const HEADER: usize = 56;
/// The newest of them are kept whatever their distance.
const NEWEST: usize = 2;
/// Below this distance from the newest one more is enough. Beyond it one is kept for each doubling of the distance: a
/// report of long ago is not made from the start.
const NEAR_COMMANDS: u64 = 1 << 16;
const ENDING: &str = "checkpoint";

/// What a checkpoint must have been written for.
#[derive(Clone, Debug)]
pub(crate) struct Purpose {
    pub(crate) gateway: u16,
    /// Of the sessions, in their order.
    pub(crate) accounts: Vec<AccountId>,
    /// Ended orders that are remembered.
    pub(crate) done_orders: usize,
}

impl Purpose {
    /// Orders before the first event.
    pub(crate) fn no_orders(&self) -> Orders {
        Orders::new(self.gateway, &self.accounts, self.done_orders)
    }
}

/// What a checkpoint holds.
pub(crate) struct Checkpoint {
    pub(crate) orders: Orders,
    /// The last command whose events they have seen.
    pub(crate) sequence: u64,
    /// Its time.
    pub(crate) timestamp_ns: u64,
}

/// The checkpoints in a folder.
pub(crate) struct Checkpoints {
    folder: PathBuf,
    purpose: Purpose,
    /// Their sequences, ascending.
    known: Vec<u64>,
}

impl Checkpoints {
    /// Those that are there; the folder need not be.
    pub(crate) fn list(folder: &Path, purpose: Purpose) -> Self {
        let mut known = Vec::new();
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
            match path.extension() {
                Some(ending) if ending == ENDING => known.extend(stem),
                // Left behind by a process that was killed while it wrote.
                Some(ending) if ending == "writing" => drop(std::fs::remove_file(&path)),
                _ => {}
            }
        }
        known.sort_unstable();
        Self { folder: folder.to_owned(), purpose, known }
    }

    /// What they are for.
    pub(crate) fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// Sequence of the newest one.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.known.last().copied()
    }

    /// Sequence of the newest one below `sequence`.
    pub(crate) fn newest_below(&self, sequence: u64) -> Option<u64> {
        let at = self.known.partition_point(|it| *it < sequence);
        at.checked_sub(1).map(|at| self.known[at])
    }

    fn path(&self, sequence: u64) -> PathBuf {
        self.folder.join(format!("{sequence:020}.{ENDING}"))
    }

    /// Reads one.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(crate) fn load(&self, sequence: u64) -> Result<Checkpoint, String> {
        let bytes = std::fs::read(self.path(sequence)).map_err(|error| error.to_string())?;
        let checkpoint = parse(&bytes, &self.purpose)?;
        if checkpoint.sequence == sequence {
            Ok(checkpoint)
        } else {
            Err("its name and its content differ".to_owned())
        }
    }

    /// Removes one that is of no use.
    pub(crate) fn remove(&mut self, sequence: u64) {
        self.known.retain(|it| *it != sequence);
        // Only derived data: one that cannot be removed is refused again next time.
        let _ = std::fs::remove_file(self.path(sequence));
    }

    /// A checkpoint can be made again: it leaves alone what the journal keeps free for what cannot.
    fn check_room(&self, bytes: u64) -> io::Result<()> {
        let free = DiskStorage.free_space(&self.folder)?;
        if free >= StreamOptions::default().reserve_bytes.saturating_add(bytes) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::StorageFull, format!("only {free} bytes are free on the disk")))
    }

    /// Writes one, and removes those that are too many.
    ///
    /// # Errors
    /// What the system says; nothing has changed then.
    pub(crate) fn write(&mut self, orders: &Orders, sequence: u64, timestamp_ns: u64) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let bytes = encode(orders, &self.purpose, sequence, timestamp_ns);
        self.check_room(bytes.len() as u64)?;
        let temporary = self.path(sequence).with_extension("writing");
        let mut file = File::create(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, self.path(sequence))?;
        File::open(&self.folder)?.sync_all()?;
        self.known.retain(|it| *it != sequence);
        self.known.push(sequence);
        self.known.sort_unstable();
        for unused in too_many(&self.known) {
            self.remove(unused);
        }
        Ok(())
    }
}

/// Which of these, in ascending order, are not kept: of those at about the same distance the oldest is, so that it
/// lives to be twice as far away.
fn too_many(known: &[u64]) -> Vec<u64> {
    let newest = known.last().copied().unwrap_or_default();
    let range = |sequence: u64| (newest - sequence).max(NEAR_COMMANDS).ilog2();
    let newer = known.len().saturating_sub(NEWEST);
    let older = known[..newer].windows(2).filter(|pair| range(pair[0]) == range(pair[1]));
    older.map(|pair| pair[1]).collect()
}

fn layout() -> u64 {
    Orders::LAYOUT ^ mix(Vec::<AccountId>::LAYOUT, "accounts")
}

fn encode(orders: &Orders, purpose: &Purpose, sequence: u64, timestamp_ns: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    FORMAT.save(&mut bytes);
    u32::from(purpose.gateway).save(&mut bytes);
    for number in [layout(), sequence, timestamp_ns, purpose.done_orders as u64, 0] {
        number.save(&mut bytes);
    }
    purpose.accounts.save(&mut bytes);
    orders.save(&mut bytes);
    let length = (bytes.len() - HEADER) as u64;
    bytes[HEADER - 8..HEADER].copy_from_slice(&length.to_le_bytes());
    crc32c::crc32c(&bytes).save(&mut bytes);
    bytes
}

fn parse(bytes: &[u8], purpose: &Purpose) -> Result<Checkpoint, String> {
    let (all, checksum) = bytes.split_last_chunk().ok_or("it is cut off")?;
    let mut rest = all.strip_prefix(&MAGIC).ok_or("it is no checkpoint of a gateway")?;
    let input = &mut rest;
    let mut number = || u64::load(input).ok_or("it is cut off");
    let (format_and_gateway, layout_found) = (number()?, number()?);
    let (sequence, timestamp_ns, done_orders, length) = (number()?, number()?, number()?, number()?);
    let format = format_and_gateway as u32;
    if format != FORMAT {
        return Err(format!("it is of format {format}, this program writes {FORMAT}"));
    }
    if layout_found != layout() {
        return Err("another version of this program wrote it".to_owned());
    }
    if input.len() as u64 != length || crc32c::crc32c(all) != u32::from_le_bytes(*checksum) {
        return Err("it is damaged".to_owned());
    }
    let accounts = Vec::<AccountId>::load(input).ok_or("it is damaged")?;
    let same = format_and_gateway >> 32 == u64::from(purpose.gateway)
        && accounts == purpose.accounts
        && done_orders == purpose.done_orders as u64;
    if !same {
        return Err("it is of another gateway, or of other users".to_owned());
    }
    let orders =
        Orders::load(input, purpose.gateway, &accounts, purpose.done_orders).filter(|_| input.is_empty());
    let orders = orders.ok_or("it is damaged")?;
    Ok(Checkpoint { orders, sequence, timestamp_ns })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purpose() -> Purpose {
        Purpose { gateway: 1, accounts: vec![AccountId(2), AccountId(3)], done_orders: 10 }
    }

    fn folder_with_one() -> (tempfile::TempDir, Checkpoints) {
        let folder = tempfile::tempdir().unwrap();
        let mut checkpoints = Checkpoints::list(folder.path(), purpose());
        checkpoints.write(&purpose().no_orders(), 7, 70).unwrap();
        (folder, checkpoints)
    }

    #[test]
    fn what_was_written_is_read_again() {
        let (folder, checkpoints) = folder_with_one();
        let checkpoint = checkpoints.load(7).unwrap();
        assert_eq!((checkpoint.sequence, checkpoint.timestamp_ns, checkpoint.orders.len()), (7, 70, 0));
        std::fs::write(folder.path().join("00000000000000000009.writing"), b"half").unwrap();
        let again = Checkpoints::list(folder.path(), purpose());
        assert_eq!((again.newest(), again.newest_below(7), again.newest_below(8)), (Some(7), None, Some(7)));
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "what a killed process left is gone"
        );
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let (folder, checkpoints) = folder_with_one();
        let path = checkpoints.path(7);
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 4;
            std::fs::write(&path, &bad).unwrap();
            assert!(checkpoints.load(7).is_err(), "byte {at}");
            std::fs::write(&path, &good[..at]).unwrap();
            assert!(checkpoints.load(7).is_err(), "cut at {at}");
        }
        drop(folder);
    }

    #[test]
    fn one_that_was_written_for_something_else_is_refused() {
        let (folder, _) = folder_with_one();
        for other in [
            Purpose { gateway: 2, ..purpose() },
            Purpose { accounts: vec![AccountId(3), AccountId(2)], ..purpose() },
            Purpose { done_orders: 11, ..purpose() },
        ] {
            let reason = Checkpoints::list(folder.path(), other).load(7).err().unwrap();
            assert_eq!(reason, "it is of another gateway, or of other users");
        }
        let path = folder.path().join(format!("{:020}.{ENDING}", 7));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[16] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let reason = Checkpoints::list(folder.path(), purpose()).load(7).err().unwrap();
        assert_eq!(reason, "another version of this program wrote it");
    }

    #[test]
    fn older_checkpoints_are_kept_at_doubling_distances() {
        let mut known = Vec::new();
        for step in 1..=10_000 {
            known.push(step * NEAR_COMMANDS);
            let unused = too_many(&known);
            known.retain(|it| !unused.contains(it));
            for back in (2..step).filter(|back| back.is_power_of_two()) {
                let range =
                    u64::saturating_sub(step, 2 * back) * NEAR_COMMANDS..=(step - back) * NEAR_COMMANDS;
                assert!(known.iter().any(|it| range.contains(it)), "{step}: none {back} back: {known:?}");
            }
            assert!(known.len() <= NEWEST + 15, "{known:?}");
        }
        assert_eq!(known[known.len() - NEWEST..], [9_999 * NEAR_COMMANDS, 10_000 * NEAR_COMMANDS]);
    }
}
