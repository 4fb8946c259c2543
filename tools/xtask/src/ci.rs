//! `cargo xtask ci`: every check that a change must pass.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use crate::process::{self, Outcome};
use crate::tally::{self, Tally};
use crate::tidy;

/// One finished step, for the table.
struct Step {
    name: &'static str,
    took: Duration,
    tally: Tally,
    note: String,
}

impl Step {
    fn skipped(name: &'static str, why: &str) -> Self {
        println!("skipped: {name}: {why}");
        let tally = Tally { skipped: 1, ..Tally::default() };
        Self { name, took: Duration::ZERO, tally, note: why.to_owned() }
    }
}

/// Runs all steps, prints the table, and says whether nothing failed.
pub fn run(root: &Path) -> bool {
    let started = Instant::now();
    let steps = [
        step("fmt", || check(cargo(root).args(["fmt", "--all", "--check"]))),
        step("clippy", || {
            let options = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
            check(cargo(root).args(options))
        }),
        step("tests", || tests(root)),
        step("doc tests", || {
            let outcome = process::run(cargo(root).args([
                "test",
                "--workspace",
                "--doc",
                "--locked",
                "--no-fail-fast",
            ]));
            (tests_of(&outcome, tally::of_cargo_test(&outcome.output)), String::new())
        }),
        step("lock-step", || lockstep(root)),
        loom(root),
        step("tidy", || {
            let findings = tidy::run(root);
            let note =
                findings.map_or_else(|| "could not run".to_owned(), |count| format!("{count} findings"));
            (verdict(findings == Some(0)), note)
        }),
    ];
    summarise(&steps, started.elapsed())
}

fn step(name: &'static str, work: impl FnOnce() -> (Tally, String)) -> Step {
    println!("\n== {name}");
    let started = Instant::now();
    let (tally, note) = work();
    let took = started.elapsed();
    println!("-- {name}: {} in {:.1} s", if tally.failed == 0 { "ok" } else { "FAILED" }, took.as_secs_f64());
    Step { name, took, tally, note }
}

fn check(command: &mut Command) -> (Tally, String) {
    (verdict(process::run(command).success), String::new())
}

fn verdict(success: bool) -> Tally {
    Tally { passed: usize::from(success), failed: usize::from(!success), skipped: 0 }
}

/// What tests printed, plus one failure if the run failed without a failed test (it did not compile, say).
fn tests_of(outcome: &Outcome, counted: Tally) -> Tally {
    let silent = !outcome.success && counted.failed == 0;
    Tally { failed: counted.failed + usize::from(silent), ..counted }
}

fn tests(root: &Path) -> (Tally, String) {
    let installed =
        cargo(root).args(["nextest", "--version"]).output().is_ok_and(|output| output.status.success());
    if !installed {
        println!("cargo nextest is not installed: running cargo test");
        let options =
            ["test", "--workspace", "--lib", "--bins", "--tests", "--examples", "--locked", "--no-fail-fast"];
        let outcome = process::run(cargo(root).args(options).args(["--", "--show-output"]));
        let empty = tally::empty_runs_in_output(&outcome.output);
        return (
            tests_of(&outcome, tally::of_cargo_test(&outcome.output).with_empty_runs(empty)),
            data_note(empty),
        );
    }
    let report = target_folder(root).join("nextest/ci/junit.xml");
    // A report of an earlier run must not be taken for this one's.
    let _ = fs::remove_file(&report);
    let outcome = process::run(
        cargo(root)
            .args(["nextest", "run", "--workspace", "--locked", "--profile", "ci", "--no-tests", "fail"])
            .arg("--config-file")
            .arg(root.join("tools/xtask/nextest.toml")),
    );
    let empty = fs::read_to_string(&report).map_or(0, |text| tally::empty_runs_in_junit(&text));
    (tests_of(&outcome, tally::of_nextest(&outcome.output).with_empty_runs(empty)), data_note(empty))
}

