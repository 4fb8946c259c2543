//! `rialto serve`: the exchange, until a signal or an error ends it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use exchange::Exchange;
use gateway::{Acceptor, GatewayAgent, GatewayConfig, Notice};
use journal::DataFolder;
use machine::{Record, Source};
use protocol::{AccountId, CreateAccount, Limits, Name};
use sequencer::{Clock, IdleStrategy, Pipeline, PipelineConfig, Running, ThreadConfig};
use simulator::house::{House, HouseConfig, HouseInstrument};

use crate::agents::{HouseAgent, OperatorAgent};
use crate::cli::ServeArgs;
use crate::config::{Config, Demo, OpeningDeposit};
use crate::describe;
use crate::folder;
use crate::operator::{self, Known, Operator, Status};
use crate::output::{Failure, grouped, line, progress_bar};

/// Gateway number of the FIX port.
const FIX_GATEWAY: u16 = 1;
/// Gateway number of the house traders.
const HOUSE_GATEWAY: u16 = 2;
/// Minor units of every asset that a house account starts with.
const HOUSE_DEPOSIT_MINOR: i64 = 1_000_000_000_000_000;
/// How often the main thread looks for signals and faults.
const WATCH: Duration = Duration::from_millis(20);

/// Runs the command.
///
/// # Errors
/// A configuration that cannot be used, a data folder that cannot be opened, or whatever stopped the exchange.
pub fn run(args: &ServeArgs) -> Result<(), Failure> {
    let config = configuration(args)?;
    let stop = stop_signals()?;
    sequencer::stop_on_bus_error().map_err(Failure::system)?;
    let clock = Clock::system();
    let data = DataFolder::create(&config.data).map_err(Failure::system)?;
    let limits = limits_in_force(&config)?;
    let acceptor = Acceptor::open(fix_config(&config)).map_err(Failure::usage)?;
    let address = acceptor.local_addr().map_err(Failure::system)?;
    let mut edges = Edges { acceptor, house: None, known: Known::default(), failure: None };
    edges.house = config.demo.filter(|_| args.demo).map(|demo| house(&config, demo));
    let pipeline = recover(data, &config, limits, &mut edges, &clock)?;
    let (running, status) = start(pipeline, edges, &config, &clock)?;
    let outcome = announce_when_ready(&running, &status, &config, address, &stop)
        .and_then(|()| watch(&running, &status, &stop));
    if outcome.is_ok() {
        line("stopping: clients are logged out, the journal is synced");
    }
    let report = running.shutdown().map_err(Failure::system);
    outcome?;
    let report = report?;
    line(format!("stopped at sequence {}, state hash {:016x}", report.last_sequence, report.state_hash));
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
    if let Some(durability) = args.durability {
        config.durability = durability;
    }
    if args.demo {
        add_house_accounts(&mut config)?;
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

/// A first SIGINT or SIGTERM asks for an orderly stop, a second one ends the process at once.
fn stop_signals() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(Failure::system)?;
    }
    Ok(stop)
}

/// The journal's limits if there is one, else the configuration's.
fn limits_in_force(config: &Config) -> Result<Limits, Failure> {
    let Some(limits) = folder::limits(&config.data)? else { return Ok(config.limits) };
    if limits != config.limits {
        eprintln!("note: the journal keeps the table sizes that it was created with; [limits] is ignored");
    }
    Ok(limits)
}

fn fix_config(config: &Config) -> GatewayConfig {
    let store = config.data.join("fix-sessions");
    let mut gateway = GatewayConfig::new(FIX_GATEWAY, config.fix_bind, store, config.users.clone());
    gateway.firms.clone_from(&config.firms);
    gateway.limits.clone_from(&config.gateway);
    gateway.events_path = Some(config.data.join(journal::EVENTS_FOLDER));
    gateway.audit_path = Some(config.data.join("fix-logons.log"));
    gateway.target_comp_id.clone_from(&config.target_comp_id);
    gateway
}

