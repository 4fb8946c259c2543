//! Turns the FIX specification (QuickFIX's XML files) into the tables that the gateway reads.
//!
//! The tables are text, one per version, so that a change of the specification is a diff that can be read. Lines of
//! words; the first word is the kind of line, tags are numbers:
//!
//! - `version` BeginString
//! - `e` values: one set of enumerated values; sets are numbered from 0 in their order
//! - `t` TYPE fields: `TAG`, or `TAG:SET` when its values are enumerated
//! - `c` members: a component; components are numbered from 0, and refer only to earlier ones
//! - `g` TAG members: a repeating group with its count field; numbered from 0 likewise
//! - `h` members, `r` members: header and trailer
//! - `m` TYPE members: a message
//!
//! A member is `TAG`, `cN` (component N) or `gN` (group N), with `!` behind it if it is required.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use roxmltree::{Document, Node};

/// File names without ending: the source's and ours.
const VERSIONS: [(&str, &str); 9] = [
    ("FIX40", "fix40"),
    ("FIX41", "fix41"),
    ("FIX42", "fix42"),
    ("FIX43", "fix43"),
    ("FIX44", "fix44"),
    ("FIX50", "fix50"),
    ("FIX50SP1", "fix50sp1"),
    ("FIX50SP2", "fix50sp2"),
    ("FIXT11", "fixt11"),
];

/// Where the tables go.
const FOLDER: &str = "gateway/src/dictionary/tables";

/// Writes all tables from the XML files in `source`. Whether that succeeded; says why not.
pub fn run(root: &Path, source: &Path) -> bool {
    let mut lengths = BTreeMap::new();
    for (file, name) in VERSIONS {
        let path = source.join(file).with_extension("xml");
        let table = std::fs::read_to_string(&path)
            .map_err(|error| error.to_string())
            .and_then(|text| table(&text, file, &mut lengths));
        let written = table.and_then(|table| {
            let target = root.join(FOLDER).join(name).with_extension("txt");
            std::fs::write(target, table).map_err(|error| error.to_string())
        });
        if let Err(error) = written {
            eprintln!("{}: {error}", path.display());
            return false;
        }
    }
    let target = root.join(FOLDER).join("lengths.txt");
    match std::fs::write(&target, lengths_table(&lengths)) {
        Ok(()) => true,
        Err(error) => {
            eprintln!("{}: {error}", target.display());
            false
        }
    }
}

fn heading(what: &str) -> String {
    format!(
        "# {what}\n# Written by `cargo xtask fix-dictionaries`; format: tools/xtask/src/fix_dictionaries.rs.\n\
         # Source: the data dictionaries of QuickFIX (quickfixengine.org, The QuickFIX Software License 1.0).\n"
    )
}

fn lengths_table(lengths: &BTreeMap<u32, u32>) -> String {
    let mut text = heading("Length fields with the data fields that follow them, all versions.");
    for (length, data) in lengths {
        let _ = writeln!(text, "{length} {data}");
    }
    text
}

/// Wraps words into lines that start with `head`; a line that goes on is indented.
fn push_line(text: &mut String, head: &str, words: impl IntoIterator<Item = String>) {
    let mut width = head.len();
    text.push_str(head);
    for word in words {
        if width + 1 + word.len() > 110 {
            text.push_str("\n ");
            width = 1;
        }
        let _ = write!(text, " {word}");
        width += 1 + word.len();
    }
    text.push('\n');
}

struct Converter<'a> {
    tags: BTreeMap<&'a str, u32>,
    components: BTreeMap<&'a str, Node<'a, 'a>>,
    numbers: BTreeMap<&'a str, usize>,
    /// Groups by their text, so that equal ones are written once.
    groups: BTreeMap<String, usize>,
    /// Components and groups in the order in which they must be read.
    blocks: String,
}

fn table(xml: &str, file: &str, lengths: &mut BTreeMap<u32, u32>) -> Result<String, String> {
    let document = Document::parse(xml).map_err(|error| error.to_string())?;
    let root = document.root_element();
    let fields = child(root, "fields")?;
    let mut text = heading(&format!("FIX data dictionary, from {file}.xml."));
    let version = if root.attribute("type") == Some("FIXT") { "FIXT" } else { "FIX" };
    let number = |name| root.attribute(name).unwrap_or("0");
    let _ = writeln!(text, "version {version}.{}.{}", number("major"), number("minor"));
    let tags = push_fields(&mut text, fields)?;
    collect_lengths(fields, &tags, lengths);
    let components = child(root, "components").map(|node| {
        let all = node.children().filter(Node::is_element);
        all.map(|it| (it.attribute("name").unwrap_or_default(), it)).collect()
    });
    let mut converter = Converter {
        tags,
        components: components.unwrap_or_default(),
        numbers: BTreeMap::new(),
        groups: BTreeMap::new(),
        blocks: String::new(),
    };
    let mut ends = String::new();
    for (head, name) in [("h", "header"), ("r", "trailer")] {
        let members = converter.members(child(root, name)?)?;
        push_line(&mut ends, head, members);
    }
    for message in child(root, "messages")?.children().filter(Node::is_element) {
        let members = converter.members(message)?;
        push_line(&mut ends, &format!("m {}", attribute(message, "msgtype")?), members);
    }
    Ok(text + &converter.blocks + &ends)
}

fn child<'a>(node: Node<'a, 'a>, name: &str) -> Result<Node<'a, 'a>, String> {
    node.children().find(|it| it.has_tag_name(name)).ok_or_else(|| format!("no <{name}>"))
}

