//! `rialto load idle`: sessions that do nothing, and what they cost.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;

use super::args::LoadIdleArgs;
use super::fix::{HEARTBEAT, Link};
use super::process::{Watch, resident_bytes};
use super::who::Login;
use crate::config::Config;
use crate::load_users;
use crate::output::{Failure, grouped, line, progress_bar};

/// How often all sessions are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Runs the command.
///
/// # Errors
/// A logon that is refused, or a session that is lost.
pub fn run(args: &LoadIdleArgs) -> Result<(), Failure> {
    let config = Config::load(args.who.config.as_deref()).map_err(Failure::usage)?;
    let stop = crate::signals::stop_signals()?;
    load_users::raise_file_limit();
    let before = args.pid.map(resident_bytes).transpose()?;
    let bar = progress_bar(args.sessions, "logons", args.json);
    let mut links = Vec::new();
    for login in Login::all(&args.who, &config, args.sessions) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        links.push(Link::log_on(args.connect, &config.target_comp_id, &login)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let watch = args.pid.map(Watch::begin).transpose()?;
    let start = Instant::now();
    let mut heartbeat = start;
    while start.elapsed() < args.duration && !stop.load(Ordering::Relaxed) {
        let is_due = heartbeat.elapsed() >= HEARTBEAT;
        if is_due {
            heartbeat = Instant::now();
        }
        for link in &mut links {
            if is_due {
                link.queue(b"0", |_, _| {});
            }
            link.receive(&mut |_| {})?;
            link.flush()?;
        }
        std::thread::park_timeout(LOOK.min(args.duration.saturating_sub(start.elapsed())));
    }
    let seconds = start.elapsed().as_secs_f64();
    let costs = watch.map(|watch| watch.costs()).transpose()?.unwrap_or_default();
    let run_ns: u64 = costs.iter().map(|cost| cost.run_ns).sum();
    let percent = run_ns as f64 / seconds / 1e7;
    let after = args.pid.map(resident_bytes).transpose()?;
    let bytes =
        after.zip(before).map(|(after, before)| after.saturating_sub(before) / links.len().max(1) as u64);
    if args.json {
        line(json!({
            "sessions": links.len(),
            "seconds": seconds,
            "resident_bytes_per_session": bytes,
            "processor_percent": args.pid.map(|_| percent),
            "threads": costs.iter().map(|cost| cost.json(1)).collect::<Vec<_>>(),
        }));
    } else {
        line(format!("{} sessions kept alive for {seconds:.1} s", grouped(links.len() as u64)));
        if let Some(bytes) = bytes {
            line(format!(
                "{} bytes of resident memory a session, {percent:.2} % of a processor",
                grouped(bytes)
            ));
            costs.iter().take(5).for_each(|cost| {
                line(format!("thread {:<15} {:>8.1} ms", cost.thread, cost.run_ns as f64 / 1e6));
            });
        }
    }
    for link in &mut links {
        link.queue(b"5", |_, _| {});
        link.flush()?;
    }
    Ok(())
}
