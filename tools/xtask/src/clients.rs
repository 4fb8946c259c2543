//! `cargo xtask clients`: foreign FIX clients against the real binary.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::ci::{cargo, target_folder};
use crate::process;
use crate::tally;

/// Seconds that a cycle of the kill test may take: many times what it does.
const CYCLE_LIMIT_S: u32 = 20;

/// Runs the kill test alone, for `cycles` kills.
pub fn crash(root: &Path, cycles: u32, binary: Option<PathBuf>) -> bool {
    let limit_s = cycles.saturating_mul(CYCLE_LIMIT_S).max(600);
    let variables = [("RIALTO_KILLS", cycles.to_string()), ("RIALTO_FILE_LIMIT_S", limit_s.to_string())];
    run(root, Some("kill"), binary, &variables)
}

/// Builds the binary, runs the Python tests with these environment variables and says whether they held.
pub fn run(root: &Path, only: Option<&str>, binary: Option<PathBuf>, variables: &[(&str, String)]) -> bool {
    let binary = match binary {
        Some(binary) => binary,
        None => {
            if !process::run(cargo(root).args(["build", "--release", "--locked", "--package", "rialto"]))
                .success
            {
                println!("0 passed, 1 failed, 0 skipped");
                return false;
            }
            target_folder(root).join("release/rialto")
        }
    };
    let python = python(root);
    let mut command = Command::new(&python);
    command.arg("-u").arg(root.join("tests/clients/run.py")).arg("--binary").arg(binary).current_dir(root);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    if let Some(only) = only {
        command.args(["--only", only]);
    }
    let outcome = process::run(&mut command);
    let counted = tally::of_last_line(&outcome.output);
    if counted.is_none() {
        println!("the client tests ended without a tally\n0 passed, 1 failed, 0 skipped");
    }
    outcome.success && counted.is_some_and(|tally| tally.failed == 0)
}

/// The Python of the virtual environment, or else the one on the path, said aloud.
fn python(root: &Path) -> PathBuf {
    let installed = root.join(".venv/bin/python");
    if installed.is_file() {
        return installed;
    }
    println!(
        "no .venv: taking python3; tests that need a package are skipped. To have them:\n  \
         python3 -m venv .venv && .venv/bin/pip install -r tests/clients/requirements.txt"
    );
    PathBuf::from(env::var_os("PYTHON").unwrap_or_else(|| "python3".into()))
}
