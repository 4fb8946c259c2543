//! Plays the files in `tests/scenarios` (see the comment on top of `priority.txt` for the language).

mod scenario;

use std::fs;
use std::path::Path;

use scenario::Scenario;

#[test]
fn every_scenario_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let entries = fs::read_dir(&folder).expect("the folder of scenarios can be read");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    assert!(paths.len() >= 15, "scenarios are missing: {} found", paths.len());
    for path in paths {
        let text = fs::read_to_string(&path).expect("a scenario can be read");
        let mut scenario = Scenario::new();
        for (number, line) in (1..).zip(text.lines()) {
            if let Err(problem) = scenario.line(line) {
                panic!("{}:{number}: {line}\n{problem}", path.display());
            }
        }
        if let Err(problem) = scenario.finish() {
            panic!("{}: at the end: {problem}", path.display());
        }
    }
}

#[test]
fn a_scenario_that_does_not_hold_is_found() {
    let stage = ["asset USD 2", "asset BTC 0", "instrument BTC/USD fees 0 0", "account alice"];
    let broken = [
        ("expect balance alice USD 1.00 held 0.00", "is 0.00 held 0.00"),
        ("expect book bid 100 x 5", "is empty"),
        ("expect accepted A1", "nothing happened"),
        ("jump", "no such line"),
        ("cancel alice A1 twice", "no order"),
        ("deposit alice USD 1.00 twice", "makes no sense"),
    ];
    for (line, expected) in broken {
        let mut scenario = Scenario::new();
        stage.iter().for_each(|line| scenario.line(line).expect("the stage is set"));
        let problem = scenario.line(line).expect_err(line);
        assert!(problem.contains(expected), "{problem}");
    }
    let mut scenario = Scenario::new();
    stage.iter().for_each(|line| scenario.line(line).expect("the stage is set"));
    scenario.line("buy alice 5 @ 100 gtc as A1").expect("a line");
    let problem = scenario.finish().expect_err("the rejection was not expected");
    assert!(problem.contains("rejected InsufficientFunds"), "{problem}");
}
