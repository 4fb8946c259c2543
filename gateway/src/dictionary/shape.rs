//! Checking messages of a shape that has been seen.
//!
//! A client sends the same fields in the same order again and again. Whether these may be there, whether all are that must,
//! and whether they are in order follows from the tags alone: it is looked up once, and what is left for the next message
//! with the same tags are the values.

use super::block::NO_GROUP;
use super::{Checker, Problem, Slot, Switches};
use crate::fix::{Message, Version, tags};

/// Shapes that are remembered, by message type and number of fields; a session sends a few.
const SHAPES: usize = 16;
/// Most fields of a shape that is remembered.
const MOST_FIELDS: usize = 64;

/// Who says what a field's value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nobody looks at it.
    None,
    /// The dictionary of the session layer.
    Session,
    /// That of the message's body.
    Body,
}

/// A field of a shape.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) tag: u32,
    pub(super) slot: Slot,
    pub(super) owner: Owner,
}

/// The fields of messages of one type, without repeating groups.
#[derive(Default)]
struct Shape {
    message_type: u8,
    /// Empty: none.
    fields: Vec<Known>,
}

/// A [`Checker`] that remembers the shapes of a session's messages: their tags in their order. It finds what that finds.
pub struct RememberingChecker {
    checker: Checker,
    switches: Switches,
    shapes: [Shape; SHAPES],
}

impl RememberingChecker {
    /// For messages of a session whose application version is `version`.
    #[must_use]
    pub fn new(version: Version, switches: Switches) -> Self {
        Self { checker: Checker::new(version), switches, shapes: std::array::from_fn(|_| Shape::default()) }
    }

    /// See [`Checker::check`].
    #[inline]
    pub fn check<'m>(&mut self, message: &Message<'m>) -> Option<Problem<'m>> {
        let &[message_type] = message.message_type() else {
            return self.checker.check(message, &self.switches);
        };
        let shape = &mut self.shapes[(usize::from(message_type) ^ message.fields().len()) % SHAPES];
        if shape.message_type == message_type && self.checker.fits(&shape.fields, message, &self.switches) {
            return None;
        }
        let problem = self.checker.check(message, &self.switches);
        // The fast pass lets no header field through behind the body, whatever the switches say.
        if problem.is_none()
            && self.switches.use_data_dictionary
            && self.checker.is_valid(message, &self.switches)
        {
            shape.message_type = message_type;
            self.checker.learn(message, &mut shape.fields);
        }
        problem
    }
}

impl Checker {
    /// Whether a message, whose type is that of `known`, has just these fields, with values that they may have.
    #[inline]
    fn fits(&self, known: &[Known], message: &Message<'_>, switches: &Switches) -> bool {
        let fields = message.fields();
        let body = self.body_of(message.message_type());
        fields.len() == known.len()
            && fields.iter().zip(known).all(|(field, known)| {
                let dictionary = match known.owner {
                    Owner::None => return field.tag == known.tag,
                    Owner::Session => self.session,
                    Owner::Body => body,
                };
                field.tag == known.tag
                    && dictionary.value_reason(known.slot, message, field, switches).is_none()
            })
    }

    /// Remembers the fields of a message with which nothing is wrong; none if they do not say it by themselves.
    #[cold]
    fn learn(&self, message: &Message<'_>, known: &mut Vec<Known>) {
        known.clear();
        let body_dictionary = self.body_of(message.message_type());
        let Some(body) = body_dictionary.message(message.message_type()) else { return };
        let Some((last, fields)) = message.fields().split_last() else { return };
        if last.tag != tags::CHECK_SUM || fields.len() >= MOST_FIELDS {
            return;
        }
        let mut owner = Owner::Session;
        for (at, field) in fields.iter().enumerate() {
            let in_header = self.session.header.find(field.tag).filter(|_| owner == Owner::Session);
            let slot = in_header.or_else(|| body.find(field.tag));
            owner = if in_header.is_some() { Owner::Session } else { Owner::Body };
            // How many fields a group has is said by a value, and a longer trailer is nobody's habit.
            if slot.is_some_and(|slot| slot.group != NO_GROUP)
                || (slot.is_none() && tags::is_trailer(field.tag))
            {
                return known.clear();
            }
            // Framing has seen to the first three; what is tolerated without being known may be anything.
            known.push(match slot {
                Some(slot) if at >= 3 => Known { tag: field.tag, slot, owner },
                _ => Known { tag: field.tag, slot: Slot::default(), owner: Owner::None },
            });
        }
        known.push(Known { tag: last.tag, slot: Slot::default(), owner: Owner::None });
    }
}
