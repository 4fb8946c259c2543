//! `cargo xtask mutants`: breaks the engine in known ways, one at a time, and sees a test fail each time.
//!
//! A test that cannot fail is worth nothing, and only a broken engine shows whether it can. The list says what was broken
//! and why it matters; it is data beside the tests, in `engine/exchange/tests/mutants/`.

mod list;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::ci::{cargo, target_folder};
use crate::process;
use crate::tidy;
use list::Mutation;

/// Where the lists are.
const LISTS: &str = "engine/exchange/tests/mutants";

/// The tests that must notice, the quickest to build and to run first: most mutants are caught by a scenario, and then
/// nothing else is built. `CRATE` stands for the mutated crate.
const STAGES: [&[&str]; 4] = [
    &["--package", "exchange", "--test", "scenarios"],
    &["--package", "CRATE", "--lib"],
    &["--package", "exchange", "--test", "lockstep"],
    &["--package", "exchange", "--package", "orderbook", "--package", "wallet"],
];

/// The lock-step test draws its commands anew each time; here a verdict must not depend on luck.
const LOCKSTEP_SEED: &str = "1";

/// Longest run of the tests on what is not broken. A mutant may run ten times as long as that took before it counts as
/// hung.
const LONGEST_TESTS: Duration = Duration::from_secs(1_800);

/// How a mutant ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// A test failed, or did not end: which.
    Caught(String),
    /// All tests passed.
    Survived,
    /// The mutation cannot be tried as it stands in the list: why.
    Invalid(String),
}

/// Tries all mutations whose file or meaning contains `only`, prints a table, and says whether all were caught.
pub fn run(root: &Path, only: Option<&str>) -> bool {
    match attempt(root, only) {
        Ok(succeeded) => succeeded,
        Err(error) => {
            eprintln!("mutants could not run: {error}");
            false
        }
    }
}

fn attempt(root: &Path, only: Option<&str>) -> Result<bool, String> {
    let chosen = |mutation: &Mutation| {
        only.is_none_or(|text| mutation.file.contains(text) || mutation.breaks.contains(text))
    };
    let mutations: Vec<Mutation> = read(root)?.into_iter().filter(chosen).collect();
    if mutations.is_empty() {
        return Err(format!(
            "no mutation under {LISTS} has {} in its file or meaning",
            only.unwrap_or("text")
        ));
    }
    let bench = Bench::new(root)?;
    println!("{} mutants; the tests without any:", mutations.len());
    let limit = bench.baseline()?;
    let mut counts = [0; 3];
    for mutation in &mutations {
        let started = Instant::now();
        let verdict = bench.try_mutation(mutation, limit)?;
        let (at, word, detail) = match &verdict {
            Verdict::Caught(by) => (0, "caught", by.as_str()),
            Verdict::Survived => (1, "SURVIVED", mutation.place.as_str()),
            Verdict::Invalid(why) => (2, "INVALID", why.as_str()),
        };
        counts[at] += 1;
        let Mutation { file, breaks, .. } = mutation;
        println!(
            "{word:8} {:5.1} s  {file}: {breaks}\n                  {detail}",
            started.elapsed().as_secs_f64()
        );
    }
    println!("{} caught, {} survived, {} invalid", counts[0], counts[1], counts[2]);
    Ok(counts[1] + counts[2] == 0)
}

/// All lists, by file name.
fn read(root: &Path) -> Result<Vec<Mutation>, String> {
    let folder = root.join(LISTS);
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    let mut mutations = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        mutations.extend(list::parse(&name, &text)?);
    }
    Ok(mutations)
}

/// A copy of the repository to break, and where it is built. Both are kept, so that the next run compiles little.
struct Bench {
    tree: PathBuf,
    build: PathBuf,
}

impl Bench {
    /// Brings the copy up to date: files that are the same keep their time, so that cargo does not compile them again.
    fn new(root: &Path) -> Result<Self, String> {
        let folder = target_folder(root).join("mutants");
        let bench = Self { tree: folder.join("tree"), build: folder.join("build") };
        let names = tidy::listed_by_git(root).ok_or("the files to copy are those that git lists")?;
        let listed: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        for name in &listed {
            let Ok(content) = fs::read(root.join(name)) else { continue };
            let copy = bench.tree.join(name);
            if fs::read(&copy).ok().as_ref() != Some(&content) {
                let parent = copy.parent().unwrap_or(&bench.tree);
                fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
                fs::write(&copy, content).map_err(|error| format!("{}: {error}", copy.display()))?;
            }
        }
        // What has gone from the repository must not be built from the copy: cargo finds tests by their files.
        for path in files_below(&bench.tree) {
            let name = path.strip_prefix(&bench.tree).ok().and_then(Path::to_str).unwrap_or_default();
            if !listed.contains(name) || !root.join(name).exists() {
                fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            }
        }
        Ok(bench)
    }

