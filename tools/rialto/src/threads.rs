//! The thread map: which thread runs which agents, on which processor, and what it does when there is nothing to do.

use std::collections::BTreeMap;

use clap::ValueEnum;
use sequencer::runner::Cores;
use sequencer::{AgentName, IdleStrategy, ThreadConfig};

use crate::config::Thread;
use crate::output::Failure;

/// Agents beside the pipeline's own. Each has a thread of its name unless the configuration puts it on another.
const EDGES: [&str; 5] = ["gateway", "market_data", "binary", "operator", "house"];

/// The edges that nobody waits for look only now and then, and leave the processors to those that somebody does.
const PATIENT: [&str; 2] = ["operator", "house"];

/// How often the events are written where the order's thread spins: a few hundred times a second, so that the rest of the machine is
/// left alone, and often enough for those who follow them.
const EVENTS_PARK_NS: u64 = 5_000_000;

/// A thread map to start from; `[threads]` changes it thread by thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Threads that back off to sleeps of 100 us: good latency beside other work.
    #[default]
    Balanced,
    /// One thread spins on the last processor and runs all that an order passes through; needs two processors.
    LowLatency,
    /// Sleeps of up to 2 ms: an idle exchange takes next to no processor time, and its first answer may wait as long.
    Quiet,
}

/// Threads and what runs on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadMap {
    /// The threads, with the pipeline's agents.
    pub threads: Vec<ThreadConfig>,
    /// Each edge's thread.
    edges: BTreeMap<&'static str, String>,
}

impl ThreadMap {
    /// The pipeline's own threads, those of the edges, then the profile, then what the configuration wants.
    ///
    /// # Errors
    /// A thread or agent that does not exist, an agent on two threads, an idle strategy that is none.
    pub fn new(
        profile: Profile,
        wanted: &BTreeMap<String, Thread>,
        own: Vec<ThreadConfig>,
        cores: &Cores,
    ) -> Result<Self, Failure> {
        let patient = IdleStrategy::Park { park_ns: 10_000_000 };
        let mut map = Self { threads: own, edges: BTreeMap::new() };
        for edge in EDGES {
            let idle = if PATIENT.contains(&edge) { patient } else { IdleStrategy::default() };
            map.threads.push(ThreadConfig { idle, ..ThreadConfig::new(edge, &[]) });
            map.edges.insert(edge, edge.to_owned());
        }
        map.apply_profile(profile, cores)?;
        map.place_agents(wanted)?;
        for (name, wanted) in wanted {
            map.apply(name, wanted)?;
        }
        let edges = &map.edges;
        map.threads.retain(|it| !it.agents.is_empty() || edges.values().any(|thread| *thread == it.name));
        Ok(map)
    }

    /// The thread of an edge.
    ///
    /// # Panics
    /// If there is no such edge.
    #[must_use]
    pub fn thread_of(&self, edge: &str) -> &str {
        self.edges.get(edge).expect("one of the edges")
    }

    fn apply_profile(&mut self, profile: Profile, cores: &Cores) -> Result<(), Failure> {
        match profile {
            Profile::Balanced => {}
            Profile::Quiet => {
                let idle = IdleStrategy::Backoff {
                    spins: 10,
                    yields: 2,
                    min_park_ns: 50_000,
                    max_park_ns: 2_000_000,
                };
                let sleeps = |it: &&mut ThreadConfig| matches!(it.idle, IdleStrategy::Backoff { .. });
                self.threads.iter_mut().filter(sleeps).for_each(|it| it.idle = idle);
            }
            Profile::LowLatency => {
                let numbers = cores.numbers();
                let (Some(&last), true) = (numbers.last(), numbers.len() > 1) else {
                    return Err(Failure::usage(
                        "the low-latency profile spins on one processor and needs a second one for everything else: \
                         use balanced here",
                    ));
                };
                for agent in ["sequencer", "engine", "journal", "gateway"] {
                    self.place(agent, "core")?;
                }
                let core = self.threads.iter_mut().find(|it| it.name == "core");
                let core = core.expect("the pipeline has a thread of this name");
                (core.core, core.idle) = (Some(last), IdleStrategy::BusySpin);
                // Nobody's answer waits for the stored events.
                let events = self.threads.iter_mut().find(|it| it.agents == [AgentName::EventJournal]);
                events.expect("it has a thread").idle = IdleStrategy::Park { park_ns: EVENTS_PARK_NS };
            }
        }
        Ok(())
    }

