//! Rows of JSON fields as a Parquet file: one column for each field that occurs.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as PhysicalType};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use serde_json::{Map, Value};

/// Rows gathered before they are written together.
const GROUP_ROWS: usize = 1 << 16;
/// The field that is a point in time.
const TIME: &str = "timestamp_ns";
/// The column that is not a field: which of its command's events a record is.
const EVENT_INDEX: &str = "event_index";

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Signed,
    /// Some value is above the signed range.
    Unsigned,
    Text,
}

impl Kind {
    fn of(value: &Value) -> Self {
        match value {
            Value::Number(number) if number.is_i64() => Self::Signed,
            Value::Number(number) if number.is_u64() => Self::Unsigned,
            _ => Self::Text,
        }
    }

    /// What holds both; a column that has both high and negative numbers is text.
    fn with(self, other: Self, negative: bool) -> Self {
        match (self, other) {
            (one, two) if one == two => one,
            (Self::Text, _) | (_, Self::Text) => Self::Text,
            _ if negative => Self::Text,
            _ => Self::Unsigned,
        }
    }
}

/// The columns of a file, in the order in which their fields were first seen.
#[derive(Default)]
pub struct Columns(Vec<Seen>);

struct Seen {
    name: String,
    kind: Kind,
    negative: bool,
}

impl Columns {
    /// Those that every record has: they are there even if no record is wanted.
    pub fn of_header() -> Self {
        let number = |name: &str| Seen { name: name.to_owned(), kind: Kind::Signed, negative: false };
        let mut columns: Vec<_> = ["sequence", TIME, "gateway", "session"].map(number).into();
        columns.push(Seen { name: "kind".to_owned(), kind: Kind::Text, negative: false });
        Self(columns)
    }

    /// Takes note of a row's fields.
    pub fn note(&mut self, fields: &Map<String, Value>) {
        for (name, value) in fields {
            if value.is_null() {
                continue;
            }
            let negative = value.as_i64().is_some_and(|number| number < 0);
            match self.0.iter_mut().find(|column| column.name == *name) {
                Some(column) => {
                    column.negative |= negative;
                    column.kind = column.kind.with(Kind::of(value), column.negative);
                }
                None => self.0.push(Seen { name: name.clone(), kind: Kind::of(value), negative }),
            }
        }
    }
}

enum Values {
    Numbers(Vec<i64>),
    Texts(Vec<ByteArray>),
}

struct Column {
    name: String,
    values: Values,
    /// 1 where a row has a value, 0 where it has none.
    present: Vec<i16>,
}

/// Writes a file.
pub struct ParquetWriter<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    columns: Vec<Column>,
    rows: usize,
}

impl<W: Write + Send> ParquetWriter<W> {
    /// Begins a file with these columns and the event's index.
    ///
    /// # Errors
    /// What the file says.
    pub fn new(out: W, seen: Columns) -> Result<Self, ParquetError> {
        let index = Seen { name: EVENT_INDEX.to_owned(), kind: Kind::Signed, negative: false };
        let columns: Vec<Seen> = std::iter::once(index).chain(seen.0).collect();
        let fields: Result<Vec<_>, _> = columns.iter().map(|seen| schema_of(seen).map(Arc::new)).collect();
        let schema = Type::group_type_builder("record").with_fields(fields?).build()?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties))?;
        let columns = columns.into_iter().map(|seen| Column {
            name: seen.name,
            values: if seen.kind == Kind::Text {
                Values::Texts(Vec::new())
            } else {
                Values::Numbers(Vec::new())
            },
            present: Vec::new(),
        });
        Ok(Self { writer, columns: columns.collect(), rows: 0 })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// What the file says.
    pub fn write(
        &mut self,
        event_index: Option<u64>,
        fields: &Map<String, Value>,
    ) -> Result<(), ParquetError> {
        let index = event_index.map(Value::from);
        for column in &mut self.columns {
            let value = if column.name == EVENT_INDEX { index.as_ref() } else { fields.get(&column.name) };
            column.push(value.filter(|value| !value.is_null()));
        }
        self.rows += 1;
        if self.rows == GROUP_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            let Some(mut writer) = group.next_column()? else { break };
            match &mut column.values {
                Values::Numbers(numbers) => {
                    writer.typed::<Int64Type>().write_batch(numbers, Some(&column.present), None)?;
                    numbers.clear();
                }
                Values::Texts(texts) => {
                    writer.typed::<ByteArrayType>().write_batch(texts, Some(&column.present), None)?;
                    texts.clear();
                }
            }
            writer.close()?;
            column.present.clear();
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// What the file says.
    pub fn finish(mut self) -> Result<(), ParquetError> {
        self.flush()?;
        self.writer.close()?;
        Ok(())
    }
}

