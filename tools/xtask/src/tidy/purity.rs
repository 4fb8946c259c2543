//! Crates below `engine/` are pure: no standard library, no floats.
//!
//! What a state machine cannot reach it cannot depend on: without `std` there is no clock, file, socket, thread or
//! randomly seeded map, and without floats no result that differs between processors. Code for tests is free.

use std::collections::BTreeSet;

use super::Finding;
use super::rust::{self, Code, Token};
use super::tree::Tree;

/// Looks at every source file below `engine/`.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let test_files = rust::test_files(tree);
    let mut findings = Vec::new();
    for (path, text) in tree.texts(".rs").filter(|(path, _)| path.starts_with("engine/")) {
        if path.ends_with("/src/lib.rs") && !without_spaces(text).contains("#![no_std]") {
            findings.push(Finding::new(path, 1, "a pure crate starts with `#![no_std]`"));
        }
        if !test_files.contains(path) {
            findings.extend(words(path, text));
        }
    }
    let crates: BTreeSet<&str> = tree.files.iter().filter_map(|file| crate_folder(&file.path)).collect();
    let rootless = crates.into_iter().filter(|folder| tree.text(&format!("{folder}/src/lib.rs")).is_none());
    findings.extend(
        rootless.map(|folder| Finding::new(folder, 0, "a pure crate is a library: src/lib.rs is missing")),
    );
    findings
}

fn crate_folder(path: &str) -> Option<&str> {
    path.strip_suffix("/Cargo.toml").filter(|folder| folder.starts_with("engine/"))
}

fn without_spaces(text: &str) -> String {
    text.split_whitespace().collect()
}

fn words(path: &str, text: &str) -> Vec<Finding> {
    let tokens = match rust::tokens(text, Code::Shipped) {
        Ok(tokens) => tokens,
        Err((line, error)) => return vec![Finding::new(path, line, format!("is not Rust: {error}"))],
    };
    (0..tokens.len())
        .filter_map(|at| Some(Finding::new(path, tokens[at].line, objection(&tokens, at)?)))
        .collect()
}

fn objection(tokens: &[Token], at: usize) -> Option<String> {
    let text = |index: usize| tokens.get(index).map_or("", |token| token.text.as_str());
    let word = text(at);
    if word == "std" && text(at + 1) == ":" && text(at + 2) == ":" {
        return Some("a pure crate names no `std::` path outside its tests: use core or alloc".to_owned());
    }
    if word == "extern" && text(at + 1) == "crate" && text(at + 2) == "std" {
        return Some("a pure crate does not bring `std` in".to_owned());
    }
    let field = at > 0 && text(at - 1) == ".";
    if matches!(word, "f32" | "f64") || tokens[at].literal && !field && is_float(word) {
        return Some(format!("`{word}`: a pure crate has no floats: count in ticks, lots and minor units"));
    }
    None
}

/// Whether a literal is a float (`1.5`, `1e3`, `1f64`).
fn is_float(literal: &str) -> bool {
    let number = literal.starts_with(|first: char| first.is_ascii_digit());
    let other_base = ["0x", "0b", "0o"].iter().any(|prefix| literal.starts_with(prefix));
    // An exponent comes right after digits; the `e` in `1usize` does not.
    let digits = literal.trim_start_matches(|part: char| part.is_ascii_digit() || part == '_');
    let exponent = digits.starts_with(['e', 'E']);
    number
        && !other_base
        && (literal.contains('.') || exponent || literal.ends_with("f32") || literal.ends_with("f64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        let text = format!("#![no_std]\n{text}");
        let tree = Tree::of(&[("engine/x/Cargo.toml", ""), ("engine/x/src/lib.rs", &text)]);
        check(&tree).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn the_standard_library_and_floats_are_found() {
        for bad in [
            "use std::fs;",
            "fn f() { g!(::std::time::Instant::now()) }",
            "extern crate std;",
            "fn f(x: f64) {}",
            "const X: u64 = 1.5 as u64;",
            "const X: u64 = 1e3 as u64;",
            "fn f() { 1f32; }",
        ] {
            assert_eq!(messages(bad).len(), 1, "{bad}: {:?}", messages(bad));
        }
    }

    #[test]
    fn tests_comments_strings_and_tuples_are_free() {
        for good in [
            "#[cfg(test)] mod tests { use std::fs; const X: f64 = 1.5; }",
            "/// Like std::fs, 1.5 times.\nconst X: &str = \"std::fs f64\"; // f64",
            "fn f(a: ((u8, u8), u8)) -> u8 { a.0.1 + 1usize as u8 + 0x1e3_u8 }",
            "mod standard { } use standard::x; for i in 0..5 {}",
        ] {
            assert!(messages(good).is_empty(), "{good}: {:?}", messages(good));
        }
    }

    #[test]
    fn no_std_is_required_and_other_folders_are_free() {
        assert_eq!(check(&Tree::of(&[("engine/x/src/lib.rs", "")])).len(), 1);
        assert_eq!(check(&Tree::of(&[("engine/x/Cargo.toml", ""), ("engine/x/src/main.rs", "")])).len(), 1);
        assert!(check(&Tree::of(&[("journal/src/lib.rs", "use std::fs; const X: f64 = 1.5;")])).is_empty());
    }
}