/// The exchange against its oracle, longer than among the tests, in code that is fast and asserts all the same: by fixed seeds and
/// by seeds of today. 10 million commands where `CI` is set, 500,000 elsewhere. For a longer hunt set `RIALTO_LOCKSTEP_COMMANDS`.
fn lockstep(root: &Path) -> (Tally, String) {
    let (fixed, fresh): (u64, u64) =
        if env::var_os("CI").is_some() { (5_000_000, 5_000_000) } else { (250_000, 250_000) };
    let mut counted = Tally::default();
    for (test, commands) in [("the_exchange", fixed), ("and_does", fresh)] {
        let options = ["test", "--profile", "lockstep", "-p", "exchange", "--test", "lockstep", "--locked"];
        let outcome = process::run(
            cargo(root)
                .args(options)
                .args(["--", test])
                .env("RIALTO_LOCKSTEP_COMMANDS", commands.to_string()),
        );
        counted += tests_of(&outcome, tally::of_cargo_test(&outcome.output));
    }
    (counted, format!("{fixed} commands by fixed seeds, {fresh} by fresh ones"))
}

fn data_note(empty: usize) -> String {
    if empty == 0 { String::new() } else { format!("{empty} skipped for want of data") }
}

/// The loom models of the sequencer. They need their own build of everything, with `--cfg loom`.
fn loom(root: &Path) -> Step {
    const NAME: &str = "loom";
    if !has_loom_models(&root.join("sequencer/src")) {
        println!("\n== {NAME}");
        return Step::skipped(NAME, "sequencer/src has no loom::model");
    }
    step(NAME, || {
        let mut flags = env::var_os("RUSTFLAGS").unwrap_or_default();
        flags.push(" --cfg loom");
        let options = ["test", "-p", "sequencer", "--release", "--lib", "--locked", "loom"];
        let mut command = cargo(root);
        command
            .env("RUSTFLAGS", flags)
            .env("CARGO_TARGET_DIR", target_folder(root).join("loom"))
            .args(options);
        let outcome = process::run(&mut command);
        let counted = tests_of(&outcome, tally::of_cargo_test(&outcome.output));
        if counted.passed + counted.failed == 0 {
            eprintln!("sequencer/src calls loom::model, but no test with `loom` in its name ran");
            return (verdict(false), "no model ran".to_owned());
        }
        (counted, String::new())
    })
}

fn has_loom_models(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return has_loom_models(&path);
        }
        fs::read_to_string(&path).is_ok_and(|text| text.contains("loom::model"))
    })
}

fn summarise(steps: &[Step], took: Duration) -> bool {
    let mut sum = Tally::default();
    println!("\n{:<12} {:>8} {:>8} {:>8} {:>8}", "step", "seconds", "passed", "failed", "skipped");
    for step in steps {
        let Tally { passed, failed, skipped } = step.tally;
        let seconds = step.took.as_secs_f64();
        println!("{:<12} {seconds:>8.1} {passed:>8} {failed:>8} {skipped:>8}  {}", step.name, step.note);
        sum += step.tally;
    }
    println!("{:<12} {:>8.1}", "all", took.as_secs_f64());
    println!("{sum}");
    sum.failed == 0
}

/// A cargo command in the repository's root.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Where cargo builds: `CARGO_TARGET_DIR` or `target`.
pub fn target_folder(root: &Path) -> PathBuf {
    root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_fails_without_a_failed_test_counts_as_a_failure() {
        let broken = Outcome { success: false, output: "error: could not compile".to_owned() };
        assert_eq!(tests_of(&broken, Tally::default()).failed, 1);
        let red = Tally { passed: 1, failed: 2, skipped: 0 };
        assert_eq!(tests_of(&Outcome { success: false, output: String::new() }, red), red);
    }

    #[test]
    fn one_failed_step_fails_the_whole() {
        let step = |tally| Step { name: "x", took: Duration::ZERO, tally, note: String::new() };
        assert!(summarise(&[step(verdict(true)), Step::skipped("y", "why")], Duration::ZERO));
        assert!(!summarise(&[step(verdict(true)), step(verdict(false))], Duration::ZERO));
    }
}
