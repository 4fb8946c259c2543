//! Reads the tables. They are part of this program, so a table that cannot be read is a broken build: it panics.

use super::block::{Block, Member, NO_GROUP};
use super::ours;
use super::{Definition, Dictionary, Kind, NO_SET, ValueSet};
use crate::fix::{Version, tags};

/// MDEntryType.
const MD_ENTRY_TYPE: usize = 269;

/// What is read so far.
#[derive(Default)]
struct Reader {
    definitions: Vec<Definition>,
    by_tag: Vec<u16>,
    sets: Vec<ValueSet>,
    components: Vec<Vec<Member>>,
    groups: Vec<Block>,
    /// Count fields of the groups.
    counts: Vec<u16>,
    old: bool,
}

/// Reads a table; `version` is given for those with application messages.
pub(super) fn dictionary(text: &str, version: Option<Version>) -> Dictionary {
    let mut reader = Reader { old: version < Some(Version::Fix42) && version.is_some(), ..Reader::default() };
    let (mut header, mut trailer, mut messages) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines(text) {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("e") => reader.sets.push(ValueSet::new(words)),
            Some("t") => {
                let kind = Kind::of(words.next().expect("a type"), reader.old);
                words.for_each(|word| reader.define(kind, word));
            }
            Some("c") => {
                let members = reader.members(words);
                reader.components.push(members);
            }
            Some("g") => {
                let count = words.next().and_then(|word| word.parse().ok()).expect("a count field");
                let block = Block::new(&reader.members(words));
                reader.groups.push(block);
                reader.counts.push(count);
            }
            Some("h") => header = reader.members(words),
            Some("r") => trailer = reader.members(words),
            Some("m") => {
                let name = words.next().expect("a message type");
                messages.push((name.as_bytes().to_vec(), reader.members(words)));
            }
            Some("version") | None => {}
            Some(other) => panic!("a line of kind {other} in a dictionary table"),
        }
    }
    reader.add_ours(version, &mut messages);
    if version.is_some_and(|version| (Version::Fix42..Version::Fix50Sp1).contains(&version)) {
        reader.add_replays(&mut messages);
    }
    reader.finish(&header, &trailer, &messages)
}

/// Lines without comments, continuations joined.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match lines.last_mut().filter(|_| line.starts_with(' ')) {
            Some(last) => last.push_str(line),
            None => lines.push(line.to_owned()),
        }
    }
    lines
}

impl Reader {
    fn define(&mut self, kind: Kind, word: &str) {
        let (tag, set) = word.split_once(':').map_or((word, None), |(tag, set)| (tag, Some(set)));
        let tag: usize = tag.parse().expect("a tag");
        let set = set.map_or(NO_SET, |set| set.parse().expect("the number of a value set"));
        let set = if tag == MD_ENTRY_TYPE && set != NO_SET { self.with_our_entry_types(set) } else { set };
        // What follows a count is checked by counting, whatever the old versions call its type.
        self.by_tag.resize(self.by_tag.len().max(tag + 1), 0);
        self.definitions.push(Definition { kind, set });
        self.by_tag[tag] = self.definitions.len() as u16;
    }

    /// Kinds of market data entries that older versions lack: what leans to one side in an auction (A), the volume (B) and
    /// the price that an auction would come to (Q). The set that has them, too; members copy its number, so it must be
    /// known before they are read.
    fn with_our_entry_types(&mut self, set: u16) -> u16 {
        self.sets.push(self.sets[usize::from(set)].clone().with(b"ABQ"));
        self.sets.len() as u16 - 1
    }

    fn member(&self, tag: u16, group: u16, required: bool) -> Member {
        let at = self.by_tag[usize::from(tag)].checked_sub(1).expect("a defined tag");
        Member { tag, definition: self.definitions[usize::from(at)], group, required }
    }

