//! A machine that takes up another one's state goes on as that one does, byte for byte.
//!
//! `RIALTO_SNAPSHOT_RUNS` sets how many runs of random commands are played, `RIALTO_LOCKSTEP_SEED` the first seed of those
//! with a seed of today.

mod commands;

use commands::{Commands, Known};
use exchange::Exchange;
use machine::{
    EventBuffer, Record, Snapshot, SnapshotError, SnapshotReader, SnapshotWriter, StateMachine, step,
};
use orderbook::{Book, NaiveBook, OrderBook};
use protocol::{EventKind, ExtendedOrderAccepted, Limits, OrderAccepted, OrderReplaced, Trade};
use testkit::{Random, fresh_seed};

const COMMANDS_PER_RUN: u64 = 400;
/// Bytes of the part `EXCH`: what the state hash leaves out.
const HEAD_BYTES: usize = 4 + 24;

fn written<B: Book>(machine: &Exchange<B>) -> Vec<u8> {
    let mut bytes = Vec::new();
    machine.write_snapshot(&mut SnapshotWriter::new(&mut bytes));
    bytes
}

fn restored<B: Book>(limits: Limits, seed: u64, mut bytes: &[u8]) -> Result<Exchange<B>, SnapshotError> {
    let mut machine = Exchange::with_hash_seed(limits, seed).expect("good limits");
    let version = <Exchange<B> as Snapshot>::SNAPSHOT_VERSION;
    machine.read_snapshot(version, &mut SnapshotReader::new(&mut bytes))?;
    assert!(bytes.is_empty(), "{} bytes are left", bytes.len());
    Ok(machine)
}

/// Lets the generator name what there is.
fn learn(commands: &mut Commands, event: Record<'_>) {
    let extended = event.body_as::<ExtendedOrderAccepted>().map(|it| &it.order);
    if let Some(it) = event.body_as::<OrderAccepted>().or(extended) {
        let OrderAccepted { order_id, account, instrument, price_ticks, quantity_lots, .. } = *it;
        commands.known.push(Known { order_id, account, instrument, price_ticks, quantity_lots });
    } else if let Some(it) = event.body_as::<OrderReplaced>() {
        if let Some(known) = commands.known.iter_mut().find(|known| known.order_id == it.order_id) {
            (known.price_ticks, known.quantity_lots) = (it.price_ticks, it.quantity_lots);
        }
    } else if let Some(it) = event.body_as::<Trade>() {
        commands.last_trade_id = it.trade_id;
    }
}

/// The machine that never stops, and two that are taken up from its state now and then.
struct Trio {
    steady: Exchange<OrderBook>,
    fast: Exchange<OrderBook>,
    naive: Exchange<NaiveBook>,
    events: [EventBuffer; 3],
    /// The steady one's state after the last command, without its head, and its hash.
    last: (Vec<u8>, u64),
}

impl Trio {
    fn new(limits: Limits) -> Self {
        let steady = Exchange::new(limits).expect("good limits");
        let room = steady.max_event_bytes();
        let last = (written(&steady).split_off(HEAD_BYTES), steady.state_hash());
        Self {
            steady,
            fast: Exchange::new(limits).expect("good limits"),
            naive: Exchange::new(limits).expect("good limits"),
            events: [room; 3].map(EventBuffer::with_capacity),
            last,
        }
    }

    fn play(&mut self, command: Record<'_>) {
        self.events.iter_mut().for_each(EventBuffer::clear);
        let [steady, fast, naive] = &mut self.events;
        step(&mut self.steady, command, steady);
        step(&mut self.fast, command, fast);
        step(&mut self.naive, command, naive);
        assert_eq!(steady.bytes(), fast.bytes());
        assert_eq!(steady.bytes(), naive.bytes());
        let hash = self.steady.state_hash();
        assert_eq!([self.fast.state_hash(), self.naive.state_hash()], [hash; 2]);
        let state = written(&self.steady).split_off(HEAD_BYTES);
        let (before, hash_before) = std::mem::replace(&mut self.last, (state, hash));
        assert_eq!(
            self.last.0 == before,
            hash == hash_before,
            "the hash knows all of the state, and nothing else"
        );
    }

    fn restart(&mut self, seed: u64) {
        let bytes = written(&self.steady);
        let limits = *self.steady.limits();
        self.fast = restored(limits, seed, &bytes).expect("its own bytes");
        self.naive = restored(limits, seed ^ 1, &bytes).expect("its own bytes");
        assert_eq!(self.fast.applied_sequence(), self.steady.applied_sequence());
        assert_eq!(self.fast.due_ns(), self.steady.due_ns());
        assert!(
            written(&self.fast) == bytes && written(&self.naive) == bytes,
            "what was read is written again"
        );
        self.fast.check_invariants();
        self.naive.check_invariants();
    }
}

/// Says which seed failed.
struct FailingSeed(u64);

impl Drop for FailingSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {:#x}", self.0);
        }
    }
}

fn run(seed: u64) -> [u64; 3] {
    let _failing = FailingSeed(seed);
    let mut commands = Commands::new(seed);
    let mut trio = Trio::new(commands.limits);
    let mut random = Random::new(!seed);
    let mut seen = [0; 3];
    for command in commands.opening() {
        trio.play(command.record());
    }
    for _ in 0..COMMANDS_PER_RUN {
        let command = commands.draw();
        trio.play(command.record());
        for event in trio.events[0].records() {
            learn(&mut commands, event);
            seen[0] += u64::from(event.header().kind == EventKind::Trade.code());
            seen[1] += u64::from(event.header().kind == EventKind::OrderTriggered.code());
        }
        if random.one_in(20) {
            seen[2] += u64::from(trio.steady.due_ns() == 0);
            trio.restart(random.bits());
        }
    }
    seen
}

