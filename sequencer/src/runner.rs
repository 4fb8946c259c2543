//! Threads that run agents, and the cores they are pinned to.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle};

use crate::agent::{Agent, CompositeAgent, Fault, ThreadCounters};
use crate::config::ThreadConfig;
use crate::idle::{IdleStrategy, Idler};
use crate::scheduling;

/// The cores that this process may run on. Listed before anything is pinned: a pinned thread, and all that it
/// starts, sees only its own core.
#[derive(Clone, Debug)]
pub struct Cores(Vec<core_affinity::CoreId>);

/// A core that cannot be pinned to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("core {core} does not exist or is not given to this process; it has {available:?}")]
pub struct NoSuchCore {
    /// The core asked for.
    pub core: usize,
    /// Those there are.
    pub available: Vec<usize>,
}

impl Cores {
    /// Asks the system, the first time; later it is what it was then, whatever has been pinned since.
    #[must_use]
    pub fn list() -> Self {
        static FIRST: OnceLock<Cores> = OnceLock::new();
        FIRST.get_or_init(|| Self(core_affinity::get_core_ids().unwrap_or_default())).clone()
    }

    /// Keeps the calling thread, and those that it starts from now on, off the cores that `threads` spin on, so that nothing of
    /// this process takes such a core away for a while. Without another core it does nothing.
    ///
    /// # Errors
    /// What the system says; the thread may then run on all of them as before.
    pub fn leave_to_spinning(&self, threads: &[ThreadConfig]) -> std::io::Result<()> {
        let is_taken = |number: usize| threads.iter().any(|it| it.core == Some(number) && it.idle.spins());
        let numbers = self.numbers();
        let others: Vec<usize> = numbers.iter().copied().filter(|&number| !is_taken(number)).collect();
        if others.is_empty() || others.len() == numbers.len() {
            return Ok(());
        }
        scheduling::run_on(&others)
    }

    /// Their numbers.
    #[must_use]
    pub fn numbers(&self) -> Vec<usize> {
        self.0.iter().map(|core| core.id).collect()
    }

    /// Checks that `core` is one of them.
    ///
    /// # Errors
    /// [`NoSuchCore`].
    pub fn check(&self, core: usize) -> Result<(), NoSuchCore> {
        if self.0.iter().any(|known| known.id == core) {
            return Ok(());
        }
        Err(NoSuchCore { core, available: self.numbers() })
    }
}

/// A thread that runs agents until it is told to stop or something fails.
pub struct AgentRunner {
    name: String,
    thread: JoinHandle<()>,
    counters: Arc<ThreadCounters>,
}

/// How a thread is run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Name of the thread; the system shows its first 15 bytes.
    pub name: String,
    /// Core to pin it to, checked with [`Cores::check`]; `None` leaves it to the system.
    pub core: Option<usize>,
    /// What it does when there is nothing to do.
    pub idle: IdleStrategy,
    /// Time slice to ask for, in nanoseconds; 0 leaves it to the system.
    pub slice_ns: u64,
}

impl AgentRunner {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the system says when it cannot have another thread.
    pub fn spawn(
        options: RunOptions,
        agents: Vec<Box<dyn Agent + Send>>,
        stop: Arc<AtomicBool>,
        fault: Fault,
    ) -> std::io::Result<Self> {
        let counters = Arc::new(ThreadCounters::default());
        let name = options.name.clone();
        let agent = CompositeAgent::new(&name, agents);
        let counting = Arc::clone(&counters);
        let thread = Builder::new().name(name.clone()).spawn(move || {
            if let Some(core) = options.core
                && !core_affinity::set_for_current(core_affinity::CoreId { id: core })
            {
                fault.raise(&options.name, format_args!("cannot be pinned to core {core}"));
            }
            if options.slice_ns > 0 {
                // A system that does not give it runs the thread all the same, only later.
                let _ = scheduling::ask_for_slice(options.slice_ns);
            }
            run(agent, options.idle, &counting, &stop, &fault);
        })?;
        Ok(Self { name, thread, counters })
    }

    /// Name of the thread.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has been doing.
    #[must_use]
    pub fn counters(&self) -> &ThreadCounters {
        &self.counters
    }

    /// Wakes the thread if it sleeps, and waits until it has ended.
    pub fn join(self) {
        self.thread.thread().unpark();
        // A panic of an agent has been caught and reported as a fault.
        let _ = self.thread.join();
    }
}

