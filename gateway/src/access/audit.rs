//! The audit log: one line of JSON for every attempt to log on. It never holds a secret.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::fix::{Precision, format_utc};

/// Size at which the log is put aside as `*.1`, in place of the one before.
const ROTATE_BYTES: u64 = 64 << 20;

/// An attempt to log on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When, nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// From where.
    pub address: IpAddr,
    /// Whether it came over TLS.
    pub tls: bool,
    /// SenderCompID (49) as it was sent, with what is not printable escaped, cut after 64 bytes.
    pub sender_comp_id: String,
    /// Whether it succeeded.
    pub accepted: bool,
    /// In what way, or why not.
    pub reason: &'static str,
}

impl Attempt {
    /// As one line of JSON.
    #[must_use]
    pub fn line(&self) -> String {
        let time = format_utc(self.time_ns, Precision::Micros);
        // `escape_ascii` leaves only printable ASCII; quotes and backslashes come out as JSON has them, except \x and \'.
        let sender = self.sender_comp_id.replace("\\x", "\\\\x").replace("\\'", "'");
        format!(
            "{{\"time\":\"{}\",\"address\":\"{}\",\"tls\":{},\"sender_comp_id\":\"{sender}\",\"accepted\":{},\"reason\":\"{}\"}}\n",
            String::from_utf8_lossy(&time),
            self.address,
            self.tls,
            self.accepted,
            self.reason,
        )
    }

    /// SenderCompID for [`Attempt::sender_comp_id`].
    #[must_use]
    pub fn printable(sender_comp_id: &[u8]) -> String {
        sender_comp_id[..sender_comp_id.len().min(64)].escape_ascii().to_string()
    }
}

/// Attempts kept until somebody writes them to the audit log.
const ATTEMPTS: usize = 1024;

/// The attempts to log on since they were taken last; what exceeds [`ATTEMPTS`] is left out.
#[derive(Default)]
pub(crate) struct Attempts(Vec<Attempt>);

impl Attempts {
    /// Notes one, from this address, over TLS or not.
    pub(crate) fn note(
        &mut self,
        (address, tls): (IpAddr, bool),
        sender_comp_id: &[u8],
        accepted: bool,
        reason: &'static str,
        time_ns: u64,
    ) {
        if self.0.len() < ATTEMPTS {
            let sender_comp_id = Attempt::printable(sender_comp_id);
            self.0.push(Attempt { time_ns, address, tls, sender_comp_id, accepted, reason });
        }
    }

    /// Takes them.
    pub(crate) fn take(&mut self) -> Vec<Attempt> {
        std::mem::take(&mut self.0)
    }
}

/// The log's file.
pub struct AuditLog {
    path: PathBuf,
    file: File,
    length: u64,
}

impl AuditLog {
    /// Opens or creates it.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, length })
    }

    /// Appends attempts.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&mut self, attempts: &[Attempt]) -> io::Result<()> {
        if attempts.is_empty() {
            return Ok(());
        }
        if self.length > ROTATE_BYTES {
            std::fs::rename(&self.path, self.path.with_extension("1"))?;
            *self = Self::open(&self.path)?;
        }
        let text: String = attempts.iter().map(Attempt::line).collect();
        self.file.write_all(text.as_bytes())?;
        self.length += text.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(sender: &[u8]) -> Attempt {
        Attempt {
            time_ns: 1_709_210_096_789_000_000,
            address: IpAddr::from([192, 0, 2, 1]),
            tls: true,
            sender_comp_id: Attempt::printable(sender),
            accepted: false,
            reason: "wrong password",
        }
    }

    #[test]
    fn a_line_stays_a_line_whatever_the_client_calls_itself() {
        let line = attempt(b"ALICE").line();
        let expected = "{\"time\":\"20240229-12:34:56.789000\",\"address\":\"192.0.2.1\",\
            \"tls\":true,\"sender_comp_id\":\"ALICE\",\"accepted\":false,\"reason\":\"wrong password\"}\n";
        assert_eq!(line, expected);
        let line = attempt(b"a\"\n\\\x01'\xff").line();
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.contains(r#""a\"\n\\\\x01'\\xff""#), "{line}");
        assert!(attempt(&[b'x'; 1000]).line().len() < 250);
    }

    #[test]
    fn the_file_is_appended_to_and_put_aside_when_large() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logons.log");
        AuditLog::open(&path).unwrap().write(&[attempt(b"A")]).unwrap();
        let mut log = AuditLog::open(&path).unwrap();
        log.write(&[attempt(b"B")]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, attempt(b"A").line() + &attempt(b"B").line());
        log.length = ROTATE_BYTES + 1;
        log.write(&[attempt(b"C")]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), attempt(b"C").line());
        assert_eq!(std::fs::read_to_string(path.with_extension("1")).unwrap(), text);
    }
}