    /// Puts the agents where the configuration wants them.
    fn place_agents(&mut self, wanted: &BTreeMap<String, Thread>) -> Result<(), Failure> {
        let mut placed: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, thread) in wanted {
            for agent in thread.agents.iter().flatten() {
                if let Some(other) = placed.insert(agent, name) {
                    return Err(Failure::usage(format!(
                        "agent {agent} is in [threads.{other}] and in [threads.{name}]: it runs on one thread"
                    )));
                }
                if self.threads.iter().all(|it| it.name != *name) {
                    self.threads.push(ThreadConfig::new(name, &[]));
                }
                self.place(agent, name)?;
            }
        }
        Ok(())
    }

    /// Moves one agent to a thread that exists.
    fn place(&mut self, agent: &str, thread: &str) -> Result<(), Failure> {
        if let Some(edge) = EDGES.into_iter().find(|edge| *edge == agent) {
            self.edges.insert(edge, thread.to_owned());
            return Ok(());
        }
        let Ok(name) = agent.parse::<AgentName>() else {
            let own = AgentName::ALL.map(AgentName::text).join(", ");
            let edges = EDGES.join(", ");
            return Err(Failure::usage(format!(
                "[threads.{thread}]: '{agent}' is no agent; there are: {own}, {edges}"
            )));
        };
        self.threads.iter_mut().for_each(|it| it.agents.retain(|other| *other != name));
        let thread = self.threads.iter_mut().find(|it| it.name == thread);
        thread.expect("the caller has seen to it").agents.push(name);
        Ok(())
    }

    fn apply(&mut self, name: &str, wanted: &Thread) -> Result<(), Failure> {
        let known = self.threads.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ");
        let Some(thread) = self.threads.iter_mut().find(|it| it.name == *name) else {
            return Err(Failure::usage(format!(
                "[threads.{name}] is no thread of an exchange; there are: {known}; a new one needs agents = [...]"
            )));
        };
        thread.core = wanted.core.or(thread.core);
        thread.slice_ns = wanted.slice_us.map_or(thread.slice_ns, |slice_us| slice_us.saturating_mul(1000));
        if let Some(idle) = &wanted.idle {
            thread.idle =
                idle.parse().map_err(|error| Failure::usage(format!("[threads.{name}].idle: {error}")))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sequencer::PipelineConfig;

    fn wanted(text: &str) -> BTreeMap<String, Thread> {
        toml::from_str(text).unwrap()
    }

    fn map(profile: Profile, text: &str) -> Result<ThreadMap, String> {
        let own = PipelineConfig::default().threads;
        ThreadMap::new(profile, &wanted(text), own, &Cores::list()).map_err(|failure| failure.message)
    }

    fn thread<'a>(map: &'a ThreadMap, name: &str) -> &'a ThreadConfig {
        map.threads.iter().find(|it| it.name == name).unwrap()
    }

    #[test]
    fn each_edge_has_a_thread_of_its_own_unless_it_is_put_elsewhere() {
        let plain = map(Profile::Balanced, "").unwrap();
        assert_eq!(EDGES.map(|edge| plain.thread_of(edge).to_owned()), EDGES);
        let text = "core = { agents = ['gateway', 'journal'] }\nrest = { agents = ['operator', 'house'] }";
        let moved = map(Profile::Balanced, text).unwrap();
        assert_eq!(
            EDGES.map(|edge| moved.thread_of(edge).to_owned()),
            ["core", "market_data", "binary", "rest", "rest"].map(str::to_owned)
        );
        let expected = [AgentName::Sequencer, AgentName::Engine, AgentName::Journal];
        assert_eq!(thread(&moved, "core").agents, expected);
        assert_eq!(thread(&moved, "journal").agents, [AgentName::EventJournal]);
        assert!(moved.threads.iter().all(|it| it.name != "gateway"), "nothing is left on it");
    }

    #[test]
    fn the_low_latency_profile_has_one_thread_that_spins_and_a_sync_that_does_not() {
        if Cores::list().numbers().len() < 2 {
            return println!("skipped: one processor only");
        }
        let low = map(Profile::LowLatency, "operator = { core = 0 }").unwrap();
        let spinning: Vec<&ThreadConfig> = low.threads.iter().filter(|it| it.idle.spins()).collect();
        assert_eq!(spinning.len(), 1);
        assert_eq!(low.thread_of("gateway"), spinning[0].name);
        assert!(!spinning[0].agents.contains(&AgentName::Sync) && spinning[0].agents.len() == 3);
        assert_eq!(thread(&low, "journal").agents, [AgentName::EventJournal], "no answer waits for it");
        assert_eq!(thread(&low, "journal").idle, IdleStrategy::Park { park_ns: EVENTS_PARK_NS });
        let config = PipelineConfig { threads: low.threads.clone(), ..PipelineConfig::default() };
        config.validate(&Cores::list()).unwrap();
    }

    #[test]
    fn the_configuration_has_the_last_word() {
        let quiet = map(Profile::Quiet, "core = { idle = 'yield' }").unwrap();
        assert_eq!(thread(&quiet, "core").idle, IdleStrategy::Yield);
        assert_ne!(thread(&quiet, "journal").idle, IdleStrategy::default());
    }

    #[test]
    fn mistakes_are_named() {
        for (text, words) in [
            ("gatway = {}", "[threads.gatway] is no thread"),
            ("core = { agents = ['gatway'] }", "'gatway' is no agent"),
            ("a = { agents = ['house'] }\nb = { agents = ['house'] }", "[threads.a] and in [threads.b]"),
            ("core = { idle = 'rest' }", "[threads.core].idle"),
        ] {
            let error = map(Profile::Balanced, text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
