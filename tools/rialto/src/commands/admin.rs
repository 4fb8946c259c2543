//! `rialto admin`: what an operator does at run time.

use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;

use crate::admin::{AdminReply, SOCKET, short_path};
use crate::cli::AdminArgs;
use crate::output::{Failure, grouped, line};

/// Longer than the exchange takes to give up.
const PATIENCE: Duration = Duration::from_secs(15);

/// Runs the command.
///
/// # Errors
/// When no exchange runs on the data folder, or it refuses the request.
pub fn run(args: &AdminArgs) -> Result<(), Failure> {
    let request = serde_json::to_string(&args.command).map_err(Failure::system)?;
    let answer = ask(args, &request)?;
    if args.json {
        line(answer.trim_end());
    }
    let reply: AdminReply = serde_json::from_str(&answer).map_err(Failure::system)?;
    if let Some(error) = reply.error {
        return Err(Failure::check(error));
    }
    if !args.json {
        tell(&reply);
    }
    Ok(())
}

fn ask(args: &AdminArgs, request: &str) -> Result<String, Failure> {
    let data = args.data.display();
    let nobody = || {
        Failure::usage(format!(
            "no exchange is running on {data}: start one with `rialto serve --data {data}`, or give --data"
        ))
    };
    let folder = File::open(&args.data).map_err(|_| nobody())?;
    let stream = UnixStream::connect(short_path(&folder, SOCKET)).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => nobody(),
        ErrorKind::PermissionDenied => Failure::usage(format!(
            "{data}/{SOCKET} belongs to another user: only the user who runs the exchange may do this"
        )),
        _ => Failure::system(error),
    })?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(Failure::system)?;
    (&stream).write_all(format!("{request}\n").as_bytes()).map_err(Failure::system)?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer).map_err(Failure::system)?;
    if answer.is_empty() {
        return Err(Failure::system("the exchange has closed the connection without an answer"));
    }
    Ok(answer)
}

/// For a person: the sequence, and a line for each event.
fn tell(reply: &AdminReply) {
    line(format!("done: command {}", grouped(reply.sequence)));
    for event in &reply.events {
        let Value::Object(fields) = event else { continue };
        let kind = fields.get("kind").and_then(Value::as_str).unwrap_or("?");
        let header = ["sequence", "timestamp_ns", "gateway", "session", "kind"];
        let rest = fields.iter().filter(|(name, _)| !header.contains(&name.as_str()));
        let rest: Vec<String> = rest.map(|(name, value)| format!("{name} {value}")).collect();
        line(format!("  {kind}: {}", rest.join(", ")));
    }
    if reply.more_events > 0 {
        line(format!("  and {} more", grouped(reply.more_events)));
    }
}
