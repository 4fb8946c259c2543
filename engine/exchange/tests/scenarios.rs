//! Plays the files in `tests/scenarios` (see `tests/scenario/mod.rs` for the language) on the fast exchange and on the
//! naive one.

mod scenario;

use std::fs;
use std::path::{Path, PathBuf};

use exchange::Exchange;
use exchange::naive::NaiveExchange;
use scenario::Scenario;
use scenario::machine::Machine;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let entries = fs::read_dir(&folder).expect("the folder of scenarios can be read");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// Plays all files; every one that does not hold is named.
fn play<M: Machine>(paths: &[PathBuf]) {
    let problems: Vec<String> = paths.iter().filter_map(|path| problem_of::<M>(path)).collect();
    assert!(problems.is_empty(), "{} files do not hold:\n{}", problems.len(), problems.join("\n"));
}

fn problem_of<M: Machine>(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).expect("a scenario can be read");
    let mut scenario = Scenario::<M>::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Err(problem) = scenario.line(line) {
            return Some(format!("{}:{number}: {line}\n    {problem}", path.display()));
        }
    }
    let end = scenario.finish().err();
    end.map(|problem| format!("{}: at the end: {problem}", path.display()))
}

#[test]
fn every_scenario_holds_on_the_naive_exchange() {
    let paths = files();
    assert!(paths.len() >= 120, "scenarios are missing: {} found", paths.len());
    play::<NaiveExchange>(&paths);
}

#[test]
fn every_scenario_holds_on_the_fast_exchange() {
    let paths = files();
    assert!(paths.len() >= 120, "scenarios are missing: {} found", paths.len());
    play::<Exchange>(&paths);
}

#[test]
fn a_scenario_that_does_not_hold_is_found() {
    let stage = ["asset USD 2", "asset BTC 0", "instrument BTC/USD fees 0 0", "account alice"];
    let broken = [
        ("expect balance alice USD 1.00 held 0.00", "is 0.00 held 0.00"),
        ("expect position alice 1", "is 0"),
        ("expect book bid 100 x 5", "is empty"),
        ("expect hidden bid A1", "there is none"),
        ("expect waiting A1", "there is none"),
        ("expect phase Closed", "is Continuous"),
        ("expect accepted A1", "nothing happened"),
        ("jump", "no such line"),
        ("cancel alice A1 twice", "no order"),
        ("deposit alice USD 1.00 twice", "makes no sense"),
    ];
    for (line, expected) in broken {
        let mut scenario = Scenario::<NaiveExchange>::new();
        stage.iter().for_each(|line| scenario.line(line).expect("the stage is set"));
        let problem = scenario.line(line).expect_err(line);
        assert!(problem.contains(expected), "{problem}");
    }
    let mut scenario = Scenario::<NaiveExchange>::new();
    stage.iter().for_each(|line| scenario.line(line).expect("the stage is set"));
    scenario.line("buy alice 5 @ 100 gtc as A1").expect("a line");
    let problem = scenario.finish().expect_err("the rejection was not expected");
    assert!(problem.contains("rejected InsufficientFunds"), "{problem}");
}