impl Column {
    fn push(&mut self, value: Option<&Value>) {
        self.present.push(i16::from(value.is_some()));
        let Some(value) = value else { return };
        match (&mut self.values, value) {
            // Unsigned numbers keep their 64 bits; the column's type says how to read them.
            (Values::Numbers(numbers), value) => {
                let bits = value.as_i64().or_else(|| value.as_u64().map(u64::cast_signed));
                numbers.push(bits.unwrap_or_default());
            }
            (Values::Texts(texts), Value::String(text)) => texts.push(ByteArray::from(text.as_str())),
            (Values::Texts(texts), other) => texts.push(ByteArray::from(other.to_string().as_str())),
        }
    }
}

fn schema_of(seen: &Seen) -> Result<Type, ParquetError> {
    let (physical, logical) = match seen.kind {
        Kind::Text => (PhysicalType::BYTE_ARRAY, LogicalType::String),
        _ if seen.name == TIME => (PhysicalType::INT64, LogicalType::timestamp(true, TimeUnit::NANOS)),
        kind => (PhysicalType::INT64, LogicalType::integer(64, kind == Kind::Signed)),
    };
    Type::primitive_type_builder(&seen.name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(Some(logical))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;
    use serde_json::json;

    fn row(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn rows_of_different_kinds_share_columns_and_keep_their_values() {
        let rows = [
            row(json!({ "sequence": 1, "timestamp_ns": 7, "kind": "A", "price": -3, "high": u64::MAX })),
            row(json!({ "sequence": 2, "timestamp_ns": 8, "kind": "B", "side": "Buy", "high": 1 })),
            row(json!({ "sequence": 3, "timestamp_ns": 9, "kind": "B", "side": 77, "price": 5 })),
        ];
        let mut columns = Columns::default();
        rows.iter().for_each(|row| columns.note(row));
        let mut file = Vec::new();
        let mut writer = ParquetWriter::new(&mut file, columns).expect("begun");
        for _ in 0..GROUP_ROWS {
            rows.iter().for_each(|row| writer.write(Some(4), row).expect("written"));
        }
        writer.finish().expect("ended");
        let reader = SerializedFileReader::new(bytes::Bytes::from(file)).expect("Parquet");
        assert_eq!(reader.metadata().num_row_groups(), 3);
        let names: Vec<_> = reader
            .metadata()
            .file_metadata()
            .schema_descr()
            .columns()
            .iter()
            .map(|it| it.name().to_owned())
            .collect();
        assert_eq!(names, ["event_index", "sequence", "timestamp_ns", "kind", "price", "high", "side"]);
        let mut count = 0;
        for (number, found) in reader.get_row_iter(None).expect("rows").enumerate() {
            let found = found.expect("a row");
            let wanted = &rows[number % 3];
            assert_eq!(found.get_long(1).expect("a number"), wanted["sequence"].as_i64().expect("there"));
            assert_eq!(found.get_string(3).expect("a text"), wanted["kind"].as_str().expect("there"));
            assert_eq!(found.get_long(4).ok(), wanted.get("price").and_then(Value::as_i64));
            assert_eq!(found.get_ulong(5).ok(), wanted.get("high").and_then(Value::as_u64));
            count += 1;
        }
        assert_eq!(count, 3 * GROUP_ROWS);
    }
}
