//! The FIX data dictionaries: which messages, fields, groups and values each version has, and checking messages
//! against them.
//!
//! The tables in `tables/` are written by `cargo xtask fix-dictionaries`. They are read once, when a gateway opens, into
//! blocks (header, trailer, each message, each repeating group) that find a tag with one look-up. [`Checker`] then
//! checks a message in one pass without allocating; only a message with a problem is looked at a second time, to name
//! the problem that comes first by the rules of FIX ([`Problem`]).

mod block;
mod check;
mod load;
mod ours;
mod problem;
mod shape;
#[cfg(test)]
mod tests;
mod value;

use std::sync::OnceLock;

use crate::fix::Version;
pub(crate) use block::{Block, Slot};
pub use check::{Checker, Switches};
pub use problem::{Problem, SessionRejectReason, TagRef};
pub use shape::RememberingChecker;
pub(crate) use value::{Kind, ValueSet};

/// A field that a version defines.
#[derive(Clone, Copy)]
pub(crate) struct Definition {
    pub(crate) kind: Kind,
    /// Index of its value set; [`NO_SET`] if every value of its type is allowed.
    pub(crate) set: u16,
}

pub(crate) const NO_SET: u16 = u16::MAX;

/// One version's tables. See the module's documentation.
pub struct Dictionary {
    /// By `by_tag`.
    pub(crate) definitions: Vec<Definition>,
    /// Tag to definition plus 1; 0 is undefined.
    by_tag: Vec<u16>,
    pub(crate) sets: Vec<ValueSet>,
    pub(crate) groups: Vec<Block>,
    pub(crate) header: Block,
    pub(crate) trailer: Block,
    messages: Vec<(Box<[u8]>, Block)>,
    /// Message types of one byte: index into `messages` plus 1.
    short: [u16; 256],
}

impl Dictionary {
    /// The dictionary of the application messages of a version.
    #[must_use]
    pub fn application(version: Version) -> &'static Self {
        static ALL: [OnceLock<Dictionary>; Version::ALL.len()] =
            [const { OnceLock::new() }; Version::ALL.len()];
        ALL[version as usize].get_or_init(|| load::dictionary(application_table(version), Some(version)))
    }

    /// The dictionary of the session layer of a version: FIXT.1.1 from FIX 5.0 on, the version's own before.
    #[must_use]
    pub fn session(version: Version) -> &'static Self {
        static TRANSPORT: OnceLock<Dictionary> = OnceLock::new();
        if version.is_fixt() {
            TRANSPORT.get_or_init(|| load::dictionary(include_str!("tables/fixt11.txt"), None))
        } else {
            Self::application(version)
        }
    }

    pub(crate) fn definition(&self, tag: u32) -> Option<Definition> {
        let at = *self.by_tag.get(tag as usize)?;
        (at != 0).then(|| self.definitions[usize::from(at) - 1])
    }

    /// Whether the version defines this tag.
    #[must_use]
    pub fn defines(&self, tag: u32) -> bool {
        self.definition(tag).is_some()
    }

    /// Whether the version defines this message type.
    #[must_use]
    pub fn has_message(&self, message_type: &[u8]) -> bool {
        self.message(message_type).is_some()
    }

    /// Whether a message of this type may hold this tag in its body, outside repeating groups.
    #[must_use]
    pub fn allows(&self, message_type: &[u8], tag: u32) -> bool {
        self.message(message_type).is_some_and(|block| block.find(tag).is_some())
    }

    /// Whether `value` is one of those that the version enumerates for the tag, or the tag has no such list.
    #[must_use]
    pub fn allows_value(&self, tag: u32, value: &[u8]) -> bool {
        let definition = self.definition(tag).filter(|it| it.set != NO_SET);
        definition.is_none_or(|it| self.sets[usize::from(it.set)].contains(it.kind, value))
    }

    /// The message types, in the order of the table.
    pub fn message_types(&self) -> impl Iterator<Item = &[u8]> {
        self.messages.iter().map(|(message_type, _)| &**message_type)
    }

    pub(crate) fn message(&self, message_type: &[u8]) -> Option<&Block> {
        let at = match *message_type {
            [only] => usize::from(self.short[usize::from(only)]).checked_sub(1)?,
            _ => self.messages.iter().position(|(name, _)| **name == *message_type)?,
        };
        Some(&self.messages[at].1)
    }
}

fn application_table(version: Version) -> &'static str {
    match version {
        Version::Fix40 => include_str!("tables/fix40.txt"),
        Version::Fix41 => include_str!("tables/fix41.txt"),
        Version::Fix42 => include_str!("tables/fix42.txt"),
        Version::Fix43 => include_str!("tables/fix43.txt"),
        Version::Fix44 => include_str!("tables/fix44.txt"),
        Version::Fix50 => include_str!("tables/fix50.txt"),
        Version::Fix50Sp1 => include_str!("tables/fix50sp1.txt"),
        Version::Fix50Sp2 => include_str!("tables/fix50sp2.txt"),
    }
}
