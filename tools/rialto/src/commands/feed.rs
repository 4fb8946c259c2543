//! `rialto feed`: recorded markets through the whole exchange.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use exchange::Exchange;
use indicatif::ProgressBar;
use protocol::Limits;
use sequencer::{Durability, Pipeline, ShutdownReport};
use serde_json::{Map, Value, json};
use simulator::FeedError;
use simulator::itch_feed::{self, ItchOptions, ItchReport};
use simulator::lobster_feed::{self, LobsterOptions, LobsterReport};

use crate::cli::{ItchArgs, LobsterArgs};
use crate::folder;
use crate::output::{Failure, grouped, line, progress_bar};
use crate::venue::{GATEWAY, PipelineVenue};

/// Runs `feed itch`.
///
/// # Errors
/// Any difference from the file, an unreadable file, or a pipeline that stops.
pub fn run_itch(args: &ItchArgs) -> Result<(), Failure> {
    let bar = file_bar(&args.file, "scanning", args.json)?;
    let scan =
        itch_feed::scan(bar.wrap_read(open(&args.file)?)).map_err(|error| unreadable(&args.file, &error))?;
    bar.finish_and_clear();
    if scan.messages == 0 {
        let file = args.file.display();
        return Err(Failure::usage(format!(
            "{file} holds no ITCH 5.0 message: is it framed by 2-byte lengths?"
        )));
    }
    let Some(limits) = scan.required_limits() else {
        let orders = grouped(scan.live_orders);
        return Err(Failure::usage(format!(
            "the file has {orders} live orders at a time, more than an exchange holds"
        )));
    };
    let data = new_folder(args.data.as_deref(), &args.file)?;
    let bar = file_bar(&args.file, "replaying", args.json)?;
    let options = ItchOptions::for_scan(&scan);
    let input = bar.wrap_read(open(&args.file)?);
    let (report, run) = through_pipeline(&data, limits, args.durability.into(), |venue| {
        itch_feed::run(venue, input, &limits, options, &mut |_| {})
    })?;
    bar.finish_and_clear();
    if args.json {
        line(with_run(itch_json(&report), &run));
    } else {
        line(&report);
        run.print();
    }
    if report.is_exact() {
        return Ok(());
    }
    Err(Failure::check(format!("{} differences from the recorded market", report.differences.max(1))))
}

/// Runs `feed lobster`.
///
/// # Errors
/// Too many differing rows, an unreadable file, or a pipeline that stops.
pub fn run_lobster(args: &LobsterArgs) -> Result<(), Failure> {
    let books = if args.book.is_empty() { books_beside(&args.file)? } else { args.book.clone() };
    let mut inputs: Vec<Box<dyn Read>> = Vec::new();
    for book in &books {
        inputs.push(Box::new(open(book)?));
    }
    let limits = Limits::default();
    let data = new_folder(args.data.as_deref(), &args.file)?;
    let bar = file_bar(&args.file, "replaying", args.json)?;
    let symbol = file_name(&args.file).split('_').next().unwrap_or_default().to_string();
    let options = LobsterOptions {
        symbol: protocol::Name::from_text(&symbol).map_or_else(|| "STOCK".to_string(), |_| symbol),
        compare_levels: args.levels,
        follow_window: args.follow_window,
        ..LobsterOptions::default()
    };
    let messages = bar.wrap_read(open(&args.file)?);
    let (report, run) = through_pipeline(&data, limits, args.durability.into(), |venue| {
        lobster_feed::run(venue, messages, inputs, &limits, options, &mut |_| {})
    })?;
    bar.finish_and_clear();
    if args.json {
        line(with_run(lobster_json(&report, &books), &run));
    } else {
        line(&report);
        for (number, book) in books.iter().enumerate() {
            line(format!("book file {} is {}", number + 1, book.display()));
        }
        run.print();
    }
    let share_ppm = (args.min_equal * 10_000.0).round() as u64;
    if report.is_good(share_ppm) {
        return Ok(());
    }
    Err(Failure::check(format!("fewer than {} % of the published rows came out equal", args.min_equal)))
}

/// What the pipeline did.
struct Run {
    data: PathBuf,
    shutdown: ShutdownReport,
    elapsed: Duration,
}

impl Run {
    fn rate(&self) -> u64 {
        (self.shutdown.last_sequence as f64 / self.elapsed.as_secs_f64().max(1e-9)) as u64
    }

    fn print(&self) {
        line(format!(
            "pipeline           {} commands in {:.2} s, {} a second; state hash {:016x}",
            grouped(self.shutdown.last_sequence),
            self.elapsed.as_secs_f64(),
            grouped(self.rate()),
            self.shutdown.state_hash
        ));
        line(format!("journal            {0} (check it: rialto replay {0})", self.data.display()));
    }
}

/// Starts an exchange on a new journal, lets `feed` drive it, and stops it in order.
fn through_pipeline<R>(
    data: &Path,
    limits: Limits,
    durability: Durability,
    feed: impl FnOnce(PipelineVenue<'_>) -> Result<R, FeedError>,
) -> Result<(R, Run), Failure> {
    let machine: Exchange = Exchange::new(limits).map_err(Failure::usage)?;
    let config = folder::pipeline_config(durability, &limits);
    let mut pipeline =
        Pipeline::open(data, config, machine, &mut |_| {}, &mut |_| {}).map_err(Failure::system)?;
    let ingress = pipeline.ingress(GATEWAY).map_err(Failure::system)?;
    let events = pipeline.events().map_err(Failure::system)?;
    let running = pipeline.start().map_err(Failure::system)?;
    let start = Instant::now();
    let outcome = feed(PipelineVenue { ingress, events, running: &running });
    let elapsed = start.elapsed();
    let shutdown = running.shutdown().map_err(Failure::system)?;
    let report = outcome.map_err(|error| Failure::system(format!("the feed stopped: {error}")))?;
    Ok((report, Run { data: data.to_path_buf(), shutdown, elapsed }))
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot read {}: {error}", path.display()))
}

fn open(path: &Path) -> Result<File, Failure> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    if file.metadata().map_err(|error| unreadable(path, &error))?.is_dir() {
        return Err(Failure::usage(format!("{} is a folder; name the file in it", path.display())));
    }
    Ok(file)
}

