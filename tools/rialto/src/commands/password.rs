//! `rialto password`: makes the hash that a configuration holds in place of a password.

use std::io::{BufRead as _, IsTerminal as _};

use gateway::access::PasswordHash;

use crate::cli::PasswordArgs;
use crate::output::{Failure, line};

/// Reads a password from standard input, so that it stands in no history and no list of processes, and prints its hash.
pub fn run(args: &PasswordArgs) -> Result<(), Failure> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprintln!("password (it will be seen; `read -s` and a pipe hide it):");
    }
    let mut text = String::new();
    stdin.lock().read_line(&mut text).map_err(Failure::system)?;
    let password = text.trim_end_matches(['\n', '\r']).as_bytes();
    let hash = PasswordHash::create(password, args.memory_kib, args.passes).map_err(Failure::usage)?;
    line(format!("password_hash = \"{hash}\""));
    Ok(())
}