/// Runs duty cycles until the end, then closes the agents.
fn run(
    mut agent: CompositeAgent,
    idle: IdleStrategy,
    counters: &ThreadCounters,
    stop: &AtomicBool,
    fault: &Fault,
) {
    let mut idler = Idler::new(idle);
    guarded(&mut agent, fault, |agent| {
        while !stop.load(Ordering::Acquire) && !fault.is_raised() {
            let work = agent.do_work()?;
            if work > 0 {
                counters.work_cycles.add(1);
                counters.work.add(work as u64);
            } else {
                counters.idle_cycles.add(1);
            }
            idler.idle(work);
        }
        Ok(())
    });
    guarded(&mut agent, fault, Agent::on_close);
}

/// Calls agents; an error or a panic raises the fault in the name of the agent that had it.
fn guarded(
    agent: &mut CompositeAgent,
    fault: &Fault,
    call: impl FnOnce(&mut CompositeAgent) -> Result<(), crate::agent::AgentError>,
) {
    match catch_unwind(AssertUnwindSafe(|| call(agent))) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => fault.raise(agent.current(), error),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            fault.raise(agent.current(), format_args!("panicked: {text}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::AgentError;
    use std::sync::Mutex;

    struct Scripted {
        name: &'static str,
        left: usize,
        end: fn() -> Result<usize, AgentError>,
        closed: Arc<Mutex<Vec<&'static str>>>,
    }

    impl Agent for Scripted {
        fn name(&self) -> &str {
            self.name
        }

        fn do_work(&mut self) -> Result<usize, AgentError> {
            if self.left == 0 {
                return (self.end)();
            }
            self.left -= 1;
            Ok(1)
        }

        fn on_close(&mut self) -> Result<(), AgentError> {
            self.closed.lock().unwrap().push(self.name);
            Ok(())
        }
    }

    fn run_two(end: fn() -> Result<usize, AgentError>) -> (Fault, Vec<&'static str>) {
        let (closed, fault) = (Arc::new(Mutex::new(Vec::new())), Fault::new());
        let stop = Arc::new(AtomicBool::new(false));
        let spawn = |name: &'static str, left, end| {
            let agent = Scripted { name, left, end, closed: Arc::clone(&closed) };
            let options =
                RunOptions { name: name.into(), core: None, idle: IdleStrategy::BACKOFF, slice_ns: 0 };
            AgentRunner::spawn(options, vec![Box::new(agent)], Arc::clone(&stop), fault.clone()).unwrap()
        };
        let (good, bad) = (spawn("good", 10, || Ok(0)), spawn("bad", 10, end));
        bad.join();
        good.join();
        let mut closed = closed.lock().unwrap().clone();
        closed.sort_unstable();
        (fault, closed)
    }

    #[test]
    fn an_error_stops_all_threads_in_order_and_is_kept() {
        let (fault, closed) = run_two(|| Err(AgentError::new("disk on fire")));
        let report = fault.report().unwrap();
        assert_eq!((report.agent.as_str(), report.reason.as_str()), ("bad", "disk on fire"));
        assert_eq!(closed, ["bad", "good"]);
    }

    #[test]
    fn a_panic_is_a_fault_with_its_message() {
        let (fault, closed) = run_two(|| panic!("broken invariant"));
        assert_eq!(fault.report().unwrap().to_string(), "bad stopped: panicked: broken invariant");
        assert_eq!(closed, ["bad", "good"]);
    }

    /// A spinning thread was pinned to the last core, and the system put other threads of the process there, too: each took the
    /// core for up to 4 ms, and one answer in a hundred was so late.
    #[test]
    fn other_threads_keep_off_a_core_that_one_spins_on() {
        let cores = Cores::list();
        let Some((&last, others)) =
            cores.numbers().split_last().map(|(last, others)| (last, others.to_vec()))
        else {
            return;
        };
        if others.is_empty() {
            return println!("skipped: one processor only");
        }
        let thread = |idle| ThreadConfig { core: Some(last), idle, ..ThreadConfig::new("core", &[]) };
        let (all, sleeps, spins) =
            (cores.numbers(), thread(IdleStrategy::BACKOFF), thread(IdleStrategy::BusySpin));
        let allowed = move |threads: Vec<ThreadConfig>| {
            let leave = move || {
                Cores::list().leave_to_spinning(&threads).unwrap();
                // A thread inherits where it may run.
                std::thread::spawn(core_affinity::get_core_ids).join().unwrap().unwrap()
            };
            let cores = std::thread::spawn(leave).join().unwrap();
            cores.iter().map(|core| core.id).collect::<Vec<_>>()
        };
        assert_eq!(allowed(vec![sleeps]), all);
        assert_eq!(allowed(vec![spins]), others);
        assert_eq!(Cores::list().numbers(), all);
    }

    #[test]
    fn a_core_that_does_not_exist_is_refused_by_name() {
        let cores = Cores::list();
        let error = cores.check(9_999).unwrap_err();
        assert_eq!(error.core, 9_999);
        for core in cores.numbers() {
            cores.check(core).unwrap();
        }
    }
}
