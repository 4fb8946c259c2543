//! Runs a program, shows its output as it comes and keeps a copy for the tally.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How a program ended.
pub struct Outcome {
    /// Whether it exited with 0.
    pub success: bool,
    /// Everything it printed, both streams, without colours; lines of one stream are in order.
    pub output: String,
}

/// Runs `command` to its end. A program that cannot be started is a failure whose output says why.
pub fn run(command: &mut Command) -> Outcome {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            let output = format!("cannot start {}: {error}\n", command.get_program().display());
            eprint!("{output}");
            return Outcome { success: false, output };
        }
    };
    let stdout = child.stdout.take().map(|stream| copy(stream, std::io::stdout()));
    let stderr = child.stderr.take().map(|stream| copy(stream, std::io::stderr()));
    let success = child.wait().is_ok_and(|status| status.success());
    let parts = [stdout, stderr].into_iter().flatten().filter_map(|reader| reader.join().ok());
    Outcome { success, output: parts.collect() }
}

/// Runs `command` without showing anything; `None` if it had not ended in time, and then neither it nor what it has
/// started is running any more.
pub fn run_within(command: &mut Command, limit: Duration) -> Option<Outcome> {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            let output = format!("cannot start {}: {error}\n", command.get_program().display());
            return Some(Outcome { success: false, output });
        }
    };
    let stdout = child.stdout.take().map(|stream| copy(stream, std::io::sink()));
    let stderr = child.stderr.take().map(|stream| copy(stream, std::io::sink()));
    let deadline = Instant::now() + limit;
    let status = loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
            Ok(status) => break status,
            Err(_) => break None,
        }
    };
    if status.is_none() {
        // The whole group: cargo's own children would go on without it.
        let group = format!("-{}", child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = child.wait();
    }
    let parts = [stdout, stderr].into_iter().flatten().filter_map(|reader| reader.join().ok());
    let output = parts.collect();
    status.map(|status| Outcome { success: status.success(), output })
}

fn copy<R, W>(from: R, mut to: W) -> thread::JoinHandle<String>
where
    R: Read + Send + 'static,
    W: Write + Send + 'static,
{
    thread::spawn(move || {
        let mut kept = String::new();
        let mut line = Vec::new();
        let mut from = BufReader::new(from);
        while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            // A closed terminal must not stop the check: the copy is what is judged.
            let _ = to.write_all(&line);
            kept.push_str(&without_colours(&String::from_utf8_lossy(&line)));
            line.clear();
        }
        kept
    })
}

/// Removes the terminal's colour sequences (ESC `[` ... letter).
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            let _ = characters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_both_streams_and_the_exit_code() {
        let outcome = run(Command::new("sh").args(["-c", "echo one; echo two >&2; exit 3"]));
        assert!(!outcome.success);
        assert!(outcome.output.contains("one\n") && outcome.output.contains("two\n"));
        assert!(run(&mut Command::new("true")).success);
    }

    #[test]
    fn a_program_that_is_not_there_is_a_failure_with_its_name() {
        let outcome = run(&mut Command::new("no-such-program-anywhere"));
        assert!(!outcome.success);
        assert!(outcome.output.contains("no-such-program-anywhere"));
    }

    #[test]
    fn a_program_that_goes_on_too_long_is_ended_with_its_children() {
        let quick = run_within(Command::new("sh").args(["-c", "echo one; exit 3"]), Duration::from_secs(600));
        assert!(quick.is_some_and(|outcome| !outcome.success && outcome.output == "one\n"));
        // Were the child of the shell still there, its end of the pipe would keep this from returning.
        let begun = Instant::now();
        let script = "sleep 600 & sleep 600";
        assert!(run_within(Command::new("sh").args(["-c", script]), Duration::from_millis(50)).is_none());
        assert!(begun.elapsed() < Duration::from_secs(300));
        assert!(
            run_within(&mut Command::new("no-such-program"), Duration::ZERO).is_some_and(|it| !it.success)
        );
    }

    #[test]
    fn colours_are_removed() {
        assert_eq!(without_colours("\u{1b}[32;1m     Summary\u{1b}[0m 3"), "     Summary 3");
    }
}
