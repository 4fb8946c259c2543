//! Checking a message: one fast pass, and for those that fail it a slow one that names the first problem.

use super::block::NO_GROUP;
use super::problem::{Problem, SessionRejectReason as Reason, TagRef};
use super::{Block, Dictionary, NO_SET, Slot};
use crate::fix::{Field, Message, Version, tags};

/// What to check; the names are QuickFIX's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// UseDataDictionary. Without it only the session layer's own fields are looked at.
    pub use_data_dictionary: bool,
    /// ValidateFieldsOutOfOrder: header, body, trailer in this order.
    pub validate_fields_out_of_order: bool,
    /// ValidateFieldsHaveValues. Without it a field without a value is not looked at.
    pub validate_fields_have_values: bool,
    /// ValidateUserDefinedFields: tags from 5000 on must be in the dictionary, too.
    pub validate_user_defined_fields: bool,
    /// AllowUnknownMsgFields: tags that the version defines, but not for this message, are accepted.
    pub allow_unknown_msg_fields: bool,
}

impl Default for Switches {
    /// QuickFIX's defaults.
    fn default() -> Self {
        Self {
            use_data_dictionary: true,
            validate_fields_out_of_order: true,
            validate_fields_have_values: true,
            validate_user_defined_fields: true,
            allow_unknown_msg_fields: false,
        }
    }
}

/// Most fields in one block: the size of the marks of what has been seen. The largest of SP2 has about 700.
const MAX_MEMBERS: usize = 1024;

/// Which fields of a block have been seen, by ordinal.
struct Seen {
    words: [u64; MAX_MEMBERS / 64],
}

impl Seen {
    #[inline]
    fn new() -> Self {
        Self { words: [0; MAX_MEMBERS / 64] }
    }

    /// Marks it; whether it was there before.
    #[inline]
    fn mark(&mut self, slot: Slot) -> bool {
        let ordinal = usize::from(slot.ordinal);
        let bit = 1u64 << (ordinal % 64);
        let word = &mut self.words[ordinal / 64 % (MAX_MEMBERS / 64)];
        let before = *word & bit != 0;
        *word |= bit;
        before
    }

    fn has(&self, ordinal: usize) -> bool {
        self.words[ordinal / 64] >> (ordinal % 64) & 1 == 1
    }

    /// The lowest required tag that has not been seen.
    #[inline]
    fn missing(&self, block: &Block) -> Option<u16> {
        let count = block.required.len();
        if count < 64 && self.words[0] & ((1 << count) - 1) == (1 << count) - 1 {
            return None;
        }
        (0..count).find(|&ordinal| !self.has(ordinal)).map(|ordinal| block.required[ordinal])
    }

    fn missing_problem<'m>(&self, block: &Block) -> Option<Problem<'m>> {
        self.missing(block).map(|tag| Problem::at(Reason::RequiredTag, u32::from(tag)))
    }
}

/// What walking over a repeating group gave.
struct Walked<'m> {
    /// Index of the first field behind it.
    next: usize,
    /// Instances.
    count: u64,
    problem: Option<Problem<'m>>,
}

/// Checks the messages of one version.
#[derive(Clone, Copy)]
pub struct Checker {
    pub(super) session: &'static Dictionary,
    application: &'static Dictionary,
}

impl Checker {
    /// For messages of a session whose application version is `version`.
    #[must_use]
    pub fn new(version: Version) -> Self {
        let checker =
            Self { session: Dictionary::session(version), application: Dictionary::application(version) };
        let dictionaries = [checker.session, checker.application];
        let blocks = dictionaries.into_iter().flat_map(|it| &it.groups);
        assert!(blocks.into_iter().all(|block| block.length <= MAX_MEMBERS), "a group with too many fields");
        checker
    }

