//! Which records are wanted, checked against what there can be.

use std::collections::BTreeSet;

use machine::{Context, EventBuffer, Record};
use serde_json::{Map, Value};

use super::args::Filter;
use crate::describe;
use crate::output::Failure;

/// A filter whose names are known to exist.
pub struct Selector {
    /// Codes of the wanted kinds; all if empty.
    kinds: Vec<u16>,
    fields: Vec<(String, String)>,
}

impl Filter {
    /// The filter, ready for use.
    ///
    /// # Errors
    /// A kind or field that no record has, with those that there are.
    pub fn selector(&self) -> Result<Selector, Failure> {
        let kinds: Result<Vec<u16>, Failure> = self.kind.iter().map(|name| kind(name)).collect();
        if !self.field.is_empty() {
            let known = field_names();
            for (name, _) in &self.field {
                if !known.contains(name) {
                    let known = known.into_iter().collect::<Vec<_>>().join(", ");
                    return Err(Failure::usage(format!(
                        "no record has a field '{name}'; there are: {known}"
                    )));
                }
            }
        }
        Ok(Selector { kinds: kinds?, fields: self.field.clone() })
    }
}

/// Code of a kind by its name, in any case, or `kind NUMBER`, as `dump` shows one that this version does not know.
fn kind(name: &str) -> Result<u16, Failure> {
    let layouts = protocol::layouts();
    let known = layouts.iter().find(|layout| layout.name.eq_ignore_ascii_case(name));
    let number = || name.strip_prefix("kind ").and_then(|number| number.parse().ok());
    known.map(|layout| layout.kind).or_else(number).ok_or_else(|| {
        let names = layouts.iter().map(|layout| layout.name).collect::<Vec<_>>().join(", ");
        Failure::usage(format!("there is no kind '{name}'; there are: {names}"))
    })
}

/// Every field that the description of some record has. A field is left out where it asks for nothing, so all bodies are full of
/// bits.
fn field_names() -> BTreeSet<String> {
    let mut names = BTreeSet::from(["bytes".to_string()]);
    for layout in protocol::layouts() {
        for byte in [0, 1, 2, 3] {
            let mut records = EventBuffer::with_capacity(2048);
            records.begin(&Context::default());
            records.push_bytes(layout.kind, 1, &vec![byte; layout.body_length]);
            records.finish();
            names.extend(
                records
                    .records()
                    .flat_map(|record| describe::to_json(record).into_iter())
                    .map(|(name, _)| name),
            );
        }
    }
    names
}

impl Selector {
    /// The record as JSON, if it is wanted.
    pub fn select(&self, record: Record<'_>) -> Option<Map<String, Value>> {
        if !self.kinds.is_empty() && !self.kinds.contains(&record.header().kind) {
            return None;
        }
        let map = describe::to_json(record);
        let holds = |(field, wanted): &(String, String)| match map.get(field) {
            Some(Value::String(text)) => text == wanted,
            Some(other) => {
                let text = other.to_string();
                text == *wanted
            }
            None => false,
        };
        self.fields.iter().all(holds).then_some(map)
    }
}
