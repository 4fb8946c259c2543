//! The list of mutations: a text that a reviewer can read.
//!
//! ```text
//! # A comment.
//! file: engine/exchange/src/fees.rs
//! breaks: a volume of exactly a tier's least does not reach it
//! - let reached = others.take_while(|tier| i128::from(tier.min_volume_minor) <= volume_minor);
//! + let reached = others.take_while(|tier| i128::from(tier.min_volume_minor) < volume_minor);
//! ```
//!
//! Entries are separated by empty lines. Lines with `-` are what stands in the file, one after another, exactly once;
//! indentation does not matter. Lines with `+` take their place; none deletes them.

/// A change to one file that some test must notice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mutation {
    /// Where it stands in its list, for messages: `name:line`.
    pub place: String,
    /// The file that it changes, relative to the root.
    pub file: String,
    /// What it breaks.
    pub breaks: String,
    /// Lines that stand there, without indentation.
    pub before: Vec<String>,
    /// What takes their place, without indentation.
    pub after: Vec<String>,
}

/// Reads a list.
///
/// # Errors
/// The first entry that is incomplete, or line that is none of the known ones, with its place.
pub fn parse(name: &str, text: &str) -> Result<Vec<Mutation>, String> {
    let mut mutations = Vec::new();
    let mut current: Option<Mutation> = None;
    // One empty line more ends the last entry.
    for (number, line) in text.lines().chain([""]).enumerate() {
        let line = line.trim();
        if line.starts_with('#') {
            continue;
        }
        if line.is_empty() {
            mutations.extend(current.take().map(complete).transpose()?);
            continue;
        }
        let place = format!("{name}:{}", number + 1);
        let entry = current.get_or_insert_with(|| Mutation { place: place.clone(), ..Mutation::default() });
        if let Some(file) = line.strip_prefix("file:") {
            entry.file = file.trim().to_owned();
        } else if let Some(breaks) = line.strip_prefix("breaks:") {
            entry.breaks = breaks.trim().to_owned();
        } else if let Some(before) = line.strip_prefix('-') {
            entry.before.push(before.trim().to_owned());
        } else if let Some(after) = line.strip_prefix('+') {
            entry.after.push(after.trim().to_owned());
        } else {
            return Err(format!("{place}: a line begins with `file:`, `breaks:`, `-`, `+` or `#`: {line}"));
        }
    }
    Ok(mutations)
}

fn complete(mutation: Mutation) -> Result<Mutation, String> {
    let Mutation { place, file, breaks, before, after } = &mutation;
    if file.is_empty() || breaks.is_empty() || before.is_empty() {
        return Err(format!("{place}: an entry needs `file:`, `breaks:` and at least one line with `-`"));
    }
    if before == after {
        return Err(format!("{place}: changes nothing"));
    }
    Ok(mutation)
}

impl Mutation {
    /// The file's text with the change made.
    ///
    /// # Errors
    /// If the lines do not stand there exactly once.
    pub fn apply(&self, text: &str) -> Result<String, String> {
        let lines: Vec<&str> = text.lines().collect();
        let stands =
            |window: &[&str]| window.iter().zip(&self.before).all(|(line, wanted)| line.trim() == wanted);
        let mut found = lines.windows(self.before.len()).enumerate().filter(|(_, window)| stands(window));
        let (Some((at, window)), None) = (found.next(), found.next()) else {
            let count = lines.windows(self.before.len()).filter(|window| stands(window)).count();
            return Err(format!("{}: stands {count} times in {}, and must once", self.place, self.file));
        };
        let first = window.first().copied().unwrap_or_default();
        let indentation = &first[..first.len() - first.trim_start().len()];
        let (head, tail) = (&lines[..at], &lines[at + self.before.len()..]);
        let after = self.after.iter().map(|line| format!("{indentation}{line}"));
        let changed = head.iter().map(|&line| line.to_owned()).chain(after);
        let changed: Vec<String> = changed.chain(tail.iter().map(|&line| line.to_owned())).collect();
        Ok(changed.join("\n") + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
# What it is for.
file: a.rs
breaks: the sum
- one + two
+ one - two

file: b.rs
breaks: two lines, deleted
# In between.
- first();
- second();
";

    #[test]
    fn entries_are_read_with_their_places() {
        let list = parse("list.txt", LIST).unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!((list[0].place.as_str(), list[0].file.as_str()), ("list.txt:2", "a.rs"));
        assert_eq!((list[0].breaks.as_str(), list[0].before[0].as_str()), ("the sum", "one + two"));
        assert_eq!(list[0].after, ["one - two"]);
        assert_eq!((list[1].before.len(), list[1].after.len()), (2, 0));
        assert_eq!(list[1].place, "list.txt:7");
    }

    #[test]
    fn incomplete_entries_are_named() {
        for (text, message) in [
            ("file: a.rs\n- x\n+ y\n", "list.txt:1: an entry needs"),
            ("\nbreaks: it\n- x\n+ y\n", "list.txt:2: an entry needs"),
            ("file: a.rs\nbreaks: it\n+ y\n", "an entry needs"),
            ("file: a.rs\nbreaks: it\n- x\n+ x\n", "changes nothing"),
            ("file: a.rs\nwhat: it\n", "list.txt:2: a line begins with"),
        ] {
            let error = parse("list.txt", text).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn a_change_is_made_where_its_lines_stand_and_only_if_they_stand_once() {
        let list = parse("list.txt", LIST).unwrap();
        let changed = list[0].apply("fn sum() {\n    one + two\n}\n").unwrap();
        assert_eq!(changed, "fn sum() {\n    one - two\n}\n");
        let error = list[0].apply("one + two\n  one + two\n").unwrap_err();
        assert!(error.contains("stands 2 times in a.rs"), "{error}");
        assert!(list[0].apply("one + two + three\n").unwrap_err().contains("stands 0 times"));
        assert_eq!(list[1].apply("  first();\n  second();\n  third();\n").unwrap(), "  third();\n");
        assert!(list[1].apply("first();\nthird();\nsecond();\n").is_err());
        assert!(list[1].apply("first();\n").is_err());
    }
}