    /// The dictionary that a message's body belongs to.
    pub(super) fn body_of(&self, message_type: &[u8]) -> &'static Dictionary {
        // XMLnonFIX belongs to the session layer of FIXT.1.1, too.
        let of_session = tags::is_admin(message_type) || message_type == b"n";
        if of_session { self.session } else { self.application }
    }

    /// The problem that FIX names first, if there is one: order of header, body and trailer; message type; required
    /// fields; then the fields of the header, the trailer and the body, each by ascending tag; then those in repeating
    /// groups.
    #[must_use]
    pub fn check<'m>(&self, message: &Message<'m>, switches: &Switches) -> Option<Problem<'m>> {
        if !switches.use_data_dictionary || self.is_valid(message, switches) {
            return None;
        }
        let problem = self.find_problem(message, switches);
        // Without the rule on the order of the parts only the slow pass can tell.
        debug_assert!(
            problem.is_some() || !switches.validate_fields_out_of_order,
            "the slow pass finds what the fast one has found"
        );
        problem
    }

    pub(super) fn is_valid(&self, message: &Message<'_>, switches: &Switches) -> bool {
        let message_type = message.message_type();
        let dictionary = self.body_of(message_type);
        let Some(body) = dictionary.message(message_type) else { return false };
        let (mut seen_header, mut seen_body) = (Seen::new(), Seen::new());
        let header = &self.session.header;
        let fields = message.fields();
        let mut at = 0;
        while let Some(slot) = fields.get(at).and_then(|field| header.find(field.tag)) {
            let field = &fields[at];
            // Framing has seen to the first three.
            if seen_header.mark(slot)
                || (at >= 3 && self.session.value_reason(slot, message, field, switches).is_some())
            {
                return false;
            }
            at += 1;
            if slot.group != NO_GROUP {
                let walked = self.session.counted(message, at, slot, switches);
                if walked.problem.is_some() {
                    return false;
                }
                at = walked.next;
            }
        }
        while let Some(field) = fields.get(at) {
            let Some(slot) = body.find(field.tag) else {
                if tags::is_trailer(field.tag) {
                    break;
                }
                if !self.is_tolerated(dictionary, field, switches) {
                    return false;
                }
                at += 1;
                continue;
            };
            if seen_body.mark(slot) || dictionary.value_reason(slot, message, field, switches).is_some() {
                return false;
            }
            at += 1;
            if slot.group != NO_GROUP {
                let walked = dictionary.counted(message, at, slot, switches);
                if walked.problem.is_some() {
                    return false;
                }
                at = walked.next;
            }
        }
        self.is_valid_trailer(message, at, switches)
            && seen_header.missing(header).is_none()
            && seen_body.missing(body).is_none()
    }

    /// Trailer: nearly always CheckSum alone, which framing has seen to.
    fn is_valid_trailer(&self, message: &Message<'_>, at: usize, switches: &Switches) -> bool {
        let rest = &message.fields()[at..];
        if let [only] = rest {
            return only.tag == tags::CHECK_SUM;
        }
        let mut seen = Seen::new();
        rest.iter().all(|field| {
            self.session.trailer.find(field.tag).is_some_and(|slot| {
                !seen.mark(slot) && self.session.value_reason(slot, message, field, switches).is_none()
            })
        })
    }

    /// Whether a field that does not belong in the body is accepted all the same.
    fn is_tolerated(&self, dictionary: &Dictionary, field: &Field, switches: &Switches) -> bool {
        if self.session.header.find(field.tag).is_some() {
            return false;
        }
        let user_defined = field.tag >= tags::FIRST_USER_TAG && !switches.validate_user_defined_fields;
        user_defined || (switches.allow_unknown_msg_fields && dictionary.defines(field.tag))
    }

    #[cold]
    pub(super) fn find_problem<'m>(&self, message: &Message<'m>, switches: &Switches) -> Option<Problem<'m>> {
        let message_type = message.message_type();
        let dictionary = self.body_of(message_type);
        if let Some(problem) = self.order_problem(message).filter(|_| switches.validate_fields_out_of_order) {
            return Some(problem);
        }
        let Some(body) = dictionary.message(message_type) else {
            return Some(Problem::of(Reason::MsgType));
        };
        let (tops, group_problem) = self.top_fields(message, dictionary, body, switches);
        for (part, block) in [(Part::Header, &self.session.header), (Part::Body, body)] {
            let present = |tag: u16| tops.iter().any(|it| it.part == part && it.field.tag == u32::from(tag));
            if let Some(tag) = block.required.iter().find(|&&tag| !present(tag)) {
                return Some(Problem::at(Reason::RequiredTag, u32::from(*tag)));
            }
        }
        for part in [Part::Header, Part::Trailer, Part::Body] {
            let mut fields: Vec<&Top<'m>> = tops.iter().filter(|it| it.part == part).collect();
            fields.sort_by_key(|it| it.field.tag);
            let (owner, block) = match part {
                Part::Header => (self.session, &self.session.header),
                Part::Trailer => (self.session, &self.session.trailer),
                Part::Body => (dictionary, body),
            };
            for (at, top) in fields.iter().enumerate() {
                let repeated = at > 0 && fields[at - 1].field.tag == top.field.tag && top.field.tag != 0;
                let problem = self.field_problem(message, owner, block, top, repeated, switches);
                if problem.is_some() {
                    return problem;
                }
            }
        }
        group_problem
    }

    fn order_problem<'m>(&self, message: &Message<'m>) -> Option<Problem<'m>> {
        let mut part = Part::Header;
        let mut at = 0;
        while let Some(field) = message.fields().get(at) {
            at += 1;
            let of = self.part_of(field.tag);
            if of < part {
                return Some(problem_at(Reason::Order, message, field));
            }
            part = of;
            if let Some(slot) = self.session.header.find(field.tag).filter(|slot| slot.group != NO_GROUP) {
                at = self.session.counted(message, at, slot, &Switches::default()).next;
            }
        }
        None
    }

    /// A tag that this version does not know and the newest has in its header is an unknown one of the header: it is named
    /// before what is wrong with the body, as in QuickFIX.
    fn part_of(&self, tag: u32) -> Part {
        let of_newest = || Dictionary::session(Version::Fix50Sp2).header.find(tag).is_some();
        let is_unknown = || self.application.definition(tag).is_none();
        if self.session.header.find(tag).is_some() || (is_unknown() && of_newest()) {
            Part::Header
        } else if self.session.trailer.find(tag).is_some() {
            Part::Trailer
        } else {
            Part::Body
        }
    }

    /// The fields outside repeating groups, and the first problem inside one.
    fn top_fields<'m>(
        &self,
        message: &Message<'m>,
        dictionary: &Dictionary,
        body: &Block,
        switches: &Switches,
    ) -> (Vec<Top<'m>>, Option<Problem<'m>>) {
        let (mut tops, mut group_problem) = (Vec::new(), None);
        let mut at = 0;
        while let Some(field) = message.fields().get(at) {
            at += 1;
            let part = self.part_of(field.tag);
            let (owner, slot) = match part {
                Part::Header => (self.session, self.session.header.find(field.tag)),
                Part::Trailer => (self.session, None),
                Part::Body => (dictionary, body.find(field.tag)),
            };
            let mut top = Top { part, field: *field, miscounted: None };
            if let Some(slot) = slot.filter(|slot| slot.group != NO_GROUP) {
                let walked = owner.counted(message, at, slot, switches);
                at = walked.next;
                let miscounted = |it: &Problem<'_>| it.reason == Reason::GroupCount;
                match walked.problem {
                    Some(problem) if miscounted(&problem) => top.miscounted = Some(problem),
                    problem => group_problem = group_problem.or(problem),
                }
            }
            tops.push(top);
        }
        (tops, group_problem)
    }

    fn field_problem<'m>(
        &self,
        message: &Message<'m>,
        dictionary: &Dictionary,
        block: &Block,
        top: &Top<'m>,
        repeated: bool,
        switches: &Switches,
    ) -> Option<Problem<'m>> {
        let field = &top.field;
        let problem = |reason| Some(problem_at(reason, message, field));
        if repeated {
            return problem(Reason::Repeated);
        }
        let value = message.value(field);
        if value.is_empty() {
            return if switches.validate_fields_have_values { problem(Reason::NoValue) } else { None };
        }
        let definition = dictionary.definition(field.tag);
        if let Some(definition) = definition {
            if !definition.kind.fits(value) {
                return problem(Reason::DataFormat);
            }
            let set = dictionary.sets.get(usize::from(definition.set));
            // The message type has been checked as such; a type of one version may be unknown to another.
            if field.tag != tags::MSG_TYPE && set.is_some_and(|set| !set.contains(definition.kind, value)) {
                return problem(Reason::Value);
            }
        }
        if block.find(field.tag).is_none() && !self.is_tolerated(dictionary, field, switches) {
            let user_defined = field.tag >= tags::FIRST_USER_TAG && !switches.validate_user_defined_fields;
            if definition.is_none() && !user_defined {
                return problem(Reason::TagNumber);
            }
            return problem(Reason::TagNotDefined);
        }
        top.miscounted
    }
}

