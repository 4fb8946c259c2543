//! `rialto journal archive`.

use exchange::Exchange;
use journal::{DataFolder, SnapshotStore};
use serde_json::json;

use super::args::ArchiveArgs;
use crate::folder;
use crate::output::{Failure, grouped, line, progress_bar};
use crate::snapshots;

/// Runs the command.
///
/// # Errors
/// No snapshot that holds, or a folder that cannot be read or written; what was not archived is still there.
pub fn run(args: &ArchiveArgs) -> Result<(), Failure> {
    let limits = folder::required_limits(&args.dir)?;
    let data = DataFolder::inspect(&args.dir).map_err(Failure::system)?;
    let under = verified_snapshot(&data, limits)?;
    let bar = progress_bar(0, "segments", args.json);
    bar.set_message("archiving");
    let report =
        journal::archive(&data, under, args.keep, &mut |report| bar.set_position(report.segments as u64));
    bar.finish_and_clear();
    let report = report.map_err(Failure::system)?;
    if args.json {
        line(json!({
            "snapshot": under,
            "segments": report.segments,
            "bytes_before": report.bytes_before,
            "bytes_after": report.bytes_after,
        }));
    } else {
        line(format!(
            "archived {} segments under the snapshot of sequence {under}: {} bytes are {} now",
            report.segments,
            grouped(report.bytes_before),
            grouped(report.bytes_after)
        ));
    }
    Ok(())
}

/// Sequence of the newest snapshot that holds; those that do not are named.
fn verified_snapshot(data: &DataFolder, limits: protocol::Limits) -> Result<u64, Failure> {
    let store = SnapshotStore::new::<Exchange>(data, folder::parameters(&limits));
    for sequence in store.list().map_err(Failure::system)? {
        match snapshots::verified(data, limits, sequence) {
            Ok(sequence) => return Ok(sequence),
            Err(reason) => eprintln!("note: the snapshot of sequence {sequence} does not hold: {reason}"),
        }
    }
    let folder = data.path().display();
    Err(Failure::system(format!(
        "{folder} has no snapshot that holds, and only what lies under one is archived; `rialto snapshot take {folder}` makes one"
    )))
}
