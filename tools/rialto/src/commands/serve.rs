//! `rialto serve`: the exchange, until a signal or an error ends it.

mod ports;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use exchange::Exchange;
use gateway::binary::BinaryGateway;
use gateway::{Acceptor, GatewayAgent, GatewayConfig, Notice};
use journal::{DataFolder, Stage};
use machine::{Projection, Record, Source};
use protocol::{AccountId, CreateAccount, Limits, Name, Side};
use sequencer::runner::Cores;
use sequencer::{Clock, Durability, Pipeline, PipelineConfig, RecoveredSummary, Running, ThreadConfig};
use simulator::house::{House, HouseConfig, HouseInstrument, Quote};

use super::journal::describe_lost;
use super::replay;
use super::snapshot::tell_skipped;
use crate::admin;
use crate::admin::desk::Names;
use crate::agents::{HouseAgent, OperatorAgent};
use crate::cli::ServeArgs;
use crate::config::{Config, Demo, OpeningDeposit};
use crate::describe;
use crate::folder;
use crate::load_users;
use crate::market_data;
use crate::operator::{self, Known, Operator, Status, Wish};
use crate::output::{Failure, grouped, progress_bar, tell};
use crate::ports_config::BinaryPort;
use crate::signals::stop_signals;
use crate::snapshots::Snapshotter;
use crate::threads::ThreadMap;
use ports::{
    BINARY_GATEWAY, FIX_GATEWAY, Ports, Shared, Tls, binary_config, fix_config, market_data_config, tls,
};

/// Gateway number of the house traders.
const HOUSE_GATEWAY: u16 = 2;
/// Minor units of every asset that a house account starts with.
const HOUSE_DEPOSIT_MINOR: i64 = 1_000_000_000_000_000;
/// Requests of people that may wait for the operator's agent.
const ASKED: usize = 64;
/// How often the main thread looks for signals and faults.
const WATCH: Duration = Duration::from_millis(20);

/// Runs the command.
///
/// # Errors
/// A configuration that cannot be used, a data folder that cannot be opened, or whatever stopped the exchange.
pub fn run(args: &ServeArgs) -> Result<(), Failure> {
    let stop = stop_signals()?;
    let config = configuration(args)?;
    let tls = tls(&config)?;
    sequencer::stop_on_bus_error().map_err(Failure::system)?;
    let map = thread_map(&config, PipelineConfig::default().threads)?;
    // Before the first other thread is started; it would be wherever the system puts it.
    Cores::list().leave_to_spinning(&map.threads).map_err(Failure::system)?;
    // Where a thread spins so as to lose no microsecond, it shall not wait for the kernel to clear pages either.
    pages::take_memory_at_once(map.threads.iter().any(|thread| thread.idle.spins()));
    let clock = Clock::system();
    let data = DataFolder::create(&config.data).map_err(Failure::system)?;
    let limits = limits_in_force(&config)?;
    let shared = Shared::of(&config);
    let tls_of = tls.as_ref();
    let acceptor = open_fix(&config, fix_config(&config, &limits, tls_of, &shared))?;
    let market_data = market_data_config(&config, &limits, tls_of, &shared).map(Acceptor::open).transpose();
    let market_data = market_data.map_err(Failure::usage)?;
    let binary = binary_config(&config, tls_of, &shared).map(Acceptor::open_binary).transpose();
    let binary = binary.map_err(Failure::usage)?;
    let ports = Ports::of(&acceptor, market_data.as_ref(), binary.as_ref()).map_err(Failure::system)?;
    let (known, unused) = Known::load(&config.data);
    if let Some(reason) = unused {
        eprintln!("note: operator.checkpoint is not used: {reason}; all events are read instead");
    }
    let mut edges = Edges { acceptor, market_data, binary, house: None, known, failure: None };
    let pipeline = recover(data, &config, limits, &mut edges, &clock, &stop)?;
    check_assets(&config, pipeline.machine())?;
    edges.house = config.demo.filter(|_| args.demo).map(|demo| house(&config, demo, pipeline.machine()));
    let known = edges.known.clone();
    let Started { running, status, wishes, names } = start(pipeline, edges, &config, &clock)?;
    let admin = admin::server::start(&config.data, names, wishes, clock.clone());
    let admin = admin.map_err(|error| Failure::system(format!("operator's socket: {error}")))?;
    let on = config.snapshots.is_on();
    let snapshotter =
        on.then(|| Snapshotter::start(&config.data, limits, config.snapshots, known)).transpose()?;
    let outcome = announce_when_ready(&running, &status, &config, &ports, &stop)
        .and_then(|()| watch(&running, &status, &stop, tls.as_ref()));
    if outcome.is_ok() {
        tell("stopping: clients are logged out, the journal is synced");
    }
    drop(admin);
    let report = running.shutdown().map_err(Failure::system);
    outcome?;
    let report = report?;
    if let Some(snapshotter) = snapshotter {
        snapshotter.stop();
    }
    tell(format!("stopped at sequence {}, state hash {:016x}", report.last_sequence, report.state_hash));
    Ok(())
}

