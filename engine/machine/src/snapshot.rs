//! Writing a machine's whole state down and taking it up again.
//!
//! A snapshot is never the truth: it saves executing the journal from its beginning. So it must be exact. The machine that
//! takes one up gives the same events for the same commands as the one that wrote it, byte for byte, and has the same
//! state hash. How tables lie in memory is nobody's business but the machine's: indexes are built anew.

use core::fmt;

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

use crate::StateMachine;

/// A machine whose state can be written down and taken up again.
pub trait Snapshot: StateMachine {
    /// Version of what [`Snapshot::write_snapshot`] writes; raised with every change of it.
    const SNAPSHOT_VERSION: u32;

    /// Writes the whole state. Equal states give equal bytes.
    fn write_snapshot(&self, out: &mut SnapshotWriter<'_>);

    /// Takes up a state, into a machine that is new and has the same parameters. The bytes have been checked against
    /// damage; the caller compares the state hash afterwards, and drops the machine after an error.
    ///
    /// # Errors
    /// A version that is not known and cannot be migrated, or bytes that no machine has written.
    fn read_snapshot(&mut self, version: u32, input: &mut SnapshotReader<'_>) -> Result<(), SnapshotError>;
}

/// Where a snapshot goes. It remembers its first failure; the machine does not hear of it.
pub trait SnapshotSink {
    /// Takes the next bytes.
    fn put(&mut self, bytes: &[u8]);
}

/// Where a snapshot comes from.
pub trait SnapshotSource {
    /// Fills all of `into` with the next bytes; false when there are fewer, or they cannot be read.
    fn fill(&mut self, into: &mut [u8]) -> bool;
}

/// Why a state is not taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// Written by a version of the machine that this program does not know.
    UnknownVersion {
        /// Its version.
        found: u32,
        /// What this program reads.
        known: u32,
    },
    /// The bytes end before the state does.
    TooShort,
    /// More of something than the machine's limits allow, or than there is.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        found: u64,
        /// How many there may be.
        most: u64,
    },
    /// Something that no machine writes.
    Invalid(&'static str),
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownVersion { found, known } => {
                write!(f, "the state has version {found}, this program reads {known}")
            }
            Self::TooShort => write!(f, "the state is cut off"),
            Self::TooMany { what, found, most } => write!(f, "{found} {what}, where {most} are the most"),
            Self::Invalid(what) => write!(f, "the state has {what}"),
        }
    }
}

impl core::error::Error for SnapshotError {}

/// Writes values one after the other, without gaps.
pub struct SnapshotWriter<'a>(&'a mut dyn SnapshotSink);

impl<'a> SnapshotWriter<'a> {
    /// Into a sink.
    pub fn new(sink: &'a mut dyn SnapshotSink) -> Self {
        Self(sink)
    }

    /// Writes an integer or a record, as its little-endian bytes; a slice without its length.
    pub fn value<T: IntoBytes + Immutable + ?Sized>(&mut self, value: &T) {
        self.0.put(value.as_bytes());
    }

    /// Writes how many rows follow.
    pub fn count(&mut self, count: usize) {
        self.value(&(count as u64));
    }

    /// Writes a slice with its length.
    pub fn rows<T: IntoBytes + Immutable>(&mut self, rows: &[T]) {
        self.count(rows.len());
        self.value(rows);
    }

    /// Writes a truth value as one byte.
    pub fn flag(&mut self, flag: bool) {
        self.value(&u8::from(flag));
    }

    /// Writes one byte that says whether there is a value, then the value.
    pub fn option<T: IntoBytes + Immutable>(&mut self, value: Option<&T>) {
        self.flag(value.is_some());
        if let Some(value) = value {
            self.value(value);
        }
    }
}

/// Reads what a [`SnapshotWriter`] wrote.
pub struct SnapshotReader<'a>(&'a mut dyn SnapshotSource);

impl<'a> SnapshotReader<'a> {
    /// From a source.
    pub fn new(source: &'a mut dyn SnapshotSource) -> Self {
        Self(source)
    }

