//! Checks and chores of this repository: what `cargo xtask` runs.

mod ci;
mod clients;
mod fix_dictionaries;
mod mutants;
mod process;
mod tally;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Checks and chores of this repository.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about,
    max_term_width = 110,
    after_help = "\
Examples:
  cargo xtask ci                     everything a change must pass; run it before you commit
  cargo xtask tidy                   only the rules of the tree, in a second or two
  cargo xtask clients                foreign FIX clients against the real binary
  cargo xtask clients --only kill    only the tests whose file name contains `kill`
  cargo xtask mutants                break the engine in known ways, one by one, and see a test fail each time
  cargo xtask crash --cycles 1000    kill -9 under load a thousand times

`ci` goes on after a failure, so that one run shows all there is to mend; its last line reads
`N passed, N failed, N skipped`, where tests and the other steps each count as one."
)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

/// The chores.
#[derive(Debug, Subcommand)]
enum Chore {
    /// Format, clippy, tests, doc tests, lock-step, loom models and tidy, each with its time.
    #[command(after_help = "\
Steps: fmt --check; clippy -D warnings on all targets; tests (cargo nextest where installed, else cargo test); doc
tests; the exchange in lock-step with its oracle (profile lockstep; 10 million commands where CI is set, half a million
elsewhere); loom models of the sequencer's rings (release, in target/loom); tidy.
A test that found no recorded data prints `skipped: ...` and counts as skipped, not as passed.")]
    Ci,
    /// The rules of the tree: layers, sizes, purity, unsafe list, decisions, links, hygiene.
    #[command(after_help = "\
Each finding names file, line and rule, and what to do. The rules and their reasons stand at the top of each file in
tools/xtask/src/tidy/. The list of files that may hold `unsafe` is in unsafety.rs, the arrows between crates in
layers.rs (and docs/decisions/0001-layers.md).")]
    Tidy,
    /// Tests by foreign FIX clients against the release binary.
    #[command(after_help = "\
Builds target/release/rialto and runs tests/clients/run.py with .venv/bin/python, or else python3. Tests that need
the packages in tests/clients/requirements.txt are skipped aloud without them:
  python3 -m venv .venv && .venv/bin/pip install -r tests/clients/requirements.txt
(quickfix is built from source, which takes about ten minutes on two cores.) RIALTO_SEED=N repeats a kill test,
RIALTO_KILLS=N sets its cycles.")]
    Clients {
        /// Only test files whose name contains this.
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
        /// Test this binary instead of building target/release/rialto.
        #[arg(long, value_name = "FILE")]
        binary: Option<PathBuf>,
    },
    /// Breaks the engine in known ways, one at a time, and expects a test to fail each time.
    #[command(after_help = "\
Each mutation of engine/exchange/tests/mutants/*.txt is made to a copy of the repository in target/mutants, where the
scenarios, the unit tests of its crate, the lock-step test (of a fixed seed) and then all tests of exchange, orderbook
and wallet run until one fails; nothing else is touched. Fails if all tests pass with one of them, or if one no longer
applies or builds. Takes ten to sixty seconds for each; both folders are kept for the next run.")]
    Mutants {
        /// Only mutations whose file or meaning contains this.
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
    },
    /// kill -9 under load, again and again; the traders' own logs are the judge.
    #[command(after_help = "\
Runs tests/clients/test_kill.py: nothing acknowledged may be lost, nothing else half there. About a second a cycle.
RIALTO_SEED=N repeats a run.

Example:
  cargo xtask crash --cycles 1000")]
    Crash {
        /// How many times the exchange is killed.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        cycles: u32,
        /// Test this binary instead of building target/release/rialto.
        #[arg(long, value_name = "FILE")]
        binary: Option<PathBuf>,
    },
    /// Writes the gateway's FIX tables from QuickFIX's data dictionaries (XML).
    FixDictionaries {
        /// Folder with FIX40.xml to FIX50SP2.xml and FIXT11.xml.
        #[arg(value_name = "FOLDER", default_value = "../shared/data/fix/spec")]
        source: PathBuf,
    },
}

/// The repository's root: two folders above this crate.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map_or_else(|| here.clone(), PathBuf::from)
}

fn main() -> ExitCode {
    let succeeded = match Cli::parse().chore {
        Chore::Ci => ci::run(&root()),
        Chore::Tidy => tidy::run(&root()) == Some(0),
        Chore::Clients { only, binary } => clients::run(&root(), only.as_deref(), binary, &[]),
        Chore::Crash { cycles, binary } => clients::crash(&root(), cycles, binary),
        Chore::Mutants { only } => mutants::run(&root(), only.as_deref()),
        Chore::FixDictionaries { source } => fix_dictionaries::run(&root(), &source),
    };
    if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_the_root_is_the_workspace() {
        Cli::command().debug_assert();
        assert!(root().join("Cargo.lock").is_file());
    }
}