/// The file or the embedded default, with the command line's changes.
fn configuration(args: &ServeArgs) -> Result<Config, Failure> {
    let mut config = Config::load(args.config.as_deref()).map_err(Failure::usage)?;
    if let Some(data) = &args.data {
        config.data.clone_from(data);
    }
    if let Some(bind) = args.fix_bind {
        config.fix_bind = bind;
    }
    if let Some(bind) = args.market_data_bind {
        config.market_data.bind = Some(bind);
    }
    if let Some(bind) = args.binary_bind {
        config.binary.get_or_insert_with(|| BinaryPort::at(bind)).bind = bind;
    }
    if let Some(durability) = args.durability {
        config.durability = durability;
    }
    if let Some(profile) = args.profile {
        config.profile = profile;
    }
    if args.demo {
        add_house_accounts(&mut config)?;
    }
    if let Some(count) = args.load_sessions {
        load_users::add(&mut config, count)?;
    }
    Ok(config)
}

/// The house's accounts, with made-up money.
fn add_house_accounts(config: &mut Config) -> Result<(), Failure> {
    let Some(demo) = config.demo else {
        return Err(Failure::usage(
            "--demo needs the configuration's [demo] table; `rialto config` shows one",
        ));
    };
    for (account, name) in [(demo.maker_account, "house-maker"), (demo.taker_account, "house-taker")] {
        if account < AccountId::FIRST_CLIENT || config.accounts.iter().any(|it| it.account == account) {
            return Err(Failure::usage(format!(
                "[demo]: account {account} is taken; choose a free one from 2 on"
            )));
        }
        let name = Name::from_text(name).unwrap_or_default();
        config.accounts.push(CreateAccount { account, reserved: 0, name });
        let deposits = config.assets.iter().map(|asset| OpeningDeposit {
            account,
            asset: asset.asset,
            amount_minor: HOUSE_DEPOSIT_MINOR,
        });
        config.deposits.extend(deposits);
    }
    Ok(())
}

/// The journal's limits if there is one, else the configuration's.
fn limits_in_force(config: &Config) -> Result<Limits, Failure> {
    let Some(limits) = folder::limits(&config.data)? else { return Ok(config.limits) };
    if limits != config.limits {
        eprintln!("note: the journal keeps the table sizes that it was created with; [limits] is ignored");
    }
    Ok(limits)
}

/// The house, with the orders that its maker has in the books.
fn house(config: &Config, demo: Demo, machine: &Exchange) -> House {
    let mut house = new_house(config, demo);
    for it in &config.instruments {
        if let Some(ticks) = machine.last_trade_ticks(it.instrument) {
            house.last_traded(it.instrument, ticks);
        }
        for side in [Side::Buy, Side::Sell] {
            for order in machine.orders(it.instrument, side) {
                let quote = Quote {
                    account: order.account,
                    instrument: order.instrument,
                    side,
                    price_ticks: order.price_ticks,
                    leaves_lots: order.leaves_lots,
                    filled_lots: order.filled_lots,
                };
                house.adopt(order.order_id, quote);
            }
        }
    }
    house
}

