//! What every command shares in talking to a person: progress, errors, grouped numbers.

use std::fmt;
use std::io::Write;

use indicatif::{ProgressBar, ProgressStyle};

/// Why a command failed, and with which exit code.
#[derive(Debug)]
pub struct Failure {
    /// Exit code of the process: 1 a check failed, 2 wrong use or configuration, 3 the journal or the disk.
    pub code: u8,
    /// What happened and what to do.
    pub message: String,
}

impl Failure {
    /// A check that found a difference.
    pub fn check(message: impl fmt::Display) -> Self {
        Self { code: 1, message: message.to_string() }
    }

    /// Wrong arguments or configuration.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self { code: 2, message: message.to_string() }
    }

    /// The journal, the disk or another part of the system.
    pub fn system(message: impl fmt::Display) -> Self {
        Self { code: 3, message: message.to_string() }
    }
}

/// Why a run of our own ends where an exchange would wait for room.
pub const DISK_FULL: &str = "disk full: the journal has no room for its next segment and the reserve; free some space, then start again";

/// A progress bar on standard error: with a terminal only, and only for work that takes a while.
pub fn progress_bar(total: u64, unit: &str, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total);
    let template = format!("{{msg}} {{wide_bar}} {{human_pos}}/{{human_len}} {unit} {{per_sec}} eta {{eta}}");
    bar.set_style(ProgressStyle::with_template(&template).expect("the template is constant and valid"));
    bar
}

/// The same for bytes whose number is not known yet.
pub fn byte_bar(quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    let template = "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} eta {eta}";
    bar.set_style(ProgressStyle::with_template(template).expect("the template is constant and valid"));
    bar
}

/// Writes a line to standard output; a closed pipe ends the process quietly, as `head` expects.
pub fn line(text: impl fmt::Display) {
    if write_line(text).is_err() {
        std::process::exit(0);
    }
}

/// Writes a line to standard output for whoever may be reading it: an exchange goes on when its reader has gone.
pub fn tell(text: impl fmt::Display) {
    let _ = write_line(text);
}

fn write_line(text: impl fmt::Display) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush())
}

/// A number with its thousands grouped.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(["0", "999", "1,000", "12,345,678"], [0, 999, 1_000, 12_345_678].map(grouped));
    }
}
