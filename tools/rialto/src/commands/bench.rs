//! `rialto bench`: the whole pipeline in this process, as fast as it goes and then at a fixed rate.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use benches::exchange_driver::{self, ClientIds, Stream};
use benches::workload::{Shape, generate};
use exchange::Exchange;
use sequencer::{AgentName, EventReader, Ingress, Pipeline, Running, SendError};
use serde_json::{Value, json};

use crate::cli::{BenchArgs, Durability};
use crate::folder;
use crate::output::{DISK_FULL, Failure, grouped, line, progress_bar};
use crate::series::Series;

/// Gateway number of the load.
const GATEWAY: u16 = 1;
/// Events taken in one go.
const EVENTS_PER_POLL: usize = 4096;
/// Longest wait for an answer before the pipeline is taken to be stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the command.
///
/// # Errors
/// A data folder that cannot be used, or a pipeline that stops.
pub fn run(args: &BenchArgs) -> Result<(), Failure> {
    if args.rate == 0 || args.commands == 0 {
        return Err(Failure::usage("--commands and --rate must be 1 or more"));
    }
    let all = [Durability::Memory, Durability::Os, Durability::Disk];
    let modes = if args.durability.is_empty() { all.to_vec() } else { args.durability.clone() };
    let root = args.data.clone().unwrap_or_else(|| PathBuf::from("bench-data"));
    let timed = args.commands + args.rate * args.seconds;
    let shape = Shape::single_pair(1, usize::try_from(timed).map_err(Failure::usage)?);
    if !args.json {
        line(format!("making {} commands ...", grouped(timed)));
    }
    let workload = generate(shape);
    let (stream, staged) = exchange_driver::records(&workload, ClientIds::New);
    let mut results = Vec::new();
    for mode in modes {
        let result = measure(args, mode, &root, &stream, staged + workload.fill, &workload)?;
        if !args.json {
            line(format!("{:<7} {:>10} commands a second", mode.name(), grouped(result.rate as u64)));
            line(format!("        at {} a second: {}", grouped(args.rate), result.latency.whole()));
            result.latency.table().iter().for_each(|row| line(format!("        {row}")));
        }
        results.push(result.json(mode));
    }
    if args.json {
        line(json!({ "commands": args.commands, "latency_rate": args.rate, "results": results }));
    }
    Ok(())
}

/// What one durability gave.
struct Measured {
    rate: f64,
    latency: Series,
}

impl Measured {
    fn json(&self, mode: Durability) -> Value {
        json!({
            "durability": mode.name(),
            "commands_per_second": self.rate,
            "latency": self.latency.whole().json(),
            "series": self.latency.json(),
        })
    }
}

fn measure(
    args: &BenchArgs,
    mode: Durability,
    root: &Path,
    stream: &Stream,
    warm: usize,
    workload: &benches::workload::Workload,
) -> Result<Measured, Failure> {
    let data = root.join(format!("{}-{}", mode.name(), std::process::id()));
    let limits = exchange_driver::limits(workload);
    let mut config = folder::pipeline_config(mode.into(), &limits);
    // The thread that syncs is woken when there is something to do; it must never spin.
    for thread in config.threads.iter_mut().filter(|thread| thread.agents != [AgentName::Sync]) {
        thread.idle = args.idle.parse().map_err(|error| Failure::usage(format!("--idle: {error}")))?;
    }
    let machine: Exchange = Exchange::new(limits).map_err(Failure::usage)?;
    let mut pipeline =
        Pipeline::open(&data, config, machine, &mut |_| {}, &mut |_| {}).map_err(Failure::system)?;
    let ingress = pipeline.ingress(GATEWAY).map_err(Failure::system)?;
    let events = pipeline.events().map_err(Failure::system)?;
    let running = pipeline.start().map_err(Failure::system)?;
    let mut load = Load { ingress, events, running: &running, stream, answered: 0 };
    let outcome = load.measure(args, warm);
    drop(load);
    let shutdown = running.shutdown().map_err(Failure::system);
    std::fs::remove_dir_all(&data).map_err(Failure::system)?;
    // Only if nothing else is in it.
    let _ = std::fs::remove_dir(root);
    shutdown?;
    outcome
}