fn new_house(config: &Config, demo: Demo) -> House {
    let instruments = config.instruments.iter().map(|it| {
        let fair_ticks = if it.reference_price_ticks > 0 { it.reference_price_ticks } else { 10_000 };
        HouseInstrument {
            instrument: it.instrument,
            fair_ticks,
            step_ticks: (fair_ticks / 10_000).max(1),
            // About the same money at every price.
            quantity_lots: (1_000_000_000 / fair_ticks.max(1) / it.quote_minor_per_tick_lot.max(1)).max(1),
        }
    });
    House::new(HouseConfig {
        seed: demo.seed,
        source: Source { gateway: HOUSE_GATEWAY, session: 1 },
        makers: vec![demo.maker_account],
        takers: vec![demo.taker_account],
        levels: 10,
        quote_interval_ns: 200_000_000,
        take_interval_ns: 50_000_000,
        instruments: instruments.collect(),
    })
}

/// Opens the FIX port. With a durability that may lose acknowledged commands the session store may be ahead of the journal: then
/// it forgets what it knows of them first.
fn open_fix(config: &Config, fix: GatewayConfig) -> Result<Acceptor, Failure> {
    let acceptor = Acceptor::open(fix.clone()).map_err(Failure::usage)?;
    let may_lose = !matches!(config.durability.into(), Durability::Disk);
    // Where it cannot be read recovery says why.
    let end = may_lose.then(|| replay::last_sequence(&config.data).ok()).flatten();
    let stored = acceptor.gateway().store().applied();
    let Some(end) = end.filter(|end| stored > *end) else { return Ok(acceptor) };
    drop(acceptor);
    let forgotten = gateway::forget_beyond(&fix.store_path, fix.gateway, end).map_err(Failure::system)?;
    eprintln!(
        "note: the journal has lost the commands after {end}, up to {stored} at least: {} forgets {} of their reports; clients \
         go on with their numbers, and should ask for their orders",
        fix.store_path.display(),
        grouped(forgotten)
    );
    Acceptor::open(fix).map_err(Failure::usage)
}

/// Everything that follows events, before the pipeline runs.
struct Edges {
    acceptor: Acceptor,
    market_data: Option<Acceptor>,
    binary: Option<Acceptor<BinaryGateway>>,
    house: Option<House>,
    known: Known,
    failure: Option<std::io::Error>,
}

impl Edges {
    /// The last sequence that all of them have applied: later events must be shown to them. Market data is built from the
    /// machine's state, see [`Edges::seed_market`]; the binary port reads the journal itself when a client asks for what is
    /// past.
    fn applied_sequence(&self) -> u64 {
        self.known.applied_sequence().min(self.acceptor.gateway().applied_sequence())
    }

    /// The journal ends here, whether its last events had to be shown or not.
    fn journal_ends_at(&mut self, sequence: u64) {
        self.acceptor.journal_ends_at(sequence);
        if let Some(binary) = &mut self.binary {
            binary.journal_ends_at(sequence);
        }
    }

    fn on_event(&mut self, event: Record<'_>, now_ns: u64) {
        self.known.apply(event);
        let outcome = self.acceptors().try_for_each(|acceptor| acceptor.on_event(event, now_ns));
        if let Err(error) = outcome {
            self.failure.get_or_insert(error);
        }
        if let Some(binary) = &mut self.binary
            && let Err(error) = binary.on_event(event, now_ns)
        {
            self.failure.get_or_insert(error);
        }
    }

    fn acceptors(&mut self) -> impl Iterator<Item = &mut Acceptor> {
        std::iter::once(&mut self.acceptor).chain(&mut self.market_data)
    }

