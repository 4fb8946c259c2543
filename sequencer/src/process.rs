//! Which process is which: a process id alone is reused, together with its start time it is not.

/// A process, told apart from later ones with the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// Process id.
    pub pid: u64,
    /// When it started, in clock ticks since the machine booted; 0 where the system does not tell.
    pub start: u64,
}

impl ProcessIdentity {
    /// This process.
    #[must_use]
    pub fn current() -> Self {
        let pid = u64::from(std::process::id());
        Self { pid, start: stat(pid).map_or(0, |stat| stat.start) }
    }

    /// Whether it still runs. A zombie does not: it will never write again. Where there is no `/proc`, every process
    /// is taken to be alive, so that a ring is never taken from a living producer.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        if !std::path::Path::new("/proc/self/stat").exists() {
            return true;
        }
        stat(self.pid).is_some_and(|stat| {
            !matches!(stat.state, b'Z' | b'X') && (self.start == 0 || stat.start == self.start)
        })
    }
}

struct Stat {
    state: u8,
    start: u64,
}

/// Reads fields 3 and 22 of `/proc/<pid>/stat` (proc(5)). The name in field 2 may hold anything, so they are
/// counted from its closing parenthesis.
fn stat(pid: u64) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let start = fields.nth(18)?.parse().ok()?;
    Some(Stat { state, start })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_its_namesakes_are_not() {
        let own = ProcessIdentity::current();
        assert!(own.start > 0, "start time is known");
        assert!(own.is_alive());
        assert!(!ProcessIdentity { start: own.start + 1, ..own }.is_alive(), "same id, later start");
        assert!(!ProcessIdentity { pid: u64::from(u32::MAX), start: 1 }.is_alive());
    }

    #[test]
    fn a_killed_child_is_dead_before_it_is_reaped() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep is there");
        let pid = u64::from(child.id());
        let identity = ProcessIdentity { pid, start: stat(pid).expect("child runs").start };
        assert!(identity.is_alive());
        child.kill().expect("child can be killed");
        while identity.is_alive() {
            std::thread::yield_now();
        }
        child.wait().expect("child can be reaped");
        assert!(!identity.is_alive());
    }
}
