//! What a run has measured, for people, for programs, and as a picture.

use serde_json::{Value, json};

use super::args::LoadArgs;
use super::process::Cost;
use super::run::Measured;
use crate::latency::Percentiles;
use crate::output::{Failure, grouped, line};

/// Tells what was measured, and whether that is a failure.
///
/// # Errors
/// What broke the run off, messages that were rejected, or a plot that cannot be written.
pub fn tell(protocol: &str, args: &LoadArgs, measured: Measured, costs: &[Cost]) -> Result<(), Failure> {
    let answered = measured.latency.len();
    let rate = answered as f64 / measured.elapsed.as_secs_f64().max(1e-9);
    if let Some(path) = &args.plot {
        let title =
            format!("{} {protocol} messages a second over {} sessions", grouped(args.rate), args.sessions);
        std::fs::write(path, crate::plot::svg(&title, &measured.latency))
            .map_err(|error| Failure::system(format!("{}: {error}", path.display())))?;
    }
    let percentiles = Percentiles::of(&measured.latency);
    if args.json {
        line(json_of(protocol, args, &measured, rate, &percentiles, costs));
    } else {
        line(format!(
            "{} messages over {} sessions at {} a second (planned {}), {} rejected",
            grouped(answered),
            args.sessions,
            grouped(rate as u64),
            grouped(args.rate),
            grouped(measured.rejected)
        ));
        line(format!("planned time to report: {percentiles}"));
        costs.iter().for_each(|cost| line(cost.per_message(answered)));
    }
    if measured.interrupted {
        eprintln!("note: ended early by Ctrl-C, after {:.1} s", measured.elapsed.as_secs_f64());
    }
    if let Some(failure) = measured.failure {
        return Err(failure);
    }
    match measured.first_reject {
        Some(reason) => Err(Failure::check(format!(
            "{} messages were rejected, the first one because: {reason}",
            grouped(measured.rejected)
        ))),
        None => Ok(()),
    }
}

fn json_of(
    protocol: &str,
    args: &LoadArgs,
    measured: &Measured,
    rate: f64,
    percentiles: &Percentiles,
    costs: &[Cost],
) -> Value {
    let answered = measured.latency.len();
    let mut object = json!({
        "protocol": protocol,
        "messages": measured.sent,
        "answered": answered,
        "sessions": args.sessions,
        "rejected": measured.rejected,
        "planned_rate": args.rate,
        "rate": rate,
        "seconds": measured.elapsed.as_secs_f64(),
        "interrupted": measured.interrupted,
    });
    if let (Value::Object(map), Value::Object(more)) = (&mut object, percentiles.json()) {
        map.extend(more);
        if !costs.is_empty() {
            let threads = costs.iter().map(|cost| cost.json(answered));
            map.insert("threads".to_owned(), threads.collect());
        }
    }
    object
}
