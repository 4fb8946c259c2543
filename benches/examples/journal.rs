//! Makes a journal to measure replay and restart with.
//!
//! ```text
//! cargo run --release -p benches --example journal -- FOLDER single COMMANDS
//! cargo run --release -p benches --example journal -- FOLDER pairs PAIRS GIGABYTES
//! ```
//!
//! `single` is the shared stream on one instrument; `pairs` has a million accounts and a million resting orders on so many
//! instruments (a square number), and ends when both streams together have that many gigabytes (10^9 bytes). It takes a
//! snapshot when 1 % of that is still to come, for `restart`.

use std::error::Error;
use std::path::Path;

use benches::exchange_driver::{self, ClientIds};
use benches::pairs::Market;
use benches::workload::{Shape, generate};
use exchange::Exchange;
use journal::{
    DataFolder, Mark, SnapshotPlace, SnapshotStore, StreamIdentity, StreamKind, StreamOptions, StreamWriter,
};
use machine::{EventBuffer, StateMachine, step};
use protocol::Limits;
use zerocopy::IntoBytes;

/// Records are written in batches of about this many bytes, as under load.
const BATCH_BYTES: usize = 64 << 10;

struct Out {
    data: DataFolder,
    streams: [StreamWriter; 2],
    batches: [Vec<u64>; 2],
    bytes: u64,
}

impl Out {
    fn create(folder: &Path, limits: &Limits) -> Result<Self, Box<dyn Error>> {
        let data = DataFolder::create(folder)?;
        let open = |stream: &Path, kind, options: StreamOptions| {
            let identity =
                StreamIdentity::new(kind, Exchange::<orderbook::OrderBook>::NAME, limits.as_bytes());
            StreamWriter::open(stream, &identity, &options, data.storage()).map(|(writer, _)| writer)
        };
        let commands = StreamOptions { sync_on_roll: false, zero_ahead_bytes: 0, ..StreamOptions::default() };
        let streams = [
            open(&data.commands(), StreamKind::Commands, commands)?,
            open(&data.events(), StreamKind::Events, StreamOptions::for_events())?,
        ];
        Ok(Self { data, streams, batches: Default::default(), bytes: 0 })
    }

    fn append(&mut self, records: [&[u8]; 2]) -> Result<(), Box<dyn Error>> {
        for (batch, bytes) in self.batches.iter_mut().zip(records) {
            let (words, _) = bytes.as_chunks::<8>();
            batch.extend(words.iter().map(|word| u64::from_le_bytes(*word)));
            self.bytes += bytes.len() as u64;
        }
        if self.batches[1].len() * 8 >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Box<dyn Error>> {
        for (writer, batch) in self.streams.iter_mut().zip(&mut self.batches) {
            writer.write_batch(batch.as_bytes(), 0)?;
            batch.clear();
        }
        Ok(())
    }

    /// Everything so far is synced, and the state kept.
    fn snapshot(&mut self, exchange: &Exchange) -> Result<(), Box<dyn Error>> {
        self.flush()?;
        for writer in &mut self.streams {
            writer.sync()?;
        }
        let limits = exchange.limits();
        let store = SnapshotStore::new::<Exchange>(&self.data, limits.as_bytes());
        let [commands, _] = &self.streams;
        let sequence = commands.last_sequence();
        let timestamp_ns = sequence * 1_000;
        store.write(exchange, SnapshotPlace { sequence, timestamp_ns, chain: commands.chain() })?;
        println!("snapshot after {sequence} commands");
        Ok(())
    }

    fn finish(mut self, state_hash: u64) -> Result<(), Box<dyn Error>> {
        self.flush()?;
        for writer in &mut self.streams {
            writer.sync()?;
        }
        let [commands, _] = &self.streams;
        let (sequence, chain) = (commands.last_sequence(), Some(commands.chain()));
        self.data.append_mark(Mark { sequence, state_hash, chain })?;
        println!("{sequence} commands, {} bytes of records, state hash {state_hash:016x}", self.bytes);
        Ok(())
    }
}

fn single(folder: &Path, commands: usize) -> Result<(), Box<dyn Error>> {
    let workload = generate(Shape::single_pair(1, commands));
    let (stream, _) = exchange_driver::records(&workload, ClientIds::New);
    let mut exchange = exchange_driver::exchange(&workload);
    let mut out = Out::create(folder, exchange.limits())?;
    let mut events = EventBuffer::with_capacity(exchange.max_event_bytes());
    for number in 0..stream.len() {
        let command = stream.get(number);
        events.clear();
        step(&mut exchange, command, &mut events);
        let mut bytes = [command.header().as_bytes(), command.body()].concat();
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        out.append([&bytes, events.bytes()])?;
    }
    out.finish(exchange.state_hash())
}

fn pairs(folder: &Path, pairs: u32, bytes: u64) -> Result<(), Box<dyn Error>> {
    let market = Market::million(pairs, 0);
    let mut exchange = Exchange::new(market.limits())?;
    let mut out = Out::create(folder, &market.limits())?;
    let mut staged = None;
    for share in [99, 100] {
        let until = bytes / 100 * share;
        let mut outcome = Ok(());
        let mut seen = |command: &[u8], events: &[u8]| {
            outcome = std::mem::replace(&mut outcome, Ok(())).and_then(|()| out.append([command, events]));
            outcome.is_ok() && out.bytes < until
        };
        match &mut staged {
            None => staged = Some(market.play(&mut exchange, &mut seen)),
            Some(staged) => market.go_on(staged, &mut exchange, &mut seen),
        }
        outcome?;
        if share < 100 {
            out.snapshot(&exchange)?;
        }
    }
    out.finish(exchange.state_hash())
}

fn main() -> Result<(), Box<dyn Error>> {
    const USAGE: &str = "usage: journal FOLDER single COMMANDS | FOLDER pairs PAIRS GIGABYTES";
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [folder, "single", commands] => single(Path::new(folder), commands.parse()?),
        [folder, "pairs", count, gigabytes] => {
            pairs(Path::new(folder), count.parse()?, gigabytes.parse::<u64>()? * 1_000_000_000)
        }
        _ => Err(USAGE.into()),
    }
}