fn house(config: &Config, demo: Demo) -> House {
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

/// Everything that follows events, before the pipeline runs.
struct Edges {
    acceptor: Acceptor,
    house: Option<House>,
    known: Known,
    failure: Option<std::io::Error>,
}

impl Edges {
    fn on_event(&mut self, event: Record<'_>, now_ns: u64) {
        self.known.apply(event);
        if let Some(house) = &mut self.house {
            house.on_event(event);
        }
        if let Err(error) = self.acceptor.on_event(event, now_ns) {
            self.failure.get_or_insert(error);
        }
    }
}

/// Re-executes the journal and shows its events to the edges.
fn recover(
    data: DataFolder,
    config: &Config,
    limits: Limits,
    edges: &mut Edges,
    clock: &Clock,
) -> Result<Pipeline<Exchange>, Failure> {
    let folder = data.path().display().to_string();
    // Clients choose their order ids; a seed that they cannot know keeps them from choosing ids that collide.
    let hash_seed = RandomState::new().build_hasher().finish();
    let machine = Exchange::with_hash_seed(limits, hash_seed).map_err(Failure::usage)?;
    let bar = progress_bar(0, "commands", false);
    bar.set_message("recovering");
    let now_ns = clock.now_ns();
    let pipeline = Pipeline::open_on(
        data,
        pipeline_config(config, &limits)?,
        machine,
        &mut |event| edges.on_event(event, now_ns),
        &mut |progress| {
            bar.set_length(progress.last_sequence);
            bar.set_position(progress.sequence);
        },
    );
    bar.finish_and_clear();
    let pipeline = pipeline.map_err(Failure::system)?;
    if let Some(error) = edges.failure.take() {
        return Err(Failure::system(format!("FIX session store: {error}")));
    }
    let recovered = pipeline.recovered();
    edges.acceptor.journal_ends_at(recovered.last_sequence);
    for (stream, cut) in [("commands", &recovered.commands_cut), ("events", &recovered.events_cut)] {
        if let Some(cut) = cut {
            let (file, offset, bytes) = (cut.file.display(), cut.offset, cut.bytes);
            line(format!(
                "cut a torn tail of the {stream}: {bytes} bytes at offset {offset} of {file}; none of it had been acknowledged"
            ));
        }
    }
    line(format!(
        "{folder}: sequence {}, state hash {:016x}, durability {}",
        grouped(recovered.last_sequence),
        recovered.state_hash,
        config.durability.name()
    ));
    Ok(pipeline)
}

/// The pipeline's configuration: defaults, the durability, and each thread's idle strategy and core.
fn pipeline_config(config: &Config, limits: &Limits) -> Result<PipelineConfig, Failure> {
    let mut pipeline = folder::pipeline_config(config.durability.into(), limits);
    folder::set_batch(&mut pipeline, config.journal);
    // The edges that nobody waits for look only now and then, and leave the processors to those that somebody does.
    let patient = IdleStrategy::Park { park_ns: 2_000_000 };
    for (name, idle) in [("gateway", IdleStrategy::default()), ("house", patient), ("operator", patient)] {
        pipeline.threads.push(ThreadConfig { idle, ..ThreadConfig::new(name, &[]) });
    }
    for (name, wanted) in &config.threads {
        let known = pipeline.threads.iter().map(|thread| thread.name.as_str()).collect::<Vec<_>>().join(", ");
        let Some(thread) = pipeline.threads.iter_mut().find(|thread| thread.name == *name) else {
            return Err(Failure::usage(format!(
                "[threads.{name}] is no thread of an exchange; there are: {known}"
            )));
        };
        thread.core = wanted.core;
        thread.slice_ns = wanted.slice_us.map_or(thread.slice_ns, |slice_us| slice_us.saturating_mul(1000));
        if let Some(idle) = &wanted.idle {
            thread.idle =
                idle.parse().map_err(|error| Failure::usage(format!("[threads.{name}].idle: {error}")))?;
        }
    }
    Ok(pipeline)
}

/// Puts the edges into the pipeline and starts it.
fn start(
    mut pipeline: Pipeline<Exchange>,
    edges: Edges,
    config: &Config,
    clock: &Clock,
) -> Result<(Running, Arc<Status>), Failure> {
    let (wishes, warnings) = edges.known.missing(config, clock.now_ns());
    for warning in warnings {
        eprintln!("note: {warning}");
    }
    let operator = Operator::new(&edges.known, wishes, config, clock.now_ns());
    let status = operator.status();
    let ingress = pipeline.ingress(operator::GATEWAY).map_err(Failure::system)?;
    let events = pipeline.events().map_err(Failure::system)?;
    let agent = OperatorAgent::new(operator, ingress, events, clock.clone());
    pipeline.add_agent("operator", Box::new(agent));
    let ingress = pipeline.ingress(FIX_GATEWAY).map_err(Failure::system)?;
    let events = pipeline.events().map_err(Failure::system)?;
    let agent = GatewayAgent::new(edges.acceptor, ingress, events, clock.clone(), Box::new(notify));
    let agent = agent.map_err(Failure::system)?;
    pipeline.add_agent("gateway", Box::new(agent));
    if let Some(house) = edges.house {
        let ingress = pipeline.ingress(HOUSE_GATEWAY).map_err(Failure::system)?;
        let events = pipeline.events().map_err(Failure::system)?;
        let agent = HouseAgent::new(house, ingress, events, clock.clone(), Arc::clone(&status));
        pipeline.add_agent("house", Box::new(agent));
    }
    let running = pipeline.start().map_err(Failure::system)?;
    Ok((running, status))
}

/// Writes what happened on a FIX connection to the log.
fn notify(notice: &Notice) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let time = describe::timestamp(now.as_nanos() as u64);
    let peer = notice.peer.map_or_else(|| "-".to_string(), |peer| peer.to_string());
    let comp_id = notice.comp_id.as_deref().unwrap_or("-");
    eprintln!("{time} FIX {peer} {comp_id}: {}", notice.text);
}

/// Waits until what the configuration names exists, then tells how to reach the exchange.
fn announce_when_ready(
    running: &Running,
    status: &Status,
    config: &Config,
    address: std::net::SocketAddr,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    while !status.ready.load(Ordering::Acquire) && !stop.load(Ordering::Acquire) {
        check(running, status)?;
        std::thread::sleep(Duration::from_millis(1));
    }
    check(running, status)?;
    line(format!("FIX listening on {address}"));
    let users = config.users.iter().map(|user| user.sender_comp_id.as_str()).collect::<Vec<_>>().join(", ");
    line(format!(
        "ready: TargetCompID {}, SenderCompID one of {users}; stop with Ctrl-C",
        config.target_comp_id
    ));
    if config.data != Path::new("data") {
        line(format!("watch it: rialto top --data {}", config.data.display()));
    } else {
        line("watch it: rialto top");
    }
    Ok(())
}

fn watch(running: &Running, status: &Status, stop: &AtomicBool) -> Result<(), Failure> {
    let mut full = false;
    while !stop.load(Ordering::Acquire) {
        check(running, status)?;
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