    /// Builds market data from the machine's state where its events have not been shown.
    fn seed_market(&mut self, machine: &Exchange) -> Result<(), Failure> {
        for acceptor in self.acceptors() {
            let market = acceptor.gateway().config().market.clone();
            let complete = acceptor.gateway().has_market_up_to(machine.applied_sequence());
            if let Some(market) = market.filter(|_| !complete) {
                let depth = market_data::books_of(machine, market.tape_length);
                acceptor
                    .seed_market(depth.ok_or_else(|| Failure::system("books that contradict each other"))?);
            }
        }
        Ok(())
    }
}

/// Rebuilds the machine from the newest snapshot and what came after it, and shows the edges the events that they lack.
fn recover(
    data: DataFolder,
    config: &Config,
    limits: Limits,
    edges: &mut Edges,
    clock: &Clock,
    stop: &AtomicBool,
) -> Result<Pipeline<Exchange>, Failure> {
    let folder = data.path().display().to_string();
    // Clients choose their order ids; a seed that they cannot know keeps them from choosing ids that collide.
    let hash_seed = RandomState::new().build_hasher().finish();
    exchange::check_limits(&limits).map_err(Failure::usage)?;
    let mut make = || Exchange::with_hash_seed(limits, hash_seed).expect("limits that were checked");
    let bar = progress_bar(0, "commands", false);
    bar.set_message("recovering");
    let now_ns = clock.now_ns();
    let events_from = edges.applied_sequence();
    let mut stage = None;
    let pipeline = Pipeline::open_from_snapshot(
        data,
        pipeline_config(config, &limits)?,
        &mut make,
        events_from,
        &mut |event| edges.on_event(event, now_ns),
        &mut |progress| {
            if stop.load(Ordering::Acquire) {
                bar.finish_and_clear();
                leave_start();
            }
            if stage.replace(progress.stage) != Some(progress.stage) {
                bar.set_message(match progress.stage {
                    Stage::Events => "reading events",
                    Stage::Commands => "executing",
                });
                bar.set_length(progress.last_sequence);
                bar.set_position(progress.first_sequence);
                // The estimate is of this stage alone.
                bar.reset_eta();
            }
            bar.set_position(progress.sequence);
        },
    );
    bar.finish_and_clear();
    let pipeline = pipeline.map_err(Failure::system)?;
    if let Some(error) = edges.failure.take() {
        return Err(Failure::system(format!("FIX session store: {error}")));
    }
    edges.seed_market(pipeline.machine())?;
    let recovered = pipeline.recovered();
    edges.journal_ends_at(recovered.last_sequence);
    let (known, last) = (edges.known.applied_sequence(), recovered.last_sequence);
    if known > last {
        return Err(Failure::system(format!(
            "{folder}/operator.checkpoint is of sequence {known}, but the commands end at {last}: it belongs to another \
             journal; remove it, and it is made anew"
        )));
    }
    tell_recovered(recovered, &folder, config);
    Ok(pipeline)
}

/// Refuses a configuration whose assets are not those of the journal: amounts would be read with another scale, or called by another
/// name, and an asset cannot be changed.
fn check_assets(config: &Config, machine: &Exchange) -> Result<(), Failure> {
    for wanted in &config.assets {
        let existing = machine.assets().find(|it| it.asset == wanted.asset);
        if let Some(existing) = existing.filter(|it| (it.name, it.scale) != (wanted.name, wanted.scale)) {
            return Err(Failure::usage(format!(
                "assets: {} is {} with scale {} in the configuration, but {} with scale {} in the journal, which cannot be changed: \
                 correct it, or give the new one an id of its own",
                wanted.asset, wanted.name, wanted.scale, existing.name, existing.scale
            )));
        }
    }
    Ok(())
}

/// Ends the process in the middle of a start. It may be killed at any moment, so nothing has to be put in order, and to recover
/// first, only to stop then, can take longer than who stops it waits.
fn leave_start() -> ! {
    tell("stopped before it was ready: nothing has been taken, the next start begins again");
    std::process::exit(0)
}

