//! What a snapshot of a million accounts and a million orders costs, and what the engine feels of it.
//!
//! `cargo run --release -p benches --example snapshot -- FOLDER [PAIRS]`, the pairs a square number. The engine's commands
//! are timed one by one, alone and while another thread writes snapshots of a machine of its own.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use benches::pairs::Market;
use exchange::Exchange;
use journal::{ChainHash, DataFolder, SnapshotPlace, SnapshotStore};
use machine::{EventBuffer, StateMachine, step};
use zerocopy::IntoBytes;

const COMMANDS: usize = 4_000_000;
const ROUNDS: u64 = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("which folder?")?;
    let pairs = arguments.next().map_or(Ok(100), |pairs| pairs.parse())?;
    let market = Market::million(pairs, COMMANDS);
    let stream = market.stream();
    let mut shadow = Exchange::new(market.limits())?;
    market.stage(&mut shadow);
    println!("{:?}", shadow.counts());
    let data = DataFolder::create(Path::new(&folder))?;
    let limits = market.limits();
    let store = SnapshotStore::new::<Exchange>(&data, limits.as_bytes());
    let start = Instant::now();
    let hash = shadow.state_hash();
    println!("state hash      {:.2} s", start.elapsed().as_secs_f64());
    for sequence in 1..=ROUNDS {
        write(&store, &shadow, sequence)?;
    }
    read(&store, &market, hash)?;

    let mut engine = Exchange::new(market.limits())?;
    market.stage(&mut engine);
    let half = stream.len() / 2;
    let play = |engine: &mut Exchange, numbers: std::ops::Range<usize>, goes_on: &dyn Fn() -> bool| {
        let mut events = EventBuffer::with_capacity(engine.max_event_bytes());
        let mut times = Vec::with_capacity(numbers.len());
        for number in numbers {
            if !goes_on() {
                break;
            }
            events.clear();
            let start = Instant::now();
            step(engine, stream.get(number), &mut events);
            times.push(start.elapsed().as_nanos() as u32);
        }
        times
    };
    report("engine alone", play(&mut engine, 0..half, &|| true));
    let (stop, taken) = (AtomicBool::new(false), AtomicU32::new(0));
    let times = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Acquire) {
                write(&store, &shadow, 1).expect("a snapshot");
                taken.fetch_add(1, Ordering::Release);
            }
        });
        let times = play(&mut engine, half..stream.len(), &|| taken.load(Ordering::Acquire) < 3);
        stop.store(true, Ordering::Release);
        times
    });
    report("while snapshots are written", times);
    Ok(())
}

fn write(store: &SnapshotStore<'_>, machine: &Exchange, sequence: u64) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let place = SnapshotPlace { sequence, timestamp_ns: sequence, chain: ChainHash::default() };
    let path = store.write(machine, place)?;
    let seconds = start.elapsed().as_secs_f64();
    println!("written         {seconds:.2} s, {} bytes", std::fs::metadata(path)?.len());
    Ok(())
}

fn read(store: &SnapshotStore<'_>, market: &Market, hash: u64) -> Result<(), Box<dyn Error>> {
    for sequence in 1..=ROUNDS {
        let mut machine: Exchange = Exchange::new(market.limits())?;
        let start = Instant::now();
        let header = store.read(sequence, &mut machine).map_err(|refused| refused.to_string())?;
        println!("read            {:.2} s", start.elapsed().as_secs_f64());
        assert_eq!(header.state_hash, hash);
    }
    Ok(())
}

fn report(what: &str, mut times: Vec<u32>) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{what}: {} commands, p50 {} ns, p99 {} ns, p99.9 {} ns, p99.99 {} ns, max {} ns",
        times.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(0.9999),
        at(1.0)
    );
}
