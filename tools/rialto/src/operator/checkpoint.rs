//! What the operator knows, in a file, so that a start from a snapshot need not read all events again.
//!
//! The file is never the truth: without it, or with one that does not check, everything is folded from the events.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use machine::{SnapshotError, SnapshotReader, SnapshotWriter, StateHasher};
use protocol::{
    CreateInstrument, InstrumentId, OrderId, SetAccountOptions, SetFeeSchedule, SetInstrumentRules,
    SetRiskLimits, SetTickTable, SetTimetable,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::Known;
use crate::settings::Setting;
use crate::timekeeper::Timekeeper;

/// Name of the file in the data folder.
const FILE: &str = "operator.checkpoint";
/// Its first eight bytes; version 1.
const MAGIC: [u8; 8] = *b"RIALTOO\x01";
/// Magic and hash.
const HEAD_BYTES: usize = 16;
/// More of anything than an exchange can have.
const MOST: usize = 1 << 30;

impl Known {
    /// Reads the checkpoint of a data folder. Without one nothing is known yet; why one is not used comes with it.
    pub fn load(data: &Path) -> (Self, Option<String>) {
        let bytes = match std::fs::read(data.join(FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (Self::default(), None),
            Err(error) => return (Self::default(), Some(error.to_string())),
        };
        match Self::from_bytes(&bytes) {
            Ok(known) => (known, None),
            Err(reason) => (Self::default(), Some(reason)),
        }
    }

    /// Writes the checkpoint: beside its place, synced, renamed.
    ///
    /// # Errors
    /// What the system says; the one that there was is untouched.
    pub fn save(&self, data: &Path) -> io::Result<()> {
        let (path, unfinished) = (data.join(FILE), data.join(format!("{FILE}.tmp")));
        let mut file = File::create(&unfinished)?;
        file.write_all(&self.to_bytes())?;
        file.sync_all()?;
        std::fs::rename(&unfinished, &path)?;
        File::open(data)?.sync_all()
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        self.write(&mut SnapshotWriter::new(&mut body));
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&hash(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let Some((head, mut body)) = bytes.split_at_checked(HEAD_BYTES) else {
            return Err("it is cut off".to_string());
        };
        if !head.starts_with(&MAGIC) {
            return Err("it is of another version".to_string());
        }
        if head[MAGIC.len()..] != hash(body).to_le_bytes() {
            return Err("it does not match its hash".to_string());
        }
        let known = Self::read(&mut SnapshotReader::new(&mut body)).map_err(|error| error.to_string())?;
        if body.is_empty() { Ok(known) } else { Err("it is longer than what it holds".to_string()) }
    }

    fn write(&self, out: &mut SnapshotWriter<'_>) {
        out.value(&[self.applied_sequence, self.last_timestamp_ns]);
        out.rows(&self.assets.iter().copied().collect::<Vec<_>>());
        out.rows(&self.accounts.iter().copied().collect::<Vec<_>>());
        out.rows(&self.instruments);
        let deposits = self.opening_deposits.iter().map(|&(account, asset)| [account.0, asset]);
        out.rows(&deposits.collect::<Vec<[u32; 2]>>());
        write_settings(
            out,
            self.settings.iter(),
            |it| if let Setting::Rules(it) = it { Some(*it) } else { None },
        );
        write_settings(
            out,
            self.settings.iter(),
            |it| if let Setting::Ticks(it) = it { Some(*it) } else { None },
        );
        write_settings(
            out,
            self.settings.iter(),
            |it| if let Setting::Fees(it) = it { Some(*it) } else { None },
        );
        write_settings(out, self.settings.iter(), |it| {
            if let Setting::Timetable(it) = it { Some(*it) } else { None }
        });
        write_settings(out, self.settings.iter(), |it| {
            if let Setting::Options(it) = it { Some(*it) } else { None }
        });
        write_settings(
            out,
            self.settings.iter(),
            |it| if let Setting::Risk(it) = it { Some(*it) } else { None },
        );
        let (instruments, expiring, work_left) = self.timekeeper.to_parts();
        instruments.iter().for_each(|ids| out.rows(ids));
        out.rows(&expiring);
        out.flag(work_left);
    }

    fn read(input: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        let mut known = Self::default();
        [known.applied_sequence, known.last_timestamp_ns] = input.value()?;
        known.assets = rows::<u32>(input)?.into_iter().collect();
        known.accounts = rows(input)?.into_iter().collect();
        known.instruments = rows::<CreateInstrument>(input)?;
        let deposits = rows::<[u32; 2]>(input)?;
        known.opening_deposits =
            deposits.into_iter().map(|[account, asset]| (protocol::AccountId(account), asset)).collect();
        let settings = &mut known.settings;
        rows::<SetInstrumentRules>(input)?.into_iter().for_each(|it| settings.restore(Setting::Rules(it)));
        rows::<SetTickTable>(input)?.into_iter().for_each(|it| settings.restore(Setting::Ticks(it)));
        rows::<SetFeeSchedule>(input)?.into_iter().for_each(|it| settings.restore(Setting::Fees(it)));
        rows::<SetTimetable>(input)?.into_iter().for_each(|it| settings.restore(Setting::Timetable(it)));
        rows::<SetAccountOptions>(input)?.into_iter().for_each(|it| settings.restore(Setting::Options(it)));
        rows::<SetRiskLimits>(input)?.into_iter().for_each(|it| settings.restore(Setting::Risk(it)));
        let instruments = [rows::<InstrumentId>(input)?, rows(input)?];
        let expiring = rows::<OrderId>(input)?;
        let work_left = input.flag("a mark that cannot be")?;
        known.timekeeper = Timekeeper::from_parts(instruments, expiring, work_left);
        Ok(known)
    }
}

fn write_settings<'a, T: IntoBytes + Immutable>(
    out: &mut SnapshotWriter<'_>,
    settings: impl Iterator<Item = &'a Setting>,
    of_kind: impl Fn(&Setting) -> Option<T>,
) {
    out.rows(&settings.filter_map(of_kind).collect::<Vec<T>>());
}

fn rows<T: FromBytes + IntoBytes + Clone>(input: &mut SnapshotReader<'_>) -> Result<Vec<T>, SnapshotError> {
    let mut rows = Vec::new();
    for _ in 0..input.count("rows", MOST)? {
        rows.push(input.value()?);
    }
    Ok(rows)
}

fn hash(body: &[u8]) -> u64 {
    let mut hasher = StateHasher::new();
    hasher.write(body);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::AccountId;

    fn known() -> Known {
        let mut known = Known { applied_sequence: 77, last_timestamp_ns: 5, ..Known::default() };
        known.assets.extend([1, 9]);
        known.accounts.extend([AccountId(2), AccountId(3)]);
        known.instruments.push(CreateInstrument { instrument: 4, ..CreateInstrument::default() });
        known.opening_deposits.insert((AccountId(2), 9));
        let instrument = 4;
        let settings = [
            Setting::Rules(SetInstrumentRules { instrument, round_lot_lots: 5, ..Default::default() }),
            Setting::Ticks(SetTickTable { instrument, count: 1, ..Default::default() }),
            Setting::Fees(SetFeeSchedule { instrument, count: 2, ..Default::default() }),
            Setting::Timetable(SetTimetable { instrument, closed_ns: 3, ..Default::default() }),
            Setting::Options(SetAccountOptions {
                account: AccountId(3),
                max_orders: 6,
                ..Default::default()
            }),
            Setting::Risk(SetRiskLimits { instrument, max_open_orders: 7, ..Default::default() }),
        ];
        settings.into_iter().for_each(|setting| known.settings.restore(setting));
        known.timekeeper = Timekeeper::from_parts([vec![4], vec![5]], vec![OrderId::new(1, 2)], true);
        known
    }

    #[test]
    fn what_is_saved_is_loaded_again() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Known::load(folder.path()), (Known::default(), None));
        known().save(folder.path()).expect("saved");
        assert_eq!(Known::load(folder.path()), (known(), None));
    }

    #[test]
    fn every_flipped_byte_and_every_length_is_refused_aloud() {
        let folder = tempfile::tempdir().expect("a folder");
        let bytes = known().to_bytes();
        let refused = |bytes: &[u8]| {
            std::fs::write(folder.path().join(FILE), bytes).expect("written");
            let (loaded, reason) = Known::load(folder.path());
            loaded == Known::default() && reason.is_some()
        };
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(refused(&flipped), "byte {at}");
            assert!(refused(&bytes[..at]), "length {at}");
        }
        assert!(!refused(&bytes));
    }
}
