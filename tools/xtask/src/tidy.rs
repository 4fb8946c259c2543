//! `cargo xtask tidy`: rules of the tree that the compiler does not know.
//!
//! Each rule is a module with its reason at the top and a test that shows it failing on a bad sample.

mod adapters;
mod crates;
mod docs;
mod functions;
mod layers;
mod purity;
mod rust;
mod text;
mod tree;
mod unsafety;

use std::path::Path;
use std::process::Command;

use tree::Tree;

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// File relative to the root, or a crate.
    pub place: String,
    /// Line, from 1; 0 where there is none.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl Finding {
    fn new(place: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Self { place: place.into(), line, message: message.into() }
    }
}

/// Runs every rule, prints each finding, and returns their number; `None`, said aloud, if the tree could not be read.
pub fn run(root: &Path) -> Option<usize> {
    report(root).inspect_err(|error| eprintln!("tidy could not run: {error}")).ok()
}

fn report(root: &Path) -> Result<usize, String> {
    let tree = Tree::read(root)?;
    let metadata = metadata(root)?;
    let mut findings = Vec::new();
    findings.extend(layers::check(&layers::arrows(&metadata)?));
    findings.extend(crates::check(&tree, &metadata)?);
    findings.extend(adapters::check(&tree));
    findings.extend(functions::check(&tree));
    findings.extend(purity::check(&tree));
    findings.extend(unsafety::check(&tree, unsafety::ALLOWED));
    findings.extend(text::check(&tree));
    findings.extend(docs::check(&tree));
    findings.sort();
    for Finding { place, line, message } in &findings {
        match line {
            0 => println!("{place}: {message}"),
            line => println!("{place}:{line}: {message}"),
        }
    }
    println!("tidy: {} files read, {} findings", tree.files.len(), findings.len());
    Ok(findings.len())
}

/// What cargo says about the workspace's own crates; needs no network.
fn metadata(root: &Path) -> Result<serde_json::Value, String> {
    let options = ["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"];
    let output = crate::ci::cargo(root).args(options).output();
    let output = output.map_err(|error| format!("cannot run cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata is no JSON: {error}"))
}

/// Files that git tracks or would track, one a line; `None` outside a repository.
pub fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let options = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").current_dir(root).args(options).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let names: Vec<String> = text.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    (output.status.success() && !names.is_empty()).then_some(names)
}