/// Says what was found and from where it was rebuilt.
fn tell_recovered(recovered: &RecoveredSummary, folder: &str, config: &Config) {
    tell_skipped(&recovered.skipped);
    if let Some(sequence) = recovered.from_snapshot {
        tell(format!(
            "started from the snapshot of sequence {}, {} commands before the end",
            grouped(sequence),
            grouped(recovered.last_sequence - sequence)
        ));
    }
    for (stream, cut) in [("commands", &recovered.commands_cut), ("events", &recovered.events_cut)] {
        if let Some(cut) = cut {
            let (file, offset, bytes) = (cut.file.display(), cut.offset, cut.bytes);
            let lost = describe_lost(cut);
            let promise = match (stream, config.durability.into()) {
                ("events", _) => "they are computed again",
                (_, Durability::Disk) => "none of it had been synced, so none of it was acknowledged",
                _ => {
                    "none of it had been synced; what was acknowledged without a sync may be gone, after a loss of power"
                }
            };
            tell(format!(
                "cut a torn tail of the {stream}: {bytes} bytes at offset {offset} of {file}, {lost}; {promise}"
            ));
        }
    }
    if let Some(last) = recovered.events_removed_up_to {
        tell(format!(
            "removed the events of sequences {} to {last}: their commands are gone; {}",
            recovered.last_sequence + 1,
            match config.durability.into() {
                Durability::Disk =>
                    "if they were given with durability disk, the journal has lost its end: look for a copy",
                _ => "they had not been synced, and may have been acknowledged all the same",
            }
        ));
    }
    tell(format!(
        "{folder}: sequence {}, state hash {:016x}, durability {}",
        grouped(recovered.last_sequence),
        recovered.state_hash,
        config.durability.name()
    ));
}

/// The pipeline's configuration: defaults, the durability, and each thread's idle strategy and core.
fn pipeline_config(config: &Config, limits: &Limits) -> Result<PipelineConfig, Failure> {
    let mut pipeline = folder::pipeline_config(config.durability.into(), limits);
    folder::set_batch(&mut pipeline, config.journal);
    pipeline.threads = thread_map(config, std::mem::take(&mut pipeline.threads))?.threads;
    Ok(pipeline)
}

fn thread_map(config: &Config, own: Vec<ThreadConfig>) -> Result<ThreadMap, Failure> {
    ThreadMap::new(config.profile, &config.threads, own, &Cores::list())
}

/// A running exchange, and how to ask it for something.
struct Started {
    running: Running,
    status: Arc<Status>,
    wishes: SyncSender<Wish>,
    names: Arc<Mutex<Names>>,
}

/// The FIX sessions by name: gateway and session number in the source of commands.
fn sessions(config: &Config) -> BTreeMap<String, (u16, u16)> {
    let numbered = config.users.iter().zip(1..);
    numbered.map(|(user, number)| (user.sender_comp_id.clone(), (FIX_GATEWAY, number))).collect()
}

