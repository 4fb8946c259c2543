//! Reading Rust as tokens: what the rules on words (`unsafe`, `std::`, `f64`) look at, without comments and strings.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::tree::Tree;

/// A token and where it stands. Groups are flattened into their delimiters and content.
pub struct Token {
    /// As in the source.
    pub text: String,
    /// From 1.
    pub line: usize,
    /// Whether it is a literal.
    pub literal: bool,
}

/// Which code of a file to look at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// All of it.
    All,
    /// Without items marked `#[cfg(test)]`.
    Shipped,
}

/// The tokens of a file; an error with its line if it is not Rust.
pub fn tokens(text: &str, code: Code) -> Result<Vec<Token>, (usize, String)> {
    let stream: TokenStream = text
        .parse()
        .map_err(|error: proc_macro2::LexError| (error.span().start().line, error.to_string()))?;
    let mut flat = Vec::new();
    flatten(stream, code, &mut flat);
    Ok(flat)
}

fn flatten(stream: TokenStream, code: Code, flat: &mut Vec<Token>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while at < trees.len() {
        if code == Code::Shipped && starts_test_item(&trees[at..]) {
            at = end_of_item(&trees, at);
            continue;
        }
        push(&trees[at], code, flat);
        at += 1;
    }
}

fn push(tree: &TokenTree, code: Code, flat: &mut Vec<Token>) {
    let line = tree.span().start().line;
    let literal = matches!(tree, TokenTree::Literal(_));
    let TokenTree::Group(group) = tree else {
        return flat.push(Token { text: tree.to_string(), line, literal });
    };
    let (open, close) = match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    };
    flat.push(Token { text: open.to_owned(), line, literal: false });
    flatten(group.stream(), code, flat);
    flat.push(Token { text: close.to_owned(), line: group.span_close().start().line, literal: false });
}

/// Whether an item marked `#[cfg(test)]` (perhaps after other attributes) starts here.
fn starts_test_item(trees: &[TokenTree]) -> bool {
    let (attributes, rest) = attributes(trees);
    let first = rest.first().map(ToString::to_string).unwrap_or_default();
    const STARTS: [&str; 15] = [
        "pub",
        "mod",
        "fn",
        "use",
        "impl",
        "struct",
        "enum",
        "const",
        "static",
        "type",
        "trait",
        "unsafe",
        "extern",
        "macro_rules",
        "let",
    ];
    STARTS.contains(&first.as_str()) && attributes.iter().any(|attribute| is_cfg_test(attribute))
}

/// Splits leading attributes off, as text without spaces.
fn attributes(mut trees: &[TokenTree]) -> (Vec<String>, &[TokenTree]) {
    let mut found = Vec::new();
    while let [TokenTree::Punct(hash), TokenTree::Group(group), rest @ ..] = trees {
        if hash.as_char() != '#' || group.delimiter() != Delimiter::Bracket {
            break;
        }
        found.push(group.stream().to_string().replace(' ', ""));
        trees = rest;
    }
    (found, trees)
}

/// `cfg(test)`, or `cfg(all(...))` with a plain `test` in it.
fn is_cfg_test(attribute: &str) -> bool {
    let Some(condition) = attribute.strip_prefix("cfg(").and_then(|rest| rest.strip_suffix(')')) else {
        return false;
    };
    let all = condition.strip_prefix("all(").and_then(|rest| rest.strip_suffix(')'));
    condition == "test" || all.is_some_and(|parts| parts.split(',').any(|part| part == "test"))
}

/// The index behind the item's `;` or braces.
fn end_of_item(trees: &[TokenTree], start: usize) -> usize {
    let ends = |tree: &TokenTree| match tree {
        TokenTree::Punct(punct) => punct.as_char() == ';',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        _ => false,
    };
    trees[start..].iter().position(ends).map_or(trees.len(), |offset| start + offset + 1)
}

/// Files that are compiled only for tests, because a `#[cfg(test)] mod name;` brings them in, or by their folder.
pub fn test_files(tree: &Tree) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (path, text) in tree.texts(".rs") {
        let in_folder =
            |name: &str| path.starts_with(&format!("{name}/")) || path.contains(&format!("/{name}/"));
        if in_folder("tests") || in_folder("benches") {
            found.insert(path.to_owned());
        }
        for name in test_modules(text) {
            let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
            let stem = file.trim_end_matches(".rs");
            let below = match stem {
                "lib" | "main" | "mod" => folder.to_owned(),
                stem => format!("{folder}/{stem}"),
            };
            let inside = format!("{below}/{name}/");
            let own = format!("{below}/{name}.rs");
            let files = tree.files.iter().map(|file| &file.path);
            found.extend(files.filter(|path| **path == own || path.starts_with(&inside)).cloned());
        }
    }
    found
}

/// Names in `#[cfg(test)] mod name;`.
fn test_modules(text: &str) -> Vec<String> {
    let Ok(stream) = text.parse::<TokenStream>() else { return Vec::new() };
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut names = Vec::new();
    for at in 0..trees.len() {
        if !starts_test_item(&trees[at..]) {
            continue;
        }
        let (_, item) = attributes(&trees[at..]);
        let words: Vec<String> = item.iter().take(8).map(ToString::to_string).collect();
        let module = words.windows(3).find(|words| words[0] == "mod" && words[2] == ";");
        names.extend(module.map(|words| words[1].clone()));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, code: Code) -> String {
        let tokens = tokens(text, code).expect("the sample is Rust");
        tokens.iter().map(|token| token.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn items_for_tests_are_left_out_and_the_rest_is_kept() {
        let text = "#[cfg(test)] #[derive(X)] struct A { x: u8 } fn b() { #[cfg(test)] let c = 1; d(); }\n\
                    #[cfg(all(test, loom))] mod e { f } #[cfg(not(test))] fn g() {} #[cfg(any(test, h))] use i;";
        let shipped = "fn b ( ) { d ( ) ; } # [ cfg ( not ( test ) ) ] fn g ( ) { } \
                       # [ cfg ( any ( test , h ) ) ] use i ;";
        assert_eq!(words(text, Code::Shipped), shipped);
        assert!(words(text, Code::All).contains("struct A"));
        assert!(tokens("fn x( {", Code::All).is_err());
    }

    #[test]
    fn files_behind_cfg_test_are_found() {
        let tree = Tree::of(&[
            ("a/src/lib.rs", "mod b;\n#[cfg(test)]\nmod c;"),
            ("a/src/b.rs", "#[cfg(test)] mod d;"),
            ("a/src/c.rs", ""),
            ("a/src/b/d.rs", ""),
            ("a/tests/e.rs", ""),
        ]);
        let files: Vec<String> = test_files(&tree).into_iter().collect();
        assert_eq!(files, ["a/src/b/d.rs", "a/src/c.rs", "a/tests/e.rs"]);
    }
}