fn attribute<'a>(node: Node<'a, 'a>, name: &str) -> Result<&'a str, String> {
    node.attribute(name).ok_or_else(|| format!("<{}> without {name}", node.tag_name().name()))
}

/// Writes the value sets and the types; gives the tags by name.
fn push_fields<'a>(text: &mut String, fields: Node<'a, 'a>) -> Result<BTreeMap<&'a str, u32>, String> {
    let mut tags = BTreeMap::new();
    let mut sets: Vec<Vec<String>> = Vec::new();
    let mut types: BTreeMap<&str, BTreeMap<u32, Option<usize>>> = BTreeMap::new();
    for field in fields.children().filter(Node::is_element) {
        let tag: u32 = attribute(field, "number")?.parse().map_err(|_| "a tag that is no number")?;
        tags.insert(attribute(field, "name")?, tag);
        let values = field.children().filter_map(|it| it.attribute("enum")).map(str::to_owned);
        let mut values: Vec<String> = values.collect();
        values.sort();
        values.dedup();
        // A value with a space is a description ("ISO Country Code"), not something that a message holds.
        let enumerated = !values.is_empty() && !values.iter().any(|value| value.contains(' '));
        let set = enumerated.then(|| {
            sets.iter().position(|it| *it == values).unwrap_or_else(|| {
                sets.push(values);
                sets.len() - 1
            })
        });
        types.entry(attribute(field, "type")?).or_default().insert(tag, set);
    }
    for set in sets {
        push_line(text, "e", set);
    }
    for (name, fields) in types {
        let words = fields.iter().map(|(tag, set)| match set {
            Some(set) => format!("{tag}:{set}"),
            None => tag.to_string(),
        });
        push_line(text, &format!("t {name}"), words);
    }
    Ok(tags)
}

/// Pairs each data field with its length field: its name with `Len` or `Length`, or else the tag before it.
fn collect_lengths(fields: Node<'_, '_>, tags: &BTreeMap<&str, u32>, lengths: &mut BTreeMap<u32, u32>) {
    let data = fields.children().filter(|it| matches!(it.attribute("type"), Some("DATA" | "XMLDATA")));
    for name in data.filter_map(|it| it.attribute("name")) {
        let tag = tags[name];
        let named = ["Len", "Length"].map(|ending| tags.get(format!("{name}{ending}").as_str()).copied());
        lengths.insert(named[0].or(named[1]).unwrap_or(tag - 1), tag);
    }
}

impl<'a> Converter<'a> {
    fn members(&mut self, node: Node<'a, 'a>) -> Result<Vec<String>, String> {
        let mut words = Vec::new();
        for it in node.children().filter(Node::is_element) {
            let name = attribute(it, "name")?;
            let tag = || self.tags.get(name).copied().ok_or_else(|| format!("no field {name}"));
            let word = match it.tag_name().name() {
                "field" => tag()?.to_string(),
                "group" => {
                    let tag = tag()?;
                    format!("g{}", self.group(it, tag)?)
                }
                "component" => format!("c{}", self.component(name)?),
                other => return Err(format!("<{other}> among fields")),
            };
            let required = matches!(it.attribute("required"), Some("Y" | "y"));
            words.push(if required { word + "!" } else { word });
        }
        Ok(words)
    }

    fn group(&mut self, node: Node<'a, 'a>, tag: u32) -> Result<usize, String> {
        let mut line = String::new();
        let members = self.members(node)?;
        push_line(&mut line, &format!("g {tag}"), members);
        let next = self.groups.len();
        let number = *self.groups.entry(line.clone()).or_insert(next);
        if number == next {
            self.blocks.push_str(&line);
        }
        Ok(number)
    }

    fn component(&mut self, name: &'a str) -> Result<usize, String> {
        if let Some(number) = self.numbers.get(name) {
            return Ok(*number);
        }
        let node = *self.components.get(name).ok_or_else(|| format!("no component {name}"))?;
        let members = self.members(node)?;
        push_line(&mut self.blocks, "c", members);
        let number = self.numbers.len();
        self.numbers.insert(name, number);
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_specification_becomes_its_table() {
        let xml = "<fix type='FIX' major='4' minor='9'>
          <header><field name='A' required='Y'/></header>
          <trailer><field name='A' required='N'/></trailer>
          <messages><message name='M' msgtype='X'>
            <component name='C' required='Y'/><field name='B' required='N'/></message></messages>
          <components><component name='C'>
            <group name='N' required='Y'><field name='B' required='Y'/></group></component></components>
          <fields>
            <field number='1' name='A' type='CHAR'><value enum='2'/><value enum='1'/></field>
            <field number='2' name='B' type='DATA'/>
            <field number='3' name='BLen' type='LENGTH'><value enum='a b'/></field>
            <field number='4' name='N' type='INT'/>
          </fields></fix>";
        let mut lengths = BTreeMap::new();
        let text = table(xml, "F", &mut lengths).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected =
            "version FIX.4.9|e 1 2|t CHAR 1:0|t DATA 2|t INT 4|t LENGTH 3|g 4 2!|c g0!|h 1!|r 1|m X c0! 2";
        assert_eq!(lines.join("|"), expected);
        assert_eq!(lengths, BTreeMap::from([(3, 2)]));
        assert!(table(&xml.replace("name='C' r", "name='Q' r"), "F", &mut lengths).is_err());
    }
}
