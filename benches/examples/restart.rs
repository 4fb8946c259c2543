//! How long a start takes on a journal that `journal` has made: open, newest snapshot, the commands after it.
//!
//! `cargo run --release -p benches --example restart -- FOLDER`. First for projections that have applied everything, then
//! for one that needs every event.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use exchange::Exchange;
use journal::{DataFolder, StreamOptions, recover_from_snapshot, stream_identity};
use protocol::Limits;
use zerocopy::FromBytes;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("which folder?")?;
    let folder = Path::new(&folder);
    let parameters = stream_identity(&folder.join(journal::COMMANDS_FOLDER))?.parameters;
    let limits = Limits::read_from_bytes(&parameters).map_err(|_| "the journal of another version")?;
    for events_from in [u64::MAX, u64::MAX, 0] {
        let data = DataFolder::open(folder)?;
        let start = Instant::now();
        let mut machine = || Exchange::new(limits).expect("limits that were checked");
        let options = (&StreamOptions::default(), &StreamOptions::for_events());
        let mut events = 0u64;
        let mut on_event = |_: machine::Record<'_>| events += 1;
        let restored = recover_from_snapshot::<Exchange>(
            &data,
            &mut machine,
            &parameters,
            options,
            events_from,
            &mut on_event,
            &mut |_| {},
        )?;
        println!(
            "{:.2} s: snapshot {:?}, last command {}, state hash {:016x}, {events} events shown",
            start.elapsed().as_secs_f64(),
            restored.from_snapshot,
            restored.recovered.last_sequence,
            restored.recovered.state_hash
        );
    }
    Ok(())
}