/// A field outside repeating groups.
struct Top<'m> {
    part: Part,
    field: Field,
    /// It counts a group, and wrongly.
    miscounted: Option<Problem<'m>>,
}

/// In their order in a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Part {
    Header,
    Body,
    Trailer,
}

fn problem_at<'m>(reason: Reason, message: &Message<'m>, field: &Field) -> Problem<'m> {
    let tag = if field.tag == 0 { TagRef::Text(message.tag_text(field)) } else { TagRef::Number(field.tag) };
    Problem { reason, tag }
}

impl Dictionary {
    /// What is wrong with the value of a field, by itself.
    #[inline]
    pub(super) fn value_reason(
        &self,
        slot: Slot,
        message: &Message<'_>,
        field: &Field,
        switches: &Switches,
    ) -> Option<Reason> {
        let value = message.value(field);
        if value.is_empty() {
            return switches.validate_fields_have_values.then_some(Reason::NoValue);
        }
        if !slot.kind.fits(value) {
            return Some(Reason::DataFormat);
        }
        if slot.set != NO_SET && !self.sets[usize::from(slot.set)].contains(slot.kind, value) {
            return Some(Reason::Value);
        }
        None
    }

    /// Walks over the group whose count field stands before `at`. A wrong count comes before everything else.
    fn counted<'m>(&self, message: &Message<'m>, at: usize, slot: Slot, switches: &Switches) -> Walked<'m> {
        let mut walked = self.walk(message, at, &self.groups[usize::from(slot.group)], switches);
        let field = &message.fields()[at - 1];
        if crate::fix::parse_number(message.value(field)) != Some(walked.count)
            && !message.value(field).is_empty()
        {
            walked.problem = Some(problem_at(Reason::GroupCount, message, field));
        }
        walked
    }

    /// Walks over the instances of a group. An instance starts with the group's first field, or with any that the one
    /// before has already.
    fn walk<'m>(
        &self,
        message: &Message<'m>,
        start: usize,
        block: &Block,
        switches: &Switches,
    ) -> Walked<'m> {
        let mut walked = Walked { next: start, count: 0, problem: None };
        let mut seen = Seen::new();
        while let Some(field) = message.fields().get(walked.next) {
            let Some(slot) = block.find(field.tag) else { break };
            if walked.count == 0 || slot.tag == block.first || seen.has(usize::from(slot.ordinal)) {
                if walked.count > 0 {
                    walked.problem = walked.problem.or_else(|| seen.missing_problem(block));
                    seen = Seen::new();
                }
                walked.count += 1;
            }
            seen.mark(slot);
            if let Some(reason) = self.value_reason(slot, message, field, switches) {
                walked.problem = walked.problem.or(Some(problem_at(reason, message, field)));
            }
            walked.next += 1;
            if slot.group != NO_GROUP {
                let inner = self.counted(message, walked.next, slot, switches);
                walked.problem = walked.problem.or(inner.problem);
                walked.next = inner.next;
            }
        }
        if walked.count > 0 {
            walked.problem = walked.problem.or_else(|| seen.missing_problem(block));
        }
        walked
    }
}
