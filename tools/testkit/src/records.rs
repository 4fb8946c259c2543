//! Records in memory, for tests that need a command without a ring.

use machine::{Body, Context, HEADER_LENGTH, Record, RecordHeader, stride};
use zerocopy::IntoBytes;

/// One record's bytes, aligned.
#[derive(Clone, Debug)]
pub struct RecordBytes {
    words: Vec<u64>,
}

impl RecordBytes {
    /// A record with a body of fixed layout.
    #[must_use]
    pub fn new<T: Body>(context: &Context, body: &T) -> Self {
        Self::raw(context, T::KIND, T::SCHEMA_VERSION, body.as_bytes())
    }

    /// A record of any kind with any bytes, also such as no machine knows.
    #[must_use]
    pub fn raw(context: &Context, kind: u16, schema_version: u8, body: &[u8]) -> Self {
        let length = HEADER_LENGTH + body.len();
        let header = RecordHeader {
            length: length as u32,
            sequence: context.sequence,
            timestamp_ns: context.timestamp_ns,
            kind,
            schema_version,
            source: context.source,
            ..RecordHeader::default()
        };
        let mut words = vec![0u64; stride(length) / size_of::<u64>()];
        let bytes = words.as_mut_bytes();
        bytes[..HEADER_LENGTH].copy_from_slice(header.as_bytes());
        bytes[HEADER_LENGTH..length].copy_from_slice(body);
        Self { words }
    }

    /// The record.
    ///
    /// # Panics
    /// If it is longer than a record can be.
    #[must_use]
    pub fn record(&self) -> Record<'_> {
        Record::parse(self.words.as_bytes()).expect("it was built as a record")
    }
}
