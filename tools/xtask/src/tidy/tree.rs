//! The files that the rules read.

use std::fs;
use std::path::Path;

use super::listed_by_git;

/// A file of the repository.
pub struct File {
    /// Path relative to the root, with slashes.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Content; `None` if it is not UTF-8, or an input of a fuzzer, which may look like anything.
    pub text: Option<String>,
}

/// All files that are committed or would be.
pub struct Tree {
    /// In order of their paths.
    pub files: Vec<File>,
}

impl Tree {
    /// Reads what git lists, or, outside a repository, everything but build output.
    pub fn read(root: &Path) -> Result<Self, String> {
        let mut names = listed_by_git(root).unwrap_or_else(|| walk(root, ""));
        names.sort();
        names.dedup();
        let files: Vec<File> = names.into_iter().filter_map(|path| File::read(root, path)).collect();
        if files.is_empty() {
            return Err(format!("no files under {}", root.display()));
        }
        Ok(Self { files })
    }

    /// Text files whose path ends in `suffix`.
    pub fn texts<'a>(&'a self, suffix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files
            .iter()
            .filter(move |file| file.path.ends_with(suffix))
            .filter_map(|file| Some((file.path.as_str(), file.text.as_deref()?)))
    }

    /// Whether a file or a folder with files has this path; the root is the empty path.
    pub fn has(&self, path: &str) -> bool {
        path.is_empty()
            || self.files.iter().any(|file| {
                file.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    }

    /// The text of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path)?.text.as_deref()
    }

    /// A tree for tests.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            size: text.len() as u64,
            text: Some((*text).to_owned()),
        };
        Self { files: files.iter().map(file).collect() }
    }
}

impl File {
    /// `None` for what is listed but gone (deleted and not committed yet) or is not a plain file.
    fn read(root: &Path, path: String) -> Option<Self> {
        let full = root.join(&path);
        let kind = fs::symlink_metadata(&full).ok()?;
        if !kind.is_file() {
            return None;
        }
        let read = || fs::read(&full).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = if path.contains("/fuzz/corpus/") { None } else { read() };
        Some(Self { path, size: kind.len(), text })
    }
}

fn walk(root: &Path, below: &str) -> Vec<String> {
    const BUILT: [&str; 5] = [".git", ".venv", "data", "target", "__pycache__"];
    let Ok(entries) = fs::read_dir(root.join(below)) else { return Vec::new() };
    let mut names = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        if entry.path().is_dir() {
            if !BUILT.contains(&name.as_str()) {
                names.extend(walk(root, &path));
            }
        } else {
            names.push(path);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_this_repository_with_and_without_git() {
        let root = crate::root();
        let tree = Tree::read(&root).expect("the repository is readable");
        assert!(
            tree.has("tools/xtask/src/tidy/tree.rs") && tree.has("tools/xtask") && !tree.has("tools/xta")
        );
        let walked = walk(&root, "");
        assert!(walked.contains(&"tools/xtask/src/tidy/tree.rs".to_owned()));
        assert!(!walked.iter().any(|path| path.starts_with("target/") || path.starts_with(".git/")));
    }
}