    /// Reads an integer or a record.
    ///
    /// # Errors
    /// [`SnapshotError::TooShort`].
    pub fn value<T: FromBytes + IntoBytes>(&mut self) -> Result<T, SnapshotError> {
        let mut value = T::new_zeroed();
        self.fill(core::slice::from_mut(&mut value))?;
        Ok(value)
    }

    /// Fills a slice.
    ///
    /// # Errors
    /// [`SnapshotError::TooShort`].
    pub fn fill<T: FromBytes + IntoBytes>(&mut self, into: &mut [T]) -> Result<(), SnapshotError> {
        if self.0.fill(into.as_mut_bytes()) { Ok(()) } else { Err(SnapshotError::TooShort) }
    }

    /// Reads how many rows follow.
    ///
    /// # Errors
    /// [`SnapshotError::TooMany`] above `most`, so that nothing is reserved for a number that cannot be.
    pub fn count(&mut self, what: &'static str, most: usize) -> Result<usize, SnapshotError> {
        let found: u64 = self.value()?;
        match usize::try_from(found) {
            Ok(count) if count <= most => Ok(count),
            _ => Err(SnapshotError::TooMany { what, found, most: most as u64 }),
        }
    }

    /// Appends rows to a vector, `most` at the most.
    ///
    /// # Errors
    /// As for [`SnapshotReader::count`] and [`SnapshotReader::fill`].
    pub fn rows<T: FromBytes + IntoBytes + FromZeros + Clone>(
        &mut self,
        what: &'static str,
        most: usize,
        into: &mut alloc::vec::Vec<T>,
    ) -> Result<(), SnapshotError> {
        let count = self.count(what, most)?;
        let before = into.len();
        into.resize(before + count, T::new_zeroed());
        self.fill(into.get_mut(before..).unwrap_or_default())
    }

    /// Reads a truth value.
    ///
    /// # Errors
    /// A byte that is neither 0 nor 1.
    pub fn flag(&mut self, what: &'static str) -> Result<bool, SnapshotError> {
        match self.value::<u8>()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(SnapshotError::Invalid(what)),
        }
    }

    /// Reads a value that may be missing.
    ///
    /// # Errors
    /// As for [`SnapshotReader::flag`] and [`SnapshotReader::value`].
    pub fn option<T: FromBytes + IntoBytes>(
        &mut self,
        what: &'static str,
    ) -> Result<Option<T>, SnapshotError> {
        if self.flag(what)? { self.value().map(Some) } else { Ok(None) }
    }
}

/// A sink and a source in memory, for tests and for what is small.
impl SnapshotSink for alloc::vec::Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl SnapshotSource for &[u8] {
    fn fill(&mut self, into: &mut [u8]) -> bool {
        let Some((bytes, rest)) = self.split_at_checked(into.len()) else { return false };
        into.copy_from_slice(bytes);
        *self = rest;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let mut bytes = Vec::new();
        let mut out = SnapshotWriter::new(&mut bytes);
        out.value(&7u32);
        out.rows(&[1u16, 2, 3]);
        out.option(Some(&5u64));
        out.option::<u64>(None);
        out.flag(true);
        assert_eq!(bytes.len(), 4 + 8 + 6 + 1 + 8 + 1 + 1);

        let read = |mut bytes: &[u8]| {
            let mut input = SnapshotReader::new(&mut bytes);
            let mut rows = Vec::from([9u16]);
            let value = input.value::<u32>()?;
            input.rows("rows", 3, &mut rows)?;
            let options = [input.option::<u64>("a byte")?, input.option::<u64>("a byte")?];
            Ok((value, rows, options, input.flag("a byte")?))
        };
        assert_eq!(read(&bytes), Ok((7, Vec::from([9, 1, 2, 3]), [Some(5), None], true)));
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length]), Err(SnapshotError::TooShort), "{length} bytes");
        }
        bytes[4] = 4;
        let too_many = SnapshotError::TooMany { what: "rows", found: 4, most: 3 };
        assert_eq!(read(&bytes), Err(too_many));
        assert_eq!(too_many.to_string(), "4 rows, where 3 are the most");
        (bytes[4], bytes[18]) = (3, 2);
        assert_eq!(read(&bytes), Err(SnapshotError::Invalid("a byte")));
    }
}
