//! `rialto journal archive`.

use journal::DataFolder;
use serde_json::json;

use super::args::ArchiveArgs;
use crate::output::{Failure, grouped, line, progress_bar};

/// Runs the command.
///
/// # Errors
/// A folder that cannot be read or written; what was not archived is still there.
pub fn run(args: &ArchiveArgs) -> Result<(), Failure> {
    let folder = DataFolder::inspect(&args.dir).map_err(Failure::system)?;
    let bar = progress_bar(0, "segments", args.json);
    bar.set_message("archiving");
    let report = journal::archive(&folder, u64::MAX, args.keep, &mut |report| {
        bar.set_position(report.segments as u64)
    });
    bar.finish_and_clear();
    let report = report.map_err(Failure::system)?;
    if args.json {
        line(json!({
            "segments": report.segments,
            "bytes_before": report.bytes_before,
            "bytes_after": report.bytes_after,
        }));
    } else {
        line(format!(
            "archived {} segments: {} bytes are {} now",
            report.segments,
            grouped(report.bytes_before),
            grouped(report.bytes_after)
        ));
    }
    Ok(())
}