    /// Runs the tests on the unbroken copy; returns how long a mutant may take for any stage.
    fn baseline(&self) -> Result<Duration, String> {
        let all = STAGES.last().copied().unwrap_or_default();
        let built = process::run_within(&mut self.tests(all, &["--no-run"]), LONGEST_TESTS);
        if !built.is_some_and(|outcome| outcome.success) {
            return Err("the repository does not build as it stands".to_owned());
        }
        let started = Instant::now();
        let outcome = process::run_within(&mut self.tests(all, &[]), LONGEST_TESTS);
        let outcome = outcome.ok_or("the tests do not end on the repository as it stands")?;
        if !outcome.success {
            return Err(format!("a test fails on the repository as it stands: {}", failed(&outcome.output)));
        }
        println!("passed   {:5.1} s", started.elapsed().as_secs_f64());
        Ok(started.elapsed() * 10 + Duration::from_secs(60))
    }

    fn try_mutation(&self, mutation: &Mutation, limit: Duration) -> Result<Verdict, String> {
        // From the copy: whoever edits the repository meanwhile does not meet in it.
        let path = self.tree.join(&mutation.file);
        let text = fs::read_to_string(&path).map_err(|error| error.to_string());
        let changed = text.and_then(|text| {
            let changed = mutation.apply(&text)?;
            Ok((text, changed))
        });
        let (text, changed) = match changed {
            Ok(both) => both,
            Err(why) => return Ok(Verdict::Invalid(why)),
        };
        let write =
            |text: &str| fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()));
        write(&changed)?;
        let package = mutation.file.split('/').nth(1).unwrap_or_default();
        let mut verdicts = STAGES.iter().map(|stage| self.judge(stage, package, limit));
        let verdict = verdicts.find(|verdict| *verdict != Verdict::Survived);
        write(&text)?;
        Ok(verdict.unwrap_or(Verdict::Survived))
    }

    /// One stage. Builds first: what does not compile is not caught by a test.
    fn judge(&self, stage: &[&str], package: &str, limit: Duration) -> Verdict {
        let stage: Vec<&str> =
            stage.iter().map(|&word| if word == "CRATE" { package } else { word }).collect();
        match process::run_within(&mut self.tests(&stage, &["--no-run"]), LONGEST_TESTS) {
            Some(outcome) if outcome.success => {}
            Some(outcome) => {
                let error =
                    outcome.output.lines().find(|line| line.starts_with("error")).unwrap_or("no error");
                return Verdict::Invalid(format!("does not build: {error}"));
            }
            None => return Verdict::Invalid("does not build in time".to_owned()),
        }
        match process::run_within(&mut self.tests(&stage, &[]), limit) {
            Some(outcome) if outcome.success => Verdict::Survived,
            Some(outcome) => Verdict::Caught(failed(&outcome.output)),
            None => Verdict::Caught("the tests did not end".to_owned()),
        }
    }

    fn tests(&self, stage: &[&str], options: &[&str]) -> Command {
        let mut command = cargo(&self.tree);
        command
            .env("CARGO_TARGET_DIR", &self.build)
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .env("RIALTO_LOCKSTEP_SEED", LOCKSTEP_SEED)
            .args(["test", "--locked"])
            .args(stage)
            .args(options);
        command
    }
}

/// The first test that failed, and how many did in the same program.
fn failed(output: &str) -> String {
    let names = || output.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    match (names().next(), names().count()) {
        (None, _) => "a program that did not end as it should".to_owned(),
        (Some(name), 1) => name.to_owned(),
        (Some(name), count) => format!("{name} and {} more", count - 1),
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So a mutation that a change of the engine has outdated is noticed at once, not with the next run.
    #[test]
    fn every_mutation_applies_and_no_two_are_the_same() {
        let root = crate::root();
        let mutations = read(&root).unwrap();
        assert!(mutations.len() >= 30, "{} mutations", mutations.len());
        let mut seen = BTreeSet::new();
        for mutation in &mutations {
            let text = fs::read_to_string(root.join(&mutation.file));
            let text = text.unwrap_or_else(|error| panic!("{}: {}: {error}", mutation.place, mutation.file));
            let changed = mutation.apply(&text).unwrap();
            assert!(seen.insert((&mutation.file, changed)), "{}: is there already", mutation.place);
        }
    }

    #[test]
    fn the_failed_tests_are_named() {
        let output = "test a::b ... ok\ntest a::c ... FAILED\ntest a::d ... FAILED\n";
        assert_eq!(failed(output), "a::c and 1 more");
        assert_eq!(failed("test a::c ... FAILED\n"), "a::c");
        assert!(failed("signal: 6").contains("did not end"));
    }
}
