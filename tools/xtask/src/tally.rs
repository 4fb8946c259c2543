//! Counts what tests printed.

use std::fmt;
use std::ops::AddAssign;

/// Tests (or steps) by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Ran and held.
    pub passed: usize,
    /// Ran and did not hold, or could not be run though they had to.
    pub failed: usize,
    /// Not run, or ended early for want of something (data, a package); the log says which.
    pub skipped: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

impl Tally {
    /// Moves tests that passed but said that they had nothing to work on.
    #[must_use]
    pub fn with_empty_runs(self, count: usize) -> Self {
        let count = count.min(self.passed);
        Self { passed: self.passed - count, skipped: self.skipped + count, ..self }
    }
}

/// Sums the `test result:` lines of `cargo test`.
pub fn of_cargo_test(output: &str) -> Tally {
    let mut sum = Tally::default();
    for line in output.lines().filter(|line| line.starts_with("test result:")) {
        sum += Tally {
            passed: number_before(line, "passed"),
            failed: number_before(line, "failed"),
            skipped: number_before(line, "ignored"),
        };
    }
    sum
}

/// Reads the `Summary` line of `cargo nextest`; none means that nothing was run.
pub fn of_nextest(output: &str) -> Tally {
    let summary = output.lines().rfind(|line| line.trim_start().starts_with("Summary ["));
    summary.map_or_else(Tally::default, |line| Tally {
        passed: number_before(line, "passed"),
        failed: number_before(line, "failed") + number_before(line, "timed") + number_before(line, "exec"),
        skipped: number_before(line, "skipped"),
    })
}

/// Reads a line `N passed, N failed, N skipped`, the last one there is.
pub fn of_last_line(output: &str) -> Option<Tally> {
    let line = output.lines().rfind(|line| line.contains(" passed, ") && line.ends_with(" skipped"))?;
    Some(Tally {
        passed: number_before(line, "passed"),
        failed: number_before(line, "failed"),
        skipped: number_before(line, "skipped"),
    })
}

/// Test cases in a JUnit report whose output has a line that starts with `skipped:`.
pub fn empty_runs_in_junit(report: &str) -> usize {
    let cases = report.split("<testcase ").skip(1);
    cases.filter(|case| says_skipped(case)).count()
}

/// Tests that said `skipped:` in the output of `cargo test -- --show-output`: at most one line each.
pub fn empty_runs_in_output(output: &str) -> usize {
    output.lines().filter(|line| line.starts_with("skipped:")).count()
}

fn says_skipped(case: &str) -> bool {
    case.lines().any(|line| line.starts_with("skipped:") || line.contains("<system-out>skipped:"))
}

/// The number right before `word` (`12 passed`, `3 failed;`); 0 if it does not occur.
fn number_before(line: &str, word: &str) -> usize {
    let words: Vec<&str> = line.split([' ', ',', ';', ':']).filter(|part| !part.is_empty()).collect();
    let found = words.windows(2).find(|pair| pair[1] == word);
    found.and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: usize, failed: usize, skipped: usize) -> Tally {
        Tally { passed, failed, skipped }
    }

    #[test]
    fn cargo_test_lines_are_summed() {
        let output = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\n\
                      noise\ntest result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(of_cargo_test(output), tally(5, 4, 1));
        assert_eq!(of_cargo_test("error: could not compile"), tally(0, 0, 0));
    }

    #[test]
    fn nextest_summary_is_read_also_when_tests_fail_or_time_out() {
        assert_eq!(of_nextest("     Summary [   0.2s] 5 tests run: 5 passed, 0 skipped"), tally(5, 0, 0));
        let bad = "     Summary [   9.9s] 9 tests run: 5 passed (1 slow), 2 failed, 2 timed out, 3 skipped";
        assert_eq!(of_nextest(bad), tally(5, 4, 3));
    }

    #[test]
    fn tests_without_data_are_not_counted_as_passed() {
        let report = "<testcase name=\"a\"><system-out>\nrunning 1 test\nskipped: no data\n</system-out></testcase>\
                      <testcase name=\"b\"><system-out>fine</system-out></testcase>";
        assert_eq!(empty_runs_in_junit(report), 1);
        assert_eq!(empty_runs_in_output("---- a stdout ----\nskipped: no data\n"), 1);
        assert_eq!(tally(2, 0, 0).with_empty_runs(1), tally(1, 0, 1));
    }

    #[test]
    fn the_last_line_is_written_as_it_is_read() {
        let line = tally(3, 2, 1).to_string();
        assert_eq!(line, "3 passed, 2 failed, 1 skipped");
        assert_eq!(of_last_line(&format!("x\n{line}\n")), Some(tally(3, 2, 1)));
        assert_eq!(of_last_line("Traceback"), None);
    }
}