/// A bar over the bytes of a file.
fn file_bar(path: &Path, message: &'static str, quiet: bool) -> Result<ProgressBar, Failure> {
    let length = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?.len();
    let bar = progress_bar(length, "bytes", quiet);
    bar.set_message(message);
    Ok(bar)
}

/// The folder for the run's journal, which must not hold one yet: a recording starts from an empty exchange.
fn new_folder(data: Option<&Path>, file: &Path) -> Result<PathBuf, Failure> {
    let stem = file_name(file);
    let stem = stem.split('.').next().unwrap_or_default();
    let data = data.map_or_else(|| PathBuf::from(format!("feed-{stem}")), Path::to_path_buf);
    if folder::limits(&data)?.is_some() {
        return Err(Failure::usage(format!(
            "{} holds a journal already; remove it, or name another folder with --data",
            data.display()
        )));
    }
    Ok(data)
}

/// The order book files beside a message file: same symbol and day, `orderbook` in the name.
fn books_beside(file: &Path) -> Result<Vec<PathBuf>, Failure> {
    let name = file_name(file);
    let prefix = name.splitn(3, '_').take(2).collect::<Vec<_>>().join("_");
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(parent).map_err(|error| unreadable(parent, &error))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut books = names
        .filter(|other| other.starts_with(&prefix) && other.contains("orderbook"))
        .map(|other| parent.join(other))
        .collect::<Vec<_>>();
    books.sort();
    if books.is_empty() {
        let shown = file.display();
        return Err(Failure::usage(format!(
            "no order book file {prefix}*orderbook* beside {shown}; name it with --book"
        )));
    }
    Ok(books)
}

fn with_run(mut report: Map<String, Value>, run: &Run) -> Value {
    report.insert("data".into(), json!(run.data.display().to_string()));
    report.insert("last_sequence".into(), json!(run.shutdown.last_sequence));
    report.insert("state_hash".into(), json!(format!("{:016x}", run.shutdown.state_hash)));
    report.insert("seconds".into(), json!(run.elapsed.as_secs_f64()));
    report.insert("commands_per_second".into(), json!(run.rate()));
    Value::Object(report)
}

fn itch_json(report: &ItchReport) -> Map<String, Value> {
    let level = |level: Option<marketdata::DepthLevel>| {
        level.map(|it| json!({ "price_ticks": it.price_ticks, "quantity_lots": it.quantity_lots }))
    };
    let books = report.books.iter().map(|book| {
        json!({
            "symbol": book.symbol,
            "bid": level(book.bid),
            "ask": level(book.ask),
            "live_orders": book.live_orders,
        })
    });
    let differences = report
        .first_differences
        .iter()
        .map(|it| json!({ "message": it.message, "expected": it.expected, "got": it.got }));
    let object = json!({
        "exact": report.is_exact(),
        "messages": report.messages,
        "unknown_types": report.unknown_types,
        "wrong_lengths": report.wrong_lengths,
        "truncated_bytes": report.end.truncated_bytes,
        "gzip_truncated": report.end.gzip_truncated,
        "commands": report.commands,
        "executions_known": report.executions_known,
        "executions_matched": report.executions_matched,
        "skipped": report.skipped,
        "parked": report.parked,
        "released": report.released,
        "rejected": report.rejected,
        "differences": report.differences,
        "first_differences": differences.collect::<Vec<_>>(),
        "live_orders": report.live_orders,
        "books": books.collect::<Vec<_>>(),
    });
    object.as_object().cloned().unwrap_or_default()
}

fn lobster_json(report: &LobsterReport, files: &[PathBuf]) -> Map<String, Value> {
    let books = report.books.iter().zip(files).map(|(book, file)| {
        let differences = book.first_differences.iter().map(|it| {
            json!({
                "row": it.row,
                "side": it.side.name(),
                "level": it.level,
                "published": it.published,
                "ours": it.ours,
                "reason": it.reason,
            })
        });
        json!({
            "file": file.display().to_string(),
            "levels": book.levels,
            "rows": book.rows,
            "equal": book.equal,
            "reasons": book.reasons,
            "first_differences": differences.collect::<Vec<_>>(),
        })
    });
    let messages = report.messages.iter().map(|(kind, count)| (format!("{kind:?}"), json!(count)));
    let object = json!({
        "messages": messages.collect::<Map<_, _>>(),
        "truncated_bytes": report.truncated_bytes,
        "commands": report.commands,
        "seeded": report.seeded,
        "executions": report.executions,
        "executed_in_full": report.executed_in_full,
        "executed_same_order": report.executed_same_order,
        "skipped": report.skipped,
        "removed": report.removed,
        "rejected": report.rejected,
        "live_orders": report.live_orders,
        "books": books.collect::<Vec<_>>(),
    });
    object.as_object().cloned().unwrap_or_default()
}