fn runs(first_seed: u64) -> [u64; 3] {
    let runs = std::env::var("RIALTO_SNAPSHOT_RUNS").map_or(60, |text| text.parse().expect("a number"));
    let mut all = [0; 3];
    for seed in 0..runs {
        let seen = run(first_seed.wrapping_add(seed));
        all = std::array::from_fn(|at| all[at] + seen[at]);
    }
    all
}

#[test]
fn a_machine_goes_on_from_any_state_of_another() {
    let [trades, triggered, unfinished] = runs(1);
    assert!(trades > 100 && triggered > 5 && unfinished > 5, "too tame: {trades} {triggered} {unfinished}");
}

#[test]
fn and_does_so_with_a_seed_of_today() {
    let given = std::env::var("RIALTO_LOCKSTEP_SEED").ok();
    let parse = |text: String| u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("hex digits");
    let seed = given.map_or_else(fresh_seed, parse);
    println!("seed {seed:#x}");
    runs(seed);
}

/// A small state with something in every part.
fn busy(seed: u64) -> Exchange<OrderBook> {
    let mut commands = Commands::new(seed);
    let mut machine = Exchange::new(commands.limits).expect("good limits");
    let mut events = EventBuffer::with_capacity(machine.max_event_bytes());
    let opening = commands.opening();
    for command in &opening {
        events.clear();
        step(&mut machine, command.record(), &mut events);
    }
    for _ in 0..300 {
        events.clear();
        step(&mut machine, commands.draw().record(), &mut events);
        events.records().for_each(|event| learn(&mut commands, event));
    }
    machine
}

/// The container's hash keeps damage out; this is about a file that somebody has made up.
#[test]
fn made_up_bytes_are_refused_or_give_some_machine_but_never_panic() {
    for seed in 1..5 {
        let machine = busy(seed);
        let (limits, bytes) = (*machine.limits(), written(&machine));
        let (mut refused, mut random) = (0, Random::new(seed));
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1 << random.below(8);
            match restored::<OrderBook>(limits, 0, &other) {
                Ok(machine) => _ = machine.state_hash(),
                Err(error) => refused += usize::from(!error.to_string().is_empty()),
            }
        }
        assert!(refused > bytes.len() / 20, "{refused} of {}", bytes.len());
        for length in 0..bytes.len() {
            assert!(restored::<OrderBook>(limits, 0, &bytes[..length]).is_err(), "{length} bytes");
        }
    }
}

#[test]
fn other_versions_and_machines_that_are_not_new_are_refused_by_name() {
    let mut machine = busy(1);
    let bytes = written(&machine);
    let version = <Exchange<OrderBook> as Snapshot>::SNAPSHOT_VERSION;
    let mut new = Exchange::<OrderBook>::new(*machine.limits()).expect("good limits");
    let unknown = new.read_snapshot(version + 1, &mut SnapshotReader::new(&mut &bytes[..]));
    assert_eq!(unknown, Err(SnapshotError::UnknownVersion { found: version + 1, known: version }));
    let not_new = machine.read_snapshot(version, &mut SnapshotReader::new(&mut &bytes[..]));
    assert_eq!(not_new, Err(SnapshotError::Invalid("a machine that is not new")));
}

/// Snapshots as each version wrote them: 32 bytes of limits, then the state. They stay for ever; a version that is no longer
/// read is refused by name.
fn kept(version: u32) -> std::path::PathBuf {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    folder.join(format!("snapshot-v{version}.bin"))
}

#[test]
fn snapshots_of_every_version_are_read_or_refused_by_name() {
    let version = <Exchange<OrderBook> as Snapshot>::SNAPSHOT_VERSION;
    for old in 1..=version {
        let bytes = std::fs::read(kept(old)).expect("each version has a file in testdata");
        let (limits, mut state) = bytes.split_at(size_of::<Limits>());
        let limits = <Limits as zerocopy::FromBytes>::read_from_bytes(limits).expect("limits");
        let mut machine = Exchange::<OrderBook>::new(limits).expect("good limits");
        let whole = state;
        let read = machine.read_snapshot(old, &mut SnapshotReader::new(&mut state));
        assert_eq!(read, Ok(()), "version {old}");
        assert!(old < version || written(&machine) == whole, "what this version wrote it writes again");
        machine.check_invariants();
        assert!(machine.counts().orders > 0 && machine.counts().trades > 0);
    }
}

/// `cargo test -p exchange --test snapshots -- --ignored` after the version has been raised, and never again.
#[test]
#[ignore = "writes the file of this version"]
fn write_the_file_of_this_version() {
    let path = kept(<Exchange<OrderBook> as Snapshot>::SNAPSHOT_VERSION);
    assert!(!path.exists(), "{} is there, and must not change", path.display());
    let busiest = (1..200).map(busy).max_by_key(|machine| {
        let counts = machine.counts();
        (counts.trades.min(20), counts.orders)
    });
    let machine = busiest.expect("some machine");
    let bytes = [zerocopy::IntoBytes::as_bytes(machine.limits()), &written(&machine)].concat();
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, bytes).expect("written");
}
