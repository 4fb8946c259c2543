//! Messages made from the dictionaries themselves: every type of every version, whole and damaged.

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, SeedableRng as _};

use super::block::NO_GROUP;
use super::check::Switches;
use super::*;
use crate::fix::{FieldIndex, Frame, MessageWriter, find_frame, tags};

/// Fields in their order.
type Fields = Vec<(u32, Vec<u8>)>;

struct Maker<'a> {
    dictionary: &'a Dictionary,
    random: &'a mut StdRng,
}

impl Maker<'_> {
    fn value(&mut self, slot: Slot) -> Vec<u8> {
        if slot.set != NO_SET {
            let choice = self.random.random_range(0..1000);
            return self.dictionary.sets[usize::from(slot.set)].pick(choice);
        }
        let choices: &[&str] = match slot.kind {
            Kind::Text | Kind::Several => &["text", "two words", "\u{e9}=|", "x"],
            Kind::Char => &["a", "9"],
            Kind::Integer => &["-3", "0", "17"],
            Kind::Natural => &["0", "123456789"],
            Kind::Decimal => &["-1.50", "0", "1000000.000001", ".5"],
            Kind::Boolean => &["Y", "N"],
            Kind::Timestamp => &["20240229-23:59:60", "20240229-12:00:00.123456789"],
            Kind::Date => &["20240229", "19991231"],
            Kind::TimeOfDay => &["00:00:00", "23:59:59.999"],
            Kind::MonthYear => &["202402", "20240229", "202402w3"],
        };
        choices.choose(self.random).expect("not empty").as_bytes().to_vec()
    }

    /// The required fields of a block and some of the others. The block's first field comes first, as groups need it.
    fn fields(&mut self, block: &Block, depth: usize) -> Fields {
        let is_data = |tag: u32| (1..60_000).any(|length| tags::data_tag_of(length) == Some(tag));
        let mut slots: Vec<Slot> = block.slots().collect();
        slots.sort_by_key(|slot| slot.tag);
        slots.shuffle(self.random);
        slots.sort_by_key(|slot| slot.tag != block.first);
        let share = 8.0 / block.length as f64;
        let mut fields = Fields::new();
        for slot in slots {
            let tag = u32::from(slot.tag);
            let required = usize::from(slot.ordinal) < block.required.len();
            let starts = slot.tag == block.first && depth > 0;
            let chosen = required || starts || self.random.random_bool(share.min(1.0));
            if !chosen || matches!(tag, 8 | 9 | 10 | 35) {
                continue;
            }
            // Length and data stay together; the data may hold the delimiter.
            if let Some(data) = tags::data_tag_of(tag).filter(|&data| block.find(data).is_some()) {
                fields.push((tag, b"5".to_vec()));
                fields.push((data, b"a\x01b=c".to_vec()));
            } else if tags::data_tag_of(tag).is_none() && !is_data(tag) {
                self.field(slot, depth, &mut fields);
            }
        }
        fields
    }

    fn field(&mut self, slot: Slot, depth: usize, fields: &mut Fields) {
        if slot.group == NO_GROUP {
            let value = self.value(slot);
            return fields.push((u32::from(slot.tag), value));
        }
        let set = self.dictionary.sets.get(usize::from(slot.set));
        let mut instances = if depth > 2 { 0 } else { self.random.random_range(0..3usize) };
        while set.is_some_and(|set| !set.contains(Kind::Text, instances.to_string().as_bytes())) {
            instances += 1;
        }
        fields.push((u32::from(slot.tag), instances.to_string().into_bytes()));
        let dictionary = self.dictionary;
        for _ in 0..instances {
            fields.extend(self.fields(&dictionary.groups[usize::from(slot.group)], depth + 1));
        }
    }
}

fn body(version: Version, message_type: &[u8], random: &mut StdRng) -> Fields {
    let checker = Checker::new(version);
    let dictionary = checker.body_of(message_type);
    let session = Dictionary::session(version);
    let header = Maker { dictionary: session, random }.fields(&session.header, 0);
    let block = dictionary.message(message_type).expect("a type of this version");
    let mut all = header;
    all.extend(Maker { dictionary, random }.fields(block, 0));
    all
}

fn encode(version: Version, message_type: &[u8], fields: &Fields) -> Vec<u8> {
    let mut buffer = Vec::new();
    let mut writer = MessageWriter::begin(&mut buffer, version, message_type);
    fields.iter().for_each(|(tag, value)| writer.bytes(*tag, value));
    writer.finish();
    buffer
}

/// Every type of every version, session messages included.
fn all_types() -> Vec<(Version, Vec<u8>)> {
    let types = |version: Version| {
        let dictionaries = [Dictionary::session(version), Dictionary::application(version)];
        let mut names: Vec<Vec<u8>> =
            dictionaries.iter().flat_map(|it| it.message_types()).map(<[u8]>::to_vec).collect();
        names.sort();
        names.dedup();
        names.into_iter().map(move |name| (version, name))
    };
    Version::ALL.into_iter().flat_map(types).collect()
}

