//! Reads the tables. They are part of this program, so a table that cannot be read is a broken build: it panics.

use super::block::{Block, Member, NO_GROUP};
use super::{Definition, Dictionary, Kind, NO_SET, ValueSet};
use crate::fix::{Version, tags};

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
        // What follows a count is checked by counting, whatever the old versions call its type.
        self.by_tag.resize(self.by_tag.len().max(tag + 1), 0);
        self.definitions.push(Definition { kind, set });
        self.by_tag[tag] = self.definitions.len() as u16;
    }

    fn member(&self, tag: u16, group: u16, required: bool) -> Member {
        let definition = self.by_tag[usize::from(tag)].checked_sub(1).expect("a defined tag");
        Member { tag, definition, group, required }
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

    /// Fields that we take beyond the specification: name and password in the Logon of versions older than 4.3, and
    /// SelfMatchPreventionInstruction, which is from FIX Latest, with orders.
    fn add_ours(&mut self, version: Option<Version>, messages: &mut [(Vec<u8>, Vec<Member>)]) {
        let mut add = |kind, tag: u32, types: &[&[u8]]| {
            if self.by_tag.get(tag as usize).is_none_or(|&at| at == 0) {
                self.define(kind, &tag.to_string());
            }
            let member = self.member(tag as u16, NO_GROUP, false);
            for (name, members) in messages.iter_mut() {
                if types.contains(&name.as_slice()) {
                    members.push(member);
                }
            }
        };
        if version.is_some_and(|version| version < Version::Fix43) {
            add(Kind::Text, tags::USERNAME, &[b"A"]);
            add(Kind::Text, tags::PASSWORD, &[b"A"]);
        }
        if version.is_some() {
            add(Kind::Integer, tags::SELF_MATCH_PREVENTION_INSTRUCTION, &[b"D", b"G"]);
        }
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
        // Messages and fields as counted in the XML files, plus those of `add_ours` and `add_replays`.
        let counts = [
            (27, 138 + 3),
            (28, 206 + 3),
            (46 + 3, 405 + 3 + 14),
            (68 + 3, 635 + 1 + 14),
            (93 + 3, 912 + 1 + 14),
            (93 + 3, 1090 + 1 + 14),
        ];
        for (version, (messages, fields)) in Version::ALL.into_iter().zip(counts) {
            let dictionary = Dictionary::application(version);
            assert_eq!(dictionary.message_types().count(), messages, "{version:?}");
            assert_eq!(dictionary.definitions.len(), fields, "{version:?}");
        }
        let newest = Dictionary::application(Version::Fix50Sp2);
        assert_eq!((newest.message_types().count(), newest.definitions.len()), (156, 6028));
        let transport = Dictionary::session(Version::Fix50);
        assert_eq!((transport.message_types().count(), transport.definitions.len()), (8, 71));
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
        assert!(Dictionary::application(Version::Fix42).allows(b"A", 554));
    }
}
