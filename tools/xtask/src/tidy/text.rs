//! Hygiene of every file: what must not be committed.
//!
//! This file is not read by its own rules on words, since it has to name them.

use super::Finding;
use super::tree::{File, Tree};

const OWN_PATH: &str = "tools/xtask/src/tidy/text.rs";

/// Nothing in a source tree is larger; recorded data and build output are.
const LARGEST_BYTES: u64 = 512 * 1024;

/// Folders of one person's or one machine's. Temporary files come from `env::temp_dir` or `tempfile`.
const MACHINE_PATHS: [&str; 4] = ["/root/", "/work/", "/home/", "/tmp/"];

/// Ends of names of recorded markets and captures; they belong to their publishers.
const DATA_ENDINGS: [&str; 9] =
    [".itch", ".itch50", ".itch50.gz", ".itch.gz", ".pcap", ".pcapng", ".pcap.gz", ".parquet", ".dbn"];

/// Parts of the names of LOBSTER's files.
const DATA_PARTS: [&str; 4] = ["_message_", "_orderbook_", "_messages.csv", "_orderbook.csv"];

/// Reads every file.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.files.iter().flat_map(of_file).collect()
}

fn of_file(file: &File) -> Vec<Finding> {
    let File { path, size, text } = file;
    let mut findings = Vec::new();
    if *size > LARGEST_BYTES {
        let message = format!("has {size} bytes, more than {LARGEST_BYTES}: keep it outside the repository");
        findings.push(Finding::new(path, 0, message));
    }
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    let recorded = DATA_PARTS.iter().any(|part| name.contains(part)) && name.contains(".csv");
    if recorded || DATA_ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        findings.push(Finding::new(path, 0, "is named like recorded market data: that is never committed"));
    }
    let Some(text) = text else { return findings };
    if !text.is_empty() && !text.ends_with('\n') {
        findings.push(Finding::new(path, text.lines().count(), "does not end with a line break"));
    }
    for (index, line) in text.split('\n').enumerate() {
        findings.extend(objections(path, line).into_iter().map(|what| Finding::new(path, index + 1, what)));
    }
    findings
}

fn objections(path: &str, line: &str) -> Vec<String> {
    let mut found = Vec::new();
    if line.ends_with([' ', '\t', '\r']) {
        found.push("has white space at its end".to_owned());
    }
    if path.ends_with(".rs") && line.contains('\t') {
        found.push("has a tab: Rust is indented with spaces".to_owned());
    }
    if path == OWN_PATH {
        return found;
    }
    for folder in MACHINE_PATHS.iter().filter(|folder| names_folder(line, folder)) {
        found.push(format!(
            "names `{folder}`, a folder of one machine: take a relative path, or env::temp_dir"
        ));
    }
    if path.ends_with(".rs") && line.contains("dbg!") {
        found.push("has `dbg!`".to_owned());
    }
    let linked = line.contains("/issues/");
    for mark in ["TODO", "FIXME", "XXX"].iter().filter(|mark| !linked && has_word(line, mark)) {
        found.push(format!(
            "has {mark} without a link to its issue: do it, or write down where it will be done"
        ));
    }
    found
}

/// Whether an absolute path starts with `folder`: nothing that would make it a part of a longer path stands before.
fn names_folder(line: &str, folder: &str) -> bool {
    let part_of_path = |character: char| character.is_alphanumeric() || "._-~}*/".contains(character);
    line.match_indices(folder).any(|(at, _)| !line[..at].ends_with(part_of_path))
}

fn has_word(line: &str, word: &str) -> bool {
    let part_of_word = |character: char| character.is_alphanumeric() || character == '_';
    let ends = |at: usize| !line[at + word.len()..].starts_with(part_of_word);
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(part_of_word) && ends(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn each_bad_line_is_found() {
        for bad in [
            "let x = 1; \n",
            "\tlet x = 1;\n",
            "let x = 1;\r\n",
            "let path = \"/tmp/x\";\n",
            "// see /root/notes\n",
            "// TODO: later\n",
            "// FIXME\n",
            "// XXX\n",
            "dbg!(x);\n",
            "let x = 1;",
        ] {
            assert_eq!(count("a.rs", bad), 1, "{bad:?}");
        }
    }

    #[test]
    fn what_only_looks_similar_is_free() {
        let good = "// TODO(https://example.org/x/issues/12): later\n// ../work/shared, target/tmp/x, XXXL\nx(dbg);\n";
        assert_eq!(count("a.rs", good), 0);
        assert_eq!(count("Makefile", "all:\n\tcargo build\n"), 0);
        assert_eq!(count("empty.md", ""), 0);
    }

    #[test]
    fn large_files_and_market_data_are_found() {
        assert_eq!(count("big.txt", &"x\n".repeat(256 * 1024 + 1)), 1);
        assert_eq!(count("big.txt", &"x\n".repeat(256 * 1024)), 0);
        for bad in [
            "d/12302019.NASDAQ_ITCH50.itch50",
            "AAPL_2012_message_50.csv.gz",
            "a/x.PCAP",
            "b_orderbook_5.csv",
        ] {
            assert_eq!(count(bad, ""), 1, "{bad}");
        }
        assert_eq!(count("marketdata/src/orderbook_view.rs", ""), 0);
    }
}
