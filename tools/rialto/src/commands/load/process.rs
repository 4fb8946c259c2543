//! What an exchange on this machine costs, from `/proc`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::output::Failure;

/// Processor time of a process, thread by thread.
pub struct Watch {
    pid: u32,
    before: BTreeMap<u32, (String, u64)>,
}

/// What one thread has used since.
pub struct Cost {
    /// Its name.
    pub thread: String,
    /// Nanoseconds on a processor.
    pub run_ns: u64,
}

impl Cost {
    /// In words, divided by messages.
    pub fn per_message(&self, messages: u64) -> String {
        let us = self.run_ns as f64 / 1000.0 / messages.max(1) as f64;
        format!(
            "thread {:<15} {us:>8.3} us a message, {:>8.1} ms in all",
            self.thread,
            self.run_ns as f64 / 1e6
        )
    }

    /// As a JSON object.
    pub fn json(&self, messages: u64) -> Value {
        let per_message = self.run_ns as f64 / messages.max(1) as f64;
        json!({ "thread": self.thread, "run_ns": self.run_ns, "run_ns_per_message": per_message })
    }
}

impl Watch {
    /// Begins.
    ///
    /// # Errors
    /// When there is no such process, or the system does not tell about it.
    pub fn begin(pid: u32) -> Result<Self, Failure> {
        Ok(Self { pid, before: threads(pid)? })
    }

    /// What each thread has used since it began; the dearest first, those that have used nothing left out.
    ///
    /// # Errors
    /// When the process has gone.
    pub fn costs(&self) -> Result<Vec<Cost>, Failure> {
        let mut costs = Vec::new();
        for (id, (thread, run_ns)) in threads(self.pid)? {
            let before = self.before.get(&id).map_or(0, |(_, before)| *before);
            costs.push(Cost { thread, run_ns: run_ns.saturating_sub(before) });
        }
        costs.retain(|cost| cost.run_ns > 0);
        costs.sort_by_key(|cost| std::cmp::Reverse(cost.run_ns));
        Ok(costs)
    }
}

/// Name and nanoseconds of each thread: the first number of `schedstat` (Linux, sched-stats.rst).
fn threads(pid: u32) -> Result<BTreeMap<u32, (String, u64)>, Failure> {
    let gone = |error| Failure::usage(format!("--pid {pid}: {error}"));
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/task")).map_err(gone)? {
        let folder = entry.map_err(gone)?.path();
        let id = folder.file_name().and_then(|name| name.to_str()?.parse().ok());
        // A thread may end meanwhile.
        let (Some(id), Ok(name), Ok(stat)) = (
            id,
            std::fs::read_to_string(folder.join("comm")),
            std::fs::read_to_string(folder.join("schedstat")),
        ) else {
            continue;
        };
        let run_ns = stat.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0);
        found.insert(id, (name.trim_end().to_owned(), run_ns));
    }
    Ok(found)
}

/// Resident memory in bytes.
///
/// # Errors
/// When there is no such process.
pub fn resident_bytes(pid: u32) -> Result<u64, Failure> {
    let path = format!("/proc/{pid}/status");
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::usage(format!("--pid {pid}: {error}")))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| Failure::system(format!("--pid {pid}: it has ended")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_computes_is_found_with_its_time() {
        let watch = Watch::begin(std::process::id()).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::Builder::new().name("computes".to_owned()).spawn(move || {
            let start = std::time::Instant::now();
            while start.elapsed().as_millis() < 20 {
                std::hint::black_box(start);
            }
            tell.send(()).unwrap();
            let _ = ended.recv();
        });
        told.recv().unwrap();
        let costs = watch.costs().unwrap();
        let cost = costs.iter().find(|cost| cost.thread == "computes").unwrap();
        assert!(cost.run_ns > 0 && cost.per_message(1).contains("computes"));
        drop(end);
        thread.unwrap().join().unwrap();
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
        assert!(Watch::begin(u32::MAX).is_err());
    }
}