/// Puts the edges into the pipeline and starts it.
fn start(
    mut pipeline: Pipeline<Exchange>,
    edges: Edges,
    config: &Config,
    clock: &Clock,
) -> Result<Started, Failure> {
    let (wishes, warnings) = edges.known.missing(config, clock.now_ns());
    for warning in warnings {
        eprintln!("note: {warning}");
    }
    let map = thread_map(config, PipelineConfig::default().threads)?;
    let operator = Operator::new(&edges.known, wishes, config, clock.now_ns());
    let (status, names) = (operator.status(), operator.names());
    let mut named = Names::of(pipeline.machine());
    named.sessions = sessions(config);
    *names.lock().unwrap_or_else(PoisonError::into_inner) = named;
    let ingress = pipeline.ingress(operator::GATEWAY).map_err(Failure::system)?;
    let events = pipeline.events().map_err(Failure::system)?;
    let (wishes, asked) = sync_channel(ASKED);
    let agent = OperatorAgent::new(operator, asked, ingress, events, clock.clone());
    pipeline.add_agent(map.thread_of("operator"), Box::new(agent));
    let ingress = pipeline.ingress(FIX_GATEWAY).map_err(Failure::system)?;
    let events = pipeline.events().map_err(Failure::system)?;
    let agent = GatewayAgent::new(edges.acceptor, ingress, events, clock.clone(), notify("FIX"));
    let agent = agent.map_err(Failure::system)?;
    pipeline.add_agent(map.thread_of("gateway"), Box::new(agent));
    if let Some(acceptor) = edges.market_data {
        let events = pipeline.events().map_err(Failure::system)?;
        let agent = GatewayAgent::market_data(acceptor, events, clock.clone(), notify("market data"));
        pipeline.add_agent(map.thread_of("market_data"), Box::new(agent.map_err(Failure::system)?));
    }
    if let Some(acceptor) = edges.binary {
        let ingress = pipeline.ingress(BINARY_GATEWAY).map_err(Failure::system)?;
        let events = pipeline.events().map_err(Failure::system)?;
        let agent = GatewayAgent::new(acceptor, ingress, events, clock.clone(), notify("binary"));
        pipeline.add_agent(map.thread_of("binary"), Box::new(agent.map_err(Failure::system)?));
    }
    if let Some(house) = edges.house {
        let ingress = pipeline.ingress(HOUSE_GATEWAY).map_err(Failure::system)?;
        let events = pipeline.events().map_err(Failure::system)?;
        let agent = HouseAgent::new(house, ingress, events, clock.clone(), Arc::clone(&status));
        pipeline.add_agent(map.thread_of("house"), Box::new(agent));
    }
    let running = pipeline.start().map_err(Failure::system)?;
    Ok(Started { running, status, wishes, names })
}

/// Writes what happened on a connection to the log.
fn notify(protocol: &'static str) -> Box<dyn FnMut(&Notice) + Send> {
    Box::new(move |notice| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let time = describe::timestamp(now.as_nanos() as u64);
        let peer = notice.peer.map_or_else(|| "-".to_string(), |peer| peer.to_string());
        let name = notice.comp_id.as_deref().unwrap_or("-");
        eprintln!("{time} {protocol} {peer} {name}: {}", notice.text);
    })
}

/// Waits until what the configuration names exists, then tells how to reach the exchange.
fn announce_when_ready(
    running: &Running,
    status: &Status,
    config: &Config,
    ports: &Ports,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    while !status.ready.load(Ordering::Acquire) && !stop.load(Ordering::Acquire) {
        check(running, status)?;
        std::thread::sleep(Duration::from_millis(1));
    }
    check(running, status)?;
    for (what, address) in &ports.others {
        tell(format!("{what} listening on {address}"));
    }
    tell(format!("FIX listening on {}", ports.fix));
    if config.market_data.enabled && config.market_data.bind.is_none() {
        tell("market data over FIX: on the same port");
    }
    let users = config.users.iter().map(|user| user.sender_comp_id.as_str()).collect::<Vec<_>>().join(", ");
    tell(format!(
        "ready: TargetCompID {}, SenderCompID one of {users}; stop with Ctrl-C",
        config.target_comp_id
    ));
    if config.data != Path::new("data") {
        tell(format!("watch it: rialto top --data {}", config.data.display()));
    } else {
        tell("watch it: rialto top");
    }
    Ok(())
}

fn watch(running: &Running, status: &Status, stop: &AtomicBool, tls: Option<&Tls>) -> Result<(), Failure> {
    let mut full = false;
    while !stop.load(Ordering::Acquire) {
        check(running, status)?;
        tls.into_iter().for_each(Tls::watch);
        if running.is_disk_full() != full {
            full = !full;
            eprintln!(
                "note: {}",
                if full {
                    "the disk is full: new orders are refused, cancels are taken; free some space"
                } else {
                    "the disk has room again: new orders are taken"
                }
            );
        }
        std::thread::sleep(WATCH);
    }
    Ok(())
}

/// Whether anything has stopped the exchange.
fn check(running: &Running, status: &Status) -> Result<(), Failure> {
    if let Some(fault) = running.fault() {
        return Err(Failure::system(format!(
            "{fault}; no more commands are taken, nothing acknowledged is lost"
        )));
    }
    let failure = status.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    failure.map_or(Ok(()), |failure| Err(Failure::usage(format!("configuration: {failure}"))))
}