    fn members<'a>(&self, words: impl Iterator<Item = &'a str>) -> Vec<Member> {
        let mut members = Vec::new();
        for word in words {
            let required = word.ends_with('!');
            let word = word.trim_end_matches('!');
            let number = |text: &str| text.parse::<usize>().expect("a number");
            if let Some(component) = word.strip_prefix('c') {
                // A field is required if its component is, too.
                let component = &self.components[number(component)];
                members
                    .extend(component.iter().map(|it| Member { required: it.required && required, ..*it }));
            } else if let Some(group) = word.strip_prefix('g') {
                let group = number(group);
                members.push(self.member(self.counts[group], group as u16, required));
            } else {
                members.push(self.member(number(word) as u16, NO_GROUP, required));
            }
        }
        members
    }

    /// Fields that we take beyond the specification: see [`ours`].
    fn add_ours(&mut self, version: Option<Version>, messages: &mut [(Vec<u8>, Vec<Member>)]) {
        for &(kind, tag, types) in ours::FIELDS {
            let types: Vec<&&[u8]> = types.iter().filter(|it| ours::applies(version, it)).collect();
            if types.is_empty() {
                continue;
            }
            if self.by_tag.get(tag as usize).is_none_or(|&at| at == 0) {
                self.define(kind, &tag.to_string());
            }
            let member = self.member(tag as u16, NO_GROUP, false);
            for (name, members) in messages.iter_mut() {
                if types.iter().any(|it| **it == name.as_slice()) {
                    members.push(member);
                }
            }
        }
        self.add_to_listed_orders(messages);
    }

    /// The orders of a NewOrderList have what a NewOrderSingle has.
    fn add_to_listed_orders(&mut self, messages: &[(Vec<u8>, Vec<Member>)]) {
        let members_of = |name: &[u8]| messages.iter().find(|it| it.0 == name).map(|it| &it.1);
        let (Some(list), Some(order)) = (members_of(b"E"), members_of(b"D")) else { return };
        let group = list.iter().find(|it| u32::from(it.tag) == tags::NO_ORDERS);
        let Some(group) = group.filter(|it| it.group != NO_GROUP) else { return };
        let added = order.iter().filter(|it| ours::FIELDS.iter().any(|ours| ours.1 == u32::from(it.tag)));
        let group = &mut self.groups[usize::from(group.group)];
        *group = group.with(&added.copied().collect::<Vec<_>>());
    }

    /// The replay of drop copies, which is from FIX 5.0 SP1: ApplicationMessageRequest, its acknowledgement and report
    /// with what we use of them, and their fields in ExecutionReport.
    fn add_replays(&mut self, messages: &mut Vec<(Vec<u8>, Vec<Member>)>) {
        for (kind, numbers) in [
            (Kind::Text, [1180, 1346, 1353, 1355, 1356].as_slice()),
            (Kind::Integer, &[1347, 1348, 1426]),
            (Kind::Natural, &[1181, 1182, 1183, 1351, 1357]),
            (Kind::Boolean, &[1352]),
        ] {
            for tag in numbers {
                self.define(kind, &tag.to_string());
            }
        }
        let group = self.groups.len() as u16;
        let inside = [1355, 1182, 1183, 1357].map(|tag| self.member(tag, NO_GROUP, false));
        self.groups.push(Block::new(&inside));
        self.counts.push(1351);
        let applications = self.member(1351, group, false);
        let fields = |tags: &[(u16, bool)]| -> Vec<Member> {
            tags.iter().map(|&(tag, required)| self.member(tag, NO_GROUP, required)).collect()
        };
        let text = (58, false);
        for (name, tags) in [
            (b"BW", [(1346, true), (1347, true), text].as_slice()),
            (b"BX", &[(1353, true), (1346, false), (1347, false), (1348, false), text]),
            (b"BY", &[(1356, true), (1346, false), (1426, true), text]),
        ] {
            let mut members = fields(tags);
            members.push(applications);
            messages.push((name.to_vec(), members));
        }
        let of_copies = [(1180, false), (1181, false), (1352, false)];
        let report = messages.iter_mut().find(|(name, _)| name == b"8").expect("every version has reports");
        report.1.extend(fields(&of_copies));
    }

    fn finish(
        self,
        header: &[Member],
        trailer: &[Member],
        messages: &[(Vec<u8>, Vec<Member>)],
    ) -> Dictionary {
        let mut short = [0; 256];
        for (at, (name, _)) in messages.iter().enumerate() {
            if let [only] = name.as_slice() {
                short[usize::from(*only)] = at as u16 + 1;
            }
        }
        let blocks = messages.iter().map(|(name, members)| (name.clone().into(), Block::new(members)));
        Dictionary {
            messages: blocks.collect(),
            short,
            header: Block::new(header),
            trailer: Block::new(trailer),
            definitions: self.definitions,
            by_tag: self.by_tag,
            sets: self.sets,
            groups: self.groups,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_can_be_read_and_has_what_its_source_says() {
        // Messages and fields as counted in the XML files, plus those of `ours` that the version lacks and of `add_replays`.
        let counts = [
            (27, 138 + 21),
            (28, 206 + 19),
            (46 + 3, 405 + 18 + 14),
            (68 + 3, 635 + 16 + 14),
            (93 + 3, 912 + 14 + 14),
            (93 + 3, 1090 + 6 + 14),
        ];
        for (version, (messages, fields)) in Version::ALL.into_iter().zip(counts) {
            let dictionary = Dictionary::application(version);
            assert_eq!(dictionary.message_types().count(), messages, "{version:?}");
            assert_eq!(dictionary.definitions.len(), fields, "{version:?}");
        }
        let newest = Dictionary::application(Version::Fix50Sp2);
        assert_eq!((newest.message_types().count(), newest.definitions.len()), (156, 6028 + 4));
        let transport = Dictionary::session(Version::Fix50);
        assert_eq!((transport.message_types().count(), transport.definitions.len()), (8, 71 + 2));
    }

    #[test]
    fn the_orders_of_a_list_have_what_an_order_has() {
        let fix44 = Dictionary::application(Version::Fix44);
        let group = fix44.message(b"E").unwrap().find(73).unwrap().group;
        let group = &fix44.groups[usize::from(group)];
        assert_eq!(group.first, 11);
        assert!([1138, 1107, 9101, 44, 11].iter().all(|&tag| group.find(tag).is_some()));
        assert!(
            !Dictionary::application(Version::Fix50).allows(b"A", 35002),
            "the Logon is the session layer's"
        );
        assert!(Dictionary::session(Version::Fix50).allows(b"A", 35002));
    }

    #[test]
    fn members_of_components_and_groups_are_where_they_belong() {
        let fix44 = Dictionary::application(Version::Fix44);
        assert!(fix44.allows(b"D", 55) && fix44.allows(b"D", 453) && fix44.allows(b"D", 2964));
        assert!(!fix44.allows(b"D", 448) && !fix44.allows(b"0", 55) && !fix44.allows(b"ZZ", 55));
        let order = fix44.message(b"D").unwrap();
        assert_eq!(order.required, [11, 40, 54, 60]);
        let parties = order.find(453).unwrap();
        assert!(fix44.groups[usize::from(parties.group)].find(448).is_some());
        assert!(
            fix44.allows_value(54, b"1") && !fix44.allows_value(54, b"Z") && fix44.allows_value(58, b"any")
        );
        let fix42 = Dictionary::application(Version::Fix42);
        assert!(fix42.allows(b"A", 554));
        assert!(
            fix42.allows_value(269, b"Q") && fix42.allows_value(269, b"0") && !fix42.allows_value(269, b"C")
        );
        assert!(!fix42.allows_value(279, b"Q"), "another field's set");
        let kinds = fix42.message(b"V").unwrap().find(267).unwrap();
        let slot = fix42.groups[usize::from(kinds.group)].find(269).unwrap();
        assert!(fix42.sets[usize::from(slot.set)].contains(slot.kind, b"Q"));
    }
}
