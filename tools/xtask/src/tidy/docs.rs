//! Documents: links lead somewhere, decisions have their parts, the changelog is kept.

use std::collections::BTreeMap;

use super::Finding;
use super::tree::Tree;

const DECISIONS: &str = "docs/decisions/";
const SECTIONS: [&str; 3] = ["Context", "Decision", "Costs"];

/// Reads every Markdown file.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = decisions(tree);
    let changelog = tree.text("CHANGELOG.md").unwrap_or_default();
    if !headings(changelog).iter().any(|heading| heading.to_lowercase().contains("unreleased")) {
        findings.push(Finding::new("CHANGELOG.md", 0, "has no section `Unreleased`"));
    }
    for (path, text) in tree.texts(".md") {
        findings
            .extend(links(text).into_iter().filter_map(|(line, target)| broken(tree, path, line, &target)));
    }
    findings
}

fn decisions(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut numbers: BTreeMap<&str, &str> = BTreeMap::new();
    for file in &tree.files {
        let Some(name) = file.path.strip_prefix(DECISIONS) else { continue };
        let number = name.get(..4).filter(|number| number.bytes().all(|digit| digit.is_ascii_digit()));
        let title =
            name.get(4..).and_then(|rest| rest.strip_prefix('-')).and_then(|rest| rest.strip_suffix(".md"));
        let (Some(number), Some(_)) = (number, title.filter(|title| !title.is_empty())) else {
            findings.push(Finding::new(&file.path, 0, "a decision is named NNNN-title.md"));
            continue;
        };
        if let Some(other) = numbers.insert(number, name) {
            findings.push(Finding::new(
                &file.path,
                0,
                format!("has the number of {other}: take the next free one"),
            ));
        }
        let headings = headings(file.text.as_deref().unwrap_or_default());
        for section in SECTIONS.iter().filter(|section| !headings.iter().any(|heading| heading == *section)) {
            findings.push(Finding::new(&file.path, 0, format!("has no section `## {section}`")));
        }
    }
    findings
}

/// The lines of a document that are not inside a fence, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((index + 1, line))
    })
}

fn headings(text: &str) -> Vec<String> {
    let heading = |line: &str| {
        let title = line.trim_start_matches('#');
        (line.len() > title.len() && title.starts_with(' ')).then(|| title.trim().to_owned())
    };
    prose(text).filter_map(|(_, line)| heading(line)).collect()
}

/// The anchor that a heading gets: small letters, digits, `-` and `_`, spaces as `-`.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|character| character.is_alphanumeric() || "-_".contains(*character)).collect()
}

/// Targets of `[text](target)` and `[text]: target`, with their lines; not inside code.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, content) in prose(text) {
        let outside: String = content.split('`').step_by(2).collect::<Vec<_>>().join("``");
        for (at, _) in outside.match_indices("](") {
            let target = outside[at + 2..].split([')', ' ']).next().unwrap_or_default();
            found.push((line, target.to_owned()));
        }
        if let Some((_, target)) = outside.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
            found.push((line, target.trim().to_owned()));
        }
    }
    found
}

fn broken(tree: &Tree, path: &str, line: usize, target: &str) -> Option<Finding> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
    let place = if file.is_empty() { Some(path.to_owned()) } else { resolve(path, file) };
    let Some(place) = place.filter(|place| tree.has(place)) else {
        return Some(Finding::new(path, line, format!("links to `{target}`, which is not there")));
    };
    let document = tree.text(&place).filter(|_| place.ends_with(".md") && !fragment.is_empty())?;
    let known = headings(document).iter().any(|heading| anchor(heading) == fragment);
    (!known).then(|| Finding::new(path, line, format!("links to `{target}`, but there is no such heading")))
}

/// A relative link as a path from the root; `None` if it leaves the repository.
fn resolve(from: &str, target: &str) -> Option<String> {
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGELOG: (&str, &str) = ("CHANGELOG.md", "# Changes\n\n## Unreleased\n");

    fn messages(files: &[(&str, &str)]) -> Vec<String> {
        let mut all = vec![CHANGELOG];
        all.extend(files);
        check(&Tree::of(&all)).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn links_must_lead_to_files_and_headings() {
        let target = ("docs/b.md", "# Title of b: one\n");
        for bad in ["[x](docs/c.md)", "[x](docs/b.md#two)", "[x](../out.md)", "[x](#none)", "[x]: docs/c.md"]
        {
            assert_eq!(messages(&[target, ("a.md", bad)]).len(), 1, "{bad}");
        }
        for good in [
            "[x](docs/b.md) and [y](docs)",
            "[x](docs/b.md#title-of-b-one)",
            "[x](https://example.org/none)",
            "`[x](none.md)`",
            "```\n[x](none.md)\n```",
        ] {
            assert!(messages(&[target, ("a.md", good)]).is_empty(), "{good}");
        }
        assert!(messages(&[target, ("docs/a.md", "[x](b.md) [y](../CHANGELOG.md)")]).is_empty());
    }

    #[test]
    fn decisions_have_their_sections_and_a_number_of_their_own() {
        let whole = "# T\n## Context\n## Decision\n## Costs\n";
        assert!(messages(&[("docs/decisions/0001-a.md", whole)]).is_empty());
        assert_eq!(messages(&[("docs/decisions/0001-a.md", "# T\n## Context\n")]).len(), 2);
        assert_eq!(messages(&[("docs/decisions/1-a.md", whole)]).len(), 1);
        let twice = messages(&[("docs/decisions/0001-a.md", whole), ("docs/decisions/0001-b.md", whole)]);
        assert!(twice[0].contains("has the number of 0001-a.md"), "{twice:?}");
    }

    #[test]
    fn the_changelog_has_an_unreleased_section() {
        assert_eq!(check(&Tree::of(&[("CHANGELOG.md", "# Changes\n## 0.1.0\n")])).len(), 1);
        assert_eq!(check(&Tree::of(&[])).len(), 1);
    }
}