/// Encode, then decode, then check: the same fields, and nothing wrong with them.
fn round_trip(version: Version, message_type: &[u8], seed: [u8; 32]) {
    let fields = body(version, message_type, &mut StdRng::from_seed(seed));
    let bytes = encode(version, message_type, &fields);
    assert_eq!(find_frame(&bytes, 1 << 20), Frame::Complete(bytes.len()));
    let mut index = FieldIndex::new();
    let message = index.parse(&bytes).expect("what was encoded");
    let inner = &message.fields()[3..message.fields().len() - 1];
    let decoded: Fields = inner.iter().map(|it| (it.tag, message.value(it).to_vec())).collect();
    let name = message_type.escape_ascii();
    assert_eq!(decoded, fields, "{version:?} {name}");
    let problem = Checker::new(version).check(&message, &Switches::default());
    assert_eq!(problem, None, "{version:?} {name} seed {seed:?}: {}", bytes.escape_ascii());
}

#[test]
fn every_message_type_of_every_version_survives_encoding_and_is_valid() {
    let mut seed = [0; 32];
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    seed[..16].copy_from_slice(&now.as_nanos().to_le_bytes());
    println!("seed {seed:?}");
    let types = all_types();
    assert!(types.len() > 600);
    for round in 0..8 {
        seed[31] = round;
        types.iter().for_each(|(version, message_type)| round_trip(*version, message_type, seed));
    }
}

#[test]
fn every_required_field_is_missed() {
    for (version, message_type) in all_types() {
        let dictionary = Checker::new(version).body_of(&message_type);
        let fields = body(version, &message_type, &mut StdRng::from_seed([7; 32]));
        let required = &dictionary.message(&message_type).expect("listed").required;
        for &tag in required {
            let at = fields.iter().position(|it| it.0 == u32::from(tag));
            let block = dictionary.message(&message_type).expect("listed");
            let has_group = block.find(u32::from(tag)).is_some_and(|it| it.group != NO_GROUP);
            let (Some(at), false) = (at, has_group) else { continue };
            let mut without = fields.clone();
            let data = tags::data_tag_of(u32::from(tag)).is_some();
            without.drain(at..at + 1 + usize::from(data));
            let bytes = encode(version, &message_type, &without);
            let mut index = FieldIndex::new();
            let message = index.parse(&bytes).expect("what was encoded");
            let problem = Checker::new(version).check(&message, &Switches::default());
            let reason = problem.map(|it| it.reason);
            assert_eq!(reason, Some(SessionRejectReason::RequiredTag), "{version:?} {message_type:?} {tag}");
        }
    }
}

