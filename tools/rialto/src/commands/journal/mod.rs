//! `rialto journal`: check, print, follow, compare, export, archive.

mod archive;
mod args;
mod diff;
mod export;
mod parquet;
mod select;
mod tail;
mod verify;
mod walk;

pub use args::JournalCommand;
pub use verify::describe_lost;

use crate::output::Failure;

/// Runs the command.
///
/// # Errors
/// Damage, a difference, or a folder that cannot be read.
pub fn run(command: &JournalCommand) -> Result<(), Failure> {
    match command {
        JournalCommand::Verify(args) => verify::run(args),
        JournalCommand::Dump(args) => tail::dump(args),
        JournalCommand::Tail(args) => tail::tail(args),
        JournalCommand::Diff(args) => diff::run(args),
        JournalCommand::Export(args) => export::run(args),
        JournalCommand::Archive(args) => archive::run(args),
    }
}