/// The client: sends records of the stream in order and watches their answers. As the only client of a new journal,
/// its n-th command has sequence n.
struct Load<'a> {
    ingress: Ingress,
    events: EventReader,
    running: &'a Running,
    stream: &'a Stream,
    /// Sequence of the last command whose events have all come.
    answered: u64,
}

impl Load<'_> {
    fn measure(&mut self, args: &BenchArgs, warm: usize) -> Result<Measured, Failure> {
        self.send_all(0..warm, "warming up", args.json)?;
        let full_speed = usize::try_from(args.commands).map_err(Failure::usage)?;
        let start = Instant::now();
        self.send_all(warm..warm + full_speed, "full speed", args.json)?;
        let rate = full_speed as f64 / start.elapsed().as_secs_f64();
        let latency = self.at_rate(warm + full_speed..self.stream.len(), args)?;
        Ok(Measured { rate, latency })
    }

    /// Tries to send one record; `false` when the ring is full.
    fn send(&mut self, number: usize) -> Result<bool, Failure> {
        if self.ingress.is_disk_full() {
            return Err(Failure::system(DISK_FULL));
        }
        let record = self.stream.get(number);
        match self.ingress.try_send_bytes(1, record.header().kind, 1, record.body()) {
            Ok(()) => Ok(true),
            Err(SendError::Full) => Ok(false),
            Err(error) => Err(Failure::system(
                self.running.fault().map_or_else(|| error.to_string(), |fault| fault.to_string()),
            )),
        }
    }

    /// Takes answers, telling `on_answer` the sequence of each command that is done.
    fn poll(&mut self, mut on_answer: impl FnMut(u64)) -> Result<usize, Failure> {
        let answered = &mut self.answered;
        let count = self.events.poll(EVENTS_PER_POLL, |event| {
            if event.is_last_event() {
                *answered = event.header().sequence;
                on_answer(*answered);
            }
        });
        count.map_err(Failure::system)
    }

    fn check(&self, since: Instant) -> Result<(), Failure> {
        if let Some(fault) = self.running.fault() {
            return Err(Failure::system(fault));
        }
        if since.elapsed() > PATIENCE {
            return Err(Failure::system(format!("no answer for {PATIENCE:?}; sequence {}", self.answered)));
        }
        Ok(())
    }

    fn send_all(
        &mut self,
        numbers: std::ops::Range<usize>,
        message: &'static str,
        quiet: bool,
    ) -> Result<(), Failure> {
        let bar = progress_bar(numbers.len() as u64, "commands", quiet);
        bar.set_message(message);
        let (first, last) = (numbers.start, numbers.end as u64);
        let mut next = first;
        let mut progress = Instant::now();
        while self.answered < last {
            let before = next;
            while next < numbers.end && next - before < EVENTS_PER_POLL && self.send(next)? {
                next += 1;
            }
            let taken = self.poll(|_| {})?;
            if next > before || taken > 0 {
                progress = Instant::now();
            } else {
                self.check(progress)?;
                std::thread::yield_now();
            }
            bar.set_position(self.answered.saturating_sub(first as u64));
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Each command at its planned time, and its latency from that time on.
    fn at_rate(&mut self, numbers: std::ops::Range<usize>, args: &BenchArgs) -> Result<Series, Failure> {
        let interval_ns = 1_000_000_000 / args.rate;
        let (first, last) = (numbers.start as u64, numbers.end as u64);
        let mut series = Series::new(numbers.len() as u64 * interval_ns).map_err(Failure::system)?;
        let start = Instant::now();
        let mut next = numbers.start;
        let mut progress = Instant::now();
        while self.answered < last {
            let now_ns = start.elapsed().as_nanos() as u64;
            while next < numbers.end && (next as u64 - first) * interval_ns <= now_ns && self.send(next)? {
                next += 1;
            }
            let taken = self.poll(|sequence| {
                let planned_ns = (sequence - 1 - first) * interval_ns;
                let now_ns = start.elapsed().as_nanos() as u64;
                series.record(planned_ns, now_ns.saturating_sub(planned_ns));
            })?;
            if taken > 0 {
                progress = Instant::now();
            } else {
                self.check(progress)?;
                // The pipeline may need this very processor to answer.
                std::thread::yield_now();
            }
        }
        Ok(series)
    }
}