/// Damages a message in one of seven ways.
fn damage(fields: &mut Fields, kind: u8, at: usize, tag: u32) {
    match kind {
        0 => drop(fields.remove(at)),
        1 => fields[at].1 = b"?".to_vec(),
        2 => fields[at].1.clear(),
        3 => fields.insert(at, (tag, b"1".to_vec())),
        4 => fields.swap(0, at),
        5 => fields.push(fields[at].clone()),
        _ => fields[at].0 = tag,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whoever remembers shapes finds what is found without, also right after a message that differs by one field.
    #[test]
    fn a_remembered_shape_hides_nothing(
        seeds in proptest::collection::vec((any::<[u8; 32]>(), 0..8u8, any::<prop::sample::Index>(), 1u32..1000), 1..5),
        which in any::<prop::sample::Index>(),
        (ordered, values, user, unknown) in any::<(bool, bool, bool, bool)>(),
    ) {
        let types = all_types();
        let (version, message_type) = which.get(&types);
        let switches = Switches {
            use_data_dictionary: true,
            validate_fields_out_of_order: ordered,
            validate_fields_have_values: values,
            validate_user_defined_fields: user,
            allow_unknown_msg_fields: unknown,
        };
        let mut remembering = RememberingChecker::new(*version, switches);
        for (seed, kind, place, tag) in seeds {
            let whole = body(*version, message_type, &mut StdRng::from_seed(seed));
            let mut damaged = whole.clone();
            damage(&mut damaged, kind, place.index(whole.len()), tag);
            for fields in [&whole, &whole, &damaged, &damaged, &whole] {
                let bytes = encode(*version, message_type, fields);
                let mut index = FieldIndex::new();
                if let Some(message) = index.parse(&bytes) {
                    let expected = Checker::new(*version).check(&message, &switches);
                    prop_assert_eq!(remembering.check(&message), expected, "{}", bytes.escape_ascii());
                }
            }
        }
    }

    /// The fast pass and the slow one agree on damaged messages.
    #[test]
    fn both_passes_agree(seed in any::<[u8; 32]>(), which in any::<prop::sample::Index>(), kind in 0..6u8, place in any::<prop::sample::Index>(), tag in 1u32..1000) {
        let types = all_types();
        let (version, message_type) = which.get(&types);
        let mut fields = body(*version, message_type, &mut StdRng::from_seed(seed));
        let at = place.index(fields.len());
        damage(&mut fields, kind, at, tag);
        let bytes = encode(*version, message_type, &fields);
        let mut index = FieldIndex::new();
        if let Some(message) = index.parse(&bytes) {
            let checker = Checker::new(*version);
            let switches = Switches::default();
            prop_assert_eq!(checker.is_valid(&message, &switches), checker.find_problem(&message, &switches).is_none());
        }
    }
}

fn problem_of(version: Version, kind: &str, fields: &str, switches: Switches) -> Option<(u64, u32)> {
    let header = "34=2|49=A|52=20240229-12:00:00|56=B|";
    let pair = |field: &str| {
        let (tag, value) = field.split_once('=').expect("tag=value");
        (tag.parse().expect("a tag"), value.as_bytes().to_vec())
    };
    let text = format!("{header}{fields}");
    let fields: Fields = text.split('|').filter(|field| !field.is_empty()).map(pair).collect();
    let bytes = encode(version, kind.as_bytes(), &fields);
    let mut index = FieldIndex::new();
    let message = index.parse(&bytes).expect("what was encoded");
    let problem = Checker::new(version).check(&message, &switches)?;
    let tag = if let TagRef::Number(tag) = problem.tag { tag } else { 0 };
    Some((problem.reason as u64, tag))
}

const ORDER: &str = "11=a|54=1|40=2|44=1|38=1|55=X|60=20240229-12:00:00|";

#[test]
fn problems_are_named_in_the_order_of_the_rules() {
    let order = |more: &str| problem_of(Version::Fix44, "D", &format!("{ORDER}{more}"), Switches::default());
    assert_eq!(order(""), None);
    assert_eq!(order("453=2|448=p|447=D|452=1|448=q|447=D|452=3|"), None);
    assert_eq!(order("453=1|448=p|447=D|452=1|448=q|447=D|452=3|"), Some((16, 453)), "one too many");
    assert_eq!(order("453=2|448=p|447=?|452=1|"), Some((16, 453)), "the count comes before the values");
    assert_eq!(order("453=1|448=p|447=?|452=1|"), Some((5, 447)), "values in groups are checked, too");
    assert_eq!(order("453=1|448=p|802=1|523=s|803=x|"), Some((6, 803)), "and in groups within groups");
    assert_eq!(order("448=p|"), Some((2, 448)), "no count, no group");
    assert_eq!(order("21=9|18=?|"), Some((5, 18)), "the lowest tag first");
    assert_eq!(order("18=1 G|"), None);
    assert_eq!(order("18=1 ?|"), Some((5, 18)));
    assert_eq!(order("50=late|21=9|"), Some((14, 50)), "order comes first");
    assert_eq!(order("20=0|"), Some((0, 20)), "FIX 4.4 has dropped it");
    assert_eq!(order("6=1|"), Some((2, 6)));
    assert_eq!(order("58=|"), Some((4, 58)));
    assert_eq!(order("58=a|58=b|"), Some((13, 58)));
    assert_eq!(order("2964=1|"), None, "ours");
    let kind = |kind| problem_of(Version::Fix44, kind, "", Switches::default());
    assert_eq!((kind("?"), kind("0"), kind("ZZ")), (Some((11, 0)), None, Some((11, 0))));
}

#[test]
fn versions_differ() {
    let in_version = |version, kind, fields: &str| problem_of(version, kind, fields, Switches::default());
    let without_handling = format!("{ORDER}21=1|");
    assert_eq!(in_version(Version::Fix42, "D", ORDER), Some((1, 21)), "HandlInst was required");
    assert_eq!(in_version(Version::Fix42, "D", &without_handling), None);
    assert_eq!(in_version(Version::Fix50Sp2, "D", ORDER), None);
    assert_eq!(in_version(Version::Fix50Sp2, "0", "55=X|"), Some((0, 55)), "FIXT.1.1 has no such tag");
    assert_eq!(in_version(Version::Fix44, "0", "55=X|"), Some((2, 55)));
    let oldest = "11=a|54=1|40=2|44=1|38=1|55=X|21=1|";
    assert_eq!(in_version(Version::Fix40, "D", oldest), None);
    assert_eq!(in_version(Version::Fix40, "D", &format!("{oldest}453=1|")), Some((0, 453)));
}

#[test]
fn each_switch_lets_through_what_it_names_and_no_more() {
    let all = Switches::default();
    let order = |more: &str, switches| problem_of(Version::Fix44, "D", &format!("{ORDER}{more}"), switches);
    let cases = [
        (Switches { validate_fields_out_of_order: false, ..all }, "50=late|", Some((14, 50))),
        (Switches { validate_fields_have_values: false, ..all }, "58=|", Some((4, 58))),
        (Switches { validate_user_defined_fields: false, ..all }, "5001=x|", Some((0, 5001))),
        (Switches { allow_unknown_msg_fields: true, ..all }, "6=1|", Some((2, 6))),
        (Switches { use_data_dictionary: false, ..all }, "20=0|", Some((0, 20))),
    ];
    for (switches, more, problem) in cases {
        assert_eq!(order(more, all), problem, "{more}");
        assert_eq!(order(more, switches), None, "{more}");
        if switches.use_data_dictionary {
            assert_eq!(order("54=1|", switches), Some((13, 54)), "{switches:?}");
            assert_eq!(order("4999=x|", switches), Some((0, 4999)), "{switches:?}");
        }
    }
}
